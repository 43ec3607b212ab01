"""``identkit predict``: a saved fit at new rows, with standard errors and intervals."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from identkit.cli.help import Help
from identkit.cli.progress import require
from identkit.errors import InputError

EXAMPLES = """\
examples:
  identkit fit data.csv --expert gelu --gate softmax --k 3 --save fit.json
  identkit predict fit.json new.csv                     # CSV on standard output
  identkit predict fit.json new.csv --out predicted.csv --level 0.9
  identkit predict fit.json new.parquet --weights --json
  identkit predict density.json new.csv --interval prediction --weights
  cut -d, -f2- new.csv | identkit predict fit.json -

data: read as by 'identkit fit'. Inputs are found by the names they had there,
in any order; other columns are not read. If the target is among them, the root
mean square of the residuals and R² are said on standard error, as is all else
that is no number: what intervals presume, rows outside the range of the data
fitted, why a row has no interval.

columns of the output, one row for each of DATA:
  f, f_se          the fitted function, and its standard error
  f_low, f_high    a confidence interval of f
  y_low, y_high    a prediction interval of one new observation
  weight_0, …      with --weights: of each atom's expert in f
  outside          1 where an input lies outside the data fitted, else 0

The standard errors are those of the delta method, from the covariance in the
file. Cells are empty where the data do not determine f, and where the fit has
no standard errors (not at a minimum).

of a density (identkit fit --likelihood) the columns are
  mean, sd         of y given x
  y_low, y_high    with --interval prediction: between two quantiles of p(y|x)
  p_0, …, class    of a categorical target instead: the probability of each
                   class, in the order of the report, and the most probable one
  weight_0, …      with --weights: of each atom; weight_s0, … of shared ones
  mean_0, …        with --weights: of y given x and the atom
  outside          as above

exit codes: 0 done, 2 bad input, 74 standard output cannot be written."""


def add(commands: argparse._SubParsersAction) -> None:
    """The parser of the command."""
    predict = commands.add_parser(
        "predict",
        help="predict new rows by a saved fit, with intervals",
        description="The fitted function at the rows of a data file, with standard errors, "
        "confidence intervals and prediction intervals.",
        epilog=EXAMPLES,
        formatter_class=Help,
    )
    predict.set_defaults(call=run)
    predict.add_argument("fit", metavar="FIT.json", help="written by identkit fit --save")
    predict.add_argument("data", metavar="DATA", help="a .csv, .npz or .parquet file, or -")
    predict.add_argument(
        "--level", type=float, default=0.95, metavar="P", help="of intervals (0.95)"
    )
    predict.add_argument(
        "--interval",
        choices=("prediction",),
        help="of a density: the interval of a new y; a least-squares fit has both kinds anyway",
    )
    predict.add_argument("--weights", action="store_true", help="the atoms' weights as columns too")
    predict.add_argument("--out", metavar="FILE", help="write there, not to standard output")
    predict.add_argument(
        "--json", action="store_true", help="schema identkit.prediction/1, sorted keys"
    )


def run(options: argparse.Namespace) -> int:
    """Predict, print or write; the exit code."""
    require("predict", "numpy", "scipy")
    from identkit.fit.prediction import check_level

    check_level(options.level)
    if options.out is not None:
        _check_target(options.out, json=options.json)
    from identkit.files import check_apart, write_whole

    check_apart(options.out, options.data, "--out")
    check_apart(options.out, options.fit, "--out")
    from identkit.fit.saved import loaded
    from identkit.report.json_text import dumps

    document = loaded(options.fit)
    prediction, predicted = _predicted(options, document)
    if options.json:
        lines = iter([dumps(prediction.document(predicted)) + "\n"])
    else:
        lines = prediction.csv_lines(predicted)
        for label, text in prediction.notes(predicted):
            print(f"identkit: {label}: {text}", file=sys.stderr)
    if options.out is None:
        sys.stdout.writelines(lines)
    else:
        write_whole(options.out, lambda s: s.writelines(line.encode() for line in lines), "--out")
        rows = len(predicted.rows.x)
        print(f"identkit: {rows:,} rows written to {options.out}", file=sys.stderr)
    return 0


def _check_target(path: str, *, json: bool) -> None:
    """Raise InputError, before any work, for a path of another kind or in no folder."""
    from identkit.files import regular

    ending = ".json" if json else ".csv"
    target = regular(path, f"--out {path}")
    if target.suffix.lower() != ending:
        raise InputError(f"--out {path}: the name must end in {ending}.")
    if not target.parent.is_dir():
        raise InputError(f"--out {path}: its directory does not exist; make it, or choose another.")


def _predicted(options: argparse.Namespace, document: Any) -> tuple[Any, Any]:
    """The module that prints, and what there is to print."""
    from identkit.density.saved import density_of, is_density
    from identkit.fit.saved import fit_of
    from identkit.report import density_prediction, prediction
    from identkit.tables.new_rows import read_new_rows

    file = options.data if options.data != "-" else "standard input"
    if is_density(document):
        density = density_of(document, options.fit)
        rows = read_new_rows(options.data, density.inputs, density.target, density.classes)
        interval = options.interval is not None
        answer = density.predictions(rows.x, options.level, interval=interval)
        return density_prediction, density_prediction.PredictedDensity(
            density, file, rows, answer, options.weights
        )
    fit = fit_of(document, options.fit)
    if options.interval is not None:
        raise InputError(
            f"--interval {options.interval}: {options.fit} is a least-squares fit, whose intervals "
            "are always among the columns; drop it."
        )
    rows = read_new_rows(options.data, fit.inputs, fit.target)
    found = fit.predictions(rows.x, options.level)
    weights = fit.model.weights(fit.measure, rows.x) if options.weights else None
    return prediction, prediction.Predicted(fit, file, rows, found, weights)
