"""The published table: which experts are identifiable under which gate, and the rate that follows.

Statements: the entries of ``identkit/claims/published``, each read as two claims: the
classification (the expert satisfies, or fails, the condition of the theorem) and the rate printed
for an over-specified expert. Sources: Nguyen, Ho, Rinaldo, NeurIPS 2024 (arXiv 2405.13997) and
ICML 2024 (arXiv 2402.02952), and arXiv 2503.03213, under least squares; arXiv 2505.10860, under
the Gaussian likelihood with one variance for each atom. ``polynomial`` stands for (aᵀx + b)^P, here
P = 1, 2, 3.

Check. ``identkit.check`` decides, for d = 1 and 2. The finding is computed from its result, nothing
is looked up: a classification is proved as far as the certificate reaches; for a rate n^-1/4 it
is the second-order nondegeneracy on which it rests.

A false entry raises nothing: its finding has another status than the recorded one.

Proved: the condition, or its failure, for every number of atoms and the parameters the status
names; nondegeneracy of one over-specified atom, near the truth (elsewhere, and
for softmax with k ≥ 2k*, there are exact refits: test_null_refit_in_regime_1.py,
test_common_spreading.py). Not proved: the papers' step from
there to a rate (concentration of least squares). Where an exact family exists the printed rate is
refuted: different parameters near the truth have the same f. Regime 2 rates have a premise, that
f_G* has no exact refit with more atoms; where refits exist the theorem says nothing: ``open``.
A statement restricted to k ≤ 3 says that independence was proved for at most 3 atoms only.
A printed n^-1/8, of cells of two atoms, is compared with the orders of every parameter in cells of
that size (test_orders.py); that larger cells are slower is no part of it.
"""

from __future__ import annotations

from functools import cache

import pytest

import identkit
from identkit.claims import claims, of_cells
from identkit.claims.checks import Claim, mutations, weakest
from identkit.degeneracy.rate import agreement
from identkit.gates import regime_title
from identkit.likelihoods import from_document
from identkit.rate import Rate
from identkit.report import statements

DIMENSIONS = (1, 2)
MEMBERS = {"polynomial": ("linear", "poly2", "poly3")}
REACH = {
    "every": "proved",
    "almost-every": "proved almost everywhere",
    "open-set": "proved on an open set",
}
BROKEN = "contradicted, with counterexample"
PUBLISHED = claims()
BY_ID = {entry["id"]: entry for entry in PUBLISHED}


def is_shared(entry):
    return entry["condition"] == "shared-strong"


def title(entry):
    regime = f" {regime_title(entry['regime'])}".rstrip()
    if "likelihood" not in entry:
        return f"{entry['experts'][0]} experts, {entry['gate']}{regime}"
    shared = "shared " * is_shared(entry)
    which = " ".join(filter(None, (entry["experts"][0], entry["shapes"][0])))
    under = from_document(entry["likelihood"]).title
    return f"{shared}{which} experts, {entry['gate']}{regime} under {under}"


def results(entry):
    """The certified result for every member of the family, d = 1 and 2."""
    for name in MEMBERS.get(entry["experts"][0], entry["experts"]):
        for shape in entry["shapes"]:
            for dim in DIMENSIONS:
                question = tuple(entry[key] for key in ("gate", "regime", "condition", "level"))
                likelihood = from_document(entry.get("likelihood")).name
                yield name, dim, certified(name, shape, dim, *question, likelihood)


@cache
def certified(name, shape, dim, gate, regime, condition, level, likelihood):
    (result,) = identkit.check(
        name,
        gate,
        likelihood=likelihood,
        shape=shape,
        dim=dim,
        regime=regime,
        condition=condition,
        level=level,
    ).results
    return result


def classification_of(result, verdict):
    """Status and reason of "the condition holds: ``verdict``"."""
    if result.verdict == "undecided":
        return "open", statements.scope(result)
    relation = f"; {result.relations[0].text}" if result.relations else ""
    if result.verdict != verdict:
        found = f"the condition is certified {result.verdict}: {statements.scope(result)}"
        return BROKEN, found + relation
    return REACH[result.quantifier], statements.scope(result) + relation


