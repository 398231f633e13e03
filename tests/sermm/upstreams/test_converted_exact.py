"""wav2vec, vq-wav2vec, Speech-BERT: frames of the clip alone, and the numbers of s3prl."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.parity_s3prl import GOLDEN, GOLDEN_LENGTHS, LENGTHS, ours
from benchmarks.tiny_converted import (
    BERTS,
    CONVOLUTIONS,
    save_convolutions,
    save_speech_bert,
    wave,
)
from data_modules.errors import ConfigError
from sermm.upstreams.code_bert import BertSettings
from sermm.upstreams.encoded import EncoderUpstream
from sermm.upstreams.speech_bert import SpeechBertUpstream, load_speech_bert
from sermm.upstreams.vq_wav2vec import VqSettings, VqWav2VecUpstream, load_vq_wav2vec
from sermm.upstreams.wav2vec import ConvSettings, Wav2VecUpstream, load_wav2vec
from tests.sermm.upstreams.speech_models import padded, voice

# below the shortest, the shortest, one beside it, two frames, and up to 20 s
CLIPS = (1, 150, 464, 465, 466, 624, 625, 5_000, 33_333, 31_999, 320_000)
KINDS = [kind for kind in (*CONVOLUTIONS, *BERTS) if "size" not in kind]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """An upstream by the kind of its checkpoint, each made once."""
    folder, paths = tmp_path_factory.mktemp("converted"), dict[str, Path]()

    def get(kind: str, **options: Any) -> Any:
        bert = kind in BERTS
        if kind not in paths:
            make = save_speech_bert if bert else save_convolutions
            paths[kind] = make(folder / f"{len(paths)}.pt", kind)
        loader: Any = load_vq_wav2vec if kind.startswith("vq") else load_wav2vec
        return (load_speech_bert if bert else loader)(name=str(paths[kind]), **options)

    return get


def layers_of(kind: str) -> str:
    return "last" if "every" in kind else "all"


def alone(upstream: EncoderUpstream, clip: Tensor) -> Tensor:
    """``(K, F, D)``."""
    return upstream.layers(clip.unsqueeze(0), torch.tensor([len(clip)])).states[0]


@pytest.mark.parametrize("kind", KINDS)
def test_the_numbers_of_s3prl(tmp_path: Path, kind: str) -> None:
    """Stored by ``python -m benchmarks.parity_s3prl --s3prl PATH --write-golden``."""
    make = save_speech_bert if kind in BERTS else save_convolutions
    run = ours(kind, make(tmp_path / "model.pt", kind))
    compared = 0
    with np.load(GOLDEN, allow_pickle=False) as stored, torch.inference_mode():
        for seed, length in enumerate(LENGTHS):
            if length not in GOLDEN_LENGTHS:
                continue
            result = run([wave(length, seed)])[0]
            keys = [key for key in stored if key.startswith(f"{kind}/{length}/")]
            assert len(keys) == len(result.states) + (result.codes is not None)
            for i, state in enumerate(result.states):
                expected = torch.from_numpy(stored[f"{kind}/{length}/{i}"])
                torch.testing.assert_close(state, expected, rtol=0, atol=1e-5)
                compared += state.numel()
            if result.codes is not None:
                assert (result.codes.numpy() == stored[f"{kind}/{length}/codes"]).all()
    assert compared > 900


@pytest.mark.parametrize("one_by_one", [None, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_gives_the_frames_of_each_clip_alone(
    load: Callable[..., Any], kind: str, *, one_by_one: bool | None
) -> None:
    upstream = load(kind, layers=layers_of(kind))
    upstream.encoder.one_by_one = one_by_one  # False: as on a GPU
    clips = [voice(length, seed) for seed, length in enumerate(CLIPS)]
    with torch.inference_mode():
        single = [alone(upstream, clip) for clip in clips]
        batch = upstream.layers(*padded(clips))
    counts = [states.shape[1] for states in single]
    assert batch.lengths.tolist() == counts == [upstream.num_frames(n) for n in CLIPS]
    assert batch.states.shape[1:] == (upstream.num_layers, max(counts), upstream.dim)
    scale = torch.cat([states.flatten() for states in single]).pow(2).mean().sqrt()
    for row, states, count in zip(batch.states, single, counts, strict=True):
        assert float((row[:, :count] - states).abs().max()) < 1e-4 * scale
        assert not row[:, count:].any()


def gradients(upstream: torch.nn.Module) -> dict[str, Tensor]:
    found = {n: p.grad.clone() for n, p in upstream.named_parameters() if p.grad is not None}
    upstream.zero_grad()
    return found


@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_a_batch_are_those_of_its_clips(
    load: Callable[..., Any], kind: str, *, checkpointed: bool
) -> None:
    upstream = load(kind)
    for module in upstream.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        elif hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.0
    clips = [voice(length, seed) for seed, length in enumerate((300, 4_000, 9_999, 16_000))]
    weights = torch.randn(200, upstream.dim, generator=torch.Generator().manual_seed(3))
    upstream.train()
    for clip in clips:
        states = alone(upstream, clip)[0]
        (states * weights[: len(states)]).sum().backward()
    expected = gradients(upstream)
    if checkpointed:
        upstream.checkpoint_gradients()
        upstream.encoder.one_by_one = False
    batch = upstream(*padded(clips))
    sum((batch.frames * weights[: batch.frames.shape[1]]).sum(dim=(1, 2))).backward()
    found = gradients(upstream)
    # what can be trained is trained: a weight without a gradient would stall several GPUs
    assert found.keys() == {n for n, p in upstream.named_parameters() if p.requires_grad}
    assert found.keys() == expected.keys()
    assert len(found) > 8
    largest = max(float(value.abs().max()) for value in expected.values())
    for name, value in expected.items():
        scale = max(float(value.abs().max()), 1e-4 * largest)
        assert float((found[name] - value).abs().max()) < 1e-3 * scale, name


@pytest.mark.parametrize("kind", ["wav2vec", "vq-wav2vec", "speech-bert"])
def test_times_and_lengths(load: Callable[..., Any], kind: str) -> None:
    """One frame each 10 ms, the first over the first 465 samples."""
    upstream = load(kind)
    assert (upstream.frame_stride, upstream.first_center, upstream.min_samples) == (160, 232.5, 465)
    assert [upstream.num_frames(n) for n in (1, 465, 624, 625, 16_000)] == [1, 1, 1, 2, 98]
    # a click moves the frames that see it and, the context looks back only, none before it
    if kind == "wav2vec":
        clip = voice(16_000)
        other = clip.clone()
        other[8_000:8_200] += 0.5
        upstream.train(False)
        for norm in upstream.modules():
            if isinstance(norm, torch.nn.GroupNorm):
                norm.forward = lambda values: values  # norms see the whole clip
        with torch.inference_mode():
            moved = (alone(upstream, clip) - alone(upstream, other)).abs().sum(dim=(0, 2)) > 0
        first = int(moved.nonzero()[0])
        assert first == -(-(8_000 - 464) // 160)


def test_zero_in_the_checkpoint_is_the_latent(load: Callable[..., Any]) -> None:
    upstream, quantized = load("wav2vec", layers="0"), load("vq-wav2vec", layers="0")
    assert len(upstream.encoder.context) == 0
    assert quantized.encoder.quantizer is None
    with pytest.raises(ValueError, match="no quantizer is kept"):
        quantized.codes(*padded([voice(900)]))
    both = load("vq-wav2vec", layers="0,1")
    with torch.inference_mode():
        batch = padded([voice(5_000), voice(900)])
        torch.testing.assert_close(
            both.layers(*batch).states[:, 0], quantized(*batch).frames, rtol=0, atol=1e-5
        )


def test_layers_of_several_widths(load: Callable[..., Any]) -> None:
    kind = "wav2vec, every other setting"
    assert load(kind, layers="0").dim == 16
    assert load(kind, layers="2,3").dim == 10
    with pytest.raises(ConfigError, match="layers of one width, got 'all', with 10, 16 values"):
        load(kind, layers="all")


@pytest.mark.parametrize("kind", ["vq-wav2vec", "vq-wav2vec, codes by group"])
def test_codes_are_the_nearest_and_the_same_bits_in_any_batch(
    load: Callable[..., Any], kind: str
) -> None:
    upstream: VqWav2VecUpstream = load(kind, layers="1")
    clips = [voice(length, seed) for seed, length in enumerate((1, 4_000, 16_000, 9_999))]
    codes, counts = upstream.codes(*padded(clips))
    assert codes.shape == (4, 98, 2)
    assert counts.tolist() == [upstream.num_frames(len(clip)) for clip in clips]
    batch = upstream(*padded(clips)).frames
    book = upstream.encoder.quantizer.codebook
    for clip, row, frames, count in zip(clips, codes, batch, counts.tolist(), strict=True):
        assert (row[count:] == -1).all()
        single, _ = upstream.codes(clip[None], torch.tensor([len(clip)]))
        assert (single[0] == row[:count]).all()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            again, _ = upstream.codes(clip[None], torch.tensor([len(clip)]))
        assert (again == single).all()
        parts = [book[row[:count, g], min(g, book.shape[1] - 1)] for g in (0, 1)]
        assert torch.equal(frames[:count], torch.cat(parts, dim=-1))
    # the nearest, by a loop
    encoder = upstream.encoder
    with torch.no_grad():
        latent, _ = encoder.convolve([clips[1]])
        projected = encoder.quantizer.norm(encoder.quantizer.projection(latent))[0].T
    for vector, pair in zip(projected, codes[1], strict=False):
        for group, code in enumerate(pair.tolist()):
            part = vector[6 * group : 6 * group + 6].double()
            entries = book[:, min(group, book.shape[1] - 1)].double()
            assert int((entries - part).pow(2).sum(dim=1).argmin()) == code
    assert len(codes[1, : counts[1]].unique()) > 5


def test_the_gradient_passes_the_quantizer(load: Callable[..., Any]) -> None:
    """As if nothing were rounded: that of the projected frames."""
    upstream: VqWav2VecUpstream = load("vq-wav2vec", layers="1")
    batch = padded([voice(4_000)])
    weights = torch.randn(upstream.num_frames(4_000), upstream.dim)
    (upstream(*batch).frames * weights).sum().backward()
    found = gradients(upstream)
    quantizer = upstream.encoder.quantizer
    latent, _ = upstream.encoder.convolve([batch[0][0]])
    (quantizer.norm(quantizer.projection(latent))[0].T * weights).sum().backward()
    for name, value in gradients(upstream).items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6)


def test_words_of_speech_bert(load: Callable[..., Any]) -> None:
    """``<s>``, the pair of each frame by its line in the dictionary, ``</s>``."""
    upstream: SpeechBertUpstream = load("speech-bert", keep_ends=True)
    clip = voice(16_000)
    codes = upstream.encoder.quantizer.codes(clip).tolist()
    words = upstream.bert_settings.words
    ids = upstream.encoder.prepare(clip).tolist()
    assert len(ids) == len(codes) + 2 == upstream.num_frames(16_000) == 100
    assert [words[i] for i in (ids[0], ids[-1])] == ["<s>", "</s>"]
    pairs = [f"{i}-{j}" for i, j in codes]
    assert [words[i] for i in ids[1:-1]] == [pair if pair in words else "<unk>" for pair in pairs]
    missing = sum(pair not in words for pair in pairs)
    assert upstream.count_unknown(*padded([clip, clip[:465]]))[0] == missing > 0


def test_the_ends_are_frames_before_and_after(load: Callable[..., Any]) -> None:
    bare, with_ends = load("speech-bert"), load("speech-bert", keep_ends=True)
    assert with_ends.first_center == bare.first_center - 160
    assert with_ends.num_frames(5_000) == bare.num_frames(5_000) + 2
    assert with_ends.fingerprint() != bare.fingerprint()
    clip = voice(5_000)
    with torch.inference_mode():
        torch.testing.assert_close(
            alone(with_ends, clip)[:, 1:-1], alone(bare, clip), rtol=0, atol=0
        )


@pytest.mark.parametrize("keep_ends", [False, True])
def test_a_clip_beyond_the_positions_is_computed_in_pieces(
    load: Callable[..., Any], *, keep_ends: bool
) -> None:
    upstream: SpeechBertUpstream = load("speech-bert", keep_ends=keep_ends, chunk_overlap_s=0.5)
    longest = upstream.max_samples
    assert longest is not None
    assert upstream.num_frames(longest) == 148
    assert upstream.num_frames(longest + 1) == 149
    clip = voice(39_000)
    with torch.inference_mode():
        states = alone(upstream, clip)[0]
        ids = upstream.encoder.prepare(clip)
        assert len(states) == len(ids) == upstream.num_frames(39_000) == 241 + 2 * keep_ends
        # two pieces, each as if it were all there is; half of the overlap is the first one's
        first, _ = upstream.encoder([ids[:148]], upstream.choice.indices)
        last, _ = upstream.encoder([ids[-148:]], upstream.choice.indices)
        kept = len(ids) // 2
        expected = torch.cat([first[0, 0, :kept], last[0, 0, kept - len(ids) :]])
        torch.testing.assert_close(states, expected, rtol=0, atol=1e-5)
        # and beside others
        batch = upstream(*padded([voice(900), clip, voice(longest)]))
        torch.testing.assert_close(batch.frames[1], states, rtol=0, atol=1e-5)


def test_waveforms_in_pieces_where_asked_for(load: Callable[..., Any]) -> None:
    assert load("wav2vec").max_samples is None
    upstream = load("wav2vec", chunk_s=0.5, chunk_overlap_s=0.1)
    clip = voice(20_000)
    with torch.inference_mode():
        states = alone(upstream, clip)
        whole = alone(load("wav2vec"), clip)
        piece = alone(load("wav2vec"), clip[: 49 * 160 + 465])
    assert states.shape == whole.shape
    torch.testing.assert_close(states[:, :40], piece[:, :40], rtol=0, atol=1e-5)
    with pytest.raises(ConfigError, match=r"chunk_overlap_s: expected between 0 and less than"):
        load("wav2vec", chunk_s=0.5, chunk_overlap_s=0.5)


@pytest.mark.parametrize("kind", ["wav2vec", "vq-wav2vec", "speech-bert, norm first"])
def test_built_again_from_plain_data(load: Callable[..., Any], kind: str) -> None:
    upstream = load(kind, layers="0,1")
    if kind.startswith("speech"):
        records = [asdict(upstream.quantizer_settings), asdict(upstream.bert_settings)]
        first, second = json.loads(json.dumps(records))
        again: Any = SpeechBertUpstream(VqSettings(**first), BertSettings(**second), layers="0,1")
    else:
        record = json.loads(json.dumps(asdict(upstream.settings)))
        if kind == "wav2vec":
            again = Wav2VecUpstream(ConvSettings(**record), layers="0,1")
        else:
            again = VqWav2VecUpstream(VqSettings(**record), layers="0,1")
    again.load_state_dict(upstream.state_dict())
    batch = padded([voice(5_000), voice(1_000)])
    with torch.inference_mode():
        expected, found = upstream.layers(*batch), again.layers(*batch)
    torch.testing.assert_close(found.states, expected.states, rtol=0, atol=0)
    assert again.fingerprint() == upstream.fingerprint()
    with pytest.raises(ValueError, match="built from a checkpoint"):
        again.facts()
    with torch.no_grad():
        next(iter(again.parameters())).add_(1.0)
    assert again.fingerprint() != upstream.fingerprint()


@pytest.mark.parametrize("kind", ["wav2vec", "vq-wav2vec", "speech-bert"])
def test_frozen_stays_as_it_is(load: Callable[..., Any], kind: str) -> None:
    upstream = load(kind)
    upstream.freeze()
    upstream.train()
    assert not upstream.training
    assert not upstream(*padded([voice(2_000)])).frames.requires_grad
    front = load(kind)
    front.freeze_feature_encoder()
    front.train()
    front(*padded([voice(2_000)])).frames.sum().backward()
    frozen = {n.split(".")[1] for n, p in front.named_parameters() if p.grad is None}
    assert frozen == {"quantizer" if kind == "speech-bert" else "front_end"}


OLD_NAMES: dict[str, Callable[[dict[str, Tensor]], dict[str, Tensor]]] = {
    "decoder": lambda w: {n.replace("encoder.", "decoder.", 1): v for n, v in w.items()},
    "emb_layer_norm": lambda w: {
        n.replace("layernorm_embedding", "emb_layer_norm"): v for n, v in w.items()
    },
    "no version": lambda w: {n: v for n, v in w.items() if not n.endswith(".version")},
    "in_proj": lambda w: joined(w),
}


def joined(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Query, key and value in one tensor, as fairseq had them until late in 2019."""
    found = dict(weights)
    for name in weights:
        if ".q_proj." in name:
            parts = [found.pop(name.replace("q_proj", f"{p}_proj")) for p in "qkv"]
            found[name.replace("q_proj.", "in_proj_")] = torch.cat(parts)
    return found


