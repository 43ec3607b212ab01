"""What goes wrong in one replicate stays there, the status says it, and errors name the culprit."""

from __future__ import annotations

import numpy as np
import pytest

from identkit.errors import InputError
from identkit.fit.model import Model
from identkit.mixing import MixingMeasure
from identkit.simulation import simulate

torch = pytest.importorskip("torch")
pytest.importorskip("numba")

from identkit.fit import Box, Compute, Status, least_squares  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

TANH = Model.of("tanh", "sigmoid")
SOFTMAX = Model.of("tanh", "softmax")
TRUTH = MixingMeasure.from_vector([1.5, 0.5, 1.5, 0.5, -2, -0.5, -1.5, 1], 1, 2)
R = 5
KERNELS = [Compute("cpu", "native"), Compute("cpu", "torch")]
kernels = pytest.mark.parametrize("compute", KERNELS, ids=["native", "torch"])


def problems(model=TANH, n=300, atoms=2, noise=0.02, scale=0.1):
    """x (R, n, 1), y (R, n) and a start for each: fits that converge in a few steps."""
    data = simulate(model, TRUTH, n, R, noise=noise, seed=4)
    x, y = data.batch(range(R))
    return x, y, data.starts(atoms, scale)


def bits(fit, r):
    return (
        fit.measure[r].to_vector().tobytes(), fit.status[r], fit.cost[r], fit.gradient_norm[r],
        fit.steps[r], fit.passes[r], fit.start[r], fit.costs[r].tobytes(), fit.statuses[r],
    )  # fmt: skip


def assert_untouched(fit, clean, but):
    """Every other replicate is what it is without the fault, bit by bit."""
    for r in range(R):
        if r not in but:
            assert bits(fit, r) == bits(clean, r), r


def with_start(starts, r, vector):
    """The batch of starts with one replaced."""
    vectors = starts.to_vector()
    vectors[r] = vector
    return MixingMeasure.from_vector(vectors, 1, 2)


# -- one bad replicate ---------------------------------------------------------------------------

FAULTS = {
    "nan in y": lambda x, y: y.__setitem__((2, 7), np.nan),
    "inf in y": lambda x, y: y.__setitem__((2, 0), np.inf),
    "nan in x": lambda x, y: x.__setitem__((2, 5, 0), np.nan),
    "x at 1e200": lambda x, y: x.__setitem__((2, 5, 0), 1e200),
    "y at -1e200": lambda x, y: y.__setitem__((2, 5), -1e200),
    "constant y": lambda x, y: y.__setitem__(2, 1.5),
    "all nan": lambda x, y: y.__setitem__(2, np.nan),
}


@kernels
@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_replicate_leaves_the_others_alone(fault, compute):
    x, y, starts = problems()
    clean = least_squares(TANH, x, y, starts, compute=compute)
    FAULTS[fault](x, y)
    fit = least_squares(TANH, x, y, starts, compute=compute)
    assert fit.status[2] is Status.BAD_DATA
    assert np.isnan(fit.cost[2])
    assert not fit.status[2].finished
    assert "remove it" in fit.status[2].remedy
    assert_untouched(fit, clean, but=[2])
    assert clean.status == (Status.CONVERGED,) * R


def test_a_bad_replicate_under_compression():
    x, y, starts = problems(n=2000)
    clean = least_squares(TANH, x, y, starts, compute=KERNELS[0])
    assert clean.settings.nodes
    y[1, 3], x[3, 9] = np.nan, np.inf
    fit = least_squares(TANH, x, y, starts, compute=KERNELS[0])
    assert [r for r in range(R) if fit.status[r] is Status.BAD_DATA] == [1, 3]
    assert_untouched(fit, clean, but=[1, 3])


@kernels
def test_a_start_without_a_finite_cost_has_diverged(compute):
    """exp experts overflow at a start of 600·x."""
    model = Model.of("exp", "sigmoid")
    truth = MixingMeasure([0.5], [[0.3]], [[0.4, -0.2]])
    data = simulate(model, truth, 200, R, noise=0.05, seed=4)
    x, y = data.batch(range(R))
    starts = data.starts(1)
    box = Box(eta=np.inf)
    clean = least_squares(model, x, y, starts, box=box, compute=compute)
    wild = with_start(starts, 3, [0.0, 0.0, 600.0, 0.0])
    fit = least_squares(model, x, y, wild, box=box, compute=compute)
    assert fit.status[3] is Status.DIVERGED
    assert not np.isfinite(fit.cost[3])
    assert_untouched(fit, clean, but=[3])


