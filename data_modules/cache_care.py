"""Looking after a feature cache: what it holds, and removing what is of no use."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Iterable
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
class Useless:
    """A file, or a whole store, that may be removed.

    Attributes:
        path: Which.
        num_bytes: Its size, as it was found.
        reason: Why.
    """

    path: Path
    num_bytes: int
    reason: str


@dataclass(frozen=True)
class CacheCheck:
    """What reading a whole cache showed.

    Attributes:
        num_files: Shards read.
        num_items: Intact items in them, copies included.
        problems: One for each damaged file.
    """

    num_files: int
    num_items: int
    problems: list[CacheError]


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


def check_stores(
    cache: Path, *, on_progress: Callable[[int, int], None] | None = None
) -> CacheCheck:
    """Read every item of every store and compare it with its checksum.

    Args:
        cache: The cache.
        on_progress: Called with the number of shards read and of all.
    """
    problems: list[CacheError] = []
    shards: list[tuple[Path, int]] = []
    for folder in sorted(path for path in features_folder(cache).glob("*") if path.is_dir()):
        try:
            frame_bytes = read_description(folder).frame_bytes
        except CacheError as error:
            problems.append(error)
            continue
        shards += [(path, frame_bytes) for path in sorted(folder.glob(f"*{SUFFIX}"))]
    num_items = 0
    for done, (path, frame_bytes) in enumerate(shards, start=1):
        try:
            shard = Shard(path, frame_bytes=frame_bytes)
            shard.verify()
            num_items += len(shard.entries)
        except FileNotFoundError:
            continue  # pruned since the folder was listed
        except CacheError as error:
            problems.append(error)
        if on_progress is not None:
            on_progress(done, len(shards))
    return CacheCheck(len(shards), num_items, problems)


def find_useless(cache: Path, *, stores: Collection[str] = ()) -> list[Useless]:
    """What is of no use: damaged shards, second copies, leftovers of killed processes.

    Every item is read and compared with its checksum.

    Args:
        cache: The cache.
        stores: Names of folders of whole stores that are of no use either.

    Raises:
        CacheError: A name in ``stores`` is not that of a store.
    """
    useless = []
    for name in stores:
        folder = features_folder(cache) / name
        if folder.parent != features_folder(cache) or not (folder / DESCRIPTION_FILE).is_file():
            known = ", ".join(store.folder.name for store in list_stores(cache)) or "no store"
            raise CacheError(folder, expected=known, got="no store", fix="name one of these")
        size = sum(_size(path) for path in folder.iterdir())
        useless.append(Useless(folder, size, "named"))
    for store in list_stores(cache):
        if store.folder.name in stores:
            continue
        useless += _leftovers(store.folder)
        if store.description is not None:
            useless += _useless_shards(store.folder, store.description.frame_bytes)
    return useless


def remove(useless: Iterable[Useless]) -> int:
    """Remove what :func:`find_useless` found; returns the bytes.

    Running it beside writers and readers is safe: an item that is intact stays in at least one
    shard.
    """
    removed = 0
    for item in useless:
        if item.path.is_dir():
            shutil.rmtree(item.path)
        else:
            item.path.unlink(missing_ok=True)
        removed += item.num_bytes
    return removed


def _leftovers(folder: Path) -> list[Useless]:
    before = time.time() - _ABANDONED_S
    leftovers = []
    for path in folder.glob(".*.part"):
        try:
            if path.stat().st_mtime < before:
                leftovers.append(Useless(path, _size(path), "left by a killed process"))
        except FileNotFoundError:
            continue  # a writer finished it just now
    return leftovers


def _useless_shards(folder: Path, frame_bytes: int) -> list[Useless]:
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
        except CacheError as error:
            useless.append(Useless(path, _size(path), f"damaged: {error.got}"))
            continue
        if seen.issuperset(shard.entries):
            useless.append(Useless(path, _size(path), "all of it is in other shards"))
        seen.update(shard.entries)
    return useless
