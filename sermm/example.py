"""The picture of a run: one test utterance with its waveform, words and what was attended to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from data_modules.align import choose_words
from data_modules.audio import SAMPLE_RATE, load_audio
from data_modules.batch import Batch, collate
from data_modules.dataset import UtteranceDataset
from data_modules.errors import AlignmentError
from data_modules.manifest import Utterance, Word
from data_modules.prepare import Prepared
from data_modules.text import Tokenizer
from sermm.build_data import RunData
from sermm.metrics import NumberArray
from sermm.predictions import Predictions
from sermm.report.alignment import FILE_NAME, write_alignment_example
from sermm.tasks.base import EmotionTask
from sermm.tasks.fusion import AlignedFusionTask
from sermm.upstreams import build_speech_upstream

# An utterance about this long shows well across a page.
_TARGET_S = 4.0


def write_example(
    folder: Path,
    *,
    prepared: Prepared,
    data: RunData,
    task: EmotionTask,
    predictions: Predictions,
) -> None:
    """Write ``alignment.npz`` for the recognised test utterance nearest to 4 s.

    Recognised is a class or a set of labels that is right, and ratings whose error is at most the
    median. Nothing is written for a task without speech, a corpus without audio, or if every
    prediction is wrong.

    Args:
        folder: Run folder.
        prepared: Corpus.
        data: Of the run.
        task: Trained.
        predictions: Of the test part.
    """
    dataset = data.module.test
    times = dataset.frames or dataset.waveforms
    if times is None or predictions.kind == "reconstruction":
        return
    place = {name: row for row, name in enumerate(predictions.ids)}
    recognised = _recognised(predictions)
    right = [u for u in dataset.utterances if u.audio is not None and recognised[place[u.id]]]
    if not right:
        return
    chosen = min(right, key=lambda u: (abs(u.duration_s - _TARGET_S), u.id))
    write_picture_data(
        folder / FILE_NAME,
        chosen,
        prepared=prepared,
        data=data,
        task=task,
        predictions=predictions,
    )


def write_picture_data(
    path: Path,
    chosen: Utterance,
    *,
    prepared: Prepared,
    data: RunData,
    task: EmotionTask,
    predictions: Predictions,
) -> None:
    """Write what the picture of one test utterance is drawn from.

    Args:
        path: Of the ``.npz`` file.
        chosen: The utterance; it has audio.
        prepared: Corpus.
        data: Of the run.
        task: Trained, with speech among its inputs.
        predictions: Of the test part.
    """
    dataset = data.module.test
    times = dataset.frames or dataset.waveforms
    assert times is not None
    row = predictions.ids.index(chosen.id)
    batch = collate([dataset[dataset.utterances.index(chosen)]])
    waveform = load_audio(prepared.audio_path(chosen), chosen.start_s, chosen.end_s)
    picture = build_speech_upstream("logmel", hop_ms=10.0)
    with torch.inference_mode():
        clip = torch.from_numpy(waveform).unsqueeze(0)
        log_mel = picture(clip, torch.tensor([len(waveform)])).frames[0].numpy()
        attention = _attention(task, batch)
    stride_s, cut_s = times.stride_s, 0.0
    if dataset.frames is not None:  # what trimming cut from the start
        cut_s = dataset.frames.first_center_of(chosen) - dataset.frames.first_center_s
    # the task's convolutions, if any, lower the rate of what is attended to
    rate = task.speech.convolutions.rate if isinstance(task, AlignedFusionTask) else 1
    spans_s = None
    if batch.token_spans is not None:
        spans_s = batch.token_spans[0].numpy() * stride_s + cut_s  # (L, 2)
    write_alignment_example(
        path,
        utterance_id=chosen.id,
        label=_in_words(predictions, predictions.references[row]),
        predicted=_in_words(predictions, predictions.outcomes[row]),
        waveform=waveform,
        sample_rate=SAMPLE_RATE,
        words=_words(chosen, dataset),
        log_mel=log_mel,
        log_mel_stride_s=picture.frame_stride_s,
        tokens=_tokens(data, batch),
        token_spans_s=spans_s,
        attention=attention,
        attention_stride_s=stride_s * rate,
    )


def _recognised(predictions: Predictions) -> npt.NDArray[np.bool_]:
    """Which utterances (N,) may stand for what the model does."""
    true, said = predictions.references, predictions.outcomes
    if predictions.kind == "regression":
        errors = np.abs(said - true).mean(axis=1)
        return np.asarray(errors <= np.median(errors))
    return np.asarray((true == said).reshape(len(true), -1).all(axis=1))


def _in_words(predictions: Predictions, target: NumberArray) -> str:
    """A target of :class:`Predictions` for a reader."""
    names = predictions.names
    if predictions.kind == "classes":
        return names[int(target)]
    if predictions.kind == "regression":
        return ", ".join(f"{n} {value:.2f}" for n, value in zip(names, target, strict=True))
    return ", ".join(n for n, there in zip(names, target, strict=True) if there) or "no label"


def _attention(task: EmotionTask, batch: Batch) -> np.ndarray | None:
    """Weights of the frames for each piece ``(L, F')``, where they are learned."""
    if not isinstance(task, AlignedFusionTask):
        return None
    weights = task.eval().cpu().frame_weights(batch)
    return None if weights is None else weights[0].numpy()


def _words(utterance: Utterance, dataset: UtteranceDataset) -> list[Word]:
    """Timed words: those that the model used, or those that the corpus has, or none."""
    transcript = (dataset.transcripts or {}).get(utterance.id)
    if transcript is not None and transcript.words is not None:
        return list(transcript.words)
    try:
        return choose_words(utterance, ["corpus", "pocketsphinx"])[0]
    except AlignmentError:
        return []  # a picture without words is still a picture


def _tokens(data: RunData, batch: Batch) -> list[str]:
    if batch.input_ids is None:
        return []
    return Tokenizer.from_json(data.facts.tokenizer).tokens(batch.input_ids[0].tolist())
