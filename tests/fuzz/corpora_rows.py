"""Small releases whose utterances are rows of files, and the books that their readers keep."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from data_modules.corpora import CORPORA, Release
from data_modules.corpora.rows import read_csv, read_jsonl
from data_modules.corpora.table_yaml import read_spec
from tests.fuzz.books import Files, count_of, expect_sound, touch
from tests.fuzz.mutate import JSON, TEXT, YAML


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
