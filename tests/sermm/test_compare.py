from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from data_modules.errors import DataError
from data_modules.labels import Family
from sermm import metrics
from sermm.compare import Comparison, compare, compare_all
from sermm.permutation import run_test, speaker_test
from sermm.report.compare_page import folder_of, print_comparisons, write_comparison
from sermm.results import read_run
from sermm.run_metrics import RunKey
from sermm.statistics import paired_cluster_bootstraps
from sermm.summary import summarise, write_summary
from tests.sermm.fake_runs import FakeExperiment, change_cells
from tests.sermm.test_report import Page


def finish(experiment: FakeExperiment) -> Path:
    """Write the runs that are not there yet, and the summary."""
    for key in experiment.keys:
        if not (experiment.folder / key.folder_name).exists():
            experiment.write_run(key)
    write_summary(experiment.folder, summarise(experiment.folder, experiment.keys))
    return experiment.folder


@pytest.fixture
def strong(tmp_path: Path) -> FakeExperiment:
    return FakeExperiment(tmp_path / "strong", skill=3.0)


@pytest.fixture
def weak(tmp_path: Path) -> FakeExperiment:
    return FakeExperiment(tmp_path / "weak", skill=1.0, seeds=(0,))


def printed(*comparisons: Comparison) -> str:
    console = Console(width=180)
    with console.capture() as capture:
        print_comparisons(console, comparisons)
    return " ".join(capture.get().split())


def speaker_confusions(experiment: FakeExperiment) -> np.ndarray:
    """(S, C, C) means over seeds, counted utterance by utterance."""
    speakers = sorted(
        {name for fold in range(experiment.folds) for name in experiment.test_part(fold)[1]}
    )
    total = np.zeros((len(speakers), 4, 4))
    for key in experiment.keys:
        said = read_run(experiment.folder / key.folder_name).predictions
        for speaker, label, predicted in zip(
            said.speakers, said.references, said.outcomes, strict=True
        ):
            total[speakers.index(speaker), label, predicted] += 1 / len(experiment.seeds)
    return total


def test_the_difference_is_paired_over_speakers(
    strong: FakeExperiment, weak: FakeExperiment
) -> None:
    comparison = compare(finish(strong), finish(weak))
    a, b = speaker_confusions(strong), speaker_confusions(weak)
    for name, info in metrics.CLASS_METRICS.items():
        found = comparison.differences[name]
        assert found.a == pytest.approx(float(info.function(a.sum(axis=0))))
        assert found.b == pytest.approx(float(info.function(b.sum(axis=0))))
        expected = paired_cluster_bootstraps(a, b, {name: info.function})[name]
        assert found.interval.estimate == pytest.approx(found.a - found.b)
        assert found.interval.low == pytest.approx(expected.low)
        assert found.interval.high == pytest.approx(expected.high)
        test = speaker_test(a, b, {name: info.function})[name]
        assert found.speakers == test
        assert found.adjusted_p == test.p
        assert found.joint == found.interval
    assert comparison.num_utterances == 180
    assert comparison.notes == ()
    text = printed(comparison)
    ua = comparison.differences["ua"]
    assert f"{ua.interval.estimate:+.3f} ({ua.interval.low:+.3f} to" in text
    assert "A = strong" in text
    assert "over 6 speakers" in text
    assert text.count("A is better") == 4
    assert printed(compare(weak.folder, strong.folder)).count("B is better") == 4


def test_a_system_does_not_differ_from_itself(strong: FakeExperiment) -> None:
    folder = finish(strong)
    comparison = compare(folder, folder)
    for difference in comparison.differences.values():
        interval = difference.interval
        assert (interval.estimate, interval.low, interval.high) == (0, 0, 0)
    assert printed(comparison).count("no difference shown") == 4


@pytest.mark.parametrize("speakers", [1, 2])
def test_one_or_two_speakers_give_no_interval(tmp_path: Path, speakers: int) -> None:
    one = FakeExperiment(tmp_path / "one", folds=1, speakers_per_fold=speakers)
    found = compare(finish(one), finish(replace(one, folder=tmp_path / "two", skill=0.0)))
    text = printed(found)
    assert text.count("too few speakers to tell") == 4
    assert "too few for an interval" in text
    assert "nan" not in text
    assert all(not one.interval.is_known for one in found.differences.values())


