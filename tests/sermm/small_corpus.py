"""A release in IEMOCAP's layout on which a whole run takes a second.

80 turns of ten speakers. Loudness and pitch of the voice and one of the words lean towards the
class, not always, so that models learn something and make mistakes.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from tests.data_modules import iemocap_tree as tree

LABELS = ("neu", "hap", "ang", "sad")
TELLING = {"neu": "paper", "hap": "lovely", "ang": "awful", "sad": "lonely"}
OTHERS = ("the", "dinner", "was", "and", "we", "left", "early", "then", "it", "rained", "again")
FRAME_S = 0.01


def small_turns() -> list[tree.TurnSpec]:
    turns = []
    for session in range(1, 6):
        for dialogue in (f"Ses{session:02d}F_impro01", f"Ses{session:02d}M_impro02"):
            for number, label in enumerate(LABELS):
                for speaker in "FM":
                    turns.append(tree.TurnSpec(f"{dialogue}_{speaker}{number:03d}", label))
    return turns


def write_small_corpus(root: Path) -> Path:
    """Write it and return the folder with the sessions."""
    release = tree.write_tree(root, small_turns())
    for turn in small_turns():
        draw = random.Random(turn.name)
        # between sessions other words occur, so that a vocabulary shows whose texts it knows
        words = [*draw.choices(OTHERS, k=draw.randint(1, 5)), f"place{turn.session}"]
        told = turn.label if draw.random() < 0.7 else draw.choice(LABELS)
        words.insert(draw.randint(0, len(words)), TELLING[told])
        num_frames = draw.randint(22, 34)
        sounded = LABELS.index(turn.label if draw.random() < 0.7 else draw.choice(LABELS))
        time = np.arange(round(num_frames * FRAME_S * 16_000)) / 16_000
        noise = np.random.default_rng(draw.randrange(2**32)).normal(size=len(time))
        voice = np.sin(2 * np.pi * (150 + 120 * sounded) * time) + 0.5 * noise
        samples = (voice * 500 * (1 + sounded)).astype(np.int16)
        tree.clip_path(release, turn.name).write_bytes(tree.wav_bytes(samples))
        tree.alignment_path(release, turn.name).write_text(_wdseg(words, num_frames))
        path = tree.transcript_path(release, turn.name)
        lines = [
            line.replace(tree.SENTENCE, " ".join(words)) if turn.name in line else line
            for line in path.read_text().split("\n")
        ]
        path.write_text("\n".join(lines))
    return release


def _wdseg(words: list[str], num_frames: int) -> str:
    bounds = [round(k * num_frames / len(words)) for k in range(len(words) + 1)]
    lines = [
        f"\t{start:5d}\t{end - 1:5d}\t    -76412 {word.upper()}"
        for word, start, end in zip(words, bounds, bounds[1:], strict=False)
    ]
    return "\n".join(["\t SFrm\t EFrm\t   SegAScr Word", *lines, " Total score: -1", ""])
