"""The model of a density for a table: experts of its inputs, logits for its classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from identkit.density.model import DensityModel
from identkit.errors import InputError
from identkit.experts import MAX_COMPONENTS, Expert, builtin
from identkit.gates import Gate
from identkit.likelihoods import Likelihood
from identkit.tables import Table


def model_for(
    table: Table,
    expert: Expert | str,
    gate: Gate | str,
    likelihood: Likelihood,
    *,
    classes: int | None = None,
    shared: Expert | str | None = None,
    groups: Sequence[int] = (),
    shape: str | None = None,
) -> DensityModel:
    """The model; built-in experts by name have an input for each column of the table.

    For classes an expert of one output gets its own parameters for each logit but the last. Raises
    :class:`~identkit.errors.InputError` for experts of other inputs or classes than the table has,
    and as :meth:`DensityModel.of`.
    """
    routed = builtin(expert, shape, table.dim) if isinstance(expert, str) else expert
    beside = builtin(shared, None, table.dim) if isinstance(shared, str) else shared
    if routed.dim != table.dim:
        raise InputError(
            f"x: it has {table.dim} columns, the expert {routed.label} has {routed.dim} inputs; "
            "choose the columns or set the dimension."
        )
    _check_counted(table)
    if likelihood.with_classes is not None:
        count = _classes(table, classes)
        routed = _in_classes(routed, likelihood, count, table)
        beside = None if beside is None else _in_classes(beside, likelihood, count, table)
    elif classes is not None:
        raise InputError(
            f"--classes {classes}: a response is a number under {likelihood.family}; drop it, or "
            "use --likelihood categorical."
        )
    return DensityModel.of(routed, gate, likelihood, beside, groups=groups)


def _check_counted(table: Table) -> None:
    """Raise InputError where the rows that count are all alike, or lack a class."""
    if table.weight is None or not (table.weight > 0).any() or (table.weight > 0).all():
        return
    values = np.unique(table.y[table.weight > 0])
    name = table.target_name
    if table.classes and len(values) < len(table.classes):
        missing = next(c for i, c in enumerate(table.classes) if i not in values)
        raise InputError(
            f"column '{name}': class {missing} is in rows of weight 0 alone, so nothing says how "
            "probable it is; leave these rows out."
        )
    if len(values) == 1:
        raise InputError(
            f"column '{name}': all rows of weight above 0 hold {values[0]:g}, so there is nothing "
            "to fit; check the weights."
        )


def _classes(table: Table, given: int | None) -> int:
    """How many there are."""
    count, most = len(table.classes), MAX_COMPONENTS + 1
    if count == 1:
        raise InputError(
            f"column '{table.target_name}': all rows are of the class {table.classes[0]}, so there "
            "is nothing to fit; check the target column."
        )
    if count > most:
        raise InputError(
            f"column '{table.target_name}': it has {count:,} different values, at most {most} "
            "classes are fitted; choose a column of classes, or --likelihood gaussian for numbers."
        )
    if given is not None and given != count:
        some = ", ".join(table.classes[:5]) + (", …" if count > 5 else "")
        raise InputError(
            f"--classes {given}: column '{table.target_name}' has {count} ({some}); drop "
            "--classes, or choose another target."
        )
    return count


def _in_classes(expert: Expert, likelihood: Likelihood, count: int, table: Table) -> Expert:
    if not expert.markers:
        assert likelihood.with_classes is not None
        return likelihood.with_classes(expert, count)
    if len(expert.markers) + 1 != count:
        raise InputError(
            f"expert: '{expert.text[:60]}' has {len(expert.markers)} logits, of "
            f"{len(expert.markers) + 1} classes, but column '{table.target_name}' has {count}; "
            "write a logit for each class but the last."
        )
    return expert
