"""A layer in words: its router, its experts, what is added; for every view."""

from __future__ import annotations

from identkit.layers.findings import RegimeVerdict
from identkit.layers.record import Architecture, Divided, ExpertForm, Form, Router, Scores

_LETTER = {Scores.SOFTMAX: "softmax", Scores.SIGMOID: "σ"}


def router_text(router: Router) -> str:
    """The weights as a formula in words.

    >>> from identkit.layers.config import read_config
    >>> router_text(read_config({"model_type": "mixtral"}).router)
    'softmax(W x), the 2 largest of 8, divided by their sum'
    """
    score = "W x + b₀" if router.bias else "W x"
    score = f"({score})/{router.temperature}" if router.temperature != "1" else score
    weight, k = f"{_LETTER[router.scores]}({score})", router.selected
    largest = "the largest" if k == 1 else f"the {k} largest"
    of = f" of {router.count}"
    if router.first.startswith("selection"):
        text = f"{largest}{of} scores {score}, then {_LETTER[router.scores]}"
        divided = router.scores is Scores.SIGMOID and router.divided is Divided.SELECTED
    else:
        by = " of σ + b" if router.selection_bias else ""
        text = f"{weight}, {largest}{of}{by}"
        divided = router.divided is Divided.SELECTED
    text += ", divided by their sum" if divided else ""
    text += f", times {router.factor}" if router.factor != "1" else ""
    if router.grouped:
        text += f"; from {router.groups_kept} of {router.groups} groups, by {router.group_score}"
    return text + ("; multiplies the input of the expert" if router.on_input else "")


def expert_text(form: ExpertForm) -> str:
    """The network of one expert as a formula.

    >>> expert_text(ExpertForm(Form.GLU, "silu", 64))
    'down(silu(gate x) ⊙ up x), 64 hidden units'
    """
    if form.form is Form.GLU:
        text = f"down({form.activation}(gate x) ⊙ up x)"
    elif form.form is Form.PLAIN:
        text = f"down {form.activation}(gate x)"
    else:
        text = (
            f"down(g·σ({form.alpha}·g) ⊙ (u + 1)), g = min(gate x, {form.limit}), u = up x cut to "
            f"±{form.limit}"
        )
    return f"{text}, {form.width} hidden units" + (", with biases" if form.bias else "")


def shared_text(architecture: Architecture) -> str:
    """The experts that every x passes."""
    shared = architecture.shared
    if shared is None:
        return "none"
    count = "1 expert of" if shared.count == 1 else f"{shared.count} experts, together"
    text = f"{count} {shared.width} hidden units, added for every x"
    return text + (", times σ(vᵀx)" if shared.gated else "")


def regime_line(verdict: RegimeVerdict, *, short: bool = False) -> str:
    """A condition with its verdict, the second order and the rate; ``short`` without reasons."""
    where = f"{verdict.regime}, " if verdict.regime else ""
    line = f"{where}{verdict.condition}: {verdict.verdict}"
    if verdict.nondegenerate is not None:
        line += f"; nondegenerate: {verdict.nondegenerate}"
    if verdict.rate:
        line += f"; rate: {verdict.rate}"
    return line + (f" ({verdict.why})" if verdict.why and not short else "")
