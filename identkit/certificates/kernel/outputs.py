"""An expert of several outputs as one function of further inputs.

With e_1 … e_p inputs beside x, Σ_c e_c h_c(x) is 0 for all (x, e) just when every h_c is 0 for all
x, and ∂_u, factors x_s and weights commute with it. So a statement on vector functions is one on
the scalar functions of (x, e), no kink, pole or argument of which holds an e (theory section 2):
the kernel looks at these, over [0, 1] for every e. A point of a determinant that names a component
is that unit vector. Two things are not the same for both, and are left to the prover: the dimension
of polynomials of a degree in each component, and a rest that is written by components.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from identkit.atoms import AtomFunction
from identkit.certificates.witness import Witness
from identkit.domain import Domain, Interval
from identkit.results import Options

SIDE = (Fraction(0), Fraction(1))
"""Where each e is looked at: unit vectors are among its points."""


def is_scalar(atom: AtomFunction) -> bool:
    """Whether there is one output."""
    return not atom.markers


def one_function(atom: AtomFunction) -> AtomFunction:
    """Σ_c e_c h_c with the e among its inputs."""
    return replace(atom, inputs=atom.variables, markers=())


def wide(sides: Sequence[Interval], atom: AtomFunction) -> tuple[Interval, ...]:
    """The domain of :func:`one_function`, ``sides`` being that of the atom."""
    return (*sides, *(SIDE for _ in atom.markers))


def widened(options: Options, atom: AtomFunction) -> Options:
    """The options on the domain of :func:`one_function`."""
    if is_scalar(atom):
        return options
    sides = wide(options.domain.sides(len(atom.inputs)), atom)
    return replace(options, domain=Domain(sides))


def at_units(witness: Witness | None, atom: AtomFunction) -> Witness | None:
    """The determinant with a unit vector for each component that its points name."""
    if witness is None or is_scalar(atom):
        return witness
    return replace(witness, points=tuple(atom.at(point) for point in witness.points))
