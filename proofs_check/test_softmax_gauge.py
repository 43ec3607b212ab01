"""The softmax gauge: a common shift of all gates changes nothing, nor do the Voronoi losses see it.

Statements (2402.02952, 2503.03213; theory sections 1 and 6), for every number k of atoms and d ≥ 1.

1. Adding one (t0, t1) to all (β0_i, β1_i) changes no softmax weight, hence not f_G. Under the
   sigmoid gate it changes the weight of every atom, unless (t0, t1) = 0.
2. That is all: two softmax gates whose weights agree, w_i(x) = w_i'(x) for all i and all x of an
   open set, differ by a common shift; with one atom pinned to (0, 0) in both they are equal.
3. The softmax Voronoi loss of theory section 6, of any order r, is a function of gauge-invariant
   numbers only. It is the infimum, over t added to the fitted slopes, of a function of the weights
   e^{β0_i}/Σ_l e^{β0_l} and of the differences β1_i + t − β1*_j and η_i − η*_j. A common shift c of
   the fitted slopes, and c* of the true ones, is undone by t → t − c + c*, a bijection of R^d; so
   neither the infimum nor any of the loss's parts at a minimiser changes. identkit starts from
   finitely many candidates t = β1*_m − β1_l, which are shifted in the same way.

Proved: 1 and 2; 3 for the definition and for the candidates, by identities for generic atoms.
Observed: 3 for the numbers that ``identkit.losses.voronoi`` returns, including its descent in t.
That without the quotient the loss does change shows that this is not vacuous.
"""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp

from identkit import MixingMeasure
from identkit.claims.checks import Claim, mutations
from identkit.gates import resolve
from identkit.losses import voronoi

INVARIANCE = Claim(
    "softmax-translation-invariance",
    "A common shift of all (β0, β1) changes no softmax weight, for every k and d; unless it is 0 "
    "it changes every sigmoid weight",
    "arXiv 2402.02952, 2503.03213 (identifiability of the softmax gate)",
)
PINNED = Claim(
    "softmax-gate-identifiable-once-pinned",
    "Softmax weights that agree for all x come from gates (β0_i, β1_i) that differ by one common "
    "shift; with one atom pinned they are equal",
    "arXiv 2402.02952, 2503.03213 (identifiability of the softmax gate)",
)
LOSS = Claim(
    "voronoi-loss-gauge-free",
    "The softmax Voronoi loss, of any order, does not change when the gates of the fitted or of "
    "the true measure are shifted in common",
    "identkit (derived here), for the loss of arXiv 2402.02952",
)

s, tau, rho, total = sp.symbols("s tau rho total", real=True)


@mutations(
    {
        "sigmoid weights have the same gauge": {"gate": "sigmoid"},
        "one atom may be shifted differently": {"shifts": (tau, rho)},
    }
)
def test_a_common_shift_is_a_common_factor(gate="softmax", shifts=(tau, tau)):
    """Induction on k; τ = t0 + t1·x is one number for all atoms, whatever d is.

    A weight's numerator is multiplied by e^τ (first identity, any atom). If the sum over k atoms
    is multiplied by e^τ, so is the sum over k + 1 (second). Hence the quotient does not change.
    """
    weight = resolve(gate).weight
    earlier, new = shifts
    factor = sp.exp(earlier)
    assert sp.simplify(weight(s + new) - factor * weight(s)) == 0
    step = factor * total + weight(s + new)
    assert sp.simplify(step - factor * (total + weight(s))) == 0
    assert resolve(gate).normalised  # identkit divides by that sum
    return INVARIANCE.finding("proved", "softmax: common factor, induction on k; any d")


