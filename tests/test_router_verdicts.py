"""Scores of one's own: verdicts against numbers, known gauges, arcs from the definition, misuse."""

from __future__ import annotations

import copy
import shlex

import pytest
from cells_by_numbers import FREE, KNOWN, LEAST_SQUARES, Part, degenerate, nullity
from checked import check
from mpmath import mp
from test_certificates import altered, get_leaf, is_statement, leaves, set_leaf

from identkit import Expert, verify
from identkit.certificates.store import digest
from identkit.cli import main
from identkit.errors import CertificateError, InputError
from identkit.gates import GATES, resolve
from identkit.testing import check_gate

KAPPA = "1.3"
"""Of the numbers; what is proved is so for almost every one."""


def routed(value, *at, **kink):
    return Part(lambda x, w: mp.mpf(KAPPA) * value(x[0], w), at, **kink)


def _gelu(z):
    return z * (1 + mp.erf(z / mp.sqrt(2))) / 2


def _sigmoid(z):
    return 1 / (1 + mp.exp(-z))


D = "dense-to-sparse "
ROUTERS = {
    D + "linear": routed(lambda x, w: w[0] * x, "0.7"),
    D + "tanh": routed(lambda x, w: mp.tanh(w[0] * x), "0.7"),
    D + "tanh-bias": routed(lambda x, w: mp.tanh(w[0] * x + w[1]), "0.7", "0.21"),
    D + "gelu": routed(lambda x, w: _gelu(w[0] * x), "0.7"),
    D + "silu": routed(lambda x, w: w[0] * x * _sigmoid(w[0] * x), "0.7"),
    D + "sigmoid": routed(lambda x, w: _sigmoid(w[0] * x), "0.7"),
    D + "softplus": routed(lambda x, w: mp.log(1 + mp.exp(w[0] * x)), "0.7"),
    D + "exp": routed(lambda x, w: mp.exp(w[0] * x), "0.7"),
    D + "exp-bias": routed(lambda x, w: mp.exp(w[0] * x + w[1]), "0.7", "0.21"),
    D + "sin(w*x)": routed(lambda x, w: mp.sin(w[0] * x), "0.7"),
    D + "(w*x)**2": routed(lambda x, w: (w[0] * x) ** 2, "0.7"),
    D + "v*tanh(w*x)": routed(lambda x, w: w[0] * mp.tanh(w[1] * x), "0.7", "0.21"),
    D + "v*x + w*x**2": routed(lambda x, w: w[0] * x + w[1] * x**2, "0.7", "0.21"),
    D + "-(x - w)**2": routed(lambda x, w: -((x - w[0]) ** 2), "0.7"),
    D + "v*exp(w*x)": routed(lambda x, w: w[0] * mp.exp(w[1] * x), "0.7", "0.21"),
    D + "relu": routed(lambda x, w: max(w[0] * x, mp.mpf(0)), "0.7"),
    D + "relu-bias": routed(
        lambda x, w: max(w[0] * x + w[1], mp.mpf(0)),
        "0.7",
        "0.21",
        kink=lambda w: [-w[1] / w[0]],
        argument=lambda x, w: w[0] * x[0] + w[1],
    ),
    "quadratic": Part(lambda x, w: w[0] * x[0] ** 2 + w[1] * x[0], ("0.7", "0.3")),
    "monomial-quadratic": Part(lambda x, w: w[0] * x[0] ** 2, ("0.7",)),
    "laplace": Part(
        lambda x, w: -abs(x[0] - w[0]),
        ("0.7",),
        kink=lambda w: [w[0]],
        argument=lambda x, w: x[0] - w[0],
    ),
    "perturbed-cosine": Part(
        lambda x, w: w[0] * x[0] / ((1 + abs(w[0])) * (1 + abs(x[0]))), ("0.7",)
    ),
}


def expert(value, *at, **kink):
    return Part(lambda x, t: value(x[0], *t), at, **kink)


