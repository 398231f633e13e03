"""Which weights a run started from, for ``environment.json``: published ones and earlier runs'."""

from __future__ import annotations

import hashlib
from typing import Any

from sermm.config import SCRATCH, TUNED, Config, needs_audio, needs_text, second_speech
from sermm.earlier_runs import EarlierRun, find_stage_ones, find_start
from sermm.features import speech_upstream, stored_facts
from sermm.stages import stores_features
from sermm.upstreams import EXTRA_UPSTREAMS, PRETRAINED_UPSTREAMS
from sermm.upstreams.encoded import EncoderUpstream
from sermm.upstreams.text import text_model_facts


def weights_record(config: Config) -> dict[str, Any]:
    """The pretrained weights of a run, by their place in its model; empty if it has none.

    Raises:
        SermmError: An earlier run, a model or a feature store cannot be read.
    """
    text = config.model.text
    found: dict[str, Any] = {}
    if (start := find_start(config)) is not None:
        found["started_from"] = _run_record(start)
    if taken := find_stage_ones(config):
        found["trained_by"] = {key: _run_record(run) for key, run in taken.items()}
    if needs_text(config) and text.name not in (SCRATCH, TUNED):
        found["text_model"] = text_model_facts(text.name, text.revision)
    found |= _speech_record(config, "speech")
    second = second_speech(config)
    return found if second is None else found | _speech_record(second, "speech2")


def _run_record(earlier: EarlierRun) -> dict[str, str]:
    with earlier.checkpoint.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {
        "run": f"{earlier.folder.parent.name}/{earlier.folder.name}",
        "folder": str(earlier.folder),
        "fingerprint": earlier.metrics.fingerprint,
        "checkpoint_sha256": digest,
    }


def _speech_record(config: Config, place: str) -> dict[str, Any]:
    """Weights of one speech upstream, and how its features were stored."""
    speech = config.model.speech
    found: dict[str, Any] = {}
    if not needs_audio(config):
        return found
    if speech.upstream in PRETRAINED_UPSTREAMS and speech.name != SCRATCH:
        upstream = speech_upstream(config)
        assert isinstance(upstream, EncoderUpstream), "as all that have weights"
        found[f"{place}_model"] = upstream.facts()
    if stores_features(config) and speech.upstream in PRETRAINED_UPSTREAMS:
        found[f"{place}_features"] = stored_facts(config)
    if speech.upstream in EXTRA_UPSTREAMS:
        found[f"{place}_model"] = dict(speech_upstream(config).options())
    return found
