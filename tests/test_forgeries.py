"""Forged certificates are rejected, or say no more than a check of the question they name."""

from __future__ import annotations

import copy
import json
import random
import time
from pathlib import Path

import pytest
from hostile.certificates import (
    BALLS,
    BASES,
    LIGHT,
    MEANT,
    ORDERS,
    Forgery,
    attempt,
    base,
    cases,
    doubt,
)

from identkit import check
from identkit.certificates.store import certificate_document, digest, load
from identkit.certificates.verify import verify
from identkit.cli import main
from identkit.deadline import Deadline
from identkit.errors import CertificateError, InputError, OutOfTime
from identkit.experts import Expert

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize(
    "name", [n if n in LIGHT else pytest.param(n, marks=pytest.mark.slow) for n in BASES]
)
def test_honest_certificates_are_accepted(name, tmp_path):
    assert attempt(Forgery(name, "as it is", base(name)), tmp_path) == "accepted"


@pytest.mark.parametrize("seed", [0, *(pytest.param(s, marks=pytest.mark.slow) for s in (1, 2))])
def test_forgeries(seed, tmp_path):
    said = [attempt(case, tmp_path) for case in cases(40, seed, LIGHT)]
    assert said.count("refused") > 25


@pytest.mark.parametrize("seed", [0, *(pytest.param(s, marks=pytest.mark.slow) for s in (1, 2))])
def test_forgeries_of_orders(seed, tmp_path):
    said = [attempt(case, tmp_path) for case in cases(40, 50 + seed, ORDERS)]
    assert said.count("refused") > 25


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_thousands_of_forgeries(seed, tmp_path):
    said = [attempt(case, tmp_path) for case in cases(300, 100 + seed)]
    assert said.count("refused") > 250


@pytest.mark.parametrize("edit", MEANT)
def test_edits_that_know_what_a_certificate_means(edit, tmp_path):
    rng = random.Random(edit.__name__)
    for name in ("relu", "linear, dense"):
        document = copy.deepcopy(base(name))
        how = edit(document, rng)
        document["digest"] = digest(document)
        attempt(Forgery(name, how, document), tmp_path)


def forged(name, change):
    document = copy.deepcopy(base(name))
    change(document)
    document["digest"] = digest(document)
    return document


@pytest.mark.parametrize("cause", [None, "premise-open", "weak-open"])
@pytest.mark.parametrize("premise", ["undecided", "fails"])
def test_a_premise_left_open_licenses_no_rate(cause, premise):
    def change(document):
        document["results"][-1].update(
            refits=[], premise=premise, rate={"derived": "n^-1/2", "cause": cause}
        )

    with pytest.raises(CertificateError, match=r"results\[\d\].(rate|premise)"):
        verify(forged("relu", change))


@pytest.mark.parametrize("text", BALLS)
def test_a_determinant_is_a_ball_that_excludes_zero_and_is_this_one(text):
    def change(document):
        document["results"][0]["certificate"]["parts"][0]["witness"]["determinant"] = text

    with pytest.raises(CertificateError, match=r"determinant|too long"):
        verify(forged("tanh", change))


@pytest.mark.parametrize("name", ["relu", "linear, dense", "own gate"])
@pytest.mark.parametrize("number", [None, 1, 2])
def test_a_regime_cannot_be_exchanged(name, number):
    if base(name)["results"][0]["regime"] == number:
        pytest.skip("its own")

    def change(document):
        document["results"][0]["regime"] = number

    with pytest.raises(CertificateError):
        verify(forged(name, change))


class Counted(Deadline):
    """Runs out at a given check of the clock, so that every stage can be cut short."""

    checks = 0

    def leave(self, seconds):
        Counted.checks -= 1
        if Counted.checks < 0:
            raise OutOfTime("the time limit of 60 s was reached")


@pytest.mark.parametrize("text", ["gelu(a*x + b)", "relu(a*x + b)", "c*sin(a*x)"])
@pytest.mark.parametrize("checks", [0, 5, 40, 150, 400, 1000, 2500])
def test_what_was_cut_short_anywhere_verifies_and_claims_no_more(text, checks, monkeypatch):
    Counted.checks = checks
    monkeypatch.setattr("identkit.checking.Deadline", Counted)
    found = certificate_document(check(Expert.from_expression(text), "sigmoid"))
    monkeypatch.undo()
    document = json.loads(json.dumps(found))
    results = verify(document).results
    assert [r.verdict for r in results] == [r["verdict"] for r in document["results"]]
    assert doubt(document) is None


# -- size and time ------------------------------------------------------------------------------


def _many_parts(document):
    document["results"][0]["certificate"]["parts"] *= 20_000


def _many_relations(document):
    relation = {"terms": [{"coefficient": "1", "function": "h"}]}
    document["results"][0]["certificate"]["parts"][0]["relations"] = [relation] * 20_000


def _precise(document):
    """A claim of 65,536 bits for a matrix that is singular to more than 128."""
    document["options"]["max_precision"] = 65_536
    witness = document["results"][0]["certificate"]["parts"][0]["witness"]
    witness["precision"] = 65_536
    witness["points"][0] = witness["points"][1]


def _long(document):
    document["results"][0]["certificate"]["parts"][0]["witness"]["points"][0] = ["1" * 4000]


def _deep(document):
    deep = []
    for _ in range(300):
        deep = [deep]
    document["results"][0]["coordinates"] = deep


@pytest.mark.parametrize("change", [_many_parts, _many_relations, _precise, _long, _deep])
def test_large_files_are_refused_at_once(change):
    document = forged("tanh", change)
    started = time.monotonic()
    with pytest.raises(CertificateError):
        verify(document)
    assert time.monotonic() - started < 10


def test_the_time_limit_is_kept_and_is_no_rejection(tmp_path, capsys):
    path = tmp_path / "honest.json"
    path.write_text(json.dumps(base("relu")), encoding="utf-8")
    assert main(["verify", str(path), "--time-limit", "0.001"]) == 2
    assert "raise --time-limit" in capsys.readouterr().err
    for bad in ("0", "-1", "nan", "1e9"):
        assert main(["verify", str(path), f"--time-limit={bad}"]) == 2


@pytest.mark.parametrize("number", [1, 2])
def test_certificates_of_older_formats_are_refused_with_the_remedy(number, capsys):
    path = GOLDEN / f"certificate-{number}.json"
    with pytest.raises(InputError, match=rf"certificate/{number}.*run the check again with --save"):
        load(path)
    assert main(["verify", str(path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("field", ["coefficient", "function"])
def test_the_sentence_that_rejects_a_file_is_short(field):
    document = json.loads(json.dumps(base("relu")))
    for entry in document["results"]:
        for part in entry["certificate"]["parts"]:
            for merged in part["merged"]:
                merged["relation"]["terms"][0][field] = "é" * 25_000
    with pytest.raises(CertificateError) as caught:
        verify({**document, "digest": digest(document)})
    assert len(str(caught.value)) < 500
