"""From utterances, cached frames and word pieces to samples.

Everything here is deterministic: augmentation happens in the model, so the number of loader
workers cannot change a result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from data_modules.alignment import frame_spans, piece_spans
from data_modules.batch import Sample
from data_modules.manifest import Utterance, Word
from data_modules.text import WordPieces

Frames = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Transcript:
    """The word pieces of an utterance and, where a model needs them, the times of its words.

    Attributes:
        pieces: Ids and the word that each piece belongs to.
        words: One timed word for each transcript word; None if no times are needed.
    """

    pieces: WordPieces
    words: Sequence[Word] | None = None


@dataclass(frozen=True)
class FrameSource:
    """Where acoustic features come from.

    Attributes:
        read: Frames ``(F, D)`` float32 of an utterance, in memory of their own.
        dim: D.
        stride_s: Seconds from one frame to the next.
        first_center_s: Seconds from the start of the utterance to the centre of frame 0, where
            nothing is cut.
        cut_s: Seconds that ``read`` cuts from the start of an utterance; None if it cuts nothing.
    """

    read: Callable[[Utterance], Frames]
    dim: int
    stride_s: float
    first_center_s: float
    cut_s: Callable[[Utterance], float] | None = None

    def first_center_of(self, utterance: Utterance) -> float:
        """Seconds from the start of the utterance to the centre of the first frame that is read."""
        cut = 0.0 if self.cut_s is None else self.cut_s(utterance)
        return self.first_center_s + cut


class UtteranceDataset(Dataset[Sample]):
    """Samples of one part of a fold.

    Args:
        utterances: In the order of the samples.
        targets: Class index of each utterance id.
        frames: Acoustic features; None for text alone.
        transcripts: Word pieces by utterance id; None for speech alone.
    """

    def __init__(
        self,
        *,
        utterances: Sequence[Utterance],
        targets: Mapping[str, int],
        frames: FrameSource | None = None,
        transcripts: Mapping[str, Transcript] | None = None,
    ) -> None:
        if frames is None and transcripts is None:
            raise ValueError("a dataset needs frames, transcripts or both")
        self.utterances = list(utterances)
        self.targets = targets
        self.frames = frames
        self.transcripts = transcripts

    def __len__(self) -> int:
        return len(self.utterances)

    def lengths(self) -> list[float]:
        """What batching by length goes by: seconds, or word pieces where there is no audio."""
        if self.frames is not None:
            return [utterance.duration_s for utterance in self.utterances]
        assert self.transcripts is not None
        return [float(len(self.transcripts[u.id].pieces.input_ids)) for u in self.utterances]

    def __getitem__(self, index: int) -> Sample:
        utterance = self.utterances[index]
        frames = None if self.frames is None else torch.from_numpy(self.frames.read(utterance))
        sample = Sample(
            utterance_id=utterance.id,
            speaker=utterance.speaker or "",
            target=torch.tensor(self.targets[utterance.id]),
            frames=frames,
        )
        if self.transcripts is None:
            return sample
        transcript = self.transcripts[utterance.id]
        word_index = transcript.pieces.word_index
        spans = None
        if transcript.words is not None and self.frames is not None and frames is not None:
            words = frame_spans(
                transcript.words,
                len(frames),
                self.frames.stride_s,
                first_centre_s=self.frames.first_center_of(utterance),
            )
            spans = torch.from_numpy(piece_spans(word_index, words, len(frames)))
        return Sample(
            utterance_id=sample.utterance_id,
            speaker=sample.speaker,
            target=sample.target,
            frames=frames,
            input_ids=torch.tensor(transcript.pieces.input_ids, dtype=torch.int64),
            token_spans=spans,
            word_mask=torch.tensor([word is not None for word in word_index]),
        )


def frame_statistics(dataset: UtteranceDataset) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation ``(D,)`` over all frames of a dataset, in float64.

    Call it on the training part only: statistics of other parts would leak.
    """
    assert dataset.frames is not None
    count = 0
    total = total_squares = np.zeros(1)
    for utterance in dataset.utterances:
        frames = np.asarray(dataset.frames.read(utterance), dtype=np.float64)
        count += len(frames)
        total = total + frames.sum(axis=0)
        total_squares = total_squares + (frames**2).sum(axis=0)
    mean = total / count
    variance = np.maximum(total_squares / count - mean**2, 0.0)
    return torch.from_numpy(mean), torch.from_numpy(np.sqrt(variance))


def pooled_statistics(dataset: UtteranceDataset) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation ``(2 D,)`` over clips of each clip's mean and deviation."""
    assert dataset.frames is not None
    rows = []
    for utterance in dataset.utterances:
        frames = np.asarray(dataset.frames.read(utterance), dtype=np.float64)
        rows.append(np.concatenate([frames.mean(axis=0), frames.std(axis=0)]))
    pooled = np.stack(rows)
    return torch.from_numpy(pooled.mean(axis=0)), torch.from_numpy(pooled.std(axis=0))
