"""User text -> SymPy, through a whitelist: nothing a user types is ever evaluated as code.

The grammar is Python's expression grammar cut down to numbers, names, ``+ - * / **`` and calls
of the functions in :data:`FUNCTIONS`. Piecewise-linear functions are written with :class:`Step`,
whose derivative is 0 almost everywhere (theory section 2: no Dirac terms).
"""

from __future__ import annotations

import ast
import difflib
import keyword
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import sympy as sp

from identkit.errors import ExpressionError

MAX_LENGTH = 2_000
"""Characters; far above any expert in print, small enough that parsing is instant."""
MAX_BRACKETS = 40
"""Nested brackets."""
MAX_DEPTH = 150
"""Nested operations; a sum of n terms nests n deep."""
MAX_NODES = 600
"""Numbers, names, operations and calls in one expression."""
MAX_EXPONENT = 100
"""Largest absolute constant exponent: (a*x+b)**100 already has 101 terms in x."""
MAX_NUMBER_BITS = 512
"""Largest numerator or denominator of any constant."""

MAX_MAGNITUDE_BITS = 16_384
"""Constants such as exp(40) lie between 2 to the power of plus and minus this."""

INPUT = re.compile(r"x(0|[1-9][0-9]*|)\Z")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_CHARACTERS = re.compile(r"[A-Za-z0-9_.,+\-*/^%()\[\]{} \t]")