@pytest.mark.parametrize("names", OLD_NAMES)
def test_names_of_older_versions(load: Callable[..., Any], tmp_path: Path, names: str) -> None:
    expected = load("speech-bert").fingerprint()
    folder = save_speech_bert(tmp_path / "model")
    path = folder / "vq_wav2vec_kmeans_roberta.pt"
    found = torch.load(path, weights_only=False)
    before = found["model_weight"]
    found["model_weight"] = OLD_NAMES[names](before)
    assert found["model_weight"].keys() != before.keys()
    torch.save(found, path)
    assert load_speech_bert(name=str(folder)).fingerprint() == expected


@pytest.mark.parametrize("level", ["autocast", "float64"])
def test_precision_around_it(load: Callable[..., Any], level: str) -> None:
    """Autocast changes frames by rounding, and no code; the waveform may be of double precision."""
    upstream, (waveform, lengths) = load("speech-bert"), padded([voice(16_000), voice(2_000)], 0.0)
    with torch.inference_mode():
        expected = upstream(waveform, lengths).frames
        if level == "float64":
            frames = upstream(waveform.double(), lengths).frames
            torch.testing.assert_close(frames, expected, rtol=0, atol=1e-6)
        else:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                frames = upstream(waveform, lengths).frames.float()
            assert 0 < float((frames - expected).pow(2).mean().sqrt()) < 0.1
