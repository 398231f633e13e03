from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_modules.alignment import (
    frame_spans,
    piece_spans,
    shuffle_times,
    time_words,
    transcript_words,
    uncovered_share,
    uniform_words,
    utterance_rng,
)
from data_modules.errors import AlignmentError
from data_modules.manifest import Word


def timed(spec: str, source: str = "corpus") -> list[Word]:
    """``hello@0.5-1 there@1-2`` as words."""
    words = []
    for item in spec.split():
        text, _, times = item.partition("@")
        start, _, end = times.partition("-")
        words.append(Word(text, float(start), float(end), source))
    return words


def rows(words: list[Word]) -> list[tuple[str, float, float, str]]:
    return [(w.text, round(w.start_s, 6), round(w.end_s, 6), w.source) for w in words]


class TestTimeWords:
    def test_equal_words_keep_their_times_to_the_bit(self) -> None:
        words = timed("kids@0.1-0.3 are@0.3-0.4 talking@0.7-1.1")
        assert time_words(["kids", "are", "talking"], words, 1.1) == words

    def test_the_transcript_keeps_its_spelling(self) -> None:
        result = time_words(["Don\u2019t", "GO!"], timed("dont@0-1 go@1-2"), 2.0)
        assert [word.text for word in result] == ["Don\u2019t", "GO!"]
        assert {word.source for word in result} == {"corpus"}

    def test_one_word_for_several_timed_ones(self) -> None:
        result = time_words(
            ["I", "don't", "25"], timed("I@0-1 do@1-2 n't@2-3 twenty@4-5 five@5-6"), 6
        )
        assert rows(result) == [
            ("I", 0, 1, "corpus"),
            ("don't", 1, 3, "corpus"),
            ("25", 4, 6, "corpus"),
        ]

    def test_several_words_for_one_timed_share_it_by_letters(self) -> None:
        result = time_words(["I", "am", "here"], timed("Iam@1-4 here@4-5"), 5)
        assert rows(result) == [
            ("I", 1, 2, "corpus"),
            ("am", 2, 4, "corpus"),
            ("here", 4, 5, "corpus"),
        ]

    def test_a_missing_word_gets_the_gap_of_its_neighbours(self) -> None:
        result = time_words(["a", "lost", "one", "b"], timed("a@0-1 b@8-9"), 10)
        assert rows(result)[1:3] == [
            ("lost", 1, 5, "interpolated"),
            ("one", 5, 8, "interpolated"),
        ]

    def test_a_missing_word_between_words_that_touch_has_no_length(self) -> None:
        result = time_words(["a", "lost", "b"], timed("a@0-1 b@1-2"), 2)
        assert rows(result)[1] == ("lost", 1, 1, "interpolated")

    def test_a_wrong_word_gets_the_time_of_what_stands_in_its_place(self) -> None:
        result = time_words(["a", "gonna", "b"], timed("a@0-1 going@2-3 to@3-4 b@6-7"), 7)
        assert rows(result)[1] == ("gonna", 2, 4, "interpolated")

    def test_edges_get_no_more_time_than_their_letters_take(self) -> None:
        # 0.1 s a letter: four letters before, eight after, which the end cuts to 0.5 s
        result = time_words(["well", "hello", "everyone"], timed("hello@2.0-2.5"), 3.0)
        assert rows(result) == [
            ("well", 1.6, 2.0, "interpolated"),
            ("hello", 2.0, 2.5, "corpus"),
            ("everyone", 2.5, 3.0, "interpolated"),
        ]

    def test_a_long_silence_after_the_last_match_stays_silent(self) -> None:
        result = time_words(["hello", "you"], timed("hello@2.0-2.5"), 60.0)
        assert rows(result)[1] == ("you", 2.5, 2.8, "interpolated")

    def test_a_repeated_word_goes_with_its_neighbours(self) -> None:
        result = time_words(["no", "no", "stop", "no"], timed("no@0-1 stop@1-2 no@2-3"), 3)
        assert [word.source for word in result].count("interpolated") == 1
        assert rows(result)[2:] == [("stop", 1, 2, "corpus"), ("no", 2, 3, "corpus")]

    def test_the_most_letters_are_matched(self) -> None:
        # taking the first "a" would lose "wonderful"
        result = time_words(["a", "wonderful"], timed("wonderful@0-1 a@1-2"), 2)
        assert rows(result)[1] == ("wonderful", 0, 1, "corpus")

    def test_a_silent_word_has_a_place(self) -> None:
        words = transcript_words("oh \U0001f602 well")
        result = time_words(words, timed("oh@0-1 well@2-3"), 3)
        assert rows(result)[1] == ("\U0001f602", 1, 2, "interpolated")

    def test_a_mark_matches_a_timed_mark_alone(self) -> None:
        marked = timed("oh@0-1 ++LAUGHTER++@1.5-2 well@2-3")
        assert rows(time_words(["oh", "[LAUGHTER]", "well"], marked, 3))[1] == (
            "[LAUGHTER]",
            1.5,
            2,
            "corpus",
        )

    def test_words_past_the_end_count_as_interpolated(self) -> None:
        words = timed("a@0-1 b@1.5-2.5 c@2.5-3")
        assert rows(time_words(["a", "b", "c"], words, 2.0)) == [
            ("a", 0, 1, "corpus"),
            ("b", 1.5, 2.0, "corpus"),
            ("c", 2.0, 2.0, "interpolated"),
        ]

    def test_overlapping_words_keep_their_overlap(self) -> None:
        result = time_words(["a", "b"], timed("a@0-1.2 b@1-2"), 2)
        assert rows(result) == [("a", 0, 1.2, "corpus"), ("b", 1, 2, "corpus")]

    def test_starts_stay_in_order_where_a_shared_word_overlaps_the_next(self) -> None:
        # "am" would begin at 2 s, after "so"
        result = time_words(["I", "am", "so"], timed("Iam@0-6 so@1-2"), 6)
        assert rows(result)[1:] == [("am", 2, 6, "corpus"), ("so", 2, 2, "corpus")]

    def test_one_word(self) -> None:
        assert rows(time_words(["Yes."], timed("yes@0.2-0.4"), 1)) == [("Yes.", 0.2, 0.4, "corpus")]

    def test_empty_transcript(self) -> None:
        assert time_words([], [], 1.0) == []

    def test_nothing_that_could_be_matched_shares_the_utterance(self) -> None:
        assert rows(time_words(["...", "\U0001f602"], [], 2.0)) == [
            ("...", 0, 1, "interpolated"),
            ("\U0001f602", 1, 2, "interpolated"),
        ]

    @pytest.mark.parametrize("words", [[], timed("goodbye@0-1")])
    def test_nothing_in_common_is_an_error(self, words: list[Word]) -> None:
        with pytest.raises(
            AlignmentError, match=r"iemocap Ses01.*none of 1 in common.*add another"
        ):
            time_words(["hello"], words, 1.0, where="iemocap Ses01")

    def test_an_utterance_without_length_is_a_programming_mistake(self) -> None:
        with pytest.raises(ValueError, match="duration_s"):
            time_words(["a"], timed("a@0-1"), 0.0)

    def test_many_words_do_not_take_long(self) -> None:
        words = [f"w{i % 37}" for i in range(300)]
        source = [Word(f"w{i % 29}", i / 10, i / 10 + 0.1, "corpus") for i in range(300)]
        assert len(time_words(words, source, 31.0)) == 300


