"""The kernel on proofs of one set of functions written by hand, and on the nearest that fail."""

from __future__ import annotations

from dataclasses import replace

import pytest
from by_hand import Asked, independent, merged, numbers, terms, witness

from identkit.certificates.kernel import parts as kernel_parts
from identkit.certificates.kernel.field import Unshown
from identkit.certificates.witness import Witness
from identkit.conditions import BasisFunction
from identkit.errors import CertificateError
from identkit.results import FixedProof, Relation
from identkit.vocabulary import ProofKind, Quantifier, Verdict


def test_independence():
    asked = Asked("tanh(a*x + b)", ["A", "B"])
    honest = independent(asked)
    asked.check(honest)
    asked.check(replace(honest, every_k=False))
    asked.check(replace(honest, quantifier=Quantifier.OPEN_SET))
    asked.refuses(replace(honest, quantifier=Quantifier.EVERY), "holds for every", Unshown)
    asked.refuses(replace(honest, quantifier=None), "quantifier")
    for field, value in (
        ("verdict", Verdict.NO),
        ("rank", 3),
        ("rank", None),
        ("atoms", 3),
        ("title", "another"),
        ("shared", (BasisFunction("h", (), ()),)),
        ("witness", None),
        ("witnessed", honest.kept[:1]),
        ("witnessed", honest.kept[::-1]),
        ("relations", (Relation(terms(A="1"), ""),)),
        ("fixed", FixedProof((terms(A="1"),), 1, None, "", 2)),
        ("kept", honest.kept[:1]),
        ("kept", honest.kept[::-1]),
        ("kept", (*honest.kept, honest.kept[0])),
        ("dropped", honest.kept[:1]),
    ):
        asked.refuses(
            replace(honest, **{field: value}),
            r"^here\.",
            CertificateError,
        )


def test_a_witness_says_what_it_is_about():
    asked = Asked("tanh(a*x + b)/(a*x + 9)", ["A", "B"])
    honest = independent(asked, every_k=False, quantifier=Quantifier.OPEN_SET)
    asked.check(honest)
    entry = honest.witness
    (first, *others) = entry.points
    for change, reason in (
        ({"atoms": entry.atoms[:1]}, "2 lists of 2"),
        ({"atoms": (*entry.atoms, entry.atoms[0])}, "2 lists of 2"),
        ({"atoms": (entry.atoms[0], entry.atoms[1][:1])}, "2 lists of 2"),
        ({"points": tuple(others)}, "4 points of 1"),
        ({"points": ((*first, *first), *others)}, "4 points of 1"),
        ({"precision": 10_000}, "max_precision"),
        ({"atoms": (entry.atoms[0], numbers("5", "1"))}, "singular on the domain"),
        ({"points": (numbers("-13/4"), *others)}, "leave the domain"),
        ({"points": (*others, numbers("13/4"))}, "leave the domain"),
        ({"points": (others[0], *others)}, "determinant|singular"),
        ({"atoms": entry.atoms[:1] * 2}, "determinant|singular"),
        ({"determinant": "[0 +/- 1e9]"}, "no finite ball without 0"),
        ({"determinant": "nan"}, "no finite ball without 0"),
        ({"determinant": "12345"}, "the determinant stored"),
    ):
        changed = replace(honest, witness=replace(entry, **change))
        asked.refuses(changed, reason, CertificateError)
    edge = independent(asked, every_k=False, quantifier=Quantifier.OPEN_SET)
    points = (numbers("-3"), *others[:-1], numbers("3"))
    text = witness(asked.atom, asked.functions, entry.atoms, points).determinant
    asked.check(replace(edge, witness=replace(entry, points=points, determinant=text)))


def test_functions_shared_by_the_atoms_count_once():
    one = BasisFunction("h", (), ())
    asked = Asked("tanh(a*x + b)", ["A", "B"], shared=(one,))
    honest = independent(asked)
    assert (honest.functions, len(honest.witness.points)) == (5, 5)
    asked.check(replace(honest, every_k=False))
    asked = Asked("a*x + b*x**2", ["A", "B"], k=1, shared=(one,), any_number=False)
    asked.check(independent(asked, (("1", "1"),), every_k=False))


