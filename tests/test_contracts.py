"""What every registered gate promises: expansions, gauges, sharing, losses, in ball arithmetic."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from flint import arb, arb_mat

import identkit
from identkit import Expert, InputError, MixingMeasure, check
from identkit.atoms import expert_function, routed_function
from identkit.balls import Tape, ball, precision
from identkit.certificates.jets import Differentiator
from identkit.conditions import BasisFunction
from identkit.degeneracy.moments import VALUES, moment_space, space_of
from identkit.experts import symbols
from identkit.expression import symbol
from identkit.fit import Model
from identkit.gates import GATES, resolve
from identkit.testing import check_gate
from identkit.vocabulary import Through

BITS = 400
STEPS = [Fraction(1, 2**n) for n in range(4, 10)]
X = [Fraction(n, 7) for n in (-17, -9, -4, 3, 8, 16)]
EXPERTS = ("gelu(a*x + b)", "c*tanh(a*x + b)", "sin(a*x**2 + b)")
ETA = (Fraction(3, 2), Fraction(-2, 5), Fraction(7, 10))
LEVEL, SLOPE = Fraction(-1, 3), Fraction(4, 5)
DEVIATIONS = ((1, -2, 3), (-3, 1, 1), (2, 2, -5))
"""Directions of β1 and two parameters for the three atoms of a cell (a third one: their sum)."""

REGIMES = [
    pytest.param(gate, regime, id=f"{gate.name}-{regime.key}")
    for gate in GATES.values()
    for regime in gate.regimes
    if regime.expansion is not None and gate.is_affine
]
ROUTERS = [
    *(g for g in GATES.values() if g.router is not None and g.divides),
    *(resolve(f"dense-to-sparse {r}") for r in ("linear", "tanh-bias", "exp(w*x) + v*x**2")),
]


class Rule:
    """The weight and its first two derivatives, as balls."""

    def __init__(self, gate):
        s = symbol("s")
        weight = gate.weight(s)
        self.tape = Tape([weight, sp.diff(weight, s), sp.diff(weight, s, 2)], (s,))

    def __call__(self, score):
        return self.tape.evaluate([score])


def remainder(gate, regime, expert, t):
    """The largest |f_G − f_G* − expansion| over X (times the denominator of f_G*).

    Three atoms at distance t surround the true one, which has β1* = 0 where gates move; another
    true atom is fitted exactly. Weights and gates move as far as the expansion says they count.
    """
    rule, atom, expansion = Rule(gate), expert_function(expert), regime.expansion
    space = moment_space(atom, expansion.gates)
    h = Tape([atom.expression], (*symbols(atom.inputs), *symbols(atom.parameters)))
    q = len(atom.parameters)
    slope = SLOPE if regime.admits(True) else Fraction(0)
    share = ball(Fraction(float(gate.share.beta0(float(LEVEL), 3))))
    cell, moments = [], dict.fromkeys((m.pair for m in space.moments), arb(0))
    names = (*space.gates, *space.experts)
    for n, (beta, *rest) in enumerate(DEVIATIONS):
        eta = [t * v for v in (*rest, sum(rest))[:q]]
        step = t * beta if expansion.gates else Fraction(0)
        level = share + (ball(t * t * (n - 1)) if expansion.gates else 0)
        cell.append((level, slope + step, [e + v for e, v in zip(ETA, eta, strict=False)]))
        # ω, ω' and ω'' at the level; under a common denominator the share of the true weight
        w, w1, w2 = rule(level) if expansion.gates else [rule(level)[0] / rule(ball(LEVEL))[0]] * 3
        deviation = dict(zip(names, [step] * len(space.gates) + eta, strict=True))
        for pair in moments:
            gates = sum(name in space.gates for name in pair)
            value = (w, w1, w2)[gates]
            for name in pair:
                value *= ball(deviation[name])
            moments[pair] += value
    whole = rule(ball(LEVEL))[0] if expansion.gates else arb(1)
    if () in moments:
        moments[()] -= whole
    differentiator, worst = Differentiator(atom, 2), arb(0)
    other = (ball(Fraction(1, 2)), Fraction(-3, 4), [Fraction(-6, 5), Fraction(1, 3), Fraction(2)])

    def f(measure, x):
        weights = [rule(level + ball(slope * x))[0] for level, slope, _ in measure]
        values = [h.evaluate([ball(x), *map(ball, eta[:q])])[0] for _, _, eta in measure]
        total = sum((w * v for w, v in zip(weights, values, strict=True)), arb(0))
        below = sum(weights, arb(0)) if gate.divides else arb(1)
        return total / below, below

    truth = [(ball(LEVEL), slope, list(ETA)), other]
    for x in X:
        functions = [m.function for m in space.moments]
        values = differentiator.values(functions, (x,), ETA[:q])
        at, below = f(truth, x)
        moved, _ = f([*cell, other], x)
        # without gates: in units of the true atom's own weight at x
        unit = arb(1) if expansion.gates else rule(ball(LEVEL) + ball(slope * x))[0]
        predicted = sum(
            (moments[m.pair] / m.scale * v for m, v in zip(space.moments, values, strict=True)),
            arb(0),
        )
        worst = max(worst, abs((moved - at) * below - unit * predicted), key=lambda v: v.mid())
    return worst


def order(values):
    """log2 of the last ratio, as t halves."""
    return float(((values[-2] / values[-1]).log() / arb(2).log()).mid())


def holds(gate, regime):
    """Whether the remainder is of third order for all experts."""
    with precision(BITS):
        return all(
            order([remainder(gate, regime, Expert.from_expression(e), t) for t in STEPS]) > 2.8
            for e in EXPERTS
        )


@pytest.mark.parametrize(("gate", "regime"), REGIMES)
def test_second_order_expansions(gate, regime):
    if regime.expansion.order == 2:
        assert gate.share is not None
        assert holds(gate, regime)


@pytest.mark.parametrize("gate", ROUTERS, ids=lambda g: g.name)
def test_second_order_under_a_router(gate):
    """Times its denominator f_G − f_G* is, to third order, the moments on W·(h − f) and on ∇h."""
    if gate.name == "cosine":  # one input gives it a sign
        return
    with precision(BITS):
        for text in EXPERTS:
            expert = Expert.from_expression(text)
            assert order([router_remainder(gate, expert, t) for t in STEPS]) > 2.8


def router_remainder(gate, expert, t):
    """The largest |Σ_i W_i·(h_i − f_G*) − what the moments predict| over X: D_G·(f_G − f_G*)."""
    atom = routed_function(expert, gate)
    space = space_of(atom, False, Through.VALUE)
    names = [*symbols(atom.inputs), *symbols(atom.parameters)]
    parts, differentiator = Tape(atom.parts, names), Differentiator(atom, 2)
    start = [Fraction(5 + 3 * n, 7 + n) for n in range(len(atom.parameters))]
    other = [Fraction(3 + 2 * n, 5 + 2 * n) for n in range(len(atom.parameters))]
    places = [atom.parameters.index(c) for c in space.coordinates]
    for place in (atom.parameters.index(c) for c in atom.shared):
        other[place] = start[place]  # one of all atoms
    shares, moved = [Fraction(1, 2), Fraction(1, 3), Fraction(1, 6) + t * t], []
    moments = dict.fromkeys((m.pair for m in space.moments), Fraction(0))
    moments[()] = sum(shares) - 1
    for n, share in enumerate(shares):
        step = [t * ((3 * n * n + 5 * i) % 7 - 3) for i in range(len(places))]
        theta = list(start)
        for place, v in zip(places, step, strict=True):
            theta[place] += v
        moved.append((share, theta))
        deviation = dict(zip(space.coordinates, step, strict=True))
        for pair in moments:
            if pair:
                moments[pair] += share * np.prod([deviation[c] for c in pair])
    worst = arb(0)
    for x in X:

        def at(theta, x=x):
            return parts.evaluate([ball(v) for v in (x, *theta)])

        (w, h), (w2, h2) = at(start), at(other)
        f = (w * h + w2 * h2) / (w + w2)
        total = sum((ball(s) * at(theta)[0] * (at(theta)[1] - f) for s, theta in moved), arb(0))
        total += w2 * (h2 - f)
        predicted = w * (h - f) + w2 * (h2 - f)
        for m in space.moments:
            for block, function in m.function.terms:
                (value,) = differentiator.values([function], (x,), start)
                # what multiplies ∂h is multiplied by W there, so that it is one product
                size = (h - f) if block == VALUES else arb(1)
                predicted += ball(moments[m.pair]) / m.scale * value * size
        worst = max(worst, abs(total - predicted), key=lambda v: v.mid())
    return worst


def test_an_expansion_of_a_neighbour_is_seen_to_fail():
    """Under a normalised sigmoid the denominator moves with the gates at first order."""
    sigmoid = GATES["sigmoid"]
    wrong = replace(sigmoid, name="normalized-sigmoid", normalised=True)
    object.__setattr__(wrong, "share", sigmoid.share)
    assert not holds(wrong, sigmoid.regimes[0])


def jacobian(gate, expert, atoms, points):
    """First derivatives of f at rational atoms (level, slope, η) and points, as balls."""
    rule, atom = Rule(gate), expert_function(expert)
    basis = [BasisFunction("h", (), ((),))]
    basis += [BasisFunction("h", (), ((p,),)) for p in atom.parameters]
    differentiator, rows = Differentiator(atom, 1), []
    for x in points:
        weights = [rule(ball(level + slope * x)) for level, slope, _ in atoms]
        values = [differentiator.values(basis, (x,), eta) for *_, eta in atoms]
        below = sum((w[0] for w in weights), arb(0)) if gate.divides else arb(1)
        f = sum((w[0] * v[0] for w, v in zip(weights, values, strict=True)), arb(0)) / below
        row = []
        for (w, w1, _), (h, *slopes) in zip(weights, values, strict=True):
            change = w1 * (h - f if gate.divides else h) / below
            row += [change, ball(x) * change, *(w * s / below for s in slopes)]
        rows.append(row)
    return rows


@pytest.mark.parametrize(("gate", "regime"), REGIMES)
def test_first_order_conditions_decide_the_derivatives_of_f(gate, regime):
    """Where the condition holds, f's derivatives at two atoms are independent: a determinant."""
    if regime.order != 1:
        return
    name, level = regime.conditions[0]
    for text, holds in (("gelu(a*x + b)", "yes"), ("a*x + b", "yes"), ("tanh(a*b*x)", "no")):
        expert = Expert.from_expression(text)
        (result,) = check(expert, gate, regime=regime.code, condition=name, level=level).results
        assert result.verdict == result.nondegenerate == holds
        eta = [Fraction(3, 2), Fraction(-2, 5)], [Fraction(-4, 3), Fraction(5, 7)]
        atoms = [(LEVEL, SLOPE, eta[0]), (Fraction(1, 2), Fraction(-5, 3), eta[1])]
        with precision(BITS):
            rows = jacobian(gate, expert, atoms, [*X, Fraction(-1, 3), Fraction(5, 3)])
            if holds == "yes":
                assert 0 not in arb_mat(rows).det()
            else:  # a ∂_a h = b ∂_b h
                assert all(abs(row[2] * 3 / 2 + row[3] * 2 / 5) < arb(2) ** -300 for row in rows)


