from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
import torch

from data_modules.audio import content_hash
from data_modules.cache import FeatureStore
from data_modules.errors import CacheError, DataError, MediaError
from data_modules.media import scan_media
from sermm.extract import (
    Clip,
    clips_of,
    estimate_bytes,
    extract,
    missing_clips,
    open_store,
)
from sermm.upstreams import SpeechUpstream, build_speech_upstream
from tests.sermm.workplace import wait_until


def waveform_of(seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    samples = generator.standard_normal(generator.integers(500, 20_000)) / 10
    return samples.astype(np.float32)


def clip_of(seed: int, load: Callable[[], np.ndarray] | None = None) -> Clip:
    waveform = waveform_of(seed)
    return Clip(f"u{seed}", content_hash(waveform), len(waveform), load or (lambda: waveform))


CLIPS = [clip_of(seed) for seed in range(30)]


@pytest.fixture(params=["logmel", "lld"])
def upstream(request: pytest.FixtureRequest) -> SpeechUpstream:
    return build_speech_upstream(request.param)


def shards(store: FeatureStore) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.folder.glob("*.shard")}


def test_features_are_those_of_the_upstream(tmp_path: Path, upstream: SpeechUpstream) -> None:
    store = open_store(upstream, tmp_path)
    report = extract(upstream, CLIPS, store)
    assert (report.num_new, report.num_cached, report.short_clips) == (30, 0, ())
    assert report.audio_seconds == sum(clip.num_samples for clip in CLIPS) / 16000
    assert store.description.frame_stride_s == 0.02
    assert store.description.first_center_s == 0.01
    for seed, clip in enumerate(CLIPS):
        waveform = torch.from_numpy(waveform_of(seed))
        frames = upstream(waveform.unsqueeze(0), torch.tensor([len(waveform)])).frames[0]
        np.testing.assert_array_equal(store.read(clip.key), frames.numpy())


def test_workers_threads_and_order_change_no_byte(tmp_path: Path, upstream: SpeechUpstream) -> None:
    before = torch.get_num_threads()
    stores = []
    try:
        for workers, threads in ((1, 1), (3, 2), (8, 4)):
            torch.set_num_threads(threads)
            store = open_store(upstream, tmp_path / str(workers))
            extract(upstream, CLIPS, store, workers=workers)
            assert torch.get_num_threads() == threads
            stores.append(store)
    finally:
        torch.set_num_threads(before)
    assert len(shards(stores[0])) == 1
    assert shards(stores[0]) == shards(stores[1]) == shards(stores[2])
    backwards = open_store(upstream, tmp_path / "backwards")
    extract(upstream, CLIPS[::-1], backwards, workers=2)
    for clip in CLIPS:
        np.testing.assert_array_equal(stores[0].read(clip.key), backwards.read(clip.key))


def test_what_is_stored_is_not_decoded_again(tmp_path: Path) -> None:
    upstream = build_speech_upstream("logmel")
    extract(upstream, CLIPS[:20], open_store(upstream, tmp_path))

    def refuse() -> np.ndarray:
        raise AssertionError("decoded again")

    known = [replace(clip, load=refuse) for clip in CLIPS[:20]]
    store = open_store(upstream, tmp_path)
    calls: list[tuple[int, int]] = []
    report = extract(
        upstream,
        [*known, *CLIPS[20:]],
        store,
        on_progress=lambda done, total: calls.append((done, total)),
    )
    assert (report.num_new, report.num_cached) == (10, 20)
    assert calls == [(done, 30) for done in range(21, 31)]
    assert missing_clips(CLIPS, store) == []


def test_equal_audio_under_two_names_is_computed_once(tmp_path: Path) -> None:
    upstream = build_speech_upstream("logmel")
    twins = [CLIPS[0], replace(CLIPS[0], utterance_id="twin"), CLIPS[1]]
    report = extract(upstream, twins, open_store(upstream, tmp_path))
    assert (report.num_new, report.num_cached) == (2, 0)


def test_short_clips_are_counted_each_time(tmp_path: Path) -> None:
    upstream = build_speech_upstream("logmel")
    short = np.full(100, 0.1, np.float32)
    clips = [*CLIPS[:3], Clip("short", content_hash(short), 100, lambda: short)]
    for _ in range(2):
        report = extract(upstream, clips, open_store(upstream, tmp_path))
        assert report.short_clips == ("short",)
    assert open_store(upstream, tmp_path).num_frames(clips[-1].key) == 1


def test_clips_that_fail_do_not_stop_the_others(tmp_path: Path) -> None:
    upstream = build_speech_upstream("logmel")

    def missing() -> np.ndarray:
        raise MediaError("a.wav", expected="an audio file", got="no file", fix="copy it")

    broken = [replace(clip, load=missing) for clip in CLIPS[3:10]]
    store = open_store(upstream, tmp_path)
    with pytest.raises(
        DataError,
        match=r"got no file, and the like for 7 of 30 clips: u3, u4, u5, u6, u7 \(and 2 more\)",
    ):
        extract(upstream, [*CLIPS[:3], *broken, *CLIPS[10:]], store, workers=2)
    assert missing_clips(CLIPS, FeatureStore.open(store.folder)) == CLIPS[3:10]
    with pytest.raises(MediaError, match=r"^a\.wav: expected an audio file, got no file; copy it$"):
        extract(upstream, [*CLIPS[:3], broken[0]], store)
    extract(upstream, CLIPS, store)
    assert store.verify() == 30


