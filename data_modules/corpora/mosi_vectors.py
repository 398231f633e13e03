"""CMU-MOSI as published utterance vectors: text, acoustic and visual, with scores, English.

Source: https://github.com/declare-lab/multimodal-deep-learning, folder ``bc-LSTM/data`` (S. Poria
et al., ACL 2017) for vectors and transcripts; https://github.com/shamanez/BERT-like-is-All-You-Need,
folder ``T_data/mosi``, for scores and the official folds.
Licence: MIT for both; the videos belong to their makers and MOSI was published for research: treat
as research use only.
Size: 2,199 segments of 93 film reviews; the part ``train`` has 1,447 of 62.
Labels: sentiment from -3 to 3. A video has one speaker, and stands for that speaker.

Files: ``segments_PART.tsv`` (tab separated, no quoting), ``features/{text,audio,video}_PART.csv``
(no header), where row n is the vector of data row n. Every part that is there is read.

Known defects: the parts are those of the networks that made the vectors, not the official folds
(``official_fold`` in the labels), so no part goes into ``Utterance.part``. The networks of text and
video were trained with the labels of ``train``: within it their vectors know the answer.
"""

from __future__ import annotations

import math
import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from data_modules.corpora.release import (
    Corpus,
    Published,
    ReadyFeatures,
    Release,
    not_found,
    read_text,
    relative,
)
from data_modules.corpora.sentiment import sentiment_schemes
from data_modules.errors import ManifestError
from data_modules.manifest import Utterance

if TYPE_CHECKING:
    from data_modules.corpora.release import FeatureArray

_DIMS = {"text": 100, "audio": 73, "video": 100}
_COLUMNS = ("segment_id", "video_id", "start", "end", "score", "official_fold", "text")
_PART = re.compile(r"segments_([A-Za-z0-9]+)\.tsv")
_EXPOSURE = (
    "the network that made these vectors was trained with the labels of the part train, so results "
    "within that part are too good"
)


def read(root: Path) -> Release:
    """Read every part of a release.

    Args:
        root: The folder with ``segments_train.tsv`` and ``features/``.

    Raises:
        CorpusNotFoundError: There is no ``segments_*.tsv``.
        ManifestError: A table has other columns, or vectors for another number of rows.
    """
    release = Release()
    seen: set[str] = set()
    for part, table in _tables(root):
        rows = _rows(table, root, release)
        for kind in _DIMS:
            path = _features(root, kind, part)
            if path.is_file():
                _expect_rows(path, root, sum(1 for _ in _lines(path)), rows)
            else:
                release.note(relative(path, root), "vectors that are not there")
        for where, row in rows:
            _add(where, row, seen, release)
    release.utterances.sort(key=lambda utterance: utterance.id)
    return release


def _add(where: str, row: list[str], seen: set[str], release: Release) -> None:
    if len(row) != len(_COLUMNS):
        told = f"expected {len(_COLUMNS)} columns, got {len(row)}"
        release.exclude(where, "row that cannot be read", told)
        return
    name, video, _, _, score, fold, text = (value.strip() for value in row)
    sentiment = _number(score)
    if not name or not video:
        release.exclude(where, "row that cannot be read", "no segment_id or no video_id")
        return
    if name in seen:
        release.exclude(where, "listed twice", name)
        return
    # whatever becomes of it: vectors belong to the first row of an id
    seen.add(name)
    if sentiment is None:
        release.exclude(name, "score that is no number", f"{where}: {score!r}")
        return
    if not text:
        release.note(name, "no transcript", where)
    release.utterances.append(
        Utterance(
            id=name,
            corpus="mosi_vectors",
            speaker=video,
            dialogue=video,
            text=text,
            labels={"sentiment": sentiment, "official_fold": fold},
        )
    )


