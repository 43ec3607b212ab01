"""Minimax lower bounds: exact sequences G_t ≠ G* with the regression function of G*.

Statement (arXiv 2402.02952 for softmax, 2405.13997 for sigmoid in Regime 1; L_r: theory section 6).
Let one atom of G* have the weight w* (e^β0* divided by the sum over atoms, or σ(β0*)), the gate β1*
and the expert parameter η*. Replace it by two atoms with the same β1*, of weights w_± > 0 with
w_+ + w_− = w*, at

- linear h = aᵀx + b, input-free h = η: η* ± t v, v ≠ 0 any direction, w_± = w*/2;
- polynomial h = (aᵀx + b)^P, P ≥ 1 any integer, η* ≠ 0: (1 ± t) η*, and
  w_+ = w* B/(A + B), w_− = w* A/(A + B) with A = (1 + t)^P − 1, B = 1 − (1 − t)^P.

Under softmax gates, and under sigmoid gates if β1* = 0, f_{G_t}(x) = f_{G*}(x) for all x and all
0 < t < 1, while for every r ≥ 1, e = v or η*, and t so small that both atoms lie in the cell of
the atom they replace,

    L_r(G_t, G*) = w* ‖e‖^r t^r (softmax),    L_r(G_t, G*) = 2 ‖e‖^r t^r (sigmoid).

(Softmax: in the gauge in which the other atoms agree. If the η_j* are distinct, also minimised over
the gauge: a shift of all β1 adds to every term, and if an atom changes its cell, the loss is above
a constant.) The papers take sequences with ‖f_{G_t} − f_{G*}‖ / L_r(G_t, G*) → 0; here the
numerator is 0. Gates do not move, so ∂F/∂a = ∂²F/∂β1∂b is not used.

Consequence. Let the η_j* be distinct, θ_+ the first of the two atoms, D = t‖e‖ ≤ 2 at most half the
distance of η* to the other η_j*. For every mixing measure Ĝ,

    L_r(Ĝ, G*) + L_r(Ĝ, G_t) ≥ (w_+/2) (D/2)^r.

If Ĝ puts less than w_+/2 (softmax), or no atom (sigmoid), into the cell of θ_+, then L_r(Ĝ, G_t) ≥
w_+/2, which is more (an empty cell costs its weight). Else each atom of that cell, with expert
parameter η̂, has ‖η̂ − η_+‖ + ‖η̂ − η_j*‖ ≥ ‖η_+ − η_j*‖ ≥ D whatever its j in G*, so it pays D/2
or (D/2)^r ≤ D/2 at least in one of the losses (softmax: times its weight). The η do not depend on
the gauge, so this holds in every gauge (weights sum to 1: only slopes shift). As the data have one
law under G* and G_t, every estimator has max_{G ∈ {G*, G_t}} E_G L_r(Ĝ_n, G) ≥ (w_+/4) (D/2)^r for
every n. So there is no consistent estimator of these parameters, which is more than "slower than
every polynomial rate".

Proved: the identities, for all x, d, t, parameters of all atoms, r ≥ 1 and P ≥ 1 (symbolically; x
enters through z = ηᵀ(x, 1) and y = vᵀ(x, 1) only, other atoms through their sums); the steps of the
inequality. Beyond that identkit certifies an exact family for each built-in expert in question, for
d = 1. Compared in numbers only: that these formulas are what ``identkit.losses.voronoi`` computes.
"""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp

import identkit
from identkit.claims.checks import Claim, mutations
from identkit.experts import builtin, symbols
from identkit.losses import voronoi

PAPERS = {"softmax": "arXiv 2402.02952", "sigmoid": "arXiv 2405.13997"}
BUILTIN = {"linear": ("linear",), "polynomial": ("poly2", "poly3"), "input-free": ("input-free",)}
CLAIMS = {
    (expert, gate): Claim(
        f"minimax-{expert}-{gate}",
        f"{expert} experts, {gate} gate"
        + (", Regime 1" if gate == "sigmoid" else "")
        + ": measures G_t with f_{G_t} = f_{G*} and L_r(G_t, G*) = c t^r, c > 0, for every r ≥ 1",
        f"{PAPERS[gate]}, minimax lower bounds",
    )
    for expert in BUILTIN
    for gate in PAPERS
}
CASES = pytest.mark.parametrize(("expert", "gate"), list(CLAIMS))
TWO_POINTS = Claim(
    "minimax-two-points",
    "L_r(Ĝ, G*) + L_r(Ĝ, G_t) ≥ (w_+/2)(D/2)^r for every Ĝ, so no estimator is consistent",
    "identkit (derived here)",
)

