"""A recorder of what routers select while a torch model runs or trains."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from identkit.errors import InputError, whole
from identkit.files import write_whole

if TYPE_CHECKING:
    from torch import Tensor, nn

Read = Callable[[Any, Any, Any], Any]
"""(module, inputs, output) -> the selected experts (…, k), or (experts, weights)."""
PART = 2**26
"""Bytes of selected experts that are held before a part is written."""
_ROUTER = re.compile(r"router|gate|gating", re.IGNORECASE)


class RouterRecorder:
    """Writes which experts every token selects, as :mod:`identkit.routers.recorded` reads it.

    Forward hooks on the routers keep the indices, one byte each up to 256 experts, on the device;
    they are copied when a part is written. ::

        with RouterRecorder(model, "run", experts=64) as recorder:
            for step, batch in enumerate(batches):
                recorder.recording = step % 100 == 0
                recorder.checkpoint(step)
                recorder.tokens(batch)
                train(model, batch)

    Saturation and change rate compare the same tokens: for these, run the model on one fixed batch
    at each checkpoint and record that only. Where the forward pass is run again for the backward
    pass (activation checkpointing), a hook sees each token twice: record without it.
    """

    def __init__(
        self,
        model: nn.Module,
        folder: str | os.PathLike[str],
        *,
        routers: Sequence[str] | Mapping[str, Read] | None = None,
        experts: int | None = None,
        weights: bool = False,
        part_bytes: int = PART,
    ) -> None:
        """Hook the routers of ``model``; files go to ``folder``, which is made.

        ``routers`` are names of modules, or a function for each that takes (module, inputs, output)
        and returns the selected experts (…, k), or these and their weights. By default they are
        the modules named router, gate or gating (their own name or class) that return indices.
        ``experts`` is n, found from the logits that a router returns if it does; ``weights``:
        record them too. Raises InputError without routers, and for a folder with recordings in it.
        """
        named = dict(model.named_modules())
        chosen = _chosen(named, routers)
        self.folder = Path(folder)
        if self.folder.exists() and any(self.folder.glob("checkpoint*")):
            raise InputError(
                f"{folder}: has recordings already; choose another folder, or remove them."
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        self.routers = tuple(name for name, _ in chosen)
        """Their names; the place in it is the number of the layer."""
        self.recording = True
        """Whether forward passes are recorded now."""
        self.written: list[Path] = []
        self._experts, self._weights = experts, weights
        self._most = whole("part_bytes", part_bytes, least=1)
        self._checkpoint, self._parts = 0, Counter[int]()
        self._kept: list[list[Tensor]] = [[] for _ in chosen]
        self._kept_weights: list[list[Tensor]] = [[] for _ in chosen]
        self._labels: list[tuple[Any, Any]] = []
        self._keep: Any = None
        self._bytes = 0
        self._handles = [
            named[name].register_forward_hook(self._hook(layer, name, read))
            for layer, (name, read) in enumerate(chosen)
        ]

    def checkpoint(self, number: int) -> None:
        """What follows belongs to checkpoint ``number``; what was kept before is written."""
        number = whole("checkpoint", number, least=0)
        if number != self._checkpoint:
            self.flush()
            self._checkpoint = number

    def tokens(self, ids: Any, *, domains: Any = None, keep: Any = None) -> None:
        """The tokens of the next forward pass, in the order in which routers see them.

        ``ids`` integers of any shape; ``domains`` integers of the same shape, or one; ``keep``
        booleans of the same shape, False for padded tokens, which are left out of the recording.
        Raises InputError for other shapes.
        """
        if not self.recording:
            return
        self._write_if_full()
        ids = _array(ids).reshape(-1)
        self._keep = None if keep is None else _array(keep).reshape(-1).astype(bool)
        chosen = slice(None) if self._keep is None else self._keep
        if self._keep is not None and self._keep.shape != ids.shape:
            raise InputError(
                f"keep: {self._keep.size} values for {ids.size} tokens; give one each."
            )
        if domains is not None:
            domains = _array(domains).reshape(-1)
            if domains.size not in (1, ids.size):
                raise InputError(
                    f"domains: {domains.size} values for {ids.size} tokens; give one each, or one."
                )
            domains = np.broadcast_to(domains, ids.shape)[chosen]
        self._labels.append((ids[chosen], domains))

    def flush(self) -> None:
        """Write what is kept as the next part. Raises InputError if layers saw different tokens."""
        counts = {sum(len(t) for t in kept) for kept in self._kept}
        if counts == {0}:
            self._labels.clear()
            return
        if len(counts) > 1:
            raise InputError(
                f"routers saw {' and '.join(map(str, sorted(counts)))} tokens; write parts between "
                "whole forward passes, and record routers that all tokens reach."
            )
        arrays: dict[str, Any] = {}
        for layer, kept in enumerate(self._kept):
            arrays[f"layer{layer}"] = _joined(kept)
            if self._weights:
                arrays[f"weights/layer{layer}"] = _joined(self._kept_weights[layer])
        if self._experts is not None:
            arrays["experts"] = np.array(self._experts)
        arrays |= self._label_arrays(counts.pop())
        part = self._parts[self._checkpoint]  # one may come back to a checkpoint
        path = self.folder / f"checkpoint{self._checkpoint}-part{part}.npz"
        write_whole(path, lambda stream: np.savez(stream, **arrays))
        self.written.append(path)
        self._parts[self._checkpoint] += 1
        for kept in [*self._kept, *self._kept_weights]:
            kept.clear()
        self._labels.clear()
        self._bytes = 0

    def close(self) -> None:
        """Write what is kept and remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self.flush()

    def __enter__(self) -> RouterRecorder:
        return self

    def __exit__(self, kind: Any, *rest: Any) -> None:
        # what failed is told, not that half a forward pass could not be written then
        with nullcontext() if kind is None else suppress(InputError):
            self.close()

    def _label_arrays(self, count: int) -> dict[str, Any]:
        if not self._labels:
            return {}
        ids = np.concatenate([ids for ids, _ in self._labels])
        if len(ids) != count:
            raise InputError(
                f"{len(ids)} tokens were named and routers saw {count}; call tokens() before each "
                "recorded forward pass."
            )
        given = [d for _, d in self._labels if d is not None]
        if given and len(given) < len(self._labels):
            raise InputError("some tokens have domains and others have not; give all or none.")
        return {"tokens": ids, **({"domains": np.concatenate(given)} if given else {})}

    def _write_if_full(self) -> None:
        if self._bytes >= self._most:
            self.flush()

    def _hook(self, layer: int, name: str, read: Read | None) -> Any:
        import torch

        def hook(module: Any, inputs: Any, output: Any) -> None:
            if not self.recording:
                return
            if layer == 0 and not self._labels:
                self._write_if_full()
            found = _found(name, output) if read is None else read(module, inputs, output)
            indices, weights = found if isinstance(found, tuple) else (found, None)
            with torch.no_grad():
                indices = indices.detach().reshape(-1, indices.shape[-1])
                if self._experts is None:
                    self._experts = _experts(output, indices)
                wide = self._experts is None or self._experts > 256
                indices = indices.to(torch.int32 if wide else torch.uint8)
                if weights is not None and self._weights:
                    weights = weights.detach().reshape(indices.shape).to(torch.float32, copy=True)
                if self._keep is not None:
                    kept = torch.as_tensor(self._keep, device=indices.device)
                    if len(kept) != len(indices):
                        raise InputError(
                            f"router {name} sees {len(indices)} tokens, {len(kept)} were named; "
                            "call tokens() before each recorded forward pass."
                        )
                    indices = indices[kept]
                    weights = weights[kept] if weights is not None and self._weights else weights
            if self._weights:
                if weights is None:
                    raise InputError(f"router {name} gives no weights; record without them.")
                self._kept_weights[layer].append(weights)
            self._kept[layer].append(indices)
            self._bytes += indices.numel() * indices.element_size()

        return hook


