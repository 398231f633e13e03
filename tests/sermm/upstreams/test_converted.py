"""Converted checkpoints: what is read is what was stored, and nothing in a file is run."""

from __future__ import annotations

import argparse
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.tiny_converted import (
    BERT,
    CONVOLUTIONS,
    QUANTIZER,
    WAV2VEC,
    save_bert,
    save_convolutions,
    save_speech_bert,
)
from data_modules.errors import ModelError
from sermm.upstreams import SpeechUpstream, build_speech_upstream, converted
from sermm.upstreams.converted import parse_layers
from sermm.upstreams.speech_bert import load_speech_bert
from sermm.upstreams.vq_wav2vec import load_vq_wav2vec
from sermm.upstreams.wav2vec import load_wav2vec
from tests.sermm.upstreams.speech_models import padded, voice

LOADERS: dict[str, Callable[..., SpeechUpstream]] = {
    "wav2vec": load_wav2vec,
    "vq_wav2vec": load_vq_wav2vec,
    "speech_bert": load_speech_bert,
}
FILES = {"wav2vec": WAV2VEC, "vq_wav2vec": QUANTIZER, "speech_bert": BERT}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all three files under their published names; not to be written to."""
    folder = save_speech_bert(tmp_path_factory.mktemp("published"))
    save_convolutions(folder / WAV2VEC, "wav2vec")
    return folder


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return shutil.copytree(published, tmp_path / "model")


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    found = torch.load(path, weights_only=False)
    change(found)
    torch.save(found, path)


def frames_of(upstream: SpeechUpstream) -> torch.Tensor:
    with torch.inference_mode():
        frames: torch.Tensor = upstream(*padded([voice(5_000)])).frames
    return frames


@pytest.mark.parametrize("name", LOADERS)
def test_from_a_folder_a_file_and_the_hub(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(converted, "_COMMITS", {})
    commits = "1" * 40, "2" * 40
    repository = tmp_path / "models--org--converted"
    for commit in commits:
        shutil.copytree(published, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commits[0])
    first = build_speech_upstream(name, name=str(published))
    for other, revision, commit in (
        (str(published / FILES[name]), None, None),
        ("org/converted", None, commits[0]),
        ("org/converted", commits[1], commits[1]),
    ):
        upstream: Any = LOADERS[name](name=other, revision=revision)
        assert upstream.fingerprint() == first.fingerprint()
        facts = upstream.facts()
        assert (facts["name"], facts["revision"], facts["commit"]) == (other, revision, commit)
        assert facts["weights_sha256"] == upstream.options()["weights_sha256"]
    # the branch moves on while the process runs: both files of a model are of one commit
    (repository / "refs" / "main").write_text(commits[1])
    assert LOADERS[name](name="org/converted").facts()["commit"] == commits[0]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", LOADERS)
def test_a_file_name_is_no_pattern(name: str, folder: Path) -> None:
    plain: Any = LOADERS[name](name=str(folder / FILES[name]))
    odd = folder / FILES[name].replace(".pt", "[best].pt")
    (folder / FILES[name]).rename(odd)
    renamed: Any = LOADERS[name](name=str(odd))
    assert renamed.facts()["sha256"] == plain.facts()["sha256"]


@pytest.mark.parametrize("name", LOADERS)
def test_half_precision_is_read_as_single(folder: Path, name: str) -> None:
    def halve(found: dict[str, Any]) -> None:
        found["model_weight"] = {k: v.half() for k, v in found["model_weight"].items()}

    edit(folder / FILES[name], halve)
    upstream = LOADERS[name](name=str(folder))
    assert {value.dtype for value in upstream.state_dict().values()} == {torch.float32}
    assert frames_of(upstream).isfinite().all()


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize("change", ["missing", "more", "shape", "not a tensor"])
def test_weights_that_do_not_fit(folder: Path, name: str, change: str) -> None:
    part = {
        "wav2vec": "feature_aggregator.conv_layers.1.3.bias",
        "vq_wav2vec": "vector_quantizer.projection.0.weight",
        "speech_bert": "encoder.sentence_encoder.layers.1.fc1.weight",
    }[name]

    def damage(found: dict[str, Any]) -> None:
        weights = found["model_weight"]
        if change == "missing":
            del weights[part]
        elif change == "more":
            weights[part.replace(".1.", ".7.").replace("projection.0", "other")] = weights[part]
        elif change == "shape":
            weights[part] = weights[part][1:]
        else:
            weights[part] = "text"

    edit(folder / FILES[name], damage)
    said = {
        "missing": r"model_cfg describes, got none for \S+ \(1 in all\)",
        "more": r"model_cfg describes, got also \S+ \(1 in all\)",
        "shape": r"other shapes of \S+ \(.*\) in place of \(.*\) \(1 in all\)",
        "not a tensor": "tensors alone in model_weight, got also",
    }[change]
    with pytest.raises(ModelError, match=said):
        LOADERS[name](name=str(folder))


class Malicious:
    """Runs a command wherever it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_cannot_run_anything(
    folder: Path, tmp_path: Path, name: str, *, zipped: bool
) -> None:
    trap = tmp_path / "trap"
    found = torch.load(folder / FILES[name], weights_only=False)
    found["task_cfg"] = Malicious(trap)
    torch.save(found, folder / FILES[name], _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match=r"a pickle that asks for \w+\.mkdir, which is not run"):
        LOADERS[name](name=str(folder))
    assert not trap.exists()
    # the same file with the ordinary loader would have
    torch.load(folder / FILES[name], weights_only=False)
    assert trap.exists()


