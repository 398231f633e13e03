"""Fine-tuning throughput: seconds of audio that a training step takes in, in a second.

    python -m benchmarks.fine_tuning [--size S] [--seconds 150] [--rounds 3] [--name NAME]

One wav2vec 2.0 of random weights with a mean pooling and a linear layer, convolutions frozen, is
trained by several loops in turn, on batches as each of them makes them of the 5,531 lengths of
IEMOCAP (``lengths.py``) with synthetic voices. Of a whole epoch of batches every k-th by duration
is run, so that a few steps have the spread of all. Updates have the same number of clips on
average. Time is that of the processor from the first step on, after two steps of one clip; all
loops have one thread, and large blocks of memory stay with the process (``sermm/allocator.py``),
which alone can double the speed of a step.

    trainer           transformers.Trainer, the audio classification recipe: random batches of 8
    trainer grouped   the same with its sampler that groups by length
    speechbrain       the IEMOCAP recipe: random batches of 4, two a step, the CNN's parameters
                      frozen (its backward pass is computed all the same)
    sermm             the task, its sampler (batches filled to 40 s) and Lightning as in a run
    sermm bf16        the same with trainer.precision=bf16-mixed
    floor             a plain loop over clips of one length, no mask, linear layers as in sermm's
                      encoders (``sermm/nn/linear.py``)

Peers that are not installed (accelerate, speechbrain) are a row that says so.
"""

from __future__ import annotations

import argparse
import datetime
import random
import shlex
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.fine_tuning_loops import (
    Batches,
    Bench,
    Clock,
    at_the_floor,
    by_sermm,
    by_speechbrain,
    by_trainer,
)

RECIPES = ("trainer", "speechbrain")
AIM, NOISE = 1.3, 0.95
CLIPS = 8
BUDGET_S = 40.0


def thinned(batches: Batches, lengths: Sequence[float], seconds: float, seed: int) -> Batches:
    """Every k-th batch by true duration, so that about ``seconds`` of audio remain, shuffled."""
    duration = [sum(lengths[i] for i in batch) for batch in batches]
    order = sorted(range(len(batches)), key=lambda k: duration[k])
    draw = random.Random(seed)
    count = max(1, min(len(batches), round(seconds * len(batches) / sum(duration))))
    step = len(order) / count
    start = draw.random() * step
    chosen = [batches[order[min(int(start + k * step), len(order) - 1)]] for k in range(count)]
    draw.shuffle(chosen)
    return chosen


def random_batches(lengths: Sequence[float], size: int, seed: int) -> Batches:
    order = list(range(len(lengths)))
    random.Random(seed).shuffle(order)
    return [order[i : i + size] for i in range(0, len(order) - size + 1, size)]


def padded_share(batches: Batches, lengths: Sequence[float]) -> float:
    true = sum(lengths[i] for batch in batches for i in batch)
    return 1 - true / sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)


Loop = Callable[[Bench, Batches, Clock], None]


