"""Experts h(x, η): an expression, its inputs x and its parameters η. The built-ins are rows.

An expert of several outputs has an expression for each, in the same inputs and parameters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import sympy as sp

from identkit.errors import ExpressionError, InputError, unknown_name
from identkit.expression import (
    CONSTANTS,
    FUNCTIONS,
    INPUT,
    Step,
    free_names,
    parse,
    parse_all,
    spelled,
    symbol,
)
from identkit.registry import folded

ACTIVATIONS = {
    "relu": "max(0, z)",
    "gelu": "z·Φ(z), Φ the standard normal distribution function (exact, not the tanh form)",
    "silu": "z·σ(z)",
    "sigmoid": "σ(z) = 1/(1 + exp(-z))",
    "tanh": "tanh z",
    "softplus": "log(1 + exp(z))",
    "sin": "sin z",
    "exp": "exp z",
}
"""Activation φ -> its formula; each is a function of the expression grammar."""

SHAPES = {
    "ridge": "φ(aᵀx + b)",
    "nobias": "φ(aᵀx)",
    "ffn": "c·φ(aᵀx + b)",
}
"""Shape -> formula, for the activations above."""

SHAPELESS = {
    "linear": "aᵀx + b",
    "polyP": "(aᵀx + b)^P, any P ≥ 1 (poly2, poly3, …)",
    "input-free": "η, one number per atom: the expert ignores x",
}
"""Experts that are not an activation in a shape -> formula."""

MAX_DIM = 64
MAX_POLYNOMIAL = 100
MAX_COMPONENTS = 16


@dataclass(frozen=True)
class Expert:
    """An expert h(x, η), of one output or of several.

    ``text`` is the expression in identkit's grammar, with a semicolon between the components of an
    expert of several outputs; ``inputs`` are the names of x (length d) and ``parameters`` the names
    of η (length q). ``name`` is the built-in's name or ``custom``; ``shape`` is ``ridge``,
    ``nobias``, ``ffn`` or None. ``family`` is the class of experts that published tables speak of
    (``relu``, ``polynomial``, …), None for a user's expression. ``symbol`` is what the function is
    called in print.
    """

    symbol: ClassVar[str] = "h"

    name: str
    text: str
    inputs: tuple[str, ...]
    parameters: tuple[str, ...]
    shape: str | None = None
    family: str | None = None

    def __post_init__(self) -> None:
        names = (*self.inputs, *self.parameters)
        if len(set(names)) != len(names):
            raise InputError(f"expert: a name is used twice among {', '.join(names)}; rename one.")
        used = set().union(*map(free_names, self.functions))
        if not self.inputs:
            raise InputError("expert: it has no input; write at least one, x or x0.")
        if not self.parameters:
            raise ExpressionError(
                f"expression: '{self.text}' has no parameter, so there is nothing to identify; "
                "add one, as in 'tanh(a*x + b)'."
            )
        stray = used - set(names)
        if stray:
            raise InputError(
                f"expert: {', '.join(sorted(stray))} in '{self.text}' is neither an input nor "
                "a parameter; list it among the parameters."
            )

    @property
    def components(self) -> tuple[str, ...]:
        """The text of each component of h; a scalar expert has one."""
        return tuple(part.strip() for part in self.text.split(";"))

    @cached_property
    def functions(self) -> tuple[sp.Expr, ...]:
        """The components of h as SymPy expressions in real symbols."""
        parts = self.components
        return (parse(self.text),) if len(parts) == 1 else parse_all(parts)

    @property
    def meaning(self) -> str:
        """What the function is, where the texts are not the function itself; else nothing."""
        return ""

    @property
    def markers(self) -> tuple[str, ...]:
        """Names that tell the components apart in :attr:`expression`; none for a scalar expert.

        The grammar cannot write them, so no input and no parameter has such a name.
        """
        count = len(self.components)
        return tuple(f"e{str(i + 1).translate(_SUBSCRIPTS)}" for i in range(count)) * (count > 1)

    @cached_property
    def expression(self) -> sp.Expr:
        """h as a SymPy expression in real symbols; Σ e_i·h_i of an expert of several outputs.

        The sum is linear in the markers e_i, which occur nowhere else: it is 0 for every x and e
        just when every component is 0 for every x.
        """
        if not self.markers:
            return self.functions[0]
        return sp.Add(*(e * h for e, h in zip(symbols(self.markers), self.functions, strict=True)))

    @property
    def written(self) -> str:
        """h as a person writes it: the expression, or the components in brackets."""
        parts = self.components
        return self.text if len(parts) == 1 else f"({', '.join(parts)})"

    @property
    def dim(self) -> int:
        """d, the number of inputs."""
        return len(self.inputs)

    @property
    def is_smooth(self) -> bool:
        """False if h has kinks (relu, abs, Max, Min)."""
        return not any(h.has(Step) for h in self.functions)

    @property
    def label(self) -> str:
        """Name and shape, or a user's expert as written."""
        if self.name == "custom":
            return self.written
        return f"{self.name} {self.shape}" if self.shape else self.name

    @classmethod
    def from_expression(
        cls,
        text: str | Sequence[str],
        *,
        dim: int | None = None,
        parameters: tuple[str, ...] | None = None,
        inputs: Sequence[str] | None = None,
    ) -> Expert:
        """An expert from a user's expression, or from one for each of its outputs.

        Inputs are ``x`` (d = 1) or ``x0, x1, …``; every other symbol is a parameter unless
        ``parameters`` lists them (then the remaining symbols must be inputs). ``dim`` adds inputs
        that the expression does not use. ``inputs`` names the inputs instead, as columns of a
        table; they need not be used, and x is none then. Components, a list or a text with
        semicolons, share inputs and parameters; each may be free of some of them.

        >>> Expert.from_expression("c*atan(a*x + b)").parameters
        ('c', 'a', 'b')
        >>> Expert.from_expression(["a*tanh(b*x + c)", "d*x"]).components
        ('a*tanh(b*x + c)', 'd*x')

        Raises :class:`~identkit.errors.InputError` for an expression that cannot be read, has no
        input or no parameter, or does not fit ``dim``.
        """
        parts = tuple(map(spelled, _components(text)))
        text = "; ".join(parts)
        functions = (parse(text),) if len(parts) == 1 else parse_all(parts)
        names = set().union(*map(free_names, functions))
        written = names_in_order(text, names)
        gone = names_written(text) - names - set(FUNCTIONS) - set(CONSTANTS)
        if gone:
            raise ExpressionError(
                f"expression: {', '.join(sorted(gone))} cancels out of '{text}'; remove it, since "
                "nothing depends on it."
            )
        declared = set(parameters or ())
        used_inputs = {n for n in names if INPUT.match(n)} - declared
        if inputs is not None:
            other = used_inputs - set(inputs)
            if other:
                raise InputError(
                    f"expression: '{text}' mixes {', '.join(sorted(other))} with the inputs "
                    f"{', '.join(inputs)}; call every input by its name."
                )
            used_inputs = names & set(inputs)
        if parameters is not None:
            for name in parameters:
                symbol_name = parse(name)
                if not symbol_name.is_Symbol:
                    raise InputError(f"--params: '{name}' is not a name; list names like a,b.")
            missing = declared - names
            if missing:
                raise InputError(
                    f"--params: {', '.join(sorted(missing))} is not in '{text}'; remove it."
                )
            other = names - declared - used_inputs
            if other:
                raise InputError(
                    f"--params: {', '.join(sorted(other))} in '{text}' is neither listed nor an "
                    "input (x, x0, x1, …); list it too."
                )
        chosen = (
            tuple(parameters)
            if parameters is not None
            else tuple(n for n in written if n not in used_inputs)
        )
        known = _inputs(text, used_inputs, dim) if inputs is None else tuple(inputs)
        return cls("custom", text.strip(), known, chosen)

    @classmethod
    def from_canonical(cls, document: dict, *, columns: bool = False) -> Expert:
        """The expert that :meth:`canonical` wrote, of a document of that form.

        With ``columns`` its inputs may be called otherwise than x, as the columns of a table.

        A user's text goes through the same door as ever: roles of names cannot be swapped or
        invented. Whether it is the expert of the document, whoever reads it compares. Raises
        :class:`~identkit.errors.InputError` for one that cannot be.

        >>> Expert.from_canonical(builtin("gelu", "ffn", dim=1).canonical()).label
        'gelu ffn'
        """
        if document["name"] != "custom":
            return builtin(document["name"], document["shape"], document["dim"])
        named = document["inputs"] if columns else None
        return cls.from_expression(
            document.get("components", document["expression"]),
            dim=document["dim"],
            parameters=tuple(document["parameters"]),
            inputs=named,
        )

    def canonical(self) -> dict:
        """The JSON form of results and certificates; ``components`` where there are several."""
        several = {"components": list(self.components)} if self.markers else {}
        return {
            "name": self.name,
            "shape": self.shape,
            "expression": "; ".join(self.components) if several else self.text,
            **several,
            "inputs": list(self.inputs),
            "parameters": list(self.parameters),
            "dim": self.dim,
        }


