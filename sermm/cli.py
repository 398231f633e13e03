"""The command line. Each command checks its input before it imports anything that takes time.

Exit status: 0 done; 1 something ran and failed; 2 the input is wrong (one line on stderr, a
traceback only with ``--debug``); 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from data_modules.errors import STOPPED, SermmError
from sermm.cli_models import add_commands
from sermm.ending import ending_of

app = typer.Typer(
    name="sermm",
    help="Honest speech + text emotion recognition experiments.",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

cache_app = typer.Typer(
    help="The feature cache: what it holds, whether it is whole, what may go.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(cache_app, name="cache")

Name = Annotated[str, typer.Argument(help="An experiment (see `experiments/`) or a YAML file.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Settings as key=value, such as seed=1 optim.lr=1e-3.")
]
CorpusName = Annotated[str, typer.Argument(help="A corpus that sermm reads.")]
Cache = Annotated[Path, typer.Option(help="Folder of manifests and features.")]
Runs = Annotated[Path, typer.Option(help="Folder of run folders.")]


@app.callback()
def _options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def prepare(
    corpus: CorpusName,
    root: Annotated[Path, typer.Option(help="Folder of the release.")],
    cache: Cache = Path("cache"),
) -> None:
    """Read a release, write its manifest, run the checks, print counts beside published ones."""
    from sermm.commands import prepare_corpus

    prepare_corpus(corpus, root, cache)


@app.command()
def check(
    corpus: CorpusName,
    cache: Cache = Path("cache"),
    audio: Annotated[bool, typer.Option(help="Put a few clips on the page.")] = True,
) -> None:
    """Run the checks of a prepared corpus, write a page; exit status 1 if one fails."""
    from sermm.commands import check_corpus

    check_corpus(corpus, cache, audio=audio)


@app.command()
def download(
    corpus: Annotated[str, typer.Argument(help="An openly licensed corpus.")],
    root: Annotated[Path, typer.Option(help="Folder for the release.")],
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="The licence of the corpus is accepted.")
    ] = False,
) -> None:
    """Fetch an openly licensed corpus: goes on where it was stopped, checks every file."""
    from sermm.commands import download_corpus

    download_corpus(corpus, root, accepted=accept_licence)


@app.command("convert-mmsa")
def convert_mmsa(
    source: Annotated[Path, typer.Argument(help="A feature file of MMSA, such as aligned_50.pkl.")],
    target: Annotated[Path, typer.Argument(help="The HDF5 file to write, NAME.h5.")],
) -> None:
    """Turn MMSA's pickle into HDF5: plain data and arrays alone, nothing in it is run."""
    from sermm.commands import convert_mmsa_file

    convert_mmsa_file(source, target)


@app.command()
def align(
    corpus: CorpusName,
    aligner: Annotated[
        str, typer.Option(help="pocketsphinx, ctc, textgrid or uniform.")
    ] = "pocketsphinx",
    cache: Cache = Path("cache"),
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes; without it all cores, ctc one with all cores."),
    ] = None,
    model: Annotated[
        str, typer.Option(help="ctc: folder or hub id of a CTC model that spells.")
    ] = "",
    revision: Annotated[
        str | None, typer.Option(help="ctc: branch, tag or commit of a hub id.")
    ] = None,
    device: Annotated[
        str, typer.Option(help="ctc: auto (a GPU if there is one), cpu, or as torch names it.")
    ] = "auto",
    textgrids: Annotated[
        Path | None, typer.Option(help="textgrid: folder of NAME.TextGrid files.")
    ] = None,
    tier: Annotated[
        str | None, typer.Option(help="textgrid: name of the tier with the words.")
    ] = None,
) -> None:
    """Time the words of a prepared corpus; prints how many words each source gave."""
    from sermm.align_options import AlignOptions
    from sermm.commands import align_words

    align_words(
        corpus,
        cache,
        AlignOptions(aligner, workers, model, revision, device, textgrids, tier),
    )


@app.command()
def config(name: Name, overrides: Overrides = None) -> None:
    """Print the resolved configuration."""
    from sermm.compose import load_config
    from sermm.config import to_yaml

    sys.stdout.write(to_yaml(load_config(name, overrides or [])))


