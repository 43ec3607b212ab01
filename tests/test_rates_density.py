"""Rate experiments with densities: settings, fits, predictions, plans, stores, reports."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from identkit.cli.main import main
from identkit.density.measure import DensityMeasure
from identkit.errors import InputError
from identkit.losses.printed import printed_loss
from identkit.mixing import MixingMeasure
from identkit.rates import density_predictions
from identkit.rates.density_plan import density_setting, measure_of
from identkit.rates.density_quantities import aligned, density_errors
from identkit.rates.density_result import observe_density
from identkit.rates.density_setting import DensitySetting, density_box
from identkit.rates.fits import blocks, perform
from identkit.rates.plan import load_plan
from identkit.rates.presented import stored_results
from identkit.rates.rows import Block
from identkit.rates.running import observed
from identkit.rates.setting import Experiment, setting_from
from identkit.rates.slopes import exponent
from identkit.rates.store import Store
from identkit.truths.record import load_truths

PUBLISHED, REPAIRED = load_truths("deepseek-published"), load_truths("deepseek-repaired")
DENSE = {"fitted": {"shared": 2, "routed": 2}}
R2 = density_setting(REPAIRED["R2"], {"budgets": (30, 300)})
T1 = density_setting(PUBLISHED["T1"], {})
SIZES = (100, 200, 400)


def small(setting, **change):
    return Experiment("small", setting, SIZES, change.pop("replicates", 8), **change)


# -- settings ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["T1", "T2", "T3", "T4"])
def test_a_setting_and_its_document(name):
    setting = density_setting(PUBLISHED[name], {})
    document = json.loads(json.dumps(setting.document()))
    again = setting_from(document)
    assert isinstance(again, DensitySetting)
    assert again.key == setting.key
    assert again.document() == setting.document()
    assert len(setting.columns) == setting.length
    assert setting.atoms == (2, 3)


def test_the_density_that_starts_scatter_around_is_the_truth():
    x = np.linspace(-3, 3, 50)[:, None]
    y = np.linspace(-20, 20, 50)
    for truths in (PUBLISHED, REPAIRED):
        for truth in truths.truths:
            s = density_setting(truth, {})
            if s.dense:  # copies of an atom with a slope do not share its weight at every x
                assert density_predictions.derived(s, "local") == {}
                s = density_setting(truth, DENSE)
            one, other = (s.model.log_density(m, x, y) for m in (s.truth, s.centre))
            np.testing.assert_allclose(one, other, rtol=1e-12)
            assert s.centre.atoms == s.atoms


def test_data_are_functions_of_seed_replicate_and_n():
    for r in (0, 3):
        first, again = R2.draw(50, r), R2.draw(50, r)
        np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(R2.draw(50, 0)[1], R2.draw(50, 1)[1])
    other = replace(R2, seed=2)
    assert not np.array_equal(R2.draw(50, 0)[1], other.draw(50, 0)[1])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"atoms": (1, 1)}, "from the truth's 2"),
        ({"over": (0, 2)}, "no routed atom 2"),
        ({"budgets": (10, 10)}, "increasing"),
        ({"loss": "D7"}, "D7"),
        ({"loss": "D4"}, "population minimiser"),
        ({"domain": (1.0, 1.0)}, "smaller first"),
        ({"scale": -1.0}, "scale"),
        ({"box": replace(R2.box, variance=None)}, "variances"),
        ({"box": replace(R2.box, variance=(0.3, 2.0))}, "leaves out the truth"),
    ],
)
def test_what_does_not_fit_together(change, said):
    with pytest.raises(InputError, match=said):
        replace(R2, **change)


def test_kinds_of_start():
    with pytest.raises(InputError, match="split"):
        small(R2, starts=("split",))


# -- errors -----------------------------------------------------------------------------------


def test_errors_of_the_truth_itself_are_none():
    for truth, values in ((REPAIRED["R1"], {}), (REPAIRED["R4"], DENSE)):
        s = density_setting(truth, values)
        found = density_errors(s, DensityMeasure.stack([s.centre]))
        assert all(v[0] < 1e-7 for v in found.values() if np.isfinite(v[0]))
        assert "over:shared:variance" in found
        assert np.isnan(found["exact:shared"][0])


def test_printed_losses_are_blind_to_a_shift_once_gates_are_aligned():
    """Without it D2 measures where a start lay along the gauge."""
    moved = MixingMeasure(
        R2.truth.routed.beta0 + 1.0, R2.truth.routed.beta1 - 2.0, R2.truth.routed.eta
    )
    shifted = replace(R2.truth, routed=moved)
    assert printed_loss("D2", shifted, R2.truth) > 1
    assert printed_loss("D2", aligned(R2, shifted), R2.truth) < 1e-12


def test_errors_by_hand():
    """One parameter of one atom moved by known amounts."""
    centre = R2.centre
    eta = centre.routed.eta.copy()
    eta[0, 1] += 0.25  # b of a copy
    eta[2, 0] += 0.5  # a of the atom that is alone
    moved = replace(centre, routed=MixingMeasure(centre.routed.beta0, centre.routed.beta1, eta))
    found = density_errors(R2, DensityMeasure.stack([moved]))
    assert found["over:routed:b"][0] == pytest.approx(0.25)
    assert found["over:routed:a"][0] == pytest.approx(0.0, abs=1e-12)
    assert found["exact:routed"][0] == pytest.approx(0.5)
    assert found["hellinger"][0] > 1e-3


def test_relu_orbits_are_no_error():
    """(c, a, b) → (c/2, 2a, 2b) of a shared atom: the same density, and no distance."""
    centre = T1.centre
    kappa = centre.shared.eta * np.array([0.5, 2.0, 2.0])
    moved = DensityMeasure.with_shared(
        centre.routed, centre.variances, centre.omega, kappa, centre.shared_variances
    )
    found = density_errors(T1, DensityMeasure.stack([moved]))
    assert found["over:shared:c"][0] < 1e-9
    assert found["quotient"][0] < 1e-9
    assert found["printed:D1"][0] > 1  # as printed it is not invariant


# -- predictions ------------------------------------------------------------------------------


def rates(setting, start="local"):
    return {k: str(v) for k, v in density_predictions.derived(setting, start).items()}


def test_linear_cells_of_two():
    """Theory section 11: b n^-1/8, a and ν n^-1/4, in both halves; atoms alone n^-1/2."""
    found = rates(R2)
    for half in ("shared", "routed"):
        assert found[f"over:{half}:a"] == found[f"over:{half}:variance"] == "n^-1/4"
        assert found[f"over:{half}:b"] == "n^-1/8"
    assert found["exact:routed"] == found["printed:D2"] == found["quotient"] == "n^-1/2"
    assert "exact:shared" not in found  # the one true atom is fitted by two
    assert rates(R2, "away") == {"hellinger": "n^-1/2"}
    assert density_predictions.orders_in(R2, "shared") == {"a": 2, "b": 4, "variance": 2}


def test_gelu_and_dense():
    found = rates(density_setting(REPAIRED["R1"], {}))
    assert {v for k, v in found.items() if k.startswith("over:")} == {"n^-1/4"}
    assert found["over:routed:gate"] == "n^-1/4"
    dense = density_setting(REPAIRED["R4"], DENSE)
    assert dense.loss == "D4"
    assert rates(dense)["printed:D4"] == "n^-1/2"
    assert "over:routed:a" not in rates(dense)
    assert density_setting(REPAIRED["R4"], {}).loss is None  # no minimiser is known


def test_nothing_is_predicted_of_parameters_that_are_not_identified():
    assert rates(T1) == {"hellinger": "n^-1/2"}
    names = density_predictions.known_alternatives(T1)
    assert set(names) == {"orbit", "exchange of the halves", "transport between the halves"}
    t3 = density_setting(PUBLISHED["T3"], {})
    assert "common factor" in density_predictions.known_alternatives(t3)
    assert density_predictions.unmet(t3)
    assert density_predictions.known_alternatives(R2) == ()


# -- fits -------------------------------------------------------------------------------------


def test_a_fit_is_the_same_in_any_block():
    whole = perform(R2, Block(R2.key, "local", 100, (0, 1, 2)))
    alone = perform(R2, Block(R2.key, "local", 100, (2,)))
    mine = [row for row in whole if row.replicate == 2]
    assert [r.estimates for r in mine] == [r.estimates for r in alone]
    assert [r.budget for r in mine] == [30, 300]
    assert mine[-1].cost <= mine[0].cost
    assert all(row.errors["deviance"] < 0 for row in whole if row.budget == 300)


def test_random_starts_know_the_data_alone():
    setting = replace(R2, trials=2)
    rows = perform(setting, Block(setting.key, "away", 200, (0,)))
    assert len(rows) == 2
    assert np.isfinite(rows[-1].errors["hellinger"])


def test_blocks_hold_few_samples():
    experiment = Experiment("large", R2, (100, 1000, 100_000), 40)
    for block in blocks(experiment):
        assert len(block.replicates) * block.n <= 400_000


# -- plans, stores, reports ---------------------------------------------------------------------

PLAN = """
name = "mine"
sizes = [100, 200, 400]
replicates = 8
control = 1
trials = 1
budgets = [20, 200]

