from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from data_modules.dataset import FrameSource
from data_modules.errors import ConfigError
from data_modules.joined_frames import join_frames

UTTERANCE: Any = None


def source(
    values: list[float], stride_s: float, first_center_s: float, dim: int = 1
) -> FrameSource:
    frames = np.repeat(np.array(values, dtype=np.float32)[:, None], dim, axis=1)
    return FrameSource(lambda _: frames.copy(), dim, stride_s, first_center_s)


def test_equal_frames_stand_side_by_side() -> None:
    joined = join_frames(source([1, 2, 3], 0.02, 0.0125), source([4, 5, 6], 0.02, 0.0125, dim=2))
    assert joined.read(UTTERANCE).tolist() == [[1, 4, 4], [2, 5, 5], [3, 6, 6]]
    assert (joined.dim, joined.second_dim, joined.num_layers) == (3, 2, 1)
    assert (joined.stride_s, joined.first_center_s) == (0.02, 0.0125)
    assert joined.read(UTTERANCE).dtype == np.float32


def test_the_nearest_in_time_by_hand() -> None:
    """Centres at 10, 30, 50 ms; beside them at 5, 15, ... 35 ms: 5 and 15 are as near to 10."""
    joined = join_frames(source([1, 2, 3], 0.02, 0.01), source([5, 15, 25, 35], 0.01, 0.005))
    assert joined.read(UTTERANCE)[:, 1].tolist() == [5, 25, 35]
    slower = join_frames(source([5, 15, 25, 35], 0.01, 0.005), source([1, 2], 0.02, 0.01))
    assert slower.read(UTTERANCE)[:, 1].tolist() == [1, 1, 2, 2]


def test_one_frame_an_utterance_has_no_place_in_time() -> None:
    with pytest.raises(ConfigError, match="expected two upstreams with frames over time"):
        join_frames(source([1, 2], 0.02, 0.01), source([1], 0.0, 0.0))
