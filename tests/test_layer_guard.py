"""The guard of layers and the watch for collapse: known answers, and collapses of real training."""

from __future__ import annotations

import subprocess
import sys
import warnings
from copy import deepcopy
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from identkit.errors import InputError  # noqa: E402
from identkit.layers.collapse import (  # noqa: E402
    LEAST_VALUES,
    PROBES,
    CollapseWarning,
    CollapseWatch,
    jain_bound,
)
from identkit.layers.config import read_config  # noqa: E402
from identkit.layers.guard import missing  # noqa: E402
from identkit.layers.record import SharedExperts  # noqa: E402
from identkit.routers.metrics import jain, jain_random  # noqa: E402
from identkit.testing import assert_layer_identifiable  # noqa: E402
from identkit.vocabulary import Verdict  # noqa: E402

D, WIDTH, COUNT = 8, 16, 4
MIXTRAL = {"model_type": "mixtral", "num_local_experts": 4, "intermediate_size": 8}
DENSE = {**MIXTRAL, "num_experts_per_tok": 4}


class Glu(nn.Module):
    def __init__(self):
        super().__init__()
        self.w1 = nn.Linear(D, WIDTH, bias=False)
        self.w3 = nn.Linear(D, WIDTH, bias=False)
        self.w2 = nn.Linear(WIDTH, D, bias=False)

    def forward(self, x):
        return self.w2(functional.silu(self.w1(x)) * self.w3(x))


class Layer(nn.Module):
    """The ``top`` largest softmax weights, divided by their sum unless one is selected."""

    def __init__(self, top):
        super().__init__()
        self.router = nn.Linear(D, COUNT, bias=False)
        self.experts = nn.ModuleList([Glu() for _ in range(COUNT)])
        self.top_k = top
        self.selected = torch.zeros(0)

    def forward(self, hidden):
        x = hidden.reshape(-1, D)
        weights = self.router(x).softmax(dim=-1)
        own, self.selected = weights.topk(self.top_k, dim=-1)
        own = own / own.sum(dim=-1, keepdim=True) if self.top_k > 1 else own
        full = torch.zeros_like(weights).scatter(1, self.selected, own)
        outputs = [full[:, e, None] * expert(x) for e, expert in enumerate(self.experts)]
        return torch.stack(outputs).sum(dim=0).reshape(hidden.shape)


# -- the guard ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def passed():
    return assert_layer_identifiable(read_config(MIXTRAL))


def test_a_layer_passes_up_to_its_gauges(passed):
    assert passed.gate == "top-2"
    assert {g.name for g in passed.gauges} >= {"shift of the router", "scale of a unit"}
    assert all(g.proved for g in passed.gauges)


def test_a_module_passes_like_the_configuration(passed):
    torch.manual_seed(0)
    found = assert_layer_identifiable(Layer(2))
    assert (found.architecture.family, found.gate) == ("module", "top-2")
    assert found.decided == passed.decided


@pytest.mark.parametrize(
    ("source", "options", "said"),
    [
        (MIXTRAL, {"held": False}, r"strong for c\*silu\(a\*x\)\*\(u\*x\), gate top-2: no"),
        (DENSE, {}, "strong for .*, gate softmax: yes, but it is degenerate: no consistent"),
        (
            {"model_type": "llama4"},
            {},
            "shared experts are added .*\n- the weight multiplies the in",
        ),
    ],
)
def test_what_is_not_proved_fails_with_the_report(source, options, said):
    with pytest.raises(AssertionError, match=f"(?m)^- .*{said}") as failed:
        assert_layer_identifiable(source, **options)
    head, _, report = str(failed.value).partition("\n\n")
    assert "is not proved" in head.splitlines()[0]
    assert "gauges (other numbers, the same layer)" in report


def test_the_density_of_a_dense_layer_passes_to_second_order():
    found = assert_layer_identifiable(DENSE, likelihood="gaussian", nondegenerate=True)
    assert found.gate == "softmax"