def test_one_atom_says_nothing_of_more():
    """x and 1 are independent, and those of two atoms are not."""
    for any_number in (True, False):
        asked = Asked("a*x + b", ["A", "B"], k=1, any_number=any_number)
        honest = independent(asked, (("1", "1"),), every_k=False)
        asked.refuses(replace(honest, every_k=True), "every number of atoms", Unshown)
        if any_number:
            asked.refuses(honest, "no dimension count", Unshown)
        else:
            asked.check(honest)


def test_where_nothing_is_claimed_nothing_is_said():
    asked = Asked("tanh(a*x + b)", ["A", "B"])
    nothing = asked.proof(ProofKind.NONE)
    asked.check(nothing)
    for change in (
        {"kept": asked.functions},
        {"dropped": asked.functions[:1]},
        {"merged": (merged("B", "A", A="1", B="1"),)},
        {"verdict": Verdict.YES},
        {"rank": 4},
        {"atoms": 1},
        {"quantifier": Quantifier.OPEN_SET},
        {"every_k": True},
        {"fixed": FixedProof((terms(A="1"),), 1, None, "", 2)},
        {"relations": (Relation(terms(A="1"), ""),)},
        {"witness": Witness((), (), 64, "1")},
    ):
        asked.refuses(replace(nothing, **change), r"^here\.", CertificateError)


# -- relations

SQUARE = "(a*x + b)**2"


def test_relations():
    """(a·x + b)²: ∂h/∂b = a ∂²h/∂a∂b + b ∂²h/∂b²."""
    asked = Asked(SQUARE, ["A", "B", "aa", "ab", "bb"])
    right = asked.related(terms(B="1", ab="-a", bb="-b"))
    asked.check(right)
    for weaker in (Quantifier.ALMOST_EVERY, Quantifier.OPEN_SET):
        asked.check(replace(right, quantifier=weaker))
    asked.check(asked.related(terms(ab="-a", bb="-b", B="1")))
    # every coefficient vanishes somewhere
    part = asked.related(terms(B="a", ab="-a**2", bb="-a*b"))
    asked.refuses(part, "holds for every", Unshown)
    asked.check(replace(part, quantifier=Quantifier.ALMOST_EVERY))
    # one of them that is a number is enough, whichever
    asked.check(asked.related(terms(ab="-a", B="1", bb="-b")))
    for wrong, reason in (
        (terms(B="1", ab="a", bb="-b"), "not zero"),
        (terms(B="1", ab="-a"), "not zero"),
        (terms(B="1"), "not zero"),
        (terms(B="1", ab="-a", bb="-x"), "free of x"),
        (terms(B="1", ab="-a", bb="-b*Max(a, 0)"), "free of x"),
        (terms(B="0", ab="0", bb="0"), "zero or repeated"),
        (terms(A="0", B="1", ab="-a", bb="-b"), "zero or repeated"),
        ((*terms(B="2"), *terms(B="-1", ab="-a", bb="-b")), "zero or repeated"),
    ):
        asked.refuses(asked.related(wrong), reason)
    asked.refuses(asked.related(), "holds no relation", CertificateError)
    for change, reason in (
        ({"verdict": Verdict.YES}, "verdict"),
        ({"atoms": 1}, "atoms"),
        ({"quantifier": None}, "quantifier"),
        ({"every_k": True}, "every_k"),
        ({"witness": Witness((), (), 64, "1")}, "witness"),
        ({"fixed": FixedProof((terms(A="1"),), 1, None, "", 2)}, "fixed"),
        ({"kept": asked.functions[:4]}, "kept"),
        ({"kept": (*asked.functions, asked.functions[0])}, "kept"),
        ({"kept": asked.functions[::-1]}, "kept"),
    ):
        asked.refuses(replace(right, **change), rf"^here\.{reason}", CertificateError)


