"""A likelihood: what of the mixture is estimated, and how a response is drawn; the registry.

A theorem about a gate is a theorem under one likelihood: what a gate registers for one is nothing
known under another (:meth:`identkit.gates.Gate.under`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from identkit.errors import InputError, unknown_name
from identkit.likelihoods.density import LogDensity
from identkit.registry import enter, folded, plugged_in
from identkit.vocabulary import Through, Variance

if TYPE_CHECKING:
    import numpy as np

    from identkit.experts import Expert

GROUP = "identkit.likelihoods"
"""The entry-point group in which other packages name likelihoods of theirs."""
LEAST_SQUARES = "least-squares"
"""The likelihood where none is named."""


def _as_it_is(expert: Expert) -> Expert:
    return expert


@dataclass(frozen=True)
class Likelihood:
    """How the response enters.

    ``name`` is what options and files call it, ``title`` what is printed. ``estimates`` says in
    words what is identified: f, or the conditional density.

    ``respond(rng, f, noise)`` gives an array of responses from the values of f at n inputs, shape
    (n,), and the standard deviation of the noise; None where data cannot be drawn from f alone, and
    then nothing is simulated. ``objective`` names what a fit minimises, an
    :class:`identkit.fit.objective.Objective`; None where nothing is, and then nothing is fitted.

    ``through`` says what the second-order criterion sees of an expert (theory section 8).
    ``model`` is the function that is estimated, ``letter`` its name, ``distance`` how the distance
    of two mixing measures in it is written, ``estimated`` a clause on the rate at which it is
    known. ``family`` and ``variance`` are what options call a likelihood of which there are several
    variants; else ``family`` is the name.

    ``seen(expert)`` is the function of x and η whose mixture is estimated: the expert itself, or
    what the likelihood makes of it. ``with_classes(expert, S)`` writes an expert of one output for
    responses in S classes; None where a response is a number. ``divided``: what is estimated is a
    mixture only where weights sum to 1, and no other gate is asked about. ``density`` is the
    logarithm of one atom's density, that maximum likelihood fits; None where there is none.
    """

    name: str
    title: str
    estimates: str
    source: str
    respond: Callable[[np.random.Generator, Any, float], Any] | None = field(
        default=None, repr=False
    )
    objective: str | None = None
    through: Through = Through.VALUE
    distance: str = "‖f_G − f_G*‖"
    model: str = "f_G(x) = Σ_i weight_i(x)·h(x, η_i)"
    letter: str = "f"
    estimated: str = "f is estimated at n^-1/2 up to logarithms"
    family: str = ""
    variance: Variance | None = None
    seen: Callable[[Expert], Expert] = field(default=_as_it_is, repr=False)
    with_classes: Callable[[Expert, int], Expert] | None = field(default=None, repr=False)
    divided: bool = False
    density: LogDensity | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.family:
            object.__setattr__(self, "family", self.name)

    def document(self) -> dict[str, str]:
        """``name`` and, where there are several variants, ``variance``: as files name it."""
        named = {"name": self.family}
        return named if self.variance is None else {**named, "variance": str(self.variance)}


LIKELIHOODS: dict[str, Likelihood] = {}
"""Every likelihood that is known by name, least squares first."""


def register(made: Likelihood) -> Likelihood:
    """Make a likelihood known by its name, to this process and those it starts.

    A package names its likelihoods in the entry-point group ``identkit.likelihoods`` instead.
    Raises :class:`~identkit.errors.InputError` for what is none, or has a name that is taken or
    could not be an option.
    """
    return enter(LIKELIHOODS, made, Likelihood)


def resolve(likelihood: Likelihood | str, variance: str | None = None) -> Likelihood:
    """A :class:`Likelihood` from itself or its name, and which variant of its variance.

    Raises InputError for a name that is not known and a variance that it does not have.
    """
    found = _named(likelihood)
    if variance is None:
        return found
    variants = [own for own in LIKELIHOODS.values() if own.family == found.family]
    known = {str(own.variance): own for own in variants if own.variance is not None}
    if not known:
        raise InputError(
            f"--variance {variance}: likelihood {found.name} has no variance to choose; drop it, "
            "or use --likelihood gaussian."
        )
    own = folded(variance, known)
    if own not in known:
        raise InputError(f"--variance {variance}: choose one of {', '.join(known)}.")
    return known[own]


def from_document(document: Mapping[str, str] | str | None) -> Likelihood:
    """The likelihood that a file names (see :meth:`Likelihood.document`); least squares if none.

    Files of before there were variances name it by a text.

    Raises InputError.
    """
    if document is None:
        return LIKELIHOODS[LEAST_SQUARES]
    if isinstance(document, str):
        return resolve(document)
    return resolve(document["name"], document.get("variance"))


def asked_under(gate: str, likelihood: str) -> dict[str, Any]:
    """What files say of a gate: its name, and the likelihood where it is not least squares."""
    if likelihood == LEAST_SQUARES:
        return {"gate": gate}
    return {"gate": gate, "likelihood": resolve(likelihood).document()}


def _named(likelihood: Likelihood | str) -> Likelihood:
    if isinstance(likelihood, Likelihood):
        return likelihood
    name = folded(str(likelihood), LIKELIHOODS)
    if name in LIKELIHOODS:
        return LIKELIHOODS[name]
    found = plugged_in(GROUP, name.strip().lower(), Likelihood)
    if found is not None:
        return register(found)
    raise unknown_name("likelihood", str(likelihood), {own.family for own in LIKELIHOODS.values()})
