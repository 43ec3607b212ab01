"""Hostile input by the thousand: what becomes of it, the slowest, the largest.

    python benchmarks/hostile.py expressions 20000 --seed 1

Kinds are the modules of ``tests/hostile/``; the suite runs a few cases of each. Exit code 1 if
anything happened but a right success or a refusal in one sentence; the case is then printed.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections import Counter
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

KINDS = ("expressions", "certificates", "roundtrips", "stores", "data")
SHOWN = 3
"""Slowest cases named."""
REPORT_EVERY = 30.0
"""Seconds between lines of progress."""


def peak() -> float:
    """The largest resident memory so far of this process or a child of it, in MB."""
    both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(who).ru_maxrss for who in both) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    kind = import_module(f"hostile.{options.kind}")
    outcomes: Counter[str] = Counter()
    slowest: list[tuple[float, str]] = []
    started = said = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        for number, case in enumerate(kind.cases(options.count, options.seed)):
            folder = Path(name, str(number))
            folder.mkdir()
            begun = time.monotonic()
            try:
                outcomes[kind.attempt(case, folder)] += 1
            except AssertionError as error:
                outcomes["WRONG"] += 1
                print(f"wrong: {str(error)[:2000]}", flush=True)
            except Exception as error:
                outcomes["WRONG"] += 1
                print(f"traceback: {error!r:.500}: {case!r:.1500}", flush=True)
            ended = time.monotonic()
            slowest = sorted([*slowest, (ended - begun, repr(case)[:200])], reverse=True)[:SHOWN]
            if ended - said > REPORT_EVERY:
                said = ended
                print(f"{number + 1} of {options.count}, {ended - started:.0f} s", file=sys.stderr)
    print(f"{options.kind}, seed {options.seed}: {dict(outcomes)}, peak {peak():.0f} MB")
    for seconds, text in slowest:
        print(f"{seconds:7.2f} s  {text}")
    return 1 if outcomes["WRONG"] else 0


if __name__ == "__main__":
    sys.exit(main())
