"""Speech upstreams that are trained with the task, from waveforms to a checkpoint."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from benchmarks.tiny_converted import save_convolutions, save_speech_bert
from data_modules.errors import ConfigError
from data_modules.text import Tokenizer
from sermm.build_checkpoint import load_task
from sermm.build_data import build_data
from sermm.checkpoints import read_checkpoint
from sermm.compiler import expect_compiler
from sermm.compose import load_config
from sermm.extract_stage import warn_of_lengths
from sermm.stages import load_ready, make_selection
from sermm.upstreams.encoded import EncoderUpstream
from sermm.upstreams.huggingface import load_huggingface
from tests.sermm.upstreams.speech_models import Models
from tests.sermm.workplace import Workplace, probabilities, read_json, read_table


def tuned(upstream: str, name: Path, *more: str) -> tuple[str, ...]:
    return (
        f"model.speech.upstream={upstream}",
        f"model.speech.name={name}",
        "model.speech.frozen=false",
        "model.speech.normalise=none",
        "optim.epochs=1",
        *more,
    )


@pytest.fixture(scope="module")
def folders(models: Models, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small random model for each upstream that can be trained."""
    folder = tmp_path_factory.mktemp("trained")
    return {
        "huggingface": models.path("wav2vec2, group norm"),
        "wav2vec": save_convolutions(folder / "wav2vec_large.pt", "wav2vec"),
        "speech_bert": save_speech_bert(folder / "bert"),
    }


def no_model(*args: object, **rest: object) -> None:
    raise AssertionError("a checkpoint has all that it takes")


@pytest.mark.parametrize(
    ("upstream", "task", "more"),
    [
        ("huggingface", "acoustic", ("model.speech.layers=all", "model.speech.normalise=layer")),
        ("huggingface", "span", ("trainer.gradient_checkpointing=true",)),
        ("wav2vec", "acoustic", ("model.speech.freeze_front=false",)),
        ("speech_bert", "none", ("model.speech.keep_ends=true", "trainer.precision=bf16-mixed")),
    ],
)
def test_a_checkpoint_is_enough_to_predict(
    place: Workplace,
    monkeypatch: pytest.MonkeyPatch,
    folders: dict[str, Path],
    upstream: str,
    task: str,
    more: Sequence[str],
) -> None:
    stores = place.cache / "features"
    before = set(stores.iterdir()) if stores.is_dir() else set()
    folder = place.fit(task, *tuned(upstream, folders[upstream], *more))
    assert (set(stores.iterdir()) if stores.is_dir() else set()) == before, "nothing is cached"
    assert read_json(folder / "environment.json")["speech_model"]["name"] == str(folders[upstream])
    config = load_config(str(folder / "config.yaml"))
    prepared = load_ready(config)
    batches = list(
        build_data(config, prepared, make_selection(config, prepared)).module.test_dataloader()
    )
    for where in ("load", "train"):
        monkeypatch.setattr(Tokenizer, where, no_model)
    monkeypatch.setattr("sermm.features.build_speech_upstream", no_model)
    monkeypatch.chdir(folder.parent)
    model, _, facts = load_task(folder / "checkpoints" / "best.ckpt")
    assert facts.speech_model is not None
    assert facts.speech_model["name"] == upstream
    expected = probabilities(folder)
    half = "trainer.precision=bf16-mixed" in more
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
        for batch in batches:
            found = torch.softmax(model(batch).float(), dim=-1)
            for name, row in zip(batch.utterance_ids, found.tolist(), strict=True):
                assert row == pytest.approx(expected[name], abs=1e-6)


@pytest.mark.parametrize("freeze_front", [True, False])
def test_training_changes_what_is_not_frozen(
    place: Workplace, folders: dict[str, Path], freeze_front: bool
) -> None:
    settings = tuned(
        "huggingface",
        folders["huggingface"],
        f"model.speech.freeze_front={str(freeze_front).lower()}",
        "optim.weight_decay=0.1",
        "optim.warmup_share=0",
        "optim.epochs=2",
    )
    folder = place.fit("acoustic", *settings) / "checkpoints"
    start = Models(folders["huggingface"].parent).load("wav2vec2, group norm").state_dict()
    trained = read_checkpoint(folder / "last.ckpt")["state_dict"]
    prefix = "encoder.source.upstream."
    same = {
        name
        for name, value in start.items()
        if torch.equal(trained[prefix + name], value) and not name.endswith("k_proj.bias")
    }
    front = {name for name in start if "feature_extractor" in name}
    assert front
    assert same == (front if freeze_front else set())