EXPERTS = {
    "tanh(a*x + b)": expert(lambda x, a, b: mp.tanh(a * x + b), "0.9", "0.37"),
    "c*tanh(a*x + b)": expert(lambda x, a, b, c: c * mp.tanh(a * x + b), "0.9", "0.37", "1.2"),
    "a*x + b": expert(lambda x, a, b: a * x + b, "0.9", "0.37"),
    "a*x": expert(lambda x, a: a * x, "0.9"),
    "erf(a*x + b)": expert(lambda x, a, b: mp.erf(a * x + b), "0.9", "0.37"),
    "asinh(a*x + b)": expert(lambda x, a, b: mp.asinh(a * x + b), "0.9", "0.37"),
    "(a*x + b)**2": expert(lambda x, a, b: (a * x + b) ** 2, "0.9", "0.37"),
    "a*sin(x) + b*cos(x)": expert(lambda x, a, b: a * mp.sin(x) + b * mp.cos(x), "0.9", "0.37"),
    "tanh(a*x) + c": expert(lambda x, a, c: mp.tanh(a * x) + c, "0.9", "0.37"),
    "exp(a*x)": expert(lambda x, a: mp.exp(a * x), "0.9"),
    "relu(a*x + b)": expert(
        lambda x, a, b: max(a * x + b, mp.mpf(0)),
        "0.9",
        "0.37",
        kink=lambda t: [-t[1] / t[0]],
        argument=lambda x, t: t[0] * x[0] + t[1],
    ),
}
LIKELIHOODS = {
    LEAST_SQUARES: {},
    FREE: {"likelihood": "gaussian", "variance": "free"},
    KNOWN: {"likelihood": "gaussian", "variance": "known"},
}
FEW = {
    (D + "tanh", "tanh(a*x + b)", FREE),
    (D + "linear", "a*x + b", FREE),
    (D + "linear", "erf(a*x + b)", LEAST_SQUARES),
    (D + "exp-bias", "a*x + b", KNOWN),
    (D + "(w*x)**2", "a*x", LEAST_SQUARES),
    (D + "-(x - w)**2", "tanh(a*x + b)", KNOWN),
    ("quadratic", "tanh(a*x + b)", LEAST_SQUARES),
    ("monomial-quadratic", "asinh(a*x + b)", FREE),
    ("laplace", "relu(a*x + b)", FREE),
    ("laplace", "tanh(a*x + b)", LEAST_SQUARES),
}
CASES = [
    pytest.param(*case, marks=() if case in FEW else pytest.mark.slow)
    for case in ((g, e, likelihood) for g in ROUTERS for e in EXPERTS for likelihood in LIKELIHOODS)
]


def second(text, gate, **options):
    """The second-order record of a check."""
    return check(Expert.from_expression(text), gate, **options).results[0].second_order


@pytest.mark.parametrize(("gate", "text", "likelihood"), CASES)
def test_verdicts_are_those_of_the_numbers(gate, text, likelihood):
    found = second(text, gate, **LIKELIHOODS[likelihood])
    expected = degenerate(ROUTERS[gate], EXPERTS[text], likelihood)
    assert found.verdict == ("no" if expected else "yes"), found.reason


PLANES = {
    "quadratic": Part(
        lambda x, w: w[0] * x[0] ** 2 + w[1] * x[0] * x[1] + w[2] * x[1] ** 2
        + w[3] * x[0] + w[4] * x[1],
        ("0.7", "0.3", "-0.4", "0.2", "0.6"),
    ),
    "monomial-quadratic": Part(
        lambda x, w: w[0] * x[0] ** 2 + w[1] * x[0] * x[1] + w[2] * x[1] ** 2,
        ("0.7", "0.3", "-0.4"),
    ),
    "laplace": Part(
        lambda x, w: -mp.sqrt((x[0] - w[0]) ** 2 + (x[1] - w[1]) ** 2), ("0.7", "-0.4")
    ),
    # in coordinates other than identkit's: the angle, and β1
    "cosine": Part(lambda x, w: mp.cos(mp.atan2(x[1], x[0]) - w[0]), ("0.7",)),
    "perturbed-cosine": Part(
        lambda x, w: (w[0] * x[0] + w[1] * x[1])
        / ((1 + mp.hypot(w[0], w[1])) * (1 + mp.hypot(x[0], x[1]))),
        ("0.7", "0.3"),
    ),
    D + "tanh": Part(lambda x, w: mp.tanh(w[0] * x[0] + w[1] * x[1]), ("0.7", "0.3")),
    D + "linear": Part(lambda x, w: w[0] * x[0] + w[1] * x[1], ("0.7", "0.3")),
}  # fmt: skip
ON_PLANES = {
    "tanh(a*x0 + b*x1 + c)": Part(
        lambda x, t: mp.tanh(t[0] * x[0] + t[1] * x[1] + t[2]), ("0.9", "-0.5", "0.37")
    ),
    "a*x0 + b*x1": Part(lambda x, t: t[0] * x[0] + t[1] * x[1], ("0.9", "-0.5")),
}


