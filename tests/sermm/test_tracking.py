"""W&B as a view of a run, offline; nothing here needs an account."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_modules.errors import ConfigError
from sermm.predictions import Predictions
from sermm.tracking import (
    answered,
    build_logger,
    class_rows,
    close,
    log_results,
    logged_in,
    wandb_mode,
)
from tests.sermm.tasks.tiny import tiny_config
from tests.sermm.test_train import kill_at
from tests.sermm.workplace import Workplace, read_json, wait_for

WANDB = Path(sys.executable).with_name("wandb")


@pytest.fixture
def offline(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    monkeypatch.setenv("WANDB_MODE", "offline")
    yield place
    import wandb

    wandb.teardown()


def inspect(run: Path, *arguments: str) -> list[dict[str, Any]]:
    """What W&B's own tool shows: one object for a summary, else one a record."""
    shown = subprocess.run(
        [WANDB, "leet", "inspect", "--json", *arguments, str(run)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if "--summary" in arguments:
        return [json.loads(shown)]
    return [json.loads(line) for line in shown.splitlines()]


def offline_runs(place: Workplace) -> list[Path]:
    return sorted((place.folder / "wandb").glob("wandb/offline-run-*"))


def test_an_offline_run_shows_metrics_configuration_and_group(offline: Workplace) -> None:
    folder = offline.fit("linear", "tracking.wandb=auto", "fold=1")
    (run,) = offline_runs(offline)
    (summary,) = inspect(run, "--summary")
    assert summary["state"] == "finished"
    assert summary["config"]["group"] == "linear_demo"
    assert summary["name"] == "linear_demo fold=1,seed=0,size=all"
    assert (summary["config"]["fold"], summary["config"]["optim"]["epochs"]) == (1, 3)
    assert summary["tags"] == ["linear", "demo", "demo-session5"]
    assert summary["project"] == "sermm"
    metrics = read_json(folder / "metrics.json")["metrics"]
    for name, value in metrics.items():
        assert summary["summary"][f"test/{name}"] == pytest.approx(value)
    for name in ("val/ua", "val/loss", "train/loss"):
        assert name in summary["summary"]
    assert summary["summary"]["test/predictions"]["nrows"] == 16
    assert summary["summary"]["test/confusion_matrix_table"]["nrows"] == 16
    assert summary["run_id"] == (folder / "wandb_run_id.txt").read_text().strip()

    records = inspect(run)
    (start,) = [record["run"] for record in records if record["type"] == "run"]
    assert (start["run_group"], start["job_type"]) == ("linear_demo", "fit")
    items = [record["history"]["item"] for record in records if record["type"] == "history"]
    assert len([item for item in items if "val/ua" in item]) == 3
    # nothing is kept of it beside this folder
    assert not [path for path in offline.folder.iterdir() if path.name not in ("runs", "wandb")]


def artifacts(run: Path) -> dict[str, dict[str, Any]]:
    """What was logged as artifacts, by name."""
    found = [record["artifact"] for record in inspect(run) if record["type"] == "artifact"]
    return {artifact["name"]: artifact for artifact in found if "name" in artifact}


def test_versions_classes_and_examples_are_sent(offline: Workplace) -> None:
    folder = offline.fit(
        "span", "tracking.wandb=offline", "tracking.examples=2", "tracking.tensorboard=true"
    )
    (run,) = offline_runs(offline)
    (summary,) = inspect(run, "--summary")
    assert summary["summary"]["test/classes"]["nrows"] == 4
    # all is in the folder, to be synced from anywhere
    media = [path for path in run.rglob("*") if path.is_file()]
    assert len([path for path in media if path.suffix == ".wav"]) == 2
    assert len([path for path in media if path.suffix == ".html"]) == 2
    (tensorboard,) = (folder / "tensorboard").glob("events.*")
    assert tensorboard.stat().st_size > 500
    found = artifacts(run)
    assert {"data-demo", "code-sermm"} <= set(found)
    metadata = json.loads(found["data-demo"]["metadata"])
    assert metadata["sha256"] == read_json(folder / "metrics.json")["data_sha256"]
    assert set(metadata) == {"corpus", "labels", "protocol", "sha256"}


def test_all_that_is_synced_later_lies_beside_the_runs(
    offline: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing in the home folder, which another machine may not see."""
    monkeypatch.delenv("WANDB_DATA_DIR")
    monkeypatch.setenv("WANDB_DIR", str(offline.folder))
    offline.fit("span", "tracking.wandb=offline", "tracking.examples=2")
    (run,) = (offline.folder / "wandb").glob("offline-run-*")
    kinds = set()
    for artifact in artifacts(run).values():
        for content in artifact["manifest"]["contents"]:
            kept = Path(content["local_path"])
            assert kept.is_relative_to(offline.folder / "wandb")
            assert base64_md5(kept) == content["digest"]
            kinds.add((artifact["type"], content["path"]))
    assert kinds == {
        ("dataset", "version.json"),
        ("code", "version.json"),
        ("run_table", "test/predictions.table.json"),
        ("run_table", "test/classes.table.json"),
        ("run_table", "test/confusion_matrix_table.table.json"),
    }
    # three tables, two sounds, two pictures
    files = list(named_files(inspect(run, "--summary")[0]["summary"]))
    assert len(files) == 7
    for path, sha256 in files:
        assert hashlib.sha256((run / "files" / path).read_bytes()).hexdigest() == sha256


def named_files(tree: Any) -> Iterator[tuple[str, str]]:
    """Path and hash of each file that a summary names."""
    if isinstance(tree, dict) and "sha256" in tree:
        yield tree["path"], tree["sha256"]
    elif isinstance(tree, dict | list):
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from named_files(value)


def base64_md5(path: Path) -> str:
    """As W&B writes the digest of a file."""
    return base64.b64encode(hashlib.md5(path.read_bytes(), usedforsecurity=False).digest()).decode()


def test_no_audio_leaves_unless_it_is_asked_for(offline: Workplace) -> None:
    offline.fit("span", "tracking.wandb=offline", "fold=1")
    (run,) = offline_runs(offline)
    assert not [path for path in run.rglob("*") if path.suffix in (".wav", ".npz", ".html")]


def test_figures_of_classes() -> None:
    found = Predictions(
        ids=("a", "b", "c", "d"),
        speakers=("s",) * 4,
        kind="classes",
        names=("calm", "cross", "never"),
        references=np.array([0, 0, 1, 1]),
        outcomes=np.array([0, 1, 1, 1]),
        probabilities=None,
    )
    assert class_rows(found) == [
        ["calm", 0.5, 1.0, pytest.approx(2 / 3), 2],
        ["cross", 1.0, pytest.approx(2 / 3), pytest.approx(0.8), 2],
        ["never", None, None, None, 0],
    ]


def test_a_whole_experiment_has_a_run_of_its_own(offline: Workplace) -> None:
    settings = offline.settings("linear", "tracking.wandb=offline", "plan.sizes=[16,32]")
    said = offline.sermm("experiment", *settings, "plan.folds=[0]", "plan.workers=1")
    assert said.status == 0, said
    runs = [inspect(run, "--summary")[0] for run in offline_runs(offline)]
    (whole,) = [run for run in runs if "data_size_table" in run["summary"]]
    assert whole["summary"]["data_size_table"]["nrows"] == 2
    assert whole["summary"]["runs"]["nrows"] == 2
    summary = read_json(offline.folder / "runs" / "linear_demo" / "summary.json")
    pooled = summary["metrics"]["ua"]["pooled"]
    assert whole["summary"]["pooled/ua"] == pytest.approx(pooled)


def test_a_resumed_run_is_the_same_run_to_wandb(offline: Workplace) -> None:
    settings = offline.settings("linear", "tracking.wandb=offline")
    killed = offline.fork("fit", *settings, prepare=kill_at("last.ckpt", 2, after=True))
    wait_for(killed)
    known = (offline.run_folder("linear") / "wandb_run_id.txt").read_text()
    offline.fit("linear", "tracking.wandb=offline")
    assert (offline.run_folder("linear") / "wandb_run_id.txt").read_text() == known
    runs = offline_runs(offline)
    assert len(runs) == 2
    # W&B numbers the folders of runs that begin within the same second: ...-ID, ...-ID-1
    assert all(re.search(rf"-{known.strip()}(-\d+)?$", run.name) for run in runs)


def test_a_failed_run_is_marked(offline: Workplace) -> None:
    folder = offline.folder / "run"
    folder.mkdir()
    logger = build_logger(tiny_config(), folder)
    assert logger.experiment.group == "tiny"
    close(logger, failed=True)
    (run,) = offline_runs(offline)
    (summary,) = inspect(run, "--summary")
    assert (summary["state"], summary["exit_code"]) == ("failed", 1)


def test_disabled_is_nothing_at_all(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert build_logger(tiny_config(), place.folder) is False
    log_results(False, place.folder / "none.csv", {})
    close(False)
    assert not list(place.folder.iterdir())


@pytest.mark.parametrize(
    ("stated", "variable", "key", "expected"),
    [
        ("auto", "", "", "offline"),
        ("auto", "", "secret", "online"),
        ("auto", "disabled", "secret", "disabled"),
        ("auto", "offline", "secret", "offline"),
        ("auto", "nonsense", "", "offline"),
        ("online", "offline", "", "online"),
        ("disabled", "online", "secret", "disabled"),
    ],
)
def test_who_decides(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    stated: str,
    variable: str,
    key: str,
    expected: str,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_MODE", variable)
    monkeypatch.setenv("WANDB_API_KEY", key)
    config = tiny_config()
    config.tracking.wandb = stated
    assert wandb_mode(config) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, False),
        ("machine api.wandb.ai\n  login user\n  password abc\n", True),
        ("machine api.forge.coreweave.com login user password abc\n", True),
        ("machine example.org login user password abc\n", False),
        ("this is no netrc", False),
    ],
)
def test_a_login_is_found_in_netrc(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None, expected: bool
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_BASE_URL", raising=False)
    if content is not None:
        (tmp_path / ".netrc").write_text(content)
        (tmp_path / ".netrc").chmod(0o600)
    assert logged_in() is expected
    # an instance of one's own has its own entry
    monkeypatch.setenv("WANDB_BASE_URL", "https://example.org:8080")
    assert logged_in() is bool(content and "example.org" in content)


def test_a_server_that_does_not_answer_is_one_line() -> None:
    import wandb

    expected = "dashboard: expected W&B's server to take this account, got no network; .* rest"
    with pytest.raises(ConfigError, match=expected), answered("sermm dashboard", "rest"):
        raise wandb.errors.CommError("no network")
