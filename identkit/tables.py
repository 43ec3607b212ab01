"""A user's data file as arrays: columns of numbers from CSV, NPZ or Parquet.

Nothing is repaired in silence: a cell that is missing, not a number or not finite, a row of
another length or a column that cannot be told apart is an error that says where it is.
"""

from __future__ import annotations

import csv
import difflib
import io
import operator
import os
import re
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from identkit.errors import InputError
from identkit.files import check_unpacked

Array = NDArray[np.float64]
Column = str | int

CSV_SUFFIXES = (".csv", ".tsv", ".txt", ".dat")
SUFFIXES = (*CSV_SUFFIXES, ".npz", ".parquet")
"""What :func:`read_table` reads, by the end of the file's name."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_MISSING = {"", "na", "n/a", "nan", "+nan", "-nan", "null", "none", "?"}
_INDEX = re.compile(r"__index_level_\d+__")  # the name pandas gives an index in Parquet
_CHUNK = 8192  # CSV rows converted at a time

MOST_BYTES = 2**30
"""Largest table, in bytes of memory or of text."""
MOST_COLUMNS = 100_000
MOST_LINE = 2**24
"""Longest line of a CSV file, in bytes."""


@dataclass(frozen=True, eq=False)
class Table:
    """Samples from a file: ``x`` of shape (n, d) and ``y`` of shape (n,), float64 and finite.

    ``input_names`` are the d names of the columns of ``x``, ``target_name`` that of ``y``; a
    column without a name is called by its position, counted from 0.
    """

    x: Array
    y: Array
    input_names: tuple[str, ...]
    target_name: str

    def __len__(self) -> int:
        """n, the number of samples."""
        return len(self.y)

    @property
    def dim(self) -> int:
        """d, the number of inputs."""
        return self.x.shape[1]


@dataclass(frozen=True)
class _Choice:
    """Positions and names of the chosen columns, the inputs in order and the target last."""

    positions: tuple[int, ...]
    names: tuple[str, ...]


def read_table(
    path: str | os.PathLike[str],
    target: Column | None = None,
    inputs: Column | Sequence[Column] | None = None,
) -> Table:
    """The columns of a data file as x of shape (n, d) and y of shape (n,).

    Files are told apart by their suffix: CSV (``.csv``, ``.tsv``, ``.txt``, ``.dat``; UTF-8; with
    or without a line of names; comma, semicolon, tab or blanks between cells), NPZ (one 2-D array,
    or 1-D and 2-D arrays of which a 2-D ``x`` gives columns ``x0``, ``x1``, …) and Parquet (needs
    pyarrow). ``-`` reads CSV from standard input.

    A column is named, or counted from 0 (``"3"``, ``3``; ``-1`` is the last); a name wins over a
    position. ``inputs`` is a sequence of columns or one string, ``"x0,x1"``. By default the target
    is the column ``y`` if there is one and else the last, and the rest are inputs. Columns not
    chosen are not read and may hold anything.

    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp(), "data.csv")
    >>> _ = file.write_text("y,x0,x1\\n1,2,3\\n4,5,6\\n")
    >>> table = read_table(file)
    >>> table.input_names, table.y
    (('x0', 'x1'), array([1., 4.]))

    Raises :class:`~identkit.errors.InputError` for a file that cannot be read, a column that does
    not exist, and a cell that is not a finite number (with its line and column).
    """
    if os.fspath(path) == "-":
        return _read_csv("standard input", _standard_input(), target, inputs)
    path = Path(path)
    label, suffix = str(path), path.suffix.lower()
    try:
        if not path.exists():
            raise InputError(f"{label}: there is no such file; check the path.")
        if path.is_dir():
            raise InputError(f"{label}: is a directory; name a file in it.")
        if suffix not in SUFFIXES:
            found = f"the suffix '{suffix}' is not known" if suffix else "the name has no suffix"
            raise InputError(f"{label}: {found}; use one of {', '.join(SUFFIXES)}.")
        if not path.is_file():
            raise InputError(f"{label}: is not a regular file; give - to read standard input.")
        if path.stat().st_size == 0:
            raise InputError(f"{label}: the file is empty; write at least one row of numbers.")
        if suffix == ".npz":
            return _read_npz(label, path, target, inputs)
        if suffix == ".parquet":
            return _read_parquet(label, path, target, inputs)
        return _read_csv(label, lambda: path.open("rb"), target, inputs)
    except OSError as error:
        reason = error.strerror or "the system gave no reason"
        raise InputError(f"{label}: cannot be read ({reason}); check the file.") from None


# -- columns ----------------------------------------------------------------------------------


def _choose(
    label: str,
    names: Sequence[str | None],
    target: Column | None,
    inputs: Column | Sequence[Column] | None,
) -> _Choice:
    """Positions of the inputs and the target among columns; None is a column without a name."""
    count = len(names)
    if count > MOST_COLUMNS:
        raise InputError(
            f"{label}: has {count:,} columns, at most {MOST_COLUMNS:,} are read; save fewer."
        )
    known: dict[str, int] = {}
    for i, name in enumerate(names):
        if name is None:
            continue
        if name in known:
            raise InputError(
                f"{label}: columns {known[name]} and {i} (counted from 0) are both named "
                f"'{name}'; rename one."
            )
        known[name] = i
    if count < 2:
        raise InputError(
            f"{label}: has only one column; a fit needs a target and at least one input, in "
            "columns separated by a comma, a semicolon, a tab or blanks."
        )
    if target is None and "y" in known:
        y = known["y"]
    else:
        y = _position(label, "target", -1 if target is None else target, known, count)
    if inputs is None:
        x = [i for i in range(count) if i != y]
    else:
        wanted = inputs.split(",") if isinstance(inputs, str) else inputs
        wanted = [wanted] if isinstance(wanted, int) else list(wanted)
        x = [_position(label, "inputs", column, known, count) for column in wanted]
    if not x:
        raise InputError("inputs: none is chosen; name at least one column.")
    chosen = []
    for i in (*x, y):
        name = names[i]
        if name is None:
            raise InputError(
                f"{label}: column {i} (counted from 0) has no name, as the row numbers that pandas "
                "writes unless index=False; name it, or choose the inputs and the target."
            )
        chosen.append(name)
    if len(set(x)) < len(x):
        repeated = next(i for n, i in enumerate(x) if i in x[:n])
        raise InputError(f"inputs: column '{names[repeated]}' is chosen twice; drop one.")
    if y in x:
        remedy = "name another --target" if target is None else "drop it from one"
        raise InputError(f"{label}: column '{names[y]}' is both the target and an input; {remedy}.")
    return _Choice((*x, y), tuple(chosen))


def _position(label: str, role: str, column: Column, known: dict[str, int], count: int) -> int:
    if isinstance(column, str):
        column = column.strip()
        if column in known:
            return known[column]
        if not re.fullmatch(r"[+-]?\d{1,9}", column, re.ASCII):
            near = difflib.get_close_matches(column, known, n=2, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}? It has" if near else "it has"
            raise InputError(f"{role}: {label} has no column '{column}'; {hint} {_listed(known)}.")
    try:
        i = int(column) if isinstance(column, str) else operator.index(column)
    except TypeError:
        raise InputError(f"{role}: {column!r} is not a column; give a name or a number.") from None
    if not -count <= i < count:
        raise InputError(
            f"{role}: {label} has no column {i}; its {count} columns are counted from 0 to "
            f"{count - 1}, or back from -1."
        )
    return i % count


def _listed(names: dict[str, int], most: int = 20) -> str:
    listed = ", ".join(islice(names, most))
    return f"{listed} and {len(names) - most} more" if len(names) > most else listed


def _finite(label: str, name: str, values: Array) -> Array:
    """The values, of shape (n,), unless one is missing or infinite."""
    finite = np.isfinite(values)
    if finite.all():
        return values
    row = int(np.argmin(finite))
    if np.isnan(values[row]):
        raise InputError(
            f"{label}: row {row} (counted from 0), column '{name}': the value is missing (NaN); "
            "fill it in or delete the row."
        )
    raise InputError(
        f"{label}: row {row} (counted from 0), column '{name}': the value is not finite "
        f"({values[row]:g}); correct it or delete the row."
    )


def _table(label: str, choice: _Choice, columns: Sequence[Array]) -> Table:
    """A table from columns of shape (n,) in the order of the choice."""
    if not len(columns[-1]):
        raise InputError(f"{label}: has columns but no rows; add at least one row of numbers.")
    checked = [_finite(label, n, c) for n, c in zip(choice.names, columns, strict=True)]
    x = np.stack(checked[:-1], axis=1)
    return Table(x, checked[-1], choice.names[:-1], choice.names[-1])


# -- CSV --------------------------------------------------------------------------------------


def _standard_input() -> Callable[[], io.BufferedIOBase | io.BytesIO]:
    """Opens what standard input holds, as often as needed: a pipe cannot be read twice."""
    if sys.stdin is None:
        raise InputError("standard input: is closed; give the path of a file.")
    raw = getattr(sys.stdin, "buffer", None)
    most = MOST_BYTES + 1
    content = raw.read(most) if raw is not None else sys.stdin.read(most).encode()
    return lambda: io.BytesIO(content)


@dataclass(frozen=True)
class _Layout:
    """How a CSV file is written: the delimiter (None: blanks), names, where the rows begin."""

    delimiter: str | None
    names: tuple[str | None, ...]
    skip: int  # lines before the first row: blank ones and the names


def _read_csv(
    label: str,
    open_binary: Callable[[], Any],
    target: Column | None,
    inputs: Column | Sequence[Column] | None,
) -> Table:
    def open_text() -> TextIO:
        return io.TextIOWrapper(open_binary(), encoding="utf-8-sig")

    _check_lengths(label, open_binary)
    try:
        with open_text() as file:
            layout = _layout(label, file)
        choice = _choose(label, layout.names, target, inputs)
        with open_text() as file:
            xy = _fast(file, layout, choice)
        if xy is None:
            with open_text() as file:
                xy = _careful(label, file, layout, choice)
    except UnicodeDecodeError:
        line = _undecodable(open_binary)
        raise InputError(
            f"{label}: line {line} is not UTF-8 text; save the file as CSV in UTF-8."
        ) from None
    except csv.Error as error:
        raise InputError(f"{label}: is not CSV ({error}); save it as CSV again.") from None
    return Table(*xy, choice.names[:-1], choice.names[-1])


def _check_lengths(label: str, open_binary: Callable[[], Any]) -> None:
    """Refuse a file, or a line in it, of a length that reading would choke on."""
    with open_binary() as file:
        size = file.seek(0, io.SEEK_END)
        if size > MOST_BYTES:
            raise InputError(
                f"{label}: has more than {MOST_BYTES:,} bytes, the most that are read; save fewer "
                "rows or columns, or give an NPZ file."
            )
        if size <= MOST_LINE:
            return
        file.seek(0)
        line = 1
        while piece := file.readline(MOST_LINE):
            if len(piece) == MOST_LINE and not piece.endswith(b"\n"):
                raise InputError(
                    f"{label}: line {line} has more than {MOST_LINE:,} bytes, the most that are "
                    "read; write one row per line."
                )
            line += 1


def _layout(label: str, file: TextIO) -> _Layout:
    blank, first = 0, ""
    for first in file:
        if first.strip():
            break
        blank += 1
    if not first.strip():
        raise InputError(f"{label}: the file is empty; write at least one row of numbers.")
    line = blank + 1
    if first.lstrip().startswith("#"):
        raise InputError(
            f"{label}: line {line} begins with '#'; delete the comment, or take the # off the "
            "names of the columns."
        )
    bare = re.sub(r'"[^"]*"?', "", first)  # a name in quotes may hold a delimiter
    delimiter = next((d for d in "\t;," if d in bare), None)
    reader = _rows(chain([first], file), delimiter)
    written = next(reader)
    cells = [cell.strip() for cell in written]
    kinds = [_kind(cell) for cell in cells]
    if "text" not in kinds:
        if len(cells) > 1 and cells == [str(i) for i in range(len(cells))]:
            raise InputError(
                f"{label}: line {line} counts {cells[0]}, …, {cells[-1]}, which may be names "
                "(pandas writes such) or data; put a name for each column in the first line."
            )
        return _Layout(delimiter, tuple(str(i) for i in range(len(cells))), blank)
    if "number" in kinds:
        i = kinds.index("text")
        raise InputError(
            f"{label}: line {line} holds numbers, but also '{_short(cells[i])}' in column {i} "
            "(counted from 0); correct that cell, or begin with a line of names, none a number."
        )
    names = tuple(None if not c or c.startswith("Unnamed: ") else c for c in cells)
    return _Layout(delimiter, names, blank + _lines([written]))


def _kind(cell: str) -> str:
    if _NUMBER.fullmatch(cell):
        return "number"
    if cell.lower() in _MISSING or _INFINITE.fullmatch(cell):
        return "missing"
    return "text"


def _rows(lines: Iterator[str], delimiter: str | None) -> Iterator[list[str]]:
    if delimiter is None:
        return (line.split() for line in lines)
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=True)


def _fast(file: TextIO, layout: _Layout, choice: _Choice) -> tuple[Array, Array] | None:
    """x and y by NumPy's parser; None where the file is not plainly rows of finite numbers.

    It accepts fewer cells than :func:`_careful`, never others, and is about twice as fast.
    """
    for _ in range(layout.skip):
        next(file)
    quote = None if layout.delimiter is None else '"'
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # no rows
            data = np.loadtxt(
                file, delimiter=layout.delimiter, comments=None, quotechar=quote, ndmin=2
            )
    except UnicodeDecodeError:
        raise
    except (ValueError, UserWarning, DeprecationWarning):
        return None
    if data.shape[1] != len(layout.names) or not np.isfinite(data).all():
        return None
    return np.take(data, choice.positions[:-1], axis=1), data[:, choice.positions[-1]].copy()


def _careful(label: str, file: TextIO, layout: _Layout, choice: _Choice) -> tuple[Array, Array]:
    """x and y from the chosen columns, row by row; raises with the line and column at fault."""
    for _ in range(layout.skip):
        next(file)
    width, chosen = len(layout.names), operator.itemgetter(*choice.positions)
    reader = _rows(file, layout.delimiter)
    line = layout.skip + 1  # of the chunk's first row
    chunks: list[Array] = []
    while rows := list(islice(reader, _CHUNK)):
        kept = [row for row in rows if not _blank(row)]
        if set(map(len, kept)) - {width}:
            raise _ragged(label, rows, line, width, layout)
        cells = list(map(chosen, kept))
        joined = ",".join(chain.from_iterable(cells))
        # float() also takes 1_000 and digits of other scripts
        plain = joined.isascii() and "_" not in joined
        try:
            values = np.array(cells, dtype=np.float64) if plain else None
        except ValueError:
            values = None
        if values is None or not np.isfinite(values).all():
            _blame(label, rows, line, choice)
            # no cell at fault: characters such as a no-break space around a number
            values = np.array([[float(c) for c in row] for row in cells])
        chunks.append(values.reshape(-1, len(choice.positions)))
        line += _lines(rows)
    if not sum(map(len, chunks)):
        raise InputError(f"{label}: has columns but no rows; add at least one row of numbers.")
    return np.concatenate([c[:, :-1] for c in chunks]), np.concatenate([c[:, -1] for c in chunks])


def _blank(row: Sequence[str]) -> bool:
    return not row or (len(row) == 1 and not row[0].strip())


def _lines(rows: Sequence[Sequence[str]]) -> int:
    """Lines of the file that rows take: a cell in quotes may hold line breaks."""
    return len(rows) + sum(cell.count("\n") for row in rows for cell in row)


def _ragged(
    label: str, rows: Sequence[Sequence[str]], line: int, width: int, layout: _Layout
) -> InputError:
    for i, row in enumerate(rows):
        if not _blank(row) and len(row) != width:
            line += _lines(rows[:i])
            separator = {None: "blanks", "\t": "tabs"}.get(layout.delimiter, layout.delimiter)
            return InputError(
                f"{label}: line {line} has {len(row)} cell{'s' * (len(row) != 1)}, but there are "
                f"{width} columns (separated by {separator}); correct that line."
            )
    raise AssertionError("no row has another length")


def _blame(label: str, rows: Sequence[Sequence[str]], line: int, choice: _Choice) -> None:
    """Raise for the first cell, in the order of lines, that is not a finite number."""
    for i, row in enumerate(rows):
        if _blank(row):
            continue
        for position, name in zip(choice.positions, choice.names, strict=True):
            cell = row[position].strip()
            if _NUMBER.fullmatch(cell) and np.isfinite(float(cell)):
                continue
            where = f"{label}: line {line + _lines(rows[:i])}, column '{name}'"
            shown = f"'{_short(cell)}'"
            if cell.lower() in _MISSING:
                what = f"{shown} stands for a missing value" if cell else "the cell is empty"
                remedy = "fill it in or delete the line"
            elif _INFINITE.fullmatch(cell):
                what, remedy = f"{shown} is not finite", "correct it or delete the line"
            elif _NUMBER.fullmatch(cell):
                what, remedy = f"{shown} is beyond the range of float64", "rescale the column"
            elif re.fullmatch(r"[+-]?\d+,\d+", cell, re.ASCII):
                what, remedy = f"{shown} has a decimal comma", "write a decimal point"
            else:
                what = f"{shown} is not a number"
                remedy = "correct it, or leave the column out of the inputs"
            raise InputError(f"{where}: {what}; {remedy}.")


def _short(cell: str, most: int = 40) -> str:
    return cell if len(cell) <= most else f"{cell[:most]}…"


def _undecodable(open_binary: Callable[[], Any]) -> int:
    """The first line, counted from 1, that is not UTF-8."""
    with open_binary() as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    raise AssertionError("every line is UTF-8")


# -- NPZ and Parquet --------------------------------------------------------------------------


def _read_npz(
    label: str, path: Path, target: Column | None, inputs: Column | Sequence[Column] | None
) -> Table:
    arrays = _npz_arrays(label, path, only_xy=target is None and inputs is None)
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
    choice = _choose(label, names, target, inputs)
    chosen = [columns[i] for i in choice.positions]
    for name, column in zip(choice.names, chosen, strict=True):
        if column.dtype.kind not in "iuf":
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
        return _table(label, choice, [np.array(c, dtype=np.float64) for c in chosen])


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


def _read_parquet(
    label: str, path: Path, target: Column | None, inputs: Column | Sequence[Column] | None
) -> Table:
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
            choice = _choose(label, names, target, inputs)
            for name in choice.names:
                kind = schema.field(name).type
                numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind)
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
    columns = []
    for name in choice.names:
        # unsafe: integers above 2^53 are rounded; a null becomes NaN, reported as missing
        column = table.column(name).cast(pa.float64(), safe=False)
        columns.append(np.array(column.to_numpy(), dtype=np.float64))
    return _table(label, choice, columns)
