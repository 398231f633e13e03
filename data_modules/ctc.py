"""CTC forced alignment: what a model hears in each frame, and the letters of words, to frame spans.

A. Graves et al., "Connectionist temporal classification", ICML 2006: a path goes through the
letters in order, stays on each for a frame or more, and may rest on the blank between them. The
best path is found by :func:`torchaudio.functional.forced_align`. Posteriors of such models are
peaks, shorter than the letters, so words are stretched to the midpoints between them (our choice).
Nothing here knows models, letters or seconds: see ``ctc_model.py`` and ``ctc_text.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

# Below the log-probability of anything that a softmax in float32 gives. forced_align reads outside
# of its memory where every path has -inf.
_FLOOR = -1e4


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """Frames of one token on the best path.

    Attributes:
        token: Its id.
        start: Its first frame.
        end: The frame after its last.
        score: Mean log-probability of the token over these frames.
    """

    token: int
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class WordSpan:
    """Frames of one word.

    Attributes:
        start: Where it begins, in frames; a half where two tokens meet between frames.
        end: Where it ends.
        score: Mean log-probability of its tokens; of what is not aligned 0.
        aligned: Whether its tokens were found; else the times are those of its place.
    """

    start: float
    end: float
    score: float
    aligned: bool


def align_tokens(log_probs: Tensor, tokens: Sequence[int], blank: int) -> list[TokenSpan] | None:
    """The best path through a row of tokens.

    Args:
        log_probs: ``(F, V)`` float32, log-probabilities of V tokens in each of F frames.
        tokens: Ids in the order of what is said, none of them the blank.
        blank: Id of the blank.

    Returns:
        One span a token, in order and without overlap. None if there are too few frames (one a
        token and one between equal neighbours), or no path of any probability.

    Raises:
        ValueError: A token is no column of ``log_probs`` or the blank; a value is not a number.
    """
    num_frames, num_tokens = log_probs.shape
    if any(not 0 <= token < num_tokens or token == blank for token in tokens):
        raise ValueError(f"tokens between 0 and {num_tokens - 1}, not {blank}: {list(tokens)}")
    if torch.isnan(log_probs).any():
        raise ValueError("log_probs holds values that are not a number")
    repeats = sum(left == right for left, right in pairwise(tokens))
    if not tokens or num_frames < len(tokens) + repeats:
        return None if tokens else []
    from torchaudio.functional import forced_align

    # on the CPU: the search is sequential, and its GPU kernel has been wrong on a second device
    floored = log_probs.detach().to("cpu", torch.float32).clamp(min=_FLOOR)
    path, scores = forced_align(floored[None], torch.tensor([list(tokens)]), blank=blank)
    if float(scores.min()) <= _FLOOR:
        return None
    return _merge(path[0].tolist(), scores[0].tolist(), blank)


def _merge(path: list[int], scores: list[float], blank: int) -> list[TokenSpan]:
    """Runs of equal tokens; two equal tokens in a row always have a blank between them."""
    spans = []
    start = 0
    for frame in range(1, len(path) + 1):
        if frame < len(path) and path[frame] == path[start]:
            continue
        if path[start] != blank:
            score = sum(scores[start:frame]) / (frame - start)
            spans.append(TokenSpan(path[start], start, frame, score))
        start = frame
    return spans


def align_words(
    log_probs: Tensor,
    words: Sequence[Sequence[int] | None],
    *,
    blank: int,
    delimiter: int | None,
    max_stretch: float,
) -> list[WordSpan] | None:
    """Frames of words.

    Between words stands the delimiter, if the vocabulary has one. A word that is said but has no
    letters in the vocabulary is a wildcard, as probable in a frame as the best letter there, so
    that its neighbours do not swallow its sound; it is not aligned. Each end of a word is moved to
    the middle of the delimiter beside it, without one half way to the neighbouring token or the end
    of the audio, but by ``max_stretch`` frames at most: a longer pause belongs to nobody.

    Args:
        log_probs: ``(F, V)`` float32 as :func:`align_tokens` takes it.
        words: Token ids of each word, which may include delimiters; empty for a word that is
            silent, None for one that is said and cannot be spelled.
        blank: Id of the blank.
        delimiter: Id of what stands between words; None if there is no such token.
        max_stretch: Frames.

    Returns:
        A span for each word, in order and without overlap, 0 <= start <= end <= F; silent words
        have no length. None if no word can be spelled or :func:`align_tokens` finds no path.
    """
    if not any(words):
        return None
    with_wildcard = _add_wildcard(log_probs, blank, delimiter)
    wildcard = log_probs.shape[1]
    tokens: list[int] = []
    ranges: list[tuple[int, int]] = []
    for word in words:
        if delimiter is not None and tokens and word != []:
            tokens.append(delimiter)
        num_before = len(tokens)
        tokens.extend([wildcard] if word is None else word)
        ranges.append((num_before, len(tokens)))
    spans = align_tokens(with_wildcard, tokens, blank)
    if spans is None:
        return None
    ends = _middles(spans, log_probs.shape[0], delimiter)
    result: list[WordSpan] = []
    for word, (first, last) in zip(words, ranges, strict=True):
        if first == last:
            here = result[-1].end if result else 0.0
            result.append(WordSpan(here, here, 0.0, aligned=False))
            continue
        score = 0.0 if word is None else sum(s.score for s in spans[first:last]) / (last - first)
        start = max(ends[first], spans[first].start - max_stretch)
        end = min(ends[last], spans[last - 1].end + max_stretch)
        result.append(WordSpan(start, end, score, word is not None))
    return result


def _add_wildcard(log_probs: Tensor, blank: int, delimiter: int | None) -> Tensor:
    """``(F, V)`` to ``(F, V + 1)``: in each frame the best of all letters."""
    letters = log_probs.clone()
    letters[:, [index for index in (blank, delimiter) if index is not None]] = -torch.inf
    return torch.cat([log_probs, letters.amax(dim=1, keepdim=True)], dim=1)  # (F, V + 1)


def _middles(spans: Sequence[TokenSpan], num_frames: int, delimiter: int | None) -> list[float]:
    """How far the tokens reach before each token and after the last, were they words."""
    middles = [spans[0].start / 2]
    for left, right in pairwise(spans):
        if left.token == delimiter:
            middles.append((left.start + left.end) / 2)
        elif right.token == delimiter:
            middles.append((right.start + right.end) / 2)
        else:
            middles.append((left.end + right.start) / 2)
    return [*middles, (spans[-1].end + num_frames) / 2]
