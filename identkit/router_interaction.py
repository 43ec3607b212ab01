"""How a router and an expert interact: relations between ∂h, ∂²h and ∂π·∂h of one atom.

The weight of an atom is a function of its score π(x, γ, φ) + β0, so that ∂_u∂_v of weight·h is the
weight times ∂_uπ·∂_v h, and more. A relation with coefficients free of x among

    ∂_v h,  ∂_v∂_w h,  ∂_u π·∂_v h  (u in γ),  ∂_φ π·∂_v h  (π·∂_v h/κ for π = κs)

that has a product in it is an *interaction*: a change of the gate and one of the expert that f
cannot tell apart by these functions. It is asked at one generic atom, once the gauges are fixed:
what a gauge moves of φ, of γ beside β0, and of η is held, and no derivative by it is taken.
*Literally* means all of these functions; *after merging*, those left once functions that vanish are
dropped and proportional ones merged, never two first derivatives.

An interaction slows nothing by itself. A moment M_uv of gate and expert has M ⪰ 0 beside it, and
where every invisible M has M_uu = 0 it has M_uv = 0 as well.

Source: theory section 9; arXiv 2503.03213 for the condition.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from identkit import __version__
from identkit.architecture.measures import Setting
from identkit.architecture.records import FoundGauge, NoGauge
from identkit.architecture.search import of_the_gate, of_the_router
from identkit.atoms import AtomFunction, scored_function
from identkit.bounded import bounded
from identkit.conditions import BasisFunction, FunctionSet
from identkit.conditions.algebraic_independence import functions_of
from identkit.coordinates import structural
from identkit.deadline import Deadline
from identkit.degeneracy.conclude import Conclusions
from identkit.domain import DomainLike
from identkit.errors import InputError, OutOfTime
from identkit.experts import Expert, scalar
from identkit.experts import resolve as resolve_expert
from identkit.expression import Step
from identkit.formal import relation_quantifier, undecided
from identkit.gates import Gate, known_gates
from identkit.gates import resolve as resolve_gate
from identkit.interaction import AWAY_FROM_KINKS
from identkit.interaction_effects import (
    Effects,
    Interaction,
    OrderEffect,
    order_effects,
    order_lines,
    products,
)
from identkit.likelihoods import Likelihood
from identkit.likelihoods import resolve as resolve_likelihood
from identkit.prove import Prover
from identkit.questions import checked_likelihood, in_classes, options_of
from identkit.results import QUANTIFIERS, Options, Relation, SetProof
from identkit.vocabulary import WEAKEST_FIRST, GaugeKind, Quantifier, Verdict

SCHEMA = "identkit.router-interactions/1"
LITERAL = "derivatives of the expert up to order 2, and products with those of the router"
MERGED = "the same, what vanishes dropped and what is proportional merged"


@dataclass(frozen=True)
class Held:
    """A parameter by which no derivative is taken, since a gauge moves it: ``gauge`` says which."""

    parameter: str
    gauge: str


@dataclass(frozen=True, repr=False)
class RouterInteractions:
    """The interactions of one expert with the router of one gate, at one generic atom.

    ``gauges`` are those of the gate, ``held`` the parameters that are held for them and for orbits
    of the atom; ``free_shared`` are shared parameters (a temperature) that no gauge is known to
    move, and ``excluded`` says whether that there is none is proved. ``literal`` and ``merged`` are
    the proofs for the two sets of functions, ``coordinates`` the linear ones that ``merged`` is in
    where they are not those given. ``interactions`` are the literal ones. ``decides`` is what is
    known of second order, and ``orders`` what the interactions do to those of the expert's
    parameters where it is degenerate, at the smallest cell at which it is.
    """

    version: str
    expert: Expert
    gate: str
    likelihood: str
    atom: AtomFunction
    score: str
    options: Options
    gauges: tuple[str, ...]
    held: tuple[Held, ...]
    free_shared: tuple[str, ...]
    excluded: bool
    literal_proof: SetProof
    merged_proof: SetProof
    coordinates: tuple[str, ...]
    interactions: tuple[Interaction, ...]
    nondegenerate: Verdict | None
    decides: str
    orders: tuple[OrderEffect, ...]

    @property
    def literal(self) -> Verdict:
        """Whether some relation has a product in it."""
        return _verdict(self.literal_proof)

    @property
    def literal_quantifier(self) -> Quantifier | None:
        """For which parameters: a relation holds as it is, whatever functions coincide."""
        own = [relation_quantifier(i.relation) for i in self.interactions]
        return max(own, key=WEAKEST_FIRST.index) if own else self.literal_proof.quantifier

    @property
    def after_merging(self) -> Verdict:
        """The same among the functions that are left by dropping and merging."""
        return _verdict(self.merged_proof)

    @property
    def other_relations(self) -> tuple[Relation, ...]:
        """Relations of the expert's derivatives alone."""
        return tuple(r for r in self.literal_proof.relations if not products(r))

    @property
    def notes(self) -> tuple[str, ...]:
        """What limits the answer."""
        notes = [*self.literal_proof.notes, *self.merged_proof.notes]
        if self.free_shared and not self.excluded:
            names = ", ".join(self.free_shared)
            notes.append(
                f"whether a gauge moves {names} is not known: products with ∂π/∂{names} count"
            )
        if self.atom.expression.has(Step):
            notes.append(AWAY_FROM_KINKS)
        return tuple(dict.fromkeys(notes))

    def to_dict(self) -> dict[str, Any]:
        """The ``identkit.router-interactions/1`` document."""
        return {
            "schema": SCHEMA,
            "identkit": self.version,
            "seed": self.options.seed,
            "expert": self.expert.canonical(),
            "gate": self.gate,
            "likelihood": self.likelihood,
            "score": self.score,
            "domain": self.options.domain.document(),
            "gauges": list(self.gauges),
            "held": [{"parameter": h.parameter, "gauge": h.gauge} for h in self.held],
            "shared": {"free": list(self.free_shared), "no_gauge_proved": self.excluded},
            "literal": {
                "verdict": str(self.literal),
                "quantifier": self.literal_quantifier,
                "functions": [f.label for f in _all(self.literal_proof)],
                "interactions": [i.to_dict() for i in self.interactions],
                "other_relations": [r.text for r in self.other_relations],
            },
            "after_merging": {
                "verdict": str(self.after_merging),
                "quantifier": self.merged_proof.quantifier,
                "coordinates": list(self.coordinates),
                "relations": [r.text for r in self.merged_proof.relations],
                "merged": [m.relation.text for m in self.merged_proof.merged],
                "dropped": [f.label for f in self.merged_proof.dropped],
            },
            "nondegenerate": None if self.nondegenerate is None else str(self.nondegenerate),
            "decides": self.decides,
            "orders": [o.to_dict() for o in self.orders],
            "notes": list(self.notes),
        }

    def __repr__(self) -> str:
        return f"<RouterInteractions: {self.expert.label}, {self.gate}: literal {self.literal}>"

    def _repr_html_(self) -> str:
        return "<br>".join(html.escape(line) for line in str(self).splitlines())

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        likelihood = resolve_likelihood(self.likelihood)
        yield f"h(x) = {self.expert.written}, gate {self.gate}, {likelihood.title}"
        yield f"π = {self.score}"
        for gauge in self.gauges:
            yield f"gauge: {gauge}"
        for h in self.held:
            yield f"{h.parameter} is held: {h.gauge}"
        if self.free_shared and self.excluded:
            yield f"no gauge moves {', '.join(self.free_shared)}: proved"
        yield ""
        yield f"literally: {self.literal}{_scope(self.literal, self.literal_quantifier)}"
        for i in self.interactions:
            yield f"  {i.relation.text}"
            yield f"    {i.effect}"
        if self.other_relations and self.literal == Verdict.NO:
            yield f"  of the expert alone: {'; '.join(r.text for r in self.other_relations)}"
        scope = _scope(self.after_merging, self.merged_proof.quantifier)
        yield f"after merging: {self.after_merging}{scope}"
        for r in self.merged_proof.relations:
            if products(r):
                yield f"  {r.text}"
        for m in self.merged_proof.merged:
            if products(m.relation):
                yield f"  merged: {m.relation.text}"
        if self.coordinates:
            yield f"  in the coordinates {', '.join(self.coordinates)}"
        yield ""
        yield f"second order: {self.decides}"
        yield from order_lines(self.orders)
        for note in self.notes:
            yield f"({note})"


