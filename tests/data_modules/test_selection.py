from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_modules.errors import ConfigError, LabelError, LeakError
from data_modules.labels import ClassScheme
from data_modules.manifest import Exclusion, Utterance, Word
from data_modules.protocols import Fold, Protocol
from data_modules.selection import Selection, data_sha256, draw_subset, select

SCHEME = ClassScheme(
    name="two",
    names=("calm", "angry"),
    source="category",
    mapping={"c": "calm", "a": "angry"},
    left_out={"x": "the raters did not agree"},
    votes="votes",
)


def fold_of_sessions(utterances: Sequence[Utterance]) -> list[Fold]:
    """Session 1 trains, 2 selects, 3 is scored, any other stands in no part."""
    parts = [tuple(u.id for u in utterances if u.session == name) for name in "123"]
    return [Fold(*parts)]


PROTOCOL = Protocol("sessions", "for tests", fold_of_sessions, disjoint=("speaker", "session"))


def utterance(number: int, category: str, session: str) -> Utterance:
    return Utterance(
        id=f"u{number}",
        corpus="made",
        speaker=f"speaker {session}",
        session=session,
        text=f"words of {number}",
        words=(Word("words", 0.0, 0.5, "corpus"),),
        labels={"category": category},
    )


def manifest() -> list[Utterance]:
    return [
        utterance(number, category, session)
        for number, (session, category) in enumerate(
            (session, category) for session in "3124" for category in "acxca"
        )
    ]


def selection() -> Selection:
    return select(manifest(), scheme=SCHEME, protocol=PROTOCOL)


# --- select


def test_in_is_used_plus_left_out() -> None:
    before = [Exclusion("u99", "no audio file")]
    utterances = manifest()
    chosen = select(utterances, scheme=SCHEME, protocol=PROTOCOL, exclusions=before)
    left_out = [exclusion.id for exclusion in chosen.exclusions]
    assert Counter([*chosen.utterances, *left_out]) == Counter([*(u.id for u in utterances), "u99"])
    assert Counter(exclusion.reason for exclusion in chosen.exclusions) == {
        "no audio file": 1,
        "two: the raters did not agree": 4,
        "not part of protocol sessions": 4,
    }
    assert {e.detail for e in chosen.exclusions if "raters" in e.reason} == {"x"}
    assert before == [Exclusion("u99", "no audio file")]


def test_targets_and_order() -> None:
    chosen = selection()
    assert list(chosen.utterances) == [u.id for u in manifest() if u.id in chosen.utterances]
    assert list(chosen.targets) == list(chosen.utterances)
    for name, used in chosen.utterances.items():
        assert chosen.targets[name] == {"c": 0, "a": 1}[used.labels["category"]]
    (fold,) = chosen.folds
    assert sorted(sum(fold.parts().values(), ())) == sorted(chosen.utterances)


def test_class_counts_name_every_class() -> None:
    chosen = selection()
    assert chosen.class_counts(chosen.folds[0].train) == {"calm": 2, "angry": 2}
    calm = [name for name, target in chosen.targets.items() if target == 0]
    assert chosen.class_counts(calm) == {"calm": 6, "angry": 0}


def test_a_fold_by_number() -> None:
    chosen = selection()
    assert chosen.fold(0) is chosen.folds[0]
    for number in (-1, 1):
        with pytest.raises(ConfigError, match=rf"fold: expected 0 to 0 \(sessions\), got {number}"):
            chosen.fold(number)


def test_absent_class() -> None:
    calm = [u for u in manifest() if u.labels["category"] != "a"]
    with pytest.raises(LabelError, match=r"data.labels=two on made: .* got none of angry"):
        select(calm, scheme=SCHEME, protocol=PROTOCOL)
    with pytest.raises(LabelError, match="an empty manifest"):
        select([], scheme=SCHEME, protocol=PROTOCOL)


