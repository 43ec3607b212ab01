"""Densities through ``identkit rates`` and ``truth``: searched truths, files, figures, schemas."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("numba")

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import identkit
from identkit.cli import rates_density
from identkit.cli.main import main
from identkit.density.model import DensityModel
from identkit.errors import InputError
from identkit.rates.density_plan import density_setting, exact_measure, measure_of
from identkit.rates.density_search import FLAT, search_density_truth, singular_values
from identkit.report.json_text import schema
from identkit.truths.record import load_truths
from identkit.truths.record import settings as shipped
from identkit.truths.writing import save_truth, truth_text

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = ["--n", "100:400:3", "--reps", "8", "--control", "1", "--budgets", "20,60", "--no-store",
         "--scheduler", "inline"]  # fmt: skip
GELU = ["--expert", "gelu", "--gate", "softmax", "--likelihood", "gaussian"]


@pytest.fixture(autouse=True)
def few_candidates(monkeypatch):
    monkeypatch.setattr(rates_density, "CANDIDATES", 5)


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


# -- truths ---------------------------------------------------------------------------------------

MODELS = [
    ("gelu", "softmax", "gaussian", None, 1),
    ("tanh", "normalized-sigmoid", "gaussian-common", None, 2),
    ("linear", "softmax", "gaussian", "tanh", 1),
    ("relu", "softmax", "gaussian-common", "gelu", 2),
]


@pytest.mark.parametrize(("expert", "gate", "likelihood", "shared", "dim"), MODELS)
def test_a_searched_truth_is_a_file_and_a_setting(expert, gate, likelihood, shared, dim, tmp_path):
    model = DensityModel.of(expert, gate, likelihood, shared, dim=dim)
    truth = search_density_truth(model, seed=3, candidates=4)
    path = tmp_path / "t.toml"
    save_truth(path, truth)
    (again,) = load_truths(path).truths
    assert again.measure == truth.measure
    assert truth_text(again) == path.read_text()
    assert (again.gate, again.fitted) == (truth.gate, truth.fitted)
    setting = density_setting(again, {})
    assert setting.model.likelihood.name == model.likelihood.name
    assert setting.atoms == (0 if shared is None else 1, 3)
    # exact numbers and doubles are the same numbers
    measure = measure_of(truth)
    assert exact_measure(truth.setting(), measure) == truth.measure
    assert search_density_truth(model, seed=3, candidates=4).measure == truth.measure
    if likelihood == "gaussian-common":
        assert len({float(v) for v in measure.all_variances}) == 1


def test_more_candidates_are_no_worse():
    model = DensityModel.of("gelu", "softmax")
    x = np.random.default_rng(9).uniform(-3, 3, (4000, 1))

    def size(truth):
        measure = measure_of(truth)
        y = model.sample(measure, x, np.random.default_rng(8))
        return singular_values(model, measure, x, y)[-1]

    sizes = [size(search_density_truth(model, seed=1, candidates=n)) for n in (4, 60)]
    assert sizes[1] > 1.5 * sizes[0]  # other data than those that it was chosen by


def test_orbits_and_gauges_are_no_lack_of_information():
    """Of c·relu(a·x) the scale of each atom is an orbit: two singular values are 0."""
    model = DensityModel.of(identkit.Expert.from_expression("c*relu(a*x + b)"), "softmax")
    truth = search_density_truth(model, candidates=8)
    measure = measure_of(truth)
    rng = np.random.default_rng(0)
    x = rng.uniform(-3, 3, (500, 1))
    values = singular_values(model, measure, x, model.sample(measure, x, rng))
    assert (values <= FLAT * values[0]).sum() == 2
    said = float(truth.source.rpartition(" ")[2])
    assert values[-3] == pytest.approx(said, rel=0.5)  # on other data


NEVER = ("1/(a*x)", "c*log(a*x)", "c*sqrt(a*x)", "exp(exp(a*x))", "exp(a*x**3)")


@pytest.mark.parametrize("text", [*NEVER, "exp(a*x)", "c/(1 + (a*x + b)**2)"])
def test_experts_that_are_singular_or_huge_on_the_domain(text, recwarn):
    """Refused, or a truth of an atom that is real, finite and of moderate size."""
    model = DensityModel.of(identkit.Expert.from_expression(text), "softmax")
    if text in NEVER:
        with pytest.raises(InputError, match=r"on the domain \[-3, 3\]"):
            search_density_truth(model, candidates=12)
    else:
        truth = search_density_truth(model, candidates=40)
        assert all(1e-8 < float(v) < 1e5 for v in measure_of(truth).variances)
    assert not recwarn.list


@given(
    st.sampled_from(["deepseek-published", "deepseek-repaired"]),
    st.integers(0, 3),
    st.tuples(st.integers(-99, 99), st.integers(1, 20)),
)
@settings(deadline=None, max_examples=12)
def test_a_file_written_is_the_file_read(tmp_path_factory, name, which, number):
    truth = load_truths(name).truths[which]
    first = truth.measure.routed[0]
    text = f"{number[0]}/{number[1]}"
    changed = type(first)((*first.weight[:-1], (first.weight[-1][0], (text,))), first.eta,
                          first.variance)  # fmt: skip
    measure = type(truth.measure)((changed, *truth.measure.routed[1:]), truth.measure.shared)
    other = replace(truth, measure=measure)
    path = tmp_path_factory.mktemp("truth") / "t.toml"
    save_truth(path, other)
    (again,) = load_truths(path).truths
    assert measure_of(again).routed.beta0.tolist() == measure_of(other).routed.beta0.tolist()
    assert (again.loss, again.exponent, again.domain) == (other.loss, other.exponent, other.domain)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"gate": "top-2"}, "softmax or normalized-sigmoid"),
        ({"likelihood": "gaussian-known"}, "free or common"),
        ({"likelihood": "categorical"}, "free or common"),
    ],
)
def test_what_is_not_searched(arguments, said):
    with pytest.raises(InputError, match=said):
        search_density_truth(DensityModel.of("gelu", **arguments))


# -- the commands ---------------------------------------------------------------------------------


def test_truth_then_rates(capsys, tmp_path):
    file = tmp_path / "t.toml"
    code, out, _ = run(
        capsys, "truth", *GELU, "--shared", "tanh", "--candidates", 3, "--points", 1, "--save", file
    )
    assert code == 0
    assert max(map(len, out.splitlines()[:-1])) <= 80  # the last one names the file
    figure = tmp_path / "f.svg"
    code, out, err = run(capsys, "rates", "--truth", file, *SMALL, "--figure", figure)
    assert code == 0, err
    assert "Hellinger distance" in out
    assert "1 + 3 fitted" in out
    before, _, said = out.partition(f"figure written to {figure}\n")
    assert max(map(len, [*before.splitlines(), *said.splitlines()])) <= 80
    assert said.startswith("slopes beside rates: published: ")
    assert "; derived: " in " ".join(said.split())
    assert "<svg" in figure.read_text()


def test_rates_search_their_own_truth(capsys):
    arguments = ("rates", *GELU, "--k", 2, *SMALL, "--json")
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    document = json.loads(out)
    assert document["schema"] == "identkit.density-rates/1"
    assert document["experiment"]["setting"]["atoms"] == [0, 2]
    Draft202012Validator(schema("density-rates-1")).validate(document)
    # the same from Python
    truth = identkit.search_density_truth(DensityModel.of("gelu", "softmax"), candidates=5)
    found = identkit.run_density_rates(
        truth, k=2, sizes=(100, 200, 400), replicates=8, control=1, budgets=(20, 60),
        scheduler="inline",
    )  # fmt: skip
    assert found.experiment.setting.key == document["experiment"]["key"]
    assert found.to_dict()["lines"] == document["lines"]
    assert "Hellinger" in str(found)
    assert repr(found).endswith("54 of 54 fits>")


def test_a_shipped_truth_and_a_requirement(capsys):
    """T1 has other measures: its printed loss contradicts what is published, or decides nothing."""
    code, out, _ = run(
        capsys, "rates", "--truth", "deepseek-published", "--only", "T1", *SMALL, "--require",
        "published",
    )  # fmt: skip
    assert code in (1, 3)
    assert "NOT IDENTIFIABLE" in " ".join(out.split())
    code, _, err = run(
        capsys, "rates", "--truth", "deepseek-published", "--only", "T4", *SMALL, "--require",
        "derived",
    )  # fmt: skip
    assert code == 2  # dense, with more atoms than are true: nothing is derived
    assert "no derived rate" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rates", "--expert", "gelu", "--gate", "softmax", "--shared", "tanh"], "--likelihood"),
        (["rates", "--expert", "gelu", "--gate", "softmax", "--only", "A"], "--only"),
        (["rates", "--likelihood", "gaussian"], "give an expert and a gate"),
        (["rates"], "an expert and a gate, as in identkit rates gelu sigmoid"),
        (["rates", "--gate", "softmax"], "an expert and a gate"),
        (["rates", "--truth", "deepseek-published"], "choose one"),
        (["rates", "--truth", "deepseek-published", "--only", "T9"], "T9"),
        (["rates", "--truth", "deepseek-published", "--only", "T1", "--gate", "softmax"], "--gate"),
        (["rates", "--truth", "nowhere.toml"], "nowhere.toml"),
        (["rates", *GELU, "--truth", "t.json"], ".toml"),
        (["rates", *GELU, "--variance", "known"], "free or common"),
        (["rates", *GELU, "--starts", "split"], "local or away"),
        (["rates", *GELU, "--noise", "1"], "--noise 1"),
        (["rates", *GELU, "--k", "1"], "has 2 routed atoms"),
        (["rates", *GELU, "--k-shared", "2"], "--shared"),
        (["rates", *GELU[:-1], "gaussan"], "did you mean gaussian"),
        (["rates", "--expert", "gelu", "--gate", "sigmoid", "--likelihood", "gaussian"], "add up"),
        (["rates", *GELU, "--n", "5:20:3"], "start higher"),
        (["truth", *GELU, "--save", "t.json"], ".toml"),
        (["truth", *GELU, "--save", "nowhere/t.toml"], "directory"),
        (["truth", *GELU, "--atoms-shared", "2"], "--shared"),
        (["truth", *GELU, "--candidates", "0"], "candidates"),
        (["truth", *GELU, "--points", "2000", "--save", "t.toml"], "--points"),
        (["truth", *GELU[:2], "--gate", "input-free", "--likelihood", "gaussian"], "softmax"),
        (["truth", "--expr", "1/(a*x)", *GELU[2:], "--save", "t.toml"], "on the domain"),
        (["rates", *GELU, "--shared", "tanh", "--k-shared", "0"], "--k-shared"),
        (["truth", "--expert", "gelu", "--gate", "softmax", "--shared", "tanh"], "--likelihood"),
        (["truth", "deepseek-published", "--likelihood", "gaussian"], "--likelihood"),
    ],
)
def test_bad_input_is_one_sentence(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("identkit: ")
    assert err.count("\n") == 1
    assert words in err
    assert not list(tmp_path.iterdir())


BAD = """
name = "A"
domain = [-3, 3]
[[truth]]
name = "A"
gate = "softmax"
experts = {routed = "a*x + b"}
routed = [
  {beta0 = 0, beta1 = [1], eta = {a = 1, b = 0}, variance = 1},
  {beta0 = 1, beta1 = [2], eta = {a = 1, b = 0}, variance = 1},
]
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("beta1 = [2]", "beta1 = [1]", "atoms 1 and 2 have the same slope"),
        ("variance = 1}", "variance = inf}", "is no number"),
        ("variance = 1}", "variance = 1e400}", "is no number"),
        ("variance = 1}", "variance = true}", "is no number"),
        ("[[truth]]", "[[truth]]\nexponent = nan", "exponent"),
        ('name = "A"', 'name = "A\\nB"', "line break"),
    ],
)
def test_truths_that_are_none(tmp_path, old, new, said):
    path = tmp_path / "t.toml"
    path.write_text(BAD)
    load_truths(path)
    path.write_text(BAD.replace(old, new, 1))
    with pytest.raises(InputError, match=said):
        load_truths(path)


