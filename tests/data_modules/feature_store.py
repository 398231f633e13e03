"""A small feature store whose items anyone can compute again from their keys."""

from __future__ import annotations

import dataclasses

import numpy as np

from data_modules.cache import FeatureStore, StoreDescription
from data_modules.store_description import DType

DIM = 3


def description(dtype: DType = "float32", **changes: object) -> StoreDescription:
    known = StoreDescription(
        upstream="test",
        fingerprint="0123456789ab",
        dim=DIM,
        dtype=dtype,
        frame_stride_s=0.02,
        first_center_s=0.01,
        transform_version=1,
        options={"bands": 3},
    )
    return dataclasses.replace(known, **changes)  # type: ignore[arg-type]


def frames_of(key: str) -> np.ndarray:
    """What any writer would compute for a clip: from its key alone."""
    generator = np.random.default_rng(int(key, 16))
    return generator.standard_normal((generator.integers(1, 40), DIM)).astype(np.float32)


def fill(store: FeatureStore, keys: list[str]) -> None:
    with store.writer() as writer:
        for key in keys:
            writer.add(key, frames_of(key))


KEYS = [f"{number:064x}" for number in range(20)]
