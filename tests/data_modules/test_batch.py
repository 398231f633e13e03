from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from data_modules.batch import Batch, Sample, collate

TENSORS = ("frames", "waveform", "input_ids", "token_spans", "word_mask")


def sample(number: int, num_frames: int, num_pieces: int) -> Sample:
    """Nonzero everywhere, so that padding can be told from content."""
    generator = torch.Generator().manual_seed(number)
    return Sample(
        utterance_id=f"u{number}",
        speaker=f"s{number % 2}",
        target=torch.tensor(number % 3),
        frames=1 + torch.rand(num_frames, 4, generator=generator),
        waveform=1 + torch.rand(10 * num_frames, generator=generator),
        input_ids=torch.randint(1, 99, (num_pieces,), generator=generator),
        token_spans=torch.randint(1, 9, (num_pieces, 2), generator=generator),
        word_mask=torch.ones(num_pieces, dtype=torch.bool),
    )


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=5))
def test_content_is_kept_and_padding_is_zero(sizes: list[tuple[int, int]]) -> None:
    samples = [sample(i, *size) for i, size in enumerate(sizes)]
    batch = collate(samples)
    assert len(batch) == len(samples)
    assert batch.utterance_ids == [s.utterance_id for s in samples]
    assert batch.speakers == [s.speaker for s in samples]
    assert batch.targets.tolist() == [int(s.target) for s in samples]
    for name in TENSORS:
        padded: Tensor = getattr(batch, name)
        rows: list[Tensor] = [getattr(s, name) for s in samples]
        assert padded.dtype == rows[0].dtype
        assert padded.shape == (len(rows), max(map(len, rows)), *rows[0].shape[1:])
        for got, row in zip(padded, rows, strict=True):
            assert torch.equal(got[: len(row)], row)
            assert not got[len(row) :].any()
    for name, lengths in (
        ("frames", batch.frame_lengths),
        ("waveform", batch.waveform_lengths),
        ("input_ids", batch.token_lengths),
    ):
        assert lengths is not None
        assert lengths.dtype == torch.int64
        assert lengths.tolist() == [len(getattr(s, name)) for s in samples]


def test_what_no_sample_has_the_batch_lacks() -> None:
    bare = Sample("u", "s", torch.tensor([0.5, 0.5]))
    batch = collate([bare, bare])
    assert batch.targets.shape == (2, 2)
    for field in fields(Batch):
        if field.name not in ("utterance_ids", "speakers", "targets"):
            assert getattr(batch, field.name) is None
    with pytest.raises(ValueError, match="reads acoustic frames and the batch has none"):
        batch.speech()
    with pytest.raises(ValueError, match="reads word pieces and the batch has none"):
        batch.text()
    with pytest.raises(ValueError, match="by word times and the batch has none"):
        batch.spans()


@pytest.mark.parametrize("name", TENSORS)
def test_samples_of_a_batch_have_the_same_fields(name: str) -> None:
    whole = sample(0, 2, 2)
    values = {field.name: getattr(whole, field.name) for field in fields(Sample)}
    with pytest.raises(ValueError, match="that others lack"):
        collate([whole, Sample(**(values | {name: None}))])


def test_views() -> None:
    batch = collate([sample(0, 3, 2), sample(1, 1, 4)])
    frames, frame_lengths = batch.speech()
    assert frames is batch.frames
    assert frame_lengths is batch.frame_lengths
    input_ids, token_lengths, word_mask = batch.text()
    assert input_ids is batch.input_ids
    assert token_lengths is batch.token_lengths
    assert word_mask is batch.word_mask
    assert batch.spans() is batch.token_spans


def test_every_tensor_moves() -> None:
    batch = collate([sample(0, 3, 2), sample(1, 1, 4)])
    moved = batch.to("meta")
    for field in fields(Batch):
        value, before = getattr(moved, field.name), getattr(batch, field.name)
        if isinstance(before, Tensor):
            assert value.device.type == "meta"
            assert value.shape == before.shape
            assert before.device.type == "cpu"
        else:
            assert value == before
