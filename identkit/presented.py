"""What ``check``, ``explain``, ``table`` and ``verify`` do, from Python: answers that print.

Records know nothing of views; here, above both, the two meet for users of Python and notebooks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar

from identkit import checking, results, table
from identkit.alternatives import Alternative, alternatives
from identkit.architecture.examples import examples_of
from identkit.architecture.records import Example, FoundGauge
from identkit.certificates import store
from identkit.certificates import verify as verification
from identkit.experts import check_dim
from identkit.orders.answer import Orders
from identkit.orders.deciding import orders_of
from identkit.report import explain as explained
from identkit.report import markup, paper_tables, tables, terminal, verified
from identkit.report.json_form import check_document

P = ParamSpec("P")
T = TypeVar("T")


def presented(kind: type[T], record: Any) -> T:
    """A record as its subclass ``kind``, which adds printed forms and no fields."""
    return kind(**{f.name: getattr(record, f.name) for f in fields(record)})


def presenting(kind: type[T], compute: Callable[P, Any]) -> Callable[P, T]:
    """``compute`` with its record :func:`presented`; name, signature and text are kept."""

    @wraps(compute)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return presented(kind, compute(*args, **kwargs))

    return call


class CheckResult(results.CheckResult):
    """The answer of :func:`identkit.check`; prints as a report, in notebooks too."""

    def to_dict(self) -> dict:
        """The JSON form, schema ``identkit.check/1``."""
        return check_document(self)

    def certificate(self) -> dict:
        """The certificate document, schema ``identkit.certificate/3``."""
        return store.certificate_document(self)

    def alternatives(self) -> tuple[Alternative, ...]:
        """Nearby models that are proved not to be degenerate where this one is; takes seconds."""
        return alternatives(self)

    def gauge_examples(self) -> list[tuple[FoundGauge, Example | None]]:
        """For each of ``gauges`` two exact measures that are proved to have the same f or p."""
        return examples_of(self)

    def orders(self, cells: Sequence[int] = (2, 3)) -> tuple[Orders, ...]:
        """How slow each parameter is for cells of so many fitted atoms: see :func:`order`."""
        return tuple(orders_of(self, cell) for cell in cells)

    def save(self, path: str) -> None:
        """Write the certificate to ``path``. Raises InputError if it cannot be written."""
        store.save(self, path)

    def __str__(self) -> str:
        return terminal.render(self)

    def _repr_html_(self) -> str:
        return markup.html(self)

    def _repr_latex_(self) -> str:
        return markup.latex(self)


check = presenting(CheckResult, checking.check)


@dataclass(frozen=True, repr=False)
class Explanation:
    """The argument behind a check, step by step; prints as a page."""

    check: CheckResult

    def markdown(self) -> str:
        """For a README or a notebook, with $…$ mathematics."""
        return explained.markdown(self.check)

    def latex(self) -> str:
        """A fragment for a paper; needs amsmath."""
        return explained.latex(self.check)

    def __repr__(self) -> str:
        return f"<Explanation of {self.check!r}>"

    def __str__(self) -> str:
        return terminal.plain(explained.terminal(self.check))

    def _repr_markdown_(self) -> str:
        return self.markdown()


def explaining(ask: Callable[P, CheckResult]) -> Callable[P, Explanation]:
    """What explains the check that ``ask`` makes, of the same arguments."""

    def explain(*args: P.args, **kwargs: P.kwargs) -> Explanation:
        """The second-order argument: which rate follows, and why.

        The arguments are those of :func:`check`, and so are the exceptions.

        >>> "no consistent estimator" in str(explain("relu", "softmax", dim=1))
        True
        """
        return Explanation(ask(*args, **kwargs))

    explain.__qualname__ = explain.__name__
    vars(explain)["__signature__"] = signature(ask).replace(return_annotation="Explanation")
    return explain


explain = explaining(check)


class Table(table.Table):
    """Experts × (gate, regime), published claims beside certified verdicts; prints as a table."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, schema ``identkit.table/1``."""
        return tables.json_document(self)

    def markdown(self) -> str:
        """For a README."""
        return tables.markdown(self)

    def latex(self) -> str:
        """A tabular environment."""
        return tables.latex(self)

    def __repr__(self) -> str:
        return f"<Table: {len(self.rows)} experts, d = {self.dim}>"

    def __str__(self) -> str:
        return terminal.plain(tables.terminal(self))

    def _repr_markdown_(self) -> str:
        return self.markdown()


def certified_table(
    dim: int = 2, *, seed: int = 0, progress: Callable[[str], None] | None = None
) -> Table:
    """The published table, certified: every built-in expert under every gate. Takes a minute.

    ``dim`` is the number of inputs d, ``seed`` that of every draw; ``progress`` is called with a
    line before each step. Raises :class:`~identkit.errors.InputError` for a ``dim`` out of range.
    """
    check_dim(dim)
    found = table.table(dim, seed=seed, progress=progress)
    rows = (
        replace(row, checks=tuple(presented(CheckResult, c) for c in row.checks))
        for row in found.rows
    )
    return presented(Table, replace(found, rows=tuple(rows)))


class PaperTable(table.PaperTable):
    """What one paper states of experts beside what is certified; prints as a table."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, schema ``identkit.paper-table/1``."""
        return paper_tables.json_document(self)

    def markdown(self) -> str:
        """For a README."""
        return paper_tables.markdown(self)

    def latex(self) -> str:
        """A tabular environment and lists; needs amsmath."""
        return paper_tables.latex(self)

    def __repr__(self) -> str:
        return f"<PaperTable: {self.paper}, {len(self.rows)} rows, d = {self.dim}>"

    def __str__(self) -> str:
        return terminal.plain(paper_tables.terminal(self))

    def _repr_markdown_(self) -> str:
        return self.markdown()


def paper_table(
    paper: str, dim: int = 2, *, seed: int = 0, progress: Callable[[str], None] | None = None
) -> PaperTable:
    """What one paper states of experts, certified claim by claim; what is not compared, and why.

    ``paper`` is its number at arXiv; the other arguments are those of :func:`certified_table`.

    >>> [row.result.agreement for row in paper_table("2505.10860", 1).rows[:2]]
    ['contradicted', 'confirmed']

    Raises :class:`~identkit.errors.InputError` for a paper of which no claims are here, and for a
    ``dim`` out of range.
    """
    check_dim(dim)
    found = table.paper_table(paper, dim, seed=seed, progress=progress)
    rows = tuple(replace(row, check=presented(CheckResult, row.check)) for row in found.rows)
    return presented(PaperTable, replace(found, rows=rows))


class Verified(verification.Verified):
    """What a certificate proves, proved again; see :func:`verify`."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, schema ``identkit.verify/2``."""
        return verified.document(self)

    def __repr__(self) -> str:
        return f"<Verified: {self.expert.label}, {self.gate} gate>"

    def __str__(self) -> str:
        return verified.text(self)


def verify(
    certificate: str | os.PathLike[str] | dict[str, Any],
    *,
    time_limit: float = verification.TIME_LIMIT,
) -> Verified:
    """Verify a certificate, a file of :meth:`CheckResult.save` or a document, from it alone.

    >>> verify(check("gelu", "sigmoid", dim=1).certificate()).results[0].verdict
    'yes'

    Raises :class:`~identkit.errors.CertificateError`, naming the first field or proof that does
    not hold, :class:`~identkit.errors.OutOfTime` after ``time_limit`` seconds, and
    :class:`~identkit.errors.InputError` for a file that is no certificate.
    """
    document = certificate if isinstance(certificate, dict) else store.load(certificate)
    return presented(Verified, verification.verify(document, time_limit))
