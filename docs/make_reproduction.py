"""Writes ``docs/reproduction.md``: four papers beside what sermm does.

    python docs/make_reproduction.py
    python docs/make_reproduction.py --runs runs --output mine.md

What the papers say stands in ``docs/reproduction.yaml``; what sermm does is resolved from the named
experiments by its own configuration. A test compares the committed page with what this makes. With
``--runs`` the scores of your own run folders stand beside the published ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from data_modules.atomic import write_text
from data_modules.corpora import find_corpus
from sermm.compose import load_config
from sermm.config import value_of
from sermm.published import find_published
from sermm.report.cells import ABSENT, LEAK_MARK
from sermm.schemes import scheme_of
from sermm.scoring import Scoring, find_scoring
from sermm.summary import read_summary

FACTS = Path(__file__).with_name("reproduction.yaml")
PAGE = Path(__file__).with_name("reproduction.md")
_HEAD = """\
# Four papers, line by line

<!-- Made by docs/make_reproduction.py from docs/reproduction.yaml and the experiments. -->

What each paper says, where that was read, what the experiments do, and what we chose where the
paper is silent. "Here" is resolved from the experiment files, as `sermm config NAME` prints it. No
PDF of the four was at hand: look at the evidence before you call anything a reproduction.

| evidence | read in |
|---|---|
| V | something of the authors themselves: abstract, code, figure, account |
| S | a public text of somebody else |
| C | counted from a public list |
| ? | nowhere: as far as it was at hand, the paper does not say |

IEMOCAP and the files of CMU-MOSI and CMU-MOSEI were not at hand, so no number of ours can stand
beside theirs; [results](results.md) has what was measured on other corpora. With your own runs,
`python docs/make_reproduction.py --runs runs --output mine.md` writes this page with your scores
(95 % interval over speakers) in place of "needs IEMOCAP".
"""


def facts() -> list[dict[str, Any]]:
    """What stands in the file, one entry a paper."""
    found: list[dict[str, Any]] = yaml.safe_load(FACTS.read_text(encoding="utf-8"))
    return found


def page(runs: Path | None = None) -> str:
    """The page as it should be, with scores of the experiments in ``runs``."""
    return "\n".join([_HEAD, *(_paper(paper, runs) for paper in facts())])


def _paper(paper: Mapping[str, Any], runs: Path | None) -> str:
    titles = {name: name.removesuffix(".md").replace("_", " ") for name in paper["more"]}
    links = ", ".join(f"[{title}]({name})" for name, title in titles.items())
    settings = [
        [row["what"], row["says"], row["evidence"], resolved(row), row["choice"]]
        for row in paper["settings"]
    ]
    numbers = [cells for row in paper["numbers"] for cells in _number_rows(row, runs)]
    return "\n".join(
        [
            f"## {paper['title']}",
            "",
            f"{paper['work']}. Read: {_lowered(paper['read'])} More: {links}.",
            "",
            *_table(["", "the paper", "evidence", "here", "our choice"], settings),
            "",
            *_table(["published", "score", "evidence", "ours", "experiment"], numbers),
            "",
        ]
    )


def _lowered(text: str) -> str:
    return text[0].lower() + text[1:]


def _table(titles: list[str], rows: list[list[str]]) -> list[str]:
    lines = [titles, ["---"] * len(titles), *rows]
    return ["| " + " | ".join(" ".join(cell.split()) for cell in line) + " |" for line in lines]


def resolved(row: Mapping[str, Any]) -> str:
    """Each key and its value, as all experiments of a row have it.

    Raises:
        ValueError: They differ.
    """
    told, configs = [], {name: load_config(name) for name in row["experiments"]}
    for key in row["keys"]:
        values = {name: value_of(config, key) for name, config in configs.items()}
        first, *rest = values.values()
        if any(value != first for value in rest):
            raise ValueError(f"{row['what']}: {key} differs: {values}")
        told.append(f"`{key}`: {_written(first)}")
    return ", ".join(told)


def _written(value: Any) -> str:
    if value is None or value == "" or isinstance(value, bool):
        return {None: "null", "": "none", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(_written, value))}]"
    return str(value)


def _number_rows(row: Mapping[str, Any], runs: Path | None) -> Iterator[list[str]]:
    """What, published, evidence, ours, experiment; a curve has a row for each of its points."""
    if "curve" not in row:
        yield _number_row(row, runs)
        return
    for name, curve in zip(row["experiments"], find_published(row["curve"]), strict=True):
        for size, score in curve.points:
            yield _number_row(
                {
                    "what": f"{curve.name.partition(': ')[2]}, speech alone, {size:,} examples",
                    "published": {curve.metric: 100 * score},
                    "evidence": row["evidence"],
                    "experiment": name,
                    "size": str(size),
                },
                runs,
            )


def _number_row(row: Mapping[str, Any], runs: Path | None) -> list[str]:
    name = row["experiment"]
    config = load_config(name)
    corpus = find_corpus(config.data.corpus)
    scheme = scheme_of(config, corpus)
    scoring = find_scoring(scheme.kind, scheme.names, scheme.family)
    published = ", ".join(
        f"{scoring.metrics[metric].full_title} {value:.2f}"
        for metric, value in row["published"].items()
    )
    ours = f"needs {corpus.title}"
    if runs is not None and (runs / name / "summary.json").is_file():
        ours = _measured(read_summary(runs / name), row, scoring)
    return [row["what"], published or ABSENT, row["evidence"], ours, f"`{name}`"]


def _measured(summary: Mapping[str, Any], row: Mapping[str, Any], scoring: Scoring) -> str:
    """Scores of a finished experiment; shares in percent, as papers print them."""
    scores: Mapping[str, Any] = summary["metrics"]
    if "trivial" in row:
        scores = summary["trivial"][row["trivial"]]
    elif "size" in row:
        scores = summary["by_size"].get(row["size"], {})
    told = []
    for metric in row["published"] or [scoring.headline]:
        found, info = scores.get(metric, {}), scoring.metrics[metric]
        if (value := found.get("pooled", found.get("mean"))) is not None:
            scale = 100 if info.is_share else 1
            ends = [f"{scale * end:.2f}" for end in found.get("ci95") or ()]
            interval = f" ({' to '.join(ends)})" if ends else ""
            told.append(f"{info.full_title} {scale * value:.2f}{interval}")
    leak = f" {LEAK_MARK}" if summary["leak"] else ""
    return f"{', '.join(told)}{_part(summary)}{leak}" if told else "not in its summary"


def _part(summary: Mapping[str, Any]) -> str:
    """What a score lacks to be that of the whole protocol."""
    folds, all_folds = len(summary["per_fold"]), summary["num_folds"]
    unfinished = "" if summary["complete"] else "; runs are missing"
    return unfinished + (f"; {folds} of {all_folds} folds" if folds < (all_folds or 0) else "")


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description="Write docs/reproduction.md.")
    parser.add_argument("--runs", type=Path, help="folder of run folders whose scores to print")
    parser.add_argument("--output", type=Path, default=PAGE)
    arguments = parser.parse_args()
    if arguments.runs is not None and arguments.output == PAGE:
        parser.error("--runs needs --output: the committed page has no scores of yours")
    write_text(arguments.output, page(arguments.runs))


if __name__ == "__main__":
    main()
