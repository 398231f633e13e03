"""RAVDESS, EmoDB and nEMO: small trees with every defect, and the real copies."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from data_modules.check import check
from data_modules.check.counts import count
from data_modules.corpora import CORPORA, Release, emodb, nemo, ravdess
from data_modules.errors import CorpusNotFoundError
from data_modules.prepare import prepare
from tests.data_modules.iemocap_tree import wav_bytes


def touch(folder: Path, *names: str) -> None:
    """Readers look at names alone, so these files may be empty."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def listed(release: Release) -> dict[str, str]:
    return {exclusion.id: exclusion.reason for exclusion in release.exclusions}


def test_ravdess_names_are_read(tmp_path: Path) -> None:
    touch(tmp_path / "Actor_02", "03-01-05-02-02-01-02.wav")
    touch(tmp_path / "Actor_11", "03-01-01-01-01-02-11.flac")
    first, second = ravdess.read(tmp_path).utterances
    assert (first.id, first.audio) == (
        "03-01-01-01-01-02-11",
        "Actor_11/03-01-01-01-01-02-11.flac",
    )
    assert (first.speaker, first.gender, first.script) == ("11", "male", "01")
    assert first.text == "Kids are talking by the door"
    assert first.labels == {"category": "neutral", "intensity": "normal"}
    assert (second.speaker, second.gender, second.script) == ("02", "female", "02")
    assert second.text == "Dogs are sitting by the door"
    assert second.labels == {"category": "angry", "intensity": "strong"}


def test_ravdess_lists_what_is_no_speech_clip(tmp_path: Path) -> None:
    folder = tmp_path / "Audio_Speech_Actors_01-24" / "Actor_02"
    touch(
        folder,
        "03-01-05-02-02-01-02.wav",
        "03-01-05-02-02-01-02.flac",
        "03-02-05-02-02-01-02.wav",
        "01-01-05-02-02-01-02.mp4",
        "02-01-05-02-02-01-02.wav",
        "03-01-09-02-02-01-02.wav",
        "03-01-05-02-02-02-03.wav",
        "._03-01-05-02-02-01-02.wav",
        "notes.txt",
    )
    # the nested second copy of a well-known mirror
    touch(tmp_path / "audio_speech_actors_01-24" / "Actor_02", "03-01-05-02-02-01-02.wav")
    release = ravdess.read(tmp_path)
    assert [utterance.id for utterance in release.utterances] == ["03-01-05-02-02-01-02"]
    base = "Audio_Speech_Actors_01-24/Actor_02"
    assert release.utterances[0].audio == f"{base}/03-01-05-02-02-01-02.wav"
    assert listed(release) == {
        f"{base}/03-01-09-02-02-01-02.wav": "file name that cannot be read",
        f"{base}/03-01-05-02-02-02-03.wav": "actor of the name is not that of the folder",
    }
    assert release.counts == {
        "leftovers of a file system (._*, .DS_Store)": 1,
        "files of another kind": 1,
        "clips in a second format": 1,
        "songs": 1,
        "videos": 2,
    }


def test_emodb_names_sentences_and_words(tmp_path: Path) -> None:
    touch(tmp_path / "wav", "03a05Fa.wav", "16b10Wb.wav", "03a06Fa.wav", "03a05Xa.wav")
    release = emodb.read(tmp_path)
    by_id = {utterance.id: utterance for utterance in release.utterances}
    first = by_id["03a05Fa"]
    assert (first.speaker, first.gender, first.script) == ("03", "male", "a05")
    assert first.text == "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück."
    assert first.labels == {"category": "F"}
    assert first.words == ()
    assert (by_id["16b10Wb"].gender, by_id["16b10Wb"].script) == ("female", "b10")
    assert by_id["03a06Fa"].text is None
    assert [(note.id, note.reason) for note in release.notes] == [("03a06Fa", "no transcript")]
    assert listed(release) == {"wav/03a05Xa.wav": "file name that cannot be read"}
    (tmp_path / "sentences.tsv").write_text("code\ttext\na05\tDas Blatt\n", encoding="utf-8")
    (tmp_path / "words.tsv").write_text(
        "file\tindex\tword\tstart\tend\tcomplete_in_clip\n"
        "03a05Fa\t0\tDas\t0.08\t0.25\t1\n"
        "03a05Fa\t1\tBlatt\t0.25\t0.6434\t1\n"
        "16b10Wb\t0\tDie\t0.5\t0.25\t1\n"
        "16b10Wb\t1\twird\t0.5\t0.75\t1\n"
        "03a06Fa\t0\tIn\t0.1\t0.5\t1\n"
        "03a06Fa\t1\tsieben\t0.4\t0.6\t1\n"
        "03a06Fa\t2\n",
        encoding="utf-8",
    )
    release = emodb.read(tmp_path)
    by_id = {utterance.id: utterance for utterance in release.utterances}
    assert by_id["03a05Fa"].text == "Das Blatt"
    assert [(w.text, w.start_s, w.end_s, w.source) for w in by_id["03a05Fa"].words] == [
        ("Das", 0.08, 0.25, "corpus"),
        ("Blatt", 0.25, 0.6434, "corpus"),
    ]
    # a clip whose words are not whole has none
    assert by_id["16b10Wb"].words == ()
    assert {(note.id, note.reason) for note in release.notes} == {
        ("words.tsv:4", "word times that cannot be read"),
        ("words.tsv:7", "word times that cannot be read"),
        ("words.tsv:8", "table row that cannot be read"),
        ("16b10Wb", "no word times (words.tsv)"),
        ("03a06Fa", "no word times (words.tsv)"),
        ("03a06Fa", "no transcript"),
    }


