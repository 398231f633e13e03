"""The runs of a plan as jobs: processes on this machine, or an array on SLURM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

from data_modules.atomic import write_text
from data_modules.errors import ConfigError
from sermm.config import Config, to_yaml
from sermm.engines import Engine, parse_engine
from sermm.gpus import Packing, run_gpus
from sermm.jobs import Job, run_jobs
from sermm.plan import PlanOutcome, config_of, run_arguments
from sermm.plan_progress import ScoreSoFar, TimeLeft, epochs_done, num_validations
from sermm.results import is_finished
from sermm.run_metrics import RunKey
from sermm.rundir import experiment_folder, is_done


def plan_engine(config: Config, on: str, options: Sequence[str]) -> Engine:
    """The engine of a plan: a job of SLURM gets the GPUs of its run, if nothing else is said.

    Raises:
        ConfigError: The options are wrong, or a run needs several machines.
    """
    engine = parse_engine(on, options)
    trainer = config.trainer
    if trainer.num_nodes > 1:
        raise ConfigError(
            "--on",
            expected="runs on one machine each",
            got=f"trainer.num_nodes={trainer.num_nodes}",
            fix="start each run with srun in a batch script of your own (docs/scale.md)",
        )
    if engine.kind == "slurm":
        wanted = {"cpus_per_task": trainer.devices * trainer.num_threads + config.data.num_workers}
        if trainer.accelerator in ("gpu", "cuda"):
            wanted["gpus_per_node"] = trainer.devices
        return replace(engine, options={**wanted, **engine.options})
    return engine


def _packing(engine: Engine, config: Config) -> Packing | None:
    """GPUs of this machine, shared out evenly among as many runs as are to go at once."""
    if engine.kind != "local" or "gpus_per_node" in engine.options:
        return None
    gpus = run_gpus(config)
    return Packing(gpus, ceil((engine.at_once or 1) / len(gpus))) if gpus else None


def execute_on(
    engine: Engine, config: Config, keys: Sequence[RunKey], data_sha256: str
) -> PlanOutcome:
    """Run what is not finished, as :func:`sermm.plan.execute` does.

    Args:
        engine: Where.
        config: Of the experiment; corpus, word times and features are in place already.
        keys: The runs of the plan.
        data_sha256: Hash of the data as it is now; finished runs must carry the same.

    Raises:
        ConfigError: A run folder belongs to another configuration or to other data, or an option
            of the engine is wrong.
    """
    skipped = [key for key in keys if is_done(config_of(config, key), data_sha256)]
    by_name = {key.folder_name: key for key in keys if key not in skipped}
    folder = experiment_folder(config)
    file = folder / "experiment.yaml"
    write_text(file, to_yaml(config))
    threads = str(config.trainer.num_threads)
    environment = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    if config.trainer.devices > 1:
        # by such a name Lightning knows that it has to start the other processes itself
        environment["SLURM_JOB_NAME"] = "interactive"
    jobs = [
        Job(name, tuple(run_arguments(key, file)), environment) for name, key in by_name.items()
    ]
    total, score = num_validations(config), ScoreSoFar(config, keys)
    left = TimeLeft(config, list(by_name.values()))

    def detail(job: Job) -> str:
        done = epochs_done(folder / job.name)
        return f"{done} of {total} validations" if total else f"{done} validations"

    ended = run_jobs(
        jobs,
        engine,
        folder / "jobs",
        title=config.name,
        detail=detail,
        aside=lambda: ", ".join(filter(None, (score.text(), left.text()))),
        packing=_packing(engine, config),
    )
    failed = {by_name[name]: why for name, why in ended.failed.items()}
    finished = [by_name[name] for name in ended.finished]
    for key in finished:
        if not is_finished(folder / key.folder_name):
            failed[key] = f"it ended without results (see {folder / 'jobs'})"
    return PlanOutcome([key for key in finished if key not in failed], skipped, failed)
