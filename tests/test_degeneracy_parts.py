"""The parts of the second-order analysis: kinks, semidefinite feasibility, explicit atoms."""

from fractions import Fraction

import pytest
import sympy as sp
from mpmath import mp, mpf

from identkit import Expert
from identkit.atoms import expert_function
from identkit.balls import ball, precision
from identkit.certificates.witness import positive_definite
from identkit.deadline import Deadline
from identkit.degeneracy.cone import coordinate_directions, face_of
from identkit.degeneracy.kinks import kink_constraints
from identkit.degeneracy.moments import moment_space
from identkit.degeneracy.nullspace import NullSpace
from identkit.degeneracy.realise import realise
from identkit.degeneracy.semidefinite import (
    Feasible,
    Infeasible,
    _most_definite,
    _Problem,
    decide,
)
from identkit.derivatives import Derivatives
from identkit.domain import Domain
from identkit.experts import builtin, symbols
from identkit.forms import affine_forms
from identkit.relations import FormalFamily
from identkit.sampling import Sampler

DOMAIN = Domain.of((-2, 2))
THETA = [
    tuple(Fraction(n, 16) for n in (13, 7, 21, 11, 5, 9)),
    tuple(Fraction(n, 16) for n in (5, 19, 3, 17, 23, 6)),
]


def kinks_of(expert):
    atom, deadline = expert_function(expert), Deadline(60)
    return kink_constraints(atom, Sampler(atom, DOMAIN, 0, affine_forms(atom), deadline), deadline)


def ridge(text, dim=None):
    return Expert.from_expression(text, dim=dim)


def reduced_face(expert, gate):
    atom, deadline = expert_function(expert), Deadline(60)
    space = moment_space(atom, gate == "sigmoid")
    derivatives = Derivatives(atom, deadline)
    expressions = derivatives.expressions([m.function for m in space.moments])
    null = NullSpace.of(FormalFamily.from_expressions(expressions, atom, deadline), space)
    face = face_of(null)
    face.reduce(coordinate_directions(space, face.field))
    return atom, face


def decided(expert, gate):
    atom, face = reduced_face(expert, gate)
    samples = [t[: len(atom.parameters)] for t in THETA]
    return atom, face, decide(face, samples, atom.parameters)


def moments_at(face, vector, parameters, theta):
    values = dict(zip(symbols(parameters), (sp.Rational(str(v)) for v in theta), strict=True))
    with mp.workprec(300):
        return {
            face.space.moments[i].pair: mpf(sp.N(face.field.to_sympy(c).xreplace(values), 80)._mpf_)
            for i, c in vector.items()
        }


# -- kinks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_relu_ridge_moves_only_along_its_scale(dim):
    expert = builtin("relu", "ridge", dim)
    kinks = kinks_of(expert)
    assert kinks.continuous
    assert kinks.complete
    (constraint,) = kinks.constraints
    matrix = sp.Matrix(constraint.rows)
    scale = sp.Matrix(symbols(expert.parameters))
    assert (matrix * scale).applyfunc(sp.expand) == sp.zeros(len(constraint.rows), 1)
    assert matrix.rank() == len(expert.parameters) - 1
    assert not matrix.free_symbols & set(symbols(expert.inputs))


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("relu(a*x+b)", [[(-sp.Symbol("b"), sp.Symbol("a"))]]),
        ("relu(x+b)", [[(1,)]]),
        ("relu(a*x+b)**2", []),
        ("relu(a*x+b)**3*exp(c*x)", []),
        ("relu(a*x)", []),
        ("tanh(a*x+b)", []),
    ],
)
def test_kinks_treated_completely(text, rows):
    kinks = kinks_of(ridge(text))
    assert kinks.continuous
    assert kinks.complete
    names = {
        s.name: s for c in kinks.constraints for r in c.rows for e in r for s in e.free_symbols
    }
    expected = [
        [
            tuple(sp.sympify(e).subs({sp.Symbol(n): s for n, s in names.items()}) for e in r)
            for r in c
        ]
        for c in rows
    ]
    assert [[tuple(r) for r in c.rows] for c in kinks.constraints] == expected


