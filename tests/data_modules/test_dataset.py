from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from data_modules.cache import FeatureStore
from data_modules.dataset import (
    FrameSource,
    Transcript,
    UtteranceDataset,
    frame_statistics,
    pooled_statistics,
)
from data_modules.manifest import Utterance, Word
from data_modules.text import WordPieces
from tests.data_modules import feature_store
from tests.data_modules.feature_store import KEYS

STRIDE_S = 0.02


def utterance(name: str, num_frames: int = 10) -> Utterance:
    return Utterance(
        name, "made", speaker=f"spk {name}", start_s=1.0, end_s=1.0 + num_frames * STRIDE_S
    )


def frames_of(spoken: Utterance) -> np.ndarray:
    """Frame i of D=2 is (i, 1000 + i)."""
    count = np.arange(round(spoken.duration_s / STRIDE_S), dtype=np.float32)
    return np.stack([count, 1000 + count], axis=1)


SOURCE = FrameSource(read=frames_of, dim=2, stride_s=STRIDE_S, first_center_s=STRIDE_S / 2)
# [CLS] so ##me words [SEP]
PIECES = WordPieces([2, 7, 8, 9, 3], [None, 0, 0, 1, None])
WORDS = (Word("some", 0.0, 0.06, "corpus"), Word("words", 0.06, 0.2, "corpus"))


def dataset(*utterances: Utterance, **parts: object) -> UtteranceDataset:
    targets = {u.id: number for number, u in enumerate(utterances)}
    return UtteranceDataset(utterances=utterances, targets=targets, **parts)  # type: ignore[arg-type]


def test_speech_alone() -> None:
    data = dataset(utterance("a"), utterance("b", 4), frames=SOURCE)
    assert len(data) == 2
    sample = data[1]
    assert (sample.utterance_id, sample.speaker, int(sample.target)) == ("b", "spk b", 1)
    assert sample.target.dtype == torch.int64
    assert sample.frames is not None
    assert sample.frames.tolist() == [[0, 1000], [1, 1001], [2, 1002], [3, 1003]]
    assert (sample.input_ids, sample.token_spans, sample.word_mask) == (None, None, None)
    assert data.lengths() == pytest.approx([0.2, 0.08])


def test_text_alone() -> None:
    short = WordPieces([2, 9, 3], [None, 0, None])
    data = dataset(
        utterance("a"),
        utterance("b"),
        transcripts={"a": Transcript(PIECES, WORDS), "b": Transcript(short)},
    )
    sample = data[0]
    assert sample.frames is None
    # times without frames to count would be of no use
    assert sample.token_spans is None
    assert sample.input_ids is not None
    assert sample.input_ids.tolist() == [2, 7, 8, 9, 3]
    assert sample.input_ids.dtype == torch.int64
    assert sample.word_mask is not None
    assert sample.word_mask.tolist() == [False, True, True, True, False]
    assert data.lengths() == [5, 3]


def test_every_piece_has_the_frames_of_its_word() -> None:
    data = dataset(utterance("a"), frames=SOURCE, transcripts={"a": Transcript(PIECES, WORDS)})
    spans = data[0].token_spans
    assert spans is not None
    # 60 ms are three frames of 20 ms; special tokens have the whole utterance
    assert spans.tolist() == [[0, 10], [0, 3], [0, 3], [3, 10], [0, 10]]
    assert data.lengths() == pytest.approx([0.2])


def test_frames_and_words_without_times() -> None:
    data = dataset(utterance("a"), frames=SOURCE, transcripts={"a": Transcript(PIECES)})
    assert data[0].token_spans is None
    assert data[0].frames is not None


