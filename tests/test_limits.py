"""Limits that hold: what a child process is for, whatever is called in it."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import threading
import time

import flint
import pytest
from amounts import amount
from hostile import expressions

import identkit
from identkit import Expert, bounded, check, interactions
from identkit.bounded import OUT_OF_MEMORY
from identkit.bounded import bounded as run
from identkit.causes import CAUSES
from identkit.certificates.verify import verify
from identkit.deadline import Deadline
from identkit.errors import DomainError, InputError, OutOfTime
from identkit.report.json_text import dumps
from identkit.vocabulary import Cause

needs_fork = pytest.mark.skipif(not bounded.FORKS, reason="without fork only deadlines hold")
pytestmark = needs_fork

HEAVY = (
    "tanh(a*x + b)*tanh(c*x + d)*tanh(e*x + f)*tanh(g*x + h)",
    "*".join(f"sin(a{i}*x + {i})" for i in range(20)),
    " + ".join(f"c{i}*tanh(a{i}*x + b{i})" for i in range(6)),
    "tanh(" + " + ".join(f"a{i}*x{i}" for i in range(12)) + " + b)",
)


def uninterruptible(_=None):
    """One FLINT call of minutes: no exception can be raised in it."""
    x, y = flint.fmpq_mpoly_ctx.get(["x", "y"], "lex").gens()
    return ((x + y + 1) ** 3000) * ((x - y + 2) ** 3000) is None


def hungry(_=None):
    held = []
    while True:
        held.append(bytearray(2**26))


def test_a_call_that_cannot_be_interrupted_is_ended():
    began = time.monotonic()
    with pytest.raises(OutOfTime, match=r"the time limit of 0\.2 s was reached"):
        run(uninterruptible, Deadline(0.2))
    assert time.monotonic() - began < 2.0


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(bounded, "MEMORY", 2**28)
    with pytest.raises(OutOfTime) as caught:
        run(hungry, Deadline(20))
    assert str(caught.value) == OUT_OF_MEMORY


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV])
def test_a_child_that_dies(number):
    with pytest.raises(OutOfTime, match=CAUSES[Cause.BROKE_OFF]):
        run(lambda _: os.kill(os.getpid(), number), Deadline(20))


def test_what_passes_through():
    received = []

    def work(send):
        send(1)
        send("two")
        return threading.active_count(), run(lambda _: os.getpid(), Deadline(1)) == os.getpid()

    assert run(work, Deadline(20), received.append) == (1, True)  # nested: in the same process
    assert received == [1, "two"]
    with pytest.raises(DomainError, match=r"^far$"):
        run(lambda _: (_ for _ in ()).throw(DomainError("far")), Deadline(20))
    with pytest.raises(ZeroDivisionError) as caught:
        run(lambda _: 1 / 0, Deadline(20))
    assert "test_limits.py" in caught.value.__notes__[0]

    class Local(Exception):
        """Does not pickle."""

    def raises(_):
        raise Local("here")

    with pytest.raises(RuntimeError, match="Local: here"):
        run(raises, Deadline(20))


def test_no_child_is_left():
    run(lambda _: 1, Deadline(20))
    with pytest.raises(OutOfTime):
        run(uninterruptible, Deadline(0.05))
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_where_no_process_can_be_started(monkeypatch):
    def full():
        raise BlockingIOError

    monkeypatch.setattr(os, "fork", full)
    assert run(lambda _: os.getpid(), Deadline(20)) == os.getpid()


def test_from_threads():
    """Forks from several threads at once, warnings about that being errors here."""
    results: list[str] = []
    threads = [
        threading.Thread(target=lambda: results.append(check("tanh", "softmax", dim=1).gate))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == ["softmax"] * 3


def test_nothing_of_the_parent_is_written_twice():
    """The child leaves without flushing what the parent has yet to write, and runs no exit hook."""
    code = (
        "import atexit, sys; from identkit import check; atexit.register(print, 'bye');"
        "sys.stdout.write('once;'); check('tanh', 'softmax', dim=1)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("once;bye\n", "")


def test_ctrl_c_ends_the_child():
    code = (
        # where the tests run in the background, SIGINT is ignored by whatever they start
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from identkit import check, Expert;"
        f"check(Expert.from_expression({HEAVY[0]!r}), 'sigmoid', time_limit=100,"
        "progress=lambda line: print(line, flush=True))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the child is at work
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)  # the child would hold standard error open
    assert "KeyboardInterrupt" in err


@pytest.mark.parametrize("text", HEAVY[:2])
def test_a_check_ends_in_time(text):
    began = time.monotonic()
    result = check(Expert.from_expression(text), "sigmoid", time_limit=0.3)
    assert time.monotonic() - began < 2.3
    assert {r.verdict for r in result.results} == {"undecided"}
    notes = {n for r in result.results for p in r.proofs for n in p.notes}
    assert notes == {"the time limit of 0.3 s was reached"}
    assert "not decided within the limits" in result.results[0].second_order.reason
    assert result.results[1].premise.verdict == "undecided"
    dumps(result.to_dict())
    verify(result.certificate())


@pytest.mark.slow
@pytest.mark.parametrize("gate", ["sigmoid", "softmax"])
@pytest.mark.parametrize("text", HEAVY)
def test_every_heavy_check_ends_in_time(text, gate):
    began = time.monotonic()
    check(Expert.from_expression(text), gate, time_limit=3)
    assert time.monotonic() - began < 5


def test_what_was_reached_is_kept(monkeypatch):
    """The first regime's verdict stands where the second is cut off."""
    from identkit import checking

    decide = checking._Check._decide

    def stuck(self, regime, condition):
        return decide(self, regime, condition) if regime == 1 else uninterruptible()

    monkeypatch.setattr(checking._Check, "_decide", stuck)
    lines: list[str] = []
    result = check("tanh", "sigmoid", dim=1, time_limit=2, progress=lines.append)
    assert [r.verdict for r in result.results] == ["yes", "undecided"]
    assert lines == ["tanh ridge, sigmoid gate: strong", "tanh ridge, sigmoid gate: weak"]


