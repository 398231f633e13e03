"""How far the words of a CTC model should be stretched: errors by ``MAX_STRETCH_S``.

    python benchmarks/ctc_stretch.py [--epochs 14] [--name ctc_stretch]

There is no pretrained model here that everybody may have, so a small recurrent network learns the
letters of the demo corpus by the CTC loss (log-mel energies, 20 ms a frame, four minutes on one
core). The words of two speakers that it has not heard are aligned by ``data_modules/ctc.py`` and
compared with the synthesiser's times. Its peaks are those of any CTC model; its sentences and
voices are easier than people's. Writes ``benchmarks/results/NAME.{json,md}``.
"""

from __future__ import annotations

import argparse
import datetime
import shlex
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from alignment import NEAR_S, RESULTS, hardware
from torch import Tensor, nn
from torchaudio.transforms import MelSpectrogram

from data_modules.align import choose_words
from data_modules.atomic import write_json, write_text
from data_modules.audio import load_audio
from data_modules.corpora.demo import make_demo
from data_modules.corpora.iemocap import read
from data_modules.ctc import align_words
from data_modules.ctc_text import Speller
from data_modules.manifest import Word
from sermm.rundir import git_revision

BLANK, DELIMITER = 0, 1
LETTERS = {letter: k for k, letter in enumerate("abcdefghijklmnopqrstuvwxyz'", start=2)}
FRAME_S = 0.02
NUM_MELS = 64
PER_SPEAKER = 40
BATCH = 8
STRETCHES_S = (0.0, 0.02, 0.04, 0.06, 0.1, 0.2)


class Clip:
    """Frames ``(F, 128)``, the true words, and their letters."""

    def __init__(self, speaker: str, frames: Tensor, words: list[Word], speller: Speller) -> None:
        self.speaker, self.frames, self.words = speaker, frames, words
        self.letters = [speller.spell(word.text) or [] for word in words]
        self.tokens: list[int] = []
        for word in self.letters:
            self.tokens += ([DELIMITER] if self.tokens else []) + word


class Network(nn.Module):
    """Frames to log-probabilities of letters."""

    def __init__(self) -> None:
        super().__init__()
        self.convolve = nn.Conv1d(2 * NUM_MELS, 128, 5, padding=2)
        self.recur = nn.GRU(128, 96, 2, batch_first=True, bidirectional=True, dropout=0.1)
        self.classify = nn.Linear(192, len(LETTERS) + 2)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """``(B, F, 128)`` and ``(B,)`` to ``(B, F, V)``."""
        seen = torch.relu(self.convolve(frames.transpose(1, 2))).transpose(1, 2)
        packed = nn.utils.rnn.pack_padded_sequence(
            seen, lengths, batch_first=True, enforce_sorted=False
        )
        states = nn.utils.rnn.pad_packed_sequence(self.recur(packed)[0], batch_first=True)[0]
        return self.classify(states).log_softmax(-1)