def test_audio_that_changed_since_it_was_prepared_is_refused(tmp_path: Path) -> None:
    upstream = build_speech_upstream("logmel")
    changed = replace(CLIPS[0], load=lambda: waveform_of(99))
    store = open_store(upstream, tmp_path)
    with pytest.raises(DataError, match="u0: expected the audio that `sermm prepare` saw"):
        extract(upstream, [changed], store)
    assert len(store) == 0


def test_features_that_are_not_finite_are_told_by_utterance(tmp_path: Path) -> None:
    upstream = build_speech_upstream("logmel", num_bands=20)
    store = open_store(upstream, tmp_path)
    whole = upstream.clip_frames

    def holes(waveform: torch.Tensor) -> torch.Tensor:
        frames: torch.Tensor = whole(waveform)
        if torch.equal(waveform, torch.from_numpy(waveform_of(1))):
            frames[0, :2] = torch.tensor([torch.nan, torch.inf])
        return frames

    upstream.clip_frames = holes
    with pytest.raises(MediaError, match=r"u1: expected finite logmel features, got 2 of \d+ val"):
        extract(upstream, CLIPS, store)
    assert missing_clips(CLIPS, FeatureStore.open(store.folder)) == [CLIPS[1]]


def test_an_interruption_keeps_what_was_done(tmp_path: Path) -> None:
    upstream = build_speech_upstream("logmel")
    store = open_store(upstream, tmp_path)

    def interrupt(done: int, total: int) -> None:
        if done == 12:
            raise KeyboardInterrupt

    threads = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        extract(upstream, CLIPS, store, workers=2, on_progress=interrupt)
    assert set(threading.enumerate()) <= threads
    assert missing_clips(CLIPS, FeatureStore.open(store.folder)) == CLIPS[12:]
    report = extract(upstream, CLIPS, open_store(upstream, tmp_path))
    assert (report.num_new, report.num_cached) == (18, 12)


def test_the_estimate_is_what_it_takes(tmp_path: Path, upstream: SpeechUpstream) -> None:
    store = open_store(upstream, tmp_path, dtype="float16")
    estimate = estimate_bytes(upstream, CLIPS, store)
    extract(upstream, CLIPS, store)
    assert estimate == pytest.approx(store.num_bytes, rel=0.05)


def test_a_disk_without_room_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage(NamedTuple):
        free: int

    upstream = build_speech_upstream("logmel")
    store = open_store(upstream, tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(1000))
    with pytest.raises(CacheError, match=r"MiB of free disk for the features, got 0 MiB; free d"):
        extract(upstream, CLIPS, store)


def test_the_store_of_another_upstream_is_a_programming_error(tmp_path: Path) -> None:
    store = open_store(build_speech_upstream("mfcc"), tmp_path)
    with pytest.raises(ValueError, match="is not the store of this logmel"):
        extract(build_speech_upstream("logmel"), CLIPS, store)


def test_clips_come_from_media_facts(tmp_path: Path) -> None:
    """Parts of one file, at another rate, end up under the content of what was decoded."""
    soundfile.write(tmp_path / "long.wav", waveform_of(1), 8000)
    parts = [(None, None), (0.0, 0.5), (0.5, 1.0)]
    facts = [scan_media(f"u{at}", tmp_path, "long.wav", *part) for at, part in enumerate(parts)]
    clips = clips_of(facts, tmp_path)
    assert [clip.num_samples for clip in clips] == [len(clip.load()) for clip in clips]
    upstream = build_speech_upstream("logmel")
    store = open_store(upstream, tmp_path / "cache")
    assert extract(upstream, clips, store).num_new == 3
    assert store.num_frames(facts[1].content_sha256) == 25


_EXTRACTION = """
import sys, time
from pathlib import Path
import sermm.extract
from sermm.extract import Clip, extract, open_store
from sermm.upstreams import build_speech_upstream
from tests.sermm.test_extract import clip_of, waveform_of
sermm.extract._FLUSH_S = 0.05
upstream = build_speech_upstream("logmel")
store = open_store(upstream, Path(sys.argv[1]))
# it stands still before it is through, and cannot end before it is killed
pauses = [0.02] * 60 + [1000] * 40
clips = [clip_of(seed, lambda seed=seed: time.sleep(pauses[seed]) or waveform_of(seed))
         for seed in range(100)]
extract(upstream, clips, store, workers=2)
"""


def test_a_killed_extraction_goes_on_where_it_was(tmp_path: Path) -> None:
    upstream = build_speech_upstream("logmel")
    store = open_store(upstream, tmp_path)
    killed = subprocess.Popen(
        [sys.executable, "-c", _EXTRACTION, str(tmp_path)], cwd=Path(__file__).parents[2]
    )

    def has_stored_some() -> bool:
        store.refresh()
        return len(store) > 5

    wait_until(has_stored_some)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    store.refresh()
    num_before = len(store)
    assert store.verify() == num_before > 5
    clips = [clip_of(seed) for seed in range(num_before + 20)]
    report = extract(upstream, clips, open_store(upstream, tmp_path))
    assert (report.num_new, report.num_cached) == (20, num_before)
