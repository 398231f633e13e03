from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from data_modules.ctc import TokenSpan, align_tokens, align_words

BLANK, DELIMITER = 0, 1
LETTERS = [2, 3, 4]
NUM_TOKENS = 5


def emissions_of(path: list[int], *, seed: int = 0, peak: float = 0.9) -> Tensor:
    """``(F, V)``: in each frame the token of the path has ``peak``, the others share the rest."""
    rest = np.random.default_rng(seed).uniform(0.1, 1, (len(path), NUM_TOKENS))
    rest[np.arange(len(path)), path] = 0
    probabilities = rest / rest.sum(axis=1, keepdims=True) * (1 - peak)
    probabilities[np.arange(len(path)), path] = peak
    return torch.from_numpy(probabilities).log().float()


def collapse(path: list[int]) -> list[TokenSpan]:
    """The spans that a path means, without their scores."""
    spans, frame = [], 0
    for token, run in itertools.groupby(path):
        length = len(list(run))
        if token != BLANK:
            spans.append(TokenSpan(token, frame, frame + length, 0.0))
        frame += length
    return spans


def frames_of(spans: list[TokenSpan] | None) -> list[tuple[int, int, int]]:
    assert spans is not None
    return [(span.token, span.start, span.end) for span in spans]


paths = st.lists(
    st.tuples(st.sampled_from([DELIMITER, *LETTERS]), st.integers(1, 4), st.integers(0, 4)),
    min_size=1,
    max_size=12,
).map(
    lambda runs: [
        token
        for (token, length, gap), after in zip(runs, [*runs[1:], None], strict=True)
        # two equal tokens in a row are one without a blank between them
        for token in [token] * length
        + [BLANK] * (max(gap, 1) if after and after[0] == token else gap)
    ]
)


@given(st.integers(0, 4), paths, st.integers(0, 1000))
def test_known_spans_come_back(lead: int, path: list[int], seed: int) -> None:
    path = [BLANK] * lead + path
    known = collapse(path)
    spans = align_tokens(emissions_of(path, seed=seed), [span.token for span in known], BLANK)
    assert frames_of(spans) == frames_of(known)
    assert spans is not None
    assert [span.score for span in spans] == pytest.approx([math.log(0.9)] * len(spans), rel=1e-5)


def viterbi(log_probs: np.ndarray, tokens: list[int]) -> list[tuple[int, int, int]] | None:
    """The best CTC path by its definition, state by state, in Python and float64."""
    states = [BLANK]
    for token in tokens:
        states += [token, BLANK]
    best = [-math.inf] * len(states)
    best[0] = log_probs[0, states[0]]
    if tokens:
        best[1] = log_probs[0, states[1]]
    came_from = []
    for frame in log_probs[1:]:
        now, back = [], []
        for s, token in enumerate(states):
            choices = [s] + [s - 1] * (s > 0)
            if s > 1 and token != BLANK and token != states[s - 2]:
                choices.append(s - 2)
            source = max(choices, key=lambda choice: best[choice])
            back.append(source)
            now.append(best[source] + frame[token])
        best = now
        came_from.append(back)
    last = max(range(max(0, len(states) - 2), len(states)), key=lambda s: best[s])
    if best[last] == -math.inf:
        return None
    route = [last]
    for back in reversed(came_from):
        route.append(back[route[-1]])
    route.reverse()
    found = []
    for s, run in itertools.groupby(enumerate(route), key=lambda item: item[1]):
        frames = [frame for frame, _ in run]
        if states[s] != BLANK:
            found.append((states[s], frames[0], frames[-1] + 1))
    return found


@given(
    st.lists(st.sampled_from([DELIMITER, *LETTERS]), min_size=1, max_size=6),
    st.integers(1, 20),
    st.integers(0, 10_000),
)
def test_it_agrees_with_an_independent_search(
    tokens: list[int], num_frames: int, seed: int
) -> None:
    noise = np.random.default_rng(seed).normal(0, 2, (num_frames, NUM_TOKENS))
    log_probs = torch.from_numpy(noise).log_softmax(dim=1).float()
    spans = align_tokens(log_probs, tokens, BLANK)
    reference = viterbi(log_probs.double().numpy(), tokens)
    assert (spans and frames_of(spans)) == reference


@given(st.lists(st.sampled_from(LETTERS), min_size=1, max_size=3), st.integers(0, 1000))
def test_the_reference_is_the_best_of_all_paths(tokens: list[int], seed: int) -> None:
    log_probs = np.random.default_rng(seed).normal(0, 1, (6, NUM_TOKENS))
    every = [
        (sum(log_probs[frame, token] for frame, token in enumerate(path)), path)
        for path in itertools.product([BLANK, *LETTERS], repeat=6)
        if [span.token for span in collapse(list(path))] == tokens
    ]
    found = viterbi(log_probs, tokens)
    assert found == frames_of(collapse(list(max(every)[1])))


def test_too_few_frames() -> None:
    assert align_tokens(emissions_of([2, 3]), [2, 3, 4], BLANK) is None
    # two equal tokens need a blank between them
    assert align_tokens(emissions_of([2, 2]), [2, 2], BLANK) is None
    assert frames_of(align_tokens(emissions_of([2, 2, 2]), [2, 2], BLANK)) == [(2, 0, 1), (2, 2, 3)]
    assert align_tokens(torch.zeros(0, NUM_TOKENS), [2], BLANK) is None
    assert align_tokens(torch.zeros(0, NUM_TOKENS), [], BLANK) == []
    assert align_tokens(emissions_of([2]), [], BLANK) == []


