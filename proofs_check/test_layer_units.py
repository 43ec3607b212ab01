"""Hidden units of a layer's experts: what moves them, at every width; how many dimensions.

Setting. h(x) = Σ_j c_j·G(a_j·x + b_j, u_j·x + v_j), x in R^d, c_j in R^p a column of down, a_j and
u_j rows of gate and up. GLU: G(z, y) = φ(z)y; without up: G = φ(z); GPT-OSS: G = g·σ(αg)·(ȳ + 1),
g = min(z, L), ȳ = y cut to [−L, L], biases besides.

Statements.

1. *Scale of a unit.* GLU, any φ: (u_j, v_j, c_j) → (r·u_j, r·v_j, c_j/r), r ≠ 0, for each unit by
   itself, and every permutation of units leave h, for every d, p and number of units.
2. *Scale of the gate.* c·φ(z), φ continuous and not 0, has a scale, φ(rz) = m(r)·φ(z) for all real
   z and all r of an interval, iff φ(z) = A·z^α for z > 0 and B·|z|^α for z < 0. So relu, its
   powers, leaky relu, |z| (r > 0; (a_j, b_j) → r(a_j, b_j), c_j → c_j/r^α); GLU with relu has two,
   of (u, c) and of (a, c). gelu, with erf or tanh, silu, quick-gelu, tanh, sigmoid have none.
3. *Clamps.* For all x at which −L ≤ y ≤ L and −L ≤ r(y + 1) − 1 ≤ L, the unit of GPT-OSS stays
   under (u, v + 1, c) → (r·u, r(v + 1), c/r): what the gate does, clamped or not, is no matter.
   Where an open set of inputs with g ≠ 0 has y > L (or y < −L, L ≠ 1), no r ≠ 1 near 1 leaves it.
4. *Every width, from a small one.* (i) An identity κ·G(ρz, τy) = G(z, y) for all (z, y) is one for
   every d, p and unit. At d = 1 with free a and u it is that for all (z, y). (ii) Let no tangent
   at a unit's numbers be in what others show: with u_j held at 1, one input and one output,
   derivatives of Σ_j c_jG(a_jx + b_j, x + v_j) in all its numbers be independent, at (a_j·v, b_j,
   c_oj u_j·v) for directions v that span R^d and for each output o with some c_oj ≠ 0. Then a
   tangent of h that is 0 for all x is, at each unit, δu_j = λ_j u_j, δv_j = λ_j v_j, δc_j = −λ_j
   c_j, δa_j = δb_j = 0: the scale. "For almost every number" at one input gives this for almost
   every number at every d: (a, u, c, v) ↦ (a·v, c·u·v) is a submersion where c ≠ 0, v ≠ 0.
5. *Dimensions.* The actions of a layer: d (+ 1 with intercepts) for the shift, 1 for that of the
   selection, 1 for each scale of each unit, are independent at numbers iff every unit has (u_j,
   c_j) ≠ 0: d + n·m for n experts of m units. The scale of W of statement 3 in test_layer_routers
   adds 1 iff some rows of W differ. Two scales of a unit are independent iff a_j ≠ 0, and (u_j,
   c_j) ≠ 0.
6. *Kinks.* Let m relu units be active at every input of an expert: there they are C·A·x, columns
   c_j, rows a_j, and (C, A) → (C·g⁻¹, g·A) stays, g in GL(m) near 1: m² − m dimensions beside the
   scales for independent rows and columns. Numbers for which the inputs that a router sends are
   such are an open set. So (4) is about all of R^d, and for analytic φ only about any open set of
   inputs.
7. *Norms.* y = γ ⊙ x̂ before a layer: (γ_s, M[:, s]) → (r·γ_s, M[:, s]/r), r ≠ 0, for all maps M
   that read y (router, gate, up, shared experts, ...): d dimensions; with a bias, (γ_s, β_s).
   LayerNorm, Σ x̂_s = 0: M → M + w·(1/γ)ᵀ for each map and every w, with −Σβ_s/γ_s·w added to its
   biases; one number of each row, where the map has biases or Σβ_s/γ_s = 0. β_s → β_s + t, biases
   → biases − t·M[:, s] where all maps have biases. RMSNorm, Σ x̂_s² = d: nothing linear, but
   inputs are on an ellipsoid, and (4) is about all of R^d: for φ(z) = z and a bias, Σ_s c·x̂_s² =
   c·d moves into it.
8. *Constants.* Weights with one sum F at every x: the biases of all experts + t, a vector that is
   added to the sum, or a shared expert's bias, − F·t: p dimensions.

Proved. 1, 4 (i): substitution. 2: m(rs) = m(r)m(s), m continuous where φ is not 0, so m = r^α on a
neighbourhood of 1 and then on r > 0, φ(z) = φ(±1)|z|^α; zφ′ = αφ, where zφ′/φ has two values for
the others (balls). 3: both sides; at y > L the unit is c·G·(L + 1), so that c/r = c. 4 (ii):
restrict to x = tv: a_j·v, c_oj·u_j·v and the biases are the numbers of an expert of one input, so
δa_j·v = 0, δ(c_oj u_j·v) = 0, δ(c_oj v_j) = 0 and δb_j = 0; linear in v, they hold for all v; the
linear system has the solutions λ_j alone (rank computed). Fubini for the last sentence. 5: the
generators act on different numbers but for W; rank computed. 6, 7, 8: substitution, exact numbers.
"""

