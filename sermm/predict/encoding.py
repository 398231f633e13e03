"""From a recording to what the model reads: the same steps, in the same code, as in training."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from data_modules.align import choose_words
from data_modules.aligners import ALIGNERS, Aligner
from data_modules.audio import SAMPLE_RATE, Array
from data_modules.batch import Sample
from data_modules.check.media import SILENT_RMS
from data_modules.corpora import find_corpus
from data_modules.dataset import FrameSource, Transcript, UtteranceDataset, WaveformSource
from data_modules.errors import AlignmentError, ConfigError, DataError, MediaError
from data_modules.manifest import Utterance, Word
from data_modules.words import spoken_words, transcript_words
from sermm.build_data import frame_source, longest_text
from sermm.config import Config, needs_word_times, tunes_speech
from sermm.extract_compute import compute_frames
from sermm.predict.recording import Recording
from sermm.predict.trained import TrainedModel

CTC = "ctc"
NEW_SOURCES = (*ALIGNERS, CTC)
"""Sources of word times that a new recording can have."""

_LONG = 120 * SAMPLE_RATE
"""Samples beyond which pocketsphinx often loses the thread."""

_MANY_SECONDS = 60
"""More than an utterance of any corpus that is read here takes."""


@dataclass(frozen=True)
class AlignerChoice:
    """Who times the words of new recordings.

    Attributes:
        name: One of :data:`NEW_SOURCES`; empty for those of the configuration.
        ctc_model: Of ``ctc``: folder or hub id; empty for that of the configuration.
        ctc_revision: Of a hub id.
    """

    name: str = ""
    ctc_model: str = ""
    ctc_revision: str | None = None


@dataclass(frozen=True)
class Encoded:
    """A clip, or a part of one, as the model reads it.

    Attributes:
        sample: For a batch.
        start_s: In its file; None without audio.
        end_s: In its file.
        text: The words that are read; None if there are none.
        words: With their times from the start of the part; empty without times.
        notes: What a reader must know.
    """

    sample: Sample
    start_s: float | None
    end_s: float | None
    text: str | None
    words: tuple[Word, ...]
    notes: tuple[str, ...]


class Encoder:
    """Prepares recordings for one model. Safe to use from several threads.

    Args:
        model: Who reads.
        choice: Who times words, where the model needs their times.

    Raises:
        ConfigError: The words of new recordings cannot be timed as it says.
        ModelError: A CTC model cannot be had.
    """

    def __init__(self, model: TrainedModel, choice: AlignerChoice = AlignerChoice()) -> None:
        self.model = model
        self.sources = _sources(model.config, choice)
        self._make = {name: _maker(name, model.config, choice) for name in self.sources}
        self._aligners: dict[str, Aligner] = {}
        # a decoder holds the state of one clip
        self._lock = threading.Lock()
        self._longest = 0
        if model.tokenizer is not None:
            self._longest = longest_text(
                model.config, model.tokenizer, model.facts.text_model or {}
            )

    def time_words(self, waveform: Array, text: str, where: str) -> list[Word]:
        """One timed word for each word of a text.

        Raises:
            AlignmentError: No source finds them in the audio.
        """
        words = transcript_words(text)
        found: list[Word] = []
        if any(map(spoken_words, words)):
            for source in self.sources:
                found += self._align(source, waveform, words)
                if found:
                    break
        utterance = replace(_utterance(where, len(waveform), text), words=tuple(found))
        try:
            return choose_words(utterance, self.sources)[0]
        except AlignmentError:
            raise AlignmentError(
                where,
                expected=f"the words in the audio, by {' or '.join(self.sources)}",
                got="none of them found",
                fix="check that they are what is said"
                + (", cut it (long recordings are hard)" if len(waveform) > _LONG else "")
                + ", or choose --aligner uniform",
            ) from None

    def _align(self, source: str, waveform: Array, words: Sequence[str]) -> list[Word]:
        with self._lock:
            if source not in self._aligners:
                self._aligners[source] = self._make[source]()
            return self._aligners[source].align(waveform, words) or []

    def encode(
        self,
        recording: Recording,
        waveform: Array | None,
        *,
        timed: Sequence[Word] | None = None,
    ) -> Encoded:
        """What the model reads of a clip.

        Args:
            recording: Its name, text and place in its file.
            waveform: Its samples ``(N,)``, 16 kHz; None for a text alone.
            timed: The words of its text with their times, if they are known; else they are found
                here where the model needs them.

        Raises:
            DataError: It lacks what the model needs, or cannot be used.
            AlignmentError: Its words are not found in the audio.
        """
        model, name = self.model, recording.name
        hears = model.upstream is not None and waveform is not None
        reads = model.tokenizer is not None and recording.text is not None
        self._expect_enough(recording, hears=hears, reads=reads)
        notes: list[str] = []
        frames, waveforms = None, None
        if hears and waveform is not None:
            self._note_clip(waveform, notes)
            if tunes_speech(model.config):
                waveforms = self._waveforms(waveform)
            else:
                frames = self._frames(name, waveform)
        transcripts: dict[str, Transcript] | None = None
        if reads and model.tokenizer is not None:
            text = recording.text or ""
            if timed is None and waveform is not None and hears and needs_word_times(model.config):
                timed = self.time_words(waveform, text, name)
            words = [word.text for word in timed or ()] if timed else transcript_words(text)
            pieces = model.tokenizer.encode(words, max_pieces=self._longest, where=name)
            # without speech there is nothing that times would point at
            times = timed if needs_word_times(model.config) and hears else None
            transcripts = {name: Transcript(pieces, times)}
        utterance = _utterance(name, 0 if waveform is None else len(waveform), recording.text)
        dataset = UtteranceDataset(
            utterances=[utterance],
            targets={name: 0},
            frames=frames,
            waveforms=waveforms,
            transcripts=transcripts,
        )
        start = recording.start_s or 0.0
        return Encoded(
            sample=dataset[0],
            start_s=None if waveform is None else start,
            end_s=None if waveform is None else start + len(waveform) / SAMPLE_RATE,
            text=recording.text if reads else None,
            words=tuple(timed or ()),
            notes=tuple(notes),
        )

    def _expect_enough(self, recording: Recording, *, hears: bool, reads: bool) -> None:
        has = {"speech"} if hears else set()
        if reads:
            has.add("text")
        lacking = self.model.needs - has
        if not lacking and has:
            return
        what = " and ".join(sorted(lacking)) or "speech or text"
        fix = {
            "text": "give the words (--text, --text-file or a column text), or train a model with "
            "model.modality_dropout, which does without",
            "speech": "give the file of the recording",
        }.get(what, "give both")
        raise DataError(
            recording.name,
            expected=f"{what}, which this model needs",
            got="none",
            fix=fix,
        )

    def _note_clip(self, waveform: Array, notes: list[str]) -> None:
        upstream = self.model.upstream
        assert upstream is not None, "a model that hears"
        if len(waveform) < upstream.min_samples:
            notes.append(f"shorter than a window of {upstream.name}, filled up with zeros")
        if upstream.max_samples is not None and len(waveform) > upstream.max_samples:
            notes.append(f"longer than {upstream.name} takes at once, computed in pieces")
        if np.sqrt(np.mean(np.square(waveform, dtype=np.float64))) < SILENT_RMS:
            notes.append("silent: below -80 dB of full scale")
        if len(waveform) > _MANY_SECONDS * SAMPLE_RATE:
            notes.append(
                f"one answer for {len(waveform) / SAMPLE_RATE:,.0f} s, and models learn from clips "
                "of seconds: cut it at silences or into windows"
            )

    def _waveforms(self, waveform: Array) -> WaveformSource:
        """For an upstream that is a part of the task."""
        upstream = self.model.upstream
        assert upstream is not None, "a model that hears"
        return WaveformSource(
            read=lambda _: waveform,
            num_frames=upstream.num_frames,
            stride_s=upstream.frame_stride_s,
            first_center_s=upstream.first_center_s,
        )

    def _frames(self, name: str, waveform: Array) -> FrameSource:
        upstream = self.model.upstream
        assert upstream is not None, "a model that hears"
        (frames,) = compute_frames(
            upstream,
            [waveform],
            device=torch.device("cpu"),
            precision=self.model.config.extract.precision,  # type: ignore[arg-type]
        )
        if bad := int(frames.size - np.isfinite(frames).sum()):
            raise MediaError(
                name,
                expected=f"finite {upstream.name} features",
                got=f"{bad} of {frames.size} values that are not",
                fix="look into the recording",
            )
        # as the feature cache of the training held them
        dtype = getattr(torch, self.model.config.extract.dtype)
        frames = torch.from_numpy(frames).to(dtype).float().numpy()
        kept = frames
        return frame_source(self.model.config, upstream, lambda _: kept)


def word_counts(words: Sequence[Word]) -> Mapping[str, int]:
    """How many words each source of times gave."""
    return dict(Counter(word.source for word in words).most_common())


def _utterance(name: str, num_samples: int, text: str | None) -> Utterance:
    end_s = num_samples / SAMPLE_RATE if num_samples else None
    return Utterance(
        id=name,
        corpus="recording",
        audio=name if num_samples else None,
        start_s=0.0 if num_samples else None,
        end_s=end_s,
        text=text,
    )


def _sources(config: Config, choice: AlignerChoice) -> tuple[str, ...]:
    """Who times words, in order of preference; empty where nobody needs their times."""
    if choice.name:
        if choice.name not in NEW_SOURCES:
            raise ConfigError(
                "--aligner",
                expected=f"one of {', '.join(NEW_SOURCES)}",
                got=choice.name,
                fix="choose one of these",
            )
        return (choice.name,)
    if not needs_word_times(config):
        return ()
    usable = tuple(name for name in config.data.aligners if name in NEW_SOURCES)
    if not usable:
        raise ConfigError(
            "--aligner",
            expected="who times the words of new recordings",
            got=f"word times from {', '.join(config.data.aligners)} in training, which new "
            "recordings do not have",
            fix="say --aligner pocketsphinx (English), --aligner ctc --ctc-model M, or --aligner "
            "uniform",
        )
    return usable


def _maker(name: str, config: Config, choice: AlignerChoice) -> Callable[[], Aligner]:
    if name != CTC:
        return partial(ALIGNERS[name])
    model = choice.ctc_model or config.data.ctc_model
    revision = choice.ctc_revision if choice.ctc_model else config.data.ctc_revision
    if not model:
        raise ConfigError(
            "--ctc-model",
            expected="a CTC model that spells",
            got="nothing",
            fix="give a folder or a hub id, such as facebook/wav2vec2-base-960h (English)",
        )
    from data_modules.ctc_aligner import load_ctc_aligner
    from data_modules.ctc_files import CtcFiles

    where = "--ctc-model" if choice.ctc_model else "data.ctc_model"
    files = CtcFiles.find(model, revision, where=f"{where}={model}")
    language = find_corpus(config.data.corpus).language
    return partial(load_ctc_aligner, files, where=where, language=language, device="cpu")
