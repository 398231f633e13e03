"""A fusion head from the cache: what of an epoch waits for data, and what recomputing would cost.

    python -m benchmarks.head_training [--size S] [--seconds 2500] [--epochs 3] [--name NAME]

Clips have the lengths of IEMOCAP (``lengths.py``), frames the width and rate of a wav2vec 2.0 of
that size, random values, in a store as `sermm extract` fills it; texts have 2.5 word pieces a
second. A sample of about ``--seconds`` is trained on by the task, the data loader and Lightning as
in a run (attention over frames, small BERT, batches filled to 160 s). Waiting is the wall time in
which the loop asks for its next batch, reading and padding included, without loader processes. The
first epoch warms up and is left out; epochs are scaled to the 5,531 utterances.

Recomputing is transformers' forward pass alone, random batches of 8 with a mask, in each epoch, as
s3prl trains: its rate is measured on ``--encoded`` seconds and the epoch computed from it.
"""

from __future__ import annotations

import argparse
import datetime
import shlex
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.bare_trainer import bare_trainer
from benchmarks.extraction import SIZES, by_transformers, save_model, write_clips
from benchmarks.lengths import draw_lengths, read_lengths
from benchmarks.record import RESULTS, hardware
from data_modules.atomic import write_json, write_text
from data_modules.batch import Batch, Sample, collate
from data_modules.cache import FeatureStore, StoreDescription
from data_modules.sampler import BudgetBatchSampler
from sermm.allocator import keep_large_blocks
from sermm.build_facts import DataFacts, FrameStatistics
from sermm.build_model import build_task
from sermm.config import Config, DataConfig, ModelConfig
from sermm.rundir import git_revision
from sermm.train import quiet_lightning
from sermm.upstreams.text import build_text_model

CLASSES = ("neutral", "happy", "angry", "sad")
FRAMES_A_SECOND, PIECES_A_SECOND, VOCABULARY = 50, 2.5, 1000
BUDGET_S = 160.0
AIM = 0.1


class Clips(Dataset[Sample]):
    """Samples whose frames are read from the store."""

    def __init__(self, store: FeatureStore, seconds: list[float]) -> None:
        self.store, self.seconds = store, seconds

    def __getitem__(self, index: int) -> Sample:
        pieces = 2 + round(PIECES_A_SECOND * self.seconds[index])
        word_mask = torch.ones(pieces, dtype=torch.bool)
        word_mask[[0, -1]] = False
        return Sample(
            str(index),
            "",
            torch.tensor(index % len(CLASSES)),
            frames=torch.from_numpy(self.store.load(key(index))),
            input_ids=torch.arange(1, pieces + 1),
            word_mask=word_mask,
        )


class Watched(L.Callback):
    """A loader; remembers the seconds of each epoch and those spent in waiting for a batch."""

    def __init__(self, loader: DataLoader[Any], batches: BudgetBatchSampler) -> None:
        self.loader, self.batches = loader, batches
        self.waited: list[float] = []
        self.lasted: list[float] = []
        self.started = 0.0

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        self.batches.set_epoch(len(self.waited))
        self.waited.append(0.0)
        asked = self.started = time.perf_counter()
        for batch in self.loader:
            self.waited[-1] += time.perf_counter() - asked
            yield batch
            asked = time.perf_counter()

    def on_train_epoch_end(self, *_: Any) -> None:
        """The trainer asks for no more than it was told that there are."""
        self.lasted.append(time.perf_counter() - self.started)


def key(index: int) -> str:
    return f"{index:064x}"


def fill_store(folder: Path, seconds: list[float], dim: int) -> FeatureStore:
    store = FeatureStore.create(
        folder,
        StoreDescription(
            upstream="huggingface",
            fingerprint="0" * 24,
            dim=dim,
            dtype="float32",
            frame_stride_s=1 / FRAMES_A_SECOND,
            first_center_s=0.0125,
            transform_version=1,
            options={},
        ),
    )
    draw = np.random.default_rng(0)
    with store.writer() as writer:
        for i, length in enumerate(seconds):
            size = (max(1, round(FRAMES_A_SECOND * length)), dim)
            writer.add(key(i), draw.standard_normal(size).astype(np.float32))
    store.refresh()
    return store


