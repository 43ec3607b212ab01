"""A gauge: which parameters of a gate can be moved without a change of f, whatever the experts.

A gate declares its gauges; whoever fixes, counts, aligns or prints them asks these objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, overload

from identkit.gates.regime import Caveat, WeightRule
from identkit.layout import SLOPE, Block, Layout

if TYPE_CHECKING:
    from identkit.mixing import MixingMeasure

Values = Mapping[str, Any]
"""Block -> its numbers in one measure or in R of them, as NumPy arrays (``Block.shape``). Exact
numbers and balls are arrays of objects."""


@dataclass(frozen=True)
class Gauge:
    """A group that acts on the parameters of a gate and leaves every f as it is.

    It is one of the weight rule ``rule``; a gate with another one drops it. ``text`` says in a
    clause what it does, ``remedy`` how it is fixed. ``moves`` are the blocks of the gate that it
    moves. ``dimension`` maps d and the number of atoms to the number of its continuous parameters,
    the length of an *amount*. Amounts are ``shifts``, any real numbers with 0 for no move, or
    ``factors``, positive ones with 1 for no move; of a factor below 1 the move always exists.
    ``move`` maps values and an amount, an array (…, dimension), to the new values of those blocks.
    ``formula`` says the same as text, block by block, for proofs: a block's new number in the old
    ones and in amounts; one of ``per_input`` has a value for each input. Without it nothing is
    proved in general.

    ``pins``: a shift for each number that an atom has in these blocks, so that all of one atom's
    can be held at 0. ``caveat``: f stays only for measures of which it holds; None for all.

    Every one is compared with f itself: :func:`identkit.testing.check_gate`.
    """

    name: str
    text: str
    rule: WeightRule
    moves: tuple[Block, ...]
    dimension: Callable[[int, int], int] = field(repr=False)
    move: Callable[[Values, Any], Values] = field(repr=False)
    amounts: Literal["shifts", "factors"] = "shifts"
    remedy: str = ""
    pins: bool = False
    caveat: Caveat | None = None
    formula: tuple[tuple[str, str], ...] = ()
    per_input: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What it does and how it is fixed, as printed."""
        return f"{self.text}; {self.remedy}" if self.remedy else self.text

    def places(self, layout: Layout) -> tuple[int, ...]:
        """Where the numbers that it moves stand among those of an atom."""
        slices = [layout[b.name] for b in self.moves if b.per_atom]
        return tuple(i for s in slices for i in range(s.start, s.stop))

    @overload
    def apply(self, given: MixingMeasure, amount: Any) -> MixingMeasure: ...

    @overload
    def apply(self, given: Values, amount: Any) -> Values: ...

    def apply(self, given: MixingMeasure | Values, amount: Any) -> MixingMeasure | Values:
        """The measure, or values of all blocks, moved by an array (…, dimension).

        ``…`` is the batch: () for one measure, (R,) for an amount for each of R, or () again for
        the same.
        """
        return self._changed(given, lambda values: self.move(values, amount))

    @overload
    def pinned(self, given: MixingMeasure, atom: int = -1) -> MixingMeasure: ...

    @overload
    def pinned(self, given: Values, atom: int = -1) -> Values: ...

    def pinned(self, given: MixingMeasure | Values, atom: int = -1) -> MixingMeasure | Values:
        """The same, moved so that this atom has 0 wherever something is moved (if it ``pins``)."""

        def change(values: Values) -> Values:
            own = {b.name: (values[b.name], (slice(None),) * (b.axis != "")) for b in self.moves}
            return {name: v - v[..., [atom], *axis] for name, (v, axis) in own.items()}

        return self._changed(given, change)

    def _changed(
        self, given: MixingMeasure | Values, change: Callable[[Values], Values]
    ) -> MixingMeasure | Values:
        if isinstance(given, Mapping):
            return {**given, **change(given)}
        values = {b.name: given[b.name] for b in given.layout.blocks}
        return type(given).of(given.layout, {**values, **change(values)})


def described(gauges: Iterable[Gauge]) -> str:
    """All gauges of a gate as printed, ``none`` without one."""
    found = tuple(gauges)
    always = "; ".join(g.sentence for g in found if g.caveat is None)
    some = [(g.caveat.text, g.sentence) for g in found if g.caveat is not None]
    if not always:
        return "".join(["none", *(f", unless {where}: then {what}" for where, what in some)])
    return "; ".join([always, *(f"where {where}, {what}" for where, what in some)])


def common_shift(rule: WeightRule) -> Gauge:
    """The gauge of weights like exp(c·s) divided by their sum: one shift of all (β1, β0).

    An amount is (t1_1 … t1_d, t0), or t0 alone where the rule is without β1. Source:
    arXiv 2402.02952; proofs_check/test_softmax_gauge.py.
    """
    sloped = SLOPE in rule.blocks
    return Gauge(
        name="common shift",
        text=f"a common shift of all {'(β0, β1)' if sloped else 'β0'} leaves f unchanged",
        rule=rule,
        moves=rule.blocks,
        dimension=_one_gate if sloped else _one_number,
        move=_shifted if sloped else _offset_shifted,
        remedy="pin one atom",
        pins=True,
        formula=tuple((b.name, _SHIFTED[b.name]) for b in rule.blocks if b.name in _SHIFTED),
        per_input=("t1",),
    )


_SHIFTED = {"beta1": "beta1 + t1", "beta0": "beta0 + t0"}


def _one_gate(dim: int, atoms: int) -> int:
    return dim + 1


def _one_number(dim: int, atoms: int) -> int:
    return 1


def _offset_shifted(values: Values, amount: Any) -> Values:
    return {"beta0": values["beta0"] + amount}


def _shifted(values: Values, amount: Any) -> Values:
    return {
        "beta1": values["beta1"] + amount[..., None, :-1],
        "beta0": values["beta0"] + amount[..., -1:],
    }
