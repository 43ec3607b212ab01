"""Truths in files and what else has their density: the four published ones, and mistakes.

Densities are written here once more, with mpmath: what identkit proves in normal form and encloses
in balls is compared with numbers that come from no code of identkit.
"""

from __future__ import annotations

import json

import mpmath
import pytest

from identkit.architecture.compared import compared
from identkit.architecture.given import OtherMeasure, constant_weights
from identkit.architecture.measures import differ, in_decimals
from identkit.cli.main import main
from identkit.domain import Domain
from identkit.errors import InputError
from identkit.truths.alternatives import alternatives_of
from identkit.truths.record import load_truths, settings

PUBLISHED = load_truths("deepseek-published")
FOUND = {t.name: alternatives_of(t, seed=3) for t in PUBLISHED.truths}
LOW, HIGH = 0.2689414213699951, 0.7310585786300049  # weights of ∓1/2 under softmax
FLAT = 0.3775406687981454, 0.6224593312018546  # under a normalised σ

TABLE = """
name = "mine"
[[truth]]
name = "A"
gate = "softmax"
experts = {shared = "a*x + b", routed = "a*x + b"}
shared = [{omega = "1", eta = {a = 2, b = 0}, variance = "1/5"}]
routed = [{beta0 = 0, beta1 = [5], eta = {a = 8, b = 2}, variance = 0.4}]
"""


def names(truth):
    return [other.name for other, _ in FOUND[truth].found]


def one(truth, name, said=""):
    """The measure of one gauge, in decimals: (routed rows, shared rows) of floats."""
    other = next(o for o, _ in FOUND[truth].found if o.name == name and said in o.said)
    return other, rows(in_decimals(other.measure))


def rows(measure):
    return tuple(
        [
            (
                *(float(v) for _, texts in atom.weight for v in texts),
                *(float(v) for _, v in atom.eta),
                float(atom.variance),
            )
            for atom in half
        ]
        for half in (measure.routed, measure.shared)
    )


# -- the known answers ------------------------------------------------------------------------


def test_the_file_that_comes_with_identkit():
    assert set(settings()) >= {"deepseek-published"}
    assert [(t.name, t.loss, t.exponent) for t in PUBLISHED.truths] == [
        ("T1", "D1", 0.451), ("T2", "D2", 0.517), ("T3", "D3", 0.46), ("T4", "D4", 0.552),
    ]  # fmt: skip
    assert {t.fitted for t in PUBLISHED.truths} == {(2, 3)}


def test_halves_of_t1_t2_and_t3_are_exchanged():
    _, (routed, shared) = one("T1", "exchange of the halves")
    assert shared == [
        pytest.approx((LOW, 4, -12, 0, 0.4), abs=1e-16),
        pytest.approx((HIGH, 4, 12, 0, 0.4), abs=1e-16),
    ]
    assert [r[2:] for r in routed] == [(-8, 6, 0.25)]
    _, (routed, shared) = one("T2", "exchange of the halves")
    assert shared == [
        pytest.approx((LOW, 8, 2, 0.4), abs=1e-16),
        pytest.approx((HIGH, -6, 1, 0.4), abs=1e-16),
    ]
    assert [r[2:] for r in routed] == [(2, 0, 0.2)]
    _, (routed, shared) = one("T3", "exchange of the halves")
    assert shared == [
        pytest.approx((FLAT[0], 4, -12, 0, 0.4), abs=2e-16),
        pytest.approx((FLAT[1], 4, 12, 0, 0.4), abs=2e-16),
    ]
    assert [r[2:] for r in routed] == [(-8, 6, 0.25)]


def test_the_scale_of_t3():
    _, (routed, _) = one("T3", "common factor")
    betas = [r[1] for r in routed]
    assert betas == pytest.approx([-1.45802008794703, -0.794376769417643], abs=1e-14)


def test_orbits_of_relu():
    """T1, T3 and T4 have them, of every atom with a ReLU; T2 has none."""
    for truth, shared, routed in (("T1", 1, 2), ("T2", 0, 0), ("T3", 1, 2), ("T4", 1, 0)):
        orbits = [o for o, _ in FOUND[truth].found if o.name == "orbit"]
        halves = [o.said.split()[0] for o in orbits]
        assert (halves.count("shared"), halves.count("routed")) == (shared, routed)
    assert names("T4") == ["orbit"]
    _, (_, shared) = one("T4", "orbit", "shared atom 1")
    assert shared[0][1] * shared[0][2] == -48
    assert shared[0][1] != -8


def test_a_continuous_family_inside_two_and_three_atoms():
    """Shared {V_s: 1 − p, V_r2: p}, routed {V_r1: w1, V_r2: w2 − p, V_s: p}, 0 ≤ p ≤ w2."""
    for truth, most in (("T1", HIGH), ("T2", HIGH), ("T3", FLAT[1])):
        other, _ = one(truth, "transport between the halves")
        assert other.family is not None
        assert (len(other.family.shared), len(other.family.routed)) == (2, 3)
        assert float(mpmath.mpf(number(other.most))) == pytest.approx(most, abs=1e-15)
        assert [dict(a.weight)["omega"] for a in other.family.shared] == [("1 - p",), ("p",)]
    assert "transport between the halves" not in names("T4")


