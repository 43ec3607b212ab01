"""What a check returns: frozen records of what was proved, for which parameters, by what method.

No record knows how it is printed: that lives in :mod:`identkit.report`, which reads records.
"""

from __future__ import annotations

from dataclasses import dataclass

from identkit.architecture.records import FoundGauge, NoGauge
from identkit.certificates.witness import Witness
from identkit.conditions import BasisFunction, condition
from identkit.degeneracy.records import (
    CellQuantity,
    Exceptional,
    Premise,
    RateFinding,
    SecondOrder,
)
from identkit.domain import EVERYWHERE, Domain
from identkit.experts import Expert
from identkit.gates import RegimeCode
from identkit.likelihoods import LEAST_SQUARES, resolve
from identkit.orders.records import DirectionOrder
from identkit.rate import Rate
from identkit.vocabulary import (
    WEAKEST_FIRST,
    Agreement,
    AtomsScope,
    Basis,
    Cause,
    ProofKind,
    Quantifier,
    RateCause,
    Verdict,
)

GIVEN_NUMBER = "the question is about this number of atoms"
"""Why nothing is said of every number of atoms."""
QUANTIFIERS = {
    Quantifier.ALMOST_EVERY: "Lebesgue-almost every choice of the atoms' parameters",
    Quantifier.OPEN_SET: "an open set of the atoms' parameters",
    Quantifier.EVERY: "every choice of the atoms' parameters",
}


@dataclass(frozen=True)
class Term:
    """coefficient·function; the coefficient is text in the parameters, free of x."""

    coefficient: str
    function: BasisFunction


@dataclass(frozen=True)
class Relation:
    """Σ terms = 0 for (almost) every x, identically in the parameters; ``text`` is for reading."""

    terms: tuple[Term, ...]
    text: str


@dataclass(frozen=True)
class MergedFunction:
    """A function counted once with another it is proportional to (``relation``)."""

    function: BasisFunction
    into: BasisFunction
    relation: Relation


@dataclass(frozen=True)
class FixedProof:
    """``combinations`` lie in one space of dimension ``dimension`` whatever the parameters.

    ``space`` says which; ``degree`` is set for polynomials of at most that total degree.
    ``atoms`` of them exceed the dimension, so they are dependent.
    """

    combinations: tuple[tuple[Term, ...], ...]
    dimension: int
    degree: int | None
    space: str
    atoms: int


@dataclass(frozen=True)
class SetProof:
    """The proof for one set of functions.

    ``kept``, ``merged``, ``dropped`` partition the functions of one atom by the coincidence rule;
    ``shared`` belongs to no atom. ``kind`` is ``ball-determinant``, ``relation``,
    ``finite-dimension`` or ``none``. A ``witness`` proves independence of ``witnessed`` over its
    atoms (all kept functions for ``yes``, a maximal subset for an exact rank). ``every_k`` is True
    where independence is proved for every number of atoms; ``every_k_obstacle`` says why not.
    ``cause`` is the code (:mod:`identkit.causes`) for why the verdict, or every k, was left open.
    """

    title: str
    kind: ProofKind
    verdict: Verdict
    atoms: int
    kept: tuple[BasisFunction, ...]
    shared: tuple[BasisFunction, ...]
    merged: tuple[MergedFunction, ...]
    dropped: tuple[BasisFunction, ...]
    relations: tuple[Relation, ...]
    witness: Witness | None
    witnessed: tuple[BasisFunction, ...]
    fixed: FixedProof | None
    rank: int | None
    quantifier: Quantifier | None
    every_k: bool
    every_k_obstacle: str | None
    notes: tuple[str, ...]
    cause: Cause | None = None

    @property
    def depends_on_coordinates(self) -> bool:
        """A failure by the coincidence rule that other linear coordinates of η could avoid.

        Relations among first derivatives alone and fixed spaces are the same in all of them.
        """
        return self.kind == ProofKind.RELATION and any(
            not t.function.first for r in self.relations for t in r.terms
        )

    @property
    def functions(self) -> int:
        """How many functions are tested: kept ones at every atom, and shared ones."""
        return self.atoms * len(self.kept) + len(self.shared)

    @property
    def removed(self) -> int:
        """How many functions the coincidence rule merged or dropped, over all atoms."""
        return self.atoms * (len(self.merged) + len(self.dropped))


