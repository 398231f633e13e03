"""Fundamental frequency and harmonicity of a clip, frame by frame.

P. Boersma, "Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise
ratio of a sampled sound", IFA Proceedings 17, 1993: the autocorrelation of a windowed frame is
divided by that of the window (eq. 9), its peaks are candidates (eqs. 23, 24), and the path through
them that costs least is taken over the whole clip (eq. 25).

Deviations: peaks are refined with a parabola instead of sin(x)/x; frames are mirrored nowhere, a
window that reaches beyond the clip sees zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2

import numpy as np
import torch
from torch import Tensor

from sermm.upstreams.framing import frame
from sermm.upstreams.interface import SAMPLE_RATE

# Boersma's standard settings; costs are per 10 ms
_VOICING_THRESHOLD = 0.45
_SILENCE_THRESHOLD = 0.03
_OCTAVE_COST = 0.01
_OCTAVE_JUMP_COST = 0.35
_VOICING_CHANGE_COST = 0.14
_PERIODS_IN_WINDOW = 3
_CANDIDATES = 8
# frames at once: bounds memory to a few tens of megabytes for audio of any length
_BLOCK = 4096


@dataclass(frozen=True)
class Pitch:
    """What the voice source does in each frame.

    Attributes:
        f0_hz: ``(F,)`` float32, 0 where the frame is unvoiced.
        periodicity: ``(F,)`` float32 in [0, 1], height of the highest autocorrelation peak in the
            range of pitches, voiced or not.
    """

    f0_hz: Tensor
    periodicity: Tensor


def track_pitch(waveform: Tensor, *, hop: int, f0_min_hz: float, f0_max_hz: float) -> Pitch:
    """Follow the pitch through a clip.

    Args:
        waveform: ``(N,)`` float32, 16 kHz.
        hop: Samples from one frame to the next; frames lie as ``framing.py`` says.
        f0_min_hz: Lowest pitch looked for; the window holds three of its periods.
        f0_max_hz: Highest pitch looked for.
    """
    window = ceil(_PERIODS_IN_WINDOW * SAMPLE_RATE / f0_min_hz)
    frames = frame(waveform, window=window, hop=hop, mirrored=False)  # (F, window)
    loudest = (waveform - waveform.mean()).abs().max()
    blocks = [
        _candidates(block, loudest, f0_min_hz=f0_min_hz, f0_max_hz=f0_max_hz)
        for block in torch.split(frames, _BLOCK)
    ]
    f0_hz, strength, periodicity = (torch.cat(parts) for parts in zip(*blocks, strict=True))
    path = _cheapest_path(f0_hz, strength, frames_per_10_ms=0.01 * SAMPLE_RATE / hop)
    return Pitch(f0_hz.gather(1, path.unsqueeze(1)).squeeze(1), periodicity)


def _candidates(
    frames: Tensor, loudest: Tensor, *, f0_min_hz: float, f0_max_hz: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Pitch candidates of each frame; candidate 0 is "unvoiced", with a frequency of 0.

    Returns:
        Frequencies in Hz and strengths, both ``(F, 1 + K)``, and the highest peak ``(F,)``.
    """
    shortest, longest = int(SAMPLE_RATE / f0_max_hz), ceil(SAMPLE_RATE / f0_min_hz)
    centred = frames - frames.mean(dim=1, keepdim=True)
    taper = torch.hann_window(frames.shape[1], device=frames.device)
    # one lag more on each side, since a peak needs both neighbours
    correlation = _autocorrelation(centred * taper, longest + 2)
    correlation = correlation / _autocorrelation(taper.unsqueeze(0), longest + 2)
    correlation = correlation[:, shortest - 1 :]  # (F, lags)

    before, here, after = correlation[:, :-2], correlation[:, 1:-1], correlation[:, 2:]
    is_peak = (here > before) & (here >= after) & (here > 0)
    curvature = (before - 2 * here + after).clamp(max=-1e-9)
    shift = (0.5 * (before - after) / curvature).clamp(-0.5, 0.5)  # lags from the middle sample
    height = (here - 0.25 * (before - after) * shift).clamp(max=1.0)
    lags = torch.arange(shortest, shortest + here.shape[1], device=frames.device) + shift
    in_range = (lags >= SAMPLE_RATE / f0_max_hz) & (lags <= SAMPLE_RATE / f0_min_hz)
    is_peak = is_peak & in_range

    # of peaks of equal height, that of the shortest lag is the pitch and the rest its octaves
    strength = height - _OCTAVE_COST * torch.log2(f0_min_hz * lags / SAMPLE_RATE)
    strength = strength.masked_fill(~is_peak, -torch.inf)
    best, at = strength.topk(min(_CANDIDATES, strength.shape[1]), dim=1)  # (F, K)
    f0_hz = (SAMPLE_RATE / lags.gather(1, at)).masked_fill(best.isinf(), 1.0)

    loudness = centred.abs().amax(dim=1) / loudest.clamp(min=1e-12)
    quiet = (2 - loudness * (1 + _VOICING_THRESHOLD) / _SILENCE_THRESHOLD).clamp(min=0)
    unvoiced = (_VOICING_THRESHOLD + quiet).unsqueeze(1)
    periodicity = height.masked_fill(~is_peak, 0.0).amax(dim=1)
    return (
        torch.cat([torch.zeros_like(unvoiced), f0_hz], dim=1),
        torch.cat([unvoiced, best], dim=1),
        periodicity,
    )