def test_classes_are_let_in_for_the_time_of_reading_alone(published: Path) -> None:
    before = set(torch.serialization.get_safe_globals())  # torch's list has no order
    load_speech_bert(name=str(published))
    assert set(torch.serialization.get_safe_globals()) == before
    path = published.parent / "enum.pt"
    torch.save({"model_cfg": {"a": re.IGNORECASE}, "model_weight": {}}, path)
    with pytest.raises(ModelError, match=r"asks for \S+, which is not run"):
        load_wav2vec(name=str(path))


def write_text(path: Path) -> None:
    path.write_text("a text\n")


def write_half(path: Path) -> None:
    save_convolutions(path, "wav2vec")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def write_state(path: Path) -> None:
    torch.save({"args": argparse.Namespace(), "model": {}}, path)


def test_weights_that_were_loaded_under_inference_mode_have_the_same_hash(folder: Path) -> None:
    """Torch does not count writes to such tensors, so nothing may be remembered of them."""
    usual = load_wav2vec(name=str(folder))
    with torch.inference_mode():
        other = load_wav2vec(name=str(folder))
        assert next(other.encoder.parameters()).is_inference()
        assert other.fingerprint() == usual.fingerprint()
        next(other.encoder.parameters()).add_(1.0)
        assert other.fingerprint() != usual.fingerprint()


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (write_text, "a converted checkpoint, got"),
        (write_half, "a converted checkpoint, got"),
        (lambda path: path.touch(), "a converted checkpoint, got EOFError"),
        (lambda path: torch.save([1], path), "with model_cfg and model_weight, got list"),
        (write_state, "with model_cfg and model_weight, got args, model"),
        (lambda path: save_bert(path, "speech-bert"), "weights for exactly the model"),
        (lambda path: save_convolutions(path, "vq-wav2vec"), r"vq_type: .*, got 'kmeans'"),
    ],
)
def test_a_wrong_file_gives_one_line(
    tmp_path: Path, write: Callable[[Path], object], said: str
) -> None:
    path = tmp_path / "model.pt"
    write(path)
    with pytest.raises(ModelError, match=said) as error:
        load_wav2vec(name=str(path))
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_a_folder_without_the_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=rf"a file {WAV2VEC}, got none of this name"):
        load_wav2vec(name=str(tmp_path))
    save_bert(tmp_path / "any.pt", "speech-bert")
    with pytest.raises(ModelError, match=rf"a file {QUANTIZER}, got none of this name"):
        load_speech_bert(name=str(tmp_path / "any.pt"))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("conv_feature_layers", "__import__('os').mkdir('x')", "convolutions such as"),
        ("conv_feature_layers", "[(8, 10)]", "convolutions such as"),
        ("conv_aggregator_layers", "[(12, 3, 2)]", "strides of 1"),
        ("aggregator", "gru", "expected cnn, got 'gru'"),
        ("activation", "tanh", "relu or gelu"),
        ("residual_scale", "0.5", "a float, got '0.5'"),
        ("log_compression", 1, "a bool, got 1"),
        ("vq_type", "gumbel", "kmeans, got 'gumbel'"),
        ("vq_groups", 5, "a divisor of the 12 channels, got 5"),
        ("vq_dim", 8, "0 or the 12 channels"),
    ],
)
def test_settings_of_another_model(folder: Path, key: str, value: object, said: str) -> None:
    edit(
        folder / QUANTIZER, lambda found: found.update(model_cfg={**found["model_cfg"], key: value})
    )
    with pytest.raises(ModelError, match=rf"model_cfg\.{key}: .*{re.escape(said)}"):
        load_vq_wav2vec(name=str(folder))


def test_what_a_checkpoint_leaves_out_is_as_fairseq_has_it(folder: Path) -> None:
    def shorten(found: dict[str, Any]) -> None:
        # of these, the values written out are the defaults
        for key in ("log_compression", "skip_connections_agg", "residual_scale", "activation"):
            del found["model_cfg"][key]

    before = load_wav2vec(name=str(folder)).settings
    edit(folder / WAV2VEC, shorten)
    assert load_wav2vec(name=str(folder)).settings == before


def test_layers_as_the_published_models_write_them() -> None:
    assert parse_layers("[(512, 10, 5)] + [(512, 8, 4)] + [(512, 4, 2)] * 3") == (
        (512, 10, 5),
        (512, 8, 4),
        *((512, 4, 2),) * 3,
    )
    for kind in CONVOLUTIONS.values():
        text = kind["conv_aggregator_layers"]
        assert list(parse_layers(text)) == eval(text)  # as fairseq does


@given(st.lists(st.tuples(*[st.integers(1, 99)] * 3), min_size=1, max_size=5), st.integers(1, 9))
def test_layers_in_general(layers: list[tuple[int, int, int]], times: int) -> None:
    assert list(parse_layers(f"{layers} * {times} + {layers}")) == layers * times + layers


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "[(1, 2)]", "[(1, 2, 0)]", "[(1, 2, 3.0)]", "[(1, 2, True)]", "(1, 2, 3)"),
        *("x", "[x]", "[1", "[(1, 2, 3)] * 101", "[(1, 2, 3)] * 99 * 99", "[(1, 2, 3)] * -1"),
        "3 * [(1, 2, 3)]",
    ],
)
def test_texts_that_are_no_layers(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (the caller says what is wrong)
        parse_layers(text)
