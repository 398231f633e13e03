"""Tables of groups, calibration and cost, and of what a model has over chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sermm.groups import Factor
from sermm.report.cells import (
    Cell,
    Table,
    count,
    duration,
    known,
    number,
    signed_interval,
    with_interval,
)
from sermm.scoring import Scoring, find_scoring
from sermm.trivial import TRIVIAL


def over_chance_table(summary: Mapping[str, Any]) -> Table:
    """By how much each score is better or worse than that of the trivial predictors."""
    scoring = find_scoring(summary["kind"], summary["classes"], summary["family"])
    trivial = TRIVIAL[scoring.kind]
    rows = tuple(
        (
            Cell(info.full_title),
            *(Cell(_over(summary["trivial"][key][name]), is_score=True) for key in trivial),
        )
        for name, info in scoring.metrics.items()
    )
    columns = ("", *(f"minus {one.title}" for one in trivial.values()))
    caption = "The model minus what chance gives, the same speakers of both in each draw."
    return Table("over-chance", caption, columns, rows)


def _over(score: Mapping[str, Any]) -> str:
    return signed_interval(score["difference"], score["difference_ci95"])


def group_table(factor: Factor, rows: Sequence[Mapping[str, Any]], scoring: Scoring) -> Table:
    """Scores of groups, and how far each is from the others."""
    first, *others = (scoring.metrics[name] for name in scoring.brief[:2])
    name, *other_names = scoring.brief[:2]
    two = len(rows) == 2
    columns = (
        factor.title,
        "speakers",
        "utterances",
        f"{first.full_title} (95 % interval)",
        f"minus {rows[1]['group']}" if two else "minus all others",
        *(f"{info.full_title} (95 % interval)" for info in others),
    )
    body = []
    for row in rows:
        gap = row.get("gap")
        body.append(
            (
                Cell(row["group"]),
                Cell(str(row["num_speakers"])),
                Cell(count(row["num_utterances"])),
                Cell(_interval(row["metrics"][name]), is_score=True),
                Cell("" if gap is None else _signed(gap[name]), is_score=gap is not None),
                *(Cell(_interval(row["metrics"][o]), is_score=True) for o in other_names),
            )
        )
    caption = f"By {factor.title}; intervals over speakers, of three or more."
    return Table(f"by-{factor.name.replace('_', '-')}", caption, columns, tuple(body))


def _interval(score: Mapping[str, Any]) -> str:
    return with_interval(known(score["value"]), score["ci95"])


def _signed(score: Mapping[str, Any]) -> str:
    return signed_interval(score["value"], score["ci95"])


MEASURES = {
    "ece": ("ECE", "distance of confidence from the share right, mean over 15 bins of equal width"),
    "adaptive_ece": ("adaptive ECE", "the same over 15 bins of equally many"),
    "classwise_ece": ("class-wise ECE", "the same of each class' probability, mean over classes"),
    "brier": ("Brier score", "mean squared distance of the probabilities from what was true"),
    "nll": ("log loss (nats)", "mean of minus the logarithm of what the truth was given"),
    "overconfidence": ("overconfidence", "mean confidence less the share right"),
}


def calibration_meanings(*, is_labels: bool) -> dict[str, str]:
    """What each measure of the probabilities means, by its title."""
    measures = dict(MEASURES)
    if is_labels:
        measures["classwise_ece"] = ("ECE by label", "ECE of each label alone, mean over labels")
    return dict(measures.values())


def calibration_table(calibration: Mapping[str, Any], *, is_labels: bool) -> Table:
    """Measures of the probabilities, raw and with a temperature, and what chance gives ECE."""
    raw, scaled = calibration["raw"], calibration["with_temperature"]
    found = {"as the model says": raw}
    if scaled is not None:
        found["with temperature"] = scaled
    titles = zip(MEASURES, calibration_meanings(is_labels=is_labels), strict=True)
    rows = tuple(
        (
            Cell(title),
            *(Cell(_measure(key, one), is_score=True) for one in found.values()),
            Cell(_chance(raw) if key == "ece" else ""),
        )
        for key, title in titles
    )
    columns = ("", *found, "if calibrated: mean, 97.5 %")
    caption = "How true the probabilities are; in brackets 95 % intervals over speakers."
    return Table("calibration", caption, columns, rows)


def _measure(key: str, found: Mapping[str, Any]) -> str:
    value, ends = found[key], found["ci95"].get(key)
    if key == "overconfidence":
        return signed_interval(value, ends)
    return with_interval(_finite(value), ends)


def _finite(value: float | None) -> float | None:
    return None if value is None or value in (float("inf"), float("-inf")) else value


def _chance(found: Mapping[str, Any]) -> str:
    chance = found["ece_if_calibrated"]
    return f"{number(chance['mean'])}, {number(chance['quantile975'])}"


def cost_table(cost: Mapping[str, Any]) -> Table:
    """What training took."""
    epochs = cost["epochs_a_run"]
    seconds = cost["seconds_a_run"]
    parts = {
        "runs": count(cost["num_runs"]),
        "all runs": duration(cost["seconds"]),
        "a run, mean": duration(seconds),
        "validations a run, mean": count(epochs),
        "parameters": _amount(cost["parameters"]),
        "of these trained": _amount(cost["trained_parameters"]),
        "energy": "not measured",
    }
    rows = tuple((Cell(name), Cell(text)) for name, text in parts.items())
    return Table(
        "cost", "What training took: wall time, reading and scoring included.", ("", ""), rows
    )


def _amount(value: int | None) -> str:
    return "not recorded" if value is None else f"{value:,}"
