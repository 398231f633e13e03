"""W&B's own agent runs the command of our sweep files; our process reads every value it writes."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from data_modules.errors import ConfigError
from sermm.compose import load_config
from sermm.config import value_of
from sermm.sweep.agents import agent_environment, run_agents
from sermm.sweep.check import check_sweep
from sermm.sweep.file import read_sweep
from sermm.sweep.wandb_sweep import tree_with
from tests.sermm.workplace import Workplace, has_ended, read_json, wait_until

# one set of values a run: what the server sends for scalar, nested, list, boolean and null
RUNS: dict[str, dict[str, Any]] = {
    "scalar": {"optim.lr": 1e-05, "data.batch_size": 8, "model.pooling": "mean"},
    "nested": {"optim": {"lr": 0.003, "text_lr": None}, "model": {"text": {"heads": 2}}},
    "list": {"data.aligners": ["corpus", "uniform"], "model.vectors": []},
    "boolean": {"optim.class_weights": False, "data.soft_labels": True},
    "null": {"optim.text_lr": None, "model.text.revision": None},
}  # fmt: skip


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        inner = isinstance(value, dict)
        found |= flat(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return found


class StandInServer:
    """Hands out runs one after the other, as the server's heartbeat does, and then ends."""

    def __init__(self, tree: dict[str, Any], runs: dict[str, dict[str, Any]]) -> None:
        self.tree, self.waiting = tree, dict(runs)

    def heartbeat(self, api: Any, agent_id: str, metrics: Any, states: Any) -> list[dict[str, Any]]:
        if states:  # the last one still runs
            return []
        if not self.waiting:
            return [{"type": "exit"}]
        run_id = next(iter(self.waiting))
        values = self.waiting.pop(run_id)
        return [
            {
                "type": "run",
                "run_id": run_id,
                "program": self.tree["program"],
                "args": {key: {"value": value} for key, value in values.items()},
            }
        ]


def drive_agent(
    monkeypatch: pytest.MonkeyPatch, tree: dict[str, Any], runs: dict[str, dict[str, Any]]
) -> None:
    """W&B's agent, in this process, on a stand-in for the server."""
    import wandb
    from wandb import wandb_agent
    from wandb.apis.public import sweeps

    server = StandInServer(tree, runs)
    monkeypatch.setattr(sweeps, "_sweep_with_runs", lambda *_: {"config": yaml.safe_dump(tree)})
    monkeypatch.setattr(sweeps, "_register_agent", lambda *_, **__: {"id": "agent"})
    monkeypatch.setattr(sweeps, "_agent_heartbeat", server.heartbeat)
    monkeypatch.setattr(wandb, "Api", SimpleNamespace)
    monkeypatch.setattr(wandb, "teardown", lambda *_: None)
    monkeypatch.setattr(wandb_agent.Agent, "POLL_INTERVAL", 0.1)
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep1")
    monkeypatch.setenv("WANDB_DIR", str(Path.cwd()))
    for name in ("WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH"):
        monkeypatch.setenv(name, "")  # the agent sets them; gone after the test
    queue = multiprocessing.Queue()
    wandb_agent.Agent(SimpleNamespace(), queue, sweep_id="sweep1").run()
    queue.close()


