"""What random routing gives: exact expectations of the metrics of recorded routers.

Setting. N tokens, each of which selects k of n experts, all C(n, k) sets alike, independently. N_e
tokens select e, q = k/n, v = (n/k − 1)/N. D domains of fixed numbers N_D of tokens. Two layers
select k and k′, independently.

Statements.

1. *Jain's index.* J = (ΣN_e)²/(nΣN_e²) = 1/(1 + V), V = nΣN_e²/(Nk)² − 1. E V = v and Var V = 2(1
   − 1/N)v²/(n − 1), both exactly, for n ≥ 2, so that 0 ≤ E J − 1/(1 + v) ≤ 2v²/((n − 1)(1 + v)²):
   the printed 1/(1 + v) is right up to N⁻² and never above.
2. *Entropy of use.* E H = log n − (n − k)/(2kN) − (n² − k²)/(12k²N²) + O(N⁻³), H = −Σ p log p, p =
   N_e/(Nk): the plug-in entropy of even use is too low by (n/k − 1)/(2N) (k = 1: Miller and
   Madow).
3. *Information with domains.* I(D; e) = H − Σ_D (N_D/N)H_D, so that E I = (D − 1)(n − k)/(2kN) +
   O(N⁻²) nats, whatever the N_D, if all grow with N.
4. *Between layers.* I of the k·k′ pairs of each token over n² cells has E I = (n − k)(n −
   k′)/(2Nkk′) + (n² − k²)(n² − k′²)/(12k²k′²N²) + O(N⁻³) nats.
5. *Overlaps.* E|E ∩ E′|/k = k/n for two independent selections; so saturation is k/n, change 1 −
   k/n. P(b | a) = N_ab/N_a has the mean (k − 1)/(n − 1) wherever N_a > 0. n·Σ f_e P_e has the mean
   k for P independent of the selection.

Proved. 1: ΣN_e² = Nk + 2Σ_{i<j}H_ij, H_ij = |E_i ∩ E_j| hypergeometric, of mean k²/n and variance
k²(n − k)²/(n²(n − 1)); any two are uncorrelated, as E[H_ij | E_i] = k²/n for every E_i. So both
moments. 1/(1 + V) = 1/(1 + v) − (V − v)/(1 + v)² + (V − v)²/((1 + v)²(1 + V)), and V ≥ 0 (Cauchy
and Schwarz). 2: H = log n − (n/2)Σδ² + (n²/6)Σδ³ − (n³/12)Σδ⁴ + …, δ = p − 1/n, where N_e is
binomial (N, q), so that E Σδ² = (n − k)/(nkN), E δ³ = q(1 − q)(1 − 2q)/(N²k³), E δ⁴ = 3q²(1 −
q)²/(N²k⁴) + O(N⁻³); E δ⁵ and E δ⁶ are O(N⁻³), and |δ| > 1/(2n) has a probability that is
exponentially small. 3: the identity, and 2 for each domain. 4: I = H + H′ − H_pairs, where each
cell of the pairs is binomial (N, kk′/n²), so that 2, which asks for no more than binomial counts
of one mean, holds with n² and kk′ for n and k. 5: counts. Computed: the sums of these formulas
with symbols, and all expectations by exact enumeration of small routers: equal where a statement
is exact, and N²·(rest) or N³·(rest) settling where it is an expansion.
"""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from functools import cache
from itertools import combinations

import numpy as np
import pytest
import sympy as sp

from identkit.claims.checks import Claim, mutations
from identkit.routers import metrics

DERIVED = "identkit (derived here)"
JAIN = Claim(
    "routing-jain-random",
    "k of n experts at random, N tokens: V = 1/J − 1 has the mean v = (n/k − 1)/N and the variance "
    "2(1 − 1/N)v²/(n − 1), so that 0 ≤ E J − 1/(1 + v) ≤ 2v²/((n − 1)(1 + v)²)",
    DERIVED,
)
ENTROPY = Claim(
    "routing-entropy-random",
    "k of n experts at random, N tokens: the plug-in entropy of use has the mean log n − (n − "
    "k)/(2kN) − (n² − k²)/(12k²N²) + O(N⁻³)",
    "identkit (derived here); k = 1: Miller 1955, Harris 1975",
)
INFORMATION = Claim(
    "routing-information-random",
    "k of n experts at random: information with D domains has the mean (D − 1)(n − k)/(2Nk) nats, "
    "whatever their sizes, that of two layers (n − k)(n − k′)/(2Nkk′), both up to O(N⁻²)",
    DERIVED,
)
OVERLAP = Claim(
    "routing-overlap-random",
    "k of n experts at random: saturation k/n, change 1 − k/n, co-activation N_ab/N_a (k − 1)/(n − "
    "1) wherever N_a > 0, balance k, exactly",
    DERIVED,
)


