"""The template of a loss of densities: cells, weights and powers, for atoms already comparable.

Of the loss in :mod:`identkit.losses.density` this is the sum; which atoms are compared, in which
coordinates, is decided there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from identkit.errors import InputError
from identkit.fit.model import Model
from identkit.gates import LossTerms
from identkit.gates.input_free import GAUSSIAN
from identkit.gates.normal import Coordinates, Normal
from identkit.gates.softmax import weigh
from identkit.losses.quotient import Quotient
from identkit.losses.shifts import Formula, Gates, Labels, Parts, Power, Powers, Problem
from identkit.mixing import Array

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
        for size in (2, 3):
            value = power(size) if callable(power) else power
            if not 1 <= value < np.inf:
                raise InputError(f"{option}: {name} has {value}; give a number of at least 1.")
    return Powers(given.get(GATE, DEFAULT_ORDER), tuple(given.get(n, DEFAULT_ORDER) for n in names))
