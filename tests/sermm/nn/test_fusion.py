from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sermm.nn.fusion import FrameAttention, SpanPooling, span_index
from tests.sermm.nn.padding import LENGTHS, NAN, assert_padding_is_invisible, pad_rows, random_rows

# --- spans


def naive_span_pooling(frames: Tensor, spans: Tensor, word_mask: Tensor) -> Tensor:
    """The same in loops over rows and pieces."""
    rows = []
    for row, row_spans, is_word in zip(frames, spans.tolist(), word_mask.tolist(), strict=True):
        zeros = row.new_zeros(2 * row.shape[1])
        pooled = [
            torch.cat([row[a:b].mean(0), row[a:b].amax(0)]) if a < b else None for a, b in row_spans
        ]
        words = [p for p, word in zip(pooled, is_word, strict=True) if word and p is not None]
        typical = torch.stack(words).mean(0) if words else zeros
        rows.append(
            torch.stack(
                [torch.cat([zeros, zeros] if p is None else [p, p - typical]) for p in pooled]
            )
        )
    return torch.stack(rows)


@st.composite
def spoken_words(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    """Frames of few values (so that maxima tie, also at zero), empty and overlapping spans."""
    num_rows, num_frames, num_pieces = (draw(st.integers(1, n)) for n in (3, 9, 5))
    values = draw(
        st.lists(
            st.sampled_from([-1.0, 0.0, 0.5, 2.0]),
            min_size=num_rows * num_frames * 2,
            max_size=num_rows * num_frames * 2,
        )
    )
    bound = st.integers(0, num_frames)
    spans = [
        [sorted((draw(bound), draw(bound))) for _ in range(num_pieces)] for _ in range(num_rows)
    ]
    masks = [[draw(st.booleans()) for _ in range(num_pieces)] for _ in range(num_rows)]
    frames = torch.tensor(values, dtype=torch.float64).view(num_rows, num_frames, 2)
    return frames, torch.tensor(spans), torch.tensor(masks)


@settings(max_examples=60)
@given(spoken_words())
def test_span_pooling_equals_a_loop(case: tuple[Tensor, Tensor, Tensor]) -> None:
    frames, spans, word_mask = case
    frames.requires_grad_()
    pooling = SpanPooling(input_size=2)
    got = pooling(frames, spans, word_mask)
    expected = naive_span_pooling(frames, spans, word_mask)
    assert got.shape == (*word_mask.shape, pooling.output_size)
    torch.testing.assert_close(got, expected, atol=1e-12, rtol=0.0)

    weights = torch.arange(1.0, got.numel() + 1, dtype=got.dtype).view_as(got)
    (gradient,) = torch.autograd.grad((got * weights).sum(), frames)
    (reference,) = (
        torch.autograd.grad((expected * weights).sum(), frames, allow_unused=True)
        if expected.requires_grad
        else (None,)
    )
    expected_gradient = torch.zeros_like(frames) if reference is None else reference
    torch.testing.assert_close(gradient, expected_gradient, atol=1e-9, rtol=1e-9)


def test_span_pooling_by_hand() -> None:
    frames = torch.tensor([[[1.0], [3.0], [-2.0], [8.0]]])
    # a special token over everything, two words, a word without frames
    spans = torch.tensor([[[0, 4], [0, 2], [2, 3], [3, 3]]])
    word_mask = torch.tensor([[False, True, True, True]])
    # mean and maximum of the words: (2, 3) and (-2, -2), so (0, 0.5) is typical
    expected = [
        [2.5, 8.0, 2.5, 7.5],
        [2.0, 3.0, 2.0, 2.5],
        [-2.0, -2.0, -2.0, -2.5],
        [0.0, 0.0, 0.0, 0.0],
    ]
    assert SpanPooling(input_size=1)(frames, spans, word_mask)[0].tolist() == expected


def test_span_index_by_hand() -> None:
    spans = torch.tensor([[[1, 3], [2, 2]], [[0, 1], [0, 2]]])
    row, frame, owner = span_index(spans)
    assert row.tolist() == [0, 0, 1, 1, 1]
    assert frame.tolist() == [1, 2, 0, 0, 1]
    assert owner.tolist() == [0, 0, 2, 3, 3]


@pytest.mark.parametrize("garbage", [NAN, 1e30])
def test_padded_frames_are_invisible_to_spans(garbage: float) -> None:
    rows = random_rows(4)
    frames, lengths = pad_rows(rows, garbage=garbage)
    spans = torch.tensor([[[0, n], [0, (n + 1) // 2], [n // 2, n]] for n in lengths.tolist()])
    word_mask = torch.tensor([[False, True, True]]).expand(len(rows), 3)
    pooling = SpanPooling(input_size=4)
    together = pooling(frames, spans, word_mask)
    for i, row in enumerate(rows):
        alone = pooling(row.unsqueeze(0), spans[i : i + 1], word_mask[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-5, rtol=0.0)


def test_padded_pieces_are_invisible_to_spans() -> None:
    (frames,) = random_rows(4, (6,))
    spans = torch.tensor([[[0, 2], [2, 5], [1, 6]]])
    word_mask = torch.tensor([[True, True, False]])
    pooling = SpanPooling(input_size=4)
    longer = pooling(frames.unsqueeze(0), spans, word_mask)
    alone = pooling(frames.unsqueeze(0), spans[:, :2], word_mask[:, :2])
    torch.testing.assert_close(longer[:, :2], alone)


def test_no_piece_has_frames() -> None:
    pooled = SpanPooling(input_size=2)(
        torch.randn(2, 3, 2), torch.zeros(2, 4, 2, dtype=torch.int64), torch.ones(2, 4).bool()
    )
    assert pooled.shape == (2, 4, 8)
    assert not pooled.any()


# --- attention


def attention() -> FrameAttention:
    torch.manual_seed(0)
    return FrameAttention(query_size=3, key_size=4, hidden_size=5)


def test_attention_equals_torchs_own() -> None:
    block = attention()
    tokens = torch.randn(len(LENGTHS), 6, 3)
    frames, lengths = pad_rows(random_rows(4))
    got = block(tokens, frames, lengths)
    assert got.shape == (len(LENGTHS), 6, block.output_size)
    weights = block.weights(tokens, frames, lengths)
    assert weights.shape == (len(LENGTHS), 6, frames.shape[1])
    for i, length in enumerate(lengths.tolist()):
        own = frames[i, :length]
        expected = torch.nn.functional.scaled_dot_product_attention(
            block.query(tokens[i : i + 1]), block.key(own).unsqueeze(0), own.unsqueeze(0)
        )
        torch.testing.assert_close(got[i : i + 1], expected)
        torch.testing.assert_close(weights[i, :, :length].sum(-1), torch.ones(6))
        assert not weights[i, :, length:].any()


def test_attention_is_scaled_by_the_width_of_the_comparison() -> None:
    block = FrameAttention(query_size=1, key_size=1, hidden_size=4)
    with torch.no_grad():
        for layer in (block.query, block.key):
            layer.weight.fill_(1.0)
        block.query.bias.zero_()
    weights = block.weights(torch.ones(1, 1, 1), torch.tensor([[[0.0], [1.0]]]), torch.tensor([2]))
    # scores are 0 and 4, over the root of 4
    assert math.isclose(weights[0, 0, 1].item(), 1 / (1 + math.exp(-2)), rel_tol=1e-6)


@pytest.mark.parametrize("garbage", [NAN, 1e30])
def test_padded_frames_are_invisible_to_attention(garbage: float) -> None:
    queries = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))

    def run(block: FrameAttention, frames: Tensor, lengths: Tensor) -> Tensor:
        tokens = queries.to(frames.dtype).expand(len(frames), 6, 3)
        return block(tokens, frames, lengths)

    assert_padding_is_invisible(attention(), run, random_rows(4), garbage=garbage)
