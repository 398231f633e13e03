"""Trials: trained and selected as an experiment's run, while the test part stays unread."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace

import pytest

import sermm.build_data
import sermm.stages
from data_modules.manifest import Utterance
from sermm.compose import load_config
from sermm.stages import make_ready, make_selection
from sermm.trial import (
    end_with_parent,
    in_sweep_folder,
    is_child_rank,
    read_trial_value,
    strip_sweep_variables,
)
from tests.sermm.workplace import Workplace, copy_of_this, read_json, wait_for


def test_a_trial_selects_as_the_tested_run_does(place: Workplace) -> None:
    tested = read_json(place.fit("acoustic", "fold=1") / "metrics.json")
    said = place.sermm("trial", *place.settings("acoustic", "name=trial", "plan.folds=[1]"))
    assert (said.status, said.err) == (0, ""), said
    folder = place.folder / "runs" / "trial"
    found = read_json(folder / "fold=1,seed=0,size=all" / "validation.json")
    assert {found["score"]: found["value"]} == tested["val"]
    assert found["best_epoch"] == tested["best_epoch"]
    assert read_trial_value(folder) == found["value"]
    names = {path.name for path in (folder / "fold=1,seed=0,size=all").iterdir()}
    assert not names & {"metrics.json", "predictions.csv", "alignment.npz"}
    # a second call has nothing to do
    before = (folder / "trial.json").read_text()
    assert (
        place.sermm("trial", *place.settings("acoustic", "name=trial", "plan.folds=[1]")).status
        == 0
    )
    assert (folder / "trial.json").read_text() == before


@pytest.mark.parametrize(
    ("task", "normalise"), [("span", "train"), ("acoustic", "speaker"), ("text", "train")]
)
def test_nothing_of_the_test_part_is_read(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, task: str, normalise: str
) -> None:
    """Whatever holds an utterance of the test part cannot be asked for anything in a trial."""
    settings = place.settings(task, "plan.folds=[0]", f"model.speech.normalise={normalise}")
    config = load_config(settings[0], settings[1:])
    forbidden = set(make_selection(config, make_ready(config)).fold(0).test)
    assert forbidden
    read: set[str] = set()
    original = sermm.build_data._frame_source

    def watched_source(*arguments):  # type: ignore[no-untyped-def]
        source = original(*arguments)

        def watched(utterance: Utterance):  # type: ignore[no-untyped-def]
            read.add(utterance.id)
            return source.read(utterance)

        return replace(source, read=watched)

    def watched_transcript(config, utterance, *rest):  # type: ignore[no-untyped-def]
        read.add(utterance.id)
        return transcript(config, utterance, *rest)

    transcript = sermm.build_data.build_transcript
    monkeypatch.setattr(sermm.build_data, "_frame_source", watched_source)
    monkeypatch.setattr(sermm.build_data, "build_transcript", watched_transcript)
    said = place.sermm("trial", *settings)
    assert said.status == 0, said
    assert read
    assert not read & forbidden
    untested = make_selection(replace(config, test=False), make_ready(config))
    assert not forbidden & (set(untested.utterances) | set(untested.targets))


def test_clips_of_the_test_part_are_not_opened_for_features(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: set[str] = set()
    extract = sermm.extract_stage.extract  # type: ignore[attr-defined]

    def watched(upstream, clips, store, **rest):  # type: ignore[no-untyped-def]
        opened.update(clip.utterance_id for clip in clips)
        return extract(upstream, clips, store, **rest)

    monkeypatch.setattr("sermm.extract_stage.extract", watched)
    # features that nothing else has asked for yet
    settings = place.settings("acoustic", "plan.folds=[0]", "model.speech.num_bands=17")
    config = load_config(settings[0], settings[1:])
    assert place.sermm("trial", *settings).status == 0
    by_trial = set(opened)
    fold = make_selection(config, make_ready(config)).fold(0)
    assert by_trial == {*fold.train, *fold.val}


def test_labels_of_the_test_part_change_nothing(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = place.settings("acoustic", "plan.folds=[0]")
    assert place.sermm("trial", *settings, "name=right").status == 0
    select = sermm.stages.select

    def shifted(*arguments, **named):  # type: ignore[no-untyped-def]
        selection = select(*arguments, **named)
        wrong = {name: (selection.targets[name] + 1) % 4 for name in selection.fold(0).test}
        return replace(selection, targets={**selection.targets, **wrong})

    monkeypatch.setattr("sermm.stages.select", shifted)
    assert place.sermm("trial", *settings, "name=wrong").status == 0
    runs = place.folder / "runs"
    first, second = (
        json.loads(next((runs / name).rglob("validation.json")).read_text())
        for name in ("right", "wrong")
    )
    assert first.pop("seconds") != second.pop("seconds")
    assert first == second


def test_several_folds_and_seeds_are_averaged(place: Workplace) -> None:
    plan = ("plan.folds=[0,1]", "plan.seeds=[0,3]", "name=mean")
    said = place.sermm("trial", *place.settings("linear", *plan))
    assert said.status == 0, said
    folder = place.folder / "runs" / "mean"
    trial = read_json(folder / "trial.json")
    assert [(run["fold"], run["seed"]) for run in trial["runs"]] == [(0, 0), (1, 0), (0, 3), (1, 3)]
    values = [run["value"] for run in trial["runs"]]
    assert trial["value"] == pytest.approx(sum(values) / 4, abs=1e-6)
    assert f"val/ua {trial['value']:.4f}" in said.out


def test_an_experiment_is_tested(place: Workplace) -> None:
    said = place.sermm("experiment", *place.settings("linear", "test=false"))
    assert said.status == 2
    assert "sermm trial" in said.err


def test_a_tested_run_is_not_mixed_with_a_trial(place: Workplace) -> None:
    place.fit("linear")
    said = place.sermm("trial", *place.settings("linear", "plan.folds=[0]"))
    assert said.status == 2
    assert "test=true (now false)" in said.err


def test_under_an_agent_a_trial_has_the_folder_of_its_run() -> None:
    config = load_config("linear_demo")
    environment = {"WANDB_SWEEP_ID": "abc", "WANDB_RUN_ID": "xyz"}
    found = in_sweep_folder(config, environment)
    assert (found.runs, found.name) == ("runs/sweeps/abc", "xyz")
    assert in_sweep_folder(config, {"WANDB_RUN_ID": "xyz"}) is config


@pytest.mark.parametrize("name", ["LOCAL_RANK", "RANK", "NODE_RANK", "SLURM_PROCID"])
def test_other_ranks_forget_the_sweep(name: str) -> None:
    assert not is_child_rank({})
    assert not is_child_rank({name: "0"})
    assert is_child_rank({name: "1"})
    environment = {
        "WANDB_SWEEP_ID": "a",
        "WANDB_RUN_ID": "b",
        "WANDB_SWEEP_PARAM_PATH": "c",
        "X": "1",
    }
    strip_sweep_variables(environment)
    assert environment == {"X": "1"}


def test_a_trial_ends_with_the_agent_that_started_it() -> None:
    """The agent ends without a word; the kernel ends the trial."""
    ready, is_ready = os.pipe()
    alive, is_alive = os.pipe()

    def trial() -> None:
        end_with_parent()
        os.write(is_ready, b"x")
        signal.pause()

    def agent() -> None:
        copy_of_this(trial)
        os.read(ready, 1)

    assert wait_for(copy_of_this(agent)) == 0
    os.close(is_alive)
    # the trial held the last other end of the pipe
    assert os.read(alive, 1) == b""
    for handle in (ready, is_ready, alive):
        os.close(handle)