def test_every_relation_is_looked_at():
    asked = Asked(SQUARE, ["A", "B", "aa", "ab", "bb"])
    right, wrong = terms(B="1", ab="-a", bb="-b"), terms(A="1", aa="-a", ab="b")
    asked.check(asked.related(right, terms(A="1", aa="-a", ab="-b")))
    for both in ((right, wrong), (wrong, right)):
        asked.refuses(asked.related(*both), "not zero", CertificateError)


def test_one_relation_that_reaches_far_is_enough():
    asked = Asked(SQUARE, ["A", "B", "aa", "ab", "bb"])
    far, near = terms(B="1", ab="-a", bb="-b"), terms(A="a", aa="-a**2", ab="-a*b")
    for both in ((far, near), (near, far)):
        asked.check(asked.related(*both))


def test_a_coefficient_that_is_0_unnoticed_shows_nothing():
    """√(3 + 2√2) − 1 − √2 = 0: the last coefficient has to be nonzero by a ball."""
    hidden = "sqrt(3 + 2*sqrt(2)) - 1 - sqrt(2)"
    asked = Asked(SQUARE, ["A", "B", "aa", "ab", "bb"])
    asked.refuses(asked.related(terms(A=hidden)), "zero")
    asked.refuses(asked.related(terms(B="1", ab="-a", bb="-b", A=hidden)), "not shown nonzero")
    asked.refuses(asked.related(terms(B="1/a", ab="-1", bb="-b/a")), "without a pole", Unshown)


def test_what_the_rule_merges_is_no_failure():
    """exp(a·x + b): ∂h/∂b = ∂²h/∂b² and ∂h/∂a = ∂²h/∂a∂b."""
    asked = Asked("exp(a*x + b)", ["A", "B", "bb"])
    asked.refuses(asked.related(terms(B="1", bb="-1")), "merges or drops", CertificateError)
    # where the rule does not apply it is one
    other = Asked("exp(a*x + b)", ["A", "B", "bb"], coincidence=False)
    other.check(other.related(terms(B="1", bb="-1"), quantifier=Quantifier.OPEN_SET))
    # among first derivatives alone as well
    first = Asked("exp((a + b)*x)", ["A", "B"])
    first.check(first.related(terms(A="1", B="-1")))
    # three functions, two of which are proportional
    three = Asked("exp(a*x + b)", ["A", "B", "ab", "bb"])
    sums = asked.related(terms(A="1", B="1", ab="-1", bb="-1"), kept=three.functions)
    three.refuses(sums, "do not coincide", Unshown)
    # a first derivative that vanishes
    dead = Asked("tanh(a*x)", ["A", "B"])
    dead.check(dead.related(terms(B="1")))
    asked.refuses(asked.related(terms(B="1")), "not zero", CertificateError)


def test_merging_and_dropping_by_right():
    asked = Asked("exp(a*x + b)", ["A", "B", "ab", "bb"])
    merges = (merged("ab", "A", A="1", ab="-1"), merged("bb", "B", B="1", bb="-1"))
    kept = asked.functions[:2]
    entry = asked.witness(["A", "B"], (("1", "1/2"), ("-1/2", "2")), [("-1",), ("-1/3",), ("1/2",),
                                                                    ("1",)])  # fmt: skip
    honest = asked.proof(
        ProofKind.BALL_DETERMINANT, kept=kept, merged=merges, witness=entry, witnessed=kept,
        rank=4, every_k=True,
    )  # fmt: skip
    asked.check(honest)
    for wrong, reason in (
        (merged("bb", "B", B="1", bb="1"), "not zero"),
        (merged("bb", "B", B="1", bb="-a"), "not zero"),
        (merged("bb", "A", A="1", bb="-1"), "not zero"),
        (merged("bb", "ab", ab="1", bb="-1"), "not a proportionality"),
        (merged("bb", "B", A="1", bb="-1"), "not a proportionality"),
        (merged("bb", "B", bb="1", B="-1"), "not a proportionality"),
        (merged("bb", "B", B="1"), "not a proportionality"),
        (merged("bb", "B", A="1", ab="-1", B="1", bb="-1"), "not a proportionality"),
        (merged("ab", "A", A="1", ab="-1"), "not the condition's functions"),
    ):
        asked.refuses(replace(honest, merged=(merges[0], wrong)), reason)
    asked.refuses(replace(honest, merged=merges[:1]), "not the condition's functions")
    plain = Asked("exp(a*x + b)", ["A", "B", "ab", "bb"], coincidence=False)
    plain.refuses(honest, "may not be merged", CertificateError)
    # into what comes first in the order, unless it is a first derivative
    for names, function, into, right in (
        (["bb", "B"], "bb", "B", True),
        (["B", "bb"], "bb", "B", True),
        (["B", "bb"], "B", "bb", False),
        (["b", "bb"], "bb", "b", True),
        (["b", "bb"], "b", "bb", False),
        (["A", "B"], "B", "A", False),
    ):
        text = "exp((a + b)*x)" if "A" in names else "exp(x + b)"
        one = Asked(text, names, k=1)
        gone = (merged(function, into, **{into: "1", function: "-1"}),)
        left = one.named([into])
        entry = one.witness([into], (("1", "1/2"),), [("1",)])
        proof = one.proof(
            ProofKind.BALL_DETERMINANT, kept=left, merged=gone, witness=entry, witnessed=left,
            rank=1,
        )  # fmt: skip
        if right:
            with pytest.raises(Unshown, match="dimension count"):  # the merge itself is accepted
                one.check(proof)
        else:
            one.refuses(proof, "may not be merged", CertificateError)


