from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_modules.errors import DataError
from sermm import results
from sermm.predictions import read_predictions, write_predictions
from sermm.run_metrics import RunKey, read_run_metrics, write_run_metrics
from sermm.scoring import find_scoring
from tests.sermm.fake_runs import FakeExperiment, change_cells

CLASSES = ("calm", "a,b", 'say "x"')
IDS = ["u2", "u1", "u,3"]
SPEAKERS = ["s1", None, "ß"]
LABELS = np.array([0, 1, 2])
PROBABILITIES = np.array([[0.5, 0.3, 0.2], [0.25, 0.5, 0.25], [0.1, 0.2, 0.7]], np.float32)
PREDICTED = PROBABILITIES.argmax(axis=1)
SCORING = find_scoring("classes", CLASSES, "classes")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "predictions.csv"
    write_predictions(file, IDS, SPEAKERS, LABELS, PREDICTED, PROBABILITIES, SCORING)
    return file


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    experiment = FakeExperiment(tmp_path / "runs" / "fake", folds=1, seeds=(0,))
    return experiment.write_run(RunKey(0, 0))


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def edit_json(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_predictions_come_back_in_order_of_their_ids(path: Path) -> None:
    read = read_predictions(path)
    order = [2, 1, 0]
    assert read.ids == ("u,3", "u1", "u2")
    assert read.speakers == ("ß", "", "s1")
    assert read.clusters == ("ß", "utterance u1", "s1")
    assert (read.kind, read.names) == ("classes", CLASSES)
    np.testing.assert_array_equal(read.references, LABELS[order])
    np.testing.assert_array_equal(read.outcomes, PREDICTED[order])
    assert read.probabilities is not None
    np.testing.assert_array_equal(read.probabilities.astype(np.float32), PROBABILITIES[order])


def test_equal_predictions_give_equal_bytes_in_any_order(path: Path, tmp_path: Path) -> None:
    order = [1, 2, 0]
    other = tmp_path / "other.csv"
    write_predictions(
        other,
        [IDS[k] for k in order],
        [SPEAKERS[k] for k in order],
        LABELS[order],
        PREDICTED[order],
        PROBABILITIES[order],
        SCORING,
    )
    assert other.read_bytes() == path.read_bytes()
    assert path.read_bytes().startswith(b"utterance_id,speaker,label,predicted,p_calm,")
    assert b"\r" not in path.read_bytes()


@given(st.integers(0, 2**32 - 1))
def test_near_ties_stay_what_they_were(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """Probabilities one float32 step apart keep their order in the file."""
    generator = np.random.default_rng(seed)
    half = np.float32(generator.uniform(0.3, 0.5))
    pair = np.array([half, np.nextafter(half, np.float32(1))], dtype=np.float32)
    values = np.concatenate([generator.permutation(pair), [np.float32(1) - pair.sum()]])[None]
    predicted = values.argmax(axis=1)
    file = tmp_path_factory.getbasetemp() / "ties.csv"
    scoring = find_scoring("classes", ("a", "b", "c"), "classes")
    write_predictions(file, ["u"], ["s"], np.array([0]), predicted, values, scoring)
    found = read_predictions(file).probabilities
    assert found is not None
    np.testing.assert_array_equal(found.astype(np.float32), values)


def test_a_byte_order_mark_changes_nothing(path: Path) -> None:
    before = read_predictions(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_predictions(path).ids == before.ids


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("u2,", "u1,", r"predictions\.csv:4: expected an id that occurs once, got u1 again"),
        ("u2,", ",", r":4: expected an id that occurs once, got an empty one"),
        ("u2,s1,calm", "u2,s1,clam", r":4: expected one of calm, a,b, .*got 'clam'"),
        ("calm,calm", "calm,clam", r"got 'clam'"),
        ("0.5,0.3", "0.5,0.9", r":4: expected probabilities between 0 and 1 that sum to 1"),
        ("0.5,0.3", "nan,0.3", r"between 0 and 1 that sum to 1"),
        ("0.5,0.3", "-0.5,1.3", r"between 0 and 1 that sum to 1"),
        ("0.5,0.3", "half,0.3", r":4: expected probabilities, got 'half'"),
        ("0.5,0.3", "0.3,0.5", r":4: expected the likeliest class as predicted, got calm,"),
        ("u2,s1,", "u2,", r":4: expected 7 cells, got 6"),
        ("p_calm", "calm", r"csv:1: expected columns utterance_id,speaker,label,predicted,p_"),
        ("utterance_id,", "", r"csv:1: expected columns"),
        ('"p_a,b"', "p_calm", r"csv:1: expected columns"),
        ("u2", '"u2', r"expected a CSV file in UTF-8, got unexpected end of data"),
    ],
)
def test_damaged_predictions_name_line_and_reason(
    path: Path, old: str, new: str, match: str
) -> None:
    edit(path, old, new)
    with pytest.raises(DataError, match=match):
        read_predictions(path)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "got nothing"),
        (b"utterance_id,speaker,label,predicted,p_a,p_b\n", "expected test utterances, got none"),
        (b"utterance_id;speaker;label;predicted;p_a;p_b\n", "expected columns"),
        (b"\xff\xfe\x00", "a CSV file in UTF-8"),
    ],
)
def test_files_that_are_no_predictions(path: Path, content: bytes, match: str) -> None:
    path.write_bytes(content)
    with pytest.raises(DataError, match=match):
        read_predictions(path)
    path.unlink()
    with pytest.raises(DataError, match="got no file; delete the run folder"):
        read_predictions(path)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"ids": ["u1", "u1", "u3"]}, "occur once"),
        ({"ids": ["u1", "u2"]}, "2 utterances and 3 names"),
        ({"references": np.array([0, 1, -1])}, r"references in 0 \.\. 2"),
        ({"outcomes": np.array([0, 1, 3])}, r"outcomes in 0 \.\. 2"),
        ({"probabilities": None}, "3 utterances and 3 names everywhere"),
        ({"probabilities": PROBABILITIES * 2}, "between 0 and 1 that sum to 1, got others for u2"),
        ({"probabilities": PROBABILITIES * np.nan}, "between 0 and 1 that sum to 1"),
        ({"outcomes": np.array([1, 1, 2])}, "the likeliest class as predicted, got others for u2"),
    ],
)
def test_wrong_predictions_are_not_written(
    tmp_path: Path, change: dict[str, object], match: str
) -> None:
    arguments: dict[str, object] = {
        "ids": IDS,
        "speakers": SPEAKERS,
        "references": LABELS,
        "outcomes": PREDICTED,
        "probabilities": PROBABILITIES,
        "scoring": SCORING,
    }
    with pytest.raises(ValueError, match=match):
        write_predictions(tmp_path / "x.csv", **{**arguments, **change})  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


