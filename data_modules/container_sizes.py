"""Sizes that video containers state of themselves, since FFmpeg plays what is left of a cut file.

MP4 boxes (ISO/IEC 14496-12, 4.2), RIFF chunks and the segment of Matroska (RFC 9559, 5.1) each
begin with their length.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO

from data_modules.audio import TruncatedMediaError


def expect_stated_size(path: Path) -> None:
    """Check that a video file goes on for as long as its outermost parts say.

    Args:
        path: MP4, MOV, M4A, AVI, Matroska or WebM; anything else passes.

    Raises:
        TruncatedMediaError: It is shorter.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(12)
        if head[4:8] == b"ftyp":
            end = _end_of_boxes(stream, size)
        elif head[:4] == b"RIFF" and head[8:] == b"AVI ":
            end = _end_of_riff(stream, size)
        elif head[:4] == b"\x1a\x45\xdf\xa3":
            end = _end_of_segment(stream)
        else:
            return
    if end > size:
        raise TruncatedMediaError(
            path,
            expected=f"at least {end} bytes, as its header says",
            got=str(size),
            fix="copy the file again from its source",
        )


def _end_of_boxes(stream: IO[bytes], size: int) -> int:
    """Where the last box of an MP4 ends."""
    place = 0
    while place < size:
        stream.seek(place)
        head = stream.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length == 0:
            # the last box may leave its length to the file
            return size
        # also a head that is cut in the middle
        place += max(length, 8)
    return place


def _end_of_riff(stream: IO[bytes], size: int) -> int:
    """Where the last part of an AVI ends; long ones have several."""
    place = 0
    while place < size:
        stream.seek(place)
        head = stream.read(8)
        length = int.from_bytes(head[4:], "little")
        # anything may follow; writers that stream leave no length
        if head[:4] != b"RIFF" or length in (0, 0xFFFFFFFF):
            return min(place, size)
        place += 8 + length
    return place


def _end_of_segment(stream: IO[bytes]) -> int:
    """Where the segment of a Matroska or WebM file ends; 0 where it does not say."""
    place = 0
    while True:
        stream.seek(place)
        head = stream.read(12)
        if len(head) < 5:
            return 0
        id_length = 9 - head[0].bit_length()
        length_bytes = 9 - head[id_length].bit_length() if id_length <= 4 else 9
        body = head[id_length : id_length + length_bytes]
        if length_bytes > 8 or len(body) < length_bytes:
            return 0
        bits = 7 * length_bytes
        length = int.from_bytes(body, "big") & ((1 << bits) - 1)
        unknown = length == (1 << bits) - 1
        is_segment = head[:id_length] == b"\x18\x53\x80\x67"
        place += id_length + length_bytes + length
        if is_segment or unknown:
            return 0 if unknown else place
