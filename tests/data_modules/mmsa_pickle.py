"""A small feature file as MMSA publishes them, for the tests of converter and reader."""

from __future__ import annotations

from typing import Any

import numpy as np

MOSI_DIMS = {"text": 768, "audio": 5, "vision": 20}


def part(ids: list[str], scores: list[float], *, num_steps: int = 6, seed: int = 0) -> Any:
    """One part: sequences of 1, 2, ... real steps at the end, zeros before them."""
    random = np.random.default_rng(seed)
    entries: dict[str, Any] = {
        "raw_text": np.array([f"TEXT OF {name} Ω" for name in ids]),
        "id": list(ids),
        "annotations": ["Positive" if score > 0 else "Negative" for score in scores],
        "classification_labels": np.array([float(score > 0) for score in scores]),
        "regression_labels": np.array(scores, dtype=np.float32),
        "audio_lengths": [1 + index % num_steps for index in range(len(ids))],
        "vision_lengths": [1 + index % num_steps for index in range(len(ids))],
    }
    for kind, dim in MOSI_DIMS.items():
        values = random.normal(size=(len(ids), num_steps, dim))
        for index in range(len(ids)):
            values[index, : num_steps - 1 - index % num_steps] = 0
        entries[kind] = values if kind == "audio" else values.astype(np.float32)
    masks = np.zeros((len(ids), 3, num_steps))
    for index in range(len(ids)):
        masks[index, 1, : 2 + index % (num_steps - 2)] = 1
    entries["text_bert"] = masks
    return entries


def feature_file() -> Any:
    """A whole file of 4, 2 and 1 utterances."""
    return {
        "train": part(["va$_$0", "va$_$1", "vb$_$0", "vb$_$10"], [1.5, -2.0, 0.0, 3.0]),
        "valid": part(["vc$_$0", "vd$_$3"], [-0.25, 2.4], seed=1),
        "test": part(["ve$_$0"], [-3.0], seed=2),
    }
