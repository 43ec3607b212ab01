"""Routers: metrics against their definitions, formats, the recorder, the command."""

from __future__ import annotations

import itertools
import json
import math
import re
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import test_rates_page
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from test_rates_page import Tree

from identkit.cli import main
from identkit.errors import InputError
from identkit.report.json_text import schema
from identkit.report.routers_document import document
from identkit.report.routers_page import page
from identkit.report.routers_report import terminal
from identkit.report.terminal import plain
from identkit.routers import metrics
from identkit.routers.analysis import analyse
from identkit.routers.counts import (
    BLOCKS,
    BlockSums,
    LayerCounts,
    TypeCounts,
    columns_of,
    overlaps,
    transitions,
)
from identkit.routers.recorded import recording
from identkit.routers.resampling import Bootstrap


def routing(rng, tokens: int, experts: int, top: int, skew: float = 0.0) -> np.ndarray:
    """(tokens, top) different experts in random order; later ones oftener by ``skew``."""
    scores = rng.random((tokens, experts)) + skew * np.arange(experts)
    return np.argsort(-scores, axis=1)[:, :top]


@st.composite
def runs(draw):
    """Routing of 1 to 3 checkpoints with types and domains of tokens."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    experts = draw(st.integers(1, 9))
    top, tokens = draw(st.integers(1, experts)), draw(st.integers(1, 60))
    checkpoints = draw(st.integers(1, 3))
    skew = draw(st.sampled_from([0.0, 0.1, 1.0]))
    return {
        "experts": experts, "top": top,
        "selected": [routing(rng, tokens, experts, top, skew) for _ in range(checkpoints)],
        "weights": [rng.random((tokens, top)) for _ in range(checkpoints)],
        "probabilities": [rng.dirichlet(np.ones(experts), tokens) for _ in range(checkpoints)],
        "tokens": rng.zipf(1.5, tokens) % 7, "domains": rng.integers(0, 3, tokens),
    }  # fmt: skip


def saved(path: Path, run: dict) -> Path:
    arrays = {"tokens": run["tokens"], "domains": run["domains"], "experts": run["experts"]}
    for t, selected in enumerate(run["selected"]):
        arrays[f"checkpoint{t}/layer0"] = selected
        arrays[f"checkpoint{t}/weights/layer0"] = run["weights"][t]
        arrays[f"checkpoint{t}/probabilities/layer0"] = run["probabilities"][t]
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("routers")


@settings(max_examples=60, deadline=None)
@given(run=runs())
def test_metrics_are_their_definitions(run, folder):
    """Sets, dictionaries and loops over tokens, as one would write the definitions down."""
    n, k, chosen = run["experts"], run["top"], run["selected"]
    found = analyse(recording(saved(folder / "run.npz", run)), draws=20, workers=1)
    sets = [[set(row) for row in selected.tolist()] for selected in chosen]
    tokens = len(sets[0])
    for t, one in enumerate(found.found):
        use = Counter(e for s in sets[t] for e in s)
        shares = [use[e] / tokens for e in range(n)]
        assert one.shares == pytest.approx(shares)
        assert one.jain.value == pytest.approx(sum(shares) ** 2 / (n * sum(s**2 for s in shares)))
        assert one.jain.value >= k / n - 1e-12  # shares are at most 1
        p = [s / k for s in shares if s > 0]
        entropy = 1.0 if n == 1 else -sum(v * math.log(v) for v in p) / math.log(n)
        assert one.entropy.value == pytest.approx(entropy)
        assert one.dead == tuple(e for e in range(n) if shares[e] < 0.01 * k / n)
        assert one.overloaded == tuple(e for e in range(n) if shares[e] > 2.0 * k / n)
        if len(sets) > 1:
            overlap = sum(len(a & b) for a, b in zip(sets[t], sets[-1], strict=True))
            assert one.saturation.value == pytest.approx(overlap / (tokens * k))
        else:
            assert one.saturation is None
        if t + 1 < len(sets):
            change = sum(len(b - a) for a, b in zip(sets[t], sets[t + 1], strict=True))
            assert one.change.value == pytest.approx(change / (tokens * k))
        else:
            assert one.change is None
        together = Counter(pair for s in sets[t] for pair in itertools.permutations(s, 2))
        for pair in one.pairs:
            assert pair.tokens == together[pair.a, pair.b]
            assert pair.b_given_a == pytest.approx(together[pair.a, pair.b] / use[pair.a])
            assert pair.a_given_b == pytest.approx(together[pair.a, pair.b] / use[pair.b])
        if k > 1:
            best = [max(together[a, b] / use[a] for b in range(n)) for a in use]
            assert one.coactivation.value == pytest.approx(np.mean(best))
        weight = [
            sum(
                w
                for row, ws in zip(chosen[t], run["weights"][t], strict=True)
                for a, w in zip(row, ws, strict=True)
                if a == e
            )
            for e in range(n)
        ]
        assert one.jain_weight.value == pytest.approx(
            sum(weight) ** 2 / (n * sum(w**2 for w in weight))
        )
        router = run["probabilities"][t]
        assert one.router_entropy.value == pytest.approx(
            np.mean([-sum(v * math.log(v) for v in row if v > 0) for row in router]), abs=1e-12
        )
        balance = n * sum(shares[e] * router[:, e].mean() for e in range(n))
        assert one.balance.value == pytest.approx(balance)
        expected = [
            len(s & set(np.argsort(-row)[:k].tolist()))
            for s, row in zip(sets[t], router, strict=True)
        ]
        assert one.expected.value == pytest.approx(np.mean(expected) / k)


@settings(max_examples=40, deadline=None)
@given(run=runs())
def test_averages_over_types_and_domains_are_their_definitions(run, folder):
    n, k, chosen = run["experts"], run["top"], run["selected"]
    found = analyse(recording(saved(folder / "typed.npz", run)), draws=0, workers=1)
    sets = [[set(row) for row in selected.tolist()] for selected in chosen]
    kinds = sorted(set(run["tokens"].tolist()))
    of = {v: [i for i, w in enumerate(run["tokens"]) if w == v] for v in kinds}
    for t, one in enumerate(found.found):
        types = one.over_types
        assert types.types == len(kinds) == found.types
        shares = [
            np.mean([np.mean([e in sets[t][i] for i in of[v]]) for v in kinds]) for e in range(n)
        ]
        assert types.jain.value == pytest.approx(sum(shares) ** 2 / (n * sum(s**2 for s in shares)))
        if len(sets) > 1:
            overlap = [np.mean([len(sets[t][i] & sets[-1][i]) / k for i in of[v]]) for v in kinds]
            assert types.saturation.value == pytest.approx(np.mean(overlap))
        if t + 1 < len(sets):
            change = [np.mean([len(sets[t + 1][i] - sets[t][i]) / k for i in of[v]]) for v in kinds]
            assert types.change.value == pytest.approx(np.mean(change))
        habits = [
            [
                set(sorted(range(n), key=lambda e: (-sum(e in s[i] for i in of[v]), e))[:k])
                for v in kinds
            ]
            for s in sets
        ]
        if len(sets) > 1:
            kept = [len(a & b) / k for a, b in zip(habits[t], habits[-1], strict=True)]
            assert types.modal_saturation.value == pytest.approx(np.mean(kept))
        if t + 1 < len(sets):
            lost = [len(b - a) / k for a, b in zip(habits[t], habits[t + 1], strict=True)]
            assert types.modal_change.value == pytest.approx(np.mean(lost))
        frequent = [v for v in kinds if len(of[v]) >= 10]
        assert types.frequent == len(frequent)
        if frequent:
            best = [
                max(np.mean([e in sets[t][i] for i in of[v]]) for e in range(n)) for v in frequent
            ]
            assert types.vocabulary.value == pytest.approx(np.mean(best))
        names = sorted(set(run["domains"].tolist()))
        joint = np.array(
            [[sum(e in sets[t][i] for i in np.flatnonzero(run["domains"] == d)) for e in range(n)]
             for d in names]
        )  # fmt: skip
        p = joint / joint.sum()
        information = sum(
            p[d, e] * math.log2(p[d, e] / (p[d].sum() * p[:, e].sum()))
            for d in range(len(names))
            for e in range(n)
            if p[d, e] > 0
        )
        assert one.domains.information.value == pytest.approx(information, abs=1e-12)
        assert found.domain_names == tuple(map(str, names))


@settings(max_examples=30, deadline=None)
@given(run=runs(), cuts=st.lists(st.integers(0, 60), max_size=4), block=st.integers(1, 7))
def test_counts_add_over_chunks_and_parts(run, cuts, block):
    """However the tokens are cut, and merged from two parts, totals are the same."""
    n, k, selected = run["experts"], run["top"], run["selected"][0]

    def counted(rows, pieces=()):
        counts = LayerCounts(n, k, block=block, domains=3)
        edges = sorted({0, len(rows), *(c for c in pieces if c < len(rows))})
        for a, b in itertools.pairwise(edges):
            counts.update(rows[a:b], domains=run["domains"][a:b])
        return counts

    once, cut = counted(selected), counted(selected, cuts)
    for name in ("tokens", "use", "pairs"):
        assert np.array_equal(once.sums.by_block(name), cut.sums.by_block(name))
    middle = len(selected) // 2
    if middle > 0:
        first, second = counted(selected[:middle]), counted(selected[middle:])
        first.merge(second)
        for name in ("tokens", "use", "pairs"):
            assert np.array_equal(first.sums.total(name), once.sums.total(name))


def test_blocks_are_bounded_and_keep_their_totals():
    sums = BlockSums(1)
    for i in range(1000):
        sums.add({"tokens": np.int64(1), "x": np.array([i])})
    assert len(sums) <= 2 * BLOCKS
    assert sums.total("x")[0] == 999 * 500
    assert sums.by_block("tokens").sum() == 1000
    with pytest.raises(ValueError, match="room"):
        sums.add({"tokens": np.int64(sums.room + 1), "x": np.array([0])})
    sums.add({"tokens": np.int64(1), "x": np.array([0])})
    assert sums.room < sums.block
    with pytest.raises(InputError, match="others have not"):
        sums.add({"tokens": np.int64(1)})


def test_types_merge():
    one, two = TypeCounts(3, 4), TypeCounts(3, 4)
    columns = columns_of(np.array([[0, 1], [2, 3]]), 4)
    one.update(np.array([0, 2]), columns)
    two.update(np.array([0, -1]), columns)
    one.merge(two)
    assert one.use.tolist() == [[2, 2, 0, 0], [0] * 4, [0, 0, 1, 1]]
    assert one.occurrences.tolist() == [2, 0, 1]


def test_random_routing_gives_the_baselines(tmp_path):
    """The means over repetitions are the printed ones."""
    rng = np.random.default_rng(0)
    n, k, tokens = 8, 2, 400
    jain, entropy, information = [], [], []
    domains = np.repeat([0, 1], tokens // 2)
    for _ in range(300):
        counts = LayerCounts(n, k, domains=2)
        counts.update(routing(rng, tokens, n, k), domains=domains)
        use = counts.sums.total("use")
        jain.append(metrics.jain(use))
        entropy.append(metrics.utilisation_entropy(use))
        information.append(metrics.mutual_information(counts.sums.total("domain")))
    for values, random in (
        (jain, metrics.jain_random(n, k, tokens)),
        (entropy, metrics.utilisation_entropy_random(n, k, tokens)),
        (information, metrics.mutual_information_random(2, n, k, tokens)),
    ):
        spread = np.std(values) / math.sqrt(len(values))
        assert abs(np.mean(values) - random) < 4.0 * spread
    two = {f"checkpoint{t}/layer0": routing(rng, 20_000, n, k) for t in range(2)}
    np.savez(tmp_path / "random.npz", **two, experts=n)
    one = analyse(recording(tmp_path / "random.npz")).found[0]
    assert one.saturation.low < one.saturation.random == k / n < one.saturation.high
    assert one.change.low < one.change.random == 1.0 - k / n < one.change.high
    assert one.pairs[0].b_given_a == pytest.approx((k - 1) / (n - 1), abs=0.03)


def test_a_balanced_router_has_a_load_balance_of_k():
    n, k = 6, 2
    use = np.full(n, 100.0 * k / n)
    assert metrics.load_balance(use, np.full(n, 100.0 / n), np.array(100)) == pytest.approx(k)
    collapsed = np.array([100.0, 0, 0, 0, 0, 0])
    assert metrics.load_balance(collapsed, collapsed, np.array(100)) == pytest.approx(n)


@pytest.mark.parametrize("statistic", ["jain", "saturation"])
def test_intervals_cover(statistic):
    """Of 95 % intervals of skewed routing whose neighbours agree, few miss (seed 1)."""
    rng = np.random.default_rng(1)
    p = np.array([0.4, 0.3, 0.15, 0.1, 0.05])
    agree, block, blocks, hits = 0.6, 40, 64, 0
    for trial in range(500):
        bootstrap = Bootstrap(trial, draws=300)
        if statistic == "jain":
            # within a block half of the tokens repeat one expert
            use = rng.multinomial(block // 2, p, blocks)
            use += (block - block // 2) * rng.multinomial(1, p, blocks)
            found = bootstrap.estimate(metrics.jain, use, most=1.0)
            truth = metrics.jain(p)
        else:
            overlap = rng.binomial(block, agree, blocks)
            count = np.full(blocks, block)
            found = bootstrap.estimate(
                lambda h, t: metrics.saturation(h, t, 1), overlap, count, most=1.0
            )
            truth = agree
        hits += found.low <= truth <= found.high
    assert 455 <= hits < 500


# what is published otherwise


def test_neighbouring_ranks_miss_pairs():
    """0 and 2 are always selected together; counting neighbours of the ranking only, never."""
    rows = np.array([[0, 1, 2], [0, 3, 2], [2, 1, 0], [0, 4, 2]])
    neighbours = Counter(
        frozenset(pair) for row in rows.tolist() for pair in itertools.pairwise(row)
    )
    assert neighbours[frozenset({0, 2})] == 0
    counts = LayerCounts(5, 3)
    counts.update(rows)
    given = metrics.coactivation(counts.sums.total("pairs"), counts.sums.total("use"))
    assert given[0, 2] == given[2, 0] == 1.0


def test_logits_do_not_say_what_a_biased_router_selects(tmp_path):
    """A selection bias, as in DeepSeek-V3: the top of the probabilities is another set."""
    rng = np.random.default_rng(2)
    scores = rng.dirichlet(np.ones(8), 2000)
    bias = np.linspace(0.0, 0.3, 8)
    selected = np.argsort(-(scores + bias), axis=1)[:, :2]
    np.savez(tmp_path / "run.npz", **{"layer0": selected, "probabilities/layer0": scores})
    found = analyse(recording(tmp_path / "run.npz"))
    assert found.found[0].expected.high < 0.9
    assert "selection bias or grouping" in plain(terminal(found))
    np.savez(tmp_path / "logits.npz", layer0=scores)
    with pytest.raises(InputError, match="logits do not say what was selected"):
        recording(tmp_path / "logits.npz")


def test_types_and_occurrences_differ(tmp_path):
    """One frequent type with an expert of its own: uneven over tokens, even over types."""
    tokens = np.concatenate([np.zeros(900, int), np.arange(1, 101)])
    selected = np.where(tokens == 0, 0, tokens % 4)[:, None]
    np.savez(tmp_path / "run.npz", layer0=selected, tokens=tokens, experts=4)
    one = analyse(recording(tmp_path / "run.npz")).found[0]
    assert one.jain.value < 0.35
    assert one.over_types.jain.value > 0.99


@settings(max_examples=30, deadline=None)
@given(run=runs(), seed=st.integers(0, 2**32))
def test_between_layers(run, seed, folder):
    """Over all pairs of an expert of one layer and one of the next."""
    n, first = run["experts"], run["selected"][0]
    rng = np.random.default_rng(seed)
    second = routing(rng, len(first), n, int(rng.integers(1, n + 1)), 0.2)
    np.savez(folder / "between.npz", layer3=first, layer5=second, experts=n)
    (found,) = analyse(recording(folder / "between.npz"), between=True, draws=0).between
    assert (found.layer, found.next) == (3, 5)
    pairs = Counter(
        pair
        for a, b in zip(first.tolist(), second.tolist(), strict=True)
        for pair in itertools.product(a, b)
    )
    total, use = sum(pairs.values()), Counter(first.ravel().tolist())
    left = {a: sum(pairs[a, b] for b in range(n)) for a in range(n)}
    right = {b: sum(pairs[a, b] for a in range(n)) for b in range(n)}
    expected = sum(
        c / total * math.log2(c * total / (left[a] * right[b])) for (a, b), c in pairs.items()
    )
    assert found.information.value == pytest.approx(expected, abs=1e-12)
    assert found.b_given_a == pytest.approx(pairs[found.a, found.b] / use[found.a])


def test_layers_that_select_at_random_share_what_is_printed():
    rng = np.random.default_rng(7)
    n, k, other, tokens = 6, 2, 3, 500
    values = []
    for _ in range(200):
        one = columns_of(routing(rng, tokens, n, k), n)
        two = columns_of(routing(rng, tokens, n, other), n)
        values.append(metrics.mutual_information(transitions(one, two, n)))
    spread = np.std(values) / math.sqrt(len(values))
    assert abs(np.mean(values) - metrics.between_random(n, k, other, tokens)) < 4.0 * spread


# recordings


def small(path: Path, checkpoints=(0, 10), layers=2, tokens=50, experts=6, top=2):
    rng = np.random.default_rng(3)
    arrays = {
        f"checkpoint{t}/layer{at}": routing(rng, tokens, experts, top).astype(np.uint8)
        for t in checkpoints
        for at in range(layers)
    }
    arrays["tokens"] = rng.integers(0, 5, tokens)
    arrays["domains"] = np.array(["prose", "code"])[rng.integers(0, 2, tokens)]
    arrays["experts"] = np.array(experts)
    np.savez(path, **arrays)
    return arrays


def write_safetensors(path: Path, arrays: dict) -> None:
    kinds = {"uint8": "U8", "int64": "I64", "int32": "I32", "float32": "F32"}
    header, data = {"__metadata__": {"experts": str(int(arrays["experts"]))}}, b""
    for name, array in arrays.items():
        if array.dtype.name in kinds and array.ndim:
            raw = np.ascontiguousarray(array).tobytes()
            header[name] = {
                "dtype": kinds[array.dtype.name], "shape": list(array.shape),
                "data_offsets": [len(data), len(data) + len(raw)],
            }  # fmt: skip
            data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def test_all_formats_read_the_same(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = small(tmp_path / "a.npz")
    expected = analyse(recording(tmp_path / "a.npz"))
    np.savez_compressed(tmp_path / "b.npz", **arrays)
    fortran = {k: np.asfortranarray(v) for k, v in arrays.items()}
    np.savez(tmp_path / "c.npz", **fortran)
    write_safetensors(tmp_path / "d.safetensors", arrays)
    names = ("prose", "code")
    numbers = {**arrays, "domains": np.array([names.index(d) for d in arrays["domains"]])}
    np.savez(tmp_path / "named.npz", domain_names=np.array(names), **numbers)
    columns = {k: v for k, v in arrays.items() if k != "experts"}
    fixed = {
        k: pa.FixedSizeListArray.from_arrays(pa.array(v.ravel()), v.shape[1]) if v.ndim == 2
        else pa.array(v)
        for k, v in columns.items()
    }  # fmt: skip
    pq.write_table(pa.table(fixed), tmp_path / "e.parquet", row_group_size=13)
    lists = {k: pa.array(v.tolist()) for k, v in columns.items()}
    pq.write_table(pa.table(lists), tmp_path / "f.parquet", row_group_size=7)
    for name in ("b.npz", "c.npz", "e.parquet", "f.parquet"):
        assert analyse(recording(tmp_path / name), experts=6).found == expected.found
    without = recording(tmp_path / "d.safetensors", str(tmp_path / "a.npz"))
    assert analyse(without).found == expected.found
    other = analyse(recording(tmp_path / "named.npz"))
    assert other.domain_names == names
    assert other.found[0].domains.information.value == pytest.approx(
        expected.found[0].domains.information.value
    )
    folder = tmp_path / "folder"
    folder.mkdir()
    for t in (0, 10):
        for part, rows in enumerate((slice(0, 20), slice(20, None))):
            pieces = {f"layer{at}": arrays[f"checkpoint{t}/layer{at}"][rows] for at in range(2)}
            pieces |= {name: arrays[name][rows] for name in ("tokens", "domains")}
            np.savez(folder / f"checkpoint{t}-part{part}.npz", experts=6, **pieces)
    assert analyse(recording(folder)).found == expected.found
    alone = tmp_path / "alone"
    alone.mkdir()
    for t in (0, 10):
        layers = {f"layer{at}": arrays[f"checkpoint{t}/layer{at}"] for at in range(2)}
        np.savez(alone / f"checkpoint{t}.npz", experts=6, **layers)
    np.savez(alone / "tokens.npz", tokens=arrays["tokens"], domains=arrays["domains"])
    assert analyse(recording(alone)).found == expected.found


def test_chunks_and_threads_do_not_change_anything(tmp_path, monkeypatch):
    small(tmp_path / "a.npz", tokens=500)
    expected = analyse(recording(tmp_path / "a.npz"), workers=1)
    assert analyse(recording(tmp_path / "a.npz"), workers=3) == expected
    told = []
    monkeypatch.setattr("identkit.routers.analysis.CHUNK", 3)
    again = analyse(recording(tmp_path / "a.npz"), progress=lambda *step: told.append(step))
    totals = [(one.jain.value, one.saturation.value, one.pairs) for one in expected.found]
    assert [(one.jain.value, one.saturation.value, one.pairs) for one in again.found] == totals
    assert told[-1][0] == told[-1][1] == 2 * 2 * 500


def test_only_the_most_frequent_types(tmp_path):
    arrays = small(tmp_path / "a.npz", tokens=200)
    found = analyse(recording(tmp_path / "a.npz"), types=2)
    assert found.found[0].over_types.types == 2
    assert any("2 most frequent of 5: as asked" in note for note in found.notes)
    kept = [v for v, _ in Counter(arrays["tokens"].tolist()).most_common(2)]
    rows = arrays["checkpoint0/layer0"]
    means = [
        np.mean([[e in r for e in range(6)] for r in rows[arrays["tokens"] == v]], axis=0)
        for v in kept
    ]
    assert found.found[0].over_types.jain.value == pytest.approx(
        float(metrics.jain(np.mean(means, axis=0)))
    )


def test_other_tokens_are_not_compared(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    rng = np.random.default_rng(4)
    for t in (1, 2):
        np.savez(
            folder / f"checkpoint{t}.npz", layer0=routing(rng, 30, 5, 2),
            tokens=rng.integers(0, 9, 30),
        )  # fmt: skip
    found = analyse(recording(folder))
    assert all(one.saturation is None and one.change is None for one in found.found)
    assert any("different tokens" in note for note in found.notes)
    assert any("greatest index + 1" in note for note in found.notes)


def test_too_few_tokens_have_no_interval(tmp_path):
    np.savez(tmp_path / "a.npz", layer0=np.array([[0, 1], [1, 2], [0, 2]]), experts=3)
    found = analyse(recording(tmp_path / "a.npz"))
    assert found.found[0].jain.low is None
    assert found.found[0].jain.value == 1.0
    assert any("too few tokens" in note for note in found.notes)


GOOD = np.array([[0, 1], [1, 2], [2, 0]] * 5)
WRONG = {
    "nothing": ({"other": GOOD}, {}, "no array of selected experts"),
    "logits": ({"layer0": GOOD / 3.0}, {}, "record the indices"),
    "one slot as a vector": ({"layer0": GOOD[:, 0]}, {}, "has shape"),
    "objects": ({"layer0": np.array([[None, 1]])}, {}, "unpickling"),
    "a padded token": ({"layer0": np.vstack([GOOD, [[-1, -1]]])}, {}, "expert -1 is selected"),
    "an expert twice": ({"layer0": np.vstack([GOOD, [[1, 1]]])}, {}, "selects expert 1 twice"),
    "too few experts": ({"layer0": GOOD}, {"experts": 2}, "expert 2 is selected but there are 2"),
    "two numbers": ({"layer0": GOOD, "experts": 3}, {"experts": 4}, "3 and 4 experts are stated"),
    "lengths": ({"layer0": GOOD, "layer1": GOOD[:4]}, {}, "has 4 rows where"),
    "a missing layer": (
        {"checkpoint1/layer0": GOOD, "checkpoint2/layer0": GOOD, "checkpoint2/layer1": GOOD}, {},
        "checkpoint 1 has no layer 1",
    ),
    "k changes": (
        {"checkpoint1/layer0": GOOD, "checkpoint2/layer0": GOOD[:, :1]}, {}, "the same k",
    ),
    "tokens": ({"layer0": GOOD, "tokens": np.arange(4)}, {}, "has 4 rows where"),
    "tokens below 0": ({"layer0": GOOD, "tokens": np.full(15, -1)}, {}, "leave out padded tokens"),
    "text for tokens": ({"layer0": GOOD, "tokens": np.array(["a"] * 15)}, {}, "holds no ids"),
    "many domains": ({"layer0": np.tile(GOOD, (100, 1)), "domains": np.arange(1500)}, {}, "1,024"),
    "integer weights": ({"layer0": GOOD, "weights/layer0": GOOD}, {}, "no real numbers"),
    "negative weights": (
        {"layer0": GOOD, "weights/layer0": GOOD - 1.5}, {}, "no routing weights",
    ),
    "weights alone": (
        {"layer0": GOOD, "weights/layer1": GOOD / 2.0}, {}, "has weights of layer 1",
    ),
    "token ids for experts": ({"layer0": GOOD * 5000}, {}, "are these token ids"),
    "types without tokens": ({"layer0": GOOD}, {"types": 5}, "has no tokens"),
    "a level": ({"layer0": GOOD}, {"level": 2.0}, "no level"),
    "a bound": ({"layer0": GOOD}, {"dead_below": 2.0}, "between 0 and 1"),
    "domain names": (
        {"layer0": GOOD, "domains": np.full(15, 2), "domain_names": np.array(["a"])}, {},
        "has none of the 1 domain_names",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_recordings_are_one_sentence(case, tmp_path):
    arrays, options, said = WRONG[case]
    np.savez(tmp_path / "run.npz", **arrays)
    with pytest.raises(InputError, match=said) as error:
        analyse(recording(tmp_path / "run.npz"), **options)
    assert str(error.value).endswith(".")
    assert "\n" not in str(error.value)


def test_wrong_files_are_one_sentence(tmp_path, capsys):
    with pytest.raises(InputError, match="no such file"):
        recording(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "text.safetensors").write_text("no header at all")
    (tmp_path / "text.parquet").write_text("no columns")
    for ending in ("npz", "safetensors", "parquet"):
        with pytest.raises(InputError, match=f"not a file of format {ending}"):
            recording(tmp_path / f"text.{ending}")
    (tmp_path / "run.csv").write_text("0,1")
    with pytest.raises(InputError, match="recordings end in"):
        recording(tmp_path / "run.csv")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="has no recordings"):
        recording(empty)
    np.savez(empty / "last.npz", layer0=GOOD)
    with pytest.raises(InputError, match="says no checkpoint"):
        recording(empty)
    np.savez(tmp_path / "cut.npz", layer0=np.tile(GOOD, (1000, 1)))
    whole = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged"):
        recording(tmp_path / "cut.npz")
    small(tmp_path / "a.npz")
    write_safetensors(tmp_path / "short.safetensors", dict(np.load(tmp_path / "a.npz")))
    whole = (tmp_path / "short.safetensors").read_bytes()
    (tmp_path / "short.safetensors").write_bytes(whole[:-20])
    with pytest.raises(InputError, match="ends before the array"):
        recording(tmp_path / "short.safetensors")
    assert main(["routers", str(tmp_path / "none.npz")]) == 2
    assert capsys.readouterr().err.startswith("identkit: ")


# the command


def test_the_command(tmp_path, capsys):
    small(tmp_path / "a.npz", tokens=300)
    run = str(tmp_path / "a.npz")
    assert main(["routers", run, "--draws", "50", "--between"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines()[1:])) <= 80
    for part in ("random routing: saturation 0.333, change 0.667", "Jain's index", "dead", "prose",
                 "over checkpoints", "between layers", "50 draws, seed 0"):  # fmt: skip
        assert part in text
    figure, html = str(tmp_path / "a.svg"), str(tmp_path / "a.html")
    drawn = ["--figure", figure, "--html", html, "--between"]
    assert main(["routers", run, "--draws", "50", "--json", *drawn]) == 0
    found = json.loads(capsys.readouterr().out)
    Draft202012Validator(schema("routers-1")).validate(found)
    assert found["found"][0]["saturation"]["random"] == pytest.approx(1 / 3)
    assert Path(figure).read_text(encoding="utf-8").startswith("<?xml")
    shown = Path(html).read_text(encoding="utf-8")
    inside = json.loads(shown.partition('id="data">')[2].partition("</script>")[0])
    inside.pop("title")
    assert inside == found
    assert "http" not in shown.replace("http-equiv", "")
    again = analyse(recording(run), draws=50, between=True)
    assert page(again) == shown


NASTY = "</script><b onload='x'>&\x1b[2J"


@pytest.mark.parametrize("full", [True, False])
def test_the_page_is_sound(tmp_path, full):
    rng = np.random.default_rng(6)
    arrays = {f"checkpoint{t}/layer0": routing(rng, 40, 5, 2) for t in range(2)}
    if full:
        arrays |= {"tokens": rng.integers(0, 4, 40), "domains": np.array(["a", NASTY] * 20)}
    np.savez(tmp_path / "a & b.npz", **arrays)
    text = page(analyse(recording(tmp_path / "a & b.npz"), draws=20))
    tree = Tree(text)
    test_rates_page.test_it_is_one_document(text, tree)
    test_rates_page.test_ids_are_unique_and_found(tree)
    test_rates_page.test_nothing_is_loaded(text, tree)
    test_rates_page.test_headings_are_in_order(tree)
    for table in re.findall(r"<table.*?</table>", text, flags=re.S):
        columns = len(re.findall(r'<th scope="col"', table))
        for row in re.findall(r"<tr.*?</tr>", table, flags=re.S):
            wide = sum(int(n) - 1 for n in re.findall(r'colspan="(\d+)"', row))
            assert len(re.findall(r"<t[hd][ >]", row)) + wide == columns
    assert not tree.of("b")


@settings(max_examples=15, deadline=None)
@given(run=runs())
def test_every_document_is_of_the_schema(run, folder):
    found = analyse(recording(saved(folder / "schema.npz", run)), draws=20, workers=1)
    made = json.loads(json.dumps(document(found), allow_nan=False))
    Draft202012Validator(schema("routers-1")).validate(made)
    assert max(map(len, plain(terminal(found)).splitlines()[1:])) <= 80


def test_many_layers_are_summed_up(tmp_path):
    small(tmp_path / "a.npz", checkpoints=range(6), layers=9, tokens=20)
    text = plain(terminal(analyse(recording(tmp_path / "a.npz"), draws=10)))
    assert "means over layers [least, greatest]" in text
    assert len(text.splitlines()) < 120


# the recorder


def tiny(torch, seed: int = 0):
    """A layer of 6 experts, top-2, that is trained below; its router returns what it selects."""

    class Router(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.map = torch.nn.Linear(8, 6, bias=False)

        def forward(self, x):
            logits = self.map(x.reshape(-1, 8))
            weights, indices = logits.softmax(-1).topk(2)
            return logits, weights / weights.sum(-1, keepdim=True), indices

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = torch.nn.Embedding(20, 8)
            self.router = Router()
            self.experts = torch.nn.ModuleList(torch.nn.Linear(8, 8) for _ in range(6))
            self.head = torch.nn.Linear(8, 20)

        def forward(self, ids):
            x = self.embed(ids)
            _, weights, indices = self.router(x)
            outputs = torch.stack([e(x) for e in self.experts], dim=-2).reshape(-1, 6, 8)
            mixed = outputs.gather(1, indices[..., None].expand(-1, -1, 8)) * weights[..., None]
            return self.head(x + mixed.sum(1).reshape(x.shape))

    torch.manual_seed(seed)
    return Model()


def test_a_trained_model_recorded_and_counted_by_hand(tmp_path):
    """Against a script in the way of OLMoE's, which loops over lists; over all pairs here."""
    import torch

    from identkit.routers.recorder import RouterRecorder

    model = tiny(torch)
    ids = torch.randint(0, 20, (4, 32))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    by_hand = {}
    with RouterRecorder(model, tmp_path / "run", weights=True, part_bytes=100) as recorder:
        assert recorder.routers == ("router",)
        for step in range(30):
            recorder.recording = step % 10 == 0
            if recorder.recording:
                recorder.checkpoint(step)
                recorder.tokens(ids)
                with torch.no_grad():
                    model(ids)
                    recorder.recording = False
                    by_hand[step] = model.router(model.embed(ids))[2].tolist()
            loss = torch.nn.functional.cross_entropy(
                model(ids).reshape(-1, 20), ids.roll(-1, 1).reshape(-1)
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    assert not model.router._forward_hooks
    found = analyse(recording(tmp_path / "run"))
    assert found.experts == 6
    assert found.checkpoints == (0, 10, 20)
    flat = ids.reshape(-1).tolist()
    final = by_hand[20]
    for one in found.found:
        here = by_hand[one.checkpoint]
        ratio = [len(set(a) & set(b)) / 2 for a, b in zip(here, final, strict=True)]
        assert one.saturation.value == pytest.approx(np.mean(ratio))
        single, double = Counter(), Counter()
        for row in here:
            for a in row:
                single[a] += 1
            for a, b in itertools.combinations(row, 2):
                double[a, b] += 1
                double[b, a] += 1
        strongest = max(double[a, b] / single[a] for a, b in double)
        first = one.pairs[0]
        assert max(first.b_given_a, first.a_given_b) == pytest.approx(strongest)
        of = {v: [row for t, row in zip(flat, here, strict=True) if t == v] for v in set(flat)}
        best = [
            max(Counter(e for row in rows for e in row).values()) / len(rows)
            for rows in of.values()
            if len(rows) >= 10
        ]
        if best:
            assert one.over_types.vocabulary.value == pytest.approx(np.mean(best))
        assert one.jain_weight is not None


def test_the_recorder_leaves_out_padded_tokens(tmp_path):
    import torch

    from identkit.routers.recorder import RouterRecorder

    model = tiny(torch)
    ids = torch.randint(0, 20, (2, 10))
    keep = ids != 3
    with RouterRecorder(model, tmp_path / "run", experts=6) as recorder:
        for domain in (0, 1):
            recorder.tokens(ids, domains=domain, keep=keep)
            model(ids)
    found = recording(tmp_path / "run")
    assert found.length(0) == 2 * int(keep.sum())
    analysed = analyse(found)
    assert analysed.found[0].domains.tokens == (int(keep.sum()),) * 2
    with np.load(tmp_path / "run" / "checkpoint0-part0.npz") as arrays:
        assert arrays["layer0"].dtype == np.uint8
        assert 3 not in arrays["tokens"]


def test_the_recorder_keeps_what_it_has(tmp_path):
    """When training fails, and when one comes back to a checkpoint."""
    import torch

    from identkit.routers.recorder import RouterRecorder

    model = tiny(torch)
    ids = torch.randint(0, 20, (1, 5))

    def train():
        with RouterRecorder(model, tmp_path / "run") as recorder:
            for checkpoint in (0, 1, 0):
                recorder.checkpoint(checkpoint)
                recorder.tokens(ids)
                model(ids)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train()
    assert not model.router._forward_hooks
    found = recording(tmp_path / "run")
    assert [found.length(t) for t in (0, 1)] == [10, 5]


def test_what_the_recorder_refuses(tmp_path):
    import torch

    from identkit.routers.recorder import RouterRecorder

    model = tiny(torch)
    ids = torch.randint(0, 20, (1, 5))
    with pytest.raises(InputError, match="no module of the model is called"):
        RouterRecorder(torch.nn.Linear(2, 2), tmp_path / "a")
    with pytest.raises(InputError, match="'lost' is no module"):
        RouterRecorder(model, tmp_path / "a", routers=["lost"])
    with (
        pytest.raises(InputError, match="logits do not say"),
        RouterRecorder(model, tmp_path / "b", routers=["router.map"]),
    ):
        model(ids)
    recorder = RouterRecorder(model, tmp_path / "c")
    recorder.tokens(ids)
    model(ids)
    model(ids)
    with pytest.raises(InputError, match="call tokens\\(\\) before"):
        recorder.close()
    read = {"router.map": lambda module, inputs, output: output.topk(2).indices}
    with RouterRecorder(model, tmp_path / "d", routers=read, experts=6):
        model(ids)
    assert recording(tmp_path / "d").length(0) == 5
    with pytest.raises(InputError, match="has recordings already"):
        RouterRecorder(model, tmp_path / "d")
    with pytest.raises(InputError, match="give one each"):
        RouterRecorder(model, tmp_path / "e").tokens(ids, keep=[True])


def test_overlaps_of_wide_indices():
    """More than 256 experts do not wrap."""
    rng = np.random.default_rng(5)
    one, two = (routing(rng, 50, 600, 4) for _ in range(2))
    found = overlaps(columns_of(one, 600), columns_of(two, 600))
    assert found.tolist() == [len(set(a) & set(b)) for a, b in zip(one, two, strict=True)]
    counts = LayerCounts(600, 4)
    counts.update(one)
    assert counts.sums.total("pairs").sum() == 50 * 4 * 3
