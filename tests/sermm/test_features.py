"""Layers of an encoder: kept apart, or all stored once and chosen when they are read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.tiny_models import save_speech_model
from data_modules.audio import content_hash
from data_modules.errors import ConfigError
from sermm.compose import load_config
from sermm.config import Config
from sermm.extract import Clip, extract
from sermm.features import FeatureReader, open_features, stored_upstream


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_speech_model("wav2vec2, group norm", tmp_path_factory.mktemp("model"))


def waveform_of(seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.standard_normal(generator.integers(300, 16_000)).astype(np.float32) / 10


CLIPS = [
    Clip(
        f"u{seed}",
        content_hash(waveform_of(seed)),
        len(waveform_of(seed)),
        lambda s=seed: waveform_of(s),
    )
    for seed in range(6)
]


def config_of(encoder: Path, cache: Path, *more: str) -> Config:
    return load_config(
        "acoustic_demo",
        [
            *("model.speech.upstream=huggingface", f"model.speech.name={encoder}"),
            *("model.speech.center=none", "model.speech.trim_db=0", "model.augment.band_warp=0"),
            f"data.cache={cache}",
            *more,
        ],
    )


def filled(config: Config) -> FeatureReader:
    upstream = stored_upstream(config)
    reader = open_features(config, upstream)
    extract(upstream, CLIPS, reader.store, workers=1)
    return reader


def all_states(encoder: Path, cache: Path) -> list[torch.Tensor]:
    """``(K, F, D)`` of each clip, from the upstream itself."""
    upstream = stored_upstream(config_of(encoder, cache, "model.speech.layers=all"))
    states = []
    for clip in CLIPS:
        waveform = torch.from_numpy(clip.load()).unsqueeze(0)
        with torch.inference_mode():
            states.append(upstream.layers(waveform, torch.tensor([clip.num_samples])).states[0])
    return states


def test_several_layers_are_stored_side_by_side(encoder: Path, tmp_path: Path) -> None:
    states = all_states(encoder, tmp_path)
    for layers, chosen in (("all", [0, 1, 2]), ("2,0", [0, 2]), ("1", [1])):
        reader = filled(config_of(encoder, tmp_path, f"model.speech.layers={layers}"))
        assert (reader.num_layers, reader.store.description.num_layers) == (len(chosen),) * 2
        for clip, expected in zip(CLIPS, states, strict=True):
            frames = torch.from_numpy(reader.read(clip.key))
            # (F, K * D) as (F, K, D)
            apart = frames.unflatten(1, (len(chosen), reader.store.description.dim))
            torch.testing.assert_close(
                apart.transpose(0, 1), expected[chosen], rtol=1e-5, atol=1e-5
            )


@pytest.mark.parametrize("layers", ["last", "0", "1", "0,2", "all"])
def test_a_choice_from_all_stored_layers_is_that_of_an_extraction(
    encoder: Path, tmp_path: Path, layers: str
) -> None:
    direct = filled(config_of(encoder, tmp_path, f"model.speech.layers={layers}"))
    chosen = filled(
        config_of(encoder, tmp_path, f"model.speech.layers={layers}", "extract.layers=all")
    )
    assert chosen.store.description.num_layers == 3
    assert chosen.num_layers == direct.num_layers
    for clip in CLIPS:
        np.testing.assert_array_equal(chosen.read(clip.key), direct.read(clip.key))


def test_a_mean_of_stored_layers_is_that_of_an_extraction_up_to_rounding(
    encoder: Path, tmp_path: Path
) -> None:
    config = config_of(encoder, tmp_path, "model.speech.layers=mean")
    direct, chosen = filled(config), filled(replace_layers(config))
    assert direct.num_layers == chosen.num_layers == 1
    for clip in CLIPS:
        np.testing.assert_allclose(chosen.read(clip.key), direct.read(clip.key), atol=1e-6)


def replace_layers(config: Config) -> Config:
    return replace(config, extract=replace(config.extract, layers="all"))


def test_one_store_of_all_layers_serves_every_choice(encoder: Path, tmp_path: Path) -> None:
    folders = {
        open_features(config, stored_upstream(config)).store.folder
        for layers in ("last", "mean", "1", "all")
        for config in [
            config_of(encoder, tmp_path, f"model.speech.layers={layers}", "extract.layers=all")
        ]
    }
    assert len(folders) == 1


def test_a_layer_that_the_encoder_lacks_is_refused(encoder: Path, tmp_path: Path) -> None:
    config = config_of(encoder, tmp_path, "model.speech.layers=3", "extract.layers=all")
    with pytest.raises(ConfigError, match=r"model.speech.layers: expected .* between 0 and 2"):
        open_features(config, stored_upstream(config))


@pytest.mark.parametrize(("dtype", "digits"), [("float16", 11), ("bfloat16", 8)])
def test_values_are_stored_in_the_type_that_was_asked_for(
    encoder: Path, tmp_path: Path, dtype: str, digits: int
) -> None:
    config = config_of(encoder, tmp_path)
    exact = filled(config)
    rounded = filled(replace(config, extract=replace(config.extract, dtype=dtype)))
    assert rounded.store.description.dtype == dtype
    for clip in CLIPS:
        expected, got = exact.read(clip.key), rounded.read(clip.key)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, expected, rtol=2.0**-digits, atol=1e-7)
        assert not np.array_equal(got, expected)


def test_upstreams_without_layers_are_stored_as_they_are(tmp_path: Path) -> None:
    config = load_config("linear_demo", [f"data.cache={tmp_path}", "extract.layers=all"])
    reader = filled(config)
    assert (reader.num_layers, reader.choice) == (1, None)
