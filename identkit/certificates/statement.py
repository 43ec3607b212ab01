"""What a certificate says, and the evidence for it: records <-> plain JSON values.

Nothing else is in the file: no sentence, no remark on a search, no number that nobody checks. What
a check leaves open is stored as open, without the reason. ``rate`` and the like follow from the
rest (:func:`concluded`), and are stored to be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from identkit.atoms import expert_function
from identkit.certificates.document import terms, witness
from identkit.certificates.witness import Witness
from identkit.conditions import BasisFunction
from identkit.degeneracy.document import document
from identkit.degeneracy.rate import caveats_of, derived_rate
from identkit.degeneracy.records import (
    Dual,
    Exceptional,
    Family,
    Identity,
    Invisible,
    MomentWitness,
    Premise,
    Refit,
    SecondOrder,
    Visible,
)
from identkit.experts import Expert
from identkit.gates import Gate, RegimeCode
from identkit.orders.records import CellOrders
from identkit.questions import asked_in, is_first_order, of_another_model
from identkit.results import (
    ConditionResult,
    FixedProof,
    MergedFunction,
    Relation,
    SetProof,
    Term,
)
from identkit.vocabulary import (
    Across,
    Cause,
    FamilyKind,
    PremiseVerdict,
    ProofKind,
    Quantifier,
    RefitKind,
    Verdict,
)

Functions = Mapping[str, BasisFunction]


def result_entry(result: ConditionResult, gate: Gate) -> dict[str, Any]:
    """One entry of ``results``, without what follows from several of them."""
    second, premise = result.second_order, result.premise
    return {
        "regime": result.regime,
        "condition": result.condition,
        "level": result.level,
        "coordinates": list(result.coordinates),
        "certificate": {
            "parts": [part_entry(p) for p in result.proofs],
            "second_order": None if second is None else second_entry(second),
        },
        "refits": None if premise is None else [refit_entry(r) for r in premise.refits],
        "exceptional": [
            {"kind": e.kind, **document(e.identity)}
            for e in result.exceptional
            if e.identity is not None
        ],
    }


STATEMENT = ("verdict", "quantifier", "atoms", "atoms_scope", "nondegenerate", "premise", "rate")


def statement(result: ConditionResult) -> dict[str, Any]:
    """What a result says, derived from its parts."""
    rate, premise = result.rate, result.premise
    return {
        "verdict": result.verdict,
        "quantifier": result.quantifier,
        "atoms": result.atoms,
        "atoms_scope": result.atoms_scope,
        "nondegenerate": result.nondegenerate,
        "premise": None if premise is None else premise.verdict,
        "rate": None if rate is None else {"derived": str(rate.derived), "cause": rate.cause},
    }


def concluded(
    expert: Expert, gate: Gate, results: Sequence[ConditionResult]
) -> list[ConditionResult]:
    """The results with the rates that follow."""
    completed = []
    for r in results:
        regime, rate, provided = gate.regime(r.regime), None, ()
        asked = asked_in(regime, results)
        if regime is not None and not of_another_model(regime, r.condition):
            orders = CellOrders(r.orders)
            rate = derived_rate(
                None, r.second_order, r.premise, asked, regime, expert_function(expert), orders
            )
            provided = caveats_of(rate, r.second_order, regime, asked, orders)
        first = is_first_order(regime, r, asked)
        completed.append(replace(r, rate=rate, first_order=first, caveats=provided))
    return completed


def expected(gate: Gate, regime: RegimeCode, condition: str) -> tuple[bool, bool]:
    """Whether a result has a second-order analysis, and whether a premise."""
    found = gate.regime(regime)
    if found is None or of_another_model(found, condition):
        return False, False
    second = found.expansion is None or found.expansion.order >= 2
    return second, found.refits == "premise"


# -- one set of functions -----------------------------------------------------------------------


def part_entry(proof: SetProof) -> dict[str, Any]:
    """One set's statement and evidence; of an open one that it is open."""
    is_open = proof.kind == ProofKind.NONE
    everything = (*proof.kept, *(m.function for m in proof.merged), *proof.dropped)
    counted = proof.kind == ProofKind.BALL_DETERMINANT or proof.witness is not None
    fixed, w = proof.fixed, proof.witness
    return {
        "title": proof.title,
        "kind": proof.kind,
        "verdict": proof.verdict,
        "atoms": proof.atoms,
        "kept": [] if is_open else [f.label for f in proof.kept],
        "shared": [f.label for f in proof.shared],
        "merged": []
        if is_open
        else [
            {"function": m.function.label, "into": m.into.label, "relation": _relation(m.relation)}
            for m in proof.merged
        ],
        "dropped": [] if is_open or not everything else [f.label for f in proof.dropped],
        "relations": [_relation(r) for r in proof.relations],
        "witness": None
        if w is None
        else {"functions": [f.label for f in proof.witnessed], **witness(w)},
        "fixed": None
        if fixed is None
        else {
            "combinations": [terms(c) for c in fixed.combinations],
            "dimension": fixed.dimension,
            "atoms": fixed.atoms,
        },
        "rank": proof.rank if counted else None,
        "quantifier": proof.quantifier,
        "every_k": proof.every_k,
    }


