"""RouterRecorder on models of transformers, tiny and random: what it writes is what routers said.

Slow for the imports alone; skipped where transformers (extra) or torch is missing.
"""

from __future__ import annotations

import numpy as np
import pytest

from identkit.routers.analysis import analyse
from identkit.routers.recorded import recording
from identkit.routers.recorder import RouterRecorder

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
SIZES = {
    "hidden_size": 8, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 4,
    "num_hidden_layers": 2, "num_experts_per_tok": 2, "vocab_size": 40, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2, "intermediate_size": 8,
}  # fmt: skip
FAMILIES = {
    # what makes it small, experts
    "mixtral": ({"num_local_experts": 4}, 4),
    "olmoe": ({"num_experts": 5}, 5),
    "qwen3_moe": ({"num_experts": 6, "moe_intermediate_size": 4, "norm_topk_prob": True}, 6),
    "deepseek_v3": (
        {
            "n_routed_experts": 8, "moe_intermediate_size": 4, "n_group": 4, "topk_group": 2,
            "first_k_dense_replace": 0, "kv_lora_rank": 4, "q_lora_rank": 4, "qk_rope_head_dim": 4,
            "qk_nope_head_dim": 4, "v_head_dim": 4,
        },
        8,
    ),
    "gpt_oss": (
        {"num_local_experts": 4, "sliding_window": 8, "layer_types": ["full_attention"] * 2}, 4,
    ),
}  # fmt: skip


def built(family):
    """A model with drawn numbers, in training mode."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    config = transformers.AutoConfig.for_model(family, **{**SIZES, **FAMILIES[family][0]})
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.normal_(0, 0.3, generator=generator)
        for name, tensor in model.named_buffers():
            if name.endswith("e_score_correction_bias"):
                tensor.normal_(0, 0.3, generator=generator)
    return model.train()


def batches(count=3):
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(3, 40, (2, 9), generator=generator) for _ in range(count)]


def trained(model, each=lambda step, batch: None):
    """A step on each batch. Returns losses and numbers."""
    torch = pytest.importorskip("torch")
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for step, batch in enumerate(batches()):
        each(step, batch)
        loss = model(batch, labels=batch).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    return losses, {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_written_is_what_routers_said(family, tmp_path):
    torch = pytest.importorskip("torch")
    alone = trained(built(family))
    model = built(family)
    said = {}

    def hook(module, inputs, output):
        indices = [t for t in output if not t.is_floating_point()]
        said.setdefault(id(module), []).append(indices[0].reshape(-1, 2).clone())

    with RouterRecorder(model, tmp_path / "run") as recorder:
        assert len(recorder.routers) == 2
        routers = [model.get_submodule(name) for name in recorder.routers]
        handles = [router.register_forward_hook(hook) for router in routers]

        def told(step, batch):
            recorder.checkpoint(step)
            recorder.tokens(batch)

        losses, numbers = trained(model, told)
    for handle in handles:
        handle.remove()
    assert losses == alone[0]
    assert all(torch.equal(value, alone[1][name]) for name, value in numbers.items())
    assert not any(m._forward_hooks for m in routers)
    for step, batch in enumerate(batches()):
        with np.load(tmp_path / "run" / f"checkpoint{step}-part0.npz") as arrays:
            assert int(arrays["experts"]) == FAMILIES[family][1]
            assert np.array_equal(arrays["tokens"], batch.reshape(-1).numpy())
            for layer, router in enumerate(routers):
                wanted = said[id(router)][step].numpy()
                assert wanted.shape == (18, 2)
                assert np.array_equal(arrays[f"layer{layer}"], wanted)
    found = analyse(recording(tmp_path / "run"), draws=10)
    assert found.experts == FAMILIES[family][1]
    assert found.checkpoints == (0, 1, 2)


def test_weights_are_those_of_the_router(tmp_path):
    torch = pytest.importorskip("torch")
    model = built("gpt_oss").eval()
    outputs = []
    router = model.model.layers[0].mlp.router
    handle = router.register_forward_hook(lambda m, i, o: outputs.append(o))
    with RouterRecorder(model, tmp_path / "run", weights=True), torch.no_grad():
        model(batches(1)[0])
    handle.remove()
    with np.load(tmp_path / "run" / "checkpoint0-part0.npz") as arrays:
        assert np.array_equal(arrays["weights/layer0"], outputs[0][1].numpy())
