"""The three text formats of the IEMOCAP release, line by line.

Pure functions from text to records. A line that cannot be read comes back with its number, and
never stops the rest of its file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from data_modules.manifest import Word

FRAME_S = 0.01
"""Seconds per frame of a .wdseg file."""

END_FRAME_IS_INCLUSIVE = True
"""The aligner's rows follow each other as 0-45, 46-60: the end frame still belongs to the word."""

_NAME = re.compile(
    r"Ses(?P<session>[0-9]{2})[FM]_(?P<scene>(?:impro|script)\w+)_(?P<speaker>[FM])[0-9]+",
    re.ASCII,
)
_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_SUMMARY = re.compile(
    rf"\[\s*{_NUMBER}\s*-\s*{_NUMBER}\s*\]\s+(\S+)\s+(\S+)\s+"
    rf"\[\s*{_NUMBER}\s*,\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\]"
)
_EVALUATION = re.compile(r"(?P<kind>[CA])-(?P<who>[EFM])[0-9]*:(?P<rest>.*)", re.ASCII)
_TRANSCRIPT = re.compile(r"(Ses\w+)\s*\[[-\s0-9.]*\]\s*:(.*)", re.ASCII)
_VARIANT = re.compile(r"\([0-9]+\)$", re.ASCII)

# what evaluators tick, as the codes of the majority label
_VOTE_CODES = {
    "neutral": "neu",
    "neutral state": "neu",
    "happiness": "hap",
    "sadness": "sad",
    "anger": "ang",
    "surprise": "sur",
    "fear": "fea",
    "disgust": "dis",
    "frustration": "fru",
    "excited": "exc",
    "other": "oth",
}


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be read: its number from 1, and what is wrong with it."""

    number: int
    problem: str


@dataclass(frozen=True, slots=True)
class TurnName:
    """What the name of a turn says, as in ``Ses05M_script01_1b_F012``.

    Attributes:
        session: ``5``.
        dialogue: ``Ses05M_script01_1b``. Its first letter names who wears the markers.
        speaker: ``Ses05F``: who speaks stands in the last part, not in the first.
        gender: Of the speaker.
        script: ``script01_1``, equal in all sessions; None for improvised scenes. A letter after
            the number marks a second take of the same scene.
    """

    session: str
    dialogue: str
    speaker: str
    gender: str
    script: str | None


@dataclass(frozen=True, slots=True)
class Turn:
    """A labelled turn of an EmoEvaluation file.

    Attributes:
        name: Name of the turn and of its clip.
        start_s: Where it starts in its dialogue.
        end_s: Where it ends in its dialogue.
        category: Majority label, ``xxx`` where there is none.
        ratings: Means over evaluators of valence, activation and dominance, on 1 to 5.
        votes: How many evaluators named a category; one evaluator may name several. What the
            actors said of themselves does not count.
        number: Line of the summary in its file, from 1.
    """

    name: str
    start_s: float
    end_s: float
    category: str
    ratings: dict[str, float]
    number: int
    votes: dict[str, int] = field(default_factory=dict)


def parse_name(name: str) -> TurnName | None:
    """Read the name of a turn; None if it is not one."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    scene, letter = match["scene"], match["speaker"]
    return TurnName(
        session=str(int(match["session"])),
        dialogue=name.rpartition("_")[0],
        speaker=f"Ses{match['session']}{letter}",
        gender="female" if letter == "F" else "male",
        script=scene.rstrip("abcdefgh") if scene.startswith("script") else None,
    )


def is_unnumbered(name: str) -> bool:
    """Whether a turn has ``XX`` in place of its number: no clip, no label, nobody to tell."""
    return "XX" in name


def parse_evaluation(text: str) -> tuple[list[Turn], list[BadLine], list[BadLine]]:
    """Read an EmoEvaluation file.

    Returns:
        The turns, the summary lines that cannot be read (each may be a lost utterance), and the
        evaluators' lines that cannot be read (the turn has a vote less).
    """
    turns: list[Turn] = []
    lost: list[BadLine] = []
    odd: list[BadLine] = []
    current: Turn | None = None
    in_lost_block = False
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.strip()
        if not line:
            current, in_lost_block = None, False
        elif line.startswith("%"):
            continue
        elif (evaluation := _EVALUATION.fullmatch(line)) is not None:
            problem = _count_vote(evaluation, current) if not in_lost_block else ""
            if problem:
                odd.append(BadLine(number, problem))
        else:
            turn = _parse_summary(line, number)
            if isinstance(turn, Turn):
                current, in_lost_block = turn, False
                turns.append(turn)
            elif line.startswith("[") or "Ses" in line:
                current, in_lost_block = None, True
                lost.append(turn)
            else:
                odd.append(BadLine(number, f"neither a turn nor an evaluation: {line[:60]!r}"))
    return turns, lost, odd


