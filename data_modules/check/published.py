"""Counts beside what is published of the whole release."""

from __future__ import annotations

from collections.abc import Mapping

from data_modules.check.result import CheckResult
from data_modules.check.survey import Check, Survey

_TOLD = 12


def check_total(survey: Survey) -> CheckResult | None:
    """Is this the whole release?"""
    published = survey.prepared.corpus.published
    if published is None:
        return None
    total = survey.counts.total
    return CheckResult(
        "size",
        "pass" if total == published.total else "warn",
        f"{total} of {published.total} {published.what} of the release",
    )


def _compare(group: str) -> Check:
    def check(survey: Survey) -> CheckResult | None:
        published = survey.prepared.corpus.published
        expected: Mapping[str, int] = getattr(published, group) if published else {}
        if not expected:
            return None
        here: dict[str, int] = getattr(survey.counts, group)
        names = [*expected, *sorted(here.keys() - expected.keys())]
        different = [name for name in names if here.get(name, 0) != expected.get(name, 0)]
        if not different:
            return CheckResult(group, "pass", f"all {len(expected)} {group} as published")
        figures = ", ".join(
            f"{name}: {here.get(name, 0)} of {expected.get(name, 0)}" for name in different[:_TOLD]
        )
        if len(different) > _TOLD:
            figures += f" and {len(different) - _TOLD} more"
        return CheckResult(
            group, "warn", f"{len(different)} of {len(names)} {group} differ: {figures}"
        )

    return check


check_classes = _compare("classes")
check_parts = _compare("parts")
check_sessions = _compare("sessions")
check_speakers = _compare("speakers")
