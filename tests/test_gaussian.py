"""The Gaussian likelihood: the criterion by blocks, against known answers and a numerical route."""

from __future__ import annotations

import json
import shlex
from functools import cache

import jsonschema
import mpmath
import numpy as np
import pytest
import sympy as sp
from amounts import amount
from hypothesis import given, settings
from hypothesis import strategies as st

import identkit
from identkit import Expert, InputError, check
from identkit.atoms import expert_function
from identkit.certificates.store import digest
from identkit.cli import main
from identkit.degeneracy.moments import MEAN, SECOND, SPREAD, density_space
from identkit.derivatives import Derivatives
from identkit.errors import CertificateError
from identkit.experts import symbols
from identkit.expression import symbol
from identkit.gates import GATES, resolve
from identkit.likelihoods import LIKELIHOODS, gaussian
from identkit.report.json_text import schema
from identkit.testing import check_gate
from identkit.vocabulary import Through, Variance

VARIANCES = tuple(Variance)

ANSWERS = {
    # expert: variance free, variance known (theory section 8); least squares is test_known_answers'
    "gelu(a*x + b)": ("yes", "yes"),
    "tanh(a*x + b)": ("yes", "yes"),
    "silu(a*x + b)": ("yes", "yes"),
    "sin(a*x + b)": ("yes", "yes"),
    "relu(a*x + b)": ("yes", "yes"),
    "abs(a*x + b)": ("yes", "yes"),
    "c*gelu(a*x + b)": ("yes", "yes"),
    "c*tanh(a*x + b)": ("yes", "yes"),
    "c*relu(a*x + b)": ("no", "no"),
    "erf(a*x + b)": ("yes", "yes"),
    "exp(a*x + b)": ("yes", "yes"),
    "(a*x + b)**2": ("yes", "yes"),
    "(a*x + b)**3": ("yes", "yes"),
    "atan(a*x + b)": ("yes", "yes"),
    "asinh(a*x + b)": ("no", "yes"),
    "a*x + b": ("no", "yes"),
    "a*x": ("yes", "yes"),
    "gelu(a*x) + c": ("no", "yes"),
    "tanh(a*x + b) + c": ("no", "yes"),
    "a*x**2 + b*x + c": ("no", "yes"),
    "a*sin(x) + b*cos(x)": ("no", "yes"),
    "c*silu(a*x)*(u*x)": ("no", "no"),
    "(a + b)*x": ("no", "no"),
    "a*x + b*x**2": ("yes", "yes"),
    "a*cosh(x) + b*sinh(x)": ("yes", "yes"),  # cosh² − sinh² = 1 is indefinite
    "sqrt(1 + a**2 + x**2)": ("yes", "yes"),
    "a*x + b*sqrt(1 + x**2)": ("yes", "yes"),  # (1 + x²) − x² = 1 too
    "a*cos(x) + b*sin(x) + c*x": ("no", "yes"),
    "c*sin(a*x + b)": ("no", "yes"),  # unlike the other ffn: rank 2
}
SEVERAL = {
    # two inputs and three
    "a0*x0 + a1*x1 + b": ("no", "yes"),
    "gelu(a0*x0 + a1*x1 + b)": ("yes", "yes"),
    "c*relu(a0*x0 + a1*x1 + b)": ("no", "no"),
    "tanh(a0*x0 + a1*x1) + c": ("no", "yes"),
    "relu(a0*x0 + a1*x1 + b)": ("yes", "yes"),
    "(a0*x0 + a1*x1 + b)**2": ("yes", "yes"),
    "tanh(a0*x0 + a1*x1 + a2*x2 + b)": ("yes", "yes"),
    "a0*x0 + a1*x1 + a2*x2 + b": ("no", "yes"),
}


@cache
def found(text: str, variance: str):
    (result,) = check(
        Expert.from_expression(text), "softmax", likelihood="gaussian", variance=variance
    ).results
    return result


@pytest.mark.parametrize("text", [*ANSWERS, *SEVERAL])
def test_known_answers(text):
    free, known = {**ANSWERS, **SEVERAL}[text]
    assert (found(text, "free").nondegenerate, found(text, "known").nondegenerate) == (free, known)


