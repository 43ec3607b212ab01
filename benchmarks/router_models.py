"""The four small transformers of ``router_experiment.py``: two routers, with and without a shared
expert, and the same number of active parameters.

Each block is attention, then a mixture of experts down(gelu(up x)) without biases. Every token has
``top`` of ``experts`` routed experts, and the shared one if there is one; these take equal parts of
``inner`` hidden units, so that all four compute with as many parameters per token. k and n are the
same in all four, so that metrics of routing have the same values under random routing; the price is
that models with a shared expert have fewer parameters in all.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from identkit.errors import InputError


@dataclass(frozen=True)
class Model:
    """One of the four: its router, softmax or sigmoid, and whether it has a shared expert."""

    router: str
    shared: bool

    @property
    def name(self) -> str:
        return f"{self.router}{' + shared' if self.shared else ''}"


MODELS = tuple(
    Model(router, shared) for shared in (False, True) for router in ("softmax", "sigmoid")
)


@dataclass(frozen=True)
class Size:
    """Width d, blocks, heads; experts n, top k, hidden units of the experts of a token together.

    ``places`` is the length of a sequence, ``causal`` whether a token sees only those before it.
    """

    d: int
    blocks: int
    heads: int
    experts: int
    top: int
    inner: int
    places: int
    causal: bool

    @property
    def small(self) -> float:
        """The factor of initial weights that write to the sum over blocks, as in GPT-2."""
        return (2 * self.blocks) ** -0.5

    def hidden(self, shared: bool) -> int:
        """Hidden units of one expert. Raises InputError if they do not divide."""
        parts = self.top + shared
        if self.inner % parts:
            raise InputError(
                f"inner: {self.inner} hidden units are not {parts} equal parts; give a multiple of "
                f"{self.top * (self.top + 1)}."
            )
        return self.inner // parts


class Router(nn.Module):
    """Tokens (N, d) -> logits (N, n), weights (N, k), selected experts (N, k).

    The k greatest scores, divided by their sum: softmax(Wx), as Mixtral, or sigmoid(Wx), as
    DeepSeek-V3 without its selection bias (arXiv 2505.10860 calls it normalized sigmoid). Both
    scores rise with the logits, so only weights and gradients differ at equal W.
    """

    def __init__(self, kind: str, size: Size) -> None:
        super().__init__()
        self.sigmoid, self.top = kind == "sigmoid", size.top
        self.weight = nn.Parameter(torch.randn(size.experts, size.d) / size.d**0.5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits = functional.linear(x, self.weight)
        scores = logits.sigmoid() if self.sigmoid else logits.softmax(-1)
        weights, selected = scores.topk(self.top, dim=-1)
        return logits, weights / weights.sum(-1, keepdim=True), selected


class Experts(nn.Module):
    """``count`` experts: up (count, d, hidden), down (count, hidden, d)."""

    def __init__(self, count: int, size: Size, hidden: int) -> None:
        super().__init__()
        d = size.d
        self.up = nn.Parameter(torch.randn(count, d, hidden) / d**0.5)
        self.down = nn.Parameter(torch.randn(count, hidden, d) * size.small / hidden**0.5)

    def forward(self, x: Tensor, expert: int) -> Tensor:
        return functional.gelu(x @ self.up[expert]) @ self.down[expert]


class Mixture(nn.Module):
    """Tokens (N, d) -> (N, d): the selected experts by their weights, and the shared one."""

    def __init__(self, model: Model, size: Size) -> None:
        super().__init__()
        hidden = size.hidden(model.shared)
        self.router = Router(model.router, size)
        self.experts = Experts(size.experts, size, hidden)
        self.shared = Experts(1, size, hidden) if model.shared else None

    def forward(self, x: Tensor) -> Tensor:
        _, weights, selected = self.router(x)
        out = torch.zeros_like(x) if self.shared is None else self.shared(x, 0)
        for expert in range(len(self.experts.up)):
            rows, slots = (selected == expert).nonzero(as_tuple=True)
            out = out.index_add(0, rows, weights[rows, slots, None] * self.experts(x[rows], expert))
        return out


class Block(nn.Module):
    """Attention and a mixture, each after a norm and added to its input (B, L, d)."""

    def __init__(self, model: Model, size: Size) -> None:
        super().__init__()
        self.heads, self.causal = size.heads, size.causal
        self.before = nn.LayerNorm(size.d, bias=False)
        self.mixed = nn.Linear(size.d, 3 * size.d, bias=False)
        self.joined = nn.Linear(size.d, size.d, bias=False)
        with torch.no_grad():
            self.joined.weight *= size.small
        self.between = nn.LayerNorm(size.d, bias=False)
        self.moe = Mixture(model, size)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, d = x.shape
        parts = self.mixed(self.before(x)).view(batch, length, 3, self.heads, d // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        x = x + self.joined(seen.transpose(1, 2).reshape(batch, length, d))
        return x + self.moe(self.between(x).reshape(-1, d)).view(batch, length, d)


class Network(nn.Module):
    """Tokens -> logits: of the next token (B, L, classes), or, not causal, of all (B, classes).

    ``inputs`` is the number of types of tokens, integers (B, L), or, not causal, the length of a
    patch of numbers (B, L, inputs).
    """

    def __init__(self, model: Model, size: Size, inputs: int, classes: int) -> None:
        super().__init__()
        self.causal = size.causal
        # parameters that all four have come first: one seed draws the same
        self.inputs = nn.Embedding(inputs, size.d) if size.causal else nn.Linear(inputs, size.d)
        self.places = nn.Parameter(0.1 * torch.randn(size.places, size.d))
        self.out = nn.Linear(size.d, classes)
        self.last = nn.LayerNorm(size.d, bias=False)
        self.blocks = nn.ModuleList(Block(model, size) for _ in range(size.blocks))

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.inputs(tokens) + self.places
        for block in self.blocks:
            x = block(x)
        x = self.last(x)
        return self.out(x if self.causal else x.mean(1))


def parameters(network: Network) -> tuple[int, int]:
    """Parameters that one token computes with (its selected experts only), and all."""
    total = sum(p.numel() for p in network.parameters())
    idle = 0
    for module in network.modules():
        if isinstance(module, Mixture):
            count = len(module.experts.up)
            each = sum(p.numel() for p in module.experts.parameters()) // count
            idle += (count - module.router.top) * each
    return total - idle, total
