"""Damaged and strange data and truth files: CSV, NPZ, Parquet and JSON, as a user hands them on."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from identkit.cli import main

KINDS = ("csv", "npz", "parquet", "truth.json", "truth.npz", "bytes")
CELLS = (
    "", "nan", "inf", "-inf", "1e400", "1e-400", "NA", "abc", "1_000", "0x1p3", "１", "1,5", '"',
    "é", "\x1b[2J", "\x00", "1e99", "1e-320", "-0", "1 2", "∞", "true", "2020-01-01", "=1+1", "'1'",
    "\ufeff1",
)  # fmt: skip
NAMES = (
    "y", "x", "", "x\x1b]0;owned\x07", "a,b", "y\n", "Unnamed: 0", "1", "é", "a" * 5000, "index",
    "\u202eevil", "__class__", "x0",
)  # fmt: skip
LEAVES = (
    None, "", "x", True, [], {}, -1, 1e308, float("nan"), float("inf"), 10**400, [[]], [1, [2]],
    "1", {"a": 1}, [None], [["1"]], [[1e300]],
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A file's name and content, and the words of the command, ``{file}`` for its path."""

    kind: str
    name: str
    content: bytes
    command: tuple[str, ...]

    def __repr__(self) -> str:
        return f"{self.kind} {self.name} {self.content[:120]!r} {' '.join(self.command)}"


def cases(count: int, seed: int) -> Iterator[Case]:
    """One kind after the other."""
    rng = random.Random(f"data {seed}")
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        make = {"csv": _csv, "npz": _npz, "parquet": _parquet, "bytes": _bytes}.get(kind)
        if make is not None:
            name, content = make(rng)
            words = ["fit", "{file}", "--k", "1", "--starts", "1", "--max-steps", "5", "--no-check"]
            words += rng.choice((["--expert", "tanh"], ["--expert", "linear"], ["--expr", "a*x+b"]))
            words += ["--gate", rng.choice(("softmax", "sigmoid"))]
            words += rng.choice(([], [], ["--target", "y"], ["--target", "0"], ["--inputs", "x"]))
        else:
            name, content = _truth(rng, kind)
            words = ["rates", "--expert", "tanh", "--gate", "sigmoid", "--regime", "1"]
            words += ["--truth", "{file}", "--n", "40:90:3", "--reps", "2", "--budgets", "3"]
            words += ["--noise", "0.01", "--scheduler", "inline", "--store", "{file}.sqlite"]
        yield Case(kind, name, content, tuple(words))


def _csv(rng: random.Random) -> tuple[str, bytes]:
    width, rows = rng.randrange(1, 5), rng.choice((0, 1, 8, 30, 30, 30))
    width = rng.choice((width, 2, 2, 2))
    names = [*(["x"] if width == 2 else [f"c{i}" for i in range(width - 1)]), "y"]
    if rng.random() < 0.4:
        names[rng.randrange(width)] = rng.choice(NAMES)
    table = [[f"{rng.gauss(0, 1):.6g}" for _ in range(width)] for _ in range(rows)]
    for _ in range(rng.randrange(3)):
        if table:
            row = rng.choice(table)
            row[rng.randrange(width)] = rng.choice(CELLS)
    if table and rng.random() < 0.2:
        rng.choice(table).append("1")
    if table and rng.random() < 0.2:  # a column at a strange scale
        scale, place = 10.0 ** rng.choice((-320, -175, -120, -50, 50, 98, 120, 300)), width - 1
        for row in table:
            if len(row) == width and row[place].replace(".", "").lstrip("-").isdigit():
                row[place] = repr(float(row[place]) * scale)
    if rng.random() < 0.1:
        table = [["1"] * width for _ in range(30)]
    text = io.StringIO()
    writer = csv.writer(
        text, delimiter=rng.choice(",,,;\t |"), lineterminator=rng.choice(("\n", "\r\n", "\r"))
    )
    try:
        writer.writerows(([names] if rng.random() < 0.8 else []) + table)
    except csv.Error:
        text.write('"never closed')
    raw = text.getvalue().encode(rng.choice(("utf-8",) * 6 + ("utf-8-sig", "utf-16")))
    return rng.choice(("data.csv", "data.CSV", "data.txt", "d\x1b[31m.csv")), raw


def _arrays(rng: random.Random) -> dict[str, Any]:
    """x and y, one of them often of another kind or shape than it should be."""
    draw = np.random.default_rng(rng.randrange(2**32))
    n = rng.choice((0, 1, 5, 30, 30, 30))
    x, y = draw.normal(size=(n, rng.choice((0, 1, 1, 1, 1, 2)))), draw.normal(size=n)
    strange = rng.choice(
        (
            y, y, y + 1j, y > 0, y.astype(np.float16), y.astype(np.longdouble), y.astype(str),
            y.astype("S8"), y.astype("M8[s]"), y.astype("m8[s]"), y * 1e-175, y * 1e-320, y * 1e99,
            y * 1e200, np.zeros(n), np.full(n, np.nan), y[:, None], y[None], np.array(3.0), y[:-1],
            np.zeros(n, dtype=[("a", "f8")]), (y * 1e9).astype(np.int64), np.zeros((2, n, 2)),
            y.astype(">f8"), np.where(np.arange(n) == 3, np.inf, y), np.array(["x"] * n, object),
        )
    )  # fmt: skip
    return {rng.choice(("x", "x", "a")): x, rng.choice(("y", "y", "y\x1b[2J", "")): strange}


