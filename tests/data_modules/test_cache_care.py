from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from data_modules.cache import FeatureStore
from data_modules.cache_care import check_stores, find_useless, list_stores, remove
from data_modules.errors import CacheError
from tests.data_modules.feature_store import KEYS, description, fill, frames_of


def test_no_cache_is_no_store(tmp_path: Path) -> None:
    assert list_stores(tmp_path / "nowhere") == []
    assert find_useless(tmp_path / "nowhere") == []
    assert check_stores(tmp_path / "nowhere").num_files == 0


def test_stores_are_listed_with_what_they_hold(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path, description())
    fill(store, KEYS)
    damaged = FeatureStore.create(tmp_path, description("float16"))
    fill(damaged, KEYS)
    (shard,) = damaged.folder.glob("*.shard")
    os.truncate(shard, 100)
    half, whole = list_stores(tmp_path)
    assert whole.folder == store.folder
    assert whole.description == description()
    assert whole.num_clips == len(KEYS)
    assert whole.num_bytes == sum(path.stat().st_size for path in store.folder.iterdir())
    assert whole.problem == ""
    assert half.num_clips == 0
    assert str(shard) in half.problem


def test_prune_removes_damage_and_the_clips_can_be_written_again(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path, description())
    fill(store, KEYS[:10])
    fill(store, KEYS[10:])
    first, second = sorted(store.folder.glob("*.shard"))
    data = bytearray(first.read_bytes())
    data[64] ^= 1
    first.write_bytes(data)
    check = check_stores(tmp_path)
    assert (check.num_files, check.num_items) == (2, 10)
    assert [problem.where for problem in check.problems] == [str(first)]
    (useless,) = find_useless(tmp_path)
    assert useless.path == first
    assert useless.reason.startswith("damaged: 1 of 10 items")
    assert remove([useless]) == len(data)
    assert check_stores(tmp_path).problems == []
    assert second.exists()
    left = FeatureStore.open(store.folder)
    assert left.verify() == 10
    fill(left, KEYS)
    assert FeatureStore.open(store.folder).missing(KEYS) == []


def test_prune_removes_second_copies_and_no_clip(tmp_path: Path) -> None:
    real = FeatureStore.create(tmp_path, description())
    chain = [KEYS[:8], KEYS[7:14], KEYS[13:]]  # each has clips that no other has
    for number, keys in enumerate([*chain, KEYS[7::-1]]):
        # a store of its own: a racing writer does not see what the others write
        apart = FeatureStore.create(tmp_path / str(number), description())
        fill(apart, keys)
        for shard in apart.folder.glob("*.shard"):
            shard.rename(real.folder / shard.name)
    assert len(list(real.folder.glob("*.shard"))) == 4
    assert remove(find_useless(tmp_path)) > 0
    assert len(list(real.folder.glob("*.shard"))) == 3
    left = FeatureStore.open(real.folder)
    for key in KEYS:
        np.testing.assert_array_equal(left.read(key), frames_of(key))


def test_prune_leaves_what_a_writer_may_still_be_writing(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path, description())
    young, old = (store.folder / f".x.shard.{name}.part" for name in ("young", "old"))
    for path in (young, old):
        path.write_bytes(b"half")
    two_hours_ago = time.time() - 7200
    os.utime(old, (two_hours_ago, two_hours_ago))
    assert remove(find_useless(tmp_path)) == 4
    assert young.exists()
    assert not old.exists()


def test_prune_removes_a_whole_store_by_name_and_nothing_else(tmp_path: Path) -> None:
    keep = FeatureStore.create(tmp_path, description())
    gone = FeatureStore.create(tmp_path, description("float16"))
    fill(gone, KEYS)
    (tmp_path / "features" / "mine").mkdir()
    for name in ("mine", "..", "../features", ""):
        with pytest.raises(CacheError, match=r"0123456789ab\.float16, 0123.*got no store"):
            find_useless(tmp_path, stores=[name])
    remove(find_useless(tmp_path, stores=[gone.folder.name]))
    assert not gone.folder.exists()
    assert keep.folder.exists()
