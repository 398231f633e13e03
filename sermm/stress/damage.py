"""Ways in which recordings and words get worse, each with a level that is a number.

Every damage of a clip depends on the clip's name, the level and the seed alone, so that the same
command gives the same curve. Waveforms are ``(N,)`` float32, 16 kHz.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.signal import butter, sosfiltfilt
from torchaudio.functional import mu_law_decoding, mu_law_encoding, resample

from data_modules.audio import SAMPLE_RATE, Array
from data_modules.manifest import Word
from data_modules.words import transcript_words

_BABBLERS = 6
_TELEPHONE_HZ = (300.0, 3400.0)
_TELEPHONE_RATE = 8000


@dataclass(frozen=True)
class Material:
    """What damages draw from.

    Attributes:
        others: Waveforms of other clips of the test part, for babble.
        vocabulary: Words of the test part, for wrong ones.
    """

    others: Sequence[Array]
    vocabulary: Sequence[str]


@dataclass(frozen=True)
class Damage:
    """One kind.

    Attributes:
        title: For the picture.
        unit: Of the level.
        levels: That are tried unless others are asked for, from mild to bad; of damages with two
            sides from one to the other.
        ends: The lowest and the highest level that mean anything.
        undamaged: The level at which nothing happens; None where there is none.
        sound: What it does to a waveform.
        words: What it does to a text.
    """

    title: str
    unit: str
    levels: tuple[float, ...]
    ends: tuple[float, float]
    undamaged: float | None = None
    sound: Callable[[Array, float, np.random.Generator, Material], Array] | None = None
    words: Callable[[str, float, np.random.Generator, Material], str] | None = None


def generator_of(name: str, kind: str, level: float, seed: int) -> np.random.Generator:
    """Random numbers of one clip under one damage."""
    digest = hashlib.sha256(f"{name} {kind} {level!r}".encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])


def _at_snr(waveform: Array, noise: np.ndarray, snr_db: float) -> Array:
    """The clip with noise so loud that their powers have this ratio; silence stays silent."""
    power = float(np.mean(np.square(waveform, dtype=np.float64)))
    own = float(np.mean(np.square(noise, dtype=np.float64)))
    scale = np.sqrt(power / max(own, 1e-20) / 10 ** (snr_db / 10))
    louder: Array = (waveform + scale * noise).astype(np.float32)
    return louder


def white_noise(waveform: Array, snr_db: float, draw: np.random.Generator, _: Material) -> Array:
    """Noise with equal power at all frequencies."""
    return _at_snr(waveform, draw.normal(size=len(waveform)), snr_db)


def babble(waveform: Array, snr_db: float, draw: np.random.Generator, given: Material) -> Array:
    """Other clips of the test part, six at once, each from somewhere in it and repeated."""
    noise = np.zeros(len(waveform))
    for number in draw.choice(len(given.others), size=min(_BABBLERS, len(given.others))):
        voice = given.others[int(number)]
        level = np.sqrt(np.mean(np.square(voice, dtype=np.float64))) + 1e-9
        noise += np.resize(np.roll(voice, int(draw.integers(len(voice)))), len(waveform)) / level
    return _at_snr(waveform, noise, snr_db)


def gain(waveform: Array, level_db: float, _: np.random.Generator, __: Material) -> Array:
    """Louder or softer; what exceeds full scale is clipped, as a recorder does."""
    louder = waveform * np.float32(10 ** (level_db / 20))
    clipped: Array = np.clip(louder, -1.0, 1.0)
    return clipped if level_db > 0 else louder


def telephone(waveform: Array, passes: float, _: np.random.Generator, __: Material) -> Array:
    """Telephone band, 300 to 3400 Hz at 8 kHz with 8 bits (mu-law), so many times over."""
    band = butter(4, _TELEPHONE_HZ, btype="bandpass", fs=_TELEPHONE_RATE, output="sos")
    sound = torch.from_numpy(np.ascontiguousarray(waveform))
    for _pass in range(int(passes)):
        narrow = resample(sound, SAMPLE_RATE, _TELEPHONE_RATE).numpy()
        # shorter than the filter's own run-up: nothing to filter
        if len(narrow) > 30:
            narrow = sosfiltfilt(band, narrow)
        coded = mu_law_encoding(torch.from_numpy(np.clip(narrow, -1, 1).astype(np.float32)), 256)
        sound = resample(mu_law_decoding(coded, 256), _TELEPHONE_RATE, SAMPLE_RATE)
    return np.resize(sound.numpy(), len(waveform)).astype(np.float32)


def speed(waveform: Array, factor: float, _: np.random.Generator, __: Material) -> Array:
    """Played faster or slower, so that pitch and length change together."""
    rate = round(SAMPLE_RATE * factor)
    played: Array = resample(torch.from_numpy(waveform), rate, SAMPLE_RATE).numpy()
    return played


def part_kept(num_samples: int, share: float, draw: np.random.Generator) -> slice:
    """Where the part lies that :func:`truncation` leaves of a clip."""
    size = max(1, round(num_samples * share))
    start = int(draw.integers(num_samples - size + 1))
    return slice(start, start + size)


def truncation(waveform: Array, share: float, draw: np.random.Generator, _: Material) -> Array:
    """A share of the clip from somewhere in it."""
    return np.ascontiguousarray(waveform[part_kept(len(waveform), share, draw)])


def words_kept(words: Sequence[Word], part: slice) -> list[Word]:
    """Words whose middle lies in a part of a clip, with their times from its start.

    Args:
        words: Timed from the start of the clip.
        part: Samples, as from :func:`part_kept`.
    """
    start, end = part.start / SAMPLE_RATE, part.stop / SAMPLE_RATE
    return [
        replace(
            word,
            start_s=max(word.start_s, start) - start,
            end_s=min(word.end_s, end) - start,
        )
        for word in words
        if start <= (word.start_s + word.end_s) / 2 < end
    ]


def wrong_words(text: str, rate: float, draw: np.random.Generator, given: Material) -> str:
    """Words replaced, left out or put in by chance, each a third of this error rate."""
    words: list[str] = []
    for word in transcript_words(text):
        fate = draw.random() / max(rate, 1e-12)
        if fate < 1 / 3:
            words.append(given.vocabulary[int(draw.integers(len(given.vocabulary)))])
        elif fate < 2 / 3:
            continue
        elif fate < 1:
            words += [word, given.vocabulary[int(draw.integers(len(given.vocabulary)))]]
        else:
            words.append(word)
    return " ".join(words)


DAMAGES: Mapping[str, Damage] = {
    "white": Damage("white noise", "dB SNR", (30, 20, 10, 5, 0), (-40, 100), sound=white_noise),
    "babble": Damage("babble", "dB SNR", (30, 20, 10, 5, 0), (-40, 100), sound=babble),
    "gain": Damage("gain", "dB", (-20, -10, 10, 20), (-100, 100), 0, sound=gain),
    "telephone": Damage("telephone line", "times", (1, 2), (0, 10), 0, sound=telephone),
    "speed": Damage("speed", "times", (0.8, 0.9, 1.1, 1.25), (0.25, 4), 1, sound=speed),
    "truncation": Damage(
        "truncation", "share kept", (0.75, 0.5, 0.25), (0.01, 1), 1, sound=truncation
    ),
    "words": Damage("wrong words", "error rate", (0.1, 0.2, 0.4), (0, 1), 0, words=wrong_words),
}
"""All kinds, by the name that ``--damage`` knows."""
