from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sermm.nn.augment import FrameAugment, TimeStretch
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


def test_stretch_leaves_evaluation_alone() -> None:
    frames, lengths = torch.randn(2, 9, 3), torch.tensor([9, 4])
    stretch = TimeStretch(share=0.5).eval()
    same, kept = stretch(frames, lengths)
    assert same is frames
    assert kept is lengths


def test_stretch_keeps_order_ends_and_range() -> None:
    torch.manual_seed(0)
    lengths = torch.tensor([40, 1, 17, 30])
    ramp = torch.arange(40.0).view(1, -1, 1).expand(4, -1, 2)
    stretch = TimeStretch(share=0.25).train()
    seen = set()
    for _ in range(50):
        out, new = stretch(ramp, lengths)
        seen.add(int(new[0]))
        for row, length in enumerate(new.tolist()):
            real = out[row, :length, 0]
            assert real[0] == 0
            assert (real.diff() >= 0).all()
            assert real[-1] <= lengths[row] - 1
            assert not out[row, length:].any()
            assert 0.75 * lengths[row] - 0.5 <= length <= 1.25 * lengths[row] + 0.5
            assert length >= 1
    assert min(seen) < 34 < 46 < max(seen)


def test_warp_moves_a_peak_by_the_factor_and_leaves_the_rest() -> None:
    torch.manual_seed(0)
    frames = torch.zeros(200, 1, 25)
    frames[..., 10] = 1.0  # a peak in band 10 of 20
    frames[..., 20:] = 7.0  # descriptors that are no bands
    augment = FrameAugment(band_warp=0.2, num_bands=20).train()
    out = augment(frames, torch.ones(200, dtype=torch.int64))
    assert (out[..., 20:] == 7).all()
    bands = out[:, 0, :20]
    assert (bands >= 0).all()
    centres = (bands * torch.arange(20.0)).sum(-1) / bands.sum(-1)
    # read at 0.8 to 1.2 times the axis, the peak stands between 10 / 1.2 and 10 / 0.8
    assert 8 <= centres.min() < 9
    assert 12 < centres.max() <= 13
