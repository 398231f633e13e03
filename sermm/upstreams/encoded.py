"""An upstream around a frame encoder: choice of layers, long clips in pieces, freezing, hashes.

What all upstreams with weights share: those of transformers (``huggingface.py``) and the converted
models of fairseq (``wav2vec.py``, ``vq_wav2vec.py``, ``speech_bert.py``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from data_modules.errors import ConfigError
from sermm.nn.linear import use_onednn
from sermm.upstreams.chunks import join_chunks, plan_chunks
from sermm.upstreams.encoder import FrameEncoder
from sermm.upstreams.interface import SAMPLE_RATE, LayerFeatures, SpeechFeatures, SpeechUpstream
from sermm.upstreams.layers import choose_layers
from sermm.upstreams.pretrained import commit_of, file_digest, state_digest


@dataclass(frozen=True)
class Source:
    """Where weights came from.

    Attributes:
        name: File, folder or hub id as the user wrote it.
        revision: As the user wrote it.
        commit: Of the hub, also if no revision was asked for; None for a file or folder.
        sha256: Over the files of configuration and weights.
    """

    name: str
    revision: str | None
    commit: str | None
    sha256: str

    @classmethod
    def of_files(
        cls, name: str, revision: str | None, folder: Path, files: Sequence[str]
    ) -> Source:
        """The source of weights that were read from files of a folder; patterns name them."""
        return cls(name, revision, commit_of(folder), file_digest(folder, files))


class EncoderUpstream(SpeechUpstream):
    """An upstream whose numbers are those of a :class:`FrameEncoder`.

    It comes in evaluation mode, with all trained that can be: call it under
    ``torch.inference_mode`` to extract, or :meth:`freeze` it, or train it with what follows.

    Args:
        encoder: With its weights, or without, for a state dict.
        identity: All that says what the encoder is beside its weights, for :meth:`options`.
        layers: ``last``, ``mean``, ``all`` or numbers, see ``upstreams/layers.py``.
        chunk_s: Clips longer than this are computed in overlapping pieces; 0: never, or at the
            longest input that the encoder can take.
        chunk_overlap_s: What two pieces share, in seconds.
        source: Of the weights.

    Raises:
        ConfigError: There is no such layer, or a piece is not longer than the overlap.
    """

    batched = True

    def __init__(
        self,
        encoder: FrameEncoder,
        identity: Mapping[str, Any],
        *,
        layers: str,
        chunk_s: float,
        chunk_overlap_s: float,
        source: Source | None,
    ) -> None:
        super().__init__()
        use_onednn(encoder)
        self.encoder = encoder
        self.source = source
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
        if encoder.fills_window:
            self.filled_samples = (encoder.window_frames or 0) * encoder.frame_stride
        self.frozen = False
        self._identity = dict(identity)
        self._stated = {
            "layers": layers,
            "chunk_s": chunk_s,
            "chunk_overlap_s": chunk_overlap_s,
        }
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
        sizes = lengths.tolist()
        counts = [self.encoder.num_frames(size) for size in sizes]
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            clips = [
                self.encoder.prepare(row[:size]) for row, size in zip(waveform, sizes, strict=True)
            ]
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
        """The convolutions over the waveform stay as they are and cost no backward pass.

        wav2vec2-BERT has none; its call changes nothing.
        """
        self.encoder.freeze_front()

    def checkpoint_gradients(self) -> None:
        """In training, compute activations again in the backward pass instead of keeping them."""
        self.encoder.checkpointed = True

    def compile_layers(self, backend: str = "inductor") -> None:
        """Compile the transformer layers when they are first called.

        Names in the state dict stay. Sizes of batches are dynamic: each new kind of call (training
        or evaluation, with padding or without, one clip or several) is compiled once for all layers
        and all lengths.

        Args:
            backend: Of ``torch.compile``.
        """
        for layer in self.encoder.transformer_layers():
            layer.compile(dynamic=True, backend=backend)

    def train(self, mode: bool = True) -> Self:
        """As ``nn.Module.train``, but a frozen upstream stays in evaluation."""
        super().train(mode and not self.frozen)
        return self

    def options(self) -> Mapping[str, Any]:
        """Every value that shapes the frames; the hash is that of the weights as they are now."""
        told: dict[str, Any] = {
            **self._identity,
            "weights_sha256": self.weights_sha256(),
            "layers": list(self.choice.indices),
            "averaged": self.choice.averaged,
        }
        if self.chunk_frames is not None:
            told["chunk_frames"] = self.chunk_frames
            told["overlap_frames"] = self.overlap_frames
        return told

    def layer_options(self) -> dict[str, Any]:
        """Choice of layers and pieces, as the constructor takes them."""
        return dict(self._stated)

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
        """Which weights a run started from: :class:`Source`, and ``weights_sha256``.

        Raises:
            ValueError: It was built without weights.
        """
        if self.source is None:
            raise ValueError("an upstream that was built from a checkpoint's record")
        return {**asdict(self.source), "weights_sha256": self.weights_sha256()}


def digest_of(settings: Mapping[str, Any]) -> str:
    """SHA-256 of settings that JSON can hold, whatever their order."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


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
