"""`sermm convert-mmsa` as users type it."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from sermm.cli import run
from tests.data_modules.mmsa_pickle import feature_file


class Command:
    def __reduce__(self) -> Any:
        return os.system, ("touch executed",)


def test_a_feature_file_becomes_a_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    data = feature_file()
    data["config"] = 1
    Path("aligned_50.pkl").write_bytes(pickle.dumps(data))
    Path("mosi").mkdir()
    assert run(["convert-mmsa", "aligned_50.pkl", "mosi/aligned.h5"]) == 0
    out = capsys.readouterr().out
    assert "aligned_50.pkl is none of the files that MMSA publishes" in out
    assert "not converted, as MMSA knows no such names: config" in out
    assert "mosi/aligned.h5: train 4, valid 2, test 1" in out
    # a second time is a mistake, told in a line
    assert run(["convert-mmsa", "aligned_50.pkl", "mosi/aligned.h5"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: mosi/aligned.h5: expected a new file")
    assert told.count("\n") == 1


def test_a_command_in_the_file_is_refused_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data.pkl").write_bytes(pickle.dumps({"train": Command()}))
    assert run(["convert-mmsa", "data.pkl", "out.h5"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: data.pkl: expected a pickle (protocol 2 to 5) of plain data")
    assert ".system, which is code and not data" in told
    assert told.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["data.pkl"]
