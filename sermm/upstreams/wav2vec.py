"""The original wav2vec (v1): convolutions over the waveform, then a causal convolutional context.

Schneider et al. 2019 (arXiv 1904.05862), in the form of fairseq's ``wav2vec_large.pt``. Every
convolution is followed by a group norm over channels and time, and all of them take the true
length of each clip. State 0 is the encoder's z, state k the k-th context layer, the last one c.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from glob import escape

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad, relu
from torch.nn.utils.rnn import pad_sequence

from data_modules.errors import ConfigError
from sermm.upstreams.converted import (
    PUBLISHED,
    Converted,
    fill,
    find_file,
    parse_layers,
    read_converted,
    refused,
    setting,
)
from sermm.upstreams.encoded import EncoderUpstream, Source, digest_of
from sermm.upstreams.encoder import FrameEncoder
from sermm.upstreams.groupnorm import masked_group_norm

FILE = "wav2vec_large.pt"
"""Name of the published checkpoint."""

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": relu, "gelu": gelu}
_FEATURES = "[(512, 10, 5), (512, 8, 4)] + [(512, 4, 2)] * 3 + [(512, 1, 1)] * 3"
_CONTEXT = "[" + ", ".join(f"(512, {kernel}, 1)" for kernel in range(2, 14)) + "]"
# heads of the pre-training, which no frame depends on
_HEADS = ("wav2vec_predictions.", "project_features.")
_NAMES = (
    (re.compile(r"feature_extractor\.conv_layers\.(\d+)\.0\."), r"front_end.\1.conv."),
    (re.compile(r"feature_extractor\.conv_layers\.(\d+)\.2\."), r"front_end.\1.norm."),
    (re.compile(r"feature_aggregator\.conv_layers\.(\d+)\.1\."), r"context.\1.conv."),
    (re.compile(r"feature_aggregator\.conv_layers\.(\d+)\.3\."), r"context.\1.norm."),
    (re.compile(r"feature_aggregator\.residual_proj\.(\d+)\."), r"context.\1.residual."),
    (re.compile(r"vector_quantizer\.embedding$"), r"quantizer.codebook"),
    (re.compile(r"vector_quantizer\.projection\.0\."), r"quantizer.projection."),
    (re.compile(r"vector_quantizer\.projection\.1\."), r"quantizer.norm."),
)


@dataclass(frozen=True, kw_only=True)
class ConvSettings:
    """What a model is beside its weights: plain data, for a checkpoint.

    Attributes:
        front_end: Channels, kernel and stride of each convolution over the waveform.
        context: The same of the context network; its strides are 1.
        activation: ``relu`` or ``gelu``.
        log_compression: ``log(1 + |z|)`` ends the front end.
        front_end_skips: Its layers are added to their input, where the channels agree.
        context_skips: The context layers are.
        residual_scale: A sum of the two is multiplied by its root.
        context_bias: Convolutions of the context have a bias.
        zero_padded: The context begins with zeros, not with repeats of the first frame.
        affine: Group norms have weights.
        dropout: After each convolution of the context, in training.
        front_end_dropout: On what the context takes in.
        context_dropout: On c.
    """

    front_end: Sequence[Sequence[int]]
    context: Sequence[Sequence[int]]
    activation: str = "relu"
    log_compression: bool = True
    front_end_skips: bool = False
    context_skips: bool = True
    residual_scale: float = 0.5
    context_bias: bool = True
    zero_padded: bool = False
    affine: bool = True
    dropout: float = 0.0
    front_end_dropout: float = 0.0
    context_dropout: float = 0.0


def read_settings(checkpoint: Converted) -> ConvSettings:
    """From the names of fairseq; what a checkpoint leaves out has fairseq's default.

    Raises:
        ModelError: A setting is of another type, or of a model that is not known here.
    """

    def layers(key: str, default: str) -> tuple[tuple[int, int, int], ...]:
        try:
            return parse_layers(setting(checkpoint, key, default))
        except ValueError as error:
            form = "convolutions such as [(512, 10, 5)] + [(512, 4, 2)] * 3"
            raise refused(checkpoint, key, form) from error

    context = layers("conv_aggregator_layers", _CONTEXT)
    if setting(checkpoint, "aggregator", "cnn") != "cnn":
        raise refused(checkpoint, "aggregator", "cnn")
    if any(stride != 1 for _, _, stride in context):
        raise refused(checkpoint, "conv_aggregator_layers", "strides of 1")
    activation = setting(checkpoint, "activation", "relu")
    if activation not in _ACTIVATIONS:
        raise refused(checkpoint, "activation", "relu or gelu")
    return ConvSettings(
        front_end=layers("conv_feature_layers", _FEATURES),
        context=context,
        activation=activation,
        log_compression=setting(checkpoint, "log_compression", True),
        front_end_skips=setting(checkpoint, "skip_connections_feat", False),
        context_skips=setting(checkpoint, "skip_connections_agg", True),
        residual_scale=setting(checkpoint, "residual_scale", 0.5),
        context_bias=not setting(checkpoint, "no_conv_bias", False),
        zero_padded=setting(checkpoint, "agg_zero_pad", False),
        affine=not setting(checkpoint, "non_affine_group_norm", False),
        dropout=setting(checkpoint, "dropout", 0.0),
        front_end_dropout=setting(checkpoint, "dropout_features", 0.0),
        context_dropout=setting(checkpoint, "dropout_agg", 0.0),
    )


class FrontLayer(nn.Module):
    """Convolution, group norm and activation, over the waveform or the layer below."""

    def __init__(self, settings: ConvSettings, channels: int, index: int) -> None:
        super().__init__()
        width, self.kernel, self.stride = settings.front_end[index]
        self.conv = nn.Conv1d(channels, width, self.kernel, stride=self.stride, bias=False)
        self.norm = nn.GroupNorm(1, width, affine=settings.affine)
        self.activation = _ACTIVATIONS[settings.activation]
        self.skips = settings.front_end_skips and channels == width
        self.scale = math.sqrt(settings.residual_scale)

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """``(B, C, N)`` to ``(B, C', F)``; lengths are those before."""
        counts = (lengths - self.kernel) // self.stride + 1
        # in float32 whatever the precision, as it was trained
        normed = masked_group_norm(self.conv(values).float(), counts, self.norm)
        result = self.activation(normed)
        if self.skips:
            result = (result + self._thinned(values, lengths, counts)) * self.scale
        return result

    def _thinned(self, values: Tensor, lengths: Tensor, counts: Tensor) -> Tensor:
        """As many frames of the input as come out; the step depends on the length of a clip."""
        rows = [
            row[:, : length : length // count][:, :count].transpose(0, 1)
            for row, length, count in zip(values, lengths.tolist(), counts.tolist(), strict=True)
        ]
        return pad_sequence(rows, batch_first=True).transpose(1, 2)


class ContextLayer(nn.Module):
    """A convolution that looks back, group norm and activation, added to its input."""

    def __init__(self, settings: ConvSettings, channels: int, index: int) -> None:
        super().__init__()
        width, kernel, _ = settings.context[index]
        self.before = kernel - 1
        self.conv = nn.Conv1d(channels, width, kernel, bias=settings.context_bias)
        self.dropout = nn.Dropout(settings.dropout)
        self.norm = nn.GroupNorm(1, width, affine=settings.affine)
        self.activation = _ACTIVATIONS[settings.activation]
        self.pad_mode = "constant" if settings.zero_padded else "replicate"
        self.skips = settings.context_skips
        self.scale = math.sqrt(settings.residual_scale)
        self.residual: nn.Module | None = None
        if self.skips and channels != width:
            self.residual = nn.Conv1d(channels, width, 1, bias=False)

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """``(B, C, F)`` to ``(B, C', F)``; zeros in the padding stay zeros."""
        # an even kernel has as many frames before it as the next smaller odd one has around it
        hidden = self.conv(pad(values, (self.before, 0), mode=self.pad_mode))
        result = self.activation(
            masked_group_norm(self.dropout(hidden).float(), lengths, self.norm)
        )
        if not self.skips:
            return result
        below: Tensor = values if self.residual is None else self.residual(values)
        return (result + below) * self.scale


class Wav2VecEncoder(FrameEncoder):
    """wav2vec with random weights, for a state dict.

    Attributes:
        one_by_one: Clips are computed singly rather than padded to a batch. None: on a CPU, where
            a batch saves nothing and padding costs as much as speech.
    """

    one_by_one: bool | None = None

    def __init__(self, settings: ConvSettings) -> None:
        super().__init__()
        self.settings = settings
        front = [1, *(width for width, _, _ in settings.front_end)]
        context = [front[-1], *(width for width, _, _ in settings.context)]
        self.front_end = nn.ModuleList(
            FrontLayer(settings, channels, i) for i, channels in enumerate(front[:-1])
        )
        self.context = nn.ModuleList(
            ContextLayer(settings, channels, i) for i, channels in enumerate(context[:-1])
        )
        self.front_dropout = nn.Dropout(settings.front_end_dropout)
        self.context_dropout = nn.Dropout(settings.context_dropout)
        self.widths = context
        self.num_transformer_layers = len(self.context)
        self.dim = self.widths[-1]
        self.frame_stride, self.min_samples = 1, 1
        for _, kernel, stride in settings.front_end:
            self.min_samples += (kernel - 1) * self.frame_stride
            self.frame_stride *= stride
        self.first_center = self.min_samples / 2

    def num_frames(self, num_samples: int) -> int:
        """Frames of a clip, each over ``min_samples`` samples."""
        return (max(num_samples, self.min_samples) - self.min_samples) // self.frame_stride + 1

    def prepare(self, clip: Tensor) -> Tensor:
        """Fill up to the shortest length with zeros; the level stays."""
        return pad(clip, (0, max(0, self.min_samples - len(clip))))

    def cut(self, prepared: Tensor, start: int, stop: int) -> Tensor:
        """Samples that the frames see."""
        step = self.frame_stride
        return prepared[start * step : (stop - 1) * step + self.min_samples]

    def front(self) -> nn.Module:
        """The convolutions over the waveform."""
        return self.front_end

    def keep_layers(self, num_layers: int) -> None:
        """Remove the layers of the context above the first few."""
        del self.context[num_layers:]

    def forward(self, pieces: Sequence[Tensor], indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """States of waveforms of any lengths."""
        single = pieces[0].device.type == "cpu" if self.one_by_one is None else self.one_by_one
        if not single or len(pieces) == 1:
            return self._together(pieces, indices)
        rows = [self._together([piece], indices)[0][0].transpose(0, 1) for piece in pieces]
        lengths = torch.tensor([len(row) for row in rows])  # rows are (F, K, D)
        return pad_sequence(rows, batch_first=True).transpose(1, 2), lengths

    def _together(self, pieces: Sequence[Tensor], indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        states, lengths = self.below_context(pieces)
        hidden = self.front_dropout(states[-1])
        for layer in self.context:
            hidden = self.run(layer, hidden, lengths)
            states.append(hidden)
        if len(states) > self.num_transformer_layers:
            states[-1] = self.context_dropout(states[-1])
        found = [states[index].transpose(1, 2) for index in indices]
        return torch.stack(found, dim=1), lengths

    def below_context(self, pieces: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """States ``(B, C, F)`` that the context starts from, and the lengths ``(B,)``."""
        with self.front_gradient():
            latent, lengths = self.convolve(pieces)
        return [latent], lengths

    def convolve(self, pieces: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Z as ``(B, C, F)``, zero in the padding, and the lengths ``(B,)``."""
        hidden = pad_sequence(list(pieces), batch_first=True).unsqueeze(1)  # (B, 1, N)
        # on the host, where each norm reads them
        lengths = torch.tensor([len(piece) for piece in pieces])
        for layer, (_, kernel, stride) in zip(self.front_end, self.settings.front_end, strict=True):
            hidden = self.run(layer, hidden, lengths)
            lengths = (lengths - kernel) // stride + 1
        return torch.log1p(hidden.abs()) if self.settings.log_compression else hidden, lengths


class Wav2VecUpstream(EncoderUpstream):
    """wav2vec, frozen or trained.

    Args:
        settings: What the encoder is.
        layers: ``last`` is c, ``0`` is z; see ``upstreams/layers.py``.
        chunk_s: Clips longer than this are computed in overlapping pieces, each with norms over
            its own length; 0: never.
        chunk_overlap_s: What two pieces share, in seconds.
        encoder: With its weights; None builds one with random weights, for a state dict.
        source: Of the weights.

    Raises:
        ConfigError: There is no such layer, the layers are not equally wide, or a piece is not
            longer than the overlap.
    """

    name = "wav2vec"
    transform_version = 1

    def __init__(
        self,
        settings: ConvSettings,
        *,
        layers: str = "last",
        chunk_s: float = 0.0,
        chunk_overlap_s: float = 1.0,
        encoder: Wav2VecEncoder | None = None,
        source: Source | None = None,
    ) -> None:
        encoder = encoder or self.build_encoder(settings)
        super().__init__(
            encoder,
            {"settings_sha256": digest_of(asdict(settings))},
            layers=layers,
            chunk_s=chunk_s,
            chunk_overlap_s=chunk_overlap_s,
            source=source,
        )
        self.settings = settings
        widths = {encoder.widths[index] for index in self.choice.indices}
        if len(widths) > 1:
            raise ConfigError(
                "model.speech.layers",
                expected="layers of one width",
                got=f"{layers!r}, with {', '.join(map(str, sorted(widths)))} values a frame",
                fix="choose layers that are equally wide",
            )
        self.dim = widths.pop()

    @staticmethod
    def build_encoder(settings: ConvSettings) -> Wav2VecEncoder:
        """With random weights."""
        return Wav2VecEncoder(settings)


def load_wav2vec(
    *,
    name: str = PUBLISHED,
    revision: str | None = None,
    layers: str = "last",
    chunk_s: float = 0.0,
    chunk_overlap_s: float = 1.0,
) -> Wav2VecUpstream:
    """wav2vec with pretrained weights.

    Args:
        name: A file, a folder with ``wav2vec_large.pt``, or a hub id.
        revision: Branch, tag or commit of a hub id.
        layers: As for :class:`Wav2VecUpstream`.
        chunk_s: As there.
        chunk_overlap_s: As there.

    Raises:
        ConfigError: As there.
        ModelError: The file cannot be found or read, or is that of another model.
    """
    path = find_file(name, revision, FILE)
    checkpoint = read_converted(path)
    if setting(checkpoint, "vq_type", "none") != "none":
        raise refused(checkpoint, "vq_type", "none (vq_wav2vec is another model.speech.upstream)")
    settings = read_settings(checkpoint)
    encoder = Wav2VecEncoder(settings)
    fill(encoder, rename(checkpoint), where=checkpoint.where)
    return Wav2VecUpstream(
        settings,
        layers=layers,
        chunk_s=chunk_s,
        chunk_overlap_s=chunk_overlap_s,
        encoder=encoder,
        source=Source.of_files(name, revision, path.parent, [escape(path.name)]),
    )


def rename(checkpoint: Converted) -> dict[str, Tensor]:
    """Weights by the names they have here, without the heads of the pre-training."""
    found: dict[str, Tensor] = {}
    for name, value in checkpoint.weights.items():
        if name.startswith(_HEADS):
            continue
        new = name
        for old, replacement in _NAMES:
            new = old.sub(replacement, new)
        found[new] = value
    return found
