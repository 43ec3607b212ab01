"""SymPy's derivatives against torch's automatic differentiation (needs the extra ``torch``)."""

from __future__ import annotations

import math

import pytest

from identkit.conditions import condition
from identkit.derivatives import Derivatives
from identkit.experts import ACTIVATIONS, SHAPES, builtin, symbols
from identkit.gates import GATES

torch = pytest.importorskip("torch")

OPERATIONS = {
    "exp": torch.exp,
    "log": torch.log,
    "sin": torch.sin,
    "cos": torch.cos,
    "erf": torch.erf,
    "tanh": torch.tanh,
    "sqrt": lambda z: z**0.5,
    "pi": math.pi,
    "Step": lambda z: (z > 0).to(z.dtype),
}


def values(expression, names, numbers):
    """The expression at numbers, by torch operations in float64."""
    import sympy as sp

    arguments = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in numbers]
    function = sp.lambdify(symbols(names), expression, modules=[OPERATIONS])
    return function(*arguments), arguments


def number(value):
    return float(torch.as_tensor(value).detach())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gradients_and_hessians(name, shape):
    """The weak condition's F, to second order in all of θ, to 1e-10."""
    expert = builtin(name, shape, 2)
    atom = condition("weak").atom(expert, GATES["sigmoid"])
    derivatives = Derivatives(atom)
    names = (*atom.inputs, *atom.parameters)
    numbers = [0.3 + 0.17 * i for i in range(len(names))]
    output, arguments = values(atom.expression, names, numbers)
    gradient = torch.autograd.grad(output, arguments, create_graph=True)
    for i, first in enumerate(atom.parameters, start=2):
        mine, _ = values(derivatives.partial((first,)), names, numbers)
        assert number(mine) == pytest.approx(number(gradient[i]), rel=1e-10, abs=1e-12)
        row = torch.autograd.grad(gradient[i], arguments, retain_graph=True, allow_unused=True)
        for j, second in enumerate(atom.parameters, start=2):
            mine, _ = values(derivatives.partial((first, second)), names, numbers)
            other = 0.0 if row[j] is None else number(row[j])
            assert number(mine) == pytest.approx(other, rel=1e-10, abs=1e-12)
