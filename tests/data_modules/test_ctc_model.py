from __future__ import annotations

import json
import pickle
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from data_modules import ctc_model
from data_modules.align import align_corpus
from data_modules.aligners import Waveform
from data_modules.ctc_aligner import CtcAligner, load_ctc_aligner
from data_modules.ctc_files import CtcFiles
from data_modules.ctc_model import CtcModel, find_device
from data_modules.errors import ConfigError, ModelError
from data_modules.manifest import Utterance, Word
from tests.data_modules.tiny_ctc import LETTERS, USUAL, write_tiny_ctc


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_ctc(tmp_path_factory.mktemp("ctc") / "model")


@pytest.fixture(scope="module")
def model(folder: Path) -> CtcModel:
    return CtcModel(find(folder))


@pytest.fixture(scope="module")
def aligner(model: CtcModel) -> CtcAligner:
    return CtcAligner(model, "en")


def find(folder: Path) -> CtcFiles:
    return CtcFiles.find(str(folder), where="--model")


def noise(num_samples: int) -> Waveform:
    return np.random.default_rng(0).normal(0, 0.1, num_samples).astype(np.float32)


def test_vocabulary_and_clock(model: CtcModel) -> None:
    assert model.vocabulary == {letter: k for k, letter in enumerate(LETTERS, start=5)}
    assert (model.blank, model.delimiter) == (0, 4)
    # a convolution of 10 samples every 5, then one of 8 of these every 8
    assert (model.stride, model.offset) == (40, (10 + 7 * 5 - 40) / 2)


def test_the_clock_of_wav2vec(tmp_path: Path) -> None:
    model = CtcModel(find(write_tiny_ctc(tmp_path / "usual", conv=USUAL)))
    assert (model.stride, model.offset) == (320, 40)
    lengths = [len(model.emissions(noise(n)).log_probs) for n in (0, 399, 400, 719, 720, 16_000)]
    assert lengths == [0, 0, 1, 1, 2, 49]


def test_a_clock_that_is_measured(model: CtcModel, monkeypatch: pytest.MonkeyPatch) -> None:
    # as of models with another front end, whose configuration does not tell
    monkeypatch.setattr(model._model, "main_input_name", "input_features")
    assert model._find_clock()[0] == 40


def test_emissions_are_those_of_the_model_itself(model: CtcModel, folder: Path) -> None:
    from transformers import AutoModelForCTC

    waveform = noise(4000) + 0.3
    raw = AutoModelForCTC.from_pretrained(folder).eval()
    # what the checkpoint's extractor is told to do, by hand
    normal = (waveform - waveform.mean()) / np.sqrt(waveform.var() + 1e-7)
    with torch.no_grad():
        expected = raw(torch.from_numpy(normal)[None]).logits[0].log_softmax(-1)
    found = model.emissions(waveform)
    assert found.num_chunks == 1
    torch.testing.assert_close(found.log_probs, expected, rtol=0, atol=1e-5)


