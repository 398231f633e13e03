"""The same model under several protocols: what the way to divide a corpus is worth alone.

Each protocol is an experiment of its own, ``NAME@PROTOCOL``, run by the usual plan. The first is
what the others are compared with. Where two protocols score the same utterances, their difference
is taken on these, the same speakers drawn for both; where they do not, there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data_modules.errors import ConfigError
from data_modules.protocols import PROTOCOLS, find_protocol
from sermm.config import Config
from sermm.pool import Pool, pool_runs
from sermm.report.tables import headline_runs, scoring_of
from sermm.results import read_run
from sermm.run_metrics import RunKey
from sermm.scoring import Scoring
from sermm.statistics import Interval, paired_cluster_bootstraps
from sermm.summary import read_summary


@dataclass(frozen=True, eq=False)
class Studied:
    """One protocol.

    Attributes:
        summary: Of its experiment.
        difference: Of the headline to the first protocol, by metric; empty for the first, and where
            other utterances are scored.
        remark: Why there is no difference.
    """

    summary: Mapping[str, Any]
    difference: Mapping[str, Interval]
    remark: str = ""


@dataclass(frozen=True, eq=False)
class Study:
    """All protocols of a model; those that do not apply, with the reason."""

    name: str
    scoring: Scoring
    protocols: Sequence[Studied]
    left_out: Mapping[str, str]


def protocols_for(config: Config, named: Sequence[str]) -> list[str]:
    """The protocols to study: the experiment's own first, then those named, or those at hand.

    Raises:
        ConfigError: A name is none of a protocol.
    """
    own, corpus = config.data.protocol, config.data.corpus
    if named:
        chosen = list(dict.fromkeys(named))
        for name in chosen:
            find_protocol(name, corpus)
        if len(chosen) < 2:
            chosen = list(dict.fromkeys([own, *chosen]))
    else:
        family = own.partition("-")[0]
        listed = [name for name in PROTOCOLS if name.partition("-")[0] == family]
        chosen = list(dict.fromkeys([own, *listed, f"{corpus}-speaker5", f"{corpus}-random"]))
    if len(chosen) < 2:
        raise ConfigError(
            "--protocol", expected="two protocols or more", got=chosen[0], fix="name another one"
        )
    return chosen


def config_under(config: Config, protocol: str) -> Config:
    """The experiment under another protocol, by another name."""
    data = replace(config.data, protocol=protocol)
    return replace(config, name=f"{config.name}@{protocol}", data=data)


def summarise_study(name: str, folders: Sequence[Path], left_out: Mapping[str, str]) -> Study:
    """Put finished experiments side by side.

    Args:
        name: Of the experiment.
        folders: ``runs/NAME@PROTOCOL``, the first is what the others are compared with.
        left_out: Protocols that do not apply, with the reason.

    Raises:
        DataError: A summary or a run is missing or damaged.
    """
    summaries = [read_summary(folder) for folder in folders]
    pools = [_pool(folder, summary) for folder, summary in zip(folders, summaries, strict=True)]
    first = pools[0]
    studied = [Studied(summaries[0], {})]
    for summary, pool in zip(summaries[1:], pools[1:], strict=True):
        if pool.references != first.references or pool.speakers != first.speakers:
            number = len(set(pool.references) & set(first.references))
            remark = f"other utterances: {len(pool.references):,}, of which {number:,} are shared"
            studied.append(Studied(summary, {}, remark))
            continue
        functions = {metric: info.function for metric, info in pool.scoring.metrics.items()}
        studied.append(
            Studied(summary, paired_cluster_bootstraps(pool.sums(), first.sums(), functions))
        )
    return Study(name, scoring_of(summaries[0]), studied, dict(left_out))


def _pool(folder: Path, summary: Mapping[str, Any]) -> Pool:
    keys = [RunKey(run["fold"], run["seed"], run["size"]) for run in headline_runs(summary)]
    return pool_runs([read_run(folder / key.folder_name) for key in keys])
