"""How a corpus is usually divided, and whether that division keeps its promise here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_modules.check.counts import part_order
from data_modules.corpora import Corpus
from data_modules.errors import DataError, LeakError
from data_modules.manifest import Utterance
from data_modules.protocols import Fold, find_protocol, prove_fold

IntArray = npt.NDArray[np.int64]

_NUM_FOLDS = 5


@dataclass(frozen=True)
class Division:
    """Folds of the usual protocol, or the release's own parts where those cannot be made.

    Attributes:
        name: Of the protocol.
        is_protocol: False if the parts are those of the release, for want of some of them.
        folds: For each fold the places ``(N,)`` of each part's utterances, by name of the part.
        problem: Why the protocol cannot be used here; empty if it can.
        broken: The promise that does not hold.
    """

    name: str
    is_protocol: bool
    folds: tuple[dict[str, IntArray], ...]
    problem: str = ""
    broken: LeakError | None = None

    @property
    def title(self) -> str:
        """What the folds are, in words."""
        return self.name if self.is_protocol else "parts of the release"


def usual_protocol(corpus: Corpus, utterances: Sequence[Utterance]) -> str:
    """Name of the usual protocol: the corpus' own, else by parts, else by speakers, else empty."""
    if corpus.protocol:
        return corpus.protocol
    parts = {utterance.part for utterance in utterances} - {None}
    if parts & {"train", "val", "test"}:
        numbered = sorted(part for part in parts if part and re.fullmatch(r"test[0-9]+", part))
        rule = numbered[0] if numbered and "test" not in parts else "standard"
        return f"{corpus.name}-{rule}"
    if parts:
        return f"{corpus.name}-folds"
    speakers = {utterance.speaker for utterance in utterances}
    if None in speakers or len(speakers) < _NUM_FOLDS:
        return ""
    return f"{corpus.name}-speaker{_NUM_FOLDS}"


def divide(corpus: Corpus, utterances: Sequence[Utterance]) -> Division | None:
    """Divide utterances as is usual.

    Args:
        corpus: What they are of.
        utterances: Those that the usual label scheme keeps.

    Returns:
        None if there are no utterances, or nothing to divide them by.
    """
    name = usual_protocol(corpus, utterances)
    if not name or not utterances:
        return None
    protocol = find_protocol(name)
    try:
        folds = protocol.split(utterances)
    except DataError as error:
        return _by_parts(name, utterances, f"expected {error.expected}, got {error.got}")
    places = {utterance.id: place for place, utterance in enumerate(utterances)}
    arrays = tuple(_places(fold, places) for fold in folds)
    empty = [
        f"fold {number} has nothing in {part}"
        for number, fold in enumerate(arrays)
        for part, found in fold.items()
        if not len(found)
    ]
    if empty:
        return Division(name, True, arrays, problem="; ".join(empty))
    by_id = {utterance.id: utterance for utterance in utterances}
    for fold in folds:
        try:
            prove_fold(protocol, fold, by_id)
        except LeakError as error:
            return Division(name, True, arrays, broken=error)
    return Division(name, True, arrays)


def _places(fold: Fold, places: dict[str, int]) -> dict[str, IntArray]:
    return {
        part: np.fromiter((places[name] for name in ids), np.int64, len(ids))
        for part, ids in fold.parts().items()
    }


def _by_parts(name: str, utterances: Sequence[Utterance], problem: str) -> Division:
    """The release's own parts, in the order of training and testing."""
    found: dict[str, list[int]] = {}
    for place, utterance in enumerate(utterances):
        if utterance.part is not None:
            found.setdefault(utterance.part, []).append(place)
    fold = {part: np.array(found[part], np.int64) for part in sorted(found, key=part_order)}
    return Division(name, False, (fold,) if fold else (), problem)
