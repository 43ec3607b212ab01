"""argparse with errors of one sentence: the nearest known name, and which help to ask."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from identkit.errors import InputError


class Parser(argparse.ArgumentParser):
    """argparse whose errors are InputErrors (exit code 2)."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see '{self.prog} --help'.")

    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, args: Any = None, namespace: Any = None
    ) -> Any:
        """As argparse's, but what is left over is an error of the parser that leaves it.

        Positional arguments may stand on both sides of options: before Python 3.13 argparse takes
        all optional ones where the first stands.
        """
        given = sys.argv[1:] if args is None else list(args)
        if self._subparsers is None:
            # first: argparse would speak of a required option, though it is there misspelt
            self._refuse_unknown_options(given)
        found, rest = super().parse_known_args(given, namespace)
        for action in self._get_positional_actions():
            if rest and action.nargs == "?" and getattr(found, action.dest, "") is None:
                if rest[0].startswith("-"):
                    break
                setattr(found, action.dest, rest.pop(0))
        if rest:
            self._refuse(rest[0])
        return found, rest

    def _refuse_unknown_options(self, given: Sequence[str]) -> None:
        for argument in given:
            if argument == "--":
                return
            name = argument.partition("=")[0]
            known = self._option_string_actions
            if name.startswith("--") and " " not in name and not any(
                option.startswith(name) for option in known
            ):  # fmt: skip
                self._refuse(name)

    def _refuse(self, argument: str) -> NoReturn:
        if not argument.startswith("-"):
            raise InputError(
                f"'{argument}' is one argument too many; drop it, or see '{self.prog} --help'."
            )
        known = [name for name in self._option_string_actions if name.startswith("--")]
        raise InputError(_nearest("option", argument, known, self.prog))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Of commands an unknown one is told its neighbour, not the whole list."""
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            raise InputError(_nearest("command", value, list(action.choices), self.prog))
        super()._check_value(action, value)


def _nearest(kind: str, name: str, known: Sequence[str], prog: str) -> str:
    """What is unknown, the known name that is nearest, if one is near, and which help has all."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"unknown {kind} '{name}'; did you mean {near[0]}? See '{prog} --help'."
    return f"unknown {kind} '{name}'; see '{prog} --help'."
