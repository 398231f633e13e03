"""Writes ``docs/experiments.md`` from the files in ``experiments/``.

A test compares the two. Run it with ``python docs/make_experiments.py``.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from data_modules.atomic import write_text
from data_modules.corpora import find_corpus
from sermm.compose import load_config

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "experiments.md"
_HEAD = """# Experiments

Every file in `experiments/`, by corpus. `make experiment NAME=fusion_demo` runs one; all but those
on the demo corpus need `data.root`. What the first word of a name means:
[models](models.md). The papers' systems: [pre-training](pretraining.md),
[fine-tuning](fine_tuning.md), [upstream and downstream](upstream_downstream.md),
[data size](data_size.md).

(Written by `python docs/make_experiments.py`.)
"""


def page() -> str:
    """The page as it should be."""
    files = sorted((ROOT / "experiments").glob("*.yaml"))
    configs = sorted(
        (load_config(str(path)) for path in files), key=lambda c: (c.data.corpus, c.name)
    )
    parts = [_HEAD]
    for corpus, members in groupby(configs, key=lambda c: c.data.corpus):
        rows = [f"| `{c.name}` | `{c.data.protocol}` | {c.description} |" for c in members]
        head = ["| experiment | protocol | what it is |", "|---|---|---|"]
        parts.append("\n".join([f"## {find_corpus(corpus).title}", "", *head, *rows, ""]))
    return "\n".join(parts)


if __name__ == "__main__":
    write_text(PAGE, page())
