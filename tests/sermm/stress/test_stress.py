"""Damages do what their level says, and the curve of a run starts at its own score."""

from __future__ import annotations

import numpy as np
import pytest

from data_modules.words import transcript_words
from sermm.stress.damage import DAMAGES, Material, generator_of, wrong_words
from tests.sermm.workplace import Workplace, read_json, read_table

RATE = 16_000
CLIP = (0.3 * np.sin(np.arange(RATE) / 8)).astype(np.float32)
GIVEN = Material([CLIP[::-1].copy(), CLIP[: RATE // 3]], ["tin", "pan"])


def damaged(kind: str, level: float, clip: np.ndarray = CLIP) -> np.ndarray:
    sound = DAMAGES[kind].sound
    assert sound is not None
    return sound(clip, level, generator_of("u", kind, level, 0), GIVEN)


@pytest.mark.parametrize("kind", ["white", "babble"])
@pytest.mark.parametrize("snr_db", [20.0, 0.0])
def test_noise_has_the_stated_ratio(kind: str, snr_db: float) -> None:
    noise = damaged(kind, snr_db) - CLIP
    ratio = 10 * np.log10(np.mean(CLIP**2) / np.mean(noise**2))
    assert ratio == pytest.approx(snr_db, abs=0.05)
    assert not damaged(kind, snr_db, np.zeros(400, np.float32)).any()


def test_the_telephone_leaves_its_band() -> None:
    time = np.arange(RATE) / RATE
    for hertz, kept in ((1000, True), (100, False), (6000, False)):
        tone = (0.3 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)
        heard = damaged("telephone", 1, tone)
        spectrum = np.abs(np.fft.rfft(heard))[hertz]
        share = spectrum / np.abs(np.fft.rfft(tone))[hertz]
        assert (share > 0.8) if kept else (share < 0.1)
        assert len(heard) == len(tone)


def test_gain_speed_and_truncation() -> None:
    assert np.abs(damaged("gain", -20)).max() == pytest.approx(0.03, rel=1e-3)
    assert np.abs(damaged("gain", 20)).max() == 1.0
    assert len(damaged("speed", 1.25)) == pytest.approx(RATE / 1.25, abs=2)
    part = damaged("truncation", 0.25)
    assert len(part) == RATE // 4
    assert part.tobytes() in CLIP.tobytes()


@pytest.mark.parametrize("kind", [name for name, one in DAMAGES.items() if one.sound is not None])
def test_the_same_again_and_of_any_length(kind: str) -> None:
    for level in DAMAGES[kind].levels:
        assert np.array_equal(damaged(kind, level), damaged(kind, level))
        for size in (1, 37, 500):
            found = damaged(kind, level, CLIP[:size])
            assert found.dtype == np.float32
            assert np.isfinite(found).all()
            assert len(found)


def test_words_are_wrong_at_the_stated_rate() -> None:
    text = " ".join(f"w{k}" for k in range(6000))
    found = wrong_words(text, 0.3, generator_of("u", "words", 0.3, 0), GIVEN)
    words = transcript_words(found)
    put_in = sum(word in GIVEN.vocabulary for word in words)
    gone = 6000 - sum(word not in GIVEN.vocabulary for word in words)
    # a third replaced, a third gone, a third put in
    assert put_in / 6000 == pytest.approx(0.2, abs=0.02)
    assert gone / 6000 == pytest.approx(0.2, abs=0.02)
    assert wrong_words(text, 0.0, generator_of("u", "words", 0.0, 0), GIVEN) == text


def test_the_curve_starts_at_the_score_of_the_run(place: Workplace) -> None:
    run = place.fit("span", "name=both")
    said = place.sermm(
        "stress", "both", "--aligner", "uniform", "--damage", "white", "--damage", "words"
    )
    assert said.status == 0, said
    rows = read_table(run / "stress" / "stress.csv")
    assert [row["damage"] for row in rows] == ["none", *["white"] * 5, *["words"] * 3]
    score = read_json(run / "metrics.json")["metrics"]["ua"]
    assert float(rows[0]["estimate"]) == pytest.approx(score, abs=1e-6)
    assert "Nothing may be selected by it" in read_json(run / "stress" / "stress.json")["note"]
    assert (run / "stress" / "stress.svg").read_text().startswith("<?xml")
    place.fit("linear", "name=base", "optim.epochs=1")
    said = place.sermm("stress", "base", "--damage", "words")
    assert (said.status, "got words" in said.err) == (2, True)
    said = place.sermm("stress", "base", "--level", "3")
    assert (said.status, "one --damage" in said.err) == (2, True)