@given(st.integers(0, 99), st.integers(0, 2**31), st.none() | st.integers(1, 10**6))
def test_run_keys_are_folder_names(fold: int, seed: int, size: int | None) -> None:
    key = RunKey(fold, seed, size)
    assert RunKey.from_folder_name(key.folder_name) == key


@pytest.mark.parametrize("name", ["fold=01,seed=0,size=all", "fold=0,seed=0", "checkpoints", ""])
def test_other_folders_are_no_runs(name: str) -> None:
    assert RunKey.from_folder_name(name) is None


def test_finished_runs_are_found_in_order(tmp_path: Path) -> None:
    experiment = FakeExperiment(tmp_path / "fake", folds=2, seeds=(1, 0), sizes=(None, 20)).write()
    (experiment.folder / "fold=9,seed=0,size=all").mkdir()  # begun, not finished
    (experiment.folder / "wandb").mkdir()
    expected = [RunKey(f, s, size) for size in (20, None) for f in (0, 1) for s in (0, 1)]
    assert results.find_runs(experiment.folder) == expected
    assert results.find_runs(tmp_path / "none") == []


def test_a_run_reads_as_it_was_written(run_folder: Path) -> None:
    run = results.read_run(run_folder)
    assert run.key == RunKey(0, 0, None)
    assert run.metrics == read_run_metrics(run_folder / "metrics.json")
    assert run.metrics.excluded.count == 7
    assert len(run.predictions.ids) == run.metrics.num_test == 60
    history = results.read_history(run_folder)
    assert history.epochs.tolist() == list(range(12))
    scores = {f"val/{name}" for name in ("ua", "wa", "macro_f1", "weighted_f1")}
    assert set(history.columns) == {"train/loss", "val/loss", *scores, "lr"}
    assert results.read_environment(run_folder)["cpu_count"] == 2
    assert results.read_config_text(run_folder).startswith("name: fake\n")


