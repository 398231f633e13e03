"""Files go with the last answer that needs them, and old ones without a question."""

from __future__ import annotations

from pathlib import Path

import pytest

from sermm.demo.uploads import Uploads


def test_a_file_goes_with_the_last_answer(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, 600)
    path = tmp_path / "hash" / "a.wav"
    path.parent.mkdir()
    path.write_bytes(b"a")
    for _ in range(2):
        uploads.begin()
        uploads.end([str(path)])
    uploads.answered(path)
    assert path.exists()
    uploads.begin()  # a third that could be the same file
    uploads.answered(path)
    assert path.exists()
    uploads.end([str(path)])
    assert path.exists()
    uploads.answered(path)
    assert not path.exists()


def test_what_was_sent_in_part_goes_when_nothing_is_being_sent(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, 600)
    uploads.begin()
    uploads.begin()
    (tmp_path / "part").write_bytes(b"a")
    uploads.end([])
    assert (tmp_path / "part").exists()
    uploads.end([])
    assert not (tmp_path / "part").exists()


def test_what_nobody_asks_about_grows_old(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    path = tmp_path / "part" / "interrupted"
    path.write_bytes(b"a")
    Uploads(tmp_path, 600).sweep()
    assert path.exists()
    Uploads(tmp_path, -1).sweep()
    assert not path.exists()


def test_nothing_else_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "uploads"
    folder.mkdir()
    other = tmp_path / "other"
    other.write_bytes(b"a")
    with pytest.raises(ValueError, match="expected a file in"):
        Uploads(folder, 600).answered(other)
    assert other.exists()
