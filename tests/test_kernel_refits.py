"""The kernel on refits and exceptional parameters written by hand, and on the nearest others."""

from __future__ import annotations

import pytest
from by_hand import WRONG, atom_of

from identkit.certificates.kernel.refits import check_exceptional, check_refit
from identkit.deadline import Deadline
from identkit.degeneracy.records import Exceptional, Identity, Refit
from identkit.domain import EVERYWHERE
from identkit.errors import CertificateError

SCALED, LINE, WAVE = "a*tanh(b*x)", "a*x + b", "sin(a*x + b)"


def refit(text, kind, *substitution, parameters="ab"):
    pairs = tuple(tuple(s.items()) if isinstance(s, dict) else s for s in substitution)
    atom = atom_of(text, tuple(parameters))
    check_refit(atom, Refit(kind, "", pairs), EVERYWHERE.sides(1), "here", Deadline(60))


RAMP = "Max(a*x + b, 0)"


@pytest.mark.parametrize(
    ("text", "kind", "substitution"),
    [
        (SCALED, "null expert", [{"a": "0"}]),
        (SCALED, "null expert", [{"b": "0"}]),
        ("(a**2 - b)*tanh(x)", "null expert", [{"b": "a**2"}]),
        (RAMP, "dead expert", [{"a": "1", "b": "-20"}]),
        (RAMP, "dead expert", [{"b": "-31/10", "a": "-1"}]),
        ("a*x + b - Max(a*x + b, 0)", "dead expert", [{"a": "1", "b": "20"}]),
        ("Max(a*x + b, 0) + Min(x + 5, 0)*b", "dead expert", [{"a": "1", "b": "-20"}]),
        (SCALED, "splitting", [{"a": "a/2"}, {"a": "a/2"}]),
        (SCALED, "splitting", [{"a": "3*a"}, {"a": "2*a", "b": "-b"}]),
        ("a**2*x", "splitting", [{"a": "3*a/5"}, {"a": "4*a/5"}]),
        ("a**2*x", "splitting", [{"a": "sqrt(a**2/2)"}, {"a": "sqrt(a**2/2)"}]),
    ],
)
def test_refits(text, kind, substitution):
    refit(text, kind, *substitution)


@pytest.mark.parametrize(
    ("text", "kind", "substitution", "reason"),
    [
        (SCALED, "null expert", [{"a": "1"}], "exact"),
        (SCALED, "null expert", [{}], "exact"),
        ("relu(a*x) + b", "null expert", [{"b": "0"}], "exact"),
        (SCALED, "null expert", [], "no kind of refit"),
        (SCALED, "null expert", [{"a": "0"}, {"a": "0"}], "no kind of refit"),
        (RAMP, "dead expert", [{"a": "1", "b": "-20"}, {}], "no kind of refit"),
        (SCALED, "splitting", [{}], "no kind of refit"),
        (SCALED, "splitting", [{"a": "a/2"}, {"a": "a/2"}, {"a": "0"}], "no kind of refit"),
        (SCALED, "another", [], "no kind of refit"),
        (SCALED, "another", [{"a": "0"}], "no kind of refit"),
        (SCALED, "splitting", [{"a": "a/2"}, {"a": "a/3"}], "exact"),
        (SCALED, "splitting", [{}, {}], "exact"),
        (SCALED, "null expert", [{"q": "0"}], "no substitution"),
        (SCALED, "null expert", [{"x": "0"}], "no substitution"),
        ("(a - x)*b", "null expert", [{"a": "x"}], "no substitution"),
        (SCALED, "null expert", [(("a", "1"), ("a", "0"))], "no substitution"),
        (SCALED, "null expert", [(("a", "0"), ("a", "1"))], "no substitution"),
        # (1 + 2·a²) + (−1 − a²) = a²
        ("a**2*x", "splitting", [{"a": "sqrt(1 + 2*a**2)"}, {"a": "sqrt(-1 - a**2)"}], "real"),
        (RAMP, "dead expert", [{"a": "1", "b": "20"}], "exact"),
        (RAMP, "dead expert", [{"a": "1/100", "b": "1/2"}], "exact"),
        (RAMP, "dead expert", [{"a": "1", "b": "-29/10"}], "keep the kinks off"),
        (RAMP, "dead expert", [{"a": "1", "b": "0"}], "keep the kinks off"),
        ("Max(a*x + b, 0)*Max(b, 0)", "dead expert", [{"a": "1", "b": "0"}], "the kinks off"),
        ("Max(a*x + b, 0)*Max(x, 0)", "dead expert", [{"a": "1", "b": "-20"}], "the kinks off"),
        (RAMP, "dead expert", [{"a": "1"}], "beyond its kinks"),
        (SCALED, "dead expert", [{"a": "0", "b": "0"}], "beyond its kinks"),
        (RAMP, "dead expert", [{"a": "a", "b": "-20"}], "not at rational"),
        (RAMP, "dead expert", [{"a": "1", "b": "-20 - a**2"}], "not at rational"),
    ],
)
def test_what_is_no_refit(text, kind, substitution, reason):
    with pytest.raises(WRONG, match=reason):
        refit(text, kind, *substitution)


