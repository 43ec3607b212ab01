"""Rates on data: slopes of log median error on log n, for settings whose slopes are known.

    python benchmarks/protocols.py              # S and M (GELU), about three minutes
    python benchmarks/protocols.py relu flat    # ReLU; linear, quadratic and input-free experts

k* = 2 true atoms, k = 3 fitted, the first true atom gets two; d = 1, x ~ U[-3, 3];
n = 1e3, 3162, 1e4, 31623, 1e5. Start: truth + 0.1·N(0, 1). Medians over replicates, 90% intervals
from 2000 bootstrap samples of the replicates at every n. `eta`, `gate`: largest error of an expert
or gate parameter in the over-fitted cell; `exact`: of the singleton cell; `loss`: Voronoi loss;
`L2`: regression error. The window and the quantities are fixed here, before any run. GELU is fitted
to the minimum (flat=0, 3000 steps): stopped early, slopes of M come out too steep. Experts without
one (an exact family) stop after 300 steps or where the cost no longer falls.
"""

from __future__ import annotations

import sys
import time
from collections import Counter

import numpy as np

SIZES = (1_000, 3_162, 10_000, 31_623, 100_000)
SEED = 1
BOOTSTRAP = 2000

REFERENCE = {
    "S": {"eta": (-0.269, -0.296, -0.233), "gate": (-0.251,), "exact": (-0.511,),
          "loss": (-0.501, -0.530, -0.470), "L2": (-0.489,)},
    "M": {"eta": (-0.247, -0.305, -0.178), "gate": (-0.256,), "exact": (-0.499,),
          "loss, pinned": (-0.470, -0.512, -0.434), "L2": (-0.489,)},
}  # fmt: skip
"""Slopes (and 90% intervals) measured earlier by a prototype with other seeds."""


def run(expert: str, gate: str, truth, *, noise: float, lowest: float, replicates: int,
        start: str = "local", degenerate: bool = False, short: bool = False):  # fmt: skip
    """Errors of every replicate: quantity -> array (sizes, replicates)."""
    import identkit
    from identkit import losses
    from identkit.fit import Box, Model
    from identkit.fit import replicates as fit_replicates

    model = Model.of(expert, gate)
    measure = identkit.MixingMeasure(*truth)
    families = ()
    if degenerate:
        regime = 1 if gate == "sigmoid" else None
        checked = identkit.check(expert, gate, dim=1, regime=regime)
        families = checked.results[0].second_order.families
    errors: dict[str, list] = {}
    for n in SIZES:
        data = identkit.simulate(model, measure, n, replicates, noise=noise, seed=SEED)
        began = time.perf_counter()
        result = fit_replicates(
            data,
            lambda r, data=data: data.starts(3, kind=start, indices=r),
            box=Box(beta0=(lowest, 4.0)),
            max_steps=300 if short else 3000,
            flat=1e-8 if short else 0.0,
        )
        seconds = time.perf_counter() - began
        loss = losses.voronoi(result.measure, measure, gate)
        row = {
            "eta": loss.eta_over, "gate": loss.gate_over, "exact": loss.exact_error,
            "loss": loss.value,
            "L2": losses.regression_error(model, result.measure, measure).value,
        }  # fmt: skip
        if gate == "softmax":
            row["loss, pinned"] = pinned_loss(result.measure, measure, loss)
        if degenerate:
            parts = losses.identifiable_parts(model, result.measure, measure, families)
            row["aggregate"] = parts.aggregate[:, 0]
            for turned in parts.directions:
                name = f"direction of ({', '.join(turned.parameters)})"
                row[name] = parts.by_cell(turned.error)[:, 0]
        for name, values in row.items():
            errors.setdefault(name, []).append(values)
        states = ", ".join(f"{c} {s}" for s, c in Counter(
            s.value for s in result.status).most_common())  # fmt: skip
        print(f"  n = {n}: {seconds / replicates:.3f} s per fit; {states}", file=sys.stderr)
    return {name: np.array(values) for name, values in errors.items()}


def pinned_loss(fitted, truth, loss):
    """The softmax loss as printed, its gauge fixed by setting the last atom's gate to 0 in both."""
    fitted, truth = fitted.pinned(), truth.pinned()
    weight = np.exp(fitted.beta0)
    near = loss.cells[..., None] == np.arange(truth.atoms)
    mass = np.abs(np.where(near, weight[..., None], 0).sum(axis=1) - np.exp(truth.beta0))
    gap = [
        np.linalg.norm(a - b[loss.cells], axis=-1)
        for a, b in ((fitted.beta1, truth.beta1), (fitted.eta, truth.eta))
    ]
    alone = np.take_along_axis(loss.sizes, loss.cells, axis=1) == 1
    each = np.where(alone, gap[0] + gap[1], gap[0] ** 2 + gap[1] ** 2)
    return mass.sum(axis=1) + (weight * each).sum(axis=1)


