"""The plain notation of the records (``a*∂h/∂a + b*∂h/∂b = h``, ``M[a,b]``) as LaTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import sympy as sp

from identkit.bounded import bounded
from identkit.deadline import Deadline
from identkit.errors import IdentkitError, OutOfTime
from identkit.expression import free_names, parse
from identkit.heads import HEADS

WRITING_SECONDS = 0.25
PLAIN_DEPTH = 5
"""Functions and powers nested no deeper are written at once."""
GREEK = {
    "β": r"\beta", "η": r"\eta", "σ": r"\sigma", "α": r"\alpha", "γ": r"\gamma", "π": r"\pi",
    "ω": r"\omega", "κ": r"\kappa", "χ": r"\chi", "τ": r"\tau", "ν": r"\nu",
}  # fmt: skip


def name_latex(name: str) -> str:
    """A symbol: ``a0`` -> ``a_{0}``, ``β1_0`` -> ``\\beta_{1,0}``."""
    own = re.fullmatch(rf"([{''.join(GREEK)}])_([A-Za-z]\w*)", name)
    if own:  # of a router of one's own: ω_w
        return f"{GREEK[own[1]]}_{{{name_latex(own[2])}}}"
    match = re.fullmatch(r"([^\W\d_]+)_?([0-9_]*)", name)
    if not match:
        return r"\mathrm{" + name.replace("_", r"\_") + "}"
    stem, index = match[1], match[2].replace("_", ",")
    stem = GREEK.get(stem, stem)
    if len(stem) > 1 and not stem.startswith("\\"):
        known = stem in ("alpha", "beta", "gamma", "delta", "eta", "theta", "mu", "nu", "omega")
        stem = "\\" + stem if known else rf"\mathrm{{{stem}}}"
    return f"{stem}_{{{index}}}" if index else stem


_SYMBOLS = {
    "∂": r"\partial", "∇": r"\nabla", "Σ": r"\sum", "σ": r"\sigma", "δ": r"\delta", "Δ": r"\Delta",
    "β": r"\beta", "η": r"\eta", "θ": r"\theta", "α": r"\alpha", "γ": r"\gamma",
    "ε": r"\varepsilon",
    "κ": r"\kappa", "χ": r"\chi",
    "λ": r"\lambda", "μ": r"\mu", "ν": r"\nu", "τ": r"\tau", "φ": r"\varphi", "Φ": r"\Phi",
    "π": r"\pi", "ω": r"\omega", "‖": r"\|", "·": r"\cdot", "×": r"\times", "½": r"\tfrac12",
    "¼": r"\tfrac14", "⪰": r"\succeq", "≻": r"\succ", "≥": r"\ge", "≤": r"\le", "≠": r"\ne",
    "≡": r"\equiv", "≈": r"\approx", "±": r"\pm", "∓": r"\mp", "⟨": r"\langle", "⟩": r"\rangle",
    "∈": r"\in", "∪": r"\cup", "∞": r"\infty", "√": r"\surd", "→": r"\to", "−": "-", "…": r"\dots",
    "ᵀ": r"^{\top}", "²": "^{2}", "³": "^{3}", "°": r"^{\circ}", "~": r"\sim", "∫": r"\int",
    "∏": r"\prod", "*": r"\,", "{": r"\{", "}": r"\}", "%": r"\%", "#": r"\#", "&": r"\&",
    "$": r"\$", "|": r"\vert", "\\": r"\backslash", "′": "'", "″": "''", "‴": "'''",
    "⁗": "''''", "–": "-", "^": r"\hat{}",
}  # fmt: skip
_DERIVATIVE = re.compile(r"∂([²³⁴]?)([hFp])/((?:∂[A-Za-zβ][A-Za-z0-9_]*[²³⁴]?)+)\Z")
_FUNCTION_NAMES = "|".join(h.name for h in HEADS if h.latex)


def math_latex(text: str) -> str:
    """A formula in plain notation as LaTeX mathematics; ASCII for every input."""
    return " ".join(pieces(text))


def pieces(text: str) -> list[str]:
    """LaTeX of each top-level term with the sign, relation or comma before it."""
    pieces = []
    for mark, term in split_top(text, (" = ", " + ", " - ", " − ", ", ", "; ", " ≡ ", " ~ ")):
        sign = mark.strip()
        lead = "" if not sign else _SYMBOLS.get(sign, sign) + (r"\ " if sign in ",;" else " ")
        pieces.append(lead + _term(term))
    return pieces


def split_top(text: str, marks: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs (mark before, piece) at the top level of brackets and norms."""
    pieces, depth, start, mark, i = [], 0, 0, "", 0
    while i < len(text):
        depth += (text[i] in "([{⟨") - (text[i] in ")]}⟩")
        found = next((m for m in marks if depth == 0 and text.startswith(m, i)), None)
        if found is None:
            i += 1
            continue
        pieces.append((mark, text[start:i]))
        mark, i = found, i + len(found)
        start = i
    return [*pieces, (mark, text[start:])]


