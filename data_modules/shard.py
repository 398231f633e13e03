"""One file of stored features: written once, whole or not at all, then only read.

Layout, little-endian: 16 bytes of magic; the items, each at a multiple of 64 bytes; the index, a
JSON list of [key, offset, frames, CRC-32]; a trailer of 40 bytes with the offset and the length of
the index, its CRC-32 and the magic again. The index follows the data and the file appears under its
name by a rename, so an item that can be found is there.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

from data_modules.atomic import atomic_path
from data_modules.errors import CacheError

SUFFIX = ".shard"
_MAGIC = b"sermm features 1"
_TRAILER = struct.Struct("<QQQ16s")
# a cache line; also a multiple of every element size
_ALIGNMENT = 64

REMOVE_IT = "delete this file, then `sermm extract` computes its clips again"


@dataclass(frozen=True, slots=True)
class Entry:
    """Where an item stands in its shard.

    Attributes:
        offset: Bytes from the start of the file.
        num_frames: F.
        crc: CRC-32 of its bytes.
    """

    offset: int
    num_frames: int
    crc: int


def write_shard(folder: Path, items: Sequence[tuple[str, int, bytes]]) -> Path:
    """Write items as one new shard and return only when it is safely on the disk.

    Args:
        folder: Where shards are kept.
        items: Key, number of frames and bytes of each item, at least one.

    Returns:
        The file. Its name follows from its content, so writers that race with the same items make
        the same file.

    Raises:
        OSError: The disk is full or cannot be written; nothing is left behind.
    """
    index: list[tuple[str, int, int, int]] = []
    offset = _aligned(len(_MAGIC))
    for key, num_frames, data in items:
        index.append((key, offset, num_frames, zlib.crc32(data)))
        offset = _aligned(offset + len(data))
    encoded = json.dumps(index, separators=(",", ":")).encode()
    path = folder / f"{hashlib.sha256(encoded).hexdigest()[:24]}{SUFFIX}"
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        stream.write(_MAGIC)
        for (_, start, _, _), (_, _, data) in zip(index, items, strict=True):
            _fill(stream, start)
            stream.write(data)
        _fill(stream, offset)
        stream.write(encoded)
        stream.write(_TRAILER.pack(offset, len(encoded), zlib.crc32(encoded), _MAGIC))
        stream.flush()
        os.fsync(stream.fileno())
    _sync_folder(folder)
    return path


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT


def _fill(stream: IO[bytes], offset: int) -> None:
    stream.write(bytes(offset - stream.tell()))


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Shard:
    """A shard, mapped into memory. Reading touches only the pages of what is read.

    Args:
        path: The file.
        frame_bytes: Bytes of one frame.

    Attributes:
        entries: Where each key stands.

    Raises:
        CacheError: The file is cut short, damaged, or no shard of such frames.
        FileNotFoundError: There is no such file.
    """

    def __init__(self, path: Path, *, frame_bytes: int) -> None:
        self.path = path
        self.frame_bytes = frame_bytes
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size < len(_MAGIC) + _TRAILER.size:
                self._refuse("a whole shard", f"a file cut short to {size} bytes")
            self.bytes = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        self.num_bytes = size
        self._intact = set[str]()
        self.entries = self._read_index()

    def _read_index(self) -> dict[str, Entry]:
        offset, length, crc, magic = _TRAILER.unpack(self.bytes[-_TRAILER.size :])
        if magic != _MAGIC:
            self._refuse("a whole shard", "a file that is cut short, or damaged at its end")
        encoded = self.bytes[offset : offset + length]
        if offset + length + _TRAILER.size != self.num_bytes or zlib.crc32(encoded) != crc:
            self._refuse("an index as it was written", "one that differs from its checksum")
        if self.bytes[: len(_MAGIC)] != _MAGIC:
            self._refuse("a whole shard", "a file that is damaged at its start")
        entries = {key: Entry(*where) for key, *where in json.loads(encoded)}
        for key, entry in entries.items():
            if entry.offset + entry.num_frames * self.frame_bytes > offset:
                self._refuse(f"frames of {self.frame_bytes} bytes", f"fewer bytes for {key[:12]}")
        return entries

    def is_intact(self, key: str) -> bool:
        """Whether the bytes of an item are those that were written."""
        entry = self.entries[key]
        end = entry.offset + entry.num_frames * self.frame_bytes
        return zlib.crc32(memoryview(self.bytes)[entry.offset : end]) == entry.crc

    def expect_intact(self, key: str) -> None:
        """Compare an item with its checksum, the first time that it is asked for.

        Raises:
            CacheError: It is damaged.
        """
        if key in self._intact:
            return
        if not self.is_intact(key):
            self._refuse("features as they were written", f"others for {key[:12]}")
        self._intact.add(key)

    def verify(self) -> None:
        """Read every item.

        Raises:
            CacheError: One of them is damaged.
        """
        damaged = [key for key in self.entries if not self.is_intact(key)]
        if damaged:
            self._refuse(
                "features as they were written",
                f"{len(damaged)} of {len(self.entries)} items that differ from their checksum",
            )

    def _refuse(self, expected: str, got: str) -> NoReturn:
        raise CacheError(self.path, expected=expected, got=got, fix=REMOVE_IT)