@app.command()
def extract(
    name: Name,
    overrides: Overrides = None,
    shards: Annotated[
        int | None, typer.Option(min=1, help="Share the clips out over so many jobs.")
    ] = None,
    on: Annotated[
        str | None, typer.Option(help="Where jobs run: local:N (N at once), slurm or slurm:N.")
    ] = None,
    on_option: Annotated[
        list[str] | None,
        typer.Option(help="Of jobs, key=value as submitit names it: slurm_partition=gpu."),
    ] = None,
    shard: Annotated[
        str | None, typer.Option(help="i/N: compute this share alone, as a job does.")
    ] = None,
) -> None:
    """Fill the feature cache: size estimate first, then a progress bar; restartable."""
    from sermm.compose import load_config
    from sermm.extract_options import ExtractOptions

    resolved = load_config(name, overrides or [])
    options = ExtractOptions(shard, shards, on, tuple(on_option or ()))
    options.check()
    from sermm.commands import extract_features

    extract_features(resolved, options)


@cache_app.command("list")
def cache_list(cache: Cache = Path("cache")) -> None:
    """Every store of features: what computed it, how much it holds."""
    from sermm.cache_commands import list_cache

    list_cache(cache)


@cache_app.command("verify")
def cache_verify(cache: Cache = Path("cache")) -> None:
    """Read every stored frame and compare it with its checksum; exit status 1 if one differs."""
    from sermm.cache_commands import verify_cache

    verify_cache(cache)


@cache_app.command("prune")
def cache_prune(
    stores: Annotated[
        list[str] | None, typer.Argument(help="Whole stores to remove, as `cache list` names them.")
    ] = None,
    cache: Cache = Path("cache"),
    yes: Annotated[bool, typer.Option("--yes", help="Remove it without asking.")] = False,
) -> None:
    """Show damaged shards, second copies, leftovers and named stores, and remove them."""
    from sermm.cache_commands import prune_cache

    prune_cache(cache, stores or [], accepted=yes)


@app.command()
def fit(
    name: Name,
    overrides: Overrides = None,
    ready: Annotated[
        bool, typer.Option("--ready", help="Corpus, word times and features are in place.")
    ] = False,
) -> None:
    """One run: one fold, seed and size."""
    from sermm.compose import load_config

    resolved = load_config(name, overrides or [])
    from sermm.commands import fit_run

    fit_run(resolved, ready=ready)


# W&B's agent writes --key=value unless its file says otherwise
@app.command(context_settings={"ignore_unknown_options": True})
def trial(name: Name, overrides: Overrides = None) -> None:
    """Train and select the runs of a plan without reading their test parts, as a sweep does."""
    from sermm.compose import load_config

    resolved = load_config(name, overrides or [])
    from sermm.trial import run_trial

    run_trial(resolved)


@app.command(context_settings={"ignore_unknown_options": True})
def sweep(
    name: Annotated[str, typer.Argument(help="A file in `experiments/sweeps/`, or a path.")],
    overrides: Overrides = None,
    local: Annotated[bool, typer.Option("--local", help="Search here, with no account.")] = False,
    wandb: Annotated[bool, typer.Option("--wandb", help="Register with W&B.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Local: trials at once.")] = 1,
    count: Annotated[
        int | None, typer.Option(min=1, help="Local: trials in all, earlier ones included.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Local: of what is proposed.")] = 0,
) -> None:
    """Search hyper-parameters on validation; the test part is never read."""
    from sermm.sweep.check import check_sweep
    from sermm.sweep.file import read_sweep

    if local == wandb:
        raise typer.BadParameter("say either --local or --wandb")
    read = read_sweep(name)
    base = check_sweep(read, overrides or [])
    from sermm.sweep.commands import register_sweep, search_locally

    if local:
        search_locally(read, base, overrides or [], workers=workers, count=count, seed=seed)
    else:
        register_sweep(read, base, overrides or [])


@app.command()
def agent(
    sweep_id: Annotated[str, typer.Argument(help="ENTITY/PROJECT/ID, as registered.")],
    devices: Annotated[
        int, typer.Option(min=1, help="GPUs of one trial; as many agents start as fit.")
    ] = 1,
    count: Annotated[int | None, typer.Option(min=1, help="Trials of each agent.")] = None,
) -> None:
    """Work on a W&B sweep: one agent for each GPU of this machine, or for each group of them."""
    from sermm.sweep.agents import run_agents

    run_agents(sweep_id, devices=devices, count=count)