transcripts = st.lists(
    st.sampled_from(["i", "am", "iam", "don't", "do", "nt", "25", "...", "[LAUGHTER]", "so", "no"]),
    max_size=12,
)
times = st.floats(0, 12, allow_nan=False)


@st.composite
def timed_words(draw: st.DrawFn) -> list[Word]:
    words = []
    for text in draw(transcripts):
        start, end = sorted((draw(times), draw(times)))
        words.append(Word(text, start, end, "corpus"))
    return words


@given(words=transcripts, source=timed_words(), duration_s=st.floats(0.1, 10))
def test_every_word_has_a_time_inside_in_order(
    words: list[str], source: list[Word], duration_s: float
) -> None:
    try:
        result = time_words(words, source, duration_s)
    except AlignmentError:
        return
    assert [word.text for word in result] == words
    starts = [word.start_s for word in result]
    assert starts == sorted(starts)
    assert all(0 <= word.start_s <= word.end_s <= duration_s for word in result)
    assert {word.source for word in result} <= {"corpus", "interpolated"}


@given(texts=st.lists(st.text("abc", min_size=1, max_size=4), min_size=1), data=st.data())
def test_words_that_are_timed_come_back_as_they_are(texts: list[str], data: st.DataObject) -> None:
    bounds = sorted(data.draw(st.lists(times, min_size=2 * len(texts), max_size=2 * len(texts))))
    words = [Word(t, bounds[2 * i], bounds[2 * i + 1], "ctc") for i, t in enumerate(texts)]
    assert time_words(texts, words, 13.0) == words


