"""docs/gates.md: gauges, interactions of routers with experts, verdicts beside published claims.

Every entry is from a check, every published one from the files of the papers.

python benchmarks/gates_page.py            writes the page (some minutes)
python benchmarks/gates_page.py --check    compares the page with what is found now
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from identkit import check, router_interactions
from identkit.architecture.records import FoundGauge
from identkit.claims import papers, statements
from identkit.claims.record import recorded
from identkit.errors import InputError
from identkit.experts import Expert, builtin
from identkit.gates import GATES, Gate, described, regime_title, resolve
from identkit.likelihoods import from_document
from identkit.report.paper_tables import beside
from identkit.report.tables import SHORT
from identkit.results import CheckResult, ConditionResult
from identkit.stated import Stated, stated
from identkit.vocabulary import Agreement

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
    "sigmoid", "softmax", "normalized-sigmoid", "input-free", "sigmoid-temperature",
    "euclidean-sigmoid", "quadratic", "monomial-quadratic", "gaussian-gate", "laplace", "cosine",
    "perturbed-cosine", "dense-to-sparse linear", "dense-to-sparse tanh", "hierarchical",
    "hierarchical-softmax-laplace", "hierarchical-laplace-laplace", "top-2",
)  # fmt: skip
SELECTING = ("top-2", "top-2-unnormalised", "top-2-biased")
LIKELIHOODS = (
    ("least-squares", None), ("gaussian", "free"), ("gaussian", "known"), ("categorical", None),
)  # fmt: skip
APART = {"cosine": {"dim": 2, "domain": [(1, 3), (1, 3)]}}
"""With one input the cosine score is a sign, and it is not defined at 0."""
MARKS = {
    Agreement.CONFIRMED: "✓",
    Agreement.CONTRADICTED: "contradicted",
    Agreement.PREMISE_FAILS: "premise fails",
}
"""What is derived beside what is published; anything else is open."""


class Notes:
    """Texts numbered in the order of their first use."""

    def __init__(self) -> None:
        self.texts: dict[str, int] = {}

    def mark(self, texts: Iterable[str]) -> str:
        """The numbers of these notes, raised; empty without any."""
        numbers = [self.texts.setdefault(t, len(self.texts) + 1) for t in texts]
        return f"<sup>{', '.join(map(str, sorted(numbers)))}</sup>" if numbers else ""


def page() -> Iterator[str]:
    """The lines of the page."""
    yield from (
        "# Gates",
        "",
        "Made by `benchmarks/gates_page.py`: every entry is what `identkit check` proves with",
        "one input on [-3, 3] (two on [1, 3]² for the cosine gate), seed 0. What rates suppose is",
        "in the notes, and in `identkit gates NAME`. ° holds on an open set of parameters.",
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
    yield from read()
    yield from verdicts()


def read() -> Iterator[str]:
    """What was read of each paper, and how much of it is compared."""
    status = {c.id: c.status for c in recorded()}
    yield from (
        "",
        "## Papers",
        "",
        "What was read of each, where it is known to be less than all; its claims on experts (how",
        "many), its statements of gates with the status of their checks, and how many statements",
        "are not compared: `identkit table --paper NUMBER` prints all of them, beside what is",
        "derived, and why one is not compared.",
        "",
        "| paper | about | read | claims | statements | not compared |",
        "|---|---|---|---|---|---|",
    )
    for said in papers().values():
        rates = [f"{rate['id']}-rate" for rate in said["rates"]]
        others = [*rates, *(s["id"] for s in said.get("statements", ()))]
        listed = "; ".join(f"`{name}`: {status[name]}" for name in others) or "–"
        yield (
            f"| {said['paper']} | {_cell(said['about'])} | {said.get('read', '–')} "
            f"| {len(said['claims'])} | {listed} | {len(said['unchecked'])} |"
        )


def verdicts() -> Iterator[str]:
    """What is published, certified and derived, a table for each likelihood, and the notes."""
    notes = Notes()
    yield from (
        "",
        "## Verdicts",
        "",
        "Each entry: is the condition of the gate's theorem certified; is an over-specified atom",
        "nondegenerate; the rate derived (`none`: no consistent estimator). Then what a paper",
        "states of this expert, and whether it agrees (✓) with both verdict and rate or is",
        "contradicted; nothing: not stated, in what was read. The second column has what papers",
        "state of the gate as such. Numbers are notes: the hypotheses of the theorem behind a",
        "rate, besides the regime, and the statements. Cosine: two inputs, each in [1, 3]. A gate",
        "without a theorem under a likelihood is left out there; `top-2` has none under any, and",
        "only its condition is decided.",
        "",
    )
    experts = [(name, shape) for name, shape in EXPERTS[:9]]
    for likelihood, variance in LIKELIHOODS:
        labels = (builtin(name, shape, 1).label for name, shape in experts)
        yield from (
            f"### {title(likelihood, variance)}",
            "",
            f"| gate | published of it | {' | '.join(labels)} |",
            f"|---|---|{'---|' * len(experts)}",
        )
        for gate in _under(likelihood, variance):
            found = [asked(name, shape, gate) for name, shape in experts]
            said = _cell(published(gate, notes))
            for regime in dict.fromkeys(r.regime for r in found[0].results):
                heading = f"`{gate.name}` {regime_title(regime)}".rstrip()
                cells = (entry(of_regime(f, regime), notes) for f in found)
                yield f"| {heading} | {said} | {' | '.join(cells)} |"
        yield ""
    yield from ("### Notes", "")
    yield from (f"{number}. {_cell(text)}" for text, number in notes.texts.items())


def title(likelihood: str, variance: str | None) -> str:
    """The heading of a table."""
    return likelihood if variance is None else f"{likelihood}, variance {variance}"


def asked(name: str, shape: str | None, gate: Gate) -> CheckResult:
    """One expert under one gate."""
    how = APART.get(gate.name, {"dim": 1})
    rest = {key: value for key, value in how.items() if key != "dim"}
    return check(builtin(name, shape, how["dim"]), gate, **rest)


def of_regime(found: CheckResult, regime: object) -> ConditionResult:
    """The result for the condition that the regime's theorem asks for first."""
    return next(r for r in found.results if r.regime == regime)


