"""Each test here returns what it found of which claim; the record of the last run must agree."""

from __future__ import annotations

import pytest

from identkit.claims.checks import Finding
from identkit.claims.record import disagreement, recorded

collect_ignore = ["conftest.py"]  # no doctests here, and tests/ has a module of this name


def pytest_addoption(parser):
    parser.addoption(
        "--no-record", action="store_true", help="do not compare findings with the record"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Call the check, keep its findings for ``identkit claims``, compare them with the record."""
    names = pyfuncitem._fixtureinfo.argnames
    found = pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names})
    findings = found if isinstance(found, tuple) else (found,)
    if not all(isinstance(f, Finding) for f in findings):
        pytest.fail("a check returns what it found: Claim.finding(status, detail)")
    for f in findings:
        entry = {"id": f.claim.id, "statement": f.claim.statement, "source": f.claim.source}
        entry |= {"status": str(f.status), "detail": f.detail}
        pyfuncitem.user_properties.append(("claim", entry))
        if not pyfuncitem.config.getoption("--no-record"):
            problem = disagreement(recorded(), pyfuncitem.nodeid, f)
            if problem is not None:
                pytest.fail(problem)
    return True
