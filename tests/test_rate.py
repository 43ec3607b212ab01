"""Rates as values: texts round trip, what is faster, and what a published rate allows."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import pytest
from checked import check

from identkit import Expert
from identkit.degeneracy.rate import agreement
from identkit.errors import IdentkitError
from identkit.rate import (
    FOURTH,
    KINK,
    LOGARITHMIC,
    NONE,
    NOT_DERIVED,
    PREMISE_FAILS,
    ROOT,
    SLOWER,
    SLOWER_THAN_ROOT,
    UNDECIDED,
    Rate,
    RateKind,
    slowest,
)
from identkit.rates.slopes import Prediction, logarithm
from identkit.report.statements import provided
from identkit.vocabulary import Basis

TEXTS = {
    ROOT: "n^-1/2",
    KINK: "n^-1/3",
    FOURTH: "n^-1/4",
    Rate.power(4, one_atom=True): "n^-1/4 for one true atom",
    SLOWER: "slower than n^-1/4",
    SLOWER_THAN_ROOT: "slower than n^-1/2",
    LOGARITHMIC: "1/log n",
    NONE: "no consistent estimator",
    PREMISE_FAILS: "none: the premise fails",
    UNDECIDED: "undecided",
    NOT_DERIVED: "not derived",
}


@pytest.mark.parametrize(("rate", "text"), TEXTS.items())
def test_a_text_is_read_back(rate, text):
    assert str(rate) == text
    assert Rate.parse(text) == rate == text
    assert hash(rate) == hash(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "n^-",
        "n^-1/0",
        "n^--1/2",
        "power",
        "slower",
        "n^-1/4 ",
        "1/log n for one true atom",
    ],
)
def test_other_texts_are_no_rates(text):
    with pytest.raises(IdentkitError, match="is no rate"):
        Rate.parse(text)


@pytest.mark.parametrize(
    "parts",
    [
        (RateKind.POWER,),
        (RateKind.NONE, Fraction(1, 2)),
        (RateKind.UNDECIDED, None, True),
        (RateKind.SLOWER, Fraction(1, 4), True),
    ],
)
def test_an_inconsistent_rate_is_refused(parts):
    with pytest.raises(ValueError, match="no rate"):
        Rate(*parts)


def test_order_of_rates():
    ordered = [ROOT, KINK, FOURTH, LOGARITHMIC, NONE]
    for (i, a), (j, b) in product(enumerate(ordered), repeat=2):
        assert a.faster_than(b) == (i < j)
    assert FOURTH.faster_than(SLOWER)
    assert KINK.faster_than(SLOWER)
    assert not FOURTH.faster_than(SLOWER_THAN_ROOT)  # n^-1/3 is slower than n^-1/2 too
    for unknown in (UNDECIDED, PREMISE_FAILS, NOT_DERIVED):
        assert not any(r.faster_than(unknown) or unknown.faster_than(r) for r in TEXTS)
    assert not SLOWER.faster_than(NONE)
    assert slowest([KINK, ROOT, FOURTH, KINK]) == FOURTH
    with pytest.raises(ValueError, match="not enough values"):
        slowest([])


def test_published_against_derived():
    alone = Rate.power(4, one_atom=True)
    cases = {
        (None, FOURTH): "unclaimed",
        (FOURTH, UNDECIDED): "undecided",
        (FOURTH, FOURTH): "confirmed",
        (FOURTH, alone): "open",
        (ROOT, alone): "contradicted",
        (FOURTH, NONE): "contradicted",
        (FOURTH, SLOWER): "contradicted",
        (ROOT, SLOWER): "contradicted",
        (Rate.power(8), SLOWER): "open",  # slower than n^-1/4 it is
        (LOGARITHMIC, NONE): "confirmed",
        (LOGARITHMIC, FOURTH): "contradicted",
        (LOGARITHMIC, SLOWER): "open",
    }
    for (published, derived), answer in cases.items():
        assert agreement(published, derived, False) == answer
    assert agreement(ROOT, PREMISE_FAILS, True) == "premise-fails"


def test_powers_of_log_n():
    """n^-p is (log n/n)^p at most, which is what a slope may show; others bound nothing."""
    for rate in TEXTS:
        if rate.polynomial:
            assert rate.logs == rate.exponent
        else:
            assert rate.logs == (-1 if rate == LOGARITHMIC else None)
    sizes = [1000, 100000]
    for rate in (ROOT, KINK, FOURTH):
        found = Prediction.of(rate, sizes)
        assert found is not None
        expected = -float(rate.exponent) + float(rate.exponent) * logarithm(sizes)
        assert (found.low, found.high) == (-float(rate.exponent), expected)
    slow = Prediction.of(LOGARITHMIC, sizes)
    assert slow is not None
    assert slow.low == -logarithm(sizes)


@pytest.mark.parametrize(
    ("expert", "gate"),
    [("gelu", "softmax"), ("relu", "softmax"), ("tanh", "sigmoid"), ("c*tanh(a*x)", "softmax")],
)
def test_a_rate_is_stated_with_all_that_is_said_of_it(expert, gate):
    """Basis, quantity and caveats: what the records hold, each once, and what is printed."""
    for result in check(Expert.from_expression(expert) if "*" in expert else expert, gate).results:
        finding, local = result.rate, result.second_order
        stated = result.rates
        whole = {s.basis: s.rate for s in stated if s.quantity is None}
        assert whole.pop(Basis.DERIVED) == finding.derived
        assert whole == ({Basis.PUBLISHED: finding.published} if finding.published else {})
        quantities = {s.quantity: s.rate for s in stated if s.quantity is not None}
        assert quantities == {i.quantity: i.rate for i in (local.identifiable if local else ())}
        assert {s.basis for s in stated if s.quantity is not None} <= {Basis.DERIVED}
        assert provided(result) == list(result.caveats)
        for s in stated:
            if s.basis is Basis.PUBLISHED or s.rate in (NONE, SLOWER, NOT_DERIVED):
                assert s.caveats == ()
            elif s.rate.polynomial:
                assert s.caveats == result.caveats
