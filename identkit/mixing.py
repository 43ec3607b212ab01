"""Mixing measures: the parameters of k atoms, up to relabelling and the gate's gauge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from identkit.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MixingMeasure:
    """A mixing measure G = Σ_i δ_{(β0_i, β1_i, η_i)} (theory section 1).

    ``beta0`` has shape (k,), ``beta1`` (k, d), ``eta`` (k, q); stored as read-only float64.
    Raises :class:`~identkit.errors.InputError` for shapes that do not fit or values that are not
    finite.

    >>> G = MixingMeasure([0.0, 1.0], [[1.0], [2.0]], [[0.5, 0.1], [0.2, 0.3]])
    >>> G.atoms, G.dim
    (2, 1)
    """

    beta0: Array
    beta1: Array
    eta: Array

    def __init__(self, beta0: ArrayLike, beta1: ArrayLike, eta: ArrayLike) -> None:
        for name, value, rank in (("beta0", beta0, 1), ("beta1", beta1, 2), ("eta", eta, 2)):
            try:
                array = np.array(value, dtype=np.float64)
            except (TypeError, ValueError):
                raise InputError(f"{name}: must be numbers of shape {_SHAPES[name]}.") from None
            if array.ndim != rank or array.size == 0:
                raise InputError(f"{name}: has shape {array.shape}, must be {_SHAPES[name]}.")
            if not np.isfinite(array).all():
                raise InputError(f"{name}: holds a value that is not finite; remove that atom.")
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        sizes = {len(self.beta0), len(self.beta1), len(self.eta)}
        if len(sizes) > 1:
            raise InputError(
                f"mixing measure: beta0, beta1 and eta have {len(self.beta0)}, {len(self.beta1)} "
                f"and {len(self.eta)} atoms; give the same number."
            )

    @property
    def atoms(self) -> int:
        """k, the number of atoms."""
        return len(self.beta0)

    @property
    def dim(self) -> int:
        """d, the number of inputs."""
        return self.beta1.shape[1]

    def relabelled(self, order: Sequence[int]) -> MixingMeasure:
        """The same measure with its atoms listed in another order."""
        if sorted(order) != list(range(self.atoms)):
            raise InputError(f"order: {list(order)} is not a permutation of {self.atoms} atoms.")
        index = list(order)
        return MixingMeasure(self.beta0[index], self.beta1[index], self.eta[index])

    def shifted(self, beta0: float, beta1: ArrayLike) -> MixingMeasure:
        """All gates shifted in common: the gauge of softmax-type gates."""
        shift = np.asarray(beta1, dtype=np.float64)
        return MixingMeasure(self.beta0 + beta0, self.beta1 + shift, self.eta)


_SHAPES = {"beta0": "(k,)", "beta1": "(k, d)", "eta": "(k, q)"}
