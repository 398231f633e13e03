"""Label schemes: from a corpus' own label values to targets, with nothing dropped in silence.

A scheme maps every value it knows to a class, or names it as left out. A value it does not know
is an error, so a typing mistake in a corpus cannot make a class vanish.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from data_modules.errors import ConfigError, LabelError
from data_modules.manifest import Utterance


@dataclass(frozen=True)
class LabelScheme:
    """How the labels of an utterance become a target.

    Attributes:
        name: What ``data.labels`` says.
        kind: ``classes`` (one of several).
        names: Class names, in the order of the class index.
        source: Key of ``Utterance.labels`` that holds the corpus' value.
        mapping: Corpus value to class name.
        left_out: Corpus values whose utterances do not take part, with the reason.
        note: What a reader of the results should know.
    """

    name: str
    kind: Literal["classes"]
    names: tuple[str, ...]
    source: str
    mapping: Mapping[str, str]
    left_out: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    def class_of(self, utterance: Utterance) -> str | None:
        """Class name of an utterance, or None if its value is left out by this scheme.

        Raises:
            LabelError: The utterance has no such label, or the scheme does not know its value.
        """
        value = utterance.labels.get(self.source)
        if isinstance(value, str):
            if value in self.mapping:
                return self.mapping[value]
            if value in self.left_out:
                return None
        known = [*self.mapping, *self.left_out]
        raise LabelError(
            f"{utterance.corpus} {utterance.id}",
            expected=f"labels.{self.source} among {', '.join(known)}",
            got=repr(value),
            fix=f"mend the label in the release, or choose another data.labels than {self.name}",
        )

    def index_of(self, utterance: Utterance) -> int | None:
        """Class index of an utterance, or None if left out. Raises as :meth:`class_of`."""
        name = self.class_of(utterance)
        return None if name is None else self.names.index(name)


_IEMOCAP_LEFT_OUT = {
    "fru": "frustration is not among the four classes",
    "sur": "surprise is not among the four classes",
    "fea": "fear is not among the four classes",
    "dis": "disgust is not among the four classes",
    "oth": "'other' is not among the four classes",
    "xxx": "the raters did not agree on one label",
}

# The order of IEMOCAP's four classes is SUPERB's (neu 0, hap 1, ang 2, sad 3).
SCHEMES: dict[str, LabelScheme] = {
    scheme.name: scheme
    for scheme in (
        LabelScheme(
            "iemocap4",
            kind="classes",
            names=("neutral", "happy", "angry", "sad"),
            source="category",
            mapping={
                "neu": "neutral",
                "hap": "happy",
                "exc": "happy",
                "ang": "angry",
                "sad": "sad",
            },
            left_out=_IEMOCAP_LEFT_OUT,
            note="excited is merged into happy: the usual 5,531 utterances",
        ),
        LabelScheme(
            "ravdess8",
            kind="classes",
            names=(
                "neutral",
                "calm",
                "happy",
                "sad",
                "angry",
                "fearful",
                "disgust",
                "surprised",
            ),
            source="category",
            mapping={
                name: name
                for name in (
                    "neutral",
                    "calm",
                    "happy",
                    "sad",
                    "angry",
                    "fearful",
                    "disgust",
                    "surprised",
                )
            },
        ),
        LabelScheme(
            "emodb7",
            kind="classes",
            names=("anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness"),
            source="category",
            # letters are the initials of the German words: Wut, Langeweile, Ekel, Angst,
            # Freude, neutral, Trauer
            mapping={
                "W": "anger",
                "L": "boredom",
                "E": "disgust",
                "A": "fear",
                "F": "happiness",
                "N": "neutral",
                "T": "sadness",
            },
        ),
        LabelScheme(
            "nemo6",
            kind="classes",
            names=("anger", "fear", "happiness", "neutral", "sadness", "surprised"),
            source="category",
            mapping={
                name: name
                for name in ("anger", "fear", "happiness", "neutral", "sadness", "surprised")
            },
        ),
    )
}


def find_scheme(name: str) -> LabelScheme:
    """The label scheme that ``data.labels`` names.

    Raises:
        ConfigError: There is none of this name.
    """
    if name in SCHEMES:
        return SCHEMES[name]
    raise ConfigError(
        "data.labels",
        expected=f"one of {', '.join(SCHEMES)}",
        got=repr(name),
        fix="choose one of these",
    )
