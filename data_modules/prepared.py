"""A prepared corpus in memory and on disk: its manifest and the four files beside it."""

from __future__ import annotations

import gc
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import IO, Any

from data_modules.atomic import write_atomically, write_json
from data_modules.corpora import Corpus, Note
from data_modules.corpora.release import count_notes
from data_modules.errors import ManifestError, first_ids
from data_modules.manifest import (
    Exclusion,
    Utterance,
    read_manifest,
    record_of,
    utterance_from,
    write_manifest,
)
from data_modules.media import MediaFacts, read_media, scan_media, write_media
from data_modules.media_facts import MediaTable, as_table
from data_modules.plain_json import parse_json
from data_modules.shared_values import SharedValues


@dataclass(frozen=True)
class Prepared:
    """A corpus as later stages see it.

    Attributes:
        corpus: What it is.
        root: Absolute folder that audio paths are relative to.
        cache: Folder that holds ``manifests/``.
        utterances: The manifest.
        exclusions: What is not in the manifest, and why.
        ignored: Files and turns that are no utterances, by reason.
        notes: What utterances in the manifest lack.
        media: Facts of each clip, by utterance id; any mapping becomes a table.
        data_sha256: Of labels, text, word times of the corpus and audio, wherever the files lie.
        num_stated: Clips whose length the release states.
    """

    corpus: Corpus
    root: Path
    cache: Path
    utterances: list[Utterance]
    exclusions: list[Exclusion]
    ignored: dict[str, list[str]]
    notes: list[Note]
    media: MediaTable
    data_sha256: str
    num_stated: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "media", as_table(self.media))

    def audio_path(self, utterance: Utterance) -> Path:
        """Where the clip of an utterance lies."""
        if utterance.audio is None:
            raise ValueError(f"{utterance.id} has no audio")
        return self.root / utterance.audio

    def media_facts(self, utterance: Utterance) -> MediaFacts:
        """Facts of a clip as it is now: decoded again if its file changed since `sermm prepare`.

        Raises:
            MediaError: The clip cannot be used any more.
        """
        known = self.media[utterance.id]
        if not known.is_current(self.root, known.path, known.start_s, known.end_s):
            known = scan_media(utterance.id, self.root, known.path, known.start_s, known.end_s)
            self.media[utterance.id] = known
        return known


def manifest_path(corpus: str, cache: Path) -> Path:
    """Where the manifest of a corpus is kept; its companions have the same stem."""
    return cache / "manifests" / f"{corpus}.jsonl"


def load_prepared(corpus: Corpus, cache: Path) -> Prepared:
    """Read back what ``sermm prepare`` wrote.

    Raises:
        ManifestError: The corpus was not prepared, or by another version, or its files do not fit
            together.
    """
    path = manifest_path(corpus.name, cache)
    for suffix in (".prepare.json", ".media.jsonl", ".exclusions.jsonl"):
        if not path.with_suffix(suffix).is_file():
            raise ManifestError(
                path.with_suffix(suffix),
                expected=f"{corpus.name} to be prepared",
                got="no file",
                fix=again(corpus),
            )
    about = _read_about(corpus, path.with_suffix(".prepare.json"))
    with _no_collection():
        utterances = list(read_manifest(path))
        media = read_media(path.with_suffix(".media.jsonl"), utterances)
    strays = [u.id for u in utterances if u.audio is not None and u.id not in media]
    if strays:
        raise ManifestError(
            path,
            expected="utterances that were prepared together",
            got=f"no media facts for {first_ids(strays)}",
            fix=again(corpus),
        )
    root = Path(about["root"])
    return Prepared(
        corpus=corpus.at(root),
        root=root,
        cache=cache,
        utterances=utterances,
        exclusions=_read_exclusions(path.with_suffix(".exclusions.jsonl")),
        ignored=about["ignored"],
        notes=[Note(**note) for note in about["notes"]],
        media=media,
        data_sha256=about["data_sha256"],
        # manifests from before there was this count do without the check
        num_stated=about["counts"].get("stated_lengths", 0),
    )


def write_prepared(prepared: Prepared) -> None:
    """Write the five files, each whole or not at all; ``prepare.json`` comes last."""
    path = manifest_path(prepared.corpus.name, prepared.cache)
    write_manifest(path, prepared.utterances)
    write_media(path.with_suffix(".media.jsonl"), prepared.media.values())
    _write_lines(path.with_suffix(".exclusions.jsonl"), map(_exclusion_record, prepared.exclusions))
    write_json(
        path.with_suffix(".prepare.json"),
        {
            "corpus": prepared.corpus.name,
            "reader_version": prepared.corpus.version,
            "root": str(prepared.root),
            "data_sha256": prepared.data_sha256,
            "counts": {
                "utterances": len(prepared.utterances),
                "excluded": Counter(exclusion.reason for exclusion in prepared.exclusions),
                "ignored": {reason: len(names) for reason, names in prepared.ignored.items()},
                "notes": count_notes(prepared.notes),
                "stated_lengths": prepared.num_stated,
            },
            "ignored": prepared.ignored,
            "notes": [asdict(note) for note in prepared.notes],
        },
    )


