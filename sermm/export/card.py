"""The model card: what the model is, how good, on what, for what, and what it must not be used for.

Markdown with the metadata that the Hugging Face hub reads. Every number comes from the run folder,
with its interval over speakers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from data_modules.atomic import write_text
from data_modules.corpora import find_corpus
from data_modules.protocols import find_protocol
from sermm import __version__
from sermm.config import Config, needs_audio, needs_text, needs_word_times, tunes_speech
from sermm.export.exposure import PUBLISHED, exposure_of
from sermm.export.licences import Licence
from sermm.extras import EXTRAS
from sermm.predict.encoding import NEW_SOURCES
from sermm.predict.trained import TrainedModel
from sermm.predictions import Predictions
from sermm.report.cells import FEW_CLUSTERS, too_few
from sermm.results import read_environment, read_run
from sermm.scoring import Scoring
from sermm.statistics import Interval, cluster_bootstraps, cluster_sums
from sermm.summary import FILE_NAME as SUMMARY_FILE
from sermm.summary import read_summary

_TEMPLATE = "card.md.j2"


@dataclass(frozen=True)
class CardFacts:
    """What an export knows beyond its model.

    Attributes:
        speech: Licence of the speech upstream; None where it has no weights of its own.
        text: Of the encoder that the text part started from; None from scratch.
        licence: Of the exported model; empty if the user did not state it.
        notes: What is missing in the export.
        gap: Largest difference between ONNX and torch; None without ONNX.
    """

    speech: Licence | None
    text: Licence | None
    licence: str
    notes: tuple[str, ...]
    gap: float | None


def write_card(path: Path, model: TrainedModel, facts: CardFacts) -> None:
    """Write the card of a run's model."""
    run = read_run(model.folder)
    metrics, config = model.metrics, model.config
    corpus = find_corpus(config.data.corpus)
    scoring = metrics.scoring
    environment = Environment(
        loader=PackageLoader("sermm.export", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    scores = {"all": _scores(scoring, run.predictions)} | {
        name: _scores(scoring, said) for name, said in run.conditions.items()
    }
    speech, words = config.model.speech, config.model.text
    upstreams = [
        (name, exposure_of(name), licence)
        for name, licence, used in (
            (speech.name, facts.speech, needs_audio(config)),
            (words.name, facts.text, needs_text(config)),
        )
        if used and name not in ("", "scratch")
    ]
    if needs_audio(config) and not speech.name and speech.upstream in PUBLISHED:
        upstreams.insert(0, (speech.upstream, PUBLISHED[speech.upstream], None))
    text = environment.get_template(_TEMPLATE).render(
        metadata=_metadata(model, facts, scores["all"]),
        model=model,
        config=config,
        metrics=metrics,
        corpus=corpus,
        protocol=metrics.protocol_description or find_protocol(metrics.protocol).description,
        scoring=scoring,
        scores=scores,
        numbers=_in_words,
        upstreams=upstreams,
        version=__version__,
        extras=_extras(config),
        aligner=_aligner(config, corpus.language),
        frame_values=model.facts.frame_dim * model.facts.num_layers,
        hears=needs_audio(config),
        reads=needs_text(config),
        tuned=tunes_speech(config),
        facts=facts,
        calibration=model.calibrations.get(""),
        environment=read_environment(model.folder),
        experiment=_experiment(model),
        num_speakers=scores["all"][scoring.headline].num_clusters,
        are_few=scores["all"][scoring.headline].num_clusters < FEW_CLUSTERS,
        too_few=too_few(scores["all"][scoring.headline].num_clusters),
    )
    write_text(path, text)


def _experiment(model: TrainedModel) -> Mapping[str, Any] | None:
    """Summary of all runs of the experiment that the model is of; None if it is alone."""
    folder, metrics = model.folder.parent, model.metrics
    if not (folder / SUMMARY_FILE).is_file():
        return None
    summary = read_summary(folder)
    environment = read_environment(model.folder)
    own = metrics.fold, metrics.seed, metrics.size
    runs = [(run["fold"], run["seed"], run["size"]) for run in summary["runs"]]
    is_of_it = own in runs and all(
        summary[name] == environment[name] for name in ("fingerprint", "data_sha256")
    )
    return summary if is_of_it and len(runs) > 1 else None


def _extras(config: Config) -> str:
    """Extras of sermm that the upstream runs in, as pip takes them behind a source."""
    extra = EXTRAS.get(config.model.speech.upstream) if needs_audio(config) else None
    return f"[{extra.name}]" if extra else ""


def _aligner(config: Config, language: str) -> str:
    """Who has to time new words where the training had the corpus do it; empty if nobody."""
    if not needs_word_times(config) or set(config.data.aligners) & set(NEW_SOURCES):
        return ""
    return "pocketsphinx" if language == "en" else "uniform"


def _scores(scoring: Scoring, said: Predictions) -> dict[str, Interval]:
    """Test scores with intervals over speakers."""
    contributions = scoring.contributions(said.references, said.outcomes)
    wanted = {name: scoring.metrics[name].function for name in scoring.brief}
    ranges = {name: scoring.metrics[name].range for name in scoring.brief}
    sums = cluster_sums(contributions, said.clusters)
    return cluster_bootstraps(sums, wanted, ranges=ranges)


def _in_words(interval: Interval) -> str:
    if not interval.is_known:
        return f"{interval.estimate:.3f}"
    return f"{interval.estimate:.3f} ({interval.low:.3f}–{interval.high:.3f})"  # noqa: RUF001


def _metadata(model: TrainedModel, facts: CardFacts, scores: Mapping[str, Interval]) -> str:
    """The head of the card, as the hub reads it."""
    corpus = find_corpus(model.config.data.corpus)
    record: dict[str, Any] = {
        "library_name": "sermm",
        "language": corpus.language,
        "pipeline_tag": "audio-classification"
        if model.upstream is not None
        else "text-classification",
        "tags": ["speech-emotion-recognition", "sermm"],
        "model-index": [
            {
                "name": model.config.name,
                "results": [
                    {
                        "task": {"type": "audio-classification", "name": "Emotion recognition"},
                        "dataset": {"type": corpus.name, "name": corpus.title},
                        "metrics": [
                            {"type": name, "name": name, "value": round(one.estimate, 4)}
                            for name, one in scores.items()
                        ],
                    }
                ],
            }
        ],
    }
    if facts.licence:
        record["license"] = facts.licence
    return str(yaml.safe_dump(record, sort_keys=False, allow_unicode=True)).rstrip()
