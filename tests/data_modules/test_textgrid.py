from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_modules.errors import AlignmentError
from data_modules.manifest import Word
from data_modules.textgrid import (
    Interval,
    TextGrid,
    Tier,
    choose_tier,
    parse_textgrid,
    read_textgrid,
    tier_words,
)

WORDS = Tier("words", (Interval(0, 0.5, ""), Interval(0.5, 0.9, "hello"), Interval(0.9, 2, "")))
PHONES = Tier("phones", (Interval(0, 2, 'a "b" c'),))
GRID = TextGrid(0.0, 2.0, (WORDS, PHONES), "utf-8")


def quoted(text: str) -> str:
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def long_format(grid: TextGrid, points: str = "") -> str:
    """As Praat writes it: every value with its name."""
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        f"xmin = {grid.start_s} ",
        f"xmax = {grid.end_s} ",
        "tiers? <exists> ",
        f"size = {len(grid.tiers) + bool(points)} ",
        "item []: ",
    ]
    for number, tier in enumerate(grid.tiers, start=1):
        lines += [
            f"    item [{number}]:",
            '        class = "IntervalTier" ',
            f"        name = {quoted(tier.name)} ",
            f"        xmin = {grid.start_s} ",
            f"        xmax = {grid.end_s} ",
            f"        intervals: size = {len(tier.intervals)} ",
        ]
        for place, interval in enumerate(tier.intervals, start=1):
            lines += [
                f"        intervals [{place}]:",
                f"            xmin = {interval.start_s} ",
                f"            xmax = {interval.end_s} ",
                f"            text = {quoted(interval.text)} ",
            ]
    return "\n".join(lines) + "\n" + points


def short_format(grid: TextGrid) -> str:
    """Values alone."""
    values = ['File type = "ooTextFile"', 'Object class = "TextGrid"', ""]
    values += [str(grid.start_s), str(grid.end_s), "<exists>", str(len(grid.tiers))]
    for tier in grid.tiers:
        values += ['"IntervalTier"', quoted(tier.name), str(grid.start_s), str(grid.end_s)]
        values.append(str(len(tier.intervals)))
        for interval in tier.intervals:
            values += [str(interval.start_s), str(interval.end_s), quoted(interval.text)]
    return "\n".join(values) + "\n"


POINTS = """
    item [3]:
        class = "TextTier"
        name = "pitch"
        xmin = 0
        xmax = 2
        points: size = 2
        points [1]:
            number = 0.5
            mark = "120"
        points [2]:
            number = 1.5
            mark = ""
"""


@st.composite
def grids(draw: st.DrawFn) -> TextGrid:
    letters = st.characters(exclude_categories=["Cs"])
    texts = st.text(letters, max_size=8).map(lambda text: " ".join(text.split()))
    end_s = draw(st.floats(1, 1e4))
    tiers = []
    for name in draw(st.lists(texts, max_size=3)):
        times = sorted(draw(st.lists(st.floats(0, 1), max_size=8)))
        bounds = [end_s * time for time in times]
        tiers.append(
            Tier(
                name,
                tuple(Interval(start, end, draw(texts)) for start, end in pairwise(bounds)),
            )
        )
    return TextGrid(0.0, end_s, tuple(tiers), "utf-8")


@given(grids(), st.sampled_from([long_format, short_format]), st.sampled_from(["\n", "\r\n", "\r"]))
def test_both_formats_come_back(
    grid: TextGrid, write: Callable[[TextGrid], str], line_end: str
) -> None:
    text = write(grid).replace("\n", line_end)
    # a line end within a label is white space like any other
    assert parse_textgrid(text.encode(), "x.TextGrid") == grid


@given(grids())
def test_utf_16_comes_back(grid: TextGrid) -> None:
    for encoding, name in (("utf-16", "utf-16"), ("utf-16-le", "utf-16-le"), ("utf-16-be",) * 2):
        data = long_format(grid).encode(encoding)
        assert parse_textgrid(data, "x") == replace(grid, encoding=name)
    marked = b"\xfe\xff" + long_format(grid).encode("utf-16-be")
    assert parse_textgrid(marked, "x") == replace(grid, encoding="utf-16")


