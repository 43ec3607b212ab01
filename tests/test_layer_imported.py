"""Layers of torch by name: code is imported, and what fails there is one sentence."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

from identkit.cli.main import main  # noqa: E402
from identkit.errors import InputError  # noqa: E402
from identkit.layers.imported import MOST, load  # noqa: E402

LAYER = '''
import torch
from torch import nn
from torch.nn import functional

print("imported")


class Expert(nn.Module):
    def __init__(self, d, m):
        super().__init__()
        self.w1, self.w3 = nn.Linear(d, m, bias=False), nn.Linear(d, m, bias=False)
        self.w2 = nn.Linear(m, d, bias=False)

    def forward(self, x):
        return self.w2(functional.silu(self.w1(x)) * self.w3(x))


class Layer(nn.Module):
    made = 0

    def __init__(self, config=None):
        super().__init__()
        Layer.made += torch.empty(1).device.type != "meta"
        d, m, n = (8, 5, 4) if config is None else (config.d, config.sizes.m, config.n)
        self.router = nn.Linear(d, n, bias=False)
        self.experts = nn.ModuleList([Expert(d, m) for _ in range(n)])

    def forward(self, x):
        weights, indices = self.router(x).softmax(-1).topk(2, -1)
        weights = weights / weights.sum(-1, keepdim=True)
        out = 0
        for i, expert in enumerate(self.experts):
            out = out + (weights * (indices == i)).sum(-1, keepdim=True) * expert(x)
        return out


class Needs(Layer):
    def __init__(self, config):
        super().__init__(config)


class Wide(Layer):
    def __init__(self):
        nn.Module.__init__(self)
        if torch.empty(1).device.type != "meta":
            raise AssertionError("it was made")
        self.experts = nn.ModuleList([Expert(4096, 14336) for _ in range(8)])


class Reads(Layer):
    """Cannot be made without memory: it looks at a number."""

    def __init__(self):
        super().__init__()
        self.router.weight.sum().item()


class Holder:
    layer = Layer()


def make():
    return Layer()


def nothing():
    return None


def stops():
    raise SystemExit(3)


made = Layer()
number = 3
lazy = nn.LazyLinear(3)
'''


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "own.py"
    path.write_text(LAYER, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", ["Layer", "make", "made", "Holder.layer", "Reads"])
def test_what_names_a_layer(file, name, capsys):
    layer = load(file, name)
    assert type(layer).__name__ in ("Layer", "Reads")
    assert capsys.readouterr().out == ""  # what it prints is no part of the report


def test_numbers_are_those_of_the_seed(file):
    state = torch.random.get_rng_state()
    one, same, other = (load(file, "Layer", seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.router.weight, same.router.weight)
    assert not torch.equal(one.router.weight, other.router.weight)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_package_and_a_configuration(file, tmp_path):
    folder = tmp_path / "ownpackage"
    folder.mkdir()
    (folder / "__init__.py").write_text("", encoding="utf-8")
    (folder / "layers.py").write_text(LAYER, encoding="utf-8")
    config = tmp_path / "sizes.json"
    config.write_text(json.dumps({"d": 6, "n": 3, "sizes": {"m": 7}}), encoding="utf-8")
    found = load("ownpackage.layers", "Needs", config=str(config))
    assert found.router.weight.shape == (3, 6)
    assert found.experts[0].w1.weight.shape == (7, 6)


def test_the_command(file, tmp_path, capsys):
    assert main(["layer", "own.py:Layer", "--json"]) == 0
    (layer,) = json.loads(capsys.readouterr().out)["layers"]
    assert layer["architecture"]["source"] == "own:Layer"
    assert layer["gate"] == "top-2"
    assert layer["dimension"] == 8 + 4 * 5
    config = tmp_path / "config.json"
    config.write_text('{"model_type": "mixtral"}', encoding="utf-8")
    assert main(["layer", "--compare", "own:make", str(config), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    rows = {d["what"]: (d["first"], d["second"]) for d in document["differences"]}
    assert rows["d"] == ("8", "4096")
    assert "shift of the router" not in rows


REFUSED = [
    ("none.py", "Layer", "none.py: no such file; give file.py:NAME"),
    ("nowhere.layers", "Layer", "no module nowhere is found from here"),
    ("own.py", "Leyer", "unknown name in own.py 'Leyer'; did you mean Layer"),
    ("own.py", "Layer.none", "unknown name in own.py 'none'"),
    ("own.py", "number", "own.py:number: is of type int; give a module of torch"),
    ("own.py", "nothing", "own.py:nothing: makes a NoneType; give a class or function"),
    ("own.py", "stops", r"stops: making it raises SystemExit \(3\) in own.py, line \d+; repair"),
    ("own.py", "Needs", r"Needs: making it raises TypeError .*missing 1 .* --config FILE"),
    ("own.py", "Layer.forward", r"TypeError \(.*missing 2 .*'self' and 'x'\); repair it, or give"),
    ("own.py", "lazy", "own.py:lazy: has no sizes yet"),
    ("own.py", "Wide", f"Wide: has 1,409,286,144 numbers, and at most {MOST:,} are read; make it"),
    ("broken.py", "Layer", r"broken.py: importing it raises SyntaxError .*; repair it"),
    (
        "raising.py",
        "Layer",
        r"importing it raises ValueError \(no luck\) in raising.py, line 1; rep",
    ),
    ("needing.py", "Layer", "needing.py: importing it needs nowhere; install it"),
]


@pytest.mark.parametrize(("place", "name", "said"), REFUSED)
def test_what_is_refused(file, tmp_path, place, name, said):
    (tmp_path / "broken.py").write_text("def f(:\n", encoding="utf-8")
    (tmp_path / "raising.py").write_text("raise ValueError('no luck\\nat all')\n", encoding="utf-8")
    (tmp_path / "needing.py").write_text("import nowhere\n", encoding="utf-8")
    with pytest.raises(InputError, match=said) as refused:
        load(place, name)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["own.py"], "own.py: is a file of code; give own.py:NAME"),
        (["own.py:made", "--config", "c.json"], "own.py:made: is made already"),
        (["config.json", "--config", "c.json"], "--config c.json: is for a class of torch"),
        (["own.py:Needs", "--config", "none.json"], "none.json: No such file"),
        (["own.py:Needs", "--config", "c.json"], "has no attribute 'n'"),
        (["own.py:Expert", "--config", "c.json"], "making it raises TypeError"),
        (["--compare", "own.py:Layer", "own.py:Leyer"], "did you mean Layer"),
        (["own.py:Layer", "--html", "no/where.html"], "--html 'no/where.html': its directory"),
    ],
)  # fmt: skip
def test_what_the_command_refuses(file, tmp_path, arguments, said, capsys):
    (tmp_path / "c.json").write_text('{"d": 6, "sizes": {"m": 3}}', encoding="utf-8")
    assert main(["layer", *arguments]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert "Traceback" not in captured.err


def test_a_layer_that_cannot_be_copied(file, tmp_path, capsys):
    code = LAYER + "\nlayer = Layer()\nlayer.lock = __import__('threading').Lock()\n"
    (tmp_path / "held.py").write_text(code, encoding="utf-8")
    assert main(["layer", "held.py:layer"]) == 2
    assert "cannot be copied" in capsys.readouterr().err


def test_configurations_need_no_torch(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "mixtral"}', encoding="utf-8")
    code = (
        "import sys; from identkit.cli import main\n"
        f"main(['layer', {str(tmp_path)!r}, '--html', {str(tmp_path / 'a.html')!r}])\n"
        "heavy = {'torch', 'transformers', 'matplotlib', 'numpy', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_routers_need_no_torch(tmp_path):
    numpy = pytest.importorskip("numpy")
    path = str(tmp_path / "run.npz")
    numpy.savez(path, layer0=numpy.arange(40).reshape(20, 2) % 5)
    code = (
        "import sys; from identkit.cli import main\n"
        f"assert main(['routers', {path!r}, '--draws', '5']) == 0\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
