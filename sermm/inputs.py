"""What can be wrong with an experiment's input and is quick to see.

Imports nothing heavy, so that a missing folder or model is told in a fraction of a second.
"""

from __future__ import annotations

import json
from pathlib import Path

from data_modules.corpora import find_corpus
from data_modules.errors import ConfigError
from sermm.config import (
    SCRATCH,
    TUNED,
    Config,
    needs_audio,
    needs_text,
    needs_word_times,
    second_speech,
)
from sermm.earlier_runs import experiment_folder_of, no_run, stage_ones
from sermm.extras import expect_extra, expect_file
from sermm.hub import check_ctc_model, check_speech_model, check_text_model
from sermm.limits_corpus import check_labels


def corpus_root(config: Config) -> Path:
    """Folder of the release that the configuration names; the demo corpus has one by itself.

    Raises:
        ConfigError: ``data.root`` is not stated, or there is no such folder.
    """
    data = config.data
    if data.corpus == "demo" and not data.root:
        return Path(data.cache) / "demo" / f"seed={data.demo.seed}"
    expected = f"the folder of {find_corpus(data.corpus).title}"
    if not data.root:
        raise ConfigError(
            "data.root", expected=expected, got="nothing", fix="state it as data.root=FOLDER"
        )
    root = Path(data.root)
    if not root.is_dir():
        raise ConfigError(
            "data.root", expected=expected, got=f"{root}, no folder", fix="correct data.root"
        )
    return root


def check_inputs(config: Config) -> None:
    """Everything that can be wrong and is quick to see, before anything takes time.

    Raises:
        ConfigError: An unknown corpus, a folder that is not there, or a manifest of another one.
        ModelError: A text model that cannot be had, or an upstream whose package is missing.
    """
    corpus = find_corpus(config.data.corpus)
    root = corpus_root(config)
    path = Path(config.data.cache) / "manifests" / f"{corpus.name}.jsonl"
    known = _described_root(path.with_suffix(".prepare.json"))
    if known is not None and known != root.resolve():
        raise ConfigError(
            "data.root",
            expected=f"{known}, which {path} describes",
            got=str(root),
            fix="give another data.cache, or replace the manifest with `sermm prepare "
            f"{corpus.name} --root {root} --cache {config.data.cache}`",
        )
    if corpus.schemes_of is not None:
        check_labels(config, corpus.at(root.resolve()))
    if config.tracking.tensorboard:
        expect_extra("tensorboard", "tracking.tensorboard=true")
    for key, name in stage_ones(config).items():
        folder = experiment_folder_of(config, name)
        if not folder.is_dir():
            raise no_run(f"{key}={name}", folder, f"run `sermm experiment {name}` first")
    for spoken in (config, second_speech(config)):
        if spoken is None or not needs_audio(spoken):
            continue
        speech = spoken.model.speech
        expect_extra(speech.upstream)
        expect_file(speech.upstream, speech.name)
        if speech.upstream == "huggingface" and speech.name != SCRATCH:
            check_speech_model(speech.name, speech.revision)
    if needs_text(config) and config.model.text.name != TUNED:
        check_text_model(config.model.text.name, config.model.text.revision)
    if needs_word_times(config) and "ctc" in config.data.aligners:
        check_ctc_model(config.data.ctc_model, config.data.ctc_revision, where="data.ctc_model")


def _described_root(path: Path) -> Path | None:
    """The folder that a manifest is about; None if there is none, or none that can be read."""
    try:
        return Path(json.loads(path.read_text(encoding="utf-8"))["root"])
    except (OSError, ValueError, KeyError, TypeError):
        # damaged companions are written again by `prepare`, which comes next
        return None
