"""Pre-training and what starts from it, from the command line to the report."""

from __future__ import annotations

import json
import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from data_modules.errors import ConfigError
from data_modules.unlabelled import unlabelled_of_fold
from sermm.build_checkpoint import load_task
from sermm.build_data import build_data
from sermm.checkpoints import read_checkpoint
from sermm.compose import load_config
from sermm.reconstruction_metrics import CONTROLS
from sermm.stages import load_ready, make_ready, make_selection, wanted_ids
from tests.data_modules import csd_tree
from tests.sermm.test_train import assert_same_run, kill_at
from tests.sermm.workplace import SMALL, Workplace, read_json, read_table, wait_for

TINY = (
    "model.backbone.width=8",
    "model.backbone.layers=1",
    "model.backbone.heads=2",
    "model.backbone.feedforward=8",
    "model.backbone.frames_per_step=2",
    "model.speech.hop_ms=10",
)


def arguments(place: Workplace, *overrides: str) -> list[str]:
    places = (f"data.root={place.release}", f"data.cache={place.cache}")
    merged = dict(text.split("=", 1) for text in (*places, *SMALL, *TINY, *overrides))
    return [f"{key}={value}" for key, value in merged.items()]


def fit(place: Workplace, name: str, *overrides: str) -> Path:
    said = place.sermm("fit", name, *arguments(place, *overrides))
    assert (said.status, said.err) == (0, ""), said
    stated = {"name": name} | dict(text.split("=", 1) for text in overrides)
    return place.folder / "runs" / stated["name"] / "fold=0,seed=0,size=all"


def test_pretraining_ends_with_controls_beside_its_error(place: Workplace) -> None:
    folder = fit(place, "pretrain_demo", "optim.epochs=2")
    rows = read_table(folder / "predictions.csv")
    assert len(rows) == 16
    errors = [f"{error}_{name}" for name in CONTROLS for error in ("mae", "mse")]
    assert list(rows[0]) == ["utterance_id", "speaker", "values", "mae", "mse", *errors]
    said = place.sermm("report", "pretrain_demo")
    assert said.status == 0, said
    summary = read_json(place.folder / "runs" / "pretrain_demo" / "summary.json")
    assert (summary["kind"], set(summary["trivial"])) == ("reconstruction", set(CONTROLS))
    values = [float(row["values"]) for row in rows]
    for name, column in (("mean", "mae_mean"), ("neighbour", "mae_neighbour")):
        total = sum(n * float(row[column]) for n, row in zip(values, rows, strict=True))
        found = summary["trivial"][name]["masked_mae"]["pooled"]
        assert found == pytest.approx(total / sum(values), abs=1e-6)
    assert summary["trivial"]["mean"]["masked_nmse"]["pooled"] == pytest.approx(1, abs=1e-6)
    page = (place.folder / "runs" / "pretrain_demo" / "report.html").read_text()
    assert "masked MAE" in page
    assert "trivial: nearest visible frame" in page
    assert "minus line between visible frames" in page
    assert re.search(r"mean absolute error \d\.\d\d over [\d,]+ hidden values", page)
    assert ", predicted" not in page


def test_the_same_run_twice_gives_the_same_bytes(place: Workplace) -> None:
    one, other = (fit(place, "pretrain_demo", f"name={n}", "optim.epochs=2") for n in ("a", "b"))
    assert (one / "predictions.csv").read_bytes() == (other / "predictions.csv").read_bytes()
    third = fit(place, "pretrain_demo", "name=c", "optim.epochs=2", "data.eval_batch_size=3")
    first, second = (read_table(folder / "predictions.csv") for folder in (one, third))
    for row, twin in zip(first, second, strict=True):
        assert float(row["mae"]) == pytest.approx(float(twin["mae"]), abs=1e-5)


def test_a_run_killed_within_an_epoch_goes_on_in_it(place: Workplace) -> None:
    settings = ("optim.epochs=2", "trainer.checkpoint_steps=3", "data.batch_size=4")
    undisturbed = fit(place, "pretrain_demo", "name=undisturbed", *settings)
    killed = place.fork(
        *("fit", "pretrain_demo", *arguments(place, "name=killed", *settings)),
        prepare=kill_at("last.ckpt", 1, after=True),
    )
    assert wait_for(killed) == -signal.SIGKILL, place.said_by_fork()
    folder = place.folder / "runs" / "killed" / undisturbed.name
    assert read_checkpoint(folder / "checkpoints" / "last.ckpt")["position"]["num_done"] == 3
    assert_same_run(fit(place, "pretrain_demo", "name=killed", *settings), undisturbed)


