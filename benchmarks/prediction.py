"""Speed of prediction on a folder, against a plain loop over the same model.

    python -m benchmarks.prediction [--clips 200] [--rate 48000] [--rounds 5] [--name prediction]

Recordings have the lengths of real ones (``lengths.py``), are mono WAV files at ``--rate``, and lie
in one folder. Two models with random weights: the head of `acoustic_demo` over log-mel, and over
the last layer of a small wav2vec 2.0. Arms, in turn, in one process:

- loop: for each file soundfile, torchaudio's resampling, the upstream, the model, softmax; nothing
  is checked, nothing is said but probabilities;
- loop, 16 at once: the same, the model over padded batches of 16;
- sermm, one worker: ``predict_all`` as `sermm predict --workers 1` calls it: checks, notes, answers
  in order, a damaged file does not stop it;
- sermm: the same with a worker a core.

All use one thread of torch, give the same probabilities to 1e-5 (checked), and large blocks of
memory stay with the process. Processor time and wall time, medians over rounds. Writes
``benchmarks/results/NAME.{json,md}``.
"""

from __future__ import annotations

import argparse
import datetime
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import soundfile
import torch
from torchaudio.functional import resample

from benchmarks.extraction import save_model, warm_and_still
from benchmarks.lengths import SAMPLE_RATE, draw_lengths, read_lengths, voice
from benchmarks.record import RESULTS, hardware
from data_modules.atomic import write_json, write_text
from data_modules.batch import Batch
from sermm.allocator import keep_large_blocks
from sermm.build_facts import DataFacts, FrameStatistics
from sermm.build_model import build_task
from sermm.compose import load_config
from sermm.extract_compute import num_cores
from sermm.features import speech_upstream
from sermm.predict.encoding import Encoder
from sermm.predict.listing import list_recordings
from sermm.predict.predictor import BATCH_SIZE, Predictor
from sermm.predict.trained import TrainedModel
from sermm.run_metrics import RunMetrics
from sermm.rundir import git_revision

CLASSES = ("neutral", "happy", "angry", "sad")
Shares = dict[str, list[float]]
Arm = Callable[[], Shares]


def write_recordings(folder: Path, seconds: list[float], rate: int) -> None:
    for number, length in enumerate(seconds):
        samples = voice(length, number)
        if rate != SAMPLE_RATE:
            samples = resample(torch.from_numpy(samples), SAMPLE_RATE, rate).numpy()
        soundfile.write(folder / f"{number:05d}.wav", samples, rate, subtype="PCM_16")


def random_model(*overrides: str) -> TrainedModel:
    """The head of ``acoustic_demo`` over an upstream, untrained."""
    torch.manual_seed(0)
    plain = ("model.speech.center=none", "model.speech.trim_db=0", "model.speech.normalise=none")
    config = load_config("acoustic_demo", [*plain, *overrides])
    upstream = speech_upstream(config)
    facts = DataFacts(CLASSES, 400, (100,) * 4, frame_dim=upstream.dim)
    task = build_task(config, facts, statistics=FrameStatistics.unknown(upstream.dim))
    # of a model that was never tested there are no scores
    metrics = cast(RunMetrics, None)
    return TrainedModel(task.eval(), config, facts, upstream, None, {}, metrics, Path())


def by_loop(model: TrainedModel, folder: Path, *, batch: int) -> Arm:
    assert model.upstream is not None
    upstream, paths = model.upstream, sorted(folder.iterdir())

    def frames_of(path: Path) -> torch.Tensor:
        samples, rate = soundfile.read(path, dtype="float32")
        waveform = torch.from_numpy(samples)
        if rate != SAMPLE_RATE:
            waveform = resample(waveform, rate, SAMPLE_RATE)
        found = upstream(waveform.unsqueeze(0), torch.tensor([len(waveform)]))
        return found.frames[0]

    def shares_of(frames: list[torch.Tensor]) -> list[list[float]]:
        lengths = torch.tensor([len(one) for one in frames])
        padded = torch.nn.utils.rnn.pad_sequence(frames, batch_first=True)
        scores = model.task(Batch([], [], lengths, frames=padded, frame_lengths=lengths))
        found: list[list[float]] = scores.softmax(dim=1).tolist()
        return found

    def run() -> Shares:
        found: Shares = {}
        with torch.inference_mode():
            for at in range(0, len(paths), batch):
                part = paths[at : at + batch]
                shares = shares_of([frames_of(path) for path in part])
                found |= dict(zip((str(path) for path in part), shares, strict=True))
        return found

    return run


def by_sermm(model: TrainedModel, folder: Path, *, workers: int | None) -> Arm:
    predictor = Predictor(model, Encoder(model), raw=True)

    def run() -> Shares:
        said = predictor.predict_all(list_recordings([str(folder)]), workers=workers)
        return {one.file: list(one.probabilities.values()) for one in said}

    return run


