"""The label scheme of an experiment: that of the corpus, or a question for each class."""

from __future__ import annotations

from data_modules.corpora import Corpus, find_scheme
from data_modules.errors import ConfigError
from data_modules.labels import LabelScheme
from data_modules.one_versus_rest import OneVersusRest
from sermm.config import Config


def scheme_of(config: Config, corpus: Corpus) -> LabelScheme:
    """What ``data.labels`` and ``model.head`` say.

    Raises:
        ConfigError: The corpus has no such scheme, or it has no classes to ask for.
    """
    scheme = find_scheme(config.data.labels, corpus)
    if config.model.head == "softmax":
        return scheme
    if scheme.kind != "classes":
        raise ConfigError(
            "model.head",
            expected="softmax where utterances have no class",
            got=f"{config.model.head} with {scheme.name}",
            fix="set model.head=softmax, or choose data.labels with classes",
        )
    return OneVersusRest(
        name=scheme.name,
        names=scheme.names,
        note="one question for each class (present or absent): not comparable with accuracies "
        "over classes, since always answering absent is right for most questions",
        scheme=scheme,
    )