@pytest.mark.parametrize("text", ["a*x + b", "tanh(a*x) + c", "c*relu(a*x + b)"])
def test_a_common_variance_is_as_a_known_one_where_an_atom_is_fitted_once(text):
    common = found(text, "common")
    assert common.nondegenerate == found(text, "known").nondegenerate
    if common.nondegenerate == "yes":
        assert any("one atom only" in caveat for caveat in common.caveats)


@pytest.mark.parametrize(("text", "cell"), [("a*x + b", 2), ("a*sin(x) + b*cos(x)", 3)])
def test_the_cell_from_which_it_holds(text, cell):
    """Rank(M) + 1 atoms realise the moments, and the density then changes by o(t²)."""
    atoms = found(text, "free").second_order.witness.realised
    assert atoms.cell == cell
    assert float(atoms.order) > 2.9
    assert len(atoms.drift) == len(atoms.deviations[0]) + 1


def test_an_output_bias_trades_with_the_variance():
    (witness,) = {found("tanh(a*x + b) + c", "free").second_order.witness}
    moments = {name: float(value) for name, value in witness.moments}
    assert moments.keys() == {f"m[{SPREAD}]", "M[c,c]"}
    assert moments[f"m[{SPREAD}]"] == -moments["M[c,c]"] < 0


# -- the same by numbers alone -------------------------------------------------------------------


def invisible(text: str) -> np.ndarray:
    """A basis of the second moments M (r, q, q) of the null space of the blocks N′ and N″.

    At one θ and many x, with sixty digits: nothing of the exact route is used but the parser.
    """
    expert = Expert.from_expression(text)
    h, names = expert.expression, symbols(expert.parameters)
    slopes = [sp.diff(h, p) for p in names]
    pairs = [(i, j) for i in range(len(names)) for j in range(i, len(names))]
    with mpmath.workdps(60):
        theta = [sp.Rational(n, d) for n, d in ((7, 5), (-4, 7), (5, 9), (-11, 13))][: len(names)]
        at = dict(zip(names, theta, strict=True))
        (x,) = symbols(expert.inputs)
        mean = [*slopes, sp.S.Zero, *(sp.diff(h, names[i], names[j]) for i, j in pairs)]
        spread = [
            *(sp.S.Zero for _ in slopes),
            sp.S.One,
            *(slopes[i] * slopes[j] for i, j in pairs),
        ]
        blocks = [
            sp.lambdify(x, [sp.sympify(f).subs(at) for f in b], "mpmath") for b in (mean, spread)
        ]
        points = [mpmath.mpf(2 * n - 25) / 9 for n in range(1, 25)]
        matrix = mpmath.matrix([block(at_x) for block in blocks for at_x in points])
        _, sizes, right = mpmath.svd_r(matrix)
        null = [k for k in range(len(sizes)) if sizes[k] < mpmath.mpf(10) ** -40 * sizes[0]]
        basis = []
        for k in null:
            m = np.zeros((len(names), len(names)))
            for column, (i, j) in enumerate(pairs, len(names) + 1):
                # M_uu is twice the coefficient of ½(∂²_u h, (∂_u h)²), as is M_uv = M_vu of theirs
                m[i, j] = m[j, i] = float(right[k, column]) * (2 if i == j else 1)
            basis.append(m)
    return np.array(basis).reshape(-1, len(names), len(names))


def holds_positive(basis: np.ndarray) -> bool:
    """Whether the span holds M ⪰ 0, M ≠ 0, by alternating projections from many starts."""
    if not len(basis):
        return False
    flat = basis.reshape(len(basis), -1)
    _, sizes, frame = np.linalg.svd(flat, full_matrices=False)
    frame = frame[sizes > 1e-9]
    if not len(frame):
        return True  # moments with M = 0: a redundant parameter
    rng = np.random.default_rng(0)
    size = basis.shape[1]
    for _ in range(5):
        m = rng.standard_normal((size, size))
        for _ in range(3000):  # where only M on the boundary is positive it takes long
            values, vectors = np.linalg.eigh((m + m.T) / 2)
            positive = (vectors * np.maximum(values, 0)) @ vectors.T
            norm = np.linalg.norm(positive)
            if norm < 1e-9:
                break
            positive /= norm
            m = (frame.T @ (frame @ positive.ravel())).reshape(size, size)
        else:
            if np.linalg.norm(m - positive) < 1e-3:
                return True
    return False


