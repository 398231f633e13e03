"""The stored features of a configuration: which upstream fills the store, and what is read of it.

A store may hold more layers of an encoder than the model reads (``extract.layers=all``): one
extraction then serves every choice of ``model.speech.layers``, which is made here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from data_modules.cache import FeatureStore
from data_modules.store_description import FloatArray
from sermm.config import TUNED, Config
from sermm.extract import open_store
from sermm.extract_precision import read_precision
from sermm.limits_speech import ENCODERS
from sermm.upstreams import SpeechUpstream, build_speech_upstream, options_of
from sermm.upstreams.layers import LayerChoice, choose_layers


def speech_upstream(config: Config) -> SpeechUpstream:
    """The speech upstream of a configuration, given the options that it knows."""
    speech = config.model.speech
    if speech.upstream == TUNED:
        from sermm.tuned import tuned_speech  # it needs all that a checkpoint can hold

        return tuned_speech(config)
    # an encoder without a name loads the checkpoint that was published for it
    stated = {key: value for key, value in vars(speech).items() if key != "name" or value}
    options = {name: stated[name] for name in options_of(speech.upstream) if name in stated}
    return build_speech_upstream(speech.upstream, **options)


def stored_upstream(config: Config) -> SpeechUpstream:
    """The upstream whose features are stored: of an encoder, with the layers that are kept."""
    if not _keeps_all(config):
        return speech_upstream(config)
    speech = replace(config.model.speech, layers="all")
    return speech_upstream(replace(config, model=replace(config.model, speech=speech)))


def _keeps_all(config: Config) -> bool:
    return config.extract.layers == "all" and config.model.speech.upstream in ENCODERS


@dataclass(frozen=True)
class FeatureReader:
    """Reads what a model is handed out of a store.

    Attributes:
        store: The store.
        choice: Which of the stored layers, by their places; None for rows as they are stored.
    """

    store: FeatureStore
    choice: LayerChoice | None = None

    @property
    def num_layers(self) -> int:
        """K, layers of a frame that are handed on."""
        return self.store.description.num_layers if self.choice is None else self.choice.num_layers

    def read(self, key: str) -> FloatArray:
        """Frames ``(F, K * D)`` float32 of a clip, in memory of their own.

        One layer has the numbers that an extraction of this layer alone stores; a mean is taken of
        the stored values, and equals that of an extraction up to rounding.

        Raises:
            CacheError: The store does not hold the clip.
        """
        if self.choice is None:
            return self.store.load(key)
        frames = self.store.load(key, self.choice.indices)
        if not self.choice.averaged:
            return frames
        layers = torch.from_numpy(frames).view(len(frames), -1, self.store.description.dim)
        mean: FloatArray = layers.mean(dim=1).numpy()
        return mean


def open_features(config: Config, upstream: SpeechUpstream) -> FeatureReader:
    """The features of a configuration, from the store of its :func:`stored_upstream`.

    Raises:
        ConfigError: The encoder has no such layer.
        CacheError: The store is damaged or cannot be written.
    """
    store = open_store(
        upstream,
        Path(config.data.cache),
        config.extract.dtype,  # type: ignore[arg-type]
        config.extract.precision,  # type: ignore[arg-type]
    )
    if not _keeps_all(config):
        return FeatureReader(store)
    # all states are stored: the one before the first transformer layer, and one after each
    choice = choose_layers(config.model.speech.layers, upstream.num_layers - 1)
    return FeatureReader(store, choice)


def stored_facts(config: Config) -> dict[str, Any]:
    """How the features of an encoder were computed and stored, for the record of a run.

    Raises:
        CacheError: The store is damaged.
    """
    folder = open_features(config, stored_upstream(config)).store.folder
    error = read_precision(folder)
    return {
        "store": folder.name,
        "layers": config.extract.layers,
        "dtype": config.extract.dtype,
        "precision": config.extract.precision,
        "precision_error": None if error is None else asdict(error),
    }
