from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_modules.ctc_text import Speller, said_words
from data_modules.words import number_words, transcript_words


@pytest.mark.parametrize(
    ("word", "language", "said"),
    [
        ("Hello,", "en", ["Hello"]),
        ("don\u2019t", "en", ["don't"]),
        ("'door'", "en", ["door"]),
        ("twenty-five", "en", ["twenty", "five"]),
        ("U.S.", "en", ["U", "S"]),
        ("25", "en", ["twenty", "five"]),
        ("1999", "en", ["nineteen", "ninety", "nine"]),
        ("1,250", "en", ["one", "thousand", "two", "hundred", "fifty"]),
        ("3rd", "en", ["third"]),
        ("$25", "en", ["twenty", "five", "dollars"]),
        ("50%", "en", ["fifty", "percent"]),
        ("R2D2", "en", ["R", "two", "D", "two"]),
        ("AT&T", "en", ["AT", "and", "T"]),
        ("007", "en", ["zero", "zero", "seven"]),
        ("25", "de", ["fünfundzwanzig"]),
        ("1.000,5", "de", ["eintausend", "komma", "fünf"]),
        ("25", "pl", ["dwadzieścia", "pięć"]),
        ("Łódź.", "pl", ["Łódź"]),
        ("E\u0301", "fr", ["É"]),
        ("हिन्दी", "hi", ["हिन्दी"]),
        ("...", "en", []),
        ("[LAUGHTER]", "en", []),
        ("\u2013", "de", []),
        # what is said and cannot be put into letters
        ("50%", "de", None),
        ("25", "zh", None),
        ("3,5", "it", None),
        ("½", "en", None),
    ],
)
def test_said_words(word: str, language: str, said: list[str] | None) -> None:
    assert said_words(word, language) == said


@given(st.text(max_size=20), st.sampled_from(["en", "de", "xx"]))
def test_any_text_is_letters_nothing_or_unsayable(text: str, language: str) -> None:
    for word in transcript_words(text):
        said = said_words(word, language)
        for part in said or []:
            assert part
            assert all(unicodedata.category(char)[0] in "LM" or char == "'" for char in part)


def test_numbers_of_a_language_that_is_not_known() -> None:
    with pytest.raises(NotImplementedError):
        number_words("25", language="xx")
    with pytest.raises(NotImplementedError, match="decimals in it"):
        number_words("3,5", language="it")


UPPER = {letter: k for k, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ'", start=5)}
GERMAN = {letter: k for k, letter in enumerate("abcdefghijklmnopqrstuvwxyzäöüß", start=5)}


def spelled(speller: Speller, word: str, vocabulary: dict[str, int]) -> str | None:
    letters = {number: letter for letter, number in vocabulary.items()} | {4: "|"}
    tokens = speller.spell(word)
    return None if tokens is None else "".join(letters[token] for token in tokens)


@pytest.mark.parametrize(
    ("word", "spelt"),
    [
        ("Don't", "DON'T"),
        ("twenty-five", "TWENTY|FIVE"),
        ("25", "TWENTY|FIVE"),
        ("naïve", "NAIVE"),
        ("straße", "STRASSE"),
        ("...", ""),
        ("При", None),
        ("Łódź", None),
        ("½", None),
    ],
)
def test_english_capitals(word: str, spelt: str | None) -> None:
    assert spelled(Speller(UPPER, 4, "en"), word, UPPER) == spelt


@pytest.mark.parametrize(
    ("word", "spelt"),
    [("Schön", "schön"), ("STRAẞE", "straße"), ("geht's", "gehts"), ("12", "zwölf"), ("é", "e")],
)
def test_german_small_letters(word: str, spelt: str) -> None:
    assert spelled(Speller(GERMAN, 4, "de"), word, GERMAN) == spelt


def test_without_a_delimiter_parts_are_joined() -> None:
    assert spelled(Speller(UPPER, None, "en"), "25", UPPER) == "TWENTYFIVE"


def test_an_accent_that_the_vocabulary_has_is_kept() -> None:
    both = {"e": 5, "é": 6}
    assert Speller(both, None, "fr").spell("É") == [6]
