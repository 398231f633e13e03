"""Utterances per class, session and speaker, beside what is published of the whole release."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from data_modules.check.result import Check, CheckResult
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
        sessions: Per session; empty where the corpus has none.
        speakers: Per speaker.
        left_out: Utterances that the scheme leaves out, by reason.
        unknown: What stands in labels that the scheme does not know, by id.
    """

    total: int
    classes: dict[str, int]
    sessions: dict[str, int]
    speakers: dict[str, int]
    left_out: dict[str, int]
    unknown: dict[str, str]


def count(prepared: Prepared) -> Counts:
    """Count a manifest by the corpus' usual label scheme."""
    scheme = prepared.corpus.scheme
    classes: Counter[str] = Counter()
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
        if utterance.session is not None:
            sessions[utterance.session] += 1
        if utterance.speaker is not None:
            speakers[utterance.speaker] += 1
    return Counts(
        total=total,
        classes={name: classes[name] for name in scheme.names},
        sessions=dict(sorted(sessions.items())),
        speakers=dict(sorted(speakers.items())),
        left_out=dict(left_out.most_common()),
        unknown=unknown,
    )


def _counted(scheme: LabelScheme, target: Target) -> list[str]:
    """Names among the scheme's that a target counts for: its class, or its labels."""
    if isinstance(target, int):
        return [scheme.names[target]]
    return [name for name, value in zip(scheme.names, target, strict=True) if value]


def check_total(prepared: Prepared) -> CheckResult | None:
    """Is this the whole release?"""
    published = prepared.corpus.published
    if published is None:
        return None
    total = count(prepared).total
    return CheckResult(
        "size",
        "pass" if total == published.total else "warn",
        f"{total} of {published.total} {published.what} of the release",
    )


def _compare(group: str) -> Check:
    def check(prepared: Prepared) -> CheckResult | None:
        published = prepared.corpus.published
        expected: Mapping[str, int] = getattr(published, group) if published else {}
        if not expected:
            return None
        here: dict[str, int] = getattr(count(prepared), group)
        names = [*expected, *sorted(here.keys() - expected.keys())]
        different = [name for name in names if here.get(name, 0) != expected.get(name, 0)]
        if not different:
            return CheckResult(group, "pass", f"all {len(expected)} {group} as published")
        figures = ", ".join(
            f"{name}: {here.get(name, 0)} of {expected.get(name, 0)}" for name in different
        )
        return CheckResult(
            group, "warn", f"{len(different)} of {len(names)} {group} differ: {figures}"
        )

    return check


check_classes = _compare("classes")
check_sessions = _compare("sessions")
check_speakers = _compare("speakers")