def _autocorrelation(frames: Tensor, num_lags: int) -> Tensor:
    """``(F, window)`` to ``(F, num_lags)``, lag 0 is 1; a frame of zeros gives zeros."""
    linear = frames.shape[1] + num_lags  # a shorter transform would wrap the far lags around
    # of the lengths that transform fast, the least: up to half of the work of the power of two
    size = min(odd << ceil(log2(linear / odd)) for odd in (1, 3, 9))
    spectrum = torch.view_as_real(torch.fft.rfft(frames, n=size))
    correlation: Tensor = torch.fft.irfft(spectrum.square().sum(dim=-1), n=size)[:, :num_lags]
    return correlation / correlation[:, :1].clamp(min=1e-20)


def _cheapest_path(f0_hz: Tensor, strength: Tensor, *, frames_per_10_ms: float) -> Tensor:
    """Viterbi search: the candidate of each frame ``(F,)``, from ``(F, 1 + K)`` candidates."""
    jump = _OCTAVE_JUMP_COST * frames_per_10_ms
    change = _VOICING_CHANGE_COST * frames_per_10_ms
    voiced = f0_hz > 0
    octave = torch.log2(f0_hz.clamp(min=1.0))  # (F, 1 + K)
    # cost of going from candidate j of a frame to candidate k of the next, (F - 1, 1 + K, 1 + K)
    cost = jump * (octave[:-1].unsqueeze(2) - octave[1:].unsqueeze(1)).abs()
    both = voiced[:-1].unsqueeze(2) & voiced[1:].unsqueeze(1)
    differ = voiced[:-1].unsqueeze(2) != voiced[1:].unsqueeze(1)
    cost = cost.masked_fill(~both, 0.0) + change * differ
    # step by step: numpy, whose calls on such small arrays take a fraction of torch's
    costs, gains = cost.cpu().numpy(), strength.cpu().numpy()
    num_frames, num_candidates = gains.shape
    origins = np.empty((num_frames - 1, num_candidates), dtype=np.int64)
    total = gains[0]
    for at in range(num_frames - 1):
        reached = total[:, None] - costs[at]
        origins[at] = reached.argmax(axis=0)
        total = np.maximum.reduce(reached) + gains[at + 1]
    path = np.empty(num_frames, dtype=np.int64)
    path[-1] = total.argmax()
    for at in range(num_frames - 2, -1, -1):
        path[at] = origins[at, path[at + 1]]
    return torch.from_numpy(path).to(f0_hz.device)


def semitones(f0_hz: Tensor, reference_hz: float) -> Tensor:
    """Pitch on a musical scale, 12 to the octave, 0 at ``reference_hz``."""
    return 12 * torch.log2(f0_hz / reference_hz)


def midpoint_hz(f0_min_hz: float, f0_max_hz: float) -> float:
    """Middle of the range of pitches on the musical scale."""
    return float(2 ** ((log2(f0_min_hz) + log2(f0_max_hz)) / 2))