def test_a_checkpoint_in_the_middle_of_an_epoch_changes_nothing(place: Workplace) -> None:
    settings = ("optim.epochs=2", "data.batch_size=8")
    plain = fit(place, "pretrain_demo", *settings)
    often = fit(place, "pretrain_demo", *settings, "trainer.checkpoint_steps=1", "name=often")
    for name in ("predictions.csv", "history.csv"):
        assert read_table(plain / name) == read_table(often / name)
    assert all(float(row["train/loss"]) > 0 for row in read_table(plain / "history.csv"))


@pytest.mark.parametrize("kind", ["transformer", "recurrent"])
def test_fine_tuning_starts_from_the_run_of_its_fold(place: Workplace, kind: str) -> None:
    chosen = f"model.backbone.kind={kind}"
    before = fit(place, "pretrain_demo", chosen, "optim.epochs=1")
    frozen = fit(
        place, "finetune_demo", chosen, "model.backbone.frozen=true", "optim.epochs=1", "name=probe"
    )
    weights = [
        read_checkpoint(f / "checkpoints" / "best.ckpt")["state_dict"] for f in (before, frozen)
    ]
    encoder = {name for name in weights[0] if name.startswith("encoder.")}
    assert "encoder.source.standardize.mean" in encoder
    for name in encoder:
        assert torch.equal(weights[0][name], weights[1][name]), name
    told = read_json(frozen / "environment.json")["started_from"]
    assert told["run"] == "pretrain_demo/fold=0,seed=0,size=all"
    assert len(told["checkpoint_sha256"]) == 64
    notes = read_json(frozen / "metrics.json")["notes"]
    assert notes == [
        "encoder pre-trained in pretrain_demo",
        "frozen encoder: the head alone is trained",
    ]
    tuned = fit(place, "finetune_demo", chosen, "optim.epochs=1")
    task, _, _ = load_task(tuned / "checkpoints" / "best.ckpt")
    moved = task.state_dict()
    assert any(not torch.equal(moved[n], weights[0][n]) for n in encoder if "standardize" not in n)
    scratch = fit(place, "scratch_demo", chosen, "optim.epochs=1")
    assert read_table(scratch / "predictions.csv") != read_table(tuned / "predictions.csv")


def test_a_head_on_a_frozen_encoder_is_the_logistic_regression_of_scikit_learn(
    place: Workplace,
) -> None:
    fit(place, "pretrain_demo", "optim.epochs=1", "model.backbone.layers=2")
    decay = 0.2
    overrides = (
        "model.backbone.layers=2",
        "model.backbone.states=all",
        "model.backbone.frozen=true",
        "model.pooling=mean_std",
        "model.dropout=0.4",
        "optim.solver=lbfgs",
        "optim.epochs=1",
        "optim.gradient_clip=0",
        f"optim.weight_decay={decay}",
    )
    folder = fit(place, "finetune_demo", "name=probe", *overrides)
    task, config, _ = load_task(folder / "checkpoints" / "best.ckpt")
    task.eval()
    prepared = load_ready(config)
    data = build_data(config, prepared, make_selection(config, prepared))
    [batch] = list(data.module.train_dataloader())
    with torch.inference_mode():
        states, lengths = task.encoder(batch)
        rows = [row[:count] for row, count in zip(states, lengths.tolist(), strict=True)]
        pooled = [
            torch.cat([row.mean(0), row.var(0, correction=0).add(1e-5).sqrt()]) for row in rows
        ]
        assert pooled[0].shape == (2 * 2 * 8,)
        clips = torch.stack(pooled).double().numpy()
        found = torch.softmax(task(batch), dim=-1).numpy()
    standard = (clips - clips.mean(axis=0)) / clips.std(axis=0)
    classes = batch.targets.numpy()
    reference = LogisticRegression(
        C=1 / (decay * len(clips)), class_weight="balanced", tol=1e-8, max_iter=10_000
    ).fit(standard, classes)
    shares = reference.predict_proba(standard)
    np.testing.assert_allclose(found, shares, atol=2e-3)
    # the loss that is told is that of the solution, without penalty and dropout
    counts = np.bincount(classes)[classes]
    losses = -np.log(shares[np.arange(len(classes)), classes]) / counts / len(set(classes))
    row = read_table(folder / "history.csv")[0]
    assert float(row["train/loss"]) == pytest.approx(losses.sum(), rel=2e-3)