@dataclass(frozen=True)
class Published:
    """A published claim: the paper's verdict, its rate, and where it stands.

    ``cells``: the rate is stated for cells of so many fitted atoms, None for all.
    """

    verdict: Verdict
    rate: Rate
    source: str
    cells: int | None = None


@dataclass(frozen=True)
class StatedRate:
    """A rate with all that is said with it.

    ``rate`` has the powers of n and of log n. It is that of ``quantity``, of all parameters of an
    over-specified atom together where that is None (then the slowest of theirs). ``caveats`` are
    the hypotheses of the theorem behind it besides the regime; those of a ``published`` one are
    its paper's.
    """

    rate: Rate
    basis: Basis
    quantity: CellQuantity | None = None
    caveats: tuple[str, ...] = ()


def combined_verdict(proofs: tuple[SetProof, ...]) -> Verdict:
    """A condition of several sets holds if all do, and fails if any does."""
    verdicts = {p.verdict for p in proofs}
    weakest = (v for v in (Verdict.NO, Verdict.UNDECIDED) if v in verdicts)
    return next(weakest, Verdict.YES)


@dataclass(frozen=True)
class ConditionResult:
    """One condition decided for one regime, and the rate that follows under this gate.

    ``coordinates`` is empty when the functions are derivatives in η as given; otherwise it lists
    the linear coordinates in which the coincidence rule was applied (``u1 = p + q``).
    ``second_order``, ``rate``, ``premise`` and ``exceptional`` belong to the expert, the gate and
    the regime, whatever the condition. ``first_order``: the regime's expansion stops there, and
    this is the condition it asks for. ``caveats`` are the hypotheses of the theorem behind the
    rate. ``orders`` are those of the smallest cell at which second order is degenerate.
    """

    regime: RegimeCode
    condition: str
    level: str
    verdict: Verdict
    proofs: tuple[SetProof, ...]
    coordinates: tuple[str, ...]
    published: Published | None
    second_order: SecondOrder | None = None
    rate: RateFinding | None = None
    premise: Premise | None = None
    exceptional: tuple[Exceptional, ...] = ()
    first_order: bool = False
    caveats: tuple[str, ...] = ()
    orders: tuple[DirectionOrder, ...] = ()

    @property
    def rates(self) -> tuple[StatedRate, ...]:
        """Every rate that is stated: published, derived, and derived of single quantities.

        An exact family rests on no theorem, and what is open has no rate to restrict, unless the
        premise of the theorem is all that is open.
        """
        stated = []
        if self.rate is not None:
            if self.rate.published is not None:
                stated.append(StatedRate(self.rate.published, Basis.PUBLISHED))
            derived, left = self.rate.derived, self.rate.cause == RateCause.PREMISE_OPEN
            under = self.caveats if derived.polynomial or left else ()
            stated.append(StatedRate(derived, Basis.DERIVED, None, under))
        local = () if self.second_order is None else self.second_order.identifiable
        for i in local:
            under = self.caveats if i.rate.polynomial else ()
            stated.append(StatedRate(i.rate, Basis.DERIVED, i.quantity, under))
        return tuple(stated)

    @property
    def nondegenerate(self) -> Verdict | None:
        """Whether no moment of an over-specified cell is invisible, to the order of the regime.

        None where the question does not arise (shared experts of a Gaussian model).
        """
        if self.second_order is not None:
            return self.second_order.verdict
        return self.verdict if self.first_order else None

    @property
    def atoms(self) -> int:
        return self.deciding.atoms

    @property
    def functions(self) -> int:
        return sum(p.functions for p in self.counted)

    @property
    def merged(self) -> int:
        return sum(p.removed for p in self.counted)

    @property
    def rank(self) -> int | None:
        """The exact rank over all sets counted, None where it was not proved."""
        ranks = [p.rank for p in self.counted]
        return None if any(r is None for r in ranks) else sum(r for r in ranks if r is not None)

    @property
    def counted(self) -> tuple[SetProof, ...]:
        """The proofs the verdict rests on: all sets for ``yes``, else the deciding one."""
        return self.proofs if self.verdict == Verdict.YES else (self.deciding,)

    @property
    def deciding(self) -> SetProof:
        """The set whose proof settles the verdict: the first that is not ``yes``, else the last."""
        return next((p for p in self.proofs if p.verdict == self.verdict), self.proofs[-1])

    @property
    def quantifier(self) -> Quantifier | None:
        """The weakest quantifier among the proofs used; None when undecided."""
        if self.verdict == Verdict.UNDECIDED:
            return None
        used = [p.quantifier for p in self.counted if p.quantifier]
        return min(used, key=WEAKEST_FIRST.index) if used else None

    @property
    def atoms_scope(self) -> AtomsScope:
        """For how many atoms the verdict is proved: ``every``, ``up-to`` or ``from`` atoms.

        ``one`` where the condition is about one atom.
        """
        if self.verdict != Verdict.UNDECIDED and condition(self.condition, self.level).single:
            return AtomsScope.ONE
        if self.verdict == Verdict.YES:
            return AtomsScope.EVERY if all(p.every_k for p in self.proofs) else AtomsScope.UP_TO
        if self.verdict == Verdict.NO:
            finite = self.deciding.kind == ProofKind.FINITE_DIMENSION
            return AtomsScope.FROM if finite else AtomsScope.EVERY
        return AtomsScope.NONE

    @property
    def relations(self) -> tuple[Relation, ...]:
        return self.deciding.relations

    @property
    def agreement(self) -> Agreement:
        """Published against certified."""
        if self.published is None:
            return Agreement.UNCLAIMED
        if self.verdict == Verdict.UNDECIDED:
            return Agreement.UNDECIDED
        agrees = self.published.verdict == self.verdict
        return Agreement.CONFIRMED if agrees else Agreement.CONTRADICTED


