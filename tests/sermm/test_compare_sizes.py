from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sermm.compare import Comparison, compare, compare_all
from sermm.metrics import class_contributions, ua
from sermm.report.compare_page import write_comparison
from sermm.results import read_run
from sermm.statistics import students_quantile
from sermm.summary import summarise, write_summary
from tests.sermm.fake_runs import FakeExperiment
from tests.sermm.test_compare import printed
from tests.sermm.test_report import Page

SIZES = (10, 20, 40, None)


def made(folder: Path, skills: tuple[float, ...], **options: object) -> FakeExperiment:
    """An experiment with a skill of its own at each size."""
    fake = FakeExperiment(folder, sizes=SIZES, **options)  # type: ignore[arg-type]
    for size, skill in zip(SIZES, skills, strict=True):
        replace(fake, sizes=(size,), skill=skill).write()
    write_summary(folder, summarise(folder, fake.keys))
    return fake


@pytest.fixture
def helped(tmp_path: Path) -> FakeExperiment:
    return made(tmp_path / "helped", (1.6, 1.6, 1.6, 1.6))


@pytest.fixture
def plain(tmp_path: Path) -> FakeExperiment:
    return made(tmp_path / "plain", (0.2, 0.7, 1.2, 1.6), seeds=(0, 1, 2))


def confusions(made: FakeExperiment, size: int | None, seed: int) -> dict[str, np.ndarray]:
    """Of each speaker (C, C), over all folds."""
    found: dict[str, np.ndarray] = {}
    for key in made.keys:
        if (key.size, key.seed) != (size, seed):
            continue
        said = read_run(made.folder / key.folder_name).predictions
        added = class_contributions(said.references, said.outcomes, 4)
        for speaker, one in zip(said.speakers, added, strict=True):
            found[speaker] = found.get(speaker, 0) + one
    return dict(sorted(found.items()))


def by_speaker(made: FakeExperiment, size: int | None) -> np.ndarray:
    """(S, C, C), mean over seeds."""
    return np.mean([[*confusions(made, size, s).values()] for s in made.seeds], axis=0)


def test_each_size_is_compared_as_an_experiment_of_that_size_alone(
    tmp_path: Path, helped: FakeExperiment, plain: FakeExperiment
) -> None:
    found = compare(helped.folder, plain.folder).sizes
    assert found is not None
    assert found.metric == "ua"
    assert [row.size for row in found.rows] == list(SIZES)
    for row in found.rows:
        sides = []
        for whole in (helped, plain):
            one = replace(whole, folder=tmp_path / f"{whole.folder.name}-{row.size}")
            one.folder.mkdir()
            own = [key for key in whole.keys if key.size == row.size]
            for key in own:
                (one.folder / key.folder_name).symlink_to(whole.folder / key.folder_name)
            write_summary(one.folder, summarise(one.folder, own))
            sides.append(one.folder)
        alone = compare(sides[0], sides[1])
        assert alone.sizes is None
        expected = alone.differences["ua"]
        assert (row.a, row.b) == (expected.a, expected.b)
        assert row.interval == expected.interval
        assert (row.speakers, row.runs) == (expected.speakers, expected.runs)
        gaps = [
            ua(sum(confusions(helped, row.size, seed).values()))
            - ua(sum(confusions(plain, row.size, seed).values()))
            for seed in (0, 1)
        ]
        assert row.sd_seeds == pytest.approx(np.std(gaps, ddof=1))


