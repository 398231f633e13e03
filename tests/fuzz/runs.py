"""Experiments, overrides, and what a run leaves: tables, metrics, history, checkpoints."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from sermm.checkpoints import read_checkpoint
from sermm.compose import from_dict, load_config
from sermm.config import to_dict
from sermm.results import read_environment, read_history, read_run
from sermm.run_metrics import RunKey
from sermm.summary import planned_runs, read_summary, summarise, write_summary
from tests.fuzz.mutate import BINARY, JSON, TEXT, YAML, Mutation
from tests.fuzz.run import Parser
from tests.sermm.fake_runs import FakeExperiment

Files = list[tuple[Path, tuple[Mutation, ...]]]

# ---------------------------------------------------------------- configuration

EXPERIMENT = """\
include: [part]
name: mine
seed: 3
data:
  corpus: demo
  root: data/demo
  labels: iemocap4
  protocol: demo-session5
  aligners: [corpus, uniform]
model:
  task: fusion
  dropout: 0.2
  speech: {upstream: logmel, hop_ms: 10.0}
optim:
  lr: 1.0e-3
  epochs: 4
plan:
  folds: [0, 1]
  sizes: []
"""
PART = "trainer:\n  devices: 1\n  accelerator: cpu\ntracking:\n  wandb: disabled\n"
OVERRIDES = "seed=1\noptim.lr=1e-3\ndata.aligners=[uniform]\nsize=null\nmodel.task=text\n"


def write_experiment(folder: Path) -> Files:
    (folder / "mine.yaml").write_text(EXPERIMENT)
    (folder / "part.yaml").write_text(PART)
    return [(folder / "mine.yaml", YAML), (folder / "part.yaml", YAML)]


def read_experiment(folder: Path) -> Any:
    return load_config(str(folder / "mine.yaml"))


def check_config(folder: Path, config: Any) -> None:
    # what a checkpoint carries leads to the same configuration
    assert to_dict(from_dict(to_dict(config), "here")) == to_dict(config)


def write_overrides(folder: Path) -> Files:
    write_experiment(folder)
    (folder / "overrides").write_text(OVERRIDES)
    return [(folder / "overrides", YAML)]


def read_overrides(folder: Path) -> Any:
    lines = (folder / "overrides").read_bytes().decode("utf-8", "surrogateescape").split("\n")
    return load_config(str(folder / "mine.yaml"), [line for line in lines if line])


# ---------------------------------------------------------------- results


def write_run(folder: Path) -> Files:
    FakeExperiment(
        folder / "fake", folds=1, seeds=(0,), utterances_per_speaker=6, conditions=("without-text",)
    ).write()
    run = folder / "fake" / RunKey(0, 0).folder_name
    return [
        (run / "metrics.json", JSON),
        (run / "predictions.csv", TEXT),
        (run / "predictions.without-text.csv", TEXT),
        (run / "history.csv", TEXT),
        (run / "environment.json", JSON),
    ]


def read_run_folder(folder: Path) -> Any:
    run_folder = folder / "fake" / RunKey(0, 0).folder_name
    run = read_run(run_folder)
    history = read_history(run_folder)
    read_environment(run_folder)
    return run, history


def check_run(folder: Path, result: Any) -> None:
    run, history = result
    run_folder = folder / "fake" / RunKey(0, 0).folder_name
    with (run_folder / "history.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = [row for row in csv.reader(stream) if row]
    assert len(history.epochs) == len(rows) - 1, "an epoch is lost"
    assert len(history.columns) == len(rows[0]) - 1, "a column is lost"
    assert run.metrics.num_test == len(run.predictions.ids) == 12
    for values in history.columns.values():
        assert len(values) == len(history.epochs)


def write_other_kinds(folder: Path) -> Files:
    files: Files = []
    for family, names in (("sentiment", ("sentiment",)), ("multilabel", ("joy", "fear", "anger"))):
        fake = FakeExperiment(
            folder / family,
            folds=1,
            seeds=(0,),
            utterances_per_speaker=6,
            family=family,  # type: ignore[arg-type]
            classes=names,
        ).write()
        run = fake.folder / RunKey(0, 0).folder_name
        files += [(run / "predictions.csv", TEXT), (run / "metrics.json", JSON)]
    return files


def read_other_kinds(folder: Path) -> Any:
    return [
        read_run(folder / family / RunKey(0, 0).folder_name)
        for family in ("sentiment", "multilabel")
    ]


def write_summaries(folder: Path) -> Files:
    write_run(folder)
    fake = folder / "fake"
    write_summary(fake, summarise(fake, [RunKey(0, 0)]))
    return [(fake / "summary.json", JSON)]


def read_summaries(folder: Path) -> Any:
    fake = folder / "fake"
    return read_summary(fake), planned_runs(fake)


# ---------------------------------------------------------------- checkpoints


def write_checkpoint(folder: Path) -> Files:
    import torch

    record = {"version": 1, "config": {"name": "tiny"}}
    weights = {"layer.weight": torch.arange(40.0).reshape(5, 8), "layer.bias": torch.ones(5)}
    torch.save({"state_dict": weights, "sermm": record}, folder / "best.ckpt")
    return [(folder / "best.ckpt", BINARY)]


# what an error about a value names is its key
SECTIONS = ("data.", "model.", "optim.", "trainer.", "plan.", "tracking.", "fold", "seed", "size")

RUN_PARSERS: tuple[Parser, ...] = (
    Parser(
        "experiment",
        write_experiment,
        read_experiment,
        check_config,
        cases=60,
        named=("mine.yaml", "part.yaml", "name", *SECTIONS),
    ),
    # an override is named by itself
    Parser("overrides", write_overrides, read_overrides, check_config, cases=60, named=("",)),
    Parser("run", write_run, read_run_folder, check_run, named=("metrics.json", "predictions")),
    Parser("other_kinds", write_other_kinds, read_other_kinds, named=("metrics.json",)),
    Parser("summary", write_summaries, read_summaries),
    Parser("checkpoint", write_checkpoint, lambda folder: read_checkpoint(folder / "best.ckpt")),
)
