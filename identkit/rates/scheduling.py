"""Where blocks are computed: in this process, in worker processes, on a Dask cluster.

A scheduler takes tasks as it needs them and gives results in the order they end. Which one it is,
and how many workers it has, changes no row. Workers never see the store.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import queue
import re
import signal
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import connection
from typing import TYPE_CHECKING, Any, Protocol

from identkit import __version__
from identkit.bounded import cpus
from identkit.errors import IdentkitError, InputError

# workers limit the threads of these libraries before they import them
if TYPE_CHECKING:
    from identkit.fit.engine import Compute
    from identkit.gates import Gate
    from identkit.rates.fits import Block, Row

ATTEMPTS = 3
"""A block whose worker dies that often has failed."""
CONNECT_SECONDS = 10
ANSWER_SECONDS = 60
"""A worker imports torch before it answers."""
MOST_WORKERS = 1024
_POLL = 0.1  # seconds between looks at `stop`
_PATIENCE = 5.0  # seconds for workers to end their step when stopped
_SPARE = 2  # tasks handed out beyond the workers, so that none waits for its next

Stop = Callable[[], bool]


@dataclass(frozen=True)
class Task:
    """A block to compute; ``setting`` is the setting's document as JSON. Small, and pickles.

    ``gate`` comes along so that a worker imports what defines it; the document has its name alone.
    """

    setting: str
    block: Block
    compute: Compute | None = None
    gate: Gate | None = None


@dataclass(frozen=True)
class Done:
    """A task at its end: its rows and where they were computed, or the ``error`` in words."""

    task: Task
    rows: list[Row] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    error: str | None = None


class Scheduler(Protocol):
    """Computes tasks somewhere; a context manager."""

    def results(self, tasks: Iterable[Task], stop: Stop | None = None) -> Generator[Done]:
        """Results in order of completion.

        Once ``stop()`` is true, or when the iterator is closed, what is not done is cancelled.
        """
        ...

    def close(self) -> None:
        """End the workers."""
        ...

    def __enter__(self) -> Scheduler: ...

    def __exit__(self, *exception: object) -> None: ...


def scheduler(name: str = "processes", workers: int | None = None) -> Scheduler:
    """``inline``, ``processes``, ``local`` (Dask on this machine) or a Dask address.

    ``workers`` (default: the CPUs) are processes of one thread each. Raises
    :class:`~identkit.errors.InputError` for another name, for workers out of range or where they
    are not ours to choose, without Dask, and where no cluster answers.
    """
    check_scheduler(name, workers)
    if "://" in name:
        return DaskCluster(name)
    if name == "inline":
        return Inline()
    return Processes(workers) if name == "processes" else DaskCluster("local", workers)


def check_scheduler(name: str, workers: int | None) -> None:
    """Raise InputError for what :func:`scheduler` refuses, without starting anything."""
    if workers is not None and not 1 <= workers <= MOST_WORKERS:
        raise InputError(f"workers: {workers} must be from 1 to {MOST_WORKERS}.")
    if "://" in name:
        if workers is not None:
            raise InputError(f"workers: the cluster at {shown(name)} has its own; leave them out.")
    elif name == "inline":
        if workers not in (None, 1):
            raise InputError(f"workers: {workers} need processes; choose that scheduler.")
    elif name not in ("processes", "local"):
        raise InputError(
            f"scheduler: '{shown(name)}' is not known; use inline, processes, local or an address "
            "such as tcp://host:8786."
        )


def shown(address: str) -> str:
    """An address as it may be printed: scheme, host and port, never a user, password or query.

    >>> shown("tls://me:secret@host:8786"), shown("tcp://host:8786?password=secret")
    ('tls://host:8786', 'tcp://host:8786')
    """
    scheme, separator, rest = address.rpartition("://")
    if "@" in rest and re.search("[/?#]", rest):
        return f"{scheme}{separator}…"  # a password may hold any of these: no telling where it ends
    return scheme + separator + re.split("[/?#]", rest.rpartition("@")[2])[0]


# -- in a worker ------------------------------------------------------------------------------


def work(task: Task, stop: Stop | None = None) -> Done:
    """Compute a task; an exception becomes words, because not every one survives pickling."""
    try:
        from identkit.rates.fits import environment, perform, setting_of

        rows = perform(setting_of(task.setting), task.block, task.compute, stop)
        return Done(task, rows, environment(task.compute))
    except IdentkitError as error:
        return Done(task, error=str(error))
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{os.path.basename(frame.filename)}, line {frame.lineno}"
        return Done(task, error=f"{type(error).__name__}: {error} ({where})")


# -- this process -----------------------------------------------------------------------------


class _Closing:
    """``with scheduler(...) as s``: closed at the end."""

    def close(self) -> None:
        """Nothing to end."""

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class Inline(_Closing):
    """One block after the other in this process."""

    def results(self, tasks: Iterable[Task], stop: Stop | None = None) -> Generator[Done]:
        """See :class:`Scheduler`; a stop takes effect after the current step."""
        for task in tasks:
            if stop is not None and stop():
                return
            done = work(task, stop)
            if done.rows or done.error is not None:
                yield done


# -- processes --------------------------------------------------------------------------------


class Processes(_Closing):
    """Worker processes of one thread each. They end with this process, however it ends.

    A worker that dies (the system kills the largest when memory runs out) is replaced and its
    block computed again, :data:`ATTEMPTS` times at most.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or cpus()
        self._pool: ProcessPoolExecutor | None = None
        self._halt: Any = None

    def results(self, tasks: Iterable[Task], stop: Stop | None = None) -> Generator[Done]:
        """See :class:`Scheduler`.

        Raises :class:`~identkit.errors.InputError` where workers die before any has ended a block.
        """
        source = iter(tasks)
        pending: dict[Any, Task] = {}
        # lost with a worker: computed again one at a time, which shows whose fault it was
        again: list[Task] = []
        alone: Task | None = None
        deaths: Counter[Task] = Counter()
        working = False
        try:
            while True:
                stopped = stop is not None and stop()
                if again and not pending and not stopped:
                    alone = again.pop()
                    pending[self._submit(alone)] = alone
                while not (stopped or again or alone) and len(pending) < self.workers + _SPARE:
                    task = next(source, None)
                    if task is None:
                        break
                    pending[self._submit(task)] = task
                if not pending:
                    return
                ended, _ = wait(pending, timeout=_POLL, return_when=FIRST_COMPLETED)
                broken = any(isinstance(f.exception(), BrokenProcessPool) for f in ended)
                for future in list(pending) if broken else ended:
                    task = pending.pop(future)
                    solitary = task is alone
                    alone = None if solitary else alone
                    if not isinstance(future.exception(), BrokenProcessPool):
                        working = True
                        yield _outcome(task, future.result)
                        continue
                    deaths[task] += 1
                    if not solitary or deaths[task] < ATTEMPTS:
                        again.append(task)
                    elif working:
                        yield Done(task, error=_DIED)
                    else:
                        raise InputError(f"scheduler: {_DIED}.")
                if stopped:
                    return
                if broken:
                    self._end(0.0)
        finally:
            if pending:
                self._end(_PATIENCE)

    def _submit(self, task: Task) -> Any:
        with _no_interrupt():
            if self._pool is None:
                context = multiprocessing.get_context("spawn")
                # without a lock: a worker killed while it holds one would stop all others
                self._halt = context.RawValue("b", 0)
                self._pool = ProcessPoolExecutor(self.workers, context, _prepare, (self._halt,))
            try:
                return self._pool.submit(_work_in_process, task)
            except BrokenProcessPool as error:  # found like any other death of a worker
                future: Any = Future()
                future.set_exception(error)
                return future

    def close(self) -> None:
        """End the workers."""
        self._end(_PATIENCE)

    def _end(self, patience: float) -> None:
        """Cancel what is waiting; workers that do not end in time are killed."""
        pool: Any = self._pool
        if pool is None:
            return
        self._pool = None
        processes = list((pool._processes or {}).values())
        self._halt.value = 1
        pool.shutdown(wait=False, cancel_futures=True)
        until = time.monotonic() + patience
        for process in processes:
            process.join(max(0.0, until - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join(_PATIENCE)


_DIED = (
    f"its worker died {ATTEMPTS} times; if memory ran out use fewer workers, and a script that "
    "starts a sweep must do so under if __name__ == '__main__'"
)
_halt: Any = None


def _prepare(halt: Any) -> None:
    """A worker before its first task."""
    global _halt
    _halt = halt
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the coordinator
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for name in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        os.environ[f"{name}_NUM_THREADS"] = "1"
    _one_thread()


def _one_thread() -> None:
    """Of torch, which is imported here: a worker has limited its other libraries before."""
    import torch

    torch.set_num_threads(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _work_in_process(task: Task) -> Done:
    return work(task, lambda: bool(_halt.value))


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Processes and threads started within never see Ctrl-C, not even while they start."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _outcome(task: Task, result: Callable[[], Done]) -> Done:
    """The result of a future; what went wrong outside of :func:`work` is an error too."""
    try:
        done = result()
    except Exception as error:
        return Done(task, error=f"{type(error).__name__}: {error}")
    return Done(task, done.rows, done.environment, done.error)


# -- Dask -------------------------------------------------------------------------------------


class DaskCluster(_Closing):
    """A Dask cluster: ``local`` starts one of processes here, else the address of a scheduler.

    Dask computes the tasks of a worker that dies somewhere else. The workers need identkit[fit] of
    the same version.
    """

    def __init__(self, address: str = "local", workers: int | None = None) -> None:
        try:
            import distributed
        except ImportError:
            raise InputError(
                "scheduler: Dask is not installed; run pip install identkit[dask], or choose "
                "processes."
            ) from None
        self.address, self._cluster, self._client = shown(address), None, None
        try:
            with _quiet():
                target: Any = address
                if address == "local":
                    options: Any = {"dashboard_address": None, "memory_limit": None}
                    with _no_interrupt():
                        self._cluster = target = distributed.LocalCluster(
                            n_workers=workers or cpus(), threads_per_worker=1, processes=True,
                            silence_logs=logging.CRITICAL, **options,
                        )  # fmt: skip
                self._client = _within(
                    CONNECT_SECONDS,
                    lambda: distributed.Client(
                        target, timeout=CONNECT_SECONDS, set_as_default=False
                    ),
                )
            self._check_workers(address)
        except InputError:
            self.close()
            raise
        except Exception:  # of many kinds: no such scheme, no certificate, nobody there
            self.close()
            raise InputError(
                f"scheduler: no Dask scheduler answers at {self.address} within "
                f"{CONNECT_SECONDS} s; check the address, or start one with 'dask scheduler'."
            ) from None
        except BaseException:
            self.close()
            raise

    def _check_workers(self, address: str) -> None:
        client: Any = self._client
        try:
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError:
            raise InputError(
                f"scheduler: no worker has joined {self.address} within {CONNECT_SECONDS} s; "
                f"start some, as in 'dask worker {self.address}'."
            ) from None
        try:
            versions = set(_within(ANSWER_SECONDS, lambda: client.run(_version)).values())
        except TimeoutError:
            raise InputError(
                f"scheduler: a worker of {self.address} does not answer within {ANSWER_SECONDS} s; "
                "restart it."
            ) from None
        except Exception as error:
            reason = str(error).replace(address, self.address)
            raise InputError(
                f"scheduler: a worker of {self.address} cannot run identkit ({reason}); install "
                "identkit[fit] there."
            ) from None
        if versions != {__version__}:
            raise InputError(
                f"scheduler: workers of {self.address} have identkit {', '.join(sorted(versions))},"
                f" this is {__version__}; install the same."
            )

    def results(self, tasks: Iterable[Task], stop: Stop | None = None) -> Generator[Done]:
        """See :class:`Scheduler`; a stop leaves a distant worker to end its block."""
        client: Any = self._client
        source, ended = iter(tasks), queue.SimpleQueue()
        pending: dict[str, tuple[Any, Task]] = {}
        try:
            while True:
                stopped = stop is not None and stop()
                room = _SPARE + sum(client.nthreads().values())
                while not stopped and len(pending) < room:
                    task = next(source, None)
                    if task is None:
                        break
                    # a key of its own: Dask must not take it for a task it has seen
                    future = client.submit(work, task, retries=ATTEMPTS, pure=False)
                    pending[future.key] = (future, task)
                    future.add_done_callback(lambda f: ended.put(f.key))
                if not pending:
                    return
                while True:
                    try:
                        key = ended.get(timeout=0 if stopped else _POLL)
                    except queue.Empty:
                        break
                    future, task = pending.pop(key)
                    yield _outcome(task, future.result)
                    if not stopped:
                        break
                if stopped:
                    return
        finally:
            for future, _ in pending.values():
                future.cancel()

    def close(self) -> None:
        """End the client, and a local cluster with its workers."""
        with _quiet():
            if self._client is not None:
                self._client.close()
            if self._cluster is not None:
                self._cluster.close()
        self._client = self._cluster = None


def _within(seconds: float, call: Callable[[], Any]) -> Any:
    """What the call returns or raises; TimeoutError where it takes longer, as Dask's own may.

    Then the call is left to a thread that does not keep this process.
    """
    future: Future[Any] = Future()

    def run() -> None:
        try:
            value = call()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(value)

    with _no_interrupt():
        threading.Thread(target=run, daemon=True).start()
    return future.result(seconds)


def _version() -> str:
    _one_thread()
    return __version__


@contextmanager
def _quiet() -> Iterator[None]:
    """Dask logs each attempt to connect and each worker it ends."""
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
