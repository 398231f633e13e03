"""Recognised texts of a corpus, stored beside its manifest: a second condition.

``CORPUS.recognised.json`` holds what one recogniser heard in each clip, under the hash of its
samples. Word times that belong to the reference text stay with the reference: who reads recognised
words may not know when the true ones were said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data_modules.atomic import write_json
from data_modules.errors import DataError, first_ids
from data_modules.manifest import Utterance, Word
from data_modules.plain_json import parse_json
from data_modules.prepared import Prepared, manifest_path
from data_modules.words import normalise_word, transcript_words

_FORMAT = 1


@dataclass(frozen=True)
class Heard:
    """What was heard in a clip.

    Attributes:
        content_sha256: Of its samples.
        text: The words.
        words: With times, where an aligner was asked.
    """

    content_sha256: str
    text: str
    words: tuple[Word, ...] = ()


def recognised_path(prepared: Prepared) -> Path:
    """Where recognised texts of a corpus are kept."""
    return manifest_path(prepared.corpus.name, prepared.cache).with_suffix(".recognised.json")


def write_recognised(
    prepared: Prepared, recogniser: Mapping[str, Any], heard: Mapping[str, Heard]
) -> None:
    """Store texts, whole or not at all."""
    texts = {
        name: {
            "content_sha256": one.content_sha256,
            "text": one.text,
            "words": [[w.text, w.start_s, w.end_s, w.source] for w in one.words],
        }
        for name, one in heard.items()
    }
    write_json(
        recognised_path(prepared),
        {"format": _FORMAT, "recogniser": dict(recogniser), "texts": texts},
    )


def read_recognised(prepared: Prepared) -> tuple[dict[str, Any], dict[str, Heard]]:
    """The record of the recogniser, and what it heard, by utterance id.

    Raises:
        DataError: There is nothing, or it is damaged.
    """
    path = recognised_path(prepared)
    fix = f"run `sermm transcribe {prepared.corpus.name} --model MODEL`"
    if not path.is_file():
        raise DataError(path, expected="recognised texts", got="no file", fix=fix)
    try:
        record = parse_json(path.read_bytes())
        if record["format"] != _FORMAT:
            raise ValueError(f"format {record['format']}")
        heard = {
            str(name): Heard(
                str(one["content_sha256"]),
                str(one["text"]),
                tuple(Word(str(t), float(s), float(e), str(by)) for t, s, e, by in one["words"]),
            )
            for name, one in record["texts"].items()
        }
        return dict(record["recogniser"]), heard
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            path,
            expected="texts as `sermm transcribe` writes them",
            got=f"{type(error).__name__}: {error}",
            fix=fix,
        ) from None


def with_recognised(prepared: Prepared) -> Prepared:
    """The corpus with recognised words in place of the reference.

    Raises:
        DataError: Clips have no recognised text, or one of other samples.
    """
    _, heard = read_recognised(prepared)
    spoken = [u for u in prepared.utterances if u.audio is not None]
    stale = [
        u.id
        for u in spoken
        if u.id not in heard or heard[u.id].content_sha256 != prepared.media[u.id].content_sha256
    ]
    if stale:
        raise DataError(
            recognised_path(prepared),
            expected="a recognised text of every clip as it is now",
            got=f"none for {len(stale)}: {first_ids(stale)}",
            fix=f"run `sermm transcribe {prepared.corpus.name}` again with the same model",
        )

    def replaced(utterance: Utterance) -> Utterance:
        if utterance.audio is None:
            return utterance
        one = heard[utterance.id]
        return replace(utterance, text=one.text, words=one.words)

    return replace(prepared, utterances=[replaced(u) for u in prepared.utterances])


def compared_words(text: str) -> str:
    """A text as its errors are counted: without case, punctuation, accents and marks."""
    forms = (normalise_word(word) for word in transcript_words(text))
    return " ".join(form for form in forms if form and not form.startswith("["))


def word_error_rate(pairs: Mapping[str, tuple[str, str]]) -> float:
    """Errors over reference words, of (reference, recognised) texts by utterance; torchmetrics'."""
    from torchmetrics.functional.text import word_error_rate as rate

    both = [(compared_words(true), compared_words(said)) for true, said in pairs.values()]
    known = [(true, said) for true, said in both if true]
    if not known:
        return float("nan")
    return float(rate([said for _, said in known], [true for true, _ in known]))
