"""Tables in NPZ and Parquet, whose cells are numbers already."""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from identkit.errors import InputError
from identkit.files import check_unpacked
from identkit.tables.columns import (
    MOST_BYTES,
    MOST_COLUMNS,
    Table,
    Wanted,
    choose,
    table_of,
)

_INDEX = re.compile(r"__index_level_\d+__")  # the name pandas gives an index in Parquet


def read_npz(label: str, path: Path, wanted: Wanted) -> Table:
    arrays = _npz_arrays(label, path, only_xy=wanted == Wanted())
    columns: list[NDArray[Any]] = []
    names: list[str] = []
    for name, array in arrays.items():
        if array.ndim == 1:
            columns.append(array)
            names.append(name)
        elif array.ndim == 2:
            if array.shape[1] > MOST_COLUMNS - len(columns):
                raise InputError(
                    f"{label}: has more than {MOST_COLUMNS:,} columns, the most that are read; "
                    "save x with one row per sample."
                )
            columns += list(array.T)
            if len(arrays) == 1:
                names += [str(i) for i in range(array.shape[1])]
            else:
                one = array.shape[1] == 1
                names += [name if one else f"{name}{i}" for i in range(array.shape[1])]
    if not columns:
        raise InputError(
            f"{label}: holds no 1-D or 2-D array; save x of shape (n, d) and y of shape (n,)."
        )
    choice = choose(label, names, wanted)
    chosen = [columns[i] for i in choice.positions]
    for name, column in zip(choice.names, chosen, strict=True):
        last = wanted.classes and name == choice.names[-1]
        if column.dtype.kind not in ("iufbU" if last else "iuf"):
            raise InputError(
                f"{label}: column '{name}' holds {column.dtype.name}, not real numbers; convert "
                "it, or leave it out of the inputs."
            )
        if len(column) != len(chosen[-1]):
            raise InputError(
                f"{label}: column '{name}' has {len(column)} values but the target "
                f"'{choice.names[-1]}' has {len(chosen[-1])}; save arrays of the same length."
            )
    with np.errstate(over="ignore"):  # long doubles beyond float64 become infinite: found below
        numbers: list[NDArray[Any]] = [
            np.array(c, dtype=np.float64) for c in chosen if c.dtype.kind in "iuf"
        ]
    if len(numbers) < len(chosen):
        numbers.append(chosen[-1].astype(np.str_))
    return table_of(label, choice, numbers, classes=wanted.classes)


def _npz_arrays(label: str, path: Path, *, only_xy: bool) -> dict[str, NDArray[Any]]:
    if not zipfile.is_zipfile(path):
        raise InputError(f"{label}: is not an NPZ file, or a damaged one; save it with np.savez.")
    arrays: dict[str, NDArray[Any]] = {}
    name = ""
    try:
        # opened here: np.load leaves its own file open when the archive is damaged
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            # x and y are the table; other arrays beside them (a seed, the truth) are not columns
            wanted = ["x", "y"] if only_xy and {"x", "y"} <= set(archive.files) else archive.files
            check_unpacked(path, MOST_BYTES, wanted)
            for name in wanted:
                array = archive[name]
                if isinstance(array, np.ndarray):
                    arrays[name] = array
    except MemoryError:
        raise InputError(
            f"{label}: array '{name}' does not fit in memory; save fewer rows."
        ) from None
    except InputError:
        raise
    except (ValueError, OSError, EOFError, KeyError, RuntimeError) as error:
        if "allow_pickle" in str(error):
            raise InputError(
                f"{label}: array '{name}' holds Python objects, which are not read because "
                "unpickling can run code; save it as float64."
            ) from None
        raise _damaged_npz(label) from None
    except (zipfile.BadZipFile, zlib.error):
        raise _damaged_npz(label) from None
    return arrays


def _damaged_npz(label: str) -> InputError:
    return InputError(f"{label}: the NPZ file is damaged; save it again with np.savez.")


def read_parquet(label: str, path: Path, wanted: Wanted) -> Table:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise InputError(
            f"{label}: reading Parquet needs pyarrow; run pip install identkit[parquet], or save "
            "the data as CSV."
        ) from None
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            names = [name for name in schema.names if not _INDEX.fullmatch(name)]
            choice = choose(label, names, wanted)
            for name in choice.names:
                kind = schema.field(name).type
                numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind)
                if wanted.classes and name == choice.names[-1]:
                    continue  # told apart by the texts of its values
                if not numeric and not pa.types.is_decimal(kind):
                    raise InputError(
                        f"{label}: column '{name}' holds {kind}, not real numbers; convert it, or "
                        "leave it out of the inputs."
                    )
            # what rows of one value take on disk says nothing of what they take in memory
            size = 8 * file.metadata.num_rows * len(choice.names)
            if size > MOST_BYTES:
                raise InputError(
                    f"{label}: the columns take {size:,} bytes, at most {MOST_BYTES:,} are read; "
                    "save fewer rows."
                )
            table = file.read(columns=list(choice.names))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, PermissionError):
            raise
        raise InputError(
            f"{label}: is not a Parquet file, or a damaged one; save it again."
        ) from None
    columns: list[NDArray[Any]] = []
    for i, name in enumerate(choice.names):
        kind = table.column(name).type
        number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        if wanted.classes and i == len(choice.names) - 1 and not number:
            columns.append(_texts(label, name, table.column(name).to_pylist()))
            continue
        # unsafe: integers above 2^53 are rounded; a null becomes NaN, reported as missing
        column = table.column(name).cast(pa.float64(), safe=False)
        columns.append(np.array(column.to_numpy(), dtype=np.float64))
    return table_of(label, choice, columns, classes=wanted.classes)


def _texts(label: str, name: str, values: list[Any]) -> NDArray[np.str_]:
    missing = next((i for i, value in enumerate(values) if value is None), None)
    if missing is not None:
        raise InputError(
            f"{label}: row {missing} (counted from 0), column '{name}': the value is missing; fill "
            "it in or delete the row."
        )
    return np.array([str(value) for value in values], dtype=np.str_)