def test_what_may_be_dropped():
    asked = Asked("tanh(a*x) + b", ["A", "B", "bb"])
    kept, gone = asked.functions[:2], asked.functions[2:]
    entry = asked.witness(["A", "B"], (("1", "1"),), [("1",), ("2",)])
    one = Asked("tanh(a*x) + b", ["A", "B", "bb"], k=1, any_number=False)
    honest = one.proof(
        ProofKind.BALL_DETERMINANT, kept=kept, dropped=gone, witness=entry, witnessed=kept, rank=2
    )
    one.check(honest)
    one.refuses(replace(honest, dropped=()), "not the condition's functions", CertificateError)
    wrong = replace(honest, kept=(kept[0], gone[0]), dropped=kept[1:], witnessed=(kept[0], gone[0]))
    one.refuses(wrong, "may not be dropped", CertificateError)
    plain = Asked("tanh(a*x) + b", ["a", "b", "aa", "bb"], k=1, any_number=False)
    f = plain.functions
    keeps = plain.proof(
        ProofKind.BALL_DETERMINANT, kept=f[:2], dropped=f[2:], witness=entry, witnessed=f[:2],
        rank=2,
    )  # fmt: skip
    plain.refuses(keeps, "not zero", CertificateError)
    dead = Asked("tanh(a*x)", ["a", "b", "bb"], k=1, any_number=False)
    entry = dead.witness(["a"], (("1", "1"),), [("1",)])
    d = dead.functions
    gone = dead.proof(
        ProofKind.BALL_DETERMINANT, kept=d[:1], dropped=d[1:], witness=entry, witnessed=d[:1],
        rank=1,
    )  # fmt: skip
    dead.check(gone)
    dead.refuses(replace(gone, dropped=d[:0:-1]), "in the order", CertificateError)


