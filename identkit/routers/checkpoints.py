"""Checkpoints of a torch model, run over the same tokens, as a recording.

A checkpoint is a file of weights, ``.safetensors``, ``.pt``, ``.pth`` or ``.bin``, whose name ends
in its number, or a folder so named with ``model.safetensors`` or ``pytorch_model.bin`` (in shards,
too), as trainers write them: ``step-1000.pt``, ``checkpoint-1000/model.safetensors``. Weights are
read as data; a pickle that holds anything else is refused.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from identkit.errors import InputError, whole
from identkit.files import write_whole
from identkit.foreign import FAILS
from identkit.routers.recorded import recording
from identkit.routers.recorder import RouterRecorder
from identkit.routers.sources import sources

WEIGHTS = (".safetensors", ".pt", ".pth", ".bin")
_NUMBER = re.compile(r"(\d+)$")
_SHARD = re.compile(r"(?:model|pytorch_model)(?:-\d+-of-\d+)?\.(?:safetensors|bin)")
_BESIDE = re.compile("optimizer|scheduler|rng_state|training_args")
"""Files of training code that are no weights of the model."""
_INSIDE = ("model", "state_dict", "module")
"""Keys under which training code puts the weights beside its own things."""

Ids = NDArray[np.int64]
ROUNDED = 0.05
"""Part of the selections that may differ where a batch has another size."""


def checkpoints_in(folder: str | os.PathLike[str]) -> dict[int, tuple[Path, ...]]:
    """Number -> the files of weights of each checkpoint, in order of the numbers.

    Raises :class:`~identkit.errors.InputError` for a folder without any, and for two of one number.
    """
    place = Path(folder)
    if not place.is_dir():
        raise InputError(f"{folder}: is no folder; give one with checkpoints of the model.")
    found: dict[int, tuple[Path, ...]] = {}
    for path in sorted(place.iterdir()):
        number = _NUMBER.search(path.name if path.is_dir() else path.stem)
        files = _files(path)
        if number is None or not files:
            continue
        own = int(number[1])
        if own in found:
            raise InputError(
                f"{folder}: {found[own][0].name} and {path.name} have the number {own}; leave one."
            )
        found[own] = files
    if not found:
        raise InputError(
            f"{folder}: no checkpoint is in it, a file of weights ({', '.join(WEIGHTS)}) or a "
            "folder with one, whose name ends in a number; name them so."
        )
    return dict(sorted(found.items()))


def _files(path: Path) -> tuple[Path, ...]:
    if not path.is_dir():
        return (path,) if path.suffix in WEIGHTS and not _BESIDE.match(path.name) else ()
    inside = sorted(p for p in path.iterdir() if _SHARD.fullmatch(p.name))
    safe = [p for p in inside if p.suffix == ".safetensors"]
    return tuple(safe or inside)


def read_tokens(path: str | os.PathLike[str], length: int) -> tuple[Ids, Any]:
    """Sequences of ids (S, L) and their domains (S, L), None without.

    ``path`` is a file of ids, as of a recording: (sequences, tokens), or (tokens,), which is cut
    into sequences of ``length``, the last one left out if it is shorter. Domains, integers or
    names, are one for each token. Raises :class:`~identkit.errors.InputError`.
    """
    label, length = os.fspath(path), whole("length", length, least=1)
    arrays = sources(Path(path))
    name = "tokens" if "tokens" in arrays else next(iter(arrays))
    if len(arrays) > 1 and "tokens" not in arrays:
        raise InputError(f"{label}: no array is called tokens; name the ids so.")
    if 0 in arrays[name].shape:
        raise InputError(f"{label}: holds no tokens; give some.")
    ids = arrays[name].whole()
    domains = arrays["domains"].whole() if "domains" in arrays else None
    if ids.dtype.kind not in "iu" or ids.ndim not in (1, 2):
        raise InputError(
            f"{label}: tokens are of shape {ids.shape}, {ids.dtype}; give integers, (tokens,) or "
            "(sequences, tokens)."
        )
    if int(ids.max()) > np.iinfo(np.int64).max:
        raise InputError(f"{label}: an id is {ids.max()}, which no vocabulary has.")
    if domains is not None and domains.shape != ids.shape:
        raise InputError(
            f"{label}: domains are of shape {domains.shape}, tokens of {ids.shape}; give one for "
            "each."
        )

    def cut(values: Any) -> Any:
        if values is None or values.ndim == 2:
            return values
        count = len(values) // length
        if not count:
            raise InputError(
                f"{label}: {len(values)} tokens are fewer than one sequence of {length}; give "
                "more, or a smaller length."
            )
        return values[: count * length].reshape(count, length)

    return cut(ids.astype(np.int64)), cut(domains)


def record_checkpoints(
    model: nn.Module,
    checkpoints: str | os.PathLike[str],
    tokens: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    length: int = 128,
    batch: int = 8,
    routers: Sequence[str] | None = None,
    experts: int | None = None,
    device: str | torch.device = "cpu",
    progress: Callable[[int, int, str], object] | None = None,
) -> list[Path]:
    """Run ``model`` with the weights of every checkpoint over the same tokens; the files written.

    ``model`` is called with ids (batch, length) and left with the last weights, in evaluation mode.
    ``checkpoints`` is a folder (:func:`checkpoints_in`), ``tokens`` a file (:func:`read_tokens`),
    ``folder`` a new one for the recording. ``routers`` and ``experts`` are as of
    :class:`~identkit.routers.recorder.RouterRecorder`; ``progress`` is called with (sequences done,
    all, what). Raises :class:`~identkit.errors.InputError` for weights that are not the model's,
    and for a model that does not take ids.
    """
    found = checkpoints_in(checkpoints)
    ids, domains = read_tokens(tokens, length)
    batch, target = whole("batch", batch, least=1), Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{folder}: is there already; choose a new folder, or remove it.")
    if not target.parent.is_dir():
        raise InputError(f"{folder}: its folder does not exist; choose another.")
    model = model.to(device).eval()
    total, done = len(ids) * len(found), 0
    with TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as own:
        run = Path(own, "run")
        with RouterRecorder(model, run, routers=routers, experts=experts) as recorder:
            for number, files in found.items():
                _load(model, files)
                recorder.checkpoint(number)
                if not done:
                    recorder.recording = False
                    _check_order(model, ids, device, routers)
                    recorder.recording = True
                for at in range(0, len(ids), batch):
                    given = torch.from_numpy(ids[at : at + batch]).to(device)
                    _run(model, given)
                    done += len(given)
                    if progress is not None:
                        progress(done, total, f"checkpoint {number}")
        labels: dict[str, Any] = {"tokens": ids.reshape(-1)}
        if domains is not None:
            labels["domains"] = domains.reshape(-1)
        write_whole(run / "tokens.npz", lambda stream: np.savez(stream, **labels))
        recording(run)  # raises where layers or checkpoints saw different tokens
        if target.exists():
            target.rmdir()
        run.rename(target)
    return [target / path.name for path in recorder.written]


def _check_order(model: nn.Module, ids: Ids, device: Any, routers: Sequence[str] | None) -> None:
    """Raise InputError where routers select at random, or see tokens in another order.

    Batches of other sizes may round otherwise, so that some selections may differ.
    """
    both = ids[:2]
    first, again, alone = (
        _selected(model, part, device, routers) for part in (both, both, ids[:1])
    )
    for one, other in zip(first, again, strict=True):
        if one.shape != other.shape or (one != other).mean() > ROUNDED:
            raise InputError(
                f"{type(model).__name__}: its routers select other experts when it is run again; "
                "take the noise out of evaluation mode."
            )
    for one, other in zip(first, alone, strict=True):
        if (one[: len(other)] != other).mean() > ROUNDED:
            raise InputError(
                f"{type(model).__name__}: its routers do not see the tokens of one sequence after "
                "the other, as ids (sequences, tokens) are; record it with RouterRecorder and its "
                "own order."
            )


def _selected(
    model: nn.Module, ids: Ids, device: Any, routers: Sequence[str] | None
) -> list[NDArray[Any]]:
    """What each router selects, (tokens, k), in order of the experts."""
    with TemporaryDirectory() as folder:
        with RouterRecorder(model, Path(folder, "run"), routers=routers) as recorder:
            _run(model, torch.from_numpy(ids).to(device))
        if not recorder.written:
            raise InputError(f"{type(model).__name__}: no router was called; name others.")
        found = recording(Path(folder, "run"))
        series = [found.selected[0, layer] for layer in found.layers]
        return [np.sort(np.concatenate(list(s.rows(s.length))), axis=1) for s in series]


def _run(model: nn.Module, ids: torch.Tensor) -> None:
    try:
        with torch.no_grad(), redirect_stdout(sys.stderr):
            model(ids)
    except InputError:
        raise
    except FAILS as error:  # whatever a model says of ids
        said = (str(error).splitlines() or [""])[0][:150]
        raise InputError(
            f"{type(model).__name__}: called with ids of shape {tuple(ids.shape)} it raises "
            f"{type(error).__name__} ({said}); give tokens of its vocabulary, and a model that "
            "takes ids alone."
        ) from None


# -- weights --------------------------------------------------------------------------------------


def _load(model: nn.Module, files: Sequence[Path]) -> None:
    state: dict[str, Any] = {}
    folder, own_loader = files[0].parent, getattr(type(model), "from_pretrained", None)
    if own_loader is not None and (folder / "config.json").is_file():
        # transformers saves some families under other names than they have in the model
        state = own_loader(folder, local_files_only=True).state_dict()
    else:
        for file in files:
            state |= _weights(file)
    label = f"{files[0].parent.name}/{files[0].name}"
    state = _checked(model, state, label)
    try:
        missing, surplus = model.load_state_dict(state, strict=False)
    except RuntimeError as error:  # shapes
        said = str(error).splitlines()[-1].strip()[:150]
        raise InputError(f"{label}: {said}; give the model that was saved.") from None
    own = model.state_dict()
    there = {own[key].data_ptr() for key in state if key in own and own[key].numel()}
    missing = [key for key in missing if own[key].data_ptr() not in there]  # tied numbers
    if missing or surplus:
        what = f"lacks {missing[0]}" if missing else f"has {surplus[0]}, which the model has not"
        raise InputError(f"{label}: {what}; give the model that was saved.")


def _checked(model: nn.Module, state: dict[str, Any], label: str) -> dict[str, Any]:
    """Without a prefix of wrappers before all names. Raises InputError for what is no weight."""
    own = model.state_dict()
    for prefix in ("module.", "model.", "_orig_mod."):
        if state and all(key.startswith(prefix) for key in state) and not set(state) & set(own):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    for key, value in state.items():
        if key in own and own[key].is_floating_point():
            if not value.is_floating_point():
                raise InputError(f"{label}: {key} holds {value.dtype}, not real numbers.")
            if not bool(value.isfinite().all()):
                raise InputError(f"{label}: {key} holds numbers that are not finite; leave it out.")
    return state


def _weights(file: Path) -> dict[str, Any]:
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        state: Any = torch.load(file, map_location="cpu", weights_only=True)
    except ImportError:
        raise InputError(
            f"{file.name}: reading safetensors needs that library; pip install safetensors."
        ) from None
    except Exception as error:  # damaged, or a pickle of other things
        raise InputError(
            f"{file.name}: its weights cannot be read as data ({type(error).__name__}); save "
            "model.state_dict()."
        ) from None
    for key in _INSIDE:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise InputError(f"{file.name}: is no mapping of tensors; save model.state_dict().")
    return state
