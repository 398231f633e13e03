"""Whole corpora from loopback into the folder that their readers expect."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from data_modules.corpora import CORPORA
from data_modules.download import SOURCES, download
from data_modules.errors import DownloadError
from data_modules.prepare import prepare
from tests.data_modules.download import releases
from tests.data_modules.download.releases import ARCHIVES, CREMAD_CLIPS, WANTED, offer
from tests.data_modules.download.server import Act, Server
from tests.data_modules.download.whole import PACE, Fetched, data_in, fetch, stop_after


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
