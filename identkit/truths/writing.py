"""Truths as a file: the TOML that :mod:`identkit.truths.record` reads."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

from identkit.architecture.measures import OMEGA
from identkit.architecture.records import ExactAtom
from identkit.errors import InputError
from identkit.files import check_target, write_whole
from identkit.likelihoods import resolve
from identkit.truths.record import Truth


def save_truth(path: str | os.PathLike[str], truth: Truth) -> None:
    """Write one truth to a ``.toml`` file, whole or not at all. Raises InputError."""
    check_truth_target(path)
    text = truth_text(truth)
    write_whole(path, lambda stream: stream.write(text.encode()))


def check_truth_target(path: str | os.PathLike[str]) -> None:
    """Raise InputError for a file that a truth of a density cannot be written to."""
    name = os.fspath(path)
    if not name.endswith(".toml"):
        raise InputError(f"--save '{name}': truths of densities are TOML; end it in .toml.")
    check_target(name, f"--save '{name}'")


def truth_text(truth: Truth) -> str:
    """The file of one truth; :func:`~identkit.truths.record.load_truths` reads the same back."""
    return "\n".join([*_head(truth), "", "[[truth]]", *_body(truth)]) + "\n"


def _head(truth: Truth) -> Iterator[str]:
    source = _text(truth.source)  # checks it
    yield f"# {truth.source}"
    yield f"name = {_text(truth.name)}"
    yield f"source = {source}"
    first, *others = truth.domain.intervals
    if any(interval != first for interval in others):
        raise InputError("domain: a file of truths has one interval for all inputs; give one.")
    yield f"domain = [{', '.join(_text(str(end)) for end in first)}]"
    m, k = truth.fitted
    yield f"fitted = {{shared = {m}, routed = {k}}}"


def _body(truth: Truth) -> Iterator[str]:
    yield f"name = {_text(truth.name)}"
    yield f"gate = {_text(truth.gate.name)}"
    likelihood = resolve(truth.gate.likelihood)
    yield f"likelihood = {_text(likelihood.family)}"
    if likelihood.variance is not None:
        yield f"variance = {_text(likelihood.variance)}"
    halves = {"shared": truth.shared, "routed": truth.expert}
    named = [f"{k} = {_text(v.text)}" for k, v in halves.items() if v is not None]
    yield f"experts = {{{', '.join(named)}}}"
    if truth.loss is not None:
        yield f"loss = {_text(truth.loss)}"
    if truth.exponent is not None:
        yield f"exponent = {truth.exponent!r}"
    for half, atoms in (("shared", truth.measure.shared), ("routed", truth.measure.routed)):
        if atoms:
            yield f"{half} = ["
            yield from (f"  {{{', '.join(_numbers(atom))}}}," for atom in atoms)
            yield "]"


def _numbers(atom: ExactAtom) -> Iterator[str]:
    for block, texts in atom.weight:
        several = block == "beta1"
        values = ", ".join(map(_text, texts))
        yield f"{'omega' if block == OMEGA else block} = {f'[{values}]' if several else values}"
    yield f"eta = {{{', '.join(f'{p} = {_text(text)}' for p, text in atom.eta)}}}"
    if atom.variance is not None:
        yield f"variance = {_text(atom.variance)}"


def _text(value: str) -> str:
    """A TOML string; the escapes of JSON that are left are among TOML's."""
    if not value.isprintable():
        raise InputError(f"truth: {value!r} has a line break or alike; write it in one line.")
    return json.dumps(value, ensure_ascii=False)
