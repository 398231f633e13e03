"""GoEmotions: comments from Reddit with any of 27 emotions or neutral, text, English.

Source: https://github.com/google-research/google-research/tree/master/goemotions (D. Demszky et
al., ACL 2020).
Licence: CC BY 4.0.
Size: 54,263 comments: 43,410 to train, 5,426 to validate, 5,427 to test; one to five labels each.
Labels: numbers joined by commas in the second column of ``{train,dev,test}.tsv``; line n (from 0)
of ``labels.txt`` (``emotions.txt`` in the original) names number n. Agreement of two or more of
three to five raters.

The tables have no header: text, numbers, comment id. Quotes in them are quotes and mean nothing.

Known defects: 1,396 comments of the training part are neutral and something else at once, as
published. Some short texts occur several times, also in two parts. Authors are not named. Comments
can be offensive.
"""

from __future__ import annotations

from pathlib import Path

from data_modules.corpora.release import Corpus, Published, Release, not_found, relative
from data_modules.corpora.rows import BAD_ROW
from data_modules.errors import ManifestError
from data_modules.labels import TagScheme, same_names
from data_modules.manifest import Utterance

_LABELS = same_names(
    "admiration",
    "amusement",
    "anger",
    "annoyance",
    "approval",
    "caring",
    "confusion",
    "curiosity",
    "desire",
    "disappointment",
    "disapproval",
    "disgust",
    "embarrassment",
    "excitement",
    "fear",
    "gratitude",
    "grief",
    "joy",
    "love",
    "nervousness",
    "optimism",
    "pride",
    "realization",
    "relief",
    "remorse",
    "sadness",
    "surprise",
    "neutral",
)
_PARTS = {"train": "train", "dev": "val", "test": "test"}


def read(root: Path) -> Release:
    """Read a release.

    Args:
        root: The folder with the tables and the names of the labels, or the one above ``data``. A
            part whose table is not there is noted.

    Raises:
        CorpusNotFoundError: There is no table.
        ManifestError: The names of the labels are missing or others, or a table is not UTF-8.
    """
    places = (root, root / "data", root / "data" / "original")
    base = next(
        (at for at in places if any((at / f"{part}.tsv").is_file() for part in _PARTS)), None
    )
    if base is None:
        raise not_found("GoEmotions", root, "train.tsv, dev.tsv or test.tsv, and labels.txt")
    names = _label_names(base)
    release = Release()
    places_of: dict[str, str] = {}
    for part, name in _PARTS.items():
        table = base / f"{part}.tsv"
        if not table.is_file():
            release.note(table.name, "no table of this part")
            continue
        where = relative(table, root)
        for number, line in enumerate(_lines(table), start=1):
            utterance = _utterance(line, name, names, f"{where}:{number}", release)
            if utterance is None:
                continue
            if utterance.id in places_of:
                twice = f"{utterance.id}, first at {places_of[utterance.id]}"
                release.exclude(f"{where}:{number}", "listed twice", twice)
                continue
            places_of[utterance.id] = f"{where}:{number}"
            release.utterances.append(utterance)
    release.utterances.sort(key=lambda utterance: utterance.id)
    return release


def _lines(path: Path) -> list[str]:
    """Lines of a UTF-8 file; comments hold other marks that Python takes for ends of lines."""
    data = path.read_bytes()
    try:
        lines = data.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{path}:{data[: error.start].count(10) + 1}",
            expected="text in UTF-8",
            got=f"byte 0x{data[error.start]:02x}",
            fix="copy the file again from the release",
        ) from None
    return lines[:-1] if lines[-1] == "" else lines


def _label_names(folder: Path) -> list[str]:
    path = next(
        (folder / name for name in ("labels.txt", "emotions.txt") if (folder / name).is_file()),
        folder / "labels.txt",
    )
    names = [line.strip() for line in _lines(path)] if path.is_file() else []
    while names and not names[-1]:
        names.pop()
    if sorted(names) != sorted(_LABELS):
        raise ManifestError(
            path,
            expected=f"the {len(_LABELS)} names of GoEmotions, one a line",
            got=f"{len(names)} lines" if path.is_file() else "no file",
            fix="copy the file from the release",
        )
    return names


def _utterance(
    line: str, part: str, names: list[str], where: str, release: Release
) -> Utterance | None:
    if not line.strip():
        release.ignore(where, "empty lines")
        return None
    fields = line.split("\t")
    if len(fields) != 3 or not fields[2].strip():
        release.exclude(where, BAD_ROW, f"expected text, numbers and id, got {len(fields)} columns")
        return None
    text, numbers, name = (value.strip() for value in fields)
    found = [number.strip() for number in numbers.split(",")]
    known = {str(number) for number in range(len(names))}
    wrong = [number for number in found if number not in known]
    if wrong:
        release.exclude(
            where, "label that does not exist", f"expected 0 to {len(names) - 1}, got {wrong[0]!r}"
        )
        return None
    if not text:
        release.note(name, "empty transcript", where)
    labels = {"categories": [names[int(n)] for n in dict.fromkeys(found)]}
    return Utterance(id=name, corpus="goemotions", part=part, text=text, labels=labels)


CORPUS = Corpus(
    name="goemotions",
    title="GoEmotions",
    read=read,
    version=1,
    schemes=(
        TagScheme(name="goemotions28", names=tuple(_LABELS), source="categories", mapping=_LABELS),
    ),
    language="en",
    licence="CC BY 4.0",
    source="https://github.com/google-research/google-research/tree/master/goemotions",
    published=Published(
        what="comments", total=54263, parts={"train": 43410, "val": 5426, "test": 5427}
    ),
)
