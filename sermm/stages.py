"""What has to be in place before a run: corpus, manifest, word times, features.

Every stage does only what is missing, so a second call is quick. Torch is imported only where
features have to be computed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from data_modules.align import check_alignment
from data_modules.check import CheckResult, check, failures, narrow, refuse_failures
from data_modules.check.result import Needs
from data_modules.corpora import find_corpus
from data_modules.manifest import Exclusion, Utterance
from data_modules.prepare import Prepared, load_prepared, prepare
from data_modules.protocols import find_protocol
from data_modules.ready import load_ready as load_features
from data_modules.ready import read_ready, without_features
from data_modules.recognised import with_recognised
from data_modules.selection import Selection, data_sha256, select, without_test
from data_modules.unlabelled import unlabelled_of_fold
from sermm.align_stage import align_missing, expect_aligners
from sermm.config import (
    OWN,
    Config,
    needs_audio,
    needs_text,
    needs_word_times,
    ready_features,
    tunes_speech,
)
from sermm.earlier_runs import earlier_state
from sermm.inputs import check_inputs, corpus_root
from sermm.schemes import scheme_of
from sermm.terminal import progress_bar, say


def make_ready(config: Config, *, features: bool = True) -> Prepared:
    """Bring corpus, manifest, word times and features into place.

    Args:
        config: Of the experiment.
        features: Compute those of the speech upstream that are missing.

    Raises:
        SermmError: Whatever is wrong with any of them.
    """
    check_inputs(config)
    corpus, cache, root = (
        find_corpus(config.data.corpus),
        Path(config.data.cache),
        corpus_root(config),
    )
    if corpus.name == "demo" and not config.data.root:
        _make_demo(config, root)
    with progress_bar(f"reading {corpus.name}") as on_progress:
        prepared = _with_own(config, prepare(corpus, root, cache, on_progress=on_progress))
    if not config.data.allow_failed_checks:
        used = _used(config, prepared)
        refuse_failures(used, check(used), uses(config))
    # utterances without the features are left out, so they come before whatever selects
    for name in ready_features(config):
        _read_features(prepared, name)
    prepared = _as_read(config, prepared)
    if needs_word_times(config):
        if config.data.text == "reference":
            prepared = align_missing(config, prepared)
        selected = make_selection(config, prepared).utterances.values()
        check_alignment(selected, config.data.aligners)
    if features and stores_features(config):
        from sermm.extract_stage import extract_each

        extract_each(config, prepared, wanted_ids(config, prepared), of_run=False)
    return prepared


def stores_features(config: Config) -> bool:
    """Whether the experiment reads its speech from the feature cache."""
    return needs_audio(config) and not tunes_speech(config)


def wanted_ids(config: Config, prepared: Prepared) -> set[str] | None:
    """Utterances whose features some run of the experiment reads; None for all.

    Those that labels or protocol leave out are read by nothing but what learns without labels. A
    run that does not test leaves the clips of its test part alone.
    """
    without_labels = config.model.task == "pretrain" and config.model.pretrain.unlabelled
    if without_labels and config.test:
        return None
    selection = make_selection(config, prepared)
    extra = unlabelled(config, prepared, selection) if without_labels else []
    return {*selection.utterances, *(utterance.id for utterance in extra)}


def _read_features(prepared: Prepared, name: str) -> None:
    with progress_bar(f"reading {name} of {prepared.corpus.name}") as on_progress:
        ready = read_ready(prepared, name, on_progress=on_progress)
    replaced = {key: item.num_replaced for key, item in ready.items.items() if item.num_replaced}
    if replaced:
        say(
            f"{name}: {sum(replaced.values())} values of {len(replaced)} utterances were not "
            "finite and are 0 now",
            style="yellow",
        )


def load_ready(config: Config) -> Prepared:
    """What :func:`make_ready` brought into place, without looking whether all of it is there.

    Raises:
        DataError: It was not brought there, or another experiment put other word times in place.
    """
    prepared = _with_own(
        config, load_prepared(find_corpus(config.data.corpus), Path(config.data.cache))
    )
    if needs_word_times(config) and config.data.text == "reference":
        expect_aligners(config, prepared)
    return _as_read(config, prepared)


def _as_read(config: Config, prepared: Prepared) -> Prepared:
    """The corpus with the words that the experiment reads, if it reads any."""
    recognised = needs_text(config) and config.data.text == "recognised"
    return with_recognised(prepared) if recognised else prepared


def _with_own(config: Config, prepared: Prepared) -> Prepared:
    """A corpus with the user's own features beside its own, where the experiment reads them."""
    if OWN not in ready_features(config):
        return prepared
    from data_modules.own_features import own_features

    data = config.data
    own = own_features(Path(data.features), data.features_stride_s, prepared.utterances)
    return replace(
        prepared, corpus=replace(prepared.corpus, features={**prepared.corpus.features, OWN: own})
    )


