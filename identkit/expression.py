"""User text -> SymPy, through a whitelist: nothing a user types is ever evaluated as code.

The grammar is Python's expression grammar cut down to numbers, names, ``+ - * / **`` and calls
of the functions in :data:`FUNCTIONS`. Piecewise-linear functions are written with ``Step``,
whose derivative is 0 almost everywhere (theory section 2: no Dirac terms).
"""

from __future__ import annotations

import ast
import difflib
import keyword
import re
import time
import warnings
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

import sympy as sp
from flint import arb

from identkit.balls import Step, enclosure, sign
from identkit.bounded import GRACE, bounded
from identkit.deadline import Deadline
from identkit.errors import ExpressionError, OutOfTime
from identkit.functions import FUNCTIONS, SPELLINGS, step
from identkit.heads import HEADS

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
"""Largest numerator or denominator of any rational; others lie between 2**-512 and 2**512."""
MAX_CONSTANT = 60
"""Nodes of a constant that is no single number: SymPy works out its digits again and again."""
MAX_PLAIN_CALLS = 5
"""Deeper nested functions are first read in a child process: whether a part is real, SymPy finds
out in a time that may double with each level."""
READING_SECONDS = 0.5
MAX_RADICAL_BITS = 2_048
"""Largest n**p in n**(p/q): SymPy factors it."""
MAX_EXPANDED = 10_000
"""Nodes of the tree that is left once relu, Max, … are written out: relu(z) holds z twice."""

INPUT = re.compile(r"x(0|[1-9][0-9]*|)\Z")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_CHARACTERS = re.compile(r"[A-Za-z0-9_.,+\-*/^%()\[\]{} \t]")


_CALLED = re.compile(r"(?<![A-Za-z0-9_.])[A-Za-z][A-Za-z0-9_]*(?=[ \t]*\()")

CONSTANTS = {"pi": sp.pi}

_HEADS = frozenset((*(h.head for h in HEADS), Step))
"""What the constructors leave after SymPy's own rewriting; all that other modules handle."""


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


def spelled(text: str) -> str:
    """``text`` with the functions it calls spelt as the grammar has them; of the same length.

    A name is called where a bracket follows it; elsewhere it is a parameter, whose case counts.

    >>> spelled("ReLU(A*x) + max(relu_1, ReLU)")
    'relu(A*x) + Max(relu_1, ReLU)'
    """
    return _CALLED.sub(lambda m: SPELLINGS.get(m[0].lower(), m[0]), text)


