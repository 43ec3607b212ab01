"""What is met first: a model in two words, names in any case, what is misspelt."""

from __future__ import annotations

import json

import pytest

from identkit import Expert, check
from identkit.cli import main
from identkit.experts import builtin
from identkit.expression import parse
from identkit.gates import resolve as gate
from identkit.likelihoods import resolve as likelihood


def said(capsys, *arguments):
    """(exit code, standard output, standard error) of a command in this process."""
    try:
        code = main(arguments)
    except SystemExit as ended:  # --help
        code = ended.code
    out, err = capsys.readouterr()
    return code, out, err


def answers(capsys, *arguments):
    """What a check says, without its seconds."""
    code, out, err = said(capsys, *arguments, "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    return document["expert"], document["gate"], [r["verdict"] for r in document["results"]]


@pytest.mark.parametrize(
    ("short", "long"),
    [
        (["gelu", "sigmoid"], ["--expert", "gelu", "--gate", "sigmoid"]),
        (["c*tanh(a*x)", "softmax"], ["--expr", "c*tanh(a*x)", "--gate", "softmax"]),
        (["-a*x + b", "softmax"], ["--expr", "-a*x + b", "--gate", "softmax"]),
        (["gelu ffn", "softmax"], ["--expert", "gelu", "--shape", "ffn", "--gate", "softmax"]),
        (["gelu", "--dim", "1", "softmax"], ["--expert", "gelu", "--gate", "softmax", "--dim=1"]),
        (["--dim", "1", "gelu", "softmax"], ["--expert", "gelu", "--gate", "softmax", "--dim=1"]),
        (["gelu", "(1 + tanh(s))/2"], ["--expert", "gelu", "--gate", "(1 + tanh(s))/2"]),
    ],
)
def test_two_words_are_the_same_model(capsys, short, long):
    assert answers(capsys, "check", *short) == answers(capsys, "check", *long)


def test_other_commands_take_two_words(capsys):
    for command in ("explain", "order"):
        short = said(capsys, command, "linear", "softmax")
        long = said(capsys, command, "--expert", "linear", "--gate", "softmax")
        assert short[0] in (0, 3)
        assert short[::2] == long[::2]
        assert short[1].splitlines()[:3] == long[1].splitlines()[:3] != []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["check", "gelu", "softmax", "--gate", "sigmoid"], "'gelu' and --gate are two ways"),
        (["explain", "gelu", "softmax", "--expr", "a*x"], "'gelu' and --expr are two ways"),
        (["order", "softmax", "--expert", "gelu"], "'softmax' and --expert are two ways"),
        (["rates", "gelu", "softmax", "--expert", "gelu"], "'gelu' and --expert are two ways"),
        (["check", "gelu"], "the gate is missing; write it behind"),
        (["check"], "check: give an expert and a gate, as in identkit check gelu softmax. See"),
        (["check", "--expert", "gelu"], "--gate is missing. See 'identkit check --help'."),
        (["check", "--gate", "softmax"], "--expert or --expr is missing."),
        (["rates"], "rates: give an expert and a gate, as in identkit rates gelu sigmoid"),
        (["check", "gelu ffn", "softmax", "--shape", "ffn"], "'gelu ffn' says its shape"),
        (["check", "gelo", "softmax"], "unknown expert 'gelo'; did you mean gelu"),
        (["check", "gelu", "softmax", "sigmoid"], "'sigmoid' is one argument too many"),
    ],
)
def test_a_model_that_is_not_said_once(capsys, arguments, sentence):
    code, out, err = said(capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert sentence in err


@pytest.mark.parametrize("command", ["check", "explain", "order", "rates"])
def test_help_shows_two_words_first(capsys, command):
    code, out, _ = said(capsys, command, "--help")
    assert code == 0
    assert out.startswith(f"usage: identkit {command} EXPERT GATE [options]\n")
    assert "--expert NAME | --expr EXPR" in out
    first = out[out.index("examples:") :].splitlines()[1]
    assert first.startswith(f"  identkit {command} ")
    assert "--expert" not in first
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["chekc"], "unknown command 'chekc'; did you mean check? See 'identkit --help'."),
        (["zzz"], "unknown command 'zzz'; see 'identkit --help'."),
        (
            ["check", "--expret", "gelu"],
            "unknown option '--expret'; did you mean --expert? See 'identkit check --help'.",
        ),
        (
            ["fit", "data.csv", "--gaet", "softmax"],
            "unknown option '--gaet'; did you mean --gate? See 'identkit fit --help'.",
        ),
        (
            ["verify", "a.json", "--qqqq=1"],
            "unknown option '--qqqq'; see 'identkit verify --help'.",
        ),
        (["check", "gelu", "softmax", "-q"], "unknown option '-q'; see 'identkit check --help'."),
        (["--versoin"], "unknown option '--versoin'; did you mean --version?"),
        (["order", "gelu", "softmax", "--cell", "two"], "see 'identkit order --help'."),
    ],
)
def test_what_is_misspelt(capsys, arguments, sentence):
    code, out, err = said(capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert sentence in err


def test_options_may_be_shortened(capsys):
    whole = answers(capsys, "check", "gelu", "softmax", "--condition", "strong")
    assert answers(capsys, "check", "gelu", "softmax", "--cond", "strong") == whole


@pytest.mark.parametrize(
    ("written", "known"),
    [
        ("Softmax", "softmax"),
        (" SOFTMAX ", "softmax"),
        ("Normalized-Sigmoid", "normalized-sigmoid"),
        ("Top-2-Biased", "top-2-biased"),
        ("TOP-2", "top-2"),
        ("Dense-To-Sparse Tanh-Bias", "dense-to-sparse tanh-bias"),
        ("dense-to-sparse TanH(W*x)", "dense-to-sparse tanh(W*x)"),
        ("Dense-to-sparse Linear", "dense-to-sparse linear"),
        ("(1 + Tanh(s))/2", "(1 + tanh(s))/2"),
        ("Normalised Sigmoid", "normalised sigmoid(s)"),
    ],
)
def test_gates_in_any_case(written, known):
    assert gate(written).name == gate(known).name


def test_experts_likelihoods_and_regimes_in_any_case():
    assert builtin("GELU", "FFN", 1) == builtin("gelu", "ffn", 1)
    assert builtin("Poly3") == builtin("poly3")
    assert builtin("Input-Free") == builtin("input-free")
    assert likelihood("Gaussian", "Common") is likelihood("gaussian", "common")
    assert likelihood("Least-Squares") is likelihood("least-squares")
    own = gate("sigmoid")
    assert own.chosen("Sparse") is own.chosen("sparse") is own.chosen(1)
    assert gate("Softmax", "Gaussian") is gate("softmax", "gaussian")
    result = check("ReLU", "Sigmoid", dim=1, regime="SPARSE", likelihood="LEAST-SQUARES")
    assert (result.expert.name, result.gate) == ("relu", "sigmoid")


def test_names_in_any_case_on_the_command_line(capsys):
    small = ("gelu", "sigmoid", "--regime", "sparse", "--shape", "nobias")
    large = ("GELU", "Sigmoid", "--regime", "Sparse", "--shape", "NoBias")
    assert answers(capsys, "check", *large) == answers(capsys, "check", *small)
    routed = answers(
        capsys, "check", "GELU", "Dense-To-Sparse", "--router", "Tanh", "--dim=1",
        "--condition=strong",
    )  # fmt: skip
    assert routed[:2] == (builtin("gelu", dim=1).canonical(), "dense-to-sparse tanh")
    code, _, err = said(capsys, "check", "Gelo", "softmax")
    assert (code, "unknown expert 'Gelo'; did you mean gelu" in err) == (2, True)
    code, _, err = said(capsys, "check", "gelu", "Sofmax")
    assert (code, "unknown gate 'Sofmax'; did you mean softmax" in err) == (2, True)


def test_functions_in_any_case_and_parameters_as_written():
    folded = Expert.from_expression("c*ReLU(a*x + A)")
    assert folded.text == "c*relu(a*x + A)"
    assert folded.parameters == ("c", "a", "A")
    # a name that no bracket follows is a parameter
    mixed = Expert.from_expression("ReLU*TANH (max*x) + MAX(x, Exp)")
    assert mixed.parameters == ("ReLU", "max", "Exp")
    assert parse("GELU(a*x)") == parse("gelu(a*x)")
    assert parse("max(a*x, b)") == parse("Max(a*x, b)")
    assert parse("A*x") != parse("a*x")
    assert str(parse("Pi*x")) == "Pi*x"
