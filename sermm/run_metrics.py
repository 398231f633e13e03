"""``metrics.json`` of a run: its typed record, written last and checked when read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from data_modules.atomic import write_json
from data_modules.errors import DataError
from data_modules.labels import Family, Kind
from data_modules.plain_json import parse_json

if TYPE_CHECKING:
    from sermm.scoring import Scoring

RERUN = "delete the run folder and run the experiment again"
_FOLDER_NAME = re.compile(r"fold=(\d+),seed=(\d+),size=(\d+|all)")
_CONDITION = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")  # it becomes part of a file's name


class RunKey(NamedTuple):
    """Which run of a plan. A size of None is the whole training part."""

    fold: int
    seed: int
    size: int | None = None

    @property
    def folder_name(self) -> str:
        """``fold=0,seed=0,size=all``."""
        return f"fold={self.fold},seed={self.seed},size={size_name(self.size)}"

    @property
    def order(self) -> tuple[float, int, int]:
        """Sorts by size (the whole last), then fold, then seed."""
        return (math.inf if self.size is None else self.size, self.fold, self.seed)

    @classmethod
    def from_folder_name(cls, name: str) -> RunKey | None:
        """The key of a run folder; None if the name is not that of one."""
        match = _FOLDER_NAME.fullmatch(name)
        if match is None:
            return None
        fold, seed, size = match.groups()
        key = cls(int(fold), int(seed), None if size == "all" else int(size))
        return key if key.folder_name == name else None


def size_name(size: int | None) -> str:
    """How a training size is written in names and keys: a number or ``all``."""
    return "all" if size is None else str(size)


@dataclass(frozen=True)
class Excluded:
    """Utterances that take no part, and how many for each reason."""

    count: int
    reasons: Mapping[str, int]


@dataclass(frozen=True)
class RunMetrics:
    """What ``metrics.json`` holds.

    Attributes:
        fold: Index of the fold.
        seed: Seed of the run.
        size: Training utterances asked for; None for all.
        metrics: Test scores by name, as ``sermm.scoring`` gives them; NaN where undefined.
        num_train: Training utterances.
        num_val: Validation utterances.
        num_test: Test utterances.
        seconds: Wall time of the fit.
        best_epoch: The chosen epoch, as numbered in ``history.csv``; None without epochs.
        val: Validation scores at that epoch.
        train_counts: Training utterances of each class or with each label; empty for ratings.
        classes: Names of classes, ratings or labels in the order of the target.
        protocol: Name of the protocol.
        leak: What leaks in it; empty if nothing.
        excluded: Utterances that take no part.
        alignment: Share of words by source of their times; empty if no word times are used.
        data_sha256: Hash of the manifest and what else defines the data.
        fingerprint: Hash of the configuration that can change a result.
        protocol_description: What the protocol means; None to look it up by name.
        notes: What a reader must know of this result, such as a check that failed.
        kind: What was predicted.
        family: Which scores belong to it.
        train_means: Mean of each rating over the training part; empty for other targets.
        conditions: Test scores by what the model had to do without (``without-text``).
        num_parameters: Of the model; None in runs of before they were counted.
        num_trained_parameters: Those that training changes.
    """

    fold: int
    seed: int
    size: int | None
    metrics: Mapping[str, float]
    num_train: int
    num_val: int
    num_test: int
    seconds: float
    best_epoch: int | None
    val: Mapping[str, float]
    train_counts: Mapping[str, int]
    classes: Sequence[str]
    protocol: str
    leak: str
    excluded: Excluded
    alignment: Mapping[str, float]
    data_sha256: str
    fingerprint: str
    protocol_description: str | None = None
    notes: Sequence[str] = ()
    kind: Kind = "classes"
    family: Family = "classes"
    train_means: Mapping[str, float] = field(default_factory=dict)
    conditions: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    num_parameters: int | None = None
    num_trained_parameters: int | None = None

    @property
    def scoring(self) -> Scoring:
        """The scores of its targets."""
        from sermm.scoring import find_scoring  # NumPy; every command imports this file

        return find_scoring(self.kind, self.classes, self.family)

    @property
    def key(self) -> RunKey:
        """Which run of the plan."""
        return RunKey(self.fold, self.seed, self.size)


def write_run_metrics(path: Path, metrics: RunMetrics) -> None:
    """Write ``metrics.json``, whole or not at all. Write it last: it says that the run is done."""
    write_json(path, _without_nan(asdict(metrics)))


def _without_nan(value: Any) -> Any:
    """Values as JSON has them: what is undefined is null."""
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def read_json_object(path: Path, fix: str = RERUN) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Raises:
        DataError: It is missing, or holds something else.
    """
    if not path.is_file():
        raise DataError(path, expected="a file", got="none", fix=fix)
    try:
        value = parse_json(path.read_bytes())
    except ValueError as error:  # covers bad JSON and bad UTF-8
        raise DataError(path, expected="a JSON object", got=str(error), fix=fix) from None
    if not isinstance(value, dict):
        raise DataError(path, expected="a JSON object", got=type(value).__name__, fix=fix)
    return value


