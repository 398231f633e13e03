"""Models that were trained on the small corpus over files, folders, tables and streams."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import sermm
from data_modules.errors import AlignmentError, ConfigError, DataError, ModelError
from sermm.predict.cutting import Cutting
from sermm.predict.recording import Recording
from tests.data_modules import iemocap_tree as tree
from tests.sermm.small_corpus import small_turns
from tests.sermm.workplace import Workplace, probabilities, read_table

TESTED = [turn.name for turn in small_turns() if turn.session == 1]


def clip(place: Workplace, name: str) -> Path:
    return tree.clip_path(place.release, name)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_recording_gets_the_probabilities_of_the_run(place: Workplace) -> None:
    run = place.fit("acoustic", "model.speech.trim_db=30", "name=heard")
    raw = sermm.load(run, raw=True)
    expected = probabilities(run)
    for name in TESTED[:4]:
        said = raw.predict(clip(place, name))
        assert list(said.probabilities.values()) == pytest.approx(expected[name], abs=1e-6)
        assert not said.calibrated
    samples, rate = soundfile.read(clip(place, TESTED[0]))
    for name in ("a.flac", "a.ogg", "a.mp3"):
        soundfile.write(place.folder / name, samples, rate)
        said = raw.predict(place.folder / name)
        assert sum(said.probabilities.values()) == pytest.approx(1.0)
        if name == "a.flac":  # which loses nothing
            shares = list(said.probabilities.values())
            assert shares == pytest.approx(expected[TESTED[0]], abs=1e-6)
    together = list(raw.predict_all([Recording(n, clip(place, n)) for n in TESTED], workers=3))
    assert [said.file for said in together] == TESTED
    for said in together:
        assert list(said.probabilities.values()) == pytest.approx(expected[said.file], abs=1e-5)
    # the temperature moves probabilities and no decision
    calibrated = sermm.load(place.folder / "runs" / "heard").predict(clip(place, TESTED[0]))
    assert calibrated.calibrated
    assert calibrated.label == together[0].label
    assert calibrated.probabilities != together[0].probabilities


def test_words_are_read_and_timed(place: Workplace) -> None:
    run = place.fit("span", "name=both")
    with pytest.raises(ConfigError, match="--aligner"):
        sermm.load(run)
    predictor = sermm.load(run, aligner="uniform")
    said = predictor.predict(clip(place, TESTED[0]), text="the lovely dinner")
    assert [word.text for word in said.words] == ["the", "lovely", "dinner"]
    assert said.word_times == {"uniform": 3}
    with pytest.raises(DataError, match="text, which this model needs"):
        predictor.predict(clip(place, TESTED[0]))
    # noise says nothing
    with pytest.raises(AlignmentError, match="none of them found"):
        sermm.load(run, aligner="pocketsphinx").predict(
            clip(place, TESTED[0]), text="an inexplicable extraordinary circumstance " * 3
        )
    whole = "we left early then it rained"
    parts = list(
        predictor.predict_all(
            [Recording("a", clip(place, TESTED[0]), whole)],
            cutting=Cutting(window_s=0.1),
        )
    )
    assert len(parts) >= 2
    assert " ".join(part.text for part in parts if part.text) == whole
    assert parts[1].start_s == pytest.approx(0.1)


def test_a_model_without_words_says_how_good_it_is(place: Workplace) -> None:
    place.fit("none", "name=either", "model.modality_dropout=0.3", "model.dropout=0.1")
    said = place.sermm(
        "predict", "either", str(clip(place, TESTED[0])), "--format", "json", "--raw"
    )
    assert said.status == 0, said
    assert "only-speech" in said.err
    heard = lines(said.out)[0]
    assert heard["condition"] == "only-speech"
    run = place.folder / "runs" / "either"
    folder = next(run.iterdir())
    with (folder / "predictions.only-speech.csv").open() as stream:
        row = next(row for row in csv.DictReader(stream) if row["utterance_id"] == TESTED[0])
    assert heard["probabilities"]["sad"] == pytest.approx(float(row["p_sad"]), abs=1e-6)
    read = sermm.load(run).predict(text="awful")
    assert (read.condition, read.start_s, read.text) == ("only-text", None, "awful")
    both = sermm.load(run).predict(clip(place, TESTED[0]), text="awful")
    assert both.condition == ""


def test_files_that_cannot_be_read_do_not_stop_the_others(place: Workplace) -> None:
    place.fit("linear", "name=base")
    folder = place.folder / "clips"
    folder.mkdir()
    for name in TESTED[:3]:
        shutil.copy(clip(place, name), folder)
    good = (folder / f"{TESTED[0]}.wav").read_bytes()
    (folder / "cut.wav").write_bytes(good[:200])
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.flac").write_text("no sound")
    samples, rate = soundfile.read(folder / f"{TESTED[0]}.wav")
    soundfile.write(folder / "same.flac", samples, rate, subtype="PCM_16")
    soundfile.write(folder / "wide.ogg", np.stack([samples, samples], 1), rate)
    said = place.sermm("predict", "base", str(folder), "--output", "out.csv")
    assert said.status == 1
    assert said.err.count("not predicted: ") == 3
    assert "3 of 8 that cannot" in said.err
    # these files are of no corpus
    assert "release" not in said.err
    assert "sermm prepare" not in said.err
    written = read_table(place.folder / "out.csv")
    rows = {Path(row["file"]).name: row for row in written}
    assert len(rows) == 8
    assert {name for name, row in rows.items() if row["error"]} == {
        "cut.wav",
        "empty.wav",
        "text.flac",
    }
    first = rows[f"{TESTED[0]}.wav"]
    assert float(rows["same.flac"]["p_sad"]) == pytest.approx(float(first["p_sad"]), abs=1e-6)
    alone = place.sermm("predict", "base", str(folder / f"{TESTED[0]}.wav"), "--format", "json")
    values = lines(alone.out)[0]["probabilities"]
    assert values["sad"] == pytest.approx(float(first["p_sad"]), abs=1e-5)


def test_silence_and_length_are_noted(place: Workplace) -> None:
    run = place.fit("linear", "name=noting")
    generator = np.random.default_rng(0)
    for name, samples in (
        ("silent.wav", np.zeros(16_000)),
        ("minute.wav", generator.normal(0, 0.01, 61 * 16_000)),
        ("fine.wav", generator.normal(0, 0.01, 16_000)),
    ):
        soundfile.write(place.folder / name, samples, 16_000)
    model = sermm.load(run)
    assert model.predict(place.folder / "silent.wav").notes == (
        "silent: below -80 dB of full scale",
    )
    (note,) = model.predict(place.folder / "minute.wav").notes
    assert note.startswith("one answer for 61 s")
    assert model.predict(place.folder / "fine.wav").notes == ()


def test_errors_advise_the_owner_of_a_file(place: Workplace) -> None:
    predictor = sermm.load(place.fit("linear", "name=base"))
    with pytest.raises(DataError, match="no file; check the path"):
        predictor.predict("nowhere.wav")
    path = clip(place, TESTED[0])
    for start_s, end_s in ((0.2, 0.1), (0.0, 9.0)):
        with pytest.raises(DataError, match="correct start_s and end_s"):
            predictor.predict(path, start_s=start_s, end_s=end_s)


def test_paths_on_standard_input_are_answered_one_by_one(place: Workplace) -> None:
    place.fit("linear", "name=base")
    program = [sys.executable, "-m", "sermm", "predict", "runs/base", "-"]
    with subprocess.Popen(
        program, cwd=place.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, bufsize=1,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        answers = []
        for path in (clip(place, TESTED[0]), "nowhere.wav", clip(place, TESTED[1])):
            process.stdin.write(f"{path}\n")
            answers.append(json.loads(process.stdout.readline()))
        process.stdin.close()
        assert process.wait() == 1
    assert ["error" in answer for answer in answers] == [False, True, False]


def test_what_is_asked_is_checked_first(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    place.fit("linear", "name=two")
    place.fit("linear", "name=two", "fold=1")
    place.fit("linear", "name=two", "fold=1", "seed=1")
    wav = str(clip(place, TESTED[0]))
    for arguments, part in (
        (["nowhere", wav], "no such folder"),
        (["two", wav], "--fold"),
        (["two", wav, "--fold", "4"], "folds 0, 1"),
        (["two", wav, "--fold", "1"], "seeds 0, 1"),
        (["two", wav, "--fold", "0", "--seed", "1"], "one of the seeds 0,"),
        (["two", "--fold", "0"], "got nothing"),
        (["two", wav, wav, "--fold", "0", "--text", "a"], "--text-file"),
        (["two", wav, "--fold", "0", "--hop", "1"], "--window with it"),
        (["two", wav, "--fold", "0", "--format", "xml"], "table, json, csv"),
        (["two", wav, "--fold", "0", "--aligner", "ctc"], "--ctc-model"),
        (["two", "-", "--fold", "0", "--format", "table"], "answered at once"),
    ):
        said = place.sermm("predict", *arguments)
        assert said.status == 2, said
        assert part in said.err
        assert said.err.count("\n") == 1
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    streamed = place.sermm("predict", "two", "-", "--fold", "1", "--seed", "1")
    assert streamed.status == 0
    assert "fold 1, seed 1" in streamed.err
    monkeypatch.setattr("sermm.upstreams.handcrafted.LogMel.transform_version", 99)
    with pytest.raises(ModelError, match="another version"):
        sermm.load(place.folder / "runs" / "two", fold=0)


def test_controls_and_speaker_statistics_are_refused(place: Workplace) -> None:
    run = place.fit("linear", "name=by_speaker", "model.speech.normalise=speaker")
    with pytest.raises(ConfigError, match="normalise=speaker"):
        sermm.load(run)
    run = place.fit("span", "name=shuffled", "data.shuffle_word_times=true", "optim.epochs=1")
    with pytest.raises(ConfigError, match="control"):
        sermm.load(run, aligner="uniform")
