"""``identkit claims``: the list, the record, and the rerun of checks."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from identkit import claims
from identkit.claims import checks, record
from identkit.claims.checks import STATUSES, Claim, weakest
from identkit.cli import main
from identkit.report.json_text import schema

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "proofs_check"
RECORDED = record.recorded()


def out_of(capsys, *arguments, code=0):
    assert main(["claims", *arguments]) == code
    return capsys.readouterr().out


def test_the_list_has_claim_source_and_status(capsys):
    text = out_of(capsys)
    assert max(map(len, text.splitlines())) <= 80
    flat = " ".join(text.split())
    for claim in RECORDED:
        assert f"{claim.status} {claim.id} {' '.join(claim.statement.split())}" in flat
        assert " ".join(claim.source.split()) in flat
    assert "published, not checked by identkit" in text
    # the last paragraph counts them
    head, _, counts = " ".join(text.split("\n\n")[-1].split()).partition(" claims: ")
    assert int(head) == len(RECORDED) + len(claims.unchecked())
    assert sum(int(part.split()[0]) for part in counts.split("; ")) == int(head)


def test_json_follows_its_schema(capsys):
    Draft202012Validator.check_schema(schema("claims-1"))
    document = json.loads(out_of(capsys, "--json"))
    Draft202012Validator(schema("claims-1")).validate(document)
    statuses = schema("claims-1")["$defs"]["status"]["enum"]
    assert set(statuses) == set(STATUSES)
    assert {c["status"] for c in document["claims"]} <= set(statuses)
    assert document["rerun"] is False


def test_markdown_links_each_claim_to_a_file_that_exists(capsys):
    table = out_of(capsys, "--markdown")
    links = re.findall(r"\]\((proofs_check/[^)]+)\)", table)
    assert len(links) == len(RECORDED)
    assert all((ROOT / link).is_file() for link in links)
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
    assert widths == {5}


def test_words_and_status_choose(capsys):
    chosen = json.loads(out_of(capsys, "relu", "--json"))["claims"]
    assert chosen
    assert all("relu" in c["id"] for c in chosen)
    chosen = json.loads(out_of(capsys, "--status", "open", "--json"))["claims"]
    assert {c["status"] for c in chosen} == {"open"}
    assert "slope" in out_of(capsys, "softmax-gate-rate")  # few claims: with what was found


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["kink-hut"], "did you mean kink-hat"),
        (["--status", "true"], "unknown status"),
        (["--checks", "x"], "add --run"),
        (["--run", "--checks", "/nowhere"], "no checks are there"),
        (["kink", "--record"], "leave out the words"),
        (["deepseek-simulations", "--run"], "has a check"),
        (["--json", "--markdown"], "not allowed"),
    ],
)
def test_bad_input_is_one_sentence(arguments, words, capsys):
    assert main(["claims", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_listing_imports_nothing_heavy():
    code = (
        "import sys; from identkit.cli import main; main(['claims', '--json'])\n"
        "heavy = {'torch', 'matplotlib', 'scipy', 'numpy', 'pytest'} & set(sys.modules)\n"
        "print('heavy:', sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy: []"


# -- the data file and the record ------------------------------------------------------------------


def test_every_published_entry_points_at_the_file_that_checks_it():
    by_id = {c.id: c for c in RECORDED}
    for entry in claims.claims():
        for part in ("classification", "rate"):
            assert by_id[f"{entry['id']}-{part}"].file == entry["check"]
    for entry in claims.rates():
        assert by_id[f"{entry['id']}-rate"].file == entry["check"]
    assert all(u["why"] for u in claims.unchecked())


def test_the_record_holds_every_check_and_no_other():
    """By the names in the files; parametrised ones by their function."""
    written = {
        f"proofs_check/{path.name}::{name}"
        for path in FOLDER.glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.M)
    }
    assert written == {c.test.partition("[")[0] for r in RECORDED for c in r.checks}
    assert len({r.id for r in RECORDED}) == len(RECORDED)


def test_every_check_file_says_what_it_proves_and_from_where():
    for path in FOLDER.glob("test_*.py"):
        head = path.read_text(encoding="utf-8").partition('"""\n\nfrom')[0]
        assert "Statement" in head or "PAIRS" in head, path.name
        assert "Proved" in head or "Observed" in head or "Checked" in head, path.name


