"""A class as several labels of which exactly one is there: present or absent, for each class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from data_modules.labels import Family, Kind, LabelScheme, LeftOut, Target
from data_modules.manifest import Utterance


@dataclass(frozen=True, kw_only=True)
class OneVersusRest(LabelScheme):
    """The classes of a scheme, each against all others.

    A model may then predict none of them, or several.

    Attributes:
        scheme: Of the classes.
    """

    kind: ClassVar[Kind] = "multilabel"

    scheme: LabelScheme

    @property
    def family(self) -> Family:
        """Scores of presence and absence."""
        return "multilabel"

    def target_of(self, utterance: Utterance) -> Target | LeftOut:
        """1 for the class of the utterance, 0 for the others."""
        target = self.scheme.target_of(utterance)
        if isinstance(target, LeftOut):
            return target
        return tuple(float(index == target) for index in range(len(self.names)))

    def stratum_of(self, target: Target) -> str:
        """The class."""
        assert not isinstance(target, int), "a tuple, of target_of"
        return self.names[target.index(1.0)]
