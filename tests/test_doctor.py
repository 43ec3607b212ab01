"""What ``identkit doctor`` says of an installation, and of ones that are not as they should be."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from importlib import metadata

import pytest
from jsonschema import Draft202012Validator

from identkit import doctor
from identkit.cli import main
from identkit.report.json_text import schema
from identkit.vocabulary import LibraryState


@pytest.fixture
def few(monkeypatch):
    """A function that makes identkit need these requirements alone."""

    def need(*lines):
        monkeypatch.setattr(doctor.metadata, "requires", lambda name: list(lines))

    return need


def test_this_installation(capsys):
    code = main(["doctor", "--json"])
    document = json.loads(capsys.readouterr().out)
    Draft202012Validator(schema("doctor-1")).validate(document)
    assert (code, document["problems"]) == (0, [])
    extras = {extra["name"]: extra for extra in document["extras"]}
    assert {None, "fit", "figures", "parquet"} <= set(extras)
    assert extras["figures"]["includes"] == ["fit"]
    for extra in document["extras"]:
        for library in extra["libraries"]:
            if library["state"] == "ok":
                assert library["installed"] == metadata.version(library["name"])
    assert document["threads"]["cores"] >= 1
    if importlib.util.find_spec("numba") and importlib.util.find_spec("torch"):
        from identkit.fit.cpu_kernel import _steps

        folders = [own["folder"] for own in document["kernels"]]
        assert _steps.stats.cache_path in folders


def test_too_old_broken_and_missing(few, capsys, tmp_path, monkeypatch):
    few(
        "sympy>=99",
        "rich>=13",
        'broken-library>=1; extra == "fit"',
        'not-there>=2.5; extra == "fit"',
        'identkit[fit]; extra == "figures"',
    )
    (tmp_path / "broken_library.py").write_text("raise ImportError('a symbol is missing')")
    info = tmp_path / "broken_library-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-library\nVersion: 1.2\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    assert main(["doctor"]) == 1
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    flat = " ".join(text.split())
    sympy = metadata.version("sympy")
    assert f"sympy: {sympy} is installed, and at least 99 is needed; run pip install" in flat
    assert "1.2 is installed and cannot be imported (ImportError: a symbol is missing)" in flat
    assert "fit: pip install identkit[fit]" in flat
    assert "not-there it is not installed (at least 2.5)" in flat
    assert "not-there:" not in flat  # an extra that is not installed is no problem
    assert text.splitlines()[-1].startswith("2 to mend;")
    found = doctor.examine()
    assert [own.state for own in found.extras[0].libraries] == ["too old", "ok"]
    assert [own.state for own in found.extras[1].libraries] == ["broken", "missing"]
    Draft202012Validator(schema("doctor-1")).validate(found.to_dict())


def test_what_is_always_needed_and_not_there(few):
    few("not-there>=2.5")
    (problem,) = doctor.examine().problems
    assert problem == "not-there: it is not installed; run pip install -U 'not-there>=2.5'."


@pytest.mark.parametrize(
    ("least", "installed", "state"),
    [
        ("1.26", "1.26.0", LibraryState.OK),
        ("2.2", "2.10.0+cpu", LibraryState.OK),
        ("0.60", "0.60.0rc1", LibraryState.OK),
        ("1.0", "1", LibraryState.OK),
        ("", "0.1", LibraryState.OK),
        ("2.10", "2.9.9", LibraryState.TOO_OLD),
        ("3", "2.99", LibraryState.TOO_OLD),
        ("3", None, LibraryState.MISSING),
    ],
)
def test_versions_are_compared_as_numbers(least, installed, state):
    assert doctor.judged("library", least, installed, "").state == state


def test_every_requirement_is_understood():
    for line in metadata.requires("identkit"):
        assert doctor._REQUIREMENT.fullmatch(line.strip()), line


def test_a_library_that_ends_its_process_is_broken(monkeypatch, tmp_path):
    (tmp_path / "ends.py").write_text("import os; os._exit(11)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert doctor.tried_import("ends") == {"error": "exit code 11"}


def test_not_installed_is_one_sentence(monkeypatch, capsys):
    def lost(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, "requires", lost)
    assert main(["doctor"]) == 2
    assert "identkit is not installed as a package" in capsys.readouterr().err


def test_a_folder_that_is_not_there_yet(tmp_path):
    (tmp_path / "a.nbi").write_bytes(b"12345")
    (tmp_path / "a.txt").write_bytes(b"123")
    assert doctor.kept_in(tmp_path).bytes == 5
    new = doctor.kept_in(tmp_path / "b" / "c")
    assert (new.bytes, new.writable) == (0, True)


def test_nothing_heavy_is_imported_here():
    code = (
        "import sys; from identkit.doctor import examine; examine()\n"
        "print(sorted({'torch', 'numba', 'numpy', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_gpu_is_named(few, monkeypatch, capsys):
    """What torch answers is replaced: most machines that run the tests have none."""
    few("torch>=2")
    monkeypatch.setattr(doctor, "_version", lambda name: "2.4")
    monkeypatch.setattr(doctor, "tried_import", lambda name: {"threads": 4, "gpus": ["A card"]})
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "device: cuda (A card)" in text
    assert "4 threads of torch" in text
    assert doctor.examine().to_dict()["device"] == "cuda"
