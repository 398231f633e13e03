"""Frozen encoders in files of their own: TensorFlow Lite and ONNX, on the CPU (extra ``encoders``).

Two kinds of file. One takes a stretch of fixed length: a clip is given stretch by stretch, from the
first sample on, and what the file remembers in between begins anew with each clip. The other takes
a clip of any length at once. Nothing in a file is executed but its graph, and nothing is fetched:
an ONNX file whose weights lie in further files is refused.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from data_modules.errors import ModelError
from sermm.extras import expect_extra, expect_file
from sermm.upstreams.clipwise import ClipwiseUpstream
from sermm.upstreams.framing import check_window

Array = npt.NDArray[np.float32]

_WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"


class FrozenEncoder(ClipwiseUpstream):
    """An encoder in a file: 16 kHz samples in, vectors out.

    Args:
        name: Path of the file.

    Raises:
        ConfigError: No file is named.
        ModelError: The package that runs it is missing, or the file cannot be read.
    """

    transform_version = 1
    package: str

    def __init__(self, *, name: str) -> None:
        super().__init__()
        expect_extra(self.name)
        expect_file(self.name, name)
        self.file = name
        try:
            self.content = Path(name).read_bytes()
        except OSError as error:
            raise self._refused("a file that can be read", str(error)) from None

    def options(self) -> Mapping[str, Any]:
        """The file by its content, and the version of the package that runs it."""
        return {
            "sha256": hashlib.sha256(self.content).hexdigest(),
            self.package: importlib.metadata.version(self.package),
        }

    def _take_stretches(self, shape: list[int], output: list[int]) -> None:
        """Set times and widths of a file that takes stretches.

        Args:
            shape: Of its input; all but one axis are 1.
            output: Of its output: a frame's values along the last axis, frames along the others.
        """
        self.input_shape = tuple(shape)
        self.stretch = int(np.prod(shape))
        self.dim = output[-1]
        frames = int(np.prod(output[:-1]))
        if max(shape) != self.stretch or self.stretch % frames:
            raise self._refused(
                "N samples to a number of frames that divides N", f"{shape} to {output}"
            )
        self.min_samples = self.stretch
        self.frame_stride = self.stretch // frames
        self.first_center = self.frame_stride / 2

    def num_frames(self, num_samples: int) -> int:
        """How many frames a clip gets: the last stretch is filled up with zeros."""
        return -(-num_samples // self.stretch) * (self.stretch // self.frame_stride)

    def clip_frames(self, waveform: Tensor) -> Tensor:
        """One clip ``(N,)`` of at least ``min_samples`` to ``(F, D)``."""
        samples = waveform.detach().cpu().numpy().astype(np.float32, copy=False)
        frames = np.ascontiguousarray(self._encode(samples), dtype=np.float32)
        expected = (self.num_frames(len(samples)), self.dim)
        if frames.shape != expected:
            raise self._refused(
                f"{expected} values for {len(samples)} samples", f"{frames.shape}", _TIMES
            )
        return torch.from_numpy(frames).to(waveform.device)

    @abstractmethod
    def _encode(self, samples: Array) -> Array:
        """One clip ``(N,)`` to ``(F, D)``."""

    def _stretches(self, samples: Array) -> Array:
        """``(N,)`` to ``(K, stretch)``, the last one filled up with zeros."""
        return np.pad(samples, (0, -len(samples) % self.stretch)).reshape(-1, self.stretch)

    def _refused(self, expected: str, got: str, fix: str = "choose another file") -> ModelError:
        return ModelError(f"model.speech.name={self.file}", expected=expected, got=got, fix=fix)


_TIMES = "set model.speech.hop_ms and model.speech.window_ms to those of the file"


class TfliteEncoder(FrozenEncoder):
    """An encoder in TensorFlow Lite's format, such as Lyra's SoundStream (Zeghidour et al. 2022).

    Takes stretches of fixed length. Each clip gets an interpreter of its own: one that was used
    keeps what it remembers even after ``reset_all_variables``, and it is no cheaper to reuse.

    Args:
        name: Path of a ``.tflite`` file with one input and one output, both float32.

    Raises:
        ConfigError: No file is named.
        ModelError: LiteRT is missing, or the file is none of this kind.
    """

    name = "tflite"
    package = "ai-edge-litert"

    def __init__(self, *, name: str) -> None:
        super().__init__(name=name)
        try:
            interpreter = self._interpreter()
        except (RuntimeError, ValueError) as error:
            raise self._refused("a TensorFlow Lite file", _line(error)) from None
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            raise self._refused("one input and one output", f"{len(inputs)} and {len(outputs)}")
        details = (*inputs, *outputs)
        if any(-1 in about["shape_signature"] for about in details):
            raise self._refused("an input of fixed length", "one of any length")
        if any(about["dtype"] is not np.float32 for about in details):
            raise self._refused("float32 in and out", str([a["dtype"].__name__ for a in details]))
        self._ends = inputs[0]["index"], outputs[0]["index"]
        self._take_stretches(inputs[0]["shape"].tolist(), outputs[0]["shape"].tolist())

    def _interpreter(self) -> Any:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_content=self.content, num_threads=1)
        interpreter.allocate_tensors()
        return interpreter

    def _encode(self, samples: Array) -> Array:
        interpreter = self._interpreter()
        entry, exit_ = self._ends
        frames = []
        for stretch in self._stretches(samples):
            interpreter.set_tensor(entry, stretch.reshape(self.input_shape))
            interpreter.invoke()
            frames.append(interpreter.get_tensor(exit_).reshape(-1, self.dim))
        return np.concatenate(frames)


class OnnxEncoder(FrozenEncoder):
    """An encoder in ONNX's format, of stretches or of whole clips, as its input says.

    Args:
        name: Path of an ``.onnx`` file: float32 samples ``(1, N)`` or ``(N,)`` to ``(1, F, D)`` or
            ``(F, D)``. It has to remember nothing.
        window_ms: Of whole clips: audio that a frame sees. A clip of N samples has
            (N - window) / hop + 1 frames, rounded down, which is held against what comes out.
        hop_ms: Of whole clips: from one frame to the next.

    Raises:
        ConfigError: No file is named.
        ModelError: ONNX Runtime is missing, or the file is none of this kind.
    """

    name = "onnx"
    package = "onnxruntime"

    def __init__(self, *, name: str, window_ms: float = 25.0, hop_ms: float = 20.0) -> None:
        super().__init__(name=name)
        import onnxruntime

        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = settings.inter_op_num_threads = 1
        settings.log_severity_level = 4
        # weights in files beside it would be looked for in the current folder, and not be hashed
        settings.add_session_config_entry(_WEIGHTS_FOLDER, os.devnull)
        try:
            self.session = onnxruntime.InferenceSession(
                self.content, settings, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions have no common base but this
            raise self._refused("an ONNX file with its weights inside", _line(error)) from None
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise self._refused("one input and one output", f"{len(inputs)} and {len(outputs)}")
        types = [about.type for about in (*inputs, *outputs)]
        if types != ["tensor(float)"] * 2:
            raise self._refused("float32 in and out", " and ".join(types))
        self._input = inputs[0].name
        shape, output = inputs[0].shape, outputs[0].shape
        if not output or not isinstance(output[-1], int):
            raise self._refused("a known number of values in a frame", f"outputs of shape {output}")
        self.whole = not all(isinstance(size, int) for size in shape)
        if self.whole:
            if len(shape) > 2:
                raise self._refused("samples (1, N) or (N,)", f"inputs of shape {shape}")
            self.input_shape = (1, -1) if len(shape) == 2 else (-1,)
            self.dim = output[-1]
            self.min_samples, self.frame_stride = check_window(window_ms, hop_ms)
            self.first_center = self.min_samples / 2
        elif all(isinstance(size, int) for size in output):
            self._take_stretches(shape, output)
        else:
            raise self._refused("outputs of fixed length for inputs of fixed length", str(output))

    def options(self) -> Mapping[str, Any]:
        """As of every file; of whole clips with window and hop."""
        times = {"window_samples": self.min_samples, "hop_samples": self.frame_stride}
        return {**super().options(), **(times if self.whole else {})}

    def num_frames(self, num_samples: int) -> int:
        """How many frames a clip gets."""
        if not self.whole:
            return super().num_frames(num_samples)
        return (max(num_samples, self.min_samples) - self.min_samples) // self.frame_stride + 1

    def _encode(self, samples: Array) -> Array:
        parts = [samples] if self.whole else self._stretches(samples)
        return np.concatenate([self._run(part) for part in parts])

    def _run(self, samples: Array) -> Array:
        given = np.ascontiguousarray(samples).reshape(self.input_shape)
        try:
            values: Array = self.session.run(None, {self._input: given})[0]
        except Exception as error:
            raise self._refused(f"frames of {len(samples)} samples", _line(error), _TIMES) from None
        return values.reshape(-1, self.dim)


def _line(error: Exception) -> str:
    """What an error of a runtime says, in a line."""
    return " ".join(str(error).split())[:200]
