from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

import pytest

from data_modules.atomic import atomic_path, write_atomically, write_json


def test_a_file_appears_with_its_folder_and_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.json"
    write_json(path, {"name": "Źródło", "values": [1, 2]})
    assert path.read_text(encoding="utf-8") == (
        '{\n  "name": "Źródło",\n  "values": [\n    1,\n    2\n  ]\n}\n'
    )
    plain = tmp_path / "plain"
    plain.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    assert [p.name for p in path.parent.iterdir()] == ["a.json"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_half_way_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old", encoding="utf-8")

    def write(stream: IO[str]) -> None:
        stream.write("half")
        stream.flush()
        raise error

    with pytest.raises(error):
        write_atomically(path, write)
    assert path.read_text(encoding="utf-8") == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_the_mask_of_the_process_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can only be asked for by changing it, and two threads that do lose it."""
    monkeypatch.delattr(os, "umask")
    write_json(tmp_path / "a.json", {})
    assert (tmp_path / "a.json").is_file()


def test_nobody_sees_the_file_before_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"half")
        assert not path.exists()
        assert temporary.parent == path.parent
        temporary.write_bytes(b"whole")
    assert path.read_bytes() == b"whole"