def router_interactions(
    expert: Expert | str,
    gate: Gate | str,
    *,
    likelihood: Likelihood | str | None = None,
    variance: str | None = None,
    classes: int | None = None,
    shape: str | None = None,
    dim: int = 2,
    domain: DomainLike = (-3, 3),
    seed: int = 0,
    max_precision: int = 8192,
    time_limit: float = 60.0,
) -> RouterInteractions:
    """The interactions of an expert with the router of a gate, found and proved.

    ``gate`` is any whose score is known: for those whose parameters are β1 and β0, π = β1ᵀx. The
    arguments are those of :func:`identkit.check`; the likelihood decides what second order says of
    each interaction.

    >>> found = router_interactions("gelu", "dense-to-sparse", dim=1)
    >>> found.literal, found.after_merging, found.interactions[0].relation.text
    ('yes', 'no', 'κ*∂h/∂a = ∂π/∂ω*∂h/∂b')

    Raises :class:`~identkit.errors.InputError` for arguments that cannot be used,
    :class:`~identkit.errors.DomainError` for an expert that is singular on the domain.
    Source: theory section 9.
    """
    expert, gate = resolve_expert(expert, shape, dim), resolve_gate(gate, likelihood, variance)
    gate.needs_score("interaction")
    if gate.scored is None:
        raise InputError(
            f"gate {gate.name}: its weights are free of x, so that no router can interact; use "
            f"{known_gates(lambda g: g.scored is not None)}."
        )
    expert = in_classes(expert, gate, classes)
    checked_likelihood(expert, gate)
    seen = resolve_likelihood(gate.likelihood).seen(expert)
    scalar(seen, "interactions are those of")
    options = options_of(1, domain, expert.inputs, seed, max_precision, time_limit)
    work = _Pair(expert, seen, gate, options, Deadline(time_limit))
    try:
        return bounded(lambda _: work.found(), work.deadline)
    except OutOfTime as limit:
        return work.open(limit)
    except (OverflowError, RecursionError):
        raise InputError(
            f"expert: '{expert.text[:60]}' has constants too large to compute with; rescale it."
        ) from None