t, w, r = sp.symbols("t w r", positive=True)
z, y, SLOPE = sp.symbols("z y s", real=True)  # η*ᵀ(x, 1), vᵀ(x, 1), β1*ᵀx
P = sp.Symbol("P", integer=True, positive=True)
A, B = (1 + t) ** P - 1, 1 - (1 - t) ** P
SEQUENCES = {
    # two atoms: weight, ηᵀ(x, 1), Δη as a multiple of e
    "split": ((w / 2, z + t * y, t), (w / 2, z - t * y, -t)),
    "scale": ((w * B / (A + B), (1 + t) * z, t), (w * A / (A + B), (1 - t) * z, -t)),
}
EXPERTS = {  # the sequence, and h as a function of ηᵀ(x, 1), or of η
    "linear": ("split", lambda u: u),
    "polynomial": ("scale", lambda u: u**P),
    "input-free": ("split", lambda u: u),
}
SLOPES = {"softmax": SLOPE, "sigmoid": sp.Integer(0)}
CONSTANTS = {"softmax": w, "sigmoid": sp.Integer(2)}
HALF = sp.Rational(1, 2)


def examples(expert, gate, step, power=3):
    """G*, G_t, the measure half-way (its atoms doubled) for d = 1; ‖e‖, w* and w_+.

    The other true atom is fitted exactly.
    """
    eta = np.array([[0.75], [-2.0]] if expert == "input-free" else [[0.75, 1.0], [-2.0, 0.5]])
    truth = identkit.MixingMeasure([0.25, -0.5], [[0.0], [3.0]], eta)
    mass, total = (1 / (1 + np.exp(-0.25)), 1) if gate == "sigmoid" else (np.exp(0.25), 0)
    kind = EXPERTS[expert][0]
    at = {t: step, w: mass, P: power}
    weights = np.array([float(weight.subs(at)) for weight, *_ in SEQUENCES[kind]])
    e = eta[0] if kind == "scale" else np.ones_like(eta[0])

    def replaced(weights, moves):
        logits = np.log(weights / (1 - weights)) if gate == "sigmoid" else np.log(weights)
        return identkit.MixingMeasure(
            [*logits, -0.5],
            [*[[0.0] for _ in moves], [3.0]],
            [*[eta[0] + move * e for move in moves], eta[1]],
        )

    fitted = replaced(weights, (step, -step))
    between = replaced(np.tile(weights / 2, 2), (step / 2, -step / 2) * 2)
    total = total or np.exp([0.25, -0.5]).sum()
    return truth, fitted, between, np.linalg.norm(e), mass / total, weights[0] / total


@CASES
@mutations(
    {
        "ridge tanh has such a sequence": {
            "expert": "linear",
            "gate": "softmax",
            "experts": {"linear": ("split", sp.tanh)},
        },
        "polynomials of every degree can be split at η* ± tv": {
            "expert": "polynomial",
            "gate": "softmax",
            "experts": {"polynomial": ("split", lambda u: u**P)},
        },
        "β1* need not be 0 under the sigmoid gate": {
            "expert": "linear",
            "gate": "sigmoid",
            "slopes": {"sigmoid": SLOPE},
        },
        "the constant for softmax is 1": {
            "expert": "polynomial",
            "gate": "softmax",
            "constants": {"softmax": sp.Integer(1)},
        },
        "the constant for sigmoid is w*": {
            "expert": "input-free",
            "gate": "sigmoid",
            "constants": {"sigmoid": w},
        },
        "the loss is of order t^(2r)": {"expert": "linear", "gate": "softmax", "order": 2 * r},
    }
)
def test_same_f_at_a_distance_of_order_t_to_the_r(
    expert, gate, experts=EXPERTS, slopes=SLOPES, constants=CONSTANTS, order=r
):
    """``slopes``: β1*ᵀx. N, D: the other atoms in f, or in its numerator and denominator."""
    kind, h = experts[expert]
    atoms, slope = SEQUENCES[kind], slopes[gate]
    others, below = sp.symbols("N D", positive=True)
    if gate == "softmax":
        at_x = lambda weight: weight * sp.exp(slope)  # noqa: E731
        f = lambda top, bottom: (others + top) / (below + bottom)  # noqa: E731
    else:
        at_x = lambda weight: 1 / (1 + (1 - weight) / weight * sp.exp(-slope))  # noqa: E731
        f = lambda top, bottom: others + top  # noqa: E731
    top = sum(at_x(weight) * h(value) for weight, value, _ in atoms)
    gap = f(top, sum(at_x(weight) for weight, *_ in atoms)) - f(at_x(w) * h(z), at_x(w))
    assert sp.simplify(gap) == 0
    # A, B > 0: for 0 < t = 1/(1 + q) < 1 both (1 + t)^P and (1 − t)^(−P) exceed 1; so w_± > 0
    q = sp.Symbol("q", positive=True)
    logs = [P * sp.log(1 + t), P * sp.log(1 / sp.cancel(1 - 1 / (1 + q)))]
    assert all(v.is_positive for v in logs)
    a, b = sp.symbols("a b", positive=True)
    assert all(weight.subs({A: a, B: b}).is_positive for weight, *_ in atoms)
    # the loss, divided by ‖e‖^r
    excess = sp.simplify(sum(weight for weight, *_ in atoms) - w)
    share = lambda weight: weight if gate == "softmax" else 1  # noqa: E731
    loss = sp.Abs(excess) + sum(share(v) * sp.Abs(move) ** r for v, _, move in atoms)
    assert sp.simplify(loss - constants[gate] * t**order) == 0
    for step, power in ((1 / 8, 1.0), (1 / 32, 2.0), (1 / 8, 3.5)):
        truth, fitted, _, size, mass, _ = examples(expert, gate, step)
        expected = float(constants[gate].subs(w, mass)) * (size * step) ** power
        assert np.isclose(voronoi(fitted, truth, gate, order=power).value, expected, rtol=1e-9)
    return CLAIMS[expert, gate].finding("proved", "symbolically: all x, d, parameters, t, r")


