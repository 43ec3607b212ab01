"""Fits of data that nobody here made: right from no start values, in the units of the data.

The problems are NIST's (Statistical Reference Datasets, nonlinear regression,
https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml; public domain), with the values that NIST
certifies to eleven digits. ``benchmarks/real_data.py nist`` fits all 27.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("numba")

from identkit import Expert, fit_data

pytestmark = pytest.mark.usefixtures("one_thread")

STARTS = 20
SUM = 1e-9
"""Relative difference of a sum of squares: at a minimum it is off by the square of what the
parameters are, so that rounding alone is left, 1e-11 of the certified digits with it."""
VALUES = 1e-6
"""Of parameters, whose last digits the conditioning of a problem takes (Misra1a: 1e5)."""
ERRORS = 1e-5
"""Of standard errors, which are made of squared derivatives."""

FOLDS, RIDGE, LOST = 5, 1.0, 0.1
"""Folds, the ridge in standard units (a prior as strong as one observation, of 442 noisy ones),
and how much of R² the 22 further parameters of a second atom may cost."""


@dataclass(frozen=True)
class Certified:
    """x and y, the model, and what NIST certifies, in the order of the names."""

    expression: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    values: dict[str, float]
    errors: dict[str, float]
    rss: float
    mirrored: tuple[str, ...] = ()
    """Parameters that can all change their sign without a change of the model."""

    def parameters(self, names: tuple[str, ...], eta) -> dict[str, float]:
        """Fitted ones by name, with the signs that NIST gives."""
        found = dict(zip(names, map(float, eta), strict=True))
        turned = any(found[n] * self.values[n] < 0 for n in self.mirrored)
        return {n: -v if turned and n in self.mirrored else v for n, v in found.items()}


PROBLEMS = {
    "Misra1a": Certified(
        "b1*(1-exp(-b2*x))",
        (77.6, 114.9, 141.1, 190.8, 239.9, 289.0, 332.8, 378.4, 434.8, 477.3, 536.8, 593.1, 689.1,
         760.0),
        (10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02, 44.82, 50.76, 55.05, 61.01, 66.40, 75.47,
         81.78),
        {"b1": 2.3894212918e02, "b2": 5.5015643181e-04},
        {"b1": 2.7070075241, "b2": 7.2668688436e-06},
        1.2455138894e-01,
    ),
    "DanWood": Certified(
        "b1*x**b2",
        (1.309, 1.471, 1.490, 1.565, 1.611, 1.680),
        (2.138, 3.421, 3.597, 4.340, 4.882, 5.660),
        {"b1": 7.6886226176e-01, "b2": 3.8604055871},
        {"b1": 1.8281973860e-02, "b2": 5.1726610913e-02},
        4.3173084083e-03,
    ),
    "BoxBOD": Certified(
        "b1*(1-exp(-b2*x))",
        (1, 2, 3, 5, 7, 10),
        (109, 149, 149, 191, 213, 224),
        {"b1": 2.1380940889e02, "b2": 5.4723748542e-01},
        {"b1": 1.2354515176e01, "b2": 1.0455993237e-01},
        1.1680088766e03,
    ),
    "Rat42": Certified(
        "b1/(1+exp(b2-b3*x))",
        (9, 14, 21, 28, 42, 57, 63, 70, 79),
        (8.93, 10.80, 18.59, 22.33, 39.35, 56.11, 61.73, 64.62, 67.08),
        {"b1": 7.2462237576e01, "b2": 2.6180768402, "b3": 6.7359200066e-02},
        {"b1": 1.7340283401, "b2": 8.8295217536e-02, "b3": 3.4465663377e-03},
        8.0565229338,
    ),
    "Eckerle4": Certified(
        "(b1/b2)*exp(-0.5*((x-b3)/b2)**2)",
        (400, 405, 410, 415, 420, 425, 430, 435, 436.5, 438, 439.5, 441, 442.5, 444, 445.5, 447,
         448.5, 450, 451.5, 453, 454.5, 456, 457.5, 459, 460.5, 462, 463.5, 465, 470, 475, 480, 485,
         490, 495, 500),
        (0.0001575, 0.0001699, 0.0002350, 0.0003102, 0.0004917, 0.0008710, 0.0017418, 0.0046400,
         0.0065895, 0.0097302, 0.0149002, 0.0237310, 0.0401683, 0.0712559, 0.1264458, 0.2073413,
         0.2902366, 0.3445623, 0.3698049, 0.3668534, 0.3106727, 0.2078154, 0.1164354, 0.0616764,
         0.0337200, 0.0194023, 0.0117831, 0.0074357, 0.0022732, 0.0008800, 0.0004579, 0.0002345,
         0.0001586, 0.0001143, 0.0000710),
        {"b1": 1.5543827178, "b2": 4.0888321754, "b3": 4.5154121844e02},
        {"b1": 1.5408051163e-02, "b2": 4.6803020753e-02, "b3": 4.6800518816e-02},
        1.4635887487e-03,
        mirrored=("b1", "b2"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_certified_values_from_no_start(name):
    problem = PROBLEMS[name]
    data = np.array(problem.x)[:, None], np.array(problem.y, dtype=float)
    expert = Expert.from_expression(problem.expression)
    report = fit_data(data, expert, "softmax", 1, starts=STARTS, check=False)
    result = report.result
    assert result.status.value == "converged"
    assert 2 * result.cost == pytest.approx(problem.rss, rel=SUM)
    found = problem.parameters(expert.parameters, result.measure.eta[0])
    assert found == pytest.approx(problem.values, rel=VALUES)
    assert report.covariance is not None
    numbers = [n for _, n in result.model.layout.numbers(result.model.parameters, 1)]
    errors = dict(zip(numbers, report.covariance.standard_errors, strict=True))
    assert {n: errors[n] for n in problem.errors} == pytest.approx(problem.errors, rel=ERRORS)


TIMES = (1000.0, 60.0)
"""Factors between units of x and of y: seconds to ms, hours to minutes."""


@pytest.mark.parametrize("name", ["Misra1a", "Rat42"])
def test_the_answer_does_not_depend_on_the_units_of_the_user(name):
    problem = PROBLEMS[name]
    x, y = np.array(problem.x)[:, None], np.array(problem.y, dtype=float)
    expert = Expert.from_expression(problem.expression)
    of_x, of_y = TIMES
    result = fit_data((of_x * x, of_y * y), expert, "softmax", 1, starts=STARTS, check=False).result
    found = problem.parameters(expert.parameters, result.measure.eta[0])
    # b1 has the unit of y, the rate (b2 of Misra1a, b3 of Rat42) that of 1/x, b2 of Rat42 none
    rate = "b2" if name == "Misra1a" else "b3"
    found["b1"] /= of_y
    found[rate] *= of_x
    assert found == pytest.approx(problem.values, rel=VALUES)
    assert 2 * result.cost == pytest.approx(of_y**2 * problem.rss, rel=SUM)


def test_one_linear_expert_on_diabetes_is_ordinary_least_squares():
    sklearn = pytest.importorskip("sklearn.linear_model")
    from sklearn.datasets import load_diabetes

    from identkit import MoERegressor

    x, y = load_diabetes(return_X_y=True)
    peer = sklearn.LinearRegression().fit(x, y)
    fitted = MoERegressor("linear", "softmax", n_atoms=1, random_state=0).fit(x, y)
    assert fitted.predict(x) == pytest.approx(peer.predict(x), rel=VALUES)
    assert fitted.measure_.eta[0] == pytest.approx([*peer.coef_, peer.intercept_], rel=VALUES)


# without a ridge some gate is as steep as its box allows, and the fit says so
@pytest.mark.filterwarnings("ignore:the fit ended 'at the box'")
def test_two_linear_experts_on_diabetes():
    """Fitted, two are not worse than one; on new rows a ridge keeps them with the data."""
    pytest.importorskip("sklearn")
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import LinearRegression
    from sklearn.model_selection import KFold

    from identkit import MoERegressor

    x, y = load_diabetes(return_X_y=True)
    two = MoERegressor("linear", "softmax", n_atoms=2, random_state=0)
    assert two.fit(x, y).score(x, y) > LinearRegression().fit(x, y).score(x, y)

    def predicted(regressor):
        out = np.empty_like(y)
        for train, test in KFold(FOLDS, shuffle=True, random_state=0).split(x):
            out[test] = regressor.fit(x[train], y[train]).predict(x[test])
        return 1.0 - ((y - out) ** 2).sum() / ((y - y.mean()) ** 2).sum()

    one = predicted(LinearRegression())
    held = predicted(two.set_params(ridge=RIDGE))
    assert held > one - LOST
