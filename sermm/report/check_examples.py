"""A few utterances of each class, with their audio inside the page."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data_modules.check import Survey
from data_modules.labels import LabelScheme, LeftOut, Target
from data_modules.manifest import Utterance
from sermm.report.clips import embed

PER_CLASS = 2
MOST_CLASSES = 16
"""Of so many classes there are two examples each; of more there is one."""

MOST_BYTES = 2_500_000
"""Of audio as it stands in the page."""


@dataclass(frozen=True)
class Example:
    """An utterance to look at and listen to.

    Attributes:
        kind: Its class; of ratings, the first one rounded; of several labels, the first it has.
        utterance: All that is known of it.
        labels: The corpus' own values, in words.
        audio: A ``data:`` address of a FLAC file at 16 kHz; empty if there is none.
        remark: Why there is none.
    """

    kind: str
    utterance: Utterance
    labels: str
    audio: str = ""
    remark: str = ""


def kind_of(scheme: LabelScheme, target: Target) -> str:
    """What an utterance is an example of."""
    if isinstance(target, int):
        return scheme.names[target]
    if scheme.kind == "regression":
        return f"{scheme.names[0]} about {round(target[0])}"
    present = [name for name, value in zip(scheme.names, target, strict=True) if value]
    return present[0] if present else "none of the labels"


def by_kind(survey: Survey) -> dict[str, list[Utterance]]:
    """Utterances that the usual label scheme keeps, in the order of its classes."""
    scheme = survey.prepared.corpus.scheme
    kept: list[tuple[Utterance, Target]] = []
    for utterance in survey.kept:
        target = scheme.target_of(utterance)
        assert not isinstance(target, LeftOut)
        kept.append((utterance, target))
    groups: dict[str, list[Utterance]] = {name: [] for name in scheme.names}
    if scheme.kind == "regression":
        # from the lowest to the highest, which their names would not give
        kept.sort(key=lambda pair: round(pair[1][0]) if not isinstance(pair[1], int) else 0)
    for utterance, target in kept:
        groups.setdefault(kind_of(scheme, target), []).append(utterance)
    return {kind: members for kind, members in groups.items() if members}


def choose_examples(survey: Survey, *, with_audio: bool) -> list[Example]:
    """The most usual utterances of each class: those whose length is nearest to the median.

    Args:
        survey: Of the corpus.
        with_audio: Whether clips are read.
    """
    groups = by_kind(survey)
    number = PER_CLASS if len(groups) <= MOST_CLASSES else 1
    examples, size = [], 0
    for kind, members in groups.items():
        for utterance in _usual(members, number):
            audio, remark = "", ""
            if utterance.audio is not None and with_audio:
                audio, remark = embed(survey.prepared, utterance, MOST_BYTES - size)
                size += len(audio)
            labels = ", ".join(f"{key} {_in_words(v)}" for key, v in utterance.labels.items())
            examples.append(Example(kind, utterance, labels, audio, remark))
    return examples


def _usual(members: Sequence[Utterance], number: int) -> list[Utterance]:
    """The first is nearest to the median length; the others are of other speakers if there are."""
    lengths = {u.id: u.duration_s or len(u.text or "") for u in members}
    median = statistics.median(lengths.values())
    order = sorted(members, key=lambda u: (abs(lengths[u.id] - median), u.id))
    chosen = order[:1]
    speakers = {order[0].speaker}
    for others in ([u for u in order[1:] if u.speaker not in speakers], order[1:]):
        chosen += [u for u in others if u not in chosen][: number - len(chosen)]
    return chosen


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{key} {_in_words(item)}" for key, item in value.items()) + ")"
    if isinstance(value, list):
        return ", ".join(_in_words(item) for item in value) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
