from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from data_modules.align import align_corpus, check_alignment, choose_words, source_shares
from data_modules.aligners import ALIGNERS, Waveform
from data_modules.errors import AlignmentError, ConfigError, MediaError, RunFailedError
from data_modules.manifest import Utterance, Word

# what a worker process can import: these tests are no module to it
LOADERS = """
import os
import numpy as np
from data_modules.errors import MediaError

def load(utterance):
    return np.zeros(round(16_000 * utterance.duration_s), np.float32)

def load_clip(utterance):
    from pathlib import Path
    from data_modules.audio import load_audio
    return load_audio(Path(utterance.audio))

def load_or_stop(utterance):
    if utterance.id == "u3":
        raise MediaError(utterance.audio, expected="audio", got="zero bytes", fix="copy it again")
    return load(utterance)

def die(utterance):
    os._exit(1)
"""


@pytest.fixture
def loaders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    (tmp_path / "loaders_of_the_align_tests.py").write_text(LOADERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    return importlib.import_module("loaders_of_the_align_tests")


def utterance(name: str, text: str | None = "Hello there, you", **changes: object) -> Utterance:
    made = Utterance(name, "demo", audio=f"{name}.wav", start_s=1.0, end_s=4.0, text=text)
    return replace(made, **changes)  # type: ignore[arg-type]


def silence(utterance: Utterance) -> Waveform:
    return np.zeros(round(16_000 * utterance.duration_s), np.float32)


class FirstWords:
    """Times every word but the last; finds nothing in one-word utterances."""

    source = "firstwords"

    def __init__(self) -> None:
        self.guessed: list[str] = []

    def align(self, waveform: Waveform, words: Sequence[str]) -> list[Word] | None:
        self.guessed = ["you"] if "you" in words else []
        return [Word(w, i / 2, i / 2 + 0.5, self.source) for i, w in enumerate(words[:-1])] or None


@pytest.fixture
def first_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ALIGNERS, "firstwords", FirstWords)


