"""Praat TextGrid files, of either text format and any encoding, to tiers of intervals.

Praat reads such a file as a row of free-standing numbers, quoted texts and flags, and skips what
stands between them; so does this reader, and the long and the short format are one to it
(https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html). Which utterance a file
belongs to is the business of ``textgrid_words.py``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from data_modules.errors import AlignmentError
from data_modules.manifest import Word

SOURCE = "textgrid"
UNKNOWN_WORD = "<unk>"
"""What stands for a word that the aligner heard and could not name."""

_SILENCES = {"", "sil", "sp", "<eps>", "<sil>", "<p:>"}
_UNKNOWN_WORDS = {"spn", "<spn>", "<unk>", "[unk]"}
_WORD_TIERS = ("words", "word")

_TOKEN = re.compile(
    r'"(?P<text>[^"]*(?:""[^"]*)*)"|(?P<open>")|(?P<comment>![^\n]*)|<(?P<flag>\w+)>|[^\s"]+'
)
# Praat takes "2.3s" for a number too
_NUMBER = re.compile(r"([-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)s?", re.ASCII)
_FIX = "save it anew in Praat (Save as text file), or remove it"


@dataclass(frozen=True, slots=True)
class Interval:
    """A labelled stretch of time, in seconds from the start of the audio."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Tier:
    """An interval tier; its intervals start one after the other."""

    name: str
    intervals: tuple[Interval, ...]


@dataclass(frozen=True, slots=True)
class TextGrid:
    """A file's content.

    Attributes:
        start_s: Where its time begins.
        end_s: Where its time ends, as a rule the length of the audio.
        tiers: Interval tiers in their order; tiers of points are read past.
        encoding: How the text was decoded.
    """

    start_s: float
    end_s: float
    tiers: tuple[Tier, ...]
    encoding: str


