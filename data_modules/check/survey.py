"""What several checks, tables and pictures look at, each worked out once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from data_modules.check.counts import Counts, count
from data_modules.check.division import Division, divide
from data_modules.check.overlap import AUDIO, Overlap, find_overlaps
from data_modules.check.result import CheckResult
from data_modules.errors import LabelError
from data_modules.labels import LeftOut
from data_modules.manifest import Utterance
from data_modules.prepared import Prepared


class Survey:
    """A prepared corpus with what is derived from it.

    Args:
        prepared: The corpus.
    """

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared

    @cached_property
    def counts(self) -> Counts:
        """By the usual label scheme."""
        return count(self.prepared)

    @cached_property
    def kept(self) -> list[Utterance]:
        """Utterances that have a target of the usual label scheme."""
        scheme = self.prepared.corpus.scheme

        def is_kept(utterance: Utterance) -> bool:
            try:
                return not isinstance(scheme.target_of(utterance), LeftOut)
            except LabelError:
                return False

        return [utterance for utterance in self.prepared.utterances if is_kept(utterance)]

    @cached_property
    def division(self) -> Division | None:
        """How these are usually divided."""
        return divide(self.prepared.corpus, self.kept)

    @cached_property
    def overlaps(self) -> list[Overlap]:
        """What stands in two parts of it."""
        if self.division is None:
            return []
        return find_overlaps(self.kept, self.prepared.media, self.division)

    @cached_property
    def audio_in_two_parts(self) -> set[str]:
        """Utterances of a scored part whose audio stands in another part too."""
        places = [overlap.places for overlap in self.overlaps if overlap.kind == AUDIO]
        return {self.kept[place].id for found in places for place in found.tolist()}


Check = Callable[[Survey], CheckResult | None]
"""A check; None where it does not apply to the corpus."""
