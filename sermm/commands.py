"""What each command does once its arguments are known to be right."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from data_modules.corpora import find_corpus
from data_modules.errors import ConfigError, CorpusNotFoundError, RunFailedError
from sermm.align_options import AlignOptions, check_options
from sermm.config import Config
from sermm.earlier_runs import check_earlier_runs, find_stage_ones, stage_ones
from sermm.extract_options import ExtractOptions
from sermm.inputs import check_inputs
from sermm.report_commands import write_and_print
from sermm.rundir import experiment_folder
from sermm.terminal import console, progress_bar, say
from sermm.validation import Validation

if TYPE_CHECKING:
    from data_modules.check import CheckResult, Survey
    from data_modules.download import Source
    from data_modules.prepare import Prepared


def prepare_corpus(name: str, root: Path, cache: Path) -> None:
    """Read a release and print what is in it; raises RunFailedError if a check fails."""
    corpus = find_corpus(name)
    if not root.is_dir():
        raise CorpusNotFoundError(
            "--root",
            expected=f"the folder of {corpus.title}",
            got=f"{root}, no folder",
            fix="correct it",
        )
    from data_modules.check import Survey
    from data_modules.prepare import prepare

    with progress_bar(f"reading {corpus.name}") as on_progress:
        prepared = prepare(corpus, root, cache, on_progress=on_progress)
    survey = Survey(prepared)
    _refuse_failed(survey, _print_survey(survey))


def check_corpus(name: str, cache: Path, *, audio: bool = True) -> None:
    """Print the checks of a prepared corpus and write their page.

    Raises:
        RunFailedError: One of them fails.
    """
    corpus = find_corpus(name)
    from data_modules.check import Survey
    from data_modules.prepare import load_prepared
    from sermm.report.check_page import write_check_page

    survey = Survey(load_prepared(corpus, cache))
    results = _print_survey(survey)
    say(f"page: {write_check_page(survey, results, with_audio=audio)}")
    _refuse_failed(survey, results)


def _print_survey(survey: Survey) -> list[CheckResult]:
    from data_modules import tables
    from data_modules.check import check

    results = check(survey)
    for table in (
        tables.counts_table(survey),
        tables.folds_table(survey),
        tables.overlaps_table(survey),
        tables.exclusions_table(survey.prepared),
        tables.checks_table(results),
    ):
        if table is not None:
            console.print(table)
    return results


def _refuse_failed(survey: Survey, results: Sequence[CheckResult]) -> None:
    failed = [result for result in results if result.status == "fail"]
    if failed:
        raise RunFailedError(
            f"checks of {survey.prepared.corpus.name}",
            expected="all to pass",
            got="; ".join(f"{r.name}: {r.detail}" for r in failed),
            fix="; ".join(dict.fromkeys(r.fix for r in failed if r.fix)),
        )


def download_corpus(name: str, root: Path, *, accepted: bool) -> None:
    """Fetch a corpus once its licence is accepted."""
    from data_modules.download import download, expect_room, find_source, find_whole
    from sermm.terminal import byte_bar

    source = find_source(name)
    there = find_whole(source, root) is not None
    if not there:
        expect_room(source, root)
        _accept_licence(source, accepted=accepted)
    with byte_bar(source.title) as on_progress:
        record = download(source, root, say=say, on_progress=on_progress)
    say(
        f"{source.title} {'was there already' if there else 'is there'}: {record.num_files:,} "
        f"files, {record.num_bytes / 1e6:,.0f} MB in {root}, fetched {record.finished}"
    )
    say(f"compared with: {record.verified}; to check again: sha256sum -c SHA256SUMS")
    say(f"go on with: sermm prepare {name} --root {root}")


def _accept_licence(source: Source, *, accepted: bool) -> None:
    licence = source.licence
    wanted = f"the licence of {source.title} ({licence.name}) to be accepted"
    fix = f"read {licence.url} and add --accept-licence"
    if not accepted and not (sys.stdin and sys.stdin.isatty()):
        raise ConfigError("--accept-licence", expected=wanted, got="no terminal to ask at", fix=fix)
    say(f"{source.title}, {source.version}, {source.num_bytes / 1e6:,.0f} MB to fetch")
    say(f"licence: {licence.name}, {licence.url}")
    say(licence.terms)
    if accepted:
        say("accepted with --accept-licence")
    elif typer.prompt("type yes to accept it", default="no", show_default=False) != "yes":
        raise ConfigError("the licence", expected=wanted, got="no", fix=fix)


def convert_mmsa_file(source: Path, target: Path) -> None:
    """Convert a feature file of MMSA and print what was in it."""
    from data_modules.mmsa import convert_mmsa

    with progress_bar(f"converting {source.name}") as on_progress:
        made = convert_mmsa(source, target, on_progress=on_progress)
    if made.published:
        say(f"{source} is MMSA's {made.published}")
    else:
        say(f"{source} is none of the files that MMSA publishes, by their checksums")
    if made.left_out:
        say(f"not converted, as MMSA knows no such names: {', '.join(made.left_out)}")
    parts = ", ".join(f"{part} {number}" for part, number in made.num_utterances.items())
    say(f"{made.path}: {parts}")


def align_words(name: str, cache: Path, options: AlignOptions) -> None:
    """Time the words of a prepared corpus and print the shares.

    Raises:
        ConfigError: An option is missing, or belongs to another aligner.
    """
    corpus = find_corpus(name)
    check_options(options)
    from data_modules.prepare import load_prepared
    from sermm.align_stage import align_by_options

    align_by_options(load_prepared(corpus, cache), options)


def extract_features(config: Config, options: ExtractOptions) -> None:
    """Bring everything up to the features into place, here or in jobs.

    Raises:
        ConfigError: The options do not go together.
    """
    check_inputs(config)
    how = options.check()
    if stage_ones(config):
        _extract_of_runs(config)
        return
    from sermm.stages import load_ready, make_ready, stores_features, wanted_ids

    if how == "here" or not stores_features(config):
        make_ready(config)
        return
    from sermm.extract_stage import announce, extract_in_jobs, extract_missing, find_work, warn

    if how == "shard":
        prepared = load_ready(config)
        extract_missing(config, prepared, wanted_ids(config, prepared), share=options.share())
        return
    prepared = make_ready(config, features=False)
    work = find_work(config, prepared, wanted_ids(config, prepared))
    if work.missing:
        announce(config, work)
        extract_in_jobs(config, work, options.engine(), [[]] * (options.shards or 1))
    warn(work)


def _extract_of_runs(config: Config) -> None:
    """Features of encoders that differ from run to run, for each run of the plan."""
    from sermm.extract_stage import extract_each
    from sermm.plan import config_of, plan_runs
    from sermm.stages import make_ready, make_selection, wanted_ids

    prepared = make_ready(config)
    for key in plan_runs(config, len(make_selection(config, prepared).folds)):
        of_run = config_of(config, key)
        find_stage_ones(of_run)
        extract_each(of_run, prepared, wanted_ids(of_run, prepared), of_run=True)


def fit_run(config: Config, *, ready: bool) -> None:
    """One run."""
    check_inputs(config)
    from sermm.ranks import first_makes, is_first
    from sermm.stages import load_ready, make_ready

    def make() -> Prepared:
        return load_ready(config) if ready else make_ready(config)

    prepared = first_makes(config, make, lambda: load_ready(config))
    from sermm.run import fit

    metrics = fit(config, prepared)
    if not is_first(config):
        return
    if metrics is None:
        say("this run is finished already")
        return
    if isinstance(metrics, Validation):
        say(
            f"fold {metrics.fold}, seed {metrics.seed}: val/{metrics.score} {metrics.value:.3f} "
            f"on {metrics.num_val} validation utterances; not tested"
        )
        return
    scores = ", ".join(f"{name} {metrics.metrics[name]:.3f}" for name in metrics.scoring.brief)
    say(f"fold {metrics.fold}, seed {metrics.seed}: {scores} on {metrics.num_test} test utterances")


def run_experiment(config: Config, *, on: str = "", options: Sequence[str] = ()) -> None:
    """The whole plan and its report, its runs as processes of this one or as jobs of an engine.

    Raises:
        ConfigError: It is not to be tested, or the engine is wrong.
        RunFailedError: A run failed.
    """
    if not config.test:
        raise ConfigError(
            "test",
            expected="true, as an experiment reports its test part",
            got="false",
            fix="remove it, or train and select alone with `sermm trial`",
        )
    if options and not on:
        raise ConfigError(
            "--on-option", expected="an engine beside it", got="none", fix="add --on slurm"
        )
    check_inputs(config)
    from sermm.plan import config_of, execute, plan_runs
    from sermm.plan_jobs import execute_on, plan_engine
    from sermm.stages import hash_of_data, make_ready, make_selection

    engine = plan_engine(config, on, options) if on else None
    prepared = make_ready(config)
    selection = make_selection(config, prepared)
    keys = plan_runs(config, len(selection.folds))
    for key in keys:  # what cannot be drawn or had is told before anything is trained
        check_earlier_runs(config_of(config, key))
        selection.fold_of_size(key.fold, key.size, key.seed, config.data.draw)  # type: ignore[arg-type]
    sha256 = hash_of_data(config, prepared, selection)
    if engine is None:
        outcome = execute(config, keys, sha256)
    else:
        outcome = execute_on(engine, config, keys, sha256)
    if outcome.skipped:
        say(f"{len(outcome.skipped)} of {len(keys)} runs were finished before")
    if len(outcome.failed) < len(keys):
        write_and_print(experiment_folder(config), keys, len(selection.folds))
        from sermm.summary import read_summary
        from sermm.tracking import log_summary

        log_summary(config, experiment_folder(config), read_summary(experiment_folder(config)))
    if outcome.failed:
        named = "; ".join(f"{key.folder_name}: {why}" for key, why in outcome.failed.items())
        raise RunFailedError(
            f"experiment {config.name}",
            expected=f"all {len(keys)} runs to finish",
            got=f"{len(outcome.failed)} that failed ({named})",
            fix="mend the cause and run the same command again; finished runs are kept",
        )


def save_dashboard_of(config: Config) -> None:
    """Save a W&B workspace and report for the scores of an experiment's targets."""
    from data_modules.corpora import find_scheme
    from sermm.dashboard import save_dashboard
    from sermm.inputs import corpus_root
    from sermm.scoring import find_scoring

    corpus = find_corpus(config.data.corpus)
    if corpus.schemes_of is not None:
        corpus = corpus.at(corpus_root(config).resolve())
    scheme = find_scheme(config.data.labels, corpus)
    save_dashboard(config, find_scoring(scheme.kind, scheme.names, scheme.family).brief)
