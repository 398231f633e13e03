"""What made the word times of a manifest: ``CORPUS.aligners.json`` beside it.

A source such as ``ctc`` may stand for any model. Words of one model are never taken for those of
another: when the record changes, the words go first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from data_modules.atomic import write_json
from data_modules.errors import AlignmentError, ManifestError
from data_modules.plain_json import parse_json
from data_modules.prepared import Prepared, manifest_path, write_prepared


def record_path(prepared: Prepared) -> Path:
    """Where the record of a corpus lies."""
    return manifest_path(prepared.corpus.name, prepared.cache).with_suffix(".aligners.json")


def read_records(prepared: Prepared) -> dict[str, Any]:
    """What made the words, by source; empty if no source has a record.

    Raises:
        ManifestError: The file is damaged.
    """
    path = record_path(prepared)
    try:
        records = parse_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        records = str(error)
    if not isinstance(records, dict) or not all(isinstance(r, dict) for r in records.values()):
        raise ManifestError(
            path,
            expected="a JSON object with what made the word times",
            got=str(records)[:80],
            fix="remove it and run `sermm align` again",
        )
    return records


def renew(prepared: Prepared, source: str, record: Mapping[str, object]) -> tuple[Prepared, int]:
    """Make sure that all words of a source, from now on, are of one making.

    Args:
        prepared: The corpus.
        source: Whose words.
        record: What will make them.

    Returns:
        The corpus without words of this source that something else made, and how many utterances
        lost such words. Both are written.
    """
    records = read_records(prepared)
    if records.get(source) == dict(record):
        return prepared, 0
    had = sum(bool(utterance.words_from(source)) for utterance in prepared.utterances)
    if had:
        prepared = replace(
            prepared,
            utterances=[
                replace(u, words=tuple(word for word in u.words if word.source != source))
                for u in prepared.utterances
            ],
        )
        # before the record: a stop in between leaves no words, and never words of another making
        write_prepared(prepared)
    write_json(record_path(prepared), {**records, source: dict(record)})
    return prepared, had


def expect_record(prepared: Prepared, source: str, expected: Mapping[str, object]) -> None:
    """Check quickly that the words of a source are of the making that an experiment names.

    There is nothing to check where the source has no words.

    Args:
        prepared: The corpus.
        source: Whose words.
        expected: Some keys of the record with their values.

    Raises:
        AlignmentError: They are of another making, as when a second experiment made them anew.
    """
    if not any(utterance.words_from(source) for utterance in prepared.utterances):
        return
    found = read_records(prepared).get(source, {})
    if any(found.get(key) != value for key, value in expected.items()):
        raise AlignmentError(
            record_path(prepared),
            expected=f"word times of {source} by {_told(expected)}",
            got=_told({key: found.get(key) for key in expected}) if found else "none",
            fix="run the command without --ready, or give the experiment a data.cache of its own",
        )


def _told(values: Mapping[str, object]) -> str:
    return " at ".join(str(value) for value in values.values() if value)
