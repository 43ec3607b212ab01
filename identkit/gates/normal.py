"""Normal coordinates: a gate's parameters so written that its gauges are common shifts or nothing.

A Voronoi loss is a distance in them (theory section 6), so that no gauge is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Normal(NamedTuple):
    """The parameters of a gate in normal coordinates, of one measure or of R.

    ``offset`` (…, k) is what an atom weighs by; under weights that are divided by their sum it is
    given up to a common shift. ``moving`` and ``still`` are arrays (…, k, ·) of all other numbers
    of an atom, γ in this order; ``moving`` are given up to a common shift too. ``shared`` are
    arrays (…) that belong to no atom.
    """

    offset: Any
    moving: tuple[Any, ...] = ()
    still: tuple[Any, ...] = ()
    shared: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Coordinates:
    """How a gate's parameters are written in normal coordinates.

    ``text`` names them. ``of`` maps the values of the gate's blocks, NumPy arrays, to a
    :class:`Normal`. ``back`` writes a measure in the gauge of another one: it maps its values, a
    shift (…, m) of its numbers and the other's values to new values of some blocks, those of β0 up
    to a common shift. It raises InputError where there is no such measure.
    """

    text: str
    of: Callable[[Mapping[str, Any]], Normal] = field(repr=False)
    back: Callable[[Mapping[str, Any], Any, Mapping[str, Any]], Mapping[str, Any]] = field(
        repr=False
    )
