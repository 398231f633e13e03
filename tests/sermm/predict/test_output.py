"""The printed table: nothing that a reader must know is left out of it."""

from __future__ import annotations

import io

import pytest

from sermm.predict.output import writer_to
from sermm.predict.recording import Prediction


def printed(kind: str, *said: Prediction) -> str:
    stream = io.StringIO()
    with writer_to(stream, None, "table", ["happy", "sad"], kind) as writer:
        for one in said:
            writer.write(one)
    return stream.getvalue()


def test_notes_and_conditions_are_in_the_table() -> None:
    said = Prediction(
        "a.wav", 0.0, 61.5, predicted=("sad",), probabilities={"happy": 0.25, "sad": 0.75},
        condition="only-speech", notes=("silent",),
    )  # fmt: skip
    table = printed("classes", said)
    for part in ("most likely", "0:00.0-1:01.5", "sad 0.75, happy 0.25", "only-speech", "silent"):
        assert part in table
    assert "ratings" in printed("regression", Prediction("a.wav", ratings={"happy": 3.0}))


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["/data/x/1.wav"], ["1.wav"]),
        (
            ["/data/x/1.wav", "/data/y/1.wav", "/data/z ä/1.wav"],
            ["x/1.wav", "y/1.wav", "z ä/1.wav"],
        ),
        (["text"], ["text"]),
        (["x/1.wav", "x/2.wav"], ["1.wav", "2.wav"]),
    ],
)
def test_recordings_of_one_name_are_told_apart(files: list[str], names: list[str]) -> None:
    table = printed("classes", *(Prediction(file, error="gone") for file in files))
    rows = [line.split("│") for line in table.splitlines() if line.startswith("│")]
    assert [row[1].strip() for row in rows] == names
    assert {row[3].strip() for row in rows} == {"not predicted"}
