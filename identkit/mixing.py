"""Mixing measures: the parameters of k atoms, one measure or a batch of R."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from identkit.errors import InputError
from identkit.files import check_unpacked, read_whole, write_whole
from identkit.layout import STANDARD, Block, Layout

Array = NDArray[np.float64]
SCHEMA = "identkit.mixing/1"
SCHEMA_OF_LAYOUTS = "identkit.mixing/2"
"""Of measures whose layout is not that of atoms (β1, β0, η)."""
SCHEMAS = (SCHEMA, SCHEMA_OF_LAYOUTS)
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


@dataclass(frozen=True, eq=False, init=False, repr=False)
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

    Any other ``layout`` has its blocks by name, ``G["temperature"]``: see :meth:`of`.
    """

    layout: Layout
    _arrays: tuple[Array, ...]

    def __init__(self, beta0: ArrayLike, beta1: ArrayLike, eta: ArrayLike) -> None:
        given = {"beta0": beta0, "beta1": beta1, "eta": eta}
        arrays = {b.name: _checked(b, given[b.name]) for b in sorted(STANDARD, key=_name)}
        self._fill(Layout(STANDARD, arrays["beta1"].shape[-1], arrays["eta"].shape[-1]), arrays)

    @classmethod
    def of(cls, layout: Layout, values: Mapping[str, ArrayLike]) -> MixingMeasure:
        """Measures of any layout, from the values of its blocks by name.

        Blocks that all atoms share have no axis of atoms: (…,), or (…, d) with one number per
        input. Raises :class:`~identkit.errors.InputError` as the constructor does.

        >>> from identkit.layout import AFFINE, Block
        >>> shared = Block("temperature", "τ", "", "scale", "1", per_atom=False)
        >>> G = MixingMeasure.of(
        ...     Layout.of((*AFFINE, shared), dim=1, parameters=1),
        ...     {"beta0": [0.0], "beta1": [[1.0]], "eta": [[0.5]], "temperature": 2.0},
        ... )
        >>> G.to_vector()
        array([1. , 0. , 0.5, 2. ])
        """
        names = [b.name for b in layout.listed]
        if set(values) != set(names):
            raise InputError(
                f"mixing measure: it has the blocks {', '.join(sorted(values))}; give "
                f"{_listed(names)}."
            )
        arrays = {b.name: _checked(b, values[b.name]) for b in layout.listed}
        for block in layout.listed:
            array = arrays[block.name]
            if block.axis and array.shape[-1] != layout.size(block):
                raise InputError(
                    f"{block.name}: has shape {array.shape}, must be {block.shape} with "
                    f"{block.axis} = {layout.size(block)}."
                )
        made = cls.__new__(cls)
        made._fill(layout, arrays)
        return made

    def _fill(self, layout: Layout, arrays: Mapping[str, Array]) -> None:
        """Keep the arrays, which must agree in the number of atoms and in their leading shape."""
        listed = layout.listed
        own = [b for b in listed if b.per_atom]
        atoms = [arrays[b.name].shape[-b.rank] for b in own]
        if len(set(atoms)) > 1:
            raise InputError(
                f"mixing measure: {_listed([b.name for b in own])} have {_listed(atoms)} atoms; "
                "give the same number."
            )
        layout.check_atoms(atoms[0])
        for block in layout.of_groups:
            found = arrays[block.name].shape[-block.rank]
            if found != len(layout.groups):
                raise InputError(
                    f"{block.name}: has {found} groups, the layout {len(layout.groups)}; give one "
                    "for each group."
                )
        batches = [arrays[b.name].shape[: arrays[b.name].ndim - b.rank] for b in listed]
        if len(set(batches)) > 1:
            raise InputError(
                f"mixing measure: {_listed([b.name for b in listed])} have the leading shapes "
                f"{_listed(batches)}; give () or the same (R,) to all "
                f"{'three' if len(listed) == 3 else len(listed)}."
            )
        object.__setattr__(self, "layout", layout)
        object.__setattr__(self, "_arrays", tuple(arrays[b.name] for b in layout.blocks))

    def _with(self, values: Mapping[str, Array]) -> MixingMeasure:
        """The measures with other values in some blocks."""
        return MixingMeasure.of(self.layout, {**self._values, **values})

    @property
    def _values(self) -> dict[str, Array]:
        """The arrays by name, in the order of the vector."""
        return {b.name: a for b, a in zip(self.layout.blocks, self._arrays, strict=True)}

    def __repr__(self) -> str:
        blocks = ", ".join(f"{b.name}={self[b.name]!r}" for b in self.layout.listed)
        return f"MixingMeasure({blocks})"

    @property
    def beta0(self) -> Array:
        """β0, the offsets of the scores: (…, k)."""
        return self["beta0"]

    @property
    def beta1(self) -> Array:
        """β1, the slopes of the scores: (…, k, d)."""
        return self["beta1"]

    @property
    def eta(self) -> Array:
        """η, the parameters of the experts: (…, k, q)."""
        return self["eta"]

    @property
    def batch(self) -> tuple[int, ...]:
        """The leading shape: () for one measure, (R,) for many."""
        array, block = self._arrays[0], self.layout.blocks[0]
        return array.shape[: array.ndim - block.rank]

    @property
    def atoms(self) -> int:
        """k, the number of atoms."""
        block = self.layout.of_atoms[0]
        return self[block.name].shape[-block.rank]

    @property
    def dim(self) -> int:
        """d, the number of inputs."""
        return self.layout.dim

    @property
    def parameters(self) -> int:
        """q, the number of expert parameters of an atom."""
        return self.layout.parameters

    def __bool__(self) -> bool:
        return True  # one measure has no length to be asked for

    def __len__(self) -> int:
        if not self.batch:
            raise TypeError("one mixing measure has no length; .atoms counts its atoms")
        return self.batch[0]

    @overload
    def __getitem__(self, index: str) -> Array: ...

    @overload
    def __getitem__(self, index: int | slice | NDArray[Any] | list[Any]) -> MixingMeasure: ...

    def __getitem__(self, index: Any) -> Any:
        """One measure of many for a number; a batch for a slice, a list of numbers or a mask.

        For the name of a block its values.
        """
        if isinstance(index, str):
            for block, array in zip(self.layout.blocks, self._arrays, strict=True):
                if block.name == index:
                    return array
            raise KeyError(f"the measure has no block {index}")
        if not self.batch:
            raise TypeError("one mixing measure cannot be indexed; its arrays can")
        return self._with({name: array[index] for name, array in self._values.items()})

    def __iter__(self) -> Iterator[MixingMeasure]:
        return (self[i] for i in range(len(self)))

    def relabelled(self, order: Sequence[int] | ArrayLike) -> MixingMeasure:
        """The same measures with atoms listed in another order: (k,), or (R, k), one for each.

        What all atoms share stays; atoms stay in their groups, if there are any.
        """
        index = np.asarray(order)
        labels = np.arange(self.atoms)
        if index.shape not in {(self.atoms,), (*self.batch, self.atoms)} or not np.array_equal(
            np.sort(index, axis=-1), np.broadcast_to(labels, index.shape)
        ):
            raise InputError(f"order: {index.tolist()} is not a permutation of {self.atoms} atoms.")
        for group in self.layout.members:
            if (np.sort(index[..., group], axis=-1) != labels[group]).any():
                raise InputError(f"order: {index.tolist()} takes atoms out of their groups.")
        index = np.broadcast_to(index.astype(np.intp), (*self.batch, self.atoms))
        return self._with(
            {
                b.name: np.take_along_axis(self[b.name], index[..., None], axis=-2)
                if b.axis
                else np.take_along_axis(self[b.name], index, axis=-1)
                for b in self.layout.of_atoms
            }
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
        return self._with(
            {"beta0": self.beta0 + weight[..., None], "beta1": self.beta1 + slope[..., None, :]}
        )

    def pinned(self, atom: int = -1) -> MixingMeasure:
        """The same measures under a softmax-type gate, shifted so that this atom's gate is 0."""
        if not -self.atoms <= atom < self.atoms:
            raise InputError(f"atom: {atom} is not one of the {self.atoms} atoms.")
        return self.shifted(-self.beta0[..., atom], -self.beta1[..., atom, :])

    def to_vector(self) -> Array:
        """Shape (…, k·(d + 1 + q)): (β1_1 … β1_d, β0, η_1 … η_q) of one atom after the other.

        Of another layout: its blocks in order, then those of groups, and what all atoms share.
        """
        layout = self.layout
        own, groups, shared = (
            [self[b.name] if b.axis else self[b.name][..., None] for b in blocks]
            for blocks in (layout.of_atoms, layout.of_groups, layout.of_all)
        )
        atoms = np.concatenate(own, axis=-1).reshape(*self.batch, -1)
        if groups:
            shared = [np.concatenate(groups, axis=-1).reshape(*self.batch, -1), *shared]
        return np.concatenate([atoms, *shared], axis=-1) if shared else atoms

    @classmethod
    def from_vector(cls, vector: ArrayLike, dim: int, parameters: int) -> MixingMeasure:
        """The inverse of :meth:`to_vector` for d = ``dim`` and q = ``parameters``.

        >>> MixingMeasure.from_vector([1.0, 0.0, 0.5, 0.1], 1, 2).eta
        array([[0.5, 0.1]])
        """
        return cls.of_vector(Layout(STANDARD, dim, parameters), vector)

    @classmethod
    def of_vector(cls, layout: Layout, vector: ArrayLike) -> MixingMeasure:
        """The inverse of :meth:`to_vector` for any layout."""
        array = real_array("vector", vector)
        atoms = layout.atoms(array.shape[-1]) if array.ndim in (1, 2) and array.size else None
        if atoms is None:
            more = f" and {layout.beside} more" if layout.beside else ""
            raise InputError(
                f"vector: has shape {array.shape}; its last length must be a multiple of "
                f"{layout.formula} = {layout.width}{more}."
            )
        batch, cut = array.shape[:-1], atoms * layout.width
        rows = array[..., :cut].reshape(*batch, atoms, layout.width)
        values = {b.name: rows[..., layout[b.name]] for b in layout.of_atoms}
        rest = cut + len(layout.groups) * layout.group_width
        groups = array[..., cut:rest].reshape(*batch, len(layout.groups), layout.group_width)
        values |= {b.name: groups[..., layout[b.name]] for b in layout.of_groups}
        values |= {b.name: array[..., rest:][..., layout[b.name]] for b in layout.of_all}
        shaped = {
            b.name: values[b.name].reshape((*batch, *layout.shape(b, atoms))) for b in layout.blocks
        }
        return cls.of(layout, shaped)

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
        layout, atoms = measures[0].layout, measures[0].atoms
        if any(m.layout != layout for m in measures):
            raise InputError("mixing measures: they have different blocks; stack those that agree.")
        return cls.of(
            layout,
            {
                b.name: np.concatenate(
                    [m[b.name].reshape(-1, *layout.shape(b, atoms)) for m in measures]
                )
                for b in layout.blocks
            },
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; numbers come back exactly.

        Schema ``identkit.mixing/1``; of another layout ``identkit.mixing/2``, which holds that too.
        """
        return {**self._head(), **{b.name: self[b.name].tolist() for b in self.layout.listed}}

    def _head(self) -> dict[str, Any]:
        """Everything in a document but the values."""
        if self.layout.standard:
            return {"schema": SCHEMA}
        return {"schema": SCHEMA_OF_LAYOUTS, "layout": self.layout.document()}

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> MixingMeasure:
        """The inverse of :meth:`to_dict`. Raises InputError for anything else."""
        if not isinstance(document, dict) or document.get("schema") not in SCHEMAS:
            raise InputError(f"mixing measure: the document does not have the schema '{SCHEMA}'.")
        layout, names, head = None, [b.name for b in sorted(STANDARD, key=_name)], ["schema"]
        if document["schema"] != SCHEMA:
            layout = Layout.from_document(document.get("layout"))
            names, head = [b.name for b in layout.listed], ["schema", "layout"]
        if set(document) != {*head, *names}:
            raise InputError(
                f"mixing measure: the document must hold {', '.join([*head, *names])} and "
                "nothing else."
            )
        values = {name: document[name] for name in names}
        return cls(**values) if layout is None else cls.of(layout, values)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to a ``.json`` or ``.npz`` file, whole or not at all. Raises InputError."""
        suffix = _suffix(path)

        def write(stream: BinaryIO) -> None:
            if suffix == ".json":
                stream.write((json.dumps(self.to_dict()) + "\n").encode())
            else:
                head = self._head()
                if "layout" in head:
                    head["layout"] = json.dumps(head["layout"])
                arrays: dict[str, Any] = {b.name: self[b.name] for b in self.layout.listed}
                arrays |= {key: np.array(text) for key, text in head.items()}
                np.savez(stream, **arrays)

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
                if "layout" in document:
                    document["layout"] = json.loads(str(document["layout"]))
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


def layout_of(document: Mapping[str, Any], dim: int, parameters: int) -> Layout:
    """The layout of a document's measure, for d and q where the document does not say them.

    Raises InputError for a layout that is none; the values are not looked at.
    """
    if document.get("schema") == SCHEMA_OF_LAYOUTS:
        return Layout.from_document(document.get("layout"))
    return Layout(STANDARD, dim, parameters)


def _checked(block: Block, value: Any) -> Array:
    """A read-only copy of a block's values, one measure's or many's."""
    array = real_array(block.name, value, f"numbers of shape {block.shape}").copy()
    if array.ndim not in (block.rank, block.rank + 1) or array.size == 0:
        raise InputError(f"{block.name}: has shape {array.shape}, must be {block.shape}.")
    if not np.isfinite(array).all():
        raise InputError(f"{block.name}: holds a value that is not finite; remove that atom.")
    array.setflags(write=False)
    return array


def _name(block: Block) -> str:
    return block.name


def _listed(items: Sequence[Any]) -> str:
    texts = [str(item) for item in items]
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)
