"""The section of an explanation that shows other mixing measures with the same f."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from identkit.degeneracy.moments import SPREAD
from identkit.degeneracy.records import Family, MomentWitness, RealisedAtoms, SecondOrder
from identkit.gates import resolve as resolve_gate
from identkit.likelihoods import resolve
from identkit.report.notation import is_sum
from identkit.report.paragraphs import (
    Paragraph,
    formula,
    item,
    prose,
    quantifier_text,
    tuple_text,
    vector_text,
)
from identkit.report.snippet import snippet
from identkit.report.statements import about
from identkit.results import CheckResult
from identkit.vocabulary import FamilyKind, Through


def counterexample(check: CheckResult, second: SecondOrder) -> Iterator[Paragraph]:
    """Every exact family, then the invisible moments with atoms that have them."""
    for family in second.families:
        yield from _family(check, family)
    if second.witness is not None:
        yield from _witness(check, second.witness)


_KINDS = {
    FamilyKind.REDUNDANT: "does not change along it",
    FamilyKind.SCALE: "is multiplied along it",
    FamilyKind.SPLIT: "is affine along it",
    FamilyKind.PHASE: "turns in a plane along it",
}


def _velocity(family: Family, h: str) -> str:
    terms = [(f"∂{h}/∂{p}", v) for p, v in family.velocity if v != "0"]
    return vector_text(terms).replace("Δ", "") if terms else "0"


def _family(check: CheckResult, family: Family) -> Iterator[Paragraph]:
    h, eta = _moving(check, family)
    if family.kind == FamilyKind.FLOW or not family.curve:
        yield prose(
            f"Exact family (flow): with the velocity V below, {h} is multiplied along the flow of "
            "V (no closed form was found for the curve), by the factor "
            f"`r1` = {family.r1}:"
        )
        yield formula(f"∂_V {h} = {_velocity(family, h)}")
    else:
        s, own = family.parameter, family.parameter + "_i"
        kind = about(check, _KINDS.get(family.kind, family.kind))
        yield prose(f"Exact family ({family.kind}: {h} {kind}), a curve of atoms in `{s}`:")
        yield formula(",  ".join(f"{p}({s}) = {image}" for p, image in family.curve))
        if family.kind == FamilyKind.SCALE and any(
            f"exp({s})" in image for _, image in family.curve
        ):
            name = next(n for n in ("c", "r", "k", "ρ") if n not in check.expert.parameters)
            yield prose(f"Write `{name} = exp({s})`, which is positive.")
        yield prose(f"At `{s} = {family.origin}` it is the true {eta}. For every x and {eta}")
        yield formula(f"{h}(x, {eta}({s})) = {_combination(family, h, eta)}")
        if family.r2 != "0":
            yield formula(f"∂_V {h} = {_velocity(family, h)}")
        yield prose(
            f"So fitted atoms under the true atom's gate, at positions `{own}` ({family.cell} or "
            f"more), give the same {_letter(check)} as it does, as soon as"
        )
    for condition in family.conditions:
        yield formula(re.sub(r"·\((\w+(?:\(\w+\))?)\)", r"·\1", condition))
    if not family.curve:
        yield prose(f"Fitted atoms needed in the cell: {family.cell}.")
    if family.invariants:
        shown = ", ".join(f"`{q}`" for q in family.invariants)
        yield prose(f"Constant along the curve: {shown}.")
    if family.eta and family.positions and family.curve:
        eta = ", ".join(
            f"{p} = {v}" for p, v in zip(check.expert.parameters, family.eta, strict=False)
        )
        yield prose(
            f"For example at `{eta}`, with positions `{tuple_text(family.positions)}` and weights "
            f"over `w*` as in this Python, which evaluates both sides:"
        )
        yield Paragraph("code", snippet(check, family))


def _moving(check: CheckResult, family: Family) -> tuple[str, str]:
    """The function that a curve is one of, and its parameters: h and η, or a router's W and γ."""
    own = all(p in check.expert.parameters for p, _ in family.velocity)
    return (check.seen.symbol, "η") if own else ("W", "γ")


