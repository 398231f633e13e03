"""Fixtures that both packages' tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# One thread: the suite runs in several processes, and results must not depend on the core count.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["WANDB_MODE"] = "offline"
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real corpora beside the checkout; tests that need it skip without it."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real corpora at {folder}")
    return folder
