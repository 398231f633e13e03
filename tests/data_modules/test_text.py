from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from data_modules.errors import ConfigError, DataError, ModelError
from data_modules.text import Tokenizer, WordPieces

ROOT = Path(__file__).parents[2]
TEXTS = [
    "The food was wonderful, the service awful.",
    "the room was lovely and the music dreadful",
    "Don't you think the lowest prices were unbelievable?",
    "I am here: 25 people were there",
] * 3


@pytest.fixture(scope="module")
def trained() -> Tokenizer:
    return Tokenizer.train(TEXTS, vocab_size=150)


def tokens_of(tokenizer: Tokenizer, pieces: WordPieces) -> list[str]:
    vocab = json.loads(tokenizer.to_json())["backend"]["model"]["vocab"]
    names = {number: token for token, number in vocab.items()}
    return [names[number] for number in pieces.input_ids]


def save_bert(folder: Path) -> None:
    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", ",", "un", "##able", "##s"]
    (folder / "vocab.txt").write_text("\n".join(words))
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "model_max_length": 512})
    )


def byte_level_backend() -> Any:
    backend = Backend(models.BPE(unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=320,
            special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return backend


def save_roberta(folder: Path) -> None:
    folder.mkdir()
    backend = byte_level_backend()
    # as tokenizers of the hub have it: they would cut at 6 pieces in silence
    backend.enable_truncation(6)
    backend.enable_padding(length=12)
    backend.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"model_type": "roberta"}))
    names = {"pad": "<pad>", "unk": "<unk>", "cls": "<s>", "sep": "</s>", "mask": "<mask>"}
    settings = {f"{name}_token": token for name, token in names.items()}
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "RobertaTokenizer", "model_max_length": 512, **settings})
    )


