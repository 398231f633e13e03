"""Every text family loads, trains whole, and gives each transcript its states alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from benchmarks.tiny_models import TEXT, save_text_model
from data_modules.errors import ModelError
from sermm.nn.encoders import TextEncoder
from sermm.upstreams.text import build_text_model, load_text_model, longest_input
from tests.sermm.upstreams.speech_models import edit_weights

LENGTHS = (1, 2, 3, 9, 40, 60)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("text_models")
    return {family: save_text_model(family, place / family) for family in TEXT}


def transcripts() -> list[Tensor]:
    draw = torch.Generator().manual_seed(0)
    # 0 to 2 are padding and the like in one family or another
    return [torch.randint(3, 60, (length,), generator=draw) for length in LENGTHS]


def encoder_of(folder: Path) -> TextEncoder:
    return TextEncoder(model=load_text_model(str(folder))).eval()


def encode(encoder: TextEncoder, rows: list[Tensor], padding: int) -> Tensor:
    input_ids = pad_sequence(rows, batch_first=True, padding_value=padding)
    lengths = torch.tensor([len(row) for row in rows])
    states: Tensor = encoder(input_ids, lengths, torch.ones_like(input_ids, dtype=torch.bool))
    return states


def padding_of(encoder: TextEncoder) -> int:
    return int(encoder.model.config.pad_token_id or 0)  # type: ignore[union-attr, arg-type]


@pytest.mark.parametrize("family", TEXT)
def test_a_batch_gives_the_states_of_each_transcript_alone(
    folders: dict[str, Path], family: str
) -> None:
    encoder, rows = encoder_of(folders[family]), transcripts()
    with torch.inference_mode():
        batch = encode(encoder, rows, padding_of(encoder))
        for row, states, length in zip(rows, batch, LENGTHS, strict=True):
            alone = encode(encoder, [row], 0)[0]
            scale = float(alone.pow(2).mean().sqrt())
            assert float((states[:length] - alone).abs().max()) < 1e-4 * scale
            assert not states[length:].any()


@pytest.mark.parametrize("family", TEXT)
def test_gradients_of_a_batch_are_those_of_its_transcripts(
    folders: dict[str, Path], family: str
) -> None:
    encoder, rows = encoder_of(folders[family]), transcripts()
    weights = torch.randn(60, 32, generator=torch.Generator().manual_seed(1))
    found = []
    for batches in ([rows], [[row] for row in rows]):
        for batch in batches:
            (
                encode(encoder, batch, padding_of(encoder)) * weights[: len(batch[-1])]
            ).sum().backward()
        # every weight is trained: others would stall distributed training
        assert all(parameter.grad is not None for parameter in encoder.parameters())
        found.append({name: p.grad.clone() for name, p in encoder.named_parameters()})
        encoder.zero_grad()
    largest = max(float(value.abs().max()) for value in found[1].values())
    for name, value in found[1].items():
        scale = max(float(value.abs().max()), 1e-4 * largest)
        assert float((found[0][name] - value).abs().max()) < 1e-3 * scale, name


@pytest.mark.parametrize("family", TEXT)
def test_built_again_from_its_configuration(folders: dict[str, Path], family: str) -> None:
    model = load_text_model(str(folders[family])).eval()
    settings = model.config.to_dict()  # type: ignore[union-attr, operator]
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    again = build_text_model(settings).eval()
    again.load_state_dict(model.state_dict())
    input_ids = transcripts()[-1][None]
    expected = model(input_ids=input_ids).last_hidden_state
    assert torch.equal(again(input_ids=input_ids).last_hidden_state, expected)
    longest = longest_input(settings)
    assert longest == 80 - 2 * (family in ("roberta", "mpnet"))
    assert model(input_ids=torch.full((1, longest), 5)).last_hidden_state.shape == (1, longest, 32)


@pytest.mark.parametrize("family", TEXT)
def test_weights_that_do_not_fit_are_refused(
    folders: dict[str, Path], tmp_path: Path, family: str
) -> None:
    first = next(iter(dict(load_text_model(str(folders[family])).named_parameters())))
    lacking = shutil.copytree(folders[family], tmp_path / "lacking")
    edit_weights(lacking, lambda tensors: tensors.pop(first))
    with pytest.raises(ModelError, match=f"got none for {first}"):
        load_text_model(str(lacking))
    longer = shutil.copytree(folders[family], tmp_path / "longer")
    # one layer more than the configuration has
    more = "transformer.layer.9.a" if family == "distilbert" else "encoder.layer.9.a"
    more = "layers.9.a" if family == "modernbert" else more
    edit_weights(longer, lambda tensors: tensors.update({more: torch.zeros(1)}))
    with pytest.raises(
        ModelError, match=f"no weights beside those of the encoder, got also {more}"
    ):
        load_text_model(str(longer))
