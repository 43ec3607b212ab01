"""The gauges of an architecture: those of its gate, of one atom, of its two halves.

What is already proved is read off, not found again: a gate declares its gauges, the second order
has the curves of an expert, the exceptional sets its sign flips. Each action is proved once more as
the identity that it is, in normal form, and an example with exact numbers proves itself. Between
the halves the search is new: see :mod:`identkit.architecture.overlap`.

Source: theory section 8; proofs_check/test_architecture_gauges.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import sympy as sp

from identkit.algebra import TooLarge
from identkit.architecture.halves import between_the_halves
from identkit.architecture.measures import Setting, written
from identkit.architecture.moves import Move
from identkit.architecture.records import FoundGauge, NoGauge
from identkit.atoms import expert_function, routed_function
from identkit.certificates.independence import find_witness
from identkit.degeneracy.conclude import exchanged
from identkit.degeneracy.families import Flow, Lift
from identkit.degeneracy.family_records import family_of
from identkit.degeneracy.records import Family, SecondOrder
from identkit.degeneracy.router_curves import gauge_text, separable
from identkit.derivatives import Derivatives
from identkit.errors import DomainError
from identkit.expression import parse, put, symbol
from identkit.forms import affine_forms
from identkit.gates import Gauge
from identkit.layout import OFFSET, SLOPE
from identkit.normal_form import NeedSign, Rebase
from identkit.prove import witness_quantifier
from identkit.relations import FormalFamily
from identkit.results import QUANTIFIERS, ConditionResult, Options
from identkit.sampling import Sampler
from identkit.vocabulary import FamilyKind, GaugeKind, Half, Quantifier, Verdict

FACTOR = "common-factor-of-weights"
"""The claim behind what moves all gates."""
SCALE = "scale of"
"""How a gauge is called that moves what all atoms share."""
CURVE = "a curve of one atom with the same h"
CURVES = "a curve of atoms with the same {letter}, near a true one"
"""What is excluded where the expert is nondegenerate: of cells as well."""

Found = FoundGauge | NoGauge
Images = Mapping[str, Any]
Curves = Sequence[Lift]


def search(
    setting: Setting,
    results: Sequence[ConditionResult],
    curves: Curves,
    scales: Callable[[], Sequence[Lift | Flow]],
    options: Options,
) -> Iterator[Found]:
    """Everything that is found, and what is known not to be there. Raises OutOfTime.

    ``curves`` are those along which h stays in a plane, ``scales`` gives those of a router that
    move what all atoms share.
    """
    steps: tuple[Callable[[], Iterator[Found]], ...] = (
        lambda: of_the_gate(setting),
        lambda: of_the_router(setting, scales, options),
        lambda: _of_the_expert(setting, results, curves, options),
        lambda: between_the_halves(setting, options),
    )
    for step in steps:
        try:
            yield from step()
        except (TooLarge, Rebase, NeedSign, DomainError, ArithmeticError, RecursionError) as limit:
            yield NoGauge("further gauges", False, f"a part of the search broke off: {limit}")


# -- the gate -------------------------------------------------------------------------------------


def of_the_gate(setting: Setting) -> Iterator[FoundGauge]:
    """Those that the gate declares."""
    for gauge in setting.gate.gauges:
        yield from of_a_gauge(setting, gauge)


def of_a_gauge(setting: Setting, gauge: Gauge) -> Iterator[FoundGauge]:
    """A gauge as the gate declares it, and what several amounts of it make of copies."""
    move = None if setting.gate.router is not None else Move.of(setting, gauge)
    proved = _one_step(setting, gauge) if move is None else move.common_factor()
    where = "" if gauge.caveat is None else gauge.caveat.text
    images = () if move is None else tuple((n, written(e)) for n, e in move.images.items())
    dimension = gauge.dimension(setting.dim, 2)
    yield FoundGauge(
        name=gauge.name,
        kind=GaugeKind.GATE,
        half=Half.ROUTED,
        action=f"{_action(images)}, for all atoms alike"
        if images
        else gauge.text.replace("leaves f ", f"leaves {setting.letter} "),
        where=where,
        images=images,
        amounts=() if move is None else move.amounts,
        dimension=dimension,
        each=False,
        proved=proved,
        method="all weights are multiplied by one function of x, which divides out: normal form"
        if proved
        else "declared by the gate",
        rests_on=(FACTOR,) if proved else (),
    )
    if move is None or not proved or where or not (setting.gate.divides and move.factor_moves()):
        return
    if setting.gate.together is None:  # copies may put others out of the sum
        return
    yield FoundGauge(
        name="common spreading",
        kind=GaugeKind.COPIES,
        half=Half.ROUTED,
        action=f"{_action(images)}, in two copies of every atom with one amount each",
        where="k ≥ 2k*",
        images=images,
        amounts=move.amounts,
        dimension=dimension,
        each=False,
        proved=True,
        method="numerator and denominator gain the same sum of factors: normal form",
        rests_on=(FACTOR, "softmax-common-spreading"),
    )


def _one_step(setting: Setting, gauge: Gauge) -> bool:
    """Whether a shift adds one function of x to the scores of all atoms, under weights exp."""
    gate, inputs = setting.gate, setting.expert.inputs
    s = symbol("s")
    if gate.router is None or not gauge.pins or gate.weight(s) != sp.exp(s):
        return False
    if gauge.moves == (OFFSET,):
        return True
    gamma = {symbol(g) for g in gate.router.parameters(inputs)}
    score = gate.router.score(inputs)
    return not any(sp.diff(score, g).free_symbols & gamma for g in gamma)


def of_the_router(
    setting: Setting, scales: Callable[[], Sequence[Lift | Flow]], options: Options
) -> Iterator[Found]:
    """What moves the parameters that all atoms share, and every router's own with them."""
    if setting.gate.router is None or not setting.gate.router.shared:
        return
    atom = routed_function(setting.expert, setting.gate)
    name = f"{SCALE} {', '.join(atom.shared)}"
    found = scales()
    for gauge in found:
        yield FoundGauge(
            name=name,
            kind=GaugeKind.GATE,
            half=Half.ROUTED,
            action=f"{gauge_text(gauge, atom)}, for all atoms alike",
            where="",
            images=(),
            amounts=(),
            dimension=1,
            each=False,
            proved=True,
            method="the weight of every atom stays the same along it: normal form",
            rests_on=("temperature-scale",),
        )
    if found:
        return
    # whatever function of x all atoms are multiplied by, it drops out of the ratio of two
    ratio, o, deadline = separable(atom), options, setting.deadline
    sampler = Sampler(ratio, o.domain, o.seed, affine_forms(ratio), deadline)
    partial = Derivatives(ratio, deadline).partial
    functions = [ratio.expression, *(partial((p,)) for p in ratio.parameters)]
    family = FormalFamily.from_expressions(functions, ratio, deadline)
    pivots, _ = family.echelon(family.columns(), list(range(len(functions))))
    left = [functions[i] for i in pivots]
    moving = range(len(functions) - len(atom.shared), len(functions))
    search = find_witness(left, [], 1, sampler, o.max_precision, deadline)
    if not set(moving) <= set(pivots) or search.witness is None:
        yield NoGauge(name, False, "none was found, and none is excluded")
        return
    yield NoGauge(
        name,
        True,
        f"the derivative of W_i/W_j by {', '.join(atom.shared)} is no combination of the others, "
        f"for {QUANTIFIERS[witness_quantifier(sampler)]}: a {len(left)}×{len(left)} determinant",
    )


