"""Sweep files: W&B's own read as they are, and what cannot work refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from data_modules.errors import ConfigError
from sermm.compose import load_config
from sermm.config import value_of
from sermm.sweep.check import as_override, check_sweep, combinations
from sermm.sweep.file import EarlyStop, read_sweep, sweep_names
from sermm.sweep.space import Parameter, read_parameter
from tests.sermm.workplace import Workplace

GOOD = """
program: sermm
command: ["${env}", "${program}", trial, linear_demo, "plan.folds=[0]", "${args_no_hyphens}"]
method: random
metric: {name: val/ua, goal: maximize}
parameters:
  optim: {parameters: {lr: {min: 0.001, max: 0.1}, weight_decay: {value: 0.1}}}
  model.dropout: {values: [0.1, 0.3]}
"""


def write(folder: Path, text: str = GOOD, **changes: object) -> Path:
    tree = yaml.safe_load(text)
    for key, value in changes.items():
        tree[key] = value
    path = folder / "tried.yaml"
    tree = {key: value for key, value in tree.items() if value is not None}
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    return path


def refusal(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        check_sweep(read_sweep(str(path)), overrides)
    return str(caught.value)


def test_shipped_sweeps_are_right() -> None:
    names = sweep_names()
    assert {"fusion_demo", "acoustic_ravdess", "fusion_iemocap"} <= set(names)
    for name in names:
        base = check_sweep(read_sweep(name))
        assert not base.test
        assert base.plan.folds


def test_what_a_file_says(tmp_path: Path) -> None:
    sweep = read_sweep(str(write(tmp_path)))
    assert (sweep.name, sweep.method, sweep.metric, sweep.maximise) == (
        "tried",
        "random",
        "val/ua",
        True,
    )
    assert (sweep.experiment, sweep.overrides) == ("linear_demo", ("plan.folds=[0]",))
    assert [p.key for p in sweep.parameters] == ["optim.lr", "optim.weight_decay", "model.dropout"]
    assert [p.distribution for p in sweep.parameters] == ["uniform", "constant", "categorical"]
    assert check_sweep(sweep, ["optim.epochs=2"]).optim.epochs == 2


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({"type": "hyperband", "min_iter": 3}, EarlyStop(3, 3)),
        ({"type": "hyperband", "min_iter": 2, "eta": 2}, EarlyStop(2, 2)),
        ({"type": "hyperband", "max_iter": 27, "s": 2}, EarlyStop(3, 3)),
        ({"type": "hyperband", "max_iter": 4, "s": 3, "eta": 2}, EarlyStop(1, 2)),
    ],
)
def test_rungs(tmp_path: Path, stated: dict[str, object], expected: EarlyStop) -> None:
    assert read_sweep(str(write(tmp_path, early_terminate=stated))).early == expected


def parameters(**stated: object) -> dict[str, object]:
    return {"parameters": {key.replace("__", "."): value for key, value in stated.items()}}


COMMAND = ["${env}", "${program}", "trial", "linear_demo", "plan.folds=[0]", "${args_no_hyphens}"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"metric": {"name": "test/ua", "goal": "maximize"}}, "nothing is chosen on test data"),
        ({"metric": {"name": "test_ua", "goal": "maximize"}}, "write val/ua"),
        ({"metric": {"name": "val/uaa", "goal": "maximize"}}, "did you mean val/ua?"),
        ({"metric": {"name": "val_ua", "goal": "maximize"}}, "did you mean val/ua?"),
        ({"metric": {"name": "val/wa", "goal": "maximize"}}, "or set optim.select=wa"),
        ({"metric": {"name": "val/loss", "goal": "minimize"}}, "write val/ua"),
        ({"metric": {"name": "val/ua"}}, "expected maximize"),
        ({"metric": {"name": "val/ua", "goal": "up"}}, "minimize or maximize"),
        ({"metric": None}, "metric: expected name and goal"),
        (parameters(optim__lrr={"values": [1]}), "did you mean optim.lr?"),
        (parameters(lr={"values": [0.1]}), "did you mean optim.lr?"),
        (parameters(optim={"values": [1]}), "got section optim"),
        (parameters(optim={"parameters": {"lrr": {"value": 1}}}), "did you mean optim.lr?"),
        (parameters(seed={"values": [0, 1]}), "leaves alone what trials are compared on"),
        (parameters(data__protocol={"value": "demo-session5"}), "leaves alone"),
        (parameters(optim__lr={"values": [0.1, -1.0]}), "optim.lr: expected"),
        (parameters(optim__epochs={"min": 0, "max": 4}), "optim.epochs: expected at least 1"),
        (parameters(model__dropout={"min": 0.0, "max": 1.5}), "between 0 and 0.999"),
        (parameters(optim__epochs={"values": [2, 2.5]}), "got 2.5"),
        (parameters(model__pooling={"values": ["mean", "maen"]}), "did you mean mean?"),
        (parameters(optim__lr={"distribution": "normal", "mu": 1, "sigma": 1}), "got 'normal'"),
        (parameters(optim__lr={"min": 0.1}), "value, values, or min and max"),
        (parameters(optim__lr={"min": "1e-5", "max": 1.0}), "write it as in 0.001"),
        (parameters(optim__lr={"min": 2.0, "max": 1.0}), "swap min and max"),
        (
            parameters(optim__lr={"min": 0.0, "max": 1.0, "distribution": "log_uniform_values"}),
            "logarithmic",
        ),
        (parameters(optim__lr={"values": [0.1], "min": 1}), "no min beside categorical"),
        (parameters(optim__lr={"valuse": [0.1]}), "got valuse"),
        (parameters(optim__lr={"values": [0.1, 0.1]}), "0.1 twice"),
        (parameters(optim__lr={"values": []}), "expected a list"),
        (parameters(optim__lr=0.1), "write it so"),
        ({"parameters": {}}, "name at least one"),
        ({"method": "hyperopt"}, "one of bayes, random, grid"),
        ({"method": "grid"}, "a list of values, or whole numbers"),
        ({"program": "train.py"}, "program: sermm"),
        ({"command": None}, "command: expected"),
        ({"command": [*COMMAND[:2], "fit", *COMMAND[3:]]}, "sermm trial"),
        ({"command": [*COMMAND[:3], "liner_demo", *COMMAND[4:]]}, "did you mean linear_demo?"),
        ({"command": COMMAND[:-1]}, "write ${args_no_hyphens}"),
        ({"command": [*COMMAND[:-1], "${args_no_boolean_flags}"]}, "write ${args_no_hyphens}"),
        ({"command": [*COMMAND[:4], "${args}"]}, "add plan.folds=[0]"),
        ({"command": [*COMMAND, "optim.lr=1.0"]}, "either a parameter or a setting"),
        ({"command": [*COMMAND, "data.root=${envvar:ROOT}"]}, "write the value itself"),
        ({"command": [*COMMAND, "test=1x"]}, "write true or false"),
        ({"early_terminate": {"type": "envelope"}}, "type: hyperband"),
        ({"early_terminate": {"type": "hyperband"}}, "either min_iter or max_iter"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 0}}, "a whole number from 1"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 1, "strict": True}}, "strict"),
        (
            {
                "early_terminate": {"type": "hyperband", "min_iter": 1},
                "command": [*COMMAND, "plan.seeds=[0,1]"],
            },
            "trials of one run",
        ),
        ({"metrics": {}}, "did you mean metric?"),
        ({"run_cap": 0}, "a whole number from 1"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, changes: dict[str, object], told: str) -> None:
    said = refusal(write(tmp_path, **changes))
    assert told in said
    assert "\n" not in said


HEADS = {"hidden": {"values": [32, 64]}, "heads": {"values": [4, 5]}}


def test_a_combination_that_no_trial_could_have_is_refused(tmp_path: Path) -> None:
    stated = parameters(model={"parameters": {"text": {"parameters": HEADS}}})
    command = [*COMMAND[:3], "text_demo", *COMMAND[4:]]
    said = refusal(write(tmp_path, command=command, **stated))
    assert "a multiple of model.text.heads (5)" in said
    assert "model.text.heads=5" in said


def test_a_refusal_is_one_line_and_status_2(place: Workplace) -> None:
    path = write(place.folder, metric={"name": "test/ua", "goal": "maximize"})
    for way in ("--local", "--wandb"):
        said = place.sermm("sweep", str(path), way)
        assert (said.status, said.err.count("\n")) == (2, 1)
        assert said.err.startswith(f"error: {path}: metric.name: expected")
    assert {p.name for p in place.folder.iterdir()} == {"tried.yaml"}


Q = {"distribution": "q_uniform"}


@pytest.mark.parametrize(
    ("stated", "corners", "grid"),
    [
        ({"values": [1, 2, 3]}, [1, 2, 3], [1, 2, 3]),
        ({"value": None}, [None], [None]),
        ({"min": 1, "max": 4}, [1, 4], [1, 2, 3, 4]),
        ({"min": 0.5, "max": 1.0}, [0.5, 1.0], None),
        ({"min": 0.1, "max": 0.3, "q": 0.1, **Q}, [0.1, 0.3], [0.1, 0.2, 0.3]),
        ({"min": 3, "max": 9, "q": 4, **Q}, [4, 8], [4, 8]),
        ({"min": -2.302585092994046, "max": 0.0, "distribution": "log_uniform"}, [0.1, 1.0], None),
    ],
)  # fmt: skip
def test_ends_and_grids(stated: dict[str, object], corners: list[object], grid: object) -> None:
    parameter = read_parameter("x", stated, "file")
    assert parameter.corners() == pytest.approx(corners) if grid is None else corners
    assert parameter.all_values() == grid
    assert all(type(a) is type(b) for a, b in zip(parameter.corners(), corners, strict=True))


@given(st.floats(0, 10), st.floats(0.01, 10), st.floats(0.01, 3), st.floats(-20, 20))
def test_rounded_values_stay_within(low: float, width: float, step: float, value: float) -> None:
    parameter = Parameter("x", "q_uniform", (), low, low + width + step, step)
    rounded = parameter.round(value)
    assert low * (1 - 1e-9) - 1e-9 <= rounded <= (low + width + step) * (1 + 1e-9) + 1e-9
    assert rounded / step == pytest.approx(round(rounded / step), abs=1e-6)


def test_every_corner_is_looked_at() -> None:
    sweep = read_sweep("fusion_iemocap")
    tried = list(combinations(sweep, 8))
    for parameter in sweep.parameters:
        assert {repr(values[parameter.key]) for values in tried} == {
            repr(value) for value in parameter.corners()
        }


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optim.lr", 1e-5),
        ("optim.lr", 0.30000000000000004),
        ("optim.epochs", 7),
        ("data.soft_labels", True),
        ("model.text.revision", None),
        ("model.text.revision", "007"),
        ("model.text.revision", "null"),
        ("data.aligners", ["corpus", "uniform"]),
        ("optim.text_lr", None),
    ],
)
def test_values_come_through_the_command_line(key: str, value: object) -> None:
    config = load_config("fusion_demo", [as_override(key, value)])
    assert value_of(config, key) == value
    # as W&B's agent writes them, which loses what is text and looks like something else
    if value not in ("007", "null"):
        assert value_of(load_config("fusion_demo", [f"--{key}={value}"]), key) == value


def test_nested_values_come_through_as_the_agent_writes_them() -> None:
    nested = {"lr": 1e-05, "text_lr": None, "class_weights": False}
    config = load_config("fusion_demo", [f"optim={nested}", "data.aligners=['corpus', 'uniform']"])
    assert (config.optim.lr, config.optim.text_lr, config.optim.class_weights) == (
        1e-5,
        None,
        False,
    )
    assert config.data.aligners == ["corpus", "uniform"]
