"""The declared layers hold: a module imports from its own layer and those below, never in a circle.

Imports inside functions and those for type checkers count like any other. The packages
``identkit`` and ``identkit.rates`` only hand out names on first use, so they stand on top; their
version is the one name that all may take.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import identkit

ROOT = Path(identkit.__file__).parent.parent
LAYERS = {
    "language": "vocabulary causes errors foreign registry rate deadline bounded domain files "
    "heads balls functions expression",
    "model": "layout likelihoods.density likelihoods.contract likelihoods.least_squares "
    "likelihoods.gaussian experts likelihoods.categorical likelihoods "
    "gates.router gates.normal gates.regime "
    "gates.density gates.selection gates.gauge gates.weights gates.merging gates.gate "
    "gates.classes gates.sigmoid gates.softmax gates.normalized_sigmoid gates.input_free "
    "gates.routed gates.quadratic "
    "gates.monomial_quadratic gates.gaussian_gate gates.laplace gates.cosine "
    "gates.router_normal gates.dense_to_sparse "
    "gates.sigmoid_temperature gates.euclidean_sigmoid gates.top_k "
    "gates.top_k_unnormalised gates.top_k_biased gates.hierarchical gates "
    "atoms mixing tables.columns tables.text tables.binary tables tables.given tables.new_rows",
    "routers": "routers.counts routers.metrics routers.resampling routers.sources "
    "routers.recorded routers.records routers.between routers.labels routers.results "
    "routers.analysis routers.recorder routers.checkpoints",
    "conditions": "conditions.contract conditions.strong conditions.weak conditions.anchor "
    "conditions.shared_strong conditions.algebraic_independence conditions.separate conditions",
    "record": "certificates.witness degeneracy.records architecture.records orders "
    "orders.records orders.caveats results questions",
    "exact": "sampling forms coordinates derivatives algebra normal_form relations coincidence "
    "every_k kernel_risk certificates.independence",
    "prove": "relation_text formal prove",
    "order": "degeneracy.moments degeneracy.nullspace degeneracy.cone degeneracy.semidefinite "
    "degeneracy.families degeneracy.router_curves degeneracy.kinks degeneracy.symmetry "
    "degeneracy.premise degeneracy.realise degeneracy.rate degeneracy.undecided "
    "degeneracy.family_records degeneracy.readable degeneracy.first_order degeneracy.analysis",
    "orders": "orders.series orders.arcs orders.measured orders.spans orders.flows "
    "orders.lower orders.upper orders.of_gates orders.finding",
    "conclude": "degeneracy.conclude orders.answer orders.deciding",
    "claims": "claims claims.checks claims.record claims.listing claims.running",
    "architecture": "architecture.measures architecture.overlap architecture.halves "
    "architecture.moves architecture.search architecture.examples architecture.given "
    "architecture.compared",
    "check": "checking truths truths.record truths.writing truths.alternatives alternatives "
    "interaction interaction_effects router_interaction "
    "stated table "
    "selecting.regions selecting.records selecting.examples selecting.filling selecting.answers",
    "layers": "layers.record layers.keys layers.families layers.config layers.findings "
    "layers.symbols layers.gauges layers.verdicts layers.analysis  layers.traced "
    "layers.parts layers.weighing layers.module layers.imported layers.collapse",
    "document": "degeneracy.document certificates.document report.json_text "
    "report.json_results report.json_form doctor",
    "certificate": "certificates.jets certificates.kernel.field certificates.kernel.outputs "
    "certificates.kernel.points "
    "certificates.kernel.parts certificates.kernel.every_k certificates.kernel.second_order "
    "certificates.kernel.arcs certificates.kernel.orders certificates.kernel.refits "
    "certificates.kernel certificates.statement certificates.order_entry certificates.store "
    "certificates.rederive certificates.verify",
    "mixture": "fit.structure fit.printing fit.gradient fit.model simulation",
    "losses": "losses losses.shifts losses.levels losses.partition losses.norms losses.identified "
    "losses.quotient",
    "fit": "fit fit.objective fit.box fit.batch fit.result fit.problem fit.solver fit.nodes "
    "fit.vector_math fit.kept fit.cpu_kernel fit.torch_kernel fit.routed_kernel fit.routed_cpu "
    "fit.sums fit.job fit.engine fit.closure fit.starts fit.change fit.inference "
    "fit.shared_gates fit.prediction fit.saved fit.statistics fit.summary fit.running",
    "density": "density.half density.measure density.model density.kernel density.torch_values "
    "density.torch_kernel density.result density.box "
    "density.job density.engine density.starts density.units density.running density.inference "
    "density.summary density.prediction density.components density.asked density.reporting "
    "density.saved density",
    "distances": "losses.template losses.joint losses.density losses.divergence losses.printed",
    "choice": "choice.frame choice.dendrogram choice.criteria choice.comparison choice.choosing "
    "choice density.choosing",
    "rates": "rates.missing rates.slopes rates.rows rates.density_setting rates.setting "
    "rates.conditioned rates.truth "
    "rates.suggested rates.truth_ranges rates.truth_search rates.refits rates.quantities "
    "rates.predictions rates.density_plan rates.density_search "
    "rates.density_predictions rates.density_quantities rates.density_fits "
    "rates.fits rates.audit rates.formats rates.plan_values rates.plan "
    "rates.scheduling rates.store_file rates.store rates.sweep rates.result "
    "rates.density_result rates.running",
    "view": "report.page.pieces report.page "
    "report.statements report.notation report.snippet report.markup report.terminal "
    "report.listings report.paragraphs report.counterexample report.gauges report.argument "
    "report.explain report.tables report.claims_report report.paper_tables "
    "report.fit_identifiability report.fit_report "
    "report.density_report report.density_document report.density_prediction "
    "report.density_choice_report report.density_choice_document "
    "report.fit_document report.choice_report report.choice_document report.choice_figure "
    "report.rates_parts report.density_rates_report report.rates_report report.rates_document "
    "report.orders_report report.prediction "
    "report.verified report.regions_report report.truths_report "
    "report.layer_words report.layer_report report.layer_document report.layer_page "
    "rates.drawing rates.figure_files rates.figures "
    "report.fit_figure report.density_figure report.fit_summary report.doctor_report "
    "report.routers_report report.routers_document report.routers_figure report.routers_page "
    "rates.page.pieces "
    "rates.page.verdicts rates.page.drawn rates.page.certificate rates.page.experiment "
    "rates.page.density rates.page",
    "api": "presented fit.presented density.presented choice.presented choice.of_estimator "
    "rates.presented estimating estimator estimated_density density_estimators gate_contract "
    "strategies layers.guard testing rates identkit",
    "cli": "streams cli cli.help cli.output cli.progress cli.parser cli.options cli.positional "
    "cli.question cli.run "
    "cli.main cli.check cli.explain cli.order cli.table cli.choose cli.numbers "
    "cli.choose_density cli.fit_density cli.fit cli.predict "
    "cli.rates_density cli.rates cli.truth cli.sweep "
    "cli.runs cli.report cli.claims cli.interactions cli.regions cli.layer cli.routers "
    "cli.verify cli.listings cli.doctor __main__",
}
"""From below: layer -> its modules."""
HEAVY = {
    "numpy", "torch", "numba", "scipy", "matplotlib", "pyarrow", "distributed", "jsonschema",
    "hypothesis", "transformers", "safetensors",
}  # fmt: skip
"""Libraries that are imported where they are used: most commands need none of them."""
DEFERRED = {
    "density.engine": {"density.job"},  # torch
    "density.inference": {"density.job"},
    "certificates.verify": {"certificates.rederive"},  # the prover
    "claims.listing": {"claims.running"},  # pytest
    "fit.engine": {"fit.job"},  # torch
    "fit.inference": {"fit.job"},
    "layers.guard": {"layers.module"},  # torch
    "rates.scheduling": {"rates.fits"},  # a worker sets its threads before NumPy
}
"""Modules of identkit imported inside functions for what comes with them."""
EMPTY = {
    "architecture", "certificates", "degeneracy", "layers", "report", "routers", "selecting",
}  # fmt: skip
"""Packages that hold nothing themselves."""
LEVEL = {m: i for i, modules in enumerate(LAYERS.values()) for m in modules.split()}


def name_of(path: Path) -> str:
    """A module's name below ``identkit``, that of the package itself ``identkit``."""
    parts = path.relative_to(ROOT).with_suffix("").parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "identkit"


