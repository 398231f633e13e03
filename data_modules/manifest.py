"""One utterance, one line of JSON: the typed record that readers write and everything else reads.

Word times count from the start of the utterance, not of its file. Labels are the corpus' own
values; a label scheme (``labels.py``) turns them into targets.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from data_modules.atomic import write_atomically
from data_modules.errors import ManifestError
from data_modules.plain_json import parse_json
from data_modules.shared_values import SharedValues


@dataclass(frozen=True, slots=True)
class Word:
    """A word with its times.

    Attributes:
        text: As its source spells it.
        start_s: Seconds from the start of the utterance.
        end_s: Seconds from the start of the utterance, not before ``start_s``.
        source: Who says so: ``corpus``, ``pocketsphinx``, ``ctc``, ``textgrid``, ``uniform``, or
            ``interpolated`` for a word that got its times from its neighbours.
    """

    text: str
    start_s: float
    end_s: float
    source: str


@dataclass(frozen=True, slots=True)
class Utterance:
    """What is known of one utterance.

    Attributes:
        id: Unique within the corpus.
        corpus: Name of the reader that wrote it.
        audio: Path relative to the corpus root; None for text corpora.
        start_s: Where the utterance starts in its file.
        end_s: Where it ends in its file.
        sample_rate: Rate of the file in Hz, before any resampling.
        speaker: Who speaks, unique over the corpus; None where the release does not say.
        session: Recording session, if the corpus has them.
        dialogue: Conversation that the utterance belongs to.
        part: Of the release's own division: ``train``, ``val``, ``test``, ``test1``, ... or the
            name of a published fold; None where there is no division.
        gender: ``female``, ``male`` or None.
        script: What repeats across speakers (a sentence code, a scripted scene); None if nothing.
        text: Transcript; None if the release has none, empty if the release says it is empty.
        words: Timed words, possibly from several sources, each in order of time.
        labels: The corpus' own values: category, ratings, votes. Never changed: utterances of a
            manifest that have the same labels share them.
    """

    id: str
    corpus: str
    audio: str | None = None
    start_s: float | None = None
    end_s: float | None = None
    sample_rate: int | None = None
    speaker: str | None = None
    session: str | None = None
    dialogue: str | None = None
    part: str | None = None
    gender: str | None = None
    script: str | None = None
    text: str | None = None
    words: tuple[Word, ...] = ()
    labels: Mapping[str, Any] = field(default_factory=dict)

    @property
    def duration_s(self) -> float:
        """Length in seconds; 0 for text without audio."""
        if self.start_s is None or self.end_s is None:
            return 0.0
        return self.end_s - self.start_s

    def words_from(self, source: str) -> tuple[Word, ...]:
        """The words that one aligner timed."""
        return tuple(word for word in self.words if word.source == source)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """An utterance (or file) of the release that is not in the manifest, and why.

    Attributes:
        id: Utterance id, or a path with a line where there is one.
        reason: The same for all that are left out for it; they are counted by it.
        detail: What exactly was found.
        utterance: As the reader gave it, where nothing but its audio keeps it out.
    """

    id: str
    reason: str
    detail: str = ""
    utterance: Utterance | None = None


_FIELD_TYPES: dict[str, tuple[type, ...]] = {
    "id": (str,),
    "corpus": (str,),
    "audio": (str, type(None)),
    "start_s": (float, int, type(None)),
    "end_s": (float, int, type(None)),
    "sample_rate": (int, type(None)),
    "speaker": (str, type(None)),
    "session": (str, type(None)),
    "dialogue": (str, type(None)),
    "part": (str, type(None)),
    "gender": (str, type(None)),
    "script": (str, type(None)),
    "text": (str, type(None)),
    "words": (list,),
    "labels": (dict,),
}
_NAMES = (
    *("corpus", "audio", "sample_rate", "speaker"),
    *("session", "dialogue", "part", "gender", "script"),
)
_WORD_FIELDS = {"text", "start_s", "end_s", "source"}
_NUMBERS = (float, int)
# infinity is no time, and whole numbers of JSON may be larger than a float can hold
_ENDLESS = 1e300


def _parse_word(value: Any, where: str, shared: SharedValues) -> Word:
    fix = "write the manifest again with `sermm prepare`"
    if type(value) is not dict or value.keys() != _WORD_FIELDS:
        raise ManifestError(
            where,
            expected="words as {text, start_s, end_s, source}",
            got=json.dumps(value)[:80],
            fix=fix,
        )
    text, start, end, source = value["text"], value["start_s"], value["end_s"], value["source"]
    if not (
        type(text) is str
        and type(source) is str
        and type(start) in _NUMBERS
        and type(end) in _NUMBERS
        and 0 <= start <= end < _ENDLESS
    ):
        raise ManifestError(
            where,
            expected="a word with 0 <= start_s <= end_s",
            got=json.dumps(value)[:80],
            fix=fix,
        )
    names, numbers = shared.names.setdefault, shared.numbers.setdefault
    start, end = float(start), float(end)
    return Word(names(text, text), numbers(start, start), numbers(end, end), names(source, source))


def parse_utterance(line: str | bytes, where: str, shared: SharedValues | None = None) -> Utterance:
    """Read one line of a manifest.

    Args:
        line: A JSON object, in UTF-8 if bytes.
        where: ``file:line`` for the error.
        shared: Values of earlier lines of the same manifest.

    Raises:
        ManifestError: The line is no JSON object, has an unknown or ill-typed field, or lacks
            ``id`` or ``corpus``.
    """
    fix = "write the manifest again with `sermm prepare`"
    try:
        record = parse_json(line)
    except ValueError as error:
        raise ManifestError(where, expected="a JSON object", got=str(error), fix=fix) from None
    return utterance_from(record, where, shared or SharedValues())


def utterance_from(record: Any, where: str, shared: SharedValues) -> Utterance:
    """An utterance from what JSON holds of it; the record is used up.

    Raises:
        ManifestError: As :func:`parse_utterance`.
    """
    fix = "write the manifest again with `sermm prepare`"
    if not isinstance(record, dict):
        raise ManifestError(where, expected="a JSON object", got=repr(record)[:60], fix=fix)
    for name, value in record.items():
        types = _FIELD_TYPES.get(name)
        if types is None:
            raise ManifestError(
                where, expected=f"fields {', '.join(_FIELD_TYPES)}", got=f"field {name!r}", fix=fix
            )
        # not isinstance, to which a bool is an int
        if type(value) not in types:
            wanted = " or ".join("null" if t is type(None) else t.__name__ for t in types)
            raise ManifestError(where, expected=f"{name} as {wanted}", got=repr(value), fix=fix)
    if not record.get("id") or not record.get("corpus"):
        raise ManifestError(where, expected="an id and a corpus", got="none", fix=fix)
    words = tuple([_parse_word(word, where, shared) for word in record.pop("words", ())])
    start, end = record.get("start_s"), record.get("end_s")
    if (start is None) != (end is None) or not 0 <= (start or 0) <= (end or 0) < _ENDLESS:
        raise ManifestError(
            where, expected="0 <= start_s <= end_s", got=f"{start} and {end}", fix=fix
        )
    shared.tidy()
    for name in _NAMES:
        value = record.get(name)
        if value is not None:
            record[name] = shared.names.setdefault(value, value)
    text = record.get("text")
    if text is not None:
        record["text"] = shared.texts.setdefault(text, text)
    record["labels"] = shared.labels(record.get("labels", {}))
    return Utterance(words=words, **record)


def read_manifest(path: Path) -> Iterator[Utterance]:
    """Read a manifest line by line.

    Raises:
        ManifestError: The file is missing, a line is bad, or an id occurs twice.
    """
    if not path.is_file():
        raise ManifestError(
            path, expected="a manifest", got="no file", fix="make it with `sermm prepare CORPUS`"
        )
    seen: set[str] = set()
    shared = SharedValues()
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            utterance = parse_utterance(line, f"{path}:{number}", shared)
            if utterance.id in seen:
                raise ManifestError(
                    f"{path}:{number}",
                    expected="ids that occur once",
                    got=f"{utterance.id} again",
                    fix="write the manifest again with `sermm prepare`",
                )
            seen.add(utterance.id)
            yield utterance


def record_of(utterance: Utterance) -> dict[str, Any]:
    """An utterance as JSON holds it; ``dataclasses.asdict`` takes five times as long."""
    record = {name: getattr(utterance, name) for name in _FIELD_TYPES}
    record["words"] = [
        {"text": w.text, "start_s": w.start_s, "end_s": w.end_s, "source": w.source}
        for w in utterance.words
    ]
    record["labels"] = dict(utterance.labels)
    return record


def write_manifest(path: Path, utterances: Iterable[Utterance]) -> None:
    """Write a manifest whole or not at all."""

    def write(stream: IO[str]) -> None:
        encode = json.JSONEncoder(ensure_ascii=False).encode
        for utterance in utterances:
            stream.write(encode(record_of(utterance)) + "\n")

    write_atomically(path, write)
