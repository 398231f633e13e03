"""What the user sees while things run: one console, progress with remaining time, failures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

console = Console()

OnProgress = Callable[[int, int], None]


def say(text: str, style: str | None = None) -> None:
    """Print one line as it is: paths keep their brackets, and logs their line ends."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def new_progress() -> Progress:
    """Bars with counts, elapsed and remaining time; nothing is drawn where there is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


@contextmanager
def progress_bar(description: str) -> Iterator[OnProgress]:
    """A bar for one job; the job calls what this yields with (done, total)."""
    with new_progress() as progress:
        task = progress.add_task(description, total=None)

        def on_progress(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield on_progress


@contextmanager
def byte_bar(description: str) -> Iterator[OnProgress]:
    """As :func:`progress_bar`, for bytes: with their rate."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task(description, total=None)

        def on_progress(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield on_progress