def models(folder: Path) -> Iterator[tuple[str, TrainedModel]]:
    yield "log-mel", random_model()
    encoder = save_model(folder, "S", "group")
    yield (
        "small wav2vec 2.0",
        random_model("model.speech.upstream=huggingface", f"model.speech.name={encoder}"),
    )


def measure(arms: dict[str, Arm], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Processor and wall seconds of each arm in each round, arms in turn."""
    spent: dict[str, dict[str, list[float]]] = {name: {"cpu": [], "wall": []} for name in arms}
    for _ in range(rounds):
        for name, arm in arms.items():
            with warm_and_still():
                wall, cpu = time.perf_counter(), time.process_time()
                arm()
                spent[name]["cpu"].append(time.process_time() - cpu)
                spent[name]["wall"].append(time.perf_counter() - wall)
    return spent


def expect_equal(arms: dict[str, Arm]) -> float:
    """Largest difference between the probabilities of any arm and those of the first."""
    first, *others = (arm() for arm in arms.values())
    gap = 0.0
    for other in others:
        assert other.keys() == first.keys()
        gap = max(gap, float(np.abs(np.subtract([*other.values()], [*first.values()])).max()))
    if gap > 1e-5:
        raise SystemExit(f"error: expected the same probabilities to 1e-5, got {gap:.1e}")
    return gap


def rows_of(spent: dict[str, dict[str, list[float]]], seconds: float) -> list[dict[str, Any]]:
    loop = {clock: statistics.median(times) for clock, times in spent["loop"].items()}
    rows = []
    for name, times in spent.items():
        middle = {clock: statistics.median(values) for clock, values in times.items()}
        rows.append(
            {
                "arm": name,
                **times,
                "per_cpu_s": seconds / middle["cpu"],
                "per_wall_s": seconds / middle["wall"],
                "cpu_to_loop": loop["cpu"] / middle["cpu"],
                "wall_to_loop": loop["wall"] / middle["wall"],
            }
        )
    return rows


def to_markdown(record: dict[str, Any]) -> str:
    lines = [
        "# Prediction on a folder",
        "",
        f"`{record['command']}` on {record['date']}, {record['hardware']} of torch, "
        f"{record['cores']} cores, torch {record['torch']}, revision "
        f"{str(record['git_revision'])[:12]}. {record['clips']} recordings at {record['rate']} Hz, "
        f"{record['seconds']:.0f} s; medians of {record['rounds']} rounds. Audio "
        "seconds a second, and how many times the loop that is.",
        "",
    ]
    for name, found in record["models"].items():
        lines += [
            f"## {name}",
            "",
            "| arm | a second of processor | to the loop | a second of wall time | to the loop |",
            "|---|---|---|---|---|",
            *(
                f"| {row['arm']} | {row['per_cpu_s']:.0f} | {row['cpu_to_loop']:.2f} | "
                f"{row['per_wall_s']:.0f} | {row['wall_to_loop']:.2f} |"
                for row in found["arms"]
            ),
            "",
            f"Largest difference of a probability between arms: {found['gap']:.0e}.",
            "",
        ]
    return "\n".join([*lines, *record["verdicts"], ""])


def judge(found: dict[str, dict[str, Any]]) -> list[str]:
    verdicts = []
    for name, record in found.items():
        row = {row["arm"]: row for row in record["arms"]}["sermm"]
        met = "reached" if row["wall_to_loop"] >= 1 else "MISSED"
        verdicts.append(
            f"- {name}: `sermm predict` takes no longer than the loop: {met} "
            f"({row['wall_to_loop']:.2f} times its rate)."
        )
    return verdicts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--rate", type=int, default=48_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--name", default="prediction")
    options = parser.parse_args()
    keep_large_blocks()
    torch.set_num_threads(1)
    lengths = read_lengths()
    seconds = draw_lengths(lengths, options.clips * sum(lengths) / len(lengths))
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "recordings"
        folder.mkdir()
        write_recordings(folder, seconds, options.rate)
        for name, model in models(Path(place) / "model"):
            arms = {
                "loop": by_loop(model, folder, batch=1),
                "loop, 16 at once": by_loop(model, folder, batch=BATCH_SIZE),
                "sermm, one worker": by_sermm(model, folder, workers=1),
                "sermm": by_sermm(model, folder, workers=None),
            }
            gap = expect_equal(arms)  # and the first call of anything is slow
            spent = measure(arms, options.rounds)
            found[name] = {"gap": gap, "arms": rows_of(spent, sum(seconds))}
    record = {
        "command": shlex.join(["python", "-m", "benchmarks.prediction", *sys.argv[1:]]),
        "date": str(datetime.date.today()),
        "hardware": hardware(),
        "cores": num_cores(),
        "torch": torch.__version__,
        "git_revision": git_revision(),
        "clips": len(seconds),
        "rate": options.rate,
        "seconds": sum(seconds),
        "rounds": options.rounds,
        "models": found,
        "verdicts": judge(found),
    }
    write_json(RESULTS / f"{options.name}.json", record)
    write_text(RESULTS / f"{options.name}.md", to_markdown(record))
    print(to_markdown(record))


if __name__ == "__main__":
    main()
