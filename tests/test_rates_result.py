"""Settings, fits of a block, quantities, predictions, and what is made of rows."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

import identkit
from identkit.errors import InputError
from identkit.fit import Box, Model
from identkit.rates import observe, predictions
from identkit.rates.fits import Block, Row, blocks, environment, perform
from identkit.rates.quantities import DEVIANCE, certified, errors
from identkit.rates.refits import (
    EXACT,
    _assigned,
    _descent,
    _gaps,
    _to_refit,
    nearest,
    within_box,
)
from identkit.rates.setting import Experiment, Setting
from identkit.report import rates_report
from identkit.report.rates_parts import summary
from identkit.report.terminal import plain

pytestmark = pytest.mark.usefixtures("one_thread")

S = identkit.MixingMeasure([1.0, -1.0], [[0.0], [-4.5]], [[2.2, 0.7], [-4.0, 1.25]])
TWIN = identkit.MixingMeasure([1.4, -1.4], [[0.9], [-0.9]], [[1.5, 0.95], [-2.4, -1.55]])
M = identkit.MixingMeasure([1.4, 0.0], [[0.9], [0.0]], [[1.5, 0.95], [-2.4, -1.55]])


def setting(expert="gelu", gate="sigmoid", regime=1, truth=S, **options):
    options = {"noise": 0.003, "box": Box(beta0=(-2.5, 4)), "k": 3, **options}
    if gate == "softmax":
        regime, truth = None, M if truth is S else truth
    return Setting(Model.of(expert, gate), regime, truth, **options)


# -- settings ---------------------------------------------------------------------------------


def test_a_setting_comes_back_from_its_document():
    for one in (setting(), setting("relu", "softmax"), setting(regime=2, truth=TWIN, seed=7)):
        again = Setting.from_document(one.document())
        assert again.key == one.key
        assert again.document() == one.document()


@pytest.mark.parametrize(
    "change",
    [
        {"noise": 0.004},
        {"seed": 2},
        {"box": Box(beta0=(-2.5, 5))},
        {"budgets": (300, 2000)},
        {"flat": 1e-8},
        {"k": 4},
        {"scale": 0.2},
        {"spread": 0.3},
        {"trials": 4},
        {"domain": (-2.0, 2.0)},
        {"truth": identkit.MixingMeasure([1.0, -1.0], [[0.0], [-4.5]], [[2.2, 0.7], [-4.0, 1.3]])},
    ],
)
def test_whatever_changes_a_fit_changes_the_key(change):
    assert replace(setting(), **change).key != setting().key


def test_sizes_and_replicates_are_not_part_of_the_key():
    small = Experiment("e", setting(), (20, 40, 80), 2)
    large = Experiment("e", setting(), (50, 60, 70), 9, ("local", "null"), 3)
    assert small.setting.key == large.setting.key
    assert large.fits == (9 + 9 + 3) * 3 * 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"regime": 3}, "regime 3"),
        ({"regime": 2}, "β1\\* ≠ 0"),
        ({"box": Box(beta0=(0, 4))}, "leaves out the truth, β0 = -1 of atom 1"),
        ({"k": 5, "box": Box(beta0=(-1.2, 4))}, "leaves out the truth with k atoms, β0 = -1.4"),
        ({"box": Box(eta=math.inf)}, "finite"),
        ({"noise": 0.0}, "noise"),
        ({"k": 1}, "at least the truth's 2"),
        ({"over": 2}, "no atom 2"),
        ({"budgets": (300, 200)}, "increasing"),
    ],
)
def test_settings_that_make_no_sense(change, words):
    with pytest.raises(InputError, match=words):
        replace(setting(), **change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sizes": (100, 200)}, "3 or more"),
        ({"sizes": (5, 50, 500)}, "fewer than the 12 parameters"),
        ({"replicates": 1}, "replicates"),
        ({"starts": ("near",)}, "near"),
        ({"starts": ("local", "local")}, "each once"),
    ],
)
def test_experiments_that_make_no_sense(change, words):
    with pytest.raises(InputError, match=words):
        replace(Experiment("e", setting(), (100, 200, 400), 4), **change)


# -- fits -------------------------------------------------------------------------------------


def fits(one, start, n, replicates):
    rows = perform(one, Block(one.key, start, n, tuple(replicates)))
    return [replace(row, seconds=0.0) for row in rows]


@pytest.mark.parametrize("kind", ["local", "away"])
def test_a_fit_is_the_same_in_any_block(kind):
    """Bitwise: a resumed or distributed run cuts other blocks than an uninterrupted one."""
    one = setting(budgets=(5, 12))
    together = fits(one, kind, 300, range(4))
    apart = [row for r in range(4) for row in fits(one, kind, 300, [r])]
    assert together == apart
    assert [(r.replicate, r.budget) for r in together[:4]] == [(0, 5), (0, 12), (1, 5), (1, 12)]


def test_a_larger_budget_goes_on_where_the_smaller_one_stopped():
    rows = fits(setting(budgets=(6, 60)), "local", 500, range(6))
    for short, long in zip(rows[::2], rows[1::2], strict=True):
        assert long.cost <= short.cost
        assert short.steps <= 6 < long.steps or short.status != "step limit"


def test_deviance_is_the_cost_against_that_of_the_truth():
    one = setting(noise=0.02)
    (row, _) = fits(one, "local", 400, [3])
    data = identkit.simulate(one.model, S, 400, 4, noise=0.02, seed=one.seed)
    x, y = data.data(3)
    at_truth = np.sum((one.model.predict(S, x) - y) ** 2)
    fitted = one.model.unpack(np.array(row.estimates))
    here = np.sum((one.model.predict(fitted, x) - y) ** 2)
    assert row.errors[DEVIANCE] == pytest.approx((here - at_truth) / 0.02**2, rel=1e-9)


def test_blocks_are_cut_at_fixed_places_and_skip_what_is_done():
    e = Experiment("e", setting("relu"), (1000, 10_000, 100_000), 50, ("split",), 4)
    every = list(blocks(e))
    wanted = {(start, n, r) for start, count in e.runs for n in e.sizes for r in range(count)}
    assert {(b.start, b.n, r) for b in every for r in b.replicates} == wanted
    done = set(range(0, 50, 3))
    left = list(blocks(e, lambda start, n: done if start == "split" else set(range(9))))
    whole = {(b.start, b.n): [] for b in every}
    for b in every:
        whole[b.start, b.n].append(set(b.replicates))
    for b in left:
        assert b.start == "split"
        assert any(set(b.replicates) == part - done for part in whole[b.start, b.n])


# -- quantities -------------------------------------------------------------------------------


def refined(truth, shares, scale=None):
    """Atom 0 of a truth as copies with shares of its weight, η scaled by ``scale``."""
    m = len(shares)
    weight = 1 / (1 + math.exp(-truth.beta0[0]))
    beta0 = [math.log(s * weight / (1 - s * weight)) for s in shares]
    factors = np.ones(m) if scale is None else np.asarray(scale)
    return identkit.MixingMeasure(
        [[*beta0, *truth.beta0[1:]]],
        [[*np.repeat(truth.beta1[:1], m, axis=0), *truth.beta1[1:]]],
        [[*(factors[:, None] * truth.eta[0]), *truth.eta[1:]]],
    )


def test_all_errors_vanish_at_the_truth_and_none_elsewhere():
    one = setting()
    found = errors(one, refined(S, [0.3, 0.7]))
    assert set(found) == {"regression", "expert", "gate", "exact", "voronoi"}
    assert all(v[0] < 1e-12 for v in found.values())
    moved = identkit.MixingMeasure(
        refined(S, [0.3, 0.7]).beta0 + 0.01,
        *(getattr(refined(S, [0.3, 0.7]), n) + 0.01 for n in ("beta1", "eta")),
    )
    assert all(v[0] > 1e-4 for v in errors(one, moved).values())


def test_what_relu_still_identifies_is_zero_along_its_family():
    """Weights 0.5 and 0.5 with scales 0.4 and 1.6: other parameters, the same f."""
    found = errors(setting("relu", box=Box(beta0=(-2.5, 4))), refined(S, [0.5, 0.5], [0.4, 1.6]))
    assert found["regression"][0] < 1e-12
    assert found["expert"][0] > 1
    for name in ("family", "aggregate", "direction:a,b"):
        assert found[name][0] < 1e-7, name


def test_an_identified_parameter_beside_a_family():
    """c·gelu(a x + b): c splits, a and b are identified."""
    truth = identkit.MixingMeasure([1.0, -1.0], [[0.0], [-4.5]], [[1, 2.2, 0.7], [1, -4.0, 1.25]])
    expert = identkit.Expert.from_expression("c*gelu(a*x + b)")
    one = Setting(Model.of(expert, "sigmoid"), 1, truth, 3, 0.003, Box(beta0=(-2.5, 4)))
    near = refined(truth, [0.5, 0.5])
    eta = near.eta.copy()
    eta[0, :2, 0] = [0.4, 1.6]
    found = errors(one, identkit.MixingMeasure(near.beta0, near.beta1, eta))
    assert found["identified:a,b"][0] < 1e-12
    assert found["expert"][0] == pytest.approx(0.6)
    rates = texts(predictions.derived(one, certified(one), "local"))
    assert rates["identified:a,b"] == "n^-1/4"
    assert rates["expert"] == "no consistent estimator"


# -- Regime 2 ---------------------------------------------------------------------------------


def null_refit(truth, gate):
    return identkit.MixingMeasure(
        [[truth.beta0[1], gate[0], truth.beta0[0]]],
        [[truth.beta1[1], [gate[1]], truth.beta1[0]]],
        [[truth.eta[1], 0 * truth.eta[0], truth.eta[0]]],
    )


def test_an_exact_refit_is_at_distance_zero():
    one = setting(regime=2, truth=TWIN, box=Box(beta0=(-3, 4)))
    found = errors(one, null_refit(TWIN, (0.3, -2.0)))
    assert found["minimiser"][0] < 1e-12
    assert found["minimiser-expert"][0] < 1e-12
    assert found["regression"][0] < 1e-12


def test_the_distance_to_a_null_expert_is_that_of_its_parameters():
    """The gate of the null atom is free, so it does not count, however far from the others."""
    one = setting(regime=2, truth=TWIN, box=Box(beta0=(-3, 4)))
    near = null_refit(TWIN, (3.5, 8.0))
    eta = near.eta.copy()
    eta[0, 1] = [3e-4, -4e-4]
    eta[0, 0, 1] += 1e-4
    found = errors(one, identkit.MixingMeasure(near.beta0, near.beta1, eta))
    assert found["minimiser"][0] <= 6e-4 * (1 + 1e-9)
    assert found["minimiser-expert"][0] <= 5e-4 * (1 + 1e-9)


def test_split_atoms_of_relu_are_a_refit():
    one = setting("relu", regime=2, truth=TWIN, box=Box(beta0=(-3, 4)))
    split = identkit.MixingMeasure(
        [[1.4, -1.4, 1.4]],
        [[[0.9], [-0.9], [0.9]]],
        [[TWIN.eta[0] / 2, TWIN.eta[1], TWIN.eta[0] / 2]],
    )
    assert errors(one, split)["minimiser"][0] < 1e-9


def test_regime_2_quantities_ignore_labels():
    one = setting(regime=2, truth=TWIN, box=Box(beta0=(-3, 4)))
    rng = np.random.default_rng(0)
    base = null_refit(TWIN, (0.5, 1.0)).to_vector()
    fitted = one.model.unpack(base + 0.01 * rng.standard_normal((2, base.shape[1])))
    here = nearest(one, fitted, certified(one).premise.refits, np.ones(2))
    there = nearest(one, fitted.relabelled([2, 0, 1]), certified(one).premise.refits, np.ones(2))
    np.testing.assert_allclose(there.distance, here.distance, rtol=1e-6)


def test_atoms_are_matched_as_by_trying_all_permutations():
    rng = np.random.default_rng(3)
    fitted = identkit.MixingMeasure(
        *(rng.standard_normal(s) for s in ((5, 4), (5, 4, 2), (5, 4, 3)))
    )
    other = identkit.MixingMeasure(*(rng.standard_normal(s) for s in ((4,), (4, 2), (4, 3))))
    columns = []
    for j in range(4):
        atom = [
            np.broadcast_to(a[j], (5, 4, *a[j].shape))
            for a in (other.beta0, other.beta1, other.eta)
        ]
        columns.append(_gaps(fitted, identkit.MixingMeasure(*atom)))
    distance, expert = _assigned(columns)
    for r in range(5):
        sums = {
            order: sum(columns[j][0][r, i] for i, j in enumerate(order))
            for order in itertools.permutations(range(4))
        }
        best = min(sums, key=sums.get)
        assert distance[r] == pytest.approx(sums[best])
        assert expert[r] == pytest.approx(max(columns[j][1][r, i] for i, j in enumerate(best)))


def test_regime_2_without_a_known_refit_has_quantities_of_their_own():
    """Sigmoid experts: no refit is known, so descent finds a local minimiser, and is called so."""
    one = setting("sigmoid", regime=2, truth=TWIN, box=Box(beta0=(-3, 4)))
    near = null_refit(TWIN, (-2.5, 0.5))
    found = errors(one, near)
    assert set(found) == {
        "regression", "local-minimiser", "local-minimiser-expert", "local-minimiser-regression",
    }  # fmt: skip
    assert found["regression"][0] > 1e-3
    assert not predictions.attained(one, certified(one))
    assert texts(predictions.derived(one, certified(one), "local")) == {}


def test_a_local_minimum_is_no_minimiser():
    """Descent that does not reach f_G* bounds no distance to the exact refits."""
    one = setting(regime=2, truth=TWIN, box=Box(beta0=(-3, 4)))
    rng = np.random.default_rng(5)
    vectors = null_refit(TWIN, (0.5, 1.0)).to_vector() + 0.6 * rng.standard_normal((12, 12))
    fitted = one.model.unpack(vectors)
    regression = errors(one, fitted)["regression"]
    _, left = _descent(one, fitted)
    (refit,) = within_box(one, certified(one).premise.refits)
    found = nearest(one, fitted, [refit], regression)
    (to_null,) = _to_refit(one, fitted, refit)
    stuck = ~(left <= EXACT * regression)
    assert stuck.any()
    np.testing.assert_array_equal(found.distance[stuck], to_null[0][stuck])
    assert (found.distance <= to_null[0]).all()


def test_refits_outside_the_box_do_not_count():
    one = setting(
        regime=2,
        truth=identkit.MixingMeasure([1.4, -1.4], [[0.9], [-0.9]], [[1.5, 0.95], [2.4, -1.55]]),
        box=Box(beta0=(-3, 4), eta=[(0.5, 10), (-10, 10)]),
    )
    assert within_box(one, certified(one).premise.refits) == ()
    assert not predictions.attained(one, certified(one))


# -- predictions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expert", "gate", "regime", "published", "derived"),
    [
        ("gelu", "sigmoid", 1, "n^-1/4", "n^-1/4"),
        ("relu", "sigmoid", 1, "n^-1/4", "no consistent estimator"),
        ("linear", "sigmoid", 1, "1/log n", "no consistent estimator"),
        ("tanh", "sigmoid", 1, None, "n^-1/4"),
        ("sin", "sigmoid", 1, None, "no consistent estimator"),
        ("sin", "softmax", None, None, "n^-1/4"),
        ("gelu", "softmax", None, "n^-1/4", "n^-1/4"),
        ("input-free", "softmax", None, "1/log n", "no consistent estimator"),
    ],
)
def test_predictions_for_the_experts_of_an_over_specified_cell(
    expert, gate, regime, published, derived
):
    one = of(expert, gate, regime)
    condition = certified(one)
    said = texts(predictions.published(one, condition))
    follows = texts(predictions.derived(one, condition, "local"))
    assert said.get("expert") == published
    assert follows["expert"] == derived
    assert said["regression"] == follows["regression"] == "n^-1/2"
    # the loss of the theorems is claimed for identifiable experts only
    assert ("voronoi" in said) == (published == "n^-1/4")


def texts(rates):
    """Quantity -> rate as printed."""
    return {name: str(rate) for name, rate in rates.items()}


def of(expert, gate, regime, truth=None, **options):
    """A setting of an expert by name or expression, at the usual truths."""
    chosen = truth or (S if gate == "sigmoid" else M)
    model = (
        Model.of(identkit.Expert.from_expression(expert), gate)
        if "*" in expert
        else Model.of(expert, gate)
    )
    q = len(model.parameters)
    eta = chosen.eta[:, :q] if q < 3 else np.column_stack([np.ones(2), chosen.eta])[:, :q]
    measure = identkit.MixingMeasure(chosen.beta0, chosen.beta1, eta)
    box = Box(beta0=(-3, 4))
    return Setting(model, regime, measure, **{"k": 3, "noise": 0.01, "box": box, **options})


def test_predictions_of_relu_are_those_of_its_kink():
    one = of("relu", "sigmoid", 1)
    follows = texts(predictions.derived(one, certified(one), "split"))
    assert follows["direction:a,b"] == "n^-1/3"
    assert follows["aggregate"] == "n^-1/2"


def test_erf_is_slower_but_has_no_family():
    one = of("erf(a*x + b)", "sigmoid", 1)
    follows = texts(predictions.derived(one, certified(one), "local"))
    assert follows["expert"] == "slower than n^-1/4"
    assert follows["voronoi"] == "slower than n^-1/2"


def test_derived_rates_are_local():
    """GELU at η = 0 is 0: with any gate such an atom refits f_G* in Regime 1 too."""
    one = of("gelu", "sigmoid", 1)
    for start in ("null", "away"):
        assert texts(predictions.derived(one, certified(one), start)) == {"regression": "n^-1/2"}


def test_restrictions_of_a_rate_are_those_of_the_setting():
    softmax = certified(of("gelu", "softmax", None))
    every = texts(predictions.derived(of("gelu", "softmax", None, k=3), softmax, "local"))
    assert every["expert"] == "n^-1/4"
    # k = 2k*: every true atom may be split in two with gates β1 ± t, whatever the expert
    doubled = of("gelu", "softmax", None, k=4, box=Box(beta0=(-3, 4)))
    assert texts(predictions.derived(doubled, softmax, "local")) == {"regression": "n^-1/2"}
    # no atom is over-specified: no cell
    exact = texts(predictions.derived(of("gelu", "softmax", None, k=2), softmax, "local"))
    assert exact == {"regression": "n^-1/2", "exact": "n^-1/2"}


@pytest.mark.parametrize("expert", ["tanh((a + b)*x)", "c*exp(a*x + b)"])
def test_a_redundant_parameter_does_not_speak_of_the_set_of_minimisers(expert):
    one = of(expert, "sigmoid", 2, TWIN)
    follows = texts(predictions.derived(one, certified(one), "local"))
    assert set(follows) <= {"regression"}


# -- what is made of rows ---------------------------------------------------------------------

SIZES = (1000, 3162, 10_000, 31_623)


def experiment(**changes):
    return replace(Experiment("e", setting(budgets=(10, 20)), SIZES, 30), **changes)


def rows(e, powers, *, status="converged", deviance=-5.0, spread=0.3, budgets=None):
    """Rows whose errors are power laws; ``powers`` maps quantities to exponents, per budget."""
    rng = np.random.default_rng(1)
    out = []
    for start, count in e.runs:
        for n in e.sizes:
            for r in range(count):
                noise = {q: math.exp(spread * rng.standard_normal()) for q in powers}
                for budget in e.setting.budgets:
                    power = (budgets or {}).get(budget, powers)
                    values = {q: n ** power[q] * noise[q] for q in powers} | {DEVIANCE: deviance}
                    estimates = (0.0,) * 12
                    fit = (status, 1.0, 1e-9, 9, estimates, values, 0.1)
                    out.append(Row(e.setting.key, start, n, r, budget, *fit))
    return out


GOOD = {"expert": -0.25, "gate": -0.25, "exact": -0.5, "voronoi": -0.5, "regression": -0.5}


def test_power_laws_as_predicted_are_consistent():
    e = experiment()
    result = observe(e, rows(e, GOOD))
    assert result.complete
    assert not result.warnings
    for v in result.verdicts:
        assert (v.against_published, v.against_derived) == ("consistent", "consistent")
    assert result.line("expert").slope.low < -0.25 < result.line("expert").slope.high
    assert summary(result) == (
        "slopes beside rates: published: 5 consistent; derived: 5 consistent"
    )
    mixed = observe(e, rows(e, {**GOOD, "expert": -0.02, "gate": -0.45}))
    assert summary(mixed) == (
        "slopes beside rates: published: 3 consistent, 1 inconsistent, 1 inconclusive; "
        "derived: 3 consistent, 1 inconsistent, 1 inconclusive"
    )
    text = plain(rates_report.terminal(result))
    assert "inconsistent:" in text  # the legend
    assert text.count("consistent\n") >= 5
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("change", "verdict", "words"),
    [
        ({"powers": {**GOOD, "expert": -0.02}}, "inconsistent", "slower"),
        ({"powers": {**GOOD, "expert": -0.45}}, "inconclusive", "faster"),
        ({"powers": GOOD, "status": "step limit"}, "inconclusive", "ran out of steps"),
        ({"powers": GOOD, "deviance": 5.0}, "inconclusive", "local minima"),
        ({"powers": GOOD, "budgets": {10: {**GOOD, "expert": -0.5}}}, "inconclusive", "budget"),
        ({"powers": GOOD, "spread": 9.0}, "inconclusive", "is not excluded"),
    ],
)
def test_verdicts_that_rows_do_not_support(change, verdict, words):
    e = experiment()
    found = observe(e, rows(e, **change)).verdict("expert")
    assert found.against_published == verdict
    assert words in " ".join(found.reasons)


def test_missing_fits_are_said():
    e = experiment()
    part = rows(e, GOOD)[:-7]
    result = observe(e, part)
    assert not result.complete
    assert result.fits == e.fits - 7
    assert "7 of 240 fits are missing" in " ".join(result.warnings)


def test_rows_of_other_plans_are_ignored():
    e = experiment()
    mine = rows(e, GOOD)
    others = [replace(r, n=77) for r in mine] + [replace(r, replicate=99) for r in mine]
    others += [replace(r, setting="x") for r in mine] + [replace(r, start="null") for r in mine]
    assert observe(e, others + mine).to_dict() == observe(e, mine).to_dict()


def test_fits_of_several_versions_are_said():
    e = experiment()
    here = environment()
    result = observe(e, rows(e, GOOD), [here, {**here, "torch": "1.0"}])
    assert any("2 environments" in w for w in result.warnings)


def test_order_of_rows_does_not_matter():
    e = experiment(control=8)
    mine = rows(e, GOOD)
    shuffled = [mine[i] for i in np.random.default_rng(0).permutation(len(mine))]
    assert observe(e, shuffled).to_dict() == observe(e, mine).to_dict()


def test_a_control_that_does_better_is_said():
    e = experiment(control=8)
    mine = rows(e, GOOD)
    better = {"cost": 0.5, "errors": {**mine[0].errors, DEVIANCE: -8.0}}
    mine = [replace(r, **better) if r.start == "away" else r for r in mine]
    result = observe(e, mine)
    assert [(c.lower, c.clearly) for c in result.controls] == [(8, 8)] * 4
    assert "32 of 32 fits the away start reaches a clearly lower cost" in result.warnings[-1]
    # lower by less than the data can tell: said in the report, no warning
    slightly = [replace(r, cost=0.99) if r.start == "away" else r for r in rows(e, GOOD)]
    result = observe(e, slightly)
    assert [(c.lower, c.clearly) for c in result.controls] == [(8, 0)] * 4
    assert not result.warnings


def test_values_that_are_missing_are_said():
    e = experiment()
    mine = [
        replace(r, errors={**r.errors, "exact": math.nan}) if r.replicate % 2 else r
        for r in rows(e, GOOD)
    ]
    result = observe(e, mine)
    assert any("exact atoms: up to 50% of the fits have no value" in w for w in result.warnings)
    assert result.verdict("exact").against_published == "consistent"
    mine = [
        replace(r, errors={**r.errors, "exact": math.nan}) if r.replicate % 3 else r
        for r in rows(e, GOOD)
    ]
    assert observe(e, mine).verdict("exact").against_published == "inconclusive"


def test_a_null_start_needs_an_expert_that_is_0_at_0():
    one = of("cos(a*x) + 2", "sigmoid", 2, TWIN)
    with pytest.raises(InputError, match="not 0 where its parameters are 0"):
        Experiment("e", one, SIZES, 4, ("null",))


def test_an_error_of_f_that_levels_off_is_said():
    e = experiment()
    result = observe(e, rows(e, {**GOOD, "regression": -0.01}))
    assert any("no longer falls" in w for w in result.warnings)


def test_an_ill_conditioned_truth_is_said():
    truth = identkit.MixingMeasure([1.0, -1.0], [[0.0], [-1.0]], [[0.3, 0.1], [-0.2, 0.4]])
    e = experiment(setting=setting(truth=truth, noise=0.05, budgets=(10, 20)))
    assert any("ill-conditioned" in w for w in observe(e, rows(e, GOOD)).warnings)


def test_a_small_experiment_end_to_end():
    e = Experiment("e", setting("tanh", budgets=(50, 200)), (200, 400, 800), 8, control=2)
    found = [row for b in blocks(e) for row in perform(e.setting, b)]
    result = observe(e, found, [environment()])
    assert result.complete
    document = result.to_dict()
    assert document["certified"]["derived"] == "n^-1/4"
    assert {v["quantity"] for v in document["verdicts"]} >= {"expert", "voronoi", "regression"}
    assert all(
        v["published"] is None or v["quantity"] == "regression" for v in document["verdicts"]
    )
    text = plain(rates_report.terminal(result))
    assert "tanh ridge, sigmoid gate, Regime 1" in text
    assert "away: the best of 5 starts" in text
