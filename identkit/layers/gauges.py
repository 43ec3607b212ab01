"""The gauges of a layer: found at width 1, proved again with 2 units, 2 inputs and 2 outputs.

*Unit*: an expert is the sum of its hidden units, each a function of its own numbers, so what leaves
one unit as it is, for any number of inputs and outputs, acts on each unit of any expert by itself.
*None beside them*: with one number of each unit that has a scale held, derivatives of m units at
one input are independent for every m. Restrict an expert with d inputs to x = t·v, v generic: a
tangent vector that leaves it as it is moves no gate_j·v and of (down, up·v) the scale alone; for
all v that is the scale of the unit. Each output says so by itself. Without ``up`` the same with
planes for lines.

*Router*: exp((w_i + v)ᵀx) = exp(vᵀx)·exp(w_iᵀx), and a sigmoid has no such factor.
Source: theory section 14; proofs_check/test_layer_routers.py, test_layer_units.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import sympy as sp

from identkit.architecture.measures import Setting
from identkit.architecture.records import FoundGauge
from identkit.architecture.search import keeps_h, of_the_gate
from identkit.checking import SHARED, check
from identkit.deadline import Deadline
from identkit.expression import parse, symbol
from identkit.gates import resolve
from identkit.gates.selection import MOST
from identkit.interaction import interactions
from identkit.layers.findings import Absent, LayerGauge
from identkit.layers.record import LEARNED, Architecture, Divided, ExpertForm, Form, Router, Scores
from identkit.layers.symbols import MATRICES, expert, gate_of
from identkit.results import QUANTIFIERS, CheckResult
from identkit.vocabulary import GaugeKind, Verdict

SMALL = 2
"""Units, inputs and outputs of the expert at which an action is proved, beside width 1."""
SHIFT = "shift of the router"
SCALE = "scale of a unit"
PLACES = {
    "c": "down[:, j]", "a": "gate[j]", "u": "up[j]", "b": "gate bias[j]", "v": "up bias[j]",
    "w": "(up bias[j] + 1)",
}  # fmt: skip
_CONSTANT = "its own numbers alone are in the sum over units"

Found = LayerGauge | Absent


def inputs_of(form: ExpertForm) -> int:
    """d of the small expert: one input, or two where one would leave nothing but an amplitude."""
    return 2 if form.form is Form.PLAIN and not form.has_bias("gate") else 1


def of_the_router(architecture: Architecture, seconds: float) -> Iterator[Found]:
    """What moves W, its intercepts and selection biases."""
    architecture = _seen(architecture)
    router = architecture.router
    setting = Setting(expert(architecture.expert, inputs=2), _gate(architecture), Deadline(seconds))
    declared = {g.name: g for g in of_the_gate(setting)}
    if router.on_input:
        yield _on_input(architecture)
    elif router.scores is Scores.SOFTMAX:
        yield _shift(architecture, declared["common shift"])
        if _alone(router):
            own = declared["common scale"]
            yield LayerGauge(
                "router", "scale of the router", "W → c·W, c > 0", 1, own.proved, own.method,
                "the weight of the largest score is 1, and the order of scores stays",
            )  # fmt: skip
    else:
        yield _of_sigmoids(router)
    if router.temperature == LEARNED:
        yield _of_the_temperature(architecture, setting)
    if router.selection_bias:
        own = declared["shift of the selection"]
        yield LayerGauge(
            part="router",
            name=own.name,
            action="b → b + t, one t for all experts",
            dimension=1,
            proved=own.proved,
            proof=f"{own.method} (gate {setting.gate.name})",
            widths="b decides by differences alone"
            + (", and scores of groups all move alike" if router.grouped else ""),
        )
    yield LayerGauge(
        part="expert",
        name="permutation of experts",
        action="rows of W and experts, in any order"
        + (" that keeps the groups together" if router.grouped else ""),
        dimension=0,
        proved=True,
        proof="f is a sum over experts",
        widths="the order of a sum",
    )


def _seen(architecture: Architecture) -> Architecture:
    """With softmax for sigmoids where the one weight is divided by itself: the same layer.

    The weight is 1, and both functions increase, so that scores alone select.
    """
    router = architecture.router
    if _alone(router) and not router.selection_bias and not router.on_input:
        return replace(architecture, router=replace(router, scores=Scores.SOFTMAX))
    return architecture


def _alone(router: Router) -> bool:
    """Whether one expert is selected, of weight 1."""
    return router.selected == 1 and router.divided is Divided.SELECTED


def _gate(architecture: Architecture) -> Any:
    """The registered gate by which the router's gauge is proved."""
    router = architecture.router
    name, _ = gate_of(router)
    if name is None:
        k = min(router.selected, router.count - 1, MOST)
        name = "softmax" if router.scores is Scores.SOFTMAX else f"top-{max(k, 1)}-biased"
    return resolve(name)


