"""Whether probabilities are true, and one number that brings them nearer to it.

Temperature scaling (Guo et al. 2017, arXiv 1706.04599, section 4.2): scores are divided by one
temperature, fitted on the validation part, so that the likeliest class stays the likeliest. The
expected calibration error is theirs too (section 2, equation 3), with 15 bins of equal width.

Our choice: before it has seen the part, the logarithm of the temperature is held to be normal
around 0 with a deviation of 0.5, and the likeliest temperature is taken. Without that a model that
is right on all of a small validation part would be told that it is never wrong. The log loss of the
part cannot rise by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data_modules.atomic import write_json
from data_modules.errors import DataError
from data_modules.labels import Kind
from sermm.run_metrics import RERUN, read_json_object

FILE_NAME = "calibration.json"
NUM_BINS = 15
_LOWEST, _HIGHEST = 0.02, 50.0
_DEVIATION = 0.5  # of the logarithm of temperatures, as they are expected

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Quality:
    """How true probabilities are.

    Attributes:
        nll: Mean negative log-likelihood of the reference, in nats (of labels: of each label).
        ece: Expected calibration error, 0 to 1.
    """

    nll: float
    ece: float


@dataclass(frozen=True)
class Calibration:
    """A temperature, and what it did to the utterances that it was fitted on.

    Attributes:
        temperature: What scores are divided by; more than 1 lowers confidence.
        num_utterances: Of the validation part.
        before: Of the probabilities as the model gives them.
        after: With the temperature.
    """

    temperature: float
    num_utterances: int
    before: Quality
    after: Quality


def probabilities_of(scores: npt.ArrayLike, kind: Kind, temperature: float = 1.0) -> Floats:
    """Softmax over classes, or a sigmoid of each label, of scores ``(N, C)`` over a temperature."""
    scaled = np.asarray(scores, dtype=np.float64) / temperature
    if kind == "multilabel":
        return np.asarray(np.exp(-np.logaddexp(0.0, -scaled)))
    return np.asarray(np.exp(_log_softmax(scaled)))


def _log_softmax(scaled: Floats) -> Floats:
    top = scaled.max(axis=1, keepdims=True)
    return np.asarray(
        scaled - top - np.log(np.exp(scaled - top).sum(axis=1, keepdims=True)), dtype=np.float64
    )


def negative_log_likelihood(
    scores: npt.ArrayLike, references: npt.ArrayLike, kind: Kind, temperature: float = 1.0
) -> float:
    """Mean over utterances (and labels) of what the reference costs, in nats.

    Args:
        scores: ``(N, C)`` before softmax or sigmoid.
        references: ``(N,)`` class indices, or ``(N, C)`` of 0 and 1.
        kind: ``classes`` or ``multilabel``.
        temperature: What the scores are divided by.
    """
    scaled = np.asarray(scores, dtype=np.float64) / temperature
    if kind == "multilabel":
        # log(1 + e^s) - t s, without overflow
        return float((np.logaddexp(0.0, scaled) - np.asarray(references) * scaled).mean())
    rows = np.arange(len(scaled))
    return float(-_log_softmax(scaled)[rows, np.asarray(references, dtype=np.int64)].mean())


def calibration_error(
    probabilities: npt.ArrayLike, references: npt.ArrayLike, kind: Kind, num_bins: int = NUM_BINS
) -> float:
    """Expected calibration error: how far confidence is from accuracy, bin by bin.

    Args:
        probabilities: ``(N, C)``.
        references: ``(N,)`` class indices, or ``(N, C)`` of 0 and 1.
        kind: Of ``classes`` the likeliest class counts, of ``multilabel`` each label of each
            utterance.
        num_bins: Bins of equal width over 0 to 1, open on the left.
    """
    shares = np.asarray(probabilities, dtype=np.float64)
    if kind == "multilabel":
        confidence, right = shares.ravel(), np.asarray(references, dtype=np.float64).ravel()
    else:
        confidence = shares.max(axis=1)
        right = (shares.argmax(axis=1) == np.asarray(references)).astype(np.float64)
    bins = np.clip(np.ceil(confidence * num_bins).astype(np.int64) - 1, 0, num_bins - 1)
    gaps = np.bincount(bins, weights=confidence - right, minlength=num_bins)
    return float(np.abs(gaps).sum() / len(confidence))


def fit_temperature(scores: npt.ArrayLike, references: npt.ArrayLike, kind: Kind) -> Calibration:
    """The likeliest temperature: the least log loss, held near 1 where few utterances speak.

    Args:
        scores: ``(N, C)`` of the validation part, before softmax or sigmoid.
        references: ``(N,)`` class indices, or ``(N, C)`` of 0 and 1.
        kind: ``classes`` or ``multilabel``.

    Raises:
        ValueError: There are no utterances, or the kind has no probabilities.
    """
    # a fifth of a second that no other command needs
    from scipy.optimize import minimize_scalar

    if kind == "regression" or not len(np.asarray(scores)):
        raise ValueError(f"expected scores of classes or labels, got {kind} of {np.shape(scores)}")
    num, names = np.shape(scores)
    answers = num * names if kind == "multilabel" else num

    def cost(log: float) -> float:
        held = (log / _DEVIATION) ** 2 / (2 * answers)
        return float(negative_log_likelihood(scores, references, kind, np.exp(log)) + held)

    found = minimize_scalar(
        cost,
        bounds=(np.log(_LOWEST), np.log(_HIGHEST)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    temperature = float(np.exp(found.x))

    def quality(used: float) -> Quality:
        return Quality(
            negative_log_likelihood(scores, references, kind, used),
            calibration_error(probabilities_of(scores, kind, used), references, kind),
        )

    return Calibration(round(temperature, 6), num, quality(1.0), quality(temperature))


def write_calibrations(folder: Path, found: Mapping[str, Calibration]) -> None:
    """Write ``calibration.json`` of a run.

    Args:
        folder: Of the run.
        found: By what the model had to do without; the empty name is nothing.
    """
    whole = asdict(found[""])
    write_json(
        folder / FILE_NAME,
        {
            "part": "val",
            "method": "temperature",
            "num_bins": NUM_BINS,
            **whole,
            "conditions": {name: asdict(one) for name, one in found.items() if name},
        },
    )


def read_calibrations(folder: Path) -> dict[str, Calibration]:
    """What :func:`write_calibrations` wrote; empty if there is no such file.

    Raises:
        DataError: It is damaged.
    """
    path = folder / FILE_NAME
    return parse_calibrations(read_json_object(path), path) if path.is_file() else {}


def parse_calibrations(record: Mapping[str, Any], where: Path) -> dict[str, Calibration]:
    """Calibrations from the record of ``calibration.json``.

    Raises:
        DataError: It is none.
    """
    try:
        parts = {"": record, **record["conditions"]}
        return {name: _calibration(part) for name, part in parts.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            where,
            expected="temperatures as a run writes them",
            got=f"{type(error).__name__}: {error}",
            fix=RERUN,
        ) from None


def _calibration(part: Mapping[str, Any]) -> Calibration:
    temperature = float(part["temperature"])
    if not _LOWEST * 0.99 <= temperature <= _HIGHEST * 1.01:
        raise ValueError(f"temperature {temperature}")
    before, after = (
        Quality(float(part[name]["nll"]), float(part[name]["ece"])) for name in ("before", "after")
    )
    return Calibration(temperature, int(part["num_utterances"]), before, after)
