"""Ratings, several labels, votes and ready-made features, from a release to the report."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from data_modules.ready import load_ready
from sermm.build_checkpoint import load_task
from sermm.compose import load_config
from sermm.stages import load_ready as load_prepared_of
from sermm.stages import make_ready, make_selection
from tests.data_modules import csd_tree
from tests.sermm.workplace import SMALL, Said, Workplace


@pytest.fixture(scope="module")
def mosei(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release in which words and frames tell the sentiment."""
    root = tmp_path_factory.mktemp("mosei")
    videos = csd_tree.make_videos("mosei", train=6, val=2, test=2, segments=4)
    return csd_tree.write_tree(root, "mosei", videos)


def write_vectors(root: Path, num_videos: int = 12) -> Path:
    """Published vectors, of which the text ones tell the sentiment and the others nothing."""
    rng = np.random.default_rng(0)
    scores = rng.uniform(-3, 3, size=num_videos * 5).round(2)
    (root / "features").mkdir(parents=True)
    rows = ["segment_id\tvideo_id\tstart\tend\tscore\tofficial_fold\ttext"]
    for number, score in enumerate(scores):
        video = f"v{number // 5:02}"
        rows.append(f"{video}_{number % 5}\t{video}\t0.0\t1.5\t{score}\ttrain\tSOME WORDS")
    (root / "segments_train.tsv").write_text("\n".join(rows) + "\n")
    for name, dim in (("text", 100), ("audio", 73), ("video", 100)):
        values = rng.normal(size=(len(scores), dim))
        if name == "text":
            values += 2 * scores[:, None]
        text = "\n".join(",".join(f"{value:.6f}" for value in row) for row in values)
        (root / "features" / f"{name}_train.csv").write_text(text + "\n")
    return root


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vectors(tmp_path_factory.mktemp("mosi_vectors"))


def settings(place: Workplace, root: Path, *overrides: str) -> list[str]:
    given = (*SMALL, "optim.lr=1e-2", f"data.root={root}", f"data.cache={place.folder}/cache")
    merged = dict(text.split("=", 1) for text in (*given, *overrides))
    return [f"{key}={value}" for key, value in merged.items()]


def score(place: Workplace, experiment: str, *overrides: str, folds: int = 1) -> Said:
    """Fit some folds in this process, and sum up; returns what the report prints."""
    for fold in range(folds):
        said = place.sermm("fit", experiment, *overrides, f"fold={fold}")
        assert (said.status, said.err) == (0, ""), said
    said = place.sermm("report", experiment)
    assert said.status == 0, said
    return said


