"""Named identifiability conditions as data: which derivatives, at which point, from which source.

A condition is one or more *sets* of functions of x; it holds when, after the coincidence rule of
theory section 2, each set taken over k atoms with distinct generic parameters is linearly
independent, for every k. The functions are monomials in x times products of partial derivatives
of an atom function, so a :class:`BasisFunction` describes any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations_with_replacement

from identkit.atoms import AtomFunction, difference_function, expert_function, gated_function
from identkit.errors import InputError, unknown_name
from identkit.experts import Expert
from identkit.gates import Gate

_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class BasisFunction:
    """∏ inputs · ∏ ∂^factor U: a monomial in x times a product of partial derivatives.

    ``factors`` holds one tuple of parameter names per derivative: ``()`` is U itself, ``("a",)``
    is ∂U/∂a. No factor at all is the constant 1. ``first`` marks the first derivatives of the
    coincidence rule (in β1 and η), which are never dropped and never merged with each other.
    """

    base: str
    inputs: tuple[str, ...]
    factors: tuple[tuple[str, ...], ...]
    first: bool = False

    @property
    def label(self) -> str:
        """As printed, for example ``x0*∂²h/∂a0∂b``."""
        parts = [*_powers(self.inputs, "**"), *(self._derivative(f) for f in self.factors)]
        return "*".join(parts) or "1"

    def _derivative(self, factor: tuple[str, ...]) -> str:
        if not factor:
            return self.base
        order = "" if len(factor) == 1 else str(len(factor)).translate(_SUPERSCRIPTS)
        below = "".join(
            f"∂{n}" + ("" if p == 1 else str(p).translate(_SUPERSCRIPTS))
            for n, p in _multiplicity(factor)
        )
        return f"∂{order}{self.base}/{below}"


def _multiplicity(names: tuple[str, ...]) -> list[tuple[str, int]]:
    return [(n, names.count(n)) for n in dict.fromkeys(names)]


def _powers(names: tuple[str, ...], sign: str) -> list[str]:
    return [n if p == 1 else f"{n}{sign}{p}" for n, p in _multiplicity(names)]


@dataclass(frozen=True)
class FunctionSet:
    """The functions of one atom, and those shared by all atoms (the constant 1).

    ``coincidence`` says whether the coincidence rule applies, ``any_number`` whether the question
    is asked for every number of atoms or for that of the options alone.
    """

    title: str
    functions: tuple[BasisFunction, ...]
    shared: tuple[BasisFunction, ...] = ()
    coincidence: bool = True
    any_number: bool = True


@dataclass(frozen=True)
class Condition:
    """A named condition at one level.

    ``build`` gives the function sets for an atom function; ``level`` says whether that atom
    function is h (``expert``) or weight·h (``product``, see ``atom``). ``single``: the condition is
    about one atom, because the gates tell atoms apart.
    """

    name: str
    level: str
    formula: str
    used_for: str
    source: str
    build: Callable[[AtomFunction], tuple[FunctionSet, ...]]
    atom: Callable[[Expert, Gate], AtomFunction]
    single: bool = False


def _first(atom: AtomFunction) -> list[BasisFunction]:
    return [BasisFunction(atom.symbol, (), ((p,),), first=True) for p in atom.parameters]


def _second(atom: AtomFunction) -> list[BasisFunction]:
    pairs = combinations_with_replacement(atom.parameters, 2)
    return [BasisFunction(atom.symbol, (), (pair,)) for pair in pairs]


def _input_times_first(atom: AtomFunction) -> list[BasisFunction]:
    return [BasisFunction(atom.symbol, (x,), ((p,),)) for x in atom.inputs for p in atom.parameters]


def _strong_expert(atom: AtomFunction) -> tuple[FunctionSet, ...]:
    functions = _first(atom) + _input_times_first(atom) + _second(atom)
    return (FunctionSet("derivatives up to order 2", tuple(functions)),)


def _strong_product(atom: AtomFunction) -> tuple[FunctionSet, ...]:
    """x^α ∂^γ h: since ∂^α_{β1} of the weight at β1 = 0 is x^α times a number free of x."""
    u = atom.symbol
    gate_first = [BasisFunction(u, (x,), ((),), first=True) for x in atom.inputs]
    gate_second = [
        BasisFunction(u, pair, ((),)) for pair in combinations_with_replacement(atom.inputs, 2)
    ]
    functions = (
        _first(atom)
        + gate_first
        + [BasisFunction(u, (), ((),))]
        + _input_times_first(atom)
        + gate_second
        + _second(atom)
    )
    return (FunctionSet("Taylor coefficients at β1 = 0 up to order 2", tuple(functions)),)


def _weak(atom: AtomFunction) -> tuple[FunctionSet, ...]:
    return (FunctionSet("first derivatives", tuple(_first(atom)), coincidence=False),)


def _weak_expert(atom: AtomFunction) -> tuple[FunctionSet, ...]:
    """No first derivative of h is a combination of the others."""
    return (_one_atom("first derivatives of the expert", _first(atom)),)


def _anchor(atom: AtomFunction) -> tuple[FunctionSet, ...]:
    """U = h(x, η) − h(x, η′): U and x U against the first derivatives, those in η alone."""
    u, own = atom.symbol, atom.parameters[: len(atom.parameters) // 2]
    functions = [
        *(BasisFunction(u, (), ((p,),), first=True) for p in own),
        BasisFunction(u, (), ((),), first=True),
        *(BasisFunction(u, (x,), ((),), first=True) for x in atom.inputs),
    ]
    return (_one_atom("an affine multiple of U, and first derivatives", functions),)


def _one_atom(title: str, functions: list[BasisFunction]) -> FunctionSet:
    return FunctionSet(title, tuple(functions), coincidence=False, any_number=False)


def _shared_strong(atom: AtomFunction) -> tuple[FunctionSet, ...]:
    if atom.markers:
        raise InputError(
            "shared-strong: it is defined for an expert of one output; ask for strong, or for one "
            "component."
        )
    u = atom.symbol
    pairs = combinations_with_replacement(atom.parameters, 2)
    products = tuple(BasisFunction(u, (), ((p,), (q,))) for p, q in pairs)
    one = BasisFunction(u, (), ())
    return (
        FunctionSet("first derivatives", tuple(_first(atom))),
        FunctionSet("products of first derivatives, and 1", products, (one,)),
    )


def _difference(expert: Expert, gate: Gate) -> AtomFunction:
    return difference_function(expert)


def _expert_level(expert: Expert, gate: Gate) -> AtomFunction:
    return expert_function(expert)


CONDITIONS: tuple[Condition, ...] = (
    Condition(
        "strong",
        "expert",
        "∂_u h, ∂_u∂_v h, x_s ∂_u h",
        "sigmoid Regime 1, softmax",
        "arXiv 2505.10860 Definition 1 (routed experts); NeurIPS 2024 and ICML 2024 as read here",
        _strong_expert,
        _expert_level,
    ),
    Condition(
        "strong",
        "product",
        "x^α ∂^γ_η h, 0 ≤ |α| + |γ| ≤ 2: ∂^α_β1 ∂^γ_η F at β1 = 0, F = weight·h",
        "sigmoid Regime 1: all that its Taylor expansion contains",
        "theory of the Regime 1 expansion (arXiv 2405.13997)",
        _strong_product,
        _expert_level,
    ),
    Condition(
        "weak",
        "product",
        "∂_β0 F, ∂_β1 F, ∂_η F, F = weight·h, at distinct gates with β1 ≠ 0",
        "sigmoid Regime 2",
        "Nguyen, Ho, Rinaldo, NeurIPS 2024 (arXiv 2405.13997)",
        _weak,
        gated_function,
    ),
    Condition(
        "weak",
        "expert",
        "∂_u h, of one atom",
        "normalized sigmoid, dense",
        "arXiv 2505.10860 Definition 2",
        _weak_expert,
        _expert_level,
        single=True,
    ),
    Condition(
        "anchor",
        "expert",
        "∂_u h(x, η), U and x_s U, U = h(x, η) − h(x, η′), of two atoms η, η′",
        "normalized sigmoid, sparse: whether one gate with β1* ≠ 0 is enough",
        "theory section 4",
        _anchor,
        _difference,
        single=True,
    ),
    Condition(
        "shared-strong",
        "expert",
        "two sets: {∂_u h} and {∂_u h ∂_v h} ∪ {1}",
        "shared experts of a Gaussian MoE",
        "arXiv 2505.10860 Definition 1 (shared experts)",
        _shared_strong,
        _expert_level,
    ),
)
"""Every condition, the default level of each name first."""


LEVELS = tuple(dict.fromkeys(c.level for c in CONDITIONS))


def condition(name: str, level: str | None = None) -> Condition:
    """The condition with this name, at ``level`` (default: its first). Raises InputError."""
    named = [c for c in CONDITIONS if c.name == name]
    if not named:
        raise unknown_name("condition", name, {c.name for c in CONDITIONS})
    if level is None:
        return named[0]
    found = [c for c in named if c.level == level]
    if not found:
        levels = " and ".join(c.level for c in named)
        raise InputError(
            f"--level {level}: condition {name} is defined at {levels} level only; drop --level."
        )
    return found[0]
