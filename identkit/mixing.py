"""Mixing measures: the parameters of k atoms, one measure or a batch of R."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from identkit.errors import InputError
from identkit.files import check_unpacked, read_whole, write_whole

Array = NDArray[np.float64]
SCHEMA = "identkit.mixing/1"
MOST_BYTES = 2**27
"""Largest file of measures, unpacked."""


def real_array(name: str, value: Any, what: str = "an array of real numbers") -> Array:
    """An array-like as float64. Raises InputError for anything but real numbers.

    Masked values are refused: an array without its mask would count them.
    """
    if np.ma.isMaskedArray(value) and np.ma.is_masked(value):
        place = np.argwhere(np.ma.getmaskarray(value))[0].tolist()
        raise InputError(
            f"{name}: the value at {place} is masked; leave out such rows, or fill them in."
        )
    try:
        array = np.asarray(value)
        if array.dtype.kind in "biuf":
            with np.errstate(over="ignore"):  # long doubles beyond float64 become infinite
                return array.astype(np.float64, copy=False)
        if array.dtype.kind == "O" and not any(isinstance(v, str | bytes) for v in array.flat):
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # of imaginary parts that are dropped
                return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError, Warning):
        raise InputError(f"{name}: must be {what}.") from None
    raise InputError(f"{name}: must be {what}, not {array.dtype.name}.")


@dataclass(frozen=True, eq=False)
class MixingMeasure:
    """Mixing measures G = Σ_i δ_{(β0_i, β1_i, η_i)} (theory section 1): one, or many at once.

    ``beta0`` has shape (…, k), ``beta1`` (…, k, d), ``eta`` (…, k, q); the leading shape is () for
    one measure and (R,) for many, which can then be counted, indexed and iterated over. Stored as
    read-only float64. Raises :class:`~identkit.errors.InputError` for shapes that do not fit or
    values that are not finite.

    >>> G = MixingMeasure([0.0, 1.0], [[1.0], [2.0]], [[0.5, 0.1], [0.2, 0.3]])
    >>> G.atoms, G.dim, G.parameters
    (2, 1, 2)
    >>> many = MixingMeasure.stack([G, G.relabelled([1, 0])])
    >>> len(many), many[1].beta0
    (2, array([1., 0.]))
    """

    beta0: Array
    beta1: Array
    eta: Array

    def __init__(self, beta0: ArrayLike, beta1: ArrayLike, eta: ArrayLike) -> None:
        for name, value, rank in (("beta0", beta0, 1), ("beta1", beta1, 2), ("eta", eta, 2)):
            array = real_array(name, value, f"numbers of shape {_SHAPES[name]}").copy()
            if array.ndim not in (rank, rank + 1) or array.size == 0:
                raise InputError(f"{name}: has shape {array.shape}, must be {_SHAPES[name]}.")
            if not np.isfinite(array).all():
                raise InputError(f"{name}: holds a value that is not finite; remove that atom.")
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        sizes = {self.beta0.shape[-1], self.beta1.shape[-2], self.eta.shape[-2]}
        if len(sizes) > 1:
            raise InputError(
                f"mixing measure: beta0, beta1 and eta have {self.beta0.shape[-1]}, "
                f"{self.beta1.shape[-2]} and {self.eta.shape[-2]} atoms; give the same number."
            )
        batches = [self.beta0.shape[:-1], self.beta1.shape[:-2], self.eta.shape[:-2]]
        if len(set(batches)) > 1:
            raise InputError(
                f"mixing measure: beta0, beta1 and eta have the leading shapes {batches[0]}, "
                f"{batches[1]} and {batches[2]}; give () or the same (R,) to all three."
            )

    @property
    def batch(self) -> tuple[int, ...]:
        """The leading shape: () for one measure, (R,) for many."""
        return self.beta0.shape[:-1]

    @property
    def atoms(self) -> int:
        """k, the number of atoms."""
        return self.beta0.shape[-1]

    @property
    def dim(self) -> int:
        """d, the number of inputs."""
        return self.beta1.shape[-1]

    @property
    def parameters(self) -> int:
        """q, the number of expert parameters of an atom."""
        return self.eta.shape[-1]

    def __bool__(self) -> bool:
        return True  # one measure has no length to be asked for

    def __len__(self) -> int:
        if not self.batch:
            raise TypeError("one mixing measure has no length; .atoms counts its atoms")
        return self.batch[0]

    def __getitem__(self, index: Any) -> MixingMeasure:
        """One measure of many for a number; a batch for a slice, a list of numbers or a mask."""
        if not self.batch:
            raise TypeError("one mixing measure cannot be indexed; its arrays can")
        return MixingMeasure(self.beta0[index], self.beta1[index], self.eta[index])

    def __iter__(self) -> Iterator[MixingMeasure]:
        return (self[i] for i in range(len(self)))

    def relabelled(self, order: Sequence[int] | ArrayLike) -> MixingMeasure:
        """The same measures with atoms listed in another order: (k,), or (R, k), one for each."""
        index = np.asarray(order)
        labels = np.arange(self.atoms)
        if index.shape not in {(self.atoms,), (*self.batch, self.atoms)} or not np.array_equal(
            np.sort(index, axis=-1), np.broadcast_to(labels, index.shape)
        ):
            raise InputError(f"order: {index.tolist()} is not a permutation of {self.atoms} atoms.")
        index = np.broadcast_to(index.astype(np.intp), (*self.batch, self.atoms))
        return MixingMeasure(
            np.take_along_axis(self.beta0, index, axis=-1),
            np.take_along_axis(self.beta1, index[..., None], axis=-2),
            np.take_along_axis(self.eta, index[..., None], axis=-2),
        )

    def shifted(self, beta0: ArrayLike, beta1: ArrayLike) -> MixingMeasure:
        """All gates of a measure shifted in common: the gauge of softmax-type gates.

        ``beta0`` is a number or (R,), ``beta1`` has shape (d,) or (R, d).
        """
        weight, slope = real_array("beta0", beta0), real_array("beta1", beta1)
        if weight.shape not in {(), self.batch} or slope.shape not in {
            (self.dim,),
            (*self.batch, self.dim),
        }:
            raise InputError(
                f"shift: beta0 has shape {weight.shape} and beta1 {slope.shape}; they must be "
                f"() and ({self.dim},), or have {self.batch} in front."
            )
        return MixingMeasure(
            self.beta0 + weight[..., None], self.beta1 + slope[..., None, :], self.eta
        )

    def pinned(self, atom: int = -1) -> MixingMeasure:
        """The same measures under a softmax-type gate, shifted so that this atom's gate is 0."""
        if not -self.atoms <= atom < self.atoms:
            raise InputError(f"atom: {atom} is not one of the {self.atoms} atoms.")
        return self.shifted(-self.beta0[..., atom], -self.beta1[..., atom, :])

    def to_vector(self) -> Array:
        """Shape (…, k·(d + 1 + q)): (β1_1 … β1_d, β0, η_1 … η_q) of one atom after the other."""
        atoms = np.concatenate([self.beta1, self.beta0[..., None], self.eta], axis=-1)
        return atoms.reshape(*self.batch, -1)

    @classmethod
    def from_vector(cls, vector: ArrayLike, dim: int, parameters: int) -> MixingMeasure:
        """The inverse of :meth:`to_vector` for d = ``dim`` and q = ``parameters``.

        >>> MixingMeasure.from_vector([1.0, 0.0, 0.5, 0.1], 1, 2).eta
        array([[0.5, 0.1]])
        """
        array = real_array("vector", vector)
        width = dim + 1 + parameters
        if array.ndim not in (1, 2) or array.shape[-1] % width or array.size == 0:
            raise InputError(
                f"vector: has shape {array.shape}; its last length must be a multiple of "
                f"d + 1 + q = {width}."
            )
        atoms = array.reshape(*array.shape[:-1], -1, width)
        return cls(atoms[..., dim], atoms[..., :dim], atoms[..., dim + 1 :])

    @classmethod
    def stack(cls, measures: Sequence[MixingMeasure]) -> MixingMeasure:
        """Many from a list of one or many, in order. Raises InputError unless k, d and q agree."""
        if not measures:
            raise InputError("mixing measures: the list is empty; give at least one.")
        if len({(m.atoms, m.dim, m.parameters) for m in measures}) > 1:
            raise InputError(
                "mixing measures: they differ in the number of atoms, inputs or expert "
                "parameters; stack those that agree."
            )
        k, d, q = measures[0].atoms, measures[0].dim, measures[0].parameters
        return cls(
            np.concatenate([m.beta0.reshape(-1, k) for m in measures]),
            np.concatenate([m.beta1.reshape(-1, k, d) for m in measures]),
            np.concatenate([m.eta.reshape(-1, k, q) for m in measures]),
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, schema ``identkit.mixing/1``; numbers come back exactly."""
        return {"schema": SCHEMA, **{name: getattr(self, name).tolist() for name in _SHAPES}}

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> MixingMeasure:
        """The inverse of :meth:`to_dict`. Raises InputError for anything else."""
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            raise InputError(f"mixing measure: the document does not have the schema '{SCHEMA}'.")
        if set(document) != {"schema", *_SHAPES}:
            raise InputError(
                f"mixing measure: the document must hold schema, {', '.join(_SHAPES)} and "
                "nothing else."
            )
        return cls(**{name: document[name] for name in _SHAPES})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to a ``.json`` or ``.npz`` file, whole or not at all. Raises InputError."""
        suffix = _suffix(path)

        def write(stream: BinaryIO) -> None:
            if suffix == ".json":
                stream.write((json.dumps(self.to_dict()) + "\n").encode())
            else:
                arrays = {name: getattr(self, name) for name in _SHAPES}
                np.savez(stream, schema=np.array(SCHEMA), **arrays)

        write_whole(path, write)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> MixingMeasure:
        """Read a file written by :meth:`save`. Raises InputError if it is not one."""
        suffix = _suffix(path)
        try:
            if suffix == ".json":
                document = json.loads(read_whole(path, MOST_BYTES).decode())
            else:
                check_unpacked(path, MOST_BYTES)
                with np.load(path, allow_pickle=False) as archive:
                    document = {key: archive[key] for key in archive.files}
                document["schema"] = str(document.get("schema"))
        except OSError as error:
            reason = error.strerror or "it is damaged"
            raise InputError(f"{path}: cannot be read ({reason}); give a saved measure.") from None
        except InputError:
            raise
        except Exception:  # zipfile, zlib and NumPy raise many kinds for a damaged archive
            raise InputError(
                f"{path}: is not a {suffix} file; give one written by save()."
            ) from None
        try:
            return cls.from_dict(document)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None


def _suffix(path: str | os.PathLike[str]) -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in (".json", ".npz"):
        raise InputError(f"{path}: the name must end in .json or .npz.")
    return suffix


_SHAPES = {
    "beta0": "(k,) or (R, k)",
    "beta1": "(k, d) or (R, k, d)",
    "eta": "(k, q) or (R, k, q)",
}
