"""Gates: how the weight of an atom depends on x. One object per gate; the rest reads it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any, TypeVar

import sympy as sp

from identkit.bounded import bounded
from identkit.deadline import Deadline
from identkit.errors import ExpressionError, InputError, OutOfTime, unknown_name
from identkit.expression import enclosure, free_names, parse, symbol

SHIFT_SECONDS = 5.0
"""For whether a gate of one's own has a common shift, which a fit must know."""
NAME_SECONDS = 0.5
"""For whether it is a built-in one, a remark in a report."""
T = TypeVar("T")


@dataclass(frozen=True)
class WeightRule:
    """What a theorem about a gate is a theorem of: the weight as a function of s, and f.

    ``normalised``: f divides the weights by their sum over atoms.
    """

    weight: sp.Expr
    normalised: bool


@dataclass(frozen=True)
class Expansion:
    """What is proved of f_G − f_G* near the truth, in one regime of one weight rule.

    ``order`` 2: several fitted atoms can share a true one, and second moments of its cell count;
    ``gates`` says whether those of weight and gate are among them (else the denominator pins
    them). ``order`` 1: a true atom is not shared, and first derivatives of weight·h count.
    ``below_doubling``: provided some true atom is fitted by one atom only (k < 2k*).
    """

    rule: WeightRule
    order: int
    gates: bool
    below_doubling: bool = False


@dataclass(frozen=True)
class Regime:
    """A gating regime of theory section 1 and the condition its theorem asks for.

    What is None or empty is not known for the regime, and nothing is concluded in its place:
    ``expansion`` (without one nondegeneracy and rates are undecided), ``loss`` (the name of a
    Voronoi loss of :mod:`identkit.losses`; without one there are no errors to observe) and
    ``refits``, what exact refits of f_G* away from the truth mean: they break the theorem's
    ``premise``, or limit the rate to a neighbourhood (``elsewhere``).
    """

    number: int | None
    condition: str
    meaning: str
    expansion: Expansion | None = None
    loss: str = ""
    refits: str = ""


@dataclass(frozen=True)
class Share:
    """``beta0(b, m)`` is the β0 at which m atoms together weigh as one atom with β0 = b."""

    rule: WeightRule
    beta0: Callable[[float, int], float] = field(repr=False)


