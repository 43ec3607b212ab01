"""Frozen records of the second-order analysis: what is printed, saved and verified.

Expressions are kept as text in identkit's grammar (parameters, and a family's own parameter), so
that a certificate can be read back through the whitelist parser.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from identkit.causes import CAUSES
from identkit.certificates.witness import Witness
from identkit.gates import RegimeCode
from identkit.rate import Rate
from identkit.vocabulary import (
    Across,
    Agreement,
    Cause,
    ExceptionalKind,
    FamilyKind,
    PremiseVerdict,
    Quantifier,
    QuantityKind,
    RateCause,
    RefitKind,
    Verdict,
)

EVIDENCE = MappingProxyType({"evidence": True})
"""Marks a field that is for certificates only, and no part of what is printed."""


@dataclass(frozen=True)
class CellQuantity:
    """A quantity that f determines: a parameter, a direction v/‖v‖, a function, a weighted sum.

    ``parameters`` are those of the parameter or of v; a function or a sum is its ``expression``.

    >>> str(CellQuantity(QuantityKind.DIRECTION, ("a", "b")))
    '(a, b)/‖(a, b)‖'
    """

    kind: QuantityKind
    parameters: tuple[str, ...] = ()
    expression: str = ""

    def __str__(self) -> str:
        listed = ", ".join(self.parameters)
        if self.kind is QuantityKind.DIRECTION:
            return f"({listed})/‖({listed})‖"
        return listed or self.expression


@dataclass(frozen=True)
class Family:
    """Different mixing measures with the same f: the true atom replaced by atoms on a curve.

    ``curve`` gives η along the curve in the parameter ``s`` (``curve`` at ``origin`` is η*). Along
    it h(x, curve) = ``r1``·h(x, η*) + ``r2``·∂_V h(x, η*) for every x and θ, V the curve's velocity
    at the origin: the identity that is verified. ``r1``, ``r2`` are text in ``s`` and η. ``kind``
    is ``redundant`` (h does not change), ``scale`` (h is multiplied), ``split`` (h is affine along
    the curve) or ``phase``. For ``flow`` the curve has no closed form: ``velocity`` is V, and
    V·∇h = λ h, λ free of x, is what is verified. ``cell`` is the number of fitted atoms needed;
    ``conditions`` on weights w_i and positions s_i make f the same. ``eta``, ``positions`` and
    ``weights`` (over w*) are an example.
    """

    kind: FamilyKind
    parameter: str
    origin: str
    curve: tuple[tuple[str, str], ...]
    velocity: tuple[tuple[str, str], ...]
    r1: str
    r2: str
    cell: int
    conditions: tuple[str, ...]
    invariants: tuple[CellQuantity, ...]
    totals: tuple[CellQuantity, ...]
    eta: tuple[str, ...]
    positions: tuple[str, ...]
    weights: tuple[str, ...]

    @property
    def moving(self) -> tuple[str, ...]:
        """The parameters that change along the family."""
        return tuple(name for name, value in self.velocity if value != "0")


@dataclass(frozen=True)
class RealisedAtoms:
    """Explicit atoms G_t with the witness moments: deviations t·``deviations`` + t²·``drift``.

    Both run over the coordinates, gate slopes first. ``weight`` is w*, ``weights`` those of the
    cell relative to it at t = 0, ``weight_shift`` the change m0·t² spread over them. ``order`` is
    the measured p in ‖f_{G_t} − f_G*‖ ~ t^p (root mean square over seeded points), while the loss
    is of order t²; ``steps`` are the pairs (t, norm).
    """

    cell: int
    eta: tuple[str, ...]
    weight: str
    weights: tuple[str, ...]
    deviations: tuple[tuple[str, ...], ...]
    drift: tuple[str, ...]
    weight_shift: str
    steps: tuple[tuple[str, str], ...]
    order: str


@dataclass(frozen=True)
class MomentWitness:
    """Invisible moments with M ⪰ 0: ``moments`` as expressions in η, and atoms realising them."""

    moments: tuple[tuple[str, str], ...]
    equation: str
    rank: int
    quantifier: Quantifier | None
    at: tuple[str, ...]
    realised: RealisedAtoms | None


@dataclass(frozen=True)
class Visible:
    """A direction y with yᵀM y = 0 for every invisible moment, hence M y = 0, and why."""

    label: str
    entries: tuple[tuple[str, str], ...]
    reason: str


@dataclass(frozen=True)
class Invisible:
    """One basis vector of the null space: moments, and the relation that proves it."""

    moments: tuple[tuple[str, str], ...]
    equation: str


@dataclass(frozen=True)
class Dual:
    """D ≻ 0 with ⟨D, M⟩ = 0 for all moments left: none is invisible, at and near ``at``."""

    at: tuple[str, ...]
    blocks: tuple[tuple[tuple[str, ...], tuple[tuple[str, ...], ...]], ...]
    quantifier: Quantifier | None


@dataclass(frozen=True)
class Kink:
    """A kink of h: where, and the directions of η that move it (entries over the parameters)."""

    argument: str
    moves: tuple[tuple[tuple[str, str], ...], ...]


@dataclass(frozen=True)
class Identified:
    """A quantity determined in a small enough cell around the true atom, and its rate."""

    quantity: CellQuantity
    rate: Rate
    reason: str


@dataclass(frozen=True)
class Identity:
    """Σ c·h(x; images) + Σ c·∂h/∂p + ``rest`` = 0 for all x and η.

    ``terms`` are pairs (c, images), ``slopes`` pairs (parameter, c); ``parameter`` is the name that
    a curve brings, or empty.
    """

    terms: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    slopes: tuple[tuple[str, str], ...]
    rest: str
    parameter: str


@dataclass(frozen=True)
class Exceptional:
    """Parameters at which atoms lose independence: ``relation`` holds for all x and η.

    ``identity`` is the relation to be verified; None where it is about more than h. ``kind`` is
    ``not-searched``, without a relation, where a limit cut the search short.
    """

    where: str
    relation: str
    kind: ExceptionalKind
    identity: Identity | None = field(default=None, metadata=EVIDENCE)


@dataclass(frozen=True)
class Refit:
    """An exact refit of f_G* with more atoms: the premise of the Regime 2 theorem fails."""

    kind: RefitKind
    description: str
    substitution: tuple[tuple[tuple[str, str], ...], ...]


@dataclass(frozen=True)
class Premise:
    """Regime 2: ``fails`` with refits, or ``undecided`` with what was searched.

    ``cause`` is the code (:mod:`identkit.causes`) of the limit that cut the search short.
    """

    verdict: PremiseVerdict
    refits: tuple[Refit, ...]
    searched: str
    cause: Cause | None = None

    @classmethod
    def cut_short(cls, cause: Cause) -> Premise:
        """Nothing is known of refits: the search was not completed."""
        return cls(
            PremiseVerdict.UNDECIDED, (), f"the search was cut short: {CAUSES[cause]}", cause
        )


@dataclass(frozen=True)
class RateFinding:
    """Published beside derived; ``reasons`` are the steps of the derivation.

    Both are of all parameters of an over-specified atom together. Rates of single quantities are
    those of ``SecondOrder.identifiable``, the caveats those of the ``ConditionResult``; its
    ``rates`` say everything of each rate.

    ``cause`` is the code for why no rate is derived (:data:`~identkit.degeneracy.rate.OPEN`), None
    where one is. ``elsewhere`` limits a rate of Regime 1 to a neighbourhood of the truth, with the
    last of the reasons: ``refits`` where f_G* has exact refits elsewhere, or the code of the limit
    that cut the search for them short.
    """

    published: Rate | None
    derived: Rate
    agreement: Agreement
    reasons: tuple[str, ...]
    cause: Cause | RateCause | None = None
    elsewhere: Cause | Literal["refits"] | None = None


@dataclass(frozen=True)
class SecondOrder:
    """The second-order analysis of one (expert, gate, regime).

    ``functions`` are what the moments multiply; ``determinant`` proves ``independent``, those left
    after one function per invisible moment is set aside, independent for one atom, so that no
    other moment is invisible. ``across_atoms`` says whether cells can be treated one by one:
    ``independent``, ``dependent`` or ``open``. ``cause`` is the code (:mod:`identkit.causes`) of
    the limit that left everything open.
    """

    gate: str
    regime: RegimeCode
    verdict: Verdict
    quantifier: Quantifier | None
    reason: str
    functions: tuple[str, ...]
    independent: tuple[str, ...]
    determinant: Witness | None
    across_atoms: Across
    invisible: tuple[Invisible, ...]
    visible: tuple[Visible, ...]
    kinks: tuple[Kink, ...]
    dual: Dual | None
    witness: MomentWitness | None
    families: tuple[Family, ...]
    identifiable: tuple[Identified, ...]
    notes: tuple[str, ...]
    cause: Cause | None = None
