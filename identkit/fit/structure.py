"""How an expert depends on its parameters: pre-activations found in the expression, not assumed.

Every expert is written h(x, η) = φ(u, x) with pre-activations u_t = Σ_l c_l·η_l·feature_l, "slots",
where a feature is an input x_s or the constant 1 and c_l a number. A ridge expert has the one slot
u = aᵀx + b, whatever d; a parameter that fits no such sum is a slot of its own. Then

    ∂h/∂η_l = c_l·feature_l·φ_t        ∂²h/∂η_l∂η_m = c_l·c_m·feature_l·feature_m·φ_tt'

so that Jacobian and Hessian of a fit are products of few scalar functions of x with few products
of features; neither is ever materialised over the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import sympy as sp

from identkit.experts import Expert
from identkit.expression import symbol
from identkit.layout import EXPERT, OFFSET, SLOPE, Layout


class Root(sp.Function):
    """√z with the derivative 0 at 0: of a distance at its own centre, where every slope does."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> Any:
        inverse: Any = InverseRoot(self.args[0])
        return inverse / 2


class InverseRoot(sp.Function):
    """1/√z, and 0 at 0."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> Any:
        own: Any = self
        return -(own**3) / 2


class Power(sp.Function):
    """z^b with an exponent that is fitted; its derivatives are 0 at z = 0.

    There z^b·log z is 0·log 0 in floating point, where it tends to 0, b > 0; and where b < 0 and a
    function is finite although z^b is not, as 1/(1 + z^b), its derivatives tend to 0 too. A number
    in a denominator of z is differentiated by its logarithm: b·z^(b−1)·(−x/e²) would be ∞·0.
    """

    nargs = 2

    def _eval_derivative(self, s: Any) -> Any:
        z, b = self.args
        return _slope_of_power(z, b, 0, s)


class LogPower(sp.Function):
    """z^b·(log z)^n, and 0 at z = 0."""

    nargs = 3

    def _eval_derivative(self, s: Any) -> Any:
        z, b, n = self.args
        return _slope_of_power(z, b, n, s)


def _slope_of_power(z: Any, b: Any, n: Any, s: Any) -> Any:
    """The derivative of z^b·(log z)^n with respect to s."""

    def power(exponent: Any, logs: Any) -> Any:
        return LogPower(z, exponent, logs)

    found: Any = b.diff(s) * power(b, n + 1)
    above, below = z.as_numer_denom()
    if below.has(s):
        found -= below.diff(s) / below * (b * power(b, n) + (n * power(b, n - 1) if n else 0))
    if above.has(s):
        inner = b * power(b - 1, n) + (n * power(b - 1, n - 1) if n else 0)
        found += above.diff(s) / below * inner
    return found


class Logistic(sp.Function):
    """σ(z) without overflow: 1/(1 + exp(-z)) is inf/inf in its derivatives for large -z."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> Any:
        return self * (1 - self)


class Softplus(sp.Function):
    """log(1 + exp(z)) without overflow."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> Any:
        return Logistic(self.args[0])


@dataclass(frozen=True)
class Structure:
    """φ and its slots for one expert.

    ``phi`` is an expression in ``slots`` and the inputs in ``direct`` (indices of inputs that φ
    uses besides the slots). For parameter l of η: ``slot_of[l]`` its slot, ``feature_of[l]`` the
    input it multiplies (d for the constant 1), ``scale_of[l]`` the number c_l.
    """

    slots: tuple[sp.Symbol, ...]
    phi: sp.Expr
    direct: tuple[int, ...]
    slot_of: tuple[int, ...]
    feature_of: tuple[int, ...]
    scale_of: tuple[float, ...]


class Places(NamedTuple):
    """Where each number of an atom, in the order of the layout, enters what is summed over.

    Behind its own numbers stand those of its group, then those that all share. ``row``: the slots
    of the score come first, from 0 (β1ᵀx + β0 has the one), then those of the expert, then those of
    the group's score. ``feature``: the input it multiplies (d for the constant 1). ``scale``: its
    factor. ``level``: the number that is the affine score at x = 0; None for any other score.
    """

    row: tuple[int, ...]
    feature: tuple[int, ...]
    scale: tuple[float, ...]
    level: int | None


def places(
    layout: Layout, score: Structure | None, expert: Structure, group: Structure | None
) -> Places:
    """The places of an atom's numbers; ``score`` is None for β1ᵀx + β0."""
    own: list[tuple[int, int, float]] = []
    shared: list[tuple[int, int, float]] = []
    gate = iter(_entries(_affine(layout) if score is None else score, 0))
    first = 1 if score is None else len(score.slots)
    for block in layout.of_atoms:
        if block == EXPERT:
            own += _entries(expert, first)
        else:
            own += [next(gate) for _ in range(layout.size(block))]
    shared += list(gate)
    groups = [] if group is None else _entries(group, first + len(expert.slots))
    row, feature, scale = zip(*own, *groups, *shared, strict=True)
    return Places(row, feature, scale, layout["beta0"].start if score is None else None)


