"""Label schemes for sentiment from -3 to 3, as CMU-MOSI and CMU-MOSEI rate it."""

from __future__ import annotations

from data_modules.labels import BinScheme, LabelScheme, RatingScheme

NEUTRAL = "neutral (sentiment is 0)"


def rounded(rating: float) -> str:
    """The nearest of seven classes; halves go to the even one, as in NumPy and PyTorch."""
    return str(round(rating))


def has0(rating: float) -> str:
    """Zero counts as non-negative: the habit of papers up to 2019."""
    return "negative" if rating < 0 else "non-negative"


def non0(rating: float) -> str | None:
    """Zero is left out: the habit of papers since 2019."""
    return None if rating == 0 else "negative" if rating < 0 else "positive"


def sentiment_schemes(corpus: str) -> tuple[LabelScheme, ...]:
    """The rating itself first, then seven classes, then two with and without zero.

    Args:
        corpus: What the names of the schemes begin with.
    """
    return (
        RatingScheme(
            name=f"{corpus}_sentiment",
            names=("sentiment",),
            sources=("sentiment",),
            low=-3.0,
            high=3.0,
            scores="sentiment",
        ),
        BinScheme(
            name=f"{corpus}7",
            names=("-3", "-2", "-1", "0", "1", "2", "3"),
            source="sentiment",
            low=-3.0,
            high=3.0,
            bin_of=rounded,
            note="seven classes by rounding, halves to even",
        ),
        BinScheme(
            name=f"{corpus}2_has0",
            names=("negative", "non-negative"),
            source="sentiment",
            low=-3.0,
            high=3.0,
            bin_of=has0,
            note="zero counts as non-negative",
        ),
        BinScheme(
            name=f"{corpus}2_non0",
            names=("negative", "positive"),
            source="sentiment",
            low=-3.0,
            high=3.0,
            bin_of=non0,
            left_out=NEUTRAL,
            note="segments with sentiment 0 are left out",
        ),
    )