@cache
def sets(experts, top):
    """All selections, as rows of 0 and 1."""
    return tuple(
        tuple(int(e in chosen) for e in range(experts))
        for chosen in combinations(range(experts), top)
    )


@cache
def uses(experts, top, tokens):
    """(N_1, …, N_n) -> its probability, exactly."""
    if tokens == 0:
        return {(0,) * experts: Fraction(1)}
    found = Counter()
    chance = Fraction(1, len(sets(experts, top)))
    for before, p in uses(experts, top, tokens - 1).items():
        for row in sets(experts, top):
            found[tuple(a + b for a, b in zip(before, row, strict=True))] += p * chance
    return dict(found)


def mean(value, experts, top, tokens):
    """E value(N_1, …, N_n)."""
    return sum(p * value(use) for use, p in uses(experts, top, tokens).items())


SMALL = ((2, 1, 9), (3, 1, 7), (3, 2, 7), (4, 2, 5), (5, 2, 4))
"""(n, k, N)."""


def spread(experts, top, tokens):
    """E V and Var V as they are stated."""
    v = Fraction(experts - top, top * tokens)
    return v, 2 * (1 - Fraction(1, tokens)) * v**2 / (experts - 1)


@mutations(
    {
        "the variance is v²": {
            "stated": lambda n, k, t: (spread(n, k, t)[0], spread(n, k, t)[0] ** 2)
        },
        "the mean of draws with replacement": {
            "stated": lambda n, k, t: (Fraction(n - 1, t * k), spread(n, k, t)[1])
        },
        "E J is below it": {"above": -1},
    }
)
def test_jain_of_random_routing(stated=spread, above=1):
    """Exact E V, Var V and both bounds on E J, for all of SMALL; the printed value."""
    for n, k, tokens in SMALL:
        v, variance = stated(n, k, tokens)

        def excess(use, n=n, k=k, tokens=tokens):
            return Fraction(n * sum(a * a for a in use), (tokens * k) ** 2) - 1

        first = mean(excess, n, k, tokens)
        assert first == v
        assert mean(lambda use: excess(use) ** 2, n, k, tokens) - first**2 == variance
        index = mean(lambda use: 1 / (1 + excess(use)), n, k, tokens)
        rest = above * (index - 1 / (1 + v))
        assert 0 < rest <= variance / (1 + v) ** 2 <= 2 * v**2 / ((n - 1) * (1 + v) ** 2)
        assert math.isclose(metrics.jain_random(n, k, tokens), 1 / (1 + v))
        use = next(iter(uses(n, k, tokens)))
        assert math.isclose(metrics.jain(np.array(use)), 1 / (1 + excess(use)))
    return JAIN.finding("proved", "the argument; exact for " + ", ".join(map(str, SMALL)))


@mutations({"the hypergeometric variance with replacement": {"factor": lambda n, k: 1}})
def test_moments_of_overlaps(factor=lambda n, k: sp.S(n - k) / (n - 1)):
    """Var V of the variance of one overlap, k(k/n)(1 − k/n)·(n − k)/(n − 1), with symbols."""
    n, k, tokens = sp.symbols("n k N", positive=True)
    overlap = k * (k / n) * (1 - k / n) * factor(n, k)
    variance = (n / (tokens * k) ** 2) ** 2 * 2 * tokens * (tokens - 1) * overlap
    v = (n / k - 1) / tokens
    assert sp.simplify(variance - 2 * (1 - 1 / tokens) * v**2 / (n - 1)) == 0
    for experts, top in ((5, 2), (6, 3), (4, 1)):
        values = [
            sum(a * b for a, b in zip(sets(experts, top)[0], s, strict=True))
            for s in sets(experts, top)
        ]
        average = Fraction(sum(values), len(values))
        second = Fraction(sum(a * a for a in values), len(values)) - average**2
        at = {n: experts, k: top}
        assert (average, second) == (Fraction(top**2, experts), overlap.subs(at))
    return JAIN.finding("proved", "with symbols; the overlap by counting")