def test_other_encodings() -> None:
    grid = replace(GRID, tiers=(Tier("words", (Interval(0, 2, "grün"),)),))
    text = short_format(grid)
    assert parse_textgrid(text.encode("utf-8-sig"), "x") == grid
    assert parse_textgrid(text.encode("latin-1"), "x") == replace(grid, encoding="latin-1")


def test_what_stands_between_values_does_not_matter() -> None:
    text = """File type = "ooTextFile short"
"TextGrid"
! 5 "a comment" <exists>
0s 2.0s <exists> 1 "IntervalTier" "wo""rds" from 0 seconds to 2 seconds, in 1 interval:
0 2e0 "a ! b"
"""
    tier = Tier('wo"rds', (Interval(0, 2, "a ! b"),))
    assert parse_textgrid(text.encode(), "x") == TextGrid(0, 2, (tier,), "utf-8")


def test_points_are_read_past_and_no_tiers_are_no_error() -> None:
    assert parse_textgrid(long_format(GRID, POINTS).encode(), "x") == GRID
    empty = 'File type = "ooTextFile"\nObject class = "TextGrid"\n0\n2\n<absent>\n'
    assert parse_textgrid(empty.encode(), "x") == TextGrid(0, 2, (), "utf-8")


# what is changed in the long format, and the line and words of the error
BROKEN: dict[str, tuple[Callable[[str], str], str]] = {
    "cut off": (lambda t: t[: t.index("hello") + 5], "22: expected a closing quote"),
    "cut off between": (lambda t: t[: t.index("text = ")], "17: expected the text of an interval"),
    "no header": (lambda t: t.replace("ooTextFile", "text"), '1: expected "ooTextFile"'),
    "another object": (lambda t: t.replace("TextGrid", "Pitch"), '2: expected "TextGrid"'),
    "no number": (lambda t: t.replace("xmax = 2.0", "xmax = two", 1), "6: expected the end of the"),
    "infinite": (lambda t: t.replace("xmax = 2.0", "xmax = 1e999", 1), "5: expected the end of"),
    "negative": (lambda t: t.replace("xmin = 0.5", "xmin = -0.5"), "21: expected 0 or more"),
    "backwards": (lambda t: t.replace("xmax = 0.9", "xmax = 0.4"), "21: expected 0 or more"),
    "order": (lambda t: t.replace("xmin = 0.9", "xmin = 0.4"), "25: expected intervals in order"),
    "more than stated": (lambda t: t.replace("size = 3", "size = 2"), "24: expected the class of"),
    "fewer than stated": (lambda t: t.replace("size = 3", "size = 4"), "28: expected the start"),
    "half an interval": (lambda t: t.replace("size = 3", "size = 2.5"), "14: expected the number"),
    "one tier too few": (lambda t: t.replace("size = 2", "size = 1"), "28: expected the end of"),
    "no flag": (lambda t: t.replace("<exists>", ""), "7: expected <exists>"),
    "class": (lambda t: t.replace("IntervalTier", "Interval", 1), '10: expected "IntervalTier"'),
}


@pytest.mark.parametrize("case", BROKEN)
def test_damage_is_told_with_its_line(case: str) -> None:
    change, expected = BROKEN[case]
    text = long_format(GRID)
    broken = change(text)
    assert broken != text
    with pytest.raises(AlignmentError, match=re.escape(f"a/x.TextGrid:{expected}")):
        parse_textgrid(broken.encode(), "a/x.TextGrid")


@pytest.mark.parametrize("data", [b"", b"\xff\xfe\x00", b"ooBinaryFile\x08TextGrid", b"\0\xd8\0"])
def test_what_is_no_text(data: bytes) -> None:
    with pytest.raises(AlignmentError, match=r"^x:1: expected"):
        parse_textgrid(data, "x")


