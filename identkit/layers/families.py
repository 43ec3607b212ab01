"""Families of models: how a configuration of ``transformers`` becomes an :class:`Architecture`.

One row for each ``model_type``, as its modeling file in transformers 5.24 computes the layer. The
defaults are those of the configuration classes there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from identkit.errors import InputError
from identkit.layers.keys import Keys
from identkit.layers.record import (
    Architecture,
    Divided,
    ExpertForm,
    Form,
    Router,
    Scores,
    SharedExperts,
)

ACTIVATIONS = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "relu": "relu",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "gelu_new": "gelu-tanh",
    "gelu_pytorch_tanh": "gelu-tanh",
    "quick_gelu": "quick-gelu",
}
"""Names of ``transformers`` -> activations that :mod:`identkit.layers.symbols` writes out."""
BEFORE, AFTER = "weights first", "selection first"


@dataclass(frozen=True)
class Family:
    """``build`` makes the router, expert and shared experts of keys; ``unused`` keys change none.

    ``text``: the key under which a model of several parts keeps the part with the experts.
    """

    build: Callable[[Keys], dict[str, Any]]
    defaults: Mapping[str, Any]
    aliases: Mapping[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    text: str = ""
    notes: tuple[str, ...] = ()

    def read(self, family: str, given: Mapping[str, Any], source: str) -> Architecture:
        """The architecture. Raises InputError, which names the key."""
        keys = Keys(family, given, self.defaults, self.aliases)
        made = self.build(keys)
        keys.nothing_left(self.unused)
        return Architecture(
            family=family,
            source=source,
            assumed=tuple(keys.assumed.items()),
            notes=self.notes,
            **made,
        )


def _router(keys: Keys, count: str, *, renormalised: bool, **more: Any) -> Router:
    """Softmax over all experts, of which the largest are taken, divided again or not."""
    return _selected(
        Router(
            scores=Scores.SOFTMAX,
            count=keys.count(count, least=2),
            selected=keys.count("num_experts_per_tok"),
            divided=Divided.SELECTED if renormalised else Divided.ALL,
            **{"first": BEFORE, **more},
        )
    )


def _selected(router: Router) -> Router:
    """The router, if its numbers fit. Raises InputError."""
    possible = router.count // router.groups * router.groups_kept
    if router.count % router.groups:
        raise InputError(
            f"configuration: {router.count} experts are no multiple of n_group {router.groups}; "
            "change one of the two."
        )
    if router.groups_kept > router.groups:
        raise InputError(
            f"configuration: topk_group {router.groups_kept} is more than n_group "
            f"{router.groups}; lower it."
        )
    if router.selected > possible:
        raise InputError(
            f"configuration: num_experts_per_tok {router.selected} is more than the {possible} "
            "experts to choose from; lower it."
        )
    return router


def _glu(keys: Keys, width: str, activation: str = "hidden_act") -> ExpertForm:
    name = ACTIVATIONS[keys.word(activation, ACTIVATIONS)]
    return ExpertForm(Form.GLU, name, keys.count(width))


def _mixtral(keys: Keys) -> dict[str, Any]:
    return {
        "router": _router(keys, "num_local_experts", renormalised=True),
        "expert": _glu(keys, "intermediate_size"),
        "hidden": keys.count("hidden_size"),
    }


def _olmoe(keys: Keys) -> dict[str, Any]:
    renormalised = keys.flag("norm_topk_prob")
    return {
        "router": _router(keys, "num_experts", renormalised=renormalised),
        "expert": _glu(keys, "intermediate_size"),
        "hidden": keys.count("hidden_size"),
    }


def _qwen3(keys: Keys) -> dict[str, Any]:
    renormalised = keys.flag("norm_topk_prob")
    return {
        "router": _router(keys, "num_experts", renormalised=renormalised),
        "expert": _glu(keys, "moe_intermediate_size"),
        "hidden": keys.count("hidden_size"),
    }


def _qwen2(keys: Keys) -> dict[str, Any]:
    width = keys.count("shared_expert_intermediate_size")
    return {**_qwen3(keys), "shared": SharedExperts(1, width, gated=True)}


def _deepseek_shared(keys: Keys) -> SharedExperts:
    count = keys.count("n_shared_experts")
    return SharedExperts(count, count * keys.count("moe_intermediate_size"))


def _deepseek_v2(keys: Keys) -> dict[str, Any]:
    """The router of this class never divides again, whatever norm_topk_prob says."""
    why = "the router of that class does not divide the selected weights; set it to false"
    keys.fixed("norm_topk_prob", False, why)
    keys.fixed("scoring_func", "softmax", "its class computes a softmax")
    keys.fixed("mlp_bias", False, "shared experts with biases are not")
    method = keys.word("topk_method", ("greedy", "group_limited_greedy"))
    groups = {}
    keys.read |= {"n_group", "topk_group"}
    if method == "group_limited_greedy":
        groups = {
            "groups": keys.count("n_group"),
            "groups_kept": keys.count("topk_group"),
            "group_score": "its largest softmax weight",
        }
    router = _router(
        keys,
        "n_routed_experts",
        renormalised=False,
        factor=keys.number("routed_scaling_factor"),
        **groups,
    )
    return {
        "router": router,
        "expert": _glu(keys, "moe_intermediate_size"),
        "hidden": keys.count("hidden_size"),
        "shared": _deepseek_shared(keys),
    }


def _deepseek_v3(keys: Keys) -> dict[str, Any]:
    keys.fixed("scoring_func", "sigmoid", "its class computes a sigmoid")
    keys.fixed("topk_method", "noaux_tc", "its class selects by a bias")
    renormalised = keys.flag("norm_topk_prob")
    router = Router(
        scores=Scores.SIGMOID,
        count=keys.count("n_routed_experts", least=2),
        selected=keys.count("num_experts_per_tok"),
        divided=Divided.SELECTED if renormalised else Divided.NOT,
        first=BEFORE,
        selection_bias=True,
        groups=keys.count("n_group"),
        groups_kept=keys.count("topk_group"),
        group_score="the sum of its two largest σ + b",
        factor=keys.number("routed_scaling_factor"),
    )
    return {
        "router": _selected(router),
        "expert": _glu(keys, "moe_intermediate_size"),
        "hidden": keys.count("hidden_size"),
        "shared": _deepseek_shared(keys),
    }


def _granite(keys: Keys) -> dict[str, Any]:
    return {
        "router": _router(keys, "num_local_experts", renormalised=True, first=AFTER),
        "expert": _glu(keys, "intermediate_size"),
        "hidden": keys.count("hidden_size"),
    }


def _gpt_oss(keys: Keys) -> dict[str, Any]:
    """The activation is written into the class, so hidden_act says nothing but silu."""
    keys.word("hidden_act", ("silu",))
    expert = ExpertForm(
        Form.CLAMPED,
        "silu",
        keys.count("intermediate_size"),
        bias=True,
        alpha=keys.number("swiglu_alpha"),
        limit=keys.number("swiglu_limit"),
    )
    return {
        "router": _router(keys, "num_local_experts", renormalised=True, first=AFTER, bias=True),
        "expert": expert,
        "hidden": keys.count("hidden_size"),
    }


def _llama4(keys: Keys) -> dict[str, Any]:
    expert = _glu(keys, "intermediate_size")
    router = Router(
        scores=Scores.SIGMOID,
        count=keys.count("num_local_experts", least=2),
        selected=keys.count("num_experts_per_tok"),
        divided=Divided.NOT,
        first=AFTER,
        on_input=True,
    )
    return {
        "router": _selected(router),
        "expert": expert,
        "hidden": keys.count("hidden_size"),
        "shared": SharedExperts(1, expert.width),
    }


def _jetmoe(keys: Keys) -> dict[str, Any]:
    return {
        "router": _router(keys, "num_local_experts", renormalised=True, first=AFTER),
        "expert": _glu(keys, "intermediate_size", "activation_function"),
        "hidden": keys.count("hidden_size"),
        "output_bias": True,
    }


def _switch(keys: Keys) -> dict[str, Any]:
    router = Router(
        scores=Scores.SOFTMAX,
        count=keys.count("num_experts", least=2),
        selected=1,
        divided=Divided.ALL,
        first=BEFORE,
        bias=keys.flag("router_bias"),
    )
    name = ACTIVATIONS[keys.word("dense_act_fn", ACTIVATIONS)]
    return {
        "router": router,
        "expert": ExpertForm(Form.PLAIN, name, keys.count("d_ff")),
        "hidden": keys.count("d_model"),
    }


_EXPERTS = {"num_experts": "num_local_experts"}
_LLAMA4 = Family(
    _llama4,
    {
        "hidden_size": 5120, "intermediate_size": 8192, "num_local_experts": 16,
        "num_experts_per_tok": 1, "hidden_act": "silu",
    },
    text="text_config",
)  # fmt: skip

FAMILIES = {
    "mixtral": Family(
        _mixtral,
        {
            "hidden_size": 4096, "intermediate_size": 14336, "num_local_experts": 8,
            "num_experts_per_tok": 2, "hidden_act": "silu",
        },
        _EXPERTS,
    ),
    "olmoe": Family(
        _olmoe,
        {
            "hidden_size": 2048, "intermediate_size": 2048, "num_experts": 64,
            "num_experts_per_tok": 8, "hidden_act": "silu", "norm_topk_prob": False,
        },
        {"num_local_experts": "num_experts"},
    ),
    "qwen2_moe": Family(
        _qwen2,
        {
            "hidden_size": 2048, "moe_intermediate_size": 1408, "num_experts": 60,
            "num_experts_per_tok": 4, "hidden_act": "silu", "norm_topk_prob": False,
            "shared_expert_intermediate_size": 5632,
        },
        {"num_local_experts": "num_experts"},
    ),
    "qwen3_moe": Family(
        _qwen3,
        {
            "hidden_size": 2048, "moe_intermediate_size": 768, "num_experts": 128,
            "num_experts_per_tok": 8, "hidden_act": "silu", "norm_topk_prob": False,
        },
        {"num_local_experts": "num_experts"},
    ),
    "deepseek_v2": Family(
        _deepseek_v2,
        {
            "hidden_size": 4096, "moe_intermediate_size": 1407, "n_routed_experts": 64,
            "hidden_act": "silu", "n_shared_experts": 2, "routed_scaling_factor": 1.0,
            "topk_method": "greedy",
        },
        {"num_experts": "n_routed_experts", "num_local_experts": "n_routed_experts"},
        unused=("aux_loss_alpha", "seq_aux", "ep_size"),
    ),
    "deepseek_v3": Family(
        _deepseek_v3,
        {
            "hidden_size": 7168, "moe_intermediate_size": 2048, "n_routed_experts": 256,
            "num_experts_per_tok": 8, "hidden_act": "silu", "n_shared_experts": 1,
            "norm_topk_prob": True, "n_group": 8, "topk_group": 4, "routed_scaling_factor": 2.5,
        },
        {"num_experts": "n_routed_experts", "num_local_experts": "n_routed_experts"},
        notes=("the selection bias is set by a rule of its own in training, not by a gradient",),
    ),
    "granitemoe": Family(
        _granite,
        {
            "hidden_size": 4096, "intermediate_size": 11008, "num_local_experts": 8,
            "num_experts_per_tok": 2, "hidden_act": "silu",
        },
        _EXPERTS,
    ),
    "gpt_oss": Family(
        _gpt_oss,
        {
            "hidden_size": 2880, "intermediate_size": 2880, "num_local_experts": 128,
            "num_experts_per_tok": 4, "hidden_act": "silu", "swiglu_alpha": 1.702,
            "swiglu_limit": 7.0,
        },
        {**_EXPERTS, "experts_per_token": "num_experts_per_tok"},
    ),
    "llama4": _LLAMA4,
    "llama4_text": _LLAMA4,
    "jetmoe": Family(
        _jetmoe,
        {
            "hidden_size": 2048, "intermediate_size": 5632, "num_local_experts": 8,
            "num_experts_per_tok": 2, "activation_function": "silu",
        },
        _EXPERTS,
        notes=("its attention has experts too, which are not read",),
    ),
    "switch_transformers": Family(
        _switch,
        {
            "d_model": 768, "d_ff": 2048, "num_experts": 8, "router_bias": False,
            "dense_act_fn": "relu",
        },
        {"hidden_size": "d_model", "num_local_experts": "num_experts"},
        unused=("expert_capacity",),
        notes=("tokens beyond an expert's capacity are dropped, which depends on other tokens",),
    ),
}  # fmt: skip
"""``model_type`` -> how it is read."""
