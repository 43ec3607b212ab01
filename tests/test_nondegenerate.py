"""Second-order nondegeneracy: theory section 4's table, and experts nobody listed."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import product

import pytest
from amounts import amount
from checked import check
from flint import arb
from hypothesis import given, settings
from hypothesis import strategies as st
from zoo import NONDEGENERATE, SECOND_ORDER_UNLISTED

import identkit
from identkit import Expert
from identkit.atoms import expert_function
from identkit.balls import Tape, ball, precision
from identkit.certificates.store import certificate_document, digest
from identkit.certificates.verify import verify
from identkit.cli import main
from identkit.degeneracy.rate import derived_rate
from identkit.errors import CertificateError
from identkit.experts import builtin, symbols
from identkit.expression import parse
from identkit.gates import resolve as resolve_gate
from identkit.rate import SLOWER
from identkit.report.statements import consequences

GATES = ("softmax", "sigmoid")


def second_order(expert, gate, **options):
    """The result of softmax, or of the sigmoid gate in Regime 1."""
    regime = 1 if gate == "sigmoid" else None
    (result,) = check(expert, gate, regime=regime, **options).results
    return result


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize(("name", "shape", "softmax", "sigmoid"), NONDEGENERATE)
def test_theory_section_4(name, shape, softmax, sigmoid, dim):
    for gate, expected in zip(GATES, (softmax, sigmoid), strict=True):
        result = second_order(builtin(name, shape, dim), gate)
        assert result.nondegenerate == expected
        assert bool(result.second_order.families) == (expected == "no")
        derived = "n^-1/4" if expected == "yes" else "no consistent estimator"
        assert str(result.rate.derived) == derived


@pytest.mark.parametrize(("text", "softmax", "sigmoid", "kinds"), SECOND_ORDER_UNLISTED)
def test_experts_nobody_listed(text, softmax, sigmoid, kinds):
    for gate, expected in zip(GATES, (softmax, sigmoid), strict=True):
        result = second_order(Expert.from_expression(text), gate)
        assert result.nondegenerate == expected
        found = {f.kind for f in result.second_order.families}
        assert found == (kinds.get(gate, set()) if expected == "no" else set())
        if expected == "no" and not found:
            order = Fraction(result.second_order.witness.realised.order)
            assert order > Fraction("2.9")  # the loss is of order t²


def family_gap(expert, family, points=1000):
    """Largest |Σ w_i h(x, η(s_i)) − h(x, η*)| over points, as a ball's upper end."""
    names = symbols(expert.parameters)
    s = symbols((family.parameter,))
    h = Tape([expert.expression], (*symbols(expert.inputs), *names))
    curve = {p: parse(text, generous=True) for p, text in family.curve}
    moved = Tape([curve.get(str(p), p) for p in names], (*names, *s))
    worst, size = arb(0), arb(0)
    with precision(200):
        eta = [ball(Fraction(v)) for v in family.eta]
        atoms = [moved.evaluate([*eta, ball(Fraction(p))]) for p in family.positions]
        for i in range(points):
            x = [
                ball(Fraction((7919 * (i + 1) * (j + 1)) % 6000 - 3000, 1000))
                for j in range(expert.dim)
            ]
            (true,) = h.evaluate([*x, *eta])
            fitted = arb(0)
            for w, theta in zip(family.weights, atoms, strict=True):
                fitted += arb(w) * h.evaluate([*x, *theta])[0]
            worst, size = worst.max(abs(fitted - true)), size.max(abs(true))
    return worst, size


FAMILIES = {
    "one input": [builtin(n, s, 1) for n, s, *_ in NONDEGENERATE],
    "two inputs": [builtin(n, s, 2) for n, s, *_ in NONDEGENERATE],
    "unlisted": [Expert.from_expression(t) for t, *_ in SECOND_ORDER_UNLISTED],
}


