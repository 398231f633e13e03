from __future__ import annotations

from dataclasses import replace

from data_modules.check import Survey
from data_modules.check.groups import MOST_ROWS, count_groups, fold_rows
from data_modules.corpora.release import Corpus, Published
from tests.data_modules.check.test_overlap import NAMED, prepared_of, say


def corpus_of(**counts: dict[str, int]) -> Corpus:
    return replace(NAMED, published=Published("clips", 12, **counts))


def test_folds_by_speaker_stand_beside_the_counts_of_their_speakers() -> None:
    utterances = [say(f"u{k}", speaker=f"s{k % 5}") for k in range(9)]
    published = {f"s{k}": 2 for k in range(5)}
    rows = fold_rows(Survey(prepared_of(utterances, corpus=corpus_of(speakers=published))))
    assert len(rows) == 5
    # s4 has one utterance of its two here
    assert sorted(row["test"] for row in rows) == ["1 of 2", "2", "2", "2", "2"]
    assert {row["train"] for row in rows} == {"5 of 6", "6"}
    unknown = corpus_of(speakers={"s0": 2})
    rows = fold_rows(Survey(prepared_of(utterances, corpus=unknown)))
    assert sorted(row["test"] for row in rows) == ["1", "2", "2", "2", "2"]


def test_parts_stand_beside_published_parts() -> None:
    parts = [*["train"] * 3, "val", "test", "test"]
    utterances = [say(f"u{k}", part, speaker=part) for k, part in enumerate(parts)]
    corpus = corpus_of(parts={"train": 3, "val": 2, "test": 2})
    assert fold_rows(Survey(prepared_of(utterances, corpus=corpus))) == [
        {"train": "3", "val": "1 of 2", "test": "2"}
    ]
    assert fold_rows(Survey(prepared_of([]))) == []


def test_parts_that_share_speakers_have_no_published_share() -> None:
    parts = [*["train"] * 3, "val", "test", "test"]
    utterances = [say(f"u{k}", part, speaker="s") for k, part in enumerate(parts)]
    corpus = corpus_of(speakers={"s": 100})
    assert fold_rows(Survey(prepared_of(utterances, corpus=corpus))) == [
        {"train": "3", "val": "1", "test": "2"}
    ]


def test_groups_hold_what_is_known_and_large_ones_are_summed_up() -> None:
    utterances = [say(f"u{k}", speaker=f"s{k % 50:02}") for k in range(60)]
    published = {f"s{k:02}": 2 for k in range(45)}
    survey = Survey(prepared_of(utterances, corpus=corpus_of(speakers=published)))
    groups = {group.name: group.rows for group in count_groups(survey)}
    assert list(groups) == ["class", "speaker", "all"]
    (total,) = groups["all"]
    assert (total.here, total.published, total.difference) == (60, 12, "+48")
    first, *rest = groups["speaker"]
    assert first.name == "50 names, 1 to 2 utterances each, median 1"
    # ten speakers have both, 35 have one of two; the last five are not among the published
    assert [row.difference for row in rest] == ["-1"] * 35
    assert len(rest) < MOST_ROWS
