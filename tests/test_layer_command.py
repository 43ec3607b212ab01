"""``identkit layer``: what it prints and says of layers, and what it does not say."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from identkit.cli.main import main
from identkit.gates import resolve
from identkit.layers.analysis import analyse
from identkit.layers.config import read_config
from identkit.layers.record import Divided, Scores
from identkit.layers.symbols import departures, gate_of
from identkit.report.json_text import schema
from identkit.report.layer_report import comparison
from identkit.report.terminal import plain

CONFIGS = Path(__file__).parent / "configs"
GATES = {
    "mixtral-8x7b": "top-2",
    "olmoe-1b-7b-0924": "top-8-unnormalised",
    "qwen1.5-moe-a2.7b": "top-4-unnormalised",
    "qwen3-30b-a3b": "top-8",
    "deepseek-v2-lite": "top-6-unnormalised",
    "deepseek-v2": None,
    "deepseek-v3": None,
    "granite-3.0-1b-a400m": "top-8",
    "gpt-oss-20b": "top-4",
    "llama-4-scout": None,
    "jetmoe-8b": "top-2",
    "switch-base-8": "top-1-unnormalised",
}


def source(name):
    return str(CONFIGS / f"{name}.json")


@cache
def found(name):
    return analyse(read_config(source(name)))


@pytest.mark.parametrize("name", GATES)
def test_the_gate_is_that_of_the_layer_or_none(name):
    gate, why = gate_of(read_config(source(name)).router)
    assert gate == GATES[name]
    assert bool(why) == (gate is None)
    if gate is not None:
        assert resolve(gate).name == gate


def test_gates_of_other_routers():
    router = read_config(source("deepseek-v3")).router
    alone = replace(router, groups=1, groups_kept=1)
    assert gate_of(alone)[0] == "top-8-biased"
    assert gate_of(replace(router, groups_kept=8))[0] == "top-8-biased"  # all groups are kept
    assert gate_of(replace(alone, divided=Divided.NOT))[0] is None
    assert gate_of(replace(alone, selection_bias=False))[0] is None
    every = replace(alone, selection_bias=False, selected=alone.count)
    assert gate_of(every)[0] == "normalized-sigmoid"
    assert gate_of(replace(every, divided=Divided.NOT))[0] == "sigmoid"
    assert gate_of(replace(every, scores=Scores.SOFTMAX))[0] == "softmax"
    assert gate_of(replace(every, temperature="2"))[0] is None
    many = replace(every, selected=65)
    assert gate_of(replace(many, scores=Scores.SOFTMAX))[0] is None  # gates select 64 at most


def test_what_departs_from_theorems():
    said = {n: departures(read_config(source(n))) for n in GATES}
    assert said["gpt-oss-20b"] == ()
    assert all("no intercept" in s[0] for n, s in said.items() if n != "gpt-oss-20b")
    assert any("shared experts" in s for s in said["deepseek-v2"])
    assert any("a vector is added" in s for s in said["jetmoe-8b"])
    assert any("dropped" in s for s in said["switch-base-8"])


@pytest.mark.parametrize("name", ["mixtral-8x7b", "deepseek-v3"])
def test_verdicts_are_of_no_neighbour(name):
    """A rate of the layer is none, by its curve, or undecided with the reason."""
    for each in found(name).decided:
        assert each.reasons
        if each.scaled:
            assert each.rate == "no consistent estimator of up and down"
        else:
            assert each.rate == "undecided"
        if GATES[name] is None:
            assert each.verdicts == ()
            assert each.command == ""
        else:
            assert f"--gate {GATES[name]}" in each.command


def test_changes_are_checked():
    changes = found("mixtral-8x7b").changes
    first, *others = changes
    assert first.gone == ("scale of up and down",)
    assert first.verdicts[0].verdict == "yes"
    by_command = {c.command.partition("--gate ")[2]: c for c in others}
    density = by_command["softmax --likelihood gaussian"].verdicts[0]
    assert density.rate == "n^-1/4"
    assert any("k < 2k*" in p for p in density.provided)
    sigmoids = by_command["normalized-sigmoid"]
    assert sigmoids.gone == ("common shift",)
    shared = next(c for c in others if "--shared" in c.command)
    assert any(v.regime == "shared half" for v in shared.verdicts)
    assert any("exchange of the halves" in n for n in shared.new)


def test_changes_of_a_layer_without_a_gate():
    first = found("deepseek-v3").changes[0]
    assert first.gone == ("scale of up and down",)
    assert first.verdicts == ()


def test_report(capsys):
    assert main(["layer", source("mixtral-8x7b")]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for said in ("W → W + 1·vᵀ", "up[j] → up[j]/r", "seed 0", "118784 dimensions", "any width"):
        assert said in text


def test_comparison_and_json(capsys):
    both = ("olmoe-1b-7b-0924", "deepseek-v3")
    assert main(["layer", "--compare", *map(source, both), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    Draft202012Validator.check_schema(schema("layer-1"))
    Draft202012Validator(schema("layer-1")).validate(document)
    rows = {d["what"]: (d["first"], d["second"]) for d in document["differences"]}
    assert rows["shift of the router"] == ("W → W + 1·vᵀ", "none")
    assert "permutation of units" not in rows
    text = plain(comparison(found("mixtral-8x7b"), found("deepseek-v3")))
    assert max(map(len, text.splitlines())) <= 80
    assert "the same" in text


def test_time_is_kept():
    """Little time: everything that was not reached is undecided, nothing is claimed."""
    short = analyse(read_config(source("gpt-oss-20b")), time_limit=1.0)
    assert short.seconds < 25
    assert all(each.rate == "undecided" for each in short.decided)
    assert all("common shift" not in c.gone for c in short.changes if "softmax" in c.command)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give one SOURCE"),
        (["a", "--compare", "b", "c"], "give one SOURCE"),
        (["none.json"], "No such file"),
        ([source("mixtral-8x7b"), "--time-limit", "0"], "--time-limit 0"),
        ([source("mixtral-8x7b"), "--seed", "-1"], "--seed -1"),
    ],
)
def test_what_is_refused(arguments, said, capsys):
    assert main(["layer", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_two_scales_of_one_unit():
    """Under relu both (down, gate) and (down, up): one of them is left when the other is held."""
    made = read_config(source("mixtral-8x7b"))
    expert = replace(made.expert, activation="relu", width=2)
    both = analyse(replace(made, expert=expert), time_limit=30)
    assert both.dimension == 4096 + 2 * 8 * 2
    whole, _, held, _ = both.decided
    assert whole.rate == "no consistent estimator of gate, up and down"
    assert held.rate == "no consistent estimator of gate and down"
    assert both.changes[0].gone == ()
