"""Transcripts to words: what a model reads, how two spellings compare, how a word is said.

Nothing here knows times; ``alignment.py`` matches these words to timed ones.
"""

from __future__ import annotations

import re
import unicodedata

# Symbols that are said aloud; every other symbol or punctuation mark is silent.
SPOKEN_SYMBOLS = {
    "&": "and",
    "%": "percent",
    "+": "plus",
    "@": "at",
    "$": "dollars",
    "£": "pounds",
    "€": "euros",
    "°": "degrees",
}
_CURRENCIES = "$£€"

# [LAUGHTER], <sigh>, {breath}, ++NOISE++: sounds that are no words. Round brackets are not among
# them, since transcripts put words into those: (umm).
_MARK = re.compile(r"[\[<{][^\W\d][\w \-/']*[\]>}]|\+\+\w+\+\+")
_TOKEN = re.compile(rf"{_MARK.pattern}|\S+?(?={_MARK.pattern})|\S+")
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u201b\u02bc\u00b4`", "'"))
_SAID = re.compile(
    r"(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)(?P<ordinal>(?:st|nd|rd|th)\b)?"
    rf"|(?P<symbol>[{re.escape(''.join(SPOKEN_SYMBOLS))}])"
    r"|(?P<initials>(?:[a-z]\.){2,})"
    r"|(?P<word>[^\W\d_]+(?:['\-][^\W\d_]+)*'?|'[^\W\d_]+)"
)
# Beyond this a number is read digit by digit.
_LONGEST_NUMBER = 15


def is_mark(word: str) -> bool:
    """Whether a word stands for a sound that is no word: ``[LAUGHTER]``, ``<sigh>.``."""
    match = _MARK.search(word)
    return match is not None and not re.search(r"\w", word[: match.start()] + word[match.end() :])


def transcript_words(text: str) -> list[str]:
    """The words of a transcript as a model reads them: split at white space, with two exceptions.

    Punctuation that stands alone joins the word before it (at the start: the word after it), so
    that each word can have a time. A mark such as ``[LAUGHTER]`` or ``[LOUD BREATHING]`` is one
    word, also where it touches its neighbour. A text that is nothing but punctuation is one word,
    so nothing that is not white space is lost.
    """
    words: list[str] = []
    before = ""
    for token in _TOKEN.findall(text):
        if not _is_punctuation(token):
            words.append(before + token)
            before = ""
        elif words:
            words[-1] += token
        else:
            before += token
    return [*words, before] if before else words


def _is_punctuation(token: str) -> bool:
    return all(
        unicodedata.category(char).startswith("P") or (char.isascii() and not char.isalnum())
        for char in token
    ) and not any(char in SPOKEN_SYMBOLS for char in token)


def normalise_word(word: str) -> str:
    """What two spellings of a word have in common: letters and digits without case or accents.

    ``Don't`` and ``dont`` become ``dont``; numbers and spoken symbols become English words
    (``25%`` is ``twentyfivepercent``), so that they compare with what a source spells out. A mark
    keeps a pair of brackets, so it compares with marks alone. What is silent becomes empty.
    """
    if is_mark(word):
        return f"[{''.join(char for char in _fold(word) if char.isalnum())}]"
    folded = _fold(word)
    if any(char.isdigit() or char in SPOKEN_SYMBOLS for char in folded):
        folded = " ".join(spoken_words(word))
    return "".join(char for char in folded if char.isalnum())


def plain_apostrophes(text: str) -> str:
    """One kind of apostrophe instead of the six that transcripts have."""
    return text.translate(_APOSTROPHES)


def _fold(text: str) -> str:
    """Lower case, one kind of apostrophe, no accents, compatibility forms resolved."""
    decomposed = unicodedata.normalize("NFKD", plain_apostrophes(text)).casefold()
    kept = "".join(char for char in decomposed if not unicodedata.combining(char))
    return plain_apostrophes(kept)


def spoken_words(word: str) -> list[str]:
    """What is said in English where a transcript has ``word``: ``$25`` is twenty-five dollars.

    Returns:
        Lower-case words of letters, with inner apostrophes and hyphens (``o'clock``, ``uh-huh``),
        or initials (``u.s.``); none for marks and silent symbols.
    """
    if is_mark(word):
        return []
    said: list[str] = []
    currency = ""
    for match in _SAID.finditer(_fold(word)):
        if match["number"]:
            said += number_words(match["number"], ordinal=bool(match["ordinal"]))
            if currency:
                said.append(currency)
                currency = ""
        elif match["symbol"] and match["symbol"] in _CURRENCIES:
            currency = SPOKEN_SYMBOLS[match["symbol"]]
        elif match["symbol"]:
            said.append(SPOKEN_SYMBOLS[match["symbol"]])
        else:
            said.append(match["initials"] or match["word"])
    # a currency sign that no number follows is said where it stands last
    return [*said, currency] if currency else said


def number_words(text: str, *, ordinal: bool = False, language: str = "en") -> list[str]:
    """How a number is said.

    Args:
        text: Digits, in English with commas between thousands and a point before decimals, in
            other languages the other way round.
        ordinal: Whether it is one (English alone).
        language: ISO 639-1 code.

    Returns:
        Lower-case words, in English with hyphens (``twenty-five``).

    Raises:
        NotImplementedError: num2words does not know the language, or not its decimals.
    """
    from num2words import num2words

    def spell(value: int | str, to: str = "cardinal") -> str:
        return str(num2words(value, to=to, lang=language))

    plain = text.replace(",", "") if language == "en" else text.replace(".", "").replace(",", ".")
    whole, _, decimals = plain.partition(".")
    if len(whole) > _LONGEST_NUMBER or (len(whole) > 1 and whole.startswith("0")):
        if language != "en" and decimals:
            raise NotImplementedError(f"the word for a decimal comma in {language}")
        spelled = " ".join("point" if char == "." else spell(int(char)) for char in plain)
    elif decimals:
        spelled = spell(plain)
        if spelled == spell(int(whole)):
            # num2words leaves out decimals that are zero, and in Italian, for one, all
            if language != "en":
                raise NotImplementedError(f"decimals in {language}")
            spelled = " ".join([spelled, "point", *(spell(int(digit)) for digit in decimals)])
    elif ordinal and language == "en":
        spelled = spell(int(plain), "ordinal")
    elif language == "en" and plain == text and 1100 <= int(plain) <= 2099:
        spelled = spell(int(plain), "year")
    else:
        spelled = spell(int(plain))
    if language != "en":
        return spelled.lower().split()
    # "one thousand, two hundred and five": people leave the "and" out as often as not
    return [word for word in re.findall(r"[a-z\-]+", spelled) if word != "and"]
