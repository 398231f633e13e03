"""The model over recordings: one, many, or the parts of a long one.

Frames are computed clip by clip and the model does not see padding, so a recording gets the same
answer alone, in a folder and in a batch.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from data_modules.audio import SAMPLE_RATE, Array, load_audio
from data_modules.batch import Sample, collate
from data_modules.errors import ConfigError, MediaError, SermmError
from data_modules.manifest import Word
from sermm.calibration import probabilities_of
from sermm.extract_compute import one_thread
from sermm.predict.cutting import Cutting
from sermm.predict.encoding import AlignerChoice, Encoded, Encoder, word_counts
from sermm.predict.recording import Prediction, Recording, to_its_owner
from sermm.predict.source import find_model
from sermm.predict.trained import TrainedModel, load_trained
from sermm.tasks.fusion import SPEECH, TEXT

T = TypeVar("T")
R = TypeVar("R")

BATCH_SIZE = 16
_BATCH_FRAMES = 60_000  # padding included: bounds the memory that a long recording takes


@dataclass(frozen=True, eq=False)
class Predictor:
    """A trained model, ready for recordings.

    Attributes:
        model: Who predicts.
        encoder: Who prepares recordings for it.
        raw: Whether probabilities are left as the model gives them.
    """

    model: TrainedModel
    encoder: Encoder
    raw: bool = False

    def predict(
        self,
        path: str | Path | None = None,
        *,
        text: str | None = None,
        start_s: float | None = None,
        end_s: float | None = None,
    ) -> Prediction:
        """What the model says of one recording.

        Args:
            path: WAV, FLAC, OGG, MP3, or a video file (extra ``video``); None for a text alone.
            text: What is said in it.
            start_s: Where to start; None for the start of the file.
            end_s: Where to end; None for its end.

        Raises:
            SermmError: It cannot be read, or lacks what the model needs.
        """
        recording = Recording(
            name=str(path) if path is not None else "text",
            path=None if path is None else Path(path),
            text=text,
            start_s=start_s,
            end_s=end_s,
        )
        with one_thread():
            return self._judge([(recording, one) for one in self._prepare(recording, None)])[0]

    def judge_waveform(
        self, waveform: Array, *, name: str, text: str | None = None, cutting: Cutting | None = None
    ) -> list[Prediction]:
        """What the model says of samples ``(N,)`` (float32, 16 kHz, mono), whole or in parts.

        Raises:
            SermmError: They lack what the model needs.
        """
        recording = Recording(name, None, text)
        with one_thread():
            parts = self._parts(recording, waveform, cutting)
            return self.judge((recording, part) for part in parts)

    def judge(self, pairs: Iterable[tuple[Recording, Encoded]]) -> list[Prediction]:
        """What the model says of recordings that are prepared, in their order."""
        return [said for batch in _batches(pairs) for said in self._judge(batch)]

    def predict_all(
        self,
        recordings: Iterable[Recording],
        *,
        cutting: Cutting | None = None,
        at_once: bool = False,
        workers: int | None = None,
    ) -> Iterator[Prediction]:
        """What the model says of many recordings, in their order.

        A recording that cannot be used gets a prediction whose ``error`` says why.

        Args:
            recordings: Taken as they are needed.
            cutting: How each is cut into parts; None judges it as a whole.
            at_once: Answer each before the next is asked for.
            workers: Threads that read and compute frames; None for one a core.
        """
        with one_thread():
            if at_once:
                for recording in recordings:
                    yield from self._answer(_attempt(self._prepare, recording, cutting))
                return

            def prepare(recording: Recording) -> _Attempt:
                return _attempt(self._prepare, recording, cutting)

            waiting: list[tuple[Recording, Encoded | SermmError]] = []
            for attempt in ahead(prepare, recordings, workers or len(os.sched_getaffinity(0))):
                waiting += attempt
                while _is_full(waiting):
                    yield from self._answer(waiting[:BATCH_SIZE])
                    waiting = waiting[BATCH_SIZE:]
            if waiting:
                yield from self._answer(waiting)

    def _answer(
        self, attempts: Sequence[tuple[Recording, Encoded | SermmError]]
    ) -> list[Prediction]:
        """Predictions for what could be prepared, and errors for the rest, in order."""
        good = [(place, one) for place, (_, one) in enumerate(attempts) if isinstance(one, Encoded)]
        found: dict[int, Prediction] = {}
        for chunk in _batches(good):
            places = [place for place, _ in chunk]
            batch = [(attempts[place][0], one) for place, one in chunk]
            found |= dict(zip(places, self._judge(batch), strict=True))
        return [
            found[place]
            if place in found
            else Prediction(
                recording.name, recording.start_s, recording.end_s, error=str(attempts[place][1])
            )
            for place, (recording, _) in enumerate(attempts)
        ]

    def _prepare(self, recording: Recording, cutting: Cutting | None) -> list[Encoded]:
        """The recording, or its parts, as the model reads them."""
        if self.model.upstream is None or recording.path is None:
            return [self.encoder.encode(recording, None)]
        try:
            waveform = load_audio(recording.path, recording.start_s, recording.end_s)
        except MediaError as error:
            raise to_its_owner(error, recording) from None
        return self._parts(recording, waveform, cutting)

    def _parts(
        self, recording: Recording, waveform: Array, cutting: Cutting | None
    ) -> list[Encoded]:
        if cutting is None:
            return [self.encoder.encode(recording, waveform)]
        timed: Sequence[Word] | None = None
        if recording.text is not None and self.model.tokenizer is not None:
            if not self.encoder.sources:
                raise ConfigError(
                    "--aligner",
                    expected="who says which words belong to which part of a recording",
                    got="nothing",
                    fix="say --aligner pocketsphinx (English), ctc or uniform",
                )
            timed = self.encoder.time_words(waveform, recording.text, recording.name)
        start = recording.start_s or 0.0
        encoded = []
        for first, last in cutting.parts(waveform):
            span = first / SAMPLE_RATE, last / SAMPLE_RATE
            inside = None if timed is None else _within(timed, *span)
            part = replace(
                recording,
                start_s=start + span[0],
                end_s=start + span[1],
                text=recording.text if inside is None else " ".join(w.text for w in inside),
            )
            encoded.append(self.encoder.encode(part, waveform[first:last], timed=inside))
        return encoded

    def _judge(self, batch: Sequence[tuple[Recording, Encoded]]) -> list[Prediction]:
        """One pass of the model for each kind of what is missing."""
        found: dict[int, Prediction] = {}
        for absent in (frozenset[str](), frozenset({TEXT}), frozenset({SPEECH})):
            places = [k for k, (_, one) in enumerate(batch) if self._absent(one) == absent]
            if places:
                said = self._pass([batch[k] for k in places], absent)
                found |= dict(zip(places, said, strict=True))
        return [found[place] for place in range(len(batch))]

    def _absent(self, one: Encoded) -> frozenset[str]:
        absent = set()
        sample = one.sample
        heard = sample.frames is not None or sample.waveform is not None
        if SPEECH in self.model.task.modalities and not heard:
            absent.add(SPEECH)
        if TEXT in self.model.task.modalities and sample.input_ids is None:
            absent.add(TEXT)
        return frozenset(absent)

    def _pass(
        self, batch: Sequence[tuple[Recording, Encoded]], absent: frozenset[str]
    ) -> list[Prediction]:
        task, facts = self.model.task, self.model.facts
        with torch.inference_mode():
            task.absent = absent
            try:
                scores = task(collate([one.sample for _, one in batch])).float()
            finally:
                task.absent = frozenset()
            outcomes, _ = task.output.predict(scores)
        condition = _condition(absent)
        fitted = None if self.raw else self.model.calibrations.get(condition)
        temperature = 1.0 if fitted is None else fitted.temperature
        shares = None
        if facts.kind != "regression":
            shares = probabilities_of(scores.numpy(), facts.kind, temperature)
        predictions = []
        for row, (recording, one) in enumerate(batch):
            outcome = outcomes[row]
            predicted: tuple[str, ...] = ()
            if facts.kind == "classes":
                predicted = (facts.names[int(outcome)],)
            elif facts.kind == "multilabel":
                predicted = tuple(
                    name for name, there in zip(facts.names, outcome.tolist(), strict=True) if there
                )
            predictions.append(
                Prediction(
                    file=recording.name,
                    start_s=one.start_s,
                    end_s=one.end_s,
                    kind=facts.kind,
                    predicted=predicted,
                    probabilities={}
                    if shares is None
                    else dict(zip(facts.names, map(float, shares[row]), strict=True)),
                    ratings=dict(zip(facts.names, map(float, outcome.tolist()), strict=True))
                    if facts.kind == "regression"
                    else {},
                    calibrated=fitted is not None,
                    text=one.text,
                    condition=condition,
                    word_times=word_counts(one.words),
                    words=one.words,
                    notes=one.notes,
                )
            )
        return predictions


_Attempt = list[tuple[Recording, "Encoded | SermmError"]]


def load(
    run: str | Path,
    *,
    fold: int | None = None,
    seed: int | None = None,
    aligner: str = "",
    ctc_model: str = "",
    ctc_revision: str | None = None,
    raw: bool = False,
) -> Predictor:
    """A trained model, ready for recordings: ``sermm.load("runs/NAME").predict("clip.wav")``.

    Args:
        run: A run folder, an exported folder, or an experiment.
        fold: Of an experiment with several: whose model.
        seed: Of an experiment with several: which of the fold's models.
        aligner: Who times words, for a model that needs their times; empty for the sources that
            the configuration names.
        ctc_model: Of the aligner ``ctc``.
        ctc_revision: Of a hub id.
        raw: Leave probabilities as the model gives them.

    Raises:
        SermmError: There is no such model, or it cannot judge new recordings.
    """
    model = load_trained(find_model(run, fold=fold, seed=seed))
    choice = AlignerChoice(aligner, ctc_model, ctc_revision)
    return Predictor(model, Encoder(model, choice), raw)


def _condition(absent: frozenset[str]) -> str:
    """The name that the scores of a run have for it."""
    return {frozenset({TEXT}): f"only-{SPEECH}", frozenset({SPEECH}): f"only-{TEXT}"}.get(
        absent, ""
    )


def _within(words: Sequence[Word], start_s: float, end_s: float) -> list[Word]:
    """Words whose middle lies in a part, with times from its start."""
    length = end_s - start_s
    return [
        replace(
            word,
            start_s=float(np.clip(word.start_s - start_s, 0.0, length)),
            end_s=float(np.clip(word.end_s - start_s, 0.0, length)),
        )
        for word in words
        if start_s <= (word.start_s + word.end_s) / 2 < end_s
    ]


def _attempt(
    prepare: Callable[[Recording, Cutting | None], list[Encoded]],
    recording: Recording,
    cutting: Cutting | None,
) -> _Attempt:
    try:
        return [(recording, one) for one in prepare(recording, cutting)]
    except SermmError as error:
        return [(recording, error)]


def _is_full(waiting: Sequence[object]) -> bool:
    return len(waiting) >= BATCH_SIZE


def _batches(items: Iterable[tuple[T, Encoded]]) -> Iterator[list[tuple[T, Encoded]]]:
    """Batches whose padded frames fit into memory."""
    batch: list[tuple[T, Encoded]] = []
    longest = 0
    for key, one in items:
        size = _num_frames(one.sample)
        longest = max(longest, size)
        if batch and (len(batch) >= BATCH_SIZE or longest * (len(batch) + 1) > _BATCH_FRAMES):
            yield batch
            batch, longest = [], size
        batch.append((key, one))
    if batch:
        yield batch


def _num_frames(sample: Sample) -> int:
    if sample.frames is not None:
        return len(sample.frames)
    # of 20 ms, where the task computes them
    return 1 if sample.waveform is None else len(sample.waveform) // 320 + 1


def ahead(compute: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """Results in the order of ``items``, computed by threads a few items ahead."""
    running: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(max_workers=workers)
    try:
        for item in items:
            running.append(pool.submit(compute, item))
            if len(running) >= 2 * workers + BATCH_SIZE:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
