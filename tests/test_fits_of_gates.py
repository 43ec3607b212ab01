"""Fits, starts and simulation under every gate with parameters of its own."""

from __future__ import annotations

import json

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from routed_models import NAMES, dims, measure, model

from identkit.cli.main import main
from identkit.errors import InputError
from identkit.estimator import MoERegressor
from identkit.experts import builtin
from identkit.fit import Box, least_squares
from identkit.fit.inference import covariance
from identkit.fit.model import Model
from identkit.fit.problem import Compute
from identkit.fit.shared_gates import shared_gates
from identkit.fit.starts import random_starts
from identkit.gates import resolve
from identkit.mixing import MixingMeasure
from identkit.report.json_text import schema
from identkit.simulation import simulate

SMOOTH = [n for n in NAMES if not n.startswith("top")]
# tau is free in the second and held in the first, whose router is homogeneous
DENSE, ACTIVATED = "dense-to-sparse", "dense-to-sparse tanh"


@pytest.mark.parametrize("name", SMOOTH)
def test_a_fit_beside_the_truth_finds_it_without_noise(name):
    dim = dims(name)[-1]
    made = model(name, dim)
    truth = measure(made, 3, np.random.default_rng(11))
    data = simulate(made, truth, 600, noise=0.0, seed=3)
    x, y = data.data(0)
    wide = Box.of({b.name: 50.0 for b in made.layout.blocks if not any(made.layout.positive(b))})
    result = least_squares(made, x, y, data.starts(3, 0.01)[0], box=wide, max_steps=2000, flat=0.0)
    assert float(result.root_mean_square) <= 1e-6 * y.std()


@pytest.mark.parametrize("name", ["top-2", "top-2-unnormalised", "top-2-biased"])
def test_a_selection_is_fitted_where_it_does_not_change(name):
    """From a start whose selections are those of the truth, to which descent leads back."""
    made = model(name, 1)
    truth = measure(made, 3, np.random.default_rng(4))
    data = simulate(made, truth, 400, noise=0.0, seed=3)
    x, y = data.data(0)
    start = data.starts(3, 1e-4)[0]
    result = least_squares(made, x, y, start, max_steps=2000, flat=0.0)
    before = float(np.sqrt(np.mean((made.predict(start, x) - y) ** 2)))
    assert float(result.root_mean_square) <= before
    if resolve(name).selection.bias is not None:  # held: f is constant in it but for jumps
        kept = np.diff(result.measure["selection_bias"]) - np.diff(truth["selection_bias"])
        assert np.abs(kept).max() <= 1e-15


@pytest.mark.parametrize("name", [DENSE, ACTIVATED, "hierarchical", "laplace", "gaussian-gate"])
def test_both_kernels_end_at_one_minimum(name):
    made = model(name, 1)
    truth = measure(made, 3, np.random.default_rng(2))
    data = simulate(made, truth, 200, noise=0.01)
    x, y = data.data(0)
    start = data.starts(3, 0.01)[0]
    results = [
        least_squares(made, x, y, start, compute=Compute(kernel=kernel, nodes=False))
        for kernel in ("native", "torch")
    ]
    costs = [float(r.cost) for r in results]
    assert costs[0] == pytest.approx(costs[1], rel=1e-4)
    assert [r.settings.kernel for r in results] == ["native", "torch"]


@pytest.mark.parametrize("name", ["quadratic", "hierarchical", ACTIVATED, "laplace"])
def test_random_starts_fit_to_the_noise(name):
    made = model(name, 1)
    truth = measure(made, 3, np.random.default_rng(7))
    x, y = simulate(made, truth, 300, noise=0.05).data(0)
    starts = random_starts(made, x, y, 3, 4, seed=1)
    assert [s.to_vector().tolist() for s in random_starts(made, x, y, 3, 2, seed=1)] == [
        s.to_vector().tolist() for s in starts[:2]
    ]
    result = least_squares(made, x, y, starts)
    assert float(result.root_mean_square) < 0.06


def test_gauges_are_held():
    linear, activated = model(DENSE, 1), model(ACTIVATED, 1)
    assert linear.pinned(3)[-1]
    assert not activated.pinned(3)[-1]
    made = model("hierarchical", 1, groups=(2, 1))
    names = made.layout.numbers(made.parameters, 3)
    held = {names[i] for i in np.flatnonzero(made.pinned(3))}
    # the last atom of each group, the void gate of the only one of the second, the last group
    assert held == {
        (1, "β1"), (1, "β0"), (2, "β1"), (2, "β0"), (None, "α1 of group 1"), (None, "α0 of group 1")
    }  # fmt: skip
    assert made.free(3) == len(names) - 6
    temperature = model("sigmoid-temperature", 1)
    assert temperature.layout.numbers(temperature.parameters, 2)[-1] == (None, "τ")
    assert np.flatnonzero(temperature.pinned(2)).tolist() == [len(temperature.pinned(2)) - 1]


def test_a_temperature_that_a_gauge_moves_is_not_estimated_and_one_that_none_does_is():
    for name, held in ((DENSE, True), (ACTIVATED, False)):
        made = model(name, 1)
        truth = measure(made, 2, np.random.default_rng(5))
        data = simulate(made, truth, 500, noise=0.001)
        x, y = data.data(0)
        result = least_squares(made, x, y, data.starts(2, 0.02)[0], max_steps=1000)
        assert bool(result.held[-1]) == held
        known = covariance(result, x, y)
        assert np.isnan(known.standard_errors[-1]) == held
        assert float(result.root_mean_square) < 0.0011


