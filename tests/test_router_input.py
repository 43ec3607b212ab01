"""Routers of one's own, and what else a newcomer types behind --gate: answers, and refusals."""

from __future__ import annotations

import json
import math
import re
import shlex

import pytest
from checked import check

import identkit
from identkit import Expert
from identkit.cli import main
from identkit.errors import InputError
from identkit.gates import resolve
from identkit.report import explain
from identkit.report.markup import latex
from identkit.testing import check_gate
from identkit.vocabulary import GaugeKind, Half


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    code = main([*arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("likelihood", ["least-squares", "gaussian", "categorical"])
def test_a_router_can_be_asked_under_every_likelihood(likelihood):
    gate = resolve("dense-to-sparse tanh", likelihood)
    assert gate.likelihood == likelihood
    assert gate.name == "dense-to-sparse tanh"
    assert check("gelu", "dense-to-sparse", dim=1, likelihood=likelihood).results


def test_the_listing_of_a_family_of_gates(capsys):
    code, out, _ = run(capsys, "gates", "dense-to-sparse")
    assert code == 0
    assert "categorical: any truth" in " ".join(out.split())


@pytest.mark.parametrize(
    ("one", "other"),
    [("tanh(w*x + v - w)", "tanh(w*x + v)"), ("tanh((w + v)*x + v - w)", "tanh(w*x + v)")],
)
def test_linear_coordinates_of_a_router_are_its_own(one, other):
    """The same router written otherwise: as many functions are dropped and merged."""
    counts = []
    for text in (one, other):
        (proof,) = check("gelu", f"dense-to-sparse {text}", dim=1).results[0].proofs
        counts.append((len(proof.dropped), len(proof.merged), proof.verdict))
    assert counts[0] == counts[1] == (0, 1, "yes")


def test_a_router_in_other_coordinates_is_verified(tmp_path, capsys):
    file = str(tmp_path / "c.json")
    gate = "dense-to-sparse tanh(w*x + v - w)"
    assert main(["check", "--expert", "gelu", "--dim", "1", "--gate", gate, "--save", file]) == 0
    assert main(["verify", file]) == 0
    assert "in the coordinates u1 = ω_w, u2 = ω_v - ω_w, u3 = κ" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("router", "name"), [("w*x + a", "orbit of ω_a"), ("tanh(w*x*v)", "orbit of ω_w, ω_v")]
)
def test_a_redundant_parameter_of_a_router_is_a_gauge(router, name):
    result = check("relu", f"dense-to-sparse {router}", dim=1)
    (found,) = [g for g in result.gauges if g.name == name]
    assert found.kind is GaugeKind.SYMMETRY
    assert found.proved
    assert found.each
    assert ("β0 →" in found.action) == (router == "w*x + a")
    assert name.replace("orbit", "Orbit") in explain.markdown(result).replace("$", "")


@pytest.mark.parametrize("gate", ["quadratic", "dense-to-sparse tanh", "euclidean-sigmoid"])
def test_scores_of_their_own_ask_for_one_output(gate):
    with pytest.raises(InputError, match="for one output"):
        check(Expert.from_expression(["tanh(a*x + b)", "c*x"]), gate)
    if resolve(gate).divides:
        with pytest.raises(InputError, match="for one output"):
            check("linear", gate, dim=1, likelihood="categorical", classes=3)


def test_an_empty_router_is_refused(capsys):
    ask = ("check", "--expert", "gelu", "--gate", "dense-to-sparse", "--router", " ")
    code, _, err = run(capsys, *ask)
    assert code == 2
    assert "--router: it is empty" in err


def test_the_remedy_of_order_is_none_of_what_failed(capsys):
    ask = ("order", "--expert", "gelu", "--gate", "sigmoid", "--likelihood", "gaussian")
    code, _, err = run(capsys, *ask)
    assert code == 2
    assert "; use softmax, normalized-sigmoid, quadratic or another that" in err
    assert "use sigmoid" not in err


@pytest.mark.parametrize("gate", ["laplace", "dense-to-sparse tanh(w*x0 + v*x1)"])
def test_latex_knows_the_letters_of_routers(gate):
    text = latex(check("gelu", gate, dim=2))
    assert text.isascii(), re.findall(r"[^\x00-\x7f]", text)
    assert r"\partial _u \pi" in text


def test_a_gauge_under_a_density_is_one_of_p():
    result = check("gelu", "quadratic", dim=1, likelihood="gaussian")
    assert "leaves p unchanged" in result.gauges[0].action


@pytest.mark.parametrize("gate", ["laplace", "quadratic", "dense-to-sparse tanh", "hierarchical"])
def test_halves_are_exchanged_only_where_routed_weights_are_free_of_x(gate):
    result = check("gelu", gate, dim=1, likelihood="gaussian", shared="gelu")
    (found,) = [g for g in result.gauges if g.kind is GaugeKind.EXCHANGE]
    own = {"laplace": "ω", "quadratic": "A and β1", "hierarchical": "β1"}.get(gate, "ω")
    assert f"all routed {own} are equal, or one atom is routed" in found.where
    assert all(g.half is not Half.SHARED for g in result.gauges)


def test_copies_are_no_gauge_of_the_largest_scores():
    """The two largest of four scores are not those of two copies of the two largest of two."""
    x, atoms = 1.0, [(1.0, 3.0), (-1.0, 5.0)]
    copies = [(b + t, h) for t in (0.25, -0.25) for b, h in atoms]

    def f(given):
        top = sorted(given, reverse=True)[:2]
        weights = [math.exp(b * x) for b, _ in top]
        return sum(w * h for w, (_, h) in zip(weights, top, strict=True)) / sum(weights)

    assert abs(f(atoms) - f(copies)) > 0.1
    kinds = [g.kind for g in check("gelu", "top-2", dim=1).gauges]
    assert kinds == [GaugeKind.GATE]


@pytest.mark.parametrize("gate", ["sigmoid-temperature", "quadratic", "top-1"])
def test_no_measures_are_made_up_for_other_weights(gate):
    """No temperature 0, no A of one number for three: there is no example at all."""
    text = explain.markdown(check("linear", gate, dim=2))
    assert "## Gauges" in text
    assert "G_alternative" not in text


def test_words_are_no_formulas_in_latex():
    text = explain.latex(check("relu", "softmax", dim=1, likelihood="gaussian"))
    assert "For all atoms alike." in text
    assert r"\mathrm{for}" not in text


@pytest.mark.parametrize("classes", ["3", 2.5, True, 1, 18])
def test_classes_are_a_whole_number(classes):
    with pytest.raises(InputError, match="--classes"):
        check("linear", "softmax", dim=1, likelihood="categorical", classes=classes)


@pytest.mark.parametrize("options", [{}, {"likelihood": "gaussian", "shared": 3}])
def test_what_is_no_expert_is_refused(options):
    expert = "gelu" if options else None
    with pytest.raises(InputError, match="is none; give a name or an Expert"):
        identkit.check(expert, "softmax", dim=1, **options)


def test_the_contract_of_a_router_without_numbers_is_refused():
    with pytest.raises(InputError, match="not known in numbers"):
        check_gate("dense-to-sparse tanh")


@pytest.mark.parametrize("condition", ["separate", "algebraic-independence"])
@pytest.mark.parametrize("gate", ["softmax", "sigmoid", "top-2", "exp(s)"])
def test_conditions_on_scores_need_one(gate, condition):
    with pytest.raises(InputError, match="a score with parameters of its own"):
        identkit.check("gelu", gate, dim=1, condition=condition)


@pytest.mark.parametrize("more", ["--orders", "--alternatives"])
def test_what_has_no_latex_is_not_dropped_in_silence(capsys, more):
    ask = ("check", "--expert", "linear", "--gate", "softmax", "--dim", "1", "--latex", more)
    code, out, err = run(capsys, *ask)
    assert code == 2
    assert not out
    assert err.startswith(f"identkit: {more}: there is no LaTeX of them")


@pytest.mark.parametrize("gate", ["input-free", "sigmoid", "quadratic", "(1 + tanh(s))/2"])
def test_what_the_listing_of_a_gate_says_can_be_asked(capsys, gate):
    code, out, _ = run(capsys, "gates", gate, "--json")
    assert code == 0
    (row,) = json.loads(out)["gates"]
    cases = " ".join(text for name, text in row.items() if name.startswith("case"))
    assert ("categorical" in cases) == resolve(gate, "gaussian").divides
    assert cases.count("no rate is derived for this gate") == 0
    assert main([*shlex.split(row["example"])[1:], "--dim", "1"]) in (0, 3)


def test_derivatives_of_a_density_in_latex():
    result = check("linear", "quadratic", dim=1, likelihood="gaussian")
    text = explain.latex(result)
    assert "[U+" not in text
    assert "N ''" in text or "N''" in text
    assert "f_{G}" not in text
