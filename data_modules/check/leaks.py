"""Folds of the usual protocol: do they keep what is promised, and what else do they share?"""

from __future__ import annotations

import numpy as np

from data_modules.check.division import Division
from data_modules.check.overlap import AUDIO, LONG, TEXT, Overlap
from data_modules.check.result import CheckResult
from data_modules.check.survey import Check, Survey
from data_modules.protocols import find_protocol


def check_folds(survey: Survey) -> CheckResult | None:
    """Can the usual protocol be used here, and is what it keeps apart really apart?"""
    division = survey.division
    if division is None:
        return None
    if division.broken is not None:
        error = division.broken
        return CheckResult(
            "folds",
            "fail",
            f"{division.name} promises {error.expected}, but there is {error.got}",
            needs="folds",
            fix=error.fix,
        )
    if division.problem:
        return CheckResult(
            "folds", "warn", f"{division.name} cannot be used here: {division.problem}"
        )
    protocol = find_protocol(division.name)
    number = len(division.folds)
    apart = ", ".join(f"{name}s" for name in protocol.disjoint)
    return CheckResult(
        "folds",
        "pass",
        f"{division.name}: {number} fold{'s' if number > 1 else ''}, "
        + (f"with {apart} apart" if apart else "which promise nothing")
        + (f"; known leak: {protocol.leak}" if protocol.leak else ""),
    )


def _shared(kind: str) -> Check:
    def check(survey: Survey) -> CheckResult | None:
        found = [overlap for overlap in survey.overlaps if overlap.kind == kind]
        if not any(overlap.num_all for overlap in found) or survey.division is None:
            return None
        name = f"shared {kind}" if kind == AUDIO else f"shared {kind}s"
        hits = [overlap for overlap in found if overlap.num_shared]
        if not hits:
            return CheckResult(name, "pass", f"no {kind} in two {_parts(survey.division)}")
        # what training has seen matters most; the table has the other pairs
        first = [hit for hit in hits if hit.one == hits[0].one]
        told = " and ".join(
            f"{percent(hit.share)} of {hit.other} ({hit.num_shared:,} of {hit.num_all:,})"
            for hit in reversed(first)
        )
        what = f"{told} have {'' if kind == AUDIO else 'a '}{kind} that occurs in {hits[0].one}"
        places = np.unique(np.concatenate([hit.places for hit in hits])).tolist()
        return CheckResult(
            name,
            "warn",
            f"{survey.division.title}: {what}" + _of_long_ones(survey, first[-1]),
            ids=tuple(survey.kept[place].id for place in places),
        )

    return check


def _parts(division: Division) -> str:
    return f"parts of {division.name}" if division.is_protocol else division.title


def _of_long_ones(survey: Survey, hit: Overlap) -> str:
    """The same without texts that anybody says now and then."""
    if hit.kind != TEXT:
        return ""
    pairs = {(o.one, o.other): o for o in survey.overlaps if o.kind == LONG}
    long = pairs.get((hit.one, hit.other))
    if long is None or not long.num_all:
        return ""
    return f"; {percent(long.share)} of those in {hit.other} with {LONG.removeprefix('text of ')}"


def percent(share: float) -> str:
    """``12.3 %``; never 0 or 100 where it is not exactly that."""
    shown = f"{100 * share:.1f} %"
    if share > 0 and shown == "0.0 %":
        return "under 0.1 %"
    return "over 99.9 %" if share < 1 and shown == "100.0 %" else shown


check_shared_speakers = _shared("speaker")
check_shared_dialogues = _shared("dialogue")
check_shared_scripts = _shared("script")
check_shared_texts = _shared(TEXT)
check_shared_audio = _shared(AUDIO)