def test_each_open_point_fails(passed):
    """The guard reads all that is found: whatever is weakened is named."""
    assert not list(missing(passed))
    for i, gauge in enumerate(passed.gauges):
        open_one = [replace(g, proved=False) if j == i else g for j, g in enumerate(passed.gauges)]
        said = list(missing(replace(passed, gauges=tuple(open_one))))
        assert said == [f"{gauge.name}: found, and not proved"]
    assert passed.absent
    absent = tuple(replace(a, excluded=False) for a in passed.absent)
    assert len(list(missing(replace(passed, absent=absent)))) == len(absent)
    (said,) = missing(passed, nondegenerate=True)
    assert "gate top-2: yes, but whether it is degenerate is undecided: " in said
    for verdict in (Verdict.UNDECIDED, Verdict.NO):
        open_rows = [
            replace(d, verdicts=tuple(replace(v, verdict=verdict) for v in d.verdicts))
            for d in passed.decided
        ]
        (said,) = missing(replace(passed, decided=tuple(open_rows)))
        assert said == f"strong for c*silu(a*x)*x, gate top-2: {verdict}"
    for change in ({"shared": SharedExperts(1, 8)}, {"output_bias": True}):
        architecture = replace(passed.architecture, **change)
        assert len(list(missing(replace(passed, architecture=architecture)))) == 1


class Odd(Layer):
    def forward(self, hidden):
        return 1.5 * super().forward(hidden)


def test_sources_that_are_not_read():
    with pytest.raises(InputError, match="a list is not read; give a module of torch"):
        assert_layer_identifiable(cast(Any, [1]))
    with pytest.raises(InputError, match="unknown likelihood of a layer 'categorical'"):
        assert_layer_identifiable(MIXTRAL, likelihood="categorical")
    with pytest.raises(InputError, match="agrees with no router"):
        assert_layer_identifiable(Odd(2))


