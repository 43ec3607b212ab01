"""``identkit rates`` of densities: the truth, the experiment, the report."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from identkit.cli.options import chosen_expert, chosen_gate, shared_expert
from identkit.cli.progress import work_bar
from identkit.errors import InputError, whole

if TYPE_CHECKING:
    from identkit.density.model import DensityModel
    from identkit.rates.density_setting import DensitySetting
    from identkit.rates.setting import Experiment
    from identkit.truths.record import Truth

TEACHES = """\
densities: with --likelihood gaussian the whole of p(y|x) is fitted by maximum
likelihood, with --shared beside shared experts. Without --truth one is searched
whose scores are far from dependent. --truth FILE.toml, or the name of a shipped
file (identkit truth --list), is an exact truth that says all about its model;
--only NAME chooses one of several. Observed are the Hellinger distance of the
densities, the loss on the quotient, D1 to D4 as printed where the file names
one, and each parameter's error by half and kind of cell. Starts: local, away."""
MODEL = (
    "expert", "expr", "gate", "router", "shape", "params", "dim", "likelihood", "variance",
    "shared", "regime",
)  # fmt: skip
"""Options of a model."""
ATOMS, CANDIDATES = 2, 300
"""Routed atoms of a searched truth, and how many random ones are compared."""


def add(rates: argparse.ArgumentParser) -> None:
    """The options of densities."""
    what = rates.add_argument_group("density")
    add_density(what)
    what.add_argument(
        "--k-shared", type=int, metavar="M", help="fitted shared atoms (as many as are true)"
    )
    what.add_argument("--only", metavar="NAME", help="one of the truths of a .toml file")


def add_density(what: argparse._ActionsContainer) -> None:
    """The options of a density's model, which ``rates`` and ``truth`` share."""
    what.add_argument("--likelihood", metavar="NAME", help="least-squares (default) or gaussian")
    what.add_argument(
        "--variance", metavar="WHICH", help="gaussian: free, one for each atom, or common (free)"
    )
    what.add_argument("--shared", metavar="EXPERT", help="shared experts: a name or an expression")


def asked(options: argparse.Namespace) -> bool:
    """Whether ``rates`` is asked for a density. Raises InputError for stray options."""
    if is_density(options) or _of_file(options.truth):
        return True
    refuse_without(options, "shared", "k-shared", "only")
    return False


def is_density(options: argparse.Namespace) -> bool:
    """Whether the likelihood has a density. Raises InputError for one that does not exist."""
    from identkit.likelihoods import LEAST_SQUARES, resolve

    return resolve(options.likelihood or LEAST_SQUARES, options.variance).density is not None


def refuse_without(options: argparse.Namespace, *names: str) -> None:
    """Raise InputError for an option of densities where none is asked for."""
    for name in names:
        if getattr(options, name.replace("-", "_")) is not None:
            raise InputError(f"--{name}: it is about a density; add --likelihood gaussian.")


def _of_file(truth: str | None) -> bool:
    """Whether a truth is a file of exact truths, or the name of one."""
    from identkit.truths.record import settings

    return truth is not None and (truth.endswith(".toml") or truth in settings())


def experiment(
    options: argparse.Namespace,
    sizes: tuple[int, ...],
    budgets: tuple[int, ...],
    starts: tuple[str, ...],
) -> Experiment[DensitySetting]:
    """The experiment that the options ask for."""
    from identkit.rates.density_plan import density_experiment
    from identkit.rates.density_setting import STARTS

    if options.noise is not None:
        raise InputError(
            f"--noise {options.noise:g}: the noise of a density is its variances; drop it."
        )
    for kind in starts:
        if kind not in STARTS:
            raise InputError(
                f"--starts {kind}: fits of densities start at {' or '.join(STARTS)}; choose of "
                "these."
            )
    if options.truth is None:
        _check_before_search(options, sizes)
        truth = searched(options)
    else:
        truth = _given(options)
    values: dict[str, Any] = {
        "sizes": sizes, "replicates": options.reps, "control": options.control,
        "seed": options.seed, "fitted": _fitted(options, truth),
    }  # fmt: skip
    if budgets:
        values["budgets"] = budgets
    if starts:
        values["starts"] = starts
    return density_experiment(truth, values, truth.name)


def _check_before_search(options: argparse.Namespace, sizes: tuple[int, ...]) -> None:
    """What would be found wrong after the seconds of a search."""
    model = _model(options)
    k = ATOMS + 1 if options.k is None else options.k
    if options.k_shared is not None and model.shared is None:
        raise _no_shared("--k-shared", options.k_shared)
    if k < ATOMS:
        raise InputError(f"--k {k}: the searched truth has {ATOMS} routed atoms; fit so many.")
    m = 1 if options.k_shared is None else whole("--k-shared", options.k_shared, least=1)
    least = model.length((0 if model.shared is None else m, k))
    if sizes[0] < least:
        raise InputError(f"--n {options.n}: the fit has {least} parameters; start higher.")


def _no_shared(option: str, count: int) -> InputError:
    return InputError(f"{option} {count}: there is no shared expert; name one with --shared.")


def searched(
    options: argparse.Namespace,
    atoms: int = ATOMS,
    candidates: int | None = None,
    shared: int | None = None,
) -> Truth:
    """A search, with progress."""
    from identkit.rates.density_search import search_density_truth

    model = _model(options)
    candidates = CANDIDATES if candidates is None else candidates
    if shared is not None and model.shared is None:
        raise _no_shared("--atoms-shared", shared)
    with work_bar() as bar:
        return search_density_truth(
            model, regime=options.regime, atoms=atoms, shared_atoms=shared or 1, seed=options.seed,
            candidates=candidates,
            progress=lambda done, total: bar(done, total, done, total, "searching a truth"),
        )  # fmt: skip


def _model(options: argparse.Namespace) -> DensityModel:
    from identkit.density.model import DensityModel
    from identkit.likelihoods import resolve

    if options.gate is None or (options.expert is None and options.expr is None):
        raise InputError("give an expert and a gate to search a truth, or one in a file.")
    dim = 1 if options.dim is None and options.expr is None else options.dim
    expert = chosen_expert(options, dim)
    likelihood = resolve(options.likelihood, options.variance)
    return DensityModel.of(expert, chosen_gate(options), likelihood, shared_expert(options, expert))


def _given(options: argparse.Namespace) -> Truth:
    """The truth of a file."""
    from identkit.truths.record import load_truths

    if not _of_file(options.truth):
        raise InputError(
            f"--truth {options.truth}: truths of densities are .toml files, or shipped ones "
            "(identkit truth --list); give one, or drop --likelihood."
        )
    for name in MODEL:
        if getattr(options, name) is not None:
            raise InputError(f"--{name}: the file of a truth says all about its model; drop it.")
    return load_truths(options.truth).chosen(options.only)


def _fitted(options: argparse.Namespace, truth: Truth) -> dict[str, int]:
    """The numbers of atoms that are asked for; the truth says the others."""
    given = {"shared": options.k_shared, "routed": options.k}
    if options.k_shared is not None:
        if truth.shared is None:
            raise _no_shared("--k-shared", options.k_shared)
        whole("--k-shared", options.k_shared, least=1)
    return {half: count for half, count in given.items() if count is not None}