_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def _components(text: str | Sequence[str]) -> tuple[str, ...]:
    """The texts of the components, each of them written out."""
    if isinstance(text, str):
        parts: list[object] = list(text.split(";"))
    elif isinstance(text, Sequence):
        parts = list(text)
    else:
        parts = [text]
    if not 1 <= len(parts) <= MAX_COMPONENTS:
        raise ExpressionError(
            f"expression: it has {len(parts)} components; give from 1 to {MAX_COMPONENTS}."
        )
    found = []
    for i, part in enumerate(parts):
        if not isinstance(part, str):
            raise ExpressionError(
                f"expression: component {i + 1} is {ascii(part)[:60]}; give a text such as "
                "'c*tanh(a*x + b)'."
            )
        if len(parts) > 1 and not part.strip():
            raise ExpressionError(
                f"expression: component {i + 1} of {len(parts)} is empty; write it, or 0 for a "
                "component that is 0."
            )
        found.append(part if len(parts) == 1 else part.strip())
    return tuple(found)


def scalar(expert: Expert, what: str) -> None:
    """Raise :class:`~identkit.errors.InputError` unless the expert has one output.

    ``what`` needs that, as a clause that the sentence begins with.
    """
    if expert.markers:
        raise InputError(
            f"expert: {what} an expert of one output, and '{expert.text[:60]}' has "
            f"{len(expert.markers)}; give one component, or use check."
        )


