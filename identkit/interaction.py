"""Which partial derivatives of an atom function are linearly related: the PDEs behind slow rates.

The papers call these *interactions* among parameters: for instance ∂F/∂a = ∂²F/∂β1∂b for every
ridge expert under the softmax gate. Here they are discovered, in exact arithmetic, for any
function U(z; θ) in identkit's grammar.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import comb

from identkit.atoms import AtomFunction
from identkit.bounded import bounded
from identkit.conditions import BasisFunction, FunctionSet
from identkit.deadline import Deadline
from identkit.domain import Domain, DomainLike
from identkit.errors import InputError, OutOfTime, whole
from identkit.experts import Expert, names_in_order, scalar
from identkit.expression import Step, free_names, parse
from identkit.formal import undecided
from identkit.prove import Prover
from identkit.results import QUANTIFIERS, Options, Relation, SetProof
from identkit.vocabulary import Quantifier, Verdict

MAX_ATOMS = 50
MAX_FUNCTIONS = 200
"""More partial derivatives than this are not compared."""


AWAY_FROM_KINKS = "derivatives away from kinks: Dirac parts are not compared"


@dataclass(frozen=True, repr=False)
class Interactions:
    """The linear relations among some partial derivatives of U, with their proof.

    ``independent`` is ``yes`` (proved for ``atoms`` atoms with generic parameters), ``no`` (some
    relation holds) or ``undecided``. ``relations`` are relations within one atom, with coefficients
    free of the inputs, none of them a consequence of the others; all such relations follow from
    them if ``complete``. ``vanishing`` lists derivatives that are 0.
    """

    atom: AtomFunction
    atoms: int
    proof: SetProof

    @property
    def independent(self) -> Verdict:
        """Whether all of the functions are linearly independent."""
        return Verdict.NO if self.vanishing else self.proof.verdict

    @property
    def relations(self) -> tuple[Relation, ...]:
        return self.proof.relations

    @property
    def vanishing(self) -> tuple[str, ...]:
        return tuple(f.label for f in self.proof.dropped)

    @property
    def notes(self) -> tuple[str, ...]:
        """What limits the answer."""
        kinks = self.atom.expression.has(Step)
        return (*self.proof.notes, *((AWAY_FROM_KINKS,) if kinks else ()))

    @property
    def complete(self) -> bool:
        """Whether no other relation holds within one generic atom: proved, or not known."""
        rest = self.atoms * (len(self.proof.kept) - len(self.relations))
        return self.proof.verdict == Verdict.YES or self.proof.rank == rest

    @property
    def quantifier(self) -> Quantifier | None:
        """For which parameters: a key of ``identkit.results.QUANTIFIERS``."""
        return self.proof.quantifier

    def to_dict(self) -> dict:
        """The JSON form."""
        return {
            "function": str(self.atom.expression),
            "inputs": list(self.atom.inputs),
            "parameters": list(self.atom.parameters),
            "functions": [f.label for f in (*self.proof.dropped, *self.proof.kept)],
            "atoms": self.atoms,
            "independent": self.independent,
            "relations": [r.text for r in self.relations],
            "vanishing": list(self.vanishing),
            "complete": self.complete,
            "quantifier": self.quantifier,
            "notes": list(self.notes),
        }

    def __repr__(self) -> str:
        return f"<Interactions: {len(self.relations)} relations, independent {self.independent}>"

    def _repr_html_(self) -> str:
        return "<br>".join(html.escape(line) for line in str(self).splitlines())

    def __str__(self) -> str:
        lines = [*(f"{v} = 0" for v in self.vanishing), *(r.text for r in self.relations)]
        if self.proof.quantifier is not None and self.proof.verdict == Verdict.YES:
            lines.append(
                f"{'otherwise ' if self.vanishing else ''}linearly independent: {self.atoms} "
                f"atom{'s' * (self.atoms > 1)}, {QUANTIFIERS[self.proof.quantifier]}"
            )
        if self.proof.fixed is not None:
            lines.append(
                f"dependent: {self.proof.fixed.atoms} or more atoms lie in a space of "
                f"dimension {self.proof.fixed.dimension} ({self.proof.fixed.space})"
            )
        if self.relations:
            others = "all others follow, for generic parameters"
            lines.append(
                f"({others if self.complete else 'whether there are others is not known'})"
            )
        if AWAY_FROM_KINKS in self.notes:
            lines.append(f"({AWAY_FROM_KINKS})")
        if self.proof.verdict == Verdict.UNDECIDED:
            lines.append(f"undecided: {'; '.join(self.proof.notes)}")
        return "\n".join(lines)


def interactions(
    expression: str | Expert,
    functions: Iterable[Sequence[str]] | None = None,
    *,
    order: int = 2,
    inputs: Sequence[str] | None = None,
    parameters: Sequence[str] | None = None,
    atoms: int = 1,
    domain: DomainLike = (-3, 3),
    seed: int = 0,
    time_limit: float = 60.0,
) -> Interactions:
    """Find and prove the linear relations among partial derivatives of U(z; θ) in θ.

    ``expression`` is U in the grammar of experts, or an expert. ``inputs`` are the names of z
    (default: x, or x0, x1, …), ``parameters`` those of θ (default: every other name, as written).
    ``functions`` lists the derivatives, each as the names it is taken in, ``()`` for U itself; the
    default is all of order at most ``order``. ``atoms`` is the number of atoms, with parameters of
    their own, for which independence is tried where one atom has no relation.

    >>> heat = interactions("exp(-(y - mu)**2/(2*nu))/sqrt(2*pi*nu)", inputs=("y",))
    >>> [relation.text for relation in heat.relations]
    ['2*∂U/∂nu = ∂²U/∂mu²']

    Raises InputError for names or numbers that do not fit, DomainError for a function that is
    nowhere regular on the domain.
    """
    expert = _function(expression, inputs, parameters)
    atom = AtomFunction("U", expert.expression, expert.inputs, expert.parameters)
    names = _up_to(atom.parameters, order) if functions is None else [tuple(f) for f in functions]
    for name in {n for f in names for n in f} - set(atom.parameters):
        raise InputError(f"functions: {name} is not a parameter; use {', '.join(atom.parameters)}.")
    if not 1 <= len(names) <= MAX_FUNCTIONS:
        raise InputError(f"functions: {len(names)} are listed; give 1 to {MAX_FUNCTIONS}.")
    if len({tuple(sorted(f)) for f in names}) < len(names):
        raise InputError("functions: the same derivative is listed twice; drop one.")
    count, box = whole("atoms", atoms, least=1), Domain.of(domain, expert.inputs)
    if count > MAX_ATOMS:
        raise InputError(f"atoms: {count} is above {MAX_ATOMS}; use fewer.")
    options = Options(atoms=count, domain=box, seed=seed, time_limit=time_limit)
    basis = tuple(BasisFunction("U", (), (f,)) for f in names)
    wanted = FunctionSet("partial derivatives", basis, coincidence=False, any_number=False)
    deadline = Deadline(time_limit)
    try:
        proof = bounded(lambda _: Prover(atom, options, deadline).prove(wanted), deadline)
    except OutOfTime as limit:
        proof = undecided(wanted, count, (str(limit),), limit.cause)
    return Interactions(atom, count, proof)


def _up_to(parameters: tuple[str, ...], order: int) -> list[tuple[str, ...]]:
    """All partial derivatives of order 0 … ``order``."""
    highest = whole("order", order, least=0)
    count = comb(len(parameters) + highest, highest)
    if count > MAX_FUNCTIONS:
        raise InputError(
            f"order {highest}: {count} partial derivatives in {len(parameters)} parameters; at "
            f"most {MAX_FUNCTIONS} are compared; lower it, or list functions."
        )
    return [f for n in range(highest + 1) for f in combinations_with_replacement(parameters, n)]


def _function(
    text: str | Expert, inputs: Sequence[str] | None, parameters: Sequence[str] | None
) -> Expert:
    """U with its names: an expert whose inputs may have any name."""
    if isinstance(text, Expert):
        scalar(text, "interactions are those of")
        return text
    if not isinstance(text, str):
        raise InputError(f"expression: {text!r} is no text; give a function of x and parameters.")
    if ";" in text:
        raise InputError("expression: interactions are those of one function; drop the semicolon.")
    listed = None if parameters is None else tuple(parameters)
    if inputs is None:
        return Expert.from_expression(text, parameters=listed)
    used = names_in_order(text, free_names(parse(text)))
    missing = set(inputs) - set(used)
    if missing:
        raise InputError(f"inputs: {', '.join(sorted(missing))} is not in '{text}'; remove it.")
    chosen = tuple(n for n in used if n not in inputs) if listed is None else listed
    return Expert("custom", text.strip(), tuple(inputs), chosen)
