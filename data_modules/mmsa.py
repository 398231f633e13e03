"""From a feature file of MMSA (a pickle) to HDF5, with nothing of the pickle run.

MMSA (https://github.com/thuiar/MMSA) publishes CMU-MOSI, CMU-MOSEI and CH-SIMS as pickles: for each
of ``train``, ``valid`` and ``test`` a dictionary of lists and arrays with one entry an utterance.
The HDF5 file has a group for each part with the same names in it: texts as UTF-8, arrays as they
are, one chunk an utterance. ``safe_pickle.py`` opens the pickle; ``corpora/mmsa.py`` reads what is
written here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from data_modules.atomic import atomic_path
from data_modules.corpora.mmsa import FORMAT, FORMAT_VERSION, PARTS
from data_modules.errors import DataError, first_ids
from data_modules.safe_pickle import read_pickle

if TYPE_CHECKING:
    import h5py

TEXTS = ("id", "raw_text", "annotations")
SEQUENCES = ("text", "text_bert", "audio", "vision")
NUMBERS = (
    *("audio_lengths", "vision_lengths", "classification_labels", "regression_labels"),
    # CH-SIMS rates each modality by itself too
    *("regression_labels_T", "regression_labels_A", "regression_labels_V"),
    *("classification_labels_T", "classification_labels_A", "classification_labels_V"),
)
REQUIRED = ("id", "regression_labels")

PUBLISHED = {
    "78e0f8b5ef8ff71558e7307848fc1fa929ecb078203f565ab22b9daab2e02524": "MOSI/unaligned_50.pkl",
    "d3994fd25681f9c7ad6e9c6596a6fe9b4beb85ff7d478ba978b124139002e5f9": "MOSI/aligned_50.pkl",
    "ad8b23d50557045e7d47959ce6c5b955d8d983f2979c7d9b7b9226f6dd6fec1f": "MOSEI/unaligned_50.pkl",
    "45eccfb748a87c80ecab9bfac29582e7b1466bf6605ff29d3b338a75120bf791": "MOSEI/aligned_50.pkl",
    "c9e20c13ec0454d98bb9c1e520e490c75146bfa2dfeeea78d84de047dbdd442f": "SIMS/unaligned_39.pkl",
}
"""SHA-256 of the files that MMSA publishes, from its README."""

_BLOCK = 64
_UNFOLD = 16
_Values = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Conversion:
    """What was written.

    Attributes:
        path: The HDF5 file.
        num_utterances: By part.
        left_out: Names in the pickle that MMSA does not know, as ``part/name``.
        published: Which published file the pickle is; empty if none.
    """

    path: Path
    num_utterances: Mapping[str, int]
    left_out: tuple[str, ...]
    published: str


def convert_mmsa(
    source: Path, target: Path, *, on_progress: Callable[[int, int], None] | None = None
) -> Conversion:
    """Convert a feature file of MMSA.

    Args:
        source: The pickle.
        target: The HDF5 file, which must not be there yet.
        on_progress: Called with the number of entries written and of all.

    Raises:
        DataError: The target exists, or the source is no feature file of MMSA.
        PickleRefusedError: The source holds something other than plain data and arrays.
    """
    if target.suffix != ".h5" or target.exists():
        raise DataError(
            target,
            expected="a new file whose name ends in .h5",
            got="one that exists" if target.exists() else "another name",
            fix="choose another name",
        )
    data = read_pickle(source)
    parts, left_out = _parts(source, data)
    digest = _sha256(source)
    import h5py

    total = sum(len(entries["id"]) for entries in parts.values())
    done = 0
    with atomic_path(target) as temporary, h5py.File(temporary, "w") as stream:
        stream.attrs["format"] = np.bytes_(FORMAT)
        stream.attrs["version"] = FORMAT_VERSION
        stream.attrs["source"] = source.name
        stream.attrs["source_sha256"] = digest
        stream.attrs["published"] = PUBLISHED.get(digest, "")
        for part, entries in parts.items():
            group = stream.create_group(part)
            for name, values in entries.items():
                _write(group, name, values)
            done += len(entries["id"])
            if on_progress is not None:
                on_progress(done, total)
    return Conversion(
        path=target,
        num_utterances={part: len(entries["id"]) for part, entries in parts.items()},
        left_out=tuple(left_out),
        published=PUBLISHED.get(digest, ""),
    )


def _parts(source: Path, data: Any) -> tuple[dict[str, dict[str, _Values | list[str]]], list[str]]:
    """Entries by part and name, each checked; and the names that are not known."""
    if not isinstance(data, dict) or not any(part in data for part in PARTS):
        _refuse(source, "a dictionary with train, valid and test", _shown(data))
    left_out = [name for name in data if name not in PARTS]
    parts: dict[str, dict[str, _Values | list[str]]] = {}
    for part in PARTS:
        if part not in data:
            continue
        entries = data[part]
        if not isinstance(entries, dict):
            _refuse(f"{source}, {part}", "a dictionary", _shown(entries))
        missing = [name for name in REQUIRED if name not in entries]
        if missing or not any(name in entries for name in SEQUENCES):
            _refuse(
                f"{source}, {part}",
                f"{', '.join(REQUIRED)} and some of {', '.join(SEQUENCES)}",
                ", ".join(entries) or "nothing",
            )
        known = [name for name in (*TEXTS, *SEQUENCES, *NUMBERS) if name in entries]
        left_out += [f"{part}/{name}" for name in entries if name not in known]
        parts[part] = {name: _entry(source, part, name, entries[name]) for name in known}
        lengths = {name: len(values) for name, values in parts[part].items()}
        others = [f"{name} {length}" for name, length in lengths.items() if length != lengths["id"]]
        if others:
            _refuse(f"{source}, {part}", f"{lengths['id']} entries of each", ", ".join(others))
    return parts, left_out


def _entry(source: Path, part: str, name: str, value: Any) -> _Values | list[str]:
    where = f"{source}, {part}/{name}"
    if name in TEXTS:
        return _texts(where, value, max_letters=_UNFOLD * source.stat().st_size)
    if isinstance(value, list):
        value = _stack(where, value)
    dimensions = 3 if name in SEQUENCES else 1
    if (
        isinstance(value, np.ndarray)
        and dimensions == 1
        and value.ndim > 1
        and value.size == len(value)
    ):
        # labels and lengths may come as a column
        value = value.reshape(-1)
    good = isinstance(value, np.ndarray) and value.dtype.kind in "iufb"
    if not good or value.ndim != dimensions:
        shape = f"numbers with {dimensions} dimensions"
        _refuse(where, shape, _shown(value))
    result: _Values = value
    return result


def _stack(where: str, values: list[Any]) -> _Values:
    """An array from a list of numbers, or of arrays of one shape."""
    if all(type(value) in (int, float, bool) for value in values):
        try:
            return np.array(values)
        except OverflowError:
            _refuse(where, "numbers of 64 bits", "larger ones")
    shapes = {value.shape if isinstance(value, np.ndarray) else None for value in values}
    if len(shapes) != 1 or None in shapes:
        _refuse(
            where, "numbers, or arrays of one shape", f"a list of {len(shapes)} kinds of things"
        )
    # one array in many places of the list would grow without end, and no honest file has it
    if len({id(value) for value in values}) != len(values):
        _refuse(where, "arrays of their own for each utterance", "one array several times")
    return np.stack(values)


def _texts(where: str, value: Any, max_letters: int) -> list[str]:
    """Texts from a list or an array; bytes, as HDF5 tools leave them, are UTF-8."""
    values = value.reshape(-1).tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(values, list):
        _refuse(where, "texts", _shown(value))
    texts = []
    for index, one in enumerate(values):
        if isinstance(one, bytes):
            try:
                one = one.decode("utf-8")
            except UnicodeDecodeError:
                _refuse(f"{where}[{index}]", "text in UTF-8", _shown(one))
        if not isinstance(one, str):
            _refuse(f"{where}[{index}]", "a text", _shown(one))
        max_letters -= len(one)
        if max_letters < 0:
            _refuse(where, "texts that such a file can hold", "one long text many times")
        # HDF5 ends texts at a null, and UTF-8 has no lone surrogates
        if "\0" in one or any("\ud800" <= letter <= "\udfff" for letter in one):
            _refuse(f"{where}[{index}]", "text that UTF-8 can hold", ascii(one)[:60])
        texts.append(one)
    return texts


def _write(group: h5py.Group, name: str, values: _Values | list[str]) -> None:
    import h5py

    if isinstance(values, list):
        # of one length each: libhdf5 may follow a damaged heap of texts for ever
        encoded = [text.encode() for text in values]
        kind = h5py.string_dtype("utf-8", max(map(len, encoded), default=0) or 1)
        texts = group.create_dataset(
            name,
            shape=len(encoded),
            dtype=kind,
            compression="gzip" if encoded else None,
            chunks=min(len(encoded), _BLOCK) or None,
        )
        for start in range(0, len(encoded), _BLOCK):
            texts[start : start + _BLOCK] = np.array(encoded[start : start + _BLOCK], kind)
        return
    if values.ndim == 1 or not values.size:
        group.create_dataset(name, data=values)
        return
    dataset = group.create_dataset(
        name,
        shape=values.shape,
        dtype=values.dtype,
        # padding is most of these files, and packs to nothing
        compression="gzip",
        compression_opts=1,
        shuffle=True,
        chunks=(1, *values.shape[1:]),
    )
    for start in range(0, len(values), _BLOCK):
        dataset[start : start + _BLOCK] = values[start : start + _BLOCK]


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} with shape {value.shape}"
    if isinstance(value, dict):
        return f"a dictionary with {first_ids(list(value)) or 'nothing'}"
    return f"a {type(value).__name__}"


def _refuse(where: object, expected: str, got: str) -> NoReturn:
    raise DataError(
        where,
        expected=expected,
        got=got,
        fix="give a feature file as MMSA publishes it (aligned_50.pkl, unaligned_50.pkl)",
    )
