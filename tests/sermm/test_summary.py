from __future__ import annotations

import csv
import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as reference

from data_modules.errors import DataError
from data_modules.labels import Family
from sermm import metrics
from sermm.metrics import FloatArray, class_contributions
from sermm.report.size_plot import curve_text
from sermm.report.table_file import write_table
from sermm.run_metrics import RunKey
from sermm.statistics import cluster_bootstrap, cluster_sums
from sermm.summary import FILE_NAME, KEYS, planned_runs, read_summary, summarise, write_summary
from tests.sermm.fake_runs import CLASSES, REASONS, FakeExperiment
from tests.sermm.workplace import read_json, read_table


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> FakeExperiment:
    folder = tmp_path_factory.mktemp("runs") / "fusion_fake"
    return FakeExperiment(folder, sizes=(None, 40)).write()


@pytest.fixture(scope="module")
def summary(experiment: FakeExperiment) -> dict[str, Any]:
    return summarise(experiment.folder, experiment.keys)


def rows_of(experiment: FakeExperiment, key: RunKey) -> list[dict[str, str]]:
    path = experiment.folder / key.folder_name / "predictions.csv"
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def confusions_of(rows: list[dict[str, str]]) -> FloatArray:
    """(S, C, C)."""
    labels, predicted = (
        np.array([CLASSES.index(row[column]) for row in rows]) for column in ("label", "predicted")
    )
    added = class_contributions(labels, predicted, len(CLASSES))
    return cluster_sums(added, [row["speaker"] for row in rows])


def scores_of(rows: list[dict[str, str]]) -> dict[str, float]:
    """The scores by scikit-learn."""
    labels = [row["label"] for row in rows]
    predicted = [row["predicted"] for row in rows]
    return {
        "ua": reference.balanced_accuracy_score(labels, predicted),
        "wa": reference.accuracy_score(labels, predicted),
        "macro_f1": reference.f1_score(labels, predicted, average="macro"),
        "weighted_f1": reference.f1_score(labels, predicted, average="weighted"),
    }


WHOLE = [RunKey(fold, seed) for fold in range(3) for seed in (0, 1)]


def test_the_contract_is_kept(summary: dict[str, Any]) -> None:
    """The keys that design.md promises to other tools, with their types."""
    assert set(summary) == set(KEYS)
    assert summary["experiment"] == "fusion_fake"
    assert summary["protocol"] == "demo-session5"
    assert summary["protocol_description"].startswith("leave one session")
    assert summary["complete"] is True
    assert summary["classes"] == list(CLASSES)
    assert summary["git_revision"] == "a1b2c3d4e5f6-dirty"
    assert len(summary["data_sha256"]) == 64
    for scores in (
        summary["metrics"],
        *summary["by_size"].values(),
        *summary["trivial"].values(),
    ):
        assert set(scores) == {"ua", "wa", "macro_f1", "weighted_f1"}
        for score in scores.values():
            assert {"mean", "sd", "ci95", "pooled"} <= set(score)
    assert set(summary["by_size"]) == {"40", "all"}
    assert summary["by_size"]["all"] == summary["metrics"]
    assert set(summary["trivial"]) == {"majority", "prior"}
    assert summary["excluded"] == {"count": 7, "reasons": REASONS}
    assert summary["alignment"] == {"corpus": 0.97, "uniform": 0.03}
    assert len(summary["runs"]) == 12
    for run in summary["runs"]:
        assert {"fold", "seed", "size", "metrics", "num_train", "num_val", "num_test"} <= set(run)
        assert run["seconds"] > 0


