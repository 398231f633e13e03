"""Archives that lie, climb, link, swell and break."""

from __future__ import annotations

import io
import shutil
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_modules.download.sources import Archive, RemoteFile
from data_modules.download.unpack import unpack
from data_modules.errors import DownloadError

FILES = {
    "top/wav/a.wav": b"A" * 3000,
    "top/wav/b.wav": bytes(range(256)) * 9,
    "top/c.csv": b"x,y\n",
}


def expect(num_files: int = 3, num_bytes: int = 10_000, take: str = "") -> Archive:
    take = take or r"top/(?P<path>(wav/)?\w+\.\w+)"
    return Archive(RemoteFile("a.zip", (), 0), take, "into", num_files, num_bytes)


def make(folder: Path, *more: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    path = folder / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (*FILES.items(), *more):
            archive.writestr(name, content)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def refused(tmp_path: Path, archive: Archive, path: Path) -> str:
    """The error; nothing may have been unpacked."""
    with pytest.raises(DownloadError) as caught:
        unpack(archive, path, tmp_path / "tree")
    assert not (tmp_path / "tree").exists()
    return str(caught.value)


def test_members_of_the_corpus_are_unpacked_and_others_counted(tmp_path: Path) -> None:
    path = make(
        tmp_path, ("__MACOSX/._a.wav", b"x"), ("top/docs/readme.html", b"y"), ("top/d/", b"")
    )
    # what an earlier call was killed over
    (tmp_path / "tree.building" / "old").mkdir(parents=True)
    assert unpack(expect(), path, tmp_path / "tree") == 2
    assert contents(tmp_path / "tree") == {
        f"into/{name.removeprefix('top/')}": content for name, content in FILES.items()
    }
    assert not (tmp_path / "tree.building").exists()


@pytest.mark.parametrize(
    "name",
    ["../evil", "top/../../evil", "/etc/evil", "top\\..\\evil", "C:/evil", "top/wav/..", "a\x00b"],
)
def test_names_outside_its_folder_are_refused(tmp_path: Path, name: str) -> None:
    path = make(tmp_path, ("top/d.csv" if "\x00" in name else name, b"evil"))
    if "\x00" in name:
        path.write_bytes(path.read_bytes().replace(b"top/d.csv", b"top/d\x00csv"))
    said = refused(tmp_path, expect(4, take="(?P<path>.*)"), path)
    assert "expected names inside the archive's own folder" in said
    assert not list(tmp_path.parent.rglob("evil"))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_are_refused(tmp_path: Path, kind: int) -> None:
    link = zipfile.ZipInfo("top/d.csv")
    link.external_attr = (kind | 0o777) << 16
    said = refused(tmp_path, expect(4), make(tmp_path, (link, b"/etc/passwd")))
    assert "expected plain files, got a link or device" in said


def test_rights_in_the_archive_are_not_taken_over(tmp_path: Path) -> None:
    program = zipfile.ZipInfo("top/d.csv")
    program.external_attr = (stat.S_IFREG | stat.S_ISUID | 0o777) << 16
    unpack(expect(4), make(tmp_path, (program, b"x")), tmp_path / "tree")
    assert not (tmp_path / "tree" / "into" / "d.csv").stat().st_mode & 0o7111


@pytest.mark.filterwarnings("ignore:Duplicate name")  # zipfile, as it writes this archive
@pytest.mark.parametrize("name", ["top/c.csv", "top/C.CSV"])
def test_a_file_that_is_there_twice_is_refused(tmp_path: Path, name: str) -> None:
    assert "expected each file once" in refused(tmp_path, expect(4), make(tmp_path, (name, b"z")))


@pytest.mark.parametrize("num_files", [2, 4])
def test_another_number_of_files_is_refused(tmp_path: Path, num_files: int) -> None:
    said = refused(tmp_path, expect(num_files), make(tmp_path))
    assert f"expected {num_files} files of the corpus, got 3" in said


def test_more_than_was_announced_is_refused_before_it_is_written(tmp_path: Path) -> None:
    path = make(tmp_path, ("top/d.csv", bytes(50_000_000)))
    assert path.stat().st_size < 60_000
    assert "at most 10000 bytes unpacked, got 50005308" in refused(tmp_path, expect(4), path)


def test_a_member_that_is_larger_than_it_says_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path, ("top/d.csv", bytes(50_000)))
    honest, lying = struct.pack("<L", 50_000), struct.pack("<L", 5)
    assert path.read_bytes().count(honest) == 2
    path.write_bytes(path.read_bytes().replace(honest, lying))
    assert "BadZipFile (Bad CRC-32 for file 'top/d.csv')" in refused(tmp_path, expect(4), path)


def test_a_password_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    assert "expected files without a password" in refused(tmp_path, expect(), path)


def test_rare_compression_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(zipped(zipfile.ZIP_LZMA))
    assert "expected files stored or deflated" in refused(tmp_path, expect(), path)


def test_what_is_no_zip_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"<html>not found</html>")
    assert "expected a whole zip file, got BadZipFile" in refused(tmp_path, expect(), path)
    whole = make(tmp_path).read_bytes()
    path.write_bytes(whole[:-30])
    assert "expected a whole zip file, got BadZipFile" in refused(tmp_path, expect(), path)


def zipped(method: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in FILES.items():
            archive.writestr(name, content)
    return stream.getvalue()


WHOLE = {m: zipped(m) for m in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)}


@given(
    method=st.sampled_from(sorted(WHOLE)),
    changes=st.lists(
        st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4
    ),
    cut=st.integers(0, 40),
)
@settings(max_examples=150)
def test_damage_is_refused_or_harmless(
    tmp_path: Path, method: int, changes: list[tuple[int, int]], cut: int
) -> None:
    content = bytearray(WHOLE[method])
    for place, value in changes:
        # mostly in the tables, from the end backwards
        content[-1 - place % len(content)] = value
    path = tmp_path / "a.zip"
    path.write_bytes(content[: len(content) - cut] if cut > 35 else content)
    shutil.rmtree(tmp_path / "tree", ignore_errors=True)
    try:
        unpack(expect(), path, tmp_path / "tree")
    except DownloadError:
        assert not (tmp_path / "tree").exists()
    else:
        found = contents(tmp_path / "tree")
        assert len(found) == 3
        assert sum(map(len, found.values())) <= 10_000