def _relation(relation: Relation) -> dict[str, Any]:
    return {"terms": terms(relation.terms)}


def read_part(data: dict[str, Any], functions: Functions) -> SetProof:
    """Raises KeyError for a function that the condition does not contain."""
    fixed, w = data["fixed"], data["witness"]
    return SetProof(
        title=data["title"],
        kind=ProofKind(data["kind"]),
        verdict=Verdict(data["verdict"]),
        atoms=data["atoms"],
        kept=tuple(functions[name] for name in data["kept"]),
        shared=tuple(functions[name] for name in data["shared"]),
        merged=tuple(
            MergedFunction(
                functions[m["function"]],
                functions[m["into"]],
                _read_relation(m["relation"], functions),
            )
            for m in data["merged"]
        ),
        dropped=tuple(functions[name] for name in data["dropped"]),
        relations=tuple(_read_relation(r, functions) for r in data["relations"]),
        witness=None if w is None else _read_witness(w),
        witnessed=() if w is None else tuple(functions[n] for n in w["functions"]),
        fixed=None
        if fixed is None
        else FixedProof(
            tuple(_read_terms(c, functions) for c in fixed["combinations"]),
            fixed["dimension"],
            None,
            "",
            fixed["atoms"],
        ),
        rank=data["rank"],
        quantifier=_read_quantifier(data),
        every_k=data["every_k"],
        every_k_obstacle=None,
        notes=(),
    )


def _read_quantifier(data: dict[str, Any]) -> Quantifier | None:
    found = data["quantifier"]
    return None if found is None else Quantifier(found)


def _read_terms(data: Sequence[dict[str, str]], functions: Functions) -> tuple[Term, ...]:
    return tuple(Term(t["coefficient"], functions[t["function"]]) for t in data)


def _read_relation(data: dict[str, Any], functions: Functions) -> Relation:
    return Relation(_read_terms(data["terms"], functions), "")


def _read_witness(data: dict[str, Any]) -> Witness:
    return Witness(
        tuple(tuple(Fraction(v) for v in values) for values in data["atoms"]),
        tuple(tuple(Fraction(v) for v in point) for point in data["points"]),
        data["precision"],
        data["determinant"],
    )


# -- second order -------------------------------------------------------------------------------


