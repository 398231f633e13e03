from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_modules.corpora.iemocap_files import (
    BadLine,
    Turn,
    parse_evaluation,
    parse_name,
    parse_transcript,
    parse_wdseg,
)
from tests.data_modules.iemocap_tree import (
    WDSEG,
    WDSEG_WORDS,
    TurnSpec,
    label_block,
)

SUMMARY = "[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 3.0000, 1.5000]"
TRANSCRIPT = "Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me."


@pytest.mark.parametrize(
    ("name", "session", "dialogue", "speaker", "gender", "script"),
    [
        ("Ses01F_impro01_F000", "1", "Ses01F_impro01", "Ses01F", "female", None),
        ("Ses01F_impro01_M003", "1", "Ses01F_impro01", "Ses01M", "male", None),
        ("Ses05M_script03_2_F044", "5", "Ses05M_script03_2", "Ses05F", "female", "script03_2"),
        ("Ses05M_script01_1b_M012", "5", "Ses05M_script01_1b", "Ses05M", "male", "script01_1"),
        ("Ses03M_impro05a_M001", "3", "Ses03M_impro05a", "Ses03M", "male", None),
    ],
)
def test_who_speaks_stands_in_the_last_part_of_the_name(
    name: str, session: str, dialogue: str, speaker: str, gender: str, script: str | None
) -> None:
    parsed = parse_name(name)
    assert parsed is not None
    assert (parsed.session, parsed.dialogue, parsed.speaker) == (session, dialogue, speaker)
    assert (parsed.gender, parsed.script) == (gender, script)


@pytest.mark.parametrize("name", ["", "Ses01F_impro01", "Ses01X_impro01_F000", "a_F000", "Ses01F"])
def test_other_names_are_no_turns(name: str) -> None:
    assert parse_name(name) is None


def test_a_block_gives_label_ratings_and_the_evaluators_votes() -> None:
    text = label_block(TurnSpec("Ses01F_impro01_F000", "ang"), 1.5, 2.25)
    (turn,), lost, odd = parse_evaluation("% header\n\n" + text)
    assert not lost
    assert not odd
    assert turn == Turn(
        name="Ses01F_impro01_F000",
        start_s=1.5,
        end_s=2.25,
        category="ang",
        ratings={"valence": 2.5, "activation": 3.0, "dominance": 1.5},
        # two of three evaluators said anger, one of these also other; what the actor said of
        # herself (fear) does not count
        votes={"ang": 2, "oth": 1, "neu": 1},
        number=3,
    )


@pytest.mark.parametrize(
    "line",
    [
        SUMMARY.replace("]\tSes", "\tSes"),
        SUMMARY.replace("6.2901", "six"),
        SUMMARY.replace("6.2901", "9.2901"),
        SUMMARY.replace(", 1.5000", ""),
        SUMMARY.replace("\tneu", ""),
        SUMMARY.replace("1.5000", "9" * 400),
        SUMMARY[:30],
    ],
)
def test_a_bad_summary_line_is_named_and_its_votes_go_to_nobody_else(line: str) -> None:
    text = f"{SUMMARY}\nC-E1:\tNeutral;\t()\n{line}\nC-E1:\tAnger;\t()\n"
    turns, lost, odd = parse_evaluation(text)
    assert [turn.votes for turn in turns] == [{"neu": 1}]
    assert [bad.number for bad in lost] == [3]
    assert not odd


@pytest.mark.parametrize(
    "line", ["C-E2:\tAngre;\t()", "C-E2:\t;\t()", "nonsense", "C-E2\tAnger;\t()"]
)
def test_a_bad_evaluators_line_is_named_and_the_turn_stays(line: str) -> None:
    turns, lost, odd = parse_evaluation(f"{SUMMARY}\n{line}\nC-E3:\tNeutral;\t()")
    assert [turn.votes for turn in turns] == [{"neu": 1}]
    assert not lost
    assert [bad.number for bad in odd] == [2]


def test_an_evaluation_after_a_blank_line_belongs_to_no_turn() -> None:
    turns, lost, odd = parse_evaluation(f"{SUMMARY}\n\nC-E3:\tNeutral;\t()")
    assert turns[0].votes == {}
    assert not lost
    assert [bad.number for bad in odd] == [3]


