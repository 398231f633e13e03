from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from data_modules.corpora.csd import MAX_ROWS, Csd, CsdError, Entry, open_csd
from data_modules.errors import SermmError
from tests.data_modules.csd_tree import make_videos, word_entry, write_csd, write_tree

TIMES = np.array([[0.0, 1.0], [1.0, 2.0]])
VALUES = np.array([[1.0, 2.0, 3.0], [4.0, -np.inf, np.nan]])


@pytest.mark.parametrize("root_name", ["All Labels", "CMU_MOSI_ModifiedTimestampedWords", "größe"])
def test_any_root_name_will_do(tmp_path: Path, root_name: str) -> None:
    path = write_csd(tmp_path / "a.csd", root_name, {"a": (VALUES, TIMES), "b": (VALUES, TIMES)})
    with open_csd(path) as csd:
        assert csd.root_name == root_name
        assert list(csd.entries) == ["a", "b"]
        values, times = csd.numbers("a", 3)
        np.testing.assert_array_equal(values, VALUES)
        np.testing.assert_array_equal(times, TIMES)
        assert (csd.num_rows("a"), csd.width("a"), csd.span("a")) == (2, 3, (0.0, 2.0))


def test_pieces_belong_to_their_video_in_order_of_their_numbers(tmp_path: Path) -> None:
    names = ["v[10]", "v[2]", "v", "w[0]", "x[y]"]
    path = write_csd(tmp_path / "a.csd", "r", dict.fromkeys(names, (VALUES, TIMES)))
    with open_csd(path) as csd:
        assert csd.entries == {
            "v": [Entry("v", None), Entry("v[2]", 2), Entry("v[10]", 10)],
            "w": [Entry("w[0]", 0)],
            "x[y]": [Entry("x[y]", None)],
        }
        assert [csd.is_cut(video) for video in ("v", "w", "x[y]")] == [False, True, False]


def test_words_are_decoded(tmp_path: Path) -> None:
    entry = word_entry([("na\u00efve", 0, 1), (b"caf\xe9", 1, 2), (" sp ", 2, 3), ("", 3, 4)])
    path = write_csd(tmp_path / "a.csd", "words", {"v": entry})
    with h5py.File(path, "a") as file:
        group = file["words/data"].create_group("text")
        group.create_dataset("features", data=[["plain"]], dtype=h5py.string_dtype())
        group.create_dataset("intervals", data=[[0.0, 1.0]])
    with open_csd(path) as csd:
        words, times, num_latin = csd.words("v")
        assert words == ["na\u00efve", "caf\u00e9", "sp", ""]
        assert (times.shape, num_latin) == ((4, 2), 1)
        assert csd.words("text")[0] == ["plain"]


def _entry(file: Any, **arrays: Any) -> None:
    group = file.create_group("r/data/v")
    for name, data in arrays.items():
        group.create_dataset(name, data=data)


def _claim(file: Any) -> None:
    group = file.create_group("r/data/v")
    group.create_dataset("features", (MAX_ROWS + 1, 3), "f8", chunks=(1024, 3))
    group.create_dataset("intervals", (MAX_ROWS + 1, 2), "f8", chunks=(1024, 2))


ENTRIES = {
    "no intervals": (lambda f: _entry(f, features=VALUES), "intervals"),
    "not a group": (lambda f: f.create_dataset("r/data/v", data=VALUES), "can be read"),
    "flat": (lambda f: _entry(f, features=VALUES[0], intervals=TIMES), r"got \(3,\)"),
    "scalar": (lambda f: _entry(f, features=1.0, intervals=TIMES), r"got \(\) and \(2, 2\)"),
    "rows": (lambda f: _entry(f, features=VALUES[:1], intervals=TIMES), r"\(1, 3\) and \(2, 2\)"),
    "width": (lambda f: _entry(f, features=VALUES[:, :2], intervals=TIMES), "3 values.*got 2"),
    "ends": (lambda f: _entry(f, features=VALUES, intervals=TIMES[:, :1]), r"and \(2, 1\)"),
    "words": (
        lambda f: _entry(f, features=np.array([[b"a", b"b", b"c"]] * 2), intervals=TIMES),
        "numbers.*type",
    ),
    "complex": (lambda f: _entry(f, features=TIMES * 1j, intervals=TIMES), "numbers.*complex"),
    "times": (
        lambda f: _entry(f, features=VALUES, intervals=np.array([[b"a", b"b"]] * 2)),
        "features .n, d. and intervals",
    ),
    "size": (_claim, f"at most {MAX_ROWS} rows"),
}


