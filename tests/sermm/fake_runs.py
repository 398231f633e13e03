"""Experiment folders as real ones look, made in milliseconds: for tests of what reads them.

The corpus (speakers, utterances, labels) follows from ``corpus_seed`` alone, so two experiments
made with the same one score the same utterances, as two models on one corpus do.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sermm.metrics import FloatArray, class_metrics, confusion_matrix
from sermm.predictions import write_predictions
from sermm.run_metrics import Excluded, RunKey, RunMetrics, write_run_metrics

CLASSES = ("neutral", "happy", "angry", "sad")
REASONS = {"label xxx: the raters did not agree": 5, "no audio file": 2}


@dataclass(frozen=True)
class FakeExperiment:
    """What to make.

    Attributes:
        folder: ``runs/NAME``.
        skill: How far the right class stands out; 0 is chance, 4 nearly perfect.
        num_spoken: How many of the classes, from the first, occur at all.
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
        # the second class is twice as frequent as the others
        weights = np.array([1.0, 2.0] + [1.0] * (self.num_spoken - 2))
        labels = generator.choice(self.num_spoken, len(ids), p=weights / weights.sum())
        return ids, speakers, labels

    def write_run(self, key: RunKey) -> Path:
        """Write one run folder."""
        folder = self.folder / key.folder_name
        ids, speakers, labels = self.test_part(key.fold)
        generator = np.random.default_rng([self.corpus_seed, key.fold, key.seed, key.size or 0])
        logits = generator.normal(size=(len(ids), len(self.classes)))
        ease = np.random.default_rng([self.corpus_seed, 99]).normal(1, 0.3, 200)
        spoken_by = np.array([int(speaker[3:]) for speaker in speakers])
        logits[np.arange(len(ids)), labels] += self.skill * ease[spoken_by]
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        probabilities = probabilities.astype(np.float32)
        predicted = probabilities.argmax(axis=1)
        write_predictions(
            folder / "predictions.csv",
            ids,
            speakers,
            labels,
            predicted,
            probabilities,
            self.classes,
        )
        self._write_history(folder, generator)
        folder.joinpath("config.yaml").write_text(
            f"name: {self.folder.name}\nfold: {key.fold}\nseed: {key.seed}\n"
            f"size: {'null' if key.size is None else key.size}\n"
            'data:\n  corpus: demo\nmodel:\n  task: fusion  # <b>& "quotes"\n'
        )
        folder.joinpath("environment.json").write_text(json.dumps(ENVIRONMENT))
        counts = self._train_counts(key)
        write_run_metrics(
            folder / "metrics.json",
            RunMetrics(
                fold=key.fold,
                seed=key.seed,
                size=key.size,
                metrics=class_metrics(confusion_matrix(labels, predicted, len(self.classes))),
                num_train=sum(counts.values()),
                num_val=60,
                num_test=len(ids),
                seconds=12.5 + key.fold,
                best_epoch=int(self.epochs * 0.6),
                val={"ua": 0.6 + 0.01 * key.seed + 0.001 * key.fold},
                train_counts=counts,
                classes=self.classes,
                protocol=self.protocol,
                leak=self.leak,
                excluded=Excluded(sum(REASONS.values()), REASONS),
                alignment={"corpus": 0.97, "uniform": 0.03},
                data_sha256="0123456789abcdef" * 4,
                fingerprint="fedcba9876543210",
                notes=self.notes,
            ),
        )
        return folder

    def _train_counts(self, key: RunKey) -> dict[str, int]:
        others = [fold for fold in range(self.folds) if fold != key.fold] or [key.fold + 1]
        labels = np.concatenate([self.test_part(fold)[2] for fold in others])[: key.size]
        counts = Counter(labels.tolist())
        return {name: counts[k] for k, name in enumerate(self.classes)}

    def _write_history(self, folder: Path, generator: np.random.Generator) -> None:
        epochs = np.arange(self.epochs)
        noise: FloatArray = generator.normal(0, 0.02, (4, self.epochs))
        train = 1.4 * np.exp(-epochs / 4) + noise[0]
        val = 0.7 + 0.7 * np.exp(-epochs / 3) + 0.02 * epochs + noise[1]
        ua = 0.25 + 0.4 * (1 - np.exp(-epochs / 3)) + noise[2]
        lines = ["epoch,train/loss,val/loss,val/ua,val/wa,lr"]
        lines += [
            f"{e},{train[e]:.6f},{val[e]:.6f},{ua[e]:.6f},{ua[e] + noise[3, e]:.6f},0.001"
            for e in epochs
        ]
        folder.joinpath("history.csv").write_text("\n".join(lines) + "\n")


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
