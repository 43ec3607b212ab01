"""Time and memory of `identkit routers` on 10⁸ routed tokens, and what the recorder costs.

    python benchmarks/routers.py analyse [--tokens 1e8]     writes a recording, analyses it
    python benchmarks/routers.py recorder                   a training step with and without it

The recording has 4 layers of 2.5·10⁷ tokens at one checkpoint, 8 of 64 experts, with ids and
domains of tokens: 10⁸ routed tokens, 0.8 GB. Its rows repeat a million random ones, since the work
does not depend on the values. The peak of memory is that of the process that analyses.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

LAYERS, EXPERTS, TOP, TYPES, BASE, SEED = 4, 64, 8, 50_000, 10**6, 0


def write(path: Path, tokens: int) -> None:
    """A recording of ``tokens`` routed tokens, array by array."""
    rng = np.random.default_rng(SEED)
    each = tokens // LAYERS
    times = -(-each // BASE)
    ids = np.minimum(rng.zipf(1.2, BASE) - 1, TYPES - 1).astype(np.uint16)
    domains = np.repeat(np.arange(10, dtype=np.uint8), BASE // 10)
    base = rng.permuted(np.tile(np.arange(EXPERTS, dtype=np.uint8), (BASE, 1)), axis=1)[:, :TOP]
    arrays = {f"layer{i}": np.roll(base, i, axis=0) for i in range(LAYERS)}
    import zipfile

    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, part in {**arrays, "tokens": ids, "domains": domains}.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                header = {"descr": part.dtype.str, "fortran_order": False,
                          "shape": (each, *part.shape[1:])}  # fmt: skip
                np.lib.format.write_array_header_2_0(file, header)
                data = np.ascontiguousarray(part).tobytes()
                row = len(data) // BASE
                for i in range(times):
                    file.write(data[: row * min(BASE, each - i * BASE)])
        with archive.open("experts.npy", "w") as file:
            np.lib.format.write_array(file, np.array(EXPERTS))


def measure(path: Path) -> None:
    """In a process of its own: seconds, processor seconds and the peak of memory, as JSON."""
    from identkit.routers.analysis import analyse
    from identkit.routers.recorded import recording

    began = time.perf_counter()
    found = analyse(recording(path), workers=2)
    seconds = time.perf_counter() - began
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "routed_tokens": sum(f.tokens for f in found.found),
                "seconds": round(seconds, 1),
                "processor_seconds": round(usage.ru_utime + usage.ru_stime, 1),
                "peak_MB": round(usage.ru_maxrss / 1024),
                "jain": found.found[0].jain.value,
            }
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("analyse", "recorder", "measure"))
    parser.add_argument("path", nargs="?", type=Path)
    parser.add_argument("--tokens", type=float, default=1e8)
    options = parser.parse_args()
    if options.what == "measure":
        measure(options.path)
    elif options.what == "analyse":
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "run.npz"
            write(path, int(options.tokens))
            subprocess.run([sys.executable, __file__, "measure", path], check=True)


if __name__ == "__main__":
    main()