def test_the_first_centre_moves_the_spans() -> None:
    # a window of 25 ms from the first sample has its centre at 12.5 ms
    source = FrameSource(read=frames_of, dim=2, stride_s=STRIDE_S, first_center_s=0.0125)
    words = (Word("some", 0.0, 0.011, "corpus"), Word("words", 0.011, 0.0326, "corpus"))
    data = dataset(utterance("a"), frames=source, transcripts={"a": Transcript(PIECES, words)})
    spans = data[0].token_spans
    assert spans is not None
    # frame 0 (12.5 ms) and frame 1 (32.5 ms) lie in the second word; the first gets the nearest
    assert spans[3].tolist() == [0, 2]
    assert spans[1].tolist() == [0, 1]


def test_an_empty_transcript_has_special_tokens_alone() -> None:
    empty = Transcript(WordPieces([2, 3], [None, None]), ())
    data = dataset(utterance("a"), frames=SOURCE, transcripts={"a": empty})
    sample = data[0]
    assert sample.token_spans is not None
    assert sample.token_spans.tolist() == [[0, 10], [0, 10]]
    assert sample.word_mask is not None
    assert not sample.word_mask.any()


def test_nobody_named_is_an_empty_speaker() -> None:
    unknown = Utterance("a", "made", start_s=0.0, end_s=0.1)
    assert dataset(unknown, frames=SOURCE)[0].speaker == ""


def test_nothing_to_read_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="needs frames, waveforms, transcripts or vectors"):
        dataset(utterance("a"))


def random_source(lengths: dict[str, int], offset: float) -> tuple[FrameSource, np.ndarray]:
    generator = np.random.default_rng(0)
    stored = {
        name: (offset + generator.normal(size=(count, 3))).astype(np.float32)
        for name, count in lengths.items()
    }
    source = FrameSource(lambda u: stored[u.id], 3, STRIDE_S, STRIDE_S / 2)
    return source, np.concatenate([stored[name] for name in lengths]).astype(np.float64)


# far from zero the sums of squares of float32 would have no digits left
@pytest.mark.parametrize("offset", [0.0, 5e3])
def test_statistics_are_those_of_all_frames(offset: float) -> None:
    source, everything = random_source({"a": 5, "b": 80, "c": 1}, offset)
    mean, std = frame_statistics(dataset(*map(utterance, "abc"), frames=source))
    assert mean.dtype == std.dtype == torch.float64
    np.testing.assert_allclose(mean, everything.mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(std, everything.std(axis=0), rtol=1e-5)


@pytest.mark.parametrize("value", [0.1, 100.1, -3e4])
def test_a_constant_dimension_has_no_deviation(value: float) -> None:
    source = FrameSource(
        lambda u: np.full((333, 2), value, dtype=np.float32), 2, STRIDE_S, STRIDE_S / 2
    )
    mean, std = frame_statistics(dataset(*map(utterance, "abc"), frames=source))
    assert mean.tolist() == [float(np.float32(value))] * 2
    assert std.tolist() == [0.0, 0.0]


def test_pooled_statistics_are_over_clips() -> None:
    source, _ = random_source({"a": 5, "b": 80, "c": 9}, 2.0)
    data = dataset(*map(utterance, "abc"), frames=source)
    clips = [source.read(u).astype(np.float64) for u in data.utterances]
    rows = np.array([[*clip.mean(axis=0), *clip.std(axis=0)] for clip in clips])
    mean, std = pooled_statistics(data)
    assert mean.shape == std.shape == (6,)
    np.testing.assert_allclose(mean, rows.mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(std, rows.std(axis=0), rtol=1e-10)


def test_frames_of_a_store_are_not_shared_with_the_file(tmp_path: Path) -> None:
    """What augmentation writes into a sample must not come back with the next one."""
    store = FeatureStore.create(tmp_path, feature_store.description())
    feature_store.fill(store, KEYS[:1])
    source = FrameSource(lambda u: store.load(KEYS[0]), 3, STRIDE_S, STRIDE_S / 2)
    data = dataset(utterance("a"), frames=source)
    first = data[0].frames
    assert first is not None
    first.zero_()
    again = data[0].frames
    assert again is not None
    np.testing.assert_array_equal(again, feature_store.frames_of(KEYS[0]))
