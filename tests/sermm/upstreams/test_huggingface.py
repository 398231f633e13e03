"""Lengths and times, layers, long clips, and training."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmarks.tiny_models import SPEECH, save_speech_model
from data_modules.errors import ConfigError
from sermm.upstreams.huggingface import HuggingFaceUpstream, load_huggingface
from tests.sermm.upstreams.speech_models import Models, padded, voice
from tests.sermm.upstreams.test_huggingface_load import edit_json

GROUP, LAYER = "wav2vec2, group norm", "wav2vec2, layer norm"


def layers_of(upstream: HuggingFaceUpstream, *clips: Tensor) -> Tensor:
    with torch.inference_mode():
        states: Tensor = upstream.layers(*padded(clips)).states
    return states


# lengths and times


@pytest.mark.parametrize("family", SPEECH)
def test_lengths_and_times(models: Models, family: str) -> None:
    """Written down from the papers' windows and strides."""
    shortest, center = {"wav2vec2-bert": (560, 280.0), "whisper": (1, 0.0)}.get(
        family, (400, 200.0)
    )
    upstream = models.load(family)
    assert (upstream.frame_stride, upstream.frame_stride_s) == (320, 0.02)
    assert (upstream.min_samples, upstream.first_center) == (shortest, center)
    assert upstream.max_samples == (32_000 if family == "whisper" else None)


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.integers(1, 12), st.integers(1, 6)), min_size=1, max_size=5),
    st.integers(0, 3_000),
)
def test_number_of_frames_by_kernels_and_strides(
    convolutions: list[tuple[int, int]], more: int
) -> None:
    """Against the convolutions themselves, and against the arithmetic of transformers."""
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    from sermm.upstreams.waves import WaveEncoder

    kernels, strides = zip(*convolutions, strict=True)
    config = Wav2Vec2Config(
        hidden_size=4,
        num_hidden_layers=0,
        num_attention_heads=1,
        intermediate_size=4,
        conv_dim=(2,) * len(kernels),
        conv_kernel=kernels,
        conv_stride=strides,
        feat_extract_norm="layer",
        num_conv_pos_embeddings=2,
        num_conv_pos_embedding_groups=1,
    )
    model = Wav2Vec2Model(config)
    encoder = WaveEncoder(model, normalized=False).eval()
    samples = encoder.min_samples + more
    with torch.inference_mode():
        computed = model.feature_extractor(torch.zeros(1, samples)).shape[-1]
    theirs = int(model._get_feat_extract_output_lengths(torch.tensor(samples)))
    assert encoder.num_frames(samples) == computed == theirs
    assert encoder.num_frames(encoder.min_samples) == 1
    assert encoder.num_frames(encoder.min_samples + encoder.frame_stride) == 2


def test_what_a_frame_sees(models: Models) -> None:
    """Frame i depends on the samples around first_center + i * frame_stride, on no others."""
    upstream = models.load(LAYER)
    waveform = voice(2_000).requires_grad_()
    frames, _ = upstream.encoder._convolve(  # type: ignore[operator]
        waveform[None], torch.tensor([2_000])
    )
    for index in (0, 1, frames.shape[1] - 1):
        (slope,) = torch.autograd.grad(frames[0, index].sum(), waveform, retain_graph=True)
        seen = slope.nonzero().flatten()
        center = (int(seen[0]) + int(seen[-1]) + 1) / 2
        assert center == upstream.first_center + index * upstream.frame_stride
        assert len(seen) == upstream.min_samples


def test_a_clip_that_is_too_short_is_filled_up(models: Models) -> None:
    upstream, clip = models.load(GROUP), voice(250)
    level = (clip - clip.mean()) / torch.sqrt(clip.var(correction=0) + 1e-7)
    torch.testing.assert_close(upstream.encoder.prepare(clip)[:250], level)  # before it is filled
    assert not upstream.encoder.prepare(clip)[250:].any()
    assert layers_of(upstream, clip).shape == (1, 1, 1, 32)
    assert layers_of(upstream, voice(1)).isfinite().all()


@pytest.mark.parametrize("normalized", [True, False])
def test_the_level_counts_unless_the_model_says_it_does_not(
    models: Models, tmp_path: Path, normalized: bool
) -> None:
    folder = shutil.copytree(models.path(LAYER), tmp_path / "model")
    edit_json(folder / "preprocessor_config.json", do_normalize=normalized)
    upstream, clip = load_huggingface(name=str(folder)), voice(8_000)
    same = torch.allclose(
        layers_of(upstream, clip), layers_of(upstream, 0.1 * clip + 0.2), atol=1e-3
    )
    assert same == normalized


