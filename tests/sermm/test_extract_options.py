"""``sermm extract``: shards and devices are processes of their own, and bad options are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.tiny_models import save_speech_model
from data_modules.cache_care import check_stores, list_stores
from sermm.cli import run
from sermm.extract_batches import Share
from sermm.extract_options import ExtractOptions
from tests.sermm.workplace import Workplace


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--shards", "2"], "--shards: expected --shards and --on together"),
        (["--on", "local:2"], "--shards: expected --shards and --on together"),
        (["--on-option", "timeout_min=3"], "--shards: expected --shards and --on together"),
        (["--shards", "2", "--on", "pbs"], "--on: expected local:N, slurm or slurm:N"),
        (["--shard", "0/2"], "--shard: expected i/N with i from 1 to N, got '0/2'"),
        (["--shard", "3/2"], "--shard: expected i/N"),
        (["--shard", "half"], "--shard: expected i/N"),
        (["--shard", "1/2", "--on", "slurm"], "--shard: expected no --shards, --on or --on-option"),
    ],
)
def test_options_that_do_not_go_together(
    options: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["extract", "acoustic_demo", *options]) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("devices", ["gpu", "cuda:x", "cpu;cpu", ""])
def test_devices_are_named_as_torch_names_them(
    devices: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["config", "acoustic_demo", f"extract.devices={devices}"]) == 2
    assert "extract.devices: expected " in capsys.readouterr().err


def test_shares_count_from_one() -> None:
    assert ExtractOptions(shard="2/4").share() == Share(1, 4)
    assert ExtractOptions(shards=4, on="local:2").check() == "jobs"
    assert ExtractOptions().check() == "here"


@pytest.mark.slow
@pytest.mark.parametrize(
    "how", [("--shards", "3", "--on", "local:2"), ("extract.devices=cpu,cpu",)]
)
def test_processes_share_an_extraction_out(
    place: Workplace, tmp_path: Path, how: tuple[str, ...]
) -> None:
    model = save_speech_model("wav2vec2, layer norm", tmp_path / "model")
    encoder = ("model.speech.upstream=huggingface", f"model.speech.name={model}")
    settings = place.settings("acoustic", *encoder, f"data.cache={tmp_path}")
    said = place.sermm("extract", *settings, *how)
    assert (said.status, said.err) == (0, "")
    assert said.out.count("finished") == (3 if "--shards" in how else 2)
    (store,) = list_stores(tmp_path)
    assert check_stores(tmp_path).problems == []
    # nothing is left to do, and nothing was computed twice
    assert check_stores(tmp_path).num_items == store.num_clips > 0
    again = place.sermm("extract", *settings)
    assert (again.status, "clips, about" in again.out) == (0, False)
