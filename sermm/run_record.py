"""What a run says of itself beside its scores: parts and counts, what leaks, what to know.

For ``metrics.json`` and ``validation.json``.
"""

from __future__ import annotations

from collections import Counter

from data_modules.prepare import Prepared
from data_modules.recognised import read_recognised
from data_modules.selection import Selection
from sermm.build_data import RunData
from sermm.build_facts import DataFacts
from sermm.config import Config, fingerprint, needs_speech, needs_text, ready_features
from sermm.earlier_runs import find_start
from sermm.run_metrics import Excluded, RunMetrics
from sermm.scoring import find_scoring
from sermm.stages import failed_checks
from sermm.train import TrainingResult
from sermm.validation import Validation

NORMALISED = "features are normalised over all clips of a speaker, test audio included"
"""How a run is marked that normalises by speaker."""


def metrics_record(
    config: Config,
    prepared: Prepared,
    selection: Selection,
    data: RunData,
    result: TrainingResult,
) -> RunMetrics:
    """What ``metrics.json`` says, except for scores and what is known last."""
    reasons = Counter(exclusion.reason for exclusion in selection.exclusions)
    facts = data.facts
    return RunMetrics(
        fold=config.fold,
        seed=config.seed,
        size=config.size,
        metrics={},
        num_train=len(data.fold.train),
        num_val=len(data.fold.val),
        num_test=len(data.fold.test),
        seconds=0.0,
        best_epoch=result.best_epoch,
        val={_selecting(config, facts): result.val_score},
        train_counts=dict(zip(facts.names, facts.train_counts, strict=False)),
        train_means=dict(zip(facts.names, facts.train_means, strict=False)),
        classes=facts.names,
        kind=facts.kind,
        family=facts.family,
        protocol=selection.protocol.name,
        leak=_leak(config, prepared, selection),
        excluded=Excluded(reasons.total(), dict(reasons)),
        alignment=data.word_shares,
        data_sha256="",
        fingerprint=fingerprint(config),
        protocol_description=selection.protocol.description,
        notes=_notes(config, prepared, selection),
    )


def validation_record(
    config: Config,
    prepared: Prepared,
    selection: Selection,
    data: RunData,
    result: TrainingResult,
) -> Validation:
    """What ``validation.json`` says, except for what is known last."""
    return Validation(
        fold=config.fold,
        seed=config.seed,
        size=config.size,
        score=_selecting(config, data.facts),
        value=result.val_score,
        best_epoch=result.best_epoch,
        num_train=len(data.fold.train),
        num_val=len(data.fold.val),
        protocol=selection.protocol.name,
        leak=_leak(config, prepared, selection),
        data_sha256="",
        fingerprint=fingerprint(config),
        seconds=0.0,
    )


def _selecting(config: Config, facts: DataFacts) -> str:
    """The validation score that chooses the epoch."""
    headline = find_scoring(facts.kind, facts.names, facts.family).headline
    return config.optim.select or headline


def _leak(config: Config, prepared: Prepared, selection: Selection) -> str:
    """What leaks by the protocol, by normalisation, and by the makers of ready-made features."""
    by_speaker = needs_speech(config) and config.model.speech.normalise == "speaker"
    earlier = find_start(config)
    exposures = [prepared.corpus.features[name].exposure for name in ready_features(config)]
    before = earlier.metrics.leak if earlier is not None else ""
    texts = (selection.protocol.leak, NORMALISED if by_speaker else "", *exposures, before)
    return "; ".join(dict.fromkeys(text for text in texts if text))


def _notes(config: Config, prepared: Prepared, selection: Selection) -> list[str]:
    """What a reader must know: checks that were overruled, and controls."""
    notes = [f"failed check: {r.name}: {r.detail}" for r in failed_checks(config, prepared)]
    if config.data.max_seconds:
        count = len(selection.too_long(config.fold, config.data.max_seconds))
        notes.append(
            f"{count} utterances longer than {config.data.max_seconds:g} s left out of training "
            "(too_long.csv)"
        )
    if config.data.shuffle_word_times:
        notes.append("control: word times are shuffled within each utterance")
    backbone = config.model.backbone
    if backbone.start:
        notes.append(f"encoder pre-trained in {backbone.start}")
    if backbone.frozen:
        notes.append("frozen encoder: the head alone is trained")
    if needs_text(config) and config.data.text == "recognised":
        recogniser, _ = read_recognised(prepared)
        notes.append(
            f"words are recognised by {recogniser['name']} ({recogniser['sha256'][:12]}), "
            "not the reference"
        )
    if config.data.soft_labels:
        notes.append("trained on the shares of the raters' votes")
    if config.optim.average > 1:
        notes.append(f"weights are the mean of the {config.optim.average} best on validation")
    return notes
