"""From configuration and a prepared corpus to the data of one run: loaders, facts, statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from data_modules.align import choose_words, source_shares
from data_modules.alignment import shuffle_times, utterance_rng
from data_modules.datamodule import EmotionDataModule
from data_modules.dataset import (
    Frames,
    FrameSource,
    Transcript,
    UtteranceDataset,
    frame_statistics,
    pooled_statistics,
    vector_statistics,
)
from data_modules.errors import LabelError, first_ids
from data_modules.frames import FramePreparation
from data_modules.joined_frames import join_frames
from data_modules.manifest import Utterance, Word
from data_modules.prepare import Prepared
from data_modules.protocols import Fold
from data_modules.ready import load_ready
from data_modules.selection import Selection
from data_modules.speakers import SpeakerStatistics
from data_modules.text import Tokenizer
from data_modules.words import transcript_words
from sermm.build_facts import DataFacts, FrameStatistics
from sermm.build_text import text_config_for
from sermm.build_waveforms import trained_upstream, waveform_source
from sermm.config import (
    READY,
    TUNED,
    Config,
    mel_bands,
    needs_speech,
    needs_text,
    needs_word_times,
    second_speech,
    tunes_speech,
)
from sermm.earlier_runs import expect_unseen_by_stage_ones
from sermm.features import open_features, stored_upstream
from sermm.reconstruction_metrics import CONTROLS
from sermm.stages import unlabelled
from sermm.tuned import tuned_text
from sermm.upstreams import SpeechUpstream
from sermm.upstreams.encoded import EncoderUpstream
from sermm.upstreams.record import upstream_record
from sermm.upstreams.text import longest_input


@dataclass(frozen=True)
class RunData:
    """What one run trains and is scored on.

    Attributes:
        module: Loaders of the three parts.
        fold: Ids of the three parts; training cut down to the run's size.
        facts: What the model has to know.
        statistics: Of the training part's frames; None without speech.
        vector_statistics: Of the training part's utterance vectors by name.
        text_model: The text encoder to train; None without text.
        speech_model: The speech upstream to train; None where frames come from the cache.
        word_shares: Share of the fold's words by source of their times; empty without times.
    """

    module: EmotionDataModule
    fold: Fold
    facts: DataFacts
    statistics: FrameStatistics | None
    vector_statistics: dict[str, FrameStatistics]
    text_model: nn.Module | None
    speech_model: EncoderUpstream | None
    word_shares: dict[str, float]


def build_data(config: Config, prepared: Prepared, selection: Selection) -> RunData:
    """The data of one run.

    Args:
        config: Of the run.
        prepared: Corpus with features (and word times) in place.
        selection: Its utterances, targets and folds.

    Raises:
        ConfigError: The fold or size does not exist.
        AlignmentError: An utterance has no word times from any source that is named.
    """
    fold = selection.fold_of_size(
        config.fold,
        config.size,
        config.seed,
        config.data.draw,  # type: ignore[arg-type]
    )
    known = selection.utterances
    if config.model.task == "pretrain":
        extra = {u.id: u for u in unlabelled(config, prepared, selection)}
        known, fold = known | extra, replace(fold, train=(*fold.train, *extra))
    speech_model = trained_upstream(config) if tunes_speech(config) else None
    waveforms = None if speech_model is None else waveform_source(speech_model, prepared)
    cached = needs_speech(config) and speech_model is None
    source = _speech_source(config, prepared) if cached else None
    if config.test:
        expect_unseen_by_stage_ones(config, fold.test)
    if source is not None and config.model.speech.normalise == "speaker":
        source = _by_speaker(source, known.values())
    vectors = _vector_sources(config, prepared)
    shares = _soft_targets(config, selection)
    tokenizer, transcripts, text_model, text_config = None, None, None, None
    if needs_text(config):
        if config.model.text.name == TUNED:
            tokenizer, text_model, text_config = tuned_text(config)
        else:
            tokenizer = build_tokenizer(config, [known[i] for i in fold.train])
            text_model, text_config = text_config_for(config, tokenizer)
        longest = longest_text(config, tokenizer, text_config)
        used = [known[i] for part in fold.parts().values() for i in part]
        transcripts = {u.id: build_transcript(config, u, tokenizer, longest) for u in used}

    # what learns without labels cannot see any
    targets = dict.fromkeys(known, 0) if config.model.task == "pretrain" else selection.targets

    def dataset(ids: Sequence[str]) -> UtteranceDataset:
        return UtteranceDataset(
            utterances=[known[name] for name in ids],
            targets=targets,
            frames=source,
            waveforms=waveforms,
            transcripts=transcripts,
            vectors=vectors or None,
            soft_targets=shares,
        )

    whole = config.optim.solver == "lbfgs"
    module = EmotionDataModule(
        train=dataset(fold.train),
        val=dataset(fold.val),
        test=dataset(fold.test),
        batch_size=len(fold.train) if whole else config.data.batch_size,
        batch_seconds=0.0 if whole else config.data.batch_seconds,
        num_epochs=config.optim.epochs,
        num_updates=config.optim.steps,
        period_updates=config.optim.val_every_steps,
        accumulate=config.optim.accumulate,
        num_ranks=config.trainer.devices * config.trainer.num_nodes,
        eval_batch_size=config.data.eval_batch_size,
        num_workers=config.data.num_workers,
        pin_memory=config.trainer.accelerator != "cpu" and torch.cuda.is_available(),
        seed=config.seed,
    )
    statistics = None
    if source is not None and config.model.speech.normalise in ("train", "speaker"):
        compute = pooled_statistics if config.model.task == "linear" else frame_statistics
        statistics = FrameStatistics(*compute(module.train))
    timed = [t.words for t in (transcripts or {}).values() if t.words is not None]
    heard = source or speech_model
    return RunData(
        module=module,
        fold=fold,
        facts=replace(
            _target_facts(config, selection, fold),
            frame_dim=0 if heard is None else heard.dim,
            num_layers=1 if heard is None else heard.num_layers,
            second_dim=0 if source is None else source.second_dim,
            one_frame=source is not None and source.one_frame,
            frame_fingerprint="" if source is None else source.fingerprint,
            vector_dims={name: prepared.corpus.features[name].dim for name in vectors},
            tokenizer=tokenizer.to_json() if tokenizer is not None else "",
            text_model=text_config,
            speech_model=None if speech_model is None else upstream_record(speech_model),
        ),
        statistics=statistics,
        vector_statistics={
            name: FrameStatistics(*vector_statistics(module.train, name)) for name in vectors
        },
        text_model=text_model,
        speech_model=speech_model,
        word_shares=source_shares(timed) if timed else {},
    )


def _soft_targets(config: Config, selection: Selection) -> dict[str, tuple[float, ...]] | None:
    """Shares of the raters' votes; an utterance without any is an error.

    Raises:
        LabelError: Nobody voted for a class of the scheme.
    """
    if not config.data.soft_labels:
        return None
    found = {name: selection.scheme.shares_of(u) for name, u in selection.utterances.items()}
    shares = {name: share for name, share in found.items() if share is not None}
    if len(shares) < len(found):
        missing = [name for name in found if name not in shares]
        raise LabelError(
            f"data.soft_labels with {selection.scheme.name}",
            expected="votes for one of its classes on every utterance",
            got=f"none for {len(missing)} of {len(found)}: {first_ids(missing)}",
            fix="set data.soft_labels=false, or choose other data.labels",
        )
    return shares


def _target_facts(config: Config, selection: Selection, fold: Fold) -> DataFacts:
    """What there is to know of the targets of the training part."""
    num_train = len(fold.train)
    if config.model.task == "pretrain":
        return DataFacts(CONTROLS, num_train, kind="reconstruction", family="reconstruction")
    means, stds = _rating_statistics(selection, fold.train)
    return DataFacts(
        names=selection.scheme.names,
        kind=selection.scheme.kind,
        family=selection.scheme.family,
        num_train=num_train,
        train_counts=tuple(selection.class_counts(fold.train).values()),
        train_means=means,
        train_stds=stds,
    )


def _rating_statistics(
    selection: Selection, ids: Sequence[str]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each rating over utterances; nothing for other targets."""
    if selection.scheme.kind != "regression":
        return (), ()
    ratings = np.array([selection.targets[name] for name in ids], dtype=np.float64)
    return tuple(ratings.mean(axis=0).tolist()), tuple(ratings.std(axis=0).tolist())


