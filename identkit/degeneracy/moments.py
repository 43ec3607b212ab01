"""The moments of an over-specified cell and the functions of x they multiply.

Around a true atom θ* the fitted atoms of its cell deviate by δ_i = (Δβ1_i, Δη_i) with weights
w_i. The second-order expansion of f_G − f_G* is a combination of functions of x whose coefficients
are the moments m0 = Σw_i − w*, m = Σ w_i δ_i, M = Σ w_i δ_i δ_iᵀ (theory section 4):

- where the gates' moments count (sigmoid, Regime 1, β1* = 0): all of m0, m_β, M_ββ, M_βη, m_η,
  M_ηη, on h, x h, x xᵀ h, x ∇h, ∇h, ∇²h;
- where the denominator pins those (softmax; normalized sigmoid, sparse): m_η and M_ηη, on ∇h and
  ∇²h. Under softmax m0, m_β and M_ββ are pinned up to a common shift of all gates, provided that
  some true atom is fitted by one atom only.
- where the router has parameters γ of its own: all of m0, m_γ, M_γγ on 1, ∇W, ∇²W beside m_η, M_ηη
  and M_γη on ∇h, ∇²h and ∇W∇h, each on a block of its own (theory section 9).

A density N(y | h, ν) shows more of an expert than h: m_η and M_ηη multiply ∇h and ½∇²h on the block
N′ and nothing and ½∇h∇hᵀ on N″ (:mod:`identkit.likelihoods.gaussian`), where m_ν joins them if the
variance is free. If it is not, ∇hᵀM∇h = 0 and M ⪰ 0 mean that M∇h = 0: the moments left are those
along directions v with v·∇h = 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement

from identkit.atoms import AtomFunction, gate_parameters
from identkit.conditions import UNIT, AtomTerm, BasisFunction, BlockFunction
from identkit.expression import symbol
from identkit.vocabulary import Through


@dataclass(frozen=True)
class Moment:
    """One moment: its ``pair`` of coordinates (() for m0, one for m, two for M) and its function.

    The expansion contains ½ M:∇², so M_uv = ``scale`` × (coefficient of ``function``): 2 for
    u = v, where the function is ∂²_u h, and 1 otherwise.
    """

    pair: tuple[str, ...]
    function: AtomTerm
    scale: int

    @property
    def name(self) -> str:
        """As printed: ``m0``, ``m[a]``, ``M[a,b]``."""
        if not self.pair:
            return "m0"
        return f"m[{self.pair[0]}]" if len(self.pair) == 1 else f"M[{','.join(self.pair)}]"


@dataclass(frozen=True)
class MomentSpace:
    """The moments that can be invisible under a gate, in a fixed order.

    ``gates`` are the names of the β1 coordinates that count (none under softmax), ``experts``
    those of η. ``weight_free`` says whether m0 is free. ``pinned`` are coordinates of which only
    the first moment can be invisible. ``null``: M lives on the directions v with v·∇h = 0, which
    the first moments span, and has no coordinates of its own.
    """

    moments: tuple[Moment, ...]
    gates: tuple[str, ...]
    experts: tuple[str, ...]
    weight_free: bool
    pinned: tuple[str, ...] = ()
    null: bool = False

    @property
    def coordinates(self) -> tuple[str, ...]:
        """All coordinates of a deviation, gates first."""
        return (*self.gates, *self.experts)

    def index(self, *pair: str) -> int:
        """The position of a moment; the order of the pair does not matter."""
        order = self.coordinates.index
        key = tuple(sorted(pair, key=order))
        return next(i for i, m in enumerate(self.moments) if m.pair == key)


MEAN, SECOND = "N′", "N″"
"""The blocks ∂N/∂h and ∂²N/∂h² of a density, names that no expression can have."""
VALUES, DENSITIES = "(h−f)", "(N−p)"
"""What a change of weight multiplies: the expert's distance from the whole mixture."""
SPREAD = "ν"
"""The variance of an atom, a name that no expression can have."""


