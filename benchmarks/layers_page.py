"""docs/layers.md: published mixture-of-experts layers, as `identkit layer` reads and decides them.

python benchmarks/layers_page.py            writes the page (two minutes)
python benchmarks/layers_page.py --check    compares the page with what is found now
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from identkit.layers.analysis import analyse
from identkit.layers.config import read_config
from identkit.layers.findings import Absent, Findings, LayerGauge
from identkit.layers.gauges import SCALE, SHIFT
from identkit.layers.guard import missing
from identkit.report.layer_report import compared
from identkit.report.layer_words import expert_text, regime_line, router_text, shared_text

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "layers.md"
CONFIGS = ROOT / "tests" / "configs"
NAMES = (
    "mixtral-8x7b", "olmoe-1b-7b-0924", "qwen1.5-moe-a2.7b", "qwen3-30b-a3b", "deepseek-v2-lite",
    "deepseek-v2", "deepseek-v3", "granite-3.0-1b-a400m", "gpt-oss-20b", "llama-4-scout",
    "jetmoe-8b", "switch-base-8",
)  # fmt: skip
CHANGED = ("mixtral-8x7b", "switch-base-8")
"""Of which the changes are shown: one for each form of expert without clamps."""
HEAD = """\
# Layers of published models

Made by `benchmarks/layers_page.py` from the configurations in `tests/configs`: keys and values of
the models' published config.json that say what a layer computes. Each row is what
`identkit layer FILE` reads and decides, seed 0. How a family turns keys into a layer is taken from
its modeling file in transformers 5.24 (`identkit/layers/families.py`).

A layer is Σ w_i(x)·h(x, η_i), x in R^d. σ is the sigmoid, ⊙ the product of units, b the selection
bias.

`identkit layer config.json` prints the report, `--compare A B` two side by side, `--json` all,
`--html FILE` one page. A layer of torch is read by name, or from Python:

```
identkit layer model.py:MyLayer
identkit layer mypackage.layers:MyLayer --config sizes.json
```

```python
from identkit.layers.analysis import analyse
from identkit.layers.module import read_module

found = analyse(read_module(layer))
```

The code is imported and run. NAME is a module, or a class or function that makes one, without
arguments or of `--config`: an object with the keys of the JSON file as attributes, or for a class
of transformers (`pip install identkit[transformers]`) the configuration of its `model_type`. A
layer of more than 2·10⁸ numbers is refused, before it is made if its class can make it without
memory; what is found holds for every width.

Experts are traced: down(φ(gate x)), down(φ(gate x) ⊙ up x), or the clamped form of GPT-OSS, in
modules of a list or in stacked tensors, all maps with a bias, or some, or none. The router is
recognised by what it computes: softmax or sigmoid weights of the largest scores, a selection bias,
a temperature (a number, or a parameter), groups (the attributes `n_group` and `topk_group` or
alike say how many; whether they restrict is asked of the forward, at inputs at which it shows).
The module's numbers are drawn anew for that. A layer whose output for a token depends on other
tokens is told apart. What has another shape is refused with the line: norms and residuals inside
an expert, other routers. `tests/test_layer_transformers.py` reads the layer of every family as a
configuration and as a module of transformers 5.24 and finds the same, but that the shared experts
of DeepSeek-V2 are one network there, of the width of all.

## What is read

| model | d | router | expert | shared experts |
|---|---|---|---|---|
"""
DECIDED = """
## What is decided

*Gate*: the registered gate with these weights; none is registered for selections by groups, nor for
a weight on the input of an expert. *Shift*: whether W → W + 1·vᵀ leaves the layer as it is.
*Scale*: whether each hidden unit can be scaled, proved at small widths with the argument for every
width in the report. *Dimensions*: of these gauges together over the whole layer, without those that
hold under a condition. *As it is*: what is known of the rate of the layer's parameters under least
squares. *Scale held*: the condition `strong` and the rate, with one number of each unit held at 1.
A rate is undecided where no theorem covers the layer, for the reasons under the numbers. That
nothing else moves a layer near generic numbers is measured in `tests/test_layer_dimension.py`, as
ranks of Jacobians; not for relu, whose units more can move where a router sends an expert inputs on
one side of their kinks ([theory](theory.md), section 14).

| model | gate | shift | scale | dimensions | as it is | scale held |
|---|---|---|---|---|---|---|
"""
REASONS = """
Reasons:

"""
BUYS = """
## What a change buys

Each line is a check of the expert with one hidden unit, the scale of its unit held, under the gate
that is named; the hypotheses of the rates are in the report.

"""
GUARD = """
## A guard for training code

In a test, before a layer is trained:

```python
from identkit.testing import assert_layer_identifiable


def test_layer():
    assert_layer_identifiable("config.json")  # or a module of torch, or an Architecture
```

It fails, with the report, unless these are proved: every gauge that is listed, and that nothing
else moves router or units; the condition of each regime of the layer's gate for its expert, with
the scale of units held (`held=False`: as it is). It fails also where the expert is proved
degenerate under that gate, and where f has what no theorem has: shared experts added to it, a
vector, dropped tokens. What is undecided fails. No rate is demanded; `nondegenerate=True` demands
the second order, which is open for every gate that selects. Of the layers above these pass:
{passing}.

