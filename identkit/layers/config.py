"""Reading a configuration of ``transformers``: JSON without weights, without the network."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from identkit.errors import InputError, unknown_name
from identkit.layers.families import FAMILIES
from identkit.layers.record import Architecture

NAME = "config.json"
MAX_BYTES = 4 * 2**20


def read_config(source: str | os.PathLike[str] | Mapping[str, Any]) -> Architecture:
    """The layer that a configuration describes: a file, a directory with config.json, or a mapping.

    >>> found = read_config({"model_type": "mixtral", "num_local_experts": 16})
    >>> found.router.count, found.router.selected, found.expert.width
    (16, 2, 14336)

    Raises :class:`~identkit.errors.InputError` for what is no such file, a family that is not
    known, and a key that this family's layer does not have or that has a value that is not read.
    """
    if isinstance(source, Mapping):
        return _of(source, str(source.get("_name_or_path") or source.get("model_type", "")))
    path = Path(source)
    if path.is_dir():
        path = path / NAME
    return _of(keys_of(path), path.stem if path.name != NAME else path.resolve().parent.name)


def keys_of(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The keys of a JSON file. Raises InputError for what is none."""
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: larger than {MAX_BYTES} bytes; give a configuration file.")
        given = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; give a {NAME}.") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path}: not JSON; give a {NAME} of transformers.") from None
    if not isinstance(given, dict):
        raise InputError(f"{path}: holds no keys; give a {NAME} of transformers.")
    return given


def _of(given: Mapping[str, Any], source: str) -> Architecture:
    family = given.get("model_type")
    if not isinstance(family, str):
        raise InputError(f"configuration: model_type is missing; known: {', '.join(FAMILIES)}.")
    if family not in FAMILIES:
        raise unknown_name("model_type", family, FAMILIES)
    row = FAMILIES[family]
    part = given.get(row.text) if row.text else None
    if part is not None:
        if not isinstance(part, Mapping):
            raise InputError(f"configuration: {row.text} holds no keys; give the text model's.")
        given = part
    return row.read(family, given, source)