from __future__ import annotations

import pytest
import sympy as sp

from identkit.balls import sign
from identkit.claims.checks import Claim, mutations
from identkit.expression import parse, symbol
from identkit.layers.symbols import activated

DERIVED = "identkit (derived here)"
SCALE = Claim(
    "unit-scale",
    "down(φ(gate x) ⊙ up x), any φ: (up[j], down[:, j]) → (r·up[j], down[:, j]/r), r ≠ 0, and "
    "every permutation of hidden units leave it, for every width, number of inputs and outputs",
    DERIVED,
)
HOMOGENEOUS = Claim(
    "unit-homogeneous",
    "c·φ(a·x): the gate's row has a scale iff φ(z) = A·z^α for z > 0, B·|z|^α for z < 0: relu, "
    "leaky relu, powers, by r > 0, a GLU with relu has two; gelu, silu, tanh, sigmoid have none",
    DERIVED,
)
CLAMP = Claim(
    "unit-clamped",
    "GPT-OSS: (u, v + 1, c) → (r·u, r(v + 1), c/r) leaves a unit at inputs where up is cut neither "
    "before nor after, whatever the gate's clamp does, and for no r ≠ 1 near 1 if it is cut at an "
    "open set of inputs; no scale of the gate",
    DERIVED,
)
LIFT = Claim(
    "unit-every-width",
    "An identity of one unit in its pre-activations is one for every number of units, inputs and "
    "outputs; where derivatives of units at one input, the scale held, are independent along "
    "directions that span R^d, nothing but the scale moves units with d inputs and any outputs",
    DERIVED,
)
COUNT = Claim(
    "layer-gauge-dimension",
    "Shift of W, shift of selection biases and scales of units act independently iff no unit has "
    "up = down = 0: d + n·m dimensions for n experts of m units, + 1 for each of intercepts and "
    "selection biases; the scale of W adds 1 iff rows differ",
    DERIVED,
)
KINKS = Claim(
    "units-active-everywhere",
    "m relu units that are active at all inputs of their expert are C·A·x: (C·g⁻¹, g·A) is a gauge "
    "of m² dimensions, of which the scales are m",
    DERIVED,
)
NORM = Claim(
    "norm-before-a-layer",
    "γ ⊙ x̂ before linear maps: (γ_s, M[:, s]) → (r·γ_s, M[:, s]/r), r ≠ 0, for all maps M that "
    "read it; beside a LayerNorm w·(1/γ)ᵀ in each map, and its bias into theirs; behind an RMSNorm "
    "inputs are on an ellipsoid, where units may show less",
    DERIVED,
)
CONSTANT = Claim(
    "layer-constants",
    "Weights with one sum F at every x: a vector t added to the biases of all experts, F·t taken "
    "from a bias that is added to the sum or of a shared expert, leaves f",
    DERIVED,
)
PHI = sp.Function("phi")
POSITIVE, NEGATIVE = sp.Symbol("q", positive=True), sp.Symbol("q", negative=True)
GATE, AMPLITUDE = sp.Symbol("g", positive=True), sp.Symbol("c", nonzero=True)


