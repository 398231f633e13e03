"""RAVDESS, speech part: 24 actors say two sentences in eight emotions, North American English.

Source: https://zenodo.org/records/1188976 (Livingstone and Russo, PLoS ONE 13(5), 2018).
Licence: CC BY-NC-SA 4.0, non-commercial use only.
Size: 1,440 clips, 60 of each actor; 192 of each emotion, neutral 96; 48 kHz.
Labels: the emotion that the actor was asked for, from the file name
``modality-channel-emotion-intensity-statement-repetition-actor``. Odd actors are male.

Known defects and traps: a few clips have two channels; a common copy holds every clip a second
time in a nested folder (only one is read); songs and videos share the naming and are left out.
Both sentences occur with every emotion, so text alone must be at chance.
"""

from __future__ import annotations

import re
from pathlib import Path

from data_modules.corpora.release import (
    Corpus,
    Published,
    Release,
    list_files,
    not_found,
    one_format_each,
    relative,
)
from data_modules.labels import ClassScheme, same_names
from data_modules.manifest import Utterance

_ARCHIVE = "Audio_Speech_Actors_01-24"
_EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}
_SENTENCES = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}
_INTENSITIES = {"01": "normal", "02": "strong"}
_NAME = re.compile(
    r"(?P<modality>0[1-3])-(?P<channel>0[12])-(?P<emotion>0[1-8])-(?P<intensity>0[12])"
    r"-(?P<statement>0[12])-(?P<repetition>0[12])-(?P<actor>[0-9]{2})",
    re.ASCII,
)


def read(root: Path) -> Release:
    """Read the speech clips of a release.

    Args:
        root: The folder with ``Actor_01`` and so on, or the one above it.

    Raises:
        CorpusNotFoundError: There are no actors' folders.
    """
    release = Release()
    for folder in _find_actors(root):
        media = (".wav", ".flac", ".mp4")
        files = list_files(folder, media, root, release)
        for path in one_format_each(files, root, release):
            _read_clip(path, root, release)
    release.utterances.sort(key=lambda utterance: utterance.id)
    return release


def _find_actors(root: Path) -> list[Path]:
    for base in (root, root / _ARCHIVE):
        if base.is_dir():
            found = sorted(path for path in base.glob("Actor_[0-9][0-9]") if path.is_dir())
            if found:
                return found
    raise not_found("RAVDESS", root, f"Actor_01 .. Actor_24, or {_ARCHIVE} with these")


def _read_clip(path: Path, root: Path, release: Release) -> None:
    where = relative(path, root)
    match = _NAME.fullmatch(path.stem)
    if match is None:
        release.exclude(where, "file name that cannot be read", "expected 03-01-EE-II-SS-RR-AA")
    elif match["channel"] == "02":
        release.ignore(where, "songs")
    elif match["modality"] != "03" or path.suffix.lower() == ".mp4":
        release.ignore(where, "videos")
    elif path.parent.name != f"Actor_{match['actor']}":
        release.exclude(where, "actor of the name is not that of the folder", path.parent.name)
    else:
        release.utterances.append(
            Utterance(
                id=path.stem,
                corpus="ravdess",
                audio=where,
                speaker=match["actor"],
                gender="male" if int(match["actor"]) % 2 else "female",
                script=match["statement"],
                text=_SENTENCES[match["statement"]],
                labels={
                    "category": _EMOTIONS[match["emotion"]],
                    "intensity": _INTENSITIES[match["intensity"]],
                },
            )
        )


CORPUS = Corpus(
    name="ravdess",
    title="RAVDESS (speech)",
    read=read,
    version=1,
    schemes=(
        ClassScheme(
            name="ravdess8",
            names=tuple(_EMOTIONS.values()),
            source="category",
            mapping=same_names(*_EMOTIONS.values()),
        ),
    ),
    language="en",
    licence="CC BY-NC-SA 4.0, non-commercial",
    source="https://zenodo.org/records/1188976",
    protocol="ravdess-speaker5",
    published=Published(
        what="speech clips",
        total=1440,
        classes={emotion: 96 if emotion == "neutral" else 192 for emotion in _EMOTIONS.values()},
        speakers={f"{actor:02d}": 60 for actor in range(1, 25)},
    ),
)
