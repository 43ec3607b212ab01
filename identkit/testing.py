"""For your own tests: a CI guard for identifiability, a check of gates, Hypothesis strategies.

``assert_identifiable`` needs nothing beyond identkit; the others need Hypothesis and NumPy
(``pip install identkit[testing]``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from identkit.checking import NONDEGENERATE
from identkit.experts import ACTIVATIONS, SHAPES, Expert, builtin
from identkit.gates import GATES, Gate, resolve
from identkit.presented import CheckResult, check
from identkit.report.statements import nevertheless
from identkit.vocabulary import Verdict

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from identkit.mixing import MixingMeasure

SMOOTH_ACTIVATIONS = tuple(name for name in ACTIVATIONS if name != "relu")
"""Activations without a kink."""

__all__ = ["assert_identifiable", "check_gate", "experts", "gates", "mixing_measures"]


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


def check_gate(gate: Gate | str, *, examples: int = 20) -> None:
    """Fail unless the gauges that a gate declares are gauges of it.

    For ``examples`` random rational parameters, experts that are any numbers, and amounts, in ball
    arithmetic: a gauge leaves f as it is and moves the parameters that it says, in as many
    directions as its dimension; where its caveat does not hold f changes. A common shift of all
    (β1, β0) that leaves f as it is must be declared. Which other gauges there are is not searched.

    >>> check_gate("softmax", examples=3)

    Raises AssertionError with the first gauge that is none, and
    :class:`~identkit.errors.InputError` for a gate that is not known.
    """
    from identkit.gate_contract import check_gauges

    check_gauges(resolve(gate), examples)


def _strategies() -> Any:
    from hypothesis import strategies

    return strategies


def experts(
    *,
    max_dim: int = 2,
    smooth: bool | None = None,
    shapes: tuple[str, ...] = tuple(SHAPES),
    polynomials: bool = True,
) -> SearchStrategy[Expert]:
    """Built-in experts: every activation in every shape, and unless excluded the polynomials.

    ``smooth`` True leaves out experts with kinks, False keeps only those.
    """
    st = _strategies()

    names = {None: tuple(ACTIVATIONS), True: SMOOTH_ACTIVATIONS, False: ("relu",)}[smooth]
    dims = st.integers(1, max_dim)
    shaped = st.builds(builtin, st.sampled_from(names), st.sampled_from(shapes), dims)
    if not polynomials or smooth is False:
        return shaped
    plain = st.sampled_from(("linear", "poly2", "poly3", "input-free"))
    return shaped | st.builds(builtin, plain, st.none(), dims)


def gates() -> SearchStrategy[Gate]:
    """Every registered gate."""
    st = _strategies()

    return st.sampled_from(list(GATES.values()))


def mixing_measures(
    *, parameters: int, dim: int = 1, min_atoms: int = 1, max_atoms: int = 4, bound: float = 5.0
) -> SearchStrategy[MixingMeasure]:
    """Mixing measures whose experts have ``parameters`` parameters, entries in [-bound, bound]."""
    from identkit.mixing import MixingMeasure

    st = _strategies()
    number = st.floats(-bound, bound, allow_nan=False, width=32)

    def of_size(k: int) -> SearchStrategy[MixingMeasure]:
        def rows(width: int) -> SearchStrategy[list[list[float]]]:
            return st.lists(
                st.lists(number, min_size=width, max_size=width), min_size=k, max_size=k
            )

        beta0 = st.lists(number, min_size=k, max_size=k)
        return st.builds(MixingMeasure, beta0, rows(dim), rows(parameters))

    return st.integers(min_atoms, max_atoms).flatmap(of_size)
