"""Speaks sentences of the demo corpus: text to a noisy 16 kHz clip and the times of its words.

Run as a process of its own for each speaker: espeak-ng gives other bytes when it has spoken before,
so equal corpora need a fresh library, its random numbers seeded, and a fixed order of sentences.
Torch stays out of it.
"""

from __future__ import annotations

import ctypes
import json
import sys
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from data_modules.corpora.demo_plan import Delivery

SAMPLE_RATE = 16_000
_FRAME = SAMPLE_RATE // 100
"""Samples of a frame of a .wdseg file."""
_PAUSE_FRAMES = 3
"""Shorter silences belong to the word before."""
_FULL_SCALE = 32767 / 32768
_LIMITER = 0.95
"""Near full scale espeak-ng turns itself down, which would flatten the stressed word."""

Samples = np.ndarray[Any, np.dtype[np.float64]]

# constants of espeak-ng's speak_lib.h
_SYNCHRONOUS = 2
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_UTF8_SSML = 0x01 | 0x10
_LIST_END, _WORD = 0, 1


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_uint64),
    )


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass(frozen=True, slots=True)
class Spoken:
    """Clean speech.

    Attributes:
        samples: ``(N,)`` in [-1, 1] at ``rate``.
        rate: Hz.
        starts: First sample of each word.
    """

    samples: Samples
    rate: int
    starts: tuple[int, ...]


class Voice:
    """One voice of espeak-ng.

    Args:
        name: Accent and variant, ``en-us+m3``.

    Raises:
        ValueError: The library has no such voice or variant.
    """

    def __init__(self, name: str) -> None:
        import espeakng_loader

        data = Path(espeakng_loader.get_data_path())
        variant = name.partition("+")[2]
        if variant and not (data / "voices" / "!v" / variant).is_file():
            raise ValueError(f"espeak-ng has no variant {variant}")
        self._chunks: list[Samples] = []
        self._events: list[tuple[int, int]] = []  # characters of a word, its first sample
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self.rate = self._library.espeak_Initialize(_SYNCHRONOUS, 0, str(data).encode(), 0)
        if self.rate <= 0:
            raise ValueError(f"espeak-ng did not start with its data at {data}")
        # kept on the object: the library calls it long after this method has returned
        self._callback = _CALLBACK(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)
        if self._library.espeak_SetVoiceByName(name.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {name}")

    def _receive(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)) / 32768.0)
        position = 0
        while events[position].type != _LIST_END:
            if events[position].type == _WORD:
                self._events.append((events[position].length, events[position].sample))
            position += 1
        return 0

    def speak(self, tokens: Sequence[str], stressed: int | None, delivery: Delivery) -> Spoken:
        """Speak a sentence.

        Args:
            tokens: Words with their punctuation.
            stressed: Position of the word that is higher, louder and slower than the others.
            delivery: How to speak.

        Raises:
            ValueError: The library did not give one time for each word, or it clips.
        """
        self._chunks.clear()
        self._events.clear()
        for parameter, value in (
            (_RATE, delivery.rate),
            (_VOLUME, delivery.amplitude),
            (_PITCH, delivery.pitch),
            (_RANGE, delivery.pitch_range),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)
        # its own generator starts from the clock, so some voices would differ from second to second
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(delivery.noise_seed))
        text = _markup(tokens, stressed).encode()
        status = self._library.espeak_Synth(
            text, ctypes.c_size_t(len(text) + 1), 0, 1, 0, _UTF8_SSML, None, None
        )
        lengths = [length for length, _ in self._events]
        if status != 0 or lengths != [len(token.rstrip(",.")) for token in tokens]:
            raise ValueError(
                f"espeak-ng timed words of {lengths} letters in {' '.join(tokens)!r} "
                f"(status {status})"
            )
        samples = np.concatenate(self._chunks)
        if np.abs(samples).max() > _LIMITER:
            raise ValueError(f"espeak-ng clips in {' '.join(tokens)!r}")
        return Spoken(samples, self.rate, tuple(start for _, start in self._events))


def _markup(tokens: Sequence[str], stressed: int | None) -> str:
    # after the end of an element espeak-ng would read the full stop out as "dot"
    marked = [token.rstrip(".") for token in tokens]
    if stressed is not None:
        word = marked[stressed].rstrip(",")
        mark = marked[stressed][len(word) :]
        # `pitch="x-high"` would hardly move the pitch; +60 % raises it by about 27 %
        marked[stressed] = (
            f'<prosody pitch="+60%" volume="x-loud" rate="75%">{word}</prosody>{mark}'
        )
    return f"<speak>{' '.join(marked)}</speak>"


