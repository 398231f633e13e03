"""Frames of two upstreams side by side, at the rate of the first."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from data_modules.dataset import FrameSource
from data_modules.errors import ConfigError
from data_modules.frames import Frames
from data_modules.manifest import Utterance


def join_frames(first: FrameSource, second: FrameSource) -> FrameSource:
    """Each frame of the first with the frame of the second whose centre is nearest in time.

    With equal strides and as many frames that is the frame of the same number; else frames of the
    second are left out or repeated, at the ends too.

    Args:
        first: One layer, nothing cut.
        second: Likewise.

    Raises:
        ConfigError: One of them has one frame an utterance.
    """
    if first.one_frame or second.one_frame:
        raise ConfigError(
            "model.speech2.upstream",
            expected="two upstreams with frames over time",
            got="one frame an utterance",
            fix="choose other features",
        )

    def read(utterance: Utterance) -> Frames:
        ahead, beside = first.read(utterance), second.read(utterance)
        return np.concatenate([ahead, beside[nearest(len(ahead), len(beside))]], axis=1)

    def nearest(num_first: int, num_second: int) -> npt.NDArray[np.int64]:
        times = first.first_center_s + first.stride_s * np.arange(num_first)
        places = (times - second.first_center_s) / second.stride_s
        # to the earlier of two that are as near, whatever the last digit says
        found: npt.NDArray[np.int64] = np.ceil(places - 0.5 - 1e-6).astype(np.int64)
        return found.clip(0, num_second - 1)

    return FrameSource(
        read=read,
        dim=first.dim + second.dim,
        stride_s=first.stride_s,
        first_center_s=first.first_center_s,
        second_dim=second.dim,
    )