def test_a_crash_is_an_answer(monkeypatch):
    from identkit import prove

    monkeypatch.setattr(prove.Prover, "prove", lambda *_: os.kill(os.getpid(), signal.SIGSEGV))
    result = check("tanh", "softmax", dim=1)
    assert result.results[0].proofs[0].notes == (CAUSES[Cause.BROKE_OFF],)
    assert interactions("tanh(a*x)").proof.notes == (CAUSES[Cause.BROKE_OFF],)
    monkeypatch.setattr("identkit.certificates.verify._verified", lambda *_: os.abort())
    with pytest.raises(OutOfTime, match=CAUSES[Cause.BROKE_OFF]):
        verify(result.certificate())


def test_without_fork_the_deadline_is_asked(monkeypatch):
    monkeypatch.setattr(bounded, "FORKS", False)
    result = check(Expert.from_expression("sin(a*x + b)*tanh(c*x)"), "softmax", time_limit=0.01)
    assert result.results[0].verdict == "undecided"
    assert check("tanh", "softmax", dim=1).results[0].verdict == "yes"


def test_gates_are_recognised_in_time():
    gate = identkit.Gate.from_expression("2**(gelu(abs(tanh(1 - cos(gelu(2*s + 2)))))) + s*s")
    began = time.monotonic()
    assert gate.known_as == ""
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("name", "load"),
    [("plan.toml", "rates.plan.load_plan"), ("truth.json", "rates.truth.load_truth")],
)
def test_files_without_end(tmp_path, monkeypatch, name, load):
    module, _, function = load.rpartition(".")
    module = importlib.import_module(f"identkit.{module}")
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    (tmp_path / name).write_text(" " * 1001)
    with pytest.raises(InputError, match="has more than 1,000 bytes"):
        getattr(module, function)(tmp_path / name)
    (tmp_path / f"zero-{name}").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="is not a regular file"):
        getattr(module, function)(tmp_path / f"zero-{name}")


def test_hostile_expressions(tmp_path):
    for case in expressions.cases(amount(20, 45), seed=100):
        expressions.attempt(case, tmp_path)


@pytest.mark.slow
def test_many_hostile_expressions(tmp_path):
    for case in expressions.cases(1000, seed=6):
        expressions.attempt(case, tmp_path)
