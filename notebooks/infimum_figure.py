"""Draw notebooks/infimum.svg: the smallest ‖f_G − f_G*‖ / L(G, G*) against ε, for every pair.

    python notebooks/infimum_figure.py [--png PATH]

needs matplotlib besides the test requirements. About two minutes on two cores. A ratio below 1e-16
is drawn there.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from infimum import EXPERTS, path  # noqa: E402

EPSILONS = tuple(float(e) for e in np.geomspace(0.3, 0.01, 7))
GATES = ("softmax", "sigmoid")
EXACT = 1e-9
LOWEST = 1e-16  # zero has no logarithm: relu, whose scale family is exact even in floats
COLOURS = dict(
    zip(
        EXPERTS,
        ("#0072b2", "#009e73", "#cc79a7", "#d55e00", "#555555", "#e69f00", "#56b4e9"),
        strict=True,
    )
)
MARKERS = dict(zip(EXPERTS, "osD^vPX", strict=True))


def measure(pair: tuple[str, str]) -> list[float]:
    found = path(*pair, EPSILONS, starts=6, evaluations=200)
    return [found[epsilon].ratio for epsilon in EPSILONS]


def spread(values: list[float], gap: float) -> list[float]:
    """Move labels apart: each at least a factor ``gap`` above the one below."""
    order = np.argsort(values)
    placed = np.array(values, dtype=float)
    for low, high in pairwise(order):
        placed[high] = max(placed[high], placed[low] * gap)
    return placed.tolist()


def panel(axis, gate: str, curves: dict[str, list[float]]) -> None:
    labels = []
    for expert, values in curves.items():
        ratios = [max(value, LOWEST) for value in values]
        axis.loglog(EPSILONS, ratios, marker=MARKERS[expert], color=COLOURS[expert], ms=4.5, lw=1.4)
        labels.append((expert, ratios[-1]))
    floating = [(name, last) for name, last in labels if last > EXACT]
    for (name, _), y in zip(floating, spread([last for _, last in floating], 3.2), strict=True):
        text = "erf: decays like ε²" if name == "erf ridge" else name.removesuffix(" ridge")
        axis.text(EPSILONS[-1] * 0.88, y, text, color=COLOURS[name], va="center", fontsize=10)
    exact = [name for name, last in labels if last <= EXACT]
    exact.sort(key=lambda name: -dict(labels)[name])
    for row, name in enumerate(exact):
        axis.text(
            EPSILONS[-1] * 0.88,
            1e-12 / 5**row if name != "relu ridge" else LOWEST,
            "relu (drawn at 1e-16)" if name == "relu ridge" else name.removesuffix(" ridge"),
            color=COLOURS[name],
            va="center",
            fontsize=10,
        )
    axis.text(
        0.055,
        6e-11,
        "exact families: rounding error only",
        color="#555555",
        ha="center",
        fontsize=9,
        style="italic",
    )
    axis.set_xlim(0.4, 0.0019)  # shrinking to the right; room for labels
    axis.set_ylim(2e-17, 3e-2)
    axis.set_xticks([0.3, 0.1, 0.03, 0.01], ["0.3", "0.1", "0.03", "0.01"])
    axis.set_xticks([], minor=True)
    axis.set_xlabel("radius ε of the sphere around the true atom", loc="left")
    axis.set_title(f"{gate} gate", fontsize=11)
    axis.grid(axis="y", color="#dddddd", lw=0.6)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--png", type=Path, help="also write a bitmap here")
    options = parser.parse_args()
    pairs = [(expert, gate) for gate in GATES for expert in EXPERTS]
    with ProcessPoolExecutor() as pool:
        ratios = dict(zip(pairs, pool.map(measure, pairs), strict=True))
    for pair, values in ratios.items():
        print(*pair, *(f"{value:.2e}" for value in values))
    # a fixed salt and no date: the file changes only when the numbers do
    plt.rcParams.update({"svg.hashsalt": "identkit", "svg.fonttype": "path", "font.size": 10})
    figure, axes = plt.subplots(1, 2, figsize=(10.5, 4.4), sharey=True, layout="constrained")
    for axis, gate in zip(axes, GATES, strict=True):
        panel(axis, gate, {expert: ratios[expert, gate] for expert in EXPERTS})
    axes[0].set_ylabel("smallest ‖f$_G$ − f$_{G*}$‖ / L(G, G*)")
    figure.savefig(ROOT / "notebooks" / "infimum.svg", metadata={"Date": None}, facecolor="white")
    if options.png:
        figure.savefig(options.png, dpi=110, facecolor="white")


if __name__ == "__main__":
    main()
