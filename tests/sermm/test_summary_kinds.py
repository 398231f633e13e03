"""``summary.json`` of ratings, of several labels, and of runs with a modality missing."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from data_modules.errors import DataError
from data_modules.labels import Family
from sermm.pool import pool_runs
from sermm.results import read_run
from sermm.run_metrics import RunKey
from sermm.scoring import find_scoring
from sermm.statistics import cluster_bootstrap, cluster_sums, paired_cluster_bootstraps
from sermm.summary import KEYS, read_summary, summarise, write_summary
from tests.sermm.fake_runs import FakeExperiment, change_cells

EMOTIONS = ("happy", "sad", "anger")
CONDITIONS = ("without-text", "without-speech")
NAMES: dict[Family, tuple[str, ...]] = {
    "sentiment": ("sentiment",),
    "intensity": EMOTIONS,
    "rating": ("arousal", "valence"),
    "multilabel": EMOTIONS,
}


@pytest.fixture(scope="module")
def experiments(tmp_path_factory: pytest.TempPathFactory) -> dict[Family, FakeExperiment]:
    folder = tmp_path_factory.mktemp("runs")
    return {
        family: FakeExperiment(
            folder / family, family=family, classes=names, conditions=CONDITIONS
        ).write()
        for family, names in NAMES.items()
    }


@pytest.fixture(scope="module")
def summaries(experiments: dict[Family, FakeExperiment]) -> dict[Family, dict[str, Any]]:
    return {family: summarise(made.folder, made.keys) for family, made in experiments.items()}


def columns(
    made: FakeExperiment, prefix: str, condition: str = "", seed: int | None = None
) -> np.ndarray:
    """(N, T) of the columns that begin so, over all folds and seeds (or one), in plan order."""
    name = f"predictions.{condition}.csv" if condition else "predictions.csv"
    rows = []
    for key in made.keys:
        if seed in (None, key.seed):
            with (made.folder / key.folder_name / name).open(newline="") as stream:
                rows += [
                    [float(row[f"{prefix}{of}"]) for of in made.classes]
                    for row in csv.DictReader(stream)
                ]
    return np.array(rows)


def training_facts(made: FakeExperiment, key: str) -> list[dict[str, float]]:
    """One of each run."""
    files = [made.folder / run.folder_name / "metrics.json" for run in made.keys]
    return [json.loads(file.read_text())[key] for file in files]


@pytest.mark.parametrize("family", NAMES)
def test_the_contract_is_kept(
    summaries: dict[Family, dict[str, Any]], family: Family, tmp_path: Path
) -> None:
    summary = summaries[family]
    assert tuple(summary) == KEYS
    assert (summary["family"], summary["classes"]) == (family, list(NAMES[family]))
    scoring = find_scoring(summary["kind"], summary["classes"], family)
    for scores in (
        summary["metrics"],
        summary["by_size"]["all"],
        *summary["trivial"].values(),
        *summary["conditions"].values(),
    ):
        assert list(scores) == list(scoring.metrics)
        assert all({"mean", "sd", "ci95", "pooled"} <= set(score) for score in scores.values())
    assert (summary["per_class"], summary["confusion"]) == ({}, [])
    write_summary(tmp_path, summary)
    assert json.loads((tmp_path / "summary.json").read_text(), parse_constant=pytest.fail)
    assert read_summary(tmp_path) == summary


def test_names_of_design_md_are_those_of_sentiment(
    summaries: dict[Family, dict[str, Any]],
) -> None:
    promised = {"mae", "pearson_r", "ccc", "acc2_has0", "acc2_non0", "f1_non0", "acc7"}
    assert promised <= set(summaries["sentiment"]["metrics"])
    assert {f"{score}_{of}" for score in ("wacc", "f1") for of in EMOTIONS} <= set(
        summaries["multilabel"]["metrics"]
    )


def test_sentiment_is_that_of_all_utterances_together(
    experiments: dict[Family, FakeExperiment], summaries: dict[Family, dict[str, Any]]
) -> None:
    made, summary = experiments["sentiment"], summaries["sentiment"]
    for condition, scores in (("", summary["metrics"]), *summary["conditions"].items()):
        # every utterance is there once for each of the two seeds
        true, said = (columns(made, p, condition)[:, 0] for p in ("true_", "predicted_"))
        assert scores["mae"]["pooled"] == pytest.approx(np.abs(true - said).mean())
        assert scores["pearson_r"]["pooled"] == pytest.approx(stats.pearsonr(true, said).statistic)
        there = true != 0
        assert scores["f1_non0"]["pooled"] == pytest.approx(
            reference.f1_score(true[there] > 0, said[there] > 0, average="weighted")
        )
        by_seed = [
            np.abs(columns(made, "true_", condition, s) - columns(made, "predicted_", condition, s))
            for s in (0, 1)
        ]
        assert scores["mae"]["sd_seeds"] == pytest.approx(
            np.std([errors.mean() for errors in by_seed], ddof=1)
        )
    assert len({scores["mae"]["pooled"] for scores in summary["conditions"].values()}) == 2


def test_the_interval_is_over_speakers(
    experiments: dict[Family, FakeExperiment], summaries: dict[Family, dict[str, Any]]
) -> None:
    made, summary = experiments["sentiment"], summaries["sentiment"]
    scoring = find_scoring("regression", ("sentiment",), "sentiment")
    speakers = [name for key in made.keys for name in sorted(made.test_part(key.fold)[1])]
    for condition, scores in (("", summary["metrics"]), *summary["conditions"].items()):
        true, said = (columns(made, p, condition) for p in ("true_", "predicted_"))
        sums = cluster_sums(scoring.contributions(true, said), speakers)
        for name, info in scoring.metrics.items():
            interval = cluster_bootstrap(sums, info.function, ends=info.range)
            assert scores[name]["ci95"] == pytest.approx([interval.low, interval.high])


def test_trivial_predictors_of_ratings(
    experiments: dict[Family, FakeExperiment], summaries: dict[Family, dict[str, Any]]
) -> None:
    for family in ("sentiment", "intensity"):
        made, trivial = experiments[family], summaries[family]["trivial"]
        true = columns(made, "true_")
        means = np.repeat(
            [[means[of] for of in made.classes] for means in training_facts(made, "train_means")],
            60,
            axis=0,
        )
        assert list(trivial) == ["train_mean", "zero"]
        for name, said in (("train_mean", means), ("zero", np.zeros_like(true))):
            errors = np.abs(true - said).mean(axis=0)
            assert trivial[name]["mae"]["pooled"] == pytest.approx(errors.mean())
            if family == "intensity":
                found = [trivial[name][f"mae_{of}"]["pooled"] for of in made.classes]
                assert found == pytest.approx(errors)
        sums = []
        speakers = [name for key in made.keys for name in sorted(made.test_part(key.fold)[1])]
        scoring = find_scoring("regression", made.classes, family)
        for said in (columns(made, "predicted_"), means):
            sums.append(cluster_sums(scoring.contributions(true, said), speakers))
        for name in ("mae", *(f"mae_{of}" for of in made.classes if family == "intensity")):
            less = paired_cluster_bootstraps(*sums, {"": scoring.metrics[name].function})[""]
            found = trivial["train_mean"][name]
            assert found["difference"] == pytest.approx(less.estimate)
            assert found["difference_ci95"] == pytest.approx([less.low, less.high])
    assert summaries["sentiment"]["trivial"]["zero"]["pearson_r"]["difference"] is None
    assert summaries["sentiment"]["trivial"]["zero"]["pearson_r"]["pooled"] is None
    assert summaries["sentiment"]["trivial"]["zero"]["pearson_r"]["ci95"] is None


def test_trivial_predictors_of_labels(
    experiments: dict[Family, FakeExperiment], summaries: dict[Family, dict[str, Any]]
) -> None:
    made, trivial = experiments["multilabel"], summaries["multilabel"]["trivial"]
    true = columns(made, "true_")
    absent = 1 - true.mean(axis=0)
    assert list(trivial) == ["never", "prior"]
    for k, of in enumerate(made.classes):
        assert trivial["never"][f"acc_{of}"]["pooled"] == pytest.approx(absent[k])
        assert trivial["never"][f"wacc_{of}"]["pooled"] == 0.5
    assert trivial["never"]["exact_match"]["pooled"] == pytest.approx((true == 0).all(1).mean())
    counts = training_facts(made, "train_counts")
    sizes = training_facts(made, "num_train")
    share = np.repeat(
        [[c[of] / n for of in made.classes] for c, n in zip(counts, sizes, strict=True)],
        60,
        axis=0,
    )
    hits = (true * share).sum(axis=0)
    expected = 2 * hits / (true.sum(axis=0) + share.sum(axis=0))
    assert trivial["prior"]["macro_f1"]["pooled"] == pytest.approx(expected.mean())


def test_labels_are_scored_as_scikit_learn_does(
    experiments: dict[Family, FakeExperiment], summaries: dict[Family, dict[str, Any]]
) -> None:
    made, summary = experiments["multilabel"], summaries["multilabel"]
    true, said = columns(made, "true_"), columns(made, "predicted_")
    for average in ("macro", "micro", "weighted"):
        expected = reference.f1_score(true, said, average=average)
        assert summary["metrics"][f"{average}_f1"]["pooled"] == pytest.approx(expected)
    for k, of in enumerate(made.classes):
        row = summary["per_name"][of]
        # two seeds on the same utterances
        assert row["true"] == pytest.approx(true[:, k].sum() / 2)
        assert row["predicted"] == pytest.approx(said[:, k].sum() / 2)
    assert summary["per_value"] == {}


def test_where_ratings_are_wrong(
    experiments: dict[Family, FakeExperiment], summaries: dict[Family, dict[str, Any]]
) -> None:
    made, summary = experiments["intensity"], summaries["intensity"]
    true, said = columns(made, "true_"), columns(made, "predicted_")
    for k, of in enumerate(made.classes):
        row = summary["per_name"][of]
        assert row["true_mean"] == pytest.approx(true[:, k].mean())
        assert row["predicted_sd"] == pytest.approx(said[:, k].std())
        steps = summary["per_value"][of]
        assert [(step["low"], step["high"]) for step in steps] == [
            (low - 0.5, low + 0.5) for low in range(4)
        ]
        assert sum(step["count"] for step in steps) == pytest.approx(180)
        for step in steps:
            inside = (true[:, k] >= step["low"]) & (true[:, k] < step["high"])
            error = (said - true)[inside, k]
            assert step["mae"] == pytest.approx(np.abs(error).mean())
            assert step["bias"] == pytest.approx(error.mean())
            assert step["count"] == pytest.approx(inside.sum() / 2)


def test_a_long_scale_is_cut_into_ten_steps(tmp_path: Path) -> None:
    made = FakeExperiment(tmp_path / "x", folds=1, seeds=(0,), family="rating", classes=("mood",))
    folder = made.write_run(RunKey(0, 0))
    change_cells(folder, lambda cells: [f"{10 * float(cell):g}" for cell in cells])
    steps = summarise(made.folder, made.keys)["per_value"]["mood"]
    assert len(steps) == 10
    values = columns(made, "true_")
    assert (steps[0]["low"], steps[-1]["high"]) == (values.min(), values.max())
    assert sum(step["count"] for step in steps) == 60


def test_per_speaker_and_fold_add_up(summaries: dict[Family, dict[str, Any]]) -> None:
    for summary in summaries.values():
        headline = "macro_f1" if summary["family"] == "multilabel" else "mae"
        assert {row["num_test"] for row in summary["per_speaker"].values()} == {30}
        assert all(headline in row for row in summary["per_speaker"].values())
        means = [fold["metrics"][headline]["mean"] for fold in summary["per_fold"]]
        assert np.mean(means) == pytest.approx(summary["metrics"][headline]["mean"])
    errors = [row["mae"] for row in summaries["rating"]["per_speaker"].values()]
    assert np.mean(errors) == pytest.approx(summaries["rating"]["metrics"]["mae"]["pooled"])


def test_runs_that_lack_a_condition_do_not_belong_together(tmp_path: Path) -> None:
    made = FakeExperiment(tmp_path / "x", folds=1, conditions=("without-text",)).write()
    path = made.folder / RunKey(0, 1).folder_name / "metrics.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "conditions": {}}))
    with pytest.raises(DataError, match=r"the conditions of fold=0,seed=0.*without-text.*got \[\]"):
        summarise(made.folder, made.keys)


def test_a_rating_that_changed_between_seeds_is_refused(tmp_path: Path) -> None:
    made = FakeExperiment(tmp_path / "x", folds=1, family="rating", classes=("mood",)).write()
    change_cells(made.folder / RunKey(0, 1).folder_name, lambda cells: ["0.125", cells[1]])
    with pytest.raises(DataError, match=r"the label of spk00_000 of fold=0.*got \(0\.125,\)"):
        summarise(made.folder, made.keys)


def test_runs_of_different_targets_are_no_pool(tmp_path: Path) -> None:
    kinds: tuple[tuple[Family, str], ...] = (
        ("rating", "mood"),
        ("sentiment", "mood"),
        ("rating", "arousal"),
        ("multilabel", "mood"),
    )
    runs = [
        read_run(
            FakeExperiment(tmp_path / f"{family}_{name}", family=family, classes=(name,)).write_run(
                RunKey(0, 0)
            )
        )
        for family, name in kinds
    ]
    assert pool_runs(runs[:1]).scoring.family == "rating"
    for other, what in zip(runs[1:], ("family", "classes", "kind"), strict=True):
        with pytest.raises(DataError, match=f"the {what} of fold=0,seed=0,size=all"):
            pool_runs([runs[0], other])


def test_a_summary_of_before_other_targets_reads_as_one_of_classes(tmp_path: Path) -> None:
    made = FakeExperiment(tmp_path / "x", folds=1, seeds=(0,)).write()
    write_summary(made.folder, summarise(made.folder, made.keys))
    path = made.folder / "summary.json"
    record = json.loads(path.read_text())
    for key in ("kind", "family", "conditions", "per_name", "per_value"):
        del record[key]
    path.write_text(json.dumps(record))
    found = read_summary(made.folder)
    assert (found["kind"], found["conditions"]) == ("classes", {})
