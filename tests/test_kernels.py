"""The sums a fit is made of, by routes that share no code: autograd, NumPy, scipy, two kernels."""

from __future__ import annotations

import math
from functools import cache

import mpmath
import numpy as np
import pytest
import sympy as sp
from amounts import amount
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import special

from identkit.errors import ExpressionError
from identkit.experts import ACTIVATIONS, SHAPES, Expert
from identkit.fit.model import Model, numpy_functions
from identkit.fit.structure import structure
from identkit.gates import GATES as EVERY
from identkit.mixing import MixingMeasure

torch = pytest.importorskip("torch")
numba = pytest.importorskip("numba")

from identkit.fit import torch_kernel, vector_math  # noqa: E402  (needs numba)
from identkit.fit.cpu_kernel import BLOCK, CpuSums  # noqa: E402
from identkit.fit.torch_kernel import TorchSums  # noqa: E402

# torch.func imports code that torch itself has deprecated
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is:DeprecationWarning"),
]

CPU = torch.device("cpu")
GATES = {name: gate for name, gate in EVERY.items() if gate.is_affine}


# -- f written down once more, by hand, for autograd --------------------------------------------

PHI = {
    "relu": torch.relu,
    "gelu": lambda z: z * 0.5 * (1.0 + torch.erf(z / math.sqrt(2.0))),
    "silu": lambda z: z * torch.sigmoid(z),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softplus": lambda z: torch.log1p(torch.exp(z)),
    "sin": torch.sin,
    "exp": torch.exp,
}

SEVERAL_SLOTS = "c*atan(a*x + b) + exp(-(x-e)**2)"
"""Four parameters in three slots, and x used directly."""
TWO_INPUTS = "c*tanh(a*x0 + b*x1)*sin(e*x0) + 3*a*x1"
"""A parameter in two forms, a product of slots."""

CUSTOM = {
    SEVERAL_SLOTS: lambda x, c, a, b, e: (
        c * torch.atan(a * x[:, 0] + b) + torch.exp(-((x[:, 0] - e) ** 2))
    ),
    TWO_INPUTS: lambda x, c, a, b, e: (
        c * torch.tanh(a * x[:, 0] + b * x[:, 1]) * torch.sin(e * x[:, 0]) + 3 * a * x[:, 1]
    ),
}


def expert_value(model, x, eta):
    """h(x, η) for x (n, d) and η (q,)."""
    name, shape, d = model.expert.name, model.expert.shape, model.dim
    if name == "custom":
        return CUSTOM[model.expert.text](x, *eta)
    if name == "input-free":
        return eta[0].expand(len(x))
    if shape == "ffn":
        return eta[0] * PHI[name](x @ eta[1 : 1 + d] + eta[1 + d])
    if shape == "nobias":
        return PHI[name](x @ eta)
    z = x @ eta[:d] + eta[d]
    if shape == "ridge":
        return PHI[name](z)
    return z if name == "linear" else z ** int(name.removeprefix("poly"))


WEIGHTS = {
    "sigmoid": torch.sigmoid,
    "softmax": lambda scores: torch.softmax(scores, 0),
    "normalized-sigmoid": lambda scores: torch.sigmoid(scores) / torch.sigmoid(scores).sum(0),
}


def mixture(model, theta, x):
    """f_G(x) (n,) for one parameter vector (p,)."""
    atoms = theta.reshape(-1, model.per_atom)
    d = model.dim
    scores = torch.stack([x @ a[:d] + a[d] for a in atoms])
    weights = WEIGHTS[model.gate.name](scores)
    return (weights * torch.stack([expert_value(model, x, a[d + 1 :]) for a in atoms])).sum(0)


def oracle(model, theta, velocity, x, y, weight):
    """Cost, gradient, Gram, Hessian, Gram diagonal and Jᵀf_vv of one problem, by autograd."""
    theta, velocity = theta.clone(), velocity.clone()

    def cost(t):
        return 0.5 * (weight * (mixture(model, t, x) - y) ** 2).sum()

    def f(t):
        return mixture(model, t, x)

    jacobian = torch.func.jacrev(f)(theta)
    gradient = torch.func.grad(cost)(theta)
    hessian = torch.func.hessian(cost)(theta)
    _, bend = torch.func.jvp(
        lambda t: torch.func.jvp(f, (t,), (velocity,))[1], (theta,), (velocity,)
    )
    gram = jacobian.T @ (weight[:, None] * jacobian)
    bends = jacobian.T @ (weight * bend)
    return [v.detach().numpy() for v in (cost(theta), gradient, gram, hessian, gram.diag(), bends)]


