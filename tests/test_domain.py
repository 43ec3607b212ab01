"""An interval for each input: read exactly, looked at nowhere else, and written down."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest
from checked import check
from hypothesis import given
from hypothesis import strategies as st

from identkit import Expert, InputError
from identkit.certificates.store import certificate_document, digest
from identkit.certificates.verify import verify
from identkit.cli import main
from identkit.domain import Domain
from identkit.errors import CertificateError
from identkit.fit.inference import data_domain

TWO = ("x0", "x1")
numbers = st.fractions(-1000, 1000, max_denominator=1000)
intervals = st.tuples(numbers, numbers).filter(lambda p: p[0] < p[1])


@given(intervals, intervals)
def test_forms_of_the_same_box(first, second):
    box = Domain.of({"x1": second, "x0": first}, TWO)
    assert box == Domain.of([first, second], TWO) == Domain.of(box, TWO)
    assert box == Domain.of(box.document(), TWO)
    assert box.sides(2) == (first, second)
    assert (box == Domain.of(first, TWO)) == (first == second)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"x0": (0, 1)}, "x1 has no interval"),
        ({"x0": (0, 1), "x1": (0, 1), "y": (0, 1)}, "there is no input y"),
        ({"x0": (0, 1), "x1": (1, 0)}, "the width must be positive"),
        ({"x0": (0, 1), "x1": 3}, "is no interval"),
        ([(0, 1)] * 3, "3 intervals for 2 inputs"),
        ("03", "is no interval"),
        ((0, "x"), "is not a finite number"),
        ((0, "1e12"), "out of range"),
        ([], "is no interval"),
    ],
)
def test_what_is_no_box(given, words):
    with pytest.raises(InputError, match=words):
        Domain.of(given, TWO)


def test_one_pair_for_all_is_the_same_check():
    expert = Expert.from_expression("tanh(a*x0 + b*x1)")
    whole = check(expert, "softmax", domain=(-2, 1)).to_dict()
    assert check(expert, "softmax", domain={"x0": (-2, 1), "x1": ("-2", "1")}).to_dict() == whole


def test_points_lie_in_their_own_interval():
    """log(x0) is real on [1/10, 5] only, tanh(20·x1) bends at 0 only."""
    expert = Expert.from_expression("c*log(x0)*tanh(20*a*x1 + b)")
    box = {"x0": ("1/10", 5), "x1": ("-1/50", "1/100")}
    result = check(expert, "softmax", domain=box)
    (strong,) = result.results
    witness = strong.deciding.witness
    assert witness is not None
    for x0, x1 in witness.points:
        assert Fraction(1, 10) <= x0 <= 5
        assert Fraction(-1, 50) <= x1 <= Fraction(1, 100)
    document = json.loads(json.dumps(certificate_document(result)))
    assert document["options"]["domain"] == [["1/10", "5"], ["-1/50", "1/100"]]
    verify(document)
    # the points are outside of another box
    document["options"]["domain"] = [["1/10", "5"], ["-1/500", "1/1000"]]
    with pytest.raises(CertificateError):
        verify({**document, "digest": digest(document)})


@pytest.mark.parametrize("scale", [Fraction(1, 100), Fraction(50)])
def test_rescaled_inputs_have_the_same_verdicts(scale):
    """x1 in other units is a linear change of b."""
    expert = Expert.from_expression("relu(a*x0 + b*x1 + c)")
    box = {"x0": (-3, 3), "x1": (-3 * scale, 3 * scale)}
    mine, theirs = check(expert, "sigmoid", domain=box), check(expert, "sigmoid")
    assert [(r.verdict, r.nondegenerate, r.rate.derived) for r in mine.results] == [
        (r.verdict, r.nondegenerate, r.rate.derived) for r in theirs.results
    ]


def test_the_box_decides_where_experts_are_dead():
    """relu(x0 + x1 - a) with a ≥ 6 is 0 on [0, 5] × [-1, 1]: the box is named."""
    result = check(
        Expert.from_expression("relu(x0 + x1 - a)"),
        "sigmoid",
        regime=2,
        domain={"x0": (0, 5), "x1": (-1, 1)},
    )
    premise = result.results[0].premise
    assert premise is not None
    assert any("[0, 5] × [-1, 1]" in refit.description for refit in premise.refits)


WRONG = [
    ["--domain", "3"],
    ["--domain", "3", "-3"],
    ["--domain", "x0=1:2"],
    ["--domain", "x0=1:2", "--domain", "x0=2:3"],
    ["--domain", "x0=1:2", "--domain", "x5=2:3"],
    ["--domain", "x0=1"],
    ["--domain"],
    ["--domain", "1", "2", "--domain", "2", "3"],
    ["--domain", "x0=1:2:3"],
    ["--domain", "nan", "3"],
]


@pytest.mark.parametrize("arguments", WRONG)
def test_wrong_boxes_are_one_sentence(arguments, capsys):
    assert main(["check", "--expert", "gelu", "--gate", "softmax", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("identkit: ")
    assert "--domain" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["--domain", "-1/2", "3"], "x in [-1/2, 3]^2"),
        (["--domain", "-.5", "-.25"], "x in [-1/2, -1/4]^2"),
        (["--domain", "x1=-1:2", "--domain", "x0=0:1e1"], "x in [0, 10] × [-1, 2]"),
        ([], "x in [-3, 3]^2"),
    ],
)
def test_boxes_on_the_command_line(arguments, printed, capsys):
    assert main(["check", "--expert", "tanh", "--gate", "softmax", *arguments]) == 0
    assert printed in capsys.readouterr().out
    assert main(["check", "--expert", "tanh", "--gate", "softmax", *arguments, "--latex"]) == 0
    assert printed[5:].replace("×", r"\times").replace("^2", "^{2}") in capsys.readouterr().out


@given(st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=6, unique=True))
def test_the_box_of_data_holds_them_and_does_not_reach_zero(values):
    x = np.array([values, [-v for v in values]]).T
    (low, high), (least, most) = data_domain(x, TWO).sides(2)
    assert 0 < low <= min(values) * (1 + 1e-12)
    assert max(values) * (1 - 1e-12) <= high
    assert (least, most) == (-high, -low)


def test_a_constant_column_is_named():
    with pytest.raises(InputError, match="width must be positive"):
        data_domain(np.array([[1.0, 2.0], [1.0, 3.0]]), TWO)
