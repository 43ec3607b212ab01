"""Whole-process times and peak memory of identkit's commands, beside `import sympy`.

    make bench                      # everything, about four minutes on 2 cores
    python benchmarks/run.py cold   # one group: cold, dimension, atoms, table, verify

Every command runs in a fresh interpreter after one uncounted warm-up; median of the counted runs.
The peer is `python -c "import sympy"`, the floor of any command that derives with SymPy, and is
measured in the same run: quote ratios, since absolute times depend on the machine.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

RUNS = 5
IDENTKIT = [sys.executable, "-m", "identkit"]
SYMPY = [sys.executable, "-c", "import sympy"]


def measure(command: list[str], runs: int = RUNS) -> tuple[float, float]:
    """Median wall seconds and largest peak memory in MB, after one uncounted warm-up."""
    times, peaks = [], []
    for _ in range(runs + 1):
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        times.append(time.perf_counter() - started)
        peaks.append(usage.ru_maxrss / 1024)
        if os.waitstatus_to_exitcode(status) != 0:
            raise SystemExit(f"{' '.join(command)} failed")
    return statistics.median(times[1:]), max(peaks)


def report(title: str, rows: list[tuple[str, list[str]]], runs: int = RUNS) -> None:
    peer, _ = measure(SYMPY, runs)
    print(f"\n{title} (import sympy alone: {peer:.2f} s, median of {runs})\n")
    print("| command | seconds | ratio to import sympy | peak MB |")
    print("| --- | ---: | ---: | ---: |")
    for name, command in rows:
        seconds, peak = measure(command, runs)
        print(f"| {name} | {seconds:.2f} | {seconds / peer:.1f} | {peak:.0f} |", flush=True)


def check(*options: str) -> list[str]:
    return [*IDENTKIT, "check", *options]


def cold() -> None:
    gelu = ("--expert", "gelu", "--gate", "sigmoid")
    rows = [
        ("--version", [*IDENTKIT, "--version"]),
        ("check gelu, sigmoid", check(*gelu)),
        ("check relu, sigmoid", check("--expert", "relu", "--gate", "sigmoid")),
        ("check --expr 'c*atan(a*x + b)'", check("--expr", "c*atan(a*x + b)", "--gate", "sigmoid")),
        ("check poly20, d = 1", check("--expert", "poly20", "--dim", "1", "--gate", "softmax")),
    ]
    report("Cold start, d = 2 unless said", rows, 9)


def dimension() -> None:
    rows = [
        (f"strong, gelu, d = {d}", check("--expert", "gelu", "--gate", "softmax", "--dim", str(d)))
        for d in range(1, 9)
    ]
    report("Cost against d: expert level strong, k = 3", rows, 3)


def atoms() -> None:
    rows = [
        (
            f"strong, gelu, k = {k}",
            check("--expert", "gelu", "--gate", "softmax", "--atoms", str(k)),
        )
        for k in range(1, 7)
    ]
    report("Cost against k: expert level strong, d = 2", rows, 3)


def table() -> None:
    rows = [(f"table, d = {d}", [*IDENTKIT, "table", "--dim", str(d)]) for d in (1, 2)]
    report("The whole table: 15 experts, 6 columns", rows, 3)


def verify() -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for d in (2, 4, 8):
            path = str(Path(folder) / f"{d}.json")
            subprocess.run(
                check("--expert", "gelu", "--gate", "softmax", "--dim", str(d), "--save", path),
                check=True,
                stdout=subprocess.DEVNULL,
            )
            rows.append((f"verify, gelu, d = {d}", [*IDENTKIT, "verify", path]))
        report("Verification of a saved certificate", rows, 3)


GROUPS = {f.__name__: f for f in (cold, dimension, atoms, table, verify)}


def main() -> None:
    wanted = sys.argv[1:] or list(GROUPS)
    unknown = [name for name in wanted if name not in GROUPS]
    if unknown:
        raise SystemExit(f"no group '{unknown[0]}'; choose from {', '.join(GROUPS)}")
    packages = ", ".join(f"{p} {version(p)}" for p in ("identkit", "sympy", "python-flint"))
    print(f"{platform.machine()}, Python {platform.python_version()}, {packages}")
    for name in wanted:
        GROUPS[name]()


if __name__ == "__main__":
    main()
