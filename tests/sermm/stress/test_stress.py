"""Damages do what their level says, and the curve of a run starts at its own score."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from data_modules.manifest import Word
from data_modules.words import transcript_words
from sermm.predict.encoding import Encoded
from sermm.predict.predictor import load
from sermm.predict.recording import Recording
from sermm.statistics import Interval
from sermm.stress.command import curve
from sermm.stress.damage import (
    DAMAGES,
    Material,
    generator_of,
    part_kept,
    words_kept,
    wrong_words,
)
from sermm.stress.run import Level, StressTest
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
    for level in (*DAMAGES[kind].levels, *DAMAGES[kind].ends):
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


def test_words_go_with_the_sound_they_were_said_in() -> None:
    part = part_kept(RATE, 0.5, np.random.default_rng(1))
    assert part.stop - part.start == RATE // 2
    words = [Word("no", 0.0, 0.4, "corpus"), Word("in", 0.4, 0.6, "corpus")]
    words += [Word("cut", 0.55, 0.8, "corpus"), Word("out", 0.6, 1.0, "corpus")]
    kept = words_kept(words, slice(RATE // 2, RATE * 7 // 10))
    # the middle of "in" is the first sample, those of the others lie before, in and behind
    assert [word.text for word in kept] == ["in", "cut"]
    assert (kept[0].start_s, kept[0].end_s) == pytest.approx((0.0, 0.1))
    assert (kept[1].start_s, kept[1].end_s) == pytest.approx((0.05, 0.2))


def test_a_curve_passes_through_what_is_not_damaged() -> None:
    score = Interval(0.5, 0.4, 0.6, 0.95, 9)
    clean = Level("none", 0.0, score, 60, {})

    def levels(kind: str, *given: float) -> list[float]:
        return [one.level for one in curve([Level(kind, x, score, 60, {}) for x in given], clean)]

    assert levels("gain", -20, -10, 10, 20) == [-20, -10, 0, 10, 20]
    assert levels("speed", 1.25, 0.8) == [0.8, 1, 1.25]
    assert levels("truncation", 0.75, 0.5) == [0.5, 0.75, 1]
    assert levels("speed", 1.0, 0.8) == [0.8, 1]
    assert levels("white", 20, 0) == [0, 20]


@pytest.mark.parametrize("kind", ["gain", "speed", "truncation", "words", "telephone"])
def test_nothing_happens_at_the_undamaged_level(kind: str) -> None:
    damage = DAMAGES[kind]
    assert damage.undamaged is not None
    assert damage.undamaged not in damage.levels
    if damage.sound is not None:
        assert np.array_equal(damaged(kind, damage.undamaged), CLIP)


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
    # the corpus of this test has two speakers in each test part
    assert {row["low"] + row["high"] for row in rows} == {""}
    assert "2 speakers: too few for an interval" in said.out
    place.fit("linear", "name=base", "optim.epochs=1")
    said = place.sermm("stress", "base", "--damage", "words")
    assert (said.status, "got words" in said.err) == (2, True)
    said = place.sermm("stress", "base", "--level", "3")
    assert (said.status, "one --damage" in said.err) == (2, True)
    for level in ("2", "0", "nan"):
        said = place.sermm("stress", "base", "--damage", "truncation", "--level", level)
        assert said.status == 2
        assert said.err.startswith("error: --level: expected share kept of truncation between 0.01")


def test_a_killed_command_goes_on_with_the_levels_that_it_had(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = place.fit("linear", "name=base", "optim.epochs=1")
    command = ("stress", "base", "--damage", "white", "--limit", "6")
    assert place.sermm(*command).status == 0
    whole = {path.name: path.read_bytes() for path in (run / "stress").iterdir()}
    assert set(whole) == {"stress.json", "stress.csv", "stress.svg"}

    measured: list[float] = []
    measure = StressTest.measure

    def killed_after(most: int) -> Callable[[StressTest, str, float], Level]:
        def stand_in(test: StressTest, damage: str, level: float) -> Level:
            if len(measured) == most:
                raise KeyboardInterrupt
            measured.append(level)
            return measure(test, damage, level)

        return stand_in

    shutil.rmtree(run / "stress")
    monkeypatch.setattr(StressTest, "measure", killed_after(4))
    assert place.sermm(*command).status == 130
    assert [path.name for path in (run / "stress").iterdir()] == ["unfinished.json"]
    monkeypatch.setattr(StressTest, "measure", killed_after(6))
    said = place.sermm(*command)
    assert (said.status, "4 levels measured before" in said.out) == (0, True), said
    assert len(measured) == 6
    assert {path.name: path.read_bytes() for path in (run / "stress").iterdir()} == whole

    # what was measured with other draws is of no use
    measured.clear()
    monkeypatch.setattr(StressTest, "measure", killed_after(1))
    assert place.sermm(*command).status == 130
    monkeypatch.setattr(StressTest, "measure", killed_after(7))
    assert place.sermm(*command, "--damage-seed", "1").status == 0
    assert len(measured) == 7


@pytest.mark.parametrize("experiment", ["span", "none"])
def test_a_cut_takes_the_words_that_are_not_heard_any_more(
    place: Workplace, experiment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = place.fit(experiment, f"name={experiment}", "optim.epochs=1")
    test = StressTest(load(run, aligner="uniform", raw=True), limit=8)
    read: dict[str, str] = {}
    encode = test.predictor.encoder.encode

    def watched(recording: Recording, *given: Any, **named: Any) -> Encoded:
        read[recording.name] = recording.text or ""
        return encode(recording, *given, **named)

    monkeypatch.setattr(test.predictor.encoder, "encode", watched)
    found = test.measure("truncation", 0.25)
    assert (found.failed, found.num_whole_text) == ({}, 0)
    whole = {u.id: transcript_words(u.text or "") for u in test.utterances}
    kept = {name: transcript_words(text) for name, text in read.items()}
    share = sum(map(len, kept.values())) / sum(map(len, whole.values()))
    assert share == pytest.approx(0.25, abs=0.15)
    for name, words in kept.items():
        assert " ".join(words) in " ".join(whole[name])
    # nobody knows when the words of the first are said
    test.utterances[0] = replace(test.utterances[0], words=())
    found = test.measure("truncation", 0.25)
    assert (found.failed, found.num_whole_text) == ({}, 1)
    first = test.utterances[0]
    assert read[first.id] == first.text
