"""``predictions.csv`` of ratings and of several labels; that of classes is in test_results.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_modules.errors import DataError
from sermm.predictions import predictions_file, read_predictions, write_predictions
from sermm.scoring import Scoring, find_scoring

IDS = ["u2", "u1", "u,3"]
SPEAKERS = ["s1", None, "ß"]
MOODS = find_scoring("regression", ("mood", "p_x,y"), "rating")
RATINGS = np.array([[0.5, -3], [1 / 3, 0], [-0.0, 2.5]], np.float32)
GUESSES = np.array([[1e-7, 7.25], [16777217, -0.0], [-1.5, 0.1]], np.float32)
TAGS = find_scoring("multilabel", ("joy", "predicted_fear"), "multilabel")
THERE = np.array([[1, 0], [0, 0], [1, 1]])
SHARES = np.array([[0.9, 0.1], [0.3, 0.31], [0.3000001, 0.7]], np.float32)
SAID = np.array([[1, 0], [0, 0], [1, 1]])


@pytest.fixture
def ratings(tmp_path: Path) -> Path:
    file = tmp_path / "predictions.csv"
    write_predictions(file, IDS, SPEAKERS, RATINGS, GUESSES, None, MOODS)
    return file


@pytest.fixture
def tags(tmp_path: Path) -> Path:
    file = tmp_path / "predictions.csv"
    write_predictions(file, IDS, SPEAKERS, THERE, SAID, SHARES, TAGS)
    return file


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


ORDER = [2, 1, 0]


def test_ratings_come_back_exactly(ratings: Path) -> None:
    read = read_predictions(ratings)
    assert (read.ids, read.speakers) == (("u,3", "u1", "u2"), ("ß", "", "s1"))
    assert (read.kind, read.names) == ("regression", MOODS.names)
    np.testing.assert_array_equal(read.references.astype(np.float32), RATINGS[ORDER])
    np.testing.assert_array_equal(read.outcomes.astype(np.float32), GUESSES[ORDER])
    assert read.probabilities is None
    assert ratings.read_text().splitlines() == [
        'utterance_id,speaker,true_mood,predicted_mood,"true_p_x,y","predicted_p_x,y"',
        '"u,3",ß,-0,-1.5,2.5,0.100000001',
        "u1,,0.333333343,16777216,0,-0",
        "u2,s1,0.5,1.00000001e-07,-3,7.25",
    ]


def test_labels_come_back_exactly(tags: Path) -> None:
    read = read_predictions(tags)
    assert (read.kind, read.names) == ("multilabel", TAGS.names)
    np.testing.assert_array_equal(read.references, THERE[ORDER])
    np.testing.assert_array_equal(read.outcomes, SAID[ORDER])
    assert read.probabilities is not None
    np.testing.assert_array_equal(read.probabilities.astype(np.float32), SHARES[ORDER])
    assert tags.read_text().startswith(
        "utterance_id,speaker,true_joy,predicted_joy,p_joy,"
        "true_predicted_fear,predicted_predicted_fear,p_predicted_fear\n"
    )
    # whether a label is predicted comes as 0 and 1 of any type
    again = tags.with_name("again.csv")
    write_predictions(again, IDS, SPEAKERS, THERE.astype(float), SAID.astype(bool), SHARES, TAGS)
    assert again.read_bytes() == tags.read_bytes()


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_scores_are_the_same_from_the_file(
    tmp_path_factory: pytest.TempPathFactory, values: list[float]
) -> None:
    scoring = find_scoring("regression", ("sentiment",), "sentiment")
    said = np.clip(np.array(values, np.float32), -1e3, 1e3)[:, None]
    true = np.roll(said, 1)
    file = tmp_path_factory.getbasetemp() / "same.csv"
    ids = [f"{k:04d}" for k in range(len(said))]
    write_predictions(file, ids, [""] * len(ids), true, said, None, scoring)
    read = read_predictions(file)
    np.testing.assert_array_equal(
        scoring.contributions(read.references, read.outcomes), scoring.contributions(true, said)
    )


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("0.5,1.0", "half,1.0", r"predictions\.csv:4: expected numbers, got 'half'"),
        ("0.5,1.0", "nan,1.0", r":4: expected ratings that are finite numbers, got nan,1\."),
        ("7.25", "inf", r":4: expected predictions that are finite numbers"),
        ("7.25", "1e99", r":4: expected predictions that are finite numbers"),
        ("7.25", "", r":4: expected numbers, got ''"),
        (",7.25", "", r":4: expected 6 cells, got 5"),
        ("predicted_mood", "predicted_moon", r"csv:1: expected columns utterance_id,speaker,label"),
        ("true_mood,predicted_mood,", "true_mood,", r"csv:1: expected columns"),
        ("u2", "u1", r":4: expected an id that occurs once, got u1 again"),
    ],
)
def test_damaged_ratings_name_line_and_reason(
    ratings: Path, old: str, new: str, match: str
) -> None:
    edit(ratings, old, new)
    with pytest.raises(DataError, match=match):
        read_predictions(ratings)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("u2,s1,1,1", "u2,s1,2,1", r":4: expected 0 or 1, got '2'"),
        ("u2,s1,1,1", "u2,s1,1,yes", r":4: expected 0 or 1, got 'yes'"),
        ("0.899999976", "1.5", r":4: expected probabilities between 0 and 1, got 1,1,1\.5"),
        ("0.899999976", "nan", r":4: expected probabilities between 0 and 1"),
        ("0.899999976", "much", r":4: expected probabilities, got 'much'"),
        ("u1,,0,0,0.300000012", "u1,,0,0,0.95", r":3: expected each label predicted from one"),
        ("u2,s1,1,1", "u2,s1,1,0", r":4: expected each label predicted from one probability on"),
        ("p_joy", "p_joj", r"csv:1: expected columns"),
    ],
)
def test_damaged_labels_name_line_and_reason(tags: Path, old: str, new: str, match: str) -> None:
    edit(tags, old, new)
    with pytest.raises(DataError, match=match):
        read_predictions(tags)


@pytest.mark.parametrize(
    ("scoring", "change", "match"),
    [
        (MOODS, {"outcomes": GUESSES * np.nan}, "predictions that are finite numbers, got others"),
        (MOODS, {"references": RATINGS[:, :1]}, r"3 utterances and 2 names everywhere"),
        (MOODS, {"probabilities": SHARES}, "no probabilities with regression"),
        (TAGS, {"outcomes": SHARES}, "references and outcomes of 0 and 1"),
        (TAGS, {"references": THERE * 3}, "references and outcomes of 0 and 1"),
        (TAGS, {"probabilities": None}, r"3 utterances and 2 names everywhere"),
        (TAGS, {"probabilities": SHARES * 2}, "probabilities between 0 and 1, got others for u2"),
        (TAGS, {"outcomes": 1 - SAID}, "each label predicted from one probability on"),
        (TAGS, {"speakers": ["s1"]}, "a speaker for each"),
    ],
)
def test_wrong_predictions_are_not_written(
    tmp_path: Path, scoring: Scoring, change: dict[str, object], match: str
) -> None:
    right: dict[str, object] = (
        {"references": RATINGS, "outcomes": GUESSES, "probabilities": None}
        if scoring is MOODS
        else {"references": THERE, "outcomes": SAID, "probabilities": SHARES}
    )
    arguments = {"ids": IDS, "speakers": SPEAKERS, "scoring": scoring, **right, **change}
    with pytest.raises(ValueError, match=match):
        write_predictions(tmp_path / "x.csv", **arguments)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_files_of_conditions_are_named_by_them() -> None:
    assert predictions_file() == "predictions.csv"
    assert predictions_file("without-text") == "predictions.without-text.csv"