class _Record:
    """Typed access to a JSON object that names the path and the key in its errors."""

    def __init__(self, path: Path, values: dict[str, Any], prefix: str = "") -> None:
        self._path, self._values, self._prefix = path, values, prefix

    def _wrong(self, key: str, expected: str, got: str) -> DataError:
        where = f"{self._path}: {self._prefix}{key}"
        return DataError(where, expected=expected, got=got, fix=RERUN)

    def value(self, key: str, *types: type, default: Any = ...) -> Any:
        if key not in self._values:
            if default is ...:
                raise self._wrong(key, "a value", "none")
            return default
        return self._typed(key, self._values[key], types)

    def _typed(self, key: str, value: Any, types: tuple[type, ...]) -> Any:
        # bool is an int to isinstance; NaN and infinities are no results
        good = isinstance(value, types) and not isinstance(value, bool)
        # and so are whole numbers that a float cannot hold
        if not good or (isinstance(value, float | int) and not abs(value) < 1e300):
            names = " or ".join("null" if t is type(None) else t.__name__ for t in types)
            raise self._wrong(key, names, repr(value)[:80])
        return value

    def count(self, key: str) -> int:
        value: int = self.value(key, int)
        if value < 0:
            raise self._wrong(key, "0 or more", str(value))
        return value

    def mapping(self, key: str, *types: type) -> dict[str, Any]:
        values: dict[str, Any] = self.value(key, dict)
        return {name: self._typed(f"{key}.{name}", item, types) for name, item in values.items()}

    def numbers(self, key: str, default: Any = ...) -> dict[str, float]:
        """Numbers by name; null is NaN."""
        if default is not ... and key not in self._values:
            return dict(default)
        found = self.mapping(key, float, int, type(None))
        return {name: math.nan if item is None else float(item) for name, item in found.items()}

    def strings(self, key: str, default: Any = ...) -> tuple[str, ...]:
        values = self.value(key, list, default=default)
        return tuple(self._typed(f"{key}[{k}]", item, (str,)) for k, item in enumerate(values))

    def record(self, key: str, default: Any = ...) -> _Record:
        values = self.value(key, dict, default=default)
        return _Record(self._path, values, f"{self._prefix}{key}.")

    def names(self) -> tuple[str, ...]:
        return tuple(self._values)

    def must(self, key: str, good: bool, expected: str, got: object) -> None:
        if not good:
            raise self._wrong(key, expected, str(got))


def read_run_metrics(path: Path) -> RunMetrics:
    """Read ``metrics.json``. Further keys are left alone.

    Raises:
        DataError: It is missing or damaged, a key is missing or ill-typed, or counts disagree.
    """
    record = _Record(path, read_json_object(path))
    excluded, conditions = record.record("excluded"), record.record("conditions", default={})
    metrics = RunMetrics(
        fold=record.count("fold"),
        seed=record.count("seed"),
        size=record.value("size", int, type(None)),
        metrics=record.numbers("metrics"),
        num_train=record.count("num_train"),
        num_val=record.count("num_val"),
        num_test=record.count("num_test"),
        seconds=float(record.value("seconds", float, int)),
        best_epoch=record.value("best_epoch", int, type(None)),
        val=record.numbers("val"),
        train_counts=record.mapping("train_counts", int),
        classes=record.strings("classes"),
        protocol=record.value("protocol", str),
        leak=record.value("leak", str),
        excluded=Excluded(excluded.count("count"), excluded.mapping("reasons", int)),
        alignment=record.mapping("alignment", float, int),
        data_sha256=record.value("data_sha256", str),
        fingerprint=record.value("fingerprint", str),
        protocol_description=record.value("protocol_description", str, type(None), default=None),
        notes=record.strings("notes", default=[]),
        kind=record.value("kind", str, default="classes"),
        family=record.value("family", str, default="classes"),
        train_means=record.numbers("train_means", default={}),
        conditions={name: conditions.numbers(name) for name in conditions.names()},
        num_parameters=record.value("num_parameters", int, type(None), default=None),
        num_trained_parameters=record.value(
            "num_trained_parameters", int, type(None), default=None
        ),
    )
    reasons = metrics.excluded.reasons
    excluded.must("count", metrics.excluded.count == sum(reasons.values()), "the sum", reasons)
    try:
        _ = metrics.scoring
    except ValueError as error:
        record.must("family", False, "the scores of a kind of target", error)
    for name in metrics.conditions:
        good = _CONDITION.fullmatch(name) is not None
        conditions.must(name, good, "a name of small letters, digits and -", name)
    _check_training_part(record, metrics)
    return metrics


def _check_training_part(record: _Record, metrics: RunMetrics) -> None:
    """Counts or means are there for each name, and the counts fit the number of utterances."""
    counts, total = metrics.train_counts, metrics.num_train
    has_counts = metrics.kind in ("classes", "multilabel")
    for key, found, used in (
        ("train_counts", counts, has_counts),
        ("train_means", metrics.train_means, metrics.kind == "regression"),
    ):
        expected = tuple(metrics.classes) if used else ()
        record.must(key, set(found) == set(expected), f"{expected}", tuple(found))
    if metrics.kind == "classes":
        whole = sum(counts.values())
        record.must("train_counts", whole == total, f"{total} in sum", whole)
    most = max(counts.values(), default=0)
    record.must("train_counts", most <= total, f"at most {total}", most)
