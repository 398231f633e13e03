"""Named evaluation protocols: which utterances train, which select, which are scored.

A protocol is a name, a rule that makes folds (``splits.py``), and what its folds must not share.
The promise is proved each time folds are made: :func:`make_folds` raises if a speaker stands on two
sides. A protocol that leaks by definition says so in ``leak``, and that text follows its numbers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from data_modules.errors import ConfigError, LeakError, first_ids
from data_modules.manifest import Utterance
from data_modules.splits import (
    Fold,
    Split,
    by_part,
    by_session,
    development,
    iemocap_siriwardhana,
    iemocap_speaker10,
    improvised,
    published_folds,
    random_fifths,
    sessions_with_random_validation,
    speaker_folds,
)

__all__ = [
    "PATTERNS",
    "PROTOCOLS",
    "Fold",
    "Protocol",
    "find_protocol",
    "make_folds",
    "protocols_of",
    "prove_fold",
]


@dataclass(frozen=True)
class Protocol:
    """A named way to divide a corpus.

    Attributes:
        name: What ``data.protocol`` says.
        description: One sentence that a reader of the results needs.
        split: Utterances (in manifest order, labels already filtered) to folds.
        disjoint: Fields of an utterance that no two parts may share.
        leak: Empty if honest; else what leaks, printed beside every number.
    """

    name: str
    description: str
    split: Split
    disjoint: tuple[str, ...] = ("speaker",)
    leak: str = ""


_SESSION_TEXT = (
    "leave one session (two speakers) out; validation is the next session of the training part"
)

_SHARED_VALIDATION = "validation shares speakers and dialogues with training (test does not)"

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "demo-session5", _SESSION_TEXT, by_session, disjoint=("speaker", "session", "dialogue")
        ),
        Protocol(
            "iemocap4-session5",
            _SESSION_TEXT,
            by_session,
            disjoint=("speaker", "session", "dialogue"),
        ),
        Protocol(
            "iemocap4-speaker10",
            "leave one speaker out; validation is the other speaker of the same session",
            iemocap_speaker10,
        ),
        Protocol(
            "iemocap4-improvised",
            f"improvised dialogues only; {_SESSION_TEXT}",
            improvised,
            disjoint=("speaker", "session", "dialogue"),
        ),
        Protocol(
            "iemocap4-siriwardhana",
            "one split: sessions 1-3 train, 4 selects, 5 is scored",
            iemocap_siriwardhana,
            disjoint=("speaker", "session", "dialogue"),
        ),
        Protocol(
            "iemocap4-superb",
            "leave one session out; validation is a random 20 % of the training utterances",
            sessions_with_random_validation(0.2),
            disjoint=(),
            leak=_SHARED_VALIDATION,
        ),
        Protocol(
            "iemocap4-twentieth",
            "leave one session out; validation is a random 5 % of the training utterances, so that "
            "more than 4,000 train",
            sessions_with_random_validation(0.05),
            disjoint=(),
            leak=_SHARED_VALIDATION,
        ),
        Protocol(
            "iemocap4-random",
            "five random parts of utterances",
            random_fifths,
            disjoint=(),
            leak="speakers, dialogues and scripts stand in training and test",
        ),
    )
}

_SHARED_SPEAKERS = {
    "meld": "the main speakers stand in training, validation and test, as published",
    "emorynlp": "the main speakers stand in training, validation and test, as published",
    "emobox": "in some of its corpora speakers stand in training and test, as published",
}
"""Corpora whose own division shares speakers."""

_PATTERN = re.compile(
    r"(?P<corpus>[a-z][a-z0-9_]*)-"
    r"(?:speaker(?P<count>[1-9][0-9]{0,2})|(?P<rule>standard|test[0-9]+|dev|folds|random))"
)
PATTERNS = {
    "CORPUS-speakerK": "K folds by speaker; validation is a fifth of the other speakers",
    "CORPUS-standard": "the release's own division into train, val and test",
    "CORPUS-testK": "the release's own division with test1, test2, ..., of which one is scored",
    "CORPUS-dev": "the release's own development part is scored; a tenth of the dialogues of the "
    "training part selects; the test part is not used",
    "CORPUS-folds": "each fold that was published with the data is scored in turn; a random fifth "
    "of the rest selects. Where there is a part `train`, only it trains; where there is `val`, it "
    "selects",
    "CORPUS-random": "five random parts of utterances",
}
"""Protocols that every corpus has which has what they need."""


def _from_pattern(name: str) -> Protocol | None:
    match = _PATTERN.fullmatch(name)
    if match is None:
        return None
    corpus, count, rule = match["corpus"], match["count"], match["rule"]
    if count is not None:
        if int(count) < 2:
            return None
        text = PATTERNS["CORPUS-speakerK"].removeprefix("K ")
        return Protocol(name, f"{count} {text}", speaker_folds(int(count)))
    if rule == "folds":
        return Protocol(
            name,
            PATTERNS["CORPUS-folds"],
            published_folds,
            disjoint=(),
            leak="; ".join(
                ["validation shares speakers with training, as published"]
                + [_SHARED_SPEAKERS[name] for name in [corpus] if name in _SHARED_SPEAKERS]
            ),
        )
    if rule == "random":
        return Protocol(
            name,
            PATTERNS["CORPUS-random"],
            random_fifths,
            disjoint=(),
            leak="speakers, dialogues and scripts stand in training and test",
        )
    leak = _SHARED_SPEAKERS.get(corpus, "")
    disjoint = ("dialogue",) if leak else ("speaker", "dialogue")
    if rule == "dev":
        return Protocol(name, PATTERNS["CORPUS-dev"], development, disjoint, leak)
    part = "test" if rule == "standard" else rule
    text = PATTERNS["CORPUS-standard"]
    return Protocol(name, text.replace("test", part), by_part(part), disjoint, leak)


def protocols_of(corpus: str) -> list[str]:
    """Names that fit a corpus: of the protocols made for it, and the patterns with its name."""
    # "iemocap4-session5" is of IEMOCAP: the number is that of the classes
    made = [name for name in PROTOCOLS if name.partition("-")[0].rstrip("0123456789") == corpus]
    return made + [pattern.replace("CORPUS", corpus) for pattern in PATTERNS]


def find_protocol(name: str, corpus: str = "") -> Protocol:
    """The protocol that ``data.protocol`` names, those of ``PATTERNS`` included.

    Args:
        name: Of the protocol.
        corpus: Whose protocols an error names; empty for all.

    Raises:
        ConfigError: There is none of this name.
    """
    protocol = PROTOCOLS.get(name) or _from_pattern(name)
    if protocol is None:
        known = protocols_of(corpus) if corpus else [*PROTOCOLS, *PATTERNS]
        raise ConfigError(
            "data.protocol",
            expected=f"one of {', '.join(known)}",
            got=repr(name),
            fix="choose one of these",
        )
    return protocol


def prove_fold(protocol: Protocol, fold: Fold, utterances: Mapping[str, Utterance]) -> None:
    """Check that a fold keeps what its protocol promises.

    Raises:
        LeakError: A part is empty, an utterance stands in two parts, or two parts share a value
            of a field in ``protocol.disjoint``.
    """
    parts = fold.parts()
    for name, ids in parts.items():
        if not ids:
            raise LeakError(
                f"data.protocol={protocol.name}",
                expected="utterances in train, val and test",
                got=f"none in {name}",
                fix="prepare the whole release, or choose another protocol",
            )
    if len(set().union(*parts.values())) < sum(map(len, parts.values())):
        counts = Counter(name for ids in parts.values() for name in ids)
        twice = [name for name, count in counts.items() if count > 1]
        raise LeakError(
            f"data.protocol={protocol.name}",
            expected="every utterance in one part",
            got=f"{first_ids(twice)} in two",
            fix="mend the protocol",
        )
    for field_name in protocol.disjoint:
        values = {
            part: {getattr(utterances[name], field_name) for name in ids} - {None}
            for part, ids in parts.items()
        }
        for one, other in combinations(parts, 2):
            shared = sorted(values[one] & values[other])
            if shared:
                raise LeakError(
                    f"data.protocol={protocol.name}",
                    expected=f"no {field_name} in both {one} and {other}",
                    got=f"{first_ids(shared)} in both",
                    fix=f"mend the {field_name} of these utterances in the manifest, or choose a "
                    "protocol that is marked as leaking",
                )


def make_folds(protocol: Protocol, utterances: Sequence[Utterance]) -> list[Fold]:
    """All folds of a protocol, each proved.

    Args:
        protocol: How to divide.
        utterances: Those that take part, in manifest order.

    Raises:
        DataError: The corpus lacks what the protocol needs.
        LeakError: A fold breaks the protocol's promise.
    """
    by_id = {utterance.id: utterance for utterance in utterances}
    folds = protocol.split(utterances)
    for fold in folds:
        prove_fold(protocol, fold, by_id)
    return folds
