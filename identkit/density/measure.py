"""Mixing measures of densities: routed atoms with their variances, and shared atoms beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from identkit.errors import InputError
from identkit.gates import input_free
from identkit.mixing import MixingMeasure, real_array

Array = NDArray[np.float64]
SCHEMA = "identkit.density-measure/1"


@dataclass(frozen=True, eq=False)
class DensityMeasure:
    """The atoms of p(y|x), one measure or a batch of R.

    ``routed`` has k atoms in the layout of the gate; ``variances`` (…, k), in the squared unit of
    y, are None where the likelihood has none. ``shared`` has m atoms in the layout of the gate
    ``input-free``, whose β0 is the logarithm of ω up to a constant; ``shared_variances`` (…, m).

    >>> import identkit
    >>> routed = identkit.MixingMeasure([0.0, 0.0], [[1.0], [0.0]], [[1.0, 0.0], [-1.0, 0.5]])
    >>> DensityMeasure(routed, [0.4, 0.1]).atoms
    (0, 2)

    Raises :class:`~identkit.errors.InputError` for shapes that do not fit together and variances
    that are not above 0.
    """

    routed: MixingMeasure
    variances: Any = None
    shared: MixingMeasure | None = None
    shared_variances: Any = None

    def __post_init__(self) -> None:
        if self.shared is not None and self.shared.batch != self.routed.batch:
            raise InputError(
                f"measure: {self.shared.batch} shared and {self.routed.batch} routed measures; "
                "give the same number."
            )
        if self.shared is None and self.shared_variances is not None:
            raise InputError("measure: it has variances of shared atoms, but no shared atoms.")
        if (self.variances is None) != (self.shared_variances is None) and self.shared is not None:
            raise InputError("measure: give variances of both halves, or of none.")
        for name, half in (("variances", self.routed), ("shared_variances", self.shared)):
            given = getattr(self, name)
            if given is None or half is None:
                continue
            array = np.array(real_array(name, given))
            if array.shape != (*half.batch, half.atoms):
                raise InputError(
                    f"{name}: has shape {array.shape}, must be {(*half.batch, half.atoms)}."
                )
            if not (np.isfinite(array) & (array > 0)).all():
                raise InputError(f"{name}: one is not above 0; give variances, not deviations.")
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @property
    def batch(self) -> tuple[int, ...]:
        """() for one measure, (R,) for a batch."""
        return self.routed.batch

    @property
    def atoms(self) -> tuple[int, int]:
        """(m, k): shared and routed atoms."""
        return (0 if self.shared is None else self.shared.atoms, self.routed.atoms)

    @property
    def omega(self) -> Array:
        """ω (…, m), the weights of the shared atoms within their half."""
        if self.shared is None:
            return np.empty((*self.batch, 0))
        logits = self.shared.beta0 - self.shared.beta0.max(axis=-1, keepdims=True)
        shares = np.exp(logits)
        return shares / shares.sum(axis=-1, keepdims=True)

    @property
    def all_variances(self) -> Array | None:
        """(…, m + k), shared atoms first; None without variances."""
        if self.variances is None or self.shared is None:
            return self.variances
        return np.concatenate([self.shared_variances, self.variances], axis=-1)

    def __len__(self) -> int:
        return len(self.routed)

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, index: Any) -> DensityMeasure:
        """The measure(s) of a batch at an index."""

        def part(values: Any) -> Any:
            return None if values is None else values[index]

        return DensityMeasure(
            self.routed[index],
            part(self.variances),
            part(self.shared),
            part(self.shared_variances),
        )

    def __iter__(self) -> Iterator[DensityMeasure]:
        return (self[r] for r in range(len(self)))

    @classmethod
    def stack(cls, measures: Sequence[DensityMeasure]) -> DensityMeasure:
        """Measures with the same atoms as one batch."""

        def together(values: list[Any]) -> Any:
            if values[0] is None:
                return None
            if isinstance(values[0], MixingMeasure):
                return MixingMeasure.stack(values)
            return np.concatenate([np.atleast_2d(v) for v in values])

        return cls(
            *(
                together([getattr(m, name) for m in measures])
                for name in ("routed", "variances", "shared", "shared_variances")
            )
        )

    @classmethod
    def with_shared(
        cls,
        routed: MixingMeasure,
        variances: ArrayLike | None,
        omega: ArrayLike,
        kappa: ArrayLike,
        shared_variances: ArrayLike | None,
    ) -> DensityMeasure:
        """Shared atoms by their weights ω (…, m), above 0, and parameters κ (…, m, q)."""
        weights, numbers = real_array("omega", omega), real_array("kappa", kappa)
        if not (weights > 0).all():
            raise InputError("omega: a weight is not above 0; leave out atoms that weigh nothing.")
        layout = input_free.GAUSSIAN[0].layout(routed.dim, numbers.shape[-1])
        shared = MixingMeasure.of(layout, {"beta0": np.log(weights), "eta": numbers})
        return cls(routed, variances, shared, shared_variances)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, schema ``identkit.density-measure/1``."""
        found: dict[str, Any] = {"schema": SCHEMA, "routed": self.routed.to_dict()}
        if self.variances is not None:
            found["variances"] = self.variances.tolist()
        if self.shared is not None:
            found["shared"] = self.shared.to_dict()
            if self.shared_variances is not None:
                found["shared_variances"] = self.shared_variances.tolist()
        return found

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> DensityMeasure:
        """The inverse of :meth:`to_dict`. Raises InputError for anything else."""
        if not isinstance(document, Mapping) or document.get("schema") != SCHEMA:
            raise InputError(f"measure: it is no document of schema {SCHEMA}.")
        stray = set(document) - {"schema", "routed", "variances", "shared", "shared_variances"}
        if stray or "routed" not in document:
            raise InputError(f"measure: a {SCHEMA} holds routed atoms and no {sorted(stray)}.")
        shared = document.get("shared")
        return cls(
            MixingMeasure.from_dict(document["routed"]),
            document.get("variances"),
            None if shared is None else MixingMeasure.from_dict(shared),
            document.get("shared_variances"),
        )