def seen_atom(atom: AtomFunction, through: Through) -> AtomFunction:
    """The function whose derivatives the moments multiply, with the blocks as components."""
    blocks = _blocks(atom, through)
    if not blocks:
        return atom
    return replace(atom, expression=symbol(blocks[0]) * atom.expression, markers=blocks)


def _blocks(atom: AtomFunction, through: Through) -> tuple[str, ...]:
    if atom.routed is not None:
        if through is Through.VALUE:
            return (VALUES, UNIT)
        return (DENSITIES, MEAN, SECOND)
    return {Through.VALUE: (), Through.DENSITY: (MEAN, SECOND), Through.MEAN: (MEAN,)}[through]


def space_of(atom: AtomFunction, gates: bool, through: Through) -> MomentSpace:
    """The moments that can be invisible where an expert h shows ``through`` this.

    ``gates`` where those of weight and gate take part, which no density allows.
    """
    if atom.routed is not None:
        return routed_space(atom, through)
    if through is Through.VALUE:
        return moment_space(atom, gates)
    return density_space(atom, through is Through.DENSITY)


def density_space(atom: AtomFunction, free: bool) -> MomentSpace:
    """The moments of an expert seen through N(y | h, ν); ``free`` where ν is the atom's own."""
    u, eta = atom.symbol, atom.parameters
    moments = [
        Moment((p,), BlockFunction(((MEAN, BasisFunction(u, (), ((p,),))),)), 1) for p in eta
    ]
    if not free:
        return MomentSpace(tuple(moments), (), tuple(eta), False, null=True)
    moments.append(Moment((SPREAD,), BlockFunction(((SECOND, BasisFunction(u, (), ())),)), 2))
    moments += density_pairs(u, eta)
    return MomentSpace(tuple(moments), (), tuple(eta), False, pinned=(SPREAD,))


def routed_space(atom: AtomFunction, through: Through) -> MomentSpace:
    """The moments of a router's parameters and those of its expert, each on its own block.

    Expanded is W(x, γ)(V(z, η) − T), T the mixture and V what the likelihood sees of h. Second
    derivatives of W multiply V − T, those of h and the mixed ones ∂W·∂h the derivatives of V; all
    are multiplied by W, which changes nothing. ``β0`` stands for m0: it has no second moments.
    """
    u, offset = atom.symbol, atom.gate[0]
    gate, expert = atom.gate[1:], atom.of_expert
    weight, mean = (VALUES, UNIT) if through is Through.VALUE else (DENSITIES, MEAN)

    def product(*factors: tuple[str, ...]) -> BasisFunction:
        bases = tuple("W" if {*f} <= {*atom.gate} else "h" for f in factors)
        return BasisFunction(u, (), factors, bases=bases)

    def on(block: str, *factors: tuple[str, ...]) -> tuple[str, BasisFunction]:
        return block, product(*factors)

    moments = [Moment((), BlockFunction((on(weight, (offset,)),)), 1)]
    moments += [Moment((g,), BlockFunction((on(weight, (g,)),)), 1) for g in gate]
    moments += [Moment((p,), BlockFunction((on(mean, (offset,), (p,)),)), 1) for p in expert]
    free = through is Through.DENSITY
    if free:
        moments.append(Moment((SPREAD,), BlockFunction((on(SECOND, (offset,)),)), 2))
    for g, k in combinations_with_replacement(gate, 2):
        moments.append(Moment((g, k), BlockFunction((on(weight, (g, k)),)), 2 if g == k else 1))
    for g in gate:
        moments += [Moment((g, p), BlockFunction((on(mean, (g,), (p,)),)), 1) for p in expert]
    for p, q in combinations_with_replacement(expert, 2):
        terms = [on(mean, (offset,), (p, q))]
        if through is not Through.VALUE:
            terms.append(on(SECOND, (offset,), (p,), (q,)))
        moments.append(Moment((p, q), BlockFunction(tuple(terms)), 2 if p == q else 1))
    own = (SPREAD,) if free else ()
    return MomentSpace(tuple(moments), (), (*gate, *expert), False, pinned=own)


