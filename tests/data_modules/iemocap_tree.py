"""A release in IEMOCAP's exact layout, for tests: real names and labels, noise for audio.

``published_turns`` gives all 5,531 turns of the public four-class list, ``small_turns`` a few dozen
of all labels. ``write_tree`` writes a sound tree; each function below it breaks one thing.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SECONDS = 0.25
SENTENCE = "excuse me do you have your forms"
VOTES = {
    "neu": "Neutral",
    "hap": "Happiness",
    "exc": "Excited",
    "sad": "Sadness",
    "ang": "Anger",
    "fru": "Frustration",
    "sur": "Surprise",
    "fea": "Fear",
    "dis": "Disgust",
    "oth": "Other",
    "xxx": "Anger",
}


@dataclass(frozen=True)
class TurnSpec:
    name: str
    label: str

    @property
    def dialogue(self) -> str:
        return self.name.rpartition("_")[0]

    @property
    def session(self) -> int:
        return int(self.name[3:5])


def published_turns(table: Path) -> list[TurnSpec]:
    lines = table.read_text(encoding="utf-8").splitlines()
    header = lines[0].split("\t")
    rows = [dict(zip(header, line.split("\t"), strict=True)) for line in lines[1:]]
    return [TurnSpec(row["utterance"], row["label"]) for row in rows]


def small_turns() -> list[TurnSpec]:
    """Five sessions; in each an improvised and a scripted dialogue where both actors speak."""
    labels = list(VOTES)
    turns = []
    for session in range(1, 6):
        # the wearer of the markers differs between the two dialogues; both actors speak in both
        for dialogue in (f"Ses{session:02d}F_impro01", f"Ses{session:02d}M_script01_1b"):
            for number in range(4):
                for speaker in "FM":
                    label = labels[(len(turns) + session) % len(labels)]
                    turns.append(TurnSpec(f"{dialogue}_{speaker}{number:03d}", label))
    return turns


def write_tree(root: Path, turns: list[TurnSpec], seed: int = 0) -> Path:
    """Write the tree and return its folder, ``root/IEMOCAP_full_release``."""
    release = root / "IEMOCAP_full_release"
    length = round(SECONDS * 16_000)
    noise = np.random.default_rng(seed).integers(-3000, 3000, length + len(turns), dtype=np.int16)
    dialogues: dict[str, list[tuple[int, TurnSpec]]] = defaultdict(list)
    for index, turn in enumerate(turns):
        dialogues[turn.dialogue].append((index, turn))
    for dialogue, members in dialogues.items():
        session = release / f"Session{members[0][1].session}"
        clips = session / "sentences" / "wav" / dialogue
        alignments = session / "sentences" / "ForcedAlignment" / dialogue
        for folder in (clips, alignments):
            folder.mkdir(parents=True)
        labels = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n"]
        words = []
        for place, (index, turn) in enumerate(members):
            start = 1.0 + place * 2 * SECONDS
            end = start + SECONDS
            labels.append(label_block(turn, start, end))
            words.append(f"{turn.name} [{start:08.4f}-{end:08.4f}]: {SENTENCE}\n")
            # a different stretch of the noise each: no two clips are equal
            clip = noise[index : index + length]
            (clips / f"{turn.name}.wav").write_bytes(wav_bytes(clip))
            (alignments / f"{turn.name}.wdseg").write_text(WDSEG, encoding="ascii")
        for kind, lines in (("EmoEvaluation", labels), ("transcriptions", words)):
            folder = session / "dialog" / kind
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{dialogue}.txt").write_text("\n".join(lines), encoding="ascii")
    return release


def label_block(turn: TurnSpec, start: float, end: float) -> str:
    vote = VOTES[turn.label]
    return (
        f"[{start:.4f} - {end:.4f}]\t{turn.name}\t{turn.label}\t[2.5000, 3.0000, 1.5000]\n"
        f"C-E1:\t{vote};\t()\n"
        f"C-E2:\t{vote}; Other;\t(a remark; with a semicolon)\n"
        "C-E4:\tNeutral state;\t()\n"
        "C-F1:\tFear;\t()\n"
        "A-E1:\tval 2; act 3; dom  1;\t()\n"
        "A-F1:\tval 5; act 5; dom  5;\t()\n"
    )


WDSEG = """\
\t SFrm\t EFrm\t   SegAScr Word
\t    0\t    2\t   -150232 <s>
\t    3\t    5\t   -236412 EXCUSE(2)
\t    6\t    8\t    -76412 ME
\t    9\t    9\t     -6412 <sil>
\t   10\t   12\t    -86412 DO
\t   13\t   14\t   -100412 ++LAUGHTER++
\t   15\t   20\t   -186412 YOU(12)
\t   21\t   24\t    -56412 </s>
 Total score:      -6842341