@mutations(
    {
        "the mean is below": {"above": -1},
        "the bound is v²": {"bound": lambda v, u: (v - u) ** 2 / (1 + u) ** 3},
    }
)
def test_the_rest_of_jain(above=1, bound=lambda v, u: (v - u) ** 2 / ((1 + u) ** 2 * (1 + v))):
    """1/(1 + V) = 1/(1 + v) − (V − v)/(1 + v)² + (V − v)²/((1 + v)²(1 + V))."""
    big, small = sp.symbols("V v", positive=True)
    tangent = 1 / (1 + small) - (big - small) / (1 + small) ** 2
    assert sp.simplify(1 / (1 + big) - tangent - above * bound(big, small)) == 0
    return JAIN.finding("proved", "with symbols")


# --- 2 to 4 ---------------------------------------------------------------------------------------


def entropy(use):
    """In nats, of counts."""
    total = sum(use)
    return -sum(a / total * math.log(a / total) for a in use if a)


def second_order(n, k):
    return -(n**2 - k**2) / (12 * k**2)


@mutations(
    {
        "experts are drawn with replacement": {"first": lambda n, k: -(n - 1) / (2 * k)},
        "without the term in N⁻²": {"second": lambda n, k: 0},
        "the printed term has the other sign": {"sign": -1},
    }
)
def test_entropy_of_random_routing(
    first=lambda n, k: -(n - k) / (2 * k), second=second_order, sign=1
):
    """N²·(E H − log n − first/N) is near its limit, and nearer for twice the tokens; printed."""
    for n, k, tokens in ((2, 1, 48), (3, 1, 24), (3, 2, 24), (4, 2, 12)):
        rests = []
        for size in (tokens // 2, tokens):
            found = float(mean(lambda use: entropy(use), n, k, size))
            rests.append(size**2 * (found - math.log(n) - first(n, k) / size) - second(n, k))
        assert abs(rests[1]) < 0.6 * abs(rests[0])
        printed = metrics.utilisation_entropy_random(n, k, tokens)
        assert math.isclose(sign * (printed - 1) * math.log(n), first(n, k) / tokens)
    return ENTROPY.finding("proved", "the expansion; enumerated for n up to 4")


@mutations({"the fourth moment is left out": {"fourth": 0}, "the third": {"third": 0}})
def test_terms_of_the_entropy(third=1, fourth=1):
    """Moments of binomials put into the series of −Σ p log p at 1/n, with symbols."""
    n, k, big = sp.symbols("n k N", positive=True)
    d, p = sp.Symbol("d"), 1 / n
    series = sp.series(-(p + d) * sp.log((p + d) * n), d, 0, 5).removeO()
    q = k / n
    moments = {
        1: 0,
        2: q * (1 - q) / (big * k**2),
        3: third * q * (1 - q) * (1 - 2 * q) / (big**2 * k**3),
        4: fourth * 3 * q**2 * (1 - q) ** 2 / (big**2 * k**4),
    }
    terms = sp.expand(series)
    found = n * sum(terms.coeff(d, j) * m for j, m in moments.items())
    wanted = -(n - k) / (2 * k * big) - (n**2 - k**2) / (12 * k**2 * big**2)
    assert sp.simplify(found - wanted) == 0
    return ENTROPY.finding("proved", "both terms, with symbols")


@mutations({"domains of one size count once": {"degrees": lambda count: count}})
def test_information_with_domains(degrees=lambda count: count - 1):
    """I = H − Σ (N_D/N)H_D for counts; N·E I against the printed one at N = 18 and 36, uneven D."""
    rng = np.random.default_rng(0)
    table = rng.integers(1, 9, (3, 4))
    total = table.sum()
    parts = sum(row.sum() / total * entropy(row) for row in table)
    bits = (entropy(table.sum(axis=0)) - parts) / math.log(2)
    assert math.isclose(metrics.mutual_information(table), bits)
    for n, k in ((2, 1), (3, 2)):
        gaps = []
        for tokens in (18, 36):
            sizes = (tokens // 3, tokens - tokens // 3)
            own = sum(s / tokens * float(mean(entropy, n, k, s)) for s in sizes)
            found = (float(mean(entropy, n, k, tokens)) - own) / math.log(2)
            printed = degrees(2) * (n - k) / (2 * tokens * k * math.log(2))
            assert degrees(2) != 1 or math.isclose(
                printed, metrics.mutual_information_random(2, n, k, tokens)
            )
            gaps.append(tokens * abs(found - printed))
        assert gaps[1] < 0.6 * gaps[0]
    return INFORMATION.finding("proved", "by the identity; enumerated with domains of 1 : 2")


def of_binomials(experts, top, tokens):
    """E H of n counts that are each binomial (N, k/n), of sum Nk, however they depend."""
    q, found = top / experts, 0.0
    for a in range(1, tokens + 1):
        chance = math.comb(tokens, a) * q**a * (1 - q) ** (tokens - a)
        share = a / (tokens * top)
        found -= experts * chance * share * math.log(share)
    return found


@mutations(
    {
        "degrees of freedom of one draw": {"first": lambda n, k, other: (n - 1) ** 2},
        "without the term in N⁻²": {"second": lambda n, k, other: 0},
    }
)
def test_information_between_layers(
    first=lambda n, k, other: (n - k) * (n - other),
    second=lambda n, k, other: (n**2 - k**2) * (n**2 - other**2) / (12 * (k * other) ** 2),
):
    """I = H + H′ − H of pairs, whose cells are binomial (N, kk′/n²); with symbols, and at two N."""
    n, k, other, big = sp.symbols("n k l N", positive=True)

    def stated(cells, drawn):
        return -(cells - drawn) / (2 * drawn * big) - (cells**2 - drawn**2) / (
            12 * (drawn * big) ** 2
        )

    rest = first(n, k, other) / (2 * big * k * other) + second(n, k, other) / big**2
    found = stated(n, k) + stated(n, other) - stated(n**2, k * other)
    assert sp.simplify(found - rest) == 0
    for experts, one, two in ((2, 1, 1), (3, 2, 1), (8, 2, 3)):
        gaps = []
        for tokens in (100, 200):
            exact = of_binomials(experts, one, tokens) + of_binomials(experts, two, tokens)
            exact -= of_binomials(experts**2, one * two, tokens)
            printed = first(experts, one, two) / (2 * tokens * one * two)
            assert math.isclose(
                printed, metrics.between_random(experts, one, two, tokens) * math.log(2)
            )
            gaps.append(abs(tokens**2 * (exact - printed) - second(experts, one, two)))
        assert gaps[1] < 0.7 * gaps[0]
    return INFORMATION.finding("proved", "with symbols; exact sums for 2, 3 and 8 experts")


# --- 5 --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("experts", "top"), [(4, 2), (5, 3), (6, 1)])
@mutations(
    {
        "with replacement": {"experts": 4, "top": 2, "given": lambda n, k: Fraction(k, n)},
        "the union counts": {"experts": 4, "top": 2, "hits": lambda a, b: sum(map(max, a, b))},
    }
)
def test_overlaps_of_random_routing(
    experts, top, given=lambda n, k: Fraction(k - 1, n - 1),
    hits=lambda a, b: sum(x * y for x, y in zip(a, b, strict=True)),
):  # fmt: skip
    """All pairs of selections; of those with expert 0 the part that has 1; n Σ f P for one P."""
    every = sets(experts, top)
    total = sum(hits(a, b) for a in every for b in every)
    share = Fraction(total, top * len(every) ** 2)
    assert share == Fraction(top, experts)
    kept = float(metrics.saturation(total, len(every) ** 2, top))
    assert math.isclose(kept, share)
    assert math.isclose(metrics.change_rate(total, len(every) ** 2, top), 1 - share)
    own = [s for s in every if s[0]]
    assert Fraction(sum(s[1] for s in own), len(own)) == given(experts, top)
    p = [Fraction(e + 1, experts * (experts + 1) // 2) for e in range(experts)]
    assert (
        experts * sum(Fraction(sum(s[e] for s in every), len(every)) * p[e] for e in range(experts))
        == top
    )
    return OVERLAP.finding("proved", f"{top} of {experts}; any by the same counts")


@mutations({"over all tables": {"tokens": 3, "used": 0}})
def test_coactivation_where_it_is_defined(tokens=3, used=1):
    """E[N_01/N_0 | N_0 ≥ 1] is (k − 1)/(n − 1) exactly: 2 of 3, three tokens, all routings."""
    every = sets(3, 2)
    total, count = Fraction(0), 0
    for first in every:
        for second in every:
            for third in every:
                rows = (first, second, third)[:tokens]
                use = sum(s[0] for s in rows)
                if use < used:
                    continue
                count += 1
                total += Fraction(sum(s[0] * s[1] for s in rows), use) if use else 0
    assert total / count == Fraction(1, 2)
    return OVERLAP.finding(
        "proved", "by counting; a token with a has b in (k − 1)/(n − 1) of cases"
    )