def test_long_audio_is_read_in_chunks_without_a_seam(
    model: CtcModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    waveform = noise(40_123)
    whole = model.emissions(waveform)
    monkeypatch.setattr(ctc_model, "CHUNK_S", 0.7)
    monkeypatch.setattr(ctc_model, "OVERLAP_S", 0.2)
    parts = model.emissions(waveform)
    assert (whole.num_chunks, parts.num_chunks) == (1, 8)
    assert parts.log_probs.shape == whole.log_probs.shape
    change = (whole.log_probs[1:] - whole.log_probs[:-1]).abs().max()
    assert (parts.log_probs - whole.log_probs).abs().max() < 0.01 * change


@pytest.mark.parametrize("num_samples", [11_200, 11_201, 11_199, 15_999, 16_000, 22_400, 22_401])
def test_chunks_give_as_many_frames_as_the_whole(
    model: CtcModel, num_samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = len(model.emissions(noise(num_samples)).log_probs)
    monkeypatch.setattr(ctc_model, "CHUNK_S", 0.7)
    monkeypatch.setattr(ctc_model, "OVERLAP_S", 0.2)
    assert len(model.emissions(noise(num_samples)).log_probs) == whole


class TestAligner:
    words = ("Hello,", "25", "[LAUGHTER]", "Łódź", "don't", "...")

    def test_words_with_times_in_order(self, aligner: CtcAligner) -> None:
        found = aligner.align(noise(16_000), self.words)
        assert found is not None
        # a laugh and dots are no words, and the model has no Ł
        assert [word.text for word in found] == ["Hello,", "25", "don't"]
        assert {word.source for word in found} == {"ctc"}
        bounds = [time for word in found for time in (word.start_s, word.end_s)]
        assert bounds == sorted(bounds)
        assert 0 <= bounds[0] <= bounds[-1] <= 1.0

    def test_it_is_the_same_each_time(self, aligner: CtcAligner) -> None:
        first = aligner.align(noise(16_000), self.words)
        aligner.align(noise(8000), ["else"])
        assert aligner.align(noise(16_000), self.words) == first

    @pytest.mark.parametrize("words", [[], ["..."], ["[LAUGHTER]"], ["При"], ["½", "..."]])
    def test_nothing_to_find(self, aligner: CtcAligner, words: list[str]) -> None:
        assert aligner.align(noise(16_000), words) is None

    @pytest.mark.parametrize("num_samples", [0, 1, 44, 45, 200])
    def test_a_clip_too_short_for_its_words(self, aligner: CtcAligner, num_samples: int) -> None:
        assert aligner.align(noise(num_samples), ["Hello", "there"]) is None

    def test_silence_is_no_error(self, aligner: CtcAligner) -> None:
        assert aligner.align(np.zeros(16_000, np.float32), ["Hello"]) is not None

    def test_times_are_those_of_the_frames(self, model: CtcModel) -> None:
        """What the model hears is put in its place: letters at known frames."""

        class Deaf:
            vocabulary, blank, delimiter, stride, offset = {"A": 2, "B": 3}, 0, 1, 160, 80.0

            def emissions(self, waveform: Waveform) -> ctc_model.Emissions:
                path = [0] * 10 + [2] * 5 + [1] * 5 + [3] * 10 + [0] * 20
                hot = torch.nn.functional.one_hot(torch.tensor(path), 4).float()
                return ctc_model.Emissions((hot * 0.96 + 0.01).log(), 1)

        aligner = CtcAligner(Deaf(), "en")  # type: ignore[arg-type]
        found = aligner.align(np.zeros(8100, np.float32), ["a", "b"])
        # frames of 10 ms that begin after 5 ms, stretched by 40 ms at most
        assert found == [Word("a", 0.065, 0.18, "ctc"), Word("b", 0.18, 0.345, "ctc")]


def utterance(name: str, text: str) -> Utterance:
    return Utterance(name, "demo", audio=f"{name}.wav", start_s=0.0, end_s=1.0, text=text)


def load(utterance: Utterance) -> Waveform:
    return noise(round(16_000 * utterance.duration_s))


def test_over_a_corpus(folder: Path) -> None:
    make = partial(load_ctc_aligner, find(folder), where="--model", language="en", device="cpu")
    assert pickle.loads(pickle.dumps(make)).keywords == make.keywords
    corpus = [
        utterance("a", "Hello Łódź and Łódź, hello"),
        utterance("b", ""),
        utterance("c", "hello " * 200),
    ]
    result, report = align_corpus(corpus, "ctc", load, make=make)
    assert report.num_words == {"ctc": 3, "interpolated": 2}
    assert report.left_out == {"Łódź": 1, "Łódź,": 1}
    assert (report.num_aligned, report.failed, report.without_words) == (1, ["c"], ["b"])
    assert [word.text for word in result[0].words_from("ctc")] == ["Hello", "and", "hello"]

    def never() -> CtcAligner:
        raise AssertionError("nothing is to be done, so no model is needed")

    again, _ = align_corpus([result[0], result[1]], "ctc", load, make=never)
    assert again == result[:2]


# records


def test_the_record_follows_weights_and_vocabulary_and_not_the_place(
    folder: Path, tmp_path: Path
) -> None:
    record = find(folder).record("en")
    assert record["name"] == str(folder)
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    copied = find(copy).record("en")
    assert {**copied, "name": str(folder)} == record
    assert find(folder).record("de") != record
    other = write_tiny_ctc(tmp_path / "other", seed=1)
    assert find(other).record("en")["sha256"] != record["sha256"]
    vocabulary = json.loads((copy / "vocab.json").read_text())
    vocabulary["A"], vocabulary["B"] = vocabulary["B"], vocabulary["A"]
    (copy / "vocab.json").write_text(json.dumps(vocabulary))
    assert find(copy).record("en")["sha256"] != record["sha256"]


# what is no such model


def test_no_such_folder() -> None:
    with pytest.raises(ModelError, match=r"--model=\./nowhere: expected a folder"):
        CtcFiles.find("./nowhere", where="--model=./nowhere")


def broken(folder: Path, tmp_path: Path, name: str, **changes: object) -> CtcFiles:
    copy = Path(shutil.copytree(folder, tmp_path / "broken"))
    path = copy / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return find(copy)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("config.json", {"pad_token_id": 1}, "one id for the blank.*got 1 in its conf.* and 0 in"),
        ("config.json", {"pad_token_id": None}, "one id for the blank"),
        ("config.json", {"model_type": "bert"}, "a CTC model with feature extractor"),
        ("config.json", {"hidden_size": 8}, "a CTC model with feature extractor"),
        ("preprocessor_config.json", {"sampling_rate": 8000}, "16 kHz audio, got 8000 Hz"),
    ],
)
def test_a_damaged_checkpoint(
    folder: Path, tmp_path: Path, name: str, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ModelError, match=f"^--model=.*broken: expected .*{message}"):
        CtcModel(broken(folder, tmp_path, name, **changes))


def test_a_vocabulary_of_syllables(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "broken"))
    vocabulary = json.loads((copy / "vocab.json").read_text())
    syllables = {f"{letter}A" if k > 9 else letter: k for letter, k in vocabulary.items()}
    (copy / "vocab.json").write_text(json.dumps(syllables))
    with pytest.raises(ModelError, match="a vocabulary of letters, got 5 letters of 27"):
        CtcModel(find(copy))


def test_an_encoder_without_a_head(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    copy = Path(shutil.copytree(folder, tmp_path / "broken"))
    weights = load_file(copy / "model.safetensors")
    kept = {key: value for key, value in weights.items() if "lm_head" not in key}
    assert len(kept) == len(weights) - 2
    save_file(kept, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"weights for every part.*none for lm_head\.bias"):
        CtcModel(find(copy))


def test_devices() -> None:
    assert find_device("cpu") == "cpu"
    assert find_device("auto") in ("cpu", "cuda")
    with pytest.raises(ConfigError, match=r"--device: expected auto, cpu, .* got tpux"):
        find_device("tpux")
