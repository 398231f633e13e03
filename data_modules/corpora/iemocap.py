"""IEMOCAP: ten actors in five dyadic sessions, scripted and improvised English.

Source: https://sail.usc.edu/iemocap/ (C. Busso et al., Language Resources and Evaluation 42, 2008).
Licence: on signed request to USC; neither audio nor text may be passed on.
Size: 10,039 turns in 151 dialogues, about 12 hours, 16 kHz mono. The usual four classes are 5,531
turns, 6.99 hours (neutral 1708, happy with excited 1636, angry 1103, sad 1084).
Labels: the majority of at least three evaluators (``category``), the means of their ratings, and
their votes. ``xxx`` marks turns without a majority; label schemes leave them out.

Known defects and traps, all listed when met:

* ``Ses01F`` at the start of a turn's name is who wears the markers; who speaks is the letter of
  the last part. In the four-class set they differ in 2,750 of 5,531 turns.
* Turns with ``XX`` for a number have no clip and no label. Copies made on a Mac hold ``._*`` files.
* Two turns have no ``.wdseg`` (``Ses03M_impro03_M001`` is one).
* Scripted scenes are played in every session: their words stand in training and test
  (``script`` names the scene, so that they can be left out).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from data_modules.corpora.iemocap_files import (
    BadLine,
    Turn,
    is_unnumbered,
    parse_evaluation,
    parse_name,
    parse_transcript,
    parse_wdseg,
)
from data_modules.corpora.release import (
    OTHER_SYSTEM,
    Corpus,
    Published,
    Release,
    list_files,
    not_found,
    read_text,
    relative,
)
from data_modules.labels import ClassScheme, RatingScheme
from data_modules.manifest import Utterance, Word

_LAYOUT = "Session1 .. Session5, each with dialog/EmoEvaluation and sentences/wav"


@dataclass(slots=True)
class _Session:
    """What the files of one session say, by name of the turn."""

    folder: Path
    number: str
    turns: dict[str, Turn] = field(default_factory=dict)
    contradicted: set[str] = field(default_factory=set)
    texts: dict[str, str] = field(default_factory=dict)
    clips: dict[str, Path] = field(default_factory=dict)
    alignments: dict[str, Path] = field(default_factory=dict)


def read(root: Path, corpus: str = "iemocap") -> Release:
    """Read a release in IEMOCAP's layout.

    Args:
        root: The folder with ``Session1`` and so on, or the one above ``IEMOCAP_full_release``.
        corpus: Name that the utterances carry; the demo corpus has the same layout.

    Raises:
        CorpusNotFoundError: There are no sessions.
    """
    release = Release()
    for folder in _find_sessions(root):
        session = _Session(folder, folder.name.removeprefix("Session"))
        _read_labels(session, root, release)
        _read_transcripts(session, root, release)
        _list_clips(session, root, release)
        _assemble(session, root, corpus, release)
    release.utterances.sort(key=lambda utterance: utterance.id)
    return release


def _find_sessions(root: Path) -> list[Path]:
    for base in (root, root / "IEMOCAP_full_release"):
        if base.is_dir():
            found = [
                path
                for path in sorted(base.iterdir())
                if path.is_dir() and re.fullmatch(r"Session[1-9][0-9]*", path.name, re.ASCII)
            ]
            if any((path / "dialog" / "EmoEvaluation").is_dir() for path in found):
                return found
    raise not_found("IEMOCAP", root, _LAYOUT)


def _read_labels(session: _Session, root: Path, release: Release) -> None:
    for path in list_files(session.folder / "dialog" / "EmoEvaluation", (".txt",), root, release):
        turns, lost, odd = parse_evaluation(read_text(path, root, release))
        where = relative(path, root)
        for bad in lost:
            release.exclude(f"{where}:{bad.number}", "label line that cannot be read", bad.problem)
        for bad in odd:
            release.note(
                f"{where}:{bad.number}", "evaluator's line that cannot be read", bad.problem
            )
        for turn in turns:
            problem = _misplaced(turn.name, path.stem, session.number)
            if is_unnumbered(turn.name):
                release.ignore(turn.name, "turns without a number (XX)")
            elif problem:
                release.exclude(f"{where}:{turn.number}", "label line that cannot be read", problem)
            elif (first := session.turns.get(turn.name)) is None:
                session.turns[turn.name] = turn
            elif first.category != turn.category:
                session.contradicted.add(turn.name)
            else:
                release.note(f"{where}:{turn.number}", "labelled twice alike", turn.name)


def _misplaced(name: str, dialogue: str, session: str) -> str:
    """What is wrong with a turn's name in the label file of a dialogue; empty if nothing."""
    parsed = parse_name(name)
    if parsed is None:
        return f"expected a turn such as {dialogue}_F000, got {name!r}"
    if parsed.dialogue != dialogue or parsed.session != session:
        return f"expected a turn of {dialogue} in Session{session}, got {name}"
    return ""