def test_numbers_are_those_of_scikit_learn(
    experiment: FakeExperiment, summary: dict[str, Any]
) -> None:
    by_run = {key: scores_of(rows_of(experiment, key)) for key in WHOLE}
    pooled = [
        scores_of([row for fold in range(3) for row in rows_of(experiment, RunKey(fold, seed))])
        for seed in (0, 1)
    ]
    for name, score in summary["metrics"].items():
        values = [scores[name] for scores in by_run.values()]
        assert score["mean"] == pytest.approx(np.mean(values), abs=1e-9)
        assert score["sd"] == pytest.approx(np.std(values, ddof=1), abs=1e-9)
        seeds = [scores[name] for scores in pooled]
        assert score["sd_seeds"] == pytest.approx(np.std(seeds, ddof=1), abs=1e-9)
        # UA and WA are linear in the rows: the pool of seeds is the mean of the pooled seeds
        tolerance = 2e-3 if name.endswith("f1") else 1e-9
        assert score["pooled"] == pytest.approx(np.mean(seeds), abs=tolerance)
    for run in summary["runs"]:
        if run["size"] is None:
            expected = by_run[RunKey(run["fold"], run["seed"])]
            assert run["metrics"] == pytest.approx(expected, abs=1e-9)


def test_the_interval_is_over_speakers_of_the_pool(
    experiment: FakeExperiment, summary: dict[str, Any]
) -> None:
    rows = [row for key in WHOLE for row in rows_of(experiment, key)]
    interval = cluster_bootstrap(confusions_of(rows), metrics.ua, ends=(0.0, 1.0))
    assert summary["metrics"]["ua"]["ci95"] == pytest.approx([interval.low, interval.high])
    assert summary["interval"]["over"] == "speakers"
    assert summary["interval"]["count"] == 6


def test_trivial_predictors_come_from_the_training_part(
    experiment: FakeExperiment, summary: dict[str, Any]
) -> None:
    """Expected by hand: the most frequent class and the class shares of each training part."""
    majority: list[dict[str, float]] = []
    prior_ua, prior_wa = [], []
    for key in WHOLE:
        counts = json.loads((experiment.folder / key.folder_name / "metrics.json").read_text())[
            "train_counts"
        ]
        rows = rows_of(experiment, key)
        guess = max(CLASSES, key=lambda name: counts[name])
        majority.append(scores_of([{**row, "predicted": guess} for row in rows]))
        share = {name: counts[name] / sum(counts.values()) for name in CLASSES}
        prior_ua.append(np.mean([share[name] for name in {row["label"] for row in rows}]))
        prior_wa.append(np.mean([share[row["label"]] for row in rows]))
    trivial = summary["trivial"]
    for name in ("ua", "wa", "macro_f1"):
        expected = np.mean([scores[name] for scores in majority])
        assert trivial["majority"][name]["mean"] == pytest.approx(expected, abs=1e-9)
    assert trivial["majority"]["ua"]["pooled"] == pytest.approx(0.25)
    assert trivial["prior"]["ua"]["mean"] == pytest.approx(np.mean(prior_ua), abs=1e-9)
    assert trivial["prior"]["wa"]["mean"] == pytest.approx(np.mean(prior_wa), abs=1e-9)


def test_per_class_speaker_and_fold_add_up(summary: dict[str, Any]) -> None:
    confusion = np.array(summary["confusion"])
    assert confusion.sum() == pytest.approx(180)  # 3 folds, 2 speakers, 30 each, seeds averaged
    assert sum(row["support"] for row in summary["per_class"].values()) == pytest.approx(180)
    recalls = [row["recall"] for row in summary["per_class"].values()]
    assert np.mean(recalls) == pytest.approx(summary["metrics"]["ua"]["pooled"])
    for row in summary["per_class"].values():
        assert row["recall_ci95"][0] <= row["recall"] <= row["recall_ci95"][1]
    assert {name: row["num_test"] for name, row in summary["per_speaker"].items()} == {
        f"spk{k:02d}": 30 for k in range(6)
    }
    wa = np.mean([row["wa"] for row in summary["per_speaker"].values()])
    assert wa == pytest.approx(summary["metrics"]["wa"]["pooled"])
    assert [fold["speakers"] for fold in summary["per_fold"]] == [
        ["spk00", "spk01"],
        ["spk02", "spk03"],
        ["spk04", "spk05"],
    ]
    means = [fold["metrics"]["ua"]["mean"] for fold in summary["per_fold"]]
    assert np.mean(means) == pytest.approx(summary["metrics"]["ua"]["mean"])


