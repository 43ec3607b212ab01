"""Interactions among parameters: partial differential equations that atom functions satisfy.

Statements (h(x; a, b) = φ(aᵀx + b) a ridge expert, θ = all parameters of one atom).
1. Softmax (arXiv 2402.02952): F = exp(β0 + β1ᵀx) φ(aᵀx + b) has ∂F/∂a = ∂²F/∂β1∂b, for every φ.
   A first derivative equals a second one, so the two cannot be told apart in a Taylor expansion.
2. Gaussian density (Ho and Nguyen 2016): π = N(y | μ, ν) has ∂²π/∂μ² = 2 ∂π/∂ν. With a mean
   μ = aᵀx + b under softmax both 1 and this hold (arXiv 2505.10860).
3. Dense-to-sparse (arXiv 2401.13875): with router β1ᵀx/τ, F satisfies τ ∂F/∂τ = −β1·∂F/∂β1 and
   τ² ∂²F/∂τ∂b = −β1·∂F/∂a, for every ridge expert.
4. Homogeneous experts (Euler): if φ(λz) = λ^P φ(z), λ > 0, then a·∂h/∂a + b ∂h/∂b = P h.
5. erf: h = erf(aᵀx + b) obeys the heat equation ∂²h/∂b² = −2(a·∂h/∂a + b ∂h/∂b).

Check. Each is *found*: ``identkit.interactions`` is given the atom function and the order, not the
equation, and the statement must be among the relations it returns. Then it is proved a second time:
SymPy's chain rule with an undefined function φ (1, 3: any φ, d = 1 and 2), direct differentiation
(2, 5), and the derivative of φ(λz) = λ^P φ(z) at λ = 1 (4, any P).

Proved: each identity for all x and all parameters (ν > 0, τ ≠ 0; ReLU away from its kink).
Not proved: that a rate follows. Identities 1 and 3 hold for tanh and GELU as for linear experts; an
interaction slows estimation only where moments of atoms can realise it (under softmax M_ββ = 0
forces M_βη = 0, theory section 4), so by itself it decides nothing.
"""

from __future__ import annotations

import pytest
import sympy as sp

import identkit
from identkit.claims.checks import Claim, mutations
from identkit.expression import parse

x, y, z, a, b, beta0, beta1, tau, mu = sp.symbols("x y z a b beta0 beta1 tau mu", real=True)
nu, scale = sp.symbols("nu scale", positive=True)
P = sp.Symbol("P", positive=True)
PHI = sp.Function("phi")

SOFTMAX = Claim(
    "interaction-softmax",
    "∂F/∂a = ∂²F/∂β1∂b for F = exp(β0 + β1ᵀx)·φ(aᵀx + b), every φ",
    "Nguyen, Ho, Rinaldo, ICML 2024 (arXiv 2402.02952)",
)
HEAT = Claim(
    "interaction-heat",
    "∂²π/∂μ² = 2 ∂π/∂ν for the normal density π(y | μ, ν)",
    "Ho and Nguyen 2016; arXiv 2505.10860",
)
SPARSE = Claim(
    "interaction-dense-to-sparse",
    "τ² ∂²F/∂τ∂b = −β1·∂F/∂a for F = exp(β1ᵀx/τ + β0)·φ(aᵀx + b), every φ",
    "arXiv 2401.13875; arXiv 2503.03213",
)
EULER = Claim(
    "interaction-euler",
    "a·∂h/∂a + b ∂h/∂b = P h for h = φ(aᵀx + b) with φ(λz) = λ^P φ(z)",
    "Euler's identity",
)
ERF = Claim(
    "interaction-erf",
    "∂²h/∂b² = −2(a·∂h/∂a + b ∂h/∂b) for h = erf(aᵀx + b)",
    "identkit (derived here)",
)


def is_found(expression, equation, **options):
    """Whether Σ coefficient·∂U = 0 is, up to a factor, one of the relations discovered."""
    names = {sp.Symbol(s.name): s for s in parse(expression).free_symbols}
    plain = {s: n for n, s in names.items()}
    wanted = {tuple(sorted(d)): sp.sympify(c).subs(plain) for d, c in equation.items()}
    for relation in identkit.interactions(expression, **options).relations:
        found = {
            tuple(sorted(t.function.factors[0])): parse(t.coefficient).subs(plain)
            for t in relation.terms
        }
        ratios = {sp.cancel(found[d] / wanted[d]) for d in wanted if d in found}
        if found.keys() == wanted.keys() and len(ratios) == 1:
            return True
    return False


