"""What a corpus reader hands over, what the literature says of its corpus, and how files are read.

A reader walks label and transcript files; it does not open audio (``prepare.py`` does). Whatever
it meets ends up in exactly one place: an utterance, an exclusion, or a file that is ignored by
rule. Notes say what an utterance that stays in lacks.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from data_modules.errors import CorpusNotFoundError, one_line
from data_modules.labels import LabelScheme
from data_modules.manifest import Exclusion, Utterance

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    FeatureArray: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Note:
    """Something to know about an utterance or file that is used all the same.

    Attributes:
        id: Utterance id, or a path relative to the root, with a line where there is one.
        reason: The kind of note; notes are counted by it.
        detail: What exactly was found.
        count: How many things it stands for, such as words of a video.
    """

    id: str
    reason: str
    detail: str = ""
    count: int = 1


@dataclass(slots=True)
class Release:
    """A corpus as it was found on disk.

    Attributes:
        utterances: Sorted by id; ``start_s`` and ``end_s`` None where the clip is the whole file.
        exclusions: Utterances of the release, and label lines, that cannot be used.
        ignored: Files and turns that are no utterances, by reason.
        notes: What utterances that stay in lack.
        stated_s: Length in seconds that the release states for a clip, where it does.
    """

    utterances: list[Utterance] = field(default_factory=list)
    exclusions: list[Exclusion] = field(default_factory=list)
    ignored: dict[str, list[str]] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    stated_s: dict[str, float] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """How many were ignored and noted, by reason."""
        found = {reason: len(names) for reason, names in self.ignored.items()}
        return found | count_notes(self.notes)

    def exclude(self, name: str, reason: str, detail: str = "") -> None:
        """List an utterance or a line that cannot be used."""
        self.exclusions.append(Exclusion(name, reason, one_line(detail)))

    def ignore(self, name: str, reason: str) -> None:
        """List a file or turn that is no utterance."""
        self.ignored.setdefault(reason, []).append(name)

    def note(self, name: str, reason: str, detail: str = "", count: int = 1) -> None:
        """Say what an utterance that stays in lacks."""
        self.notes.append(Note(name, reason, one_line(detail), count))


def count_notes(notes: Iterable[Note]) -> dict[str, int]:
    """What notes stand for, by reason, the most frequent first."""
    counts: Counter[str] = Counter()
    for note in notes:
        counts[note.reason] += note.count
    return dict(counts.most_common())


@dataclass(frozen=True)
class Published:
    """Counts of the whole release, for comparison; empty where nothing is published.

    Attributes:
        what: What is counted, as in "5531 turns".
        total: Utterances that the label scheme keeps.
        classes: Per class of the label scheme.
        sessions: Per session.
        speakers: Per speaker, at least their names.
        parts: Per part of the release's own division, by ``Utterance.part``.
    """

    what: str
    total: int
    classes: Mapping[str, int] = field(default_factory=dict)
    sessions: Mapping[str, int] = field(default_factory=dict)
    speakers: Mapping[str, int] = field(default_factory=dict)
    parts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ReadyFeatures:
    """Features that come with a release, such as COVAREP in a ``.csd`` file.

    Attributes:
        dim: Values in a frame.
        stride_s: Seconds from one frame to the next; None for one vector an utterance.
        read: Root and utterances to (utterance id, frames ``(F, dim)``, values that were replaced
            because they were not finite), each utterance that has features once, in any order.
        files: Root to the files that ``read`` reads: nothing is read again while none of them
            changed. Empty: read every time.
        version: Raised when ``read`` changes what it gives.
        exposure: What its makers had already seen; printed beside every number. Empty if nothing.
        origin: Tells features of one name and corpus apart that lie in different places.
    """

    dim: int
    stride_s: float | None
    read: Callable[[Path, Sequence[Utterance]], Iterator[tuple[str, FeatureArray, int]]]
    files: Callable[[Path], Sequence[Path]] = lambda root: ()
    version: int = 1
    exposure: str = ""
    origin: str = ""


@dataclass(frozen=True)
class Corpus:
    """A corpus that ``sermm prepare`` knows.

    Attributes:
        name: What the command line says.
        title: What people call it.
        read: Folder to :class:`Release`.
        version: Raised when the reader changes what it gives; older manifests are then refused.
        schemes: Label schemes for it; the first is the usual one. Empty where only a folder says.
        language: ISO 639-1 code.
        licence: Terms, in a line.
        source: Where to get it.
        published: Counts to compare with, by the usual scheme.
        features: Features that come with it, by name.
        protocol: The usual protocol; empty for the release's own parts where there are any, else
            for five folds by speaker where there are enough speakers.
        schemes_of: Folder to the label schemes that it states itself, such as a user's own table.
    """

    name: str
    title: str
    read: Callable[[Path], Release]
    version: int
    schemes: tuple[LabelScheme, ...]
    language: str
    licence: str
    source: str
    published: Published | None = None
    features: Mapping[str, ReadyFeatures] = field(default_factory=dict)
    protocol: str = ""
    schemes_of: Callable[[Path], tuple[LabelScheme, ...]] | None = None

    def at(self, root: Path) -> Corpus:
        """The corpus as its folder completes it: with the label schemes that only this one states.

        Raises:
            DataError: What states them is missing or wrong.
        """
        return self if self.schemes_of is None else replace(self, schemes=self.schemes_of(root))

    @property
    def scheme(self) -> LabelScheme:
        """The usual label scheme."""
        return self.schemes[0]


OTHER_SYSTEM = "leftovers of a file system (._*, .DS_Store)"
OTHER_FILES = "files of another kind"


def list_files(folder: Path, suffixes: tuple[str, ...], root: Path, release: Release) -> list[Path]:
    """Files of a folder by name, in order; the others are listed as ignored.

    A folder that does not exist has no files: what is missing shows where the files are needed.
    """
    if not folder.is_dir():
        return []
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            release.ignore(relative(path, root), OTHER_SYSTEM)
        elif path.is_dir():
            continue
        elif path.suffix.lower() in suffixes:
            found.append(path)
        else:
            release.ignore(relative(path, root), OTHER_FILES)
    return found


def one_format_each(paths: list[Path], root: Path, release: Release) -> list[Path]:
    """Drop the second format of clips that are there twice (WAV wins over FLAC), and list it."""
    chosen: dict[str, Path] = {}
    for path in sorted(paths, key=lambda path: (path.suffix.lower() != ".wav", path.name)):
        if path.stem in chosen:
            release.ignore(relative(path, root), "clips in a second format")
        else:
            chosen[path.stem] = path
    return sorted(chosen.values())


def is_file(path: Path) -> bool:
    """As ``Path.is_file``; no file has a name that is longer than names may be."""
    try:
        return path.is_file()
    except OSError:
        return False


def relative(path: Path, root: Path) -> str:
    """Path from the root with forward slashes, as manifests hold it."""
    return Path(os.path.relpath(path, root)).as_posix()


def read_text(path: Path, root: Path, release: Release) -> str:
    """Text of a file in UTF-8; what is not UTF-8 is read as Latin-1, and noted."""
    return decode_text(path.read_bytes(), relative(path, root), release)


def decode_text(data: bytes, where: str, release: Release) -> str:
    """As :func:`read_text`, of what was read already."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        release.note(where, "text is not UTF-8, read as Latin-1", str(error))
        return data.decode("latin-1")