FILES = {name_of(path): path for path in sorted((ROOT / "identkit").rglob("*.py"))}


def imports(text: str) -> Iterator[tuple[str, bool]]:
    """(module below ``identkit``, whether at run time) of every import in a module's text."""
    tree = ast.parse(text)
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [
                name if _below(name) in FILES else node.module or ""
                for name in whole
                if name != "identkit.__version__"
            ]
        for name in names:
            if name.partition(".")[0] == "identkit":
                yield _below(name), node not in for_types


def _below(name: str) -> str:
    return name.removeprefix("identkit.")


def upward(module: str, text: str) -> list[str]:
    """The modules it imports that are declared above it."""
    return sorted({m for m, _ in imports(text) if m not in EMPTY and LEVEL[m] > LEVEL[module]})


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """A circle of modules for each that is found from some module."""
    found: list[list[str]] = []
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            found.append([*path[path.index(module) :], module])
        elif module not in done:
            for other in sorted(graph.get(module, ())):
                visit(other, [*path, module])
            done.add(module)

    for module in sorted(graph):
        visit(module, [])
    return found


def test_every_module_has_a_layer():
    declared = [m for modules in LAYERS.values() for m in modules.split()]
    assert len(declared) == len(set(declared))
    assert set(declared) == set(FILES) - EMPTY
    assert not any(list(imports(FILES[m].read_text(encoding="utf-8"))) for m in EMPTY)


