from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from data_modules.errors import ConfigError
from sermm import rundir
from sermm.config import Config, DataConfig, ModelConfig, fingerprint
from sermm.rundir import (
    environment,
    experiment_folder,
    git_revision,
    is_done,
    run_folder,
)

SHA256 = "0" * 64


def config(tmp_path: Path) -> Config:
    return Config(
        name="made",
        runs=str(tmp_path / "runs"),
        data=DataConfig(corpus="demo", labels="iemocap4", protocol="demo-session5"),
        model=ModelConfig(task="linear"),
    )


def begin(made: Config, data_sha256: str = SHA256, *, finished: bool = False) -> Path:
    folder = run_folder(made)
    folder.mkdir(parents=True)
    (folder / "environment.json").write_text(json.dumps(environment(made, data_sha256)))
    if finished:
        (folder / "metrics.json").write_text("{}")
    return folder


def test_the_folder_names_the_run(tmp_path: Path) -> None:
    made = replace(config(tmp_path), fold=2, seed=1, size=500)
    assert experiment_folder(made) == tmp_path / "runs" / "made"
    assert run_folder(made).name == "fold=2,seed=1,size=500"
    assert run_folder(replace(made, size=None)).name == "fold=2,seed=1,size=all"


def test_a_run_is_done_when_its_metrics_are_there(tmp_path: Path) -> None:
    made = config(tmp_path)
    assert not is_done(made, SHA256)
    folder = begin(made)
    assert not is_done(made, SHA256)
    (folder / "metrics.json").write_text("{}")
    assert is_done(made, SHA256)


@pytest.mark.parametrize("finished", [False, True])
def test_a_folder_of_another_configuration_is_refused(tmp_path: Path, finished: bool) -> None:
    made = config(tmp_path)
    begin(made, finished=finished)
    one = replace(made, optim=replace(made.optim, epochs=31))
    with pytest.raises(ConfigError, match=r"got one with optim\.epochs=30 \(now 31\); give"):
        is_done(one, SHA256)
    many = replace(made, optim=replace(made.optim, epochs=31, lr=1.0, patience=1, text_lr=0.5))
    with pytest.raises(ConfigError, match=r"optim\.patience=0 \(now 1\) and 1 more; give"):
        is_done(many, SHA256)
    unknown = replace(made, data=replace(made.data, aligners=["corpus", "uniform"]))
    with pytest.raises(ConfigError, match=r'data\.aligners=\["corpus"\] \(now \["corpus", "uni'):
        is_done(unknown, SHA256)


def test_a_folder_of_an_earlier_version_with_fewer_keys_is_refused(tmp_path: Path) -> None:
    made = config(tmp_path)
    path = begin(made) / "environment.json"
    record = json.loads(path.read_text())
    del record["result_keys"]["optim.warmup_share"]
    path.write_text(json.dumps(record | {"fingerprint": "earlier"}))
    with pytest.raises(ConfigError, match=r"optim\.warmup_share=null \(now 0\.1\)"):
        is_done(made, SHA256)


def test_a_folder_of_other_data_is_refused(tmp_path: Path) -> None:
    made = config(tmp_path)
    begin(made)
    with pytest.raises(ConfigError, match="expected a run on the data as it is now"):
        is_done(made, "1" * 64)


def test_where_and_how_fast_may_change(tmp_path: Path) -> None:
    made = config(tmp_path)
    folder = begin(made, finished=True)
    moved = replace(
        made,
        description="another text",
        data=replace(made.data, root="elsewhere", cache="there", num_workers=3),
        plan=replace(made.plan, seeds=[0, 1], workers=4),
        tracking=replace(made.tracking, wandb="disabled"),
    )
    assert run_folder(moved) == folder
    assert is_done(moved, SHA256)


def test_what_a_number_may_depend_on(tmp_path: Path) -> None:
    made = config(tmp_path)
    about = environment(made, SHA256)
    assert about["fingerprint"] == fingerprint(made)
    assert about["data_sha256"] == SHA256
    for name in ("torch", "torchaudio", "lightning", "transformers", "numpy", "sermm"):
        assert about["packages"][name]
    for name in ("python", "platform", "cpu", "cpu_count", "num_threads", "command", "gpus"):
        assert about[name] or name == "gpus"
    json.dumps(about)


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_the_revision_is_that_of_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "checkout" / "sermm"
    package.mkdir(parents=True)
    (package / "rundir.py").write_text("")
    monkeypatch.setattr(rundir, "__file__", str(package / "rundir.py"))
    # installed, not checked out
    assert git_revision() is None
    git(package.parent, "init")
    git(package.parent, "add", ".")
    git(package.parent, "commit", "-m", "first")
    clean = git_revision()
    assert clean is not None
    assert len(clean) == 12
    (package / "rundir.py").write_text("# changed")
    assert git_revision() == f"{clean}-dirty"
    monkeypatch.setenv("PATH", "")
    assert git_revision() is None
