"""``sermm download`` as a user meets it: the licence, what happened, what is next."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from data_modules.download import SOURCES
from tests.data_modules.download.releases import WANTED, contents, offer
from tests.data_modules.download.server import Act, Server
from tests.sermm.workplace import Said, Workplace


@pytest.fixture
def place(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """A folder, with EmoDB on loopback and nobody at the keyboard."""
    monkeypatch.setitem(SOURCES, "emodb", offer(server, "emodb"))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.chdir(tmp_path)
    return Workplace(tmp_path, tmp_path, tmp_path)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_licence_shown_files_fetched_and_what_is_next(place: Workplace) -> None:
    said = place.sermm("download", "emodb", "--root", "data/emodb", "--accept-licence")
    assert (said.status, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0].startswith("EmoDB, Zenodo record 7447302, version 1.3.0, ")
    assert lines[1] == (
        "licence: CC0 1.0, https://creativecommons.org/publicdomain/zero/1.0/legalcode"
    )
    assert lines[3] == "accepted with --accept-licence"
    assert lines[-3].startswith("EmoDB is there: 2 files, 0 MB in data/emodb, fetched 20")
    assert lines[-1] == "go on with: sermm prepare emodb --root data/emodb"
    assert set(WANTED["emodb"]) < set(contents(place.folder / "data" / "emodb"))
    # what it says to do next works
    assert place.sermm("prepare", "emodb", "--root", "data/emodb").status == 0


def test_a_second_call_does_nothing_and_says_so(place: Workplace, server: Server) -> None:
    place.sermm("download", "emodb", "--root", "d", "--accept-licence")
    asked = len(server.requests)
    # and needs no licence
    said = place.sermm("download", "emodb", "--root", "d")
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith("EmoDB was there already: 2 files, 0 MB in d, fetched 20")
    assert "licence" not in said.out
    assert len(server.requests) == asked


def assert_one_line(said: Said, status: int, *parts: str) -> None:
    assert said.status == status
    assert said.err.count("\n") == 1
    assert said.err.startswith("error: ")
    for part in parts:
        assert part in said.err


def test_without_a_terminal_the_licence_must_be_accepted_in_words(
    place: Workplace, server: Server
) -> None:
    said = place.sermm("download", "emodb", "--root", "d")
    assert_one_line(
        said,
        2,
        "--accept-licence: expected the licence of EmoDB (CC0 1.0) to be accepted",
        "got no terminal to ask at; read https://creativecommons.org/",
    )
    assert said.out == ""
    assert not (place.folder / "d").exists()
    assert not server.requests


@pytest.mark.parametrize(("typed", "status"), [("yes\n", 0), ("y\n", 2), ("\n", 2), ("no\n", 2)])
def test_at_a_terminal_yes_must_be_typed(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, typed: str, status: int
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    said = place.sermm("download", "emodb", "--root", "d")
    assert said.status == status
    assert "licence: CC0 1.0" in said.out
    assert "type yes to accept it: " in said.out
    assert (place.folder / "d").exists() == (status == 0)
    if status:
        assert_one_line(said, 2, "the licence: expected the licence of EmoDB", "got no; read ")


def test_an_end_of_input_accepts_nothing(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(""))
    assert place.sermm("download", "emodb", "--root", "d").status == 130
    assert not (place.folder / "d").exists()


def test_what_is_wrong_with_the_folder_comes_before_the_licence(place: Workplace) -> None:
    (place.folder / "d").mkdir()
    (place.folder / "d" / "mine").write_text("")
    said = place.sermm("download", "emodb", "--root", "d")
    assert_one_line(said, 2, "d: expected an empty folder", "got mine; ")


def test_what_fails_is_status_1(place: Workplace, server: Server) -> None:
    server.put("/archive.zip", b"", always=Act(status=404))
    said = place.sermm("download", "emodb", "--root", "d", "--accept-licence")
    assert_one_line(said, 1, "/archive.zip: expected emodb.zip (", "got status 404 (Not Found); ")


def test_what_is_not_for_everyone(place: Workplace) -> None:
    said = place.sermm("download", "iemocap", "--root", "d", "--accept-licence")
    assert_one_line(said, 2, "got IEMOCAP, which cannot", "docs/download.md")
