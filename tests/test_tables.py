"""Data files: what is read, and that every wrong file is named with its line and column."""

from __future__ import annotations

import io
import os
import sys
import time
import zipfile

import numpy as np
import pytest
from amounts import amount
from hypothesis import given, settings
from hypothesis import strategies as st

from identkit.errors import InputError
from identkit.mixing import MixingMeasure
from identkit.tables import read_table
from identkit.tables import text as text_tables

X = np.array([[1.0, 2.5], [3.0, -4.0], [5e-3, 6e20]])
Y = np.array([0.5, -0.25, 7.0])
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "blank": " "}


@pytest.fixture
def write(tmp_path):
    """Write text or bytes to a file of this name and return its path."""

    def to(content, name="data.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return to


def same(table, x=X, y=Y):
    assert table.x.dtype == table.y.dtype == np.float64
    assert table.x.flags.c_contiguous
    assert table.y.flags.c_contiguous
    assert np.array_equal(table.x, x)
    assert np.array_equal(table.y, y)
    assert len(table) == len(y)
    assert table.dim == x.shape[1] == len(table.input_names)
    return True


def text(delimiter=",", names=("x0", "x1", "y"), end="\n"):
    rows = [list(map(repr, map(float, row))) for row in np.column_stack([X, Y])]
    return "".join(delimiter.join(row) + end for row in ([list(names)] if names else []) + rows)


# -- CSV --------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("names", [("x0", "x1", "y"), None], ids=["names", "no names"])
@pytest.mark.parametrize("delimiter", DELIMITERS.values(), ids=DELIMITERS)
def test_delimiters_and_names(write, delimiter, names, end):
    table = read_table(write(text(delimiter, names, end)))
    assert same(table)
    assert table.input_names == (("x0", "x1") if names else ("0", "1"))
    assert table.target_name == ("y" if names else "2")


@pytest.mark.parametrize(
    "content",
    [
        text()[:-1],
        "\n\n" + text().replace("\n", "\n\n") + "  \n\n",
        text().replace(",", " , "),
        text(" ").replace(" ", "   ").replace("\n", "  \n"),
        '"x0","x1","y"\n' + "".join(f'"{a}","{b}",{c}\n' for (a, b), c in zip(X, Y, strict=True)),
        b"\xef\xbb\xbf" + text().encode(),
    ],
    ids=["no last newline", "blank lines", "spaces", "aligned", "quotes", "byte order mark"],
)
@pytest.mark.parametrize("fast", [True, False])
def test_ways_to_write_the_same(write, monkeypatch, content, fast):
    if not fast:
        monkeypatch.setattr(text_tables, "_fast", lambda *_: None)
    assert same(read_table(write(content)))


@pytest.mark.parametrize("suffix", [".csv", ".TSV", ".txt", ".dat"])
def test_suffixes(write, suffix):
    assert same(read_table(str(write(text("\t"), "data" + suffix))))


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text().encode())))
    assert same(read_table("-"))
    monkeypatch.setattr(sys, "stdin", io.StringIO("a,b\n1,oops\n"))
    with pytest.raises(InputError, match="standard input: line 2, column 'b': 'oops'"):
        read_table("-")
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(InputError, match="standard input: the file is empty"):
        read_table("-")
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="standard input: is closed"):
        read_table("-")


@pytest.mark.parametrize(
    ("target", "inputs", "names"),
    [
        (None, None, ("a", "note", "b", "y")),
        ("b", "a", ("a", "b")),
        ("b", " a , y ", ("a", "y", "b")),
        ("-2", ["y", 0], ("y", "a", "b")),
        (2, "3,0", ("y", "a", "b")),
        (-1, (0, "b"), ("a", "b", "y")),
        (None, ["a"], ("a", "y")),
        (None, 0, ("a", "y")),
        ("2", ["3"], ("y", "b")),
        ("note", None, ("a", "b", "y", "note")),
    ],
)
def test_columns_by_name_and_position(write, target, inputs, names):
    columns = {"a": [1, 2], "note": [3, 4], "b": [5, 6], "y": [7, 8]}
    rows = ["a,note,b,y", *(",".join(map(str, r)) for r in zip(*columns.values(), strict=True))]
    table = read_table(write("\n".join(rows)), target, inputs)
    assert (*table.input_names, table.target_name) == names
    for column, name in zip(np.column_stack([table.x, table.y]).T, names, strict=True):
        assert column.tolist() == columns[name]


