"""Test utterances in W&B: to be heard, and to be seen with their words and attention."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from data_modules.audio import SAMPLE_RATE, load_audio
from data_modules.prepare import Prepared
from sermm.build_data import RunData
from sermm.example import write_picture_data
from sermm.predictions import Predictions
from sermm.report.alignment import read_alignment_example
from sermm.report.alignment_plot import alignment_picture
from sermm.tasks.base import EmotionTask


def log_examples(
    logger: Any,
    number: int,
    *,
    prepared: Prepared,
    data: RunData,
    task: EmotionTask,
    predictions: Predictions,
) -> None:
    """Send some test utterances, spread evenly over the test part, with audio and picture.

    Nothing is sent of a corpus without audio or a task without speech.

    Args:
        logger: Of the run.
        number: How many.
        prepared: Corpus.
        data: Of the run.
        task: Trained.
        predictions: Of the test part.
    """
    dataset = data.module.test
    if predictions.kind == "reconstruction" or not dataset.hears:
        return
    spoken = [utterance for utterance in dataset.utterances if utterance.audio is not None]
    chosen = spoken[:: max(1, len(spoken) // number)][:number] if number else []
    if not chosen:
        return
    import wandb

    clips, pictures = [], []
    with tempfile.TemporaryDirectory() as place:
        for index, utterance in enumerate(chosen):
            file = Path(place) / f"{index}.npz"
            write_picture_data(
                file,
                utterance,
                prepared=prepared,
                data=data,
                task=task,
                predictions=predictions,
            )
            example = read_alignment_example(file)
            clip = load_audio(prepared.audio_path(utterance), utterance.start_s, utterance.end_s)
            caption = f"{utterance.id}: {example.label}, predicted {example.predicted}"
            clips.append(wandb.Audio(clip, sample_rate=SAMPLE_RATE, caption=caption))
            pictures.append(wandb.Html(alignment_picture(example), inject=False))
    # not within a table: W&B keeps what a table holds outside the folder that is synced later
    logger.experiment.log({"test/audio": clips, "test/words": pictures})