@pytest.mark.parametrize(
    ("text", "arguments", "scales"),
    [
        ("abs(a*x+b)", 1, 1),
        ("relu(a*x+b)+relu(c*x+e)", 2, 2),
        ("c*relu(a*x+b)", 1, 2),
        ("relu(exp(c)*x+b)", 1, 1),
        ("tanh(c*x)*relu(a*x+b)", 1, 2),
    ],
)
def test_several_kinks_and_factors(text, arguments, scales):
    expert = ridge(text)
    kinks = kinks_of(expert)
    assert kinks.continuous
    assert kinks.complete
    assert len(kinks.constraints) == arguments
    matrix = sp.Matrix([r for c in kinks.constraints for r in c.rows])
    assert len(expert.parameters) - matrix.rank() == scales


def test_kinks_inside_a_function_are_reported_as_not_treated():
    kinks = kinks_of(ridge("relu(tanh(a*x)+b)"))
    assert kinks.continuous
    assert not kinks.complete
    assert not kinks.constraints


def test_coinciding_kinks_that_cancel_give_no_constraint():
    """relu(z) − relu(tanh z) is twice differentiable enough at z = 0: no δ, no constraint."""
    kinks = kinks_of(ridge("relu(a*x+b)-relu(tanh(a*x+b))"))
    assert not kinks.constraints
    assert not kinks.complete


def test_a_jump_is_not_continuous():
    kinks = kinks_of(ridge("c*relu(a*x+b)/(a*x+b)"))
    assert not kinks.continuous
    assert not kinks.constraints


def test_nested_kinks():
    """The inner kink is one of h only where e > 0; a kink that no x reaches gives nothing."""
    kinks = kinks_of(ridge("relu(a*relu(b*x+c)+e)"))
    assert kinks.continuous
    assert not kinks.complete
    assert [c.argument for c in kinks.constraints] == ["a*(b*x + c) + e"]
    kinks = kinks_of(ridge("relu(a**2*relu(b*x+c)+e**2)"))
    assert kinks.continuous
    assert [c.argument for c in kinks.constraints] == ["b*x + c"]


# -- semidefinite ---------------------------------------------------------------------------


def test_opposite_signs_are_infeasible():
    _, face, result = decided(ridge("tanh((a+b)*x)+tanh((a-b)*x)"), "softmax")
    assert face.vectors
    assert isinstance(result, Infeasible)
    assert result.dual.quantifier == "almost-every"
    ((names, matrix),) = result.dual.blocks
    assert names == ("a", "b")
    assert Fraction(matrix[0][0]) == Fraction(matrix[1][1]) > 0


def test_dual_that_depends_on_the_parameters():
    """M = diag(1, −1/4b²) up to scale: D exists at every θ, but not one for all."""
    _, face, result = decided(ridge("tanh((a+b**2)*x)+tanh((a-b**2)*x)"), "softmax")
    assert face.vectors
    assert isinstance(result, Infeasible)
    assert result.dual.quantifier == "open-set"
    ((_, matrix),) = result.dual.blocks
    b = Fraction(result.dual.at[1])
    assert Fraction(matrix[1][1]) == 4 * b**2 * Fraction(matrix[0][0])


def test_heat_equation_is_feasible_of_rank_one():
    for gate in ("softmax", "sigmoid"):
        _, face, result = decided(ridge("erf(a*x+b)"), gate)
        assert isinstance(result, Feasible)
        assert (result.rank, result.quantifier) == (1, "almost-every")
        assert face.space.index("b", "b") in result.vector


