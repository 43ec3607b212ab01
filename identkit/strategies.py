"""Hypothesis strategies: experts, gates, mixing measures."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from identkit.experts import ACTIVATIONS, SHAPES, Expert, builtin
from identkit.gates import GATES, Gate
from identkit.mixing import MixingMeasure

SMOOTH_ACTIVATIONS = tuple(name for name in ACTIVATIONS if name != "relu")
"""Activations without a kink."""


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
    names = {None: tuple(ACTIVATIONS), True: SMOOTH_ACTIVATIONS, False: ("relu",)}[smooth]
    dims = st.integers(1, max_dim)
    shaped = st.builds(builtin, st.sampled_from(names), st.sampled_from(shapes), dims)
    if not polynomials or smooth is False:
        return shaped
    plain = st.sampled_from(("linear", "poly2", "poly3", "input-free"))
    return shaped | st.builds(builtin, plain, st.none(), dims)


def gates() -> SearchStrategy[Gate]:
    """Every registered gate."""
    return st.sampled_from(list(GATES.values()))


def mixing_measures(
    *, parameters: int, dim: int = 1, min_atoms: int = 1, max_atoms: int = 4, bound: float = 5.0
) -> SearchStrategy[MixingMeasure]:
    """Mixing measures whose experts have ``parameters`` parameters, entries in [-bound, bound]."""
    number = st.floats(-bound, bound, allow_nan=False, width=32)

    def of_size(k: int) -> SearchStrategy[MixingMeasure]:
        def rows(width: int) -> SearchStrategy[list[list[float]]]:
            return st.lists(
                st.lists(number, min_size=width, max_size=width), min_size=k, max_size=k
            )

        beta0 = st.lists(number, min_size=k, max_size=k)
        return st.builds(MixingMeasure, beta0, rows(dim), rows(parameters))

    return st.integers(min_atoms, max_atoms).flatmap(of_size)
