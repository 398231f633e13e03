"""Pieces of long clips: every frame once, equal sizes, enough overlap."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sermm.upstreams.chunks import Chunk, join_chunks, plan_chunks


@given(st.integers(1, 3_000), st.integers(1, 200), st.data())
def test_every_frame_is_kept_once(num_frames: int, size: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, size - 1))
    chunks = plan_chunks(num_frames, size=size, overlap=overlap)
    frames = torch.arange(num_frames).unsqueeze(-1)
    joined = join_chunks(chunks, [frames[chunk.start : chunk.stop] for chunk in chunks])
    assert torch.equal(joined, frames)
    assert {chunk.stop - chunk.start for chunk in chunks} == {min(size, num_frames)}
    for left, right in pairwise(chunks):
        shared = left.stop - right.start
        assert shared >= overlap
        # in the middle of what both have
        assert left.keep_stop == right.keep_start
        assert abs((right.keep_start - right.start) - (left.stop - left.keep_stop)) <= 1
    # no more than are needed
    fewer = len(chunks) - 1
    assert fewer == 0 or size + (fewer - 1) * (size - overlap) < num_frames


def test_by_hand() -> None:
    assert plan_chunks(10, size=10, overlap=3) == [Chunk(0, 10, 0, 10)]
    assert plan_chunks(17, size=10, overlap=3) == [Chunk(0, 10, 0, 8), Chunk(7, 17, 8, 17)]
    assert plan_chunks(18, size=10, overlap=3) == [
        Chunk(0, 10, 0, 7),
        Chunk(4, 14, 7, 11),
        Chunk(8, 18, 11, 18),
    ]


@pytest.mark.parametrize("overlap", [-1, 5, 6])
def test_an_overlap_that_leaves_nothing(overlap: int) -> None:
    with pytest.raises(ValueError, match="in chunks of 5"):
        plan_chunks(20, size=5, overlap=overlap)
