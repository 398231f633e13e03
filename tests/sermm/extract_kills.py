"""Kills extractions at random points, and lets several write one store: run by a test, or by hand.

    OMP_NUM_THREADS=1 python -m tests.sermm.extract_kills MODEL FOLDER

One process loads torch once and forks the ones that are killed. Prints what it saw as JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch

import sermm.extract
from data_modules.audio import content_hash
from data_modules.cache import FeatureStore, StoreWriter
from data_modules.cache_care import check_stores
from sermm.extract import extract, open_store
from sermm.extract_batches import Clip
from sermm.upstreams import SpeechUpstream, build_speech_upstream

NUM_CLIPS, NUM_KILLS, NUM_WRITERS = 150, 20, 4


def clips() -> list[Clip]:
    found = []
    for seed in range(NUM_CLIPS):
        draw = np.random.default_rng(seed)
        wave = (draw.standard_normal(draw.integers(2_000, 20_000)) / 10).astype(np.float32)
        found.append(Clip(f"u{seed}", content_hash(wave), len(wave), lambda wave=wave: wave))
    return found


def extraction(upstream: SpeechUpstream, cache: Path, told: Path) -> int:
    """Start an extraction in a process of its own; what it has confirmed goes to a file at once."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        sermm.extract._FLUSH_S = 0.02
        flush = StoreWriter.flush

        def confirm(writer: StoreWriter) -> None:
            flush(writer)
            with told.open("a") as stream:
                stream.write("".join(f"{key}\n" for key in writer.store._where))

        StoreWriter.flush = confirm  # type: ignore[method-assign]
        extract(upstream, clips(), open_store(upstream, cache), batch_s=2, workers=1)
        status = 0
    finally:
        os._exit(status)


def confirmed(told: Path) -> set[str]:
    """Whole lines of the file; a kill may cut the last one."""
    text = told.read_text() if told.is_file() else ""
    return set(text[: text.rfind("\n") + 1].split())


def wait_for_shards(cache: Path, number: int) -> None:
    """Until so many more shards are there; half a minute at most."""
    before, end = len(list(cache.rglob("*.shard"))), time.monotonic() + 30
    while len(list(cache.rglob("*.shard"))) < before + number and time.monotonic() < end:
        time.sleep(0.001)


def num_differing(store: FeatureStore, reference: FeatureStore) -> int:
    """Clips whose stored bytes are not those of the reference."""
    keys = [clip.key for clip in clips()]
    return sum(store.read(key).tobytes() != reference.read(key).tobytes() for key in keys)


def main() -> None:
    model, folder = sys.argv[1], Path(sys.argv[2])
    torch.set_num_threads(1)
    upstream = build_speech_upstream("huggingface", name=model)
    reference = open_store(upstream, folder / "reference")
    extract(upstream, clips(), reference, batch_s=2, workers=1)
    draw, told, cache = random.Random(0), folder / "told", folder / "killed"
    stored, lost = [], 0
    for _ in range(NUM_KILLS):
        child = extraction(upstream, cache, told)
        wait_for_shards(cache, draw.randint(0, 5))
        time.sleep(draw.uniform(0, 0.05))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        store = open_store(upstream, cache)
        store.verify()
        stored.append(len(store))
        lost += len([key for key in confirmed(told) if key not in store])
    extract(upstream, clips(), open_store(upstream, cache), batch_s=2, workers=1)
    differing = num_differing(open_store(upstream, cache), reference)
    writers = [
        extraction(upstream, folder / "many", folder / f"told{i}") for i in range(NUM_WRITERS)
    ]
    failed = sum(os.waitpid(child, 0)[1] != 0 for child in writers)
    many = open_store(upstream, folder / "many")
    print(
        json.dumps(
            {
                "clips": NUM_CLIPS,
                "stored_after_each_kill": stored,
                "confirmed_and_lost": lost,
                "differing_after_kills": differing,
                "writers": NUM_WRITERS,
                "writers_that_failed": failed,
                "differing_after_writers": num_differing(many, reference),
                "damaged_files": len(check_stores(folder / "many").problems)
                + len(check_stores(cache).problems),
            }
        )
    )


if __name__ == "__main__":
    main()
