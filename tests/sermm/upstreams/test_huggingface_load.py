"""What is loaded is what was stored, and a record says which weights they were."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from benchmarks.tiny_models import SPEECH, save_text_model
from data_modules.errors import ConfigError, ModelError
from sermm.upstreams import build_speech_upstream, options_of, pretrained
from sermm.upstreams.architecture import Architecture
from sermm.upstreams.huggingface import HuggingFaceUpstream, load_huggingface
from sermm.upstreams.text import load_text_model, text_model_facts
from tests.sermm.upstreams.speech_models import Models, edit_weights, padded, voice

FAMILY = "wav2vec2, group norm"
CONV = "encoder.pos_conv_embed.conv."
NEW = (f"{CONV}parametrizations.weight.original0", f"{CONV}parametrizations.weight.original1")
OLD = (f"{CONV}weight_g", f"{CONV}weight_v")


@pytest.fixture
def folder(models: Models, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return shutil.copytree(models.path(FAMILY), tmp_path / "model")


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def load(folder: Path, **options: Any) -> HuggingFaceUpstream:
    return load_huggingface(name=str(folder), **options)


def frames_of(upstream: HuggingFaceUpstream) -> Tensor:
    with torch.inference_mode():
        frames: Tensor = upstream(*padded([voice(5_000)])).frames
    return frames


def rename(names: dict[str, str]) -> Callable[[dict[str, Tensor]], None]:
    def change(tensors: dict[str, Tensor]) -> None:
        for old, new in names.items():
            tensors[new] = tensors.pop(old)

    return change


@pytest.mark.parametrize("family", SPEECH)
def test_every_weight_is_that_of_the_folder(models: Models, family: str) -> None:
    upstream = models.load(family)
    stored = load_file(models.path(family) / "model.safetensors")
    found = upstream.encoder.state_dict()
    # of Whisper the encoder alone; the vector of SpecAugment is used by none
    prefix = "encoder." if family == "whisper" else ""
    assert len(found) > 30
    assert {f"{prefix}{name.removeprefix('model.')}" for name in found} == {
        name for name in stored if name.startswith(prefix) and name != "masked_spec_embed"
    }
    for name, value in found.items():
        expected = stored[prefix + name.removeprefix("model.")]
        torch.testing.assert_close(value, expected, rtol=0, atol=0)


@pytest.mark.parametrize("names", [NEW, OLD], ids=["parametrized", "weight_g and weight_v"])
def test_the_position_convolution_is_the_stored_one(folder: Path, names: tuple[str, str]) -> None:
    """Two namings of a weight norm: with the wrong one it would be drawn anew."""
    edit_weights(folder, rename(dict(zip(NEW, names, strict=True))))
    stored = load_file(folder / "model.safetensors")
    scale, direction = stored[names[0]], stored[names[1]]
    expected = scale * direction / direction.norm(dim=(0, 1), keepdim=True)
    conv: Any = load(folder).encoder.model.encoder.pos_conv_embed.conv  # type: ignore[union-attr]
    torch.testing.assert_close(conv.weight, expected)


def test_half_precision_is_loaded_in_full(folder: Path) -> None:
    expected = frames_of(load(folder))
    edit_weights(folder, lambda t: t.update({k: v.half() for k, v in t.items()}))
    edit_json(folder / "config.json", dtype="float16")
    upstream = load(folder)
    assert {parameter.dtype for parameter in upstream.parameters()} == {torch.float32}
    torch.testing.assert_close(frames_of(upstream), expected, rtol=0, atol=0.02)


def test_a_model_with_a_head_lends_its_encoder(folder: Path) -> None:
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

    config = Wav2Vec2Config.from_pretrained(folder)
    config.vocab_size = 9
    Wav2Vec2ForCTC(config).save_pretrained(folder)
    stored = load_file(folder / "model.safetensors")
    assert "lm_head.weight" in stored
    norm: Any = load(folder).encoder.model.encoder.layer_norm  # type: ignore[union-attr]
    torch.testing.assert_close(norm.weight, stored["wav2vec2.encoder.layer_norm.weight"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop(NEW[0]), r"none for encoder\.pos_conv_embed.*original0 \(1 in all\)"),
        (lambda t: t.pop("encoder.layers.1.layer_norm.bias"), r"none for encoder\.layers\.1"),
        (
            lambda t: t.update({"encoder.layers.2.layer_norm.bias": torch.zeros(32)}),
            r"no weights beside those of the encoder, got also encoder\.layers\.2",
        ),
        (
            lambda t: t.update({"wav2vec2.quantizer.codes": torch.zeros(3)}),
            r"got also wav2vec2\.quantizer",
        ),
        (
            lambda t: t.update({"encoder.layer_norm.bias": torch.zeros(5)}),
            "expected a checkpoint that transformers can read",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    folder: Path, change: Callable[[dict[str, Tensor]], object], message: str
) -> None:
    edit_weights(folder, change)
    with pytest.raises(ModelError, match=message) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_the_older_format_is_read_without_running_it(folder: Path) -> None:
    expected = frames_of(load(folder))
    tensors = load_file(folder / "model.safetensors")
    torch.save(tensors, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    torch.testing.assert_close(frames_of(load(folder)), expected, rtol=0, atol=0)

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (folder / "sprung").touch, ()

    torch.save({**tensors, "trap": Trap()}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="expected a checkpoint that transformers can read"):
        load(folder)
    assert not (folder / "sprung").exists()


def test_safetensors_come_first(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"no weights at all")
    load(folder)


def test_what_is_no_speech_encoder(tmp_path: Path) -> None:
    folder = save_text_model("bert", tmp_path)
    with pytest.raises(ModelError, match=r"a speech encoder: wav2vec2, .*, got bert"):
        load(folder)


def test_settings_that_do_not_fit(models: Models, folder: Path, tmp_path: Path) -> None:
    path = folder / "preprocessor_config.json"
    edit_json(path, sampling_rate=8_000)
    with pytest.raises(ModelError, match="with sampling_rate 16000, got 8000"):
        load(folder)
    path.unlink()
    with pytest.raises(ModelError, match="whether waveforms are normalised, got none"):
        load(folder)
    bert = shutil.copytree(models.path("wav2vec2-bert"), tmp_path / "bert")
    edit_json(bert / "preprocessor_config.json", num_mel_bins=40)
    with pytest.raises(ModelError, match="values in a frame 160, got 80"):
        load(bert)
    whisper = shutil.copytree(models.path("whisper"), tmp_path / "whisper")
    edit_json(whisper / "preprocessor_config.json", chunk_length=30)
    with pytest.raises(ModelError, match="samples in a window 32000, got 480000"):
        load(whisper)


def test_nowhere_to_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"model\.speech\.name=org/model-of-nobody"):
        load_huggingface(name="org/model-of-nobody")


def test_built_by_name(models: Models) -> None:
    assert options_of("huggingface")[:3] == ("name", "revision", "layers")
    upstream = build_speech_upstream("huggingface", name=str(models.path(FAMILY)), layers="1")
    assert (upstream.name, upstream.dim, upstream.num_layers) == ("huggingface", 32, 1)
    with pytest.raises(ConfigError, match=r"model\.speech\.name: expected a value, which hugg"):
        build_speech_upstream("huggingface")
    with pytest.raises(ConfigError, match=r"model\.speech\.num_bands: .*an option of huggingface"):
        build_speech_upstream("huggingface", name="x", num_bands=3)
    with pytest.raises(ConfigError, match="logmel_lld, huggingface"):
        build_speech_upstream("hugingface")


def test_the_fingerprint_is_of_content_alone(folder: Path, tmp_path: Path) -> None:
    first = load(folder).fingerprint()
    assert load(shutil.copytree(folder, tmp_path / "elsewhere")).fingerprint() == first
    others = [
        load(folder, **options).fingerprint()
        for options in ({"layers": "1"}, {"layers": "all"}, {"layers": "mean"}, {"chunk_s": 9.0})
    ]
    edit_json(folder / "preprocessor_config.json", do_normalize=False)
    others.append(load(folder).fingerprint())
    edit_json(folder / "preprocessor_config.json", do_normalize=True)
    edit_json(folder / "config.json", layer_norm_eps=1e-3)
    others.append(load(folder).fingerprint())
    edit_json(folder / "config.json", layer_norm_eps=1e-5)
    assert load(folder).fingerprint() == first
    edit_weights(folder, lambda t: t["encoder.layer_norm.bias"].add_(1e-6))
    others.append(load(folder).fingerprint())
    assert len({first, *others}) == 8


def test_the_hash_follows_the_weights(folder: Path) -> None:
    upstream, state = load(folder), load(folder).state_dict()
    before = upstream.options()
    assert before == load(folder).options()
    json.dumps(dict(before))
    with torch.no_grad():
        next(upstream.parameters()).add_(1.0)
    assert upstream.options()["weights_sha256"] != before["weights_sha256"]
    upstream.load_state_dict(state)
    assert upstream.options() == before
    with torch.inference_mode():
        moved = load(folder).requires_grad_(False)
        assert moved.options() == before
        next(moved.parameters()).add_(1.0)
        assert moved.options() != before


def test_a_vector_that_is_not_used_is_not_hashed(models: Models, tmp_path: Path) -> None:
    """It is missing from published checkpoints, and would be drawn anew at each loading."""
    folder = shutil.copytree(models.path("unispeech-sat, group norm"), tmp_path / "model")
    before = load(folder).fingerprint()
    edit_weights(folder, lambda tensors: tensors.pop("masked_spec_embed"))
    assert load(folder).fingerprint() == before == load(folder).fingerprint()


def test_facts_of_a_folder(folder: Path) -> None:
    upstream = load(folder)
    facts = upstream.facts()
    assert facts.keys() == {"name", "revision", "commit", "sha256", "weights_sha256"}
    assert (facts["name"], facts["revision"], facts["commit"]) == (str(folder), None, None)
    assert facts["weights_sha256"] == upstream.options()["weights_sha256"]
    edit_weights(folder, lambda t: t["encoder.layer_norm.bias"].add_(1.0))
    later = load(folder).facts()
    assert later["sha256"] != facts["sha256"]
    assert later["weights_sha256"] != facts["weights_sha256"]


def put_into_hub_cache(cache: Path, name: str, commit: str, folder: Path) -> None:
    """As a download leaves it, with the main branch at this commit."""
    repository = cache / f"models--{name.replace('/', '--')}"
    shutil.copytree(folder, repository / "snapshots" / commit)
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs" / "main").write_text(commit)


def test_a_hub_id_is_recorded_with_its_commit(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(pretrained, "_COMMITS", {})
    first, second = "1" * 40, "2" * 40
    put_into_hub_cache(tmp_path / "hub", "org/speech", first, models.path(FAMILY))
    put_into_hub_cache(
        tmp_path / "hub", "org/text", first, save_text_model("bert", tmp_path / "text")
    )
    assert load_huggingface(name="org/speech").facts()["commit"] == first
    assert text_model_facts("org/text")["commit"] == first
    # the branch moves on while the process runs: what is loaded is what was recorded
    changed = shutil.copytree(models.path(FAMILY), tmp_path / "changed")
    edit_weights(changed, lambda t: t["encoder.layer_norm.bias"].add_(1.0))
    put_into_hub_cache(tmp_path / "hub", "org/speech", second, changed)
    again = load_huggingface(name="org/speech")
    assert again.facts()["commit"] == first
    assert again.fingerprint() == models.load(FAMILY).fingerprint()
    # a commit that is asked for is the one that is used
    other = load_huggingface(name="org/speech", revision=second)
    assert (other.facts()["revision"], other.facts()["commit"]) == (second, second)
    assert other.fingerprint() != again.fingerprint()
    # and another process starts where the branch is
    monkeypatch.setattr(pretrained, "_COMMITS", {})
    assert load_huggingface(name="org/speech").facts()["commit"] == second
    load_text_model("org/text")


@pytest.mark.parametrize("family", SPEECH)
def test_built_again_from_plain_data(models: Models, family: str) -> None:
    upstream = models.load(family, layers="0,1")
    record = json.loads(json.dumps(asdict(upstream.architecture)))
    again = HuggingFaceUpstream(Architecture(**record), layers="0,1")
    again.load_state_dict(upstream.state_dict())
    batch = padded([voice(5_000), voice(1_000)])
    with torch.inference_mode():
        expected, found = upstream.layers(*batch), again.layers(*batch)
    torch.testing.assert_close(found.states, expected.states, rtol=0, atol=0)
    assert again.options() == upstream.options()
    with pytest.raises(ValueError, match="built from a checkpoint"):
        again.facts()
