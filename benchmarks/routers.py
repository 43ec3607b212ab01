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
import zipfile
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


def measure(path: Path, between: bool) -> None:
    """In a process of its own: seconds, processor seconds and the peak of memory, as JSON."""
    from identkit.routers.analysis import analyse
    from identkit.routers.recorded import recording

    began = time.perf_counter()
    found = analyse(recording(path), workers=2, between=between)
    seconds = time.perf_counter() - began
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "between": between,
                "routed_tokens": sum(f.tokens for f in found.found),
                "seconds": round(seconds, 1),
                "processor_seconds": round(usage.ru_utime + usage.ru_stime, 1),
                "peak_MB": round(usage.ru_maxrss / 1024),
                "jain": found.found[0].jain.value,
            }
        )
    )


def recorder(steps: int) -> None:
    """Steps of training with recording off and on in turn; medians of seconds and of the ratio."""
    import torch
    from torch import nn

    from identkit.routers.recorder import RouterRecorder

    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    d, n, k, vocabulary, depth = 128, 8, 2, 1000, 4

    class Router(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(0.02 * torch.randn(n, d))

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            logits = x @ self.weight.T
            weights, indices = logits.softmax(-1).topk(k)
            return logits, weights / weights.sum(-1, keepdim=True), indices

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.router = Router()
            self.experts = nn.ModuleList(
                nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d)) for _ in range(n)
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            _, weights, indices = self.router(x)
            out = torch.zeros_like(x)
            for e, expert in enumerate(self.experts):
                rows, slot = (indices == e).nonzero(as_tuple=True)
                out = out.index_add(0, rows, weights[rows, slot, None] * expert(x[rows]))
            return x + out

    model = nn.Sequential(
        nn.Embedding(vocabulary, d), *(Layer() for _ in range(depth)), nn.Linear(d, vocabulary)
    )
    optimiser = torch.optim.AdamW(model.parameters())
    ids = torch.randint(0, vocabulary, (steps, 2048))
    taken: dict[bool, list[float]] = {True: [], False: []}
    with (
        tempfile.TemporaryDirectory() as folder,
        RouterRecorder(model, Path(folder) / "run", experts=n) as kept,
    ):
        for step in range(steps):
            kept.recording = step % 2 == 1
            began = time.process_time()
            kept.checkpoint(100 * (step // 100))  # a part is written within the measured time
            kept.tokens(ids[step])
            loss = nn.functional.cross_entropy(model(ids[step]), ids[step].roll(-1))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if step >= 10:
                taken[kept.recording].append(time.process_time() - began)
        kept.flush()
    off, on = (np.array(taken[w][: min(map(len, taken.values()))]) for w in (False, True))
    rng = np.random.default_rng(SEED)
    drawn = rng.integers(0, len(off), (2000, len(off)))
    ratios = np.median(on[drawn] / off[drawn], axis=1)
    print(
        json.dumps(
            {
                "pairs_of_steps": len(off),
                "step_ms": round(1e3 * float(np.median(off)), 1),
                "overhead_percent": round(100 * (float(np.median(on / off)) - 1), 2),
                "interval": [round(100 * (float(q) - 1), 2)
                             for q in np.quantile(ratios, [0.025, 0.975])],
            }
        )
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("analyse", "recorder", "measure"))
    parser.add_argument("path", nargs="?", type=Path)
    parser.add_argument("--tokens", type=float, default=1e8)
    parser.add_argument("--between", action="store_true")
    parser.add_argument("--steps", type=int, default=210)
    options = parser.parse_args()
    if options.what == "measure":
        measure(options.path, options.between)
    elif options.what == "recorder":
        recorder(options.steps)
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "run.npz"
            write(path, int(options.tokens))
            for more in ([], ["--between"]):
                command = [sys.executable, __file__, "measure", str(path), *more]
                subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
