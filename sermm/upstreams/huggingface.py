"""Speech encoders of transformers as upstreams: frozen for extraction, or trained with a task.

wav2vec 2.0, HuBERT, WavLM, data2vec-audio, UniSpeech-SAT, wav2vec2-BERT and the encoder of
Whisper, from the hub or a folder. The frames of a clip are those of the clip alone, whatever the
batch; how that is done stands with each family (``waves.py``, ``spectra.py``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from data_modules.errors import ConfigError
from sermm.upstreams.architecture import SETTINGS, Architecture, build_encoder, read_encoder
from sermm.upstreams.chunks import join_chunks, plan_chunks
from sermm.upstreams.encoder import FrameEncoder
from sermm.upstreams.interface import SAMPLE_RATE, LayerFeatures, SpeechFeatures, SpeechUpstream
from sermm.upstreams.layers import choose_layers
from sermm.upstreams.pretrained import (
    OLD_WEIGHT_FILES,
    WEIGHT_FILES,
    commit_of,
    file_digest,
    find_folder,
    state_digest,
)

# of a configuration, what says nothing about the frames
_NO_CONTENT = ("_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version")


@dataclass(frozen=True)
class Origin:
    """Where weights came from.

    Attributes:
        name: Folder or hub id as the user wrote it.
        revision: As the user wrote it.
        commit: Of the hub, also if no revision was asked for; None for a folder.
        sha256: Over the files of configuration and weights.
    """

    name: str
    revision: str | None
    commit: str | None
    sha256: str


class HuggingFaceUpstream(SpeechUpstream):
    """A speech encoder of transformers.

    It comes in evaluation mode, every weight trainable: call it under ``torch.inference_mode`` to
    extract, or :meth:`freeze` it, or train it with what follows. There is no layer drop and no
    SpecAugment in it.

    Args:
        architecture: What the encoder is.
        layers: ``last``, ``mean``, ``all`` or numbers, see ``upstreams/layers.py``.
        chunk_s: Clips longer than this are computed in overlapping pieces; 0: never (Whisper: at
            its own window).
        chunk_overlap_s: What two pieces share, in seconds.
        encoder: With its weights; None builds one with random weights, for a state dict.
        origin: Of the weights.

    Raises:
        ConfigError: There is no such layer, or a piece is not longer than the overlap.
    """

    name = "huggingface"
    transform_version = 1

    def __init__(
        self,
        architecture: Architecture,
        *,
        layers: str = "last",
        chunk_s: float = 0.0,
        chunk_overlap_s: float = 1.0,
        encoder: FrameEncoder | None = None,
        origin: Origin | None = None,
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.origin = origin
        self.encoder = encoder = encoder or build_encoder(architecture)
        self.choice = choose_layers(layers, encoder.num_transformer_layers)
        # weights that no frame depends on would have no gradient, which stalls distributed training
        encoder.keep_layers(max(self.choice.indices))
        self.num_layers = self.choice.num_layers
        self.dim = encoder.dim
        self.frame_stride = encoder.frame_stride
        self.first_center = encoder.first_center
        self.min_samples = encoder.min_samples
        self.chunk_frames, self.overlap_frames = _chunk_sizes(encoder, chunk_s, chunk_overlap_s)
        if self.chunk_frames is not None:
            self.max_samples = _longest(encoder, self.chunk_frames)
        self.frozen = False
        self._digest: tuple[tuple[int, ...], str] | None = None
        self.eval()

    def num_frames(self, num_samples: int) -> int:
        """How many frames a clip of ``num_samples`` gets, in one piece or several."""
        return self.encoder.num_frames(num_samples)

    def forward(self, waveform: Tensor, lengths: Tensor) -> SpeechFeatures:
        """Frames of padded clips, ``(B, N)`` to ``(B, F, D)``, of one layer or the mean of all."""
        if self.num_layers > 1:
            raise ValueError(f"{self.num_layers} layers are kept apart: ask for layers()")
        features = self.layers(waveform, lengths)
        return SpeechFeatures(features.states.squeeze(1), features.lengths)

    def layers(self, waveform: Tensor, lengths: Tensor) -> LayerFeatures:
        """Chosen layers of padded clips, ``(B, N)`` to ``(B, K, F, D)``."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            clips = [
                self.encoder.prepare(row[:length])
                for row, length in zip(waveform, lengths.tolist(), strict=True)
            ]
            counts = [self.encoder.num_frames(length) for length in lengths.tolist()]
            states = self._compute(clips, counts)
        return LayerFeatures(states, torch.tensor(counts, device=waveform.device))

    def _compute(self, clips: list[Tensor], counts: list[int]) -> Tensor:
        limit = self.chunk_frames or max(counts)
        whole = [i for i, count in enumerate(counts) if count <= limit]
        if len(whole) == len(clips):
            return self._states(clips)
        found: dict[int, Tensor] = {}
        if whole:
            batch = self._states([clips[i] for i in whole])
            found = {i: row[:, : counts[i]] for i, row in zip(whole, batch, strict=True)}
        for i, (clip, count) in enumerate(zip(clips, counts, strict=True)):
            if i not in found:
                # one piece at a time: the limit is there for the sake of memory
                chunks = plan_chunks(count, size=limit, overlap=self.overlap_frames)
                pieces = [
                    self._states([self.encoder.cut(clip, chunk.start, chunk.stop)])[0]
                    for chunk in chunks
                ]
                found[i] = join_chunks(chunks, pieces)
        rows = [found[i].transpose(0, 1) for i in range(len(clips))]  # (F, K, D)
        return pad_sequence(rows, batch_first=True).transpose(1, 2)

    def _states(self, pieces: list[Tensor]) -> Tensor:
        states: Tensor
        states, _ = self.encoder(pieces, self.choice.indices)
        return states.mean(dim=1, keepdim=True) if self.choice.averaged else states

    def freeze(self) -> None:
        """No weight is trained, no gradient is computed, and dropout stays off in training."""
        self.frozen = True
        self.requires_grad_(False)
        self.eval()

    def freeze_feature_encoder(self) -> None:
        """The convolutions below the transformer stay as they are and cost no backward pass.

        wav2vec2-BERT has none; its call changes nothing.
        """
        self.encoder.freeze_front()

    def checkpoint_gradients(self) -> None:
        """In training, compute activations again in the backward pass instead of keeping them."""
        self.encoder.checkpointed = True

    def train(self, mode: bool = True) -> HuggingFaceUpstream:
        """As ``nn.Module.train``, but a frozen upstream stays in evaluation."""
        super().train(mode and not self.frozen)
        return self

    def options(self) -> Mapping[str, Any]:
        """Every value that shapes the frames; the hash is that of the weights as they are now."""
        content = {k: v for k, v in self.architecture.config.items() if k not in _NO_CONTENT}
        told: dict[str, Any] = {
            "family": self.architecture.config["model_type"],
            "config_sha256": _digest_of(content),
            "extractor_sha256": _digest_of(self.architecture.extractor),
            "weights_sha256": self.weights_sha256(),
            "layers": list(self.choice.indices),
            "averaged": self.choice.averaged,
        }
        if self.chunk_frames is not None:
            told["chunk_frames"] = self.chunk_frames
            told["overlap_frames"] = self.overlap_frames
        return told

    def weights_sha256(self) -> str:
        """Over the state dict as it is now, computed again when a weight was written to."""
        tensors = self.encoder.state_dict(keep_vars=True).values()
        if any(tensor.is_inference() for tensor in tensors):
            return state_digest(self.encoder)  # torch does not count writes to these
        written = tuple(
            number for tensor in tensors for number in (tensor.data_ptr(), tensor._version)
        )
        if self._digest is None or self._digest[0] != written:
            self._digest = (written, state_digest(self.encoder))
        return self._digest[1]

    def facts(self) -> dict[str, str | None]:
        """Which weights a run started from: :class:`Origin`, and ``weights_sha256``.

        Raises:
            ValueError: It was built without weights.
        """
        if self.origin is None:
            raise ValueError("an upstream that was built from a checkpoint's record")
        return {**asdict(self.origin), "weights_sha256": self.weights_sha256()}