During training:

```python
from identkit.layers.collapse import CollapseWatch

watch = CollapseWatch(layer, probes=x, every=100)  # a layer, or a list of its experts
for step, batch in enumerate(batches):
    selected = train(batch)  # the router's indices (…, k)
    watch.on_step_end(step, indices=selected)
```

A `CollapseWarning` names the experts, the number and the step:

- two experts' outputs at the probes are proportional, |cos| ≥ 0.999, which leaves 4.5 % of the
  output (`proportional`). Outputs do not see the scale or the order of hidden units, so an expert
  that equals another up to its gauges is found. Outputs are not centred: experts that share a large
  constant are close to proportional too;
- an expert gives 0 at every probe, or numbers that are not finite;
- Jain's index of the experts' use is not above that of random routing to half of the experts, about
  1/2 (`least_jain`). With fewer than 10·n/k tokens nothing is said.

Each is told when it begins, and again only if it had ended. A look evaluates every expert at up to
256 probes, without gradients; more probes are drawn from by `seed`. `tests/test_layer_guard.py`
trains small layers that collapse (decay to a common expert; equal starts; one expert selected and
nothing that balances) and one that does not.
"""


def analysed(name: str) -> Findings:
    """What is found of one configuration."""
    return analyse(read_config(CONFIGS / f"{name}.json"))


def read_row(found: Findings) -> str:
    """A line of the first table."""
    made = found.architecture
    cells = [
        made.source, str(made.hidden), router_text(made.router), expert_text(made.expert),
        shared_text(made) + ("; a vector is added to the sum" if made.output_bias else ""),
    ]  # fmt: skip
    return _row(cells)


def decided_row(found: Findings, reasons: list[str]) -> str:
    """A line of the second table; new reasons are added to the list."""
    parts: dict[str, LayerGauge | Absent] = {n.name: n for n in found.absent}
    parts |= {g.name: g for g in found.gauges if not g.where}
    bounded = [g for g in found.gauges if g.where]
    squares = [each for each in found.decided if each.likelihood == "least-squares"]
    cells = [
        found.architecture.source,
        f"`{found.gate}`" if found.gate else "none",
        _moves(parts[SHIFT]),
        _moves(parts[SCALE]) + "".join(f"; yes where {g.where}" for g in bounded),
        f"{found.dimension:,}",
    ]
    for scaled in (True, False):
        each = next((e for e in squares if e.scaled is scaled), None)
        if each is None:
            cells.append("as it is")
            continue
        reasons += [r for r in each.reasons if r not in reasons]
        numbers = ", ".join(str(reasons.index(r) + 1) for r in each.reasons)
        strong = "" if scaled or not each.verdicts else f"strong {each.verdicts[0].verdict}; "
        cells.append(f"{strong}{each.rate}" + (f"<sup>{numbers}</sup>" if numbers else ""))
    return _row(cells)


def _moves(part: LayerGauge | Absent) -> str:
    if isinstance(part, LayerGauge):
        return f"{'yes' if part.proved else 'yes, not proved'}"
    return "no, proved" if part.excluded else "not found"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"


def changes_part(found: Findings) -> str:
    """The changes of one layer."""
    lines = [f"### {found.architecture.source}", ""]
    for change in found.changes:
        then = "; ".join(regime_line(v, short=True) for v in change.verdicts)
        gone = f" Gone: {', '.join(change.gone)}." if change.gone else ""
        lines.append(f"- {change.change}: {then}.{gone} `{change.command}`")
    return "\n".join(lines) + "\n"


def side_by_side(one: Findings, other: Findings) -> str:
    """What differs between two layers."""
    names = (one.architecture.source, other.architecture.source)
    rows = [_row(["", *names]), "|---|---|---|"]
    rows += [_row([*row]) for row in compared(one, other) if row[1] != row[2]]
    return "\n## Two beside each other\n\n" + "\n".join(rows) + "\n"


def page() -> str:
    """The whole page."""
    found = {name: analysed(name) for name in NAMES}
    reasons: list[str] = []
    text = HEAD + "\n".join(read_row(f) for f in found.values()) + "\n"
    text += DECIDED + "\n".join(decided_row(f, reasons) for f in found.values()) + "\n"
    text += REASONS + "\n".join(f"{i}. {r}" for i, r in enumerate(reasons, 1)) + "\n"
    text += BUYS + "\n".join(changes_part(found[name]) for name in CHANGED)
    text += side_by_side(found["olmoe-1b-7b-0924"], found["deepseek-v3"])
    passing = ", ".join(name for name, each in found.items() if not list(missing(each)))
    return text + GUARD.format(passing=passing)


def main() -> int:
    """Write or compare; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    options = parser.parse_args()
    text = page()
    if options.check:
        same = text == PAGE.read_text(encoding="utf-8")
        print("the same" if same else "docs/layers.md differs; make it again")
        return 0 if same else 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
