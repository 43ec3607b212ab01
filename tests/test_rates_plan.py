"""Sweep files: what they mean, and one sentence for each mistake in them."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import identkit
from identkit.errors import InputError
from identkit.fit.model import Model
from identkit.fit.result import Box
from identkit.mixing import MixingMeasure
from identkit.rates import plan as module
from identkit.rates.plan import defaults, load_plan, presets
from identkit.rates.truth import save_truth

TOP = """\
name = "test"
sizes = [100, 1000, 10000]
replicates = 8
noise = 0.01
budgets = [100]
flat = 0
starts = ["local"]
"""
GRID = """
[[grid]]
experts = ["gelu"]
gates = ["sigmoid"]
regimes = [1]
truth = {beta0 = [1, -1], beta1 = [[0], [-4.5]], eta = [[2.2, 0.7], [-4, 1.25]]}
"""
TRUTH = MixingMeasure([1.0, -1.0], [[0.0], [-4.5]], [[2.2, 0.7], [-4.0, 1.25]])


@pytest.fixture
def load(tmp_path):
    def load(text, **options):
        path = tmp_path / "plan.toml"
        path.write_text(text, encoding="utf-8")
        return load_plan(path, **options)

    return load


def with_(line, text=GRID):
    """A grid in which the key of a line is given by that line."""
    key = line.partition(" =")[0]
    kept = [old for old in text.splitlines() if old.partition(" =")[0] != key]
    return "\n".join([*kept, line]) + "\n"


# -- what a file means ------------------------------------------------------------------------


def test_a_plan(load):
    plan = load(TOP + GRID)
    assert plan.name == "test"
    assert plan.source_text == TOP + GRID
    (found,) = plan.experiments
    assert found.name == "gelu ridge / sigmoid regime 1"
    assert (found.sizes, found.replicates, found.control) == ((100, 1000, 10000), 8, 0)
    assert found.starts == ("local",)
    setting = found.setting
    assert (setting.model.expert.label, setting.regime) == ("gelu ridge", 1)
    assert (setting.k, setting.noise, setting.over, setting.seed) == (3, 0.01, 0, 1)
    assert (setting.budgets, setting.flat, setting.scale) == ((100,), 0.0, 0.1)
    assert setting.truth.to_dict() == TRUTH.to_dict()


def test_every_key(load):
    text = """
    name = " all "
    sizes = {from = 1000, to = 100000, count = 5}
    replicates = 40
    control = 3
    seed = 9223372036854775807
    budgets = [5, 7]
    dim = 2
    noise = 1
    [[grid]]
    label = "wide"
    experts = ["gelu", {expr = "c*tanh(a*x0 + y)", params = ["c", "a", "y"]}]
    gates = ["softmax", "sigmoid"]
    regimes = [2]
    starts = ["null", "split"]
    k = 4
    noise = 0.5
    box = {beta0 = [-2, 4], eta = [[-9, 9], 8, 7]}
    truth = {beta0 = [1, 0], beta1 = [[1, 1], [0, 0]], eta = [[1, 2, 3], [3, 1, 2]]}
    over = 0
    flat = 1e-6
    scale = 0
    spread = 0.2
    trials = 2
    domain = [-1, 1.5]
    """
    found = load(text).experiments
    assert [e.name for e in found] == [
        "gelu ridge, wide / softmax",
        "gelu ridge, wide / sigmoid regime 2",
        "c*tanh(a*x0 + y), wide / softmax",
        "c*tanh(a*x0 + y), wide / sigmoid regime 2",
    ]
    for experiment in found:
        assert experiment.sizes == (1000, 3162, 10000, 31623, 100000)
        assert (experiment.replicates, experiment.control) == (40, 3)
        assert experiment.starts == ("null", "split")
        s = experiment.setting
        assert (s.seed, s.budgets, s.k, s.noise, s.over) == (2**63 - 1, (5, 7), 4, 0.5, 0)
        assert (s.flat, s.scale, s.spread, s.trials, s.domain) == (1e-6, 0, 0.2, 2, (-1, 1.5))
        assert s.box.pair("beta0") == (-2, 4)
        assert s.box.pair("beta1") == (-10, 10)
        assert s.box.eta == ((-9, 9), (-8, 8), (-7, 7))
        assert s.model.dim == 2
    assert found[2].setting.model.parameters == ("c", "a", "y")


def test_the_box_has_one_key_however_it_is_written(load):
    ways = ["10", "10.0", "[-10, 10]", "[-10.0, 10]"]
    keys = {load(TOP + GRID + f"box = {{eta = {w}}}").experiments[0].setting.key for w in ways}
    assert len(keys) == 1
    usual = load(TOP + GRID).experiments[0].setting.box
    assert usual.pair("beta0") == (-1.5, 4.0)  # the suggested one: no atom without weight


def test_grids_override_the_top_and_regimes_default_to_all(load):
    truth = "truth = {beta0 = [1, 0], beta1 = [[0], [-2]], eta = [[1], [2]]}\n"
    text = TOP + 'k = 2\ngates = ["sigmoid"]\nexperts = ["input-free"]\n' + truth
    text += "[[grid]]\n[[grid]]\nlabel = 'b'\nreplicates = 9\nseed = 3\ngates = ['softmax']\n"
    found = load(text).experiments
    assert [(e.name, e.replicates, e.setting.seed) for e in found] == [
        ("input-free / sigmoid regime 1", 8, 1),
        ("input-free / sigmoid regime 2", 8, 1),
        ("input-free, b / softmax", 9, 3),
    ]


def test_truth_files(load, tmp_path):
    model = Model.of("gelu", "sigmoid")
    (tmp_path / "deep").mkdir()
    TRUTH.save(tmp_path / "deep" / "bare.json")
    save_truth(
        tmp_path / "full.json", model, TRUTH, noise=0.02, box=Box(beta0=(-1.5, 4.0)), regime=1,
        conditioning=None, seed=None,
    )  # fmt: skip
    (bare,) = load(TOP + with_('truth = "deep/bare.json"')).experiments
    assert (bare.setting.noise, bare.setting.box.pair("beta0")) == (0.01, (-1.5, 4.0))
    top = TOP.replace("noise = 0.01\n", "")
    (full,) = load(top + with_('truth = "full.json"')).experiments
    assert (full.setting.noise, full.setting.box.pair("beta0")) == (0.02, (-1.5, 4))
    (own,) = load(TOP + with_('truth = "full.json"') + "box = {}").experiments
    assert (own.setting.noise, own.setting.box.pair("beta0")) == (0.01, (-10, 10))


def test_search(load, monkeypatch):
    from identkit.rates import truth_search as search

    asked, said = [], []

    class Found:
        truth, noise, box, over = TRUTH, 0.02, Box(beta0=(-1.5, 4.0)), 0

    def fake(model, **options):
        asked.append(options)
        return Found

    monkeypatch.setattr(search, "search_truth", fake)
    text = TOP.replace("noise = 0.01\n", "seed = 7\n") + with_("truth = 'search'")
    (found,) = load(text, progress=said.append).experiments
    assert asked == [{"regime": 1, "over": 0, "seed": 7, "domain": (-3.0, 3.0), "atoms": 2}]
    assert said == ["searching a truth for gelu ridge / sigmoid regime 1"]
    assert (found.setting.noise, found.setting.box.pair("beta0")) == (0.02, (-1.5, 4))
    (found,) = load(text.replace("truth = 'search'", "noise = 0.5")).experiments
    assert found.setting.noise == 0.5


@pytest.mark.slow
def test_a_real_search(load):
    (found,) = load(TOP.replace("noise = 0.01\n", "") + with_("truth = 'search'")).experiments
    assert 0 < found.setting.noise <= 0.01


def test_defaults_follow_what_is_proved():
    said = []
    assert defaults(Model.of("linear", "softmax"), None, progress=said.append) == (
        1e-8,
        ("split",),
    )
    assert defaults(Model.of("gelu", "sigmoid"), 1) == (0.0, ("local",))
    assert defaults(Model.of("gelu", "sigmoid"), 2) == (1e-8, ("null", "local"))
    assert said == ["checking linear under softmax"]


def test_defaults_are_used_unless_given(load, monkeypatch):
    monkeypatch.setattr(module, "defaults", lambda *_: module.Defaults(0.5, ("null",)))
    for left_out, expected in (
        (("starts", "flat"), (("null",), 0.5)),
        (("starts",), (("null",), 0.0)),
        (("flat",), (("local",), 0.5)),
        ((), (("local",), 0.0)),
    ):
        lines = [line for line in TOP.splitlines() if not line.startswith(left_out or "#")]
        found = load("\n".join(lines) + GRID).experiments[0]
        assert (found.starts, found.setting.flat) == expected


def test_presets_load(monkeypatch):
    monkeypatch.setattr(module, "defaults", lambda *_: module.Defaults(0.5, ("local",)))  # fast
    found = presets()
    assert "quick" in found
    for name, description in found.items():
        assert len(description) > 20
        assert not description.startswith("#")
        text = (module._preset_folder() / f"{name}.toml").read_text(encoding="utf-8")
        if "search" not in text:
            plan = load_plan(name)
            assert plan.experiments
            assert plan.source_text == text


# -- mistakes ---------------------------------------------------------------------------------

IN_GRID = {
    'experst = ["gelu"]': "unknown key 'experst'; did you mean experts?",
    "name = 'x'": "unknown key 'name'",
    "experts = []": "experts: [] must be a list of experts in brackets.",
    'experts = "gelu"': 'experts: "gelu" must be a list of experts',
    'experts = ["gleu"]': "experts: unknown expert 'gleu'; did you mean gelu",
    "experts = [1]": "experts: 1 must be a name or a table",
    "experts = [{}]": "experts: {} must have either name or expr.",
    'experts = [{name = "gelu", expr = "a*x"}]': "must have either name or expr",
    'experts = [{nmae = "gelu"}]': "experts: unknown key 'nmae'; did you mean name?",
    'experts = [{name = "gelu", shape = "fnn"}]': "experts: unknown shape 'fnn'; did you mean ffn",
    'experts = [{name = "linear", shape = "ffn"}]': "experts: shape ffn: expert linear has no",
    'experts = [{expr = "a*x", shape = "ffn"}]': "shape belongs to name; leave it out",
    'experts = [{name = "gelu", params = ["a"]}]': "params belongs to expr; leave it out",
    'experts = [{expr = "a*x", params = ["b"]}]': "experts: params: b is not in 'a*x'",
    'experts = [{expr = "a*", params = ["a"]}]': "experts: expression",
    'experts = [{expr = "a*x", params = "a"}]': 'params: "a" must be a list of names',
    'experts = ["gelu", "gelu"]': "there is an experiment 'gelu ridge / sigmoid regime 1' already",
    'experts = ["tanh", {name = "gelu", shape = "ffn"}]': "gelu ffn / sigmoid regime 1: mixing",
    'gates = ["sigmod"]': "gates: unknown gate 'sigmod'; did you mean sigmoid",
    "gates = [2]": "gates: 2 must be a text in quotes",
    "regimes = [3]": "regimes: 3: the sigmoid gate has no such regime; choose sparse (1) or",
    "regimes = 1": "regimes: 1 must be a list of regimes in brackets.",
    "regimes = [2]": "gelu ridge / sigmoid regime 2: truth: Regime 2 needs β1* ≠ 0",
    "dim = 0": "dim: 0 must be a whole number from 1 to 64.",
    "dim = 2": "gelu ridge / sigmoid regime 1: mixing measure: it has d = 1 inputs",
    "dim = true": "dim: true must be a whole number",
    'starts = ["lokal"]': "starts: unknown start 'lokal'; did you mean local?",
    'starts = ["local", "local"]': "starts: name at least one kind, each once",
    "k = 1": "regime 1: k: 1 atoms must be at least the truth's 2",
    "k = 2.5": "k: 2.5 must be a whole number from 1 to 100.",
    "noise = 0": "noise: 0 must be above 0.",
    "noise = nan": "noise: NaN must be a number.",
    "noise = inf": "noise: Infinity must be a number.",
    'noise = "small"': 'noise: "small" must be a number.',
    "box = 10": "box: 10 must be a table",
    "box = {beta2 = 1}": "box: there is no beta2; the blocks are",
    "box = {beta0 = -1}": "box: beta0: -1 must be above 0.",
    "box = {beta0 = [4, -1]}": "box: beta0: low 4 is not below high -1",
    "box = {beta0 = [1, 2, 3]}": "box: beta0: [1, 2, 3] must be two numbers",
    "box = {eta = [[1, 2]]}": "box: eta has 1 entries, the expert has 2 parameters",
    "box = {eta = inf}": "box: eta: Infinity must be a number.",
    "box = {eta = 3}": "box: it leaves out the truth, a = -4 of atom 1; widen it",
    "truth = 1": 'truth: 1 must be "search", the path of a truth file, or a table',
    'truth = "none.json"': "none.json: cannot be read (No such file or directory)",
    'truth = "none.txt"': "must end in .json",
    "truth = {beta0 = [1], beta1 = [[0]]}": "truth: eta is missing",
    "truth = {beta0 = [1], beta1 = [0], eta = [[1, 2]]}": "beta1: has shape (1,), must",
    'truth = {beta0 = ["1"], beta1 = [[0]], eta = [[1, 2]]}': 'truth: beta0: "1" must be a number.',
    "truth = {beta0 = [1, 2], beta1 = [[0]], eta = [[1, 2]]}": "2, 1 and 1 atoms",
    "truth = {beta0 = [1], beta1 = [[0]], eta = [[1, 2]], gamma = 1}": "unknown key 'gamma'",
    "over = 2": "over: the truth has no atom 2",
    "over = 1": "truth: Regime 1 needs β1* = 0 at the over-specified atom 1",
    "flat = 1": "flat: 1 must be below 1.",
    "flat = -1": "flat: -1 must be at least 0.",
    "scale = -0.1": "scale: -0.1 must be at least 0.",
    "spread = 'a'": 'spread: "a" must be a number.',
    "trials = 0": "trials: 0 must be a whole number from 1 to 1,000.",
    "domain = 3": "domain: 3 must be two numbers [low, high].",
    "domain = [3, -3]": "domain: low 3 is not below high -3",
    "seed = -1": "seed: -1 must be a whole number from 0",
    "seed = 9223372036854775808": "seed: 9223372036854775808 must be a whole number",
    "sizes = [100, 200]": "sizes: [100, 200] must be 3 or more sample sizes in increasing order.",
    "sizes = [100, 200, 200]": "sizes: [100, 200, 200] must be 3 or more",
    "sizes = [100, 200, 1e4]": "sizes: 10000.0 must be a whole number",
    "sizes = [10, 100, 1000]": "sizes: 10 samples are fewer than the 12 parameters",
    "sizes = [100, 200, 20000000]": "sizes: 20000000 must be a whole number from 1 to 10,000,000.",
    "sizes = {from = 10, to = 20}": "sizes: count is missing; write {from = 1000",
    "sizes = {from = 20, to = 10, count = 3}": "sizes: from = 20 is not below to = 10",
    "sizes = {from = 10, to = 12, count = 9}": "sizes: 9 sizes do not fit between 10 and 12",
    "sizes = {from = 10, too = 12, count = 9}": "sizes: unknown key 'too'; did you mean to?",
    "sizes = {from = 10, to = 1000, count = 1}": "sizes: count: 1 must be a whole number from 3",
    "replicates = 1": "replicates: 1 must be a whole number from 2 to 100,000.",
    "control = -1": "control: -1 must be a whole number from 0",
    "budgets = [300, 100]": "budgets: [300, 100] must be 1 or more step limits",
    "budgets = 300": "budgets: 300 must be a list of step limits",
    'label = ""': 'label: "" must be a text in quotes',
}


@pytest.mark.parametrize("line", IN_GRID)
def test_mistakes_in_a_grid(load, line):
    with pytest.raises(InputError) as caught:
        load(TOP + with_(line))
    message = str(caught.value)
    assert re.match(r".*plan\.toml: \[\[grid\]\] 1[:,] ", message)
    assert IN_GRID[line] in message
    assert "\n" not in message
    assert message.endswith((".", "?", ")"))


ELSEWHERE = {
    "": "top level: name: give a text",
    'name = "x"': "grid: write one or more tables under [[grid]]",
    'name = "x"\ngrid = 3': "grid: write one or more tables under [[grid]]",
    'name = "x"\ngrid = []': "grid: write one or more tables under [[grid]]",
    'name = "x"\n[grid]': "grid: write one or more tables under [[grid]]",
    "name = 3" + GRID: "top level: name: give a text",
    'nmae = "x"' + GRID: "top level: unknown key 'nmae'; did you mean name?",
    TOP + "noise = 0.1" + GRID: "is not TOML: Cannot overwrite a value (at line 8, column 12)",
    TOP + "[[grids]]": "top level: unknown key 'grids'; did you mean grid",
    TOP + "size = [1]" + GRID: "top level: unknown key 'size'; did you mean",
    TOP.replace("0.01", "'a'") + GRID: 'top level: noise: "a" must be a number.',
    TOP.replace("noise = 0.01\n", "") + GRID: "regime 1: noise: is missing; write, say, noise =",
    TOP + "[[grid]]\ngates = ['sigmoid']": '[[grid]] 1: experts: is missing; write, say, experts =',
    TOP + "[[grid]]\nexperts = ['gelu']": "[[grid]] 1: gates: is missing",
    TOP.replace("replicates = 8\n", "") + GRID: "[[grid]] 1: replicates: is missing",
    TOP.replace("sizes", "#") + GRID: "[[grid]] 1: sizes: is missing",
    TOP + GRID + "[[grid]]\nfoo = 1": "[[grid]] 2: unknown key 'foo'",
    TOP + GRID + GRID: "[[grid]] 2: experts: there is an experiment 'gelu ridge",
    TOP + GRID + with_("k = 1"): "[[grid]] 2, gelu ridge / sigmoid regime 1: k: 1 atoms",
    TOP + GRID + "[": "is not TOML: ",
    TOP + "a = " + "[" * 2000 + "]" * 2000: "is not TOML: too deeply nested",
    "#" * 2**21: "has more than 1,048,576 bytes",
}  # fmt: skip


@pytest.mark.parametrize("text", ELSEWHERE, ids=range(len(ELSEWHERE)))
def test_mistakes_elsewhere(load, text):
    with pytest.raises(InputError, match=r"plan\.toml: ") as caught:
        load(text)
    assert ELSEWHERE[text] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_first_of_several_mistakes_is_told(load):
    with pytest.raises(InputError, match="noise: -1 must be above 0"):
        load(TOP.replace("0.01", "-1") + GRID + "k = 0\nfoo = 3")


def test_files_that_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "latin.toml").write_bytes(b"name = '\xe4'")
    (tmp_path / "quiet").write_text(TOP + GRID)
    for name, said in (
        ("quikc", r"unknown preset 'quikc'; did you mean quick.* A sweep file of your own ends in"),
        ("none.toml", r"none.toml: cannot be read \(No such file"),
        ("folder/quick", r"folder/quick: cannot be read \(No such file"),
        ("folder.toml", r"folder.toml: cannot be read \(Is a directory"),
        ("latin.toml", "latin.toml: is not text in UTF-8"),
        ("a\0b.toml", "cannot be read"),
    ):
        with pytest.raises(InputError, match=said):
            load_plan(name)
    assert load_plan("quiet").name == "test"  # any file that is there


def test_a_damaged_truth_file_is_named(load, tmp_path):
    (tmp_path / "bad.json").write_text(json.dumps({"schema": "other"}))
    with pytest.raises(InputError, match=r"plan.toml: \[\[grid\]\] 1, gelu.*bad.json: "):
        load(TOP + with_('truth = "bad.json"'))


def test_both_gates_of_the_neurips_plan_have_the_same_data(monkeypatch):
    """σ(s)·h1 + σ(-s)·h2 is a model of either gate: the same f, hence the same x and y."""
    monkeypatch.setattr(module, "defaults", lambda *_: module.Defaults(0.5, ("null",)))
    by_gate = {}
    for e in load_plan("neurips").experiments:
        s = e.setting
        data = identkit.simulate(s.model, s.truth, 500, 2, noise=s.noise, seed=s.seed)
        by_gate.setdefault(s.model.expert.name, []).append(data.data(1))
    for (x, y), (other_x, other_y) in by_gate.values():
        np.testing.assert_array_equal(x, other_x)
        np.testing.assert_allclose(y, other_y, rtol=0, atol=1e-14 * np.abs(y).max())
