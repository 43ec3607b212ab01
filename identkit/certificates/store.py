"""Save a check's certificates as one JSON file, and read such a file back."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from identkit.certificates.document import REMARKS
from identkit.errors import InputError
from identkit.files import write_whole
from identkit.report.json_form import check_document, dumps
from identkit.results import CheckResult

SCHEMA = "identkit.certificate/2"
MAX_BYTES = 8 * 2**20
"""A d = 8 certificate has about 200 kB; larger files are refused before they are parsed."""


def digest(document: dict[str, Any]) -> str:
    """A checksum (SHA-256) of every other field in canonical JSON: notices edits and damage.

    Anybody can recompute it; what a certificate *says* is verified without relying on it.
    """
    content = {k: v for k, v in document.items() if k != "digest"}
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def certificate_document(result: CheckResult) -> dict[str, Any]:
    """The certificate: everything the check proved, and a digest of it."""
    document = {**check_document(result), "schema": SCHEMA}
    del document["requirement"]
    del document["options"]["time_limit"]  # a budget of the search, not part of the proof
    for entry in document["results"]:
        for part in entry["certificate"]["parts"]:
            for remark in REMARKS:
                del part[remark]
    return {**document, "digest": digest(document)}


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
