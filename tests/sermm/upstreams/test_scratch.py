"""The small encoder that has learned nothing yet."""

from __future__ import annotations

import torch

from sermm.upstreams.huggingface import HuggingFaceUpstream
from sermm.upstreams.record import build_from_record, upstream_record
from sermm.upstreams.scratch import scratch_upstream
from tests.sermm.upstreams.speech_models import padded, voice


def encoder() -> HuggingFaceUpstream:
    torch.manual_seed(0)
    return scratch_upstream(hidden=16, depth=1, heads=2, dropout=0.1).eval()


def test_how_loud_a_clip_is_reaches_the_frames() -> None:
    """With the two norms that published models begin with, it does not."""
    upstream = encoder()
    projection = upstream.encoder.model.feature_projection

    def difference() -> float:
        with torch.inference_mode():
            clips = [upstream.encoder.prepare(gain * voice(9_000)) for gain in (1.0, 0.3)]
            quiet, loud = (projection(frames)[0] for frames in clips)
        return (quiet - loud).abs().mean().item()

    assert difference() > 0.05
    upstream.encoder.keep_level = False
    assert difference() < 1e-4
    frames = torch.randn(5, upstream.encoder.num_bands * upstream.encoder.stacked)
    assert (projection(frames + 1)[0] - projection(frames)[0]).abs().mean() > 0.05
    projection.layer_norm = torch.nn.LayerNorm(frames.shape[1])
    assert (projection(frames + 1)[0] - projection(frames)[0]).abs().max() < 1e-5


def test_silence_is_no_extreme() -> None:
    frames = encoder().encoder.prepare(torch.zeros(9_000))
    assert torch.isfinite(frames).all()
    assert -4 <= frames.min() == frames.max() < 0


def test_every_weight_is_trained_and_comes_back_from_a_record() -> None:
    upstream = encoder()
    upstream(*padded([voice(9_000), voice(16_000, seed=1)])).frames.square().sum().backward()
    assert all(parameter.grad is not None for parameter in upstream.parameters())
    again = build_from_record(upstream_record(upstream))
    again.load_state_dict(upstream.state_dict())
    batch = padded([voice(8_000, seed=2)])
    with torch.inference_mode():
        assert torch.equal(again.eval()(*batch).frames, upstream(*batch).frames)
