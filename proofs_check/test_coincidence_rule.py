"""The coincidence rule, read literally, depends on the linear coordinates of η.

Statement. Let h = φ(a·x + b) with φ = tanh. In (a, b) the functions ∂_a h and x ∂_b h are equal:
one merge. With a = p + q, b = p - q, the same identity is ∂_p h + ∂_q h = x ∂_p h - x ∂_q h, a
relation among four functions of the condition `strong` of which no two are proportional by a
factor free of x. So the rule "merge proportional functions, then ask for linear independence"
accepts h in one system of coordinates and rejects it in another, although the span of the
functions is the same. identkit therefore applies the rule in linear coordinates that the
expression suggests (``identkit.coordinates``).

Checked: the identity exactly, for every parameter; the six non-proportionalities by exact 2×2
minors at one rational parameter (hence for almost every parameter).
"""

from __future__ import annotations

from itertools import combinations

import sympy as sp

x, p, q = sp.symbols("x p q", real=True)
h = sp.tanh((p + q) * x + p - q)
FUNCTIONS = (sp.diff(h, p), sp.diff(h, q), x * sp.diff(h, p), x * sp.diff(h, q))


def test_the_four_term_identity():
    dp, dq, xdp, xdq = FUNCTIONS
    assert sp.expand(dp + dq - xdp + xdq) == 0


def test_no_two_of_the_four_are_proportional():
    at = {p: sp.Rational(1, 2), q: sp.Rational(1, 3)}
    # φ' is a common factor that never vanishes: what is left are polynomials in x
    common = 1 - h**2
    polynomials = [sp.cancel(f / common).subs(at) for f in FUNCTIONS]
    for f, g in combinations(polynomials, 2):
        minor = f.subs(x, 2) * g.subs(x, 5) - f.subs(x, 5) * g.subs(x, 2)
        assert minor != 0


def test_identkit_gives_one_verdict_in_both():
    from identkit import Expert, check

    for text in ("tanh(a*x + b)", "tanh((p + q)*x + p - q)"):
        (result,) = check(Expert.from_expression(text), "softmax").results
        assert result.verdict == "yes"