def test_a_name_wins_over_a_position(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, **{"a": [1.0], "2": [2.0], "b": [3.0]})
    assert read_table(path, target="2").y == 2
    assert read_table(path, target=2).y == 3


def test_columns_not_chosen_may_hold_anything(write):
    content = 'note,x,y\n"some, text",1,2\n"two\nlines",3,4\n,5,6\n'
    table = read_table(write(content), "y", "x")
    assert table.x[:, 0].tolist() == [1, 3, 5]
    assert table.y.tolist() == [2, 4, 6]
    with pytest.raises(InputError, match="line 5, column 'x': 'oops'"):
        read_table(write(content.replace("5", "oops")), "y", "x")
    with pytest.raises(InputError, match="line 2, column 'note': 'some, text' is not a number"):
        read_table(write(content))


def test_more_rows_than_a_chunk(write):
    n = 3 * text_tables._CHUNK + 5
    rows = [f"{i},{2 * i},t\n" for i in range(n)]
    table = read_table(write("x,y,note\n" + "".join(rows)), "y", "x")
    assert table.y.tolist() == list(range(0, 2 * n, 2))
    rows[n - 2] = "1,,t\n"
    with pytest.raises(InputError, match=f"line {n}, column 'y': the cell is empty"):
        read_table(write("x,y,note\n" + "".join(rows)), "y", "x")


number = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**15), 10**15)
matrices = st.integers(2, 4).flatmap(
    lambda d: st.lists(st.lists(number, min_size=d, max_size=d), min_size=1, max_size=6)
)


@settings(max_examples=amount(40, 150), deadline=None)
@given(matrices, st.sampled_from(sorted(DELIMITERS.values())), st.sampled_from(["{!r}", "{:.17e}"]))
def test_round_trip(tmp_path_factory, rows, delimiter, form):
    """Every float64 written with 17 digits comes back, by both parsers."""
    rows = [list(map(float, row)) for row in rows]
    head = delimiter.join(f"v{i}" for i in range(len(rows[0])))
    lines = [head, *(delimiter.join(map(form.format, row)) for row in rows)]
    path = tmp_path_factory.mktemp("round") / "data.csv"
    path.write_text("\n".join(lines))
    expected = np.array(rows)
    assert same(read_table(path), expected[:, :-1], expected[:, -1])
    fast, text_tables._fast = text_tables._fast, lambda *_: None
    try:
        assert same(read_table(path), expected[:, :-1], expected[:, -1])
    finally:
        text_tables._fast = fast


cell = st.sampled_from(
    [
        "1",
        "-2.5",
        "+3e4",
        ".5",
        "5.",
        "1e999",
        "nan",
        "",
        "1_0",
        "0x1",
        "١",
        "inf",
        "1,5",
        "a b",
        "1e",
        " 7 ",
        "--1",
        "1.2.3",
        "True",
        "1+2j",
        "\u00a04",
        '"8"',
        '"',
        "1d5",
    ]
)


@settings(max_examples=amount(80, 300), deadline=None)
@given(st.lists(st.lists(cell, min_size=1, max_size=3), max_size=4), st.sampled_from(",; "))
def test_both_parsers_agree(tmp_path_factory, rows, delimiter):
    """On anything: the same table, or a sentence; and never a number that is not written."""
    content = "\n".join([f"a{delimiter}b", *(delimiter.join(row) for row in rows)])
    path = tmp_path_factory.mktemp("both") / "data.csv"
    path.write_text(content, encoding="utf-8")

    def outcome():
        try:
            table = read_table(path)
        except InputError as error:
            return str(error)
        return table.x.tolist(), table.y.tolist()

    quick, fast = outcome(), text_tables._fast
    text_tables._fast = lambda *_: None
    try:
        assert outcome() == quick
    finally:
        text_tables._fast = fast
    if not isinstance(quick, str):
        assert not any(mark in content for mark in ("_", "nan", "inf", "x", "١", "999", "True"))