def test_every_kind_of_value_reaches_our_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our command stands in for itself: it reads its arguments and writes what it understood."""
    monkeypatch.chdir(tmp_path)
    tree = tree_with(read_sweep("fusion_demo"), ["data.num_workers=1"])
    program = tmp_path / "bin" / "sermm"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nshift\nexec {sys.executable} -m sermm config "$@" > "$WANDB_RUN_ID.yaml"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    drive_agent(monkeypatch, tree, RUNS)
    for name, values in RUNS.items():
        config = load_config(str(tmp_path / f"{name}.yaml"))
        assert config.plan.folds == [0]
        assert (config.optim.epochs, config.data.num_workers) == (10, 1)
        for key, value in flat(values).items():
            assert value_of(config, key) == value, (name, key)
            assert type(value_of(config, key)) is type(value)


@pytest.mark.slow
def test_a_trial_of_the_agent(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way: agent, command, training, and a W&B run with the agent's id."""
    settings = place.settings("linear", "tracking.wandb=offline")
    path = place.folder / "tried.yaml"
    command = ["${env}", "${program}", "trial", "linear_demo", "plan.folds=[1]", *settings[1:]]
    command = [word for word in command if not word.startswith("optim.lr=")]
    tree = {
        "program": "sermm",
        "command": [*command, "${args}"],
        "method": "random",
        "metric": {"name": "val/ua", "goal": "maximize"},
        "parameters": {"optim": {"parameters": {"lr": {"values": [0.01, 0.02]}}}},
    }
    path.write_text(yaml.safe_dump(tree))
    check_sweep(read_sweep(str(path)))
    monkeypatch.setenv("PATH", agent_environment(os.environ, [])["PATH"])
    drive_agent(monkeypatch, tree, {"first": {"optim": {"lr": 0.02}}})
    folder = place.folder / "runs" / "sweeps" / "sweep1" / "first"
    trial = read_json(folder / "trial.json")
    run = folder / "fold=1,seed=0,size=all"
    assert yaml.safe_load((run / "config.yaml").read_text())["optim"]["lr"] == 0.02
    assert (run / "wandb_run_id.txt").read_text().strip() == "first"
    (logged,) = (place.folder / "wandb").rglob("offline-run-*-first")
    shown = subprocess.run(
        [Path(sys.executable).with_name("wandb"), "leet", "inspect", "--json", "--summary", logged],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    summary = json.loads(shown)
    assert summary["summary"]["val/ua"] == pytest.approx(trial["value"], abs=1e-5)
    assert summary["config"]["optim"]["lr"] == 0.02
    assert not [name for name in summary["summary"] if name.startswith("test")]


def test_an_agent_is_no_task_of_a_job_step() -> None:
    step = {"SLURM_NTASKS": "2", "SLURM_PROCID": "1", "SLURM_JOB_ID": "7", "PATH": "/bin"}
    found = agent_environment(step, ["3"])
    assert found["CUDA_VISIBLE_DEVICES"] == "3"
    assert found["PATH"] == f"{Path(sys.executable).parent}{os.pathsep}/bin"
    assert "SLURM_JOB_ID" in found
    assert not {"SLURM_NTASKS", "SLURM_PROCID"} & found.keys()


def test_a_second_task_of_a_node_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_LOCALID", "1")
    with pytest.raises(ConfigError, match="ntasks-per-node=1"):
        run_agents("a/b/c", devices=1, count=None)


def test_agents_without_an_account_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="sermm agent: expected a W&B account, got nobody"):
        run_agents("a/b/c", devices=1, count=None)


def test_agents_end_with_all_that_they_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C: an agent that takes no notice is killed, and so is its child."""
    program = tmp_path / "agent"
    program.write_text("#!/bin/sh\ntrap '' TERM INT\nsleep 1000 &\necho $! > child\nwait\n")
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sermm.children._STOP_S", 0.2)
    monkeypatch.setattr("sermm.sweep.agents.sys.executable", str(program))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("WANDB_API_KEY", "a key")

    def interrupt(_: float) -> None:
        if (tmp_path / "child").is_file() and (tmp_path / "child").read_text():
            raise KeyboardInterrupt

    # its own clock: whatever else waits here is not to be interrupted
    monkeypatch.setattr("sermm.sweep.agents.time", SimpleNamespace(sleep=interrupt))
    with pytest.raises(KeyboardInterrupt):
        run_agents("a/b/c", devices=1, count=2)
    child = int((tmp_path / "child").read_text())
    wait_until(lambda: has_ended(child))