@mutations({"softmax weights have no gauge either": {"gate": "softmax"}})
def test_the_sigmoid_gate_has_no_gauge(gate="sigmoid"):
    """log(w/(1−w)) = s recovers the score from the weight: equal weights, equal (β0, β1).

    So under a shift by τ(x) every atom's weight changes wherever τ(x) ≠ 0.
    """
    atom = resolve(gate)
    others = total if atom.normalised else sp.Integer(0)  # what the sum over atoms holds besides
    weight = atom.weight(s) / (atom.weight(s) + others if atom.normalised else 1)
    odds = sp.simplify(weight / (1 - weight))
    assert sp.simplify(sp.diff(odds, s) / odds - 1) == 0
    assert sp.simplify(odds.subs(s, 0) - 1) == 0  # so odds = e^s, with nothing else in it
    return INVARIANCE.finding("proved", "sigmoid: the logit returns the score")


@mutations(
    {
        "β0 alone need be pinned": {"pinned": ("b0",)},
        "β1 alone need be pinned": {"pinned": ("b1",)},
        "nothing need be pinned": {"pinned": ()},
        "weights determine the gates up to a shift of β0 alone": {"free": ("b0",)},
        "weights determine the gates up to a shift of β1 alone": {"free": ("b1",)},
    }
)
def test_equal_weights_mean_gates_equal_up_to_one_shift(pinned=("b0", "b1"), free=("b0", "b1")):
    """log(w_i/w_k) = (β0_i − β0_k) + (β1_i − β1_k)·x is free of the sum: for all k atoms at once.

    An affine function that vanishes on an open set has no coefficients: one equation for β0 and one
    for each coordinate of β1 (x is one coordinate here, the others stand still). Their solutions
    are one free shift per coordinate, the same for atom i as for the last one.
    """
    x = sp.Symbol("x", real=True)
    b0i, b1i, b0k, b1k, c0i, c1i, c0k, c1k = sp.symbols(
        "b0i b1i b0k b1k c0i c1i c0k c1k", real=True
    )
    numerator = resolve("softmax").weight
    denominator = sp.Symbol("D", positive=True)

    def log_ratio(first, last):
        return sp.expand_log(
            sp.log((numerator(first) / denominator) / (numerator(last) / denominator)), force=True
        )

    gap = log_ratio(b0i + b1i * x, b0k + b1k * x) - log_ratio(c0i + c1i * x, c0k + c1k * x)
    equations = sp.Poly(sp.expand(gap), x).all_coeffs()
    unknown = [c0i, c1i]
    fixed = {b0k: 0, c0k: 0} if "b0" in pinned else {}
    fixed |= {b1k: 0, c1k: 0} if "b1" in pinned else {}
    (solution,) = sp.solve([e.subs(fixed) for e in equations], unknown, dict=True)
    assert solution == {c0i: b0i, c1i: b1i}

    (general,) = sp.solve(equations, unknown, dict=True)
    shift = {"b0": c0k - b0k, "b1": c1k - b1k}
    allowed = {name: shift[name] if name in free else 0 for name in shift}
    assert sp.expand(general[c0i] - b0i - allowed["b0"]) == 0
    assert sp.expand(general[c1i] - b1i - allowed["b1"]) == 0
    return PINNED.finding("proved", "all k and d: log-ratios of weights are affine in x")


# --- 3: the losses --------------------------------------------------------------------------------


def _ingredients(beta0, beta1, true_beta0, true_beta1, quotient):
    """All that a softmax Voronoi loss takes from the gates, for generic atoms (i, l) and (j, m).

    The second atom of either pair stands for any atom of its measure: in the sum of weights, and
    in the candidate for the shift of the slopes.
    """
    if not quotient:
        return [sp.exp(beta0[0]), sp.exp(true_beta0[0]), beta1[0] - true_beta1[0]]
    candidate = true_beta1[1] - beta1[1]
    return [
        sp.exp(beta0[1]) / sp.exp(beta0[0]),  # 1/weight is the sum of these over all atoms
        sp.exp(true_beta0[1]) / sp.exp(true_beta0[0]),
        beta1[0] + candidate - true_beta1[0],
    ]


