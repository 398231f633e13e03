"""What ``sermm report``, ``compare``, ``leaderboard`` and ``protocols`` do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data_modules.errors import ConfigError, DataError, SermmError
from sermm.config import Config
from sermm.run_metrics import RunKey
from sermm.rundir import experiment_folder
from sermm.terminal import console, say


def write_and_print(
    folder: Path, keys: Sequence[RunKey], num_folds: int | None, *, with_audio: bool = True
) -> None:
    """Sum up the runs of a plan, write the page and print the table."""
    from sermm.report import print_summary, write_report
    from sermm.summary import summarise, write_summary

    summary = summarise(folder, keys, num_folds)
    write_summary(folder, summary)
    page = write_report(folder, with_audio=with_audio)
    print_summary(console, summary)
    say(f"report: {page}")


def report_experiments(names: Sequence[str], runs: Path, *, with_audio: bool) -> None:
    """Write the reports of experiments again and print their tables."""
    folders = [existing(runs / name) for name in names]
    from sermm.results import find_runs
    from sermm.summary import FILE_NAME, planned_runs, read_summary

    for folder in folders:
        known = (folder / FILE_NAME).is_file()
        # the plan knows of runs that are missing; without one, what is there is the plan
        keys = planned_runs(folder) if known else find_runs(folder)
        num_folds = read_summary(folder)["num_folds"] if known else None
        write_and_print(folder, keys, num_folds, with_audio=with_audio)


def compare_experiments(names: Sequence[str], runs: Path, *, common: bool, to_first: bool) -> None:
    """Print the paired differences of experiments and write their page."""
    if len(names) < 2 or len(set(names)) < len(names):
        raise ConfigError(
            "NAMES",
            expected="two or more experiments, each once",
            got=" ".join(names),
            fix="name others",
        )
    folders = [existing(runs / name) for name in names]
    from sermm.compare import compare_all
    from sermm.report.compare_page import folder_of, print_comparisons, write_comparison

    found = compare_all(folders, common=common, to_first=to_first)
    print_comparisons(console, found)
    say(f"page: {write_comparison(folder_of(names, runs), found)}")


def draw_curves(names: Sequence[str], runs: Path, published: str | None, output: Path) -> None:
    """Draw experiments by training size on one page."""
    from sermm.published import find_published

    beside = find_published(published) if published is not None else ()
    folders = [existing(runs / name) for name in names]
    from sermm.report.curves import write_curves

    write_curves(folders, beside, output, console)
    say(f"page: {output}")


def list_experiments(runs: Path) -> None:
    """Print all experiments of a folder by corpus, labels and protocol, and write their page."""
    from sermm.leaderboard import read_leaderboard
    from sermm.report.listing import print_leaderboard, write_leaderboard

    board = read_leaderboard(runs)
    print_leaderboard(console, board)
    say(f"page: {write_leaderboard(runs, board)}")


def study_protocols(config: Config, named: Sequence[str]) -> None:
    """Run an experiment under several protocols, and put them side by side.

    Raises:
        SermmError: The experiment cannot be run under a protocol that was named.
    """
    from sermm.commands import run_experiment
    from sermm.limits import validate
    from sermm.protocol_study import config_under, protocols_for, summarise_study
    from sermm.report.listing import print_study, write_study
    from sermm.stages import make_ready, make_selection

    left_out: dict[str, str] = {}
    folders = []
    for protocol in protocols_for(config, named):
        own = config_under(config, protocol)
        try:
            validate(own)
            make_selection(own, make_ready(own))
        except SermmError as error:
            # of those that nobody named, some do not fit a corpus
            if named or protocol == config.data.protocol:
                raise
            left_out[protocol] = str(error)
            continue
        run_experiment(own)
        folders.append(experiment_folder(own))
    study = summarise_study(config.name, folders, left_out)
    print_study(console, study)
    say(f"page: {write_study(Path(config.runs) / 'protocols' / config.name, study)}")


def existing(folder: Path) -> Path:
    """The folder of an experiment. Raises DataError if there is none."""
    if folder.is_dir():
        return folder
    raise DataError(
        folder,
        expected="the folder of an experiment that has run",
        got="no such folder",
        fix=f"run `sermm experiment {folder.name}` first, or give --runs",
    )