@dataclass(frozen=True)
class Options:
    """Everything that steers a check besides the mathematics; printed with every result.

    ``atoms`` k in the witness; ``domain`` of the inputs; ``seed`` of all draws; ``max_precision``
    in bits; ``time_limit`` in seconds, after which the verdict is ``undecided``.
    """

    atoms: int = 3
    domain: Domain = EVERYWHERE
    seed: int = 0
    max_precision: int = 8192
    time_limit: float = 60.0


@dataclass(frozen=True)
class Requirement:
    """What the caller asked to hold, and whether it does (None: undecided)."""

    name: str
    met: bool | None


@dataclass(frozen=True, repr=False)
class CheckResult:
    """What a check found; :class:`identkit.CheckResult` is this with its printed forms.

    ``shared`` is the check of the shared experts beside these routed ones, None without any.
    ``gauges`` are the ways to move parameters without a change of f or p that were found,
    ``no_gauges`` what was looked for without success; an exact pair of measures is with each.
    """

    version: str
    expert: Expert
    gate: str
    options: Options
    results: tuple[ConditionResult, ...]
    requirement: Requirement | None
    seconds: float
    likelihood: str = LEAST_SQUARES
    shared: CheckResult | None = None
    gauges: tuple[FoundGauge, ...] = ()
    no_gauges: tuple[NoGauge, ...] = ()

    @property
    def seen(self) -> Expert:
        """What the likelihood makes of the expert: the function that results are about."""
        return resolve(self.likelihood).seen(self.expert)

    def result(self, condition: str) -> ConditionResult:
        """The result for this condition. Raises KeyError if it was not checked."""
        for r in self.results:
            if r.condition == condition:
                return r
        raise KeyError(condition)

    @property
    def degenerate(self) -> tuple[ConditionResult, ...]:
        """The results whose condition is proved to hold while nondegeneracy is proved to fail."""
        return tuple(
            r for r in self.results if r.verdict == Verdict.YES and r.nondegenerate == Verdict.NO
        )

    @property
    def exit_code(self) -> int:
        """0 done (any requirement met), 1 requirement not met, 3 undecided; both halves count."""
        if self.requirement is not None:
            own = {True: 0, False: 1, None: 3}[self.requirement.met]
        else:
            own = 3 if all(r.verdict == Verdict.UNDECIDED for r in self.results) else 0
        if self.shared is None:
            return own
        codes = (own, self.shared.exit_code)
        if self.requirement is None:
            return min(codes)  # 3 only where nothing at all is decided
        return 1 if 1 in codes else max(codes)

    def __repr__(self) -> str:
        verdicts = ", ".join(f"{r.condition} {r.verdict}" for r in self.results)
        return f"<CheckResult: {self.expert.label}, {self.gate} gate: {verdicts}>"
