"""Sweeps: whatever interrupts, repeats or distributes them, the table in the end is the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from identkit.errors import InputError
from identkit.fit.engine import Compute
from identkit.fit.model import Model
from identkit.fit.result import Box
from identkit.mixing import MixingMeasure
from identkit.rates import fits, scheduling
from identkit.rates.fits import Block
from identkit.rates.scheduling import Inline, Processes, Task
from identkit.rates.setting import Experiment, Setting
from identkit.rates.store import Store
from identkit.rates.sweep import run

pytestmark = pytest.mark.usefixtures("small_blocks")

TESTS = os.path.dirname(__file__)
SETTING = Setting(
    Model.of("tanh", "sigmoid"),
    1,
    MixingMeasure([1.0, -1.0], [[0.0], [-2.0]], [[2.0, 0.7], [-1.0, 1.0]]),
    3,
    0.01,
    Box(beta0=(-1.5, 4)),
    budgets=(5, 12),
    flat=1e-8,
    trials=2,
)
QUICK = Compute(kernel="torch")
"""For other processes: the native kernel takes two seconds more to be ready."""
PLAIN = "setting, start, n, replicate, budget, seed, status, cost, gradient_norm, steps, estimates"


def tiny(name="tanh", replicates=6, setting=SETTING, **options):
    """Blocks of a few milliseconds."""
    options = {"starts": ("local", "split"), "control": 4, **options}
    return Experiment(name, setting, (100, 200, 400), replicates, **options)


def table(path):
    """All columns that the settings determine, as they are in the file."""
    with Store.open(path, read_only=True) as store:
        return store._all(
            f"SELECT {PLAIN}, errors FROM fits ORDER BY setting, start, n, replicate, budget"
        )


def swept(path, experiments, scheduler=None, **options):
    with Store.open(path) as store:
        return run(experiments, store, scheduler or Inline(), **options)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The table of an uninterrupted run."""
    path = tmp_path_factory.mktemp("whole") / "runs.db"
    outcome = swept(path, [tiny()])
    assert (outcome.performed, outcome.skipped, outcome.failed) == (96, 0, ())
    assert outcome.exit_code == 0
    return table(path)


class After:
    """True once asked a number of times."""

    def __init__(self, calls):
        self.calls = calls

    def __call__(self):
        self.calls -= 1
        return self.calls < 0


# -- resuming ---------------------------------------------------------------------------------


def test_a_complete_store_is_left_alone(expected, tmp_path):
    path, seen = tmp_path / "runs.db", []
    swept(path, [tiny()])
    with Store.open(path) as store:
        before = store._all("SELECT * FROM fits")
    outcome = swept(path, [tiny()], progress=lambda *p: seen.append(p))
    assert (outcome.performed, outcome.skipped) == (0, 96)
    assert seen == [(96, 96, 0.0, 0.0, "")]
    with Store.open(path) as store:
        assert store._all("SELECT * FROM fits") == before
    assert table(path) == expected


@pytest.mark.parametrize("gone", ["replicate % 3 = 1", "budget = 12", "n > 100", "start = 'away'"])
def test_partial_stores_are_completed(expected, tmp_path, gone):
    path = tmp_path / "runs.db"
    with Store.open(path) as store:
        run([tiny()], store, Inline())
        store._sql.execute(f"DELETE FROM fits WHERE {gone}")
        left = store._all("SELECT count(*) FROM fits")[0][0]
        outcome = run([tiny()], store, Inline())
    assert outcome.performed == 96 - left
    assert table(path) == expected


def test_more_replicates_and_sizes_go_on_from_fewer(tmp_path):
    more = replace(tiny(replicates=11), sizes=(100, 200, 300, 400))
    swept(tmp_path / "at once.db", [more])
    swept(tmp_path / "by and by.db", [tiny(replicates=3, control=0)])
    swept(tmp_path / "by and by.db", [tiny(replicates=6)])
    outcome = swept(tmp_path / "by and by.db", [more])
    assert outcome.skipped == 96
    assert table(tmp_path / "by and by.db") == table(tmp_path / "at once.db")


@pytest.mark.parametrize("calls", [0, 1, 40, 80, 200])
def test_stopped_runs_keep_finished_blocks(expected, tmp_path, calls):
    path, after = tmp_path / "runs.db", After(calls)
    outcome = swept(path, [tiny()], stop=after)
    assert outcome.interrupted
    assert outcome.exit_code == 130
    kept = table(path)
    assert len(kept) == outcome.performed < 96
    assert set(kept) <= set(expected)
    outcome = swept(path, [tiny()])
    assert outcome.skipped == len(kept)
    assert table(path) == expected


def test_ctrl_c_keeps_finished_blocks_and_is_raised(expected, tmp_path):
    path = tmp_path / "runs.db"

    def press(done, *_):
        if done >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        swept(path, [tiny()], progress=press)
    assert len(table(path)) == 20
    swept(path, [tiny()])
    assert table(path) == expected


# -- what runs --------------------------------------------------------------------------------


