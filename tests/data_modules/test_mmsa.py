"""MMSA's pickles to HDF5: everything arrives, and what is no such file is told in a line."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from data_modules import mmsa
from data_modules.errors import DataError
from data_modules.mmsa import convert_mmsa
from data_modules.safe_pickle import PickleRefusedError
from tests.data_modules.mmsa_pickle import feature_file
from tests.data_modules.test_safe_pickle import numpy_1


def write(folder: Path, data: Any, protocol: int = 4) -> Path:
    path = folder / "aligned_50.pkl"
    path.write_bytes(pickle.dumps(data, protocol=protocol))
    return path


@pytest.mark.parametrize("layout", [bytes, numpy_1])
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_everything_arrives(
    tmp_path: Path, protocol: int, layout: Callable[[bytes], bytes]
) -> None:
    data = feature_file()
    source = tmp_path / "aligned_50.pkl"
    source.write_bytes(layout(pickle.dumps(data, protocol=protocol)))
    steps: list[tuple[int, int]] = []
    made = convert_mmsa(source, tmp_path / "mosi.h5", on_progress=lambda *told: steps.append(told))
    assert made.num_utterances == {"train": 4, "valid": 2, "test": 1}
    assert made.left_out == ()
    assert made.published == ""
    assert steps == [(4, 7), (6, 7), (7, 7)]
    with h5py.File(made.path, "r") as stream:
        assert stream.attrs["format"] == b"sermm-mmsa"
        assert stream.attrs["source"] == "aligned_50.pkl"
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        assert stream.attrs["source_sha256"] == digest
        assert set(stream) == set(data)
        for part, entries in data.items():
            assert set(stream[part]) == set(entries)
            for name, values in entries.items():
                stored = stream[part][name]
                if name in mmsa.TEXTS:
                    assert stored.asstr()[:].tolist() == list(values)
                else:
                    values = np.asarray(values)
                    assert stored.dtype == values.dtype
                    np.testing.assert_array_equal(stored[:], values)


def test_other_forms_of_the_same(tmp_path: Path) -> None:
    data = feature_file()
    train = data["train"]
    train["regression_labels"] = train["regression_labels"].reshape(-1, 1)
    train["id"] = np.array(train["id"], dtype=object).reshape(-1, 1)
    train["raw_text"] = [text.encode() for text in train["raw_text"]]
    train["audio"] = list(train["audio"])
    del train["annotations"], train["classification_labels"], data["test"]
    data["config"] = {"audio": "covarep"}
    data["valid"]["speaker"] = ["a", "b"]
    made = convert_mmsa(write(tmp_path, data), tmp_path / "mosi.h5")
    assert made.left_out == ("config", "valid/speaker")
    assert made.num_utterances == {"train": 4, "valid": 2}
    plain = feature_file()["train"]
    with h5py.File(made.path, "r") as stream:
        assert stream["train/id"].asstr()[:].tolist() == plain["id"]
        assert stream["train/raw_text"].asstr()[:].tolist() == plain["raw_text"].tolist()
        np.testing.assert_array_equal(stream["train/audio"][:], plain["audio"])
        np.testing.assert_array_equal(
            stream["train/regression_labels"][:], plain["regression_labels"]
        )


def test_a_published_file_is_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path, feature_file())
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    monkeypatch.setitem(mmsa.PUBLISHED, digest, "MOSI/aligned_50.pkl")
    assert convert_mmsa(source, tmp_path / "mosi.h5").published == "MOSI/aligned_50.pkl"


class Command:
    def __reduce__(self) -> Any:
        return os.system, ("touch executed",)


def change(part: str, name: str, value: Any) -> Callable[[Any], Any]:
    def changed(data: Any) -> Any:
        data[part][name] = value
        return data

    return changed


def without(part: str, *names: str) -> Callable[[Any], Any]:
    def changed(data: Any) -> Any:
        for name in names:
            del data[part][name]
        return data

    return changed


WRONG: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a list": (lambda data: [data], "with train, valid and test, got a list"),
    "other keys": (lambda data: {"x": data}, "got a dictionary with x"),
    "part that is a list": (
        lambda data: {"train": [1]},
        "train: expected a dictionary, got a list",
    ),
    "no ids": (without("valid", "id"), "valid: expected id, regression_labels and some of"),
    "no scores": (without("valid", "regression_labels"), "valid: expected id"),
    "no features": (without("test", "text", "text_bert", "audio", "vision"), "test: expected id"),
    "other number": (
        change("train", "audio", np.zeros((3, 6, 5))),
        "4 entries of each, got audio 3",
    ),
    "flat features": (
        change("train", "audio", np.zeros((4, 30))),
        "with 3 dimensions, got an array",
    ),
    "text for numbers": (change("train", "audio", ["a"] * 4), "a list of 1 kinds of things"),
    "ragged": (
        change("train", "audio", [np.zeros((n, 5)) for n in range(4)]),
        "a list of 4 kinds of things",
    ),
    "complex names": (change("train", "id", ["a", 1, "b", "c"]), r"train/id\[1\]: expected a text"),
    "no texts": (change("train", "raw_text", 3), "train/raw_text: expected texts, got a int"),
    "text with a null": (change("test", "raw_text", ["a\0b"]), "text that UTF-8 can hold"),
    "bytes that are not UTF-8": (change("test", "raw_text", [b"\xff"]), "expected text in UTF-8"),
    "numbers too large": (change("test", "audio_lengths", [2**70]), "numbers with 1 dimensions"),
    "one number for all": (change("test", "audio_lengths", np.array(3)), "numbers with 1 dim"),
    "array many times": (
        change("train", "audio", [np.zeros((6, 5))] * 4),
        "one array several times",
    ),
    "text many times": (
        change("train", "raw_text", ["a" * 10**6] * 400),
        "one long text many times",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_feature_file_is_told(tmp_path: Path, name: str) -> None:
    changed, told = WRONG[name]
    source = write(tmp_path, changed(feature_file()))
    with pytest.raises(DataError, match=told) as caught:
        convert_mmsa(source, tmp_path / "mosi.h5")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


def test_a_command_in_the_file_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = write(tmp_path, change("train", "annotations", [Command()])(feature_file()))
    with pytest.raises(PickleRefusedError, match=r"the global (posix|nt)\.system"):
        convert_mmsa(source, tmp_path / "mosi.h5")
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    source = write(tmp_path, feature_file())
    convert_mmsa(source, tmp_path / "mosi.h5")
    before = (tmp_path / "mosi.h5").read_bytes()
    with pytest.raises(DataError, match="got one that exists"):
        convert_mmsa(source, tmp_path / "mosi.h5")
    assert (tmp_path / "mosi.h5").read_bytes() == before
    with pytest.raises(DataError, match=r"ends in \.h5, got another name"):
        convert_mmsa(source, tmp_path / "mosi.pkl")
    with pytest.raises(DataError, match=r"nowhere\.pkl: expected a file that can be read"):
        convert_mmsa(tmp_path / "nowhere.pkl", tmp_path / "other.h5")
