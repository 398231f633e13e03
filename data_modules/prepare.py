"""From a release on disk to its manifest: read labels, decode clips once, list what is left out.

What went in came out: each utterance that the reader found is a line of the manifest or a line of
the exclusions. A second call decodes only what changed.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from data_modules.audio import (
    EmptyMediaError,
    MissingMediaError,
    MissingReaderError,
    PointerMediaError,
    TruncatedMediaError,
)
from data_modules.corpora import Corpus, Release
from data_modules.errors import (
    CorpusNotFoundError,
    DataError,
    ManifestError,
    MediaError,
    first_ids,
)
from data_modules.manifest import Exclusion, Utterance, Word
from data_modules.media import MediaFacts, MediaTable, scan_media
from data_modules.prepared import (
    Prepared,
    hash_data,
    load_prepared,
    manifest_path,
    write_prepared,
)

__all__ = ["DAMAGED", "Prepared", "load_prepared", "manifest_path", "prepare"]

DAMAGED: dict[type[MediaError], str] = {
    MissingMediaError: "audio is missing",
    EmptyMediaError: "audio is empty",
    TruncatedMediaError: "audio is cut short",
    PointerMediaError: "audio is a Git-LFS pointer",
    MediaError: "audio cannot be decoded",
}
"""Reasons of exclusions that are about a file and not about a label, the general one last."""

LENGTH_DIFFERS = "length differs from what the release states"
WORDS_AFTER_END = "word times after the end of the audio"

STATED_TOLERANCE_S = 0.1
"""Releases state lengths to a millisecond or better; a tenth of a second is another recording."""

ROUNDING_S = 0.02
"""Two frames of a forced alignment: its last word may end that much after the last sample."""


def prepare(
    corpus: Corpus,
    root: Path,
    cache: Path,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Read a release and write its manifest.

    Args:
        corpus: What to read.
        root: Folder of the release.
        cache: Folder for ``manifests/``. An earlier manifest there is replaced; word times that an
            aligner added to it are kept where text and audio are unchanged.
        on_progress: Called with the number of clips done and the number of all.

    Raises:
        CorpusNotFoundError: There is no release at ``root``, or nothing of it can be used.
        MissingReaderError: Its files need a decoder that is not installed.
    """
    root = root.resolve()
    corpus = corpus.at(root)
    release = corpus.read(root)
    _expect_unique(corpus, root, release)
    earlier = _earlier(corpus, root, cache)
    known = earlier.media if earlier is not None else MediaTable()
    media = MediaTable()
    utterances: list[Utterance] = []
    scanned = _scan_all(release.utterances, root, known, on_progress)
    for utterance, facts in zip(release.utterances, scanned, strict=True):
        if isinstance(facts, MediaError):
            reason = next(reason for kind, reason in DAMAGED.items() if isinstance(facts, kind))
            release.exclusions.append(Exclusion(utterance.id, reason, str(facts), utterance))
        elif facts is None:
            utterances.append(utterance)
        else:
            media[utterance.id] = facts
            utterances.append(_fit(utterance, facts, release))
    if not utterances:
        raise _nothing_left(corpus, root, release)
    if earlier is not None:
        utterances = _carry_words(utterances, media, earlier)
    prepared = Prepared(
        corpus=corpus,
        root=root,
        cache=cache,
        utterances=utterances,
        exclusions=release.exclusions,
        ignored=release.ignored,
        notes=release.notes,
        media=media,
        data_sha256=hash_data(utterances, media),
        num_stated=sum(name in media for name in release.stated_s),
    )
    write_prepared(prepared)
    return prepared


def _nothing_left(corpus: Corpus, root: Path, release: Release) -> CorpusNotFoundError:
    """What is told when no utterance can be used, with what to do about the commonest reason."""
    reasons = Counter(exclusion.reason for exclusion in release.exclusions).most_common()
    fix = "copy the whole release, or correct --root"
    if reasons and reasons[0][0] == DAMAGED[PointerMediaError]:
        fix = "run `git lfs pull` in the release"
    elif reasons and reasons[0][0] == DAMAGED[MissingMediaError]:
        missing = {one.id for one in release.exclusions if one.reason == reasons[0][0]}
        first = next(one.audio for one in release.utterances if one.id in missing)
        fix = (
            f"copy the audio of the release there (the first clip would be {first}), or correct "
            "--root"
        )
    return CorpusNotFoundError(
        root,
        expected=f"utterances of {corpus.title}",
        got=", ".join(f"{count} left out ({why})" for why, count in reasons) or "none",
        fix=fix,
    )


