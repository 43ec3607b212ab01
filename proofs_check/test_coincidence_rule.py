"""The coincidence rule, read literally, depends on the linear coordinates of η.

Statement (theory section 2; our reading of arXiv 2405.13997 and 2505.10860). Let h = φ(ax + b),
φ = tanh. In (a, b) the functions ∂_a h and x ∂_b h are equal: one merge. With a = p + q, b = p − q
the same identity is ∂_p h + ∂_q h = x ∂_p h − x ∂_q h, a relation among four functions of the
condition `strong` of which no two are proportional by a factor free of x. So the rule "merge
proportional functions, then ask for linear independence" accepts h in one system of coordinates and
rejects it in another, although the functions span the same space. identkit therefore applies the
rule in linear coordinates that the expression suggests.

Proved: the identity, for every parameter; that no two of the four are proportional, by exact 2×2
minors at one rational parameter, hence (they are analytic) for almost every parameter; and that
identkit's verdicts, each a proof, agree in the coordinates tried.
"""

from __future__ import annotations

from itertools import combinations

import sympy as sp

from identkit import Expert, check
from identkit.claims.checks import Claim, mutations

COORDINATES = Claim(
    "coincidence-rule-coordinates",
    "the coincidence rule read literally depends on the linear coordinates of η: "
    "tanh((p+q)x + p−q) has a four-term relation where tanh(ax + b) has a merge",
    "identkit (derived here)",
)

x, p, q = sp.symbols("x p q", real=True)
PLAIN = (p, q)
MIXED = (p + q, p - q)


def functions(slope, intercept):
    """∂_p h, ∂_q h, x∂_p h, x∂_q h over their common factor φ'(ax + b) > 0: polynomials."""
    h = sp.tanh(slope * x + intercept)
    gradient = [sp.cancel(sp.diff(h, parameter) / (1 - h**2)) for parameter in (p, q)]
    return (*gradient, *(x * g for g in gradient))


@mutations(
    {
        "with the sign of the last term changed": {"coefficients": (1, 1, -1, -1)},
        "the sum of the first two is 0": {"coefficients": (1, 1, 0, 0)},
        "in (a, b) as well": {"coordinates": PLAIN},
    }
)
def test_the_four_term_identity(coefficients=(1, 1, -1, 1), coordinates=MIXED):
    terms = zip(coefficients, functions(*coordinates), strict=True)
    assert sp.expand(sum(c * f for c, f in terms)) == 0
    return COORDINATES.finding("proved", "the relation, every p, q")


@mutations(
    {
        "in (a, b) no two are proportional either": {"coordinates": PLAIN},
        "not even if 2∂_p h is listed too": {"repeated": (0,)},
    }
)
def test_no_two_of_the_four_are_proportional(coordinates=MIXED, repeated=()):
    """A 2×2 minor in x, at x = 2 and 5, is nonzero at p = 1/2, q = 1/3."""
    at = {p: sp.Rational(1, 2), q: sp.Rational(1, 3)}
    found = functions(*coordinates)
    listed = [f.subs(at) for f in (*found, *(2 * found[i] for i in repeated))]
    for f, g in combinations(listed, 2):
        assert f.subs(x, 2) * g.subs(x, 5) != f.subs(x, 5) * g.subs(x, 2)
    return COORDINATES.finding("proved almost everywhere", "exact minors at one rational p, q")


@mutations(
    {
        "tanh fails in both": {"verdict": "no"},
        "so does a redundant parameter": {"texts": ("tanh(a*x + b)", "tanh((p + q)*x + p + q)")},
        "both are given in suggested coordinates": {"rewritten": (False, False)},
    }
)
def test_identkit_gives_one_verdict_in_both(
    texts=("tanh(a*x + b)", "tanh((p + q)*x + p - q)"), verdict="yes", rewritten=(False, True)
):
    """The same verdict, and only the second expression is taken to other coordinates."""
    for text, changed in zip(texts, rewritten, strict=True):
        (result,) = check(Expert.from_expression(text), "softmax").results
        assert result.verdict == verdict
        assert bool(result.coordinates) == changed
    return COORDINATES.finding("proved", "identkit: yes in both, in coordinates it prints")
