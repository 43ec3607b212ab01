"""identkit explain: the argument from hand-made records, in three layouts."""

from __future__ import annotations

import contextlib
import io
import re
from fractions import Fraction

import pytest

from identkit.certificates.independence import Witness
from identkit.degeneracy.records import (
    CellQuantity,
    Dual,
    Exceptional,
    Family,
    Identified,
    Invisible,
    Kink,
    MomentWitness,
    Premise,
    QuantityKind,
    RateFinding,
    RealisedAtoms,
    Refit,
    SecondOrder,
    Visible,
)
from identkit.experts import Expert, resolve
from identkit.rate import FOURTH, KINK, NONE, PREMISE_FAILS, ROOT
from identkit.report import explain
from identkit.report.argument import explanation
from identkit.report.notation import math_latex
from identkit.report.snippet import snippet
from identkit.report.terminal import plain
from identkit.results import CheckResult, ConditionResult, Options, SetProof

WITNESS = Witness(((Fraction(1), Fraction(2)),), ((Fraction(1),),) * 3, 256, "[0.5 +/- 1e-30]")

DIRECTION = CellQuantity(QuantityKind.DIRECTION, ("a", "b"))


def proof(verdict="yes", kind="ball-determinant"):
    return SetProof(
        title="first derivatives",
        kind=kind,
        verdict=verdict,
        atoms=3,
        kept=(),
        shared=(),
        merged=(),
        dropped=(),
        relations=(),
        witness=WITNESS,
        witnessed=(),
        fixed=None,
        rank=None,
        quantifier="almost-every",
        every_k=True,
        every_k_obstacle=None,
        notes=(),
    )


def result_of(expert, gate, regime, second=None, **more):
    name, level = ("weak", "product") if regime == 2 else ("strong", "expert")
    rate = RateFinding(
        FOURTH, FOURTH, "confirmed", ("no second-order moment of a cell is invisible",)
    )
    own = ConditionResult(
        regime=regime,
        condition=name,
        level=level,
        verdict="yes",
        proofs=(proof(),),
        coordinates=(),
        published=None,
        second_order=second,
        **{"rate": rate, **more},
    )
    return CheckResult("0", expert, gate, Options(), (own,), None, 0.1)


def second_order(gate, regime, verdict, functions, **more):
    blank = {
        "quantifier": "almost-every",
        "reason": "every moment is visible",
        "independent": (),
        "determinant": None,
        "across_atoms": "open",
        "invisible": (),
        "visible": (),
        "kinks": (),
        "dual": None,
        "witness": None,
        "families": (),
        "identifiable": (),
        "notes": (),
    }
    return SecondOrder(
        gate=gate, regime=regime, verdict=verdict, functions=functions, **{**blank, **more}
    )


RIDGE = ("∂h/∂a", "∂h/∂b", "∂²h/∂a²", "∂²h/∂a∂b", "∂²h/∂b²")
ALL = ("h", "x*h", "∂h/∂a", "∂h/∂b", "x**2*h", "x*∂h/∂a", "x*∂h/∂b", *RIDGE[2:])


def smooth():
    expert = resolve("gelu", dim=1)
    second = second_order(
        "sigmoid",
        1,
        "yes",
        ALL,
        independent=ALL[:4],
        determinant=WITNESS,
        across_atoms="independent",
        invisible=(Invisible((("M[β1,b]", "1"), ("m[a]", "-1")), "∂h/∂a = x*∂h/∂b"),),
        visible=tuple(Visible(c, ((c, "1"),), "coordinate") for c in ("β1", "a", "b")),
        dual=Dual(("1", "1/2"), ((("a", "b"), (("1", "0"), ("0", "1/3"))),), "open-set"),
    )
    exceptions = (
        Exceptional(
            "(a', b') = (-a, -b) under equal gates", "h(x; a, b) - h(x; -a, -b) = a*x + b", "r"
        ),
    )
    return result_of(expert, "sigmoid", 1, second, exceptional=exceptions)


def scale():
    family = Family(
        kind="scale",
        parameter="s",
        origin="0",
        curve=(("a", "a*exp(s)"), ("b", "b*exp(s)")),
        velocity=(("a", "a"), ("b", "b")),
        r1="exp(s)",
        r2="0",
        cell=2,
        conditions=("Σ w_i·(exp(s_i)) = w*", "Σ w_i = w*"),
        invariants=(DIRECTION,),
        totals=(),
        eta=("3/2", "-1/4"),
        positions=("1/2", "-1/2"),
        weights=("0.377540668798145435361099434254", "0.622459331201854564638900565746"),
    )
    second = second_order(
        "softmax",
        None,
        "no",
        RIDGE,
        reason="an exact family of mixing measures has the same f",
        invisible=(
            Invisible(
                (("M[a,a]", "a**2"), ("M[a,b]", "a*b"), ("M[b,b]", "b**2/2 + a/3")),
                "a**2*∂²h/∂a² + a*b*∂²h/∂a∂b + (b**2/2 + a/3)*∂²h/∂b² = 0",
            ),
        ),
        visible=(Visible("-Δa*b + Δb*a", (("a", "-b"), ("b", "a")), "kink"),),
        kinks=(Kink("a*x + b", ((("a", "-b"), ("b", "a")),)),),
        families=(family,),
        identifiable=(
            Identified(DIRECTION, KINK, "moving it moves a kink"),
            Identified(
                CellQuantity(
                    QuantityKind.TOTAL, expression="Σ w_i·c_i, where (a, b)_i = c_i·(a, b)*"
                ),
                ROOT,
                "the coefficient of a function of the cell itself",
            ),
        ),
    )
    rate = RateFinding(FOURTH, NONE, "contradicted", ("‖f_G − f_G*‖ ≥ c·t²",))
    return result_of(resolve("relu", dim=1), "softmax", None, second, rate=rate)