SMOOTH = [t for t in ANSWERS if not any(kink in t for kink in ("relu", "abs"))]


@pytest.mark.parametrize("text", SMOOTH)
def test_known_answers_by_numbers(text):
    assert holds_positive(invisible(text)) == (ANSWERS[text][0] == "no")


PIECES = st.sampled_from(
    ["tanh(a*x + b)", "a*x", "b*x**2", "a*sin(x)", "b*cos(x)", "exp(a*x)", "erf(b*x)", "a*b*x"]
)
OUTER = st.sampled_from(["{}", "{} + c", "c*{}", "({})**2"])


@settings(max_examples=amount(5, 15), deadline=None)
@given(PIECES, PIECES, OUTER)
def test_generated_experts_agree_with_the_numbers(first, second, outer):
    text = outer.format(f"({first} + {second})")
    result = found(text, "free")
    if result.nondegenerate != "undecided":
        assert holds_positive(invisible(text)) == (result.nondegenerate == "no"), text


@settings(max_examples=amount(4, 8), deadline=None)
@given(PIECES, PIECES)
def test_an_output_bias_costs_the_rate_unless_the_variance_is_known(first, second):
    """For every expert: (∂_c h)² = 1; known variance asks for independent ∇g and 1 alone."""
    text = f"{first} + {second} + c"
    assert found(text, "free").nondegenerate == "no"
    bare, biased = found(f"{first} + {second}", "known"), found(text, "known")
    if bare.nondegenerate == "no":
        assert biased.nondegenerate == "no"


# -- theorems, names, files ----------------------------------------------------------------------


@pytest.mark.parametrize("variance", VARIANCES)
@pytest.mark.parametrize("text", ["a*x + b", "gelu(a*x + b)", "c*relu(a*x + b)", "asinh(a*x + b)"])
def test_the_kernel_shows_it(text, variance):
    result = check(Expert.from_expression(text), "softmax", likelihood="gaussian",
                   variance=variance)  # fmt: skip
    document = json.loads(json.dumps(result.certificate()))
    assert document["likelihood"] == {"name": "gaussian", "variance": variance}
    verified = identkit.verify(document)
    assert verified.results[0].nondegenerate == result.results[0].nondegenerate
    assert verified.by[0]["second order"] == "kernel"


@pytest.mark.parametrize(
    ("text", "variance", "to"),
    [
        ("a*x + b", "known", {"name": "gaussian", "variance": "free"}),
        ("gelu(a*x + b)", "free", {"name": "gaussian", "variance": "known"}),
        ("a*x + b", "free", {"name": "gaussian", "variance": "common"}),
        ("a*x + b", "known", None),
    ],
)
def test_a_certificate_of_another_variance_is_rejected(text, variance, to):
    found = check(Expert.from_expression(text), "softmax", likelihood="gaussian",
                  variance=variance)  # fmt: skip
    forged = json.loads(json.dumps(found.certificate()))
    forged.pop("likelihood")
    if to is not None:
        forged["likelihood"] = to
    with pytest.raises(CertificateError):
        identkit.verify({**forged, "digest": digest(forged)})


def forged_moments(document, moments):
    (entry,) = document["results"]
    entry["certificate"]["second_order"]["witness"]["moments"] = moments
    return {**document, "digest": digest(document)}


@pytest.mark.parametrize(
    "moments",
    [
        [[f"m[{SPREAD}]", "2"], ["M[b,b]", "2"]],  # on N″ they add up
        [[f"m[{SPREAD}]", "-2"], ["M[a,a]", "2"]],  # x² is no constant
        [["M[b,b]", "2"]],
        [[f"m[{SPREAD}]", "2"], ["M[b,b]", "-2"]],  # M is negative
    ],
)
def test_forged_moments_are_rejected(moments):
    found = check("linear", "softmax", dim=1, likelihood="gaussian")
    document = json.loads(json.dumps(found.certificate()))
    assert identkit.verify(document).results[0].nondegenerate == "no"
    with pytest.raises(CertificateError):
        identkit.verify(forged_moments(document, moments))


