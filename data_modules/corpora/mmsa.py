"""CMU-MOSI and CMU-MOSEI as MMSA publishes them: scores, transcripts and features of three kinds.

Source: https://github.com/thuiar/MMSA, files ``aligned_50.pkl`` and ``unaligned_50.pkl``, which
``sermm convert-mmsa`` turns into the HDF5 file that is read here.
Licence: as CMU-MOSI and CMU-MOSEI: published for research, the videos belong to their makers.
Size: CMU-MOSI 2,199 segments (1,284 / 229 / 686), CMU-MOSEI 22,856 (16,326 / 1,871 / 4,659).
Labels: sentiment from -3 to 3. There are no emotions in these files, and no audio.

Features: ``text`` (BERT, 768 values), ``audio`` (COVAREP, 5 or 74) and ``vision`` (20 or 35) are
sequences without times, padded with rows of zeros. What is read is one vector an utterance: the
mean over the real steps. Those of text are where the mask of ``text_bert`` is 1; elsewhere rows of
zeros before the first and after the last other row are padding (our reading: the lengths in the
file do not say on which side it is). Values that are not finite are zero, and counted.

An id is ``video$_$clip``. A video stands for its speaker.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_modules.corpora.release import (
    Corpus,
    Published,
    ReadyFeatures,
    Release,
    not_found,
    relative,
)
from data_modules.corpora.sentiment import sentiment_schemes
from data_modules.errors import DataError
from data_modules.manifest import Utterance

if TYPE_CHECKING:
    import h5py
    import numpy as np

    from data_modules.corpora.release import FeatureArray

FORMAT = "sermm-mmsa"
"""What ``data_modules/mmsa.py`` writes into its files."""

FORMAT_VERSION = 2

PARTS = {"train": "train", "valid": "val", "test": "test"}
"""MMSA's names of the parts, and ours."""

_BLOCK = 256


def read(corpus: str, title: str, dims: Mapping[str, int], root: Path) -> Release:
    """Read a converted file.

    Args:
        corpus: Name of the corpus.
        title: What people call it.
        dims: Values in a step of each kind of features.
        root: The folder that holds the file, and no other ``.h5`` file.

    Raises:
        CorpusNotFoundError: There is no such file.
        DataError: There are several, or it was not made by ``sermm convert-mmsa``, or from another
            corpus.
    """
    path = _find(root, title)
    release = Release()
    seen: set[str] = set()
    with _reading(path), _open(path) as stream:
        _expect_dims(path, stream, title, dims)
        for theirs, ours in PARTS.items():
            if theirs not in stream:
                release.note(f"{relative(path, root)} {theirs}", "part that is not in the file")
                continue
            group = stream[theirs]
            ids, scores = group["id"].asstr()[:], group["regression_labels"][:]
            texts = group["raw_text"].asstr()[:] if "raw_text" in group else [None] * len(ids)
            for index, (name, score, text) in enumerate(zip(ids, scores, texts, strict=True)):
                where = f"{relative(path, root)} {theirs}[{index}]"
                video, mark, clip = name.partition("$_$")
                if not video or not mark or not clip:
                    release.exclude(where, "id that cannot be read", f"got {name!r}")
                elif name in seen:
                    release.exclude(where, "listed twice", name)
                elif not math.isfinite(score):
                    # features belong to the first entry of an id, whatever becomes of it
                    seen.add(name)
                    release.exclude(name, "score that is no number", f"{where}: {score}")
                else:
                    seen.add(name)
                    if not text:
                        release.note(name, "no transcript", where)
                    release.utterances.append(
                        Utterance(
                            id=name,
                            corpus=corpus,
                            speaker=video,
                            dialogue=video,
                            part=ours,
                            text=text,
                            labels={"sentiment": float(score)},
                        )
                    )
    release.utterances.sort(key=lambda utterance: utterance.id)
    return release


def read_vectors(
    title: str, kind: str, root: Path, utterances: Sequence[Utterance]
) -> Iterator[tuple[str, FeatureArray, int]]:
    """Mean over the real steps; an utterance that has none has no vector.

    Args:
        title: What people call the corpus.
        kind: ``text``, ``audio`` or ``vision``.
        root: Folder of the file.
        utterances: Whose vectors to read.

    Yields:
        Utterance id, vector ``(1, D)`` float32, and values that were replaced before the mean.
    """
    wanted = {utterance.id for utterance in utterances}
    path = _find(root, title)
    with _reading(path), _open(path) as stream:
        for part in PARTS:
            if part not in stream or kind not in stream[part]:
                continue
            group = stream[part]
            masks = group["text_bert"] if kind == "text" and "text_bert" in group else None
            ids = group["id"].asstr()[:]
            for start in range(0, len(ids), _BLOCK):
                block = group[kind][start : start + _BLOCK]
                real = None if masks is None else masks[start : start + _BLOCK, 1, :] > 0
                for offset, name in enumerate(ids[start : start + _BLOCK]):
                    if name not in wanted:
                        continue
                    # an id that the reader found twice belongs to its first entry
                    wanted.discard(name)
                    steps = block[offset]
                    kept = steps[real[offset]] if real is not None else _without_padding(steps)
                    if len(kept):
                        yield (name, *_mean(f"{path}, {part}/{kind}, {name}", kept))