def derivative(function, names):
    """∂^n function / ∂names."""
    return sp.diff(function, *[sp.Symbol(n, **ASSUMED.get(n, {"real": True})) for n in names])


ASSUMED = {"nu": {"positive": True}}


def vanishes(function, equation):
    """Whether Σ coefficient·∂function reduces to 0, by SymPy."""
    total = sum(sp.sympify(c) * derivative(function, d) for d, c in equation.items())
    return sp.simplify(sp.expand(total.doit())) == 0


ANY = PHI(a * x + b)
"""A ridge expert with an undefined activation."""
AS_SOFTMAX = {("a",): 1, ("beta1", "b"): -1}
RIDGE = ["relu", "gelu", "silu", "sigmoid", "tanh", "softplus", "sin", "atan"]


@pytest.mark.parametrize("activation", RIDGE)
@mutations(
    {
        "the gate's intercept instead of its slope": {
            "activation": "gelu",
            "equation": {("a",): 1, ("beta0", "b"): -1},
        },
        "a factor 2": {"activation": "tanh", "equation": {("a",): 1, ("beta1", "b"): -2}},
        "a first derivative in b": {"activation": "sin", "equation": {("a",): 1, ("b",): -1}},
    }
)
def test_softmax_interaction_is_found_for_each_activation(activation, equation=AS_SOFTMAX):
    expression = f"exp(beta0 + beta1*x)*{activation}(a*x + b)"
    assert is_found(expression, equation)
    return SOFTMAX.finding("proved", f"{activation} ridge, d = 1: discovered, exact normal form")


@mutations(
    {
        "a factor 2": {"equation": {("a",): 1, ("beta1", "b"): -2}},
        "the wrong coordinate for d = 2": {"pairing": (1, 0)},
    }
)
def test_softmax_interaction_for_every_activation(equation=AS_SOFTMAX, pairing=(0, 1)):
    """φ undefined; for d = 2 each slope a_s is paired with the gate slope of the same input."""
    assert vanishes(sp.exp(beta0 + beta1 * x) * ANY, equation)
    xs, slopes, gates = (sp.symbols(f"{n}0:2", real=True) for n in ("x", "a", "g"))
    gate = sp.exp(beta0 + sum(g * v for g, v in zip(gates, xs, strict=True)))
    product = gate * PHI(sum(s * v for s, v in zip(slopes, xs, strict=True)) + b)
    for s in range(2):
        gap = sp.diff(product, slopes[s]) - sp.diff(product, gates[pairing[s]], b)
        assert sp.simplify(gap.doit()) == 0
    return SOFTMAX.finding("proved", "any φ, d = 1 and 2, by the chain rule")


DENSITY = sp.exp(-((y - mu) ** 2) / (2 * nu)) / sp.sqrt(2 * sp.pi * nu)


@mutations(
    {
        "without the factor 2": {"equation": {("mu", "mu"): 1, ("nu",): -1}},
        "first derivative in the mean": {"equation": {("mu",): 1, ("nu",): -2}},
    }
)
def test_heat_equation_of_the_normal_density(equation={("mu", "mu"): 1, ("nu",): -2}):
    assert is_found("exp(-(y - mu)**2/(2*nu))/sqrt(2*pi*nu)", equation, inputs=("y",))
    assert vanishes(DENSITY, equation)
    return HEAT.finding("proved", "all y, μ, ν > 0: discovered, and by SymPy")


