"""The feature cache: frames by what was heard and by what computed them, never by a file name.

A store is the folder ``<cache>/features/<upstream fingerprint>.<dtype>``: ``store.json`` says what
the frames are, each ``*.shard`` (``shard.py``) holds some of them. Shards are only ever added, each
by a rename, so any number of processes may write and read one store at once, and a process that is
killed leaves what it had confirmed. Several copies of an item are harmless: they are equal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

import numpy as np

from data_modules.atomic import write_json
from data_modules.errors import CacheError
from data_modules.shard import SUFFIX, Shard, write_shard
from data_modules.store_description import (
    DESCRIPTION_FILE,
    Array,
    DType,
    FloatArray,
    StoreDescription,
    encode,
    read_description,
    widen,
)

__all__ = ["DType", "FeatureStore", "StoreDescription", "StoreWriter", "features_folder"]

# how much a writer gathers before it writes a shard and confirms what is in it
_SHARD_BYTES = 64 * 2**20


def features_folder(cache: Path) -> Path:
    """Where the stores of a cache lie."""
    return cache / "features"


class FeatureStore:
    """Frames of many clips, on disk.

    Open one with :meth:`create` or :meth:`open`. It can be handed to loader processes: each maps
    the shards for itself.

    Args:
        folder: The store's folder, with a ``store.json`` that says ``description``.
        description: What the frames are.

    Raises:
        CacheError: A shard is cut short or damaged.
    """

    def __init__(self, folder: Path, description: StoreDescription) -> None:
        self.folder = folder
        self.description = description
        self._shards: dict[str, Shard] = {}
        self._where: dict[str, Shard] = {}
        self.refresh()

    @classmethod
    def create(cls, cache: Path, description: StoreDescription) -> FeatureStore:
        """Open the store of a description, made first where there is none.

        Raises:
            CacheError: The folder holds something else, is damaged or cannot be written.
        """
        folder = features_folder(cache) / description.folder_name
        if not (folder / DESCRIPTION_FILE).is_file():
            try:
                write_json(folder / DESCRIPTION_FILE, asdict(description))
            except OSError as error:
                raise _cannot_write(folder, error) from None
        store = cls.open(folder)
        # as JSON, which knows no tuples
        if asdict(store.description) != json.loads(json.dumps(asdict(description))):
            raise CacheError(
                folder / DESCRIPTION_FILE,
                expected=f"the description of {description.upstream}",
                got=f"another one, of {store.description.upstream}",
                fix=f"delete the folder {folder}; its features are computed again",
            )
        return store

    @classmethod
    def open(cls, folder: Path) -> FeatureStore:
        """Open a store that is there.

        Raises:
            CacheError: There is none, or it is damaged.
        """
        return cls(folder, read_description(folder))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.folder, self.description)

    def refresh(self) -> None:
        """See the shards that other processes added since.

        Raises:
            CacheError: A new shard is cut short or damaged.
        """
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            if path.name not in self._shards:
                try:
                    shard = Shard(path, frame_bytes=self.description.frame_bytes)
                except FileNotFoundError:
                    continue  # pruned since the folder was listed
                self._shards[path.name] = shard
                for key in shard.entries:
                    self._where.setdefault(key, shard)

    def __contains__(self, key: object) -> bool:
        return key in self._where

    def __len__(self) -> int:
        return len(self._where)

    @property
    def num_bytes(self) -> int:
        """Bytes of all shards."""
        return sum(shard.num_bytes for shard in self._shards.values())

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Those of ``keys`` that no shard holds now, each once, in their order."""
        self.refresh()
        return [key for key in dict.fromkeys(keys) if key not in self._where]

    def num_frames(self, key: str) -> int:
        """F of a clip. Raises as :meth:`read`."""
        return self._shard_of(key).entries[key].num_frames

    def read(self, key: str) -> Array:
        """Stored frames of a clip, as a read-only view of the mapped file.

        Args:
            key: Hash of the decoded audio.

        Returns:
            ``(F, K * D)`` of the stored type; bfloat16 as its bits in uint16.

        Raises:
            CacheError: The store does not hold the clip, or its bytes are not those that were
                written; looked at when this process reads it for the first time.
        """
        shard = self._shard_of(key)
        shard.expect_intact(key)
        entry, dim = shard.entries[key], self.description.row_dim
        values = np.frombuffer(
            shard.bytes,
            dtype=self.description.storage_type,
            count=entry.num_frames * dim,
            offset=entry.offset,
        )
        return values.reshape(entry.num_frames, dim)

    def load(self, key: str, layers: Sequence[int] | None = None) -> FloatArray:
        """Frames of a clip as a new float32 array. Raises as :meth:`read`.

        Args:
            key: Hash of the decoded audio.
            layers: Which of the stored layers, by their places 0 to K - 1; None for all. Others
                are not copied.

        Returns:
            ``(F, K * D)``, K the number of layers that were asked for, in their order.
        """
        stored, description = self.read(key), self.description
        if layers is not None:
            rows = stored.reshape(len(stored), description.num_layers, description.dim)
            stored = rows[:, list(layers)].reshape(len(stored), -1)
        return widen(stored, description.dtype)

    def _shard_of(self, key: str) -> Shard:
        if key not in self._where:
            self.refresh()
        if key not in self._where:
            raise CacheError(
                self.folder,
                expected=f"features of the clip with content {key[:12]}",
                got="none",
                fix="run `sermm extract` for this experiment",
            )
        return self._where[key]

    def writer(self, *, shard_bytes: int = _SHARD_BYTES) -> StoreWriter:
        """Add items, see :class:`StoreWriter`."""
        return StoreWriter(self, shard_bytes=shard_bytes)

    def verify(self) -> int:
        """Read every item and compare it with its checksum.

        Returns:
            How many items there are, copies included.

        Raises:
            CacheError: Some are damaged; names the shard.
        """
        self.refresh()
        for shard in self._shards.values():
            shard.verify()
        return sum(len(shard.entries) for shard in self._shards.values())


