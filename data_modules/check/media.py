"""Clips: are they all there, whole, audible, and each of them once?"""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from data_modules.audio import SAMPLE_RATE
from data_modules.check.result import CheckResult, plural
from data_modules.check.survey import Survey
from data_modules.media_facts import MediaTable
from data_modules.prepare import DAMAGED, LENGTH_DIFFERS

SILENT_RMS = 1e-4
"""-80 dB of full scale; the quietest clip of RAVDESS, acted sadness, is at -64 dB."""

CLIPPED_RUN = 3
"""Samples at full scale in a row; one alone is a peak that was normalised to it."""

MIN_DURATION_S = 0.2
MAX_DURATION_S = 60.0
"""Outside of these a clip is more likely cut wrongly than spoken so; IEMOCAP spans 0.58 to 34 s."""


def check_media(survey: Survey) -> CheckResult | None:
    """Are all clips there and readable to their end?"""
    prepared = survey.prepared
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


def check_formats(survey: Survey) -> CheckResult | None:
    """How many clips are resampled or mixed down?"""
    media = survey.prepared.media
    if not media:
        return None
    rates = Counter(media.column("sample_rate").tolist())
    stereo = media.column("channels") > 1
    other = media.column("sample_rate") != SAMPLE_RATE
    figures = ", ".join(f"{number} at {rate} Hz" for rate, number in sorted(rates.items()))
    return CheckResult(
        "formats",
        "pass",
        f"{figures}; {other.sum()} resampled to {SAMPLE_RATE} Hz, "
        f"{stereo.sum()} with several channels mixed to one",
        ids=_ids(media, stereo | other),
        needs="audio",
    )


def check_silence(survey: Survey) -> CheckResult | None:
    """Are there clips in which nothing can be heard?"""
    media = survey.prepared.media
    return _count(
        survey,
        "silence",
        _ids(media, media.column("rms") < SILENT_RMS),
        "below -80 dB of full scale",
    )


def check_clipping(survey: Survey) -> CheckResult | None:
    """Were clips recorded or scaled too loud?"""
    media = survey.prepared.media
    ids = _ids(media, media.column("clipped_run") >= CLIPPED_RUN)
    return _count(survey, "clipping", ids, f"with {CLIPPED_RUN} samples in a row at full scale")


def check_lengths(survey: Survey) -> CheckResult | None:
    """Are there clips that are too short or too long to be one utterance?"""
    ids = tuple(
        utterance.id
        for utterance in survey.prepared.utterances
        if utterance.audio is not None
        and not MIN_DURATION_S <= utterance.duration_s <= MAX_DURATION_S
    )
    return _count(
        survey, "lengths", ids, f"under {MIN_DURATION_S} s or over {MAX_DURATION_S:.0f} s"
    )


def check_stated_lengths(survey: Survey) -> CheckResult | None:
    """Are clips as long as the release's own tables say?"""
    prepared = survey.prepared
    if not prepared.num_stated:
        return None
    ids = tuple(note.id for note in prepared.notes if note.reason == LENGTH_DIFFERS)
    what = "with another length than the release states"
    return _count(survey, "stated lengths", ids, f"of {prepared.num_stated} {what}")


def check_duplicates(survey: Survey) -> CheckResult | None:
    """Does the same audio stand under two names, above all of two speakers or in two parts?"""
    media = survey.prepared.media
    if not media:
        return None
    codes = media.contents()
    is_copy = np.bincount(codes)[codes] > 1
    names = _ids(media, is_copy)
    speaker_of = {u.id: u.speaker for u in survey.prepared.utterances} if names else {}
    groups: dict[int, list[str]] = {}
    for name, code in zip(names, codes[is_copy].tolist(), strict=True):
        groups.setdefault(code, []).append(name)
    speakers = {code for code, ids in groups.items() if len({speaker_of[i] for i in ids}) > 1}
    parts = {code for code, ids in groups.items() if not survey.audio_in_two_parts.isdisjoint(ids)}
    # those of several speakers first: they can stand in training and test at once
    order = sorted(groups, key=lambda code: (code not in speakers, code not in parts))
    what = "with the audio of another"
    for codes_of_kind, kind in ((speakers, "of another speaker"), (parts, "in another part")):
        number = sum(len(groups[code]) for code in codes_of_kind)
        what += f", {number} of them {kind}" if number else ""
    ids = tuple(name for code in order for name in groups[code])
    return _count(survey, "duplicates", ids, what)


def _ids(media: MediaTable, chosen: npt.NDArray[np.bool_]) -> tuple[str, ...]:
    """Ids of the clips that are marked ``(N,)``."""
    return tuple(name for name, is_chosen in zip(media, chosen.tolist(), strict=True) if is_chosen)


def _count(survey: Survey, name: str, ids: tuple[str, ...], what: str) -> CheckResult | None:
    """Warn of clips; none of them is a pass, and no clips at all is nothing to check."""
    if not survey.prepared.media:
        return None
    detail = f"{plural(len(ids), 'clip') if ids else 'none'} {what}"
    return CheckResult(name, "warn" if ids else "pass", detail, ids=ids, needs="audio")