def word_frames(spoken: Spoken) -> list[tuple[int, int]]:
    """First frame of each word and the frame after its last, in frames of 10 ms.

    A word event says where a word starts. Where it ends is where its sound ends: before a comma
    and at the end the pause follows, which is digital silence in clean speech.
    """
    bounds = [*spoken.starts, len(spoken.samples)]
    ends = []
    for start, following in pairwise(bounds):
        sound = np.flatnonzero(spoken.samples[start:following])
        ends.append(start + int(sound[-1]) + 1 if len(sound) else following)
    per_frame = spoken.rate / 100
    frames = [round(bound / per_frame) for bound in bounds]
    spans = []
    for (first, following), end in zip(pairwise(frames), ends, strict=True):
        last = round(end / per_frame)
        spans.append((first, following if following - last < _PAUSE_FRAMES else last))
    return spans


def resample(samples: Samples, rate: int) -> Samples:
    """Bring ``(N,)`` samples to 16 kHz: the spectrum without what is above 8 kHz.

    Args:
        samples: Speech that starts and ends with silence; it is taken as periodic.
        rate: Hz.

    Returns:
        ``(round up N * 16000 / rate to a whole number of blocks,)``; what was added is silence.
    """
    divisor = int(np.gcd(rate, SAMPLE_RATE))
    # sixteen blocks at a time keep the transform's length a product of small primes
    step = rate // divisor * 16
    blocks = -(-len(samples) // step)
    spectrum = np.fft.rfft(samples, blocks * step)
    length = blocks * (SAMPLE_RATE // divisor) * 16
    frequencies = np.arange(length // 2 + 1) * SAMPLE_RATE / length
    # the last 400 Hz fade out, so that the cut does not ring
    fade = np.clip((SAMPLE_RATE / 2 - frequencies) / 400, 0, 1)
    kept = spectrum[: len(fade)] * (0.5 - 0.5 * np.cos(np.pi * fade))
    return np.fft.irfft(kept, length) * (length / (blocks * step))


def record(spoken: Spoken, delivery: Delivery) -> tuple[np.ndarray[Any, Any], int]:
    """A noisy 16-bit recording of clean speech.

    Returns:
        int16 samples ``(N,)`` at 16 kHz, in whole frames, and the frame at which speech starts.

    Raises:
        ValueError: The recording would clip.
    """
    lead, tail = round(delivery.lead_s * 100), round(delivery.tail_s * 100)
    num_frames = -(-len(spoken.samples) * 100 // spoken.rate)
    speech = resample(spoken.samples, spoken.rate)[: num_frames * _FRAME]
    level = np.sqrt(np.mean(spoken.samples[spoken.samples != 0] ** 2))  # without the pauses
    noise = np.random.default_rng(delivery.noise_seed).standard_normal(
        (lead + num_frames + tail) * _FRAME
    )
    recording = noise * level * 10 ** (-delivery.snr_db / 20)
    recording[lead * _FRAME :][: len(speech)] += speech
    recording *= 10 ** (delivery.gain_db / 20)
    if np.abs(recording).max() >= _FULL_SCALE:
        raise ValueError("the recording clips")
    return np.rint(recording * 32768).astype("<i2"), lead


def write_wav(path: Path, samples: np.ndarray[Any, Any]) -> None:
    """Write int16 samples ``(N,)`` as 16 kHz mono."""
    with wave.open(str(path), "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(SAMPLE_RATE)
        stream.writeframes(samples.tobytes())


def format_wdseg(words: Sequence[str], spans: Sequence[tuple[int, int]], num_frames: int) -> str:
    """Word times in the format of the release: end frames still belong to their word.

    Args:
        words: In lower case.
        spans: First frame of each word and the frame after its last, in the clip.
        num_frames: Length of the clip.
    """
    rows: list[tuple[int, int, str]] = []
    done = 0
    for word, (start, end) in zip(words, spans, strict=True):
        if start > done:
            rows.append((done, start, "<sil>" if rows else "<s>"))
        rows.append((start, end, word.upper()))
        done = end
    rows.append((done, num_frames, "</s>"))
    # no recogniser scored these times: the scores are zero
    lines = [f"\t{start:5d} {end - 1:5d} {0:10d} {word}\n" for start, end, word in rows]
    header = f"\t{'SFrm':>5} {'EFrm':>5} {'SegAScr':>10} Word\n"
    return "".join((header, *lines, f" Total score: {0:11d}\n"))


def main(jobs: Path) -> None:
    """Make the clips of a job file, printing the number of samples of each as it is done.

    Args:
        jobs: A line of JSON with ``voice``, then one for each clip with ``wav``, ``wdseg``,
            ``tokens``, ``words``, ``stressed`` and ``delivery``.
    """
    first, *rest = jobs.read_text(encoding="utf-8").splitlines()
    voice = Voice(json.loads(first)["voice"])
    for line in rest:
        job = json.loads(line)
        delivery = Delivery(**job["delivery"])
        spoken = voice.speak(job["tokens"], job["stressed"], delivery)
        samples, lead = record(spoken, delivery)
        spans = [(start + lead, end + lead) for start, end in word_frames(spoken)]
        write_wav(Path(job["wav"]), samples)
        Path(job["wdseg"]).write_text(
            format_wdseg(job["words"], spans, len(samples) // _FRAME), encoding="ascii"
        )
        print(len(samples), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
