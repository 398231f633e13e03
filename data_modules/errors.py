"""What the user can do wrong, as types.

Every error says where, what was expected, what was found and what to do next. The command line
prints ``error: WHERE: expected X, got Y; do Z`` on one line and leaves with ``exit_status``.
Programming mistakes stay built-in exceptions, so that they keep their traceback.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

STOPPED = 130
"""Exit status of a command that Ctrl-C, or a batch system, has ended."""

_LONGEST = 480


def one_line(text: str) -> str:
    """A text as one line that any terminal shows: files hold line ends, zeros and megabytes.

    What cannot be printed is spelt out as in Python's strings. Of long texts the middle is left
    out, and said so.
    """
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    if len(text) > _LONGEST:
        half = _LONGEST // 2
        text = f"{text[:half]} ... {len(text) - 2 * half} more ... {text[-half:]}"
    return text


class SermmError(Exception):
    """A mistake in the input, told in one line.

    Args:
        where: File with line, configuration key or command-line argument.
        expected: What would have been right.
        got: What was found there.
        fix: What to do about it, as an imperative.
    """

    exit_status = 2

    def __init__(self, where: object, *, expected: str, got: str, fix: str) -> None:
        self.where = one_line(str(where))
        self.expected = one_line(expected)
        self.got = one_line(got)
        self.fix = one_line(fix)
        super().__init__(f"{self.where}: expected {self.expected}, got {self.got}; {self.fix}")

    def __reduce__(self) -> tuple[object, ...]:
        # worker processes send errors by pickle, which would call the class with the message alone
        return _rebuild, (type(self), self.where, self.expected, self.got, self.fix)


def _rebuild(kind: type[SermmError], where: str, expected: str, got: str, fix: str) -> SermmError:
    return kind(where, expected=expected, got=got, fix=fix)


E = TypeVar("E", bound=SermmError)


class ConfigError(SermmError):
    """The configuration is wrong: a key, a type, a value."""


class DataError(SermmError):
    """A corpus, manifest or media file is not what it should be."""


class CorpusNotFoundError(DataError):
    """There is no release of the corpus at the given folder."""


class ManifestError(DataError):
    """A line of a manifest or of a corpus' own label file cannot be read."""


class MediaError(DataError):
    """An audio file is missing, unreadable, empty or shorter than its utterance."""


class LabelError(DataError):
    """A label value is unknown to the label scheme."""


class LeakError(DataError):
    """Parts of a fold share what the protocol says they must not share."""


class AlignmentError(DataError):
    """Words have no usable times."""


class ModelError(SermmError):
    """A pretrained model cannot be found, read or used."""


class CacheError(DataError):
    """A stored feature shard is damaged or belongs to something else."""


class RunFailedError(SermmError):
    """Something ran and failed: a fit, a check, a part of a plan."""

    exit_status = 1


class DownloadError(RunFailedError):
    """A file cannot be fetched, or what came is not what was published."""


def told_together(errors: Sequence[E]) -> E:
    """One error for all that expect what the first does, so that they are mended at once.

    Args:
        errors: At least one, in the order of their places.
    """
    first = errors[0]
    same = [error for error in errors if error.expected == first.expected]
    if len(same) == 1:
        return first
    found = Counter(error.got for error in same)
    return type(first)(
        first_ids([error.where for error in same], 3),
        expected=first.expected,
        got=first_ids([f"{got} ({count} times)" for got, count in found.most_common()]),
        fix=first.fix,
    )


def first_ids(ids: list[str], limit: int = 5) -> str:
    """``a, b, c (and 7 more)``: how errors name utterances without flooding the terminal."""
    shown = ", ".join(ids[:limit])
    rest = len(ids) - limit
    return f"{shown} (and {rest} more)" if rest > 0 else shown
