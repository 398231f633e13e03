"""Speech-BERT: a RoBERTa over the codes of vq-wav2vec, 100 tokens a second.

Baevski et al. 2020 (arXiv 1910.05453, section 4), fine-tuned for emotion by Siriwardhana et al.
2020 (arXiv 2008.06682). Tokens are ``<s>``, a word "i-j" for each frame, and ``</s>``. Longer clips
than its positions reach are computed in overlapping pieces, each between ends of its own
(Siriwardhana et al. cut them off at 2,048 tokens; s3prl splits them without overlap or ends).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from glob import escape
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from data_modules.errors import ModelError
from sermm.upstreams.code_bert import (
    END,
    PAD,
    START,
    UNKNOWN,
    BertSettings,
    CodeBert,
    code_table,
    read_bert_settings,
    rename_bert,
)
from sermm.upstreams.converted import PUBLISHED, fill, find_file, read_converted
from sermm.upstreams.encoded import EncoderUpstream, Source, digest_of
from sermm.upstreams.encoder import FrameEncoder, attention_mask, frame_mask
from sermm.upstreams.pretrained import commit_of
from sermm.upstreams.vq_wav2vec import FILE as QUANTIZER_FILE
from sermm.upstreams.vq_wav2vec import VqSettings, VqWav2VecEncoder, read_vq_encoder

FILE = "vq_wav2vec_kmeans_roberta.pt"
"""Name of the published checkpoint; it stands beside that of the quantizer."""


class SpeechBertEncoder(FrameEncoder):
    """Waveform to codes to states.

    The way to the codes has no gradient and is never trained.

    Args:
        quantizer: With its weights.
        bert: With its weights.
        settings: Of ``bert``.
        keep_ends: ``<s>`` and ``</s>`` are the first and the last frame, at the times that frames
            before and after those of the clip would have.

    Raises:
        ModelError: The words are not pairs of the quantizer's codes.
    """

    table: Tensor

    def __init__(
        self,
        quantizer: VqWav2VecEncoder,
        bert: CodeBert,
        settings: BertSettings,
        *,
        keep_ends: bool,
        where: str = "speech_bert",
    ) -> None:
        super().__init__()
        if quantizer.settings.groups != 2:
            raise ModelError(
                where,
                expected="a quantizer with 2 groups",
                got=str(quantizer.settings.groups),
                fix="use the quantizer and the RoBERTa that belong together",
            )
        quantizer.keep_layers(1)
        quantizer.requires_grad_(False)
        self.quantizer, self.bert, self.keep_ends = quantizer, bert, keep_ends
        # stands in the settings, so not in the state
        table = code_table(settings.words, quantizer.settings.num_codes, where)
        self.register_buffer("table", table, persistent=False)
        self.dim = settings.dim
        self.frame_stride = quantizer.frame_stride
        self.first_center = quantizer.first_center - keep_ends * quantizer.frame_stride
        self.min_samples = quantizer.min_samples
        self.window_frames = settings.max_positions - 2
        self.num_transformer_layers = settings.num_layers

    def num_frames(self, num_samples: int) -> int:
        """One for each frame of vq-wav2vec, and the ends if they are kept."""
        return self.quantizer.num_frames(num_samples) + 2 * self.keep_ends

    def prepare(self, clip: Tensor) -> Tensor:
        """Ids of the tokens, ``(F,)`` int64, of the whole clip whatever pieces come of it."""
        codes = self.quantizer.codes(self.quantizer.prepare(clip))
        ids = self.table[codes[:, 0], codes[:, 1]]
        return self._between_ends(ids) if self.keep_ends else ids

    def cut(self, prepared: Tensor, start: int, stop: int) -> Tensor:
        """Tokens from one to another."""
        return prepared[start:stop]

    def front(self) -> nn.Module:
        """The way to the codes."""
        return self.quantizer

    def transformer_layers(self) -> Sequence[nn.Module]:
        """Of the RoBERTa."""
        return list(self.bert.layers)

    def keep_layers(self, num_layers: int) -> None:
        """Remove the transformer layers above the first few."""
        self.bert.keep_layers(num_layers)

    def forward(self, pieces: Sequence[Tensor], indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """States of tokens; a piece without an end gets it, and it is left out again."""
        whole = [self._between_ends(piece) for piece in pieces]
        counts = torch.tensor([len(ids) for ids in whole], device=whole[0].device)
        ids = pad_sequence(whole, batch_first=True, padding_value=PAD)  # (B, L)
        mask = frame_mask(counts, ids.shape[1])
        states, _ = self.states(
            self.bert.embed(ids),
            counts,
            indices,
            layers=self.bert.steps(attention_mask(mask)),
            finish=self.bert.final_norm,
        )
        rows = []
        for row, piece in zip(states, pieces, strict=True):
            start = int(piece[0] != START)
            rows.append(row[:, start : start + len(piece)].transpose(0, 1))  # (F, K, D)
        lengths = torch.tensor([len(piece) for piece in pieces], device=ids.device)
        return pad_sequence(rows, batch_first=True).transpose(1, 2), lengths

    @staticmethod
    def _between_ends(ids: Tensor) -> Tensor:
        start = [ids.new_tensor([START])] if ids[0] != START else []
        end = [ids.new_tensor([END])] if ids[-1] != END else []
        return torch.cat([*start, ids, *end])


class SpeechBertUpstream(EncoderUpstream):
    """Speech-BERT, frozen or trained; the way to the codes stays as it is.

    Args:
        quantizer_settings: Of vq-wav2vec.
        bert_settings: Of the transformer.
        layers: See ``upstreams/layers.py``; state 0 is the sum of embeddings, normed.
        keep_ends: As for :class:`SpeechBertEncoder`.
        chunk_s: Clips longer than this are computed in overlapping pieces; 0: those that have more
            tokens than there are positions (2,048 in the published model, 20.5 s).
        chunk_overlap_s: What two pieces share, in seconds.
        encoder: With its weights; None builds one with random weights, for a state dict.
        source: Of the weights.

    Raises:
        ConfigError: There is no such layer, or a piece is not longer than the overlap.
        ModelError: As for :class:`SpeechBertEncoder`.
    """

    name = "speech_bert"
    transform_version = 1
    encoder: SpeechBertEncoder

    def __init__(
        self,
        quantizer_settings: VqSettings,
        bert_settings: BertSettings,
        *,
        layers: str = "last",
        keep_ends: bool = False,
        chunk_s: float = 0.0,
        chunk_overlap_s: float = 1.0,
        encoder: SpeechBertEncoder | None = None,
        source: Source | None = None,
    ) -> None:
        encoder = encoder or SpeechBertEncoder(
            VqWav2VecEncoder(quantizer_settings),
            CodeBert(bert_settings),
            bert_settings,
            keep_ends=keep_ends,
        )
        settings = {"quantizer": asdict(quantizer_settings), "bert": asdict(bert_settings)}
        super().__init__(
            encoder,
            {"settings_sha256": digest_of(settings)},
            layers=layers,
            chunk_s=chunk_s,
            chunk_overlap_s=chunk_overlap_s,
            source=source,
        )
        self.quantizer_settings = quantizer_settings
        self.bert_settings = bert_settings

    def options(self) -> Mapping[str, Any]:
        """As of every encoder, and whether the ends are kept."""
        return {**super().options(), "keep_ends": self.encoder.keep_ends}

    def count_unknown(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        """Frames of each clip ``(B,)`` whose pair of codes the vocabulary does not have.

        They are ``<unk>`` to the model, as in its training.
        """
        counts = [
            int((self.encoder.prepare(row[:size]) == UNKNOWN).sum())
            for row, size in zip(waveform, lengths.tolist(), strict=True)
        ]
        return torch.tensor(counts)


def load_speech_bert(
    *,
    name: str = PUBLISHED,
    revision: str | None = None,
    layers: str = "last",
    keep_ends: bool = False,
    chunk_s: float = 0.0,
    chunk_overlap_s: float = 1.0,
) -> SpeechBertUpstream:
    """Speech-BERT with pretrained weights.

    Args:
        name: A folder with ``vq_wav2vec_kmeans_roberta.pt`` and ``vq-wav2vec_kmeans.pt``, the file
            of the first beside the second, or a hub id.
        revision: Branch, tag or commit of a hub id.
        layers: As for :class:`SpeechBertUpstream`.
        keep_ends: As there.
        chunk_s: As there.
        chunk_overlap_s: As there.

    Raises:
        ConfigError: As there.
        ModelError: A file cannot be found or read, is that of another model, or the two do not
            belong together.
    """
    path = find_file(name, revision, FILE)
    in_hub = commit_of(path.parent) is not None
    beside = find_file(name if in_hub else str(path.parent), revision, QUANTIZER_FILE)
    checkpoint = read_converted(path)
    settings = read_bert_settings(checkpoint)
    bert = CodeBert(settings)
    fill(bert, rename_bert(checkpoint), where=checkpoint.where)
    quantizer_settings, quantizer = read_vq_encoder(beside)
    encoder = SpeechBertEncoder(
        quantizer, bert, settings, keep_ends=keep_ends, where=checkpoint.where
    )
    return SpeechBertUpstream(
        quantizer_settings,
        settings,
        layers=layers,
        chunk_s=chunk_s,
        chunk_overlap_s=chunk_overlap_s,
        encoder=encoder,
        source=Source.of_files(
            name, revision, path.parent, [escape(path.name), escape(beside.name)]
        ),
    )
