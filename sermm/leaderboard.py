"""All experiments of a folder, those side by side whose numbers mean the same.

A group is one corpus, one set of targets and one protocol: nothing else may be ranked together, and
even then the order says little where intervals overlap; ``sermm compare`` says whether one is
better. Experiments that cannot be read are named with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_modules.errors import DataError
from sermm.report.tables import headline_runs, scoring_of
from sermm.results import read_environment
from sermm.run_metrics import RunKey
from sermm.scoring import Scoring
from sermm.summary import FILE_NAME, read_summary


@dataclass(frozen=True, eq=False)
class Entry:
    """An experiment.

    Attributes:
        summary: Its summary.
        corpus: Its corpus; empty where the run does not say.
        labels: Its label scheme.
        task: What kind of model.
    """

    summary: Mapping[str, Any]
    corpus: str
    labels: str
    task: str


@dataclass(frozen=True, eq=False)
class Group:
    """Experiments whose numbers mean the same, the best first.

    Attributes:
        protocol: Of all of them.
        description: What it means.
        leak: What leaks in any of them; empty if nothing.
        corpus: Of all of them.
        labels: Of all of them.
        scoring: Of all of them.
        entries: The experiments.
    """

    protocol: str
    description: str
    leak: str
    corpus: str
    labels: str
    scoring: Scoring
    entries: Sequence[Entry]


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """Groups by corpus, labels and protocol; what could not be read, with its reason."""

    groups: Sequence[Group]
    unread: Mapping[str, str]


def read_leaderboard(runs: Path) -> Leaderboard:
    """Look through a folder.

    Raises:
        DataError: There is no such folder, or no experiment in it.
    """
    entries: list[Entry] = []
    unread: dict[str, str] = {}
    folders = sorted(runs.iterdir()) if runs.is_dir() else []
    for folder in folders:
        if not (folder / FILE_NAME).is_file():
            if (folder / "experiment.yaml").is_file():
                unread[folder.name] = f"no {FILE_NAME}: it has not finished"
            continue
        try:
            entries.append(_entry(folder))
        except DataError as error:
            unread[folder.name] = str(error)
    if not entries:
        raise DataError(
            runs,
            expected="a folder with experiments that have run",
            got=f"none ({len(unread)} that cannot be read)" if unread else "none",
            fix="run `sermm experiment NAME`, or name another folder",
        )
    keyed: dict[tuple[Any, ...], list[Entry]] = {}
    for entry in entries:
        summary = entry.summary
        key = (
            entry.corpus,
            entry.labels,
            summary["protocol"],
            summary["family"],
            tuple(summary["classes"]),
        )
        keyed.setdefault(key, []).append(entry)
    return Leaderboard([_group(own) for _, own in sorted(keyed.items())], unread)


def _entry(folder: Path) -> Entry:
    summary = read_summary(folder)
    run = headline_runs(summary)[0]
    key = RunKey(run["fold"], run["seed"], run["size"])
    settings = read_environment(folder / key.folder_name).get("result_keys", {})
    told = {name: settings.get(f"data.{name}", "") for name in ("corpus", "labels")}
    return Entry(summary, told["corpus"], told["labels"], settings.get("model.task", ""))


def _group(entries: Sequence[Entry]) -> Group:
    first = entries[0]
    scoring = scoring_of(first.summary)
    lower_first = not scoring.metrics[scoring.headline].higher_is_better

    def order(entry: Entry) -> tuple[float, str]:
        value = entry.summary["metrics"][scoring.headline]["pooled"]
        if value is None:
            return float("inf"), entry.summary["experiment"]
        return (value if lower_first else -value), entry.summary["experiment"]

    leaks = (part for e in entries if e.summary["leak"] for part in e.summary["leak"].split("; "))
    return Group(
        protocol=first.summary["protocol"],
        description=first.summary["protocol_description"],
        leak="; ".join(dict.fromkeys(leaks)),
        corpus=first.corpus,
        labels=first.labels,
        scoring=scoring,
        entries=sorted(entries, key=order),
    )