def test_an_impossible_path_is_none() -> None:
    emissions = emissions_of([2, 3, 4])
    emissions[:, 3] = -torch.inf
    assert align_tokens(emissions, [2, 3, 4], BLANK) is None
    assert frames_of(align_tokens(emissions, [2, 4], BLANK))[0][0] == 2


@pytest.mark.parametrize("tokens", [[BLANK], [2, NUM_TOKENS], [-1]])
def test_what_is_no_token(tokens: list[int]) -> None:
    with pytest.raises(ValueError, match="tokens between 0 and 4, not 0"):
        align_tokens(emissions_of([2, 2, 2]), tokens, BLANK)


def test_what_is_no_number() -> None:
    emissions = emissions_of([2, 2])
    emissions[1, 3] = torch.nan
    with pytest.raises(ValueError, match="not a number"):
        align_tokens(emissions, [2], BLANK)


def words_of(
    path: list[int], words: list[list[int] | None], max_stretch: float, delimiter: int | None
) -> list[tuple[float, float, bool]] | None:
    found = align_words(
        emissions_of(path), words, blank=BLANK, delimiter=delimiter, max_stretch=max_stretch
    )
    return found and [(word.start, word.end, word.aligned) for word in found]


def test_peaks_are_stretched_to_the_midpoints() -> None:
    # frames   0  1  2  3  4  5  6  7  8  9 10 11
    path = [0, 2, 0, 0, 3, 0, 1, 0, 4, 0, 0, 0]
    assert words_of(path, [[2, 3], [4]], 9, DELIMITER) == [(0.5, 6.5, True), (6.5, 10.5, True)]
    assert words_of(path, [[2, 3], [4]], 0, DELIMITER) == [(1, 5, True), (8, 9, True)]


def test_a_pause_belongs_to_nobody() -> None:
    path = [2] + [0] * 20 + [3] + [0] * 20
    assert words_of(path, [[2], [3]], 3, None) == [(0, 4, True), (18, 25, True)]


def test_without_a_delimiter_words_meet_half_way() -> None:
    path = [0, 2, 0, 3, 3, 0, 0]
    assert words_of(path, [[2], [3]], 9, None) == [(0.5, 2.5, True), (2.5, 6.0, True)]


def test_words_meet_at_the_delimiter() -> None:
    path = [2, 2, 3, 3, 3, 1, 4, 2, 2]
    assert words_of(path, [[2, 3], [4, 2]], 9, DELIMITER) == [(0, 5.5, True), (5.5, 9, True)]
    assert words_of(path, [[2, 3], [4, 2]], 0, DELIMITER) == [(0, 5, True), (6, 9, True)]


def test_a_word_that_cannot_be_spelled_does_not_fall_to_its_neighbours() -> None:
    # the model hears 3 and 4 where the transcript has a word of other letters
    path = [2, 2, 1, 3, 3, 4, 4, 1, 2, 2]
    found = words_of(path, [[2], None, [2]], 0, DELIMITER)
    assert found == [(0, 2, True), (3, 7, False), (8, 10, True)]
    whole = align_words(emissions_of(path), [[2], None, [2]], blank=0, delimiter=1, max_stretch=0)
    assert whole is not None
    assert whole[1].score == 0.0
    assert whole[0].score == pytest.approx(math.log(0.9), rel=1e-5)


def test_silent_words_take_no_time_and_no_delimiter() -> None:
    path = [2, 1, 3]
    words: list[list[int] | None] = [[], [2], [], [3], []]
    assert words_of(path, words, 0, DELIMITER) == [
        (0, 0, False),
        (0, 1, True),
        (1, 1, False),
        (2, 3, True),
        (3, 3, False),
    ]


@pytest.mark.parametrize("words", [[], [[]], [None], [None, []]])
def test_nothing_that_can_be_spelled(words: list[list[int] | None]) -> None:
    assert words_of([2, 3], words, 0, DELIMITER) is None


def test_too_short_for_its_words() -> None:
    assert words_of([2, 3], [[2], [3]], 0, DELIMITER) is None


@given(st.lists(st.lists(st.sampled_from(LETTERS), max_size=3), min_size=1, max_size=5), st.data())
def test_words_are_in_order_within_the_clip(words: list[list[int]], data: st.DataObject) -> None:
    num_frames = data.draw(st.integers(1, 40))
    noise = np.random.default_rng(data.draw(st.integers(0, 999))).normal(0, 3, (num_frames, 5))
    spelled = [data.draw(st.sampled_from([word, None])) for word in words]
    found = align_words(
        torch.from_numpy(noise).log_softmax(dim=1).float(),
        spelled,
        blank=BLANK,
        delimiter=data.draw(st.sampled_from([DELIMITER, None])),
        max_stretch=data.draw(st.floats(0, 10)),
    )
    if found is None:
        return
    bounds = [bound for word in found for bound in (word.start, word.end)]
    assert bounds == sorted(bounds)
    assert 0 <= bounds[0] <= bounds[-1] <= num_frames
    assert [word.aligned for word in found] == [bool(word) for word in spelled]