_WORD = re.compile(r"(?<![0-9.])[A-Za-z][A-Za-z0-9_]*")
"""A name; not the e of 1e-3."""


def names_written(text: str) -> set[str]:
    """All names in a text, of functions too; it need not be an expression."""
    return set(_WORD.findall(text))


def names_in_order(text: str, names: set[str]) -> list[str]:
    return [name for name in dict.fromkeys(_WORD.findall(text)) if name in names]


def _inputs(text: str, used: set[str], dim: int | None) -> tuple[str, ...]:
    if not used:
        raise ExpressionError(
            f"expression: '{text}' does not contain an input; use x (one input) or x0, x1, …"
        )
    if "x" in used:
        if len(used) > 1:
            raise ExpressionError(
                f"expression: '{text}' mixes x with {', '.join(sorted(used - {'x'}))}; "
                "use either x or x0, x1, …"
            )
        if dim not in (None, 1):
            raise InputError(
                f"--dim {dim}: '{text}' has the one input x; write x0, x1, … for more inputs."
            )
        return ("x",)
    largest = max(int(n[1:]) for n in used)
    if largest >= MAX_DIM:
        raise ExpressionError(f"expression: input x{largest} is above x{MAX_DIM - 1}; renumber.")
    if dim is not None and dim <= largest:
        raise InputError(f"--dim {dim}: '{text}' uses x{largest}, so it must be {largest + 1}.")
    return tuple(f"x{i}" for i in range(dim or largest + 1))


def check_dim(dim: int) -> None:
    """Raise :class:`~identkit.errors.InputError` unless 1 ≤ dim ≤ 64."""
    if not 1 <= dim <= MAX_DIM:
        raise InputError(f"--dim {dim}: the number of inputs must be between 1 and {MAX_DIM}.")


def builtin(name: str, shape: str | None = None, dim: int = 2) -> Expert:
    """The built-in expert ``name`` in dimension ``dim``.

    ``shape`` is one of :data:`SHAPES` for an activation (default ``ridge``) and None for
    ``linear``, ``polyP`` and ``input-free``. Names are read in any case.

    >>> builtin("gelu", "ffn", dim=1).text
    'c*gelu(a*x + b)'

    Raises :class:`~identkit.errors.InputError` for an unknown name or shape.
    """
    check_dim(dim)
    inputs = ("x",) if dim == 1 else tuple(f"x{i}" for i in range(dim))
    slopes = ("a",) if dim == 1 else tuple(f"a{i}" for i in range(dim))
    scalar = " + ".join(f"{a}*{x}" for a, x in zip(slopes, inputs, strict=True))
    name = folded(name, {*ACTIVATIONS, *SHAPELESS})
    if name in ACTIVATIONS:
        shape = folded(shape or "ridge", SHAPES)
        if shape not in SHAPES:
            raise unknown_name("shape", shape, SHAPES)
        if shape == "nobias":
            text, parameters = f"{name}({scalar})", slopes
        else:
            text, parameters = f"{name}({scalar} + b)", (*slopes, "b")
        if shape == "ffn":
            text, parameters = f"c*{text}", ("c", *parameters)
        return Expert(name, text, inputs, parameters, shape, name)
    power = re.fullmatch(r"poly([0-9]{1,3})", name.lower())
    name = power[0] if power else name
    if (name not in SHAPELESS and not power) or name == "polyP":
        known = [*ACTIVATIONS, "linear", "poly2", "poly3", "input-free"]
        raise unknown_name("expert", name, known)
    if shape is not None:
        raise InputError(f"--shape {shape}: expert {name} has no shapes; drop --shape.")
    if name == "linear":
        return Expert(name, f"{scalar} + b", inputs, (*slopes, "b"), None, "polynomial")
    if name == "input-free":
        return Expert(name, "eta", inputs, ("eta",), None, "input-free")
    degree = int(power[1]) if power else 0
    if not 1 <= degree <= MAX_POLYNOMIAL:
        raise InputError(f"expert {name}: the power must be between 1 and {MAX_POLYNOMIAL}.")
    return Expert(name, f"({scalar} + b)**{degree}", inputs, (*slopes, "b"), None, "polynomial")


def resolve(expert: Expert | str, shape: str | None = None, dim: int = 2) -> Expert:
    """An :class:`Expert` from itself or from a built-in's name. Raises InputError."""
    if not isinstance(expert, Expert | str):
        raise InputError(f"expert: {expert!r} is none; give a name or an Expert.")
    return expert if isinstance(expert, Expert) else builtin(expert, shape, dim)


def symbols(names: tuple[str, ...]) -> tuple[sp.Symbol, ...]:
    """The SymPy symbols of some names."""
    return tuple(symbol(n) for n in names)
