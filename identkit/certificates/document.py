"""Proof records <-> plain JSON values. Functions are named by their labels throughout."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from identkit.certificates.witness import Witness
from identkit.conditions import BasisFunction
from identkit.results import (
    ConditionResult,
    FixedProof,
    MergedFunction,
    Relation,
    SetProof,
    Term,
)

REMARKS = ("every_k_obstacle", "notes")
"""Of a part, what explains a search to its reader: nothing follows from it, and no certificate
holds it."""


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
        "witness": _witness(proof),
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


def _terms(terms: tuple[Term, ...]) -> list[dict[str, str]]:
    return [{"coefficient": t.coefficient, "function": t.function.label} for t in terms]


def _relation(relation: Relation) -> dict[str, Any]:
    return {"text": relation.text, "terms": _terms(relation.terms)}


def _witness(proof: SetProof) -> dict[str, Any] | None:
    w = proof.witness
    if w is None:
        return None
    return {
        "functions": _labels(proof.witnessed),
        "atoms": [[str(v) for v in values] for values in w.atoms],
        "points": [[str(v) for v in point] for point in w.points],
        "precision": w.precision,
        "determinant": w.determinant,
    }


def _fixed(fixed: FixedProof | None) -> dict[str, Any] | None:
    if fixed is None:
        return None
    return {
        "combinations": [_terms(c) for c in fixed.combinations],
        "dimension": fixed.dimension,
        "degree": fixed.degree,
        "space": fixed.space,
        "atoms": fixed.atoms,
    }


# -- back ---------------------------------------------------------------------------------------


def read_part(data: dict[str, Any], functions: Mapping[str, BasisFunction]) -> SetProof:
    """The record described by ``part``'s output without its remarks.

    Labels are looked up in ``functions``.
    Raises KeyError for one that the condition does not contain.
    """
    witness = data["witness"]
    fixed = data["fixed"]
    return SetProof(
        title=data["title"],
        kind=data["kind"],
        verdict=data["verdict"],
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
        witness=None
        if witness is None
        else Witness(
            tuple(tuple(Fraction(v) for v in values) for values in witness["atoms"]),
            tuple(tuple(Fraction(v) for v in point) for point in witness["points"]),
            witness["precision"],
            witness["determinant"],
        ),
        witnessed=() if witness is None else tuple(functions[n] for n in witness["functions"]),
        fixed=None
        if fixed is None
        else FixedProof(
            tuple(_read_terms(c, functions) for c in fixed["combinations"]),
            fixed["dimension"],
            fixed["degree"],
            fixed["space"],
            fixed["atoms"],
        ),
        rank=data["rank"],
        quantifier=data["quantifier"],
        every_k=data["every_k"],
        every_k_obstacle=None,
        notes=(),
        cause=data["cause"],
    )


def _read_terms(
    data: list[dict[str, str]], functions: Mapping[str, BasisFunction]
) -> tuple[Term, ...]:
    return tuple(Term(t["coefficient"], functions[t["function"]]) for t in data)


def _read_relation(data: dict[str, Any], functions: Mapping[str, BasisFunction]) -> Relation:
    return Relation(_read_terms(data["terms"], functions), data["text"])