@kernels
def test_one_good_start_of_several_is_enough(compute):
    model = Model.of("exp", "sigmoid")
    truth = MixingMeasure([0.5], [[0.3]], [[0.4, -0.2]])
    x, y = simulate(model, truth, 200, noise=0.05, seed=4).data(0)
    wild = MixingMeasure([0.0], [[0.0]], [[600.0, 0.0]])
    fit = least_squares(model, x, y, [wild, truth], box=Box(eta=np.inf), compute=compute)
    assert fit.status is Status.CONVERGED
    assert fit.start == 1
    assert fit.statuses == ((Status.DIVERGED, Status.CONVERGED),)


# -- starts at the edge --------------------------------------------------------------------------


@kernels
@pytest.mark.parametrize("beta0", [-40.0, -800.0])
def test_a_start_with_an_atom_of_no_weight(beta0, compute):
    """Its gradient is 0 to rounding: the status must not call that a minimum of two atoms."""
    x, y, starts = problems()
    box = Box(beta0=np.inf)
    clean = least_squares(TANH, x, y, starts, box=box, compute=compute)
    light = starts.to_vector()[2]
    light[1] = beta0
    fit = least_squares(TANH, x, y, with_start(starts, 2, light), box=box, compute=compute)
    assert_untouched(fit, clean, but=[2])
    assert np.isfinite(fit.cost[2])
    assert np.isfinite(fit.measure[2].to_vector()).all()
    if fit.measure.beta0[2].min() < -20:
        assert fit.status[2] in (Status.LIGHT_ATOM, Status.STEP_LIMIT)
        assert "fewer atoms" in Status.LIGHT_ATOM.remedy


@pytest.mark.parametrize("beta0", [-40.0, -800.0])
def test_the_box_brings_an_atom_back(beta0):
    x, y, starts = problems()
    light = starts.to_vector()[2]
    light[1] = beta0
    fit = least_squares(TANH, x, y, with_start(starts, 2, light), box=Box(beta0=(-1.5, 4)))
    assert (fit.measure.beta0 >= -1.5).all()
    assert fit.status[2].finished


@kernels
@pytest.mark.parametrize("model", [TANH, SOFTMAX], ids=["sigmoid", "softmax"])
def test_identical_atoms_stay_identical_and_finite(model, compute):
    """By symmetry no gradient parts them; the fit is that of fewer atoms, or a saddle left."""
    x, y, _ = problems(model)
    twins = MixingMeasure([0.3, 0.3, 0.3], [[0.5]] * 3, [[1.0, 0.2]] * 3)
    fit = least_squares(model, x, y, twins, max_steps=100, compute=compute)
    one = least_squares(model, x, y, MixingMeasure([0.3], [[0.5]], [[1.0, 0.2]]), compute=compute)
    assert np.isfinite(fit.measure.to_vector()).all()
    if model is SOFTMAX:
        # three equal atoms are one: at least as good as the fit of one atom
        assert (fit.cost <= one.cost * (1 + 1e-9)).all()


@kernels
def test_identical_starts_give_identical_results(compute):
    x, y, starts = problems()
    fit = least_squares(TANH, x, y, [starts, starts], compute=compute)
    assert np.array_equal(fit.costs[:, 0], fit.costs[:, 1])
    assert (fit.start == 0).all()
    assert all(a is b for a, b in fit.statuses)


def test_a_start_outside_the_box_is_moved_into_it():
    x, y, starts = problems()
    fit = least_squares(TANH, x, y, with_start(starts, 1, [50.0, -50, 50, 50] * 2))
    assert np.abs(fit.measure.to_vector()).max() <= 10.0


# -- boxes ---------------------------------------------------------------------------------------


