"""The features of an experiment: which upstream, which store, and filling what is missing."""

from __future__ import annotations

from pathlib import Path

from data_modules.cache import FeatureStore
from data_modules.prepare import Prepared
from sermm.config import Config
from sermm.extract import extract
from sermm.terminal import console, progress_bar
from sermm.upstreams import SpeechUpstream, build_speech_upstream, options_of


def speech_upstream(config: Config) -> SpeechUpstream:
    """The speech upstream of a configuration, given the options that it knows."""
    speech = config.model.speech
    options = {name: getattr(speech, name) for name in options_of(speech.upstream)}
    return build_speech_upstream(speech.upstream, **options)
