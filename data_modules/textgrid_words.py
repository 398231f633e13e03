"""A folder of TextGrid files to the words of a corpus' utterances.

The folder looks as the Montreal Forced Aligner leaves it: ``**/NAME.TextGrid``, where NAME is an
utterance's id or the name of its audio file, in sub-folders of any depth (by speaker, as a rule).
Every file and every utterance is accounted for.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from data_modules.align import choose_words
from data_modules.alignment import transcript_words
from data_modules.errors import AlignmentError, first_ids
from data_modules.manifest import Utterance, Word
from data_modules.textgrid import SOURCE, TextGrid, choose_tier, read_textgrid, tier_words

LENGTH_TOLERANCE_S = 0.1
"""A file whose time ends further than this from the audio's end is about another recording."""

_SUFFIX = ".textgrid"


@dataclass
class TextGridReport:
    """What a folder of TextGrids gave to a corpus.

    Attributes:
        num_words: Transcript words of the utterances with a file by the source of their times.
        num_aligned: Utterances that have words of a file now.
        num_changed: Of these, how many had other words of a file before.
        kept: Ids without a file in this folder that keep the words of an earlier one.
        without_file: Ids without a file, or without audio that it could be about.
        without_words: Ids whose file holds no word, or that have no transcript.
        without_utterance: Files that belong to no utterance, relative to the folder.
        strangers: Ids whose file has no word in common with the transcript.
        other_length: Ids whose audio is longer or shorter than the file says, with both lengths.
        latin1: Files that are not UTF-8 and were read as Latin-1.
    """

    num_words: dict[str, int] = field(default_factory=dict)
    num_aligned: int = 0
    num_changed: int = 0
    kept: list[str] = field(default_factory=list)
    without_file: list[str] = field(default_factory=list)
    without_words: list[str] = field(default_factory=list)
    without_utterance: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    other_length: list[str] = field(default_factory=list)
    latin1: list[str] = field(default_factory=list)


def words_from_textgrids(
    utterances: Sequence[Utterance],
    folder: Path,
    *,
    tier: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Utterance], TextGridReport]:
    """Give utterances the words of their TextGrid files.

    Words of an earlier call are replaced where the folder has a file, since reading one is cheap
    and a corrected file should count. A file by the name of an audio file that holds several
    utterances counts its time from the start of that audio; each utterance then gets the words
    whose middle lies within it.

    Args:
        utterances: Of one corpus.
        folder: Where the files are.
        tier: Name of the tier with the words; see :func:`choose_tier` for what happens without.
        on_progress: Told how many of how many utterances are done.

    Returns:
        The utterances in their order, and what was found.

    Raises:
        AlignmentError: There is no such folder or no TextGrid in it, one cannot be read (all such
            files are told at once), or it is unclear which of two belongs to an utterance.
    """
    files = _Files(folder)
    report = TextGridReport()
    result: list[Utterance] = []
    broken: list[AlignmentError] = []
    shared = Counter(utterance.audio for utterance in utterances)
    for done, utterance in enumerate(utterances, start=1):
        try:
            result.append(_with_words(utterance, files, tier, report, shared))
        except AlignmentError as error:
            broken.append(error)
        if on_progress is not None:
            on_progress(done, len(utterances))
    if broken:
        raise _all_of(broken)
    report.without_utterance = files.unused()
    report.latin1 = sorted(files.latin1)
    timed = (u for u in result if u.text and u.words_from(SOURCE))
    counts: Counter[str] = Counter()
    for utterance in timed:
        try:
            counts.update(word.source for word in choose_words(utterance, [SOURCE])[0])
        except AlignmentError:
            report.strangers.append(utterance.id)
    report.num_words = dict(counts)
    return result, report


def _all_of(errors: list[AlignmentError]) -> AlignmentError:
    first, *others = errors
    if not others:
        return first
    names = first_ids(sorted({error.where for error in others}))
    return AlignmentError(
        first.where,
        expected=first.expected,
        got=f"{first.got} (and trouble with {len(others)} more: {names})",
        fix=first.fix,
    )


