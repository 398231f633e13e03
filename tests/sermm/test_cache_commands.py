from __future__ import annotations

from pathlib import Path

import pytest

from data_modules.cache import FeatureStore
from sermm.cli import run
from tests.data_modules.feature_store import KEYS, description, fill


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    store = FeatureStore.create(tmp_path, description(num_layers=1))
    fill(store, KEYS[:12])
    fill(store, KEYS[12:])
    return store


def cache(store: FeatureStore, *arguments: str) -> int:
    return run(["cache", *arguments, "--cache", str(store.folder.parents[1])])


def test_stores_are_listed(store: FeatureStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert cache(store, "list") == 0
    said = capsys.readouterr().out
    assert "0123456789ab.float32" in said
    row = next(line for line in said.splitlines() if "0123456789ab" in line)
    assert [cell.strip() for cell in row.split("│")[3:6]] == ["20", "1", "3"]
    assert run(["cache", "list", "--cache", str(store.folder / "none")]) == 0
    assert "no features in" in capsys.readouterr().out


def test_a_flipped_byte_is_found_and_removed(
    store: FeatureStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cache(store, "verify") == 0
    assert "20 items in 2 files are as they were written" in capsys.readouterr().out
    shard = sorted(store.folder.glob("*.shard"))[1]
    data = bytearray(shard.read_bytes())
    data[70] ^= 16
    shard.write_bytes(data)
    assert cache(store, "verify") == 1
    said = capsys.readouterr()
    assert f"1 damaged of 2 files: {shard}; run `sermm cache prune" in said.err
    assert said.err.count("\n") == 1
    # only looking, then removing
    assert cache(store, "prune") == 0
    assert "nothing was removed; add --yes" in capsys.readouterr().out
    assert shard.exists()
    assert cache(store, "prune", "--yes") == 0
    assert not shard.exists()
    assert cache(store, "verify") == 0
    assert cache(store, "prune", "--yes") == 0
    assert "nothing to remove" in capsys.readouterr().out


def test_whole_stores_go_by_name(store: FeatureStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert cache(store, "prune", "another", "--yes") == 2
    assert "expected 0123456789ab.float32, got no store" in capsys.readouterr().err
    assert cache(store, "prune", store.folder.name, "--yes") == 0
    assert not store.folder.exists()


def test_a_mistyped_cache_is_not_called_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["cache", "verify", "--cache", str(tmp_path / "none")]) == 2
    assert "--cache: expected a folder with features" in capsys.readouterr().err
