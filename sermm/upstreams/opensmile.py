"""eGeMAPS and ComParE through openSMILE: low-level descriptors, and functionals of whole clips.

An extra: openSMILE's licence allows research and private use alone, and no commercial product. Each
clip gets an engine of its own, so neither the batch nor the threads around it change a digit.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from data_modules.errors import ConfigError
from sermm.extras import expect_extra
from sermm.upstreams.clipwise import ClipwiseUpstream
from sermm.upstreams.interface import SAMPLE_RATE

Array = npt.NDArray[np.float32]

LEVELS: Mapping[str, Mapping[str, int]] = {
    "functionals": {"eGeMAPSv02": 88, "ComParE_2016": 6373},
    "lld": {"eGeMAPSv02": 25, "ComParE_2016": 65},
}
"""Values in a frame, by level and feature set."""

# as openSMILE's configuration files call the levels
_SINKS = {"functionals": "func", "lld": "lld"}
_WINDOW = 960  # samples, 60 ms: of the pitch, the longest window
_HOP = 160  # samples, 10 ms
# row i holds spectra of the 20 ms and pitch of the 60 ms that begin at i hops (measured, see
# tests), so their centres lie at 10 and at 30 ms; the middle is a hop from either
_FIRST_CENTER = 320.0
# openSMILE divides 16-bit samples by 32767, the rest of the world by 32768
_SCALE = np.float32(32768), np.float32(32767)
_FLOAT_SAMPLES = 33  # what openSMILE calls samples that are 32-bit floats


class OpenSmile(ClipwiseUpstream):
    """A feature set of openSMILE (Eyben et al. 2010), as its own configuration files have it.

    Samples reach openSMILE as floats: nothing is rounded to 16 bits nor wraps round at full scale.
    From 16-bit recordings the values are those of the package ``opensmile``, bit for bit.

    Args:
        feature_set: ``eGeMAPSv02`` (Eyben et al. 2016) or ``ComParE_2016`` (Schuller et al. 2016).
        feature_level: ``functionals``: one frame a clip, D 88 or 6373. ``lld``: low-level
            descriptors every 10 ms, D 25 or 65.

    Raises:
        ConfigError: There is no such set or level.
        ModelError: openSMILE is not installed.
    """

    name = "opensmile"
    transform_version = 1

    def __init__(
        self, *, feature_set: str = "ComParE_2016", feature_level: str = "functionals"
    ) -> None:
        super().__init__()
        sets = LEVELS.get(feature_level, {})
        if feature_set not in sets:
            key = "feature_set" if sets else "feature_level"
            raise ConfigError(
                f"model.speech.{key}",
                expected=f"one of {', '.join(sets or LEVELS)}",
                got=repr(feature_set if sets else feature_level),
                fix="choose one of these",
            )
        expect_extra(self.name)
        self.feature_set = feature_set
        self.feature_level = feature_level
        self.dim = sets[feature_set]
        self.min_samples = _WINDOW
        whole = feature_level == "functionals"
        self.frame_stride, self.first_center = (0, 0.0) if whole else (_HOP, _FIRST_CENTER)

    def options(self) -> Mapping[str, Any]:
        """Feature set, level, and the version of the package, which brings openSMILE with it."""
        return {
            "feature_set": self.feature_set,
            "feature_level": self.feature_level,
            "opensmile": importlib.metadata.version("opensmile"),
        }

    def num_frames(self, num_samples: int) -> int:
        """1 for functionals; else one for each whole window, and one more from smoothing."""
        if self.frame_stride == 0:
            return 1
        return (max(num_samples, _WINDOW) - _WINDOW) // _HOP + 2

    def clip_frames(self, waveform: Tensor) -> Tensor:
        """One clip ``(N,)`` of at least ``min_samples`` to ``(F, D)``."""
        samples = waveform.detach().cpu().numpy().astype(np.float32, copy=False)
        frames = self._run(np.ascontiguousarray(samples * _SCALE[0] / _SCALE[1]))
        expected = (self.num_frames(len(samples)), self.dim)
        if frames.shape != expected:
            raise RuntimeError(
                f"openSMILE gave {frames.shape} for {len(samples)} samples, expected {expected}"
            )
        return torch.from_numpy(frames).to(waveform.device)

    def _run(self, samples: Array) -> Array:
        """What openSMILE makes of float samples, ``(F, D)``."""
        # half a second, which only those pay who compute
        import opensmile
        from opensmile.core import smile
        from opensmile.core.lib import OpenSMILE

        settings = opensmile.config
        folder = Path(smile.__file__).parent / settings.CONFIG_ROOT
        shared = folder / "shared"
        rows: list[Array] = []
        engine = OpenSMILE()
        engine.initialize(
            str(folder / opensmile.FeatureSet[self.feature_set].value) + settings.CONFIG_EXT,
            options={
                "source": folder / settings.EXTERNAL_INPUT_CONFIG,
                "sink": folder / settings.EXTERNAL_OUTPUT_SINGLE_CONFIG,
                "sinkLevel": _SINKS[self.feature_level],
                "bufferModeRbConf": shared / "BufferModeRb.conf.inc",
                "frameModeFunctionalsConf": shared / "FrameModeFunctionals.conf.inc",
                "sampleRate": SAMPLE_RATE,
                "nBits": _FLOAT_SAMPLES,
            },
        )
        try:
            engine.external_sink_set_callback_ex(
                settings.EXTERNAL_OUTPUT_COMPONENT, lambda row, _: rows.append(row.copy())
            )
            source = settings.EXTERNAL_SOURCE_COMPONENT
            if not engine.external_audio_source_write_data(source, samples.tobytes()):
                raise RuntimeError(f"openSMILE did not take {len(samples)} samples")
            engine.external_audio_source_set_eoi(source)
            engine.run()
        finally:
            engine.free()
        return np.concatenate(rows) if rows else np.zeros((0, self.dim), np.float32)
