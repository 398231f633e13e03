"""Runs a parser over damaged copies of sound files and holds every answer to one rule.

A case is read, or refused by one line of text that names the file; nothing else may come out, and
no case may take longer than ``LIMIT_S``.
"""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from data_modules.errors import SermmError
from tests.fuzz.mutate import Mutation, mutate

LIMIT_S = 3.0
"""Of a processor, for one case; nearly all take some milliseconds."""

LONGEST_MESSAGE = 2_000
"""Letters of an error, the path in front left out."""


@dataclass(frozen=True)
class Parser:
    """A parser and what it needs.

    Attributes:
        name: For the names of tests and for the seeds.
        write: Fills a folder with sound input, and returns the files to damage with their kinds.
        read: Reads what lies in the folder.
        check: Called with the folder and what ``read`` gave: nothing is dropped in silence.
        cases: In the default suite.
        named: What an error may name in place of the file, such as a folder or a key.
    """

    name: str
    write: Callable[[Path], Sequence[tuple[Path, tuple[Mutation, ...]]]]
    read: Callable[[Path], Any]
    check: Callable[[Path, Any], None] = lambda folder, result: None
    cases: int = 150
    named: tuple[str, ...] = ()


class TooSlowError(BaseException):
    """A case took longer than it may; no parser catches it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TooSlowError in the middle of whatever takes longer."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TooSlowError

    # time of this process and no other; and what only waits is stopped too
    timers = ((signal.ITIMER_PROF, signal.SIGPROF, 1), (signal.ITIMER_REAL, signal.SIGALRM, 20))
    before = [signal.signal(number, stop) for _, number, _ in timers]
    for timer, _, times in timers:
        signal.setitimer(timer, seconds * times)
    try:
        yield
    finally:
        for (timer, number, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


def expect_told(error: SermmError, folder: Path, names: Sequence[str]) -> None:
    """An error is one line that can be printed, and names what is wrong."""
    text = str(error)
    assert "\n" not in text, repr(text)
    assert text.isprintable(), repr(text)
    text.encode("utf-8")
    assert any(name in text for name in names), text
    short = text.replace(str(folder), "")
    assert len(short) <= LONGEST_MESSAGE, f"{len(short)} letters: {short[:300]}"


def run_cases(parser: Parser, folder: Path, cases: Sequence[int] | range) -> Counter[str]:
    """Run some cases of a parser.

    Returns:
        How many were read and how many refused.

    Raises:
        AssertionError: A case broke the rule; the message says how to get it again.
    """
    files = parser.write(folder)
    with time_limit(LIMIT_S):
        parser.check(folder, parser.read(folder))
    sound = [path.read_bytes() for path, _ in files]
    told: Counter[str] = Counter()
    for case in cases:
        rng = random.Random(f"{parser.name} {case}")
        which = rng.randrange(len(files))
        path, kind = files[which]
        data, done = mutate(rng, sound[which], kind)
        path.write_bytes(data)
        names = (path.name, *parser.named)
        try:
            with time_limit(LIMIT_S):
                result = parser.read(folder)
                parser.check(folder, result)
            told["read"] += 1
        except SermmError as error:
            try:
                expect_told(error, folder, names)
            except (AssertionError, UnicodeEncodeError) as wrong:
                raise failure(parser, case, path, done) from wrong
            told["refused"] += 1
        except (Exception, TooSlowError) as error:
            raise failure(parser, case, path, done) from error
        finally:
            path.write_bytes(sound[which])
    return told


def failure(parser: Parser, case: int, path: Path, done: str) -> AssertionError:
    """Names a case that broke the rule."""
    return AssertionError(f"{parser.name}, case {case}: {path.name} after {done}")