def test_only_what_is_registered_counts():
    for name in ("sigmoid",):
        (first, *_) = check("gelu", name, dim=1, likelihood="gaussian").results
        assert first.nondegenerate == "undecided"
    assert {g for g in GATES if resolve(g, "gaussian").has_theory} >= {"softmax"}


def test_the_variants_of_the_variance():
    assert [own.variance for own in gaussian.LIKELIHOODS] == [*VARIANCES]
    assert all(LIKELIHOODS[own.name] is own for own in gaussian.LIKELIHOODS)
    assert resolve("softmax", "gaussian").likelihood == "gaussian"
    assert resolve("softmax", "gaussian", "known").likelihood == "gaussian-known"
    through = {own.variance: own.through for own in gaussian.LIKELIHOODS}
    assert through[Variance.FREE] is Through.DENSITY


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--variance", "free"], "least-squares has no variance"),
        (["--likelihood", "gaussian", "--variance", "unknown"], "free, common, known"),
        (["--likelihood", "gausian"], "did you mean gaussian?"),
        (["--likelihood", "least-squares", "--variance", "known"], "has no variance"),
    ],
)
def test_bad_input_is_one_sentence(arguments, said, capsys):
    assert main(["check", "--expert", "gelu", "--gate", "softmax", "--dim", "1", *arguments]) == 2
    printed = capsys.readouterr()
    assert not printed.out
    assert said in printed.err
    assert len(printed.err.strip().splitlines()) == 1


def test_one_output():
    with pytest.raises(InputError, match="one output"):
        check(Expert.from_expression(["a*x", "b*x"]), "softmax", likelihood="gaussian")


