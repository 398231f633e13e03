"""Timed words of CMU-MOSI and CMU-MOSEI: which of a video's words belong to a labelled segment.

A word belongs to a segment if its middle lies inside (our choice: the toolkit of the corpora gives
a word to every segment that it touches, so that neighbours share words at their edges). Segments
that overlap share the words in common. ``sp`` stands for silence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from data_modules.corpora.csd import Csd, CsdError, Floats
from data_modules.corpora.release import Release
from data_modules.manifest import Word

SILENCE = "sp"

SILENCES = "silences (sp) among the words, skipped"
OUTSIDE = "words outside the labelled segments"
UNTIMED = "words whose times are no numbers, skipped"
BACKWARDS = "words that end before they start, without times"
NOT_UTF8 = "words that are no UTF-8, read as Latin-1"
UNORDERED = "words out of order of time, sorted"
CUT = "words over the edge of their segment, times cut to it"
NO_WORDS = "no words for the video"
DAMAGED = "words that cannot be read"
EMPTY = "no word in the segment"

EDGE_S = 0.001
"""Times are written to the millisecond: less is rounding."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A labelled interval of a video.

    Attributes:
        id: ``video[k]``.
        number: k.
        start_s: Seconds from the start of the video.
        end_s: Later than ``start_s``.
        ratings: By name.
    """

    id: str
    number: int
    start_s: float
    end_s: float
    ratings: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Said:
    """What is said in a segment.

    Attributes:
        text: Its words, joined by blanks.
        words: With times from the start of the segment.
    """

    text: str
    words: tuple[Word, ...]


@dataclass(slots=True)
class WordReader:
    """Gives each segment its words, and keeps count of those that no segment gets.

    Attributes:
        csd: The words.
        release: Takes notes.
        totals: Words of the whole file, by what happened to them.
    """

    csd: Csd
    release: Release
    totals: Counter[str] = field(default_factory=Counter)

    def read(self, video: str, segments: Sequence[Segment], *, in_pieces: bool) -> dict[str, Said]:
        """Words of a video's segments, by segment id; empty where the video has none.

        Args:
            video: Its id.
            segments: Of it.
            in_pieces: Whether the labels stand in pieces ``video[k]``, so that pieces of the words
                are those of the segments.
        """
        entries = self.csd.entries.get(video, [])
        if not entries:
            self.release.note(video, NO_WORDS, count=len(segments))
            return {}
        try:
            if in_pieces and self.csd.is_cut(video):
                keys = {entry.piece: [entry.key] for entry in entries}
                said: dict[str, Said] = {}
                for segment in segments:
                    rows = self._rows(video, keys.get(segment.number, []))
                    said |= self._share(video, rows, [segment])
                return said
            rows = self._rows(video, [entry.key for entry in entries])
        except CsdError as error:
            self.release.note(video, DAMAGED, str(error), count=len(segments))
            return {}
        return self._share(video, rows, segments)

    def finish(self, name: str) -> None:
        """Note the totals under the name of the file."""
        for reason, number in self.totals.items():
            self.release.note(name, reason, count=number)

    def _rows(self, video: str, keys: Sequence[str]) -> tuple[list[str], Floats]:
        """Words and their intervals ``(n, 2)``, in order of time, silences included."""
        texts: list[str] = []
        places = [np.zeros((0, 2))]
        for key in keys:
            words, intervals, num_latin = self.csd.words(key)
            texts += words
            places.append(intervals)
            if num_latin:
                self.totals[NOT_UTF8] += num_latin
        times = np.concatenate(places)
        timed = np.isfinite(times).all(axis=1)
        if not timed.all():
            self.release.note(video, UNTIMED, count=int((~timed).sum()))
        starts = times[timed, 0]
        jumps = int((np.diff(starts) < 0).sum())
        if jumps:
            self.release.note(video, UNORDERED, count=jumps)
        order = np.flatnonzero(timed)[np.argsort(starts, kind="stable")]
        return [texts[index] for index in order.tolist()], times[order]

    def _share(
        self, video: str, rows: tuple[list[str], Floats], segments: Sequence[Segment]
    ) -> dict[str, Said]:
        texts, times = rows
        silent = np.array([text in (SILENCE, "") for text in texts], dtype=bool)
        middles = times.mean(axis=1)
        taken = np.zeros(len(texts), dtype=bool)
        said = {}
        num_cut = 0
        for segment in segments:
            inside = (middles >= segment.start_s) & (middles < segment.end_s)
            taken |= inside
            chosen = np.flatnonzero(inside & ~silent)
            words = [texts[index] for index in chosen.tolist()]
            said[segment.id] = Said(
                " ".join(words), self._timed(video, words, times[chosen], segment)
            )
            if not words:
                self.release.note(segment.id, EMPTY)
            over = (times[chosen, 0] < segment.start_s - EDGE_S) | (
                times[chosen, 1] > segment.end_s + EDGE_S
            )
            num_cut += int(over.sum())
        if num_cut:
            self.release.note(video, CUT, count=num_cut)
        for reason, number in (
            (SILENCES, int((taken & silent).sum())),
            (OUTSIDE, int((~taken & ~silent).sum())),
        ):
            if number:
                self.totals[reason] += number
        return said

    def _timed(
        self, video: str, words: Sequence[str], times: Floats, segment: Segment
    ) -> tuple[Word, ...]:
        """Words with times from the start of their segment, cut to it."""
        length = segment.end_s - segment.start_s
        cut = np.round(np.clip(times - segment.start_s, 0.0, length), 6).tolist()
        forwards = (times[:, 0] <= times[:, 1]).tolist()
        if not all(forwards):
            self.release.note(segment.id, BACKWARDS, count=forwards.count(False))
        return tuple(
            Word(word, start, end, "corpus")
            for word, (start, end), good in zip(words, cut, forwards, strict=True)
            if good
        )
