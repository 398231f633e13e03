"""The command line in this process, in a folder of its own, on the small corpus."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sermm.__main__ import main
from sermm.cli import run

# what is trained: experiment and overrides
TASKS: dict[str, tuple[str, ...]] = {
    "linear": ("linear_demo",),
    "acoustic": ("acoustic_demo", "model.conv_layers=1"),
    "text": ("text_demo",),
    "span": ("fusion_demo",),
    "attention": ("fusion_demo", "model.alignment=attention"),
    "none": ("fusion_demo", "model.alignment=none"),
}
# small, quick, and with everything that draws random numbers
SMALL = (
    "model.speech.num_bands=20",
    "model.conv_channels=8",
    "model.recurrent_hidden=8",
    "model.text.hidden=16",
    "model.text.heads=2",
    "model.text.vocab_size=200",
    "model.text.word_dropout=0.1",
    "model.augment.time_masks=1",
    "model.augment.noise=0.1",
    "optim.lr=5e-3",
    "optim.epochs=3",
    "data.batch_size=8",
    "trainer.accelerator=cpu",
    "tracking.wandb=disabled",
)


class Said(NamedTuple):
    """What a command answered."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Workplace:
    """A folder to work in, and a release and cache that several tests share."""

    folder: Path
    release: Path
    cache: Path

    def sermm(self, *arguments: str) -> Said:
        """Run a command; a traceback passes through, as it would reach a user."""
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            status = run(list(arguments))
        return Said(status, out.getvalue(), err.getvalue())

    def settings(self, task: str, *overrides: str) -> list[str]:
        """Arguments of ``fit`` and ``experiment``; a key that is stated again holds."""
        places = (f"data.root={self.release}", f"data.cache={self.cache}")
        name, *special = TASKS[task]
        merged = dict(text.split("=", 1) for text in (*places, *SMALL, *special, *overrides))
        return [name, *(f"{key}={value}" for key, value in merged.items())]

    def fit(self, task: str, *overrides: str) -> Path:
        """A run that must finish; returns its folder."""
        said = self.sermm("fit", *self.settings(task, *overrides))
        assert (said.status, said.err) == (0, ""), said
        return self.run_folder(task, *overrides)

    def run_folder(self, task: str, *overrides: str) -> Path:
        """Where a run of these settings goes."""
        stated = {"name": TASKS[task][0], "fold": "0", "seed": "0", "size": "all"}
        stated |= dict(text.split("=", 1) for text in overrides)
        key = f"fold={stated['fold']},seed={stated['seed']},size={stated['size']}"
        return self.folder / "runs" / stated["name"] / key

    def fork(self, *arguments: str, prepare: Callable[[], None] = lambda: None) -> int:
        """Run a command in a copy of this process; returns its id, which leads a group of its own.

        Costs no second import of torch. What the command says goes to ``fork.txt``.

        Args:
            arguments: Of the command line.
            prepare: Called in the copy first.
        """

        def command() -> int:
            os.setsid()
            become_a_program(
                os.open(
                    self.folder / "fork.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
                )
            )
            prepare()
            return call_main(arguments)

        return copy_of_this(command)

    def said_by_fork(self) -> str:
        """Everything that the last copy printed."""
        return (self.folder / "fork.txt").read_text()


def copy_of_this(work: Callable[[], object]) -> int:
    """Do something in a copy of this process, which then ends; returns its id.

    Its exit status is the number that the work returns, else 0, and 99 after an error: it never
    comes back to the test.
    """
    if pid := os.fork():
        return pid
    status = 99
    try:
        result = work()
        status = result if isinstance(result, int) else 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def become_a_program(handle: int) -> None:
    """Shake off what a test runner did to its process; output goes to this file descriptor."""
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.stdout = sys.stderr = open(handle, "w", buffering=1, closefd=False)  # noqa: SIM115
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def call_main(arguments: Sequence[str]) -> int:
    """The exit status of ``sermm`` with these arguments."""
    sys.argv = ["sermm", *arguments]
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    except BaseException:
        traceback.print_exc()
    return 1


def wait_until(condition: Callable[[], object], timeout_s: float = 600.0) -> None:
    """Look again and again until it holds; the limit is against hanging alone."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def wait_for(pid: int) -> int:
    """The exit status of a child; minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def wait_for_stop(pid: int) -> None:
    """Until a child has stopped itself (SIGSTOP), where nothing happens until it is told more."""
    status = os.waitpid(pid, os.WUNTRACED)[1]
    assert os.WIFSTOPPED(status), f"it has ended: {os.waitstatus_to_exitcode(status)}"


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or waits only for somebody to ask for its status (Linux)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def children_of(pid: int) -> list[int]:
    """Processes that a process has started, by any of its threads (Linux)."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            found += map(int, thread.read_text().split())
    return found


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def probabilities(folder: Path) -> dict[str, list[float]]:
    """Test probabilities of a run by utterance."""
    return {
        row["utterance_id"]: [float(value) for name, value in row.items() if name[:2] == "p_"]
        for row in read_table(folder / "predictions.csv")
    }
