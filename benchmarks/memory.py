"""Peak memory of extraction and of reading, against the size of the corpus.

    python -m benchmarks.memory [--sizes 500 2000 8000] [--name memory]

Clips of real lengths (``lengths.py``, repeated as often as it takes) are extracted with a small
wav2vec 2.0 of random weights into a store, then every clip is read in a shuffled order, each in a
process of its own. Peak memory is the kernel's ``VmHWM``; what of it are pages of mapped files,
which the kernel takes back when it needs room, is told beside it (``RssFile``). Writes
``benchmarks/results/NAME.{json,md}``.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import platform
import random
import shlex
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.lengths import SAMPLE_RATE, draw_lengths, read_lengths, voice
from benchmarks.record import RESULTS
from data_modules.atomic import write_json, write_text
from sermm.rundir import git_revision

MODEL = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 128,
    "conv_dim": (32,) * 7,
}


def memory() -> dict[str, float]:
    """Peak and mapped files of this process in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith(" kB")}
    return {"peak_mib": found["VmHWM"] / 1024, "file_mib": found["RssFile"] / 1024}


def clips_of(number: int) -> list[Any]:
    """Clips whose samples are made when they are asked for."""
    from data_modules.audio import content_hash
    from sermm.extract_batches import Clip

    lengths = draw_lengths(read_lengths(), 1e9)
    clips = []
    for i, seconds in zip(range(number), itertools.cycle(lengths), strict=False):
        samples = voice(seconds, i)
        clips.append(Clip(str(i), content_hash(samples), len(samples), partial(voice, seconds, i)))
    return clips


def extraction(folder: Path, number: int) -> dict[str, Any]:
    from sermm.extract import extract, open_store
    from sermm.upstreams import build_speech_upstream

    upstream = build_speech_upstream("huggingface", name=str(folder / "model"))
    store = open_store(upstream, folder / str(number))
    start = memory()["peak_mib"]
    report = extract(upstream, clips_of(number), store, workers=2)
    told = {"store_mib": store.num_bytes / 2**20, "hours": report.audio_seconds / 3600}
    return {**memory(), "before_mib": start, **told}


def reading(folder: Path, number: int) -> dict[str, Any]:
    from data_modules.cache import FeatureStore

    start = memory()["peak_mib"]
    (store_folder,) = (folder / str(number) / "features").iterdir()
    store = FeatureStore.open(store_folder)
    keys = sorted(store._where)
    random.Random(0).shuffle(keys)
    total = sum(float(store.load(key).sum()) for key in keys)
    return {**memory(), "before_mib": start, "store_mib": store.num_bytes / 2**20, "sum": total}


def in_process(stage: str, folder: Path, number: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.memory", "--stage", stage, str(folder)]
    start = time.monotonic()
    done = subprocess.run(
        [*command, "--sizes", str(number)], stdout=subprocess.PIPE, text=True, check=True
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    row = {"stage": stage, "clips": number, **told, "seconds": time.monotonic() - start}
    print(row, flush=True)
    return row


def table(result: dict[str, Any]) -> str:
    lines = [
        "# Memory",
        "",
        f"`{result['command']}`, {result['date']}, {result['machine']}. Peak resident memory of a "
        "process; a store is mapped, so its pages count while there is room for them.",
        "",
        "| stage | clips | store, MiB | peak, MiB | before it, MiB | of it mapped files, MiB |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        sizes = (row["store_mib"], row["peak_mib"], row["before_mib"], row["file_mib"])
        lines.append(
            f"| {row['stage']} | {row['clips']:,} | "
            + " | ".join(f"{size:,.0f}" for size in sizes)
            + " |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[500, 2000, 8000])
    parser.add_argument("--name", default="memory")
    parser.add_argument("--stage", nargs=2, help="used by itself: a stage and its folder")
    options = parser.parse_args()
    if options.stage:
        stage, folder = options.stage
        run = {"extraction": extraction, "reading": reading}[stage]
        print(json.dumps(run(Path(folder), options.sizes[0])))
        return
    import transformers

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        config = transformers.Wav2Vec2Config(**MODEL, layerdrop=0.0)
        transformers.Wav2Vec2Model(config).save_pretrained(folder / "model")
        transformers.Wav2Vec2FeatureExtractor(
            sampling_rate=SAMPLE_RATE, do_normalize=True, return_attention_mask=False
        ).save_pretrained(folder / "model")
        rows = [
            in_process(stage, folder, number)
            for number in options.sizes
            for stage in ("extraction", "reading")
        ]
    result = {
        "command": shlex.join(["python", "-m", "benchmarks.memory", *sys.argv[1:]]),
        "date": str(datetime.date.today()),
        "git_revision": git_revision(),
        "machine": platform.processor() or platform.machine(),
        "rows": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    write_json(RESULTS / f"{options.name}.json", result)
    write_text(RESULTS / f"{options.name}.md", table(result))
    print(table(result))


if __name__ == "__main__":
    main()
