"""The same fold's run of another experiment: what this one starts from or reads.

What was learned there must not have heard what is scored here. That is proved by its predictions:
every test utterance of this run is a test utterance of that one. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_modules.errors import ConfigError, LeakError, first_ids
from data_modules.plain_yaml import read_yaml
from sermm.compose import from_dict
from sermm.config import Config, valid_keys, value_of
from sermm.run_metrics import RunKey, RunMetrics, read_run_metrics

START_KEY = "model.backbone.start"
_OWN = ("model.backbone.start", "model.backbone.start_seed", "model.backbone.frozen")


@dataclass(frozen=True)
class EarlierRun:
    """A finished run of another experiment.

    Attributes:
        folder: Of the run.
        config: Of the run.
        metrics: What it found.
    """

    folder: Path
    config: Config
    metrics: RunMetrics

    @property
    def checkpoint(self) -> Path:
        """Weights of its best epoch."""
        return self.folder / "checkpoints" / "best.ckpt"


def find_earlier_run(
    config: Config, experiment: str, *, key: str, seed: int | None = None
) -> EarlierRun:
    """The run of an experiment on the fold of this one, with its whole training part.

    Args:
        config: Of this run; both experiments lie in ``runs``.
        experiment: Name of the other one.
        key: Configuration key that names it, for errors.
        seed: Of that run; None for the seed of this one.

    Raises:
        ConfigError: There is no such finished run, or it is of another corpus or protocol.
        DataError: Its files are damaged.
    """
    wanted = RunKey(config.fold, config.seed if seed is None else seed)
    folder = Path(config.runs) / experiment / wanted.folder_name
    if not (folder / "metrics.json").is_file():
        raise ConfigError(
            f"{key}={experiment}",
            expected=f"a finished run in {folder}",
            got="none",
            fix=f"run `sermm experiment {experiment}` with fold {wanted.fold} and seed "
            f"{wanted.seed} in its plan first",
        )
    metrics = read_run_metrics(folder / "metrics.json")
    tree = read_yaml(folder / "config.yaml")
    earlier = from_dict(tree if isinstance(tree, dict) else {}, str(folder / "config.yaml"))
    for what in ("corpus", "protocol"):
        expected, got = getattr(config.data, what), getattr(earlier.data, what)
        if got != expected:
            raise ConfigError(
                f"{key}={experiment}",
                expected=f"an experiment on data.{what}={expected}, whose folds are those of now",
                got=got,
                fix="choose another, or run it on this one",
            )
    return EarlierRun(folder, earlier, metrics)


def expect_unseen(earlier: EarlierRun, test: Sequence[str], *, key: str) -> None:
    """Prove that an earlier run has not trained on utterances, nor chosen by them.

    Args:
        earlier: The run.
        test: Ids of the test part of this one.
        key: Configuration key that names it, for errors.

    Raises:
        LeakError: Some are not in its test part.
        DataError: Its predictions are damaged.
    """
    from sermm.predictions import predictions_file, read_predictions  # NumPy

    tested = set(read_predictions(earlier.folder / predictions_file()).ids)
    seen = sorted(set(test) - tested)
    if seen:
        raise LeakError(
            f"{key}={earlier.folder.parent.name}",
            expected="all test utterances of this run in the test part of that one",
            got=f"{len(seen)} that it may have trained on: {first_ids(seen)}",
            fix="run both on the same labels and release",
        )


def find_start(config: Config) -> EarlierRun | None:
    """The finished pre-training that a run starts from; None if it starts from scratch.

    Raises:
        ConfigError: There is none, or its encoder is another one.
    """
    backbone = config.model.backbone
    if not backbone.start:
        return None
    earlier = find_earlier_run(config, backbone.start, key=START_KEY, seed=backbone.start_seed)
    if earlier.config.model.task != "pretrain":
        raise ConfigError(
            f"{START_KEY}={backbone.start}",
            expected="an experiment with model.task=pretrain",
            got=earlier.config.model.task,
            fix="choose another",
        )
    for name in _encoder_keys(config):
        expected, got = value_of(earlier.config, name), value_of(config, name)
        if got != expected:
            raise ConfigError(
                name,
                expected=f"{expected}, as in {earlier.folder}, where the weights come from",
                got=str(got),
                fix="set both alike",
            )
    return earlier


def _encoder_keys(config: Config) -> list[str]:
    """Keys that shape frames and encoder."""
    sections = ["model.speech.", "model.backbone.", "model.conv_layers", "data.features"]
    if config.model.backbone.kind == "recurrent":
        sections += ["model.recurrent_hidden", "model.recurrent_layers"]
    return [k for k in valid_keys() if k.startswith(tuple(sections)) and k not in _OWN]