def _read_transcripts(session: _Session, root: Path, release: Release) -> None:
    folder = session.folder / "dialog" / "transcriptions"
    for path in list_files(folder, (".txt",), root, release):
        texts, unnumbered, bad, remarks = parse_transcript(read_text(path, root, release))
        where = relative(path, root)
        for name in unnumbered:
            release.ignore(name, "turns without a number (XX)")
        for line in remarks:
            release.ignore(f"{where}:{line.number}", "transcript lines that name no turn")
        for line in bad:
            release.note(
                f"{where}:{line.number}", "transcript line that cannot be read", line.problem
            )
        for name, text in texts.items():
            if name in session.texts:
                release.note(where, "transcript line that cannot be read", f"{name} again")
            else:
                session.texts[name] = text


def _list_clips(session: _Session, root: Path, release: Release) -> None:
    sentences = session.folder / "sentences"
    for folder in _dialogues(sentences / "wav", root, release):
        for path in list_files(folder, (".wav",), root, release):
            session.clips[path.stem] = path
    for folder in _dialogues(sentences / "ForcedAlignment", root, release):
        # syllables and phones are there too, and not needed
        for path in list_files(folder, (".wdseg", ".syseg", ".phseg"), root, release):
            if path.suffix == ".wdseg":
                session.alignments[path.stem] = path


def _dialogues(folder: Path, root: Path, release: Release) -> list[Path]:
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name.startswith("."):
            release.ignore(relative(path, root), OTHER_SYSTEM)
        elif path.is_dir():
            found.append(path)
    return found


def _assemble(session: _Session, root: Path, corpus: str, release: Release) -> None:
    """Join label, transcript, clip and word times by name; every name ends in one list."""
    for name in sorted(session.turns.keys() | session.clips.keys() | session.texts.keys()):
        turn = session.turns.get(name)
        if turn is None and is_unnumbered(name):
            release.ignore(name, "turns without a number (XX)")
        elif name in session.contradicted:
            release.exclude(name, "two labels that contradict each other")
        elif turn is not None:
            release.utterances.append(_utterance(turn, session, root, corpus, release))
            release.stated_s[name] = turn.end_s - turn.start_s
        elif name in session.clips:
            release.exclude(name, "audio without a label", relative(session.clips[name], root))
        else:
            release.exclude(name, "transcript without audio and label", session.texts[name][:60])


def _utterance(
    turn: Turn, session: _Session, root: Path, corpus: str, release: Release
) -> Utterance:
    name = parse_name(turn.name)
    assert name is not None, "names were checked where the labels were read"
    text = session.texts.get(turn.name)
    if text is None:
        release.note(turn.name, "no transcript")
    # a clip that is missing is named where the release would have it
    clip = session.clips.get(
        turn.name,
        session.folder / "sentences" / "wav" / name.dialogue / f"{turn.name}.wav",
    )
    return Utterance(
        id=turn.name,
        corpus=corpus,
        audio=relative(clip, root),
        speaker=name.speaker,
        session=name.session,
        dialogue=name.dialogue,
        gender=name.gender,
        script=name.script,
        text=text,
        words=_words(session.alignments.get(turn.name), turn.name, root, release),
        labels={"category": turn.category, "ratings": turn.ratings, "votes": turn.votes},
    )


def _words(path: Path | None, name: str, root: Path, release: Release) -> tuple[Word, ...]:
    if path is None:
        release.note(name, "no word times (.wdseg)")
        return ()
    words = parse_wdseg(read_text(path, root, release))
    if isinstance(words, BadLine):
        release.note(
            f"{relative(path, root)}:{words.number}",
            "word times that cannot be read",
            words.problem,
        )
        return ()
    return words


CORPUS = Corpus(
    name="iemocap",
    title="IEMOCAP",
    read=read,
    version=1,
    schemes=(
        ClassScheme(
            name="iemocap4",
            # the order is SUPERB's (neu 0, hap 1, ang 2, sad 3)
            names=("neutral", "happy", "angry", "sad"),
            source="category",
            mapping={
                "neu": "neutral",
                "hap": "happy",
                "exc": "happy",
                "ang": "angry",
                "sad": "sad",
            },
            left_out={
                "fru": "frustration is not among the four classes",
                "sur": "surprise is not among the four classes",
                "fea": "fear is not among the four classes",
                "dis": "disgust is not among the four classes",
                "oth": "'other' is not among the four classes",
                "xxx": "the raters did not agree on one label",
            },
            votes="votes",
            note="excited is merged into happy: the usual 5,531 utterances",
        ),
        RatingScheme(
            name="iemocap_vad",
            names=("valence", "activation", "dominance"),
            sources=("ratings.valence", "ratings.activation", "ratings.dominance"),
            low=1.0,
            high=5.0,
            note="means of the evaluators' ratings, all turns",
        ),
    ),
    language="en",
    licence="on signed request to USC, research only",
    source="https://sail.usc.edu/iemocap/",
    protocol="iemocap4-session5",
    published=Published(
        what="turns in four classes",
        total=5531,
        classes={"neutral": 1708, "happy": 1636, "angry": 1103, "sad": 1084},
        sessions={"1": 1085, "2": 1023, "3": 1151, "4": 1031, "5": 1241},
        speakers={
            "Ses01F": 528,
            "Ses01M": 557,
            "Ses02F": 481,
            "Ses02M": 542,
            "Ses03F": 522,
            "Ses03M": 629,
            "Ses04F": 528,
            "Ses04M": 503,
            "Ses05F": 590,
            "Ses05M": 651,
        },
    ),
)
