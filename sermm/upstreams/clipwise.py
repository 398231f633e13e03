"""Upstreams that compute one clip at a time: no digit depends on the batch or its padding."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from sermm.upstreams.framing import fill_to_window
from sermm.upstreams.interface import SpeechFeatures, SpeechUpstream


class ClipwiseUpstream(SpeechUpstream):
    """A subclass states what one clip becomes."""

    @abstractmethod
    def clip_frames(self, waveform: Tensor) -> Tensor:
        """One clip ``(N,)`` of at least ``min_samples`` to ``(F, D)``."""

    @torch.no_grad()
    def forward(self, waveform: Tensor, lengths: Tensor) -> SpeechFeatures:
        """Frames of padded clips: ``(B, N)`` float32 and ``(B,)`` int64 to ``(B, F, D)``."""
        clips = [
            self.clip_frames(fill_to_window(row[:length], self.min_samples))
            for row, length in zip(waveform, lengths.tolist(), strict=True)
        ]
        counts = torch.tensor([len(clip) for clip in clips], device=waveform.device)
        return SpeechFeatures(pad_sequence(clips, batch_first=True), counts)
