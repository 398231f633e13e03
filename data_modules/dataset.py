"""From utterances, cached frames and word pieces to samples.

Everything here is deterministic: augmentation happens in the model, so the number of loader
workers cannot change a result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from data_modules.alignment import frame_spans, piece_spans
from data_modules.batch import Sample
from data_modules.labels import Target
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
        read: Frames ``(F, K * D)`` float32 of an utterance, in memory of their own; layer by
            layer, ascending, where there are several.
        dim: D, of one layer.
        stride_s: Seconds from one frame to the next; 0 if an utterance is one frame.
        first_center_s: Seconds from the start of the utterance to the centre of frame 0, where
            nothing is cut.
        cut_s: Seconds that ``read`` cuts from the start of an utterance; None if it cuts nothing.
        num_layers: K, layers that are kept apart.
        second_dim: Of D, the last values, which are of a second upstream; 0 without.
        fingerprint: Of what computed the frames; empty where they came ready-made.
    """

    read: Callable[[Utterance], Frames]
    dim: int
    stride_s: float
    first_center_s: float
    cut_s: Callable[[Utterance], float] | None = None
    num_layers: int = 1
    second_dim: int = 0
    fingerprint: str = ""

    @property
    def one_frame(self) -> bool:
        """Whether an utterance is one frame."""
        return self.stride_s == 0

    def first_center_of(self, utterance: Utterance) -> float:
        """Seconds from the start of the utterance to the centre of the first frame that is read."""
        cut = 0.0 if self.cut_s is None else self.cut_s(utterance)
        return self.first_center_s + cut


@dataclass(frozen=True)
class WaveformSource:
    """Where waveforms come from, and the frames that an upstream in the model will make of them.

    Attributes:
        read: Samples ``(N,)`` float32, 16 kHz, of an utterance.
        num_frames: How many frames that many samples become.
        stride_s: Seconds from one frame to the next.
        first_center_s: Seconds from the start of the utterance to the centre of frame 0.
    """

    read: Callable[[Utterance], Frames]
    num_frames: Callable[[int], int]
    stride_s: float
    first_center_s: float


