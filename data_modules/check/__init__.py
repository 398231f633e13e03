"""Checks of a prepared corpus: is it the release that the literature speaks of, and is it whole?

A check is a function from :class:`Prepared` to a :class:`CheckResult`; a new one is a function in
one of the files here and a line in ``CHECKS``.
"""

from __future__ import annotations

from collections.abc import Iterable

from data_modules.check import content, counts, media
from data_modules.check.result import Check, CheckResult, Needs
from data_modules.errors import DataError, first_ids
from data_modules.prepared import Prepared

__all__ = ["CHECKS", "CheckResult", "check", "refuse_failures"]

CHECKS: tuple[Check, ...] = (
    counts.check_total,
    counts.check_classes,
    counts.check_sessions,
    counts.check_speakers,
    content.check_exclusions,
    content.check_ignored,
    content.check_labels,
    content.check_people,
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


def check(prepared: Prepared) -> list[CheckResult]:
    """All checks that apply to a corpus, in the order of ``CHECKS``."""
    results = (one(prepared) for one in CHECKS)
    return [result for result in results if result is not None]


def refuse_failures(prepared: Prepared, results: Iterable[CheckResult], uses: set[Needs]) -> None:
    """Stop an experiment on a corpus that lacks what it uses.

    Args:
        prepared: The corpus.
        results: Of :func:`check`.
        uses: What the experiment uses, among ``audio``, ``text``, ``labels``, ``words``.

    Raises:
        DataError: A failed check concerns it; the first one is told.
    """
    for result in results:
        if result.status == "fail" and (not result.needs or result.needs in uses):
            raise DataError(
                f"{prepared.corpus.name} in {prepared.root}, {result.name} of "
                f"{first_ids(list(result.ids))}",
                expected="a check that passes",
                got=result.detail,
                fix=result.fix,
            )
