"""``identkit experts | gates | conditions | likelihoods``: what exists, with sources."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from identkit.conditions import CONDITIONS
from identkit.errors import InputError
from identkit.experts import ACTIVATIONS, SHAPELESS, SHAPES
from identkit.expression import FUNCTIONS
from identkit.gates import FAMILIES, GATES, Gate, described, gates_under, resolve
from identkit.layout import Block
from identkit.likelihoods import LEAST_SQUARES, LIKELIHOODS
from identkit.report.json_text import dumps

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
    families = (resolve(family.example) for family in FAMILIES)
    others = (g for name, g in every.items() if name not in GATES)
    for g in (*GATES.values(), *families, *others):
        regimes = "; ".join(
            f"{r.title}{': ' * bool(r.title)}{r.meaning} → {', '.join(n for n, _ in r.conditions)}"
            for r in g.regimes
        )
        rows.append(
            {
                "name": g.name,
                "likelihood": ""
                if g.likelihood == LEAST_SQUARES
                else LIKELIHOODS[g.likelihood].family,
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


def _gate(name: str) -> tuple[Rows, str]:
    """What is known of one gate, under each likelihood. Raises InputError for one that is none."""
    known: dict[str, Gate] = {}
    for likelihood in LIKELIHOODS:
        with suppress(InputError):
            found = resolve(name, likelihood)
            if found.adds_up or not LIKELIHOODS[likelihood].divided:
                known[likelihood] = found
    if not known:
        resolve(name)  # which says why
    gate = next(iter(known.values()))
    plane = ("x0", "x1")
    row = {
        "name": gate.name,
        "weight": gate.formula,
        "parameters": ", ".join(
            f"{b.label} ({b.name}; {_COUNTS[b.axis]}{_of(b)})" for b in gate.all_blocks
        ),
        "gauge": described(gate.gauges),
    }
    if gate.router is not None:
        row["score"] = f"β0 + π, for two inputs π = {gate.router.score(plane)}"
    said: dict[str, list[str]] = {}
    for likelihood, own in known.items():
        for r in own.regimes:
            title = f"{r.title}: " if r.title else ""
            what = ", ".join(n for n, _ in r.conditions)
            provided = [c.text for c in (*r.caveats, *(c for _, c in r.also))]
            meaning = r.meaning.removesuffix("; no rate is derived for this gate")
            text = f"{title}{meaning} → {what}; {_EXPANDED[r.order]}"
            said.setdefault("; provided ".join([text, *provided]), []).append(likelihood)
    for n, (text, under) in enumerate(said.items(), 1):
        row[f"case {n}"] = f"{', '.join(under)}: {text}"
    row["source"] = gate.source
    theory = [c for own in known.values() for r in own.regimes for c in r.rests_on]
    chosen = gate.selection
    if chosen is not None and chosen.theorem is not None:
        theory.append(chosen.theorem.claim)
        row["regions"] = f"identkit regions {gate.name} --true-atoms {chosen.count + 2}"
    row["proved"] = ", ".join(dict.fromkeys(theory))
    row["example"] = f'identkit explain --expert gelu --gate "{gate.name}" --domain 1 3'
    if LEAST_SQUARES not in known:
        row["example"] += f" --likelihood {LIKELIHOODS[gate.likelihood].family}"
    return [row], ""


_EXPANDED = {0: "no rate is derived", 1: "first order counts", 2: "second order counts"}


def _of(block: Block) -> str:
    """Whose numbers these are, where not of each atom."""
    return ", of each group" if block.per_group else "" if block.per_atom else ", of all atoms"


_COUNTS = {
    "": "one",
    "d": "one for each input",
    "t": "one for each pair of inputs",
    "r": "as the router has",
    "q": "the expert's",
}
"""The numbers of a block, by its axis."""


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


def terminal(kind: str, name: str | None = None) -> RenderableType:
    """One block per entry; of the gate ``name`` alone all that is known of it."""
    rows, note = _LISTINGS[kind]() if name is None else _gate(name)
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
    return Group(*blocks, Text(f"\n{note}")) if note else Group(*blocks)


def json_text(kind: str, name: str | None = None) -> str:
    """A list of objects, schema ``identkit.list/1``."""
    rows, note = _LISTINGS[kind]() if name is None else _gate(name)
    return dumps({"schema": "identkit.list/1", kind: rows, "note": note})
