"""Rules that divide a corpus, utterances to folds; ``protocols.py`` gives them their names.

A rule promises nothing by itself: what its folds keep apart is proved each time they are made.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

from data_modules.errors import DataError, first_ids
from data_modules.manifest import Utterance


@dataclass(frozen=True)
class Fold:
    """Utterance ids of the three parts, each in manifest order."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]

    def parts(self) -> dict[str, tuple[str, ...]]:
        """The parts by name."""
        return {"train": self.train, "val": self.val, "test": self.test}


Split = Callable[[Sequence[Utterance]], list[Fold]]


def _groups(utterances: Sequence[Utterance], name: str) -> dict[str, list[Utterance]]:
    groups: dict[str, list[Utterance]] = defaultdict(list)
    missing = [u.id for u in utterances if getattr(u, name) is None]
    if missing:
        raise DataError(
            f"the manifest of {utterances[0].corpus}",
            expected=f"a {name} for every utterance",
            got=f"none for {first_ids(missing)}",
            fix="choose a protocol that does not need it",
        )
    for utterance in utterances:
        groups[getattr(utterance, name)].append(utterance)
    return dict(sorted(groups.items()))


def _fold(
    utterances: Sequence[Utterance], field_name: str, *, test: Container[str], val: Container[str]
) -> Fold:
    """The fold whose test and validation parts hold the named values of one field."""
    parts: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for utterance in utterances:
        value = getattr(utterance, field_name)
        part = "test" if value in test else "val" if value in val else "train"
        parts[part].append(utterance.id)
    return Fold(*(tuple(parts[name]) for name in ("train", "val", "test")))


def by_session(utterances: Sequence[Utterance]) -> list[Fold]:
    """Test each session in turn; the next session (cyclically) selects, the rest train."""
    sessions = list(_groups(utterances, "session"))
    if len(sessions) < 3:
        raise DataError(
            f"the manifest of {utterances[0].corpus}",
            expected="at least 3 sessions (train, validation, test)",
            got=f"{len(sessions)}: {', '.join(sessions)}",
            fix="prepare the whole release, or choose a protocol by speaker",
        )
    return [
        _fold(utterances, "session", test={held_out}, val={sessions[(k + 1) % len(sessions)]})
        for k, held_out in enumerate(sessions)
    ]


def improvised(utterances: Sequence[Utterance]) -> list[Fold]:
    """Session folds over the improvised dialogues alone, whose words nobody wrote down before."""
    return by_session([u for u in utterances if u.script is None])


def iemocap_speaker10(utterances: Sequence[Utterance]) -> list[Fold]:
    """Test one speaker; the partner of the same session selects; the other sessions train.

    The two speakers of a session share dialogues, so the partner may not train.
    """
    groups = _groups(utterances, "speaker")
    folds = []
    for speaker, own in groups.items():
        partners = {name for name, theirs in groups.items() if theirs[0].session == own[0].session}
        folds.append(_fold(utterances, "speaker", test={speaker}, val=partners - {speaker}))
    return folds


def iemocap_siriwardhana(utterances: Sequence[Utterance]) -> list[Fold]:
    """One split: sessions 1 to 3 train, 4 selects, 5 is scored."""
    sessions = list(_groups(utterances, "session"))
    if len(sessions) != 5:
        raise DataError(
            "data.protocol=iemocap4-siriwardhana",
            expected="5 sessions",
            got=str(len(sessions)),
            fix="prepare the whole release",
        )
    return [_fold(utterances, "session", test={sessions[4]}, val={sessions[3]})]


def random_fifths(utterances: Sequence[Utterance]) -> list[Fold]:
    """Five random parts of utterances; the next part (cyclically) selects."""
    ids = [u.id for u in utterances]
    random.Random(0).shuffle(ids)
    parts = [set(ids[k::5]) for k in range(5)]
    return [_fold(utterances, "id", test=parts[k], val=parts[(k + 1) % 5]) for k in range(5)]


def sessions_with_random_validation(val_share: float) -> Split:
    """Session folds whose validation part is drawn at random from all the other sessions.

    SUPERB has a share of 0.2 and draws with torch's generator (seed 0) over its own order of files.
    The share and the leak are the same here, the drawn utterances are not: what is matched is the
    protocol.

    Args:
        val_share: Of the utterances outside the test session.
    """

    def split(utterances: Sequence[Utterance]) -> list[Fold]:
        folds = []
        for fold in by_session(utterances):
            rest = sorted(fold.train + fold.val)
            random.Random(0).shuffle(rest)
            chosen = set(rest[round((1 - val_share) * len(rest)) :])
            folds.append(_fold(utterances, "id", test=set(fold.test), val=chosen))
        return folds

    return split


