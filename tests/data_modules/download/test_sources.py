"""The table of sources is well formed, and agrees with copies of the same files."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from data_modules.corpora import CORPORA
from data_modules.download import SOURCES, find_source
from data_modules.download.record import hash_file
from data_modules.download.sources import RemoteFile, Source
from data_modules.errors import ConfigError


def files_of(source: Source) -> list[RemoteFile]:
    return [*source.files, *([source.archive.file] if source.archive else [])]


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_nothing_is_fetched_unchecked(source: Source) -> None:
    for file in files_of(source):
        assert file.checksum or source.digest, file.path
        if file.checksum:
            algorithm, _, value = file.checksum.partition(":")
            length = {"md5": 32, "sha256": 64}[algorithm]
            assert re.fullmatch(f"[0-9a-f]{{{length}}}", value)
    assert source.digest is None or re.fullmatch("[0-9a-f]{64}", source.digest)


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_addresses_name_one_content_for_ever(source: Source) -> None:
    urls = [url for file in files_of(source) for url in file.urls]
    assert urls
    for url in urls:
        assert url.startswith("https://")
        # a record of Zenodo or a commit, and no branch
        assert re.search(r"/records/\d+/files/|/[0-9a-f]{40}[/.]", url), url
    for url in source.media.urls if source.media else ():
        assert "{path}" in url
    assert source.licence.url.startswith("https://")
    # the version of a commit is the commit of the addresses
    commits = {commit for url in urls for commit in re.findall("[0-9a-f]{40}", url)}
    assert {re.findall("[0-9a-f]{40}", source.version)[0]} == commits if commits else not commits


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_paths_stay_in_their_folder(source: Source) -> None:
    for file in files_of(source):
        assert not Path(file.path).is_absolute()
        assert ".." not in Path(file.path).parts
        assert file.size > 0
    if source.archive:
        assert "(?P<path>" in source.archive.take
        assert source.archive.file.path == Path(source.archive.file.path).name


def test_the_digest_of_files_that_are_fetched_one_by_one() -> None:
    source = SOURCES["meld"]
    sums = sorted((file.path, (file.checksum or "").partition(":")[2]) for file in source.files)
    listing = "".join(f"{value}  {path}\n" for path, value in sums)
    assert hashlib.sha256(listing.encode()).hexdigest() == source.digest


@pytest.mark.real
def test_checksums_are_those_of_unchanged_copies(shared_data: Path) -> None:
    found = 0
    for file in SOURCES["meld"].files:
        copy = shared_data / "meld" / file.path
        if file.path.startswith("data/") and copy.is_file():
            assert file.checksum == f"sha256:{hash_file(copy, 'sha256')}"
            assert file.size == copy.stat().st_size
            found += 1
    assert found == 2


def test_names_are_those_of_readers() -> None:
    # a reader may come after its source, but not under another name
    assert {"ravdess", "emodb", "nemo"} <= SOURCES.keys() & CORPORA.keys()
    for name, source in SOURCES.items():
        assert source.corpus == name
        if name in CORPORA:
            assert source.title.partition(" (")[0] == CORPORA[name].title.partition(" (")[0]


def test_what_cannot_be_fetched_says_where_it_is() -> None:
    with pytest.raises(ConfigError, match="write ravdess"):
        find_source("Ravdes")
    with pytest.raises(
        ConfigError, match=r"got IEMOCAP, which cannot \(on signed request"
    ) as error:
        find_source("iemocap")
    assert CORPORA["iemocap"].source in error.value.fix
    assert "docs/download.md" in error.value.fix
    with pytest.raises(ConfigError, match="choose one of these"):
        find_source("librispeech")
