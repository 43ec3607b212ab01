"""Families are read as transformers computes them: its layers, built small, against NumPy.

Slow for the imports alone; skipped where transformers (extra) or torch is missing.
"""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
from layer_by_hand import ACTIVATIONS, layer
from scipy.special import expit

from identkit.errors import InputError
from identkit.layers.config import read_config
from identkit.layers.families import FAMILIES
from identkit.layers.symbols import added

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
SIZES = {
    "hidden_size": 6, "num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": 6,
    "num_experts_per_tok": 3,
}  # fmt: skip
EIGHT = {"num_local_experts": 8}
BLOCKS = {
    # class of the layer, and what makes a small configuration of its family
    "mixtral": ("MixtralSparseMoeBlock", {**EIGHT, "intermediate_size": 4}),
    "olmoe": ("OlmoeSparseMoeBlock", {"num_experts": 8, "intermediate_size": 4}),
    "qwen2_moe": (
        "Qwen2MoeSparseMoeBlock",
        {
            "num_experts": 8, "moe_intermediate_size": 4, "shared_expert_intermediate_size": 5,
            "norm_topk_prob": True,
        },
    ),
    "qwen3_moe": (
        "Qwen3MoeSparseMoeBlock",
        {"num_experts": 8, "moe_intermediate_size": 4, "norm_topk_prob": True},
    ),
    "deepseek_v2": (
        "DeepseekV2Moe",
        {
            "n_routed_experts": 8, "moe_intermediate_size": 4, "n_group": 4, "topk_group": 2,
            "topk_method": "group_limited_greedy", "routed_scaling_factor": 16.0,
        },
    ),
    "deepseek_v3": (
        "DeepseekV3MoE",
        {"n_routed_experts": 8, "moe_intermediate_size": 4, "n_group": 4, "topk_group": 2},
    ),
    "granitemoe": ("GraniteMoeMoE", {**EIGHT, "intermediate_size": 4}),
    "gpt_oss": ("GptOssMLP", {**EIGHT, "intermediate_size": 4}),
    "llama4_text": ("Llama4TextMoe", {**EIGHT, "intermediate_size": 4}),
    "jetmoe": ("JetMoeMoE", {**EIGHT, "intermediate_size": 4}),
    "switch_transformers": (
        "SwitchTransformersSparseMLP",
        {"num_experts": 8, "d_model": 6, "d_ff": 4, "router_jitter_noise": 0.0},
    ),
}  # fmt: skip