def _with_words(
    utterance: Utterance,
    files: _Files,
    tier: str | None,
    report: TextGridReport,
    shared: Counter[str | None],
) -> Utterance:
    path, by_audio = files.find(utterance)
    if path is None or utterance.duration_s <= 0:
        report.without_file.append(utterance.id)
        if utterance.words_from(SOURCE):
            report.kept.append(utterance.id)
        return utterance
    grid = files.read(path)
    # one of several utterances in an audio file, which the TextGrid describes as a whole
    part = by_audio and (shared[utterance.audio] > 1 or bool(utterance.start_s))
    _compare_lengths(utterance, grid, part, report)
    words = tier_words(choose_tier(grid, path, name=tier, speaker=utterance.speaker))
    if by_audio:
        words = _words_within(words, utterance.start_s or 0.0, utterance.end_s or 0.0)
    if not words or not transcript_words(utterance.text or ""):
        report.without_words.append(utterance.id)
        words = []
    before = utterance.words_from(SOURCE)
    report.num_aligned += bool(words)
    report.num_changed += bool(before) and before != tuple(words)
    others = tuple(word for word in utterance.words if word.source != SOURCE)
    return replace(utterance, words=(*others, *words))


def _compare_lengths(
    utterance: Utterance, grid: TextGrid, part: bool, report: TextGridReport
) -> None:
    if part:
        # the grid ends where the audio does, which may be long after this utterance
        length_s = utterance.end_s or 0.0
        differs = grid.end_s < length_s - LENGTH_TOLERANCE_S
    else:
        length_s = utterance.duration_s
        differs = abs(grid.end_s - length_s) > LENGTH_TOLERANCE_S
    if differs:
        report.other_length.append(f"{utterance.id} ({length_s:.2f} s, file {grid.end_s:.2f} s)")


def _words_within(words: Sequence[Word], start_s: float, end_s: float) -> list[Word]:
    """Words whose middle lies in a part of the audio, with times from its start."""
    inside = [word for word in words if start_s <= (word.start_s + word.end_s) / 2 < end_s]
    return [
        Word(
            word.text,
            max(word.start_s, start_s) - start_s,
            min(word.end_s, end_s) - start_s,
            word.source,
        )
        for word in inside
    ]


class _Files:
    """The TextGrids under a folder, found by name."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise AlignmentError(
                "--textgrids",
                expected="a folder of TextGrid files",
                got=f"{folder}, no folder",
                fix="correct it",
            )
        self.latin1: set[str] = set()
        self._folder = folder
        self._names: dict[str, list[PurePosixPath]] = {}
        self._used: set[PurePosixPath] = set()
        self._last: tuple[Path, TextGrid] | None = None
        for directory, _, names in os.walk(folder):
            for name in names:
                # what a file system leaves behind begins with a full stop
                if name.lower().endswith(_SUFFIX) and not name.startswith("."):
                    path = PurePosixPath(Path(directory, name).relative_to(folder).as_posix())
                    self._names.setdefault(path.stem, []).append(path)
        if not self._names:
            raise AlignmentError(
                folder,
                expected="files NAME.TextGrid, with NAME an utterance's id or its audio file's",
                got="none in it or its sub-folders",
                fix="give the folder that the aligner wrote",
            )

    def find(self, utterance: Utterance) -> tuple[Path | None, bool]:
        """The file of an utterance, and whether it has the name of its audio and not of its id."""
        for by_audio in (False, True):
            name = utterance.audio if by_audio else utterance.id
            if name is None:
                continue
            wanted = PurePosixPath(name)
            if by_audio:
                wanted = wanted.with_suffix("")
            found = self._named(wanted, utterance)
            if found is not None:
                self._used.add(found)
                # one utterance whose id is its file's name: both names say the same
                return self._folder / found, by_audio
        return None, False

    def _named(self, wanted: PurePosixPath, utterance: Utterance) -> PurePosixPath | None:
        found = self._names.get(wanted.name, [])
        if len(found) < 2:
            return found[0] if found else None
        # the same name in several sub-folders: the folder has to tell them apart
        by_place = [path for path in found if path.parent.parts[-1:] == wanted.parent.parts[-1:]]
        by_speaker = [path for path in found if path.parent.name == utterance.speaker]
        whole = [path for path in by_place if path.with_suffix("") == wanted]
        for fitting in (whole, by_place, by_speaker):
            if len(fitting) == 1:
                return fitting[0]
        raise AlignmentError(
            self._folder,
            expected=f"one file for {utterance.id}",
            got=f"{len(found)}: {first_ids(sorted(map(str, found)))}",
            fix="sort them into folders called after speakers, or keep the right one",
        )

    def read(self, path: Path) -> TextGrid:
        """A file's content; utterances of one file follow each other, so the last one is kept."""
        if self._last is None or self._last[0] != path:
            self._last = path, read_textgrid(path)
            if self._last[1].encoding == "latin-1":
                self.latin1.add(path.relative_to(self._folder).as_posix())
        return self._last[1]

    def unused(self) -> list[str]:
        """Files that belonged to no utterance."""
        everything = {path for paths in self._names.values() for path in paths}
        return sorted(map(str, everything - self._used))
