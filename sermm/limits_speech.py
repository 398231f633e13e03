"""Keys of speech that must agree: of frames, encoders, first stages and second upstreams."""

from __future__ import annotations

import re

from data_modules.errors import ConfigError
from sermm.config import (
    READY,
    SCRATCH,
    TUNED,
    Config,
    mel_bands,
    needs_speech,
    needs_word_times,
    second_speech,
    tunes_speech,
    value_of,
)

ENCODERS = ("huggingface", "wav2vec", "vq_wav2vec", "speech_bert")
"""Upstreams with weights."""

TRAINABLE = ("huggingface", "wav2vec", "speech_bert")
"""Those that can be trained with a task; the codes of vq_wav2vec have no gradient."""


def check_frames(config: Config) -> None:
    """Whether the frames are of the kind that their preparation and augmentation need."""
    speech, augment = config.model.speech, config.model.augment
    for key, used in (
        ("model.speech.center", speech.center == "level"),
        ("model.speech.trim_db", speech.trim_db > 0),
        ("model.augment.band_warp", augment.band_warp > 0),
    ):
        if used and not mel_bands(config):
            raise ConfigError(
                key,
                expected="features with mel bands (model.speech.upstream=logmel or logmel_lld)",
                got=speech.upstream,
                fix=f"leave {key} at its default, or choose another upstream",
            )
    if augment.time_stretch and needs_word_times(config):
        raise ConfigError(
            "model.augment.time_stretch",
            expected="0 where word times say which frames belong to a word",
            got=str(augment.time_stretch),
            fix="set it to 0, or choose model.alignment=attention or none",
        )


def check_encoder(config: Config) -> None:
    """A learned encoder needs a name and layers."""
    speech = config.model.speech
    if speech.upstream not in ENCODERS:
        return
    if speech.upstream == "huggingface" and not speech.name:
        raise ConfigError(
            "model.speech.name",
            expected="a folder or a hub id of a speech encoder",
            got="nothing",
            fix="state it, such as model.speech.name=facebook/wav2vec2-base",
        )
    if not re.fullmatch(r"last|mean|all|[0-9]+( *, *[0-9]+)*", speech.layers):
        raise ConfigError(
            "model.speech.layers",
            expected="last, mean, all, or numbers of layers with commas",
            got=repr(speech.layers),
            fix="choose one of these",
        )


def check_stage_one(config: Config) -> None:
    """An upstream that another experiment has trained needs the name of this experiment."""
    model = config.model
    for key, name, used in (
        ("model.speech.name", model.speech.name, model.speech.upstream == TUNED),
        ("model.speech2.name", model.speech2.name, model.speech2.upstream == TUNED),
        ("model.text.experiment", model.text.experiment, model.text.name == TUNED),
    ):
        if used and not name:
            raise ConfigError(
                key,
                expected="the experiment whose encoder is taken",
                got="nothing",
                fix=f"state it as {key}=EXPERIMENT",
            )
        if used and name == config.name:
            raise ConfigError(
                key, expected="another experiment", got=name, fix="choose another name"
            )


def check_second(config: Config) -> None:
    """Frames of two upstreams stand side by side, so both have one layer and are not cut."""
    second = second_speech(config)
    if second is None:
        return
    check_encoder(second)
    model = config.model
    late = model.speech2.fusion == "late"
    for key, good, expected in (
        ("model.task", model.task != "linear", "acoustic or fusion"),
        ("model.speech.upstream", model.speech.upstream != READY, "one that reads audio"),
        ("model.speech.frozen", model.speech.frozen, "true"),
        ("model.speech.layers", _one_layer(model.speech.layers), "one layer, or the mean"),
        ("model.speech2.layers", _one_layer(model.speech2.layers), "one layer, or the mean"),
        ("model.speech.trim_db", model.speech.trim_db == 0, "0"),
        ("model.speech.center", model.speech.center != "level", "none or utterance"),
        ("model.task", model.task == "acoustic" or not late, "acoustic where fusion is late"),
        ("model.conv_layers", model.conv_layers == 0 or not late, "0 where fusion is late"),
        ("model.recurrent_layers", model.recurrent_layers == 0 or not late, "0, fusion is late"),
        ("model.projection", model.projection == 0 or not late, "0 where fusion is late"),
        ("model.augment.band_warp", model.augment.band_warp == 0, "0"),
    ):
        if not good:
            raise ConfigError(
                key,
                expected=f"{expected}, with two speech upstreams",
                got=str(value_of(config, key)),
                fix="choose another value, or set model.speech2.upstream=none",
            )


def _one_layer(layers: str) -> bool:
    return re.fullmatch(r"last|mean|[0-9]+", layers) is not None


def check_tuning(config: Config) -> None:
    """An upstream that is trained reads waveforms, and its frames move with every step."""
    speech = config.model.speech
    if config.trainer.compile and (not tunes_speech(config) or speech.upstream == "wav2vec"):
        raise ConfigError(
            "trainer.compile",
            expected="false where no transformer of a speech upstream is trained",
            got="true",
            fix="leave it out, or train huggingface or speech_bert with model.speech.frozen=false",
        )
    if not tunes_speech(config):
        if needs_speech(config) and speech.upstream == "huggingface" and speech.name == SCRATCH:
            raise ConfigError(
                "model.speech.frozen",
                expected="false for an encoder that has learned nothing yet",
                got="true",
                fix="set model.speech.frozen=false, or name a checkpoint in model.speech.name",
            )
        return
    for key, good, expected in (
        ("model.task", config.model.task != "linear", "acoustic or fusion"),
        ("model.speech.upstream", speech.upstream in TRAINABLE, " or ".join(TRAINABLE)),
        ("model.speech.normalise", speech.normalise in ("none", "layer"), "none or layer"),
        ("model.speech.center", speech.center == "none", "none"),
    ):
        if not good:
            raise ConfigError(
                key,
                expected=f"{expected} with model.speech.frozen=false",
                got=str(value_of(config, key)),
                fix="choose one of these, or set model.speech.frozen=true",
            )