def test_unknown_label() -> None:
    with pytest.raises(LabelError, match=r"u0: .* got 'z'"):
        select([utterance(0, "z", "1")], scheme=SCHEME, protocol=PROTOCOL)
    several = [utterance(k, value, "1") for k, value in enumerate("zyaz")]
    expected = r"made u0, made u1, made u3: expected .*, got 'z' \(2 times\), 'y' \(1 times\); mend"
    with pytest.raises(LabelError, match=expected):
        select(several, scheme=SCHEME, protocol=PROTOCOL)


def test_folds_are_proved() -> None:
    shared = [replace(u, speaker="one and the same") for u in manifest()]
    with pytest.raises(LeakError, match="no speaker in both train and val"):
        select(shared, scheme=SCHEME, protocol=PROTOCOL)


# --- nested draws


@st.composite
def drawing(draw: st.DrawFn) -> tuple[list[str], dict[str, str], int]:
    counts = draw(st.lists(st.integers(1, 14), min_size=1, max_size=6))
    labels = [str(target) for target, count in enumerate(counts) for _ in range(count)]
    order = draw(st.permutations(range(len(labels))))
    targets = {f"u{i}": target for i, target in enumerate(labels)}
    return [f"u{i}" for i in order], targets, draw(st.integers(0, 5))


@given(drawing())
def test_draws_are_nested_stratified_and_in_order(
    case: tuple[list[str], dict[str, str], int],
) -> None:
    ids, targets, seed = case
    whole = Counter(targets[name] for name in ids)
    smaller: set[str] = set()
    for size in range(1, len(ids) + 1):
        drawn = draw_subset(ids, targets, size, seed)
        assert len(drawn) == len(set(drawn)) == size
        assert smaller < set(drawn)
        assert drawn == [name for name in ids if name in set(drawn)]
        counts = Counter(targets[name] for name in drawn)
        for target, count in whole.items():
            assert abs(counts[target] - size * count / len(ids)) < 1
        smaller = set(drawn)
    assert drawn == ids


@given(drawing())
def test_draws_do_not_depend_on_the_order_of_the_part(
    case: tuple[list[str], dict[str, str], int],
) -> None:
    ids, targets, seed = case
    size = (len(ids) + 1) // 2
    assert set(draw_subset(ids, targets, size, seed)) == set(
        draw_subset(ids[::-1], targets, size, seed)
    )


def test_draws_depend_on_the_seed() -> None:
    ids = [f"u{i}" for i in range(100)]
    targets = {name: str(i % 4) for i, name in enumerate(ids)}
    draws = {tuple(draw_subset(ids, targets, 20, seed)) for seed in range(5)}
    assert len(draws) == 5
    assert draw_subset(ids, targets, 20, 3) == draw_subset(ids, targets, 20, 3)


def test_many_rare_classes_do_not_come_all_at_once() -> None:
    ids = [f"u{i:03}" for i in range(107)]
    targets = {name: str(0 if i < 100 else i - 99) for i, name in enumerate(ids)}
    drawn = draw_subset(ids, targets, 54, 0)
    # 100 / 107 of 54 are 50.5
    assert sum(targets[name] == "0" for name in drawn) in (50, 51)


@pytest.mark.parametrize("size", [0, -1, 3])
def test_a_draw_of_more_than_there_is(size: int) -> None:
    with pytest.raises(ConfigError, match=f"size: expected between 1 and the 2 .* got {size}"):
        draw_subset(["a", "b"], {"a": "0", "b": "0"}, size, 0)


@given(drawing())
def test_balanced_draws_are_nested_and_equal(case: tuple[list[str], dict[str, str], int]) -> None:
    ids, targets, seed = case
    whole = Counter(targets[name] for name in ids)
    smaller: set[str] = set()
    for size in range(1, len(whole) * min(whole.values()) + 1):
        drawn = draw_subset(ids, targets, size, seed, "balanced")
        assert len(drawn) == len(set(drawn)) == size
        assert smaller < set(drawn)
        assert drawn == [name for name in ids if name in set(drawn)]
        counts = [Counter(targets[name] for name in drawn)[target] for target in whole]
        assert max(counts) - min(counts) <= 1
        smaller = set(drawn)