def summary_of(place: Workplace, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((place.folder / "runs" / name / "summary.json").read_text())
    return found


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("experiment", ["acoustic_mosei", "fusion_mosei", "text_mosei"])
def test_sentiment_from_csd_files(place: Workplace, mosei: Path, experiment: str) -> None:
    score(place, experiment, *settings(place, mosei))
    summary = summary_of(place, experiment)
    assert (summary["kind"], summary["family"]) == ("regression", "sentiment")
    assert summary["protocol"] == "mosei-standard"
    assert {"mae", "pearson_r", "ccc", "acc2_has0", "acc2_non0", "f1_non0", "acc7"} <= set(
        summary["metrics"]
    )
    assert set(summary["trivial"]) == {"train_mean", "zero"}
    (folder,) = (place.folder / "runs" / experiment).glob("fold=*")
    rows = rows_of(folder / "predictions.csv")
    assert len(rows) == 8
    assert list(rows[0]) == ["utterance_id", "speaker", "true_sentiment", "predicted_sentiment"]
    errors = [abs(float(r["true_sentiment"]) - float(r["predicted_sentiment"])) for r in rows]
    assert summary["metrics"]["mae"]["pooled"] == pytest.approx(np.mean(errors), abs=1e-6)
    # the video stands for the speaker
    assert {row["speaker"] for row in rows} == {row["utterance_id"].split("[")[0] for row in rows}


def test_a_checkpoint_predicts_ratings_on_their_own_scale(place: Workplace, mosei: Path) -> None:
    overrides = settings(place, mosei)
    assert place.sermm("fit", "acoustic_mosei", *overrides).status == 0
    (folder,) = (place.folder / "runs" / "acoustic_mosei").glob("fold=*")
    task, config, facts = load_task(folder / "checkpoints" / "best.ckpt")
    assert (facts.kind, facts.names, facts.num_train) == ("regression", ("sentiment",), 24)
    prepared = load_prepared_of(config)
    selection = make_selection(config, prepared)
    train = [selection.targets[name] for name in selection.folds[0].train]
    assert facts.train_means == pytest.approx(np.mean(train, axis=0))
    assert facts.train_stds == pytest.approx(np.std(train, axis=0))
    assert task.output.state_dict()["mean"].tolist() == pytest.approx(facts.train_means)


@pytest.mark.parametrize(
    ("labels", "kind", "names"),
    [
        ("mosei7", "classes", 7),
        ("mosei_emotions6", "regression", 6),
        ("mosei_presence6", "multilabel", 6),
    ],
)
def test_other_schemes_of_the_same_corpus(
    place: Workplace, mosei: Path, labels: str, kind: str, names: int
) -> None:
    overrides = settings(place, mosei, f"data.labels={labels}", "optim.epochs=1")
    if labels == "mosei7":
        # the small release lacks classes, and that is told
        said = place.sermm("fit", "acoustic_mosei", *overrides)
        assert said.status == 2
        assert "expected utterances of every class" in said.err
        return
    score(place, "acoustic_mosei", *overrides)
    summary = summary_of(place, "acoustic_mosei")
    assert (summary["kind"], len(summary["classes"])) == (kind, names)
    page = (place.folder / "runs" / "acoustic_mosei" / "report.html").read_text()
    assert "happy" in page


def test_features_of_the_release_are_read_once_and_again_when_they_change(
    place: Workplace, tmp_path: Path
) -> None:
    videos = csd_tree.make_videos("mosei", train=3, val=1, test=1)
    root = csd_tree.write_tree(tmp_path / "release", "mosei", videos)
    config = load_config("acoustic_mosei", settings(place, root))
    prepared = make_ready(config)
    first = load_ready(prepared, "covarep")
    assert len(first.items) == 15
    frames = first.load(prepared.utterances[0])
    assert frames.shape[1] == 74
    assert np.isfinite(frames).all()
    store = sorted(path.name for path in first.store.folder.glob("*.shard"))
    make_ready(config)
    assert sorted(path.name for path in first.store.folder.glob("*.shard")) == store
    # another sequence under the same name
    (path,) = root.rglob("*COVAREP*.csd")
    other = csd_tree.make_videos("mosei", train=3, val=1, test=1, seed=1)
    replaced = csd_tree.write_tree(tmp_path / "other", "mosei", other)
    (new,) = replaced.rglob("*COVAREP*.csd")
    path.write_bytes(new.read_bytes())
    prepared = make_ready(config)
    second = load_ready(prepared, "covarep")
    assert {item.key for item in second.items.values()} != {i.key for i in first.items.values()}


def test_utterances_without_features_are_left_out_and_listed(
    place: Workplace, tmp_path: Path
) -> None:
    videos = csd_tree.make_videos("mosei", train=4, val=1, test=1)
    root = csd_tree.write_tree(tmp_path / "release", "mosei", videos)
    (path,) = root.rglob("*COVAREP*.csd")
    config = load_config("acoustic_mosei", settings(place, root))
    lost = next(u.speaker for u in make_ready(config).utterances if u.part == "train")
    assert lost is not None
    with h5py.File(path, "r+") as file:
        (name,) = file.keys()
        del file[name]["data"][lost]
    selection = make_selection(config, make_ready(config))
    gone = [e for e in selection.exclusions if "no mosei covarep" in e.reason]
    assert len(gone) == 3
    assert all(e.id.startswith(lost) for e in gone)
    assert not any(name.startswith(lost) for name in selection.utterances)
    # words are still there for others
    text = load_config("text_mosei", settings(place, root))
    assert len(make_selection(text, make_ready(text)).utterances) == 18


def test_late_fusion_is_tested_with_each_modality_missing(place: Workplace, vectors: Path) -> None:
    overrides = settings(place, vectors, "optim.epochs=30", "optim.lr=3e-3")
    said = score(place, "fusion_mosi", *overrides, folds=2)
    summary = summary_of(place, "fusion_mosi")
    assert set(summary["conditions"]) == {"only-text", "only-audio"}
    error = {name: scores["mae"]["pooled"] for name, scores in summary["conditions"].items()}
    # text knows, audio does not
    assert error["only-text"] < error["only-audio"] - 0.3
    assert summary["metrics"]["mae"]["pooled"] < error["only-audio"]
    assert "trained with the labels" in summary["leak"]
    assert "only audio" in said.out
    for folder in (place.folder / "runs" / "fusion_mosi").glob("fold=*"):
        files = {path.name for path in folder.glob("predictions*.csv")}
        assert files == {
            "predictions.csv",
            "predictions.only-text.csv",
            "predictions.only-audio.csv",
        }
        assert len({len(rows_of(folder / name)) for name in files}) == 1


def test_what_no_labels_made_does_not_leak(place: Workplace, vectors: Path) -> None:
    score(place, "acoustic_mosi", *settings(place, vectors))
    summary = summary_of(place, "acoustic_mosi")
    assert summary["leak"] == ""
    assert summary["conditions"] == {}


def test_two_classes_without_zero(place: Workplace, vectors: Path) -> None:
    score(place, "fusion_classes_mosi", *settings(place, vectors, "optim.epochs=1"))
    summary = summary_of(place, "fusion_classes_mosi")
    assert summary["classes"] == ["negative", "positive"]


# --- votes


def test_votes_train_and_the_label_is_scored(place: Workplace) -> None:
    hard = place.fit("linear", "name=hard")
    soft = place.fit("linear", "name=soft", "data.soft_labels=true")
    one, other = (rows_of(folder / "predictions.csv") for folder in (hard, soft))
    assert [row["label"] for row in one] == [row["label"] for row in other]
    assert [row["p_sad"] for row in one] != [row["p_sad"] for row in other]
    metrics = json.loads((soft / "metrics.json").read_text())
    assert "trained on the shares of the raters' votes" in metrics["notes"]
    hashes = {
        json.loads((folder / "environment.json").read_text())["data_sha256"]
        for folder in (hard, soft)
    }
    assert len(hashes) == 2


def test_labels_that_nobody_voted_for(place: Workplace, vectors: Path) -> None:
    overrides = settings(place, vectors, "data.soft_labels=true")
    said = place.sermm("fit", "fusion_mosi", *overrides)
    assert said.status == 2
    assert "data.soft_labels: expected labels that raters voted for" in said.err


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (
            "model.vectors=[]",
            r"model.vectors: expected features of mosi_vectors: text, audio, video",
        ),
        ("model.vectors=[words]", "model.vectors: expected one of text, audio, video"),
        ("optim.select=ua", "optim.select: expected one of mae"),
        ("data.batch_seconds=10", "data.batch_seconds: expected a task that hears"),
        ("data.protocol=mosei-standard", "data.protocol: expected a protocol of mosi_vectors"),
        ("data.labels=iemocap4", "data.labels: expected one of mosi_vectors_sentiment"),
    ],
)
def test_settings_that_do_not_belong_together(
    place: Workplace, vectors: Path, override: str, expected: str
) -> None:
    said = place.sermm("fit", "fusion_mosi", *settings(place, vectors, override))
    assert said.status == 2
    assert expected in said.err