def arms(lengths: list[float], seed: int) -> dict[str, tuple[Loop, Batches]]:
    """Each loop with its batches of a whole epoch."""
    import torch
    from transformers.trainer_pt_utils import LengthGroupedSampler

    from data_modules.sampler import BudgetBatchSampler

    grouped = list(
        LengthGroupedSampler(
            CLIPS,
            lengths=[round(16_000 * length) for length in lengths],
            generator=torch.Generator().manual_seed(seed),
        )
    )
    filled = list(BudgetBatchSampler(lengths, budget=BUDGET_S, seed=seed, num_epochs=1))
    at_random = random_batches(lengths, CLIPS, seed)
    return {
        "trainer": (by_trainer, at_random),
        "trainer grouped": (
            by_trainer,
            [grouped[i : i + CLIPS] for i in range(0, len(grouped), CLIPS)],
        ),
        "speechbrain": (by_speechbrain, random_batches(lengths, CLIPS // 2, seed)),
        "sermm": (by_sermm, filled),
        "sermm bf16": (partial(by_sermm, precision="bf16-mixed"), filled),
        "floor": (at_the_floor, at_random),
    }


def run_arm(bench: Bench, name: str, loop: Loop, chosen: Batches) -> float | str:
    """Seconds of audio a second, or why there is no figure."""
    mean = sum(bench.lengths) / len(bench.lengths)
    clock = Clock()
    try:
        loop(bench, chosen, clock)
    except ImportError as error:
        return f"not installed ({error.name or error})"
    count = sum(len(batch) for batch in chosen)
    true = count * mean if name == "floor" else sum(bench.lengths[i] for b in chosen for i in b)
    return true / clock.seconds


def to_markdown(record: dict[str, Any]) -> str:
    """The record as a table."""
    lines = [
        "# Throughput of fine-tuning",
        "",
        f"`{record['command']}` on {record['date']}, {record['hardware']}, torch "
        f"{record['torch']}, revision {str(record['git_revision'])[:12]}.",
        "",
        f"wav2vec 2.0 of size {record['size']}, random weights, convolutions frozen; lengths of "
        f"IEMOCAP; about {record['seconds']:g} s of audio a round, {record['rounds']} rounds, "
        "medians, processor time.",
        "",
        "| loop | clips an update | padded | audio s / s | rounds | x best recipe |",
        "|---|---|---|---|---|---|",
    ]
    best = max(
        (row["median"] for row in record["rows"] if row["loop"] in RECIPES and row["median"]),
        default=None,
    )
    for row in record["rows"]:
        if row["median"] is None:
            lines.append(f"| {row['loop']} | - | - | {row['why']} | - | - |")
            continue
        factor = f"{row['median'] / best:.2f}" if best else "-"
        spread = ", ".join(f"{value:.1f}" for value in row["values"])
        lines.append(
            f"| {row['loop']} | {row['clips']:.1f} | {100 * row['padded']:.1f} % "
            f"| {row['median']:.1f} | {spread} "
            f"| {factor} |"
        )
    return "\n".join([*lines, "", *record["verdicts"], ""])


def judge(rows: list[dict[str, Any]]) -> list[str]:
    """Whether the aims are met, as far as their loops were run."""
    speed = {row["loop"]: row["median"] for row in rows if row["median"] is not None}
    said = []
    if "sermm" not in speed:
        return ["- sermm's own loop was not run: no aim is judged."]
    recipes = [name for name in RECIPES if name in speed]
    if recipes:
        best = max(recipes, key=lambda name: speed[name])
        factor = speed["sermm"] / speed[best]
        met = "reached" if factor >= AIM else "MISSED"
        said.append(
            f"- At least {AIM} x the better recipe as it stands: {met} ({factor:.2f} x {best})."
        )
    for name in RECIPES:
        if name not in speed:
            said.append(f"- {name} was not run: it is not among the recipes.")
    if "trainer grouped" in speed:
        factor = speed["sermm"] / speed["trainer grouped"]
        met = "reached" if factor >= NOISE else "MISSED"
        said.append(
            f"- Not below trainer grouped (5 % for noise): {met} ({factor:.2f} x trainer grouped)."
        )
    if "floor" in speed:
        said.append(f"- Of the floor: {speed['sermm'] / speed['floor']:.2f}.")
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", choices=("S", "B"), default="S", help="B: wav2vec2-base")
    parser.add_argument("--seconds", type=float, default=150.0, help="audio in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loops", nargs="*", help="some of the loops")
    parser.add_argument("--name", default="fine_tuning", help="of the files with the results")
    arguments = parser.parse_args()
    import torch

    from benchmarks.lengths import read_lengths
    from benchmarks.record import RESULTS, hardware
    from data_modules.atomic import write_json, write_text
    from data_modules.pretrained import quiet_transformers
    from sermm.allocator import keep_large_blocks
    from sermm.rundir import git_revision

    keep_large_blocks()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")  # of the peers
    lengths = read_lengths()
    values: dict[str, list[float]] = {}
    why: dict[str, str] = {}
    padded: dict[str, float] = {}
    clips: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as place, quiet_transformers():
        bench = Bench(Path(place), arguments.size, lengths)
        for round_number in range(arguments.rounds + 1):
            for name, (loop, batches) in arms(lengths, round_number).items():
                if (arguments.loops and name not in arguments.loops) or name in why:
                    continue
                padded[name] = 0.0 if name == "floor" else padded_share(batches, lengths)
                update = sum(map(len, batches)) / len(batches) * (2 if name == "speechbrain" else 1)
                clips[name] = update
                # round 0 warms up: imports, first allocations
                chosen = [batch[:1] for batch in batches[:2]]
                if round_number:
                    chosen = thinned(batches, lengths, arguments.seconds, round_number)
                found = run_arm(bench, name, loop, chosen)
                if isinstance(found, str):
                    why[name] = found
                elif round_number:
                    values.setdefault(name, []).append(found)
                    print(f"round {round_number}: {name} {found:.1f}", flush=True)
    record: dict[str, Any] = {
        "command": shlex.join(["python", "-m", "benchmarks.fine_tuning", *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "hardware": hardware(),
        "torch": torch.__version__,
        "git_revision": git_revision(),
        "size": arguments.size,
        "seconds": arguments.seconds,
        "rounds": arguments.rounds,
        "rows": [
            {
                "loop": name,
                "padded": padded[name],
                "clips": clips[name],
                "values": values.get(name, []),
                "median": statistics.median(values[name]) if name in values else None,
                "why": why.get(name, ""),
            }
            for name in padded
        ],
    }
    record["verdicts"] = judge(record["rows"])
    write_json(RESULTS / f"{arguments.name}.json", record)
    write_text(RESULTS / f"{arguments.name}.md", to_markdown(record))
    print(to_markdown(record))


if __name__ == "__main__":
    main()