def test_progress_counts_fits_and_estimates_work(tmp_path):
    seen = []
    other = tiny("other", 4, replace(SETTING, seed=2), control=0, starts=("local",))
    swept(tmp_path / "runs.db", [tiny(), other], progress=lambda *p: seen.append(p))
    done, total, work, works, labels = zip(*seen, strict=True)
    assert done[0] == work[0] == 0
    assert done[-1] == total[-1] == 96 + 24
    assert set(total) == {120}
    assert list(done) == sorted(done)
    assert work[-1] == pytest.approx(works[-1])
    assert all(w > d for w, d in zip(works[:-1], work[:-1], strict=True))
    assert labels[0] == ""
    assert labels[1] == "tanh, n = 100, local"
    assert labels[-1] == "other, n = 400, local"


def test_experiments_that_share_fits_compute_them_once(tmp_path):
    seen = []
    larger = tiny("larger", replicates=8)
    outcome = swept(
        tmp_path / "runs.db", [tiny(), larger, tiny("same")], progress=lambda *p: seen.append(p)
    )
    assert outcome.performed == larger.fits == seen[0][1] == seen[-1][0]
    with Store.open(tmp_path / "runs.db") as store:
        assert [(s.rows, s.planned) for s in store.summary()] == [(96, 96), (120, 120), (96, 96)]


def test_a_block_that_raises_does_not_stop_the_others(expected, tmp_path, monkeypatch):
    path, perform = tmp_path / "runs.db", fits.perform

    def failing(setting, block, *rest):
        if block.n == 200 and block.start == "split":
            raise InputError("y: all is lost.") if 0 in block.replicates else ZeroDivisionError("x")
        return perform(setting, block, *rest)

    monkeypatch.setattr(fits, "perform", failing)
    outcome = swept(path, [tiny()])
    assert outcome.exit_code == 1
    assert outcome.performed == 96 - 12
    first, second = outcome.failed
    assert str(first) == "tanh: n = 200, start split, replicates 0 to 3: y: all is lost."
    assert (second.experiment, second.start, second.n) == ("tanh", "split", 200)
    assert second.replicates == (4, 5)
    assert second.error.startswith("ZeroDivisionError: x (test_rates_sweep.py, line ")
    monkeypatch.undo()
    outcome = swept(path, [tiny()])
    assert (outcome.performed, outcome.failed) == (12, ())
    assert table(path) == expected


def test_what_another_run_did_meanwhile_is_not_done_again(expected, tmp_path):
    path, seen = tmp_path / "runs.db", []

    def meanwhile(*progress):
        seen.append(progress)
        if len(seen) == 3:
            swept(path, [tiny()])

    outcome = swept(path, [tiny()], progress=meanwhile)
    assert outcome.performed == 12
    assert outcome.skipped == 84
    assert table(path) == expected


def test_a_store_that_cannot_be_written_ends_the_run(tmp_path):
    Store.open(tmp_path / "runs.db").close()
    with (
        Store.open(tmp_path / "runs.db", read_only=True) as store,
        pytest.raises(InputError, match="may only be read"),
    ):
        run([tiny()], store, Inline())


def test_schedulers_by_name():
    assert isinstance(scheduling.scheduler("inline"), Inline)
    with scheduling.scheduler("processes", 3) as processes:
        assert isinstance(processes, Processes)
        assert processes.workers == 3
    with scheduling.scheduler() as processes:
        assert processes.workers == scheduling.cpus() >= 1
    for name, workers, said in (
        ("threads", None, "scheduler: 'threads' is not known; use inline"),
        ("processes", 0, "workers: 0 must be from 1 to 1024"),
        ("inline", 2, "workers: 2 need processes"),
        ("tcp://host:8786", 2, "has its own; leave them out"),
    ):
        with pytest.raises(InputError, match=said):
            scheduling.scheduler(name, workers)


# -- processes --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """The table of an uninterrupted run with the torch kernel."""
    path = tmp_path_factory.mktemp("quick") / "runs.db"
    swept(path, [tiny()], compute=QUICK)
    return table(path)


def test_processes_give_the_same_rows_and_stop(quick, tmp_path):
    """One pool: rows are the same, a stop in the middle keeps what is finished."""
    path, first = tmp_path / "runs.db", tmp_path / "first.db"
    with Processes(2) as processes:
        outcome = swept(path, [tiny()], processes, compute=QUICK)
        assert (outcome.performed, outcome.failed) == (96, ())
        assert table(path) == quick
        with Store.open(path) as store:
            assert len(store.environments(SETTING.key)) == 1
        workers = list(processes._pool._processes)
        seen = []
        outcome = swept(
            first, [tiny()], processes, progress=lambda *p: seen.append(p), compute=QUICK,
            stop=lambda: len(seen) > 3,
        )  # fmt: skip
        assert outcome.interrupted
        kept = table(first)
        assert 12 <= len(kept) == outcome.performed < 96
        assert set(kept) <= set(quick)
    assert not any(alive(pid) for pid in workers)
    swept(first, [tiny()], compute=QUICK)
    assert table(first) == quick


