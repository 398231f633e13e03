"""Speed of extraction, against the alternatives and against what the arithmetic costs.

    python -m benchmarks.extraction [--size S] [--seconds 140] [--rounds 3] [--name extraction]

Utterances have the lengths of real ones (``lengths.py``); weights are random. All arms compute the
last layer of the same wav2vec 2.0 in one process and one thread, in turn, on the same clips:

- sermm: ``extract()`` as `sermm extract` calls it, decoding, checks and the store included;
- one at a time: a loop over transformers' feature extractor and model;
- random batches of 8: the same padded, with the attention mask, as they come;
- SpeechBrain: its wrapper on the same batches (``pip install speechbrain``; skipped without it);
- floor: sermm's model over the same number of real frames in batches of equal length, which no
  extraction of clips of different length can beat but by chance.

Processor time of the process, medians over rounds; audio seconds per second. Large blocks of memory
stay with the process (``sermm/allocator.py``), for every arm alike. Writes
``benchmarks/results/NAME.{json,md}``.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import importlib.util
import platform
import shlex
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import transformers

from benchmarks.lengths import SAMPLE_RATE, draw_lengths, read_lengths, voice
from benchmarks.record import RESULTS
from data_modules.atomic import write_json, write_text
from data_modules.audio import content_hash, load_audio
from data_modules.pretrained import quiet_transformers
from sermm.allocator import keep_large_blocks
from sermm.extract import BATCH_S, extract, open_store
from sermm.extract_batches import Clip, plan_batches
from sermm.rundir import git_revision
from sermm.upstreams import SpeechUpstream, build_speech_upstream

SIZES: dict[str, dict[str, Any]] = {
    "S": {
        "hidden_size": 192,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "intermediate_size": 768,
        "conv_dim": (128,) * 7,
    },
    "B": {},
}
NORMS = ("group", "layer")
Arm = Callable[[], None]


def save_model(folder: Path, size: str, norm: str) -> Path:
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        **SIZES[size],
        feat_extract_norm=norm,
        do_stable_layer_norm=norm == "layer",
        layerdrop=0.0,
    )
    with quiet_transformers():
        transformers.Wav2Vec2Model(config).save_pretrained(folder)
        transformers.Wav2Vec2FeatureExtractor(
            do_normalize=True, return_attention_mask=norm == "layer"
        ).save_pretrained(folder)
    return folder


def write_clips(folder: Path, seconds: list[float]) -> list[Clip]:
    """WAV files of these lengths."""
    clips = []
    for i, length in enumerate(seconds):
        path = folder / f"{i:05d}.wav"
        soundfile.write(path, voice(length, i), SAMPLE_RATE, subtype="PCM_16")
        samples = load_audio(path)
        clips.append(
            Clip(path.stem, content_hash(samples), len(samples), lambda path=path: load_audio(path))
        )
    return clips


def floor(upstream: SpeechUpstream, clips: list[Clip], batch_s: float) -> Arm:
    """Batches as sermm fills them, each of them brought to one length with the same frames."""
    batches = []
    for batch in plan_batches(clips, budget_s=batch_s):
        size = round(np.mean([clip.num_samples for clip in batch]))
        batches.append(
            torch.stack([torch.from_numpy(voice(size / SAMPLE_RATE, i)) for i in range(len(batch))])
        )

    def run() -> None:
        with torch.inference_mode():
            for waveform in batches:
                upstream(waveform, torch.full((len(waveform),), waveform.shape[1]))

    return run


def by_sermm(
    upstream: SpeechUpstream, clips: list[Clip], batch_s: float, precision: str = "32"
) -> Arm:
    def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            store = open_store(upstream, Path(folder), precision=precision)  # type: ignore[arg-type]
            extract(
                upstream,
                clips,
                store,
                workers=1,
                batch_s=batch_s,
                precision=precision,  # type: ignore[arg-type]
            )

    return run


def groups(clips: list[Clip], size: int) -> Iterator[list[Clip]]:
    for at in range(0, len(clips), size):
        yield clips[at : at + size]


def by_transformers(folder: Path, clips: list[Clip], *, batch: int, masked: bool) -> Arm:
    with quiet_transformers():
        model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
        extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)

    def run() -> None:
        for part in groups(clips, batch):
            inputs = extractor(
                [clip.load() for clip in part],
                sampling_rate=SAMPLE_RATE,
                padding=True,
                return_attention_mask=masked,
                return_tensors="pt",
            )
            with torch.inference_mode():
                model(**inputs).last_hidden_state.numpy()

    return run


def by_speechbrain(folder: Path, clips: list[Clip], *, batch: int) -> Arm:
    with warnings.catch_warnings(), quiet_transformers():
        warnings.simplefilter("ignore")
        from speechbrain.lobes.models.huggingface_transformers.wav2vec2 import Wav2Vec2

        with tempfile.TemporaryDirectory() as kept:
            model = Wav2Vec2(str(folder), kept, output_norm=True, freeze=True).eval()

    def run() -> None:
        for part in groups(clips, batch):
            waves = [torch.from_numpy(clip.load()) for clip in part]
            longest = max(len(wave) for wave in waves)
            padded = torch.nn.utils.rnn.pad_sequence(waves, batch_first=True)
            with torch.inference_mode():
                model(padded, torch.tensor([len(wave) / longest for wave in waves])).numpy()

    return run


@contextmanager
def warm_and_still() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def measure(arms: dict[str, Arm], rounds: int) -> dict[str, list[float]]:
    """Processor seconds of each arm in each round, arms in turn."""
    spent: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(rounds):
        for name, arm in arms.items():
            with warm_and_still():
                start = time.process_time()
                arm()
                spent[name].append(time.process_time() - start)
            print(f"round {number + 1}: {name}: {spent[name][-1]:.2f} s", flush=True)
    return spent


def arms_of(
    folder: Path, clips: list[Clip], batch_s: float, norm: str
) -> tuple[dict[str, Arm], dict[str, str]]:
    """Arms by name, and those that are not at hand with their reason."""
    upstream = build_speech_upstream("huggingface", name=str(folder))
    arms: dict[str, Arm] = {
        "floor: equal lengths": floor(upstream, clips, batch_s),
        "sermm": by_sermm(upstream, clips, batch_s),
        "transformers, one at a time": by_transformers(
            folder, clips, batch=1, masked=norm == "layer"
        ),
        "transformers, random 8 + mask": by_transformers(folder, clips, batch=8, masked=True),
    }
    missing = {}
    if importlib.util.find_spec("speechbrain") is None:
        missing["SpeechBrain, random 8"] = "not installed"
    else:
        arms["SpeechBrain, random 8"] = by_speechbrain(folder, clips, batch=8)
    arms["sermm, bf16 (another result)"] = by_sermm(upstream, clips, batch_s, "bf16")
    return arms, missing


def table(result: dict[str, Any]) -> str:
    lines = [
        "# Extraction",
        "",
        f"`{result['command']}`, {result['date']}, {result['machine']}, torch {result['torch']}, "
        f"transformers {result['transformers']}, one thread. {result['clips']} clips, "
        f"{result['audio_seconds']:.0f} s, {result['padded_share']:.1%} of sermm's batches "
        f"({result['batch_s']:g} s) is padding. wav2vec 2.0 of size {result['size']}, "
        f"{result['norm']} norm, random weights. Medians of {result['rounds']} rounds of processor "
        "time.",
        "",
        "| arm | audio seconds per second | of the floor |",
        "|---|---|---|",
    ]
    for row in result["arms"]:
        if "missing" in row:
            lines.append(f"| {row['name']} | {row['missing']} | |")
        else:
            lines.append(f"| {row['name']} | {row['speed']:.1f} | {row['of_floor']:.2f} |")
    return "\n".join([*lines, "", *result["verdicts"], ""])


def judge(rows: list[dict[str, Any]]) -> list[str]:
    """Whether the aims are met."""
    speed = {row["name"]: row["speed"] for row in rows if "speed" in row}
    share = speed["sermm"] / speed["floor: equal lengths"]
    met = "reached" if share >= 0.85 else "MISSED"
    others = [name for name in speed if not name.startswith(("sermm", "floor"))]
    faster = [name for name in others if speed[name] > speed["sermm"]]
    best = max(others, key=lambda name: speed[name])
    return [
        f"- At least 0.85 of the floor: {met} ({share:.2f}).",
        f"- Never slower than an alternative: {'MISSED by ' + ', '.join(faster) if faster else ''}"
        f"{'' if faster else 'reached'} ({speed['sermm'] / speed[best]:.2f} x {best}).",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--size", choices=SIZES, default="S")
    parser.add_argument("--norm", choices=NORMS, default="group")
    parser.add_argument("--seconds", type=float, default=140.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-s", type=float, default=BATCH_S["cpu"])
    parser.add_argument("--name", default="extraction")
    options = parser.parse_args()
    keep_large_blocks()
    torch.set_num_threads(1)
    seconds = draw_lengths(read_lengths(), options.seconds)
    with tempfile.TemporaryDirectory() as place:
        folder = save_model(Path(place) / "model", options.size, options.norm)
        (Path(place) / "audio").mkdir()
        clips = write_clips(Path(place) / "audio", seconds)
        arms, missing = arms_of(folder, clips, options.batch_s, options.norm)
        for arm in arms.values():
            arm()  # the first call of anything is slow
        spent = measure(arms, options.rounds)
    total = sum(clip.num_samples for clip in clips) / SAMPLE_RATE
    base = statistics.median(spent["floor: equal lengths"])
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "seconds": times,
            "speed": total / statistics.median(times),
            "of_floor": base / statistics.median(times),
        }
        for name, times in spent.items()
    ]
    rows += [{"name": name, "missing": why} for name, why in missing.items()]
    batches = plan_batches(clips, budget_s=options.batch_s)
    padded = sum(len(batch) * max(clip.num_samples for clip in batch) for batch in batches)
    result = {
        "command": shlex.join(["python", "-m", "benchmarks.extraction", *sys.argv[1:]]),
        "date": str(datetime.date.today()),
        "git_revision": git_revision(),
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "size": options.size,
        "norm": options.norm,
        "rounds": options.rounds,
        "batch_s": options.batch_s,
        "clips": len(clips),
        "audio_seconds": total,
        "padded_share": 1 - total * SAMPLE_RATE / padded,
        "arms": rows,
        "verdicts": judge(rows),
    }
    RESULTS.mkdir(exist_ok=True)
    write_json(RESULTS / f"{options.name}.json", result)
    write_text(RESULTS / f"{options.name}.md", table(result))
    print(table(result))


if __name__ == "__main__":
    main()
