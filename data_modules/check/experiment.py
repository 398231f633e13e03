"""Which failed checks stop an experiment: those of utterances that it uses, for what it uses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from data_modules.check.result import CheckResult, Needs
from data_modules.errors import DataError, LabelError, first_ids
from data_modules.labels import LabelScheme, LeftOut
from data_modules.manifest import Exclusion, Utterance
from data_modules.media_facts import MediaTable
from data_modules.prepared import Prepared
from data_modules.protocols import Protocol


def narrow(prepared: Prepared, scheme: LabelScheme, protocol: Protocol) -> Prepared:
    """The corpus without what an experiment does not use, to be checked.

    An utterance that is left out for its audio stays among the exclusions if the experiment would
    use it. One whose label the scheme does not know counts as used.

    Args:
        prepared: The whole corpus.
        scheme: Of the experiment; it takes the place of the usual one.
        protocol: Of the experiment; it takes the place of the usual one.
    """
    kept = [u for u in prepared.utterances if _is_kept(scheme, u)]
    damaged = [e for e in prepared.exclusions if e.utterance is not None]
    spoilt = [e.utterance for e in damaged if e.utterance and _is_kept(scheme, e.utterance)]
    used = _in_folds(protocol, [*kept, *spoilt])
    others = [one for one in prepared.corpus.schemes if one.name != scheme.name]

    def concerns(exclusion: Exclusion) -> bool:
        return exclusion.utterance is None or exclusion.utterance.id in used

    left = [utterance for utterance in kept if utterance.id in used]
    return replace(
        prepared,
        corpus=replace(prepared.corpus, schemes=(scheme, *others), protocol=protocol.name),
        utterances=left,
        exclusions=[exclusion for exclusion in prepared.exclusions if concerns(exclusion)],
        media=MediaTable(prepared.media[u.id] for u in left if u.id in prepared.media),
    )


def _is_kept(scheme: LabelScheme, utterance: Utterance) -> bool:
    try:
        return not isinstance(scheme.target_of(utterance), LeftOut)
    except LabelError:
        return True


def _in_folds(protocol: Protocol, utterances: list[Utterance]) -> set[str]:
    """Ids that stand in some fold; all of them where there can be no folds, which is told later."""
    try:
        folds = protocol.split(utterances) if utterances else []
    except DataError:
        return {utterance.id for utterance in utterances}
    return {name for fold in folds for ids in fold.parts().values() for name in ids}


def failures(
    prepared: Prepared, results: Iterable[CheckResult], uses: set[Needs]
) -> list[CheckResult]:
    """Checks that fail and concern an experiment, among them that it lacks a whole modality.

    Args:
        prepared: What the experiment uses, of :func:`narrow`.
        results: Of ``check``, of the same.
        uses: What the experiment uses, among ``audio``, ``text``, ``labels``, ``words``.
    """
    failed = [
        result
        for result in results
        if result.status == "fail" and (not result.needs or result.needs in uses)
    ]
    utterances = prepared.utterances
    if "audio" in uses and utterances and all(u.audio is None for u in utterances):
        fix = "copy the audio of the release, or run an experiment on text"
        failed.append(CheckResult("modalities", "fail", "no audio at all", needs="audio", fix=fix))
    if "text" in uses and utterances and all(u.text is None for u in utterances):
        fix = "add the transcripts of the release, or run an experiment on audio"
        failed.append(
            CheckResult("modalities", "fail", "no transcripts at all", needs="text", fix=fix)
        )
    return failed


def refuse_failures(prepared: Prepared, results: Iterable[CheckResult], uses: set[Needs]) -> None:
    """Stop an experiment on a corpus that lacks what it uses.

    Args:
        prepared: What the experiment uses, of :func:`narrow`.
        results: Of ``check``, of the same.
        uses: What the experiment uses, among ``audio``, ``text``, ``labels``, ``words``.

    Raises:
        DataError: A failed check concerns it; the first one is told.
    """
    for result in failures(prepared, results, uses):
        which = f" of {first_ids(list(result.ids))}" if result.ids else ""
        raise DataError(
            f"{prepared.corpus.name} in {prepared.root}, {result.name}{which}",
            expected="a check that passes",
            got=result.detail,
            fix=result.fix,
        )
