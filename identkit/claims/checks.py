"""The vocabulary of ``proofs_check/``: a claim, what a check found, how its statement is broken.

A check is a pytest function whose keyword defaults are the statement. It asserts, and returns what
it has thereby shown. :func:`mutations` lists false variants of the statement, each of which must
make it fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from identkit.vocabulary import ClaimStatus

STATUSES: Mapping[ClaimStatus, str] = {
    ClaimStatus.PROVED: "for all that the statement quantifies over: by exact computation, or by "
    "the argument written in the file, whose formulas are computed",
    ClaimStatus.ALMOST_EVERYWHERE: "for Lebesgue-almost every parameter",
    ClaimStatus.ON_AN_OPEN_SET: "for all parameters in some open set",
    ClaimStatus.OBSERVED: "numbers that agree with it; no proof",
    ClaimStatus.OPEN: "neither proved nor refuted here",
    ClaimStatus.CONTRADICTED: "false as stated; the detail says where",
}
"""What they mean; a contradiction outweighs all."""


@dataclass(frozen=True)
class Claim:
    """A lemma or claim: ``id``, ``statement`` in our own words, ``source`` (paper, place)."""

    id: str
    statement: str
    source: str

    def finding(self, status: str, detail: str = "") -> Finding:
        """What a check of this claim returns. ``detail``: for which parameters, by what, where."""
        if status not in STATUSES:
            raise ValueError(f"status {status!r}: use one of {', '.join(STATUSES)}")
        return Finding(self, ClaimStatus(status), detail)


@dataclass(frozen=True)
class Finding:
    """What one check has shown of a claim; its absence of exceptions is the proof."""

    claim: Claim
    status: ClaimStatus
    detail: str = ""


def weakest(statuses: Iterable[ClaimStatus]) -> ClaimStatus:
    """The status of a claim with several checks: the weakest of theirs."""
    order = list(ClaimStatus)
    return max(statuses, key=order.index)


_Check = TypeVar("_Check", bound=Callable[..., Any])


def mutations(variants: Mapping[str, Mapping[str, Any]]) -> Callable[[_Check], _Check]:
    """Name -> arguments under which the statement is false, so that the check must fail.

    >>> @mutations({"the sum is 5": {"total": 5}})
    ... def test_two_and_two(total=4):
    ...     assert 2 + 2 == total
    >>> test_two_and_two.mutations
    {'the sum is 5': {'total': 5}}
    """

    def attach(check: _Check) -> _Check:
        check.mutations = {name: dict(changed) for name, changed in variants.items()}  # type: ignore[attr-defined]
        return check

    return attach