def test_a_leak_and_what_else_matters_is_said(strong: FakeExperiment, weak: FakeExperiment) -> None:
    strong = replace(strong, leak="speakers", sizes=(40, None), notes=("check failed",))
    finish(strong)
    shutil.rmtree(strong.folder / RunKey(0, 1).folder_name)
    write_summary(strong.folder, summarise(strong.folder, strong.keys))
    weak = replace(weak, leak="speakers", sizes=(40,))
    for key in weak.keys:
        path = weak.write_run(key) / "metrics.json"
        path.write_text(path.read_text().replace("0123456789abcdef", "f123456789abcdef"))
    comparison = compare(strong.folder, finish(weak))
    assert comparison.notes == (
        "strong is incomplete: 1 run missing",
        "strong: check failed",
        "the data behind them differ (texts, word times, audio or training parts)",
        "their training sizes differ: all and 40 utterances",
    )
    text = printed(comparison)
    assert text.count(" LEAK │") == 12
    assert "p, runs" in text
    assert "LEAK: speakers." in text


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"protocol": "demo-speaker5"}, r"the protocol of strong \(demo-session5\), got demo-sp"),
        ({"classes": ("neutral", "happy", "angry", "tired")}, r"the classes of strong .*tired"),
        ({"folds": 2}, r"the test utterances of strong \(180\), got 60 fewer: spk04_000,"),
        ({"folds": 4}, r"the test utterances of strong \(180\), got 60 more: spk06_000,"),
        ({"corpus_seed": 1}, r"the labels of strong .*others for spk00_0\d\d"),
        ({"speakers_per_fold": 1}, r"the test utterances of strong"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    strong: FakeExperiment, weak: FakeExperiment, change: dict[str, object], match: str
) -> None:
    with pytest.raises(DataError, match=match):
        compare(finish(strong), finish(replace(weak, **change)))  # type: ignore[arg-type]


def test_of_an_error_the_lower_is_the_better(tmp_path: Path) -> None:
    kinds = {"family": "intensity", "classes": ("happy", "sad")}
    strong = FakeExperiment(tmp_path / "strong", skill=3.0, **kinds)  # type: ignore[arg-type]
    weak = FakeExperiment(tmp_path / "weak", skill=1.0, **kinds)  # type: ignore[arg-type]
    comparison = compare(finish(strong), finish(weak))
    mae = comparison.differences["mae"]
    errors = [
        np.abs(run.predictions.outcomes - run.predictions.references).mean()
        for run in (read_run(strong.folder / key.folder_name) for key in strong.keys)
    ]
    assert mae.a == pytest.approx(np.mean(errors))
    assert mae.interval.high < 0
    text = printed(comparison)
    # two scores, over both ratings and of each
    assert text.count("A is better") == 6
    assert "MAE alone." in text
    assert printed(compare(weak.folder, strong.folder)).count("B is better") == 6


def test_undefined_scores_are_dashes(tmp_path: Path) -> None:
    still = FakeExperiment(tmp_path / "a", family="rating", classes=("mood",), skill=0.0)
    finish(still)
    for key in still.keys:
        change_cells(still.folder / key.folder_name, lambda cells: [cells[0], "4"])
    text = printed(compare(finish(still), finish(replace(still, folder=tmp_path / "b"))))
    assert "nan" not in text
    assert text.count("no interval") == 1


@pytest.mark.parametrize(
    ("one", "other", "match"),
    [
        ("sentiment", "multilabel", r"the kind of a \(regression\), got multilabel"),
        ("sentiment", "rating", r"the family of a \(sentiment\), got rating"),
    ],
)
def test_other_kinds_of_targets_are_refused(
    tmp_path: Path, one: Family, other: Family, match: str
) -> None:
    a, b = (
        FakeExperiment(tmp_path / name, family=family, classes=("mood",))
        for name, family in (("a", one), ("b", other))
    )
    with pytest.raises(DataError, match=match):
        compare(finish(a), finish(b))


def test_features_that_saw_the_labels_are_told_of_either(tmp_path: Path) -> None:
    a = FakeExperiment(tmp_path / "a", leak="shared speakers; seen by its encoder")
    b = FakeExperiment(tmp_path / "b", leak="shared speakers; another reason")
    assert compare(finish(a), finish(b)).leak == (
        "shared speakers; seen by its encoder; another reason"
    )


def test_other_speakers_of_the_same_utterances_are_refused(
    strong: FakeExperiment, weak: FakeExperiment
) -> None:
    finish(weak)
    path = weak.folder / RunKey(0, 0).folder_name / "predictions.csv"
    path.write_text(path.read_text().replace("spk00_000,spk00", "spk00_000,spk01"))
    with pytest.raises(DataError, match=r"the speakers of strong .*others for spk00_000"):
        compare(finish(strong), weak.folder)