def _vector_sources(config: Config, prepared: Prepared) -> dict[str, Callable[[Utterance], Frames]]:
    """A reader of each modality's utterance vector."""

    def reader(name: str) -> Callable[[Utterance], Frames]:
        ready = load_ready(prepared, name)
        return lambda utterance: ready.load(utterance)[0]

    names = config.model.vectors if config.model.task == "vectors" else []
    return {name: reader(name) for name in names}


def _ready_source(config: Config, prepared: Prepared) -> FrameSource:
    """Frames that come with the corpus."""
    ready = load_ready(prepared, config.model.speech.features)
    prepare = frame_preparation(config)
    stride_s = ready.features.stride_s or 0.0
    return FrameSource(
        read=lambda utterance: prepare(ready.load(utterance))[0],
        dim=ready.features.dim,
        stride_s=stride_s,
        first_center_s=stride_s / 2,
    )


def _speech_source(config: Config, prepared: Prepared) -> FrameSource:
    """Frames of the speech upstream, those of a second one beside them if there is one."""
    first = _frame_source(config, prepared)
    second = second_speech(config)
    return first if second is None else join_frames(first, _frame_source(second, prepared))


def _frame_source(config: Config, prepared: Prepared) -> FrameSource:
    if config.model.speech.upstream == READY:
        return _ready_source(config, prepared)
    upstream = stored_upstream(config)
    features = open_features(config, upstream)
    source = frame_source(
        config, upstream, lambda u: features.read(prepared.media[u.id].content_sha256)
    )
    return replace(source, num_layers=features.num_layers)


