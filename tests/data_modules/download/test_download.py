"""Whole corpora from loopback into the folder that their readers expect."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from data_modules.corpora import CORPORA
from data_modules.download import SOURCES, Pace, Record, Source, download, find_whole
from data_modules.errors import CorpusNotFoundError, DownloadError
from data_modules.prepare import prepare
from tests.data_modules.download import releases
from tests.data_modules.download.releases import ARCHIVES, CREMAD_CLIPS, WANTED, offer
from tests.data_modules.download.server import Act, Server
from tests.sermm.workplace import wait_until

PACE = Pace(attempts=3, first_wait_s=0.01, stall_s=10.0, resume_from=0)
OWN = {"SHA256SUMS", "download.json"}


class Fetched(NamedTuple):
    record: Record
    said: list[str]


def fetch(source: Source, root: Path) -> Fetched:
    said: list[str] = []
    return Fetched(download(source, root, say=said.append, pace=PACE), said)


def data_in(root: Path) -> dict[str, bytes]:
    """Everything but the two files that `sermm download` adds."""
    found = releases.contents(root)
    assert set(found) >= OWN
    return {path: content for path, content in found.items() if path not in OWN}


@pytest.mark.parametrize("name", list(SOURCES))
def test_each_corpus_ends_up_as_its_reader_expects(
    server: Server, tmp_path: Path, name: str
) -> None:
    root = tmp_path / "new" / name
    record, said = fetch(offer(server, name), root)
    assert data_in(root) == WANTED[name]
    assert (root / "SHA256SUMS").read_text() == releases.sums_of(WANTED[name])
    assert json.loads((root / "download.json").read_text()) == {
        "corpus": name,
        "title": SOURCES[name].title,
        "version": SOURCES[name].version,
        "licence": SOURCES[name].licence.name,
        "licence_url": SOURCES[name].licence.url,
        "verified": SOURCES[name].verified,
        "num_files": len(WANTED[name]),
        "num_bytes": sum(map(len, WANTED[name].values())),
        "finished": record.finished,
    }
    assert said[-1] == "checking all files"
    if name in CORPORA:
        prepared = prepare(CORPORA[name], root, tmp_path / "cache")
        assert len(prepared.utterances) == releases.NUM_UTTERANCES[name]
        assert not prepared.exclusions


@pytest.mark.parametrize("name", list(SOURCES))
def test_a_second_call_asks_nobody(server: Server, tmp_path: Path, name: str) -> None:
    source = offer(server, name)
    first = fetch(source, tmp_path)
    asked = len(server.requests)
    assert fetch(source, tmp_path) == Fetched(first.record, [])
    assert len(server.requests) == asked


@pytest.mark.parametrize("name", list(SOURCES))
def test_broken_connections_everywhere(server: Server, tmp_path: Path, name: str) -> None:
    source = offer(server, name, Act(stop_after=10), Act(stop_after=15), Act(status=503))
    fetch(source, tmp_path)
    assert data_in(tmp_path) == WANTED[name]


def test_progress_ends_at_all_of_it(server: Server, tmp_path: Path) -> None:
    for name in SOURCES:
        source = offer(server, name)
        seen: list[tuple[int, int]] = []
        download(
            source,
            tmp_path / name,
            say=lambda _: None,
            on_progress=lambda *pair: seen.append(pair),  # noqa: B023
            pace=PACE,
        )
        assert seen[-1] == (source.num_bytes, source.num_bytes), name


def test_files_that_are_not_needed_are_counted(server: Server, tmp_path: Path) -> None:
    _, said = fetch(offer(server, "cremad"), tmp_path)
    assert "2 files of CREMA-D.zip are not needed and were left out" in said


# CREMA-D: pointers and what they stand for


def test_the_same_audio_under_two_names_is_fetched_once(server: Server, tmp_path: Path) -> None:
    fetch(offer(server, "cremad"), tmp_path)
    asked = [r.path for r in server.requests if r.path.startswith("/media/")]
    assert sorted(asked) == [f"/media/AudioWAV/{clip}.wav" for clip in list(CREMAD_CLIPS)[:3]]
    both = [tmp_path / "AudioWAV" / f"1006_TIE_{emotion}_XX.wav" for emotion in ("HAP", "NEU")]
    assert both[0].read_bytes() == both[1].read_bytes()


def test_a_mirror_stands_in_where_the_allowance_is_spent(server: Server, tmp_path: Path) -> None:
    source = offer(server, "cremad")
    for clip in CREMAD_CLIPS:
        server.put(f"/media/AudioWAV/{clip}.wav", b"", always=Act(status=403, slow_s=0.1))
    assert source.media is not None
    with Server().running() as mirror:
        for clip in CREMAD_CLIPS:
            mirror.put(f"/AudioWAV/{clip}.wav", CREMAD_CLIPS[clip])
        urls = (*source.media.urls, mirror.url + "/{path}")
        source = replace(source, media=replace(source.media, urls=urls))
        _, said = fetch(source, tmp_path)
        assert len(mirror.requests) == 3
    assert data_in(tmp_path) == WANTED["cremad"]
    assert len([line for line in said if "is asked first" in line]) == 1


def test_clips_that_came_are_not_fetched_again(server: Server, tmp_path: Path) -> None:
    source = offer(server, "cremad")
    late = "/media/AudioWAV/1006_TIE_HAP_XX.wav"
    server.put(late, CREMAD_CLIPS["1006_TIE_HAP_XX"], always=Act(status=404))
    with pytest.raises(DownloadError, match="404"):
        download(source, tmp_path, say=lambda _: None, pace=replace(PACE, workers=1))
    assert not [path for path in tmp_path.iterdir() if path.name != ".download"]
    server.put(late, CREMAD_CLIPS["1006_TIE_HAP_XX"])
    asked = len(server.requests)
    fetch(source, tmp_path)
    assert [r.path for r in server.requests[asked:]] == [late]
    assert data_in(tmp_path) == WANTED["cremad"]


def test_a_clip_that_is_not_what_its_pointer_says(server: Server, tmp_path: Path) -> None:
    source = offer(server, "cremad")
    clip = "/media/AudioWAV/1002_IEO_HAP_HI.wav"
    other = bytearray(CREMAD_CLIPS["1002_IEO_HAP_HI"])
    other[-1] ^= 1
    server.put(clip, bytes(other))
    with pytest.raises(DownloadError, match=r"a file with sha256 .* instead of"):
        fetch(source, tmp_path)
    # a page instead of a clip is told by its size
    server.put(clip, b"<html>log in</html>")
    with pytest.raises(DownloadError, match="got a file of 19 bytes"):
        fetch(source, tmp_path)


def test_pointers_to_more_than_there_is_are_refused(server: Server, tmp_path: Path) -> None:
    source = offer(server, "cremad")
    assert source.media is not None
    source = replace(source, media=replace(source.media, num_bytes=1000))
    with pytest.raises(DownloadError, match="pointers to at most 1,000 bytes, got 48"):
        fetch(source, tmp_path)


def test_putting_clips_in_place_may_be_stopped_anywhere(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = offer(server, "cremad")
    stop_after(monkeypatch, "replace", ".wav", 1)
    with pytest.raises(KeyboardInterrupt):
        fetch(source, tmp_path)
    monkeypatch.undo()
    fetch(source, tmp_path)
    assert data_in(tmp_path) == WANTED["cremad"]


def stop_after(monkeypatch: pytest.MonkeyPatch, method: str, suffix: str, count: int) -> None:
    """Ctrl-C at a call of a method of Path whose target ends so."""
    done: list[Path] = []
    original = getattr(Path, method)

    def stopped(self: Path, target: Path) -> Path:
        if str(target).endswith(suffix):
            done.append(target)
            if len(done) > count:
                raise KeyboardInterrupt
        moved: Path = original(self, target)
        return moved

    monkeypatch.setattr(Path, method, stopped)


# what is not as it was published


@pytest.mark.parametrize("name", ["ravdess", "emodb"])
def test_an_archive_with_another_checksum_is_kept_aside(
    server: Server, tmp_path: Path, name: str
) -> None:
    source = offer(server, name)
    assert source.archive is not None
    content = bytearray(server.files["/archive.zip"].content)
    content[50] ^= 1
    server.put("/archive.zip", bytes(content))
    with pytest.raises(DownloadError, match=r"a file with md5 .* instead of"):
        fetch(source, tmp_path)
    kept = tmp_path / ".download" / "rejected" / source.archive.file.path
    assert kept.read_bytes() == content
    server.put("/archive.zip", bytes(content), always=Act(status=404))
    with pytest.raises(DownloadError, match="404"):
        fetch(source, tmp_path)
    assert not kept.exists()
    offer(server, name)
    fetch(source, tmp_path)
    assert data_in(tmp_path) == WANTED[name]


@pytest.mark.parametrize("name", ["nemo", "cremad"])
def test_an_archive_of_other_contents_is_told_by_the_digest(
    server: Server, tmp_path: Path, name: str
) -> None:
    source = offer(server, name)
    members = dict(ARCHIVES[name])
    table = next(path for path in members if path.endswith("README.md"))
    members[table] = members[table].swapcase()
    server.put("/archive.zip", releases.zip_of(members))
    with pytest.raises(DownloadError, match=f"digest {source.digest}, got") as caught:
        fetch(source, tmp_path)
    assert caught.value.exit_status == 1
    assert (tmp_path / ".download" / "rejected" / "tree" / "README.md").is_file()
    assert not (tmp_path / "README.md").exists()
    offer(server, name)
    fetch(source, tmp_path)
    assert data_in(tmp_path) == WANTED[name]


def test_an_archive_that_climbs_out_is_refused_and_kept_aside(
    server: Server, tmp_path: Path
) -> None:
    source = offer(server, "nemo")
    members = ARCHIVES["nemo"] | {f"nEMO-{releases.COMMIT}/samples/../../../evil.wav": b"evil"}
    server.put("/archive.zip", releases.zip_of(members))
    root = tmp_path / "deep" / "nemo"
    with pytest.raises(DownloadError, match=r"names inside the archive's own folder, got '.*evil"):
        fetch(source, root)
    assert not list(tmp_path.rglob("evil*"))
    assert (root / ".download" / "rejected" / "nEMO.zip").is_file()


def test_half_an_archive_of_unknown_size_is_refused_and_kept_aside(
    server: Server, tmp_path: Path
) -> None:
    source = offer(server, "nemo")
    content = server.files["/archive.zip"].content
    server.put("/archive.zip", content[:-500], always=Act(length=None))
    with pytest.raises(DownloadError, match="expected a whole zip file, got BadZipFile"):
        fetch(source, tmp_path)
    offer(server, "nemo")
    fetch(source, tmp_path)
    assert data_in(tmp_path) == WANTED["nemo"]


# folders


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
    """EmoDB in an archive large enough to be stopped in, from a slow server."""
    source = offer(server, "emodb")
    assert source.archive is not None
    members = ARCHIVES["emodb"] | {"emodb/noise.bin": os.urandom(2_500_000)}
    content = releases.zip_of(members)
    url = server.put("/archive.zip", content, Act(slow_s=0.001), modified="yesterday")
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
        _, errors = process.communicate(timeout=20)
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
