"""RoBERTa over pairs of speech codes: the vocabulary and the transformer, without the waveform.

Of plain torch: transformers' RobertaModel would be another layout of the same sums plus a table of
token types that the published weights do not have, and that would be trained with a task.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, relu, scaled_dot_product_attention

from data_modules.errors import ModelError
from sermm.upstreams.converted import Converted, refused, setting

START, PAD, END, UNKNOWN = range(4)
"""Ids of ``<s>``, ``<pad>``, ``</s>`` and ``<unk>``, which no dictionary file states."""

_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
_MASK = "<mask>"
_PAIR = re.compile(r"(\d{1,9})-(\d{1,9})")
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": gelu, "relu": relu}
# values that would make it another model; only these are known here
_FIXED = {
    "encoder_learned_pos": True,
    "no_token_positional_embeddings": False,
    "layernorm_embedding": True,
    "no_scale_embedding": True,
    "adaptive_input": False,
    "quant_noise_pq": 0.0,
}


@dataclass(frozen=True, kw_only=True)
class BertSettings:
    """What the transformer is beside its weights: plain data, for a checkpoint.

    Attributes:
        words: The vocabulary, by id.
        max_positions: Most tokens, the two ends included.
        norm_first: Layer norms come before attention and feed-forward, and after the last layer.
    """

    words: Sequence[str]
    num_layers: int = 12
    dim: int = 768
    num_heads: int = 12
    feed_forward: int = 3072
    max_positions: int = 512
    activation: str = "gelu"
    norm_first: bool = False
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation_dropout: float = 0.0


def read_bert_settings(checkpoint: Converted) -> BertSettings:
    """From the names of fairseq; what a checkpoint leaves out has fairseq's default.

    Raises:
        ModelError: There is no dictionary, a setting is of another type, or of a model that is not
            known here.
    """
    if checkpoint.dictionary is None:
        raise ModelError(
            checkpoint.where,
            expected="a text_dictionary, the vocabulary of RoBERTa",
            got="none",
            fix="give vq_wav2vec_kmeans_roberta.pt",
        )
    for key, known in _FIXED.items():
        if setting(checkpoint, key, known) != known:
            raise refused(checkpoint, key, repr(known))
    settings = BertSettings(
        words=read_words(checkpoint.dictionary, checkpoint.where),
        num_layers=setting(checkpoint, "encoder_layers", 12),
        dim=setting(checkpoint, "encoder_embed_dim", 768),
        num_heads=setting(checkpoint, "encoder_attention_heads", 12),
        feed_forward=setting(checkpoint, "encoder_ffn_embed_dim", 3072),
        max_positions=setting(checkpoint, "max_positions", 512),
        activation=setting(checkpoint, "activation_fn", "gelu"),
        norm_first=setting(checkpoint, "encoder_normalize_before", False),
        dropout=setting(checkpoint, "dropout", 0.1),
        attention_dropout=setting(checkpoint, "attention_dropout", 0.1),
        activation_dropout=setting(checkpoint, "activation_dropout", 0.0),
    )
    if settings.activation not in _ACTIVATIONS:
        raise refused(checkpoint, "activation_fn", "gelu or relu")
    if settings.num_heads < 1 or settings.dim % settings.num_heads:
        raise refused(checkpoint, "encoder_attention_heads", f"a divisor of {settings.dim}")
    if settings.max_positions < 3:
        raise refused(checkpoint, "max_positions", "at least 3")
    return settings


def read_words(text: str, where: str) -> tuple[str, ...]:
    """The vocabulary by id: what every dictionary has, what the text lists, and ``<mask>``.

    Args:
        text: Lines ``word count``.
        where: What the error names.

    Raises:
        ModelError: A line is anything else, or names a word again.
    """
    words = dict.fromkeys(_SPECIAL)
    for number, line in enumerate(text.splitlines(), 1):
        word, _, count = line.rstrip().rpartition(" ")
        if not word or not count.isdigit() or word in words:
            raise ModelError(
                f"{where} text_dictionary:{number}",
                expected="a new word and its count",
                got=repr(line[:60]),
                fix="use the published file",
            )
        words[word] = None
    words.setdefault(_MASK)
    return tuple(words)


def code_table(words: Sequence[str], num_codes: int, where: str) -> Tensor:
    """Which word two codes are, ``(num_codes, num_codes)`` int64.

    The dictionary lists the pairs that the training data had; all others are ``<unk>``, which is
    what fairseq made of them, too.

    Raises:
        ModelError: The words are not pairs of this many codes.
    """
    table = torch.full((num_codes, num_codes), UNKNOWN)
    pairs = [(index, pair) for index, word in enumerate(words) if (pair := _PAIR.fullmatch(word))]
    for index, pair in pairs:
        first, second = int(pair[1]), int(pair[2])
        if max(first, second) >= num_codes:
            raise _no_pairs(where, num_codes, pair[0])
        table[first, second] = index
    if not pairs:
        raise _no_pairs(where, num_codes, "none")
    return table


def _no_pairs(where: str, num_codes: int, got: str) -> ModelError:
    return ModelError(
        f"{where} text_dictionary",
        expected=f"words such as 5-17, of codes below {num_codes}",
        got=got,
        fix="use the quantizer and the RoBERTa that belong together",
    )


class BertLayer(nn.Module):
    """Self-attention and feed-forward."""

    def __init__(self, settings: BertSettings) -> None:
        super().__init__()
        dim = settings.dim
        self.num_heads = settings.num_heads
        self.norm_first = settings.norm_first
        self.query, self.key, self.value, self.out = (nn.Linear(dim, dim) for _ in range(4))
        self.attention_norm = nn.LayerNorm(dim)
        self.widen = nn.Linear(dim, settings.feed_forward)
        self.narrow = nn.Linear(settings.feed_forward, dim)
        self.final_norm = nn.LayerNorm(dim)
        self.activation = _ACTIVATIONS[settings.activation]
        self.dropout = nn.Dropout(settings.dropout)
        self.activation_dropout = nn.Dropout(settings.activation_dropout)
        self.attention_dropout = settings.attention_dropout

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """``(B, L, D)`` to the same; ``mask`` as ``attention_mask`` gives it."""
        if self.norm_first:
            hidden = hidden + self._attend(self.attention_norm(hidden), mask)
            return hidden + self._feed(self.final_norm(hidden))
        attended: Tensor = self.attention_norm(hidden + self._attend(hidden, mask))
        final: Tensor = self.final_norm(attended + self._feed(attended))
        return final

    def _attend(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        query, key, value = (
            part(hidden).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (B, H, L, D / H)
            for part in (self.query, self.key, self.value)
        )
        dropout = self.attention_dropout if self.training else 0.0
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
        dropped: Tensor = self.dropout(self.out(mixed.transpose(1, 2).flatten(2)))
        return dropped

    def _feed(self, hidden: Tensor) -> Tensor:
        wide = self.activation_dropout(self.activation(self.widen(hidden)))
        dropped: Tensor = self.dropout(self.narrow(wide))
        return dropped


class CodeBert(nn.Module):
    """The transformer with random weights, for a state dict."""

    def __init__(self, settings: BertSettings) -> None:
        super().__init__()
        self.tokens = nn.Embedding(len(settings.words), settings.dim, padding_idx=PAD)
        # fairseq numbers positions from the id after that of the padding
        self.positions = nn.Embedding(settings.max_positions + PAD + 1, settings.dim)
        self.embedding_norm = nn.LayerNorm(settings.dim)
        self.dropout = nn.Dropout(settings.dropout)
        self.layers = nn.ModuleList(BertLayer(settings) for _ in range(settings.num_layers))
        self.final_norm: nn.Module = nn.Identity()
        if settings.norm_first:
            self.final_norm = nn.LayerNorm(settings.dim)

    def embed(self, ids: Tensor) -> Tensor:
        """State 0 of tokens ``(B, L)`` that are padded at the end, ``(B, L, D)``."""
        numbers = torch.arange(ids.shape[1], device=ids.device) + PAD + 1
        embedded: Tensor = self.dropout(
            self.embedding_norm(self.tokens(ids) + self.positions(numbers))
        )
        return embedded

    def steps(self, mask: Tensor | None) -> list[Callable[[Tensor], Tensor]]:
        """The layers as functions of the state below."""
        return [partial(layer, mask=mask) for layer in self.layers]

    def keep_layers(self, num_layers: int) -> None:
        """Remove the layers above the first few, and the norm that follows the last one."""
        if num_layers < len(self.layers):
            del self.layers[num_layers:]
            self.final_norm = nn.Identity()


_NAMES = (
    # as older versions of fairseq had it
    (re.compile(r"^decoder\."), "encoder."),
    (re.compile(r"\.emb_layer_norm\."), ".layernorm_embedding."),
    (re.compile(r"^encoder\.sentence_encoder\."), ""),
    (re.compile(r"^embed_tokens\."), "tokens."),
    (re.compile(r"^embed_positions\."), "positions."),
    (re.compile(r"^layernorm_embedding\."), "embedding_norm."),
    (re.compile(r"^layer_norm\."), "final_norm."),
    (re.compile(r"\.self_attn\.q_proj\."), ".query."),
    (re.compile(r"\.self_attn\.k_proj\."), ".key."),
    (re.compile(r"\.self_attn\.v_proj\."), ".value."),
    (re.compile(r"\.self_attn\.out_proj\."), ".out."),
    (re.compile(r"\.self_attn_layer_norm\."), ".attention_norm."),
    (re.compile(r"\.final_layer_norm\."), ".final_norm."),
    (re.compile(r"\.fc1\."), ".widen."),
    (re.compile(r"\.fc2\."), ".narrow."),
)
_JOINED = re.compile(r"(.*)\.self_attn\.in_proj_(weight|bias)")
# what no state depends on: the head of the pre-training, a version number of fairseq
_UNUSED = re.compile(r"encoder\.lm_head\..*|classification_heads\..*|version")


def rename_bert(checkpoint: Converted) -> dict[str, Tensor]:
    """Weights by the names of :class:`CodeBert`, from any version of fairseq's layout."""
    found: dict[str, Tensor] = {}
    for name, value in checkpoint.weights.items():
        new = name
        for old, replacement in _NAMES:
            new = old.sub(replacement, new)
        if _UNUSED.fullmatch(new):
            continue
        if joined := _JOINED.fullmatch(new):
            for part, piece in zip(("query", "key", "value"), value.chunk(3), strict=True):
                found[f"{joined[1]}.{part}.{joined[2]}"] = piece.clone()
        else:
            found[new] = value
    return found
