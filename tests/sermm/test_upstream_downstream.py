"""SUPERB's recipe and Morais' systems with small random encoders: each trains, and stages fit."""

from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from benchmarks.tiny_models import save_speech_model
from sermm.build_checkpoint import load_task
from sermm.compose import experiment_names, load_config
from sermm.features import speech_upstream
from sermm.nn.speech_input import CachedFrames
from sermm.tasks.acoustic import AcousticTask
from tests.sermm.workplace import Workplace, read_json

SMALL = (
    "trainer.accelerator=cpu",
    "tracking.wandb=disabled",
    "data.allow_failed_checks=true",
    "model.ecapa.channels=[8,8,8,12]",
    "model.ecapa.kernels=[3,3,3,1]",
    "model.ecapa.dilations=[1,2,3,1]",
    "model.ecapa.scale=4",
    "model.ecapa.embedding=6",
    "optim.steps=2",
    "optim.val_every_steps=1",
)
WAV2VEC2, HUBERT = "morais_wav2vec2_tuned_iemocap", "morais_hubert_tuned_iemocap"
BERT = "morais_bert_tuned_iemocap"
# what needs which stages first, by what they tune
CHAINS = {
    "wav2vec2": (
        [WAV2VEC2],
        ["morais_wav2vec2_mean_averaged_iemocap", "morais_wav2vec2_ecapa_iemocap"],
    ),
    "hubert": ([HUBERT], ["morais_hubert_mean_averaged_iemocap", "morais_hubert_ecapa_iemocap"]),
    "both": (
        [WAV2VEC2, HUBERT],
        ["morais_early_fusion_iemocap", "morais_late_fusion_iemocap"],
    ),
    "bert": ([BERT], ["morais_bert_ecapa_iemocap", "morais_fbank_bert_fusion_iemocap"]),
}
ALONE = [
    "superb_iemocap",
    "morais_wav2vec2_mean_iemocap",
    "morais_hubert_mean_iemocap",
    "morais_fbank_ecapa_iemocap",
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "wav2vec2": save_speech_model("wav2vec2, layer norm", folder / "wav2vec2"),
        "hubert": save_speech_model("hubert, group norm", folder / "hubert"),
    }


def settings(place: Workplace, models: dict[str, Path], name: str, *more: str) -> list[str]:
    config = load_config(name)
    found = [f"data.root={place.release}", f"data.cache={place.cache}", *SMALL]
    if config.model.speech.upstream == "huggingface":
        which = "hubert" if "hubert" in config.model.speech.name else "wav2vec2"
        found.append(f"model.speech.name={models[which]}")
    if config.model.text.name.startswith("google"):
        found += ["model.text.name=scratch", "model.text.hidden=16", "model.text.vocab_size=200"]
    return [name, *found, *more]


def fit(place: Workplace, models: dict[str, Path], name: str, *more: str) -> Path:
    said = place.sermm("fit", *settings(place, models, name, *more))
    assert (said.status, said.err) == (0, ""), said
    fold = next((text for text in more if text.startswith("fold=")), "fold=0")
    return place.folder / "runs" / name / f"{fold},seed=0,size=all"


def test_all_are_tried() -> None:
    tried = {*ALONE, *(name for chain in CHAINS.values() for part in chain for name in part)}
    named = {n for n in experiment_names() if n.startswith(("superb_iem", "morais_"))}
    assert tried == named
    assert len(named) == 15  # eleven rows, three first stages, SUPERB


@pytest.mark.parametrize("name", ALONE)
def test_experiments_of_one_stage(place: Workplace, models: dict[str, Path], name: str) -> None:
    folder = fit(place, models, name)
    metrics = read_json(folder / "metrics.json")
    assert "validation shares speakers" in metrics["leak"]
    assert metrics["num_test"] == 16


@pytest.mark.parametrize("chain", CHAINS)
def test_second_stages_read_what_first_ones_have_trained(
    place: Workplace, models: dict[str, Path], chain: str
) -> None:
    firsts, seconds = CHAINS[chain]
    said = place.sermm("fit", *settings(place, models, seconds[0]))
    assert said.status == 2
    assert "first" in said.err
    assert any(f"run `sermm experiment {name}`" in said.err for name in firsts)
    runs = [fit(place, models, name) for name in firsts]
    for name in seconds:
        about = read_json(fit(place, models, name) / "environment.json")
        taken = about["trained_by"].values()
        assert {Path(run["folder"]).resolve() for run in taken} == set(runs)
        assert {run["checkpoint_sha256"] for run in taken} == {
            sha256((run / "checkpoints" / "best.ckpt").read_bytes()).hexdigest() for run in runs
        }


