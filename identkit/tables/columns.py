"""Columns of a data file: which are the inputs and the target, and what their cells may be."""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from identkit.errors import InputError

Array = NDArray[np.float64]
Column = str | int

MOST_BYTES = 2**30
"""Largest table, in bytes of memory or of text."""
MOST_COLUMNS = 100_000


@dataclass(frozen=True, eq=False)
class Table:
    """Samples from a file: ``x`` of shape (n, d) and ``y`` of shape (n,), float64 and finite.

    ``input_names`` are the d names of the columns of ``x``, ``target_name`` that of ``y``; a
    column without a name is called by its position, counted from 0. ``weight`` (n,), at least 0,
    are weights of the samples, None for equal ones. Where the target is a class, ``classes`` are
    their names, in order, and ``y`` their numbers from 0.
    """

    x: Array
    y: Array
    input_names: tuple[str, ...]
    target_name: str
    weight: Array | None = None
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """n, the number of samples."""
        return len(self.y)

    @property
    def dim(self) -> int:
        """d, the number of inputs."""
        return self.x.shape[1]

    def rows(self, which: NDArray[np.intp]) -> Table:
        """The table of some rows."""
        weight = None if self.weight is None else self.weight[which].copy()
        return replace(self, x=self.x[which].copy(), y=self.y[which].copy(), weight=weight)


@dataclass(frozen=True)
class Wanted:
    """Which columns are asked for; see :func:`identkit.tables.read_table`.

    ``if_there``: the target may be missing, where the first input stands in for it. ``classes``:
    the target names classes, in texts or numbers.
    """

    target: Column | None = None
    inputs: Column | Sequence[Column] | None = None
    weights: Column | None = None
    mentioned: Collection[str] = ()
    if_there: bool = False
    classes: bool = False


@dataclass(frozen=True)
class Choice:
    """Positions and names of the chosen columns, the inputs in order and the target last.

    Before the target stand the weights, if it is ``weighted``.
    """

    positions: tuple[int, ...]
    names: tuple[str, ...]
    weighted: bool = False


def choose(
    label: str,
    names: Sequence[str | None],
    wanted: Wanted,
) -> Choice:
    """Positions of the inputs and the target among columns; None is a column without a name."""
    target, inputs = wanted.target, wanted.inputs
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
    if wanted.if_there and inputs is not None:
        return _if_there(label, names, str(target or ""), _listing(inputs), known)
    if count < 2:
        raise InputError(
            f"{label}: has only one column; a fit needs a target and at least one input, in "
            "columns separated by a comma, a semicolon, a tab or blanks."
        )
    if target is None and "y" in known:
        y = known["y"]
    else:
        y = _position(label, "target", -1 if target is None else target, known, count)
    w = None
    if wanted.weights is not None:
        w = _position(label, "weights", wanted.weights, known, count)
        if w == y:
            raise InputError(
                f"{label}: column '{names[y]}' is both the target and the weights; choose another."
            )
    if inputs is None:
        others = [i for i in range(count) if i not in (y, w)]
        x = [i for i in others if names[i] in wanted.mentioned] or others
    else:
        x = [_position(label, "inputs", column, known, count) for column in _listing(inputs)]
    if not x:
        raise InputError("inputs: none is chosen; name at least one column.")
    chosen = []
    weights = () if w is None else (w,)
    for i in (*x, *weights, y):
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
    if w in x:
        raise InputError(
            f"{label}: column '{names[w]}' is both an input and the weights; drop it from one."
        )
    return Choice((*x, *weights, y), tuple(chosen), bool(weights))


def _if_there(
    label: str,
    names: Sequence[str | None],
    target: str,
    inputs: Sequence[Column],
    known: dict[str, int],
) -> Choice:
    """The inputs, and the target if there is such a column that is none of them."""
    missing = [c for c in inputs if isinstance(c, str) and c not in known and not _counted(c)]
    if len(missing) > 1:
        quoted = ", ".join(f"'{c}'" for c in missing)
        raise InputError(
            f"inputs: {label} has no columns {quoted}; it has {_listed(known)}; add "
            "them, or rename those that are meant."
        )
    x = [_position(label, "inputs", column, known, len(names)) for column in inputs]
    y = known.get(target, int(target) if _counted(target) else -1)
    chosen = (*x, y if 0 <= y < len(names) and y not in x else x[0])
    return Choice(chosen, tuple(names[i] or str(i) for i in chosen))


def _counted(column: str) -> bool:
    """Whether a name can be that of a column that has none, its position."""
    return re.fullmatch(r"\d{1,9}", column, re.ASCII) is not None


def _listing(inputs: Column | Sequence[Column]) -> list[Column]:
    wanted = inputs.split(",") if isinstance(inputs, str) else inputs
    return [wanted] if isinstance(wanted, int) else list(wanted)


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


def table_of(label: str, choice: Choice, columns: Sequence[Any], *, classes: bool = False) -> Table:
    """A table from columns of shape (n,) in the order of the choice; of classes the last."""
    if not len(columns[-1]):
        raise InputError(f"{label}: has columns but no rows; add at least one row of numbers.")
    checked = [
        c if c.dtype.kind == "U" else _finite(label, n, c)
        for n, c in zip(choice.names, columns, strict=True)
    ]
    return split(label, choice, np.stack(checked[:-1], axis=1), checked[-1], classes=classes)


def split(label: str, choice: Choice, x: Array, y: Any, *, classes: bool = False) -> Table:
    """The table of x (n, d) and y (n,), the weights being the last column of x if there are any.

    With ``classes`` y holds texts or numbers, each a class.
    """
    weight = None
    if choice.weighted:
        x, weight = np.ascontiguousarray(x[:, :-1]), x[:, -1].copy()
    if weight is not None and ((weight < 0).any() or not weight.any()):
        fault = "are all 0" if not weight.any() else f"hold {weight.min():g}"
        raise InputError(
            f"{label}: the weights in column '{choice.names[-2]}' {fault}; give numbers of at "
            "least 0, not all of them 0."
        )
    names: tuple[str, ...] = ()
    if classes:
        y, names = coded(y, f"{label}: column '{choice.names[-1]}'")
    return Table(x, y, choice.names[: x.shape[1]], choice.names[-1], weight, names)


def coded(y: NDArray[Any], label: str) -> tuple[Array, tuple[str, ...]]:
    """The numbers of the classes (n,) from 0, and their names: numbers by size, texts by letters.

    >>> coded(np.array(["b", "a", "b"]), "y")
    (array([1., 0., 1.]), ('a', 'b'))

    Raises InputError for y that is neither numbers nor texts.
    """
    if y.ndim != 1 or y.dtype.kind not in "iufbU":
        raise InputError(f"{label} holds {y.dtype.name}, no classes; give texts or numbers.")
    if y.dtype.kind == "b":
        y = y.astype(np.str_)
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise InputError(f"{label} has a value that is not finite; fill it in or delete the row.")
    found, places = np.unique(y, return_inverse=True)
    texts = found.dtype.kind == "U"
    names = tuple(str(v) if texts else repr(v).removesuffix(".0") for v in found.tolist())
    return places.reshape(-1).astype(np.float64), names