@pytest.mark.usefixtures("first_words")
class TestAlignCorpus:
    corpus = (
        utterance("a", words=(Word("hello", 0.0, 1.0, "corpus"),)),
        utterance("short", "Yes"),
        utterance("silent", "... [LAUGHTER]"),
        utterance("empty", ""),
        utterance("untranscribed", None),
        utterance("text-only", audio=None, start_s=None, end_s=None),
        utterance("b", "You did"),
    )

    def test_words_are_added_and_every_utterance_is_accounted_for(self) -> None:
        seen: list[tuple[int, int]] = []
        result, report = align_corpus(
            self.corpus, "firstwords", silence, on_progress=lambda *at: seen.append(at)
        )
        assert [u.id for u in result] == [u.id for u in self.corpus]
        assert result[0].words == (
            Word("hello", 0.0, 1.0, "corpus"),
            Word("Hello", 0.0, 0.5, "firstwords"),
            Word("there,", 0.5, 1.0, "firstwords"),
        )
        assert result[1:6] == list(self.corpus[1:6])
        assert report.num_aligned == 2
        assert report.failed == ["short"]
        assert report.without_words == ["silent", "empty", "untranscribed"]
        assert report.without_audio == ["text-only"]
        assert report.num_words == {"firstwords": 3, "interpolated": 2}
        assert report.guessed == {"you": 1}
        assert seen == [(1, 3), (2, 3), (3, 3)]

    def test_a_second_call_changes_nothing(self) -> None:
        once, first = align_corpus(self.corpus, "firstwords", silence)
        twice, second = align_corpus(once, "firstwords", silence)
        assert twice == once
        assert (second.num_already, second.num_aligned) == (2, 0)
        assert second.failed == first.failed
        assert second.num_words == first.num_words

    def test_what_was_found_before_an_interruption_is_saved(self) -> None:
        kept: list[list[Utterance]] = []

        def interrupt(utterance: Utterance) -> Waveform:
            if utterance.id == "b":
                raise KeyboardInterrupt
            return silence(utterance)

        with pytest.raises(KeyboardInterrupt):
            align_corpus(self.corpus, "firstwords", interrupt, save=kept.append)
        assert len(kept) == 1
        assert kept[0][0].words_from("firstwords")
        result, report = align_corpus(kept[0], "firstwords", silence)
        assert result == align_corpus(self.corpus, "firstwords", silence)[0]
        assert report.num_already == 1

    def test_it_saves_now_and_then(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("data_modules.align._SAVE_EVERY", 2)
        counts: list[int] = []

        def save(utterances: list[Utterance]) -> None:
            counts.append(sum(bool(u.words) for u in utterances))

        corpus = [utterance(f"u{i}") for i in range(5)]
        align_corpus(corpus, "firstwords", silence, save=save)
        assert counts == [2, 4]

    def test_unknown_aligner(self) -> None:
        with pytest.raises(ConfigError, match=r"one of .*pocketsphinx, uniform, got mfa"):
            align_corpus([], "mfa", silence)


class TestWorkers:
    def test_the_result_does_not_depend_on_them(self, loaders: ModuleType) -> None:
        corpus = [utterance(f"u{i}", f"hello number {i}", end_s=1.5 + i) for i in range(20)]
        one = align_corpus(corpus, "uniform", loaders.load, workers=1)
        two = align_corpus(corpus, "uniform", loaders.load, workers=2)
        assert one == two
        assert one[1].num_aligned == 20

    @pytest.mark.real
    def test_pocketsphinx_in_processes(self, loaders: ModuleType, shared_data: Path) -> None:
        # both at 16 kHz: resampling would import torch in every process
        arctic = shared_data / "alignment" / "cmu_arctic" / "arctic_a0009.wav"
        folder = shared_data / "ravdess" / "Audio_Speech_Actors_01-24" / "Actor_01"
        texts = {
            arctic: "He turned sharply, and faced Gregsonovitch across the table.",
            folder / "03-01-01-01-01-01-01.flac": "Kids are talking by the door",
        }
        corpus = [
            utterance(path.stem, text, audio=str(path), start_s=0.0, end_s=3.09)
            for path, text in texts.items()
        ]
        result, report = align_corpus(corpus, "pocketsphinx", loaders.load_clip, workers=2)
        assert report.num_words == {"pocketsphinx": 15}
        assert report.guessed == {"gregsonovitch": 1}
        assert (result, report) == align_corpus(corpus, "pocketsphinx", loaders.load_clip)

    def test_a_bad_file_is_named_in_one_line(self, loaders: ModuleType) -> None:
        corpus = [utterance(f"u{i}") for i in range(4)]
        kept: list[list[Utterance]] = []
        with pytest.raises(MediaError, match=r"^u3\.wav: expected audio, got zero bytes; copy it"):
            align_corpus(corpus, "uniform", loaders.load_or_stop, workers=2, save=kept.append)
        assert len(kept) == 1

    def test_a_worker_that_dies(self, loaders: ModuleType) -> None:
        corpus = [utterance(f"u{i}") for i in range(2)]
        with pytest.raises(RunFailedError, match=r"2 worker processes that live.*fewer workers"):
            align_corpus(corpus, "uniform", loaders.die, workers=2)


class TestChooseWords:
    both = utterance(
        "a",
        words=(
            Word("there", 1.0, 1.5, "corpus"),
            Word("hello", 0.2, 0.7, "pocketsphinx"),
            Word("there", 0.7, 1.1, "pocketsphinx"),
            Word("you", 1.1, 1.4, "pocketsphinx"),
        ),
    )

    def test_the_first_source_serves(self) -> None:
        words, source = choose_words(self.both, ["pocketsphinx", "corpus"])
        assert source == "pocketsphinx"
        assert [(w.text, w.start_s, w.source) for w in words] == [
            ("Hello", 0.2, "pocketsphinx"),
            ("there,", 0.7, "pocketsphinx"),
            ("you", 1.1, "pocketsphinx"),
        ]

    def test_sources_are_not_mixed(self) -> None:
        words, source = choose_words(self.both, ["corpus", "pocketsphinx"])
        assert source == "corpus"
        assert [w.source for w in words] == ["interpolated", "corpus", "interpolated"]

    def test_the_next_source_serves_where_one_has_nothing(self) -> None:
        assert choose_words(self.both, ["ctc", "corpus"])[1] == "corpus"

    def test_a_source_of_other_words_does_not_serve(self) -> None:
        other = replace(self.both, text="Something else")
        assert choose_words(other, ["corpus", "uniform"])[1] == "uniform"
        with pytest.raises(AlignmentError, match="but no word from corpus is in the transcript"):
            choose_words(other, ["corpus"])

    def test_uniform_is_made_when_asked_for(self) -> None:
        words, source = choose_words(utterance("a"), ["corpus", "uniform"])
        assert source == "uniform"
        assert [(w.start_s, w.end_s, w.source) for w in words] == [
            (0, 1, "uniform"),
            (1, 2, "uniform"),
            (2, 3, "uniform"),
        ]

    def test_none_says_what_to_run(self) -> None:
        with pytest.raises(
            AlignmentError,
            match=r"demo a: expected word times from corpus or ctc .*got times from none; "
            r"run `sermm align demo --aligner pocketsphinx`",
        ):
            choose_words(utterance("a"), ["corpus", "ctc"])

    def test_an_empty_transcript_has_no_words(self) -> None:
        assert choose_words(utterance("a", ""), ["corpus"]) == ([], "corpus")

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"text": None}, "demo a: expected a transcript, got none"),
            ({"audio": None, "start_s": None, "end_s": None}, "audio of some length"),
        ],
    )
    def test_what_it_takes(self, changes: dict[str, object], message: str) -> None:
        with pytest.raises(AlignmentError, match=message):
            choose_words(replace(self.both, **changes), ["corpus"])  # type: ignore[arg-type]

    def test_no_source(self) -> None:
        with pytest.raises(AlignmentError, match=r"a source of word times in data\.aligners"):
            choose_words(self.both, [])

    def test_all_that_fail_are_told_at_once(self) -> None:
        check_alignment([self.both], ["corpus"])
        check_alignment([], ["corpus"])
        with pytest.raises(AlignmentError, match="demo b: expected"):
            check_alignment([self.both, utterance("b")], ["corpus"])
        with pytest.raises(AlignmentError, match=r"demo: expected word times from corpus .*2 utt"):
            check_alignment([self.both, utterance("b"), utterance("c")], ["corpus"])


def test_source_shares() -> None:
    words = [Word("a", 0, 1, "corpus")] * 3
    assert source_shares([words, [], [Word("a", 0, 1, "interpolated")]]) == {
        "corpus": 0.75,
        "interpolated": 0.25,
    }
    assert source_shares([]) == {}
    assert source_shares([[]]) == {}