def test_ranks():
    """tanh((a + b)·x) + c·x: three first derivatives, two of which are one."""
    at, points = [("1", "1/2", "1")], [("1/2",), ("1",)]
    one = Asked("tanh((a + b)*x) + c*x", ["A", "B", "C"], "abc", k=1)
    entry = one.witness(["A", "C"], at, points)
    relation = terms(A="1", B="-1")
    honest = one.related(relation, witness=entry, witnessed=one.named(["A", "C"]), rank=2)
    one.check(honest)
    for change, reason in (
        ({"rank": 3}, "rank"),
        ({"rank": 1}, "rank"),
        ({"witness": None}, "rank"),
        ({"rank": None}, "witness"),
        ({"witnessed": one.named(["A"])}, "too few"),
        ({"witnessed": one.named(["A", "A"])}, "not distinct"),
        ({"witnessed": one.named(["A", "aa"])}, "not distinct"),
        ({"witnessed": one.named(["B", "C"])}, "not independent of each other"),
        ({"witnessed": one.named(["A", "B"])}, "not independent of each other"),
        ({"witness": replace(entry, determinant="7")}, "determinant"),
    ):
        one.refuses(replace(honest, **change), reason, CertificateError)
    twice = one.related(relation, relation, witness=entry, witnessed=one.named(["A", "C"]), rank=2)
    one.refuses(twice, "too few", CertificateError)
    # the last terms are new functions, the others are witnessed
    chain = Asked("tanh((a + b + c)*x)", ["A", "B", "C"], "abc", k=1)
    entry = chain.witness(["A"], at, points[:1])
    options = {"witness": entry, "witnessed": chain.named(["A"]), "rank": 1}
    chain.check(chain.related(terms(A="1", B="-1"), terms(A="1", C="-1"), **options))
    for wrong in (
        (terms(A="1", B="-1"), terms(B="1", C="-1")),
        (terms(A="1", B="-1"), terms(C="1", B="-1")),
        (terms(A="1", B="-1"), terms(C="1", A="-1")),
    ):
        chain.refuses(chain.related(*wrong, **options), "relations", CertificateError)


# -- relations at kinks

SIDES = "a*abs(x + c) + b*(x + c) + e*Max(x + c, 0) + f*Max(x + c, 0) + g*Max(-x - c, 0)"


def test_a_relation_of_functions_that_coincide_on_one_side():
    """|z| + z = 2·max(z, 0); where only one side is met they are one, and merged."""
    relation = terms(a="1", b="1", e="-2")
    for names, reach in (
        (["a", "b", "e"], Quantifier.OPEN_SET),
        (["a", "b", "e", "F"], Quantifier.OPEN_SET),
        (["a", "b", "e", "F", "G"], Quantifier.EVERY),  # a failure on either side all the same
    ):
        asked = Asked(SIDES, names, "abcefg", k=1)
        proof = asked.related(relation, quantifier=reach)
        asked.check(proof)
        if reach == Quantifier.OPEN_SET:
            stronger = replace(proof, quantifier=Quantifier.ALMOST_EVERY)
            asked.refuses(stronger, "holds for almost-every", Unshown)


def test_many_sides_are_not_gone_through(monkeypatch):
    asked = Asked(SIDES, ["a", "b", "e", "F", "G"], "abcefg", k=1)
    proof = asked.related(terms(a="1", b="1", e="-2"))
    monkeypatch.setattr(kernel_parts, "MAX_SUSPECTS", 2)
    asked.check(proof)
    monkeypatch.setattr(kernel_parts, "MAX_SUSPECTS", 1)
    asked.refuses(proof, "holds for every", Unshown)
    # x and x + max(x + c, 0) coincide on one side, and are no suspects on the other
    one = Asked("a*(x + relu(x + c)) + b*x + f*relu(x + c)", ["a", "b", "F"], "abcf", k=1)
    one.check(one.related(terms(a="1", b="-1", F="-1")))


def test_a_relation_on_one_side_of_a_kink_is_none():
    asked = Asked("a*abs(x + c) + b*(x + c)", ["A", "B"], "abc")
    for sign in "1", "-1":
        asked.refuses(asked.related(terms(A="1", B=sign)), "relation|not zero")
    asked = Asked("a*relu(x - 20 + c) + b*x", ["A", "B"], "abc")
    asked.refuses(asked.related(terms(A="1")), "relation is zero", Unshown)


# -- dimension counts


