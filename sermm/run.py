"""One run: build, train, select on validation, score the test part once, write the run folder.

``metrics.json`` is written last, so a run that was killed at any point is seen as unfinished and
goes on from its last epoch.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from data_modules.atomic import write_json, write_text
from data_modules.errors import RunFailedError, first_ids
from data_modules.prepare import Prepared
from data_modules.selection import Selection
from sermm.allocator import keep_large_blocks
from sermm.build_checkpoint import checkpoint_record, load_task
from sermm.build_data import RunData, build_data
from sermm.build_model import build_task
from sermm.build_start import start_weights
from sermm.calibration import fit_temperature, write_calibrations
from sermm.config import (
    Config,
    to_yaml,
)
from sermm.earlier_runs import check_earlier_runs
from sermm.example import write_example
from sermm.extract_stage import extract_each, warn_of_lengths
from sermm.predictions import predictions_file, read_predictions, write_predictions
from sermm.ranks import is_first, num_ranks
from sermm.run_metrics import RunMetrics, write_run_metrics
from sermm.run_record import metrics_record, validation_record
from sermm.rundir import alone_in, environment, is_done, run_folder
from sermm.scoring import find_scoring
from sermm.sharding import FSDP
from sermm.stages import hash_of_data, make_selection, stores_features, wanted_ids
from sermm.tasks.base import EmotionTask, Predictions
from sermm.terminal import console, say
from sermm.tracking import (
    build_logger,
    close,
    log_results,
    log_validation,
    log_versions,
    tensorboard_loggers,
)
from sermm.tracking_examples import log_examples
from sermm.train import TrainingOptions, TrainingResult, train
from sermm.validation import Validation, write_validation
from sermm.weights_record import weights_record
from sermm.word_attention import write_attention


def fit(config: Config, prepared: Prepared) -> RunMetrics | Validation | None:
    """Do the run of a configuration.

    Args:
        config: Of the run (fold, seed and size included).
        prepared: Corpus with word times and features in place.

    Returns:
        Its results, those of validation alone without ``config.test``; None if it was finished
        before, or if another process of it writes them.

    Raises:
        SermmError: The configuration does not fit the corpus, or the run folder belongs to another
            configuration.
    """
    started = time.monotonic()
    selection = make_selection(config, prepared)
    sha256 = hash_of_data(config, prepared, selection)
    folder = run_folder(config)
    if is_done(config, sha256):
        return None
    check_earlier_runs(config)
    torch.set_num_threads(config.trainer.num_threads)
    if stores_features(config):
        extract_each(config, prepared, wanted_ids(config, prepared), of_run=True)
    torch.manual_seed(config.seed)
    data = build_data(config, prepared, selection)
    folder.mkdir(parents=True, exist_ok=True)
    if num_ranks(config) > 1:
        # Lightning would set its own number of threads otherwise
        os.environ.setdefault("OMP_NUM_THREADS", str(config.trainer.num_threads))
        _say_update(config, data)
    if data.speech_model is not None:
        keep_large_blocks()
        if is_first(config):
            ids = [name for part in data.fold.parts().values() for name in part]
            sizes = [prepared.media[name].num_samples for name in ids]
            warn_of_lengths(data.speech_model, sizes)
    if not is_first(config):
        _train(config, data, logger=False)
        return None
    with alone_in(folder):
        return _fit(config, prepared, selection, data, sha256, started)


def _say_update(config: Config, data: RunData) -> None:
    if not is_first(config):
        return
    utterances, seconds = data.module.update_size()
    of_audio = f", {seconds:.0f} s of audio" if seconds else ""
    say(
        f"an update: {utterances:.1f} utterances{of_audio} on average, in batches of "
        f"{num_ranks(config)} ranks x {config.optim.accumulate}"
    )


def _train(config: Config, data: RunData, *, logger: Any) -> tuple[EmotionTask, TrainingResult]:
    task = build_task(
        config,
        data.facts,
        statistics=data.statistics,
        vector_statistics=data.vector_statistics,
        text_model=data.text_model,
        speech_model=data.speech_model,
    )
    start_weights(task, config, data.fold.test)
    result = train(
        task,
        data.module,
        folder=run_folder(config),
        options=_options(config, task.scoring.headline),
        record=checkpoint_record(config, data.facts),
        logger=logger,
    )
    if config.trainer.strategy == FSDP and is_first(config):
        # this rank goes on alone, with a part of the weights only
        task = load_task(run_folder(config) / "checkpoints" / "best.ckpt")[0]
    return task, result


def _fit(
    config: Config,
    prepared: Prepared,
    selection: Selection,
    data: RunData,
    sha256: str,
    started: float,
) -> RunMetrics | Validation:
    """Train and score in a run folder that this process holds."""
    folder = run_folder(config)
    write_text(folder / "config.yaml", to_yaml(config))
    if config.data.max_seconds:
        _write_too_long(config, selection)
    write_json(
        folder / "environment.json",
        environment(config, sha256) | weights_record(config) | _update(config, data),
    )
    logger = build_logger(config, folder)
    try:
        loggers = [*([logger] if logger else []), *tensorboard_loggers(config, folder)]
        task, result = _train(config, data, logger=loggers)
        if result.predictions is None:
            validation = validation_record(config, prepared, selection, data, result)
            log_validation(logger, validation)
            close(logger)
            seconds = round(time.monotonic() - started, 3)
            validation = replace(validation, data_sha256=sha256, seconds=seconds)
            write_validation(folder, validation)
            return validation
        scores = _write_predictions(config, selection, data, result.predictions)
        conditions = {
            name: _write_predictions(config, selection, data, said, name)
            for name, said in result.conditions.items()
        }
        _write_calibration(folder, data, result)
        predictions = read_predictions(folder / predictions_file())
        write_example(folder, prepared=prepared, data=data, task=task, predictions=predictions)
        write_attention(
            folder,
            task=task,
            dataset=data.module.test,
            tokenizer=data.facts.tokenizer,
            predictions=predictions,
        )
        metrics = replace(
            metrics_record(config, prepared, selection, data, result),
            metrics=scores,
            conditions=conditions,
            num_parameters=sum(p.numel() for p in task.parameters()),
            num_trained_parameters=sum(p.numel() for p in task.parameters() if p.requires_grad),
        )
        log_results(logger, folder / "predictions.csv", metrics.metrics)
        if logger:
            log_versions(logger, config, replace(metrics, data_sha256=sha256), folder)
            log_examples(
                logger,
                config.tracking.examples,
                prepared=prepared,
                data=data,
                task=task,
                predictions=read_predictions(folder / "predictions.csv"),
            )
    except BaseException:
        close(logger, failed=True)
        raise
    close(logger)
    metrics = replace(metrics, data_sha256=sha256, seconds=round(time.monotonic() - started, 3))
    write_run_metrics(folder / "metrics.json", metrics)
    return metrics


def _update(config: Config, data: RunData) -> dict[str, Any]:
    """What an update is made of: the effective batch, which the learning rate is for."""
    utterances, seconds = data.module.update_size()
    return {
        "update": {
            "utterances": round(utterances, 2),
            "seconds": round(seconds, 2),
            "ranks": num_ranks(config),
            "batches_a_rank": config.optim.accumulate,
        }
    }


def _options(config: Config, headline: str) -> TrainingOptions:
    trainer = config.trainer
    return TrainingOptions(
        by_updates=config.optim.val_every_steps > 0,
        select=config.optim.select or headline,
        patience=config.optim.patience,
        average=config.optim.average,
        gradient_clip=config.optim.gradient_clip,
        seed=config.seed,
        accelerator=trainer.accelerator,
        devices=trainer.devices,
        num_nodes=trainer.num_nodes,
        strategy=trainer.strategy,
        precision=trainer.precision,
        checkpoint_minutes=trainer.checkpoint_minutes,
        checkpoint_steps=trainer.checkpoint_steps,
        progress=console.is_terminal and is_first(config),
        test=config.test,
    )


def _write_predictions(
    config: Config,
    selection: Selection,
    data: RunData,
    predictions: Predictions,
    condition: str = "",
) -> dict[str, float]:
    """Write ``predictions.csv``, or that of a condition; returns the scores."""
    ids = predictions.utterance_ids
    if sorted(ids) != sorted(data.fold.test):
        lost = sorted(set(data.fold.test) - set(ids))
        raise RunFailedError(
            run_folder(config),
            expected=f"one prediction for each of {len(data.fold.test)} test utterances",
            got=f"{len(ids)}, none for {first_ids(lost) or 'no one, some twice'}",
            fix="run it again with trainer.devices=1 and report this",
        )
    scoring = find_scoring(data.facts.kind, data.facts.names, data.facts.family)
    references, outcomes = predictions.references.numpy(), predictions.outcomes.numpy()
    shares = predictions.probabilities
    write_predictions(
        run_folder(config) / predictions_file(condition),
        ids,
        [selection.utterances[name].speaker for name in ids],
        references,
        outcomes,
        None if shares is None else shares.numpy(),
        scoring,
    )
    return scoring.scores(scoring.contributions(references, outcomes).sum(axis=0))


def _write_calibration(folder: Path, data: RunData, result: TrainingResult) -> None:
    """Fit temperatures on the validation part, of what has probabilities."""
    kind = data.facts.kind
    if kind not in ("classes", "multilabel"):
        return
    write_calibrations(
        folder,
        {
            name: fit_temperature(said.scores.numpy(), said.references.numpy(), kind)
            for name, said in result.validation.items()
        },
    )


def _write_too_long(config: Config, selection: Selection) -> None:
    """List what is left out of training for its length."""
    rows = [
        f"{utterance.id},{utterance.duration_s:.3f}\n"
        for utterance in selection.too_long(config.fold, config.data.max_seconds)
    ]
    write_text(run_folder(config) / "too_long.csv", "".join(["utterance_id,seconds\n", *rows]))
