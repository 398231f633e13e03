"""Checks of a prepared corpus: is it the release that the literature speaks of, and is it whole?

A check is a function from :class:`Survey` to a :class:`CheckResult`; a new one is a function in
one of the files here and a line in ``CHECKS``. Which results stop an experiment is in
``experiment.py``.
"""

from __future__ import annotations

from data_modules.check import content, leaks, media, published
from data_modules.check.experiment import failures, narrow, refuse_failures
from data_modules.check.result import CheckResult
from data_modules.check.survey import Check, Survey
from data_modules.prepared import Prepared

__all__ = ["CHECKS", "CheckResult", "Survey", "check", "failures", "narrow", "refuse_failures"]

CHECKS: tuple[Check, ...] = (
    published.check_total,
    published.check_classes,
    published.check_parts,
    published.check_sessions,
    published.check_speakers,
    content.check_exclusions,
    content.check_ignored,
    content.check_labels,
    content.check_other_labels,
    content.check_people,
    leaks.check_folds,
    leaks.check_shared_speakers,
    leaks.check_shared_dialogues,
    leaks.check_shared_scripts,
    leaks.check_shared_texts,
    leaks.check_shared_audio,
    content.check_modalities,
    media.check_media,
    media.check_formats,
    media.check_silence,
    media.check_clipping,
    media.check_lengths,
    media.check_stated_lengths,
    media.check_duplicates,
    content.check_transcripts,
    content.check_word_times,
    content.check_notes,
)


def check(prepared: Prepared | Survey) -> list[CheckResult]:
    """All checks that apply to a corpus, in the order of ``CHECKS``."""
    survey = prepared if isinstance(prepared, Survey) else Survey(prepared)
    results = (one(survey) for one in CHECKS)
    return [result for result in results if result is not None]