def test_it_is_plain_json_and_the_same_each_time(
    experiment: FakeExperiment, summary: dict[str, Any], tmp_path: Path
) -> None:
    path = write_summary(tmp_path, summary)
    assert json.loads(path.read_text(), parse_constant=pytest.fail) == summary
    assert read_summary(tmp_path) == summary
    assert set(planned_runs(tmp_path)) == set(experiment.keys)
    first = path.read_bytes()
    write_summary(tmp_path, summarise(experiment.folder, reversed(experiment.keys)))
    assert path.read_bytes() == first


def test_an_unfinished_plan_says_so_and_no_utterance_weighs_more(tmp_path: Path) -> None:
    experiment = FakeExperiment(tmp_path / "half").write()
    shutil.rmtree(experiment.folder / RunKey(2, 1).folder_name)
    summary = summarise(experiment.folder, experiment.keys, num_folds=5)
    assert summary["complete"] is False
    assert summary["missing"] == ["fold=2,seed=1,size=all"]
    assert summary["notes"] == ["only 3 of the 5 folds of the protocol are in the plan"]
    assert {row["num_test"] for row in summary["per_speaker"].values()} == {30}
    # one whole seed is left, so there is no spread over seeds
    assert summary["metrics"]["ua"]["sd_seeds"] is None


def test_runs_outside_the_plan_are_named_and_not_counted(tmp_path: Path) -> None:
    experiment = FakeExperiment(tmp_path / "more").write()
    only = [RunKey(fold, 0) for fold in range(3)]
    summary = summarise(experiment.folder, only)
    assert summary["other_runs"] == [RunKey(fold, 1).folder_name for fold in range(3)]
    assert len(summary["runs"]) == 3
    assert summary["metrics"]["ua"]["sd_seeds"] is None


def test_one_run_of_one_speaker_has_no_spread(tmp_path: Path) -> None:
    experiment = FakeExperiment(
        tmp_path / "one", folds=1, seeds=(0,), speakers_per_fold=1, leak="speakers", notes=("n",)
    ).write()
    summary = summarise(experiment.folder, experiment.keys)
    score = summary["metrics"]["ua"]
    assert (score["sd"], score["ci95"]) == (None, None)
    assert score["mean"] == score["pooled"]
    assert (summary["leak"], summary["notes"]) == ("speakers", ["n"])


def ends_in(value: Any) -> Iterator[Any]:
    """All ends of intervals that a record holds, at any depth."""
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in parts:
        if str(key).endswith("ci95"):
            yield part
        elif isinstance(part, dict | list):
            yield from ends_in(part)


@pytest.mark.parametrize("family", ["classes", "sentiment"])
def test_two_speakers_are_too_few_for_any_interval(tmp_path: Path, family: Family) -> None:
    names = CLASSES if family == "classes" else ("sentiment",)
    made = FakeExperiment(
        tmp_path / "two", family=family, classes=names, folds=1, sizes=(20, 40, 60, None)
    ).write()
    summary = summarise(made.folder, made.keys)
    write_summary(made.folder, summary)
    assert summary["interval"]["count"] == 2
    assert summary["learning_curve"]["num_speakers"] == 2
    ends = list(ends_in(read_json(made.folder / FILE_NAME)))
    assert len(ends) > 20
    assert set(ends) == {None}
    assert "too few for an interval" in curve_text(summary["learning_curve"])
    write_table(made.folder / "table.csv", summary)
    rows = read_table(made.folder / "table.csv")
    assert {row["ci95_low"] + row["ci95_high"] for row in rows} == {""}


def test_without_speakers_utterances_are_resampled_and_it_says_so(tmp_path: Path) -> None:
    experiment = FakeExperiment(tmp_path / "nobody", folds=1, seeds=(0,)).write()
    path = experiment.folder / RunKey(0, 0).folder_name / "predictions.csv"
    path.write_text(path.read_text().replace(",spk01,", ",,"))
    mixed = summarise(experiment.folder, experiment.keys)
    assert mixed["interval"]["over"] == "speakers and utterances without one"
    assert mixed["interval"]["count"] == 31
    assert list(mixed["per_speaker"]) == ["spk00"]
    path.write_text(path.read_text().replace(",spk00,", ",,"))
    nobody = summarise(experiment.folder, experiment.keys)
    assert nobody["interval"]["over"] == "utterances"
    assert nobody["per_speaker"] == {}