def _expect_unique(corpus: Corpus, root: Path, release: Release) -> None:
    counts = Counter(utterance.id for utterance in release.utterances)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise ManifestError(
            root,
            expected=f"each utterance of {corpus.title} once",
            got=f"{first_ids(twice)} more than once",
            fix="remove the second copy from the folder",
        )


def _earlier(corpus: Corpus, root: Path, cache: Path) -> Prepared | None:
    """What an earlier call left, if it was about this folder."""
    try:
        earlier = load_prepared(corpus, cache)
    except DataError:
        # never prepared, or damaged: writing it again is the remedy, and what happens now
        return None
    return earlier if earlier.root == root else None


def _scan_all(
    utterances: list[Utterance],
    root: Path,
    known: Mapping[str, MediaFacts],
    on_progress: Callable[[int, int], None] | None,
) -> list[MediaFacts | MediaError | None]:
    """Facts, the error, or None for text without audio, for each utterance in order."""

    def scan(utterance: Utterance) -> MediaFacts | MediaError | None:
        if utterance.audio is None:
            return None
        part = utterance.audio, utterance.start_s, utterance.end_s
        facts = known.get(utterance.id)
        if facts is not None and facts.is_current(root, *part):
            return facts
        try:
            return scan_media(utterance.id, root, *part)
        except MissingReaderError:
            # no fault of the file: it would leave out a whole corpus for an installation
            raise
        except MediaError as error:
            return error

    results: list[MediaFacts | MediaError | None] = []
    # threads suffice: decoding, hashing and resampling all release the interpreter's lock
    pool = ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1))
    try:
        for result in pool.map(scan, utterances):
            results.append(result)
            if on_progress is not None:
                on_progress(len(results), len(utterances))
    finally:
        pool.shutdown(cancel_futures=True)
    return results


def _fit(utterance: Utterance, facts: MediaFacts, release: Release) -> Utterance:
    """Fill in what the audio says: rate, times, and words no longer than it."""
    stated = release.stated_s.get(utterance.id)
    if stated is not None and abs(facts.duration_s - stated) > STATED_TOLERANCE_S:
        release.note(
            utterance.id,
            LENGTH_DIFFERS,
            f"{facts.duration_s:.3f} s of audio, stated are {stated:.3f} s",
        )
    words, cut, gone = _fit_words(utterance.words, facts.duration_s)
    if cut or gone:
        release.note(
            utterance.id,
            WORDS_AFTER_END,
            f"{cut} of {len(utterance.words)} words end with the audio, {gone} lose their times",
        )
    whole = utterance.start_s is None
    return replace(
        utterance,
        start_s=0.0 if whole else utterance.start_s,
        end_s=facts.duration_s if whole else utterance.end_s,
        sample_rate=facts.sample_rate,
        words=words,
    )


def _fit_words(words: tuple[Word, ...], duration_s: float) -> tuple[tuple[Word, ...], int, int]:
    """Words within the audio; how many were cut by more than rounding, and how many are gone."""
    fitted = tuple(
        replace(word, end_s=min(word.end_s, duration_s))
        for word in words
        if word.start_s < duration_s
    )
    cut = sum(word.start_s < duration_s < word.end_s - ROUNDING_S for word in words)
    return fitted, cut, len(words) - len(fitted)


def _carry_words(
    utterances: list[Utterance], media: Mapping[str, MediaFacts], earlier: Prepared
) -> list[Utterance]:
    """Keep the work of aligners: their times hold while text and audio are the same."""
    before = {utterance.id: utterance for utterance in earlier.utterances}

    def carry(utterance: Utterance) -> Utterance:
        old = before.get(utterance.id)
        if old is None or old.text != utterance.text or utterance.id not in media:
            return utterance
        facts = earlier.media.get(utterance.id)
        if facts is None or facts.content_sha256 != media[utterance.id].content_sha256:
            return utterance
        made = tuple(word for word in old.words if word.source != "corpus")
        return replace(utterance, words=utterance.words + made)

    return [carry(utterance) for utterance in utterances]
