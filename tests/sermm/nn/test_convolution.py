from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sermm.nn.convolution import FrameConvolutions
from tests.sermm.nn.padding import assert_padding_is_invisible, pad_rows, random_rows


def block(num_layers: int, kernel_size: int = 5) -> FrameConvolutions:
    torch.manual_seed(num_layers)
    return FrameConvolutions(
        input_size=4, channels=6, num_layers=num_layers, kernel_size=kernel_size, dropout=0.5
    ).eval()


@pytest.mark.parametrize("num_layers", [0, 1, 2, 3])
@pytest.mark.parametrize("kernel_size", [1, 3, 5, 7])
def test_sizes(num_layers: int, kernel_size: int) -> None:
    convolutions = block(num_layers, kernel_size)
    values, lengths = pad_rows(random_rows(4, range(1, 20)), extra=0)
    frames, scaled = convolutions(values, lengths)
    rate = 2**num_layers
    assert convolutions.rate == rate
    assert convolutions.output_size == (6 if num_layers else 4)
    assert frames.shape == (19, math.ceil(19 / rate), convolutions.output_size)
    assert scaled.tolist() == [math.ceil(length / rate) for length in range(1, 20)]
    assert scaled.dtype == torch.int64


def test_even_kernels_are_refused() -> None:
    with pytest.raises(ValueError, match="kernel_size must be odd, got 4"):
        block(1, kernel_size=4)


def test_without_layers_frames_pass() -> None:
    values, lengths = pad_rows(random_rows(4))
    frames, scaled = block(0)(values, lengths)
    assert frames is values
    assert scaled is lengths


@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_padding_is_invisible(num_layers: int, kernel_size: int) -> None:
    rows = random_rows(4, (1, 2, 3, 4, 5, 7, 9, 12, 13))
    assert_padding_is_invisible(block(num_layers, kernel_size), lambda m, x, n: m(x, n), rows)


@settings(max_examples=30)
@given(st.lists(st.integers(1, 17), min_size=1, max_size=4), st.integers(0, 5))
def test_padding_is_invisible_at_any_length(lengths: list[int], extra: int) -> None:
    convolutions = block(2)
    rows = random_rows(4, lengths)
    with torch.no_grad():
        together, sizes = convolutions(*pad_rows(rows, extra=extra))
        for row, got, size in zip(rows, together, sizes.tolist(), strict=True):
            alone, _ = convolutions(*pad_rows([row], extra=0))
            torch.testing.assert_close(got[:size], alone[0], atol=1e-5, rtol=0.0)


@st.composite
def span_in_clip(draw: st.DrawFn) -> tuple[int, int, int]:
    num_frames = draw(st.integers(1, 60))
    start, end = sorted(draw(st.lists(st.integers(0, num_frames), min_size=2, max_size=2)))
    return start, end, num_frames


@given(span_in_clip(), st.integers(0, 4))
def test_scaled_spans(case: tuple[int, int, int], num_layers: int) -> None:
    start, end, num_frames = case
    convolutions = block(num_layers)
    first, last = convolutions.scale_spans(torch.tensor([start, end])).tolist()
    assert (last == first) is (start == end)
    if start < end:
        # every frame's own output frame, no other, none that does not exist
        own = {frame // convolutions.rate for frame in range(start, end)}
        assert set(range(first, last)) == own
        assert 0 <= first < last <= math.ceil(num_frames / convolutions.rate)


def test_scaled_spans_of_a_batch() -> None:
    spans = torch.tensor([[[0, 7], [3, 3], [0, 0]], [[4, 5], [5, 6], [8, 12]]])
    before = spans.clone()
    expected = [[[0, 2], [0, 0], [0, 0]], [[1, 2], [1, 2], [2, 3]]]
    scaled = block(2).scale_spans(spans)
    assert scaled.tolist() == expected
    assert scaled.dtype == torch.int64
    assert torch.equal(spans, before)
    assert torch.equal(block(0).scale_spans(spans), spans)


@settings(max_examples=40)
@given(span_in_clip(), st.integers(1, 3), st.sampled_from([3, 5]))
def test_scaled_spans_hold_what_the_span_changes(
    case: tuple[int, int, int], num_layers: int, kernel_size: int
) -> None:
    """Each output frame of a span sees some input frame of it; no span far away does."""
    start, end, num_frames = case
    convolutions = block(num_layers, kernel_size).double()
    (row,) = random_rows(4, (num_frames,), dtype=torch.float64)
    changed = row.clone()
    changed[start:end] += 1.0
    with torch.no_grad():
        before, _ = convolutions(*pad_rows([row], extra=0))
        after, _ = convolutions(*pad_rows([changed], extra=0))
    differs = (before != after).any(-1)[0]
    first, last = convolutions.scale_spans(torch.tensor([start, end])).tolist()
    assert differs[first:last].all()
    # a kernel reaches (k - 1) / 2 frames to each side, in each layer twice as far as before
    reach = (kernel_size // 2) * (convolutions.rate - 1)
    touched = differs.nonzero().flatten().tolist()
    assert all(start - reach <= j * convolutions.rate < end + reach for j in touched)