def dot(row, x):
    return sum(a * z for a, z in zip(row, x, strict=True))


def numbers(units, inputs, outputs):
    """(gate, up, down) rows of units: a_j, u_j (d), c_j (p), and biases b_j, v_j."""
    return [
        {
            "a": sp.symbols(f"a{j}_0:{inputs}"), "b": sp.Symbol(f"b{j}"),
            "u": sp.symbols(f"u{j}_0:{inputs}"), "v": sp.Symbol(f"v{j}"),
            "c": sp.symbols(f"c{j}_0:{outputs}"),
        }
        for j in range(units)
    ]  # fmt: skip


def glu(units, x, output):
    """Output of Σ c·φ(a·x + b)(u·x + v)."""
    return sum(
        unit["c"][output] * PHI(dot(unit["a"], x) + unit["b"]) * (dot(unit["u"], x) + unit["v"])
        for unit in units
    )


# --- 1 and 2 --------------------------------------------------------------------------------------

r = sp.Symbol("r", nonzero=True, real=True)


def _up_and_down(unit, down=1 / r, gate=1, rows=None):
    last = len(unit["c"]) if rows is None else rows
    return {
        "a": [a * gate for a in unit["a"]], "b": unit["b"] * gate,
        "u": [u * r for u in unit["u"]], "v": unit["v"] * r,
        "c": [c * down if o < last else c for o, c in enumerate(unit["c"])],
    }  # fmt: skip


@pytest.mark.parametrize(("units", "inputs", "outputs"), [(1, 1, 1), (2, 2, 2), (3, 4, 3)])
@mutations(
    {
        "down stays": {"units": 2, "inputs": 2, "outputs": 2,
                       "moved": lambda unit: _up_and_down(unit, down=1)},
        "the gate moves": {"units": 1, "inputs": 1, "outputs": 1,
                           "moved": lambda unit: _up_and_down(unit, gate=r)},
        "one output alone": {"units": 1, "inputs": 2, "outputs": 2,
                             "moved": lambda unit: _up_and_down(unit, rows=1)},
        "up bias stays": {"units": 1, "inputs": 1, "outputs": 1,
                          "moved": lambda unit: {**_up_and_down(unit), "v": unit["v"]}},
    }
)  # fmt: skip
def test_scale_and_order_of_units(units, inputs, outputs, moved=_up_and_down):
    """φ a function that is not said: each unit by itself, and units exchanged."""
    x, own = sp.symbols(f"x0:{inputs}"), numbers(units, inputs, outputs)
    for output in range(outputs):
        whole = glu(own, x, output)
        for j in range(units):
            other = [moved(unit) if i == j else unit for i, unit in enumerate(own)]
            assert sp.expand(glu(other, x, output) - whole) == 0
        assert sp.expand(glu(own[::-1], x, output) - whole) == 0
    return SCALE.finding("proved", f"{units} units, {inputs} inputs, {outputs} outputs, any φ")


RELU = {
    "relu": (lambda z: sp.Max(z, 0), 1), "relu²": (lambda z: sp.Max(z, 0) ** 2, 2),
    "|z|": (sp.Abs, 1), "leaky": (lambda z: sp.Max(z, 0) + sp.Min(z, 0) / 100, 1),
    "z³": (lambda z: z**3, 3), "step": (lambda z: (1 + sp.sign(z)) / 2, 0),
}  # fmt: skip


