"""Filling the feature cache: each clip that is missing is decoded, computed and stored once.

Which features a clip gets follows from its samples and the upstream alone. The number of workers,
the order and an interruption change nothing about them.
"""

from __future__ import annotations

import math
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from data_modules.audio import Array, content_hash, load_audio
from data_modules.cache import DType, FeatureStore, StoreDescription
from data_modules.errors import CacheError, DataError, MediaError, first_ids
from data_modules.media import MediaFacts
from sermm.upstreams import SpeechUpstream

# what an interruption can cost at most, beside the size of a shard
_FLUSH_S = 30.0
# of an item in a shard beyond its frames: key, index, alignment
_ITEM_BYTES = 130


@dataclass(frozen=True)
class Clip:
    """One clip to extract.

    Attributes:
        utterance_id: For messages.
        key: Hash of its decoded samples (``audio.content_hash``).
        num_samples: At 16 kHz.
        load: Gives its samples ``(N,)``, float32, 16 kHz, mono. Called in worker threads.
    """

    utterance_id: str
    key: str
    num_samples: int
    load: Callable[[], Array]


@dataclass(frozen=True)
class ExtractionReport:
    """What an extraction did.

    Attributes:
        num_new: Clips of different content that were computed now.
        num_cached: Those that were stored before.
        seconds: Time it took.
        audio_seconds: Length of the new clips.
        short_clips: Ids of utterances shorter than the upstream's ``min_samples``, new or not,
            whose waveform was filled up with zeros.
        long_clips: Ids of those longer than its ``max_samples``, which were computed in pieces.
    """

    num_new: int
    num_cached: int
    seconds: float
    audio_seconds: float
    short_clips: tuple[str, ...]
    long_clips: tuple[str, ...]


def clips_of(facts: Iterable[MediaFacts], root: Path) -> list[Clip]:
    """Clips from what ``sermm prepare`` found out about them.

    Args:
        facts: As the files are now (``Prepared.media_facts``).
        root: Corpus root.
    """
    return [
        Clip(
            utterance_id=fact.id,
            key=fact.content_sha256,
            num_samples=fact.num_samples,
            load=partial(load_audio, root / fact.path, fact.start_s, fact.end_s),
        )
        for fact in facts
    ]


def open_store(upstream: SpeechUpstream, cache: Path, dtype: DType = "float32") -> FeatureStore:
    """The store for the features of an upstream, made where there is none.

    Raises:
        CacheError: It is damaged or cannot be written.
    """
    description = StoreDescription(
        upstream=upstream.name,
        fingerprint=upstream.fingerprint(),
        dim=upstream.dim,
        dtype=dtype,
        frame_stride_s=upstream.frame_stride_s,
        first_center_s=upstream.first_center_s,
        transform_version=upstream.transform_version,
        options=dict(upstream.options()),
        num_layers=upstream.num_layers,
    )
    return FeatureStore.create(cache, description)


def missing_clips(clips: Sequence[Clip], store: FeatureStore) -> list[Clip]:
    """One clip for each content that the store lacks, in order."""
    by_key = {clip.key: clip for clip in reversed(clips)}
    return [by_key[key] for key in store.missing(clip.key for clip in clips)]


def estimate_bytes(upstream: SpeechUpstream, clips: Iterable[Clip], store: FeatureStore) -> int:
    """Bytes on disk that the features of these clips need, within a few per cent."""
    frame_bytes = store.description.frame_bytes
    return sum(upstream.num_frames(clip.num_samples) * frame_bytes + _ITEM_BYTES for clip in clips)