def test_emodb_words_stop_with_a_clip_that_was_cut(tmp_path: Path) -> None:
    (tmp_path / "wav").mkdir()
    samples = np.random.default_rng(0).integers(-999, 999, 8_000, dtype=np.int16)
    (tmp_path / "wav" / "03a01Fa.wav").write_bytes(wav_bytes(samples))
    (tmp_path / "words.tsv").write_text(
        "file\tword\tstart\tend\n03a01Fa\tDer\t0.1\t0.4\n03a01Fa\tLappen\t0.4\t0.7\n"
        "03a01Fa\tliegt\t0.7\t0.9\n",
        encoding="utf-8",
    )
    (tmp_path / "clip_lengths.tsv").write_text(
        "file\toriginal_seconds_16k\ttruncated\n03a01Fa\t1.9\t1\n", encoding="utf-8"
    )
    prepared = prepare(CORPORA["emodb"], tmp_path, tmp_path / "cache")
    (utterance,) = prepared.utterances
    assert [(w.text, w.end_s) for w in utterance.words] == [("Der", 0.4), ("Lappen", 0.5)]
    assert utterance.text == "Der Lappen liegt auf dem Eisschrank."
    details = {note.reason: note.detail for note in prepared.notes}
    assert details == {
        "length differs from what the release states": "0.500 s of audio, stated are 1.900 s",
        "word times after the end of the audio": (
            "1 of 3 words end with the audio, 1 lose their times"
        ),
    }


NEMO_HEAD = "file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage\n"


def nemo_row(name: str, emotion: str, text: str, speaker: str) -> str:
    return f"{name}\t{emotion}\t{text}\t{text.lower()}\t        {speaker}\tfemale\t27\n"


def test_nemo_rows_and_files_are_joined(tmp_path: Path) -> None:
    (tmp_path / "data.tsv").write_text(
        NEMO_HEAD
        + nemo_row("EB0_neutral_13.wav", "neutral", "Źródło, tu.", "EB0")
        + nemo_row("EB0_anger_13.wav", "anger", "", "EB0")
        + nemo_row("EB0_anger_14.wav", "fear", "Nie.", "EB0")
        + nemo_row("EB0-anger.wav", "anger", "Nie.", "EB0")
        + nemo_row("EB0_neutral_13.wav", "neutral", "Nie.", "EB0")
        + "EB0_fear_2.wav\tfear\n",
        encoding="utf-8",
    )
    touch(tmp_path / "samples", "EB0_neutral_13.flac", "EB0_anger_14.wav", "EB0_fear_2.flac")
    release = nemo.read(tmp_path)
    first, second = release.utterances
    # the row says .wav, the disk has .flac
    assert (second.id, second.audio) == ("EB0_neutral_13", "samples/EB0_neutral_13.flac")
    assert (second.speaker, second.gender, second.script) == ("EB0", "female", "13")
    assert second.text == "Źródło, tu."
    assert second.labels == {"category": "neutral"}
    assert (first.id, first.audio, first.text) == ("EB0_anger_13", "samples/EB0_anger_13.wav", "")
    assert listed(release) == {
        "EB0_anger_14": "row and file name contradict each other",
        "data.tsv:5": "file name that cannot be read",
        "data.tsv:6": "listed twice",
        "EB0_fear_2": "audio without a label",
    }
    assert {(note.id, note.reason) for note in release.notes} == {
        ("EB0_anger_13", "no transcript"),
        ("data.tsv:7", "table row that cannot be read"),
    }


def test_nemo_without_its_columns_has_no_utterances(tmp_path: Path) -> None:
    (tmp_path / "data.tsv").write_text("a\tb\n1\t2\n", encoding="utf-8")
    release = nemo.read(tmp_path)
    assert not release.utterances
    assert [note.id for note in release.notes] == ["data.tsv:1"]
    with pytest.raises(CorpusNotFoundError, match="expected utterances of nEMO, got none"):
        prepare(CORPORA["nemo"], tmp_path, tmp_path / "cache")