# -- one atom -------------------------------------------------------------------------------------


def _of_the_expert(
    setting: Setting, results: Sequence[ConditionResult], curves: Curves, options: Options
) -> Iterator[Found]:
    seconds = [r.second_order for r in results if r.second_order is not None]
    families = dict.fromkeys(f for second in seconds for f in second.families)
    own = [lift for lift in curves if lift.kind == FamilyKind.REDUNDANT]
    if own and not families:  # of a gate without an expansion, say: h stays the same nevertheless
        sampler = _sampler(setting, options)
        names = sampler.atom.parameters
        families = dict.fromkeys(family_of(lift, sampler, False, names) for lift in own)
    for family in families:
        yield from of_a_family(setting, family)
    for entry in dict.fromkeys(e for r in results for e in r.exceptional):
        if entry.kind == "symmetry of one atom" and entry.identity is not None:
            (_, (_, flipped)) = entry.identity.terms
            yield from of_a_symmetry(setting, dict(flipped))
        elif entry.kind == "not-searched":
            yield NoGauge("sign flips of the expert", False, "not searched within the limits")
    yield from _of_gate_and_expert(setting)
    if not families:
        yield _no_curve(setting, seconds, options)


def _sampler(setting: Setting, options: Options) -> Sampler:
    atom = expert_function(setting.expert)
    return Sampler(atom, options.domain, options.seed, affine_forms(atom), setting.deadline)


