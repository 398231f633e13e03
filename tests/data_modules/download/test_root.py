"""The folder that a corpus is fetched into: what lies there, disks, and being stopped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from data_modules.download import Source, download, find_whole
from data_modules.errors import CorpusNotFoundError, DownloadError
from tests.data_modules.download import releases
from tests.data_modules.download.releases import ARCHIVES, WANTED, offer
from tests.data_modules.download.server import Act, Server
from tests.data_modules.download.whole import PACE, data_in, fetch
from tests.sermm.workplace import wait_until


def test_a_folder_with_something_else_is_left_alone(server: Server, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(CorpusNotFoundError, match=f"got thesis.tex; .*--root {tmp_path}/emodb"):
        fetch(offer(server, "emodb"), tmp_path)
    assert releases.contents(tmp_path) == {"thesis.tex": b"precious"}
    assert not server.requests
    with pytest.raises(CorpusNotFoundError, match="expected a folder, got a file"):
        fetch(offer(server, "emodb"), tmp_path / "thesis.tex")


def test_hidden_files_and_what_a_disk_brings_do_not_matter(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".DS_Store").write_text("")
    (tmp_path / "lost+found").mkdir()
    fetch(offer(server, "emodb"), tmp_path)
    assert (tmp_path / "wav" / "03a01Fa.wav").is_file()


def test_another_corpus_or_version_is_left_alone(server: Server, tmp_path: Path) -> None:
    emodb = offer(server, "emodb")
    fetch(emodb, tmp_path)
    with pytest.raises(DownloadError, match=r"expected nEMO, commit .*, got EmoDB, Zenodo"):
        fetch(offer(server, "nemo"), tmp_path)
    with pytest.raises(DownloadError, match=r"expected EmoDB, 2\.0, got EmoDB, Zenodo"):
        fetch(replace(emodb, version="2.0"), tmp_path)


def test_another_corpus_that_was_begun_is_left_alone(server: Server, tmp_path: Path) -> None:
    emodb = offer(server, "emodb", *[Act(status=503)] * 3)
    with pytest.raises(DownloadError):
        fetch(emodb, tmp_path)
    with pytest.raises(DownloadError, match=r'got { "corpus": "emodb", .*; remove this folder'):
        fetch(offer(server, "nemo"), tmp_path)


@pytest.mark.parametrize(
    ("spoil", "got"),
    [
        (lambda path: path.unlink(), "got 1 files and .* bytes, without wav/03a01Fa.wav;"),
        (lambda path: path.write_bytes(b""), "got 2 files and 16044 bytes;"),
    ],
)
def test_what_went_missing_is_named(
    server: Server, tmp_path: Path, spoil: object, got: str
) -> None:
    source = offer(server, "emodb")
    fetch(source, tmp_path)
    spoil(tmp_path / "wav" / "03a01Fa.wav")  # type: ignore[operator]
    with pytest.raises(DownloadError, match=f"expected the 2 files and 32088 bytes .*, {got}"):
        fetch(source, tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"corpus": 1}', "null"])
def test_a_record_that_cannot_be_read(server: Server, tmp_path: Path, text: str) -> None:
    (tmp_path / "download.json").write_text(text)
    with pytest.raises(DownloadError, match="expected what `sermm download` wrote"):
        fetch(offer(server, "emodb"), tmp_path)


def test_the_disk_is_looked_at_before_anything_is_fetched(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 8, 10**6))
    source = offer(server, "ravdess")
    with pytest.raises(DownloadError, match=r"expected 0.7 GB of free disk .*, got 0.0 GB; make"):
        fetch(source, tmp_path / "new" / "folder")
    assert not (tmp_path / "new").exists()
    assert not server.requests


def test_a_disk_that_refuses_is_told_in_a_line(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".download").write_text("a file")
    with pytest.raises(
        DownloadError, match=r"expected a folder that can be written, got .*File ex"
    ):
        fetch(offer(server, "emodb"), tmp_path)


# stopped and killed


@pytest.mark.parametrize("count", [0, 1, 2])
def test_moving_into_the_root_may_be_stopped_anywhere(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    source = offer(server, "nemo")
    root = tmp_path / "nemo"
    done = []
    original = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if Path(target).parent == root:
            done.append(target)
            if len(done) > count:
                raise KeyboardInterrupt
        return original(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(KeyboardInterrupt):
        fetch(source, root)
    monkeypatch.undo()
    assert not (root / "download.json").exists()
    asked = len(server.requests)
    fetch(source, root)
    assert data_in(root) == WANTED["nemo"]
    assert len(server.requests) == asked


def test_stopped_after_the_last_move(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = offer(server, "emodb")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda path, **kw: kw or (_ for _ in ()).throw(OSError))
        with pytest.raises(DownloadError):
            fetch(source, tmp_path)
    assert (tmp_path / ".download").is_dir()
    fetch(source, tmp_path)
    assert data_in(tmp_path) == WANTED["emodb"]


def test_a_name_that_appeared_meanwhile_is_not_overwritten(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = offer(server, "emodb")
    tree = tmp_path / ".download" / "tree"

    def say(line: str) -> None:
        if line == "checking all files":
            (tmp_path / "wav").write_text("mine")

    with pytest.raises(DownloadError, match="expected no such name before the download, got one"):
        download(source, tmp_path, say=say, pace=PACE)
    assert (tmp_path / "wav").read_text() == "mine"
    assert (tree / "wav").is_dir()
    (tmp_path / "wav").unlink()
    fetch(source, tmp_path)
    assert data_in(tmp_path) == WANTED["emodb"]


def big(server: Server) -> Source:
    """EmoDB in an archive that does not arrive whole before somebody asks again."""
    source = offer(server, "emodb")
    assert source.archive is not None
    members = ARCHIVES["emodb"] | {"emodb/noise.bin": os.urandom(2_500_000)}
    content = releases.zip_of(members)
    url = server.put("/archive.zip", content, Act(stall_after=1_000_000), modified="yesterday")
    file = replace(source.archive.file, urls=(url,), size=len(content), checksum=None)
    return replace(source, archive=replace(source.archive, file=file))


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)]
)
def test_a_killed_and_a_stopped_process_go_on_where_they_were(
    server: Server, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    source = big(server)
    with subprocess.Popen(
        releases.program(source, tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        part = tmp_path / ".download" / "files" / "emodb.zip.part"
        wait_until(lambda: part.exists() and part.stat().st_size > 100_000)
        process.send_signal(number)
        _, errors = process.communicate(timeout=600)
    assert process.returncode == status
    assert errors.decode() == (
        "" if number == signal.SIGKILL else "stopped; run the same command again to go on\n"
    )
    assert {path.name for path in tmp_path.iterdir()} == {".download"}
    size = part.stat().st_size
    fetch(source, tmp_path)
    assert data_in(tmp_path) == WANTED["emodb"]
    assert server.requests[-1].range == f"bytes={size}-"


def test_two_processes_do_not_fill_one_folder(server: Server, tmp_path: Path) -> None:
    source = big(server)
    with subprocess.Popen(releases.program(source, tmp_path), stdout=subprocess.PIPE) as process:
        part = tmp_path / ".download" / "files" / "emodb.zip.part"
        wait_until(lambda: part.exists() and part.stat().st_size > 0)
        with pytest.raises(DownloadError, match="expected a folder that no other process downl"):
            fetch(source, tmp_path)
        process.kill()
    assert find_whole(source, tmp_path) is None