@pytest.mark.parametrize("num_samples", [560, 719, 720, 30_001])
def test_log_mel_frames_are_those_of_the_extractor(models: Models, num_samples: int) -> None:
    """The model's first layer norm would hide their scale."""
    from transformers import SeamlessM4TFeatureExtractor

    clip = voice(num_samples)
    expected = SeamlessM4TFeatureExtractor()(
        clip.numpy(), sampling_rate=16_000, return_tensors="pt"
    )
    kept = expected["attention_mask"][0].bool()
    prepared = models.load("wav2vec2-bert").encoder.prepare(clip)
    torch.testing.assert_close(prepared, expected["input_features"][0][kept], rtol=0, atol=2e-3)


# layers


@pytest.mark.parametrize("family", ["wav2vec2, layer norm", "wav2vec2-bert", "whisper"])
def test_layers_by_name_and_number(models: Models, family: str) -> None:
    clip = voice(6_000)
    every = layers_of(models.load(family, layers="all"), clip)
    assert every.shape[1] == 3
    for layers, expected in {
        "last": every[:, 2:],
        "0": every[:, :1],
        "1": every[:, 1:2],
        "2, 0": every[:, [0, 2]],
        "mean": every.mean(dim=1, keepdim=True),
    }.items():
        upstream = models.load(family, layers=layers)
        assert upstream.num_layers == expected.shape[1]
        torch.testing.assert_close(layers_of(upstream, clip), expected, rtol=0, atol=1e-6)
        if upstream.num_layers == 1:
            with torch.inference_mode():
                frames = upstream(*padded([clip])).frames
            torch.testing.assert_close(frames, expected[:, 0], rtol=0, atol=1e-6)


def test_several_layers_are_not_frames(models: Models) -> None:
    with pytest.raises(ValueError, match=r"3 layers are kept apart: ask for layers\(\)"):
        models.load(GROUP, layers="all")(*padded([voice(800)]))


@pytest.mark.parametrize("layers", ["3", "0,3", "1,1", "first", "", "-1", "1.5", "0;1"])
def test_layers_that_there_are_not(models: Models, layers: str) -> None:
    with pytest.raises(ConfigError, match=r"last, mean, all, or numbers between 0 and 2, each on"):
        models.load(GROUP, layers=layers)


@pytest.mark.parametrize("family", SPEECH)
def test_what_no_frame_depends_on_is_not_there(models: Models, family: str) -> None:
    """Distributed training stops at weights without gradient."""
    for layers in ("0", "1", "last"):
        upstream = models.load(family, layers=layers)
        upstream(*padded([voice(5_000), voice(900)])).frames.pow(2).sum().backward()
        idle = [n for n, p in upstream.named_parameters() if p.requires_grad and p.grad is None]
        assert not idle


# long clips


def test_pieces_give_the_frames_of_the_whole(models: Models) -> None:
    """Before any attention, with an overlap that covers the positions' kernel of 16 frames."""
    whole = models.load(LAYER, layers="0")
    pieces = models.load(LAYER, layers="0", chunk_s=0.8, chunk_overlap_s=0.4)
    clip = voice(50_123)
    expected, found = layers_of(whole, clip), layers_of(pieces, clip)
    assert (pieces.chunk_frames, pieces.overlap_frames) == (40, 20)
    assert found.shape == expected.shape == (1, 1, whole.num_frames(50_123), 32)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)
    assert pieces.fingerprint() != whole.fingerprint()


@pytest.mark.parametrize("family", ["wav2vec2, group norm", "wavlm, layer norm", "wav2vec2-bert"])
def test_long_and_short_in_one_batch(models: Models, family: str) -> None:
    whole = models.load(family)
    upstream = models.load(family, chunk_s=1.0, chunk_overlap_s=0.3)
    assert upstream.max_samples is not None
    assert upstream.num_frames(upstream.max_samples) == 50
    assert upstream.num_frames(upstream.max_samples + 1) == 51
    clips = [voice(40_000), voice(700), voice(upstream.max_samples), voice(70_001)]
    found = layers_of(upstream, *clips)
    for clip, row in zip(clips, found, strict=True):
        count = upstream.num_frames(len(clip))
        torch.testing.assert_close(
            row[None, :, :count], layers_of(upstream, clip), rtol=0, atol=5e-5
        )
        assert not row[:, count:].any()
        # as without a limit up to it, and otherwise above
        alike = torch.allclose(row[None, :, :count], layers_of(whole, clip), atol=5e-5)
        assert alike == (len(clip) <= upstream.max_samples)