def test_a_transcript_tells_empty_from_missing_and_unnumbered_turns() -> None:
    words, unnumbered, bad, remarks = parse_transcript(
        f"{TRANSCRIPT}\r\n"
        "Ses01F_impro01_M001 [008.2357-009.0000]:\n"
        "Ses01F_impro01_MXX2 [009.0000-010.0000]: mm\n"
        "Ses01F_impro01_M003: no times\n"
        "M: yeah.\n"
        "Ses01F_impro01_F000 [010.0000-011.0000]: Again.\n"
        "Ses01F_impro01_F004 [010.0000-011.0000]: with [LAUGHTER]: and colon\n"
    )
    assert words == {
        "Ses01F_impro01_F000": "Excuse me.",
        "Ses01F_impro01_M001": "",
        "Ses01F_impro01_F004": "with [LAUGHTER]: and colon",
    }
    assert unnumbered == ["Ses01F_impro01_MXX2"]
    assert [line.number for line in bad] == [4, 6]
    assert [line.number for line in remarks] == [5]


def test_word_times_are_seconds_with_the_end_frame_included() -> None:
    words = parse_wdseg(WDSEG)
    assert not isinstance(words, BadLine)
    assert [(word.text, word.start_s, word.end_s) for word in words] == WDSEG_WORDS
    assert {word.source for word in words} == {"corpus"}


@pytest.mark.parametrize(
    ("row", "number"),
    [("\t3\t5\t-1", 2), ("\t5\t3\t-1 ME", 2), ("\t-3\t5\t-1 ME", 2), ("\t3.5\t5\t-1 ME", 2)],
)
def test_a_bad_row_of_an_alignment_spoils_it(row: str, number: int) -> None:
    found = parse_wdseg(f"\t SFrm\t EFrm\t SegAScr Word\n{row}\n Total score: -3\n")
    assert isinstance(found, BadLine)
    assert found.number == number


def test_rows_out_of_order_spoil_an_alignment() -> None:
    found = parse_wdseg("0 5 -1 A\n5 9 -1 B\n")
    assert isinstance(found, BadLine)
    assert found.number == 2


def _mutations(text: str) -> st.SearchStrategy[str]:
    """The text with a stretch of it removed, doubled or replaced by anything."""

    def mutate(start: int, length: int, new: str, double: bool) -> str:
        stretch = text[start : start + length]
        return text[:start] + (stretch * 2 if double else new) + text[start + length :]

    places = st.integers(0, len(text))
    return st.builds(mutate, places, st.integers(0, 12), st.text(max_size=6), st.booleans())


@settings(max_examples=150)
@given(_mutations(SUMMARY))
def test_a_mutated_label_line_is_read_or_listed(line: str) -> None:
    turns, lost, odd = parse_evaluation(line)
    numbers = {turn.number for turn in turns} | {bad.number for bad in (*lost, *odd)}
    for number, part in enumerate(line.split("\n"), start=1):
        silent = not part.strip() or part.strip().startswith(("%", "A-", "C-"))
        assert silent or number in numbers
    for turn in turns:
        assert 0 <= turn.start_s < turn.end_s < float("inf")
        assert all(0 <= value < float("inf") for value in turn.ratings.values())


@settings(max_examples=150)
@given(_mutations(TRANSCRIPT))
def test_a_mutated_transcript_line_is_read_or_listed(line: str) -> None:
    words, unnumbered, bad, remarks = parse_transcript(line)
    filled = sum(bool(part.strip()) for part in line.split("\n"))
    assert len(words) + len(unnumbered) + len(bad) + len(remarks) == filled


@settings(max_examples=150)
@given(_mutations(WDSEG))
def test_a_mutated_alignment_is_read_or_listed(text: str) -> None:
    words = parse_wdseg(text)
    if isinstance(words, BadLine):
        assert 1 <= words.number <= text.count("\n") + 1
    else:
        times = [time for word in words for time in (word.start_s, word.end_s)]
        assert times == sorted(times)
        assert all(word.text for word in words)


@given(st.text(max_size=200))
def test_any_text_is_read_or_listed(text: str) -> None:
    parse_evaluation(text)
    parse_transcript(text)
    parse_wdseg(text)
    parse_name(text)
