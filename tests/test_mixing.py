"""Mixing measures, one and many: shapes, order of the vector, gauge, files."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identkit import InputError
from identkit.mixing import MixingMeasure
from identkit.testing import mixing_measures

measures = mixing_measures(parameters=3, dim=2)
ONE = MixingMeasure([0.1, 0.2], [[1.0, 2.0], [3.0, 4.0]], [[5.0], [6.0]])
OTHER = MixingMeasure([-1.0, 7.0], [[0.5, 0.0], [8.0, 9.0]], [[1.5], [2.5]])
MANY = MixingMeasure.stack([ONE, OTHER])


def same(left, right):
    return (
        left.batch == right.batch
        and np.array_equal(left.beta0, right.beta0)
        and np.array_equal(left.beta1, right.beta1)
        and np.array_equal(left.eta, right.eta)
    )


def test_one_and_many():
    assert (ONE.batch, ONE.atoms, ONE.dim, ONE.parameters) == ((), 2, 2, 1)
    assert (MANY.batch, MANY.atoms, MANY.dim, MANY.parameters) == ((2,), 2, 2, 1)
    assert len(MANY) == 2
    assert same(MANY[1], OTHER)
    assert same(MANY[-1], OTHER)
    assert [same(g, w) for g, w in zip(MANY, (ONE, OTHER), strict=True)] == [True, True]
    assert same(MANY[np.array([False, True])], MixingMeasure.stack([OTHER]))
    assert same(MANY[::-1], MixingMeasure.stack([OTHER, ONE]))
    assert same(MixingMeasure.stack([MANY, ONE]), MixingMeasure.stack([ONE, OTHER, ONE]))
    assert ONE
    with pytest.raises(TypeError, match="no length"):
        len(ONE)
    with pytest.raises(TypeError, match="cannot be indexed"):
        ONE[0]
    with pytest.raises(IndexError):
        MANY[2]


def test_the_vector_lists_slopes_offset_expert_atom_after_atom():
    assert ONE.to_vector().tolist() == [1.0, 2.0, 0.1, 5.0, 3.0, 4.0, 0.2, 6.0]
    assert MANY.to_vector().shape == (2, 8)
    assert same(MixingMeasure.from_vector(MANY.to_vector(), 2, 1), MANY)


@given(measures)
def test_vector_and_document_come_back(measure):
    assert same(MixingMeasure.from_vector(measure.to_vector(), 2, 3), measure)
    assert same(MixingMeasure.from_dict(json.loads(json.dumps(measure.to_dict()))), measure)


def test_relabelled_one_order_or_one_for_each():
    both = MANY.relabelled([1, 0])
    assert same(both[0], ONE.relabelled([1, 0]))
    assert same(both[1], OTHER.relabelled([1, 0]))
    each = MANY.relabelled([[0, 1], [1, 0]])
    assert same(each[0], ONE)
    assert same(each[1], OTHER.relabelled([1, 0]))
    three = MixingMeasure([0.0, 1.0, 2.0], [[0.0], [1.0], [2.0]], [[0.0], [10.0], [20.0]])
    moved = three.relabelled([2, 0, 1])
    assert moved.beta0.tolist() == [2.0, 0.0, 1.0]
    assert moved.beta1.ravel().tolist() == [2.0, 0.0, 1.0]
    assert moved.eta.ravel().tolist() == [20.0, 0.0, 10.0]


def test_shifted_one_shift_or_one_for_each():
    moved = MANY.shifted([1.0, 2.0], [[1.0, 0.0], [0.0, 1.0]])
    assert same(moved[0], ONE.shifted(1.0, [1.0, 0.0]))
    assert same(moved[1], OTHER.shifted(2.0, [0.0, 1.0]))
    assert np.array_equal(MANY.shifted(1.0, [2.0, 3.0]).beta1, MANY.beta1 + np.array([2.0, 3.0]))
    assert np.array_equal(MANY.shifted(1.0, [2.0, 3.0]).beta0, MANY.beta0 + 1.0)


@given(measures, st.integers(-1, 0))
def test_pinned_atom_is_at_zero_and_differences_stay(measure, atom):
    pinned = measure.pinned(atom)
    assert not pinned.beta0[atom].any()
    assert not pinned.beta1[atom].any()
    assert np.array_equal(pinned.beta1, measure.beta1 - measure.beta1[atom])
    assert np.array_equal(pinned.eta, measure.eta)


def test_pinned_many():
    assert same(MANY.pinned()[0], ONE.pinned())
    assert MANY.pinned(0).beta0.tolist() == [[0.0, 0.1], [0.0, 8.0]]


@pytest.mark.parametrize("name", ["g.json", "g.npz", "G.NPZ"])
@pytest.mark.parametrize("measure", [ONE, MANY, MANY.shifted(1 / 3, [1e-300, 1e17])])
def test_files_come_back_exactly(tmp_path, name, measure):
    measure.save(tmp_path / name)
    assert same(MixingMeasure.load(tmp_path / name), measure)
    assert os.listdir(tmp_path) == [name]  # no temporary file is left


def test_a_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "g.npz"
    ONE.save(path)
    before = path.read_bytes()

    def broken(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", broken)
    with pytest.raises(InputError, match="No space left"):
        MANY.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["g.npz"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"{", "is not a .json file"),
        ("a.json", b"[1]", "does not have the schema"),
        ("a.json", b'{"schema": "identkit.mixing/1"}', "must hold schema"),
        (
            "a.json",
            b'{"schema": "identkit.mixing/1", "beta0": [NaN], "beta1": [[1]], "eta": [[1]]}',
            "beta0: holds a value that is not finite",
        ),
        ("a.npz", b"PK nothing", "is not a .npz file"),
        ("a.npz", b"", "a.npz: "),
        ("a.csv", b"", "must end in .json or .npz"),
    ],
)
def test_files_that_are_none(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        MixingMeasure.load(path)
    assert name in str(caught.value)


def test_paths_that_cannot_be(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        MixingMeasure.load(tmp_path / "missing.npz")
    with pytest.raises(InputError, match="cannot be written"):
        ONE.save(tmp_path / "missing" / "g.json")
    with pytest.raises(InputError, match="must end in"):
        ONE.save(tmp_path / "g.txt")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MixingMeasure([[0.0]], [[1.0]], [[[1.0]]]), "leading shapes"),
        (lambda: MixingMeasure([[0.0]] * 2, [[[1.0]]] * 3, [[[1.0]]] * 2), "leading shapes"),
        (lambda: MixingMeasure([[[0.0]]], [[1.0]], [[1.0]]), "beta0: has shape"),
        (lambda: MixingMeasure.stack([]), "list is empty"),
        (lambda: MixingMeasure.stack([ONE, ONE.relabelled([0, 1]), MANY]), None),
        (lambda: MixingMeasure.stack([ONE, MixingMeasure([0.0], [[1.0]], [[1.0]])]), "differ"),
        (lambda: MixingMeasure.from_vector([1.0, 2.0], 1, 1), "multiple of"),
        (lambda: ONE.pinned(2), "atom: 2"),
        (lambda: ONE.shifted([1.0], [1.0, 1.0]), "shift"),
        (lambda: ONE.shifted(0.0, [1.0]), "shift"),
        (lambda: MANY.relabelled([[0, 1]]), "not a permutation"),
        (lambda: MANY.relabelled([[0, 1], [0, 0]]), "not a permutation"),
    ],
)
def test_what_does_not_fit(make, message):
    if message is None:
        assert len(make()) == 4
        return
    with pytest.raises(InputError, match=message):
        make()
