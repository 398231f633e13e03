"""Small releases of speech corpora, and the books that their readers keep."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from collections import Counter
from pathlib import Path

from data_modules.corpora import Release
from data_modules.corpora.rows import read_csv
from tests.data_modules import iemocap_tree
from tests.fuzz.books import Files, count_of, decoded, touch
from tests.fuzz.mutate import BINARY, JSON, TEXT


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
