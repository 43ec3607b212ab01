"""A likelihood: what of the mixture is estimated, and how a response is drawn; the registry.

A theorem about a gate is a theorem under one likelihood: what a gate registers for one is nothing
known under another (:meth:`identkit.gates.Gate.under`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from identkit.errors import unknown_name
from identkit.registry import enter, plugged_in

if TYPE_CHECKING:
    import numpy as np

GROUP = "identkit.likelihoods"
"""The entry-point group in which other packages name likelihoods of theirs."""
LEAST_SQUARES = "least-squares"
"""The likelihood where none is named."""


@dataclass(frozen=True)
class Likelihood:
    """How the response enters.

    ``name`` is what options and files call it, ``title`` what is printed. ``estimates`` says in
    words what is identified: f, or the conditional density.

    ``respond(rng, f, noise)`` gives an array of responses from the values of f at n inputs, shape
    (n,), and the standard deviation of the noise; None where data cannot be drawn from f alone, and
    then nothing is simulated. ``objective`` names what a fit minimises, an
    :class:`identkit.fit.objective.Objective`; None where nothing is, and then nothing is fitted.
    """

    name: str
    title: str
    estimates: str
    source: str
    respond: Callable[[np.random.Generator, Any, float], Any] | None = field(
        default=None, repr=False
    )
    objective: str | None = None


LIKELIHOODS: dict[str, Likelihood] = {}
"""Every likelihood that is known by name, least squares first."""


def register(made: Likelihood) -> Likelihood:
    """Make a likelihood known by its name, to this process and those it starts.

    A package names its likelihoods in the entry-point group ``identkit.likelihoods`` instead.
    Raises :class:`~identkit.errors.InputError` for what is none, or has a name that is taken or
    could not be an option.
    """
    return enter(LIKELIHOODS, made, Likelihood)


def resolve(likelihood: Likelihood | str) -> Likelihood:
    """A :class:`Likelihood` from itself or its name. Raises InputError."""
    if isinstance(likelihood, Likelihood):
        return likelihood
    if likelihood in LIKELIHOODS:
        return LIKELIHOODS[likelihood]
    found = plugged_in(GROUP, str(likelihood), Likelihood)
    if found is not None:
        return register(found)
    raise unknown_name("likelihood", str(likelihood), LIKELIHOODS)