def _term(term: str) -> str:
    """A product: functions as ∂_u h, coefficients by SymPy where it reads them."""
    term = term.strip()
    if term.startswith(("Σ ", "Σ_i ")):
        return r"\sum_i " + _term(term.split(" ", 1)[1])
    if not re.search(r"[∂·Σ‖\[\]' ]|[hF]\b", term):
        read = _by_sympy(term)
        if read is not None:
            return read
    factors = _factors(term)
    if len(factors) > 1:
        # the coefficient in one piece reads better: \frac{a}{2}, not a/2
        plain = [f for f in factors if re.fullmatch(r"[-+A-Za-z0-9_./()*β ]+", f) and f[-1] != "*"]
        rest = [f for f in factors if f not in plain or re.fullmatch(r"[hF]", f)]
        plain = [f for f in plain if not re.fullmatch(r"[hF]", f)]
        known = [f for f in plain if not re.search(r"\b(w_\w+|h|F|weight_i)\b", f)]
        if rest and plain == known and all(_DERIVATIVE.match(f) or f in "hF" for f in rest):
            read = _by_sympy("*".join(plain)) if plain else ""
            if read is not None:
                if plain and is_sum("*".join(plain)):
                    read = rf"\left({read}\right)"
                return r"\,".join([*([read] if read else []), *map(_factor, rest)])
        return r"\,".join(map(_factor, factors))
    return _factor(term)


def _factors(term: str) -> list[str]:
    """Split at * and · outside brackets, not at ** nor at a star that is a superscript."""
    guarded = term.replace("**", "\0")
    marked = re.sub(r"\*(?=[\s,;:)\]}‖·.]|\Z)", "\1", guarded)
    parts = [p for _, p in split_top(marked, ("*", "·"))]
    return [p.replace("\0", "**").replace("\1", "*") for p in parts if p]


def _by_sympy(text: str) -> str | None:
    """SymPy's LaTeX of an expression of the grammar, or None."""
    if re.search(r"[0-9]\.[0-9]|[0-9]e-?[0-9]", text):
        return None  # decimals stay decimals
    names = frozenset(re.findall(r"[βΔη][A-Za-z0-9_]*", text))
    try:
        value = parse(text, extra=names, generous=True)
    except IdentkitError:
        return None
    read = free_names(value)
    if not read <= set(re.findall(r"[A-Za-zβΔη][A-Za-z0-9_]*", text)):
        return None
    latex_text = sympy_latex(value, {s: _name(str(s)) for s in value.free_symbols})
    return latex_text if latex_text is not None and latex_text.isascii() else None


def sympy_latex(value: Any, symbols: dict[Any, str]) -> str | None:
    """SymPy's LaTeX of a value; None where it would take more than about a second.

    It asks for the sign of all that it writes: what is deeply nested goes to a child process.
    """
    if _depth(value) <= PLAIN_DEPTH:
        return sp.latex(value, symbol_names=symbols)
    try:
        return bounded(lambda _: sp.latex(value, symbol_names=symbols), Deadline(WRITING_SECONDS))
    except (OutOfTime, ArithmeticError, RecursionError):
        return None


def _depth(value: Any) -> int:
    """How deep functions and powers are nested."""
    inner = max(map(_depth, value.args), default=0)
    return inner + (value.is_Pow or value.is_Function)


def _factor(text: str) -> str:
    text = text.strip()
    match = _DERIVATIVE.match(text)
    if match:
        below = re.findall(r"∂([A-Za-zβ][A-Za-z0-9_]*)([²³⁴]?)", match[3])
        operator = "".join(
            rf"\partial_{{{_name(n)}}}" + (f"^{{{'²³⁴'.index(p) + 2}}}" if p else "")
            for n, p in below
        )
        return f"{operator} {match[2]}"
    moment = re.fullmatch(r"([mM])\[([^\]]*)\]", text)
    if moment:
        return f"{moment[1]}_{{{', '.join(_name(n) for n in moment[2].split(','))}}}"
    call = re.fullmatch(r"([hFp])\((.*)\)", text)
    if call and _closed(call[2]):
        return f"{call[1]}({math_latex(call[2])})"
    group = re.fullmatch(r"\((.*)\)(\*|_i|)", text)
    if group and _closed(group[1]):
        end = {"*": "^{*}", "_i": "_{i}", "": ""}[group[2]]
        return rf"\left({math_latex(group[1])}\right){end}"
    if re.fullmatch(r"[A-Za-z0-9_()+\-*/. βΔ]+", text) and not re.search(r"\*(\Z|[ )])", text):
        read = None if re.search(r"[A-Za-zβ]\w* [A-Za-z]|[hFp]\(", text) else _by_sympy(text)
        if read is not None:
            return rf"\left({read}\right)" if is_sum(text) else read
    return _tokens(text)


def _closed(text: str) -> bool:
    """Whether every bracket that closes was opened inside."""
    depth = 0
    for c in text:
        depth += (c in "([{") - (c in ")]}")
        if depth < 0:
            return False
    return depth == 0


