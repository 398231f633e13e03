from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from sermm.learning_curve import PowerLaw, fit_power_law, learning_curve, size_ends
from sermm.results import read_run
from sermm.scoring import find_scoring
from sermm.summary import summarise
from tests.sermm.fake_runs import CLASSES, FakeExperiment

SIZES = [50, 100, 200, 400, 800]


@given(st.floats(0, 0.5), st.floats(0.5, 3), st.floats(0.1, 1.5))
def test_an_exact_curve_is_found(floor: float, scale: float, exponent: float) -> None:
    true = PowerLaw(floor, scale, exponent)
    found = fit_power_law(SIZES, [true.error(size) for size in SIZES])
    for size in (50, 130, 800, 1600):
        assert found.error(size) == pytest.approx(true.error(size), abs=0.005)


def test_the_fit_is_scipys() -> None:
    generator = np.random.default_rng(0)
    errors = 0.2 + 2 * np.array(SIZES, dtype=float) ** -0.5 + generator.normal(0, 0.01, 5)
    (a, b, c), _ = curve_fit(
        lambda n, a, b, c: a + b * n**-c, SIZES, errors, p0=(0.2, 2, 0.5), bounds=(0, [1, 50, 2])
    )
    found = fit_power_law(SIZES, errors.tolist())
    ours = sum((found.error(n) - e) ** 2 for n, e in zip(SIZES, errors, strict=True))
    theirs = sum((a + b * n**-c - e) ** 2 for n, e in zip(SIZES, errors, strict=True))
    assert ours <= theirs * 1.02 + 1e-12


def test_sizes_for_an_error() -> None:
    law = PowerLaw(0.2, 2.0, 0.5)
    assert law.size_for(0.3) == pytest.approx(400)
    assert law.size_for(0.2) == math.inf
    assert PowerLaw(0.2, 0.0, 1.0).size_for(0.3) == math.inf
    with pytest.raises(ValueError, match="three sizes or more"):
        fit_power_law([1, 2, 2], [0.1, 0.1, 0.1])


def experiment(folder: Path, sizes: tuple[int | None, ...]) -> FakeExperiment:
    return FakeExperiment(folder, folds=3, seeds=(0, 1), sizes=sizes)


def test_a_summary_has_the_curve_of_four_sizes_and_more(tmp_path: Path) -> None:
    fake = experiment(tmp_path / "x", (10, 20, 40, None)).write()
    summary = summarise(fake.folder, fake.keys)
    curve = summary["learning_curve"]
    assert (curve["metric"], curve["num_speakers"], curve["num_seeds"]) == ("ua", 6, 2)
    # the fake model is as good with any number, so nothing is to be had
    assert curve["at"][0]["num_train"] == 10
    assert len(curve["at"]) == 4 + 3
    for row in curve["at"]:
        assert row["ci95"][0] <= row["score"] <= row["ci95"][1]
    assert [row["gain"] for row in curve["wanted"]] == [0.01, 0.02, 0.05]
    assert summary == summarise(fake.folder, fake.keys)


def test_no_curve_of_three_sizes_or_of_runs_that_are_missing(tmp_path: Path) -> None:
    fake = experiment(tmp_path / "x", (10, 20, None)).write()
    assert summarise(fake.folder, fake.keys)["learning_curve"] is None
    info = find_scoring("classes", CLASSES, "classes").metrics["ua"]
    more = experiment(tmp_path / "y", (10, 20, 40, None)).write()
    runs = {
        size: [read_run(more.folder / key.folder_name) for key in more.keys if key.size == size]
        for size in more.sizes
    }
    assert learning_curve(runs, "ua", info) is not None
    assert learning_curve({**runs, 10: runs[10][1:]}, "ua", info) is None


def test_better_models_with_more_labels_promise_more(tmp_path: Path) -> None:
    runs = {}
    for size, skill in ((25, 0.3), (50, 0.7), (100, 1.1), (200, 1.5)):
        fake = FakeExperiment(
            tmp_path / str(size), folds=4, seeds=(0,), sizes=(size,), skill=skill
        ).write()
        runs[size] = [read_run(fake.folder / key.folder_name) for key in fake.keys]
    info = find_scoring("classes", CLASSES, "classes").metrics["ua"]
    curve = learning_curve(runs, "ua", info)  # type: ignore[arg-type]
    assert curve is not None
    scores = [row["score"] for row in curve["at"]]
    assert scores == sorted(scores)
    assert scores[-1] > scores[3] + 0.02
    wanted = curve["wanted"][0]
    assert wanted["num_train"] > curve["largest"]
    low, high = wanted["ci95"]
    assert low <= wanted["num_train"]
    assert high is None or high >= wanted["num_train"]
    # further away is less certain
    widths = [row["ci95"][1] - row["ci95"][0] for row in curve["at"]]
    assert widths[-1] > widths[3]


def test_the_interval_of_a_size_is_that_of_its_draws() -> None:
    draws = [float(size) for size in range(300)]
    # with very many speakers 2.5 % on each side
    assert size_ends(draws, 1000, 100_000) == (7, 292)
    assert size_ends(draws, 200, 100_000) == (7, None)
    assert size_ends([math.inf] * 200 + draws[:100], 200, 100_000) == (7, None)
    assert size_ends([math.inf] * 300, 200, 100_000) == (None, None)
    # t of 5 degrees is 2.571, and 2.571 * sqrt(6 / 5) = 2.816 leaves 0.24 % on each side
    assert size_ends([float(size) for size in range(10_001)], 1e5, 6) == (24, 9976)
    assert size_ends(draws, 1000, 1) is None
    assert size_ends(draws, 1000, 2) is None
    assert size_ends(draws, 1000, 3) is not None
    assert size_ends(draws[:150], 1000, 6) is None
