"""Extraction in shards on a SLURM cluster of one node."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from benchmarks.tiny_models import save_speech_model
from data_modules.cache import FeatureStore
from data_modules.cache_care import check_stores
from data_modules.shard import SUFFIX, Shard
from tests.slurm.conftest import Start, end

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

NUM_CLIPS = 80


def test_shards_of_which_one_is_killed_store_what_one_process_does(start: Start) -> None:
    """Another one is requeued; the same command goes on with what the killed one lacks."""
    model = save_speech_model("wav2vec2, group norm", Path("model").absolute())
    small = (
        *("acoustic_demo", "data.demo.utterances_per_speaker=8", "trainer.accelerator=cpu"),
        *("model.speech.upstream=huggingface", f"model.speech.name={model}"),
    )
    in_shards = (*small, "data.cache=shards", "--shards", "4", "--on", "slurm")
    extraction = start("extract", *in_shards)
    job = wait_for_jobs(2)
    alter("scontrol", "requeue", f"{job}_0")
    alter("scancel", "--signal=KILL", f"{job}_1")
    status, said = end(extraction)
    assert status == 1, said
    assert f"huggingface: {NUM_CLIPS} clips, about" in said
    assert all(f"shard {number}/4 finished" in said for number in (1, 3, 4))
    assert "shard 2/4: " in said
    assert "what was stored is kept" in said
    stored = len(contents("shards"))
    assert NUM_CLIPS / 2 < stored < NUM_CLIPS

    status, said = end(start("extract", *in_shards))
    assert status == 0, said
    assert f"huggingface: {NUM_CLIPS - stored} clips, about" in said
    assert end(start("extract", *small, "data.cache=alone"))[0] == 0
    assert len(contents("alone")) == NUM_CLIPS
    assert contents("shards") == contents("alone")
    assert check_stores(Path("shards")).problems == []


def wait_for_jobs(number: int) -> str:
    """The id of the array once so many of its jobs have begun."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        logs = [path.name for path in Path("shards/jobs").glob("*/*_log.out")]
        if len(logs) >= number:
            return logs[0].partition("_")[0]
        time.sleep(0.1)
    raise AssertionError("no job began")


def alter(*command: str) -> None:
    """Disturb a job; for a moment after it has begun it cannot be."""
    while (said := subprocess.run(command, capture_output=True, text=True, check=False)).returncode:
        assert "can not be altered now" in said.stderr, said
        time.sleep(0.1)


def contents(cache: str) -> dict[str, bytes]:
    """The frames of each clip that is stored."""
    (folder,) = (Path(cache) / "features").iterdir()
    store = FeatureStore.open(folder)
    keys = (key for path in folder.glob(f"*{SUFFIX}") for key in shard_of(path, store).entries)
    return {key: store.read(key).tobytes() for key in keys}


def shard_of(path: Path, store: FeatureStore) -> Shard:
    return Shard(path, frame_bytes=store.description.frame_bytes)
