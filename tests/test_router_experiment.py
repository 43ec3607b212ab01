"""The models of ``benchmarks/router_experiment.py`` are comparable, and what it writes is read.

Nothing is trained for long here: the committed results are only read.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from identkit.routers.analysis import analyse
from identkit.routers.recorded import recording

pytestmark = pytest.mark.usefixtures("one_thread")

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def module(name: str) -> ModuleType:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def models() -> ModuleType:
    return module("router_models")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return module("router_experiment")


def toy(models: ModuleType):
    """A causal network of one place, so that a sequence is one token."""
    return models.Size(d=8, blocks=2, heads=2, experts=6, top=2, inner=24, places=1, causal=True)


def touched(network) -> int:
    """Parameters that have a gradient from one token, counting whole experts.

    Queries and keys count too: their gradient is 0, since one place attends to itself only.
    """
    network(torch.tensor([[3]])).logsumexp(-1).sum().backward()
    count = 0
    for name, p in network.named_parameters():
        if ".experts." in name:
            count += sum(p[e].numel() for e in range(len(p)) if p.grad[e].abs().sum() > 0)
        else:
            count += p.numel()
    return count


@pytest.mark.parametrize("seed", [0, 1])
def test_the_models_compute_with_equally_many_parameters(models, seed):
    size = toy(models)
    counts, totals = [], []
    for model in models.MODELS:
        torch.manual_seed(seed)
        network = models.Network(model, size, inputs=5, classes=5)
        active, total = models.parameters(network)
        assert active == touched(network)
        assert total == sum(p.numel() for p in network.parameters())
        counts.append(active)
        totals.append(total)
    assert len(models.MODELS) == 4
    assert len(set(counts)) == 1
    assert totals[0] == totals[1] > totals[2] == totals[3] > counts[0]


def test_the_models_of_the_experiments_compute_with_equally_many(models, script):
    for size in (script.DIGITS, script.PYTHON):
        found = {models.parameters(models.Network(m, size, 4, 10))[0] for m in models.MODELS}
        assert len(found) == 1


def test_hidden_units_that_do_not_divide_are_refused(models, script):
    size = script.replace(toy(models), inner=25)
    with pytest.raises(script.InputError, match="multiple of 6"):
        models.Network(models.MODELS[0], size, 5, 5)


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_a_mixture_is_its_definition(models, kind):
    size = toy(models)
    torch.manual_seed(0)
    for shared in (False, True):
        mixture = models.Mixture(models.Model(kind, shared), size)
        x = torch.randn(7, size.d)
        wanted = torch.zeros_like(x) if not shared else mixture.shared(x, 0).clone()
        for i, row in enumerate(x):
            logits = (mixture.router.weight @ row).detach()
            best = sorted(range(size.experts), key=lambda e: -float(logits[e]))[: size.top]
            scores = logits[best].sigmoid() if kind == "sigmoid" else logits[best].exp()
            for weight, e in zip(scores / scores.sum(), best, strict=True):
                wanted[i] += weight * mixture.experts(row[None], e)[0]
        torch.testing.assert_close(mixture(x), wanted)


def drawn(script: ModuleType):
    """20 images of noise in the layout of the digits."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(20, 16, 4, generator=generator), torch.arange(20) % 10

    def draw(generator, rows: int):
        taken = torch.randint(20, (rows,), generator=generator)
        return x[taken], y[taken]

    ids = torch.arange(16).expand(20, 16)
    domains = y[:, None].expand(-1, 16)
    return script.Data("noise", {}, 4, 10, draw, (x, y), ids, False, domains)


def test_digits_are_cut_into_patches(script):
    images = pytest.importorskip("sklearn.datasets").load_digits().images / 16.0
    data = script.digits()
    patches = data.held[0].reshape(-1, 4, 4, 2, 2)  # image, row and column of the patch, pixels
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    for i in (0, 1, 448):
        image = torch.tensor(images[order[i]], dtype=torch.float32)
        for row, column in ((0, 0), (1, 2), (3, 1)):
            pixels = image[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            assert torch.equal(patches[i, row, column], pixels)
    assert len(patches) == data.about["held_out"] == len(images) - data.about["images"]


def test_two_steps_write_a_recording_that_is_read(models, script, tmp_path):
    data = drawn(script)
    plan = script.Plan(steps=2, batch=8, rate=1e-3)
    runs = []
    for model in models.MODELS:
        folder = tmp_path / model.name
        runs.append(script.train(model, data, script.DIGITS, plan, 0, folder))
        found = analyse(recording(folder), draws=0, workers=1)
        assert found.experts == script.DIGITS.experts
        assert found.checkpoints == (1, 2)
        assert found.layers == tuple(range(script.DIGITS.blocks))
        assert found.at(0, 1).tokens == data.ids.numel()
        assert found.at(0, 1).domains is not None
        kept = found.at(1, 1).saturation
        assert kept is not None
        assert runs[-1]["saturation"][1][0] == round(kept.value, 4)
        assert runs[-1]["change"][1][0] == pytest.approx(1 - runs[-1]["saturation"][1][0])
    again = script.train(models.MODELS[0], data, script.DIGITS, plan, 0, tmp_path / "again")
    assert {**again, "processor_seconds": 0} == {**runs[0], "processor_seconds": 0}
    summed = script.summary(runs)
    assert all(one["verdict"] == "open" for one in summed["claims"])  # one seed decides nothing


def test_verdicts_follow_from_intervals(script):
    stats = pytest.importorskip("scipy.stats")
    values = [0.1, 0.3, 0.25]
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    found = script.interval(values)
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=1e-5)
    assert script.verdict({"low": 0.1, "high": 0.2}, 1) == "seen"
    assert script.verdict({"low": 0.1, "high": 0.2}, -1) == "opposite"
    assert script.verdict({"low": -0.2, "high": -0.1}, -1) == "seen"
    assert script.verdict({"low": -0.1, "high": 0.2}, 1) == "open"


def test_the_standard_library_is_cut_into_sequences(script):
    data = script.python(rows=4)
    tokens, following = data.draw(torch.Generator().manual_seed(0), 3)
    assert tokens.shape == following.shape == (3, script.PYTHON.places)
    assert torch.equal(tokens[:, 1:], following[:, :-1])
    assert torch.equal(data.held[0][:, 1:], data.held[1][:, :-1])
    assert data.about["bytes"] > 8 * data.about["held_out_bytes"] > 0


RESULTS = ("router_experiment.json", "router_experiment_python.json")


@pytest.mark.parametrize("name", RESULTS)
def test_committed_results_follow_from_their_runs(name, models, script):
    kept = json.loads((BENCHMARKS / name).read_text(encoding="utf-8"))
    assert [(r["seed"], r["model"]) for r in kept["runs"]] == [
        (seed, model.name) for seed in kept["seeds"] for model in models.MODELS
    ]
    summed = script.summary(kept["runs"])
    assert summed == {name: kept[name] for name in summed}
    for line in script.markdown(kept).splitlines():
        assert line in (BENCHMARKS / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", RESULTS)
def test_the_page_of_routers_has_the_committed_differences(name):
    """Each difference stands in docs/routers.md with its interval, rounded."""
    results = json.loads((BENCHMARKS / name).read_text("utf-8"))
    page = (BENCHMARKS.parent / "docs" / "routers.md").read_text("utf-8")
    for one in results["claims"]:
        mean, low, high = (f"{one[key]:.3f}".replace("-", "−") for key in ("mean", "low", "high"))
        assert f"{mean} [{low}, {high}]" in page or "accuracy" in one["claim"]
        assert one["verdict"] == "open" or name != RESULTS[0]
