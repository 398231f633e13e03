"""Label schemes: from a corpus' own label values to targets, with nothing dropped in silence.

A scheme turns every value it knows into a target, or names it as left out. A value it does not know
is an error, so a typing mistake in a corpus cannot make a class vanish. The schemes themselves
stand with their corpora (``corpora/``).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from data_modules.errors import LabelError
from data_modules.manifest import Utterance

Kind = Literal["classes", "regression", "multilabel", "reconstruction"]
"""One of several classes, real values, several labels at once, or hidden frames (no label)."""

Family = Literal["classes", "sentiment", "intensity", "rating", "multilabel", "reconstruction"]
"""Which scores are the field's habit for a scheme: see ``sermm/scoring.py``."""

Target = int | tuple[float, ...]
"""Class index, or one number for each of the scheme's names (0 or 1 for several labels)."""


@dataclass(frozen=True)
class LeftOut:
    """Why a scheme does not use an utterance.

    Attributes:
        reason: The same for all utterances that are left out for it; they are counted by it.
        detail: What exactly stands there.
    """

    reason: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class LabelScheme(ABC):
    """How the labels of an utterance become a target.

    Attributes:
        name: What ``data.labels`` says.
        names: Names of classes, values or labels, in the order of the target.
        note: What a reader of the results should know.
    """

    kind: ClassVar[Kind]

    name: str
    names: tuple[str, ...]
    note: str = ""

    @property
    def family(self) -> Family:
        """Which scores belong to it."""
        return "classes"

    @abstractmethod
    def target_of(self, utterance: Utterance) -> Target | LeftOut:
        """The target of an utterance, or why the scheme leaves it out.

        Raises:
            LabelError: The utterance has no such label, or the scheme does not know its value.
        """

    def name_of(self, target: Target) -> str:
        """A target in words, for counts."""
        if isinstance(target, int):
            return self.names[target]
        return ", ".join(
            f"{name} {value:g}" for name, value in zip(self.names, target, strict=True)
        )

    def stratum_of(self, target: Target) -> str:
        """Utterances that a smaller draw should hold in equal shares have this in common."""
        return self.name_of(target)

    def shares_of(self, utterance: Utterance) -> tuple[float, ...] | None:
        """Share of each class among the raters' votes; None where there are no votes for any."""
        del utterance
        return None

    def _unknown(self, utterance: Utterance, key: str, expected: str, got: object) -> LabelError:
        return LabelError(
            f"{utterance.corpus} {utterance.id}",
            expected=f"labels.{key} {expected}",
            got=repr(got),
            fix=f"mend the label in the release, or choose another data.labels than {self.name}",
        )

    def _number(self, utterance: Utterance, key: str, low: float, high: float) -> float:
        """A rating; a dot in its key leads into a group of ratings."""
        value: object = utterance.labels
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        # bool is an int to isinstance, and never a rating
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return float(value)
        raise self._unknown(utterance, key, f"between {low:g} and {high:g}", value)


@dataclass(frozen=True, kw_only=True)
class ClassScheme(LabelScheme):
    """One class for each utterance, from the corpus' name of it.

    Attributes:
        source: Key of ``Utterance.labels`` that holds the corpus' value.
        mapping: Corpus value to class name.
        left_out: Corpus values whose utterances do not take part, with the reason.
        votes: Key of ``Utterance.labels`` that holds votes as ``{corpus value: number}``; empty
            where nobody voted.
    """

    kind: ClassVar[Kind] = "classes"

    source: str
    mapping: Mapping[str, str]
    left_out: Mapping[str, str] = field(default_factory=dict)
    votes: str = ""

    def target_of(self, utterance: Utterance) -> Target | LeftOut:
        """Class index."""
        value = utterance.labels.get(self.source)
        if isinstance(value, str):
            if value in self.mapping:
                return self.names.index(self.mapping[value])
            if value in self.left_out:
                return LeftOut(self.left_out[value], value)
        known = ", ".join([*self.mapping, *self.left_out])
        raise self._unknown(utterance, self.source, f"among {known}", value)

    def shares_of(self, utterance: Utterance) -> tuple[float, ...] | None:
        """Shares of the classes among the votes for them; votes for what is left out do not count.

        Raises:
            LabelError: A vote is for a value that the scheme does not know, or is no number.
        """
        votes = utterance.labels.get(self.votes) if self.votes else None
        if not votes:
            return None
        shares = dict.fromkeys(self.names, 0.0)
        for value, number in votes.items():
            if value not in self.mapping and value not in self.left_out:
                known = ", ".join([*self.mapping, *self.left_out])
                raise self._unknown(utterance, self.votes, f"for {known}", value)
            if type(number) not in (int, float) or not 0 <= number < math.inf:
                raise self._unknown(utterance, self.votes, "as numbers", number)
            if value in self.mapping:
                shares[self.mapping[value]] += number
        total = sum(shares.values())
        return tuple(share / total for share in shares.values()) if total else None