@mutations(
    {
        "silu is homogeneous": {"known": {"silu": (lambda z: z / (1 + sp.exp(-z)), 1)}},
        "relu² of degree 1": {"known": {"relu²": (lambda z: sp.Max(z, 0) ** 2, 1)}},
        "by r < 0": {"factor": NEGATIVE},
    }
)
def test_homogeneous_activations(known=RELU, factor=POSITIVE):
    """φ(qz) = q^α·φ(z) for z > 0 and for z < 0; a GLU then has two independent scales."""
    positive = sp.Symbol("z", positive=True)
    for activation, degree in known.values():
        for z in (positive, -positive):
            assert sp.simplify(activation(factor * z) - factor**degree * activation(z)) == 0
    exponents = sp.Matrix([[0, 1, -1], [1, 0, -1]])  # of (a, u, c) along both, α = 1
    assert exponents.rank() == 2
    return HOMOGENEOUS.finding("proved", ", ".join(RELU))


NONE = ("gelu", "gelu-tanh", "silu", "quick-gelu", "tanh", "sigmoid")


@mutations({"relu": {"names": ("relu",)}, "at one point": {"points": (1, 1)}})
def test_other_activations_are_not_homogeneous(names=NONE, points=(1, 2)):
    """zφ′/φ at 1 and 2 differ, in balls; it is α where φ(rz) = r^α·φ(z)."""
    for name in names:
        z = symbol("z")
        phi = parse(activated(name, "z"))
        degree = z * sp.diff(phi, z) / phi
        assert sign(degree.subs(z, points[1]) - degree.subs(z, points[0])) in (1, -1)
    return HOMOGENEOUS.finding("proved", ", ".join(NONE))


@mutations({"whatever is not 0": {"integrand": lambda a: 1 + a}})
def test_a_degree_makes_a_power(integrand=lambda a: a):
    """zφ′ = αφ: z^−α·φ is constant; that a curve of scales makes a degree: its derivative at 1."""
    z, q = sp.symbols("z q", positive=True)
    alpha = sp.Symbol("alpha", real=True)
    slope = sp.diff(z**-alpha * PHI(z), z).subs(sp.diff(PHI(z), z), integrand(alpha) * PHI(z) / z)
    assert sp.simplify(slope) == 0
    scaled = sp.diff(PHI(q * z) - q**alpha * PHI(z), q).doit().subs(q, 1).doit()
    assert sp.simplify(scaled - (z * sp.diff(PHI(z), z) - alpha * PHI(z))) == 0
    return HOMOGENEOUS.finding("proved", "one side of 0, where φ has a slope")


# --- 3 --------------------------------------------------------------------------------------------

L = 7


def clamped(gate, y, c):
    """c·g·(cut y + 1), g what the gate makes of its side."""
    return c * gate * (sp.Max(-L, sp.Min(y, L)) + 1)


@mutations(
    {
        "the bias is scaled without the 1": {"bias": lambda v, s: s * v},
        "down stays": {"down": lambda c, s: c},
    }
)
def test_a_unit_of_gpt_oss_inside_its_clamp(
    bias=lambda v, s: s * (v + 1) - 1, down=lambda c, s: c / s
):
    """Both cuts left out, which is what −L ≤ y ≤ L before and after says: g is free."""
    g, c, u, v, x, s = sp.symbols("g c u v x s", nonzero=True)
    before = c * g * (u * x + v + 1)
    after = down(c, s) * g * (s * u * x + bias(v, s) + 1)
    assert sp.simplify(after - before) == 0
    y = s * u * x + bias(v, s)
    assert sp.expand(y - (s * (u * x + v + 1) - 1)) == 0  # what is not to be cut afterwards
    # exact: y = 3 → 7 at s = 2, so inside both; g is that of a clamped gate
    for gate in (sp.Rational(1, 2), sp.Integer(L)):
        assert clamped(gate, 3, 1) == clamped(gate, 7, sp.Rational(1, 2)) == 4 * gate
    return CLAMP.finding("proved", "for every g, clamped or not")


