"""Scores of MOSI, MOSEI and one-versus-rest tables against the published evaluation code.

    python -m benchmarks.parity_mult --mult FILE [--mmsa FILE] [--write-golden]

FILE of `--mult` is `src/eval_metrics.py` of the Multimodal Transformer (Tsai et al. 2019,
`yaohungt/Multimodal-Transformer`), FILE of `--mmsa` is `src/MMSA/utils/metricsTop.py` of MMSA
(`thuiar/MMSA`), from which the scores "with zero" come. Both sides get the same random predictions,
with zeros, negative zeros, halves (ties of rounding), values beyond the scale and constants among
them. Writes `benchmarks/results/parity_mult.{json,md}`; leaves with status 1 if a score differs by
more than 1e-9 (MMSA's, which come rounded to four digits: 5.1e-5).

With --write-golden the inputs and scores of the Multimodal Transformer of some cases go to the file
that the test suite compares with.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import io
import json
import math
import re
import sys
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import sklearn
import torch
from numpy.typing import NDArray

from benchmarks.record import RESULTS
from data_modules.atomic import write_json, write_text
from sermm.rundir import git_revision
from sermm.scoring import find_scoring

LIMIT, ROUNDED = 1e-9, 5.1e-5
GOLDEN = Path(__file__).parent.parent / "tests/sermm/data/mult_scores.json"
EMOTIONS = ("neutral", "happy", "sad", "angry")
"""In the order of the published code."""

FloatArray = NDArray[np.float64]
Scores = dict[str, float]
# what the published code prints, and our name for it; F1 with the arguments of scikit-learn's F1
# in its own order, since the file hands the predictions over as the truth
_PRINTED = {
    "MAE": "mae",
    "Correlation Coefficient": "pearson_r",
    "mult_acc_7": "acc7",
    "mult_acc_5": "acc5",
    "Accuracy": "acc2_non0",
    "F1 score": "f1_non0",
}
_MMSA = {
    "MAE": "mae",
    "Corr": "pearson_r",
    "Mult_acc_7": "acc7",
    "Mult_acc_5": "acc5",
    "Has0_acc_2": "acc2_has0",
    "Has0_F1_score": "f1_has0",
    "Non0_acc_2": "acc2_non0",
    "Non0_F1_score": "f1_non0",
}
_SENTIMENT = find_scoring("regression", ("sentiment",), "sentiment")
_LABELS = find_scoring("multilabel", EMOTIONS, "multilabel")


def sentiment_cases(count: int, seed: int = 0) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Truth and prediction ``(N,)`` of each case; truth has zeros and is never all of one side."""
    draw = np.random.default_rng(seed)
    thirds = np.round(draw.uniform(-3, 3, count) * 3) / 3
    thirds[:3] = (-1.0, 1.0, 0.0)
    noisy = thirds + draw.normal(0, 1, count)
    zeros = np.where(draw.random(count) < 0.3, np.where(draw.random(count) < 0.5, 0.0, -0.0), noisy)
    many = np.where(draw.random(count) < 0.5, 0.0, thirds)
    many[:3] = (-1.0, 1.0, 0.0)
    return {
        "random": (thirds, noisy),
        "predictions of zero": (thirds, zeros),
        "truth of zero": (many, zeros),
        "halves": (np.round(noisy * 2) / 2 + (many != 0) * 0.5, np.round(zeros * 2) / 2),
        "beyond the scale": (2 * thirds, 3 * noisy),
        "all positive": (thirds, np.abs(noisy) + 0.1),
        # of a constant that binary cannot hold, such as 0.4, the published correlation is that of
        # rounding errors; ours is undefined there, too
        "constant": (thirds, np.full(count, 0.5)),
        "right": (thirds, thirds.copy()),
    }


