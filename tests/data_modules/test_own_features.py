from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from data_modules.errors import DataError
from data_modules.manifest import Utterance
from data_modules.own_features import own_features

Arrays = Mapping[str, np.ndarray[Any, Any]]
IDS = ["a1", "deep/b2", "c3", "d4"]
UTTERANCES = [Utterance(name, "made", start_s=0.0, end_s=1.0) for name in IDS]


def npz(folder: Path, arrays: Arrays) -> Path:
    np.savez(folder / "own.npz", **arrays)  # type: ignore[arg-type]
    return folder / "own.npz"


def hdf5(folder: Path, arrays: Arrays) -> Path:
    with h5py.File(folder / "own.h5", "w") as file:
        for name, values in arrays.items():
            file[name] = values
    return folder / "own.h5"


def loose(folder: Path, arrays: Arrays) -> Path:
    for number, (name, values) in enumerate(arrays.items()):
        path = folder / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % 2:
            np.savez(path, values)
        else:
            np.save(path, values)
    return folder / "own"


Writer = Callable[[Path, Arrays], Path]
WRITERS = pytest.mark.parametrize("write", [npz, hdf5, loose])


def read(path: Path, stride_s: float) -> dict[str, tuple[np.ndarray[Any, Any], int]]:
    features = own_features(path, stride_s, UTTERANCES)
    return {name: (frames, lost) for name, frames, lost in features.read(Path(), UTTERANCES)}


@WRITERS
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2", "<i2"])
def test_frames_by_id(tmp_path: Path, write: Writer, dtype: str) -> None:
    arrays = {name: np.arange(6).reshape(2, 3).astype(dtype) for name in IDS[:3]}
    path = write(tmp_path, {**arrays, "of nobody": np.zeros((1, 9))})
    found = read(path, 0.02)
    assert list(found) == IDS[:3]  # the last has none, and is listed by who asked
    for frames, lost in found.values():
        assert frames.dtype == np.float32
        assert frames.tolist() == [[0, 1, 2], [3, 4, 5]]
        assert lost == 0
    features = own_features(path, 0.02, UTTERANCES)
    assert (features.dim, features.stride_s) == (3, 0.02)
    assert all(file.is_file() for file in features.files(Path()))
    assert len(features.files(Path())) == (4 if path.is_dir() else 1)


@WRITERS
def test_vectors_by_id(tmp_path: Path, write: Writer) -> None:
    path = write(tmp_path, {"a1": np.ones(4), "c3": np.zeros((1, 4))})
    features = own_features(path, 0.0, UTTERANCES)
    assert (features.dim, features.stride_s) == (4, None)
    assert {name: frames.shape for name, (frames, _) in read(path, 0.0).items()} == {
        "a1": (1, 4),
        "c3": (1, 4),
    }


@WRITERS
def test_what_is_not_finite_becomes_zero_and_is_counted(tmp_path: Path, write: Writer) -> None:
    path = write(tmp_path, {"a1": np.array([[np.nan, 1.0], [-np.inf, 1e300]])})
    frames, lost = read(path, 0.02)["a1"]
    assert frames.tolist() == [[0, 1], [0, 0]]
    assert lost == 3


@WRITERS
@pytest.mark.parametrize(
    ("array", "stride_s", "message"),
    [
        (np.ones(3), 0.02, r"a1: expected frames \(F, D\), got \(3,\)"),
        (np.ones((2, 3)), 0.0, r"a1: expected one vector \(D,\), got \(2, 3\)"),
        (np.ones((0, 3)), 0.02, r"a1: expected frames \(F, D\), got \(0, 3\)"),
        (np.array([[b"no"]]), 0.02, r"a1: expected numbers, got \|S2"),
        (np.ones((1, 2), complex), 0.02, r"a1: expected numbers, got complex128"),
    ],
)
def test_arrays_of_another_form(
    tmp_path: Path,
    write: Writer,
    array: np.ndarray[Any, Any],
    stride_s: float,
    message: str,
) -> None:
    with pytest.raises(DataError, match=message):
        read(write(tmp_path, {"a1": array}), stride_s)


@WRITERS
def test_widths_that_differ_and_ids_that_are_not_there(tmp_path: Path, write: Writer) -> None:
    path = write(tmp_path, {"a1": np.ones((2, 3)), "c3": np.ones((2, 4))})
    with pytest.raises(DataError, match=r"c3: expected 3 values in a frame, got \(2, 4\)"):
        read(path, 0.02)
    (tmp_path / "none").mkdir()
    empty = write(tmp_path / "none", {"of nobody": np.ones((2, 3))})
    with pytest.raises(DataError, match="by the ids of the manifest, such as a1, got none of them"):
        own_features(empty, 0.02, UTTERANCES)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "sprung",))

    trap = np.array([[Trap()]], dtype=object)
    for path in (npz(tmp_path, {"a1": trap}), loose(tmp_path, {"a1": trap})):
        with pytest.raises(DataError, match="without unpickling, got Object arrays"):
            read(path, 0.02)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["own.npz", "own.h5"])
@pytest.mark.parametrize("content", [b"", b"no features", b"PK\x03\x04 cut short"])
def test_damaged_files(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match="expected arrays of numbers that load without unpickling"):
        read(tmp_path / name, 0.02)


def test_a_member_that_is_damaged_is_named(tmp_path: Path) -> None:
    path = npz(tmp_path, {"a1": np.ones((50, 3))})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"own.npz: a1: expected arrays.*Bad CRC"):
        read(path, 0.02)


def test_other_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"got no file; correct data\.features"):
        read(tmp_path / "none.npz", 0.02)
    np.save(tmp_path / "one.npy", np.ones((2, 3)))
    with pytest.raises(DataError, match="a single array"):
        read(tmp_path / "one.npy", 0.02)


def test_places_and_strides_are_told_apart(tmp_path: Path) -> None:
    first = npz(tmp_path, {"a1": np.ones((1, 3))})
    second = hdf5(tmp_path, {"a1": np.ones((1, 3))})
    origins = {own_features(p, s, UTTERANCES).origin for p in (first, second) for s in (0, 0.1)}
    assert len(origins) == 4
