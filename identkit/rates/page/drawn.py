"""The section of figures: each an SVG element with its name, text alternative and caption."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from identkit.rates import figures
from identkit.rates.drawing import LOOKS
from identkit.rates.figure_files import svg
from identkit.rates.quantities import quantity
from identkit.rates.result import RateResult
from identkit.rates.slopes import Slope
from identkit.report.page.pieces import counted, esc, listed, signed


def figures_section(results: Sequence[RateResult], names: Sequence[str]) -> str:
    """All experiments in one figure where there are several, then each from its first start."""
    shown = []
    # an experiment may be in the store before its first fit
    seen = [(i, r, n) for i, (r, n) in enumerate(zip(results, names, strict=True), 1) if r.lines]
    fitted = [r for _, r, _ in seen]
    if 1 < len(fitted) <= len(LOOKS):
        losses = [figures.main_loss(r) for r in fitted]
        said = dict.fromkeys(quantity(key).label for key in losses)
        alt = "Loss against n for " + "; ".join(
            f"{name}: {_slope_words(r.line(key).slope)}"
            for (_, r, name), key in zip(seen, losses, strict=True)
        )
        drawn = figures.compare_figure(fitted, figures.main_loss)
        what = f"The loss of every experiment: {esc(listed(list(said)))}."
        shown.append(drawn_figure("figure-all", drawn, "All experiments", alt, what, wide=True))
    elif len(fitted) > 1:
        drawn = figures.small_multiples(fitted)
        what = "All experiments on shared scales; the numbers are slopes."
        alt = f"{len(fitted)} panels of errors against n; the table of verdicts has the slopes."
        shown.append(drawn_figure("figure-all", drawn, "All experiments", alt, what, wide=True))
    for number, result, name in seen:
        start = result.experiment.starts[0]
        shown.append(experiment_figure(f"figure-{number}", result, name, start))
    return f"""<section aria-labelledby="figures">
<h2 id="figures">Figures</h2>
<p>Medians over replicates, with quartiles as a band. Lines in colour are fitted; dashed grey ones
have the predicted slope through the centre of the fit, the rate at their end.</p>
<div class="figures">
{chr(10).join(shown)}
</div>
</section>"""


def _slope_words(found: Slope | None) -> str:
    return "no slope" if found is None else signed(f"slope {found.value:.2f}")


def experiment_figure(key: str, result: RateResult, name: str, start: str) -> str:
    """One experiment from one kind of start; ``key`` is the id of the element."""
    e = result.experiment
    what = (
        f"<b>{esc(name)}</b>, {esc(start)} starts; {counted(e.replicates, 'replicate')} at each n, "
        f"noise {e.setting.noise:g}."
    )
    drawn = figures.rate_figure(result, start=start)
    return drawn_figure(key, drawn, name, figures.caption(result, start=start), what)


def drawn_figure(
    key: str, drawn: Any, name: str, alt: str, caption: str, wide: bool = False
) -> str:
    """A figure as an element with the id ``key``: its name, its text alternative, a caption."""
    text = svg(drawn, f"{key}-")
    label = (
        f'<svg role="img" aria-labelledby="{key}-name {key}-text"', f'<title id="{key}-name">'
        f'{esc(name)}</title><desc id="{key}-text">{esc(alt)}</desc>',
    )  # fmt: skip
    head, _, rest = text.partition(">")
    text = f"{label[0]}{head.removeprefix('<svg')}>{label[1]}{rest}"
    kind = "paper wide" if wide else "paper"
    return (
        f'<figure class="{kind}" id="{key}"><div class="canvas" role="region" tabindex="0" '
        f'aria-label="figure: {esc(name)}">{text}</div><figcaption>{caption}</figcaption></figure>'
    )