def _chosen(
    named: Mapping[str, nn.Module], routers: Sequence[str] | Mapping[str, Read] | None
) -> list[tuple[str, Read | None]]:
    if routers is not None:
        reads = dict(routers) if isinstance(routers, Mapping) else dict.fromkeys(routers)
        missing = [name for name in reads if name not in named]
        if missing or not reads:
            raise InputError(
                f"router '{missing[0]}' is no module of the model; see model.named_modules()."
                if missing
                else "routers: none is named; leave it out, or name one."
            )
        return list(reads.items())
    found = [
        name
        for name, module in named.items()
        if name
        and (_ROUTER.fullmatch(name.rpartition(".")[2]) or type(module).__name__.endswith("Router"))
    ]
    # a router may be inside one: that outside gives what was selected
    found = [n for n in found if not any(n.startswith(f"{other}.") for other in found)]
    if not found:
        raise InputError(
            "no module of the model is called router, gate or gating; name them with routers=[…]."
        )
    return [(name, None) for name in found]


def _found(name: str, output: Any) -> tuple[Tensor, Tensor | None]:
    """Indices and weights in what a router returns: (logits, weights, indices) or alike."""
    parts = output if isinstance(output, tuple | list) else (output,)
    tensors = [p for p in parts if hasattr(p, "is_floating_point")]
    indices = [t for t in tensors if not t.is_floating_point() and t.dtype.itemsize > 1]
    if len(indices) != 1:
        raise InputError(
            f"router {name} returns {len(indices)} tensors of integers, so the selected experts "
            "are not known (logits do not say them); give routers={name: function}, which returns "
            "them."
        )
    shape = indices[0].shape
    weights = [t for t in tensors if t.is_floating_point() and t.shape == shape]
    return indices[0], weights[-1] if weights else None


def _experts(output: Any, indices: Tensor) -> int | None:
    """n, if the router returns logits or probabilities of all experts."""
    for part in output if isinstance(output, tuple | list) else ():
        if hasattr(part, "is_floating_point") and part.is_floating_point() and part.ndim >= 2:
            width = int(part.shape[-1])
            if width > indices.shape[-1] and part.numel() == len(indices) * width:
                return width
    return None


def _array(values: Any) -> Any:
    return values.detach().cpu().numpy() if hasattr(values, "detach") else np.asarray(values)


def _joined(kept: list[Tensor]) -> Any:
    import torch

    return torch.cat(kept).cpu().numpy()
