"""The features of an experiment: filling in what its store lacks, and saying so.

Several devices, and shards that run as jobs, are processes which compute a share of the batches
each (``sermm extract NAME --shard 2/4``).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from data_modules.atomic import write_text
from data_modules.cache import FeatureStore
from data_modules.errors import ConfigError, RunFailedError
from data_modules.manifest import Utterance
from data_modules.prepare import Prepared
from sermm.config import TUNED, Config, second_speech, to_yaml
from sermm.engines import Engine
from sermm.extract import (
    ExtractionReport,
    clips_of,
    estimate_bytes,
    expect_room,
    extract,
    missing_clips,
)
from sermm.extract_batches import Clip, Share
from sermm.extract_precision import measure_precision, read_precision, write_precision
from sermm.features import open_features, stored_upstream
from sermm.jobs import Job, run_jobs
from sermm.terminal import progress_bar, say
from sermm.upstreams import SpeechUpstream


@dataclass(frozen=True)
class Work:
    """What an extraction is about.

    Attributes:
        upstream: What computes.
        store: Where frames go.
        clips: All that are wanted.
        missing: Those that the store lacks.
    """

    upstream: SpeechUpstream
    store: FeatureStore
    clips: list[Clip]
    missing: list[Clip]


def find_work(config: Config, prepared: Prepared, ids: Collection[str] | None = None) -> Work:
    """What is to be computed.

    Args:
        config: Of the experiment.
        prepared: Its corpus.
        ids: Utterances that are wanted; None for all.

    Raises:
        CacheError: The store is damaged.
    """
    upstream = stored_upstream(config)
    store = open_features(config, upstream).store
    wanted = (u for u in _spoken(prepared) if ids is None or u.id in ids)
    clips = clips_of((prepared.media_facts(u) for u in wanted), prepared.root)
    return Work(upstream, store, clips, missing_clips(clips, store))


def extract_missing(
    config: Config,
    prepared: Prepared,
    ids: Collection[str] | None = None,
    *,
    share: Share | None = None,
) -> ExtractionReport | None:
    """Compute and store the features that are not there yet.

    Args:
        config: Of the experiment.
        prepared: Its corpus.
        ids: Utterances that are wanted; None for all.
        share: Of the batches, one device computes; None: all, on every device.

    Returns:
        None if there was nothing to do, or processes of their own did it.

    Raises:
        CacheError: The store is damaged or there is no room.
        DataError: A clip cannot be read, or changed since it was prepared.
        RunFailedError: A process failed.
    """
    work = find_work(config, prepared, ids)
    if not work.missing:
        return None
    devices = _devices(config, work.upstream)
    if share is None:
        announce(config, work)
        if len(devices) > 1:
            engine = Engine("local", len(devices))
            extract_in_jobs(config, work, engine, [[f"extract.devices={d}"] for d in devices])
            warn(work)
            return None
    with progress_bar(f"computing {work.upstream.name}") as on_progress:
        report = extract(
            work.upstream,
            work.clips,
            work.store,
            batch_s=config.extract.batch_seconds or None,
            workers=config.extract.workers or None,
            device=devices[0],
            precision=config.extract.precision,  # type: ignore[arg-type]
            share=share or Share(),
            on_progress=on_progress,
        )
    if share is None:
        warn(work)
    return report


def extract_each(
    config: Config, prepared: Prepared, ids: Collection[str] | None = None, *, of_run: bool
) -> None:
    """:func:`extract_missing` for each upstream of a configuration.

    Args:
        config: Says which features.
        prepared: Corpus.
        ids: Utterances that are needed; None: all.
        of_run: Those that differ from run to run, since another experiment's run has trained the
            encoder; else those that all runs share.
    """
    for each in (config, second_speech(config)):
        if each is not None and (each.model.speech.upstream == TUNED) is of_run:
            extract_missing(each, prepared, ids)


def extract_in_jobs(config: Config, work: Work, engine: Engine, shards: list[list[str]]) -> None:
    """Share the batches out over jobs, and wait for all of them.

    Args:
        config: Of the experiment; the jobs read it from a file.
        work: What is missing.
        engine: Where the jobs run.
        shards: Settings of each job.

    Raises:
        RunFailedError: One of them failed.
    """
    folder = Path(config.data.cache) / "jobs" / f"extract-{time.strftime('%Y%m%d-%H%M%S')}"
    file = folder / "experiment.yaml"
    # one process a device: a job must not share its part out again
    one = replace(config.extract, devices=_first_device(config.extract.devices))
    write_text(file, to_yaml(replace(config, extract=one)))
    jobs = [
        Job(
            f"shard {i}/{len(shards)}",
            ("extract", str(file), *settings, "--shard", f"{i}/{len(shards)}"),
        )
        for i, settings in enumerate(shards, start=1)
    ]
    keys = [clip.key for clip in work.missing]

    def stored(job: Job) -> str:
        return f"{len(keys) - len(work.store.missing(keys))} of {len(keys)} clips are stored"

    outcome = run_jobs(jobs, engine, folder, title="extract", detail=stored)
    if outcome.failed:
        raise RunFailedError(
            f"features of {config.name}",
            expected=f"all {len(jobs)} shards to finish",
            got="; ".join(f"{name}: {why}" for name, why in outcome.failed.items()),
            fix="mend the cause and run the same command again; what was stored is kept",
        )


def _first_device(devices: str) -> str:
    return devices.partition(",")[0]


def _devices(config: Config, upstream: SpeechUpstream) -> list[str]:
    """Where to compute; an upstream without a batch has the cores alone.

    Raises:
        ConfigError: There is no such device.
    """
    if not upstream.batched:
        return ["cpu"]
    count = torch.cuda.device_count()
    if config.extract.devices == "auto":
        if config.trainer.accelerator == "cpu" or not count:
            return ["cpu"]
        return [f"cuda:{i}" for i in range(count)]
    devices = config.extract.devices.split(",")
    for device in devices:
        where = torch.device(device)
        if where.type == "cuda" and (where.index or 0) >= count:
            raise ConfigError(
                "extract.devices",
                expected=f"one of {count} GPUs, or cpu" if count else "cpu, as there is no GPU",
                got=device,
                fix="correct it",
            )
    return devices


def _note_precision(config: Config, work: Work, device: str) -> None:
    """Say how exact half precision is: measured once, when a store is begun."""
    precision = config.extract.precision
    if precision == "32" or not work.upstream.batched:
        return
    error = read_precision(work.store.folder)
    if error is None:
        where = torch.device(device)
        error = measure_precision(
            work.upstream.to(where),
            work.missing,
            device=where,
            precision=precision,  # type: ignore[arg-type]
        )
        write_precision(work.store.folder, error)
    say(str(error))


def announce(config: Config, work: Work) -> None:
    """Say what will be computed, how much room it takes, and how exact it is.

    Raises:
        CacheError: There is less room.
        DataError: A clip on which the precision is measured cannot be read.
    """
    size = estimate_bytes(work.upstream, work.missing, work.store)
    say(
        f"{work.upstream.name}: {len(work.missing)} clips, about {size / 2**20:.0f} MiB in "
        f"{work.store.folder}"
    )
    expect_room(size, work.store.folder)
    _note_precision(config, work, _devices(config, work.upstream)[0])


def warn(work: Work) -> None:
    """Count the clips that an upstream cannot take as they are."""
    warn_of_lengths(work.upstream, [clip.num_samples for clip in work.clips])


def warn_of_lengths(upstream: SpeechUpstream, num_samples: Iterable[int]) -> None:
    """Count the clips of these lengths that an upstream cannot take as they are."""
    sizes = list(num_samples)
    shortest, longest = upstream.min_samples, upstream.max_samples
    if short := sum(size < shortest for size in sizes):
        say(f"{short} clips are shorter than a window and are filled up with zeros", style="yellow")
    if longest and (long := sum(size > longest for size in sizes)):
        say(
            f"{long} clips are longer than {upstream.name} takes at once and are computed in "
            "overlapping pieces",
            style="yellow",
        )


def _spoken(prepared: Prepared) -> list[Utterance]:
    return [utterance for utterance in prepared.utterances if utterance.audio is not None]
