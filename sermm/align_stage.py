"""Word times before a run or by ``sermm align``: which program, what it is asked, what is told.

What is done is written every now and then, so a second call goes on after an interruption.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from data_modules.align import AlignmentReport, Make, align_corpus
from data_modules.aligner_record import expect_record, renew
from data_modules.aligners import ALIGNERS, Aligner, Waveform
from data_modules.alignment import UNIFORM
from data_modules.audio import load_audio
from data_modules.ctc_files import CHUNK_S, CtcFiles
from data_modules.errors import first_ids
from data_modules.manifest import Utterance
from data_modules.prepared import Prepared, write_prepared
from data_modules.textgrid import SOURCE as TEXTGRID
from data_modules.textgrid_words import TextGridReport, words_from_textgrids
from sermm.align_options import AlignOptions
from sermm.config import Config
from sermm.terminal import progress_bar, say

CTC = "ctc"
_NUM_SHOWN = 5


def align_missing(config: Config, prepared: Prepared) -> Prepared:
    """Time the words that no earlier source has, by the programs that ``data.aligners`` names."""
    sources: list[str] = []
    for source in config.data.aligners:
        if source == CTC and _without(prepared, sources):
            prepared = align_with_ctc(
                prepared,
                config.data.ctc_model,
                config.data.ctc_revision,
                # an experiment that is told to stay off the GPU does so with all its parts
                device="cpu" if config.trainer.accelerator == "cpu" else "auto",
                unless=sources,
                where="data.ctc_model",
            )
        elif source in ALIGNERS and source != UNIFORM:
            prepared = align_with(prepared, source, unless=sources)
        sources.append(source)
    return prepared


def expect_aligners(config: Config, prepared: Prepared) -> None:
    """Check that the words which are there come from the model that the configuration names.

    Raises:
        AlignmentError: Another experiment made them anew with another model.
    """
    if CTC in config.data.aligners:
        named = {"name": config.data.ctc_model, "revision": config.data.ctc_revision}
        expect_record(prepared, CTC, named)


def align_by_options(prepared: Prepared, options: AlignOptions) -> Prepared:
    """What ``sermm align`` does once :func:`sermm.align_options.check_options` has passed it."""
    if options.aligner == CTC:
        return align_with_ctc(
            prepared,
            options.model,
            options.revision,
            device=options.device,
            workers=options.workers,
        )
    if options.aligner == TEXTGRID:
        assert options.textgrids is not None
        return align_with_textgrids(prepared, options.textgrids, options.tier)
    return align_with(prepared, options.aligner, workers=options.workers)


def align_with_ctc(
    prepared: Prepared,
    name: str,
    revision: str | None = None,
    *,
    device: str = "auto",
    unless: Sequence[str] = (),
    workers: int | None = None,
    where: str = "--model",
) -> Prepared:
    """Add the word times of a CTC model; those of another model go first.

    Args:
        prepared: The corpus.
        name: Of the model: a folder or a hub id.
        revision: Of a hub id.
        device: ``auto``, ``cpu``, or as torch names it.
        unless: Utterances with words from one of these sources are left alone.
        workers: Processes, each with the model in memory; None for one with all cores.
        where: What an error about the model names.

    Raises:
        ModelError: The model cannot be had, read or used.
    """
    files = CtcFiles.find(name, revision, where=f"{where}={name}")
    language = prepared.corpus.language
    prepared, forgotten = renew(prepared, CTC, files.record(language))
    if forgotten:
        say(
            f"{forgotten} utterances had word times of another CTC model or of unknown origin; "
            "they are made anew",
            style="yellow",
        )
    todo = [u for u in _without(prepared, unless) if not u.words_from(CTC)]
    long = [u.id for u in todo if u.duration_s > CHUNK_S]
    if long:
        say(
            f"{len(long)} utterances longer than {CHUNK_S:g} s are read in overlapping chunks: "
            f"{first_ids(long)}",
            style="yellow",
        )
    num_threads = max(1, (os.cpu_count() or 1) // workers) if workers and workers > 1 else None
    make = partial(_load_ctc, files, where, language, device, num_threads)
    return align_with(prepared, CTC, unless=unless, workers=workers or 1, make=make)


def _load_ctc(
    files: CtcFiles, where: str, language: str, device: str, num_threads: int | None
) -> Aligner:
    # torch and a model, where there is a clip to align and in the process that aligns it
    from data_modules.ctc_aligner import load_ctc_aligner

    return load_ctc_aligner(
        files, where=where, language=language, device=device, num_threads=num_threads
    )


def align_with(
    prepared: Prepared,
    aligner: str,
    *,
    unless: Sequence[str] = (),
    workers: int | None = None,
    make: Make | None = None,
) -> Prepared:
    """Add an aligner's word times to the manifest and say how it went.

    Args:
        prepared: The corpus.
        aligner: A program of ``aligners.py``, or the name of what ``make`` makes.
        unless: Utterances with words from one of these sources are left alone.
        workers: Processes; None for all cores.
        make: Makes the aligner, in each process; by its name if None.
    """

    def merge(aligned: list[Utterance]) -> Prepared:
        by_id = {utterance.id: utterance for utterance in aligned}
        return replace(prepared, utterances=[by_id.get(u.id, u) for u in prepared.utterances])

    def save(merged: Prepared) -> None:
        if merged.utterances != prepared.utterances:
            write_prepared(merged)

    with progress_bar(f"timing words with {aligner}") as on_progress:
        aligned, report = align_corpus(
            _without(prepared, unless),
            aligner,
            partial(_load_clip, prepared.root),
            workers=workers or os.cpu_count() or 1,
            make=make,
            on_progress=on_progress,
            save=lambda done: save(merge(done)),
        )
    merged = merge(aligned)
    save(merged)
    if report.num_aligned or report.failed:
        _print_alignment(report)
    return merged


def align_with_textgrids(prepared: Prepared, folder: Path, tier: str | None = None) -> Prepared:
    """Take word times from a folder of TextGrid files.

    Args:
        prepared: The corpus.
        folder: Where they are, in sub-folders of any depth.
        tier: Name of the tier with the words; None for one called words or word.

    Raises:
        AlignmentError: There are none, or one cannot be read or used.
    """
    with progress_bar("reading TextGrids") as on_progress:
        utterances, report = words_from_textgrids(
            prepared.utterances, folder, tier=tier, on_progress=on_progress
        )
    merged = replace(prepared, utterances=utterances)
    if utterances != prepared.utterances:
        write_prepared(merged)
    _print_textgrids(report)
    return merged


def _without(prepared: Prepared, sources: Sequence[str]) -> list[Utterance]:
    """Utterances that none of the sources has."""
    return [u for u in prepared.utterances if not any(u.words_from(source) for source in sources)]


def _load_clip(root: Path, utterance: Utterance) -> Waveform:
    assert utterance.audio is not None
    return load_audio(root / utterance.audio, utterance.start_s, utterance.end_s)


def _print_alignment(report: AlignmentReport) -> None:
    _print_shares(report.num_words, report.num_aligned)
    _warn(f"{report.source} did not find the words of", report.failed)
    _warn("no audio for", report.without_audio)
    _warn("no words in", report.without_words)
    if report.left_out:
        say(
            f"{sum(report.left_out.values())} words without a time of their own, interpolated: "
            f"{_counted(report.left_out)}",
            style="yellow",
        )


def _print_textgrids(report: TextGridReport) -> None:
    _print_shares(report.num_words, report.num_aligned)
    if report.num_changed:
        say(f"{report.num_changed} utterances had other words of a TextGrid before")
    _warn("no TextGrid for", report.without_file)
    _warn(f"words of an earlier {TEXTGRID} folder kept for", report.kept)
    _warn("no words, in TextGrid or transcript, for", report.without_words)
    _warn("no word of the TextGrid in the transcript of", report.strangers)
    _warn("audio of another length than the TextGrid says in", report.other_length)
    _warn("not UTF-8, read as Latin-1:", report.latin1, "TextGrids")
    _warn("no utterance for", report.without_utterance, "TextGrids")


def _print_shares(num_words: Mapping[str, int], num_aligned: int) -> None:
    total = sum(num_words.values())
    shares = ", ".join(f"{n} {source} ({n / total:.1%})" for source, n in num_words.items())
    say(f"word times: {shares or 'none'} in {num_aligned} utterances")


def _warn(what: str, names: list[str], kind: str = "utterances") -> None:
    if names:
        say(f"{what} {len(names)} {kind}: {first_ids(names)}", style="yellow")


def _counted(words: Mapping[str, int]) -> str:
    shown = ", ".join(f"{word!r} {count}x" for word, count in list(words.items())[:_NUM_SHOWN])
    rest = len(words) - _NUM_SHOWN
    return f"{shown} (and {rest} more)" if rest > 0 else shown
