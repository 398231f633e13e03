"""Word times for the words of a transcript, and from seconds to frames to word pieces.

One transcript word has exactly one time span, in the order of the transcript. Nothing here reads
audio; ``aligners.py`` makes times, ``align.py`` runs them over a corpus.
"""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from data_modules.errors import AlignmentError
from data_modules.manifest import Word
from data_modules.words import is_mark, normalise_word, transcript_words

__all__ = [
    "frame_spans",
    "normalise_word",
    "piece_spans",
    "shuffle_times",
    "time_words",
    "transcript_words",
    "uncovered_share",
    "uniform_words",
    "utterance_rng",
]

INTERPOLATED = "interpolated"
UNIFORM = "uniform"

# "one hundred twenty five thousand" against 125000; longer runs are left to interpolation
_LONGEST_GROUP = 8

Spans = np.ndarray[Any, np.dtype[np.int64]]
# matched words: transcript[a:b] is what timed[c:d] is
_Group = tuple[int, int, int, int]


def time_words(
    words: Sequence[str], timed: Sequence[Word], duration_s: float, *, where: str = "transcript"
) -> list[Word]:
    """One timed word for each transcript word, from words that a source timed.

    Words are matched in order by their normal forms, so that the matched ones have as many
    letters as possible; one word may match several (``don't`` and ``do n't``, ``25`` and
    ``twenty five``) or several one, which then share its span by their letters.

    A word without a match gets source ``interpolated`` and its times from its neighbours: the span
    of the unmatched timed words in its place if there are any, else the gap between its neighbours
    (of no length where they touch). Before the first and after the last match it gets no more time
    than its letters take at the utterance's median rate. A matched word that starts at or after
    the end of the utterance counts as interpolated, since its place is not the source's.

    Args:
        words: The transcript, as :func:`transcript_words` splits it.
        timed: Words of one source, in any order of time, which may overlap.
        duration_s: Length of the utterance, positive.
        where: What the error names.

    Returns:
        As many words as ``words``, with 0 <= start_s <= end_s <= duration_s and starts that never
        fall. Empty for an empty transcript. A transcript without anything that can be matched
        (``...``) shares the utterance evenly.

    Raises:
        AlignmentError: Not one word of the transcript has a match.
    """
    if not duration_s > 0:
        raise ValueError(f"duration_s must be positive, got {duration_s}")
    forms = [normalise_word(word) for word in words]
    if not any(form and not is_mark(word) for form, word in zip(forms, words, strict=True)):
        return _spread(words, forms, 0.0, duration_s, INTERPOLATED)
    clipped = sorted(
        (_clip(word, duration_s) for word in timed), key=lambda word: (word.start_s, word.end_s)
    )
    groups = _match(forms, [normalise_word(word.text) for word in clipped])
    if not groups:
        raise AlignmentError(
            where,
            expected="words with times that are those of the transcript",
            got=f"none of {len(words)} in common with the {len(clipped)} timed ones",
            fix="add another source to data.aligners, such as pocketsphinx or uniform",
        )
    rate = _seconds_per_letter(forms, clipped, groups)
    result: list[Word] = []
    timed_before = 0
    low = 0.0
    for first, last, timed_first, timed_last in groups:
        start = clipped[timed_first].start_s
        end = max(word.end_s for word in clipped[timed_first:timed_last])
        lost = slice(len(result), first)
        lost_forms = forms[lost]
        if timed_before < timed_first:
            gap = (clipped[timed_before].start_s, clipped[timed_first - 1].end_s)
        elif not result:
            gap = (start - rate * _letters(lost_forms), start)
        else:
            gap = (low, start)
        gap = (min(max(gap[0], 0.0), start), min(gap[1], start))
        result += _spread(words[lost], lost_forms, *gap, INTERPOLATED)
        source = clipped[timed_first].source
        result += _spread(words[first:last], forms[first:last], start, end, source)
        timed_before, low = timed_last, end
    lost = slice(len(result), len(words))
    if timed_before < len(clipped):
        end = max(word.end_s for word in clipped[timed_before:])
        low = min(clipped[timed_before].start_s, end)
    else:
        end = min(low + rate * _letters(forms[lost]), duration_s)
    result += _spread(words[lost], forms[lost], low, end, INTERPOLATED)
    return _in_order(result)


