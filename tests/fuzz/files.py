"""Files that sermm itself writes, and those of aligners: whoever edits or damages them is told."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from data_modules.aligner_record import read_records, record_path
from data_modules.cache import FeatureStore
from data_modules.corpora import CORPORA, Note
from data_modules.download.record import RECORD, SUMS, Record, find_whole, list_sums, write_record
from data_modules.download.sources import SOURCES, Source
from data_modules.errors import SermmError
from data_modules.manifest import Exclusion, Utterance, Word, read_manifest, write_manifest
from data_modules.media import MediaFacts
from data_modules.prepare import prepare
from data_modules.prepared import Prepared, load_prepared, manifest_path, write_prepared
from data_modules.ready import load_ready, read_ready
from data_modules.store_description import DESCRIPTION_FILE
from data_modules.textgrid import choose_tier, read_textgrid, tier_words
from data_modules.textgrid_words import words_from_textgrids
from tests.data_modules.feature_store import KEYS, description, fill, frames_of
from tests.data_modules.test_textgrid import GRID, POINTS, long_format, short_format
from tests.fuzz.books import Files
from tests.fuzz.corpora_features import write_mosi_vectors
from tests.fuzz.mutate import BINARY, JSON, TEXT
from tests.fuzz.run import Parser


def utterance(number: int) -> Utterance:
    return Utterance(
        id=f"u{number}",
        corpus="ravdess",
        audio=f"Actor_01/u{number}.wav",
        start_s=0.0,
        end_s=1.5,
        sample_rate=16_000,
        speaker=f"0{number % 3}",
        text="Kids are talking",
        words=(Word("kids", 0.1, 0.5, "corpus"), Word("are", 0.5, 0.75, "ctc")),
        labels={"category": "calm", "votes": {"calm": 2, "sad": 1}, "rating": 1.5},
    )


def facts(number: int) -> MediaFacts:
    return MediaFacts(
        id=f"u{number}",
        path=f"Actor_01/u{number}.wav",
        size=48_044,
        mtime_ns=1_700_000_000_000_000_000,
        start_s=None,
        end_s=None,
        content_sha256=f"{number:064x}",
        sample_rate=16_000,
        channels=1,
        num_samples=24_000,
        duration_s=1.5,
        peak=0.5,
        rms=0.1,
        clipped_run=0,
    )


# ---------------------------------------------------------------- manifest and what lies beside it


def write_only_manifest(folder: Path) -> Files:
    write_manifest(folder / "ravdess.jsonl", [utterance(number) for number in range(6)])
    return [(folder / "ravdess.jsonl", JSON)]


def read_only_manifest(folder: Path) -> list[Utterance]:
    return list(read_manifest(folder / "ravdess.jsonl"))


def check_manifest(folder: Path, found: list[Utterance]) -> None:
    lines = (folder / "ravdess.jsonl").read_bytes().split(b"\n")
    assert len(found) == sum(bool(line.strip()) for line in lines), "a line is lost"
    copy = folder / "copy.jsonl"
    write_manifest(copy, found)
    assert list(read_manifest(copy)) == found


def make_prepared(folder: Path) -> Prepared:
    return Prepared(
        corpus=CORPORA["ravdess"],
        root=folder / "release",
        cache=folder,
        utterances=[utterance(number) for number in range(4)],
        exclusions=[
            Exclusion("x1", "no audio file", "gone", utterance(7)),
            Exclusion("x2", "file name that cannot be read"),
        ],
        ignored={"songs": ["a.wav", "b.wav"]},
        notes=[Note("u1", "no transcript", "here", 2)],
        media={f"u{number}": facts(number) for number in range(4)},  # type: ignore[arg-type]
        data_sha256="0" * 64,
        num_stated=2,
    )


def write_companions(folder: Path) -> Files:
    prepared = make_prepared(folder)
    write_prepared(prepared)
    record_path(prepared).write_text(json.dumps({"ctc": {"name": "tiny", "sha256": "0" * 64}}))
    base = manifest_path("ravdess", folder)
    suffixes = (".prepare.json", ".media.jsonl", ".exclusions.jsonl", ".aligners.json")
    return [(base.with_suffix(suffix), JSON) for suffix in suffixes]


def read_companions(folder: Path) -> Prepared:
    prepared = load_prepared(CORPORA["ravdess"], folder)
    read_records(prepared)
    return prepared


def check_companions(folder: Path, found: Prepared) -> None:
    base = manifest_path("ravdess", folder)
    lines = base.with_suffix(".exclusions.jsonl").read_bytes().split(b"\n")
    assert len(found.exclusions) == sum(bool(line.strip()) for line in lines), "a line is lost"
    lines = base.with_suffix(".media.jsonl").read_bytes().split(b"\n")
    assert len(found.media) == sum(bool(line.strip()) for line in lines), "a line is lost"
    for one in found.media.values():
        asdict(one)
        assert one.duration_s > 0
        assert np.isfinite([one.rms, one.peak]).all()
        assert one.sample_rate > 0
    # what reads it later: texts are texts, and it can be written again
    assert all(
        isinstance(part, str) for e in found.exclusions for part in (e.id, e.reason, e.detail)
    )
    assert all(isinstance(n.count, int) and n.count > 0 for n in found.notes)
    assert all(isinstance(name, str) for names in found.ignored.values() for name in names)
    assert isinstance(found.num_stated, int)
    cache = folder / "again"
    write_prepared(replace(found, cache=cache))
    again = load_prepared(CORPORA["ravdess"], cache)
    assert (again.utterances, again.exclusions, again.notes, again.ignored) == (
        found.utterances,
        found.exclusions,
        found.notes,
        found.ignored,
    )


# ---------------------------------------------------------------- features


def write_ready(folder: Path) -> Files:
    root = folder / "release"
    root.mkdir()
    write_mosi_vectors(root)
    prepared = prepare(CORPORA["mosi_vectors"], root, folder / "cache")
    read_ready(prepared, "text")
    path = manifest_path("mosi_vectors", folder / "cache").with_suffix(".text.features.json")
    return [(path, JSON)]


def read_ready_record(folder: Path) -> Any:
    prepared = load_prepared(CORPORA["mosi_vectors"], folder / "cache")
    try:
        store = load_ready(prepared, "text")
        loaded = [store.load(one) for one in prepared.utterances if one.id in store.items]
    except SermmError:
        loaded = None
        path = manifest_path("mosi_vectors", folder / "cache").with_suffix(".text.features.json")
        damaged = path.read_bytes()
        # a damaged record is made again, whatever is in it
        found = read_ready(prepared, "text")
        assert len(found.items) == len(prepared.utterances)
        path.write_bytes(damaged)
        raise
    found = read_ready(prepared, "text")
    return store, loaded, found


def check_ready(folder: Path, result: Any) -> None:
    store, loaded, found = result
    assert all(array.shape[1] == store.features.dim for array in loaded)
    for item in (*store.items.values(), *found.items.values()):
        assert isinstance(item.key, str)
        assert type(item.num_frames) is int
        assert type(item.num_replaced) is int


def write_store(folder: Path) -> Files:
    store = FeatureStore.create(folder, description("float16"))
    fill(store, KEYS)
    shards = sorted(store.folder.glob("*.shard"))
    about = store.folder / DESCRIPTION_FILE
    return [(about, JSON), *((shard, BINARY) for shard in shards)]


def read_store(folder: Path) -> Any:
    (about,) = folder.rglob(DESCRIPTION_FILE)
    store = FeatureStore.open(about.parent)
    return {key: store.load(key) for key in KEYS if key in store}, store.verify()


def check_store(folder: Path, result: Any) -> None:
    # what passes the checksums is what was written
    loaded, verified = result
    assert verified == len(loaded)
    for key, array in loaded.items():
        np.testing.assert_array_equal(array, frames_of(key).astype(np.float16).astype(np.float32))


# ---------------------------------------------------------------- downloads


def write_download(folder: Path) -> Files:
    source = some_source()
    (folder / "wav").mkdir()
    for name in ("wav/a.wav", "wav/b.wav", "data.tsv"):
        (folder / name).write_bytes(name.encode() * 10)
    sums = list_sums(folder)
    write_record(folder, source, sums, "2026-01-01T00:00:00Z")
    return [(folder / RECORD, JSON), (folder / SUMS, TEXT)]


def some_source() -> Source:
    return next(iter(SOURCES.values()))


def read_download(folder: Path) -> Record | None:
    return find_whole(some_source(), folder)


def check_download(folder: Path, record: Record | None) -> None:
    assert record is not None
    assert (record.num_files, record.num_bytes) == (3, 260)


# ---------------------------------------------------------------- aligners


def write_grids(folder: Path, encoding: str) -> Files:
    grids = folder / "grids" / "01"
    grids.mkdir(parents=True)
    (grids / "u0.TextGrid").write_bytes(long_format(GRID, POINTS).encode(encoding))
    (grids / "u1.TextGrid").write_bytes(short_format(GRID).encode(encoding))
    kind = TEXT if encoding == "utf-8" else BINARY
    return [(grids / "u0.TextGrid", kind), (grids / "u1.TextGrid", kind)]


def read_grids(folder: Path) -> Any:
    grids = [read_textgrid(path) for path in sorted((folder / "grids").rglob("*.TextGrid"))]
    words = [tier_words(choose_tier(grid, "u0.TextGrid u1.TextGrid")) for grid in grids]
    spoken = [utterance(0), utterance(1)]
    return grids, words, words_from_textgrids(spoken, folder / "grids")


def check_grids(folder: Path, result: Any) -> None:
    grids, words, (utterances, _) = result
    for grid in grids:
        assert 0 <= grid.start_s <= grid.end_s < float("inf")
        for tier in grid.tiers:
            assert all(0 <= one.start_s <= one.end_s < float("inf") for one in tier.intervals)
    assert all(0 <= word.start_s <= word.end_s for found in words for word in found)
    copy = folder / "copy.jsonl"
    write_manifest(copy, utterances)
    assert list(read_manifest(copy)) == utterances


FILE_PARSERS: tuple[Parser, ...] = (
    Parser("manifest", write_only_manifest, read_only_manifest, check_manifest),
    # companions are told of by the manifest's name where they do not fit each other
    Parser(
        "companions", write_companions, read_companions, check_companions, named=("ravdess.jsonl",)
    ),
    # a name that leads nowhere is told of by the store, a width that is another by its shards
    Parser("ready", write_ready, read_ready_record, check_ready, named=(".float32",)),
    Parser("store", write_store, read_store, check_store, named=(".shard",)),
    Parser("download", write_download, read_download, check_download, named=("",)),
    Parser("textgrid", partial(write_grids, encoding="utf-8"), read_grids, check_grids),
    Parser(
        "textgrid_utf16",
        partial(write_grids, encoding="utf-16"),
        read_grids,
        check_grids,
        cases=60,
    ),
)
