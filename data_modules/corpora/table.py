"""Table: a user's own clips or texts, listed in a CSV, TSV or JSON lines file. See docs/table.md.

Source: the user. ``table.yaml`` in the root names the file, says which column holds what, and how
the labels are read: ``table_classes``, ``table_ratings``, ``table_tags``.

A row that cannot be used (another number of columns, a number that is none, no audio) is listed
with file and line, and counted. What shows that table and ``table.yaml`` do not fit together stops
the reading: an id that is there twice, an empty id or speaker, a label that nobody named.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import NoReturn

from data_modules.corpora.release import Corpus, Release, relative
from data_modules.corpora.rows import BAD_ROW, Row, read_csv, read_jsonl
from data_modules.corpora.table_yaml import NAME, Spec, read_spec
from data_modules.errors import ManifestError, told_together
from data_modules.labels import LabelScheme
from data_modules.manifest import Utterance

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?", re.ASCII)
_GENDERS = {"female": "female", "f": "female", "male": "male", "m": "male"}


class _UnusableRowError(Exception):
    """Why a row is listed as an exclusion: the reason, and what stands there."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(detail)


class _UnknownLabelError(ManifestError):
    """A label that ``table.yaml`` does not name."""


def read(root: Path) -> Release:
    """Read a table.

    Args:
        root: The folder with ``table.yaml``. Audio paths are relative to it, or absolute.

    Raises:
        CorpusNotFoundError: There is no ``table.yaml``.
        ManifestError: ``table.yaml``, the header or a row is not what it has to be.
    """
    spec = read_spec(root)
    release = Release()
    places: dict[str, str] = {}
    unknown: list[_UnknownLabelError] = []
    for row in _rows(spec, root, release):
        name = _name(row, spec)
        if name in places:
            _stop(row, f"ids that occur once (first at {places[name]})", name, "rename one of both")
        places[name] = row.where
        try:
            release.utterances.append(_utterance(name, row, spec, root, release))
        except _UnusableRowError as error:
            release.exclude(name, error.reason, f"{row.where}: {error.detail}")
        except _UnknownLabelError as error:
            unknown.append(error)
    if unknown:
        raise told_together(unknown)
    release.utterances.sort(key=lambda utterance: utterance.id)
    return release


def schemes_of(root: Path) -> tuple[LabelScheme, ...]:
    """The label schemes that ``table.yaml`` states.

    Raises:
        CorpusNotFoundError: There is no ``table.yaml``.
        ManifestError: It is not what it has to be.
    """
    return read_spec(root).schemes


def _rows(spec: Spec, root: Path, release: Release) -> list[Row]:
    if spec.delimiter:
        return read_csv(spec.path, spec.all_columns, root, release, delimiter=spec.delimiter)
    rows = read_jsonl(spec.path, root, release)
    found = set().union(*(row.values for row in rows))
    missing = [name for name in spec.all_columns if name not in found]
    if rows and missing:
        raise ManifestError(
            relative(spec.path, root),
            expected=f"the keys {', '.join(spec.all_columns)}",
            got=f"no {', '.join(missing)} in any line",
            fix=f"correct {NAME} or the table",
        )
    return rows


def _stop(row: Row, expected: str, got: str, fix: str) -> NoReturn:
    raise ManifestError(row.where, expected=expected, got=got, fix=fix)


def _cell(row: Row, column: str) -> str:
    """What stands in a column, without blanks around it; empty for nothing."""
    value = row.values.get(column)
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if type(value) in (int, float):
        return str(value)
    raise _UnusableRowError(BAD_ROW, f"expected text or a number in {column}, got {value!r}"[:200])


def _number(row: Row, column: str) -> float:
    text = _cell(row, column)
    if _NUMBER.fullmatch(text) is None or not math.isfinite(float(text)):
        raise _UnusableRowError("number that cannot be read", f"{column} is {text!r}")
    return float(text)


def _name(row: Row, spec: Spec) -> str:
    column = spec.columns["id"]
    value = row.values.get(column)
    name = str(value).strip() if type(value) in (str, int, float) else ""
    return name or _stop(row, f"an id in {column}", repr(value), "give the row one")


