"""Small releases of ready-made features: text, HDF5, pickle. And the books of their readers."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from data_modules.corpora import CORPORA, Release
from data_modules.corpora.csd import open_csd
from data_modules.mmsa import convert_mmsa
from tests.data_modules import csd_tree
from tests.data_modules.mmsa_pickle import feature_file
from tests.fuzz.books import Files, decoded
from tests.fuzz.mutate import BINARY, TEXT

VECTORS = {"text": 100, "audio": 73, "video": 100}


def write_mosi_vectors(folder: Path) -> Files:
    (folder / "features").mkdir()
    head = "segment_id\tvideo_id\tstart\tend\tscore\tofficial_fold\ttext\n"
    rows = [f"v_{k}\tv\t{k}.0\t{k}.5\t{k - 1}.6000\ttrain\tGOOD {k}\n" for k in range(4)]
    table = folder / "segments_train.tsv"
    table.write_text(head + "".join(rows))
    files: Files = [(table, TEXT), (table, TEXT)]
    for kind, dim in VECTORS.items():
        path = folder / "features" / f"{kind}_train.csv"
        path.write_text("".join(",".join([f"{k / 7:.4f}"] * dim) + "\n" for k in range(4)))
        files.append((path, TEXT))
    return files


def read_mosi_vectors(folder: Path) -> Release:
    corpus = CORPORA["mosi_vectors"]
    release = corpus.read(folder)
    for features in corpus.features.values():
        seen = set()
        for name, vector, replaced in features.read(folder, release.utterances):
            assert vector.shape == (1, features.dim)
            assert abs(vector).max() < float("inf")
            assert replaced == 0
            assert name not in seen
            seen.add(name)
        ids = {utterance.id for utterance in release.utterances}
        assert not seen or seen == ids
    return release


def books_mosi_vectors(folder: Path, release: Release) -> None:
    lines = decoded(folder / "segments_train.tsv").split("\n")[1:]
    rows = len(lines) - (bool(lines) and not lines[-1].strip())
    assert len(release.utterances) + len(release.exclusions) == rows, "a row is lost"


def write_cmu(folder: Path, corpus: str) -> Files:
    videos = csd_tree.make_videos(corpus, train=1, val=0, test=1, segments=2)
    csd_tree.write_tree(folder, corpus, videos)
    return [(folder / f"{stem}.csd", BINARY) for stem, _ in csd_tree.NAMES[corpus].values()]


def read_cmu(corpus: str, folder: Path) -> Release:
    reader = CORPORA[corpus]
    release = reader.read(folder)
    ids = {utterance.id: utterance for utterance in release.utterances}
    (features,) = reader.features.values()
    for name, frames, replaced in features.read(folder, release.utterances):
        ids.pop(name)
        assert frames.shape[1] == features.dim
        assert abs(frames).max() < float("inf")
        assert replaced >= 0
    return release


def books_cmu(stem: str, folder: Path, release: Release) -> None:
    known = {one.id for one in (*release.utterances, *release.exclusions)}
    with open_csd(folder / f"{stem}.csd") as csd:
        for video, entries in csd.entries.items():
            if video in known:
                continue
            for entry in entries:
                for row in range(csd.num_rows(entry.key)):
                    number = row if entry.piece is None else entry.piece
                    assert f"{video}[{number}]" in known, f"{video}[{number}]"


def small_file() -> Any:
    data = feature_file()
    for part in data.values():
        for kind in ("text", "vision"):
            part[kind] = part[kind][:, :3]
        part["text_bert"] = part["text_bert"][:, :, :3]
    return data


def write_mmsa(folder: Path) -> Files:
    source = folder / "data.pkl"
    source.write_bytes(pickle.dumps(small_file()))
    convert_mmsa(source, folder / "mosi.h5")
    source.unlink()
    return [(folder / "mosi.h5", BINARY)]


def read_mmsa(folder: Path) -> Release:
    corpus = CORPORA["mmsa_mosi"]
    release = corpus.read(folder)
    for features in corpus.features.values():
        for _, vector, _ in features.read(folder, release.utterances):
            assert vector.shape == (1, features.dim)
            assert abs(vector).max() < float("inf")
    return release


def write_pickle(folder: Path) -> Files:
    path = folder / "data.pkl"
    path.write_bytes(pickle.dumps(small_file()))
    return [(path, BINARY)]


def read_pickle(folder: Path) -> None:
    target = folder / "out.h5"
    target.unlink(missing_ok=True)
    convert_mmsa(folder / "data.pkl", target)
