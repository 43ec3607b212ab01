"""Checkpoints of a torch model over the same tokens become a recording."""

from __future__ import annotations

import json
import textwrap

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from identkit.cli.main import main
from identkit.errors import InputError
from identkit.routers.checkpoints import checkpoints_in, read_tokens, record_checkpoints
from identkit.routers.recorded import recording

VOCABULARY, WIDTH, EXPERTS, TOP = 11, 6, 5, 2
CODE = """
import torch
from torch import nn


class Router(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 6))

    def forward(self, x):
        logits = x @ self.weight.T
        top, indices = logits.topk(2, dim=-1)
        return logits, top.softmax(-1), indices


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 6)
        self.one, self.two = Block(), Block()

    def forward(self, ids):
        return self.two(self.one(self.embed(ids)))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.router = Router()
        self.down = nn.Linear(6, 6)

    def forward(self, x):
        _, weights, indices = self.router(x.reshape(-1, 6))
        return x + self.down(x) * weights[:, :1].reshape(*x.shape[:-1], 1)
"""


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    folder = tmp_path_factory.mktemp("code")
    path = folder / "routed_model.py"
    path.write_text(textwrap.dedent(CODE))
    return path


@pytest.fixture
def make(code):
    from identkit.layers.imported import load

    return lambda seed=0: load(str(code), "Model", seed=seed)


@pytest.fixture
def saved(make, tmp_path):
    """Three checkpoints in the ways in which code writes them, and their models."""
    folder = tmp_path / "saved"
    (folder / "checkpoint-300").mkdir(parents=True)
    models = {100: make(1), 200: make(2), 300: make(3)}
    torch.save(models[100].state_dict(), folder / "step-100.pt")
    torch.save({"model": models[200].state_dict(), "step": 200}, folder / "step_200.pth")
    torch.save(models[300].state_dict(), folder / "checkpoint-300" / "pytorch_model.bin")
    (folder / "notes.txt").write_text("of no matter")
    return folder, models


def routed(model, ids):
    """(layers, tokens, k) by the model alone."""
    with torch.no_grad():
        x = model.embed(torch.from_numpy(ids).reshape(-1))
        found = []
        for block in (model.one, model.two):
            found.append(block.router(x)[2].numpy())
            x = block(x[None])[0]
    return np.stack(found)


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_what_is_recorded_is_what_each_checkpoint_selects(make, saved, tmp_path, batch):
    folder, models = saved
    ids = np.random.default_rng(0).integers(0, VOCABULARY, (7, 4))
    np.save(tmp_path / "ids.npy", ids)
    model = make(9)
    written = record_checkpoints(model, folder, tmp_path / "ids.npy", tmp_path / "run", batch=batch)
    assert [p.name for p in written] == [f"checkpoint{t}-part0.npz" for t in (100, 200, 300)]
    found = recording(tmp_path / "run")
    assert found.checkpoints == (100, 200, 300)
    assert found.experts == EXPERTS
    for number, own in models.items():
        for layer, expected in enumerate(routed(own, ids)):
            (rows,) = found.selected[number, layer].rows(1000)
            assert (rows == expected).all()
        (tokens,) = found.tokens[number].rows(1000)
        assert (tokens == ids.reshape(-1)).all()


def test_flat_tokens_and_names_of_domains(tmp_path):
    ids = np.arange(10, dtype=np.int32)
    domains = np.array(["code", "prose"] * 5)
    np.savez(tmp_path / "t.npz", tokens=ids, domains=domains)
    found, of = read_tokens(tmp_path / "t.npz", 4)
    assert found.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert of.shape == (2, 4)
    with pytest.raises(InputError, match="smaller length"):
        read_tokens(tmp_path / "t.npz", 11)


