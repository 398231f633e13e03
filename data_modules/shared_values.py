"""Values that occur again and again in a manifest, each kept once.

JSON makes a new object of each; a million utterances with their words would take 5 GB.
"""

from __future__ import annotations

from typing import Any


class SharedValues:
    """Stores of values by themselves: ``store.setdefault(value, value)`` is the one that is kept.

    They stay small, since what repeats, repeats nearby.

    Attributes:
        names: Of speakers, files and labels, words, and sample rates.
        texts: Transcripts. Most are unlike any other, and must not push the names out.
        numbers: Word times and ratings.
        groups: Labels that are objects or lists, by their spelling.
    """

    _LIMIT = 65_536

    def __init__(self) -> None:
        self.names: dict[Any, Any] = {}
        self.texts: dict[str, str] = {}
        self.numbers: dict[float, float] = {}
        self.groups: dict[str, Any] = {}

    def tidy(self) -> None:
        """Empty the stores that are full."""
        for store in (self.names, self.texts, self.numbers, self.groups):
            if len(store) > self._LIMIT:
                store.clear()

    def labels(self, value: Any) -> Any:
        """A label value, with all that is in it."""
        if type(value) is str:
            return self.names.setdefault(value, value)
        if type(value) is float:
            return self.numbers.setdefault(value, value)
        if type(value) not in (dict, list):
            return value
        # by spelling and not by equality, to which 1 and 1.0 and true are the same
        spelt = repr(value)
        known = self.groups.get(spelt)
        if known is None:
            if type(value) is dict:
                names = self.names.setdefault
                known = {names(key, key): self.labels(item) for key, item in value.items()}
            else:
                known = [self.labels(item) for item in value]
            self.groups[spelt] = known
        return known