@dataclass
class _Pair:
    """One expert, ``seen`` as the likelihood sees it, and one gate."""

    expert: Expert
    seen: Expert
    gate: Gate
    options: Options
    deadline: Deadline

    def __post_init__(self) -> None:
        self.atom = scored_function(self.seen, self.gate)

    def found(self) -> RouterInteractions:
        """Gauges, both proofs, and what second order says."""
        conclusions = Conclusions(self.seen, self.gate, self.options, self.deadline)
        setting = Setting(self.seen, self.gate, self.deadline)
        prover = Prover(self.atom, self.options, self.deadline)
        scales = list(of_the_router(setting, lambda: conclusions.all_curves.gauges, self.options))
        moved = [g for g in scales if isinstance(g, FoundGauge)]
        excluded = any(isinstance(g, NoGauge) and g.excluded for g in scales)
        # one flow for each gauge: it is fixed by holding as many of what all atoms share
        held = [Held(p, gauge.action) for p, gauge in zip(self.atom.shared, moved, strict=False)]
        held += self._redundant(prover)
        fixed = {h.parameter for h in held}
        shared = tuple(p for p in self.atom.shared if p not in fixed)
        gate = tuple(p for p in self.atom.gate if p not in fixed)
        own = tuple(p for p in self.atom.of_expert if p not in fixed)
        literal = prover.prove(_set(self.atom, (*gate, *shared), own, False))
        merged = prover.prove(_set(self.atom, (*gate, *shared), own, True))
        equations: tuple[str, ...] = ()
        if merged.depends_on_coordinates and not fixed - {*self.atom.shared}:
            merged, equations = self._in_coordinates(merged, shared)
        regime = next((r for r in self.gate.regimes if r.order >= 2), None)
        second = None if regime is None else conclusions.second_order(regime.code)
        effects = Effects(self.gate, regime, second, self.atom)
        degenerate = second is not None and second.verdict == Verdict.NO
        cell = conclusions.orders(regime.code) if regime is not None and degenerate else None
        return self._answer(
            gauges=tuple(g.action for g in of_the_gate(setting) if g.kind is GaugeKind.GATE),
            held=tuple(held),
            free_shared=shared,
            excluded=excluded,
            literal_proof=literal,
            merged_proof=merged,
            coordinates=equations,
            interactions=tuple(effects.of(r) for r in literal.relations if products(r)),
            nondegenerate=None if second is None else second.verdict,
            decides=effects.decides,
            orders=() if cell is None else order_effects(cell, self.seen.parameters),
        )

    def _redundant(self, prover: Prover) -> list[Held]:
        """What an orbit of one atom moves: γ beside β0, and η; nothing else varies with it.

        The later of γ is held, and the earlier of η: scales are written in front.
        """
        u, atom = self.atom.symbol, self.atom
        one = BasisFunction(u, (), ())
        gate = [one, *(BasisFunction(u, (), ((g,),), bases=("π",)) for g in atom.gate)]
        expert = [BasisFunction(u, (), ((p,),), bases=("h",)) for p in reversed(atom.of_expert)]
        held: list[Held] = []
        for functions in (gate, expert):
            asked = FunctionSet("first derivatives", tuple(functions), (), False, False)
            proof = prover.prove(asked)
            place = {f: i for i, f in enumerate(functions)}
            for f in proof.dropped:
                held.append(Held(f.factors[0][0], f"{f.label} = 0"))
            for relation in proof.relations:
                last = max((t.function for t in relation.terms), key=lambda f: place[f])
                held.append(Held(last.factors[0][0], relation.text))
        return held

    def _in_coordinates(
        self, merged: SetProof, shared: Sequence[str]
    ) -> tuple[SetProof, tuple[str, ...]]:
        """The proof in the linear coordinates that the expression suggests, where it has such."""
        coordinates = structural(self.atom)
        if coordinates is None:
            return merged, ()
        moved = coordinates.apply(self.atom)
        places = [self.atom.parameters.index(p) for p in (*self.atom.gate, *shared)]
        gate = [moved.parameters[i] for i in places]
        proof = Prover(moved, self.options, self.deadline).prove(
            _set(moved, gate, moved.of_expert, True)
        )
        return proof, coordinates.equations(self.atom.parameters)

    def open(self, limit: OutOfTime) -> RouterInteractions:
        """Nothing, for this reason."""
        names = (*self.atom.gate, *self.atom.shared)
        sets = (_set(self.atom, names, self.atom.of_expert, merging) for merging in (False, True))
        literal, merged = (undecided(s, 1, (str(limit),), limit.cause) for s in sets)
        return self._answer(
            gauges=(),
            held=(),
            free_shared=self.atom.shared,
            excluded=False,
            literal_proof=literal,
            merged_proof=merged,
            coordinates=(),
            interactions=(),
            nondegenerate=None,
            decides=f"not decided: {limit}",
            orders=(),
        )

    def _answer(self, **found: Any) -> RouterInteractions:
        return RouterInteractions(
            version=__version__,
            expert=self.expert,
            gate=self.gate.name,
            likelihood=self.gate.likelihood,
            atom=self.atom,
            score=str(self.atom.routed),
            options=self.options,
            **found,
        )


