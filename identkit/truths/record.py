"""Files of truths: TOML with exact numbers, read into measures.

::

    # A line about the file, shown by `settings()`.
    name = "mine"
    source = "where the numbers are from"
    domain = [-3, 3]                       # of every input
    fitted = {shared = 2, routed = 3}      # atoms that are fitted (those of the truth)

    [[truth]]
    name = "A"
    gate = "softmax"
    likelihood = "gaussian"                # ("gaussian")
    experts = {shared = "a*x + b", routed = "c*gelu(a*x)"}     # shared may be left out
    shared = [{omega = "1", eta = {a = "2", b = "0"}, variance = "1/5"}]
    routed = [{beta0 = "-1/2", beta1 = ["5"], eta = {c = "1", a = "2"}, variance = "2/5"}]
    loss = "D1"                            # in which a paper measured it, with the exponent of
    exponent = 0.451                       # log(n)/n that it printed; both may be left out

Numbers are texts in identkit's grammar, ``"2/5"`` or ``"log(2)"``, and so exact; whole numbers and
decimals are taken as written. Experts are expressions, or built-in ones with their shape:
``"gelu ffn"``.
"""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Any

from identkit.architecture.measures import Setting, routed_atom, shared_atom
from identkit.architecture.records import ExactAtom, ExactMeasure
from identkit.balls import enclosure
from identkit.deadline import Deadline
from identkit.domain import Domain
from identkit.errors import InputError, unknown_name
from identkit.experts import ACTIVATIONS, SHAPELESS, Expert, builtin
from identkit.expression import parse
from identkit.files import read_whole
from identkit.gates import Gate, resolve

MOST_BYTES = 2**20
SECONDS = 60.0
"""For the proofs about one measure."""


@dataclass(frozen=True)
class Truth:
    """One true measure: its model, the numbers, how many atoms are fitted, what is in print."""

    name: str
    expert: Expert
    gate: Gate
    shared: Expert | None
    measure: ExactMeasure
    fitted: tuple[int, int]
    domain: Domain
    source: str
    loss: str | None = None
    exponent: float | None = None

    def setting(self) -> Setting:
        """What proofs about it are made in, with their time limit from now."""
        return Setting(self.expert, self.gate, Deadline(SECONDS), self.shared)


@dataclass(frozen=True)
class Truths:
    """A file of truths."""

    name: str
    source: str
    truths: tuple[Truth, ...] = field(repr=False)

    def __getitem__(self, name: str) -> Truth:
        for truth in self.truths:
            if truth.name == name:
                return truth
        raise unknown_name("truth", name, [t.name for t in self.truths])

    def chosen(self, name: str | None) -> Truth:
        """The truth of this name; without one, the only one. Raises InputError."""
        if name is not None:
            return self[name]
        if len(self.truths) > 1:
            names = ", ".join(t.name for t in self.truths)
            raise InputError(f"truth: '{self.name}' has {names}; choose one with only (--only).")
        return next(iter(self.truths))


def settings() -> dict[str, str]:
    """Name -> description of the files that come with identkit, the first line of each."""
    found = {}
    for path in resources.files("identkit.truths").iterdir():
        if path.name.endswith(".toml"):
            first = path.read_text(encoding="utf-8").partition("\n")[0]
            found[path.name.removesuffix(".toml")] = first.lstrip("# ").rstrip()
    return dict(sorted(found.items()))


