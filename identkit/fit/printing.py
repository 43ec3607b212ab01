"""Expressions as Python functions of a library: NumPy, torch or Numba."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sympy as sp
from sympy.printing.pycode import PythonCodePrinter


class _Quotients(PythonCodePrinter):
    """Negative whole powers as quotients.

    For x**(-2) at 0 Numba raises ZeroDivisionError whatever its error model, and what is raised
    in the loops over samples is printed and lost; 1.0/x**2 is infinite there, as it should be.
    """

    def _print_Pow(self, expr: Any, rational: bool = False) -> str:  # noqa: N802  # SymPy's name
        if expr.exp.is_Integer and expr.exp < 0:
            return f"(1.0/({self._print(expr.base**-expr.exp)}))"
        return super()._print_Pow(expr, rational)


def function_of(
    arguments: Sequence[Any], expressions: Any, functions: Mapping[str, Any]
) -> Callable[..., Any]:
    """A function of ``arguments`` that returns ``expressions``, one or a tuple.

    ``functions`` maps the grammar's names to those of the library. Common parts are worked
    out once.

    >>> x = sp.Symbol("x", real=True)
    >>> function_of((x,), (x**-2, 1 / x), {})(4.0)
    (0.0625, 0.25)
    """
    printer = _Quotients(
        {
            "fully_qualified_modules": False,
            "inline": True,
            "allow_unknown_functions": True,
            "user_functions": {name: name for name in functions},
        }
    )
    return sp.lambdify(
        tuple(arguments), expressions, modules=[dict(functions)], printer=printer, cse=True
    )
