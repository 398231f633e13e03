from __future__ import annotations

import pytest

from data_modules.errors import ConfigError, LabelError
from data_modules.labels import SCHEMES, LabelScheme, find_scheme
from data_modules.manifest import Utterance


def utterance(value: object) -> Utterance:
    return Utterance("u1", "iemocap", labels={"category": value})


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=list(SCHEMES))
def test_a_scheme_is_complete_and_consistent(scheme: LabelScheme) -> None:
    assert set(scheme.mapping.values()) == set(scheme.names)
    assert len(set(scheme.names)) == len(scheme.names)
    assert set(scheme.mapping).isdisjoint(scheme.left_out)
    assert all(scheme.left_out.values())
    assert find_scheme(scheme.name) is scheme
    for value, name in scheme.mapping.items():
        assert scheme.class_of(utterance(value)) == name
        assert scheme.index_of(utterance(value)) == scheme.names.index(name)
    for value in scheme.left_out:
        assert scheme.class_of(utterance(value)) is None
        assert scheme.index_of(utterance(value)) is None


def test_iemocap_merges_excited_into_happy_and_keeps_superbs_order() -> None:
    scheme = find_scheme("iemocap4")
    assert [scheme.index_of(utterance(v)) for v in ("neu", "hap", "exc", "ang", "sad")] == [
        0,
        1,
        1,
        2,
        3,
    ]
    assert set(scheme.left_out) == {"fru", "sur", "fea", "dis", "oth", "xxx"}


def test_emodb_letters_are_german_initials() -> None:
    scheme = find_scheme("emodb7")
    assert scheme.class_of(utterance("W")) == "anger"  # Wut
    assert scheme.class_of(utterance("A")) == "fear"  # Angst
    assert scheme.class_of(utterance("T")) == "sadness"  # Trauer


@pytest.mark.parametrize("value", ["neutral", "NEU", "", None, 3, ["neu"]])
def test_a_value_that_the_scheme_does_not_know_is_an_error(value: object) -> None:
    with pytest.raises(LabelError, match=r"iemocap u1: expected labels\.category among neu, hap"):
        find_scheme("iemocap4").class_of(utterance(value))


def test_an_utterance_without_labels_is_an_error() -> None:
    with pytest.raises(LabelError, match="got None"):
        find_scheme("nemo6").index_of(Utterance("u1", "nemo"))


def test_an_unknown_scheme_names_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"data\.labels: expected one of iemocap4.*'iemocap'"):
        find_scheme("iemocap")
