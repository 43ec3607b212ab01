"""The trusted kernel: whether the evidence in a certificate shows what the certificate says.

It is meant to be read on its own. It rests on the grammar of expressions, on balls (FLINT), on
jets, on the definitions of experts, atoms, gates, conditions and moments (they say what is claimed)
and on plain records, on nothing of the prover.

- :mod:`~identkit.certificates.kernel.field`: a zero test that is sound and not complete. To accept
  Σ c·g = 0 it is enough to write both sides in generators that are replaced only by equals, and to
  find the polynomial 0; that other polynomials may be 0 as functions does not matter.
- :mod:`~identkit.certificates.kernel.points`: what is *not* 0, by balls at rational points.
- :mod:`~identkit.certificates.kernel.parts`: independence, relations, dimension counts.
- :mod:`~identkit.certificates.kernel.every_k`: every number of atoms.
- :mod:`~identkit.certificates.kernel.second_order`: families, moments, facial reduction.
- :mod:`~identkit.certificates.kernel.outputs`: several outputs as one function of more inputs.
- :mod:`~identkit.certificates.kernel.arcs`: the order of a curve of atoms, by series.
- :mod:`~identkit.certificates.kernel.orders`: orders of directions, by arcs and theorems.
- :mod:`~identkit.certificates.kernel.refits`: exact refits of f with more atoms,
  and parameters at which atoms lose independence.

Each piece of evidence ends in one of three ways: it is shown; it is wrong (CertificateError); or it
is not shown (:class:`Unshown`), which says nothing of it. Statements that claim less than their
evidence shows are accepted. Not claimed, so not checked: that no other relation, family, refit or
exceptional set exists, and why something was left open. An identity of a curve, a refit or an
exceptional set that is not found to be zero is not shown; the prover has to find the same one.

The aim was 1,200 lines. There are 2,414 of code (without blank lines, comments and docstrings):
field 611, second_order 363, every_k 313, parts 311, points 289, arcs 226, refits 155, orders 146. A
quarter is the zero test, which is written apart from the prover's normal form, with a rule for
every function of the grammar, for roots and kinks. Left out, since no built-in expert rests on it:
flows, dual matrices, what kinks show of second moments.
"""

from __future__ import annotations

from dataclasses import replace

from identkit.certificates.kernel.field import Unshown
from identkit.certificates.kernel.orders import Orders
from identkit.certificates.kernel.parts import Part
from identkit.certificates.kernel.refits import check_exceptional, check_refit
from identkit.certificates.kernel.second_order import Analysis
from identkit.gates import Expansion, input_free, normalized_sigmoid, sigmoid, softmax
from identkit.likelihoods import LEAST_SQUARES, categorical, gaussian

__all__ = ["Analysis", "Orders", "Part", "Unshown", "check_exceptional", "check_refit", "knows"]


CRITERIA = {
    (sigmoid.RULE, LEAST_SQUARES): (True, "moments"),
    (softmax.RULE, LEAST_SQUARES): (False, "gates"),
    (normalized_sigmoid.RULE, LEAST_SQUARES): (False, "values"),
    (softmax.RULE, categorical.NAME): (False, "gates"),
    (normalized_sigmoid.RULE, categorical.NAME): (False, "values"),
    (input_free.RULE, categorical.NAME): (False, "weights"),
    **{
        (rule, own.name): (False, "gates")
        for rule in (softmax.RULE, normalized_sigmoid.RULE, input_free.RULE)
        for own in gaussian.LIKELIHOODS
    },
}
"""Weight rules and likelihoods whose criterion is in the kernel: whether the gate's own moments
count, and what has to be independent over atoms."""


def knows(expansion: Expansion) -> bool:
    """Whether theory section 4 has its criterion, and the kernel can check it."""
    if expansion.order < 2:
        return False
    rule = expansion.rule
    if rule.router is not None:  # softmax over any score: its weight's moments have their own block
        rule = replace(rule, blocks=softmax.RULE.blocks, router=None)
    rule = replace(rule, structure="")  # a softmax over some atoms at a time leaves the same
    known = CRITERIA.get((rule, expansion.likelihood))
    return known == (expansion.gates, expansion.across)