@app.command()
def experiment(
    name: Annotated[str | None, typer.Argument(help="An experiment or a YAML file.")] = None,
    overrides: Overrides = None,
    list_all: Annotated[bool, typer.Option("--list", help="List the experiments.")] = False,
    on: Annotated[
        str, typer.Option(help="Runs as jobs: local:N, or slurm or slurm:N, N at a time.")
    ] = "",
    on_option: Annotated[
        list[str] | None,
        typer.Option(help="Of --on, as submitit names it: slurm_partition=gpu timeout_min=600."),
    ] = None,
) -> None:
    """The whole plan: prepare, extract, fit, select on validation, test once, report."""
    from sermm.compose import experiment_names, load_config

    if list_all:
        for known in experiment_names():
            typer.echo(known)
        return
    if name is None:
        raise typer.BadParameter("name an experiment, or list them with --list")
    resolved = load_config(name, overrides or [])
    from sermm.commands import run_experiment

    run_experiment(resolved, on=on, options=on_option or [])


@app.command()
def report(
    names: Annotated[list[str], typer.Argument(help="Experiments that have run.")],
    runs: Runs = Path("runs"),
    audio: Annotated[bool, typer.Option(help="Put a few clips on the page.")] = True,
) -> None:
    """Write summary.json, report.html and its tables again and print them."""
    from sermm.report_commands import report_experiments

    report_experiments(names, runs, with_audio=audio)


@app.command()
def compare(
    names: Annotated[
        list[str], typer.Argument(help="Two or more experiments, same protocol and labels.")
    ],
    runs: Runs = Path("runs"),
    common: Annotated[
        bool, typer.Option("--common", help="On the test utterances that all of them share.")
    ] = False,
    to_first: Annotated[
        bool, typer.Option("--to-first", help="The first with each other, not each with each.")
    ] = False,
) -> None:
    """Paired differences of experiments on the same test utterances, with intervals and tests."""
    from sermm.report_commands import compare_experiments

    compare_experiments(names, runs, common=common, to_first=to_first)


@app.command()
def leaderboard(
    runs: Annotated[Path, typer.Argument(help="Folder of run folders.")] = Path("runs"),
) -> None:
    """All experiments of a folder by corpus, labels and protocol: table, page, CSV and JSON."""
    from sermm.report_commands import list_experiments

    list_experiments(runs)


@app.command()
def protocols(
    name: Name,
    overrides: Overrides = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(help="A protocol; may be repeated. Without it those of the corpus."),
    ] = None,
) -> None:
    """The same model under several protocols: what the protocol alone is worth."""
    from sermm.compose import load_config

    resolved = load_config(name, overrides or [])
    from sermm.report_commands import study_protocols

    study_protocols(resolved, protocol or [])


@app.command()
def curves(
    names: Annotated[list[str], typer.Argument(help="Experiments that have run, with sizes.")],
    runs: Annotated[Path, typer.Option(help="Folder of run folders.")] = Path("runs"),
    published: Annotated[
        str | None, typer.Option(help="Points of a paper to draw beside them: boigne2020.")
    ] = None,
    output: Annotated[Path, typer.Option(help="The page to write.")] = Path("curves.html"),
) -> None:
    """Several experiments by training size on one picture, and what more labels would buy."""
    from sermm.report_commands import draw_curves

    draw_curves(names, runs, published, output)


@app.command()
def dashboard(name: Name, overrides: Overrides = None) -> None:
    """Save a W&B workspace and report of an experiment (an account, extra ``dashboard``)."""
    from sermm.compose import load_config

    resolved = load_config(name, overrides or [])
    from sermm.commands import save_dashboard_of

    save_dashboard_of(resolved)


@app.command()
def doctor(cache: Cache = Path("cache")) -> None:
    """Versions, GPUs, disk, W&B state, corpora found."""
    from sermm.doctor import examine

    examine(cache)


add_commands(app)


def run(arguments: list[str]) -> int:
    """Run the command line.

    Args:
        arguments: Without the program's name.

    Returns:
        The exit status.
    """
    # wherever it stands: people add it to the end of the line that failed
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        status = app(arguments, prog_name="sermm", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        status = STOPPED
    except Exception as error:
        ending = ending_of(error)
        if ending is None or (debug and isinstance(error, OSError)):
            raise
        if debug and isinstance(error, SermmError):
            traceback.print_exc()
        typer.echo(f"error: {ending.line}", err=True)
        return ending.status
    # typer makes this status of a KeyboardInterrupt, without a word
    if status == STOPPED:
        typer.echo("stopped; run the same command again to go on", err=True)
    return int(status or 0)
