"""wav2vec 2.0 and its kin: convolutions over the waveform, then a transformer.

wav2vec 2.0, HuBERT, WavLM, data2vec-audio and UniSpeech-SAT. Where transformers lets padding into
the frames of a clip, this file does not: the group norm of the first convolution
(``groupnorm.py``), the stacked position convolutions of data2vec, each of which gives the padding
new values, and the batch norm below HuBERT's positions, which moves the padding away from zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from sermm.nn.masking import clear_padding
from sermm.upstreams.encoder import FrameEncoder, attention_mask, frame_mask, pad_pieces
from sermm.upstreams.groupnorm import masked_group_norm

WAVE_FAMILIES = ("wav2vec2", "hubert", "wavlm", "data2vec-audio", "unispeech-sat")


class WaveEncoder(FrameEncoder):
    """A transformers model of one of :data:`WAVE_FAMILIES`.

    Args:
        model: The model, without its heads.
        normalized: Each clip is brought to mean 0 and variance 1 over its true length, as the
            model's feature extractor says (``do_normalize``).
    """

    def __init__(self, model: Any, *, normalized: bool) -> None:
        super().__init__()
        config = model.config
        self.model = model
        self.normalized = normalized
        self.family: str = config.model_type
        self.kernels = tuple(zip(config.conv_kernel, config.conv_stride, strict=True))
        self.dim = config.hidden_size
        self.num_transformer_layers = config.num_hidden_layers
        # norm before each transformer layer, and once more after the last
        self.norm_first: bool = getattr(config, "do_stable_layer_norm", False)
        self.frame_stride, self.min_samples = 1, 1
        for kernel, stride in self.kernels:
            self.min_samples += (kernel - 1) * self.frame_stride
            self.frame_stride *= stride
        self.first_center = self.min_samples / 2
        if hasattr(model, "masked_spec_embed"):
            del model.masked_spec_embed  # of SpecAugment; UniSpeech-SAT has it at any setting
        if self.family == "wavlm":
            from sermm.upstreams.wavlm import use_fast_attention

            use_fast_attention(model)

    def train(self, mode: bool = True) -> WaveEncoder:
        """As ``nn.Module.train``, but batch norm keeps its stored statistics.

        Those of a batch would make a clip depend on its neighbours.
        """
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.eval()
        return self

    def num_frames(self, num_samples: int) -> int:
        """Frames of a clip, each over ``min_samples`` samples."""
        return (max(num_samples, self.min_samples) - self.min_samples) // self.frame_stride + 1

    def prepare(self, clip: Tensor) -> Tensor:
        """Normalise over the true length, then fill up to the shortest length with zeros."""
        if self.normalized:
            variance, mean = torch.var_mean(clip, correction=0)
            clip = (clip - mean) / torch.sqrt(variance + 1e-7)
        return pad(clip, (0, max(0, self.min_samples - len(clip))))

    def cut(self, prepared: Tensor, start: int, stop: int) -> Tensor:
        """Samples that the frames see."""
        step = self.frame_stride
        return prepared[start * step : (stop - 1) * step + self.min_samples]

    def front(self) -> nn.Module:
        """The convolutions over the waveform."""
        front: nn.Module = self.model.feature_extractor
        return front

    def transformer_layers(self) -> Sequence[nn.Module]:
        """Of the model."""
        return list(self.model.encoder.layers)

    def keep_layers(self, num_layers: int) -> None:
        """Remove what only higher states need."""
        if num_layers < self.num_transformer_layers:
            encoder = self.model.encoder
            del encoder.layers[num_layers:]
            if self.norm_first:
                encoder.layer_norm = nn.Identity()

    def forward(self, pieces: Sequence[Tensor], indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """States of padded waveforms."""
        waveform, lengths = pad_pieces(pieces)
        with self.front_gradient():
            frames, lengths = self._convolve(waveform, lengths)
        mask = frame_mask(lengths, frames.shape[1])
        hidden = self.model.feature_projection(frames)
        if isinstance(hidden, tuple):  # all but HuBERT give what is quantised, too
            hidden = hidden[0]
        if mask is not None:
            hidden = clear_padding(hidden, mask)
        hidden = hidden + self._positions(hidden, mask)  # (B, F, D)
        encoder = self.model.encoder
        if not self.norm_first:
            hidden = encoder.layer_norm(hidden)
        return self.states(
            encoder.dropout(hidden),
            lengths,
            indices,
            layers=self._layers(attention_mask(mask), hidden.shape[1]),
            finish=encoder.layer_norm if self.norm_first else nn.Identity(),
        )

    def _convolve(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, N)`` to ``(B, F, C)``."""
        hidden = waveform.unsqueeze(1)
        for layer, (kernel, stride) in zip(
            self.model.feature_extractor.conv_layers, self.kernels, strict=True
        ):
            lengths = (lengths - kernel) // stride + 1
            grouped = isinstance(getattr(layer, "layer_norm", None), nn.GroupNorm)
            function = partial(_grouped_convolution, layer) if grouped else _convolution(layer)
            hidden = self.run(function, hidden, lengths)  # (B, C, F)
        return hidden.transpose(1, 2), lengths

    def _positions(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Convolutional positions ``(B, F, D)`` of frames that are zero in the padding."""
        embed = self.model.encoder.pos_conv_embed
        if mask is None:
            positions: Tensor = embed(hidden)
            return positions
        if self.family == "data2vec-audio":
            for layer in embed.layers:
                hidden = clear_padding(layer(hidden.transpose(1, 2)).transpose(1, 2), mask)
            return hidden
        if getattr(embed, "batch_norm", None) is not None:
            hidden = clear_padding(embed.batch_norm(hidden.transpose(1, 2)).transpose(1, 2), mask)
            values: Tensor = embed.activation(embed.padding(embed.conv(hidden.transpose(1, 2))))
            return values.transpose(1, 2)
        positions = embed(hidden)
        return positions

    def _layers(self, mask: Tensor | None, num_frames: int) -> list[Any]:
        layers = list(self.model.encoder.layers)
        if self.family != "wavlm":
            return [partial(layer, attention_mask=mask) for layer in layers]
        # the first layer holds the position bias of all
        bias = layers[0].attention.compute_bias(num_frames, num_frames)[None] if layers else None
        return [
            partial(_first_of, layer, attention_mask=mask, position_bias=bias) for layer in layers
        ]


def _grouped_convolution(layer: Any, hidden: Tensor, lengths: Tensor) -> Tensor:
    normed = masked_group_norm(layer.conv(hidden), lengths, layer.layer_norm)
    activated: Tensor = layer.activation(normed)
    return activated


def _convolution(layer: Any) -> Any:
    return lambda hidden, lengths: layer(hidden)


def _first_of(layer: Any, hidden: Tensor, **options: Any) -> Tensor:
    result: Tensor = layer(hidden, **options)[0]
    return result
