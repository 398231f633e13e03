from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from data_modules.manifest import Utterance
from sermm.extremes import best_and_worst
from sermm.groups import Factor, by_factor, factors_of, length_of
from sermm.pool import Pool, pool_runs
from sermm.results import read_run
from sermm.utterance_facts import Facts
from tests.sermm.fake_runs import FakeExperiment


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    made = FakeExperiment(tmp_path_factory.mktemp("runs") / "x", seeds=(0, 1)).write()
    return pool_runs([read_run(made.folder / key.folder_name) for key in made.keys])


def speaker_of(pool: Pool, name: str) -> str:
    return pool.speakers[name]


def factor(pool: Pool, group_of: dict[str, str]) -> Factor:
    return Factor("x", "x", group_of, tuple(sorted(set(group_of.values()))))


def right_of(pool: Pool, names: set[str]) -> tuple[list[int], list[int]]:
    true: list[int] = []
    said: list[int] = []
    for run in pool.runs:
        for name, label, outcome in zip(
            run.predictions.ids, run.predictions.references, run.predictions.outcomes, strict=True
        ):
            if name in names:
                true.append(int(label))
                said.append(int(outcome))
    return true, said


def test_scores_of_groups_are_those_of_their_utterances(pool: Pool) -> None:
    halves = {name: "early" if int(name[-3:]) % 30 < 20 else "late" for name in pool.references}
    early, late = by_factor(pool, factor(pool, halves))
    names = {name for name, half in halves.items() if half == "early"}
    true, said = right_of(pool, names)
    assert early["metrics"]["ua"]["value"] == pytest.approx(
        reference.balanced_accuracy_score(true, said)
    )
    assert early["num_utterances"] == len(names)
    assert (early["num_speakers"], early["gap_to"]) == (6, "late")
    gap = early["metrics"]["ua"]["value"] - late["metrics"]["ua"]["value"]
    assert early["gap"]["ua"]["value"] == pytest.approx(gap)
    low, high = early["gap"]["ua"]["ci95"]
    assert low < gap < high
    assert "gap" not in late


def test_a_gap_between_groups_of_speakers_is_welchs(pool: Pool) -> None:
    """Share right by speaker, all with as many utterances: what a t test of two samples has."""
    genders = {name: ("f", "m")[int(pool.speakers[name][3:]) % 2] for name in pool.references}
    first, _ = by_factor(pool, factor(pool, genders))
    by_speaker: dict[str, list[float]] = {"f": [], "m": []}
    for speaker in sorted(set(pool.speakers.values())):
        names = {name for name, own in pool.speakers.items() if own == speaker}
        true, said = right_of(pool, names)
        by_speaker[genders[min(names)]].append(float(np.mean(np.equal(true, said))))
    found = stats.ttest_ind(by_speaker["f"], by_speaker["m"], equal_var=False)
    interval = found.confidence_interval(0.95)
    assert first["num_speakers"] == 3
    assert first["gap"]["wa"]["value"] == pytest.approx(
        np.mean(by_speaker["f"]) - np.mean(by_speaker["m"])
    )
    assert first["gap"]["wa"]["ci95"] == pytest.approx([interval.low, interval.high], abs=0.01)


def test_of_several_groups_each_is_held_against_all_others(pool: Pool) -> None:
    thirds = {name: f"g{int(name[-3:]) % 3}" for name in pool.references}
    rows = by_factor(pool, factor(pool, thirds))
    assert [row["gap_to"] for row in rows] == ["all others"] * 3
    names = {name for name, third in thirds.items() if third != "g0"}
    rest = reference.balanced_accuracy_score(*right_of(pool, names))
    assert rows[0]["gap"]["ua"]["value"] == pytest.approx(rows[0]["metrics"]["ua"]["value"] - rest)


@pytest.mark.parametrize("few", [{"spk00"}, {"spk00", "spk03"}])
def test_a_group_of_one_or_two_speakers_has_no_interval(pool: Pool, few: set[str]) -> None:
    one = {name: "one" if pool.speakers[name] in few else "rest" for name in pool.references}
    first, rest = by_factor(pool, factor(pool, one))
    assert first["metrics"]["ua"]["ci95"] is None
    assert first["gap"]["ua"]["ci95"] is None
    assert rest["metrics"]["ua"]["ci95"] is not None


def test_utterances_without_a_group_take_no_part(pool: Pool) -> None:
    some = {name: "ab"[int(name[-3:]) % 2] for name in list(pool.references)[:40]}
    rows = by_factor(pool, factor(pool, some))
    assert sum(row["num_utterances"] for row in rows) == 40


