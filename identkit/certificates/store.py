"""Save a check's certificates as one JSON file, and read such a file back."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from identkit.atoms import AtomFunction, expert_function
from identkit.certificates.order_entry import order_entry, read_orders
from identkit.certificates.statement import (
    concluded,
    read_premise,
    read_second,
    refit_entry,
    result_entry,
    second_entry,
    statement,
)
from identkit.errors import InputError
from identkit.files import write_whole
from identkit.gates import Gate
from identkit.gates import resolve as resolve_gate
from identkit.likelihoods import asked_under
from identkit.report.json_text import dumps, options_document
from identkit.results import CheckResult, ConditionResult

SCHEMA_NAME = "certificate-3"
SCHEMA = "identkit.certificate/3"
MAX_BYTES = 8 * 2**20
"""A d = 8 certificate has about 200 kB; larger files are refused before they are parsed."""
MAX_VALUES = 150_000
"""Values in a file, about twenty times those of a d = 8 certificate."""
MAX_TEXT = 30_000
"""Characters of one text."""
MAX_DEPTH = 24
"""Objects and lists inside each other."""
MAX_PARTS = 4
"""Results of a file, and sets of functions of a condition; checks and conditions have fewer."""
BLANKS = str.maketrans("\n\t", "  ")
"""Control characters that an expression may contain."""


def digest(document: dict[str, Any]) -> str:
    """A checksum (SHA-256) of every other field in canonical JSON: notices edits and damage.

    Anybody can recompute it; what a certificate *says* is verified without relying on it.
    """
    content = {k: v for k, v in document.items() if k != "digest"}
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def certificate_document(result: CheckResult) -> dict[str, Any]:
    """The certificate: what the check proved, the evidence for it, and a digest.

    Raises InputError where it would be larger than what :func:`verify` reads.
    """
    gate, options = resolve_gate(result.gate, result.likelihood), options_document(result)
    del options["time_limit"]  # a budget of the search, not part of the proof
    entries = [{**result_entry(r, gate), **order_entry(r, gate)} for r in result.results]
    atom = expert_function(result.seen)
    bare = [_as_read(r, gate, atom) for r in result.results]
    said = map(statement, concluded(result.seen, gate, bare))
    document = {
        "schema": SCHEMA,
        "identkit": result.version,
        "seed": result.options.seed,
        **asked_under(result.gate, result.likelihood),
        "expert": result.expert.canonical(),
        "options": options,
        "results": [{**entry, **s} for entry, s in zip(entries, said, strict=True)],
    }
    doubt = size_doubt(document)
    if doubt is not None:
        raise InputError(f"the certificate cannot be written so that verify reads it: {doubt}.")
    return {**document, "digest": digest(document)}


def _as_read(result: ConditionResult, gate: Gate, atom: AtomFunction) -> ConditionResult:
    """The result as the file will tell it: an open question is open for no reason."""
    second, premise, entry = result.second_order, result.premise, order_entry(result, gate)
    if second is not None:
        second = read_second(second_entry(second), gate, result.regime)
    if premise is not None:
        premise = read_premise([refit_entry(r) for r in premise.refits])
    orders = (
        read_orders(entry["orders"], atom, gate, result.regime, second, "orders") if entry else ()
    )
    return replace(result, second_order=second, premise=premise, orders=orders)


def size_doubt(document: dict[str, Any]) -> str | None:
    """What makes a document too large to be verified; None if nothing does.

    Nothing is looked at closely before it is known to be small, and nothing larger is written.
    """
    waiting: list[tuple[Any, int]] = [(document, 0)]
    values = 0
    while waiting:
        value, depth = waiting.pop()
        values += 1
        if isinstance(value, dict):
            for name in ("results", "parts"):
                if isinstance(value.get(name), list) and len(value[name]) > MAX_PARTS:
                    return f"{name}: {len(value[name])} are more than {MAX_PARTS}"
            inner = [*value.keys(), *value.values()]
        else:
            inner = value if isinstance(value, list) else []
        if isinstance(value, str) and len(value) > MAX_TEXT:
            return f"a text of {len(value)} characters is too long"
        if isinstance(value, str) and not value.translate(BLANKS).isprintable():
            return "a text holds control characters"
        if values + len(inner) > MAX_VALUES or depth > MAX_DEPTH:
            return f"more than {MAX_VALUES} values, or nested too deeply"
        waiting += [(v, depth + 1) for v in inner]
    return None


def save(result: CheckResult, path: str | os.PathLike[str]) -> None:
    """Write the certificate; the file appears whole or not at all. Raises InputError."""
    text = dumps(certificate_document(result)) + "\n"
    write_whole(path, lambda stream: stream.write(text.encode()), "--save")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError("a key occurs twice")
    return result


def _no_fractions(text: str) -> Any:
    """Certificates hold whole numbers and text; 2.0 or NaN in place of 2 is damage."""
    raise ValueError(f"{text} is not a whole number")


def _is_json(path: str | os.PathLike[str]) -> bool:
    try:
        json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return False
    return True


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a certificate file. Raises InputError if it is not one of this version."""
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise InputError(f"{path}: is not a regular file; give a file written by --save.")
        size = os.path.getsize(path)
        if size > MAX_BYTES:
            raise InputError(f"{path}: {size} bytes is too large for a certificate.")
        document = json.loads(
            Path(path).read_text(encoding="utf-8"),
            object_pairs_hook=_without_duplicates,
            parse_float=_no_fractions,
            parse_constant=_no_fractions,
        )
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); give a certificate file."
        ) from None
    except InputError:
        raise
    except (ValueError, RecursionError):
        # a certificate has no fractions, other results do
        what = "JSON, but no certificate" if _is_json(path) else "not JSON"
        raise InputError(f"{path}: is {what}; give a file written by check --save.") from None
    if not isinstance(document, dict) or "schema" not in document:
        raise InputError(f"{path}: is not an identkit certificate; give a file written by --save.")
    if document["schema"] != SCHEMA:
        found = f"{document['schema']!r}"[:60]
        raise InputError(
            f"{path}: is of format {found}, this version verifies '{SCHEMA}'; run the check again "
            "with --save."
        )
    return document
