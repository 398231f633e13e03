"""``attention.json`` of runs, and a transcript with its weights as the page shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_modules.errors import DataError
from sermm.run_metrics import RERUN, read_json_object

FILE_NAME = "attention.json"


@dataclass(frozen=True)
class Weighed:
    """A word, its share of the attention, and how strongly it is coloured (0 to 1)."""

    text: str
    weight: float
    strength: float


def read_attention(folder: Path) -> dict[str, list[tuple[str, float]]]:
    """Pieces with weights by utterance; empty if the run has none.

    Raises:
        DataError: The file is damaged.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return {}
    record = read_json_object(path)
    try:
        return {
            name: [(str(piece), float(weight)) for piece, weight in pieces]
            for name, pieces in record["pieces"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            path, expected="pieces with weights by utterance", got=repr(error)[:120], fix=RERUN
        ) from None


def weigh(pieces: Sequence[tuple[str, float]]) -> list[Weighed]:
    """Pieces joined to words where WordPiece marks them as the rest of one."""
    words: list[tuple[str, float]] = []
    for piece, weight in pieces:
        if piece.startswith("##") and words:
            text, before = words[-1]
            words[-1] = text + piece[2:], before + weight
        else:
            # how other vocabularies write the space before a word
            words.append((piece.lstrip("\u0120\u2581") or piece, weight))
    highest = max((weight for _, weight in words), default=0.0) or 1.0
    return [Weighed(text, weight, weight / highest) for text, weight in words]