def test_whisper_beyond_its_window(models: Models) -> None:
    upstream, clip = models.load("whisper", chunk_overlap_s=0.5), voice(45_000)
    found = layers_of(upstream, clip)[0]
    assert found.shape == (1, 141, 32)
    # 141 frames: windows of 100 that begin at 0 and 41, and meet in the middle of 41 and 100
    first = layers_of(upstream, clip[:32_000])[0, :, :70]
    second = layers_of(upstream, clip[41 * 320 :])[0, :, 70 - 41 :]
    torch.testing.assert_close(found, torch.cat([first, second], dim=1), rtol=0, atol=1e-6)
    # a limit above the window is the window
    assert models.load("whisper", chunk_s=60.0).max_samples == 32_000
    assert models.load("whisper", chunk_s=1.5).max_samples == 24_000


def test_a_piece_is_longer_than_the_overlap(models: Models) -> None:
    with pytest.raises(ConfigError, match=r"chunk_overlap_s: expected between 0 and .*\(1 s\)"):
        models.load(GROUP, chunk_s=1.0, chunk_overlap_s=1.0)
    with pytest.raises(ConfigError, match="chunk_overlap_s"):
        models.load(GROUP, chunk_s=1.0, chunk_overlap_s=-0.5)
    with pytest.raises(ConfigError, match="chunk_overlap_s"):
        models.load("whisper", chunk_overlap_s=2.0)


# training


