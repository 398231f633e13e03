"""What of emotion is in the states of a pre-trained encoder: logistic regression, validation parts.

    python -m benchmarks.frozen_states ../shared/data/ravdess

Reads the runs of ``pretrain_ravdess`` (seed 0) with the settings below; beside them stand the same
encoders with random weights and the log-mel frames themselves. Test parts are not read.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from torch import Tensor, nn

from data_modules.selection import Selection
from sermm.build_checkpoint import load_task
from sermm.build_data import frame_preparation
from sermm.compose import load_config
from sermm.features import open_features, stored_upstream
from sermm.nn.masking import length_mask, masked_mean, masked_std
from sermm.stages import make_ready, make_selection

SIZES = (40, 80, 160, 320, None)
DRAWS = 3
PENALTY = 0.1
BATCH = 64
SETTINGS = ("model.speech.center=level", "model.speech.trim_db=30")

Rows = dict[str, Tensor]


def statistics(states: Tensor, lengths: Tensor) -> Tensor:
    """``(B, S, D)`` to means and deviations over time ``(B, 2, D)``."""
    mask = length_mask(lengths, states.shape[1])
    return torch.stack([masked_mean(states, mask), masked_std(states, mask)], dim=1)


def of_encoder(encoder: nn.Module, frames: Rows, ids: Sequence[str]) -> Rows:
    """Mean and deviation ``(2, E)`` of each clip's states."""
    found: Rows = {}
    ordered = sorted(ids, key=lambda name: len(frames[name]))
    for start in range(0, len(ordered), BATCH):
        names = ordered[start : start + BATCH]
        lengths = torch.tensor([len(frames[name]) for name in names])
        padded = nn.utils.rnn.pad_sequence([frames[name] for name in names], batch_first=True)
        steps, num_steps = encoder.convolutions(
            encoder.source.standardize(padded, lengths), lengths
        )
        rows = statistics(encoder.contextualise(steps, num_steps), num_steps)
        found |= dict(zip(names, rows, strict=True))
    return found


def forget(module: nn.Module) -> None:
    """Give every layer random weights."""
    torch.manual_seed(0)
    for layer in module.modules():
        for name in ("reset_parameters", "_reset_parameters"):
            if hasattr(layer, name):
                getattr(layer, name)()


def score(
    rows: Mapping[str, Tensor], selection: Selection, train: Sequence[str], val: Sequence[str]
) -> float:
    """UA of the validation part, inputs standardised by the draw."""
    inputs, unseen = (torch.stack([rows[n].flatten() for n in ids]).numpy() for ids in (train, val))
    mean, std = inputs.mean(0), inputs.std(0) + 1e-8
    targets, wanted = ([selection.targets[n] for n in ids] for ids in (train, val))
    model = LogisticRegression(
        C=1 / (PENALTY * len(train)), class_weight="balanced", max_iter=1000
    ).fit((inputs - mean) / std, targets)
    return float(recall_score(wanted, model.predict((unseen - mean) / std), average="macro"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", help="folder of RAVDESS")
    parser.add_argument("--runs", type=Path, default=Path("runs/pretrain_ravdess"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = load_config("scratch_ravdess", [f"data.root={arguments.root}", *SETTINGS])
    prepared = make_ready(config)
    selection = make_selection(config, prepared)
    features = open_features(config, stored_upstream(config))
    prepare = frame_preparation(config)
    frames = {
        name: torch.from_numpy(prepare(features.read(prepared.media[name].content_sha256))[0])
        for name in selection.utterances
    }
    scores: dict[tuple[str, int | None], list[float]] = {}
    for number in range(len(selection.folds)):
        task, _, _ = load_task(
            arguments.runs / f"fold={number},seed=0,size=all" / "checkpoints" / "best.ckpt"
        )
        encoder = task.encoder.eval()
        fold = selection.fold(number)
        ids = [*fold.train, *fold.val]
        with torch.inference_mode():
            kinds = {"pre-trained": of_encoder(encoder, frames, ids)}
            forget(encoder.recurrent)
            kinds["random"] = of_encoder(encoder, frames, ids)
            kinds["log-mel"] = {
                n: statistics(frames[n][None], torch.tensor([len(frames[n])]))[0] for n in ids
            }
        for size in SIZES:
            for seed in range(DRAWS if size else 1):
                train = selection.fold_of_size(number, size, seed, "balanced").train
                for kind, rows in kinds.items():
                    for name, used in (("mean", 1), ("mean and deviation", 2)):
                        own = {n: rows[n][:used] for n in ids}
                        scores.setdefault((f"{kind}, {name}", size), []).append(
                            score(own, selection, train, fold.val)
                        )
    print("labels", *(size or "all" for size in SIZES), sep="\t")
    for name in dict.fromkeys(name for name, _ in scores):
        print(name, *(f"{np.mean(scores[name, size]):.3f}" for size in SIZES), sep="\t")


if __name__ == "__main__":
    main()