@kernels
@pytest.mark.parametrize("model", [TANH, SOFTMAX], ids=["sigmoid", "softmax"])
def test_an_infinite_box_is_no_box(model, compute):
    x, y, starts = problems(model)
    free = Box(np.inf, np.inf, np.inf)
    fit = least_squares(model, x, y, starts, box=free, compute=compute)
    assert fit.status == (Status.CONVERGED,) * R
    held = fit.held.reshape(R, 2, 4)
    assert not held[:, 0].any()
    assert held[:, 1].any() == model.gate.normalised  # the pinned gate
    boxed = least_squares(model, x, y, starts, box=Box(1e6, 1e6, 1e6), compute=compute)
    assert fit.cost == pytest.approx(boxed.cost, rel=1e-9)
    assert fit[0].to_dict()["settings"]["box"] == {"beta1": None, "beta0": None, "eta": None}


@kernels
def test_a_box_without_the_truth_is_reported(compute):
    truth = MixingMeasure([0.5], [[0.0]], [[1.5, -0.5]])
    data = simulate(TANH, truth, 200, R, noise=0.05)
    x, y = data.batch(range(R))
    fit = least_squares(TANH, x, y, data.starts(1), box=Box(eta=(-10, 1.2)), compute=compute)
    assert fit.status == (Status.AT_THE_BOX,) * R
    assert (fit.measure.eta[:, 0, 0] == 1.2).all()
    assert fit.held.reshape(R, 4)[:, 2].all()
    assert "widen the box" in fit.status[0].remedy
    # parameters off the bound are at their minimum: a gradient of rounding size
    assert (fit.gradient_norm < 1e-5).all()


def test_a_one_sided_box():
    x, y, starts = problems()
    fit = least_squares(TANH, x, y, starts, box=Box(beta0=(-1.5, np.inf), eta=[(-5, 5), np.inf]))
    assert (fit.measure.beta0 >= -1.5).all()
    assert fit.status[0].finished


# -- sizes ---------------------------------------------------------------------------------------


@kernels
@pytest.mark.parametrize("model", [TANH, SOFTMAX], ids=["sigmoid", "softmax"])
def test_one_atom(model, compute):
    truth = MixingMeasure([0.5], [[0.0]], [[1.5, -0.5]])
    data = simulate(model, truth, 200, 2, noise=0.05)
    fit = least_squares(model, *data.batch(range(2)), data.starts(1), compute=compute)
    assert all(s.finished for s in fit.status)
    assert (fit.root_mean_square < 0.06).all()
    if model is SOFTMAX:
        assert fit.measure.beta0.tolist() == [[0.0], [0.0]]
        assert fit.measure.eta[0, 0] == pytest.approx([1.5, -0.5], abs=0.1)


@kernels
def test_ten_atoms(compute):
    x, y, starts = problems(n=400, atoms=10)
    before = 0.5 * ((TANH.predict(starts, x) - y) ** 2).sum(axis=1)
    fit = least_squares(TANH, x, y, starts, max_steps=25, compute=compute)
    assert fit.measure.atoms == 10
    assert (fit.cost < before).all()
    assert np.isfinite(fit.measure.to_vector()).all()
    assert (fit.steps <= 25).all()


def test_a_single_step():
    x, y, starts = problems()
    fit = least_squares(TANH, x, y, starts, max_steps=1)
    assert fit.status == (Status.STEP_LIMIT,) * R
    assert (fit.steps == 1).all()
    before = 0.5 * ((TANH.predict(starts, x) - y) ** 2).sum(axis=1)
    assert (fit.cost <= before * (1 + 1e-12)).all()
    assert "raise max_steps" in fit.status[0].remedy


def test_steps_are_never_more_than_allowed_under_compression():
    x, y, starts = problems(n=2000, scale=0.5)
    fit = least_squares(TANH, x, y, starts, max_steps=5)
    assert fit.settings.nodes
    assert (fit.steps <= 5).all()


@kernels
def test_few_distinct_inputs(compute):
    """Three values of x carry three means: most directions are flat, which a status must say."""
    x, y, starts = problems()
    x = np.round(x / 3.0) * 3.0
    fit = least_squares(TANH, x, y, starts, compute=compute)
    assert np.isfinite(fit.cost).all()
    for r in range(R):
        # the least cost possible: y less its mean at each x
        groups = [y[r][x[r, :, 0] == v] for v in np.unique(x[r])]
        least = 0.5 * sum(((g - g.mean()) ** 2).sum() for g in groups)
        assert fit.cost[r] >= least * (1 - 1e-12)