def _parse_summary(line: str, number: int) -> Turn | BadLine:
    match = _SUMMARY.fullmatch(line)
    if match is None:
        return BadLine(
            number,
            "expected `[start - end] turn label [valence, activation, dominance]`, "
            f"got {line[:80]!r}",
        )
    start, end = float(match[1]), float(match[2])
    if not start < end < float("inf"):
        return BadLine(number, f"expected a start before its end, got {match[1]} and {match[2]}")
    names = ("valence", "activation", "dominance")
    ratings = dict(zip(names, map(float, match.groups()[4:]), strict=True))
    if max(ratings.values()) == float("inf"):
        return BadLine(number, "expected ratings from 1 to 5, got one without bound")
    return Turn(match[3], start, end, match[4], ratings, number)


def _count_vote(evaluation: re.Match[str], turn: Turn | None) -> str:
    """Add an evaluator's categories to a turn; the problem if there is one."""
    if turn is None:
        return "an evaluation that follows no turn"
    if evaluation["kind"] == "A" or evaluation["who"] != "E":
        return ""
    categories = evaluation["rest"].partition("(")[0].split(";")
    named = {category.strip().lower() for category in categories} - {""}
    unknown = sorted(named - set(_VOTE_CODES))
    if unknown or not named:
        return f"expected categories such as Anger, got {', '.join(unknown) or 'none'}"
    for code in sorted({_VOTE_CODES[category] for category in named}):
        turn.votes[code] = turn.votes.get(code, 0) + 1
    return ""


def parse_transcript(text: str) -> tuple[dict[str, str], list[str], list[BadLine], list[BadLine]]:
    """Read a transcription file: one ``turn [start-end]: words`` a line.

    Returns:
        Words by turn, names of turns without a number (``XX``), lines that name a turn and cannot
        be read, and lines that name none (remarks such as ``M: yeah.``).
    """
    words: dict[str, str] = {}
    unnumbered: list[str] = []
    bad: list[BadLine] = []
    remarks: list[BadLine] = []
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.strip()
        if not line:
            continue
        match = _TRANSCRIPT.fullmatch(line)
        if match is None:
            (bad if line.startswith("Ses") else remarks).append(
                BadLine(number, f"expected `turn [start-end]: words`, got {line[:80]!r}")
            )
        elif is_unnumbered(match[1]):
            unnumbered.append(match[1])
        elif match[1] in words:
            bad.append(BadLine(number, f"a second transcript of {match[1]}"))
        else:
            words[match[1]] = match[2].strip()
    return words, unnumbered, bad, remarks


def parse_wdseg(text: str) -> tuple[Word, ...] | BadLine:
    """Read a forced alignment: a header, rows ``start end score word``, and a total.

    Returns:
        Words in lower case, without silences, noises and marks of pronunciation variants, in
        seconds from the start of the clip; or the first line that cannot be read, since words
        with a gap where one was lost would look whole.
    """
    words: list[Word] = []
    last_end = -1
    for number, line in enumerate(text.split("\n"), start=1):
        row = line.split()
        if not row or row == ["SFrm", "EFrm", "SegAScr", "Word"] or row[:2] == ["Total", "score:"]:
            continue
        if len(row) != 4 or not all(_is_frame(value) for value in row[:2]):
            return BadLine(number, f"expected `start end score word`, got {line.strip()[:60]!r}")
        start, end = int(row[0]), int(row[1])
        if not last_end < start <= end:
            return BadLine(number, f"expected frames in order, got {start} to {end}")
        last_end = end
        word = _VARIANT.sub("", row[3]).lower()
        if word and not _is_silence(word):
            end += 1 if END_FRAME_IS_INCLUSIVE else 0
            # rounded to a millisecond: 0.01 is no binary fraction and 0.29 would be 0.29000000004
            times = round(start * FRAME_S, 3), round(end * FRAME_S, 3)
            words.append(Word(word, *times, source="corpus"))
    return tuple(words)


def _is_frame(value: str) -> bool:
    return value.isascii() and value.isdecimal() and len(value) <= 9


def _is_silence(word: str) -> bool:
    """``<s>``, ``<sil>``, ``</s>`` and noises such as ``++LAUGHTER++``."""
    return (word.startswith("<") and word.endswith(">")) or (
        word.startswith("++") and word.endswith("++")
    )
