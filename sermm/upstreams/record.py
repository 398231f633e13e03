"""A trained upstream as plain data in a checkpoint, and the upstream built from it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sermm.limits_speech import TRAINABLE
from sermm.upstreams.architecture import Architecture
from sermm.upstreams.code_bert import BertSettings
from sermm.upstreams.encoded import EncoderUpstream
from sermm.upstreams.huggingface import HuggingFaceUpstream
from sermm.upstreams.speech_bert import SpeechBertUpstream
from sermm.upstreams.vq_wav2vec import VqSettings
from sermm.upstreams.wav2vec import ConvSettings, Wav2VecUpstream


def upstream_record(upstream: EncoderUpstream) -> dict[str, Any]:
    """What builds an upstream without its weights.

    Raises:
        ValueError: It is none that can be trained.
    """
    settings: dict[str, Any]
    if upstream.name not in TRAINABLE:
        raise ValueError(f"{upstream.name} is not trained")
    if isinstance(upstream, HuggingFaceUpstream):
        settings = {"architecture": asdict(upstream.architecture)}
    elif isinstance(upstream, Wav2VecUpstream):
        settings = {"settings": _plain(asdict(upstream.settings))}
    else:
        assert isinstance(upstream, SpeechBertUpstream), "the last of three"
        settings = {
            "quantizer": _plain(asdict(upstream.quantizer_settings)),
            "bert": _plain(asdict(upstream.bert_settings)),
            "keep_ends": upstream.encoder.keep_ends,
        }
    return {"name": upstream.name, **settings, "options": upstream.layer_options()}


def build_from_record(record: Mapping[str, Any]) -> EncoderUpstream:
    """The upstream of a record with random weights, before a state dict."""
    options = dict(record["options"])
    if record["name"] == "huggingface":
        return HuggingFaceUpstream(Architecture(**record["architecture"]), **options)
    if record["name"] == "wav2vec":
        return Wav2VecUpstream(ConvSettings(**record["settings"]), **options)
    return SpeechBertUpstream(
        VqSettings(**record["quantizer"]),
        BertSettings(**record["bert"]),
        keep_ends=record["keep_ends"],
        **options,
    )


def _plain(value: Any) -> Any:
    """Tuples as lists, which is what a checkpoint gives back."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
