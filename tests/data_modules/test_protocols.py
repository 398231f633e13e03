from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_modules.errors import ConfigError, DataError, LeakError
from data_modules.manifest import Utterance
from data_modules.protocols import (
    PROTOCOLS,
    Fold,
    Protocol,
    find_protocol,
    make_folds,
    prove_fold,
)
from tests.data_modules.iemocap_tree import small_turns


def iemocap() -> list[Utterance]:
    """Five sessions of two speakers, each with an improvised and a scripted dialogue."""
    return [
        Utterance(
            turn.name,
            "iemocap",
            speaker=f"{turn.name[:5]}{turn.name.rpartition('_')[2][0]}",
            session=str(turn.session),
            dialogue=turn.dialogue,
            gender="female" if turn.name.rpartition("_")[2][0] == "F" else "male",
            script="script01_1" if "script" in turn.name else None,
        )
        for turn in small_turns()
    ]


@st.composite
def acted(draw: st.DrawFn, min_speakers: int = 3) -> list[Utterance]:
    """Speakers of two genders, each with another number of utterances, in any order."""
    speakers = draw(st.integers(min_speakers, 30))
    genders = draw(
        st.lists(st.sampled_from(["female", "male", None]), min_size=speakers, max_size=speakers)
    )
    sizes = draw(st.lists(st.integers(1, 4), min_size=speakers, max_size=speakers))
    utterances = [
        Utterance(f"{speaker:02d}-{number}", "ravdess", speaker=f"{speaker:02d}", gender=gender)
        for speaker, (gender, size) in enumerate(zip(genders, sizes, strict=True))
        for number in range(size)
    ]
    return draw(st.permutations(utterances))


def values(utterances: Sequence[Utterance], ids: Sequence[str], name: str) -> set[str]:
    by_id = {utterance.id: utterance for utterance in utterances}
    return {getattr(by_id[one], name) for one in ids}


def expect_partition(utterances: Sequence[Utterance], fold: Fold) -> None:
    parts = fold.train + fold.val + fold.test
    assert sorted(parts) == sorted(utterance.id for utterance in utterances)
    order = {utterance.id: place for place, utterance in enumerate(utterances)}
    for ids in fold.parts().values():
        assert ids
        assert list(ids) == sorted(ids, key=order.__getitem__)


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_every_named_protocol_partitions_what_takes_part(name: str) -> None:
    protocol, utterances = PROTOCOLS[name], iemocap()
    folds = make_folds(protocol, utterances)
    if name == "iemocap4-improvised":
        utterances = [u for u in utterances if u.script is None]
    for fold in folds:
        expect_partition(utterances, fold)
    if name != "iemocap4-siriwardhana":
        tested = Counter(one for fold in folds for one in fold.test)
        assert tested == Counter(utterance.id for utterance in utterances)
    # the honest ones promise speakers; the others say what leaks
    assert ("speaker" in protocol.disjoint) == (not protocol.leak)


@pytest.mark.parametrize("name", ["iemocap4-session5", "demo-session5", "iemocap4-improvised"])
def test_session_protocols_test_each_session_and_select_on_another(name: str) -> None:
    utterances = iemocap()
    folds = make_folds(find_protocol(name), utterances)
    assert [values(utterances, fold.test, "session") for fold in folds] == [{s} for s in "12345"]
    assert [values(utterances, fold.val, "session") for fold in folds] == [{s} for s in "23451"]
    for fold in folds:
        for field in ("speaker", "session", "dialogue"):
            parts = [values(utterances, ids, field) for ids in fold.parts().values()]
            assert sum(map(len, parts)) == len(set().union(*parts))


def test_speaker10_tests_each_speaker_and_selects_on_the_partner() -> None:
    utterances = iemocap()
    folds = make_folds(find_protocol("iemocap4-speaker10"), utterances)
    assert len(folds) == 10
    for fold in folds:
        (tested,) = values(utterances, fold.test, "speaker")
        (selecting,) = values(utterances, fold.val, "speaker")
        assert tested[:5] == selecting[:5]
        assert tested != selecting
        assert values(utterances, fold.train, "session") == set("12345") - {tested[4]}


def test_siriwardhana_is_one_split() -> None:
    utterances = iemocap()
    (fold,) = make_folds(find_protocol("iemocap4-siriwardhana"), utterances)
    assert values(utterances, fold.train, "session") == set("123")
    assert values(utterances, fold.val, "session") == {"4"}
    assert values(utterances, fold.test, "session") == {"5"}


@pytest.mark.parametrize(("name", "share"), [("superb", 0.2), ("twentieth", 0.05)])
def test_random_validation_leaks_speakers_but_test_does_not(name: str, share: float) -> None:
    utterances = iemocap()
    folds = make_folds(find_protocol(f"iemocap4-{name}"), utterances)
    for fold in folds:
        test = values(utterances, fold.test, "speaker")
        assert test.isdisjoint(values(utterances, fold.train, "speaker"))
        assert test.isdisjoint(values(utterances, fold.val, "speaker"))
        assert len(fold.val) == pytest.approx(share * (len(fold.val) + len(fold.train)), abs=1)
    assert any(
        values(utterances, fold.val, "speaker") & values(utterances, fold.train, "speaker")
        for fold in folds
    )


