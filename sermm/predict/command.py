"""``sermm predict``: what is asked is checked first, then answered recording by recording."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from data_modules.errors import ConfigError, RunFailedError
from sermm.predict.cutting import Cutting
from sermm.predict.listing import (
    expect_text_for_one,
    list_recordings,
    read_text,
    streamed,
    with_texts,
)
from sermm.predict.output import choose_format, writer_to
from sermm.predict.recording import Recording
from sermm.predict.source import find_model

if TYPE_CHECKING:
    from sermm.predict.predictor import Predictor


@dataclass(frozen=True)
class PredictOptions:
    """Options of the command, as ``sermm predict --help`` explains them."""

    fold: int | None = None
    seed: int | None = None
    text: str | None = None
    text_file: Path | None = None
    text_beside: bool = False
    aligner: str = ""
    ctc_model: str = ""
    ctc_revision: str | None = None
    cutting: Cutting | None = None
    raw: bool = False
    format: str = ""
    output: Path | None = None
    workers: int | None = None


def choose_cutting(
    *, window: float, hop: float, silences: bool, silence_db: float, pause: float, longest: float
) -> Cutting | None:
    """How recordings are cut; None judges them as a whole.

    Raises:
        ConfigError: Two ways are asked for, or a value is out of range.
    """
    if silences and (window or hop):
        raise ConfigError(
            "--silences", expected="one way to cut", got="--window or --hop too", fix="choose one"
        )
    if hop and not window:
        raise ConfigError(
            "--hop", expected="--window with it", got="none", fix="say how long a window is"
        )
    cutting = Cutting(window, hop, silence_db, pause, longest)
    return cutting if window or silences else None


def predict_files(run: str, files: Sequence[str], options: PredictOptions) -> None:
    """Answer, on standard output or into a file.

    Raises:
        SermmError: What is asked is wrong.
        RunFailedError: Some recordings could not be used; the rest is answered.
    """
    source = find_model(run, fold=options.fold, seed=options.seed)
    streaming = list(files) == ["-"]
    name = choose_format(options.format, options.output, streaming=streaming)
    recordings = _recordings(files, options, streaming)
    from sermm.predict.predictor import load

    predictor = load(
        source.folder,
        aligner=options.aligner,
        ctc_model=options.ctc_model,
        ctc_revision=options.ctc_revision,
        raw=options.raw,
    )
    if isinstance(recordings, list):
        expect_answerable(predictor, recordings)
    for line in introduction(predictor, raw=options.raw):
        print(line, file=sys.stderr)
    facts = predictor.model.facts
    done = failed = 0
    with writer_to(sys.stdout, options.output, name, facts.names, facts.kind) as writer:
        said_all = predictor.predict_all(
            recordings, cutting=options.cutting, at_once=streaming, workers=options.workers
        )
        for said in said_all:
            writer.write(said)
            done += 1
            if said.error:
                failed += 1
                print(f"not predicted: {said.error}", file=sys.stderr)
    if failed:
        raise RunFailedError(
            "sermm predict",
            expected="recordings that can be used",
            got=f"{failed} of {done} that cannot, each named above",
            fix="mend or remove them" + ("; the rest is predicted" if failed < done else ""),
        )


def _recordings(
    files: Sequence[str], options: PredictOptions, streaming: bool
) -> list[Recording] | Iterable[Recording]:
    if streaming:
        for option, value in (("--text", options.text), ("--text-file", options.text_file)):
            if value is not None:
                raise ConfigError(
                    option,
                    expected="lines of standard input as path, tab, text",
                    got=f"{option} beside -",
                    fix="leave it away",
                )
        return streamed(sys.stdin)
    if "-" in files:
        raise ConfigError(
            "-", expected="- alone", got="- among files", fix="give files, or - alone"
        )
    text = options.text
    listed = list_recordings(files, beside=options.text_beside)
    if options.text_file is not None and text is not None:
        raise ConfigError(
            "--text", expected="one source of words", got="--text-file too", fix="leave one away"
        )
    if options.text_file is not None:
        if options.text_file.suffix.lower() == ".csv":
            return with_texts(listed, options.text_file)
        text = read_text(options.text_file)
    if text is None:
        return listed
    expect_text_for_one(listed)
    return [replace(listed[0], text=text)] if listed else [Recording("text", None, text)]


def expect_answerable(predictor: Predictor, recordings: Sequence[Recording]) -> None:
    """Refuse at once what would fail for every recording.

    Raises:
        ConfigError: The model needs words and nobody gives any, or there is nothing to answer.
    """
    if not recordings:
        raise ConfigError(
            "FILE", expected="a recording, a folder or a table", got="nothing", fix="name one"
        )
    if "text" in predictor.model.needs and not any(one.text for one in recordings):
        raise ConfigError(
            "--text",
            expected="the words of the recordings, which this model needs",
            got="none",
            fix="give --text, --text-file or --text-beside, or train a model with "
            "model.modality_dropout, which does without",
        )


def introduction(predictor: Predictor, *, raw: bool) -> list[str]:
    """What a reader must know before the first number: the model, how good it is, and with what."""
    model = predictor.model
    metrics, headline = model.metrics, model.metrics.scoring.headline
    title = metrics.scoring.metrics[headline].full_title
    score = f"{title} {metrics.metrics[headline]:.3f}"
    lines = [
        f"model: {model.config.name}, fold {metrics.fold}, seed {metrics.seed}; {score} on "
        f"{metrics.num_test} test utterances of {metrics.protocol}"
        + (f" (LEAK: {metrics.leak})" if metrics.leak else "")
    ]
    if metrics.conditions:
        missing = ", ".join(
            f"{name} {scores[headline]:.3f}" for name, scores in metrics.conditions.items()
        )
        lines.append(f"where something is missing, {title}: {missing}")
    if predictor.encoder.sources:
        trained = ", ".join(model.config.data.aligners)
        lines.append(f"word times: {', '.join(predictor.encoder.sources)} (in training: {trained})")
    if model.facts.kind != "regression":
        if raw or not model.calibrations:
            why = "as asked" if raw else "the run has no calibration.json"
            lines.append(f"probabilities: as the model gives them ({why})")
        else:
            whole = model.calibrations[""]
            lines.append(
                f"probabilities: calibrated on {whole.num_utterances} validation utterances, "
                f"temperature {whole.temperature:.3f}"
            )
    return lines
