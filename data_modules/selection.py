"""Which utterances of a corpus take part, under which label, in which part of which fold.

What the label scheme leaves out becomes a listed exclusion: utterances in = utterances used +
exclusions. Imports no torch, so that a plan can check its finished runs at once.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Literal

from data_modules.errors import ConfigError, LabelError, told_together
from data_modules.labels import LabelScheme, LeftOut, Target
from data_modules.manifest import Exclusion, Utterance
from data_modules.protocols import Fold, Protocol, make_folds

Draw = Literal["natural", "balanced"]
"""With the shares that classes have in the training part, or as many of each."""


@dataclass(frozen=True)
class Selection:
    """The utterances of an experiment.

    Attributes:
        scheme: How labels become targets.
        protocol: How utterances become folds.
        utterances: Those with a target, by id, in manifest order.
        targets: Of each.
        folds: Proved folds of the protocol.
        exclusions: Everything else in the release, with its reason.
    """

    scheme: LabelScheme
    protocol: Protocol
    utterances: dict[str, Utterance]
    targets: dict[str, Target]
    folds: list[Fold]
    exclusions: list[Exclusion]

    def fold(self, number: int) -> Fold:
        """One fold by number.

        Raises:
            ConfigError: The protocol has no such fold.
        """
        if 0 <= number < len(self.folds):
            return self.folds[number]
        raise ConfigError(
            "fold",
            expected=f"0 to {len(self.folds) - 1} ({self.protocol.name})",
            got=str(number),
            fix="choose one of these",
        )

    def fold_of_size(self, number: int, size: int | None, seed: int, draw: Draw) -> Fold:
        """A fold whose training part is cut down to a size (None: all of it).

        Raises:
            ConfigError: The protocol has no such fold, or the fold no such training part.
        """
        fold = self.fold(number)
        if size is None:
            return fold
        try:
            train = draw_subset(fold.train, self.strata(), size, seed, draw)
        except ConfigError as error:
            where = f"size={size} in fold {number} of {self.protocol.name}"
            raise ConfigError(
                where, expected=error.expected, got=error.got, fix=error.fix
            ) from None
        return replace(fold, train=tuple(train))

    def without_long_training(self, max_seconds: float) -> Selection:
        """The same without utterances in training parts that are longer than ``max_seconds``.

        Raises:
            ConfigError: Nothing is left to train on.
        """
        folds = []
        for number, fold in enumerate(self.folds):
            train = [n for n in fold.train if self.utterances[n].duration_s <= max_seconds]
            if not train:
                raise ConfigError(
                    "data.max_seconds",
                    expected=f"training utterances of fold {number} that are shorter",
                    got=f"{max_seconds:g}, and none is",
                    fix="raise it",
                )
            folds.append(replace(fold, train=tuple(train)))
        return replace(self, folds=folds)

    def too_long(self, number: int, max_seconds: float) -> list[Utterance]:
        """Utterances that :meth:`without_long_training` took out of a fold."""
        used = {name for part in self.fold(number).parts().values() for name in part}
        return [
            utterance
            for name, utterance in self.utterances.items()
            if name not in used and utterance.duration_s > max_seconds
        ]

    def class_counts(self, ids: Sequence[str]) -> dict[str, int]:
        """Utterances of each class or with each label, every one named; nothing for ratings."""
        if self.scheme.kind == "regression":
            return {}
        targets = [self.targets[name] for name in ids]
        counts = Counter(target for target in targets if isinstance(target, int))
        for target in targets:
            if not isinstance(target, int):
                counts.update(index for index, value in enumerate(target) if value)
        return {name: counts[index] for index, name in enumerate(self.scheme.names)}

    def strata(self) -> dict[str, str]:
        """What :func:`draw_subset` draws in equal shares, by id."""
        return {name: self.scheme.stratum_of(target) for name, target in self.targets.items()}


def select(
    utterances: Sequence[Utterance],
    *,
    scheme: LabelScheme,
    protocol: Protocol,
    exclusions: Sequence[Exclusion] = (),
) -> Selection:
    """Apply a label scheme and a protocol to a manifest.

    Args:
        utterances: A manifest, in its order.
        scheme: Values it does not know are an error.
        protocol: Its folds are made and proved.
        exclusions: What reading the release already left out.

    Raises:
        LabelError: An unknown label value, or no utterance of some class.
        LeakError: A fold breaks the protocol's promise.
    """
    used: dict[str, Utterance] = {}
    targets: dict[str, Target] = {}
    left_out = list(exclusions)
    unknown: list[LabelError] = []
    for utterance in utterances:
        try:
            target = scheme.target_of(utterance)
        except LabelError as error:
            unknown.append(error)
            continue
        if isinstance(target, LeftOut):
            reason = f"{scheme.name}: {target.reason}"
            left_out.append(Exclusion(utterance.id, reason, detail=target.detail))
        else:
            used[utterance.id] = utterance
            targets[utterance.id] = target
    if unknown:
        raise told_together(unknown)
    absent = _absent(scheme, targets.values())
    if absent:
        corpus = utterances[0].corpus if utterances else "an empty manifest"
        raise LabelError(
            f"data.labels={scheme.name} on {corpus}",
            expected=f"utterances of every class ({', '.join(scheme.names)})",
            got=f"none of {', '.join(absent)}",
            fix="prepare the whole release, or choose another label scheme",
        )
    folds = make_folds(protocol, list(used.values()))
    in_a_fold = {name for fold in folds for part in fold.parts().values() for name in part}
    for name in [name for name in used if name not in in_a_fold]:
        left_out.append(Exclusion(name, f"not part of protocol {protocol.name}"))
        del used[name], targets[name]
    return Selection(scheme, protocol, used, targets, folds, left_out)


def without_test(selection: Selection, fold: int) -> Selection:
    """What may be read to train and select on a fold: nothing of its test part.

    Args:
        selection: Of the whole corpus.
        fold: Number of the fold; the others become empty.

    Raises:
        ConfigError: The protocol has no such fold.
    """
    kept = selection.fold(fold)
    used = {*kept.train, *kept.val}
    return replace(
        selection,
        utterances={name: u for name, u in selection.utterances.items() if name in used},
        targets={name: target for name, target in selection.targets.items() if name in used},
        folds=[
            Fold(kept.train, kept.val, ()) if number == fold else Fold((), (), ())
            for number in range(len(selection.folds))
        ],
    )


def _absent(scheme: LabelScheme, targets: Iterable[Target]) -> list[str]:
    """Classes that no utterance has. A label that nobody has is rare, not a mistake."""
    if scheme.kind == "classes":
        found = set(targets)
        return [name for index, name in enumerate(scheme.names) if index not in found]
    return [] if any(True for _ in targets) else list(scheme.names)


def draw_subset(
    ids: Sequence[str], strata: Mapping[str, str], size: int, seed: int, draw: Draw = "natural"
) -> list[str]:
    """A nested, stratified draw: a smaller size with the same seed is a subset of a larger one.

    Each stratum (class) is shuffled, then one utterance after the other is drawn: in natural draws
    so that each has the shares of the whole to within less than one utterance a stratum, in
    balanced ones from all strata in turn, so that they differ by at most one.

    Args:
        ids: The training part, each id once.
        strata: Of each id (:meth:`Selection.strata`), of other parts too.
        size: How many.
        seed: Of the shuffle.
        draw: Shares of the whole, or the same of every stratum.

    Returns:
        ``size`` ids in the order of ``ids``.

    Raises:
        ConfigError: The training part has fewer than ``size`` utterances, or too few of a stratum.
    """
    if not 1 <= size <= len(ids):
        raise ConfigError(
            "size",
            expected=f"between 1 and the {len(ids)} utterances of the training part",
            got=str(size),
            fix="choose a smaller size, or none for all",
        )
    by_stratum: dict[str, list[str]] = defaultdict(list)
    for name in sorted(ids):
        by_stratum[strata[name]].append(name)
    for stratum, names in by_stratum.items():
        random.Random(f"{seed}-{stratum}").shuffle(names)
    if draw == "balanced":
        turns = _equal_turns({s: len(by_stratum[s]) for s in sorted(set(strata.values()))}, size)
    else:
        turns = _fair_turns({stratum: len(names) for stratum, names in by_stratum.items()})
    chosen = {by_stratum[stratum].pop() for stratum in islice(turns, size)}
    return [name for name in ids if name in chosen]


def _equal_turns(counts: Mapping[str, int], size: int) -> Iterator[str]:
    """Strata in turn.

    Raises:
        ConfigError: One has too few.
    """
    each = -(-size // len(counts))
    scarce = {stratum: count for stratum, count in counts.items() if count < each}
    if scarce:
        told = ", ".join(f"{stratum} {count}" for stratum, count in scarce.items())
        most = len(counts) * min(counts.values())
        raise ConfigError(
            "size",
            expected=f"at least {each} training utterances of each of {len(counts)} classes, which "
            f"{size} balanced ones need",
            got=told,
            fix=f"choose at most {most}, or data.draw=natural" if most else "set data.draw=natural",
        )
    return cycle(counts)


def _fair_turns(counts: Mapping[str, int]) -> Iterator[str]:
    """Strata in an order in which every prefix has nearly their shares.

    The k-th of n utterances of a stratum belongs to the draws from (k - 1) N / n to k N / n of N.
    Of those whose time has begun, the one whose time ends first is drawn. With these windows that
    rule is never late (proportionate fairness, Baruah et al. 1996), so none is ever a whole
    utterance off its share.
    """
    total = sum(counts.values())
    drawn = dict.fromkeys(sorted(counts), 0)
    for turn in range(total):
        begun = [c for c, k in drawn.items() if k * total < (turn + 1) * counts[c]]
        # the end of the window, rounded up to whole turns
        chosen = min(begun, key=lambda c: -(-(drawn[c] + 1) * total // counts[c]))
        drawn[chosen] += 1
        yield chosen


def data_sha256(
    selection: Selection,
    audio_hash: Callable[[Utterance], str | None],
    *,
    soft_labels: bool = False,
) -> str:
    """A hash over all that a run reads: ids, parts, labels, speakers, texts, words and audio.

    Args:
        selection: The utterances and folds.
        audio_hash: Content hash of the decoded audio of an utterance, None for text corpora.
        soft_labels: Whether votes are read.
    """
    digest = hashlib.sha256()
    for name, utterance in selection.utterances.items():
        record = [
            name,
            utterance.speaker,
            utterance.text,
            [[w.text, w.start_s, w.end_s, w.source] for w in utterance.words],
            selection.targets[name],
            selection.scheme.shares_of(utterance) if soft_labels else None,
            audio_hash(utterance),
        ]
        digest.update(json.dumps(record).encode())
    for fold in selection.folds:
        digest.update(json.dumps(fold.parts()).encode())
    return digest.hexdigest()