def _without_padding(steps: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[Any]]:
    import numpy as np

    filled = np.flatnonzero((steps != 0).any(axis=1))
    return steps[filled[0] : filled[-1] + 1] if len(filled) else steps[:0]


def _mean(where: str, steps: np.ndarray[Any, np.dtype[Any]]) -> tuple[FeatureArray, int]:
    import numpy as np

    good = np.isfinite(steps)
    with np.errstate(over="ignore"):
        mean = np.where(good, steps, 0).mean(axis=0, keepdims=True, dtype=np.float64)
        vector: FeatureArray = mean.astype(np.float32)
    if not np.isfinite(vector).all():
        raise DataError(
            where,
            expected="values that 32 bits can hold",
            got=f"a mean of {np.abs(mean).max():.3g}",
            fix="leave out these features",
        )
    return vector, int((~good).sum())


def _find(root: Path, title: str) -> Path:
    found = sorted(root.glob("*.h5")) if root.is_dir() else []
    if not found:
        raise not_found(
            title, root, f"a file made by `sermm convert-mmsa` from MMSA's {title} pickle"
        )
    if len(found) > 1:
        raise DataError(
            root,
            expected="one .h5 file",
            got=", ".join(path.name for path in found),
            fix="keep aligned and unaligned features in folders of their own",
        )
    return found[0]


def _files(title: str, root: Path) -> Sequence[Path]:
    return (_find(root, title),)


# what h5py and NumPy raise over damaged files, by the layer that notices
_DAMAGE = (
    *(OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError),
    *(MemoryError, OverflowError),
)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Name the file that cannot be read."""
    try:
        yield
    except _DAMAGE as error:
        raise DataError(
            path,
            expected="a whole file in MMSA's layout",
            got=str(error) or type(error).__name__,
            fix="make it again with `sermm convert-mmsa`",
        ) from None


def _open(path: Path) -> h5py.File:
    import h5py

    try:
        stream = h5py.File(path, "r")
    except _DAMAGE as error:
        raise DataError(
            path,
            expected="an HDF5 file",
            got=str(error),
            fix="make it again with `sermm convert-mmsa`",
        ) from None
    try:
        marks = stream.attrs.get("format"), stream.attrs.get("version")
        good = marks == (FORMAT.encode(), FORMAT_VERSION)
    except _DAMAGE:
        good = False
    if not good:
        stream.close()
        raise DataError(
            path,
            expected=f"a file in format {FORMAT}, version {FORMAT_VERSION}",
            got="another",
            fix="make it with `sermm convert-mmsa`",
        )
    return stream


def _expect_dims(path: Path, stream: h5py.File, title: str, dims: Mapping[str, int]) -> None:
    for part in stream:
        for kind, dim in dims.items():
            found = stream[part][kind].shape[-1] if kind in stream[part] else dim
            if found != dim:
                raise DataError(
                    f"{path}, {part}/{kind}",
                    expected=f"{dim} values in a step, as in MMSA's {title}",
                    got=str(found),
                    fix="name the corpus that the file holds: mmsa_mosi or mmsa_mosei",
                )


def _corpus(name: str, title: str, dims: Mapping[str, int], num_segments: int) -> Corpus:
    return Corpus(
        name=name,
        title=f"{title} (MMSA)",
        read=partial(read, name, title, dims),
        version=1,
        schemes=sentiment_schemes(name),
        language="en",
        licence="published for research; the videos belong to their makers",
        source="https://github.com/thuiar/MMSA",
        published=Published(what="segments", total=num_segments),
        features={
            kind: ReadyFeatures(
                dim=dim,
                stride_s=None,
                read=partial(read_vectors, title, kind),
                files=partial(_files, title),
            )
            for kind, dim in dims.items()
        },
    )


MOSI = _corpus("mmsa_mosi", "CMU-MOSI", {"text": 768, "audio": 5, "vision": 20}, 2_199)
MOSEI = _corpus("mmsa_mosei", "CMU-MOSEI", {"text": 768, "audio": 74, "vision": 35}, 22_856)