def read_textgrid(path: Path) -> TextGrid:
    """Read a file.

    Raises:
        AlignmentError: It is no TextGrid, or a damaged one; the error names the line.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise AlignmentError(
            path, expected="a file that may be read", got=str(error.strerror), fix=_FIX
        ) from None
    return parse_textgrid(data, str(path))


def parse_textgrid(data: bytes, where: str) -> TextGrid:
    """Read the bytes of a file.

    Args:
        data: In UTF-8, UTF-16 or Latin-1, with any line ends.
        where: Name of the file for the error.

    Raises:
        AlignmentError: As :func:`read_textgrid`.
    """
    if data.startswith(b"ooBinaryFile"):
        raise AlignmentError(
            f"{where}:1", expected="a TextGrid as text", got="Praat's binary format", fix=_FIX
        )
    text, encoding = _decode(data, where)
    reader = _Reader(text, where)
    reader.take_header()
    start_s, end_s = reader.take_span("the grid")
    tiers = []
    for _ in range(reader.take_count("tiers") if reader.take_flag() else 0):
        tier = reader.take_tier()
        if tier is not None:
            tiers.append(tier)
    reader.expect_end()
    return TextGrid(start_s, end_s, tuple(tiers), encoding)


def _decode(data: bytes, where: str) -> tuple[str, str]:
    """Text with line feeds, and its encoding: as a mark says, else UTF-8, else Latin-1."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    elif data[:1] == b"\0" or data[1:2] == b"\0":
        encodings = ["utf-16-be" if data[:1] == b"\0" else "utf-16-le"]
    else:
        encodings = ["utf-8-sig", "latin-1"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        return text.replace("\r\n", "\n").replace("\r", "\n"), encoding.removesuffix("-sig")
    raise AlignmentError(
        f"{where}:1", expected="text in UTF-16, as its first bytes say", got="other bytes", fix=_FIX
    )


class _Reader:
    """Free-standing numbers, texts and flags of a file, one after the other."""

    def __init__(self, text: str, where: str) -> None:
        self._where = where
        self._line = 1
        self._tokens = self._split(text)

    def _split(self, text: str) -> Iterator[float | str | bool]:
        """Numbers, texts (with a quote in front, so that they are no numbers) and flags."""
        before = 0
        for match in _TOKEN.finditer(text):
            self._line += text.count("\n", before, match.start())
            before = match.start()
            if match["open"]:
                raise self._error("a closing quote", "none up to the end of the file")
            if match["text"] is not None:
                yield '"' + match["text"].replace('""', '"')
            elif match["flag"] is not None:
                yield match["flag"] == "exists"
            elif match["comment"] is None and (number := _NUMBER.fullmatch(match[0])):
                yield float(number[1])

    def _error(self, expected: str, got: str) -> AlignmentError:
        return AlignmentError(f"{self._where}:{self._line}", expected=expected, got=got, fix=_FIX)

    def _next(self, expected: str) -> float | str | bool:
        try:
            return next(self._tokens)
        except StopIteration:
            raise self._error(expected, "the end of the file") from None

    def take_header(self) -> None:
        for expected in ("ooTextFile", "TextGrid"):
            found = self._next(f'"{expected}"')
            if not isinstance(found, str) or found[1:].removesuffix(" short") != expected:
                raise self._error(f'"{expected}" in the head of a TextGrid', _shown(found))

    def take_flag(self) -> bool:
        found = self._next("<exists> or <absent>")
        if not isinstance(found, bool):
            raise self._error("<exists> or <absent>", _shown(found))
        return found

    def take_number(self, what: str) -> float:
        found = self._next(what)
        # True is no number of this file, though it is one of Python's
        if not isinstance(found, float) or not math.isfinite(found):
            raise self._error(what, _shown(found))
        return found

    def take_text(self, what: str) -> str:
        found = self._next(what)
        if not isinstance(found, str):
            raise self._error(what, _shown(found))
        return found[1:]

    def take_count(self, what: str) -> int:
        found = self.take_number(f"the number of {what}")
        if found < 0 or found != int(found):
            raise self._error(f"the number of {what}", _shown(found))
        return int(found)

    def take_span(self, what: str) -> tuple[float, float]:
        start_s = self.take_number(f"the start of {what} in seconds")
        end_s = self.take_number(f"the end of {what} in seconds")
        if not 0 <= start_s <= end_s:
            raise self._error(
                f"0 or more as the start of {what}, and an end not before it",
                f"{start_s:g} to {end_s:g}",
            )
        return start_s, end_s

    def take_tier(self) -> Tier | None:
        """The next tier; None if it is one of points."""
        kind = self.take_text("the class of a tier")
        if kind not in ("IntervalTier", "TextTier"):
            raise self._error('"IntervalTier" or "TextTier"', _shown(f'"{kind}'))
        name = self.take_text("the name of a tier")
        self.take_span("a tier")
        if kind == "TextTier":
            for _ in range(self.take_count("points")):
                self.take_number("the time of a point in seconds")
                self.take_text("the label of a point")
            return None
        intervals: list[Interval] = []
        for _ in range(self.take_count("intervals")):
            start_s, end_s = self.take_span("an interval")
            if intervals and start_s < intervals[-1].start_s:
                raise self._error(
                    f"intervals in order of time, from {intervals[-1].start_s:g} s on",
                    f"{start_s:g} s",
                )
            text = self.take_text("the text of an interval")
            intervals.append(Interval(start_s, end_s, " ".join(text.split())))
        return Tier(name, tuple(intervals))

    def expect_end(self) -> None:
        for found in self._tokens:
            raise self._error("the end of the file after its last tier", _shown(found))


def _shown(found: float | str | bool) -> str:
    """A value as the file has it, at most 40 characters."""
    if isinstance(found, bool):
        return "<exists>" if found else "another flag"
    if isinstance(found, str):
        return f'{found[:40]}"' if len(found) <= 40 else f'{found[:40]}..."'
    return f"{found:g}"


def choose_tier(
    grid: TextGrid, where: object, *, name: str | None = None, speaker: str | None = None
) -> Tier:
    """The tier that holds the words.

    Args:
        grid: A file's content.
        where: Its name, for the error.
        name: What the tier is called, if somebody said so.
        speaker: Of the utterance. A tier of this speaker's own (``NAME - words``, as the Montreal
            Forced Aligner writes them) is preferred to all others.

    Returns:
        The tier called ``name``; without a name the only one called ``words`` or ``word``, or
        whose name ends so after a dash. Case does not matter.

    Raises:
        AlignmentError: No tier fits, or several do.
    """
    wanted = [name.casefold()] if name is not None else list(_WORD_TIERS)
    fitting = [tier for tier in grid.tiers if _parts(tier.name)[1] in wanted]
    if name is not None:
        fitting = [tier for tier in grid.tiers if tier.name.casefold() in wanted] or fitting
    own = [tier for tier in fitting if speaker and _parts(tier.name)[0] == speaker.casefold()]
    found = own or fitting
    if len(found) == 1:
        return found[0]
    names = ", ".join(repr(tier.name) for tier in grid.tiers) or "none"
    raise AlignmentError(
        where,
        expected=f"one interval tier of words ({' or '.join(map(repr, wanted))})",
        got=f"{len(found)} among the interval tiers {names}",
        fix="name the one that holds the words with --tier",
    )


def _parts(name: str) -> tuple[str, str]:
    """Speaker and kind of a tier called ``speaker - kind``."""
    speaker, _, kind = name.casefold().strip().rpartition(" - ")
    return speaker.strip(), kind.strip()


def tier_words(tier: Tier) -> list[Word]:
    """The words of a tier: all labels but those of silence.

    An aligner's label for a word that it could not name (``spn``, ``<unk>``) becomes
    ``UNKNOWN_WORD``, which is equal to no word of a transcript and yet holds its place.
    """
    words = []
    for interval in tier.intervals:
        label = interval.text.casefold()
        if label not in _SILENCES:
            text = UNKNOWN_WORD if label in _UNKNOWN_WORDS else interval.text
            words.append(Word(text, interval.start_s, interval.end_s, SOURCE))
    return words
