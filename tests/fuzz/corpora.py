"""Sound releases of every corpus in a few files, and the books that each reader has to keep.

The books compare counts: every row of a label file is an utterance, an exclusion, a note or listed
as ignored. Where rows are lines, they are counted here by another way than in the reader.
"""

from __future__ import annotations

import csv
import json
import pickle
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from data_modules.corpora import CORPORA, Corpus, Release
from data_modules.corpora.csd import open_csd
from data_modules.corpora.rows import read_csv, read_jsonl
from data_modules.corpora.table_yaml import read_spec
from data_modules.errors import SermmError
from data_modules.manifest import parse_utterance, record_of
from data_modules.mmsa import convert_mmsa
from tests.data_modules import csd_tree, iemocap_tree
from tests.data_modules.mmsa_pickle import feature_file
from tests.fuzz.mutate import BINARY, JSON, TEXT, YAML, Mutation
from tests.fuzz.run import Parser

Files = list[tuple[Path, tuple[Mutation, ...]]]


def expect_sound(corpus: Corpus, folder: Path, release: Release) -> None:
    """What holds for every release: it can be written, read back, printed and labelled."""
    ids = [utterance.id for utterance in release.utterances]
    assert len(set(ids)) == len(ids), "an id twice"
    assert ids == sorted(ids), "utterances out of order"
    for utterance in release.utterances:
        assert utterance.corpus == corpus.name
        line = json.dumps(record_of(utterance), ensure_ascii=False).encode()
        assert parse_utterance(line, "here") == utterance, utterance
    told = [
        *(part for one in release.exclusions for part in (one.id, one.reason, one.detail)),
        *(part for one in release.notes for part in (one.id, one.reason, one.detail)),
        *(part for reason, names in release.ignored.items() for part in (reason, *names)),
    ]
    json.dumps(told, ensure_ascii=False).encode()
    details = [one.detail for one in (*release.exclusions, *release.notes)]
    assert all(len(text) < 1_000 for text in details), max(details, key=len)
    assert all(note.count > 0 for note in release.notes)
    assert set(release.stated_s) <= set(ids)
    assert all(0 <= length < float("inf") for length in release.stated_s.values())
    for scheme in corpus.at(folder).schemes:
        for utterance in release.utterances:
            try:
                scheme.target_of(utterance)
                scheme.shares_of(utterance)
            except SermmError:
                pass