def test_few_distinct_inputs_under_compression():
    x, y, starts = problems(n=2000)
    x = np.round(2 * x) / 2
    on = least_squares(TANH, x, y, starts)
    off = least_squares(TANH, x, y, starts, compute=Compute("cpu", "native", nodes=False))
    assert on.settings.nodes
    assert on.cost == pytest.approx(off.cost, rel=1e-8)


# -- weights -------------------------------------------------------------------------------------


@kernels
def test_weights_count_samples(compute):
    """Weight 0 leaves a sample out, 2 counts it twice."""
    x, y, starts = problems()
    times = np.random.default_rng(0).integers(0, 3, y.shape[1])
    weighted = least_squares(
        TANH, x[0], y[0], starts[0], weight=times.astype(float), compute=compute
    )
    repeated = least_squares(
        TANH, x[0].repeat(times, axis=0), y[0].repeat(times), starts[0], compute=compute
    )
    assert weighted.cost == pytest.approx(repeated.cost, rel=1e-9)
    assert weighted.measure.to_vector() == pytest.approx(repeated.measure.to_vector(), rel=1e-5)


@kernels
def test_a_replicate_without_weight(compute):
    x, y, starts = problems()
    weight = np.ones_like(y)
    clean = least_squares(TANH, x, y, starts, weight=weight, compute=compute)
    weight[2] = 0.0
    fit = least_squares(TANH, x, y, starts, weight=weight, compute=compute)
    assert fit.status[2] is Status.BAD_DATA
    assert_untouched(fit, clean, but=[2])


@kernels
def test_read_only_data(compute):
    """As memory maps and data frames give them."""
    x, y, starts = problems()
    usual = least_squares(TANH, x, y, starts, weight=np.ones_like(y), compute=compute)
    weight = np.ones_like(y)
    for array in (x, y, weight):
        array.setflags(write=False)
    fit = least_squares(TANH, x, y, starts, weight=weight, compute=compute)
    assert fit.cost == pytest.approx(usual.cost, rel=1e-12)
    assert fit.status == usual.status


@kernels
def test_a_scaled_weight_scales_the_cost(compute):
    x, y, starts = problems()
    plain = least_squares(TANH, x, y, starts, compute=compute)
    scaled = least_squares(TANH, x, y, starts, weight=np.full_like(y, 1e-6), compute=compute)
    assert scaled.cost == pytest.approx(1e-6 * plain.cost, rel=1e-9)
    assert scaled.status == plain.status


# -- interruption ----------------------------------------------------------------------------------


@kernels
def test_stop_returns_what_has_been_found(compute):
    """As Ctrl-C does: finished problems keep their status, the others say interrupted."""
    x, y, starts = problems()
    slow = with_start(starts, 2, np.tile([1.0, 0.0, 0.1, 0.1], 2))
    full = least_squares(TANH, x, y, slow, compute=compute)
    assert full.steps.max() > full.steps.min()
    calls = []

    def stop():
        calls.append(1)
        return len(calls) > full.steps.min()

    fit = least_squares(TANH, x, y, slow, compute=compute, stop=stop)
    done = [r for r in range(R) if fit.status[r] is not Status.INTERRUPTED]
    assert 0 < len(done) < R
    for r in done:
        assert bits(fit, r) == bits(full, r)
    for r in set(range(R)) - set(done):
        assert not fit.status[r].finished
        assert np.isfinite(fit.cost[r])
        assert "run again" in fit.status[r].remedy


def test_stop_at_once_still_gives_a_result():
    x, y, starts = problems(n=2000)
    fit = least_squares(TANH, x, y, starts, stop=lambda: True)
    assert fit.status == (Status.INTERRUPTED,) * R
    assert np.isfinite(fit.cost).all()


def test_progress_rises_to_its_total():
    x, y, starts = problems(n=2000)
    seen = []
    least_squares(TANH, x, y, starts, progress=lambda done, total: seen.append((done, total)))
    total = seen[0][1]
    assert {t for _, t in seen} == {total}
    done = [d for d, _ in seen]
    assert done == sorted(done)
    assert 0 <= done[0] < done[-1] == total


# -- errors name the culprit ---------------------------------------------------------------------