class TestTrain:
    def test_special_tokens_have_the_first_ids(self, trained: Tokenizer) -> None:
        assert trained.special_ids == {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}
        assert (trained.pad_id, trained.mask_id) == (0, 4)

    def test_frequent_words_become_one_piece(self, trained: Tokenizer) -> None:
        pieces = trained.encode(["The", "was"])
        assert tokens_of(trained, pieces) == ["[CLS]", "the", "was", "[SEP]"]
        assert pieces.word_index == [None, 0, 1, None]

    def test_size_is_a_limit(self, trained: Tokenizer) -> None:
        assert Tokenizer.train(TEXTS, vocab_size=100).vocab_size == 100

    def test_what_occurs_once_is_not_learned(self) -> None:
        # five special tokens, three characters, alone and inside a word
        assert Tokenizer.train(["abc"], vocab_size=5000).vocab_size == 11
        assert Tokenizer.train(["abc", "abc"], vocab_size=5000).vocab_size == 13

    def test_known_from_the_texts_alone(self, trained: Tokenizer) -> None:
        assert tokens_of(trained, trained.encode(["\u017c"])) == ["[CLS]", "[UNK]", "[SEP]"]

    def test_accents_are_kept_and_case_is_a_choice(self) -> None:
        texts = ["\u015awiat \u015bpi", "swiat spi"] * 4
        lower = Tokenizer.train(texts, 100)
        assert lower.encode(["\u015awiat"]) == lower.encode(["\u015bwiat"])
        assert lower.encode(["\u015bwiat"]) != lower.encode(["swiat"])
        cased = Tokenizer.train(texts, 100, lowercase=False)
        assert cased.encode(["\u015awiat"]) != cased.encode(["\u015bwiat"])

    def test_the_same_bytes_in_every_process(self) -> None:
        # many pairs of characters with equal counts: what a hash map's order would show in
        code = (
            "import hashlib, random; from data_modules.text import Tokenizer;"
            "r = random.Random(0);"
            "word = lambda: ''.join(r.choice('abcdefghijklm') for _ in range(r.randint(1, 7)));"
            "texts = [' '.join(word() for _ in range(9)) for _ in range(300)];"
            "text = Tokenizer.train(texts, 600).to_json();"
            "print(hashlib.sha256(text.encode()).hexdigest())"
        )
        digests = {
            subprocess.run(
                [sys.executable, "-c", code],
                cwd=ROOT,
                env={**os.environ, "PYTHONHASHSEED": seed, "RAYON_NUM_THREADS": threads},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for seed, threads in [("1", "1"), ("2", "2"), ("3", "4")]
        }
        assert len(digests) == 1

    @pytest.mark.parametrize("texts", [[], [""], [" \n"]])
    def test_no_text(self, texts: list[str]) -> None:
        with pytest.raises(DataError, match=r"training part: expected transcripts"):
            Tokenizer.train(texts, 100)

    def test_too_small(self) -> None:
        with pytest.raises(ConfigError, match=r"vocab_size: expected at least 9, .*got 8; raise"):
            Tokenizer.train(["ab"], 8)
        assert Tokenizer.train(["ab"], 9).vocab_size == 9


class TestEncode:
    def test_pieces_know_their_word(self, trained: Tokenizer) -> None:
        pieces = trained.encode(["Unbelievable,", "the", "lowest!"])
        assert pieces.word_index[0] is pieces.word_index[-1] is None
        assert {index for index in pieces.word_index if index is not None} == {0, 1, 2}
        text = "".join(tokens_of(trained, pieces)[1:-1]).replace("##", "")
        assert text == "unbelievable,thelowest[UNK]"  # no "!" in the texts

    def test_an_empty_transcript_is_special_tokens(self, trained: Tokenizer) -> None:
        assert trained.encode([]) == WordPieces([2, 3], [None, None])

    @pytest.mark.parametrize("nothing", ["\u200b", "\x00", "", " "])
    def test_a_word_that_leaves_nothing_is_unknown(self, trained: Tokenizer, nothing: str) -> None:
        the = trained.encode(["the"]).input_ids[1]
        pieces = trained.encode([nothing, "the", nothing, nothing])
        assert pieces == WordPieces([2, 1, the, 1, 1, 3], [None, 0, 1, 2, 3, None])
        assert trained.encode([nothing]) == WordPieces([2, 1, 3], [None, 0, None])

    def test_special_tokens_in_a_transcript_are_letters(self, trained: Tokenizer) -> None:
        pieces = trained.encode(["[SEP]", "[PAD]"])
        assert pieces.input_ids.count(3) == 1
        assert 0 not in pieces.input_ids

    def test_too_long_is_an_error_and_nothing_is_cut(self, trained: Tokenizer) -> None:
        words = ["the"] * 600
        assert len(trained.encode(words).input_ids) == 602
        assert len(trained.encode(words, max_pieces=602).input_ids) == 602
        with pytest.raises(DataError, match=r"meld dia0: expected at most 601 .*got 602 in 600"):
            trained.encode(words, max_pieces=601, where="meld dia0")

    def test_it_goes_to_workers_as_it_is(self, trained: Tokenizer) -> None:
        copy = pickle.loads(pickle.dumps(trained))
        assert copy.encode(["[SEP]", "lowest"]) == trained.encode(["[SEP]", "lowest"])


class TestJson:
    def test_round_trip(self, trained: Tokenizer) -> None:
        text = trained.to_json()
        copy = Tokenizer.from_json(text)
        assert copy.to_json() == text
        assert copy.special_ids == trained.special_ids
        assert copy.vocab_size == trained.vocab_size
        assert copy.encode(TEXTS[0].split()) == trained.encode(TEXTS[0].split())

    @pytest.mark.parametrize("text", ["", "{}", '{"format": 7}', '{"format": 1, "backend": {}}'])
    def test_something_else(self, text: str) -> None:
        with pytest.raises(ModelError, match="expected tokenizer format 1"):
            Tokenizer.from_json(text)

    def test_transformers_is_not_needed(self) -> None:
        text = Tokenizer.train(TEXTS, 150).to_json()
        code = (
            "import sys; from data_modules.text import Tokenizer;"
            "Tokenizer.from_json(sys.stdin.read()).encode(['a']);"
            "print('torch' in sys.modules, 'transformers' in sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            input=text,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == ["False", "False"]


class TestLoad:
    def test_bert(self, tmp_path: Path) -> None:
        save_bert(tmp_path / "bert")
        tokenizer = Tokenizer.load(str(tmp_path / "bert"))
        assert tokenizer.encode(["Hello,", "unables", "\u200b", "hello"]) == WordPieces(
            [2, 5, 6, 7, 8, 9, 1, 5, 3], [None, 0, 0, 1, 1, 1, 2, 3, None]
        )
        assert (tokenizer.vocab_size, tokenizer.max_length) == (10, 512)
        assert Tokenizer.from_json(tokenizer.to_json()).max_length == 512

    def test_roberta_spells_the_space_before_a_word(self, tmp_path: Path) -> None:
        save_roberta(tmp_path / "roberta")
        tokenizer = Tokenizer.load(str(tmp_path / "roberta"))
        text = "the food was wonderful, don't you think?"
        pieces = tokenizer.encode(text.split())
        # as the plain text, with a space in front
        assert pieces.input_ids == byte_level_backend().encode(f" {text}").ids
        assert len(pieces.input_ids) > 6
        words = [index for index in pieces.word_index if index is not None]
        assert words == sorted(words)
        assert set(words) == set(range(7))
        assert tokenizer.special_ids == {"pad": 1, "unk": 3, "cls": 0, "sep": 2, "mask": 4}
        assert tokenizer.encode(["</s>"]).input_ids.count(2) == 1
        assert tokenizer.encode([]) == WordPieces([0, 2], [None, None])

    def test_sentence_pieces_of_every_word_begin_with_a_space(self) -> None:
        vocab = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("\u2581", -3.0)]
        vocab += [("\u2581the", -2.0), ("\u2581room", -2.0), ("room", -2.5), ("the", -2.5)]
        backend = Backend(models.Unigram(vocab, unk_id=3))
        backend.normalizer = normalizers.NFKC()
        # here the space is not added by itself
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
        backend.post_processor = processors.BertProcessing(("</s>", 2), ("<s>", 0))
        tokenizer = Tokenizer(backend, {"pad": 1, "unk": 3})
        assert tokenizer.encode(["the", "room"]).input_ids == [0, 5, 6, 2]
        with pytest.raises(ModelError, match="mask"):
            _ = tokenizer.mask_id

    def test_no_checkpoint_in_the_folder(self, tmp_path: Path) -> None:
        folder = tmp_path / "empty"
        folder.mkdir()
        with pytest.raises(ModelError, match=r"name=.*empty: expected a folder of a checkpoint"):
            Tokenizer.load(str(folder))
        # transformers makes a vocabulary of five special tokens of this, in silence
        (folder / "config.json").write_text('{"model_type": "bert"}')
        with pytest.raises(ModelError, match=r"tokenizer\.json or vocab\.txt, got none"):
            Tokenizer.load(str(folder))

    def test_no_such_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"expected a folder .* got no such folder"):
            Tokenizer.load(str(tmp_path / "nowhere"))

    def test_damaged_file(self, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text('{"model_type": "bert"}')
        (tmp_path / "tokenizer.json").write_text("{")
        with pytest.raises(ModelError, match="that transformers can read, got JSONDecodeError"):
            Tokenizer.load(str(tmp_path))

    def test_not_fast(self, tmp_path: Path) -> None:
        vocab = ["<pad>", "<s>", "</s>", "<unk>", "|", "A"]
        (tmp_path / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(vocab)}))
        (tmp_path / "config.json").write_text('{"model_type": "wav2vec2"}')
        (tmp_path / "tokenizer_config.json").write_text(
            '{"tokenizer_class": "Wav2Vec2CTCTokenizer"}'
        )
        with pytest.raises(ModelError, match=r"expected a fast tokenizer.*Wav2Vec2CTCTokenizer"):
            Tokenizer.load(str(tmp_path))

    def test_the_hub_is_off(self) -> None:
        with pytest.raises(ModelError, match=r"no hub: .*offline mode .*; connect to the network"):
            Tokenizer.load("google-bert/bert-base-uncased")

    def test_a_copy_from_an_earlier_download_needs_no_hub(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import huggingface_hub
        from huggingface_hub import constants

        repository = tmp_path / "models--someone--tiny"
        (repository / "refs").mkdir(parents=True)
        (repository / "snapshots").mkdir()
        (repository / "refs" / "main").write_text("0" * 40)
        save_bert(repository / "snapshots" / ("0" * 40))
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        spy = Mock(wraps=huggingface_hub.snapshot_download)
        monkeypatch.setattr(huggingface_hub, "snapshot_download", spy)
        assert Tokenizer.load("someone/tiny").vocab_size == 10
        # a hub that did not answer once is not asked for each file
        assert spy.call_args.kwargs["local_files_only"] is True
        with pytest.raises(ModelError, match="no hub"):
            Tokenizer.load("someone/tiny", revision="v2")

    def test_a_hub_that_does_not_answer_is_not_asked_again_and_again(self) -> None:
        code = (
            "import socket\n"
            "connect, asked = socket.socket.connect, []\n"
            "socket.socket.connect = lambda *given: (asked.append(given), connect(*given))\n"
            "from data_modules.text import Tokenizer\n"
            "try: Tokenizer.load('someone/tiny')\n"
            "except Exception as error: print(type(error).__name__, error)\n"
            "print(len(asked))"
        )
        env = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0"}
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            check=True,
        )
        error, asked = done.stdout.splitlines()
        assert error.startswith("ModelError model.text.name=someone/tiny")
        assert int(asked) <= 2

    def test_a_model_that_the_hub_does_not_know(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import RepositoryNotFoundError

        def refuse(*args: object, **kwargs: object) -> None:
            response = Mock(headers={}, status_code=404)
            raise RepositoryNotFoundError("404: no such model", response=response)

        monkeypatch.setattr(HfApi, "model_info", refuse)
        with pytest.raises(ModelError, match=r"the hub says: 404: no such model; check name"):
            Tokenizer.load("someone/tiny")


words = st.lists(
    st.text(st.sampled_from("abthewx'\u00e9\u200b\U0001f602 ,.[]5"), max_size=6), max_size=10
)


@given(words=words)
def test_every_word_has_its_pieces_in_order(trained: Tokenizer, words: list[str]) -> None:
    pieces = trained.encode(words)
    assert pieces.word_index[0] is pieces.word_index[-1] is None
    inner = [index for index in pieces.word_index[1:-1] if index is not None]
    assert len(inner) == len(pieces.input_ids) - 2
    assert inner == sorted(inner)
    assert set(inner) == set(range(len(words)))
    assert max(pieces.input_ids) < trained.vocab_size
    # a word's pieces do not depend on its neighbours
    for number, word in enumerate(words):
        own = [i for i, w in zip(pieces.input_ids, pieces.word_index, strict=True) if w == number]
        assert own == trained.encode([word]).input_ids[1:-1]
