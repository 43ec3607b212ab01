"""Data as users of Python give them: a file, a table, or arrays."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from identkit.errors import InputError
from identkit.mixing import real_array
from identkit.tables import read_table
from identkit.tables.columns import Column, Table, coded

Data = str | os.PathLike[str] | Table | tuple[ArrayLike, ArrayLike]


def table_of(
    data: Data,
    target: Column | None,
    inputs: Column | Sequence[Column] | None,
    *,
    classes: bool = False,
) -> tuple[Table, str]:
    """The table of a file, of itself or of a pair of arrays (n, d) and (n,), and what to call it.

    With ``classes`` y names classes, in numbers or texts.

    Raises :class:`~identkit.errors.InputError` for shapes that do not fit and as
    :func:`~identkit.tables.read_table` does.
    """
    if isinstance(data, tuple):
        x, found = real_array("x", data[0]), ()
        if classes:
            y, found = coded(np.asarray(data[1]), "y")
        else:
            y = real_array("y", data[1])
        if x.ndim != 2 or y.shape != x.shape[:1]:
            raise InputError(
                f"data: x has shape {x.shape} and y {y.shape}; they must be (n, d) and (n,)."
            )
        names = (f"x{i}" for i in range(x.shape[1])) if x.shape[1] != 1 else ("x",)
        x, y = np.ascontiguousarray(x), np.ascontiguousarray(y)
        return Table(x, y, tuple(names), "y", None, found), "data"
    if isinstance(data, Table):
        if classes and not data.classes:
            y, found = coded(data.y, f"column '{data.target_name}'")
            data = replace(data, y=y, classes=found)
        return data, "data"
    return read_table(data, target, inputs, classes=classes), os.fspath(data)