def load_huggingface(
    *,
    name: str,
    revision: str | None = None,
    layers: str = "last",
    chunk_s: float = 0.0,
    chunk_overlap_s: float = 1.0,
) -> HuggingFaceUpstream:
    """An upstream with pretrained weights.

    Args:
        name: A folder of a checkpoint, or a hub id.
        revision: Branch, tag or commit of a hub id.
        layers: As for :class:`HuggingFaceUpstream`.
        chunk_s: As there.
        chunk_overlap_s: As there.

    Raises:
        ConfigError: As there.
        ModelError: It cannot be found or read, is of no known family, or its weights are not those
            of the encoder.
    """
    where = f"model.speech.name={name}"
    folder = find_folder(name, revision, settings=SETTINGS, where=where)
    architecture, encoder = read_encoder(folder, where=where)
    return HuggingFaceUpstream(
        architecture,
        layers=layers,
        chunk_s=chunk_s,
        chunk_overlap_s=chunk_overlap_s,
        encoder=encoder,
        origin=Origin(
            name=name,
            revision=revision,
            commit=commit_of(folder),
            sha256=file_digest(folder, (*SETTINGS, *WEIGHT_FILES, *OLD_WEIGHT_FILES)),
        ),
    )


def _longest(encoder: FrameEncoder, num_frames: int) -> int:
    """Most samples that give no more than ``num_frames``."""
    samples = encoder.min_samples + num_frames * encoder.frame_stride
    while encoder.num_frames(samples) > num_frames:
        samples -= 1
    return samples


def _chunk_sizes(encoder: FrameEncoder, chunk_s: float, overlap_s: float) -> tuple[int | None, int]:
    """Frames of a piece, None for no limit, and of the overlap."""
    step = encoder.frame_stride / SAMPLE_RATE
    overlap, size = round(overlap_s / step), encoder.window_frames
    if chunk_s:
        size = min(round(chunk_s / step), size or round(chunk_s / step))
    if size is not None and not 0 <= overlap < size:
        raise ConfigError(
            "model.speech.chunk_overlap_s",
            expected=f"between 0 and less than a piece ({size * step:g} s)",
            got=f"{overlap_s:g}",
            fix="choose a shorter overlap or a longer model.speech.chunk_s",
        )
    return size, overlap


def _digest_of(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
