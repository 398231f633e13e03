from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from data_modules.align import choose_words
from data_modules.errors import AlignmentError
from data_modules.manifest import Utterance, Word
from data_modules.textgrid import Interval, TextGrid, Tier
from data_modules.textgrid_words import words_from_textgrids
from tests.data_modules.test_textgrid import long_format, short_format


def write(
    path: Path,
    *words: tuple[float, float, str],
    end_s: float = 2.0,
    tier: str = "words",
    form: Callable[[TextGrid], str] = long_format,
    encoding: str = "utf-8",
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    grid = TextGrid(0.0, end_s, (Tier(tier, tuple(Interval(*word) for word in words)),), "utf-8")
    path.write_bytes(form(grid).encode(encoding))


def utterance(name: str, text: str | None = "Hello there", **changes: object) -> Utterance:
    made = Utterance(
        name, "demo", audio=f"wav/{name}.wav", start_s=0.0, end_s=2.0, speaker="anna", text=text
    )
    return replace(made, **changes)  # type: ignore[arg-type]


HELLO = ((0.0, 0.2, ""), (0.2, 0.5, "hello"), (0.5, 1.0, "there"), (1.0, 2.0, "sil"))
WORDS = (Word("hello", 0.2, 0.5, "textgrid"), Word("there", 0.5, 1.0, "textgrid"))


def test_by_id_and_by_audio_in_sub_folders(tmp_path: Path) -> None:
    write(tmp_path / "anna" / "one.TextGrid", *HELLO)
    write(tmp_path / "deep" / "er" / "clip-2.textgrid", *HELLO, form=short_format)
    corpus = [
        utterance("one", words=(Word("Hello", 0.0, 1.0, "corpus"),)),
        utterance("two", audio="some/where/clip-2.flac"),
        utterance("three"),
    ]
    seen: list[tuple[int, int]] = []
    result, report = words_from_textgrids(corpus, tmp_path, on_progress=lambda *at: seen.append(at))
    assert result[0].words == (Word("Hello", 0.0, 1.0, "corpus"), *WORDS)
    assert result[1].words == WORDS
    assert result[2] == corpus[2]
    assert report.num_words == {"textgrid": 4}
    assert (report.num_aligned, report.num_changed) == (2, 0)
    assert report.without_file == ["three"]
    assert report.without_utterance == []
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_everything_is_accounted_for(tmp_path: Path) -> None:
    write(tmp_path / "other.TextGrid", *HELLO)
    write(tmp_path / "._one.TextGrid")
    write(tmp_path / "stranger.TextGrid", (0.0, 1.0, "goodbye"))
    write(tmp_path / "silent.TextGrid", (0.0, 2.0, ""))
    write(tmp_path / "untold.TextGrid", *HELLO)
    write(tmp_path / "long.TextGrid", *HELLO, end_s=3.0)
    write(tmp_path / "umlaut.TextGrid", (0.0, 2.0, "Grün"), encoding="latin-1")
    corpus = [
        utterance("stranger"),
        utterance("silent"),
        utterance("untold", None),
        utterance("long"),
        utterance("umlaut", "grün"),
        utterance("no-audio", audio=None, start_s=None, end_s=None),
    ]
    result, report = words_from_textgrids(corpus, tmp_path)
    assert report.without_utterance == ["other.TextGrid"]
    assert report.strangers == ["stranger"]
    assert report.without_words == ["silent", "untold"]
    assert report.other_length == ["long (2.00 s, file 3.00 s)"]
    assert report.latin1 == ["umlaut.TextGrid"]
    assert report.without_file == ["no-audio"]
    assert report.num_words == {"textgrid": 3}
    assert result[2].words == ()


def test_an_unknown_word_keeps_its_place(tmp_path: Path) -> None:
    write(tmp_path / "one.TextGrid", (0, 0.5, "hello"), (0.5, 0.9, "spn"), (1.2, 1.5, "there"))
    ((timed,), report) = words_from_textgrids([utterance("one", "Hello Xyzzy there")], tmp_path)
    words, source = choose_words(timed, ["textgrid"])
    assert source == "textgrid"
    assert words[1] == Word("Xyzzy", 0.5, 0.9, "interpolated")
    assert report.num_words == {"textgrid": 2, "interpolated": 1}


def test_a_corrected_file_counts_and_a_missing_one_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path / "one.TextGrid", *HELLO)
    write(tmp_path / "two.TextGrid", *HELLO)
    corpus, _ = words_from_textgrids([utterance("one"), utterance("two")], tmp_path)
    again, report = words_from_textgrids(corpus, tmp_path)
    assert again == corpus
    assert report.num_changed == 0
    (tmp_path / "two.TextGrid").unlink()
    write(tmp_path / "one.TextGrid", (0.3, 0.6, "hello"))
    changed, report = words_from_textgrids(corpus, tmp_path)
    assert changed[0].words == (Word("hello", 0.3, 0.6, "textgrid"),)
    assert changed[1] == corpus[1]
    assert (report.num_changed, report.kept) == (1, ["two"])


