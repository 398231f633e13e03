"""From configuration to waveforms for a speech upstream that is trained with the task."""

from __future__ import annotations

from data_modules.audio import content_hash, load_audio
from data_modules.dataset import Frames, WaveformSource
from data_modules.errors import MediaError
from data_modules.manifest import Utterance
from data_modules.prepare import Prepared
from sermm.config import SCRATCH, Config
from sermm.features import speech_upstream
from sermm.upstreams.encoded import EncoderUpstream
from sermm.upstreams.scratch import scratch_upstream


def trained_upstream(config: Config) -> EncoderUpstream:
    """The upstream that training starts from.

    Raises:
        ModelError: Its weights cannot be found or read.
    """
    speech = config.model.speech
    if speech.upstream == "huggingface" and speech.name == SCRATCH:
        return scratch_upstream(
            hidden=speech.hidden,
            depth=speech.depth,
            heads=speech.heads,
            dropout=config.model.dropout,
            layers=speech.layers,
        )
    upstream = speech_upstream(config)
    assert isinstance(upstream, EncoderUpstream), "as all that can be trained"
    return upstream


def waveform_source(upstream: EncoderUpstream, prepared: Prepared) -> WaveformSource:
    """Audio decoded when it is asked for, the same as when the corpus was prepared."""

    def read(utterance: Utterance) -> Frames:
        path = prepared.audio_path(utterance)
        waveform = load_audio(path, utterance.start_s, utterance.end_s)
        # a third of a millisecond a second of audio
        if content_hash(waveform) != prepared.media[utterance.id].content_sha256:
            raise MediaError(
                path,
                expected="the audio that `sermm prepare` saw",
                got="other samples",
                fix="run `sermm prepare` again",
            )
        return waveform

    return WaveformSource(
        read=read,
        num_frames=upstream.num_frames,
        stride_s=upstream.frame_stride_s,
        first_center_s=upstream.first_center_s,
    )
