"""One expert of torch, traced: which form it has, and that its expression is its function.

``torch.fx`` records what the expert computes as a graph of calls. The graph is read as a tree, and
the tree compared with the forms of :class:`~identkit.layers.record.Form`. Then every linear map is
cut to two inputs and two outputs, and the graph so cut is evaluated beside the expression.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from identkit.errors import InputError
from identkit.layers.record import ExpertForm, Form
from identkit.layers.symbols import expert as expression_of
from identkit.layers.symbols import names

SMALL = 2
"""Inputs, hidden units and outputs at which the expression is compared."""
TOLERANCE = 1e-6
POINTS = 8
ACTIVATIONS: Mapping[Any, str] = {
    nn.SiLU: "silu", nn.GELU: "gelu", nn.ReLU: "relu", nn.Tanh: "tanh", nn.Sigmoid: "sigmoid",
    functional.silu: "silu", functional.gelu: "gelu", functional.relu: "relu",
    functional.tanh: "tanh", functional.sigmoid: "sigmoid", torch.relu: "relu",
    torch.tanh: "tanh", torch.sigmoid: "sigmoid", "relu": "relu", "tanh": "tanh",
    "sigmoid": "sigmoid",
}  # fmt: skip
"""Module class, function or method -> activation."""
_PRODUCTS = (operator.mul, torch.mul, torch.multiply, "mul")
_WITHOUT_EFFECT = (nn.Dropout, nn.Identity, functional.dropout, "contiguous")
"""In evaluation mode."""

_FRAME = re.compile(r'File "([^"]+)", line (\d+), in .*\n\s*(.*)')
_LIBRARY = str(Path(torch.__file__).parent)

Tree = tuple[Any, ...]
"""("input",), ("linear", name, tree), ("act", φ, tree), ("mul", tree, tree), ("part", i, tree)."""


@dataclass(frozen=True)
class TracedExpert:
    """The form, and the names of the linear maps below the expert: gate, up, down.

    ``fused``: gate and up are the two halves of the outputs of one map, whose name both have.
    """

    form: ExpertForm
    gate: str
    up: str | None
    down: str
    fused: bool


def traced(expert: nn.Module, seed: int = 0) -> TracedExpert:
    """What one expert computes, its expression compared with it at a small width.

    Raises :class:`~identkit.errors.InputError`, which names the line of its forward that is not
    read, or says by how much the two differ.
    """
    tracer = fx.Tracer()
    tracer.record_stack_traces = True
    try:
        graph = tracer.trace(expert)
    except Exception as error:  # whatever its forward raises when no tensor comes in
        raise InputError(
            f"expert {type(expert).__name__}: its forward cannot be traced "
            f"({str(error).splitlines()[0][:100]}); keep branches on values out of it."
        ) from None
    found = _matched(expert, _tree(expert, graph))
    _compared(expert, graph, found, seed)
    return found


# -- the graph as a tree --------------------------------------------------------------------------


def _tree(expert: nn.Module, graph: fx.Graph) -> Tree:
    modules = dict(expert.named_modules())
    trees: dict[fx.Node, Tree] = {}
    for node in graph.nodes:
        if node.op == "placeholder":
            if trees:
                raise InputError(
                    f"expert {type(expert).__name__}: its forward takes more than one tensor; "
                    "give a module of x alone."
                )
            trees[node] = ("input",)
        elif node.op == "output":
            if not isinstance(node.args[0], fx.Node):
                raise _unread(expert, node)
            return trees[node.args[0]]
        else:
            trees[node] = _of_node(expert, node, modules, trees)
    raise InputError(f"expert {type(expert).__name__}: its forward returns nothing.")


def _of_node(
    expert: nn.Module, node: fx.Node, modules: Mapping[str, nn.Module], trees: dict[fx.Node, Tree]
) -> Tree:
    kind: Any = node.target
    own = modules[str(kind)] if node.op == "call_module" else None
    key = kind if own is None else type(own)
    inner = [trees[a] for a in node.args if isinstance(a, fx.Node)]
    if isinstance(own, nn.Linear):
        return ("linear", str(kind), inner[0])
    if key in ACTIVATIONS:
        form = getattr(own, "approximate", node.kwargs.get("approximate", "none"))
        name = ACTIVATIONS[key]
        return ("act", "gelu-tanh" if name == "gelu" and form == "tanh" else name, inner[0])
    if key in _WITHOUT_EFFECT:
        return inner[0]
    if key in _PRODUCTS and len(inner) == 2:
        return ("mul", *inner)
    if key in (torch.chunk, "chunk") and _halves(node):
        return ("halves", inner[0])
    if key is operator.getitem and inner[0][0] == "halves":
        return ("part", node.args[1], inner[0][1])
    raise _unread(expert, node)


def _halves(node: fx.Node) -> bool:
    """Whether a call of chunk makes two halves of the last dimension."""
    given = dict(zip(("chunks", "dim"), node.args[1:], strict=False)) | dict(node.kwargs)
    return bool(given.get("chunks") == 2 and given.get("dim") == -1)


def _unread(expert: nn.Module, node: fx.Node) -> InputError:
    """The error for a call that is no part of a known form, with its line."""
    frames = _FRAME.findall(node.stack_trace or "")
    own = [(n, text) for file, n, text in frames if not file.startswith(_LIBRARY)]
    where = f" in line {own[-1][0]}, '{own[-1][1][:80]}'," if own else ""
    called = getattr(node.target, "__name__", str(node.target))
    return InputError(
        f"expert {type(expert).__name__}: {called}{where} is not read; an expert is "
        "down(φ(gate x)) or down(φ(gate x)·up x) of linear maps."
    )


def _matched(expert: nn.Module, tree: Tree) -> TracedExpert:
    """The form that a tree has. Raises InputError for another one."""
    match tree:
        case ("linear", down, ("act", name, ("linear", gate, ("input",)))):
            return _with_form(expert, Form.PLAIN, name, (gate, None, down), fused=False)
        case ("linear", down, ("mul", ("act", name, first), second)) | (
            "linear", down, ("mul", second, ("act", name, first)),
        ):  # fmt: skip
            match first, second:
                case ("linear", gate, ("input",)), ("linear", up, ("input",)):
                    maps = (gate, up, down)
                    return _with_form(expert, Form.GLU, name, maps, fused=False)
                case ("part", 0, ("linear", gate, ("input",))), ("part", 1, ("linear", up, _)):
                    maps = (gate, up, down)
                    return _with_form(expert, Form.GLU, name, maps, fused=True)
    raise InputError(
        f"expert {type(expert).__name__}: {_said(tree)} is not read; an expert is down(φ(gate x)) "
        "or down(φ(gate x)·up x) of linear maps."
    )


def _said(tree: Tree) -> str:
    """A tree in words.

    >>> _said(("linear", "w2", ("act", "relu", ("linear", "w1", ("input",)))))
    'w2(relu(w1(x)))'
    """
    match tree:
        case ("input",):
            return "x"
        case ("mul", one, other):
            return f"{_said(one)}·{_said(other)}"
        case ("part", i, inner):
            return f"{_said(inner)}[half {i}]"
        case (_, name, inner):
            return f"{name}({_said(inner)})"
    return str(tree[0])


def _with_form(
    expert: nn.Module, form: Form, name: str, maps: tuple[str, str | None, str], *, fused: bool
) -> TracedExpert:
    gate, up, down = maps
    linear = [_linear(expert, m) for m in maps if m is not None]
    biases = {m.bias is not None for m in linear}
    if len(biases) > 1:
        raise InputError(
            f"expert {type(expert).__name__}: some of its linear maps have a bias and some have "
            "none, which is not read; give all of them one, or none."
        )
    width = linear[-1].in_features
    return TracedExpert(ExpertForm(form, name, width, biases.pop()), gate, up, down, fused)


def _linear(expert: nn.Module, name: str) -> nn.Linear:
    found = expert.get_submodule(name)
    assert isinstance(found, nn.Linear)
    return found


# -- the expression beside the graph --------------------------------------------------------------


def _compared(expert: nn.Module, graph: fx.Graph, found: TracedExpert, seed: int) -> None:
    """Raise InputError if the expression differs from the graph with all maps cut to two."""
    generator = torch.Generator().manual_seed(seed)
    root = nn.Module()
    values: dict[str, float] = {}
    for name in dict.fromkeys(m for m in (found.gate, found.up, found.down) if m is not None):
        rows = 2 * SMALL if found.fused and name == found.gate else SMALL
        cut = nn.Linear(SMALL, rows, bias=found.form.bias, dtype=torch.float64)
        with torch.no_grad():
            for tensor in cut.parameters():
                tensor.copy_(torch.randn(tensor.shape, generator=generator, dtype=torch.float64))
        _put(root, name, cut)
    for node in graph.nodes:
        if node.op == "call_module" and not isinstance(
            expert.get_submodule(node.target), nn.Linear
        ):
            _put(root, node.target, expert.get_submodule(node.target))
    small = fx.GraphModule(root, graph).eval()
    for letter, bias, name, part in (
        ("a", "b", found.gate, 0), ("u", "v", found.up, int(found.fused)),
    ):  # fmt: skip
        if name is None:
            continue
        own = _linear(root, name)
        for j in range(SMALL):
            row = part * SMALL + j
            values |= dict(
                zip(names(letter, j, SMALL, SMALL), own.weight[row].tolist(), strict=True)
            )
            if own.bias is not None:
                values[f"{bias}{j}"] = float(own.bias[row].detach())
    down = _linear(root, found.down)
    for j in range(SMALL):
        column = down.weight[:, j].tolist()
        values |= dict(zip(names("c", j, SMALL, SMALL), column, strict=True))
    if down.bias is not None:
        values |= dict(zip(names("e", 0, 1, SMALL), down.bias.tolist(), strict=True))
    _evaluate(expert, small, found, values, generator)


def _evaluate(
    expert: nn.Module,
    small: Callable[[torch.Tensor], torch.Tensor],
    found: TracedExpert,
    values: Mapping[str, float],
    generator: torch.Generator,
) -> None:
    written = expression_of(found.form, units=SMALL, inputs=SMALL, outputs=SMALL)
    x = torch.randn((POINTS, SMALL), generator=generator, dtype=torch.float64)
    with torch.no_grad():
        out = small(x)
    worst = 0.0
    for point, row in zip(x.tolist(), out.tolist(), strict=True):
        at = {**values, **{f"x{i}": point[i] for i in range(SMALL)}}
        for h, number in zip(written.functions, row, strict=True):
            here = float(h.subs({s: at[str(s)] for s in h.free_symbols}))
            worst = max(worst, abs(here - number))
    if worst > TOLERANCE:
        raise InputError(
            f"expert {type(expert).__name__}: its expression differs from it by {worst:.1e} at a "
            "small width; its forward does what the trace does not show."
        )


def _put(root: nn.Module, path: str, module: nn.Module) -> None:
    """Set a module under a dotted name."""
    *parents, last = path.split(".")
    for name in parents:
        if not hasattr(root, name):
            setattr(root, name, nn.Module())
        root = getattr(root, name)
    setattr(root, last, module)
