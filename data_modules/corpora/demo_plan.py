"""Who says what, and how, in the demo corpus: everything that is drawn by chance, drawn in advance.

Class, sentence, and delivery come from streams of their own, so that none of them can tell of
another beyond what the design wants: words carry valence, the voice carries arousal, and in
contrast sentences the valence is that of the word that the voice stresses.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import product
from typing import Literal

from data_modules.corpora.demo_text import Sentence, Valence, contrast_sentence, plain_sentence

Arousal = Literal["high", "low"]
Kind = Literal["plain", "contrast"]

LABELS: dict[tuple[Valence, Arousal], str] = {
    ("negative", "high"): "ang",
    ("negative", "low"): "sad",
    ("positive", "high"): "hap",
    ("positive", "low"): "neu",
}
TURNS_PER_SPEAKER_AND_DIALOGUE = 15


@dataclass(frozen=True, slots=True)
class Speaker:
    """A voice of espeak-ng at rest.

    Attributes:
        session: 1 to 5.
        gender: ``F`` or ``M``, the letter in the names of turns.
        voice: Accent and variant. The library takes an unknown variant in silence.
        rate: Words a minute.
        pitch: 0 to 100.
    """

    session: int
    gender: Literal["F", "M"]
    voice: str
    rate: int
    pitch: int

    @property
    def name(self) -> str:
        """As the last letter of a turn tells it, ``Ses01F``."""
        return f"Ses{self.session:02}{self.gender}"


SPEAKERS = (
    Speaker(1, "F", "en-us+f1", 228, 52),
    Speaker(1, "M", "en-us+m3", 218, 46),
    Speaker(2, "F", "en-gb-x-rp+f2", 215, 56),
    Speaker(2, "M", "en-gb-x-rp+m1", 232, 50),
    Speaker(3, "F", "en-us-nyc+f3", 236, 48),
    Speaker(3, "M", "en-gb-scotland+m7", 222, 44),
    Speaker(4, "F", "en-029+f4", 225, 50),
    Speaker(4, "M", "en-us+m6", 212, 54),
    Speaker(5, "F", "en-gb-scotland+f5", 220, 46),
    Speaker(5, "M", "en-us-nyc+m2", 230, 50),
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a sentence is spoken and recorded.

    Attributes:
        rate: Words a minute.
        pitch: 0 to 100.
        pitch_range: 0 to 100.
        amplitude: Of espeak-ng; a loud word clips from 80 on.
        gain_db: Level of the recording.
        snr_db: Speech above white noise.
        lead_s: Noise before the first word, in whole frames of 10 ms.
        tail_s: Noise after the last word, in whole frames of 10 ms.
        noise_seed: Of the noise.
    """

    rate: int
    pitch: int
    pitch_range: int
    amplitude: int
    gain_db: float
    snr_db: float
    lead_s: float
    tail_s: float
    noise_seed: int


@dataclass(frozen=True, slots=True)
class DemoTurn:
    """One utterance to be made."""

    name: str
    speaker: Speaker
    kind: Kind
    valence: Valence
    arousal: Arousal
    sentence: Sentence
    delivery: Delivery

    @property
    def dialogue(self) -> str:
        """The conversation that it belongs to."""
        return self.name.rpartition("_")[0]

    @property
    def label(self) -> str:
        """IEMOCAP's code of the class."""
        return LABELS[self.valence, self.arousal]


def plan_speaker(speaker: Speaker, *, seed: int, num_utterances: int) -> list[DemoTurn]:
    """All turns of a speaker, in order.

    Kinds, classes and their pairs are balanced as evenly as the number allows.
    """
    texts, voices, order = (
        random.Random(f"demo {seed} {speaker.name} {stream}")
        for stream in ("text", "voice", "order")
    )
    kinds: tuple[Kind, ...] = ("plain", "contrast")
    cells = list(product(kinds, LABELS))
    order.shuffle(cells)
    drawn = [cells[i % len(cells)] for i in range(num_utterances)]
    order.shuffle(drawn)
    turns = []
    for number, (kind, (valence, arousal)) in enumerate(drawn):
        make = plain_sentence if kind == "plain" else contrast_sentence
        turns.append(
            DemoTurn(
                name=_turn_name(speaker, number),
                speaker=speaker,
                kind=kind,
                valence=valence,
                arousal=arousal,
                sentence=make(texts, valence),
                delivery=_deliver(voices, speaker, arousal),
            )
        )
    return turns


def _turn_name(speaker: Speaker, number: int) -> str:
    """``Ses01F_impro01_M000``: as in IEMOCAP, the first letter is not the speaker's.

    Both speakers of a session take turns in every dialogue, half of which carry either letter.
    """
    dialogue, turn = divmod(number, TURNS_PER_SPEAKER_AND_DIALOGUE)
    marked = "FM"[dialogue % 2]
    return f"Ses{speaker.session:02}{marked}_impro{dialogue // 2 + 1:02}_{speaker.gender}{turn:03}"


def _deliver(rng: random.Random, speaker: Speaker, arousal: Arousal) -> Delivery:
    up = 1 if arousal == "high" else -1
    return Delivery(
        rate=round(speaker.rate * (1 + 0.2 * up) * rng.uniform(0.95, 1.05)),
        pitch=round(speaker.pitch + 16 * up + rng.uniform(-5, 5)),
        pitch_range=round(50 + 25 * up + rng.uniform(-8, 8)),
        amplitude=round(22 * (1 + 0.5 * up) * rng.uniform(0.85, 1.15)),
        gain_db=rng.uniform(-5, -1),
        snr_db=rng.uniform(10, 20),
        lead_s=rng.randint(5, 20) / 100,
        tail_s=rng.randint(5, 20) / 100,
        noise_seed=rng.getrandbits(32),
    )