def _in_order(words: Sequence[Word]) -> list[Word]:
    """No word starts before the one in front of it, also where a source's words overlap."""
    ordered: list[Word] = []
    latest = 0.0
    for word in words:
        latest = max(latest, word.start_s)
        ordered.append(Word(word.text, latest, max(word.end_s, latest), word.source))
    return ordered


def _clip(word: Word, duration_s: float) -> Word:
    """The part of a word inside the utterance; a word without such a part loses its source."""
    outside = word.start_s >= duration_s
    return Word(
        word.text,
        min(max(word.start_s, 0.0), duration_s),
        min(max(word.end_s, word.start_s, 0.0), duration_s),
        INTERPOLATED if outside else word.source,
    )


def _letters(forms: Sequence[str]) -> int:
    """How long words are to say; a silent one counts as a letter, so that it has a place."""
    return sum(max(1, len(form)) for form in forms)


def _spread(
    words: Sequence[str], forms: Sequence[str], start_s: float, end_s: float, source: str
) -> list[Word]:
    """Consecutive spans between two times, as long as the words have letters."""
    bounds = [0]
    for form in forms:
        bounds.append(bounds[-1] + _letters([form]))
    length = max(end_s - start_s, 0.0)
    # both ends of the span stand exactly as they came
    times = [start_s + length * (bound / max(bounds[-1], 1)) for bound in bounds[:-1]]
    times.append(max(start_s, end_s))
    return [
        Word(word, min(times[i], times[-1]), min(times[i + 1], times[-1]), source)
        for i, word in enumerate(words)
    ]


def _seconds_per_letter(
    forms: Sequence[str], timed: Sequence[Word], groups: Sequence[_Group]
) -> float:
    return statistics.median(
        (max(word.end_s for word in timed[c:d]) - timed[c].start_s) / _letters(forms[a:b])
        for a, b, c, d in groups
    )


def _match(left: Sequence[str], right: Sequence[str]) -> list[_Group]:
    """Groups in order that match as many letters as possible; the earliest of equal choices."""
    if list(left) == list(right):
        return [(i, i + 1, i, i + 1) for i, form in enumerate(left) if form]
    rows, columns = len(left), len(right)
    # best[i][j]: letters that left[i:] and right[j:] can have in common
    best = [[0] * (columns + 1) for _ in range(rows + 1)]
    for i in range(rows - 1, -1, -1):
        for j in range(columns - 1, -1, -1):
            score = max(best[i + 1][j], best[i][j + 1])
            if group := _group_at(left, right, i, j):
                score = max(score, len("".join(left[i : group[0]])) + best[group[0]][group[1]])
            best[i][j] = score
    groups: list[_Group] = []
    i = j = 0
    while i < rows and j < columns:
        group = _group_at(left, right, i, j)
        if group and best[i][j] == len("".join(left[i : group[0]])) + best[group[0]][group[1]]:
            groups.append((i, group[0], j, group[1]))
            i, j = group
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return groups


def _group_at(left: Sequence[str], right: Sequence[str], i: int, j: int) -> tuple[int, int] | None:
    """Where the group that begins at (i, j) ends: one word with one, or one with several."""
    if not left[i] or not right[j]:
        return None
    if left[i] == right[j]:
        return i + 1, j + 1
    if right[j].startswith(left[i]):
        end = _end_of_run(left, i, right[j])
        return None if end is None else (end, j + 1)
    if left[i].startswith(right[j]):
        end = _end_of_run(right, j, left[i])
        return None if end is None else (i + 1, end)
    return None


