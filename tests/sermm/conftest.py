"""Fixtures for whole runs on a small corpus."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.sermm.small_corpus import write_small_corpus
from tests.sermm.upstreams.speech_models import Models
from tests.sermm.workplace import Workplace


@pytest.fixture(scope="session")
def small_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small corpus; tests that change it copy it."""
    return write_small_corpus(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def small_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Manifest and features of the small corpus, filled by the first run."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_release: Path, small_cache: Path
) -> Iterator[Workplace]:
    """A folder to run commands in, from which nothing is written elsewhere."""
    monkeypatch.chdir(tmp_path)
    for name in ("WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "wandb"))
    monkeypatch.setenv("HOME", str(tmp_path))
    yield Workplace(tmp_path, small_release, small_cache)
    # what a run switched on for its process
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Tiny speech encoders in folders. Not to be written to: tests that change one copy it."""
    return Models(tmp_path_factory.mktemp("speech_models"))
