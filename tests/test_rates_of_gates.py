"""Rate experiments under gates with routers, groups and selections."""

from __future__ import annotations

import numpy as np
import pytest
from routed_models import measure, model

from identkit.cli.main import main
from identkit.errors import InputError
from identkit.experts import builtin
from identkit.fit.model import Model
from identkit.gates import resolve
from identkit.mixing import MixingMeasure
from identkit.rates import load_plan, run_rates, run_sweep
from identkit.rates.setting import Setting

PLAN = """\
# Gates.
name = "gates"
sizes = [100, 200, 400]
replicates = 4
budgets = [40]
flat = 0.0
starts = ["local"]
experts = ["gelu"]

[[grid]]
gates = ["dense-to-sparse tanh"]
noise = 0.01
box = {beta0 = [-1.5, 4], temperature = [0.2, 1.5]}
[grid.truth]
router = [[0.9], [-0.8]]
temperature = 0.5
beta0 = [0.6, 0]
eta = [[1.5, 0.95], [-2, -1.5]]

[[grid]]
gates = ["hierarchical"]
noise = 0.01
[grid.truth]
groups = [2, 1]
beta0 = [1.4, 0, 0]
beta1 = [[0.9], [0], [0]]
alpha0 = [0.5, 0]
alpha1 = [[-1.2], [0]]
eta = [[1.5, 0.95], [-2.4, -1.55], [3.1, 0.4]]

[[grid]]
gates = ["top-2"]
k = 3
noise = 0.01
[grid.truth]
beta0 = [0.5, 1.2, 0]
beta1 = [[1.5], [-0.4], [0]]
eta = [[1.5, 0.95], [-2.4, -1.55], [3.1, 0.4]]
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gates")
    (folder / "gates.toml").write_text(PLAN)
    plan = load_plan(folder / "gates.toml")
    return plan, run_sweep(plan, folder / "fits.sqlite", scheduler="inline")


def test_what_is_observed_under_each_gate(results):
    _, found = results
    assert [r.experiment.name for r in found] == [
        "gelu ridge / dense-to-sparse tanh", "gelu ridge / hierarchical", "gelu ridge / top-2",
    ]  # fmt: skip
    assert all(r.complete for r in found)
    observed = [{line.quantity for line in r.lines} for r in found]
    cells = {"regression", "expert", "gate", "exact", "voronoi"}
    assert observed == [cells, cells, {"regression"}]
    for result in found:
        assert all(np.isfinite(s) for line in result.lines for s in line.medians)
    derived = [
        {v.quantity.key: str(v.derived.rate) for v in r.verdicts if v.derived} for r in found
    ]
    assert derived[0]["expert"] == derived[1]["expert"] == "n^-1/4"
    assert derived[2] == {"regression": "n^-1/2"}
    assert found[1].to_dict()["schema"] == "identkit.rates/2"
    assert "group 0: atoms 0, 1" in str(found[1])


def test_settings_come_back_from_their_documents(results):
    plan, _ = results
    for experiment in plan.experiments:
        setting = experiment.setting
        again = Setting.from_document(setting.document())
        assert again.key == setting.key
        assert again.fitted.layout == setting.fitted.layout
    groups = plan.experiments[1].setting
    assert groups.truth.layout.groups == (2, 1)
    assert groups.fitted.groups == groups.centre.layout.groups == (3, 1)


def test_shipped_plans_of_the_papers_read():
    for name in ("dense-to-sparse", "hierarchical", "top-k", "normalized-sigmoid"):
        assert load_plan(name).experiments


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("groups = [2, 1]\n", ""), "atoms are in groups; give their sizes"),
        (("groups = [2, 1]", "groups = [2, 2]"), "2, 2 are 4 atoms, not 3"),
        (("alpha0 = [0.5, 0]\n", ""), "truth: alpha0 is missing"),
        (("alpha0 = [0.5, 0]", "alpha0 = [0.5, 0]\nalpha7 = [1]"), "unknown key 'alpha7'"),
        (("k = 3\nnoise", "k = 4\nnoise"), "no Voronoi loss is known for gate top-2"),
        (("temperature = [0.2, 1.5]", "temperature = [-1, 1.5]"), "must be above 0"),
        (
            ("temperature = [0.2, 1.5]", "temperature = [0.7, 1.5]"),
            "it leaves out the truth, τ = 0.5",
        ),
        (('"top-2"', '"top-0"'), "give a number of atoms"),
    ],
)
def test_mistakes_of_a_plan(tmp_path, change, said):
    (tmp_path / "plan.toml").write_text(PLAN.replace(*change))
    with pytest.raises(InputError, match=r"plan\.toml") as caught:
        load_plan(tmp_path / "plan.toml")
    assert said in str(caught.value)


def test_a_truth_from_a_file(tmp_path):
    gate = resolve("laplace")
    made = Model(builtin("gelu", "ridge", 1), gate)
    truth = measure(made, 2, np.random.default_rng(0))
    truth.save(tmp_path / "truth.json")
    found = run_rates(
        "gelu", "laplace", truth=tmp_path / "truth.json", sizes=(100, 200, 400), replicates=2,
        control=2, noise=0.05, budgets=(20,), scheduler="inline",
    )  # fmt: skip
    assert found.complete
    assert found.experiment.setting.truth.to_vector().tolist() == truth.to_vector().tolist()


def test_what_needs_a_truth_says_so(capsys, tmp_path):
    measure(model("laplace", 1), 2, np.random.default_rng(0)).save(tmp_path / "truth.json")
    for given, said in (
        (["--gate", "laplace"], "give one, --truth FILE"),
        (["--gate", "hierarchical"], "give one, --truth FILE"),
        (["--gate", "laplace", "--truth", str(tmp_path / "truth.json")], "q = 3 expert parameters"),
    ):
        assert main(["rates", "--expert", "gelu", "--no-store", *given]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert "Traceback" not in error


def test_measures_of_groups_are_kept_in_files(tmp_path):
    made = model("hierarchical", 2, groups=(1, 2))
    drawn = measure(made, 3, np.random.default_rng(0))
    for name in ("m.json", "m.npz"):
        drawn.save(tmp_path / name)
        again = MixingMeasure.load(tmp_path / name)
        assert again.layout == drawn.layout
        assert again.to_vector().tolist() == drawn.to_vector().tolist()
