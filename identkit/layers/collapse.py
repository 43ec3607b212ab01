"""A watch on experts during training: outputs that become proportional, use that becomes uneven.

Two experts with y_a = c·y_b on all inputs are one expert with two rows of the router, whatever
their numbers are: scales and permutations of hidden units leave outputs as they are. Compared are
outputs at probes, as vectors over all probes and outputs, not centred:
|cos| = |⟨y_a, y_b⟩|/(‖y_a‖‖y_b‖) is 1 iff they are proportional there.
"""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from identkit.errors import InputError, whole
from identkit.layers.parts import experts_of
from identkit.routers.metrics import Array, dead, jain, jain_random

PROPORTIONAL = 0.999
"""|cos| from which outputs count as proportional.

The best c leaves ‖y_a − c·y_b‖ = √(1 − cos²)·‖y_a‖, at 0.999 4.5 % of the output; rounding in
bfloat16, 2⁻⁹ of each number, leaves |cos| above 1 − 10⁻⁵.
"""
LEAST_VALUES = 16
"""Probes times outputs from which the cosine says something.

Of independent vectors of N normal numbers its size exceeds 0.999 with probability 0.001 at N = 3
(there it is uniform), below 10⁻²⁰ at N = 16.
"""
PROBES = 256
"""Probes that are evaluated of those given; which, the seed draws."""
ROWS = 32
"""Probes evaluated at once, so that the outputs of many wide experts fit in memory."""
USED = 0.5
"""Jain's index counts as low where it is what random routing to this part of the experts gives."""
TOKENS = 10
"""Tokens for each n/k from which use is judged: random routing then has an index above 0.9."""
SHOWN = 5
"""Pairs named in a warning; all are in what :meth:`CollapseWatch.watch` returns."""


class CollapseWarning(UserWarning):
    """Experts have become one, are silent, or are used unevenly."""


@dataclass(frozen=True)
class Pair:
    """Experts first < second with y_first ≈ factor·y_second, the factor of least squares."""

    first: int
    second: int
    cosine: float
    factor: float


@dataclass(frozen=True)
class Likeness:
    """What one look at n experts found.

    ``cosines`` (n, n) is |cos|, NaN for experts that are ``silent`` (0 at every probe) or
    ``broken`` (an output is not finite); ``pairs`` are those at the bound or above.
    """

    step: int
    cosines: Array
    pairs: tuple[Pair, ...]
    silent: tuple[int, ...]
    broken: tuple[int, ...]


