"""Every named experiment, as the files have it: it resolves, builds, trains two updates and scores;
a batch and single clips agree, and gradients reach what is trained.

Encoders are small and random, corpora made here. What a stage needs first is run first. The same
through ``sermm experiment``, with its processes, tables and report, is marked slow.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from string import ascii_lowercase
from typing import NamedTuple

import pytest
import torch

from benchmarks.tiny_converted import save_convolutions, save_speech_bert
from benchmarks.tiny_models import save_speech_model, save_text_model
from data_modules.batch import Sample, collate
from sermm.build_checkpoint import load_task
from sermm.build_data import build_data
from sermm.compose import experiment_names
from sermm.compose import load_config as read_config
from sermm.config import (
    SCRATCH,
    TUNED,
    Config,
    needs_speech,
    needs_text,
    second_speech,
    tunes_speech,
    value_of,
)
from sermm.limits_speech import TRAINABLE
from sermm.results import read_run
from sermm.stages import load_ready, make_selection
from sermm.tasks.base import EmotionTask
from sermm.upstreams.encoded import EncoderUpstream
from tests.sermm.small_releases import RELEASES
from tests.sermm.workplace import Workplace, read_json

SMALL = (
    "trainer.accelerator=cpu",
    "tracking.wandb=disabled",
    "data.allow_failed_checks=true",
    "data.num_workers=0",
    "optim.steps=2",
    "optim.val_every_steps=1",
    "optim.accumulate=1",
    "optim.patience=0",
    # wide enough that not all units of a block are off
    "model.ecapa.channels=[32,32,32,24]",
    "model.ecapa.kernels=[3,3,3,1]",
    "model.ecapa.dilations=[1,2,3,1]",
    "model.ecapa.scale=2",
    "model.ecapa.embedding=6",
    "model.backbone.width=8",
    "model.backbone.heads=2",
    "model.backbone.feedforward=8",
    "model.recurrent_hidden=8",
)
NAMES = experiment_names()
load_config = cache(read_config)
"""As its files have it. Not to be written to."""


def first_stages(config: Config) -> list[str]:
    """Experiments whose runs this one reads."""
    second = second_speech(config)
    speech = [config.model.speech, *([second.model.speech] if second else [])]
    names = [one.name for one in speech if one.upstream == TUNED and needs_speech(config)]
    if needs_text(config) and config.model.text.name == TUNED:
        names.append(config.model.text.experiment)
    return [*names, *([config.model.backbone.start] if config.model.backbone.start else [])]


class Trained(NamedTuple):
    """What a run has trained, its settings, and some of its test utterances."""

    task: EmotionTask
    config: Config
    samples: list[Sample]


class Bench:
    """Releases and encoders, each made once, and one folder of runs for every experiment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: dict[str, Path] = {}
        self.loaded: dict[str, Trained] = {}

    def release(self, corpus: str) -> Path:
        if corpus not in self.made:
            folder = self.folder / f"release_{corpus}"
            folder.mkdir()
            self.made[corpus] = RELEASES[corpus](folder)
        return self.made[corpus]

    def encoder(self, upstream: str, name: str) -> Path:
        key = f"{upstream}_{'hubert' if 'hubert' in name else 'other'}"
        if key not in self.made:
            folder = self.folder / key
            if upstream == "speech_bert":
                self.made[key] = save_speech_bert(folder)
            elif upstream == "wav2vec":
                folder.mkdir()
                self.made[key] = save_convolutions(folder / "wav2vec_large.pt", "wav2vec")
            else:
                family = "hubert, group norm" if "hubert" in name else "wav2vec2, layer norm"
                self.made[key] = save_speech_model(family, folder)
        return self.made[key]

    def bert(self) -> Path:
        """It spells words by letters."""
        if "bert" not in self.made:
            self.made["bert"] = save_text_model("bert", self.folder / "bert")
            letters = [mark + letter for mark in ("", "##") for letter in ascii_lowercase]
            pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]
            (self.made["bert"] / "vocab.txt").write_text("\n".join(pieces))
            kind = json.dumps({"tokenizer_class": "BertTokenizer", "model_max_length": 80})
            (self.made["bert"] / "tokenizer_config.json").write_text(kind)
        return self.made["bert"]

    def settings(self, name: str) -> list[str]:
        config = load_config(name)
        corpus, speech, text = config.data.corpus, config.model.speech, config.model.text
        found = [
            f"data.root={self.release(corpus)}",
            f"data.cache={self.folder / f'cache_{corpus}'}",
            f"runs={self.folder / 'runs'}",
            *SMALL,
        ]
        if config.optim.solver == "lbfgs":
            found = [one for one in found if not one.startswith(("optim.steps", "optim.val_"))]
        if speech.upstream in TRAINABLE and speech.name != SCRATCH:
            found.append(f"model.speech.name={self.encoder(speech.upstream, speech.name)}")
        if speech.upstream == "tflite":  # Lyra's file is not at hand
            encoder = self.encoder("huggingface", "")
            found += ["model.speech.upstream=huggingface", f"model.speech.name={encoder}"]
        if speech.upstream == "opensmile":
            found.append("model.speech.feature_set=eGeMAPSv02")  # 88 values, not 6,373
        if needs_text(config) and text.name == SCRATCH:
            small = ("hidden=16", "heads=2", "vocab_size=100")
            found += [f"model.text.{one}" for one in small]
        elif needs_text(config) and text.name != TUNED:
            found.append(f"model.text.name={self.bert()}")
        return [name, *found]

    def run(self, place: Workplace, name: str) -> Path:
        """The folder of a finished run of an experiment, and of those that it needs first."""
        config = load_config(name)
        size = next((one for one in config.plan.sizes if one != "all"), None)
        key = "fold=0,seed=0,size=" + ("all" if size is None else "16")
        folder = self.folder / "runs" / name / key
        if not folder.exists():
            for first in first_stages(config):
                self.run(place, first)
            more = [] if size is None else ["size=16"]
            said = place.sermm("fit", *self.settings(name), *more)
            assert said.status == 0, said
        return folder

    def trained(self, place: Workplace, name: str) -> Trained:
        """The model of that run, and some test utterances as it gets them."""
        if name not in self.loaded:
            task, config, _ = load_task(self.run(place, name) / "checkpoints" / "best.ckpt")
            prepared = load_ready(config)
            part = build_data(config, prepared, make_selection(config, prepared)).module.test
            samples = [part[i] for i in range(min(6, len(part)))]
            self.loaded[name] = Trained(task, config, samples)
        return self.loaded[name]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("every"))


