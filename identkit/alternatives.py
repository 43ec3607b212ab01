"""What to change where an expert is degenerate: nearby models, each checked before it is named."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from identkit.checking import check
from identkit.errors import IdentkitError
from identkit.experts import ACTIVATIONS, Expert, builtin
from identkit.gates import resolve
from identkit.likelihoods import LEAST_SQUARES, LIKELIHOODS
from identkit.results import CheckResult
from identkit.vocabulary import Through, Variance, Verdict

DENSITY = "gaussian"
"""The likelihood that is proposed where f alone hides an expert's parameters."""
SMOOTH = ("gelu", "tanh")
"""Activations that are proposed in the place of another one."""


@dataclass(frozen=True)
class Alternative:
    """A model that was checked and is not degenerate, ``change`` away from the one asked about.

    ``options`` are those of the command that checks it again.
    """

    change: str
    options: str
    check: CheckResult


def alternatives(
    result: CheckResult, progress: Callable[[str], None] | None = None
) -> tuple[Alternative, ...]:
    """Changes of likelihood or expert after which no regime that was asked about is degenerate.

    Empty unless some regime of ``result`` is proved degenerate. Each candidate is checked with the
    options of ``result`` and left out unless every regime in question is proved nondegenerate; the
    caveats of its rates are in its ``check``.
    """
    regimes = [r.regime for r in result.results if r.nondegenerate == Verdict.NO]
    found = []
    for change, expert, likelihood in _candidates(result) if regimes else ():
        if progress is not None:
            progress(f"instead: {change}")
        try:
            made = check(expert, result.gate, likelihood=likelihood, **vars(result.options))
        except IdentkitError:
            continue  # singular on the domain, say: no proposal
        asked = [r for r in made.results if r.regime in regimes and r.second_order is not None]
        if asked and all(r.nondegenerate == Verdict.YES for r in asked):
            found.append(Alternative(change, _options(made), made))
    return tuple(found)


def _candidates(result: CheckResult) -> Iterator[tuple[str, Expert, str]]:
    """(what changes, expert, likelihood), the smallest changes first."""
    expert, own = result.expert, LIKELIHOODS[result.likelihood]
    same = [known for known in LIKELIHOODS.values() if known.family == own.family]
    for known in same:
        if known is not own and known.variance is not None:
            yield _VARIANCE[known.variance], expert, known.name
    if expert.markers:
        return
    number = own.with_classes is None and own.through is Through.VALUE
    if number and resolve(result.gate, DENSITY).has_theory:
        for known in (known for known in LIKELIHOODS.values() if known.family == DENSITY):
            if known.variance is not None and known.variance is not Variance.COMMON:
                said = _VARIANCE[known.variance]
                yield f"estimate the density of Y, {said}, not its mean", expert, known.name
    for change, text in _simpler(expert.text, expert.parameters):
        try:
            yield change, Expert.from_expression(text, dim=expert.dim), own.name
        except IdentkitError:
            continue  # nothing is left to estimate
    if expert.name in ACTIVATIONS:
        for name in SMOOTH:
            if name != expert.name:
                yield f"{name} for {expert.name}", builtin(name, expert.shape, expert.dim), own.name


_VARIANCE = {
    Variance.FREE: "a variance for each atom",
    Variance.COMMON: "one variance for all atoms",
    Variance.KNOWN: "known variances",
}


def _simpler(text: str, parameters: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """(change, expression) without one output bias or factor, and without all of them.

    >>> list(_simpler("c*tanh(a*x) + b", ("a", "b", "c")))[-1]
    ('no output bias b, c fixed at 1', 'tanh(a * x)')
    """
    steps: list[str] = []
    try:
        yield from _without(text, parameters)
        while found := next(iter(_without(text, parameters)), None):
            steps.append(found[0])
            text = found[1]
    except RecursionError:  # ast nests sums of hundreds of terms too deep to write them
        return
    if len(steps) > 1:
        yield ", ".join(steps), text


def _without(text: str, parameters: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """(change, the expression after it) for each output bias and each factor of all.

    >>> list(_without("c*tanh(a*x) + b", ("a", "b", "c")))
    [('no output bias b', 'c * tanh(a * x)')]
    """
    tree = ast.parse(text, mode="eval").body
    for change, operator in (("no output bias {}", ast.Add), ("{} fixed at 1", ast.Mult)):
        parts = _parts(tree, operator)
        names = [p.id if isinstance(p, ast.Name) else "" for p in parts]
        for i, name in enumerate(names):
            rest = [p for j, p in enumerate(parts) if j != i]
            used = {n.id for p in rest for n in ast.walk(p) if isinstance(n, ast.Name)}
            if name in parameters and rest and name not in used:
                joined = rest[0]
                for part in rest[1:]:
                    joined = ast.BinOp(joined, operator(), part)
                yield change.format(name), ast.unparse(joined)


def _parts(tree: ast.expr, operator: type[ast.operator]) -> list[ast.expr]:
    """The terms of a sum or the factors of a product, in order."""
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, operator):
        return [*_parts(tree.left, operator), *_parts(tree.right, operator)]
    return [tree]


def _options(made: CheckResult) -> str:
    """The arguments of ``identkit check`` that make this check."""
    expert = made.expert
    if expert.name == "custom":
        shown = f'--expr "{expert.written}"'
        shown += "" if expert.dim == 1 else f" --dim {expert.dim}"
    else:
        shape = "" if expert.shape is None else f" --shape {expert.shape}"
        shown = f"--expert {expert.name}{shape} --dim {expert.dim}"
    own = LIKELIHOODS[made.likelihood]
    named = "" if own.name == LEAST_SQUARES else f" --likelihood {own.family}"
    named += "" if own.variance is None else f" --variance {own.variance}"
    return f"{shown} --gate {made.gate}{named}"
