"""Regions of gates that select, and cells of fits: known answers, properties, refusals."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import product

import pytest
import sympy as sp
from amounts import amount
from hypothesis import given, settings
from hypothesis import strategies as st

from identkit import InputError
from identkit.claims.record import recorded
from identkit.cli import main
from identkit.expression import parse
from identkit.gates import resolve
from identkit.selecting.answers import answer
from identkit.selecting.filling import _ahead
from identkit.selecting.regions import Score, by_bias, by_scores
from identkit.vocabulary import Verdict

GATES = ("top-2", "top-2-unnormalised", "top-2-biased")
LINES = [("1", "0"), ("-1", "0"), ("0", "5")]


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    code = main(["regions", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


# -- known answers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gate", "cells", "top", "published", "converges", "selected"),
    [
        ("top-2", (2, 1, 1), 3, True, "no", None),  # the counterexample of test_nested_gates
        ("top-2", (2, 1, 1), 2, False, "yes", (1, 1, 1)),  # one atom is selected nowhere
        ("top-2", (2, 2, 2), 4, True, "yes", (2, 2, 2)),
        ("top-2", (2, 2, 2), 3, False, "no", None),
        ("top-2", (1, 1, 1), 3, True, "no", None),
        ("top-1", (2, 2, 3), 2, False, "yes", (2, 2, 2)),
        ("top-2-unnormalised", (2, 1, 1), 2, False, "no", None),  # no atom is free
        ("top-2-unnormalised", (2, 2, 2), 4, True, "yes", (2, 2, 2)),
        ("top-2-unnormalised", (3, 2, 2), 4, False, "no", None),
        ("top-1-unnormalised", (1, 1), 1, True, "yes", (1, 1)),
        ("top-2-biased", (2, 1, 1), 2, False, "yes", (1, 1, 1)),
        ("top-2-biased", (2, 2, 2), 3, False, "no", None),  # no multiple of K
        ("top-2-biased", (3, 2, 2), 4, False, "yes", (2, 2, 2)),
        # one region: every atom is always selected
        ("top-2", (3, 1), 3, False, "yes", (2, 1)),
        ("top-2-unnormalised", (3, 1), 4, True, "yes", (3, 1)),
        ("top-2-unnormalised", (3, 1), 3, False, "no", None),
        ("top-2-biased", (2, 1), 3, True, "no", None),
    ],
)
def test_known_cells(gate, cells, top, published, converges, selected):
    (found,) = answer(gate, cells=cells, fitted_top=top).cells
    assert (found.published, found.converges, found.selected) == (published, converges, selected)
    assert (found.counterexample is None) == (converges == "yes")


def test_all_sizes_of_cells():
    found = answer("top-2", true_atoms=3, fitted=6, fitted_top=4)
    assert {c.sizes: c.converges for c in found.cells} == {
        (4, 1, 1): "no",
        (3, 2, 1): "no",
        (2, 2, 2): "yes",
    }
    assert (found.number, found.converges) == (3, Verdict.YES)


def test_regions_of_lines_are_exact():
    found = answer("top-2", scores=LINES, fitted=4, fitted_top=3)
    division = found.division
    assert division is not None
    assert division.sets == ((1, 2), (0, 2))
    assert [(p.low, p.high) for p in division.pieces] == [(-3, 0), (0, 3)]
    assert division.components == ((0, 1), (2,))
    # the atom that is selected everywhere can have two, which stay ahead with half its weight
    assert {c.sizes: c.selected for c in found.cells} == {
        (1, 1, 2): (1, 1, 2),
        (1, 2, 1): None,
        (2, 1, 1): None,
    }


def test_halves_have_to_stay_ahead():
    """With β0 = 1/4 half of the third atom is behind the others near x = 0; e^(1/4) < 2."""
    low = answer("top-2", scores=[*LINES[:2], ("0", "1/4")], cells=(1, 1, 2), fitted_top=3)
    assert low.converges == Verdict.NO
    example = low.cells[0].counterexample
    assert example is not None
    assert not example.exact


def test_biases_divide_the_domain():
    scores = [("-1", "0", "0"), ("1", "0", "1/4"), ("2", "1", "0")]
    found = answer("top-2-biased", scores=scores, fitted=4, fitted_top=2)
    division = found.division
    assert division is not None
    assert not division.open
    assert division.sets == ((0, 1), (1, 2))
    # σ(-x) = σ(2x + 1) at -1/3, without a bias between these
    face = division.pieces[0].high
    assert abs(face + Fraction(1, 3)) < Fraction(1, 10**9)
    assert division.components == ((0, 2), (1,))
    assert found.converges == Verdict.YES


@pytest.mark.parametrize("bias", ["0", "1/10"])
def test_what_is_not_certain_is_undecided(bias, capsys):
    """Three atoms are level at x = 0; a shift of one divides them."""
    scores = f"1 0 0; -1 0 0; 1/2 0 {bias}"
    code, out, _ = run(capsys, "top-2-biased", "--scores", scores, "--fitted", "4")
    assert (code, "undecided" in out) == ((3, True) if bias == "0" else (0, False))


def test_flat_atoms_share_in_other_ways():
    scores = [("1", "0", "0"), ("-1", "0", "0"), ("0", "0", "5")]
    found = answer("top-2-biased", scores=scores, cells=(1, 1, 2), fitted_top=3)
    assert found.converges == Verdict.UNDECIDED
    assert "β1 = 0" in found.cells[0].reason


def test_three_lines_at_one_point_are_undecided():
    scores = [("2", "0"), ("1", "0"), ("-1", "0"), ("-2", "0")]
    found = answer("top-2", scores=scores, cells=(2, 1, 1, 1), fitted_top=3)
    assert found.converges == Verdict.UNDECIDED


def test_many_atoms_are_counted_not_listed():
    found = answer("top-8", true_atoms=256)
    assert (found.number, found.sets) == (409663695276000, None)


def test_answers_rest_on_proved_claims():
    claims = {c.id: str(c.status) for c in recorded()}
    for gate in GATES:
        assert claims[answer(gate, true_atoms=3).claim] == "proved"


def test_a_theorem_is_of_one_weight_rule():
    """Nothing is inherited with the data of a neighbour."""
    from dataclasses import replace

    own = replace(resolve("top-2"), name="mine", weight=resolve("sigmoid").weight)
    assert own.selection is not None
    assert own.selection.theorem is None
    with pytest.raises(InputError, match="is not proved"):
        answer(own, true_atoms=3)


# -- properties -----------------------------------------------------------------------------------


@st.composite
def questions(draw):
    gate = draw(st.sampled_from(["top-1", "top-3-unnormalised", *GATES]))
    count = resolve(gate).selection.count
    atoms = draw(st.integers(count, 5))
    cells = tuple(draw(st.lists(st.integers(1, 4), min_size=atoms, max_size=atoms)))
    return gate, cells, draw(st.integers(1, sum(cells)))


def value(text, x):
    """A score at x, as e^score, a rational."""
    names = {sp.Symbol(f"x{j}", real=True): v for j, v in enumerate(x)}
    return Fraction(str(sp.simplify(sp.exp(parse(text).subs(names)))))


def f_of(gate, atoms, count):
    """f of (e^score, bias, h): which atoms are selected by themselves, in exact numbers."""
    selection = resolve(gate).selection
    weigh = (lambda w: w / (1 + w)) if selection.bias is not None else (lambda w: w)
    ordered = sorted(atoms, key=lambda a: weigh(a[0]) + a[1], reverse=True)
    chosen = ordered[:count]
    below = atoms if selection.divided_by == "all" else chosen
    return sum(weigh(w) * h for w, _, h in chosen) / sum(weigh(w) for w, _, _ in below)


@settings(max_examples=amount(15, 100), deadline=None)
@given(questions())
def test_counterexamples_are_counterexamples(asked):
    """f of the printed measures, from their texts, is what is printed, and differs."""
    gate, cells, top = asked
    (found,) = answer(gate, cells=cells, fitted_top=top).cells
    example = found.counterexample
    assert (found.converges == Verdict.NO) == (example is not None)
    if example is None:
        return
    x, h = [Fraction(v) for v in example.x], [Fraction(v) for v in example.experts]
    bias = [Fraction(b) for b in example.bias] or [Fraction(0)] * len(h)
    true = [(value(t, x), b, v) for t, b, v in zip(example.true, bias, h, strict=True)]
    fit = [
        (value(t, x), b, v)
        for t, b, v, n in zip(example.fitted, bias, h, cells, strict=True)
        for _ in range(n)
    ]
    count = resolve(gate).selection.count
    assert f_of(gate, true, count) == Fraction(example.f_true)
    assert f_of(gate, fit, top) == Fraction(example.f_fitted)
    assert Fraction(example.f_true) != Fraction(example.f_fitted)


@settings(max_examples=amount(15, 100), deadline=None)
@given(questions(), st.lists(st.fractions(-3, 3, max_denominator=7), min_size=5, max_size=5))
def test_cells_that_converge_have_an_exact_fit(asked, places):
    """n_j equal parts, or copies, of each true atom and the others far behind: f is the same."""
    gate, cells, top = asked
    (found,) = answer(gate, cells=cells, fitted_top=top).cells
    if found.selected is None or len(cells) == resolve(gate).selection.count:
        return
    kind = resolve(gate).selection.theorem.cells
    weights = [Fraction(2) + p + Fraction(j, 997) + 2 for j, p in enumerate(places[: len(cells)])]
    true = [(w, Fraction(0), Fraction(3 * j + 1)) for j, w in enumerate(weights)]
    fit = []
    for (w, b, h), n, size in zip(true, found.selected, cells, strict=True):
        fit += [(w if kind == "copies" else w / n, b, h)] * n
        fit += [(w / 10**9, b - 9, h)] * (size - n)
    assert f_of(gate, fit, top) == f_of(gate, true, resolve(gate).selection.count)


def brute(sizes, count, top, kind):
    """Whether some n fill every region of all K-sets, by going through all of them."""
    from itertools import combinations

    sets = list(combinations(range(len(sizes)), count))
    ranges = [range(1, s + 1) for s in sizes]
    if kind == "whole":
        ranges = [[s] for s in sizes]
    for n in product(*ranges):
        if kind == "copies" and len(set(n)) > 1:
            continue
        if all(sum(n[j] for j in s) == top for s in sets):
            return True
    return False


@settings(max_examples=amount(30, 200), deadline=None)
@given(questions())
def test_verdicts_are_those_of_an_enumeration(asked):
    gate, cells, top = asked
    selection = resolve(gate).selection
    (found,) = answer(gate, cells=cells, fitted_top=top).cells
    yes = brute(cells, selection.count, top, selection.theorem.cells)
    assert (found.converges == Verdict.YES) == yes


numbers = st.fractions(-3, 3, max_denominator=9)


@settings(max_examples=amount(15, 100), deadline=None)
@given(st.lists(st.tuples(numbers, numbers, numbers), min_size=3, max_size=5), st.integers(1, 3))
def test_pieces_cover_the_domain(given_scores, count):
    """At points of the pieces the largest are those that are said, and no region is left out."""
    scores = [Score(*s) for s in {s[0]: s for s in given_scores}.values()]
    if len(scores) < count:
        return
    ends = Fraction(-3), Fraction(3)
    lines = by_scores(scores, count, *ends)
    assert lines.pieces[0].low == -3
    assert lines.pieces[-1].high == 3
    for n in range(-29, 30):
        x = Fraction(n, 10) + Fraction(1, 10**7)
        order = sorted(range(len(scores)), key=lambda i: scores[i].at(x), reverse=True)
        (piece,) = [p for p in lines.pieces if p.low <= x < p.high]
        assert set(piece.atoms) == set(order[:count])
    divided = by_bias(scores, count, *ends)
    if divided.open:
        return
    for n in range(-29, 30):
        x = Fraction(n, 10) + Fraction(1, 10**7)
        level = [
            float(1 / (1 + sp.exp(-sp.Float(str(float(s.at(x))))))) + float(s.bias) for s in scores
        ]
        order = sorted(range(len(scores)), key=lambda i: level[i], reverse=True)
        near = [p for p in divided.pieces if p.low <= x <= p.high]
        if near and (count == len(scores) or level[order[count - 1]] - level[order[count]] > 1e-9):
            assert set(near[0].atoms) == set(order[:count])


def test_ahead_of_a_ratio():
    assert _ahead(Fraction(0), Fraction(1))
    assert not _ahead(Fraction(0), Fraction(2))
    assert _ahead(Fraction(0), Fraction(1, 2))
    assert not _ahead(Fraction(-1, 10**9), Fraction(1))
    # log 2 = 0.693147180559945309417232121458…
    near = Fraction(693147180559945309417232121458, 10**30)
    assert not _ahead(near, Fraction(2))
    assert _ahead(near + Fraction(1, 10**30), Fraction(2))


# -- the command ----------------------------------------------------------------------------------


def test_the_command_prints_a_measure_and_a_point(capsys):
    code, out, _ = run(capsys, "top-2", "--cells", "2,1,1", "--fitted-top", "3")
    assert code == 0
    assert "163/73" in out
    assert "9/4" in out
    assert "holds" in out
    code, out, _ = run(capsys, "top-2", "--cells", "2,1,1", "--fitted-top", "3", "--json")
    found = json.loads(out)
    assert found["schema"] == "identkit.regions/1"
    assert found["sets"] == [[0, 1], [0, 2], [1, 2]]
    assert found["cells"][0]["counterexample"]["f_true"] == "9/4"
    assert found["converges"] == "no"
    assert code == 0


@pytest.mark.parametrize("scores", ["-1,0;1,0;0 5", "-.5 0; 1 0; 2 1/3;"])
def test_scores_that_begin_with_a_minus(capsys, scores):
    code, out, _ = run(capsys, "top-2", "--scores", scores)
    assert code == 0
    assert "regions" in out


def test_biases_in_the_report(capsys):
    scores = "-1 0 0; 1 0 1/4; 2 1 0"
    code, out, _ = run(capsys, "top-2-biased", "--scores", scores, "--domain", "-2", "2")
    assert code == 0
    assert "b is determined up to one shift for each of {0, 2}, {1}" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["softmax", "--true-atoms", "3"], "it selects no atoms"),
        (["top-2"], "--true-atoms: it is missing"),
        (["top-2-what", "--true-atoms", "3"], "give a number of atoms"),
        (["top-2 -biased", "--true-atoms", "3"], "give a number of atoms"),
        (["top-5", "--true-atoms", "3"], "selects 5; give at least as many"),
        (["top-2", "--true-atoms", "3", "--fitted", "2"], "give 3 to 256 atoms"),
        (["top-2", "--true-atoms", "3000"], "give 1 to 256 atoms"),
        (["top-2", "--cells", "2,1,1", "--fitted", "5"], "the cells have 4 atoms"),
        (["top-2", "--cells", "2,1,1", "--true-atoms", "2"], "3 sizes for 2 true atoms"),
        (["top-2", "--cells", "a,1"], "give whole numbers"),
        (["top-2", "--cells", "0,1"], "must be a whole number, 1 or more"),
        (["top-2", "--cells", "2,1,1", "--fitted-top", "9"], "select no more"),
        (["top-2", "--true-atoms", "3", "--fitted-top", "2"], "of how many atoms is not said"),
        (["top-2", "--true-atoms", "30", "--fitted", "90"], "name some with --cells"),
        (["top-2", "--true-atoms", "3", "--domain", "1", "2"], "only with --scores"),
        (["top-2", "--scores", "1 0 0; 2 1"], "atom 0 has 3 numbers"),
        (["top-2-biased", "--scores", "1 0; 2 1"], "atom 0 has 2 numbers"),
        (["top-2", "--scores", "1 0; 1 1"], "have the same β1"),
        (["top-2", "--scores", "1 0; x 1"], "'x' of atom 1 is no number"),
        (["top-2", "--scores", "1 0; 1e9 1"], "is no number up to 10^6"),
        (["top-2", "--scores", "1 0; 2 0", "--true-atoms", "3"], "2 scores for 3 true atoms"),
        (["top-2", "--scores", ""], "atom 0 has 0 numbers"),
    ],
)
def test_bad_input_is_one_sentence(capsys, arguments, said):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert err.strip().endswith(".")


@pytest.mark.parametrize("gate", GATES)
def test_gates_that_select_are_listed_and_checked(capsys, gate):
    assert main(["gates", gate]) == 0
    assert f"identkit regions {gate} --true-atoms 4" in capsys.readouterr().out
    assert main(["check", "--expert", "gelu", "--gate", gate, "--dim", "1"]) == 0
    assert "strong, expert level: yes" in capsys.readouterr().out


def test_no_probabilities_without_a_sum_of_1(capsys):
    ask = ("--expert", "linear", "--gate", "top-2-unnormalised", "--likelihood", "categorical")
    assert main(["check", *ask]) == 2
    assert "they give no probabilities" in capsys.readouterr().err
