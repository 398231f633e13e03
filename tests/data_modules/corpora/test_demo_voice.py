"""From clean speech to a noisy clip with word times, on signals whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_modules.corpora import demo_voice
from data_modules.corpora.demo_plan import Delivery
from data_modules.corpora.iemocap_files import parse_wdseg

RATE = 22_050
PLAIN = Delivery(
    rate=175,
    pitch=50,
    pitch_range=50,
    amplitude=22,
    gain_db=0.0,
    snr_db=20.0,
    lead_s=0.1,
    tail_s=0.2,
    noise_seed=1,
)


def tone(frequency: float, rate: int, seconds: float = 1.0) -> np.ndarray:
    """A tone that fades in and out, since a filter may ring where it starts."""
    times = np.arange(int(seconds * rate)) / rate
    return 0.3 * np.sin(2 * np.pi * frequency * times) * np.sin(np.pi * times / seconds) ** 2


@pytest.mark.parametrize("frequency", [50, 440, 3000, 7000])
def test_resampling_keeps_what_fits(frequency: float) -> None:
    resampled = demo_voice.resample(tone(frequency, RATE), RATE)
    assert len(resampled) >= 16_000
    np.testing.assert_allclose(resampled[:16_000], tone(frequency, 16_000), atol=1e-4)


@pytest.mark.parametrize("frequency", [8500, 10_500])
def test_resampling_removes_what_does_not(frequency: float) -> None:
    assert np.abs(demo_voice.resample(tone(frequency, RATE), RATE)).max() < 1e-4


def test_resampling_rings_for_no_more_than_a_frame() -> None:
    click = np.zeros(RATE)
    click[RATE // 2 + 1] = 1  # between two samples at 16 kHz, where ringing shows
    heard = np.abs(demo_voice.resample(click, RATE))
    assert heard[8000 - 5 : 8000 + 5].max() > 0.5
    # a cut without a fade would still ring with 0.002 of the click
    assert heard[: 8000 - 160].max() < 2e-4
    assert heard[8000 + 160 :].max() < 2e-4


def test_a_word_ends_with_its_sound() -> None:
    samples = np.zeros(RATE)
    # sound in 0-0.2, 0.5-0.7 and 0.71-0.9 s: a pause, then a gap that is too short for one
    for start, end in ((0.0, 0.2), (0.5, 0.7), (0.71, 0.9)):
        samples[int(start * RATE) : int(end * RATE)] = 0.1
    starts = (0, int(0.5 * RATE), int(0.71 * RATE))
    spoken = demo_voice.Spoken(samples, RATE, starts)
    assert demo_voice.word_frames(spoken) == [(0, 20), (50, 71), (71, 90)]


@given(
    cuts=st.lists(st.integers(1, 5_000), min_size=4, max_size=24, unique=True),
    tail=st.integers(1, 50),
)
def test_word_times_come_back_from_their_file(cuts: list[int], tail: int) -> None:
    bounds = sorted(cuts)[: len(cuts) // 2 * 2]
    spans = list(zip(bounds[::2], bounds[1::2], strict=True))
    words = [f"w{chr(97 + i)}" for i in range(len(spans))]
    num_frames = bounds[-1] + tail
    text = demo_voice.format_wdseg(words, spans, num_frames)
    parsed = parse_wdseg(text)
    assert isinstance(parsed, tuple)
    assert [word.text for word in parsed] == words
    assert [(word.start_s, word.end_s) for word in parsed] == [
        (start / 100, end / 100) for start, end in spans
    ]
    rows = [line.split() for line in text.splitlines()[1:-1]]
    assert (rows[0][3], rows[-1][3]) == ("<s>", "</s>")
    # every frame of the clip belongs to one row, end frames included
    covered = [frame for row in rows for frame in range(int(row[0]), int(row[1]) + 1)]
    assert covered == list(range(num_frames))


def test_a_recording_has_the_asked_level_noise_and_margins() -> None:
    spoken = demo_voice.Spoken(tone(440, RATE), RATE, (0,))
    recording, lead = demo_voice.record(spoken, replace(PLAIN, gain_db=-6.0206))
    assert recording.dtype == np.dtype("<i2")
    assert lead == 10
    assert len(recording) == 1.3 * 16_000
    noise = recording[: lead * 160].astype(float) / 32768
    level = np.sqrt(np.mean(spoken.samples[spoken.samples != 0] ** 2)) / 2
    assert np.std(noise) == pytest.approx(level / 10, rel=0.1)
    body = recording[lead * 160 :][:16_000] / 32768
    assert np.dot(body, tone(440, 16_000)) == pytest.approx(
        np.dot(tone(440, 16_000), tone(440, 16_000)) / 2, rel=0.02
    )
    again, _ = demo_voice.record(spoken, replace(PLAIN, gain_db=-6.0206))
    other, _ = demo_voice.record(spoken, replace(PLAIN, gain_db=-6.0206, noise_seed=2))
    assert np.array_equal(again, recording)
    assert not np.array_equal(other, recording)


def test_a_recording_that_clips_is_refused() -> None:
    spoken = demo_voice.Spoken(tone(440, RATE), RATE, (0,))
    with pytest.raises(ValueError, match="clips"):
        demo_voice.record(spoken, replace(PLAIN, gain_db=12.0))


@pytest.fixture
def voice() -> demo_voice.Voice:
    """One a test: the library has a single callback, that of the latest voice."""
    pytest.importorskip("espeakng_loader", reason="the extra 'demo' is not installed")
    return demo_voice.Voice("en-us+m3")


@pytest.mark.parametrize("name", ["en-us+nobody", "xx-nowhere", "en-gb"])
def test_an_unknown_voice_is_refused(name: str) -> None:
    pytest.importorskip("espeakng_loader", reason="the extra 'demo' is not installed")
    with pytest.raises(ValueError, match="espeak-ng has no"):
        demo_voice.Voice(name)


@pytest.mark.parametrize("stressed", [None, 3, 6])
def test_there_is_a_time_for_each_word(voice: demo_voice.Voice, stressed: int | None) -> None:
    tokens = ["The", "food", "was", "nasty,", "the", "room", "lovely."]
    spoken = voice.speak(tokens, stressed, PLAIN)
    assert spoken.starts[0] == 0
    assert list(spoken.starts) == sorted(set(spoken.starts))
    assert spoken.starts[-1] < len(spoken.samples)


def test_words_that_the_library_splits_are_refused(voice: demo_voice.Voice) -> None:
    with pytest.raises(ValueError, match="timed words"):
        voice.speak(["In", "1999."], None, PLAIN)


def test_stress_is_louder_longer_and_higher(voice: demo_voice.Voice) -> None:
    tokens = ["The", "food", "was", "nasty,", "the", "room", "lovely."]
    first, last = (voice.speak(tokens, stressed, PLAIN) for stressed in (3, 6))
    for position, stressed, plain in ((3, first, last), (6, last, first)):
        one, other = _word(stressed, position), _word(plain, position)
        assert len(one) > 1.15 * len(other)
        assert np.sqrt(np.mean(one**2)) > 1.5 * np.sqrt(np.mean(other**2))
        assert _pitch(one) > 1.1 * _pitch(other)


def test_a_loud_voice_that_clips_is_refused(voice: demo_voice.Voice) -> None:
    with pytest.raises(ValueError, match="clips"):
        voice.speak(["The", "food", "was", "nasty."], 3, replace(PLAIN, amplitude=150))


def _word(spoken: demo_voice.Spoken, position: int) -> np.ndarray:
    first, end = demo_voice.word_frames(spoken)[position]
    return spoken.samples[round(first * RATE / 100) : round(end * RATE / 100)]


def _pitch(word: np.ndarray) -> float:
    """F0 in Hz from the first peak of the autocorrelation of the loudest 60 ms."""
    width = round(0.06 * RATE)
    energy = np.convolve(word**2, np.ones(width), mode="valid")
    frame = word[int(np.argmax(energy)) :][:width]
    correlation = np.correlate(frame, frame, mode="full")[width - 1 :]
    lags = slice(round(RATE / 300), round(RATE / 60))
    return RATE / (lags.start + int(np.argmax(correlation[lags])))