[[grid]]
truths = "deepseek-repaired"
only = ["R2"]
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A sweep of R2, run by the command."""
    folder = tmp_path_factory.mktemp("density")
    plan = folder / "mine.toml"
    plan.write_text(PLAN)
    path = folder / "mine.sqlite"
    assert main(["sweep", str(plan), "--store", str(path), "--scheduler", "inline"]) == 0
    return path, plan


def test_a_sweep_is_resumed_and_reported(store, capsys):
    path, plan = store
    with Store.open(path, read_only=True) as kept:
        (experiment,) = kept.experiments()
        before = kept.rows(experiment.setting.key)
        result = observed(experiment, kept)
        (line,) = kept.summary()
    assert line.rows == line.planned == experiment.fits == 2 * 3 * (8 + 1)
    assert result.complete
    assert result.line("hellinger").slope is not None
    assert main(["sweep", str(plan), "--store", str(path), "--scheduler", "inline", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["results"]
    assert found["schema"] == "identkit.density-rates/1"
    assert {e["quantity"] for e in found["exponents"]} == {"printed:D2", "hellinger", "quotient"}
    with Store.open(path, read_only=True) as kept:
        after = kept.rows(experiment.setting.key)
    assert [r.seconds for r in after] == [r.seconds for r in before]  # nothing was fitted again


def test_views_of_a_store(store, tmp_path, capsys):
    path, _ = store
    assert main(["runs", "show", "--store", str(path)]) == 0
    text = capsys.readouterr().out
    assert "exponents of log(n)/n, local starts" in text
    assert "n^-1/8" in text
    assert max(map(len, text.splitlines())) <= 80
    csv = tmp_path / "fits.csv"
    assert main(["runs", "export", "--csv", str(csv), "--store", str(path)]) == 0
    assert "error.over:shared:b" in csv.read_text().partition("\n")[0]
    page = tmp_path / "page.html"
    assert main(["report", str(path), "--out", str(page)]) == 0
    assert "Exponents of log(n)/n" in page.read_text()


def test_results_from_python(store):
    path, _ = store
    (result,) = stored_results(path)
    assert "exponents of log(n)/n" in str(result)
    assert result.to_dict()["alternatives"] == []
    assert "54 of 54 fits" in repr(result)


def test_fewer_fits_are_said(store):
    path, _ = store
    with Store.open(path, read_only=True) as kept:
        (experiment,) = kept.experiments()
        rows = [r for r in kept.rows(experiment.setting.key) if r.n < 400]
    result = observe_density(experiment, rows)
    assert not result.complete
    assert any("missing" in w for w in result.warnings)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('only = ["R2"]', 'only = ["R9"]', "R9"),
        ('only = ["R2"]', 'experts = ["gelu"]', "experts"),
        ('truths = "deepseek-repaired"', 'truths = "nothing"', "nothing"),
        ('only = ["R2"]', "fitted = {shared = 1, routed = 1}", "from the truth's 2"),
        ('only = ["R2"]', 'starts = ["split"]', "split"),
        ("replicates = 8\n", "", "replicates"),
    ],
)
def test_mistakes_in_a_plan(tmp_path, old, new, said):
    path = tmp_path / "mine.toml"
    assert old in PLAN
    path.write_text(PLAN.replace(old, new))
    with pytest.raises(InputError, match=said):
        load_plan(path)


def test_keys_of_densities_are_refused_elsewhere(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        PLAN.replace('truths = "deepseek-repaired"', 'experts = ["gelu"]\ngates = ["sigmoid"]')
    )
    with pytest.raises(InputError, match="only: is a key of grids with truths"):
        load_plan(path)


@pytest.mark.parametrize("name", ["deepseek-published", "deepseek-repaired"])
def test_the_plans_that_come_with_identkit(name):
    plan = load_plan(name)
    assert all(e.sizes[0] == 100 and e.sizes[-1] == 100_000 for e in plan.experiments)
    assert all(e.replicates >= 40 and len(e.setting.budgets) == 2 for e in plan.experiments)
    losses = [e.setting.loss for e in plan.experiments]
    assert {"D1", "D2", "D3", "D4"} <= set(losses)


def test_exponents_as_a_paper_fits_them():
    n = [100, 1000, 10000]
    values = [np.full(10, 3 * (np.log(m) / m) ** 0.451) for m in n]
    for mean in (True, False):
        assert exponent(n, values, mean=mean).value == pytest.approx(0.451)


def test_decimals_of_a_truth():
    measure = measure_of(PUBLISHED["T1"])
    assert measure.variances.tolist() == [0.4, 0.4]
    assert measure.shared.eta.tolist() == [[-8.0, 6.0, 0.0]]
    box = density_box(R2.model, R2.truth, (2, 3))
    assert box.variance == (pytest.approx(0.04), pytest.approx(2.0))