@pytest.mark.parametrize(
    "which", ["one input", pytest.param("two inputs", marks=pytest.mark.slow), "unlisted"]
)
def test_every_family_gives_the_same_f(which):
    """1,000 points, to 1e-12; under softmax the weights add up to the true one as well."""
    checked = 0
    for expert, gate in product(FAMILIES[which], GATES):
        for family in second_order(expert, gate).second_order.families:
            if family.kind == "flow":
                continue
            gap, size = family_gap(expert, family)
            assert gap < arb("1e-12"), (expert.text, gate, family)
            assert size > arb("1e-3")  # not the trivial 0 = 0
            if gate == "softmax":
                assert abs(sum(Fraction(w) for w in family.weights) - 1) < Fraction("1e-25")
            checked += 1
    assert checked > 8


@pytest.mark.parametrize(
    ("text", "seed", "moved"), [("sin(a)*x", 6, True), ("x*(a+a**2)", 1, True), ("a*x", 0, False)]
)
def test_an_example_of_a_family_is_a_mixing_measure(text, seed, moved):
    """At ±1/2 the conditions can ask for a negative weight; closer to the truth they do not."""
    expert = Expert.from_expression(text)
    families = second_order(expert, "sigmoid", seed=seed).second_order.families
    assert any(f.positions for f in families)
    assert any(f.positions != ("1/2", "-1/2") for f in families if f.positions) == moved
    for family in families:
        if family.positions:
            assert all(Fraction(w) > 0 for w in family.weights)
            gap, size = family_gap(expert, family)
            assert gap < arb("1e-12")
            assert size > arb("1e-3")


def test_slower_says_how_many_atoms_it_takes():
    result = second_order(Expert.from_expression("erf(a*x + b)"), "sigmoid")
    bare = derived_rate(
        None, result.second_order, None, {}, resolve_gate("sigmoid").regime(1), None
    )
    result = replace(result, rate=bare)
    assert result.rate.derived == SLOWER
    cell = result.second_order.witness.realised.cell
    assert cell == result.second_order.witness.rank + 1
    assert f"shown for cells of {cell} or more fitted atoms" in result.rate.reasons
    assert ("where", f"Shown for cells of {cell} or more fitted atoms.") in consequences(
        result, "least-squares"
    )


def test_an_open_set_is_printed_with_the_verdict():
    result = second_order(builtin("gelu", "ridge", 1), "sigmoid")
    narrow = replace(result.second_order, quantifier="open-set")
    said = dict(consequences(replace(result, second_order=narrow), "least-squares"))["second"]
    assert said.startswith("nondegenerate: yes, for an open set of the atoms' parameters. ")
    assert dict(consequences(result, "least-squares"))["second"].startswith("nondegenerate: yes. ")


def test_one_true_atom_is_one_with_a_flat_gate_where_slopes_anchor():
    regime, atom = (
        resolve_gate("normalized-sigmoid").regime("sparse"),
        expert_function(builtin("gelu", "ridge", 1)),
    )
    found = second_order(builtin("gelu", "ridge", 1), "sigmoid").second_order
    for across in ("dependent", "open"):
        mixed = replace(found, across_atoms=across)
        rate = derived_rate(None, mixed, None, {}, regime, atom)
        assert rate.derived.one_atom
        assert "a single true atom with β1* = 0 (any number with β1* ≠ 0)" in rate.reasons[-1]


def quantities(result):
    return {str(i.quantity): str(i.rate) for i in result.second_order.identifiable}


def test_relu_identifies_the_direction_and_the_cell_total():
    for gate in GATES:
        found = quantities(second_order("relu", gate))
        assert found["(a0, a1, b)/‖(a0, a1, b)‖"] == "n^-1/3"
        assert any(q.startswith("Σ w_i·c_i") for q in found)
        result = second_order("relu", gate)
        assert (str(result.rate.published), result.rate.agreement) == ("n^-1/4", "contradicted")


def test_ffn_identifies_inner_weights_and_the_cell_total():
    found = quantities(second_order(builtin("gelu", "ffn", 2), "softmax"))
    assert found == dict.fromkeys(("a0", "a1", "b"), "n^-1/4") | {
        "Σ w_i": "n^-1/2",
        "Σ w_i·c_i": "n^-1/2",
    }


def test_redundant_pairs_identify_their_invariant():
    assert "a + b" in quantities(second_order(Expert.from_expression("tanh((a+b)*x)"), "softmax"))
    assert "a*b" in quantities(second_order(Expert.from_expression("tanh(a*b*x)"), "softmax"))


