"""A likelihood: what of the mixture is estimated, and how a response is drawn; the registry.

A theorem about a gate is a theorem under one likelihood: what a gate registers for one is nothing
known under another (:meth:`identkit.gates.Gate.under`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from identkit.errors import InputError, unknown_name

if TYPE_CHECKING:
    import numpy as np

GROUP = "identkit.likelihoods"
"""The entry-point group in which other packages name likelihoods of theirs."""
LEAST_SQUARES = "least-squares"
"""The likelihood where none is named."""
_NAME = re.compile(r"[a-z][a-z0-9-]*[a-z0-9]")


@dataclass(frozen=True)
class Likelihood:
    """How the response enters.

    ``name`` is what options and files call it, ``title`` what is printed. ``estimates`` says in
    words what is identified: f, or the conditional density. ``response`` are the variables of an
    atom function besides the inputs (none where f alone is estimated), ``parameters`` those of an
    atom besides its gate's and its expert's.

    ``respond(rng, f, noise)`` gives an array of responses from the values of f at n inputs, shape
    (n,), and the standard deviation of the noise; None where data cannot be drawn from f alone, and
    then nothing is simulated. ``objective`` names what a fit minimises, an
    :class:`identkit.fit.objective.Objective`; None where nothing is, and then nothing is fitted.
    """

    name: str
    title: str
    estimates: str
    source: str
    response: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
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
    if not isinstance(made, Likelihood):
        raise InputError(f"likelihood: {made!r} is no Likelihood; make one with Likelihood(...).")
    if not _NAME.fullmatch(made.name):
        raise InputError(
            f"likelihood: '{made.name}' cannot be registered; name it in small letters, digits "
            "and -."
        )
    if LIKELIHOODS.get(made.name, made) is not made:
        raise InputError(f"likelihood: {made.name} is registered already; choose another name.")
    LIKELIHOODS[made.name] = made
    return made


def resolve(likelihood: Likelihood | str) -> Likelihood:
    """A :class:`Likelihood` from itself or its name. Raises InputError."""
    if isinstance(likelihood, Likelihood):
        return likelihood
    if likelihood in LIKELIHOODS:
        return LIKELIHOODS[likelihood]
    for entry in entry_points(group=GROUP, name=str(likelihood)):
        found = entry.load()
        if isinstance(found, Likelihood) and found.name == likelihood:
            return register(found)
        raise InputError(
            f"likelihood: {entry.value}, the entry point for {likelihood}, is no likelihood of "
            "that name; mend the package that has it."
        )
    raise unknown_name("likelihood", str(likelihood), LIKELIHOODS)
