"""The kernel on experts of several outputs: what it shows by itself, and forgeries it rejects."""

from __future__ import annotations

import json
from copy import deepcopy
from functools import cache

import pytest
from checked import check
from test_vector_experts import CASES

import identkit
from identkit import Expert
from identkit.certificates.kernel.outputs import SIDE, at_units, one_function, widened
from identkit.certificates.store import digest
from identkit.certificates.verify import KERNEL
from identkit.errors import CertificateError

LEFT = {
    # pieces that the prover has to derive again: dimensions by component, reflections with a rest
    ("a*x + b", "(a*x + b)**2"): {"verdict"},
    ("tanh(a*x + b)", "a"): {"verdict"},
    ("relu(a*x + b)", "c"): {"verdict", "exceptional"},
    ("tanh(a*x + b)", "x"): {"exceptional"},
    ("gelu(a*x0 + b)", "gelu(c*x1 + d)", "x0*x1"): {"exceptional"},
    ("relu(a*x + b)", "relu(c*x + d)"): {"exceptional"},
}


@cache
def written(parts, gate="softmax", likelihood=None):
    result = check(Expert.from_expression(list(parts)), gate, likelihood=likelihood)
    return json.dumps(result.certificate())


@pytest.mark.parametrize("parts", [case[0] for case in CASES])
@pytest.mark.parametrize("gate", ["softmax", "normalized-sigmoid"])
def test_what_the_kernel_shows(parts, gate):
    verified = identkit.verify(json.loads(written(tuple(parts), gate)))
    left = {piece for by in verified.by for piece, who in by.items() if who != KERNEL}
    assert left == LEFT.get(tuple(parts), set())


def test_vectors_are_functions_of_further_inputs():
    from fractions import Fraction

    from identkit.atoms import expert_function
    from identkit.questions import options_of

    expert = Expert.from_expression(["a*x0", "b*x1", "x0"])
    atom, options = expert_function(expert), options_of(2, (-3, 3), expert.inputs, 0, 512)
    flat = one_function(atom)
    assert (flat.inputs, flat.markers) == (atom.variables, ())
    assert widened(options, atom).domain.sides(5) == (*options.domain.sides(2), SIDE, SIDE, SIDE)
    witness = identkit.verify(json.loads(written(("tanh(a*x + b)", "tanh(c*x + d)"))))
    (point,) = {p[1:] for p in _units(witness) if p[1] == 1}
    assert point == (Fraction(1), Fraction(0))


def _units(verified):
    from identkit.atoms import expert_function

    atom = expert_function(verified.expert)
    (proof,) = verified.results[0].proofs
    return at_units(proof.witness, atom).points


LOGITS = ("a*x + b", "c*x + d")


def forged(change, parts=LOGITS, likelihood="categorical"):
    document = deepcopy(json.loads(written(parts, "softmax", likelihood)))
    change(document["results"][0]["certificate"])
    document["digest"] = digest(document)
    return document


def _component(certificate):
    point = certificate["parts"][0]["witness"]["points"][0]
    point[-1] = {"1": "2", "2": "1"}[point[-1]]


def _no_component(certificate):
    certificate["parts"][0]["witness"]["points"][0][-1] = "3"


def _short(certificate):
    certificate["parts"][0]["witness"]["points"][0].pop()


def _unmerged(certificate):
    part = certificate["parts"][0]
    part["merged"].pop()


def _another_merge(certificate):
    relation = certificate["parts"][0]["merged"][0]["relation"]
    relation["terms"][0]["coefficient"] = "2"


def _second_component(certificate):
    point = certificate["second_order"]["determinant"]["points"][0]
    point[-1] = {"1": "2", "2": "1"}[point[-1]]


def _fewer(certificate):
    certificate["second_order"]["independent"].pop()


@pytest.mark.parametrize(
    "change",
    [
        _component,
        _no_component,
        _short,
        _unmerged,
        _another_merge,
        _second_component,
        _fewer,
    ],
)
def test_forgeries_are_rejected(change):
    identkit.verify(forged(lambda certificate: None))
    with pytest.raises(CertificateError):
        identkit.verify(forged(change))


def test_a_relation_has_to_hold_in_every_component():
    """∂_a h = x ∂_b h in the first component alone is no merge of the two."""
    parts = ("tanh(a*x + b)", "tanh(b*x)")
    document = json.loads(written(parts))
    part = document["results"][0]["certificate"]["parts"][0]
    donor = json.loads(written(("tanh(a*x + b)", "0")))["results"][0]["certificate"]["parts"][0]
    assert donor["merged"]
    part["merged"] = donor["merged"]
    kept = [f for f in part["kept"] if f not in [m["function"] for m in donor["merged"]]]
    part["kept"] = kept
    document["digest"] = digest(document)
    with pytest.raises(CertificateError):
        identkit.verify(document)


@pytest.mark.parametrize("name", ["c", "a"])
def test_a_family_has_to_leave_every_component(name):
    """(c, a, b) → (c/r, ra, rb) keeps c·relu(ax + b), and not a logit that is one of them."""
    parts = ("c*relu(a*x + b)", "d*x")
    document = json.loads(written(parts, "softmax", "categorical"))
    assert identkit.verify(document).results[0].nondegenerate == "no"
    document["expert"]["components"][1] = f"d*x + {name}"
    document["expert"]["expression"] = "; ".join(document["expert"]["components"])
    document["digest"] = digest(document)
    with pytest.raises(CertificateError):
        identkit.verify(document)