def test_utterances_of_one_recording(tmp_path: Path) -> None:
    """The file describes the recording; each utterance gets the words within it."""
    said = [(k / 2, k / 2 + 0.5, f"w{k}") for k in range(8)]
    write(tmp_path / "talk.TextGrid", *said, end_s=4.0)
    parts = [
        utterance("a", "w0 w1", audio="talk.wav", start_s=0.0, end_s=0.9),
        # w4 ends after it and w1 began before it
        utterance("b", "w2 w3 w4", audio="talk.wav", start_s=0.9, end_s=2.4),
        utterance("c", "w6", audio="talk.wav", start_s=3.0, end_s=4.5),
    ]
    result, report = words_from_textgrids(parts, tmp_path)
    assert [(w.text, w.start_s) for w in result[0].words] == [("w0", 0.0), ("w1", 0.5)]
    assert result[0].words[1].end_s == 0.9
    times = [(w.text, pytest.approx(w.start_s), pytest.approx(w.end_s)) for w in result[1].words]
    assert times == [("w2", 0.1, 0.6), ("w3", 0.6, 1.1), ("w4", 1.1, 1.5)]
    assert [w.text for w in result[2].words] == ["w6", "w7"]
    assert report.other_length == ["c (4.50 s, file 4.00 s)"]


def test_one_name_in_several_folders(tmp_path: Path) -> None:
    for k, speaker in enumerate(("anna", "bert")):
        write(tmp_path / speaker / "01.TextGrid", (k, k + 0.5, "hello"))
    corpus = [
        utterance(f"{speaker}-01", "hello", audio=f"{folder}/01.wav", speaker=speaker)
        # by the folder of the audio, and where that says nothing by the speaker
        for speaker, folder in (("anna", "x/anna"), ("bert", "wav"))
    ]
    result, _ = words_from_textgrids(corpus, tmp_path)
    assert [u.words[0].start_s for u in result] == [0.0, 1.0]
    with pytest.raises(AlignmentError, match=r"one file for x.*got 2: anna/01.*bert/01"):
        words_from_textgrids([utterance("x", audio="wav/01.wav", speaker="carl")], tmp_path)


def test_an_id_with_a_folder(tmp_path: Path) -> None:
    for k, video in enumerate(("v1", "v2")):
        write(tmp_path / "out" / video / "3.TextGrid", (k, k + 0.5, "hello"))
    corpus = [utterance("v1/3", "hello", audio="a.wav"), utterance("v2/3", "hello", audio="b.wav")]
    result, _ = words_from_textgrids(corpus, tmp_path)
    assert [u.words[0].start_s for u in result] == [0.0, 1.0]


def test_tiers_by_speaker_and_by_name(tmp_path: Path) -> None:
    tiers = [
        Tier(name, (Interval(k, k + 1, "hello"),))
        for k, name in enumerate(("bert - words", "anna - words", "orth"))
    ]
    grid = TextGrid(0.0, 2.0, tuple(tiers[:2]), "utf-8")
    (tmp_path / "one.TextGrid").write_text(long_format(grid))
    ((timed,), _) = words_from_textgrids([utterance("one", "hello")], tmp_path)
    assert timed.words[0].start_s == 1
    ((timed,), _) = words_from_textgrids([utterance("one", "hello")], tmp_path, tier="BERT - words")
    assert timed.words[0].start_s == 0


def test_all_files_that_cannot_be_used_are_told_at_once(tmp_path: Path) -> None:
    write(tmp_path / "one.TextGrid", *HELLO)
    write(tmp_path / "two.TextGrid", *HELLO, tier="phones")
    (tmp_path / "three.TextGrid").write_text('File type = "ooTextFile"\n"TextGrid" 0')
    corpus = [utterance("one"), utterance("two"), utterance("three")]
    with pytest.raises(
        AlignmentError,
        match=r"two\.TextGrid: expected one interval tier .*\(and trouble with 1 more: "
        r".*three\.TextGrid:2\)",
    ):
        words_from_textgrids(corpus, tmp_path)


def test_what_is_no_folder_of_textgrids(tmp_path: Path) -> None:
    with pytest.raises(AlignmentError, match=r"--textgrids: .*got .*nowhere, no folder"):
        words_from_textgrids([], tmp_path / "nowhere")
    with pytest.raises(AlignmentError, match="got none in it or its sub-folders"):
        words_from_textgrids([], tmp_path)


@pytest.mark.real
def test_files_of_praat(shared_data: Path, tmp_path: Path) -> None:
    for name, source in (("bobby", "bobby_words"), ("mary", "mary")):
        path = shared_data / "alignment" / "praatio" / f"{source}.TextGrid"
        shutil.copy(path, tmp_path / f"{name}.TextGrid")
    corpus = [
        utterance("bobby", "Bobby ripped the ledger.", end_s=1.194625),
        utterance("mary", "Mary rolled the barrel!", end_s=1.869687),
    ]
    result, report = words_from_textgrids(corpus, tmp_path)
    assert report.num_words == {"textgrid": 8}
    assert report.other_length == []
    assert choose_words(result[1], ["textgrid"])[0][3].start_s == 1.063725623583
