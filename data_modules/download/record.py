"""What stands beside downloaded data: ``SHA256SUMS`` and ``download.json``.

``sha256sum -c SHA256SUMS`` checks every byte at any time. ``download.json`` appears last and says
that the corpus is whole.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

from data_modules.atomic import write_json, write_text
from data_modules.corpora.release import is_file
from data_modules.download.sources import Source
from data_modules.errors import DownloadError, first_ids
from data_modules.plain_json import parse_json

SUMS = "SHA256SUMS"
RECORD = "download.json"


@dataclass(frozen=True)
class Record:
    """A corpus that was downloaded.

    Attributes:
        corpus: Name of its reader.
        title: What people call it.
        version: Which release.
        licence: Its terms, which were accepted.
        licence_url: Their full text.
        verified: What its bytes were compared with.
        num_files: Without the two files of this module.
        num_bytes: Of these files.
        finished: When, in UTC.
    """

    corpus: str
    title: str
    version: str
    licence: str
    licence_url: str
    verified: str
    num_files: int
    num_bytes: int
    finished: str


def hash_file(path: Path, algorithm: str) -> str:
    """Hexadecimal digest of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(
            stream, lambda: hashlib.new(algorithm, usedforsecurity=False)
        ).hexdigest()


def list_sums(folder: Path) -> str:
    """``SHA256SUMS`` of all files of a folder but this module's own, by path in byte order."""
    paths = sorted(
        (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()),
        key=str.encode,
    )
    return "".join(
        f"{hash_file(folder / path, 'sha256')}  {path}\n"
        for path in paths
        if path not in (SUMS, RECORD)
    )


def write_record(folder: Path, source: Source, sums: str, finished: str) -> Record:
    """Write both files."""
    paths = [line.split("  ", 1)[1] for line in sums.splitlines()]
    record = Record(
        corpus=source.corpus,
        title=source.title,
        version=source.version,
        licence=source.licence.name,
        licence_url=source.licence.url,
        verified=source.verified,
        num_files=len(paths),
        num_bytes=sum((folder / path).stat().st_size for path in paths),
        finished=finished,
    )
    write_text(folder / SUMS, sums)
    write_json(folder / RECORD, asdict(record))
    return record


def read_record(folder: Path) -> Record | None:
    """The record of a folder, None if it has none.

    Raises:
        DownloadError: It cannot be read.
    """
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        values = parse_json(path.read_bytes())
        record = Record(**values)
        kinds = Record.__annotations__.items()
        if any(type(values[name]).__name__ != kind for name, kind in kinds):
            raise TypeError("a value of another type")
    except (ValueError, TypeError) as error:
        raise DownloadError(
            path,
            expected="what `sermm download` wrote",
            got=str(error),
            fix="remove the folder and download again",
        ) from None
    return record


def find_whole(source: Source, root: Path) -> Record | None:
    """The record of a corpus that is there already.

    Returns:
        None if the folder has no record. Names and sizes are compared, not contents.

    Raises:
        DownloadError: The folder holds something else, or files are gone.
    """
    record = read_record(root)
    if record is None:
        return None
    if (record.corpus, record.version) != (source.corpus, source.version):
        raise DownloadError(
            root,
            expected=f"{source.title}, {source.version}",
            got=f"{record.title}, {record.version}",
            fix="give another folder with --root",
        )
    sums = root / SUMS
    # what is no UTF-8 is no name of a file that was fetched, and counts as gone
    lines = sums.read_text("utf-8", errors="replace").splitlines() if sums.is_file() else []
    paths = [line.split("  ", 1)[-1] for line in lines]
    gone = [path for path in paths if not is_file(root / path)]
    num_bytes = sum((root / path).stat().st_size for path in {*paths} - {*gone})
    if gone or (len(paths), num_bytes) != (record.num_files, record.num_bytes):
        raise DownloadError(
            root,
            expected=f"the {record.num_files} files and {record.num_bytes} bytes of {RECORD}",
            got=f"{len(paths) - len(gone)} files and {num_bytes} bytes"
            + (f", without {first_ids(gone)}" if gone else ""),
            fix="move the folder away and download again",
        )
    return record
