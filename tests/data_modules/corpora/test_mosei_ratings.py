"""Classes and intensities from the ratings of CMU-MOSEI."""

from __future__ import annotations

import numpy as np
import pytest

from data_modules.corpora import SCHEMES, mosei
from data_modules.errors import LabelError
from data_modules.manifest import Utterance

RATINGS = {
    -3.0: ("-3", "-3", "negative", "negative"),
    -2.5: ("-2", "-3", "negative", "negative"),
    -2.0: ("-2", "-2", "negative", "negative"),
    -1.666667: ("-2", "-2", "negative", "negative"),
    -1.5: ("-2", "-2", "negative", "negative"),
    -1.0: ("-1", "-1", "negative", "negative"),
    -0.5: ("0", "-1", "negative", "negative"),
    -0.166667: ("0", "-1", "negative", "negative"),
    0.0: ("0", "0", "non-negative", None),
    0.333333: ("0", "1", "non-negative", "positive"),
    0.5: ("0", "1", "non-negative", "positive"),
    1.0: ("1", "1", "non-negative", "positive"),
    1.333333: ("1", "2", "non-negative", "positive"),
    1.5: ("2", "2", "non-negative", "positive"),
    2.0: ("2", "2", "non-negative", "positive"),
    2.5: ("2", "3", "non-negative", "positive"),
    2.666667: ("3", "3", "non-negative", "positive"),
}


def rated(sentiment: float, **emotions: float) -> Utterance:
    zeros = dict.fromkeys(mosei.EMOTIONS, 0.0)
    return Utterance(
        id="v[0]", corpus="mosei", labels={"sentiment": sentiment, **zeros, **emotions}
    )


@pytest.mark.parametrize(("rating", "names"), RATINGS.items())
def test_ratings_become_classes(rating: float, names: tuple[str | None, ...]) -> None:
    schemes = ("mosei7", "mosei7_sdk", "mosei2_has0", "mosei2_non0")
    for name, expected in zip(schemes, names, strict=True):
        target = SCHEMES[name].target_of(rated(rating))
        assert (SCHEMES[name].names[target] if isinstance(target, int) else None) == expected
    assert int(names[0] or 0) == np.round(np.clip(rating, -3, 3))
    assert SCHEMES["mosei_sentiment"].target_of(rated(rating)) == (rating,)


@pytest.mark.parametrize("name", ["mosei_sentiment", "mosei7", "mosei7_sdk", "mosei2_non0"])
@pytest.mark.parametrize("rating", [3.333333, -5.0])
def test_a_rating_off_the_scale_is_an_error(name: str, rating: float) -> None:
    with pytest.raises(LabelError, match="between -3 and 3"):
        SCHEMES[name].target_of(rated(rating))


def test_emotions_have_intensities_and_are_present_above_zero() -> None:
    utterance = rated(0.0, sad=0.333333, fear=3.0)
    assert SCHEMES["mosei_emotions6"].target_of(utterance) == (0.0, 0.333333, 0.0, 0.0, 0.0, 3.0)
    assert SCHEMES["mosei_presence6"].target_of(utterance) == (0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    for name in ("mosei_emotions6", "mosei_presence6"):
        with pytest.raises(LabelError, match=r"labels\.happy between 0 and 3"):
            SCHEMES[name].target_of(rated(0.0, happy=4.333333))