@pytest.mark.parametrize("text", ["c*sin(a*x+b)", "exp(a*x)/(1+exp(b*x))"])
def test_feasible_under_the_sigmoid_gate(text):
    _, _, result = decided(ridge(text), "sigmoid")
    assert isinstance(result, Feasible)


def test_the_boundary_of_the_cone_is_found():
    """(β1, a) = (1, −1) lies in no basis vector: found numerically, proved exactly."""
    _, face, result = decided(ridge("exp(a*x)/(1+exp(b*x))"), "sigmoid")
    assert isinstance(result, Feasible)
    value = {face.space.moments[i].pair: face.field.to_sympy(c) for i, c in result.vector.items()}
    assert result.rank == 1
    assert value["β1", "β1"] == value["a", "a"] == -value["β1", "a"]
    assert value["β1", "β1"] > 0


def test_ball_ldl():
    with precision(128):
        identity = [[ball(int(i == j)) for j in range(3)] for i in range(3)]
        assert positive_definite(identity)
        singular = [[ball(1), ball(1)], [ball(1), ball(1)]]
        assert not positive_definite(singular)
        assert positive_definite([[ball(2), ball(1)], [ball(1), ball(2)]])


def test_solver_maximises_the_least_eigenvalue():
    # [[y0, 1/2], [1/2, y1]] with trace 2: the least eigenvalue is 1/2
    shapes = [{(0, 0): 1.0}, {(1, 1): 1.0}, {(0, 1): 1.0}]
    solution = _most_definite([(2, shapes)], [([1.0, 1.0, 0.0], 2.0), ([0.0, 0.0, 1.0], 0.5)])
    assert solution is not None
    assert solution[0] == pytest.approx(0.5, abs=1e-5)


def test_full_rank_solutions_are_verified():
    """c·x (split) in two parameters: every M is invisible."""
    atom, face = reduced_face(ridge("a*x+b"), "softmax")
    problem = _Problem(face, atom.parameters)
    result = problem.feasible(THETA[0][:2], [t[:2] for t in THETA])
    assert isinstance(result, Feasible)
    assert result.rank == 2
    assert problem.infeasible(THETA[0][:2]) is None


# -- explicit atoms -------------------------------------------------------------------------


def realised(text, gate, vector=None):
    atom, face, result = decided(ridge(text), gate)
    assert isinstance(result, Feasible)
    chosen = result.vector if vector is None else vector
    moments = moments_at(face, chosen, atom.parameters, result.at)
    return realise(atom, face.space, moments, result.at, 0, DOMAIN)


def test_heat_equation_is_realised_by_two_atoms():
    atoms = realised("erf(a*x+b)", "softmax")
    assert atoms is not None
    assert atoms.cell == 2
    assert float(atoms.order) >= 3
    assert len(atoms.steps) == 6


def test_heat_equation_under_the_sigmoid_gate():
    atoms = realised("erf(a*x+b)", "sigmoid")
    assert atoms is not None
    assert float(atoms.order) >= 2.9


def test_sigmoid_gate_with_gate_moments():
    atoms = realised("exp(a*x)/(1+exp(b*x))", "sigmoid")
    assert atoms is not None
    assert atoms.cell == 3
    assert float(atoms.order) >= 2.9


def test_splitting_is_exact():
    atoms = realised("c*tanh(a*x+b)", "softmax")
    assert atoms is not None
    assert atoms.order == "inf" or float(atoms.order) >= 3


def test_visible_moments_are_of_second_order_and_indefinite_ones_are_refused():
    atom, face = reduced_face(ridge("tanh(a*x+b)"), "softmax")
    eta = THETA[0][:2]
    visible = realise(atom, face.space, {("a", "a"): 1.0}, eta, 0, DOMAIN)
    assert visible is not None
    assert float(visible.order) == pytest.approx(2, abs=0.05)
    indefinite = {("a", "a"): 1.0, ("b", "b"): -1.0}
    assert realise(atom, face.space, indefinite, eta, 0, DOMAIN) is None
