"""The command line as its user meets it: whole processes and their exit codes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from jsonschema import Draft202012Validator

from identkit import __version__
from identkit.cli import main
from identkit.report.json_text import schema


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "identkit", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        **options,
    )


def test_the_first_command_of_the_readme():
    done = run("check", "--expert", "gelu", "--gate", "sigmoid")
    assert done.returncode == 0
    assert done.stderr == ""
    assert "Regime 1 · strong, expert level: yes" in done.stdout
    assert "Regime 2 · weak, product level: yes" in done.stdout
    assert "\x1b" not in done.stdout  # no colours when piped
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_version_is_instant_and_light():
    code = (
        "import sys; sys.argv = ['identkit', '--version']\n"
        "from identkit.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'sympy', 'flint', 'rich', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"identkit {__version__}", "[]"]


@pytest.mark.parametrize("arguments", [["check", "--expert", "relu", "--gate", "softmax"]])
def test_check_imports_nothing_heavy(arguments):
    code = (
        "import sys; from identkit.cli import main\n"
        f"main({arguments!r})\n"
        "heavy = {'torch', 'matplotlib', 'scipy', 'numpy', 'hypothesis', 'jsonschema', "
        "'transformers'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
        env={"PYTHONIOENCODING": "utf-8"},
    )
    assert done.stdout.splitlines()[-1] == "heavy: []"


BAD_INPUT = [
    ["check", "--expert", "gelo", "--gate", "sigmoid"],
    ["check", "--expert", "gelu", "--gate", "sigmod"],
    ["check", "--expert", "gelu"],
    ["check", "--gate", "sigmoid"],
    ["check", "--expert", "gelu", "--expr", "a*x", "--gate", "sigmoid"],
    ["check", "--expert", "gelu", "--gate", "sigmoid", "--shape", "round"],
    ["check", "--expert", "linear", "--gate", "sigmoid", "--shape", "ffn"],
    ["check", "--expert", "poly0", "--gate", "sigmoid"],
    ["check", "--expert", "poly999", "--gate", "sigmoid"],
    ["check", "--expert", "polyP", "--gate", "sigmoid"],
    ["check", "--expert", "gelu", "--gate", "sigmoid", "--dim", "0"],
    ["check", "--expert", "gelu", "--gate", "sigmoid", "--dim", "two"],
    ["check", "--expert", "gelu", "--gate", "sigmoid", "--atoms", "0"],
    ["check", "--expert", "gelu", "--gate", "sigmoid", "--atoms", "1000"],
    ["check", "--expert", "gelu", "--gate", "sigmoid", "--domain", "1", "1"],
    ["check", "--expert", "gelu", "--gate", "sigmoid", "--domain", "2", "-2"],
    ["check", "--expert", "gelu", "--gate", "sigmoid", "--domain", "nan", "1"],
    ["check", "--expert", "gelu", "--gate", "sigmoid", "--domain", "-inf", "1"],
    ["check", "--expert", "gelu", "--gate", "sigmoid", "--domain", "1", "1e99999999"],
    ["check", "--expert", "gelu", "--gate", "sigmoid", "--save", "/dev/null"],
    ["check", "--expr", "(-2)**(a*x)", "--gate", "sigmoid"],
    ["check", "--expr", "a*x*(exp(exp(exp(exp(10)))) - 3)", "--gate", "sigmoid"],
    ["check", "--expr", "tanh(b*x + c) + a - a", "--gate", "sigmoid"],
    ["check", "--expr", "sqrt(sin(4))*a*x", "--gate", "sigmoid"],
    ["verify", "/dev/zero"],
    ["check", "--expert", "gelu", "--gate", "sigmoid", "--seed", "-1"],
    ["check", "--expert", "gelu", "--gate", "sigmoid", "--max-precision", "2"],
    ["check", "--expert", "gelu", "--gate", "sigmoid", "--time-limit", "0"],
    ["check", "--expert", "gelu", "--gate", "sigmoid", "--time-limit", "nan"],
    ["check", "--expert", "gelu", "--gate", "sigmoid", "--regime", "3"],
    ["check", "--expert", "gelu", "--gate", "softmax", "--regime", "1"],
    ["check", "--expert", "gelu", "--gate", "sigmoid", "--condition", "strung"],
    [
        "check",
        "--expert",
        "gelu",
        "--gate",
        "sigmoid",
        "--condition",
        "shared-strong",
        "--level",
        "product",
    ],
    ["check", "--expert", "gelu", "--gate", "sigmoid", "--require", "both"],
    [
        "check",
        "--expert",
        "gelu",
        "--gate",
        "sigmoid",
        "--condition",
        "weak",
        "--require",
        "strong",
    ],
    ["check", "--expert", "gelu", "--gate", "sigmoid", "--save", "/nowhere/at/all.json"],
    ["check", "--expert", "gelu", "--gate", "sigmoid", "--params", "a"],
    ["check", "--expr", "a*x", "--gate", "sigmoid", "--shape", "ffn"],
    ["check", "--expr", "tanh(a*x+b", "--gate", "sigmoid"],
    ["check", "--expr", "__import__('os').system('x')", "--gate", "sigmoid"],
    ["check", "--expr", "x**1000000000*a", "--gate", "sigmoid"],
    ["check", "--expr", "a+b", "--gate", "sigmoid"],
    ["check", "--expr", "tanh(x)", "--gate", "sigmoid"],
    ["check", "--expr", "tanh(a*x)", "--gate", "sigmoid", "--dim", "3"],
    ["check", "--expr", "a*log(x)", "--gate", "sigmoid"],
    ["check", "--expr", "a/x", "--gate", "sigmoid"],
    ["check", "--expr", "a*sqrt(x)", "--gate", "softmax"],
    ["check", "--expr", "tan(x)*a", "--gate", "softmax"],
    ["verify", "/nowhere.json"],
    ["table", "--dim", "0"],
    ["table", "--paper", "2505.10861"],
    ["table", "--paper", "2505.10860", "--dim", "0"],
    ["chekc"],
]


@pytest.mark.parametrize("arguments", BAD_INPUT, ids=" ".join)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("identkit: ")
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err


def test_unknown_expert_suggests_the_nearest(capsys):
    main(["check", "--expert", "gellu", "--gate", "sigmoid"])
    assert "unknown expert 'gellu'; did you mean gelu" in capsys.readouterr().err


# 48 functions of one variable at 64 bits: the determinant's ball contains 0
HARD = ["--expert", "gelu", "--dim", "1", "--max-precision", "64", "--atoms", "8"]
EXIT_CODES = [
    (["--expert", "gelu", "--require", "strong"], 0),
    (["--expert", "relu", "--require", "strong", "--level", "product", "--condition", "strong"], 1),
    (["--expert", "linear", "--require", "strong"], 1),
    (["--expert", "linear", "--require", "weak"], 0),
    (["--expert", "linear"], 0),
    ([*HARD, "--regime", "1"], 3),
    ([*HARD, "--require", "strong"], 3),
    (["--expr", "log(a*x + b + 9)", "--time-limit", "1e-9"], 3),
    (["--expert", "gelu", "--time-limit", "1e-9"], 3),
]


@pytest.mark.parametrize(("arguments", "code"), EXIT_CODES)
def test_exit_codes(arguments, code, capsys):
    assert main(["check", *arguments, "--gate", "sigmoid"]) == code


def test_undecided_says_what_was_tried(capsys):
    main(["check", *HARD, "--gate", "softmax"])
    out = " ".join(capsys.readouterr().out.split())
    assert "strong, expert level: undecided" in out
    assert "a nonzero 48×48 determinant was sought" in out


def test_values_may_start_with_a_minus(capsys):
    arguments = ["check", "--expr", "-tanh(a*x)", "--gate", "softmax", "--domain", "-1/2", "1/2"]
    assert main(arguments) == 0
    assert "x in [-1/2, 1/2]" in capsys.readouterr().out


def test_softmax_can_be_required_weak(capsys):
    assert main(["check", "--expert", "gelu", "--gate", "softmax", "--require", "weak"]) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["--expert", "gelu"],
        ["--expert", "poly20", "--dim", "1", "--condition", "shared-strong"],
        ["--expert", "relu", "--condition", "strong", "--level", "product", "--require", "strong"],
        ["--expr", "sin(x + b)"],
        ["--expr", "tanh((p + q)*x + p)"],
        HARD,
    ],
)
def test_json_follows_the_schema(arguments, capsys):
    main(["check", *arguments, "--gate", "sigmoid", "--json"])
    text = capsys.readouterr().out
    document = json.loads(text)
    Draft202012Validator(schema("check-1")).validate(document)
    assert text == json.dumps(document, sort_keys=True, ensure_ascii=False, indent=1) + "\n"
    for result in document["results"]:
        assert {"regime", "condition", "verdict", "rank", "certificate", "agreement"} <= set(result)


def test_json_of_relu(capsys):
    main(
        [
            "check",
            "--expert",
            "relu",
            "--gate",
            "sigmoid",
            "--condition",
            "strong",
            "--level",
            "product",
            "--json",
        ]
    )
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["verdict"] == "no"
    assert result["certificate"]["kind"] == "relation"
    assert result["relations"][0] == "a0*∂h/∂a0 + a1*∂h/∂a1 + b*∂h/∂b = h"
    assert (result["rank"], result["functions"]) == (27, 36)


def test_save_then_verify(tmp_path, capsys):
    path = str(tmp_path / "cert.json")
    assert main(["check", "--expert", "silu", "--gate", "sigmoid", "--save", path]) == 0
    capsys.readouterr()
    assert main(["verify", path]) == 0
    assert (
        "strong, expert level: yes\n    every k, Lebesgue-almost every choice"
        in capsys.readouterr().out
    )
    assert main(["verify", path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verified"] is True
    text = (tmp_path / "cert.json").read_text(encoding="utf-8").replace('"yes"', '"no"', 1)
    (tmp_path / "cert.json").write_text(text, encoding="utf-8")
    assert main(["verify", path]) == 1
    assert "identkit: rejected: digest" in capsys.readouterr().err


def test_nothing_is_written_when_the_input_is_bad(tmp_path, capsys):
    path = tmp_path / "cert.json"
    assert main(["check", "--expr", "a*log(x)", "--gate", "sigmoid", "--save", str(path)]) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["experts", "gates", "conditions"])
def test_listings(kind, capsys):
    assert main([kind]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
    assert main([kind, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[kind]


@pytest.mark.usefixtures("checks_once")
def test_table_forms(capsys):
    main(["table", "--dim", "1"])
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    main(["table", "--dim", "1", "--json"])
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {r["agreement"] for r in rows} == {"confirmed", "contradicted", "unclaimed"}
    main(["table", "--dim", "1", "--markdown"])
    assert (
        "| input-free | no / no 1/log n; none | yes / no 1/log n !; premise fails ! "
        "| no / no 1/log n; none |"
    ) in (capsys.readouterr().out)
    main(["table", "--dim", "1", "--latex"])
    assert "\\begin{tabular}" in capsys.readouterr().out


def test_a_closed_pipe_is_not_an_error():
    done = subprocess.run(
        f"{sys.executable} -m identkit check --expert gelu --gate sigmoid --json | head -1",
        shell=True,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.stdout == "{\n"
    assert done.stderr == ""


def test_output_survives_an_ascii_locale():
    done = run(
        "check",
        "--expert",
        "relu",
        "--gate",
        "softmax",
        env={"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )
    assert done.returncode == 0
    assert "∂h/∂a0" in done.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["check", "--help"], ["verify", "--help"]])
def test_help_teaches(arguments, capsys):
    with pytest.raises(SystemExit) as done:
        main(arguments)
    assert done.value.code == 0
    assert "identkit" in capsys.readouterr().out


COMMANDS = (
    "check explain order table fit rates truth sweep runs report claims interactions regions "
    "routers verify experts"
)


@pytest.mark.parametrize("command", COMMANDS.split())
def test_help_fits_a_terminal(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
