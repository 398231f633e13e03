"""Speech upstreams: one interface (``interface.py``), and each that a configuration can name."""

from __future__ import annotations

import inspect

from data_modules.errors import ConfigError
from sermm.upstreams.handcrafted import (
    HandcraftedUpstream,
    LogMel,
    LogMelDescriptors,
    LowLevelDescriptors,
    Mfcc,
)
from sermm.upstreams.interface import SpeechFeatures, SpeechUpstream

__all__ = [
    "SPEECH_UPSTREAMS",
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


def options_of(name: str) -> tuple[str, ...]:
    """Keyword arguments that :func:`build_speech_upstream` takes for an upstream.

    Raises:
        ConfigError: There is none of this name.
    """
    return tuple(inspect.signature(_find(name)).parameters)


def build_speech_upstream(name: str, **options: float) -> SpeechUpstream:
    """The speech upstream that ``model.speech.upstream`` names.

    Args:
        name: A key of :data:`SPEECH_UPSTREAMS`.
        **options: Some of :func:`options_of`; the rest keep their defaults.

    Raises:
        ConfigError: There is none of this name, it has no such option, or a value is out of range.
    """
    upstream, known = _find(name), options_of(name)
    for option in options:
        if option not in known:
            raise ConfigError(
                f"model.speech.{option}",
                expected=f"an option of {name}: {', '.join(known)}",
                got=option,
                fix="remove it or choose another model.speech.upstream",
            )
    return upstream(**options)


def _find(name: str) -> type[HandcraftedUpstream]:
    if name in SPEECH_UPSTREAMS:
        return SPEECH_UPSTREAMS[name]
    raise ConfigError(
        "model.speech.upstream",
        expected=f"one of {', '.join(SPEECH_UPSTREAMS)}",
        got=repr(name),
        fix="choose one of these",
    )
