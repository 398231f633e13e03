"""What CMU-MOSI and CMU-MOSEI have in common: labelled segments of videos in ``.csd`` files.

Utterance ids are ``video[k]``, where k is the row of the segment in the labels, as in the corpora's
own toolkit. Nothing more is known of a person than the video: it stands for speaker and dialogue.
Segments out of order of time or overlapping are kept and counted; a segment without length or of a
video outside the standard folds is excluded; a start before that of the video is clipped to 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from data_modules.corpora.cmu_files import find_csd, find_recordings, read_folds
from data_modules.corpora.cmu_layout import Layout
from data_modules.corpora.cmu_words import EDGE_S, Said, Segment, WordReader
from data_modules.corpora.csd import Csd, CsdError, Entry, open_csd
from data_modules.corpora.release import Release, not_found, relative
from data_modules.errors import MediaError
from data_modules.manifest import Utterance

SHORTEST_S = 1e-5
"""Shorter intervals are without length to the corpora's own toolkit too."""

LONGEST_S = 3600.0
"""No video is as long; the longest segment of MOSEI has 109 s."""

OVERHANG_S = 0.5
"""What a segment may end after its recording: labels and sound come from different copies."""

OUTSIDE_FOLDS = "outside the standard folds"
DAMAGED_LABELS = "labels that cannot be read"
TWO_ROWS = "a segment with more or less than one row"
NO_TIMES = "interval that is no number"
NO_LENGTH = "interval without length"
TOO_LONG = "interval of more than an hour"
NO_RATING = "rating that is no number"
NEGATIVE = "start before that of the video, clipped to 0"
DISORDER = "segments out of order of time, kept"
OVERLAP = "segments that overlap an earlier one, kept"
NO_LABELS = "videos of the folds without labels"
NO_FILE = "no file of the release with"
NO_COVAREP = "no COVAREP for the segment"
DAMAGED_COVAREP = "COVAREP that cannot be read"
OVERHANG = "end after that of the recording, cut to it"
OTHER_CSD = "computational sequences that are not used"
OTHER_RECORDINGS = "recordings of videos without labels in the folds"


def read_cmu(layout: Layout, root: Path) -> Release:
    """Read a release.

    Args:
        layout: Of the corpus.
        root: Folder with the ``.csd`` files, or with folders of them; raw recordings in
            ``root/Raw/`` or in ``root`` itself.

    Raises:
        CorpusNotFoundError: There are no labels.
        CsdError: A file is damaged as a whole.
        DataError: Two files claim to be the same.
    """
    roles = {"labels": layout.labels, "words": layout.words, "covarep": layout.covarep}
    files, others = find_csd(root, roles)
    if "labels" not in files:
        raise not_found(layout.title, root, f"{layout.labels_file} and the other .csd files")
    release = Release()
    for path in others:
        release.ignore(relative(path, root), OTHER_CSD)
    for role in roles.keys() - files.keys():
        release.note(layout.labels_file, f"{NO_FILE} {role}")
    with ExitStack() as stack:
        opened = {role: stack.enter_context(open_csd(path)) for role, path in files.items()}
        _Reader(layout, root, release, opened).read()
    release.utterances.sort(key=lambda utterance: utterance.id)
    return release