class UtteranceDataset(Dataset[Sample]):
    """Samples of one part of a fold.

    Args:
        utterances: In the order of the samples.
        targets: Of each utterance id: class index, or several numbers.
        frames: Acoustic features from the cache.
        waveforms: Audio, for an upstream that is trained.
        transcripts: Word pieces by utterance id; None for speech alone.
        vectors: Ready-made utterance vectors by name, each a function from an utterance to ``(D,)``
            float32.
        soft_targets: Shares of the raters' votes by utterance id; None where they are not used.
    """

    def __init__(
        self,
        *,
        utterances: Sequence[Utterance],
        targets: Mapping[str, Target],
        frames: FrameSource | None = None,
        waveforms: WaveformSource | None = None,
        transcripts: Mapping[str, Transcript] | None = None,
        vectors: Mapping[str, Callable[[Utterance], Frames]] | None = None,
        soft_targets: Mapping[str, tuple[float, ...]] | None = None,
    ) -> None:
        if not any((frames, waveforms, transcripts is not None, vectors is not None)):
            raise ValueError("a dataset needs frames, waveforms, transcripts or vectors")
        self.utterances = list(utterances)
        self.targets = targets
        self.frames = frames
        self.waveforms = waveforms
        self.transcripts = transcripts
        self.vectors = vectors
        self.soft_targets = soft_targets

    def __len__(self) -> int:
        return len(self.utterances)

    @property
    def hears(self) -> bool:
        """Whether samples have speech: frames, or waveforms that become frames in the model."""
        return self.frames is not None or self.waveforms is not None

    def lengths(self) -> list[float]:
        """What batching by length goes by: seconds, or word pieces where there is no audio."""
        if self.hears:
            return [utterance.duration_s for utterance in self.utterances]
        if self.transcripts is None:
            return [1.0] * len(self.utterances)
        return [float(len(self.transcripts[u.id].pieces.input_ids)) for u in self.utterances]

    def __getitem__(self, index: int) -> Sample:
        utterance = self.utterances[index]
        frames = None if self.frames is None else torch.from_numpy(self.frames.read(utterance))
        waveform = None
        if self.waveforms is not None:
            waveform = torch.from_numpy(self.waveforms.read(utterance))
        sample = Sample(
            utterance_id=utterance.id,
            speaker=utterance.speaker or "",
            target=torch.tensor(self.targets[utterance.id]),
            soft_target=None
            if self.soft_targets is None
            else torch.tensor(self.soft_targets[utterance.id]),
            vectors=None
            if self.vectors is None
            else {name: torch.from_numpy(read(utterance)) for name, read in self.vectors.items()},
            frames=frames,
            waveform=waveform,
        )
        if self.transcripts is None:
            return sample
        transcript = self.transcripts[utterance.id]
        word_index = transcript.pieces.word_index
        spans = None
        if transcript.words is not None and self.hears:
            num_frames, stride_s, first_center_s = self._frame_times(utterance, sample)
            words = frame_spans(
                transcript.words, num_frames, stride_s, first_centre_s=first_center_s
            )
            spans = torch.from_numpy(piece_spans(word_index, words, num_frames))
        return replace(
            sample,
            input_ids=torch.tensor(transcript.pieces.input_ids, dtype=torch.int64),
            token_spans=spans,
            word_mask=torch.tensor([word is not None for word in word_index]),
        )

    def _frame_times(self, utterance: Utterance, sample: Sample) -> tuple[int, float, float]:
        """Number of frames, seconds between them, and the centre of the first."""
        if self.frames is not None and sample.frames is not None:
            first_center_s = self.frames.first_center_of(utterance)
            return len(sample.frames), self.frames.stride_s, first_center_s
        assert self.waveforms is not None, "word times are read with speech alone"
        assert sample.waveform is not None, "of a dataset with waveforms"
        num_frames = self.waveforms.num_frames(len(sample.waveform))
        return num_frames, self.waveforms.stride_s, self.waveforms.first_center_s


def frame_statistics(dataset: UtteranceDataset) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation ``(K * D,)`` over all frames of a dataset, in float64.

    Call it on the training part only: statistics of other parts would leak.
    """
    assert dataset.frames is not None
    count = 0
    origin = total = total_squares = np.zeros(1)
    for utterance in dataset.utterances:
        frames = np.asarray(dataset.frames.read(utterance), dtype=np.float64)
        if not count:
            # a constant then has no deviation, where the squares of its size would leave a trace
            origin = frames[0]
        frames = frames - origin
        count += len(frames)
        total = total + frames.sum(axis=0)
        total_squares = total_squares + (frames**2).sum(axis=0)
    mean = total / count
    variance = np.maximum(total_squares / count - mean**2, 0.0)
    return torch.from_numpy(origin + mean), torch.from_numpy(np.sqrt(variance))


def pooled_statistics(dataset: UtteranceDataset) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation over clips of each clip's mean and deviation, ``(2 K D,)``.

    ``(K D,)`` where an utterance is one frame, which has no deviation.
    """
    assert dataset.frames is not None
    rows = []
    for utterance in dataset.utterances:
        frames = np.asarray(dataset.frames.read(utterance), dtype=np.float64)
        deviation = [] if dataset.frames.one_frame else [frames.std(axis=0)]
        rows.append(np.concatenate([frames.mean(axis=0), *deviation]))
    pooled = np.stack(rows)
    return torch.from_numpy(pooled.mean(axis=0)), torch.from_numpy(pooled.std(axis=0))


def vector_statistics(dataset: UtteranceDataset, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation ``(D,)`` over clips of ready-made vectors."""
    assert dataset.vectors is not None
    read = dataset.vectors[name]
    rows = np.stack([read(u) for u in dataset.utterances]).astype(np.float64)
    return torch.from_numpy(rows.mean(axis=0)), torch.from_numpy(rows.std(axis=0))