def label_cases(count: int, seed: int = 0) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Truth and prediction ``(N, 4)`` of 0 and 1; each emotion is there and not there."""
    draw = np.random.default_rng(seed)
    classes = draw.integers(0, 4, count)
    classes[:4] = range(4)
    truth = np.eye(4)[classes]
    return {
        "one of four, random": (truth, draw.integers(0, 2, (count, 4)).astype(np.float64)),
        "one of four, nothing said": (truth, np.zeros((count, 4))),
        "one of four, right": (truth, truth.copy()),
    }


def load(path: Path, name: str) -> ModuleType:
    """A published file as a module; nothing else of its project is needed."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"error: {path}: expected a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def mult_sentiment(module: ModuleType, truth: FloatArray, said: FloatArray) -> Scores:
    """What the Multimodal Transformer's code prints, by our names; F1 in both orders."""
    found: Scores = {}
    published = module.f1_score
    for name, f1_score in (
        ("f1_as_published", published),
        ("f1_non0", lambda one, other, **more: published(other, one, **more)),
    ):
        module.f1_score = f1_score  # type: ignore[attr-defined]
        said_aloud = io.StringIO()
        with redirect_stdout(said_aloud), _undefined_correlation():
            module.eval_mosei_senti(torch.from_numpy(said), torch.from_numpy(truth), True)
        printed = dict(re.findall(r"^([^:\n]+): +(\S+)$", said_aloud.getvalue(), re.MULTILINE))
        found |= {ours: float(printed[theirs]) for theirs, ours in _PRINTED.items()}
        found[name] = found["f1_non0"]
    module.f1_score = published  # type: ignore[attr-defined]
    return found


def mult_labels(module: ModuleType, truth: FloatArray, said: FloatArray) -> Scores:
    """The same of its one-versus-rest scores and of its weighted accuracy."""
    scores = np.stack([1 - said, said], axis=-1)  # absent, present
    said_aloud = io.StringIO()
    with redirect_stdout(said_aloud):
        module.eval_iemocap(torch.from_numpy(scores), torch.from_numpy(truth))
    pattern = re.compile(r"^ +- (?:F1 Score|Accuracy): +(\S+)$", re.MULTILINE)
    printed = pattern.findall(said_aloud.getvalue())
    names = [f"{kind}_{emotion}" for emotion in EMOTIONS for kind in ("wf1", "acc")]
    found = {name: float(value) for name, value in zip(names, printed, strict=True)}
    for k, emotion in enumerate(EMOTIONS):
        found[f"wacc_{emotion}"] = float(module.weighted_accuracy(said[:, k], truth[:, k]))
    return found


def mmsa_sentiment(module: ModuleType, truth: FloatArray, said: FloatArray) -> Scores:
    """What MMSA's code gives, rounded to four digits."""
    score = module.MetricsTop("regression").getMetics("MOSEI")
    with _undefined_correlation():
        found = score(torch.from_numpy(said), torch.from_numpy(truth))
    return {ours: float(found[theirs]) for theirs, ours in _MMSA.items()}


def _undefined_correlation() -> Any:
    """NumPy warns where it divides by no spread."""
    return warnings.catch_warnings(action="ignore", category=RuntimeWarning)


def ours(truth: FloatArray, said: FloatArray) -> Scores:
    """Our scores of ratings ``(N,)`` or labels ``(N, C)``."""
    scoring = _LABELS if truth.ndim == 2 else _SENTIMENT
    columns = [values.reshape(len(values), -1) for values in (truth, said)]
    return scoring.scores(scoring.contributions(*columns).sum(axis=0))


def gap(found: Scores, expected: Scores) -> tuple[float, str]:
    """The largest difference, and of which score; one NaN alone is infinitely far."""
    gaps = {}
    for name, value in expected.items():
        both = math.isnan(value) and math.isnan(found[name])
        difference = 0.0 if both else abs(found[name] - value)
        gaps[name] = math.inf if math.isnan(difference) else difference
    worst = max(gaps, key=lambda name: gaps[name])
    return gaps[worst], worst


