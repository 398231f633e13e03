"""What stands in two parts at once: speakers, dialogues, scripts, texts, audio.

Values become numbers first, so that a million utterances in five folds take seconds.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from data_modules.check.division import Division, IntArray
from data_modules.manifest import Utterance
from data_modules.media_facts import MediaTable

LONG_TEXT = 4
"""Words from which a text that occurs twice is more than a "yes, of course"."""

TEXT, LONG, AUDIO = "text", f"text of {LONG_TEXT} words or more", "audio"

_APOSTROPHES = dict.fromkeys(map(ord, "'\u2018\u2019\u02bc"))
_BETWEEN_WORDS = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Overlap:
    """Values of one kind that stand in two parts, over all folds.

    Attributes:
        kind: ``speaker``, ``dialogue``, ``script``, ``text``, ``text of 4 words or more``,
            ``audio``.
        one: The part that is learned from.
        other: The part that is scored.
        num_values: Different values that stand in both parts of some fold.
        num_shared: Utterances of ``other`` whose value occurs in ``one``, summed over folds.
        num_all: Utterances of ``other`` that have a value, summed over folds.
        places: Of the utterances that are counted in ``num_shared``, each once.
    """

    kind: str
    one: str
    other: str
    num_values: int
    num_shared: int
    num_all: int
    places: IntArray

    @property
    def share(self) -> float:
        """Share of the utterances of ``other`` whose value occurs in ``one``."""
        return self.num_shared / self.num_all if self.num_all else 0.0


def normalise_text(text: str) -> str:
    """Letters and digits of a text in lower case, one blank between words.

    Spellings that differ in case, punctuation or white space alone become equal.
    """
    plain = unicodedata.normalize("NFKC", text).casefold().translate(_APOSTROPHES)
    return _BETWEEN_WORDS.sub(" ", plain).strip()


def find_overlaps(
    utterances: Sequence[Utterance], media: MediaTable, division: Division
) -> list[Overlap]:
    """Overlaps of every kind that the corpus has values of, between each two parts.

    Args:
        utterances: Those that the division is about.
        media: Facts of their clips.
        division: Its folds have the same parts.
    """
    overlaps = []
    for kind, codes in _code_all(utterances, media).items():
        if (codes < 0).all():
            continue
        for one, other in combinations(division.folds[0] if division.folds else (), 2):
            overlaps.append(_find(kind, codes, one, other, division.folds))
    return overlaps


def _find(
    kind: str, codes: IntArray, one: str, other: str, folds: Sequence[Mapping[str, IntArray]]
) -> Overlap:
    num_codes = int(codes.max()) + 1
    in_both, concerned = np.zeros(num_codes, bool), np.zeros(len(codes), bool)
    num_shared = num_all = 0
    for fold in folds:
        learned, scored = codes[fold[one]], fold[other]
        in_one = np.zeros(num_codes, bool)
        in_one[learned[learned >= 0]] = True
        scored = scored[codes[scored] >= 0]
        shared = scored[in_one[codes[scored]]]
        in_both[codes[shared]] = True
        concerned[shared] = True
        num_shared, num_all = num_shared + len(shared), num_all + len(scored)
    return Overlap(
        kind, one, other, int(in_both.sum()), num_shared, num_all, np.flatnonzero(concerned)
    )


def _code_all(utterances: Sequence[Utterance], media: MediaTable) -> dict[str, IntArray]:
    """A number for each value of each kind ``(N,)``, -1 where there is none."""
    kinds = {
        kind: _code_names(getattr(utterance, kind) for utterance in utterances)
        for kind in ("speaker", "dialogue", "script")
    }
    texts, num_words = _code_texts(utterances)
    kinds[TEXT] = texts
    kinds[LONG] = np.where(num_words >= LONG_TEXT, texts, -1)
    rows = media.rows(utterance.id for utterance in utterances)
    kinds[AUDIO] = np.where(rows < 0, -1, np.append(media.contents(), -1)[rows])
    return kinds


def _code_names(names: Iterable[str | None]) -> IntArray:
    known: dict[str, int] = {}
    return np.array(
        [-1 if name is None else known.setdefault(name, len(known)) for name in names], np.int64
    )


def _code_texts(utterances: Sequence[Utterance]) -> tuple[IntArray, IntArray]:
    """Numbers of texts ``(N,)``, equal for equal normalised texts, and how many words they have.

    By 64-bit hashes, since a million normalised texts would take memory of their own: the chance
    that two of a million different ones meet is one in forty million.
    """
    hashes = np.zeros(len(utterances), np.int64)
    num_words = np.zeros(len(utterances), np.int64)
    for place, utterance in enumerate(utterances):
        text = normalise_text(utterance.text or "")
        if text:
            hashes[place] = hash(text)
            num_words[place] = text.count(" ") + 1
    codes = np.unique(hashes, return_inverse=True)[1].astype(np.int64)
    return np.where(num_words > 0, codes, -1), num_words
