"""What a command that an error ends says, and with which exit status."""

from __future__ import annotations

from errno import (
    EACCES,
    EDQUOT,
    EEXIST,
    EISDIR,
    ENAMETOOLONG,
    ENOSPC,
    ENOTDIR,
    EPERM,
    EROFS,
)
from typing import NamedTuple

import typer

from data_modules.errors import SermmError

# Wrong arguments of any kind. typer brings its own copy of click since 0.26 and exports the
# subclass alone.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]

# what a place for files may refuse, with the exit status: the input is wrong, or something failed
_OF_THE_PLACE = {
    **dict.fromkeys((EACCES, EPERM, EROFS, EEXIST, EISDIR, ENOTDIR, ENAMETOOLONG), 2),
    **dict.fromkeys((ENOSPC, EDQUOT), 1),
}


class Ending(NamedTuple):
    """One line for the user, and the exit status."""

    line: str
    status: int


def ending_of(error: Exception) -> Ending | None:
    """How an error ends a command; None for one that is a fault of the program."""
    if isinstance(error, SermmError):
        return Ending(_one_line(str(error)), error.exit_status)
    if isinstance(error, _UsageError):
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "sermm"
        message = getattr(error, "format_message", error.__str__)()
        return Ending(f"{command}: {_one_line(message)} See `{command} --help`.", 2)
    if isinstance(error, OSError) and error.errno in _OF_THE_PLACE and error.filename:
        place = error.filename2 or error.filename
        line = f"{place}: {error.strerror}; mend the place or choose another"
        return Ending(line, _OF_THE_PLACE[error.errno])
    return None


def _one_line(text: str) -> str:
    return " ".join(text.split())