@CASES
@mutations(
    {
        "ridge tanh has a family": {
            "expert": "linear",
            "gate": "softmax",
            "names": {"linear": ("tanh",)},
        },
        "the rate is n^-1/4": {"expert": "linear", "gate": "softmax", "rate": "n^-1/4"},
    }
)
def test_identkit_certifies_an_exact_family(
    expert, gate, names=BUILTIN, rate="no consistent estimator"
):
    """Each family gives two atoms, weights from its conditions, with the same weighted expert."""
    for name in names[expert]:
        result = identkit.check(name, gate, dim=1).results[0]
        assert result.second_order.families, name
        assert str(result.rate.derived) == rate
        model = builtin(name, dim=1)
        eta = dict(zip(model.parameters, symbols(model.parameters), strict=True))
        s = sp.Symbol("s", real=True)
        for family in result.second_order.families:
            known = {**eta, family.parameter: s}
            curve = {eta[n]: sp.sympify(v, locals=known) for n, v in family.curve}
            rows = [sp.Integer(1), *(sp.sympify(v, locals=known) for v in (family.r1, family.r2))]
            ends = [{s: t}, {s: -t}]
            system = [[row.subs(end) for end in ends] for row in rows]
            weights = sp.symbols("w1 w2")
            sums = [sum(a * v for a, v in zip(row, weights, strict=True)) for row in system]
            (found,) = sp.linsolve([sums[0] - 1, sums[1] - 1, sums[2]], weights)
            assert all(0 < weight.subs(t, 0.5) < 1 for weight in found)
            h = model.expression
            values = [h.subs(curve, simultaneous=True).subs(end) for end in ends]
            total = sum(a * v for a, v in zip(found, values, strict=True))
            assert sp.simplify(sp.expand(total - h)) == 0
    return CLAIMS[expert, gate].finding("proved", "exact family of identkit.check, d = 1")


@mutations(
    {
        "D may be 4": {"largest": 4},
        "twelve times as much": {"factor": 6},
        "nothing is nearer than D to both": {"part": 1},
    }
)
def test_no_measure_is_near_both(factor=HALF, part=HALF, largest=2):
    """Steps of the inequality for all D < 2 and r > 1; one measure near its minimum in numbers."""
    a, q, more = sp.symbols("a q more", positive=True)
    distance = largest / (1 + q)  # D
    near = part * distance
    # two distances with sum D, one of them less than D/2 by a: the other is more
    assert (distance - (near - a) - near).is_positive
    # D/2 < 1, so (D/2)^r < D/2 for r = 1 + more: −log of the quotient
    assert (more * sp.log(1 / near)).is_positive
    for gate, power in ((g, p) for g in PAPERS for p in (1.0, 2.0, 3.5)):
        truth, fitted, between, size, _, weight = examples("linear", gate, 1 / 8)
        losses = [voronoi(between, g, gate, order=power).value for g in (truth, fitted)]
        assert sum(losses) >= float(factor) * weight * (size / 16) ** power
    return TWO_POINTS.finding("proved", "all Ĝ, n, r ≥ 1, if the η_j* are distinct and t is small")