def load_truths(source: str | os.PathLike[str]) -> Truths:
    """The truths of a .toml file, or of one that comes with identkit, by its name.

    Raises :class:`~identkit.errors.InputError` for the first mistake, naming file, table and key.
    """
    label = os.fspath(source)
    if Path(label).suffix == ".toml":
        try:
            text = read_whole(label, MOST_BYTES).decode()
        except OSError as error:
            raise InputError(
                f"{label}: cannot be read ({error.strerror or 'it is damaged'}); give a .toml file."
            ) from None
        except UnicodeDecodeError:
            raise InputError(f"{label}: is not text in UTF-8; save it as that.") from None
    else:
        if label not in settings():
            error = unknown_name("truth", label, settings())
            raise InputError(f"{error} A file of your own ends in .toml.")
        path = resources.files("identkit.truths").joinpath(f"{label}.toml")
        text = path.read_text(encoding="utf-8")
    try:
        return _read(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{label}: is not TOML: {error}; correct that place.") from None
    except InputError as error:
        raise InputError(f"{label}: {error}") from None


# -- the file -------------------------------------------------------------------------------------


def _read(document: Mapping[str, Any]) -> Truths:
    _keys("top level", document, {"name", "source", "domain", "fitted", "truth"}, {"truth", "name"})
    tables = document["truth"]
    if not isinstance(tables, list) or not tables or not all(isinstance(t, dict) for t in tables):
        raise InputError("truth: write one or more tables under [[truth]].")
    source = _text("source", document.get("source", "your own"))
    found = []
    for index, table in enumerate(tables, start=1):
        try:
            found.append(_truth(table, document, source))
        except InputError as error:
            raise InputError(f"[[truth]] {index}: {error}") from None
    if len({t.name for t in found}) < len(found):
        raise InputError("truth: two have the same name; rename one.")
    return Truths(_text("name", document["name"]), source, tuple(found))


_KNOWN = {
    "name", "gate", "likelihood", "variance", "experts", "shared", "routed", "loss", "exponent",
}  # fmt: skip


def _truth(table: Mapping[str, Any], document: Mapping[str, Any], source: str) -> Truth:
    _keys("", table, _KNOWN, {"name", "gate", "experts", "routed"})
    experts = _table("experts", table["experts"])
    _keys("experts", experts, {"shared", "routed"}, {"routed"})
    domain = document.get("domain", [-3, 3])
    gate = resolve(
        _text("gate", table["gate"]), table.get("likelihood", "gaussian"), table.get("variance")
    )
    expert = _expert("experts: routed", experts["routed"])
    shared = None
    if "shared" in experts:
        shared = _expert("experts: shared", experts["shared"])
        if shared.inputs != expert.inputs:
            raise InputError("experts: shared and routed ones have other inputs; use the same.")
    setting = Setting(expert, gate, Deadline(SECONDS), shared)
    if not setting.plain:
        raise InputError(
            f"gate: a truth has numbers β1 and β0, which {gate.name} has not alone; choose "
            "softmax or normalized-sigmoid."
        )
    measure = ExactMeasure(
        tuple(_routed(setting, f"routed {i}", a) for i, a in _rows("routed", table["routed"])),
        tuple(_shared(setting, f"shared {i}", a) for i, a in _rows("shared", table.get("shared"))),
    )
    if (shared is None) != (not measure.shared):
        raise InputError("shared: give atoms and experts of the shared half, or neither.")
    if not setting.is_measure(measure):
        raise InputError("shared weights must be positive and sum to 1, variances positive.")
    _check_apart("routed", measure.routed)
    _check_apart("shared", measure.shared)
    own = (len(measure.shared), len(measure.routed))
    exponent = table.get("exponent")
    if exponent is not None and not (type(exponent) in (int, float) and math.isfinite(exponent)):
        raise InputError(f"exponent: {exponent!r} must be a number.")
    return Truth(
        name=_text("name", table["name"]),
        expert=expert,
        gate=gate,
        shared=shared,
        measure=measure,
        fitted=_fitted(document.get("fitted"), own),
        domain=Domain.of(domain if isinstance(domain, list) else [domain], expert.inputs),
        source=source,
        loss=None if "loss" not in table else _text("loss", table["loss"]),
        exponent=exponent,
    )


def _check_apart(half: str, atoms: Sequence[ExactAtom]) -> None:
    """Raise InputError for atoms that are one: any split of its weight has the same density."""
    seen: dict[Any, int] = {}
    for i, atom in enumerate(atoms, start=1):
        slopes = tuple(texts for block, texts in atom.weight if block == "beta1")
        own = (slopes, atom.eta, atom.variance)
        if own in seen:
            raise InputError(
                f"{half}: atoms {seen[own]} and {i} have the same slope, expert and variance, so "
                "that they are one atom; merge them."
            )
        seen[own] = i


def _routed(setting: Setting, where: str, atom: Mapping[str, Any]) -> Any:
    names = [block.name for block in setting.gate.blocks]
    own = {"variance"} if setting.density else set()
    _keys(where, atom, {*names, "eta", *own}, {*names, "eta", *own})
    gate: dict[str, Any] = {}
    for block in setting.gate.blocks:
        value = atom[block.name]
        wanted = [n for n, b in setting.numbers if b == block.name]
        values = value if isinstance(value, list) else [value]
        if len(values) != len(wanted):
            raise InputError(
                f"{where}: {block.name}: has {len(values)} numbers, not {len(wanted)}."
            )
        gate |= {
            n: _number(f"{where}: {block.name}", v) for n, v in zip(wanted, values, strict=True)
        }
    variance = _number(f"{where}: variance", atom["variance"]) if own else None
    return routed_atom(setting, gate, _eta(where, setting.expert, atom["eta"]), variance)


def _shared(setting: Setting, where: str, atom: Mapping[str, Any]) -> Any:
    own = {"omega", "eta", "variance"}
    _keys(where, atom, own, own)
    omega, variance = (_number(f"{where}: {key}", atom[key]) for key in ("omega", "variance"))
    return shared_atom(setting, omega, _eta(where, setting.beside, atom["eta"]), variance)


def _eta(where: str, expert: Expert, value: Any) -> dict[str, Any]:
    names = set(expert.parameters)
    values = _table(f"{where}: eta", value)
    _keys(f"{where}: eta", values, names, names)
    return {p: _number(f"{where}: eta: {p}", values[p]) for p in expert.parameters}


def _rows(name: str, value: Any) -> list[tuple[int, Mapping[str, Any]]]:
    rows = [] if value is None else value
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{name}: must be a list of atoms, each a table.")
    return list(enumerate(rows, start=1))


def _fitted(value: Any, own: tuple[int, int]) -> tuple[int, int]:
    if value is None:
        return own
    _keys("fitted", _table("fitted", value), {"shared", "routed"}, {"shared", "routed"})
    pair = (value["shared"], value["routed"])
    for key, count, least in zip(("shared", "routed"), pair, own, strict=True):
        if type(count) is not int or not least <= count <= 100 or (count > 0) != (least > 0):
            raise InputError(
                f"fitted: {key}: {count!r} must be a whole number from {least}, the atoms of the "
                "truth, to 100."
            )
    return pair


_SHAPED = re.compile(r"([a-z-]+[0-9]*)( [a-z]+)?", re.IGNORECASE)


def _expert(where: str, value: Any) -> Expert:
    text = _text(where, value)
    named = _SHAPED.fullmatch(text)
    try:
        if named and named[1].lower() in {*ACTIVATIONS, *SHAPELESS}:
            return builtin(named[1], named[2] and named[2].strip(), 1)
        return Expert.from_expression(text)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _number(where: str, value: Any) -> Any:
    """Exact: text in the grammar, or a number as it is written."""
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        value = str(Fraction(str(value)))
    try:
        number = parse(value) if isinstance(value, str) else None
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    if number is None:
        raise InputError(f"{where}: {value!r} is no number; write one, or a formula in quotes.")
    if number.free_symbols or enclosure(number) is None:
        raise InputError(f"{where}: {value!r} is no real number; write one such as 2/5.")
    return number


def _text(where: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where}: {value!r} must be a text in quotes.")
    if not value.strip().isprintable():
        raise InputError(f"{where}: {value!r} has a line break or alike; write it in one line.")
    return value.strip()


def _table(where: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where}: {value!r} must be a table in braces.")
    return value


def _keys(where: str, table: Mapping[str, Any], known: set[str], needed: set[str]) -> None:
    def say(text: str) -> str:
        return f"{where}: {text}" if where else text

    for key in table:
        if key not in known:
            raise InputError(say(str(unknown_name("key", key, sorted(known)))))
    for key in sorted(needed):
        if key not in table:
            raise InputError(say(f"{key}: is missing; add it."))
