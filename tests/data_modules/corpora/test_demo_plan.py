"""The design of the demo corpus: nothing but the intended cue may tell the class."""

from __future__ import annotations

import random
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from data_modules.corpora.demo_plan import LABELS, SPEAKERS, DemoTurn, Speaker, plan_speaker
from data_modules.corpora.demo_text import (
    EVALUATIONS,
    THINGS,
    VALENCE_OF,
    Sentence,
    Valence,
    contrast_sentence,
    plain_sentence,
)
from data_modules.corpora.iemocap_files import parse_name

VALENCES: tuple[Valence, Valence] = ("positive", "negative")


def plan(seed: int, number: int = 120) -> list[DemoTurn]:
    return [
        turn
        for speaker in SPEAKERS
        for turn in plan_speaker(speaker, seed=seed, num_utterances=number)
    ]


def valences(sentence: Sentence) -> list[str]:
    return [VALENCE_OF[sentence.words[i]] for i in sentence.evaluations]


def test_words_are_many_and_of_one_kind() -> None:
    good, bad = EVALUATIONS["positive"], EVALUATIONS["negative"]
    assert len(good) == len(bad) >= 20
    assert len({*good, *bad, *THINGS}) == len(good) + len(bad) + len(THINGS)


@given(seed=st.integers(), valence=st.sampled_from(VALENCES))
def test_plain_sentences_have_one_valence(seed: int, valence: Valence) -> None:
    sentence = plain_sentence(random.Random(seed), valence)
    assert set(valences(sentence)) == {valence}
    assert 1 <= len(sentence.evaluations) <= 2
    assert sentence.stressed is None or sentence.stressed in sentence.evaluations


@given(seed=st.integers(), valence=st.sampled_from(VALENCES))
def test_contrast_sentences_stress_a_word_of_their_valence(seed: int, valence: Valence) -> None:
    sentence = contrast_sentence(random.Random(seed), valence)
    assert Counter(valences(sentence)) == {"positive": 2, "negative": 2}
    assert len({sentence.words[i] for i in sentence.evaluations}) == 4
    assert sentence.stressed in sentence.evaluations
    assert VALENCE_OF[sentence.words[sentence.stressed]] == valence


@given(seed=st.integers(), valence=st.sampled_from(VALENCES))
def test_sentences_are_written_like_sentences(seed: int, valence: Valence) -> None:
    sentence = contrast_sentence(random.Random(seed), valence)
    assert sentence.text[0].isupper()
    assert sentence.text.endswith(".")
    assert sentence.text.count(".") == 1
    assert all(word.isalpha() and word.islower() for word in sentence.words)


@settings(max_examples=25)
@given(seed=st.integers(), speaker=st.sampled_from(SPEAKERS), number=st.integers(8, 70))
def test_a_speaker_is_balanced_and_repeatable(seed: int, speaker: Speaker, number: int) -> None:
    turns = plan_speaker(speaker, seed=seed, num_utterances=number)
    assert turns == plan_speaker(speaker, seed=seed, num_utterances=number)
    cells = Counter((turn.kind, turn.label) for turn in turns)
    assert len(cells) == 2 * len(LABELS)
    assert max(cells.values()) - min(cells.values()) <= 1
    names = [parse_name(turn.name) for turn in turns]
    assert all(name is not None and name.speaker == speaker.name for name in names)
    assert len({turn.name for turn in turns}) == number
    # from 80 on a loud word clips
    assert all(5 <= turn.delivery.amplitude <= 45 for turn in turns)


def test_seeds_give_other_corpora() -> None:
    first, second = plan(0, 8), plan(1, 8)
    assert [turn.sentence for turn in first] != [turn.sentence for turn in second]
    assert [turn.label for turn in first] != [turn.label for turn in second]


def test_the_first_letter_of_a_turn_is_not_its_speaker() -> None:
    turns = plan(0)
    same = [turn for turn in turns if turn.name[5] == turn.speaker.gender]
    assert 0.45 < len(same) / len(turns) < 0.55
    dialogues = {turn.dialogue: set[str]() for turn in turns}
    for turn in turns:
        dialogues[turn.dialogue].add(turn.speaker.gender)
    assert all(genders == {"F", "M"} for genders in dialogues.values())