def test_the_command(code, saved, tmp_path, capsys):
    folder, _ = saved
    rng = np.random.default_rng(1)
    ids = rng.integers(0, VOCABULARY, 400)
    np.savez(tmp_path / "t.npz", tokens=ids, domains=np.where(rng.random(400) < 0.5, "a", "b"))
    arguments = [
        "routers", str(tmp_path / "run"), "--model", f"{code}:Model", "--checkpoints", str(folder),
        "--tokens", str(tmp_path / "t.npz"), "--length", "10", "--json", "--draws", "20",
    ]  # fmt: skip
    assert main(arguments) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["checkpoints"] == [100, 200, 300]
    assert document["experts"] == EXPERTS
    assert document["domain_names"] == ["a", "b"]
    # the folder is a recording like any other, and is not written over
    assert main(["routers", str(tmp_path / "run"), "--json", "--draws", "20"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["layers"] == document["layers"]
    assert main(arguments) == 2
    assert "is there already" in capsys.readouterr().err


def test_tied_numbers_are_not_missing(tmp_path):
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = torch.nn.Embedding(VOCABULARY, WIDTH)
            self.head = torch.nn.Linear(WIDTH, VOCABULARY, bias=False)
            self.head.weight = self.embed.weight
            self.router = torch.nn.Linear(WIDTH, EXPERTS)

        def forward(self, ids):
            return self.head(self.embed(ids)), self.router(self.embed(ids))

    (tmp_path / "saved").mkdir()
    state = {k: v for k, v in Tied().state_dict().items() if not k.startswith("head")}
    torch.save(state, tmp_path / "saved" / "step1.pt")
    np.save(tmp_path / "ids.npy", np.zeros((2, 3), dtype=int))
    with pytest.raises(InputError, match="tensors of integers"):  # it came as far as the router
        record_checkpoints(Tied(), tmp_path / "saved", tmp_path / "ids.npy", tmp_path / "run")


def test_a_model_of_transformers_as_it_is_saved(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.MixtralConfig(
        vocab_size=VOCABULARY, hidden_size=8, intermediate_size=8, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, num_local_experts=4, num_experts_per_tok=2,
    )  # fmt: skip
    model = transformers.MixtralForCausalLM(config).eval()
    model.save_pretrained(tmp_path / "saved" / "checkpoint-50")
    ids = np.random.default_rng(2).integers(0, VOCABULARY, (3, 5))
    np.save(tmp_path / "ids.npy", ids)
    with torch.no_grad():
        out = model(torch.from_numpy(ids), output_router_logits=True)
    other = transformers.MixtralForCausalLM(config)
    record_checkpoints(other, tmp_path / "saved", tmp_path / "ids.npy", tmp_path / "run")
    found = recording(tmp_path / "run")
    for layer, logits in enumerate(out.router_logits):
        (rows,) = found.selected[50, layer].rows(100)
        expected = logits.topk(2, dim=-1).indices.numpy()
        assert (np.sort(rows, axis=1) == np.sort(expected, axis=1)).all()


# -- mistakes -------------------------------------------------------------------------------------


def test_folders_without_checkpoints(tmp_path):
    with pytest.raises(InputError, match="is no folder"):
        checkpoints_in(tmp_path / "nowhere")
    (tmp_path / "model.pt").write_bytes(b"")
    with pytest.raises(InputError, match="ends in a number"):
        checkpoints_in(tmp_path)
    for name in ("a1.pt", "b1.pt"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match=r"a1.pt and b1.pt have the number 1"):
        checkpoints_in(tmp_path)


class Stranger:
    """A pickle of this runs code where it is read."""

    def __reduce__(self):
        return (print, ("unpickled",))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: {**state, "more": torch.zeros(1)}, "has more, which the model has not"),
        (lambda state: {k: v for k, v in state.items() if k != "one.down.bias"}, "lacks one.down"),
        (lambda state: {**state, "one.down.bias": torch.zeros(3)}, "size mismatch"),
        (lambda state: [1, 2], "no mapping of tensors"),
        (lambda state: Stranger(), "cannot be read as data"),
        (lambda state: {k: v * torch.nan for k, v in state.items()}, "not finite"),
        (lambda state: {k: v.to(torch.int8) for k, v in state.items()}, "not real numbers"),
    ],
)
def test_weights_that_are_not_the_models(make, tmp_path, change, said, capsys):
    (tmp_path / "saved").mkdir()
    torch.save(change(make().state_dict()), tmp_path / "saved" / "step1.pt")
    np.save(tmp_path / "ids.npy", np.zeros((2, 3), dtype=int))
    with pytest.raises(InputError, match=said):
        record_checkpoints(make(), tmp_path / "saved", tmp_path / "ids.npy", tmp_path / "run")
    assert "unpickled" not in capsys.readouterr().out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ids.npy", "saved"]