def _affine(layout: Layout) -> Structure:
    """β1ᵀx + β0: one slot, the blocks in the layout's order."""
    features = {SLOPE: range(layout.dim), OFFSET: (layout.dim,)}
    at = [f for b in layout.of_atoms if b != EXPERT for f in features[b]]
    s = sp.Symbol("s", real=True)
    return Structure((s,), s, (), (0,) * len(at), tuple(at), (1.0,) * len(at))


def _entries(found: Structure, first: int) -> list[tuple[int, int, float]]:
    columns = zip(found.slot_of, found.feature_of, found.scale_of, strict=True)
    return [(first + slot, feature, scale) for slot, feature, scale in columns]


def structure(expert: Expert) -> Structure:
    """The slots of an expert; every parameter is in exactly one."""
    inputs: list[Any] = [symbol(x) for x in expert.inputs]
    parameters: list[Any] = [symbol(p) for p in expert.parameters]
    phi: Any = expert.expression
    return _found(phi, inputs, parameters, _forms(phi, inputs, parameters))


def score_structure(score: Any, inputs: list[Any], parameters: list[Any]) -> Structure:
    """The slots of a score, an expression in these symbols.

    All parameters that it is a sum of, times an input, a number or both, are in one slot, with β0.
    """
    score = _rooted(sp.expand(score) if score.is_polynomial(*inputs, *parameters) else score)
    forms = _forms(score, inputs, parameters)
    return _found(score, inputs, parameters, [_summed(score, inputs, parameters), *forms])


def _found(phi: Any, inputs: list[Any], parameters: list[Any], forms: list[Any]) -> Structure:
    groups: list[dict[Any, tuple[Any, int]]] = []
    slots: list[Any] = []
    for form in forms:
        if any(p in known for known in groups for p in form):
            continue
        slot = _slot(len(slots))
        replaced = _through(phi, form, slot, inputs)
        if replaced is not None:
            phi = replaced
            groups.append(form)
            slots.append(slot)
    constant = len(inputs)
    for parameter in parameters:
        if not any(parameter in form for form in groups):
            slot = _slot(len(slots))
            phi = phi.xreplace({parameter: slot})
            groups.append({parameter: (sp.Integer(1), constant)})
            slots.append(slot)
    where = {p: t for t, form in enumerate(groups) for p in form}
    return Structure(
        tuple(slots),
        _powered(stable(phi)),
        tuple(s for s, x in enumerate(inputs) if phi.has(x)),
        tuple(where[p] for p in parameters),
        tuple(groups[where[p]][p][1] for p in parameters),
        tuple(float(groups[where[p]][p][0]) for p in parameters),
    )


def _slot(number: int) -> Any:
    """A symbol that no parameter and no input is: the grammar's names begin with a letter."""
    return sp.Symbol(f"_u{number}", real=True)


def _rooted(expression: Any) -> Any:
    """The same with square roots that have a derivative at 0."""
    roots = {sp.Rational(1, 2): Root, -sp.Rational(1, 2): InverseRoot}
    return expression.replace(
        lambda node: node.is_Pow and node.exp in roots and not node.base.is_number,
        lambda node: roots[node.exp](node.base),
    )


def _powered(expression: Any) -> Any:
    """The same with powers of fitted exponents that have derivatives at 0."""
    return expression.replace(
        lambda node: node.is_Pow and not node.exp.is_number,
        lambda node: Power(node.base, node.exp),
    )


