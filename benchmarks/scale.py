"""A million utterances: time and peak memory of what is done to a manifest.

    python benchmarks/scale.py [--utterances 1000000] [--folder DIR] [--name scale]

Makes a corpus of that size from words drawn by Zipf's law (ids, speakers, dialogues, texts, word
times, ratings, votes, facts of clips that do not exist), then runs each stage in a process of its
own, and writes ``benchmarks/results/NAME.{json,md}``. Peak memory is the kernel's ``VmHWM`` of that
process, the interpreter included. Processor time is what a machine without other work would need.
"""

from __future__ import annotations

import argparse
import bisect
import datetime
import hashlib
import itertools
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS
from data_modules.atomic import write_json, write_text
from data_modules.check import Survey, check
from data_modules.corpora.release import Corpus, Release
from data_modules.labels import ClassScheme, same_names
from data_modules.manifest import Utterance, Word, write_manifest
from data_modules.media import MediaFacts, write_media
from data_modules.prepared import (
    Prepared,
    hash_data,
    load_prepared,
    manifest_path,
    write_prepared,
)
from data_modules.protocols import find_protocol
from data_modules.selection import select
from sermm.report.check_page import write_check_page

EMOTIONS = ("neutral", "happy", "sad", "angry")
NUM_WORDS = 20_000
PER_DIALOGUE = 25
PER_SPEAKER = 500


def read(root: Path) -> Release:
    raise NotImplementedError("this corpus exists as a manifest alone")


CORPUS = Corpus(
    name="scale",
    title="made for benchmarks/scale.py",
    read=read,
    version=1,
    schemes=(
        ClassScheme(
            name="scale4",
            names=EMOTIONS,
            source="category",
            mapping=same_names(*EMOTIONS),
            votes="votes",
        ),
    ),
    language="en",
    licence="made on this machine",
    source="benchmarks/scale.py",
)


def make_utterances(number: int) -> Iterator[Utterance]:
    """Utterances as a large corpus has them, always the same ones.

    8.6 words on average, of 20,000 that are drawn by Zipf's law; one in ten says one word or two.
    """
    rng = random.Random(0)
    vocabulary = [f"{'aeiou'[k % 5]}w{k:x}" for k in range(NUM_WORDS)]
    cumulative = list(itertools.accumulate(1 / (k + 1) for k in range(NUM_WORDS)))
    for index in range(number):
        place = index / number
        length = rng.randint(1, 2) if rng.random() < 0.1 else rng.randint(3, 15)
        spoken = [
            vocabulary[bisect.bisect(cumulative, rng.random() * cumulative[-1])]
            for _ in range(length)
        ]
        words, now = [], rng.uniform(0.05, 0.4)
        for text in spoken:
            end = now + rng.uniform(0.08, 0.6)
            words.append(Word(text, round(now, 3), round(end, 3), "corpus"))
            now = end
        start, emotion = round(rng.uniform(0, 900), 3), rng.choice(EMOTIONS)
        dialogue, speaker = index // PER_DIALOGUE, index // PER_SPEAKER
        yield Utterance(
            id=f"scale_{dialogue:06d}_{index % PER_DIALOGUE:02d}",
            corpus="scale",
            audio=f"audio/{speaker:05d}/dialogue_{dialogue:06d}.flac",
            start_s=start,
            end_s=round(start + now + 0.3, 3),
            sample_rate=16_000,
            speaker=f"speaker{speaker:05d}",
            dialogue=f"dialogue{dialogue:06d}",
            part="train" if place < 0.8 else "val" if place < 0.9 else "test",
            gender=("female", "male")[speaker % 2],
            text=" ".join(spoken).capitalize() + ".",
            words=tuple(words),
            labels={
                "category": emotion,
                "ratings": {
                    name: round(rng.uniform(1, 5), 2)
                    for name in ("valence", "activation", "dominance")
                },
                "votes": {emotion: 3, rng.choice(EMOTIONS): 2},
            },
        )


def make_media(utterances: Iterator[Utterance]) -> Iterator[MediaFacts]:
    for utterance in utterances:
        assert utterance.audio is not None
        digest = hashlib.sha256(utterance.id.encode())
        yield MediaFacts(
            id=utterance.id,
            path=utterance.audio,
            size=14_400_000,
            mtime_ns=1_700_000_000_000_000_000 + digest.digest()[0],
            start_s=utterance.start_s,
            end_s=utterance.end_s,
            content_sha256=digest.hexdigest(),
            sample_rate=16_000,
            channels=1,
            num_samples=round(utterance.duration_s * 16_000),
            duration_s=utterance.duration_s,
            peak=digest.digest()[1] / 257 + 0.001,
            rms=digest.digest()[2] / 1000 + 0.001,
            clipped_run=0,
        )


# stages: each gets the folder and the number of utterances, and says what it saw


