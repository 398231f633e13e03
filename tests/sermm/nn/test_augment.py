from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sermm.nn.augment import FrameAugment
from sermm.nn.masking import length_mask
from tests.sermm.nn.padding import LENGTHS, NAN, pad_rows

WIDTH = 40
ALL = {"time_masks": 2, "band_masks": 2, "noise": 0.3, "gain": 0.2}


def ones(lengths: tuple[int, ...] = LENGTHS, garbage: float = NAN) -> tuple[Tensor, Tensor]:
    """Frames of ones, so that masked values are the zeros."""
    return pad_rows([torch.ones(length, WIDTH) for length in lengths], garbage=garbage)


def longest_run(hidden: Tensor) -> int:
    """Length of the only run of True; fails if there are several."""
    places = hidden.nonzero().flatten().tolist()
    assert places == list(range(places[0], places[0] + len(places))) if places else True
    return len(places)


def test_evaluation_changes_nothing() -> None:
    frames, lengths = ones()
    assert FrameAugment(**ALL).eval()(frames, lengths) is frames


def test_off_changes_nothing_but_padding() -> None:
    frames, lengths = ones()
    mask = length_mask(lengths, frames.shape[1])
    changed = FrameAugment()(frames, lengths)
    assert (changed[mask] == 1).all()
    assert not changed[~mask].any()


@pytest.mark.parametrize("options", [{key: value} for key, value in ALL.items()] + [ALL])
def test_padding_stays_zero_and_arguments_untouched(options: dict[str, float]) -> None:
    torch.manual_seed(0)
    frames, lengths = ones()
    before, sizes = frames.clone(), lengths.clone()
    changed = FrameAugment(**options, time_mask_share=0.9)(frames, lengths)
    mask = length_mask(lengths, frames.shape[1])
    assert changed.shape == frames.shape
    assert torch.isfinite(changed).all()
    assert not changed[~mask].any()
    assert (changed[mask] != 1).any()
    assert torch.equal(lengths, sizes)
    torch.testing.assert_close(frames, before, equal_nan=True)


@pytest.mark.parametrize("share", [0.0, 0.13, 0.25, 0.5, 1.0])
def test_time_masks_stay_within_their_share(share: float) -> None:
    torch.manual_seed(0)
    lengths = tuple(range(1, 30)) * 20
    frames, sizes = ones(lengths)
    changed = FrameAugment(time_masks=1, time_mask_share=share)(frames, sizes)
    runs: dict[int, set[int]] = {}
    for row, length in zip(changed, lengths, strict=True):
        hidden = (row[:length] == 0).all(-1)
        assert torch.equal(hidden, (row[:length] == 0).any(-1))
        runs.setdefault(length, set()).add(longest_run(hidden))
    for length, seen in runs.items():
        assert max(seen) <= share * length
    # and the share is used up, from nothing on
    assert {0, math.floor(share * 29)} <= runs[29]


@pytest.mark.parametrize("share", [0.0, 0.15, 0.99, 1.0])
def test_band_masks_stay_within_their_share(share: float) -> None:
    torch.manual_seed(0)
    frames, sizes = ones((3,) * 600)
    changed = FrameAugment(band_masks=1, band_mask_share=share)(frames, sizes)
    hidden = (changed[:, :3] == 0).all(1)  # (B, D)
    assert torch.equal(hidden, (changed[:, :3] == 0).any(1))
    seen = {longest_run(row) for row in hidden}
    assert max(seen) <= share * WIDTH
    assert {0, math.floor(share * WIDTH)} <= seen


def test_masks_lie_anywhere() -> None:
    torch.manual_seed(0)
    frames, sizes = ones((20,) * 500)
    changed = FrameAugment(time_masks=1, time_mask_share=0.2)(frames, sizes)
    hidden = (changed[:, :20] == 0).all(-1).float().mean(0)  # how often each frame is hidden
    assert (hidden > 0.02).all()
    assert hidden[5:15].std() < 0.03


def test_several_masks_hide_more() -> None:
    frames, sizes = ones((100,) * 200)
    shares = []
    for masks in (1, 3):
        torch.manual_seed(0)
        changed = FrameAugment(time_masks=masks, time_mask_share=0.2)(frames, sizes)
        shares.append(float((changed[:, :100] == 0).float().mean()))
    # a mask of 0 to 20 frames hides a tenth on average
    assert shares[0] == pytest.approx(0.1, abs=0.01)
    assert shares[1] == pytest.approx(1 - 0.9**3, abs=0.02)


def test_noise_and_gain_have_the_stated_size() -> None:
    torch.manual_seed(0)
    frames, sizes = ones((50,) * 400)
    noisy = FrameAugment(noise=0.3)(frames, sizes)[:, :50] - 1
    assert float(noisy.std()) == pytest.approx(0.3, rel=0.02)
    louder = FrameAugment(gain=0.2)(frames, sizes)[:, :50] - 1
    assert (louder == louder[:, :1, :1]).all()
    assert float(louder[:, 0, 0].std()) == pytest.approx(0.2, rel=0.1)


def test_masked_values_are_the_mean_also_with_noise() -> None:
    torch.manual_seed(0)
    frames, sizes = ones((20,) * 50)
    changed = FrameAugment(time_masks=1, time_mask_share=1.0, noise=0.3, gain=0.2)(frames, sizes)
    hidden = (changed[:, :20] == 0).all(-1)
    assert 0.3 < float(hidden.float().mean()) < 0.7


def test_the_seed_decides() -> None:
    frames, lengths = ones()
    augment = FrameAugment(**ALL)
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(augment(frames, lengths))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
