"""What has to be in place before a run: corpus, manifest, word times, features.

Every stage does only what is missing, so a second call is quick. Torch is imported only where
features have to be computed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from data_modules.align import AlignmentReport, align_corpus, check_alignment
from data_modules.aligners import ALIGNERS, Waveform
from data_modules.alignment import UNIFORM
from data_modules.audio import load_audio
from data_modules.check import CheckResult, check, refuse_failures
from data_modules.check.result import Needs
from data_modules.corpora import find_corpus, find_scheme
from data_modules.errors import first_ids
from data_modules.manifest import Utterance
from data_modules.prepare import Prepared, load_prepared, prepare
from data_modules.prepared import write_prepared
from data_modules.protocols import find_protocol
from data_modules.selection import Selection, data_sha256, select
from sermm.config import Config, needs_speech, needs_text, needs_word_times
from sermm.inputs import check_inputs, corpus_root
from sermm.terminal import progress_bar, say


def make_ready(config: Config) -> Prepared:
    """Bring corpus, manifest, word times and features into place.

    Raises:
        SermmError: Whatever is wrong with any of them.
    """
    check_inputs(config)
    corpus, cache, root = (
        find_corpus(config.data.corpus),
        Path(config.data.cache),
        corpus_root(config),
    )
    if corpus.name == "demo" and not config.data.root:
        _make_demo(config, root)
    with progress_bar(f"reading {corpus.name}") as on_progress:
        prepared = prepare(corpus, root, cache, on_progress=on_progress)
    if not config.data.allow_failed_checks:
        refuse_failures(prepared, check(prepared), uses(config))
    if needs_word_times(config):
        prepared = align_missing(config, prepared)
    if needs_speech(config):
        from sermm.extract_stage import extract_missing

        extract_missing(config, prepared)
    return prepared


def load_ready(config: Config) -> Prepared:
    """What :func:`make_ready` brought into place, without looking whether all of it is there."""
    return load_prepared(find_corpus(config.data.corpus), Path(config.data.cache))


def uses(config: Config) -> set[Needs]:
    """What of a corpus an experiment uses, as the checks name it."""
    used: set[Needs] = {"labels"}
    if needs_speech(config):
        used.add("audio")
    if needs_text(config):
        used.add("text")
    if needs_word_times(config):
        used.add("words")
    return used


def failed_checks(config: Config, prepared: Prepared) -> list[CheckResult]:
    """Checks that fail and concern the experiment, which ``data.allow_failed_checks`` let pass."""
    return [
        result
        for result in check(prepared)
        if result.status == "fail" and (not result.needs or result.needs in uses(config))
    ]


def _make_demo(config: Config, root: Path) -> None:
    from data_modules.corpora.demo import digest_note, make_demo

    demo = config.data.demo
    with progress_bar("speaking the demo corpus") as on_progress:
        make_demo(
            root,
            seed=demo.seed,
            utterances_per_speaker=demo.utterances_per_speaker,
            on_progress=on_progress,
        )
    note = digest_note(root)
    if note:
        say(note, style="yellow")


def align_missing(config: Config, prepared: Prepared) -> Prepared:
    """Time the words that no earlier source has, by the programs that ``data.aligners`` names."""
    sources: list[str] = []
    for source in config.data.aligners:
        sources.append(source)
        if source in ALIGNERS and source != UNIFORM:
            prepared = align_with(prepared, source, unless=sources[:-1])
    selection = make_selection(config, prepared)
    check_alignment(selection.utterances.values(), config.data.aligners)
    return prepared


def align_with(
    prepared: Prepared, aligner: str, *, unless: Sequence[str] = (), workers: int | None = None
) -> Prepared:
    """Add an aligner's word times to the manifest and say how it went.

    What is done is written every now and then, so a second call goes on after an interruption.

    Args:
        prepared: The corpus.
        aligner: A program of ``aligners.py``.
        unless: Utterances with words from one of these sources are left alone.
        workers: Processes; None for all cores.
    """
    todo = [u for u in prepared.utterances if not any(u.words_from(source) for source in unless)]

    def merge(aligned: list[Utterance]) -> Prepared:
        by_id = {utterance.id: utterance for utterance in aligned}
        return replace(prepared, utterances=[by_id.get(u.id, u) for u in prepared.utterances])

    def save(merged: Prepared) -> None:
        if merged.utterances != prepared.utterances:
            write_prepared(merged)

    with progress_bar(f"timing words with {aligner}") as on_progress:
        aligned, report = align_corpus(
            todo,
            aligner,
            partial(_load, prepared.root),
            workers=workers or os.cpu_count() or 1,
            on_progress=on_progress,
            save=lambda done: save(merge(done)),
        )
    merged = merge(aligned)
    save(merged)
    if report.num_aligned or report.failed:
        _print_alignment(report)
    return merged


def _load(root: Path, utterance: Utterance) -> Waveform:
    assert utterance.audio is not None
    return load_audio(root / utterance.audio, utterance.start_s, utterance.end_s)


def _print_alignment(report: AlignmentReport) -> None:
    total = sum(report.num_words.values())
    shares = ", ".join(f"{n} {source} ({n / total:.1%})" for source, n in report.num_words.items())
    say(f"word times: {shares or 'none'} in {report.num_aligned} utterances")
    for what, names in (
        (f"{report.source} did not find the words of", report.failed),
        ("no audio for", report.without_audio),
        ("no words in", report.without_words),
    ):
        if names:
            told = f"{what} {len(names)} utterances: {first_ids(names)}"
            say(told, style="yellow")


def make_selection(config: Config, prepared: Prepared) -> Selection:
    """Utterances, targets and folds of the experiment."""
    return select(
        prepared.utterances,
        scheme=find_scheme(config.data.labels),
        protocol=find_protocol(config.data.protocol),
        exclusions=prepared.exclusions,
    )


def hash_of_data(config: Config, prepared: Prepared, selection: Selection) -> str:
    """A hash over all that the runs of this experiment read from the corpus, and nothing else.

    Word times of a source that it does not use, say, may be added without a consequence.
    """
    sources = config.data.aligners if needs_word_times(config) else []

    def as_read(utterance: Utterance) -> Utterance:
        used = tuple(word for source in sources for word in utterance.words_from(source))
        text = utterance.text if needs_text(config) else None
        return replace(utterance, text=text, words=used)

    def audio_hash(utterance: Utterance) -> str | None:
        if utterance.audio is None or not needs_speech(config):
            return None
        return prepared.media[utterance.id].content_sha256

    read = {name: as_read(utterance) for name, utterance in selection.utterances.items()}
    return data_sha256(replace(selection, utterances=read), audio_hash)