def test_balanced_draws_that_cannot_be() -> None:
    # the training part of IEMOCAP without session 4: 4 x 1,000 there are not
    counts = {"neutral": 1450, "happy": 1333, "sad": 941, "angry": 776}
    strata = {f"{name}{i}": name for name, count in counts.items() for i in range(count)}
    with pytest.raises(
        ConfigError,
        match=r"at least 1000 training utterances of each of 4 classes, which 4000 balanced ones "
        r"need, got angry 776, sad 941; choose at most 3104, or data.draw=natural",
    ):
        draw_subset(list(strata), strata, 4000, 0, "balanced")
    assert len(draw_subset(list(strata), strata, 3104, 0, "balanced")) == 3104
    # a class that the training part lacks altogether
    others = [name for name in strata if strata[name] != "sad"]
    with pytest.raises(ConfigError, match=r"got sad 0; set data\.draw=natural"):
        draw_subset(others, strata, 4, 0, "balanced")


def test_a_fold_cut_down_to_a_size() -> None:
    chosen = selection()
    assert chosen.fold_of_size(0, None, 0, "balanced") == chosen.folds[0]
    fold = chosen.fold_of_size(0, 2, 0, "balanced")
    assert chosen.class_counts(fold.train) == {"calm": 1, "angry": 1}
    assert (fold.val, fold.test) == (chosen.folds[0].val, chosen.folds[0].test)
    with pytest.raises(ConfigError, match=r"size=9 in fold 0 of sessions: expected between 1"):
        chosen.fold_of_size(0, 9, 0, "natural")


# --- hash of the data


def audio_of(utterance: Utterance) -> str:
    return f"audio of {utterance.id}"


def hash_of(
    change: Callable[[Utterance], Utterance] = lambda u: u, audio: Callable = audio_of
) -> str:
    chosen = selection()
    name = chosen.folds[0].train[0]
    changed = {**chosen.utterances, name: change(chosen.utterances[name])}
    return data_sha256(replace(chosen, utterances=changed), audio)


CHANGES: dict[str, Callable[[Utterance], Utterance]] = {
    "speaker": lambda u: replace(u, speaker="another"),
    "no speaker": lambda u: replace(u, speaker=None),
    "text": lambda u: replace(u, text="other words"),
    "no text": lambda u: replace(u, text=None),
    "word": lambda u: replace(u, words=(replace(u.words[0], text="word"),)),
    "start": lambda u: replace(u, words=(replace(u.words[0], start_s=0.1),)),
    "end": lambda u: replace(u, words=(replace(u.words[0], end_s=0.6),)),
    "source": lambda u: replace(u, words=(replace(u.words[0], source="ctc"),)),
    "no words": lambda u: replace(u, words=()),
}


@pytest.mark.parametrize("what", CHANGES)
def test_hash_sees_what_a_model_reads(what: str) -> None:
    assert hash_of(CHANGES[what]) != hash_of()


def test_hash_sees_audio_labels_parts_order_and_extras() -> None:
    chosen = selection()
    first, *others = chosen.targets
    (fold,) = chosen.folds
    moved = Fold(fold.train[1:], fold.val + fold.train[:1], fold.test)
    order = {name: chosen.utterances[name] for name in (*others, first)}
    voted = {
        name: replace(u, labels={**u.labels, "votes": {"c": 1, "a": 2}})
        for name, u in chosen.utterances.items()
    }
    votes = replace(chosen, utterances=voted)
    assert data_sha256(votes, audio_of) == hash_of()
    hashes = [
        hash_of(),
        hash_of(audio=lambda u: f"{audio_of(u)}{'!' if u.id == first else ''}"),
        hash_of(audio=lambda u: None),
        data_sha256(replace(chosen, targets={**chosen.targets, first: 0}), audio_of),
        data_sha256(replace(chosen, folds=[moved]), audio_of),
        data_sha256(replace(chosen, utterances=order), audio_of),
        data_sha256(votes, audio_of, soft_labels=True),
    ]
    assert len(set(hashes)) == len(hashes)


def test_hash_leaves_out_what_no_model_reads() -> None:
    assert hash_of() == hash_of(lambda u: replace(u, audio="elsewhere/x.wav", script="s"))
    assert len(hash_of()) == 64