class Case:
    """R data sets and A parameter vectors; ``which`` repeats and leaves out data sets."""

    def __init__(self, model, atoms=3, n=70, shared=False, weighted=False, seed=1):
        rng = np.random.default_rng(seed)
        self.model = model
        size = atoms * model.per_atom
        self.theta = 0.6 * rng.standard_normal((4, size))
        self.velocity = rng.standard_normal((4, size))
        self.which = np.array([2, 0, 2, 1])
        self.x = rng.uniform(-1.5, 1.5, (1 if shared else 3, n, model.dim))
        self.y = rng.standard_normal((3, n))
        self.weight = rng.uniform(0.0, 2.0, (3, n)) if weighted else None

    def torch(self):
        kernel = TorchSums(
            self.model,
            torch.from_numpy(self.x),
            torch.from_numpy(self.y),
            None if self.weight is None else torch.from_numpy(self.weight),
            CPU,
        )
        theta, velocity, which = map(torch.from_numpy, (self.theta, self.velocity, self.which))
        gram, hessian = kernel.steps(theta, which, False), kernel.steps(theta, which, True)
        bends = kernel.bends(theta, velocity, which)
        return self._ordered([v.numpy() for v in gram], [v.numpy() for v in hessian], bends.numpy())

    def native(self, threads=1):
        kernel = CpuSums(self.model, self.x, self.y, self.weight, threads)
        gram = kernel.steps(self.theta, self.which, False)
        hessian = kernel.steps(self.theta, self.which, True)
        return self._ordered(gram, hessian, kernel.bends(self.theta, self.velocity, self.which))

    @staticmethod
    def _ordered(gram, hessian, bends):
        # cost, gradient and Gram diagonal are returned with and without the Hessian
        return {
            "cost": gram[0], "gradient": gram[1], "Gram": gram[2], "Hessian": hessian[2],
            "diagonal": gram[3], "bends": bends, "cost again": hessian[0],
            "gradient again": hessian[1], "diagonal again": hessian[3],
        }  # fmt: skip

    def autograd(self):
        rows = []
        for i, r in enumerate(self.which):
            x = torch.from_numpy(self.x[r if len(self.x) > 1 else 0])
            weight = np.ones_like(self.y[r]) if self.weight is None else self.weight[r]
            rows.append(
                oracle(
                    self.model,
                    torch.from_numpy(self.theta[i]),
                    torch.from_numpy(self.velocity[i]),
                    x,
                    torch.from_numpy(self.y[r]),
                    torch.from_numpy(weight),
                )
            )
        c, g, gram, hessian, diagonal, bends = (np.stack(v) for v in zip(*rows, strict=True))
        return self._ordered((c, g, gram, diagonal), (c, g, hessian, diagonal), bends)


def assert_same(found, expected, tolerance):
    """Every array to ``tolerance`` times the largest entry of its problem."""
    assert found.keys() == expected.keys()
    for name, want in expected.items():
        have = found[name]
        assert have.shape == want.shape, name
        axes = tuple(range(1, want.ndim))
        size = np.abs(want).max(axis=axes, keepdims=True)
        error = (np.abs(have - want) / size).max()
        assert error <= tolerance, f"{name}: relative error {error:.2e}"


BUILT_IN = [
    *((name, shape) for name in ACTIVATIONS for shape in SHAPES),
    *((name, None) for name in ("linear", "poly2", "poly3", "input-free")),
]


@cache
def built_in(name, shape, gate, dim):
    return Model.of(name, gate, dim=dim, shape=shape)


@cache
def custom(text, gate):
    return Model.of(Expert.from_expression(text), gate)


def test_every_activation_and_gate_has_an_independent_formula():
    assert set(PHI) == set(ACTIVATIONS)
    assert set(GATES) == set(WEIGHTS)


@pytest.mark.parametrize("dim", [1, 2, 8])
@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize(("name", "shape"), BUILT_IN)
def test_torch_kernel_against_autograd(name, shape, gate, dim):
    model = built_in(name, shape, gate, dim)
    case = Case(model, atoms=2 if dim == 8 else 3, n=24, seed=dim)
    # two problems are enough here: data sets and order are tested below
    case.theta, case.velocity, case.which = case.theta[:2], case.velocity[:2], case.which[:2]
    assert_same(case.torch(), case.autograd(), 1e-10)


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("shared", [False, True], ids=["own-x", "shared-x"])
@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("text", CUSTOM)
def test_torch_kernel_of_an_expression(text, gate, shared, weighted):
    case = Case(custom(text, gate), shared=shared, weighted=weighted)
    assert_same(case.torch(), case.autograd(), 1e-10)


