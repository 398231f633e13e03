"""Zip files from elsewhere, unpacked with suspicion.

An archive says where its files go, and how large they are. Neither is believed: a name that leaves
the folder, a link, a device, two members for one file, or more than was announced, and nothing of
the archive is used.
"""

from __future__ import annotations

import re
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from data_modules.download.sources import Archive
from data_modules.errors import DownloadError

_CHUNK = 1 << 20
_MOST_MEMBERS = 200_000
_ENCRYPTED = 0x1


def unpack(archive: Archive, path: Path, folder: Path) -> int:
    """Unpack what belongs to a corpus.

    Args:
        archive: What is expected.
        path: The zip file.
        folder: Appears when everything is in it; must not exist.

    Returns:
        The number of members that do not belong to the corpus and were left out.

    Raises:
        DownloadError: The archive is damaged, or not what was expected.
    """
    building = folder.with_name(folder.name + ".building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    with _reading(path):
        source = zipfile.ZipFile(path)
    with source:
        infos = source.infolist()
        members = _choose(archive, path, infos)
        for member, name in members:
            _extract(source, member, path, building / name)
    building.rename(folder)
    return sum(not info.is_dir() for info in infos) - len(members)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """What zipfile raises over damaged files, where nothing is written."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        EOFError,
        OSError,
        RuntimeError,
        ValueError,
    ) as error:
        raise _wrong(path, "a whole zip file", f"{type(error).__name__} ({error})") from None


def _wrong(path: Path, expected: str, got: str) -> DownloadError:
    return DownloadError(path, expected=expected, got=got, fix="download it again")


def _choose(
    archive: Archive, path: Path, infos: list[zipfile.ZipInfo]
) -> list[tuple[zipfile.ZipInfo, str]]:
    if len(infos) > _MOST_MEMBERS:
        raise _wrong(path, f"at most {_MOST_MEMBERS} members", f"{len(infos)}")
    pattern = re.compile(archive.take, re.ASCII)
    chosen: list[tuple[zipfile.ZipInfo, str]] = []
    seen: set[str] = set()
    for info in infos:
        name = PurePosixPath(info.filename)
        if name.is_absolute() or ".." in name.parts or re.search(r"[\\:\x00]", info.orig_filename):
            raise _wrong(path, "names inside the archive's own folder", f"{info.filename!r}")
        match = pattern.fullmatch(info.filename)
        if match is None:
            continue
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise _wrong(path, "plain files", f"a link or device, {info.filename!r}")
        if info.flag_bits & _ENCRYPTED:
            raise _wrong(path, "files without a password", f"{info.filename!r}")
        target = (PurePosixPath(archive.into) / match["path"]).as_posix()
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _wrong(path, "files stored or deflated", f"another method, {info.filename!r}")
        # some file systems do not tell letters' case apart
        if target.casefold() in seen:
            raise _wrong(path, "each file once", f"{info.filename!r} twice")
        seen.add(target.casefold())
        chosen.append((info, target))
    if len(chosen) != archive.num_files:
        raise _wrong(path, f"{archive.num_files} files of the corpus", f"{len(chosen)}")
    num_bytes = sum(info.file_size for info, _ in chosen)
    if num_bytes > archive.num_bytes:
        raise _wrong(path, f"at most {archive.num_bytes} bytes unpacked", f"{num_bytes}")
    return chosen


def _extract(source: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # reading ends at the size that the member states, which was added up above, and checks its CRC
    with _reading(path):
        stream = source.open(member)
    with stream, target.open("xb") as out:
        while True:
            with _reading(path):
                chunk = stream.read(_CHUNK)
            if not chunk:
                break
            out.write(chunk)