def test_a_configuration_needs_no_torch():
    code = (
        "import sys; from identkit.testing import assert_layer_identifiable as guard; "
        f"guard({MIXTRAL!r}); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# -- outputs --------------------------------------------------------------------------------------


def linear(matrix):
    made = nn.Linear(matrix.shape[1], matrix.shape[0], bias=False)
    made.weight = nn.Parameter(matrix.clone())
    return made


def at_angle(cosine):
    """Two experts whose outputs at the probes eye(D) have this cosine."""
    one, other = torch.zeros(2, D, D)
    one[0, 0], other[0, 0], other[1, 1] = 1.0, cosine, (1 - cosine**2) ** 0.5
    return [linear(one), linear(other)]


@pytest.mark.parametrize(("cosine", "warned"), [(0.9995, True), (0.9985, False), (-0.9995, True)])
def test_the_bound_is_where_it_is_said_to_be(cosine, warned):
    watch = CollapseWatch(at_angle(cosine))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        found = watch.watch(torch.eye(D), step=7)
    assert found.cosines[0, 1] == pytest.approx(abs(cosine), abs=1e-6)
    assert [bool(found.pairs), bool(seen)] == [warned, warned]
    if warned:
        assert found.pairs[0].factor == pytest.approx(cosine, abs=1e-6)
        assert seen[0].filename == __file__
        assert str(seen[0].message).startswith("step 7: experts have become proportional at 8 prob")
        assert f"y_0 ≈ {cosine:.3g}·y_1, |cos| {abs(cosine):.6f}" in str(seen[0].message)


def test_gauges_do_not_hide_a_collapse():
    """Units permuted and scaled, the output times −3: other numbers, the same expert."""
    torch.manual_seed(1)
    one, other = Glu(), Glu()
    order, scale = torch.randperm(WIDTH), torch.rand(WIDTH) + 0.5
    with torch.no_grad():
        other.w1.weight.copy_(one.w1.weight[order])
        other.w3.weight.copy_(one.w3.weight[order] * scale[:, None])
        other.w2.weight.copy_(-3 * one.w2.weight[:, order] / scale)
    with pytest.warns(CollapseWarning, match=r"y_0 ≈ -0\.333·y_2, \|cos\| 1\.000000"):
        found = CollapseWatch([one, Glu(), other]).watch(torch.randn(64, D))
    assert [(p.first, p.second) for p in found.pairs] == [(0, 2)]
    assert (found.cosines[1, [0, 2]] < 0.9).all()


def test_silent_and_broken_experts():
    torch.manual_seed(2)
    experts = [linear(torch.randn(D, D)) for _ in range(4)]
    with torch.no_grad():
        experts[1].weight.zero_()
        experts[3].weight[0, 0] = torch.nan
    with pytest.warns(CollapseWarning) as seen:
        found = CollapseWatch(experts).watch(torch.randn(16, D), step=3)
    assert (found.silent, found.broken, found.pairs) == ((1,), (3,), ())
    assert np.isfinite(found.cosines[0, 2])
    assert np.isnan(found.cosines[[1, 3]]).all()
    assert [str(w.message) for w in seen] == [
        "step 3: experts 1 give 0 at all of 16 probes.",
        "step 3: experts 3 give numbers that are not finite at some of 16 probes.",
    ]


def test_a_pair_is_told_once_until_it_parts():
    experts = at_angle(1.0)
    watch = CollapseWatch(experts, probes=torch.eye(D), every=2)
    parted, joined = at_angle(0.5)[1].state_dict(), experts[1].state_dict()
    joined = deepcopy(joined)
    told = []
    for step in range(10):
        experts[1].load_state_dict(parted if step == 4 else joined)
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            watch.on_step_end(step)
        told += [step] * len(seen)
    assert told == [0, 6]


def test_training_is_left_as_it_was():
    torch.manual_seed(3)
    experts = [nn.Sequential(nn.Linear(D, D), nn.Dropout(0.5)) for _ in range(2)]
    experts[1].eval()
    state = torch.get_rng_state()
    watch = CollapseWatch(experts, seed=5)
    x = torch.ones(3 * PROBES, D) * torch.arange(3 * PROBES)[:, None]
    one, again = watch.watch(x).cosines, watch.watch(x).cosines
    assert (one == again).all()
    assert torch.equal(torch.get_rng_state(), state)
    assert [e[1].training for e in experts] == [True, False]
    assert all(p.grad is None for e in experts for p in e.parameters())
    assert (CollapseWatch(experts, seed=6).watch(x).cosines != one).any()


def test_stacked_experts_are_read_as_they_are_now():
    class Stack(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate_up_proj = nn.Parameter(torch.randn(3, 2 * WIDTH, D))
            self.down_proj = nn.Parameter(torch.randn(3, D, WIDTH))
            self.act_fn = nn.SiLU()

    torch.manual_seed(4)
    layer = nn.Module()
    layer.experts = Stack()
    watch, x = CollapseWatch(layer), torch.randn(32, D)
    assert not watch.watch(x).pairs
    layer.experts.gate_up_proj = nn.Parameter(layer.experts.gate_up_proj[[0, 1, 0]].detach())
    layer.experts.down_proj = nn.Parameter(layer.experts.down_proj[[0, 1, 0]].detach())
    with pytest.warns(CollapseWarning, match=r"y_0 ≈ 1·y_2"):
        watch.watch(x)


def test_what_cannot_be_watched():
    experts = at_angle(0.5)
    with pytest.raises(InputError, match=f"8 outputs .* give probes for {LEAST_VALUES}"):
        CollapseWatch(experts).watch(torch.ones(1, D))
    with pytest.raises(InputError, match=r"expert 0: fails on probes of shape \(4, 3\)"):
        CollapseWatch(experts).watch(torch.ones(4, 3))
    with pytest.raises(InputError, match="no list of experts"):
        CollapseWatch(nn.Linear(2, 2))
    with pytest.raises(InputError, match="1 experts cannot be compared"):
        CollapseWatch(experts[:1])
    with pytest.raises(InputError, match=r"proportional: 1\.5 is no bound"):
        CollapseWatch(experts, proportional=1.5)
    with pytest.raises(InputError, match="nothing to look at"):
        CollapseWatch(experts).on_step_end(0)


# -- use ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "k", "tokens"), [(8, 2, 100), (16, 1, 400), (5, 3, 64)])
def test_the_bound_is_the_mean_of_routing_to_half(n, k, tokens):
    rng = np.random.default_rng(0)
    used = max(-(-n // 2), k)
    drawn = rng.random((2000, tokens, used)).argpartition(k - 1, axis=-1)[..., :k]
    use = (drawn.reshape(2000, -1, 1) == np.arange(n)).sum(axis=1)
    assert jain(use).mean() == pytest.approx(jain_bound(n, k, tokens), rel=0.01)
    assert jain_bound(n, k, tokens) < jain_random(n, k, tokens) or used == n


def test_uneven_use_is_told_once_until_it_is_even():
    experts = [linear(torch.eye(2)) for _ in range(8)]
    watch = CollapseWatch(experts)
    even = torch.arange(8).repeat(20).reshape(-1, 2)
    uneven = torch.tensor([[3, 5]]).repeat(80, 1)
    assert watch.utilisation(even, step=1) == 1.0
    with pytest.warns(CollapseWarning, match=r"step 2: Jain.* is 0\.250, not above 0\.494") as seen:
        assert watch.utilisation(uneven, step=2) == 0.25
    assert "hardly selected: 0, 1, 2, 4, 6 and 1 more" in str(seen[0].message)
    watch.utilisation(uneven, step=3)
    watch.utilisation(even, step=4)
    with pytest.warns(CollapseWarning, match="step 5: "):
        watch.on_step_end(5, indices=uneven.numpy())


def test_use_that_says_nothing():
    watch = CollapseWatch([linear(torch.eye(2)) for _ in range(4)])
    assert watch.utilisation([[0]] * 39) == 0.25  # too few
    with pytest.warns(CollapseWarning):
        watch.utilisation([[0]] * 40)
    assert CollapseWatch(at_angle(0.5)).utilisation([[0, 1]] * 100) == 1.0  # all are selected
    for indices, said in (
        ([[4]], "4 to 4 are not of 4"),
        ([[0.5]], "whole numbers"),
        ([], "whole"),
    ):
        with pytest.raises(InputError, match=said):
            watch.utilisation(indices)
    own = CollapseWatch([linear(torch.eye(2)) for _ in range(4)], least_jain=0.9)
    with pytest.warns(CollapseWarning, match=r"not above 0\.900 \(given\)"):
        own.utilisation([[0], [1], [2], [0]] * 10)


# -- training -------------------------------------------------------------------------------------


def trained(layer, *, pull=0.0, shift=0.0, rate=0.01, steps=200):
    """A layer fitted to another with experts of its own, watched; the texts of the warnings.

    ``pull`` is decay of each expert's numbers to the experts' mean, ``shift`` the mean of inputs.
    Seeds 0 (the teacher) and 1 (inputs); the layer's is its maker's.
    """
    torch.manual_seed(0)
    teacher = Layer(layer.top_k)
    with torch.no_grad():
        for values in teacher.parameters():
            values.mul_(3)
    generator = torch.Generator().manual_seed(1)
    probes = torch.randn(64, D, generator=generator) + shift
    watch = CollapseWatch(layer, probes=probes, every=20)
    optimiser = torch.optim.Adam(layer.parameters(), lr=rate)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", CollapseWarning)
        for step in range(steps + 1):
            x = torch.randn(128, D, generator=generator) + shift
            with torch.no_grad():
                y = teacher(x)
            loss = (layer(x) - y).square().mean()
            for own in zip(*(e.parameters() for e in layer.experts), strict=True):
                mean = sum(own) / COUNT
                loss = loss + pull * sum((p - mean).square().sum() for p in own)
            watch.on_step_end(step, indices=layer.selected)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        last = watch.watch(probes)
    return [str(w.message) for w in seen], last


def made(top, seed=10):
    torch.manual_seed(seed)
    return Layer(top)


def test_healthy_training_is_not_disturbed():
    told, last = trained(made(2))
    assert told == []
    assert np.triu(last.cosines, 1).max() < 0.9


def test_decay_to_a_common_expert_is_caught_when_it_happens():
    told, last = trained(made(2), pull=10.0)
    first = int(told[0].partition(":")[0].removeprefix("step "))
    assert 0 < first <= 200
    assert "have become proportional" in told[0]
    assert len(last.pairs) == COUNT * (COUNT - 1) // 2


def test_equal_starts_without_noise_stay_equal():
    layer = made(COUNT)
    nn.init.zeros_(layer.router.weight)
    for expert in layer.experts:
        expert.load_state_dict(layer.experts[0].state_dict())
    told, last = trained(layer)
    assert told[0].startswith("step 0: experts have become proportional")
    assert len(told) == 1
    assert len(last.pairs) == 6


def test_a_router_that_feeds_few_experts_is_caught():
    """One expert selected, no balance, inputs with a mean: the first to win takes all."""
    told, last = trained(made(1, seed=12), shift=1.0, rate=0.03)
    assert told[0].startswith("step 20: Jain's index")  # not at step 0: it was even enough then
    assert not last.pairs