def parse(text: str, extra: frozenset[str] = frozenset(), generous: bool = False) -> sp.Expr:
    """Parse a user's expression into SymPy.

    Every name that is neither a function nor ``pi`` becomes a real symbol; functions are known in
    any case (see :func:`spelled`). ``extra`` allows
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
    text = spelled(text)
    if generous:
        return _read(text, extra, 100)
    return _read_once(text, extra)


def parse_all(texts: Sequence[str]) -> tuple[sp.Expr, ...]:
    """Parse several expressions, which together keep the limits of one.

    Raises :class:`~identkit.errors.ExpressionError`.
    """
    length = sum(map(len, texts))
    if length > MAX_LENGTH:
        raise ExpressionError(
            f"expression: {length} characters, at most {MAX_LENGTH} are read; shorten it."
        )
    began, size, found = time.monotonic(), 0, []
    for text in texts:
        found.append(parse(text))
        size += _written_out(found[-1], {})
        if size > MAX_EXPANDED:
            raise ExpressionError(
                f"expression: written out its components have more than {MAX_EXPANDED} operations; "
                "shorten them, or nest fewer functions."
            )
        if time.monotonic() - began > 2 * READING_SECONDS:
            raise ExpressionError(
                f"expression: it is not read within {2 * READING_SECONDS:g} s; nest fewer "
                "functions."
            )
    return tuple(found)


def _written_out(node: Any, known: dict[Any, int]) -> int:
    """The nodes of a tree; what it shares counts as often as it is written."""
    if node not in known:
        known[node] = 1 + sum(_written_out(part, known) for part in node.args)
    return known[node]


@lru_cache(maxsize=256)
def _read_once(text: str, extra: frozenset[str]) -> sp.Expr:
    return _read(text, extra, 1)


def _read(text: str, extra: frozenset[str], scale: int) -> sp.Expr:
    """The expression, of ``scale`` times the limits on length and operations."""
    if len(text) > MAX_LENGTH * scale:
        raise ExpressionError(
            f"expression: {len(text)} characters, at most {MAX_LENGTH} are read; shorten it."
        )
    _check_characters(text, extra)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # 1in: whatever it may mean one day, it is refused
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ExpressionError(_syntax_message(text, error)) from None

    def read() -> sp.Expr:
        return _Reader(text.strip(), extra, scale).read(tree)

    if _calls_deep(tree) > MAX_PLAIN_CALLS:
        try:
            bounded(lambda _: read() and None, Deadline(READING_SECONDS - GRACE))
        except OutOfTime:
            raise ExpressionError(
                f"expression: it is not read within {READING_SECONDS:g} s; nest fewer functions."
            ) from None
    return read()


def _calls_deep(tree: ast.expr) -> int:
    """How deep calls, powers and quotients are nested."""
    deepest, stack = 0, [(tree, 0)]
    while stack:
        node, depth = stack.pop()
        quotient = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div | ast.Pow)
        depth += quotient or isinstance(node, ast.Call)
        deepest = max(deepest, depth)
        stack += [(child, depth) for child in ast.iter_child_nodes(node)]
    return deepest


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

    def __init__(self, text: str, extra: frozenset[str], scale: int) -> None:
        self.text, self.extra = text, extra
        self.max_nodes, self.max_expanded = MAX_NODES * scale, MAX_EXPANDED * scale
        self.max_constant = MAX_CONSTANT * scale
        self.nodes = 0
        self._bytes = text.encode()
        # admitted nodes and the sizes of their trees: shared parts are looked at once
        self._sizes: dict[Any, int] = {}

    def read(self, node: ast.expr, depth: int = 0) -> Any:
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > self.max_nodes:
            limit = f"depth {MAX_DEPTH}" if depth > MAX_DEPTH else f"{self.max_nodes} operations"
            raise ExpressionError(f"expression: larger than {limit}; simplify it.")
        value = self._convert(node, depth + 1)
        if self._is_foreign(value):
            value = real_forms(value)
        self._admit(value, node)
        return value

    def _is_foreign(self, value: Any) -> bool:
        """Whether SymPy has brought in a function to rewrite."""
        if value in self._sizes:
            return False
        return isinstance(value, sp.Abs | sp.sign | sp.cot) or any(
            map(self._is_foreign, value.args)
        )

    def _admit(self, value: Any, source: ast.expr) -> None:
        """Refuse what is undefined or outgrows the limits, before SymPy works on it."""
        if value in self._sizes:
            return
        for part in value.args:
            self._admit(part, source)
        if value in (sp.zoo, sp.nan, sp.oo, -sp.oo, sp.I):
            raise self._undefined(source)
        if _bits(value) > MAX_NUMBER_BITS:
            raise ExpressionError(
                f"expression: the constant '{self._source(source)}' has more than "
                f"{MAX_NUMBER_BITS} bits; rescale the expert."
            )
        if value.is_Pow:
            self._check_radicals(value, sp.Integer(1), source)
        if isinstance(value, sp.Function) and type(value) not in _HEADS:
            raise ExpressionError(
                f"expression: it simplifies to {type(value).__name__}(...), which is not "
                "supported; rewrite that part."
            )
        self._sizes[value] = 1 + sum(self._sizes[part] for part in value.args)
        self._check_size(self._sizes[value])
        if value.args and value.is_number:
            if self._sizes[value] > self.max_constant:
                raise ExpressionError(
                    f"expression: the constant '{self._source(source)}' has more than "
                    f"{self.max_constant} operations; write its value."
                )
            self._check_constant(value, source)

    def _check_size(self, size: int) -> None:
        if size > self.max_expanded:
            raise ExpressionError(
                f"expression: written out it has more than {self.max_expanded} operations (relu, "
                "abs, gelu, silu, Max and Min repeat their arguments, and the ones inside these "
                "again); nest fewer of them."
            )

    def _check_radicals(self, base: Any, exponent: Any, source: ast.expr) -> None:
        """Refuse fractional powers of long rationals in base**exponent."""
        for factor in sp.Mul.make_args(base):
            number, power = factor.as_base_exp()
            power *= exponent
            if (
                power.is_Rational
                and power.q > 1
                and _bits(number) * abs(power.p) > (MAX_RADICAL_BITS)
            ):
                raise ExpressionError(
                    f"expression: '{self._source(source)}' has a fractional power of a constant "
                    "with too many digits; round that constant."
                )

    def _check_constant(self, value: Any, source: ast.expr) -> None:
        """Constants whose digits SymPy could not find in any time never reach it."""
        size = enclosure(value)
        if size is None:
            raise self._undefined(source)
        smallest, largest = arb(2) ** -MAX_NUMBER_BITS, arb(2) ** MAX_NUMBER_BITS
        if not abs(size) < largest or (size != 0 and abs(size) < smallest):
            raise ExpressionError(
                f"expression: the constant '{self._source(source)}' is out of range; rescale."
            )

    def _undefined(self, node: ast.expr) -> ExpressionError:
        return ExpressionError(
            f"expression: '{self._source(node)}' is infinite, undefined or not real; "
            "remove that part."
        )

    def _written(self, node: ast.expr) -> str:
        """The text of a node; ast.get_source_segment splits the whole text each time."""
        return self._bytes[node.col_offset : node.end_col_offset].decode()

    def _source(self, node: ast.expr) -> str:
        return _short(self._written(node))

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
        source = self._written(node).replace("_", "")
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
        if isinstance(node.op, ast.Add | ast.Sub):
            return sp.Add(*self._summands(node, depth))
        left, right = self.read(node.left, depth), self.read(node.right, depth)
        if isinstance(node.op, ast.Mult):
            return left * right
        if isinstance(node.op, ast.Div):
            if right.is_number and sign(right) is None:
                raise ExpressionError(
                    f"expression: '{self._source(node)}' divides by zero, or by what cannot be "
                    "told from it; remove that part."
                )
            if right == 0:
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
        if left.is_number and not right.is_Integer and sign(left) == -1:
            raise ExpressionError(
                f"expression: '{self._source(node)}' is a fractional power of a negative number; "
                "it is not real."
            )
        self._check_radicals(left, right, node)
        value = left**right
        if value.is_Pow and value.exp.is_number and abs(value.exp) > MAX_EXPONENT:
            # SymPy merges nested powers, so the limit is checked on the result as well
            raise ExpressionError(
                f"expression: '{self._source(node)}' has a power above {MAX_EXPONENT}; lower it."
            )
        return value

    def _summands(self, node: ast.expr, depth: int) -> list[Any]:
        """The terms of a sum: Python nests a + b + c, but a long sum is not a deep one."""
        signed: list[tuple[ast.expr, bool]] = []
        while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
            signed.append((node.right, isinstance(node.op, ast.Sub)))
            node = node.left
        terms = [self.read(node, depth)]
        for part, negative in reversed(signed):
            value = self.read(part, depth)
            terms.append(-value if negative else value)
        return terms

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
        several = FUNCTIONS[name].several
        if node.keywords or not node.args or (len(node.args) > 1 and not several):
            raise ExpressionError(
                f"expression: {name} takes {'one or more arguments' if several else 'one argument'}"
                f", not as in '{self._source(node)}'."
            )
        if any(isinstance(a, ast.Starred) for a in node.args):
            raise ExpressionError(f"expression: '*' has no place in '{self._source(node)}'.")
        arguments = [self.read(a, depth) for a in node.args]
        sizes = [self._sizes[a] for a in arguments]
        self._check_size(_largest(sizes) if several else FUNCTIONS[name].copies * sizes[0])
        if name == "exp":  # SymPy makes n**(p/q) of exp(p*log(n)/q)
            for term in sp.Add.make_args(arguments[0]):
                coefficient, rest = term.as_coeff_Mul()
                if isinstance(rest, sp.log):
                    self._check_radicals(rest.args[0], coefficient, node)
        return FUNCTIONS[name].build(*arguments)


def _largest(sizes: Sequence[int]) -> int:
    """Nodes of Max written out, from those of its arguments (about)."""
    if len(sizes) == 1:
        return sizes[0]
    middle = (len(sizes) + 1) // 2
    return 2 * _largest(sizes[:middle]) + 3 * _largest(sizes[middle:])


def _bits(value: Any) -> int:
    """Bits in the larger of numerator and denominator of a rational number."""
    if not value.is_Rational:
        return 0
    return max(int(value.p).bit_length(), int(value.q).bit_length())


def real_forms(value: Any) -> Any:
    """Rewrite what SymPy introduces by itself (sqrt(a**2) -> Abs(a), tan(z + pi/2) -> -cot(z))."""
    value = value.replace(sp.Abs, lambda z: z * (2 * step(z) - 1))
    value = value.replace(sp.sign, lambda z: 2 * step(z) - 1)
    return value.replace(sp.cot, lambda z: sp.cos(z) / sp.sin(z))


def put(expression: Any, images: Mapping[Any, Any]) -> Any:
    """``expression`` with some symbols or parts replaced; NaN where SymPy finds it undefined."""
    try:
        value = real_forms(expression.xreplace(dict(images)))
    except (TypeError, ValueError, ZeroDivisionError):
        return sp.nan
    return sp.nan if value.has(sp.zoo, sp.nan, sp.oo, -sp.oo) else value
