"""What happens before a command works: refusals, what is imported, what is compiled."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import sympy as sp
from numba import njit
from numba.core import event

from identkit.cli import progress
from identkit.cli.main import main
from identkit.fit import kept
from identkit.fit.cpu_kernel import _SIGNATURE, native_heads
from identkit.fit.model import Model

HEAVY = ("torch", "numba", "scipy", "matplotlib")
RATES = ["rates", "--expert", "tanh", "--gate", "softmax"]
BLOCK = """\
def block(rows, out, count):
    for j in range(count):
        value = scalar(rows[0, j], rows[1, j])
        out[0, j] = value[0]
"""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([*RATES, "--reps", "1"], "--reps"),
        ([*RATES, "--device", "gpu"], "--device gpu"),
        ([*RATES, "--starts", "locl"], "locl"),
        ([*RATES, "--noise", "-1"], "--noise -1"),
        ([*RATES, "--n", "3:4"], "--n 3:4"),
        ([*RATES, "--budgets", "30,3"], "--budgets 30,3"),
        ([*RATES, "--workers", "0"], "0"),
        (["report", "x.sqlite", "--out", "/nonexistent/x.html"], "/nonexistent/x.html"),
    ],
)
def test_options_are_refused_before_anything_heavy_is_imported(arguments, said):
    code = (
        "import sys; from identkit.cli import main; code = main(sys.argv[1:]); "
        f"print(code, [m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout == "2 []\n"
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_where_a_report_cannot_be_written_is_said_before_the_store_is_looked_at(tmp_path, capsys):
    store = tmp_path / "no-such.sqlite"
    assert main(["report", str(store), "--out", str(tmp_path / "none" / "x.html")]) == 2
    assert "its directory does not exist" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_scipy_is_imported_by_the_functions_that_need_it():
    code = (
        "import sys, numpy as np; from identkit.fit.model import numpy_functions\n"
        "functions = numpy_functions(); functions['tanh'](np.ones(2))\n"
        "print('scipy' in sys.modules, functions['erf'](np.zeros(2)), 'scipy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False [0. 0.] True\n"


# -- native functions that are kept ----------------------------------------------------------------


def called(function):
    rows, out = np.array([[0.5, -1.0], [0.0, 0.25]]), np.empty((1, 2))

    @njit
    def call(block, rows, out):
        block(rows, out, rows.shape[1])

    call(function, rows, out)
    return out[0]


@pytest.fixture
def one():
    """tanh(x + y), as SymPy prints it for Numba."""
    x, y = sp.symbols("x y")
    return sp.lambdify((x, y), (sp.tanh(x + y),), modules=[dict(kept.vector_math.FUNCTIONS)])


def test_a_function_is_loaded_the_next_time(one, tmp_path):
    first = kept.compiled(one, BLOCK, _SIGNATURE, tmp_path)
    again = kept.compiled(one, BLOCK, _SIGNATURE, tmp_path)
    assert (first.cache_hits, again.cache_hits) == (0, 1)
    expected = np.tanh([0.5, -0.75])
    assert called(first) == pytest.approx(expected, rel=1e-15)
    assert called(again).tolist() == called(first).tolist()
    assert len(list(tmp_path.glob(f"*{kept.SUFFIX}"))) == 1


def test_other_functions_have_other_files(one, tmp_path, monkeypatch):
    kept.compiled(one, BLOCK, _SIGNATURE, tmp_path)
    other = kept.compiled(one, BLOCK.replace("value[0]", "-value[0]"), _SIGNATURE, tmp_path)
    assert other.cache_hits == 0
    assert called(other) == pytest.approx(-np.tanh([0.5, -0.75]), rel=1e-15)
    # what the function calls is part of its name, which Numba would not see
    monkeypatch.setattr(kept, "_functions", lambda: "another vector_math")
    assert kept.compiled(one, BLOCK, _SIGNATURE, tmp_path).cache_hits == 0
    assert len(list(tmp_path.glob(f"*{kept.SUFFIX}"))) == 3


@pytest.mark.parametrize("where", ["nowhere", "a file"])
def test_nothing_is_kept_where_nothing_can_be_written(where, one, tmp_path):
    (tmp_path / "file").write_text("here")
    folder = None if where == "nowhere" else tmp_path / "file"
    function = kept.compiled(one, BLOCK, _SIGNATURE, folder)
    assert called(function) == pytest.approx(np.tanh([0.5, -0.75]), rel=1e-15)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_oldest_are_dropped(one, tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "MOST", 2)
    for factor in (2, 3, 4, 5):
        kept.compiled(one, BLOCK.replace("value[0]", f"{factor}*value[0]"), _SIGNATURE, tmp_path)
    assert len(list(tmp_path.glob(f"*{kept.SUFFIX}"))) == 2
    left = {path.name.partition(".")[0] for path in (tmp_path / "__pycache__").iterdir()}
    assert left == {path.name.partition(".")[0] for path in tmp_path.glob(f"*{kept.SUFFIX}")}


def test_another_process_loads_what_this_one_compiled():
    native_heads(Model.of("tanh", "softmax"))
    code = (
        "from identkit.fit.cpu_kernel import native_heads; from identkit.fit.model import Model\n"
        "print([f.cache_hits for f in native_heads(Model.of('tanh', 'softmax'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[1, 1]\n"


# -- the bar while Numba compiles ------------------------------------------------------------------


class Screen:
    """What a bar asks of rich's progress."""

    def __init__(self):
        self.said, self.started = [], False

    def add_task(self, label, **_):
        self.said.append(label)
        return len(self.said)

    def remove_task(self, task): ...

    def update(self, task, description=None, **_):
        if description is not None:
            self.said.append(description)

    def start(self):
        self.started = True


def test_the_bar_says_that_it_compiles_what_is_kept_and_only_that():
    screen = Screen()
    bar = progress.Bar(screen)
    bar.begin("fitting", 5)

    def compiles(cache_path):
        data = {"dispatcher": SimpleNamespace(stats=SimpleNamespace(cache_path=cache_path))}
        return event.trigger_event("numba:compile", data=data)

    with progress.telling_of_compilation(bar):
        with compiles(None):
            pass
        assert not screen.started
        with compiles("somewhere"), compiles("somewhere"):
            assert screen.started
            assert screen.said[-1] == progress.COMPILING
        assert screen.said[-1] == "fitting"
    with compiles("somewhere"):
        pass
    assert screen.said[-1] == "fitting"


def test_nobody_is_told_where_nobody_looks():
    with progress.telling_of_compilation(progress.Bar(None)):
        pass