@mutations(
    {
        "no interaction with the gate": {"first": {("a",): 1, ("beta0", "b"): -1}},
        "no heat equation": {"second": {("b", "b"): 1, ("nu",): -1}},
    }
)
def test_both_in_the_gaussian_mixture_of_linear_experts(
    first={("a",): 1, ("beta1", "b"): -1},
    second={("b", "b"): 1, ("nu",): -2},
):
    """exp(β0 + β1x) N(y | ax + b, ν): all derivatives up to order 2 in five parameters."""
    expression = "exp(-(y - a*x - b)**2/(2*nu) + beta1*x + beta0)/sqrt(2*pi*nu)"
    density = DENSITY.subs(mu, a * x + b) * sp.exp(beta0 + beta1 * x)
    for equation in (first, second):
        assert is_found(expression, equation, inputs=("x", "y"))
        assert vanishes(density, equation)
    return HEAT.finding("proved", "with the softmax interaction, for linear means; d = 1")


AS_SPARSE = {("tau", "b"): tau**2, ("a",): beta1}
AS_ROUTER = {("tau",): tau, ("beta1",): beta1}


@pytest.mark.parametrize("activation", ["tanh", "gelu", "relu", "linear"])
@mutations(
    {
        "τ instead of τ²": {
            "activation": "tanh",
            "collapse": {("tau", "b"): tau, ("a",): beta1},
        },
        "the other sign": {
            "activation": "linear",
            "collapse": {("tau", "b"): tau**2, ("a",): -beta1},
        },
        "the temperature is independent of the router": {
            "activation": "gelu",
            "router": {("tau",): 1, ("beta1",): 1},
        },
    }
)
def test_temperature_interactions(activation, collapse=AS_SPARSE, router=AS_ROUTER):
    h = "(a*x + b)" if activation == "linear" else f"{activation}(a*x + b)"
    expression = f"exp(beta1*x/tau + beta0)*{h}"
    for equation in (collapse, router):
        assert is_found(expression, equation)
        assert vanishes(sp.exp(beta1 * x / tau + beta0) * ANY, equation)
    return SPARSE.finding("proved", f"{activation} discovered; any φ by the chain rule; d = 1")


@pytest.mark.parametrize(
    ("expert", "power"), [("relu(a*x + b)", 1), ("(a*x + b)**3", 3), ("a*x + b", 1)]
)
@mutations(
    {
        "ReLU is homogeneous of degree 2": {"expert": "relu(a*x + b)", "power": 2},
        "a cube of degree 2": {"expert": "(a*x + b)**3", "power": 2},
        "GELU is homogeneous": {"expert": "gelu(a*x + b)", "power": 1},
    }
)
def test_euler_is_found(expert, power):
    assert is_found(expert, {("a",): a, ("b",): b, (): -power}, order=1)
    return EULER.finding("proved", f"{expert}: discovered, exact normal form")


@mutations({"degree P + 1": {"degree": P + 1}, "degree 1": {"degree": sp.Integer(1)}})
def test_euler_for_every_homogeneous_activation(degree=P):
    """d/dλ of φ(λz) = λ^P φ(z) at λ = 1 is zφ'(z) = Pφ(z); and a∂_a h + b∂_b h = zφ'(z)."""
    slope = sp.diff(ANY, a) * a + sp.diff(ANY, b) * b
    assert sp.simplify(slope.doit() - (z * sp.diff(PHI(z), z)).subs(z, a * x + b).doit()) == 0
    left = sp.diff(PHI(scale * z), scale).doit().subs(scale, 1).doit()
    right = sp.diff(scale**degree * PHI(z), scale).subs(scale, 1)
    assert sp.simplify(left - z * sp.diff(PHI(z), z)) == 0
    assert sp.simplify(right - P * PHI(z)) == 0
    return EULER.finding("proved", "any φ homogeneous of any degree P, differentiable at z ≠ 0")


AS_ERF = {("b", "b"): 1, ("a",): 2 * a, ("b",): 2 * b}


@mutations(
    {
        "without the factor 2": {"equation": {("b", "b"): 1, ("a",): a, ("b",): b}},
        "for tanh": {"expert": "tanh", "function": sp.tanh},
        "for gelu, which contains erf": {
            "expert": "gelu",
            "function": lambda v: v * (1 + sp.erf(v / sp.sqrt(2))) / 2,
        },
    }
)
def test_heat_equation_of_erf(equation=AS_ERF, expert="erf", function=sp.erf):
    assert is_found(f"{expert}(a*x + b)", equation)
    assert vanishes(function(a * x + b), equation)
    return ERF.finding("proved", "all x, a, b: discovered, and by SymPy; d = 1")
