"""Encoders over log-mel frames: wav2vec2-BERT's conformer and the encoder of Whisper."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from threading import Lock
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, gelu, pad
from torchaudio.compliance.kaldi import fbank

from sermm.nn.masking import clear_padding
from sermm.upstreams.encoder import FrameEncoder, attention_mask, frame_mask, pad_pieces
from sermm.upstreams.interface import SAMPLE_RATE

_WINDOW, _HOP = 400, 160  # samples; Kaldi's 25 and 10 ms
_PCM_SCALE = 2**15  # Kaldi takes 16-bit samples
# of log-mel values of speech that fills a tenth of the range of its samples; what is below 0 is
# less than the noise of their rounding
_TYPICAL, _SPREAD = 15.0, 4.0

# position tables of some conformers are kept in the module and grow; threads take turns
_POSITIONS = Lock()


class ConformerEncoder(FrameEncoder):
    """wav2vec2-BERT: Kaldi log-mel frames, normalised by band over the clip, stacked by two.

    An odd last log-mel frame is left out, as the model's own attention mask does with it, though
    it counts in the statistics of its clip.

    Args:
        model: The model, without its heads.
        num_bands: Mel bands of a frame.
        stacked: Frames that become one.
        keep_level: Log-mel values are brought to a usual range by two constants, not by the
            statistics of each band over the clip and then of each frame, as published models have
            it. Those take away how loud a clip is, and which of its words are.
    """

    def __init__(
        self, model: Any, *, num_bands: int, stacked: int, keep_level: bool = False
    ) -> None:
        super().__init__()
        self.model = model
        self.keep_level = keep_level
        if keep_level:
            model.feature_projection.layer_norm = nn.Identity()
        self.num_bands = num_bands
        self.stacked = stacked
        self.dim = model.config.hidden_size
        self.num_transformer_layers = model.config.num_hidden_layers
        self.frame_stride = stacked * _HOP
        # two frames at least, for a variance
        self.min_samples = _WINDOW + max(1, stacked - 1) * _HOP
        self.first_center = (_WINDOW + (stacked - 1) * _HOP) / 2

    def num_frames(self, num_samples: int) -> int:
        """Frames of a clip, each over ``stacked`` log-mel frames."""
        return (1 + (max(num_samples, self.min_samples) - _WINDOW) // _HOP) // self.stacked

    def prepare(self, clip: Tensor) -> Tensor:
        """Normalised log-mel frames ``(F, stacked * num_bands)``."""
        clip = pad(clip, (0, max(0, self.min_samples - len(clip))))
        with torch.no_grad(), torch.autocast(clip.device.type, enabled=False):
            bands: Tensor = fbank(
                clip.float().unsqueeze(0) * _PCM_SCALE,
                num_mel_bins=self.num_bands,
                sample_frequency=SAMPLE_RATE,
                dither=0.0,
            )
            if self.keep_level:
                bands = (bands.clamp(min=0) - _TYPICAL) / _SPREAD
            else:
                variance, mean = torch.var_mean(bands, dim=0, correction=1)
                bands = (bands - mean) / torch.sqrt(variance + 1e-7)
        count = len(bands) // self.stacked
        return bands[: count * self.stacked].reshape(count, self.stacked * self.num_bands)

    def cut(self, prepared: Tensor, start: int, stop: int) -> Tensor:
        """Frames as they are."""
        return prepared[start:stop]

    def front(self) -> None:
        """There are no convolutions below this transformer."""

    def transformer_layers(self) -> Sequence[nn.Module]:
        """Of the model."""
        return list(self.model.encoder.layers)

    def keep_layers(self, num_layers: int) -> None:
        """Remove what only higher states need."""
        if num_layers < self.num_transformer_layers:
            del self.model.encoder.layers[num_layers:]

    def forward(self, pieces: Sequence[Tensor], indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """States of padded log-mel frames."""
        frames, lengths = pad_pieces(pieces)
        mask = frame_mask(lengths, frames.shape[1])
        hidden = self.model.feature_projection(frames)[0]
        if mask is not None:
            hidden = clear_padding(hidden, mask)
        encoder = self.model.encoder
        hidden = encoder.dropout(hidden)
        positions = None
        if encoder.embed_positions is not None:
            with _POSITIONS:
                positions = encoder.embed_positions(hidden)
        # its convolutions look back only, so they need no mask
        options = {
            "attention_mask": attention_mask(mask),
            "relative_position_embeddings": positions,
        }
        return self.states(
            hidden,
            lengths,
            indices,
            layers=[partial(layer, **options) for layer in encoder.layers],
            finish=nn.Identity(),
        )


class WhisperEncoder(FrameEncoder):
    """The encoder of Whisper: always a window of 30 s, filled up with silence.

    The model was trained so and has no mask: a clip attends to the silence after it, alone as in a
    batch, and its numbers are the same in both. What lies after the clip's end is cut off.

    Args:
        model: The encoder alone.
        extractor: The model's own feature extractor, which computes the log-mel frames.
    """

    min_samples = 1
    fills_window = True
    first_center = 0.0  # windows are centred on their first sample

    def __init__(self, model: Any, *, extractor: Any) -> None:
        super().__init__()
        self.model = model
        self.extractor = extractor
        config = model.config
        self.dim = config.d_model
        self.num_transformer_layers = config.encoder_layers
        self.window_frames = config.max_source_positions
        self.frame_stride = extractor.n_samples // config.max_source_positions

    def num_frames(self, num_samples: int) -> int:
        """Frames whose centre lies in the clip."""
        return -(-num_samples // self.frame_stride)

    def prepare(self, clip: Tensor) -> Tensor:
        """The clip as it is: the level of a log-mel frame depends on its own window alone."""
        return clip

    def cut(self, prepared: Tensor, start: int, stop: int) -> Tensor:
        """Samples of the frames."""
        return prepared[start * self.frame_stride : stop * self.frame_stride]

    def front(self) -> nn.Module:
        """The two convolutions over log-mel frames."""
        return nn.ModuleList([self.model.conv1, self.model.conv2])

    def transformer_layers(self) -> Sequence[nn.Module]:
        """Of the model."""
        return list(self.model.layers)

    def keep_layers(self, num_layers: int) -> None:
        """Remove what only higher states need."""
        if num_layers < self.num_transformer_layers:
            del self.model.layers[num_layers:]
            self.model.layer_norm = nn.Identity()

    def forward(self, pieces: Sequence[Tensor], indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """States of whole windows, cut to the longest piece."""
        device = pieces[0].device
        counts = [self.num_frames(len(piece)) for piece in pieces]
        with self.front_gradient():
            hidden = self.run(self._convolve, self._log_mel(pieces))
        encoder = self.model
        hidden = hidden + encoder.embed_positions.weight  # (B, window_frames, D)
        hidden = dropout(hidden, p=encoder.dropout, training=self.training)
        states, _ = self.states(
            hidden,
            torch.full((len(pieces),), hidden.shape[1], device=device),
            indices,
            layers=[partial(layer, attention_mask=None) for layer in encoder.layers],
            finish=encoder.layer_norm,
        )
        lengths = torch.tensor(counts, device=device)
        real = torch.arange(max(counts), device=device) < lengths[:, None]
        return states[:, :, : max(counts)] * real[:, None, :, None], lengths

    def _log_mel(self, pieces: Sequence[Tensor]) -> Tensor:
        """``(B, bands, 2 * window_frames)``."""
        device = pieces[0].device
        with torch.autocast(device.type, enabled=False):
            batch = self.extractor(
                [piece.detach().float().cpu().numpy() for piece in pieces],
                sampling_rate=SAMPLE_RATE,
                return_tensors="pt",
                device=str(device),
            )
        frames: Tensor = batch["input_features"].to(device)
        return frames

    def _convolve(self, frames: Tensor) -> Tensor:
        """``(B, bands, 2 F)`` to ``(B, F, D)``."""
        hidden = gelu(self.model.conv2(gelu(self.model.conv1(frames))))
        return hidden.transpose(1, 2)