def extract(
    upstream: SpeechUpstream,
    clips: Sequence[Clip],
    store: FeatureStore,
    *,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> ExtractionReport:
    """Bring the features of all clips into the store.

    Safe to interrupt and to call again, and from several processes at once. A clip that cannot be
    read does not stop the others: the error comes at the end.

    Args:
        upstream: What computes.
        clips: All clips; those that are stored cost nothing.
        store: From :func:`open_store` for this upstream.
        workers: Threads, None for one a core. Arithmetic of one clip stays in one thread.
        on_progress: Called with the number of clips done and of all, of different content.

    Raises:
        CacheError: There is no room for the features, or the store cannot be written.
        DataError: Some clips cannot be read, or changed since they were prepared; the rest is
            stored.
    """
    if store.description.fingerprint != upstream.fingerprint():
        raise ValueError(f"{store.folder} is not the store of this {upstream.name}")
    start = time.monotonic()
    missing = missing_clips(clips, store)
    num_cached = len({clip.key for clip in clips}) - len(missing)
    _expect_room(estimate_bytes(upstream, missing, store), store)
    failed: dict[str, DataError] = {}
    audio_samples = 0
    confirmed = time.monotonic()
    with _one_thread(), store.writer() as writer:
        for done, (clip, frames) in enumerate(
            _in_order(partial(_compute, upstream), missing, workers or _num_cores()), start=1
        ):
            if isinstance(frames, DataError):
                failed[clip.utterance_id] = frames
            else:
                writer.add(clip.key, frames)
                audio_samples += clip.num_samples
            if time.monotonic() - confirmed > _FLUSH_S:
                writer.flush()
                confirmed = time.monotonic()
            if on_progress is not None:
                on_progress(num_cached + done, num_cached + len(missing))
    if failed:
        raise _all_failed(failed, len(missing))
    return ExtractionReport(
        num_new=len(missing),
        num_cached=num_cached,
        seconds=time.monotonic() - start,
        audio_seconds=audio_samples / 16_000,
        short_clips=tuple(c.utterance_id for c in clips if c.num_samples < upstream.min_samples),
        long_clips=tuple(
            c.utterance_id for c in clips if c.num_samples > (upstream.max_samples or math.inf)
        ),
    )


def _compute(upstream: SpeechUpstream, clip: Clip) -> Array | DataError:
    """Frames ``(F, K * D)`` of a clip, or why there are none."""
    try:
        waveform = clip.load()
    except DataError as error:
        return error
    if content_hash(waveform) != clip.key:
        return MediaError(
            clip.utterance_id,
            expected="the audio that `sermm prepare` saw",
            got="other samples",
            fix="run `sermm prepare` again",
        )
    with torch.inference_mode():
        features = upstream.layers(
            torch.from_numpy(waveform).unsqueeze(0), torch.tensor([len(waveform)])
        )
    # (K, F, D) to (F, K * D)
    frames: Array = features.states[0].transpose(0, 1).flatten(1).cpu().numpy()
    if bad := int(frames.size - np.isfinite(frames).sum()):
        return MediaError(
            clip.utterance_id,
            expected=f"finite {upstream.name} features",
            got=f"{bad} of {frames.size} values that are not",
            fix="look into the clip, or leave it out",
        )
    return frames


def _in_order(
    compute: Callable[[Clip], Array | DataError], clips: Sequence[Clip], workers: int
) -> Iterator[tuple[Clip, Array | DataError]]:
    """Results in the order of ``clips``; only a few are held at once."""
    running: deque[tuple[Clip, Future[Array | DataError]]] = deque()
    pool = ThreadPoolExecutor(max_workers=workers)
    try:
        for clip in clips:
            running.append((clip, pool.submit(compute, clip)))
            if len(running) >= 4 * workers:
                done, future = running.popleft()
                yield done, future.result()
        while running:
            done, future = running.popleft()
            yield done, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Torch adds in another order with another number of threads, which moves the last digits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _num_cores() -> int:
    return len(os.sched_getaffinity(0))


def _expect_room(num_bytes: int, store: FeatureStore) -> None:
    free = shutil.disk_usage(store.folder).free
    if num_bytes > free:
        raise CacheError(
            store.folder,
            expected=f"{num_bytes / 2**20:.0f} MiB of free disk for the features",
            got=f"{free / 2**20:.0f} MiB",
            fix="free disk space or choose another data.cache",
        )


def _all_failed(failed: dict[str, DataError], num_clips: int) -> DataError:
    """One error for all clips that have no features; the first says what to do."""
    first = next(iter(failed.values()))
    if len(failed) == 1:
        return first
    return MediaError(
        first.where,
        expected=first.expected,
        got=f"{first.got}, and the like for {len(failed)} of {num_clips} clips: "
        f"{first_ids(list(failed))}",
        fix=first.fix,
    )
