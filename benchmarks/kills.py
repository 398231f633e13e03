"""Runs that are killed, and stopped, at random moments: do they end as if nothing had happened?

    python benchmarks/kills.py [--kills 25] [--settings KEY=VALUE...] [--name kills]

Trains fold 0 of ``fusion_demo`` once undisturbed and once for each kill: started as a user starts
it, ended by SIGKILL and SIGTERM in turn after a random part of the time that the first run took
(drawn again where a run was faster), and started again by the same command. Predictions, history
and the weights of the chosen epoch must be the same to the last bit. Writes
``benchmarks/results/NAME.{json,md}`` and ends with status 1 where they are not.
"""

from __future__ import annotations

import argparse
import datetime
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from benchmarks.record import RESULTS, hardware
from data_modules.atomic import write_json, write_text
from sermm.checkpoints import read_checkpoint
from sermm.rundir import git_revision

COMMON = ("trainer.accelerator=cpu", "tracking.wandb=disabled", "trainer.checkpoint_steps=5")
# from the first import to the last file
FROM, TO = 0.02, 1.0


def command(name: str, settings: list[str]) -> list[str]:
    return [sys.executable, "-m", "sermm", "fit", "fusion_demo", f"name={name}", *COMMON, *settings]


def folder_of(place: Path, name: str) -> Path:
    return place / "runs" / name / "fold=0,seed=0,size=all"


def stage_of(folder: Path) -> str:
    """How far a run has got, by what it has written."""
    checkpoint = folder / "checkpoints" / "last.ckpt"
    if not checkpoint.is_file():
        return "before the first checkpoint"
    position = read_checkpoint(checkpoint)["position"]
    if (folder / "predictions.csv").exists():
        return "while the last files are written"
    where = "after an epoch" if position["num_done"] == 0 else "within an epoch"
    return f"after a checkpoint {where}"


def is_same(folder: Path, undisturbed: Path) -> bool:
    """Predictions, history and chosen weights, bit by bit."""
    names = ("predictions.csv", "history.csv")
    if any((folder / n).read_bytes() != (undisturbed / n).read_bytes() for n in names):
        return False
    mine, theirs = (
        read_checkpoint(path / "checkpoints" / "best.ckpt")["state_dict"]
        for path in (folder, undisturbed)
    )
    return list(mine) == list(theirs) and all(torch.equal(mine[key], theirs[key]) for key in mine)


def disturb(
    place: Path, name: str, settings: list[str], number: signal.Signals, after_s: float
) -> dict[str, Any] | None:
    """Start a run, end it, and start it again; None if it was over before."""
    with (place / f"{name}.txt").open("w") as log:
        process = subprocess.Popen(command(name, settings), cwd=place, stdout=log, stderr=log)
        time.sleep(after_s)
        process.send_signal(number)
        status = process.wait()
        folder = folder_of(place, name)
        if status == 0:
            return None
        stage = stage_of(folder)
        again = subprocess.run(
            command(name, settings), cwd=place, stdout=log, stderr=log, check=False
        )
    told = {"signal": number.name, "after_s": round(after_s, 2), "status": status, "stage": stage}
    same = again.returncode == 0 and is_same(folder, folder_of(place, "undisturbed"))
    return {**told, "status_again": again.returncode, "same": same}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--settings", nargs="*", default=[])
    parser.add_argument("--name", default="kills")
    arguments = parser.parse_args()
    draw = random.Random(0)
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as text:
        place = Path(text)
        extracting = ["extract", "fusion_demo", *arguments.settings]
        subprocess.run([sys.executable, "-m", "sermm", *extracting], cwd=place, check=True)
        started = time.monotonic()
        subprocess.run(command("undisturbed", arguments.settings), cwd=place, check=True)
        took = time.monotonic() - started
        attempt = 0
        while len(found) < arguments.kills:
            number = (signal.SIGKILL, signal.SIGTERM)[len(found) % 2]
            after_s = draw.uniform(FROM, TO) * took
            attempt += 1
            one = disturb(place, f"run{attempt}", arguments.settings, number, after_s)
            if one is not None:
                found.append(one)
                print(len(found), one, flush=True)
    record = {
        "command": shlex.join(["python", "benchmarks/kills.py", *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "hardware": hardware(),
        "git_revision": git_revision(),
        "undisturbed_s": round(took, 1),
        "kills": found,
    }
    write_json(RESULTS / f"{arguments.name}.json", record)
    write_text(RESULTS / f"{arguments.name}.md", table(record))
    return 0 if all(one["same"] for one in found) else 1


def table(record: dict[str, Any]) -> str:
    kills = record["kills"]
    counted = Counter((one["signal"], one["stage"]) for one in kills)
    same = Counter((one["signal"], one["stage"]) for one in kills if one["same"])
    rows = [
        f"| {key[0]} | {key[1]} | {number} | {same[key]} |"
        for key, number in sorted(counted.items())
    ]
    return "\n".join(
        [
            f"# {len(kills)} runs of `fusion_demo`, killed and stopped",
            "",
            f"`{record['command']}` on {record['date']}, {record['hardware']}. Fold 0, a "
            "checkpoint after each epoch and each fifth update; undisturbed, imports included, "
            f"{record['undisturbed_s']} s. The same command went on. The same: predictions, "
            "history and weights of the chosen epoch, bit by bit.",
            "",
            "| signal | where it came | runs | that ended the same |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