@pytest.mark.parametrize("prefix", ["module.", "model."])
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32])
def test_prefixes_of_wrappers_and_half_precision(make, tmp_path, prefix, kind):
    (tmp_path / "saved").mkdir()
    own = make(4)
    state = {f"{prefix}{k}": v.to(kind) for k, v in own.state_dict().items()}
    torch.save(state, tmp_path / "saved" / "step1.pt")
    torch.save({"state": {}}, tmp_path / "saved" / "optimizer-1.pt")
    ids = np.arange(8).reshape(2, 4)
    np.save(tmp_path / "ids.npy", ids)
    record_checkpoints(make(), tmp_path / "saved", tmp_path / "ids.npy", tmp_path / "run")
    for tensor in own.state_dict().values():
        tensor.copy_(tensor.to(kind))
    found = recording(tmp_path / "run")
    (rows,) = found.selected[1, 0].rows(100)
    assert (rows == routed(own, ids)[0]).all()


class Noisy(torch.nn.Module):
    """A router that is not a function of its input."""

    def __init__(self):
        super().__init__()
        self.router = Selecting()

    def forward(self, ids):
        return self.router(torch.rand(ids.numel(), 9))


class Selecting(torch.nn.Module):
    def forward(self, scores):
        return scores, scores.topk(2, dim=-1).indices


class Transposed(torch.nn.Module):
    """A router that sees the first token of every sequence first."""

    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(VOCABULARY, 9)
        self.router = Selecting()

    def forward(self, ids):
        return self.router(self.embed(ids.T.reshape(-1)))


class Leaves(torch.nn.Module):
    def forward(self, ids):
        raise SystemExit(0)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Noisy, "select other experts when it is run again"),
        (Transposed, "one sequence after the other"),
        (Leaves, "raises SystemExit|no module of the model is called router"),
    ],
)
def test_models_whose_recording_would_mean_nothing(tmp_path, kind, said):
    (tmp_path / "saved").mkdir()
    model = kind()
    torch.save(model.state_dict(), tmp_path / "saved" / "step1.pt")
    np.save(tmp_path / "ids.npy", np.random.default_rng(0).integers(0, VOCABULARY, (4, 50)))
    with pytest.raises(InputError, match=said):
        record_checkpoints(model, tmp_path / "saved", tmp_path / "ids.npy", tmp_path / "run")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ids.npy", "saved"]


def test_a_run_that_is_broken_off_leaves_nothing(make, saved, tmp_path):
    folder, _ = saved
    np.save(tmp_path / "ids.npy", np.zeros((6, 3), dtype=int))

    def stop(done, total, what):
        if what == "checkpoint 200":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record_checkpoints(
            make(), folder, tmp_path / "ids.npy", tmp_path / "run", batch=2, progress=stop
        )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ids.npy", "saved"]


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (np.zeros(0, dtype=int), "holds no tokens"),
        (np.zeros((2, 2)), "give integers"),
        (np.full(4, 2**64 - 1, dtype=np.uint64), "no vocabulary has"),
    ],
)
def test_tokens_that_are_none(ids, said, tmp_path):
    np.save(tmp_path / "ids.npy", ids)
    with pytest.raises(InputError, match=said):
        read_tokens(tmp_path / "ids.npy", 2)


def test_ids_beyond_the_vocabulary(make, saved, tmp_path):
    folder, _ = saved
    np.save(tmp_path / "ids.npy", np.full((2, 3), 99))
    with pytest.raises(InputError, match="tokens of its vocabulary"):
        record_checkpoints(make(), folder, tmp_path / "ids.npy", tmp_path / "run")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--length", "4"], "--length"),
        (["--model", "m.py:M"], "--checkpoints: is missing"),
        (["--checkpoints", "saved"], "--model: is missing"),
        (["--model", "m.py", "--checkpoints", "s", "--tokens", "t.npy"], "file.py:NAME"),
        (["--model", "m.py:M", "--checkpoints", "s", "--tokens", "t.npy"], "no such file"),
        (
            ["--model", "m.py:M", "--checkpoints", "s", "--tokens", "t.npy", "--device", "tpu"],
            "device",
        ),
    ],
)
def test_options_that_do_not_go_together(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["routers", "run", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert said in captured.err
    assert not list(tmp_path.iterdir())
