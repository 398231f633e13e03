"""ECAPA-TDNN with random weights, and frames for it: what the parity script and the tests share."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from sermm.nn.ecapa import EcapaPooling, EcapaSizes

FRAME_DIM = 6
SMALL = EcapaSizes(
    channels=(12, 16, 16, 16, 20),
    kernels=(5, 3, 3, 5, 1),
    dilations=(1, 2, 3, 4, 1),
    scale=4,
    se_channels=5,
    attention_channels=7,
    embedding=8,
)
LENGTHS = (17, 19, 40, 130)
"""Frames of the clips; SpeechBrain's cannot reflect clips of fewer than 9 frames at these sizes."""


def build(sizes: EcapaSizes = SMALL, *, frame_dim: int = FRAME_DIM, seed: int = 0) -> EcapaPooling:
    """A network in evaluation mode whose every weight and statistic is random."""
    network = EcapaPooling(input_size=frame_dim, sizes=sizes)
    fill(network, seed)
    return network.eval()


def fill(module: nn.Module, seed: int) -> None:
    """Random numbers for all parameters and buffers; deviations are positive."""
    draw = np.random.default_rng(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            fan_in = max(1, tensor[0].numel())
            values = draw.normal(size=tuple(tensor.shape)) / np.sqrt(fan_in)
            if name.endswith("running_var"):
                values = 0.5 + np.abs(values)
            elif tensor.ndim == 1:
                values = 0.2 * values + name.endswith("norm.weight")  # most units are alive
            tensor.copy_(torch.from_numpy(values.astype(np.float32)))


def clips(frame_dim: int = FRAME_DIM, lengths: tuple[int, ...] = LENGTHS) -> list[Tensor]:
    """Frames ``(F, D)`` of each length."""
    draw = np.random.default_rng(1)
    return [
        torch.from_numpy(draw.normal(size=(length, frame_dim)).astype(np.float32))
        for length in lengths
    ]