@pytest.mark.parametrize("name", ["ravdess", "emodb", "nemo"])
def test_another_folder_is_no_release(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "holiday.jpg")
    with pytest.raises(CorpusNotFoundError, match=r"got holiday\.jpg; give the folder of"):
        CORPORA[name].read(tmp_path)
    with pytest.raises(CorpusNotFoundError, match="no such folder"):
        CORPORA[name].read(tmp_path / "nowhere")


_TABLE = "file\tword\tstart\tend\n03a01Fa\tDer\t0.1\t0.4\n03a01Fa\tLappen\t0.4\t0.7\n"


@settings(max_examples=60)
@given(st.integers(0, len(_TABLE)), st.integers(0, 9), st.binary(max_size=5))
def test_a_mutated_word_table_is_read_or_noted(
    tmp_path: Path, start: int, length: int, new: bytes
) -> None:
    touch(tmp_path / "wav", "03a01Fa.wav")
    data = _TABLE.encode()
    (tmp_path / "words.tsv").write_bytes(data[:start] + new + data[start + length :])
    release = emodb.read(tmp_path)
    (utterance,) = release.utterances
    assert utterance.words or release.notes
    times = [time for word in utterance.words for time in (word.start_s, word.end_s)]
    assert times == sorted(times)


REAL = {
    "ravdess": (
        960,
        {
            "neutral": 64,
            "calm": 128,
            "happy": 128,
            "sad": 128,
            "angry": 128,
            "fearful": 128,
            "disgust": 128,
            "surprised": 128,
        },
        {f"{actor:02d}": 60 for actor in range(1, 17)},
    ),
    "emodb": (
        339,
        {
            "anger": 84,
            "boredom": 50,
            "disgust": 22,
            "fear": 42,
            "happiness": 46,
            "neutral": 56,
            "sadness": 39,
        },
        {"03": 49, "08": 58, "09": 43, "10": 38, "11": 55, "12": 35, "13": 61},
    ),
    "nemo": (
        1447,
        {
            "anger": 243,
            "fear": 240,
            "happiness": 248,
            "neutral": 269,
            "sadness": 245,
            "surprised": 202,
        },
        {"EB0": 269, "KD0": 270, "KS0": 270, "MK0": 225, "MP0": 144, "WR0": 269},
    ),
}
"""Totals, classes and speakers as the notes beside the copies give them."""


@pytest.mark.real
@pytest.mark.parametrize("name", sorted(REAL))
def test_real_copies_have_the_counts_of_their_notes(
    tmp_path: Path, shared_data: Path, name: str
) -> None:
    total, classes, speakers = REAL[name]
    prepared = prepare(CORPORA[name], shared_data / name, tmp_path)
    counts = count(prepared)
    assert counts.total == len(prepared.utterances) == total
    assert counts.classes == classes
    assert counts.speakers == speakers
    assert not prepared.exclusions
    assert all(utterance.text for utterance in prepared.utterances)
    genders = {utterance.speaker: utterance.gender for utterance in prepared.utterances}
    assert set(genders.values()) == {"female", "male"}
    # acted: every sentence in every emotion that its speakers have, so no sentence tells one
    scheme = prepared.corpus.scheme
    pairs = Counter((u.script, scheme.target_of(u)) for u in prepared.utterances)
    assert len(pairs) > 0.9 * len({u.script for u in prepared.utterances}) * len(classes)
    assert "fail" not in {result.status for result in check(prepared)}


@pytest.mark.real
def test_real_emodb_words_are_the_sentence(tmp_path: Path, shared_data: Path) -> None:
    prepared = prepare(CORPORA["emodb"], shared_data / "emodb", tmp_path)
    timed = [utterance for utterance in prepared.utterances if utterance.words]
    assert len(timed) == 335
    for utterance in timed:
        assert utterance.text is not None
        spoken = utterance.text.lower().split()
        words = [word.text.lower() for word in utterance.words]
        assert words == spoken[: len(words)]
        assert utterance.end_s is not None
        assert utterance.words[-1].end_s <= utterance.end_s


@pytest.mark.real
def test_real_48_khz_wavs_are_counted(tmp_path: Path, shared_data: Path) -> None:
    prepared = prepare(CORPORA["ravdess"], shared_data / "ravdess" / "original_wav", tmp_path)
    (formats,) = (result for result in check(prepared) if result.name == "formats")
    assert formats.detail.startswith("7 at 48000 Hz; 7 resampled to 16000 Hz, 3 with several")
    for utterance in prepared.utterances:
        info = soundfile.info(prepared.audio_path(utterance))
        assert utterance.duration_s == info.frames / info.samplerate
