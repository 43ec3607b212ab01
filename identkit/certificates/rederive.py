"""The second stage of verification: the prover comes to a statement once more.

This is for what the kernel cannot show from the evidence of a file, and it is less: the prover that
wrote the file is asked again, so that a mistake of the prover is a mistake here. Each answer is
told apart from the kernel's (:attr:`identkit.certificates.verify.Verified.by`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from identkit.certificates.order_entry import order_entry
from identkit.certificates.statement import part_entry, refit_entry, second_entry
from identkit.checking import prove_sets
from identkit.conditions import condition as find_condition
from identkit.coordinates import structural
from identkit.deadline import Deadline
from identkit.degeneracy.conclude import Conclusions
from identkit.errors import CertificateError
from identkit.experts import Expert
from identkit.gates import Gate
from identkit.results import ConditionResult, Options

PART = ("kind", "verdict", "atoms", "kept", "dropped", "fixed", "rank", "quantifier", "every_k")


def rederive(
    expert: Expert,
    gate: Gate,
    options: Options,
    results: Sequence[ConditionResult],
    questions: Sequence[Any],
    deadline: Deadline,
) -> None:
    """Raises CertificateError where the prover says otherwise, and OutOfTime."""
    conclusions = Conclusions(expert, gate, options, deadline)
    for question in questions:
        result, where = results[question.result], f"results[{question.result}]"
        if question.piece == "premise":
            refit = refit_entry(result.premise.refits[question.part])  # type: ignore[union-attr]
            again = refit in [refit_entry(r) for r in conclusions.premise.refits]
        elif question.piece == "exceptional":
            identity = result.exceptional[question.part].identity
            again = identity in [e.identity for e in conclusions.exceptional]
        elif question.piece == "second order":
            found = conclusions.second_order(result.regime)
            assert found is not None
            assert result.second_order is not None
            # all of the entry: the kernel may have read nothing of it
            again = second_entry(result.second_order) == second_entry(found)
        elif question.piece == "orders":
            conclusions.second_order(result.regime)
            found = replace(result, orders=conclusions.orders(result.regime).directions)
            again = order_entry(found, gate) == order_entry(result, gate)
        else:
            again = _verdict(expert, gate, options, result, question.part, deadline)
        if not again:
            deadline.check()  # what the prover did not come to in time is no contradiction
            raise CertificateError(
                f"{where}: the kernel cannot show {question.what}, and the prover does not come to "
                f"the same {question.piece}."
            )


def _keys(expert: Expert, entry: dict[str, Any], asked: Sequence[str]) -> Sequence[str]:
    """All of the entry for experts of several outputs, where the kernel may have read little."""
    return tuple(entry) if expert.markers else asked


def _same(stored: dict[str, Any], found: dict[str, Any], keys: Sequence[str]) -> bool:
    return all(stored[key] == found[key] for key in keys)


def _verdict(
    expert: Expert,
    gate: Gate,
    options: Options,
    result: ConditionResult,
    part: int,
    deadline: Deadline,
) -> bool:
    condition = find_condition(result.condition, result.level)
    atom = condition.atom(expert, gate)
    if part < 0:  # the given coordinates are to fail as well as the stored ones
        given = prove_sets(condition, atom, options, deadline)
        return any(p.depends_on_coordinates for p in given)
    coordinates = structural(atom) if result.coordinates else None
    atom = atom if coordinates is None else coordinates.apply(atom)
    found = prove_sets(condition, atom, options, deadline)[part]
    stored = part_entry(result.proofs[part])
    return _same(stored, part_entry(found), _keys(expert, stored, PART))
