"""A layer of torch as an :class:`~identkit.layers.record.Architecture`.

Read is a module of the common shape (:mod:`identkit.layers.parts`): experts of one form, one matrix
of scores (n, d), perhaps shared experts. Each expert is traced (:mod:`identkit.layers.traced`). How
experts are weighed is not read from the code: every known router is evaluated and compared with
the module's forward (:mod:`identkit.layers.weighing`); one that agrees is taken, and where none
does the module is refused. Its numbers are drawn anew for that: a router that begins at 0, or a
selection bias, would tell nothing.
"""

from __future__ import annotations

import copy
import math
import sys
from contextlib import redirect_stdout

import torch
from torch import nn

from identkit.errors import InputError
from identkit.foreign import FAILS, said
from identkit.layers.parts import Parts, parts_of
from identkit.layers.record import Architecture, SharedExperts
from identkit.layers.traced import form_of, traced
from identkit.layers.weighing import agreeing

EQUAL = 256
"""Equal inputs at once, which a layer that drops some of them does not map to equal outputs."""
SPREAD = 3.0
"""Of what maps with generic numbers give at generic inputs: clamps at 7 are reached."""


def read_module(layer: nn.Module, *, seed: int = 0) -> Architecture:
    """The architecture of a layer, x of shape (tokens, d) or (1, tokens, d).

    ``seed`` is that of the numbers and inputs at which its forward is compared. The module is
    copied, not changed. What its code prints goes to standard error. Raises
    :class:`~identkit.errors.InputError`, which names what is not read.
    """
    with redirect_stdout(sys.stderr):
        try:
            return _read(layer, seed)
        except SystemExit as error:  # where the module's code runs beside its forward
            raise InputError(
                f"layer {type(layer).__name__}: its code ends the program ({said(error)}); raise "
                "an error instead."
            ) from None


def _read(layer: nn.Module, seed: int) -> Architecture:
    name = type(layer).__name__
    try:
        own = copy.deepcopy(layer).double().eval()
    except FAILS as error:  # of what the module holds besides numbers
        raise InputError(f"layer {name}: cannot be copied ({said(error)}); make it anew.") from None
    for key, tensor in own.named_parameters():
        if tensor.ndim > 1 and not tensor.numel():
            raise InputError(
                f"layer {name}: {key} has no numbers, its shape is {tuple(tensor.shape)}; give it "
                "sizes of 1 or more."
            )
    generator = torch.Generator().manual_seed(seed)
    _draw(own, generator)
    parts = parts_of(own)
    form = form_of(parts.experts, parts.weight.shape[1], seed)
    with torch.no_grad():
        router, compared = agreeing(
            own, parts, lambda x: _forward(own, x) - _added(parts, x), generator
        )
        one = torch.randn((1, parts.weight.shape[1]), generator=generator, dtype=torch.float64)
        equal = _forward(own, one.expand(EQUAL, -1).clone())
    inputs = ", ".join(f"{count} times {scale:g}" for scale, count in compared.items())
    notes = [
        "the router agrees with the module's forward at random inputs, its numbers drawn with seed "
        f"{seed}: normal inputs, {inputs}; at others nothing is known"
    ]
    if not torch.allclose(equal, equal[:1].expand_as(equal), rtol=1e-6, atol=1e-9):
        notes.append(
            f"what a token gives depends on other tokens: of {EQUAL} equal ones some are dropped"
        )
    return Architecture(
        family="module",
        source=name,
        router=router,
        expert=form,
        hidden=parts.weight.shape[1],
        shared=_shared(parts, seed),
        output_bias=parts.output_bias is not None,
        notes=tuple(notes),
    )


def _draw(layer: nn.Module, generator: torch.Generator) -> None:
    """Generic numbers for every parameter, and for buffers of selection biases."""
    with torch.no_grad():
        for tensor in layer.parameters():
            if not tensor.is_floating_point():
                continue  # such as tables of indices
            if tensor.ndim < 2:
                tensor.normal_(0, 0.5, generator=generator)
                if tensor.numel() == 1:
                    tensor.abs_().add_(0.5)  # a temperature is positive
            else:
                spread = 1 if tensor.ndim == 2 else SPREAD
                tensor.normal_(0, spread / math.sqrt(tensor.shape[-1]), generator=generator)
        parts = parts_of(layer)
        if parts.selection is not None:
            parts.selection.normal_(0, 0.3, generator=generator)


def _shared(parts: Parts, seed: int) -> SharedExperts | None:
    if not parts.shared:
        return None
    width = sum(traced(expert, seed).form.width for expert in parts.shared)
    return SharedExperts(len(parts.shared), width, parts.shared_gate is not None)


def _forward(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Its output (points, d), whichever of the two shapes it takes."""
    failure = None
    for given in (x[None], x):
        try:
            out = layer(given.clone())  # it may write into what it is given
        except FAILS as error:  # of a forward that takes the other shape
            failure = error
            continue
        first = out[0] if isinstance(out, tuple | list) else out
        if isinstance(first, torch.Tensor) and first.numel() == x.numel():
            return first.reshape(x.shape)
    reason = "" if failure is None else f" ({said(failure)})"
    raise InputError(
        f"layer {type(layer).__name__}: its forward makes no tensor like x of it, of shape "
        f"(1, {x.shape[0]}, {x.shape[1]}) or ({x.shape[0]}, {x.shape[1]}){reason}."
    )


def _added(parts: Parts, x: torch.Tensor) -> torch.Tensor:
    """What shared experts add, and a vector."""
    total = torch.zeros_like(x)
    for expert in parts.shared:
        try:
            total = total + expert(x)
        except FAILS as error:  # of whatever it does with an input of the layer
            raise InputError(
                f"shared expert {type(expert).__name__}: fails on x of {x.shape[1]} inputs "
                f"({said(error)}); give it as many inputs and outputs."
            ) from None
    total = total if parts.shared_gate is None else parts.shared_gate(x).sigmoid() * total
    return total if parts.output_bias is None else total + parts.output_bias
