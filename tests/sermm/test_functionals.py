"""Runs on one frame an utterance, and on frames relative to their speaker."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from data_modules.batch import collate
from data_modules.errors import ConfigError, ModelError
from sermm.build_checkpoint import load_task
from sermm.build_data import RunData, build_data
from sermm.build_model import build_task
from sermm.compose import load_config
from sermm.config import Config
from sermm.run_record import NORMALISED
from sermm.stages import load_ready, make_ready, make_selection
from tests.sermm.workplace import Workplace, read_table

EGEMAPS = ("model.speech.upstream=opensmile", "model.speech.feature_set=eGeMAPSv02")
BY_SPEAKER = "model.speech.normalise=speaker"


def build(place: Workplace, *overrides: str) -> tuple[RunData, Config]:
    name, *settings = place.settings("linear", *overrides)
    config = load_config(name, settings)
    make_ready(config)
    prepared = load_ready(config)
    return build_data(config, prepared, make_selection(config, prepared)), config


def clips_of(data: RunData) -> tuple[np.ndarray, np.ndarray]:
    """The training part as float64 vectors ``(N, D)`` and classes ``(N,)``."""
    samples = [data.module.train[i] for i in range(len(data.module.train))]
    frames = np.concatenate([sample.frames for sample in samples])
    return frames.astype(np.float64), np.array([int(sample.target) for sample in samples])


def test_functionals_are_standardised_over_clips_and_have_no_deviation(place: Workplace) -> None:
    pytest.importorskip("opensmile")
    data, config = build(place, *EGEMAPS)
    assert data.facts.one_frame
    assert data.statistics is not None
    clips, _ = clips_of(data)
    assert clips.shape == (48, 88)
    np.testing.assert_allclose(data.statistics.mean, clips.mean(axis=0))
    task = build_task(config, data.facts, statistics=data.statistics)
    assert task.linear.weight.shape == (4, 88)
    torch.nn.init.normal_(task.linear.weight)
    torch.nn.init.zeros_(task.linear.bias)
    scores = task(collate([data.module.train[i] for i in range(3)]))
    scale = np.where(clips.std(axis=0) > 1e-8, clips.std(axis=0), 1)
    expected = ((clips[:3] - clips.mean(0)) / scale) @ task.linear.weight.detach().numpy().T
    np.testing.assert_allclose(scores.detach(), expected, rtol=1e-3, atol=1e-3)


def test_a_run_on_functionals_comes_back_from_its_checkpoint(place: Workplace) -> None:
    pytest.importorskip("opensmile")
    folder = place.fit("linear", *EGEMAPS, "optim.epochs=1")
    task, _, facts = load_task(folder / "checkpoints" / "best.ckpt")
    assert facts.one_frame
    assert task.linear.weight.shape == (4, 88)


LBFGS = ("optim.solver=lbfgs", "optim.epochs=1", "optim.gradient_clip=0")


def test_lbfgs_finds_the_logistic_regression_of_scikit_learn(place: Workplace) -> None:
    pytest.importorskip("opensmile")
    decay = 0.3
    folder = place.fit(
        "linear", *EGEMAPS, *LBFGS, f"optim.weight_decay={decay}", "data.batch_size=7"
    )
    task, _, _ = load_task(folder / "checkpoints" / "best.ckpt")
    clips, classes = clips_of(build(place, *EGEMAPS)[0])
    scale = np.where(clips.std(axis=0) > 1e-8, clips.std(axis=0), 1)
    reference = LogisticRegression(
        C=1 / (decay * len(clips)), class_weight="balanced", tol=1e-8, max_iter=10_000
    ).fit((clips - clips.mean(axis=0)) / scale, classes)
    np.testing.assert_allclose(task.linear.weight.detach(), reference.coef_, atol=2e-3)
    # the loss that is told is that of the solution, without the penalty
    row = read_table(folder / "history.csv")[0]
    shares = reference.predict_proba((clips - clips.mean(axis=0)) / scale)
    loss = -np.log(shares[np.arange(len(classes)), classes]).mean()
    assert float(row["train/loss"]) == pytest.approx(loss, rel=1e-3)


def test_what_does_not_go_with_lbfgs() -> None:
    for change, message in (
        ("optim.epochs=2", "optim.epochs: expected 1 with optim.solver=lbfgs, got 2"),
        ("optim.gradient_clip=1", "optim.gradient_clip: expected 0 with"),
        ("trainer.devices=2", "trainer.devices: expected one device with"),
        ("trainer.precision=bf16-mixed", "trainer.precision: expected 32-true or 64-true with"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_config("linear_demo", [*LBFGS, change])
    with pytest.raises(ConfigError, match=r"model.task: expected linear or acoustic with optim"):
        load_config("fusion_demo", LBFGS)
    frozen = ("model.backbone.frozen=true", "model.head_hidden=0", "model.pooling=mean")
    load_config("acoustic_demo", [*LBFGS, *frozen])
    for change, message in (
        ("model.backbone.frozen=false", "model.backbone.frozen: expected true with"),
        ("model.head=one_vs_rest", "model.head: expected softmax with"),
        ("model.head_hidden=8", "model.head_hidden: expected 0 with"),
        ("model.pooling=attention", "model.pooling: expected mean, mean_std, first with"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_config("acoustic_demo", [*LBFGS, *frozen, change])


def test_frames_over_time_keep_their_deviation(place: Workplace) -> None:
    data, config = build(place)
    assert not data.facts.one_frame
    task = build_task(config, data.facts, statistics=data.statistics)
    assert task.linear.weight.shape == (4, 2 * 20)


def frames_by_speaker(data: RunData, parts: Sequence[str]) -> dict[str, np.ndarray]:
    found: dict[str, list[np.ndarray]] = {}
    for part in parts:
        for sample in getattr(data.module, part):
            found.setdefault(sample.speaker, []).append(sample.frames)
    return {speaker: np.concatenate(frames) for speaker, frames in found.items()}


def test_each_speaker_is_standardised_by_all_their_clips(place: Workplace) -> None:
    parts = ("train", "val", "test")
    raw = frames_by_speaker(build(place)[0], parts)
    data = build(place, BY_SPEAKER, "size=12")[0]
    assert len(raw) == 10
    for part in ("val", "test"):
        for speaker, frames in frames_by_speaker(data, (part,)).items():
            mean, std = raw[speaker].mean(0, dtype=np.float64), raw[speaker].std(0)
            np.testing.assert_allclose(frames, (raw[speaker] - mean) / std, atol=1e-3)
    # of a speaker with few clips in the subset, the others count as well
    train = frames_by_speaker(data, ("train",))
    assert max(abs(frames.mean()) for frames in train.values()) > 0.01


def test_a_run_that_uses_test_audio_says_so(place: Workplace) -> None:
    marked = json.loads((place.fit("linear", BY_SPEAKER) / "metrics.json").read_text())
    assert marked["leak"] == NORMALISED
    assert "test audio" in NORMALISED
    # a task without speech has nothing to normalise
    plain = place.fit("text", BY_SPEAKER, "name=plain", "optim.epochs=1")
    assert json.loads((plain / "metrics.json").read_text())["leak"] == ""


@pytest.mark.parametrize(
    ("experiment", "override"),
    [("fusion_demo", ""), ("acoustic_demo", "model.augment.time_stretch=0.1")],
)
def test_one_frame_has_no_place_in_time(experiment: str, override: str) -> None:
    settings = [text for text in (*EGEMAPS, override) if text]
    with pytest.raises(ConfigError, match=r"expected features with frames over time, got one fr"):
        load_config(experiment, settings)
    load_config(experiment, [*settings, "model.speech.feature_level=lld"])


def test_a_missing_package_is_told_before_anything_is_read(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    config = load_config("linear_demo", [*EGEMAPS, f"data.root={place.release}", "data.cache=none"])
    with pytest.raises(ModelError, match=r"install it with `pip install sermm\[opensmile\]`"):
        make_ready(config)
    assert not (place.folder / "none").exists()


def test_features_of_the_users_own(place: Workplace, tmp_path: Path) -> None:
    config = load_config(*_split(place.settings("linear")))
    utterances = make_ready(config).utterances
    draw = np.random.default_rng(0)
    arrays = {u.id: draw.normal(size=(5, 3)).astype(np.float32) for u in utterances[1:]}
    arrays[utterances[1].id][0, 0] = np.nan
    np.savez(tmp_path / "mine.npz", **arrays)  # type: ignore[arg-type]
    own = (
        "model.speech.upstream=ready",
        "model.speech.features=own",
        f"data.features={tmp_path / 'mine.npz'}",
        "data.features_stride_s=0.1",
        "name=mine",
    )
    folder = place.fit("linear", *own)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["excluded"] == {
        "count": 1,
        "reasons": {f"no {metrics['protocol'].partition('-')[0]} own in the release": 1},
    }
    assert metrics["num_train"] + metrics["num_val"] + metrics["num_test"] == 79
    data, _ = build(place, *own)
    assert data.facts.frame_dim == 3
    assert not data.facts.one_frame
    read = {s.utterance_id: s.frames for s in (data.module.train[i] for i in range(40))}
    for name, frames in read.items():
        np.testing.assert_array_equal(frames, np.nan_to_num(arrays[name], nan=0.0))
    # another file under another name: neither gets what the other has
    np.savez(tmp_path / "other.npz", **{k: v[:1] + 1 for k, v in arrays.items()})  # type: ignore[arg-type]
    other, _ = build(place, *own[:2], f"data.features={tmp_path / 'other.npz'}")
    again, _ = build(place, *own)
    assert other.facts.one_frame
    assert not again.facts.one_frame
    with pytest.raises(ConfigError, match=r"data.features: expected features of your own"):
        load_config("linear_demo", own[:2])


def _split(settings: list[str]) -> tuple[str, list[str]]:
    return settings[0], settings[1:]
