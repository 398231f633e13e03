"""A release of every corpus, small and sound enough for a whole run: noise, and a few words.

Each class of the corpus' first scheme is said by each of several speakers, so that every fold can
be trained and scored.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np

from data_modules.corpora import find_scheme
from tests.data_modules import csd_tree
from tests.data_modules.corpora.test_emobox import record
from tests.data_modules.corpora.test_emobox import write as write_manifests
from tests.data_modules.corpora.test_meld import row as meld_row
from tests.data_modules.corpora.test_meld import write_table
from tests.data_modules.corpora.test_msp_podcast import HEAD, write_csv
from tests.data_modules.iemocap_tree import wav_bytes
from tests.sermm.small_corpus import write_small_corpus

WORDS = ("the", "dinner", "was", "lovely", "and", "we", "left", "early", "then", "it", "rained")


def clip(path: Path) -> None:
    """Noise of 0.3 to 0.5 s at 16 kHz, other for each name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(list(path.stem.encode()))
    path.write_bytes(wav_bytes(draw.integers(-3000, 3000, draw.integers(4800, 8000), np.int16)))


def words(seed: int) -> str:
    draw = random.Random(seed)
    return " ".join(draw.choices(WORDS, k=draw.randint(2, 6)))


def ravdess(folder: Path) -> Path:
    for actor in range(1, 11):
        for emotion in range(1, 9):
            clip(folder / f"Actor_{actor:02}" / f"03-01-{emotion:02}-01-01-01-{actor:02}.wav")
    return folder


