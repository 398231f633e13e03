"""A WordPiece vocabulary from texts: the same bytes for the same texts, in every process."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from data_modules.errors import ConfigError, DataError

# The order gives the ids, [PAD] is 0.
SPECIAL_TOKENS = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}


def train_word_pieces(texts: Iterable[str], vocab_size: int, *, lowercase: bool) -> Any:
    """Train BERT's tokenizer.

    All characters are kept, accents too; pieces that occur once are not learned, so the
    vocabulary may stay smaller than ``vocab_size``.

    Args:
        texts: Of the training part only.
        vocab_size: Most entries, special tokens included.
        lowercase: Whether case is ignored.

    Returns:
        A ``tokenizers.Tokenizer`` that frames its output with [CLS] and [SEP].

    Raises:
        DataError: There is no text.
        ConfigError: Special tokens and characters alone are more than ``vocab_size``.
    """
    from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
    from tokenizers.models import WordPiece
    from tokenizers.trainers import WordPieceTrainer

    normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=False)
    pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    texts = list(texts)
    characters = sorted({c for text in texts for c in normalizer.normalize_str(text)} - {" "})
    if not characters:
        raise DataError(
            "the training part",
            expected="transcripts to train a vocabulary on",
            got=f"{len(texts)} without a letter",
            fix="choose a corpus with transcripts, or a pretrained model.text.name",
        )
    specials = list(SPECIAL_TOKENS.values())
    # The trainer numbers characters inside words in the order of a hash map, another one each
    # time, and breaks ties between merges by these numbers. Names given beforehand fix both.
    pieces = [*specials, *characters, *(f"##{c}" for c in characters)]
    if len(pieces) > vocab_size:
        raise ConfigError(
            "model.text.vocab_size",
            expected=f"at least {len(pieces)}, for the characters of the training part",
            got=str(vocab_size),
            fix="raise it",
        )
    unknown = SPECIAL_TOKENS["unk"]
    learner = Tokenizer(WordPiece(unk_token=unknown))
    learner.normalizer = normalizer
    learner.pre_tokenizer = pre_tokenizer
    learner.train_from_iterator(
        texts,
        WordPieceTrainer(
            vocab_size=vocab_size, min_frequency=2, special_tokens=pieces, show_progress=False
        ),
    )
    # the learner takes every character for a special token; the vocabulary is all that is wanted
    vocab = learner.get_vocab()
    backend = Tokenizer(WordPiece(vocab, unk_token=unknown))
    backend.normalizer = normalizer
    backend.pre_tokenizer = pre_tokenizer
    backend.add_special_tokens(specials)
    first, last = SPECIAL_TOKENS["cls"], SPECIAL_TOKENS["sep"]
    backend.post_processor = processors.BertProcessing((last, vocab[last]), (first, vocab[first]))
    return backend
