"""A gating regime: its condition, and what is proved in it, as data.

Whatever a regime does not register is not known of it: nothing is concluded in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import sympy as sp

from identkit.gates.normal import Coordinates
from identkit.gates.router import Router
from identkit.layout import AFFINE, Block
from identkit.likelihoods import LEAST_SQUARES
from identkit.vocabulary import Verdict

RegimeCode = int | str | None
"""How files, results and options name a regime: its number where the papers have one, else its
key; None for the only regime of a gate."""


@dataclass(frozen=True)
class WeightRule:
    """What a theorem about a gate is a theorem of: the weight as a function of s, and f.

    ``normalised``: f divides the weights by their sum over atoms. ``blocks`` are the parameters in
    s: without β1 it is β0 alone. ``router`` is the score where it is not β1ᵀx + β0.
    ``structure`` says how weights are divided where it is not by the sum over all atoms.
    """

    weight: sp.Expr
    normalised: bool
    blocks: tuple[Block, ...] = AFFINE
    router: Router | None = None
    structure: str = ""

    def weighs_as(self, other: WeightRule) -> bool:
        """Whether weights are the same function of the scores, whatever these are made of."""
        return (self.weight, self.normalised) == (other.weight, other.normalised)


@dataclass(frozen=True)
class Expansion:
    """What is proved of f_G − f_G* near the truth, in one regime of one weight rule.

    ``likelihood`` names the likelihood that it is a theorem under, ``alone`` is what a rate "for
    one true atom" means by it.

    ``order`` 2: several fitted atoms can share a true one, and second moments of its cell count;
    ``gates`` says whether those of weight and gate are among them (else the denominator pins
    them). ``order`` 1: a true atom is not shared, and first derivatives count, of ``subject``.

    ``argument`` says in a paragraph why.

    ``across`` says which functions have to be independent over atoms for cells to be treated one
    by one: those of the ``moments``; h, x h and the derivatives of h (``values``, where the cells'
    weights at the truth are constants of x that only their sum pins), without x h where weights
    stay constant (``weights``); or none, since almost every ``gates`` tell atoms apart.
    """

    rule: WeightRule
    order: Literal[1, 2]
    gates: bool
    across: Literal["moments", "values", "weights", "gates"] = "gates"
    subject: str = ""
    alone: str = "a single true atom"
    argument: str = field(default="", repr=False)
    likelihood: str = LEAST_SQUARES


@dataclass(frozen=True)
class Situation:
    """What the caveats of a theorem look at: k atoms fitted to a truth.

    ``sloped`` (k*,) says which true atoms have β1* ≠ 0, ``over`` which is fitted by more than one.
    """

    atoms: int
    sloped: tuple[bool, ...]
    over: int = 0


@dataclass(frozen=True)
class Caveat:
    """A hypothesis of a regime's theorem besides the truth being of the regime.

    ``text`` is a clause that every rate prints among its reasons; ``holds`` tests it.
    """

    text: str
    holds: Callable[[Situation], bool] = field(repr=False)


@dataclass(frozen=True)
class LossTerms:
    """Which terms a regime's Voronoi loss has (theory section 6).

    ``weigh`` maps β0 (…, k) to what atoms weigh at β1ᵀx = 0, as a NumPy array. ``share``: an atom's
    terms are multiplied by its weight. ``compared``: the cells whose weights are compared: ``all``,
    ``over`` (and empty ones) or ``empty``. ``beta0``: where |Δβ0| enters. ``order``: the power in
    over-specified cells, ``fixed`` where no other is meant. ``coordinates`` in which parameters of
    the gate are compared, None for β1 and β0 as they are, up to a common shift that the gate pins.
    ``gates``: the cells in which they are: ``all``, or ``exact`` where second moments of the gate
    can be invisible whatever the expert.
    """

    weigh: Callable[[Any], Any] = field(repr=False)
    share: bool
    compared: Literal["all", "over", "empty"]
    beta0: Literal["all", "exact", "none"]
    order: float = 2.0
    fixed: bool = False
    coordinates: Coordinates | None = None
    gates: Literal["all", "exact"] = "all"


@dataclass(frozen=True)
class Regime:
    """A gating regime of theory section 1 and the condition its theorem asks for.

    ``key`` is ``sparse`` (every over-specified true atom has β1* = 0), ``dense`` (some has not) or
    ``any``; ``number`` its number in the papers. ``condition`` is asked for at ``level`` (None: the
    condition's own first one). ``also``: conditions without which the theorem has a further caveat.

    What is None or empty is not known for the regime, and nothing is concluded in its place:
    ``expansion`` (without one nondegeneracy and rates are undecided), ``loss`` (without one there
    are no errors to observe), ``caveats`` of the theorem, and ``refits``, what exact refits of f_G*
    away from the truth mean: they break the theorem's ``premise``, or limit the rate to a
    neighbourhood (``elsewhere``). ``rests_on`` are the claims of ``proofs_check`` behind all this.
    """

    key: Literal["sparse", "dense", "any"]
    condition: str
    meaning: str
    number: int | None = None
    level: str | None = None
    also: tuple[tuple[str, Caveat], ...] = ()
    expansion: Expansion | None = None
    loss: LossTerms | None = None
    caveats: tuple[Caveat, ...] = ()
    refits: Literal["", "premise", "elsewhere"] = ""
    rests_on: tuple[str, ...] = ()

    @property
    def code(self) -> RegimeCode:
        """How files and results name it."""
        if self.number is not None:
            return self.number
        return None if self.key == "any" else self.key

    @property
    def title(self) -> str:
        """See :func:`regime_title`."""
        return regime_title(self.code)

    @property
    def conditions(self) -> tuple[tuple[str, str | None], ...]:
        """(condition, level) that a check of the regime decides."""
        return ((self.condition, self.level), *((name, None) for name, _ in self.also))

    @property
    def order(self) -> int:
        """Up to which order f_G − f_G* is expanded; 0 where that is not known."""
        return 0 if self.expansion is None else self.expansion.order

    def admits(self, sloped: bool) -> bool:
        """Whether the over-specified true atom may have β1* ≠ 0 (``sloped``), or β1* = 0."""
        return self.key == "any" or sloped == (self.key == "dense")

    def caveats_given(self, verdicts: Mapping[str, Verdict]) -> tuple[Caveat, ...]:
        """The caveats where these are the verdicts on the further conditions."""
        lost = (caveat for name, caveat in self.also if verdicts.get(name) != Verdict.YES)
        return (*self.caveats, *lost)

    @property
    def needs(self) -> str:
        """What the over-specified true atom's β1* has to be: ``= 0``, ``≠ 0``, or nothing."""
        return {"sparse": "= 0", "dense": "≠ 0", "any": ""}[self.key]


def regime_title(code: RegimeCode) -> str:
    """``Regime 1``, ``sparse regime``, or nothing where a gate has only one."""
    if code is None:
        return ""
    return f"Regime {code}" if isinstance(code, int) else f"{code} regime"


def in_regime(code: RegimeCode) -> str:
    """`` in Regime 1``, `` in the sparse regime``, or nothing."""
    title = regime_title(code)
    return f" in {'' if isinstance(code, int) else 'the '}{title}" if title else ""
