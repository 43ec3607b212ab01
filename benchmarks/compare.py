"""Every verdict, relation, rate and a few fits, before and after a change of the code.

    python benchmarks/compare.py save before.json          # in the tree before
    python benchmarks/compare.py against before.json       # in the tree after

Prints each answer that is not the same and exits with 1 if there is one. The answers are those of
``check`` for every built-in expert (d = 1, 2) and for the experts of ``tests/zoo.py``, under the
registered gates and some of one's own; and the estimates of
small fits, digit by digit, which hold on one machine only.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import numpy as np
import zoo

import identkit
from identkit import Expert, MixingMeasure, check
from identkit.errors import IdentkitError
from identkit.experts import builtin
from identkit.fit import Model, least_squares
from identkit.gates import GATES

OWN = ("(1 + tanh(s))/2", "normalised 1 + s**2")
SHOWN = 200
"""Characters of a differing value that are printed."""
REPORT_EVERY = 20.0


def experts() -> Iterator[tuple[str, Expert]]:
    """All built-in experts of the zoo and all that nobody listed."""
    for known in zoo.KNOWN:
        for dim in (1, 2):
            yield f"{known.name}-{known.shape}-{dim}", builtin(known.name, known.shape, dim)
    texts = {row[0] for row in (*zoo.UNLISTED, *zoo.SECOND_ORDER_UNLISTED)}
    for text in sorted(texts):
        yield text, Expert.from_expression(text)


def answers() -> Iterator[tuple[str, Any]]:
    """(what was asked, the answer as JSON)."""
    for label, expert in experts():
        for gate in (*GATES, *OWN):
            try:
                answer: Any = check(expert, gate, time_limit=120.0).to_dict()
            except IdentkitError as error:
                answer = str(error)
            yield f"{label} / {gate}", answer
    truth = MixingMeasure([0.5, -0.5], [[0.5], [-1.0]], [[2.0, 1.0], [-3.0, 1.0]])
    for gate in (*GATES, *OWN):
        for expert in ("tanh", "gelu", "relu"):
            model = Model.of(expert, gate)
            data = identkit.simulate(model, truth, 300, noise=0.05, seed=1)
            x, y = data.data(0)
            fit = least_squares(model, x, y, truth)
            yield (
                f"fit of {expert} / {gate}",
                [fit.status.name, float(np.asarray(fit.cost)).hex()]
                + [float(v).hex() for v in fit.measure.to_vector().ravel()],
            )


def differences(before: Any, after: Any, where: str) -> Iterator[str]:
    """Where two JSON values differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            yield from differences(before.get(key), after.get(key), f"{where}.{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for i, (a, b) in enumerate(zip(before, after, strict=True)):
            yield from differences(a, b, f"{where}[{i}]")
    elif before != after:
        yield f"{where}: {str(before)[:SHOWN]} -> {str(after)[:SHOWN]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("save", "against"))
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    before = json.loads(options.file.read_text()) if options.action == "against" else {}
    found: dict[str, Any] = {}
    count, said = 0, time.monotonic()
    for asked, answer in answers():
        found[asked] = json.loads(json.dumps(answer))
        if before:
            for line in differences(before.get(asked), found[asked], asked):
                count += 1
                print(line, flush=True)
        if time.monotonic() - said > REPORT_EVERY:
            said = time.monotonic()
            print(f"{len(found)} asked", file=sys.stderr)
    if options.action == "save":
        options.file.write_text(json.dumps(found, indent=1, sort_keys=True))
    missing = sorted(before.keys() - found.keys())
    print(
        f"{len(found)} answers, {count} values differ" + (f", missing {missing}" if missing else "")
    )
    return 1 if count or missing else 0


if __name__ == "__main__":
    sys.exit(main())