@dataclass(frozen=True)
class Gate:
    """A gate: the unnormalised weight as a function of the score s = β1ᵀx + β0.

    ``weight`` maps the SymPy score to the weight; ``normalised`` says whether weights are divided
    by their sum over atoms, in which case a common shift of all (β0, β1) changes nothing
    (``gauge``). ``regimes`` are the cases of the theory with the condition each asks for;
    ``share`` says how copies of an atom share its weight, None if that is not known.

    An expansion, a loss or a sharing rule that is about another weight rule is dropped: no gate
    inherits the theorem of its neighbour.
    """

    name: str
    formula: str
    weight: Callable[[sp.Expr], sp.Expr] = field(repr=False)
    normalised: bool
    gauge: str
    regimes: tuple[Regime, ...]
    source: str
    share: Share | None = None

    def __post_init__(self) -> None:
        if self.share is None and all(r == _bare(r) for r in self.regimes):
            return
        rule = WeightRule(self.weight(symbol("s")), self.normalised)
        kept = (
            r if r.expansion is not None and r.expansion.rule == rule else _bare(r)
            for r in self.regimes
        )
        object.__setattr__(self, "regimes", tuple(kept))
        if self.share is not None and self.share.rule != rule:
            object.__setattr__(self, "share", None)

    @classmethod
    def from_expression(cls, text: str, *, normalised: bool = False) -> Gate:
        """A gate of your own: the weight as an expression in the score s = β1ᵀx + β0.

        ``normalised`` divides the weights by their sum over atoms. The conditions are decided for
        such a gate: ``weak`` if it is not normalised, else ``strong`` (of the expert alone). No
        rate is derived: which moments can be invisible is known for sigmoid and softmax only.

        >>> Gate.from_expression("(1 + tanh(s))/2").name
        '(1 + tanh(s))/2'

        Raises :class:`~identkit.errors.InputError` for an expression that cannot be read or is not
        one in s.
        """
        if not isinstance(text, str):
            raise InputError(f"gate: {text!r} is no expression; write the weight as text in s.")
        begun = _PREFIX.match(text)
        weight = text[begun.end() if begun else 0 :].strip()
        if weight in GATES:
            if GATES[weight].normalised:
                raise InputError(f"gate: {weight} is normalised already; use --gate {weight}.")
            weight = f"{weight}(s)"
        return _own(weight, normalised or bool(begun))

    @cached_property
    def shifts(self) -> bool:
        """Whether a common shift of all (β0, β1) changes nothing: the weights are like exp(c·s)."""
        return self.normalised and _in_time(self._shifts, SHIFT_SECONDS, False)

    @cached_property
    def known_as(self) -> str:
        """The built-in gate that this one of one's own is, up to the scale of s; empty if none."""
        return _in_time(self._known_as, NAME_SECONDS, "")

    def _shifts(self) -> bool:
        s = symbol("s")
        rate: Any = sp.diff(self.weight(s), s) / self.weight(s)
        return _vanishes(sp.diff(rate, s))

    def _known_as(self) -> str:
        if self.normalised:
            return "softmax" if self._shifts() else ""
        s = symbol("s")
        rate: Any = sp.diff(self.weight(s)) / self.weight(s)  # c·(1 − σ(c·s)) for the sigmoid
        slope: Any = sp.simplify(2 * rate.subs(s, 0))
        if not slope.is_number or slope in (0, sp.nan, sp.zoo):
            return ""
        gap: Any = self.weight(s) - GATES["sigmoid"].weight(slope * s)
        return "sigmoid" if _vanishes(gap.rewrite(sp.exp)) else ""

    @property
    def has_theory(self) -> bool:
        """Whether an expansion is registered for some regime."""
        return any(r.expansion is not None for r in self.regimes)

    def __reduce__(self) -> tuple:
        """A gate pickles as its name: weights are functions, which do not."""
        return resolve, (self.name,)

    def regime(self, number: int | None) -> Regime | None:
        """The regime with this number, or None."""
        return next((r for r in self.regimes if r.number == number), None)

    def expansion(self, number: int | None) -> Expansion | None:
        """The expansion registered for the regime with this number, or None."""
        regime = self.regime(number)
        return None if regime is None else regime.expansion


def _bare(regime: Regime) -> Regime:
    """The regime without what is a theorem."""
    return replace(regime, expansion=None, loss="", refits="")


def _share_sigmoid(beta0: float, m: int) -> float:
    import numpy as np

    # logit(w/m), w = σ(β0): from log w, which is accurate where w is tiny
    log_share = -np.logaddexp(0.0, -beta0) - np.log(m)
    return log_share - np.log1p(-np.exp(log_share))


def _share_softmax(beta0: float, m: int) -> float:
    import numpy as np

    return beta0 - np.log(m)


SIGMOID = WeightRule(1 / (1 + sp.exp(-symbol("s"))), False)
SOFTMAX = WeightRule(sp.exp(symbol("s")), True)