def frame_source(
    config: Config, upstream: SpeechUpstream, load: Callable[[Utterance], Frames]
) -> FrameSource:
    """Frames of an upstream, prepared as the configuration says.

    Args:
        config: Says what is done to the frames of each clip.
        upstream: What computed them.
        load: Frames ``(F, K * D)`` of an utterance as the model is to have them.
    """
    prepare = frame_preparation(config)

    def cut_s(utterance: Utterance) -> float:
        return prepare(load(utterance))[1] * upstream.frame_stride_s

    return FrameSource(
        read=lambda utterance: prepare(load(utterance))[0],
        dim=upstream.dim,
        stride_s=upstream.frame_stride_s,
        first_center_s=upstream.first_center_s,
        cut_s=cut_s if prepare.trim_db else None,
        num_layers=upstream.num_layers,
        fingerprint=upstream.fingerprint(),
    )


def _by_speaker(source: FrameSource, utterances: Iterable[Utterance]) -> FrameSource:
    """Frames standardised by all that their speakers say in any part of any fold."""
    read = source.read
    speakers = SpeakerStatistics.measure(utterances, read)
    return replace(source, read=lambda utterance: speakers.apply(utterance, read(utterance)))


def frame_preparation(config: Config) -> FramePreparation:
    """What is done to the frames of each clip before a model sees them."""
    speech = config.model.speech
    return FramePreparation(
        num_bands=mel_bands(config),
        center=speech.center,  # type: ignore[arg-type]
        trim_db=speech.trim_db,
    )


def build_tokenizer(config: Config, train: Sequence[Utterance]) -> Tokenizer:
    """The tokenizer of the text model; one from scratch sees the training part alone."""
    text = config.model.text
    if text.name == "scratch":
        return Tokenizer.train([u.text or "" for u in train], vocab_size=text.vocab_size)
    return Tokenizer.load(text.name, text.revision)


def longest_text(config: Config, tokenizer: Tokenizer, text_config: Mapping[str, Any]) -> int:
    """Most word pieces that setting, tokenizer and text model take."""
    limits = (config.data.max_pieces, tokenizer.max_length, longest_input(text_config))
    return min(limit for limit in limits if limit is not None)


def build_transcript(
    config: Config, utterance: Utterance, tokenizer: Tokenizer, max_pieces: int
) -> Transcript:
    """Word pieces of an utterance and, where the task needs them, the times of its words.

    Args:
        config: Says whether times are needed, and from which sources.
        utterance: With a transcript.
        tokenizer: Of the text model.
        max_pieces: Most pieces, special tokens included, that the text model reads.

    Raises:
        DataError: There are more pieces.
        AlignmentError: There are no word times from any source that is named.
    """
    words = transcript_words(utterance.text or "")
    pieces = tokenizer.encode(
        words, max_pieces=max_pieces, where=f"{utterance.corpus} {utterance.id}"
    )
    timed: Sequence[Word] | None = None
    if needs_word_times(config):
        timed, _ = choose_words(utterance, config.data.aligners)
        if config.data.shuffle_word_times:
            timed = shuffle_times(timed, utterance_rng(config.seed, utterance.id))
    return Transcript(pieces=pieces, words=timed)