NATIVE = [
    ("tanh", "ridge", "softmax", 1),
    ("gelu", "ffn", "sigmoid", 2),
    ("relu", "ridge", "sigmoid", 1),
    ("softplus", "nobias", "softmax", 8),
    (SEVERAL_SLOTS, None, "softmax", 1),
    (TWO_INPUTS, None, "sigmoid", 2),
]


def native_model(name, shape, gate, dim):
    return custom(name, gate) if name in CUSTOM else built_in(name, shape, gate, dim)


@pytest.mark.parametrize("kind", NATIVE, ids=lambda k: f"{k[0]}-{k[2]}-{k[3]}")
def test_native_kernel_against_autograd_and_torch(kind):
    """Blocks full and not: n is no multiple of BLOCK; with weights and with x in common."""
    model = native_model(*kind)
    for shared, weighted in ((False, False), (True, False), (False, True), (True, True)):
        case = Case(model, n=BLOCK + 37, shared=shared, weighted=weighted, seed=5)
        native = case.native()
        assert_same(native, case.autograd(), 1e-10)
        assert_same(native, case.torch(), 1e-12)


@pytest.mark.parametrize("kind", NATIVE[:2], ids=lambda k: k[0])
def test_native_sums_do_not_depend_on_batch_or_threads(kind):
    """Bitwise: each problem is one loop in a fixed order."""
    case = Case(native_model(*kind), n=3 * BLOCK + 5)
    together = case.native()
    for threads in (2, 3, 8):
        for name, value in case.native(threads).items():
            assert np.array_equal(value, together[name]), (name, threads)
    theta, velocity, which = case.theta, case.velocity, case.which
    for order in ([3, 1, 0, 2], [2]):
        case.theta, case.velocity, case.which = theta[order], velocity[order], which[order]
        for name, value in case.native().items():
            assert np.array_equal(value, together[name][order]), (name, order)


WIDE = [
    *NATIVE,
    ("silu", "ffn", "softmax", 8),
    ("sin", "ridge", "sigmoid", 1),
    ("exp", "nobias", "softmax", 2),
]


@pytest.mark.parametrize("size", [2**12, 2**20], ids=["parts", "whole"])
@pytest.mark.parametrize("kind", WIDE, ids=lambda k: f"{k[0]}-{k[2]}-{k[3]}")
def test_torch_sums_do_not_depend_on_the_batch(kind, size, monkeypatch):
    """Bitwise, on every instruction set: remainders of vectors round as full vectors do.

    Five atoms, since ATen sums four or more otherwise in a remainder; numbers of samples below,
    at and above a multiple of what a loop takes; several groups of problems, or one.
    """
    monkeypatch.setitem(torch_kernel.CHUNK_BYTES, "cpu", size)
    model = native_model(*kind)
    for n, weighted, shared in ((5, False, False), (64, True, False), (203, False, True)):
        case = Case(model, atoms=5, n=n, weighted=weighted, shared=shared)
        together = case.torch()
        theta, velocity, which = case.theta, case.velocity, case.which
        for order in ([2], [3, 1], [1, 0, 3]):
            case.theta, case.velocity, case.which = theta[order], velocity[order], which[order]
            for name, value in case.torch().items():
                assert np.array_equal(value, together[name][order]), (name, order, n)
        # the data of one problem only, with x of its own
        r = which[2]
        x, y = case.x[0 if shared else r][None], case.y[r : r + 1]
        case.x, case.y = np.ascontiguousarray(x), y.copy()
        case.weight = case.weight[r : r + 1].copy() if weighted else None
        case.theta, case.velocity, case.which = theta[2:3], velocity[2:3], np.array([0])
        for name, value in case.torch().items():
            assert np.array_equal(value, together[name][2:3]), (name, "alone", n)


