from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_modules.check import Survey, check
from data_modules.check.division import divide, usual_protocol
from data_modules.check.leaks import percent
from data_modules.check.overlap import AUDIO, LONG, TEXT, find_overlaps, normalise_text
from data_modules.check.result import CheckResult
from data_modules.corpora import CORPORA
from data_modules.corpora.release import Corpus
from data_modules.manifest import Utterance
from data_modules.media_facts import MediaFacts, MediaTable
from data_modules.prepared import Prepared

NAMED = replace(CORPORA["emodb"], name="mine", protocol="", published=None)
KINDS = ("speaker", "dialogue", "script")


def prepared_of(
    utterances: Sequence[Utterance], media: Sequence[MediaFacts] = (), corpus: Corpus = NAMED
) -> Prepared:
    table = MediaTable(media)
    return Prepared(corpus, Path("/data"), Path("/cache"), list(utterances), [], {}, [], table, "")


def results_of(*utterances: Utterance, **more: object) -> dict[str, CheckResult]:
    found = check(prepared_of(utterances, **more))  # type: ignore[arg-type]
    return {result.name: result for result in found}


def say(name: str, part: str | None = None, **fields: object) -> Utterance:
    labels = {"category": "A"}
    return Utterance(name, "mine", part=part, labels=labels, **fields)  # type: ignore[arg-type]


def facts_of(name: str, content: int) -> MediaFacts:
    return MediaFacts(
        name, "", 1, 1, None, None, f"{content:064x}", 16_000, 1, 16_000, 1.0, 0.5, 0.1, 0
    )


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Yes, of course!", "yes of course"),
        ("  YES --  of\tcourse ", "yes of course"),
        ("Don't", "dont"),
        ("don\N{RIGHT SINGLE QUOTATION MARK}t", "dont"),
        ("Stra\N{LATIN SMALL LETTER SHARP S}e", "strasse"),
        ("\N{FULLWIDTH LATIN CAPITAL LETTER A}1", "a1"),
        ("\u0105", "\u0105"),
        ("...", ""),
        ("", ""),
    ],
)
def test_texts_are_compared_by_letters_and_digits(text: str, normal: str) -> None:
    assert normalise_text(text) == normal


@given(st.text(max_size=30))
def test_normal_texts_stay_as_they_are(text: str) -> None:
    normal = normalise_text(text)
    assert normalise_text(normal.upper().lower()) == normalise_text(normal)
    assert normal == normal.strip()


VALUE = st.none() | st.sampled_from("abc")


@st.composite
def corpora(draw: st.DrawFn) -> list[Utterance]:
    number = draw(st.integers(3, 24))
    parts = ["train", "val", "test", *draw(st.lists(st.sampled_from(["train", "val", "test"])))]
    return [
        say(
            f"u{place:02d}",
            parts[place % len(parts)],
            speaker=draw(VALUE),
            dialogue=draw(VALUE),
            script=draw(VALUE),
            text=draw(st.none() | st.sampled_from(["Yes.", "yes!", "We are so glad", "...", ""])),
        )
        for place in range(number)
    ]


@given(corpora(), st.randoms(use_true_random=False))
def test_overlaps_are_those_of_sets(utterances: list[Utterance], rng: random.Random) -> None:
    """Counted again one utterance at a time."""
    media = MediaTable(facts_of(u.id, rng.randint(0, 5)) for u in utterances if rng.random() < 0.8)
    division = divide(NAMED, utterances)
    assert division is not None

    def value(utterance: Utterance, kind: str) -> str | None:
        if kind == AUDIO:
            facts = media.get(utterance.id)
            return facts and facts.content_sha256
        if kind in (TEXT, LONG):
            text = normalise_text(utterance.text or "")
            return text if text and (kind == TEXT or len(text.split()) >= 4) else None
        return getattr(utterance, kind)  # type: ignore[no-any-return]

    for overlap in find_overlaps(utterances, media, division):
        values = {
            part: [value(u, overlap.kind) for u in utterances if u.part == part]
            for part in ("train", "val", "test")
        }
        one = set(values[overlap.one]) - {None}
        other = [found for found in values[overlap.other] if found is not None]
        assert overlap.num_all == len(other)
        assert overlap.num_shared == sum(found in one for found in other)
        assert overlap.num_values == len(one & set(other))
        assert {utterances[place].id for place in overlap.places} == {
            u.id for u in utterances if u.part == overlap.other and value(u, overlap.kind) in one
        }


def test_folds_are_summed_and_utterances_named_once() -> None:
    """Six speakers in five folds; all say the same, so everything is shared every time."""
    utterances = [
        say(f"u{k:02d}", speaker=f"s{k % 6}", text="The same four words") for k in range(12)
    ]
    survey = Survey(prepared_of(utterances))
    (test,) = (o for o in survey.overlaps if (o.kind, o.one, o.other) == (TEXT, "train", "test"))
    assert (test.num_shared, test.num_all, test.num_values) == (12, 12, 1)
    assert test.places.tolist() == list(range(12))
    (speakers,) = (o for o in survey.overlaps if (o.kind, o.other) == ("speaker", "val"))
    assert (speakers.num_shared, speakers.share) == (0, 0.0)
    results = {result.name: result for result in check(survey)}
    assert results["shared texts"].status == "warn"
    assert results["shared texts"].detail.startswith("mine-speaker5: 100.0 % of test (12 of 12) ")
    assert results["shared texts"].detail.endswith(
        "; 100.0 % of those in test with 4 words or more"
    )
    assert results["shared speakers"].status == "pass"
    assert "shared dialogues" not in results
    assert "shared audio" not in results


