"""An expert's parameters up to what leaves h as it is: one η for each function, found by proof.

Three groups can act on η without a change of h(x, η), and each is divided out whatever the expert
is called. *Scalings* η_u → c^k_u η_u with integers k_u, as (κ2, κ1, κ0) → (κ2/c, cκ1, cκ0) of
κ2·relu(κ1x + κ0): an orbit is represented by its point of least ‖η‖. That is the minimum over s of
Σ_u e^{2(k·s)_u} η_u², strictly convex where the orbit is closed, so that there is one, and smooth
in η. *Translations* η + s·v: η is projected off v. *Signs* η_u → ±η_u: a finite group, over which
the distance is minimised.

Which of them there are follows from the relations V·∇h = 0 (:mod:`identkit.degeneracy.families`)
and from proved reflections. A relation along which η moves in another way has no coordinates here,
and is refused rather than left in a distance.

Source: theory section 6; claim ``scale-orbit-shortest-point``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from identkit.atoms import expert_function
from identkit.deadline import Deadline
from identkit.degeneracy.families import exact_curves
from identkit.degeneracy.family_records import covered
from identkit.degeneracy.symmetry import reflections
from identkit.errors import InputError
from identkit.experts import Expert
from identkit.mixing import Array
from identkit.vocabulary import FamilyKind

SECONDS = 30.0
"""For the proofs about one expert."""
_STEPS = 200
_SAME = 1e-13
"""Of a squared length: below it a coordinate of the representative has gone to 0."""


@dataclass(frozen=True, eq=False)
class Quotient:
    """What leaves h as it is: ``scalings`` (F, q), ``translations`` (T, q), ``signs`` (G, q).

    ``unit``: scalings have no closed orbits, all powers being of one sign, so that the point of
    length 1 represents them. ``signs`` holds all ±1 patterns but the identity.
    """

    parameters: tuple[str, ...]
    scalings: NDArray[np.int64]
    translations: Array
    signs: Array
    unit: bool

    @property
    def texts(self) -> tuple[str, ...]:
        """What is divided out, one clause each."""
        said = []
        for row in self.scalings:
            moved = ", ".join(
                f"{p} → {p}·c" + (f"^{k}" if k != 1 else "")
                for p, k in zip(self.parameters, row, strict=True)
                if k
            )
            said.append(f"the scaling {moved}")
        for row in self.translations:
            moved = " + ".join(f"{v:g}·{p}" for p, v in zip(self.parameters, row, strict=True) if v)
            said.append(f"the translation along {moved}")
        if len(self.signs):
            said.append(f"{len(self.signs) + 1} patterns of signs")
        return tuple(said)

    def representatives(self, eta: Array) -> Array:
        """The η (…, q) that stand for these (…, q)."""
        rows = eta.reshape(-1, eta.shape[-1])
        for v in np.linalg.qr(self.translations.T)[0].T if len(self.translations) else ():
            rows = rows - (rows @ v)[:, None] * v
        if len(self.scalings):
            rows = _unit(rows, self.scalings[0]) if self.unit else _shortest(rows, self.scalings)
        return rows.reshape(eta.shape)

    def images(self, eta: Array) -> Array | None:
        """The representatives of all other signs, (G, …, q); None without any."""
        if not len(self.signs):
            return None
        return np.stack([self.representatives(eta * row) for row in self.signs])


@lru_cache(maxsize=64)
def quotient(expert: Expert) -> Quotient:
    """What leaves h(x, η) as it is for every x, proved.

    Raises :class:`~identkit.errors.InputError` where h stays along curves that are neither
    scalings nor translations: no coordinates are known of what is left.
    """
    atom, deadline = expert_function(expert), Deadline(SECONDS)
    names = atom.parameters
    lifts, flows = exact_curves(atom, deadline)
    still = [x for x in lifts if x.kind is FamilyKind.REDUNDANT]
    scaled = [x.curve.scaling for x in still if x.curve.scaling is not None]
    moved, other = [], []
    for found in still:
        if found.curve.scaling is None:
            plain = all(v.is_Rational for v in found.curve.velocity)
            (moved if plain else other).append(found.curve.velocity)
    open_flows = [f.velocity for f in flows if f.rate == 0 and not covered(f, still)]
    if other or open_flows:
        row = (*other, *open_flows)[0]
        which = ", ".join(p for p, v in zip(names, row, strict=True) if v != 0)
        raise InputError(
            f"{expert.label}: it stays the same function along a curve that moves {which} and is "
            "no scaling or translation; no identified coordinates are known, so write the expert "
            "with fewer parameters."
        )
    scalings = np.array(scaled, dtype=np.int64).reshape(-1, len(names))
    translations = np.array(
        [[float(sp.Rational(v)) for v in row] for row in moved], dtype=np.float64
    ).reshape(-1, len(names))
    unit = _is_unit(expert, scalings)
    if len(translations) and len(scalings):
        basis = np.linalg.qr(translations.T)[0]
        onto = basis @ basis.T
        if any(not np.allclose(onto * k, onto * k[:, None]) for k in scalings):
            raise InputError(
                f"{expert.label}: its scalings turn its translations; no identified coordinates "
                "are known, so write the expert with fewer parameters."
            )
    patterns = {(1,) * len(names)}
    for found in reflections(atom, deadline):
        if found.kind == "symmetry of one atom" and found.identity is not None:
            flipped = dict(found.identity.terms[1][1])
            row = tuple(-1 if p in flipped else 1 for p in names)
            patterns |= {tuple(a * b for a, b in zip(row, own, strict=True)) for own in patterns}
    patterns.discard((1,) * len(names))
    signs = np.array(sorted(patterns), dtype=np.float64).reshape(-1, len(names))
    return Quotient(names, scalings, translations, signs, unit)


def _is_unit(expert: Expert, scalings: NDArray[np.int64]) -> bool:
    """Whether orbits are represented by points of length 1; raises where neither way works."""
    if not len(scalings):
        return False
    moving = (scalings != 0).any(axis=0)
    least = _shortest(np.where(moving, 1.0, 0.0)[None], scalings)[0]
    if (least[moving] ** 2 > _SAME).all():
        return False
    if len(scalings) == 1 and (scalings[0][moving] * np.sign(scalings[0][moving][0]) > 0).all():
        return True
    raise InputError(
        f"{expert.label}: its scalings have orbits that are not closed; no identified coordinates "
        "are known, so write the expert with fewer parameters."
    )


def _shortest(eta: Array, scalings: NDArray[np.int64]) -> Array:
    """The point of least ‖·‖ in the closure of each orbit: Newton's method on log Σ e^{2k·s}η².

    The logarithm is convex in s too. Where the orbit is not closed (κ2 = 0, say) the minimum is at
    infinity: the steps go there at bounded length, and the coordinates that vanish become 0.
    """
    powers = scalings.astype(np.float64)
    moving = (scalings != 0).any(axis=0)
    with np.errstate(divide="ignore"):
        log = 2 * np.log(np.abs(np.where(moving, eta, 0.0)))
    s = np.zeros((len(eta), len(powers)))
    active = np.flatnonzero(np.isfinite(log).any(axis=-1))
    value = _logsum(log[active])
    step_most = 2.0 / np.abs(powers).max()
    for _ in range(_STEPS):
        if not len(active):
            break
        share = np.exp(log[active] + 2 * s[active] @ powers - value[:, None])
        mean = share @ powers.T
        gradient = 2 * mean
        hessian = 4 * (np.einsum("nu,fu,gu->nfg", share, powers, powers))
        hessian -= 4 * mean[:, :, None] * mean[:, None, :]
        ridge = 1e-12 * (1 + np.trace(hessian, axis1=1, axis2=2))
        hessian += ridge[:, None, None] * np.eye(len(powers))
        step = -np.linalg.solve(hessian, gradient[..., None])[..., 0]
        size = np.abs(step).max(axis=-1)
        step *= np.minimum(1.0, step_most / np.maximum(size, 1e-300))[:, None]
        trial = _logsum(log[active] + 2 * (s[active] + step) @ powers)
        for _ in range(40):
            worse = trial > value + 1e-15 * np.abs(value)
            if not worse.any():
                break
            step[worse] /= 2
            trial = _logsum(log[active] + 2 * (s[active] + step) @ powers)
        s[active] += step
        value = trial
        going = (np.abs(step).max(axis=-1) > 1e-15 * (1 + np.abs(s[active]).max(axis=-1))) & (
            np.abs(gradient).max(axis=-1) > 1e-15
        )
        active, value = active[going], value[going]
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        found = np.sign(eta) * np.exp(np.where(moving, log, 0.0) / 2 + s @ powers)
    size = np.abs(found).max(axis=-1, keepdims=True)
    vanished = (np.abs(found) <= 1e-12 * (1 + size)) & (np.abs(s).max(axis=-1) > 10)[:, None]
    return np.where(moving, np.where(vanished | (eta == 0), 0.0, found), eta)


def _logsum(log: Array) -> Array:
    top = log.max(axis=-1)
    return top + np.log(np.exp(log - top[:, None]).sum(axis=-1))


def _unit(eta: Array, powers: NDArray[np.int64]) -> Array:
    """The point with Σ_moving η_u² = 1 of each orbit, powers of one sign; 0 stays."""
    moving = powers != 0
    row = np.abs(powers).astype(np.float64)
    s = np.zeros(len(eta))
    with np.errstate(divide="ignore"):
        log = 2 * np.log(np.abs(np.where(moving, eta, 0.0)))
    some = np.flatnonzero(np.isfinite(log).any(axis=-1))
    for _ in range(_STEPS):
        # log Σ e^{2ks}η² is convex and increasing in s: Newton's steps settle from one side
        moved = log[some] + 2 * s[some, None] * row
        value = _logsum(moved)
        slope = 2 * (np.exp(moved - value[:, None]) * row).sum(axis=-1)
        step = value / slope
        s[some] -= step
        if not len(some) or np.abs(step).max() < 1e-15:
            break
    return np.where(moving, eta * np.exp(s[:, None] * row), eta)
