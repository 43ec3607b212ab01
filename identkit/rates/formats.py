"""File formats of exported fits: CSV, JSON, Parquet."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, BinaryIO

from identkit.errors import InputError, unknown_name

KINDS = ("csv", "json", "parquet")
PLAIN = (
    "experiment", "setting", "expert", "gate", "regime", "start", "n", "replicate", "budget",
    "seed", "status", "cost", "gradient_norm", "steps", "seconds", "finished", "environment",
)  # fmt: skip
"""Columns that every fit has."""
WHOLE = {"regime", "n", "replicate", "budget", "seed", "steps"}
REAL = {"cost", "gradient_norm", "seconds"}
_CHUNK = 10_000  # rows of a Parquet file written at a time

Write = Callable[[BinaryIO, list[str], Iterator[dict[str, Any]]], None]
"""Writes (stream, columns, lines); a line maps columns to values and may lack some."""


def writer(kind: str) -> Write:
    """The writer of a format. Raises InputError for an unknown one, and without pyarrow."""
    if kind not in KINDS:
        raise unknown_name("export format", kind, KINDS)
    return _parquet() if kind == "parquet" else {"csv": _write_csv, "json": _write_json}[kind]


def _write_csv(stream: BinaryIO, columns: list[str], lines: Iterator[dict[str, Any]]) -> None:
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for line in lines:
        cells = [line.get(c) for c in columns]
        writer.writerow([None if isinstance(c, float) and math.isnan(c) else c for c in cells])
    text.detach()


def _write_json(stream: BinaryIO, columns: list[str], lines: Iterator[dict[str, Any]]) -> None:
    stream.write(b'{"schema": "identkit.fits/1", "fits": [')
    for i, line in enumerate(lines):
        plain = {
            c: None if isinstance(v, float) and not math.isfinite(v) else v
            for c, v in ((c, line.get(c)) for c in columns)
        }
        text = json.dumps(plain, ensure_ascii=False, allow_nan=False)
        stream.write((",\n" if i else "\n").encode() + text.encode())
    stream.write(b"\n]}\n")


def _parquet() -> Write:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise InputError(
            "export: writing Parquet needs pyarrow; run pip install identkit[parquet], or export "
            "csv."
        ) from None

    def kind(column: str) -> Any:
        if column in WHOLE:
            return pa.int64()
        real = column in REAL or column not in PLAIN
        return pa.float64() if real else pa.string()

    def write(stream: BinaryIO, columns: list[str], lines: Iterator[dict[str, Any]]) -> None:
        schema = pa.schema([(c, kind(c)) for c in columns])
        with pq.ParquetWriter(stream, schema) as writer:
            while chunk := list(islice(lines, _CHUNK)):
                writer.write_table(pa.Table.from_pylist(chunk, schema=schema))

    return write
