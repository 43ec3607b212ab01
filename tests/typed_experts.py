"""A hundred experts that a user might type, none with its verdict: tests find that out twice."""

from __future__ import annotations

RIDGES = tuple(
    f"{name}(a*x + b)"
    for name in (
        "exp", "sin", "cos", "tanh", "sinh", "cosh", "atan", "asinh", "erf", "relu", "abs", "gelu",
        "silu", "sigmoid", "softplus", "elu", "softsign",
    )
)  # fmt: skip
SCALED = tuple(
    f"c*{name}(a*x + b)"
    for name in ("exp", "sin", "tanh", "atan", "asinh", "erf", "relu", "gelu", "softplus", "elu")
)
BIASED = tuple(
    f"{inner} + {own}"
    for inner, own in (
        ("gelu(a*x + b)", "c"),
        ("erf(a*x + b)", "c"),
        ("relu(a*x + b)", "c"),
        ("c*tanh(a*x + b)", "e"),
        ("c*sigmoid(a*x + b)", "e"),
        ("c*relu(a*x + b)", "e"),
        ("silu(a*x)", "c"),
        ("a*exp(x)", "c"),
    )
)
NO_INTERCEPT = (
    "tanh(a*x)", "gelu(a*x)", "exp(a*x)", "cos(a*x)", "atan(a*x)", "relu(a*x)", "erf(a*x)",
    "c*sin(a*x)", "c*silu(a*x)", "a*x", "a*x**2",
)  # fmt: skip
PRODUCTS = (
    "c*silu(a*x)*(u*x)", "silu(a*x + b)*(u*x + v)", "silu(a*x)*u*x", "sigmoid(a*x + b)*x",
    "sigmoid(a*x + b)*(u*x + v)", "gelu(a*x)*(b*x + c)", "tanh(a*x)*tanh(b*x)", "a*x*tanh(b*x)",
    "exp(-a**2*x**2)*sin(b*x)", "x*relu(a*x + b)", "relu(a*x + b)*relu(c*x + e)",
)  # fmt: skip
POLYNOMIALS = (
    "a*x + b", "a*x**2 + b*x + c", "a*x**2 + b", "a*x**3 + b*x", "(a*x + b)**2", "(a*x + b)**3",
    "(a*x + b)**5", "(x - a)**2", "b*(x - a)**2", "b*(x - a)**2 + c", "(a*x + b)*(c*x + e)",
    "a*x + a**2", "a**2*x + a", "a*x + b*x**2 + a*b",
)  # fmt: skip
TRIGONOMETRIC = (
    "a*sin(x) + b*cos(x)", "a*sin(x) + b*cos(x) + c", "a*sin(b*x) + c*cos(b*x)",
    "a*sin(x) + b*sin(2*x)", "a*cosh(x) + b*sinh(x)", "a*tanh(x) + b/cosh(x)",
    "sin(x + a) + b*x", "a*cos(x)**2 + b*sin(x)**2",
)  # fmt: skip
RATIONAL = (
    "1/(1 + (a*x + b)**2)", "c/(1 + (a*x + b)**2)", "b/((x - a)**2 + b**2)", "a*x/(1 + x**2) + b",
    "a/(1 + exp(b*x))", "1/(x + a)", "(a*x + b)/(x + c)",
)  # fmt: skip
BUMPS = (
    "exp(-(x - m)**2)", "c*exp(-(x - m)**2)", "exp(-(x - m)**2/s)", "c*exp(-(x - m)**2/s)",
    "exp(-(x - m)**2/s)/sqrt(s)", "exp(a*x**2 + b*x)", "exp(a*x**2 + b*x + c)",
)  # fmt: skip
KINKED = (
    "Max(a*x + b, (a*x + b)/10)", "c*Max(a*x + b, (a*x + b)/10)", "relu(a*x + b) - relu(c*x + e)",
    "c*relu(x - a) + e*relu(a - x)", "c*abs(x - a)", "relu(x - a)", "relu(x - a)**2",
    "abs(a*x + b) + c*x", "Min(Max(a*x + b, -1), 1)", "Max(a*x, b*x)", "Max(a*x + b, c)",
    "relu(a*x + b) + c*tanh(x)", "a*abs(x) + b*x", "softsign(a*x)",
)  # fmt: skip
OTHER = (
    "sqrt(1 + (a*x + b)**2)", "sqrt(1 + a**2 + x**2)", "a*x + b*sqrt(1 + x**2)",
    "log(cosh(a*x + b))",
    "log(cosh(a*x))/a", "log(1 + (a*x + b)**2)", "log((x - m)**2 + s**2)", "exp(a*x)*cos(b*x)",
    "tanh(a*x + b) + tanh(c*x + e)", "erf(a*x + b) + erf(c*x + e)", "a*tanh(x) + b*tanh(2*x)",
    "sin(a*x + b)*exp(c*x)", "atan(x - a)", "erf((x - m)/s)", "a*asinh(x) + b",
)  # fmt: skip
SHARED = (
    "tanh((a + b)*x)", "tanh(a*b*x)", "tanh(a*x + a)", "a*tanh(a*x)", "a*gelu(x + a)",
    "tanh((p + q)*x + p - q)", "exp(a)*x + b", "a**2*tanh(b*x)", "a*x + sin(b)", "a*b*x + b",
    "a/b*tanh(b*x)", "sin(a*x + b)**2 + cos(a*x + b)**2 + c*x",
)  # fmt: skip
WIDE = (
    "a0*x0 + a1*x1 + b", "gelu(a0*x0 + a1*x1 + b)", "relu(a0*x0 + a1*x1 + b)",
    "c*relu(a0*x0 + a1*x1 + b)", "tanh(a0*x0 + a1*x1) + c", "erf(a0*x0 + a1*x1 + b)",
    "atan(a0*x0 + a1*x1 + b)", "asinh(a0*x0 + a1*x1 + b)", "(a0*x0 + a1*x1)**2", "a*x0*x1 + b",
    "silu(a0*x0 + a1*x1)*(u0*x0 + u1*x1)", "a*cos(x0) + b*sin(x0)*cos(x1) + c*sin(x0)*sin(x1)",
    "exp(-(x0 - a)**2 - (x1 - b)**2)", "Max(a*x0, b*x1)", "relu(x0 - a) + c*x1",
    "tanh(a*x0)*tanh(b*x1)", "log((x0 - a)**2 + (x1 - b)**2 + 1)", "a*abs(x0) + b*abs(x1)",
    "exp(a*x0 + b*x1) + c", "sin(a*x0 + b)*x1", "a*x0**2 + 2*b*x0*x1 + c*x1**2",
)  # fmt: skip
WIDEST = (
    "tanh(a0*x0 + a1*x1 + a2*x2 + b)", "a0*x0 + a1*x1 + a2*x2", "a0*x0 + a1*x1 + a2*x2 + b",
    "gelu(a0*x0 + a1*x1 + a2*x2) + b", "relu(a0*x0 + a1*x1 + a2*x2 + b)",
    "asinh(a0*x0 + a1*x1 + a2*x2 + b)",
)  # fmt: skip

ONE_INPUT = (
    *RIDGES, *SCALED, *BIASED, *NO_INTERCEPT, *PRODUCTS, *POLYNOMIALS, *TRIGONOMETRIC, *RATIONAL,
    *BUMPS, *KINKED, *OTHER, *SHARED,
)  # fmt: skip
TYPED = (*((t, 1) for t in ONE_INPUT), *((t, 2) for t in WIDE), *((t, 3) for t in WIDEST))
"""(text, number of inputs)."""