class Step(sp.Function):
    """1 where the argument is positive, 0 where it is negative; derivative 0 almost everywhere."""

    nargs = 1
    is_real = True

    @classmethod
    def eval(cls, arg: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        if arg.is_number and arg.is_extended_real:
            if arg.is_positive:
                return sp.Integer(1)
            if arg.is_nonpositive:
                return sp.Integer(0)
        return None

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return sp.Integer(0)


def step(z: Any) -> Any:
    """Step(z) as an expression (SymPy's annotations call it a class)."""
    return Step(z)


def _gelu(z: sp.Expr) -> sp.Expr:
    return z * (1 + sp.erf(z / sp.sqrt(2))) / 2


def _maximum(*args: Any) -> Any:
    first, *rest = args
    for other in rest:
        first = other + (first - other) * step(first - other)
    return first


def _minimum(*args: Any) -> Any:
    return -_maximum(*(-a for a in args))


FUNCTIONS: dict[str, tuple[Callable[..., sp.Expr], str]] = {
    "exp": (sp.exp, "exponential"),
    "log": (sp.log, "natural logarithm"),
    "sin": (sp.sin, "sine"),
    "cos": (sp.cos, "cosine"),
    "tan": (sp.tan, "tangent"),
    "tanh": (sp.tanh, "hyperbolic tangent"),
    "sinh": (sp.sinh, "hyperbolic sine"),
    "cosh": (sp.cosh, "hyperbolic cosine"),
    "atan": (sp.atan, "arctangent"),
    "erf": (sp.erf, "error function"),
    "sqrt": (sp.sqrt, "square root"),
    "abs": (lambda z: z * (2 * step(z) - 1), "absolute value"),
    "relu": (lambda z: z * step(z), "max(0, z)"),
    "gelu": (_gelu, "z*(1 + erf(z/sqrt(2)))/2"),
    "silu": (lambda z: z / (1 + sp.exp(-z)), "z/(1 + exp(-z))"),
    "sigmoid": (lambda z: 1 / (1 + sp.exp(-z)), "1/(1 + exp(-z))"),
    "softplus": (lambda z: sp.log(1 + sp.exp(z)), "log(1 + exp(z))"),
    "Max": (_maximum, "largest of its arguments"),
    "Min": (_minimum, "smallest of its arguments"),
}
"""Name -> (constructor, meaning). Everything a user expression may call."""

CONSTANTS = {"pi": sp.pi}

_HEADS = frozenset(
    (sp.exp, sp.log, sp.sin, sp.cos, sp.tan, sp.tanh, sp.sinh, sp.cosh, sp.atan, sp.erf, Step)
)
"""What the constructors above leave after SymPy's own rewriting; all that other modules handle."""


def symbol(name: str) -> sp.Symbol:
    """The one kind of symbol used throughout: real, told apart by name."""
    return sp.Symbol(name, real=True)


def is_affine(node: Any, inputs: set[Any]) -> bool:
    """Whether an expression is affine in the inputs (Step counts as the function it is)."""
    if any(s.free_symbols & inputs for s in node.atoms(Step)):
        return False
    return not any(sp.diff(node, x).free_symbols & inputs for x in inputs)


def free_names(expression: sp.Expr) -> set[str]:
    """The names of the symbols in an expression."""
    return {str(s) for s in expression.free_symbols}


def parse(text: str, extra: frozenset[str] = frozenset(), generous: bool = False) -> sp.Expr:
    """Parse a user's expression into SymPy.

    Every name that is neither a function nor ``pi`` becomes a real symbol. ``extra`` allows
    names outside the grammar (the gate's β0, β1 in a certificate's coefficients); ``generous``
    lifts the limits on length and operations a hundredfold for such machine-written text.
    Raises :class:`~identkit.errors.ExpressionError`, naming the culprit, for anything outside
    the grammar.

    >>> parse("c*atan(a*x + b)")
    c*atan(a*x + b)
    >>> parse("__import__('os').system('x')")
    Traceback (most recent call last):
    identkit.errors.ExpressionError: expression: the character "'" is not allowed; ...
    """
    if not isinstance(text, str) or not text.strip():
        raise ExpressionError("expression: it is empty; write one such as 'c*tanh(a*x + b)'.")
    scale = 100 if generous else 1
    if len(text) > MAX_LENGTH * scale:
        raise ExpressionError(
            f"expression: {len(text)} characters, at most {MAX_LENGTH} are read; shorten it."
        )
    _check_characters(text, extra)
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ExpressionError(_syntax_message(text, error)) from None
    return _Reader(text, extra, MAX_NODES * scale).read(tree)


def _check_characters(text: str, extra: frozenset[str]) -> None:
    """Nothing but ASCII names, numbers and operators reaches Python's parser."""
    allowed = set("".join(extra))
    for character in text:
        if not _CHARACTERS.match(character) and character not in allowed:
            raise ExpressionError(
                f"expression: the character {character!a} is not allowed; use letters, "
                "digits, _ and + - * / ** ( ) , . only."
            )
    depth = deepest = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    if deepest > MAX_BRACKETS:
        raise ExpressionError(
            f"expression: brackets nested {deepest} deep, at most {MAX_BRACKETS}; flatten it."
        )


def _syntax_message(text: str, error: BaseException) -> str:
    word = next((w for w in re.findall(r"[A-Za-z_]+", text) if keyword.iskeyword(w)), None)
    if word:
        return f"expression: '{word}' is a reserved word; rename that symbol."
    offset = getattr(error, "offset", None)
    where = f" near character {offset}" if offset else ""
    return (
        f"expression: cannot read '{_short(text)}'{where}; "
        "use numbers, names, + - * / ** and function calls, as in 'c*tanh(a*x + b)'."
    )


def _short(text: str, width: int = 60) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


class _Reader:
    """Walks Python's syntax tree and rebuilds the allowed part of it in SymPy."""

    def __init__(self, text: str, extra: frozenset[str], max_nodes: int) -> None:
        self.text, self.extra, self.max_nodes = text, extra, max_nodes
        self.nodes = 0

    def read(self, node: ast.expr, depth: int = 0) -> Any:
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > self.max_nodes:
            limit = f"depth {MAX_DEPTH}" if depth > MAX_DEPTH else f"{self.max_nodes} operations"
            raise ExpressionError(f"expression: larger than {limit}; simplify it.")
        value = self._convert(node, depth + 1)
        if value.is_number and not value.is_Rational and not _in_range(value):
            raise ExpressionError(
                f"expression: the constant '{self._source(node)}' is out of range or undefined; "
                "rescale the expert or remove that part."
            )
        undefined = value.has(sp.zoo, sp.nan, sp.oo, -sp.oo, sp.I)
        if undefined or (value.is_number and value.is_real is False):
            raise ExpressionError(
                f"expression: '{self._source(node)}' is infinite, undefined or not real; "
                "remove that part."
            )
        if any(_bits(number) > MAX_NUMBER_BITS for number in (value, *value.args)):
            raise ExpressionError(
                f"expression: the constant '{self._source(node)}' has more than "
                f"{MAX_NUMBER_BITS} bits; rescale the expert."
            )
        return value

    def _source(self, node: ast.expr) -> str:
        return _short(ast.get_source_segment(self.text.strip(), node) or self.text)

    def _convert(self, node: ast.expr, depth: int) -> sp.Expr:
        if isinstance(node, ast.Constant):
            return self._number(node)
        if isinstance(node, ast.Name):
            return self._name(node.id)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            value = self.read(node.operand, depth)
            return -value if isinstance(node.op, ast.USub) else value
        if isinstance(node, ast.BinOp):
            return self._binary(node, depth)
        if isinstance(node, ast.Call):
            return self._call(node, depth)
        raise ExpressionError(
            f"expression: '{self._source(node)}' is not allowed; "
            "use numbers, names, + - * / ** and function calls only."
        )

    def _number(self, node: ast.Constant) -> sp.Expr:
        full = ast.get_source_segment(self.text.strip(), node) or ""
        source = full.replace("_", "")
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            raise ExpressionError(
                f"expression: {_short(source)} is not a real number; write a number."
            )
        try:
            number = Decimal(source)
        except InvalidOperation:
            raise ExpressionError(
                f"expression: '{_short(source)}' is not a decimal number; write it in base ten."
            ) from None
        # the exponent is tested before the exact fraction is built: 1e999999999 must not allocate
        if number and abs(number.adjusted()) > MAX_NUMBER_BITS // 4:
            raise ExpressionError(
                f"expression: the constant {_short(source)} is out of range; rescale."
            )
        return sp.Rational(*number.as_integer_ratio())

    def _name(self, name: str) -> sp.Expr:
        if name in self.extra:
            return symbol(name)
        if not _NAME.match(name) or "__" in name:
            raise ExpressionError(
                f"expression: names must be letters, digits and _ , starting with a letter; "
                f"'{_short(name)}' is not."
            )
        if name in CONSTANTS:
            return CONSTANTS[name]
        if name in FUNCTIONS:
            raise ExpressionError(f"expression: '{name}' is a function; write {name}(...).")
        return symbol(name)

    def _binary(self, node: ast.BinOp, depth: int) -> sp.Expr:
        if isinstance(node.op, ast.BitXor):
            raise ExpressionError("expression: write ** for powers; '^' is not one here.")
        if not isinstance(node.op, ast.Add | ast.Sub | ast.Mult | ast.Div | ast.Pow):
            raise ExpressionError(
                f"expression: the operation in '{self._source(node)}' is not allowed; "
                "use + - * / **."
            )
        left, right = self.read(node.left, depth), self.read(node.right, depth)
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Sub):
            return left - right
        if isinstance(node.op, ast.Mult):
            return left * right
        if isinstance(node.op, ast.Div):
            if right.is_zero:
                raise ExpressionError(
                    f"expression: '{self._source(node)}' divides by zero; remove that part."
                )
            return left / right
        if right.is_number and (
            not right.is_Rational or abs(right) > MAX_EXPONENT or right.q > MAX_EXPONENT
        ):
            raise ExpressionError(
                f"expression: the exponent in '{self._source(node)}' must be a fraction of "
                f"absolute value at most {MAX_EXPONENT}."
            )
        if left.is_number and left.is_negative and not right.is_Integer:
            raise ExpressionError(
                f"expression: '{self._source(node)}' is a fractional power of a negative number; "
                "it is not real."
            )
        value = left**right
        if value.is_Pow and value.exp.is_number and abs(value.exp) > MAX_EXPONENT:
            # SymPy merges nested powers, so the limit is checked on the result as well
            raise ExpressionError(
                f"expression: '{self._source(node)}' has a power above {MAX_EXPONENT}; lower it."
            )
        return _checked(value)

    def _call(self, node: ast.Call, depth: int) -> sp.Expr:
        if not isinstance(node.func, ast.Name):
            self.read(node.func, depth)
            raise ExpressionError(f"expression: '{self._source(node.func)}' is not a function.")
        name = node.func.id
        if name not in FUNCTIONS:
            if not _NAME.match(name) or "__" in name:
                self._name(name)
            near = difflib.get_close_matches(name, FUNCTIONS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(FUNCTIONS)}."
            raise ExpressionError(f"expression: unknown function '{_short(name)}'; {hint}")
        several = name in ("Max", "Min")
        if node.keywords or not node.args or (len(node.args) > 1 and not several):
            raise ExpressionError(
                f"expression: {name} takes {'one or more arguments' if several else 'one argument'}"
                f", not as in '{self._source(node)}'."
            )
        if any(isinstance(a, ast.Starred) for a in node.args):
            raise ExpressionError(f"expression: '*' has no place in '{self._source(node)}'.")
        return _checked(FUNCTIONS[name][0](*(self.read(a, depth) for a in node.args)))


