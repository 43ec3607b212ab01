"""A layer in words: its router, its experts, what is added; for every view."""

from __future__ import annotations

from identkit.layers.findings import Change, Decided, Findings, LayerGauge, RegimeVerdict
from identkit.layers.record import Architecture, Divided, ExpertForm, Form, Router, Scores
from identkit.likelihoods import LEAST_SQUARES, resolve
from identkit.rate import UNDECIDED

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
    biases = f", with a bias in {' and '.join(form.biased)}" if form.biased else ", with biases"
    return f"{text}, {form.width} hidden units" + (biases if form.bias else "")


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


def title(architecture: Architecture) -> str:
    """What was read."""
    return f"{architecture.source} ({architecture.family})"


def size_text(architecture: Architecture) -> str:
    """How many experts, how many inputs."""
    router = architecture.router
    return f"{router.count} experts, {router.selected} for each x, d = {architecture.hidden}"


def read_rows(found: Findings) -> list[tuple[str, str]]:
    """What was read of the layer."""
    made = found.architecture
    rows = [
        ("router", router_text(made.router)),
        ("expert", expert_text(made.expert)),
        ("shared", shared_text(made)),
    ]
    if made.output_bias:
        rows.append(("bias", "a vector is added to the sum"))
    if made.assumed:
        said = ", ".join(f"{key} {value}" for key, value in made.assumed)
        rows.append(("assumed", f"{said} (not in the file: the default of its class)"))
    rows += [("note", note) for note in made.notes]
    gate = found.gate if found.gate is not None else f"none registered: {found.why_no_gate}"
    return [*rows, ("gate", gate)]


def dimensions(count: int) -> str:
    """In words."""
    return f"{count} dimension{'s' * (count != 1)}"


def small_expert(found: Findings) -> str:
    """The size of the expert that was decided."""
    inputs = "1 input" if found.inputs == 1 else f"{found.inputs} inputs"
    return f"1 unit, {inputs}, 1 output"


def letters(found: Findings) -> str:
    """Which letter is which matrix, each once."""
    named = {}
    for parameter, matrix in found.letters:
        named.setdefault(matrix, []).append(parameter)
    return ", ".join(f"{' '.join(own)}: {matrix}" for matrix, own in named.items())


def decided_title(each: Decided) -> str:
    """Of which expert, as which estimate."""
    held = "as it is" if each.scaled else "the scale of its unit held"
    known = resolve(each.likelihood)
    squares = known.name == LEAST_SQUARES
    return f"{held}, {'least squares' if squares else f'{known.family} likelihood'}"


def decided_rows(each: Decided) -> list[tuple[str, str]]:
    """The expert, verdicts under the registered gate, why the layer's rate is undecided."""
    rows = [("h", each.expert)]
    rows += [(f"gate {each.gate}", regime_line(v, short=True)) for v in each.verdicts]
    # a curve of the expert decides all the same
    beside = " beside that" if each.scaled and each.rate != str(UNDECIDED) else ""
    return [*rows, (f"undecided{beside}", "; ".join(each.reasons))] if each.reasons else rows


def gauge_title(gauge: LayerGauge) -> str:
    """Its name and what it does."""
    size = f", {dimensions(gauge.dimension)}" if gauge.dimension else ""
    return f"{gauge.name}: {gauge.action}{size}"


def gauge_rows(gauge: LayerGauge) -> list[tuple[str, str]]:
    """Its condition, its proof, the argument for every width."""
    where = [("where", gauge.where)] if gauge.where else []
    how = "proved" if gauge.proved else "not proved here"
    return [*where, (how, gauge.proof), ("any width", gauge.widths)]


def absent_rows(found: Findings) -> list[tuple[str, str]]:
    """What is no gauge, and whether that is proved."""
    return [("none" if n.excluded else "not found", f"{n.name}: {n.reason}") for n in found.absent]


def change_rows(change: Change) -> list[tuple[str, str]]:
    """What is gone, what is new, what follows under which hypotheses."""
    rows = [("gone", ", ".join(change.gone))] if change.gone else []
    rows += [("new", ", ".join(change.new))] if change.new else []
    rows += [("then", regime_line(v)) for v in change.verdicts]
    given = [p.rstrip(".") for v in change.verdicts for p in v.provided]
    return rows + [("", f"provided {p[:1].lower()}{p[1:]}") for p in dict.fromkeys(given)]
