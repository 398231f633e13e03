"""Training that runs out of memory: which utterances, how long, what to set."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from data_modules.errors import RunFailedError
from data_modules.manifest import read_manifest
from sermm.memory import BatchInHand, is_out_of_memory
from sermm.tasks.base import EmotionTask
from tests.sermm.workplace import Workplace


def too_much(*_: Any) -> None:
    """What torch's CPU allocator says, from itself: more bytes than any machine has."""
    torch.empty(2**56, dtype=torch.uint8)


def too_much_on_a_gpu(*_: Any) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nAnd more")


@pytest.mark.parametrize("allocate", [too_much, too_much_on_a_gpu])
def test_the_error_names_the_batch_its_seconds_and_a_budget(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, allocate: Any
) -> None:
    """The second batch is too much, while gradients are computed."""
    seen: list[Any] = []

    def backward(self: EmotionTask, loss: Any, *_: Any, **__: Any) -> None:
        if len(seen) == 2:
            allocate()
        loss.backward()

    step = EmotionTask.training_step

    def training_step(self: EmotionTask, batch: Any, batch_idx: int) -> Any:
        seen.append(batch)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(EmotionTask, "training_step", training_step)
    monkeypatch.setattr(EmotionTask, "backward", backward)
    said = place.sermm("fit", *place.settings("span", "data.batch_size=6"))
    assert said.status == 1
    (line,) = said.err.splitlines()
    ids = seen[1].utterance_ids
    assert line.startswith(
        "error: memory in training: expected enough for every batch, got too little for "
        f"{', '.join(ids[:5])} (and 1 more) (6 utterances, "
    )
    lengths = durations(place.cache)
    seconds, longest = sum(lengths[name] for name in ids), max(lengths[name] for name in ids)
    found = re.search(r"\(6 utterances, ([\d.]+) s, with padding ([\d.]+) s\): (.*); set ", line)
    assert found is not None, line
    assert float(found[1]) == pytest.approx(seconds, abs=0.06)
    assert float(found[2]) == pytest.approx(6 * longest, abs=0.06)
    expected = "can't allocate memory" if allocate is too_much else "CUDA out of memory"
    assert expected in found[3]
    (budget,) = re.findall(r"; set data\.batch_seconds=(\d+), and optim\.accumulate twice", line)
    assert longest <= int(budget) < 6 * longest
    # the advice can be taken, and then memory suffices
    monkeypatch.undo()
    monkeypatch.chdir(place.folder)
    place.fit("span", "name=smaller", f"data.batch_seconds={budget}", "optim.accumulate=2")


def durations(cache: Path) -> dict[str, float]:
    """Seconds of each utterance, from the corpus as it was prepared."""
    return {u.id: u.duration_s for u in read_manifest(cache / "manifests" / "demo.jsonl")}


class FakeBatch:
    def __init__(self, *ids: str) -> None:
        self.utterance_ids = list(ids)


@pytest.mark.parametrize(
    ("stage", "ids", "seconds", "fix"),
    [
        ("train", "ab", {"a": 2.0, "b": 4.2}, "set data.batch_seconds=5, and optim.accumulate"),
        ("train", "abcd", {}, "set data.batch_size=2, and optim.accumulate twice as high"),
        ("train", "a", {"a": 31.5}, "with data.max_seconds=31, or use a device with more"),
        ("train", "a", {}, "use a device with more memory"),
        ("test", "abc", {"a": 1.0}, "set data.eval_batch_size=1, which changes no result"),
        ("validation", "a", {"a": 1.0}, "use a device with more memory"),
    ],
)
def test_what_to_set(stage: str, ids: str, seconds: dict[str, float], fix: str) -> None:
    in_hand = BatchInHand(seconds)
    getattr(in_hand, f"on_{stage}_batch_start")(None, None, FakeBatch(*ids), 0)
    with pytest.raises(RunFailedError, match=re.escape(fix)) as raised, in_hand.explaining():
        raise torch.OutOfMemoryError("CUDA out of memory.")
    assert raised.value.exit_status == 1


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shape"), BatchInHand({}).explaining():
        raise RuntimeError("shape mismatch")
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(ValueError("can't allocate memory"))