def test_the_share_of_test_texts_that_training_has() -> None:
    texts = {
        "train": ["Yes.", "We go home now", "Never"],
        "val": ["No", "never!"],
        "test": ["yes", "Yes!", "we go home, now", "Quite another text here", "Else", None],
    }
    utterances = [
        say(f"{part}{k}", part, speaker=part, text=text)
        for part, found in texts.items()
        for k, text in enumerate(found)
    ]
    result = results_of(*utterances)["shared texts"]
    assert result.detail == (
        "mine-standard: 60.0 % of test (3 of 5) and 50.0 % of val (1 of 2) have a text that "
        "occurs in train; 50.0 % of those in test with 4 words or more"
    )
    assert result.ids == ("val1", "test0", "test1", "test2")


def test_equal_audio_in_two_parts_is_told_from_copies_within_one() -> None:
    parts = {"a": "train", "b": "train", "c": "train", "d": "val", "e": "test"}
    utterances = [say(name, part, audio=name, speaker=part) for name, part in parts.items()]
    contents = {"a": 1, "b": 1, "c": 2, "d": 3, "e": 2}
    media = [facts_of(name, content) for name, content in contents.items()]
    results = results_of(*utterances, media=media)
    assert results["shared audio"].ids == ("e",)
    assert results["shared audio"].detail == (
        "mine-standard: 100.0 % of test (1 of 1) have audio that occurs in train"
    )
    assert results["duplicates"].detail == (
        "4 clips with the audio of another, 2 of them of another speaker, 2 of them in another part"
    )
    assert results["duplicates"].ids == ("c", "e", "a", "b")


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (["train", "val", "test"], "mine-standard"),
        (["train", None], "mine-standard"),
        (["train", "val", "test2", "test1"], "mine-test1"),
        (["fold1", "fold2", None], "mine-folds"),
        ([None] * 5, "mine-speaker5"),
        ([None] * 4, ""),
    ],
)
def test_the_usual_protocol_follows_from_what_there_is(
    parts: list[str | None], expected: str
) -> None:
    utterances = [say(str(k), part, speaker=str(k)) for k, part in enumerate(parts)]
    assert usual_protocol(NAMED, utterances) == expected
    assert usual_protocol(replace(NAMED, protocol="mine-dev"), utterances) == "mine-dev"
    nameless = [replace(utterance, speaker=None) for utterance in utterances]
    if expected == "mine-speaker5":
        assert usual_protocol(NAMED, nameless) == ""


def test_a_promise_that_does_not_hold_fails() -> None:
    parts = [*("train", "val", "test")]
    apart = [say(part, part, speaker=part, dialogue=part) for part in parts]
    assert results_of(*apart)["folds"].status == "pass"
    assert results_of(*apart)["folds"].detail == (
        "mine-standard: 1 fold, with speakers, dialogues apart"
    )
    leaking = results_of(*apart, say("x", "test", speaker="train"))
    assert (leaking["folds"].status, leaking["folds"].needs) == ("fail", "folds")
    assert leaking["folds"].detail == (
        "mine-standard promises no speaker in both train and test, but there is train in both"
    )
    assert leaking["shared speakers"].ids == ("x",)
    # MELD shares its speakers as published: no promise, no failure
    meld = results_of(*apart, say("x", "test", speaker="train"), corpus=replace(NAMED, name="meld"))
    assert meld["folds"].status == "pass"
    assert "known leak: the main speakers" in meld["folds"].detail
    assert meld["shared speakers"].status == "warn"


def test_parts_are_compared_where_the_protocol_lacks_one() -> None:
    """As in a release whose test part is kept back."""
    utterances = [say("a", "train", text="So it is"), say("b", "val", text="so it is.")]
    results = results_of(*utterances)
    assert results["folds"].status == "warn"
    assert results["folds"].detail == (
        "mine-standard cannot be used here: expected utterances in the parts train, val, test, "
        "got none in test (1 in train, 1 in val)"
    )
    assert results["shared texts"].ids == ("b",)
    (emptied,) = (r for r in check(prepared_of([say("a", "train")])) if r.name == "folds")
    assert emptied.status == "warn"


def test_nothing_to_divide_has_no_such_checks() -> None:
    for utterances in ([], [say("a", speaker="s")]):
        names = set(results_of(*utterances))
        assert not {name for name in names if name.startswith("shared") or name == "folds"}


def test_shares_are_not_rounded_to_nothing_or_all() -> None:
    assert [percent(share) for share in (0, 0.0001, 0.5, 0.9999, 1)] == [
        *("0.0 %", "under 0.1 %", "50.0 %", "over 99.9 %", "100.0 %")
    ]


def test_a_fold_with_nothing_to_train_on_is_told() -> None:
    corpus = replace(NAMED, protocol="mine-dev")
    result = results_of(say("a", "train"), say("b", "val"), corpus=corpus)["folds"]
    assert result.status == "warn"
    assert result.detail == "mine-dev cannot be used here: fold 0 has nothing in train"
