"""A layer of torch by name: ``file.py:NAME`` or ``package.module:NAME``.

NAME is a module, or a class or function that makes one, of nothing or of a configuration. The
user's code is imported and called: whatever it raises is told in one sentence.
"""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import nn

from identkit.errors import InputError, unknown_name
from identkit.foreign import FAILS
from identkit.layers.config import keys_of

MOST = 200_000_000
"""Numbers of a layer: read in float64, with a copy of them, they take 3 GB."""


def load(place: str, name: str, *, config: str | None = None, seed: int = 0) -> nn.Module:
    """The module ``name`` of ``place``, a file that ends in .py or a dotted module.

    ``config`` is a JSON file from which a class or function makes one, as an object that has its
    keys as attributes; for a class of transformers it is that family's configuration. ``seed`` is
    that of the numbers with which it is made. What it prints goes to standard error. Raises
    :class:`~identkit.errors.InputError` for what is not there, what the code raises, and a module
    of more than :data:`MOST` numbers, which is looked at before it is made.
    """
    label = f"{place}:{name}"
    with (
        redirect_stdout(sys.stderr),
        torch.random.fork_rng(devices=[]),
        warnings.catch_warnings(),
    ):
        # a map without numbers is refused when the module is read
        warnings.filterwarnings("ignore", message="Initializing zero-element tensors")
        torch.manual_seed(seed)
        found: Any = _imported(place)
        for part in name.split("."):
            with _told(label, "looking it up"):  # a package may import when it is asked
                if not hasattr(found, part):
                    known = [key for key in dir(found) if not key.startswith("_")]
                    raise unknown_name(f"name in {place}", part, known)
                found = getattr(found, part)
        if isinstance(found, nn.Module):
            if config is not None:
                raise InputError(f"{label}: is made already; leave out --config.")
            return _of_bounded_size(label, found)
        torch.manual_seed(seed)
        if not callable(found):
            raise InputError(
                f"{label}: is of type {type(found).__name__}; give a module of torch, or a class "
                "or function that makes one."
            )
        return _made(label, found, config)


# -- the user's code ------------------------------------------------------------------------------


def _imported(place: str) -> ModuleType:
    if not place.endswith(".py"):
        if "" not in sys.path:
            sys.path.insert(0, "")  # as for python -m: modules of the working directory are found
        with _told(place, "importing it"):
            try:
                return import_module(place)
            except ModuleNotFoundError as error:
                if place != error.name and not place.startswith(f"{error.name}."):
                    raise
                raise InputError(
                    f"{place}: no module {error.name} is found from here; give file.py:NAME, or "
                    "install it."
                ) from None
    path = Path(place).resolve()
    if not path.is_file():
        raise InputError(f"{place}: no such file; give file.py:NAME.")
    own = "_".join(path.with_suffix("").parts[1:])  # two files of one name are two modules
    if own in sys.modules:
        return sys.modules[own]
    spec = spec_from_file_location(own, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[own] = module_from_spec(spec)  # dataclasses look for themselves there
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))  # as for python file.py
    try:
        with _told(place, "importing it"):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[own]
        raise
    return module


@contextmanager
def _told(label: str, doing: str, remedy: str = "repair it") -> Iterator[None]:
    """Whatever the user's code raises becomes one sentence with the line that raised it."""
    try:
        yield
    except InputError:
        raise
    except ModuleNotFoundError as error:
        raise InputError(f"{label}: {doing} needs {error.name}; install it.") from None
    except FAILS as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if f.filename != __file__]  # the call itself may fail
        where = f" in {Path(own[-1].filename).name}, line {own[-1].lineno}" if own else ""
        said = (str(error).splitlines() or [""])[0][:150]
        raise InputError(
            f"{label}: {doing} raises {type(error).__name__}"
            + (f" ({said})" if said else "")
            + f"{where}; {remedy}."
        ) from None


# -- a module of a class --------------------------------------------------------------------------


def _made(label: str, factory: Callable[..., Any], config: str | None) -> nn.Module:
    remedy = "repair it" if config else "repair it, or give --config FILE if it takes one"
    given = () if config is None else (_configuration(label, factory, config),)
    _of_bounded_size(label, _without_numbers(factory, given))
    with _told(label, "making it", remedy):
        made = factory(*given)
    if not isinstance(made, nn.Module):
        raise InputError(
            f"{label}: makes a {type(made).__name__}; give a class or function that makes a module "
            "of torch."
        )
    return _of_bounded_size(label, made)


def _without_numbers(factory: Callable[..., Any], given: tuple[Any, ...]) -> Any:
    """The module without memory for its numbers; None where it needs them to be made."""
    try:
        with torch.device("meta"):
            return factory(*given)
    except FAILS:  # told when it is made with numbers, if it fails then too
        return None


def _of_bounded_size(label: str, made: Any) -> Any:
    """``made``, if it is no module of too many numbers. Raises InputError."""
    if isinstance(made, nn.Module):
        with _told(label, "listing its numbers"):
            tensors = (*made.parameters(), *made.buffers())
        if any(nn.parameter.is_lazy(t) for t in tensors):
            raise InputError(f"{label}: has no sizes yet; call it once before, or give them.")
        count = sum(t.numel() for t in tensors)
        if count > MOST:
            raise InputError(
                f"{label}: has {count:,} numbers, and at most {MOST:,} are read; make it with "
                "smaller widths or fewer experts (what is found holds for every width), or give "
                "a config.json of transformers, which is read without numbers."
            )
    return made


def _configuration(label: str, factory: Callable[..., Any], path: str) -> Any:
    keys = keys_of(path)
    if str(getattr(factory, "__module__", "")).partition(".")[0] != "transformers":
        return _attributes(keys)
    family = keys.pop("model_type", None)
    if not isinstance(family, str):
        raise InputError(f"{path}: model_type is missing; add that of {label}.")
    from transformers import AutoConfig

    with _told(path, "making a configuration of it"):
        return AutoConfig.for_model(family, **keys).get_text_config()


def _attributes(value: Any) -> Any:
    """Mappings as objects with their keys as attributes, at every depth."""
    if isinstance(value, dict):
        return SimpleNamespace(**{key: _attributes(inner) for key, inner in value.items()})
    return [_attributes(inner) for inner in value] if isinstance(value, list) else value
