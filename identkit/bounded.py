"""Work that ends in time and in memory, whatever a FLINT or SymPy call does: in a child process.

A :class:`~identkit.deadline.Deadline` is asked between calls; within one (a gcd, a determinant) no
exception can be raised. So the work runs in a forked child, which costs milliseconds, sends back
what it reaches, and is killed where it outstays its limits.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import os
import pickle
import select
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any, NoReturn, TypeVar

from identkit.causes import CAUSES
from identkit.deadline import Deadline
from identkit.errors import BrokeOff, IdentkitError, OutOfMemory
from identkit.vocabulary import Cause

GRACE = 0.25
"""Seconds past the limit until the child is killed: time to end by itself, with better notes."""
MEMORY = 3 * 2**29
"""Bytes that the work may take beyond what this process held when it began (1.5 GiB)."""
OUT_OF_MEMORY = f"the memory limit of {MEMORY // 2**20} MiB was reached"
FORKS = hasattr(os, "fork") and sys.platform != "darwin"
"""macOS can fork too, but its frameworks may crash in a child that was."""
_LOOK = 0.05  # seconds between looks at the child's memory
_HEADER = 8  # bytes in which a message's length is sent

Send = Callable[[Any], None]
T = TypeVar("T")

_in_child = False
_wanted: list[str] = []  # modules that a child had to import: not again by the next one


def bounded(work: Callable[[Send], T], deadline: Deadline, receive: Send | None = None) -> T:
    """``work(send)``, ended soon after the deadline or where it takes more than :data:`MEMORY`.

    What ``work`` sends is given to ``receive`` here, in this order and as it comes; what it returns
    and raises passes through. All of it must pickle. Within such work, and where the platform does
    not fork, it is called directly and nothing but the deadline limits it; where the system does
    not tell of memory (no /proc), time alone is limited.

    Raises :class:`~identkit.errors.OutOfTime` if the work was ended, or broke off by itself.
    """
    receive = receive or (lambda message: None)
    if _in_child or not FORKS:
        return work(receive)
    while _wanted:
        with contextlib.suppress(ImportError):
            import_module(_wanted.pop(0))
    inlet, outlet = os.pipe()
    parent, held = os.getpid(), _private_bytes("self")
    # an interrupt in the child would unwind the frames of the parent
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    child = None
    try:
        with warnings.catch_warnings():
            # with threads about (a notebook, torch) a child may inherit their locks; this one
            # runs SymPy and FLINT only, which take none
            warnings.filterwarnings("ignore", r".*multi-threaded.*fork", DeprecationWarning)
            with contextlib.suppress(OSError):  # as many processes as the system allows
                child = os.fork()
        if child == 0:
            _work_in_child(work, outlet, parent, mask)
        os.close(outlet)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if child is None:
            return work(receive)
        return _Child(child, inlet, held, deadline).outcome(receive)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(inlet)
        if child:
            _end(child)


# -- in the child -----------------------------------------------------------------------------


def _work_in_child(
    work: Callable[[Send], Any], outlet: int, parent: int, mask: set[int]
) -> NoReturn:
    """Never returns: what the parent has yet to write or to close is not this process's."""
    global _in_child
    _in_child = True
    try:
        # Ctrl-C is for the parent, which ends this process
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _die_with(parent)
        gc.freeze()  # what is inherited is not looked at again, so its pages stay shared
        faulthandler.disable()
        # FLINT and GMP say why they abort; the parent says it in its own words
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        before = set(sys.modules)

        def send(kind: str, value: Any) -> None:
            body = pickle.dumps((kind, value))
            view = memoryview(len(body).to_bytes(_HEADER, "little") + body)
            while view:
                view = view[os.write(outlet, view) :]

        try:
            value = work(lambda message: send("message", message))
            send("imported", [name for name in sys.modules if name not in before])
            send("returned", value)
        except MemoryError:
            send("memory", None)
        except BaseException as error:
            send("raised", _portable(error))
    finally:
        os._exit(0)


def _die_with(parent: int) -> None:
    """Be killed when the parent dies, however it dies (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(0)


def _portable(error: BaseException) -> BaseException:
    """The exception as it can be sent, with the frames it came through in a note."""
    if not isinstance(error, IdentkitError):
        error.add_note("".join(traceback.format_tb(error.__traceback__)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


# -- in the parent ----------------------------------------------------------------------------


class _Child:
    """A child at work: its messages, its time, its memory."""

    def __init__(self, pid: int, inlet: int, held: int, deadline: Deadline) -> None:
        self.pid, self.inlet, self.held, self.deadline = pid, inlet, held, deadline
        self.buffer = bytearray()

    def outcome(self, receive: Send) -> Any:
        """What the work returned or raised. Raises OutOfTime if the child has to be ended."""
        while True:
            for kind, value in self._messages():
                if kind == "message":
                    receive(value)
                elif kind == "imported":
                    _wanted.extend(value)
                elif kind == "raised":
                    raise value
                elif kind == "memory":
                    raise OutOfMemory(OUT_OF_MEMORY)
                else:
                    return value
            if self._ready():
                piece = os.read(self.inlet, 2**20)
                self.buffer += piece
                if not piece:
                    raise BrokeOff(CAUSES[Cause.BROKE_OFF])
            elif self.deadline.left() < -GRACE:
                raise self.deadline.reached()
            elif _private_bytes(self.pid) - self.held > MEMORY:
                raise OutOfMemory(OUT_OF_MEMORY)

    def _ready(self) -> bool:
        """Whether there is something to read, waiting a little for it."""
        wait = min(_LOOK, max(0.0, self.deadline.left() + GRACE))
        poll = getattr(select, "poll", None)
        if poll is None:  # a file number above 1023 is beyond select
            return bool(select.select([self.inlet], [], [], wait)[0])
        waiting = poll()
        waiting.register(self.inlet, select.POLLIN)
        return bool(waiting.poll(wait * 1000))

    def _messages(self) -> list[tuple[str, Any]]:
        """The messages that have arrived whole."""
        found = []
        while len(self.buffer) >= _HEADER:
            end = _HEADER + int.from_bytes(self.buffer[:_HEADER], "little")
            if len(self.buffer) < end:
                break
            found.append(pickle.loads(self.buffer[_HEADER:end]))
            del self.buffer[:end]
        return found


def _private_bytes(pid: int | str) -> int:
    """Memory of a process that no file backs; 0 where the system does not say."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            fields = file.read().split()
    except OSError:
        return 0
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")


def _end(child: int) -> None:
    """Kill the child if it is still there, and leave no zombie."""
    # whoever else has waited for it: then its number may be another process's by now
    with contextlib.suppress(ChildProcessError):
        if os.waitpid(child, os.WNOHANG) == (0, 0):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def cpus() -> int:
    """The CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