@pytest.mark.parametrize("kind", NATIVE, ids=lambda k: f"{k[0]}-{k[2]}-{k[3]}")
def test_predict_agrees_with_both_kernels(kind):
    """The kernels' f, seen through their cost, is Model.predict's."""
    model = native_model(*kind)
    case = Case(model, n=BLOCK + 37, weighted=True)
    measure = model.unpack(case.theta)
    values = model.predict(measure, case.x[case.which])
    assert values.shape == (4, BLOCK + 37)
    weight, y = case.weight[case.which], case.y[case.which]
    cost = 0.5 * (weight * (values - y) ** 2).sum(axis=1)
    assert case.native()["cost"] == pytest.approx(cost, rel=1e-12)
    assert case.torch()["cost"] == pytest.approx(cost, rel=1e-12)
    hand = [
        mixture(model, torch.from_numpy(t), torch.from_numpy(case.x[r])).numpy()
        for t, r in zip(case.theta, case.which, strict=True)
    ]
    assert np.abs(values - hand).max() <= 1e-13 * (1 + np.abs(hand).max())
    weights, experts = model.weights(measure, case.x[0]), model.experts(measure, case.x[0])
    assert np.einsum("rkn,rkn->rn", weights, experts) == pytest.approx(
        model.predict(measure, case.x[0]), abs=1e-12
    )


@pytest.mark.parametrize("gate", GATES)
def test_large_scores_neither_overflow_nor_cancel(gate):
    """Scores of ±800: weights of 0 and 1, in both kernels and in predict."""
    model = built_in("tanh", "ridge", gate, 1)
    case = Case(model, n=60)
    atoms = case.theta.reshape(4, 3, 4)
    atoms[:, :, 1] = [800.0, -800.0, 780.0]
    atoms[:, :, 0] *= 20.0
    found, other = case.native(), case.torch()
    for name, value in found.items():
        assert np.isfinite(value).all(), name
    assert_same(found, other, 1e-12)
    values = model.predict(model.unpack(case.theta), case.x[case.which])
    cost = 0.5 * ((values - case.y[case.which]) ** 2).sum(axis=1)
    assert found["cost"] == pytest.approx(cost, rel=1e-12)


@pytest.mark.parametrize("name", ["softplus", "silu", "sigmoid", "gelu", "tanh"])
def test_saturated_experts_are_finite_in_both_kernels(name):
    """Pre-activations of ±1e6: 1 + exp(z) must not come out as inf/inf."""
    model = built_in(name, "ridge", "sigmoid", 1)
    x = torch.tensor([[[-1.0], [1.0], [0.5], [-0.5]]], dtype=torch.float64)
    y = torch.zeros((1, 4), dtype=torch.float64)
    theta = torch.tensor([[0.3, 0.1, 1e6, 0.2], [0.3, 0.1, -1e6, 0.2]], dtype=torch.float64)
    which = torch.zeros(2, dtype=torch.int64)
    kernel = TorchSums(model, x, y, None, CPU)
    for value in (*kernel.steps(theta, which, True), kernel.bends(theta, 0 * theta + 1, which)):
        assert torch.isfinite(value).all()
    if name in ("softplus", "tanh"):
        native = CpuSums(model, x.numpy(), y.numpy(), None, 1)
        for value in native.steps(theta.numpy(), which.numpy(), True):
            assert np.isfinite(value).all()


def test_nan_stays_in_its_problem():
    model = built_in("tanh", "ridge", "softmax", 1)
    clean = Case(model, n=BLOCK + 9)
    dirty = Case(model, n=BLOCK + 9)
    dirty.y[0, 3] = np.nan
    for kernel in ("native", "torch"):
        before, after = getattr(clean, kernel)(), getattr(dirty, kernel)()
        for name in before:
            hit = clean.which == 0
            assert np.array_equal(after[name][~hit], before[name][~hit]), (kernel, name)
        assert np.isnan(after["cost"][hit]).all()
        assert np.isnan(after["gradient"][hit]).all()


@pytest.mark.parametrize("text", ["a/(x - b)", "a/(x - b)**2", "atan(a/(x - b))"])
def test_a_pole_on_a_sample_is_an_infinite_cost_and_no_error(text):
    # Numba raises for negative whole powers of 0; what is raised there is printed, then lost, and
    # pytest makes an error of it; both kernels must say that the sums are not finite
    model = Model.of(Expert.from_expression(text), "softmax")
    x = np.linspace(-1.0, 1.0, 9)[None, :, None]
    y = np.sin(x[..., 0])
    theta = np.zeros((1, model.layout.length(1)))
    theta[0, -2:] = 1.5, x[0, 2, 0]
    which = np.zeros(1, dtype=np.int64)
    native = CpuSums(model, x, y, None, 1).steps(theta, which, True)
    other = TorchSums(model, torch.from_numpy(x), torch.from_numpy(y), None, CPU)
    slow = other.steps(torch.from_numpy(theta), torch.from_numpy(which), True)
    for fast, peer in zip(native[:2], slow[:2], strict=True):
        assert np.array_equal(np.isfinite(fast), torch.isfinite(peer).numpy())
    assert not np.isfinite(native[1]).all()