# -- exceptional parameters -----------------------------------------------------------------------


def exceptional(text, kind, *given, rest="0", slopes=(), parameter="", parameters="ab"):
    pairs = tuple((c, tuple(images.items())) for c, images in given)
    identity = Identity(pairs, tuple(dict(slopes).items()), rest, parameter)
    atom, sides = atom_of(text, tuple(parameters)), EVERYWHERE.sides(1)
    check_exceptional(atom, Exceptional("", "", kind, identity), sides, "here", Deadline(60))


SELF, FLIP = ("1", {}), {"a": "-a", "b": "-b"}
EVEN, SOFT = "cos(a*x) + b", "softplus(a*x + b)"
EDGE = ("1", {"b": "b + s"}), ("-cos(s)", {})


@pytest.mark.parametrize(
    ("text", "kind", "given", "options"),
    [
        (EVEN, "symmetry of one atom", [SELF, ("-1", {"a": "-a"})], {}),
        (SCALED, "symmetry of one atom", [SELF, ("-1", FLIP)], {}),
        ("abs(a*x + b)", "symmetry of one atom", [SELF, ("-1", FLIP)], {}),
        ("tanh(a*x + b)", "reflection", [SELF, ("1", FLIP)], {}),
        (SOFT, "reflection", [SELF, ("-1", FLIP)], {"rest": "-a*x - b"}),
        ("relu(a*x + b)", "reflection", [SELF, ("-1", FLIP)], {"rest": "-a*x - b"}),
        ("tanh(a*x) + b", "reflection", [SELF, ("1", {"a": "-a"})], {"rest": "-2*b"}),
        (WAVE, "orbit", EDGE, {"parameter": "s", "slopes": {"b": "-sin(s)"}}),
        (SCALED, "orbit", [("1", {"a": "a*s"}), ("-s", {})], {"parameter": "s"}),
        ("relu(a*x)", "orbit", [("1", {"a": "a*exp(s)"}), ("-exp(s)", {})], {"parameter": "s"}),
        (LINE, "orbit", [("1", {"b": "b + s"}), ("-1", {})],
         {"parameter": "s", "slopes": {"b": "-s"}}),
    ],
)  # fmt: skip
def test_exceptional_parameters(text, kind, given, options):
    exceptional(text, kind, *given, **options)


KIND = "of another kind"


