"""Records of the gauges of an architecture: what moves, under what, how it is proved, an example.

Numbers and formulas are kept as text in identkit's grammar: an example is exact, and read back by
the parser.
"""

from __future__ import annotations

from dataclasses import dataclass

from identkit.vocabulary import GaugeKind, Half


@dataclass(frozen=True)
class ExactAtom:
    """One atom in exact numbers.

    ``weight`` has the blocks of a routed atom's gate by name (``beta1``, ``beta0``), or ``omega``
    of a shared one. ``variance`` is None where nothing but a mean is estimated.
    """

    weight: tuple[tuple[str, tuple[str, ...]], ...]
    eta: tuple[tuple[str, str], ...]
    variance: str | None = None


@dataclass(frozen=True)
class ExactMeasure:
    """A mixing measure in exact numbers; ``shared`` is empty where all atoms are routed."""

    routed: tuple[ExactAtom, ...]
    shared: tuple[ExactAtom, ...] = ()


@dataclass(frozen=True)
class Example:
    """Two measures with the same f or p, the difference of which has the normal form 0."""

    given: ExactMeasure
    alternative: ExactMeasure


@dataclass(frozen=True)
class FoundGauge:
    """A way to move parameters that leaves f, or p, exactly as it is.

    ``half`` says whose parameters move. ``action`` is a formula, ``where`` the condition under
    which it is possible, empty if it always is. ``images`` are the new numbers in the old ones and
    the ``amounts``. ``dimension`` counts its continuous parameters, 0 for a finite one; of an
    action on single atoms (``each``) for each of them, of ``transport`` for one atom in each half.
    ``proved``: the identity behind it was computed here, by ``method``, and the lemma is one of the
    claims ``rests_on``; else a gate of somebody's own declares it.

    ``sums``, of a cell: functions of the curve's parameter and η with their weighted sums over w*.
    ``onto``, between the halves: whose parameters the ``images`` are, in those of the other half.
    """

    name: str
    kind: GaugeKind
    half: Half
    action: str
    where: str
    images: tuple[tuple[str, str], ...]
    amounts: tuple[str, ...]
    dimension: int
    each: bool
    proved: bool
    method: str
    rests_on: tuple[str, ...] = ()
    sums: tuple[tuple[str, str], ...] = ()
    onto: Half | None = None


@dataclass(frozen=True)
class NoGauge:
    """What was looked for without success: ``excluded`` if it is proved that there is none."""

    name: str
    excluded: bool
    reason: str