def _utterance(name: str, row: Row, spec: Spec, root: Path, release: Release) -> Utterance:
    values = {key: _cell(row, column) for key, column in spec.columns.items()}
    if "speaker" in values and not values["speaker"]:
        column = spec.columns["speaker"]
        fix = f"fill it in, or leave speaker out of {NAME} if nobody knows"
        _stop(row, f"a speaker in {column}", "nothing", fix)
    audio, start, end = None, None, None
    if "audio" in values:
        if not values["audio"]:
            raise _UnusableRowError("no audio", f"{spec.columns['audio']} is empty")
        audio = relative(root / values["audio"], root)
        start, end = _times(row, spec)
    if values.get("text") == "":
        release.note(name, "empty transcript", row.where)
    gender = values.get("gender", "").lower()
    if gender and gender not in _GENDERS:
        release.note(name, "gender that is neither female nor male", f"{row.where}: {gender}")
    return Utterance(
        id=name,
        corpus="table",
        audio=audio,
        start_s=start,
        end_s=end,
        speaker=values.get("speaker"),
        session=values.get("session") or None,
        dialogue=values.get("dialogue") or None,
        part=values.get("part") or None,
        gender=_GENDERS.get(gender),
        script=values.get("script") or None,
        text=values.get("text"),
        labels=_labels(row, spec),
    )


def _times(row: Row, spec: Spec) -> tuple[float | None, float | None]:
    """Start and end in the file; none where both are empty: the whole file."""
    columns = [spec.columns[key] for key in ("start_s", "end_s") if key in spec.columns]
    if not any(_cell(row, column) for column in columns):
        return None, None
    start, end = (_number(row, column) for column in columns)
    if not 0 <= start < end:
        raise _UnusableRowError(
            "times that are out of order", f"expected 0 <= start < end, got {start:g} to {end:g}"
        )
    return start, end


def _labels(row: Row, spec: Spec) -> dict[str, object]:
    labels: dict[str, object] = {}
    if spec.classes is not None:
        scheme = spec.classes.scheme
        value = _cell(row, spec.classes.column)
        _expect_known(row, "classes", value, [*scheme.mapping, *scheme.left_out])
        labels["category"] = value
        if spec.classes.votes:
            votes = {value: _number(row, column) for value, column in spec.classes.votes.items()}
            if min(votes.values()) < 0:
                raise _UnusableRowError("votes below zero", str(votes))
            labels["votes"] = votes
    if spec.ratings is not None:
        low, high = spec.ratings.scheme.low, spec.ratings.scheme.high
        ratings = {name: _number(row, column) for name, column in spec.ratings.columns.items()}
        outside = [f"{n} is {value:g}" for n, value in ratings.items() if not low <= value <= high]
        if outside:
            detail = f"expected {low:g} to {high:g}, {outside[0]}"
            raise _UnusableRowError("rating outside of its range", detail)
        labels["ratings"] = ratings
    if spec.tags is not None:
        given = row.values.get(spec.tags.column)
        if not isinstance(given, list):
            given = _cell(row, spec.tags.column).split(spec.tags.separator)
        tags = [tag.strip() if isinstance(tag, str) else repr(tag) for tag in given]
        tags = list(dict.fromkeys(tag for tag in tags if tag))
        for tag in tags:
            _expect_known(row, "tags", tag, list(spec.tags.scheme.mapping))
        labels["tags"] = tags
    return labels


def _expect_known(row: Row, section: str, value: str, known: list[str]) -> None:
    if value not in known:
        raise _UnknownLabelError(
            row.where,
            expected=f"a label among {', '.join(known)}",
            got=repr(value),
            fix=f"mend the row, or name it in {section} of {NAME}",
        )


CORPUS = Corpus(
    name="table",
    title="your own table",
    read=read,
    version=1,
    schemes=(),
    language="und",
    licence="yours",
    source="docs/table.md",
    schemes_of=schemes_of,
)