def _speakers_by_turns(utterances: Sequence[Utterance]) -> list[str]:
    """Speakers sorted so that neighbours alternate in gender: equal shares in every k-th slice."""
    groups = _groups(utterances, "speaker")
    by_gender: dict[str, list[str]] = defaultdict(list)
    for speaker, own in groups.items():
        by_gender[own[0].gender or ""].append(speaker)
    # stable: place i of n in its own gender's list decides, so 48 men and 43 women interleave
    place = {
        speaker: (index + 0.5) / len(names)
        for names in by_gender.values()
        for index, speaker in enumerate(names)
    }
    return sorted(groups, key=lambda speaker: (place[speaker], speaker))


def speaker_folds(num_folds: int, val_share: float = 0.2) -> Split:
    """Folds by speaker: each speaker is tested once, a fifth of the others selects.

    Args:
        num_folds: How many folds; fewer speakers than folds is an error.
        val_share: Share of the speakers outside the test part that select, at least one.
    """

    def split(utterances: Sequence[Utterance]) -> list[Fold]:
        order = _speakers_by_turns(utterances)
        if len(order) < max(3, num_folds):
            raise DataError(
                f"the manifest of {utterances[0].corpus}",
                expected=f"at least {max(3, num_folds)} speakers for {num_folds} folds",
                got=str(len(order)),
                fix="choose a protocol with fewer folds",
            )
        # contiguous slices of the alternating order: every fold has both genders where it can
        bounds = [round(k * len(order) / num_folds) for k in range(num_folds + 1)]
        folds = []
        for k in range(num_folds):
            # walk on cyclically from the test slice, so that each speaker selects about equally
            others = order[bounds[k + 1] :] + order[: bounds[k]]
            val = set(others[: max(1, round(val_share * len(others)))])
            test = set(order[bounds[k] : bounds[k + 1]])
            folds.append(_fold(utterances, "speaker", test=test, val=val))
        return folds

    return split


def by_part(test: str) -> Split:
    """The release's own division: ``train`` trains, ``val`` selects, ``test`` is scored."""

    def split(utterances: Sequence[Utterance]) -> list[Fold]:
        _expect_parts(utterances, ("train", "val", test))
        used = [u for u in utterances if u.part in ("train", "val", test)]
        return [_fold(used, "part", test={test}, val={"val"})]

    return split


def development(utterances: Sequence[Utterance]) -> list[Fold]:
    """``val`` is scored; a tenth of the dialogues (or utterances) of ``train`` selects."""
    _expect_parts(utterances, ("train", "val"))
    train = [u for u in utterances if u.part == "train"]
    unit = "id" if any(u.dialogue is None for u in train) else "dialogue"
    names = sorted({getattr(u, unit) for u in train})
    random.Random(0).shuffle(names)
    chosen = set(names[: max(1, round(0.1 * len(names)))])
    parts: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for utterance in utterances:
        if utterance.part == "val":
            parts["test"].append(utterance.id)
        elif utterance.part == "train":
            part = "val" if getattr(utterance, unit) in chosen else "train"
            parts[part].append(utterance.id)
    return [Fold(*(tuple(parts[name]) for name in ("train", "val", "test")))]


def published_folds(utterances: Sequence[Utterance]) -> list[Fold]:
    """Each part of the release is scored in turn; a random fifth of the others selects.

    Parts that are called ``train`` and ``val`` are not scored, and no other then trains or selects.
    """
    names = list(_groups(utterances, "part"))
    scored = [name for name in names if name not in ("train", "val")]
    if len(names) < 2 or not scored or ("val" in names and "train" not in names):
        raise DataError(
            f"the manifest of {utterances[0].corpus}",
            expected="at least 2 published folds, or a training part and others",
            got=", ".join(names),
            fix="choose another protocol",
        )
    folds = []
    for name in scored:
        trained = {"train"} if "train" in names else {*names} - {name}
        used = [u for u in utterances if u.part in {name, "val"} | trained]
        rest = sorted(u.id for u in used if u.part in trained)
        random.Random(0).shuffle(rest)
        chosen = set(rest[: max(1, round(0.2 * len(rest)))])
        if "val" in names:
            chosen = {u.id for u in used if u.part == "val"}
        test = {u.id for u in used if u.part == name}
        folds.append(_fold(used, "id", test=test, val=chosen))
    return folds


def _expect_parts(utterances: Sequence[Utterance], wanted: Sequence[str]) -> None:
    found = Counter(u.part for u in utterances)
    missing = [name for name in wanted if not found[name]]
    if missing:
        here = ", ".join(f"{number} in {name}" for name, number in found.items() if name)
        raise DataError(
            f"the manifest of {utterances[0].corpus}",
            expected=f"utterances in the parts {', '.join(wanted)}",
            got=f"none in {', '.join(missing)} ({here or 'no parts at all'})",
            fix="prepare the whole release, or choose a protocol that does without",
        )
