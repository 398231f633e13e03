from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.parity_speechbrain import GOLDEN, TRAINING_FRAMES
from benchmarks.tiny_ecapa import FRAME_DIM, build, clips
from sermm.nn.ecapa import EcapaPooling, EcapaSizes, MaskedBatchNorm, reflect
from sermm.nn.masking import length_mask
from tests.sermm.nn.padding import NAN, assert_padding_is_invisible, pad_rows, random_rows


def run(module: EcapaPooling, values: Tensor, lengths: Tensor) -> Tensor:
    embeddings: Tensor = module(values, length_mask(lengths, values.shape[1]))
    return embeddings


def golden() -> dict[str, np.ndarray]:
    with np.load(Path(GOLDEN)) as stored:
        return dict(stored)


def test_clips_alone_are_speechbrains() -> None:
    network = build()
    found = torch.cat([run(network, row[None], torch.tensor([len(row)])) for row in clips()])
    torch.testing.assert_close(found, torch.from_numpy(golden()["alone"]), atol=1e-5, rtol=0)


def test_batch_norm_in_training_is_speechbrains() -> None:
    network = build().double().train()
    rows = torch.stack(clips(lengths=(TRAINING_FRAMES,) * 5)).double()
    found = run(network, rows, torch.full((5,), TRAINING_FRAMES))
    torch.testing.assert_close(found, torch.from_numpy(golden()["training"]), atol=1e-9, rtol=0)
    state = network.state_dict()
    variances = [name for name in golden() if name.startswith("var/")]
    assert len(variances) == sum(name.endswith("running_var") for name in state)
    for name in variances:
        expected = torch.from_numpy(golden()[name])
        torch.testing.assert_close(state[name.removeprefix("var/")], expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("garbage", [NAN, 1e30])
def test_padding_is_invisible(garbage: float) -> None:
    """From clips of one frame upwards, which are shorter than what the kernels see."""
    network = build()
    assert_padding_is_invisible(network, run, random_rows(FRAME_DIM), garbage=garbage)


def test_padding_is_invisible_to_batch_norm_in_training() -> None:
    rows = [row.double() for row in random_rows(FRAME_DIM)]
    tight, loose = build().double().train(), build().double().train()
    found = run(tight, *pad_rows(rows, extra=0))
    padded = run(loose, *pad_rows(rows, extra=9))
    torch.testing.assert_close(padded, found)
    for name, tensor in tight.state_dict().items():
        torch.testing.assert_close(loose.state_dict()[name], tensor, msg=name)


def test_masked_batch_norm_is_torchs_over_the_real_frames() -> None:
    torch.manual_seed(0)
    ours = MaskedBatchNorm(3).double()
    theirs = torch.nn.BatchNorm1d(3).double()
    values, lengths = pad_rows([row.double() for row in random_rows(3)])
    mask = length_mask(lengths, values.shape[1])
    for _ in range(2):
        found = ours(values.transpose(1, 2), mask).transpose(1, 2)[mask]
        torch.testing.assert_close(found, theirs(values[mask]))
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)


def test_batch_norm_of_half_precision_sums_in_single() -> None:
    torch.manual_seed(0)
    values = (8 + torch.randn(4, 3, 500)).bfloat16()
    mask = length_mask(torch.tensor([500, 400, 300, 20]), 500)
    half, single = (MaskedBatchNorm(3) for _ in range(2))
    found, expected = half(values, mask), single(values.float(), mask)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, expected.bfloat16())
    assert torch.equal(half.running_mean, single.running_mean)
    assert torch.equal(half.running_var, single.running_var)


def test_one_value_a_channel_is_normalised_by_what_ran_before() -> None:
    norm = MaskedBatchNorm(2).train()
    norm.running_mean.fill_(1.0)
    values = torch.tensor([[[3.0], [1.0]]])
    torch.testing.assert_close(norm(values), (values - 1) / (1 + 1e-5) ** 0.5)
    assert norm.running_mean.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("margin", [0, 1, 4])
def test_reflection_is_torchs_at_each_clips_own_end(margin: int) -> None:
    rows = [torch.arange(5.0)[:, None], torch.arange(8.0)[:, None]]
    values, lengths = pad_rows(rows)
    found = reflect(values.transpose(1, 2), length_mask(lengths, values.shape[1]), margin)
    for row, got in zip(rows, found, strict=True):
        expected = F.pad(row.T, (margin, margin), mode="reflect")
        assert torch.equal(got[:, : len(row) + 2 * margin], expected)


def test_short_clips_are_reflected_to_and_fro() -> None:
    values = torch.tensor([[[1.0, 2.0, 3.0, NAN]]])
    found = reflect(values, torch.tensor([[True, True, True, False]]), 4)
    assert found[0, 0, :11].tolist() == [1, 2, 3, 2, 1, 2, 3, 2, 1, 2, 3]
    single = reflect(values, torch.tensor([[True, False, False, False]]), 2)
    assert single[0, 0].tolist() == [1.0] * 8


def test_sizes_of_the_paper() -> None:
    network = EcapaPooling(input_size=80)
    assert network.output_size == 192
    assert sum(p.numel() for p in network.parameters()) == 6_192_512


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (EcapaSizes(kernels=(3, 3)), "as many"),
        (EcapaSizes(dilations=(1, 1, 1)), "as many"),
        (EcapaSizes(kernels=(4, 3, 3, 3, 1)), "odd"),
    ],
)
def test_sizes_that_cannot_be(sizes: EcapaSizes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EcapaPooling(input_size=4, sizes=sizes)
