"""Orders against a minimisation: the table of ``benchmarks/README.md``.

    python benchmarks/orders.py [--starts N] [--cell M ...] [PART OF AN EXPERT ...]

For each row of ``tests/slow_experts.py``: the order that ``identkit.order`` proves, the slope of
‖T_G(t) − T_*‖ along its arc, in the powers of the coordinate, and the slope of the least
‖T_G − T_*‖ that many starts find where the coordinate has moved by t (``tests/slowness.py``), and
that norm at the smallest t.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from slow_experts import CASES, STARTS, Case, relative_power
from slowness import VALUE

from identkit import Expert, order


def claimed(case: Case, cell: int):
    """coordinate -> its order, with evidence."""
    likelihood = None if case.likelihood == VALUE else case.likelihood
    expert = Expert.from_expression(case.text)
    found = order(expert, case.gate, likelihood=likelihood, dim=1, cell=cell)
    return {d.direction: d for d in found.directions}


def printed(direction) -> list[dict]:
    """The atoms of its arc, none where moments alone are the evidence."""
    groups = () if direction.lower.arc is None else direction.lower.arc.atoms
    return [
        {"roots": g.roots, "weight": g.weight, "deviations": dict(g.deviations)} for g in groups
    ]


def text_of(bounds) -> str:
    """An order as in a report: a number, or two."""
    if not isinstance(bounds, list):
        return str(bounds)
    low, high = bounds
    return f"{low} to {'∞' if high is None else high}"


def main() -> None:
    """Print the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", type=int, help="random starts at each t")
    parser.add_argument("--cell", type=int, nargs="+", help="atoms fitted to one (all sizes)")
    parser.add_argument("experts", nargs="*", metavar="PART", help="rows whose expert has this")
    options = parser.parse_args()
    print("| expert | gate | likelihood | cell | coordinate | order | arc | minimum | least |")
    print("| --- | --- | --- | ---: | --- | --- | ---: | --- | ---: |")
    for case in CASES:
        if options.experts and not any(part in case.text for part in options.experts):
            continue
        for cell, coordinate, times in case.looks:
            if options.cell and cell not in options.cell:
                continue
            direction = claimed(case, cell)[coordinate]
            problem, arc, shown = case.problem(cell), printed(direction), "–"
            if arc:
                power = dict(direction.lower.arc.powers)[coordinate]
                shown = f"{problem.arc_slope(arc) / power:.2f}"
            starts = options.starts or STARTS[cell]
            near = relative_power(direction.lower.arc, coordinate)
            norms, slopes = problem.slopes(coordinate, times, starts=starts, arc=arc, power=near)
            least = ", ".join(f"{s:.2f}" for s in slopes)
            print(
                f"| `{case.text}` | {case.gate} | {case.likelihood} | {cell} | {coordinate} | "
                f"{text_of(direction.order)} | {shown} | {least} | "
                f"{norms[-1]:.1e} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