class StoreWriter:
    """Gathers items and writes them as shards. Used as a context; one per process or thread.

    What :meth:`flush` has returned for is confirmed: it survives a kill and a loss of power. The
    end of the context flushes, also when an exception ends it, since what was computed is right.

    Args:
        store: Where to write.
        shard_bytes: Flush by itself once this much was gathered; also what it holds in memory.
    """

    def __init__(self, store: FeatureStore, *, shard_bytes: int) -> None:
        self.store = store
        self.shard_bytes = shard_bytes
        self._items: dict[str, tuple[int, bytes]] = {}
        self._num_bytes = 0

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.flush()

    def add(self, key: str, frames: FloatArray) -> None:
        """Gather the frames of a clip; nothing happens if it is gathered or stored already.

        Args:
            key: Hash of the decoded audio.
            frames: ``(F, K * D)`` floats, F at least 1.

        Raises:
            CacheError: A value is not finite in the stored type, or a shard cannot be written.
        """
        self.add_all({key: frames})

    def add_all(self, items: Mapping[str, FloatArray]) -> None:
        """As :meth:`add` for several clips, which go into one shard."""
        for key, frames in items.items():
            self._gather(key, frames)
        if self._num_bytes >= self.shard_bytes:
            self.flush()

    def _gather(self, key: str, frames: FloatArray) -> None:
        description = self.store.description
        if frames.ndim != 2 or len(frames) < 1 or frames.shape[1] != description.row_dim:
            raise ValueError(f"frames are (F >= 1, {description.row_dim}), got {frames.shape}")
        if key in self._items or key in self.store:
            return
        data = encode(frames, description, key)
        self._items[key] = len(frames), data
        self._num_bytes += len(data)

    def flush(self) -> None:
        """Write what was gathered as a shard; returns when it is safely on the disk.

        Raises:
            CacheError: The disk is full or cannot be written. What was gathered is lost, no half
                shard is left, and what was confirmed before stays.
        """
        if not self._items:
            return
        items = [(key, num_frames, data) for key, (num_frames, data) in self._items.items()]
        self._items, self._num_bytes = {}, 0
        try:
            write_shard(self.store.folder, items)
        except OSError as error:
            raise _cannot_write(self.store.folder, error) from None
        self.store.refresh()


def _cannot_write(folder: Path, error: OSError) -> CacheError:
    return CacheError(
        folder,
        expected="room and permission to write features",
        got=error.strerror or str(error),
        fix="free disk space or choose another data.cache; what was stored before is kept",
    )
