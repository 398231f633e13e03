from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from data_modules.batch import Batch
from sermm.nn.augment import FrameAugment, TimeStretch
from sermm.nn.convolution import FrameConvolutions
from sermm.nn.encoders import ClassificationHead, MaskToken, SpeechEncoder, TextEncoder
from sermm.nn.recurrent import BiGRU
from sermm.nn.speech_input import CachedFrames
from sermm.nn.standardize import Standardize
from sermm.upstreams.text import build_text_model
from tests.sermm.nn.padding import (
    LENGTHS,
    NAN,
    assert_padding_is_invisible,
    pad_rows,
    random_rows,
)

CLS, SEP, MASK = 2, 3, 4


def speech_encoder(
    num_layers: int = 1, *, recurrent: bool = True, dropout: float = 0.0, noise: float = 0.0
) -> SpeechEncoder:
    torch.manual_seed(0)
    convolutions = FrameConvolutions(
        input_size=4, channels=6, num_layers=num_layers, dropout=dropout
    )
    return SpeechEncoder(
        stretch=TimeStretch(),
        source=CachedFrames(
            frame_dim=4,
            standardize=Standardize(mean=torch.arange(4.0), std=torch.tensor([1.0, 2.0, 0.5, 0.0])),
        ),
        augment=FrameAugment(noise=noise),
        convolutions=convolutions,
        recurrent=BiGRU(input_size=convolutions.output_size, hidden_size=3) if recurrent else None,
        dropout=dropout,
    )


def frames_batch(frames: Tensor, lengths: Tensor) -> Batch:
    names = [""] * len(lengths)
    return Batch(names, names, torch.zeros(len(lengths)), frames=frames, frame_lengths=lengths)


def text_model(**changes: Any) -> nn.Module:
    torch.manual_seed(0)
    settings = {
        "model_type": "bert",
        "vocab_size": 30,
        "hidden_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "max_position_embeddings": 16,
        "hidden_dropout_prob": 0.2,
        "attention_probs_dropout_prob": 0.2,
        "pad_token_id": 0,
    }
    return build_text_model(settings | changes)


def text_batch(lengths: tuple[int, ...] = LENGTHS) -> tuple[Tensor, Tensor, Tensor]:
    """[CLS] words [SEP] in each row, other words in the padding."""
    torch.manual_seed(0)
    size = max(lengths) + 2
    input_ids = torch.randint(5, 30, (len(lengths), size))
    word_mask = torch.zeros(len(lengths), size, dtype=torch.bool)
    for row, mask, length in zip(input_ids, word_mask, lengths, strict=True):
        row[0], row[length - 1] = CLS, SEP
        mask[1 : length - 1] = True
    return input_ids, torch.tensor(lengths), word_mask


# --- speech


def test_standardize_by_hand() -> None:
    mean, std = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 0.5, 0.0])
    frames = torch.tensor([[[3.0, 2.0, 5.0], [1.0, 1.0, 3.0], [NAN, NAN, NAN]]])
    got = Standardize(mean=mean, std=std)(frames, torch.tensor([2]))
    # a dimension that never changes in training is only shifted
    assert got.tolist() == [[[1.0, 0.0, 2.0], [0.0, -2.0, 0.0], [0.0, 0.0, 0.0]]]


def test_statistics_travel_with_the_checkpoint() -> None:
    fitted = Standardize(
        mean=torch.tensor([1.0, 2.0], dtype=torch.float64), std=torch.tensor([3.0, 4.0])
    )
    assert fitted.mean.dtype == torch.float32
    blank = Standardize(mean=torch.zeros(2), std=torch.ones(2))
    blank.load_state_dict(fitted.state_dict())
    assert torch.equal(blank.mean, fitted.mean)
    assert torch.equal(blank.std, fitted.std)
    assert not list(fitted.parameters())


@pytest.mark.parametrize("num_layers", [0, 1, 2])
@pytest.mark.parametrize("recurrent", [True, False])
def test_padding_is_invisible_to_the_speech_encoder(num_layers: int, recurrent: bool) -> None:
    encoder = speech_encoder(num_layers, recurrent=recurrent, dropout=0.5, noise=1.0)
    assert_padding_is_invisible(encoder, lambda m, x, n: m(frames_batch(x, n)), random_rows(4))


