"""Levels that were measured before a command ended early, so that the same command goes on.

They lie in ``unfinished.json`` until every level is measured, and count only for the same run,
test part, code and options.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from data_modules.atomic import write_json
from sermm.run_metrics import read_json_object
from sermm.statistics import Interval
from sermm.stress.run import Level, StressTest

FILE_NAME = "unfinished.json"


def circumstances(test: StressTest, *settings: object) -> str:
    """A hash of everything that a level depends on beside its damage.

    Args:
        test: With the run and its test part.
        settings: Who times words, and with what; the revision of the code.
    """
    predictions = (test.predictor.model.folder / "predictions.csv").read_bytes()
    told = repr((test.seed, settings, test.utterances)).encode()
    return hashlib.sha256(predictions + told).hexdigest()


def read_unfinished(folder: Path, wanted: str) -> list[Level]:
    """Levels that were measured under the same circumstances; none without such a file.

    Raises:
        DataError: The file is damaged.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return []
    record = read_json_object(path, fix="remove it")
    return [_level(one) for one in record["levels"]] if record["of"] == wanted else []


def write_unfinished(folder: Path, of: str, levels: Sequence[Level]) -> None:
    """Keep what is measured so far."""
    records = []
    for one in levels:
        record = asdict(one)
        for name, value in record["score"].items():
            if isinstance(value, float) and math.isnan(value):
                record["score"][name] = None
        records.append(record)
    write_json(folder / FILE_NAME, {"of": of, "levels": records})


def _level(record: Mapping[str, Any]) -> Level:
    score: dict[str, Any] = {
        name: math.nan if value is None else value for name, value in record["score"].items()
    }
    return Level(**{**record, "score": Interval(**score)})
