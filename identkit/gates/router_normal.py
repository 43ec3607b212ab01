"""Normal coordinates of a score κπ(x, ω), κ of all atoms, for any expression π.

Tried in this order, each in κ and ω:

- *linear*: π = Σ a_u(ω) g_u(x) once expanded, the g_u and 1 independent. Scores are linear in the
  κa_u, which are up to a common shift; a term that is free of x goes with β0. So are x·ω, and
  (x − w)² and (x·w)², whose κw and κw² have a shift though ω has none.
- *as they are*, ω and τ = 1/κ, where no gauge is left but a shift of those ω in which π is linear,
  times functions of x alone.
- *homogeneous*, π(x, cω) = c^p π(x, ω): the ω·κ^(1/p).
- *factors*, π = Σ a_u(ω) g_u(x, ω) with no a_u a constant: the κa_u and the ω in a g_u. So are
  exp(w·x + v), and (w + 1)·tanh(v·x).

That no gauge is left is a determinant of what remains at two atoms, in balls, at generic ω of
several signs. Signs that π does not see, such as w → −w in |w·x| of two inputs, are no gauge here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from importlib import import_module
from itertools import product
from typing import Any

import sympy as sp
from flint import arb, arb_mat

from identkit.balls import Step, Tape, ball, precision
from identkit.errors import InputError
from identkit.gates.normal import Normal
from identkit.gates.router import Router
from identkit.heads import HEADS

BITS = 200
POINTS = 150
DEGREES = tuple(sp.Rational(n, 2) for n in range(13))
"""Those that a homogeneous router is looked for in."""
INDEPENDENT = Fraction(1, 2**100)
"""Above this a Gram determinant is taken for that of independent functions."""
KAPPA = sp.Symbol("κ", positive=True)


@dataclass(frozen=True)
class RouterCoordinates:
    """What a measure with ω (…, k, r) and a temperature (…) is in normal coordinates.

    ``scale`` is p where the coordinates are those of a homogeneous router. ``places`` are the ω
    that the moving numbers are, times a number each (and κ unless it is ``shared``), where they are
    nothing else.
    """

    moving: tuple[Any, ...]
    still: tuple[Any, ...]
    offset: Any
    shared: bool
    symbols: tuple[Any, ...]
    scale: Any = None
    places: tuple[tuple[int, float], ...] = ()
    numbers: Callable[..., Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        expressions = [*self.moving, *self.still, self.offset]
        heads = [(h, *h.numpy.split(":")) for h in HEADS]
        modules: list[Any] = [
            {h.name: getattr(import_module(m), name) for h, m, name in heads},
            {"Step": lambda z: (z > 0) * 1.0},
            "numpy",
        ]
        made = sp.lambdify([*self.symbols, KAPPA], expressions, modules=modules)
        object.__setattr__(self, "numbers", made)

    def normal(self, beta0: Any, omega: Any, temperature: Any) -> Normal:
        """γ, and what an atom weighs by."""
        *own, offset = self.numbers(
            *(omega[..., i] for i in range(omega.shape[-1])), _over(temperature)
        )
        columns = tuple((0 * beta0 + one)[..., None] for one in own)
        cut = len(self.moving)
        shared = (temperature,) if self.shared else ()
        return Normal(beta0 + offset, columns[:cut], columns[cut:], shared)

    def back(self, omega: Any, temperature: Any, shift: Any, other: Any) -> tuple[Any, Any] | None:
        """ω and τ in the gauge of a measure with this temperature; None where it is not known."""
        if len(self.places) < len(self.moving):
            return None
        there = temperature if self.shared else 0 * temperature + other
        ratio = (there / temperature)[..., None, None]
        if self.scale is not None:
            return omega * ratio ** float(1 / self.scale), there
        if not (self.shared or self.moving):
            return None
        moved = omega * ratio
        for n, (place, factor) in enumerate(self.places):
            step = shift[..., None, n] / factor
            moved[..., place] += step if self.shared else step * there[..., None]
        return moved, there


def _over(temperature: Any) -> Any:
    return 1 / temperature[..., None]


def absorbed(router: Router, inputs: tuple[str, ...]) -> bool:
    """Whether a gauge is known that moves the temperature, by which it can be held."""
    try:
        return not coordinates(router, inputs).shared
    except InputError:
        return False


@cache
def coordinates(router: Router, inputs: tuple[str, ...]) -> RouterCoordinates:
    """The coordinates for these inputs. Raises InputError where none of these is one."""
    own = router.parameters(inputs)
    x = sp.symbols(inputs, real=True)
    w = tuple(sp.symbols(own, real=True))
    given = {s.name: s for s in (*x, *w)}
    score = router.score(inputs)
    pi = score.xreplace(
        {s: given.get(s.name, sp.Integer(1)) for s in score.free_symbols}  # κ = 1
    )
    for candidate in (_linear, _plain, _homogeneous, _factors):
        found = candidate(pi, x, w)
        if found is not None:
            return found
    raise InputError(
        f"router {router.text}: no Voronoi loss is known for it in {', '.join(inputs)}: its scores "
        "have a gauge that no coordinates are known of; use another router."
    )


def _terms(pi: Any, x: Sequence[Any]) -> dict[Any, Any]:
    """π as Σ factor·function, by function; factors are free of x."""
    found: dict[Any, Any] = {}
    for term in sp.Add.make_args(sp.expand(pi)):
        factor, function = term.as_independent(*x, as_Add=False)
        found[function] = found.get(function, 0) + factor
    return {g: a for g, a in found.items() if a != 0}


def _linear(pi: Any, x: Sequence[Any], w: tuple[Any, ...]) -> RouterCoordinates | None:
    terms = _terms(pi, x)
    if any(g.free_symbols & {*w} for g in terms):
        return None
    offset = KAPPA * terms.pop(sp.Integer(1), sp.Integer(0))
    if not _independent([*terms, sp.Integer(1)], x, ()):
        return None
    moving = [a for a in terms.values() if a.free_symbols]
    places = [(w.index(s), float(a / s)) for a in moving for s in w if not (a / s).free_symbols]
    known = offset == 0 and sorted(p for p, _ in places) == [*range(len(w))] == [
        *range(len(moving))
    ]
    return RouterCoordinates(
        tuple(KAPPA * a for a in moving),
        (),
        offset,
        False,
        w,
        places=tuple(places) if known else (),
    )


def _plain(pi: Any, x: Sequence[Any], w: tuple[Any, ...]) -> RouterCoordinates | None:
    linear = [v for v in w if not sp.diff(pi, v).free_symbols & {*w}]
    if not _rigid(pi, x, w, True, linear):
        return None
    still = tuple(v for v in w if v not in linear)
    places = tuple((w.index(v), 1.0) for v in linear)
    return RouterCoordinates(tuple(linear), still, sp.Integer(0), True, w, places=places)


def _homogeneous(pi: Any, x: Sequence[Any], w: tuple[Any, ...]) -> RouterCoordinates | None:
    power = _degree(pi, w)
    if not power or not _rigid(pi, x, w, False):
        return None
    still = tuple(v * KAPPA ** (1 / power) for v in w)
    return RouterCoordinates((), still, sp.Integer(0), False, w, scale=power)


def _degree(function: Any, w: Sequence[Any]) -> Any:
    """p of a function that is homogeneous of degree p in ω, by Euler's equation off its kinks."""
    if any(_degree(kink.args[0], w) is None for kink in function.atoms(Step)):
        return None
    euler = sp.Add(*(v * sp.diff(function, v) for v in w))
    return next((p for p in DEGREES if sp.expand(euler - p * function) == 0), None)