@dataclass(frozen=True, kw_only=True)
class BinScheme(LabelScheme):
    """One class for each utterance, from a rating.

    Attributes:
        source: Key of ``Utterance.labels`` that holds the rating.
        low: Lowest rating there can be.
        high: Highest.
        bin_of: Rating to class name; None leaves the utterance out.
        left_out: Why those are left out.
    """

    kind: ClassVar[Kind] = "classes"

    source: str
    low: float
    high: float
    bin_of: Callable[[float], str | None]
    left_out: str = ""

    def target_of(self, utterance: Utterance) -> Target | LeftOut:
        """Class index."""
        value = self._number(utterance, self.source, self.low, self.high)
        name = self.bin_of(value)
        return LeftOut(self.left_out, f"{value:g}") if name is None else self.names.index(name)


@dataclass(frozen=True, kw_only=True)
class RatingScheme(LabelScheme):
    """One or more real values.

    Attributes:
        sources: Keys of ``Utterance.labels``, one for each of ``names``.
        low: Lowest value there can be.
        high: Highest.
        scores: ``sentiment`` (-3 to 3, with the accuracies of MOSI and MOSEI), ``intensity`` (0 to
            3, with four levels), or ``rating`` for any other scale.
    """

    kind: ClassVar[Kind] = "regression"

    sources: tuple[str, ...]
    low: float
    high: float
    scores: Literal["sentiment", "intensity", "rating"] = "rating"

    @property
    def family(self) -> Family:
        """Which scores belong to it."""
        return self.scores

    def target_of(self, utterance: Utterance) -> Target | LeftOut:
        """One value for each name."""
        return tuple(self._number(utterance, key, self.low, self.high) for key in self.sources)

    def stratum_of(self, target: Target) -> str:
        """The first value, rounded."""
        assert isinstance(target, tuple)
        return f"{round(target[0])}"


@dataclass(frozen=True, kw_only=True)
class PresenceScheme(LabelScheme):
    """Several labels, each there where its rating is above zero.

    Attributes:
        sources: Keys of ``Utterance.labels``, one for each of ``names``.
        high: Highest rating there can be; the lowest is 0.
    """

    kind: ClassVar[Kind] = "multilabel"

    sources: tuple[str, ...]
    high: float

    @property
    def family(self) -> Family:
        """Which scores belong to it."""
        return "multilabel"

    def target_of(self, utterance: Utterance) -> Target | LeftOut:
        """1 for each label that is there."""
        return tuple(
            float(self._number(utterance, key, 0.0, self.high) > 0) for key in self.sources
        )


@dataclass(frozen=True, kw_only=True)
class TagScheme(LabelScheme):
    """Several labels, from a list of tags.

    Attributes:
        source: Key of ``Utterance.labels`` that holds a list of the corpus' values.
        mapping: Corpus value to label.
    """

    kind: ClassVar[Kind] = "multilabel"

    source: str
    mapping: Mapping[str, str]

    @property
    def family(self) -> Family:
        """Which scores belong to it."""
        return "multilabel"

    def target_of(self, utterance: Utterance) -> Target | LeftOut:
        """1 for each label that is there."""
        tags = utterance.labels.get(self.source)
        if not isinstance(tags, list):
            raise self._unknown(utterance, self.source, "as a list", tags)
        unknown = [tag for tag in tags if tag not in self.mapping]
        if unknown:
            known = ", ".join(self.mapping)
            raise self._unknown(utterance, self.source, f"among {known}", unknown[0])
        found = {self.mapping[tag] for tag in tags}
        return tuple(float(name in found) for name in self.names)


def same_names(*names: str) -> dict[str, str]:
    """A mapping for a corpus that writes its classes as the scheme does."""
    return {name: name for name in names}
