"""What holds of every release, and what the books of the readers are counted with."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

from data_modules.corpora import Corpus, Release
from data_modules.errors import SermmError
from data_modules.manifest import parse_utterance, record_of
from tests.fuzz.mutate import Mutation

Files = list[tuple[Path, tuple[Mutation, ...]]]


def expect_sound(corpus: Corpus, folder: Path, release: Release) -> None:
    """What holds for every release: it can be written, read back, printed and labelled."""
    ids = [utterance.id for utterance in release.utterances]
    assert len(set(ids)) == len(ids), "an id twice"
    assert ids == sorted(ids), "utterances out of order"
    for utterance in release.utterances:
        assert utterance.corpus == corpus.name
        line = json.dumps(record_of(utterance), ensure_ascii=False).encode()
        assert parse_utterance(line, "here") == utterance, utterance
    told = [
        *(part for one in release.exclusions for part in (one.id, one.reason, one.detail)),
        *(part for one in release.notes for part in (one.id, one.reason, one.detail)),
        *(part for reason, names in release.ignored.items() for part in (reason, *names)),
    ]
    json.dumps(told, ensure_ascii=False).encode()
    details = [one.detail for one in (*release.exclusions, *release.notes)]
    assert all(len(text) < 1_000 for text in details), max(details, key=len)
    assert all(note.count > 0 for note in release.notes)
    assert set(release.stated_s) <= set(ids)
    assert all(0 <= length < float("inf") for length in release.stated_s.values())
    for scheme in corpus.at(folder).schemes:
        for utterance in release.utterances:
            try:
                scheme.target_of(utterance)
                scheme.shares_of(utterance)
            except SermmError:
                pass


def decoded(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def count_of(release: Release, file: str) -> Counter[int]:
    """Lines of a file that exclusions, notes and ignored things name, by line."""
    lines: Counter[int] = Counter()
    ids = [one.id for one in (*release.exclusions, *release.notes)]
    ids += [name for names in release.ignored.values() for name in names]
    for name in ids:
        match = re.fullmatch(rf"{re.escape(file)}:([0-9]+)", name)
        if match:
            lines[int(match[1])] += 1
    return lines


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
