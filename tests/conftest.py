"""Fixtures that several test files share."""

from __future__ import annotations

import pytest
from hypothesis import settings

# Hypothesis fails an example that takes 200 ms: on a busy machine any may
settings.register_profile("identkit", deadline=None)
settings.load_profile("identkit")

collect_ignore = ["conftest.py"]  # no doctests here, and proofs_check/ has a module of this name


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