def second_entry(found: SecondOrder) -> dict[str, Any]:
    """The verdict with the evidence that it rests on."""
    yes, by_family = (
        found.verdict == Verdict.YES,
        found.verdict == Verdict.NO and bool(found.families),
    )
    by_moments = found.verdict == Verdict.NO and not by_family
    w, entry = found.witness, found.determinant
    return {
        "verdict": found.verdict,
        "quantifier": found.quantifier,
        "across_atoms": found.across_atoms
        if yes and found.across_atoms != Across.DEPENDENT
        else Across.OPEN,
        "families": [_family(f) for f in found.families] if by_family else [],
        "invisible": [document(v.moments) for v in found.invisible] if yes or by_moments else [],
        "visible": [document(v.entries) for v in found.visible] if yes else [],
        "dual": document(found.dual.blocks) if yes and found.dual is not None else None,
        "independent": list(found.independent) if yes else [],
        "determinant": witness(entry) if yes and entry is not None else None,
        "witness": {"moments": document(w.moments), "at": list(w.at)}
        if by_moments and w is not None
        else None,
    }


def _family(found: Family) -> dict[str, Any]:
    flow = found.kind == FamilyKind.FLOW  # its curve has no closed form, and the factor follows
    return {
        "kind": found.kind,
        "parameter": "" if flow else found.parameter,
        "curve": document(found.curve),
        "velocity": document(found.velocity),
        "r1": "" if flow else found.r1,
        "r2": "" if flow else found.r2,
    }


def open_question(gate: Gate, regime: RegimeCode, cause: Cause | None = None) -> SecondOrder:
    """Second order, undecided."""
    return SecondOrder(
        gate.name, regime, Verdict.UNDECIDED, None, "", (), (), None, Across.OPEN, (), (), (), None,
        None, (), (), (), cause,
    )  # fmt: skip


def read_second(data: dict[str, Any], gate: Gate, regime: RegimeCode) -> SecondOrder:
    """The record; ``reason`` and whatever else explains is empty."""
    found = gate.regime(regime)
    unknown = found is not None and found.expansion is None
    w, d = data["witness"], data["determinant"]
    return replace(
        open_question(gate, regime, Cause.NO_EXPANSION if unknown else None),
        verdict=Verdict(data["verdict"]),
        quantifier=_read_quantifier(data),
        across_atoms=Across(data["across_atoms"]),
        families=tuple(
            Family(
                FamilyKind(f["kind"]), f["parameter"], "0", _pairs(f["curve"]),
                _pairs(f["velocity"]), f["r1"], f["r2"], 0, (), (), (), (), (), (),
            )
            for f in data["families"]
        ),
        invisible=tuple(Invisible(_pairs(v), "") for v in data["invisible"]),
        visible=tuple(Visible("", _pairs(v), "") for v in data["visible"]),
        dual=None
        if data["dual"] is None
        else Dual((), tuple((tuple(b), tuple(map(tuple, rows))) for b, rows in data["dual"]), None),
        independent=tuple(data["independent"]),
        determinant=None if d is None else _read_witness(d),
        witness=None
        if w is None
        else MomentWitness(_pairs(w["moments"]), "", 0, None, tuple(w["at"]), None),
    )  # fmt: skip


def _pairs(data: Sequence[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in data)


# -- premise ------------------------------------------------------------------------------------


def refit_entry(refit: Refit) -> dict[str, Any]:
    return {"kind": refit.kind, "substitution": document(refit.substitution)}


def read_exceptional(data: dict[str, Any]) -> Exceptional:
    """A set of parameters given by its identity."""
    terms = tuple((c, _pairs(images)) for c, images in data["terms"])
    identity = Identity(terms, _pairs(data["slopes"]), data["rest"], data["parameter"])
    return Exceptional("", "", data["kind"], identity)


def read_premise(refits: Sequence[dict[str, Any]]) -> Premise:
    """Fails with a refit; finding none proves nothing."""
    found = tuple(
        Refit(RefitKind(r["kind"]), "", tuple(map(_pairs, r["substitution"]))) for r in refits
    )
    return Premise(PremiseVerdict.FAILS if found else PremiseVerdict.UNDECIDED, found, "")