def read_clips(root: Path) -> list[Clip]:
    energies = MelSpectrogram(16_000, n_fft=400, hop_length=160, n_mels=NUM_MELS)
    speller = Speller(LETTERS, DELIMITER, "en")
    clips = []
    for utterance in read(root).utterances:
        assert utterance.audio is not None
        waveform = torch.from_numpy(load_audio(root / utterance.audio))
        frames = (energies(waveform) + 1e-5).log().T
        frames = frames[: len(frames) // 2 * 2].reshape(-1, 2 * NUM_MELS)
        frames = (frames - frames.mean(0)) / (frames.std(0) + 1e-3)
        whole = replace(utterance, start_s=0.0, end_s=len(waveform) / 16_000)
        words, _ = choose_words(whole, ["corpus"])
        clips.append(Clip(str(utterance.speaker), frames, words, speller))
    return clips


def train(network: Network, clips: list[Clip], epochs: int) -> None:
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    loss_of = nn.CTCLoss(BLANK)
    for epoch in range(epochs):
        losses = []
        for rows in torch.randperm(len(clips)).split(BATCH):
            batch = [clips[row] for row in rows]
            lengths = torch.tensor([len(clip.frames) for clip in batch])
            frames = nn.utils.rnn.pad_sequence([clip.frames for clip in batch], batch_first=True)
            log_probs = network(frames + 0.1 * torch.randn_like(frames), lengths).transpose(0, 1)
            tokens = torch.tensor([token for clip in batch for token in clip.tokens])
            counts = torch.tensor([len(clip.tokens) for clip in batch])
            loss = loss_of(log_probs, tokens, lengths, counts)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
        print(f"epoch {epoch}: loss {np.mean(losses):.4f}", flush=True)


def measure(clips: list[Clip], emissions: list[Tensor], stretch_s: float) -> dict[str, Any]:
    starts, ends = [], []
    for clip, log_probs in zip(clips, emissions, strict=True):
        spans = align_words(
            log_probs,
            clip.letters,
            blank=BLANK,
            delimiter=DELIMITER,
            max_stretch=stretch_s / FRAME_S,
        )
        assert spans is not None
        for word, span in zip(clip.words, spans, strict=True):
            starts.append(span.start * FRAME_S - word.start_s)
            ends.append(span.end * FRAME_S - word.end_s)
    errors = np.abs(np.array(starts + ends))
    return {
        "max_stretch_s": stretch_s,
        "words": len(starts),
        "median_ms": 1000 * float(np.median(errors)),
        "p90_ms": 1000 * float(np.quantile(errors, 0.9)),
        "within_50_ms": float((errors <= NEAR_S + 1e-9).mean()),
        "start_bias_ms": 1000 * float(np.median(starts)),
        "end_bias_ms": 1000 * float(np.median(ends)),
    }


def to_markdown(record: dict[str, Any]) -> str:
    rows = [
        f"| {1000 * row['max_stretch_s']:.0f} ms | {row['median_ms']:.0f} ms "
        f"| {row['p90_ms']:.0f} ms | {row['within_50_ms']:.1%} "
        f"| {row['start_bias_ms']:+.0f}, {row['end_bias_ms']:+.0f} ms |"
        for row in record["rows"]
    ]
    return "\n".join(
        [
            "# How far the words of a CTC model are stretched",
            "",
            f"`{record['command']}` on {record['date']}, {record['hardware']}, "
            f"revision {str(record['git_revision'])[:12]}. {record['rows'][0]['words']} words of "
            f"{', '.join(record['test_speakers'])} of the demo corpus, "
            f"{record['training_clips']} clips of the others in training.",
            "",
            "| stretch at most | median | 90 % | within 50 ms | bias of starts, ends |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--name", default="ctc_stretch", help="of the result")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        clips = read_clips(
            make_demo(Path(folder) / "demo", seed=0, utterances_per_speaker=PER_SPEAKER)
        )
    test_speakers = sorted({clip.speaker for clip in clips})[-2:]
    training = [clip for clip in clips if clip.speaker not in test_speakers]
    test = [clip for clip in clips if clip.speaker in test_speakers]
    network = Network()
    train(network, training, arguments.epochs)
    network.eval()
    with torch.inference_mode():
        emissions = [
            network(clip.frames[None], torch.tensor([len(clip.frames)]))[0] for clip in test
        ]
    record = {
        "command": shlex.join(["python", "benchmarks/ctc_stretch.py", *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "hardware": hardware(),
        "git_revision": git_revision(),
        "training_clips": len(training),
        "test_speakers": test_speakers,
        "rows": [measure(test, emissions, stretch_s) for stretch_s in STRETCHES_S],
    }
    write_json(RESULTS / f"{arguments.name}.json", record)
    write_text(RESULTS / f"{arguments.name}.md", to_markdown(record))
    print(to_markdown(record))


if __name__ == "__main__":
    main()
