"""Damage, full disks and kills: never a wrong feature, never a lost one that was confirmed."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from data_modules.cache import FeatureStore
from data_modules.errors import CacheError
from tests.data_modules.feature_store import KEYS, description, fill, frames_of

SMALL = {KEYS[0]: np.ones((2, 3), np.float32), KEYS[1]: np.full((1, 3), 2, np.float32)}


def small_shard(cache: Path) -> tuple[FeatureStore, Path]:
    store = FeatureStore.create(cache, description("float16"))
    with store.writer() as writer:
        for key, frames in SMALL.items():
            writer.add(key, frames)
    (path,) = store.folder.glob("*.shard")
    return store, path


def test_a_shard_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    store, path = small_shard(tmp_path)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(CacheError, match=r"expected .*shard.*; delete this file, then") as why:
            FeatureStore.open(store.folder)
        assert why.value.where == str(path)


def test_a_flipped_byte_is_never_a_wrong_feature(tmp_path: Path) -> None:
    store, path = small_shard(tmp_path)
    whole = path.read_bytes()
    errors: list[CacheError] = []
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        path.write_bytes(damaged)
        try:
            reopened = FeatureStore.open(store.folder)
            for key in SMALL:
                reopened.read(key)
        except CacheError as error:
            errors.append(error)
            continue
        # a byte of the gaps that align the items
        for key, frames in SMALL.items():
            np.testing.assert_array_equal(reopened.read(key), frames)
    gaps = (64 - 16) + (64 - 12) + (64 - 6)
    assert len(errors) == len(whole) - gaps
    assert {error.where for error in errors} == {str(path)}
    assert all("delete this file" in error.fix for error in errors)


def test_a_shard_of_other_frames_is_refused(tmp_path: Path) -> None:
    _, path = small_shard(tmp_path)
    wide = FeatureStore.create(tmp_path, description("float16", dim=4000, fingerprint="ee"))
    (wide.folder / path.name).write_bytes(path.read_bytes())
    with pytest.raises(CacheError, match="expected frames of 8000 bytes"):
        wide.refresh()


def test_a_full_disk_leaves_no_half_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FeatureStore.create(tmp_path, description())
    fill(store, KEYS[:2])

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    writer = store.writer()
    writer.add(KEYS[2], frames_of(KEYS[2]))
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(CacheError, match="got No space left on device; free disk space"):
            writer.flush()
    assert len(list(store.folder.iterdir())) == 2  # store.json and the first shard
    assert FeatureStore.open(store.folder).missing(KEYS[:3]) == [KEYS[2]]
    writer.add(KEYS[2], frames_of(KEYS[2]))
    writer.flush()
    assert store.missing(KEYS[:3]) == []


_LIMITED = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from data_modules.cache import FeatureStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = FeatureStore.open(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
with store.writer() as writer:
    writer.add("a" * 64, np.ones((100_000, 3), np.float32))
"""


def test_a_write_that_stops_half_way_leaves_nothing(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path, description())
    result = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(store.folder)], capture_output=True, text=True
    )
    assert "CacheError" in result.stderr
    assert "File too large" in result.stderr
    assert [path.name for path in store.folder.iterdir()] == ["store.json"]


_WRITER = """
import random, sys
from pathlib import Path
import numpy as np
from data_modules.cache import FeatureStore
folder, seed = Path(sys.argv[1]), int(sys.argv[2])
store, choose = FeatureStore.open(folder), random.Random(seed)
writer = store.writer(shard_bytes=1 << 30)
while True:
    keys = [f"{choose.randrange(4000):064x}" for _ in range(choose.randrange(1, 40))]
    for key in keys:
        generator = np.random.default_rng(int(key, 16))
        shape = (generator.integers(1, 40), 3)
        writer.add(key, generator.standard_normal(shape).astype(np.float32))
    writer.flush()
    # one write, so that a kill cannot cut a line
    sys.stdout.write(" ".join(keys) + "\\n")
    sys.stdout.flush()
"""


def test_killed_writers_lose_nothing_that_was_confirmed(tmp_path: Path) -> None:
    """Twelve kills at random moments, four writers at once, overlapping keys."""
    store = FeatureStore.create(tmp_path, description())
    choose = random.Random(0)
    confirmed: set[str] = set()
    for round_number in range(3):
        logs = [tmp_path / f"{round_number}.{number}" for number in range(4)]
        writers = []
        for number, log in enumerate(logs):
            seed = str(10 * round_number + number)
            with log.open("wb") as stream:
                command = [sys.executable, "-c", _WRITER, str(store.folder), seed]
                writers.append(subprocess.Popen(command, stdout=stream))
        limit = time.monotonic() + 120
        while any(log.stat().st_size == 0 for log in logs):
            assert time.monotonic() < limit, "the writers did not start"
            time.sleep(0.01)
        for writer in writers:
            time.sleep(choose.uniform(0, 0.1))
            writer.send_signal(signal.SIGKILL)
            assert writer.wait() == -signal.SIGKILL
        for log in logs:
            lines = log.read_text().splitlines(keepends=True)
            confirmed.update(key for line in lines if line[-1] == "\n" for key in line.split())
        reopened = FeatureStore.open(store.folder)
        reopened.verify()
        assert reopened.missing(confirmed) == []
        for key in confirmed:
            np.testing.assert_array_equal(reopened.read(key), frames_of(key))
    assert len(confirmed) > 100