def _bits(value: Any) -> int:
    """Bits in the larger of numerator and denominator of a rational number."""
    if not value.is_Rational:
        return 0
    return max(int(value.p).bit_length(), int(value.q).bit_length())


def _in_range(value: Any) -> bool:
    """Whether a ball says how large a number is: SymPy would write all its digits."""
    from identkit.balls import Tape, precision

    if value.has(sp.zoo, sp.nan, sp.oo, -sp.oo, sp.I):
        return True  # refused for what it is
    tape = Tape([value], ())
    for bits in (64, 256, 2048):
        with precision(bits):
            (ball,) = tape.evaluate([])
            if ball.is_finite() and (not ball.contains(0) or bits == 2048):
                return abs(ball.mid().man_exp()[1]) < MAX_MAGNITUDE_BITS
    return False


def real_forms(value: Any) -> Any:
    """Rewrite what SymPy introduces by itself (sqrt(a**2) -> Abs(a), tan(z + pi/2) -> -cot(z))."""
    if value.has(sp.Abs, sp.sign):
        value = value.replace(sp.Abs, lambda z: z * (2 * step(z) - 1))
        value = value.replace(sp.sign, lambda z: 2 * step(z) - 1)
    if value.has(sp.cot):
        value = value.replace(sp.cot, lambda z: sp.cos(z) / sp.sin(z))
    return value


def put(expression: Any, images: Mapping[Any, Any]) -> Any:
    """``expression`` with some symbols or parts replaced; NaN where SymPy finds it undefined."""
    try:
        value = real_forms(expression.xreplace(dict(images)))
    except (TypeError, ValueError, ZeroDivisionError):
        return sp.nan
    return sp.nan if value.has(sp.zoo, sp.nan, sp.oo, -sp.oo) else value


def _checked(value: Any) -> Any:
    """Its real form. Raises ExpressionError for functions outside the grammar."""
    value = real_forms(value)
    for head in value.atoms(sp.Function):
        if type(head) not in _HEADS:
            raise ExpressionError(
                f"expression: it simplifies to {type(head).__name__}(...), which is not supported; "
                "rewrite that part."
            )
    return value
