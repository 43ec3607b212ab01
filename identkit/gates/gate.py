"""A gate: its weight, how f combines atoms, its regimes; the registry; gates of one's own.

Nothing that is registered for another weight rule is taken over by a gate.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

import sympy as sp

from identkit.errors import ExpressionError, InputError, unknown_name
from identkit.expression import free_names, parse, spelled, symbol
from identkit.gates.gauge import Gauge, Values, common_shift
from identkit.gates.merging import Merging
from identkit.gates.regime import Expansion, Regime, RegimeCode, WeightRule
from identkit.gates.router import LINEAR, Level, Router, Written, inputs_of
from identkit.gates.selection import Selection
from identkit.gates.weights import in_time, is_exponential, known_as
from identkit.layout import AFFINE, EXPERT, OFFSET, SLOPE, Block, Layout, needs_affine
from identkit.likelihoods import LEAST_SQUARES, Likelihood
from identkit.likelihoods import resolve as resolve_likelihood
from identkit.registry import NAME, enter, folded, plugged_in

if TYPE_CHECKING:
    from identkit.mixing import MixingMeasure

SHIFT_SECONDS = 5.0
"""For whether a gate has a common shift, which a fit must know."""
NAME_SECONDS = 0.5
"""For whether a gate of one's own is a built-in one, a remark in a report."""
GROUP = "identkit.gates"
"""The entry-point group in which other packages name gates of theirs: objects of class Gate."""
WITHIN = "shifts of each level"
"""The gauge that shifts the scores within a group."""
PREFIX = "normalised "
"""How the name of a normalised gate of one's own begins."""
_WRITTEN = re.compile(r"\s*normali[sz]ed\b(?!-)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Share:
    """``beta0(b, m)`` is the β0 at which m atoms together weigh as one atom with β0 = b."""

    rule: WeightRule
    beta0: Callable[[float, int], float] = field(repr=False)


@dataclass(frozen=True)
class Gate:
    """A gate: the unnormalised weight as a function of the score s = β1ᵀx + β0.

    ``weight`` maps the SymPy score to the weight; ``normalised`` says whether weights are divided
    by their sum over atoms. ``declared`` are its gauges, None if they are not known: a common shift
    is then searched for (:attr:`gauges`). ``regimes`` are the cases of the theory with the
    condition each asks for; ``share`` says how copies of an atom share its weight, ``merging`` how
    two atoms become one, each None if that is not known. ``blocks`` are the gate's parameters, by
    default β1 and β0 of each atom; where there are others, ``score`` maps their values in one
    measure and a point x, arrays, to the scores (k,) of its atoms. ``router`` is then the score of
    one atom beside β0 in symbols, from which what is proved of it is derived; or ``fixed`` are
    blocks that a gauge lets hold at 1, where the score is β1ᵀx + β0: what is proved is proved
    there. ``structure`` says over which atoms weights are divided, where it is not the sum over
    all; ``together`` is then when it is, as a clause, None where that depends on the number of
    atoms: it is asked where atoms are added to a measure. ``selection`` says which atoms have a
    weight at x, where not all have. ``level`` is the gate over groups of atoms where there are two
    levels; weights are then divided within the groups. ``written`` is the score for fits where the
    blocks are not β0 and the parameters of the router; ``holds`` maps d to the shared blocks that a
    gauge moves, which a fit holds as they are.

    An expansion, a loss, a rule for sharing or merging that is about another weight rule, its
    parameters included, or proved under another ``likelihood``, is dropped: no gate inherits the
    theorem of its neighbour. Nor does it a gauge of another weight rule.

    Raises :class:`~identkit.errors.InputError` for a gauge of blocks that it does not have, and a
    score of β1 and β0 alone.
    """

    name: str
    formula: str
    weight: Callable[[sp.Expr], sp.Expr] = field(repr=False)
    normalised: bool
    declared: tuple[Gauge, ...] | None
    regimes: tuple[Regime, ...]
    source: str
    share: Share | None = None
    likelihood: str = LEAST_SQUARES
    blocks: tuple[Block, ...] = AFFINE
    score: Callable[[Values, Any], Any] | None = field(default=None, repr=False)
    router: Router | None = None
    fixed: tuple[Block, ...] = ()
    structure: str = ""
    together: str | None = ""
    selection: Selection | None = None
    level: Level | None = None
    written: Written | None = field(default=None, repr=False)
    holds: Callable[[int], tuple[Block, ...]] | None = field(default=None, repr=False)
    merging: Merging | None = None

    def __post_init__(self) -> None:
        self._check_blocks()
        chosen = self.selection
        if chosen is not None and chosen.theorem is not None and chosen.theorem.rule != self.rule:
            object.__setattr__(self, "selection", replace(chosen, theorem=None))
        if self.merging is not None and self.merging.rule != self.rule:
            object.__setattr__(self, "merging", None)
        bare = self.share is None and all(r == _bare(r) for r in self.regimes)
        if bare and not self.declared:
            return
        rule = self.rule
        if self.declared:
            own = (g for g in self.declared if g.rule.weighs_as(rule))
            object.__setattr__(self, "declared", tuple(own))
        kept = (r if self._proved(r, rule) else _bare(r) for r in self.regimes)
        object.__setattr__(self, "regimes", tuple(kept))
        if self.share is not None and self.share.rule != rule:
            object.__setattr__(self, "share", None)

    def _check_blocks(self) -> None:
        """That what is said of blocks is of those there are."""
        for gauge in self.declared or ():
            lost = [b.name for b in gauge.moves if b not in self.blocks]
            if lost:
                raise InputError(
                    f"gate {self.name}: the gauge '{gauge.name}' moves {', '.join(lost)}, which "
                    "the gate does not have; name its own blocks."
                )
        if self.score is not None and self.blocks == AFFINE:
            raise InputError(
                f"gate {self.name}: the score of beta1 and beta0 is β1ᵀx + β0; leave score out."
            )

    @property
    def rule(self) -> WeightRule:
        """What theorems about it are theorems of."""
        blocks = tuple(b for b in self.blocks if b not in self.fixed)
        weight = self.weight(symbol("s"))
        return WeightRule(weight, self.normalised, blocks, self.router, self.structure)

    def _proved(self, regime: Regime, rule: WeightRule) -> bool:
        """Whether what the regime registers is a theorem of this gate."""
        found = regime.expansion
        return found is not None and (found.rule, found.likelihood) == (rule, self.likelihood)

    def under(self, likelihood: Likelihood | str) -> Gate:
        """The gate with what is known of it under this likelihood.

        Where nothing is registered for the two together, the regimes keep their conditions and
        nothing follows from them. Raises InputError for a likelihood that is not known.
        """
        name = resolve_likelihood(likelihood).name
        if name == self.likelihood:
            return self
        own = _known(name).get(self.name)
        if own is None and self.router is not None:
            own = _of_family(self.name, name)
        return replace(self, likelihood=name) if own is None else own

    @classmethod
    def from_expression(cls, text: str, *, normalised: bool = False) -> Gate:
        """A gate of your own: the weight as an expression in the score s = β1ᵀx + β0.

        ``normalised`` divides the weights by their sum over atoms. The conditions are decided for
        such a gate: ``weak`` if it is not normalised, else ``strong`` (of the expert alone). No
        rate is derived: which moments can be invisible is known for the built-in gates only.

        >>> Gate.from_expression("(1 + tanh(s))/2").name
        '(1 + tanh(s))/2'

        Raises :class:`~identkit.errors.InputError` for an expression that cannot be read or is not
        one in s.
        """
        return _from_expression(text, normalised)

    @property
    def is_affine(self) -> bool:
        """Whether all atoms weigh by the score β1ᵀx + β0: what is fitted and simulated."""
        return self.blocks == AFFINE and not self.structure

    def needs_affine(self, what: str) -> None:
        """Raise InputError unless its parameters are β1 and β0 of each atom: no ``what`` else."""
        if self.structure:
            raise InputError(
                f"gate {self.name}: no {what} is registered for weights over {self.structure}; use "
                "softmax."
            )
        needs_affine(self.blocks, f"gate {self.name}", what)

    def needs_score(self, what: str) -> None:
        """Raise InputError unless its score is known in symbols."""
        if self.router is None and not {*self.rule.blocks} <= {*AFFINE, *self._in_no_score}:
            self.needs_affine(what)

    @property
    def _in_no_score(self) -> tuple[Block, ...]:
        """The bias of a selection, if there is one."""
        bias = None if self.selection is None else self.selection.bias
        return () if bias is None else (bias,)

    @property
    def all_blocks(self) -> tuple[Block, ...]:
        """Its parameters, those of groups of atoms with them."""
        return self.blocks if self.level is None else (*self.blocks, *self.level.blocks)

    def layout(self, dim: int, parameters: int, groups: Sequence[int] = ()) -> Layout:
        """The layout of a measure, η having so many ``parameters``, with the sizes of its groups.

        Raises InputError for groups of a gate without and the other way round, and for inputs that
        its router is not about.
        """
        if bool(groups) != (self.level is not None):
            raise InputError(
                f"gate {self.name}: atoms are not in groups; leave the groups out."
                if groups
                else f"gate {self.name}: atoms are in groups; give their sizes, such as "
                "groups=(2, 1), or --groups 2,1."
            )
        count = 0
        if self.router is not None and any(b.axis == "r" for b in self.blocks):
            count = len(self.router.parameters(inputs_of(dim)))
        return Layout.of(self.all_blocks, dim, parameters, count, groups)

    @property
    def scored(self) -> Router | None:
        """The score beside β0 as a router: its own, or β1ᵀx; None for weights free of x."""
        if self.router is not None:
            return self.router
        return LINEAR if {*AFFINE} <= {*self.rule.blocks} else None

    def check_layout(self, layout: Layout) -> None:
        """Raise InputError unless these are the blocks of this gate, and η."""
        if layout.of_gate != self.all_blocks:
            own = ", ".join(b.name for b in layout.listed)
            needed = ", ".join(sorted(b.name for b in (*self.all_blocks, EXPERT)))
            raise InputError(
                f"mixing measure: it has the blocks {own}; gate {self.name} has {needed}."
            )
        asked = self.layout(layout.dim, layout.parameters, layout.groups)
        if layout.router != asked.router:
            raise InputError(
                f"mixing measure: it has {layout.router} router parameters of an atom; gate "
                f"{self.name} has {asked.router}."
            )

    def needs_weights(self, what: str) -> None:
        """Raise InputError unless weights can be computed from blocks: no ``what`` else."""
        if self.structure and self.level is None and self.selection is None:
            raise InputError(
                f"gate {self.name}: no {what} is registered for weights over {self.structure}; use "
                "softmax."
            )
        known = self.written is not None or self.router is not None
        if not known and not {*self.blocks} <= {*AFFINE, *self._in_no_score}:
            needs_affine(self.blocks, f"gate {self.name}", what)

    def score_of(self, x: Sequence[Any], values: Mapping[str, Sequence[Any]]) -> Any:
        """The score of an atom in SymPy, of inputs and the numbers of its blocks, by name."""
        if self.written is not None:
            return self.written(x, values)
        offset = values["beta0"][0]
        aside = (OFFSET, *self._in_no_score)
        own = [v for b in self.blocks if b.per_atom and b not in aside for v in values[b.name]]
        if self.router is None:
            return offset + sp.Add(*(a * b for a, b in zip(own, x, strict=SLOPE in self.blocks)))
        shared = [v for b in self.blocks if not b.per_atom for v in values[b.name]]
        return offset + self.router.of(*(some for some in (x, own, shared) if some))

    @property
    def divides(self) -> bool:
        """Whether f is Σ weight·h / Σ weight; else Σ weight·h, so that F = weight·h is an atom."""
        return self.normalised

    @property
    def adds_up(self) -> bool:
        """Whether the weights add up to 1 at every x, as those of a density have to."""
        return self.divides and (self.selection is None or self.selection.divided_by == "selected")

    @cached_property
    def gauges(self) -> tuple[Gauge, ...]:
        """What leaves f as it is whatever the experts: as declared, else the one that is found.

        Searched for is the common shift of all (β1, β0), which weights like exp(c·s) have.
        """
        if self.declared is not None:
            return self.declared
        exponential = self.normalised and in_time(
            lambda: is_exponential(self.weight), SHIFT_SECONDS, False
        )
        return (common_shift(self.rule),) if exponential else ()

    @property
    def pinning(self) -> Gauge | None:
        """The gauge that is fixed by holding one atom's gate at 0; None if nothing is held."""
        return next((g for g in self.gauges if g.pins and g.caveat is None), None)

    def held(self, measure: MixingMeasure) -> MixingMeasure:
        """The measure with its last atom's gate at 0, or as it is where nothing is held.

        Where atoms are in groups, that of the last atom of each, and of the last group.
        """
        layout = measure.layout
        if not layout.groups:
            return measure if self.pinning is None else self.pinning.pinned(measure)
        values = {b.name: measure[b.name].copy() for b in layout.blocks}
        assert self.level is not None
        moved = [(b, layout.members) for b in self._shifted_within]
        moved += [(b, (slice(0, len(layout.groups)),)) for b in self.level.pinned]
        for block, parts in moved:
            array, axis = values[block.name], (slice(None),) * (block.axis != "")
            for part in parts:
                last = slice(part.stop - 1, part.stop)
                array[(..., part, *axis)] -= array[(..., last, *axis)].copy()
        return type(measure).of(layout, values)

    @property
    def _shifted_within(self) -> tuple[Block, ...]:
        """The blocks that a shift within a group moves."""
        return next((g.moves for g in self.gauges if g.name == WITHIN), ())

    def pinned(self, layout: Layout, atoms: int) -> list[int]:
        """Where the vector has what :meth:`held` brings to 0, and what ``fixed`` holds.

        The inner gate of an atom that is alone in its group is void; it is held as it is. A bias of
        a selection is held too: f is constant in it but for jumps.
        """
        gauge = self.pinning
        last = [part.stop - 1 for part in layout.members] or [atoms - 1]
        inner = self._shifted_within if layout.groups else ()
        own = [i for b in inner for i in _places(layout, b)]
        if gauge is not None and not layout.groups:
            own = list(gauge.places(layout))
        found = [layout.index(atom, place) for atom in last for place in own]
        for part in layout.members:
            if part.stop - part.start == 1:
                gates = [b for b in layout.of_atoms if b != EXPERT]
                found += [layout.index(part.start, i) for b in gates for i in _places(layout, b)]
        if self.level is not None and layout.groups:
            start = atoms * layout.width + (len(layout.groups) - 1) * layout.group_width
            found += [start + i for b in self.level.pinned for i in _places(layout, b)]
        found += self.still(layout, atoms)
        return sorted(set(found))

    def still(self, layout: Layout, atoms: int) -> list[int]:
        """Where the vector has what no fit moves: what a gauge holds, biases of a selection."""
        biases = [i for b in self._in_no_score for i in _places(layout, b)]
        found = [layout.index(atom, i) for i in biases for atom in range(atoms)]
        shared = atoms * layout.width + len(layout.groups) * layout.group_width
        held = self.fixed if self.holds is None else self.holds(layout.dim)
        return [*found, *(shared + i for b in held for i in _places(layout, b))]

    @cached_property
    def known_as(self) -> str:
        """The built-in gate that this one is, up to the scale of s; empty if none."""
        if self.structure or self.router is not None:
            return ""
        return in_time(lambda: known_as(self.weight, self.normalised), NAME_SECONDS, "")

    @property
    def has_theory(self) -> bool:
        """Whether an expansion is registered for some regime."""
        return any(r.expansion is not None for r in self.regimes)

    @property
    def has_orders(self) -> bool:
        """Whether something is proved of orders beyond two: arcs that leave the gate as it is.

        Atoms that share a weight by β0 alone are that, under every gate that theory is known of.
        """
        return not self.structure or self.has_theory

    @property
    def has_loss(self) -> bool:
        """Whether a Voronoi loss is registered for some regime, so that errors can be observed."""
        return any(r.loss is not None for r in self.regimes)

    def __reduce__(self) -> tuple:
        """A gate pickles as its name and module: weights are functions, which do not."""
        return _revived, (self.name, getattr(self.weight, "__module__", None), self.likelihood)

    def regime(self, which: RegimeCode) -> Regime | None:
        """The regime of this number, key or code (None: the only one), or None."""
        if isinstance(which, bool):
            return None
        if isinstance(which, str):
            which = folded(which, {r.key for r in self.regimes})
        for r in self.regimes:
            if r.code == which or (which is not None and r.key == which):
                return r
        return None

    def chosen(self, which: RegimeCode, option: str = "regime") -> Regime:
        """The regime of this number or key, the first if None. Raises InputError naming ``option``.

        Every place that is given a regime reads it here.
        """
        found = self.regimes[0] if which is None else self.regime(which)
        if found is None:
            raise InputError(
                f"{option} {which}: the {self.name} gate has no such regime; {self._remedy}."
            )
        return found

    @property
    def _remedy(self) -> str:
        known = [
            r.key if r.number is None else f"{r.key} ({r.number})"
            for r in self.regimes
            if r.key != "any"
        ]
        return f"choose {' or '.join(known)}" if known else "leave it out"

    def of_truth(self, sloped: bool) -> Regime:
        """The regime of a truth whose over-specified atom has β1* ≠ 0 (``sloped``), or = 0."""
        return next(r for r in self.regimes if r.admits(sloped))

    def expansion(self, which: RegimeCode) -> Expansion | None:
        """The expansion registered for this regime, or None."""
        regime = self.regime(which)
        return None if regime is None else regime.expansion


def _places(layout: Layout, block: Block) -> range:
    """Where a block stands among the numbers of whom it is."""
    return range(layout[block.name].start, layout[block.name].stop)


def _bare(regime: Regime) -> Regime:
    """The regime without what is a theorem."""
    return replace(regime, also=(), expansion=None, loss=None, caveats=(), refits="", rests_on=())


GATES: dict[str, Gate] = {}
"""Every gate that is known by name, the built-in ones first, under least squares."""


@dataclass(frozen=True)
class GateFamily:
    """Gates that there are infinitely many of: ``pattern`` begins their names, ``example`` is one.

    ``read`` makes one from the rest of its name and a likelihood.
    """

    pattern: str
    example: str
    read: Callable[[str, str | None], Gate] = field(repr=False)


FAMILIES: list[GateFamily] = []
LISTED = 4
"""Gates that a sentence names."""
VARIANTS: dict[str, dict[str, Gate]] = {}
"""A further likelihood -> the gates by name with what is registered under it."""


def gates_under(likelihood: str) -> tuple[Gate, ...]:
    """Every gate that is known by name under this likelihood, with what is registered there."""
    own = {name: gate.under(likelihood) for name, gate in GATES.items()}
    return tuple({**own, **_known(likelihood)}.values())


def known_gates(having: Callable[[Gate], bool]) -> str:
    """The names of the registered gates with some property, to be used in a sentence."""
    names = [g.name for g in GATES.values() if having(g)]
    if len(names) > LISTED:
        names = [*names[: LISTED - 1], "another that 'identkit gates' lists"]
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def without_loss(gate: Gate) -> InputError:
    """That no errors can be observed under this gate."""
    use = known_gates(lambda g: g.has_loss)
    return InputError(f"gate {gate.name}: no Voronoi loss is known; use {use}.")


def register(gate: Gate) -> Gate:
    """Make a gate known by its name, to this process and those it starts.

    A package names its gates in the entry-point group ``identkit.gates`` instead, and they are
    known wherever it is installed. Raises :class:`~identkit.errors.InputError` for a name that is
    taken, or that could not be told from an expression.
    """
    likelihood = gate.likelihood if isinstance(gate, Gate) else LEAST_SQUARES
    return enter(_known(resolve_likelihood(likelihood).name), gate, Gate)


def _known(likelihood: str) -> dict[str, Gate]:
    """The gates that are registered under this likelihood, by name."""
    return GATES if likelihood == LEAST_SQUARES else VARIANTS.setdefault(likelihood, {})


def _of_family(name: str, likelihood: str | None) -> Gate | None:
    for family in FAMILIES:
        begun = re.match(family.pattern, name.strip(), re.IGNORECASE)
        if begun:
            return family.read(name.strip()[begun.end() :], likelihood)
    return None


def _revived(name: str, module: str | None, likelihood: str) -> Gate:
    """The gate of this name in another process, which may have to import its module first."""
    if name not in GATES and module and module != __name__:
        for made in list(vars(import_module(module)).values()):  # which may register it as well
            if isinstance(made, Gate) and made.name == name:
                return GATES.setdefault(name, made).under(likelihood)
    return resolve(name, likelihood)


def resolve(
    gate: Gate | str,
    likelihood: Likelihood | str | None = None,
    variance: str | None = None,
) -> Gate:
    """A :class:`Gate` from itself, its name, or an expression in the score s.

    A normalised gate of one's own is named ``normalised EXPRESSION``. ``likelihood`` (None: the
    gate's own, least squares for a name) is what its theorems are under, ``variance`` which variant
    of it. Raises InputError for names that are not known and an expression that cannot be read.
    """
    asked = LEAST_SQUARES if likelihood is None else likelihood
    if isinstance(gate, str):
        gate = folded(gate, {*GATES, *(name for known in VARIANTS.values() for name in known)})
    if isinstance(gate, str) and gate not in GATES:
        own = _known(resolve_likelihood(asked, variance).name).get(gate)
        if own is not None:
            return own
        elsewhere = [name for name, known in VARIANTS.items() if gate in known]
        if elsewhere:
            family = resolve_likelihood(elsewhere[0]).family
            raise InputError(
                f"gate {gate}: nothing is known of it under {resolve_likelihood(asked).name}; ask "
                f"under another likelihood, check --likelihood {family}."
            )
    found = _named(gate)
    if likelihood is None and variance is None:
        return found
    wanted = found.likelihood if likelihood is None else likelihood
    return found.under(resolve_likelihood(wanted, variance))


def _named(gate: Gate | str) -> Gate:
    if isinstance(gate, Gate):
        return gate
    if not isinstance(gate, str):
        raise InputError(f"gate: {gate!r} is no gate; give a name, an expression in s, or a Gate.")
    if gate in GATES:
        return GATES[gate]
    found = _of_family(gate, None)
    if found is not None:
        return found
    # an expression can be a name in small letters only where it is s
    small = gate.strip().lower()
    found = plugged_in(GROUP, small, Gate) if NAME.fullmatch(small) else None
    if found is not None:
        return register(found)
    if re.fullmatch(r"[A-Za-z]{2,}[A-Za-z-]*|[A-RT-Za-rt-z]|", gate.strip()):
        error = unknown_name("gate", gate, {*GATES, *(f.example for f in FAMILIES)})
        raise type(error)(f"{error} Your own: an expression in s, such as (1 + tanh(s))/2.")
    return Gate.from_expression(gate)


def _from_expression(text: str, normalised: bool) -> Gate:
    if not isinstance(text, str):
        raise InputError(f"gate: {text!r} is no expression; write the weight as text in s.")
    begun = _WRITTEN.match(text)
    weight = spelled(folded(text[begun.end() if begun else 0 :].strip(), GATES))
    if weight in GATES:
        if GATES[weight].normalised:
            raise InputError(f"gate: {weight} is normalised already; use --gate {weight}.")
        weight = f"{weight}(s)"
    return _own(weight, normalised or bool(begun))


@cache
def _own(text: str, normalised: bool) -> Gate:
    try:
        expression: Any = parse(text)
    except ExpressionError as error:
        reason = (
            str(error).removeprefix("expression: ").replace("c*tanh(a*x + b)", "(1 + tanh(s))/2")
        )
        raise ExpressionError(f"gate: {reason}") from None
    names = free_names(expression)
    if names != {"s"}:
        other = ", ".join(sorted(names - {"s"}))
        what = f"{other} is not s" if other else "the score s is not in it"
        raise ExpressionError(
            f"gate: '{text}': {what}; write the weight as an expression in s alone, such as "
            "(1 + tanh(s))/2."
        )
    condition, truth = ("strong", "any truth") if normalised else ("weak", "distinct gates")
    divided = ", divided by the sum over atoms" if normalised else ", not normalised"
    return Gate(
        name=f"{PREFIX if normalised else ''}{text}",
        formula=f"{text}, s = β1ᵀx + β0{divided}",
        weight=lambda score: expression.xreplace({symbol("s"): score}),
        normalised=normalised,
        declared=None if normalised else (),
        regimes=(Regime("any", condition, f"{truth}; no rate is derived for this gate"),),
        source="your expression",
    )
