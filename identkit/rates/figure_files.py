"""Figures as files, and as elements of an HTML page."""

from __future__ import annotations

import io
import os
import re
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from identkit.errors import InputError
from identkit.files import regular, write_whole
from identkit.rates.drawing import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


FORMATS = (".svg", ".pdf", ".png")
DPI = 200


def save(figure: Figure | Axes, path: str | os.PathLike[str]) -> None:
    """Write a figure, or the one that axes belong to, as .svg, .pdf or .png.

    The same figure gives the same bytes. Raises :class:`~identkit.errors.InputError` for other
    endings and where the file cannot be written; a file there before is then untouched.
    """
    ending = Path(path).suffix.lower()
    check_path(path)
    write_whole(path, partial(_write, figure, ending[1:]))


def check_path(path: str | os.PathLike[str]) -> None:
    """Whether :func:`save` could write there, to be known before hours of fits.

    Raises :class:`~identkit.errors.InputError` for other endings, a folder that does not exist,
    and without matplotlib.
    """
    if Path(path).suffix.lower() not in FORMATS:
        raise InputError(f"{path}: figures are written as {', '.join(FORMATS)}; choose one.")
    if not regular(path, str(path)).parent.is_dir():
        raise InputError(f"{path}: its folder does not exist; make it or choose another path.")
    with style():
        pass


def svg(figure: Figure | Axes, prefix: str) -> str:
    """The figure as an ``<svg>`` element to put into an HTML page, ids starting with ``prefix``.

    Without prologue, style sheet and namespaces, which HTML does not need; it has no ``<title>``.
    """
    stream = io.BytesIO()
    _write(figure, "svg", stream)
    text = stream.getvalue().decode()
    text = text[text.index("<svg") :].rstrip()
    text = re.sub(
        r"<metadata>.*?</metadata>|<style.*?</style>|<defs>\s*</defs>", "", text, flags=re.S
    )
    text = re.sub(r' xmlns(:\w+)?="[^"]*"| version="[^"]*"', "", text)
    text = text.replace("xlink:href", "href")
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}", text)
    return re.sub(r"\n\s*\n|\n +", "\n", text)


def _write(figure: Figure | Axes, format: str, stream: Any) -> None:
    owner: Any = figure
    while getattr(owner, "figure", owner) is not owner:
        owner = owner.figure
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
    with style(), warnings.catch_warnings():
        # a name in another script is drawn as boxes; no reason to fail
        warnings.filterwarnings("ignore", r"Glyph .* missing from")
        owner.savefig(
            stream, format=format, dpi=DPI, metadata=dates[format], bbox_inches="tight",
            pad_inches=0.06,
        )  # fmt: skip
