"""Files that appear whole or not at all, and reading no more than was asked for."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Callable, Collection
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


def check_target(path: str | os.PathLike[str], label: str) -> Path:
    """The file, which can be written. Raises InputError, with ``label``, before any work if not."""
    target = regular(path, label)
    if not target.parent.is_dir() or not os.access(target.parent, os.W_OK):
        raise InputError(
            f"{label}: its directory does not exist or cannot be written to; choose another path."
        )
    return target


def check_apart(path: str | os.PathLike[str] | None, data: str, option: str) -> None:
    """Raise InputError where a file to be written is the one that the data are read from."""
    if path is None or data == "-":
        return
    if os.path.exists(path) and os.path.exists(data) and os.path.samefile(path, data):
        raise InputError(
            f"{option} {path}: the data are in this file, and would be replaced; choose another."
        )


def check_json_target(path: str, option: str = "--save") -> None:
    """Raise InputError, before any work, if a JSON file cannot be written there."""
    label = f"{option} '{path}'"
    if regular(path, label).suffix.lower() != ".json":
        raise InputError(f"{label}: the name must end in .json.")
    check_target(path, label)


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


def read_whole(path: str | os.PathLike[str], most: int) -> bytes:
    """The content of a file of at most ``most`` bytes.

    Raises InputError for a longer one and for what is no regular file (a pipe or a device may never
    end), OSError as the system does.
    """
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        raise InputError(f"{path}: is not a regular file; give the path of one.")
    with open(path, "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise InputError(f"{path}: has more than {most:,} bytes, the most that are read.")
    return content


def check_unpacked(
    path: str | os.PathLike[str], most: int, only: Collection[str] | None = None
) -> None:
    """Raise InputError where the arrays of an NPZ file (``only`` these) exceed ``most`` bytes.

    The sizes are those that its directory declares, beyond which zipfile does not read. Raises what
    zipfile raises for a file that is not an archive.
    """
    names = None if only is None else {f"{name}.npy" for name in only}
    with zipfile.ZipFile(path) as archive:
        size = sum(i.file_size for i in archive.infolist() if names is None or i.filename in names)
    if size > most:
        raise InputError(
            f"{path}: unpacks to {size:,} bytes, at most {most:,} are read; save fewer rows."
        )