def test_what_is_printed(capsys):
    arguments = ["--expert", "linear", "--gate", "softmax", "--dim", "1"]
    own = ["--likelihood", "gaussian", "--variance", "free"]
    assert main(["check", *arguments, *own]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "the Gaussian likelihood (one variance for each atom)" in text
    assert "‖p_G − p_G*‖ ~ t^4.00" in text
    assert "derived: a n^-1/4; in cells of 2: b n^-1/8, ν n^-1/4, slower with more" in text
    assert main(["check", *arguments, *own, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["likelihood"] == {"name": "gaussian", "variance": "free"}
    assert main(["explain", *arguments, *own]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "p_G(y|x) = Σ_i weight_i(x)·N(y | h(x, η_i), ν_i)" in text
    assert "f_G" not in text


# -- normalized sigmoid --------------------------------------------------------------------------


@pytest.mark.parametrize("variance", VARIANCES)
@pytest.mark.parametrize("text", ["a*x + b", "gelu(a*x + b)", "c*relu(a*x + b)", "tanh(a*x) + c"])
def test_the_normalized_sigmoid_asks_the_same_of_the_expert(text, variance):
    """Sparse: the gate's part is pinned, one atom with β1* ≠ 0 given. Dense: nothing is known."""
    checked = check(Expert.from_expression(text), "normalized-sigmoid", likelihood="gaussian",
                    variance=variance)  # fmt: skip
    sparse, dense = checked.results
    assert sparse.nondegenerate == found(text, variance).nondegenerate
    assert (dense.nondegenerate, dense.rate.derived) == ("undecided", "undecided")
    if sparse.nondegenerate == "yes":
        assert "β1* ≠ 0" in sparse.caveats[0]
    verified = identkit.verify(json.loads(json.dumps(checked.certificate())))
    assert verified.by[0]["second order"] == "kernel"


# -- constant weights and shared experts ---------------------------------------------------------


@pytest.mark.parametrize("variance", VARIANCES)
@pytest.mark.parametrize("text", ["a*x + b", "gelu(a*x + b)", "c*relu(a*x + b)"])
def test_constant_weights_ask_the_same_of_the_expert(text, variance):
    expert = Expert.from_expression(text)
    checked = check(expert, "input-free", likelihood="gaussian", variance=variance)
    assert checked.results[0].nondegenerate == found(text, variance).nondegenerate
    verified = identkit.verify(json.loads(json.dumps(checked.certificate())))
    assert verified.by[0]["second order"] == "kernel"
    once = any("fitted by one atom" in caveat for caveat in checked.results[0].caveats)
    if checked.results[0].nondegenerate == "yes":
        assert once == (variance is Variance.COMMON)


def test_constant_weights_are_of_a_density():
    with pytest.raises(InputError, match="check --likelihood gaussian"):
        check("gelu", "input-free")
    with pytest.raises(InputError, match="product level"):
        check("gelu", "input-free", likelihood="gaussian", condition="weak", level="product")


def test_both_halves_are_decided(capsys):
    both = check("linear", "softmax", dim=1, likelihood="gaussian", shared="gelu")
    assert (both.results[0].nondegenerate, both.shared.results[0].nondegenerate) == ("no", "yes")
    document = both.to_dict()
    jsonschema.validate(document, schema("check-1"))
    jsonschema.validate(document["shared"], schema("check-1"))
    assert document["shared"]["gate"] == "input-free"
    arguments = ["check", "--expert", "linear", "--gate", "softmax", "--dim", "1"]
    own = [*arguments, "--likelihood", "gaussian", "--shared"]
    assert main([*own, "k*x + m"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "shared experts h(x) = k*x + m" in text
    assert "exchange of the halves: shared (ω_a; κ_a, τ_a) ↔ routed (w_i; η_i, ν_i)" in text
    assert main([*own, "relu ffn"]) == 0
    assert "exchange of the halves: none" in capsys.readouterr().out
    require = ["--require", "nondegenerate"]
    gelu = ["check", "--expert", "gelu", "--gate", "softmax", "--dim", "1", *require]
    assert main([*gelu, "--likelihood", "gaussian", "--shared", "tanh"]) == 0
    assert main([*gelu, "--likelihood", "gaussian", "--shared", "linear"]) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--shared", "gelu"], "add --likelihood gaussian"),
        (["--likelihood", "gaussian", "--shared", "gellu"], "did you mean gelu or relu?"),
        (["--likelihood", "gaussian", "--shared", "x0 + q"], "write both in the same"),
        (["--likelihood", "gaussian", "--shared", "gelu", "--save", "c.json"], "one half"),
    ],
)
def test_bad_shared_experts_are_one_sentence(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["check", "--expert", "gelu", "--gate", "softmax", "--dim", "1", *arguments]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert len(printed.err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


# -- what to change ------------------------------------------------------------------------------

SEVERAL_CHANGES = "no output bias d, c fixed at 1"


@pytest.mark.parametrize(
    ("text", "asked", "changes"),
    [
        ("a*x + b", {"likelihood": "gaussian"}, ["one variance for all atoms", "known variances",
                                                 "no output bias b"]),
        ("c*relu(a*x + b) + d", {"likelihood": "gaussian"}, [SEVERAL_CHANGES]),
        ("c*tanh(a*x)", {}, ["estimate the density of Y, a variance for each atom, not its mean",
                             "estimate the density of Y, known variances, not its mean",
                             "c fixed at 1"]),
        ("gelu(a*x + b)", {}, []),
        ("(a + b)*x", {"likelihood": "gaussian"}, []),
    ],
)  # fmt: skip
def test_alternatives_are_those_that_were_proved(text, asked, changes):
    result = check(Expert.from_expression(text), "softmax", **asked)
    proposed = result.alternatives()
    assert [each.change for each in proposed] == changes
    for each in proposed:
        assert all(r.nondegenerate == "yes" for r in each.check.results)


def test_a_sum_too_long_to_take_apart_gives_no_proposal():
    text = "+".join(["c", "a*x", *["x"] * 560])
    asked = check(Expert.from_expression(text), "softmax", likelihood="gaussian")
    assert [each.change for each in asked.alternatives()] == [
        "one variance for all atoms",
        "known variances",
    ]


def test_the_command_of_an_alternative_is_that_of_its_check(capsys):
    arguments = ["check", "--expert", "relu", "--gate", "softmax", "--dim", "2", "--alternatives"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "alternatives, each checked" in printed
    assert main([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, schema("check-1"))
    assert {"gelu for relu", "tanh for relu"} <= {a["change"] for a in document["alternatives"]}
    for each in document["alternatives"]:
        again = ["check", *shlex.split(each["options"]), "--require", "nondegenerate"]
        assert main(again) == 0
    capsys.readouterr()


def test_a_kink_that_another_move_leaves_where_it_is():
    """|ax + b|: along (a, b) the kink stays, so that b alone has no n^-1/3."""
    rates = {
        str(i.quantity): i.rate for i in found("abs(a*x + b)", "free").second_order.identifiable
    }
    assert rates == {"a": "n^-1/4", "b": "n^-1/4"}
    (alone,) = check(Expert.from_expression("relu(x - b)"), "softmax").results
    assert [str(i.rate) for i in alone.second_order.identifiable] == ["n^-1/3"]


# -- the expansion against the density itself ----------------------------------------------------


@settings(max_examples=amount(4, 10), deadline=None)
@given(
    st.sampled_from(["tanh(a*x + b)", "c*sin(a*x)", "a*x**2 + b", "exp(a*x) + b*x"]),
    st.lists(st.integers(-8, 8), min_size=12, max_size=12),
    st.integers(1, 9),
)
def test_the_moments_multiply_what_they_are_said_to(text, numbers, part):
    """Two atoms at t·δ, variances changed by t²n: p_{G_t} − p_* minus the terms is O(t³)."""
    expert = Expert.from_expression(text)
    atom, names = expert_function(expert), expert.parameters
    space = density_space(atom, True)
    derived = Derivatives(atom).expressions([m.function for m in space.moments])
    weights = (sp.Rational(part, 10), 1 - sp.Rational(part, 10))
    moves = [[sp.Rational(v, 4) for v in numbers[5 * i : 5 * i + len(names)]] for i in (0, 1)]
    spread = [sp.Rational(v, 8) for v in numbers[10:]]
    at = dict(
        zip(
            symbols(names), (sp.Rational(7, 5), sp.Rational(-4, 7), sp.Rational(5, 9)), strict=False
        )
    )
    mean, variance, y = sp.symbols("mean variance y", real=True)
    density = sp.exp(-((y - mean) ** 2) / (2 * variance)) / sp.sqrt(2 * sp.pi * variance)
    place = {symbols(expert.inputs)[0]: sp.Rational(3, 4), y: sp.Rational(1, 3)}
    h = expert.expression.subs(place)
    blocks = {MEAN: sp.diff(density, mean), SECOND: sp.diff(density, mean, 2)}
    known = {symbol(b): v.subs({mean: h, variance: 1}) for b, v in blocks.items()}
    term = sp.S.Zero
    for moment, function in zip(space.moments, derived, strict=True):
        if moment.pair == (SPREAD,):
            size = sum(w * n for w, n in zip(weights, spread, strict=True))
        elif len(moment.pair) == 1:
            continue  # of order t, compared apart
        else:
            i, j = (names.index(p) for p in moment.pair)
            size = sum(w * m[i] * m[j] for w, m in zip(weights, moves, strict=True))
        term += size * function / moment.scale
    first = sum(
        w * m[names.index(moment.pair[0])] * function
        for moment, function in zip(space.moments, derived, strict=True)
        if len(moment.pair) == 1 and moment.pair != (SPREAD,)
        for w, m in zip(weights, moves, strict=True)
    )

    def number(expression):
        return mpmath.mpf(
            sp.sympify(expression).subs(place).subs(known).subs(place).subs(at).evalf(60)
        )

    with mpmath.workdps(60):
        linear, square = number(first), number(term)
        left = []
        for t in (sp.Rational(1, 2**10), sp.Rational(1, 2**11)):
            moved = sum(
                w
                * density.subs(
                    {
                        mean: h.subs(
                            {p: v + t * d for (p, v), d in zip(at.items(), m, strict=False)}
                        ),
                        variance: 1 + t**2 * n,
                    }
                )
                for w, m, n in zip(weights, moves, spread, strict=True)
            )
            gap = number(moved - density.subs({mean: h, variance: 1}))
            left.append(abs(gap - mpmath.mpf(t) * linear - mpmath.mpf(t) ** 2 * square))
    assert left[1] < mpmath.mpf(2) ** -30 * 50
    assert left[1] == 0 or left[0] / left[1] > 6  # eight times, where order t³ does not vanish


def test_the_gauge_of_constant_weights_is_one():
    check_gate(resolve("input-free", "gaussian"))
