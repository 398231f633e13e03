"""Writes the table of experiments in ``README.md`` from the files in ``experiments/``.

A test compares the two. Run it with ``python docs/make_experiments.py``.
"""

from __future__ import annotations

import re
from pathlib import Path

from data_modules.atomic import write_text
from sermm.compose import load_config

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
_BLOCK = re.compile(r"(?<=<!-- experiments -->\n).*?(?=<!-- end of experiments -->)", re.DOTALL)


def table() -> str:
    """One row for each experiment, by corpus and name."""
    files = sorted((ROOT / "experiments").glob("*.yaml"))
    configs = sorted(
        (load_config(str(path)) for path in files), key=lambda c: (c.data.corpus, c.name)
    )
    rows = [f"| `{c.name}` | `{c.data.protocol}` | {c.description} |" for c in configs]
    return "\n".join(["| experiment | protocol | what it is |", "|---|---|---|", *rows, ""])


def updated(page: str) -> str:
    """The page with the table as it should be."""
    return _BLOCK.sub(lambda _: table(), page)


if __name__ == "__main__":
    write_text(README, updated(README.read_text(encoding="utf-8")))