def _set(
    atom: AtomFunction, gate: Sequence[str], expert: Sequence[str], merging: bool
) -> FunctionSet:
    """The functions for one atom."""
    functions = functions_of(atom, gate, expert)
    if not merging:
        functions = tuple(replace(f, first=False) for f in functions)
    return FunctionSet(MERGED if merging else LITERAL, functions, (), merging, False)


def _all(proof: SetProof) -> tuple[BasisFunction, ...]:
    return (*proof.dropped, *proof.kept, *(m.function for m in proof.merged))


def _verdict(proof: SetProof) -> Verdict:
    """Whether a relation has a product in it: found, excluded by a determinant, or neither."""
    literally = proof.title == LITERAL
    if literally and any(len(f.factors) == 2 for f in proof.dropped):
        return Verdict.YES
    if any(products(r) for r in proof.relations):
        return Verdict.YES
    complete = proof.rank == proof.atoms * (len(proof.kept) - len(proof.relations))
    none = proof.verdict == Verdict.YES or not proof.kept
    return Verdict.NO if none or complete else Verdict.UNDECIDED


def _scope(verdict: Verdict, quantifier: Quantifier | None) -> str:
    if quantifier is None or verdict == Verdict.UNDECIDED:
        return ""
    return f", for {QUANTIFIERS[quantifier]}"
