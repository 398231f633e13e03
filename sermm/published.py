"""Points that papers print, beside which our own may be laid. Numbers alone, with their source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from data_modules.errors import ConfigError


@dataclass(frozen=True)
class PublishedCurve:
    """A score by number of training examples.

    Attributes:
        name: What was trained, as a legend says it.
        metric: Name of the score here.
        points: Training examples and score.
        source: Where the numbers stand.
    """

    name: str
    metric: str
    points: Sequence[tuple[int, float]]
    source: str


_BOIGNE = (
    "Boigne et al. 2020 (arXiv 2011.05585), figure of the first author's account of it, speech "
    "alone; it shows neither spread nor number of repeats"
)
PUBLISHED: Mapping[str, Sequence[PublishedCurve]] = {
    "boigne2020": (
        PublishedCurve(
            "Boigne et al.: wav2vec",
            "ua",
            ((500, 0.585), (1000, 0.591), (2000, 0.630), (4000, 0.643)),
            _BOIGNE,
        ),
        PublishedCurve(
            "Boigne et al.: hand-crafted",
            "ua",
            ((500, 0.516), (1000, 0.527), (2000, 0.557), (4000, 0.562)),
            _BOIGNE,
        ),
    ),
}


def find_published(name: str) -> Sequence[PublishedCurve]:
    """The curves of a publication.

    Raises:
        ConfigError: There are none of that name.
    """
    if name in PUBLISHED:
        return PUBLISHED[name]
    raise ConfigError(
        "--published",
        expected=f"one of {', '.join(PUBLISHED)}",
        got=repr(name),
        fix="choose one of these",
    )