def uses(config: Config) -> set[Needs]:
    """What of a corpus an experiment uses, as the checks name it."""
    used: set[Needs] = {"labels"}
    if needs_audio(config):
        used.add("audio")
    if needs_text(config):
        used.add("text")
    if needs_word_times(config):
        used.add("words")
    return used


def failed_checks(config: Config, prepared: Prepared) -> list[CheckResult]:
    """Checks that fail and concern the experiment, which ``data.allow_failed_checks`` let pass."""
    used = _used(config, prepared)
    return failures(used, check(used), uses(config))


def _used(config: Config, prepared: Prepared) -> Prepared:
    scheme = scheme_of(config, prepared.corpus)
    return narrow(prepared, scheme, find_protocol(config.data.protocol))


def _make_demo(config: Config, root: Path) -> None:
    from data_modules.corpora.demo import digest_note, make_demo

    demo = config.data.demo
    with progress_bar("speaking the demo corpus") as on_progress:
        make_demo(
            root,
            seed=demo.seed,
            utterances_per_speaker=demo.utterances_per_speaker,
            on_progress=on_progress,
        )
    note = digest_note(root)
    if note:
        say(note, style="yellow")


def make_selection(config: Config, prepared: Prepared) -> Selection:
    """Utterances, targets and folds of the experiment.

    Utterances that lack features which the task reads are left out, and listed. They must have been
    brought into the cache before (:func:`make_ready`). Without ``config.test`` nothing but the
    training and validation parts of the run's fold is in it.
    """
    stores = [load_features(prepared, name) for name in ready_features(config)]
    lacking = without_features(prepared.utterances, stores)
    left_out = [Exclusion(name, f"no {what} in the release") for name, what in lacking.items()]
    selection = select(
        [u for u in prepared.utterances if u.id not in lacking],
        scheme=scheme_of(config, prepared.corpus),
        protocol=find_protocol(config.data.protocol),
        exclusions=[*prepared.exclusions, *left_out],
    )
    if config.data.max_seconds:
        selection = selection.without_long_training(config.data.max_seconds)
    return selection if config.test else without_test(selection, config.fold)


def unlabelled(config: Config, prepared: Prepared, selection: Selection) -> list[Utterance]:
    """Utterances beyond the selection that pre-training on the run's fold hears.

    Raises:
        ConfigError: The protocol does not say whose they are.
    """
    if not config.model.pretrain.unlabelled:
        return []
    if not config.test:  # the test part that it leaves out is not without labels
        selection = make_selection(replace(config, test=True), prepared)
    stores = [load_features(prepared, name) for name in ready_features(config)]
    lacking = without_features(prepared.utterances, stores)
    usable = [
        utterance
        for utterance in prepared.utterances
        if utterance.id not in lacking and (stores or utterance.audio is not None)
    ]
    if len(usable) == len(selection.utterances):
        return []
    return unlabelled_of_fold(selection, usable, config.fold)


def hash_of_data(config: Config, prepared: Prepared, selection: Selection) -> str:
    """A hash over all that the runs of this experiment read from the corpus, and nothing else.

    Word times of a source that it does not use, say, may be added without a consequence.
    """
    sources = config.data.aligners if needs_word_times(config) else []

    def as_read(utterance: Utterance) -> Utterance:
        used = tuple(word for source in sources for word in utterance.words_from(source))
        text = utterance.text if needs_text(config) else None
        return replace(utterance, text=text, words=used)

    stores = [load_features(prepared, name) for name in ready_features(config)]

    def audio_hash(utterance: Utterance) -> str | None:
        if stores:
            return " ".join(store.items[utterance.id].key for store in stores)
        if utterance.audio is None or not needs_audio(config):
            return None
        return prepared.media[utterance.id].content_sha256

    read = {name: as_read(utterance) for name, utterance in selection.utterances.items()}
    found = data_sha256(
        replace(selection, utterances=read), audio_hash, soft_labels=config.data.soft_labels
    )
    if state := earlier_state(config):
        # weights that another experiment has trained are data of this one
        found = hashlib.sha256("\n".join([found, *state]).encode()).hexdigest()
    if config.model.task != "pretrain" or not config.model.pretrain.unlabelled:
        return found
    # what else there is may be heard too
    lacking = without_features(prepared.utterances, stores)
    others = [
        [u.id, u.speaker, u.session, u.dialogue, audio_hash(u)]
        for u in prepared.utterances
        if u.id not in selection.utterances and u.id not in lacking
    ]
    return hashlib.sha256(json.dumps([found, others]).encode()).hexdigest() if others else found