def _factors(pi: Any, x: Sequence[Any], w: tuple[Any, ...]) -> RouterCoordinates | None:
    terms = _terms(pi, x)
    offset = KAPPA * terms.pop(sp.Integer(1), sp.Integer(0))
    moving = tuple(KAPPA * a for g, a in terms.items() if not g.free_symbols & {*w})
    scaled = [(g, a) for g, a in terms.items() if g.free_symbols & {*w}]
    if moving or offset != 0 or any(not a.free_symbols for _, a in scaled):
        return None
    inside = [v for v in w if any(v in g.free_symbols for g, _ in scaled)]
    still = (*(KAPPA * a for _, a in scaled), *inside)
    # the gauge that moves κ must move what is outside alone, and leave every κa
    outside = [v for v in w if v not in inside]
    speeds = sp.Matrix([[sp.diff(a, v) for v in outside] for _, a in scaled])
    whole = speeds.row_join(sp.Matrix([a for _, a in scaled]))
    if not outside or speeds.rank() < whole.rank() or not _rigid(pi, x, w, False):
        return None
    return RouterCoordinates((), still, sp.Integer(0), False, w)


def _rigid(
    pi: Any, x: Sequence[Any], w: tuple[Any, ...], scaled: bool, moving: Sequence[Any] = ()
) -> bool:
    """Whether two atoms' scores have no gauge but shifts of β0 and of the ``moving`` ω.

    In ω, and in κ if ``scaled``: it is then estimated.
    """
    slopes = [sp.diff(pi, v) for v in w]
    names = [sp.Symbol(f"{v.name} ") for v in w]
    other = dict(zip(w, names, strict=True))
    functions = [
        *slopes,
        *(s.xreplace(other) for s, v in zip(slopes, w, strict=True) if v not in moving),
        sp.Integer(1),
    ]
    if scaled:
        functions.append(pi - pi.xreplace(other))
    return _independent(functions, x, (*w, *names))


