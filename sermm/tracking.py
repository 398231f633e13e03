"""Weights & Biases as a view of the run folder: one W&B run for each fit, grouped by experiment.

Runs stand in ``./wandb`` (or ``WANDB_DIR``), where W&B's own tools look for them. Without an
account everything is written offline and ``wandb sync`` sends it later.
"""

from __future__ import annotations

import csv
import json
import netrc
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from data_modules.atomic import write_text
from data_modules.errors import ConfigError
from sermm.config import Config, to_dict
from sermm.metrics import class_contributions
from sermm.predictions import Predictions, read_predictions
from sermm.run_metrics import RunMetrics
from sermm.validation import Validation

_RUN_ID_FILE = "wandb_run_id.txt"
# W&B's own server, by the name under which `wandb login` notes it now, and by that of before
_HOSTS = ("api.forge.coreweave.com", "api.wandb.ai")


def logged_in() -> bool:
    """Whether W&B would find a key: the environment, or the netrc entry `wandb login` writes."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    stated = urlparse(os.environ.get("WANDB_BASE_URL", ""))
    hosts = (stated.netloc, stated.hostname) if stated.hostname not in (None, *_HOSTS) else _HOSTS
    try:
        entries = netrc.netrc()
    except (OSError, netrc.NetrcParseError):
        return False
    return any(entries.authenticators(host or "") is not None for host in hosts)


@contextmanager
def answered(where: str, otherwise: str) -> Iterator[None]:
    """One line where W&B's server is asked and does not answer, or does not take the key.

    Args:
        where: The command or option that asks.
        otherwise: What can be done without it.

    Raises:
        ConfigError: It does not.
    """
    import wandb

    try:
        yield
    except wandb.errors.Error as error:
        raise ConfigError(
            where,
            expected="W&B's server to take this account",
            got=str(error),
            fix=f"look at the network and `wandb login`, or {otherwise}",
        ) from error


def wandb_mode(config: Config) -> str:
    """``online``, ``offline`` or ``disabled``; ``WANDB_MODE`` decides what ``auto`` means."""
    if config.tracking.wandb != "auto":
        return config.tracking.wandb
    stated = os.environ.get("WANDB_MODE", "")
    if stated in ("online", "offline", "disabled"):
        return stated
    return "online" if logged_in() else "offline"


def build_logger(config: Config, folder: Path, *, job_type: str = "fit") -> Any:
    """Lightning's W&B logger for a run, or False for none.

    The W&B run id is kept in the run folder, so that a resumed run goes on in the same W&B run.

    Args:
        config: Of the run.
        folder: Run folder; its name says fold, seed and size.
        job_type: What W&B calls the kind of run.
    """
    mode = wandb_mode(config)
    if mode == "disabled":
        return False
    import wandb
    from lightning.pytorch.loggers import WandbLogger

    # no calls of language models are made here, whose tracing W&B would advertise
    os.environ.setdefault("WANDB_DISABLE_WEAVE", "true")
    run_id = _run_id(folder)
    parent = Path(os.environ.get("WANDB_DIR", "."))
    parent.mkdir(parents=True, exist_ok=True)
    if mode == "offline":
        # files of artifacts and tables wait there for `wandb sync`, which finds them by their path;
        # by default in the home folder, of which a cluster may have one on each machine
        os.environ.setdefault("WANDB_DATA_DIR", str((parent / "wandb").absolute()))
    logger = WandbLogger(
        name=f"{config.name} {folder.name}",
        save_dir=parent,
        id=run_id,
        project=config.tracking.project,
        entity=config.tracking.entity,
        group=config.name,
        job_type=job_type,
        tags=[config.model.task, config.data.corpus, config.data.protocol],
        offline=mode == "offline",
        # an offline run has nothing to resume from: its parts are joined by id at `wandb sync`
        resume="allow" if mode == "online" else None,
        # `wandb leet inspect --summary` shows the configuration, and not the group beside it
        config={**to_dict(config), "group": config.name},
        settings=wandb.Settings(silent=True, console="off"),
    )
    # Lightning states it though it has no effect, and W&B warns: github.com/wandb/wandb/pull/10909
    logger._wandb_init.pop("anonymous")
    return logger


def _run_id(folder: Path) -> str:
    """The W&B run id of a run folder: the one it has, the one a sweep's agent gives, or a new one.

    W&B ignores any other than the agent's in a sweep.
    """
    file = folder / _RUN_ID_FILE
    known = file.read_text().strip() if file.is_file() else ""
    given = os.environ.get("WANDB_RUN_ID", "") if in_wandb_sweep() else ""
    run_id = given or known or secrets.token_hex(4)
    if run_id != known:
        write_text(file, f"{run_id}\n")
    return run_id


def in_wandb_sweep() -> bool:
    """Whether an agent of W&B started this process."""
    return bool(os.environ.get("WANDB_SWEEP_ID"))


def log_results(logger: Any, predictions_file: Path, metrics: Mapping[str, float]) -> None:
    """Send final metrics, the table of predictions and, of classes, the confusion matrix.

    Args:
        logger: What :func:`build_logger` gave.
        predictions_file: ``predictions.csv`` of the run.
        metrics: Test metrics by name.
    """
    if not logger:
        return
    import wandb

    run = logger.experiment
    for name, value in metrics.items():
        run.summary[f"test/{name}"] = value
    with predictions_file.open(encoding="utf-8", newline="") as stream:
        header, *rows = csv.reader(stream)
    text = ("utterance_id", "speaker", "label", "predicted")
    cells = [
        [cell if name in text else float(cell) for name, cell in zip(header, row, strict=True)]
        for row in rows
    ]
    logged: dict[str, Any] = {"test/predictions": wandb.Table(columns=list(header), data=cells)}
    found = read_predictions(predictions_file)
    if found.kind == "classes":
        logged["test/classes"] = wandb.Table(
            columns=["class", "recall", "precision", "f1", "utterances"], data=class_rows(found)
        )
        logged["test/confusion_matrix"] = wandb.plot.confusion_matrix(
            y_true=found.references.tolist(),
            preds=found.outcomes.tolist(),
            class_names=list(found.names),
            title="test",
        )
    run.log(logged)


def class_rows(found: Predictions) -> list[list[Any]]:
    """Name, recall, precision, F1 and number of utterances of each class; None if undefined."""
    matrix = class_contributions(found.references, found.outcomes, len(found.names)).sum(axis=0)
    rows: list[list[Any]] = []
    for index, name in enumerate(found.names):
        right = float(matrix[index, index])
        real, said = float(matrix[index].sum()), float(matrix[:, index].sum())
        recall, precision = (right / total if total else None for total in (real, said))
        f1 = 2 * right / (real + said) if real + said else None
        rows.append([name, recall, precision, f1, int(real)])
    return rows


def log_versions(logger: Any, config: Config, metrics: RunMetrics, folder: Path) -> None:
    """Send which code and which data a run used, as artifacts that equal versions share.

    The data artifact holds hashes and counts, never audio, words or labels.
    """
    import wandb

    environment = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    data = {
        "corpus": config.data.corpus,
        "labels": config.data.labels,
        "protocol": metrics.protocol,
        "sha256": metrics.data_sha256,
    }
    code = {name: environment[name] for name in ("git_revision", "python", "packages")}
    for name, kind, record in (
        (f"data-{config.data.corpus}", "dataset", data),
        ("code-sermm", "code", code),
    ):
        artifact = wandb.Artifact(name, type=kind, metadata=record)
        with artifact.new_file("version.json", encoding="utf-8") as stream:
            json.dump(record, stream, indent=2, sort_keys=True)
        logger.experiment.log_artifact(artifact)


def tensorboard_loggers(config: Config, folder: Path) -> list[Any]:
    """TensorBoard's logger of a run, if it is asked for."""
    if not config.tracking.tensorboard:
        return []
    from lightning.pytorch.loggers import TensorBoardLogger

    return [TensorBoardLogger(save_dir=folder, name="", version="tensorboard")]


