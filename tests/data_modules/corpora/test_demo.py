"""The demo corpus as it lies on disk: layout, bytes, and what happens when making it goes wrong."""

from __future__ import annotations

import csv
import importlib.util
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data_modules.corpora import demo, demo_release, find_corpus, iemocap
from data_modules.corpora.demo import demo_digest, digest_note, make_demo, verify_demo
from data_modules.corpora.demo_plan import SPEAKERS
from data_modules.corpora.demo_text import VALENCE_OF
from data_modules.errors import DataError, ModelError, RunFailedError
from data_modules.manifest import Utterance
from tests.sermm.workplace import children_of, has_ended, wait_until

NUMBER = 8
TOTAL = NUMBER * 10
ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None, reason="the extra 'demo' is not installed"
)
on_reference_platform = pytest.mark.skipif(
    (sys.platform, platform.machine(), platform.libc_ver()[0]) != ("linux", "x86_64", "glibc"),
    reason="digests are known for Linux x86-64 with glibc",
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "release"
    return make_demo(folder, seed=0, utterances_per_speaker=NUMBER)


@pytest.fixture
def copy(corpus: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(corpus, tmp_path / "release"))


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Replace synthesis by a file, for tests of what surrounds it; lists the folders made."""
    made: list[Path] = []

    def write(root: Path, **_: object) -> None:
        made.append(root)
        time.sleep(0.05)
        (root / "clip").write_text("clip")

    monkeypatch.setattr(demo, "write_release", write)
    return made


def words_of(utterance: Utterance) -> list[str]:
    return re.sub(r"[.,]", "", utterance.text or "").lower().split()


def test_the_reader_of_iemocap_reads_it_unchanged(corpus: Path) -> None:
    found = iemocap.read(corpus)
    assert len(found.utterances) == TOTAL
    assert (found.exclusions, found.notes, found.ignored) == ([], [], {})
    assert Counter(u.labels["category"] for u in found.utterances) == dict.fromkeys(
        ("ang", "sad", "hap", "neu"), TOTAL // 4
    )
    assert Counter(u.speaker for u in found.utterances) == {
        f"Ses0{session}{gender}": NUMBER for session in range(1, 6) for gender in "FM"
    }
    assert Counter(u.session for u in found.utterances) == dict.fromkeys("12345", 2 * NUMBER)
    for utterance in found.utterances:
        assert [word.text for word in utterance.words] == words_of(utterance)
        assert utterance.labels["votes"] == {utterance.labels["category"]: 3}
    assert find_corpus("demo").read(corpus).utterances[0].corpus == "demo"


def test_labels_and_ratings_follow_the_design(corpus: Path) -> None:
    utterances = {utterance.id: utterance for utterance in iemocap.read(corpus).utterances}
    with (corpus / demo_release.DESIGN).open() as stream:
        design = list(csv.DictReader(stream, delimiter="\t"))
    assert [row["utterance_id"] for row in design] == list(utterances)
    for row in design:
        utterance = utterances[row["utterance_id"]]
        negative, high = row["valence"] == "negative", row["arousal"] == "high"
        expected = {(True, True): "ang", (True, False): "sad", (False, True): "hap"}
        assert utterance.labels["category"] == expected.get((negative, high), "neu")
        assert (utterance.labels["ratings"]["valence"] < 3) == negative
        assert (utterance.labels["ratings"]["activation"] > 3) == high
        assert utterance.speaker == row["speaker"]


def test_clips_are_16_khz_mono_and_as_long_as_their_files_say(corpus: Path) -> None:
    found = iemocap.read(corpus)
    for utterance in found.utterances:
        assert utterance.audio is not None
        path = corpus / utterance.audio
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
        assert found.stated_s[utterance.id] == pytest.approx(info.duration, abs=1e-3)
        alignment = path.parents[2] / "ForcedAlignment" / path.parent.name / f"{path.stem}.wdseg"
        rows = alignment.read_text().splitlines()
        assert rows[0].split() == ["SFrm", "EFrm", "SegAScr", "Word"]
        assert rows[-1].split()[:2] == ["Total", "score:"]
        assert int(rows[-2].split()[1]) + 1 == info.frames / 160
        samples, _ = soundfile.read(path)
        assert 0.02 < np.abs(samples).max() < 1


def test_word_times_find_the_stressed_word(corpus: Path) -> None:
    """In a contrast sentence the stressed word is the loudest of the four that judge."""
    utterances = {utterance.id: utterance for utterance in iemocap.read(corpus).utterances}
    with (corpus / demo_release.DESIGN).open() as stream:
        rows = [row for row in csv.DictReader(stream, delimiter="\t") if row["kind"] == "contrast"]
    assert len(rows) == TOTAL // 2
    found = 0
    for row in rows:
        utterance = utterances[row["utterance_id"]]
        samples, rate = soundfile.read(corpus / str(utterance.audio))
        judged = [i for i, word in enumerate(words_of(utterance)) if word in VALENCE_OF]
        levels = {}
        for i in judged:
            word = utterance.words[i]
            levels[i] = np.std(samples[round(word.start_s * rate) : round(word.end_s * rate)])
        assert len(levels) == 4
        found += max(levels, key=lambda i: levels[i]) == int(row["stressed_word"])
    assert found >= 0.95 * len(rows)


def test_word_times_leave_out_the_noise_around_the_speech(corpus: Path) -> None:
    margins, speech = [], []
    for utterance in iemocap.read(corpus).utterances:
        samples, rate = soundfile.read(corpus / str(utterance.audio))
        start, end = utterance.words[0].start_s, utterance.words[-1].end_s
        assert start >= 0.05
        assert end <= len(samples) / rate - 0.05
        margins += [samples[: int(start * rate)].std(), samples[int(end * rate) :].std()]
        speech.append(samples[int(start * rate) : int(end * rate)].std())
    # the noise lies 10 to 20 dB below the speech
    for lead, tail, level in zip(margins[::2], margins[1::2], speech, strict=True):
        assert lead < 0.5 * level
        assert tail < 0.5 * level


def test_the_same_bytes_again_with_one_process_at_a_time(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seconds later, too: espeak-ng would seed itself from the clock."""
    monkeypatch.setattr(demo_release.os, "cpu_count", lambda: 1)
    steps: list[tuple[int, int]] = []
    again = make_demo(
        tmp_path / "again",
        seed=0,
        utterances_per_speaker=NUMBER,
        on_progress=lambda done, total: steps.append((done, total)),
    )
    assert (again / demo.SUMS).read_text() == (corpus / demo.SUMS).read_text()
    assert steps == [(done, TOTAL) for done in range(1, TOTAL + 1)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again"]


@on_reference_platform
def test_the_bytes_are_those_that_others_have(corpus: Path) -> None:
    assert demo_digest(corpus) == demo.KNOWN_DIGESTS[0, NUMBER]
    assert digest_note(corpus) == ""


@on_reference_platform
@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_whole_corpora_are_those_that_others_have(tmp_path: Path, seed: int) -> None:
    folder = make_demo(tmp_path / "demo", seed=seed)
    assert demo_digest(folder) == demo.KNOWN_DIGESTS[seed, 120]


def test_other_bytes_are_a_note_and_no_error(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(demo.KNOWN_DIGESTS, (0, NUMBER), "0" * 64)
    assert make_demo(corpus, seed=0, utterances_per_speaker=NUMBER) == corpus
    assert "other samples" in digest_note(corpus)
    monkeypatch.delitem(demo.KNOWN_DIGESTS, (0, NUMBER))
    assert digest_note(corpus) == ""


def test_what_is_there_is_left_alone(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(demo, "write_release")
    before = {path: path.stat().st_mtime_ns for path in corpus.rglob("*")}
    make_demo(corpus, seed=0, utterances_per_speaker=NUMBER)
    assert {path: path.stat().st_mtime_ns for path in corpus.rglob("*")} == before
    assert list(corpus.parent.iterdir()) == [corpus]


@pytest.mark.parametrize("other", [{"seed": 1}, {"utterances_per_speaker": 16}])
def test_another_corpus_in_the_folder_is_refused(corpus: Path, other: dict[str, int]) -> None:
    wanted = {"seed": 0, "utterances_per_speaker": NUMBER} | other
    with pytest.raises(DataError, match=r"release: expected .*got .*give another folder"):
        make_demo(corpus, **wanted)


def test_other_content_in_the_folder_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("my work")
    with pytest.raises(DataError, match="a folder that does not exist yet"):
        make_demo(tmp_path, utterances_per_speaker=NUMBER)
    assert (tmp_path / "thesis.txt").read_text() == "my work"


def test_too_few_utterances_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least 8, got 7"):
        make_demo(tmp_path / "demo", utterances_per_speaker=7)


def test_damage_is_found(copy: Path) -> None:
    clip = next(copy.rglob("*_F000.wav"))
    clip.write_bytes(clip.read_bytes()[:-2] + b"\x01\x02")
    with pytest.raises(DataError, match=rf"1 missing, changed or added: .*{clip.name}; delete"):
        make_demo(copy, utterances_per_speaker=NUMBER)
    clip.unlink()
    (copy / "extra.txt").touch()
    with pytest.raises(DataError, match="2 missing, changed or added"):
        verify_demo(copy)


def test_damaged_lists_are_found(copy: Path) -> None:
    (copy / demo.SUMS).write_text("nonsense\n")
    with pytest.raises(DataError, match=r"SHA256SUMS:1: expected a digest and a file"):
        verify_demo(copy)
    (copy / demo.SUMS).unlink()
    with pytest.raises(DataError, match="the digests of a demo corpus"):
        verify_demo(copy)
    (copy / demo.SETTINGS).write_text("{")
    with pytest.raises(DataError, match=r"demo\.json: expected the settings"):
        make_demo(copy, utterances_per_speaker=NUMBER)


def test_leftovers_of_a_file_system_do_not_matter(copy: Path) -> None:
    (copy / "Session1" / ".DS_Store").touch()
    assert verify_demo(copy) == demo_digest(copy)


def test_an_empty_folder_is_filled(tmp_path: Path, instant: list[Path]) -> None:
    folder = tmp_path / "demo"
    folder.mkdir()
    assert make_demo(folder) == folder
    assert (folder / "clip").is_file()
    assert len(instant) == 1


def test_makers_that_start_together_make_one(tmp_path: Path, instant: list[Path]) -> None:
    folder = tmp_path / "demo"
    makers = [threading.Thread(target=make_demo, args=(folder,)) for _ in range(4)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert len(instant) == 1
    assert verify_demo(folder)
    assert list(tmp_path.iterdir()) == [folder]


def test_without_the_synthesiser_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ModelError, match=r"espeakng-loader.*pip install 'sermm\[demo\]'"):
        make_demo(tmp_path / "demo")
    assert not (tmp_path / "demo").exists()


def test_a_failing_speaker_is_named_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = replace(SPEAKERS[3], voice="en-us+nobody")
    monkeypatch.setattr(demo_release, "SPEAKERS", (*SPEAKERS[:3], silent, *SPEAKERS[4:]))
    with pytest.raises(RunFailedError, match=r"demo speaker Ses02M: .*no variant nobody"):
        make_demo(tmp_path / "demo", utterances_per_speaker=NUMBER)
    assert [path.name for path in tmp_path.iterdir()] == [".demo.lock"]


def test_an_interrupt_stops_all_speakers_and_leaves_nothing(tmp_path: Path) -> None:
    steps: list[int] = []

    def interrupt(done: int, total: int) -> None:
        steps.append(done)
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_demo(tmp_path / "demo", utterances_per_speaker=100, on_progress=interrupt)
    assert len(steps) < 500
    assert [path.name for path in tmp_path.iterdir()] == [".demo.lock"]


def test_a_killed_maker_leaves_no_corpus_and_the_next_one_makes_it(
    tmp_path: Path, instant: list[Path]
) -> None:
    folder = tmp_path / "demo"
    code = (
        "import time\nfrom pathlib import Path\n"
        "from data_modules.corpora.demo import make_demo\n"
        "def report(*step):\n    print(*step, flush=True)\n    time.sleep(1000)  # until killed\n"
        f"make_demo(Path({str(folder)!r}), on_progress=report)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as maker:
        assert maker.stdout is not None
        assert maker.stdout.readline().split() == ["1", "1200"]
        speakers = children_of(maker.pid)
        maker.send_signal(signal.SIGKILL)
    assert not folder.exists()
    unfinished = tmp_path / ".demo.part"
    assert unfinished.is_dir()
    # the speakers notice that nobody listens
    assert speakers
    wait_until(lambda: all(map(has_ended, speakers)))
    make_demo(folder)
    assert len(instant) == 1
    assert list(tmp_path.iterdir()) == [folder]
    assert [path.name for path in folder.iterdir() if path.name == "Session1"] == []