def step(upstream: HuggingFaceUpstream, seed: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss and gradients of one training step."""
    torch.manual_seed(seed)
    states = upstream.layers(*padded([voice(9_000), voice(4_000), voice(700)])).states
    loss = (states * torch.randn(states.shape)).sum()
    loss.backward()
    found = {n: p.grad.clone() for n, p in upstream.named_parameters() if p.grad is not None}
    upstream.zero_grad()
    return loss.detach(), found


def test_comes_ready_to_extract(models: Models) -> None:
    upstream = models.load(GROUP)
    assert not any(module.training for module in upstream.modules())
    assert all(parameter.requires_grad for parameter in upstream.parameters())


@pytest.mark.parametrize("family", ["wav2vec2, group norm", "hubert, batch norm", "wav2vec2-bert"])
def test_training_without_dropout_is_evaluation(
    models: Models, tmp_path: Path, family: str
) -> None:
    """No layer drop, no SpecAugment, no statistics of a batch, whatever the configuration says."""
    folder = shutil.copytree(models.path(family), tmp_path / "model")
    names = ("hidden", "attention", "activation", "feat_proj", "conformer_conv")
    off = {f"{name}_dropout": 0.0 for name in names}
    often = {"layerdrop": 0.9, "mask_time_prob": 0.5, "mask_feature_prob": 0.5}
    edit_json(folder / "config.json", **off, **often, gradient_checkpointing=True)
    upstream, batch = load_huggingface(name=str(folder)), padded([voice(9_000), voice(4_000)])
    expected = upstream(*batch).frames
    assert upstream.train().encoder.training
    assert not any(getattr(m, "gradient_checkpointing", False) for m in upstream.modules())
    torch.testing.assert_close(upstream(*batch).frames, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("family", ["wav2vec2, group norm", "wavlm, layer norm", "whisper"])
def test_dropout_of_attention_is_that_of_the_model(
    models: Models, tmp_path: Path, family: str
) -> None:
    folder = shutil.copytree(models.path(family), tmp_path / "model")
    names = ("hidden_dropout", "activation_dropout", "feat_proj_dropout", "dropout")
    edit_json(folder / "config.json", **dict.fromkeys(names, 0.0), attention_dropout=0.5)
    upstream, batch = load_huggingface(name=str(folder)), padded([voice(9_000)])
    expected = upstream(*batch).frames
    torch.testing.assert_close(upstream(*batch).frames, expected)
    assert not torch.allclose(upstream.train()(*batch).frames, expected, atol=1e-3)


@pytest.mark.parametrize("family", SPEECH)
def test_gradient_checkpointing_changes_nothing(models: Models, family: str) -> None:
    plain, saving = models.load(family).train(), models.load(family).train()
    saving.checkpoint_gradients()
    loss, expected = step(plain)
    again, found = step(saving)
    torch.testing.assert_close(again, loss)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-4)


def test_gradient_checkpointing_saves_memory(models: Models) -> None:
    def kept(upstream: HuggingFaceUpstream) -> int:
        sizes: list[int] = []

        def pack(tensor: Tensor) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            upstream(*padded([voice(16_000)]))
        return sum(sizes)

    upstream = models.load(GROUP).train()
    before = kept(upstream)
    upstream.checkpoint_gradients()
    assert kept(upstream) < before / 2


@pytest.mark.parametrize("family", SPEECH)
def test_a_frozen_feature_encoder_costs_no_backward_pass(models: Models, family: str) -> None:
    upstream = models.load(family).train()
    upstream.freeze_feature_encoder()
    front = upstream.encoder.front()
    _, found = step(upstream)
    assert len(found) > 20
    if front is None:
        assert family == "wav2vec2-bert"
        return
    frozen = {id(parameter) for parameter in front.parameters()}
    names = {name for name, p in upstream.named_parameters() if id(p) in frozen}
    assert names
    assert not names & found.keys()
    # not only is no gradient kept: the graph ends above the convolutions
    waveform, lengths = padded([voice(9_000)], filler=0.0)
    waveform.requires_grad_()
    upstream(waveform, lengths).frames.sum().backward()
    assert waveform.grad is None


def test_an_unfrozen_one_reaches_the_waveform(models: Models) -> None:
    """So that the test above can fail."""
    waveform, lengths = padded([voice(9_000)], filler=0.0)
    waveform.requires_grad_()
    models.load(GROUP)(waveform, lengths).frames.sum().backward()
    assert waveform.grad is not None
    assert waveform.grad.any()


@pytest.mark.parametrize("family", ["wav2vec2, group norm", "whisper"])
def test_a_frozen_upstream_stays_as_it_is(models: Models, family: str) -> None:
    upstream, batch = models.load(family), padded([voice(9_000)])
    expected = upstream(*batch).frames.detach()
    upstream.freeze()
    holder = torch.nn.Sequential(upstream).train()
    frames: Any = upstream(*batch).frames
    assert not frames.requires_grad
    assert not any(parameter.requires_grad for parameter in holder.parameters())
    assert not any(module.training for module in upstream.modules())
    torch.testing.assert_close(frames, expected, rtol=0, atol=0)


def test_a_step_fits_what_it_is_shown(models: Models) -> None:
    """From waveform to loss, as fine-tuning does it: SUPERB's sum over layers learns along."""
    from sermm.upstreams.layers import WeightedLayerSum

    upstream = models.load(GROUP, layers="all").train()
    upstream.freeze_feature_encoder()
    upstream.checkpoint_gradients()
    mixture = WeightedLayerSum(upstream.num_layers)
    torch.manual_seed(0)
    head = torch.nn.Linear(upstream.dim, 1)
    model = torch.nn.ModuleList([upstream, mixture, head])
    optimizer = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), lr=3e-3)
    batch, target = padded([voice(9_000, 1), voice(4_000, 2)]), torch.tensor([[1.0], [-1.0]])
    losses = []
    for _ in range(15):
        features = upstream.layers(*batch)
        pooled = mixture(features.states).sum(dim=1) / features.lengths[:, None]  # (B, D)
        loss = (head(pooled) - target).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]
    assert mixture.weights.detach().all()


def test_another_family_is_another_fingerprint(models: Models, tmp_path: Path) -> None:
    prints = {models.load(family).fingerprint() for family in SPEECH}
    assert len(prints) == len(SPEECH)
    other = save_speech_model(GROUP, tmp_path / "other", seed=1)
    assert load_huggingface(name=str(other)).fingerprint() not in prints


# torch's own: it imports what it deprecates, and the tracer looks at .grad of what is no leaf
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.* is deprecated:DeprecationWarning")
@pytest.mark.parametrize("family", SPEECH)
def test_compiled_layers_change_nothing(models: Models, family: str) -> None:
    """With the tracer alone: what it makes of the layers, not what a compiler makes of that."""
    torch.compiler.reset()
    plain, compiled = models.load(family), models.load(family)
    names = list(compiled.state_dict())
    compiled.compile_layers("eager")
    layers = compiled.encoder.transformer_layers()
    assert len(layers) == compiled.encoder.num_transformer_layers
    assert list(compiled.state_dict()) == names
    loss, expected = step(plain)
    again, found = step(compiled)
    torch.testing.assert_close(again, loss)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-4)