def test_kinks_make_directions_faster():
    """relu(x + b): the kink moves with b, so n^-1/3 and nondegenerate."""
    result = second_order(Expert.from_expression("relu(x + b)"), "softmax")
    assert (result.nondegenerate, str(result.rate.derived)) == ("yes", "n^-1/4")  # gate slopes
    assert quantities(result) == {"b": "n^-1/3"}


def test_a_jump_is_seen_although_its_almost_everywhere_derivative_is_not():
    """relu(z)/abs(z) is a step: moving a changes f by t^(1/2), though ∂h/∂a = 0 a.e."""
    for gate in GATES:
        result = second_order(Expert.from_expression("relu(x-a)/abs(x-a) + tanh(b*x)"), gate)
        assert result.nondegenerate == "undecided"


@pytest.mark.parametrize(
    ("text", "gate", "quantity"),
    [
        # M_ac cancels M_bb: ∂²_b h = ∂_a∂_c h, so b is no better than n^-1/8
        ("c*tanh(a*x) + b**2*x/(2*cosh(a*x)**2) + b*x**2", "softmax", "b"),
        # two atoms at (c/cos s, b ± s) have the same f and another Σ w_i·c_i
        ("c*sin(a*x + b)", "softmax", "Σ w_i·c_i"),
        ("c*cosh(a*x + b)", "softmax", "Σ w_i·c_i"),
    ],
)
def test_no_rate_is_claimed_beside_a_family_that_hides_more(text, gate, quantity):
    found = quantities(second_order(Expert.from_expression(text), gate))
    assert found.get(quantity, "not derived") == "not derived"


def test_totals_of_cells_that_mix_are_claimed_for_one_true_atom_only():
    """c_1 + ε/w_1, c_2 − ε/w_2 leaves the sum of two cells as it is."""
    found = quantities(second_order(Expert.from_expression("gelu(a*x + b) + c"), "sigmoid"))
    assert found["Σ w_i·c_i"] == "n^-1/2 for one true atom"


@pytest.mark.parametrize(
    ("text", "equivalent"),
    [
        ("tanh((p + q)*x + p - q)", "tanh(a*x + b)"),
        ("c*gelu(2*a*x + 3*b)", "c*gelu(a*x + b)"),
        ("erf((p + q)*x + 2*q)", "erf(a*x + b)"),
        ("sin(p*x + q - 3*p)", "sin(a*x + b)"),
    ],
)
def test_linear_reparametrisation_changes_nothing(text, equivalent):
    for gate in GATES:
        first = second_order(Expert.from_expression(text), gate)
        second = second_order(Expert.from_expression(equivalent), gate)
        assert first.nondegenerate == second.nondegenerate


@settings(max_examples=amount(5, 12), deadline=None)
@given(
    base=st.sampled_from(["tanh(a*x + b)", "silu(a*x)", "sin(a*x + b)", "exp(-(a*x + b)**2)"]),
    gate=st.sampled_from(GATES),
)
def test_a_redundant_parameter_or_an_output_weight_degenerates(base, gate):
    redundant = base.replace("a*x", "(a + r)*x")
    assert second_order(Expert.from_expression(redundant), gate).nondegenerate == "no"
    assert second_order(Expert.from_expression(f"c*{base}"), gate).nondegenerate == "no"


def test_regime_2_premises():
    def premise(name, **options):
        (result,) = check(name, "sigmoid", regime=2, **options).results
        return result.premise.verdict, {r.kind for r in result.premise.refits}, result.rate

    assert premise("gelu")[0] == "fails"
    assert "splitting" in premise("relu")[1]
    verdict, refits, rate = premise("softplus")
    assert (verdict, refits) == ("undecided", set())
    # the theorem has a premise: where it is open, so is the rate, in the record itself
    assert (str(rate.derived), rate.cause, rate.agreement) == (
        "undecided",
        "premise-open",
        "unclaimed",
    )
    assert premise("gelu")[2].agreement == "premise-fails"