@pytest.mark.parametrize("name", ["\N{GRINNING FACE}", 'a "quoted" \\ name', "Größe, été"])
def test_names_are_written_and_read(tmp_path, name):
    truth = replace(load_truths("deepseek-repaired")["R2"], name=name, source=name)
    save_truth(tmp_path / "t.toml", truth)
    (again,) = load_truths(tmp_path / "t.toml").truths
    assert (again.name, again.source) == (name, name)
    with pytest.raises(InputError, match="line break"):
        truth_text(replace(truth, source="one\ntwo"))


# -- documents ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def result():
    return identkit.run_density_rates(
        "deepseek-repaired", only="R2", sizes=(100, 200, 400), replicates=8, control=1,
        budgets=(20, 60), scheduler="inline",
    )  # fmt: skip


def nodes(value, path=()):
    if isinstance(value, dict):
        yield path, value
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(part, dict | list):
            yield from nodes(part, (*path, key))


def test_every_key_of_a_document_is_in_its_schema(result):
    """A key too many, or a required one too few, is no document."""
    document = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    validator = Draft202012Validator(schema("density-rates-1"))
    validator.validate(document)
    seen = set()
    for path, part in nodes(document):
        shape = (*(k for k in path if isinstance(k, str)), *sorted(part))
        # measures have any blocks, statuses are keys
        if shape in seen or "truth" in path or path[-1:] == ("statuses",):
            continue
        seen.add(shape)
        other = copy.deepcopy(document)
        inner = other
        for key in path:
            inner = inner[key]
        inner["surplus"] = 1
        assert not validator.is_valid(other), path
    assert len(seen) > 15
    for key in document:
        assert not validator.is_valid({k: v for k, v in document.items() if k != key}), key


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("verdicts", 0, "quantity"), "voronoi"),
        (("verdicts", 0, "start"), "split"),
        (("verdicts", 0, "against_derived"), "yes"),
        (("verdicts", 0, "derived", "rate"), "fast"),
        (("experiment", "setting", "loss"), "D9"),
        (("shares", 0, "statuses"), {"light": 1}),
        (("lines", 0, "medians"), [-0.1, 0.1, 0.2]),
        (("schema",), "identkit.rates/1"),
    ],
)
def test_values_that_mean_nothing_fail(result, path, value):
    document = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    assert not Draft202012Validator(schema("density-rates-1")).is_valid(document)


def test_documents_of_truths(capsys):
    validator = Draft202012Validator(schema("truths-1"))
    for name in shipped():
        for truth in load_truths(name).truths:
            code, out, _ = run(capsys, "truth", name, "--only", truth.name, "--points", 1, "--json")
            assert code == 0
            document = json.loads(out)
            validator.validate(document)
            for other in document["truths"][0]["alternatives"]:
                other["proved"] = False
                assert not validator.is_valid(document)
                other["proved"] = True


# -- the page -------------------------------------------------------------------------------------


def test_the_page_says_the_verdict_first(result, tmp_path):
    from identkit.rates.page import page

    text = page([result], title="mine")
    said = text.partition('class="lead">')[2].partition("</p>")[0]
    assert "slopes beside a rate" in said
    assert "Against the derived rates" in said
    assert text.index('id="density-verdicts"') < text.index("<figure") < text.index('id="d1"')
    assert text.count("<figure") == 3  # losses, routed and shared cells
    assert "identkit.density-rates/1" in text