def _shift(architecture: Architecture, own: FoundGauge) -> LayerGauge:
    router = architecture.router
    widths = (
        "exp((w_i + v)ᵀx) = exp(vᵀx)·exp(w_iᵀx): one factor for all experts, which divides out, "
        "and the order of scores stays"
    )
    if router.grouped:
        widths += "; groups are chosen by softmax weights, which stay"
    return LayerGauge(
        part="router",
        name=SHIFT,
        action="W → W + 1·vᵀ" + (", intercepts + t" if router.bias else ""),
        dimension=architecture.hidden + router.bias,
        proved=own.proved,
        proof=own.method,
        widths=f"{widths}; {_left(architecture)}",
    )


def _of_the_temperature(architecture: Architecture, setting: Setting) -> LayerGauge:
    """Scores (W x)/τ are those of c·W and c·τ."""
    proved = setting.is_identity(parse("c*(w*x + b)/(c*t)") - parse("(w*x + b)/t"))
    bias = ", intercepts → c·intercepts" if architecture.router.bias else ""
    return LayerGauge(
        part="router",
        name="scale of scores",
        action=f"W → c·W{bias}, τ → c·τ, c > 0",
        dimension=1,
        proved=proved,
        proof="scores stay: normal form",
        widths="each score by itself, whatever is made of it",
    )


def _left(architecture: Architecture) -> str:
    """What softmax weights show of W beside its shift."""
    if architecture.router.divided is Divided.ALL:
        return "nothing else moves: 1/w_i = Σ_l exp((W_l − W_i)x) shows all differences of rows"
    if architecture.router.selected == 1:
        return "beside it and the scale, weights are 1 and W is seen in the regions alone"
    return (
        "nothing else moves between experts that are selected together: w_i/w_j shows (W_i − W_j)x"
    )


def _of_sigmoids(router: Router) -> Absent:
    """Whether sigmoid weights determine the scores near the truth."""
    if _alone(router):
        reason = (
            "the weight of the one that is selected is 1, so that W and b are seen in the regions "
            "alone, of which no theorem is"
        )
        return Absent("router", SHIFT, False, reason)
    if router.divided is not Divided.SELECTED:
        reason = "σ(W x) is not divided, and determines W x of every expert that is selected"
        return Absent("router", SHIFT, True, reason)
    one, other = ("a*x + p", "b*x + q") if router.bias else ("a*x", "b*x")
    found = interactions(f"sigmoid({one})/(sigmoid({one}) + sigmoid({other}))", order=1)
    excluded = found.independent == Verdict.YES and found.quantifier is not None
    who = QUANTIFIERS[found.quantifier] if found.quantifier is not None else ""
    shown = "σ(ax + p)/(σ(ax + p) + σ(bx + q))" if router.bias else "σ(ax)/(σ(ax) + σ(bx))"
    reason = (
        f"the derivatives of {shown} by its numbers are independent, for {who}; with d inputs "
        "along every line x = t·v, so that no curve of W leaves the weights of two experts that "
        "are selected together"
    )
    if not router.bias:
        reason += "; rows that differ are determined by them (layer-sigmoid-rows)"
    return Absent("router", SHIFT, excluded, reason if excluded else "not proved at one input")


def _on_input(architecture: Architecture) -> Absent:
    """Whether h(σ(wx)·x) determines w beside what leaves h as it is."""
    held = expert(architecture.expert, scaled=False)
    score = "sigmoid(w*x)"
    text = str(held.expression.subs(symbol("x"), parse(f"x*{score}")))
    found = interactions(text, order=1)
    by_w = [r.text for r in found.relations if "∂w" in r.text]
    excluded = found.complete and not by_w and not found.vanishing
    return Absent(
        "router",
        SHIFT,
        excluded,
        f"at one input no relation holds between ∂/∂w and the derivatives of h(σ(wx)·x) by the "
        f"expert's numbers, for {QUANTIFIERS[found.quantifier]}; with d inputs along every line"
        + (", and any number of units by poles (layer-weight-on-input)" if held.is_smooth else "")
        if excluded and found.quantifier is not None
        else "not proved at one input",
    )


# -- one expert -----------------------------------------------------------------------------------


def of_the_expert(
    architecture: Architecture, result: CheckResult, seconds: float, seed: int
) -> Iterator[Found]:
    """What moves the numbers of a hidden unit, from a check of the expert at width 1.

    ``result`` is of the expert as it is, under any gate.
    """
    form = architecture.expert
    setting = _small(form, seconds)
    found = list(_scales(architecture, form, result, seconds))
    yield from found
    if not found:
        none = next((n for n in result.no_gauges if "curve" in n.name), None)
        reason = "no curve was found at width 1" if none is None else none.reason
        yield Absent("unit", SCALE, none is not None and none.excluded, reason)
    if form.form is Form.CLAMPED:
        free = replace(form, limit="")
        inside = check(expert(free), SHARED, likelihood="gaussian", seed=seed, time_limit=seconds)
        for gauge in _scales(architecture, free, inside, seconds):
            yield replace(gauge, where="the clamp of up cuts no input, before or after")
    swapped = {p: parse(_swap(p)) for p in setting.expert.parameters if p[0] != "e"}
    yield LayerGauge(
        part="unit",
        name="permutation of units",
        action="rows of gate and up, columns of down, in any order"
        if form.form is not Form.PLAIN
        else "rows of gate, columns of down, in any order",
        dimension=0,
        proved=keeps_h(setting, swapped),
        proof="two units exchanged, 2 inputs and 2 outputs: normal form",
        widths="the order of a sum; exchanges of two make every permutation",
    )
    yield _no_other(form, seconds, seed, scaled=not found)


