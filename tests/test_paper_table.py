"""``identkit table --paper``: each paper's claims beside what ``check`` itself finds."""

from __future__ import annotations

import copy
import json
from types import MappingProxyType

import pytest
from checked import check
from jsonschema import Draft202012Validator

import identkit
from identkit.claims import papers
from identkit.cli import main
from identkit.likelihoods import from_document
from identkit.report.json_text import schema
from identkit.table import members, paper_table

PAPERS = papers()
DEEPSEEK = "2505.10860"
WITHOUT_CLAIMS = [name for name, paper in PAPERS.items() if not paper["claims"]]
CLAIMS = [claim for paper in PAPERS.values() for claim in paper["claims"]]

pytestmark = pytest.mark.usefixtures("checks_once")


def printed(capsys, *arguments):
    assert main(["table", "--dim", "1", *arguments]) == 0
    return capsys.readouterr().out


def document(capsys, paper, *arguments):
    found = json.loads(printed(capsys, "--paper", paper, "--json", *arguments))
    Draft202012Validator(schema("paper-table-1")).validate(found)
    return found


def plain(text):
    return " ".join(text.split())


@pytest.fixture
def stated(monkeypatch):
    """Let papers state otherwise: a function of a copy of what they state, by number."""

    def otherwise(change):
        other = copy.deepcopy(dict(PAPERS))
        change(other)
        monkeypatch.setattr("identkit.table.papers", lambda: MappingProxyType(other))

    return otherwise


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim["id"])
def test_every_claim_speaks_of_some_expert_of_the_table(claim):
    assert list(members(claim, 1))


@pytest.mark.parametrize("paper", PAPERS)
def test_a_paper(paper, capsys):
    said, found = PAPERS[paper], document(capsys, paper)
    assert found["paper"] == said["paper"]
    assert list(dict.fromkeys(r["claim"] for r in found["rows"])) == [
        c["id"] for c in said["claims"]
    ]
    assert [u["claim"] for u in found["unchecked"]] == [u["id"] for u in said["unchecked"]]
    assert [u["why"] for u in found["unchecked"]] == [u["why"] for u in said["unchecked"]]
    others = {f"{r['id']}-rate" for r in said["rates"]}
    others |= {s["id"] for s in said.get("statements", ())}
    assert {o["claim"] for o in found["observed"]} == others
    assert found.get("read") == said.get("read")
    text = printed(capsys, "--paper", paper)
    assert max(map(len, text.splitlines())) <= 80
    for entry in said["unchecked"]:
        assert f"{entry['statement']} {entry['source']} why: {entry['why']}" in plain(text)
    for entry in found["observed"]:
        assert f"{entry['status']} {entry['statement']}" in plain(text)
    assert printed(capsys, "--paper", paper, "--latex").isascii()
    markdown = printed(capsys, "--paper", paper, "--markdown")
    assert markdown.count("\n| ") == (len(found["rows"]) + 2 if found["rows"] else 0)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim["id"])
def test_rows_are_what_check_finds(claim, capsys):
    paper = next(name for name, said in PAPERS.items() if claim in said["claims"])
    rows = [r for r in document(capsys, paper)["rows"] if r["claim"] == claim["id"]]
    for expert, row in zip(members(claim, 1), rows, strict=True):
        likelihood = from_document(claim.get("likelihood")).name
        asked = {key: claim[key] for key in ("regime", "condition", "level")}
        found = check(expert, claim["gate"], likelihood=likelihood, **asked)
        (own,) = found.to_dict()["results"]
        assert (row["expert"], row["gate"]) == (expert.label, claim["gate"])
        assert row.get("likelihood") == claim.get("likelihood")
        for key in ("verdict", "quantifier", "atoms_scope", "relations", "nondegenerate"):
            assert row[key] == own[key]
        assert row["published"]["verdict"] == claim["verdict"]
        assert row["published"]["rate"] == claim["rate"]
        agrees = "confirmed" if claim["verdict"] == own["verdict"] else "contradicted"
        assert row["agreement"] == agrees
        assert row["rate"] == own["rate"]
        assert row["rate"] is None or row["rate"]["published"] == claim["rate"]


@pytest.mark.parametrize("dim", [1, 2])
def test_relu_ffn_is_contradicted_and_linear_confirmed(dim):
    relu, linear, sparse, shared_relu, shared_linear = paper_table(DEEPSEEK, dim).rows
    for row in (relu, sparse, shared_relu):
        assert (row.published.verdict, row.published.rate) == ("yes", "n^-1/4")
        assert (row.result.verdict, row.result.agreement) == ("no", "contradicted")
        assert row.result.relations[0].text.startswith("c*∂h/∂c = a")
    for row in (relu, sparse, shared_relu):
        assert row.result.rate is not None
        assert row.result.rate.derived == "no consistent estimator"
        assert row.result.rate.agreement == "contradicted"
    for row in (linear, shared_linear):
        assert (row.published.verdict, row.published.rate) == ("no", "n^-1/8")
        assert (row.result.verdict, row.result.agreement) == ("no", "confirmed")
    for row in (linear, shared_linear):
        assert row.result.rate is not None
        assert row.result.rate.derived == "n^-1/8 for cells of 2"
        assert row.result.rate.agreement == "confirmed"
        assert row.cells == "cells of 2 fitted atoms"
    assert {r.check.expert.dim for r in (relu, linear, sparse)} == {dim}