def test_metrics_survive_a_second_writing(run_folder: Path) -> None:
    path = run_folder / "metrics.json"
    before = path.read_bytes()
    write_run_metrics(path, read_run_metrics(path))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"num_test": 61}, r"metrics\.json: expected num_test as in predictions\.csv, 60, got 61"),
        ({"fold": 1}, r"expected the run of its folder, RunKey\(fold=0"),
        ({"metrics": {"ua": 0.1, "wa": 0.1}}, r"expected ua of predictions\.csv, 0\."),
        ({"metrics": {}}, r"expected ua of predictions\.csv, .*got None"),
        ({"classes": ["happy", "neutral", "angry", "sad"]}, "expected the classes of predictions"),
        ({"classes": "abc"}, r"metrics\.json: classes: expected list, got 'abc'"),
        ({"seconds": None}, r"seconds: expected float or int, got None"),
        ({"seconds": float("nan")}, r"seconds: expected float or int, got nan"),
        ({"num_train": True}, r"num_train: expected int, got True"),
        ({"num_train": -1}, r"num_train: expected 0 or more, got -1"),
        ({"num_train": 5}, r"train_counts: expected 5 in sum"),
        ({"train_counts": {"happy": 1}}, r"train_counts: expected .*neutral"),
        ({"excluded": {"count": 3, "reasons": {"x": 2}}}, r"excluded\.count: expected the sum"),
        ({"excluded": {"count": 3}}, r"excluded\.reasons: expected a value, got none"),
        ({"alignment": {"corpus": "all"}}, r"alignment\.corpus: expected float or int, got 'all'"),
        ({"kind": "regression"}, r"family: expected the scores of a kind of target"),
        ({"family": "rating"}, r"family: .*scores for classes \(classes\), got 'rating'"),
        ({"train_means": {"happy": 1.0}}, r"train_means: expected \(\), got \('happy',\)"),
        ({"conditions": {"../x": {}}}, r"conditions\.\.\./x: expected a name of small letters"),
        ({"conditions": {"without-text": 1}}, r"conditions\.without-text: expected dict, got 1"),
        ({"conditions": {"without-text": {}}}, r"predictions\.without-text\.csv: .*got no file"),
    ],
)
def test_damaged_metrics_name_the_key(
    run_folder: Path, changes: dict[str, object], match: str
) -> None:
    edit_json(run_folder / "metrics.json", **changes)
    with pytest.raises(DataError, match=match):
        results.read_run(run_folder)


def test_a_run_of_before_other_targets_reads_as_one_of_classes(run_folder: Path) -> None:
    path = run_folder / "metrics.json"
    record = json.loads(path.read_text())
    for key in ("kind", "family", "train_means", "conditions"):
        del record[key]
    del record["metrics"]["weighted_f1"]
    path.write_text(json.dumps(record))
    run = results.read_run(run_folder)
    assert (run.metrics.kind, run.metrics.family) == ("classes", "classes")
    assert run.conditions == {}


@pytest.fixture
def rated_folder(tmp_path: Path) -> Path:
    experiment = FakeExperiment(
        tmp_path / "runs" / "rated",
        folds=1,
        seeds=(0,),
        classes=("sentiment",),
        family="sentiment",
        conditions=("without-text", "only-text"),
    )
    return experiment.write_run(RunKey(0, 0))


def test_conditions_are_read_beside_the_predictions(rated_folder: Path) -> None:
    run = results.read_run(rated_folder)
    assert list(run.conditions) == ["without-text", "only-text"]
    for name, said in run.conditions.items():
        assert said.ids == run.predictions.ids
        error = np.abs(said.outcomes - run.predictions.references).mean()
        assert run.metrics.conditions[name]["mae"] == pytest.approx(error)


@pytest.mark.parametrize(
    ("file", "old", "new", "match"),
    [
        ("predictions.without-text.csv", "spk00_000,spk00", "spk00_000,spk01", "ids, speakers and"),
        ("predictions.without-text.csv", "spk00_000,", "spk00_999,", "ids, speakers and labels as"),
        (
            "predictions.only-text.csv",
            "_sentiment",
            "_mood",
            "the classes of predictions.only-text",
        ),
        ("predictions.csv", "true_sentiment", "true_sentimen", "expected columns"),
    ],
)
def test_files_that_disagree_are_told(
    rated_folder: Path, file: str, old: str, new: str, match: str
) -> None:
    path = rated_folder / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DataError, match=match):
        results.read_run(rated_folder)