def decoded(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def count_of(release: Release, file: str) -> Counter[int]:
    """Lines of a file that exclusions, notes and ignored things name, by line."""
    lines: Counter[int] = Counter()
    ids = [one.id for one in (*release.exclusions, *release.notes)]
    ids += [name for names in release.ignored.values() for name in names]
    for name in ids:
        match = re.fullmatch(rf"{re.escape(file)}:([0-9]+)", name)
        if match:
            lines[int(match[1])] += 1
    return lines


# ---------------------------------------------------------------- IEMOCAP


def write_iemocap(folder: Path) -> Files:
    turns = [turn for turn in iemocap_tree.small_turns() if turn.session == 1]
    release = iemocap_tree.write_tree(folder, turns)
    name = turns[0].name
    return [
        (iemocap_tree.label_path(release, name), TEXT),
        (iemocap_tree.label_path(release, turns[-1].name), TEXT),
        (iemocap_tree.transcript_path(release, name), TEXT),
        (iemocap_tree.alignment_path(release, name), TEXT),
    ]


def books_iemocap(folder: Path, release: Release) -> None:
    known = {one.id for one in (*release.utterances, *release.exclusions)}
    known |= {name for names in release.ignored.values() for name in names}
    twice = {note.detail for note in release.notes if note.reason == "labelled twice alike"}
    root = folder / "IEMOCAP_full_release"
    for path in root.glob("Session1/dialog/EmoEvaluation/*.txt"):
        named = count_of(release, path.relative_to(folder).as_posix())
        for number, line in enumerate(decoded(path).split("\n"), start=1):
            line = line.strip()
            if not line or line.startswith("%") or named[number]:
                continue
            fields = line.split("]", 1)[-1].split()
            if fields and (fields[0] in known or fields[0] in twice):
                continue
            # all that is left are evaluators' lines: votes of turns that are there, or lost
            assert re.match(r"[CA]-[EFM][0-9]*:", line), f"{path.name}:{number} {line!r}"
    for path in root.glob("Session1/dialog/transcriptions/*.txt"):
        named = count_of(release, path.relative_to(folder).as_posix())
        for number, line in enumerate(decoded(path).split("\n"), start=1):
            if line.strip() and not named[number]:
                assert line.split("[")[0].strip() in known, f"{path.name}:{number} {line!r}"
    # each clip is an utterance or an exclusion
    assert {path.stem for path in root.rglob("*.wav")} <= known


# ---------------------------------------------------------------- acted corpora


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def write_emodb(folder: Path) -> Files:
    clips = ("03a01Fa", "03a05Wa", "08b10Lb", "16a02Ta", "11b01Na")
    touch(folder / "wav", *(f"{clip}.wav" for clip in clips))
    rows = [f"{c}\t{k}\tw{k}\t{k / 4}\t{k / 4 + 0.2}\t1" for c in clips for k in range(4)]
    texts = {
        "words.tsv": ["file\tindex\tword\tstart\tend\tcomplete", *rows],
        "sentences.tsv": ["code\ttext", "a01\tDer Lappen", "b10\tWo wir sie hinlegen."],
        "clip_lengths.tsv": [
            "file\toriginal_seconds_16k\ttruncated",
            *(f"{clip}\t1.{k}\t0" for k, clip in enumerate(clips)),
        ],
    }
    for name, lines in texts.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [(folder / name, TEXT) for name in texts]


def books_emodb(folder: Path, release: Release) -> None:
    ids = {utterance.id: utterance for utterance in release.utterances}
    assert len(ids) == 5
    absent = {note.id for note in release.notes if "a clip that is not there" in note.reason}
    for file, _told in (("words.tsv", 3), ("sentences.tsv", 1), ("clip_lengths.tsv", 1)):
        named = count_of(release, file)
        if named[1]:
            continue  # the header is at fault, and that is noted
        header, *lines = decoded(folder / file).split("\n")
        column = {name.strip("\r"): k for k, name in enumerate(header.strip("\r").split("\t"))}
        used: Counter[str] = Counter()
        for number, line in enumerate(lines, start=2):
            if not line.strip() or named[number]:
                continue
            row = [cell.strip() for cell in line.strip("\r").split("\t")]
            if file == "words.tsv":
                used[row[column["file"]]] += 1
            elif file == "sentences.tsv":
                code, text = row[column["code"]], row[column["text"]]
                assert all(u.text == text for u in ids.values() if u.script == code), (number, line)
            else:
                name = row[column["file"]]
                stated = float(row[column["original_seconds_16k"]])
                assert name in absent or release.stated_s[name] == stated, (number, line)
        spoilt = {
            cell.strip() for number in named for cell in (header, *lines)[number - 1].split("\t")
        }
        for name, count in used.items():
            assert name in absent | spoilt or len(ids[name].words) == count, (name, count)


def write_nemo(folder: Path) -> Files:
    rows = []
    for speaker in ("GOS", "ABC", "X1"):
        for state in ("anger", "fear", "neutral"):
            name = f"{speaker}_{state}_{len(rows) + 1}.wav"
            touch(folder / "samples", name)
            rows.append(f"{name}\t{state}\tZdanie {len(rows)} żółć.\t {speaker}\tfemale\t24")
    head = "file_id\temotion\traw_text\tspeaker_id\tgender\tage"
    (folder / "data.tsv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return [(folder / "data.tsv", TEXT)]


def books_nemo(folder: Path, release: Release) -> None:
    known = {one.id for one in (*release.utterances, *release.exclusions)}
    assert {path.stem for path in (folder / "samples").iterdir()} <= known
    named = count_of(release, "data.tsv")
    if named[1]:
        return
    others = [one for one in release.exclusions if "contradict" in one.reason]
    lines = decoded(folder / "data.tsv").split("\n")[1:]
    rows = {number for number, line in enumerate(lines, start=2) if line.strip()}
    assert len(release.utterances) + len(others) == len(rows - set(named)), "a row is lost"


# ---------------------------------------------------------------- tables


def write_cremad(folder: Path) -> Files:
    names = [f"100{a}_{s}_{e}_XX" for a in (1, 2) for s in ("DFA", "IEO") for e in ("ANG", "NEU")]
    touch(folder / "AudioWAV", *(f"{name}.wav" for name in names))
    (folder / "processedResults").mkdir()
    texts = {
        "SentenceFilenames.csv": '"Stimulus_Number","Filename"\n'
        + "".join(f'{k},"{name}"\n' for k, name in enumerate(names, start=1)),
        "VideoDemographics.csv": '"ActorID","Age","Sex","Race","Ethnicity"\n'
        '1001,51,"Male","Caucasian","Not Hispanic"\n1002,21,"Female","Asian","Hispanic"\n',
        "processedResults/tabulatedVotes.csv": '"","A","D","F","H","N","S","fileName",'
        '"numResponses","agreement","emoVote"\n'
        + "".join(
            f'"{channel}0000{k}",6,0,0,3,0,0,"{name}",9,0.6,"A"\n'
            for channel in (1, 2, 3)
            for k, name in enumerate(names, start=1)
        ),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [(folder / name, TEXT) for name in texts]


def books_cremad(folder: Path, release: Release) -> None:
    known = {one.id for one in (*release.utterances, *release.exclusions)}
    assert {path.stem for path in (folder / "AudioWAV").iterdir()} <= known
    fresh = Release()
    file = "SentenceFilenames.csv"
    rows = read_csv(folder / file, ("Filename",), folder, fresh)
    named = count_of(release, file)
    for row in rows:
        name = row["Filename"].strip()
        assert name in known or named[int(row.where.rpartition(":")[2])], row
    counts = Counter(row["Filename"].strip() for row in rows)
    again = sum(count - 1 for count in counts.values())
    assert again == sum(note.reason == "listed twice" for note in release.notes), counts
    votes = sum(
        key.startswith("votes") for utterance in release.utterances for key in utterance.labels
    )
    with (folder / "processedResults" / "tabulatedVotes.csv").open(newline="") as stream:
        table = [row for row in csv.reader(stream, strict=True) if row]
    # a row is in the labels, noted by its line, or of a clip that is not there; a row that is given
    # twice takes the one before it away
    named = sum("tabulatedVotes.csv:" in note.id for note in release.notes)
    twice = {note.detail for note in release.notes if note.reason == "votes given twice, not used"}
    lost = {
        note.id for note in release.notes if note.reason == "votes for a clip that is not there"
    }
    if named or lost:
        assert votes + named + len(twice) + 3 * len(lost) >= len(table) - 1
    else:
        assert votes == len(table) - 1


HEAD = ("FileName", "EmoClass", "EmoAct", "EmoVal", "EmoDom", "SpkrID", "Gender", "Split_Set")
TURNS = (
    ("MSP-PODCAST_0001_0008.wav", "N", "2.2", "4.0", "2.6", "30", "Male", "Test1"),
    ("MSP-PODCAST_0001_0009.wav", "A", "5.25", "1.5", "6", "39", "Female", "Train"),
    ("MSP-PODCAST_0002_0003.wav", "X", "3", "3", "3", "Unknown", "Unknown", "Train"),
    ("MSP-PODCAST_0003_0001_0002.wav", "C", "4.5", "3", "4", "7", "Male", "Development"),
)


def write_msp(folder: Path, kind: str) -> Files:
    labels = folder / "Labels"
    labels.mkdir()
    touch(folder / "Audios", *(name for name, *_ in TURNS))
    if kind == "json":
        entries = {name: dict(zip(HEAD[1:], rest, strict=True)) for name, *rest in TURNS}
        raters = {"WORKER1": {"EmoClass_Major": "Angry"}, "WORKER2": {"EmoClass_Major": "Other-x"}}
        consensus, detailed = labels / "labels_consensus.json", labels / "labels_detailed.json"
        consensus.write_text(json.dumps(entries, indent=1))
        detailed.write_text(json.dumps({name: raters for name, *_ in TURNS}, indent=1))
        archive = folder / "Transcripts.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
            for name, *_ in TURNS:
                info = zipfile.ZipInfo(f"Transcripts/{name.removesuffix('.wav')}.txt")
                out.writestr(info, f"Words of {name}, naïve.\n", zipfile.ZIP_DEFLATED)
        return [(consensus, JSON), (detailed, JSON), (archive, BINARY)]
    consensus, detailed = labels / "labels_consensus.csv", labels / "labels_detailed.csv"
    consensus.write_text("\n".join(",".join(row) for row in (HEAD, *TURNS)) + "\n")
    rows = [
        f'{name},"WORKER{k}; {word}; {word},Bored; A:5; V:1; D:6;"'
        for name, *_ in TURNS
        for k, word in enumerate(("Angry", "Neutral", "Other-fed up, really"))
    ]
    detailed.write_text("\n".join(["FileName,EmoDetail", *rows]) + "\n")
    (folder / "Transcripts").mkdir()
    for name, *_ in TURNS:
        path = folder / "Transcripts" / name.replace(".wav", ".txt")
        path.write_text(f"Words of {name}.\n")
    return [(consensus, TEXT), (detailed, TEXT), (path, TEXT)]


def books_msp(folder: Path, release: Release) -> None:
    known = {one.id for one in (*release.utterances, *release.exclusions)}
    assert {path.stem for path in (folder / "Audios").iterdir()} <= known
    table = folder / "Labels" / "labels_consensus.csv"
    audio = sum(one.reason == "audio without a label" for one in release.exclusions)
    listed = len(release.utterances) + len(release.exclusions) - audio
    if table.is_file():
        fresh = Release()
        rows = read_csv(table, HEAD, folder, fresh)
        assert listed == len(rows) + len(fresh.exclusions), "a row is lost"
    else:
        entries = json.loads(table.with_suffix(".json").read_text(encoding="utf-8-sig"))
        assert listed == len(entries), "an entry is lost"


def write_meld(folder: Path) -> Files:
    head = (
        "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,"
        "StartTime,EndTime\n"
    )
    paths = []
    for part in ("train", "dev"):
        path = folder / f"{part}_sent_emo.csv"
        rows = [
            f'{k},"Hi, \u2019{k}\u2019",Joey,joy,positive,{k // 3},{k % 3},4,7,'
            f'"00:01:0{k},500","00:01:0{k},900"\n'
            for k in range(6)
        ]
        path.write_text(head + "".join(rows), encoding="utf-8")
        touch(folder / f"{part}_splits", *(f"dia{k // 3}_utt{k % 3}.mp4" for k in range(5)))
        paths.append((path, TEXT))
    return paths


def books_meld(folder: Path, release: Release) -> None:
    clips = sum(one.reason == "clip without a row in the table" for one in release.exclusions)
    total = 0
    for part in ("train", "dev"):
        fresh = Release()
        rows = read_csv(folder / f"{part}_sent_emo.csv", (), folder, fresh)
        total += len(rows) + len(fresh.exclusions)
        found = {u.audio for u in release.utterances}
        found |= {one.detail for one in release.exclusions}
        for path in (folder / f"{part}_splits").iterdir():
            name = f"{part}_{path.stem}"
            ids = {one.id for one in (*release.utterances, *release.exclusions)}
            assert name in ids, name
    assert len(release.utterances) + len(release.exclusions) - clips == total, "a row is lost"


def write_emory(folder: Path) -> Files:
    head = "Utterance,Speaker,Emotion,Scene_ID,Utterance_ID,Season,Episode,Start_Time,End_Time\n"
    paths = []
    for part in ("train", "test"):
        path = folder / f"emorynlp_{part}_final.csv"
        several = "\"['Monica Geller', 'Phoebe \\'B\\' Buffay']\""
        rows = [
            f'"Yes, \n{k}",{several},Joyful,{k},1,{len(part)},1,,\n'
            f"Coffee.,['Rachel Green'],Neutral,{k},2,{len(part)},1,00:00:03.795,00:00:05.004\n"
            for k in range(3)
        ]
        path.write_text(head + "".join(rows))
        paths.append((path, TEXT))
    return paths


def books_emory(folder: Path, release: Release) -> None:
    total = 0
    for part in ("train", "test"):
        fresh = Release()
        rows = read_csv(folder / f"emorynlp_{part}_final.csv", (), folder, fresh)
        total += len(rows) + len(fresh.exclusions)
    assert len(release.utterances) + len(release.exclusions) == total, "a row is lost"


def write_go(folder: Path) -> Files:
    names = CORPORA["goemotions"].scheme.names
    (folder / "labels.txt").write_text("\n".join(names) + "\n")
    paths = [(folder / "labels.txt", TEXT)]
    for part in ("train", "dev", "test"):
        path = folder / f"{part}.tsv"
        rows = [f'He said "{k}\u2028" ü\t{k},{k + 3}\te{part}{k}' for k in range(6)]
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
        paths.append((path, TEXT))
    return paths


def books_go(folder: Path, release: Release) -> None:
    total = 0
    for part in ("train", "dev", "test"):
        text = (folder / f"{part}.tsv").read_bytes().decode("utf-8-sig")
        total += text.count("\n") + (not text.endswith("\n") and bool(text))
    empty = len(release.ignored.get("empty lines", []))
    assert len(release.utterances) + len(release.exclusions) + empty == total, "a row is lost"


def write_emobox(folder: Path) -> Files:
    base = folder / "data" / "emodb"
    base.mkdir(parents=True)
    touch(folder / "downloads" / "emodb" / "wav", "x")
    lines = {}
    for k, emo in enumerate(("anger", "fear", "neutral", "sadness", "anger", "fear")):
        key = f"emodb-0{3 + k % 2}a0{k}Fa"
        record = {
            "key": key,
            "dataset": "emodb",
            "wav": f"downloads/emodb/wav/{key}.wav",
            "type": "raw",
            "sample_rate": 16000,
            "length": 1.5,
            "emo": emo,
            "start_time": 0.5,
            "end_time": 1.25,
            "channel": 1,
        }
        lines[key] = json.dumps(record)
    (base / "emodb.jsonl").write_text("".join(f"{line}\n" for line in lines.values()))
    labels = {"anger": "Angry", "fear": "Fear", "neutral": "Neutral", "sadness": "Sad"}
    (base / "label_map.json").write_text(json.dumps(labels))
    files: Files = [(base / "emodb.jsonl", JSON), (base / "label_map.json", JSON)]
    keys = list(lines)
    for fold, tested in (("fold_1", keys[:3]), ("fold_2", keys[3:])):
        (base / fold).mkdir()
        for part, chosen in (("train", set(keys) - set(tested)), ("test", tested)):
            path = base / fold / f"emodb_{part}_{fold}.jsonl"
            path.write_text("".join(f"{lines[key]}\n" for key in sorted(chosen)))
            files.append((path, JSON))
    return files


def books_emobox(folder: Path, release: Release) -> None:
    base = folder / "data" / "emodb"
    fresh = Release()
    keys = set()
    rows = read_jsonl(base / "emodb.jsonl", base, fresh)
    total = len(rows) + len(fresh.exclusions)
    for row in rows:
        keys.add(row.values.get("key") if isinstance(row.values.get("key"), str) else None)
    others = {"in a fold but not in the manifest"}
    found = [
        one
        for one in release.exclusions
        if one.reason not in others and not one.id.startswith("fold_")
    ]
    assert len(release.utterances) + len(found) == total, "a row is lost"
    for path in base.glob("fold_*/*.jsonl"):
        part = Release()
        for row in read_jsonl(path, base, part):
            key = row.values.get("key")
            where = count_of(release, path.relative_to(base).as_posix())
            ids = {one.id for one in (*release.utterances, *release.exclusions, *release.notes)}
            assert str(key) in ids or where[int(row.where.rpartition(":")[2])], (row.where, key)
        assert {one.id for one in part.exclusions} <= {one.id for one in release.exclusions}


def read_emobox(folder: Path) -> Release:
    base = folder / "data" / "emodb"
    release = CORPORA["emobox"].read(base)
    expect_sound(CORPORA["emobox"], base, release)
    return release


VECTORS = {"text": 100, "audio": 73, "video": 100}


def write_mosi_vectors(folder: Path) -> Files:
    (folder / "features").mkdir()
    head = "segment_id\tvideo_id\tstart\tend\tscore\tofficial_fold\ttext\n"
    rows = [f"v_{k}\tv\t{k}.0\t{k}.5\t{k - 1}.6000\ttrain\tGOOD {k}\n" for k in range(4)]
    table = folder / "segments_train.tsv"
    table.write_text(head + "".join(rows))
    files: Files = [(table, TEXT), (table, TEXT)]
    for kind, dim in VECTORS.items():
        path = folder / "features" / f"{kind}_train.csv"
        path.write_text("".join(",".join([f"{k / 7:.4f}"] * dim) + "\n" for k in range(4)))
        files.append((path, TEXT))
    return files


def read_mosi_vectors(folder: Path) -> Release:
    corpus = CORPORA["mosi_vectors"]
    release = corpus.read(folder)
    for features in corpus.features.values():
        seen = set()
        for name, vector, replaced in features.read(folder, release.utterances):
            assert vector.shape == (1, features.dim)
            assert abs(vector).max() < float("inf")
            assert replaced == 0
            assert name not in seen
            seen.add(name)
        ids = {utterance.id for utterance in release.utterances}
        assert not seen or seen == ids
    return release


def books_mosi_vectors(folder: Path, release: Release) -> None:
    lines = decoded(folder / "segments_train.tsv").split("\n")[1:]
    rows = len(lines) - (bool(lines) and not lines[-1].strip())
    assert len(release.utterances) + len(release.exclusions) == rows, "a row is lost"


SPEC = {
    "file": "clips.csv",
    "columns": {
        **{"id": "id", "audio": "path", "start_s": "from", "end_s": "to", "text": "said"},
        **{"speaker": "who", "session": "s", "part": "part", "gender": "g"},
    },
    "classes": {
        "column": "emotion",
        "names": ["joy", "anger"],
        "mapping": {"glad": "joy"},
        "left_out": {"": "not rated"},
        "votes": {"glad": "n1", "anger": "n2"},
    },
    "ratings": {"columns": {"valence": "v"}, "low": -1, "high": 1},
    "tags": {"column": "all", "names": ["joy", "fear"], "mapping": {"dread": "fear"}},
}
CELLS = ("id", "path", "from", "to", "said", "who", "s", "part", "g", "emotion", "n1", "n2", "v")


def write_table(folder: Path, suffix: str) -> Files:
    name = f"clips.{suffix}"
    path, spec = folder / name, folder / "table.yaml"
    rows = [
        (
            f"u{k}",
            f"wav/{k}.wav",
            f"{k}.5",
            f"{k + 1}",
            f"Hi, {k}",
            "Ann",
            "s1",
            "train",
            "f",
            ("glad", "joy", "anger")[k % 3],
            "2",
            "1",
            "0.25",
            "joy,dread",
        )
        for k in range(5)
    ]
    if suffix == "csv":
        lines = [[*CELLS, "all"], *rows]
        quoted = ([f'"{c}"' if "," in c else c for c in row] for row in lines)
        path.write_text("\n".join(map(",".join, quoted)) + "\n")
    else:
        records = [dict(zip((*CELLS, "all"), row, strict=True)) for row in rows]
        for record in records:
            record |= {"from": float(record["from"]), "n1": 2, "v": 0.5, "all": ["joy", "dread"]}
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    spec.write_text(yaml.safe_dump(SPEC | {"file": name}))
    return [(path, TEXT if suffix == "csv" else JSON), (path, TEXT), (spec, YAML), (spec, YAML)]


def books_table(folder: Path, release: Release) -> None:
    spec = read_spec(folder)
    fresh = Release()
    rows = (
        read_csv(spec.path, (), folder, fresh, delimiter=spec.delimiter)
        if spec.delimiter
        else read_jsonl(spec.path, folder, fresh)
    )
    total = len(rows) + len(fresh.exclusions)
    assert len(release.utterances) + len(release.exclusions) == total, "a row is lost"


# ---------------------------------------------------------------- HDF5


def write_cmu(folder: Path, corpus: str) -> Files:
    videos = csd_tree.make_videos(corpus, train=1, val=0, test=1, segments=2)
    csd_tree.write_tree(folder, corpus, videos)
    return [(folder / f"{stem}.csd", BINARY) for stem, _ in csd_tree.NAMES[corpus].values()]


def read_cmu(corpus: str, folder: Path) -> Release:
    reader = CORPORA[corpus]
    release = reader.read(folder)
    ids = {utterance.id: utterance for utterance in release.utterances}
    (features,) = reader.features.values()
    for name, frames, replaced in features.read(folder, release.utterances):
        ids.pop(name)
        assert frames.shape[1] == features.dim
        assert abs(frames).max() < float("inf")
        assert replaced >= 0
    return release


def books_cmu(stem: str, folder: Path, release: Release) -> None:
    known = {one.id for one in (*release.utterances, *release.exclusions)}
    with open_csd(folder / f"{stem}.csd") as csd:
        for video, entries in csd.entries.items():
            if video in known:
                continue
            for entry in entries:
                for row in range(csd.num_rows(entry.key)):
                    number = row if entry.piece is None else entry.piece
                    assert f"{video}[{number}]" in known, f"{video}[{number}]"


def small_file() -> Any:
    data = feature_file()
    for part in data.values():
        for kind in ("text", "vision"):
            part[kind] = part[kind][:, :3]
        part["text_bert"] = part["text_bert"][:, :, :3]
    return data


def write_mmsa(folder: Path) -> Files:
    source = folder / "data.pkl"
    source.write_bytes(pickle.dumps(small_file()))
    convert_mmsa(source, folder / "mosi.h5")
    source.unlink()
    return [(folder / "mosi.h5", BINARY)]


def read_mmsa(folder: Path) -> Release:
    corpus = CORPORA["mmsa_mosi"]
    release = corpus.read(folder)
    for features in corpus.features.values():
        for _, vector, _ in features.read(folder, release.utterances):
            assert vector.shape == (1, features.dim)
            assert abs(vector).max() < float("inf")
    return release


def write_pickle(folder: Path) -> Files:
    path = folder / "data.pkl"
    path.write_bytes(pickle.dumps(small_file()))
    return [(path, BINARY)]


def read_pickle(folder: Path) -> None:
    target = folder / "out.h5"
    target.unlink(missing_ok=True)
    convert_mmsa(folder / "data.pkl", target)


def _parser(
    name: str,
    write: Callable[[Path], Files],
    books: Callable[[Path, Release], None] = lambda folder, release: None,
    *,
    label: str = "",
    read: Callable[[Path], Release] | None = None,
    named: Sequence[str] = (),
    cases: int = 150,
) -> Parser:
    corpus = CORPORA[name]

    def check(folder: Path, release: Release) -> None:
        if name != "emobox":
            expect_sound(corpus, folder, release)
        books(folder, release)

    return Parser(label or name, write, read or corpus.read, check, cases=cases, named=tuple(named))


CORPUS_PARSERS: tuple[Parser, ...] = (
    _parser("iemocap", write_iemocap, books_iemocap),
    _parser("emodb", write_emodb, books_emodb),
    _parser("nemo", write_nemo, books_nemo),
    _parser("cremad", write_cremad, books_cremad),
    _parser("msp_podcast", partial(write_msp, kind="csv"), books_msp, label="msp_csv"),
    _parser("msp_podcast", partial(write_msp, kind="json"), books_msp, label="msp_json"),
    _parser("meld", write_meld, books_meld),
    _parser("emorynlp", write_emory, books_emory),
    _parser("goemotions", write_go, books_go),
    _parser("emobox", write_emobox, books_emobox, read=read_emobox),
    _parser(
        "mosi_vectors",
        write_mosi_vectors,
        books_mosi_vectors,
        read=read_mosi_vectors,
        # rows are compared with those of the other files
        named=("segments_train.tsv", "_train.csv"),
    ),
    # what does not fit together may be told of either file
    _parser(
        "table",
        partial(write_table, suffix="csv"),
        books_table,
        label="table_csv",
        named=("table.yaml", "clips.csv"),
    ),
    _parser(
        "table",
        partial(write_table, suffix="jsonl"),
        books_table,
        label="table_jsonl",
        named=("table.yaml", "clips.jsonl"),
    ),
    _parser(
        "mosei",
        partial(write_cmu, corpus="mosei"),
        partial(books_cmu, "CMU_MOSEI_Labels"),
        read=partial(read_cmu, "mosei"),
    ),
    _parser(
        "mosi",
        partial(write_cmu, corpus="mosi"),
        partial(books_cmu, "CMU_MOSI_Opinion_Labels"),
        read=partial(read_cmu, "mosi"),
    ),
    _parser("mmsa_mosi", write_mmsa, read=read_mmsa),
    Parser("pickle", write_pickle, read_pickle, cases=60),
)