def slope(values) -> tuple[float, float, float]:
    """Slope of log median on log n with its 90% bootstrap interval; NaN are left out."""
    rng = np.random.default_rng(SEED)
    x = np.log(SIZES) - np.mean(np.log(SIZES))

    def of(medians):
        return (np.log(medians) * x).sum(axis=-1) / (x * x).sum()

    columns = [v[np.isfinite(v)] for v in values]
    draws = np.stack(
        [np.median(c[rng.integers(0, len(c), (BOOTSTRAP, len(c)))], axis=1) for c in columns],
        axis=1,
    )
    low, high = np.quantile(of(draws), (0.05, 0.95))
    return float(of(np.array([np.median(c) for c in columns]))), float(low), float(high)


def table(title: str, errors, reference=None) -> None:
    print(f"\n## {title}\n")
    print("| quantity | slope | 90% interval | median at 1e3 | at 1e5 | earlier | inside |")
    print("| --- | ---: | --- | ---: | ---: | --- | --- |")
    for name, values in errors.items():
        middle, low, high = slope(values)
        known = (reference or {}).get(name, ())
        earlier, inside = "", ""
        if len(known) == 3:
            earlier = f"{known[0]:.3f} [{known[1]:.3f}, {known[2]:.3f}]"
            inside = "yes" if known[1] <= middle <= known[2] else "no"
        elif known:
            earlier, inside = f"{known[0]:.3f}", "yes" if low <= known[0] <= high else "no"
        print(
            f"| {name} | {middle:.3f} | [{low:.3f}, {high:.3f}] | {np.nanmedian(values[0]):.3g} | "
            f"{np.nanmedian(values[-1]):.3g} | {earlier} | {inside} |",
            flush=True,
        )


S_GATES = ([1.0, -1.0], [[0.0], [-4.5]])
M_GATES = ([1.4, 0.0], [[0.9], [0.0]])


def s() -> None:
    truth = (*S_GATES, [[2.2, 0.7], [-4.0, 1.25]])
    errors = run("gelu", "sigmoid", truth, noise=0.003, lowest=-1.5, replicates=160)
    table("S: sigmoid gate, Regime 1, GELU, noise .003, 160 replicates", errors, REFERENCE["S"])


def m() -> None:
    truth = (*M_GATES, [[1.5, 0.95], [-2.4, -1.55]])
    errors = run("gelu", "softmax", truth, noise=0.003, lowest=-0.5, replicates=160)
    table("M: softmax gate, GELU, noise .003, 160 replicates", errors, REFERENCE["M"])


def relu() -> None:
    truth = (*S_GATES, [[2.2, 0.7], [-4.0, 1.25]])
    errors = run("relu", "sigmoid", truth, noise=0.01, lowest=-1.5, replicates=40, start="split",
                 degenerate=True, short=True)  # fmt: skip
    table("S with ReLU, noise .01, scales split (.6, 1.4), 40 replicates", errors)


def flat() -> None:
    for gate, gates, lowest in (("sigmoid", S_GATES, -1.5), ("softmax", M_GATES, -0.5)):
        for expert in ("linear", "poly2", "input-free"):
            experts = [[2.2, 0.7], [-4.0, 1.25]] if gate == "sigmoid" else [
                [1.5, 0.95], [-2.4, -1.55]]  # fmt: skip
            chosen = gates
            if expert == "input-free":
                experts = [row[:1] for row in experts]
                if gate == "softmax":
                    chosen = (gates[0], [[3.0], [0.0]])
            errors = run(expert, gate, (*chosen, experts), noise=0.001, lowest=lowest,
                         replicates=40, short=True)  # fmt: skip
            table(f"{gate}, {expert}, noise .001, 40 replicates", errors)


GROUPS = {f.__name__: f for f in (s, m, relu, flat)}


def main() -> None:
    wanted = sys.argv[1:] or ["s", "m"]
    unknown = [name for name in wanted if name not in GROUPS]
    if unknown:
        raise SystemExit(f"no group '{unknown[0]}'; choose from {', '.join(GROUPS)}")
    print(f"seed {SEED}, n = {', '.join(map(str, SIZES))}")
    for name in wanted:
        GROUPS[name]()


if __name__ == "__main__":
    main()