@pytest.mark.parametrize(
    ("task", "more", "expected"),
    [
        ("acoustic", ("model.speech.normalise=train",), "model.speech.normalise: expected none or"),
        ("acoustic", ("model.speech.upstream=logmel",), "model.speech.upstream: expected hugg"),
        ("acoustic", ("model.speech.upstream=vq_wav2vec",), "model.speech.upstream: expected hugg"),
        ("linear", (), "model.task: expected acoustic or fusion with model.speech.frozen=false"),
        (
            "acoustic",
            ("trainer.compile=true", "model.speech.upstream=wav2vec"),
            "trainer.compile: expected false where no transformer",
        ),
        (
            "acoustic",
            ("trainer.compile=true", "model.speech.frozen=true"),
            "trainer.compile: expected false where no transformer",
        ),
        ("acoustic", ("model.speech.layers=0,9",), "model.speech.layers: expected last, mean, all"),
    ],
)
def test_what_cannot_be_trained(
    place: Workplace, folders: dict[str, Path], task: str, more: Sequence[str], expected: str
) -> None:
    said = place.sermm(
        "fit", *place.settings(task, *tuned("huggingface", folders["huggingface"], *more))
    )
    assert (said.status, said.out) == (2, "")
    assert expected in said.err
    assert said.err.count("\n") == 1


def test_long_utterances_are_left_out_of_training_and_listed(place: Workplace) -> None:
    folder = place.fit("linear", "data.max_seconds=0.3", "optim.epochs=1")
    metrics = read_json(folder / "metrics.json")
    listed = read_table(folder / "too_long.csv")
    assert 0 < len(listed) == 48 - metrics["num_train"]
    assert all(float(row["seconds"]) > 0.3 for row in listed)
    assert (metrics["num_val"], metrics["num_test"]) == (16, 16)
    assert metrics["notes"][0].startswith(f"{len(listed)} utterances longer than 0.3 s left out")
    said = place.sermm("fit", *place.settings("linear", "data.max_seconds=0.01"))
    assert said.status == 2
    assert "data.max_seconds: expected training utterances of fold 0" in said.err


def test_clips_that_are_filled_up_or_cut_into_pieces_are_counted(
    place: Workplace, folders: dict[str, Path]
) -> None:
    pieces = ("model.speech.chunk_s=0.3", "model.speech.chunk_overlap_s=0.1")
    settings = tuned("huggingface", folders["huggingface"], *pieces)
    said = place.sermm("fit", *place.settings("acoustic", *settings))
    assert said.status == 0
    told = " ".join(said.out.split())
    assert re.search(r"\d+ clips are longer than huggingface takes at once and are computed", told)
    assert "shorter than a window" not in told


def test_counts_of_clips_by_length(capsys: pytest.CaptureFixture[str], models: Models) -> None:
    upstream = models.load("wav2vec2, group norm", chunk_s=0.3, chunk_overlap_s=0.1)
    assert upstream.max_samples is not None
    fits = (upstream.min_samples, upstream.max_samples)
    warn_of_lengths(upstream, fits)
    assert capsys.readouterr().out == ""
    warn_of_lengths(upstream, (*fits, fits[0] - 1, fits[0] - 2, fits[1] + 1))
    told = " ".join(capsys.readouterr().out.split())
    assert "2 clips are shorter than a window" in told
    assert "1 clips are longer than huggingface takes at once" in told


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.* is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_a_compiled_encoder_is_trained_and_its_checkpoint_is_not_compiled(
    place: Workplace, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = []

    def by_the_tracer(upstream: EncoderUpstream) -> None:
        compiled.append(upstream)
        for layer in upstream.encoder.transformer_layers():
            layer.compile(dynamic=True, backend="eager")

    monkeypatch.setattr("sermm.build_speech.expect_compiler", compiled.append)
    monkeypatch.setattr(EncoderUpstream, "compile_layers", by_the_tracer)
    settings = tuned("huggingface", folders["huggingface"], "trainer.compile=true")
    folder = place.fit("acoustic", *settings)
    assert compiled[0] == "cpu"
    assert isinstance(compiled[1], EncoderUpstream)
    load_task(folder / "checkpoints" / "best.ckpt")
    assert len(compiled) == 2


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs g++")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.* is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_the_real_compiler_trains_and_leaves_the_frames_as_they_are(
    place: Workplace, folders: dict[str, Path]
) -> None:
    place.fit("acoustic", *tuned("huggingface", folders["huggingface"], "trainer.compile=true"))
    upstream = load_huggingface(name=str(folders["huggingface"])).eval()
    waveforms = torch.randn(3, 16_000, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([16_000, 9_000, 4_000])
    with torch.no_grad():
        plain = upstream(waveforms, lengths).frames
        upstream.compile_layers()
        compiled = upstream(waveforms, lengths).frames
    torch.testing.assert_close(compiled, plain, rtol=1e-4, atol=1e-5)


def test_no_compiler_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(function: object) -> object:
        def call(values: object) -> None:
            raise RuntimeError("No working C++ compiler found\nand more")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(ConfigError, match="compiler found; install") as caught:
        expect_compiler("cpu")
    assert caught.value.where == "trainer.compile"