@pytest.mark.parametrize("num_layers", [0, 2])
@pytest.mark.parametrize("recurrent", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_states_are_zero_in_the_padding(num_layers: int, recurrent: bool, training: bool) -> None:
    encoder = speech_encoder(num_layers, recurrent=recurrent, noise=0.5).train(training)
    states, lengths = encoder(frames_batch(*pad_rows(random_rows(4))))
    assert states.shape[2] == encoder.output_size == (6 if recurrent or num_layers else 4)
    assert lengths.tolist() == [-(-length // 2**num_layers) for length in LENGTHS]
    for state, length in zip(states, lengths.tolist(), strict=True):
        assert not state[length:].any()
        assert state[:length].any(-1).all()


def test_randomness_is_for_training_alone() -> None:
    batch = frames_batch(*pad_rows(random_rows(4)))
    for options in ({"dropout": 0.5}, {"noise": 0.5}):
        encoder = speech_encoder(**options).train()
        assert not torch.equal(encoder(batch)[0], encoder(batch)[0])
        encoder.eval()
        assert torch.equal(encoder(batch)[0], encoder(batch)[0])


# --- text


def test_padding_is_invisible_to_the_text_encoder() -> None:
    encoder = TextEncoder(model=text_model()).eval()
    input_ids, lengths, word_mask = text_batch()
    with torch.no_grad():
        states = encoder(input_ids, lengths, word_mask)
        assert states.shape == (*input_ids.shape, encoder.output_size)
        for i, length in enumerate(LENGTHS):
            alone = encoder(
                input_ids[i : i + 1, :length], lengths[i : i + 1], word_mask[i : i + 1, :length]
            )
            torch.testing.assert_close(states[i : i + 1, :length], alone, atol=1e-5, rtol=0.0)
            assert not states[i, length:].any()


def test_gradients_of_the_text_encoder_do_not_see_padding() -> None:
    encoder = TextEncoder(model=text_model()).double().eval()
    parameters = dict(encoder.named_parameters())
    input_ids, lengths, word_mask = text_batch()

    def gradients(input_ids: Tensor, lengths: Tensor, word_mask: Tensor) -> list[Tensor]:
        states = encoder(input_ids, lengths, word_mask)
        return list(torch.autograd.grad((states[..., :5] ** 2).sum(), list(parameters.values())))

    together = gradients(input_ids, lengths, word_mask)
    alone = [
        gradients(input_ids[i : i + 1, :n], lengths[i : i + 1], word_mask[i : i + 1, :n])
        for i, n in enumerate(LENGTHS)
    ]
    for name, whole, singles in zip(parameters, together, zip(*alone, strict=True), strict=True):
        expected = torch.stack(singles).sum(0)
        torch.testing.assert_close(whole, expected, atol=1e-9, rtol=1e-9, msg=name)


def test_no_weight_waits_for_a_gradient_that_never_comes() -> None:
    """Distributed training stops at such weights."""
    encoder = TextEncoder(model=text_model())
    encoder(*text_batch()).sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())


def test_word_dropout_hides_words_alone() -> None:
    seen: list[Tensor] = []

    class Recorder(nn.Module):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model, self.config = model, model.config

        def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
            seen.append(input_ids)
            return self.model(input_ids=input_ids, attention_mask=attention_mask)

    encoder = TextEncoder(model=Recorder(text_model()), mask_token=MaskToken(MASK, 0.3))
    input_ids, lengths, word_mask = text_batch((14,) * 40)
    before = input_ids.clone()
    torch.manual_seed(0)
    for _ in range(5):
        encoder(input_ids, lengths, word_mask)
    for given in seen:
        assert torch.equal(given[~word_mask], input_ids[~word_mask])
        hidden = given != input_ids
        assert (given[hidden] == MASK).all()
    share = torch.stack([given != input_ids for given in seen])[:, word_mask].float().mean()
    assert float(share) == pytest.approx(0.3, abs=0.03)
    assert not torch.equal(seen[0], seen[1])
    assert torch.equal(input_ids, before)

    encoder.eval()
    encoder(input_ids, lengths, word_mask)
    assert torch.equal(seen[-1], input_ids)


def test_every_word_can_be_hidden_and_none_with_a_rate_of_zero() -> None:
    input_ids, lengths, word_mask = text_batch()
    everything = input_ids.masked_fill(word_mask, MASK)
    plain = TextEncoder(model=text_model(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))
    for rate, expected in ((1.0, everything), (0.0, input_ids)):
        hiding = TextEncoder(model=plain.model, mask_token=MaskToken(MASK, rate))
        got = hiding(input_ids, lengths, word_mask)
        assert torch.equal(got, plain(expected, lengths, word_mask))


@pytest.mark.parametrize("loaded_in", ["training", "evaluation"])
def test_modes(loaded_in: str) -> None:
    """Models come from transformers in either mode, and the trainer leaves modes as they are."""
    batch = text_batch()
    tuned = TextEncoder(model=text_model().train(loaded_in == "training"))
    assert tuned.training
    assert not torch.equal(tuned(*batch), tuned(*batch))
    frozen = TextEncoder(model=text_model().train(loaded_in == "training"), frozen=True)
    assert frozen.training
    assert torch.equal(frozen(*batch), frozen(*batch))
    for mode in (False, True):
        frozen.train(mode)
        assert frozen.training is mode
        assert not any(module.training for module in frozen.model.modules())
        tuned.train(mode)
        assert all(module.training is mode for module in tuned.modules())


def test_a_frozen_encoder_learns_nothing() -> None:
    encoder = TextEncoder(model=text_model(), frozen=True)
    assert not any(p.requires_grad for p in encoder.parameters())
    assert not encoder(*text_batch()).requires_grad


def test_gradients_stay_off_where_they_are_off() -> None:
    encoder = TextEncoder(model=text_model())
    with torch.no_grad():
        assert not encoder(*text_batch()).requires_grad
    assert encoder(*text_batch()).requires_grad


# --- head


@pytest.mark.parametrize(("hidden_size", "num_linear"), [(0, 1), (5, 2)])
def test_head(hidden_size: int, num_linear: int) -> None:
    head = ClassificationHead(input_size=4, hidden_size=hidden_size, num_classes=3, dropout=0.5)
    assert sum(isinstance(layer, nn.Linear) for layer in head.layers) == num_linear
    values = torch.randn(7, 4)
    assert head(values).shape == (7, 3)
    assert not torch.equal(head(values), head(values))
    head.eval()
    assert torch.equal(head(values), head(values))
    alone = torch.cat([head(value.unsqueeze(0)) for value in values])
    torch.testing.assert_close(head(values), alone)
