"""Clips that are computed together: which, with what result, and what one bad clip costs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.tiny_models import save_speech_model
from data_modules.audio import content_hash
from data_modules.cache import FeatureStore
from data_modules.errors import DataError, MediaError, RunFailedError
from sermm.extract import extract, missing_clips, open_store
from sermm.extract_batches import Clip, Share, plan_batches, share_of
from sermm.extract_precision import measure_precision, read_precision, write_precision
from sermm.upstreams import SpeechUpstream, build_speech_upstream


def silent(samples: int, name: str) -> Clip:
    return Clip(name, name, samples, lambda: np.zeros(samples, np.float32))


@given(
    st.lists(st.integers(1, 160_000), min_size=1, max_size=60),
    st.sampled_from([0.5, 2.0, 10.0]),
    st.sampled_from([0, 48_000]),
    st.randoms(use_true_random=False),
)
def test_batches_hold_each_clip_once_within_the_budget(
    lengths: list[int], budget_s: float, least: int, draw: object
) -> None:
    clips = [silent(samples, f"{i:03d}") for i, samples in enumerate(lengths)]
    batches = plan_batches([*clips, clips[0]], budget_s=budget_s, least_samples=least)
    assert sorted(clip.key for batch in batches for clip in batch) == [c.key for c in clips]
    for batch in batches:
        cost = len(batch) * max(least, *(clip.num_samples for clip in batch)) / 16_000
        assert cost <= budget_s or len(batch) == 1
    assert max(clip.num_samples for clip in batches[0]) == max(lengths)
    # the list decides, not its order
    shuffled = list(clips)
    draw.shuffle(shuffled)  # type: ignore[attr-defined]
    assert plan_batches(shuffled, budget_s=budget_s, least_samples=least) == batches
    parts = [share_of(batches, Share(i, 3)) for i in range(3)]
    assert sorted(len(c) for part in parts for c in part) == sorted(map(len, batches))
    assert [batch for part in parts for batch in part if batch in batches]


def test_without_a_budget_clips_stay_alone_and_in_order() -> None:
    clips = [silent(samples, str(samples)) for samples in (5, 9, 7)]
    assert plan_batches(clips, budget_s=0) == [[clip] for clip in clips]


def test_padding_is_small_on_lengths_of_real_speech() -> None:
    draw = np.random.default_rng(0)
    lengths = (16_000 * draw.lognormal(1.3, 0.6, 2000)).astype(int)
    batches = plan_batches([silent(n, str(i)) for i, n in enumerate(lengths)], budget_s=10)
    padded = sum(len(b) * max(c.num_samples for c in b) for b in batches)
    assert 1 - lengths.sum() / padded < 0.01


def clip_of(seed: int) -> Clip:
    draw = np.random.default_rng(seed)
    wave = (draw.standard_normal(draw.integers(300, 24_000)) / 10).astype(np.float32)
    return Clip(f"u{seed}", content_hash(wave), len(wave), lambda: wave)


CLIPS = [clip_of(seed) for seed in range(24)]


@pytest.fixture(scope="module", params=["wav2vec2, group norm", "whisper"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_speech_model(request.param, tmp_path_factory.mktemp("model"))


@pytest.fixture
def upstream(folder: Path) -> SpeechUpstream:
    return build_speech_upstream("huggingface", name=str(folder), layers="0,1")


def contents(store: FeatureStore) -> dict[str, bytes]:
    return {clip.key: store.read(clip.key).tobytes() for clip in CLIPS}


def test_batches_give_the_numbers_of_a_clip_alone(tmp_path: Path, upstream: SpeechUpstream) -> None:
    store = open_store(upstream, tmp_path)
    extract(upstream, CLIPS, store, batch_s=4)
    size = np.sqrt(np.mean([np.mean(store.load(c.key) ** 2) for c in CLIPS]))
    for clip in CLIPS:
        with torch.inference_mode():
            waveform = torch.from_numpy(clip.load()).unsqueeze(0)
            alone = upstream.layers(waveform, torch.tensor([clip.num_samples])).states[0]
        expected = alone.transpose(0, 1).flatten(1).numpy()
        assert np.abs(store.load(clip.key) - expected).max() <= 1e-5 * size


def test_workers_shards_and_interruptions_change_no_bit(
    tmp_path: Path, upstream: SpeechUpstream
) -> None:
    stores = [open_store(upstream, tmp_path / name) for name in ("whole", "shared", "stopped")]
    extract(upstream, CLIPS, stores[0], batch_s=4, workers=1)
    for i in (2, 0, 1):
        extract(upstream, CLIPS[::-1], stores[1], batch_s=4, workers=2, share=Share(i, 3))

    def interrupt(done: int, total: int) -> None:
        if done > 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(upstream, CLIPS, stores[2], batch_s=4, workers=1, on_progress=interrupt)
    again = open_store(upstream, tmp_path / "stopped")
    assert 8 < len(again) < len(CLIPS)
    extract(upstream, CLIPS, again, batch_s=4, workers=2)
    expected = contents(FeatureStore.open(stores[0].folder))
    for store in stores[1:]:
        assert contents(FeatureStore.open(store.folder)) == expected


def test_a_bad_clip_does_not_take_its_batch_along(tmp_path: Path, upstream: SpeechUpstream) -> None:
    def gone() -> np.ndarray:
        raise MediaError("u5.wav", expected="an audio file", got="no file", fix="copy it")

    clips = [replace(clip, load=gone) if clip.utterance_id == "u5" else clip for clip in CLIPS]
    clips[7] = replace(clips[7], load=CLIPS[8].load)
    store = open_store(upstream, tmp_path)
    with pytest.raises(DataError, match=r"and the like for 2 of 24 clips: u\d, u\d"):
        extract(upstream, clips, store, batch_s=1000)
    left = missing_clips(CLIPS, FeatureStore.open(store.folder))
    assert sorted(clip.utterance_id for clip in left) == ["u5", "u7"]


def test_values_that_are_not_finite_stay_with_their_clip(
    tmp_path: Path, upstream: SpeechUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = type(upstream).layers

    def holes(self: SpeechUpstream, waveform: torch.Tensor, lengths: torch.Tensor) -> object:
        features = whole(self, waveform, lengths)
        row = lengths.tolist().index(CLIPS[3].num_samples)
        features.states[row, 1, 0, 0] = torch.nan
        return features

    monkeypatch.setattr(type(upstream), "layers", holes)
    store = open_store(upstream, tmp_path)
    with pytest.raises(MediaError, match=r"u3: expected finite huggingface features, got 1 of"):
        extract(upstream, CLIPS, store, batch_s=1000)
    assert missing_clips(CLIPS, store) == [CLIPS[3]]


def test_a_lack_of_memory_names_the_batch(
    tmp_path: Path, upstream: SpeechUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(type(upstream), "layers", full)
    with pytest.raises(RunFailedError, match=r"expected memory for a batch of \d+ s, got CUDA out"):
        extract(upstream, CLIPS, open_store(upstream, tmp_path), batch_s=10)


def test_half_precision_is_another_store_with_a_measured_error(
    tmp_path: Path, upstream: SpeechUpstream
) -> None:
    exact, half = (open_store(upstream, tmp_path, precision=kind) for kind in ("32", "bf16"))
    assert exact.folder != half.folder
    assert half.description.options["precision"] == "bf16"
    with pytest.raises(ValueError, match="is not the store"):
        extract(upstream, CLIPS, exact, precision="bf16")
    extract(upstream, CLIPS, exact)
    extract(upstream, CLIPS, half, precision="bf16")
    cpu = torch.device("cpu")
    error = measure_precision(upstream, CLIPS, device=cpu, precision="bf16")
    assert 1e-4 < error.relative_rms < 0.05
    assert error.relative_rms < error.relative_max < 1
    assert error.num_clips == 8
    gaps = [half.load(c.key) - exact.load(c.key) for c in CLIPS]
    size = np.sqrt(np.mean(np.concatenate([exact.load(c.key).ravel() for c in CLIPS]) ** 2))
    rms = np.sqrt(np.mean(np.concatenate([gap.ravel() for gap in gaps]) ** 2)) / size
    assert error.relative_rms == pytest.approx(rms, rel=0.5)
    assert read_precision(half.folder) is None
    write_precision(half.folder, error)
    assert read_precision(half.folder) == error
    assert "bf16 differs from float32 by 0.0" in str(error)
