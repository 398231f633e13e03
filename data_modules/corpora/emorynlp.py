"""EmoryNLP: scenes of the television series Friends with seven emotions, text, English.

Source: https://github.com/emorynlp/emotion-detection (S. Zahiri and J. D. Choi, AAAI workshops
2018), in the tables of https://github.com/declare-lab/MELD, folder ``data/emorynlp``.
Licence: Apache-2.0 for the data set.
Size: 9,489 utterances in 827 scenes: 7,551 to train, 954 to validate, 984 to test.
Labels: column ``Emotion`` of ``emorynlp_{train,dev,test}_final.csv``.

A scene, which is season, episode and scene number together, is the dialogue. Several people who
speak at once are one speaker, their names joined by ``+``. The times in the tables are positions
in the episode and overlap; without clips they are not used.

Known defects: the main speakers stand in all parts, and MELD is of the same series: do not use one
to test the other.
"""

from __future__ import annotations

import ast
import re
import warnings
from pathlib import Path

from data_modules.corpora.release import Corpus, Published, Release, not_found
from data_modules.corpora.rows import BAD_ROW, Row, read_csv
from data_modules.labels import ClassScheme, same_names
from data_modules.manifest import Utterance

_EMOTIONS = same_names("Neutral", "Joyful", "Scared", "Mad", "Peaceful", "Powerful", "Sad")
_PARTS = {"train": "train", "dev": "val", "test": "test"}
_NUMBERS = ("Season", "Episode", "Scene_ID", "Utterance_ID")
_COLUMNS = ("Utterance", "Speaker", "Emotion", *_NUMBERS)
_NUMBER = re.compile(r"[0-9]{1,6}", re.ASCII)


def read(root: Path) -> Release:
    """Read a release.

    Args:
        root: The folder with the tables, or the one above ``emorynlp``. A part whose table is not
            there is noted.

    Raises:
        CorpusNotFoundError: There is no table.
        ManifestError: A table is not one of EmoryNLP's.
    """
    places = (root, root / "emorynlp", root / "data" / "emorynlp")
    base = next((at for at in places if any(_table(at, part).is_file() for part in _PARTS)), None)
    if base is None:
        raise not_found("EmoryNLP", root, "emorynlp_train_final.csv and its like for dev and test")
    release = Release()
    places_of: dict[str, str] = {}
    for part, name in _PARTS.items():
        table = _table(base, part)
        if not table.is_file():
            release.note(table.name, "no table of this part")
            continue
        for row in read_csv(table, _COLUMNS, root, release):
            utterance = _utterance(name, row, release)
            if utterance is None:
                continue
            if utterance.id in places_of:
                twice = f"{utterance.id}, first at {places_of[utterance.id]}"
                release.exclude(row.where, "listed twice", twice)
                continue
            places_of[utterance.id] = row.where
            release.utterances.append(utterance)
    release.utterances.sort(key=lambda utterance: utterance.id)
    return release


def _table(folder: Path, part: str) -> Path:
    return folder / f"emorynlp_{part}_final.csv"


def _utterance(part: str, row: Row, release: Release) -> Utterance | None:
    numbers = [row[name].strip() for name in _NUMBERS]
    speakers = _names(row["Speaker"])
    if not all(map(_NUMBER.fullmatch, numbers)):
        release.exclude(
            row.where, BAD_ROW, f"expected numbers in {', '.join(_NUMBERS)}, got {numbers}"
        )
        return None
    if not speakers:
        release.exclude(row.where, BAD_ROW, f"expected ['NAME', ...], got {row['Speaker']!r}")
        return None
    season, episode, scene, number = map(int, numbers)
    dialogue = f"s{season:02}e{episode:02}c{scene:02}"
    name = f"{dialogue}_utt{number:03}"
    text = row["Utterance"].strip()
    if not text:
        release.note(name, "empty transcript", row.where)
    return Utterance(
        id=name,
        corpus="emorynlp",
        speaker="+".join(speakers),
        dialogue=dialogue,
        part=part,
        text=text,
        labels={"category": row["Emotion"].strip(), "season": season, "episode": episode},
    )


def _names(text: str) -> list[str]:
    """Names of a list as Python writes it; none if it is not one."""
    try:
        with warnings.catch_warnings():
            # of escapes such as \\P, which Python reads as they stand
            warnings.simplefilter("ignore")
            names = ast.literal_eval(text.strip())
        # an escape can spell half of a character, which no file can hold
        if isinstance(names, list):
            "".join(names).encode()
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return []
    if isinstance(names, list) and all(isinstance(name, str) and name.strip() for name in names):
        return [name.strip() for name in names]
    return []


CORPUS = Corpus(
    name="emorynlp",
    title="EmoryNLP",
    read=read,
    version=1,
    schemes=(
        ClassScheme(name="emorynlp7", names=tuple(_EMOTIONS), source="category", mapping=_EMOTIONS),
    ),
    language="en",
    licence="Apache-2.0",
    source="https://github.com/declare-lab/MELD/tree/master/data/emorynlp",
    published=Published(
        what="utterances", total=9489, parts={"train": 7551, "val": 954, "test": 984}
    ),
)