"""
WDSEG_WORDS = [
    ("excuse", 0.03, 0.06),
    ("me", 0.06, 0.09),
    ("do", 0.10, 0.13),
    ("you", 0.15, 0.21),
]


def wav_bytes(samples: np.ndarray, sample_rate: int = 16_000, channels: int = 1) -> bytes:
    data = samples.astype("<i2").tobytes()
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        36 + len(data),
        b"WAVE",
        b"fmt ",
        16,
        1,
        channels,
        sample_rate,
        sample_rate * channels * 2,
        channels * 2,
        16,
        b"data",
        len(data),
    )
    return head + data


def clip_path(release: Path, name: str) -> Path:
    folder = release / f"Session{int(name[3:5])}" / "sentences" / "wav"
    return folder / name.rpartition("_")[0] / f"{name}.wav"


def alignment_path(release: Path, name: str) -> Path:
    folder = release / f"Session{int(name[3:5])}" / "sentences" / "ForcedAlignment"
    return folder / name.rpartition("_")[0] / f"{name}.wdseg"


def label_path(release: Path, name: str) -> Path:
    folder = release / f"Session{int(name[3:5])}" / "dialog" / "EmoEvaluation"
    return folder / f"{name.rpartition('_')[0]}.txt"


def transcript_path(release: Path, name: str) -> Path:
    folder = release / f"Session{int(name[3:5])}" / "dialog" / "transcriptions"
    return folder / f"{name.rpartition('_')[0]}.txt"


def add_leftovers(release: Path, name: str) -> list[str]:
    """``._*`` beside a clip, a label file, a transcript, and as a folder; returns their paths."""
    clip = clip_path(release, name)
    leftovers = [
        clip.with_name(f"._{clip.name}"),
        label_path(release, name).with_name(f"._{name.rpartition('_')[0]}.txt"),
        transcript_path(release, name).with_name(".DS_Store"),
        clip.parent.with_name(f"._{clip.parent.name}"),
    ]
    for path in leftovers:
        # what macOS writes there: no text, no audio
        path.write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X")
    return [path.relative_to(release).as_posix() for path in leftovers]


def add_unnumbered_turns(release: Path, name: str) -> list[str]:
    """``XX`` turns in a transcript; returns their names."""
    dialogue = name.rpartition("_")[0]
    names = [f"{dialogue}_FXX0", f"{dialogue}_MXX1"]
    with transcript_path(release, name).open("a", encoding="ascii") as stream:
        for unnumbered in names:
            stream.write(f"\n{unnumbered} [010.0000-011.0000]: mm-hmm\n")
    return names


def remove_clip(release: Path, name: str) -> None:
    clip_path(release, name).unlink()


def truncate_clip(release: Path, name: str) -> None:
    path = clip_path(release, name)
    path.write_bytes(path.read_bytes()[:3000])


def empty_clip(release: Path, name: str) -> None:
    clip_path(release, name).write_bytes(b"")


def remove_alignment(release: Path, name: str) -> None:
    alignment_path(release, name).unlink()


def edit(path: Path, old: str, new: str) -> int:
    """Replace the one occurrence of ``old``; returns its line number."""
    text = path.read_text(encoding="ascii")
    assert text.count(old) == 1, (path, old, text.count(old))
    path.write_text(text.replace(old, new), encoding="ascii")
    return text[: text.index(old)].count("\n") + 1


def spoil_label_line(release: Path, name: str) -> str:
    """Lose the bracket of a summary line; returns ``file:line`` as the exclusion names it."""
    path = label_path(release, name)
    number = edit(path, f"]\t{name}\t", f"\t{name}\t")
    return f"{path.relative_to(release).as_posix()}:{number}"


def drop_label(release: Path, name: str) -> None:
    """Remove the block of a turn from its label file: audio and transcript are left."""
    path = label_path(release, name)
    blocks = path.read_text(encoding="ascii").split("\n\n")
    path.write_text("\n\n".join(b for b in blocks if f"\t{name}\t" not in b), encoding="ascii")


def drop_transcript(release: Path, name: str) -> None:
    path = transcript_path(release, name)
    lines = path.read_text(encoding="ascii").split("\n")
    path.write_text("\n".join(line for line in lines if f"{name} " not in line), encoding="ascii")


def empty_transcript(release: Path, name: str) -> None:
    path = transcript_path(release, name)
    lines = path.read_text(encoding="ascii").split("\n")
    emptied = [
        line.removesuffix(SENTENCE) if line.startswith(f"{name} ") else line for line in lines
    ]
    assert emptied != lines
    path.write_text("\n".join(emptied), encoding="ascii")
