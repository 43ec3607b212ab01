"""Gauges between the shared and the routed half, where routed weights are constants.

Let P and Q be the mixing measures of the two halves on pairs (function of x, variance), the routed
weights being constants. p = ½ Σ_c (P_c + Q_c) N_c, so that p stays under (P, Q) → (P + D, Q − D)
for every signed measure D of total mass 0 on the pairs that both halves have, −P ≤ D ≤ Q: n − 1
continuous parameters for n such pairs. D = Q − P exchanges the halves. Where distinct functions
differ at almost every x, as analytic ones do, there is nothing else, since N at distinct pairs are
independent functions of y.

Source: proofs_check/test_architecture_gauges.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp

from identkit.architecture.measures import Setting, routed_atom, shared_atom, written
from identkit.architecture.overlap import Overlap, excluded, overlap
from identkit.architecture.records import ExactMeasure, FoundGauge, NoGauge
from identkit.expression import parse, put, symbol
from identkit.layout import OFFSET, SLOPE
from identkit.likelihoods import resolve
from identkit.results import Options
from identkit.vocabulary import GaugeKind, Half, Variance

EXCHANGE = "exchange of the halves"
TRANSPORT = "transport between the halves"
CLAIM = "constant-gate-transport"


@dataclass(frozen=True)
class Component:
    """A pair (function of x, variance) that both halves have: its κ, its η and its variance."""

    kappa: dict[str, Any]
    eta: dict[str, Any]
    variance: Any


def between_the_halves(setting: Setting, options: Options) -> Iterator[FoundGauge | NoGauge]:
    """The exchange and the transport, or why there are none."""
    shared, routed, deadline = setting.shared, setting.expert, setting.deadline
    if shared is None:
        return
    if setting.constant is None:
        yield NoGauge(
            EXCHANGE,
            False,
            f"the gate {setting.gate.name} does not divide by the sum over all atoms",
        )
        return
    found = overlap(shared, routed, deadline)
    if found is None:
        none = excluded(routed, shared, options.domain, deadline) or excluded(
            shared, routed, options.domain, deadline
        )
        reason = "no κ was found with h1(x, κ) = h2(x, η), nor η; that is no proof"
        yield NoGauge(EXCHANGE, none is not None, none or reason)
        return
    yield from of_an_overlap(setting, found)


def of_an_overlap(setting: Setting, found: Overlap) -> Iterator[FoundGauge]:
    """What functions that both halves have allow."""
    where = ", ".join(filter(None, (setting.constant, _limits(setting, found))))
    images = tuple((p, written(e)) for p, e in (found.to_shared or found.to_routed or {}).items())
    method = "h1(x, κ) = h2(x, η) by " + _said(setting, found) + ": normal form"
    onto = Half.SHARED if found.to_shared is not None else Half.ROUTED
    exchange = FoundGauge(
        name=EXCHANGE,
        kind=GaugeKind.EXCHANGE,
        half=Half.BOTH,
        action="shared (ω_a; κ_a, τ_a) ↔ routed (w_i; η_i, ν_i)",
        where=where,
        images=images,
        amounts=(),
        dimension=0,
        each=False,
        proved=True,
        method=method,
        rests_on=(CLAIM, "gaussian-constant-gate-exchange"),
        onto=onto,
    )
    yield exchange
    yield replace(
        exchange,
        name=TRANSPORT,
        kind=GaugeKind.TRANSPORT,
        action="shared weights P → P + D, routed Q → Q − D, ΣD = 0, −P ≤ D ≤ Q",
        amounts=("D",),
        dimension=1,
        rests_on=(CLAIM,),
    )


def _said(setting: Setting, found: Overlap) -> str:
    """The maps that were proved."""
    assert setting.shared is not None
    said = []
    for images, target, name in (
        (found.to_shared, setting.shared.parameters, "κ"),
        (found.to_routed, setting.expert.parameters, "η"),
    ):
        if images is not None:
            said.append(f"{name} = ({', '.join(written(images[p]) for p in target)})")
    return " and ".join(said)


def _limits(setting: Setting, found: Overlap) -> str:
    """Which atoms can move, where not all can; and what is asked of variances."""
    assert setting.shared is not None
    said = []
    if not found.whole:
        shared = found.to_shared is not None
        images = (found.to_shared if shared else found.to_routed) or {}
        names = setting.shared.parameters if shared else setting.expert.parameters
        row, letter = ", ".join(written(images[p]) for p in names), "κ" if shared else "η"
        said.append(f"for {'shared' if shared else 'routed'} atoms at {letter} = ({row})")
    if resolve(setting.gate.likelihood).variance is Variance.KNOWN:
        said.append("the known variances are equal")
    return ", ".join(said)


def components(setting: Setting, gauge: FoundGauge, count: int) -> list[Component]:
    """Some pairs that both halves have, with small numbers."""
    source = setting.expert if gauge.onto is Half.SHARED else setting.beside
    made = []
    for i in range(count):
        own = {p: sp.Integer(1 + (i + j) % (count + 1)) for j, p in enumerate(source.parameters)}
        made.append(component(gauge, own, sp.Rational(1, 1 + i * setting.own_variance)))
    return made


def component(gauge: FoundGauge, own: dict[str, Any], variance: Any) -> Component:
    """The pair of one function: ``own`` are its η where the images are κ, else its κ."""
    values = {symbol(p): v for p, v in own.items()}
    image = {p: put(parse(text), values) for p, text in gauge.images}
    kappa, eta = (image, own) if gauge.onto is Half.SHARED else (own, image)
    return Component(kappa, eta, variance)


Masses = Sequence[tuple[Component, Any]]


def measure(setting: Setting, shared: Masses, routed: Masses) -> ExactMeasure | None:
    """Both halves with these weights; None where no gate is known that gives the routed ones."""
    slope = sp.Integer(int(setting.equal_slopes))
    alike = len({w for _, w in routed}) == 1
    scales = [b for b in setting.gate.blocks if b.role == "scale"]
    atoms = []
    for part, weight in routed:
        # equal gates have equal weights, whatever the gate
        offset = sp.Integer(0) if alike else setting.offset(weight / 2)
        if offset is None:
            return None
        still = {SLOPE.name: slope, **{b.name: sp.Integer(1) for b in scales}}
        gate = {n: still.get(b, sp.Integer(0)) for n, b in setting.numbers}
        atoms.append(routed_atom(setting, {**gate, OFFSET.name: offset}, part.eta, part.variance))
    own = [shared_atom(setting, w, part.kappa, part.variance) for part, w in shared]
    return ExactMeasure(tuple(atoms), tuple(own))
