"""Keys that must be those of the corpus: protocol, labels, score, ready-made features."""

from __future__ import annotations

from data_modules.corpora import Corpus, find_corpus
from data_modules.errors import ConfigError
from data_modules.labels import ClassScheme
from data_modules.protocols import find_protocol, protocols_of
from sermm.config import OWN, Config, needs_speech, needs_word_times, one_frame, ready_features
from sermm.limits_values import check_choice
from sermm.schemes import scheme_of


def check_corpus(config: Config) -> None:
    """Labels, protocol, score and features have to be those of the corpus."""
    data, model = config.data, config.model
    corpus = find_corpus(data.corpus)
    find_protocol(data.protocol, corpus.name)
    # "iemocap4-session5" and "iemocap-speaker5" are both IEMOCAP's; the demo corpus is in its form
    owners = (corpus.name, *(own.name for own in corpus.schemes))
    if data.protocol.partition("-")[0] not in owners:
        raise ConfigError(
            "data.protocol",
            expected=f"a protocol of {corpus.name}",
            got=data.protocol,
            fix=f"choose one of {', '.join(protocols_of(corpus.name))}",
        )
    # labels that only a folder states are checked where the folder is looked at (inputs.py)
    if corpus.schemes_of is None:
        check_labels(config, corpus)
    if data.batch_seconds and not needs_speech(config):
        raise ConfigError(
            "data.batch_seconds",
            expected="a task that hears; others have no seconds",
            got=model.task,
            fix="set data.batch_size instead",
        )
    strides = _strides(config, corpus)
    if model.task == "vectors" and not model.vectors:
        raise ConfigError(
            "model.vectors",
            expected=f"features of {corpus.name}: {', '.join(strides) or 'it has none'}",
            got="none",
            fix="name at least one",
        )
    key = "model.vectors" if model.task == "vectors" else "model.speech.features"
    for name in ready_features(config):
        if name == OWN and not data.features:
            raise ConfigError(
                "data.features",
                expected="features of your own, which this experiment reads",
                got="nothing",
                fix="state it as data.features=PATH",
            )
        check_choice(key, name, tuple(strides) or ("none",))
        if model.task == "vectors" and strides[name] is not None:
            raise ConfigError(
                key, expected="one vector an utterance", got=name, fix="use it as frames instead"
            )


def _strides(config: Config, corpus: Corpus) -> dict[str, float | None]:
    """Seconds between frames of all features at hand; None for one vector an utterance."""
    strides = {name: features.stride_s for name, features in corpus.features.items()}
    return strides | ({OWN: config.data.features_stride_s or None} if config.data.features else {})


def check_labels(config: Config, corpus: Corpus) -> None:
    """Labels, and what depends on them, have to be those of the corpus, complete with its folder.

    Raises:
        ConfigError: The first that is wrong.
    """
    data = config.data
    scheme = scheme_of(config, corpus)
    if config.optim.select:
        from sermm.scoring import LOSS, find_scoring  # NumPy takes longer than everything else here

        if config.model.task == "pretrain":
            from sermm.reconstruction_metrics import CONTROLS

            scoring = find_scoring("reconstruction", CONTROLS, "reconstruction")
        else:
            scoring = find_scoring(scheme.kind, scheme.names, scheme.family)
        check_choice("optim.select", config.optim.select, (*scoring.overall, LOSS))
    if data.draw == "balanced" and scheme.kind != "classes":
        raise ConfigError(
            "data.draw",
            expected="labels of one class each, of which equal numbers can be drawn",
            got=scheme.name,
            fix="set data.draw=natural",
        )
    if data.soft_labels and not (isinstance(scheme, ClassScheme) and scheme.votes):
        raise ConfigError(
            "data.soft_labels",
            expected="labels that raters voted for",
            got=scheme.name,
            fix="choose other data.labels, or leave it false",
        )


def check_one_frame(config: Config) -> None:
    """One frame an utterance has no place in time that a word could have.

    Raises:
        ConfigError: The task looks for one.
    """
    ready = ready_features(config)
    strides = _strides(config, find_corpus(config.data.corpus))
    if not (one_frame(config) or any(strides[name] is None for name in ready)):
        return
    for key, used, fix in (
        ("model.alignment", needs_word_times(config), "choose model.alignment=none"),
        ("model.augment.time_stretch", config.model.augment.time_stretch > 0, "set it to 0"),
        ("model.task", config.model.task == "pretrain", "choose another task"),
    ):
        if used:
            raise ConfigError(
                key,
                expected="features with frames over time",
                got=f"one frame an utterance ({config.model.speech.upstream})",
                fix=f"{fix}, or choose other features",
            )
