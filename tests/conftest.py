"""Fixtures that several test files share."""

from __future__ import annotations

import os
import shutil
import tempfile

import checked
import pytest
from amounts import amount, spared
from hypothesis import settings

from identkit import bounded

# Hypothesis fails an example that takes 200 ms: on a busy machine any may
settings.register_profile("identkit", deadline=None, max_examples=amount(25, 100))
settings.load_profile("identkit")

collect_ignore = ["conftest.py"]  # no doctests here, and proofs_check/ has a module of this name


if "COVERAGE_RUN" in os.environ:
    bounded.FORKS = False  # what a child ran is lost with it

_own: list[str] = []


def pytest_configure(config):
    """A memory of checks for this run; the workers inherit it (see ``checked.py``)."""
    if checked.FOLDER not in os.environ:
        _own.append(tempfile.mkdtemp(prefix="identkit-checks-"))
        os.environ[checked.FOLDER] = _own[0]


LONGEST = (
    "test_piecewise.py",
    "test_notebooks.py",
    "test_certificates.py",
    "test_known_answers.py",
    "proofs_check",
    "test_mutations.py",
    "test_nondegenerate.py",
)
"""What takes longest, first: a long test that comes last leaves the other workers idle.

Checks and their mutations stand together, on one worker: they share what they compute.
"""


def pytest_collection_modifyitems(config, items):
    if not any("::" in argument for argument in config.args):  # what is asked for by name runs
        left = spared([item.nodeid for item in items])
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in left])
        items[:] = [item for item in items if item.nodeid not in left]

    def place(item):
        names = (item.path.name, item.path.parent.name)
        return next((i for i, name in enumerate(LONGEST) if name in names), len(LONGEST))

    items.sort(key=place)


def pytest_unconfigure(config):
    if _own:
        os.environ.pop(checked.FOLDER, None)
        shutil.rmtree(_own.pop(), ignore_errors=True)


@pytest.fixture
def checks_once(monkeypatch):
    """Checks that commands and tables make are those that other tests have made."""
    import identkit
    import identkit.stated
    import identkit.table

    assert identkit.check is not checked.check  # the name that others import is the real one
    monkeypatch.setattr("identkit.checking.check", checked.check)
    monkeypatch.setattr("identkit.table.check", checked.check)
    monkeypatch.setattr("identkit.stated.check", checked.check)


@pytest.fixture(scope="module")
def one_thread():
    """Matrices are tiny in these tests; several threads of torch only wait for each other."""
    import torch  # most test files do without it

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def small_blocks():
    """Blocks of at most 4 replicates, so that small sweeps have many."""
    from identkit.rates import fits

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fits, "MOST", 4)
        yield