def test_folds_are_the_same_each_time() -> None:
    for protocol in PROTOCOLS.values():
        assert make_folds(protocol, iemocap()) == make_folds(protocol, iemocap())


@settings(max_examples=60)
@given(acted(), st.integers(2, 30))
def test_speaker_folds_are_disjoint_and_test_everyone_once(
    utterances: list[Utterance], num_folds: int
) -> None:
    protocol = find_protocol(f"ravdess-speaker{num_folds}")
    speakers = {utterance.speaker for utterance in utterances}
    if len(speakers) < max(3, num_folds):
        with pytest.raises(DataError, match=f"got {len(speakers)}; choose a protocol with fewer"):
            make_folds(protocol, utterances)
        return
    if num_folds == 2 and len(speakers) == 3:
        # two speakers tested, one left to train and to select: no honest fold
        with pytest.raises(LeakError, match="none in train"):
            make_folds(protocol, utterances)
        return
    folds = make_folds(protocol, utterances)
    assert len(folds) == num_folds
    for fold in folds:
        expect_partition(utterances, fold)
        parts = [values(utterances, ids, "speaker") for ids in fold.parts().values()]
        assert sum(map(len, parts)) == len(speakers)
    tested = Counter(one for fold in folds for one in fold.test)
    assert tested == Counter(utterance.id for utterance in utterances)
    sizes = [len(values(utterances, fold.test, "speaker")) for fold in folds]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    "women", [lambda actor: actor % 2, lambda actor: actor > 12], ids=["in turns", "in a row"]
)
def test_folds_have_both_genders_everywhere(women: Callable[[int], int]) -> None:
    utterances = [
        Utterance(f"{actor}", "ravdess", speaker=f"{actor:02d}", gender="fm"[women(actor)])
        for actor in range(1, 25)
    ]
    for fold in make_folds(find_protocol("ravdess-speaker6"), utterances):
        assert len(fold.test) == 4
        for ids in fold.parts().values():
            assert values(utterances, ids, "gender") == {"f", "m"}


@given(st.data())
def test_a_speaker_forced_into_two_parts_is_detected(data: st.DataObject) -> None:
    utterances = iemocap()
    name = data.draw(st.sampled_from(["iemocap4-session5", "iemocap4-speaker10"]))
    protocol = find_protocol(name)
    fold = data.draw(st.sampled_from(make_folds(protocol, utterances)))
    source, target = data.draw(
        st.permutations(["train", "val", "test"]).map(lambda parts: parts[:2])
    )
    moved = data.draw(st.sampled_from(fold.parts()[source]))
    forced = replace(
        fold,
        **{
            source: tuple(one for one in fold.parts()[source] if one != moved),
            target: fold.parts()[target] + (moved,),
        },
    )
    with pytest.raises(LeakError, match=rf"data\.protocol={name}: expected no speaker in both"):
        prove_fold(protocol, forced, {utterance.id: utterance for utterance in utterances})


def test_a_speaker_under_two_sessions_stops_a_session_protocol() -> None:
    utterances = iemocap()
    utterances[0] = replace(utterances[0], speaker="Ses05M")
    with pytest.raises(LeakError, match=r"no speaker in both.*Ses05M in both; mend the speaker"):
        make_folds(find_protocol("iemocap4-session5"), utterances)


def test_empty_parts_and_doubles_are_detected() -> None:
    protocol = Protocol("mine", "by hand", lambda utterances: [], disjoint=())
    by_id = {name: Utterance(name, "demo", speaker=name) for name in "abc"}
    prove_fold(protocol, Fold(("a",), ("b",), ("c",)), by_id)
    with pytest.raises(LeakError, match="got none in val"):
        prove_fold(protocol, Fold(("a",), (), ("c",)), by_id)
    with pytest.raises(LeakError, match="got a in two"):
        prove_fold(protocol, Fold(("a",), ("b",), ("c", "a")), by_id)


def test_an_utterance_without_a_speaker_stops_a_protocol_by_speaker() -> None:
    utterances = [Utterance(name, "ravdess", speaker=name) for name in "abc"]
    utterances.append(Utterance("d", "ravdess"))
    with pytest.raises(DataError, match="a speaker for every utterance, got none for d"):
        make_folds(find_protocol("ravdess-speaker3"), utterances)


def test_two_sessions_are_too_few() -> None:
    utterances = [u for u in iemocap() if u.session in "12"]
    with pytest.raises(DataError, match=r"at least 3 sessions.*got 2: 1, 2; prepare the whole"):
        make_folds(find_protocol("iemocap4-session5"), utterances)


@pytest.mark.parametrize(
    "name", ["iemocap4", "ravdess-speaker", "ravdess-speaker1", "ravdess-speaker²", "X-speaker5"]
)
def test_an_unknown_protocol_names_those_there_are(name: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.protocol: expected one of .*iemocap4-session5"):
        find_protocol(name)


def test_of_a_corpus_only_its_own_protocols_are_named() -> None:
    with pytest.raises(
        ConfigError, match=r"expected one of demo-session5, demo-speakerK, "
    ) as told:
        find_protocol("mars", "demo")
    assert "iemocap" not in str(told.value)
    with pytest.raises(ConfigError, match=r"iemocap4-session5, .*iemocap-speakerK"):
        find_protocol("mars", "iemocap")
