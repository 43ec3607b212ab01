"""Sweeps on a Dask cluster: the same rows, whatever happens to its workers."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest
from test_rates_sweep import QUICK, swept, table, tiny

from identkit.cli import main
from identkit.errors import InputError
from identkit.rates import scheduling
from identkit.rates.scheduling import DaskCluster

pytestmark = pytest.mark.usefixtures("small_blocks")
needs_dask = pytest.mark.skipif(find_spec("distributed") is None, reason="without Dask")


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """The table of an uninterrupted run in this process."""
    path = tmp_path_factory.mktemp("quick") / "runs.db"
    swept(path, [tiny()], compute=QUICK)
    return table(path)


def test_without_dask(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"run pip install identkit\[dask\], or choose processes"):
        scheduling.scheduler("local", 2)


def test_dask_is_not_imported_by_others():
    code = (
        "import sys, identkit.rates.sweep, identkit.rates.scheduling as s; s.scheduler('inline');"
        "sys.exit('dask' in sys.modules or 'distributed' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@needs_dask
def test_nobody_answers(monkeypatch):
    monkeypatch.setattr(scheduling, "CONNECT_SECONDS", 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]  # bound, not listening: nobody answers
        for address in (f"tcp://127.0.0.1:{port}", "tcp://", "nonsense://host:1"):
            with pytest.raises(InputError, match=f"no Dask scheduler answers at {address} within"):
                scheduling.scheduler(address)


@needs_dask
def test_a_scheduler_that_stays_silent(monkeypatch):
    """It accepts the connection, then says nothing: Dask itself would wait for ever."""
    monkeypatch.setattr(scheduling, "CONNECT_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(InputError, match="no Dask scheduler answers at tcp://127"):
            scheduling.scheduler(f"tcp://127.0.0.1:{silent.getsockname()[1]}")
    assert time.monotonic() - began < 5


SECRET = "p4ss-w0rd"


@pytest.mark.parametrize(
    "address",
    [
        f"tls://me:{SECRET}@127.0.0.1:1",
        f"tcp://127.0.0.1:1?password={SECRET}",
        f"tcp://127.0.0.1:1/{SECRET}",
        f"tcp://127.0.0.1:1#{SECRET}",
        f"tls://me:a?{SECRET}@127.0.0.1:1",
        f"tls://me:a/{SECRET}@127.0.0.1:1",
        f"tls://me:a@{SECRET}@127.0.0.1:1",
        f"tls://127.0.0.1:1?password=a@{SECRET}",
        f"me:{SECRET}@127.0.0.1:1",
        f"nonsense://{SECRET}@127.0.0.1:1",
    ],
)
def test_a_password_is_never_printed(address, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scheduling, "CONNECT_SECONDS", 0.2)
    assert SECRET not in scheduling.shown(address)
    for workers in ([], ["--workers", "2"]):
        assert main(["sweep", "quick", "--scheduler", address, *workers]) == 2
        out = capsys.readouterr()
        assert SECRET not in out.out + out.err
        assert out.err.startswith("identkit: ")


@needs_dask
def test_a_cluster_gives_the_same_rows_and_stops(quick, tmp_path):
    """A cluster of this machine, spoken to by its address too."""
    path, first = tmp_path / "runs.db", tmp_path / "first.db"
    with DaskCluster("local", 1) as local:
        outcome = swept(path, [tiny()], local, compute=QUICK)
        assert (outcome.performed, outcome.failed) == (96, ())
        assert table(path) == quick
        with scheduling.scheduler(local._cluster.scheduler_address) as cluster:
            seen = []
            outcome = swept(
                first, [tiny()], cluster, progress=lambda *p: seen.append(p), compute=QUICK,
                stop=lambda: len(seen) > 3,
            )  # fmt: skip
            assert outcome.interrupted
            kept = table(first)
            assert 12 <= len(kept) == outcome.performed < 96
            assert swept(first, [tiny()], cluster, compute=QUICK).skipped == len(kept)
            assert table(first) == quick


@needs_dask
@pytest.mark.slow
def test_killed_workers_change_nothing(tmp_path):
    experiments = [tiny(replicates=60)]
    whole, path, killed = tmp_path / "whole.db", tmp_path / "runs.db", set()
    swept(whole, experiments, compute=QUICK)
    with DaskCluster("local", 2) as cluster:

        def kill(done, *_):
            if done and len(killed) < 3:
                pids = set(cluster._client.run(os.getpid).values())
                killed.add(min(pids - killed))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(max(killed & pids), signal.SIGKILL)

        outcome = swept(path, experiments, cluster, compute=QUICK, progress=kill)
    assert len(killed) == 3
    assert outcome.failed == ()
    assert outcome.performed == experiments[0].fits
    assert table(path) == table(whole)


@needs_dask
@pytest.mark.slow
def test_a_scheduler_without_workers_is_said(monkeypatch):
    import distributed

    monkeypatch.setattr(scheduling, "CONNECT_SECONDS", 2)
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=None) as empty,
        pytest.raises(InputError, match="no worker has joined tcp://"),
    ):
        scheduling.scheduler(empty.scheduler_address)