def read_table(
    path: Path, columns: tuple[str, ...], root: Path, release: Release
) -> list[tuple[int, list[str]]]:
    """Read the named columns of a tab-separated table with a header.

    Returns:
        Line number and values of each row, in the order of ``columns``; nothing if there is no such
        file. Rows of another width are noted, and so is a header that lacks a column.
    """
    if not path.is_file():
        return []
    lines = read_text(path, root, release).split("\n")
    where = relative(path, root)
    header = lines[0].strip("\r").split("\t")
    wrong = [f"{header.count(name)} {name}" for name in columns if header.count(name) != 1]
    if wrong:
        told = f"expected one of each column, got {', '.join(wrong)}"
        release.note(f"{where}:1", "table that cannot be read", told)
        return []
    places = [header.index(name) for name in columns]
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        row = line.strip("\r").split("\t")
        if len(row) == len(header):
            rows.append((number, [row[place].strip() for place in places]))
        elif line.strip():
            release.note(
                f"{where}:{number}",
                "table row that cannot be read",
                f"expected {len(header)} columns, got {len(row)}",
            )
    return rows


def not_found(corpus: str, root: Path, expected: str) -> CorpusNotFoundError:
    """The error for a folder that holds no release."""
    return CorpusNotFoundError(
        root,
        expected=expected,
        got="no such folder" if not root.is_dir() else _glimpse(root),
        fix=f"give the folder of {corpus} with --root or data.root",
    )


def _glimpse(root: Path) -> str:
    names = sorted(path.name for path in root.iterdir() if not path.name.startswith("."))
    if not names:
        return "an empty folder"
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
