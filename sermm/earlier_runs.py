"""The same fold's run of another experiment: what this one starts from, or whose encoder it reads.

What was learned there must not have heard what is scored here. That is proved by its predictions:
every test utterance of this run is a test utterance of that one. Imports no torch; weights are
loaded in ``build_start.py`` and ``tuned.py``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_modules.errors import ConfigError, LeakError, first_ids
from sermm.compose import from_dict, read_mapping
from sermm.config import (
    TUNED,
    Config,
    needs_speech,
    needs_text,
    second_speech,
    valid_keys,
    value_of,
)
from sermm.run_metrics import RunKey, RunMetrics, read_json_object, read_run_metrics

START_KEY = "model.backbone.start"
_OWN = tuple(f"model.backbone.{name}" for name in ("start", "start_seed", "frozen", "states"))
_FOLDS = ("corpus", "protocol")
# what decides which utterances an encoder has learned from, and by what
_LEARNED_FROM = ("corpus", "labels", "protocol", "draw")


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
        return best_checkpoint(self.folder)


def best_checkpoint(folder: Path) -> Path:
    """Weights of the best epoch of a run."""
    return folder / "checkpoints" / "best.ckpt"


def experiment_folder_of(config: Config, experiment: str) -> Path:
    """Folder of another experiment: a path, or a name among the runs."""
    return Path(experiment) if "/" in experiment else Path(config.runs) / experiment


def no_run(where: str, folder: Path, fix: str) -> ConfigError:
    """What is told where a run that another one needs is not there, or not finished."""
    return ConfigError(
        where,
        expected=f"a finished run in {folder}",
        got="one that is not finished" if folder.is_dir() else "none",
        fix=fix,
    )


def find_earlier_run(
    config: Config,
    experiment: str,
    *,
    key: str,
    wanted: RunKey,
    alike: Sequence[str] = _FOLDS,
) -> EarlierRun:
    """A run of another experiment, whose folds are those of this one.

    Args:
        config: Of this run.
        experiment: The other one, by name or folder.
        key: Configuration key that names it, for errors.
        wanted: Which of its runs.
        alike: Keys of ``data`` in which both agree.

    Raises:
        ConfigError: There is no such finished run, its configuration is damaged, or of other data.
        DataError: Its results are damaged.
    """
    where = f"{key}={experiment}"
    folder = experiment_folder_of(config, experiment) / wanted.folder_name
    if not (folder / "metrics.json").is_file():
        of_size = "" if wanted.size is None else f", size {wanted.size}"
        raise no_run(
            where,
            folder,
            f"run `sermm experiment {experiment}` with fold {wanted.fold}, seed {wanted.seed}"
            f"{of_size} in its plan first",
        )
    metrics = read_run_metrics(folder / "metrics.json")
    path = folder / "config.yaml"
    earlier = from_dict(read_mapping(path), str(path))
    for what in alike:
        expected, got = getattr(config.data, what), getattr(earlier.data, what)
        if got != expected:
            raise ConfigError(
                where,
                expected=f"data.{what}={expected}, as here",
                got=str(got),
                fix="choose another experiment: what this one tests may have trained that one",
            )
    return EarlierRun(folder, earlier, metrics)


def expect_unseen(
    earlier: EarlierRun, test: Collection[str], *, key: str, same: bool = False
) -> None:
    """Prove that an earlier run has not trained on utterances, nor chosen by them.

    Args:
        earlier: The run.
        test: Ids of the test part of this one.
        key: Configuration key that names it, for errors.
        same: Whether that run may have tested no others either.

    Raises:
        LeakError: Some are not in its test part, or it has tested others.
        DataError: Its predictions are damaged.
    """
    from sermm.predictions import predictions_file, read_predictions  # NumPy

    tested = set(read_predictions(earlier.folder / predictions_file()).ids)
    seen, more = sorted(set(test) - tested), sorted(tested - set(test))
    if not seen and not (same and more):
        return
    raise LeakError(
        f"{key}={earlier.folder.parent.name}",
        expected=f"a run with the {len(set(test))} test utterances of this one",
        got=f"{len(seen)} that it may have trained on: {first_ids(seen)}"
        if seen
        else f"{len(more)} more in {earlier.folder}: {first_ids(more)}",
        fix="run both on the same labels and release",
    )


def check_earlier_runs(config: Config) -> None:
    """Whether all runs that this one needs are there, finished, and of the same data.

    Raises:
        ConfigError: As :func:`find_start` and :func:`find_earlier_run`.
        DataError: Files of one are damaged.
    """
    find_start(config)
    find_stage_ones(config)


def stage_ones(config: Config) -> dict[str, str]:
    """Experiments whose encoders are taken, by the key that names them."""
    model = config.model
    used: dict[str, str] = {}
    if needs_speech(config) and model.speech.upstream == TUNED:
        used["model.speech.name"] = model.speech.name
    if second_speech(config) is not None and model.speech2.upstream == TUNED:
        used["model.speech2.name"] = model.speech2.name
    if needs_text(config) and model.text.name == TUNED:
        used["model.text.experiment"] = model.text.experiment
    return used


def stage_one_run(config: Config, experiment: str) -> Path:
    """Folder of its run with the fold, seed and size of this one: another's has heard this test."""
    return experiment_folder_of(config, experiment) / _own_key(config).folder_name


def find_stage_ones(config: Config) -> dict[str, EarlierRun]:
    """The runs that encoders are taken from, by the key that names their experiment.

    Raises:
        ConfigError: As :func:`find_earlier_run`.
        DataError: Files of one are damaged.
    """
    return {
        key: find_earlier_run(
            config, experiment, key=key, wanted=_own_key(config), alike=_LEARNED_FROM
        )
        for key, experiment in stage_ones(config).items()
    }


def expect_unseen_by_stage_ones(config: Config, test: Collection[str]) -> None:
    """Prove that encoders have been tested on the same utterances, so that none learned from them.

    Raises:
        LeakError: One was not.
        ConfigError: As :func:`find_earlier_run`.
        DataError: Files of one are damaged.
    """
    for key, earlier in find_stage_ones(config).items():
        expect_unseen(earlier, test, key=key, same=True)


def earlier_state(config: Config) -> list[str]:
    """What tells the experiments that a run takes weights from from others, for its data's hash."""
    told, start = [], config.model.backbone.start
    for name in [name for _, name in sorted(stage_ones(config).items())] + [start] * bool(start):
        folder = experiment_folder_of(config, name)
        for path in sorted(folder.glob("*/environment.json"))[:1]:
            record = read_json_object(path)
            told.append(f"{record['fingerprint']} {record['data_sha256']}")
    return told


def _own_key(config: Config) -> RunKey:
    return RunKey(config.fold, config.seed, config.size)


def find_start(config: Config) -> EarlierRun | None:
    """The finished pre-training that a run starts from; None if it starts from scratch.

    Raises:
        ConfigError: As :func:`find_earlier_run`, or its encoder is another one.
        DataError: Its results are damaged.
    """
    backbone = config.model.backbone
    if not backbone.start:
        return None
    seed = config.seed if backbone.start_seed is None else backbone.start_seed
    # with all of its training part, whatever budget of labels this run has
    wanted = RunKey(config.fold, seed)
    earlier = find_earlier_run(config, backbone.start, key=START_KEY, wanted=wanted)
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