def _small(form: ExpertForm, seconds: float) -> Setting:
    own = expert(form, units=SMALL, inputs=SMALL, outputs=SMALL)
    return Setting(own, resolve(SHARED, "gaussian"), Deadline(seconds))


def _scales(
    architecture: Architecture, form: ExpertForm, result: CheckResult, seconds: float
) -> Iterator[LayerGauge]:
    """The curves of one unit that were found at width 1, proved at the small layer."""
    own = [g for g in result.gauges if g.kind in (GaugeKind.ORBIT, GaugeKind.SYMMETRY) and g.each]
    setting = _small(form, seconds)
    units = architecture.router.count * form.width
    units += 0 if architecture.shared is None else architecture.shared.width
    flips = [_ratios(g) for g in own if g.kind is GaugeKind.SYMMETRY]
    orbits = [gauge for gauge in own if gauge.kind is GaugeKind.ORBIT]
    for gauge in orbits:
        ratios = _ratios(gauge)
        moved = " and ".join(MATRICES[letter] for letter in sorted(ratios))
        signed = any(set(flip) == set(ratios) for flip in flips)
        proved = _at_the_small_layer(setting, ratios, gauge.amounts)
        yield LayerGauge(
            part="unit",
            name=SCALE if len(orbits) == 1 else f"{SCALE}, {moved}",
            action=f"{_action(ratios, gauge.amounts)}, r {'≠' if signed else '>'} 0, "
            "for each unit j of each expert",
            dimension=units,
            proved=gauge.proved and proved,
            proof=f"found at width 1: {gauge.action}; {gauge.method}; again with 2 units, 2 inputs "
            "and 2 outputs",
            widths=f"a unit adds down[:, j] times a number to the output, and {_CONSTANT}",
        )


def _no_other(form: ExpertForm, seconds: float, seed: int, *, scaled: bool) -> Absent:
    """That nothing else moves the hidden units, near generic numbers.

    ``scaled``: units have no scale, so that none of their numbers is held.
    """
    own = expert(form, scaled=scaled, inputs=inputs_of(form), output_bias=False)
    found = check(
        own, SHARED, likelihood="gaussian", condition="shared-strong", seed=seed,
        time_limit=seconds, atoms=2 if form.form is Form.CLAMPED else 3,
    )  # fmt: skip
    proof = found.results[0].proofs[0]
    name = "another curve of units"
    if proof.verdict != Verdict.YES or proof.quantifier is None:
        return Absent("unit", name, False, "none was found, and none is excluded")
    count = "any number of" if proof.every_k else f"{found.options.atoms}"
    who = QUANTIFIERS[proof.quantifier].replace("the atoms'", "their")
    lines = "planes" if inputs_of(form) == 2 else "lines x = t·v"
    reason = (
        f"{'' if scaled else 'with the scale held, '}the derivatives of {count} units at "
        f"{inputs_of(form)} input{'s' * (inputs_of(form) > 1)} are independent, for {who}; with d "
        f"inputs along all {lines}"
    )
    if not own.is_smooth:
        reason += (
            "; of inputs on both sides of every kink: where a router sends an expert others, units "
            "are smooth, and more can move them (units-active-everywhere)"
        )
    return Absent("unit", name, True, reason)


def _ratios(gauge: FoundGauge) -> dict[str, Any]:
    """Letter of a matrix -> what its numbers of this unit are multiplied by."""
    found: dict[str, Any] = {}
    for name, image in gauge.images:
        ratio = sp.simplify(parse(image) / symbol(name))
        if ratio != 1:
            found[name[0]] = ratio
    return found


def _at_the_small_layer(
    setting: Setting, ratios: Mapping[str, Any], amounts: tuple[str, ...]
) -> bool:
    """Proved: so moved, the first of two units leaves both outputs as they are."""
    images = {
        p: symbol(p) * ratios[p[0]]
        for p in setting.expert.parameters
        if p[0] in ratios and p[1] == "0"
    }
    return bool(images) and keeps_h(setting, images, amounts)


def _action(ratios: Mapping[str, Any], amounts: tuple[str, ...]) -> str:
    """With a positive factor r for exp(s)."""
    r = sp.Symbol("r", positive=True)
    moved = []
    for letter, ratio in sorted(ratios.items(), key=lambda item: [*PLACES].index(item[0])):
        factor = sp.simplify(ratio.subs({symbol(s): sp.log(r) for s in amounts}))
        place = PLACES[letter]
        numerator, denominator = factor.as_numer_denom()
        new = place if numerator == 1 else f"{numerator}·{place}"
        moved.append(f"{place} → {new}{'' if denominator == 1 else f'/{denominator}'}")
    return ", ".join(moved)


def _swap(name: str) -> str:
    """The same number of the other unit."""
    return name[0] + {"0": "1", "1": "0"}[name[1]] + name[2:]
