"""Low-level descriptors of the voice: what a phonetician would measure, frame by frame.

The choice follows the parameters that F. Eyben et al., "The Geneva Minimalistic Acoustic Parameter
Set (GeMAPS) for Voice Research and Affective Computing", IEEE Trans. Affective Computing 7(2),
2016, section 3, find useful for affect: frequency, energy and balance of the spectrum. Formants,
jitter and shimmer are left out, since they need single periods; units and smoothing are our choice.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sermm.upstreams.framing import frame
from sermm.upstreams.interface import SAMPLE_RATE
from sermm.upstreams.pitch import midpoint_hz, semitones, track_pitch

DESCRIPTORS = (
    "pitch",  # semitones above 27.5 Hz; in unvoiced frames interpolated between voiced ones
    "voiced",  # 1 or 0
    "pitch_change",  # semitones from the frame before, 0 unless both are voiced
    "periodicity",  # height of the autocorrelation peak, 0 to 1
    "energy",  # dB above a 16-bit step
    "zero_crossings",  # share of neighbouring samples of opposite sign
    "centroid",  # kHz, centre of gravity of the power spectrum
    "spread",  # kHz, standard deviation around the centroid
    "rolloff",  # kHz, below which 85 % of the power lies
    "entropy",  # of the power spectrum, 0 (one line) to 1 (flat)
    "flux",  # distance of the normalised magnitude spectra of this frame and the one before
    "slope_low",  # dB per kHz, 0 to 0.5 kHz
    "slope_high",  # dB per kHz, 0.5 to 1.5 kHz
    "alpha_ratio",  # dB, 0.05-1 kHz over 1-5 kHz
    "hammarberg",  # dB, highest line of 0-2 kHz over that of 2-5 kHz
)
_REFERENCE_HZ = 27.5
_ROLLOFF_SHARE = 0.85
# one step of 16-bit audio: levels are told above it, and it keeps digital silence finite
STEP = 1 / 32768
_BLOCK = 4096  # frames at once, so that audio of any length fits into memory


def describe_voice(
    waveform: Tensor, *, window: int, hop: int, f0_min_hz: float, f0_max_hz: float
) -> Tensor:
    """All descriptors of a clip.

    Args:
        waveform: ``(N,)`` float32, 16 kHz, at least one window.
        window: Samples in a window of the spectrum; pitch has its own, longer one.
        hop: Samples from one frame to the next.
        f0_min_hz: Lowest pitch looked for.
        f0_max_hz: Highest pitch looked for.

    Returns:
        ``(F, 15)`` in the order of :data:`DESCRIPTORS`.
    """
    source = _describe_source(waveform, hop=hop, f0_min_hz=f0_min_hz, f0_max_hz=f0_max_hz)
    frames = frame(waveform, window=window, hop=hop) / STEP  # (F, window), in steps
    spectra = [_describe_spectrum(part) for part in _overlapping(frames)]
    return torch.cat([source, torch.cat(spectra)], dim=1)


def _overlapping(frames: Tensor) -> list[Tensor]:
    """Blocks of frames, each led by the frame before it (the first by itself), for the flux."""
    led = torch.cat([frames[:1], frames])
    return [led[at : at + _BLOCK + 1] for at in range(0, frames.shape[0], _BLOCK)]


def _describe_source(waveform: Tensor, *, hop: int, f0_min_hz: float, f0_max_hz: float) -> Tensor:
    """Pitch, voiced, pitch change, periodicity: ``(F, 4)``."""
    pitch = track_pitch(waveform, hop=hop, f0_min_hz=f0_min_hz, f0_max_hz=f0_max_hz)
    voiced = pitch.f0_hz > 0
    level = semitones(pitch.f0_hz.clamp(min=f0_min_hz), _REFERENCE_HZ)
    if voiced.any():
        level = _interpolate(level, voiced)
    else:
        # a whisper or silence has no pitch: the middle of the range says the least
        middle = torch.tensor(midpoint_hz(f0_min_hz, f0_max_hz))
        level = torch.full_like(level, float(semitones(middle, _REFERENCE_HZ)))
    change = torch.zeros_like(level)
    change[1:] = (level[1:] - level[:-1]) * (voiced[1:] & voiced[:-1])
    return torch.stack([level, voiced.float(), change, pitch.periodicity], dim=1)


def _interpolate(values: Tensor, known: Tensor) -> Tensor:
    """Straight lines between known values, and level before the first and after the last."""
    at = torch.arange(values.shape[0], device=values.device)
    there = at[known]
    right = torch.searchsorted(there, at).clamp(max=there.shape[0] - 1)
    left = (torch.searchsorted(there, at, right=True) - 1).clamp(min=0)
    start, end = there[left], there[right]
    share = ((at - start) / (end - start).clamp(min=1)).clamp(0, 1)
    return torch.lerp(values[start], values[end], share)


def _describe_spectrum(frames: Tensor) -> Tensor:
    """The other descriptors ``(F, 11)`` of ``(1 + F, window)``; the first frame only leads."""
    centred = frames - frames.mean(dim=1, keepdim=True)
    taper = torch.hann_window(frames.shape[1], device=frames.device)
    size = 1 << (frames.shape[1] - 1).bit_length()
    # white noise of one step is added in expectation, where a dither would add it by chance
    weighted, weight = centred * taper, taper.square().sum()
    power = torch.fft.rfft(weighted, n=size).abs().square() + weight
    khz = torch.fft.rfftfreq(size, 1000 / SAMPLE_RATE, device=frames.device)  # (bins,)
    magnitude = power.sqrt()
    magnitude = magnitude / magnitude.norm(dim=1, keepdim=True)
    flux = (magnitude[1:] - magnitude[:-1]).norm(dim=1)

    centred, weighted, power = centred[1:], weighted[1:], power[1:]
    energy = 10 * torch.log10(weighted.square().sum(dim=1) / weight + 1)
    crossings = (centred[:, 1:] * centred[:, :-1] < 0).float().mean(dim=1)
    share = power / power.sum(dim=1, keepdim=True)
    centroid = share @ khz
    spread = ((khz - centroid.unsqueeze(1)).square() * share).sum(dim=1).sqrt()
    rolloff = khz[(share.cumsum(dim=1) < _ROLLOFF_SHARE).sum(dim=1)]
    entropy = -(share * share.log()).sum(dim=1) / torch.log(torch.tensor(float(len(khz))))
    level = 10 * torch.log10(power)  # dB
    alpha = _band(power, khz, 0.05, 1).sum(dim=1) / _band(power, khz, 1, 5).sum(dim=1)
    hammarberg = _band(level, khz, 0, 2).amax(dim=1) - _band(level, khz, 2, 5).amax(dim=1)
    columns = [
        energy,
        crossings,
        centroid,
        spread,
        rolloff,
        entropy,
        flux,
        _slope(_band(level, khz, 0, 0.5), _band(khz, khz, 0, 0.5)),
        _slope(_band(level, khz, 0.5, 1.5), _band(khz, khz, 0.5, 1.5)),
        10 * torch.log10(alpha),
        hammarberg,
    ]
    return torch.stack(columns, dim=1)


def _band(values: Tensor, khz: Tensor, low: float, high: float) -> Tensor:
    """The bins from ``low`` to ``high`` kHz of ``(..., bins)``."""
    return values[..., (khz >= low) & (khz < high)]


def _slope(level: Tensor, khz: Tensor) -> Tensor:
    """Least-squares slope of ``(F, bins)`` over ``(bins,)``."""
    centred = khz - khz.mean()
    return level @ centred / centred.square().sum()
