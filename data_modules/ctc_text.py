"""Words of a transcript to the tokens of a CTC vocabulary of letters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from data_modules.words import SPOKEN_SYMBOLS, is_mark, number_words, plain_apostrophes

# Thousands and decimals as English writes them, and as most other languages do.
_ENGLISH_NUMBER = re.compile(r"(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)((?:st|nd|rd|th)\b)?")
_OTHER_NUMBER = re.compile(r"(\d{1,3}(?:\.\d{3})+(?:,\d+)?|\d+(?:,\d+)?)()")


def said_words(word: str, language: str) -> list[str] | None:
    """What is said where a transcript has ``word``, with the letters as they are written.

    Unlike :func:`data_modules.words.spoken_words` it keeps case and accents, and knows the numbers
    of other languages than English. Letters that a full stop, a hyphen or any other mark divides
    are words of their own: ``U.S.`` is said as ``U`` and ``S``.

    Args:
        word: As ``transcript_words`` splits it.
        language: ISO 639-1 code.

    Returns:
        Words of letters, combining marks and inner apostrophes; none if the word is silent. None
        if something is said that cannot be put into letters: a symbol (in other languages than
        English), a number in a language that num2words does not know.
    """
    if is_mark(word):
        return []
    text = unicodedata.normalize("NFC", plain_apostrophes(word))
    number = _ENGLISH_NUMBER if language == "en" else _OTHER_NUMBER
    said: list[str] = []
    position = 0
    for match in number.finditer(text):
        before = _letters(text[position : match.start()], language)
        try:
            spelled = number_words(match[1], ordinal=bool(match[2]), language=language)
        except NotImplementedError:
            return None
        if before is None:
            return None
        said += before
        for part in spelled:
            said += _letters(part, language) or []
        position = match.end()
    rest = _letters(text[position:], language)
    return None if rest is None else _currency_after_number(said + rest)


def _letters(text: str, language: str) -> list[str] | None:
    """Runs of letters; spoken symbols become English words, in other languages None."""
    runs = [""]
    for char in text:
        if unicodedata.category(char)[0] in "LM" or (char == "'" and runs[-1]):
            runs[-1] += char
        elif char in SPOKEN_SYMBOLS:
            if language != "en":
                return None
            runs += [SPOKEN_SYMBOLS[char], ""]
        elif unicodedata.category(char)[0] == "N":
            # a fraction, a superscript, a number of another script
            return None
        elif runs[-1]:
            runs.append("")
    return [run.rstrip("'") for run in runs if run.rstrip("'")]


def _currency_after_number(said: list[str]) -> list[str]:
    """``$25``: written in front, said behind."""
    if len(said) > 1 and said[0] in ("dollars", "pounds", "euros"):
        return [*said[1:], said[0]]
    return said


class Speller:
    """Words to tokens of one vocabulary.

    Args:
        vocabulary: Letters to ids, without blank, delimiter and other special tokens.
        delimiter: Id of what stands between words; None if there is none.
        language: ISO 639-1 code of the transcripts.
    """

    def __init__(self, vocabulary: Mapping[str, int], delimiter: int | None, language: str) -> None:
        self._vocabulary = dict(vocabulary)
        self._delimiter = delimiter
        self._language = language

    def spell(self, word: str) -> list[int] | None:
        """Tokens of a word.

        A letter is looked up as it is, then in the other case, then without its accent; an
        apostrophe that the vocabulary lacks is left out.

        Returns:
            Ids, with the delimiter where one word of the transcript is said as several; none for
            a silent word; None if a letter is not in the vocabulary or :func:`said_words` knows
            no letters.
        """
        said = said_words(word, self._language)
        if said is None:
            return None
        tokens: list[int] = []
        for part in said:
            if tokens and self._delimiter is not None:
                tokens.append(self._delimiter)
            for letter in part:
                found = self._look_up(letter)
                if found is None:
                    return None
                tokens += found
        return tokens

    def _look_up(self, letter: str) -> list[int] | None:
        plain = "".join(
            char
            for char in unicodedata.normalize("NFKD", letter)
            if not unicodedata.combining(char)
        )
        for form in (letter, letter.lower(), letter.upper(), plain, plain.lower(), plain.upper()):
            # ß in capitals is two letters
            if form and all(char in self._vocabulary for char in form):
                return [self._vocabulary[char] for char in form]
        return [] if letter == "'" else None
