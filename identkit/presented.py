"""``identkit.check``: the check of :mod:`identkit.checking`, its answer with printed forms.

Records know nothing of views; here, above both, the two meet for users of Python and notebooks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from identkit import checking, results
from identkit.certificates import store
from identkit.report import markup, terminal
from identkit.report.json_form import check_document

P, T = ParamSpec("P"), TypeVar("T")


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
        """The certificate document, schema ``identkit.certificate/2``."""
        return store.certificate_document(self)

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