def test_the_trend_is_the_slope_over_doublings_with_one_draw_of_speakers_for_all_sizes(
    helped: FakeExperiment, plain: FakeExperiment
) -> None:
    found = compare(helped.folder, plain.folder).sizes
    assert found is not None
    places = np.log2([row.num_train for row in found.rows])
    gaps = [row.interval.estimate for row in found.rows]
    assert found.trend.estimate == pytest.approx(np.polyfit(places, gaps, 1)[0])
    assert found.trend.estimate < 0
    assert found.trend.high < 0
    sums = [[by_speaker(made, size) for size in SIZES] for made in (helped, plain)]
    generator = np.random.default_rng(5)
    slopes = []
    for _ in range(1500):
        drawn = generator.integers(6, size=6)
        of_draw = [ua(a[drawn].sum(0)) - ua(b[drawn].sum(0)) for a, b in zip(*sums, strict=True)]
        slopes.append(np.polyfit(places, of_draw, 1)[0])
    half = float(np.std(slopes)) * np.sqrt(6 / 5) * students_quantile(0.95, 5)
    assert (found.trend.high - found.trend.low) / 2 == pytest.approx(half, rel=0.1)
    # nothing separates A from itself, at any size
    same = compare(helped.folder, helped.folder).sizes
    assert same is not None
    assert (same.trend.estimate, same.trend.low, same.trend.high) == (0, 0, 0)
    assert same.trend_speakers.p == 1


def test_it_stands_in_the_terminal_the_page_and_the_record(
    tmp_path: Path, helped: FakeExperiment, plain: FakeExperiment
) -> None:
    comparison = compare(helped.folder, plain.folder)
    assert comparison.sizes is not None
    first, trend = comparison.sizes.rows[0], comparison.sizes.trend
    gap = f"{first.interval.estimate:+.3f} ({first.interval.low:+.3f} to"
    slope = f"changes by {trend.estimate:+.3f} ({trend.low:+.3f} to {trend.high:+.3f})"
    page = Page(write_comparison(tmp_path, [comparison]).read_text())
    for text in (printed(comparison), " ".join("".join(page.texts).split())):
        assert gap in text
        assert slope in text
        assert "all (120)" in text
    assert page.count("svg") == 2
    record = json.loads((tmp_path / "compare.json").read_text())["comparisons"][0]["sizes"]
    assert [row["size"] for row in record["rows"]] == [10, 20, 40, None]
    assert record["rows"][0]["difference"] == first.interval.estimate
    assert record["trend"]["ci95"] == [trend.low, trend.high]


def test_of_several_pairs_each_has_its_own(
    tmp_path: Path, helped: FakeExperiment, plain: FakeExperiment
) -> None:
    third = made(tmp_path / "third", (0.5, 0.5, 0.5, 0.5))
    found = compare_all([helped.folder, plain.folder, third.folder])
    assert printed(*found).count("trend: with each doubling") == 3
    page = Page(write_comparison(tmp_path, found).read_text())
    assert page.count("svg") == 4
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))


def without(comparison: Comparison) -> str:
    assert comparison.sizes is None
    return printed(comparison)


def test_sizes_that_only_one_of_them_has_are_left_out(
    tmp_path: Path, helped: FakeExperiment, plain: FakeExperiment
) -> None:
    few = replace(plain, folder=tmp_path / "few", sizes=(20, 160)).write()
    write_summary(few.folder, summarise(few.folder, few.keys))
    assert "trend" not in without(compare(helped.folder, few.folder))
    # a size that lacks a fold has scored other utterances
    lacking = replace(plain, folder=tmp_path / "lacking").write()
    for key in lacking.keys:
        if key.size == 20 and key.fold == 1:
            (lacking.folder / key.folder_name / "metrics.json").unlink()
    write_summary(lacking.folder, summarise(lacking.folder, lacking.keys))
    found = compare(helped.folder, lacking.folder).sizes
    assert found is not None
    assert [row.size for row in found.rows] == [10, 40, None]


def test_what_both_scored_is_compared_at_each_size(
    tmp_path: Path, helped: FakeExperiment, plain: FakeExperiment
) -> None:
    fewer = replace(plain, folder=tmp_path / "fewer", folds=2)
    for size, skill in zip(SIZES, (0.2, 0.7, 1.2, 1.6), strict=True):
        replace(fewer, sizes=(size,), skill=skill).write()
    write_summary(fewer.folder, summarise(fewer.folder, fewer.keys))
    found = compare(helped.folder, fewer.folder, common=True).sizes
    assert found is not None
    assert [row.interval.num_clusters for row in found.rows] == [4] * 4
