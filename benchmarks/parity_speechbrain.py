"""ECAPA-TDNN against SpeechBrain's with the same random weights.

    pip install speechbrain==1.1.2
    python -m benchmarks.parity_speechbrain [--write-golden]

Clips alone in evaluation, a batch of clips of one length in training (batch norm), and a padded
batch against the clips alone, here and there. Writes `benchmarks/results/parity_speechbrain.{json,
md}` and leaves with status 1 if a clip alone, or the batch in training, differs by more than 1e-5.

With --write-golden SpeechBrain's numbers of the small network go to the file that the test suite
compares with.
"""

from __future__ import annotations

import argparse
import datetime
import re
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from benchmarks.record import RESULTS
from benchmarks.tiny_ecapa import FRAME_DIM, SMALL, build, clips
from data_modules.atomic import write_json, write_text
from sermm.nn.ecapa import EcapaPooling, EcapaSizes
from sermm.nn.masking import length_mask
from sermm.rundir import git_revision

LIMIT = 1e-5
GOLDEN = Path(__file__).parent.parent / "tests/sermm/nn/data/ecapa_speechbrain.npz"
TRAINING_FRAMES = 40
"""Of each clip in the batch in training."""

_NAMES = {
    "first": "blocks.0",
    "aggregate": "mfa",
    r"statistics\.context": "asp.tdnn",
    r"statistics\.score": "asp.conv.conv",
    "embed": "fc.conv",
    "before": "tdnn1",
    "after": "tdnn2",
    "steps": "res2net_block.blocks",
    "squeeze": "se_block.conv1.conv",
    "excite": "se_block.conv2.conv",
    "shortcut": "shortcut.conv",
}


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    sizes: str
    num_weights: int
    rms: float
    gap: float
    training_gap: float
    batch_gap: float
    speechbrain_batch_gap: float


def speechbrain_twin(ours: EcapaPooling, sizes: EcapaSizes, frame_dim: int) -> nn.Module:
    """SpeechBrain's network with the weights of ours."""
    from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN

    theirs: nn.Module = ECAPA_TDNN(
        frame_dim,
        lin_neurons=sizes.embedding,
        channels=list(sizes.channels),
        kernel_sizes=list(sizes.kernels),
        dilations=list(sizes.dilations),
        attention_channels=sizes.attention_channels,
        res2net_scale=sizes.scale,
        se_channels=sizes.se_channels,
    )
    known = theirs.state_dict()
    state = {their_name(name): tensor for name, tensor in ours.state_dict().items()}
    # counters, and the bias of the attention, which no weight of a frame depends on
    rest = {name: tensor for name, tensor in known.items() if name not in state}
    assert all("num_batches" in name or name == "asp.conv.conv.bias" for name in rest)
    # a linear layer of ours is a convolution of one frame there
    theirs.load_state_dict(
        {name: tensor.reshape(known[name].shape) for name, tensor in state.items()} | rest
    )
    return theirs.eval()


def their_name(name: str) -> str:
    """SpeechBrain's name of one of our weights."""
    if name.startswith("norm."):
        return f"asp_bn.{name}"
    # its convolutions and norms are torch's in a wrapper
    name = name.replace(".conv.", ".conv.conv.").replace(".norm.", ".norm.norm.")
    name = re.sub(r"^blocks\.(\d+)", lambda found: f"blocks.{int(found[1]) + 1}", name)
    for ours, theirs in _NAMES.items():
        name = re.sub(rf"\b{ours}\.", f"{theirs}.", name)
    return name


def run_ours(network: EcapaPooling, rows: list[Tensor]) -> Tensor:
    """Embeddings of clips in a padded batch, ``(B, E)``."""
    lengths = torch.tensor([len(row) for row in rows])
    values = pad_sequence(rows, batch_first=True)
    embeddings: Tensor = network(values, length_mask(lengths, values.shape[1]))
    return embeddings


def run_theirs(network: nn.Module, rows: list[Tensor]) -> Tensor:
    """The same of SpeechBrain's, which takes lengths as shares of the longest."""
    lengths = torch.tensor([len(row) for row in rows])
    values = pad_sequence(rows, batch_first=True)
    embeddings: Tensor = network(values, lengths / lengths.max())
    return embeddings.squeeze(1)


