from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data_modules.words import is_mark, normalise_word, spoken_words, transcript_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Kids are  talking\tby the door.\n", ["Kids", "are", "talking", "by", "the", "door."]),
        ("", []),
        (" \n ", []),
        ("Yes", ["Yes"]),
        # stand-alone punctuation joins the word before it, or at the start the one after it
        ("Hello , world !", ["Hello,", "world!"]),
        ("- ... I know", ["-...I", "know"]),
        ("... !", ["...!"]),
        # what is said keeps its own word
        ("5 % of A & B", ["5", "%", "of", "A", "&", "B"]),
        ("good \U0001f602", ["good", "\U0001f602"]),
        # marks
        ("[LAUGHTER]Oh no [LOUD BREATHING].", ["[LAUGHTER]", "Oh", "no", "[LOUD BREATHING]."]),
        ("(umm) a < b", ["(umm)", "a<", "b"]),
    ],
)
def test_transcript_words(text: str, words: list[str]) -> None:
    assert transcript_words(text) == words


@given(st.text(alphabet=st.sampled_from("ab ,.-[]<>{}+&%5'\n\té")))
def test_nothing_but_white_space_is_lost(text: str) -> None:
    words = transcript_words(text)
    assert re.sub(r"\s", "", "".join(words)) == re.sub(r"\s", "", text)
    assert all(word.strip() for word in words)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Don't", "dont"),
        ("don\u2019t", "don't"),
        ("DOOR.", "door"),
        ("co-operate", "cooperate"),
        ("Stra\u00dfe", "STRASSE"),
        ("caf\u00e9", "cafe"),
        ("25", "twenty-five"),
        ("1,205", "one-thousand-two-hundred-five"),
        ("21st", "twenty-first"),
        ("100%", "onehundredpercent"),
        ("U.S.", "us"),
        ("++LAUGHTER++", "[Laughter]"),
    ],
)
def test_spellings_of_one_word_compare_equal(one: str, other: str) -> None:
    assert normalise_word(one) == normalise_word(other) != ""


def test_words_that_differ_stay_apart() -> None:
    assert normalise_word("well") != normalise_word("we")
    assert normalise_word("[LAUGHTER]") != normalise_word("laughter")


@pytest.mark.parametrize("silent", ["...", "?!", "\U0001f602", "-"])
def test_what_is_silent_has_no_normal_form(silent: str) -> None:
    assert normalise_word(silent) == ""
    assert spoken_words(silent) == []


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("Door,", ["door"]),
        ("o\u2019clock", ["o'clock"]),
        ("'cause", ["'cause"]),
        ("uh-huh.", ["uh-huh"]),
        ("th--", ["th"]),
        ("$5.50", ["five", "point", "five", "dollars"]),
        ("$", ["dollars"]),
        ("25%", ["twenty-five", "percent"]),
        ("1995", ["nineteen", "ninety-five"]),
        ("1990s", ["nineteen", "ninety", "s"]),
        ("1,205", ["one", "thousand", "two", "hundred", "five"]),
        ("3rd", ["third"]),
        ("5:30", ["five", "thirty"]),
        ("007", ["zero", "zero", "seven"]),
        ("\u00bd", ["one", "two"]),
        ("U.S.A.", ["u.s.a."]),
        ("na\u00efve", ["naive"]),
        ("[LAUGHTER]", []),
    ],
)
def test_spoken_words(word: str, said: list[str]) -> None:
    assert spoken_words(word) == said


@given(st.text(max_size=40))
@example("3.00")
def test_any_text_is_taken(text: str) -> None:
    for word in transcript_words(text):
        form = normalise_word(word)
        assert form == "" or is_mark(word) or form.isalnum()
        assert not any(char.isspace() or char.isdigit() for char in "".join(spoken_words(word)))
