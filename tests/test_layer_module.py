"""Layers of torch are read: experts traced, routers recognised by what they compute."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from identkit.errors import InputError  # noqa: E402
from identkit.layers.analysis import analyse  # noqa: E402
from identkit.layers.module import read_module  # noqa: E402
from identkit.layers.parts import parts_of  # noqa: E402
from identkit.layers.record import (  # noqa: E402
    LEARNED,
    Divided,
    ExpertForm,
    Form,
    Router,
    Scores,
    SharedExperts,
)
from identkit.layers.symbols import departures, gate_of  # noqa: E402
from identkit.layers.traced import traced  # noqa: E402
from identkit.layers.weighing import GROUP_SCORES, weights_of  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
D, WIDTH, COUNT = 6, 5, 4


class Glu(nn.Module):
    def __init__(self, act=functional.silu, bias=False, width=WIDTH):
        super().__init__()
        self.w1 = nn.Linear(D, width, bias=bias)
        self.w3 = nn.Linear(D, width, bias=bias)
        self.w2 = nn.Linear(width, D, bias=bias)
        self.act = act

    def forward(self, x):
        return self.w2(self.w3(x) * self.act(self.w1(x)))


class Fused(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate_up = nn.Linear(D, 2 * WIDTH, bias=False)
        self.down = nn.Linear(WIDTH, D, bias=False)

    def forward(self, x):
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(functional.gelu(gate) * up)


def plain(act, bias=True):
    return nn.Sequential(
        nn.Linear(D, WIDTH, bias=bias), act, nn.Dropout(0.1), nn.Linear(WIDTH, D, bias=bias)
    )


class Mixed(Glu):
    def __init__(self):
        super().__init__()
        self.w2 = nn.Linear(WIDTH, D, bias=True)


class Clamped(Glu):
    """That of GPT-OSS, its factors in another order and its clamps written otherwise."""

    def __init__(self, bias=True, limit=3.0, alpha=1.5):
        super().__init__(bias=bias)
        self.limit, self.alpha = limit, alpha

    def forward(self, x):
        gate, up = torch.clamp(self.w1(x), max=self.limit), self.w3(x)
        up = up.clip(-self.limit, self.limit)
        return self.w2(torch.sigmoid(self.alpha * gate) * (1 + up) * gate)


class Uneven(Clamped):
    def forward(self, x):
        gate, up = torch.clamp(self.w1(x), max=self.limit), self.w3(x).clamp(-1, self.limit)
        return self.w2(gate * torch.sigmoid(self.alpha * gate) * (up + 1))


class Written(Glu):
    """silu written out, a branch on the type of numbers."""

    def forward(self, x):
        gate = self.w1(x)
        if gate.dtype != self.w2.weight.dtype:
            gate = gate.half()
        return self.w2(gate * self.w3(x) * torch.sigmoid(gate))


@pytest.mark.parametrize(
    ("made", "form"),
    [
        (Glu(), ExpertForm(Form.GLU, "silu", WIDTH)),
        (Glu(bias=True), ExpertForm(Form.GLU, "silu", WIDTH, bias=True)),
        (Glu(torch.sigmoid), ExpertForm(Form.GLU, "sigmoid", WIDTH)),
        (Glu(nn.GELU("tanh")), ExpertForm(Form.GLU, "gelu-tanh", WIDTH)),
        (Fused(), ExpertForm(Form.GLU, "gelu", WIDTH)),
        (plain(nn.ReLU()), ExpertForm(Form.PLAIN, "relu", WIDTH, bias=True)),
        (plain(nn.Tanh(), bias=False), ExpertForm(Form.PLAIN, "tanh", WIDTH)),
        (Written(), ExpertForm(Form.GLU, "silu", WIDTH)),
        (Clamped(), ExpertForm(Form.CLAMPED, "silu", WIDTH, bias=True, alpha="1.5", limit="3")),
        (Mixed(), ExpertForm(Form.GLU, "silu", WIDTH, bias=True, biased=("down",))),
    ],
)
def test_experts(made, form):
    assert traced(made).form == form


class Normed(Glu):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(D)

    def forward(self, x):
        return self.w2(self.act(self.w1(self.norm(x))))


class Branching(Glu):
    def forward(self, x):
        return self.w2(x) if x.sum() > 0 else x


class Deep(Glu):
    def forward(self, x):
        return self.w2(torch.tanh(torch.tanh(self.w1(x))))


class Residual(Glu):
    def forward(self, x):
        return x + super().forward(x)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (Normed(), r"norm in line \d+, 'return self.w2\(self.act\(self.w1\(self.norm\(x\)\)\)\)'"),
        (Branching(), "cannot be traced"),
        (Deep(), r"w2\(tanh\(tanh\(w1\(x\)\)\)\) is not read"),
        (Clamped(bias=False), "only none has one; give all of them one"),
        (Uneven(), r"\(clamp\(w3\(x\), -1, 3.0\) \+ 1\)\) is not read"),
        (Residual(), r"add in line \d+, 'return x \+"),
        (nn.Bilinear(D, D, D), "more than one tensor|not read"),
    ],
)
def test_experts_that_are_refused(made, said):
    with pytest.raises(InputError, match=said) as refused:
        traced(made)
    assert str(refused.value).count("\n") == 0


class Layer(nn.Module):
    """Experts in a loop; ``rule`` makes (weights, indices) of the scores."""

    def __init__(self, rule, make=Glu, bias=False, on_input=False):
        super().__init__()
        self.router = nn.Linear(D, COUNT, bias=bias)
        self.experts = nn.ModuleList([make() for _ in range(COUNT)])
        self.rule, self.on_input = rule, on_input

    def extra(self, x):
        return 0

    def forward(self, hidden):
        x = hidden.reshape(-1, D)
        weights, indices = self.rule(self, self.router(x))
        out = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            own = (weights * (indices == i)).sum(dim=-1, keepdim=True)
            here = (indices == i).any(dim=-1, keepdim=True)
            out = out + here * (expert(own * x) if self.on_input else own * expert(x))
        return (out + self.extra(x)).reshape(hidden.shape), weights


class Shared(Layer):
    def __init__(self, rule, **more):
        super().__init__(rule, **more)
        self.shared_expert = Glu(width=3)
        self.shared_expert_gate = nn.Linear(D, 1, bias=False)

    def extra(self, x):
        return torch.sigmoid(self.shared_expert_gate(x)) * self.shared_expert(x)


class Biased(Layer):
    def __init__(self, rule):
        super().__init__(rule)
        self.top_k, self.routed_scaling_factor = 2, 2.5
        self.register_buffer("e_score_correction_bias", torch.tensor([0.5, -0.5, 0.25, 0.0]))
        self.shared_experts = Glu(width=3)

    def extra(self, x):
        return self.shared_experts(x)


def softmax_first(layer, score):
    weights, indices = score.softmax(dim=-1).topk(2, dim=-1)
    return weights / weights.sum(dim=-1, keepdim=True), indices


def selection_first(layer, score):
    best, indices = score.topk(2, dim=-1)
    return best.softmax(dim=-1), indices


def not_divided(layer, score):
    return score.softmax(dim=-1).topk(3, dim=-1)


def dense(layer, score):
    return score.softmax(dim=-1).topk(COUNT, dim=-1)


def sigmoid_biased(layer, score):
    own = score.sigmoid()
    indices = (own + layer.e_score_correction_bias).topk(2, dim=-1).indices
    weights = own.gather(-1, indices)
    return 2.5 * weights / weights.sum(dim=-1, keepdim=True), indices


def sigmoid_one(layer, score):
    best, indices = score.topk(1, dim=-1)
    return best.sigmoid(), indices


def cold(layer, score):
    return softmax_first(layer, score / 2)  # a number of which no attribute tells


def tempered(layer, score):
    return softmax_first(layer, score / layer.temperature)


def tempered_dense(layer, score):
    return dense(layer, score / layer.temperature)


def grouped(layer, score):
    """Groups of 4 by the sum of the two largest of σ + b, or by the largest softmax weight."""
    own = score.softmax(dim=-1) if layer.biases is None else score.sigmoid()
    choice = own if layer.biases is None else own + layer.biases
    of_group = choice.reshape(len(choice), layer.n_group, -1)
    value = of_group.topk(1 if layer.biases is None else 2, dim=-1).values.sum(dim=-1)
    kept = value.topk(layer.topk_group, dim=-1).indices
    mask = torch.zeros_like(value).scatter(1, kept, 1).bool()[:, :, None].expand_as(of_group)
    choice = choice.masked_fill(~mask.reshape(choice.shape), float("-inf"))
    indices = choice.topk(layer.top_k, dim=-1).indices
    return own.gather(-1, indices), indices


class Groups(Layer):
    def __init__(self, count=12, groups=3, kept=2, top=3, biased=False):
        super().__init__(grouped)
        self.router = nn.Linear(D, count, bias=False)
        self.experts = nn.ModuleList([Glu() for _ in range(count)])
        self.n_group, self.topk_group, self.top_k = groups, kept, top
        self.biases = nn.Parameter(torch.zeros(count)) if biased else None


def seeded(kind, *given, **more):
    torch.manual_seed(0)
    return kind(*given, **more)


@pytest.mark.parametrize(
    ("layer", "gate", "wanted"),
    [
        (seeded(Layer, softmax_first), "top-2", (Scores.SOFTMAX, 2, Divided.SELECTED)),
        (seeded(Layer, selection_first, bias=True), "top-2", (Scores.SOFTMAX, 2, Divided.SELECTED)),
        (seeded(Layer, not_divided, Fused), "top-3-unnormalised", (Scores.SOFTMAX, 3, Divided.ALL)),
        (seeded(Layer, dense), "softmax", (Scores.SOFTMAX, 4, Divided.SELECTED)),
        (seeded(Biased, sigmoid_biased), "top-2-biased", (Scores.SIGMOID, 2, Divided.SELECTED)),
        (seeded(Layer, sigmoid_one, on_input=True), None, (Scores.SIGMOID, 1, Divided.NOT)),
        (seeded(Shared, softmax_first), "top-2", (Scores.SOFTMAX, 2, Divided.SELECTED)),
    ],
)
def test_layers(layer, gate, wanted):
    found = read_module(layer)
    router = found.router
    assert (router.scores, router.selected, router.divided) == wanted
    assert gate_of(router)[0] == gate
    assert (router.count, found.hidden, found.expert.width) == (COUNT, D, WIDTH)
    assert router.bias == (layer.router.bias is not None)
    assert router.on_input == layer.on_input


def test_what_is_beside_experts():
    biased = read_module(seeded(Biased, sigmoid_biased))
    assert biased.router.selection_bias
    assert biased.router.factor == "2.5"
    assert biased.shared == SharedExperts(1, 3)
    shared = read_module(seeded(Shared, softmax_first)).shared
    assert shared == SharedExperts(1, 3, gated=True)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("kept", [1, 2])
def test_groups(biased, kept):
    router = read_module(seeded(Groups, kept=kept, biased=biased)).router
    assert (router.groups, router.groups_kept, router.selected) == (3, kept, 3)
    assert router.selection_bias == biased
    said = "the sum of its two largest σ + b" if biased else "its largest softmax weight"
    assert router.group_score == said


def test_groups_that_restrict_nothing():
    """Attributes alone say nothing: all groups are kept, or there is one."""
    for change in ({"groups": 3, "kept": 3}, {"groups": 1, "kept": 1}):
        assert not read_module(seeded(Groups, biased=True, **change)).router.grouped


def test_groups_that_seldom_restrict_are_seen():
    """Of 64 inputs hardly one shows them: inputs that do are looked for."""
    made = seeded(Groups, count=16, groups=4, kept=3, top=2, biased=True)
    assert read_module(made).router.groups_kept == 3
    by_largest = seeded(Groups, kept=2, top=2)  # the two largest are always in two groups
    assert not read_module(by_largest).router.grouped


def test_temperatures():
    number = seeded(Layer, tempered)
    number.temperature = 2.5
    assert read_module(number).router.temperature == "2.5"
    one = seeded(Layer, tempered)
    one.temperature = 1.0
    assert read_module(one).router.temperature == "1"
    learned = seeded(Layer, tempered_dense, bias=True)
    learned.temperature = nn.Parameter(torch.ones(()))
    router = read_module(learned).router
    assert router.temperature == LEARNED
    assert gate_of(router)[0] == "dense-to-sparse"
    assert gate_of(replace(router, selected=2))[0] is None
    found = analyse(read_module(learned), time_limit=20)
    gauges = {g.name: g for g in found.gauges}
    assert gauges["scale of scores"].proved
    assert gauges["scale of scores"].dimension == 1
    assert gauges["shift of the router"].dimension == D + 1


def test_numbers_are_read_exactly():
    layer = seeded(Layer, tempered)
    layer.temperature = 2**0.5
    assert float(read_module(layer).router.temperature) == 2**0.5


def test_integers_beside_the_layer_are_left_out():
    layer = seeded(Layer, softmax_first)
    layer.table = nn.Parameter(torch.zeros(COUNT, dtype=torch.int64), requires_grad=False)
    assert not read_module(layer).router.selection_bias


def test_shared_experts_of_another_width_are_refused():
    layer = seeded(Layer, softmax_first)
    layer.shared_expert = nn.Linear(D - 1, D - 1)  # which the forward does not use
    with pytest.raises(InputError, match="shared expert Linear: fails on x of 6 inputs"):
        read_module(layer)


class Vector(Layer):
    def __init__(self, rule):
        super().__init__(rule)
        self.bias = nn.Parameter(torch.zeros(D))

    def extra(self, x):
        return self.bias


def test_a_vector_that_is_added():
    found = read_module(seeded(Vector, softmax_first))
    assert found.output_bias
    assert not found.router.bias
    assert not read_module(seeded(Layer, softmax_first, bias=True)).output_bias


def test_a_temperature_that_does_nothing():
    layer = seeded(Layer, softmax_first)
    layer.temperature = nn.Parameter(torch.ones(1))
    assert read_module(layer).router.temperature == "1"


class Dropping(Layer):
    """At most 40 tokens for each expert, as one that has a capacity."""

    def forward(self, hidden):
        out, weights = super().forward(hidden)
        flat = out.reshape(-1, D)
        best = self.router(hidden.reshape(-1, D)).argmax(dim=-1)
        place = torch.nn.functional.one_hot(best, COUNT).cumsum(dim=0).gather(1, best[:, None])
        return (flat * (place <= 40)).reshape(out.shape), weights


def test_dropped_tokens_are_seen():
    made = read_module(seeded(Dropping, softmax_first))
    assert any("depends on other tokens" in note for note in made.notes)
    assert "tokens can be dropped" in departures(made)
    assert not departures(read_module(seeded(Layer, softmax_first, bias=True)))


def test_numbers_of_the_module_do_not_matter():
    """Zeros, as some routers and biases begin, and numbers that are none."""
    layer = seeded(Groups, biased=True)
    with torch.no_grad():
        layer.router.weight.zero_()
        layer.experts[0].w1.weight.fill_(float("nan"))
    assert read_module(layer).router == read_module(seeded(Groups, biased=True)).router


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_every_router_is_read_as_it_is(data):
    """Routers drawn from all that are known: the module is made from the record."""
    count = data.draw(st.sampled_from([4, 6, 8]))
    groups = data.draw(st.sampled_from([g for g in (1, 2, 3, 4) if count % g == 0]))
    kept = data.draw(st.integers(1, groups))
    size = count // groups
    top = data.draw(st.integers(1, min(size * kept, count - 1)))
    scores = data.draw(st.sampled_from(list(Scores)))
    softmax = scores is Scores.SOFTMAX
    biased = data.draw(st.booleans())
    divided = [Divided.SELECTED, Divided.ALL if softmax else Divided.NOT]
    wanted = Router(
        scores=scores, count=count, selected=top, divided=data.draw(st.sampled_from(divided)),
        first="weights first", bias=data.draw(st.booleans()), selection_bias=biased,
        groups=groups if kept < groups else 1, groups_kept=kept if kept < groups else 1,
        group_score=data.draw(st.sampled_from(GROUP_SCORES[: min(size, 2)])).format("σ"),
        factor=data.draw(st.sampled_from(["1", "2.5"])),
        temperature=data.draw(st.sampled_from(["1", "0.5", LEARNED])),
    )  # fmt: skip
    layer = OfRecord(wanted)
    found = read_module(layer).router
    x = torch.randn((4000, D), generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    parts = parts_of(copy.deepcopy(layer).double())
    one, other = (weights_of(r, parts, x) for r in (wanted, found))
    assert torch.allclose(one, other, atol=1e-9)
    assert (found.count, found.selected, found.bias) == (count, top, wanted.bias)


class OfRecord(nn.Module):
    def __init__(self, router):
        super().__init__()
        self.experts = nn.ModuleList([Glu() for _ in range(router.count)])
        self.gate = nn.Linear(D, router.count, bias=router.bias)
        if router.selection_bias:
            self.selection = nn.Parameter(0.3 * torch.randn(router.count))
        if router.temperature != "1":
            own = router.temperature
            self.temperature = nn.Parameter(torch.tensor([1.5])) if own == LEARNED else float(own)
        self.top_k, self.n_group, self.topk_group = (
            router.selected,
            router.groups,
            router.groups_kept,
        )
        self.routed_scaling_factor = float(router.factor)
        self.record = router

    def forward(self, x):
        weights = weights_of(self.record, parts_of(self), x)
        return torch.einsum("pn,npd->pd", weights, torch.stack([e(x) for e in self.experts]))


def test_reading_changes_nothing():
    layer = seeded(Layer, softmax_first).train()
    before = {k: v.clone() for k, v in layer.state_dict().items()}
    read_module(layer)
    assert layer.training
    assert all(torch.equal(v, before[k]) for k, v in layer.state_dict().items())
    assert next(layer.parameters()).dtype == torch.float32


def test_layers_that_are_refused():
    with pytest.raises(InputError, match=r"agrees with no router that is known \(nearest: "):
        read_module(seeded(Layer, cold))
    with pytest.raises(InputError, match="no list of experts"):
        read_module(Glu())
    two = seeded(Layer, softmax_first)
    two.other = nn.Linear(D, COUNT)
    with pytest.raises(InputError, match=r"found: router\.weight, other\.weight"):
        read_module(two)
    mixed = seeded(Layer, softmax_first)
    mixed.experts[0].w2 = nn.Linear(WIDTH, D)
    with pytest.raises(InputError, match="its experts have 2 forms"):
        read_module(mixed)
    narrow = seeded(Layer, softmax_first)
    narrow.router = nn.Linear(D - 1, COUNT)
    with pytest.raises(InputError, match="6 inputs and 6 outputs, and scores are of 5 inputs"):
        read_module(narrow)


def test_from_a_module_to_a_verdict():
    found = analyse(read_module(seeded(Layer, dense)))
    assert found.gate == "softmax"
    assert found.dimension == D + COUNT * WIDTH
    assert found.decided[0].rate == "no consistent estimator of up and down"