def _end_of_run(forms: Sequence[str], start: int, whole: str) -> int | None:
    """Where consecutive forms that together spell ``whole`` end, if they do."""
    joined = ""
    for end in range(start, min(start + _LONGEST_GROUP, len(forms))):
        joined += forms[end]
        if not whole.startswith(joined):
            return None
        if joined == whole:
            return end + 1
    return None


def uniform_words(words: Sequence[str], duration_s: float) -> list[Word]:
    """Equal spans over the whole utterance: no alignment at all, and named so."""
    bounds = np.linspace(0.0, duration_s, len(words) + 1).tolist()
    return [
        Word(word, start, end, UNIFORM)
        for word, start, end in zip(words, bounds[:-1], bounds[1:], strict=True)
    ]


def utterance_rng(seed: int, utterance_id: str) -> np.random.Generator:
    """Random numbers of one utterance: the same whatever other utterances there are."""
    digest = hashlib.sha256(utterance_id.encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])


def shuffle_times(words: Sequence[Word], rng: np.random.Generator) -> list[Word]:
    """The same words with each other's time spans: a control that keeps everything but the order.

    Args:
        words: Timed words of one utterance.
        rng: As :func:`utterance_rng` makes it.

    Returns:
        The words in the order of the transcript; their spans are a random permutation.
    """
    order = rng.permutation(len(words))
    return [
        Word(word.text, words[i].start_s, words[i].end_s, words[i].source)
        for word, i in zip(words, order, strict=True)
    ]


def frame_spans(
    words: Sequence[Word],
    num_frames: int,
    frame_stride_s: float,
    *,
    first_centre_s: float | None = None,
) -> Spans:
    """From seconds to frame numbers: a word has the frames whose centres lie within its times.

    So words that touch share no frame. A word without a centre (shorter than a frame, of no
    length, or past the last frame) gets the one frame nearest to its middle, which it may share.

    Args:
        words: Timed words.
        num_frames: Frames of the utterance, at least one.
        frame_stride_s: Seconds from one frame to the next.
        first_centre_s: Centre of the first frame; half a stride if None, as where frame i stands
            for the time from i to i + 1 strides.

    Returns:
        ``(n, 2)`` int64: first frame and the one after the last, 0 <= first < last <= num_frames.
    """
    if num_frames < 1 or not frame_stride_s > 0:
        raise ValueError(f"no frames: num_frames={num_frames}, frame_stride_s={frame_stride_s}")
    centre_s = frame_stride_s / 2 if first_centre_s is None else first_centre_s
    times = np.array([(word.start_s, word.end_s) for word in words], dtype=np.float64)
    # rounded: 0.3 / 0.02 is 15 and not 14.999..., the next frame would be a frame too late
    positions = np.round((times.reshape(-1, 2) - centre_s) / frame_stride_s, 6)
    spans = np.ceil(positions).clip(0, num_frames).astype(np.int64)
    short = spans[:, 0] >= spans[:, 1]
    middle = np.round(positions.mean(axis=1)).clip(0, num_frames - 1).astype(np.int64)
    spans[short] = np.stack([middle, middle + 1], axis=1)[short]
    return spans


def piece_spans(word_index: Sequence[int | None], word_spans: Spans, num_frames: int) -> Spans:
    """Frames of each word piece: those of its word; the whole utterance for a special token.

    Args:
        word_index: Word of each of L pieces, None for special tokens.
        word_spans: ``(n, 2)`` as :func:`frame_spans` gives them.
        num_frames: Frames of the utterance.

    Returns:
        ``(L, 2)`` int64.
    """
    whole = (0, num_frames)
    rows = [whole if index is None else word_spans[index] for index in word_index]
    return np.array(rows, dtype=np.int64).reshape(-1, 2)


def uncovered_share(word_spans: Spans, num_frames: int) -> float:
    """Share of the frames that belong to no word: pauses, and what the words leave out."""
    covered = np.zeros(num_frames, dtype=bool)
    for first, last in word_spans:
        covered[first:last] = True
    return float(1.0 - covered.mean())
