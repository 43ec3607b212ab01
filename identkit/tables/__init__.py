"""A user's data file as arrays: columns of numbers from CSV, NPZ or Parquet.

Nothing is repaired in silence: a cell that is missing, not a number or not finite, a row of
another length or a column that cannot be told apart is an error that says where it is.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from identkit.errors import InputError
from identkit.tables.binary import read_npz, read_parquet
from identkit.tables.columns import Column, Table, Wanted
from identkit.tables.text import read_csv, standard_input

__all__ = ["CSV_SUFFIXES", "SUFFIXES", "Column", "Table", "read_table"]

CSV_SUFFIXES = (".csv", ".tsv", ".txt", ".dat")
SUFFIXES = (*CSV_SUFFIXES, ".npz", ".parquet")
"""What :func:`read_table` reads, by the end of the file's name."""


def read_table(
    path: str | os.PathLike[str],
    target: Column | None = None,
    inputs: Column | Sequence[Column] | None = None,
    *,
    weights: Column | None = None,
    mentioned: Collection[str] = (),
    classes: bool = False,
) -> Table:
    """The columns of a data file as x of shape (n, d) and y of shape (n,).

    Files are told apart by their suffix: CSV (``.csv``, ``.tsv``, ``.txt``, ``.dat``; UTF-8; with
    or without a line of names; comma, semicolon, tab or blanks between cells), NPZ (one 2-D array,
    or 1-D and 2-D arrays of which a 2-D ``x`` gives columns ``x0``, ``x1``, …) and Parquet (needs
    pyarrow). ``-`` reads CSV from standard input.

    A column is named, or counted from 0 (``"3"``, ``3``; ``-1`` is the last); a name wins over a
    position. ``inputs`` is a sequence of columns or one string, ``"x0,x1"``. By default the target
    is the column ``y`` if there is one and else the last; the inputs are those whose names are
    ``mentioned`` (in an expression, say), or the rest. ``weights`` is a column of numbers of at
    least 0, the weights of the rows. With ``classes`` the target may hold texts: y are numbers of
    its classes from 0, in the order of :attr:`Table.classes`. Columns not chosen are not read and
    may hold anything.

    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp(), "data.csv")
    >>> _ = file.write_text("y,x0,x1\\n1,2,3\\n4,5,6\\n")
    >>> table = read_table(file)
    >>> table.input_names, table.y
    (('x0', 'x1'), array([1., 4.]))

    Raises :class:`~identkit.errors.InputError` for a file that cannot be read, a column that does
    not exist, and a cell that is not a finite number (with its line and column).
    """
    return read_columns(path, Wanted(target, inputs, weights, mentioned, classes=classes))


def read_columns(path: str | os.PathLike[str], wanted: Wanted) -> Table:
    """As :func:`read_table`."""
    if os.fspath(path) == "-":
        return read_csv("standard input", standard_input(), wanted)
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
            return read_npz(label, path, wanted)
        if suffix == ".parquet":
            return read_parquet(label, path, wanted)
        return read_csv(label, lambda: path.open("rb"), wanted)
    except OSError as error:
        reason = error.strerror or "the system gave no reason"
        raise InputError(f"{label}: cannot be read ({reason}); check the file.") from None
