"""Where frames lie on a waveform. All hand-crafted features share this one answer.

Frame i stands for the samples [i * hop, (i + 1) * hop) and its window is centred on their middle,
so a time t in seconds falls into frame floor(t / hop_s). Kaldi calls this ``snip_edges=false``.
A clip of N samples has round(N / hop) frames; the windows of the first and last ones reach beyond
the clip, where the waveform is mirrored.
"""

from __future__ import annotations

from torch import Tensor, cat
from torch.nn.functional import pad

from data_modules.errors import ConfigError
from sermm.upstreams.interface import SAMPLE_RATE


def samples_of(milliseconds: float) -> int:
    """Whole samples in a time, as Kaldi rounds them (down)."""
    return int(SAMPLE_RATE * milliseconds * 0.001)


def check_window(window_ms: float, hop_ms: float) -> tuple[int, int]:
    """Window and hop in samples.

    Raises:
        ConfigError: The hop is shorter than a sample, or longer than the window: then some of the
            audio would stand in no frame.
    """
    window, hop = samples_of(window_ms), samples_of(hop_ms)
    if not 1 <= hop <= window:
        raise ConfigError(
            "model.speech.hop_ms",
            expected=f"between 0.0625 ms and model.speech.window_ms ({window_ms:g} ms)",
            got=f"{hop_ms:g}",
            fix="choose a shorter hop or a longer window",
        )
    return window, hop


def count_frames(num_samples: int, *, window: int, hop: int) -> int:
    """Frames of a clip; one shorter than a window counts as filled up to a window."""
    return (max(num_samples, window) + hop // 2) // hop


def fill_to_window(waveform: Tensor, window: int) -> Tensor:
    """``(N,)`` to at least ``window`` samples, with zeros at the end."""
    return pad(waveform, (0, max(0, window - waveform.shape[0])))


def frame(waveform: Tensor, *, window: int, hop: int, mirrored: bool = True) -> Tensor:
    """Windows of a clip, not yet weighted.

    Args:
        waveform: ``(N,)``, N at least half a window.
        window: Samples in a window.
        hop: Samples from one window to the next.
        mirrored: Beyond its ends the clip goes on mirrored, else with zeros.

    Returns:
        ``(F, window)``, F = round(N / hop), a view.
    """
    num_samples = waveform.shape[0]
    num_frames = (num_samples + hop // 2) // hop
    left = window // 2 - hop // 2
    right = (num_frames - 1) * hop + window - left - num_samples
    if mirrored:
        before = waveform[: max(left, 0)].flip(0)
        after = waveform[num_samples - max(right, 0) :].flip(0)
    else:
        before, after = waveform.new_zeros(max(left, 0)), waveform.new_zeros(max(right, 0))

    whole = cat([before, waveform, after])  # (left + N + right,)
    return whole.unfold(0, window, hop)[:num_frames]  # (F, window)
