"""Acoustic models as ONNX: frames in, class scores out, compared with torch before they are kept.

The speech upstream is not in the file: it hands frames to the model here as there. ``frames`` is
``(batch, frames, values)`` float32 as the upstream gives them (cut and centred as the
configuration says), ``lengths`` ``(batch,)`` int64, ``scores`` ``(batch, names)``.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from data_modules.batch import Batch
from data_modules.errors import ConfigError, ModelError
from sermm.config import tunes_speech
from sermm.export.onnx_gru import translations, with_onnx_grus
from sermm.predict.trained import TrainedModel
from sermm.tasks.acoustic import AcousticTask, LinearTask
from sermm.tasks.base import EmotionTask

TOLERANCE = 1e-4
# padded batches of other sizes than the one that is traced, clips of a single frame among them
_CHECKS = ((1,), (40,), (7, 93, 250), (400, 1, 33, 120, 8))


class _Scores(nn.Module):
    """A task as a function of tensors."""

    def __init__(self, task: EmotionTask) -> None:
        super().__init__()
        self.task = task

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """``(B, F, D)`` and ``(B,)`` to ``(B, C)``."""
        batch = Batch([], [], lengths, frames=frames, frame_lengths=lengths)
        scores: Tensor = self.task(batch)
        return scores


def write_onnx(model: TrainedModel, path: Path) -> float:
    """Write the model and check it.

    Args:
        model: That hears, and reads nothing.
        path: The file.

    Returns:
        The largest difference between its scores and torch's over several padded batches.

    Raises:
        ConfigError: The model reads words, or its upstream is part of it.
        ModelError: A package is missing, or the difference is larger than 1e-4.
    """
    hears_frames = not tunes_speech(model.config)
    if not (isinstance(model.task, AcousticTask | LinearTask) and hears_frames):
        raise ConfigError(
            "--onnx",
            expected="an acoustic or linear model over frames",
            got=f"model.task={model.config.model.task}"
            + ("" if hears_frames else " with an upstream that was trained"),
            fix="leave it away; the folder loads with sermm.load",
        )
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            raise ModelError(
                "--onnx",
                expected=f"the package {package}",
                got="none",
                fix="install it with `pip install sermm[onnx,encoders]`",
            )
    scores = _Scores(model.task).eval()
    exported = with_onnx_grus(copy.deepcopy(scores))
    dim = model.facts.frame_dim * model.facts.num_layers
    frames, lengths = _batch((50, 31), dim, seed=0)
    names = {0: torch.export.Dim("batch", min=1), 1: torch.export.Dim("frames", min=1)}
    with warnings.catch_warnings(), _quiet():
        # what the exporter says of its own parts is no news to the user
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            exported,
            (frames, lengths),
            dynamo=True,
            input_names=["frames", "lengths"],
            output_names=["scores"],
            dynamic_shapes={"frames": names, "lengths": {0: names[0]}},
            custom_translation_table=translations(),
            external_data=False,
            verbose=False,
        )
    assert program is not None, "dynamo=True returns a program"
    program.save(str(path))
    gap = onnx_gap(scores, path, dim)
    if gap > TOLERANCE:
        path.unlink()
        raise ModelError(
            "--onnx",
            expected=f"scores within {TOLERANCE:g} of torch's",
            got=f"a difference of {gap:g}",
            fix="leave --onnx away and report this",
        )
    return gap


def onnx_gap(scores: nn.Module, path: Path, dim: int) -> float:
    """Largest difference between a file and a module over padded batches of several sizes."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    gap = 0.0
    for seed, sizes in enumerate(_CHECKS, start=1):
        frames, lengths = _batch(sizes, dim, seed)
        with torch.inference_mode():
            expected = scores(frames, lengths).numpy()
        inputs = {"frames": frames.numpy(), "lengths": lengths.numpy()}
        (found,) = session.run(None, inputs)
        gap = max(gap, float(np.abs(found - expected).max()))
    return gap


def _batch(sizes: tuple[int, ...], dim: int, seed: int) -> tuple[Tensor, Tensor]:
    """Noise of the given lengths, padded with zeros."""
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randn(len(sizes), max(sizes), dim, generator=generator)
    lengths = torch.tensor(sizes)
    return frames * (torch.arange(max(sizes)) < lengths.unsqueeze(1)).unsqueeze(-1), lengths


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's progress on the terminal."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
