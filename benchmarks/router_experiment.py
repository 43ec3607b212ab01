"""Do routers behave as arXiv 2505.10860 reports? Four small models, trained here, over seeds.

    python benchmarks/router_experiment.py --data digits --seeds 5 --json digits.json
    python benchmarks/router_experiment.py --data python --quick
    python benchmarks/router_experiment.py --data python --json python.json   # up to an hour

Softmax and normalised sigmoid routers, each with and without one shared expert, top-2, equal active
parameters (``router_models.py``). No load-balance loss: what routers do by themselves is asked. The
paper's runs are single, at 158 M parameters; here are seeds, of which each draws the same order of
data for all four models, so that differences are paired.

Data: ``digits``, as scikit-learn ships them (BSD-3-Clause; from the UCI archive, E. Alpaydin and
C. Kaynak): 8 × 8 pixels as 16 patches of 2 × 2. ``python``, the sources of the standard library of
the interpreter that runs this (PSF License Version 2), byte by byte, without tests; every tenth
file is held out. Nothing is fetched, no data are written.

At ten checkpoints held-out data, always the same, are routed and recorded by ``RouterRecorder``;
saturation, change rate and Jain's index are those of ``identkit routers``, averaged over layers.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import platform
import sysconfig
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from router_models import MODELS, Model, Network, Size, parameters
from torch import Tensor
from torch.nn import functional

from identkit.errors import InputError
from identkit.files import write_whole
from identkit.routers.analysis import analyse
from identkit.routers.metrics import jain_random
from identkit.routers.recorded import recording
from identkit.routers.recorder import RouterRecorder

CHECKPOINTS = 10
LEVEL = 0.95
DIGITS = Size(d=32, blocks=2, heads=4, experts=8, top=2, inner=96, places=16, causal=False)
PYTHON = Size(d=128, blocks=2, heads=4, experts=16, top=2, inner=384, places=128, causal=True)
SKIPPED = {"site-packages", "test", "tests", "idle_test", "__pycache__"}


@dataclass(frozen=True)
class Plan:
    """How long a model is trained: AdamW, the rate rises over a tenth and falls to 0 linearly."""

    steps: int
    batch: int
    rate: float
    decay: float = 0.01


@dataclass(frozen=True)
class Data:
    """Training batches, and the held-out rows that are recorded and scored.

    ``draw`` takes a generator and a number of rows; tokens (B, L) or (B, L, inputs), targets (B, L)
    or (B,). ``ids`` (B, L) are what the recording calls tokens; ``typed``: some are more frequent
    than others, so that averages over types differ. ``domains`` (B, L): where they are from.
    """

    name: str
    about: dict[str, Any]
    inputs: int
    classes: int
    draw: Callable[[torch.Generator, int], tuple[Tensor, Tensor]]
    held: tuple[Tensor, Tensor]
    ids: Tensor
    typed: bool
    domains: Tensor | None = None


def digits() -> Data:
    """Patches (B, 16, 4) of pixels / 16; a quarter of the images is held out (seed 0)."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    patches = images.reshape(-1, 4, 2, 4, 2).transpose(0, 1, 3, 2, 4).reshape(-1, 16, 4) / 16.0
    x, y = torch.tensor(patches, dtype=torch.float32), torch.tensor(labels)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    held, kept = order[: len(x) // 4], order[len(x) // 4 :]

    def draw(generator: torch.Generator, rows: int) -> tuple[Tensor, Tensor]:
        taken = kept[torch.randint(len(kept), (rows,), generator=generator)]
        return x[taken], y[taken]

    places = torch.arange(16).expand(len(held), 16)
    about = {"images": len(kept), "held_out": len(held), "licence": "scikit-learn, BSD-3-Clause"}
    domains = y[held, None].expand(-1, 16)
    return Data("digits", about, 4, 10, draw, (x[held], y[held]), places, False, domains)


def python(length: int = PYTHON.places, rows: int = 128) -> Data:
    """Bytes (B, L) and those that follow; ``rows`` held-out sequences, evenly spaced."""
    library = Path(sysconfig.get_paths()["stdlib"])
    files = sorted(
        file for file in library.rglob("*.py") if not SKIPPED & set(file.relative_to(library).parts)
    )
    parts: tuple[list[bytes], list[bytes]] = ([], [])
    for place, file in enumerate(files):
        parts[place % 10 == 9].append(file.read_bytes())
    text, other = (np.frombuffer(b"".join(part), np.uint8) for part in parts)
    if len(other) <= rows * (length + 1):
        raise InputError(
            f"--data python: {len(other):,} bytes of the standard library's sources are held out, "
            f"{rows * (length + 1):,} are needed; take an interpreter that has its sources."
        )
    train = torch.from_numpy(text.copy())
    at = torch.linspace(0, len(other) - length - 1, rows).long()
    within = torch.arange(length + 1)
    held = torch.from_numpy(other.copy())[at[:, None] + within].long()

    def draw(generator: torch.Generator, count: int) -> tuple[Tensor, Tensor]:
        starts = torch.randint(len(train) - length, (count, 1), generator=generator)
        taken = train[starts + within].long()
        return taken[:, :-1], taken[:, 1:]

    about = {
        "files": len(files), "bytes": len(text), "held_out_bytes": len(other),
        "sha256": hashlib.sha256(text.tobytes() + other.tobytes()).hexdigest(),
        "python": platform.python_version(), "licence": "PSF License Version 2",
    }  # fmt: skip
    ids = held[:, :-1]
    return Data("python", about, 256, 256, draw, (ids, held[:, 1:]), ids, True)


def score(network: Network, data: Data, device: str, recorder: RouterRecorder, rows: int) -> Any:
    """Loss in nats and accuracy on the held-out rows, which the recorder sees if it records."""
    tokens, targets = data.held
    loss, right = 0.0, 0
    with torch.no_grad():
        for i in range(0, len(tokens), rows):
            part = slice(i, i + rows)
            domains = None if data.domains is None else data.domains[part]
            recorder.tokens(data.ids[part], domains=domains)
            logits = network(tokens[part].to(device)).flatten(0, -2)
            wanted = targets[part].to(device).flatten()
            loss += float(functional.cross_entropy(logits, wanted, reduction="sum"))
            right += int((logits.argmax(-1) == wanted).sum())
    return loss / targets.numel(), right / targets.numel()


def train(
    model: Model, data: Data, size: Size, plan: Plan, seed: int, folder: Path, device: str = "cpu"
) -> dict[str, Any]:
    """One model of one seed; its routing is recorded below ``folder``, which is made.

    Returns loss, accuracy, parameters, processor seconds and the metrics by layer and checkpoint.
    """
    began = time.process_time()
    torch.manual_seed(seed)
    network = Network(model, size, data.inputs, data.classes).to(device)
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(network.parameters(), plan.rate, weight_decay=plan.decay)
    rise = max(1, plan.steps // 10)
    rates = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda s: min((s + 1) / rise, (plan.steps - s) / max(1, plan.steps - rise)),
    )
    count = min(CHECKPOINTS, plan.steps)
    recorded = {plan.steps * (i + 1) // count for i in range(count)}
    loss = accuracy = math.nan
    with RouterRecorder(network, folder, experts=size.experts) as recorder:
        for step in range(1, plan.steps + 1):
            recorder.recording = False
            tokens, targets = data.draw(generator, plan.batch)
            logits = network(tokens.to(device)).flatten(0, -2)
            error = functional.cross_entropy(logits, targets.to(device).flatten())
            optimiser.zero_grad()
            error.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            rates.step()
            if step in recorded:
                recorder.recording = True
                recorder.checkpoint(step)
                loss, accuracy = score(network, data, device, recorder, plan.batch)
    active, total = parameters(network)
    return {
        "model": model.name, "seed": seed, "loss": round(loss, 5), "accuracy": round(accuracy, 5),
        "active_parameters": active, "parameters": total, **metrics_of(folder, data.typed),
        "processor_seconds": round(time.process_time() - began, 1),
    }  # fmt: skip


def metrics_of(folder: Path, typed: bool) -> dict[str, Any]:
    """Metrics of a recording (layers, checkpoints), change (layers, checkpoints − 1), dead experts.

    ``typed``: saturation, change and Jain's index also where each type of token counts once.
    """
    # no bootstrap over tokens: what varies between trainings is asked for
    found = analyse(recording(folder), draws=0, workers=1)
    rows = [[found.at(layer, t) for t in found.checkpoints] for layer in found.layers]
    taken: dict[str, Any] = {
        "checkpoints": list(found.checkpoints),
        "saturation": [[one.saturation.value for one in row if one.saturation] for row in rows],
        "change": [[one.change.value for one in row if one.change] for row in rows],
        "jain": [[one.jain.value for one in row] for row in rows],
        "dead": [[len(one.dead) for one in row] for row in rows],
    }
    if typed:
        kinds = [[one.over_types for one in row if one.over_types] for row in rows]
        taken["type_saturation"] = [[t.saturation.value for t in r if t.saturation] for r in kinds]
        taken["type_change"] = [[t.change.value for t in r if t.change] for r in kinds]
        taken["type_jain"] = [[t.jain.value for t in r] for r in kinds]
    return {
        name: [[round(v, 4) for v in row] for row in rows] if name != "checkpoints" else rows
        for name, rows in taken.items()
    }


QUANTITIES: dict[str, tuple[str, Callable[[dict[str, Any]], float]]] = {
    "accuracy": ("accuracy", lambda run: run["accuracy"]),
    "loss": ("loss, nats", lambda run: run["loss"]),
    "saturation": (
        "saturation, mean before the last",
        lambda run: float(np.mean(run["saturation"], 0)[:-1].mean())
    ),
    "change": ("change rate, mean", lambda run: float(np.mean(run["change"]))),
    "jain": ("Jain's index, last", lambda run: float(np.mean(run["jain"], 0)[-1])),
    "dead": ("dead experts of a layer, last", lambda run: float(np.mean(run["dead"], 0)[-1])),
}  # fmt: skip
"""Of a run: its title, and the number; means over layers."""
TYPED = {
    name: (f"{QUANTITIES[name][0]}, over types",
           lambda run, name=name: QUANTITIES[name][1]({name: run[f"type_{name}"]}))
    for name in ("saturation", "change", "jain")
}  # fmt: skip
"""The same where each type of token counts once, as in the paper's figures."""
CLAIMS = (
    ("sigmoid saturates faster", "router", "saturation", 1),
    ("sigmoid changes less", "router", "change", -1),
    ("sigmoid uses experts more evenly", "router", "jain", 1),
    ("sigmoid lowers the loss", "router", "loss", -1),
    ("a shared expert lowers the loss", "shared", "loss", -1),
    ("a shared expert raises accuracy", "shared", "accuracy", 1),
)
"""(words, what is changed, quantity, sign): the paper's, with accuracy beside perplexity."""


def interval(values: Sequence[float]) -> dict[str, Any]:
    """Mean of values over seeds with the 95 % interval of Student's t; none for one seed."""
    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return {"mean": round(mean, 5), "low": None, "high": None}
    from scipy.special import stdtrit

    half = float(stdtrit(n - 1, 0.5 + LEVEL / 2) * np.std(values, ddof=1) / math.sqrt(n))
    ends = {"mean": mean, "low": mean - half, "high": mean + half}
    return {end: round(value, 5) for end, value in ends.items()}


def verdict(found: dict[str, Any], sign: int) -> str:
    """``seen`` if the whole interval has the claimed sign, ``opposite``, ``open`` if it has 0."""
    if found["low"] is None or found["low"] <= 0.0 <= found["high"]:
        return "open"
    return "seen" if (found["low"] > 0.0) == (sign > 0) else "opposite"


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means by model, and the differences that the claims are about, paired by seed."""
    quantities = dict(QUANTITIES)
    if "type_jain" in runs[0]:
        quantities |= {f"type_{name}": TYPED[name] for name in TYPED}
    table: dict[tuple[str, str], dict[int, float]] = {}
    for run in runs:
        for name, (_, number) in quantities.items():
            table.setdefault((run["model"], name), {})[run["seed"]] = number(run)
    models = [m for m in MODELS if (m.name, "loss") in table]
    means = {
        m.name: {name: interval(list(table[m.name, name].values())) for name in quantities}
        for m in models
    }
    claims = []
    for words, what, quantity, sign in CLAIMS:
        named = [quantity, *([f"type_{quantity}"] if f"type_{quantity}" in quantities else [])]
        for name in named:
            for model in models:
                changed = (
                    replace(model, router="sigmoid")
                    if what == "router"
                    else replace(model, shared=True)
                )
                if changed == model or changed not in models:
                    continue
                one, other = table[changed.name, name], table[model.name, name]
                found = interval([one[s] - other[s] for s in one if s in other])
                claims.append(
                    {"claim": words, "quantity": name, "with": changed.name, "against": model.name}
                    | found
                    | {"verdict": verdict(found, sign)}
                )
    return {"means": means, "claims": claims}


def written(results: dict[str, Any]) -> bytes:
    """JSON with a line for each training and each claim."""

    def text(value: Any) -> str:
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return "[\n  " + ",\n  ".join(json.dumps(one) for one in value) + "\n ]"
        return json.dumps(value)

    return ("{\n" + ",\n".join(f' "{k}": {text(v)}' for k, v in results.items()) + "\n}\n").encode()


def shown(found: dict[str, Any], digits: int = 3) -> str:
    """A mean and its interval."""
    if found["low"] is None:
        return f"{found['mean']:.{digits}f}"
    low, high = (f"{found[end]:.{digits}f}" for end in ("low", "high"))
    return f"{found['mean']:.{digits}f} [{low}, {high}]"


def markdown(results: dict[str, Any]) -> str:
    """Two tables: models, and claims."""
    titles = {**QUANTITIES, **{f"type_{name}": t for name, t in TYPED.items()}}
    means, claims = results["means"], results["claims"]
    names = list(means)
    lines = [f"| | {' | '.join(names)} | at random |", "| --- |" + " ---: |" * (len(names) + 1)]
    last = {run["model"]: run for run in results["runs"]}
    for what in ("active_parameters", "parameters"):
        counts = " | ".join(f"{last[n][what]:,}" for n in names)
        lines.append(f"| {what.replace('_', ' ')} | {counts} | |")
    for name in means[names[0]]:
        row = " | ".join(shown(means[n][name]) for n in names)
        at = results["at_random"].get(name)
        lines.append(f"| {titles[name][0]} | {row} | {'' if at is None else f'{at:.3f}'} |")
    perplexities = " | ".join(f"{math.exp(means[n]['loss']['mean']):.3f}" for n in names)
    lines.append(f"| perplexity (e to the mean loss) | {perplexities} | |")
    lines += ["", "| claim | models | difference | verdict |", "| --- | --- | ---: | --- |"]
    for one in claims:
        words = one["claim"] + (" (over types)" if one["quantity"].startswith("type_") else "")
        pair = f"{one['with']} − {one['against']}"
        lines.append(f"| {words} | {pair} | {shown(one, 4)} | {one['verdict']} |")
    return "\n".join(lines)


def experiment(
    data: Data, size: Size, plan: Plan, seeds: Sequence[int], keep: Path, path: Path | None,
    device: str,
) -> dict[str, Any]:  # fmt: skip
    """All models of all seeds; the JSON is written anew after each training."""
    ratio = size.top / size.experts
    random = {
        "saturation": ratio, "change": 1.0 - ratio,
        "jain": jain_random(size.experts, size.top, data.ids.numel()),
    }  # fmt: skip
    if data.typed:
        random |= {"type_saturation": ratio, "type_change": 1.0 - ratio}
    results: dict[str, Any] = {
        "data": data.name, "about": data.about, "size": asdict(size), "plan": asdict(plan),
        "seeds": list(seeds), "device": device, "torch": torch.__version__, "level": LEVEL,
        "at_random": random,
    }  # fmt: skip
    runs: list[dict[str, Any]] = []
    for seed in seeds:
        for model in MODELS:
            folder = keep / f"{model.name.replace(' + ', '-')}-seed{seed}"
            run = train(model, data, size, plan, seed, folder, device)
            runs.append(run)
            print(
                f"{model.name}, seed {seed}: loss {run['loss']:.4f}, accuracy "
                f"{run['accuracy']:.4f}, {run['processor_seconds']:.0f} processor seconds",
                flush=True,
            )
            results |= {"runs": runs, **summary(runs)}
            if path is not None:
                text = written(results)
                write_whole(path, lambda stream, text=text: stream.write(text))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description="Four small models, and what their routers do.")
    parser.add_argument("--data", choices=("digits", "python"), required=True)
    parser.add_argument("--seeds", type=int, help="how many, from 0 (3; with --quick 1)")
    parser.add_argument("--quick", action="store_true", help="some two minutes, and no evidence")
    parser.add_argument("--json", type=Path, help="the results are written there")
    parser.add_argument("--keep", type=Path, help="a new folder for the recordings")
    parser.add_argument("--device", help="cuda if there is one, or cpu")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    seeds = range(options.seeds or (1 if options.quick else 3))
    if options.data == "digits":
        data, size = digits(), DIGITS
        plan = Plan(steps=100 if options.quick else 600, batch=64, rate=3e-3)
    else:
        data, size = python(), PYTHON
        plan = Plan(steps=150 if options.quick else 1600, batch=16, rate=2e-3)
    began = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory() as folder:
            results = experiment(
                data, size, plan, seeds, options.keep or Path(folder), options.json, device
            )
    except InputError as error:
        parser.exit(2, f"{error}\n")
    print(f"\n{markdown(results)}\n\nseeds {list(seeds)}, {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
