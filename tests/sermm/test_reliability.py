"""Calibration measured on synthetic logits whose calibration is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as reference

from data_modules.labels import Kind
from sermm.calibration import (
    calibration_error,
    fit_temperature,
    probabilities_of,
    write_calibrations,
)
from sermm.pool import Pool, pool_runs
from sermm.reliability import Said, calibrated, equal_mass, measure, said_by
from sermm.results import read_run
from tests.sermm.fake_runs import FakeExperiment


def drawn(kind: Kind, count: int, sharpness: float) -> tuple[Said, np.ndarray]:
    """Logits whose truth is drawn from their own probabilities; told with a wrong sharpness.

    With a sharpness of 1 they are calibrated by construction; above it they are overconfident, and
    the temperature that mends them is the sharpness.
    """
    generator = np.random.default_rng(7)
    logits = generator.normal(0, 1.5, (count, 4))
    shares = probabilities_of(logits, kind)
    if kind == "multilabel":
        truth = (generator.random(shares.shape) < shares).astype(np.int64)
    else:
        edges = np.cumsum(shares, axis=1)
        truth = (generator.random((count, 1)) > edges).sum(axis=1).clip(max=3)
    told = probabilities_of(sharpness * logits, kind)
    return Said(kind, told, truth, np.ones(count)), sharpness * logits


@pytest.mark.parametrize("kind", ["classes", "multilabel"])
def test_a_calibrated_model_is_told_from_chance_by_nothing(kind: Kind) -> None:
    said, _ = drawn(kind, 4_000, 1.0)
    found = measure(said)
    assert found["ece"] < 0.03
    assert found["ece"] <= found["ece_if_calibrated"]["quantile975"] * 1.2
    assert 0.3 < found["ece"] / found["ece_if_calibrated"]["mean"] < 2.2
    assert abs(found["overconfidence"]) < 0.02
    inside = [
        b["right_if_calibrated"][0] <= b["right"] <= b["right_if_calibrated"][1]
        for b in found["bins"]
    ]
    assert np.mean(inside) > 0.7


@pytest.mark.parametrize("kind", ["classes", "multilabel"])
def test_known_overconfidence_is_found_and_its_temperature_mends_it(kind: Kind) -> None:
    said, logits = drawn(kind, 6_000, 2.5)
    raw = measure(said)
    assert raw["ece"] > 3 * raw["ece_if_calibrated"]["quantile975"]
    if kind == "classes":
        assert raw["overconfidence"] > 0.08
    fitted = fit_temperature(logits, said.references, kind)
    assert fitted.temperature == pytest.approx(2.5, rel=0.06)
    mended = measure(Said(kind, probabilities_of(logits, kind, 2.5), said.references, said.weights))
    assert mended["ece"] < 0.025
    assert mended["nll"] < raw["nll"]
    assert mended["brier"] < raw["brier"]


def test_the_expected_error_of_a_known_gap_by_hand() -> None:
    """80 % confident and right in 60 %, 90 % confident and right in all: gaps of 0.2 and 0.1."""
    shares = np.array([[0.8, 0.2]] * 50 + [[0.9, 0.1]] * 50)
    truth = np.array([0] * 30 + [1] * 20 + [0] * 50)
    found = measure(Said("classes", shares, truth, np.ones(100)))
    assert found["ece"] == pytest.approx(0.5 * 0.2 + 0.5 * 0.1)
    assert found["overconfidence"] == pytest.approx(0.85 - 0.8)
    assert [b["count"] for b in found["bins"]] == [50, 50]
    # both classes have the same two gaps
    assert found["classwise_ece"] == pytest.approx(0.15)
    assert found["adaptive_ece"] == pytest.approx(0.15)
    brier = (30 * 2 * 0.04 + 20 * 2 * 0.64 + 50 * 2 * 0.01) / 100
    assert found["brier"] == pytest.approx(brier)


def test_figures_are_those_of_other_code() -> None:
    said, _ = drawn("classes", 500, 1.7)
    found = measure(said)
    assert found["ece"] == pytest.approx(
        calibration_error(said.probabilities, said.references, "classes")
    )
    assert found["nll"] == pytest.approx(reference.log_loss(said.references, said.probabilities))
    labels, _ = drawn("multilabel", 500, 1.7)
    found = measure(labels)
    assert found["ece"] == pytest.approx(
        calibration_error(labels.probabilities, labels.references, "multilabel")
    )
    each = [
        reference.brier_score_loss(labels.references[:, k], labels.probabilities[:, k])
        for k in range(4)
    ]
    assert found["brier"] == pytest.approx(np.mean(each))


def test_weights_count_as_copies() -> None:
    said, _ = drawn("classes", 60, 2.0)
    twice = np.repeat(np.arange(60), 2)
    copies = Said("classes", said.probabilities[twice], said.references[twice], np.full(120, 0.5))
    for key in ("ece", "brier", "nll", "overconfidence", "classwise_ece"):
        assert measure(copies)[key] == pytest.approx(measure(said)[key])


@pytest.mark.parametrize("kind", ["classes", "multilabel"])
def test_intervals_are_those_of_draws_of_whole_speakers(kind: Kind) -> None:
    said, _ = drawn(kind, 400, 2.0)
    speakers = [f"speaker{k % 8}" for k in range(400)]
    said = replace(said, clusters=speakers)
    found = measure(said)
    assert measure(replace(said, clusters=()))["ci95"]["ece"] is None
    generator = np.random.default_rng(1)
    rows = {name: np.flatnonzero(np.asarray(speakers) == name) for name in sorted(set(speakers))}
    again = []
    for _ in range(300):
        names = generator.choice(list(rows), size=8)
        chosen = np.concatenate([rows[name] for name in names])
        ece = calibration_error(said.probabilities[chosen], said.references[chosen], kind)
        again.append(ece)
    low, high = found["ci95"]["ece"]
    assert low < found["ece"] < high
    # Student's t with 7 degrees of freedom, and the factor for 8 speakers
    width = 2 * 2.365 * np.std(again) * np.sqrt(8 / 7)
    assert high - low == pytest.approx(width, rel=0.15)
    assert found["ci95"]["overconfidence"][0] < found["overconfidence"]
    assert 0 < found["ci95"]["brier"][0] < found["ci95"]["brier"][1] < 2


def test_a_truth_that_was_given_nothing_leaves_the_log_loss_without_an_interval() -> None:
    shares = np.array([[1.0, 0.0], [0.7, 0.3], [0.6, 0.4]])
    said = Said("classes", shares, np.array([1, 0, 0]), np.ones(3), ["a", "b", "c"])
    found = measure(said)["ci95"]
    assert found["nll"] is None
    assert found["brier"] is not None


def test_bins_of_equal_mass() -> None:
    confidence = np.random.default_rng(0).random(1_500)
    counts = np.bincount(equal_mass(confidence), minlength=15)
    assert counts.min() >= 98
    assert counts.max() <= 102
    assert set(equal_mass(np.full(20, 0.5)).tolist()) == {0}


def pool_of(made: FakeExperiment) -> Pool:
    return pool_runs([read_run(made.folder / key.folder_name) for key in made.keys])


@pytest.mark.parametrize("family", ["classes", "multilabel"])
def test_temperatures_of_runs_are_applied(tmp_path: Path, family: str) -> None:
    made = FakeExperiment(tmp_path / "x", folds=2, family=family).write()  # type: ignore[arg-type]
    pool = pool_of(made)
    assert calibrated(pool) == (None, [])
    raw = said_by(pool)
    scores = np.log(raw.probabilities)
    fitted = fit_temperature(scores[:60], raw.references[:60], raw.kind)
    for run in pool.runs:
        write_calibrations(run.folder, {"": fitted})
    scaled, temperatures = calibrated(pool)
    assert scaled is not None
    assert temperatures == [fitted.temperature] * 4
    shares = raw.probabilities ** (1 / fitted.temperature)
    if raw.kind == "classes":
        expected = shares / shares.sum(axis=1, keepdims=True)
    else:
        expected = shares / (shares + (1 - raw.probabilities) ** (1 / fitted.temperature))
    np.testing.assert_allclose(scaled.probabilities, expected, atol=1e-6)
    assert (scaled.probabilities.argmax(1) == raw.probabilities.argmax(1)).all()