FEW_ON_PLANES = {
    ("cosine", "tanh(a*x0 + b*x1 + c)", LEAST_SQUARES),
    ("perturbed-cosine", "a*x0 + b*x1", FREE),
}


@pytest.mark.parametrize(
    ("gate", "text", "likelihood"),
    [
        pytest.param(*case, marks=() if case in FEW_ON_PLANES else pytest.mark.slow)
        for case in (
            (g, e, likelihood) for g in PLANES for e in ON_PLANES for likelihood in LIKELIHOODS
        )
    ],
)
def test_verdicts_of_two_inputs(gate, text, likelihood):
    # directions of 0 are not defined
    domain = (1, 3) if "cosine" in gate else (-3, 3)
    found = second(text, gate, domain=domain, **LIKELIHOODS[likelihood])
    expected = degenerate(PLANES[gate], ON_PLANES[text], likelihood, domain, dim=2)
    assert found.verdict == ("no" if expected else "yes"), found.reason


# --- the same gate in other words -----------------------------------------------------------------

SAME = [
    ("softmax", D + "linear"),
    ("softmax", D + "w*x"),
    ("quadratic", D + "v*x**2 + w*x"),
    ("monomial-quadratic", D + "w*x**2"),
    ("laplace", D + "-abs(x - w)"),
    (D + "tanh", D + "tanh(q*x)"),
    (D + "gelu-bias", D + "gelu(q*x + r)"),
    (D + "relu", D + "relu(w*x)"),
]
SOME = ("tanh(a*x + b)", "a*x + b")


@pytest.mark.parametrize(("gate", "other"), SAME)
@pytest.mark.parametrize(
    "text", [t if t in SOME else pytest.param(t, marks=pytest.mark.slow) for t in EXPERTS]
)
def test_one_gate_has_one_verdict(gate, other, text):
    one, two = (second(text, g) for g in (gate, other))
    assert one.verdict == two.verdict != "undecided"


def test_names_of_parameters_do_not_matter():
    # a letter of the expert's may be one of the router's
    for router, text in (("tanh(a*x)", "tanh(a*x + b)"), ("tanh(w*x)", "tanh(u*x + v)")):
        found = second(text, D + router)
        assert (found.verdict, found.quantifier) == ("yes", "almost-every")


# --- gauges and hypotheses ------------------------------------------------------------------------


@pytest.mark.parametrize("gate", [n for n, g in GATES.items() if g.router and not g.structure])
def test_gauges_of_scores(gate):
    check_gate(gate, examples=4)


def test_the_perturbed_cosine_gate_is_linear_in_other_coordinates():
    gauges = {g.name for g in resolve("perturbed-cosine").gauges}
    assert "shift of all β1/(‖β1‖ + 1)" in gauges
    assert not any("scale" in name for name in gauges)


@pytest.mark.parametrize("router", ["linear", "w*x + v*sin(x)", "w*x**2 + x"])
def test_a_linear_router_can_be_shifted(router):
    gate = resolve(D + router)
    (shift,) = gate.gauges
    assert {b.name for b in shift.moves} == {"router", "beta0"}
    assert not gate.regimes[0].also  # all that scores share is moved by it


@pytest.mark.parametrize("router", ["tanh", "(w*x)**2", "v*x + tanh(w*x)"])
def test_other_routers_share_an_offset_alone(router):
    gate = resolve(D + router)
    assert [b.name for g in gate.gauges for b in g.moves] == ["beta0"]
    assert [name for name, _ in gate.regimes[0].also] == ["separate"]


def provided(gate, text="tanh(a*x + b)", **options):
    """The hypotheses that a rate is printed with."""
    result = check(Expert.from_expression(text), gate, **options).results[0]
    return " ".join(result.rate.reasons)


def test_what_scores_share_is_said_to_be_held_where_it_is_no_constant():
    # (w·x)² → (w² + t)x² for all atoms leaves f unchanged
    assert "held fixed (not proved)" in provided(D + "(w*x)**2")
    assert "held fixed (not proved)" not in provided(D + "tanh")


