"""LaTeX and HTML forms of a check, for papers and notebooks."""

from __future__ import annotations

import html as html_escape
import re
from typing import Any

from sympy import Tuple

from identkit.conditions import BasisFunction, condition
from identkit.expression import parse
from identkit.report import statements
from identkit.report.notation import GREEK, name_latex, sympy_latex, text_latex
from identkit.results import CheckResult, ConditionResult, Relation, SetProof

SHOWN = 4
"""Relations shown before "and n more"."""
_SPECIAL = {"_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "^": r"\^{}", "~": r"\textasciitilde{}"}
_TEXT_SYMBOLS = {
    "×": r"$\times$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "∂": r"$\partial$",
    "·": r"$\cdot$",
    "²": r"$^2$",
    "°": r"$^\circ$",
    "–": "--",
    **{letter: f"${name}$" for letter, name in GREEK.items()},
}


def escape(text: str) -> str:
    """Plain text for LaTeX."""
    rates = re.split(r"(n\^-[0-9]+/[0-9]+)", text)
    escaped = [re.sub("[_%&#^~]", lambda m: _SPECIAL[m[0]], part) for part in rates[::2]]
    powers = [f"$n^{{-{rate[3:]}}}$" for rate in rates[1::2]]
    text = "".join(a + b for a, b in zip(escaped, [*powers, ""], strict=True))
    text = re.sub("|".join(_TEXT_SYMBOLS), lambda m: _TEXT_SYMBOLS[m[0]], text)
    return text.replace(">", "$>$").replace("<", "$<$")


def function_latex(function: BasisFunction) -> str:
    """A basis function: ``x_{0}\\,\\partial_{a_{0}} h``."""
    parts = [name_latex(x) for x in function.inputs]
    bases = function.bases or (function.base,) * len(function.factors)
    for base, factor in zip(bases, function.factors, strict=True):
        operator = "".join(rf"\partial_{{{name_latex(p)}}}" for p in factor)
        parts.append(f"{operator} {GREEK.get(base, base)}".strip())
    return r"\,".join(parts) or "1"


def relation_latex(relation: Relation) -> str:
    """Σ c·g = 0 in LaTeX."""
    terms = []
    for term in relation.terms:
        names = frozenset(re.findall(rf"[{''.join(GREEK)}]\w*", term.coefficient))
        coefficient = parse(term.coefficient, extra=names, generous=True)
        symbols = _latex_names(coefficient)
        negative = coefficient.could_extract_minus_sign()
        size = -coefficient if negative else coefficient
        text = "" if size == 1 else sympy_latex(size, symbols)
        if text is None:
            negative, text = False, rf"\texttt{{{escape(term.coefficient)}}}"
        if size.is_Add:
            text = rf"\left({text}\right)"
        sign = "-" if negative else "+" if terms else ""
        terms.append(f"{sign} {text}\\,{function_latex(term.function)}".replace(" \\,", " "))
    return " ".join(terms).strip() + " = 0"


def _latex_names(expression: Any) -> dict[Any, str]:
    return {s: name_latex(str(s)) for s in expression.free_symbols}


def expert_latex(result: CheckResult) -> str:
    """h in LaTeX; as typed where SymPy takes too long to write it."""
    expert = result.expert
    expression = Tuple(*expert.functions) if expert.markers else expert.expression
    written = sympy_latex(expression, _latex_names(expression))
    return rf"\texttt{{{escape(expert.written)}}}" if written is None else written


def formula_latex(formula: str) -> str:
    """A condition's formula, written with Unicode for terminals, as LaTeX mathematics."""
    text = re.sub(r"_β([01])", r"_{β_\1}", formula)
    text = re.sub(r"β([01])", r"β_\1", text)
    text = re.sub(r"\{(∂[^}]*|1)\}", r"\\{\1\\}", text)
    text = re.sub(r"[A-Za-z]{2,}(?: [A-Za-z]{2,})*", r"\\text{ \g<0> }", text)
    symbols = {"∂": r"\partial", "·": r"\cdot", "∪": r"\cup", "≤": r"\le", "≠": r"\ne"} | GREEK
    for symbol, command in symbols.items():
        text = text.replace(symbol, command + " ")
    return f"${text}$"


def latex(result: CheckResult) -> str:
    """A paragraph and an itemize environment to paste into a paper (amsmath)."""
    domain, dim = result.options.domain, result.expert.dim
    box = str(domain).replace("×", r"\times") + f"^{{{dim}}}" * (len(domain.intervals) == 1)
    parameters = ", ".join(name_latex(p) for p in result.expert.parameters)
    head = (
        "% needs amsmath\n"
        rf"\paragraph{{Expert $h(x)={expert_latex(result)}$, {escape(result.gate)} gate"
        rf"{escape(statements.under(result))}.}}"
        rf" Parameters $\eta=({parameters})$, $x\in{box}$; seed {result.options.seed},"
        f" identkit {result.version}."
    )
    items = "\n".join(_latex_item(result, r) for r in result.results)
    note = f"\n{escape(statements.sentence(own))}" if (own := statements.own_gate(result)) else ""
    return f"{head}\n\\begin{{itemize}}\n{items}\n\\end{{itemize}}{note}"


def _latex_item(check: CheckResult, result: ConditionResult) -> str:
    formula = formula_latex(
        statements.about(check, condition(result.condition, result.level).formula)
    )
    lines = [
        rf"\item \textbf{{{escape(statements.title(result))}: {result.verdict}.}}"
        rf" Functions: {formula}."
        rf" Published: {escape(statements.published(result))} ({result.agreement})."
    ]
    if result.coordinates:
        lines.append(f"  Coordinates: {escape(', '.join(result.coordinates))}.")
    for proof in result.counted:
        sentence = escape(statements.claim(proof))
        lines.append(f"  {sentence[0].upper()}{sentence[1:]} {_latex_method(proof)}")
        for relation in proof.relations[:SHOWN]:
            lines.append(rf"  \[ {relation_latex(relation)} \]")
        if len(proof.relations) > SHOWN:
            lines.append(f"  and {len(proof.relations) - SHOWN} more relations.")
    for _, text in statements.follows(check, result):
        lines.append(f"  {text_latex(text)}")
    return "\n".join(lines)


def _latex_method(proof: SetProof) -> str:
    text = escape(statements.method(proof))
    return f"Method: {text.replace('+/-', chr(36) + chr(92) + 'pm' + chr(36))}."


def html(result: CheckResult) -> str:
    """A table for notebooks."""
    e = html_escape.escape
    rows = []
    for r in result.results:
        said = "<br>".join(
            [e(statements.claim(p)) for p in r.counted]
            + [f"<code>{e(x.text)}</code>" for x in r.relations[:SHOWN]]
            + ([f"and {len(r.relations) - SHOWN} more"] if len(r.relations) > SHOWN else [])
            + [f"in the coordinate <code>{e(c)}</code>" for c in r.coordinates]
            + [f"{e(label)}: {e(text)}" for label, text in statements.follows(result, r)]
        )
        rows.append(
            f"<tr><td>{e(statements.title(r))}</td><td><b>{r.verdict}</b></td>"
            f"<td style='text-align:left'>{said}</td><td>{e(statements.published(r))}</td>"
            f"<td>{r.agreement}</td></tr>"
        )
    header = "".join(
        f"<th>{h}</th>" for h in ("condition", "verdict", "proved", "published", "agreement")
    )
    meaning = f"{e(result.seen.meaning)}, " if result.seen.meaning else ""
    return (
        f"<p><b>{e(result.expert.label)}</b>: <code>h(x) = {e(result.expert.written)}</code>, "
        f"{meaning}"
        f"{e(result.gate)} gate{e(statements.under(result))}; "
        f"{e(statements.witness_scope(result))}; "
        f"identkit {e(result.version)}</p>"
        f"<table><thead><tr>{header}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        + (f"<p>{e(statements.sentence(own))}</p>" if (own := statements.own_gate(result)) else "")
    )