def test_an_experiment_without_summary_is_refused(tmp_path: Path, strong: FakeExperiment) -> None:
    with pytest.raises(DataError, match=r"none/summary\.json: expected a file, got none; run"):
        compare(finish(strong), tmp_path / "none")


def test_names_are_dealt_out_among_the_runs_of_a_fold(
    strong: FakeExperiment, weak: FakeExperiment
) -> None:
    comparison = compare(finish(strong), finish(weak))

    def totals(experiment: FakeExperiment, fold: int) -> np.ndarray:
        runs = [
            read_run(experiment.folder / RunKey(fold, seed).folder_name).predictions
            for seed in experiment.seeds
        ]
        return np.stack(
            [metrics.class_contributions(r.references, r.outcomes, 4).sum(0) for r in runs]
        )

    folds = [[totals(made, fold) for fold in range(3)] for made in (strong, weak)]
    expected = run_test(*folds, {"ua": metrics.ua})["ua"]
    assert comparison.differences["ua"].runs == expected
    assert expected.num_arrangements == 3**3


def test_several_are_adjusted_for_their_number(
    tmp_path: Path, strong: FakeExperiment, weak: FakeExperiment
) -> None:
    third = replace(weak, folder=tmp_path / "third", skill=0.9, seeds=(3,))
    folders = [finish(made) for made in (strong, weak, third)]
    found = compare_all(folders)
    assert [(c.name_a, c.name_b) for c in found] == [
        ("strong", "weak"),
        ("strong", "third"),
        ("weak", "third"),
    ]
    # with 6 speakers no p is below 1/32, and three times that is no evidence
    first = found[0].differences["ua"]
    assert first.speakers.p == 1 / 32
    assert first.adjusted_p == 3 / 32
    assert found[0].verdict("ua") == "too few speakers to tell"
    assert first.joint.low < first.interval.low < first.interval.high < first.joint.high
    pairs = compare_all(folders, to_first=True)
    assert [(c.name_a, c.name_b) for c in pairs] == [("strong", "weak"), ("strong", "third")]
    assert pairs[0].differences["ua"].adjusted_p == 2 / 32
    text = printed(*found)
    assert "p adjusted for 3 comparisons (Holm)" in text


def test_what_only_one_of_them_scored_is_left_out_where_that_is_asked_for(
    strong: FakeExperiment, weak: FakeExperiment
) -> None:
    few = finish(replace(weak, folds=2))
    comparison = compare_all([finish(strong), few], common=True)[0]
    assert comparison.num_utterances == 120
    assert comparison.notes[0] == "only the 120 utterances that all of them scored, of at most 180"
    whole = finish(replace(strong, folder=strong.folder.parent / "same", folds=2))
    expected = compare(whole, few).differences["ua"]
    assert comparison.differences["ua"] == expected
    with pytest.raises(DataError, match=r"compare what they share with --common"):
        compare(strong.folder, few)


def test_the_page_the_record_and_the_table_say_the_same(
    tmp_path: Path, strong: FakeExperiment, weak: FakeExperiment
) -> None:
    weak = replace(weak, leak="speakers")
    found = compare_all([finish(strong), finish(weak)])
    folder = folder_of(["strong", "weak"], tmp_path)
    assert folder == tmp_path / "compare" / "strong_vs_weak"
    page = Page(write_comparison(folder, found).read_text())
    text = "".join(page.texts)
    record = json.loads((folder / "compare.json").read_text())["comparisons"][0]
    ua = record["differences"]["ua"]
    assert f"{ua['difference']:+.3f}" in text
    assert ua["p_speakers"]["p"] == found[0].differences["ua"].speakers.p
    assert f"{ua['p_runs']['p']:.3f}" in text
    with (folder / "compare.csv").open(newline="") as stream:
        rows = {row["metric"]: row for row in csv.DictReader(stream)}
    assert float(rows["ua"]["ci95_low"]) == pytest.approx(ua["ci95"][0])
    assert rows["wa"]["verdict"] == "A is better"
    assert "LEAK: speakers." in text
    assert page.count("table") == page.count("caption") == 1
    assert page.count("svg") == 1
    assert not page.attributes("src")
    assert all("scope" in values for tag, values in page.tags if tag == "th")


def test_a_long_name_is_cut_and_stays_its_own(tmp_path: Path) -> None:
    one, other = (folder_of(["x" * 200, end], tmp_path).name for end in "ab")
    assert len(one) == len(other) < 140
    assert one != other
