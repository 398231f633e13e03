"""Aligners over a corpus, and which of several sources of word times serves an utterance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from multiprocessing import get_context

from data_modules.aligners import ALIGNERS, Aligner, Waveform
from data_modules.alignment import UNIFORM, time_words, transcript_words, uniform_words
from data_modules.errors import AlignmentError, ConfigError, RunFailedError, first_ids
from data_modules.manifest import Utterance, Word
from data_modules.words import is_mark, normalise_word, spoken_words

Load = Callable[[Utterance], Waveform]
"""The audio of an utterance, ``(N,)`` float32, 16 kHz; can be pickled where there are workers."""

Make = Callable[[], Aligner]
"""Makes an aligner; can be pickled where there are workers."""

_SAVE_EVERY = 500
_CHUNK = 8


@dataclass
class AlignmentReport:
    """What an aligner did to a corpus.

    Attributes:
        source: Name of the aligner.
        num_words: Transcript words of the aligned utterances by the source of their times: the
            aligner, or ``interpolated`` where it left a word out.
        num_aligned: Utterances that it gave words.
        num_already: Utterances that had words of it before.
        failed: Ids of the utterances in whose audio it did not find the words.
        without_audio: Ids of the utterances that have words and no audio.
        without_words: Ids of the utterances with no transcript, or one in which nothing is said.
        guessed: Words whose pronunciation was guessed from their spelling, with their count.
        left_out: Words without a time of their own in the utterances that were aligned, with their
            count; marks and what is silent are not among them.
    """

    source: str
    num_words: dict[str, int] = field(default_factory=dict)
    num_aligned: int = 0
    num_already: int = 0
    failed: list[str] = field(default_factory=list)
    without_audio: list[str] = field(default_factory=list)
    without_words: list[str] = field(default_factory=list)
    guessed: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)


def align_corpus(
    utterances: Sequence[Utterance],
    aligner: str,
    load: Load,
    workers: int = 1,
    make: Make | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    save: Callable[[list[Utterance]], None] | None = None,
) -> tuple[list[Utterance], AlignmentReport]:
    """Give utterances the word times of an aligner.

    Utterances that already have words of this source are left as they are, so that a second call
    goes on where the first one ended. The result does not depend on ``workers``.

    Args:
        utterances: Of one corpus.
        aligner: A name in ``ALIGNERS``, or that of what ``make`` makes.
        load: Reads the audio of an utterance.
        workers: Processes; with one it happens in this one.
        make: Makes the aligner, in each process; by its name if None.
        on_progress: Told how many of how many utterances are done.
        save: Given all utterances with the words found so far, every now and then and when an
            error or an interruption ends the work.

    Returns:
        The utterances in their order with the words added, and what was done.

    Raises:
        ConfigError: There is no such aligner.
        MediaError: ``load`` raised it.
        RunFailedError: A worker process died.
    """
    make = make or ALIGNERS.get(aligner)
    if make is None:
        raise ConfigError(
            "--aligner",
            expected=f"one of {', '.join(sorted(ALIGNERS))}",
            got=aligner,
            fix="choose one of these; corpus times are read by `sermm prepare`",
        )
    result = list(utterances)
    report = AlignmentReport(aligner)
    todo = _sort_out(result, report)
    places = {utterance.id: place for place, utterance in enumerate(result)}
    guessed: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    try:
        for done, (name, words, spelled) in enumerate(_run(todo, make, load, workers), start=1):
            guessed.update(spelled)
            if words:
                place = places[name]
                left_out.update(_left_out(result[place], words))
                result[place] = replace(result[place], words=(*result[place].words, *words))
                report.num_aligned += 1
            else:
                report.failed.append(name)
            if on_progress is not None:
                on_progress(done, len(todo))
            if save is not None and done % _SAVE_EVERY == 0:
                save(list(result))
    except BaseException:
        if save is not None:
            save(list(result))
        raise
    report.num_words = _count_words(result, aligner)
    report.guessed = dict(guessed.most_common())
    report.left_out = dict(left_out.most_common())
    return result, report


def _left_out(utterance: Utterance, found: Sequence[Word]) -> Counter[str]:
    """Words of a transcript that are said and were given no time."""
    said = Counter(
        word
        for word in transcript_words(utterance.text or "")
        if normalise_word(word) and not is_mark(word)
    )
    return said - Counter(word.text for word in found)


def _sort_out(utterances: Iterable[Utterance], report: AlignmentReport) -> list[Utterance]:
    """The utterances that need the aligner; the others are counted."""
    todo = []
    for utterance in utterances:
        if utterance.words_from(report.source):
            report.num_already += 1
        elif not any(map(spoken_words, transcript_words(utterance.text or ""))):
            report.without_words.append(utterance.id)
        elif utterance.audio is None or utterance.duration_s <= 0:
            report.without_audio.append(utterance.id)
        else:
            todo.append(utterance)
    return todo


def _count_words(utterances: Iterable[Utterance], source: str) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for utterance in utterances:
        if utterance.words_from(source) and utterance.text:
            counts.update(word.source for word in choose_words(utterance, [source])[0])
    return dict(counts)


_Result = tuple[str, list[Word] | None, list[str]]


def _run(todo: Sequence[Utterance], make: Make, load: Load, workers: int) -> Iterator[_Result]:
    if not todo:
        # an acoustic model takes its time to load
        return
    if workers <= 1 or len(todo) <= 1:
        worker = _Worker(make(), load)
        yield from map(worker, todo)
        return
    # spawned, not forked: the parent may hold threads of torch or of a progress bar
    pool = ProcessPoolExecutor(
        min(workers, len(todo)), get_context("spawn"), _start_worker, (make, load)
    )
    try:
        yield from pool.map(_align_in_worker, todo, chunksize=_CHUNK)
    except BrokenProcessPool as error:
        raise RunFailedError(
            "alignment",
            expected=f"{workers} worker processes that live",
            got="one that ended without a word, as when memory runs out",
            fix="run it again with fewer workers; what was aligned is kept",
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class _Worker:
    """One aligner with its way to audio."""

    def __init__(self, aligner: Aligner, load: Load) -> None:
        self.aligner = aligner
        self.load = load

    def __call__(self, utterance: Utterance) -> _Result:
        words = transcript_words(utterance.text or "")
        found = self.aligner.align(self.load(utterance), words)
        return utterance.id, found, self.aligner.guessed


_worker: _Worker | None = None


def _start_worker(make: Make, load: Load) -> None:
    # loading an acoustic model takes longer than aligning a clip, so each process does it once
    global _worker
    _worker = _Worker(make(), load)


def _align_in_worker(utterance: Utterance) -> _Result:
    assert _worker is not None
    return _worker(utterance)


def choose_words(utterance: Utterance, sources: Sequence[str]) -> tuple[list[Word], str]:
    """One timed word for each transcript word, from the first source that has this utterance.

    A source whose words have nothing in common with the transcript does not have it. ``uniform``
    has every utterance with audio.

    Args:
        utterance: With a transcript and audio.
        sources: Names of sources in order of preference, as in ``data.aligners``.

    Returns:
        The words as :func:`time_words` describes them, and the source that served. An empty
        transcript gives no words and the first source.

    Raises:
        AlignmentError: There is no transcript, no audio, or no source that has it.
    """
    where = f"{utterance.corpus} {utterance.id}"
    if utterance.text is None or not sources:
        raise AlignmentError(
            where,
            expected="a transcript" if sources else "a source of word times in data.aligners",
            got="none",
            fix="choose a task without text" if sources else "name one, such as corpus or uniform",
        )
    words = transcript_words(utterance.text)
    if not words:
        return [], sources[0]
    if utterance.duration_s <= 0:
        raise AlignmentError(
            where,
            expected="audio of some length",
            got=f"{utterance.duration_s} s",
            fix="choose a task without word times",
        )
    for source in sources:
        if source == UNIFORM:
            return uniform_words(words, utterance.duration_s), source
        try:
            timed = utterance.words_from(source)
            return time_words(words, timed, utterance.duration_s, where=where), source
        except AlignmentError:
            continue
    has = sorted({word.source for word in utterance.words})
    alien = [source for source in sources if source in has]
    raise AlignmentError(
        where,
        expected=f"word times from {' or '.join(sources)} (data.aligners)",
        got=f"times from {', '.join(has) or 'none'}"
        + (f", but no word from {alien[0]} is in the transcript" if alien else ""),
        fix=f"run `sermm align {utterance.corpus} --aligner pocketsphinx` (English; else ctc or "
        "textgrid) and name its source in data.aligners, or add uniform there",
    )


def check_alignment(utterances: Iterable[Utterance], sources: Sequence[str]) -> None:
    """Whether every utterance has words of one of the sources, told once for all of them.

    Raises:
        AlignmentError: The first that has none, with the count and ids of the others.
    """
    failed: list[str] = []
    first: AlignmentError | None = None
    for utterance in utterances:
        try:
            choose_words(utterance, sources)
        except AlignmentError as error:
            first = first or error
            failed.append(utterance.id)
    if first is not None and len(failed) == 1:
        raise first
    if first is not None:
        raise AlignmentError(
            first.where.partition(" ")[0],
            expected=first.expected,
            got=f"{len(failed)} utterances without: {first_ids(failed)}",
            fix=first.fix,
        )


def source_shares(utterances: Iterable[Sequence[Word]]) -> dict[str, float]:
    """Share of the words whose times come from each source, the largest first; empty if none."""
    counts = Counter(word.source for words in utterances for word in words)
    total = counts.total()
    return {source: count / total for source, count in counts.most_common()}
