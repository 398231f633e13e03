"""Extraction under kills, many writers and a full disk: nothing wrong, nothing confirmed lost."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.tiny_models import save_speech_model
from data_modules.audio import content_hash
from data_modules.cache import FeatureStore
from data_modules.cache_care import check_stores
from data_modules.errors import CacheError
from sermm.extract import extract, missing_clips, open_store
from sermm.extract_batches import Clip
from sermm.upstreams import SpeechUpstream, build_speech_upstream

NUM_CLIPS = 150
ROOT = Path(__file__).parents[2]

# what is in the store after each flush goes to a file at once: it counts as confirmed
_WRITER = """
import os, sys
from pathlib import Path
import sermm.extract
from data_modules.cache import StoreWriter
from sermm.extract import extract, open_store
from sermm.upstreams import build_speech_upstream
from tests.sermm.test_extract_abuse import clips
model, cache, told = sys.argv[1:4]
sermm.extract._FLUSH_S = 0.02
flush = StoreWriter.flush
def confirm(self):
    flush(self)
    with open(told, "a") as stream:
        stream.write("".join(f"{key}\\n" for key in self.store._where))
StoreWriter.flush = confirm
upstream = build_speech_upstream("huggingface", name=model)
store = open_store(upstream, Path(cache))
print("ready", flush=True)
extract(upstream, clips(), store, batch_s=2, workers=1)
"""


def clips() -> list[Clip]:
    found = []
    for seed in range(NUM_CLIPS):
        draw = np.random.default_rng(seed)
        wave = (draw.standard_normal(draw.integers(2_000, 20_000)) / 10).astype(np.float32)
        found.append(Clip(f"u{seed}", content_hash(wave), len(wave), lambda wave=wave: wave))
    return found


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_speech_model("wav2vec2, group norm", tmp_path_factory.mktemp("model"))


@pytest.fixture
def upstream(model: Path) -> SpeechUpstream:
    return build_speech_upstream("huggingface", name=str(model))


def start(model: Path, cache: Path, told: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _WRITER, str(model), str(cache), str(told)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def confirmed(told: Path) -> set[str]:
    """Whole lines of the file; a kill may cut the last one."""
    text = told.read_text() if told.is_file() else ""
    return set(text[: text.rfind("\n") + 1].split())


def expect_equal(store: FeatureStore, reference: FeatureStore) -> None:
    for clip in clips():
        np.testing.assert_array_equal(store.read(clip.key), reference.read(clip.key))


@pytest.mark.slow
def test_kills_at_random_points_lose_nothing(
    tmp_path: Path, model: Path, upstream: SpeechUpstream
) -> None:
    reference = open_store(upstream, tmp_path / "reference")
    extract(upstream, clips(), reference, batch_s=2, workers=1)
    draw, told, cache = random.Random(0), tmp_path / "told", tmp_path / "cache"
    stored: list[int] = []
    for _ in range(20):
        with start(model, cache, told) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(draw.uniform(0, 0.15))
            writer.send_signal(signal.SIGKILL)
        store = open_store(upstream, cache)
        assert confirmed(told) <= {clip.key for clip in clips() if clip.key in store}
        store.verify()
        stored.append(len(store))
    print("clips stored after each kill:", stored)
    assert len(set(stored)) > 3
    extract(upstream, clips(), store, batch_s=2, workers=1)
    expect_equal(open_store(upstream, cache), reference)


@pytest.mark.slow
def test_four_writers_at_once(tmp_path: Path, model: Path, upstream: SpeechUpstream) -> None:
    reference = open_store(upstream, tmp_path / "reference")
    extract(upstream, clips(), reference, batch_s=2, workers=1)
    writers = [start(model, tmp_path / "cache", tmp_path / f"told{i}") for i in range(4)]
    for writer in writers:
        with writer:
            assert writer.wait(timeout=300) == 0
    store = open_store(upstream, tmp_path / "cache")
    assert check_stores(tmp_path / "cache").problems == []
    expect_equal(store, reference)


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
