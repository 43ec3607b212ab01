"""An expert of a layer as an expression at a small width, and the registered gate of a router."""

from __future__ import annotations

from identkit.experts import Expert
from identkit.gates.selection import MOST
from identkit.layers.record import (
    LEARNED,
    Architecture,
    Divided,
    ExpertForm,
    Form,
    Router,
    Scores,
)

GATE, UP, DOWN = "a", "u", "c"
"""Letters of the matrices gate, up and down; their biases are b, v (or w = v + 1) and e."""
MATRICES = {
    GATE: "gate",
    UP: "up",
    DOWN: "down",
    "b": "gate bias",
    "v": "up bias",
    "w": "up bias + 1",
    "e": "down bias",
}
WRITTEN = {
    "gelu-tanh": "{z}*(1 + tanh(sqrt(2/pi)*({z} + 0.044715*({z})**3)))/2",
    "quick-gelu": "{z}*sigmoid(1.702*({z}))",
}
"""Activations that are no function of the grammar."""


def activated(name: str, z: str) -> str:
    """φ(z) in the grammar.

    >>> activated("silu", "a*x")
    'silu(a*x)'
    """
    if name not in WRITTEN:
        return f"{name}({z})"
    return WRITTEN[name].format(z=f"({z})")


def names(letter: str, unit: int, units: int, size: int) -> list[str]:
    """The numbers of one hidden unit in a matrix: one for each input, or each output.

    >>> names("a", 0, 2, 2), names("a", 0, 1, 1)
    (['a0_0', 'a0_1'], ['a'])
    """
    own = f"{letter}{unit if units > 1 else ''}"
    joint = "_" if units > 1 else ""
    return [own] if size == 1 else [f"{own}{joint}{i}" for i in range(size)]


def _sum(weights: list[str], inputs: list[str]) -> str:
    return " + ".join(f"{w}*{x}" if w else x for w, x in zip(weights, inputs, strict=True))


def _unit(form: ExpertForm, unit: int, units: int, inputs: list[str], scaled: bool) -> str:
    """The value of one hidden unit, without what multiplies it in the output."""
    gate = _sum(names(GATE, unit, units, len(inputs)), inputs)
    own = str(unit) if units > 1 else ""
    gate += f" + b{own}" if form.has_bias("gate") else ""
    if form.form is Form.PLAIN:
        return activated(form.activation, gate)
    weights = names(UP, unit, units, len(inputs))
    up = _sum(weights if scaled else ["", *weights[1:]], inputs)
    if form.form is Form.CLAMPED and not form.limit:  # in w = v + 1 its scale is a factor
        return f"({gate})*sigmoid({form.alpha}*({gate}))*({up} + w{own})"
    up += f" + v{own}" if form.has_bias("up") else ""
    if form.form is Form.GLU:
        return f"{activated(form.activation, gate)}*{up if up in inputs else f'({up})'}"
    cut = f"Min({gate}, {form.limit})"
    return f"{cut}*sigmoid({form.alpha}*{cut})*(Max(-{form.limit}, Min({up}, {form.limit})) + 1)"


def expert(
    form: ExpertForm,
    *,
    units: int = 1,
    inputs: int = 1,
    outputs: int = 1,
    scaled: bool = True,
    output_bias: bool = True,
) -> Expert:
    """The expert with so many hidden units, inputs and outputs; without its last bias if so asked.

    ``scaled`` False holds one number of each unit at 1, the ``up`` of the first input, or ``down``
    of the first output where there is no ``up``: then a unit has no scale of its own.

    >>> expert(ExpertForm(Form.GLU, "silu", 4096)).text
    'c*silu(a*x)*(u*x)'
    >>> expert(ExpertForm(Form.GLU, "silu", 4096), scaled=False).text
    'c*silu(a*x)*x'
    """
    x = ["x"] if inputs == 1 else [f"x{i}" for i in range(inputs)]
    held = not scaled and form.form is Form.PLAIN
    terms: list[list[str]] = [[] for _ in range(outputs)]
    for unit in range(units):
        value = _unit(form, unit, units, x, scaled or held)
        for output, weight in enumerate(names(DOWN, unit, units, outputs)):
            terms[output].append(value if held and output == 0 else f"{weight}*{value}")
    if form.has_bias("down") and output_bias:
        for own, bias in zip(terms, names("e", 0, 1, outputs), strict=True):
            own.append(bias)
    return Expert.from_expression([" + ".join(own) for own in terms], dim=inputs)


def gate_of(router: Router) -> tuple[str | None, str]:
    """The registered gate with these weights, up to the factor, or None and the reason.

    The name is that of :func:`identkit.gates.resolve`; the router's intercept is not looked at.
    """
    k, everything = router.selected, router.selected == router.count
    if router.on_input:
        return None, (
            "the weight multiplies the input of an expert, f = Σ h(w_i(x)·x, η_i), which is no "
            "sum of weights times experts"
        )
    if router.temperature == LEARNED:
        if router.scores is Scores.SOFTMAX and everything:
            return "dense-to-sparse", ""
        return (
            None,
            "its temperature is a parameter, and no gate with one is registered that selects",
        )
    if router.temperature != "1":
        return None, "its temperature is fixed, and no gate with a fixed one is registered"
    if router.grouped:
        return None, "no gate is registered that restricts the selection to groups of experts"
    if k > MOST and not everything:
        return None, f"no gate is registered that selects more than {MOST} experts"
    if router.scores is Scores.SOFTMAX:
        if everything:
            return "softmax", ""
        return f"top-{k}" + ("" if router.divided is Divided.SELECTED else "-unnormalised"), ""
    if router.divided is Divided.SELECTED:
        if router.selection_bias:
            return f"top-{k}-biased", ""
        if everything:
            return "normalized-sigmoid", ""
        return None, "no gate is registered that selects sigmoid weights without a bias"
    if everything:
        return "sigmoid", ""
    return None, "no gate is registered that selects sigmoid weights and does not divide them"


def departures(architecture: Architecture) -> tuple[str, ...]:
    """What the layer has beside the model of the gate's theorems, each in a clause."""
    own = "its scores have no intercept, and theorems are of scores with one"
    return (() if architecture.router.bias else (own,)) + added(architecture)


def added(architecture: Architecture) -> tuple[str, ...]:
    """Of :func:`departures`, what is no special case of that model: what f has besides."""
    found = []
    if architecture.shared is not None:
        found.append(
            "shared experts are added to f, and theorems are of densities with a shared half"
        )
    if architecture.output_bias:
        found.append("a vector is added to f, which no theorem has")
    if any("other tokens" in note for note in architecture.notes):
        found.append("tokens can be dropped")
    return tuple(found)
