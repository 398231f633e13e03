"""Labels, speakers, transcripts and word times, and what the reader could not use."""

from __future__ import annotations

from collections import Counter, defaultdict

from data_modules.check.result import CheckResult, plural
from data_modules.check.survey import Survey
from data_modules.corpora.release import count_notes
from data_modules.errors import LabelError
from data_modules.labels import LabelScheme
from data_modules.manifest import Utterance
from data_modules.prepare import DAMAGED, LENGTH_DIFFERS


def check_exclusions(survey: Survey) -> CheckResult:
    """What of the release is not in the manifest, damaged audio aside?"""
    reasons = set(DAMAGED.values())
    others = [e for e in survey.prepared.exclusions if e.reason not in reasons]
    if not others:
        return CheckResult("release files", "pass", "every utterance was understood")
    return CheckResult(
        "release files",
        "warn",
        f"left out: {_by_reason([exclusion.reason for exclusion in others])}",
        ids=tuple(exclusion.id for exclusion in others),
    )


def check_ignored(survey: Survey) -> CheckResult | None:
    """Which files and turns are passed over because they are no utterances?"""
    ignored = survey.prepared.ignored
    if not ignored:
        return None
    figures = ", ".join(f"{len(names)} {reason}" for reason, names in ignored.items())
    ids = tuple(name for names in ignored.values() for name in names)
    return CheckResult("passed over", "pass", figures, ids=ids)


def check_labels(survey: Survey) -> CheckResult:
    """Does the usual label scheme know every label?"""
    counts = survey.counts
    scheme = survey.prepared.corpus.scheme.name
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


def check_other_labels(survey: Survey) -> CheckResult | None:
    """Do the other label schemes of the corpus know every label?"""
    utterances, schemes = survey.prepared.utterances, survey.prepared.corpus.schemes[1:]
    if not schemes:
        return None
    unknown = {scheme.name: _unknown(scheme, utterances) for scheme in schemes}
    troubled = {name: found for name, found in unknown.items() if found}
    if not troubled:
        return CheckResult("other labels", "pass", f"all are known to {', '.join(unknown)}")
    figures = "; ".join(
        f"{name} does not know those of {plural(len(found), 'utterance')}: "
        + ", ".join(sorted(set(found.values()))[:5])
        for name, found in troubled.items()
    )
    ids = dict.fromkeys(name for found in troubled.values() for name in found)
    return CheckResult("other labels", "warn", figures, ids=tuple(ids))


def _unknown(scheme: LabelScheme, utterances: list[Utterance]) -> dict[str, str]:
    """What stands in labels that a scheme does not know, by id."""
    found = {}
    for utterance in utterances:
        try:
            scheme.target_of(utterance)
        except LabelError as error:
            found[utterance.id] = error.got
    return found


def check_people(survey: Survey) -> CheckResult:
    """Has each utterance a speaker, and each speaker one gender and one session?"""
    utterances = survey.prepared.utterances
    nobody = [u.id for u in utterances if u.speaker is None]
    problems = [f"{plural(len(nobody), 'utterance')} without a speaker"] if nobody else []
    ids = list(nobody)
    genders: dict[str, set[str]] = defaultdict(set)
    sessions: dict[str, set[str]] = defaultdict(set)
    for utterance in utterances:
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


def check_modalities(survey: Survey) -> CheckResult | None:
    """Which utterances lack audio or a transcript that others have?"""
    utterances = survey.prepared.utterances
    silent = tuple(u.id for u in utterances if u.audio is None)
    wordless = tuple(u.id for u in utterances if not u.text)
    total, bare = len(utterances), sum(u.audio is None and not u.text for u in utterances)
    if total in (len(silent), len(wordless)):
        audio, text = total > len(silent), total > len(wordless)
        only = "audio alone" if audio else "transcripts alone" if text else "neither of the two"
        return CheckResult("modalities", "pass", f"{only}, for all of {total}")
    both = total - len(silent) - len(wordless) + bare
    figures = f"{both} with audio and transcript, {len(wordless) - bare} with audio alone, "
    figures += f"{len(silent) - bare} with a transcript alone"
    if silent:
        return CheckResult(
            "modalities",
            "fail",
            figures,
            ids=silent,
            needs="audio",
            fix="add the audio of these utterances to the release",
        )
    return CheckResult("modalities", "warn" if wordless else "pass", figures, ids=wordless)


def check_transcripts(survey: Survey) -> CheckResult:
    """Has every utterance words?"""
    utterances = survey.prepared.utterances
    missing = [u.id for u in utterances if u.text is None]
    empty = [u.id for u in utterances if u.text is not None and not u.text.strip()]
    if len(missing) == len(utterances):
        return CheckResult("transcripts", "warn", "none in the release", needs="text")
    if missing or empty:
        return CheckResult(
            "transcripts",
            "fail",
            f"{len(missing)} missing and {len(empty)} empty of {len(utterances)}",
            ids=(*missing, *empty),
            needs="text",
            fix="add these transcripts to the release",
        )
    return CheckResult("transcripts", "pass", "every utterance has one", needs="text")


def check_word_times(survey: Survey) -> CheckResult:
    """Which utterances have word times, and from whom?"""
    utterances = survey.prepared.utterances
    sources = Counter(word.source for u in utterances for word in u.words)
    bare = tuple(u.id for u in utterances if not u.words)
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


def check_notes(survey: Survey) -> CheckResult | None:
    """What else should be known of utterances and files that are used?"""
    notes = [note for note in survey.prepared.notes if note.reason != LENGTH_DIFFERS]
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