def nemo(folder: Path) -> Path:
    rows = ["file_id\temotion\traw_text\tspeaker_id\tgender\tage"]
    for speaker in ("AAA", "BBB", "CCC", "DDD", "EEE", "FFF"):
        for state in find_scheme("nemo6").names:
            name = f"{speaker}_{state}_{len(rows)}.wav"
            clip(folder / "samples" / name)
            rows.append(f"{name}\t{state}\t{words(len(rows))}\t{speaker}\tfemale\t24")
    (folder / "data.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def emodb(folder: Path) -> Path:
    times = ["file\tindex\tword\tstart\tend\tcomplete"]
    lengths = ["file\toriginal_seconds_16k\ttruncated"]
    for speaker in ("03", "08", "09", "10", "11", "12", "13", "14", "15", "16"):
        for letter in "WLEAFTN":
            name = f"{speaker}a01{letter}a"
            clip(folder / "wav" / f"{name}.wav")
            times += [f"{name}\t{k}\tw{k}\t{k / 10}\t{k / 10 + 0.1}\t1" for k in range(3)]
            lengths.append(f"{name}\t0.3\t0")
    for file, lines in (
        ("words.tsv", times),
        ("clip_lengths.tsv", lengths),
        ("sentences.tsv", ["code\ttext", "a01\tDer Lappen liegt"]),
    ):
        (folder / file).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def cremad(folder: Path) -> Path:
    codes = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
    names = [f"{actor}_DFA_{code}_XX" for actor in range(1001, 1011) for code in codes]
    for name in names:
        clip(folder / "AudioWAV" / f"{name}.wav")
    (folder / "processedResults").mkdir()
    listed = [f'{k},"{name}"' for k, name in enumerate(names, start=1)]
    actors = [f'{a},30,"Male","Caucasian","Not Hispanic"' for a in range(1001, 1011)]
    votes = []
    for k, name in enumerate(names, start=1):
        column = "ADFHNS".index(name.split("_")[2][0])
        counts = ",".join("6" if c == column else "0" for c in range(6))
        said = "ADFHNS"[column]
        votes += [f'"{ch}0000{k}",{counts},"{name}",6,1,"{said}"' for ch in (1, 2, 3)]
    for file, head, lines in (
        ("SentenceFilenames.csv", '"Stimulus_Number","Filename"', listed),
        ("VideoDemographics.csv", '"ActorID","Age","Sex","Race","Ethnicity"', actors),
        (
            "processedResults/tabulatedVotes.csv",
            '"","A","D","F","H","N","S","fileName","numResponses","agreement","emoVote"',
            votes,
        ),
    ):
        (folder / file).write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return folder


def emobox(folder: Path) -> Path:
    labels = {"neu": "Neutral", "hap": "Happy", "ang": "Angry", "sad": "Sad"}
    turns = {
        f"Ses{session:02}F_impro01_{speaker}{k:03}": label
        for session in (1, 2)
        for speaker in "FM"
        for k, label in enumerate((*labels, *labels))
    }
    keys = [f"iemocap-{turn}" for turn in turns]
    parts = [[key for key in keys if f"Ses{session:02}" in key] for session in (1, 2)]
    folds = {
        "fold_1": {"train": parts[1], "test": parts[0]},
        "fold_2": {"train": parts[0], "test": parts[1]},
    }
    records = [record("iemocap", *turn) for turn in turns.items()]
    root = write_manifests(folder, "iemocap", records, folds, labels)
    for turn in turns:
        clip(folder / "downloads" / "iemocap" / "wav" / f"{turn}.wav")
    return root


def msp_podcast(folder: Path) -> Path:
    rows = []
    for part, speaker in (("Train", 1), ("Train", 2), ("Development", 3), ("Test1", 4)):
        for code in "AHSUFDCN":
            name = f"MSP-PODCAST_{speaker:04}_{len(rows):04}.wav"
            rows.append((name, code, "3", "4", "5", str(speaker), "Male", part))
            clip(folder / "Audios" / name)
    write_csv(folder / "Labels" / "labels_consensus.csv", rows, HEAD)
    return folder


def meld(folder: Path) -> Path:
    for part, count in (("train", 12), ("dev", 2)):
        write_table(
            folder,
            part,
            *(
                meld_row(dialogue, k, emotion, words(7 * dialogue + k))
                for dialogue in range(count)
                for k, emotion in enumerate(find_scheme("meld7").names)
            ),
        )
    return folder


def emorynlp(folder: Path) -> Path:
    head = "Utterance,Speaker,Emotion,Scene_ID,Utterance_ID,Season,Episode,Start_Time,End_Time"
    names = ("Joyful", "Mad", "Neutral", "Peaceful", "Powerful", "Sad", "Scared")
    for part, scenes in (("train", range(12)), ("dev", range(12, 14))):
        rows = [
            f"{words(9 * scene + k)},['Ross Geller'],{name},{scene},{k},1,1,,"
            for scene in scenes
            for k, name in enumerate(names)
        ]
        (folder / f"emorynlp_{part}_final.csv").write_text("\n".join([head, *rows]) + "\n")
    return folder


def goemotions(folder: Path) -> Path:
    names = find_scheme("goemotions28").names
    (folder / "labels.txt").write_text("\n".join(names) + "\n")
    for part, count in (("train", 112), ("dev", 28)):
        rows = [f"{words(k)}\t{k % 28}{',5' * (k % 9 == 0)}\t{part}{k}" for k in range(count)]
        (folder / f"{part}.tsv").write_text("\n".join(rows) + "\n")
    return folder


def table(folder: Path) -> Path:
    rows = ["id,audio,text,speaker,emotion"]
    for speaker in range(10):
        for label in ("joy", "anger"):
            name = f"s{speaker}_{label}"
            clip(folder / "wav" / f"{name}.wav")
            rows.append(f"{name},wav/{name}.wav,{words(len(rows))},s{speaker},{label}")
    (folder / "clips.csv").write_text("\n".join(rows) + "\n")
    spec = {
        "file": "clips.csv",
        "columns": {name: name for name in ("id", "audio", "text", "speaker")},
        "classes": {"column": "emotion", "names": ["joy", "anger"]},
    }
    (folder / "table.yaml").write_text(json.dumps(spec))
    return folder


def mosi_vectors(folder: Path, num_videos: int = 12) -> Path:
    draw = np.random.default_rng(0)
    scores = draw.uniform(-3, 3, num_videos * 5).round(2)
    (folder / "features").mkdir()
    rows = ["segment_id\tvideo_id\tstart\tend\tscore\tofficial_fold\ttext"]
    for number, score in enumerate(scores):
        video = f"v{number // 5:02}"
        rows.append(f"{video}_{number % 5}\t{video}\t0.0\t1.5\t{score}\ttrain\tSOME WORDS")
    (folder / "segments_train.tsv").write_text("\n".join(rows) + "\n")
    for name, dim in (("text", 100), ("audio", 73), ("video", 100)):
        values = draw.normal(size=(len(scores), dim))
        np.savetxt(folder / "features" / f"{name}_train.csv", values, "%.6f", ",")
    return folder


def sequences(corpus: str) -> Callable[[Path], Path]:
    """CMU-MOSI or CMU-MOSEI with recordings."""

    def write(folder: Path) -> Path:
        videos = csd_tree.make_videos(corpus, train=7, val=2, test=2)
        return csd_tree.write_tree(folder / corpus, corpus, videos, recordings=True)

    return write


RELEASES: dict[str, Callable[[Path], Path]] = {
    "demo": write_small_corpus,
    "iemocap": write_small_corpus,
    "mosei": sequences("mosei"),
    "mosi": sequences("mosi"),
    "mosi_vectors": mosi_vectors,
    "ravdess": ravdess,
    "nemo": nemo,
    "emodb": emodb,
    "cremad": cremad,
    "emobox": emobox,
    "msp_podcast": msp_podcast,
    "meld": meld,
    "emorynlp": emorynlp,
    "goemotions": goemotions,
    "table": table,
}
"""By corpus: writes a release below a folder and returns its root."""