def test_uniform_words() -> None:
    assert rows(uniform_words(["a", "long-one"], 3.0)) == [
        ("a", 0, 1.5, "uniform"),
        ("long-one", 1.5, 3, "uniform"),
    ]
    assert uniform_words([], 3.0) == []


class TestShuffle:
    words = timed(" ".join(f"w{i}@{i}-{i}.5" for i in range(8)))

    def test_spans_are_permuted_and_words_are_not(self) -> None:
        shuffled = shuffle_times(self.words, utterance_rng(0, "a"))
        assert [word.text for word in shuffled] == [word.text for word in self.words]
        spans = [(word.start_s, word.end_s) for word in shuffled]
        before = [(word.start_s, word.end_s) for word in self.words]
        assert spans != before
        assert sorted(spans) == before

    def test_it_depends_on_seed_and_utterance_alone(self) -> None:
        first = shuffle_times(self.words, utterance_rng(0, "a"))
        assert first == shuffle_times(self.words, utterance_rng(0, "a"))
        assert first != shuffle_times(self.words, utterance_rng(0, "b"))
        assert first != shuffle_times(self.words, utterance_rng(1, "a"))

    def test_every_order_is_as_likely(self) -> None:
        rng = np.random.default_rng(0)
        firsts = [int(shuffle_times(self.words[:3], rng)[0].start_s) for _ in range(3000)]
        assert np.bincount(firsts).tolist() == pytest.approx([1000] * 3, abs=100)

    def test_one_word_or_none(self) -> None:
        assert shuffle_times(self.words[:1], utterance_rng(0, "a")) == self.words[:1]
        assert shuffle_times([], utterance_rng(0, "a")) == []