@pytest.mark.parametrize(("make", "text"), ENTRIES.values(), ids=ENTRIES.keys())
def test_a_wrong_entry_is_told_with_file_and_video(tmp_path: Path, make: Any, text: str) -> None:
    path = tmp_path / "a.csd"
    with h5py.File(path, "w") as file:
        make(file)
    with open_csd(path) as csd, pytest.raises(CsdError, match=rf"a\.csd:r/data/v: .*{text}"):
        csd.numbers("v", 3)


def test_numbers_are_no_words(tmp_path: Path) -> None:
    path = write_csd(tmp_path / "a.csd", "r", {"v": (VALUES[:, :1], TIMES)})
    with open_csd(path) as csd, pytest.raises(CsdError, match="one word in a row, got 1 values"):
        csd.words("v")


def test_an_entry_whose_values_are_damaged_leaves_the_others(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(2000, 3))
    times = np.zeros((2000, 2))
    path = write_csd(tmp_path / "a.csd", "r", {"v": (values, times), "w": (VALUES, TIMES)})
    with h5py.File(path) as file:
        chunk = file["r/data/v/features"].id.get_chunk_info(0)
    data = bytearray(path.read_bytes())
    data[chunk.byte_offset : chunk.byte_offset + 200] = bytes(200)
    path.write_bytes(data)
    with open_csd(path) as csd:
        with pytest.raises(CsdError, match=r"r/data/v: expected an entry that can be read"):
            csd.numbers("v", 3)
        assert len(csd.numbers("w", 3)[0]) == 2


@pytest.mark.parametrize(
    ("roots", "text"),
    [
        ({}, "one top-level group that holds data, got none"),
        ({"a": "data", "b": "data"}, "got a, b"),
        ({"a": "other"}, "got none"),
    ],
)
def test_a_file_has_one_root(tmp_path: Path, roots: dict[str, str], text: str) -> None:
    path = tmp_path / "a.csd"
    with h5py.File(path, "w") as file:
        file.create_dataset("flat", data=VALUES)
        for root_name, name in roots.items():
            file.create_group(root_name).create_group(name)
    with pytest.raises(CsdError, match=text), open_csd(path):
        pass


@pytest.mark.parametrize("data", [b"", b"no HDF5 at all", None], ids=["empty", "text", "cut"])
def test_a_file_that_is_no_hdf5_is_told_in_a_line(tmp_path: Path, data: bytes | None) -> None:
    path = write_csd(tmp_path / "a.csd", "r", {"v": (VALUES, TIMES)})
    path.write_bytes(path.read_bytes()[:900] if data is None else data)
    with pytest.raises(CsdError, match=r"a\.csd: expected an HDF5 file") as caught, open_csd(path):
        pass
    assert "\n" not in str(caught.value)


def _read_all(csd: Csd) -> int:
    number = 0
    for entries in csd.entries.values():
        for entry in entries:
            try:
                number += len(csd.numbers(entry.key, 74)[0])
            except CsdError as error:
                assert "\n" not in str(error)  # noqa: PT017  either outcome is right
    return number


def test_damaged_bytes_are_read_or_refused(tmp_path: Path) -> None:
    videos = make_videos("mosi", train=1, val=1, test=0, segments=1)
    path = write_tree(tmp_path, "mosi", videos, skip=("labels", "words")) / "CMU_MOSI_COVAREP.csd"
    sound = path.read_bytes()
    refused = 0
    for seed in range(300):
        rng = random.Random(seed)
        data = bytearray(sound)
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        for _ in range(rng.choice((1, 4, 40))):
            at = rng.randrange(len(data)) if data else 0
            data[at : at + 8] = rng.randbytes(8)
        path.write_bytes(data)
        try:
            with open_csd(path) as csd:
                _read_all(csd)
        except SermmError as error:
            assert "\n" not in str(error)  # noqa: PT017  either outcome is right
            refused += 1
    assert 0 < refused < 300
