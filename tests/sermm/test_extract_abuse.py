"""Extraction under kills, many writers and a full disk: nothing wrong, nothing confirmed lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.tiny_models import save_speech_model
from data_modules.cache import FeatureStore
from data_modules.errors import CacheError
from sermm.extract import extract, missing_clips, open_store
from sermm.upstreams import SpeechUpstream, build_speech_upstream
from tests.sermm.extract_kills import clips


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_speech_model("wav2vec2, group norm", tmp_path_factory.mktemp("model"))


@pytest.fixture
def upstream(model: Path) -> SpeechUpstream:
    return build_speech_upstream("huggingface", name=str(model))


@pytest.mark.slow
def test_kills_at_random_points_and_many_writers(tmp_path: Path, model: Path) -> None:
    command = [sys.executable, "-m", "tests.sermm.extract_kills", str(model), str(tmp_path)]
    done = subprocess.run(
        command,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seen = json.loads(done.stdout.splitlines()[-1])
    assert len(set(seen["stored_after_each_kill"])) > 3
    assert seen["confirmed_and_lost"] == seen["writers_that_failed"] == 0
    assert seen["differing_after_kills"] == seen["differing_after_writers"] == 0
    assert seen["damaged_files"] == 0


def test_a_disk_that_fills_up_keeps_what_was_stored(
    tmp_path: Path, upstream: SpeechUpstream
) -> None:
    """A limit on the size of files stands for the disk: a small shard fits, a large one not."""
    import resource

    store = open_store(upstream, tmp_path)
    extract(upstream, clips()[:5], store)
    before = len(store)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(CacheError, match=r"room and permission to write features, got File"):
            extract(upstream, clips(), store)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(store.folder.glob(".*"))
    again = FeatureStore.open(store.folder)
    assert again.verify() == len(again) == before
    extract(upstream, clips(), again)
    assert missing_clips(clips(), again) == []


def test_a_flipped_byte_is_an_error_and_not_a_feature(
    tmp_path: Path, upstream: SpeechUpstream
) -> None:
    store = open_store(upstream, tmp_path)
    extract(upstream, clips()[:3], store)
    (shard,) = store.folder.glob("*.shard")
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.write_bytes(data)
    damaged = FeatureStore.open(store.folder)
    keys = [clip.key for clip in clips()[:3]]
    at = {key: damaged._where[key].entries[key].offset for key in keys}
    hit = min((key for key in at if at[key] <= 100), key=lambda key: 100 - at[key])
    for clip in clips()[:3]:
        if clip.key == hit:
            with pytest.raises(
                CacheError, match=r"\.shard: expected features as they were written"
            ):
                damaged.load(clip.key)
        else:
            damaged.load(clip.key)