def built(family, **change):
    """(configuration, layer of torch with drawn numbers)."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    name, own = BLOCKS[family]
    sizes = {} if family == "switch_transformers" else SIZES
    config = transformers.AutoConfig.for_model(family, **{**sizes, **own, **change})
    folder = family.removesuffix("_text")
    module = import_module(f"transformers.models.{folder}.modeling_{folder}")
    block = getattr(module, name)(config).double().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in (*block.parameters(), *block.buffers()):
            tensor.copy_(torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype))
            if tensor.ndim == 3:
                tensor *= 2  # so that GPT-OSS clamps
    return config, block


def numbers_of(family, state):
    """The numbers of :func:`layer_by_hand.drawn` from a state dictionary."""
    found = {}
    for key, value in state.items():
        last = key.rpartition(".")[2]
        if key in (
            "gate.weight",
            "router.weight",
            "router.layer.weight",
            "router.classifier.weight",
        ):
            found["W"] = value
        elif key == "router.bias":
            found["b0"] = value
        elif key.endswith("e_score_correction_bias"):
            found["b"] = value
        elif last == "gate_up_proj" or key == "input_linear.weight":
            both = value.swapaxes(1, 2) if family in ("gpt_oss", "llama4_text") else value
            halves = (both[:, ::2], both[:, 1::2]) if family == "gpt_oss" else np.split(both, 2, 1)
            found["gate"], found["up"] = halves
        elif last == "gate_up_proj_bias":
            found["gate bias"], found["up bias"] = value[:, ::2], value[:, 1::2]
        elif last == "down_proj" or key == "output_linear.weight":
            turned = family in ("gpt_oss", "llama4_text")
            found["down"] = value.swapaxes(1, 2) if turned else value
        elif last == "down_proj_bias":
            found["down bias"] = value
    if family == "switch_transformers":
        for name, part in (("gate", "wi"), ("down", "wo")):
            stacked = [state[f"experts.expert_{i}.{part}.weight"] for i in range(8)]
            found[name] = np.stack(stacked)
        found["up"] = found["gate"]
    count, width = found["gate"].shape[:2]
    blank = {"b0": (count,), "b": (count,), "gate bias": (count, width), "up bias": (count, width)}
    blank["down bias"] = (count, found["down"].shape[1])
    return {**{k: np.zeros(s) for k, s in blank.items()}, **found}


def beside(architecture, state, x):
    """What is added for every x: shared experts, a vector."""
    total = state["bias"] if architecture.output_bias else 0.0
    if architecture.shared is None:
        return total
    (prefix,) = {k.partition(".")[0] for k in state if k.startswith("shared") and "_proj" in k}
    gate, up, down = (state[f"{prefix}.{part}_proj.weight"] for part in ("gate", "up", "down"))
    inner = down @ (ACTIVATIONS["silu"](gate @ x) * (up @ x))
    if architecture.shared.gated:
        inner = expit(state["shared_expert_gate.weight"][0] @ x) * inner
    assert gate.shape[0] == architecture.shared.width
    return total + inner


@pytest.mark.parametrize("family", BLOCKS)
def test_a_layer_is_what_is_read(family):
    torch = pytest.importorskip("torch")
    config, block = built(family)
    architecture = read_config(config.to_dict())
    state = {k: v.detach().numpy() for k, v in block.state_dict().items()}
    numbers = numbers_of(family, state)
    x = np.random.default_rng(5).normal(size=(16, architecture.hidden))
    with torch.no_grad():
        out = block(torch.from_numpy(x)[None])
    out = (out[0] if isinstance(out, tuple) else out).reshape(16, -1).numpy()
    mine = [layer(architecture, numbers, p) + beside(architecture, state, p) for p in x]
    assert np.abs(out - np.array(mine)).max() < 1e-6 * max(1, np.abs(out).max())


@pytest.mark.parametrize("family", BLOCKS)
def test_a_module_is_read_as_its_configuration(family):
    module = pytest.importorskip("identkit.layers.module")
    config, block = built(family)
    by_config, by_module = read_config(config.to_dict()), module.read_module(block)
    assert by_module.expert == by_config.expert
    assert by_module.hidden == by_config.hidden
    assert by_module.output_bias == by_config.output_bias
    assert replace(by_module.router, first="") == replace(by_config.router, first="")
    shared = by_config.shared
    if shared is not None and not shared.gated:
        shared = replace(shared, count=1)  # one network, of the width of all together
    assert by_module.shared == shared
    assert added(by_module) == added(by_config)


@pytest.mark.parametrize("change", [{"topk_method": "greedy"}, {"n_group": 1, "topk_group": 1}])
def test_groups_of_deepseek_that_are_not_used(change):
    module = pytest.importorskip("identkit.layers.module")
    _, block = built("deepseek_v2", **change)
    assert not module.read_module(block).router.grouped


@pytest.mark.parametrize("family", ["mixtral", "gpt_oss"])
def test_a_class_and_a_configuration_by_name(family, tmp_path):
    """`identkit layer transformers.….modeling_mixtral:MixtralSparseMoeBlock --config FILE`."""
    imported = pytest.importorskip("identkit.layers.imported")
    config, block = built(family)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config.to_dict()), encoding="utf-8")
    kind = type(block)
    made = imported.load(kind.__module__, kind.__name__, config=str(path))
    assert isinstance(made, kind)
    assert [p.shape for p in made.parameters()] == [p.shape for p in block.parameters()]
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="model_type is missing; add that of"):
        imported.load(kind.__module__, kind.__name__, config=str(path))
    path.write_text(f'{{"model_type": "{family}", "hidden_size": "x"}}', encoding="utf-8")
    with pytest.raises(InputError, match=r"config\.json: making a configuration of it raises"):
        imported.load(kind.__module__, kind.__name__, config=str(path))


def test_real_widths_are_looked_at_before_they_are_made(tmp_path):
    imported = pytest.importorskip("identkit.layers.imported")
    pytest.importorskip("transformers")
    path = tmp_path / "config.json"
    path.write_text('{"model_type": "mixtral"}', encoding="utf-8")
    with pytest.raises(InputError, match="has 1,409,318,912 numbers, and at most"):
        imported.load(
            "transformers.models.mixtral.modeling_mixtral",
            "MixtralSparseMoeBlock",
            config=str(path),
        )


def test_every_family_is_built():
    assert set(BLOCKS) == set(FAMILIES) - {"llama4"}
