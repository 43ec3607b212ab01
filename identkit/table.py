"""``identkit table``: the published table, certified row by row; or that of one paper."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from identkit import __version__
from identkit.checking import check
from identkit.claims import as_published, covers, of_cells, papers
from identkit.claims.listing import Entry, list_claims
from identkit.degeneracy.rate import agreement
from identkit.errors import InputError
from identkit.experts import ACTIVATIONS, Expert, builtin
from identkit.gates import Gate, gates_under
from identkit.gates import resolve as resolve_gate
from identkit.likelihoods import LEAST_SQUARES, from_document
from identkit.likelihoods import resolve as resolve_likelihood
from identkit.results import CheckResult, ConditionResult, Published
from identkit.stated import Stated, stated
from identkit.vocabulary import PremiseVerdict

ROWS: tuple[tuple[str, str | None], ...] = (
    *((name, "ridge") for name in ACTIVATIONS),
    ("gelu", "nobias"),
    ("relu", "ffn"),
    ("gelu", "ffn"),
    ("linear", None),
    ("poly2", None),
    ("poly3", None),
    ("input-free", None),
)
"""Built-in experts of the table; a user's own expert goes through ``check``."""


@dataclass(frozen=True)
class TableRow:
    """One expert under every (gate, regime)."""

    expert: str
    checks: tuple[CheckResult, ...]

    @property
    def cells(self) -> tuple[tuple[str, ConditionResult], ...]:
        """(gate, result) in column order."""
        return tuple((c.gate, r) for c in self.checks for r in c.results)


@dataclass(frozen=True)
class Table:
    """Experts × (gate, regime)."""

    version: str
    dim: int
    seed: int
    rows: tuple[TableRow, ...]


def table(
    dim: int = 2,
    *,
    gates: Sequence[Gate | str] | None = None,
    likelihood: str | None = None,
    variance: str | None = None,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Table:
    """Certify every built-in expert under every gate of these: by default those with the score
    β1ᵀx + β0 that are known under the ``likelihood``.

    Raises InputError for a bad ``dim`` and for a gate that is not known.
    """
    known = gates_under(resolve_likelihood(likelihood or LEAST_SQUARES, variance).name)
    usual = [g for g in known if g.is_affine and g.has_theory]
    chosen = usual if gates is None else [resolve_gate(g, likelihood, variance) for g in gates]
    rows = []
    for name, shape in ROWS:
        expert = builtin(name, shape, dim)
        checks = tuple(check(expert, gate, seed=seed, progress=progress) for gate in chosen)
        rows.append(TableRow(expert.label, checks))
    return Table(__version__, dim, seed, tuple(rows))


@dataclass(frozen=True)
class PaperRow:
    """One expert that a published claim speaks of: the claim beside what a check found.

    ``claim`` is its id, ``source`` its place. The one result of ``check`` is compared with this
    claim, whatever other papers say of the same question. ``cells``: for which cells the rate is
    stated, None for all.
    """

    claim: str
    source: str
    check: CheckResult
    cells: str | None

    @property
    def result(self) -> ConditionResult:
        """What was found, beside the claim."""
        return self.check.results[0]

    @property
    def published(self) -> Published:
        """What the paper states."""
        assert self.result.published is not None
        return self.result.published


@dataclass(frozen=True)
class PaperTable:
    """What one paper states of experts, certified.

    ``observed`` are its other statements (rates of other quantities, on data; of gates; of one
    model beside another) with the recorded status of their checks, ``stated`` what is derived
    beside some of them; ``unchecked`` what identkit does not compare, each with why. ``read`` says
    what of the paper was read, where that is less than all.
    """

    version: str
    dim: int
    seed: int
    paper: str
    about: str
    rows: tuple[PaperRow, ...]
    observed: tuple[Entry, ...]
    unchecked: tuple[Entry, ...]
    stated: tuple[Stated, ...] = ()
    read: str = ""


def paper_table(
    paper: str, dim: int = 2, *, seed: int = 0, progress: Callable[[str], None] | None = None
) -> PaperTable:
    """Certify every claim of one paper about built-in experts.

    ``paper`` is its number at arXiv. Raises InputError for one of which no claims are here, and for
    a bad ``dim``.
    """
    said = papers().get(paper.lower().removeprefix("arxiv").strip(" :"))
    if said is None:
        raise InputError(
            f"--paper {paper}: no claims of this paper are here; use one of {', '.join(papers())}."
        )
    rows = tuple(
        _compared(claim, expert, seed, progress)
        for claim in said["claims"]
        for expert in members(claim, dim)
    )
    beside = said.get("statements", [])
    derived = (stated(entry, dim, seed=seed, progress=progress) for entry in beside)
    checked = {f"{rate['id']}-rate" for rate in said["rates"]} | {entry["id"] for entry in beside}
    unchecked = {entry["id"] for entry in said["unchecked"]}
    listed = list_claims()
    return PaperTable(
        __version__,
        dim,
        seed,
        said["paper"],
        said["about"],
        rows,
        tuple(e for e in listed if e.claim.id in checked),
        tuple(e for e in listed if e.claim.id in unchecked),
        tuple(s for s in derived if s is not None),
        said.get("read", ""),
    )


def members(claim: dict, dim: int) -> Iterator[Expert]:
    """The experts of the table that a claim speaks of."""
    experts = (builtin(name, shape, dim) for name, shape in ROWS)
    return (expert for expert in experts if covers(claim, expert))


def _compared(
    claim: dict, expert: Expert, seed: int, progress: Callable[[str], None] | None
) -> PaperRow:
    found = check(
        expert,
        claim["gate"],
        likelihood=from_document(claim.get("likelihood")).name,
        regime=claim["regime"],
        condition=claim["condition"],
        level=claim["level"],
        seed=seed,
        progress=progress,
    )
    (result,), said = found.results, as_published(claim)
    rate, premise = result.rate, result.premise
    if rate is not None:
        fails = premise is not None and premise.verdict == PremiseVerdict.FAILS
        agreed = agreement(said.rate, rate.derived, fails, said.cells)
        rate = replace(rate, published=said.rate, agreement=agreed)
    result = replace(result, published=said, rate=rate)
    found = replace(found, results=(result,))
    cells = None if said.cells is None else of_cells(said.cells)
    return PaperRow(claim["id"], claim["source"], found, cells)