@pytest.mark.parametrize("where", ["metrics", "conditions"])
def test_a_changed_score_is_told(rated_folder: Path, where: str) -> None:
    path = rated_folder / "metrics.json"
    record = json.loads(path.read_text())
    scores = record["metrics"] if where == "metrics" else record["conditions"]["only-text"]
    scores["acc7"] += 0.01
    path.write_text(json.dumps(record))
    file = "predictions" if where == "metrics" else r"predictions\.only-text"
    with pytest.raises(DataError, match=rf"expected acc7 of {file}\.csv, 0\.\d+, got"):
        results.read_run(rated_folder)


def test_predictions_of_another_kind_are_told(rated_folder: Path) -> None:
    other = FakeExperiment(
        rated_folder.parents[1] / "tags",
        folds=1,
        seeds=(0,),
        classes=("sentiment",),
        family="multilabel",
    ).write_run(RunKey(0, 0))
    (rated_folder / "predictions.csv").write_bytes((other / "predictions.csv").read_bytes())
    with pytest.raises(DataError, match=r"the kind of predictions\.csv, multilabel, got re"):
        results.read_run(rated_folder)


def test_undefined_scores_are_null_and_come_back(rated_folder: Path) -> None:
    """A model that says the same of everything has no correlation."""
    metrics = change_cells(rated_folder, lambda cells: [cells[0], "0.25"])
    write_run_metrics(rated_folder / "metrics.json", replace(metrics, val={"mae": math.nan}))
    record = json.loads((rated_folder / "metrics.json").read_text(), parse_constant=pytest.fail)
    assert record["metrics"]["pearson_r"] is None
    assert record["val"] == {"mae": None}
    read = results.read_run(rated_folder).metrics
    assert math.isnan(read.metrics["pearson_r"])
    assert math.isnan(read.val["mae"])
    # a number in the place of what is undefined is no less wrong than another number
    edit_json(rated_folder / "metrics.json", metrics={**record["metrics"], "pearson_r": 0.0})
    with pytest.raises(DataError, match=r"expected pearson_r of predictions\.csv, nan, got 0\.0"):
        results.read_run(rated_folder)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"train_means": {}}, r"train_means: expected \('sentiment',\), got \(\)"),
        ({"train_counts": {"sentiment": 3}}, r"train_counts: expected \(\), got"),
    ],
)
def test_the_training_part_of_ratings_has_means(
    rated_folder: Path, changes: dict[str, object], match: str
) -> None:
    edit_json(rated_folder / "metrics.json", **changes)
    with pytest.raises(DataError, match=match):
        results.read_run(rated_folder)


def test_more_labels_than_utterances_are_told(tmp_path: Path) -> None:
    folder = FakeExperiment(
        tmp_path / "tags", folds=1, seeds=(0,), classes=("joy", "fear"), family="multilabel"
    ).write_run(RunKey(0, 0))
    edit_json(folder / "metrics.json", train_counts={"joy": 3, "fear": 99})
    with pytest.raises(DataError, match=r"train_counts: expected at most 60, got 99"):
        results.read_run(folder)


def test_missing_and_unreadable_files_name_their_path(run_folder: Path) -> None:
    for name, read in (
        ("history.csv", results.read_history),
        ("environment.json", results.read_environment),
        ("config.yaml", results.read_config_text),
        ("metrics.json", results.read_run),
    ):
        file = run_folder / name
        file.write_bytes(b"\xff\xfe{")
        with pytest.raises(DataError, match=re.escape(f"{file}: expected")):
            read(run_folder)
        file.unlink()
        with pytest.raises(DataError, match=re.escape(f"{file}: expected a file, got none")):
            read(run_folder)
    (run_folder / "environment.json").write_text("[1]")
    with pytest.raises(DataError, match="expected a JSON object, got list"):
        results.read_environment(run_folder)


@pytest.mark.parametrize("content", ["", "epoch,lr\n0\n", "lr\n0.1\n", "epoch\nfirst\n"])
def test_damaged_history(run_folder: Path, content: str) -> None:
    (run_folder / "history.csv").write_text(content)
    with pytest.raises(DataError, match=r"history\.csv: expected numbers under epoch"):
        results.read_history(run_folder)


def test_history_may_have_gaps_and_no_epochs(run_folder: Path) -> None:
    (run_folder / "history.csv").write_text("epoch,val/ua\n0,\n1,0.5\n")
    history = results.read_history(run_folder)
    np.testing.assert_array_equal(history.columns["val/ua"], [np.nan, 0.5])
    (run_folder / "history.csv").write_text("epoch,val/ua\n")
    assert results.read_history(run_folder).epochs.shape == (0,)
