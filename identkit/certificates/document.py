"""Proof records -> plain JSON values. Functions are named by their labels throughout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from identkit.certificates.witness import Witness
from identkit.conditions import BasisFunction
from identkit.results import (
    ConditionResult,
    FixedProof,
    Relation,
    SetProof,
    Term,
)


def evidence(result: ConditionResult) -> dict[str, Any]:
    """The certificate of one result: the kind of its deciding proof, and every part."""
    return {"kind": result.deciding.kind, "parts": [part(p) for p in result.proofs]}


def part(proof: SetProof) -> dict[str, Any]:
    """One set's proof as JSON values."""
    return {
        "title": proof.title,
        "kind": proof.kind,
        "verdict": proof.verdict,
        "atoms": proof.atoms,
        "kept": _labels(proof.kept),
        "shared": _labels(proof.shared),
        "merged": [
            {"function": m.function.label, "into": m.into.label, "relation": _relation(m.relation)}
            for m in proof.merged
        ],
        "dropped": _labels(proof.dropped),
        "relations": [_relation(r) for r in proof.relations],
        "witness": None
        if proof.witness is None
        else {"functions": _labels(proof.witnessed), **witness(proof.witness)},
        "fixed": _fixed(proof.fixed),
        "rank": proof.rank,
        "quantifier": proof.quantifier,
        "every_k": proof.every_k,
        "every_k_obstacle": proof.every_k_obstacle,
        "notes": list(proof.notes),
        "cause": proof.cause,
    }


def _labels(functions: tuple[BasisFunction, ...]) -> list[str]:
    return [f.label for f in functions]


def terms(listed: Sequence[Term]) -> list[dict[str, str]]:
    """A combination: each coefficient with its function."""
    return [{"coefficient": t.coefficient, "function": t.function.label} for t in listed]


def _relation(relation: Relation) -> dict[str, Any]:
    return {"text": relation.text, "terms": terms(relation.terms)}


def witness(w: Witness) -> dict[str, Any]:
    """A determinant."""
    return {
        "atoms": [[str(v) for v in values] for values in w.atoms],
        "points": [[str(v) for v in point] for point in w.points],
        "precision": w.precision,
        "determinant": w.determinant,
    }


def _fixed(fixed: FixedProof | None) -> dict[str, Any] | None:
    if fixed is None:
        return None
    return {
        "combinations": [terms(c) for c in fixed.combinations],
        "dimension": fixed.dimension,
        "degree": fixed.degree,
        "space": fixed.space,
        "atoms": fixed.atoms,
    }