def test_polynomials_mix_across_atoms():
    """(x + a)³ is nondegenerate in one cell; cubics of several atoms are dependent."""
    result = second_order(Expert.from_expression("(x + a)**3"), "sigmoid")
    assert result.nondegenerate == "yes"
    assert result.second_order.across_atoms == "dependent"
    assert str(result.rate.derived) == "n^-1/4 for one true atom"


@pytest.mark.parametrize("text", ["gelu(a*x + b)", "relu(a*x + b)", "erf(a*x + b)", "c*sin(a*x)"])
def test_certificates_hold_the_second_order_argument(text):
    document = certificate_document(check(Expert.from_expression(text), "sigmoid"))
    verify(document)
    second = document["results"][0]["certificate"]["second_order"]
    assert second["families"] or second["independent"] or second["witness"]
    for tamper in (
        lambda r: r.__setitem__("nondegenerate", "undecided"),
        lambda r: r["rate"].__setitem__("derived", "n^-1/2"),
        # a no rests on a family or on moments of its own
        lambda r: (
            r["nondegenerate"] == "yes"
            and r["certificate"]["second_order"].__setitem__("invisible", [])
        ),
        lambda r: r["certificate"]["second_order"].__setitem__("families", []),
        lambda r: r["certificate"]["second_order"].__setitem__("verdict", "undecided"),
        lambda r: r.__setitem__(
            "exceptional",
            [
                *r["exceptional"],
                {"kind": "c", "terms": [["1", []]], "slopes": [], "rest": "0", "parameter": ""},
            ],
        ),
    ):
        import copy

        forged = copy.deepcopy(document)
        tamper(forged["results"][0])
        forged["digest"] = digest(forged)
        if forged == document:
            continue
        with pytest.raises(CertificateError):
            verify(forged)


def test_a_sigmoid_expert_can_be_exchanged_with_its_gate():
    def kinds(name, gate):
        return {e.kind for e in second_order(name, gate).exceptional}

    assert "symmetry of one weighted atom" in kinds("sigmoid", "sigmoid")
    assert "symmetry of one weighted atom" not in kinds("sigmoid", "softmax")
    assert "symmetry of one weighted atom" not in kinds("tanh", "sigmoid")


@pytest.mark.parametrize("limit", [0.15, 0.4])
def test_a_certificate_cut_short_still_verifies(limit):
    """What time left open claims nothing: no rate is confirmed, and verify does not ask again."""
    result = identkit.check("relu", "sigmoid", dim=1, time_limit=limit)
    verify(certificate_document(result))
    for r in result.results:
        if r.premise is not None and "cut short" in r.premise.searched:
            assert (str(r.rate.derived), r.rate.agreement) == ("undecided", "undecided")


def test_a_blank_question_is_not_a_place_for_claims():
    document = certificate_document(check("gelu", "softmax", dim=1))
    entry = document["results"][0]
    second = entry["certificate"]["second_order"]
    empty = {k: [] if isinstance(v, list) else None for k, v in second.items()}
    empty |= {"gate": "softmax", "regime": None, "verdict": "undecided", "across_atoms": "open"}
    empty["reason"] = "proved by hand"
    entry["certificate"]["second_order"] = empty
    entry["nondegenerate"] = "undecided"
    document["digest"] = digest(document)
    with pytest.raises(CertificateError):
        verify(document)


@pytest.mark.parametrize(
    ("expert", "gate", "code"),
    [("gelu", "softmax", 0), ("relu", "softmax", 1), ("sin", "sigmoid", 1)],
)
def test_require_nondegenerate(expert, gate, code, capsys):
    arguments = ["check", "--expert", expert, "--gate", gate, "--require", "nondegenerate"]
    assert main(arguments) == code
    assert f"nondegenerate: {'met' if code == 0 else 'not met'}" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["--markdown", "--latex", "--json", None])
@pytest.mark.parametrize("expert", ["relu", "gelu"])
@pytest.mark.usefixtures("checks_once")
def test_explain(expert, form, capsys):
    options = [form] if form else []
    assert main(["explain", "--expert", expert, "--gate", "sigmoid", *options]) == 0
    out = capsys.readouterr().out
    assert len(out) > 500
    if form is None:
        assert max(len(line) for line in out.splitlines()) <= 80
