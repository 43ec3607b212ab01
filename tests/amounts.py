"""How many generated cases a test looks at: few with ``make test``, all with ``make test-all``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from zlib import crc32

ALL = "IDENTKIT_TEST_ALL"
"""Environment variable that asks for all, set by ``make test-all``."""


def amount(few: int, all_: int) -> int:
    """``few``, or ``all_`` where the long run is asked for."""
    return all_ if ALL in os.environ else few


SPARED = {
    # other experts, dimensions or seeds of what the cases that are left ask in kind
    "test_mutations.py::test_a_broken_statement_turns_red": 3,  # one of each check at least
    "test_order.py::test_a_router_makes_nothing_faster": 4,
    "test_order_numeric.py::test_an_arc_is_as_slow_as_it_says": 3,
    "test_order_numeric.py::test_nothing_slower_is_found_quickly": 2,
    "test_categorical_verdicts.py::test_known_answers": 2,
    "test_categorical_verdicts.py::test_the_criterion_in_logits_by_numbers": 3,
    "test_categorical_verdicts.py::test_ranks_of_the_literal_functions": 3,
    "test_nondegenerate.py::test_theory_section_4": 3,
    "test_nondegenerate.py::test_experts_nobody_listed": 3,
    "test_known_answers.py::test_theory_section_4": 2,
    "test_known_answers.py::test_experts_nobody_listed": 3,
    "test_known_answers.py::test_verdicts_do_not_depend_on_the_seed": 3,
    "test_known_answers.py::test_every_k_is_not_claimed_over_identities_that_stay_hidden": 3,
    "test_certificates.py::test_certificates_do_not_depend_on_the_route": 3,
    "test_certificates.py::test_forgeries_of_a_no_fail": 2,
    "test_likelihoods.py::test_no_theorem_goes_from_one_likelihood_to_another": 3,
    "test_kernel_outputs.py::test_what_the_kernel_shows": 3,
    "test_hundred_experts.py::test_the_verdict_is_that_of_the_numbers": 3,
    "test_hundred_experts.py::test_constant_weights_ask_the_same_of_the_expert": 3,
    "test_forgeries.py::test_what_was_cut_short_anywhere_verifies_and_claims_no_more": 3,
    "test_structure_of_parameters.py::test_constants_far_out": 4,
    "test_structure_of_parameters.py::test_a_slope_with_a_sign": 3,
    "test_routed_kernel.py::test_sums_are_those_of_automatic_differentiation": 2,
    "test_density_kernel.py::test_sums_are_those_of_automatic_differentiation": 3,
    "test_vector_experts.py::test_what_a_second_output_does_not_tell": 3,
    "test_stated.py::test_a_recorded_rate_agrees_just_where_the_table_does": 2,
    "test_gaussian.py::test_the_kernel_shows_it": 3,
    "test_gaussian.py::test_the_normalized_sigmoid_asks_the_same_of_the_expert": 3,
    "test_gaussian.py::test_constant_weights_ask_the_same_of_the_expert": 3,
}
"""Test below ``tests/`` -> of its cases ``make test`` runs the first and about every n-th."""


def spared(cases: Sequence[str]) -> set[str]:
    """Of the ids of cases those that only ``make test-all`` runs.

    Which they are is a matter of a case's id alone: neither of what else is collected nor of the
    order, so that workers agree and that no axis of a product of parameters is left out. The first
    of each group, the ids up to their last bracket, always runs.
    """
    if ALL in os.environ:
        return set()
    groups: dict[str, list[str]] = {}
    for case in cases:
        groups.setdefault(case.rpartition("[")[0], []).append(case)
    found = set()
    for group in groups.values():
        every = SPARED.get(group[0].partition("[")[0].removeprefix("tests/"), 1)
        found |= {case for case in group[1:] if crc32(case.encode()) % every}
    return found