def density_pairs(u: str, parameters: Sequence[str]) -> Iterator[Moment]:
    """The second moments of these parameters of u, on both blocks."""
    for p, q in combinations_with_replacement(parameters, 2):
        seen = BlockFunction(
            (
                (MEAN, BasisFunction(u, (), ((p, q),))),
                (SECOND, BasisFunction(u, (), ((p,), (q,)))),
            )
        )
        yield Moment((p, q), seen, 2 if p == q else 1)


def beside_space(
    atom: AtomFunction, others: Sequence[str], gate: Sequence[str] | None = None
) -> MomentSpace:
    """S on these parameters beside an output bias, and 1, x and ∇h in them on each block.

    Where ``atom`` is π + h with a router of its own, ∂π by each of ``gate`` stands for x. What is
    asked is whether S:∇²h and ∇hᵀS∇h can both be combinations of those (theory section 10); their
    coefficients have the names of first moments, and S has those of second ones.
    """
    u = atom.symbol
    free = [BasisFunction(u, (), ())]
    if gate is None:
        free += [BasisFunction(u, (x,), ()) for x in atom.inputs]
    free += [BasisFunction(u, (), ((p,),)) for p in (*(gate or ()), *others)]
    moments = [
        Moment((f"{block} {f.label}",), BlockFunction(((block, f),)), 1)
        for block in (MEAN, SECOND)
        for f in free
    ]
    pinned = tuple(m.pair[0] for m in moments)
    moments += density_pairs(u, others)
    return MomentSpace(tuple(moments), (), tuple(others), False, pinned=pinned)


def value_space(atom: AtomFunction, across: str) -> MomentSpace | None:
    """With m0 and m_β on h and x h, as where only a sum of the cells' weights is pinned.

    Where these functions are independent over the cells, m_β is 0 at first order for each of them;
    then M_ββ ⪰ 0 for each, and since they add up to 0, M_ββ = 0 and M_βη = 0. Without m_β where the
    weights are free of x. None where ``across`` (see :class:`identkit.gates.Expansion`) asks for
    neither.
    """
    if across not in ("values", "weights"):
        return None
    full = moment_space(atom, True)
    slopes = across == "values"
    kept = tuple(
        m for m in full.moments if set(m.pair) <= set(full.experts) or (slopes and len(m.pair) < 2)
    )
    return MomentSpace(kept, (), full.experts, True)


def moment_space(atom: AtomFunction, gate_counts: bool) -> MomentSpace:
    """The moments for expert function h; ``gate_counts`` where those of the gate take part."""
    u, eta = atom.symbol, atom.parameters
    slopes = gate_parameters(len(atom.inputs))[1:] if gate_counts else ()
    input_of = dict(zip(slopes, atom.inputs, strict=False))
    moments: list[Moment] = []
    if gate_counts:
        moments.append(Moment((), BasisFunction(u, (), ((),)), 1))
        moments += [Moment((s,), BasisFunction(u, (input_of[s],), ((),)), 1) for s in slopes]
    moments += [Moment((p,), BasisFunction(u, (), ((p,),)), 1) for p in eta]
    if gate_counts:
        for s, t in combinations_with_replacement(slopes, 2):
            inputs = (input_of[s], input_of[t])
            moments.append(Moment((s, t), BasisFunction(u, inputs, ((),)), 2 if s == t else 1))
        for s in slopes:
            moments += [Moment((s, p), BasisFunction(u, (input_of[s],), ((p,),)), 1) for p in eta]
    for p, q in combinations_with_replacement(eta, 2):
        moments.append(Moment((p, q), BasisFunction(u, (), ((p, q),)), 2 if p == q else 1))
    return MomentSpace(tuple(moments), tuple(slopes), tuple(eta), gate_counts)
