"""Experiment folders as real ones look, made in milliseconds: for tests of what reads them.

The corpus (speakers, utterances, labels) follows from ``corpus_seed`` alone, so two experiments
made with the same one score the same utterances, as two models on one corpus do.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from data_modules.labels import Family, Kind
from data_modules.manifest import Word
from sermm.metrics import FloatArray
from sermm.predictions import predictions_file, read_predictions, write_predictions
from sermm.report.alignment import write_alignment_example
from sermm.run_metrics import (
    Excluded,
    RunKey,
    RunMetrics,
    read_run_metrics,
    write_run_metrics,
)
from sermm.scoring import find_scoring

CLASSES = ("neutral", "happy", "angry", "sad")
KINDS: dict[Family, Kind] = {
    "classes": "classes",
    "sentiment": "regression",
    "intensity": "regression",
    "rating": "regression",
    "multilabel": "multilabel",
}
RANGES = {"sentiment": (-3.0, 3.0), "intensity": (0.0, 3.0), "rating": (1.0, 7.0)}
REASONS = {"label xxx: the raters did not agree": 5, "no audio file": 2}


@dataclass(frozen=True)
class FakeExperiment:
    """What to make.

    Attributes:
        folder: ``runs/NAME``.
        skill: How far the right class stands out; 0 is chance, 4 nearly perfect.
        num_spoken: How many of the classes, from the first, occur at all.
        family: Of the scores; ``classes`` then names ratings or labels.
        conditions: What the model also had to do without.
    """

    folder: Path
    folds: int = 3
    seeds: tuple[int, ...] = (0, 1)
    sizes: tuple[int | None, ...] = (None,)
    classes: tuple[str, ...] = CLASSES
    speakers_per_fold: int = 2
    utterances_per_speaker: int = 30
    skill: float = 1.5
    corpus_seed: int = 0
    protocol: str = "demo-session5"
    leak: str = ""
    notes: tuple[str, ...] = ()
    epochs: int = 12
    num_spoken: int = 4
    family: Family = "classes"
    conditions: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        """Of the targets."""
        return KINDS[self.family]

    @property
    def keys(self) -> list[RunKey]:
        """All runs of the plan."""
        return [
            RunKey(fold, seed, size)
            for size in self.sizes
            for fold in range(self.folds)
            for seed in self.seeds
        ]

    def write(self) -> FakeExperiment:
        """Write all runs."""
        for key in self.keys:
            self.write_run(key)
        return self

    def test_part(self, fold: int) -> tuple[list[str], list[str], np.ndarray]:
        """Ids, speakers and labels of a fold's test utterances."""
        generator = np.random.default_rng([self.corpus_seed, fold])
        speakers = [
            f"spk{fold * self.speakers_per_fold + k:02d}"
            for k in range(self.speakers_per_fold)
            for _ in range(self.utterances_per_speaker)
        ]
        ids = [f"{speaker}_{k:03d}" for k, speaker in enumerate(speakers)]
        return ids, speakers, self._references(generator, len(ids))

    def _references(self, generator: np.random.Generator, count: int) -> np.ndarray:
        if self.kind == "multilabel":
            often = 0.15 + 0.5 / (1 + np.arange(len(self.classes)))
            return (generator.random((count, len(self.classes))) < often).astype(np.int64)
        if self.kind == "regression":
            low, high = RANGES[self.family]
            values = generator.uniform(low - 1, high + 1, (count, len(self.classes)))
            # thirds, as means of three raters are; many at the ends, and some zeros
            return (np.round(np.clip(values, low, high) * 3) / 3).astype(np.float32)
        # the second class is twice as frequent as the others
        weights = np.array([1.0, 2.0] + [1.0] * (self.num_spoken - 2))
        return generator.choice(self.num_spoken, count, p=weights / weights.sum())

    def _predict(
        self, generator: np.random.Generator, references: np.ndarray, ease: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Outcomes and probabilities of a model with a skill."""
        shape = (len(references), len(self.classes))
        noise = generator.normal(size=shape)
        if self.kind == "regression":
            gain = (self.skill * ease / (1 + self.skill * ease))[:, None]
            return (gain * references + noise / (1 + self.skill)).astype(np.float32), None
        if self.kind == "multilabel":
            logits = noise + self.skill * ease[:, None] * (2 * references - 1)
            shares = (1 / (1 + np.exp(-logits))).astype(np.float32)
            return (shares >= 0.5).astype(np.int64), shares
        noise[np.arange(len(references)), references] += self.skill * ease
        shares = np.exp(noise) / np.exp(noise).sum(axis=1, keepdims=True)
        shares = shares.astype(np.float32)
        return shares.argmax(axis=1), shares

    def write_run(self, key: RunKey) -> Path:
        """Write one run folder."""
        folder = self.folder / key.folder_name
        ids, speakers, references = self.test_part(key.fold)
        generator = np.random.default_rng([self.corpus_seed, key.fold, key.seed, key.size or 0])
        ease = np.random.default_rng([self.corpus_seed, 99]).normal(1, 0.3, 200)
        spoken_by = np.array([int(speaker[3:]) for speaker in speakers])
        scoring = find_scoring(self.kind, self.classes, self.family)
        scores = {}
        for number, condition in enumerate(("", *self.conditions)):
            helped = ease[spoken_by] / (1 + number)
            outcomes, shares = self._predict(generator, references, helped)
            file = folder / predictions_file(condition)
            write_predictions(file, ids, speakers, references, outcomes, shares, scoring)
            added = scoring.contributions(references, outcomes)
            scores[condition] = scoring.scores(added.sum(axis=0))
        self._write_history(folder, generator, scoring.brief)
        folder.joinpath("config.yaml").write_text(
            f"name: {self.folder.name}\nfold: {key.fold}\nseed: {key.seed}\n"
            f"size: {'null' if key.size is None else key.size}\n"
            'data:\n  corpus: demo\nmodel:\n  task: fusion  # <b>& "quotes"\n'
        )
        folder.joinpath("environment.json").write_text(json.dumps(ENVIRONMENT))
        train = self._training_part(key)
        write_run_metrics(
            folder / "metrics.json",
            RunMetrics(
                fold=key.fold,
                seed=key.seed,
                size=key.size,
                metrics=scores.pop(""),
                num_train=len(train),
                num_val=60,
                num_test=len(ids),
                seconds=12.5 + key.fold,
                best_epoch=int(self.epochs * 0.6),
                val={scoring.headline: 0.6 + 0.01 * key.seed + 0.001 * key.fold},
                train_counts=self._counts(train),
                classes=self.classes,
                protocol=self.protocol,
                leak=self.leak,
                excluded=Excluded(sum(REASONS.values()), REASONS),
                alignment={"corpus": 0.97, "uniform": 0.03},
                data_sha256="0123456789abcdef" * 4,
                fingerprint="fedcba9876543210",
                notes=self.notes,
                kind=self.kind,
                family=self.family,
                train_means=self._means(train),
                conditions=scores,
            ),
        )
        return folder

    def _training_part(self, key: RunKey) -> np.ndarray:
        others = [fold for fold in range(self.folds) if fold != key.fold] or [key.fold + 1]
        return np.concatenate([self.test_part(fold)[2] for fold in others])[: key.size]

    def _counts(self, train: np.ndarray) -> dict[str, int]:
        if self.kind == "regression":
            return {}
        counts = Counter(train.tolist()) if self.kind == "classes" else train.sum(axis=0).tolist()
        return {name: counts[k] for k, name in enumerate(self.classes)}

    def _means(self, train: np.ndarray) -> dict[str, float]:
        if self.kind != "regression":
            return {}
        return dict(zip(self.classes, train.astype(float).mean(axis=0).tolist(), strict=True))

    def _write_history(
        self, folder: Path, generator: np.random.Generator, scores: tuple[str, ...]
    ) -> None:
        epochs = np.arange(self.epochs)
        noise: FloatArray = generator.normal(0, 0.02, (2 + len(scores), self.epochs))
        columns = {
            "train/loss": 1.4 * np.exp(-epochs / 4) + noise[0],
            "val/loss": 0.7 + 0.7 * np.exp(-epochs / 3) + 0.02 * epochs + noise[1],
            **{
                f"val/{name}": 0.25 + 0.4 * (1 - np.exp(-epochs / 3)) + noise[2 + k]
                for k, name in enumerate(scores)
            },
        }
        lines = [",".join(["epoch", *columns, "lr"])]
        lines += [
            ",".join([str(e), *(f"{values[e]:.6f}" for values in columns.values()), "0.001"])
            for e in epochs
        ]
        folder.joinpath("history.csv").write_text("\n".join(lines) + "\n")


def rescore(folder: Path) -> RunMetrics:
    """Write the scores of a run whose predictions were changed."""
    metrics = read_run_metrics(folder / "metrics.json")
    said = read_predictions(folder / predictions_file())
    added = metrics.scoring.contributions(said.references, said.outcomes)
    metrics = replace(metrics, metrics=metrics.scoring.scores(added.sum(axis=0)))
    write_run_metrics(folder / "metrics.json", metrics)
    return metrics


def change_cells(folder: Path, change: Callable[[list[str]], list[str]]) -> RunMetrics:
    """Change each row of a run's predictions, behind id and speaker, and its scores."""
    path = folder / predictions_file()
    header, *lines = path.read_text().splitlines()
    rows = [line.split(",") for line in lines]
    changed = [",".join([*row[:2], *change(row[2:])]) for row in rows]
    path.write_text("\n".join([header, *changed]) + "\n")
    return rescore(folder)


ENVIRONMENT = {
    "fingerprint": "fedcba9876543210",
    "result_keys": {"model.task": "fusion"},
    "data_sha256": "0123456789abcdef" * 4,
    "git_revision": "a1b2c3d4e5f6-dirty",
    "command": "sermm fit runs/fusion_fake/experiment.yaml --ready fold=0 seed=0 size=null",
    "python": "3.11.9",
    "packages": {"sermm": "0.1.0", "torch": "2.11.0"},
    "platform": "Linux-6.1",
    "cpu": "a processor",
    "cpu_count": 2,
    "num_threads": 1,
    "gpus": [],
}


# words and names that an HTML, mathematics or font mistake would break
WORDS = (
    Word("<b>5", 0.1, 0.3, "corpus"),
    Word("$x_1$", 0.3, 0.5, "corpus"),
    Word("$6 & ^_", 0.5, 0.8, "corpus"),
    Word("日本語", 0.8, 0.8, "uniform"),
)


def write_alignment(folder: Path, **changes: Any) -> Path:
    """The example of a run that a report draws: waveform, words, attention."""
    arguments: dict[str, Any] = {
        "utterance_id": "spk00_000",
        "label": "angry",
        "predicted": "sad",
        "waveform": np.sin(np.arange(16_000) / 20) * 0.5,
        "sample_rate": 16_000,
        "words": WORDS,
        "log_mel": np.random.default_rng(0).normal(size=(50, 8)),
        "log_mel_stride_s": 0.02,
        "tokens": ["[CLS]", "five", "##$", "[SEP]"],
        "token_spans_s": [[0, 0], [0.1, 0.3], [0.3, 0.5], [0, 0]],
        "attention": np.full((4, 25), 1 / 25),
        "attention_stride_s": 0.04,
        **changes,
    }
    path = folder / "alignment.npz"
    write_alignment_example(path, **arguments)
    return path