def _independent(functions: Sequence[Any], x: Sequence[Any], w: Sequence[Any]) -> bool:
    """Whether functions of x are independent at generic parameters, of every sign that is tried."""
    tape = Tape(functions, [*x, *w])
    tried = []
    with precision(BITS):
        for signs in _signs(len(w)):
            at = [s * n for s, n in zip(signs, _generic(len(w)), strict=True)]
            rows = [tape.evaluate([ball(v) for v in (*point, *at)]) for point in _points(len(x))]
            if all(v.is_finite() for row in rows for v in row):
                tried.append(_spread(rows) > ball(INDEPENDENT))
    return bool(tried) and all(tried)


def _spread(rows: list[list[arb]]) -> arb:
    """The Gram determinant of the columns, each of length 1."""
    columns = []
    for column in zip(*rows, strict=True):
        size = sum((v * v for v in column), arb(0)).sqrt()
        if not size > 0:
            return arb(0)
        columns.append([v / size for v in column])
    gram = [
        [sum((a * b for a, b in zip(c, d, strict=True)), arb(0)) for d in columns] for c in columns
    ]
    return arb_mat(gram).det()


def _signs(count: int) -> Iterator[tuple[int, ...]]:
    """Signs of the ω: of both atoms alike, and some others."""
    yield from list(product((1, -1), repeat=count))[:: max(1, 2**count // 16)]
    yield (-1,) * count


def _generic(count: int) -> list[Fraction]:
    """Sizes between 1/5 and 16/5, which those of the two atoms have in no common proportion."""
    root = Fraction(75487766, 10**8)
    return [Fraction(1, 5) + 3 * ((n + 1) * root % 1) for n in range(count)]


def _points(dim: int) -> list[list[Fraction]]:
    """Points in [−4, 4]^d, by the fractional parts of multiples of roots."""
    roots = [Fraction(41421356 + 31783721 * i, 10**8) for i in range(dim)]
    return [[8 * (n * r % 1) - 4 for r in roots] for n in range(1, POINTS + 1)]
