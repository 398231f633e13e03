"""CREMA-D: 91 actors say twelve sentences in six emotions, judged by a crowd, English.

Source: https://github.com/CheyneyComputerScience/CREMA-D (H. Cao et al., IEEE Transactions on
Affective Computing 5(4), 2014).
Licence: ODbL 1.0 (database) and DbCL 1.0 (contents).
Size: 7,442 clips of 91 actors (48 men, 43 women), 16 kHz mono; 1,271 of each emotion, 1,087 of the
neutral state.
Labels: the emotion that the actor was asked for, in the name ``1001_DFA_ANG_XX.wav`` (actor,
sentence, emotion, level), and the votes of some ten raters (``cremad_votes.py``).

Known defects: the audio is in Git LFS, so a zip or a plain clone has pointers; ``_DEFECTS`` below;
older copies spell one name ``1040_ITH_SAD_X``. Every sentence is said in every emotion.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_modules.corpora.cremad_votes import NO_TABLE, read_votes, winner
from data_modules.corpora.release import (
    Corpus,
    Published,
    Release,
    list_files,
    not_found,
    one_format_each,
    relative,
)
from data_modules.corpora.rows import read_csv
from data_modules.labels import ClassScheme
from data_modules.manifest import Utterance

_SENTENCES = {
    "DFA": "Don't forget a jacket.",
    "IEO": "It's eleven o'clock.",
    "IOM": "I'm on my way to the meeting.",
    "ITH": "I think I have a doctor's appointment.",
    "ITS": "I think I've seen this before.",
    "IWL": "I would like a new alarm clock.",
    "IWW": "I wonder what this is about.",
    "MTI": "Maybe tomorrow it will be cold.",
    "TAI": "The airplane is almost full.",
    "TIE": "That is exactly what happened.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}
_EMOTIONS = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happiness",
    "NEU": "neutral",
    "SAD": "sadness",
}
_LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified"}
_NAME = re.compile(
    rf"(?P<actor>1[0-9]{{3}})_(?P<sentence>{'|'.join(_SENTENCES)})"
    rf"_(?P<emotion>{'|'.join(_EMOTIONS)})_(?P<level>{'|'.join(_LEVELS)})",
    re.ASCII,
)
_AGE = re.compile(r"[0-9]{1,3}")
_RENAMED = {"1040_ITH_SAD_X": "1040_ITH_SAD_XX"}

# https://github.com/CheyneyComputerScience/CREMA-D/issues/8
_DEFECTS = {
    "1076_MTI_SAD_XX": "reported to be silent",
    "1076_MTI_NEU_XX": "reported to be silent or cut",
    "1064_TIE_SAD_XX": "reported to be far too long",
    "1064_IEO_DIS_MD": "reported to be far too long",
}


def read(root: Path) -> Release:
    """Read a release.

    Args:
        root: The clone or unpacked archive, with ``AudioWAV/`` and the tables, or the folder above
            ``CREMA-D``; or a folder with clips alone.

    Raises:
        CorpusNotFoundError: There are neither clips nor ``SentenceFilenames.csv``.
        ManifestError: A table lacks a column.
    """
    base = root / "CREMA-D" if (root / "CREMA-D").is_dir() else root
    release = Release()
    clips = _clips(base, root, release)
    listed = _listed(base, root, release)
    if not clips and not listed:
        raise not_found(
            "CREMA-D", root, "AudioWAV/ with clips such as 1001_DFA_ANG_XX.wav, and the tables"
        )
    votes = read_votes(base, root, release)
    actors = _actors(base, root, release)
    for name in sorted(votes.keys() - clips.keys() - listed):
        release.note(name, "votes for a clip that is not there")
    for name in sorted(clips.keys() | listed):
        match = _NAME.fullmatch(name)
        if match is None:
            where = relative(clips[name], root) if name in clips else "SentenceFilenames.csv"
            release.exclude(
                name, "file name that cannot be read", f"{where}: expected 1001_DFA_ANG_XX"
            )
            continue
        if listed and name not in listed:
            release.note(name, "clip that SentenceFilenames.csv does not list")
        if name in _DEFECTS:
            release.note(name, "known defect", _DEFECTS[name])
        actor = dict(actors.get(match["actor"], {}))
        if actors and not actor:
            release.note(name, "actor that VideoDemographics.csv does not list", match["actor"])
        counted = votes.get(name, {})
        if votes and "votes" not in counted:
            release.note(name, "no votes of the voice alone")
        release.utterances.append(
            Utterance(
                id=name,
                corpus="cremad",
                # a clip that is missing is named where the release would have it
                audio=relative(clips.get(name, base / "AudioWAV" / f"{name}.wav"), root),
                speaker=match["actor"],
                gender=actor.pop("gender", None),
                script=match["sentence"],
                text=_SENTENCES[match["sentence"]],
                labels={
                    "category": match["emotion"],
                    "level": _LEVELS[match["level"]],
                    "voice": winner(counted.get("votes", {})),
                    **counted,
                    **actor,
                },
            )
        )
    return release


def _clips(base: Path, root: Path, release: Release) -> dict[str, Path]:
    """Clips by name."""
    folder = base / "AudioWAV"
    if not folder.is_dir() and any(_NAME.fullmatch(path.stem) for path in base.glob("*.wav")):
        folder = base
    files = one_format_each(list_files(folder, (".wav", ".flac"), root, release), root, release)
    clips = {path.stem: path for path in files}
    for old, new in _RENAMED.items():
        if old in clips and new not in clips:
            clips[new] = clips.pop(old)
            release.note(new, "known defect", f"the file is called {old}")
    return clips


def _listed(base: Path, root: Path, release: Release) -> set[str]:
    """Names that ``SentenceFilenames.csv`` lists."""
    path = base / "SentenceFilenames.csv"
    if not path.is_file():
        release.note(relative(path, root), NO_TABLE)
        return set()
    names: set[str] = set()
    for row in read_csv(path, ("Filename",), root, release):
        name = row["Filename"].strip()
        if name in names:
            release.note(row.where, "listed twice", name)
        names.add(name)
    return names


def _actors(base: Path, root: Path, release: Release) -> dict[str, dict[str, Any]]:
    """Gender, and what goes into the labels: age, race and ethnicity as the table has them."""
    path = base / "VideoDemographics.csv"
    if not path.is_file():
        release.note(relative(path, root), NO_TABLE)
        return {}
    columns = ("ActorID", "Age", "Sex", "Race", "Ethnicity")
    actors: dict[str, dict[str, Any]] = {}
    for row in read_csv(path, columns, root, release):
        actor, age, sex, race, ethnicity = (row[name].strip() for name in columns)
        gender = sex.lower() if sex.lower() in ("female", "male") else None
        is_age = _AGE.fullmatch(age) is not None
        if gender is None or not is_age:
            release.note(row.where, "actor's data that cannot be read", f"{actor}: {age}, {sex}")
        if actor in actors:
            release.note(row.where, "actor listed twice, the first row counts", actor)
            continue
        actors[actor] = {"gender": gender, "race": race, "ethnicity": ethnicity}
        if is_age:
            actors[actor]["age"] = int(age)
    return actors


def _scheme(name: str, source: str, left_out: Mapping[str, str], note: str) -> ClassScheme:
    return ClassScheme(
        name=name,
        names=tuple(_EMOTIONS.values()),
        source=source,
        mapping=_EMOTIONS,
        left_out=left_out,
        votes="votes",
        note=note,
    )


_NO_WINNER = {"tie": "as many votes for several emotions", "none": "no votes of the voice alone"}

CORPUS = Corpus(
    name="cremad",
    title="CREMA-D",
    read=read,
    version=1,
    schemes=(
        _scheme("cremad6", "category", {}, "the emotion that the actor was asked for"),
        _scheme(
            "cremad6_voice", "voice", _NO_WINNER, "the emotion that most raters heard in the voice"
        ),
    ),
    language="en",
    licence="ODbL 1.0",
    source="https://github.com/CheyneyComputerScience/CREMA-D",
    published=Published(
        what="clips",
        total=7442,
        classes={name: 1087 if name == "neutral" else 1271 for name in _EMOTIONS.values()},
        speakers={str(actor): 82 for actor in range(1001, 1092)}
        | {"1002": 81, "1008": 76, "1009": 76, "1019": 76, "1076": 81},
    ),
)
