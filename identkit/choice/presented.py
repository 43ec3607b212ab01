"""``identkit.choose_atoms``: fits of a range of k to data, as ``identkit fit --k 1:6`` prints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike, NDArray

from identkit.choice.choosing import CRITERIA, FOLDS, Choice, check_range, choose
from identkit.errors import InputError
from identkit.experts import Expert
from identkit.fit.presented import asked
from identkit.fit.problem import Compute
from identkit.fit.result import Box, FitResult
from identkit.fit.running import Steps, best_fit
from identkit.gates import Gate
from identkit.report import choice_document, choice_figure, choice_report
from identkit.report.terminal import plain
from identkit.tables import Column, Table
from identkit.tables.given import Data

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class AtomChoice:
    """The answer of :func:`identkit.choose_atoms`; prints as a table.

    ``choice`` has the fits and the criteria (:class:`identkit.choice.Choice`), ``table`` the data.
    """

    choice: Choice
    table: Table
    file: str

    def k(self, criterion: str = "bic") -> int | None:
        """What bic, icl, cv or dsc names; None where it names none.

        Raises :class:`~identkit.errors.InputError` for another name.
        """
        if criterion not in CRITERIA:
            raise InputError(f"criterion '{criterion}': choose {', '.join(CRITERIA)}.")
        return self.choice.of(criterion).k

    def fit(self, criterion: str = "bic") -> FitResult:
        """The fit of the k that a criterion names. Raises InputError where it names none."""
        k = self.k(criterion)
        if k is None:
            raise InputError(f"{criterion} names no k: {self.choice.of(criterion).reason}")
        return self.choice[k].result

    def to_dict(self, criterion: str = "bic") -> dict[str, Any]:
        """The JSON form, schema ``identkit.fit-choice/1``; ``fit`` that of ``criterion``'s k."""
        single = None if self.k(criterion) is None else self.fit(criterion).to_dict()
        return choice_document.document(self.choice, chosen_by=criterion, fit=single, **self._about)

    def figure(self) -> Figure:
        """The criteria against k and the dendrogram, drawn."""
        return choice_figure.figure(self.choice)

    @property
    def _about(self) -> dict[str, Any]:
        table = self.table
        return {"file": self.file, "target": table.target_name, "inputs": table.input_names}

    def __repr__(self) -> str:
        named = ", ".join(f"{n.criterion} {n.k}" for n in self.choice.named if n.k is not None)
        return f"<AtomChoice: {named or 'no criterion names a k'}>"

    def __str__(self) -> str:
        return plain(choice_report.terminal(self.choice, **self._about))


def choose_atoms(
    data: Data,
    expert: Expert | str,
    gate: Gate | str,
    ks: Iterable[int] = range(1, 7),
    *,
    shape: str | None = None,
    target: Column | None = None,
    inputs: Column | Sequence[Column] | None = None,
    starts: int = 5,
    seed: int = 0,
    weight: ArrayLike | None = None,
    standardise: bool = True,
    box: Box | None = None,
    ridge: float = 0.0,
    max_steps: int = 500,
    folds: int = FOLDS,
    compute: Compute | None = None,
    steps: Steps | None = None,
    stop: Callable[[], bool] | None = None,
) -> AtomChoice:
    """Fit every k of ``ks`` to data and compare them by BIC, ICL, cross-validation and DSC.

    What the criteria are and presume: :func:`identkit.choice.choose`. Data and options are those of
    :func:`identkit.fit_data`; ``seed`` is that of starts and of the ``folds`` (0: none) too.

    >>> import numpy as np
    >>> x = np.linspace(-2.0, 2.0, 60)[:, None]
    >>> y = np.tanh(x[:, 0]) + 0.1 * np.random.default_rng(0).standard_normal(60)
    >>> choose_atoms((x, y), "tanh", "softmax", [1, 2], starts=2, folds=0).k("bic")
    1

    Raises :class:`~identkit.errors.InputError` as :func:`identkit.fit_data` does, and for a range
    that cannot be compared.
    """
    model, table, file = asked(data, expert, gate, shape, target, inputs, weight)
    wanted = check_range(model, tuple(ks), folds, "bic")

    def fit(k: int, rows: NDArray[Any] | None, steps: Steps) -> FitResult:
        part = table if rows is None else table.rows(rows)
        return best_fit(
            model, part.x, part.y, k,
            weight=part.weight, starts=starts, seed=seed, standardise=standardise, box=box,
            ridge=ridge, max_steps=max_steps, compute=compute, steps=steps, stop=stop,
        )  # fmt: skip

    choice = choose(
        model, fit, table.x, table.y, wanted,
        weight=table.weight, folds=folds, seed=seed, steps=steps, stop=stop,
    )  # fmt: skip
    return AtomChoice(choice, table, file)
