"""ECAPA-TDNN: a stack of dilated convolutions over frames, pooled to one vector.

Desplanques, Thienpondt and Demuynck, "ECAPA-TDNN: Emphasized Channel Attention, Propagation and
Aggregation in TDNN Based Speaker Verification", Interspeech 2020, arXiv 2005.07143. Order of layers
and defaults are those of SpeechBrain's (each convolution is followed by ReLU, then batch norm, and
reflects the sequence at both ends), with which it agrees on clips without padding.

Deviation, so that padding never shows: the sequence is reflected at each clip's own end, and all
means, batch norm's in training included, run over real frames alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sermm.nn.masking import clear_padding, masked_softmax

_VARIANCE_FLOOR = 1e-12  # below the root, which has no slope at zero


@dataclass(frozen=True)
class EcapaSizes:
    """Sizes of the network, lists from the first convolution to the aggregation of all blocks.

    Attributes:
        channels: Width of the first convolution, of each SE-Res2Net block, and of the aggregation.
        kernels: Frames that each of their convolutions sees.
        dilations: Steps between them.
        scale: Groups of channels of a Res2Net convolution.
        se_channels: Bottleneck of squeeze and excitation.
        attention_channels: Bottleneck of the attention over frames.
        embedding: Width of the vector that comes out.
    """

    channels: Sequence[int] = (512, 512, 512, 512, 1536)
    kernels: Sequence[int] = (5, 3, 3, 3, 1)
    dilations: Sequence[int] = (1, 2, 3, 4, 1)
    scale: int = 8
    se_channels: int = 128
    attention_channels: int = 128
    embedding: int = 192


class EcapaPooling(nn.Module):
    """Frames to an utterance embedding. ``(B, F, D)``, mask ``(B, F)`` to ``(B, E)``.

    Args:
        input_size: D.
        sizes: Of the network.

    Raises:
        ValueError: The lists differ in length, or an even kernel has no middle to reflect around.
    """

    def __init__(self, *, input_size: int, sizes: EcapaSizes | None = None) -> None:
        super().__init__()
        sizes = sizes or EcapaSizes()
        if not len(sizes.channels) == len(sizes.kernels) == len(sizes.dilations) >= 3:
            raise ValueError(f"as many channels, kernels and dilations, 3 or more, got {sizes}")
        if any(kernel % 2 == 0 for kernel in sizes.kernels):
            raise ValueError(f"kernels must be odd, got {list(sizes.kernels)}")
        channels, kernels, dilations = sizes.channels, sizes.kernels, sizes.dilations
        self.first = TimeDelay(input_size, channels[0], kernels[0], dilations[0])
        self.blocks = nn.ModuleList(
            SqueezedRes2Net(
                channels[k - 1],
                channels[k],
                kernels[k],
                dilations[k],
                scale=sizes.scale,
                se_channels=sizes.se_channels,
            )
            for k in range(1, len(channels) - 1)
        )
        self.aggregate = TimeDelay(sum(channels[1:-1]), channels[-1], kernels[-1], dilations[-1])
        self.statistics = AttentiveStatistics(channels[-1], sizes.attention_channels)
        self.norm = MaskedBatchNorm(2 * channels[-1])
        self.embed = nn.Linear(2 * channels[-1], sizes.embedding)
        self.output_size = sizes.embedding

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """Pool."""
        x = clear_padding(values, mask).transpose(1, 2)  # (B, D, F)
        x = self.first(x, mask)
        states = []
        for block in self.blocks:
            x = block(x, mask)
            states.append(x)
        x = self.aggregate(torch.cat(states, dim=1), mask)  # (B, C, F)
        pooled = self.norm(self.statistics(x, mask).unsqueeze(-1))  # (B, 2 C, 1)
        embedding: Tensor = self.embed(pooled.squeeze(-1))
        return embedding


class TimeDelay(nn.Module):
    """Convolution over reflected frames, ReLU, batch norm. ``(B, A, F)`` to ``(B, B', F)``."""

    def __init__(self, input_size: int, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.margin = dilation * (kernel - 1) // 2
        self.conv = nn.Conv1d(input_size, channels, kernel, dilation=dilation)
        self.norm = MaskedBatchNorm(channels)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Convolve; the padding of what comes out is meaningless but finite."""
        normed: Tensor = self.norm(torch.relu(self.conv(reflect(x, mask, self.margin))), mask)
        return normed


class SqueezedRes2Net(nn.Module):
    """The SE-Res2Net block (figure 2 of the paper), ``(B, A, F)`` to ``(B, C, F)``."""

    def __init__(
        self,
        input_size: int,
        channels: int,
        kernel: int,
        dilation: int,
        *,
        scale: int,
        se_channels: int,
    ) -> None:
        super().__init__()
        width = channels // scale
        self.scale = scale
        self.before = TimeDelay(input_size, channels, 1, 1)
        self.steps = nn.ModuleList(
            TimeDelay(width, width, kernel, dilation) for _ in range(scale - 1)
        )
        self.after = TimeDelay(channels, channels, 1, 1)
        self.squeeze = nn.Linear(channels, se_channels)
        self.excite = nn.Linear(se_channels, channels)
        self.shortcut = nn.Conv1d(input_size, channels, 1) if input_size != channels else None

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Transform."""
        residual = x if self.shortcut is None else self.shortcut(x)
        part, *rest = self.before(x, mask).chunk(self.scale, dim=1)
        parts = [part]
        for number, (step, group) in enumerate(zip(self.steps, rest, strict=True)):
            # each group of channels also sees what the one before it has become
            part = step(group if number == 0 else group + part, mask)
            parts.append(part)
        x = self.after(torch.cat(parts, dim=1), mask)
        gates = torch.sigmoid(self.excite(torch.relu(self.squeeze(time_mean(x, mask)))))  # (B, C)
        gated: Tensor = x * gates.unsqueeze(-1) + residual
        return gated


class AttentiveStatistics(nn.Module):
    """Mean and deviation over frames that each channel weighs for itself (section 3.2).

    The attention sees each frame beside mean and deviation of the whole clip. ``(B, C, F)`` to
    ``(B, 2 C)``.
    """

    def __init__(self, channels: int, attention_channels: int) -> None:
        super().__init__()
        self.context = TimeDelay(3 * channels, attention_channels, 1, 1)
        # a bias would be the same for all frames, which the softmax does not see
        self.score = nn.Conv1d(attention_channels, channels, 1, bias=False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Pool."""
        even = (mask / mask.sum(dim=1, keepdim=True).clamp(min=1)).unsqueeze(1)  # (B, 1, F)
        seen = torch.cat([part.expand_as(x) for part in (x, *_moments(x, even))], dim=1)
        scores = self.score(torch.tanh(self.context(seen, mask)))
        weights = masked_softmax(scores, mask.unsqueeze(1))  # (B, C, F)
        return torch.cat(_moments(x, weights), dim=1).squeeze(-1)


class MaskedBatchNorm(nn.Module):
    """Batch norm of ``(B, C, F)`` by channel, whose statistics in training are of real frames.

    A single value a channel has no deviation: then, in training too, the running statistics serve.
    Sums are float32 at least, whatever the precision of the convolutions around it.
    Ranks keep statistics of their own, as torch's batch norm does.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.eps = eps
        self.momentum = momentum

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Normalise; without a mask everything is real."""
        if mask is None:
            mask = torch.ones(x.shape[0], x.shape[2], dtype=torch.bool, device=x.device)
        count = int(mask.sum()) if self.training else 0
        if count < 2:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        real = mask.unsqueeze(1)  # (B, 1, F)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = wide.masked_fill(~real, 0.0).sum(dim=(0, 2)) / count
        centered = (wide - mean[:, None]).masked_fill(~real, 0.0)
        variance = centered.square().sum(dim=(0, 2)) / count
        with torch.no_grad():
            unbiased = variance * (count / (count - 1))
            self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
            self.running_var.lerp_(unbiased.to(self.running_var), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centered * scale[:, None] + self.bias[:, None]).to(x.dtype)


def reflect(x: Tensor, mask: Tensor, margin: int) -> Tensor:
    """Frames with ``margin`` reflected ones before the first and after the last real one.

    The clip is a mirror at its first and last frame, to and fro if it is shorter than the margin.

    Args:
        x: ``(B, C, F)``, any content in the padding.
        mask: ``(B, F)`` bool, real frames first.
        margin: At both ends.

    Returns:
        ``(B, C, F + 2 margin)``, reflections of the clip in the padding.
    """
    if margin == 0:
        return x
    lengths = mask.sum(dim=1, keepdim=True).clamp(min=1)  # (B, 1)
    places = torch.arange(-margin, x.shape[2] + margin, device=x.device)
    period = (2 * (lengths - 1)).clamp(min=1)
    inside = places.remainder(period)  # (B, F + 2 margin)
    inside = torch.where(inside < lengths, inside, period - inside)
    return x.gather(2, inside.unsqueeze(1).expand(-1, x.shape[1], -1))


def time_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over real frames, ``(B, C, F)`` to ``(B, C)``."""
    counts = mask.sum(dim=1, keepdim=True).clamp(min=1)
    return x.masked_fill(~mask.unsqueeze(1), 0.0).sum(dim=2) / counts


def _moments(x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean and deviation over frames, ``(B, C, 1)`` each; weights are 0 in the padding."""
    mean = (weights * x).sum(dim=2, keepdim=True)
    variance = (weights * (x - mean).square()).sum(dim=2, keepdim=True)
    return mean, variance.clamp(min=_VARIANCE_FLOOR).sqrt()
