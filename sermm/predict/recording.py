"""What goes in and what comes out: a recording to be judged, and what the model says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from data_modules.audio import EmptyMediaError, MissingMediaError, TruncatedMediaError
from data_modules.errors import MediaError
from data_modules.labels import Kind
from data_modules.manifest import Word


@dataclass(frozen=True)
class Recording:
    """A clip, a part of one, or a text alone.

    Attributes:
        name: What answers call it.
        path: The file; None for a text alone.
        text: What is said; None where nobody says so.
        start_s: Where to start, None for the start of the file.
        end_s: Where to end, None for its end.
    """

    name: str
    path: Path | None
    text: str | None = None
    start_s: float | None = None
    end_s: float | None = None

    @property
    def is_part(self) -> bool:
        """Whether a part of the file is meant."""
        return self.start_s is not None or self.end_s is not None


def to_its_owner(error: MediaError, recording: Recording) -> MediaError:
    """An error in reading a recording with the advice for a file that is of no corpus."""
    fix = error.fix
    if isinstance(error, MissingMediaError):
        fix = "check the path"
    elif isinstance(error, EmptyMediaError | TruncatedMediaError) and recording.is_part:
        fix = "correct start_s and end_s, or copy the file again from its source"
    return type(error)(error.where, expected=error.expected, got=error.got, fix=fix)


@dataclass(frozen=True)
class Prediction:
    """What the model says of a recording, or why it says nothing.

    Attributes:
        file: Name of the recording.
        start_s: Where what was judged starts; None for the start of the file, or without audio.
        end_s: Where it ends.
        kind: What is predicted.
        predicted: The class, or the labels, that are predicted; empty for ratings.
        probabilities: Of each class or label; empty for ratings.
        ratings: By name; empty for classes and labels.
        calibrated: Whether a temperature was applied to the probabilities.
        text: The words that were read; None where the model reads none or had to do without.
        condition: What the model had to do with, such as ``only-speech``; empty if it had all.
        word_times: How many words each source of times gave; empty where no times are used.
        words: With their times.
        notes: What a reader must know.
        error: Why there is no prediction; empty if there is one.
    """

    file: str
    start_s: float | None = None
    end_s: float | None = None
    kind: Kind = "classes"
    predicted: tuple[str, ...] = ()
    probabilities: Mapping[str, float] = field(default_factory=dict)
    ratings: Mapping[str, float] = field(default_factory=dict)
    calibrated: bool = False
    text: str | None = None
    condition: str = ""
    word_times: Mapping[str, int] = field(default_factory=dict)
    words: tuple[Word, ...] = ()
    notes: tuple[str, ...] = ()
    error: str = ""

    @property
    def label(self) -> str:
        """The class that is predicted, or the labels with spaces between."""
        return " ".join(self.predicted)
