"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from identkit.errors import InputError


def regular(path: str | os.PathLike[str], label: str) -> Path:
    """The file that ``path`` names. Raises InputError, with ``label``, if it is something else."""
    try:
        target = Path(path).resolve()
        if str(path) and (target.is_file() or not target.exists()):
            return target
        reason = "is not a regular file"
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a name too long
        reason = f"cannot be used ({getattr(error, 'strerror', None) or error})"
    raise InputError(f"{label}: {reason}; choose another path.")


def write_whole(
    path: str | os.PathLike[str], write: Callable[[BinaryIO], object], option: str = ""
) -> None:
    """Replace ``path`` by what ``write`` writes to a stream, once that is complete.

    Raises :class:`~identkit.errors.InputError`, with ``option`` (as in ``--save``) before the
    path, if it cannot be written; a file there before is then untouched.
    """
    label = f"{option} {path}".strip()
    target = regular(path, label)
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".identkit-")
        try:
            with os.fdopen(handle, "wb") as stream:
                write(stream)
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(name, 0o666 & ~umask)  # mkstemp makes private files
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise InputError(
            f"{label}: cannot be written ({error.strerror}); choose another path."
        ) from None