@pytest.mark.parametrize("entry", PUBLISHED, ids=lambda entry: entry["id"])
@mutations(
    {
        f"{name}: classified the other way": {
            "entry": BY_ID[name] | {"verdict": {"yes": "no", "no": "yes"}[BY_ID[name]["verdict"]]}
        }
        for name in (
            "sigmoid-1-relu",
            "softmax-gelu",
            "softmax-polynomial",
            "sigmoid-2-input-free",
            "gaussian-softmax-relu-ffn",
            "gaussian-softmax-linear",
            "gaussian-normalized-sigmoid-sparse-relu-ffn",
            "gaussian-shared-relu-ffn",
            "gaussian-shared-linear",
        )
    }
)
def test_classification(entry):
    words = {"weak": "weakly identifiable", "algebraic-independence": "independent of the router"}
    word = words.get(entry["condition"], "strongly identifiable")
    limits = {r.atoms for _, _, r in results(entry) if r.atoms_scope == "up-to"}
    claim = Claim(
        f"{entry['id']}-classification",
        f"{title(entry)}: {'' if entry['verdict'] == 'yes' else 'not '}{word}"
        + (" at distinct gates" if entry["condition"] == "weak" else "")
        + (f" (k ≤ {min(limits)})" if limits else ""),
        entry["source"],
    )
    found = {
        (name, dim): classification_of(result, entry["verdict"])
        for name, dim, result in results(entry)
    }
    status = weakest(s for s, _ in found.values())
    name, dim = next(key for key, (s, _) in found.items() if s == status)
    return claim.finding(status, f"{name}, d = {dim}: {found[name, dim][1]}")


def rate_in_words(entry):
    """The printed rate with the hypotheses under which it is derived here."""
    if entry["rate"] == "1/log n":
        return f"slower than any polynomial rate (printed {entry.get('printed', '1/log n')})"
    if entry["rate"] != "n^-1/4":
        cells = f", {of_cells(entry['cells'])}" if "cells" in entry else ""
        return f"{entry['rate']} if over-specified{cells}"
    limit = ", k < 2k*" if entry["gate"] == "softmax" else ""
    letter = from_document(entry.get("likelihood")).letter
    return f"n^-1/4 if over-specified, near the truth, given n^-1/2 for {letter}{limit}"


def rate_of(result, published, letter, cells=None):
    """Status and reason of the printed rate, of cells of so many fitted atoms if not of all."""
    rate, second = result.rate, result.second_order
    fails = result.premise is not None and result.premise.verdict == "fails"
    outcome = agreement(Rate.parse(published), rate.derived, fails, cells)
    if outcome == "premise-fails":
        return "open", f"the theorem's premise fails: {result.premise.refits[0].description}"
    if outcome == "confirmed":
        quantifier = result.quantifier if second is None else second.quantifier
        return REACH[quantifier], f"derived: {rate.derived}; {'; '.join(rate.reasons)}"
    if outcome == "contradicted":
        return BROKEN, statements.family(second.families[0], letter) if second.families else str(
            rate.derived
        )
    return "open", f"derived: {rate.derived}"


@pytest.mark.parametrize("entry", PUBLISHED, ids=lambda entry: entry["id"])
@mutations(
    {
        f"{name}: {rate}": {"entry": BY_ID[name] | {"rate": rate}}
        for name, rate in (
            ("sigmoid-1-gelu", "1/log n"),
            ("softmax-tanh", "n^-1/2"),
            ("sigmoid-1-input-free", "n^-1/4"),
            ("gaussian-softmax-relu-ffn", "1/log n"),
            ("gaussian-softmax-linear", "n^-1/4"),
        )
    }
)
def test_rate(entry):
    claim = Claim(f"{entry['id']}-rate", f"{title(entry)}: {rate_in_words(entry)}", entry["source"])
    letter = from_document(entry.get("likelihood")).letter
    found = {
        (name, dim): rate_of(result, entry["rate"], letter, entry.get("cells"))
        for name, dim, result in results(entry)
    }
    status = weakest(s for s, _ in found.values())
    name, dim = next(key for key, (s, _) in found.items() if s == status)
    return claim.finding(status, f"{name}, d = {dim}: {found[name, dim][1]}")