# -- wrong CSV files --------------------------------------------------------------------------


WRONG = {
    "empty": ("", "the file is empty"),
    "blank": ("\n \n\t\n", "the file is empty"),
    "byte order mark only": (b"\xef\xbb\xbf", "the file is empty"),
    "names only": ("x,y\n", "has columns but no rows"),
    "names and blank lines": ("x,y\n\n\n", "has columns but no rows"),
    "one column": ("y\n1\n2\n", "has only one column"),
    "one column without name": ("1\n2\n", "has only one column"),
    "not a number": ("x,y\n1,2\n3,oops\n", "line 3, column 'y': 'oops' is not a number; correct"),
    "not a number, no names": ("1,2\n\n3,4,\n", "line 3 has 3 cells, but there are 2 columns"),
    "position as name": ("1,2\nz,4\n", "line 2, column '0': 'z' is not a number"),
    "after blank lines": ("\n\nx,y\n\n1,2\n\n3,z\n", "line 7, column 'y': 'z'"),
    "missing": ("x,y\n1,\n", "line 2, column 'y': the cell is empty; fill it in or delete"),
    "missing in first line": (",1\n2,3\n", "line 1, column '0': the cell is empty"),
    "nan": ("x,y\n1,2\nNaN,3\n", "line 3, column 'x': 'NaN' stands for a missing value"),
    "NA": ("x,y\n1,2\nNA,3\n", "line 3, column 'x': 'NA' stands for a missing value"),
    "all missing": ("NA,NA\n1,2\n", "line 1, column '0': 'NA' stands for a missing"),
    "infinite": ("x,y\n1,-inf\n", "line 2, column 'y': '-inf' is not finite"),
    "out of range": ("x,y\n1e999,1\n", "line 2, column 'x': '1e999' is beyond the range of float6"),
    "decimal comma": ("x;y\n1,5;2\n", "line 2, column 'x': '1,5' has a decimal comma; write a"),
    "underscore": ("x,y\n1_000,2\n", "line 2, column 'x': '1_000' is not a number"),
    "other digits": ("x,y\n1,٣\n", "line 2, column 'y': '٣' is not a number"),
    "complex": ("x,y\n1,2+1j\n", r"line 2, column 'y': '2\+1j'"),
    "comment": ("# x y\n1 2\n", "line 1 begins with '#'; delete the comment"),
    "comment inside": ("x,y\n1,2\n#3,4\n", "line 3, column 'x': '#3'"),
    "long cell": (f"x,y\n1,{'9' * 30}z{'9' * 9999}\n", f"'{'9' * 30}z999999999…' is not a number"),
    "longer cell": (f"x,y\n1,{'z' * 200000}\n", r"is not CSV \(field larger"),
    "short line": ("x,y\n1,2\n3\n", r"line 3 has 1 cell, but there are 2 columns \(separated by ,"),
    "long line": ("x\ty\n1\t2\t3\n", r"line 2 has 3 cells, .* \(separated by tabs\)"),
    "short line, blanks": ("x y\n1 2\n3 \n", r"line 3 has 1 cell, .* \(separated by blanks\)"),
    "names shorter": ("x,y\n1,2,3\n4,5,6\n", "line 2 has 3 cells, but there are 2"),
    "numbers and text": ("1,2,oops\n3,4,5\n", "line 1 holds numbers, but also 'oops' in column 2"),
    "counted": ("0,1,2\n1.5,2.5,3.5\n", "line 1 counts 0, …, 2, which may be names"),
    "names twice": ("a,y,a\n1,2,3\n", "columns 0 and 2 .* both named 'a'; rename one"),
    "no name": (",x,y\n0,1,2\n", "column 0 .* has no name, as the row numbers that pandas"),
    "unnamed": ("x,Unnamed: 1,y\n0,1,2\n", "column 1 .* has no name"),
    "latin-1": ("x,y\n1,2\n\xe4,3\n".encode("latin-1"), "line 3 is not UTF-8 text; save the"),
    "utf-16": ("x,y\n1,2\n".encode("utf-16"), "line 1 is not UTF-8 text"),
    "binary": (bytes(range(256)) * 9, "line 4 is not UTF-8|is not"),
    "nul": (b"x,y\n1,\x002\n", "line 2, column 'y'"),
    "open quote": ('x,y\n1,"2\n3,4\n', "line 2, column 'y': '2"),
}


