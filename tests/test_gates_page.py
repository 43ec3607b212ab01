"""docs/gates.md is what its script finds now."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path

import pytest

from identkit import check
from identkit.claims import claims, papers, statements
from identkit.claims.record import recorded
from identkit.gates import GATES, described, regime_title
from identkit.likelihoods import from_document
from identkit.likelihoods import resolve as resolve_likelihood

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "gates.md").read_text(encoding="utf-8")


@cache
def script():
    found = importlib.util.spec_from_file_location("page", ROOT / "benchmarks" / "gates_page.py")
    assert found is not None
    made = importlib.util.module_from_spec(found)
    assert found.loader is not None
    found.loader.exec_module(made)
    return made


@cache
def tables():
    """Likelihood's name -> rows of its table, split in cells."""
    made = script()
    whole = PAGE.partition("## Verdicts")[2].partition("### Notes")[0]
    parts = re.split(r"^### .*\n\n", whole, flags=re.M)[1:]
    assert len(parts) == len(made.LIKELIHOODS)
    rows = {}
    for question, part in zip(made.LIKELIHOODS, parts, strict=True):
        lines = [line.strip("| ").split(" | ") for line in part.splitlines() if line[:2] == "| "]
        rows[resolve_likelihood(*question).name] = lines
    return rows


@cache
def notes():
    whole = PAGE.partition("### Notes")[2]
    return {int(n): text for n, text in re.findall(r"^(\d+)\. (.*)$", whole, flags=re.M)}


def plain(cell):
    return re.sub(r"<sup>.*?</sup>", "", cell)


def numbers(cell):
    return [int(n) for n in re.findall(r"\d+", " ".join(re.findall(r"<sup>(.*?)</sup>", cell)))]


def test_every_gate_is_on_it_with_its_gauge():
    made = script()
    for gate in GATES.values():
        assert f"| `{gate.name}` | {made._cell(gate.formula)} | " in PAGE
        assert made._cell(described(gate.gauges)) in PAGE


@pytest.mark.parametrize("router", ["tanh", "linear"])
def test_a_row_of_temperatures(router):
    made = script()
    found = check("gelu", f"dense-to-sparse {router}", dim=1)
    assert f"| `{router}` | {made._cell(made._temperature(found))} |" in PAGE


@pytest.mark.parametrize("which", range(4))
def test_the_rows_are_the_gates_and_regimes(which):
    made = script()
    likelihood, variance = made.LIKELIHOODS[which]
    rows = tables()[resolve_likelihood(likelihood, variance).name]
    expected = [
        f"`{gate.name}` {regime_title(r.code)}".rstrip()
        for gate in made._under(likelihood, variance)
        for r in gate.regimes
    ]
    assert [row[0] for row in rows[1:]] == expected
    assert {len(row) for row in rows} == {len(made.EXPERTS[:9]) + 2}


@pytest.mark.parametrize("which", range(4))
def test_a_verdict_of_each_table(which):
    made = script()
    likelihood, variance = made.LIKELIHOODS[which]
    rows = tables()[resolve_likelihood(likelihood, variance).name]
    gate = made._under(likelihood, variance)[1]
    found = made.asked("tanh", "ridge", gate)
    column = rows[0].index("tanh ridge")
    for regime in dict.fromkeys(r.regime for r in found.results):
        heading = f"`{gate.name}` {regime_title(regime)}".rstrip()
        (row,) = (row for row in rows if row[0] == heading)
        own = made.Notes()
        assert plain(row[column]) == plain(made.entry(made.of_regime(found, regime), own))
        assert {notes()[n] for n in numbers(row[column])} == set(map(made._cell, own.texts))


@pytest.mark.parametrize("claim", claims(), ids=lambda claim: claim["id"])
def test_a_claim_on_an_expert_of_the_page_is_marked_as_check_agrees(claim):
    """✓ just where both the verdict and the rate of the check agree."""
    made = script()
    likelihood = from_document(claim.get("likelihood")).name
    rows = tables().get(likelihood, [[]])
    heading = f"`{claim['gate']}` {regime_title(claim['regime'])}".rstrip()
    row = next((row for row in rows if row[0] == heading), None)
    shown = [e for e in made.EXPERTS[:9] if e[0] in claim["experts"] and e[1] in claim["shapes"]]
    for name, shape in shown:
        assert row is not None
        found = made.asked(name, shape, made.resolve(claim["gate"], likelihood))
        result = made.of_regime(found, claim["regime"])
        if result.condition != claim["condition"]:
            continue
        cell = row[rows[0].index(found.expert.label)]
        assert f"published {claim['verdict']}, {claim['rate']}: " in cell
        agree = (result.agreement, result.rate.agreement)
        assert cell.endswith("✓") == (agree == ("confirmed", "confirmed"))
        assert cell.endswith("contradicted") == ("contradicted" in agree)


def test_statements_are_in_the_row_of_their_gate():
    made = script()
    for said in statements():
        gate, likelihood = made.about(said)
        if gate is None:
            continue
        (row, *_) = (row for row in tables()[likelihood] if row[0].startswith(f"`{gate}`"))
        mark, number = re.findall(rf"`{said['id']}`: ([^<]*)<sup>(\d+)</sup>", row[1])[0]
        assert said["statement"] in notes()[int(number)].replace("\\*", "*")
        status = next(c.status for c in recorded() if c.id == said["id"])
        assert (mark == "✓") == str(status).startswith("proved")
        assert (mark == "contradicted") == str(status).startswith("contradicted")


def test_notes_are_numbered_without_a_gap_and_all_are_used():
    used = {n for rows in tables().values() for row in rows for cell in row for n in numbers(cell)}
    assert used == set(notes()) == set(range(1, len(notes()) + 1))


def test_every_paper_is_on_it():
    made = script()
    assert "\n".join(made.read()) in PAGE
    for said in papers().values():
        assert f"| {said['paper']} | {made._cell(said['about'])} |" in PAGE


@pytest.mark.slow
def test_the_page_is_current():
    assert "\n".join(script().page()).rstrip() + "\n" == PAGE
