"""Clips: are they all there, whole, audible, and each of them once?"""

from __future__ import annotations

from collections import Counter, defaultdict

from data_modules.audio import SAMPLE_RATE
from data_modules.check.result import CheckResult, plural
from data_modules.prepare import DAMAGED, LENGTH_DIFFERS
from data_modules.prepared import Prepared

SILENT_RMS = 1e-4
"""-80 dB of full scale; the quietest clip of RAVDESS, acted sadness, is at -64 dB."""

CLIPPED_RUN = 3
"""Samples at full scale in a row; one alone is a peak that was normalised to it."""

MIN_DURATION_S = 0.2
MAX_DURATION_S = 60.0
"""Outside of these a clip is more likely cut wrongly than spoken so; IEMOCAP spans 0.58 to 34 s."""


def check_media(prepared: Prepared) -> CheckResult | None:
    """Are all clips there and readable to their end?"""
    reasons = set(DAMAGED.values())
    damaged = [e for e in prepared.exclusions if e.reason in reasons]
    if not damaged:
        if not prepared.media:
            return None
        return CheckResult(
            "audio files",
            "pass",
            f"{plural(len(prepared.media), 'clip')} decoded to the end",
            needs="audio",
        )
    counts = Counter(exclusion.reason for exclusion in damaged)
    kinds = ", ".join(f"{reason}: {number}" for reason, number in counts.items())
    return CheckResult(
        "audio files",
        "fail",
        f"{kinds} (first: {damaged[0].detail})",
        ids=tuple(exclusion.id for exclusion in damaged),
        needs="audio",
        fix=f"mend these files, then run `sermm prepare {prepared.corpus.name}` again",
    )


def check_formats(prepared: Prepared) -> CheckResult | None:
    """How many clips are resampled or mixed down?"""
    if not prepared.media:
        return None
    rates = Counter(facts.sample_rate for facts in prepared.media.values())
    stereo = sum(facts.channels > 1 for facts in prepared.media.values())
    resampled = len(prepared.media) - rates[SAMPLE_RATE]
    figures = ", ".join(f"{number} at {rate} Hz" for rate, number in sorted(rates.items()))
    return CheckResult(
        "formats",
        "pass",
        f"{figures}; {resampled} resampled to {SAMPLE_RATE} Hz, "
        f"{stereo} with several channels mixed to one",
        ids=tuple(
            name
            for name, facts in prepared.media.items()
            if facts.channels > 1 or facts.sample_rate != SAMPLE_RATE
        ),
        needs="audio",
    )


def check_silence(prepared: Prepared) -> CheckResult | None:
    """Are there clips in which nothing can be heard?"""
    ids = tuple(name for name, facts in prepared.media.items() if facts.rms < SILENT_RMS)
    return _count(prepared, "silence", ids, "below -80 dB of full scale")


def check_clipping(prepared: Prepared) -> CheckResult | None:
    """Were clips recorded or scaled too loud?"""
    ids = tuple(name for name, facts in prepared.media.items() if facts.clipped_run >= CLIPPED_RUN)
    return _count(prepared, "clipping", ids, f"with {CLIPPED_RUN} samples in a row at full scale")


def check_lengths(prepared: Prepared) -> CheckResult | None:
    """Are there clips that are too short or too long to be one utterance?"""
    ids = tuple(
        utterance.id
        for utterance in prepared.utterances
        if utterance.audio is not None
        and not MIN_DURATION_S <= utterance.duration_s <= MAX_DURATION_S
    )
    return _count(
        prepared, "lengths", ids, f"under {MIN_DURATION_S} s or over {MAX_DURATION_S:.0f} s"
    )


def check_stated_lengths(prepared: Prepared) -> CheckResult | None:
    """Are clips as long as the release's own tables say?"""
    ids = tuple(note.id for note in prepared.notes if note.reason == LENGTH_DIFFERS)
    return _count(prepared, "stated lengths", ids, "with another length than the release states")


def check_duplicates(prepared: Prepared) -> CheckResult | None:
    """Does the same audio stand under two names, above all of two speakers?"""
    groups: dict[str, list[str]] = defaultdict(list)
    for name, facts in prepared.media.items():
        groups[facts.content_sha256].append(name)
    speakers = {utterance.id: utterance.speaker for utterance in prepared.utterances}
    copies = [ids for ids in groups.values() if len(ids) > 1]
    across = [ids for ids in copies if len({speakers[name] for name in ids}) > 1]
    # those of several speakers first: they can stand in training and test at once
    ids = tuple(name for group in sorted(copies, key=lambda g: g not in across) for name in group)
    leaks = f", {sum(map(len, across))} of them of another speaker" if across else ""
    return _count(prepared, "duplicates", ids, f"with the audio of another{leaks}")


def _count(prepared: Prepared, name: str, ids: tuple[str, ...], what: str) -> CheckResult | None:
    """Warn of clips; none of them is a pass, and no clips at all is nothing to check."""
    if not prepared.media:
        return None
    detail = f"{plural(len(ids), 'clip') if ids else 'none'} {what}"
    return CheckResult(name, "warn" if ids else "pass", detail, ids=ids, needs="audio")
