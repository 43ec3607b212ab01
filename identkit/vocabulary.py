"""The closed vocabularies of records, documents and prints, each defined once.

What code branches on is a :class:`Word`; what is only printed is a ``Literal``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal


class Word(StrEnum):
    """A word that is its text: equal to it, printed, sorted and written to files like it.

    >>> Verdict.YES == "yes", f"{Verdict.YES}", Verdict.YES
    (True, 'yes', 'yes')
    """

    def __repr__(self) -> str:
        return repr(self.value)


class Verdict(Word):
    """Whether a condition or nondegeneracy holds."""

    YES = "yes"
    NO = "no"
    UNDECIDED = "undecided"


class Quantifier(Word):
    """For which parameters of the atoms a verdict is proved, from the weakest on."""

    OPEN_SET = "open-set"
    ALMOST_EVERY = "almost-every"
    EVERY = "every"


WEAKEST_FIRST = tuple(Quantifier)


class AtomsScope(Word):
    """For how many atoms a verdict is proved, beside the number k of the check."""

    EVERY = "every"
    UP_TO = "up-to"
    FROM = "from"
    ONE = "one"
    NONE = "none"


class ProofKind(Word):
    """How one set of functions was decided."""

    BALL_DETERMINANT = "ball-determinant"
    RELATION = "relation"
    FINITE_DIMENSION = "finite-dimension"
    NONE = "none"


class Agreement(Word):
    """What is published against what is proved; the last two are of rates alone."""

    CONFIRMED = "confirmed"
    CONTRADICTED = "contradicted"
    UNCLAIMED = "unclaimed"
    UNDECIDED = "undecided"
    OPEN = "open"
    PREMISE_FAILS = "premise-fails"


class PremiseVerdict(Word):
    """Whether the premise of a dense regime's theorem fails; that it holds is never proved."""

    FAILS = "fails"
    UNDECIDED = "undecided"


class Across(Word):
    """Whether the cells of several true atoms can be treated one by one."""

    INDEPENDENT = "independent"
    DEPENDENT = "dependent"
    OPEN = "open"


class FamilyKind(Word):
    """What h does along the curve of an exact family; for a flow there is no closed form."""

    REDUNDANT = "redundant"
    SCALE = "scale"
    SPLIT = "split"
    PHASE = "phase"
    FLOW = "flow"


class GaugeKind(Word):
    """What an action that leaves f or p as it is does to a measure."""

    GATE = "gate"
    """The gates of all atoms move by one amount."""
    COPIES = "copies"
    """Every atom becomes several, whose gates move by the same amounts for all."""
    ORBIT = "orbit"
    """One atom moves along a curve of parameters with the same h."""
    CELL = "cell"
    """One atom is replaced by others on a curve."""
    SYMMETRY = "symmetry"
    """One atom goes to other parameters with the same h, or the same weight times h."""
    EXCHANGE = "exchange"
    """The shared and the routed half change places."""
    TRANSPORT = "transport"
    """Weight of a component goes from one half to the other, of others back."""


class Half(Word):
    """Whose parameters an action moves."""

    ROUTED = "routed"
    SHARED = "shared"
    BOTH = "both"


class RefitKind(Word):
    """An exact refit of f_G* by more atoms."""

    NULL_EXPERT = "null expert"
    DEAD_EXPERT = "dead expert"
    SPLITTING = "splitting"


ExceptionalKind = Literal[
    "symmetry of one atom", "symmetry of one weighted atom", "reflection", "orbit", "not-searched"
]
"""Why atoms lose independence at exceptional parameters."""


class QuantityKind(Word):
    """What a quantity of a cell is."""

    PARAMETER = "parameter"
    DIRECTION = "direction"
    FUNCTION = "function"
    TOTAL = "total"


class Cause(Word):
    """Why a question was left open; the clauses to read are in :mod:`identkit.causes`."""

    TIME_LIMIT = "time-limit"
    MEMORY_LIMIT = "memory-limit"
    BROKE_OFF = "broke-off"
    SIZE_LIMIT = "size-limit"
    UNPROVED = "unproved"
    NOT_FOUND = "not-found"
    SIGNS = "signs"
    NO_EXPANSION = "no-expansion"


class RateCause(Word):
    """Why no rate is derived where no limit is the cause."""

    SECOND_ORDER_OPEN = "second-order-open"
    WEAK_NOT_ASKED = "weak-not-asked"
    WEAK_OPEN = "weak-open"
    JUMPS = "jumps"
    PREMISE_OPEN = "premise-open"


class Basis(Word):
    """What states a rate: a paper, or the derivation here."""

    PUBLISHED = "published"
    DERIVED = "derived"


class ClaimStatus(Word):
    """What the checks have shown of a claim, from strong to weak."""

    PROVED = "proved"
    ALMOST_EVERYWHERE = "proved almost everywhere"
    ON_AN_OPEN_SET = "proved on an open set"
    OBSERVED = "observed"
    OPEN = "open"
    CONTRADICTED = "contradicted, with counterexample"


class OrderStatus(Word):
    """How much is proved of the order of a direction."""

    EXACT = "exact"
    INTERVAL = "interval"
    OPEN = "open"


class Judgement(Word):
    """What the slope of an experiment says of a rate."""

    CONSISTENT = "consistent"
    INCONSISTENT = "inconsistent"
    INCONCLUSIVE = "inconclusive"


class LibraryState(Word):
    """What an installation has of a library."""

    OK = "ok"
    MISSING = "missing"
    TOO_OLD = "too old"
    BROKEN = "broken"


class Through(Word):
    """What of an expert shows in the function that is estimated."""

    VALUE = "value"
    """h itself."""
    DENSITY = "density"
    """A density of mean h whose variance is one more parameter of the atom."""
    MEAN = "mean"
    """A density of mean h whose variance is not free."""


class Variance(Word):
    """Which variances of a Gaussian likelihood are estimated."""

    FREE = "free"
    COMMON = "common"
    KNOWN = "known"
