"""One utterance to look at: its waveform, words with their times, and what the model attended to.

``alignment.npz`` in a run folder. The fit writes it, the report draws it (``plots.py``).
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from data_modules.atomic import atomic_path
from data_modules.errors import DataError
from data_modules.manifest import Word
from sermm.metrics import FloatArray, NumberArray
from sermm.run_metrics import RERUN

FILE_NAME = "alignment.npz"
_ENVELOPE_POINTS = 1200  # more than a page is wide


@dataclass(frozen=True, eq=False)
class AlignmentExample:
    """What the picture shows.

    Attributes:
        utterance_id: Which utterance.
        label: Its reference class.
        predicted: What the model said.
        duration_s: Its length in seconds.
        envelope: (P, 2) lowest and highest sample of P equal stretches, full scale 1.
        words: Words with their times.
        log_mel: (F, M) log energies, or None.
        log_mel_stride_s: Seconds from frame to frame.
        tokens: L word pieces.
        token_spans_s: (L, 2) start and end in seconds, equal where a piece has no frames, or None.
        attention: (L, F') weights whose rows sum to one, or None where times decide.
        attention_stride_s: Seconds from frame to frame.
    """

    utterance_id: str
    label: str
    predicted: str
    duration_s: float
    envelope: FloatArray
    words: tuple[Word, ...]
    log_mel: FloatArray | None
    log_mel_stride_s: float
    tokens: tuple[str, ...]
    token_spans_s: FloatArray | None
    attention: FloatArray | None
    attention_stride_s: float


def write_alignment_example(
    path: Path,
    *,
    utterance_id: str,
    label: str,
    predicted: str,
    waveform: NumberArray,
    sample_rate: int,
    words: Sequence[Word] = (),
    log_mel: NumberArray | None = None,
    log_mel_stride_s: float = 0.0,
    tokens: Sequence[str] = (),
    token_spans_s: NumberArray | None = None,
    attention: NumberArray | None = None,
    attention_stride_s: float = 0.0,
) -> None:
    """Write ``alignment.npz``, whole or not at all.

    Args:
        path: The file, named :data:`FILE_NAME` in a run folder.
        utterance_id: Which utterance.
        label: Its reference class.
        predicted: What the model said.
        waveform: (N,) samples in [-1, 1]. Only its envelope is stored.
        sample_rate: Hz.
        words: Words with their times from the start of the utterance.
        log_mel: (F, M) log energies.
        log_mel_stride_s: Seconds from frame to frame of ``log_mel``.
        tokens: L word pieces, special ones included.
        token_spans_s: (L, 2) start and end of each piece in seconds.
        attention: (L, F') weights of the frames for each piece.
        attention_stride_s: Seconds from frame to frame of ``attention``.

    Raises:
        ValueError: Shapes do not fit, or a stride is missing.
    """
    waveform = np.asarray(waveform, dtype=np.float32)
    if waveform.ndim != 1 or not len(waveform):
        raise ValueError(f"expected a waveform (N,), got {waveform.shape}")
    for name, frames, stride in (
        ("log_mel", log_mel, log_mel_stride_s),
        ("attention", attention, attention_stride_s),
    ):
        if frames is not None and (np.ndim(frames) != 2 or stride <= 0):
            raise ValueError(f"expected {name} with two axes and its stride in seconds")
    for name, rows in (("attention", attention), ("token_spans_s", token_spans_s)):
        if rows is not None and len(rows) != len(tokens):
            raise ValueError(f"expected {name} of {len(tokens)} tokens, got {len(rows)}")
    edges = np.linspace(0, len(waveform), min(_ENVELOPE_POINTS, len(waveform)) + 1).astype(int)
    envelope = np.stack(
        [np.minimum.reduceat(waveform, edges[:-1]), np.maximum.reduceat(waveform, edges[:-1])],
        axis=1,
    )
    record = {
        "utterance_id": utterance_id,
        "label": label,
        "predicted": predicted,
        "duration_s": len(waveform) / sample_rate,
        "words": [asdict(word) for word in words],
        "tokens": list(tokens),
        "log_mel_stride_s": log_mel_stride_s,
        "attention_stride_s": attention_stride_s,
    }
    arrays = {
        name: np.asarray(values, dtype=np.float32)
        for name, values in (
            ("envelope", envelope),
            ("log_mel", log_mel),
            ("token_spans_s", token_spans_s),
            ("attention", attention),
        )
        if values is not None
    }
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, record=np.array(json.dumps(record)), **arrays)  # type: ignore[arg-type]


def read_alignment_example(path: Path) -> AlignmentExample:
    """Read ``alignment.npz``.

    Raises:
        DataError: It is missing or damaged.
    """
    try:
        # opened here, since numpy leaves a damaged file open
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        record = json.loads(str(arrays["record"]))
        return AlignmentExample(
            utterance_id=record["utterance_id"],
            label=record["label"],
            predicted=record["predicted"],
            duration_s=record["duration_s"],
            envelope=arrays["envelope"],
            words=tuple(Word(**word) for word in record["words"]),
            log_mel=arrays.get("log_mel"),
            log_mel_stride_s=record["log_mel_stride_s"],
            tokens=tuple(record["tokens"]),
            token_spans_s=arrays.get("token_spans_s"),
            attention=arrays.get("attention"),
            attention_stride_s=record["attention_stride_s"],
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            path, expected="an alignment example", got=f"{error!r}"[:120], fix=RERUN
        ) from None