@pytest.mark.parametrize(("content", "message"), WRONG.values(), ids=WRONG)
def test_wrong_files_are_named(write, content, message):
    path = write(content)
    with pytest.raises(InputError, match=message) as raised:
        read_table(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert len(str(raised.value)) < 400 + len(str(path))


def test_late_bad_bytes(write):
    rows = b"1,2\n" * 50_000
    with pytest.raises(InputError, match="line 50002 is not UTF-8"):
        read_table(write(b"x,y\n" + rows + b"1,\xff\n"))


@pytest.mark.parametrize(
    ("target", "inputs", "message"),
    [
        ("temprature", None, "target: .* has no column 'temprature'; did you mean temperature.* y"),
        ("q", None, "target: .* has no column 'q'; it has temperature, pressure, y"),
        (None, "pressure,sped", "inputs: .* has no column 'sped'"),
        (3, None, "target: .* has no column 3; its 3 columns are counted from 0 to 2"),
        ("-4", None, "target: .* has no column -4"),
        ("99999999999", None, "has no column '99999999999'"),
        (1.5, None, "target: 1.5 is not a column"),
        (None, [None], "inputs: None is not a column"),
        (None, [], "inputs: none is chosen"),
        (None, "", "inputs: .* has no column ''"),
        ("y", "pressure,y", "column 'y' is both the target and an input; drop it from one"),
        (None, "pressure,y", "column 'y' is both .* name another --target"),
        ("y", [0, "temperature"], "inputs: column 'temperature' is chosen twice"),
    ],
)
def test_wrong_columns_are_named(write, target, inputs, message):
    with pytest.raises(InputError, match=message):
        read_table(write("temperature,pressure,y\n1,2,3\n"), target, inputs)


def test_many_columns_are_not_all_listed(write):
    names = ",".join(f"c{i}" for i in range(100))
    with pytest.raises(InputError, match=r"c19 and 80 more\.$"):
        read_table(write(names), target="zzz")


def test_unnamed_columns_can_be_left_out(write):
    table = read_table(write(",x,y\n0,1,2\n"), inputs="x")
    assert table.x.tolist() == [[1]]
    with pytest.raises(InputError, match=r"column 0 .* has no name"):
        read_table(write(",x,y\n0,1,2\n"), inputs=[0])


def test_wrong_paths_are_named(tmp_path, write):
    (tmp_path / "folder.csv").mkdir()
    for name, message in {
        "none.csv": "there is no such file",
        "folder.csv": "is a directory",
        "n" * 300 + ".csv": "cannot be read",
        write("1", "data.xlsx").name: "the suffix '.xlsx' is not known; use one of .csv",
        write("1", "data").name: "the name has no suffix",
        write("", "empty.npz").name: "the file is empty",
        write("", "empty.parquet").name: "the file is empty",
    }.items():
        with pytest.raises(InputError, match=message) as raised:
            read_table(tmp_path / name)
        assert name in str(raised.value)


def test_a_file_that_cannot_be_opened_is_named(write, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    path = write(text())
    monkeypatch.setattr("pathlib.Path.open", denied)
    with pytest.raises(InputError, match=r"data.csv: cannot be read \(Permission denied\)"):
        read_table(path)


# -- NPZ --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arrays", "inputs", "target"),
    [
        ({"x": X, "y": Y}, ("x0", "x1"), "y"),
        ({"y": Y[:, None], "x": np.asfortranarray(X)}, ("x0", "x1"), "y"),
        ({"data": np.column_stack([X, Y])}, ("0", "1"), "2"),
        ({"u": X[:, 0], "v": X[:, 1], "y": Y}, ("u", "v"), "y"),
        ({"u": X[:, 0], "v": X[:, 1], "w": Y}, ("u", "v"), "w"),
        ({"x": X, "y": Y, "seed": 3, "truth": np.zeros(7)}, ("x0", "x1"), "y"),
        ({"u": X[:, 0], "v": X[:, 1], "w": Y, "seed": np.int64(3)}, ("u", "v"), "w"),
    ],
)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(tmp_path, save, arrays, inputs, target):
    save(tmp_path / "data.npz", **arrays)
    table = read_table(tmp_path / "data.npz")
    assert same(table)
    assert table.input_names == inputs
    assert table.target_name == target


def test_npz_types_and_choice(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, x=np.array([1, 2], np.uint8), y=np.array([3, 4], np.float32), z=[5, 6])
    table = read_table(path)
    assert table.input_names == ("x",)
    assert same(read_table(path, "z", ["y", "x"]), np.array([[3, 1], [4, 2.0]]), np.array([5, 6]))


WRONG_NPZ = {
    "nan": ({"x": X, "y": [1, np.nan, 2]}, r"row 1 \(counted from 0\), column 'y': .* missing"),
    "infinite": ({"x": [1, 2, -np.inf], "y": Y}, "row 2 .*, column 'x': .* not finite .-inf"),
    "long double": ({"x": np.array(["1e999"] * 3, np.longdouble), "y": Y}, "row 0 .* not finite"),
    "objects": ({"x": np.array([None, 1, 2]), "y": Y}, "array 'x' holds Python objects"),
    "text": ({"x": ["a", "b", "c"], "y": Y}, "column 'x' holds str.*, not real numbers"),
    "complex": ({"x": X + 1j, "y": Y}, "column 'x0' holds complex128"),
    "bool": ({"x": X > 0, "y": Y}, "column 'x0' holds bool"),
    "lengths": ({"x": X[:2], "y": Y}, "column 'x0' has 2 values but the target 'y' has 3"),
    "no rows": ({"x": X[:0], "y": Y[:0]}, "has columns but no rows"),
    "one column": ({"y": Y}, "has only one column"),
    "numbers": ({"a": 1, "b": 2}, "holds no 1-D or 2-D array"),
    "cube": ({"a": np.zeros((2, 2, 2))}, "holds no 1-D or 2-D array"),
    "nothing": ({}, "holds no 1-D or 2-D array"),
    "names twice": ({"x": X, "x0": Y, "z": Y}, "both named 'x0'"),
}


@pytest.mark.parametrize(("arrays", "message"), WRONG_NPZ.values(), ids=WRONG_NPZ)
def test_wrong_npz_files_are_named(tmp_path, arrays, message):
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=message) as raised:
        read_table(path)
    assert str(path) in str(raised.value)


