"""Votes of CREMA-D's raters: ``processedResults/tabulatedVotes.csv``.

Each clip was judged from the voice alone, from the face alone and from both, which the first digit
of a row's name tells (1, 2, 3): 212,000 votes in all. Letters become the codes of the file names,
which the labels share. For 644 of 7,442 clips the voice alone gave several emotions as many votes.
The winners and mean levels of ``summaryTable.csv`` follow from the same answers and are not read.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from data_modules.corpora.release import Release, relative
from data_modules.errors import ManifestError

VOTES = {"A": "ANG", "D": "DIS", "F": "FEA", "H": "HAP", "N": "NEU", "S": "SAD"}
"""Letters of the table, and codes of the file names."""

_CHANNELS = {"1": "votes", "2": "votes_face", "3": "votes_both"}
_COLUMNS = (*VOTES, "fileName", "numResponses", "emoVote")
_DIGITS = re.compile(r"[0-9]{1,6}")

NO_TABLE = "table that is not there"
BAD_VOTES = "votes that cannot be read"

Votes = dict[str, dict[str, int]]
"""Votes by channel and code."""


def read_votes(base: Path, root: Path, release: Release) -> dict[str, Votes]:
    """Votes by clip; codes without a vote are absent.

    What cannot be used is noted: the clip has no votes of that channel then.

    Raises:
        ManifestError: The table lacks a column, or cannot be read to its end.
    """
    path = base / "processedResults" / "tabulatedVotes.csv"
    where = relative(path, root)
    if not path.is_file():
        release.note(where, NO_TABLE)
        return {}
    found: dict[str, Votes] = {}
    twice: set[tuple[str, str]] = set()
    for here, row, values in _rows(path, where, release):
        *numbers, name, total, stated = values
        channel, votes = _CHANNELS.get(row[:1]), _count(numbers, total)
        if channel is None or votes is None:
            told = f"row {row}: {', '.join(numbers)} of {total}"
            release.note(here, BAD_VOTES, told[:200])
        elif channel in found.setdefault(name, {}):
            twice.add((name, channel))
            release.note(here, "votes given twice, not used", f"{channel} of {name}")
        else:
            found[name][channel] = votes
            if stated and stated != ":".join(_winners(votes)):
                release.note(here, "winner that the votes contradict", f"{name}: {stated}")
    for name, channel in twice:
        del found[name][channel]
    return found


def _rows(path: Path, where: str, release: Release) -> Iterator[tuple[str, str, list[str]]]:
    """Place, name of the row, and the values of ``_COLUMNS``."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.reader(stream, strict=True)
        try:
            header = next(rows, [])
            missing = [column for column in _COLUMNS if column not in header]
            if missing:
                raise ManifestError(
                    f"{where}:1",
                    expected=f"columns {', '.join(_COLUMNS)}",
                    got=f"no {', '.join(missing)}",
                    fix="copy the file again from the release",
                )
            places = [header.index(column) for column in _COLUMNS]
            for row in rows:
                here = f"{where}:{rows.line_num}"
                if len(row) == len(header):
                    # the column with the names of the rows has no name of its own
                    yield here, row[0], [row[place].strip() for place in places]
                elif row:
                    told = f"expected {len(header)} columns, got {len(row)}"
                    release.note(here, BAD_VOTES, told)
        except (csv.Error, UnicodeDecodeError) as error:
            raise ManifestError(
                f"{where}:{rows.line_num + 1}",
                expected="a table in UTF-8 with quotes that are closed",
                got=str(error),
                fix="copy the file again from the release",
            ) from None


def _count(numbers: list[str], total: str) -> dict[str, int] | None:
    """Votes by code of the file names; None if they are no numbers, or not as many as stated."""
    if not all(_DIGITS.fullmatch(number) for number in (*numbers, total)):
        return None
    votes = dict(zip(VOTES.values(), map(int, numbers), strict=True))
    if sum(votes.values()) != int(total):
        return None
    return {code: number for code, number in votes.items() if number}


def _winners(votes: Mapping[str, int]) -> list[str]:
    """Letters of the emotions with most votes."""
    most = max(votes.values(), default=0)
    return [letter for letter, code in VOTES.items() if most and votes.get(code) == most]


def winner(votes: Mapping[str, int]) -> str:
    """The code with most votes, ``tie`` if there are several, ``none`` if there are no votes."""
    found = _winners(votes)
    return VOTES[found[0]] if len(found) == 1 else "tie" if found else "none"