class _Reader:
    def __init__(self, layout: Layout, root: Path, release: Release, files: dict[str, Csd]) -> None:
        self.layout = layout
        self.root = root
        self.release = release
        self.labels = files["labels"]
        self.words = WordReader(files["words"], release) if "words" in files else None
        self.covarep = files.get("covarep")
        self.recordings = find_recordings(root, release)

    def read(self) -> None:
        folds = read_folds(self.layout.corpus)
        for video, entries in sorted(self.labels.entries.items()):
            try:
                if video in folds:
                    self._read_video(video, entries, folds[video])
                else:
                    for name in self._names(video, entries):
                        self.release.exclude(name, OUTSIDE_FOLDS)
            except CsdError as error:
                self.release.exclude(video, DAMAGED_LABELS, str(error))
        for video in sorted(folds.keys() - self.labels.entries.keys()):
            self.release.note(video, NO_LABELS, f"in {folds[video]}")
        if self.words is not None:
            self.words.finish(relative(self.words.csd.path, self.root))
        if self.recordings is not None:
            for video, path in sorted(self.recordings[1].items()):
                if video not in folds or video not in self.labels.entries:
                    self.release.ignore(relative(path, self.root), OTHER_RECORDINGS)

    def _names(self, video: str, entries: Sequence[Entry]) -> list[str]:
        """Ids of all segments of a video."""
        names = []
        for entry in entries:
            if entry.piece is None:
                names += [f"{video}[{k}]" for k in range(self.labels.num_rows(entry.key))]
            else:
                names.append(f"{video}[{entry.piece}]")
        return names

    def _read_video(self, video: str, entries: Sequence[Entry], part: str) -> None:
        in_pieces = self.labels.is_cut(video)
        if not in_pieces and len(entries) > 1:
            raise CsdError(
                f"{self.labels.path}:{self.labels.root_name}/data/{video}",
                expected="a video whole or in pieces",
                got="both",
                fix="copy the file again from the release",
            )
        segments = self._segments(video, entries)
        audio, segments = self._fit_recording(video, segments)
        self._note_order(video, segments)
        self._note_covarep(video, segments)
        said: dict[str, Said] = {}
        if self.words is not None and segments:
            said = self.words.read(video, segments, in_pieces=in_pieces)
        for segment in segments:
            words = said.get(segment.id)
            self.release.utterances.append(
                Utterance(
                    id=segment.id,
                    corpus=self.layout.corpus,
                    audio=audio,
                    start_s=segment.start_s,
                    end_s=segment.end_s,
                    speaker=video,
                    dialogue=video,
                    part=part,
                    text=None if words is None else words.text,
                    words=() if words is None else words.words,
                    labels=segment.ratings,
                )
            )

    def _segments(self, video: str, entries: Sequence[Entry]) -> list[Segment]:
        """Segments in the order of the labels; what is wrong with one is listed."""
        segments = []
        for entry in entries:
            ratings, intervals = self.labels.numbers(entry.key, len(self.layout.columns))
            if entry.piece is not None and len(intervals) != 1:
                self.release.exclude(f"{video}[{entry.piece}]", TWO_ROWS, f"{len(intervals)} rows")
                continue
            for row, (times, values) in enumerate(
                zip(intervals.tolist(), ratings.astype(np.float64).tolist(), strict=True)
            ):
                number = row if entry.piece is None else entry.piece
                segment = self._segment(f"{video}[{number}]", number, times, values)
                if segment is not None:
                    segments.append(segment)
        return segments

    def _segment(
        self, name: str, number: int, times: Sequence[float], values: Sequence[float]
    ) -> Segment | None:
        start, end = times
        told = f"{start:.3f} s to {end:.3f} s"
        # inside the video; not `max`, which would turn a nan into 0
        inside = 0.0 if start < 0 else start
        if not np.isfinite(times).all():
            self.release.exclude(name, NO_TIMES, told)
        elif end - inside < SHORTEST_S:
            self.release.exclude(name, NO_LENGTH, told)
        elif end - inside > LONGEST_S:
            self.release.exclude(name, TOO_LONG, told)
        elif not np.isfinite(values).all():
            self.release.exclude(name, NO_RATING, ", ".join(f"{value:g}" for value in values))
        else:
            if start < 0:
                self.release.note(name, NEGATIVE, told)
            # means of a few raters in single precision: six digits are all there is. Adding 0 turns
            # -0 into 0
            ratings = [round(value, 6) + 0.0 for value in values]
            return Segment(
                name,
                number,
                round(inside, 6),
                round(end, 6),
                dict(zip(self.layout.columns, ratings, strict=True)),
            )
        return None

    def _fit_recording(
        self, video: str, segments: list[Segment]
    ) -> tuple[str | None, list[Segment]]:
        """Path of the recording, and segments that end with it at the latest."""
        if self.recordings is None:
            return None, segments
        folder, paths = self.recordings
        if video not in paths:
            # named where the release would have it, so that its segments are listed as missing
            suffix = next(iter(paths.values())).suffix
            return relative(folder / f"{video}{suffix}", self.root), segments
        audio = relative(paths[video], self.root)
        if paths[video].suffix.lower() == ".mp4":
            # its header does not say how much sound it holds, and decoding all of it takes minutes
            return audio, segments
        from data_modules.audio import read_info

        try:
            length = read_info(paths[video]).duration_s
        except MediaError:
            # told of each segment when it is decoded
            return audio, segments
        fitted = []
        for segment in segments:
            if segment.start_s + SHORTEST_S < length < segment.end_s <= length + OVERHANG_S:
                self.release.note(
                    segment.id, OVERHANG, f"{segment.end_s:.3f} s, the recording has {length:.3f} s"
                )
                fitted.append(replace(segment, end_s=round(length, 6)))
            else:
                fitted.append(segment)
        return audio, fitted

    def _note_order(self, video: str, segments: Sequence[Segment]) -> None:
        backwards = sum(one.start_s > two.start_s for one, two in pairwise(segments))
        if backwards:
            self.release.note(video, DISORDER, count=backwards)
        overlapping, latest = 0, 0.0
        for segment in sorted(segments, key=lambda segment: segment.start_s):
            overlapping += segment.start_s < latest - EDGE_S
            latest = max(latest, segment.end_s)
        if overlapping:
            self.release.note(video, OVERLAP, count=overlapping)

    def _note_covarep(self, video: str, segments: Sequence[Segment]) -> None:
        """Say which segments have none, by the first and the last row of the video alone."""
        if self.covarep is None:
            return
        spans: dict[int | None, tuple[float, float]] = {}
        try:
            for entry in self.covarep.entries.get(video, []):
                if self.covarep.num_rows(entry.key):
                    spans[entry.piece] = self.covarep.span(entry.key)
        except CsdError as error:
            self.release.note(video, DAMAGED_COVAREP, str(error), count=len(segments))
            return
        for segment in segments:
            first, last = spans.get(None) or spans.get(segment.number) or (math.inf, -math.inf)
            if not (first < segment.end_s and segment.start_s < last):
                self.release.note(segment.id, NO_COVAREP)