@pytest.mark.parametrize(
    ("text", "names", "combinations", "dimension", "reach"),
    [
        ("a*x + b", ["A", "B"], [terms(A="1"), terms(B="1")], 2, Quantifier.EVERY),
        ("a*x + b", ["A", "B"], [terms(A="1")], 1, Quantifier.EVERY),
        ("a*x + b", ["A", "B"], [terms(A="a")], 1, Quantifier.ALMOST_EVERY),
        ("a*x + b", ["A", "B"], [terms(A="a"), terms(B="1")], 2, Quantifier.ALMOST_EVERY),
        ("sin(a)*x", ["A"], [terms(A="1")], 1, Quantifier.EVERY),
        (
            "a*x + b*x**2 + x**3*c", ["A", "B", "C"],
            [terms(C="1", A="1"), terms(C="1", B="1")], 2, Quantifier.EVERY,
        ),
        (
            "a*x + b*x**2 + x**3*c", ["A", "B", "C"],
            [terms(C="1", A="a"), terms(C="1", B="b")], 3, Quantifier.ALMOST_EVERY,
        ),
        # 2·a·x, which is known to be a polynomial of degree 1 at most
        (SQUARE, ["A", "B", "bb"], [terms(B="1", bb="-b")], 2, Quantifier.EVERY),
        ("a*tanh(x) + exp(x)/(1 + x**2)*b", ["A", "B"], [terms(A="1", B="1")], 1,
         Quantifier.EVERY),
    ],
)  # fmt: skip
def test_dimension_counts(text, names, combinations, dimension, reach):
    asked = Asked(text, names, "abc", k=3)
    atoms = dimension // len(combinations) + 1
    honest = asked.fixed(*combinations, dimension=dimension, atoms=atoms, quantifier=reach)
    asked.check(honest)
    for stronger in Quantifier:
        if stronger not in (reach, Quantifier.OPEN_SET) and reach != Quantifier.EVERY:
            asked.refuses(replace(honest, quantifier=stronger), "holds for", Unshown)
    more = asked.fixed(*combinations, dimension=dimension + 2 * len(combinations), atoms=atoms + 2)
    asked.refuses(more, "not less", Unshown)
    for wrong in ({"dimension": dimension - 1}, {"atoms": atoms - 1}, {"atoms": atoms + 1}):
        given = {"dimension": dimension, "atoms": atoms, **wrong}
        asked.refuses(asked.fixed(*combinations, **given), "fixed|atoms", CertificateError)


@pytest.mark.parametrize(
    ("text", "names", "combinations", "reason"),
    [
        ("a*x + b", ["A", "B"], [], "is missing"),
        ("a*x + b", ["A", "B"], [terms(A="1"), terms(A="1")], "not independent of each other"),
        ("a*x + b", ["A", "B"], [terms(A="1"), terms(A="1", B="1")],
         "not independent of each other"),
        ("a*x + b", ["A", "B"], [terms(A="0")], "zero or repeated"),
        ("a*x + b", ["A", "B"], [terms(A="x")], "free of x"),
        ("a*x + b", ["A", "B"], [terms(ab="1")], "was not kept"),
        ("tanh(a*x) + b", ["A", "B"], [terms(A="1")], "moves"),
        ("log(x**2 + 1 + a**2)", ["A"], [terms(A="1")], "pole that moves"),
        ("relu(x + a)", ["A"], [terms(A="1")], "kink that moves"),
        # proportional functions that were not merged: ∂h/∂a − ∂²h/∂a² = 0 is no failure
        ("exp(a)*x", ["A", "aa"], [terms(A="1", aa="-1")], "do not coincide"),
        ("exp(a)*x + b", ["A", "aa", "B"], [terms(A="1", aa="1")], "do not coincide"),
    ],
)  # fmt: skip
def test_what_is_no_dimension_count(text, names, combinations, reason):
    asked = Asked(text, names)
    proof = asked.fixed(*combinations, dimension=len(combinations), atoms=2)
    asked.refuses(proof, reason)


def test_a_dimension_count_for_more_atoms_than_asked_for():
    for any_number in (True, False):
        asked = Asked("a*x + b*x**2", ["A", "B"], any_number=any_number)
        asked.check(asked.fixed(terms(A="1"), dimension=1, atoms=2))
        three = asked.fixed(terms(A="1", B="1"), dimension=2, atoms=3)
        sums = asked.fixed(terms(A="a", B="b"), dimension=2, atoms=3,
                           quantifier=Quantifier.ALMOST_EVERY)  # fmt: skip
        asked.refuses(three, "dimension|fixed")
        if any_number:
            asked.check(sums)
        else:
            asked.refuses(sums, "more atoms than are asked for", CertificateError)
