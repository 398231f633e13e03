from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from data_modules.cache import FeatureStore
from data_modules.errors import CacheError
from data_modules.store_description import DType, encode, widen
from tests.data_modules.feature_store import DIM, KEYS, description, fill, frames_of


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_what_is_written_is_read(tmp_path: Path, dtype: DType) -> None:
    store = FeatureStore.create(tmp_path, description(dtype))
    fill(store, KEYS)
    reopened = FeatureStore.open(store.folder)
    torch_type = getattr(torch, dtype)
    for key in KEYS:
        expected = torch.from_numpy(frames_of(key)).to(torch_type).float().numpy()
        np.testing.assert_array_equal(reopened.load(key), expected)
        assert reopened.num_frames(key) == len(expected)
    assert len(reopened) == len(KEYS)
    assert reopened.verify() == len(KEYS)


def test_reading_copies_nothing(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path, description("float16"))
    fill(store, KEYS)
    view = store.read(KEYS[3])
    assert view.dtype == np.float16
    assert view.shape[1] == DIM
    assert not view.flags.owndata
    assert not view.flags.writeable
    # all views of a shard lie in one mapping
    first, last = store.read(KEYS[0]), store.read(KEYS[-1])
    assert 0 < last.ctypes.data - first.ctypes.data < store.num_bytes
    assert all(store.read(key).ctypes.data % 64 == 0 for key in KEYS)


@given(
    arrays(
        np.float32,
        st.tuples(st.integers(1, 5), st.just(DIM)),
        elements=st.floats(-(2.0**127), 2.0**127, width=32, allow_subnormal=False),
    )
)
@example(np.array([[1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8]], np.float32))  # ties
def test_bfloat16_rounds_as_torch_does(frames: np.ndarray) -> None:
    stored = np.frombuffer(encode(frames, description("bfloat16"), "00"), np.uint16)
    expected = torch.from_numpy(frames).to(torch.bfloat16).float().numpy()
    np.testing.assert_array_equal(widen(stored, "bfloat16").reshape(frames.shape), expected)


@pytest.mark.parametrize(
    ("dtype", "value", "match"),
    [
        ("float32", np.nan, "finite features, got 1 that are"),
        ("float32", np.inf, "finite features"),
        ("float16", 70000.0, "float16 can hold, got 70000; store these features as float32"),
        ("bfloat16", 3.4e38, "bfloat16 can hold"),
    ],
)
def test_values_that_cannot_be_stored_are_refused(
    tmp_path: Path, dtype: DType, value: float, match: str
) -> None:
    store = FeatureStore.create(tmp_path, description(dtype))
    frames = np.zeros((2, DIM), np.float32)
    frames[1, 1] = value
    with store.writer() as writer, pytest.raises(CacheError, match=match):
        writer.add(KEYS[0], frames)
    assert store.missing(KEYS[:1]) == KEYS[:1]


@pytest.mark.parametrize("shape", [(0, DIM), (2, DIM + 1), (DIM,)])
def test_frames_of_another_shape_are_a_programming_error(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    with (
        FeatureStore.create(tmp_path, description()).writer() as writer,
        pytest.raises(ValueError, match=r"frames are \(F >= 1, 3\)"),
    ):
        writer.add(KEYS[0], np.zeros(shape, np.float32))


def test_missing_keeps_order_and_sees_what_others_wrote(tmp_path: Path) -> None:
    reader = FeatureStore.create(tmp_path, description())
    fill(FeatureStore.create(tmp_path, description()), KEYS[1:4])
    assert reader.missing([KEYS[5], KEYS[2], KEYS[0], KEYS[5]]) == [KEYS[5], KEYS[0]]
    fill(FeatureStore.create(tmp_path, description()), KEYS[5:6])
    np.testing.assert_array_equal(reader.read(KEYS[5]), frames_of(KEYS[5]))


def test_a_clip_that_is_not_there_says_what_to_run(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path, description())
    with pytest.raises(CacheError, match="content 000000000000, got none; run `sermm extract`"):
        store.read(KEYS[0])


def test_shards_roll_over_and_are_confirmed_then(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path, description())
    writer = store.writer(shard_bytes=1000)
    for key in KEYS:
        writer.add(key, frames_of(key))
    other = FeatureStore.open(store.folder)
    assert len(list(store.folder.glob("*.shard"))) > 3
    assert 10 < len(other) < len(KEYS)  # the last, unfinished shard is not there yet
    writer.flush()
    assert other.missing(KEYS) == []


def test_an_exception_keeps_what_was_computed(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path, description())

    def compute_until_interrupted() -> None:
        with store.writer() as writer:
            writer.add(KEYS[0], frames_of(KEYS[0]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compute_until_interrupted()
    assert FeatureStore.open(store.folder).missing(KEYS[:2]) == [KEYS[1]]


def test_racing_writers_leave_equal_copies(tmp_path: Path) -> None:
    one, two = (FeatureStore.create(tmp_path, description()) for _ in range(2))
    with one.writer() as first, two.writer() as second, two.writer() as third:
        for key in KEYS[:10]:
            first.add(key, frames_of(key))
            second.add(key, frames_of(key))
        for key in KEYS[5:15]:
            third.add(key, frames_of(key))
    # the same items make the same file, others one more
    assert len(list(one.folder.glob("*.shard"))) == 2
    store = FeatureStore.open(one.folder)
    assert len(store) == 15
    assert store.verify() == 20
    for key in KEYS[:15]:
        np.testing.assert_array_equal(store.read(key), frames_of(key))


def test_a_store_travels_to_loader_processes(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path, description())
    fill(store, KEYS)
    travelled = pickle.dumps(store)
    assert len(travelled) < 1000
    np.testing.assert_array_equal(pickle.loads(travelled).read(KEYS[7]), frames_of(KEYS[7]))


def test_another_type_or_upstream_is_another_store(tmp_path: Path) -> None:
    fill(FeatureStore.create(tmp_path, description()), KEYS)
    assert len(FeatureStore.create(tmp_path, description("float16"))) == 0
    assert len(FeatureStore.create(tmp_path, description(fingerprint="f" * 12))) == 0
    assert len(FeatureStore.create(tmp_path, description())) == len(KEYS)


def test_one_fingerprint_with_two_meanings_is_refused(tmp_path: Path) -> None:
    FeatureStore.create(tmp_path, description(options={"lags": (1, 2)}))
    FeatureStore.create(tmp_path, description(options={"lags": (1, 2)}))
    with pytest.raises(CacheError, match="the description of test, got another one"):
        FeatureStore.create(tmp_path, description(options={"lags": (1, 3)}))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"upstream": "x"}'])
def test_a_damaged_description_is_named(tmp_path: Path, text: str) -> None:
    store = FeatureStore.create(tmp_path, description())
    (store.folder / "store.json").write_text(text)
    with pytest.raises(CacheError, match=r"store\.json: expected the description of a store"):
        FeatureStore.open(store.folder)


def test_a_store_under_the_name_of_another_is_refused(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path, description())
    renamed = store.folder.rename(store.folder.with_name("ffffffffffff.float32"))
    with pytest.raises(CacheError, match=r"the store ffffffffffff\.float32"):
        FeatureStore.open(renamed)
    with pytest.raises(CacheError, match="a feature store, got no file; run `sermm extract`"):
        FeatureStore.open(tmp_path)
