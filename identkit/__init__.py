"""identkit: machine-checked identifiability for mixture-of-experts models."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from identkit import fit, losses
    from identkit.errors import DomainError, ExpressionError, IdentkitError, InputError
    from identkit.estimator import MoERegressor as MoERegressor
    from identkit.experts import Expert
    from identkit.gates import Gate
    from identkit.interaction import interactions
    from identkit.mixing import MixingMeasure
    from identkit.presented import CheckResult, check
    from identkit.simulation import simulate

_HOME = {
    "check": "identkit.presented",
    "Expert": "identkit.experts",
    "Gate": "identkit.gates",
    "interactions": "identkit.interaction",
    "MixingMeasure": "identkit.mixing",
    "MoERegressor": "identkit.estimator",
    "simulate": "identkit.simulation",
    "fit": "identkit.fit",
    "losses": "identkit.losses",
    "CheckResult": "identkit.presented",
    "IdentkitError": "identkit.errors",
    "InputError": "identkit.errors",
    "ExpressionError": "identkit.errors",
    "DomainError": "identkit.errors",
}

__all__ = [
    "CheckResult",
    "DomainError",
    "Expert",
    "ExpressionError",
    "Gate",
    "IdentkitError",
    "InputError",
    "MixingMeasure",
    "__version__",
    "check",
    "fit",
    "interactions",
    "losses",
    "simulate",
]


def __getattr__(name: str) -> Any:
    """Public names are imported on first use, so that ``--version`` does not wait for SymPy."""
    if name not in _HOME:
        raise AttributeError(f"module 'identkit' has no attribute '{name}'")
    home = importlib.import_module(_HOME[name])
    value = home if _HOME[name] == f"identkit.{name}" else getattr(home, name)
    globals()[name] = value
    return value