def test_products_of_weights_are_a_hypothesis_only_where_scores_have_kinks():
    assert "pieces of the domain" in provided(D + "relu")
    assert "with one input" in provided("laplace")
    for gate in (D + "tanh", D + "linear", "monomial-quadratic"):
        assert "pieces" not in provided(gate)
    assert "pieces" not in provided(D + "relu", likelihood="gaussian", variance="known")


def test_common_changes_of_directions_leave_the_cosine_gate():
    """From the definition: d = 3, two atoms; every b + u has length 1."""
    with mp.workdps(40):
        b = [mp.matrix([1, 2, 2]) / 3, mp.matrix([2, -1, 2]) / 3]
        normal = mp.matrix([6, 2, -5]) / mp.sqrt(65)  # of the plane through 0 and both
        middle = b[0] + b[1]
        middle = middle / mp.norm(middle)
        level = (b[0].T * middle)[0]
        turn = mp.mpf("0.4")
        u = level * ((mp.cos(turn) - 1) * middle + mp.sin(turn) * normal)
        moved = [v + u for v in b]
        assert all(abs(mp.norm(v) - 1) < mp.mpf("1e-35") for v in moved)
        for x in (mp.matrix([1, 2, 3]), mp.matrix([-2, 1, "0.5"])):
            one, two = (
                mp.exp((v[0].T * x)[0] / mp.norm(x) - (v[1].T * x)[0] / mp.norm(x))
                for v in (b, moved)
            )
            assert abs(one - two) < mp.mpf("1e-35")
    assert "span the inputs' space" in " ".join(
        c.text for c in resolve("cosine").regimes[0].caveats
    )


def _tanh_ridge(x, e):
    return mp.tanh(sum(a * v for a, v in zip(e, x, strict=False)) + e[len(x)])


def _cosine(x, w):
    return mp.fdot(w, x) / (mp.sqrt(mp.fdot(w, w)) * mp.sqrt(mp.fdot(x, x)))


SLOPES = ("0.7", "-0.4", "1.1")
RIDGES = (("0.9", "0.37"), ("-0.6", "0.8"), ("1.3", "-0.5"))
SEEN = {
    # router: what is invisible beside a cell of several atoms and one or two exact ones, named
    D + "tanh": {"β0": 1},
    D + "linear": {"β0": 1, "shift of ω": 1, "M_ωb and m_a": 1},
    D + "(w*x)**2": {"β0": 1, "shift of ω²": 1},
    "perturbed-cosine": {"β0": 1, "shift of β1/(1 + ‖β1‖)": 1},
    "laplace": {"β0": 1, "M_ωω and m0, off the kink": 1},
}


