"""Arrays in NPZ, NPY, safetensors and Parquet files, read in order, some rows at a time.

Rows are read, not memory-mapped, wherever they lie in order: mapped pages would count against the
memory of the process. An array in Fortran order is mapped, one that is compressed is unpacked in a
stream.
"""

from __future__ import annotations

import json
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from identkit.errors import InputError
from identkit.files import regular

Array = NDArray[Any]
ENDINGS = (".npz", ".npy", ".safetensors", ".parquet")
_STRIP = 2**22
"""Bytes that a compressed array is unpacked by."""
_MOST_HEADER = 10**8
_SAFE = {
    "U8": "<u1", "I8": "<i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4",
    "U64": "<u8", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2",
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """One array of a file: ``rows(size)`` reads it from the start, ``size`` rows at a time."""

    label: str
    shape: tuple[int, ...]
    kind: str
    """Of the values, as in a dtype: i, u, f, or U for text."""
    rows: Callable[[int], Iterator[Array]]

    def whole(self) -> Array:
        """All of it: for what is small."""
        parts = list(self.rows(max(1, self.shape[0]) if self.shape else 1))
        return np.concatenate(parts) if len(parts) > 1 else parts[0]


def sources(path: Path) -> dict[str, Source]:
    """The arrays of a file by name; that of an .npy file has the name of the file.

    Raises InputError for another ending, a damaged file, and a library that is not installed.
    """
    label = str(path)
    target = regular(path, label)
    if not target.is_file():
        raise InputError(f"{label}: there is no such file; give the path of a recording.")
    readers = {".npz": _npz, ".npy": _npy, ".safetensors": _safetensors, ".parquet": _parquet}
    reader = readers.get(target.suffix.lower())
    if reader is None:
        raise InputError(f"{label}: recordings end in {', '.join(ENDINGS)}; convert it to one.")
    try:
        return reader(label, target)
    except PermissionError:
        raise InputError(f"{label}: may not be read; change its permissions.") from None
    except InputError:
        raise
    except (OSError, ValueError, KeyError, EOFError, struct.error, zipfile.BadZipFile, zlib.error):
        kind = target.suffix.lower()[1:]
        raise InputError(
            f"{label}: is not a file of format {kind}, or a damaged one; write it again."
        ) from None


def _plain(path: Path, label: str, start: int, shape: tuple[int, ...], kind: np.dtype) -> Source:
    """An array whose bytes lie in order from byte ``start`` of a file."""
    row = math.prod(shape[1:]) if shape else 1
    count = shape[0] if shape else 1
    if start + count * row * kind.itemsize > path.stat().st_size:
        raise InputError(f"{label}: the file ends before the array does; write it again.")

    def rows(size: int) -> Iterator[Array]:
        with path.open("rb") as file:
            for begin in range(0, count, size):
                taken = min(size, count - begin)
                file.seek(start + begin * row * kind.itemsize)
                values = np.fromfile(file, kind, taken * row)
                yield values.reshape((taken, *shape[1:]) if shape else ())

    return Source(label, shape, kind.kind, rows)


def _header(file: BinaryIO, label: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(file)  # type: ignore[arg-type]
    if version == (1, 0):
        shape, fortran, kind = np.lib.format.read_array_header_1_0(file)  # type: ignore[arg-type]
    else:
        shape, fortran, kind = np.lib.format.read_array_header_2_0(file)  # type: ignore[arg-type]
    if kind.hasobject:
        raise InputError(
            f"{label}: holds Python objects, which are not read because unpickling can run code; "
            "save integers of shape (tokens, k)."
        )
    return shape, fortran and len(shape) > 1, kind


def _npy(label: str, path: Path, name: str | None = None, start: int = 0) -> dict[str, Source]:
    label = label if name is None else f"{label}: '{name}'"
    with path.open("rb") as file:
        file.seek(start)
        shape, fortran, kind = _header(file, label)
        begin = file.tell()
    if fortran:
        mapped = np.memmap(path, kind, "r", begin, shape, order="F")

        def rows(size: int) -> Iterator[Array]:
            for first in range(0, shape[0], size):
                yield np.ascontiguousarray(mapped[first : first + size])

        source = Source(label, shape, kind.kind, rows)
    else:
        source = _plain(path, label, begin, shape, kind)
    return {path.stem if name is None else name: source}


def _npz(label: str, path: Path) -> dict[str, Source]:
    found: dict[str, Source] = {}
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            if member.compress_type == zipfile.ZIP_STORED:
                file.seek(member.header_offset)
                local = file.read(30)  # its lengths of name and extra field, which may differ
                lengths = struct.unpack("<HH", local[26:30])
                start = member.header_offset + 30 + sum(lengths)
                found |= _npy(label, path, name, start)
            else:
                found[name] = _packed(f"{label}: '{name}'", path, member.filename)
    return found


def _packed(label: str, path: Path, member: str) -> Source:
    with zipfile.ZipFile(path) as archive, archive.open(member) as file:
        shape, fortran, kind = _header(file, label)  # type: ignore[arg-type]
    if fortran:
        raise InputError(
            f"{label}: is compressed and in Fortran order, so it cannot be read by rows; save "
            "np.ascontiguousarray of it."
        )
    row = math.prod(shape[1:]) * kind.itemsize if shape else kind.itemsize

    def rows(size: int) -> Iterator[Array]:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            _header(file, label)  # type: ignore[arg-type]
            for begin in range(0, shape[0] if shape else 1, size):
                taken = min(size, (shape[0] if shape else 1) - begin)
                try:
                    data = b"".join(_read(file, taken * row))
                except (zipfile.BadZipFile, zlib.error, EOFError):
                    data = b""
                if len(data) < taken * row:
                    raise InputError(f"{label}: the file is damaged; write it again.")
                yield np.frombuffer(data, kind).reshape((taken, *shape[1:]) if shape else ())

    return Source(label, shape, kind.kind, rows)


def _read(file: Any, count: int) -> Iterator[bytes]:
    while count > 0:
        data = file.read(min(count, _STRIP))
        if not data:
            return
        count -= len(data)
        yield data


def _safetensors(label: str, path: Path) -> dict[str, Source]:
    """The format: 8 bytes of length, a JSON header, then the bytes of the tensors."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > min(_MOST_HEADER, os.path.getsize(path)):
            raise ValueError("the header is longer than the file")
        header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("the header is no object")
    found: dict[str, Source] = {}
    kept = header.pop("__metadata__", None) or {}
    for name, entry in header.items():
        kind = _SAFE.get(entry["dtype"])
        if kind is None:
            raise InputError(
                f"{label}: '{name}' is of type {entry['dtype']}, which is not read; save integers."
            )
        shape = tuple(int(n) for n in entry["shape"])
        begin = 8 + length + int(entry["data_offsets"][0])
        source = _plain(path, f"{label}: '{name}'", begin, shape, np.dtype(kind))
        found[name] = _bfloat(source) if entry["dtype"] == "BF16" else source
    if "experts" in kept and "experts" not in found:
        count = np.array(int(kept["experts"]))
        found["experts"] = Source(f"{label}: 'experts'", (), "i", lambda size: iter([count]))
    return found


def _bfloat(source: Source) -> Source:
    def rows(size: int) -> Iterator[Array]:
        for part in source.rows(size):  # a bfloat16 is the upper half of a float32
            yield (part.astype(np.uint32) << np.uint32(16)).view(np.float32)

    return Source(source.label, source.shape, "f", rows)


def _parquet(label: str, path: Path) -> dict[str, Source]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise InputError(
            f"{label}: reading Parquet needs pyarrow; run pip install identkit[parquet], or save "
            "NPZ files."
        ) from None
    try:
        with pq.ParquetFile(path) as file:
            schema, count = file.schema_arrow, file.metadata.num_rows
            first = next(file.iter_batches(batch_size=1), None)
    except pa.ArrowException:
        raise ValueError(label) from None
    found: dict[str, Source] = {}
    for name in schema.names:
        kind, at = schema.field(name).type, f"{label}: '{name}'"
        lists = pa.types.is_list(kind) or pa.types.is_large_list(kind)
        fixed = pa.types.is_fixed_size_list(kind)
        inner = kind.value_type if lists or fixed else kind
        if pa.types.is_dictionary(inner):
            inner = inner.value_type
        if pa.types.is_string(inner) or pa.types.is_large_string(inner):
            letter = "U"
        else:
            letter = "f" if pa.types.is_floating(inner) else "i"
            if not pa.types.is_integer(inner) and letter == "i":
                continue  # dates, structures: nothing that is recorded of routers
        shape: tuple[int, ...] = (count,)
        if fixed:
            shape = (count, kind.list_size)
        elif lists:
            shape = (count, len(first.column(name)[0].as_py() or ()) if first is not None else 0)
        found[name] = Source(at, shape, letter, _batches(at, path, name, shape))
    return found


def _batches(
    label: str, path: Path, name: str, shape: tuple[int, ...]
) -> Callable[[int], Iterator[Array]]:
    def values(column: Any) -> Array:
        if column.null_count:
            raise InputError(f"{label}: rows are missing (null); leave these tokens out.")
        if len(shape) == 1:
            return np.asarray(column.to_numpy(zero_copy_only=False))
        flat = np.asarray(column.flatten().to_numpy(zero_copy_only=False))
        lengths = np.diff(column.offsets.to_numpy()) if hasattr(column, "offsets") else shape[1]
        if np.any(lengths != shape[1]) or flat.dtype.kind not in "iuf":
            raise InputError(f"{label}: lists of different lengths; give each token k experts.")
        return flat.reshape(-1, shape[1])

    def rows(size: int) -> Iterator[Array]:
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as file:
            waiting: list[Array] = []
            held = 0
            # batches end with row groups: they are put together anew
            for batch in file.iter_batches(batch_size=size, columns=[name], use_threads=False):
                waiting.append(values(batch.column(0)))
                held += len(waiting[-1])
                while held >= size:
                    joined = np.concatenate(waiting)
                    yield joined[:size]
                    waiting, held = [joined[size:]], held - size
            if held:
                yield np.concatenate(waiting)

    return rows