# -- exp, erf and relatives ----------------------------------------------------------------------

GRID = np.concatenate(
    [np.linspace(-12, 12, 200_001), np.linspace(-700, 700, 20_001), [0.0, -0.0, 1e-300, -1e-17]]
)


@cache
def over_arrays(name):
    function = vector_math.FUNCTIONS[name]

    @numba.njit(error_model="numpy")
    def loop(z):
        out = np.empty_like(z)
        for j in range(len(z)):
            out[j] = function(z[j])
        return out

    return loop


REFERENCE = {
    "erf": special.erf,
    "Logistic": special.expit,
    "tanh": np.tanh,
    "Softplus": lambda z: np.logaddexp(0.0, z),
    "exp": np.exp,
    "Step": lambda z: np.heaviside(z, 0.0),
    "sign": np.sign,
}


@pytest.mark.parametrize("name", REFERENCE)
def test_vector_functions_against_scipy(name):
    """Absolute error of a few 1e-16 where values are of order 1, relative beyond."""
    found, want = over_arrays(name)(GRID), REFERENCE[name](GRID)
    error = np.abs(found - want) / np.maximum(1.0, np.abs(want))
    assert error.max() <= (0.0 if name in ("Step", "sign") else 6e-16), GRID[error.argmax()]
    assert np.isfinite(found).all()


@pytest.mark.parametrize("name", ["exp", "erf", "Logistic", "tanh", "Softplus"])
def test_vector_functions_pass_nan_on(name):
    found = over_arrays(name)(np.array([1.0, np.nan, -1.0]))
    assert np.isnan(found).tolist() == [False, True, False]


def test_the_exponential_is_right_in_the_tails_too():
    """Relative error: weights of light atoms are small, and their logarithms are parameters."""
    z = np.linspace(-700, 700, 100_001)
    error = np.abs(over_arrays("exp")(z) / np.exp(z) - 1.0)
    assert error.max() <= 4.5e-16
    small = over_arrays("Logistic")(np.linspace(-700.0, -40.0, 1001))
    want = special.expit(np.linspace(-700.0, -40.0, 1001))
    assert np.abs(small / want - 1.0).max() <= 6e-16


# -- structure: φ at the slots is the expert -----------------------------------------------------

NAMES = ("a", "b", "c", "e")
INPUTS = ("x0", "x1")


NUMBERS = ("2", "3", "0.5", "7/4", "1")
CALLS = (
    *("tanh", "sin", "cos", "erf", "atan", "sigmoid", "softplus", "silu", "gelu", "relu", "abs"),
)
TEMPLATES = (
    *("({} + {})", "({})*({})", "({})/(2 + ({})**2)"),
    *("({})**2", "exp(-({})**2)", "log(1 + ({})**2)", *(f"{name}({{}})" for name in CALLS)),
)
TERMS = (
    *NAMES,
    *(f"{p}*{x}" for p in NAMES for x in INPUTS),
    *(f"{c}*{p}" for c in NUMBERS for p in NAMES),
    *(f"{c}*{p}*{x}" for c in NUMBERS for p in NAMES for x in INPUTS),
)


@st.composite
def expressions(draw, depth=3):
    """Texts in the grammar: sums, products and functions of linear and other forms."""
    kind = draw(st.integers(0, 3)) if depth else 0
    if kind == 0:
        terms = draw(st.lists(st.sampled_from(TERMS), min_size=1, max_size=3))
        return " + ".join(terms)
    if kind == 1:
        return draw(st.sampled_from((*NUMBERS, *INPUTS)))
    template = draw(st.sampled_from(TEMPLATES))
    return template.format(*(draw(expressions(depth - 1)) for _ in range(template.count("{}"))))


BY_MPMATH = {"Step": lambda z: mpmath.mpf(z > 0)}


def value_at_slots(expert, eta, x):
    """φ at its slots, for η (q,) and x (d,); from the Structure alone."""
    s = structure(expert)
    features = [*x, 1.0]
    slots = [0.0] * len(s.slots)
    for value, t, f, c in zip(eta, s.slot_of, s.feature_of, s.scale_of, strict=True):
        slots[t] += c * value * features[f]
    arguments = [*s.slots, *(sp.Symbol(expert.inputs[i], real=True) for i in s.direct)]
    function = sp.lambdify(arguments, s.phi, modules=[numpy_functions(), "numpy"])
    with np.errstate(all="ignore"):
        return function(*(np.float64(v) for v in slots), *(np.float64(x[i]) for i in s.direct))