def hash_data(utterances: Iterable[Utterance], media: Mapping[str, MediaFacts]) -> str:
    """SHA-256 of what an experiment can depend on, and of nothing that a copy changes.

    Paths and dates stay out, and so do word times that an aligner can make again.
    """
    digest = hashlib.sha256()
    names = [field.name for field in fields(Utterance) if field.name != "audio"]
    for utterance in utterances:
        # not asdict, whose deep copies take most of a second call's time
        record = {name: getattr(utterance, name) for name in names}
        record["words"] = [
            (word.text, word.start_s, word.end_s) for word in utterance.words_from("corpus")
        ]
        facts = media.get(utterance.id)
        record["content_sha256"] = facts and facts.content_sha256
        digest.update(json.dumps(record, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


@contextmanager
def _no_collection() -> Iterator[None]:
    """Millions of objects are made, none in a cycle: looking for cycles doubles the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def again(corpus: Corpus) -> str:
    """The way out of most troubles with a manifest."""
    return f"run `sermm prepare {corpus.name} --root DIR`"


def _read_about(corpus: Corpus, path: Path) -> dict[str, Any]:
    try:
        about = parse_json(path.read_bytes())
    except ValueError as error:
        raise ManifestError(
            path, expected="a JSON object", got=str(error), fix=again(corpus)
        ) from None
    needed = {"corpus", "reader_version", "root", "data_sha256", "ignored", "notes"}
    if not isinstance(about, dict) or not needed <= set(about):
        raise ManifestError(
            path, expected=f"keys {', '.join(sorted(needed))}", got="others", fix=again(corpus)
        )
    if (about["corpus"], about["reader_version"]) != (corpus.name, corpus.version):
        raise ManifestError(
            path,
            expected=f"{corpus.name} by version {corpus.version} of its reader",
            got=f"{about['corpus']} by version {about['reader_version']}",
            fix=again(corpus),
        )
    good = (
        isinstance(about["root"], str)
        and isinstance(about["data_sha256"], str)
        and isinstance(about["ignored"], dict)
        and all(_are_texts(names) for names in about["ignored"].values())
        and isinstance(about["notes"], list)
        and all(map(_is_note, about["notes"]))
        and isinstance(counts := about.setdefault("counts", {}), dict)
        and type(counts.get("stated_lengths", 0)) is int
    )
    if not good:
        raise ManifestError(
            path,
            expected="folder, hash, ignored files and notes as `sermm prepare` writes them",
            got="a value of another type",
            fix=again(corpus),
        )
    return about


def _are_texts(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _is_note(value: object) -> bool:
    return (
        isinstance(value, dict)
        and {"id", "reason"} <= value.keys() <= {"id", "reason", "detail", "count"}
        and _are_texts([value["id"], value["reason"], value.get("detail", "")])
        and type(count := value.get("count", 1)) is int
        and count > 0
    )


def _exclusion(record: Any) -> Exclusion:
    exclusion = Exclusion(**record)
    if not _are_texts([exclusion.id, exclusion.reason, exclusion.detail]):
        raise TypeError("an id, reason or detail that is no text")
    return exclusion


def _exclusion_record(exclusion: Exclusion) -> dict[str, Any]:
    record = {name: getattr(exclusion, name) for name in ("id", "reason", "detail")}
    utterance = exclusion.utterance
    return {**record, "utterance": None if utterance is None else record_of(utterance)}


def _read_exclusions(path: Path) -> list[Exclusion]:
    exclusions, shared = [], SharedValues()
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            where = f"{path}:{number}"
            try:
                exclusion = _exclusion(parse_json(line))
            except (ValueError, TypeError):
                raise ManifestError(
                    where,
                    expected="{id, reason, detail, utterance}",
                    got=line.decode(errors="replace").strip()[:60],
                    fix="write it again with `sermm prepare`",
                ) from None
            if exclusion.utterance is not None:
                whole = utterance_from(exclusion.utterance, where, shared)
                exclusion = replace(exclusion, utterance=whole)
            exclusions.append(exclusion)
    return exclusions


def _write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    def write(stream: IO[str]) -> None:
        for record in records:
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")

    write_atomically(path, write)
