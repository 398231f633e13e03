"""The picture of a run: one test utterance with its waveform, words and what was attended to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
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
    """Write ``alignment.npz`` for the correctly recognised test utterance nearest to 4 s.

    Nothing is written for a task without speech, or if every prediction is wrong.

    Args:
        folder: Run folder.
        prepared: Corpus.
        data: Of the run.
        task: Trained.
        predictions: Of the test part.
    """
    dataset = data.module.test
    if dataset.frames is None:
        return
    label_of = dict(zip(predictions.ids, predictions.labels, strict=True))
    guess_of = dict(zip(predictions.ids, predictions.predicted, strict=True))
    right = [u for u in dataset.utterances if label_of[u.id] == guess_of[u.id]]
    if not right:
        return
    chosen = min(right, key=lambda u: (abs(u.duration_s - _TARGET_S), u.id))
    batch = collate([dataset[dataset.utterances.index(chosen)]])
    waveform = load_audio(prepared.audio_path(chosen), chosen.start_s, chosen.end_s)
    picture = build_speech_upstream("logmel", hop_ms=10.0)
    with torch.inference_mode():
        clip = torch.from_numpy(waveform).unsqueeze(0)
        log_mel = picture(clip, torch.tensor([len(waveform)])).frames[0].numpy()
        attention = _attention(task, batch)
    stride_s = dataset.frames.stride_s
    # what trimming cut from the start
    cut_s = dataset.frames.first_center_of(chosen) - dataset.frames.first_center_s
    # the task's convolutions, if any, lower the rate of what is attended to
    rate = task.speech.convolutions.rate if isinstance(task, AlignedFusionTask) else 1
    spans_s = None
    if batch.token_spans is not None:
        spans_s = batch.token_spans[0].numpy() * stride_s + cut_s  # (L, 2)
    write_alignment_example(
        folder / FILE_NAME,
        utterance_id=chosen.id,
        label=data.facts.class_names[label_of[chosen.id]],
        predicted=data.facts.class_names[guess_of[chosen.id]],
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
