"""MSP-Podcast: turns out of podcasts under open licences, judged by a crowd, English.

Source: https://lab-msp.com/MSP/MSP-Podcast.html (R. Lotfian and C. Busso, IEEE Transactions on
Affective Computing 10(4), 2019).
Licence: by signed agreement, academic research only.
Size: by release: 73,042 turns in an early one, 207,136 (324 hours) in 1.12, 264,705 labels in 2.0.
Labels: ``EmoClass`` (A angry, S sad, H happy, U surprise, F fear, D disgust, C contempt, N neutral,
O other, X no agreement), and ``EmoVal``, ``EmoAct``, ``EmoDom`` from 1 to 7, means over the raters;
the raters' own choices (``msp_files.py``) become ``votes``, by the same letters.

Releases differ. The labels are ``labels_consensus.csv`` (``labels_concensus.csv`` before 1.10) or
``.json`` in ``Labels``, ``labels`` or ``label``, columns by name; the clips in ``Audios`` or
``Audio``; transcripts, if any, as ``NAME.txt`` in ``Transcripts`` or ``Transcripts.zip``.
``Split_Set`` is Train, Validation or Development, Test1, Test2, Test3: the parts ``train``, ``val``
and ``test1`` to ``test3``. The usual protocol is ``msp_podcast-test1``. The release says that these
parts do not share speakers, and that no podcast of Test2 is in another; the first is checked
whenever folds are made, for the speakers that are known (``SpkrID`` is ``Unknown`` for the others).
Speakers of one podcast may be in several parts, so a podcast is no ``dialogue``.

Known defects: in 1.8 ``MSP-PODCAST_1023_0235`` is stereo at 44.1 kHz; in 2.0 the clip
``MSP-PODCAST_1909_1017`` is missing; labels of Test3 are withheld.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_modules.corpora.msp_files import read_json, read_transcripts, read_votes, writable
from data_modules.corpora.release import (
    Corpus,
    Release,
    list_files,
    not_found,
    one_format_each,
    relative,
)
from data_modules.corpora.rows import Row, read_csv
from data_modules.labels import ClassScheme, RatingScheme
from data_modules.manifest import Utterance

_LABEL_FOLDERS = ("Labels", "labels", "Label", "label", "")
_AUDIO_FOLDERS = ("Audios", "Audio", "audios", "audio")
_CONSENSUS = ("labels_consensus", "labels_concensus")
_COLUMNS = ("FileName", "EmoClass", "EmoAct", "EmoVal", "EmoDom", "SpkrID", "Gender", "Split_Set")
_RATINGS = {"valence": "EmoVal", "activation": "EmoAct", "dominance": "EmoDom"}
_PARTS = {
    "train": "train",
    "validation": "val",
    "development": "val",
    **{f"test{number}": f"test{number}" for number in (1, 2, 3)},
}
_EMOTIONS = {
    "A": "anger",
    "S": "sadness",
    "H": "happiness",
    "U": "surprise",
    "F": "fear",
    "D": "disgust",
    "C": "contempt",
    "N": "neutral",
}
_FOUR = ("anger", "happiness", "neutral", "sadness")
_UNDECIDED = {"O": "another emotion than the named ones", "X": "raters do not agree"}
_UNKNOWN = ("", "unknown")


def read(root: Path) -> Release:
    """Read a release.

    Args:
        root: The folder with ``Labels/`` and ``Audios/``.

    Raises:
        CorpusNotFoundError: There is no table of labels.
        ManifestError: The table lacks a column, or cannot be read to its end.
    """
    labels = _labels_file(root)
    if labels is None:
        raise not_found("MSP-Podcast", root, "Labels/labels_consensus.csv and Audios/")
    release = Release()
    rows = _rows(labels, root, release)
    folder = next(
        (root / name for name in _AUDIO_FOLDERS if (root / name).is_dir()), root / "Audios"
    )
    files = one_format_each(list_files(folder, (".wav", ".flac"), root, release), root, release)
    clips = {path.stem: path for path in files}
    texts = read_transcripts(root, release)
    votes = read_votes(labels.parent, root, release)
    listed: set[str] = set()
    for row in rows:
        name = Path(row["FileName"]).stem
        if not name:
            release.exclude(row.where, "row without a file name")
        elif name in listed:
            release.exclude(row.where, "listed twice", name)
        else:
            listed.add(name)
            audio = relative(clips.get(name, folder / f"{name}.wav"), root)
            _add(name, audio, row, texts, votes, release)
    for name in sorted(clips.keys() - listed):
        release.exclude(name, "audio without a label", relative(clips[name], root))
    for what, others in (("transcripts", texts), ("votes", votes)):
        rest = sorted(others.keys() - listed)
        if rest:
            release.note(what, f"{what} of turns without a label", rest[0], len(rest))
    release.utterances.sort(key=lambda utterance: utterance.id)
    return release


def _add(
    name: str,
    audio: str,
    row: Row,
    texts: Mapping[str, str],
    votes: Mapping[str, Mapping[str, int]],
    release: Release,
) -> None:
    category = row["EmoClass"].strip()
    if not category:
        release.exclude(name, "no label", row.where)
        return
    labels: dict[str, Any] = {"category": category}
    for key, column in _RATINGS.items():
        rating = _number(row[column])
        if rating is None:
            release.note(name, "rating that is no number", f"{row.where}: {column} {row[column]!r}")
        else:
            labels[key] = rating
    if name in votes:
        labels["votes"] = dict(votes[name])
    elif votes:
        release.note(name, "no votes")
    if texts and not texts.get(name):
        release.note(name, "no transcript")
    split = row["Split_Set"].strip().lower()
    if split not in _PARTS:
        release.note(name, "part that is not known", f"{row.where}: {row['Split_Set']!r}")
    speaker, gender = row["SpkrID"].strip(), row["Gender"].strip().lower()
    release.utterances.append(
        Utterance(
            id=name,
            corpus="msp_podcast",
            audio=audio,
            speaker=None if speaker.lower() in _UNKNOWN else speaker,
            part=_PARTS.get(split),
            gender=gender if gender in ("female", "male") else None,
            text=texts.get(name),
            labels=labels,
        )
    )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _labels_file(root: Path) -> Path | None:
    places = (
        root / folder / f"{name}{suffix}"
        for folder in _LABEL_FOLDERS
        for suffix in (".csv", ".json")
        for name in _CONSENSUS
    )
    return next((path for path in places if path.is_file()), None)


def _rows(path: Path, root: Path, release: Release) -> list[Row]:
    if path.suffix == ".csv":
        return read_csv(path, _COLUMNS, root, release)
    where = relative(path, root)
    rows = []
    for name, value in read_json(path, root).items():
        # early releases put the one label of a turn into a list
        entry = value[0] if isinstance(value, list) and len(value) == 1 else value
        fields = entry if isinstance(entry, dict) else {}
        missing = [column for column in _COLUMNS[1:] if column not in fields]
        if missing:
            told = f"no {', '.join(missing)}"
            release.exclude(f"{where}: {name}", "entry that cannot be read", told)
        else:
            values = {column: writable(str(fields[column])) for column in _COLUMNS[1:]}
            rows.append(Row(f"{where}: {name}", {"FileName": writable(name), **values}))
    return rows


CORPUS = Corpus(
    name="msp_podcast",
    title="MSP-Podcast",
    read=read,
    version=1,
    schemes=(
        ClassScheme(
            name="msp8",
            names=tuple(_EMOTIONS.values()),
            source="category",
            mapping=_EMOTIONS,
            left_out=_UNDECIDED,
            votes="votes",
        ),
        ClassScheme(
            name="msp4",
            names=_FOUR,
            source="category",
            mapping={letter: name for letter, name in _EMOTIONS.items() if name in _FOUR},
            left_out={
                letter: f"{name} is none of the four classes"
                for letter, name in _EMOTIONS.items()
                if name not in _FOUR
            }
            | _UNDECIDED,
            votes="votes",
        ),
        RatingScheme(
            name="msp_vad",
            names=tuple(_RATINGS),
            sources=tuple(_RATINGS),
            low=1.0,
            high=7.0,
            note="means over the raters",
        ),
    ),
    language="en",
    licence="by signed agreement, academic research only",
    source="https://lab-msp.com/MSP/MSP-Podcast.html",
    protocol="msp_podcast-test1",
)
