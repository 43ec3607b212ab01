"""The categorical likelihood: h gives logits, y is one of S classes.

An expert of S − 1 outputs has a logit for each class but the last, whose logit is 0:

    p_c(x, η) = exp(h_c) / (1 + Σ_l exp(h_l)),    P_G(y = c | x) = Σ_i weight_i(x)·p_c(x, η_i).

Weights sum to 1, so that the probability of class S is 1 minus that of the others, and two mixing
measures have the same probabilities just when they have the same first S − 1. These are the
regression function of a mixture of the experts p = (p_1, …, p_{S−1}). For logits in a compact set
all probabilities are bounded below, so that the Hellinger distance is between two multiples of the
L² distance of these functions: conditions, second order and rates are those of least squares with
the expert p in the place of h (theory section 8).

Source: arXiv 2310.14188; proofs_check/test_categorical.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import sympy as sp

from identkit.errors import InputError, whole
from identkit.experts import MAX_COMPONENTS, Expert
from identkit.expression import free_names
from identkit.likelihoods.contract import Likelihood
from identkit.likelihoods.density import LogDensity

if TYPE_CHECKING:
    import numpy as np

NAME = "categorical"


@dataclass(frozen=True)
class Probabilities(Expert):
    """The probabilities of all classes but the last, as functions of the logits that are written.

    Names and texts are those of the logits.
    """

    symbol: ClassVar[str] = "p"

    @cached_property
    def functions(self) -> tuple[sp.Expr, ...]:
        """p_1 … p_{S−1} as SymPy expressions."""
        logits = super().functions
        if len(logits) == 1:
            return (1 / (1 + sp.exp(-logits[0])),)
        weights = [sp.exp(h) for h in logits]
        return tuple(w / (1 + sp.Add(*weights)) for w in weights)

    @property
    def meaning(self) -> str:
        """What p is."""
        count = len(self.components)
        if count == 1:
            return "p(x) = 1/(1 + exp(-h(x))), the probability of the first of 2 classes"
        return (
            f"p_c(x) = exp(h_c(x))/(1 + Σ_l exp(h_l(x))), c = 1, …, {count}: the probabilities of "
            f"{count + 1} classes but the last, whose logit is 0"
        )


def seen(expert: Expert) -> Expert:
    """The probabilities whose logits the expert gives."""
    return Probabilities(
        expert.name,
        expert.text,
        expert.inputs,
        expert.parameters,
        expert.shape,
        expert.family,
    )


def with_classes(expert: Expert, classes: int) -> Expert:
    """An expert of one output with its own parameters for each logit but the last.

    >>> from identkit.experts import builtin
    >>> with_classes(builtin("linear", dim=1), 3).text
    'a_1*x + b_1; a_2*x + b_2'

    Raises :class:`~identkit.errors.InputError` for an expert of several outputs, which has its
    classes already, and a number that is out of range.
    """
    if expert.markers:
        raise InputError(
            f"--classes {classes}: '{expert.text[:60]}' has {len(expert.markers)} logits, of "
            f"{len(expert.markers) + 1} classes; drop --classes."
        )
    if not 2 <= whole("--classes", classes, least=0) <= MAX_COMPONENTS + 1:
        raise InputError(f"--classes {classes}: give from 2 to {MAX_COMPONENTS + 1} classes.")
    if classes == 2:
        return expert
    if not any(set(expert.inputs) & free_names(h) for h in expert.functions):
        raise InputError(
            f"--classes {classes}: expert {expert.label} ignores x, and further logits that do are "
            "parameters without an expert; drop --classes."
        )
    taken = {*expert.inputs, *expert.parameters}
    numbers = [str(c) for c in range(1, classes)]
    joint = "_"
    while taken & {p + joint + n for p in expert.parameters for n in numbers}:
        joint += "c"  # two _ in a row are no name
    names = "|".join(map(re.escape, sorted(expert.parameters, key=len, reverse=True)))
    word = re.compile(rf"(?<![A-Za-z0-9_.])(?:{names})(?![A-Za-z0-9_])")
    return Expert.from_expression(
        [word.sub(lambda found: found[0] + joint + n, expert.text) for n in numbers],  # noqa: B023
        dim=expert.dim,
        parameters=tuple(p + joint + n for n in numbers for p in expert.parameters),
    )


def _logarithm(h: tuple[Any, ...], y: tuple[Any, ...], _: Any) -> Any:
    chosen = sp.Add(*(own * value for own, value in zip(y, h, strict=True)))
    return chosen - sp.log(1 + sp.Add(*map(sp.exp, h)))


def _columns(y: Any, m: int) -> Any:
    """1 in the column of the class, counted from 0; a row of zeros for the last one."""
    import numpy as np

    return (np.asarray(y)[..., None] == np.arange(m)).astype(np.float64)


def probabilities(h: Any) -> Any:
    """The probabilities of all classes (…, m + 1, n) from logits (…, m, n)."""
    import numpy as np

    logits = np.concatenate([h, np.zeros_like(h[..., :1, :])], axis=-2)
    shares = np.exp(logits - logits.max(axis=-2, keepdims=True))
    return shares / shares.sum(axis=-2, keepdims=True)


def _draw(rng: np.random.Generator, h: Any, _: Any) -> Any:
    heights = probabilities(h).cumsum(axis=-2)
    return (rng.uniform(size=h.shape[-1]) >= heights[:-1]).sum(axis=0).astype(float)


def _responses(m: int) -> int:
    return m


DENSITY = LogDensity(
    formula=_logarithm,
    columns=_columns,
    draw=_draw,
    responses=_responses,
    spread=False,
)
"""The logarithm of a class's probability."""
LIKELIHOOD = Likelihood(
    name=NAME,
    title="the categorical likelihood",
    estimates="the probabilities of S classes given x; h gives S − 1 logits, the last is 0",
    source="arXiv 2310.14188; identkit",
    model="P_G(y = c | x) = Σ_i weight_i(x)·p_c(x, η_i), c = 1, …, S",
    letter="p",
    distance="the Hellinger distance of p_G and p_G*",
    estimated="p is estimated at n^-1/2 up to logarithms",
    seen=seen,
    with_classes=with_classes,
    divided=True,
    density=DENSITY,
)
