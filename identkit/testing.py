"""For your own tests: CI guards for identifiability, a check of gates, Hypothesis strategies.

``assert_identifiable`` needs nothing beyond identkit, nor does ``assert_layer_identifiable``, but
torch for a module; the others need Hypothesis and NumPy (``pip install identkit[testing]``).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from identkit.checking import NONDEGENERATE
from identkit.experts import Expert
from identkit.gates import Gate
from identkit.presented import CheckResult, check
from identkit.report.statements import nevertheless
from identkit.vocabulary import Verdict

if TYPE_CHECKING:
    from identkit.gate_contract import check_gate
    from identkit.layers.guard import assert_layer_identifiable
    from identkit.strategies import experts, gates, mixing_measures

_HOME = {
    "assert_layer_identifiable": "identkit.layers.guard",
    "check_gate": "identkit.gate_contract",
    "experts": "identkit.strategies",
    "gates": "identkit.strategies",
    "mixing_measures": "identkit.strategies",
}

__all__ = [
    "assert_identifiable", "assert_layer_identifiable", "check_gate", "experts", "gates",
    "mixing_measures",
]  # fmt: skip


def assert_identifiable(
    expert: Expert | str, gate: Gate | str, *, condition: str = NONDEGENERATE, **options: Any
) -> CheckResult:
    """Fail unless the condition is *proved* for this expert and gate, and the expert is of use.

    ``nondegenerate``, the default, is what a user of the parameters needs: no moment of an
    over-specified cell is invisible. ``strong``, ``weak`` and ``shared-strong`` are the conditions
    of papers; an expert that meets one and is proved degenerate all the same fails too.
    ``options`` are those of :func:`identkit.check` (shape, dim, level, …). An ``undecided``
    verdict fails: a guard must not pass on what nobody proved. Returns the result.

    >>> assert_identifiable("gelu", "sigmoid").results[0].nondegenerate
    'yes'

    Raises AssertionError with the report when it is not ``yes``, and
    :class:`~identkit.errors.InputError` where the question cannot be asked (``nondegenerate`` of a
    gate of one's own).
    """
    result = check(expert, gate, condition=condition, **options)
    if condition == NONDEGENERATE:
        proved = {r.nondegenerate for r in result.results} == {Verdict.YES}
        failure = "nondegeneracy is not proved"
    else:
        proved = {r.verdict for r in result.results} == {Verdict.YES}
        failure = f"{condition} identifiability is not proved"
    if proved and result.degenerate:
        proved, failure = False, f"{condition} identifiability is proved{nevertheless(result)}"
    if not proved:
        raise AssertionError(f"{failure}:\n\n{result}")
    return result


def __getattr__(name: str) -> Any:
    """What needs more than a check is imported on first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'identkit.testing' has no attribute '{name}'")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value
