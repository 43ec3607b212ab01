"""Layers of torch are read: experts traced, routers recognised by what they compute."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from identkit.errors import InputError  # noqa: E402
from identkit.layers.analysis import analyse  # noqa: E402
from identkit.layers.module import read_module  # noqa: E402
from identkit.layers.record import Divided, ExpertForm, Form, Scores, SharedExperts  # noqa: E402
from identkit.layers.symbols import gate_of  # noqa: E402
from identkit.layers.traced import traced  # noqa: E402

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


class Mixed(Glu):
    def __init__(self):
        super().__init__()
        self.w2 = nn.Linear(WIDTH, D, bias=True)


class Residual(Glu):
    def forward(self, x):
        return x + super().forward(x)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (Normed(), r"norm in line \d+, 'return self.w2\(self.act\(self.w1\(self.norm\(x\)\)\)\)'"),
        (Branching(), "cannot be traced"),
        (Deep(), r"w2\(tanh\(tanh\(w1\(x\)\)\)\) is not read"),
        (Mixed(), "some of its linear maps have a bias"),
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
    return softmax_first(layer, score / 2)


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
    with pytest.raises(InputError, match="some of its linear maps have a bias"):
        read_module(mixed)


def test_from_a_module_to_a_verdict():
    found = analyse(read_module(seeded(Layer, dense)))
    assert found.gate == "softmax"
    assert found.dimension == D + COUNT * WIDTH
    assert found.decided[0].rate == "no consistent estimator of up and down"
