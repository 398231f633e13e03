"""Words of a transcript to word pieces, with the word that each piece belongs to.

A tokenizer comes from a checkpoint or is trained on the training part of a fold. As a string it
travels inside a model's checkpoint, and reading it back needs neither network nor transformers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data_modules.errors import DataError, ModelError
from data_modules.pretrained import find_checkpoint
from data_modules.vocabulary import SPECIAL_TOKENS, train_word_pieces

# One of these holds the vocabulary. A folder with a config.json alone would load as a tokenizer
# that knows its special tokens and nothing else, without a word of warning.
_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model", "*.codes")
_FILES = (*_VOCABULARIES, "merges.txt", "config.json", "*token*.json")
_FORMAT = 1
# What transformers writes for "no limit" is about 1e30.
_NO_LIMIT = 1_000_000


@dataclass(frozen=True)
class WordPieces:
    """The pieces of a transcript, special tokens included.

    Attributes:
        input_ids: L ids.
        word_index: For each piece the number of its word; None for special tokens. Never falls,
            and every word has at least one piece.
    """

    input_ids: list[int]
    word_index: list[int | None]


class Tokenizer:
    """A fast tokenizer of the BERT family.

    Args:
        backend: A ``tokenizers.Tokenizer``; it is changed (no cutting, no padding).
        special_ids: Ids of pad, unk, cls, sep and mask, as far as there are such.
        max_length: Longest input of the model that it belongs to, in pieces; None if unlimited.
    """

    def __init__(
        self, backend: Any, special_ids: Mapping[str, int], max_length: int | None = None
    ) -> None:
        # a hub's tokenizer.json may carry both, and would cut transcripts in silence
        backend.no_truncation()
        backend.no_padding()
        # a transcript that says "[SEP]" or "</s>" means letters
        backend.encode_special_tokens = True
        self._backend = backend
        self._special_ids = dict(special_ids)
        self.max_length = max_length
        # byte-level and sentence-piece vocabularies spell the space before a word as part of it
        self._prefix = " " if _spells_spaces(json.loads(backend.to_str())["pre_tokenizer"]) else ""
        # special tokens in front of the words, where an empty transcript does not show them
        self._num_before = [*self._encode(["a"]).word_ids, 0].index(0)

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int, lowercase: bool = True) -> Tokenizer:
        """A WordPiece vocabulary from texts, the same bytes for the same texts.

        Args:
            texts: Of the training part only.
            vocab_size: Most entries, special tokens included.
            lowercase: Whether case is ignored.

        Raises:
            DataError: There is no text.
            ConfigError: Special tokens and characters alone are more than ``vocab_size``.
        """
        backend = train_word_pieces(texts, vocab_size, lowercase=lowercase)
        ids = {name: int(backend.token_to_id(token)) for name, token in SPECIAL_TOKENS.items()}
        return cls(backend, ids)

    @classmethod
    def load(cls, name_or_folder: str, revision: str | None = None) -> Tokenizer:
        """The tokenizer of a checkpoint.

        Args:
            name_or_folder: A hub id, or a folder with a tokenizer.
            revision: Branch, tag or commit of a hub id.

        Raises:
            ModelError: It cannot be found, reached or read; it is not fast; it has no padding.
        """
        where = f"model.text.name={name_or_folder}"
        folder = find_checkpoint(name_or_folder, revision, patterns=_FILES, where=where)
        if not any(path for pattern in _VOCABULARIES for path in folder.glob(pattern)):
            raise ModelError(
                where,
                expected="a folder of a checkpoint with a tokenizer.json or vocab.txt",
                got="none in it",
                fix="give the folder that the model's tokenizer was saved to",
            )
        from transformers import AutoTokenizer

        try:
            loaded: Any = AutoTokenizer.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False
            )
        except Exception as error:
            # damaged files end in errors of many types, from the parser to the type checks
            raise ModelError(
                where,
                expected="a tokenizer that transformers can read",
                got=f"{type(error).__name__}: {error}".splitlines()[0],
                fix="download the checkpoint again, or choose another",
            ) from error
        if not getattr(loaded, "is_fast", False):
            raise ModelError(
                where,
                expected="a fast tokenizer, which knows the word of each piece",
                got=type(loaded).__name__,
                fix="choose a text model of the BERT family with a tokenizer.json",
            )
        ids = {name: getattr(loaded, f"{name}_token_id") for name in SPECIAL_TOKENS}
        if ids["pad"] is None:
            raise ModelError(
                where,
                expected="a tokenizer with a padding token",
                got="none",
                fix="choose a text model of the BERT family",
            )
        limit = loaded.model_max_length
        return cls(
            loaded.backend_tokenizer,
            {name: int(number) for name, number in ids.items() if number is not None},
            int(limit) if limit < _NO_LIMIT else None,
        )

    def to_json(self) -> str:
        """Everything as one string, for a checkpoint."""
        return json.dumps(
            {
                "format": _FORMAT,
                "backend": json.loads(self._backend.to_str()),
                "special_ids": self._special_ids,
                "max_length": self.max_length,
            },
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, text: str) -> Tokenizer:
        """What :meth:`to_json` wrote.

        Raises:
            ModelError: It wrote something else.
        """
        from tokenizers import Tokenizer as Backend

        try:
            record = json.loads(text)
            if record["format"] != _FORMAT:
                raise ValueError(f"format {record['format']}")
            backend = Backend.from_str(json.dumps(record["backend"]))
            return cls(backend, record["special_ids"], record["max_length"])
        except Exception as error:
            # tokenizers raises bare Exception for JSON that it cannot use
            raise ModelError(
                "the tokenizer of the checkpoint",
                expected=f"tokenizer format {_FORMAT}",
                got=f"{type(error).__name__}: {error}".splitlines()[0],
                fix="use a checkpoint written by this version of sermm",
            ) from error

    def __reduce__(self) -> tuple[object, ...]:
        # what was set on the backend would be lost on the way to a worker
        return Tokenizer.from_json, (self.to_json(),)

    @property
    def vocab_size(self) -> int:
        """Rows that a table of embeddings needs."""
        return int(max(self._backend.get_vocab(with_added_tokens=True).values())) + 1

    @property
    def pad_id(self) -> int:
        """Id of padding."""
        return self._special_ids["pad"]

    @property
    def mask_id(self) -> int:
        """Id of the mask token.

        Raises:
            ModelError: The vocabulary has none.
        """
        if "mask" not in self._special_ids:
            raise ModelError(
                "model.text.name",
                expected="a vocabulary with a mask token",
                got="one without",
                fix="choose a masked language model, or set model.text.word_dropout=0",
            )
        return self._special_ids["mask"]

    @property
    def special_ids(self) -> dict[str, int]:
        """Ids of pad, unk, cls, sep and mask, as far as there are such."""
        return dict(self._special_ids)

    def tokens(self, input_ids: Sequence[int]) -> list[str]:
        """The pieces as the vocabulary spells them, for pictures."""
        return [self._backend.id_to_token(number) or "" for number in input_ids]

    def encode(
        self, words: Sequence[str], *, max_pieces: int | None = None, where: str = "transcript"
    ) -> WordPieces:
        """The pieces of a transcript. Nothing is ever cut.

        A word that leaves nothing behind (a control character, a lone accent) becomes the unknown
        token, so that every word has a piece.

        Args:
            words: As ``transcript_words`` splits a text; none gives the special tokens alone.
            max_pieces: Most pieces, special tokens included; any number if None.
            where: Utterance that the error names.

        Raises:
            DataError: There are more than ``max_pieces``, or a word leaves nothing behind and the
                vocabulary has no unknown token.
        """
        encoding = self._encode(words)
        pieces: list[list[int]] = [[] for _ in words]
        special: list[int] = []
        for number, word in zip(encoding.ids, encoding.word_ids, strict=True):
            (special if word is None else pieces[word]).append(number)
        for word, found in zip(words, pieces, strict=True):
            if not found:
                found.append(self._unknown(word, where))
        count = len(special) + sum(len(found) for found in pieces)
        if max_pieces is not None and count > max_pieces:
            raise DataError(
                where,
                expected=f"at most {max_pieces} word pieces (data.max_pieces)",
                got=f"{count} in {len(words)} words: {' '.join(words)[:40]}...",
                fix="raise data.max_pieces as far as the text model goes, or exclude the utterance",
            )
        before, after = special[: self._num_before], special[self._num_before :]
        numbers = [index for index, found in enumerate(pieces) for _ in found]
        return WordPieces(
            [*before, *(number for found in pieces for number in found), *after],
            [*(None for _ in before), *numbers, *(None for _ in after)],
        )

    def _encode(self, words: Sequence[str]) -> Any:
        return self._backend.encode([self._prefix + word for word in words], is_pretokenized=True)

    def _unknown(self, word: str, where: str) -> int:
        if "unk" not in self._special_ids:
            raise DataError(
                where,
                expected="words that the text model's vocabulary can spell",
                got=repr(word),
                fix="mend the transcript, or choose another model.text.name",
            )
        return self._special_ids["unk"]


def _spells_spaces(pre_tokenizer: Mapping[str, Any] | None) -> bool:
    """Whether a pre-tokenizer, or a part of it, makes the space before a word part of it."""
    if pre_tokenizer is None:
        return False
    return pre_tokenizer["type"] in ("ByteLevel", "Metaspace") or any(
        _spells_spaces(part) for part in pre_tokenizer.get("pretokenizers", ())
    )
