"""What the user sees of a sweep: a table of trials that is drawn anew while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.live import Live
from rich.table import Table

from sermm.sweep.file import Sweep
from sermm.sweep.study import best_of, heard_out, values_of
from sermm.terminal import console

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

_MOST_ROWS = 12


class TrialTable:
    """A live table where there is a terminal, and nothing elsewhere.

    Args:
        sweep: Whose trials are shown.
    """

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self._live = (
            Live(console=console, transient=True, refresh_per_second=2)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> TrialTable:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, study: optuna.Study, epochs: Mapping[int, int]) -> None:
        """Draw the trials that run and the best so far.

        Args:
            study: Of the sweep.
            epochs: Epochs that trials of this process have finished, by number.
        """
        if self._live is None:
            return
        running = [t for t in study.get_trials(deepcopy=False) if t.state.name == "RUNNING"]
        best = _ranked(study, self.sweep)[: _MOST_ROWS - len(running)]
        self._live.update(trial_table(self.sweep, [*running, *best], epochs))


def print_best(study: optuna.Study, sweep: Sweep, number: int = 5) -> None:
    """Print the best trials."""
    console.print(trial_table(sweep, _ranked(study, sweep)[:number], {}))


def _ranked(study: optuna.Study, sweep: Sweep) -> list[FrozenTrial]:
    left, ranked = heard_out(study), []
    while (best := best_of(left, maximise=sweep.maximise)) is not None:
        ranked.append(best)
        left.remove(best)
    return ranked


def trial_table(sweep: Sweep, trials: list[FrozenTrial], epochs: Mapping[int, int]) -> Table:
    """Trials with their values, one a row."""
    varied = [p.key for p in sweep.parameters if p.distribution != "constant"]
    table = Table(title=f"{sweep.name}: {sweep.experiment}")
    table.add_column("trial", justify="right")
    table.add_column(sweep.metric, justify="right")
    for name in _short_names(varied):
        table.add_column(name, justify="right")
    for trial in trials:
        values = values_of(trial)
        cells = [_cell(values.get(key, "")) for key in varied]
        table.add_row(f"{trial.number}{_mark(trial)}", _value(trial, epochs), *cells)
    return table


def _short_names(keys: list[str]) -> list[str]:
    """Last parts of keys, as many as tell them apart."""

    def tail(key: str, number: int) -> str:
        return ".".join(key.split(".")[-number:])

    return [
        next(
            tail(key, number)
            for number in range(1, 9)
            if sum(tail(other, number) == tail(key, number) for other in keys) == 1
        )
        for key in keys
    ]


def _mark(trial: FrozenTrial) -> str:
    return " (default)" if trial.user_attrs.get("default") else ""


def _value(trial: FrozenTrial, epochs: Mapping[int, int]) -> str:
    if trial.state.name == "RUNNING":
        done = epochs.get(trial.number)
        return "running" if not done else f"epoch {done}"
    return "" if trial.value is None else f"{trial.value:.4f}"


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
