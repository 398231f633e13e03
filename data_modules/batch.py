"""The one typed object that data modules hand to models, and how samples are padded into it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


@dataclass(frozen=True)
class Sample:
    """One utterance, ready to be batched. What a model does not use is ``None``.

    Attributes:
        utterance_id: Manifest id.
        speaker: True speaker of the utterance.
        target: int64 scalar (class index) or float32 ``(C,)`` (several labels, ratings).
        soft_target: Share of the raters' votes for each class ``(C,)``, float32.
        vectors: Ready-made utterance vectors by name, ``(D,)`` float32 each.
        frames: Acoustic features ``(F, K * D)``, float32: K layers one after the other, mostly
            one.
        waveform: Samples ``(N,)`` in [-1, 1], float32, 16 kHz.
        input_ids: Word pieces with special tokens ``(L,)``, int64.
        token_spans: First frame and the frame after the last for each piece ``(L, 2)``, int64.
        word_mask: ``(L,)`` bool, False for special tokens such as [CLS] and [SEP].
    """

    utterance_id: str
    speaker: str
    target: Tensor
    soft_target: Tensor | None = None
    vectors: Mapping[str, Tensor] | None = None
    frames: Tensor | None = None
    waveform: Tensor | None = None
    input_ids: Tensor | None = None
    token_spans: Tensor | None = None
    word_mask: Tensor | None = None


@dataclass(frozen=True)
class Batch:
    """A padded batch of utterances. Padding is zero; lengths and masks say what is real.

    Attributes:
        utterance_ids: B manifest ids.
        speakers: B speakers.
        targets: ``(B,)`` int64 or ``(B, C)`` float32.
        soft_targets: ``(B, C)`` float32, rows that sum to 1.
        vectors: By name, ``(B, D)`` float32 each.
        frames: ``(B, F, K * D)`` float32; ``frame_lengths`` ``(B,)`` int64.
        waveform: ``(B, N)`` float32; ``waveform_lengths`` ``(B,)`` int64.
        input_ids: ``(B, L)`` int64; ``token_lengths`` ``(B,)`` int64.
        token_spans: ``(B, L, 2)`` int64, frame numbers, end exclusive.
        word_mask: ``(B, L)`` bool, True for pieces of words.
    """

    utterance_ids: list[str]
    speakers: list[str]
    targets: Tensor
    soft_targets: Tensor | None = None
    vectors: Mapping[str, Tensor] | None = None
    frames: Tensor | None = None
    frame_lengths: Tensor | None = None
    waveform: Tensor | None = None
    waveform_lengths: Tensor | None = None
    input_ids: Tensor | None = None
    token_lengths: Tensor | None = None
    token_spans: Tensor | None = None
    word_mask: Tensor | None = None

    def __len__(self) -> int:
        return len(self.utterance_ids)

    def speech(self) -> tuple[Tensor, Tensor]:
        """Frames ``(B, F, K * D)`` and their lengths ``(B,)``, for a model that cannot do without.

        Raises:
            ValueError: The batch has no frames.
        """
        if self.frames is None or self.frame_lengths is None:
            raise ValueError("the model reads acoustic frames and the batch has none")
        return self.frames, self.frame_lengths

    def audio(self) -> tuple[Tensor, Tensor]:
        """Waveforms ``(B, N)`` and their lengths ``(B,)``.

        Raises:
            ValueError: The batch has no waveforms.
        """
        if self.waveform is None or self.waveform_lengths is None:
            raise ValueError("the model reads waveforms and the batch has none")
        return self.waveform, self.waveform_lengths

    def text(self) -> tuple[Tensor, Tensor, Tensor]:
        """Word pieces ``(B, L)``, their lengths ``(B,)`` and word mask ``(B, L)``.

        Raises:
            ValueError: The batch has no text.
        """
        if self.input_ids is None or self.token_lengths is None or self.word_mask is None:
            raise ValueError("the model reads word pieces and the batch has none")
        return self.input_ids, self.token_lengths, self.word_mask

    def spans(self) -> Tensor:
        """Frame spans of the word pieces ``(B, L, 2)``.

        Raises:
            ValueError: The batch has no word times.
        """
        if self.token_spans is None:
            raise ValueError("the model pools frames by word times and the batch has none")
        return self.token_spans

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The same batch with every tensor on ``device``."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory; the loader calls this when asked to pin."""
        return self._map(lambda tensor: tensor.pin_memory())

    def _map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The same batch with every tensor changed."""
        changed: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                changed[field.name] = change(value)
            elif isinstance(value, Mapping):
                changed[field.name] = {name: change(tensor) for name, tensor in value.items()}
        return replace(self, **changed)


def _stack(rows: list[Tensor | None]) -> Tensor | None:
    """Rows of one shape; None for a field that the samples lack."""
    present = [row for row in rows if row is not None]
    if not present:
        return None
    if len(present) != len(rows):
        raise ValueError("some samples of a batch have a field that others lack")
    return torch.stack(present)


def _pad(rows: list[Tensor | None]) -> tuple[Tensor | None, Tensor | None]:
    """Zero-padded rows and their lengths ``(B,)``; None for a field that the samples lack."""
    present = [row for row in rows if row is not None]
    if not present:
        return None, None
    if len(present) != len(rows):
        raise ValueError("some samples of a batch have a field that others lack")
    lengths = torch.tensor([len(row) for row in present], dtype=torch.int64)
    return pad_sequence(present, batch_first=True), lengths


def collate(samples: list[Sample]) -> Batch:
    """Pad samples to the longest of the batch.

    Args:
        samples: At least one sample; all have the same fields.

    Returns:
        A batch on the CPU, in the order of ``samples``.
    """
    frames, frame_lengths = _pad([sample.frames for sample in samples])
    waveform, waveform_lengths = _pad([sample.waveform for sample in samples])
    input_ids, token_lengths = _pad([sample.input_ids for sample in samples])
    token_spans, _ = _pad([sample.token_spans for sample in samples])
    word_mask, _ = _pad([sample.word_mask for sample in samples])
    return Batch(
        utterance_ids=[sample.utterance_id for sample in samples],
        speakers=[sample.speaker for sample in samples],
        targets=torch.stack([sample.target for sample in samples]),
        soft_targets=_stack([sample.soft_target for sample in samples]),
        vectors={
            name: torch.stack([(sample.vectors or {})[name] for sample in samples])
            for name in samples[0].vectors
        }
        if samples[0].vectors is not None
        else None,
        frames=frames,
        frame_lengths=frame_lengths,
        waveform=waveform,
        waveform_lengths=waveform_lengths,
        input_ids=input_ids,
        token_lengths=token_lengths,
        token_spans=token_spans,
        word_mask=word_mask,
    )
