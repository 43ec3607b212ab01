"""The template of a loss of densities: cells, weights and powers, for atoms already comparable.

Of the loss in :mod:`identkit.losses.density` this is the sum; which atoms are compared, in which
coordinates, is decided there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from identkit.degeneracy.moments import SPREAD
from identkit.errors import InputError
from identkit.fit.model import Model
from identkit.gates import LossTerms
from identkit.gates.input_free import GAUSSIAN
from identkit.gates.normal import Coordinates, Normal
from identkit.gates.softmax import weigh
from identkit.losses.quotient import Quotient
from identkit.losses.shifts import Formula, Gates, Labels, Parts, Power, Powers, Problem
from identkit.mixing import Array
from identkit.orders.answer import Orders as OrdersFound

VARIANCE = "variance"
GATE = "gate"
"""Names in ``orders`` besides those of the expert's parameters."""
DEFAULT_ORDER = 2.0
Orders = Power | Mapping[str, Power]
"""One power for all, or powers by the names of parameters, ``variance`` and ``gate``, 2 for those
that are not named. A power is a number or a function of the cell's size, as ``lambda m: 2 * m``."""
Side = tuple[Array, Array | None]
"""(η, ν) of atoms (…, k, q + 1) at the representatives of their functions, and other images."""


@dataclass(frozen=True, eq=False)
class HalfLoss:
    """The loss of some atoms: ``value`` (…,) is the sum of ``parts``.

    ``cells`` (…, k) is the true atom of each fitted one, ``sizes`` (…, k*) count them. Where the
    halves are one measure, fitted atoms are the shared ones, then the routed ones, and true atoms
    the pairs (function, variance), each named in ``pairs`` by its true atoms in the same order.
    """

    value: Array
    parts: Parts
    cells: Labels
    sizes: Labels
    pairs: tuple[tuple[int, ...], ...] = ()


def loss_of(
    formula: Formula, gates: Sequence[Gates], sides: Sequence[Side], powers: Powers | None
) -> HalfLoss:
    """The sum over cells of R fitted measures, first in each pair, against one true one."""
    problem = Problem.between(
        formula, gates[0], sides[0][0], gates[1], sides[1][0], sides[0][1], powers
    )
    _, at = problem.align(problem.prepared())
    cells = np.empty_like(at.cells)
    np.put_along_axis(cells, problem.order, problem.true_order[at.cells], axis=-1)
    sizes = np.empty_like(at.sizes)
    sizes[:, problem.true_order] = at.sizes
    return HalfLoss(np.asarray(sum(at.parts)), at.parts, cells, sizes)


def _no_gauge(values: Mapping[str, Array], shift: Array, other: Mapping[str, Array]) -> dict:
    return {}


def _weights_alone(values: Mapping[str, Array]) -> Normal:
    offset = values["beta0"]
    return Normal(offset, (), (np.zeros((*offset.shape, 0)),))


def _twice(offset: Array) -> Array:
    return 2 * weigh(offset)


_CONSTANT = LossTerms(
    weigh,
    share=True,
    compared="all",
    beta0="none",
    coordinates=Coordinates("weights", _weights_alone, _no_gauge),
)


INPUT_FREE = Formula(GAUSSIAN[0], _CONSTANT, DEFAULT_ORDER)
"""The template for weights that are constants and add up to 1."""
BOTH = replace(INPUT_FREE, terms=replace(_CONSTANT, weigh=_twice))
"""The same for P + Q."""


def plain_gates(offset: Array, slopes: Array | None = None) -> Gates:
    """Weights e^offset, and what else counts of the gates (…, k, ·)."""
    return Gates(offset, np.zeros((*offset.shape, 0)) if slopes is None else slopes, 0, ())


def atoms_of(found: Quotient, eta: Array, variances: Array | None) -> Side:
    """(η, ν) with η at its representative, (…, k, q + 1), and at those of other signs."""

    def beside(values: Array) -> Array:
        if variances is None:
            return values
        column = np.broadcast_to(variances[..., None], (*values.shape[:-1], 1))
        return np.concatenate([values, column], axis=-1)

    images = found.images(eta)
    return beside(found.representatives(eta)), None if images is None else beside(images)


def powers_of(model: Model, orders: Orders, option: str, variance: bool) -> Powers:
    """The powers of γ, of each parameter and of the variance, if there is one."""
    names = (*model.parameters, *((VARIANCE,) if variance else ()))
    given: dict[str, Power] = (
        {str(name): power for name, power in orders.items()}
        if isinstance(orders, Mapping)
        else dict.fromkeys((*names, GATE), orders)
    )
    stray = set(given) - {*names, GATE}
    if stray:
        raise InputError(
            f"{option}: {', '.join(sorted(stray))} is none of {', '.join((*names, GATE))}."
        )
    for name, power in given.items():
        if not callable(power) and not 1 <= power < np.inf:
            raise InputError(f"{option}: {name} has {power}; give a number of at least 1.")
    return Powers(given.get(GATE, DEFAULT_ORDER), tuple(given.get(n, DEFAULT_ORDER) for n in names))


def known_orders(*answers: OrdersFound) -> dict[str, Power]:
    """The ``orders`` of a loss from answers of ``identkit order``, one for each size of a cell.

    Of each parameter, and of the variance, the least order that is proved to suffice: |Δ_u|^r is
    then bounded by the distance of the densities. Parameters for which one of the answers proves
    none are left out, so that the loss has its default for them: that is no bound.

    Raises :class:`~identkit.errors.InputError`, when the loss is taken, for cells of a size that no
    answer is about.

    >>> from identkit.orders.deciding import order
    >>> found = order("linear", "softmax", likelihood="gaussian", dim=1, cell=2)
    >>> {name: power(2) for name, power in known_orders(found).items()}
    {'a': 2.0, 'b': 4.0, 'variance': 2.0}
    """
    tables: dict[str, dict[int, float]] = {}
    for answer in answers:
        for found in answer.directions:
            if found.upper is not None and not found.infinite:
                name = VARIANCE if found.direction == SPREAD else found.direction
                tables.setdefault(name, {})[answer.cell] = float(found.upper.order)
    return {n: _looked_up(n, table) for n, table in tables.items() if len(table) == len(answers)}


def _looked_up(name: str, table: Mapping[int, float]) -> Power:
    def power(m: int) -> float:
        if m not in table:
            raise InputError(
                f"orders: a cell has {m} atoms, and no order of {name} was asked for there; ask "
                f"with cell={m}."
            )
        return table[m]

    return power
