"""Piecewise-polynomial experts: verdicts against exact ranks over random atoms and points."""

from __future__ import annotations

import random
from fractions import Fraction

import piecewise
import pytest
from flint import fmpq_mat
from piecewise import exact

from identkit import Expert, check
from identkit.atoms import expert_function
from identkit.certificates.store import certificate_document
from identkit.certificates.verify import verify
from identkit.conditions import condition
from identkit.deadline import Deadline
from identkit.domain import Domain
from identkit.errors import IdentkitError
from identkit.formal import Formal
from identkit.prove import Prover
from identkit.relations import FormalFamily
from identkit.results import Options

OPTIONS = Options(2, Domain(), 0, 1024, 2.0)
LEVELS = (("strong", "expert"), ("strong", "product"), ("shared-strong", "expert"))


def verdicts(text, dim):
    """(atom function, set, proof) for the conditions that are about the expert alone."""
    atom = expert_function(Expert.from_expression(text, dim=dim))
    for name, level in LEVELS:
        for functions in condition(name, level).build(atom):
            prover = Prover(atom, OPTIONS, Deadline(OPTIONS.time_limit))
            yield atom, functions, prover.prove(functions)


def run(count, seed):
    """Counts of verdicts over generated experts; asserts that exact ranks contradict none."""
    rng = random.Random(seed)
    counts = {"yes": 0, "every k": 0, "no": 0, "undecided": 0, "refused": 0}
    for text, dim in piecewise.experts(count, seed):
        try:
            for atom, functions, proof in verdicts(text, dim):
                counts["every k" if proof.every_k else proof.verdict] += 1
                oracle = piecewise.Expert(text, atom.inputs, atom.parameters)
                wrong = piecewise.contradiction(oracle, functions, proof, rng)
                assert wrong is None, f"{text!r}, {functions.title}: {proof.kind}: {wrong}"
        except IdentkitError:
            counts["refused"] += 1
    return counts


def test_generated_experts():
    counts = run(25, seed=1)
    assert min(counts["every k"], counts["no"]) > 15, counts


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 12))
def test_thousands_of_generated_experts(seed):
    run(300, seed)


def test_the_eight_functions_of_two_clips():
    """min(max(x + b, 0), c) was said to fail for every choice of two atoms; here it does not."""
    expert = piecewise.Expert("Min(Max(x+b,0),c)", ("x",), ("b", "c"))
    places = [(Fraction(v, 4),) for v in (-7, -5, -3, -1, 1, 3, 5, 8)]
    basis = [
        f
        for f in condition("strong")
        .build(expert_function(Expert.from_expression("Min(Max(x+b,0),c)")))[0]
        .functions
        if f.label in ("∂h/∂b", "∂h/∂c", "x*∂h/∂b", "x*∂h/∂c")
    ]
    rows = [
        [v for theta in ((2, 1), (0, 1)) for v in expert.functions(basis, x, exact(theta))]
        for x in map(exact, places)
    ]
    assert abs(Fraction(str(fmpq_mat(rows).det()))) == Fraction(3, 32)


@pytest.mark.parametrize(
    "text",
    [
        "Min(Max(x+b,0),c)",
        "Min(Max(a*x+b,0),c)",  # PACT
        "Max(-c,Min(c,x+b))",  # a learnable hard tanh
        "relu(x-b)-relu(-x-b)",  # soft threshold
        "Min(Max(x+b,0),exp(c))",
        "Min(relu(x+b), relu(c))",
    ],
)
def test_learnable_clips_are_independent(text):
    result = check(Expert.from_expression(text), "softmax")
    (strong,) = result.results
    assert strong.verdict == "yes"
    assert all(p.every_k for p in strong.proofs)
    verify(certificate_document(result))


@pytest.mark.parametrize(
    ("text", "title"),
    [
        # ∂h/∂c·∂h/∂c is constant for |c| < 1, and 0, hence dropped by the rule, for |c| > 1
        ("Min(1, c**2) + relu(x-a)", "products"),
        # 2c ∂h/∂c − c² ∂²h/∂c² = 2h says nothing where (c + a)x + c is nowhere the largest:
        # there ∂²h/∂c² is dropped and h merged with ∂h/∂c
        ("c*Max(x**2-b, 1, c*x+a*x+c, a*x+a+b)", "Taylor"),
    ],
)
def test_a_relation_of_functions_that_coincide_elsewhere_is_no_failure_there(text, title):
    found = [p for _, functions, p in verdicts(text, 1) if functions.title.startswith(title)]
    assert [(p.verdict, p.quantifier) for p in found] == [("no", "open-set")]


def test_relations_that_hold_wherever_a_kink_lies_are_failures_everywhere():
    """Behind its kink ReLU is 0, and so are its first derivatives: a failure as well."""
    found = [p for _, functions, p in verdicts("relu(a*x+b)", 1) if "Taylor" in functions.title]
    assert [(p.verdict, p.quantifier) for p in found] == [("no", "every")]


def test_a_clip_whose_bounds_move_together():
    """max(c, min(x + b, c + 1)) = c + a function of x + b - c: ∂h/∂b + ∂h/∂c = 1 for every θ."""
    (strong,) = check(Expert.from_expression("Max(c, Min(x+b, c+1))"), "softmax").results
    assert (strong.verdict, strong.deciding.kind) == ("no", "finite-dimension")


@pytest.mark.parametrize(
    ("text", "theta", "independent"),
    [
        # for |b| < 1 the kink of the second factor lies where the first one is 0: ∂h/∂b is
        # (x² − 1)₊ on one side, for every such b
        ("relu(x**2-1)*relu(x+b)", (Fraction(3, 10),), False),
        ("relu(x**2-1)*relu(x+b)", (Fraction(2),), True),
        # the same kink, x = 1, whatever a is, though no factor of e^(ax) − e^a is free of a
        ("c*abs(exp(a*x)-exp(a))/(exp(a*x)-exp(a)) + tanh(a*x)", (Fraction(1),) * 2, False),
        ("c*abs(exp(a*x)-2)/(exp(a*x)-2) + tanh(a*x)", (Fraction(1),) * 2, True),
        ("c*abs(x)/x + tanh(a*x)", (Fraction(1),) * 2, False),
    ],
)
def test_kinks_count_where_they_move(text, theta, independent):
    """Independence of ∂_η h for every k, near one θ: only kinks that move there may be used."""
    atom = expert_function(Expert.from_expression(text))
    prover = Prover(atom, OPTIONS, Deadline(30.0))
    (functions,) = condition("weak").build(atom)
    expressions = prover.derivatives.expressions(functions.functions)
    family = FormalFamily.from_expressions(expressions, atom, prover.deadline)
    obstacle = Formal(family, functions).every_k_obstacle(prover.sampler, [theta])
    assert (obstacle is None) == independent