def test_what_cannot_be_moved_is_said():
    reasons = {n.gauge.name: n.reason for n in FOUND["T4"].none}
    assert reasons["common factor"] == "it needs: every β1* = 0"
    assert any(n.name == "exchange of the halves" and n.excluded for n in FOUND["T4"].absent)


# -- proof and digits -------------------------------------------------------------------------


def number(text):
    """A number of a measure by mpmath, without identkit's parser."""
    import re

    with mpmath.workdps(60):
        body = re.sub(r"(?<![\w.])(\d+)", r"mpf(\1)", text)
        known = {"mpf": mpmath.mpf, "log": mpmath.log, "exp": mpmath.exp}
        return mpmath.mpf(eval(body, {"__builtins__": {}, **known}))


H = {
    "c*relu(a*x + b)": lambda x, c, a, b: c * max(a * x + b, mpmath.mpf(0)),
    "c*relu(a*x)": lambda x, c, a: c * max(a * x, mpmath.mpf(0)),
    "a*x + b": lambda x, a, b: a * x + b,
}
W = {"softmax": mpmath.exp, "normalized-sigmoid": lambda s: 1 / (1 + mpmath.exp(-s))}


def log_density(truth, measure, x, y):
    """log(½ Σ ω N + ½ Σ w N) at 60 digits."""
    x, y = number(x), number(y)

    def normal(expert, atom):
        h = H[expert.written](x, *(number(v) for _, v in atom.eta))
        v = number(atom.variance)
        return mpmath.exp(-((y - h) ** 2) / (2 * v)) / mpmath.sqrt(2 * mpmath.pi * v)

    weights = []
    for atom in measure.routed:
        gate = dict(atom.weight)
        weights.append(W[truth.gate.name](number(gate["beta1"][0]) * x + number(gate["beta0"][0])))
    pairs = zip(weights, measure.routed, strict=True)
    routed = sum(w * normal(truth.expert, atom) for w, atom in pairs) / sum(weights)
    shared = sum(
        number(dict(a.weight)["omega"][0]) * normal(truth.shared, a) for a in measure.shared
    )
    return mpmath.log((routed + shared) / 2)


@pytest.mark.parametrize("truth", PUBLISHED.truths, ids=lambda t: t.name)
def test_densities_are_equal_to_fifty_digits(truth):
    found = FOUND[truth.name]
    assert found.complete
    assert found.found
    with mpmath.workdps(60):
        for other, values in found.found:
            assert differ(truth.measure, other.measure)
            assert len(values) == 3
            for v in values:
                own = [log_density(truth, m, v.x[0], v.y) for m in (truth.measure, other.measure)]
                assert abs(own[0] - own[1]) < 1e-50
                assert abs(own[0] - mpmath.mpf(v.one)) < mpmath.mpf(10) ** -47 * (1 + abs(own[0]))
                assert v.gap < 1e-80


@pytest.mark.parametrize("truth", PUBLISHED.truths[:3], ids=lambda t: t.name)
def test_the_family_is_one_at_any_mass(truth):
    """The densities at p = 1/7 and 1/3, put in as text, with mpmath."""
    other, _ = one(truth.name, "transport between the halves")
    for mass in ("(1/7)", "(1/3)"):
        measure = put(other.family, mass)
        with mpmath.workdps(60):
            for x, y in (("-1/3", "2/7"), ("5/4", "13"), ("2", "-9")):
                gap = log_density(truth, truth.measure, x, y) - log_density(truth, measure, x, y)
                assert abs(gap) < 1e-50


def put(measure, mass):
    from dataclasses import replace

    def text(value):
        return value.replace("exp", "EXP").replace("p", mass).replace("EXP", "exp")

    def atom(own):
        weight = tuple((b, tuple(map(text, v))) for b, v in own.weight)
        return replace(own, weight=weight)

    return replace(
        measure, routed=tuple(map(atom, measure.routed)), shared=tuple(map(atom, measure.shared))
    )


def test_a_measure_that_is_no_pair_is_seen():
    """The exchanged measure with one number off: not proved, and the digits differ."""
    from dataclasses import replace

    truth = PUBLISHED["T2"]
    other, _ = one("T2", "exchange of the halves")
    atom = replace(other.measure.routed[0], variance="1/4")
    wrong = replace(other.measure, routed=(atom,))
    setting = truth.setting()
    assert not setting.same(truth.measure, wrong)
    values = compared(setting, truth.measure, wrong, domain=Domain(), seed=0)
    assert max(v.gap for v in values) > 1e-4


