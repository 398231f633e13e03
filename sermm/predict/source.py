"""Which trained model a folder holds: a run, one run of an experiment, or an export.

Imports no torch, so that a wrong folder is told at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_modules.errors import ConfigError, DataError
from sermm.run_metrics import RunKey

CHECKPOINT = Path("checkpoints") / "best.ckpt"
EXPORT_FILE = "sermm.json"
"""What tells the folder of an export from that of a run."""


@dataclass(frozen=True)
class ModelSource:
    """Where a model is.

    Attributes:
        folder: Of the run or the export.
        exported: Whether it is an export.
    """

    folder: Path
    exported: bool


def find_model(
    run: str | Path,
    *,
    fold: int | None = None,
    seed: int | None = None,
    runs: Path = Path("runs"),
) -> ModelSource:
    """The model that a user means.

    Args:
        run: A run folder, the folder of an experiment, an exported folder, or the name of an
            experiment in ``runs``.
        fold: Of an experiment: whose model. None will do where there is one fold.
        seed: Of an experiment: which of the fold's models. None will do where there is one seed.
        runs: Folder of experiments.

    Raises:
        DataError: There is no such folder, or no finished run in it.
        ConfigError: An experiment has several models, and it is not said which one.
    """
    folder = Path(run)
    if not folder.is_dir() and (runs / folder).is_dir():
        folder = runs / folder
    if not folder.is_dir():
        raise DataError(
            run,
            expected="a run folder, an experiment that has run, or an exported model",
            got="no such folder",
            fix="check the path, or train it with `sermm experiment`",
        )
    if (folder / EXPORT_FILE).is_file():
        return ModelSource(folder, exported=True)
    if (folder / CHECKPOINT).is_file() and RunKey.from_folder_name(folder.name) is not None:
        return ModelSource(_finished(folder), exported=False)
    return ModelSource(_one_run(folder, fold, seed), exported=False)


def _finished(folder: Path) -> Path:
    if (folder / "metrics.json").is_file():
        return folder
    raise DataError(
        folder,
        expected="a finished run",
        got="one without metrics.json",
        fix="run the same command again, it goes on where it stopped",
    )


def _one_run(folder: Path, fold: int | None, seed: int | None) -> Path:
    """The run folder of an experiment that is meant."""
    keys = [RunKey.from_folder_name(path.name) for path in folder.iterdir()]
    there = sorted(
        (key for key in keys if key and (folder / key.folder_name / "metrics.json").is_file()),
        key=lambda key: key.order,
    )
    if not there:
        raise DataError(
            folder,
            expected="a run folder, an experiment that has run, or an exported model",
            got="a folder without finished runs",
            fix="check the path, or train it with `sermm experiment`",
        )
    for name, value in (("fold", fold), ("seed", seed)):
        known = sorted({getattr(key, name) for key in there})
        if value not in known and (value is not None or len(known) > 1):
            raise ConfigError(
                f"--{name}",
                expected=f"one of the {name}s {', '.join(map(str, known))}, each of which has its "
                "model",
                got="nothing" if value is None else str(value),
                fix=f"say whose model with --{name}, such as --{name} {known[0]}",
            )
        there = [key for key in there if value in (None, getattr(key, name))]
    if len(there) == 1:
        return folder / there[0].folder_name
    raise ConfigError(
        folder,
        expected="one training size",
        got=f"{len(there)}: {', '.join(key.folder_name for key in there[:3])}"
        + (" ..." if len(there) > 3 else ""),
        fix=f"give the run folder, such as {folder / there[-1].folder_name}",
    )