class TestFrameSpans:
    def test_frames_whose_centres_lie_within(self) -> None:
        # centres at 0.01, 0.03, 0.05, ...
        words = timed("a@0-0.04 b@0.04-0.07 c@0.07-0.1")
        assert frame_spans(words, 5, 0.02).tolist() == [[0, 2], [2, 3], [3, 5]]

    def test_another_first_centre(self) -> None:
        # a window of 25 ms that starts at 0 has its centre at 12.5 ms
        words = timed("a@0-0.0124 b@0.0126-0.05")
        spans = frame_spans(words, 3, 0.02, first_centre_s=0.0125)
        assert spans.tolist() == [[0, 1], [1, 2]]

    def test_times_on_a_boundary_are_not_moved_by_rounding(self) -> None:
        words = [Word(str(k), k * 0.02, (k + 1) * 0.02, "corpus") for k in range(500)]
        expected = [[k, k + 1] for k in range(500)]
        assert frame_spans(words, 500, 0.02).tolist() == expected
        # the hard case: the centres are where the words begin
        assert frame_spans(words, 500, 0.02, first_centre_s=0.0).tolist() == expected

    @pytest.mark.parametrize(
        ("word", "span"),
        [
            ("zero@0.05-0.05", [2, 3]),
            ("short@0.041-0.045", [2, 3]),
            ("start@0-0", [0, 1]),
            ("past@7-8", [4, 5]),
            ("partly@0.09-8", [4, 5]),
        ],
    )
    def test_a_word_without_frames_gets_the_nearest(self, word: str, span: list[int]) -> None:
        assert frame_spans(timed(word), 5, 0.02).tolist() == [span]

    def test_overlapping_words_share_frames(self) -> None:
        assert frame_spans(timed("a@0-0.06 b@0.02-0.1"), 5, 0.02).tolist() == [[0, 3], [1, 5]]

    def test_no_words(self) -> None:
        spans = frame_spans([], 5, 0.02)
        assert spans.shape == (0, 2)
        assert spans.dtype == np.int64

    @pytest.mark.parametrize(("num_frames", "stride"), [(0, 0.02), (5, 0.0)])
    def test_no_frames_is_a_programming_mistake(self, num_frames: int, stride: float) -> None:
        with pytest.raises(ValueError, match="no frames"):
            frame_spans([], num_frames, stride)


@given(source=timed_words(), num_frames=st.integers(1, 400), stride=st.floats(0.005, 0.1))
def test_spans_hold_frames_of_the_utterance(
    source: list[Word], num_frames: int, stride: float
) -> None:
    spans = frame_spans(source, num_frames, stride)
    assert spans.dtype == np.int64
    assert spans.shape == (len(source), 2)
    assert (spans[:, 0] >= 0).all()
    assert (spans[:, 0] < spans[:, 1]).all()
    assert (spans[:, 1] <= num_frames).all()
    assert 0 <= uncovered_share(spans, num_frames) <= 1


@given(
    bounds=st.lists(st.integers(0, 100), min_size=2, max_size=20, unique=True),
    stride=st.sampled_from([0.01, 0.02, 0.0125]),
)
def test_words_that_touch_divide_the_frames(bounds: list[int], stride: float) -> None:
    bounds.sort()
    words = [
        Word("w", first * stride, last * stride, "corpus")
        for first, last in itertools.pairwise(bounds)
    ]
    spans = frame_spans(words, 100, stride)
    assert spans[:, 0].tolist() == bounds[:-1]
    assert spans[:, 1].tolist() == bounds[1:]


def test_piece_spans() -> None:
    words = np.array([[2, 5], [5, 6]], dtype=np.int64)
    spans = piece_spans([None, 0, 0, 1, None], words, 9)
    assert spans.tolist() == [[0, 9], [2, 5], [2, 5], [5, 6], [0, 9]]
    assert spans.dtype == np.int64


def test_piece_spans_of_an_empty_transcript() -> None:
    empty = frame_spans([], 9, 0.02)
    assert piece_spans([None, None], empty, 9).tolist() == [[0, 9], [0, 9]]
    assert piece_spans([], empty, 9).shape == (0, 2)


def test_a_piece_of_a_word_without_times_is_a_programming_mistake() -> None:
    with pytest.raises(IndexError):
        piece_spans([1], np.array([[0, 1]], dtype=np.int64), 5)


def test_uncovered_share() -> None:
    assert uncovered_share(np.array([[0, 2], [1, 3], [8, 9]], dtype=np.int64), 10) == 0.6
    assert uncovered_share(frame_spans([], 4, 0.02), 4) == 1.0


def test_nothing_here_needs_torch() -> None:
    code = (
        "import sys, data_modules.align, data_modules.aligners, data_modules.alignment;"
        "print([m for m in ('torch', 'transformers', 'pocketsphinx') if m in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
