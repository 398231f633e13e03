"""What the machine of ``safe_pickle.py`` reads with and builds with, and what it refuses to build.

No state reaches NumPy: a type is a short code that is checked, an array is a shape and data that
must need each other exactly.
"""

from __future__ import annotations

import math
import mmap
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

MAX_NAME = 256
"""Bytes of the longest name of a global, and of the longest read that is a copy."""

_MAX_DEPTH = 32

DTYPE_CODE = re.compile(r"b1|[iu][1248]|f[248]|O[48]|[US][0-9]{1,7}")


class Refusal(Exception):  # noqa: N818 (a word to the machine's caller, never seen outside)
    """What was found instead of plain data."""


class MappedFile:
    """The part of a binary file's interface that ``pickletools`` uses, over a mapped file.

    Large reads are views and not copies. What the file is too short for is refused unread.
    """

    def __init__(self, data: mmap.mmap) -> None:
        self._view = memoryview(data)
        self._data = data
        self.position = 0

    def read(self, count: int) -> bytes | memoryview:
        """Exactly so many bytes."""
        if not 0 <= count <= self.left:
            raise Refusal(f"{count} bytes announced where the file has {self.left} left")
        found = self._view[self.position : self.position + count]
        self.position += count
        return found if count > MAX_NAME else found.tobytes()

    def readline(self) -> bytes:
        """A line that is no longer than a name."""
        end = self._data.find(b"\n", self.position, self.position + MAX_NAME)
        if end < 0:
            raise Refusal("a name without an end")
        return bytes(self.read(end + 1 - self.position))

    @property
    def left(self) -> int:
        """Bytes up to the end of the file."""
        return len(self._view) - self.position


@dataclass(frozen=True, slots=True)
class Name:
    """What a global stands for, a key of ``_Machine._call``."""

    word: str


@dataclass(slots=True, eq=False)
class Dtype:
    """A plain array type, whose byte order comes as its state.

    Attributes:
        code: One that ``DTYPE_CODE`` knows.
        order: Byte order, empty before it is known.
    """

    code: str
    order: str = ""

    def to_numpy(self) -> np.dtype[Any]:
        """The type."""
        return np.dtype(self.order.replace("|", "") + self.code)


@dataclass(slots=True, eq=False)
class Array:
    """An array whose state has not come yet; then its values."""

    values: np.ndarray[Any, np.dtype[Any]] | None = None


@dataclass(slots=True)
class Allowance:
    """Bytes that may still be made out of the file's own.

    A value takes a byte or more of the file, and at most 8 bytes of an array of objects.
    """

    num_bytes: int

    def take(self, num_bytes: int) -> None:
        """Count bytes that are about to be made."""
        self.num_bytes -= num_bytes
        if self.num_bytes < 0:
            raise Refusal("the same data unfolded over and over")


def fill(
    shape: tuple[Any, ...],
    dtype: Dtype,
    order: str,
    data: Any,
    allowance: Allowance,
) -> np.ndarray[Any, np.dtype[Any]]:
    """Values of the given shape, which must need exactly the data that is there."""
    if len(shape) > 8 or any(type(side) is not int or not 0 <= side < 2**40 for side in shape):
        raise Refusal("an array with sides that are no lengths")
    count = math.prod(shape)
    if dtype.code.startswith("O"):
        if type(data) is not list or len(data) != count or (order == "F" and len(shape) > 1):
            raise Refusal("an array of objects that is no list of as many")
        allowance.take(8 * count)
        objects: np.ndarray[Any, np.dtype[Any]] = np.empty(count, dtype=object)
        for index, value in enumerate(data):
            objects[index] = value
        return objects.reshape(shape)
    kind = dtype.to_numpy()
    if not kind.itemsize or not isinstance(data, bytes | memoryview):
        raise Refusal("an array without data")
    if len(data) != count * kind.itemsize:
        raise Refusal(f"an array of {count} values with data for another number")
    values = np.frombuffer(data, kind, count) if count else np.empty(0, kind)
    if kind.kind == "U" and np.any(values.view(f"{kind.byteorder}u4") > 0x10FFFF):
        raise Refusal("text with characters that do not exist")
    if kind.kind == "b" and np.any(values.view("u1") > 1):
        raise Refusal("truth values other than 0 and 1")
    return values.reshape(shape, order="F" if order == "F" else "C")


def told(value: object) -> str:
    """A value in an error."""
    return {"Name": "a global", "Dtype": "an array type", "Array": "an array"}.get(
        type(value).__name__, f"a value of type {type(value).__name__}"
    )


def resolve(root: Any) -> Any:
    """Put arrays where their placeholders stand, and bytes where views do; each thing once."""
    # beside each result its origin, whose id would else be given to something new
    done: dict[int, tuple[Any, Any]] = {}

    def put(value: Any, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise Refusal(f"data nested more than {_MAX_DEPTH} deep")
        if id(value) in done:
            return done[id(value)][1]
        if isinstance(value, Name | Dtype):
            raise Refusal(f"{told(value)} among the data")
        result = value
        if isinstance(value, Array):
            if value.values is None:
                raise Refusal("an array without values")
            result = value.values
            # before what it holds: a list may hold itself
            done[id(value)] = value, result
            if result.dtype == object:
                flat = result.reshape(-1)
                for index, one in enumerate(flat):
                    flat[index] = put(one, depth + 1)
        elif isinstance(value, memoryview):
            result = value.tobytes()
            done[id(value)] = value, result
        elif isinstance(value, tuple):
            result = tuple([put(one, depth + 1) for one in value])
            done[id(value)] = value, result
        elif isinstance(value, list | dict):
            done[id(value)] = value, result
            for key, one in list(enumerate(value) if isinstance(value, list) else value.items()):
                value[key] = put(one, depth + 1)
        return result

    return put(root, 0)