def batch_gap(run: Callable[[list[Tensor]], Tensor], rows: list[Tensor]) -> float:
    """Largest difference between a padded batch and the clips alone."""
    alone = torch.cat([run([row]) for row in rows])
    return float((run(rows) - alone).abs().max())


def compare(name: str, sizes: EcapaSizes, frame_dim: int) -> tuple[Row, dict[str, Any]]:
    """One network on all clips; SpeechBrain's numbers come with it."""
    ours = build(sizes, frame_dim=frame_dim)
    theirs = speechbrain_twin(ours, sizes, frame_dim)
    rows = clips(frame_dim)
    with torch.no_grad():
        expected = torch.cat([run_theirs(theirs, [row]) for row in rows])
        found = torch.cat([run_ours(ours, [row]) for row in rows])
        gaps = (
            batch_gap(lambda some: run_ours(ours, some), rows),
            batch_gap(lambda some: run_theirs(theirs, some), rows),
        )
        # in double precision: batch norm over five embeddings blows up rounding
        ours, theirs = ours.double().train(), theirs.double().train()
        equal = [row.double() for row in clips(frame_dim, (TRAINING_FRAMES,) * 5)]
        trained = run_theirs(theirs, equal)
        training_gap = float((run_ours(ours, equal) - trained).abs().max())
        known = theirs.state_dict()
        moved = {
            key: known[their_name(key)] for key in ours.state_dict() if key.endswith("running_var")
        }
        for key, tensor in moved.items():
            gap = float((ours.state_dict()[key] - tensor).abs().max())
            training_gap = max(training_gap, gap)
    row = Row(
        sizes=name,
        num_weights=sum(p.numel() for p in ours.parameters()),
        rms=float(expected.square().mean().sqrt()),
        gap=float((found - expected).abs().max()),
        training_gap=training_gap,
        batch_gap=gaps[0],
        speechbrain_batch_gap=gaps[1],
    )
    golden = {"alone": expected.numpy(), "training": trained.numpy()}
    return row, golden | {f"var/{key}": tensor.numpy() for key, tensor in moved.items()}


def table(rows: list[Row]) -> str:
    """As Markdown."""
    lines = [
        "| sizes | weights | rms | gap to SpeechBrain | the same in training | batch against alone "
        "| SpeechBrain's batch against alone |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.sizes} | {row.num_weights:,} | {row.rms:.2f} | {row.gap:.1e} | "
        f"{row.training_gap:.1e} | {row.batch_gap:.1e} | {row.speechbrain_batch_gap:.1e} |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> int:
    """Compare, print, and say by the status whether all is within the limit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write-golden", action="store_true", help="store SpeechBrain's results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    small, golden = compare("small", SMALL, FRAME_DIM)
    published, _ = compare("SpeechBrain's defaults", EcapaSizes(), 80)
    rows = [small, published]
    text = table(rows)
    print(text)
    facts = {
        "command": "python -m benchmarks.parity_speechbrain",
        "date": datetime.date.today().isoformat(),
        "speechbrain": version("speechbrain"),
        "torch": torch.__version__,
        "git_revision": git_revision(),
    }
    write_json(
        RESULTS / "parity_speechbrain.json", {**facts, "rows": [asdict(row) for row in rows]}
    )
    head = (
        "# ECAPA-TDNN against SpeechBrain's\n\n"
        f"`{facts['command']}` on {facts['date']}, SpeechBrain {facts['speechbrain']}, torch "
        f"{facts['torch']}, revision {facts['git_revision']}.\n\n"
        "Largest difference of embeddings, both with the same random weights: clips alone in "
        "evaluation; a batch of clips of one length in training (in double precision), running "
        "variances included; then "
        "a padded batch against each clip alone. SpeechBrain's convolutions read the padding and "
        "reflect the batch at its end, and its batch norm counts padding; its masks reach only "
        "squeeze-and-excitation and the pooling.\n\n"
    )
    write_text(RESULTS / "parity_speechbrain.md", f"{head}{text}\n")
    if arguments.write_golden:
        GOLDEN.parent.mkdir(exist_ok=True)
        np.savez_compressed(GOLDEN, **golden)
        print(f"\nwrote {GOLDEN.name} ({GOLDEN.stat().st_size // 1024} KiB)")
    return int(max(max(row.gap, row.training_gap) for row in rows) > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
