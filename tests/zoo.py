"""Known answers in one place (theory section 4); tests take products over them."""

from __future__ import annotations

from dataclasses import dataclass

from identkit import Expert
from identkit.experts import builtin


@dataclass(frozen=True)
class Known:
    """An expert and the verdicts that theory section 4 and issue 2 state for d = 1 and 2."""

    name: str
    shape: str | None
    strong_expert: str
    strong_product: str
    weak: str

    def expert(self, dim: int) -> Expert:
        return builtin(self.name, self.shape, dim)

    def __str__(self) -> str:
        return f"{self.name}-{self.shape}"


SMOOTH_RIDGE = ("gelu", "silu", "sigmoid", "tanh", "softplus")
KNOWN = (
    *(Known(name, "ridge", "yes", "yes", "yes") for name in SMOOTH_RIDGE),
    Known("gelu", "nobias", "yes", "yes", "yes"),
    Known("relu", "ridge", "yes", "no", "yes"),
    Known("gelu", "ffn", "yes", "yes", "yes"),
    Known("relu", "ffn", "no", "no", "no"),
    Known("sin", "ridge", "yes", "yes", "yes"),
    Known("exp", "ridge", "yes", "no", "yes"),
    Known("linear", None, "no", "no", "yes"),
    Known("poly2", None, "no", "no", "yes"),
    Known("poly3", None, "no", "no", "yes"),
    Known("input-free", None, "no", "no", "yes"),
)

# expression, strong (expert), strong (product), weak; reasons worked out by hand
UNLISTED = (
    ("erf(a*x + b)", "no", "no", "yes"),  # heat equation: ∂²h/∂b² = -2(a∂_a + b∂_b)h
    ("tanh((a + b)*x)", "no", "no", "no"),  # redundant pair: ∂_a = ∂_b
    ("a*b*tanh(c*x)", "no", "no", "no"),  # only the product a·b matters: a∂_a = b∂_b
    ("tanh(a**2*x + b)", "yes", "yes", "yes"),  # a smooth change of parameter, generic a ≠ 0
    ("c*atan(a*x + b)", "no", "no", "yes"),  # φ'' is rational: (1+z²)φ'' + 2zφ' = 0
    ("1/(1 + (a*x + b)**2)", "yes", "no", "yes"),  # (1+z²)φ' + 2zφ = 0 involves h
    ("exp(-(a*x + b)**2)", "no", "no", "yes"),  # φ' = -2zφ
    ("c*sin(a*x)", "yes", "yes", "yes"),  # ∂²_a = -x²h merges with x²h
    ("relu(a*x + b) + relu(-a*x - b)", "yes", "no", "yes"),  # |z| is homogeneous
    ("relu(a*x + b)**2", "no", "no", "yes"),  # homogeneous of degree 2: φ' is too
    ("tanh(a*x + b) + tanh(c*x + e)", "yes", "yes", "yes"),
    ("gelu(a*x + b) - gelu(-a*x - b)", "no", "no", "yes"),  # GELU(z) - GELU(-z) = z: linear
    ("softplus(a*x + b) - softplus(-a*x - b)", "no", "no", "yes"),  # the same for softplus
    ("sigmoid(a*x + b) + sigmoid(-a*x - b) + c*x", "no", "no", "no"),  # constant in a, b
    ("cosh(a*x)**2 - sinh(a*x)**2 + b*x", "no", "no", "no"),  # constant in a
    ("a*x + tanh(b*x)", "no", "no", "yes"),  # ∂_a = x for every atom
    ("sin(x + b)", "no", "no", "yes"),  # lives in span{sin x, cos x}
    ("exp(x + b)", "no", "no", "yes"),  # lives in span{exp x}
    ("a*sin(x) + b*cos(x)", "no", "no", "yes"),
    ("relu(a*x)", "no", "no", "yes"),  # the kink stays at 0: span{x₊, x₋}
    (
        "log(1 + (a*x + b)**2)",
        "no",
        "no",
        "yes",
    ),  # a combination is constant: ((z∂)² + z∂ + ∂²)h = 2
    ("log(a*x + b)", "no", "no", "yes"),  # φ' = 1/z is homogeneous
    ("1/(a*x + b)", "no", "no", "yes"),
    ("a**x", "no", "no", "yes"),  # a²∂²_a h + a∂_a h = a x ∂_a h
    ("tanh(a*x + b) + (e*x + f)**10", "no", "no", "yes"),  # Euler for the second part
    ("exp(a*x)/(1 + exp(b*x))", "yes", "no", "yes"),  # ∂_a h = x h: a gate direction
    ("sin(a*x + b)*cos(a*x + b)", "yes", "yes", "yes"),  # ½ sin 2z
    ("tanh(a*x0 + b*x1)*sin(c*x0)", "yes", "yes", "yes"),
)