@given(st.data())
def test_mutated_files_are_read_or_refused(data: st.DataObject) -> None:
    write = data.draw(st.sampled_from([long_format, short_format]))
    content = bytearray(write(GRID).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        end = min(len(content), start + data.draw(st.integers(0, 20)))
        content[start:end] = data.draw(st.binary(max_size=6))
    refused = ""
    try:
        grid = parse_textgrid(bytes(content), "x")
        assert all(i.start_s <= i.end_s for tier in grid.tiers for i in tier.intervals)
    except AlignmentError as error:
        refused = error.where
    assert re.fullmatch(r"(x:\d+)?", refused)


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(AlignmentError, match=r"none\.TextGrid: expected a file"):
        read_textgrid(tmp_path / "none.TextGrid")


def tiers(*names: str) -> TextGrid:
    return TextGrid(0, 1, tuple(Tier(name, ()) for name in names), "utf-8")


@pytest.mark.parametrize(
    ("names", "wanted", "speaker", "found"),
    [
        (["phones", "words"], None, None, "words"),
        (["Word", "phrase"], None, None, "Word"),
        (["anna - words", "anna - phones"], None, None, "anna - words"),
        (["anna - words", "bert - words"], None, "Bert", "bert - words"),
        (["anna - words", "words"], None, "anna", "anna - words"),
        (["words", "phrase"], "phrase", None, "phrase"),
        (["anna - orth", "bert - orth"], "orth", "anna", "anna - orth"),
        (["anna - orth", "bert - orth"], "bert - ORTH", "anna", "bert - orth"),
    ],
)
def test_the_tier_of_words(
    names: list[str], wanted: str | None, speaker: str | None, found: str
) -> None:
    assert choose_tier(tiers(*names), "x", name=wanted, speaker=speaker).name == found


@pytest.mark.parametrize(
    ("names", "wanted", "message"),
    [
        ([], None, "got 0 among the interval tiers none; name the one"),
        (["phones", "ORT"], None, "got 0 among the interval tiers 'phones', 'ORT'"),
        (["words", "word"], None, "got 2 among"),
        (["anna - words", "bert - words"], None, "got 2 among"),
        (["words"], "ORT", r"expected one interval tier of words \('ort'\), got 0"),
    ],
)
def test_no_tier_of_words(names: list[str], wanted: str | None, message: str) -> None:
    with pytest.raises(AlignmentError, match=message):
        choose_tier(tiers(*names), "x", name=wanted, speaker="carl")


def test_silence_is_no_word_and_an_unknown_word_keeps_its_place() -> None:
    labels = ["", "sil", "Hello", "sp", "spn", "<eps>", "<unk>", "[laughter]", "SIL", "silly"]
    tier = Tier("words", tuple(Interval(k, k + 1, label) for k, label in enumerate(labels)))
    assert tier_words(tier) == [
        Word("Hello", 2, 3, "textgrid"),
        Word("<unk>", 4, 5, "textgrid"),
        Word("<unk>", 6, 7, "textgrid"),
        Word("[laughter]", 7, 8, "textgrid"),
        Word("silly", 9, 10, "textgrid"),
    ]


@pytest.mark.real
def test_files_of_praat(shared_data: Path) -> None:
    folder = shared_data / "alignment" / "praatio"
    bobby = read_textgrid(folder / "bobby_words.TextGrid")
    assert [(tier.name, len(tier.intervals)) for tier in bobby.tiers] == [
        ("word", 6),
        ("phrase", 3),
    ]
    assert bobby.end_s == 1.194625
    words = tier_words(choose_tier(bobby, "bobby"))
    assert [word.text for word in words] == ["BOBBY", "RIPPED", "THE", "LEDGER"]
    assert (words[0].start_s, words[3].end_s) == (0.06469123242311078, 1.1171482864527198)
    # short format, carriage returns, IPA, and a tier of points
    mary = read_textgrid(folder / "mary.TextGrid")
    assert [tier.name for tier in mary.tiers] == ["phone", "word"]
    assert mary.tiers[0].intervals[2].text == "ə"
    words = tier_words(choose_tier(mary, "mary"))
    assert [word.text for word in words] == ["mary", "rolled", "the", "barrel"]
    assert words[3] == Word("barrel", 1.063725623583, 1.5182538944627297, "textgrid")
    with pytest.raises(AlignmentError, match="interval tiers 'phone'"):
        choose_tier(read_textgrid(folder / "bobby_phones.TextGrid"), "bobby")
