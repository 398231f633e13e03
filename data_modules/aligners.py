"""Aligners: audio and its words to word times. One literal dict says which there are.

Times that a corpus brings along come from its reader and need no aligner.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from data_modules.alignment import uniform_words
from data_modules.manifest import Word
from data_modules.pronunciation import guess_phones
from data_modules.words import spoken_words

Waveform = np.ndarray[Any, np.dtype[np.float32]]

_SAMPLE_RATE = 16_000
_FRAME_S = 0.01

# The search prunes, so a clip can fail at one level of noise and not at another. One level for
# all and a little noise, then two more tries, brought the failures on 960 RAVDESS clips from 14
# to 9, on 103 EmoDB clips from 21 to 14, with starts as exact as before.
_PEAK = 0.7
_DITHERS = (1e-3, 3e-4, 4e-3)


class Aligner(Protocol):
    """Finds the words of a transcript in audio.

    Attributes:
        source: What its words carry as their source.
        guessed: Words of the last call whose pronunciation was guessed from their spelling.
    """

    source: str
    guessed: list[str]

    def align(self, waveform: Waveform, words: Sequence[str]) -> list[Word] | None:
        """Times of the words.

        Args:
            waveform: ``(N,)`` float32, 16 kHz, mono.
            words: The transcript, as ``transcript_words`` splits it.

        Returns:
            Words in order with the transcript's spelling, without those that cannot be said
            (marks, symbols, other scripts); None if the words are not found in the audio.
        """


class UniformAligner:
    """Equal spans: what a system does that knows the words and not their times."""

    source = "uniform"

    def __init__(self) -> None:
        self.guessed: list[str] = []

    def align(self, waveform: Waveform, words: Sequence[str]) -> list[Word] | None:
        """Equal spans over the whole waveform."""
        return uniform_words(words, len(waveform) / _SAMPLE_RATE)


class PocketsphinxAligner:
    """English, offline: the acoustic model and dictionary inside the pocketsphinx wheel.

    Pauses between words are found and belong to no word. A word that the dictionary lacks gets a
    pronunciation from its spelling, so that its neighbours do not swallow its sound.
    """

    source = "pocketsphinx"

    def __init__(self) -> None:
        self.guessed: list[str] = []
        self._restart()

    def _restart(self) -> None:
        from pocketsphinx import Decoder

        # its log would go to the terminal, once for each word and frame that disappoints
        self._decoder = Decoder(lm=None, loglevel="FATAL")
        self._added: set[str] = set()

    def align(self, waveform: Waveform, words: Sequence[str]) -> list[Word] | None:
        """Times by forced alignment, in steps of 10 ms."""
        self.guessed = []
        entries = [self._entries(word) for word in words]
        expected = [entry for found in entries for entry in found]
        if not expected or not waveform.any():
            return None
        tries = (self._decode(samples, expected) for samples in _dithered(waveform))
        spans = next((found for found in tries if found is not None), None)
        if spans is None:
            return None
        duration_s = len(waveform) / _SAMPLE_RATE
        result = []
        position = 0
        for word, found in zip(words, entries, strict=True):
            if found:
                own = spans[position : position + len(found)]
                position += len(found)
                end_s = min(round(own[-1][1] * _FRAME_S, 2), duration_s)
                start_s = min(round(own[0][0] * _FRAME_S, 2), end_s)
                result.append(Word(word, start_s, end_s, self.source))
        return result

    def _decode(self, samples: bytes, expected: list[str]) -> list[tuple[int, int]] | None:
        """First frame and the one after the last of each dictionary entry; None if not found."""
        # else the mean of earlier clips stays in the features, and times depend on their order
        self._decoder.reinit_feat()
        try:
            self._decoder.set_align_text(" ".join(expected))
            self._decoder.start_utt()
            self._decoder.process_raw(samples, full_utt=True)
            self._decoder.end_utt()
            segments = list(self._decoder.seg() or ())
        except RuntimeError:
            # its only type for a search that broke off; nothing of it may reach the next clip
            self._restart()
            return None
        # <s>, <sil>, [NOISE] are its own; and(2) is a second pronunciation of and
        found = [
            (re.sub(r"\(\d+\)$", "", segment.word), segment.start_frame, segment.end_frame + 1)
            for segment in segments
            if not segment.word.startswith(("<", "["))
        ]
        if [word for word, _, _ in found] != expected:
            return None
        return [(start, end) for _, start, end in found]

    def _entries(self, word: str) -> list[str]:
        """Dictionary entries that together say a transcript word; none if it cannot be said."""
        return [entry for said in spoken_words(word) for entry in self._look_up(said)]

    def _look_up(self, said: str) -> list[str]:
        if said not in self._added and self._knows(said):
            return [said]
        if "." in said:
            return [entry for letter in said.split(".") if letter for entry in self._letter(letter)]
        bare = said.strip("'")
        for spelling in (bare, bare.replace("'", "")):
            if spelling not in self._added and self._knows(spelling):
                return [spelling]
        if "-" in said:
            return [entry for part in said.split("-") if part for entry in self._look_up(part)]
        owner = bare.removesuffix("'s")
        if owner != bare and self._knows(owner):
            return [owner, "'s"]
        return self._guess(bare.replace("'", ""))

    def _letter(self, letter: str) -> list[str]:
        name = f"{letter}."
        return [name] if self._knows(name) else self._guess(letter)

    def _knows(self, entry: str) -> bool:
        return bool(entry) and self._decoder.lookup_word(entry) is not None

    def _guess(self, spelling: str) -> list[str]:
        phones = guess_phones(spelling)
        if not phones:
            return []
        if spelling not in self._added:
            self._decoder.add_word(spelling, phones, update=False)
            self._added.add(spelling)
        self.guessed.append(spelling)
        return [spelling]


def _dithered(waveform: Waveform) -> Iterator[bytes]:
    """The clip at one level with a little noise, as 16-bit samples; the same each time."""
    level = waveform.astype(np.float64) * (_PEAK / np.abs(waveform).max())
    for dither in _DITHERS:
        noise = np.random.default_rng(0).normal(0.0, dither, len(level))
        yield np.round(np.clip(level + noise, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()


ALIGNERS: dict[str, Callable[[], Aligner]] = {
    "pocketsphinx": PocketsphinxAligner,
    "uniform": UniformAligner,
}
