"""``validation.json``: what a run writes last that trains and selects without its test part.

Trials of a sweep are such runs. They have no ``metrics.json``, so no report takes them for results.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path

from data_modules.atomic import write_json
from data_modules.errors import DataError
from sermm.run_metrics import RERUN, read_json_object
from sermm.rundir import VALIDATION_NAME


@dataclass(frozen=True)
class Validation:
    """How well a run did on the validation part of its fold.

    Attributes:
        fold: Index of the fold.
        seed: Of the run.
        size: Training utterances asked for; None for all.
        score: The validation score that chose the epoch, such as ``ua``.
        value: Its value at the chosen epoch; NaN where it is undefined.
        best_epoch: The chosen epoch, from 0.
        num_train: Training utterances.
        num_val: Validation utterances.
        protocol: Name of the protocol.
        leak: What leaks in it; empty if nothing.
        data_sha256: Hash of what was read: the training and validation parts alone.
        fingerprint: Hash of the configuration that can change the value.
        seconds: Wall time.
    """

    fold: int
    seed: int
    size: int | None
    score: str
    value: float
    best_epoch: int
    num_train: int
    num_val: int
    protocol: str
    leak: str
    data_sha256: str
    fingerprint: str
    seconds: float


def write_validation(folder: Path, validation: Validation) -> None:
    """Write the file into a run folder, whole or not at all. An undefined value is null."""
    record = asdict(validation)
    record["value"] = None if math.isnan(validation.value) else validation.value
    write_json(folder / VALIDATION_NAME, record)


def read_validation(folder: Path) -> Validation:
    """Read the file of a run folder.

    Raises:
        DataError: It is missing or damaged.
    """
    path = folder / VALIDATION_NAME
    record = read_json_object(path)
    try:
        value = record.pop("value")
        return Validation(**record, value=math.nan if value is None else float(value))
    except (TypeError, KeyError, ValueError) as error:
        raise DataError(path, expected="a validation score", got=str(error), fix=RERUN) from None
