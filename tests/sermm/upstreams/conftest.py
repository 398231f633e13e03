"""Tiny speech encoders in folders, for all test files here."""

from __future__ import annotations

import pytest

from tests.sermm.upstreams.speech_models import Models


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Not to be written to: tests that change a folder copy it."""
    return Models(tmp_path_factory.mktemp("speech_models"))