@mutations(
    {
        "inside": {"y": 3},
        "a gate that is 0 there": {"gate": 0},
        "at y < −L with L = 1": {"y": -8, "limit": 1},
    }
)
def test_a_unit_of_gpt_oss_beyond_its_clamp(y=9, gate=GATE, limit=L):
    """Beyond L before and after: c·g·(L + 1) against c·g·(L + 1)/s; below −L: L ≠ 1."""
    s = sp.Rational(9, 10)
    moved = s * (y + 1) - 1
    cut = sp.Max(-limit, sp.Min(y, limit)), sp.Max(-limit, sp.Min(moved, limit))
    assert min(abs(y), abs(moved)) > limit
    before, after = gate * (cut[0] + 1), gate * (cut[1] + 1) / s
    assert sp.simplify(before - after) != 0
    # and no r beside: after/before = 1/s
    assert sp.simplify(after / before - 1 / s) == 0
    return CLAMP.finding("proved", "exact point y = 9, s = 9/10; every s by the ratio 1/s")


# --- 4 and 5 --------------------------------------------------------------------------------------


def tangents(u, c, directions):
    """Equations on (δc, δu): δc_o (u·v) + c_o (δu·v) = 0 for the directions v and all outputs."""
    rows = []
    for o in range(len(c)):
        for v in directions:
            row = [0] * len(c) + [c[o] * e for e in v]
            row[o] = dot(u, v)
            rows.append(row)
    return sp.Matrix(rows)


def basis(size):
    return [tuple(int(i == j) for j in range(size)) for i in range(size)]


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (2, 3), (4, 2)])
@mutations(
    {
        "lines of a plane": {"inputs": 3, "outputs": 2, "directions": lambda d: basis(d)[:-1]},
        "up is 0": {"inputs": 2, "outputs": 2, "up": lambda d: (0,) * d},
        "down is 0": {"inputs": 2, "outputs": 2, "down": lambda p: (0,) * p},
    }
)
def test_tangents_along_lines_are_scales(
    inputs, outputs, directions=basis,
    up=lambda d: sp.symbols(f"u0:{d}"), down=lambda p: sp.symbols(f"c0:{p}"),
):  # fmt: skip
    """One dimension is left, (−c, u): generic numbers, and such with zeros."""
    u, c = up(inputs), down(outputs)
    sparse = (1, *(0,) * (inputs - 1)), (*(0,) * (outputs - 1), 1)
    for own_u, own_c in ((u, c), sparse):
        system = tangents(own_u, own_c, directions(inputs))
        assert system.shape[1] - system.rank() == 1
        assert (system * sp.Matrix([*(-e for e in own_c), *own_u])).expand().is_zero_matrix
    return LIFT.finding("proved", f"{inputs} inputs, {outputs} outputs; any by the same system")


@mutations({"c = 0": {"amplitude": 0}, "v = 0": {"direction": (0, 0, 0)}})
def test_lines_are_generic_for_almost_every_unit(amplitude=AMPLITUDE, direction=(1, 3, -2)):
    """(a, u) ↦ (a·v, c·u·v) has rank 2, so that null sets have null preimages."""
    a, u = sp.symbols("a0:3"), sp.symbols("u0:3")
    image = sp.Matrix([dot(a, direction), amplitude * dot(u, direction)])
    assert image.jacobian([*a, *u]).rank() == 2
    return LIFT.finding("proved", "three inputs")


@mutations(
    {
        "in G itself": {"after": lambda z, y: PHI(z) * y + PHI(z)},
        "with a factor on the gate": {"gate": 2},
    }
)
def test_identities_lift(after=lambda z, y: PHI(z) * y, gate=1):
    """κG(ρz, τy) = G(z, y) for symbols z and y; then for z = a·x + b, y = u·x + v, d = 3."""
    z, y = sp.symbols("z y")
    own = after(gate * z, r * y) / r - after(z, y)
    assert sp.simplify(own) == 0
    x, (unit,) = sp.symbols("x0:3"), numbers(1, 3, 1)
    put = {z: dot(unit["a"], x) + unit["b"], y: dot(unit["u"], x) + unit["v"]}
    assert sp.simplify(own.subs(put)) == 0
    return LIFT.finding("proved", "one identity in (z, y)")


