"""What can be wrong with a sweep and is seen before anything runs.

A sweep looks at validation alone; what it is scored on stays fixed; and every set of values that it
can propose is a valid configuration, so that no trial fails for a reason known in advance.
"""

from __future__ import annotations

import difflib
import itertools
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from data_modules.corpora import find_corpus
from data_modules.errors import ConfigError
from sermm.compose import check_key, load_config
from sermm.config import Config
from sermm.inputs import corpus_root
from sermm.schemes import scheme_of
from sermm.sweep.file import Sweep

# what a score is measured on, and where things lie
_FIXED = (
    *("name", "description", "runs", "fold", "seed", "size", "test", "plan", "tracking"),
    *("data.corpus", "data.root", "data.cache", "data.labels", "data.protocol", "data.demo"),
    *("data.allow_failed_checks", "optim.select"),
)
_MOST_COMBINATIONS = 32


def check_sweep(sweep: Sweep, overrides: Sequence[str] = ()) -> Config:
    """Refuse what cannot work.

    Args:
        sweep: As read.
        overrides: Settings from the command line, which all trials share.

    Returns:
        The configuration that trials start from.

    Raises:
        ConfigError: The first thing that is wrong.
    """
    for parameter in sweep.parameters:
        _check_parameter(parameter.key, sweep, overrides)
    base = load_config(sweep.experiment, [*sweep.overrides, *overrides])
    _check_metric(sweep, base)
    _check_plan(sweep, base)
    _check_grid(sweep)
    for values in combinations(sweep):
        texts = [as_override(key, value) for key, value in values.items()]
        try:
            load_config(sweep.experiment, [*sweep.overrides, *overrides, *texts])
        except ConfigError as error:
            raise ConfigError(
                f"{sweep.path}: {error.where}",
                expected=error.expected,
                got=f"{error.got} (with {' '.join(texts)})",
                fix=f"{error.fix} (every choice of a sweep has to be valid)",
            ) from None
    return replace(base, test=False)


def as_override(key: str, value: Any) -> str:
    """``key=value`` as the command line reads it back exactly."""
    return f"{key}={json.dumps(value)}"


def _check_parameter(key: str, sweep: Sweep, overrides: Sequence[str]) -> None:
    where = f"{sweep.path}: {key}"
    check_key(key, where)
    if any(key == fixed or key.startswith(f"{fixed}.") for fixed in _FIXED):
        raise ConfigError(
            where,
            expected="a key that leaves alone what trials are compared on",
            got=key,
            fix="state it in the command or after the sweep's name",
        )
    stated = [text.partition("=")[0].removeprefix("--") for text in (*sweep.overrides, *overrides)]
    if key in stated:
        raise ConfigError(
            where, expected="either a parameter or a setting", got="both", fix="remove one"
        )


def _check_metric(sweep: Sweep, base: Config) -> None:
    """The metric has to be the validation score that chooses the epoch.

    Then the value of a trial is that of the weights it would keep.
    """
    from sermm.scoring import find_scoring  # NumPy takes longer than everything else here

    corpus = find_corpus(base.data.corpus)
    if corpus.schemes_of is not None:
        corpus = corpus.at(corpus_root(base).resolve())
    scheme = scheme_of(base, corpus)
    scoring = find_scoring(scheme.kind, scheme.names, scheme.family)
    selecting = base.optim.select or scoring.headline
    where, good = f"{sweep.path}: metric.name", f"val/{selecting}"
    if sweep.metric.lower().startswith("test"):
        raise ConfigError(
            where,
            expected="a score of the validation part",
            got=sweep.metric,
            fix=f"write {good}; nothing is chosen on test data",
        )
    logged = [f"val/{name}" for name in ("loss", *scoring.overall)]
    if sweep.metric not in logged:
        near = difflib.get_close_matches(sweep.metric, logged, n=1)
        raise ConfigError(
            where,
            expected=f"one that is logged: {', '.join(logged)}",
            got=sweep.metric,
            fix=f"did you mean {near[0]}?" if near else f"write {good}",
        )
    if sweep.metric != good:
        name = sweep.metric.removeprefix("val/")
        fix = f"write {good}, or set optim.select={name}"
        raise ConfigError(
            where, expected=f"{good}, which chooses the epoch", got=sweep.metric, fix=fix
        )
    higher = scoring.selecting(selecting).higher_is_better
    if higher != sweep.maximise:
        raise ConfigError(
            f"{sweep.path}: metric.goal",
            expected="maximize" if higher else "minimize",
            got="maximize" if sweep.maximise else "minimize (W&B's default)",
            fix=f"correct it, as {'more' if higher else 'less'} {good} is better",
        )


def _check_plan(sweep: Sweep, base: Config) -> None:
    folds, seeds = base.plan.folds, base.plan.seeds
    if base.plan.sizes:
        raise ConfigError(
            f"{sweep.path}: plan.sizes", expected="none", got=str(base.plan.sizes), fix="remove it"
        )
    if folds is None:
        raise ConfigError(
            f"{sweep.path}: command",
            expected="the folds whose validation parts are used",
            got="no plan.folds",
            fix="add plan.folds=[0] (one, or more for a mean)",
        )
    if sweep.early is not None and len(folds) * len(seeds) > 1:
        raise ConfigError(
            f"{sweep.path}: early_terminate",
            expected="trials of one run, which are compared epoch by epoch",
            got=f"{len(folds)} folds and {len(seeds)} seeds a trial",
            fix="remove early_terminate, or name one fold and one seed",
        )


def _check_grid(sweep: Sweep) -> None:
    if sweep.method != "grid":
        return
    for parameter in sweep.parameters:
        if parameter.all_values() is None:
            raise ConfigError(
                f"{sweep.path}: {parameter.key}",
                expected="a list of values, or whole numbers, for method: grid",
                got=f"a range ({parameter.distribution})",
                fix="list the values, or choose method: random or bayes",
            )


def combinations(sweep: Sweep, most: int = _MOST_COMBINATIONS) -> Iterator[dict[str, Any]]:
    """Sets of values at the corners of the space: all, or some that have every corner value.

    Yields:
        Values by key, at most about ``most`` times.
    """
    corners: Mapping[str, list[Any]] = {p.key: p.corners() for p in sweep.parameters}
    total = 1
    for values in corners.values():
        total *= len(values)
    if total <= most:
        for choice in itertools.product(*corners.values()):
            yield dict(zip(corners, choice, strict=True))
        return
    # each value at least once, beside others that are drawn anew
    rng = random.Random(0)
    turns = max(most, max(map(len, corners.values())))
    for turn in range(turns):
        shifted = {key: values[turn % len(values)] for key, values in corners.items()}
        drawn = {key: rng.choice(values) for key, values in corners.items()}
        fixed = list(corners)[turn % len(corners)]
        yield (
            shifted
            if turn < max(map(len, corners.values()))
            else {
                **drawn,
                fixed: shifted[fixed],
            }
        )
