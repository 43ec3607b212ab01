"""Data as users of Python give them: a file, a table, or arrays."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from identkit.errors import InputError
from identkit.mixing import real_array
from identkit.tables import read_table
from identkit.tables.columns import Column, Table

Data = str | os.PathLike[str] | Table | tuple[ArrayLike, ArrayLike]


def table_of(
    data: Data, target: Column | None, inputs: Column | Sequence[Column] | None
) -> tuple[Table, str]:
    """The table of a file, of itself or of a pair of arrays (n, d) and (n,), and what to call it.

    Raises :class:`~identkit.errors.InputError` for shapes that do not fit and as
    :func:`~identkit.tables.read_table` does.
    """
    if isinstance(data, tuple):
        x, y = real_array("x", data[0]), real_array("y", data[1])
        if x.ndim != 2 or y.shape != x.shape[:1]:
            raise InputError(
                f"data: x has shape {x.shape} and y {y.shape}; they must be (n, d) and (n,)."
            )
        names = (f"x{i}" for i in range(x.shape[1])) if x.shape[1] != 1 else ("x",)
        return Table(np.ascontiguousarray(x), np.ascontiguousarray(y), tuple(names), "y"), "data"
    if isinstance(data, Table):
        return data, "data"
    return read_table(data, target, inputs), os.fspath(data)