def entry(result: ConditionResult, notes: Notes) -> str:
    """Certified, nondegenerate and rate; what is published; the numbers of the caveats."""
    second, rate = result.second_order, result.rate
    open_set = second is not None and second.quantifier == "open-set"
    text = f"{result.verdict}, {result.nondegenerate or '–'}{'°' * open_set}"
    under: tuple[str, ...] = ()
    if rate is not None:
        text += f", {SHORT.get(rate.derived, rate.derived)}"
        under = next(s.caveats for s in result.rates if s.basis == "derived")
    return f"{_cell(text)}{notes.mark(under)}{_cell(beside_published(result))}"


def beside_published(result: ConditionResult) -> str:
    """What is published of the expert, with whether it agrees; empty where nothing is."""
    said, rate = result.published, result.rate
    if said is None:
        return ""
    met = [result.agreement, Agreement.UNDECIDED if rate is None else rate.agreement]
    order = (Agreement.CONTRADICTED, Agreement.PREMISE_FAILS)
    against = [a for a in order if a in met]
    agreed = against[0] if against else met[0] if len(set(met)) == 1 else Agreement.OPEN
    return f"; published {said.verdict}, {said.rate}: {MARKS.get(agreed, 'open')}"


def published(gate: Gate, notes: Notes) -> str:
    """What papers state of the gate under its likelihood, each statement with a note.

    A statement that compares two gates is listed at the one that is stated to be the faster.
    """
    parts = []
    for said in statements():
        found = stated(said, 1) if about(said) == (gate.name, gate.likelihood) else None
        if found is not None:
            parts.append(
                f"`{said['id']}`: {MARKS.get(found.agreement, 'open')}"
                f"{notes.mark([note(said, found)])}"
            )
    return "; ".join(parts) or "–"


def about(said: dict) -> tuple[str | None, str]:
    """(gate, likelihood) that a statement is listed at."""
    of = said.get("gauge") or said.get("every") or said.get("pairs", [[{}]])[0][0]
    return of.get("gate"), from_document(of.get("likelihood")).name


def note(said: dict, found: Stated) -> str:
    """A statement, its source and what is derived beside it."""
    return "; ".join([f"`{said['id']}` ({said['source']}): {said['statement']}", *beside(found)])


def _under(likelihood: str, variance: str | None) -> list[Gate]:
    """The gates of a table: those with a theorem under the likelihood, and top-2."""
    return [gate for name in SHOWN for gate in _known(name, likelihood, variance)]


def _known(name: str, likelihood: str, variance: str | None) -> Iterator[Gate]:
    try:
        gate = resolve(name, likelihood, variance)
    except InputError:  # input-free weights, of which nothing is known under least squares
        return
    if gate.has_theory or (name == "top-2" and likelihood != "categorical"):
        yield gate


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