def generators(rows, units, *, intercepts, biases, scales, router):
    """Tangents of all actions, a row each, at W (n, d) and units [(a, u, c), …] of all experts."""
    n, d = len(rows), len(rows[0])
    head = n * d + 2 * n  # W, b0, b
    sizes = [len(a) + len(u) + len(c) for a, u, c in units]
    found = []

    def add(place, values):
        row = [0] * (head + sum(sizes))
        row[place : place + len(values)] = values
        found.append(row)

    for s in range(d):
        add(0, [int(k % d == s) for k in range(n * d)])
    if intercepts:
        add(n * d, [1] * n)
    if biases:
        add(n * d + n, [1] * n)
    for index, (a, u, c) in enumerate(units):
        place = head + sum(sizes[:index])
        add(place + len(a), [*u, *(-e for e in c)])
        if scales == 2:
            add(place, [*a, *(0 for _ in u), *(-e for e in c)])
    if router:
        add(0, [e for row in rows for e in row])
    return sp.Matrix(found)


ROWS = ((1, 2), (0, -1), (3, 1))
UNITS = tuple(((1, j), (2, -j), (j + 1, 3)) for j in range(6))
"""Three experts of two units, two inputs and two outputs."""


@pytest.mark.parametrize("scales", [1, 2])
@mutations(
    {
        "a unit of zeros": {"scales": 1, "units": (((1, 1), (0, 0), (0, 0)), *UNITS[1:])},
        "equal rows of W": {"scales": 1, "rows": ((1, 2),) * 3},
        "a gate of zeros": {"scales": 2, "units": (((0, 0), (1, 1), (0, 0)), *UNITS[1:])},
        "no 1 for biases": {"scales": 1, "more": 0},
    }
)
def test_dimensions_add_up(scales, rows=ROWS, units=UNITS, more=1):
    """d + (number of scales), 1 for intercepts, for biases and for the scale of W that differs."""
    d = len(rows[0])
    for intercepts in (False, True):
        for biases in (False, True):
            for router in (False, True):
                found = generators(
                    rows, units, intercepts=intercepts, biases=biases, scales=scales, router=router
                )
                count = d + scales * len(units) + intercepts + more * biases + router
                assert found.rank() == count
    return COUNT.finding("proved", f"{scales} scales of each unit, exact numbers of every kind")


# --- 6, 7 and 8 -----------------------------------------------------------------------------------


@mutations(
    {
        "also at other inputs": {"point": (-2, 3)},
        "only one of the two maps": {"inverse": ((1, 0), (0, 1))},
    }
)
def test_units_that_are_active_everywhere(point=(2, 5), inverse=((1, -2), (0, 1))):
    """Two units with positive rows on positive inputs; g = (1, 2; 0, 1); dimension m²."""
    g = sp.Matrix([[1, 2], [0, 1]])
    down, gate = sp.Matrix([[1, 2], [3, -1]]), sp.Matrix([[1, 1], [2, 1]])
    moved = g * gate
    assert all(e > 0 for e in (*gate, *moved))  # active on x > 0, before and after

    def value(c, a):
        return c * (a * sp.Matrix(point)).applyfunc(lambda z: sp.Max(z, 0))

    assert value(down, gate) == value(down * sp.Matrix(inverse), moved)
    t = sp.symbols("t0:4")
    small = sp.Matrix(2, 2, t)
    tangent = sp.Matrix([*(-down * small), *(small * gate)]).jacobian(t)
    assert tangent.rank() == 4
    return KINKS.finding("proved", "two units, exact; m by the same lines")


