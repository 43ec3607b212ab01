"""The kernel on second-order evidence written by hand, and on the nearest that shows nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from by_hand import WRONG, atom_of, witness

from identkit.certificates.kernel.field import Unshown
from identkit.certificates.kernel.second_order import Analysis
from identkit.certificates.statement import open_question
from identkit.deadline import Deadline
from identkit.degeneracy.records import Family, Invisible, MomentWitness, Visible
from identkit.errors import CertificateError
from identkit.expression import parse
from identkit.gates import GATES, Expansion, softmax
from identkit.results import Options
from identkit.vocabulary import Across, FamilyKind, Quantifier, Verdict


def analysis(text, parameters=("a", "b"), gates=False, across="gates"):
    expansion = Expansion(softmax.RULE, 2, gates, across)
    atom = atom_of(text, parameters)
    return Analysis(atom, expansion, Options(atoms=2), "here", Deadline(60))


def found(verdict, quantifier, **evidence):
    return replace(
        open_question(GATES["softmax"], None), verdict=verdict, quantifier=quantifier, **evidence
    )


def by_moments(moments, at=("1", "1"), quantifier=Quantifier.ALMOST_EVERY, invisible=()):
    return found(
        Verdict.NO,
        quantifier,
        witness=MomentWitness(tuple(moments.items()), "", 0, None, at, None),
        invisible=tuple(Invisible(tuple(m.items()), "") for m in invisible),
    )


LINE, PARABOLA = "a*x + b", "a*x + b + c*x**2"


def rank_two(last):
    """With the first two coordinates free, the third is bound to their sum if last = 2."""
    return {
        **{"M[a,a]": "1", "M[b,b]": "1", "M[c,c]": last},
        **{"M[a,c]": "1", "M[b,c]": "1"},
    }


@pytest.mark.parametrize(
    ("text", "moments"),
    [
        (LINE, {"M[a,a]": "1"}),
        (LINE, {"M[b,b]": "2"}),  # the first coordinate is not chosen
        (LINE, {"M[a,a]": "1", "M[a,b]": "2", "M[b,b]": "4"}),
        (LINE, {"M[a,a]": "2", "M[a,b]": "1", "M[b,b]": "1"}),
        (LINE, {"M[a,a]": "1", "M[a,b]": "a", "M[b,b]": "a**2"}),
        (PARABOLA, rank_two("2")),
        (PARABOLA, rank_two("3")),
        # (a·x + b)²: rescaled weights and parameters
        (
            "(a*x + b)**2",
            {
                **{"m[a]": "-a/2", "m[b]": "-b/2"},
                **{"M[a,a]": "a**2", "M[a,b]": "a*b", "M[b,b]": "b**2"},
            },
        ),
    ],
)
def test_invisible_moments_that_are_positive_semidefinite(text, moments):
    names = ("a", "b", "c") if text == PARABOLA else ("a", "b")
    analysis(text, names).check(by_moments(moments, ("1",) * len(names)))


@pytest.mark.parametrize(
    ("text", "moments"),
    [
        (LINE, {"M[a,a]": "-1"}),
        (LINE, {"M[a,b]": "1"}),
        (LINE, {"M[a,a]": "1", "M[b,b]": "-1"}),
        (LINE, {"M[a,a]": "1", "M[a,b]": "2", "M[b,b]": "3"}),
        (LINE, {"M[a,a]": "1", "M[a,b]": "1"}),
        (LINE, {"M[a,b]": "1", "M[b,b]": "1"}),
        (LINE, {"M[a,a]": "1", "M[a,b]": "a", "M[b,b]": "a"}),  # semidefinite at a = 1 alone
        (PARABOLA, rank_two("1")),
        (PARABOLA, {**rank_two("2"), "M[b,c]": "2"}),
        (LINE, {"m[a]": "1", "M[a,a]": "1"}),  # not invisible
        ("(a*x + b)**2", {"M[a,a]": "1"}),
        (
            "(a*x + b)**2",
            {
                **{"m[a]": "a/2", "m[b]": "-b/2"},
                **{"M[a,a]": "a**2", "M[a,b]": "a*b", "M[b,b]": "b**2"},
            },
        ),
        ("(a*x + b)**2", {"m[a]": "-a/2", "m[b]": "-b/2", "M[a,a]": "a**2", "M[b,b]": "b**2"}),
        ("a*sin(x) + b*cos(x) + a*b", {"M[a,b]": "1"}),
        ("abs(x + a) + b", {"M[b,b]": "1"}),  # a kink can show moments
    ],
)
def test_moments_that_show_nothing(text, moments):
    names = ("a", "b", "c") if text == PARABOLA else ("a", "b")
    with pytest.raises(WRONG):
        analysis(text, names).check(by_moments(moments, ("1",) * len(names)))


@pytest.mark.parametrize(
    ("head", "reach"),
    [
        ("2", Quantifier.ALMOST_EVERY),
        ("a**2", Quantifier.ALMOST_EVERY),
        ("2*b**4*a**2", Quantifier.ALMOST_EVERY),
        ("1/a**2", Quantifier.ALMOST_EVERY),
        ("a", Quantifier.OPEN_SET),
        ("a**3", Quantifier.OPEN_SET),
        ("1/a", Quantifier.OPEN_SET),
        ("a**2*b", Quantifier.OPEN_SET),
        ("1 - a**2/2", Quantifier.OPEN_SET),
    ],
)
def test_where_second_moments_are_positive(head, reach):
    """Shown at one θ: for almost every other only if they are constants or a square."""
    for asked in Quantifier:
        evidence = by_moments({"M[a,a]": head}, quantifier=asked)
        if asked == reach or asked == Quantifier.OPEN_SET:
            analysis(LINE).check(evidence)
        else:
            with pytest.raises(Unshown, match="holds for"):
                analysis(LINE).check(evidence)


def test_several_second_moments_have_to_be_constant():
    moments = {"M[a,a]": "a**2", "M[b,b]": "1"}
    analysis(LINE).check(by_moments(moments, quantifier=Quantifier.OPEN_SET))
    with pytest.raises(Unshown, match="holds for"):
        analysis(LINE).check(by_moments(moments))


def test_second_moments_are_looked_at_where_the_witness_says():
    moments = {"M[a,a]": "a", "M[b,b]": "b"}
    for at in (("1", "1"), ("1/3", "5")):
        analysis(LINE).check(by_moments(moments, at, Quantifier.OPEN_SET))
    with pytest.raises(CertificateError, match="no positive second moment"):
        analysis(LINE).check(by_moments(moments, ("-1", "-1"), Quantifier.OPEN_SET))
    for at in (("1", "-1"), ("-1", "1")):
        with pytest.raises(Unshown, match="semidefinite"):
            analysis(LINE).check(by_moments(moments, at, Quantifier.OPEN_SET))
    for at in ((), ("1",), ("1", "1", "1")):
        with pytest.raises(CertificateError, match="a value for each parameter"):
            analysis(LINE).check(by_moments(moments, at, Quantifier.OPEN_SET))


def test_a_relation_among_first_moments_needs_no_witness():
    """h = (a + b)·x: m[a] = −m[b]; with second moments beside it, and none that shows it."""
    known = {"m[a]": "1", "m[b]": "-1"}
    text = "tanh((a + b)*x)"

    def without(*invisible):
        vectors = tuple(Invisible(tuple(m.items()), "") for m in invisible)
        return found(Verdict.NO, Quantifier.ALMOST_EVERY, invisible=vectors)

    analysis(text).check(without(known))
    curved = {"M[a,a]": "1", "M[b,b]": "-1"}
    analysis(text).check(without({**known, **curved}, curved))
    analysis(text).check(without({**known, "M[a,a]": "b", "M[b,b]": "-b"}, curved))
    for few in ((), (curved,), ({**known, **curved},)):
        with pytest.raises(CertificateError, match="witness: is missing"):
            analysis(text).check(without(*few))
    for wrong in ({"m[a]": "1", "m[b]": "1"}, {"m[a]": "1"}):
        with pytest.raises(WRONG):
            analysis(text).check(without(wrong))


def test_the_weight_is_no_relation_among_parameters():
    """h = 1: under a gate that counts m0 alone is not invisible; with h = 0 it is, and harmless."""
    vectors = (Invisible((("m0", "1"),), ""),)
    evidence = found(Verdict.NO, Quantifier.ALMOST_EVERY, invisible=vectors)
    with pytest.raises(CertificateError, match="witness: is missing"):
        analysis("0*a", gates=True).check(evidence)
    with pytest.raises(WRONG):
        analysis("1 + 0*a", gates=True).check(evidence)


def test_second_moments_are_twice_the_coefficient_of_their_function():
    """exp(a·x + b): ∂h/∂b = ∂²h/∂b², and the expansion holds half of M[b,b]."""
    analysis("exp(a*x + b)").check(by_moments({"m[b]": "-1/2", "M[b,b]": "1"}))
    with pytest.raises(WRONG):
        analysis("exp(a*x + b)").check(by_moments({"m[b]": "-1", "M[b,b]": "1"}))


# -- families


def family(kind, curve, r1="1", r2="0", velocity=(), parameter="s"):
    pairs = (tuple(curve.items()), tuple(dict(velocity).items()))
    return Family(FamilyKind(kind), parameter, "0", *pairs, r1, r2, 0, (), (), (), (), (), ())


def by_family(*given):
    return found(Verdict.NO, Quantifier.ALMOST_EVERY, families=tuple(given))


SCALED, SUM, WAVE, FREE = "a*tanh(b*x)", "tanh((a + b)*x)", "sin(a*x + b)", "tanh(a*x)"


@pytest.mark.parametrize("gates", [True, False])
@pytest.mark.parametrize(
    ("text", "given"),
    [
        (SCALED, family("scale", {"a": "a*exp(s)"}, "exp(s)")),
        (SCALED, family("scale", {"a": "a + s*a"}, "1 + s", parameter="s")),
        (SCALED, family("scale", {"a": "a*exp(t)", "b": "b"}, "exp(t)", parameter="t")),
        (SUM, family("redundant", {"a": "a + s", "b": "b - s"})),
        (FREE, family("redundant", {"b": "b + s**2"})),
        (LINE, family("split", {"b": "b + s"}, "1", "s", {"b": "1"})),
        (LINE, family("split", {"a": "a + a*s"}, "1", "s", {"a": "a"})),
        ("relu(a*x)", family("scale", {"a": "a*exp(s)"}, "exp(s)")),
    ],
)
def test_families(text, given, gates):
    analysis(text, gates=gates).check(by_family(given))


def test_where_the_sum_of_the_weights_is_pinned_fewer_families_count():
    """sin(a·x + b + s) = cos(s) h + sin(s) ∂h/∂b, and a factor that only grows."""
    phase = family("phase", {"b": "b + s"}, "cos(s)", "sin(s)", {"b": "1"})
    analysis(WAVE, gates=True).check(by_family(phase))
    with pytest.raises(CertificateError, match="changes the total weight"):
        analysis(WAVE).check(by_family(phase))
    growing = family("scale", {"a": "a*(1 + s**2)"}, "1 + s**2")
    analysis(SCALED, gates=True).check(by_family(growing))
    with pytest.raises(Unshown, match="weights exist"):
        analysis(SCALED).check(by_family(growing))


@pytest.mark.parametrize("gates", [True, False])
@pytest.mark.parametrize(
    ("text", "given", "reason"),
    [
        (SCALED, family("scale", {"a": "a*exp(s)"}, "1 + s"), "identity"),
        (SCALED, family("scale", {"b": "b*exp(s)"}, "exp(s)"), "identity"),
        (SCALED, family("scale", {"a": "2*a*exp(s)"}, "2*exp(s)"), "begins at the truth"),
        (SUM, family("redundant", {"a": "a + s + 1", "b": "b - s - 1"}), "begins at the truth"),
        (SUM, family("redundant", {"a": "a + s", "b": "b + s"}), "identity"),
        ("0*a", family("scale", {"a": "a + s"}, "2"), "begins at the truth"),
        (FREE, family("split", {"b": "b + s"}, "1", "1 + s", {"b": "1"}), "begins at the truth"),
        (FREE, family("redundant", {"a": "a", "b": "b"}), "a curve moves"),
        (FREE, family("redundant", {}), "a curve moves"),
        (FREE, family("split", {"b": "b"}, "1", "s", {"b": "1"}), "a curve moves"),
        (LINE, family("split", {"b": "b + s**2"}, "1", "s**2", {"b": "1"}), "weights exist"),
        (LINE, family("split", {"b": "b + s"}, "1", "s", {"b": "2"}), "identity"),
        (LINE, family("split", {"b": "b + s"}, "1", "s", {"a": "1"}), "identity"),
        (LINE, family("split", {"b": "b + s"}, "1", "s"), "identity"),
        # on one side of the kink alone
        ("relu(a)*x + b", family("redundant", {"a": "a + s"}), "identity"),
        ("relu(-a)*x + b", family("redundant", {"a": "a + s"}), "identity"),
        (LINE, family("split", {"b": "b + abs(s)"}, "1", "abs(s)", {"b": "1"}), "kinks of its own"),
        (SCALED, family("redundant", {"a": "a*exp(s)"}, "exp(s)"), "of another kind"),
        (SCALED, family("split", {"a": "a*exp(s)"}, "exp(s)"), "of another kind"),
        (SUM, family("scale", {"a": "a + s", "b": "b - s"}), "of another kind"),
        (LINE, family("phase", {"b": "b + s"}, "1", "s", {"b": "1"}), "of another kind"),
        *(
            (SUM, family("redundant", {"a": f"a + {p}", "b": f"b - {p}"}, parameter=p), reason)
            for p, reason in [("a", "parameter of its own"), ("x", "parameter of its own")]
        ),
        (SUM, family("redundant", {"a": "a", "b": "b"}, parameter=""), "parameter of its own"),
        (SUM, family("redundant", {"a": "a", "b": "b"}, parameter="1s"), "parameter of its own"),
        (FREE, family("redundant", {"b": "b + s", "q": "s"}), "moves what is no parameter"),
        (FREE, family("redundant", {"x": "x + s"}), "free of x"),
        (FREE, family("redundant", {"b": "b + s"}, velocity={"q": "1"}), "no parameter"),
        (LINE, family("split", {"b": "b + s"}, "1", "s", {"b": "1 + s"}), "free of x"),
        (FREE, family("flow", {}, "", "", {"b": "1"}, ""), "a flow"),
    ],
)
def test_what_is_no_family(text, given, reason, gates):
    with pytest.raises(WRONG, match=reason):
        analysis(text, gates=gates).check(by_family(given))


def test_every_family_is_looked_at():
    right = family("scale", {"a": "a*exp(s)"}, "exp(s)")
    wrong = family("scale", {"b": "b*exp(s)"}, "exp(s)")
    for given in ((right, wrong), (wrong, right)):
        with pytest.raises(Unshown, match="identity"):
            analysis(SCALED).check(by_family(*given))
    flow = {"kind": "flow", "curve": {}, "r1": "", "r2": "", "parameter": ""}
    for more in ({"parameter": "s"}, {"curve": {"a": "a"}}, {"r1": "1"}, {"r2": "0"}):
        with pytest.raises(CertificateError, match=r"families\[1\]: has no curve"):
            analysis(SCALED).check(by_family(right, family(**{**flow, **more})))


# -- no invisible moments

PAIR = "exp((a + b)*x) + exp((a - b)*x)"
"""∂²h/∂a² = ∂²h/∂b² is all there is: M[a,a] + M[b,b] = 0 of what is invisible, hence M = 0."""
TRADE = {"M[a,a]": "1", "M[b,b]": "-1"}
POINTS = (["-1"], ["-1/2"], ["1/3"], ["1"])


def by_visible(one, directions, invisible=(TRADE,), aside=("M[b,b]",), **more):
    functions = [m.function for m in one.space.moments if m.name not in aside]
    entry = witness(one.atom, functions, [("1", "1/2")], POINTS[: len(functions)])
    evidence = {
        "quantifier": Quantifier.ALMOST_EVERY,
        "invisible": tuple(Invisible(tuple(v.items()), "") for v in invisible),
        "visible": tuple(Visible("", tuple(y.items()), "") for y in directions),
        "independent": tuple(f.label for f in functions),
        "determinant": entry,
    }
    return found(Verdict.YES, **{**evidence, **more})


@pytest.mark.parametrize("y", [{"a": "1", "b": "1"}, {"a": "a", "b": "-a"}])
@pytest.mark.parametrize("aside", ["M[a,a]", "M[b,b]"])
def test_all_moments_are_visible(y, aside):
    one = analysis(PAIR)
    one.check(by_visible(one, [y], aside=(aside,)))


@pytest.mark.parametrize(
    ("directions", "options", "reason"),
    [
        ([], {}, "no moments are left"),
        ([{"a": "1"}], {}, "direction 1 is visible"),
        ([{"b": "1"}], {}, "direction 1 is visible"),
        ([{"a": "1", "b": "2"}], {}, "direction 1 is visible"),
        ([{"a": "1", "b": "1"}, {"a": "1", "q": "1"}], {}, "no direction"),
        ([{"a": "1", "b": "1"}], {"determinant": None}, "determinant: is missing"),
        ([{"a": "1", "b": "1"}], {"aside": ("M[a,b]",)}, "null vectors are independent"),
        ([{"a": "1", "b": "1"}], {"aside": ("M[a,b]", "M[b,b]")}, "not the functions left"),
        ([], {"invisible": ()}, "not the functions left"),
        (
            [{"a": "1", "b": "1"}],
            {"invisible": (TRADE, TRADE), "aside": ("M[a,b]", "M[b,b]")},
            "null vectors are independent",
        ),
        ([{"a": "1", "b": "1"}], {"invisible": ({"M[a,a]": "1", "M[b,b]": "1"},)}, "not zero"),
        ([{"a": "1", "b": "1"}], {"invisible": ({"M[a,a]": "1", "n": "1"},)}, "other moments"),
        ([{"a": "1", "b": "1"}], {"invisible": ({**TRADE, "m[a]": "relu(a)"},)}, "zero|kink"),
        ([{"a": "1", "b": "1"}], {"invisible": ({**TRADE, "m[a]": "x"},)}, "free of x"),
        ([{"a": "1", "b": "1"}], {"quantifier": Quantifier.EVERY}, "holds for every"),
        ([{"a": "1", "b": "1"}], {"quantifier": None}, "quantifier: is missing"),
        ([{"a": "1", "b": "1"}], {"independent": ("∂h/∂a",)}, "not the functions left"),
    ],
)
def test_moments_that_may_be_invisible(directions, options, reason):
    one = analysis(PAIR)
    with pytest.raises(WRONG, match=reason):
        one.check(by_visible(one, directions, **options))


def test_a_determinant_that_is_not_this_one_leaves_moments_open():
    one = analysis(PAIR)
    honest = by_visible(one, [{"a": "1", "b": "1"}])
    entry = honest.determinant
    for changed in (
        replace(entry, determinant="1"),
        replace(entry, points=(entry.points[1], *entry.points[1:])),
        replace(entry, atoms=entry.atoms * 2),
    ):
        with pytest.raises(CertificateError, match="determinant"):
            one.check(replace(honest, determinant=changed))


def test_fields_that_the_verdict_does_not_rest_on_are_empty():
    one = analysis(PAIR)
    yes = by_visible(one, [{"a": "1", "b": "1"}])
    scale = family("scale", {"a": "a*exp(s)"}, "exp(s)")
    moments = by_moments({"M[a,a]": "1"})
    two, three = analysis(SCALED), analysis(LINE)
    one.check(yes)
    two.check(by_family(scale))
    three.check(moments)
    three.check(found(Verdict.UNDECIDED, None))
    fields = ("quantifier", "families", "invisible", "witness", "visible", "independent")
    full = replace(yes, families=(scale,), witness=moments.witness)
    read = {
        Verdict.YES: {"quantifier", "invisible", "visible", "independent", "determinant"},
        Verdict.NO: {"quantifier", "families"},
        Verdict.UNDECIDED: set(),
    }
    for who, evidence in ((one, yes), (two, by_family(scale)), (one, found("undecided", None))):
        evidence = replace(evidence, verdict=Verdict(evidence.verdict))
        for field in (*fields, "determinant"):
            if field not in read[evidence.verdict]:
                more = replace(evidence, **{field: getattr(full, field)})
                with pytest.raises(CertificateError, match=f"has no place beside {more.verdict}"):
                    who.check(more)
    for field in ("visible", "independent", "determinant"):
        more = replace(moments, **{field: getattr(full, field)})
        with pytest.raises(CertificateError, match="has no place beside no"):
            three.check(more)
    for who, evidence in ((two, by_family(scale)), (three, moments)):
        with pytest.raises(CertificateError, match="across_atoms: has no place"):
            who.check(replace(evidence, across_atoms=Across.INDEPENDENT))
    with pytest.raises(CertificateError, match="across_atoms: has no place"):
        one.check(replace(found(Verdict.UNDECIDED, None), across_atoms=Across.INDEPENDENT))


@pytest.mark.parametrize(
    ("text", "across", "shown"),
    [
        ("tanh(a*x)", "moments", True), ("tanh(a*x)", "values", True),
        ("tanh(a*x)", "gates", True), ("exp(a*x)", "moments", True),
        ("exp(a*x)", "values", False),  # x·h = ∂h/∂a
        ("exp(a*x)", "gates", True), ("a*x + a**2", "moments", False),  # in the span of 1 and x
        ("a*x + a**2", "gates", True),
    ],
)  # fmt: skip
def test_cells_that_are_told_apart(text, across, shown):
    one = analysis(text, ("a",), across=across)
    functions = one.functions
    entry = witness(one.atom, functions, [("1",)], POINTS[: len(functions)])
    evidence = found(
        Verdict.YES,
        Quantifier.OPEN_SET,
        independent=tuple(f.label for f in functions),
        determinant=entry,
    )
    one.check(evidence)
    claimed = replace(evidence, across_atoms=Across.INDEPENDENT)
    if shown:
        one.check(claimed)
    else:
        with pytest.raises(Unshown, match="across atoms"):
            one.check(claimed)


def test_restriction_to_what_functionals_do_not_see():
    one = analysis(PARABOLA, ("a", "b", "c"))
    field, index = one.field, one.space.index
    a = field.convert(parse("a"))

    def vector(**entries):
        return {index(*name): field.constant(n) for name, n in entries.items()}

    def written(vectors):
        return [{i: str(c.num) for i, c in v.items()} for v in vectors]

    def pair(u, v):
        return {index(u, v): field.one}

    first, second, third = vector(aa=1, bb=2), vector(aa=2, cc=3), vector(bb=5)
    assert one._restrict([first, third], [pair("c", "c")]) == [first, third]
    (left,) = one._restrict([first, second], [pair("a", "a")])
    value = {k: one._value(pair(k, k), left) for k in "abc"}
    assert value["a"].is_zero
    assert ((value["b"] * field.constant(3)) + value["c"] * field.constant(4)).is_zero
    assert not value["b"].is_zero
    assert one._restrict([first, third], [pair("a", "a"), pair("b", "b")]) == []
    left = one._restrict([first, second, third], [pair("b", "b")])
    assert len(left) == 2
    assert all(one._value(pair("b", "b"), v).is_zero for v in left)
    assert all(not c.is_zero for v in left for c in v.values())
    # both ways of writing one functional, and a factor that may not vanish
    seen = {index("a", "a"): a, index("b", "b"): field.one}
    (left,) = one._restrict([first, third], [seen])
    assert one._value(seen, left).is_zero
    assert written([first]) == [{index("a", "a"): "1", index("b", "b"): "2"}]  # as it was
    assert one._shows({"a": a, "b": field.one}, [vector(cc=1, ac=5)])
    for hidden in (vector(aa=1), vector(ab=1), vector(bb=1)):
        assert not one._shows({"a": a, "b": field.one}, [vector(cc=1), hidden])
    trade = {index("a", "b"): field.one, index("b", "b"): a * field.constant(-2)}
    assert one._shows({"a": a, "b": field.one}, [trade])