def erf():
    realised = RealisedAtoms(
        cell=2,
        eta=("1/2", "1/4"),
        weight="1",
        weights=("0.5", "0.5"),
        deviations=(("0", "1"), ("0", "-1")),
        drift=("0.25", "0.125"),
        weight_shift="0",
        steps=(("0.1", "1.2e-4"), ("0.05", "1.5e-5")),
        order="3.00",
    )
    witness = MomentWitness(
        moments=(("m[a]", "a"), ("m[b]", "b"), ("M[b,b]", "1")),
        equation="2*a*∂h/∂a + 2*b*∂h/∂b = -∂²h/∂b²",
        rank=1,
        quantifier="almost-every",
        at=("1/2", "1/4"),
        realised=realised,
    )
    second = second_order(
        "softmax", None, "no", RIDGE, reason="invisible at second order", witness=witness
    )
    return result_of(Expert.from_expression("erf(a*x+b)"), "softmax", None, second)


def regime_2():
    premise = Premise(
        "fails",
        (
            Refit("null expert", "at a = 0, b = 0 the expert is 0 for every x.", ()),
            Refit("splitting", "2*h(a = a/2, b = b/2) = h for every x and η", ()),
        ),
        "pairs of atoms",
    )
    rate = RateFinding(ROOT, PREMISE_FAILS, "premise-fails", ("t^(3/2): t ~ n^-1/3",))
    return result_of(resolve("relu", dim=1), "sigmoid", 2, None, premise=premise, rate=rate)


CASES = {"smooth": smooth, "scale": scale, "erf": erf, "regime 2": regime_2}


@pytest.fixture(params=CASES)
def result(request):
    return CASES[request.param]()


def test_terminal_fits_80_columns(result):
    text = plain(explain.terminal(result))
    assert max(map(len, text.splitlines())) <= 80
    assert "`" not in text


def test_no_section_is_empty(result):
    for part in explanation(result).parts:
        assert part.sections
        assert all(s.paragraphs for s in part.sections)


def test_latex_is_balanced_ascii(result):
    text = explain.latex(result)
    assert text.isascii()
    assert "U+" not in text
    prose = re.sub(r"(?s)\\begin\{verbatim\}.*?\\end\{verbatim\}", "", text)
    prose = prose.replace(r"\{", "").replace(r"\}", "")
    depth = 0
    for c in prose:
        depth += (c == "{") - (c == "}")
        assert depth >= 0
    assert depth == 0
    assert len(re.findall(r"(?<!\\)\$", prose)) % 2 == 0
    assert prose.count(r"\[") == prose.count(r"\]")
    assert prose.count(r"\left") == prose.count(r"\right")
    opened = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+\*?)\}", text):
        if kind == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert not opened


def test_markdown_is_balanced(result):
    text = explain.markdown(result)
    assert text.count("```") % 2 == 0
    assert text.count("\n$$\n") % 2 == 0
    assert text.startswith("# ")


def test_snippet_evaluates_both_sides():
    code = [
        p.text
        for part in explanation(scale()).parts
        for s in part.sections
        for p in s.paragraphs
        if p.kind == "code"
    ]
    assert len(code) == 1
    assert code[0] in plain(explain.terminal(scale()))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code[0], {})
    match = re.search(r"largest difference: (\S+)", printed.getvalue())
    assert match is not None
    assert float(match[1]) < 1e-12


def test_long_snippet_lines_are_wrapped_and_run():
    terms = " + ".join(f"c{i}*tanh(a{i}*x0 + b{i}*x1)" for i in range(8))
    expert = Expert.from_expression(terms)
    names = expert.parameters
    base = scale().results[0].second_order.families[0]
    curve = tuple((p, f"{p}*exp(s)") for p in names if p.startswith("c"))
    family = Family(**{**vars(base), "curve": curve, "eta": tuple("1/3" for _ in names)})
    check = result_of(expert, "softmax", None)
    code = snippet(check, family)
    assert max(map(len, code.splitlines())) <= 80
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    assert float(printed.getvalue().split()[-1]) < 1e-12


def test_says_what_the_records_say():
    text = " ".join(plain(explain.terminal(scale())).split())
    assert "Nondegenerate: no. An exact family of mixing measures has the same f." in text
    assert "This holds for Lebesgue-almost every choice of the atoms' parameters." in text
    assert "the part on the kink {a*x + b = 0} must vanish separately" in text
    assert "provided at least one true atom is fitted by a single atom" in text
    assert "h(x, η(s)) = exp(s)·h(x, η)" in text
    text = " ".join(plain(explain.terminal(regime_2())).split())
    assert "stops at first order" in text
    assert "not representable with k > k* atoms" in text
    assert "2*h(a = a/2, b = b/2) = h" in text
    assert "Nondegenerate" not in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a*∂h/∂a + b*∂h/∂b = h", r"a\,\partial_{a} h + b\,\partial_{b} h = h"),
        ("M[a,b]", "M_{a, b}"),
        ("x0*∂²h/∂a0²", r"x_{0}\,\partial_{a_{0}}^{2} h"),
        ("a/2*∂h/∂b", r"\frac{a}{2}\,\partial_{b} h"),
        ("Σ w_i = w*", r"\sum_i w_{i} = w^{*}"),
        ("n^-1/4", "n^{-1/4}"),
        ("Δβ1_0", r"\Delta \beta_{1,0}"),
        ("yᵀMy = 0", r"y^{\top} M y = 0"),
        ("s_i''", "s_{i}''"),
    ],
)
def test_formula_in_latex(text, expected):
    assert math_latex(text).replace("  ", " ") == expected