def _npz(rng: random.Random) -> tuple[str, bytes]:
    stream = io.BytesIO()
    save = rng.choice((np.savez, np.savez, np.savez_compressed))
    save(stream, **{k or "none": v for k, v in _arrays(rng).items()})
    return "data.npz", _broken(rng, stream.getvalue())


def _parquet(rng: random.Random) -> tuple[str, bytes]:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    columns: dict[str, Any] = {}
    for name, array in _arrays(rng).items():
        flat = np.asarray(array)
        if flat.ndim == 1 and flat.dtype.names is None:
            columns[name] = flat
        elif flat.ndim == 2:
            columns |= {f"{name}{i}": flat[:, i] for i in range(flat.shape[1])}
    length = max((len(v) for v in columns.values()), default=0)
    try:
        table = pa.table({k: pa.array(list(v)) for k, v in columns.items() if len(v) == length})
    except (pa.ArrowException, TypeError, ValueError):
        table = pa.table({"y": [None, 1.0, [2][0]], "x": ["a", "b", "c"]})
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return "data.parquet", _broken(rng, stream.getvalue())


def _truth(rng: random.Random, kind: str) -> tuple[str, bytes]:
    document: dict[str, Any] = {
        "schema": "identkit.mixing/1",
        "beta0": [1.0, -1.0],
        "beta1": [[0.0], [-4.5]],
        "eta": [[2.2, 0.7], [-4.0, 1.25]],
    }
    key = rng.choice(sorted(document))
    if rng.random() < 0.1:
        del document[key]
    elif rng.random() < 0.5 and isinstance(document[key], list):
        document[key][rng.randrange(2)] = rng.choice(LEAVES)
    else:
        document[key] = rng.choice(LEAVES)
    if kind == "truth.json":
        text = json.dumps(document)
        if rng.random() < 0.2:
            text = rng.choice((text[:-3], "[" * 5000, text + text, f'"{text[:5]}', "null"))
        return kind, _broken(rng, text.encode())
    stream = io.BytesIO()
    arrays = {}
    for name, value in document.items():
        try:
            arrays[name] = np.array(value)
        except ValueError:  # ragged
            arrays[name] = np.array(str(value))
        if arrays[name].dtype == object:
            arrays[name] = np.array([1j, 2.0])
    np.savez(stream, **arrays)
    return kind, _broken(rng, stream.getvalue())


def _broken(rng: random.Random, raw: bytes) -> bytes:
    """The content as it is, cut, or with some bytes changed."""
    choice = rng.random()
    if choice < 0.7 or not raw:
        return raw
    place = rng.randrange(len(raw))
    if choice < 0.85:
        return raw[:place]
    junk = bytes(rng.randrange(256) for _ in range(rng.choice((1, 4, 40))))
    return raw[:place] + junk + raw[place + len(junk) :]


@cache
def _noise() -> bytes:
    return random.Random(0).randbytes(3000)


def _bytes(rng: random.Random) -> tuple[str, bytes]:
    """Something else under the name of a data file."""
    content = rng.choice(
        (
            b"", b"\x00" * 100, b"\n\n\n", b"PK\x03\x04", b"PAR1", b"\xff\xfe", _noise(), b"x,y",
            b"\x93NUMPY\x01\x00", b"SQLite format 3\x00", b"<html>\n<td>1</td>", b"{}\n",
            b'"' * 999, b"," * 5000, b"x,y\n" + b"1,2\r" * 40, b"1" * 100_000,
            b"a b c\n1 2 3\n" * 3,
        )
    )  # fmt: skip
    return f"data.{rng.choice(('csv', 'npz', 'parquet', 'txt', 'json', 'NPZ', ''))}", content


def attempt(case: Case, folder: Path) -> str:
    """Write the file, run the command; ``accepted`` (at a minimum or not) or ``refused``."""
    for left in folder.glob("*"):
        left.unlink()
    file = folder / case.name
    file.write_bytes(case.content)
    out, err = io.StringIO(), io.StringIO()
    words = [w.format(file=file) for w in case.command]
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = main(words)
        except BaseException as error:  # what a user would see as a traceback
            pytest.fail(f"{type(error).__name__}: {error} for {case}")
    printed, told = out.getvalue(), err.getvalue()
    assert not {"\x1b", "\x07", "\u202e"} & set(printed + told), f"raw controls for {case}"
    if code in (0, 1) and printed:
        return "accepted"
    assert code == 2, f"exit code {code} for {case}: {told}"
    assert told.startswith("identkit: "), f"no sentence for {case}: {told!r}"
    assert told.count("\n") == 1, f"more than a sentence for {case}: {told!r}"
    assert [p.name for p in folder.iterdir()] == [case.name], f"something is left by {case}"
    return "refused"
