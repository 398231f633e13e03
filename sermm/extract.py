"""Filling the feature cache: each clip that is missing is decoded, computed and stored once.

Which features a clip gets follows from its samples and the upstream alone, up to the last digits:
those may depend on the clips beside it, which follow from the whole list (``extract_batches.py``).
The number of workers, the order and an interruption change nothing about them.
"""

from __future__ import annotations

import hashlib
import math
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from data_modules.audio import load_audio
from data_modules.cache import DType, FeatureStore, StoreDescription
from data_modules.errors import CacheError, DataError, MediaError, first_ids
from data_modules.media import MediaFacts
from sermm.allocator import keep_large_blocks
from sermm.extract_batches import SAMPLE_RATE, Clip, Share, plan_batches, share_of
from sermm.extract_compute import Precision, compute_batches
from sermm.upstreams import SpeechUpstream

BATCH_S = {"cpu": 10.0, "cuda": 160.0}
"""Seconds of a batch unless something else is asked for, by kind of device.

On a CPU larger ones fall out of the caches of a core: 10 s was faster than 5 and than 20 to 80.
"""

_ALL = Share()
# what an interruption can cost at most, beside the size of a shard
_FLUSH_S = 30.0
# of an item in a shard beyond its frames: key, index, alignment
_ITEM_BYTES = 130


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


def store_fingerprint(upstream: SpeechUpstream, precision: Precision = "32") -> str:
    """What stands for an upstream and the precision of its arithmetic, which changes results."""
    if precision == "32" or not upstream.batched:
        return upstream.fingerprint()
    told = f"{upstream.fingerprint()} {precision}"
    return hashlib.sha256(told.encode()).hexdigest()[:24]


def open_store(
    upstream: SpeechUpstream,
    cache: Path,
    dtype: DType = "float32",
    precision: Precision = "32",
) -> FeatureStore:
    """The store for the features of an upstream, made where there is none.

    Raises:
        CacheError: It is damaged or cannot be written.
    """
    half = precision != "32" and upstream.batched
    description = StoreDescription(
        upstream=upstream.name,
        fingerprint=store_fingerprint(upstream, precision),
        dim=upstream.dim,
        dtype=dtype,
        frame_stride_s=upstream.frame_stride_s,
        first_center_s=upstream.first_center_s,
        transform_version=upstream.transform_version,
        options={**upstream.options(), **({"precision": precision} if half else {})},
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
    batch_s: float | None = None,
    workers: int | None = None,
    device: str = "cpu",
    precision: Precision = "32",
    share: Share = _ALL,
    on_progress: Callable[[int, int], None] | None = None,
) -> ExtractionReport:
    """Bring the features of all clips into the store.

    Safe to interrupt and to call again, and from several processes at once. A clip that cannot be
    read does not stop the others: the error comes at the end.

    Args:
        upstream: What computes.
        clips: All clips; those that are stored cost nothing.
        store: From :func:`open_store` for this upstream and precision.
        batch_s: Most seconds of a batch, padding included; None for :data:`BATCH_S`.
        workers: Threads, None for one a core. Arithmetic of one batch stays in one thread.
        device: As torch names it. An upstream that computes clip by clip stays on the CPU.
        precision: Of the arithmetic.
        share: Which of the batches are to be computed here.
        on_progress: Called with the number of clips done and of all, of different content.

    Raises:
        CacheError: There is no room for the features, or the store cannot be written.
        DataError: Some clips cannot be read, or changed since they were prepared; the rest is
            stored.
        RunFailedError: A batch needs more memory than there is.
    """
    if store.description.fingerprint != store_fingerprint(upstream, precision):
        raise ValueError(f"{store.folder} is not the store of this {upstream.name}")
    start = time.monotonic()
    where = torch.device(device if upstream.batched else "cpu")
    if where.type == "cpu":
        keep_large_blocks()
    if batch_s is None:
        batch_s = BATCH_S[where.type]
    planned = plan_batches(
        clips,
        budget_s=batch_s if upstream.batched else 0.0,
        least_samples=upstream.filled_samples,
    )
    mine = share_of(planned, share)
    lacking = set(store.missing(clip.key for batch in mine for clip in batch))
    batches = [left for batch in mine if (left := [c for c in batch if c.key in lacking])]
    num_cached = sum(map(len, mine)) - len(lacking)
    expect_room(
        estimate_bytes(upstream, (c for batch in batches for c in batch), store), store.folder
    )
    upstream = upstream.to(where)
    failed: dict[str, DataError] = {}
    done = audio_samples = 0
    confirmed = time.monotonic()
    with store.writer() as writer:
        for results in compute_batches(
            upstream, batches, device=where, precision=precision, workers=workers
        ):
            computed = {c.key: frames for c, frames in results if not isinstance(frames, DataError)}
            failed.update(
                (clip.utterance_id, error)
                for clip, error in results
                if isinstance(error, DataError)
            )
            writer.add_all(computed)
            audio_samples += sum(clip.num_samples for clip, _ in results if clip.key in computed)
            if time.monotonic() - confirmed > _FLUSH_S:
                writer.flush()
                confirmed = time.monotonic()
            done += len(results)
            if on_progress is not None:
                on_progress(num_cached + done, num_cached + len(lacking))
    if failed:
        raise _all_failed(failed, len(lacking))
    return ExtractionReport(
        num_new=len(lacking),
        num_cached=num_cached,
        seconds=time.monotonic() - start,
        audio_seconds=audio_samples / SAMPLE_RATE,
        short_clips=tuple(c.utterance_id for c in clips if c.num_samples < upstream.min_samples),
        long_clips=tuple(
            c.utterance_id for c in clips if c.num_samples > (upstream.max_samples or math.inf)
        ),
    )


def expect_room(num_bytes: int, folder: Path) -> None:
    """Refuse to begin what cannot be stored.

    Raises:
        CacheError: The disk of a folder has less room.
    """
    free = shutil.disk_usage(folder).free
    if num_bytes > free:
        raise CacheError(
            folder,
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
