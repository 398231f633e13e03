"""Text encoders from a folder, made here in a size that trains in a second."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from data_modules.errors import ModelError
from data_modules.text import Tokenizer
from data_modules.vocabulary import train_word_pieces
from sermm.build_checkpoint import load_task
from sermm.upstreams.text import (
    build_text_model,
    load_text_model,
    longest_input,
    text_model_config,
    text_model_facts,
)
from tests.sermm.workplace import Workplace, probabilities, read_json

SENTENCES = ["the dinner was lovely and we left early", "then it rained again awful lonely paper"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as `save_pretrained` writes it; tests that change it copy it."""
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("bert") / "tiny"
    backend = train_word_pieces([*SENTENCES, *SENTENCES], 200, lowercase=True)
    PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=backend.get_vocab_size(),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture
def copied(bert: Path, tmp_path: Path) -> Path:
    return shutil.copytree(bert, tmp_path / "bert")


def stored(folder: Path) -> dict[str, Tensor]:
    """The weights in a folder, without those that nothing here reads."""
    tensors = load_file(folder / "model.safetensors")
    return {name: value for name, value in tensors.items() if not name.startswith("pooler.")}


def edit_weights(folder: Path, change: Callable[[dict[str, Tensor]], None]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def assert_same_weights(model: torch.nn.Module, expected: dict[str, Tensor]) -> None:
    found = model.state_dict()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value.float(), rtol=0, atol=0)


def test_weights_are_those_of_the_folder(bert: Path) -> None:
    model = load_text_model(str(bert))
    assert_same_weights(model, stored(bert))
    assert len(stored(bert)) > 10


def test_half_precision_is_loaded_in_full(copied: Path) -> None:
    def halve(tensors: dict[str, Tensor]) -> None:
        tensors |= {name: value.half() for name, value in tensors.items()}

    edit_weights(copied, halve)
    settings = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps(settings | {"dtype": "float16"}))
    model = load_text_model(str(copied))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert_same_weights(model, stored(copied))


def test_a_model_with_a_head_lends_its_encoder(copied: Path) -> None:
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(1)
    BertForMaskedLM(BertConfig.from_pretrained(copied)).save_pretrained(copied)
    model = load_text_model(str(copied))
    tensors = load_file(copied / "model.safetensors")
    inner = {k.removeprefix("bert."): v for k, v in tensors.items() if k.startswith("bert.")}
    # it has no pooler, and that is no loss
    assert_same_weights(model, inner)


def test_the_older_format_will_do(copied: Path) -> None:
    torch.save(load_file(copied / "model.safetensors"), copied / "pytorch_model.bin")
    expected = stored(copied)
    (copied / "model.safetensors").unlink()
    assert_same_weights(load_text_model(str(copied)), expected)


def test_a_home_folder_is_found(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(copied.parent))
    assert_same_weights(load_text_model("~/bert"), stored(copied))


def test_missing_weights_are_refused(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def forget(tensors: dict[str, Tensor]) -> None:
        del tensors["encoder.layer.0.attention.self.query.weight"]
        del tensors["encoder.layer.0.attention.self.query.bias"]

    edit_weights(copied, forget)
    with pytest.raises(ModelError, match=r"got none for encoder\.layer\.0.*query\.bias.*2 in all"):
        load_text_model(str(copied))
    # nor does transformers say anything beside it
    assert capsys.readouterr() == ("", "")


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def other_shape(folder: Path) -> None:
    def shrink(tensors: dict[str, Tensor]) -> None:
        name = "embeddings.word_embeddings.weight"
        tensors[name] = tensors[name][:5].clone()

    edit_weights(folder, shrink)


def unknown_architecture(folder: Path) -> None:
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"model_type": "berd"}))


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize("spoil", [cut_weights, other_shape, unknown_architecture, no_weights])
def test_a_folder_that_cannot_be_read_is_told_in_a_line(
    copied: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None]
) -> None:
    spoil(copied)
    with pytest.raises(ModelError, match=r"bert: expected a checkpoint that transform") as caught:
        load_text_model(str(copied))
    assert "\n" not in str(caught.value)
    assert capsys.readouterr() == ("", "")


def test_a_model_that_generates_is_no_encoder(tmp_path: Path) -> None:
    from transformers import T5Config, T5Model

    config = T5Config(vocab_size=20, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    T5Model(config).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="expected an encoder of the BERT family, got T5Model"):
        load_text_model(str(tmp_path))


def test_a_hub_id_without_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(ModelError, match=r"model\.text\.name=org/model-of-nobody"):
        load_text_model("org/model-of-nobody")