def test_arousal_stands_in_the_voice_alone() -> None:
    """Each dial is turned with arousal, and with nothing else."""
    turns = plan(0)
    for dial in ("rate", "pitch", "pitch_range", "amplitude"):
        for speaker in SPEAKERS:
            mine = [turn for turn in turns if turn.speaker == speaker]
            values = {
                arousal: [getattr(turn.delivery, dial) for turn in mine if turn.arousal == arousal]
                for arousal in ("high", "low")
            }
            assert min(values["high"]) > max(values["low"]), dial
        for factor in ("valence", "kind"):
            groups: dict[str, list[float]] = {}
            for turn in turns:
                groups.setdefault(getattr(turn, factor), []).append(getattr(turn.delivery, dial))
            one, other = (np.array(values) for values in groups.values())
            error = np.sqrt(one.var() / len(one) + other.var() / len(other))
            assert abs(one.mean() - other.mean()) < 4 * error, (dial, factor)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_order_stress_and_words_are_drawn_evenly(seed: int) -> None:
    """Each count against its expectation; five standard deviations of a binomial."""
    contrasts = [turn.sentence for turn in plan(seed) if turn.kind == "contrast"]
    orders = Counter("".join(valence[0] for valence in valences(s)) for s in contrasts)
    assert len(orders) == 6
    positions = Counter(s.evaluations.index(s.stressed) for s in contrasts if s.stressed)
    assert len(positions) == 4
    judging = Counter(s.words[i] for s in contrasts for i in s.evaluations)
    plain = [turn.sentence for turn in plan(seed) if turn.kind == "plain"]
    alone = Counter(s.words[i] for s in plain for i in s.evaluations)
    stressed = Counter(s.words[s.stressed] for s in contrasts if s.stressed)
    assert set(judging) == set(stressed) == set(alone) == set(VALENCE_OF)
    for counts in (orders, positions, judging, stressed, alone):
        expected = sum(counts.values()) / len(counts)
        assert all(abs(count - expected) < 5 * np.sqrt(expected) for count in counts.values())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_word_of_a_session_occurs_in_any_three_others(seed: int) -> None:
    turns = plan(seed)
    words = {
        session: {
            word
            for turn in turns
            if turn.speaker.session == session
            for word in turn.sentence.words
        }
        for session in range(1, 6)
    }
    for session in words:
        for training in combinations(set(words) - {session}, 3):
            assert words[session] <= set.union(*(words[other] for other in training))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_text_tells_valence_of_plain_sentences_and_nothing_else(seed: int) -> None:
    """A bag of words, the pattern of valences and the length, sessions 4 and 5 held out."""
    turns = plan(seed)
    held_out = np.array([turn.speaker.session >= 4 for turn in turns])
    contrast = np.array([turn.kind == "contrast" for turn in turns])
    bags = CountVectorizer().fit_transform([turn.sentence.text for turn in turns]).toarray()
    patterns = np.zeros((len(turns), 6))
    for row, turn in zip(patterns, turns, strict=True):
        judged = [1 if valence == "positive" else -1 for valence in valences(turn.sentence)]
        row[: len(judged)] = judged
        row[4:] = len(turn.sentence.tokens), len(turn.sentence.text)
    for factor in ("valence", "arousal"):
        target = np.array([getattr(turn, factor) for turn in turns])
        for features in (bags, patterns):
            for kind in (contrast, ~contrast):
                model = LogisticRegression(max_iter=3000)
                model.fit(features[~held_out & kind], target[~held_out & kind])
                score = model.score(features[held_out & kind], target[held_out & kind])
                if factor == "valence" and kind is not contrast:
                    assert score > 0.95
                else:
                    # 240 fair coins: four standard deviations
                    assert abs(score - 0.5) < 0.13, (factor, score)