def _no_curve(setting: Setting, seconds: Sequence[SecondOrder], options: Options) -> NoGauge:
    """That h changes along every curve, or that this is not proved."""
    yes = next((s for s in seconds if s.verdict == Verdict.YES), None)
    if yes is not None and yes.quantifier is not None:
        reason = f"nondegenerate, for {_who(yes.quantifier)}"
        return NoGauge(CURVES.format(letter=setting.letter), True, reason)
    derivatives = Derivatives(expert_function(setting.expert), setting.deadline)
    gradient = [derivatives.partial((p,)) for p in setting.expert.parameters]
    sampler = _sampler(setting, options)
    found = find_witness(gradient, [], 1, sampler, options.max_precision, setting.deadline)
    if found.witness is None:
        return NoGauge(CURVE, False, "none was found; that is no proof")
    who = _who(witness_quantifier(sampler))
    return NoGauge(CURVE, True, f"the ∂h/∂η are independent functions of x, for {who}")


def _who(quantifier: Quantifier) -> str:
    return QUANTIFIERS[quantifier].replace("the atoms'", "its")


def of_a_symmetry(setting: Setting, images: Images) -> Iterator[FoundGauge]:
    """One atom to the images of its parameters, if h stays the same: the identity is the proof."""
    images = {p: parse(str(e)) for p, e in images.items()}
    if not keeps_h(setting, images):
        return
    texts = tuple((p, written(e)) for p, e in images.items())
    yield FoundGauge(
        name="sign flip",
        kind=GaugeKind.SYMMETRY,
        half=_half(setting),
        action=_action(texts),
        where="",
        images=texts,
        amounts=(),
        dimension=0,
        each=True,
        proved=True,
        method="h is the same function of x: normal form",
    )


def keeps_h(setting: Setting, images: Images, amounts: Sequence[str] = ()) -> bool:
    """Proved: h(x, images) = h(x, η) for every x, η and amount."""
    h = setting.expert.expression
    moved = put(h, {symbol(p): e for p, e in images.items()})
    return setting.is_zero(moved - h, (*setting.expert.parameters, *amounts))


def of_a_family(setting: Setting, family: Family) -> Iterator[Found]:
    """A curve of one atom with the same h, or of the atoms that can replace it."""
    if family.kind == FamilyKind.FLOW or not family.curve:
        stays = "stays the same" if family.r1 == "1" else "is multiplied by a factor free of x"
        yield NoGauge(
            "a closed form of the flow " + ", ".join(f"{p}' = {v}" for p, v in family.velocity),
            False,
            f"h {stays} along it (second order), and no curve was found to write it with",
        )
        return
    if not {p for p, _ in family.curve} <= {*setting.expert.parameters}:
        if family.r2 == "0":  # cells along others are said with the second order
            yield _of_one_router(family)
        return
    images = {p: parse(e) for p, e in family.curve}
    s = family.parameter
    alone = family.kind == FamilyKind.REDUNDANT
    if alone and not keeps_h(setting, images, [s]):
        return  # of a cell the second order has proved the plane that h stays in
    cell, texts = family.cell, tuple((p, written(e)) for p, e in images.items())
    conditions = ", ".join(family.conditions)
    sums = [(family.r1, "1")] + [(family.r2, "0")] * (family.r2 != "0")
    if len(family.conditions) > len(sums):
        sums.append(("1", "1"))
    yield FoundGauge(
        name="orbit" if alone else f"{family.kind} family",
        kind=GaugeKind.ORBIT if alone else GaugeKind.CELL,
        half=_half(setting),
        action=_orbit(images, s) if alone else f"{_action(texts)} at s_1, s_2, … with {conditions}",
        where="" if alone else _cells(setting, cell),
        images=texts,
        amounts=(s,),
        dimension=1 if alone else 2 * cell - len(sums),
        each=True,
        proved=True,
        method="h is the same function of x: normal form"
        if alone
        else "h(curve) = r1·h + r2·∂_V h: normal form",
        sums=() if alone else tuple(sums),
    )