def test_damaged_npz_files_are_named(tmp_path):
    path = tmp_path / "data.npz"
    np.savez_compressed(path, x=np.random.default_rng(0).random((50, 2)), y=np.ones(50))
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    broken = [b"PK\x03\x04", b"hello", whole[: len(whole) // 2], whole[100:]]
    for _ in range(200):
        bad = bytearray(whole)
        for i in rng.integers(0, len(bad), 3):
            bad[i] ^= int(rng.integers(1, 256))
        broken.append(bytes(bad))
    errors = []
    for content in broken:
        path.write_bytes(content)
        try:
            read_table(path)  # damage to a time stamp is harmless
        except InputError as error:
            errors.append(str(error))
    assert len(errors) > 100
    assert all(str(path) in error for error in errors)


def test_npz_with_other_members(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, x=X, z=Y)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("README", "text")
    assert same(read_table(path))


def test_a_bare_array_is_not_npz(tmp_path):
    np.save(tmp_path / "data.npy", X)
    (tmp_path / "data.npy").rename(tmp_path / "data.npz")
    with pytest.raises(InputError, match="is not an NPZ file"):
        read_table(tmp_path / "data.npz")


# -- Parquet ----------------------------------------------------------------------------------


@pytest.fixture
def parquet(tmp_path):
    """Write columns to a Parquet file and return its path."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    def to(columns, names=None):
        table = pa.table(columns, names=names) if names else pa.table(columns)
        pq.write_table(table, tmp_path / "data.parquet")
        return tmp_path / "data.parquet"

    return to


def test_parquet(parquet):
    import decimal

    import pyarrow as pa

    path = parquet({"y": Y, "a.b": X[:, 0], "c": X[:, 1], "__index_level_0__": [7, 8, 9]})
    table = read_table(path)
    assert same(table)
    assert table.input_names == ("a.b", "c")
    kinds = {
        "i": pa.array([1, 2**60 + 1], pa.int64()),
        "u": pa.array([3, 4], pa.uint8()),
        "h": pa.array(np.array([0.5, 1.5], np.float16)),
        "d": pa.array([decimal.Decimal("1.25"), decimal.Decimal("2.50")]),
        "note": ["not", "chosen"],
        "y": pa.array([1.0, 2.0], pa.float32()),
    }
    table = read_table(parquet(kinds), inputs="i,u,h,d")
    expected = np.array([[1, 3, 0.5, 1.25], [2.0**60, 4, 1.5, 2.5]])
    assert same(table, expected, np.array([1.0, 2.0]))


def test_wrong_parquet_files_are_named(parquet, write):
    pa = pytest.importorskip("pyarrow")
    number = [1.0, 2.0]
    for columns, message in (
        ({"x": [1.0, None], "y": number}, r"row 1 \(counted from 0\), column 'x': .* missing"),
        ({"x": [1, None], "y": number}, "row 1 .*, column 'x': .* missing"),
        ({"x": [1.0, float("inf")], "y": number}, "row 1 .*, column 'x': .* not finite"),
        ({"x": ["1", "2"], "y": number}, "column 'x' holds string, not real numbers"),
        ({"x": [True, False], "y": number}, "column 'x' holds bool"),
        ({"x": [[1.0], [2.0]], "y": number}, "column 'x' holds list"),
        ({"y": number}, "has only one column"),
        ({"x": pa.array([], pa.float64()), "y": pa.array([], pa.float64())}, "but no rows"),
    ):
        with pytest.raises(InputError, match=message):
            read_table(parquet(columns))
    with pytest.raises(InputError, match="both named 'x'"):
        read_table(parquet([number, number, number], names=["x", "x", "y"]))
    whole = parquet({"x": number, "y": number}).read_bytes()
    for content in (b"PAR1", b"hello" * 9, whole[:-20], whole[20:], whole[:4] + b"\0" * 99):
        with pytest.raises(InputError, match=r"broken.parquet: is not a Parquet file"):
            read_table(write(content, "broken.parquet"))


def test_parquet_without_pyarrow(write, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"pip install identkit\[parquet\]"):
        read_table(write("PAR1", "data.parquet"))


# -- sizes ------------------------------------------------------------------------------------


def bomb(path, members):
    """An NPZ file of zeros: members are name -> float64 values, compressed a thousandfold."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, count in members.items():
            header = io.BytesIO()
            np.lib.format.write_array_header_1_0(
                header, {"descr": "<f8", "fortran_order": False, "shape": (count,)}
            )
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                file.write(header.getvalue())
                for _ in range(8 * count // 2**20):
                    file.write(bytes(2**20))


def test_an_npz_that_unpacks_to_more_than_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("identkit.tables.binary.MOST_BYTES", 2**24)
    path = tmp_path / "bomb.npz"
    bomb(path, {"x": 2**21, "y": 2**21})
    assert path.stat().st_size < 2**17
    with pytest.raises(InputError, match=r"bomb\.npz: unpacks to 33,\d*,\d* bytes, at most 16,777"):
        read_table(path)
    bomb(path, {"x": 2**19, "y": 2**19, "other": 2**22})
    assert len(read_table(path)) == 2**19  # other arrays are not unpacked


def test_an_npz_bomb_is_no_measure(tmp_path, monkeypatch):
    monkeypatch.setattr("identkit.mixing.MOST_BYTES", 2**20)
    for name in ("beta0.npz", "measure.npz"):
        bomb(tmp_path / name, {"beta0": 2**18})
        with pytest.raises(InputError, match="unpacks to"):
            MixingMeasure.load(tmp_path / name)
    (tmp_path / "measure.json").write_text(" " * 2**20 + "{}")
    with pytest.raises(InputError, match=r"has more than 1,048,576 bytes"):
        MixingMeasure.load(tmp_path / "measure.json")


def test_a_parquet_file_of_one_value(tmp_path, parquet, monkeypatch):
    monkeypatch.setattr("identkit.tables.binary.MOST_BYTES", 2**20)
    path = parquet({"x": np.zeros(2**20), "y": np.zeros(2**20)})
    with pytest.raises(InputError, match=r"the columns take 16,777,216 bytes, at most 1,048,576"):
        read_table(path)


@pytest.mark.parametrize("cell", ["1.5", ""])
def test_many_columns_take_no_longer_each(write, cell):
    """Linear in their number: 32,000 once took 26 s."""
    names = ",".join(f"c{i}" for i in range(32_000))
    path = write(f"{names}\n{','.join(['1.5'] * 31_999)},{cell}\n")
    began = time.monotonic()
    if cell:
        assert read_table(path).dim == 31_999
    else:
        with pytest.raises(InputError, match="column 'c31999': the cell is empty"):
            read_table(path)
    assert time.monotonic() - began < 3


def test_too_many_columns(tmp_path, write, monkeypatch):
    for module in ("columns", "binary"):
        monkeypatch.setattr(f"identkit.tables.{module}.MOST_COLUMNS", 50)
    np.savez(tmp_path / "wide.npz", np.ones((2, 51)))
    for path in (tmp_path / "wide.npz", write(",".join(["1.5"] * 51) + "\n")):
        with pytest.raises(InputError, match="columns, "):
            read_table(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x,y\n1,2\n" + "1" * 3000 + ",2\n", "line 3 has more than 1,024 bytes"),
        ("x" * 2000, "line 1 has more than 1,024 bytes"),
        ("x,y\n" + "1,2\n" * 2000, "has more than 4,096 bytes"),
    ],
)
def test_long_lines_and_long_files(write, monkeypatch, content, message):
    monkeypatch.setattr("identkit.tables.text.MOST_LINE", 1024)
    monkeypatch.setattr("identkit.tables.text.MOST_BYTES", 4096)
    with pytest.raises(InputError, match=message):
        read_table(write(content))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
    with pytest.raises(InputError, match=message):
        read_table("-")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="without named pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "data.csv")
    with pytest.raises(InputError, match="is not a regular file"):
        read_table(tmp_path / "data.csv")


@pytest.mark.parametrize(
    ("cells", "codes", "names"),
    [
        (["b", "a", "b"], [1, 0, 1], ("a", "b")),
        (["10", "2", "2.0"], [1, 0, 0], ("2", "10")),  # numbers by size, whatever they look like
        (["10", "2", "x"], [0, 1, 2], ("10", "2", "x")),
        ([" a ", "'b", "a"], [1, 0, 1], ("'b", "a")),
    ],
)
def test_a_target_of_classes(tmp_path, cells, codes, names):
    path = tmp_path / "classes.csv"
    rows = "".join(f"{i},{cell},{i + 1}\n" for i, cell in enumerate(cells))
    path.write_text("x,kind,w\n" + rows, encoding="utf-8")
    table = read_table(path, "kind", "x", weights="w", classes=True)
    assert table.classes == names
    assert table.y.tolist() == codes
    assert table.weight is not None
    assert table.weight.tolist() == [1.0, 2.0, 3.0]
    assert table.rows(np.array([0, 2])).classes == names


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x,kind\n1,a\n2,\n", "line 3, column 'kind': the cell is empty"),
        ("x,kind\n1,a\n2,NA\n", "line 3, column 'kind': 'NA' stands for a missing value"),
        ("x,kind\n1,a\nz,b\n", "line 3, column 'x': 'z' is not a number"),
    ],
)
def test_classes_that_are_missing(tmp_path, text, said):
    path = tmp_path / "classes.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        read_table(path, classes=True)


def test_classes_in_arrays(tmp_path):
    x = np.arange(4.0)[:, None]
    for y in (np.array(["u", "v", "u", "u"]), np.array([True, False, True, True])):
        np.savez(tmp_path / "classes.npz", x=x, y=y)
        table = read_table(tmp_path / "classes.npz", classes=True)
        assert table.classes == tuple(sorted({str(v) for v in y}))
        assert [table.classes[int(c)] for c in table.y] == [str(v) for v in y]
    with pytest.raises(InputError, match="not real numbers"):
        read_table(tmp_path / "classes.npz")
