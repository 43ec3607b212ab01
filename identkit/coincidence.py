"""The coincidence rule of theory section 2, with every step proved in normal form.

A vanishing first derivative, or a linear relation among first derivatives, is a failure. Beyond
that, functions that vanish identically are dropped and functions proportional by a factor free of
x are merged, never two first derivatives with each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from identkit.conditions import BasisFunction, FunctionSet
from identkit.relations import Column, Combination, FormalFamily, ModularPoint

MAX_SUSPECTS = 6
"""Branches whose subsets are gone through."""


@dataclass(frozen=True)
class Merge:
    """Function ``index`` is a multiple, free of x, of function ``into``; ``proof`` is Σ c·g = 0."""

    index: int
    into: int
    proof: Combination


@dataclass(frozen=True)
class Coincidences:
    """What the rule leaves: ``kept`` is to be tested; a ``failure`` decides the condition."""

    kept: tuple[int, ...]
    dropped: tuple[int, ...]
    merges: tuple[Merge, ...]
    failure: Combination | None


def apply_rule(family: FormalFamily, columns: list[Column], functions: FunctionSet) -> Coincidences:
    """Apply the rule to one atom's functions (indices as in ``functions.functions``)."""
    basis = functions.functions
    zero = [i for i in range(len(basis)) if family.is_zero(i)]
    for i in zero:
        if basis[i].first:
            return Coincidences((), (), (), Combination({i: family.field.one}))
    if not functions.coincidence:
        live = tuple(i for i in range(len(basis)) if i not in zero)
        return Coincidences(live, tuple(zero), (), None)
    kept: list[int] = []
    merges: list[Merge] = []
    live = [i for i in range(len(basis)) if i not in zero]
    for group in _candidates(family, columns, live).values():
        outcome = _merge_group(family, columns, basis, group)
        if isinstance(outcome, Combination):
            return Coincidences((), (), (), outcome)
        kept += outcome[0]
        merges += outcome[1]
    return Coincidences(tuple(sorted(kept)), tuple(zero), tuple(merges), None)


def distinct_on_every_branch(
    family: FormalFamily, columns: list[Column], functions: FunctionSet, related: Sequence[int]
) -> bool:
    """Whether the ``related`` functions stay distinct whatever branches occur at a parameter.

    :func:`apply_rule` looks at all branches of the kinks at once. For an open set of parameters
    only some of them may be met, and functions may coincide on those: a relation among them is no
    failure there. Where a first derivative vanishes on them there is a failure all the same.
    True is a proof, up to what balls have to show (see ``are_distinct``); False says nothing.
    """
    basis = functions.functions
    first = [i for i, f in enumerate(basis) if f.first]

    def distinct(occurring: tuple[int, ...]) -> bool:
        own = [{row: terms for row, terms in c.items() if row[0] in occurring} for c in columns]
        groups = _candidates(family, own, related)
        return len(groups) == len(related) and not any(key[0] == "zero" for key in groups)

    def fails(occurring: tuple[int, ...]) -> bool:
        return any(all(family.branches[n].elements[i].is_zero for n in occurring) for i in first)

    # on more branches functions are distinct if they are on one of them
    suspects = [n for n in range(len(family.branches)) if not distinct((n,))]
    if len(suspects) > MAX_SUSPECTS:
        return False
    return all(
        fails(occurring) or distinct(occurring)
        for size in range(1, len(suspects) + 1)
        for occurring in combinations(suspects, size)
    )


def coincide_for(family: FormalFamily, columns: list[Column], kept: Sequence[int]) -> str:
    """Signs of parameters for which functions coincide that are distinct elsewhere; "" if none.

    Seen modulo a prime: a reason for which a determinant vanishes, not a proof.
    """
    field = family.field
    alone = {k for k, p in field.sign_polys.items() if not field.depends(field.occurring(p))[0]}
    for signs, inside in family.cells(alone.__contains__) if alone else ():
        own = [{row: terms for row, terms in c.items() if row[0] in inside} for c in columns]
        if len(_candidates(family, own, kept)) < len(kept):
            return ", ".join(f"{key} {'>' if sign > 0 else '<'} 0" for key, sign in signs.items())
    return ""


def _candidates(
    family: FormalFamily, columns: list[Column], live: Sequence[int]
) -> dict[tuple, list[int]]:
    """Groups of functions proportional at a random point modulo a prime: only these can be.

    A function that is 0 there is a group of its own, with the key ("zero", its index).
    """
    point = ModularPoint(family.field)
    groups: dict[tuple, list[int]] = {}
    for i in live:
        values = {row: point.value(terms) for row, terms in columns[i].items()}
        nonzero = sorted((row, v) for row, v in values.items() if v)
        if not nonzero:
            groups["zero", i] = [i]
            continue
        scale = pow(nonzero[0][1], -1, point.prime)
        key = tuple((row, v * scale % point.prime) for row, v in nonzero)
        groups.setdefault(key, []).append(i)
    return groups


def _merge_group(
    family: FormalFamily,
    columns: list[Column],
    basis: tuple[BasisFunction, ...],
    group: list[int],
) -> Combination | tuple[list[int], list[Merge]]:
    """Merge a group into its first derivative (or its first member), by proof."""
    group = sorted(group, key=lambda i: (not basis[i].first, i))
    into, kept, merges = group[0], [group[0]], []
    for i in group[1:]:
        proof = family.proportional(columns, i, into)
        if proof is None:
            kept.append(i)
        elif basis[i].first and basis[into].first:
            return proof
        else:
            merges.append(Merge(i, into, proof))
    return kept, merges
