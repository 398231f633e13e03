"""What a report shows beyond ``summary.json``: groups, calibration, cost, single utterances.

Kept in ``report.json`` beside the page, so that no figure stands on the page alone. What cannot be
shown is named with its reason: the manifest may be gone, or ratings have no probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data_modules.errors import SermmError
from data_modules.manifest import Utterance
from sermm.extremes import Judged, best_and_worst
from sermm.groups import Factor, by_factor, factors_of
from sermm.pool import Pool
from sermm.reliability import calibrated, measure, said_by
from sermm.report.attention import Weighed, read_attention, weigh
from sermm.report.clips import MOST_SECONDS, embed
from sermm.results import read_history
from sermm.utterance_facts import Facts, read_facts

FILE_NAME = "report.json"
MOST_BYTES = 2_500_000
"""Of audio as it stands in the page."""


@dataclass(frozen=True)
class Shown:
    """An utterance on the page.

    Attributes:
        judged: How it fared.
        utterance: What is known of it; None without a manifest.
        audio: A ``data:`` address; empty if there is none.
        remark: Why there is none; empty if there is one, or none was asked for.
        words: Its words with their share of the attention; empty where there are no weights.
    """

    judged: Judged
    utterance: Utterance | None
    audio: str = ""
    remark: str = ""
    words: Sequence[Weighed] = ()


@dataclass(frozen=True, eq=False)
class Details:
    """What the page shows beyond the summary.

    Attributes:
        factors: Ways to divide the test utterances, and the scores of their groups.
        calibration: As ``reliability.measure`` has it, under ``raw`` and ``with_temperature``, with
            the ``temperatures`` of the runs; empty without probabilities.
        cost: What training took.
        best: The utterances that fared best.
        worst: The utterances that fared worst, the worst first.
        missing: What cannot be shown, and why.
        holds_corpus: Whether transcripts or clips stand on the page.
        licence: Of the corpus, where it is known.
        language: Of its transcripts, ISO 639-1.
    """

    factors: Sequence[tuple[Factor, list[dict[str, Any]]]]
    calibration: Mapping[str, Any]
    cost: Mapping[str, Any]
    best: Sequence[Shown]
    worst: Sequence[Shown]
    missing: Mapping[str, str] = field(default_factory=dict)
    holds_corpus: bool = False
    licence: str = ""
    language: str = ""

    @property
    def num_clips(self) -> int:
        """Clips on the page."""
        return sum(bool(shown.audio) for shown in (*self.best, *self.worst))

    def record(self) -> dict[str, Any]:
        """As ``report.json`` holds it."""
        record: dict[str, Any] = _plain(
            {
                "groups": {factor.name: rows for factor, rows in self.factors},
                "calibration": self.calibration,
                "cost": self.cost,
                "best": [asdict(shown.judged) for shown in self.best],
                "worst": [asdict(shown.judged) for shown in self.worst],
                "missing": self.missing,
            }
        )
        return record


def _plain(value: Any) -> Any:
    """Values as JSON has them: what is undefined is null."""
    if isinstance(value, float):
        return round(value, 10) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def find_details(
    folders: Sequence[Path], pool: Pool, summary: Mapping[str, Any], *, with_audio: bool
) -> Details:
    """Work out everything for the runs of the headline.

    Args:
        folders: Of the runs.
        pool: The runs.
        summary: Of the experiment.
        with_audio: Whether clips stand on the page.
    """
    missing: dict[str, str] = {}
    facts: Facts | None = None
    try:
        facts = read_facts(folders[0], summary["data_sha256"])
    except SermmError as error:
        missing["groups, transcripts and audio"] = str(error)
    factors = []
    if facts is not None:
        for factor in factors_of(facts, list(pool.references)):
            if factor.lacking:
                missing[f"by {factor.title}"] = factor.lacking
            else:
                factors.append((factor, by_factor(pool, factor)))
    calibration = _calibration(pool, missing)
    best, worst = best_and_worst(pool)
    pieces = {name: own for folder in folders for name, own in read_attention(folder).items()}
    clips = _Clips(facts, pieces, with_audio=with_audio)
    shown_worst = [clips.show(judged) for judged in worst]
    return Details(
        factors=factors,
        calibration=calibration,
        cost=_cost(folders, pool, summary),
        best=[clips.show(judged) for judged in best],
        worst=shown_worst,
        missing=missing,
        holds_corpus=facts is not None,
        licence=facts.prepared.corpus.licence if facts else "",
        language=facts.prepared.corpus.language if facts else "",
    )


def _calibration(pool: Pool, missing: dict[str, str]) -> dict[str, Any]:
    if pool.scoring.kind in ("regression", "reconstruction"):
        missing["calibration"] = "what is predicted comes without probabilities"
        return {}
    scaled, temperatures = calibrated(pool)
    if scaled is None:
        missing["calibration with a temperature"] = (
            "not every run has a calibration.json, the temperature fitted on its validation part"
        )
    return {
        "raw": measure(said_by(pool)),
        "with_temperature": None if scaled is None else measure(scaled),
        "temperatures": temperatures,
    }


def _cost(folders: Sequence[Path], pool: Pool, summary: Mapping[str, Any]) -> dict[str, Any]:
    epochs = [len(read_history(folder).epochs) for folder in folders]
    seconds = [run.metrics.seconds for run in pool.runs]
    return {
        "num_runs": len(summary["runs"]),
        "seconds": summary["seconds"],
        "seconds_a_run": float(np.mean(seconds)),
        "epochs_a_run": float(np.mean(epochs)),
        "parameters": _most([run.metrics.num_parameters for run in pool.runs]),
        "trained_parameters": _most([run.metrics.num_trained_parameters for run in pool.runs]),
    }


def _most(values: Sequence[int | None]) -> int | None:
    """The largest: vocabularies, and with them models, may differ by fold."""
    return max((value for value in values if value is not None), default=None)


class _Clips:
    """Puts clips on the page while there is room."""

    def __init__(
        self,
        facts: Facts | None,
        pieces: Mapping[str, Sequence[tuple[str, float]]],
        *,
        with_audio: bool,
    ) -> None:
        self.facts = facts
        self.pieces = pieces
        self.with_audio = with_audio
        self.used = 0

    def show(self, judged: Judged) -> Shown:
        if self.facts is None:
            return Shown(judged, None)
        utterance = self.facts.utterances[judged.id]
        words = weigh(self.pieces.get(judged.id, ()))
        if utterance.audio is None or not self.with_audio:
            return Shown(judged, utterance, words=words)
        room = MOST_BYTES - self.used
        audio, remark = embed(self.facts.prepared, utterance, room, MOST_SECONDS)
        self.used += len(audio)
        return Shown(judged, utterance, audio, remark, words)
