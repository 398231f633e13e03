"""``sermm transcribe``: recognised words of a corpus beside its reference, restartable."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from data_modules.align import align_corpus
from data_modules.aligners import Waveform
from data_modules.audio import load_audio
from data_modules.corpora import find_corpus
from data_modules.errors import ConfigError, DataError
from data_modules.manifest import Utterance
from data_modules.prepared import Prepared, load_prepared
from data_modules.recognised import (
    Heard,
    read_recognised,
    recognised_path,
    word_error_rate,
    write_recognised,
)
from data_modules.recognisers import Recogniser, load_recogniser
from sermm.terminal import progress_bar, say

_SAVE_EVERY = 20  # batches


def transcribe_corpus(
    name: str,
    cache: Path,
    *,
    model: str,
    revision: str | None,
    device: str,
    batch_size: int,
    aligner: str,
) -> None:
    """Recognise the clips that have no text of this model yet, and print the word error rate.

    Raises:
        SermmError: The corpus is not prepared or has no audio, or the model cannot be used.
    """
    if aligner and aligner not in ("pocketsphinx", "uniform"):
        raise ConfigError(
            "--aligner",
            expected="pocketsphinx (English) or uniform",
            got=aligner,
            fix="choose one, or leave it away where no word times are needed",
        )
    prepared = load_prepared(find_corpus(name), cache)
    spoken = [u for u in prepared.utterances if u.audio is not None]
    if not spoken:
        raise DataError(name, expected="a corpus with audio", got="none", fix="choose another")
    recogniser, record = load_recogniser(model, revision, prepared.corpus.language, device)
    heard = _known(prepared, record)
    todo = [u for u in spoken if not _is_current(prepared, u, heard)]
    if todo:
        _recognise(prepared, recogniser, record, heard, todo, batch_size)
    if aligner:
        heard = _timed(prepared, spoken, heard, aligner)
        write_recognised(prepared, record, heard)
    _tell(prepared, spoken, heard, len(todo))


def _known(prepared: Prepared, record: Mapping[str, object]) -> dict[str, Heard]:
    """What the same model heard before; what another one heard goes."""
    if not recognised_path(prepared).is_file():
        return {}
    before, heard = read_recognised(prepared)
    if before == dict(record):
        return heard
    say(f"{len(heard)} texts of {before.get('name')} are replaced", style="yellow")
    return {}


def _is_current(prepared: Prepared, utterance: Utterance, heard: Mapping[str, Heard]) -> bool:
    one = heard.get(utterance.id)
    return one is not None and one.content_sha256 == prepared.media[utterance.id].content_sha256


def _load(prepared: Prepared, utterance: Utterance) -> Waveform:
    return load_audio(prepared.audio_path(utterance), utterance.start_s, utterance.end_s)


def _recognise(
    prepared: Prepared,
    recogniser: Recogniser,
    record: Mapping[str, object],
    heard: dict[str, Heard],
    todo: Sequence[Utterance],
    batch_size: int,
) -> None:
    try:
        with progress_bar(f"recognising {prepared.corpus.name}") as on_progress:
            for number, start in enumerate(range(0, len(todo), batch_size), start=1):
                batch = todo[start : start + batch_size]
                texts = recogniser.texts([_load(prepared, u) for u in batch])
                for utterance, text in zip(batch, texts, strict=True):
                    key = prepared.media[utterance.id].content_sha256
                    heard[utterance.id] = Heard(key, text)
                if number % _SAVE_EVERY == 0:
                    write_recognised(prepared, record, heard)
                on_progress(start + len(batch), len(todo))
    finally:
        # Ctrl-C loses nothing that was heard
        write_recognised(prepared, record, heard)


def _timed(
    prepared: Prepared, spoken: Sequence[Utterance], heard: dict[str, Heard], aligner: str
) -> dict[str, Heard]:
    """Times of the recognised words, for models that need them."""
    if aligner == "uniform":
        # every utterance has those without asking
        return heard
    as_heard = [
        replace(u, text=heard[u.id].text, words=heard[u.id].words)
        for u in spoken
        if heard[u.id].text
    ]
    with progress_bar("timing recognised words") as on_progress:
        timed, report = align_corpus(
            as_heard, aligner, lambda u: _load(prepared, u), on_progress=on_progress
        )
    if report.failed:
        say(
            f"{len(report.failed)} clips have no times from {aligner}: name uniform after it",
            style="yellow",
        )
    return heard | {u.id: replace(heard[u.id], words=u.words) for u in timed}


def _tell(
    prepared: Prepared, spoken: Sequence[Utterance], heard: Mapping[str, Heard], num_new: int
) -> None:
    silent = sum(not heard[u.id].text for u in spoken)
    say(f"{num_new} clips recognised now, {len(spoken) - num_new} before, in {silent} no words")
    pairs = {u.id: (u.text, heard[u.id].text) for u in spoken if u.text}
    rate = word_error_rate(pairs)
    if math.isnan(rate):
        say("no reference words to compare with", style="yellow")
    else:
        say(f"word error rate: {100 * rate:.1f} % over {len(pairs)} utterances")
    say(f"use them with data.text=recognised; they are in {recognised_path(prepared)}")
