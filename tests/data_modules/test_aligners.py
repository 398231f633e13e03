from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from data_modules.aligners import ALIGNERS, Aligner, PocketsphinxAligner, UniformAligner, Waveform
from data_modules.alignment import uniform_words
from data_modules.manifest import Word
from data_modules.pronunciation import guess_phones


@pytest.fixture(scope="module")
def aligner() -> PocketsphinxAligner:
    return PocketsphinxAligner()


def load_16k(path: Path) -> Waveform:
    from data_modules.audio import load_audio

    return load_audio(path)


def clicks() -> Waveform:
    """A second that is not silent and holds no speech."""
    return np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)


def read_intervals(path: Path, tier: str) -> list[tuple[float, float, str]]:
    """Intervals of a TextGrid, long or short: a check of its own, apart from any reader."""
    values = re.findall(r'"[^"]*"|(?<![\w\[])-?\d+(?:\.\d+)?(?![\w\]])', path.read_text("utf-8"))
    start = values.index(f'"{tier}"')
    count = int(values[start + 3])
    rows = [values[start + 4 + 3 * i : start + 7 + 3 * i] for i in range(count)]
    return [(float(a), float(b), text.strip('"')) for a, b, text in rows]


class TestPocketsphinx:
    @pytest.mark.real
    def test_words_of_a_hand_labelled_clip(
        self, aligner: PocketsphinxAligner, shared_data: Path
    ) -> None:
        folder = shared_data / "alignment" / "praatio"
        truth = [row for row in read_intervals(folder / "bobby_words.TextGrid", "word") if row[2]]
        words = aligner.align(load_16k(folder / "bobby.wav"), ["Bobby", "ripped", "the", "ledger."])
        assert words is not None
        assert [word.text for word in words] == ["Bobby", "ripped", "the", "ledger."]
        assert len(truth) == 4
        for word, (start_s, end_s, _) in zip(words, truth, strict=True):
            assert word.start_s == pytest.approx(start_s, abs=0.1)
            assert word.end_s == pytest.approx(end_s, abs=0.1)

    @pytest.mark.real
    def test_words_of_a_clip_with_labelled_phones(
        self, aligner: PocketsphinxAligner, shared_data: Path
    ) -> None:
        folder = shared_data / "alignment" / "praatio"
        phones = [row for row in read_intervals(folder / "mary.TextGrid", "phone") if row[2]]
        # m e r i | r o l d | th e | b a r l
        starts = [phones[i][0] for i in (0, 4, 8, 10)]
        words = aligner.align(load_16k(folder / "mary.wav"), ["Mary", "rolled", "the", "barrel"])
        assert words is not None
        assert [word.start_s for word in words] == pytest.approx(starts, abs=0.1)
        assert words[-1].end_s == pytest.approx(phones[-1][1], abs=0.1)

    @pytest.mark.real
    def test_words_of_arctic(self, aligner: PocketsphinxAligner, shared_data: Path) -> None:
        folder = shared_data / "alignment" / "cmu_arctic"
        lines = (folder / "arctic_a0009_phone.lab").read_text().split("\n")
        phones = [(int(row[0]) / 1e7, row[2]) for row in map(str.split, lines) if row]
        # a label holds its phone between - and +; these phones open their words
        said = ["He", "turned", "sharply,", "and", "faced", "Gregson", "across", "the", "table."]
        first = {"he": "hh", "turned": "t", "sharply,": "sh", "faced": "f", "gregson": "g"}
        words = aligner.align(load_16k(folder / "arctic_a0009.wav"), said)
        assert words is not None
        times = {word.text.lower(): word.start_s for word in words}
        for word, phone in first.items():
            starts = [start for start, label in phones if f"-{phone}+" in label]
            assert min(abs(times[word] - start) for start in starts) < 0.05

    @pytest.mark.real
    def test_most_ravdess_clips_are_found(
        self, aligner: PocketsphinxAligner, shared_data: Path
    ) -> None:
        sentences = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}
        paths = sorted((shared_data / "ravdess").glob("Audio*/Actor_*/*.flac"))[::48]
        assert len(paths) == 20
        missed = 0
        for path in paths:
            waveform = load_16k(path)
            words = aligner.align(waveform, sentences[path.stem.split("-")[4]].split())
            if words is None:
                missed += 1
                continue
            bounds = [time for word in words for time in (word.start_s, word.end_s)]
            assert bounds == sorted(bounds)
            assert bounds[-1] <= len(waveform) / 16_000
            # a second of silence opens nearly every clip
            assert words[0].start_s > 0.3
        assert missed <= 1

    @pytest.mark.real
    def test_times_do_not_depend_on_what_came_before(
        self, aligner: PocketsphinxAligner, shared_data: Path
    ) -> None:
        paths = sorted((shared_data / "ravdess").glob("Audio*/Actor_*/*.flac"))[5::160]
        said = ["Kids", "are", "talking", "by", "the", "door"]
        waveforms = [load_16k(path) for path in paths]
        forth = [aligner.align(waveform, said) for waveform in waveforms]
        back = [aligner.align(waveform, said) for waveform in reversed(waveforms)]
        assert forth == back[::-1]
        assert forth == [PocketsphinxAligner().align(waveform, said) for waveform in waveforms]

    @pytest.mark.real
    def test_times_do_not_depend_on_the_level(
        self, aligner: PocketsphinxAligner, shared_data: Path
    ) -> None:
        waveform = load_16k(shared_data / "alignment" / "praatio" / "mary.wav")
        said = ["Mary", "rolled", "the", "barrel"]
        assert aligner.align(waveform * np.float32(0.25), said) == aligner.align(waveform, said)

    @pytest.mark.real
    def test_a_word_outside_the_dictionary_keeps_its_place(
        self, aligner: PocketsphinxAligner, shared_data: Path
    ) -> None:
        waveform = load_16k(shared_data / "alignment" / "praatio" / "mary.wav")
        plain = aligner.align(waveform, ["Mary", "rolled", "the", "barrel"])
        assert aligner.guessed == []
        other = aligner.align(waveform, ["Merryy", "rolld", "the", "barrel"])
        assert aligner.guessed == ["merryy", "rolld"]
        assert plain is not None
        assert other is not None
        assert [word.text for word in other] == ["Merryy", "rolld", "the", "barrel"]
        for one, two in zip(plain, other, strict=True):
            assert two.start_s == pytest.approx(one.start_s, abs=0.1)

    @pytest.mark.real
    def test_what_is_not_said_is_left_out(
        self, aligner: PocketsphinxAligner, shared_data: Path
    ) -> None:
        waveform = load_16k(shared_data / "alignment" / "praatio" / "mary.wav")
        said = ["Mary", "[LAUGHTER]", "rolled", "\u041f\u0440\u0438", "the", "...", "barrel"]
        words = aligner.align(waveform, said)
        assert words is not None
        assert [word.text for word in words] == ["Mary", "rolled", "the", "barrel"]

    @pytest.mark.real
    def test_a_word_said_as_several_has_one_span(
        self, aligner: PocketsphinxAligner, shared_data: Path
    ) -> None:
        waveform = load_16k(shared_data / "alignment" / "praatio" / "mary.wav")
        apart = aligner.align(waveform, ["Mary", "rolled", "the", "barrel"])
        joined = aligner.align(waveform, ["Mary-rolled", "the", "barrel"])
        assert apart is not None
        assert joined is not None
        assert joined[0] == Word("Mary-rolled", apart[0].start_s, apart[1].end_s, "pocketsphinx")

    @pytest.mark.parametrize("words", [[], ["..."], ["[LAUGHTER]"], ["\u041f\u0440\u0438"]])
    def test_nothing_to_find(self, aligner: PocketsphinxAligner, words: list[str]) -> None:
        assert aligner.align(clicks(), words) is None

    @pytest.mark.parametrize("length", [0, 1, 100, 1000])
    def test_audio_shorter_than_its_words(self, aligner: PocketsphinxAligner, length: int) -> None:
        assert aligner.align(clicks()[:length], ["Mary", "rolled"]) is None

    def test_silence(self, aligner: PocketsphinxAligner) -> None:
        assert aligner.align(np.zeros(16_000, np.float32), ["Mary"]) is None

    def test_a_search_that_breaks_off_is_no_alignment(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Broken:
            def __init__(self, decoder: object) -> None:
                self.decoder = decoder

            def __getattr__(self, name: str) -> object:
                return getattr(self.decoder, name)

            def end_utt(self) -> None:
                raise RuntimeError("Failed to stop utterance processing")

        aligner = PocketsphinxAligner()
        monkeypatch.setattr(aligner, "_decoder", Broken(aligner._decoder))
        # only the first of its tries breaks off; the words are not in this noise in any case
        assert aligner.align(clicks(), ["Zzyzx", "Mary", "rolled", "the", "barrel"] * 9) is None
        assert not isinstance(aligner._decoder, Broken)

    def test_it_is_quiet(
        self, aligner: PocketsphinxAligner, capfd: pytest.CaptureFixture[str]
    ) -> None:
        aligner.align(clicks(), ["Mary", "Zzyzx"] * 20)
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize(
        ("word", "entries"),
        [
            ("Door,", ["door"]),
            ("don\u2019t", ["don't"]),
            ("'Cause", ["'cause"]),
            ("'door'", ["door"]),
            ("uh-huh", ["uh-huh"]),
            ("door-mat", ["door", "mat"]),
            ("95", ["ninety", "five"]),
            ("T.V.", ["t.", "v."]),
            ("U.S.", ["u.s."]),
            ("barrel's", ["barrels"]),
            ("called's", ["called", "'s"]),
        ],
    )
    def test_dictionary_entries(
        self, aligner: PocketsphinxAligner, word: str, entries: list[str]
    ) -> None:
        aligner.guessed = []
        assert aligner._entries(word) == entries
        assert aligner.guessed == []

    def test_a_guess_is_counted_each_time(self, aligner: PocketsphinxAligner) -> None:
        for _ in range(2):
            aligner.guessed = []
            assert aligner._entries("Xyzzyq") == ["xyzzyq"]
            assert aligner.guessed == ["xyzzyq"]


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("door", "D UW R"),
        ("kids", "K IH D S"),
        ("shapely", "SH AE P EH L IY"),
        ("made", "M AE D"),
        ("barrel", "B AA R EH L"),
        ("\u0142", "L"),
        ("", ""),
        ("\u041f", ""),
    ],
)
def test_guess_phones(word: str, phones: str) -> None:
    assert guess_phones(word) == phones


def test_uniform() -> None:
    aligner: Aligner = UniformAligner()
    words = aligner.align(np.zeros(32_000, np.float32), ["a", "b"])
    assert words == uniform_words(["a", "b"], 2.0)


def test_names_are_sources() -> None:
    assert {name: make().source for name, make in ALIGNERS.items()} == {
        name: name for name in ("pocketsphinx", "uniform")
    }