TRUTH = MixingMeasure([0.4, -0.6], [[0.0], [0.9]], [[2.0, 1.0], [-3.0, 1.0]])


@pytest.mark.parametrize("gate", GATES.values(), ids=GATES)
def test_gauges_and_shares(gate):
    """Gauges are gauges, and the common shift is declared if it is one; copies leave f as it is."""
    if gate.level is not None:
        with pytest.raises(InputError, match="are not compared"):
            check_gate(gate)
    else:
        check_gate(gate)
    dim = 2 if gate.name == "cosine" else 1
    groups = (1, 2) if gate.level is not None else ()
    model = Model.of("gelu", gate, dim, groups=groups)
    x = np.random.default_rng(0).uniform(-3, 3, (41, dim))
    truth = TRUTH
    if not gate.is_affine or dim > 1:
        atoms = sum(groups) or 2
        rng, layout = np.random.default_rng(1), model.layout
        values = {b.name: rng.uniform(0.5, 1, layout.shape(b, atoms)) for b in layout.blocks}
        truth = MixingMeasure.of(layout, values)
    f = model.predict(truth, x)
    if gate.is_affine:
        moved = model.predict(truth.shifted(0.7, [0.3]), x)
        assert np.allclose(moved, f, rtol=1e-10) == (gate.pinning is not None)
    assert np.allclose(model.predict(gate.held(truth), x), f, rtol=1e-10)
    if gate.share is not None:
        data = identkit.simulate(model, truth, 10, noise=0.1, seed=0)
        copies = data.starts(truth.atoms + 2, 0.0, over=0)[0]
        assert np.allclose(model.predict(copies, x), f, atol=1e-12)


@pytest.mark.parametrize("gate", GATES.values(), ids=GATES)
def test_losses_and_starts_work_or_refuse(gate):
    for regime in gate.regimes:
        truth = TRUTH if regime.order == 2 else TRUTH.shifted(0.0, [0.5])
        if not gate.is_affine:
            groups = (1, 1) if gate.level is not None else ()
            rng, layout = np.random.default_rng(0), gate.layout(1, 2, groups)
            values = {b.name: rng.uniform(0.5, 1, layout.shape(b, 2)) for b in layout.blocks}
            truth = MixingMeasure.of(layout, values)
        if regime.loss:
            loss = identkit.losses.voronoi(truth, truth, gate, regime=regime.code)
            assert float(loss.value) == pytest.approx(0, abs=1e-12)
        else:
            with pytest.raises(InputError, match="no Voronoi loss is known"):
                identkit.losses.voronoi(truth, truth, gate, regime=regime.code)
