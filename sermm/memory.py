"""Training that runs out of memory says on which utterances, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import ceil, floor
from typing import Any

import lightning as L
import torch

from data_modules.errors import RunFailedError, first_ids


class BatchInHand(L.Callback):
    """Remembers the batch that is being computed.

    Args:
        seconds: Of each utterance by its id; empty without audio.
    """

    def __init__(self, seconds: Mapping[str, float]) -> None:
        self.seconds = seconds
        self.stage = "training"
        self.ids: list[str] = []

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        """Training."""
        self.stage, self.ids = "training", batch.utterance_ids

    def on_validation_batch_start(
        self, trainer: Any, module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Validation."""
        self.stage, self.ids = "evaluation", batch.utterance_ids

    def on_test_batch_start(
        self, trainer: Any, module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Test."""
        self.stage, self.ids = "evaluation", batch.utterance_ids

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Turn an error of too little memory into one that names the batch.

        Raises:
            RunFailedError: There was too little memory.
        """
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise self._error(str(error)) from error

    def _error(self, said: str) -> RunFailedError:
        lengths = [self.seconds[name] for name in self.ids if name in self.seconds]
        padded = len(lengths) * max(lengths, default=0.0)
        size = f"{len(self.ids)} utterances" if len(self.ids) != 1 else "1 utterance"
        if lengths:
            size += f", {sum(lengths):.1f} s, with padding {padded:.1f} s"
        return RunFailedError(
            f"memory in {self.stage}",
            expected="enough for every batch",
            got=f"too little for {first_ids(self.ids)} ({size}): {said.splitlines()[0]}",
            fix=self._fix(max(lengths, default=0.0), padded),
        )

    def _fix(self, longest: float, padded: float) -> str:
        """What to set: half of what was too much, where there is a half."""
        half = len(self.ids) // 2
        if self.stage != "training":
            smaller = f"set data.eval_batch_size={half}, which changes no result"
            return smaller if half else "use a device with more memory"
        if not half:
            return (
                f"leave such utterances out with data.max_seconds={floor(longest)}, "
                "or use a device with more memory"
                if longest >= 1
                else "use a device with more memory"
            )
        budget = max(ceil(longest), floor(padded / 2))
        setting = f"data.batch_seconds={budget}" if longest else f"data.batch_size={half}"
        return f"set {setting}, and optim.accumulate twice as high to keep the update"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out; torch has a type for that of a GPU, and a text for that of a CPU."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