def test_superb_is_a_linear_model_over_learned_shares_of_layers(
    place: Workplace, models: dict[str, Path]
) -> None:
    folder = fit(place, models, "superb_iemocap")
    task, _, facts = load_task(folder / "checkpoints" / "best.ckpt")
    assert isinstance(task, AcousticTask)
    assert isinstance(task.encoder.source, CachedFrames)
    assert facts.num_layers > 1
    sizes = {name: tuple(p.shape) for name, p in task.named_parameters()}
    assert sizes == {
        "encoder.source.mix.mix.weights": (facts.num_layers,),
        "encoder.projection.weight": (256, facts.frame_dim),
        "encoder.projection.bias": (256,),
        "head.layers.1.weight": (4, 256),
        "head.layers.1.bias": (4,),
    }
    assert facts.names == ("neutral", "happy", "angry", "sad")
    stated = load_config("superb_iemocap")
    optim = stated.optim
    assert (optim.solver, optim.lr, optim.weight_decay) == ("adam", 1e-4, 0)
    assert (optim.schedule, optim.warmup_share, optim.gradient_clip) == ("constant", 0, 1)
    assert (optim.steps, optim.val_every_steps, optim.select) == (30_000, 1_000, "wa")
    assert (stated.data.batch_size, optim.accumulate) == (4, 8)
    assert not optim.class_weights
    assert (stated.model.speech.normalise, stated.data.protocol) == ("none", "iemocap4-superb")


def test_the_encoder_is_that_of_the_same_fold(place: Workplace, models: dict[str, Path]) -> None:
    runs = [fit(place, models, WAV2VEC2, f"fold={fold}") for fold in (0, 1)]
    hashes = []
    for fold, run in enumerate(runs):
        config = load_config(
            "morais_wav2vec2_ecapa_iemocap", [f"fold={fold}", f"runs={place.folder}/runs"]
        )
        upstream = speech_upstream(config)
        task, _, _ = load_task(run / "checkpoints" / "best.ckpt")
        state = task.state_dict()
        for name, tensor in upstream.state_dict().items():
            assert torch.equal(tensor, state[f"encoder.source.upstream.{name}"]), name
        hashes.append(upstream.fingerprint())
    assert hashes[0] != hashes[1]


def test_two_upstreams_are_recorded_and_are_one_modality_to_do_without(
    place: Workplace, models: dict[str, Path]
) -> None:
    folder = fit(
        place,
        models,
        "morais_fbank_bert_fusion_iemocap",
        *("model.pooling=mean", "model.modality_dropout=0.3", "optim.epochs=1"),
        *("model.text.name=scratch", "model.text.frozen=false"),
        *("model.text.hidden=16", "model.text.vocab_size=200"),
        *("model.speech.upstream=huggingface", f"model.speech.name={models['wav2vec2']}"),
        *("model.speech2.upstream=huggingface", f"model.speech2.name={models['hubert']}"),
    )
    about = read_json(folder / "environment.json")
    hashes = [about[f"{place}_model"]["weights_sha256"] for place in ("speech", "speech2")]
    assert len(set(hashes)) == 2
    assert about["speech_features"]["store"] != about["speech2_features"]["store"]
    # without speech is without both upstreams
    metrics = read_json(folder / "metrics.json")
    assert set(metrics["conditions"]) == {"only-speech", "only-text"}
    task, _, facts = load_task(folder / "checkpoints" / "best.ckpt")
    assert task.state_dict()["no_speech.vector"].shape == (facts.frame_dim,)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        ("metrics", "expected a finished run in"),
        ("protocol", "expected data.protocol=iemocap4-superb, as here, got iemocap4-session5"),
        ("yaml", "config.yaml:1: expected YAML"),
        ("test", "expected a run with the 16 test utterances of this one"),
    ],
)
def test_an_encoder_that_may_have_seen_the_test_part_is_refused(
    place: Workplace, models: dict[str, Path], spoil: str, expected: str
) -> None:
    run = fit(place, models, BERT)
    if spoil == "metrics":
        (run / "metrics.json").unlink()
    elif spoil == "yaml":
        (run / "config.yaml").write_text("data: [")
    elif spoil == "protocol":
        path = run / "config.yaml"
        path.write_text(path.read_text().replace("iemocap4-superb", "iemocap4-session5"))
    else:
        other = fit(place, models, BERT, "fold=1")
        shutil.copy(other / "predictions.csv", run)
    said = place.sermm("fit", *settings(place, models, "morais_bert_ecapa_iemocap"))
    assert said.status == 2
    assert expected in said.err
    assert said.err.count("\n") == 1


def test_another_first_stage_is_other_data(place: Workplace, models: dict[str, Path]) -> None:
    fit(place, models, BERT)
    name = "morais_bert_ecapa_iemocap"
    fit(place, models, name)
    shutil.rmtree(place.folder / "runs" / BERT)
    fit(place, models, BERT, "optim.lr=1e-3")
    said = place.sermm("fit", *settings(place, models, name))
    assert said.status == 2
    assert "expected a run on the data as it is now" in said.err
