"""Speech upstreams: one interface (``interface.py``), and each that a configuration can name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from data_modules.errors import ConfigError
from sermm.upstreams.frozen import OnnxEncoder, TfliteEncoder
from sermm.upstreams.handcrafted import (
    HandcraftedUpstream,
    LogMel,
    LogMelDescriptors,
    LowLevelDescriptors,
    Mfcc,
)
from sermm.upstreams.huggingface import load_huggingface
from sermm.upstreams.interface import LayerFeatures, SpeechFeatures, SpeechUpstream
from sermm.upstreams.opensmile import OpenSmile
from sermm.upstreams.speech_bert import load_speech_bert
from sermm.upstreams.vq_wav2vec import load_vq_wav2vec
from sermm.upstreams.wav2vec import load_wav2vec

__all__ = [
    "EXTRA_UPSTREAMS",
    "PRETRAINED_UPSTREAMS",
    "SPEECH_UPSTREAMS",
    "LayerFeatures",
    "SpeechFeatures",
    "SpeechUpstream",
    "build_speech_upstream",
    "options_of",
]

SPEECH_UPSTREAMS: dict[str, type[HandcraftedUpstream]] = {
    "logmel": LogMel,
    "mfcc": Mfcc,
    "lld": LowLevelDescriptors,
    "logmel_lld": LogMelDescriptors,
}
"""Upstreams without weights."""

PRETRAINED_UPSTREAMS: dict[str, Callable[..., SpeechUpstream]] = {
    "huggingface": load_huggingface,
    "wav2vec": load_wav2vec,
    "vq_wav2vec": load_vq_wav2vec,
    "speech_bert": load_speech_bert,
}
"""Upstreams whose weights are loaded from a folder or a hub."""

EXTRA_UPSTREAMS: dict[str, Callable[..., SpeechUpstream]] = {
    "opensmile": OpenSmile,
    "tflite": TfliteEncoder,
    "onnx": OnnxEncoder,
}
"""Upstreams that run in a package which is an extra of sermm's."""


def options_of(upstream: str) -> tuple[str, ...]:
    """Keyword arguments that :func:`build_speech_upstream` takes for an upstream.

    Raises:
        ConfigError: There is none of this name.
    """
    return tuple(_parameters(upstream))


def build_speech_upstream(upstream: str, /, **options: Any) -> SpeechUpstream:
    """The speech upstream that ``model.speech.upstream`` names.

    Args:
        upstream: A key of :data:`SPEECH_UPSTREAMS`, :data:`PRETRAINED_UPSTREAMS` or
            :data:`EXTRA_UPSTREAMS`.
        **options: Some of :func:`options_of`; the rest keep their defaults.

    Raises:
        ConfigError: There is none of this name, it has no such option, lacks one without default,
            or a value is out of range.
        ModelError: Its weights cannot be found or read.
    """
    known = _parameters(upstream)
    for option in options:
        if option not in known:
            raise ConfigError(
                f"model.speech.{option}",
                expected=f"an option of {upstream}: {', '.join(known)}",
                got=option,
                fix="remove it or choose another model.speech.upstream",
            )
    for option, parameter in known.items():
        if parameter.default is parameter.empty and option not in options:
            raise ConfigError(
                f"model.speech.{option}",
                expected=f"a value, which {upstream} needs",
                got="none",
                fix="set it",
            )
    return _find(upstream)(**options)


def _parameters(upstream: str) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(_find(upstream)).parameters


def _find(upstream: str) -> Callable[..., SpeechUpstream]:
    known: dict[str, Callable[..., SpeechUpstream]] = {
        **SPEECH_UPSTREAMS,
        **PRETRAINED_UPSTREAMS,
        **EXTRA_UPSTREAMS,
    }
    if upstream in known:
        return known[upstream]
    raise ConfigError(
        "model.speech.upstream",
        expected=f"one of {', '.join(known)}",
        got=repr(upstream),
        fix="choose one of these",
    )
