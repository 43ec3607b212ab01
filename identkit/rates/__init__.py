"""Rate experiments: settings, fits of simulated data, slopes, sweeps, store, figures, page.

expression -> Setting -> Experiment -> blocks of fits -> rows in a Store -> observe -> report.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from identkit.rates.conditioned import conditioning
    from identkit.rates.figures import compare_figure, rate_figure, small_multiples
    from identkit.rates.page import write_page
    from identkit.rates.plan import load_plan, presets
    from identkit.rates.presented import (
        RateResult,
        observe,
        run_rates,
        run_sweep,
        stored_results,
        write_report,
    )
    from identkit.rates.scheduling import scheduler
    from identkit.rates.setting import Experiment, Setting
    from identkit.rates.slopes import slope
    from identkit.rates.store import Store
    from identkit.rates.sweep import run
    from identkit.rates.truth import load_truth
    from identkit.rates.truth_search import search_truth

_HOME = {
    "Experiment": "setting",
    "RateResult": "presented",
    "Setting": "setting",
    "Store": "store",
    "compare_figure": "figures",
    "conditioning": "conditioned",
    "load_plan": "plan",
    "load_truth": "truth",
    "observe": "presented",
    "presets": "plan",
    "rate_figure": "figures",
    "run": "sweep",
    "run_rates": "presented",
    "run_sweep": "presented",
    "scheduler": "scheduling",
    "search_truth": "truth_search",
    "slope": "slopes",
    "small_multiples": "figures",
    "stored_results": "presented",
    "write_page": "page",
    "write_report": "presented",
}

__all__ = [
    "Experiment",
    "RateResult",
    "Setting",
    "Store",
    "compare_figure",
    "conditioning",
    "load_plan",
    "load_truth",
    "observe",
    "presets",
    "rate_figure",
    "run",
    "run_rates",
    "run_sweep",
    "scheduler",
    "search_truth",
    "slope",
    "small_multiples",
    "stored_results",
    "write_page",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """Imported on first use: worker processes set their threads before NumPy is imported."""
    if name not in _HOME:
        raise AttributeError(f"module 'identkit.rates' has no attribute '{name}'")
    return getattr(importlib.import_module(f"identkit.rates.{_HOME[name]}"), name)