@pytest.mark.parametrize("count", [2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("gate", SEEN)
def test_nothing_else_is_invisible_in_f_itself(gate, count):
    """All cells at once, no product of weights separated: least squares with generic numbers."""
    atoms = [((SLOPES[i],), RIDGES[i], 2 if i == 0 else 1) for i in range(count)]
    assert nullity(ROUTERS[gate].value, _tanh_ridge, atoms) == sum(SEEN[gate].values())


def test_what_is_invisible_of_the_quadratic_gate():
    """The shift (3), (M_bb, m_A), and of a ridge expert (M_βb, m_a), (M_βa, M_Ab)."""
    atoms = [(("0.7", "0.3"), RIDGES[0], 2), (("-0.2", "0.5"), RIDGES[1], 1)]
    assert nullity(ROUTERS["quadratic"].value, _tanh_ridge, atoms) == 3 + 1 + 2


@pytest.mark.parametrize(
    ("count", "invisible"), [(2, 1 + 2 + 1), pytest.param(3, 1 + 3 + 0, marks=pytest.mark.slow)]
)
def test_the_cosine_gate_has_a_further_gauge_below_d_atoms(count, invisible):
    """d = 3, first order: β0, a scale of each atom, and u for k* < d."""
    gates = (("0.7", "0.3", "-0.5"), ("-0.2", "0.5", "0.8"), ("0.6", "-0.9", "0.4"))
    experts = (
        ("0.9", "0.2", "-0.4", "0.37"),
        ("-0.6", "0.8", "0.3", "0.1"),
        ("0.2", "-0.7", "1.1", "-0.3"),
    )
    atoms = [(gates[i], experts[i], 1) for i in range(count)]
    assert nullity(_cosine, _tanh_ridge, atoms, dim=3) == invisible


# --- arcs from the definition ---------------------------------------------------------------------


def mixture(atoms, score, h, x, y=None):
    """f(x), or p(y | x): atoms are (weight, γ, η, ν)."""
    weights = [w * mp.exp(score(x, g)) for w, g, _, _ in atoms]
    if y is None:
        values = [h(x, e) for _, _, e, _ in atoms]
    else:
        values = [
            mp.exp(-((y - h(x, e)) ** 2) / (2 * v)) / mp.sqrt(2 * mp.pi * v) for _, _, e, v in atoms
        ]
    return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)


def order(arc, truth, others, score, h, density=False):
    """The slope of sup |T_{G_t} − T_{G*}| over some (x, y), between t = 2^-12 and 2^-13."""
    with mp.workdps(60):
        sizes = []
        for k in (12, 13):
            t = mp.mpf(2) ** -k
            gaps = []
            for i in range(-8, 9):
                x = mp.mpf(i) / 3 + mp.mpf("0.01")
                for y in (mp.mpf("0.3"), mp.mpf("-1.1")) if density else (None,):
                    one = mixture([*arc(t), *others], score, h, x, y)
                    gaps.append(abs(one - mixture([truth, *others], score, h, x, y)))
            sizes.append(max(gaps))
        return float(mp.log(sizes[0] / sizes[1], 2))


def _quadratic(x, g):
    return g[0] * x**2 + g[1] * x


def _tanh(x, g):
    return mp.mpf(KAPPA) * mp.tanh(g[0] * x)


def _ridge(x, e):
    return mp.tanh(e[0] * x + e[1])


ONE = mp.mpf(1)
OTHERS = {
    2: [(ONE / 2, (-ONE / 3, ONE / 5), (ONE / 2, -ONE), ONE)],
    1: [(ONE / 2, (-ONE / 3,), (ONE / 2, -ONE), ONE), (ONE / 3, (ONE / 4,), (-ONE, ONE / 7), ONE)],
}


@pytest.mark.parametrize("density", [False, True])
@pytest.mark.parametrize(("m", "expected"), [(2, 4), (3, 6)])
def test_cells_of_the_quadratic_gate_from_the_definition(m, expected, density):
    """m atoms at the zeros of He_m, with the weights of Gauss: order 2m in t."""
    at, eta = (ONE / 2, ONE / 3), (ONE, ONE / 4)

    def arc(t):
        root = mp.sqrt(3)
        shifts, weights = ((1, -1), (1, 1)) if m == 2 else ((root, 0, -root), (1, 4, 1))
        return [
            (mp.mpf(w) / sum(weights), (at[0] - t**2 / 2, at[1] + t * s), eta, ONE)
            for s, w in zip(shifts, weights, strict=True)
        ]

    found = order(arc, (ONE, at, eta, ONE), OTHERS[2], _quadratic, _ridge, density)
    assert abs(found - expected) < 0.01


@pytest.mark.parametrize(
    ("drift", "expected"), [(1, 4), (0, 2)], ids=["second order", "without the drift"]
)
def test_an_erf_expert_beside_a_router_from_the_definition(drift, expected):
    """φ″ = −2zφ′: a(1 + t²), b(1 + t²) ± t."""
    at, (a, b) = (ONE / 2,), (ONE, ONE / 4)

    def arc(t):
        grown = 1 + drift * t**2
        return [(ONE / 2, at, (a * grown, b * grown + s * t), ONE) for s in (1, -1)]

    def h(x, e):
        return mp.erf(e[0] * x + e[1])

    found = order(arc, (ONE, at, (a, b), ONE), OTHERS[1], _tanh, h)
    assert abs(found - expected) < 0.01


@pytest.mark.parametrize(("drift", "expected"), [(-1, 4), (0, 2)])
def test_an_output_bias_beside_a_router_from_the_definition(drift, expected):
    at, (a, c) = (ONE / 2,), (ONE, ONE / 4)

    def arc(t):
        return [(ONE / 2, at, (a, c + s * t), ONE + drift * t**2) for s in (1, -1)]

    def h(x, e):
        return mp.tanh(e[0] * x) + e[1]

    found = order(arc, (ONE, at, (a, c), ONE), OTHERS[1], _tanh, h, density=True)
    assert abs(found - expected) < 0.01


def test_a_kink_of_the_laplace_gate_from_the_definition():
    """Two atoms ω ± t of weights ½/cosh t: the same f for |x − ω| > t; the L² norm is t^(3/2)."""
    at, eta = ONE / 3, (ONE, ONE / 4)
    others = [(ONE / 2, (-ONE / 3,), (ONE / 2, -ONE), ONE)]

    def score(x, g):
        return -abs(x - g[0])

    def arc(t):
        return [(1 / (2 * mp.cosh(t)), (at + s * t,), eta, ONE) for s in (1, -1)]

    with mp.workdps(30):
        truth, squares = (ONE, (at,), eta, ONE), []
        for t in (mp.mpf(2) ** -8, mp.mpf(2) ** -9):

            def gap(x, t=t):
                one = mixture([*arc(t), *others], score, _ridge, x)
                return one - mixture([truth, *others], score, _ridge, x)

            assert all(abs(gap(at + s)) < mp.mpf("1e-25") for s in (-1, 1, 2 * t, -2 * t))
            squares.append(mp.quad(lambda x: gap(x) ** 2, [at - t, at, at + t]))
        assert abs(float(mp.log(squares[0] / squares[1], 2)) - 3) < 0.02
    found = check(Expert.from_expression("tanh(a*x + b)"), "laplace").results[0].second_order
    rates = {str(i.quantity): str(i.rate) for i in found.identifiable}
    assert (rates["ω"], rates["a"]) == ("n^-1/3", "n^-1/4")


# --- certificates ---------------------------------------------------------------------------------

CERTIFIED = (D + "tanh", D + "linear", "quadratic", "monomial-quadratic", "laplace")


@pytest.mark.parametrize("gate", CERTIFIED)
def test_certificates_are_verified_and_forged_ones_are_not(gate):
    document = check(Expert.from_expression("tanh(a*x + b)"), gate).certificate()
    verified = verify(document)
    assert [r.verdict for r in verified.results] == [r["verdict"] for r in document["results"]]
    paths = [p for p in leaves(document) if is_statement(p, get_leaf(document, p))]
    said = [p for p in paths if p[-1] in ("nondegenerate", "verdict", "derived")]
    assert said
    for path in [*said, *paths[:: max(1, len(paths) // 8)]]:
        forged = copy.deepcopy(document)
        set_leaf(forged, path, altered(get_leaf(document, path)))
        forged["digest"] = digest(forged)
        if forged == document:
            continue
        with pytest.raises(CertificateError):
            verify(forged)


def test_check_saves_what_verify_reads(tmp_path, capsys):
    path = tmp_path / "c.json"
    words = f"check --expr 'tanh(a*x + b)' --gate quadratic --save {path}"
    assert main(shlex.split(words)) == 0
    assert main(["verify", str(path)]) == 0
    assert "nondegenerate: no" in capsys.readouterr().out


# --- misuse ---------------------------------------------------------------------------------------

MISUSE = {
    "--gate softmax --router tanh": "gate softmax has no router to choose",
    "--gate quadratic --router tanh": "gate quadratic has no router to choose",
    "--gate dense-to-sparse --router 'tan('": "cannot read 'tan('",
    "--gate dense-to-sparse --router 'foo(w*x)'": "unknown function 'foo'",
    "--gate dense-to-sparse --router 'tanh(w*x0)'": "write both in the same inputs",
    "--gate dense-to-sparse --router 'tanh(x)'": "no parameter of its own",
    "--gate dense-to-sparse --router w": "has no input",
    "--gate cosine": "with one input the score is a sign",
    "--gate dense-to-sparsee": "did you mean dense-to-sparse?",
}


@pytest.mark.parametrize(("words", "said"), MISUSE.items())
def test_misuse_is_one_sentence(words, said, capsys):
    assert main(["check", "--expr", "tanh(a*x + b)", *shlex.split(words)]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    assert not captured.out


def test_a_router_of_a_notebook_is_refused_as_well():
    with pytest.raises(InputError, match="no parameter of its own"):
        resolve(D + "tanh(x)")
