"""The inputs of new rows, by the names that a fit gave them, and the target if it is there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from identkit.errors import InputError
from identkit.tables import Table, read_columns
from identkit.tables.columns import Wanted
from identkit.tables.text import read_csv, standard_input

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NewRows:
    """``x`` (n, d), and ``y`` (n,) where the file has the target; else ``without`` says why not.

    ``without`` is empty where the file simply has no such column.
    """

    x: Array
    y: Array | None
    without: str


def read_new_rows(
    path: str | os.PathLike[str],
    inputs: Sequence[str],
    target: str,
    classes: Sequence[str] | None = None,
) -> NewRows:
    """The columns ``inputs`` of a data file, in this order, as :func:`identkit.tables.read_table`
    reads them, ``-`` for standard input. With ``classes``, their names, y are their numbers.

    Raises :class:`~identkit.errors.InputError` as it does, and names all columns that are missing.
    """
    if os.fspath(path) == "-":
        opened = standard_input()  # a pipe cannot be read twice

        def read(wanted: Wanted) -> Table:
            return read_csv("standard input", opened, wanted)
    else:

        def read(wanted: Wanted) -> Table:
            return read_columns(path, wanted)

    try:
        wanted = Wanted(target, list(inputs), if_there=True, classes=classes is not None)
        table, without = read(wanted), ""
    except InputError as error:  # of a target that cannot be read; the inputs' own comes again
        table, without = read(Wanted(None, list(inputs), if_there=True)), str(error)
    there = table.target_name != table.input_names[0]
    y = table.y if there else None
    if y is not None and classes is not None:
        places = {name: float(i) for i, name in enumerate(classes)}
        stray = next((name for name in table.classes if name not in places), None)
        if stray is not None:
            y, without = None, f"'{stray}' in column '{target}' is none of the classes fitted."
        else:
            y = np.array([places[name] for name in table.classes])[y.astype(int)]
    return NewRows(table.x, y, without)
