"""The published and the certified classification, row by row (issue 2, "what it must show")."""

from __future__ import annotations

import pytest
from checked import check, verdicts
from zoo import KNOWN, UNLISTED

from identkit import Expert
from identkit.experts import ACTIVATIONS
from identkit.table import table


def verdict(expert, condition, level=None, gate="sigmoid", **options):
    (result,) = check(expert, gate, condition=condition, level=level, **options).results
    return result.verdict


@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize("known", KNOWN, ids=str)
def test_theory_section_4(known, dim):
    expected = (known.strong_expert, known.strong_product, known.weak)
    assert verdicts(known.expert(dim)) == expected


@pytest.mark.parametrize(("text", "expert_level", "product_level", "weak"), UNLISTED)
def test_experts_nobody_listed(text, expert_level, product_level, weak):
    assert verdicts(Expert.from_expression(text)) == (expert_level, product_level, weak)


@pytest.mark.parametrize(
    "seed", [1, 2, *(pytest.param(s, marks=pytest.mark.slow) for s in range(3, 8))]
)
@pytest.mark.parametrize(
    "text",
    [
        "gelu(a*x + b)",
        "relu(a*x + b)",
        "relu(x0 + a*x1)",
        "sin(a*x) + sin(b*x) + sin(c*x)",
        "tanh(a*x) + tanh(b*x)",
        "(a*x + b)**3",
    ],
)
def test_verdicts_do_not_depend_on_the_seed(text, seed):
    expert = Expert.from_expression(text)
    first, again = check(expert, "sigmoid"), check(expert, "sigmoid", seed=seed)
    assert [r.verdict for r in first.results] == [r.verdict for r in again.results]
    assert "undecided" not in [r.verdict for r in first.results]


@pytest.mark.parametrize(
    ("text", "quantifier"),
    [
        ("tanh(sqrt(3)*a*x + sqrt(7)*b)", "almost-every"),
        ("tanh(a*x + 1) + sin(pi*a*x)", "almost-every"),
        ("relu(sqrt(2)*(a*x + b))", "open-set"),
        ("tan(1 + a**2*x**2/100)", "open-set"),  # meets a pole for a = 3
        ("log(a*x + b)*tanh(a*x)", "open-set"),
    ],
)
def test_constants_and_quantifiers(text, quantifier):
    (result,) = check(Expert.from_expression(text), "softmax").results
    assert (result.verdict, result.quantifier) == ("yes", quantifier)


@pytest.mark.parametrize(
    ("text", "dimension"),
    [
        ("sin(x + b)", 4),  # sin x, cos x, x sin x, x cos x
        ("a*tanh(x)", 2),  # tanh x, x tanh x
        ("relu(a*x)", 4),  # x and x² on either side of 0
        ("Max(a, 0)/(1 + x**2) + Max(-a, 0)/(2 + x**2)", 4),  # 1 and x over either denominator
        ("a*x + tanh(b*x)", 3),  # polynomials of degree at most 2 hold x and x²
    ],
)
def test_dimensions_of_fixed_spaces(text, dimension):
    (result,) = check(Expert.from_expression(text), "softmax").results
    assert result.deciding.fixed is not None
    assert result.deciding.fixed.dimension == dimension


def test_a_dimension_count_needs_no_atoms_drawn():
    (result,) = check(
        Expert.from_expression("(a*x + 1)**60"), "sigmoid", condition="shared-strong"
    ).results
    assert (result.verdict, result.atoms) == ("no", 62)


@pytest.mark.parametrize("atoms", [1, 2, 5])
@pytest.mark.parametrize(
    ("name", "condition", "expected"),
    [
        ("poly20", "shared-strong", "no"),
        ("linear", "strong", "no"),
        ("input-free", "strong", "no"),
        ("gelu", "strong", "yes"),
    ],
)
def test_verdicts_do_not_depend_on_the_number_of_atoms(name, condition, expected, atoms):
    """poly20 fails for many atoms although a few look independent."""
    assert verdict(name, condition, dim=1, atoms=atoms) == expected


def test_poly20_fails_from_the_pigeonhole_count_on():
    (result,) = check("poly20", "softmax", dim=1, condition="shared-strong").results
    assert (result.verdict, result.atoms_scope, result.atoms) == ("no", "from", 11)
    assert result.deciding.fixed is not None
    assert result.deciding.fixed.dimension == 21  # polynomials of degree at most 20
    assert result.rank == 21  # 22 functions at k = 11, exact over the rationals


def test_gelu_product_level_has_27_independent_functions():
    """Theory section 3: float64 SVD reports rank 20 here."""
    (result,) = check("gelu", "sigmoid", dim=1, condition="strong", level="product").results
    assert (result.functions, result.rank, result.verdict) == (27, 27, "yes")


def test_relu_fails_by_eulers_identity():
    (result,) = check("relu", "sigmoid", condition="strong", level="product").results
    assert "a0*∂h/∂a0 + a1*∂h/∂a1 + b*∂h/∂b = h" in [r.text for r in result.relations]
    assert result.rank == 27  # exact: 27 of 36 from below, 3 relations per atom from above


def test_relu_ffn_fails_weak_by_eulers_identity():
    (result,) = check("relu", "sigmoid", shape="ffn", dim=1, condition="weak").results
    assert [r.text for r in result.relations] == ["c*∂F/∂c = a*∂F/∂a + b*∂F/∂b"]