def log_summary(config: Config, folder: Path, summary: Mapping[str, Any]) -> None:
    """One W&B run for the whole experiment: pooled scores, tables and the data-size curve.

    Args:
        config: Of the experiment.
        folder: ``runs/NAME``.
        summary: As in ``summary.json``.
    """
    logger = build_logger(config, folder, job_type="summary")
    if not logger:
        return
    import wandb

    run = logger.experiment
    for name, scores in summary["metrics"].items():
        for part in ("pooled", "mean", "sd"):
            run.summary[f"pooled/{name}" if part == "pooled" else f"{part}/{name}"] = scores[part]
    logged: dict[str, Any] = {}
    keys = list(summary["metrics"])
    rows = [
        [r["fold"], r["seed"], r["size"], *(r["metrics"].get(key) for key in keys)]
        for r in summary["runs"]
    ]
    logged["runs"] = wandb.Table(columns=["fold", "seed", "size", *keys], data=rows)
    if len(summary["by_size"]) > 1:
        curve = [
            [size, *(scores[key]["pooled"] for key in keys)]
            for size, scores in summary["by_size"].items()
        ]
        logged["data_size"] = wandb.plot.line(
            wandb.Table(columns=["utterances", *keys], data=curve),
            x="utterances",
            y=keys[0],
            title=f"{keys[0]} by training utterances",
        )
    run.log(logged)
    close(logger)


def log_validation(logger: Any, validation: Validation) -> None:
    """Send the validation score of the chosen epoch, which is what a sweep compares."""
    if logger:
        logger.experiment.summary[f"val/{validation.score}"] = validation.value
        logger.experiment.summary["best_epoch"] = validation.best_epoch


def log_trial(config: Config, folder: Path, values: Mapping[str, float]) -> None:
    """One W&B run for a trial of several runs, if an agent of W&B waits for it.

    Args:
        config: Of the trial.
        folder: Of the trial.
        values: Mean validation scores by name.
    """
    if not in_wandb_sweep():
        return
    logger = build_logger(config, folder)
    if logger:
        logger.experiment.log(dict(values))
    close(logger)


def close(logger: Any, *, failed: bool = False) -> None:
    """End the W&B run, so that its file is complete before the process goes on."""
    if logger:
        logger.experiment.finish(exit_code=int(failed))
