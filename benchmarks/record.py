"""Where results of benchmarks are kept, and on what they were measured."""

from __future__ import annotations

import platform
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def hardware() -> str:
    """The processor, and that one thread of it was used."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text(encoding="utf-8").splitlines() if cpu.exists() else []
    names = [line.split(": ")[1] for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, one thread"