@settings(max_examples=amount(12, 40), deadline=None)
@given(expressions(), st.integers(0, 2**32 - 1), st.booleans())
def test_phi_at_the_slots_is_the_expression(text, seed, origin):
    """At random parameters, and at x = 0, where a slot may have no input left."""
    try:
        expert = Expert.from_expression(text, dim=2)
    except ExpressionError:
        assume(False)  # no parameter, no input, or one that cancels
    s = structure(expert)
    names = {str(v) for v in s.phi.free_symbols}
    assert not names & set(expert.parameters)
    assert names <= {str(t) for t in s.slots} | {expert.inputs[i] for i in s.direct}
    assert len(s.slot_of) == len(s.feature_of) == len(s.scale_of) == len(expert.parameters)
    assert set(s.slot_of) == set(range(len(s.slots)))
    rng = np.random.default_rng(seed)
    eta, x = rng.uniform(-1.5, 1.5, len(expert.parameters)), rng.uniform(-1.5, 1.5, 2)
    if origin:
        x = np.zeros(2)
    found = value_at_slots(expert, eta, x)
    symbols = [sp.Symbol(n, real=True) for n in (*expert.parameters, *expert.inputs)]
    want = sp.lambdify(symbols, expert.expression, modules=[BY_MPMATH, "mpmath"])(
        *(mpmath.mpf(float(v)) for v in (*eta, *x))
    )
    assert abs(found - want) <= 1e-11 * (1 + abs(want)), text


@pytest.mark.parametrize(
    ("text", "slots", "direct"),
    [
        ("tanh(a*x0 + b*x1 + c)", 1, 0),
        ("c*gelu(a*x0 + b)", 2, 0),
        ("tanh(a*x0 + b) + tanh(c*x0 + e)", 2, 0),
        ("tanh(a*x0 + b)*sin(a*x0 + b)", 1, 0),
        ("c*atan(a*x0 + b) + exp(-(x0-e)**2)", 3, 1),
        ("a*x0 + tanh(a*x1)", 1, 2),  # one parameter in two forms is a slot of its own
        ("tanh(a**2*x0 + b)", 2, 1),
        ("relu(3*a*x0 + 2*b)", 1, 0),
    ],
)
def test_known_structures(text, slots, direct):
    s = structure(Expert.from_expression(text, dim=2))
    assert (len(s.slots), len(s.direct)) == (slots, direct)


@pytest.mark.parametrize("gate", GATES)
def test_measures_and_vectors_agree_on_the_order(gate):
    """theta is (β1, β0, η) of one atom after the other; predict and mixture() read it alike."""
    model = built_in("tanh", "ffn", gate, 2)
    vector = np.arange(1.0, 2 * model.per_atom + 1) / 10
    measure = model.unpack(vector)
    assert isinstance(measure, MixingMeasure)
    assert measure.beta1[0].tolist() == [0.1, 0.2]
    assert measure.beta0[0] == 0.3
    x = np.array([[0.3, -0.2], [1.0, 2.0]])
    hand = mixture(model, torch.from_numpy(vector), torch.from_numpy(x)).numpy()
    assert model.predict(measure, x) == pytest.approx(hand, rel=1e-14)


@pytest.mark.parametrize("p", [1, 5, 9, 12, 15, 27])
def test_small_linear_algebra_is_that_of_a_matrix_alone(p):
    """Bitwise, whatever the batch; a fit would otherwise depend on what it is fitted with."""
    import torch

    from identkit.fit.solver import _least, _solved

    generator = torch.Generator().manual_seed(p)
    root = torch.randn(11, p, p, dtype=torch.float64, generator=generator)
    right = torch.randn(11, p, dtype=torch.float64, generator=generator)
    symmetric = root + root.transpose(1, 2)
    factor = torch.linalg.cholesky(root @ root.transpose(1, 2) + torch.eye(p))
    least, solved = _least(symmetric), _solved(factor, right)
    for i in range(11):
        assert torch.equal(_least(symmetric[i : i + 1].clone())[0], least[i])
        assert torch.equal(
            _solved(factor[i : i + 1].clone(), right[i : i + 1].clone())[0], solved[i]
        )
    exact = np.linalg.eigvalsh(symmetric.numpy())[:, 0]
    np.testing.assert_allclose(least.numpy(), exact, rtol=0, atol=1e-12)