def wrong(name):
    x, y, starts = problems(n=30)
    x, y, start = x[0], y[0], starts[0]
    holed = y.copy()
    holed[4] = np.nan
    far = x.copy()
    far[3] = 1e200
    twelve = MixingMeasure([0.0] * 12, [[0.0]] * 12, [[0.0, 0.0]] * 12)
    return {
        "nan": ((x, holed, start), {}, "y: row 4 holds nan; remove"),
        "far": ((far, y, start), {}, "x: row 3 holds 1e\\+200; rescale"),
        "constant": ((x, 0 * y + 2, start), {}, "y: all 30 values are 2, .* check the target"),
        "few": ((x, y, twelve), {}, "30 samples are fewer than the 48 parameters of 12 atoms"),
        "rows": ((x[:-1], y, start), {}, "x has 29 rows and y 30"),
        "columns": ((np.hstack([x, x]), y, start), {}, "x: it has 2 columns, .* 1 inputs"),
        "flat x": ((x[:, 0], y, start), {}, r"x has shape \(30,\) and y \(30,\)"),
        "text": ((x, ["a"] * 30, start), {}, "y: must be an array of real numbers"),
        "no start": ((x, y, []), {}, "start: it is empty"),
        "starts": ((x, y, [start, twelve]), {}, "start.*different numbers of atoms"),
        "batch": ((x, y, starts), {}, "start: it holds 5 measures for 1 problems"),
        "q": ((x, y, MixingMeasure([0.0], [[0.0]], [[0.0]])), {}, "q = 1 expert parameters"),
        "weight": ((x, y, start), {"weight": -np.ones(30)}, "weight: .*negative"),
        "weights": ((x, y, start), {"weight": np.ones(29)}, "weight"),
        "zero": ((x, y, start), {"weight": np.zeros(30)}, "weight"),
        "steps": ((x, y, start), {"max_steps": 0}, "max_steps: 0"),
        "tolerance": ((x, y, start), {"tolerance": 2.0}, "tolerance: 2"),
        "box": ((x, y, start), {"box": Box(eta=[(0, 1)] * 3)}, "eta has 3 entries.*a, b"),
        "device": ((x, y, start), {"compute": Compute("tpu")}, "device: 'tpu'"),
        "kernel": ((x, y, start), {"compute": Compute("cpu", "C")}, "kernel: 'C'"),
        "wide weights": ((x, y, start), {"weight": np.ones((2, 30))}, "weight: it has shape"),
        "threads": ((x, y, start), {"compute": Compute("cpu", threads=-3)}, "threads"),
    }[name]


NAMES = (
    *("nan", "far", "constant", "few", "rows", "columns", "flat x", "text", "no start", "starts"),
    *("batch", "q", "weight", "weights", "zero", "steps", "tolerance", "box", "device", "kernel"),
    *("wide weights", "threads"),
)


@pytest.mark.parametrize("name", NAMES)
def test_errors_name_culprit_and_remedy(name):
    arguments, options, sentence = wrong(name)
    with pytest.raises(InputError, match=sentence) as caught:
        least_squares(TANH, *arguments, **options)
    text = str(caught.value)
    assert text.endswith(".")
    assert "\n" not in text


@pytest.mark.parametrize("pair", [(2, 1), (np.nan, 1), ("a", 1), (1, 2, 3)])
def test_a_wrong_box_is_named_when_it_is_made(pair):
    with pytest.raises(InputError, match=r"^box: beta0"):
        Box(beta0=pair)


# -- devices ---------------------------------------------------------------------------------------


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_a_device_says_so():
    x, y, starts = problems()
    with pytest.raises(InputError, match=r"device: cuda is not available.*use cpu"):
        least_squares(TANH, x, y, starts, compute=Compute("cuda"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_replicate_on_the_gpu(fault):
    x, y, starts = problems()
    clean = least_squares(TANH, x, y, starts, compute=Compute("cuda"))
    FAULTS[fault](x, y)
    fit = least_squares(TANH, x, y, starts, compute=Compute("cuda"))
    assert fit.status[2] is Status.BAD_DATA
    others = [0, 1, 3, 4]
    assert fit.cost[others] == pytest.approx(clean.cost[others], rel=1e-9)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_native_kernel_is_refused_on_the_gpu():
    x, y, starts = problems()
    with pytest.raises(InputError, match="kernel: 'native' is not available on cuda"):
        least_squares(TANH, x, y, starts, compute=Compute("cuda", "native"))
