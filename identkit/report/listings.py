"""``identkit experts | gates | conditions | likelihoods``: what exists, with sources."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from identkit.conditions import CONDITIONS
from identkit.experts import ACTIVATIONS, SHAPELESS, SHAPES
from identkit.expression import FUNCTIONS
from identkit.gates import GATES, described, gates_under
from identkit.likelihoods import LIKELIHOODS
from identkit.report.json_form import dumps

Rows = list[dict[str, str]]


def _experts() -> tuple[Rows, str]:
    rows = [
        {"name": name, "formula": f"φ(z) = {formula}", "shapes": ", ".join(SHAPES)}
        for name, formula in ACTIVATIONS.items()
    ]
    rows += [{"name": n, "formula": f, "shapes": ""} for n, f in SHAPELESS.items()]
    shapes = "; ".join(f"{name}: {formula}" for name, formula in SHAPES.items())
    note = (
        f'Shapes: {shapes}. Default ridge. Your own: --expr "c*atan(a*x + b)" with '
        f"+ - * / **, pi and {', '.join(FUNCTIONS)}."
    )
    return rows, note


def _gates() -> tuple[Rows, str]:
    rows = []
    every = {g.name: g for known in reversed(LIKELIHOODS) for g in gates_under(known)}
    for g in (*GATES.values(), *(g for name, g in every.items() if name not in GATES)):
        regimes = "; ".join(
            f"{r.title}{': ' * bool(r.title)}{r.meaning} → {', '.join(n for n, _ in r.conditions)}"
            for r in g.regimes
        )
        rows.append(
            {
                "name": g.name,
                "likelihood": "" if g.name in GATES else LIKELIHOODS[g.likelihood].family,
                "weight": g.formula,
                "gauge": described(g.gauges),
                "regimes": regimes,
                "source": g.source,
            }
        )
    note = (
        "The weight of an atom; f = Σ weight·h over atoms. Your own: an expression in the score "
        's = β1ᵀx + β0, such as --gate "(1 + tanh(s))/2"; begun with "normalised" it is divided by '
        "the sum over atoms. weak is checked for it (strong, if normalised); no rate is derived."
    )
    return rows, note


def _conditions() -> tuple[Rows, str]:
    rows = [
        {
            "name": c.name,
            "level": c.level,
            "functions per atom": c.formula,
            "used for": c.used_for,
            "source": c.source,
        }
        for c in CONDITIONS
    ]
    note = (
        "A condition holds when these functions of x, over k atoms with distinct generic "
        "parameters, are linearly independent for every k. Coincidence rule (not for weak): a "
        "vanishing first derivative or a relation among first derivatives is a failure; beyond "
        "that, functions that vanish are dropped and functions proportional by a factor free of "
        "x are merged, never two first derivatives with each other."
    )
    return rows, note


def _likelihoods() -> tuple[Rows, str]:
    rows = [
        {
            "name": known.name,
            "estimated": known.estimates,
            "gates": ", ".join(g.name for g in gates_under(known.name) if g.has_theory),
            "source": known.source,
        }
        for known in LIKELIHOODS.values()
    ]
    note = (
        "Theorems are under one likelihood: rates are derived for the gates listed with it, and "
        "for no other gate."
    )
    return rows, note


_LISTINGS: dict[str, Callable[[], tuple[Rows, str]]] = {
    "experts": _experts,
    "gates": _gates,
    "conditions": _conditions,
    "likelihoods": _likelihoods,
}


def terminal(kind: str) -> RenderableType:
    """One block per entry."""
    rows, note = _LISTINGS[kind]()
    blocks: list[RenderableType] = []
    for row in rows:
        head, *rest = row.items()
        grid = Table.grid(padding=(0, 1))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for key, value in rest:
            if value:
                grid.add_row(f"  {key}", value)
        blocks += [Text(head[1], style="bold"), grid]
    return Group(*blocks, Text(f"\n{note}"))


def json_text(kind: str) -> str:
    """A list of objects, schema ``identkit.list/1``."""
    rows, note = _LISTINGS[kind]()
    return dumps({"schema": "identkit.list/1", kind: rows, "note": note})