@mutations(
    {
        "the router is left out": {"maps": (True, False)},
        "the bias of the norm stays": {"beta": lambda b, s: b},
        "columns are multiplied": {"column": lambda m, s: m * s},
        "biases of the maps keep what moved": {"taken": lambda t, m: 0},
    }
)
def test_norms(
    maps=(True, True), beta=lambda b, s: s * b, column=lambda m, s: m / s, taken=lambda t, m: t * m
):
    """Two maps with biases read γ ⊙ x̂ + β, three inputs: scale of an input, its bias moved."""
    gamma, offset, x = sp.symbols("g0:3", nonzero=True), sp.symbols("e0:3"), sp.symbols("x0:3")
    rows = [sp.symbols(f"m{i}_0:3") for i in range(2)]
    biases, t = sp.symbols("b0:2"), sp.Symbol("t")

    def values(g, e, m, b):
        y = [s * z + k for s, z, k in zip(g, x, e, strict=True)]
        return [dot(row, y) + k for row, k in zip(m, b, strict=True)]

    own = values(gamma, offset, rows, biases)
    scaled = [
        (column(row[0], r), *row[1:]) if part else row for row, part in zip(rows, maps, strict=True)
    ]
    now = values((r * gamma[0], *gamma[1:]), (beta(offset[0], r), *offset[1:]), scaled, biases)
    assert all(sp.expand(a - b) == 0 for a, b in zip(own, now, strict=True))
    less = [b - taken(t, row[0]) for b, row in zip(biases, rows, strict=True)]
    now = values(gamma, (offset[0] + t, *offset[1:]), rows, less)
    assert all(sp.expand(a - b) == 0 for a, b in zip(own, now, strict=True))
    return NORM.finding("proved", "two maps, three inputs, for free numbers")


@mutations({"an RMSNorm has it": {"centred": False}, "w·γᵀ": {"direction": lambda g: g}})
def test_what_a_layer_norm_hides(centred=True, direction=lambda g: 1 / g):
    """M + w·(1/γ)ᵀ on γ ⊙ x̂ + β with Σ x̂ = 0: −wΣβ/γ in the bias makes up for it."""
    gamma, offset = sp.symbols("g0:3", nonzero=True), sp.symbols("e0:3")
    x = sp.symbols("x0:3")
    if centred:
        x = (x[0], x[1], -x[0] - x[1])
    row, w, bias = sp.symbols("m0:3"), sp.Symbol("w"), sp.Symbol("b")
    y = [g * z + e for g, z, e in zip(gamma, x, offset, strict=True)]
    moved = [m + w * direction(g) for m, g in zip(row, gamma, strict=True)]
    rest = w * sum(e / g for e, g in zip(offset, gamma, strict=True))
    assert sp.simplify(dot(moved, y) + bias - rest - dot(row, y) - bias) == 0
    return NORM.finding("proved", "one row of a map, three inputs, for free numbers")


@mutations(
    {"on all inputs": {"sphere": False}, "silu units": {"unit": lambda z: z / (1 + sp.exp(-z))}}
)
def test_bilinear_units_behind_an_rms_norm(sphere=True, unit=lambda z: z):
    """Σ_s t·φ(x̂_s)·x̂_s = t·d where Σ x̂_s² = d, φ(z) = z: a bias takes it back; d = 3."""
    x, t = sp.symbols("x0:3", real=True), sp.Symbol("t")
    value = sum(t * unit(z) * z for z in x) - 3 * t
    if sphere:
        value = value.subs(x[2], sp.sqrt(3 - x[0] ** 2 - x[1] ** 2))
    assert sp.simplify(value) == 0
    return NORM.finding("proved", "three units of a bilinear expert with a bias")


@mutations(
    {
        "weights that are not divided": {"divided": False},
        "the factor is left out": {"taken": lambda factor, t: t},
    }
)
def test_constants_between_experts_and_the_sum(divided=True, taken=lambda factor, t: factor * t):
    """Three experts, any weights of sum F: e_i + t, and F·t less beside them."""
    w, h, (t, beside, factor) = sp.symbols("w0:3"), sp.symbols("h0:3"), sp.symbols("t e F")
    total = sum(w) if divided else 1
    own = factor * dot(w, h) / total + beside
    now = factor * dot(w, [value + t for value in h]) / total + beside - taken(factor, t)
    assert sp.cancel(own - now) == 0
    return CONSTANT.finding("proved", "three experts, for free weights")