class CollapseWatch:
    """Warns when experts collapse; a :class:`CollapseWarning` names experts, number and step. ::

        watch = CollapseWatch(layer, probes=x, every=100)
        for step, batch in enumerate(batches):
            selected = train(layer, batch)
            watch.on_step_end(step, indices=selected)

    Each pair is named when it becomes proportional, and again only if it had parted since. Experts
    are evaluated without gradients and in ``eval`` mode, which is undone. Each must map rows of
    probes to rows by itself; those whose numbers are spread over devices are not read.
    """

    def __init__(
        self,
        experts: nn.Module | Sequence[nn.Module],
        *,
        proportional: float = PROPORTIONAL,
        least_jain: float | None = None,
        every: int = 1,
        probes: torch.Tensor | None = None,
        seed: int = 0,
    ) -> None:
        """``experts`` is a list of modules, or a layer in which they are found.

        ``least_jain`` is the bound of :meth:`utilisation`, by default :func:`jain_bound`;
        ``every``: steps from one look to the next; ``probes`` (…, d) are those of
        :meth:`on_step_end`; ``seed`` draws from probes where more than 256 are given. Raises
        InputError for bounds outside (0, 1] and for a layer without a list of experts.
        """
        for name, bound in (("proportional", proportional), ("least_jain", least_jain)):
            if bound is not None and not 0 < bound <= 1:
                raise InputError(f"{name}: {bound} is no bound; give a number in (0, 1].")
        self.proportional, self.least_jain = float(proportional), least_jain
        self.every = whole("every", every, least=1)
        self.seed = whole("seed", seed, least=0)
        self.probes = probes
        self._layer = experts
        self.count = len(self._experts())
        """n."""
        self.step = 0
        """The last step that was told."""
        self._told: set[tuple[str, int, int]] = set()
        self._uneven = False

    def on_step_end(
        self, step: int, *, probes: torch.Tensor | None = None, indices: Any = None
    ) -> None:
        """Look, if ``step`` is a multiple of ``every``: at experts, and at use if it is given.

        ``probes`` instead of those of the constructor; ``indices`` as for :meth:`utilisation`.
        """
        x = self.probes if probes is None else probes
        if x is None and indices is None:
            raise InputError("collapse: nothing to look at; give probes, or indices.")
        if step % self.every:
            return
        if x is not None:
            self.watch(x, step)
        if indices is not None:
            self.utilisation(indices, step)

    def watch(self, x: torch.Tensor, step: int | None = None) -> Likeness:
        """Compare the outputs of all pairs at the probes ``x`` (…, d).

        Raises InputError for too few probes to compare, and for an expert that fails on them.
        """
        self.step = self.step if step is None else step
        rows, drawn = self._rows(x)
        products = _products(self._experts(), rows)
        found = self._likeness(products)
        self._tell(found, drawn)
        return found

    def utilisation(self, indices: Any, step: int | None = None) -> float:
        """Jain's index of how often each expert is selected: ``indices`` (…, k), a row a token.

        Warns at or below the bound; not where fewer than 10·n/k tokens are given, of which nothing
        follows. Raises InputError for indices that are not of these experts.
        """
        self.step = self.step if step is None else step
        given = indices.detach().cpu().numpy() if hasattr(indices, "detach") else indices
        rows = np.asarray(given)
        if rows.ndim < 1 or rows.size == 0 or rows.dtype.kind not in "iu":
            raise InputError("indices: give whole numbers of shape (…, k), a row for each token.")
        if rows.min() < 0 or rows.max() >= self.count:
            raise InputError(
                f"indices: {rows.min()} to {rows.max()} are not of {self.count} experts; give "
                "numbers from 0 on."
            )
        top = rows.shape[-1]
        tokens = rows.size // top
        use = np.bincount(rows.reshape(-1), minlength=self.count)
        index = float(jain(use))
        own = self.least_jain
        bound = jain_bound(self.count, top, tokens) if own is None else own
        judged = top < self.count and tokens * top >= TOKENS * self.count
        low = judged and index <= bound * (1 + 1e-9)  # the index of k experts alone is the bound
        if low and not self._uneven:
            why = "given" if own is not None else f"that of random routing to {USED:.0%} of them"
            idle = dead(use, tokens, top)
            names = ", ".join(map(str, idle[:SHOWN])) or "none"
            names += f" and {len(idle) - SHOWN} more" if len(idle) > SHOWN else ""
            self._warn(
                f"Jain's index of the use of {self.count} experts by {tokens} tokens is "
                f"{index:.3f}, not above {bound:.3f} ({why}); hardly selected: {names}"
            )
        if judged:
            self._uneven = low
        return index

    def _experts(self) -> tuple[nn.Module, ...]:
        """Found again at each look: stacked experts are views of numbers that may be replaced."""
        layer = self._layer
        if isinstance(layer, nn.Module) and not isinstance(layer, nn.ModuleList):
            return experts_of(layer)[1]
        experts = tuple(layer)
        if len(experts) < 2:
            raise InputError(f"collapse: {len(experts)} experts cannot be compared; give two.")
        return experts

    def _rows(self, x: torch.Tensor) -> tuple[torch.Tensor, str]:
        """At most PROBES rows, and how they were chosen."""
        rows = x.detach().reshape(-1, x.shape[-1])
        if len(rows) <= PROBES:
            return rows, f"{len(rows)} probes"
        generator = torch.Generator().manual_seed(self.seed)
        chosen = torch.randperm(len(rows), generator=generator)[:PROBES].sort().values
        drawn = f"{PROBES} of {len(rows)} probes, drawn with seed {self.seed}"
        return rows[chosen.to(rows.device)], drawn

    def _likeness(self, products: Array) -> Likeness:
        squares = products.diagonal()
        broken = np.flatnonzero(~np.isfinite(squares))
        silent = np.flatnonzero(squares == 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            norms = np.sqrt(np.where(np.isfinite(squares) & (squares > 0), squares, np.nan))
            cosines = np.abs(products / norms[:, None] / norms)
        above = np.argwhere(np.triu(np.nan_to_num(cosines) >= self.proportional, 1))
        pairs = tuple(
            Pair(int(a), int(b), float(cosines[a, b]), float(products[a, b] / squares[b]))
            for a, b in above
        )
        return Likeness(self.step, cosines, pairs, tuple(silent.tolist()), tuple(broken.tolist()))

    def _tell(self, found: Likeness, drawn: str) -> None:
        """Warn of what was not so at the last look."""
        now = {("pair", p.first, p.second) for p in found.pairs}
        now |= {("silent", e, e) for e in found.silent} | {("broken", e, e) for e in found.broken}
        new = now - self._told
        self._told = now
        pairs = [p for p in found.pairs if ("pair", p.first, p.second) in new]
        if pairs:
            named = "; ".join(
                f"y_{p.first} ≈ {p.factor:.3g}·y_{p.second}, |cos| {p.cosine:.6f}"
                for p in sorted(pairs, key=lambda p: -p.cosine)[:SHOWN]
            )
            more = f"; and {len(pairs) - SHOWN} more" if len(pairs) > SHOWN else ""
            self._warn(
                f"experts have become proportional at {drawn}: {named}{more} (bound "
                f"{self.proportional:g}); each such pair does the work of one"
            )
        for kind, says in (("silent", "give 0"), ("broken", "give numbers that are not finite")):
            those = sorted(e for k, e, _ in new if k == kind)
            if those:
                at = "at all of" if kind == "silent" else "at some of"
                self._warn(f"experts {', '.join(map(str, those))} {says} {at} {drawn}")

    def _warn(self, text: str) -> None:
        level, frame = 1, inspect.currentframe()
        while frame is not None and frame.f_code.co_filename == __file__:
            level, frame = level + 1, frame.f_back  # up to the line of the training code
        warnings.warn(f"step {self.step}: {text}.", CollapseWarning, stacklevel=level)


def jain_bound(experts: int, top: int, tokens: int) -> float:
    """(m/n)/(1 + (m/k − 1)/N), m = max(n/2, k): Jain's index where m of n are selected at random.

    The other n − m are never selected, which multiplies Jain's index of the m by m/n. With m = k
    it is k/n, the least that k of n can have.

    >>> jain_bound(64, 8, 10_000) < 0.5
    True
    """
    used = max(math.ceil(USED * experts), top)
    return used / experts * jain_random(used, top, tokens)


def _products(experts: tuple[nn.Module, ...], rows: torch.Tensor) -> Array:
    """⟨y_a, y_b⟩ over all probes and outputs, (n, n), summed in float64."""
    total = np.zeros((len(experts), len(experts)))
    values = 0
    with torch.no_grad(), _evaluating(experts):
        for part in rows.split(ROWS):
            outputs = torch.stack(list(_outputs(experts, part)))
            values += outputs.shape[1]
            total += (outputs @ outputs.T).numpy()
    if values < LEAST_VALUES:
        raise InputError(
            f"collapse: {values} outputs of an expert at all probes say little; give probes for "
            f"{LEAST_VALUES}."
        )
    return total


def _outputs(experts: tuple[nn.Module, ...], rows: torch.Tensor) -> Iterator[torch.Tensor]:
    """Each expert's output, flat."""
    for number, expert in enumerate(experts):
        own = next(expert.parameters(), None)
        x = rows if own is None else rows.to(device=own.device, dtype=own.dtype)
        try:
            made = expert(x)
        except Exception as error:  # of whatever the module does
            reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
            raise InputError(
                f"expert {number}: fails on probes of shape {tuple(x.shape)} ({reason}); give "
                "probes that it takes."
            ) from error
        first = made[0] if isinstance(made, tuple | list) else made
        yield first.detach().cpu().double().reshape(-1)


@contextmanager
def _evaluating(experts: tuple[nn.Module, ...]) -> Iterator[None]:
    """In eval mode, for dropout; each module then has its own mode back."""
    modes = [(module, module.training) for expert in experts for module in expert.modules()]
    for module, _ in modes:
        module.training = False
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
