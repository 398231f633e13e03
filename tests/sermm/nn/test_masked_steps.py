from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sermm.nn.masked_steps import MaskOptions, draw_mask, draw_masks, fill_controls

SINGLE = MaskOptions(share=0.15)


@given(
    st.integers(1, 200),
    st.floats(0, 1),
    st.integers(1, 6),
    st.integers(0, 4),
    st.text(min_size=1, max_size=8),
)
def test_the_share_is_kept_and_something_stays_visible(
    num_steps: int, share: float, span: int, more: int, key: str
) -> None:
    mask = draw_mask(key, num_steps, MaskOptions(share, span, span + more))
    assert mask.shape == (num_steps,)
    assert mask.sum() == max(1, min(round(share * num_steps), num_steps - 1))
    assert (mask == draw_mask(key, num_steps, MaskOptions(share, span, span + more))).all()


def test_masks_follow_the_key_and_every_step_is_hidden_sometimes() -> None:
    masks = np.stack([draw_mask(f"0 {epoch} a", 40, SINGLE) for epoch in range(400)])
    assert len(np.unique(masks, axis=0)) > 390
    often = masks.mean(axis=0)
    assert often.min() > 0.07
    assert often.max() < 0.24


def test_spans_are_of_the_lengths_asked_for() -> None:
    hidden = draw_mask("a", 2000, MaskOptions(share=0.02, span_min=4, span_max=4))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], hidden, [0]])))
    lengths = edges[1::2] - edges[::2]
    # 40 steps in ten spans, of which two may touch
    assert set(lengths.tolist()) <= {4, 8}
    single = draw_mask("a", 2000, MaskOptions(share=0.005))
    assert single.sum() == 10


def test_a_batch_hides_what_its_clips_hide_alone() -> None:
    keys, lengths = ["a", "b", "c"], torch.tensor([7, 20, 1])
    together = draw_masks(keys, lengths, 25, MaskOptions(0.3, 1, 3))
    assert together.shape == (3, 25)
    for row, (key, length) in enumerate(zip(keys, lengths.tolist(), strict=True)):
        alone = draw_masks([key], torch.tensor([length]), length, MaskOptions(0.3, 1, 3))[0]
        assert torch.equal(together[row, :length], alone)
        assert not together[row, length:].any()


def test_controls_by_hand() -> None:
    frames = torch.tensor([[[1.0], [9.0], [9.0], [4.0], [9.0], [6.0], [77.0]]])
    hidden = torch.tensor([[False, True, True, False, False, True, False]])
    found = fill_controls(frames, torch.tensor([6]), hidden)
    assert found["mean"].abs().max() == 0
    assert found["neighbour"][0, [1, 2, 5], 0].tolist() == [1.0, 4.0, 9.0]
    assert found["interpolation"][0, [1, 2, 5], 0].tolist() == pytest.approx([2.0, 3.0, 9.0])
    # of two visible frames at one distance the earlier is copied
    middle = fill_controls(frames[:, :3], torch.tensor([3]), torch.tensor([[False, True, False]]))
    assert middle["neighbour"][0, 1, 0] == 1.0
    # nothing is visible: the mean
    none = fill_controls(frames[:, :2], torch.tensor([2]), torch.tensor([[True, True]]))
    assert all(values.abs().max() == 0 for values in none.values())


@given(st.integers(2, 12), st.integers(0, 1000))
def test_interpolation_is_numpys(length: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    hidden = draw_mask(str(seed), length, MaskOptions(0.5, 1, 3))
    frames = generator.normal(size=(length, 3)).astype(np.float32)
    seen = np.flatnonzero(~hidden)
    expected = np.stack([np.interp(np.arange(length), seen, frames[seen, k]) for k in range(3)], 1)
    padded = torch.full((1, length + 4, 3), torch.nan)
    padded[0, :length] = torch.from_numpy(frames)
    padded[0, length:] = 5.0
    mask = torch.zeros(1, length + 4, dtype=torch.bool)
    mask[0, :length] = torch.from_numpy(hidden)
    found = fill_controls(padded, torch.tensor([length]), mask)["interpolation"][0, :length]
    np.testing.assert_allclose(found[hidden].numpy(), expected[hidden], atol=1e-5)