@mutations(
    {
        "also without the quotient": {"quotient": False},
        "the infimum is found at t − c": {"moved": lambda t, c, true_c: t - c},
        "the infimum is found at t": {"moved": lambda t, c, true_c: t},
    }
)
def test_the_loss_is_made_of_invariants(quotient=True, moved=lambda t, c, true_c: t - c + true_c):
    """Per coordinate of β1, for generic atoms; η does not take part in the gauge."""
    b0, b1, c0, c1 = (sp.symbols(f"{n}_i {n}_l", real=True) for n in ("b0", "b1", "c0", "c1"))
    a0, a1, true_a0, true_a1, t = sp.symbols("a0 a1 a0* a1* t", real=True)
    before = _ingredients(b0, b1, c0, c1, quotient)
    after = _ingredients(
        [v + a0 for v in b0],
        [v + a1 for v in b1],
        [v + true_a0 for v in c0],
        [v + true_a1 for v in c1],
        quotient,
    )
    for old, new in zip(before, after, strict=True):
        assert sp.simplify(old - new) == 0
    # the infimum over all t: what t was before, moved(t) is afterwards
    at = moved(t, a1, true_a1)
    assert sp.expand((b1[0] + a1 + at - c1[0] - true_a1) - (b1[0] + t - c1[0])) == 0
    assert sp.diff(at, t) == 1  # onto R^d
    return LOSS.finding("proved", "the infimum over shifts, and its candidates; any k, k*, d, r")


TOLERANCE = 1e-9
"""Relative. Shifts of size 4 change β1 by some 1e-15; the descent stops at gains below 1e-12."""


def _numbers(loss):
    """Everything a loss reports but the shift itself, which does depend on the gauge."""
    continuous = (loss.value, *loss.parts, loss.eta_over, loss.gate_over, loss.exact_error)
    return np.array(continuous), loss.cells


@pytest.mark.parametrize("dim", [1, 2])
@mutations(
    {
        "sigmoid losses are gauge-free": {"dim": 1, "gate": "sigmoid"},
        "so is the loss without the quotient": {"dim": 2, "quotient": False},
    }
)
def test_identkit_losses_do_not_change(dim, gate="softmax", quotient=True):
    """Seeded: k* = 2, 3 true atoms, k = 2 to 4 fitted ones, near and far, orders 1, 2 and 3."""
    rng = np.random.default_rng(dim)

    def draw(atoms):
        return MixingMeasure(
            rng.normal(size=atoms), rng.normal(size=(atoms, dim)), rng.normal(size=(atoms, 2))
        )

    def perturbed(truth, atoms, size):
        order = np.arange(atoms) % truth.atoms
        beta0, beta1, eta = truth.beta0[order], truth.beta1[order], truth.eta[order]
        near = lambda v: v + size * rng.normal(size=v.shape)  # noqa: E731
        return MixingMeasure(near(beta0), near(beta1), near(eta))

    def naive(fitted, truth):
        """Weights and slopes compared as they are, in whatever gauge the measures come."""
        gaps = np.linalg.norm(fitted.beta1[:, None] - truth.beta1, axis=-1)
        return np.abs(np.exp(fitted.beta0).sum() - np.exp(truth.beta0).sum()) + gaps.min(1).sum()

    for true_atoms, atoms, order in ((2, 2, 1), (2, 3, 2), (2, 4, 3), (3, 3, 2), (3, 4, 2)):
        for size in (0.01, 1.0):
            truth = draw(true_atoms)
            fitted = perturbed(truth, atoms, size)
            moved = fitted.shifted(4 * rng.normal(), 4 * rng.normal(size=dim))
            true_moved = truth.shifted(4 * rng.normal(), 4 * rng.normal(size=dim))
            for one, other in ((moved, truth), (fitted, true_moved), (moved, true_moved)):
                if not quotient:
                    assert np.isclose(naive(one, other), naive(fitted, truth), TOLERANCE)
                    continue
                expected, cells = _numbers(voronoi(fitted, truth, gate, order=order))
                found, found_cells = _numbers(voronoi(one, other, gate, order=order))
                assert np.allclose(found, expected, TOLERANCE, TOLERANCE, equal_nan=True)
                assert np.array_equal(found_cells, cells)
    return LOSS.finding("observed", f"identkit's numbers, 30 seeded triples, d = {dim}")
