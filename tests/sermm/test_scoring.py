from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from data_modules.corpora import SCHEMES
from data_modules.labels import Family, Kind
from sermm.scoring import Scoring, find_scoring

CASES: list[tuple[Kind, tuple[str, ...], Family]] = [
    ("classes", ("calm", "sad", "glad"), "classes"),
    ("regression", ("sentiment",), "sentiment"),
    ("regression", ("happy", "sad"), "intensity"),
    ("regression", ("arousal", "valence", "dominance"), "rating"),
    ("multilabel", ("joy", "fear"), "multilabel"),
]
SCORINGS = [find_scoring(*case) for case in CASES]


def draw(scoring: Scoring, count: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(3)
    shape = (2, count, len(scoring.names))
    if scoring.kind == "regression":
        return tuple(generator.normal(size=shape))  # type: ignore[return-value]
    if scoring.kind == "multilabel":
        return tuple(generator.integers(0, 2, shape))  # type: ignore[return-value]
    return tuple(generator.integers(0, len(scoring.names), (2, count)))  # type: ignore[return-value]


@pytest.mark.parametrize("scoring", SCORINGS, ids=lambda s: s.family)
def test_scores_do_not_depend_on_how_utterances_are_cut_into_batches(scoring: Scoring) -> None:
    references, outcomes = draw(scoring, 17)
    whole = scoring.contributions(references, outcomes)
    assert len(whole) == 17
    parts = [
        scoring.contributions(references[part], outcomes[part]).sum(axis=0)
        for part in (slice(0, 5), slice(5, 6), slice(6, 17))
    ]
    expected = scoring.scores(whole.sum(axis=0))
    assert scoring.scores(np.sum(parts, axis=0)) == pytest.approx(expected)
    assert list(expected) == list(scoring.metrics)


@pytest.mark.parametrize("scoring", SCORINGS, ids=lambda s: s.family)
def test_the_headline_leads_and_single_names_come_last(scoring: Scoring) -> None:
    assert scoring.brief[0] == scoring.headline
    assert set(scoring.brief) <= set(scoring.overall)
    assert next(iter(scoring.metrics)) == scoring.headline
    order = [bool(info.of) for info in scoring.metrics.values()]
    assert order == sorted(order)
    of_names = {name: list(scoring.of(name)) for name in scoring.names}
    assert sum(map(len, of_names.values())) == sum(order)
    for name, metrics in of_names.items():
        assert all(metric.endswith(f"_{name}") for metric in metrics)


def test_errors_are_better_when_low() -> None:
    for scoring in SCORINGS:
        for name, info in scoring.metrics.items():
            assert info.higher_is_better != name.startswith("mae"), name


def test_titles_tell_names_apart() -> None:
    for scoring in SCORINGS:
        titles = [info.full_title for info in scoring.metrics.values()]
        assert len(set(titles)) == len(titles)


@pytest.mark.parametrize(
    ("kind", "family", "match"),
    [
        ("classes", "sentiment", r"scores for classes \(classes\), got 'sentiment'"),
        ("regression", "multilabel", r"\(sentiment, intensity, rating\), got 'multilabel'"),
        ("multilabel", "nonsense", "got 'nonsense'"),
    ],
)
def test_scores_of_another_kind_are_refused(kind: Kind, family: Family, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        find_scoring(kind, ("a", "b"), family)


@pytest.mark.parametrize("name", SCHEMES)
def test_every_scheme_has_scores(name: str) -> None:
    scheme = SCHEMES[name]
    scoring = find_scoring(scheme.kind, scheme.names, scheme.family)
    assert scoring.names == scheme.names


def test_scoring_needs_no_torch() -> None:
    code = "import sermm.scoring, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
