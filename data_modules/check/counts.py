"""Utterances per class, part, session and speaker, by the usual label scheme."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from data_modules.errors import LabelError
from data_modules.labels import LabelScheme, LeftOut, Target
from data_modules.prepared import Prepared


@dataclass(frozen=True)
class Counts:
    """What the usual label scheme of a corpus keeps of its manifest.

    Attributes:
        total: Utterances with a target.
        classes: Per class or label, in the order of the scheme, zeros included; of ratings, how
            many are not zero.
        parts: Per part of the release's own division; empty where there is none.
        sessions: Per session; empty where the corpus has none.
        speakers: Per speaker.
        left_out: Utterances that the scheme leaves out, by reason.
        unknown: What stands in labels that the scheme does not know, by id.
    """

    total: int
    classes: dict[str, int]
    parts: dict[str, int]
    sessions: dict[str, int]
    speakers: dict[str, int]
    left_out: dict[str, int]
    unknown: dict[str, str]


def count(prepared: Prepared) -> Counts:
    """Count a manifest by the corpus' usual label scheme."""
    scheme = prepared.corpus.scheme
    classes: Counter[str] = Counter()
    parts: Counter[str] = Counter()
    sessions: Counter[str] = Counter()
    speakers: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    unknown: dict[str, str] = {}
    total = 0
    for utterance in prepared.utterances:
        try:
            target = scheme.target_of(utterance)
        except LabelError as error:
            unknown[utterance.id] = error.got
            continue
        if isinstance(target, LeftOut):
            left_out[target.reason] += 1
            continue
        total += 1
        classes.update(_counted(scheme, target))
        if utterance.part is not None:
            parts[utterance.part] += 1
        if utterance.session is not None:
            sessions[utterance.session] += 1
        if utterance.speaker is not None:
            speakers[utterance.speaker] += 1
    return Counts(
        total=total,
        classes={name: classes[name] for name in scheme.names},
        parts=dict(sorted(parts.items(), key=lambda item: part_order(item[0]))),
        sessions=dict(sorted(sessions.items())),
        speakers=dict(sorted(speakers.items())),
        left_out=dict(left_out.most_common()),
        unknown=unknown,
    )


def part_order(part: str) -> tuple[bool, bool, str]:
    """Training comes first, then validation, then the others by name."""
    return part != "train", part != "val", part


def _counted(scheme: LabelScheme, target: Target) -> list[str]:
    """Names among the scheme's that a target counts for: its class, or its labels."""
    if isinstance(target, int):
        return [scheme.names[target]]
    return [name for name, value in zip(scheme.names, target, strict=True) if value]
