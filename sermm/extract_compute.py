"""From batches of clips to frames: decoding ahead, computing, and what became of each clip.

On a CPU every worker decodes and computes a batch of its own, in one thread of torch: adding in
another number of threads would move the last digits. For a GPU workers decode what comes next while
it computes.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Literal

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from data_modules.audio import Array, content_hash
from data_modules.errors import DataError, MediaError, RunFailedError, first_ids
from sermm.extract_batches import SAMPLE_RATE, Clip
from sermm.upstreams import SpeechUpstream
from sermm.upstreams.precision import full_precision

Precision = Literal["32", "bf16", "fp16"]
Outcome = Array | DataError
"""Frames ``(F, K * D)`` of a clip, or why there are none."""

_HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def compute_frames(
    upstream: SpeechUpstream,
    waveforms: Sequence[Array],
    *,
    device: torch.device,
    precision: Precision = "32",
) -> list[Array]:
    """Frames ``(F, K * D)`` float32 of clips ``(N,)`` that are computed together.

    Args:
        upstream: On ``device``.
        waveforms: At least one.
        device: Where.
        precision: Of the arithmetic; results are float32 at any.
    """
    clips = [torch.from_numpy(waveform) for waveform in waveforms]
    lengths = torch.tensor([len(clip) for clip in clips])
    with torch.inference_mode(), arithmetic(device, precision):
        features = upstream.layers(pad_sequence(clips, batch_first=True).to(device), lengths)
        rows = features.states.transpose(1, 2).flatten(2).float().cpu().numpy()  # (B, F, K * D)
    counts = features.lengths.tolist()
    return [row[:count] for row, count in zip(rows, counts, strict=True)]


def arithmetic(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """In which an upstream computes; float32 is that on a GPU as on a CPU."""
    if precision == "32":
        return full_precision(device)
    return torch.autocast(device.type, dtype=_HALVES[precision])


def compute_batches(
    upstream: SpeechUpstream,
    batches: Sequence[Sequence[Clip]],
    *,
    device: torch.device,
    precision: Precision = "32",
    workers: int | None = None,
) -> Iterator[list[tuple[Clip, Outcome]]]:
    """What became of the clips of each batch, in order; only a few batches are held at once.

    Args:
        upstream: On ``device``.
        batches: Of at least one clip each.
        device: Where.
        precision: Of the arithmetic.
        workers: Threads, None for one a core; on a CPU they compute, too.

    Raises:
        RunFailedError: A batch needs more memory than there is.
    """
    workers = workers or num_cores()

    def run(clips: Sequence[Clip], loaded: Sequence[Outcome]) -> list[tuple[Clip, Outcome]]:
        return list(zip(clips, _compute(upstream, clips, loaded, device, precision), strict=True))

    def run_here(clips: Sequence[Clip]) -> list[tuple[Clip, Outcome]]:
        return run(clips, [_load(clip) for clip in clips])

    def run_there(
        clips: Sequence[Clip], loading: Sequence[Future[Outcome]]
    ) -> list[tuple[Clip, Outcome]]:
        return run(clips, [future.result() for future in loading])

    running: deque[Future[list[tuple[Clip, Outcome]]]] = deque()
    with ExitStack() as stack:
        loaders = stack.enter_context(_pool(workers))
        if device.type == "cpu":
            stack.enter_context(one_thread())
            ahead = (2 if upstream.batched else 4) * workers
        else:
            computer = stack.enter_context(_pool(1))
            ahead = 4
        for clips in batches:
            if device.type == "cpu":
                running.append(loaders.submit(run_here, clips))
            else:
                loading = [loaders.submit(_load, clip) for clip in clips]
                running.append(computer.submit(run_there, clips, loading))
            if len(running) >= ahead:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


@contextmanager
def _pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Threads; what waits when this ends early is dropped."""
    pool = ThreadPoolExecutor(max_workers=workers)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _load(clip: Clip) -> Outcome:
    """Samples ``(N,)`` of a clip, or why there are none."""
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
    return waveform


def _compute(
    upstream: SpeechUpstream,
    clips: Sequence[Clip],
    loaded: Sequence[Outcome],
    device: torch.device,
    precision: Precision,
) -> list[Outcome]:
    """Frames of the clips of a batch that could be loaded, and the errors of the others."""
    good = [item for item in loaded if not isinstance(item, DataError)]
    try:
        frames = iter(
            compute_frames(upstream, good, device=device, precision=precision) if good else ()
        )
    except RuntimeError as error:
        from sermm.memory import is_out_of_memory  # takes lightning, which nothing else here does

        if not is_out_of_memory(error):
            raise
        seconds = sum(clip.num_samples for clip in clips) / SAMPLE_RATE
        raise RunFailedError(
            f"{upstream.name} of {first_ids([clip.utterance_id for clip in clips])}",
            expected=f"memory for a batch of {seconds:.0f} s",
            got=str(error).splitlines()[0],
            fix="lower extract.batch_seconds or extract.workers, or set model.speech.chunk_s",
        ) from error
    return [
        item if isinstance(item, DataError) else _finite(upstream, clip, next(frames))
        for clip, item in zip(clips, loaded, strict=True)
    ]


def _finite(upstream: SpeechUpstream, clip: Clip, frames: Array) -> Outcome:
    if bad := int(frames.size - np.isfinite(frames).sum()):
        return MediaError(
            clip.utterance_id,
            expected=f"finite {upstream.name} features",
            got=f"{bad} of {frames.size} values that are not",
            fix="look into the clip, or leave it out",
        )
    return frames


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch adds in another order with another number of threads, which moves the last digits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))