def test_readme_links_every_check():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for file in {c.file for c in RECORDED}:
        assert f"({file})" in text, file


def test_the_page_of_claims_is_the_record(capsys):
    """``identkit claims --markdown``, with links from the folder of the page."""
    table = "| claim" + (ROOT / "docs/claims.md").read_text("utf-8").partition("| claim")[2]
    written = out_of(capsys, "--markdown").replace("](proofs_check/", "](../proofs_check/")
    assert table.strip() == written.strip()


def test_weakest_status_counts_and_a_contradiction_outweighs_all():
    assert weakest(["proved", "observed", "proved almost everywhere"]) == "observed"
    assert weakest(["open", "contradicted, with counterexample"]) != "open"
    with pytest.raises(ValueError, match="status"):
        Claim("a", "b", "c").finding("true")


def test_a_finding_is_compared_with_the_record():
    known = RECORDED[0]
    claim = Claim(known.id, known.statement, known.source)
    test, status = known.checks[0].test, known.checks[0].status
    other = next(s for s in STATUSES if s != status)
    assert record.disagreement(RECORDED, test, claim.finding(status)) is None
    assert "found" in record.disagreement(RECORDED, test, claim.finding(other))
    assert "no finding" in record.disagreement(RECORDED, "elsewhere", claim.finding(status))
    renamed = Claim(known.id, "another statement", known.source)
    assert "statement" in record.disagreement(RECORDED, test, renamed.finding(status))


# -- reruns ----------------------------------------------------------------------------------------

CHECK = '''"""A statement.

Statement: the sum is right. Proved: by adding."""
from identkit.claims.checks import Claim, mutations

SUM = Claim("sum", "2 + 2 = 4", "arithmetic")


@mutations({"5": {"total": 5}})
def test_sum(total=4):
    assert 2 + 2 == total
    return SUM.finding("proved")


def test_coincidence():
    claim = Claim("kink-hat", "another one", "elsewhere")
    return claim.finding("observed")


def test_silent():
    pass
'''


def test_a_rerun_finds_what_is_recorded(capsys):
    document = json.loads(out_of(capsys, "coincidence-rule", "--run", "--json"))
    assert document["rerun"]
    (claim,) = document["claims"]
    assert claim["status"] == claim["recorded"]
    assert claim["failures"] == []
    assert claim["seconds"] > 0
    Draft202012Validator(schema("claims-1")).validate(document)


@pytest.fixture
def other_folder(tmp_path):
    """Checks that the record does not know, beside a copy of the plugin."""
    folder = tmp_path / "proofs_check"
    folder.mkdir()
    shutil.copy(FOLDER / "conftest.py", folder)
    (folder / "test_sum.py").write_text(CHECK, encoding="utf-8")
    return folder


def test_what_the_record_does_not_know_fails(other_folder):
    """In a process of its own: pytest keeps what it imported."""
    done = subprocess.run(
        [sys.executable, "-m", "identkit", "claims", "--run", "--checks", str(other_folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    flat = " ".join(done.stdout.split())
    assert "the record has no finding" in flat
    assert "a check returns what it found" in flat
    assert "there is no such check any more" in flat


def test_a_new_record_holds_what_was_found(other_folder, tmp_path):
    from identkit.claims.running import rerun

    (other_folder / "test_sum.py").write_text(
        CHECK.partition("def test_coincidence")[0], encoding="utf-8"
    )
    seen = []
    run = rerun(
        other_folder, compare=False, progress=lambda done, total: seen.append((done, total))
    )
    assert not run.failed
    assert seen[-1] == (1, 1)
    record.write(run.claims, tmp_path / "record.json")
    (entry,) = json.loads((tmp_path / "record.json").read_text(encoding="utf-8"))["claims"]
    assert entry["id"] == "sum"
    assert entry["checks"] == [
        {"test": "proofs_check/test_sum.py::test_sum", "status": "proved", "detail": ""}
    ]
    assert checks.weakest(c["status"] for c in entry["checks"]) == "proved"