def test_erf_fails_by_its_heat_equation():
    (result,) = check(Expert.from_expression("erf(a*x + b)"), "softmax").results
    assert "2*a*∂h/∂a + 2*b*∂h/∂b = -∂²h/∂b²" in [r.text for r in result.relations]


@pytest.mark.parametrize("name", [*ACTIVATIONS])
def test_quantifiers(name):
    """Almost every parameter for analytic experts, an open set for those with kinks."""
    (result,) = check(name, "softmax", dim=1).results
    assert result.quantifier == ("open-set" if name == "relu" else "almost-every")
    assert result.atoms_scope == "every"


def test_restricted_parameters_are_an_open_set():
    """sqrt(1 + z) needs parameters for which it is real: not almost every one."""
    (result,) = check(
        Expert.from_expression("tanh(a*x)*sqrt(b + c*x)"), "sigmoid", condition="weak"
    ).results
    assert (result.verdict, result.quantifier) == ("yes", "open-set")


HIDDEN_IDENTITIES = [
    # the bracket is 0, so ∂_b h = 21(x + b)**20
    "exp(a*x) + (x + b)**21 + b*(cos(2*atan(x)) - (1 - x**2)/(1 + x**2))*exp(a*x)",
    # sqrt(3 + 2·sqrt(2)) = 1 + sqrt(2), so h = (a·x + b)**20
    "(a*x + b)**20 + exp(sqrt(3 + 2*sqrt(2))*(a*x + b)) - exp((1 + sqrt(2))*(a*x + b))",
    # 50 - x² + (5√2 - x)a = (5√2 - x)(x + 5√2 + a): the logarithm is that of 5√2 - x
    "(x + a)**10*(log(50 - x**2 + (5*sqrt(2) - x)*a) - log(x + 5*sqrt(2) + a))",
    # atan(u) + atan(1/u) = π/2: the pole stays at 7
    "(x + a)**10/(x - 7 + atan(a**2 + 1) + atan(1/(a**2 + 1)) - pi/2)**3",
    # for a > 0 the product vanishes: (x + a)**20 is left
    "(x + a)**20 + relu(x - a)*relu(-x - a)*(x + 2*a)**4",
    # for a < b and for a > b another one of the two products vanishes
    "(c*x + d)**20 + relu(x - a)*relu(b - x)*tanh(d*x) + relu(x - b)*relu(a - x)*tanh(c*x)",
]


@pytest.mark.parametrize("text", HIDDEN_IDENTITIES)
def test_every_k_is_not_claimed_over_identities_that_stay_hidden(text):
    """Each holds a polynomial of bounded degree in disguise: dependent for many atoms."""
    for name in ("shared-strong", "strong"):
        for seed in (0, 2):
            expert = Expert.from_expression(text)
            (result,) = check(expert, "softmax", condition=name, seed=seed).results
            assert (result.verdict, result.atoms_scope) != ("yes", "every")


@pytest.mark.parametrize("condition", ["strong", "shared-strong"])
def test_the_gate_does_not_matter_at_expert_level(condition):
    for name in ("gelu", "poly2"):
        assert verdict(name, condition, gate="softmax") == verdict(name, condition)


@pytest.mark.parametrize("name", ["gelu", "relu", "tanh"])
def test_shared_strong(name):
    (result,) = check(name, "softmax", dim=1, condition="shared-strong").results
    assert result.verdict == "yes"
    assert len(result.proofs) == 2  # {∂h}, and {∂h ∂h} with the constant 1


def test_shared_strong_sees_the_constant():
    """h = c + a·x: ∂_c h ∂_c h is the constant 1 itself."""
    (result,) = check(
        Expert.from_expression("c + tanh(a*x)"), "softmax", condition="shared-strong"
    ).results
    assert result.verdict == "no"


@pytest.fixture(scope="module")
def whole_table():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("identkit.table.check", check)
        return table(1)


def test_published_classification(whole_table):
    """Theory section 5: strong yes for ReLU, GELU; no for polynomial, input-free."""
    certified = {row.expert: {(g, r.regime): r for g, r in row.cells} for row in whole_table.rows}
    for name in ("relu ridge", "gelu ridge"):
        assert {r.verdict for r in certified[name].values()} == {"yes"}
        said = [r for r in certified[name].values() if r.published is not None]
        assert len(said) == 3
        assert {r.agreement for r in said} == {"confirmed"}
    for name in ("linear", "poly2", "poly3", "input-free"):
        assert certified[name]["sigmoid", 1].agreement == "confirmed"
        assert certified[name]["softmax", None].agreement == "confirmed"
        assert certified[name]["sigmoid", 1].verdict == "no"
    assert certified["poly2"]["sigmoid", 2].agreement == "confirmed"


def test_input_free_regime_2_contradicts_the_published_table(whole_table):
    row = next(r for r in whole_table.rows if r.expert == "input-free")
    cell = next(r for g, r in row.cells if (g, r.regime) == ("sigmoid", 2))
    assert cell.published is not None
    assert (cell.verdict, cell.published.verdict) == ("yes", "no")
    assert cell.agreement == "contradicted"
    contradicted = [
        r for row in whole_table.rows for _, r in row.cells if r.agreement == "contradicted"
    ]
    assert contradicted == [cell]
