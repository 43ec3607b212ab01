"""Layers whose code does what it should not: a true reading, or one sentence."""

from __future__ import annotations

import json
import sys

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from identkit.cli.main import main  # noqa: E402
from identkit.errors import InputError  # noqa: E402
from identkit.layers.module import read_module  # noqa: E402
from identkit.layers.record import Divided, Scores  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


class Expert(nn.Module):
    def __init__(self, d=4, m=3):
        super().__init__()
        self.up, self.down = nn.Linear(d, m), nn.Linear(m, d)

    def forward(self, x):
        return self.down(functional.relu(self.up(x)))


class Layer(nn.Module):
    """Softmax of the two largest, divided by their sum."""

    def __init__(self, d=4, m=3, **numbers):
        super().__init__()
        self.gate = nn.Linear(d, 4)
        self.experts = nn.ModuleList(Expert(d, m) for _ in range(4))
        for name, value in numbers.items():
            setattr(self, name, value)

    def weigh(self, x):
        p = self.gate(x).softmax(-1)
        v, i = p.topk(2, -1)
        return torch.zeros_like(p).scatter(-1, i, v / v.sum(-1, keepdim=True))

    def forward(self, x):
        w = self.weigh(x)
        return sum(w[..., j, None] * e(x) for j, e in enumerate(self.experts))


class Sigmoid(Layer):
    def weigh(self, x):
        p = self.gate(x).sigmoid()
        v, i = p.topk(2, -1)
        return torch.zeros_like(p).scatter(-1, i, v) * self.scaling_factor


@pytest.mark.parametrize("factor", [1e-12, 1e-7, 1e7])
def test_outputs_of_any_size(factor):
    router = read_module(Sigmoid(scaling_factor=factor)).router
    assert (router.scores, router.selected) == (Scores.SIGMOID, 2)
    assert (router.divided, float(router.factor)) == (Divided.NOT, factor)


class Zero(Layer):
    def forward(self, x):
        return 0 * super().forward(x)


class Infinite(Layer):
    def forward(self, x):
        return torch.where(x[..., :1] > 0, super().forward(x), torch.inf)


class Switch(Layer):
    def forward(self, x):
        out = super().forward(x)
        return torch.where(x.norm(dim=-1, keepdim=True) > 6, 0 * out, out)


class Threshold(Layer):
    def weigh(self, x):
        w = super().weigh(x)
        return torch.where(w < 0.03, 0, w)


class Near(Layer):
    def forward(self, x):
        out = super().forward(x)
        return torch.where(x.norm(dim=-1, keepdim=True) < 0.2, 0 * out, out)


class One(Layer):
    """Experts with the same numbers: weights that sum to 1 have no effect."""

    def __init__(self):
        super().__init__()
        for expert in self.experts:
            expert.up, expert.down = self.experts[0].up, self.experts[0].down


class Temperatures(Layer):
    def __init__(self):
        super().__init__()
        self.tau, self.temperature = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Zero(), r"Zero: its forward gives 0 at each of 192 random inputs"),
        (Infinite(), "Infinite: its forward gives numbers that are not finite at normal inputs"),
        (Switch(), "Switch: its forward, line .* agrees with no router"),
        (Threshold(), "Threshold: its forward, line .* agrees with no router"),
        (Near(), "Near: its forward, line .* agrees with no router"),
        (One(), r"One: agrees with \d+ routers that its outputs do not tell apart"),
        (Temperatures(), "Temperatures: tau, temperature are called temperatures, and one is"),
    ],
)
def test_what_is_refused(layer, message):
    with pytest.raises(InputError, match=message):
        read_module(layer)


@pytest.mark.filterwarnings("ignore:Initializing zero-element")
def test_sizes_of_zero():
    with pytest.raises(InputError, match=r"experts\.0\.up\.weight has no numbers, .* \(0, 4\)"):
        read_module(Layer(m=0))
    with pytest.raises(InputError, match=r"gate\.weight has no numbers, .* \(4, 0\)"):
        read_module(Layer(d=0))


def test_the_note_says_where_it_was_compared():
    note = read_module(Dense()).notes[0]
    assert note.startswith("the router agrees with the module's forward at random inputs")
    assert note.endswith("64 times 1, 64 times 0.125, 64 times 8; at others nothing is known")


class Fails(Layer):
    @property
    def k(self):
        raise RuntimeError("no k")


NUMBERS = (0, -1, 99, 2.7, float("nan"), float("inf"), 10**400)


@pytest.mark.parametrize("name", ["k", "n_group", "scaling_factor", "tau"])
@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_that_cannot_be(name, number):
    router = read_module(Layer(**{name: number, "topk_group": 1})).router
    assert (router.selected, router.factor, router.temperature) == (2, "1", "1")


def test_a_property_that_fails():
    assert read_module(Fails()).router.selected == 2


# -- code that ends the program, or prints --------------------------------------------------------


class Exits(Layer):
    def forward(self, x):
        sys.exit(5)


class Stops(Expert):
    def forward(self, x):
        sys.exit(0)


class ExpertExits(Layer):
    def __init__(self):
        super().__init__(experts=nn.ModuleList(Stops() for _ in range(4)))


class SharedExits(Layer):
    def __init__(self):
        super().__init__(shared_experts=Stops())


class CopyExits(Layer):
    def __deepcopy__(self, memo):
        sys.exit(3)


class ModulesExit(Layer):
    def named_modules(self, *arguments, **named):
        sys.exit(4)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Exits", "Exits: its forward makes no tensor like x"),
        ("ExpertExits", "expert Stops: its forward cannot be traced (SystemExit 0)"),
        ("SharedExits", "shared expert Stops: fails on x of 4 inputs (SystemExit 0)"),
        ("CopyExits", "CopyExits: cannot be copied (SystemExit 3)"),
        ("ModulesExit", "ModulesExit: listing its numbers raises SystemExit (4)"),
    ],
)
def test_code_that_ends_the_program(name, message, capsys):
    assert main(["layer", f"{__file__}:{name}"]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert not shown.out


class Prints(Layer):
    def forward(self, x):
        print("HELLO")
        return super().forward(x)


def test_what_is_printed_is_not_in_the_document(capsys):
    assert main(["layer", f"{__file__}:Prints", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)
    assert "HELLO" in shown.err


class Dense(Layer):
    """All experts, softmax: no other router agrees at the first inputs."""

    def weigh(self, x):
        return self.gate(x).softmax(-1)
