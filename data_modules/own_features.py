"""Features of the user's own, for any corpus: arrays by utterance id in a file or a folder.

Read like those that come with a corpus (``ready.py``): once into the cache, what is not finite
becomes 0 and is counted, utterances without any are left out and listed. Nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from data_modules.corpora.release import ReadyFeatures
from data_modules.errors import DataError
from data_modules.manifest import Utterance

Array = npt.NDArray[np.float32]
# gives the array of an id, or None
Lookup = Callable[[str], npt.NDArray[Any] | None]

_UNREADABLE = (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError)
_HDF5_ENDINGS = (".h5", ".hdf5", ".hdf")


def own_features(path: Path, stride_s: float, utterances: Sequence[Utterance]) -> ReadyFeatures:
    """Features by utterance id.

    Args:
        path: ``.npz`` or HDF5 file with one array an id, or a folder of ``ID.npy`` and ``ID.npz``
            (of one array). Arrays are ``(F, D)`` numbers, or ``(D,)`` for one vector an utterance.
        stride_s: Seconds from one frame to the next; 0 for one vector an utterance.
        utterances: Of the corpus; the first that has features says what D is.

    Raises:
        DataError: There is no such file, it is damaged, or holds nothing for any utterance.
    """

    def read(root: Path, wanted: Sequence[Utterance]) -> Iterator[tuple[str, Array, int]]:
        with _opened(path) as lookup:
            for utterance in wanted:
                values = _read(path, lookup, utterance.id, stride_s)
                if values is None:
                    continue
                if values.shape[1] != dim:
                    raise _unfit(path, utterance.id, f"{dim} values in a frame", values.shape)
                finite = np.isfinite(values)
                frames = np.where(finite, values, np.float32(0))
                yield utterance.id, frames, int(values.size - finite.sum())

    def files(root: Path) -> Sequence[Path]:
        return [p for p in path.rglob("*.np[yz]") if p.is_file()] if path.is_dir() else [path]

    dim = _width(path, stride_s, utterances)
    # two experiments may have features of their own beside one manifest
    origin = hashlib.sha256(f"{path.resolve()} {stride_s}".encode()).hexdigest()[:12]
    return ReadyFeatures(dim=dim, stride_s=stride_s or None, read=read, files=files, origin=origin)


def _width(path: Path, stride_s: float, utterances: Sequence[Utterance]) -> int:
    """Values in a frame of the first utterance that has any."""
    with _opened(path) as lookup:
        for utterance in utterances:
            values = _read(path, lookup, utterance.id, stride_s)
            if values is not None:
                return int(values.shape[1])
    raise DataError(
        path,
        expected="arrays by the ids of the manifest, such as "
        f"{utterances[0].id if utterances else 'ID'}",
        got="none of them",
        fix="name the arrays after the utterances",
    )


def _read(path: Path, lookup: Lookup, name: str, stride_s: float) -> Array | None:
    """Frames ``(F, D)`` of an utterance, not all of them finite; None if there are none."""
    values = lookup(name)
    if values is None:
        return None
    if values.dtype.kind not in "fiu":
        raise _unfit(path, name, "numbers", values.dtype)
    if not stride_s and values.ndim == 1:
        values = values[None]
    if values.ndim != 2 or not values.size or (not stride_s and len(values) != 1):
        form = "frames (F, D)" if stride_s else "one vector (D,)"
        raise _unfit(path, name, form, values.shape)
    # what overflows is counted with what was not finite before
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _unfit(path: Path, name: str, expected: str, got: object) -> DataError:
    return DataError(
        f"{path}: {name}",
        expected=expected,
        got=str(got),
        fix="mend the array, or set data.features_stride_s (0: one vector an utterance)",
    )


@contextmanager
def _opened(path: Path) -> Iterator[Lookup]:
    """A way to look arrays up.

    Raises:
        DataError: There is nothing at the path, or what is there is no such file.
    """
    if path.is_dir():
        yield lambda name: _from_folder(path, name)
        return
    if not path.is_file():
        raise DataError(
            path,
            expected="features: .npz, HDF5 or a folder of .npy",
            got="no file",
            fix="correct data.features",
        )
    if path.suffix in _HDF5_ENDINGS:
        yield from _hdf5(path)
        return
    with path.open("rb") as stream:
        archive = _load(path, stream)
        if isinstance(archive, np.ndarray):
            raise _damaged(path, ValueError("a single array"))
        names = set(archive.files)
        yield lambda name: _member(path, archive, name) if name in names else None


def _hdf5(path: Path) -> Iterator[Lookup]:
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise _damaged(path, error) from None

    def lookup(name: str) -> npt.NDArray[Any] | None:
        # a link to another file would read what was not named
        link = file.get(name, getlink=True) if name in file else None
        if link is None or not isinstance(link, h5py.HardLink):
            return None
        item = file[name]
        if not isinstance(item, h5py.Dataset):
            return None
        try:
            return np.asarray(item[()])
        except OSError as error:
            raise _damaged(f"{path}: {name}", error) from None

    with file:
        yield lookup


def _from_folder(path: Path, name: str) -> npt.NDArray[Any] | None:
    """The array in ``ID.npy``, or the one in ``ID.npz``."""
    for ending in (".npy", ".npz"):
        file = path / f"{name}{ending}"
        if not file.is_file():
            continue
        with file.open("rb") as stream:
            found = _load(file, stream)
            if isinstance(found, np.ndarray):
                return found
            if len(found.files) != 1:
                raise _damaged(file, ValueError(f"{len(found.files)} arrays"))
            return _member(file, found, found.files[0])
    return None


def _load(path: Path, stream: BinaryIO) -> Any:
    """What NumPy finds in a file that the caller holds open: an array, or an archive of them."""
    try:
        return np.load(stream, allow_pickle=False)
    except _UNREADABLE as error:
        raise _damaged(path, error) from None


def _member(path: Path, archive: Any, name: str) -> npt.NDArray[Any]:
    try:
        values: npt.NDArray[Any] = archive[name]
    except _UNREADABLE as error:
        raise _damaged(f"{path}: {name}", error) from None
    return values


def _damaged(where: object, error: Exception) -> DataError:
    return DataError(
        where,
        expected="arrays of numbers that load without unpickling",
        got=" ".join(str(error).split())[:200],
        fix="write it again with numpy.savez, numpy.save or h5py",
    )
