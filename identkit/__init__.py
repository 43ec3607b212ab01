"""identkit: machine-checked identifiability for mixture-of-experts models.

What the commands do can be done from Python: :func:`check`, :func:`explain`,
:func:`certified_table`, :func:`paper_table`, :func:`interactions`, :func:`order`, :func:`verify`,
:func:`list_claims`, :func:`check_claims`; with data, :func:`fit_data`, :func:`fit_density`,
:func:`choose_atoms`, :func:`read_fit`; with simulated data,
:func:`search_truth`, :func:`run_rates`, :func:`search_density_truth`, :func:`run_density_rates`,
:func:`run_sweep`, :func:`stored_results`, :func:`write_report`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from identkit import fit, losses
    from identkit.choice.presented import choose_atoms
    from identkit.claims.listing import check_claims, list_claims
    from identkit.density.presented import DensityReport, fit_density
    from identkit.density_estimators import MoEClassifier as MoEClassifier
    from identkit.density_estimators import MoEDensity as MoEDensity
    from identkit.errors import (
        CertificateError,
        DomainError,
        ExpressionError,
        IdentkitError,
        InputError,
    )
    from identkit.estimator import MoERegressor as MoERegressor
    from identkit.experts import Expert
    from identkit.fit.presented import FitReport, fit_data
    from identkit.fit.saved import read_fit
    from identkit.gates import Gate
    from identkit.interaction import interactions
    from identkit.mixing import MixingMeasure
    from identkit.orders.deciding import order
    from identkit.presented import (
        CheckResult,
        certified_table,
        check,
        explain,
        paper_table,
        verify,
    )
    from identkit.rates.density_search import search_density_truth
    from identkit.rates.presented import (
        run_density_rates,
        run_rates,
        run_sweep,
        stored_results,
        write_report,
    )
    from identkit.rates.truth_search import search_truth
    from identkit.router_interaction import router_interactions
    from identkit.simulation import simulate

_HOME = {
    "CertificateError": "identkit.errors",
    "CheckResult": "identkit.presented",
    "DensityReport": "identkit.density.presented",
    "DomainError": "identkit.errors",
    "Expert": "identkit.experts",
    "ExpressionError": "identkit.errors",
    "FitReport": "identkit.fit.presented",
    "Gate": "identkit.gates",
    "IdentkitError": "identkit.errors",
    "InputError": "identkit.errors",
    "MixingMeasure": "identkit.mixing",
    "MoEClassifier": "identkit.density_estimators",
    "MoEDensity": "identkit.density_estimators",
    "MoERegressor": "identkit.estimator",
    "certified_table": "identkit.presented",
    "check": "identkit.presented",
    "check_claims": "identkit.claims.listing",
    "choose_atoms": "identkit.choice.presented",
    "explain": "identkit.presented",
    "fit": "identkit.fit",
    "fit_data": "identkit.fit.presented",
    "fit_density": "identkit.density.presented",
    "interactions": "identkit.interaction",
    "list_claims": "identkit.claims.listing",
    "losses": "identkit.losses",
    "order": "identkit.orders.deciding",
    "paper_table": "identkit.presented",
    "read_fit": "identkit.fit.saved",
    "router_interactions": "identkit.router_interaction",
    "run_density_rates": "identkit.rates.presented",
    "run_rates": "identkit.rates.presented",
    "run_sweep": "identkit.rates.presented",
    "search_density_truth": "identkit.rates.density_search",
    "search_truth": "identkit.rates.truth_search",
    "simulate": "identkit.simulation",
    "stored_results": "identkit.rates.presented",
    "verify": "identkit.presented",
    "write_report": "identkit.rates.presented",
}

__all__ = [
    "CertificateError",
    "CheckResult",
    "DensityReport",
    "DomainError",
    "Expert",
    "ExpressionError",
    "FitReport",
    "Gate",
    "IdentkitError",
    "InputError",
    "MixingMeasure",
    "__version__",
    "certified_table",
    "check",
    "check_claims",
    "choose_atoms",
    "explain",
    "fit",
    "fit_data",
    "fit_density",
    "interactions",
    "list_claims",
    "losses",
    "order",
    "paper_table",
    "read_fit",
    "router_interactions",
    "run_density_rates",
    "run_rates",
    "run_sweep",
    "search_density_truth",
    "search_truth",
    "simulate",
    "stored_results",
    "verify",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """Public names are imported on first use, so that ``--version`` does not wait for SymPy."""
    if name not in _HOME:
        raise AttributeError(f"module 'identkit' has no attribute '{name}'")
    home = importlib.import_module(_HOME[name])
    value = home if _HOME[name] == f"identkit.{name}" else getattr(home, name)
    globals()[name] = value
    return value