def test_what_stands_against_a_claim_is_printed(capsys):
    text = plain(printed(capsys, "--paper", DEEPSEEK))
    assert "relu ffn, condition: c*∂h/∂c = a*∂h/∂a + b*∂h/∂b" in text
    assert "relu ffn, rate: redundant: c → c*exp(s), a → a*exp(-s), b → b*exp(-s); same p" in text
    assert "(one fitted atom suffices); locally a*c n^-1/4, b*c n^-1/4, Σ w_i n^-1/2" in text
    latex = printed(capsys, "--paper", DEEPSEEK, "--latex")
    assert r"$- c\,\partial_{c} h + a\,\partial_{a} h + b\,\partial_{b} h = 0$" in latex
    text = plain(printed(capsys, "--paper", "2405.13997"))
    # certified yes, stated no
    assert "input-free, condition: the 3 functions per atom are linearly independent" in text
    assert "gelu ridge, premise: " in text


@pytest.mark.parametrize("number", range(len(PAPERS[DEEPSEEK]["claims"])))
def test_a_claim_that_says_otherwise_is_judged_otherwise(number, stated, capsys):
    before = document(capsys, DEEPSEEK)["rows"][number]["agreement"]

    def flip(other):
        claim = other[DEEPSEEK]["claims"][number]
        claim["verdict"] = {"yes": "no", "no": "yes"}[claim["verdict"]]

    stated(flip)
    row = document(capsys, DEEPSEEK)["rows"][number]
    assert {before, row["agreement"]} == {"confirmed", "contradicted"}
    words = plain(printed(capsys, "--paper", DEEPSEEK, "--markdown"))
    line = [part for part in words.split(" | | ") if part.startswith(row["expert"])]
    assert any(f": {row['agreement']} |" in part for part in line)


def test_a_rate_that_says_otherwise_is_judged_otherwise(stated, capsys):
    stated(lambda other: other[DEEPSEEK]["claims"][1].update(rate="n^-1/4"))
    assert document(capsys, DEEPSEEK)["rows"][1]["rate"]["agreement"] == "contradicted"
    assert "linear, rate: " in printed(capsys, "--paper", DEEPSEEK)


def test_a_row_is_compared_with_its_own_paper(stated, capsys):
    """``check`` shows the first claim on a question; here another paper makes one as well."""

    def copied(other):
        claim = next(c for c in other["2405.13997"]["claims"] if c["id"] == "softmax-relu")
        other["2402.02952"]["claims"].append(claim | {"id": "other", "verdict": "no"})

    stated(copied)
    row = document(capsys, "2402.02952")["rows"][-1]
    assert (row["expert"], row["verdict"], row["agreement"]) == (
        "relu ridge",
        "yes",
        "contradicted",
    )


@pytest.mark.parametrize("paper", WITHOUT_CLAIMS)
def test_a_paper_without_claims_to_compare_says_so(paper, capsys):
    text = printed(capsys, "--paper", paper)
    assert "None of this paper's claims is of an expert that identkit can compare." in text
    assert "not checked by identkit" in text
    assert "certified" not in text
    for form in ("--markdown", "--latex"):
        assert "None of this paper's claims" in printed(capsys, "--paper", paper, form)


def test_there_are_such_papers():
    assert WITHOUT_CLAIMS


def test_an_unknown_paper_is_one_sentence_with_the_known_ones(capsys):
    assert main(["table", "--paper", "1706.03762"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert all(name in error for name in PAPERS)


@pytest.mark.parametrize("name", ["arXiv 2402.02952", "arxiv:2402.02952"])
def test_the_way_a_paper_is_cited(name):
    assert paper_table(name, 1).paper == "arXiv 2402.02952"


def test_from_python(capsys):
    found = identkit.paper_table(DEEPSEEK, 1)
    assert found.to_dict() == document(capsys, DEEPSEEK)
    assert str(found) == printed(capsys, "--paper", DEEPSEEK)
    assert found.markdown() + "\n" == printed(capsys, "--paper", DEEPSEEK, "--markdown")
    assert found.latex() + "\n" == printed(capsys, "--paper", DEEPSEEK, "--latex")
    assert found._repr_markdown_() == found.markdown()
    assert repr(found) == "<PaperTable: arXiv 2505.10860, 5 rows, d = 1>"
    with pytest.raises(identkit.InputError, match="--dim 0"):
        identkit.paper_table(DEEPSEEK, 0)


def test_a_row_has_a_certificate_that_verifies():
    row = identkit.paper_table(DEEPSEEK, 1).rows[1]
    assert identkit.verify(row.check.certificate()).results[0].verdict == row.result.verdict


def test_progress_is_told(monkeypatch):
    monkeypatch.setattr("identkit.table.check", identkit.check)
    said = []
    paper_table("2402.02952", 1, progress=said.append)
    assert any("tanh ridge, softmax gate" in line for line in said)
