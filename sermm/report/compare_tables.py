"""Tables of a comparison, for the terminal and the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from sermm.compare import Comparison, Difference
from sermm.metrics import MetricInfo
from sermm.permutation import Permutation
from sermm.report.cells import ABSENT, Cell, Table, count, number, signed_interval, too_few
from sermm.report.tables import titles_of_names
from sermm.run_metrics import size_name
from sermm.statistics import Interval


def scores_tables(comparison: Comparison, number_of: int | None = None) -> list[Table]:
    """Both scores, their difference and what follows; scores of single names last.

    Args:
        comparison: One pair.
        number_of: Of the pair, for the names of tables; None where there is one.
    """
    scoring = comparison.scoring
    end = "" if number_of is None else f"-{number_of}"
    tables = [_pair_table(comparison, f"comparison{end}", caption(comparison), scoring.overall)]
    for index, title in enumerate(titles_of_names(scoring, brief=True)):
        own = {n: i for n, i in scoring.metrics.items() if i.of and i.title == title}
        tables.append(_pair_table(comparison, f"single{end}-{index}", f"{title} alone.", own))
    return tables


def caption(comparison: Comparison) -> str:
    """What the numbers are over."""
    clusters = next(iter(comparison.differences.values())).interval.num_clusters
    basis = too_few(clusters, comparison.over) or (
        f"paired bootstrap over {clusters} {comparison.over}"
    )
    return (
        f"A = {comparison.name_a}, B = {comparison.name_b}: the same "
        f"{comparison.num_utterances:,} test utterances, pooled; {basis}."
    )


def _pair_table(
    comparison: Comparison, name: str, caption: str, metrics: Mapping[str, MetricInfo]
) -> Table:
    rows = []
    for metric, info in metrics.items():
        found = comparison.differences[metric]
        rows.append(
            (
                Cell(info.of or info.title),
                Cell(_plain(found.a), is_score=True),
                Cell(_plain(found.b), is_score=True),
                Cell(difference_text(found.interval), is_score=True),
                Cell(p_text(found.speakers)),
                Cell(p_text(found.runs)),
                Cell(comparison.verdict(metric)),
            )
        )
    columns = ("", "A", "B", "A - B (95 % interval)", "p, speakers", "p, runs", "")
    return Table(name, caption, columns, tuple(rows))


def sizes_table(comparison: Comparison, number_of: int | None = None) -> Table | None:
    """The headline of both by training size; None where they have no two sizes in common.

    Args:
        comparison: One pair.
        number_of: Of the pair, for the name of the table; None where there is one.
    """
    found = comparison.sizes
    if found is None:
        return None
    rows = tuple(
        (
            Cell(size_text(row.size, row.num_train)),
            Cell(_plain(row.a), is_score=True),
            Cell(_plain(row.b), is_score=True),
            Cell(difference_text(row.interval), is_score=True),
            Cell(number(row.sd_seeds)),
            Cell(p_text(row.speakers)),
            Cell(p_text(row.runs)),
        )
        for row in found.rows
    )
    title = comparison.scoring.metrics[found.metric].full_title
    columns = (
        *("training utterances", "A", "B", "A - B (95 % interval)", "sd over seeds"),
        *("p, speakers", "p, runs"),
    )
    text = f"{title} by training size, A = {comparison.name_a}, B = {comparison.name_b}."
    name = "sizes" if number_of is None else f"sizes-{number_of}"
    return Table(name, text, columns, rows)


def size_text(size: int | None, num_train: float) -> str:
    """``60`` or ``all (576.3)``."""
    return f"all ({count(num_train)})" if size is None else size_name(size)


def trend_text(comparison: Comparison) -> str:
    """How A minus B changes with the number of training utterances; empty if that is not known."""
    found = comparison.sizes
    if found is None:
        return ""
    title = comparison.scoring.metrics[found.metric].full_title
    return (
        f"{comparison.name_a} - {comparison.name_b}, trend: with each doubling of the training "
        f"utterances A - B in {title} changes by {difference_text(found.trend)}, p "
        f"{p_text(found.trend_speakers)} over {comparison.over} (a straight line over the "
        "logarithm of the size)."
    )


def pairs_table(comparisons: Sequence[Comparison], metric: str) -> Table:
    """One score of every pair, adjusted for their number."""
    info = comparisons[0].scoring.metrics[metric]
    pairs = len(comparisons)
    rows = []
    for pair in comparisons:
        found = pair.differences[metric]
        rows.append(
            (
                Cell(pair.name_a),
                Cell(pair.name_b),
                Cell(difference_text(found.interval), is_score=True),
                Cell(_ends(found.joint), is_score=True),
                Cell(p_text(found.speakers)),
                Cell(_adjusted(found)),
                Cell(pair.verdict(metric)),
            )
        )
    columns = (
        *("A", "B", "A - B (95 % interval)", f"interval, all {pairs} together"),
        *("p, speakers", "p, adjusted", ""),
    )
    text = f"{info.full_title} of every pair; p adjusted for {pairs} comparisons (Holm)."
    return Table("pairs", text, columns, tuple(rows), num_text_columns=2)


def difference_text(interval: Interval) -> str:
    """``+0.012 (-0.031 to +0.055)``."""
    ends = (interval.low, interval.high) if interval.is_known else None
    return signed_interval(interval.estimate, ends)


def _ends(interval: Interval) -> str:
    return f"{interval.low:+.3f} to {interval.high:+.3f}" if interval.is_known else ABSENT


def _plain(value: float) -> str:
    return number(None if math.isnan(value) else value)


def p_text(test: Permutation | None) -> str:
    """``0.031``, ``0.0001``; a dash where there is none."""
    return ABSENT if test is None else _p(test.p)


def _adjusted(found: Difference) -> str:
    return _p(found.adjusted_p)


def _p(value: float) -> str:
    if math.isnan(value):
        return ABSENT
    return f"{value:.4f}" if value < 0.001 else f"{value:.3f}"


def what_is_permuted(comparison: Comparison) -> list[str]:
    """What both p are, in sentences."""
    headline = comparison.differences[comparison.scoring.headline]
    told = [
        f"p, speakers: the names A and B are swapped for whole {comparison.over}, with all their "
        f"utterances in all folds and seeds; share of {_arrangements(headline.speakers)} in which "
        f"the scores differ at least as much. It cannot be below {_p(headline.speakers.least)}. "
        "What is said at the end of a line rests on it."
    ]
    if headline.runs is not None:
        told.append(
            "p, runs: the names A and B are dealt out anew among the runs (seeds) of each fold; "
            f"share of {_arrangements(headline.runs)}. It cannot be below "
            f"{_p(headline.runs.least)}; it says whether chance in training could do the same."
        )
    return told


def _arrangements(test: Permutation) -> str:
    kind = "all" if test.is_exact else "random"
    return f"{test.num_arrangements:,} arrangements ({kind})"
