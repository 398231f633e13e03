"""CREMA-D: names, tables and votes of a small tree with every defect, and the real tables."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_modules.corpora import cremad
from data_modules.corpora.cremad_votes import winner
from data_modules.corpora.release import Release
from data_modules.errors import CorpusNotFoundError, ManifestError
from data_modules.labels import LeftOut
from data_modules.manifest import Utterance
from data_modules.prepare import prepare
from data_modules.protocols import find_protocol, make_folds
from tests.data_modules.iemocap_tree import wav_bytes

VOTES_HEAD = '"","A","D","F","H","N","S","fileName","numResponses","agreement","emoVote"\n'
VOICE, VOICE_SCHEME = cremad.CORPUS.schemes[0], cremad.CORPUS.schemes[1]


def votes_row(row: str, counts: str, name: str, winner: str, total: int | None = None) -> str:
    if total is None:
        total = sum(map(int, counts.split(",")))
    return f'"{row}",{counts},"{name}",{total},0.5,"{winner}"\n'


def write(folder: Path, *, names: str = "", votes: str = "", actors: str = "") -> Path:
    (folder / "processedResults").mkdir(parents=True, exist_ok=True)
    (folder / "AudioWAV").mkdir(exist_ok=True)
    rows = "".join(f'{n},"{name}"\n' for n, name in enumerate(names.split(), start=1))
    (folder / "SentenceFilenames.csv").write_text(f'"Stimulus_Number","Filename"\n{rows}')
    (folder / "processedResults" / "tabulatedVotes.csv").write_text(VOTES_HEAD + votes)
    head = '"ActorID","Age","Sex","Race","Ethnicity"\n'
    (folder / "VideoDemographics.csv").write_text(head + actors)
    return folder


def clip(folder: Path, name: str, data: bytes = b"") -> None:
    (folder / "AudioWAV").mkdir(parents=True, exist_ok=True)
    (folder / "AudioWAV" / name).write_bytes(data)


def notes(release: Release) -> set[tuple[str, str]]:
    return {(note.id, note.reason) for note in release.notes}


def test_names_actors_and_votes_are_joined(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        names="1002_DFA_ANG_XX 1001_IEO_HAP_LO 1002_TIE_NEU_XX",
        votes=votes_row("100001", "0,0,0,3,6,0", "1001_IEO_HAP_LO", "N")
        + votes_row("200001", "0,0,0,9,0,0", "1001_IEO_HAP_LO", "H")
        + votes_row("300001", "0,1,0,8,0,0", "1001_IEO_HAP_LO", "H")
        + votes_row("100002", "4,4,0,0,1,0", "1002_DFA_ANG_XX", "A:D"),
        actors='1001,51,"Male","Caucasian","Not Hispanic"\n1002,21,"Female","Asian","Hispanic"\n',
    )
    clip(root, "1001_IEO_HAP_LO.wav")
    release = cremad.read(root)
    first, second, third = release.utterances
    assert (first.id, first.audio) == ("1001_IEO_HAP_LO", "AudioWAV/1001_IEO_HAP_LO.wav")
    assert (first.speaker, first.gender, first.script) == ("1001", "male", "IEO")
    assert first.text == "It's eleven o'clock."
    assert first.labels == {
        "category": "HAP",
        "level": "low",
        "voice": "NEU",
        "votes": {"HAP": 3, "NEU": 6},
        "votes_face": {"HAP": 9},
        "votes_both": {"DIS": 1, "HAP": 8},
        "age": 51,
        "race": "Caucasian",
        "ethnicity": "Not Hispanic",
    }
    # anger, disgust, fear, happiness, neutral, sadness
    assert VOICE.target_of(first) == 3
    assert VOICE_SCHEME.target_of(first) == 4
    assert VOICE_SCHEME.shares_of(first) == pytest.approx((0, 0, 0, 1 / 3, 2 / 3, 0))
    # listed and not on disk: named where the release would have it
    assert (second.audio, second.gender) == ("AudioWAV/1002_DFA_ANG_XX.wav", "female")
    assert second.labels["voice"] == "tie"
    left = VOICE_SCHEME.target_of(second)
    assert left == LeftOut("as many votes for several emotions", "tie")
    assert VOICE.target_of(second) == 0
    assert third.labels["voice"] == "none"
    assert VOICE_SCHEME.target_of(third) == LeftOut("no votes of the voice alone", "none")
    assert VOICE.shares_of(third) is None
    assert notes(release) == {("1002_TIE_NEU_XX", "no votes of the voice alone")}
    assert not release.exclusions


def test_defects_are_listed(tmp_path: Path) -> None:
    name = "1001_DFA_SAD_XX"
    root = write(
        tmp_path,
        names=f"{name} 1040_ITH_SAD_XX 1076_MTI_SAD_XX 1001_XXX_SAD_XX",
        votes=votes_row("100001", "1,0,0,0,0,0", name, "S")
        + votes_row("200001", "1,0,0,0,0,0", name, "A", total=2)
        + votes_row("300001", "1,0,0,0,0,0", name, "A")
        + votes_row("300002", "0,0,0,0,0,5", name, "S")
        + votes_row("400001", "1,0,0,0,0,0", name, "A")
        + votes_row("100002", "1,-1,0,0,0,0", "1040_ITH_SAD_XX", "A")
        + '"100003",1,0\n'
        + votes_row("100004", "0,0,0,0,0,1", "1099_DFA_SAD_XX", "S")
        + votes_row("100005", "0,0,0,0,0,1", "1076_MTI_SAD_XX", "S"),
        actors='1001,old,"Unknown","Asian","Hispanic"\n1040,30,"Male","Asian","Hispanic"\n',
    )
    for file in (
        "1040_ITH_SAD_X.wav",
        "1001_DFA_FEA_XX.wav",
        f"{name}.wav",
        f"{name}.flac",
        "x.txt",
    ):
        clip(root, file)
    clip(root, "1001_DFA_FEA.wav")
    release = cremad.read(root)
    table = "processedResults/tabulatedVotes.csv"
    assert notes(release) == {
        (f"{table}:2", "winner that the votes contradict"),
        (f"{table}:3", "votes that cannot be read"),
        (f"{table}:5", "votes given twice, not used"),
        (f"{table}:6", "votes that cannot be read"),
        (f"{table}:7", "votes that cannot be read"),
        (f"{table}:8", "votes that cannot be read"),
        ("1099_DFA_SAD_XX", "votes for a clip that is not there"),
        ("VideoDemographics.csv:2", "actor's data that cannot be read"),
        ("1040_ITH_SAD_XX", "known defect"),
        ("1040_ITH_SAD_XX", "no votes of the voice alone"),
        ("1076_MTI_SAD_XX", "known defect"),
        ("1076_MTI_SAD_XX", "actor that VideoDemographics.csv does not list"),
        ("1001_DFA_FEA_XX", "clip that SentenceFilenames.csv does not list"),
        ("1001_DFA_FEA_XX", "no votes of the voice alone"),
    }
    assert [(e.id, e.reason) for e in release.exclusions] == [
        ("1001_DFA_FEA", "file name that cannot be read"),
        ("1001_XXX_SAD_XX", "file name that cannot be read"),
    ]
    assert release.ignored == {
        "clips in a second format": [f"AudioWAV/{name}.flac"],
        "files of another kind": ["AudioWAV/x.txt"],
    }
    by_id = {utterance.id: utterance for utterance in release.utterances}
    # the votes decide, not the winner that stands beside them
    assert by_id[name].labels["voice"] == "ANG"
    assert "votes_both" not in by_id[name].labels
    assert by_id[name].gender is None
    assert "age" not in by_id[name].labels
    assert by_id["1040_ITH_SAD_XX"].audio == "AudioWAV/1040_ITH_SAD_X.wav"


def test_clips_alone_are_a_release(tmp_path: Path) -> None:
    (tmp_path / "1001_DFA_ANG_XX.wav").write_bytes(b"")
    release = cremad.read(tmp_path)
    assert [(u.id, u.audio) for u in release.utterances] == [
        ("1001_DFA_ANG_XX", "1001_DFA_ANG_XX.wav")
    ]
    assert release.utterances[0].labels == {
        "category": "ANG",
        "level": "unspecified",
        "voice": "none",
    }
    assert release.counts == {"table that is not there": 3}


def test_the_clone_may_be_a_folder_below(tmp_path: Path) -> None:
    write(tmp_path / "CREMA-D", names="1001_DFA_ANG_XX")
    (utterance,) = cremad.read(tmp_path).utterances
    assert utterance.audio == "CREMA-D/AudioWAV/1001_DFA_ANG_XX.wav"


def test_another_folder_is_no_release(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(CorpusNotFoundError, match=r"got holiday\.jpg; give the folder of CREMA-D"):
        cremad.read(tmp_path)
    with pytest.raises(CorpusNotFoundError, match="no such folder"):
        cremad.read(tmp_path / "nowhere")


def test_a_table_without_its_columns_is_an_error(tmp_path: Path) -> None:
    root = write(tmp_path, names="1001_DFA_ANG_XX")
    table = root / "processedResults" / "tabulatedVotes.csv"
    table.write_text('"","A","D"\n')
    with pytest.raises(ManifestError, match=r"tabulatedVotes\.csv:1: .* got no F, H, N, S"):
        cremad.read(root)
    table.write_text(VOTES_HEAD + '"100001",1,"0\n')
    with pytest.raises(ManifestError, match=r"tabulatedVotes\.csv:\d: expected a table in UTF-8"):
        cremad.read(root)


@given(st.dictionaries(st.sampled_from(["ANG", "DIS", "NEU"]), st.integers(1, 3)))
def test_the_winner_has_strictly_most_votes(votes: dict[str, int]) -> None:
    most = Counter(votes).most_common()
    alone = most and (len(most) == 1 or most[0][1] > most[1][1])
    assert winner(votes) == (most[0][0] if alone else "tie" if most else "none")


TABLE = VOTES_HEAD + votes_row("100001", "1,0,0,0,0,2", "1001_DFA_ANG_XX", "S")


@settings(max_examples=200)
@given(st.integers(0, len(TABLE)), st.integers(0, 9), st.binary(max_size=5))
def test_a_mutated_table_is_read_noted_or_refused(
    tmp_path: Path, start: int, length: int, new: bytes
) -> None:
    root = write(tmp_path, names="1001_DFA_ANG_XX")
    data = TABLE.encode()
    mutated = data[:start] + new + data[start + length :]
    (root / "processedResults" / "tabulatedVotes.csv").write_bytes(mutated)
    try:
        release = cremad.read(root)
    except ManifestError:
        return
    (utterance,) = release.utterances
    kept = utterance.labels.get("votes")
    assert kept == {"ANG": 1, "SAD": 2} or release.notes or sum((kept or {}).values()) > 0


def test_pointers_and_missing_audio_end_in_one_line(tmp_path: Path) -> None:
    root = write(tmp_path, names="1001_DFA_ANG_XX 1001_DFA_SAD_XX")
    with pytest.raises(CorpusNotFoundError) as caught:
        prepare(cremad.CORPUS, root, tmp_path / "cache")
    assert str(caught.value) == (
        f"{root}: expected utterances of CREMA-D, got 2 left out (audio is missing); copy the "
        "audio of the release there (the first clip would be AudioWAV/1001_DFA_ANG_XX.wav), or "
        "correct --root"
    )
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 9\n"
    for name in ("1001_DFA_ANG_XX", "1001_DFA_SAD_XX"):
        clip(root, f"{name}.wav", pointer)
    with pytest.raises(CorpusNotFoundError) as caught:
        prepare(cremad.CORPUS, root, tmp_path / "cache")
    assert str(caught.value) == (
        f"{root}: expected utterances of CREMA-D, got 2 left out (audio is a Git-LFS pointer); run "
        "`git lfs pull` in the release"
    )
    samples = np.random.default_rng(0).integers(-999, 999, 8_000, dtype=np.int16)
    clip(root, "1001_DFA_ANG_XX.wav", wav_bytes(samples))
    prepared = prepare(cremad.CORPUS, root, tmp_path / "cache")
    assert [utterance.id for utterance in prepared.utterances] == ["1001_DFA_ANG_XX"]
    assert [(e.id, e.reason) for e in prepared.exclusions] == [
        ("1001_DFA_SAD_XX", "audio is a Git-LFS pointer")
    ]


@pytest.mark.real
def test_the_real_tables_give_their_published_figures(shared_data: Path) -> None:
    release = cremad.read(shared_data / "cremad")
    utterances = release.utterances
    assert len(utterances) == 7442
    assert not release.exclusions
    assert release.counts == {"known defect": 4}
    published = cremad.CORPUS.published
    assert published is not None
    assert Counter(u.speaker for u in utterances) == published.speakers
    names = Counter(VOICE.names[_index(u)] for u in utterances)
    assert names == published.classes
    people = {u.speaker: u.gender for u in utterances}
    assert Counter(people.values()) == {"male": 48, "female": 43}
    assert len({u.script for u in utterances}) == 12
    assert all(u.text for u in utterances)
    channels = ("votes", "votes_face", "votes_both")
    assert sum(sum(u.labels[c].values()) for u in utterances for c in channels) == 212_000
    voice = Counter(u.labels["voice"] for u in utterances)
    assert voice["tie"] == 644
    assert voice["none"] == 0
    # the winners as the table of the release has them
    assert {code: voice[code] for code in ("NEU", "ANG", "FEA", "DIS", "SAD", "HAP")} == {
        "NEU": 3897,
        "ANG": 986,
        "FEA": 645,
        "DIS": 547,
        "SAD": 370,
        "HAP": 353,
    }
    for utterance in utterances:
        shares = VOICE.shares_of(utterance)
        assert shares is not None
        assert sum(shares) == pytest.approx(1)


def _index(utterance: Utterance) -> int:
    target = VOICE.target_of(utterance)
    assert isinstance(target, int)
    return target


@pytest.mark.real
def test_real_folds_are_disjoint_in_actors(shared_data: Path) -> None:
    utterances = cremad.read(shared_data / "cremad").utterances
    folds = make_folds(find_protocol("cremad-speaker5"), utterances)
    assert sorted(name for fold in folds for name in fold.test) == [u.id for u in utterances]


@pytest.mark.real
def test_the_real_copy_has_no_audio(tmp_path: Path, shared_data: Path) -> None:
    with pytest.raises(CorpusNotFoundError, match=r"got 7442 left out \(audio is missing\); copy"):
        prepare(cremad.CORPUS, shared_data / "cremad", tmp_path)