def test_a_class_that_the_test_parts_lack_is_null(tmp_path: Path) -> None:
    experiment = FakeExperiment(tmp_path / "rare", folds=1, seeds=(0,), num_spoken=3).write()
    summary = summarise(experiment.folder, experiment.keys)
    sad = summary["per_class"]["sad"]
    assert (sad["recall"], sad["recall_ci95"], sad["support"]) == (None, None, 0)
    three = [summary["per_class"][name]["recall"] for name in CLASSES[:3]]
    assert summary["metrics"]["ua"]["pooled"] == pytest.approx(np.mean(three))


def test_recall_of_a_class_rests_on_the_speakers_who_show_it(tmp_path: Path) -> None:
    experiment = FakeExperiment(tmp_path / "few", seeds=(0,), utterances_per_speaker=6).write()
    rows = [row for fold in range(3) for row in rows_of(experiment, RunKey(fold, 0))]
    speakers = {name: {row["speaker"] for row in rows if row["label"] == name} for name in CLASSES}
    partly = [name for name, who in speakers.items() if 3 <= len(who) < 6]
    assert partly
    summary = summarise(experiment.folder, experiment.keys)
    for name in partly:
        own = [row for row in rows if row["speaker"] in speakers[name]]
        index = CLASSES.index(name)
        expected = cluster_bootstrap(
            confusions_of(own),
            lambda matrices, index=index: metrics.recalls(matrices)[..., index],
            ends=(0.0, 1.0),
        )
        found = summary["per_class"][name]["recall_ci95"]
        assert found == pytest.approx([expected.low, expected.high])


def _edit(folder: Path, key: RunKey, name: str, old: str, new: str) -> None:
    path = folder / key.folder_name / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("name", "old", "new", "match"),
    [
        ("metrics.json", "demo-session5", "demo-speaker5", "the protocol of fold=0,seed=0"),
        ("metrics.json", '"leak": ""', '"leak": "x"', "the leak of fold=0"),
        ("metrics.json", "0123456789abcdef", "1123456789abcdef", "the data_sha256 of fold=0"),
        ("metrics.json", "fedcba", "aedcba", "the fingerprint of fold=0"),
        ("predictions.csv", "spk00_000,spk00", "spk00_000,spk99", "the speaker of spk00_000"),
        ("predictions.csv", "spk00_000,", "spk00_999,", "test utterances in one fold"),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(
    tmp_path: Path, name: str, old: str, new: str, match: str
) -> None:
    experiment = FakeExperiment(tmp_path / "mixed", folds=1).write()
    _edit(experiment.folder, RunKey(0, 1), name, old, new)
    with pytest.raises(DataError, match=match):
        summarise(experiment.folder, experiment.keys)


def test_a_label_that_changed_between_seeds_is_refused(tmp_path: Path) -> None:
    experiment = FakeExperiment(tmp_path / "mixed", folds=1).write()
    other = replace(experiment, folder=tmp_path / "other", corpus_seed=1).write()
    shutil.rmtree(experiment.folder / RunKey(0, 1).folder_name)
    shutil.copytree(
        other.folder / RunKey(0, 1).folder_name, experiment.folder / RunKey(0, 1).folder_name
    )
    with pytest.raises(DataError, match=r"the label of spk00_\d+ of fold=0"):
        summarise(experiment.folder, experiment.keys)


def test_nothing_finished_and_no_summary(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a finished run among the 1 of the plan, got none"):
        summarise(tmp_path / "none", [RunKey(0, 0)])
    with pytest.raises(DataError, match=r"summary\.json: expected a file, got none; run `sermm"):
        read_summary(tmp_path / "none")
    (tmp_path / "summary.json").write_text('{"experiment": "x"}')
    with pytest.raises(DataError, match=r"expected a key protocol, got none"):
        read_summary(tmp_path)


def test_unknown_values_never_become_numbers(summary: dict[str, Any]) -> None:
    def walk(value: Any) -> None:
        if isinstance(value, float):
            assert math.isfinite(value)
        for item in (
            value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        ):
            walk(item)

    walk(summary)
