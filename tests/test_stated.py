"""What papers say of gates: the data, and that no listing agrees where ``check`` does not."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import pytest
from checked import check
from jsonschema import Draft202012Validator

from identkit import claims
from identkit.claims.record import recorded
from identkit.cli import main
from identkit.experts import builtin
from identkit.gates import resolve
from identkit.likelihoods import from_document
from identkit.rate import Rate
from identkit.report.json_text import schema
from identkit.stated import Derived, compared, stated, weakest
from identkit.table import paper_table
from identkit.vocabulary import Agreement, ClaimStatus

PAPERS = claims.papers()
RECORDED = {c.id: c for c in recorded()}
STATEMENTS = {entry["id"]: entry for entry in claims.statements()}
DECIDED = [i for i, entry in STATEMENTS.items() if {"gauge", "every", "pairs"} & entry.keys()]
ENTRIES = [
    entry
    for said in PAPERS.values()
    for kind in ("claims", "rates", "statements", "unchecked")
    for entry in said.get(kind, ())
]
GATE_PAPERS = {
    "2503.03213", "2401.13875", "2410.02935", "2309.13850", "2405.14131", "2410.11222",
    "2305.07572", "2602.01466",
}  # fmt: skip
KEYS = {
    "claims": "id gate likelihood regime condition level experts shapes verdict rate printed cells "
    "source check",
    "rates": "id gate likelihood regime quantity rate for source check",
    "statements": "id statement gauge every pairs rate experts dim domain source check",
    "unchecked": "id statement source why",
}
AGREES = {
    ClaimStatus.PROVED: Agreement.CONFIRMED,
    ClaimStatus.ALMOST_EVERYWHERE: Agreement.CONFIRMED,
    ClaimStatus.ON_AN_OPEN_SET: Agreement.CONFIRMED,
    ClaimStatus.OPEN: Agreement.OPEN,
    ClaimStatus.CONTRADICTED: Agreement.CONTRADICTED,
}

pytestmark = pytest.mark.usefixtures("checks_once")


# -- the data --------------------------------------------------------------------------------------


def test_every_paper_about_a_gate_is_there_with_what_was_read():
    assert set(PAPERS) >= GATE_PAPERS
    for name in GATE_PAPERS:
        assert PAPERS[name]["paper"] == f"arXiv {name}"
        assert "abstract" in PAPERS[name]["read"]


@pytest.mark.parametrize("paper", PAPERS)
def test_nothing_but_the_known_keys(paper):
    said = PAPERS[paper]
    assert set(said) <= {"paper", "about", "read", *KEYS}
    assert {"paper", "about", "claims", "rates", "unchecked"} <= set(said)
    for kind, keys in KEYS.items():
        for entry in said.get(kind, ()):
            assert set(entry) <= set(keys.split()), entry["id"]
            assert re.fullmatch(r"[a-z0-9-]+", entry["id"])
            assert paper in entry["source"]


def test_names_are_used_once():
    names = [entry["id"] for entry in ENTRIES]
    assert len(names) == len(set(names))
    assert not set(names) & set(RECORDED) - set(STATEMENTS)


def named(entry):
    """(gate, likelihood, expert, shape) of all models that an entry names."""
    for asked in (q for pair in entry.get("pairs", ()) for q in pair):
        yield asked["gate"], asked.get("likelihood"), asked["expert"], asked["shape"]
    of = entry.get("gauge") or entry.get("every") or entry
    if "gate" in of:
        shapes = entry.get("shapes", [None])
        pairs = entry.get("experts", [])
        for expert in pairs:
            both = [tuple(expert)] if isinstance(expert, list) else [(expert, s) for s in shapes]
            for name, shape in both:
                yield of["gate"], of.get("likelihood"), name, shape


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["id"])
def test_gates_experts_and_likelihoods_are_known(entry):
    for gate, likelihood, expert, shape in named(entry):
        assert resolve(gate, from_document(likelihood).name).name == gate
        builtin("linear" if expert == "polynomial" else expert, shape, 2)
    if "rate" in entry:
        Rate.parse(entry["rate"])
    for written in re.findall(r"--gate ('[^']+'|[a-z0-9-]+)", entry.get("why", "")):
        resolve(written.strip("'"))
    for word in re.findall(r"\b[a-z0-9]+(?:-[a-z0-9]+){2,}\b", entry.get("why", "")):
        known = {*RECORDED, "dense-to-sparse", "hierarchical-laplace-laplace"}
        assert word in known, f"{word}: no such claim"


def test_a_gauge_rests_on_a_recorded_claim():
    for entry in STATEMENTS.values():
        if "gauge" in entry:
            assert RECORDED[entry["gauge"]["claim"]].status == ClaimStatus.PROVED


# -- published beside derived ----------------------------------------------------------------------


@pytest.mark.parametrize("name", DECIDED)
def test_a_listing_agrees_just_where_check_does(name):
    """The recorded status, which the listings print, against what is derived now."""
    entry, record = STATEMENTS[name], RECORDED[name]
    assert (record.statement, record.source) == (entry["statement"], entry["source"])
    assert record.file == entry["check"]
    found = stated(entry, 1)
    assert AGREES[record.status] == found.agreement


@pytest.mark.parametrize("claim", claims.claims(), ids=lambda claim: claim["id"])
def test_a_recorded_rate_agrees_just_where_the_table_does(claim):
    """A claim on a family is as good as its worst member, in either of the dimensions."""
    paper = next(name for name, said in PAPERS.items() if claim in said["claims"])
    rows = [r for dim in (1, 2) for r in paper_table(paper, dim).rows if r.claim == claim["id"]]
    assert rows
    agreements = {r.result.rate.agreement for r in rows}
    status = RECORDED[f"{claim['id']}-rate"].status
    if Agreement.CONTRADICTED in agreements:
        assert status == ClaimStatus.CONTRADICTED
    elif agreements == {Agreement.CONFIRMED}:
        assert AGREES[status] == Agreement.CONFIRMED
    else:
        assert status == ClaimStatus.OPEN


def test_what_a_gauge_moves_and_what_is_left():
    found = stated(STATEMENTS["temperature-rates"], 1)
    assert found.gauge.startswith("ω → ω*exp(s), κ → κ*exp(-s)")
    assert found.agreement == "confirmed"
    linear, gelu = found.derived
    own = check("gelu", "dense-to-sparse linear", likelihood="gaussian", dim=1).results[0]
    assert (gelu.rate, gelu.agreement) == (own.rate.derived, "contradicted")
    own = check("linear", "dense-to-sparse linear", likelihood="gaussian", dim=1).results[0]
    # in cells of two n^-1/8 is derived, no slower than that
    assert (linear.rate, linear.agreement) == (own.rate.derived, "contradicted")
    assert not found.pairs


def test_experts_are_not_moved_by_the_gauge_of_a_score():
    found = stated(STATEMENTS["cosine-expert-rates"], 1)
    assert [d.agreement for d in found.derived] == ["confirmed", "contradicted", "contradicted"]
    assert found.agreement == "contradicted"


@pytest.mark.parametrize(
    ("name", "change", "agreement"),
    [
        ("temperature-rates", {"gauge": {"gate": "dense-to-sparse tanh"}}, "undecided"),
        ("temperature-rates", {"gauge": {"name": "common scale"}}, "undecided"),
        ("cosine-parameter-rates", {"gauge": {"claim": "no-such-claim"}}, "undecided"),
        ("sigmoid-temperature-rates", {"rate": "n^-1/4"}, "contradicted"),
        ("cosine-expert-rates", {"rate": "n^-1/4"}, "contradicted"),
        ("cosine-expert-rates", {"rate": "n^-1/4", "experts": [["gelu", "ridge"]]}, "confirmed"),
        ("cosine-expert-rates", {"experts": [["linear", None]]}, "confirmed"),
    ],
)
def test_a_statement_that_says_otherwise_is_judged_otherwise(name, change, agreement):
    entry = copy.deepcopy(STATEMENTS[name])
    for key, value in change.items():
        entry[key] = entry[key] | value if isinstance(value, dict) else value
    found = stated(entry, 1)
    assert found.agreement == agreement
    assert bool(found.gauge) == (found.form == "gauge" and agreement != "undecided")


def of(rate):
    return Derived(
        "linear", "softmax", "least-squares", Rate.parse(rate), Agreement.UNCLAIMED, None
    )


@pytest.mark.parametrize(
    ("pairs", "agreement"),
    [
        ([("n^-1/4", "slower than n^-1/4")], "confirmed"),
        ([("slower than n^-1/4", "n^-1/4")], "contradicted"),
        ([("n^-1/2", "n^-1/4"), ("slower than n^-1/4", "no consistent estimator")], "open"),
        ([("n^-1/2", "n^-1/4"), ("n^-1/4", "n^-1/2")], "contradicted"),
        ([("n^-1/4", "n^-1/4")], "open"),
        ([], "open"),
    ],
)
def test_pairs(pairs, agreement):
    assert compared(tuple((of(fast), of(slow)) for fast, slow in pairs)) == agreement


@pytest.mark.parametrize(
    ("met", "agreement"),
    [
        (["confirmed", "confirmed"], "confirmed"),
        (["confirmed", "open"], "open"),
        (["undecided", "contradicted"], "contradicted"),
        ([], "open"),
    ],
)
def test_one_expert_is_enough_against_a_statement_on_all(met, agreement):
    assert weakest(map(Agreement, met)) == agreement


# -- views -----------------------------------------------------------------------------------------


def printed(capsys, *arguments):
    assert main(["table", "--dim", "1", *arguments]) == 0
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("paper", [p for p, said in PAPERS.items() if "statements" in said])
def test_every_view_has_what_is_derived_beside_a_statement(paper, capsys):
    found = json.loads(printed(capsys, "--paper", paper, "--json"))
    Draft202012Validator(schema("paper-table-1")).validate(found)
    text = printed(capsys, "--paper", paper)
    markdown = printed(capsys, "--paper", paper, "--markdown")
    assert f"read of it: {PAPERS[paper]['read']}" in text
    assert f"Read of it: {PAPERS[paper]['read']}" in markdown
    for entry in found["observed"]:
        if entry["claim"] not in DECIDED:
            assert "derived" not in entry
            continue
        said = stated(STATEMENTS[entry["claim"]], 1)
        assert entry["agreement"] == said.agreement
        assert entry.get("gauge", "") == said.gauge
        assert [d["rate"] for d in entry["derived"]] == [str(d.rate) for d in said.derived]
        assert said.gauge in text
        for d in said.derived:
            assert f"{d.expert} {d.rate}" in text or f"{d.expert} under {d.gate} {d.rate}" in text
    assert printed(capsys, "--paper", paper, "--latex").isascii()


def test_a_check_prints_what_is_published_of_it():
    found = check("linear", "dense-to-sparse linear", dim=1).results[0]
    assert (found.published.verdict, found.published.rate) == ("no", "1/log n")
    assert (found.agreement, found.rate.agreement) == ("confirmed", "confirmed")


def test_the_lemmas_are_recorded():
    folder = Path(__file__).resolve().parents[1]
    for name in (
        "score-equations-are-gauges",
        "output-bias-under-every-gate",
        "gaussian-gate-translation",
        "euclidean-score-pins-temperature",
    ):
        assert RECORDED[name].status == ClaimStatus.PROVED
        assert (folder / RECORDED[name].file).is_file()