def alive(pid):
    """Running, which a process nobody has waited for is not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


ORPHANS = """
import sys
sys.path.insert(0, {tests!r})
from test_rates_sweep import *

if __name__ == "__main__":
    with Processes(1) as processes:
        def show(done, *_):
            if done:
                print(*processes._pool._processes, flush=True)
        endless = replace(SETTING, flat=0.0, budgets=(10**6,))
        fits.MOST = 1
        experiments = [tiny(), tiny("endless", setting=endless)]
        swept({path!r}, experiments, processes, progress=show, compute=QUICK)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="looks at processes in /proc")
def test_workers_die_with_a_killed_coordinator(tmp_path):
    script = tmp_path / "orphans.py"
    script.write_text(ORPHANS.format(tests=TESTS, path=str(tmp_path / "runs.db")))
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as process:
        workers = [int(pid) for pid in process.stdout.readline().split()]
        assert len(workers) == 1
        assert all(map(alive, workers))
        process.send_signal(signal.SIGKILL)
    until = time.monotonic() + 20
    while any(map(alive, workers)):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert len(table(tmp_path / "runs.db")) >= 1


class Bomb:
    """Kills the worker that unpickles it."""

    def __reduce__(self):
        return os._exit, (9,)


@pytest.mark.slow
def test_workers_that_die_are_replaced():
    """A deadly task fails alone; without any success it ends the run."""
    document = json.dumps(SETTING.document())
    good = [Task(document, Block(SETTING.key, "local", 100, (r,))) for r in range(4)]
    deadly = Task("", Bomb())
    with Processes(2) as processes:
        ended = list(processes.results([good[0], good[1], deadly, *good[2:]]))
        assert {d.task for d in ended} == {*good, deadly}
        for done in ended:
            assert (done.error is None) == (done.task is not deadly)
            assert len(done.rows) == 2 * (done.task is not deadly)
        processes.close()
        with pytest.raises(InputError, match="its worker died 3 times; if memory ran out"):
            list(processes.results([deadly]))


# -- kill -9 ----------------------------------------------------------------------------------

KILLS = """
import random, sys
sys.path.insert(0, {tests!r})
from test_rates_sweep import *

fits.MOST = 4
folder = {folder!r}
experiments = [tiny(replicates={replicates})]

def child(name):
    pid = os.fork()
    if not pid:
        code = 99
        try:
            code = swept(folder + name, experiments, compute=QUICK).exit_code
        finally:
            os._exit(code)
    return pid

swept(folder + "/whole.db", experiments, compute=QUICK)  # compiles for the children
rng, killed, rows = random.Random({seed}), 0, []
while killed < {kills}:
    pid = child("/killed.db")
    time.sleep(rng.uniform(0, {longest}))
    os.kill(pid, signal.SIGKILL)
    killed += os.waitpid(pid, 0)[1] == signal.SIGKILL
    # a kill may leave no file, or one that is still empty
    if os.path.exists(folder + "/killed.db") and os.path.getsize(folder + "/killed.db") > 4096:
        rows.append(len(table(folder + "/killed.db")))
        if rows[-1] == len(table(folder + "/whole.db")):
            os.rename(folder + "/killed.db", folder + f"/killed{{len(rows)}}.db")
codes = [os.waitstatus_to_exitcode(os.waitpid(child("/killed.db"), 0)[1])]
pair = [child("/two.db"), child("/two.db")]
codes += [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pair]
print(json.dumps([codes, rows]))
"""


def killed(folder, **options):
    script = KILLS.format(tests=TESTS, folder=str(folder), **options)
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    codes, rows = json.loads(done.stdout)
    assert codes == [0, 0, 0]
    return rows


def test_killed_and_simultaneous_runs_end_with_the_same_table(tmp_path):
    """Twenty kills -9 at random moments; then two runs at once on one store."""
    rows = killed(tmp_path, replicates=8, kills=20, longest=0.25, seed=1)
    whole = table(tmp_path / "whole.db")
    assert len(whole) == len(set(whole)) == 2 * 3 * (8 + 8 + 4)
    assert len(set(rows)) > 3  # some kills came early, some late
    finished = sorted(path for path in tmp_path.glob("killed*.db"))
    assert finished
    for path in finished:
        assert table(path) == whole
    assert table(tmp_path / "two.db") == whole


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_hundred_kills(tmp_path, seed):
    killed(tmp_path, replicates=40, kills=100, longest=0.2 * (1 + seed), seed=seed)
    whole = table(tmp_path / "whole.db")
    for path in tmp_path.glob("killed*.db"):
        assert table(path) == whole


def test_public_names_are_not_hidden_by_modules():
    """A submodule of the same name would replace the function once it is imported."""
    import pkgutil

    import identkit
    from identkit import rates

    for package in (identkit, rates):
        modules = {m.name for m in pkgutil.iter_modules(package.__path__)}
        assert all(
            name not in modules or package.__getattr__(name) is getattr(package, name)
            for name in package.__all__
        )
        assert not modules & {n for n in package.__all__ if callable(getattr(package, n))}
