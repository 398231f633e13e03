"""vq-wav2vec with k-means: each frame of wav2vec's encoder becomes a code of each group.

Baevski et al. 2020 (arXiv 1910.05453, section 3.2), in the form of fairseq's
``vq-wav2vec_kmeans.pt``. State 0 is the encoder's z, state 1 the quantised vectors, state 1 + k the
k-th context layer on top of them, the last one c. (s3prl's list of states leaves state 1 out.)

A rounding error can move a frame that lies between two codes to the other one. So codes are
computed one clip at a time, in full float32 whatever the precision around it: those of a clip are
the same bits in any batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from glob import escape
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from sermm.upstreams.converted import (
    PUBLISHED,
    fill,
    find_file,
    read_converted,
    refused,
    setting,
)
from sermm.upstreams.encoded import Source
from sermm.upstreams.precision import full_precision
from sermm.upstreams.wav2vec import (
    ConvSettings,
    Wav2VecEncoder,
    Wav2VecUpstream,
    read_settings,
    rename,
)

FILE = "vq-wav2vec_kmeans.pt"
"""Name of the published checkpoint."""


@dataclass(frozen=True, kw_only=True)
class VqSettings(ConvSettings):
    """Of wav2vec, and of the quantizer.

    Attributes:
        num_codes: Of a group.
        groups: Parts into which the channels of a frame are divided.
        combine_groups: One set of codes serves all groups.
    """

    num_codes: int = 320
    groups: int = 2
    combine_groups: bool = False


class KMeansQuantizer(nn.Module):
    """To the nearest code of each group, after a projection and a group norm.

    The gradient goes through to the projection as if nothing were rounded (equation 2 of the
    paper leaves that open; so does fairseq's ``_pass_grad``). The codes themselves stay as they
    are: what would move them is a loss of the pre-training.
    """

    codebook: Tensor

    def __init__(self, settings: VqSettings, channels: int) -> None:
        super().__init__()
        self.groups = settings.groups
        width = channels // settings.groups
        books = 1 if settings.combine_groups else settings.groups
        self.projection = nn.Conv1d(channels, channels, 1, groups=settings.groups, bias=False)
        self.norm = nn.GroupNorm(settings.groups, channels)
        codebook = 0.01 * torch.randn(settings.num_codes, books, width)
        self.register_buffer("codebook", codebook)

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """One clip.

        Args:
            latent: ``(1, C, F)`` float32.

        Returns:
            Quantised ``(1, C, F)`` and codes ``(F, groups)`` int64.
        """
        projected = self.norm(self.projection(latent))
        count = latent.shape[-1]
        values = projected.detach().view(self.groups, -1, count).transpose(1, 2)  # (G, F, C / G)
        books = self.codebook.transpose(0, 1).expand(self.groups, -1, -1)  # (G, V, C / G)
        # by differences: the usual product of matrices loses digits where two codes are close
        distances = torch.cdist(values, books, compute_mode="donot_use_mm_for_euclid_dist")
        codes = distances.argmin(dim=-1)  # (G, F)
        found = torch.stack([book[row] for book, row in zip(books, codes, strict=True)])
        quantized = found.transpose(1, 2).reshape(1, -1, count)
        return quantized + (projected - projected.detach()), codes.transpose(0, 1)


class VqWav2VecEncoder(Wav2VecEncoder):
    """vq-wav2vec with random weights, for a state dict."""

    settings: VqSettings

    def __init__(self, settings: VqSettings) -> None:
        super().__init__(settings)
        self.quantizer: KMeansQuantizer | None = KMeansQuantizer(settings, self.widths[0])
        self.widths = [self.widths[0], *self.widths]
        self.num_transformer_layers = len(self.widths) - 1

    def keep_layers(self, num_layers: int) -> None:
        """Remove the layers of the context above, for state 0 the quantizer, too."""
        super().keep_layers(max(0, num_layers - 1))
        if num_layers == 0:
            self.quantizer = None

    def below_context(self, pieces: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Z and the quantised vectors as ``(B, C, F)``, and the lengths ``(B,)``."""
        if self.quantizer is None:
            return super().below_context(pieces)
        latents, quantized = [], []
        for piece in pieces:
            latent, codeword, _ = self._quantize(piece)
            latents.append(latent[0].transpose(0, 1))  # (F, C)
            quantized.append(codeword[0].transpose(0, 1))
        states = [
            pad_sequence(rows, batch_first=True).transpose(1, 2) for rows in (latents, quantized)
        ]
        return states, torch.tensor([len(row) for row in latents])

    def codes(self, piece: Tensor) -> Tensor:
        """Codes of a prepared clip, ``(F, groups)`` int64.

        Raises:
            ValueError: There is no quantizer, as state 0 alone was asked for.
        """
        with torch.no_grad():
            return self._quantize(piece)[2]

    def _quantize(self, piece: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.quantizer is None:
            raise ValueError("no quantizer is kept for layers=0")
        with full_precision(piece.device):
            with self.front_gradient():
                latent, _ = self.convolve([piece.float()])
            quantized, codes = self.quantizer(latent)
        return latent, quantized, codes


class VqWav2VecUpstream(Wav2VecUpstream):
    """vq-wav2vec, frozen or trained; arguments and errors as :class:`Wav2VecUpstream`."""

    name = "vq_wav2vec"
    transform_version = 1
    encoder: VqWav2VecEncoder

    @staticmethod
    def build_encoder(settings: ConvSettings) -> VqWav2VecEncoder:
        """With random weights."""
        if not isinstance(settings, VqSettings):
            raise TypeError(f"settings without a quantizer: {settings}")
        return VqWav2VecEncoder(settings)

    def codes(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Codes of padded clips, each in one piece.

        Args:
            waveform: ``(B, N)`` float32.
            lengths: ``(B,)`` int64, true samples of each clip, at least 1.

        Returns:
            ``(B, F, groups)`` int64 with -1 in the padding, and the lengths ``(B,)``.
        """
        found = [
            self.encoder.codes(self.encoder.prepare(row[:size]))
            for row, size in zip(waveform, lengths.tolist(), strict=True)
        ]
        counts = torch.tensor([len(codes) for codes in found], device=waveform.device)
        return pad_sequence(found, batch_first=True, padding_value=-1), counts


def load_vq_wav2vec(
    *,
    name: str = PUBLISHED,
    revision: str | None = None,
    layers: str = "last",
    chunk_s: float = 0.0,
    chunk_overlap_s: float = 1.0,
) -> VqWav2VecUpstream:
    """vq-wav2vec with pretrained weights.

    Args:
        name: A file, a folder with ``vq-wav2vec_kmeans.pt``, or a hub id.
        revision: Branch, tag or commit of a hub id.
        layers: As for :class:`VqWav2VecUpstream`.
        chunk_s: As there.
        chunk_overlap_s: As there.

    Raises:
        ConfigError: As there.
        ModelError: The file cannot be found or read, or is that of another model.
    """
    path = find_file(name, revision, FILE)
    settings, encoder = read_vq_encoder(path)
    return VqWav2VecUpstream(
        settings,
        layers=layers,
        chunk_s=chunk_s,
        chunk_overlap_s=chunk_overlap_s,
        encoder=encoder,
        source=Source.of_files(name, revision, path.parent, [escape(path.name)]),
    )


def read_vq_encoder(path: Path) -> tuple[VqSettings, VqWav2VecEncoder]:
    """An encoder with the weights of a checkpoint.

    Raises:
        ModelError: The file cannot be read, or is that of another model.
    """
    checkpoint = read_converted(path)
    if setting(checkpoint, "vq_type", "none") != "kmeans":
        raise refused(checkpoint, "vq_type", "kmeans")
    settings = VqSettings(
        **asdict(read_settings(checkpoint)),
        num_codes=setting(checkpoint, "vq_vars", 320),
        groups=setting(checkpoint, "vq_groups", 2),
        combine_groups=setting(checkpoint, "combine_groups", False),
    )
    channels = settings.front_end[-1][0]
    if settings.groups < 1 or channels % settings.groups:
        raise refused(checkpoint, "vq_groups", f"a divisor of the {channels} channels")
    if setting(checkpoint, "vq_dim", 0) not in (0, channels):
        raise refused(checkpoint, "vq_dim", f"0 or the {channels} channels that are quantised")
    encoder = VqWav2VecEncoder(settings)
    fill(encoder, rename(checkpoint), where=checkpoint.where)
    return settings, encoder
