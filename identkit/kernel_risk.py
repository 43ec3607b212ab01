"""Whether the kernels of distinct generic atoms are algebraically independent.

Only where they are is the absence of fixed combinations (:mod:`identkit.every_k`) independence for
every number of atoms; any doubt is a reason not to claim it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from flint import fmpq, fmpq_mat, fmpq_mpoly, fmpz

from identkit.algebra import Element, Kernel, TooLarge
from identkit.every_k import Movement
from identkit.normal_form import Field, Rebase


def dependence_risk(movement: Movement) -> str | None:
    """None if the kernels of distinct generic atoms are proved independent, else why not."""
    field = movement.field
    try:
        return _kernel_risk(field) or _structural_risk(field, movement.structural)
    except (TooLarge, Rebase):
        return "the kernels are too large to compare"


def _structural_risk(field: Field, polys: Sequence[fmpq_mpoly]) -> str | None:
    """Factors, common divisors and movement are those of polynomials over Q(π): with a root or a
    function of the parameters in them, an identity between constants or in θ could go unseen."""
    logs = [_argument(k) for k in field.kernels if k.in_x and k.kind in ("log", "atan")]
    for poly in [*polys, *(p for e in logs for p in (e.num, e.den))]:
        for kernel in filter(None, (field.kernel_at(i) for i in field.occurring(poly))):
            if not (kernel.kind == "pi" or (kernel.kind in ("exp", "tan") and kernel.in_x)):
                return f"{kernel.expression} occurs in a pole or a logarithm"
    return None


def _kernel_risk(field: Field) -> str | None:
    transcendental: set[str] = set()
    for kernel in field.kernels:
        if kernel.in_x or kernel.in_parameters:
            continue
        family = _constant_family(field, kernel)
        if family is None or len(transcendental | {family} - {"algebraic"}) > 1:
            return f"the constant {kernel.expression} is not known to be independent of others"
        transcendental |= {family} - {"algebraic"}
    in_x = [k for k in field.kernels if k.in_x]
    for kernel in in_x:
        if kernel.kind == "root":
            return f"the root {kernel.expression} is not covered by the independence theorem"
        if kernel.kind != "log" and not _polynomial_in_x(field, _argument(kernel)):
            return f"the argument of {kernel.expression} is not a polynomial in x"
    moving = [k for k in in_x if k.in_parameters]
    still = [k for k in in_x if not k.in_parameters]
    for kind in ("exp", "tan"):
        across = [_mixed(field, _argument(k)) for k in moving if k.kind == kind]
        within = [_slopes(field, _argument(k)) for k in still if k.kind == kind]
        if not (_independent_over_q(field, across) and _independent_over_q(field, within)):
            return f"the {kind} terms are related for every parameter"
    for kernel in moving:
        # exp(-p²) is what erf(p) brings; for the others the argument itself has to move
        moved = field.generator(kernel.index) if kernel.kind == "log" else _argument(kernel)
        moved = moved * moved if kernel.kind == "erf" else moved
        if all(e.is_zero for e in _mixed(field, moved)):
            return f"{kernel.expression} does not move with the parameters"
    # Liouville: ∫exp(-p²)p' is not elementary, and distinct exp(-p²) cannot combine either
    squares = [_argument(k) * _argument(k) for k in in_x if k.kind == "erf"]
    for i, square in enumerate(squares):
        for other in squares[:i]:
            if all(e.is_zero for e in _slopes(field, square - other)):
                return "two erf terms have the same exp(-p²)"
    return _logarithm_risk(
        field, [k for k in in_x if k.kind == "log"], [k for k in in_x if k.kind == "atan"]
    )


def _argument(kernel: Kernel) -> Element:
    assert kernel.argument is not None
    return kernel.argument


def _constant_family(field: Field, kernel: Kernel) -> str | None:
    """``algebraic`` for the root of a prime; otherwise the one transcendental it is algebraic in.

    π is transcendental, and so are exp(q) and tan(q) for a rational q ≠ 0 (Lindemann); that two
    of them are independent is not known. None for anything else.
    """
    u = kernel.argument
    if kernel.kind == "pi":
        return "pi"
    if u is None or not u.den.is_constant():
        return None
    if u.num.is_constant():
        if kernel.kind == "root":
            prime = fmpz(u.num.leading_coefficient().p).is_prime()
            return "algebraic" if prime else None
        return str(kernel.expression) if kernel.kind in ("exp", "tan") else None
    inner = [field.kernel_at(i) for i in u.generators()]
    if kernel.kind == "root" and len(u.num) == 1 and u.num.total_degree() == 1:
        return "pi" if inner[0] is not None and inner[0].kind == "pi" else None
    return None


def _logarithm_risk(field: Field, logs: list[Kernel], atans: list[Kernel]) -> str | None:
    """Their derivatives have simple poles, which no derivative of a field element has."""
    primes: list[fmpq_mpoly] = []
    for kernel in logs:
        inner = (field.kernel_at(i) for i in _argument(kernel).generators())
        if any(k is not None and k.in_x and k.kind != "exp" for k in inner):
            return f"{kernel.expression} contains more than polynomials and exponentials"
        for name in field.inputs:
            rate = field.derivative(_argument(kernel), name) / _argument(kernel)
            if not rate.is_zero and not field.depends(field.occurring(rate.den))[0]:
                return f"{kernel.expression} is an exponential in disguise"
        primes.append(_argument(kernel).num)
    primes += [(field.one + _argument(k) * _argument(k)).num for k in atans]
    for i, p in enumerate(primes):
        if any(not p.gcd(q).is_constant() for q in primes[:i]):
            return "two logarithmic terms share a singularity"
    return None


def _polynomial_in_x(field: Field, element: Element) -> bool:
    """A polynomial in x whose coefficients are made of parameters and simple kernels of them."""
    for index in element.generators():
        kernel = field.kernel_at(index)
        if kernel is None:
            continue
        simple = kernel.kind in ("exp", "log") and not any(
            field.kernel_at(i) for i in _argument(kernel).generators()
        )
        if kernel.in_x or (kernel.in_parameters and not simple):
            return False
    return not field.depends(field.occurring(element.den))[0]


def _slopes(field: Field, element: Element) -> list[Element]:
    """All ∂/∂x_s: zero exactly for what is free of x."""
    return [field.derivative(element, x) for x in field.inputs]


def _mixed(field: Field, element: Element) -> list[Element]:
    """All ∂²/∂x_s∂θ_j: zero exactly for c(θ) + p(x), the part that does not move."""
    return [
        field.derivative(field.derivative(element, x), p)
        for x in field.inputs
        for p in field.parameters
    ]


def _independent_over_q(field: Field, vectors: list[list[Element]]) -> bool:
    """Linear independence over the rationals of vectors of elements."""
    if not vectors:
        return True
    rows: dict[tuple, list[fmpq]] = {}
    for position in range(len(vectors[0])):
        entries = [v[position] for v in vectors]
        common = field.unit_poly
        for e in entries:
            common = field.times(common, e.den / common.gcd(e.den))
        for column, e in enumerate(entries):
            for exponents, c in field.times(e.num, common / e.den).to_dict().items():
                row = rows.setdefault((position, exponents), [fmpq(0)] * len(vectors))
                row[column] = fmpq(c)
    if not rows:
        return False
    matrix = fmpq_mat(len(rows), len(vectors), list(chain.from_iterable(rows.values())))
    return matrix.rank() == len(vectors)
