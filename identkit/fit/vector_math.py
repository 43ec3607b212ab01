"""exp, erf and their relatives for Numba loops, free of branches so that LLVM vectorises them.

The C library's functions are called one value at a time; erf takes 25 ns there and 3 to 6 ns here.
Absolute errors are a few 1e-16 (``tests/test_kernels.py``), which is what a least-squares cost
can see; NaN in gives NaN out.
"""

from __future__ import annotations

import math
from typing import Any

from numba import njit, types
from numba.extending import intrinsic

from identkit.heads import HEADS

_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
"""ln 2 in two pieces, the first with trailing zero bits: k·_LN2_HIGH is exact."""
_INVERSE_LN2 = 1.4426950408889634
_ROUND = 6755399441055744.0
"""1.5·2^52: adding it rounds to an integer, left in the low bits."""
_C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10, _C11, _C12, _C13 = (
    1 / math.factorial(i) for i in range(2, 14)
)

_ERFC = (
    1.2375126308378275,
    -0.14024059858554525,
    0.0035854154854790257,
    0.08227673848999506,
    -0.10880393014244462,
    0.09230432116428125,
    -0.05869339857664934,
    0.02836227737211114,
    -0.009746579683265262,
    0.0017556261651970652,
    0.000293714378044958,
    -0.00029015535246077655,
    5.164652974177416e-05,
    2.2387565714911816e-05,
    -1.1438048033346894e-05,
    -9.792625707303523e-07,
    1.7419821586224816e-06,
    -5.084465378687302e-08,
    -2.4857126248016745e-07,
    1.879082322370048e-08,
    3.197926671666804e-08,
    -1.9551358868985616e-09,
    -2.623107347133476e-09,
)
"""(1 + 2x)·exp(x²)·erfc(x) in powers of t = (x - 3.75)/(x + 3.75), x ≥ 0: the Chebyshev expansion
of Shepherd and Laframboise (Math. Comp. 36, 1981) to degree 22, truncation error below 1e-16."""


@intrinsic
def _float_from(typing_context: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(types.float64))

    return types.float64(types.int64), generate


@intrinsic
def _bits_from(typing_context: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(types.int64))

    return types.int64(types.float64), generate


_as_float: Any = _float_from  # Numba passes the typing context itself
_as_bits: Any = _bits_from


@njit(inline="always", fastmath={"contract"}, error_model="numpy")
def exp(z):
    """exp(k·ln 2 + r) = 2^k·exp(r), |r| ≤ ln 2 / 2; clamped to |z| ≤ 708, NaN for infinite z."""
    u = min(max(z, -708.0), 708.0)
    t = u * _INVERSE_LN2 + _ROUND
    k = t - _ROUND
    r = (u - k * _LN2_HIGH) - k * _LN2_LOW
    s = r * r
    even = (((((_C12 * s + _C10) * s + _C8) * s + _C6) * s + _C4) * s + _C2) * s
    odd = (((((_C13 * s + _C11) * s + _C9) * s + _C7) * s + _C5) * s + _C3) * s
    p = 1.0 + (r + (even + r * odd))
    # min and max swallow NaN; z - z is 0, or NaN for what is not finite
    return p * _as_float((_as_bits(t) + 1023) << 52) + (z - z)


@njit(inline="always", fastmath={"contract"}, error_model="numpy")
def erf(z):
    x = abs(z)
    t = (x - 3.75) / (x + 3.75)
    # four interleaved Horner chains: one alone would wait for each multiplication
    u = t * t
    v = u * u
    c = _ERFC
    p0 = ((((c[20] * v + c[16]) * v + c[12]) * v + c[8]) * v + c[4]) * v + c[0]
    p1 = ((((c[21] * v + c[17]) * v + c[13]) * v + c[9]) * v + c[5]) * v + c[1]
    p2 = ((((c[22] * v + c[18]) * v + c[14]) * v + c[10]) * v + c[6]) * v + c[2]
    p3 = (((c[19] * v + c[15]) * v + c[11]) * v + c[7]) * v + c[3]
    p = (p0 + t * p1) + u * (p2 + t * p3)
    return math.copysign(1.0 - exp(-x * x) * p / (1.0 + 2.0 * x), z)


@njit(inline="always", fastmath={"contract"}, error_model="numpy")
def logistic(z):
    e = exp(-abs(z))
    return (1.0 if z > 0.0 else e) / (1.0 + e)


@njit(inline="always", fastmath={"contract"}, error_model="numpy")
def tanh(z):
    e = exp(-2.0 * abs(z))
    return math.copysign((1.0 - e) / (1.0 + e), z)


@njit(inline="always", fastmath={"contract"}, error_model="numpy")
def softplus(z):
    """max(z, 0) + log(1 + e) with e = exp(-|z|); log(1 + e) = 2 atanh(e/(2 + e))."""
    e = exp(-abs(z))
    s = e / (2.0 + e)
    w = s * s
    p = 1.0 / 33.0
    for k in range(15, -1, -1):
        p = p * w + 1.0 / (2.0 * k + 1.0)
    return max(z, 0.0) + 2.0 * s * p


@njit(inline="always", error_model="numpy")
def step(z):
    return 1.0 if z > 0.0 else 0.0


@njit(inline="always", error_model="numpy")
def sign(z):
    return (1.0 if z > 0.0 else 0.0) - (1.0 if z < 0.0 else 0.0)


@njit(inline="always", error_model="numpy")
def inverse_root(z):
    return 1.0 / math.sqrt(z) if z > 0.0 else 0.0


@njit(inline="always", error_model="numpy")
def power(z, b):
    return math.pow(z, b)


@njit(inline="always", error_model="numpy")
def log_power(z, b, n):
    if z == 0.0:
        return 0.0
    found = math.pow(z, b)
    for _ in range(n):
        found *= math.log(z)
    return found


FUNCTIONS: dict[str, Any] = {
    **{h.name: globals().get(h.name) or getattr(math, h.name) for h in HEADS},
    "Logistic": logistic, "Softplus": softplus,
    "Step": step, "sign": sign, "Abs": abs, "acos": math.acos, "sqrt": math.sqrt,
    "Root": math.sqrt, "InverseRoot": inverse_root,
    "Power": power, "LogPower": log_power,
}  # fmt: skip
"""The grammar's functions for Numba; those from ``math`` run one value at a time."""
