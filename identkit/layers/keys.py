"""The keys of a configuration: each read once, with its default, its type and what is refused."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from identkit.errors import InputError

ABOUT_EXPERTS = re.compile(r"expert|rout|top_?k|moe|swiglu|scor|n_group|gat(e|ing)|shared")
"""Keys that may change what such a layer computes: one of these that is not known is refused."""
UNUSED = frozenset({
    "output_router_logits", "router_aux_loss_coef", "router_jitter_noise", "router_z_loss_coef",
    "router_dtype", "router_ignore_padding_tokens", "add_router_probs", "moe_layer_freq",
    "moe_layers", "interleave_moe_layer_step", "num_sparse_encoder_layers",
    "num_sparse_decoder_layers",
})  # fmt: skip
"""Of losses, of noise in training, of which layers have experts: none is in the function."""


class Keys:
    """A configuration that notes which keys were read, and which had to be assumed.

    ``defaults`` are those of the family's class, ``aliases`` other names for a key.
    """

    def __init__(
        self,
        family: str,
        given: Mapping[str, Any],
        defaults: Mapping[str, Any],
        aliases: Mapping[str, str],
    ) -> None:
        self.family, self.given = family, dict(given)
        self.defaults, self.aliases = defaults, aliases
        self.read: set[str] = set()
        self.assumed: dict[str, str] = {}

    def _raw(self, key: str) -> Any:
        """The value of a key, under its alias, or the default. Raises InputError without one."""
        names = [key, *(a for a, of in self.aliases.items() if of == key)]
        self.read |= {*names}
        found = {n: self.given[n] for n in names if n in self.given}
        values = list(found.values())
        if any(v != values[0] for v in values[1:]):
            raise InputError(f"configuration: {' and '.join(found)} differ; leave one out.")
        if values:
            return values[0]
        default = self.defaults.get(key)
        if default is None:
            raise InputError(f"configuration: {key} is missing, of {self.family}; add it.")
        self.assumed[key] = str(default).lower() if isinstance(default, bool) else str(default)
        return default

    def count(self, key: str, *, least: int = 1) -> int:
        """A whole number. Raises InputError."""
        value = self._raw(key)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 10**9:
            raise InputError(
                f"configuration: {key} is {str(value)[:40]}; give a whole number, {least} or more."
            )
        return value

    def flag(self, key: str) -> bool:
        """True or false. Raises InputError."""
        value = self._raw(key)
        if not isinstance(value, bool):
            raise InputError(f"configuration: {key} is {str(value)[:40]}; give true or false.")
        return value

    def number(self, key: str) -> str:
        """A positive number, as its shortest exact text. Raises InputError."""
        value = self._raw(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
            raise InputError(f"configuration: {key} is {str(value)[:40]}; give a positive number.")
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)

    def word(self, key: str, known: Collection[str]) -> str:
        """One of some names. Raises InputError."""
        value = self._raw(key)
        if not isinstance(value, str) or value not in known:
            raise InputError(
                f"configuration: {key} '{str(value)[:40]}' of {self.family} is not read; known: "
                f"{', '.join(sorted(known))}."
            )
        return value

    def has(self, key: str) -> bool:
        """Whether it is given, other than null; a null counts as read."""
        self.read.add(key)
        return self.given.get(key) is not None

    def fixed(self, key: str, value: Any, why: str) -> None:
        """That a key, where given, has the one value that is read. Raises InputError."""
        self.read.add(key)
        if self.given.get(key, value) not in (value, None):
            raise InputError(
                f"configuration: {key} {str(self.given[key])[:40]} of {self.family} is not read; "
                f"{why}."
            )

    def nothing_left(self, unused: Collection[str]) -> None:
        """Raise InputError for a key about experts or routers that nobody has read."""
        for key, value in self.given.items():
            known = key in self.read or key in UNUSED or key in unused
            if not known and ABOUT_EXPERTS.search(key) and value not in (None, False, {}, []):
                raise InputError(
                    f"configuration: {key} is not known of {self.family}, and may change what its "
                    "layer computes; remove it if it does not."
                )
