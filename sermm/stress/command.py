"""``sermm stress``: curves, a picture, and both as files in ``stress/`` of the run folder."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from data_modules.atomic import atomic_path, write_atomically, write_json
from data_modules.errors import ConfigError
from sermm.predict.source import find_model
from sermm.report.cells import plural, too_few
from sermm.rundir import git_revision
from sermm.terminal import console, progress_bar, say

if TYPE_CHECKING:
    from sermm.stress.run import Level


@dataclass(frozen=True)
class StressOptions:
    """Options of the command, as ``sermm stress --help`` explains them."""

    fold: int | None = None
    seed: int | None = None
    damages: tuple[str, ...] = ()
    levels: tuple[float, ...] = ()
    aligner: str = ""
    ctc_model: str = ""
    limit: int = 0
    damage_seed: int = 0
    cache: Path | None = None


def stress_run(run: str, options: StressOptions) -> None:
    """Measure, print, write.

    Raises:
        SermmError: What is asked is wrong, or the test part is not there any more.
    """
    source = find_model(run, fold=options.fold, seed=options.seed)
    if source.exported:
        raise ConfigError(
            source.folder,
            expected="a run, whose test part is known",
            got="an export",
            fix="give the run folder",
        )
    if options.levels and len(options.damages) != 1:
        raise ConfigError(
            "--level",
            expected="one --damage whose levels these are",
            got=f"{len(options.damages)}",
            fix="name one with --damage",
        )
    from sermm.predict.predictor import load
    from sermm.stress.damage import DAMAGES
    from sermm.stress.run import NOTE, StressTest, choose_damages, run_stress
    from sermm.stress.unfinished import (
        FILE_NAME,
        circumstances,
        read_unfinished,
        write_unfinished,
    )

    _check_levels(options)
    predictor = load(source.folder, aligner=options.aligner, ctc_model=options.ctc_model, raw=True)
    model = predictor.model
    names = choose_damages(
        options.damages, reads=model.tokenizer is not None, hears=model.upstream is not None
    )
    test = StressTest(predictor, cache=options.cache, limit=options.limit, seed=options.damage_seed)
    levels = {name: options.levels or DAMAGES[name].levels for name in names}
    say(NOTE, style="yellow")
    folder = source.folder / "stress"
    of = circumstances(test, options.aligner, options.ctc_model, git_revision())
    known = read_unfinished(folder, of)
    if known:
        say(f"{plural(len(known), 'level')} measured before a kill: going on")
    with progress_bar("damaging the test part") as on_progress:

        def keep(done: Sequence[Level], count: int) -> None:
            on_progress(len(done), count)
            write_unfinished(folder, of, [*done, *(one for one in known if one not in done)])

        found = run_stress(test, levels, known, keep)
    _write(folder, found, test.headline, NOTE, options)
    _draw(folder / "stress.svg", found, test.headline, model.config.name)
    (folder / FILE_NAME).unlink(missing_ok=True)
    _print(found, test.headline)
    if few := too_few(found[0].score.num_clusters):
        say(f"{few}.")
    if whole := max(one.num_whole_text for one in found):
        say(f"{plural(whole, 'utterance')} without word times kept all words when cut.", "yellow")
    say(f"written: {folder}/stress.json, stress.csv, stress.svg")


def _check_levels(options: StressOptions) -> None:
    from sermm.stress.damage import DAMAGES

    if not options.levels or options.damages[0] not in DAMAGES:
        return  # an unknown damage is told by who chooses them
    kind = DAMAGES[options.damages[0]]
    low, high = kind.ends
    for level in options.levels:
        if not low <= level <= high:
            raise ConfigError(
                "--level",
                expected=f"{kind.unit} of {kind.title} between {low:g} and {high:g}",
                got=f"{level:g}",
                fix="choose another",
            )


def _write(
    folder: Path, found: Sequence[Level], headline: str, note: str, options: StressOptions
) -> None:
    rows = [_row(one) for one in found]
    write_json(
        folder / "stress.json",
        {
            "note": note,
            "score": headline,
            "seed": options.damage_seed,
            "limit": options.limit,
            "levels": [
                {**row, "failed": dict(one.failed)} for row, one in zip(rows, found, strict=True)
            ],
        },
    )

    def write(stream: IO[str]) -> None:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)

    write_atomically(folder / "stress.csv", write)


def _row(one: Level) -> dict[str, Any]:
    score = asdict(one.score)
    ends = {
        name: None if math.isnan(value := score[name]) else round(value, 6)
        for name in ("estimate", "low", "high")
    }
    return {
        "damage": one.damage,
        "level": one.level,
        **ends,
        "num_speakers": one.score.num_clusters,
        "num_utterances": one.num_utterances,
        "num_failed": len(one.failed),
        "num_whole_text": one.num_whole_text,
    }


def _print(found: Sequence[Level], headline: str) -> None:
    from rich.table import Table

    from sermm.stress.damage import DAMAGES

    table = Table("damage", "level", f"{headline} (95 % interval)", "not judged")
    for one in found:
        kind = DAMAGES.get(one.damage)
        score = one.score
        ends = f" ({score.low:.3f}-{score.high:.3f})" if score.is_known else ""
        table.add_row(
            kind.title if kind else "as they are",
            f"{one.level:g} {kind.unit}" if kind else "",
            f"{score.estimate:.3f}{ends}",
            str(len(one.failed) or ""),
        )
    console.print(table)


def curve(points: Sequence[Level], clean: Level) -> list[Level]:
    """Points of one damage by level, with that of the recordings as they are if it has a level."""
    from sermm.stress.damage import DAMAGES

    undamaged = DAMAGES[points[0].damage].undamaged
    added = [] if undamaged is None else [replace(clean, level=undamaged)]
    return sorted(
        (*points, *(one for one in added if one.level not in {point.level for point in points})),
        key=lambda one: one.level,
    )


def _draw(path: Path, found: Sequence[Level], headline: str, name: str) -> None:
    """One curve for each damage, worse to the right where it has one side.

    The score of the recordings as they are is a line, and a point of the curves that have a level
    for it.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    from sermm.stress.damage import DAMAGES

    clean, *rest = found
    curves: Mapping[str, Sequence[Level]] = {
        kind: [one for one in rest if one.damage == kind]
        for kind in dict.fromkeys(one.damage for one in rest)
    }
    columns = min(3, max(1, len(curves)))
    lines = -(-max(1, len(curves)) // columns)
    figure = Figure(figsize=(3.4 * columns, 2.8 * lines), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots(lines, columns, squeeze=False, sharey=True)
    for axis, (kind, points) in zip(axes.flat, curves.items(), strict=False):
        given, points = DAMAGES[kind], curve(points, clean)
        x = [one.level for one in points]
        y = [one.score.estimate for one in points]
        axis.plot(x, y, "o-", color="#1f6fb2", label="damaged")
        known = [one for one in points if one.score.is_known]
        axis.vlines(
            [one.level for one in known],
            [one.score.low for one in known],
            [one.score.high for one in known],
            color="#1f6fb2",
            alpha=0.6,
        )
        axis.axhline(clean.score.estimate, color="0.4", linestyle="--", label="as they are")
        axis.set_title(given.title, fontsize=10)
        axis.set_xlabel(given.unit)
        if given.levels[0] > given.levels[-1]:
            axis.invert_xaxis()
        axis.grid(alpha=0.25)
    for axis in axes.flat[len(curves) :]:
        axis.set_visible(False)
    for row in axes:
        row[0].set_ylabel(headline.upper())
    axes.flat[0].legend(fontsize=8, frameon=False)
    speakers = clean.score.num_clusters
    basis = too_few(speakers) or f"95 % intervals over {speakers} speakers"
    figure.suptitle(
        f"{name}: {clean.num_utterances} test utterances, {basis}",
        fontsize=10,
    )
    # names inside are drawn by chance without a salt
    with atomic_path(path) as temporary, rc_context({"svg.hashsalt": name}):
        figure.savefig(temporary, format="svg", metadata={"Date": None})