GATES: dict[str, Gate] = {
    g.name: g
    for g in (
        Gate(
            name="sigmoid",
            formula="σ(β1ᵀx + β0), not normalised",
            weight=lambda s: 1 / (1 + sp.exp(-s)),
            normalised=False,
            gauge="none",
            regimes=(
                Regime(
                    1,
                    "strong",
                    "every over-specified true atom has β1* = 0 (sparse)",
                    Expansion(SIGMOID, 2, gates=True),
                    "sparse",
                    "elsewhere",
                ),
                Regime(
                    2,
                    "weak",
                    "some over-specified true atom has β1* ≠ 0 (dense)",
                    Expansion(SIGMOID, 1, gates=True),
                    "dense",
                    "premise",
                ),
            ),
            share=Share(SIGMOID, _share_sigmoid),
            source="Nguyen, Ho, Rinaldo, NeurIPS 2024 (arXiv 2405.13997)",
        ),
        Gate(
            name="softmax",
            formula="exp(β1ᵀx + β0), divided by the sum over atoms",
            weight=sp.exp,
            normalised=True,
            gauge="a common shift of all (β0, β1) leaves f unchanged; pin one atom",
            regimes=(
                Regime(
                    None,
                    "strong",
                    "any truth",
                    Expansion(SOFTMAX, 2, gates=False, below_doubling=True),
                    "weighted",
                ),
            ),
            share=Share(SOFTMAX, _share_softmax),
            source="Nguyen, Ho, Rinaldo, ICML 2024 (arXiv 2402.02952); arXiv 2503.03213",
        ),
    )
}


def _in_time(find: Callable[[], T], seconds: float, otherwise: T) -> T:
    """What is found in time: SymPy's simplify has no limit of its own."""
    try:
        return bounded(lambda _: find(), Deadline(seconds))
    except (OutOfTime, ArithmeticError, RecursionError, TypeError):  # SymPy on nan: TypeError
        return otherwise


def _vanishes(expression: Any) -> bool:
    """Whether a function of s is 0, by SymPy; a value that is not 0 spares the proof."""
    for at in (sp.Rational(1, 3), sp.Rational(7, 5)):
        value = enclosure(expression.subs(symbol("s"), at))
        if value is not None and (value > 0 or value < 0):
            return False
    return sp.simplify(expression) == 0


_NORMALISED = "normalised "
"""How the name of a normalised gate of one's own begins."""
_PREFIX = re.compile(r"\s*normali[sz]ed\b\s*", re.IGNORECASE)


@cache
def _own(text: str, normalised: bool) -> Gate:
    try:
        expression: Any = parse(text)
    except ExpressionError as error:
        reason = (
            str(error).removeprefix("expression: ").replace("c*tanh(a*x + b)", "(1 + tanh(s))/2")
        )
        raise ExpressionError(f"gate: {reason}") from None
    names = free_names(expression)
    if names != {"s"}:
        other = ", ".join(sorted(names - {"s"}))
        what = f"{other} is not s" if other else "the score s is not in it"
        raise ExpressionError(
            f"gate: '{text}': {what}; write the weight as an expression in s alone, such as "
            "(1 + tanh(s))/2."
        )
    condition, truth = ("strong", "any truth") if normalised else ("weak", "distinct gates")
    divided = ", divided by the sum over atoms" if normalised else ", not normalised"
    return Gate(
        name=f"{_NORMALISED if normalised else ''}{text}",
        formula=f"{text}, s = β1ᵀx + β0{divided}",
        weight=lambda score: expression.xreplace({symbol("s"): score}),
        normalised=normalised,
        gauge="not searched" if normalised else "none",
        regimes=(Regime(None, condition, f"{truth}; no rate is derived for this gate"),),
        source="your expression",
    )


def resolve(gate: Gate | str) -> Gate:
    """A :class:`Gate` from itself, its name, or an expression in the score s.

    A normalised gate of one's own is named ``normalised EXPRESSION``. Raises InputError for a name
    that is not known and an expression that cannot be read.
    """
    if isinstance(gate, Gate):
        return gate
    if not isinstance(gate, str):
        raise InputError(f"gate: {gate!r} is no gate; give a name, an expression in s, or a Gate.")
    if gate in GATES:
        return GATES[gate]
    if re.fullmatch(r"[A-Za-z]{2,}[A-Za-z-]*|[A-RT-Za-rt-z]|", gate.strip()):
        error = unknown_name("gate", gate, GATES)
        raise type(error)(f"{error} Your own: an expression in s, such as (1 + tanh(s))/2.")
    return Gate.from_expression(gate)
