"""The dense-to-sparse gate: atoms weigh exp(π(x, ω)/τ + β0), divided by the sum over atoms.

π is the router: ωᵀx (``linear``), φ(ωᵀx) or φ(ωᵀx + ω0) for a function φ of the grammar
(``tanh``, ``tanh-bias``), or any expression in the inputs and parameters of its own. The
temperature τ, here κ = 1/τ, belongs to no atom, and what is decided is what is left with τ held
fixed. For a router that is homogeneous of degree p that is no loss: (ω, τ) → (cω, c^p τ) is a
gauge. Otherwise an atom that is fitted by one atom pins it, if π is no combination of 1 and ∂π/∂ω
there and scores of different atoms, π itself included, are separate.

Source: arXiv 2401.13875, 2503.03213; theory section 9; proofs_check/test_routers.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from identkit.errors import ExpressionError, InputError
from identkit.experts import INPUT, names_in_order
from identkit.expression import Step, free_names, is_affine, parse, spelled, symbol
from identkit.functions import FUNCTIONS, SPELLINGS
from identkit.gates.gate import Gate
from identkit.gates.gauge import Gauge, Values, common_offset
from identkit.gates.normal import Coordinates, Normal
from identkit.gates.regime import Caveat, WeightRule
from identkit.gates.routed import PIECES, divided, routed
from identkit.gates.router import Router, each, inputs_of, product
from identkit.gates.router_normal import RouterCoordinates, absorbed, coordinates
from identkit.layout import OFFSET, Block
from identkit.likelihoods import LEAST_SQUARES, Likelihood, resolve
from identkit.registry import folded

NAME = "dense-to-sparse"
MOST_INPUTS = 64
"""That a router is looked for in."""
BEGINS = NAME + r"(?= |$)"
LINEAR, BIAS = "linear", "-bias"
ROUTER = Block("router", "ω", "r", "slope", None)
TEMPERATURE = Block("temperature", "τ", "", "scale", "1", per_atom=False)
HELD = Caveat(
    "the temperature is held fixed, which fixes a gauge or else is a hypothesis",
    lambda situation: True,
)


def gate(text: str = LINEAR, likelihood: Likelihood | str | None = None) -> Gate:
    """The gate with this router. Raises InputError for one that cannot be read.

    >>> gate("tanh(w*x)").name
    'dense-to-sparse tanh(w*x)'
    """
    text = _spelled(" ".join(text.split()) or LINEAR)
    wanted = resolve(LEAST_SQUARES if likelihood is None else likelihood).name
    known = {g.likelihood: g for g in _gates(text)}
    found = known.get(wanted)  # nothing is registered under the categorical likelihood
    return replace(known[LEAST_SQUARES], likelihood=wanted) if found is None else found


def _spelled(text: str) -> str:
    """The router with the functions it names, or calls, spelt as the grammar has them."""
    small = text.lower()
    base = small.removesuffix(BIAS)
    if base in SPELLINGS:
        return SPELLINGS[base] + small.removeprefix(base)
    return folded(spelled(text), {LINEAR})


@cache
def _gates(text: str) -> tuple[Gate, ...]:
    read = _router(text)
    return routed(
        f"{NAME} {text}",
        f"exp(κπ + β0), π = {read.formula}, κ = 1/τ of all atoms, divided by the sum over atoms",
        read.router,
        (ROUTER, OFFSET, TEMPERATURE),
        None,
        "arXiv 2401.13875, 2503.03213",
        (common_offset if read.linear is None else _shift(read.linear),),
        separate=read.linear is None,
        pieces=PIECES if read.kinked else None,
        caveats=(HELD,),
        written=lambda x, v: (
            v["beta0"][0] + read.router.of(x, v["router"], [1 / v["temperature"][0]])
        ),
        claims=("temperature-scale",),
        loss=divided(_coordinates(read.router)),
        holds=lambda dim: (TEMPERATURE,) if absorbed(read.router, inputs_of(dim)) else (),
    )


@dataclass(frozen=True)
class _Read:
    """A router, π as printed, and whether it has kinks in x.

    ``linear`` maps d to the number of ω in which the score is linear; None where it is not.
    """

    router: Router
    formula: str
    kinked: bool
    linear: Callable[[int], int] | None = None


def _coordinates(router: Router) -> Coordinates:
    """Normal coordinates, found for a number of inputs when they are first asked for."""

    def of(values: Values) -> Normal:
        own = _in_coordinates(router, values["router"].shape[-1])
        return own.normal(values["beta0"], values["router"], values["temperature"])

    def back(values: Values, shift: Any, other: Values) -> Values:
        own = _in_coordinates(router, values["router"].shape[-1])
        found = own.back(values["router"], values["temperature"], shift, other["temperature"])
        if found is None:
            raise InputError(
                f"router {router.text}: how a measure is written in another's gauge is not known; "
                "use voronoi, which needs no such measure."
            )
        return dict(zip(("router", "temperature"), found, strict=True))

    return Coordinates("normal coordinates of ω and τ", of, back)


def _in_coordinates(router: Router, count: int) -> RouterCoordinates:
    """For the fewest inputs in which the router has so many ω; others are not in it."""
    for dim in range(1, MOST_INPUTS + 1):
        try:
            fits = len(router.parameters(inputs_of(dim))) == count
        except InputError:  # the router has more inputs
            continue
        if fits:
            return coordinates(router, inputs_of(dim))
    raise InputError(f"router {router.text}: it does not have {count} parameters of an atom.")


def _shift(count: Callable[[int], int]) -> Callable[[WeightRule], Gauge]:
    """One shift of all (ω, β0), for a score that is linear in ω."""

    def made(rule: WeightRule) -> Gauge:
        return Gauge(
            name="common shift",
            text="a common shift of all (ω, β0) leaves f unchanged",
            rule=rule,
            moves=(ROUTER, OFFSET),
            dimension=lambda dim, atoms: 1 + count(dim),
            move=_shifted,
            remedy="pin one atom",
            pins=True,
        )

    return made


def _shifted(values: Values, amount: Any) -> Values:
    return {
        "router": values["router"] + amount[..., None, :-1],
        "beta0": values["beta0"] + amount[..., -1:],
    }


def _router(text: str) -> _Read:
    if text == LINEAR:
        found = _over_temperature(text, each("ω"), lambda x, w: product(w, x))
        return _Read(found, "ωᵀx", False, lambda dim: dim)
    base = text.removesuffix(BIAS)
    row = FUNCTIONS.get(base)
    if row is None:
        return _written(text)
    kinked = row.build(symbol("s")).has(Step)
    if text == base:
        found = _over_temperature(text, each("ω"), lambda x, w: row.build(product(w, x)))
        return _Read(found, f"{base}(ωᵀx)", kinked)

    def biased(x: Sequence[Any], w: Sequence[Any]) -> Any:
        return row.build(product(w[:-1], x) + w[-1])

    return _Read(_over_temperature(text, _with_bias, biased), f"{base}(ωᵀx + ω0)", kinked)


def _with_bias(inputs: Sequence[str]) -> tuple[str, ...]:
    return (*each("ω")(inputs), "ω_bias")


def _over_temperature(text: str, named: Any, of: Any) -> Router:
    # κπ is analytic for every κ, so that a witness at one κ is one for almost every
    return Router(text, named, lambda x, w, shared: of(x, w) * shared[0], ("κ",))


def _written(text: str) -> _Read:
    """A router as an expression in the inputs and parameters of its own."""
    try:
        expression = parse(text)
    except ExpressionError as error:
        reason = str(error).removeprefix("expression: ").replace("c*tanh(a*x + b)", "tanh(w*x)")
        raise ExpressionError(f"--router: {reason}") from None
    names = free_names(expression)
    inputs = {n for n in names if INPUT.match(n)}
    own = tuple(n for n in names_in_order(text, names) if n not in inputs)
    if not inputs or not own:
        missing = "no input (x, or x0, x1, …)" if not inputs else "no parameter of its own"
        raise InputError(
            f"--router: '{text}' has {missing}; write one such as tanh(w*x), or linear."
        )
    # a letter that no expression can have: routers and experts may use the same names
    greek = tuple(f"ω_{n}" for n in own)

    def named(given: Sequence[str]) -> tuple[str, ...]:
        lost = sorted(inputs - set(given))
        if lost:
            raise InputError(
                f"--router: '{text}' is in {', '.join(sorted(inputs))}, the expert in "
                f"{', '.join(given)}; write both in the same inputs."
            )
        return greek

    def of(x: Sequence[Any], w: Sequence[Any]) -> Any:
        return expression.xreplace({symbol(n): s for n, s in zip(own, w, strict=True)})

    linear = is_affine(expression, {symbol(n) for n in own})
    count = (lambda dim: len(own)) if linear else None
    return _Read(_over_temperature(text, named, of), text, expression.has(Step), count)
