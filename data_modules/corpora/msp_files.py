"""What lies beside the labels of MSP-Podcast: transcripts, and the choices of each rater.

``labels_detailed.csv`` has had three forms. Release 1.6 and 2.0: one row a rater, the emotion in
``EmoClass_Major``. 1.7 to 1.12: a column ``EmoDetail`` such as ``WORKER00000001; Happy;
Happy,Amused; A:5; V:6; D:4;``. ``labels_detailed.json`` has, by turn and rater, the fields of the
first form. Words become the letters of ``EmoClass``; the words that raters wrote themselves begin
with ``Other`` as a rule, and all of them count as ``O`` (our reading: the letter exists for it).
"""

from __future__ import annotations

import csv
import json
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_modules.corpora.release import Release, decode_text, read_text, relative
from data_modules.errors import ManifestError

Votes = dict[str, Counter[str]]
"""Votes of each turn, by letter."""

_LETTERS = {
    "angry": "A",
    "sad": "S",
    "happy": "H",
    "surprise": "U",
    "fear": "F",
    "disgust": "D",
    "contempt": "C",
    "neutral": "N",
}
_OTHER = "O"

_BAD = "votes that cannot be read"
_TEXT_FOLDERS = ("Transcripts", "Transcripts/Transcripts", "Transcript", "transcripts")
# what zipfile lets through over damaged archives; broken extra fields give the last two
_DAMAGED_ZIP = (
    *(zipfile.BadZipFile, zlib.error, struct.error, RuntimeError, EOFError, OSError, ValueError),
    *(IndexError, KeyError),
)
MAX_TRANSCRIPT = 1 << 20
"""Bytes of a transcript in an archive; a turn has a few hundred."""


def read_votes(folder: Path, root: Path, release: Release) -> Votes:
    """Each rater's emotion, counted; empty if the release has no such file.

    Args:
        folder: Where the labels are.
        root: Of the corpus.
        release: Where odd rows are noted.

    Raises:
        ManifestError: The file has none of the three forms, or cannot be read to its end.
    """
    votes: Votes = {}
    unknown: Counter[str] = Counter()
    for name, choice in _choices(folder, root, release):
        name, word = writable(name), writable(choice.strip())
        letter = _LETTERS.get(word.lower(), _OTHER)
        if letter == _OTHER and not word.lower().startswith("other"):
            unknown[word] += 1
        votes.setdefault(Path(name).stem, Counter())[letter] += 1
    if unknown:
        shown = ", ".join(word for word, _ in unknown.most_common(5))
        told = "raters' words that are not known, counted as another emotion"
        release.note("labels_detailed", told, shown[:200], unknown.total())
    return votes


def _choices(folder: Path, root: Path, release: Release) -> Iterator[tuple[str, str]]:
    """File name and word of every rater's choice."""
    table = folder / "labels_detailed.csv"
    if table.is_file():
        yield from _choices_in_table(table, relative(table, root), release)
    elif (path := folder / "labels_detailed.json").is_file():
        where = relative(path, root)
        for name, raters in read_json(path, root).items():
            for rater, entry in raters.items() if isinstance(raters, dict) else [("", None)]:
                word = entry.get("EmoClass_Major") if isinstance(entry, dict) else None
                if isinstance(word, str) and word.strip():
                    yield name, word
                else:
                    release.note(f"{where}: {name}", _BAD, f"rater {rater}"[:80])


def _choices_in_table(path: Path, where: str, release: Release) -> Iterator[tuple[str, str]]:
    # read row by row: there is one for each of a million choices, with words that people typed
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        rows = csv.reader(stream)
        try:
            header = [name.strip() for name in next(rows, [])]
            name_at, word_at = _places(header, where)
            detailed = header[word_at] != "EmoClass_Major"
            for row in rows:
                if len(row) != len(header):
                    if row:
                        told = f"expected {len(header)} columns, got {len(row)}"
                        release.note(f"{where}:{rows.line_num}", _BAD, told)
                    continue
                word = row[word_at]
                if detailed:
                    # who; what; what else; ratings
                    parts = word.split(";")
                    word = parts[1] if len(parts) > 2 else ""
                if row[name_at].strip() and word.strip():
                    yield row[name_at].strip(), word
                else:
                    release.note(f"{where}:{rows.line_num}", _BAD, repr(row[word_at])[:80])
        except csv.Error as error:
            raise ManifestError(
                f"{where}:{rows.line_num + 1}",
                expected="a table that can be read to its end",
                got=str(error),
                fix="copy the file again from the release",
            ) from None


def _places(header: list[str], where: str) -> tuple[int, int]:
    """Columns of the file name and of the choice."""
    for word in ("EmoClass_Major", "EmoDetail"):
        if {"FileName", word} <= set(header):
            return header.index("FileName"), header.index(word)
    raise ManifestError(
        f"{where}:1",
        expected="the columns FileName, and EmoClass_Major or EmoDetail",
        got=", ".join(header)[:80] or "no header",
        fix="copy the file again from the release, or remove it to do without votes",
    )


def read_transcripts(root: Path, release: Release) -> dict[str, str]:
    """Transcripts by turn; empty if the release has none, which is noted.

    Raises:
        ManifestError: ``Transcripts.zip`` is no archive that can be read.
    """
    for folder in _TEXT_FOLDERS:
        paths = sorted((root / folder).glob("*.txt")) if (root / folder).is_dir() else []
        if paths:
            return {path.stem: read_text(path, root, release).strip() for path in paths}
    for archive in ("Transcripts.zip", "Transcripts/Transcripts.zip"):
        if (root / archive).is_file():
            return dict(_in_archive(root / archive, root, release))
    release.note("Transcripts", "no transcripts in the release")
    return {}


def _in_archive(path: Path, root: Path, release: Release) -> Iterator[tuple[str, str]]:
    where = relative(path, root)
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                name = Path(member.filename)
                # __MACOSX/._NAME.txt is what a Mac adds
                if member.is_dir() or name.suffix != ".txt" or name.name.startswith("."):
                    continue
                with archive.open(member) as stream:
                    data = stream.read(MAX_TRANSCRIPT + 1)
                if len(data) > MAX_TRANSCRIPT:
                    told = f"more than {MAX_TRANSCRIPT} bytes"
                    release.note(f"{where}: {member.filename}", "no transcript of a turn", told)
                else:
                    here = f"{where}: {member.filename}"
                    yield name.stem, decode_text(data, here, release).strip()
    except _DAMAGED_ZIP as error:
        raise ManifestError(
            where,
            expected="a zip archive of transcripts",
            got=str(error) or type(error).__name__,
            fix="copy it again from the release, or unpack it beside",
        ) from None


def writable(text: str) -> str:
    """A text that UTF-8 can hold; what it cannot is spelt out by its number."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def read_json(path: Path, root: Path) -> dict[str, Any]:
    """A file with one JSON object.

    Raises:
        ManifestError: It has none.
    """
    where = relative(path, root)
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
        got = f"a {type(value).__name__}"
    except (ValueError, RecursionError) as error:
        value, got = None, str(error)
    if not isinstance(value, dict):
        raise ManifestError(
            where,
            expected="one JSON object, with an entry for each turn",
            got=got,
            fix="copy the file again from the release",
        )
    return value