def facts_of(**fields: list[Any]) -> tuple[Facts, list[str]]:
    count = len(next(iter(fields.values())))
    utterances = {
        f"u{k}": Utterance(f"u{k}", "x", **{name: values[k] for name, values in fields.items()})
        for k in range(count)
    }
    return Facts(cast(Any, SimpleNamespace()), utterances, {}), list(utterances)


def found(facts: Facts, ids: list[str], name: str) -> Factor:
    return next(factor for factor in factors_of(facts, ids) if factor.name == name)


def test_what_divides_and_what_does_not() -> None:
    facts, ids = facts_of(
        gender=["female", "male", None], script=["a", None, "b"], session=["1", "1", "1"]
    )
    assert found(facts, ids, "gender").order == ("female", "male")
    assert set(found(facts, ids, "gender").group_of) == {"u0", "u1"}
    scripts = found(facts, ids, "script")
    assert scripts.title == "script or improvisation"
    assert scripts.group_of == {"u0": "scripted", "u1": "improvised", "u2": "scripted"}
    assert found(facts, ids, "session").lacking == "the same for all: 1"
    assert found(facts, ids, "length").lacking == "not known of any utterance"
    assert found(facts, ids, "word_times").lacking == "not known of any utterance"
    sources = found(replace(facts, sources={"u0": "ctc", "u1": "corpus"}), ids, "word_times")
    assert sources.order == ("corpus", "ctc")


def test_few_scripts_are_groups_and_many_are_none() -> None:
    facts, ids = facts_of(script=["kids", "dogs", "kids"])
    assert found(facts, ids, "script").order == ("dogs", "kids")
    facts, ids = facts_of(script=[f"s{k}" for k in range(30)])
    assert found(facts, ids, "script").lacking
    facts, ids = facts_of(session=[f"s{k}" for k in range(30)])
    assert found(facts, ids, "session").lacking.startswith("30 groups, too many")


@pytest.mark.parametrize(
    ("seconds", "step"),
    [
        (0.4, "up to 1 s"),
        (1.0, "up to 1 s"),
        (1.01, "1 to 2 s"),
        (16, "8 to 16 s"),
        (99, "over 16 s"),
    ],
)
def test_steps_of_length(seconds: float, step: str) -> None:
    utterance = Utterance("u", "x", audio="a.wav", start_s=2.0, end_s=2.0 + seconds)
    assert length_of(replace(utterance, start_s=0.0, end_s=seconds)) == step


def test_the_best_and_the_worst(pool: Pool) -> None:
    best, worst = best_and_worst(pool, 4)
    fits: dict[str, list[float]] = {}
    for run in pool.runs:
        said = run.predictions
        assert said.probabilities is not None
        own = said.probabilities[np.arange(len(said.ids)), said.references]
        for name, fit in zip(said.ids, own, strict=True):
            fits.setdefault(name, []).append(float(fit))
    order = sorted(fits, key=lambda name: np.mean(fits[name]))
    assert [one.id for one in worst] == order[:4]
    assert best[0].id == order[-1]
    assert worst[0].fit == pytest.approx(np.mean(fits[order[0]]))
    assert worst[0].label != worst[0].predicted
    assert best[0].label == best[0].predicted


def test_the_best_are_of_each_class_in_turn(pool: Pool) -> None:
    everything, worst = best_and_worst(pool, 10_000)
    assert not {one.id for one in everything} & {one.id for one in worst}
    right = [one for one in everything if one.label == one.predicted]
    assert [one.id for one in everything[: len(right)]] == [one.id for one in right]
    by_class: dict[str, list[float]] = {}
    for one in right:
        by_class.setdefault(one.label, []).append(one.fit)
    assert len(by_class) > 1
    assert all(fits == sorted(fits, reverse=True) for fits in by_class.values())
    best, _ = best_and_worst(pool, len(by_class))
    assert {one.label for one in best} == set(by_class)


@pytest.mark.parametrize("family", ["sentiment", "multilabel"])
def test_extremes_of_ratings_and_labels(tmp_path: Path, family: str) -> None:
    names = ("mood",) if family == "sentiment" else ("joy", "anger")
    made = FakeExperiment(tmp_path / "x", folds=1, family=cast(Any, family), classes=names)
    made.write()
    made_pool = pool_runs([read_run(made.folder / key.folder_name) for key in made.keys])
    best, worst = best_and_worst(made_pool)
    assert best[0].fit > worst[0].fit
    assert not {one.id for one in best} & {one.id for one in worst}
