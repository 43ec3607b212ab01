"""Configurations of published models become the layers that they describe; all else is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from identkit.errors import InputError
from identkit.layers.config import read_config
from identkit.layers.families import FAMILIES
from identkit.layers.record import Divided, Form, Scores

CONFIGS = Path(__file__).parent / "configs"
SOFTMAX, SIGMOID = Scores.SOFTMAX, Scores.SIGMOID
READ = {
    # scores, experts, k, divided by, shared experts and their width, d, form, width
    "mixtral-8x7b": (SOFTMAX, 8, 2, Divided.SELECTED, None, 4096, Form.GLU, 14336),
    "olmoe-1b-7b-0924": (SOFTMAX, 64, 8, Divided.ALL, None, 2048, Form.GLU, 1024),
    "qwen1.5-moe-a2.7b": (SOFTMAX, 60, 4, Divided.ALL, (1, 5632), 2048, Form.GLU, 1408),
    "qwen3-30b-a3b": (SOFTMAX, 128, 8, Divided.SELECTED, None, 2048, Form.GLU, 768),
    "deepseek-v2-lite": (SOFTMAX, 64, 6, Divided.ALL, (2, 2816), 2048, Form.GLU, 1408),
    "deepseek-v2": (SOFTMAX, 160, 6, Divided.ALL, (2, 3072), 5120, Form.GLU, 1536),
    "deepseek-v3": (SIGMOID, 256, 8, Divided.SELECTED, (1, 2048), 7168, Form.GLU, 2048),
    "granite-3.0-1b-a400m": (SOFTMAX, 32, 8, Divided.SELECTED, None, 1024, Form.GLU, 512),
    "gpt-oss-20b": (SOFTMAX, 32, 4, Divided.SELECTED, None, 2880, Form.CLAMPED, 2880),
    "llama-4-scout": (SIGMOID, 16, 1, Divided.NOT, (1, 8192), 5120, Form.GLU, 8192),
    "jetmoe-8b": (SOFTMAX, 8, 2, Divided.SELECTED, None, 2048, Form.GLU, 5632),
    "switch-base-8": (SOFTMAX, 8, 1, Divided.ALL, None, 768, Form.PLAIN, 3072),
}
"""Written by hand from the configurations and the modeling files."""


def given(name):
    return json.loads((CONFIGS / f"{name}.json").read_text(encoding="utf-8"))


def test_all_configurations_are_expected():
    assert {p.stem for p in CONFIGS.glob("*.json")} == set(READ)
    assert {given(name)["model_type"] for name in READ} == set(FAMILIES) - {"llama4_text"}


@pytest.mark.parametrize("name", READ)
def test_published_configurations(name):
    found = read_config(CONFIGS / f"{name}.json")
    shared = None if found.shared is None else (found.shared.count, found.shared.width)
    router, expert = found.router, found.expert
    assert READ[name] == (
        router.scores, router.count, router.selected, router.divided, shared, found.hidden,
        expert.form, expert.width,
    )  # fmt: skip
    assert found.source == name
    assert read_config(given(name)).router == router


def test_what_else_routers_have():
    v3, v2 = (read_config(CONFIGS / f"{n}.json").router for n in ("deepseek-v3", "deepseek-v2"))
    assert (v3.selection_bias, v3.groups, v3.groups_kept, v3.factor) == (True, 8, 4, "2.5")
    assert (v2.selection_bias, v2.groups, v2.groups_kept, v2.factor) == (False, 8, 3, "16")
    assert v3.grouped
    assert v2.grouped
    lite = read_config(CONFIGS / "deepseek-v2-lite.json").router
    assert not lite.grouped  # its n_group 1 is of a method that it does not use
    oss = read_config(CONFIGS / "gpt-oss-20b.json")
    assert oss.router.bias
    assert oss.expert.bias
    assert (oss.expert.alpha, oss.expert.limit) == ("1.702", "7")
    assert oss.assumed == (("swiglu_alpha", "1.702"),)
    assert read_config(CONFIGS / "llama-4-scout.json").router.on_input
    assert read_config(CONFIGS / "jetmoe-8b.json").output_bias
    qwen = read_config(CONFIGS / "qwen1.5-moe-a2.7b.json").shared
    assert qwen is not None
    assert qwen.gated


def test_a_directory_and_an_alias(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(given("mixtral-8x7b")), encoding="utf-8")
    found = read_config(tmp_path)
    assert found.source == tmp_path.name
    renamed = given("mixtral-8x7b")
    renamed["num_experts"] = renamed.pop("num_local_experts")
    assert read_config(renamed).router == found.router


REFUSED = [
    ("mixtral-8x7b", {"model_type": "mixtrel"}, "did you mean mixtral"),
    ("mixtral-8x7b", {"model_type": None}, "model_type is missing"),
    ("mixtral-8x7b", {"hidden_act": "xielu"}, "hidden_act 'xielu'"),
    ("mixtral-8x7b", {"hidden_act": ["silu"]}, "hidden_act"),
    ("mixtral-8x7b", {"hidden_size": float("nan")}, "hidden_size is nan"),
    ("mixtral-8x7b", {"num_local_experts": 1}, "num_local_experts is 1"),
    ("deepseek-v3", {"routed_scaling_factor": float("nan")}, "routed_scaling_factor is nan"),
    ("mixtral-8x7b", {"num_local_experts": True}, "num_local_experts is True"),
    ("mixtral-8x7b", {"num_experts_per_tok": 9}, "num_experts_per_tok 9"),
    ("mixtral-8x7b", {"num_experts": 4}, "num_local_experts and num_experts differ"),
    ("mixtral-8x7b", {"n_shared_experts": 1}, "n_shared_experts is not known"),
    ("mixtral-8x7b", {"hidden_size": 0}, "hidden_size is 0"),
    ("olmoe-1b-7b-0924", {"norm_topk_prob": 1}, "norm_topk_prob is 1"),
    ("deepseek-v2", {"norm_topk_prob": True}, "norm_topk_prob True"),
    ("deepseek-v2", {"topk_method": "noaux_tc"}, "topk_method 'noaux_tc'"),
    ("deepseek-v2", {"n_group": 7}, "no multiple of n_group 7"),
    ("deepseek-v2", {"num_experts_per_tok": None}, "num_experts_per_tok is None"),
    ("deepseek-v3", {"scoring_func": "softmax"}, "scoring_func softmax"),
    ("deepseek-v3", {"swiglu_limit": 10.0}, "swiglu_limit is not known"),
    ("deepseek-v3", {"routed_scaling_factor": 0}, "routed_scaling_factor is 0"),
    ("deepseek-v3", {"topk_group": 9}, "topk_group 9 is more"),
    ("gpt-oss-20b", {"hidden_act": "gelu"}, "hidden_act 'gelu'"),
    ("llama-4-scout", {"text_config": 3}, "text_config holds no keys"),
]


@pytest.mark.parametrize(("name", "change", "said"), REFUSED)
def test_what_is_refused(name, change, said):
    with pytest.raises(InputError, match=said) as refused:
        read_config({**given(name), **change})
    assert str(refused.value).count("\n") == 0


def test_files_that_are_refused(tmp_path):
    for text, said in (("{", "not JSON"), ("[1]", "holds no keys"), ("[" * 10**5, "not JSON")):
        (tmp_path / "a.json").write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=said):
            read_config(tmp_path / "a.json")
    with pytest.raises(InputError, match="No such file"):
        read_config(tmp_path / "none.json")


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_defaults_are_those_of_the_classes(family):
    """An empty configuration means what the class of transformers makes of it."""
    auto = pytest.importorskip("transformers").AutoConfig
    if family == "llama4":
        pytest.skip("its text part is llama4_text")
    own = auto.for_model(family)
    for key, value in FAMILIES[family].defaults.items():
        assert getattr(own, key) == value, key
