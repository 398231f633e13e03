"""Labels, speakers, transcripts and word times, and what the reader could not use."""

from __future__ import annotations

from collections import Counter, defaultdict

from data_modules.check.counts import count
from data_modules.check.result import CheckResult, plural
from data_modules.corpora.release import count_notes
from data_modules.prepare import DAMAGED, LENGTH_DIFFERS
from data_modules.prepared import Prepared


def check_exclusions(prepared: Prepared) -> CheckResult:
    """What of the release is not in the manifest, damaged audio aside?"""
    reasons = set(DAMAGED.values())
    others = [e for e in prepared.exclusions if e.reason not in reasons]
    if not others:
        return CheckResult("release files", "pass", "every utterance was understood")
    return CheckResult(
        "release files",
        "warn",
        f"left out: {_by_reason([exclusion.reason for exclusion in others])}",
        ids=tuple(exclusion.id for exclusion in others),
    )


def check_ignored(prepared: Prepared) -> CheckResult | None:
    """Which files and turns are passed over because they are no utterances?"""
    if not prepared.ignored:
        return None
    figures = ", ".join(f"{len(names)} {reason}" for reason, names in prepared.ignored.items())
    ids = tuple(name for names in prepared.ignored.values() for name in names)
    return CheckResult("passed over", "pass", figures, ids=ids)


def check_labels(prepared: Prepared) -> CheckResult:
    """Does the label scheme know every label?"""
    counts = count(prepared)
    scheme = prepared.corpus.scheme.name
    if counts.unknown:
        found = sorted(set(counts.unknown.values()))
        return CheckResult(
            "labels",
            "fail",
            f"{plural(len(counts.unknown), 'utterance')} with labels that {scheme} does not know: "
            + ", ".join(found[:5]),
            ids=tuple(counts.unknown),
            needs="labels",
            fix="mend these labels in the release",
        )
    left_out = ", ".join(f"{number} {reason}" for reason, number in counts.left_out.items())
    return CheckResult(
        "labels",
        "pass",
        f"{scheme} keeps {counts.total}" + (f", leaves out: {left_out}" if left_out else ""),
        needs="labels",
    )


def check_people(prepared: Prepared) -> CheckResult:
    """Has each utterance a speaker, and each speaker one gender and one session?"""
    nobody = [u.id for u in prepared.utterances if u.speaker is None]
    problems = [f"{plural(len(nobody), 'utterance')} without a speaker"] if nobody else []
    ids = list(nobody)
    genders: dict[str, set[str]] = defaultdict(set)
    sessions: dict[str, set[str]] = defaultdict(set)
    for utterance in prepared.utterances:
        if utterance.speaker is not None:
            genders[utterance.speaker].add(utterance.gender or "unknown gender")
            if utterance.session is not None:
                sessions[utterance.speaker].add(utterance.session)
    for values, what in ((genders, "genders"), (sessions, "sessions")):
        several = sorted(speaker for speaker, found in values.items() if len(found) > 1)
        if several:
            problems.append(f"{', '.join(several[:5])} with several {what}")
            ids += several
    if problems:
        return CheckResult("identities", "warn", "; ".join(problems), ids=tuple(ids))
    return CheckResult(
        "identities", "pass", f"{plural(len(genders), 'speaker')}, each with one identity"
    )


def check_transcripts(prepared: Prepared) -> CheckResult:
    """Has every utterance words?"""
    missing = [u.id for u in prepared.utterances if u.text is None]
    empty = [u.id for u in prepared.utterances if u.text is not None and not u.text.strip()]
    if missing or empty:
        return CheckResult(
            "transcripts",
            "fail",
            f"{len(missing)} missing and {len(empty)} empty of {len(prepared.utterances)}",
            ids=(*missing, *empty),
            needs="text",
            fix="add these transcripts to the release",
        )
    return CheckResult("transcripts", "pass", "every utterance has one", needs="text")


def check_word_times(prepared: Prepared) -> CheckResult:
    """Which utterances have word times, and from whom?"""
    sources = Counter(word.source for u in prepared.utterances for word in u.words)
    bare = tuple(u.id for u in prepared.utterances if not u.words)
    figures = ", ".join(f"{number} words from {source}" for source, number in sources.items())
    if not sources:
        return CheckResult(
            "word times", "pass", "none in the release; an aligner gives them", needs="words"
        )
    return CheckResult(
        "word times",
        "warn" if bare else "pass",
        figures + (f"; none for {plural(len(bare), 'utterance')}" if bare else ""),
        ids=bare,
        needs="words",
    )


def check_notes(prepared: Prepared) -> CheckResult | None:
    """What else should be known of utterances and files that are used?"""
    notes = [note for note in prepared.notes if note.reason != LENGTH_DIFFERS]
    if not notes:
        return None
    return CheckResult(
        "remarks",
        "warn",
        ", ".join(f"{number} {reason}" for reason, number in count_notes(notes).items()),
        ids=tuple(note.id for note in notes),
    )


def _by_reason(reasons: list[str]) -> str:
    return ", ".join(f"{number} {reason}" for reason, number in Counter(reasons).most_common())
