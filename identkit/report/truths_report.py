"""Truths and what else has their density: at 80 columns, and as a document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from identkit import __version__
from identkit.architecture.compared import DIGITS, Compared, compared
from identkit.architecture.examples import examples_of
from identkit.architecture.given import MASS, OtherMeasure
from identkit.architecture.measures import Setting, in_decimals
from identkit.architecture.records import ExactMeasure
from identkit.deadline import Deadline
from identkit.gates import resolve as resolve_gate
from identkit.likelihoods import resolve
from identkit.report.gauges import example_code, measures_code, rows
from identkit.report.json_form import measure_document
from identkit.results import CheckResult
from identkit.truths.alternatives import Alternatives
from identkit.truths.record import SECONDS, Truth

TRUTHS_SCHEMA = "identkit.truths/1"


def report(name: str, source: str, found: Sequence[Alternatives]) -> RenderableType:
    """All truths of a file, each with its alternatives."""
    blocks: list[RenderableType] = [Text.assemble((name, "bold"), f" ({source})")]
    for each in found:
        blocks.append(Text.assemble("\n", (_title(each.truth), "bold")))
        blocks.append(Text("\n".join(f"  {line}" for line in _lines(each))))
    seed = found[0].seed if found else 0
    blocks.append(
        Text(
            f"\nRows are: numbers of the gate (β1, β0; ω of shared atoms); η; variance. Proofs are "
            f"in normal form; digits from ball arithmetic, points drawn with seed {seed}.",
            style="dim",
        )
    )
    return Group(*blocks)


def _title(truth: Truth) -> str:
    return f"{truth.name}: {truth.gate.name} gate, {resolve(truth.gate.likelihood).title}"


def _lines(found: Alternatives) -> Iterator[str]:
    truth = found.truth
    letter = resolve(truth.gate.likelihood).letter
    if truth.shared is not None:
        yield f"h1 = {truth.shared.written}, η = ({', '.join(truth.shared.parameters)})"
    yield f"h2 = {truth.expert.written}, η = ({', '.join(truth.expert.parameters)})"
    yield from rows(truth.measure)
    m, k = truth.fitted
    yield f"fitted with {m} shared and {k} routed atoms, x on {truth.domain}"
    if truth.loss is not None and truth.exponent is not None:
        yield f"in print: {truth.loss} falls like (log n / n)^{truth.exponent:g}"
    yield ""
    own = [other for other, _ in found.found if not other.of_the_gate]
    if own:
        yield f"NOT IDENTIFIABLE: {len(found.found)} other measures with the same {letter}, proved"
    elif found.found:
        yield f"no other measure with the same {letter} was found, up to the gauge of the gate"
    else:
        yield f"no other measure with the same {letter} was found"
    for other, values in found.found:
        yield ""
        yield f"{other.name}: {other.said}"
        if other.family is not None:
            yield f"  the same {letter} for every {MASS} from 0 to {other.most}:"
            yield from (f"    {row}" for row in rows(other.family))
            yield f"  at half of the most, {MASS} = ({other.most})/2:"
        yield from (f"    {row}" for row in _rows_or_decimals(other.measure))
        yield f"  to paste, in {len(other.measure.shared)} + {len(other.measure.routed)} atoms:"
        yield from measures_code([("G", in_decimals(other.measure))])
        yield from values_lines(letter, values)
    if found.none or found.absent:
        yield ""
        yield "nothing by:"
        for none in found.none:
            yield f"  {none.gauge.name}: {none.reason}"
        for absent in found.absent:
            yield f"  {absent.name}: {absent.reason}"
    if not found.complete:
        yield "the time limit was reached before all gauges were tried"


def _rows_or_decimals(measure: ExactMeasure) -> list[str]:
    """Exact rows; decimals where these are long."""
    exact = rows(measure)
    decimals = rows(in_decimals(measure))
    return [e if len(e) <= 70 else d for e, d in zip(exact, decimals, strict=True)]


def values_lines(letter: str, values: Sequence[Compared]) -> Iterator[str]:
    """The bound on the differences, and both values at the first point."""
    if not values:
        return
    worst, first = max(v.gap for v in values), values[0]
    at = f"x = {', '.join(first.x)}" + ("" if first.y is None else f", y = {first.y}")
    what = letter if first.y is None else f"log {letter}"
    yield f"  {what} of both at {len(values)} points: differ by less than {worst:.1e}, relatively"
    yield f"  at {at}, to {DIGITS} digits:"
    yield f"    {first.one}"
    yield f"    {first.other}"


def examples_report(result: CheckResult) -> RenderableType:
    """Two measures to paste for each gauge of a check, with their values to 50 digits."""
    beside = None if result.shared is None else result.shared.expert
    setting = Setting(
        result.expert, resolve_gate(result.gate, result.likelihood), Deadline(SECONDS), beside
    )
    lines: list[str] = []
    for gauge, example in examples_of(result):
        if example is None:
            continue
        both = (example.given, example.alternative)
        lines += ["", f"{gauge.name}: the same {setting.letter}, proved", example_code(example)]
        if resolve(result.likelihood).with_classes is None:
            seed, domain = result.options.seed, result.options.domain
            lines += values_lines(
                setting.letter, compared(setting, *both, domain=domain, seed=seed)
            )
    return Text("\n".join(lines))


# -- the document ---------------------------------------------------------------------------------


def document(name: str, source: str, found: Sequence[Alternatives]) -> dict[str, Any]:
    """The ``identkit.truths/1`` document: every number as exact text and in decimals."""
    return {
        "schema": TRUTHS_SCHEMA,
        "identkit": __version__,
        "name": name,
        "source": source,
        "truths": [_truth(each) for each in found],
    }


def _truth(found: Alternatives) -> dict[str, Any]:
    truth = found.truth
    return {
        "name": truth.name,
        "gate": truth.gate.name,
        "likelihood": truth.gate.likelihood,
        "expert": truth.expert.canonical(),
        "shared_expert": None if truth.shared is None else truth.shared.canonical(),
        "fitted": list(truth.fitted),
        "domain": truth.domain.document(),
        "published": {"loss": truth.loss, "exponent": truth.exponent},
        "measure": _both(truth.measure),
        "seed": found.seed,
        "complete": found.complete,
        "alternatives": [_other(*each) for each in found.found],
        "none": [{"name": n.gauge.name, "reason": n.reason} for n in found.none],
        "absent": [
            {"name": n.name, "excluded": n.excluded, "reason": n.reason} for n in found.absent
        ],
    }


def _other(other: OtherMeasure, values: Sequence[Compared]) -> dict[str, Any]:
    family = other.family
    return {
        "gauge": other.name,
        "kind": other.gauge.kind,
        "said": other.said,
        "rests_on": list(other.gauge.rests_on),
        "proved": True,
        "measure": _both(other.measure),
        "family": None
        if family is None
        else {"free": MASS, "most": other.most, "measure": measure_document(family)},
        "values": [
            {"x": list(v.x), "y": v.y, "truth": v.one, "other": v.other, "gap": v.gap}
            for v in values
        ],
    }


def _both(measure: ExactMeasure) -> dict[str, Any]:
    return {
        "exact": measure_document(measure),
        "decimal": _floats(measure_document(in_decimals(measure))),
    }


def _floats(value: Any) -> Any:
    """Numbers for texts."""
    if isinstance(value, dict):
        return {key: _floats(v) for key, v in value.items()}
    return [_floats(v) for v in value] if isinstance(value, list) else float(value)
