"""What a command leaves on its streams: control characters escaped, no answer lost in silence."""

from __future__ import annotations

import os
import subprocess
import sys
import unicodedata

import pytest
from rich.text import Text

from identkit.cli import main
from identkit.errors import InputError, shown
from identkit.report.terminal import plain

FULL = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
COMMANDS = ("--version", "--help", "experts --json", "check --expert gelu --gate softmax --dim 1")


def shell(command: str, redirected: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", f"{sys.executable} -m identkit {command} {redirected}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@FULL
@pytest.mark.parametrize("redirected", [">&-", ">/dev/full"])
@pytest.mark.parametrize("command", COMMANDS)
def test_an_answer_that_is_lost_is_one_sentence_and_exit_74(command: str, redirected: str) -> None:
    done = shell(command, redirected)
    assert (done.returncode, done.stdout) == (74, "")
    assert done.stderr.startswith("identkit: standard output:")
    assert done.stderr.count("\n") == 1


@FULL
@pytest.mark.parametrize("redirected", ["2>&-", "2>/dev/full"])
def test_standard_error_is_done_without(redirected: str) -> None:
    done = shell("--version", redirected)
    assert (done.returncode, done.stderr) == (0, "")
    done = shell("check --expert nope --gate softmax", redirected)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


@FULL
@pytest.mark.parametrize("redirected", [">/dev/full 2>/dev/full", ">&- 2>&-", "<&- >&- 2>&-"])
def test_nothing_to_write_to(redirected: str) -> None:
    done = shell("--version", redirected)
    assert (done.returncode, done.stdout, done.stderr) == (74, "", "")


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    done = shell("experts", "| head -1")
    assert (done.returncode, done.stderr) == (0, "")


def test_no_control_character_is_left() -> None:
    every = "".join(map(chr, range(0x3000))) + "\ufeff\U000e0001"
    for character in shown(every):
        kind = unicodedata.category(character)
        assert kind not in ("Cc", "Zl", "Zp")
        assert unicodedata.bidirectional(character) not in ("LRE", "RLE", "LRO", "RLO", "PDF")
    assert shown("∂²h/∂a² naïve 数") == "∂²h/∂a² naïve 数"
    assert shown("a\n\tb", keep="\n\t") == "a\n\tb"


def test_texts_of_files_are_shown_escaped(tmp_path, capsys) -> None:
    assert "\x1b" not in plain(Text("a\x1b[2Jb"))
    assert "a\\x1b[2Jb" in plain(Text("a\x1b[2Jb"))
    assert str(InputError("column 'a\x1b]0;owned\x07\n'")) == r"column 'a\x1b]0;owned\x07\n'"
    name = tmp_path / "evil\x1b[31m\n.json"
    assert main(["verify", str(name)]) == 2
    told = capsys.readouterr().err
    assert "\x1b" not in told
    assert told.count("\n") == 1
    data = tmp_path / "data.csv"
    data.write_text("in\x1b[2Jput,out\x9b31m\n" + "\n".join(f"{i},{i * i % 7}" for i in range(40)))
    command = ["fit", str(data), "--expert", "linear", "--gate", "softmax", "--k", "1"]
    assert main([*command, "--no-check"]) in (0, 1)
    told = capsys.readouterr().out
    assert r"\x1b[2J" in told
    assert not {"\x1b", "\x9b"} & set(told)


def test_a_name_that_looks_like_markup(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert main(["verify", str(tmp_path / "[/bold].json")]) == 2
    assert "[/bold]" in capsys.readouterr().err