def test_gates_that_are_equal_on_the_data_are_said_to_be():
    made = model("laplace", 1)
    drawn = measure(made, 3, np.random.default_rng(0))
    centre = np.array([[0.3], [0.3], [-1.2]])
    values = {b.name: drawn[b.name] for b in made.layout.blocks} | {"centre": centre}
    truth = MixingMeasure.of(made.layout, values)
    x, y = simulate(made, truth, 200, noise=0.01).data(0)
    result = least_squares(made, x, y, truth, max_steps=1)
    (group,) = shared_gates(result, x)
    assert group.atoms == (0, 1)
    assert not group.constant


def test_copies_are_in_the_group_of_their_atom():
    made = model("hierarchical", 1, groups=(1, 2))
    truth = measure(made, 3, np.random.default_rng(0))
    data = simulate(made, truth, 50, noise=0.1)
    for over, groups in ((0, (2, 2)), (2, (1, 3))):
        starts = data.starts(4, 0.0, over=over)
        assert starts.layout.groups == groups
        x = np.linspace(-3, 3, 9)[:, None]
        gap = made.predict(starts[0], x) - made.predict(truth, x)
        assert np.abs(gap).max() <= 1e-12
    away = data.starts(4, kind="away", over=1, box=(-1.0, 1.0))
    assert away.layout.groups == (1, 3)
    assert np.abs(away.to_vector()).max() <= 1


def test_a_biased_selection_and_a_held_temperature_are_not_drawn_around():
    made = model("sigmoid-temperature", 1)
    truth = measure(made, 2, np.random.default_rng(1))
    starts = simulate(made, truth, 20, noise=0.1, replicates=3).starts(2, 0.5)
    assert (starts["temperature"] == truth["temperature"]).all()


def test_boxes_of_other_blocks():
    made = Model(builtin("tanh", "ridge", 2), resolve("gaussian-gate"))
    low, high = Box.of({"precision": 4.0, "centre": (-2.0, 3.0)}).bounds(made, 1)
    names = [name for _, name in made.layout.numbers(made.parameters, 1)]
    bounds = dict(zip(names, zip(low.tolist(), high.tolist(), strict=True), strict=True))
    assert bounds["c_0"] == (-2.0, 3.0)
    # what divides is positive on the diagonal of P alone
    assert [bounds[f"P_{i}"] for i in range(3)] == [(0.1, 4.0), (-4.0, 4.0), (0.1, 4.0)]
    with pytest.raises(InputError, match="precision has high -1"):
        Box.of({"precision": (-3.0, -1.0)}).bounds(made, 1)
    with pytest.raises(InputError, match="there is no router"):
        Box.of({"router": 4.0}).bounds(made, 1)


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.uniform(-3, 3, 120)
    y = np.where(x > 0, 2 * x, -x) + 0.05 * rng.normal(size=120)
    path = tmp_path / "data.csv"
    path.write_text("x,y\n" + "\n".join(f"{a:.6f},{b:.6f}" for a, b in zip(x, y, strict=True)))
    return str(path)


@pytest.mark.parametrize(
    "given",
    [
        ["--gate", "hierarchical", "--k", "3", "--groups", "2,1"],
        ["--gate", "dense-to-sparse", "--router", "tanh-bias", "--k", "2"],
        ["--gate", "top-2", "--k", "3"],
        ["--gate", "gaussian-gate", "--k", "2", "--box", "centre=-3:3"],
    ],
)
def test_the_command_fits_and_writes_its_format(data, capsys, given):
    options = ["--expert", "linear", "--starts", "2", "--max-steps", "60", "--no-check"]
    assert main(["fit", data, *given, *options, "--json"]) in (0, 1)
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "identkit.fit/3"
    Draft202012Validator(schema("fit-3")).validate(found)
    assert main(["fit", data, *given, *options, "--no-standardise", "--json"]) in (0, 1)
    plain = json.loads(capsys.readouterr().out)
    number = 1 if "top-2" in given else 2  # a selection has no blocks of its own
    assert plain["schema"] == f"identkit.fit/{number}"
    Draft202012Validator(schema(f"fit-{number}")).validate(plain)
    measured = found["fits"][0]["measure"]
    assert MixingMeasure.from_dict(measured).atoms == int(given[given.index("--k") + 1])
    assert main(["fit", data, *given, *options]) in (0, 1)
    printed = capsys.readouterr().out
    assert all(len(line) <= 80 for line in printed.splitlines())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--gate", "hierarchical", "--k", "3"], "such as --groups 2,1."),
        (["--gate", "hierarchical", "--k", "3", "--groups", "2,2"], "add up to --k 3"),
        (["--gate", "hierarchical", "--k", "3", "--groups", "a"], "write sizes with commas"),
        (["--gate", "softmax", "--k", "3", "--groups", "2,1"], "has no groups; drop it"),
        (["--gate", "laplace", "--k", "2", "--box", "beta1=3"], "there is no 'beta1'"),
        (["--gate", "top-0", "--k", "2"], "give a number of atoms"),
        (["--gate", "dense-to-sparse", "--router", "w*z", "--k", "2"], "no input"),
        (["--gate", "cosine", "--k", "2"], "with one input the score is a sign"),
    ],
)
def test_what_is_asked_wrongly_gets_a_sentence(data, capsys, given, said):
    assert main(["fit", data, "--expert", "linear", *given]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert len(printed.err.strip().splitlines()) == 1


@pytest.mark.filterwarnings("ignore:the fit ended 'at the box'")  # gates as steep as it allows
def test_the_estimator_takes_groups():
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, (150, 1))
    y = np.abs(x[:, 0]) + 0.01 * rng.normal(size=150)
    fitted = MoERegressor(
        "linear", "hierarchical", n_atoms=3, groups=(2, 1), n_starts=2, random_state=0
    ).fit(x, y)
    assert fitted.score(x, y) > 0.99
    assert fitted.measure_.layout.groups == (2, 1)
