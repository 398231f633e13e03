"""Looking after a feature cache: what it holds, and removing what is of no use."""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from data_modules.cache import FeatureStore, features_folder
from data_modules.errors import CacheError
from data_modules.shard import SUFFIX, Shard
from data_modules.store_description import DESCRIPTION_FILE, StoreDescription, read_description

# no shard takes this long to write: an older temporary file belongs to a process that was killed
_ABANDONED_S = 3600.0


@dataclass(frozen=True)
class StoreSummary:
    """A store at a glance.

    Attributes:
        folder: Where it lies.
        description: What its frames are; None if that cannot be read.
        num_clips: Clips with features.
        num_bytes: Bytes of all its files.
        problem: Why it cannot be used as it is; empty if it can. Items are not read for this.
    """

    folder: Path
    description: StoreDescription | None
    num_clips: int
    num_bytes: int
    problem: str


@dataclass(frozen=True)
class Pruned:
    """What was removed: number of files and their bytes."""

    num_files: int
    num_bytes: int


def list_stores(cache: Path) -> list[StoreSummary]:
    """Every store of a cache, by name of its folder; none if there is no cache yet."""
    folder = features_folder(cache)
    folders = sorted(path for path in folder.glob("*") if path.is_dir())
    return [_summarise(path) for path in folders]


def _summarise(folder: Path) -> StoreSummary:
    num_bytes = sum(_size(path) for path in folder.iterdir())
    description = None
    try:
        description = read_description(folder)
        num_clips = len(FeatureStore(folder, description))
    except CacheError as error:
        return StoreSummary(folder, description, 0, num_bytes, str(error))
    return StoreSummary(folder, description, num_clips, num_bytes, "")


def _size(path: Path) -> int:
    """Bytes of a file, 0 if another process renamed or removed it just now."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def prune(cache: Path, *, stores: Collection[str] = ()) -> Pruned:
    """Remove what is of no use: damaged shards, second copies, leftovers of killed processes.

    Every item is read and compared with its checksum. Running it beside writers and readers is
    safe: an item that is intact stays in at least one shard.

    Args:
        cache: The cache.
        stores: Names of folders of whole stores to remove as well.

    Raises:
        CacheError: A name in ``stores`` is not that of a store.
    """
    removed: list[int] = []
    for name in stores:
        folder = features_folder(cache) / name
        if folder.parent != features_folder(cache) or not (folder / DESCRIPTION_FILE).is_file():
            known = ", ".join(store.folder.name for store in list_stores(cache)) or "no store"
            raise CacheError(folder, expected=known, got="no store", fix="name one of these")
        removed += [_size(path) for path in folder.iterdir()]
        shutil.rmtree(folder)
    for store in list_stores(cache):
        useless = _leftovers(store.folder)
        if store.description is not None:
            useless += _useless_shards(store.folder, store.description.frame_bytes)
        for path in useless:
            removed.append(_size(path))
            path.unlink(missing_ok=True)
    return Pruned(len(removed), sum(removed))


def _leftovers(folder: Path) -> list[Path]:
    before = time.time() - _ABANDONED_S
    leftovers = []
    for path in folder.glob(".*.part"):
        try:
            if path.stat().st_mtime < before:
                leftovers.append(path)
        except FileNotFoundError:
            continue  # a writer finished it just now
    return leftovers


def _useless_shards(folder: Path, frame_bytes: int) -> list[Path]:
    """Shards that are damaged, or whose every item stands in those that are kept.

    Goes through them in the order of their names, so that two processes keep the same ones.
    """
    useless, seen = [], set[str]()
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            shard = Shard(path, frame_bytes=frame_bytes)
            shard.verify()
        except FileNotFoundError:
            continue
        except CacheError:
            useless.append(path)
            continue
        if seen.issuperset(shard.entries):
            useless.append(path)
        seen.update(shard.entries)
    return useless