def read_vectors(
    kind: str, root: Path, utterances: Sequence[Utterance]
) -> Iterator[tuple[str, FeatureArray, int]]:
    """Vectors of one kind.

    Args:
        kind: ``text``, ``audio`` or ``video``.
        root: Folder of the release.
        utterances: Whose vectors to read.

    Yields:
        Utterance id, vector ``(1, D)`` float32, and 0: a value that is no number is an error.

    Raises:
        ManifestError: Another number of rows or values, or a value that is no finite number.
    """
    wanted = {utterance.id for utterance in utterances}
    for part, table in _tables(root):
        path = _features(root, kind, part)
        if not path.is_file():
            continue
        # what is odd about the table was listed when it was prepared
        rows = _rows(table, root, Release())
        vectors = [
            _vector(line, kind, f"{relative(path, root)}:{number}")
            for number, line in enumerate(_lines(path), start=1)
        ]
        _expect_rows(path, root, len(vectors), rows)
        for (_, row), vector in zip(rows, vectors, strict=True):
            name = row[0].strip()
            if name in wanted:
                # an id that stands there twice belongs to its first row
                wanted.discard(name)
                yield name, vector, 0


def _vector(line: str, kind: str, where: str) -> FeatureArray:
    import numpy as np

    cells = line.split(",")
    values = [_number(cell) for cell in cells]
    got = f"{len(cells)} values" if len(cells) != _DIMS[kind] else ""
    if not got and None in values:
        column = values.index(None)
        got = f"{cells[column][:20]!r} in column {column + 1}"
    if got:
        raise ManifestError(
            where,
            expected=f"{_DIMS[kind]} finite numbers",
            got=got,
            fix="copy the file again from the release",
        )
    return np.array([values], dtype=np.float32)


def _number(text: str) -> float | None:
    """A number that 32 bits can hold."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) < 3e38 else None


def _tables(root: Path) -> list[tuple[str, Path]]:
    """Parts and their tables of segments."""
    found = sorted(root.glob("segments_*.tsv")) if root.is_dir() else []
    tables = [(match[1], path) for path in found if (match := _PART.fullmatch(path.name))]
    if not tables:
        raise not_found("the MOSI vectors", root, "segments_train.tsv and features/")
    return tables


def _features(root: Path, kind: str, part: str) -> Path:
    return root / "features" / f"{kind}_{part}.csv"


def _files(kind: str, root: Path) -> Sequence[Path]:
    features = [_features(root, kind, part) for part, _ in _tables(root)]
    return [*(table for _, table in _tables(root)), *(path for path in features if path.is_file())]


def _lines(path: Path) -> Iterator[str]:
    """Lines, an empty one in the end left out: every other one counts as a row."""
    data = path.read_bytes().removeprefix(BOM_UTF8)
    lines = data.decode("latin-1").replace("\r\n", "\n").split("\n")
    yield from lines[:-1] if not lines[-1].strip() else lines


def _rows(table: Path, root: Path, release: Release) -> list[tuple[str, list[str]]]:
    """Place and cells of each data row, those that cannot be read included: rows are counted."""
    where = relative(table, root)
    header, *lines = read_text(table, root, release).split("\n")
    if tuple(header.strip("\r").split("\t")) != _COLUMNS:
        raise ManifestError(
            f"{where}:1",
            expected=f"the columns {', '.join(_COLUMNS)}",
            got=header[:80],
            fix="copy the file again from the release",
        )
    if lines and not lines[-1].strip():
        lines.pop()
    return [
        (f"{where}:{number}", line.strip("\r").split("\t"))
        for number, line in enumerate(lines, start=2)
    ]


def _expect_rows(path: Path, root: Path, count: int, rows: Sequence[object]) -> None:
    if count != len(rows):
        raise ManifestError(
            relative(path, root),
            expected=f"{len(rows)} rows, one for each segment",
            got=str(count),
            fix="copy both files again from the release",
        )


CORPUS = Corpus(
    name="mosi_vectors",
    title="CMU-MOSI (utterance vectors)",
    read=read,
    version=1,
    schemes=sentiment_schemes("mosi_vectors"),
    language="en",
    licence="MIT; the videos belong to their makers, research use only",
    source="https://github.com/declare-lab/multimodal-deep-learning",
    published=Published(what="segments", total=2199),
    features={
        kind: ReadyFeatures(
            dim=dim,
            stride_s=None,
            read=partial(read_vectors, kind),
            files=partial(_files, kind),
            exposure="" if kind == "audio" else _EXPOSURE,
        )
        for kind, dim in _DIMS.items()
    },
)