def test_weights_that_depend_on_x_are_not_constants():
    t4, t1 = PUBLISHED["T4"], PUBLISHED["T1"]
    assert constant_weights(t4.setting(), t4.measure) is None
    found = constant_weights(t1.setting(), t1.measure)
    assert [float(w) for w in found] == pytest.approx([LOW, HIGH], abs=1e-15)


# -- files and the command ----------------------------------------------------------------------


def test_a_file_of_ones_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(TABLE)
    loaded = load_truths(path)
    truth = loaded["A"]
    assert truth.fitted == (1, 1)
    assert truth.measure.routed[0].variance == "2/5"  # a decimal is exact
    found = alternatives_of(truth, points=1)
    assert {o.name for o, _ in found.found} >= {"exchange of the halves", "common shift"}
    assert all(isinstance(o, OtherMeasure) for o, _ in found.found)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('omega = "1"', 'omega = "1/2"', "sum to 1"),
        ('variance = "1/5"', 'variance = "-1/5"', "variances positive"),
        ("{a = 8, b = 2}", "{a = 8}", "routed 1: eta: b: is missing"),
        ("{a = 8, b = 2}", '{a = 8, b = "z"}', "no real number"),
        ("beta1 = [5]", "beta1 = [5, 6]", "beta1: has 2 numbers"),
        ("beta1 = [5]", "slope = [5]", "slope"),
        ('gate = "softmax"', 'gate = "cosine"', "not alone"),
        ('"a*x + b", routed', '"a*x0 + b*x1", routed', "other inputs"),
        ('name = "A"', 'name = "A"\nexponent = "x"', "must be a number"),
        ("[[truth]]", "[truth]", "under [[truth]]"),
        ('name = "mine"', "name = ", "TOML"),
        ('name = "mine"', 'name = "mine"\nfitted = {shared = 0, routed = 3}', "fitted: shared"),
        ("experts = {shared", "experts = {beside", "beside"),
    ],
)
def test_mistakes_in_a_file(tmp_path, old, new, said):
    path = tmp_path / "mine.toml"
    assert old in TABLE
    path.write_text(TABLE.replace(old, new))
    with pytest.raises(InputError) as caught:
        load_truths(path)
    assert said in str(caught.value)
    assert "mine.toml" in str(caught.value)


def test_names_that_are_not_known():
    with pytest.raises(InputError, match="deepseek-published"):
        load_truths("deepseek-publisched")
    with pytest.raises(InputError, match="T4"):
        PUBLISHED["T5"]
    with pytest.raises(InputError, match="cannot be read"):
        load_truths("nowhere.toml")


def test_the_command(capsys):
    assert main(["truth", "deepseek-published", "--only", "T3", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (truth,) = document["truths"]
    scale = next(a for a in truth["alternatives"] if a["gauge"] == "common factor")
    betas = [atom["beta0"] for atom in scale["measure"]["decimal"]["routed"]]
    assert betas == pytest.approx([-1.45802008794703, -0.794376769417643], abs=1e-14)
    assert all(v["truth"][:50] == v["other"][:50] for v in scale["values"])
    assert main(["truth", "deepseek-published", "--only", "T2", "--points", "1"]) == 0
    out = capsys.readouterr().out
    assert "NOT IDENTIFIABLE" in out
    assert "0.7310585786300049" in out
    assert max(map(len, out.splitlines())) <= 80


def test_the_command_lists_and_refuses(capsys):
    assert main(["truth", "--list"]) == 0
    assert "deepseek-published" in capsys.readouterr().out
    for arguments, said in (
        (["truth"], "--gate"),
        (["truth", "--gate", "softmax"], "--expert"),
        (["truth", "deepseek-published", "--gate", "softmax"], "--gate"),
        (["truth", "deepseek-published", "--points", "-1"], "--points"),
        (["truth", "nothing"], "known"),
    ):
        assert main(arguments) == 2
        assert said in capsys.readouterr().err


def test_pasted_numbers_are_python(capsys):
    """The block after "to paste" runs, and is the measure."""
    assert main(["truth", "deepseek-published", "--only", "T2", "--points", "0"]) == 0
    text = capsys.readouterr().out.partition("exchange of the halves")[2]
    block = text.partition("  G = {")[2].partition("\n  }")[0]
    scope = {}
    exec("G = {" + block + "\n}", scope)
    assert [a["omega"] for a in scope["G"]["shared"]] == pytest.approx([LOW, HIGH], abs=1e-16)


def test_check_shows_examples_with_their_densities(capsys):
    code = main(
        ["check", "--expr", "a*x", "--gate", "softmax", "--likelihood", "gaussian", "--shared",
         "a*x", "--alternatives", "--dim", "1"]
    )  # fmt: skip
    out = capsys.readouterr().out
    assert code == 0
    assert "transport between the halves: the same p, proved" in out
    assert "log p of both at 3 points" in out
