from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_modules.corpora import CORPORA, SCHEMES, find_scheme
from data_modules.errors import ConfigError, LabelError
from data_modules.labels import (
    BinScheme,
    ClassScheme,
    LeftOut,
    PresenceScheme,
    RatingScheme,
    TagScheme,
)
from data_modules.manifest import Utterance


def utterance(value: object, key: str = "category") -> Utterance:
    return Utterance("u1", "iemocap", labels={key: value})


def test_names_of_schemes_are_their_own() -> None:
    # the demo corpus has IEMOCAP's
    corpora = [corpus for name, corpus in CORPORA.items() if name != "demo"]
    names = [scheme.name for corpus in corpora for scheme in corpus.schemes]
    assert sorted(names) == sorted(set(names)) == sorted(SCHEMES)
    assert all(find_scheme(name).name == name for name in names)
    assert all(len(set(scheme.names)) == len(scheme.names) > 0 for scheme in SCHEMES.values())


CLASS_SCHEMES = [scheme for scheme in SCHEMES.values() if isinstance(scheme, ClassScheme)]


@pytest.mark.parametrize("scheme", CLASS_SCHEMES, ids=lambda scheme: scheme.name)
def test_a_scheme_is_complete_and_consistent(scheme: ClassScheme) -> None:
    assert set(scheme.mapping.values()) == set(scheme.names)
    assert set(scheme.mapping).isdisjoint(scheme.left_out)
    assert all(scheme.left_out.values())
    for value, name in scheme.mapping.items():
        target = scheme.target_of(utterance(value, scheme.source))
        assert isinstance(target, int)
        assert scheme.name_of(target) == scheme.stratum_of(target) == name
    for value, reason in scheme.left_out.items():
        assert scheme.target_of(utterance(value, scheme.source)) == LeftOut(reason, value)


def test_iemocap_merges_excited_into_happy_and_keeps_superbs_order() -> None:
    scheme = find_scheme("iemocap4")
    targets = [scheme.target_of(utterance(v)) for v in ("neu", "hap", "exc", "ang", "sad")]
    assert targets == [0, 1, 1, 2, 3]
    assert isinstance(scheme, ClassScheme)
    assert set(scheme.left_out) == {"fru", "sur", "fea", "dis", "oth", "xxx"}


def test_emodb_letters_are_german_initials() -> None:
    scheme = find_scheme("emodb7")
    named = [scheme.target_of(utterance(letter)) for letter in "WAT"]  # Wut, Angst, Trauer
    assert [scheme.name_of(t) for t in named if isinstance(t, int)] == ["anger", "fear", "sadness"]


@pytest.mark.parametrize("value", ["neutral", "NEU", "", None, 3, ["neu"]])
def test_a_value_that_the_scheme_does_not_know_is_an_error(value: object) -> None:
    with pytest.raises(LabelError, match=r"iemocap u1: expected labels\.category among neu, hap"):
        find_scheme("iemocap4").target_of(utterance(value))


def test_an_utterance_without_labels_is_an_error() -> None:
    with pytest.raises(LabelError, match="got None"):
        find_scheme("nemo6").target_of(Utterance("u1", "nemo"))


def test_an_unknown_scheme_names_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"data\.labels: expected one of iemocap4.*'iemocap'"):
        find_scheme("iemocap")


# --- votes


def votes(**numbers: object) -> Utterance:
    return Utterance("u1", "iemocap", labels={"category": "neu", "votes": numbers})


def test_shares_are_over_the_votes_for_a_class() -> None:
    scheme = find_scheme("iemocap4")
    assert scheme.shares_of(votes(neu=1, hap=1, exc=1, fru=5)) == (1 / 3, 2 / 3, 0, 0)
    assert scheme.shares_of(votes(fru=3)) is None
    assert scheme.shares_of(votes()) is None
    assert scheme.shares_of(utterance("neu")) is None


@given(st.lists(st.integers(0, 9), min_size=4, max_size=4).filter(any))
def test_shares_are_a_distribution(numbers: list[int]) -> None:
    shares = find_scheme("iemocap4").shares_of(
        votes(**dict(zip(("neu", "hap", "ang", "sad"), numbers, strict=True)))
    )
    assert shares == pytest.approx([number / sum(numbers) for number in numbers])


@pytest.mark.parametrize("bad", [{"glad": 1}, {"neu": -1}, {"neu": "two"}, {"neu": math.nan}])
def test_votes_that_cannot_be_are_an_error(bad: dict[str, object]) -> None:
    with pytest.raises(LabelError, match=r"iemocap u1: expected labels\.votes"):
        find_scheme("iemocap4").shares_of(votes(**bad))


# --- ratings


RATING = RatingScheme(name="r", names=("a", "b"), sources=("a", "deep.b"), low=-3, high=3)
PRESENCE = PresenceScheme(name="p", names=("a", "b"), sources=("a", "b"), high=3)
SIGN = BinScheme(
    name="s",
    names=("negative", "positive"),
    source="a",
    low=-3,
    high=3,
    bin_of=lambda value: None if value == 0 else "positive" if value > 0 else "negative",
    left_out="neither",
)
TAGS = TagScheme(name="t", names=("x", "y"), source="tags", mapping={"1": "x", "2": "y"})


def rated(**values: object) -> Utterance:
    return Utterance("u1", "c", labels=values)


def test_ratings_are_numbers_in_their_range() -> None:
    assert RATING.target_of(rated(a=1, deep={"b": -2.5})) == (1.0, -2.5)
    assert RATING.stratum_of((1.4, 0.0)) == "1"
    assert RATING.name_of((1.4, 0.0)) == "a 1.4, b 0"
    assert RATING.family == "rating"
    for bad in (3.1, -3.1, math.nan, math.inf, "1", None, True):
        with pytest.raises(LabelError, match=r"c u1: expected labels\.a between -3 and 3"):
            RATING.target_of(rated(a=bad, deep={"b": 0}))
    with pytest.raises(LabelError, match=r"labels\.deep\.b .* got None"):
        RATING.target_of(rated(a=0, deep=2))


def test_presence_is_above_zero() -> None:
    assert PRESENCE.target_of(rated(a=0, b=0.33)) == (0.0, 1.0)
    with pytest.raises(LabelError, match="between 0 and 3"):
        PRESENCE.target_of(rated(a=-0.1, b=0))


def test_bins_may_leave_values_out() -> None:
    assert [SIGN.target_of(rated(a=value)) for value in (-1, 2.5)] == [0, 1]
    assert SIGN.target_of(rated(a=0)) == LeftOut("neither", "0")


def test_tags_are_a_list_of_known_values() -> None:
    assert TAGS.target_of(rated(tags=["2"])) == (0.0, 1.0)
    assert TAGS.target_of(rated(tags=["2", "1", "1"])) == (1.0, 1.0)
    assert TAGS.target_of(rated(tags=[])) == (0.0, 0.0)
    with pytest.raises(LabelError, match=r"expected labels\.tags among 1, 2, got '3'"):
        TAGS.target_of(rated(tags=["3"]))
    with pytest.raises(LabelError, match="as a list, got '1'"):
        TAGS.target_of(rated(tags="1"))
