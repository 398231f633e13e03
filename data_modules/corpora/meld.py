"""MELD: dialogues of the television series Friends with emotion and sentiment, English.

Source: https://github.com/declare-lab/MELD (S. Poria et al., ACL 2019).
Licence: GPL-3.0 as its repository states; the clips are television material.
Size: 13,708 utterances in 1,432 dialogues: 9,989 to train, 1,109 to validate, 2,610 to test.
Labels: columns ``Emotion`` and ``Sentiment`` of ``{train,dev,test}_sent_emo.csv``, by agreement of
three annotators.

Clips are ``dia{dialogue}_utt{utterance}.mp4``, or sound taken out of them (WAV, FLAC, ...; where
both are there, the sound file is used), in a folder whose name, or that of one around it, says
``train``, ``dev`` or ``test``: ``train_splits``, ``dev_splits_complete``,
``output_repeated_splits_test``. Without a single clip the corpus is text alone.

Known defects: ``data/meld_clips.csv`` lists clips by name, with reasons. Those that cannot be used
are left out wherever there is sound, the others are noted. Clips without a row (left-overs of the
cutting, ``final_videos_test*``) are listed. A few clips last a fifteenth of a second. Dialogue
numbers begin again in each part, and the main speakers stand in all of them.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path

from data_modules.corpora.release import (
    OTHER_SYSTEM,
    Corpus,
    Published,
    Release,
    not_found,
    relative,
)
from data_modules.corpora.rows import BAD_ROW, Row, read_csv
from data_modules.labels import ClassScheme, same_names
from data_modules.manifest import Utterance

_EMOTIONS = same_names("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear")
_SENTIMENTS = same_names("neutral", "positive", "negative")
_PARTS = {"train": "train", "dev": "val", "test": "test"}
_COLUMNS = (
    "Utterance",
    "Speaker",
    "Emotion",
    "Sentiment",
    "Dialogue_ID",
    "Utterance_ID",
    "Season",
    "Episode",
    "StartTime",
    "EndTime",
)
_TABLE = re.compile(r"(train|dev|test)_sent_emo\.csv")
_PART_FOLDER = re.compile(r"(?:^|[^a-z])(train|dev|test)(?:[^a-z]|$)")
_CLIP = re.compile(r"dia[0-9]+_utt[0-9]+", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,6}", re.ASCII)
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2}(?:[.,][0-9]+)?)", re.ASCII)
# files that hold the sound alone come before those that hold pictures too
_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".m4a", ".mp4", ".mkv", ".avi", ".webm", ".mov")
_DEPTH = 4


@dataclass(slots=True)
class _Tree:
    """What lies under the root: tables and clips by part."""

    tables: dict[str, list[Path]] = field(default_factory=lambda: {part: [] for part in _PARTS})
    clips: dict[str, dict[str, Path]] = field(default_factory=lambda: {p: {} for p in _PARTS})


def read(root: Path) -> Release:
    """Read a release.

    Args:
        root: A folder with the tables, and with clips or without, at any place up to four folders
            below. A part whose table is not there is noted.

    Raises:
        CorpusNotFoundError: There is no table.
        ManifestError: A table is not one of MELD's.
    """
    release = Release()
    tree = _look(root, release)
    if not any(tree.tables.values()):
        raise not_found("MELD", root, "train_sent_emo.csv, dev_sent_emo.csv or test_sent_emo.csv")
    with_sound = any(tree.clips.values())
    if not with_sound:
        release.note(".", "no clips: text alone")
    known = _known_clips()
    for part, tables in tree.tables.items():
        if not tables:
            release.note(f"{part}_sent_emo.csv", "no table of this part")
            for path in tree.clips[part].values():
                release.ignore(relative(path, root), "clips of a part without a table")
            continue
        for second in tables[1:]:
            release.ignore(relative(second, root), "second copies of a table")
        labelled = _read_part(part, tables[0], root, tree, known, release, with_sound)
        for clip in sorted(tree.clips[part].keys() - labelled):
            where = relative(tree.clips[part][clip], root)
            release.exclude(f"{part}_{clip}", "clip without a row in the table", where)
    release.utterances.sort(key=lambda utterance: utterance.id)
    return release


def _look(root: Path, release: Release) -> _Tree:
    """Walk the folder once, and put each file where it belongs."""
    tree = _Tree()
    for path in _files(root):
        table = _TABLE.fullmatch(path.name)
        if path.name.startswith("."):
            release.ignore(relative(path, root), OTHER_SYSTEM)
        elif table is not None:
            tree.tables[table[1]].append(path)
        elif path.suffix.lower() in _SUFFIXES:
            _sort_in(path, root, tree, release)
    return tree


def _files(root: Path) -> Iterator[Path]:
    """All files in order of their paths, shallow ones first, to a depth of four folders."""
    for folder, inner, names in os.walk(root):
        depth = len(Path(folder).relative_to(root).parts)
        inner[:] = sorted(inner) if depth < _DEPTH else []
        yield from (Path(folder, name) for name in sorted(names))


def _sort_in(path: Path, root: Path, tree: _Tree, release: Release) -> None:
    part = _part_of(path.parent.relative_to(root))
    if path.name.startswith("final_videos_test"):
        release.ignore(relative(path, root), "uncut material (final_videos_test*)")
    elif part is None:
        release.ignore(relative(path, root), "clips in a folder of no part")
    elif _CLIP.fullmatch(path.stem) is None:
        release.exclude(relative(path, root), "file name that cannot be read", "expected dia0_utt0")
    else:
        clips = tree.clips[part]
        first, second = sorted(
            (clips.get(path.stem, path), path),
            key=lambda path: _SUFFIXES.index(path.suffix.lower()),
        )
        if first != second:
            release.ignore(relative(second, root), "clips that are there twice")
        clips[path.stem] = first


def _part_of(folder: Path) -> str | None:
    """``output_repeated_splits_test/audio`` is of the test part: the innermost name that says."""
    for name in reversed(folder.parts):
        match = _PART_FOLDER.search(name.lower())
        if match is not None:
            return match[1]
    return None


@dataclass(frozen=True, slots=True)
class _Known:
    """A clip of ``data/meld_clips.csv``."""

    use: bool
    reason: str
    source: str


def _known_clips() -> Mapping[tuple[str, str], _Known]:
    text = files("data_modules.corpora").joinpath("data/meld_clips.csv").read_text("utf-8")
    return {
        (row["part"], row["clip"]): _Known(row["use"] == "yes", row["reason"], row["source"])
        for row in csv.DictReader(text.splitlines())
    }


def _read_part(
    part: str,
    table: Path,
    root: Path,
    tree: _Tree,
    known: Mapping[tuple[str, str], _Known],
    release: Release,
    with_sound: bool,
) -> set[str]:
    """Read a table; returns the names of all its clips."""
    named: set[str] = set()
    clips = tree.clips[part]
    beside = next((clip.parent for clip in clips.values()), root / f"{part}_splits")
    for row in read_csv(table, _COLUMNS, root, release):
        utterance = _utterance(part, row, release)
        if utterance is None:
            continue
        clip = utterance.id.partition("_")[2]
        if clip in named:
            release.exclude(row.where, "listed twice", utterance.id)
            continue
        named.add(clip)
        if not with_sound:
            release.utterances.append(utterance)
            continue
        doubt = known.get((part, clip))
        if doubt is not None and not doubt.use:
            release.exclude(utterance.id, "known bad clip", f"{doubt.reason} ({doubt.source})")
            continue
        if doubt is not None:
            release.note(utterance.id, "known odd clip", f"{doubt.reason} ({doubt.source})")
        _state_length(utterance.id, row, release)
        # a clip that is missing is named where the release would have it
        audio = relative(clips.get(clip, beside / f"{clip}.mp4"), root)
        release.utterances.append(replace(utterance, audio=audio))
    return named


def _utterance(part: str, row: Row, release: Release) -> Utterance | None:
    """A row without its clip; None if it cannot be told which one it is."""
    value = {name: row[name].strip() for name in _COLUMNS}
    numbers = {name: value[name] for name in ("Dialogue_ID", "Utterance_ID", "Season", "Episode")}
    bad = [name for name, text in numbers.items() if _NUMBER.fullmatch(text) is None]
    if bad or not value["Speaker"]:
        what = f"expected a number in {bad[0]}, got {value[bad[0]]!r}" if bad else "no speaker"
        release.exclude(row.where, BAD_ROW, what)
        return None
    dialogue = f"{part}_dia{int(value['Dialogue_ID'])}"
    name = f"{dialogue}_utt{int(value['Utterance_ID'])}"
    if not value["Utterance"]:
        release.note(name, "empty transcript", row.where)
    return Utterance(
        id=name,
        corpus="meld",
        speaker=value["Speaker"],
        dialogue=dialogue,
        part=_PARTS[part],
        text=value["Utterance"],
        labels={
            "category": value["Emotion"],
            "sentiment": value["Sentiment"],
            "season": int(value["Season"]),
            "episode": int(value["Episode"]),
        },
    )


def _state_length(name: str, row: Row, release: Release) -> None:
    """Length by the subtitles that the clip was cut by."""
    start, end = (_seconds(row[column]) for column in ("StartTime", "EndTime"))
    if start is None or end is None or start >= end:
        got = f"{row.where}: {row['StartTime']!r} to {row['EndTime']!r}"
        release.note(name, "times in the episode that cannot be read", got)
    else:
        release.stated_s[name] = end - start


def _seconds(text: str) -> float | None:
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return None
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3].replace(",", "."))


CORPUS = Corpus(
    name="meld",
    title="MELD",
    read=read,
    version=1,
    schemes=(
        ClassScheme(name="meld7", names=tuple(_EMOTIONS), source="category", mapping=_EMOTIONS),
        ClassScheme(
            name="meld3", names=tuple(_SENTIMENTS), source="sentiment", mapping=_SENTIMENTS
        ),
    ),
    language="en",
    licence="GPL-3.0 (text and labels)",
    source="https://github.com/declare-lab/MELD",
    published=Published(
        what="utterances",
        total=13708,
        classes={
            "neutral": 6436,
            "joy": 2308,
            "surprise": 1636,
            "anger": 1607,
            "sadness": 1002,
            "disgust": 361,
            "fear": 358,
        },
        parts={"train": 9989, "val": 1109, "test": 2610},
    ),
)
