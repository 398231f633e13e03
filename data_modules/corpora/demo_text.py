"""Sentences of the demo corpus: what is said, and which word the voice has to stress.

Plain sentences judge one or two things alike, so their words give the valence away. Contrast
sentences judge four things, two well and two badly, in random order; only the stressed word
counts. Nothing here knows of arousal or of a speaker, so text cannot tell either.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

Valence = Literal["positive", "negative"]

# Pairs have as many syllables as each other, so the length of a word does not tell its valence.
# Many words of both kinds: with ten of each, a model of the voice alone learns to hear the words.
_PAIRS = (
    ("lovely", "awful"),
    ("splendid", "dreadful"),
    ("pleasant", "nasty"),
    ("charming", "ghastly"),
    ("brilliant", "rotten"),
    ("gorgeous", "dreary"),
    ("perfect", "wretched"),
    ("stunning", "shocking"),
    ("graceful", "shabby"),
    ("wonderful", "terrible"),
    ("excellent", "horrible"),
    ("delightful", "atrocious"),
    ("amazing", "disgusting"),
    ("fantastic", "appalling"),
    ("marvellous", "hideous"),
    ("impressive", "depressing"),
    ("beautiful", "pitiful"),
    ("terrific", "horrific"),
    ("exquisite", "repulsive"),
    ("refreshing", "revolting"),
    ("inspiring", "offensive"),
    ("remarkable", "unbearable"),
    ("magnificent", "deplorable"),
    ("spectacular", "ridiculous"),
)
EVALUATIONS: dict[Valence, tuple[str, ...]] = {
    "positive": tuple(good for good, _ in _PAIRS),
    "negative": tuple(bad for _, bad in _PAIRS),
}
VALENCE_OF: dict[str, Valence] = {
    word: valence for valence, words in EVALUATIONS.items() for word in words
}

THINGS = (
    *("food", "service", "room", "music", "garden", "kitchen", "weather", "journey"),
    *("concert", "dinner", "hotel", "beach", "museum", "lecture", "market", "coffee"),
    *("film", "story", "wedding", "party", "village", "station", "dessert", "breakfast"),
    *("painting", "singing", "dancing", "balcony", "bathroom", "staircase", "harbour", "library"),
)
_DETERMINERS = ("the", "our", "their")
_VERBS = ("was", "seemed", "looked", "felt")
_OPENINGS = ("", "", "", "honestly,", "this time,", "last night,", "I thought", "she said")


@dataclass(frozen=True, slots=True)
class Sentence:
    """What is said.

    Attributes:
        tokens: Words with their punctuation, as in the transcript.
        stressed: Position of the stressed word in ``tokens``; None if no word is stressed.
    """

    tokens: tuple[str, ...]
    stressed: int | None

    @property
    def text(self) -> str:
        """The transcript."""
        return " ".join(self.tokens)

    @property
    def words(self) -> tuple[str, ...]:
        """The words in lower case, without punctuation."""
        return tuple(token.strip(",.").lower() for token in self.tokens)

    @property
    def evaluations(self) -> tuple[int, ...]:
        """Positions of the words that judge something."""
        return tuple(i for i, word in enumerate(self.words) if word in VALENCE_OF)


def plain_sentence(rng: random.Random, valence: Valence) -> Sentence:
    """One or two things of one valence; one of the judging words is stressed half of the time."""
    count = rng.choice((1, 2))
    evaluations = rng.sample(EVALUATIONS[valence], count)
    return _compose(rng, evaluations, stressed=rng.choice((None, rng.randrange(count))))


def contrast_sentence(rng: random.Random, valence: Valence) -> Sentence:
    """Two good and two bad things in random order; the stressed word has the valence."""
    evaluations = [
        *rng.sample(EVALUATIONS["positive"], 2),
        *rng.sample(EVALUATIONS["negative"], 2),
    ]
    rng.shuffle(evaluations)
    fitting = [i for i, word in enumerate(evaluations) if VALENCE_OF[word] == valence]
    return _compose(rng, evaluations, stressed=rng.choice(fitting))


def _compose(rng: random.Random, evaluations: list[str], stressed: int | None) -> Sentence:
    """Join one clause for each evaluation: ``I thought the room was lovely, the food splendid.``.

    Args:
        rng: Of the sentences.
        evaluations: Judging words, in order.
        stressed: Which of them is stressed, None for none.
    """
    determiner, verb = rng.choice(_DETERMINERS), rng.choice(_VERBS)
    words = rng.choice(_OPENINGS).split()
    positions = []
    things = rng.sample(THINGS, len(evaluations))
    for number, (thing, evaluation) in enumerate(zip(things, evaluations, strict=True)):
        words += [determiner, thing, *([verb] if number == 0 else []), f"{evaluation},"]
        positions.append(len(words) - 1)
    words[-1] = words[-1].replace(",", ".")
    words[0] = words[0][0].upper() + words[0][1:]
    return Sentence(tuple(words), None if stressed is None else positions[stressed])
