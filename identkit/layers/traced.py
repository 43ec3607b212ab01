"""One expert of torch, traced: which form it has, and that its expression is its function.

``torch.fx`` records what the expert computes as a graph of calls. The graph is read as a tree, and
the tree compared with the forms of :class:`~identkit.layers.record.Form`. Then every linear map is
cut to two inputs and two outputs, and the graph so cut is evaluated beside the expression.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from identkit.errors import InputError
from identkit.foreign import FAILS, said
from identkit.layers.record import ExpertForm, Form
from identkit.layers.symbols import expert as expression_of
from identkit.layers.symbols import names

SMALL = 2
"""Inputs, hidden units and outputs at which the expression is compared."""
TOLERANCE = 1e-6
POINTS, REACHING = 8, 8.0
"""How many inputs, and times how much, so that clamps are reached."""
KNOWN = (
    "down(φ(gate x)), down(φ(gate x)·up x) or the clamped form of GPT-OSS, gate, up and down linear"
)
ACTIVATIONS: Mapping[Any, str] = {
    nn.SiLU: "silu", nn.GELU: "gelu", nn.ReLU: "relu", nn.Tanh: "tanh", nn.Sigmoid: "sigmoid",
    functional.silu: "silu", functional.gelu: "gelu", functional.relu: "relu",
    functional.tanh: "tanh", functional.sigmoid: "sigmoid", torch.relu: "relu",
    torch.tanh: "tanh", torch.sigmoid: "sigmoid", "relu": "relu", "tanh": "tanh",
    "sigmoid": "sigmoid",
}  # fmt: skip
"""Module class, function or method -> activation."""
_PRODUCTS = (operator.mul, torch.mul, torch.multiply, "mul")
_SUMS = (operator.add, torch.add, "add")
_CUTS = (torch.clamp, torch.clip, "clamp", "clip")
_SECONDS = ((..., slice(None, None, 2)), (..., slice(1, None, 2)))
_WITHOUT_EFFECT = (nn.Dropout, nn.Identity, functional.dropout, "contiguous")
"""In evaluation mode."""

_FRAME = re.compile(r'File "([^"]+)", line (\d+), in .*\n\s*(.*)')
_LIBRARY = str(Path(torch.__file__).parent)

Tree = tuple[Any, ...]
"""("input",), ("linear", name, tree), ("act", φ, tree), ("mul", tree, tree), ("part", i, tree) of
halves, ("every", i, tree) second one, ("scale", c, tree), ("shift", c, tree), ("cut", low, high,
tree)."""


@dataclass(frozen=True)
class TracedExpert:
    """The form, and the names of the linear maps below the expert: gate, up, down.

    ``fused``: ``part`` if gate and up are the two halves of the outputs of one map, whose name both
    have, ``every`` if its outputs are theirs in turn; else empty.
    """

    form: ExpertForm
    gate: str
    up: str | None
    down: str
    fused: str


class _Tracer(fx.Tracer):
    """Branches on the type of numbers are taken as for float64, the type of all tensors here."""

    def to_bool(self, obj: fx.Proxy) -> bool:
        node = obj.node
        if node.target in (operator.eq, operator.ne):
            kinds = [torch.float64 if _is_type(a) else a for a in node.args]
            if all(isinstance(kind, torch.dtype) for kind in kinds):
                return (kinds[0] == kinds[1]) is (node.target is operator.eq)
        return super().to_bool(obj)


def _is_type(node: Any) -> bool:
    return isinstance(node, fx.Node) and node.target is getattr and node.args[1] == "dtype"


def form_of(experts: Iterable[nn.Module], hidden: int, seed: int = 0) -> ExpertForm:
    """The one form of experts with ``hidden`` inputs and outputs.

    Raises :class:`~identkit.errors.InputError` as :func:`traced`, and for several forms. Experts
    with one graph are compared with their expression once.
    """
    forms: dict[ExpertForm, None] = {}
    compared: set[tuple[str, TracedExpert]] = set()
    for expert in experts:
        graph, found = _read(expert)
        key = (graph.python_code("self").src, found)
        if key not in compared:
            _compared(expert, graph, found, seed)
            compared.add(key)
        sizes = _linear(expert, found.gate).in_features, _linear(expert, found.down).out_features
        if sizes != (hidden, hidden):
            raise InputError(
                f"expert {type(expert).__name__}: has {sizes[0]} inputs and {sizes[1]} outputs, "
                f"and scores are of {hidden} inputs; give it {hidden} of both."
            )
        forms[found.form] = None
    if len(forms) > 1:
        raise InputError(f"layer: its experts have {len(forms)} forms; give them one.")
    return next(iter(forms))


def traced(expert: nn.Module, seed: int = 0) -> TracedExpert:
    """What one expert computes, its expression compared with it at a small width.

    Raises :class:`~identkit.errors.InputError`, which names the line of its forward that is not
    read, or says by how much the two differ.
    """
    graph, found = _read(expert)
    _compared(expert, graph, found, seed)
    return found


def _read(expert: nn.Module) -> tuple[fx.Graph, TracedExpert]:
    tracer = _Tracer()
    tracer.record_stack_traces = True
    try:
        graph = tracer.trace(expert)
    except FAILS as error:  # whatever its forward raises when no tensor comes in
        raise InputError(
            f"expert {type(expert).__name__}: its forward cannot be traced "
            f"({said(error)}); keep branches on values out of it."
        ) from None
    for node in reversed(graph.nodes):
        if not node.users and node.op not in ("placeholder", "output"):
            graph.erase_node(node)  # such as questions about types, which were answered
    return graph, _matched(expert, _tree(expert, graph))


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
    numbers = [a for a in node.args if isinstance(a, int | float)]
    if key in _PRODUCTS and len(numbers) == 1:
        return ("scale", float(numbers[0]), inner[0])
    if key in _SUMS and len(numbers) == 1:
        return ("shift", float(numbers[0]), inner[0])
    if key in _CUTS:
        given = dict(zip(("min", "max"), node.args[1:], strict=False)) | dict(node.kwargs)
        return ("cut", given.get("min"), given.get("max"), inner[0])
    if key in (torch.chunk, "chunk") and _halves(node):
        return ("halves", inner[0])
    if key is operator.getitem and inner[0][0] == "halves":
        return ("part", node.args[1], inner[0][1])
    if key is operator.getitem and node.args[1] in _SECONDS:
        return ("every", _SECONDS.index(node.args[1]), inner[0])
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
        f"expert {type(expert).__name__}: {called}{where} is not read; an expert is {KNOWN}."
    )


def _matched(expert: nn.Module, tree: Tree) -> TracedExpert:
    """The form that a tree has. Raises InputError for another one."""
    match tree:
        case ("linear", down, inner):
            factors = _factors(inner)
            found = _plain_or_glu(factors) or _clamped(factors)
            if found is not None:
                return _with_form(expert, *found, down)
    raise InputError(
        f"expert {type(expert).__name__}: {_said(tree)} is not read; an expert is {KNOWN}."
    )


Found = tuple[ExpertForm, str, str | None, str]
"""Form without width and biases; gate, up; how they are fused."""


def _factors(tree: Tree) -> list[Tree]:
    """Of a product, z·σ(αz) joined to one activation where it has a name."""
    if tree[0] != "mul":
        return [tree]
    found = [*_factors(tree[1]), *_factors(tree[2])]
    for factor in found:
        match factor:
            case ("act", "sigmoid", ("scale", 1.702, z)) if z in found:
                name = "quick-gelu"
            case ("act", "sigmoid", z) if z in found:
                name = "silu"
            case _:
                continue
        if z[0] in ("linear", "part", "every"):
            found.remove(factor)
            found[found.index(z)] = ("act", name, z)
            break
    return found


def _plain_or_glu(factors: Sequence[Tree]) -> Found | None:
    for first, *others in (factors, factors[::-1]):
        match first, *others:
            case (("act", name, ("linear", gate, ("input",))),):
                return ExpertForm(Form.PLAIN, name, 1), gate, None, ""
            case ("act", name, one), other if (maps := _maps(one, other)) is not None:
                return ExpertForm(Form.GLU, name, 1), *maps
    return None


def _clamped(factors: Sequence[Tree]) -> Found | None:
    """g·σ(αg)·(u + 1), g = min(gate, L), u = up cut to [-L, L], in any order."""
    for g, s, u in permutations(factors) if len(factors) == 3 else ():
        match g, s, u:
            case (
                ("cut", None, most, gate),
                ("act", "sigmoid", inner),
                ("shift", 1.0, ("cut", least, top, up)),
            ) if most is not None and least == -most and top == most:
                alpha = inner[1] if inner[0] == "scale" else 1.0
                maps = _maps(gate, up)
                if maps is not None and (inner[2] if inner[0] == "scale" else inner) == g:
                    form = ExpertForm(
                        Form.CLAMPED, "silu", 1, alpha=f"{alpha:g}", limit=f"{most:g}"
                    )
                    return form, *maps
    return None


def _maps(gate: Tree, up: Tree) -> tuple[str, str, str] | None:
    """The names of two maps of the input, and how they are fused."""
    match gate, up:
        case ("linear", one, ("input",)), ("linear", other, ("input",)):
            return one, other, ""
        case (("part" | "every") as how, 0, ("linear", one, ("input",))), (same, 1, inner):
            if same == how and inner == gate[2]:
                return one, one, how
    return None


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
        case ("part" | "every", i, inner):
            return f"{_said(inner)}[half {i}]"
        case ("shift", number, inner):
            return f"({_said(inner)} + {number:g})"
        case ("scale", number, inner):
            return f"{number:g}·{_said(inner)}"
        case ("cut", low, high, inner):
            return f"clamp({_said(inner)}, {low}, {high})"
        case (_, name, inner):
            return f"{name}({_said(inner)})"
    return str(tree[0])


def _with_form(
    expert: nn.Module, form: ExpertForm, gate: str, up: str | None, fused: str, down: str
) -> TracedExpert:
    linear = {n: _linear(expert, m) for n, m in (("gate", gate), ("up", up), ("down", down)) if m}
    biased = tuple(name for name, own in linear.items() if own.bias is not None)
    if form.form is Form.CLAMPED and len(biased) < len(linear):
        raise InputError(
            f"expert {type(expert).__name__}: the clamped form is read with a bias in each of its "
            f"linear maps, and only {', '.join(biased) or 'none'} has one; give all of them one."
        )
    own = replace(
        form,
        width=linear["down"].in_features,
        bias=bool(biased),
        biased=biased if len(biased) < len(linear) else (),
    )
    return TracedExpert(own, gate, up, down, fused)


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
        biased = _linear(expert, name).bias is not None
        cut = nn.Linear(SMALL, rows, bias=biased, dtype=torch.float64)
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
        ("a", "b", found.gate, 0), ("u", "v", found.up, int(bool(found.fused))),
    ):  # fmt: skip
        if name is None:
            continue
        own = _linear(root, name)
        for j in range(SMALL):
            row = 2 * j + part if found.fused == "every" else part * SMALL + j
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
    x = REACHING * x if found.form.form is Form.CLAMPED else x
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
