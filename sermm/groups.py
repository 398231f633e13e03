"""Does a model serve all alike? Scores of groups of utterances, and the gaps between groups.

A group is what the manifest says of an utterance: the gender of its speaker, its session, its
length, whether it follows a script, who timed its words. Intervals are over speakers, as
everywhere (``statistics.py``): of a group over the speakers that it has. A gap is between a group
and all others (of two groups, between the two), and its interval depends on whether they share
speakers:

- they do (lengths, scripts): the same speakers are drawn for both;
- they do not (genders, sessions): each side has a standard error of its own, and Student's t the
  degrees of freedom of B. Welch (1947).

UA of a group is over the classes that it has, so groups with other classes differ for that alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from data_modules.manifest import Utterance
from sermm.breakdown import ends
from sermm.metrics import UNBOUNDED, FloatArray, MetricInfo
from sermm.pool import Pool
from sermm.statistics import (
    Interval,
    around,
    cluster_bootstrap,
    paired_cluster_bootstraps,
    students_quantile,
)
from sermm.utterance_facts import Facts

MOST_GROUPS = 24
_MOST_SCRIPTS = 12
LEVEL = 0.95
# seconds: each step twice as long as the last
_LENGTHS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, math.inf)


@dataclass(frozen=True)
class Factor:
    """A way to divide the test utterances.

    Attributes:
        name: In files.
        title: In print.
        group_of: Group of each utterance that has one.
        order: The groups, in the order of print.
        lacking: Why there is nothing to show; empty if there is.
    """

    name: str
    title: str
    group_of: Mapping[str, str]
    order: tuple[str, ...]
    lacking: str = ""


def factors_of(facts: Facts, ids: Sequence[str]) -> list[Factor]:
    """All ways to divide test utterances; those that do not divide say why."""
    own = {name: facts.utterances[name] for name in ids}
    given = {name: u.gender for name, u in own.items()}
    sessions = {name: u.session for name, u in own.items()}
    lengths = {name: length_of(u) for name, u in own.items()}
    steps = [_step(low, high) for low, high in pairwise(_LENGTHS)]
    return [
        _factor("gender", "gender of the speaker", given),
        _factor("session", "session", sessions),
        _factor("length", "length of the utterance", lengths, steps),
        _factor("script", *_scripts(own)),
        _factor("word_times", "source of the word times", {n: facts.sources.get(n) for n in ids}),
    ]


def _factor(
    name: str, title: str, group_of: Mapping[str, str | None], order: Sequence[str] | None = None
) -> Factor:
    known = {key: group for key, group in group_of.items() if group is not None}
    found = set(known.values())
    kept = tuple(g for g in order if g in found) if order else tuple(sorted(found))
    lacking = ""
    if not kept:
        lacking = "not known of any utterance"
    elif len(kept) == 1:
        lacking = f"the same for all: {kept[0]}"
    elif len(kept) > MOST_GROUPS:
        lacking = f"{len(kept)} groups, too many for a table (at most {MOST_GROUPS})"
    return Factor(name, title, known, kept, lacking)


def length_of(utterance: Utterance) -> str | None:
    """Which step of length an utterance falls into; None without audio."""
    seconds = utterance.duration_s
    if seconds <= 0:
        return None
    for low, high in pairwise(_LENGTHS):
        if low < seconds <= high:
            return _step(low, high)
    raise AssertionError("every length is in a step")


def _step(low: float, high: float) -> str:
    if low == 0:
        return f"up to {high:g} s"
    return f"over {low:g} s" if math.isinf(high) else f"{low:g} to {high:g} s"


def _scripts(own: Mapping[str, Utterance]) -> tuple[str, dict[str, str | None]]:
    """Scripted or not, where a corpus has both; else by script, where those are few."""
    scripts = {u.script for u in own.values()}
    if None in scripts and len(scripts) > 1:
        kinds = {name: "scripted" if u.script else "improvised" for name, u in own.items()}
        return "script or improvisation", dict(kinds)
    few = len(scripts) <= _MOST_SCRIPTS
    return "script", {name: u.script if few else "a script" for name, u in own.items()}


def by_factor(pool: Pool, factor: Factor) -> list[dict[str, Any]]:
    """Scores of each group and gaps, as ``report.json`` has them."""
    metrics = {name: pool.scoring.metrics[name] for name in pool.scoring.brief[:2]}
    sums, counts = _group_sums(pool, factor)
    rows = []
    for index, group in enumerate(factor.order):
        inside = counts[:, index] > 0
        rows.append(
            {
                "group": group,
                "num_utterances": round(float(counts[:, index].sum()), 6),
                "num_speakers": int(inside.sum()),
                "metrics": {
                    name: _score(sums[inside, index], info) for name, info in metrics.items()
                },
            }
        )
    # of two groups one gap says it all
    for index, row in enumerate(rows[:1] if len(rows) == 2 else rows):
        others = [k for k in range(len(factor.order)) if k != index]
        row["gap"] = {
            name: _as_record(_gap(sums[:, index], sums[:, others].sum(axis=1), info))
            for name, info in metrics.items()
        }
        row["gap_to"] = rows[1]["group"] if len(rows) == 2 else "all others"
    return rows


def _group_sums(pool: Pool, factor: Factor) -> tuple[FloatArray, FloatArray]:
    """Sums (S, G, ...) and numbers of utterances (S, G) of each cluster and group."""
    place = {name: k for k, name in enumerate(pool.clusters())}
    column = {name: k for k, name in enumerate(factor.order)}
    sums: FloatArray | None = None
    counts = np.zeros((len(place), len(column)))
    for run, weights in zip(pool.runs, pool.weights(), strict=True):
        said = run.predictions
        kept = [k for k, name in enumerate(said.ids) if name in factor.group_of]
        added = pool.scoring.contributions(said.references, said.outcomes)[kept]
        where = (
            [place[said.clusters[k]] for k in kept],
            [column[factor.group_of[said.ids[k]]] for k in kept],
        )
        if sums is None:
            sums = np.zeros((*counts.shape, *added.shape[1:]))
        own = weights[kept]
        np.add.at(sums, where, added * own.reshape(-1, *[1] * (added.ndim - 1)))
        np.add.at(counts, where, own)
    assert sums is not None
    return sums, counts


def _score(sums: FloatArray, info: MetricInfo) -> dict[str, Any]:
    return _as_record(cluster_bootstrap(sums, info.function, ends=info.range))


def _as_record(interval: Interval) -> dict[str, Any]:
    return {"value": interval.estimate, "ci95": ends(interval)}


def _gap(one: FloatArray, other: FloatArray, info: MetricInfo) -> Interval:
    """Score of one side (S, ...) less that of the other."""
    has = [sums.reshape(len(sums), -1).any(axis=1) for sums in (one, other)]
    if (has[0] & has[1]).any():
        either = has[0] | has[1]
        return paired_cluster_bootstraps(one[either], other[either], {"": info.function})[""]
    sides = [
        cluster_bootstrap(sums[own], info.function)
        for sums, own in zip((one, other), has, strict=True)
    ]
    estimate = sides[0].estimate - sides[1].estimate
    number = sum(side.num_clusters for side in sides)
    low = high = math.nan
    if all(side.is_known for side in sides):
        variances = [side.error**2 for side in sides]
        degrees = [side.num_clusters - 1 for side in sides]
        total = sum(variances)
        shares = sum(v**2 / d for v, d in zip(variances, degrees, strict=True))
        freedom = total**2 / shares if shares > 0 else min(degrees)
        quantile = students_quantile(LEVEL, freedom)
        low, high = around(estimate, math.sqrt(total), quantile, UNBOUNDED)
    return Interval(estimate, low, high, LEVEL, number, math.nan)