def test_the_corpora_of_all_experiments_are_made_here() -> None:
    corpora = {load_config(name).data.corpus for name in NAMES}
    assert corpora == set(RELEASES)
    assert len(NAMES) > 80


@pytest.mark.parametrize("name", NAMES)
def test_it_trains_two_updates_and_is_scored(place: Workplace, bench: Bench, name: str) -> None:
    folder = bench.run(place, name)
    run = read_run(folder)
    assert len(run.predictions.ids) == run.metrics.num_test > 0
    # what makes the experiment is as its file has it
    config, kept = load_config(name), read_json(folder / "environment.json")["result_keys"]
    for key in ("model.task", "model.pooling", "model.alignment", "data.protocol", "optim.solver"):
        assert kept[key] == value_of(config, key)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_and_single_clips_agree(place: Workplace, bench: Bench, name: str) -> None:
    task, _, samples = bench.trained(place, name)
    with torch.inference_mode():
        together = task(collate(samples))
        for sample, found in zip(samples, together, strict=True):
            (alone,) = task(collate([sample]))
            # of pre-training these are frames
            torch.testing.assert_close(found[: len(alone)], alone, atol=1e-4, rtol=0.0)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_what_it_says_is_trained(place: Workplace, bench: Bench, name: str) -> None:
    task, config, samples = bench.trained(place, name)
    task(collate(samples)).square().sum().backward()
    parts = task.pretrained()
    kept = list(parts["text"].parameters()) if config.model.text.frozen and "text" in parts else []
    assert ("speech" in parts) == tunes_speech(config)
    if "speech" in parts:
        upstream = parts["speech"]
        assert isinstance(upstream, EncoderUpstream)
        front = upstream.encoder.front()
        if config.model.speech.freeze_front and front is not None:
            kept += front.parameters()
    if config.model.backbone.frozen:
        kept += task.get_submodule("encoder").parameters()
    names = {id(parameter): key for key, parameter in task.named_parameters()}
    still = {key for key, parameter in task.named_parameters() if not parameter.requires_grad}
    assert still == {names[id(parameter)] for parameter in kept}
    for key, parameter in task.named_parameters():
        if key in still:
            assert parameter.grad is None, key
            continue
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
        # attention keys have a bias that softmax cannot see
        if not key.endswith(("attention.self.key.bias", "attention.k_proj.bias")):
            assert parameter.grad.abs().max() > 0, key


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_from_end_to_end(place: Workplace, bench: Bench, name: str) -> None:
    """Prepare, extract, fit and report, of one fold and seed."""
    for one in [*first_stages(load_config(name)), name]:
        if (bench.folder / "whole" / one / "summary.json").exists():
            continue
        sizes = "[16]" if load_config(one).plan.sizes else "[]"
        plan = ("plan.folds=[0]", "plan.seeds=[0]", f"plan.sizes={sizes}", "plan.workers=1")
        runs = f"runs={bench.folder / 'whole'}"
        settings = [s for s in bench.settings(one) if not s.startswith("runs=")]
        said = place.sermm("experiment", *settings, runs, *plan)
        assert (said.status, said.err) == (0, ""), said
    summary = read_json(bench.folder / "whole" / name / "summary.json")
    assert summary["experiment"] == name
    assert (bench.folder / "whole" / name / "report.html").stat().st_size > 10_000
