"""The contract of a condition: which derivatives, at which point, from which source.

A condition is one or more *sets* of functions of x; it holds when, after the coincidence rule of
theory section 2, each set taken over k atoms with distinct generic parameters is linearly
independent, for every k. The functions are monomials in x times products of partial derivatives
of an atom function, so a :class:`BasisFunction` describes any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations_with_replacement

from identkit.atoms import AtomFunction, expert_function
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
    ``bases`` are the names of the factors where these are not all ``base``.
    """

    base: str
    inputs: tuple[str, ...]
    factors: tuple[tuple[str, ...], ...]
    first: bool = False
    bases: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """As printed, for example ``x0*∂²h/∂a0∂b``."""
        bases = self.bases or (self.base,) * len(self.factors)
        factors = (_derivative(*pair) for pair in zip(bases, self.factors, strict=True))
        return "*".join([*_powers(self.inputs, "**"), *factors]) or "1"


def _derivative(base: str, factor: tuple[str, ...]) -> str:
    if not factor:
        return base
    order = "" if len(factor) == 1 else str(len(factor)).translate(_SUPERSCRIPTS)
    below = "".join(
        f"∂{n}" + ("" if p == 1 else str(p).translate(_SUPERSCRIPTS))
        for n, p in _multiplicity(factor)
    )
    return f"∂{order}{base}/{below}"


def _multiplicity(names: tuple[str, ...]) -> list[tuple[str, int]]:
    return [(n, names.count(n)) for n in dict.fromkeys(names)]


def _powers(names: tuple[str, ...], sign: str) -> list[str]:
    return [n if p == 1 else f"{n}{sign}{p}" for n, p in _multiplicity(names)]


UNIT = "𝟙"
"""The block that multiplies nothing else, not printed."""


@dataclass(frozen=True)
class BlockFunction:
    """Σ block·function: what one moment multiplies in an expansion of a density.

    The blocks (``N′``, ``N″``) are functions of the response, independent of each other at any x;
    ``terms`` are pairs (block, function of x). Zero means that each block's function is.
    """

    terms: tuple[tuple[str, BasisFunction], ...]
    first: bool = False

    @property
    def label(self) -> str:
        """As printed, for example ``(∂²h/∂a²*N′ + ∂h/∂a*∂h/∂a*N″)``."""
        parts = [b if f.label == "1" else f"{f.label}*{b}" for b, f in self.terms if b != UNIT] + [
            f.label for b, f in self.terms if b == UNIT
        ]
        return parts[0] if len(parts) == 1 else f"({' + '.join(parts)})"

    @property
    def inputs(self) -> tuple[str, ...]:
        """Those of its first function, as :attr:`BasisFunction.inputs`."""
        return self.terms[0][1].inputs

    @property
    def factors(self) -> tuple[tuple[str, ...], ...]:
        """Those of its first function, as :attr:`BasisFunction.factors`."""
        return self.terms[0][1].factors


AtomTerm = BasisFunction | BlockFunction
"""A function of one atom that an expansion names."""


def part_of(function: AtomTerm, block: str) -> BasisFunction | None:
    """The function of x that multiplies a block, None if none does; itself without blocks."""
    if isinstance(function, BasisFunction):
        return function
    return dict(function.terms).get(block)


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


def first(atom: AtomFunction) -> list[BasisFunction]:
    """∂U/∂p for every parameter p."""
    return [BasisFunction(atom.symbol, (), ((p,),), first=True) for p in atom.parameters]


def second(atom: AtomFunction) -> list[BasisFunction]:
    """∂²U/∂p∂q for every pair of parameters."""
    pairs = combinations_with_replacement(atom.parameters, 2)
    return [BasisFunction(atom.symbol, (), (pair,)) for pair in pairs]


def input_times_first(atom: AtomFunction) -> list[BasisFunction]:
    """x_s ∂U/∂p for every input and parameter."""
    return [BasisFunction(atom.symbol, (x,), ((p,),)) for x in atom.inputs for p in atom.parameters]


def one_atom(title: str, functions: list[BasisFunction]) -> FunctionSet:
    """Functions of one atom that have to be independent as they are, for one atom."""
    return FunctionSet(title, tuple(functions), coincidence=False, any_number=False)


def expert_level(expert: Expert, gate: Gate) -> AtomFunction:
    """U = h, whatever the gate."""
    return expert_function(expert)


CONDITIONS: list[Condition] = []
"""Every condition, the default level of each name first."""


def register(made: Condition) -> Condition:
    """Make a condition known by its name and level. Raises InputError if they are taken."""
    if any((c.name, c.level) == (made.name, made.level) for c in CONDITIONS):
        raise InputError(
            f"condition {made.name}: it is registered at {made.level} level; choose another name."
        )
    CONDITIONS.append(made)
    return made


def levels() -> tuple[str, ...]:
    """The levels at which some condition is defined."""
    return tuple(dict.fromkeys(c.level for c in CONDITIONS))


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