def main() -> int:
    """Compare, print, and say by the status whether all is within the limits."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mult", type=Path, required=True, help="src/eval_metrics.py")
    parser.add_argument("--mmsa", type=Path, help="src/MMSA/utils/metricsTop.py")
    parser.add_argument("--count", type=int, default=5_000, help="utterances of each case")
    parser.add_argument("--write-golden", action="store_true", help="store the published scores")
    arguments = parser.parse_args()
    for path in filter(None, (arguments.mult, arguments.mmsa)):
        if not path.is_file():
            print(f"error: {path}: expected a file", file=sys.stderr)
            return 2
    mult = load(arguments.mult, "published_mult")
    mmsa = None if arguments.mmsa is None else load(arguments.mmsa, "published_mmsa")
    rows: list[dict[str, Any]] = []
    for name, (truth, said) in sentiment_cases(arguments.count).items():
        expected, mine = mult_sentiment(mult, truth, said), ours(truth, said)
        as_published = expected.pop("f1_as_published")
        row = {"case": name, "scores": len(expected), "gap": gap(mine, expected)[0]}
        row["f1_order"] = abs(as_published - expected["f1_non0"])
        if mmsa is not None:
            row["mmsa_gap"] = gap(mine, mmsa_sentiment(mmsa, truth, said))[0]
        rows.append(row)
    for name, (truth, said) in label_cases(arguments.count).items():
        expected = mult_labels(mult, truth, said)
        rows.append(
            {"case": name, "scores": len(expected), "gap": gap(ours(truth, said), expected)[0]}
        )
    text = table(rows)
    print(text)
    write_results(rows, text, arguments)
    if arguments.write_golden:
        write_golden(mult)
    worst, rounded = (max(row.get(key, 0.0) for row in rows) for key in ("gap", "mmsa_gap"))
    print(f"\nlargest gap {worst:.1e}, limit {LIMIT:.0e}; MMSA {rounded:.1e}, limit {ROUNDED:.1e}")
    return int(worst > LIMIT or rounded > ROUNDED)


def table(rows: list[dict[str, Any]]) -> str:
    """As Markdown."""

    def cell(row: dict[str, Any], key: str) -> str:
        return f"{row[key]:.1e}" if key in row else ""

    lines = [
        "| case | scores | gap to the Multimodal Transformer | its F1, as handed over, less ours |"
        " gap to MMSA |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['case']} | {row['scores']} | {cell(row, 'gap')} | {cell(row, 'f1_order')} |"
        f" {cell(row, 'mmsa_gap')} |"
        for row in rows
    ]
    return "\n".join(lines)


def write_golden(mult: ModuleType) -> None:
    """The published scores of small cases, with their inputs."""
    cases = []
    for name, (truth, said) in (sentiment_cases(40) | label_cases(40)).items():
        published = mult_labels if truth.ndim == 2 else mult_sentiment
        scores = published(mult, truth, said)
        kept = {key: None if math.isnan(value) else value for key, value in scores.items()}
        cases.append({"case": name, "truth": truth.tolist(), "said": said.tolist(), "scores": kept})
    GOLDEN.parent.mkdir(exist_ok=True)
    lines = ",\n".join(json.dumps(case) for case in cases)
    write_text(GOLDEN, f"[\n{lines}\n]\n")
    print(f"\nwrote {GOLDEN} ({GOLDEN.stat().st_size // 1024} KiB)")


def write_results(rows: list[dict[str, Any]], text: str, arguments: argparse.Namespace) -> None:
    """Under ``benchmarks/results``, with what they were measured on."""
    command = "python -m benchmarks.parity_mult --mult FILE" + " --mmsa FILE" * bool(arguments.mmsa)
    facts = {
        "command": command,
        "date": datetime.date.today().isoformat(),
        "scikit-learn": sklearn.__version__,
        "git_revision": git_revision(),
        "utterances": arguments.count,
    }
    write_json(RESULTS / "parity_mult.json", {**facts, "rows": rows})
    head = (
        "# Scores against the published evaluation code\n\n"
        f"`{command}` on {facts['date']}, scikit-learn {facts['scikit-learn']}, revision "
        f"{facts['git_revision']}.\n\n"
        f"Largest difference over all scores of {arguments.count:,} utterances a case. Sentiment: "
        "MAE, r, Acc-7, Acc-5, Acc-2 and F1 without zeros; MMSA also gives both with zeros, and "
        "rounds to four digits. The Multimodal Transformer hands predictions over as the truth of "
        "scikit-learn's F1, which then weights the sides by how often each is predicted: the "
        "fourth column is what that changes; the gap before it is with the arguments in their "
        "order. Labels: accuracy, two-sided F1 and weighted accuracy of each of four emotions.\n\n"
    )
    write_text(RESULTS / "parity_mult.md", f"{head}{text}\n")


if __name__ == "__main__":
    sys.exit(main())
