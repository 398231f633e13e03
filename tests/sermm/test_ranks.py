"""Who starts processes that train together. How they train is in ``test_ddp.py``."""

from __future__ import annotations

import pytest

from data_modules.errors import ConfigError
from sermm.compose import load_config
from sermm.ranks import is_first

TWO = ("trainer.devices=2", "trainer.strategy=ddp", "trainer.accelerator=cpu")


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> None:
    """What srun sets for the second of two tasks."""
    for name in ("TORCHELASTIC_RUN_ID", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    here = {"SLURM_JOB_NAME": "sermm", "SLURM_NTASKS": "2", "SLURM_PROCID": "1"}
    for name, value in here.items():
        monkeypatch.setenv(name, value)


def test_tasks_of_slurm_are_counted_by_machine(task: None, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config("fusion_demo", TWO)
    with pytest.raises(ConfigError, match=r"got --ntasks=2; .* --nodes=1 --ntasks-per-node=2"):
        is_first(config)
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "2")
    assert not is_first(config)
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert is_first(config)
