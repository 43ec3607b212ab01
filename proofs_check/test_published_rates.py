"""The published rates of the regression function, Voronoi losses, exact atoms and gates, on data.

Statements: the ``rates`` of ``identkit/claims/published`` (Nguyen, Ho, Rinaldo, NeurIPS 2024,
arXiv 2405.13997, and ICML 2024, arXiv 2402.02952), up to logarithms, for least squares with one
atom more than the truth.

Check. For each gate and regime 24 data sets at each of four n from 1,000 to 31,623, from one
well-conditioned truth (two atoms, d = 1), fitted from starts near it; the slope of log median error
on log n, with its 90 % bootstrap interval, is judged by the rules of ``identkit.rates``, fixed
before any fit (``identkit/rates/slopes.py``: ``judge``).

Observed, for one expert and one truth each, in a small window: the interval meets the slopes which
the rate allows and excludes those of n^-1/2, n^-1/4 and a constant otherwise. ``open`` where it is
too wide to tell. Nothing here is a proof, and nothing refutes a theorem about n → ∞.
"""

from __future__ import annotations

from functools import cache
from tempfile import TemporaryDirectory

import pytest

from identkit import MixingMeasure
from identkit.claims import rates
from identkit.claims.checks import Claim, mutations
from identkit.fit import Box, Model
from identkit.rate import Rate
from identkit.rates import Experiment, Setting, Store, observe, run, scheduler
from identkit.rates.slopes import Prediction, judge

SIZES, REPLICATES = (1000, 3162, 10_000, 31_623), 24
SETTINGS = {
    ("sigmoid", 1): (
        "tanh",
        MixingMeasure([1.7, 1.3], [[0], [-1.7]], [[-2.1, 0.25], [-4.4, -5.3]]),
        {"noise": 0.005, "box": Box(beta0=(-0.9, 4), eta=14)},
        "local",
    ),
    ("softmax", None): (
        "tanh",
        MixingMeasure([1.5, 0], [[0.8], [0]], [[-1.5, 0.98], [2, 2.5]]),
        {"noise": 0.007, "box": Box(beta0=(-0.5, 4))},
        "local",
    ),
    ("sigmoid", 2): (
        "gelu",
        MixingMeasure([1.4, -1.4], [[0.9], [-0.9]], [[1.5, 0.95], [-2.4, -1.55]]),
        {"noise": 0.003, "box": Box(beta0=(-2.5, 4))},
        "null",
    ),
}
"""Truths and noise of the shipped plans ``protocols`` and ``regime-2``, where they were chosen."""


@cache
def experiment(gate, regime):
    """The result of ``identkit.rates`` for one setting; the seed is the setting's."""
    expert, truth, how, start = SETTINGS[gate, regime]
    setting = Setting(Model.of(expert, gate), regime, truth, truth.atoms + 1, **how)
    plan = Experiment(f"{expert}, {gate}", setting, SIZES, REPLICATES, (start,))
    with TemporaryDirectory() as folder, Store.open(f"{folder}/rates.sqlite") as store:
        run([plan], store, scheduler("inline"))
        return observe(plan, store.rows(setting.key))


def entries(gate, regime):
    return tuple(r for r in rates() if (r["gate"], r["regime"]) == (gate, regime))


def changed(gate, regime, quantity, rate):
    """The arguments in which one published rate is another one."""
    published = tuple(
        r | {"rate": rate} if r["quantity"] == quantity else r for r in entries(gate, regime)
    )
    return {"gate": gate, "regime": regime, "published": published}


@pytest.mark.parametrize(("gate", "regime"), SETTINGS, ids=str)
@mutations(
    {
        "f is estimated at n^-1/4": changed("sigmoid", 2, "minimiser-regression", "n^-1/4"),
        "f does not converge": changed(
            "sigmoid", 2, "minimiser-regression", "no consistent estimator"
        ),
    }
)
def test_slopes(gate, regime, published=None):
    result = experiment(gate, regime)
    findings = []
    for entry in entries(gate, regime) if published is None else published:
        quantity = entry["quantity"]
        where = gate if regime is None else f"{gate} Regime {regime}"
        claim = Claim(
            f"{entry['id']}-rate",
            f"{where}: {result.verdict(quantity).quantity.label} at {entry['rate']}"
            f", {entry['for']}",
            entry["source"],
        )
        slope = result.line(quantity).slope
        assert slope is not None
        verdict, reason = judge(Prediction.of(Rate.parse(entry["rate"]), SIZES), slope)
        # fits that are no least-squares estimates speak for nothing
        trusted = max(s.trapped or 0.0 for s in result.shares) < 0.5
        measured = (
            f"{SETTINGS[gate, regime][0]}, one truth, n = 1e3 … 3e4: slope {slope.value:.2f} "
            f"[{slope.low:.2f}, {slope.high:.2f}]"
        )
        seen = verdict == "consistent" and trusted
        findings.append(
            claim.finding("observed" if seen else "open", measured + (f"; {reason}" * (not seen)))
        )
    return tuple(findings)
