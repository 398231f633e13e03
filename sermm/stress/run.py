"""The test part of a run again, with worse recordings or words: an analysis, never a selection.

Each level is scored with its interval over speakers, beside the same utterances as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data_modules.align import choose_words
from data_modules.audio import Array, load_audio
from data_modules.corpora import find_corpus
from data_modules.errors import AlignmentError, ConfigError, DataError, RunFailedError, first_ids
from data_modules.manifest import Utterance, Word
from data_modules.prepare import Prepared
from data_modules.prepared import load_prepared
from data_modules.recognised import with_recognised
from data_modules.words import transcript_words
from sermm.config import needs_word_times
from sermm.extract_compute import one_thread
from sermm.predict.encoding import Encoded
from sermm.predict.predictor import Predictor, ahead
from sermm.predict.recording import Prediction, Recording
from sermm.predictions import read_predictions
from sermm.statistics import Interval, cluster_bootstrap, cluster_sums
from sermm.stress.damage import DAMAGES, Material, generator_of, part_kept, words_kept

CUT = "truncation"
"""The damage that takes words away with the sound."""
RETIMED = ("speed", "words")
"""Damages after which word times of the clean recording are wrong."""

NOTE = (
    "An analysis of the run's own test part under damage. Nothing may be selected by it: the test "
    "part would no longer be one."
)


@dataclass(frozen=True)
class Level:
    """One point of a curve.

    Attributes:
        damage: A name in ``DAMAGES``; ``none`` for the recordings as they are.
        level: In the damage's unit.
        score: The headline score with its interval over speakers.
        num_utterances: That were scored.
        failed: Ids of those that could not be judged any more, with the reason. They count as
            mistakes, since leaving them out would flatter the model.
        num_whole_text: Utterances that were cut and kept all their words, since nobody knows when
            those are said.
    """

    damage: str
    level: float
    score: Interval
    num_utterances: int
    failed: Mapping[str, str]
    num_whole_text: int = 0


class StressTest:
    """The test part of a run, ready to be damaged.

    Args:
        predictor: Of the run, raw.
        cache: Of manifests; None for that of the configuration.
        limit: At most so many utterances, evenly over all; 0 for all.
        seed: Of everything drawn.

    Raises:
        DataError: The corpus is not prepared any more, or its test part is another one.
        ConfigError: The run predicts ratings, or has no recordings.
    """

    def __init__(
        self, predictor: Predictor, *, cache: Path | None = None, limit: int = 0, seed: int = 0
    ) -> None:
        model = predictor.model
        self.predictor, self.seed = predictor, seed
        self.headline = model.metrics.scoring.headline
        corpus = find_corpus(model.config.data.corpus)
        self.prepared: Prepared = load_prepared(corpus, cache or Path(model.config.data.cache))
        if model.tokenizer is not None and model.config.data.text == "recognised":
            self.prepared = with_recognised(self.prepared)
        said = read_predictions(model.folder / "predictions.csv")
        known = {utterance.id: utterance for utterance in self.prepared.utterances}
        lost = [name for name in said.ids if name not in known]
        if lost:
            raise DataError(
                self.prepared.cache,
                expected="the utterances that the run was tested on",
                got=f"none for {len(lost)}: {first_ids(lost)}",
                fix="give the cache of the run with --cache",
            )
        rows = _spread(len(said.ids), limit)
        self.references = said.references[rows]
        self.clusters = [said.clusters[row] for row in rows]
        self.utterances = [known[said.ids[row]] for row in rows]
        vocabulary = sorted(
            {word for u in self.utterances for word in transcript_words(u.text or "")}
        )
        # babble of other speakers than the test's would be another corpus; these are at hand
        self.material = Material(
            others=[self._load(u) for u in self.utterances[:: max(1, len(self.utterances) // 24)]],
            vocabulary=vocabulary,
        )

    def _load(self, utterance: Utterance) -> Array:
        path = self.prepared.audio_path(utterance)
        return load_audio(path, utterance.start_s, utterance.end_s)

    def measure(self, damage: str, level: float) -> Level:
        """Damage every utterance, judge it, score."""
        kind = DAMAGES.get(damage)
        known = self._known_words(damage)

        def prepare(utterance: Utterance) -> Encoded | str:
            def draw() -> np.random.Generator:
                return generator_of(utterance.id, damage, level, self.seed)

            whole, text = self._load(utterance), utterance.text
            waveform, timed = whole, known.get(utterance.id)
            if kind is not None and kind.sound is not None:
                waveform = kind.sound(whole, level, draw(), self.material)
            if kind is not None and kind.words is not None:
                text = kind.words(text or "", level, draw(), self.material)
            if damage == CUT and timed is not None:
                timed = words_kept(timed, part_kept(len(whole), level, draw()))
                text = " ".join(word.text for word in timed)
            return self._encode(Recording(utterance.id, None, text), waveform, timed)

        with one_thread():
            encoded = list(ahead(prepare, self.utterances, 2))
            good = [k for k, one in enumerate(encoded) if isinstance(one, Encoded)]
            pairs = [
                (Recording(self.utterances[k].id, None), one)
                for k in good
                if isinstance(one := encoded[k], Encoded)
            ]
            said = self.predictor.judge(pairs)
        found = self._score(damage, level, good, said, encoded)
        if damage != CUT or self.predictor.model.tokenizer is None:
            return found
        whole = [u for u in self.utterances if u.text is not None and u.id not in known]
        return replace(found, num_whole_text=len(whole))

    def _known_words(self, damage: str) -> dict[str, Sequence[Word]]:
        """Timed words of the clean recordings, where the damage lets them be of use."""
        model = self.predictor.model
        # where what is said, or when, has changed, the aligner looks again
        is_of_use = needs_word_times(model.config) and damage not in RETIMED
        known: dict[str, Sequence[Word]] = {}
        if model.tokenizer is not None and (is_of_use or damage == CUT):
            for utterance in self.utterances:
                with suppress(AlignmentError):
                    known[utterance.id] = choose_words(utterance, model.config.data.aligners)[0]
        return known

    def _encode(
        self, recording: Recording, waveform: Array, timed: Sequence[Word] | None
    ) -> Encoded | str:
        try:
            return self.predictor.encoder.encode(recording, waveform, timed=timed)
        except DataError as error:
            return str(error)

    def _score(
        self,
        damage: str,
        level: float,
        good: Sequence[int],
        said: Sequence[Prediction],
        encoded: Sequence[Encoded | str],
    ) -> Level:
        facts = self.predictor.model.facts
        outcomes = np.zeros_like(self.references)
        for k, one in zip(good, said, strict=True):
            if facts.kind == "classes":
                outcomes[k] = facts.names.index(one.label)
            elif facts.kind == "multilabel":
                outcomes[k] = [int(name in one.predicted) for name in facts.names]
            else:
                outcomes[k] = [one.ratings[name] for name in facts.names]
        failed = {k: one for k, one in enumerate(encoded) if isinstance(one, str)}
        if failed and facts.kind != "classes":
            raise RunFailedError(
                f"{damage} {level:g}",
                expected="recordings that can still be judged",
                got=f"{len(failed)} that cannot: {next(iter(failed.values()))}",
                fix="leave this damage out",
            )
        for k in failed:
            outcomes[k] = (self.references[k] + 1) % len(facts.names)
        scoring = self.predictor.model.metrics.scoring
        sums = cluster_sums(scoring.contributions(self.references, outcomes), self.clusters)
        info = scoring.metrics[self.headline]
        score = cluster_bootstrap(sums, info.function, ends=info.range)
        reasons = {self.utterances[k].id: why for k, why in failed.items()}
        return Level(damage, level, score, len(self.utterances), reasons)


def _spread(num_utterances: int, limit: int) -> list[int]:
    """Rows evenly over the sorted ids, in which speakers and classes take turns."""
    count = min(limit or num_utterances, num_utterances)
    return [int(row) for row in np.linspace(0, num_utterances - 1, count).round()]


def run_stress(
    test: StressTest,
    levels: Mapping[str, Sequence[float]],
    known: Sequence[Level] = (),
    on_level: Callable[[Sequence[Level], int], None] | None = None,
) -> list[Level]:
    """Every level of every damage, the recordings as they are first.

    Args:
        test: What is damaged.
        levels: By damage.
        known: Levels that need not be measured again.
        on_level: Is told after each level which are done, and how many there will be.
    """
    todo = [("none", 0.0), *((name, level) for name, found in levels.items() for level in found)]
    measured = {(one.damage, one.level): one for one in known}
    done: list[Level] = []
    for name, level in todo:
        done.append(measured.get((name, level)) or test.measure(name, level))
        if on_level is not None:
            on_level(done, len(todo))
    return done


def choose_damages(names: Sequence[str], *, reads: bool, hears: bool) -> list[str]:
    """Damages that are asked for, or all that concern the model.

    Raises:
        ConfigError: There is none of this name, or it concerns what the model does not use.
    """
    fitting = [
        name
        for name, kind in DAMAGES.items()
        if (kind.sound is not None and hears) or (kind.words is not None and reads)
    ]
    for name in names:
        if name not in fitting:
            raise ConfigError(
                "--damage",
                expected=f"one of {', '.join(fitting)}",
                got=name,
                fix="choose among these",
            )
    return list(dict.fromkeys(names)) or fitting