@pytest.mark.parametrize(
    ("text", "kind", "given", "options", "reason"),
    [
        # identities that do not hold
        (WAVE, "symmetry of one atom", [SELF, ("-1", FLIP)], {}, "identity"),
        ("relu(a*x + b)", "symmetry of one atom", [SELF, ("-1", FLIP)], {}, "identity"),
        (EVEN, "reflection", [SELF, ("1", FLIP)], {}, "identity"),
        (SOFT, "reflection", [SELF, ("-1", FLIP)], {"rest": "a*x + b"}, "identity"),
        (SOFT, "reflection", [SELF, ("-1", FLIP)], {"rest": "-a*x"}, "identity"),
        (WAVE, "orbit", EDGE, {"parameter": "s", "slopes": {"b": "sin(s)"}}, "identity"),
        (WAVE, "orbit", EDGE, {"parameter": "s", "slopes": {"a": "-sin(s)"}}, "identity"),
        (WAVE, "orbit", EDGE, {"parameter": "s"}, "identity"),
        # on one side of a kink alone
        ("Max(a, 0)*x + b", "orbit", [("1", {"a": "a*s**2"}), ("-1", {})], {"parameter": "s"},
         "identity"),
        # true ones that are no reason for dependence, or a reason of another name
        (EVEN, "reflection", [SELF, ("-1", {"a": "-a"})], {}, KIND),
        (EVEN, "orbit", [SELF, ("-1", {"a": "-a"})], {"parameter": "s"}, KIND),
        (EVEN, "orbit", [SELF, ("-1", {"a": "-a"})], {}, KIND),
        (EVEN, "symmetry of one atom", [SELF, ("-1", {"a": "-a"})], {"parameter": "s"}, KIND),
        (EVEN, "symmetry of one atom", [SELF, ("-1", {"a": "-a"})], {"slopes": {"b": "0"}}, KIND),
        (EVEN, "symmetry of one atom", [("1", {"a": "-a"}), ("-1", {})], {}, KIND),
        (EVEN, "symmetry of one atom", [("2", {}), ("-2", {"a": "-a"})], {}, KIND),
        (EVEN, "symmetry of one atom", [SELF, ("-1", {})], {}, KIND),
        (EVEN, "symmetry of one atom", [SELF, ("-1", {"a": "a"})], {}, KIND),
        (EVEN, "symmetry of one atom", [SELF, ("1", {"a": "-a"}), ("-2", {"a": "-a"})], {}, KIND),
        ("0*a", "symmetry of one atom", [SELF], {}, KIND),
        (WAVE, "symmetry of one atom", [SELF, ("-1", {"b": "b + 2*pi"})], {}, KIND),
        (WAVE, "reflection", [SELF, ("1", {"b": "b + pi"})], {}, KIND),
        (EVEN, "another", [SELF, ("-1", {"a": "-a"})], {}, KIND),
        ("tanh(a*x + b)", "symmetry of one atom", [SELF, ("1", FLIP)], {}, KIND),
        ("tanh(a*x + b)", "reflection", [("2", {}), ("2", FLIP)], {}, KIND),
        (SOFT, "symmetry of one atom", [SELF, ("-1", FLIP)], {"rest": "-a*x - b"}, KIND),
        (WAVE, "orbit", [("2", {"b": "b + s"}), ("-2*cos(s)", {})],
         {"parameter": "s", "slopes": {"b": "-2*sin(s)"}}, KIND),
        (LINE, "orbit", [("1", {"b": "b + s"}), ("-1", {})],
         {"parameter": "s", "rest": "-s"}, KIND),
        ("a*tanh(x) + b", "orbit", [("1", {"a": "a*s"}), ("-s", {})],
         {"parameter": "s", "rest": "s*b - b"}, KIND),
        # names
        (SCALED, "orbit", [("1", {"a": "a*b"}), ("-b", {})], {"parameter": "b"}, "of its own"),
        (SCALED, "orbit", [("1", {"a": "a*x"}), ("-x", {})], {"parameter": "x"}, "of its own"),
        (SCALED, "orbit", [("1", {"a": "a"}), ("-1", {})], {"parameter": "1s"}, "of its own"),
        (SCALED, "orbit", [("1", {"a": "a*s"}), ("-s", {})], {"parameter": "t"}, "substitution"),
        (SCALED, "orbit", [("1", {"q": "a*s"}), ("-s", {})], {"parameter": "s"}, "substitution"),
        (LINE, "orbit", [("1", {"b": "b + s"}), ("-1", {})],
         {"parameter": "s", "slopes": {"q": "-s"}}, "no parameter"),
        (LINE, "orbit", [("1", {"b": "b + s"}), ("-1 - s/(a*x + b)", {})], {"parameter": "s"},
         "depends on something else"),
        (LINE, "orbit", [("1", {"b": "b + s"}), ("-1", {})],
         {"parameter": "s", "slopes": {"b": "-s*x/x + 0*x + x - x + x"}}, "something else"),
        (SOFT, "reflection", [SELF, ("-1", FLIP)], {"rest": "-a*x - b + q"}, "something else"),
        # differences whose second derivatives do not vanish, or are not polynomials
        ("softplus(a*x + b) + (a*x + b)**3", "reflection", [SELF, ("-1", FLIP)],
         {"rest": "-a*x - b - 2*(a*x + b)**3"}, "loses no derivative"),
        ("softplus(a*x) + a**3 + c", "reflection", [SELF, ("-1", {"a": "-a"})],
         {"rest": "-a*x - 2*a**3", "parameters": "ca"}, "loses no derivative"),
        ("tanh(a*x)", "reflection", [SELF, ("-1", {"a": "-a"})], {"rest": "-2*tanh(a*x)"},
         "no reflection"),
        ("x*a*Max(b, 0)", "reflection", [SELF, ("-1", {"a": "-a"})], {"rest": "-2*x*a*Max(b, 0)"},
         "no reflection"),
    ],
)  # fmt: skip
def test_what_is_no_exceptional_set(text, kind, given, options, reason):
    with pytest.raises(WRONG, match=reason):
        exceptional(text, kind, *given, **options)


def test_a_reflection_loses_one_derivative_at_least():
    """a³·b: ∂²/∂a² and ∂²/∂a∂b do not vanish, ∂²/∂b² does."""
    given = SELF, ("1", FLIP)
    exceptional("tanh(a*x + b) + a**3*b", "reflection", *given, rest="-2*a**3*b")
    with pytest.raises(CertificateError, match="loses no derivative"):
        exceptional("tanh(a*x + b) + a**3*b**3", "reflection", *given, rest="-2*a**3*b**3")
