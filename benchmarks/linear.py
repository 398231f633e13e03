"""Speed of linear layers by oneDNN against torch's own, and what they differ by.

    python -m benchmarks.linear [--rounds 5]

One layer of each shape that a base model has, over 500 frames, forward alone and with its
gradients, in turn in one process and one thread; processor time, medians over rounds. Writes
``benchmarks/results/linear.{json,md}``.
"""

from __future__ import annotations

import argparse
import copy
import datetime
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.record import RESULTS, hardware
from data_modules.atomic import write_json, write_text
from sermm.nn.linear import use_onednn

SHAPES = ((768, 768), (768, 3072), (3072, 768), (192, 768))
FRAMES, REPEATS = 500, 10


def seconds(function: Callable[[], object]) -> float:
    """Processor time of one call."""
    start = time.process_time()
    for _ in range(REPEATS):
        function()
    return (time.process_time() - start) / REPEATS


def measure(size: tuple[int, int], rounds: int) -> dict[str, Any]:
    torch.manual_seed(0)
    plain = nn.Linear(*size)
    holder = nn.Sequential(copy.deepcopy(plain))
    use_onednn(holder)
    layers = {"torch": plain, "oneDNN": holder[0]}
    frames = torch.randn(1, FRAMES, size[0])
    above = torch.randn(1, FRAMES, size[1])

    def forward(layer: nn.Module) -> Tensor:
        with torch.inference_mode():
            result: Tensor = layer(frames)
        return result

    def both(layer: nn.Module) -> None:
        layer(frames.clone().requires_grad_()).backward(above)

    gap = (forward(plain) - forward(holder[0])).abs().max().item()
    found: dict[str, list[float]] = {}
    for turn in range(rounds + 1):  # the first one warms up
        for name, layer in layers.items():
            for what, function in (("forward", forward), ("with gradients", both)):
                took = seconds(lambda function=function, layer=layer: function(layer))  # type: ignore[misc]
                if turn:
                    found.setdefault(f"{name}, {what}", []).append(took)
    flops = 2 * FRAMES * size[0] * size[1]
    speeds = {
        key: flops * (3 if "gradients" in key else 1) / statistics.median(times) / 1e9
        for key, times in found.items()
    }
    return {"in": size[0], "out": size[1], "gap": gap, "gflops_per_s": speeds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    rows = [measure(size, rounds) for size in SHAPES]
    date = datetime.datetime.now(datetime.UTC).date()
    lines = [
        "# Linear layers",
        "",
        f"`python -m benchmarks.linear --rounds {rounds}` on {date}, {hardware()}, torch "
        f"{torch.__version__}. {FRAMES} frames, GFLOP/s of processor time, medians.",
        "",
        "| in, out | torch | oneDNN | ratio | torch, with gradients | oneDNN | ratio | gap |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        speed = row["gflops_per_s"]
        cells = []
        for what in ("forward", "with gradients"):
            a, b = speed[f"torch, {what}"], speed[f"oneDNN, {what}"]
            cells += [f"{a:.0f}", f"{b:.0f}", f"{b / a:.2f}"]
        lines.append(f"| {row['in']}, {row['out']} | {' | '.join(cells)} | {row['gap']:.0e} |")
    write_json(RESULTS / "linear.json", {"date": str(date), "rounds": rounds, "rows": rows})
    text = "\n".join(lines) + "\n"
    write_text(RESULTS / "linear.md", text)
    print(text)


if __name__ == "__main__":
    main()