def train_head(store: FeatureStore, seconds: list[float], dim: int, epochs: int) -> Watched:
    """Epochs as a run does them, the first one to warm up."""
    config = Config(
        name="head_training",
        data=DataConfig(corpus="iemocap", labels="iemocap4", protocol="iemocap4-session5"),
        model=ModelConfig(task="fusion", alignment="attention"),
    )
    text = build_text_model(
        {
            "model_type": "bert",
            "vocab_size": VOCABULARY,
            "hidden_size": config.model.text.hidden,
            "num_hidden_layers": config.model.text.layers,
            "num_attention_heads": config.model.text.heads,
            "intermediate_size": 4 * config.model.text.hidden,
        }
    )
    facts = DataFacts(CLASSES, 5531, (1708, 1636, 1103, 1084), frame_dim=dim)
    task = build_task(config, facts, statistics=FrameStatistics.unknown(dim), text_model=text)
    batches = BudgetBatchSampler(seconds, budget=BUDGET_S, seed=0, num_epochs=epochs + 1)
    loader: DataLoader[Any] = DataLoader(
        Clips(store, seconds), batch_sampler=batches, collate_fn=collate
    )
    watched = Watched(loader, batches)
    task.num_updates = (epochs + 1) * len(batches)
    with quiet_lightning():
        trainer = bare_trainer(max_epochs=epochs + 1, callbacks=[watched])
        warnings.filterwarnings("ignore", ".*have no `val_dataloader`.*")
        trainer.fit(task, train_dataloaders=watched)
    return watched


def encoding_rate(place: Path, size: str, seconds: float) -> float:
    """Audio seconds a second of transformers' forward pass over random batches."""
    (place / "audio").mkdir()
    drawn = draw_lengths(read_lengths(), seconds)
    clips = write_clips(place / "audio", drawn)
    arm = by_transformers(save_model(place / "model", size, "group"), clips, batch=8, masked=True)
    arm()  # the first call of anything is slow
    started = time.process_time()
    arm()
    return sum(drawn) / (time.process_time() - started)


def to_markdown(record: dict[str, Any]) -> str:
    met = "reached" if record["waiting"] < AIM else "MISSED"
    return "\n".join(
        [
            "# A fusion head from the cache",
            "",
            f"`{record['command']}` on {record['date']}, {record['hardware']}, torch "
            f"{record['torch']}, revision {str(record['git_revision'])[:12]}. Frames of "
            f"{record['dim']} values (size {record['size']}); {record['seconds']:.0f} s of audio, "
            f"{record['epochs']} epochs, medians.",
            "",
            "| | |",
            "|---|---|",
            f"| share of an epoch that waits for data | {record['waiting']:.1%} |",
            f"| an epoch of 5,531 utterances (scaled) | {record['epoch_s']:.0f} s |",
            f"| epochs a minute | {60 / record['epoch_s']:.2f} |",
            f"| recomputing features: audio seconds a second | {record['rate']:.1f} |",
            f"| recomputing: an epoch (computed from the rate, training included) "
            f"| {record['recomputed_s']:.0f} s |",
            f"| recomputing / cache | {record['recomputed_s'] / record['epoch_s']:.1f} |",
            "",
            f"- Less than 10 % of an epoch waits for data: {met} ({record['waiting']:.1%}).",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--size", choices=SIZES, default="S")
    parser.add_argument("--seconds", type=float, default=2500.0, help="audio in an epoch")
    parser.add_argument("--encoded", type=float, default=60.0, help="audio that is recomputed")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--name", default="head_training")
    options = parser.parse_args()
    keep_large_blocks()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    whole = sum(read_lengths())
    dim = SIZES[options.size].get("hidden_size", 768)
    seconds = draw_lengths(read_lengths(), options.seconds)
    with tempfile.TemporaryDirectory() as place:
        store = fill_store(Path(place) / "cache", seconds, dim)
        watched = train_head(store, seconds, dim, options.epochs)
        rate = encoding_rate(Path(place), options.size, options.encoded)
    epoch_s = statistics.median(watched.lasted[1:]) * whole / sum(seconds)
    waits = zip(watched.waited[1:], watched.lasted[1:], strict=True)
    record = {
        "command": shlex.join(["python", "-m", "benchmarks.head_training", *sys.argv[1:]]),
        "date": str(datetime.date.today()),
        "hardware": hardware(),
        "torch": torch.__version__,
        "git_revision": git_revision(),
        "size": options.size,
        "dim": dim,
        "seconds": sum(seconds),
        "epochs": options.epochs,
        "lasted": watched.lasted,
        "waited": watched.waited,
        "waiting": statistics.median(waited / lasted for waited, lasted in waits),
        "epoch_s": epoch_s,
        "rate": rate,
        "recomputed_s": epoch_s + whole / rate,
    }
    write_json(RESULTS / f"{options.name}.json", record)
    write_text(RESULTS / f"{options.name}.md", to_markdown(record))
    print(to_markdown(record))


if __name__ == "__main__":
    main()