def test_from_scratch_by_configuration() -> None:
    tokenizer = Tokenizer.train([*SENTENCES, *SENTENCES], vocab_size=100)
    settings = text_model_config(tokenizer, hidden=8, layers=2, heads=2, max_pieces=12, dropout=0.2)
    torch.manual_seed(0)
    model = build_text_model(settings)
    torch.manual_seed(0)
    assert_same_weights(model, build_text_model(settings).state_dict())
    states = model.eval()(input_ids=torch.tensor([[2, 7, 3]])).last_hidden_state
    assert states.shape == (1, 3, 8)
    assert sum(name.endswith("query.weight") for name in model.state_dict()) == 2
    assert not [name for name in model.state_dict() if "pooler" in name]


def encoder_weights(folder: Path, task: str) -> dict[str, Tensor]:
    state = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    prefix = {"text": "encoder.model.", "span": "text.model."}[task]
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


@pytest.mark.parametrize("task", ["text", "span"])
def test_a_frozen_encoder_stays_and_a_tuned_one_changes(
    place: Workplace, bert: Path, task: str
) -> None:
    settings = (f"model.text.name={bert}", "optim.epochs=2", "data.max_pieces=64")
    frozen = place.fit(task, "name=frozen", "model.text.frozen=true", *settings)
    tuned = place.fit(task, "name=tuned", "optim.text_lr=1e-3", *settings)
    expected = stored(bert)
    assert encoder_weights(frozen, task).keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(encoder_weights(frozen, task)[name], value, rtol=0, atol=0)
    changed = encoder_weights(tuned, task)
    moved = [name for name, value in expected.items() if not torch.equal(changed[name], value)]
    # the bias of the keys adds the same to every score of a row: it has no gradient
    assert set(expected) - set(moved) <= {"encoder.layer.0.attention.self.key.bias"}
    # small steps: it is the same encoder still
    assert max(float((changed[name] - expected[name]).abs().max()) for name in moved) < 0.05


def test_a_trained_model_needs_the_folder_no_more(place: Workplace, copied: Path) -> None:
    settings = (f"model.text.name={copied}", "optim.epochs=1", "data.max_pieces=64")
    folder = place.fit("text", *settings)
    shutil.rmtree(copied)
    task, config, facts = load_task(folder / "checkpoints" / "best.ckpt")
    assert config.model.text.name == str(copied)
    tokenizer = Tokenizer.from_json(facts.tokenizer)
    pieces = tokenizer.encode(["the", "dinner", "was", "lovely"])
    states = task.encoder(  # type: ignore[operator]
        torch.tensor([pieces.input_ids]), torch.tensor([len(pieces.input_ids)]), torch.ones(1, 6)
    )
    assert states.shape == (1, len(pieces.input_ids), 16)
    assert len(probabilities(folder)) == 16


def test_a_transcript_longer_than_the_model_can_read_is_told_in_a_line(
    place: Workplace, copied: Path
) -> None:
    from transformers import BertConfig, BertModel

    config = BertConfig.from_pretrained(copied, max_position_embeddings=8)
    BertModel(config).save_pretrained(copied)
    said = place.sermm("fit", *place.settings("text", f"model.text.name={copied}"))
    assert said.status == 2
    assert "at most 8 word pieces" in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"model_type": "bert", "max_position_embeddings": 512, "pad_token_id": 0}, 512),
        # 514 rows of positions, of which the first two are for padding
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "xlnet"}, None),
        ({"model_type": "t5", "max_position_embeddings": None}, None),
    ],
)
def test_how_long_a_transcript_may_be(settings: dict[str, Any], expected: int | None) -> None:
    assert longest_input(settings) == expected


def test_as_long_as_allowed_is_read() -> None:
    """The rule above, against the models themselves."""
    from transformers import RobertaConfig, RobertaModel

    config = RobertaConfig(
        vocab_size=30,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=12,
    )
    longest = longest_input(config.to_dict())
    assert longest == 10
    model = RobertaModel(config).eval()
    ids = torch.full((1, longest), 5)
    assert model(input_ids=ids).last_hidden_state.shape == (1, longest, 8)
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=torch.full((1, longest + 1), 5))


def test_which_weights_a_run_started_from_is_recorded(place: Workplace, copied: Path) -> None:
    settings = (f"model.text.name={copied}", "optim.epochs=1", "data.max_pieces=64")
    folder = place.fit("text", *settings)
    about = read_json(folder / "environment.json")["text_model"]
    assert about == text_model_facts(str(copied))
    assert (about["name"], about["commit"]) == (str(copied), None)

    def change(tensors: dict[str, Tensor]) -> None:
        tensors["embeddings.LayerNorm.bias"] += 1e-3

    edit_weights(copied, change)
    assert text_model_facts(str(copied))["sha256"] != about["sha256"]
    # the hub's cache: models--org--name/snapshots/COMMIT
    snapshot = shutil.copytree(copied, copied.parent / "snapshots" / "1a2b3c")
    assert text_model_facts(str(snapshot))["commit"] == "1a2b3c"
    assert "text_model" not in read_json(place.fit("text", "name=s") / "environment.json")
