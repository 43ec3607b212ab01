"""A choice of k drawn: the criteria against k, errors of prediction, the dendrogram."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from identkit.choice.choosing import Choice
from identkit.density.choosing import DensityChoice
from identkit.rates.drawing import GREY, HEIGHT, LOOKS, WIDTH, library, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AnyChoice = Choice | DensityChoice


def figure(choice: AnyChoice, errors: str = "error² of prediction ± s.e.") -> Figure:
    """Panels with BIC and ICL, with CV ± one standard error, with DSC, and with the dendrogram.

    ``errors`` says what cross-validation measures. A panel whose numbers there are not is left out.
    Save it with :func:`identkit.rates.figure_files.save`. Raises
    :class:`~identkit.errors.InputError` without matplotlib.
    """
    panels: list[Any] = [_information]
    if any(c.cv is not None for c in choice.candidates):
        panels.append(partial(_errors, label=errors))
    if choice.of("dsc").k is not None:
        panels.append(_dsc)
    if choice.dendrogram is not None and choice.dendrogram.complete:
        panels.append(_tree)
    with style():
        drawn = library().figure.Figure(figsize=(WIDTH, HEIGHT * len(panels)), layout="constrained")
        for ax, panel in zip(drawn.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True):
            panel(choice, ax)
    return drawn


def _line(ax: Any, ks: list[int], values: list[float], look: int, label: str) -> None:
    chosen = LOOKS[look]
    ax.plot(ks, values, color=chosen.colour, linestyle=chosen.dashes, label=label, **chosen.marks)


def _axis(ax: Any, ks: list[int], label: str) -> None:
    ax.set_xlabel("number of atoms, k")
    ax.set_ylabel(label)
    ax.set_xticks(ks)
    ax.grid(True, axis="y")


def _star(ax: Any, k: int | None) -> None:
    """The k that is named."""
    if k is not None:
        ax.axvline(k, color=GREY, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0)


def _information(choice: AnyChoice, ax: Any) -> None:
    ks = [c.k for c in choice.candidates]
    _line(ax, ks, [c.bic for c in choice.candidates], 0, "BIC")
    with_icl = [c for c in choice.candidates if c.icl is not None]
    if with_icl:
        _line(ax, [c.k for c in with_icl], [c.icl or 0.0 for c in with_icl], 1, "ICL")
        ax.legend()
    _axis(ax, ks, "criterion, smaller is better")
    _star(ax, choice.of("bic").k)
    ax.set_title(f"BIC names {choice.of('bic').k or 'none'}")


def _errors(choice: AnyChoice, ax: Any, label: str) -> None:
    found = [(c.k, c.cv) for c in choice.candidates if c.cv is not None]
    ks, look = [k for k, _ in found], LOOKS[2]
    ax.errorbar(
        ks, [cv.mean for _, cv in found], [cv.standard_error for _, cv in found],
        color=look.colour, capsize=2.5, **look.marks,
    )  # fmt: skip
    _axis(ax, ks, label)
    _star(ax, choice.of("cv").k)
    ax.set_title(f"cross-validation names {choice.of('cv').k or 'none'}")


def _dsc(choice: AnyChoice, ax: Any) -> None:
    found = {level.k: level.dsc for level in choice.levels if level.dsc is not None}
    _line(ax, list(found), list(found.values()), 3, "DSC")
    _axis(ax, list(found), "DSC, smaller is better")
    _star(ax, choice.of("dsc").k)
    ax.set_title(f"the dendrogram names {choice.of('dsc').k or 'none'}")


def _tree(choice: AnyChoice, ax: Any) -> None:
    """Drawn here: heights need not be monotone, which SciPy asks for."""
    tree = choice.dendrogram
    assert tree is not None
    place = dict(zip(_order(choice), range(tree.atoms), strict=True))
    x: dict[int, float] = {a: float(i) for a, i in place.items()}
    top = dict.fromkeys(range(tree.atoms), 0.0)
    for m, merge in enumerate(tree.merges):
        left, right, node = merge.left, merge.right, tree.atoms + m
        ends = [x[left], x[left], x[right], x[right]]
        height = np.sqrt(merge.height)
        ax.plot(ends, [top[left], height, height, top[right]], color=LOOKS[0].colour, linewidth=1.2)
        x[node], top[node] = (x[left] + x[right]) / 2.0, float(height)
    ax.set_xticks(range(tree.atoms), [str(a) for a in place])
    ax.set_xlabel(f"atom of the fit with k = {choice.merged_from}")
    ax.set_ylabel("√height of the merge")
    ax.set_ylim(bottom=0.0)
    ax.set_title("dendrogram of the mixing measure")


def _order(choice: AnyChoice) -> list[int]:
    """The atoms so that no branches cross."""
    tree = choice.dendrogram
    assert tree is not None

    def under(node: int) -> list[int]:
        if node < tree.atoms:
            return [node]
        merge = tree.merges[node - tree.atoms]
        return [*under(merge.left), *under(merge.right)]

    return under(tree.atoms + len(tree.merges) - 1)
