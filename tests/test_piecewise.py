"""Piecewise-polynomial experts against exact rational ranks over random atoms and points."""

from __future__ import annotations

import random
from fractions import Fraction

import piecewise
import pytest

from identkit import Expert, check
from identkit.atoms import expert_function
from identkit.conditions import condition
from identkit.deadline import Deadline
from identkit.errors import IdentkitError
from identkit.prove import Prover
from identkit.results import Options

OPTIONS = Options(2, (Fraction(-3), Fraction(3)), 0, 1024, 10.0)
LEVELS = (("strong", "expert"), ("strong", "product"), ("shared-strong", "expert"))


def verdicts(text, dim):
    """(set, proof) for the conditions that are about the expert alone."""
    expert = Expert.from_expression(text, dim=dim)
    atom = expert_function(expert)
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
    counts = run(60, seed=1)
    assert min(counts["every k"], counts["no"]) > 20, counts


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 12))
def test_thousands_of_generated_experts(seed):
    run(300, seed)