def test_all_layers_are_read_of_a_transformer_after_its_pretraining() -> None:
    for name, message in (
        ("pretrain_demo", "model.task: expected another than pretrain with model.backbone.states"),
        ("acoustic_demo", "model.backbone.kind: expected transformer with model.backbone.states"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_config(name, ["model.backbone.states=all"])


def test_a_start_that_cannot_be(place: Workplace) -> None:
    said = place.sermm("fit", "finetune_demo", *arguments(place))
    assert said.status == 2
    assert "model.backbone.start=pretrain_demo: expected a finished run in runs" in said.err
    assert said.err.count("\n") == 1
    fit(place, "pretrain_demo", "optim.epochs=1")
    said = place.sermm("fit", "finetune_demo", *arguments(place, "fold=1"))
    assert "fold=1,seed=0,size=all, got none" in said.err
    said = place.sermm("fit", "finetune_demo", *arguments(place, "seed=1"))
    assert "fold=0,seed=1,size=all, got none" in said.err
    said = place.sermm("fit", "finetune_demo", *arguments(place, "model.backbone.layers=2"))
    assert "model.backbone.layers: expected 1, as in" in said.err
    said = place.sermm("fit", "finetune_demo", *arguments(place, "data.protocol=demo-speaker5"))
    assert "expected data.protocol=demo-speaker5, as here, got demo-session5" in said.err
    fit(place, "scratch_demo", "optim.epochs=1")
    said = place.sermm(
        "fit", "finetune_demo", *arguments(place, "model.backbone.start=scratch_demo")
    )
    assert "expected an experiment with model.task=pretrain, got acoustic" in said.err
    # a plan says so before anything is trained
    said = place.sermm("experiment", "finetune_demo", *arguments(place, "plan.folds=[0,3]"))
    assert said.status == 2
    assert "fold=3,seed=0,size=all, got none" in said.err
    assert not (place.folder / "runs" / "finetune_demo").exists()


def test_what_started_from_another_pretraining_is_refused(place: Workplace) -> None:
    fit(place, "pretrain_demo", "optim.epochs=1")
    fit(place, "finetune_demo", "optim.epochs=1")
    again = place.sermm("fit", "finetune_demo", *arguments(place, "optim.epochs=1"))
    assert again.status == 0, again.err
    shutil.rmtree(place.folder / "runs" / "pretrain_demo")
    fit(place, "pretrain_demo", "optim.epochs=1", "model.pretrain.mask_share=0.6")
    said = place.sermm("fit", "finetune_demo", *arguments(place, "optim.epochs=1"))
    assert said.status == 2
    assert "expected a run on the data as it is now" in said.err


def test_a_start_that_heard_the_test_part(place: Workplace) -> None:
    folder = fit(place, "pretrain_demo", "optim.epochs=1")
    path = folder / "predictions.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    said = place.sermm("fit", "finetune_demo", *arguments(place))
    assert said.status == 2
    assert "got 1 that it may have trained on: Ses01M" in said.err


@pytest.mark.parametrize(
    ("experiment", "override", "expected"),
    [
        ("pretrain_demo", "model.conv_layers=1", "model.conv_layers: expected 0 where steps"),
        (
            "pretrain_demo",
            "model.pretrain.span_min=7",
            "model.pretrain.span_max: expected at least",
        ),
        ("pretrain_demo", "model.backbone.heads=3", "model.backbone.width: expected an even multi"),
        ("pretrain_demo", "optim.select=ua", "optim.select: expected one of masked_mae"),
        ("fusion_demo", "model.backbone.start=x", "model.backbone.start: expected task acoustic"),
        ("text_demo", "model.backbone.frozen=true", "model.backbone.frozen: expected task acou"),
    ],
)
def test_settings_that_do_not_belong_together(
    place: Workplace, experiment: str, override: str, expected: str
) -> None:
    said = place.sermm("config", experiment, override)
    assert said.status == 2
    assert expected in said.err


# --- utterances without a label


def test_unlabelled_clips_of_training_speakers_alone_are_heard(place: Workplace) -> None:
    settings = arguments(place, "data.protocol=iemocap4-improvised", "data.corpus=iemocap")
    said = place.sermm("extract", "pretrain_demo", *settings)
    assert said.status == 0, said
    config = load_config("pretrain_demo", settings)
    prepared = load_ready(config)
    selection = make_selection(config, prepared)
    # a third of the release loses its label
    lost = [name for k, name in enumerate(selection.utterances) if k % 3 == 0]
    for name in lost:
        del selection.utterances[name], selection.targets[name]
    fewer = [
        type(fold)(*(tuple(n for n in part if n not in lost) for part in fold.parts().values()))
        for fold in selection.folds
    ]
    object.__setattr__(selection, "folds", fewer)
    for number, fold in enumerate(fewer):
        extra = unlabelled_of_fold(selection, prepared.utterances, number)
        assert extra
        assert {u.id for u in extra} <= set(lost)
        held_out = {selection.utterances[name].speaker for name in (*fold.val, *fold.test)}
        assert not {u.speaker for u in extra} & held_out
        sessions = {selection.utterances[name].session for name in fold.train}
        assert {u.session for u in extra} == sessions
    data = build_data(config, prepared, selection)
    assert set(fewer[0].train) < set(data.fold.train)
    assert {int(data.module.train[k].target) for k in range(len(data.fold.train))} == {0}
    without = load_config("pretrain_demo", [*settings, "model.pretrain.unlabelled=false"])
    assert build_data(without, prepared, selection).fold == fewer[0]


def test_a_speaker_without_any_label_is_taken_for_one(place: Workplace) -> None:
    settings = arguments(place, "model.speech.normalise=speaker")
    config = load_config("pretrain_demo", settings)
    prepared = make_ready(config)
    selection = make_selection(config, prepared)
    first = selection.folds[0]
    nobody = selection.utterances[first.train[0]].speaker
    lost = [name for name, u in selection.utterances.items() if u.speaker == nobody]
    for name in lost:
        del selection.utterances[name], selection.targets[name]
    kept = tuple(name for name in first.train if name not in lost)
    object.__setattr__(selection, "folds", [replace(first, train=kept)])
    data = build_data(config, prepared, selection)
    assert data.fold.train == (*kept, *lost)
    rows = [data.module.train[k].frames for k in range(len(kept), len(data.fold.train))]
    assert torch.cat(rows).mean(dim=0).abs().max() < 1e-4


def test_a_trial_does_not_hear_its_test_part(place: Workplace) -> None:
    config = load_config("pretrain_demo", arguments(place))
    trial = replace(config, test=False)
    prepared = make_ready(trial)
    fold = make_selection(config, prepared).fold(0)
    assert wanted_ids(trial, prepared) == {*fold.train, *fold.val}
    assert build_data(trial, prepared, make_selection(trial, prepared)).fold.train == fold.train
    # from the command line, too
    said = place.sermm("fit", "pretrain_demo", *arguments(place, "test=false", "optim.epochs=1"))
    assert (said.status, said.err) == (0, "")
    folder = place.folder / "runs" / "pretrain_demo" / "fold=0,seed=0,size=all"
    assert read_json(folder / "validation.json")["num_train"] == len(fold.train)


def test_features_are_wanted_of_what_some_run_reads(place: Workplace) -> None:
    improvised = "data.protocol=iemocap4-improvised"
    config = load_config("acoustic_demo", [f"data.root={place.release}", improvised])
    prepared = make_ready(config, features=False)
    used = set(make_selection(config, prepared).utterances)
    # its scripted dialogues are not part of the protocol
    prepared = replace(
        prepared,
        utterances=[
            replace(u, script="scene" if k % 4 == 0 else None)
            for k, u in enumerate(prepared.utterances)
        ],
    )
    fewer = set(make_selection(config, prepared).utterances)
    assert fewer < used
    assert wanted_ids(config, prepared) == fewer
    pretrain = load_config("pretrain_demo", arguments(place, improvised))
    assert wanted_ids(pretrain, prepared) is None
    alone = load_config(
        "pretrain_demo", arguments(place, improvised, "model.pretrain.unlabelled=false")
    )
    assert wanted_ids(alone, prepared) == fewer


# --- six intensities from csd files


def test_pretraining_and_fine_tuning_on_covarep(
    place: Workplace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    videos = csd_tree.make_videos("mosei", train=6, val=2, test=2, segments=4)
    root = csd_tree.write_tree(tmp_path_factory.mktemp("mosei"), "mosei", videos)
    own = [f"data.root={root}", f"data.cache={place.folder}/cache", "optim.epochs=2"]

    def run(name: str, *overrides: str) -> dict[str, Any]:
        settings = arguments(place, *own, *overrides)
        sizes = ("size=8", "size=16", "size=null") if name.startswith("label") else ("size=null",)
        for size in sizes:
            said = place.sermm("fit", name, *settings, size)
            assert (said.status, said.err) == (0, ""), said
        assert place.sermm("report", name).status == 0
        found: dict[str, Any] = json.loads(
            (place.folder / "runs" / name / "summary.json").read_text()
        )
        return found

    assert run("pretrain_mosei")["kind"] == "reconstruction"
    for name in ("scratch_mosei", "finetune_mosei"):
        summary = run(name)
        assert summary["family"] == "intensity"
        assert {"mae", "acc4", "mae_happy", "acc4_fear"} <= set(summary["metrics"])
        assert set(summary["trivial"]) == {"train_mean", "zero"}
    assert list(run("label_budget_mosei")["by_size"]) == ["8", "16", "all"]
    compared = place.sermm("compare", "finetune_mosei", "scratch_mosei")
    assert compared.status == 0, compared
