"""A family's counterexample as Python to paste: both sides of f_G = f_G*, with math alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

from identkit.degeneracy.records import Family
from identkit.expression import CONSTANTS
from identkit.functions import FUNCTIONS
from identkit.results import CheckResult

CODE_WIDTH = 76
"""Columns of a snippet."""

_ONE = (
    "    many = 0.0",
    "    for w, p in zip(weights, positions):",
    "        many += w*{h}(*x, *curve(p, *eta))",
    "    worst = max(worst, abs(one - many)/max(1.0, abs(one)))",
)
_SEVERAL = (
    "    many = [0.0 for _ in one]",
    "    for w, p in zip(weights, positions):",
    "        moved = {h}(*x, *curve(p, *eta))",
    "        many = [m + w*v for m, v in zip(many, moved)]",
    "    for a, b in zip(one, many):",
    "        worst = max(worst, abs(a - b)/max(1.0, abs(a)))",
)
"""The comparison of both sides at one x, of one output and of several."""

_OWN_FUNCTIONS = {
    **{f.name: f.python for f in FUNCTIONS.values() if f.python},
    "Step": "1.0 if z > 0 else 0.0",
}
_PYTHON = {
    **{f.name: f.builtin for f in FUNCTIONS.values() if f.builtin},
    "Abs": "abs",
    "E": "e",
}


def snippet(check: CheckResult, family: Family) -> str:
    """Python that evaluates Σ w_i·h(x, η(s_i)) and h(x, η) at seeded points, with math alone."""
    expert, s = check.expert, family.parameter
    parameters = ", ".join(expert.parameters)
    images = dict(family.curve)
    curve = [_python(images.get(p, p)) for p in expert.parameters]
    logits = bool(check.seen.meaning)
    several, function = bool(expert.markers) or logits, "probabilities" if logits else "h"
    body = _python(expert.written)
    used = set(re.findall(r"[A-Za-z_]\w*", " ".join([body, *curve])))
    own = [n for n in _OWN_FUNCTIONS if n in used]
    used |= set(re.findall(r"[A-Za-z_]\w*", " ".join(_OWN_FUNCTIONS[n] for n in own)))
    taken = {*expert.inputs, *expert.parameters, s}
    used |= {"exp"} if logits else set()
    known = {*FUNCTIONS, *CONSTANTS, "e"} - {*_OWN_FUNCTIONS, *_PYTHON} - taken
    sides = check.options.domain.sides(expert.dim)
    box = [f"({low}, {high})" for low, high in sides]
    if len(set(box)) == 1:
        drawn = f"random.uniform{box[0]} for _ in range({expert.dim})"
    else:
        drawn = f"random.uniform(low, high) for low, high in ({', '.join(box)})"
    lines = ["import random"]
    if used & known:
        lines.append(f"from math import {', '.join(sorted(used & known))}")
    for name in own:
        lines += ["", "", f"def {name}(z):", f"    return {_OWN_FUNCTIONS[name]}"]
    lines += ["", "", *wrapped(f"def h({', '.join(expert.inputs)}, {parameters}):", "")]
    lines += wrapped(_return(body), "    ")
    if logits:
        each = "h(*z)" if expert.markers else "(h(*z),)"
        lines += ["", "", "def probabilities(*z):", f"    sizes = [exp(v) for v in {each}]"]
        lines += ["    return [v/(1 + sum(sizes)) for v in sizes]"]
    lines += ["", "", *wrapped(f"def curve({s}, {parameters}):", "")]
    lines += wrapped(f"return {_row(curve)}", "    ")
    lines += ["", ""]
    lines += wrapped(f"eta = {_row(family.eta)}", "")
    lines += wrapped(f"positions = {_row(family.positions)}", "")
    lines += wrapped(f"weights = {_row(family.weights)}", "")
    lines += [
        "random.seed(0)",
        "worst = 0.0",
        "for _ in range(200):",
        *wrapped(f"x = [{drawn}]", "    "),
        f"    one = {function}(*x, *eta)",
        *(line.replace("{h}", function) for line in (_SEVERAL if several else _ONE)),
        'print(f"largest difference: {worst:.1e}")',
    ]
    return "\n".join(lines)


def _row(entries: Sequence[str]) -> str:
    """A Python tuple."""
    return f"({entries[0]},)" if len(entries) == 1 else f"({', '.join(entries)})"


def _return(body: str) -> str:
    """In brackets only where it has to be broken."""
    return f"return {body}" if len(body) < CODE_WIDTH - 12 else f"return ({body})"


def _python(text: str) -> str:
    """The grammar's names that Python spells differently."""
    return re.sub(r"[A-Za-z_]\w*", lambda m: _PYTHON.get(m[0], m[0]), text)


def wrapped(line: str, indent: str) -> list[str]:
    """Broken inside its brackets, at spaces or after * and , where there are none."""
    if len(indent + line) <= CODE_WIDTH:
        return [indent + line]
    pieces = re.findall(r"\S*?(?:(?<!\*)\*(?!\*)|,)|\S+|\s+", line)
    rows, row = [], indent
    for piece in pieces:
        # nothing is broken off before the first bracket is open
        if len(row) + len(piece) > CODE_WIDTH and {"(", "{"} & {*"".join([*rows, row])}:
            rows.append(row.rstrip())
            row = indent + "    " + piece.lstrip()
        else:
            row += piece
    return [*rows, row.rstrip()]