def _of_one_router(family: Family) -> FoundGauge:
    """A curve of one atom's score, read off: the second order has proved it as an identity of W."""
    factor = f", β0 → β0 - log({family.r1})" if family.r1 != "1" else ""
    return FoundGauge(
        name=f"orbit of {', '.join(p for p, _ in family.curve)}",
        kind=GaugeKind.SYMMETRY,
        half=Half.ROUTED,
        action=_action(family.curve) + factor,
        where="",
        images=(),
        amounts=(),
        dimension=1,
        each=True,
        proved=True,
        method="the weight is multiplied by a number free of x, or stays: normal form",
    )


def _orbit(images: Images, s: str) -> str:
    """The curve, with a positive factor r for exp(s)."""
    if not any(e.has(sp.exp(symbol(s))) or e.has(sp.exp(-symbol(s))) for e in images.values()):
        return _action(tuple((p, written(e)) for p, e in images.items()))
    factor = "r" if "r" not in images else "ρ"
    moved = {p: e.subs(symbol(s), sp.log(sp.Symbol(factor))) for p, e in images.items()}
    return f"{_action(tuple((p, written(e)) for p, e in moved.items()))}, {factor} > 0"


def _cells(setting: Setting, cell: int) -> str:
    """When an atom can be replaced by a cell."""
    fitted = f"{cell} fitted atoms or more for one" if cell > 1 else ""
    flat = "" if setting.scales else "β1 = 0 of that atom"
    return ", ".join(filter(None, (fitted, flat)))


def _of_gate_and_expert(setting: Setting) -> Iterator[FoundGauge]:
    """(β0, β1) exchanged with parameters of the expert."""
    terms = exchanged(setting.expert, setting.gate)
    own = [OFFSET.name, *(n for n, b in setting.numbers if b == SLOPE.name)]
    if not terms or {n for n, _ in setting.numbers} != set(own):
        return
    both = {**dict(zip(own, terms, strict=True)), **dict(zip(terms, own, strict=True))}
    gate = {n: symbol(n) for n in own}
    weighted_h = setting.weight(gate) * setting.expert.expression
    swapped = weighted_h.xreplace({symbol(a): symbol(b) for a, b in both.items()})
    if not setting.is_zero(swapped - weighted_h, (*own, *setting.expert.parameters)):
        return
    texts = tuple(both.items())
    yield FoundGauge(
        name="exchange of gate and expert",
        kind=GaugeKind.SYMMETRY,
        half=Half.ROUTED,
        action=_action(texts),
        where="",
        images=texts,
        amounts=(),
        dimension=0,
        each=True,
        proved=True,
        method="weight times h is the same function of x: normal form",
    )


# -- in words ----------------------------------------------------------------------------------


def _half(setting: Setting) -> Half:
    """Whose parameters those of the one expert are."""
    return Half.SHARED if setting.only_shared else Half.ROUTED


def _action(images: Sequence[tuple[str, str]]) -> str:
    """(c, a, b) → (c/2, 2a, 2b)."""
    old, new = ([pair[i].replace("beta", "β") for pair in images] for i in (0, 1))
    if len(old) == 1:
        return f"{old[0]} → {new[0]}"
    return f"({', '.join(old)}) → ({', '.join(new)})"