def write(cache: Path, number: int) -> str:
    nothing = Prepared(CORPUS, cache, cache, [], [], {}, [], {}, "0" * 64)
    write_prepared(nothing)
    path = manifest_path("scale", cache)
    write_manifest(path, make_utterances(number))
    write_media(path.with_suffix(".media.jsonl"), make_media(make_utterances(number)))
    size = sum(file.stat().st_size for file in path.parent.iterdir())
    return f"{size / 1e6:.0f} MB on disk"


def read_back(cache: Path, number: int) -> str:
    prepared = load_prepared(CORPUS, cache)
    assert len(prepared.utterances) == len(prepared.media) == number
    words = sum(len(utterance.words) for utterance in prepared.utterances)
    return f"{number:,} utterances, {words:,} words with times"


def rewrite(cache: Path, number: int) -> str:
    prepared = load_prepared(CORPUS, cache)
    digest = hash_data(prepared.utterances, prepared.media)
    write_prepared(replace(prepared, data_sha256=digest))
    return f"hash {digest[:12]}"


def run_checks(cache: Path, number: int) -> str:
    survey = Survey(load_prepared(CORPUS, cache))
    results = check(survey)
    page = write_check_page(survey, results)
    (texts,) = (result for result in results if result.name == "shared texts")
    return f"{len(results)} checks; {texts.detail}; page of {page.stat().st_size / 1e3:.0f} kB"


def fold(protocol: str) -> Callable[[Path, int], str]:
    def stage(cache: Path, number: int) -> str:
        selection = select(
            load_prepared(CORPUS, cache).utterances,
            scheme=CORPUS.scheme,
            protocol=find_protocol(protocol),
        )
        sizes = [tuple(len(ids) for ids in fold.parts().values()) for fold in selection.folds]
        return f"{len(sizes)} folds, the first of {' / '.join(f'{n:,}' for n in sizes[0])}"

    return stage


STAGES: dict[str, tuple[str, Callable[[Path, int], str]]] = {
    "write": ("make the utterances (twice), write manifest and facts of clips", write),
    "read": ("read them back", read_back),
    "check": ("read, run all checks, write their page", run_checks),
    "speaker5": ("read, apply labels, make and prove scale-speaker5", fold("scale-speaker5")),
    "standard": ("read, apply labels, make and prove scale-standard", fold("scale-standard")),
    "rewrite": ("read, hash the data, write again", rewrite),
}


def peak_bytes() -> int:
    """Most resident memory of this process; of Linux alone."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def run_stage(name: str, cache: Path, number: int) -> None:
    begin, begin_cpu = time.perf_counter(), time.process_time()
    said = STAGES[name][1](cache, number)
    found = {
        "stage": name,
        "seconds": round(time.perf_counter() - begin, 1),
        "cpu_seconds": round(time.process_time() - begin_cpu, 1),
        "peak_bytes": peak_bytes(),
        "said": said,
    }
    print(json.dumps(found))


def measure(name: str, cache: Path, number: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--utterances", str(number), "--folder", str(cache)]
    done = subprocess.run(
        [*command, "--stage", name], stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    peak = found["peak_bytes"] / 2**20
    print(f"{name:10} {found['seconds']:6.0f} s {peak:6.0f} MiB  {found['said']}", flush=True)
    return found


def hardware() -> str:
    cpu = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    names = {line.partition(":")[2].strip() for line in cpu.splitlines() if "model name" in line}
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    named = ", ".join(sorted(names)) or platform.machine()
    return f"{named}, {os.cpu_count()} cores, {total:.0f} GiB of memory"


def report(number: int, stages: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "command": f"python benchmarks/scale.py --utterances {number}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "hardware": hardware(),
        "python": platform.python_version(),
        "utterances": number,
        "stages": stages,
    }


def to_markdown(record: dict[str, Any]) -> str:
    rows = [
        f"| {STAGES[one['stage']][0]} | {one['seconds']:.0f} s | {one['cpu_seconds']:.0f} s | "
        f"{one['peak_bytes'] / 2**20:,.0f} MiB | {one['said']} |"
        for one in record["stages"]
    ]
    return "\n".join(
        [
            f"# {record['utterances']:,} utterances",
            "",
            f"`{record['command']}` on {record['date']}, {record['hardware']}, "
            f"Python {record['python']}. Each row is a process of its own, with one thread. Other "
            "programs ran at the same time; processor time is without them.",
            "",
            "| what | time | processor time | peak memory | outcome |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--utterances", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where to put the manifest; kept if stated")
    parser.add_argument("--name", default="scale", help="of the result")
    parser.add_argument("--stage", choices=STAGES, help="this one alone, in this process")
    arguments = parser.parse_args()
    if arguments.stage:
        run_stage(arguments.stage, arguments.folder, arguments.utterances)
        return
    with tempfile.TemporaryDirectory() as temporary:
        cache = arguments.folder or Path(temporary)
        stages = [measure(name, cache, arguments.utterances) for name in STAGES]
    record = report(arguments.utterances, stages)
    write_json(RESULTS / f"{arguments.name}.json", record)
    write_text(RESULTS / f"{arguments.name}.md", to_markdown(record))


if __name__ == "__main__":
    main()