def _combination(family: Family, h: str, eta: str) -> str:
    """r1·h + r2·∂_V h with the values put in."""
    terms = []
    for factor, function in ((family.r1, f"{h}(x, {eta})"), (family.r2, f"∂_V {h}(x, {eta})")):
        if factor != "0":
            size = f"({factor})" if is_sum(factor) or factor.startswith("-") else factor
            terms.append(function if factor == "1" else f"{size}·{function}")
    return " + ".join(terms) or "0"


def _letter(check: CheckResult) -> str:
    """The function that is estimated: f or p."""
    return resolve(check.likelihood).letter


def _atoms(count: int) -> str:
    return f"{count} atom" if count == 1 else f"{count} atoms"


def _witness(check: CheckResult, witness: MomentWitness) -> Iterator[Paragraph]:
    yield prose(
        f"Invisible moments, for {quantifier_text(witness.quantifier)}"
        + (f", with M of rank {witness.rank}:" if witness.rank else ":")
    )
    yield formula(",  ".join(f"{name} = {value}" for name, value in witness.moments))
    yield prose("All others are 0. They do not show, because for every x")
    yield formula(witness.equation)
    if witness.at and witness.realised is None:
        yield prose(f"Found at `η = {tuple_text(witness.at)}`.")
    if witness.realised is not None:
        yield from _realised(check, witness.realised)


def _realised(check: CheckResult, atoms: RealisedAtoms) -> Iterator[Paragraph]:
    yield prose(
        f"They are realised by {_atoms(atoms.cell)} around "
        f"`{_at(check)} = {tuple_text(atoms.eta)}`, with weights over `w*` and deviations `δ_i` "
        "along a path in t, to six digits (the true atom at `t = 0`):"
    )
    names, letter = list(check.expert.parameters), _letter(check)
    router = resolve_gate(check.gate, check.likelihood).router
    if router is not None:
        names = [*router.parameters(check.expert.inputs), *names]
    if resolve(check.likelihood).through is Through.DENSITY:
        names.append(SPREAD)
    width = len(atoms.drift)
    if width > len(names):
        slopes = width - len(names)
        names = (["β1"] if slopes == 1 else [f"β1_{i}" for i in range(slopes)]) + names
    if len(names) == width:
        yield prose(f"Coordinates of a deviation: `{tuple_text([f'Δ{n}' for n in names])}`.")
    for i, (w, row) in enumerate(zip(atoms.weights, atoms.deviations, strict=True), 1):
        drift = "" if all(_zero(v) for v in atoms.drift) else f" + t^2·{_rounded(atoms.drift)}"
        row = (*row, *("0" for _ in range(width - len(row))))  # the variance only drifts
        yield formula(f"w_{i}/w* = {w},  δ_{i} = t·{_rounded(row)}{drift}")
    if not _zero(atoms.weight_shift):
        yield prose(
            f"With `w* = {atoms.weight}` the weights change by `{_short(atoms.weight_shift)}·t^2` "
            "in all, spread over the atoms."
        )
    if atoms.order == "inf":
        yield prose(
            f"Measured, {_letter(check)} does not change at seeded points, to within the precision "
            "used."
        )
    else:
        yield prose(
            f"The loss is of order `t^2`; measured, `‖{letter}_G − {letter}_G*‖` is of order `t^p` "
            f"with p = {atoms.order} (root mean square over seeded points): a measurement, not a "
            "proof."
        )
    for t, norm in atoms.steps:
        yield item(f"t = {t}: {norm}")


def _at(check: CheckResult) -> str:
    """The parameters of the true atom."""
    router = resolve_gate(check.gate, check.likelihood).router
    if router is None:
        return "η"
    return f"(β0, γ{''.join(f', {name}' for name in router.shared)}, η)"


def _short(number: str) -> str:
    """A decimal to six digits."""
    try:
        value = float(number)
    except ValueError:
        return number
    return "0" if abs(value) < 1e-30 else f"{value:.6g}"


def _rounded(numbers: Sequence[str]) -> str:
    return tuple_text([_short(n) for n in numbers])


def _zero(text: str) -> bool:
    try:
        return abs(float(text)) < 1e-30
    except ValueError:
        return False
