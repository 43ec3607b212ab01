"""A kink that moves by t changes f by t^{3/2} only: n^{-1/3}, not n^{-1/4}.

Statement (theory section 4; derived here, not published). For every t > 0

    ∫ (ReLU(z + t) + ReLU(z − t) − 2 ReLU(z))² dz = (2/3) t³.

So two atoms of weight w/2 whose kinks stand at ±t around a true one, with matching moments, have
‖f_G − f_G*‖_{L2} of order t^{3/2} where a smooth expert would have t². …
"""

from __future__ import annotations

from fractions import Fraction

import sympy as sp

from identkit.claims.checks import Claim, mutations

HAT = Claim(
    "kink-hat",
    "∫ (ReLU(z+t) + ReLU(z−t) − 2ReLU(z))² dz = (2/3)t³ for every t > 0",
    "identkit, theory section 4 (not published)",
)


@mutations(
    {
        "the constant is 1/3": {"constant": Fraction(1, 3)},
        "the order is t^4, as for a smooth expert": {"power": 4},
    }
)
def test_squared_hat_integrates_to_two_thirds_t_cubed(constant=Fraction(2, 3), power=3):
    """By pieces, for symbolic t: the function is t + z on (−t, 0), t − z on (0, t), 0 elsewhere."""
    t, z = sp.symbols("t z", positive=True)
    relu = lambda u: sp.Max(u, 0)  # noqa: E731
    hat = lambda u: relu(u + t) + relu(u - t) - 2 * relu(u)  # noqa: E731
    assert sp.simplify(hat(z + t)) == 0  # right of t; left of −t every term is 0
    right = hat(z * t / (1 + z))  # every point of (0, t) is tz/(1+z) for some z > 0
    assert sp.simplify(right - (t - z * t / (1 + z))) == 0
    left = hat(-z * t / (1 + z))
    assert sp.simplify(left - (t - z * t / (1 + z))) == 0
    square = 2 * sp.integrate((t - z) ** 2, (z, 0, t))
    assert sp.simplify(square - constant * t**power) == 0
    return HAT.finding("proved", "symbolically, for all t > 0")