# theory section 4: nondegenerate under softmax, and under the sigmoid gate in Regime 1
NONDEGENERATE = (
    *((name, "ridge", "yes", "yes") for name in SMOOTH_RIDGE),
    ("gelu", "nobias", "yes", "yes"),
    ("relu", "ridge", "no", "no"),
    ("gelu", "ffn", "no", "no"),
    ("sin", "ridge", "yes", "no"),
    ("exp", "ridge", "no", "no"),
    ("linear", None, "no", "no"),
    ("poly2", None, "no", "no"),
    ("poly3", None, "no", "no"),
    ("input-free", None, "no", "no"),
)

_BOTH = ("softmax", "sigmoid")


def _kinds(*kinds: str) -> dict[str, set[str]]:
    return {gate: set(kinds) for gate in _BOTH}


# expression, softmax, sigmoid Regime 1, kinds of exact families per gate
SECOND_ORDER_UNLISTED = (
    ("erf(a*x + b)", "no", "no", {}),  # heat equation
    ("erf(a*x + b) + erf(c*x + e)", "no", "no", {}),
    ("exp(-(a*x + b)**2)", "yes", "no", {}),  # ∂h/∂b = -2(ax + b)h: confounded with the gate
    ("exp(a*x)/(1 + exp(b*x))", "yes", "no", {}),  # ∂h/∂a = x h: a gate slope
    ("tanh((a + b)*x)", "no", "no", _kinds("redundant")),
    ("tanh(a*b*x)", "no", "no", _kinds("redundant")),
    ("tanh((a + exp(b))*x)", "no", "no", _kinds("redundant")),
    ("tanh(a**2*x + b)", "yes", "yes", {}),
    ("tanh(a*x + b) + tanh(c*x + e)", "yes", "yes", {}),
    ("tanh((a + b)*x) + tanh((a - b)*x)", "yes", "yes", {}),
    ("tanh(a*b*x) + tanh(b*x)", "yes", "yes", {}),
    ("c*sin(a*x)", "no", "no", _kinds("scale")),
    ("sin(x + b)", "yes", "no", {"sigmoid": {"phase"}}),
    ("cosh(a*x + b)", "yes", "no", {"sigmoid": {"phase"}}),
    ("relu(a*x + b) + relu(-a*x - b)", "no", "no", _kinds("scale")),
    ("relu(a*x + b)**2", "no", "no", _kinds("scale")),
    ("relu(a*x + b) + tanh(c*x)", "no", "no", _kinds("split")),
    ("relu(x + b)", "yes", "yes", {}),
    ("tanh(a*x) + c", "no", "no", _kinds("split")),
    ("log(a*x + b)", "no", "no", _kinds("split")),
    ("1/(a*x + b)", "no", "no", _kinds("scale")),
    ("c**2*tanh(a*x)", "no", "no", _kinds("scale")),
    ("c*atan(a*x + b)", "no", "no", _kinds("scale")),
    ("(x + a)**3", "yes", "yes", {}),  # in one cell
    ("tanh(a*x0 + b*x1)*sin(c*x0)", "yes", "no", {}),  # ∂²h/∂c² = -x0²h: M_ββ hides M_cc
)
