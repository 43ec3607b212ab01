"""docs/gates.md: gauges, interactions of routers with experts, and verdicts, each from a check.

python benchmarks/gates_page.py            writes the page (some minutes)
python benchmarks/gates_page.py --check    compares the page with what is found now
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from identkit import check, router_interactions
from identkit.architecture.records import FoundGauge
from identkit.experts import Expert, builtin
from identkit.gates import GATES, Gate, described, resolve
from identkit.results import CheckResult

PAGE = Path(__file__).parent.parent / "docs" / "gates.md"
ROUTERS = (
    "linear", "relu", "Max(w*x, w*x/10)", "(w*x)**2", "exp-bias", "-(x - w)**2",
    "tanh", "gelu", "sigmoid", "softplus", "exp", "tanh-bias",
)  # fmt: skip
EXPERTS = (
    ("relu", "ridge"), ("gelu", "ridge"), ("tanh", "ridge"), ("relu", "ffn"), ("gelu", "ffn"),
    ("tanh", "ffn"), ("linear", None), ("poly2", None), ("input-free", None), ("sin", "ridge"),
)  # fmt: skip
SHOWN = (
    "softmax", "quadratic", "monomial-quadratic", "gaussian-gate", "laplace", "perturbed-cosine",
    "dense-to-sparse tanh", "hierarchical", "hierarchical-softmax-laplace", "normalized-sigmoid",
    "sigmoid-temperature", "euclidean-sigmoid",
)  # fmt: skip
SELECTING = ("top-2", "top-2-unnormalised", "top-2-biased")
LIKELIHOODS = (("least-squares", None), ("gaussian", "free"), ("gaussian", "known"))


def page() -> Iterator[str]:
    """The lines of the page."""
    yield from (
        "# Gates",
        "",
        "Made by `benchmarks/gates_page.py`: every entry is what `identkit check` proves with",
        "one input on [-3, 3] (cosine needs two and is left out), seed 0. What rates suppose is",
        "said by `identkit gates NAME`. ° holds on an open set of parameters.",
        "",
        "## Gauges",
        "",
        "| gate | weight | gauge |",
        "|---|---|---|",
    )
    for gate in (*GATES.values(), *map(resolve, SELECTING)):
        yield f"| `{gate.name}` | {_cell(gate.formula)} | {_cell(described(gate.gauges))} |"
    yield from (
        "",
        "Temperature under dense-to-sparse, found for each router (κ = 1/τ of all atoms):",
        "",
        "| router | gauge that moves κ |",
        "|---|---|",
    )
    for router in ROUTERS:
        found = check("gelu", f"dense-to-sparse {router}", dim=1)
        yield f"| `{_cell(router)}` | {_cell(_temperature(found))} |"
    yield from (
        "",
        "## Router and expert",
        "",
        "What `identkit interactions` finds of one atom, gauges removed: whether a relation holds",
        "of ∂_v h, ∂_v∂_w h and ∂_u π·∂_v h with a product in it, literally; whether there is one",
        "once functions that vanish are dropped and proportional ones merged; whether the two are",
        "nondegenerate at second order under least squares. An interaction is harmless there where",
        "M_ωω = 0, as under all of these routers (theory section 9).",
        "",
        f"| expert | {' | '.join(f'`{_cell(r)}`' for r in ROUTERS[:10])} |",
        f"|---|{'---|' * 10}",
    )
    for name, shape in EXPERTS:
        expert = builtin(name, shape, 1)
        row = [_interaction(expert, r) for r in ROUTERS[:10]]
        yield f"| {expert.label} | {' | '.join(row)} |"
    yield from ("", "## Verdicts", "", "Nondegenerate, and the derived rate.", "")
    for likelihood, variance in LIKELIHOODS:
        title = likelihood if variance is None else f"{likelihood}, variance {variance}"
        gates = [g for g in _under(likelihood, variance) if g.has_theory]
        yield from (
            f"### {title}",
            "",
            f"| expert | {' | '.join(f'`{g.name}`' for g in gates)} |",
            f"|---|{'---|' * len(gates)}",
        )
        for name, shape in EXPERTS[:9]:
            expert = builtin(name, shape, 1)
            yield f"| {expert.label} | {' | '.join(_verdict(expert, g) for g in gates)} |"
        yield ""


def _under(likelihood: str, variance: str | None) -> list[Gate]:
    return [resolve(name, likelihood, variance) for name in SHOWN]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


def _temperature(found: CheckResult) -> str:
    gauges: tuple[FoundGauge, ...] = found.gauges
    own = [g.action for g in gauges if g.name == "scale of κ"]
    if own:
        return "; ".join(own)
    none = [n for n in found.no_gauges if n.name == "scale of κ"]
    return "none: excluded by a determinant" if none and none[0].excluded else "not found"


def _interaction(expert: Expert, router: str) -> str:
    found = router_interactions(expert, f"dense-to-sparse {router}")
    return f"{found.literal}, {found.after_merging}, {found.nondegenerate}"


def _verdict(expert: Expert, gate: Gate) -> str:
    first = check(expert, gate).results[0]
    open_set = first.second_order is not None and first.second_order.quantifier == "open-set"
    rate = "" if first.rate is None else f", {first.rate.derived}"
    return _cell(f"{first.nondegenerate}{'°' * open_set}{rate}")


def main() -> int:
    """Write the page, or say whether it is what is found now."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    options = parser.parse_args()
    text = "\n".join(page()).rstrip() + "\n"
    if options.check:
        return int(text != PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
