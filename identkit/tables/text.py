"""Tables in CSV: how a file is written, its cells as numbers, and which line is at fault.

NumPy's parser reads what is plainly rows of finite numbers, another one everything else.
"""

from __future__ import annotations

import csv
import io
import operator
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, TextIO

import numpy as np

from identkit.errors import InputError
from identkit.tables.columns import (
    MOST_BYTES,
    Array,
    Choice,
    Table,
    Wanted,
    choose,
    split,
)

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_MISSING = {"", "na", "n/a", "nan", "+nan", "-nan", "null", "none", "?"}
_CHUNK = 8192  # CSV rows converted at a time
MOST_LINE = 2**24
"""Longest line of a CSV file, in bytes."""


def standard_input() -> Callable[[], io.BufferedIOBase | io.BytesIO]:
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


def read_csv(
    label: str,
    open_binary: Callable[[], Any],
    wanted: Wanted,
) -> Table:
    def open_text() -> TextIO:
        return io.TextIOWrapper(open_binary(), encoding="utf-8-sig")

    _check_lengths(label, open_binary)
    try:
        with open_text() as file:
            layout = _layout(label, file)
        choice = choose(label, layout.names, wanted)
        with open_text() as file:
            xy = _fast(file, layout, choice)
        if xy is None:
            with open_text() as file:
                xy = _careful(label, file, layout, choice, wanted.classes)
    except UnicodeDecodeError:
        line = _undecodable(open_binary)
        raise InputError(
            f"{label}: line {line} is not UTF-8 text; save the file as CSV in UTF-8."
        ) from None
    except csv.Error as error:
        raise InputError(f"{label}: is not CSV ({error}); save it as CSV again.") from None
    return split(label, choice, *xy, classes=wanted.classes)


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


def _fast(file: TextIO, layout: _Layout, choice: Choice) -> tuple[Array, Array] | None:
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


def _careful(
    label: str, file: TextIO, layout: _Layout, choice: Choice, classes: bool
) -> tuple[Array, Any]:
    """x and y from the chosen columns, row by row; raises with the line and column at fault.

    Of ``classes`` y is numbers if all cells are, else texts.
    """
    for _ in range(layout.skip):
        next(file)
    width, chosen = len(layout.names), operator.itemgetter(*choice.positions)
    reader = _rows(file, layout.delimiter)
    line = layout.skip + 1  # of the chunk's first row
    chunks: list[Array] = []
    labels: list[str] = []
    while rows := list(islice(reader, _CHUNK)):
        kept = [row for row in rows if not _blank(row)]
        if set(map(len, kept)) - {width}:
            raise _ragged(label, rows, line, width, layout)
        cells = list(map(chosen, kept))
        if classes:
            labels += [row[-1].strip() for row in cells]
            # a stand-in that is finite: what is no number in a target of classes is no fault
            cells = [
                (*row[:-1], row[-1] if _kind(row[-1].strip()) == "missing" else "0")
                for row in cells
            ]
        joined = ",".join(chain.from_iterable(cells))
        # float() also takes 1_000 and digits of other scripts
        plain = joined.isascii() and "_" not in joined
        try:
            values = np.array(cells, dtype=np.float64) if plain else None
        except ValueError:
            values = None
        if values is None or not np.isfinite(values).all():
            _blame(label, rows, line, choice, classes)
            # no cell at fault: characters such as a no-break space around a number
            values = np.array([[float(c) for c in row] for row in cells])
        chunks.append(values.reshape(-1, len(choice.positions)))
        line += _lines(rows)
    if not sum(map(len, chunks)):
        raise InputError(f"{label}: has columns but no rows; add at least one row of numbers.")
    x, y = (np.concatenate([c[:, part] for c in chunks]) for part in (slice(0, -1), -1))
    if not classes:
        return x, y
    numbers = all(_NUMBER.fullmatch(text) for text in labels)
    return x, np.array(labels, dtype=np.float64 if numbers else np.str_)


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


def _blame(
    label: str, rows: Sequence[Sequence[str]], line: int, choice: Choice, classes: bool
) -> None:
    """Raise for the first cell, in the order of lines, that is not a finite number, nor a class."""
    for i, row in enumerate(rows):
        if _blank(row):
            continue
        for position, name in zip(choice.positions, choice.names, strict=True):
            cell = row[position].strip()
            if _NUMBER.fullmatch(cell) and np.isfinite(float(cell)):
                continue
            if classes and position == choice.positions[-1] and _kind(cell) == "text":
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
                if position == choice.positions[-1]:
                    remedy = (
                        "correct it, or choose another target; classes are fitted by fit "
                        "--likelihood categorical"
                    )
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
