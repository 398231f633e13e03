"""Log-mel bands, cepstra and voice descriptors: speech upstreams without weights.

Each is computed clip by clip, so that no digit depends on the batch or its padding. Levels are
those of the recording: normalisation belongs to the training part of a fold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torchaudio.compliance.kaldi import fbank, get_mel_banks
from torchaudio.functional import compute_deltas, create_dct

from data_modules.errors import ConfigError
from sermm.upstreams.clipwise import ClipwiseUpstream
from sermm.upstreams.descriptors import DESCRIPTORS, STEP, describe_voice
from sermm.upstreams.framing import check_window, count_frames
from sermm.upstreams.interface import SAMPLE_RATE

_LIFTER = 22  # Kaldi's cepstral lifter
_LOW_HZ = 20.0  # Kaldi's lower edge of the lowest band


class HandcraftedUpstream(ClipwiseUpstream):
    """Frames from arithmetic alone. A subclass states its name, dim and what one clip becomes.

    Args:
        window_ms: Length of a frame's window.
        hop_ms: From one frame to the next, at most ``window_ms``.

    Raises:
        ConfigError: The hop is longer than the window.
    """

    def __init__(self, *, window_ms: float = 25.0, hop_ms: float = 20.0) -> None:
        super().__init__()
        self.min_samples, self.frame_stride = check_window(window_ms, hop_ms)
        self.first_center = self.frame_stride / 2
        self.window_ms = window_ms
        self.hop_ms = hop_ms

    def options(self) -> Mapping[str, Any]:
        """Every value that shapes the frames."""
        return {"window_samples": self.min_samples, "hop_samples": self.frame_stride}

    def num_frames(self, num_samples: int) -> int:
        """How many frames a clip of ``num_samples`` gets: round(N / hop)."""
        return count_frames(num_samples, window=self.min_samples, hop=self.frame_stride)


class LogMel(HandcraftedUpstream):
    """Logarithm of the power in mel bands, as Kaldi computes it, without dither.

    Kaldi adds noise of one 16-bit step by chance so that digital silence stays finite. Here each
    band is held at or above one squared step instead (0 in these units): the same bytes every
    time, and a clip with cut silence does not stand out from one with room noise.

    Args:
        num_bands: Mel bands from 20 Hz to 8 kHz, D.
        window_ms: Length of the (Povey) window.
        hop_ms: From one frame to the next.

    Raises:
        ConfigError: So many bands that some hold no line of the spectrum.
    """

    name = "logmel"
    transform_version = 1

    def __init__(
        self, *, num_bands: int = 64, window_ms: float = 25.0, hop_ms: float = 20.0
    ) -> None:
        super().__init__(window_ms=window_ms, hop_ms=hop_ms)
        self.num_bands = num_bands
        self.dim = num_bands
        size = 1 << (self.min_samples - 1).bit_length()
        bands, _ = get_mel_banks(num_bands, size, SAMPLE_RATE, _LOW_HZ, 0.0, 100.0, -500.0, 1.0)
        if (empty := int((bands.sum(dim=1) == 0).sum())) > 0:
            raise ConfigError(
                "model.speech.num_bands",
                expected=f"bands that each hold a line of a {window_ms:g} ms spectrum",
                got=f"{num_bands}, of which {empty} hold none",
                fix="choose fewer bands or a longer model.speech.window_ms",
            )

    def options(self) -> Mapping[str, Any]:
        """Every value that shapes the frames."""
        return {**super().options(), "num_bands": self.num_bands}

    def clip_frames(self, waveform: Tensor) -> Tensor:
        """One clip ``(N,)`` to ``(F, num_bands)``."""
        bands: Tensor = fbank(
            waveform.unsqueeze(0) / STEP,
            num_mel_bins=self.num_bands,
            frame_length=self.window_ms,
            frame_shift=self.hop_ms,
            low_freq=_LOW_HZ,
            sample_frequency=SAMPLE_RATE,
            snip_edges=False,
            dither=0.0,
        )
        return bands.clamp(min=0.0)


class Mfcc(HandcraftedUpstream):
    """Cepstra of :class:`LogMel` with their first and second differences over time.

    Args:
        num_ceps: Coefficients kept, the zeroth (level) among them. D is three times as many.
        num_bands: Mel bands, at least ``num_ceps``.
        window_ms: Length of the window.
        hop_ms: From one frame to the next.

    Raises:
        ConfigError: More coefficients than bands.
    """

    name = "mfcc"
    transform_version = 1

    def __init__(
        self,
        *,
        num_ceps: int = 40,
        num_bands: int = 64,
        window_ms: float = 25.0,
        hop_ms: float = 20.0,
    ) -> None:
        super().__init__(window_ms=window_ms, hop_ms=hop_ms)
        if num_ceps > num_bands:
            raise ConfigError(
                "model.speech.num_ceps",
                expected=f"at most model.speech.num_bands ({num_bands})",
                got=str(num_ceps),
                fix="choose fewer coefficients or more bands",
            )
        self.bands = LogMel(num_bands=num_bands, window_ms=window_ms, hop_ms=hop_ms)
        self.num_ceps = num_ceps
        self.dim = 3 * num_ceps
        order = torch.arange(num_ceps)
        lifter = 1 + 0.5 * _LIFTER * torch.sin(torch.pi * order / _LIFTER)
        dct = create_dct(num_ceps, num_bands, "ortho") * lifter  # (num_bands, num_ceps)
        self.dct: Tensor
        self.register_buffer("dct", dct, persistent=False)

    def options(self) -> Mapping[str, Any]:
        """Every value that shapes the frames."""
        version = self.bands.transform_version
        return {**self.bands.options(), "num_ceps": self.num_ceps, "logmel_version": version}

    def clip_frames(self, waveform: Tensor) -> Tensor:
        """One clip ``(N,)`` to ``(F, 3 * num_ceps)``: cepstra, first, second differences."""
        cepstra = self.bands.clip_frames(waveform) @ self.dct
        # time is the last axis of compute_deltas; edges repeat, over windows of 5 frames
        first = compute_deltas(cepstra.T)
        second = compute_deltas(first)
        return torch.cat([cepstra, first.T, second.T], dim=1)


class LowLevelDescriptors(HandcraftedUpstream):
    """Pitch, voicing, energy and shape of the spectrum, see ``descriptors.py``. D is 15.

    Args:
        window_ms: Length of the window of the spectrum.
        hop_ms: From one frame to the next.
        f0_min_hz: Lowest pitch looked for.
        f0_max_hz: Highest pitch looked for.

    Raises:
        ConfigError: The spectrum is too coarse for its lowest band (half a kilohertz), or the range
            of pitches is empty or not that of a voice.
    """

    name = "lld"
    dim = len(DESCRIPTORS)
    transform_version = 1

    def __init__(
        self,
        *,
        window_ms: float = 25.0,
        hop_ms: float = 20.0,
        f0_min_hz: float = 60.0,
        f0_max_hz: float = 600.0,
    ) -> None:
        super().__init__(window_ms=window_ms, hop_ms=hop_ms)
        if self.min_samples < 65:  # 128 points: 4 lines below half a kilohertz
            raise ConfigError(
                "model.speech.window_ms",
                expected="at least 4.1 ms for lld",
                got=f"{window_ms:g}",
                fix="choose a longer window",
            )
        if not 20 <= f0_min_hz < f0_max_hz <= 2000:
            raise ConfigError(
                "model.speech.f0_min_hz",
                expected="20 <= f0_min_hz < f0_max_hz <= 2000",
                got=f"{f0_min_hz:g} and {f0_max_hz:g}",
                fix="choose another range of pitches",
            )
        self.f0_min_hz = f0_min_hz
        self.f0_max_hz = f0_max_hz

    def options(self) -> Mapping[str, Any]:
        """Every value that shapes the frames."""
        pitches = {"f0_min_hz": self.f0_min_hz, "f0_max_hz": self.f0_max_hz}
        return {**super().options(), **pitches, "descriptors": list(DESCRIPTORS)}

    def clip_frames(self, waveform: Tensor) -> Tensor:
        """One clip ``(N,)`` to ``(F, 15)``."""
        return describe_voice(
            waveform,
            window=self.min_samples,
            hop=self.frame_stride,
            f0_min_hz=self.f0_min_hz,
            f0_max_hz=self.f0_max_hz,
        )


class LogMelDescriptors(HandcraftedUpstream):
    """:class:`LogMel` and, after it in each frame, :class:`LowLevelDescriptors`.

    Log-mel bands hardly show pitch, which carries much of the arousal of a voice.

    Args:
        num_bands: Mel bands. D is this plus 15.
        window_ms: Length of the window.
        hop_ms: From one frame to the next.
        f0_min_hz: Lowest pitch looked for.
        f0_max_hz: Highest pitch looked for.
    """

    name = "logmel_lld"
    transform_version = 1

    def __init__(
        self,
        *,
        num_bands: int = 64,
        window_ms: float = 25.0,
        hop_ms: float = 20.0,
        f0_min_hz: float = 60.0,
        f0_max_hz: float = 600.0,
    ) -> None:
        super().__init__(window_ms=window_ms, hop_ms=hop_ms)
        self.bands = LogMel(num_bands=num_bands, window_ms=window_ms, hop_ms=hop_ms)
        self.descriptors = LowLevelDescriptors(
            window_ms=window_ms, hop_ms=hop_ms, f0_min_hz=f0_min_hz, f0_max_hz=f0_max_hz
        )
        self.dim = self.bands.dim + self.descriptors.dim

    def options(self) -> Mapping[str, Any]:
        """Every value that shapes the frames."""
        parts = (self.bands, self.descriptors)
        return {part.name: [part.transform_version, dict(part.options())] for part in parts}

    def clip_frames(self, waveform: Tensor) -> Tensor:
        """One clip ``(N,)`` to ``(F, num_bands + 15)``."""
        return torch.cat(
            [self.bands.clip_frames(waveform), self.descriptors.clip_frames(waveform)], dim=1
        )