_TOKEN = re.compile(
    r"∂[²³⁴]?[hFp]/(?:∂[A-Za-zβ][A-Za-z0-9_]*[²³⁴]?)+"
    r"|∂_\w+"
    r"|[mM]\[[^\]]*\]"
    r"|f_G[*⋆]?"
    r"|n\^-[0-9]+/[0-9]+|\*\*\(?-?[0-9/]+\)?|\^\(?-?[0-9/]+(?:\.[0-9]+)?\)?|\^[A-Za-z]"
    r"|yᵀMy|[A-Za-zα-ωΔ]+(?:[0-9]+)?(?:_[A-Za-z0-9β-ωη]+)*"
    r"|[0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?|\s+|."
)


def _starred(text: str) -> str:
    """⋆ for a star that is a superscript (f_G*, w*), not a product."""
    return re.sub(r"\*(?=[\s,;:)\]}‖·.]|\Z)", "⋆", text)


def _tokens(text: str) -> str:
    """Token by token, for what is neither an expression nor a derivative."""
    return (
        " ".join(t for t in map(_token, _TOKEN.findall(_starred(text))) if t)
        .replace(" ^", "^")
        .replace(" '", "'")
    )


def _token(token: str) -> str:
    if token.isspace():
        return r"\ " if len(token) > 1 else ""
    if _DERIVATIVE.match(token) or re.fullmatch(r"[mM]\[.*\]", token):
        return _factor(token)
    if token.startswith("∂_"):
        return rf"\partial_{{{_name(token[2:])}}}"
    if token in ("f_G", "f_G*", "f_G⋆"):
        return "f_{G}" if token == "f_G" else "f_{G_*}"
    if re.match(r"n\^", token):
        return f"n^{{{token[2:]}}}"
    if token.startswith(("**", "^")) and len(token.strip("*^")) > 0:
        return f"^{{{token.lstrip('*^').strip('()')}}}"
    if token == "⋆":
        return "^{*}"
    number = re.fullmatch(r"([0-9.]+)e(-?)0*([0-9]+)", token)
    if number:
        return rf"{number[1]} \cdot 10^{{{number[2]}{number[3]}}}"
    if re.fullmatch(_FUNCTION_NAMES, token):
        return "\\" + token
    if token == "yᵀMy":
        return r"y^{\top} M y"
    if re.match(r"[A-Za-zα-ωΔ]", token):
        name = _name(token)
        word = name == rf"\text{{{token}}}"
        return rf"\text{{ {token} }}" if word else name
    if token in _SYMBOLS:
        return _SYMBOLS[token]
    return token if token.isascii() else rf"\text{{[U+{ord(token[0]):04X}]}}"


def _name(name: str) -> str:
    """A symbol with its subscripts: ``Δβ1_i`` -> ``\\Delta \\beta_{1,i}``, ``M_βη``."""
    if name.startswith("Δ") and len(name) > 1:
        return rf"\Delta {_name(name[1:])}"
    stem, _, index = name.partition("_")
    if index and not re.fullmatch(r"[0-9_]+", index):
        base = _name(stem)
        below = ",".join(_index(p) for p in index.split("_"))
        if base.endswith("}") and "_{" in base:
            return f"{base[:-1]},{below}}}"
        return f"{base}_{{{below}}}"
    if index and not stem.isascii() and stem not in GREEK and not stem[-1].isdigit():
        return f"{_name(stem)}_{{{index.replace('_', ',')}}}"
    if not name.isascii() and not re.match(rf"[{''.join(GREEK)}][0-9_]*\Z", name):
        return "".join(
            c if c.isascii() else _SYMBOLS.get(c, r"\text{?}") + " " for c in name
        ).strip()
    plain = name_latex(name)
    return rf"\text{{{name}}}" if plain == rf"\mathrm{{{name}}}" and len(name) > 3 else plain


def _index(name: str) -> str:
    return " ".join(_name(c) for c in name) if not name.isascii() else _name(name)


_IN_TEXT = re.compile(
    r"`[^`]*`|n\^-[0-9]+/[0-9]+|f_G\*?|[A-Za-z]\^(?:\([^()]*\)|[0-9]+(?:\.[0-9]+)?|[A-Za-z])|[A-Za-zα-ωΔ]+_[A-Za-z0-9*]+"
    r"|[βησΔ][0-9]?(?:ᵀx|\*)?|\b[wkG]\*|[_%&#^~{}$\\<>*]|[^\x00-\x7f]"
)


_ASCII = {
    "*": "$*$",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "\\": r"\textbackslash{}",
}


def text_latex(text: str) -> str:
    """A sentence for LaTeX: what is between backquotes, and every symbol, as mathematics."""

    def one(match: re.Match[str]) -> str:
        piece = match[0]
        if piece.startswith("`"):
            return f"${math_latex(piece[1:-1])}$"
        if piece in "_%&#{}$":
            return "\\" + piece
        if piece in _ASCII:
            return _ASCII[piece]
        if piece == "–":
            return "--"
        if piece in "<>":
            return f"${piece}$"
        return f"${_tokens(piece)}$"

    return _IN_TEXT.sub(one, text).replace("$$", r"\,")


def is_sum(text: str) -> bool:
    """Whether a + or - stands outside every bracket."""
    return len(split_top(text, (" + ", " - "))) > 1
