"""What routers do, drawn: saturation and change over checkpoints, evenness and shares by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from identkit.rates.drawing import GREY, HEIGHT, LOOKS, WIDTH, library, style
from identkit.routers.records import Found, LayerFound
from identkit.routers.resampling import Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure(found: Found) -> Figure:
    """Panels with saturation and change rate (if checkpoints are compared), Jain's index, shares.

    Save it with :func:`identkit.rates.figure_files.save`. Raises
    :class:`~identkit.errors.InputError` without matplotlib.
    """
    panels: list[Any] = []
    if any(one.saturation is not None for one in found.found):
        panels += [_saturation, _change]
    panels += [_jain, _shares]
    with style():
        drawn = library().figure.Figure(figsize=(WIDTH, HEIGHT * len(panels)), layout="constrained")
        for ax, panel in zip(drawn.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True):
            panel(found, ax)
    return drawn


def alternative(found: Found) -> str:
    """The figure in words."""
    last = [one for one in found.found if one.checkpoint == found.checkpoints[-1]]
    text = "; ".join(f"layer {one.layer}: {one.jain.value:.3f}" for one in last[:8])
    return f"Jain's index at the last checkpoint: {text}. The tables have all numbers."


def _saturation(found: Found, ax: Any) -> None:
    _over_checkpoints(found, ax, "saturation", "saturation: as at the last checkpoint")


def _change(found: Found, ax: Any) -> None:
    _over_checkpoints(found, ax, "change", "change rate: to the next checkpoint")


def _over_checkpoints(found: Found, ax: Any, name: str, title: str) -> None:
    """A line for each layer, or, for many, their mean with a band from least to greatest."""
    ax.set_title(title)
    ax.set_xlabel("checkpoint")
    ax.set_ylabel("part of the selected experts")
    ax.grid(True, axis="y")
    ax.set_ylim(0.0, 1.02)
    ax.xaxis.set_major_locator(library().ticker.MaxNLocator(nbins=7, integer=True))
    rows = {
        layer: [
            (one.checkpoint, estimate)
            for one in found.found
            if one.layer == layer and (estimate := getattr(one, name)) is not None
        ]
        for layer in found.layers
    }
    if len(rows) <= len(LOOKS):
        for look, (layer, points) in zip(LOOKS, rows.items(), strict=False):
            values = [e for _, e in points]
            ax.errorbar(
                [t for t, _ in points], [e.value for e in values], yerr=_bars(values),
                color=look.colour, linestyle=look.dashes, capsize=2.0, label=f"layer {layer}",
                **look.marks,
            )  # fmt: skip
    else:
        table = np.array([[e.value for _, e in points] for points in rows.values()])
        at = [t for t, _ in next(iter(rows.values()))]
        ax.fill_between(at, table.min(axis=0), table.max(axis=0), color=LOOKS[0].colour, alpha=0.2,
                        linewidth=0.0)  # fmt: skip
        ax.plot(at, table.mean(axis=0), color=LOOKS[0].colour, label="mean over layers",
                **LOOKS[0].marks)  # fmt: skip
    random = next((e.random for points in rows.values() for _, e in points), None)
    _random(ax, random)
    ax.legend(ncols=2)


def _jain(found: Found, ax: Any) -> None:
    last = _last(found)
    x, values = [one.layer for one in last], [one.jain for one in last]
    ax.errorbar(x, [e.value for e in values], yerr=_bars(values), color=LOOKS[0].colour,
                linestyle="none", capsize=2.0, label="over tokens", **LOOKS[0].marks)  # fmt: skip
    typed = [(one.layer, one.over_types.jain) for one in last if one.over_types is not None]
    if typed:
        ax.errorbar([layer for layer, _ in typed], [e.value for _, e in typed],
                    yerr=_bars([e for _, e in typed]), color=LOOKS[1].colour, linestyle="none",
                    capsize=2.0, label="over types of tokens", **LOOKS[1].marks)  # fmt: skip
    _random(ax, values[0].random)
    ax.set_title(f"Jain's index at checkpoint {found.checkpoints[-1]}")
    ax.set_xlabel("layer")
    ax.set_ylabel("evenness of use")
    ax.set_ylim(0.0, 1.04)
    ax.xaxis.set_major_locator(library().ticker.MaxNLocator(integer=True))
    ax.grid(True, axis="y")
    ax.legend()


def _shares(found: Found, ax: Any) -> None:
    """Shares over the balanced one, sorted; dead and overloaded bounds."""
    last = _last(found)
    for i, one in enumerate(last):
        part = np.sort(np.array(one.shares))[::-1] * found.experts / one.top
        look = LOOKS[i % len(LOOKS)]
        label = f"layer {one.layer}" if len(last) <= len(LOOKS) else None
        ax.plot(range(1, found.experts + 1), part, color=look.colour, linestyle=look.dashes,
                linewidth=1.1, label=label)  # fmt: skip
    ax.axhline(1.0, color=GREY, linewidth=0.8)
    ax.axhline(found.overloaded_above, color=GREY, linewidth=0.8, linestyle=(0, (2, 2)))
    ax.set_title("use of each expert, sorted")
    ax.set_xlabel("rank of the expert")
    ax.set_ylabel("share over k/n")
    ax.set_ylim(bottom=0.0)
    ax.grid(True, axis="y")
    if len(last) <= len(LOOKS):
        ax.legend(ncols=2)


def _last(found: Found) -> list[LayerFound]:
    return [one for one in found.found if one.checkpoint == found.checkpoints[-1]]


def _random(ax: Any, value: float | None) -> None:
    if value is not None:
        ax.axhline(value, color=GREY, linewidth=0.8, linestyle=(0, (2, 2)), label="random routing")


def _bars(values: Sequence[Estimate]) -> Any:
    low = [0.0 if e.low is None else e.value - e.low for e in values]
    high = [0.0 if e.high is None else e.high - e.value for e in values]
    return [low, high]
