"""The frames of a clip are those of the clip alone, and those of transformers for it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks.tiny_models import SPEECH, save_speech_model, wav2vec2_bert
from data_modules.pretrained import quiet_transformers
from sermm.upstreams.architecture import FAMILIES
from sermm.upstreams.huggingface import HuggingFaceUpstream, load_huggingface
from tests.sermm.upstreams.speech_models import Models, padded, voice

# below the shortest, the shortest of the waveform families, one beside it, and up to 20 s
LENGTHS = (1, 150, 399, 400, 401, 559, 560, 719, 720, 5_000, 33_333, 31_999, 320_000)


def clips_of(lengths: tuple[int, ...] = LENGTHS) -> list[Tensor]:
    return [voice(length, seed) for seed, length in enumerate(lengths)]


def alone(upstream: HuggingFaceUpstream, clip: Tensor) -> Tensor:
    """``(K, F, D)``."""
    return upstream.layers(clip.unsqueeze(0), torch.tensor([len(clip)])).states[0]


def rms(values: list[Tensor]) -> float:
    return float(torch.cat([value.flatten() for value in values]).pow(2).mean().sqrt())


def test_every_family_is_here() -> None:
    assert {name.split(",")[0] for name in SPEECH} == set(FAMILIES)


@pytest.mark.parametrize("family", SPEECH)
def test_a_batch_gives_the_frames_of_each_clip_alone(models: Models, family: str) -> None:
    upstream, clips = models.load(family, layers="all"), clips_of()
    with torch.inference_mode():
        single = [alone(upstream, clip) for clip in clips]
        batch = upstream.layers(*padded(clips))
    assert batch.states.shape[:2] == (len(clips), 3)
    assert batch.states.shape[3] == upstream.dim
    counts = [states.shape[1] for states in single]
    assert batch.lengths.tolist() == counts == [upstream.num_frames(n) for n in LENGTHS]
    scale = rms(single)
    for row, states, count in zip(batch.states, single, counts, strict=True):
        assert float((row[:, :count] - states).abs().max()) < 1e-4 * scale
        assert not row[:, count:].any()


def called_alone(model: Any, extractor: Any, clip: Tensor) -> Tensor:
    """``(K, F, D)`` as transformers gives them; the last as the model hands it out."""
    encoder = model.encoder if model.config.model_type == "whisper" else model
    inputs = extractor(clip.numpy(), sampling_rate=16_000, return_tensors="pt")
    output = encoder(**inputs, output_hidden_states=True)
    return torch.cat([*output.hidden_states[:-1], output.last_hidden_state])


@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")  # its own WavLM
@pytest.mark.parametrize("family", SPEECH)
def test_a_clip_alone_is_what_transformers_makes_of_it(models: Models, family: str) -> None:
    from transformers import AutoFeatureExtractor, AutoModel

    upstream = models.load(family, layers="all")
    with quiet_transformers():
        model = AutoModel.from_pretrained(models.path(family)).eval()
        extractor = AutoFeatureExtractor.from_pretrained(models.path(family))
    with torch.inference_mode():
        # whole log-mel frames for wav2vec2-BERT, no more than a window for Whisper
        for clip in clips_of((720, 5_040, 31_600)):
            states = alone(upstream, clip)
            expected = called_alone(model, extractor, clip)[:, : states.shape[1]]
            # Kaldi's spectrum in single precision against numpy's in double
            tolerance = 5e-4 if family == "wav2vec2-bert" else 5e-5
            torch.testing.assert_close(states, expected, rtol=0, atol=tolerance)


def gradients(upstream: nn.Module) -> dict[str, Tensor]:
    found = {
        name: parameter.grad.clone()
        for name, parameter in upstream.named_parameters()
        if parameter.grad is not None
    }
    upstream.zero_grad()
    return found


def loss_of(states: Tensor, lengths: list[int]) -> Tensor:
    """A sum over the real frames that weighs every value differently."""
    weights = torch.randn(states.shape[-2:], generator=torch.Generator().manual_seed(3))
    sums = [
        (row[:, :count] * weights[:count]).sum() for row, count in zip(states, lengths, strict=True)
    ]
    return torch.stack(sums).sum()


@pytest.mark.parametrize("family", SPEECH)
def test_gradients_of_a_batch_are_those_of_its_clips(models: Models, family: str) -> None:
    upstream, clips = models.load(family), clips_of((600, 4_000, 9_999, 24_000))
    for clip in clips:
        states = alone(upstream, clip)
        loss_of(states[None], [states.shape[1]]).backward()
    expected = gradients(upstream)
    batch = upstream.layers(*padded(clips))
    loss_of(batch.states, batch.lengths.tolist()).backward()
    found = gradients(upstream)
    # positions of Whisper are fixed; all else is trained
    untrained = {name for name, p in upstream.named_parameters() if not p.requires_grad}
    assert {name for name, _ in upstream.named_parameters()} - untrained == found.keys()
    assert len(found) > 20
    largest = max(float(value.abs().max()) for value in expected.values())
    for name, value in expected.items():
        # the bias of keys has no gradient but rounding: what counts is the scale of all
        scale = max(float(value.abs().max()), 1e-4 * largest)
        assert float((found[name] - value).abs().max()) < 1e-3 * scale, name


@pytest.mark.parametrize(
    "settings",
    [
        {"position_embeddings_type": "relative"},
        {"position_embeddings_type": "rotary"},
        {"position_embeddings_type": None},
        {"add_adapter": True},
        {"add_adapter": True, "use_intermediate_ffn_before_adapter": True},
    ],
)
def test_other_conformers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    from transformers import AutoFeatureExtractor, AutoModel

    monkeypatch.setitem(SPEECH, "wav2vec2-bert", lambda: wav2vec2_bert(**settings))
    folder = save_speech_model("wav2vec2-bert", tmp_path)
    upstream, clips = load_huggingface(name=str(folder)), clips_of((5_040, 720, 33_360))
    with quiet_transformers():
        model = AutoModel.from_pretrained(folder).eval()
        extractor = AutoFeatureExtractor.from_pretrained(folder)
    model.adapter = model.intermediate_ffn = None  # frames are those before it
    with torch.inference_mode():
        batch = upstream(*padded(clips))
        for clip, row, count in zip(clips, batch.frames, batch.lengths, strict=True):
            torch.testing.assert_close(row[:count], alone(upstream, clip)[0], rtol=0, atol=5e-5)
            inputs = extractor(clip.numpy(), sampling_rate=16_000, return_tensors="pt")
            expected = model(**inputs).last_hidden_state[0, :count]
            torch.testing.assert_close(row[:count], expected, rtol=0, atol=5e-4)
    again = HuggingFaceUpstream(upstream.architecture)
    again.load_state_dict(upstream.state_dict())


@pytest.mark.parametrize("family", ["wav2vec2, group norm", "wavlm, layer norm", "wav2vec2-bert"])
def test_threads_may_share_an_upstream(models: Models, family: str) -> None:
    upstream = models.load(family)
    batches = [padded(clips_of((4_000 + 977 * i, 9_000))) for i in range(12)]

    def compute(batch: tuple[Tensor, Tensor]) -> Tensor:
        with torch.inference_mode():
            frames: Tensor = upstream(*batch).frames
        return frames

    expected = [compute(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        for frames, again in zip(expected, pool.map(compute, batches), strict=True):
            torch.testing.assert_close(frames, again, rtol=0, atol=1e-5)


def test_half_precision_by_autocast(models: Models) -> None:
    for family in ("wav2vec2, group norm", "wavlm, group norm", "wav2vec2-bert", "whisper"):
        upstream, batch = models.load(family), padded(clips_of((5_000, 16_000)))
        with torch.inference_mode():
            expected = upstream(*batch).frames
            with torch.autocast("cpu", dtype=torch.bfloat16):
                frames = upstream(*batch).frames
        assert frames.dtype == torch.float32
        assert 0 < float((frames - expected).pow(2).mean().sqrt()) < 0.1
