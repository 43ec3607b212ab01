"""Gauges as objects: what they move, what they leave, who asks them, and how a false one is seen.

That every registered gate's are gauges is in test_contracts.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp

from identkit import Gate, InputError, MixingMeasure, check
from identkit.expression import symbol
from identkit.fit import Model
from identkit.gates import (
    GATES,
    Caveat,
    Gauge,
    Regime,
    Situation,
    WeightRule,
    common_shift,
    described,
    resolve,
)
from identkit.gates.normalized_sigmoid import SCALE, flat
from identkit.layout import AFFINE, OFFSET, SLOPE, Block
from identkit.losses import align
from identkit.testing import check_gate

SOFTMAX = GATES["softmax"]
TEMPERATURE = Block("temperature", "τ", "", "scale", "1", per_atom=False)
TEMPERED_SCALE = Gauge(
    name="temperature",
    text="(β0, β1, τ) → c·(β0, β1, τ) leaves f unchanged",
    rule=SOFTMAX.rule,
    moves=(*AFFINE, TEMPERATURE),
    dimension=lambda dim, atoms: 1,
    move=lambda values, c: {
        "beta1": values["beta1"] * c[..., None],
        "beta0": values["beta0"] * c,
        "temperature": values["temperature"] * c[..., 0],
    },
    amounts="factors",
    remedy="hold τ at 1",
)


def tempered_scores(values, x):
    return (values["beta0"] + (values["beta1"] * x).sum(axis=-1)) / values["temperature"]


# somebody else's gate: scores are divided by a temperature that all atoms share
TEMPERED = Gate(
    name="tempered",
    formula="exp((β1ᵀx + β0)/τ), divided by the sum over atoms",
    weight=sp.exp,
    normalised=True,
    declared=(common_shift(SOFTMAX.rule), TEMPERED_SCALE),
    regimes=(Regime("any", "strong", "any truth"),),
    source="a test",
    blocks=(*AFFINE, TEMPERATURE),
    score=tempered_scores,
)
SQUARE = WeightRule(symbol("s") ** 2, True)
HOMOGENEOUS = Gate(
    name="homogeneous",
    formula="(β1ᵀx + β0)², divided by the sum over atoms",
    weight=lambda s: s**2,
    normalised=True,
    declared=(
        Gauge(
            name="scale",
            text="(β0, β1) → c·(β0, β1) leaves f unchanged",
            rule=SQUARE,
            moves=AFFINE,
            dimension=lambda dim, atoms: 1,
            move=lambda v, c: {"beta1": v["beta1"] * c[..., None], "beta0": v["beta0"] * c},
            amounts="factors",
        ),
    ),
    regimes=(Regime("any", "strong", "any truth"),),
    source="a test",
)
ONE = MixingMeasure([0.3, 1.25, -4.0], [[1.7], [2.3], [0.1]], [[1.0], [2.0], [3.0]])
MANY = MixingMeasure.stack([ONE, ONE.relabelled([2, 0, 1])])


@pytest.mark.parametrize("gate", [TEMPERED, HOMOGENEOUS], ids=lambda g: g.name)
def test_a_gate_with_a_scale_passes(gate):
    check_gate(gate)


def declaring(gate, *gauges):
    return replace(gate, declared=gauges)


SHIFT, SCALED = TEMPERED.declared
FALSE = {
    "moves f, by": declaring(GATES["sigmoid"], common_shift(GATES["sigmoid"].rule)),
    "'temperature' moves f": declaring(
        TEMPERED, SHIFT, replace(SCALED, move=lambda v, c: {"temperature": v["temperature"] * c[0]})
    ),
    "moves nothing, not beta0": declaring(SOFTMAX, replace(SHIFT, move=lambda v, t: {})),
    "moves beta0, not beta0, beta1": declaring(
        SOFTMAX, replace(SHIFT, move=lambda v, t: {"beta0": v["beta0"] + t[..., -1:]})
    ),
    "moves beta0, beta1, not beta0": declaring(SOFTMAX, replace(SHIFT, moves=(OFFSET,))),
    "has fewer directions than": declaring(
        SOFTMAX,
        replace(
            SHIFT,
            dimension=lambda dim, atoms: dim + 2,
            move=lambda v, t: {
                "beta1": v["beta1"] + t[..., None, :-2],
                "beta0": v["beta0"] + t[..., -1:],
            },
        ),
    ),
    "changes shapes": declaring(SOFTMAX, replace(SHIFT, move=lambda v, t: {"beta0": 0})),
    "moves something by 0": declaring(
        SOFTMAX, replace(SHIFT, move=lambda v, t: SHIFT.move(v, t + 1))
    ),
    "cannot pin an atom": declaring(HOMOGENEOUS, replace(HOMOGENEOUS.gauges[0], pins=True)),
    "leave the caveat out": declaring(SOFTMAX, replace(SHIFT, caveat=Caveat("every β1 = 0", flat))),
    "no measure is of its caveat": declaring(
        SOFTMAX, replace(SHIFT, caveat=Caveat("never", lambda situation: False))
    ),
    "'common factor' moves f": declaring(GATES["normalized-sigmoid"], replace(SCALE, caveat=None)),
    "declare it": declaring(SOFTMAX),
}


@pytest.mark.parametrize("said", FALSE)
def test_a_false_gauge_fails(said):
    with pytest.raises(AssertionError, match=said):
        check_gate(FALSE[said])


def test_a_gauge_of_another_weight_rule_is_dropped():
    """Nothing is inherited with the data of a neighbour."""
    wrong = replace(SOFTMAX, weight=GATES["sigmoid"].weight)
    assert SOFTMAX.gauges
    assert wrong.gauges == ()
    assert wrong.pinning is None


def test_what_is_said_of_blocks_that_are_not_there():
    with pytest.raises(InputError, match="moves temperature, which the gate does not have"):
        declaring(SOFTMAX, SCALED)
    with pytest.raises(InputError, match="leave score out"):
        replace(SOFTMAX, score=tempered_scores)


@pytest.mark.parametrize("measure", [ONE, MANY], ids=["one", "many"])
def test_the_common_shift_of_measures(measure):
    """Bit by bit what the methods of a measure do, for an amount for all or for each."""
    (gauge,) = SOFTMAX.gauges
    of_each = np.array([[0.1, -0.2], [3.0, 5.5]])
    for amount in (np.array([0.7, 0.3]), of_each if measure.batch else of_each[1]):
        each = np.broadcast_to(amount, (*measure.batch, 2))
        moved = gauge.apply(measure, amount)
        assert (moved.to_vector() == measure.shifted(each[..., 1], each[..., :1]).to_vector()).all()
    for atom in range(3):
        pinned = gauge.pinned(measure, atom)
        assert (pinned.to_vector() == measure.pinned(atom).to_vector()).all()
        assert not pinned.beta0[..., atom].any()
    assert (SOFTMAX.held(measure).to_vector() == measure.pinned().to_vector()).all()
    assert GATES["sigmoid"].held(measure) is measure


def test_a_factor_of_flat_gates():
    model, x = Model.of("tanh", "normalized-sigmoid"), np.linspace(-2, 2, 9)[:, None]
    truth = MixingMeasure([0.4, -0.6], [[0.0], [0.0]], [[2.0, 1.0], [-3.0, 1.0]])
    moved = SCALE.apply(truth, np.array([0.5]))
    assert np.allclose(1 / (1 + np.exp(-moved.beta0)), 0.5 / (1 + np.exp(-truth.beta0)))
    assert np.allclose(model.predict(moved, x), model.predict(truth, x), atol=1e-14)
    assert SCALE.caveat.holds(Situation(2, (False, False)))
    assert not SCALE.caveat.holds(Situation(2, (False, True)))
    assert model.gate.pinning is None  # not for every measure, so that nothing is held


def test_what_asks_a_gauge():
    """Places, degrees of freedom, the mask of a fit, alignment."""
    model = Model.of("tanh", "softmax", dim=2)
    assert SHIFT.places(model.layout) == (0, 1, 2)
    assert SHIFT.dimension(2, 5) == 3
    assert model.free(5) == model.layout.length(5) - 3 == (~model.pinned(5)).sum()
    assert Model.of("tanh", "sigmoid").free(5) == 20
    moved = SHIFT.apply(ONE, np.array([2.0, -1.0]))
    assert np.allclose(align(moved, ONE, "softmax").to_vector(), ONE.to_vector())
    assert SCALED.places(TEMPERED_MODEL.layout) == (0, 1)


TEMPERED_MODEL = Model.of("tanh", TEMPERED)


def test_words():
    assert described(GATES["sigmoid"].gauges) == "none"
    assert described(SOFTMAX.gauges) == (
        "a common shift of all (β0, β1) leaves f unchanged; pin one atom"
    )
    assert described(GATES["normalized-sigmoid"].gauges) == (
        "none, unless every β1* = 0: then σ(β0) → c·σ(β0) for all atoms leaves f unchanged"
    )
    assert described(TEMPERED.gauges).endswith("; hold τ at 1")
    assert described((SHIFT, SCALE)).endswith("; where every β1* = 0, " + SCALE.text)
    assert SLOPE in SHIFT.moves


SELECTIONS = ["top-1", "top-2", "top-1-unnormalised", "top-3-unnormalised", "top-2-biased"]


@pytest.mark.parametrize("name", SELECTIONS)
def test_gauges_of_selections_leave_f(name):
    """Who is selected is compared too, in ball arithmetic."""
    check_gate(name)


def test_false_gauges_of_selections_fail():
    """The common factor has to keep σ + b, a shift of one variant is none of another."""
    biased, softmax = resolve("top-2-biased"), resolve("top-2")
    shift, scale = biased.declared
    turned = replace(
        scale,
        move=lambda v, c: {**scale.move(v, c), "selection_bias": v["selection_bias"] * (2 * c - 1)},
    )
    with pytest.raises(AssertionError, match="'common factor' moves f"):
        check_gate(replace(biased, declared=(shift, turned)))
    offsets = replace(shift, moves=(OFFSET,), move=lambda v, t: {"beta0": v["beta0"] + t})
    with pytest.raises(AssertionError, match="'shift of the selection' moves f"):
        check_gate(replace(biased, declared=(offsets, scale)))
    with pytest.raises(AssertionError, match="declare it"):
        check_gate(replace(softmax, declared=()))


@pytest.mark.parametrize(
    ("name", "proved"),
    [("top-2", [True]), ("top-1-unnormalised", [True]), ("top-2-biased", [True, True])],
)
def test_gauges_of_selections_are_proved(name, proved):
    assert [g.proved for g in check("gelu", name, dim=1).gauges] == proved


def test_a_factor_that_changes_the_selection_is_not_proved():
    biased = resolve("top-2-biased")
    shift, scale = biased.declared
    lost = replace(scale, formula=(scale.formula[0], ("selection_bias", "selection_bias")))
    found = check("gelu", replace(biased, declared=(shift, lost)), dim=1).gauges
    assert [g.proved for g in found] == [True, False]