def stable(expression: Any) -> Any:
    """The same function with 1 + exp(z), log(1 + exp(z)) and log(1 + exp(z) + …) written so that
    they do not overflow.

    >>> z = sp.Symbol("z", real=True)
    >>> stable(z / (1 + sp.exp(-z)))
    z*Logistic(z)
    >>> stable(sp.log(1 + sp.exp(z) + sp.exp(z**2)))
    Softplus(z) + Softplus(z**2 - Softplus(z))
    """

    def one_plus_exps(node: Any) -> list[Any]:
        if not (node.is_Add and sp.Integer(1) in node.args):
            return []
        others = [a for a in node.args if a != 1]
        return [a.args[0] for a in others] if all(isinstance(a, sp.exp) for a in others) else []

    def log_of_sum(node: Any) -> Any:
        total: Any = sp.Integer(0)
        for z in one_plus_exps(node.args[0]):
            total += Softplus(z - total)
        return total

    expression = expression.replace(
        lambda node: isinstance(node, sp.log) and one_plus_exps(node.args[0]), log_of_sum
    )
    return expression.replace(
        lambda node: node.is_Pow and len(one_plus_exps(node.base)) == 1,
        lambda node: Logistic(-one_plus_exps(node.base)[0]) ** (-node.exp),
    )


def _summed(
    expression: Any, inputs: list[Any], parameters: list[Any]
) -> dict[Any, tuple[Any, int]]:
    """The parameters in terms of the sum that hold no other and are in no other term."""
    form: dict[Any, tuple[Any, int]] = {}
    terms = sp.Add.make_args(expression)
    for term in terms:
        found = _single(term, inputs, parameters)
        if found is not None and sum(t.has(found[0]) for t in terms) == 1:
            form[found[0]] = found[1]
    return form


def _single(
    term: Any, inputs: list[Any], parameters: list[Any]
) -> tuple[Any, tuple[Any, int]] | None:
    """The parameter of a term that is a number times it, or times it and an input; else None."""
    factors = term.args if term.is_Mul else (term,)
    numbers: Any = sp.Mul(*[f for f in factors if f.is_number])
    rest = [f for f in factors if not f.is_number]
    names = [f for f in rest if f in parameters]
    features = [f for f in rest if f in inputs]
    if len(names) != 1 or len(features) > 1 or len(rest) != 1 + len(features):
        return None
    return names[0], (numbers, inputs.index(features[0]) if features else len(inputs))


def _forms(
    expression: Any, inputs: list[Any], parameters: list[Any]
) -> list[dict[Any, tuple[Any, int]]]:
    """Candidates for slots, largest first: parameter -> (number, feature)."""
    found: dict[frozenset, dict[Any, tuple[Any, int]]] = {}
    for node in sp.preorder_traversal(expression):
        terms: Any = node.args if node.is_Add else (node,)
        form = {}
        for term in terms:
            single = _single(term, inputs, parameters)
            if single is None or single[0] in form:
                break
            form[single[0]] = single[1]
        else:
            # a slot needs an input: a lone parameter is one anyway
            if any(f < len(inputs) for _, f in form.values()):
                found.setdefault(frozenset(form), form)
    return sorted(found.values(), key=len, reverse=True)


def _through(phi: Any, form: dict[Any, tuple[Any, int]], slot: Any, inputs: list[Any]) -> Any:
    """φ with the form replaced by ``slot``, or None if φ depends on its parameters otherwise."""
    if not form or not all(phi.has(p) for p in form):
        return None
    pivot = min(form, key=lambda p: (-form[p][1], str(p)))  # the constant's parameter if any
    number, feature = form[pivot]
    x = inputs[feature] if feature < len(inputs) else sp.Integer(1)
    only = {p: sp.Integer(0) for p in form if p != pivot}
    replaced = phi.subs({**only, pivot: slot / (number * x)}, simultaneous=True)
    z = sp.Add(*(c * p * (inputs[f] if f < len(inputs) else 1) for p, (c, f) in form.items()))
    back = replaced.subs(slot, z)
    if replaced.has(sp.nan, sp.zoo, sp.oo) or any(replaced.has(p) for p in form):
        return None
    if x in replaced.free_symbols and _poles(replaced, x) - _poles(phi, x):
        return None  # another occurrence of the pivot became u/x, undefined at x = 0
    if back != phi and sp.expand(back - phi) != 0:
        return None
    return replaced


def _poles(expression: Any, x: Any) -> set[Any]:
    return {p for p in expression.atoms(sp.Pow) if p.base == x and p.exp.is_negative}