@pytest.mark.parametrize("module", sorted(LEVEL))
def test_nothing_is_imported_from_above(module):
    assert not upward(module, FILES[module].read_text(encoding="utf-8"))


def test_there_is_no_circle():
    texts = {m: path.read_text(encoding="utf-8") for m, path in FILES.items()}
    graph = {m: {o for o, now in imports(text) if now} for m, text in texts.items()}
    assert not circles(graph)


def deferred(text: str) -> Iterator[str]:
    """What is imported inside functions: libraries by name, modules below ``identkit``."""
    for function in ast.walk(ast.parse(text)):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    inner = list(imports(ast.unparse(node)))
                    name = node.names[0].name if isinstance(node, ast.Import) else node.module
                    yield inner[0][0] if inner else (name or "").partition(".")[0]


@pytest.mark.parametrize("module", [m for m in sorted(LEVEL) if not m.startswith("cli")])
def test_only_what_is_heavy_is_imported_inside_functions(module):
    names = set(deferred(FILES[module].read_text(encoding="utf-8")))
    assert names <= HEAVY | DEFERRED.get(module, set())


PLACES = {
    "certificates.verify": 2,  # the prover; jsonschema
    "claims.listing": 1,  # pytest
    "density.prediction": 1,  # SciPy: quantiles of a normal
    "degeneracy.semidefinite": 1,  # NumPy and SciPy: only where a conic program is solved
    "density.engine": 1,  # torch
    "density.inference": 1,  # torch
    "fit.engine": 1,  # torch
    "fit.inference": 1,  # torch
    "fit.prediction": 1,  # SciPy: a quantile
    "fit.saved": 1,  # jsonschema
    "gates.gaussian_gate": 1,  # NumPy
    "gates.merging": 2,
    "gates.normalized_sigmoid": 1,  # NumPy: `check` does without, here and in the other gates
    "gates.sigmoid": 2,
    "gates.softmax": 2,
    "gates.top_k_biased": 1,
    "layers.guard": 1,  # torch, where a module is given
    "layers.imported": 1,  # transformers, where a class of it is given
    "likelihoods.categorical": 2,  # NumPy
    "losses.divergence": 1,  # SciPy: the normal distribution function
    "rates.drawing": 1,  # matplotlib
    "rates.fits": 1,  # their versions
    "rates.formats": 1,  # pyarrow
    "rates.refits": 1,  # SciPy
    "rates.scheduling": 3,  # torch, after threads are limited; distributed
    "rates.truth_search": 1,  # SciPy
    "routers.recorder": 2,  # torch
    "routers.checkpoints": 1,  # safetensors
    "routers.sources": 2,  # pyarrow
    "tables.binary": 1,  # pyarrow
}
"""Module -> places where a function imports, each for what is heavy. The numbers only go down."""


def places(text: str) -> int:
    """How many runs of imports stand in functions, whatever they stand in there."""
    count = 0

    def visit(node: ast.AST, inside: bool) -> None:
        nonlocal count
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        before = False
        for child in ast.iter_child_nodes(node):
            found = isinstance(child, ast.Import | ast.ImportFrom)
            count += inside and found and not before
            before = found
            visit(child, inside)

    visit(ast.parse(text), False)
    return count


def test_places_of_imports_inside_functions():
    modules = [m for m in LEVEL if not m.startswith("cli")]
    found = {m: places(FILES[m].read_text(encoding="utf-8")) for m in modules}
    assert {m: n for m, n in found.items() if n} == PLACES


def test_long_modules_are_listed():
    page = (ROOT / "docs" / "structure.md").read_text(encoding="utf-8").partition("## Above")[2]
    reasons = dict(re.findall(r"^\| ([\w/]+\.py) \| \d+ \| *(.*?) *\|$", page, flags=re.M))
    long = {
        path.relative_to(ROOT / "identkit").as_posix()
        for path in FILES.values()
        if len(path.read_text(encoding="utf-8").splitlines()) > 420
    }
    assert set(reasons) == long
    assert all(len(reason.split()) > 4 for reason in reasons.values())


def test_these_tests_can_fail():
    """An import from above is seen wherever it stands, and so is a circle."""
    inside = "def f():\n    from identkit.report import explain\n"
    typed = "if TYPE_CHECKING:\n    from identkit.cli import main\n"
    assert upward("results", inside) == ["report.explain"]
    assert upward("results", typed) == ["cli.main"]
    assert upward("prove", "import identkit.checking as c\nfrom identkit import check\n") == [
        "checking",
        "identkit",
    ]
    assert not upward("prove", "from identkit import __version__\nfrom identkit import results\n")
    assert list(deferred(inside)) == ["report.explain"]
    two = "def f():\n    import a\n    import b\n    if a:\n        import c\n"
    assert places(two + "import d\n") == 2
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c", "b"]]
