"""What the frames of a feature store are, and how a value of them is kept on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from data_modules.errors import CacheError
from data_modules.plain_json import parse_json

Array = np.ndarray[Any, np.dtype[Any]]
FloatArray = np.ndarray[Any, np.dtype[np.float32]]

DType = Literal["float32", "float16", "bfloat16"]
# numpy has no bfloat16: its bits are kept as integers
_STORAGE: Mapping[DType, np.dtype[Any]] = {
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype("<u2"),
}
# far beyond any encoder: a larger one is damage, for which no shard is to blame
_LARGEST_DIM = 1 << 20
DESCRIPTION_FILE = "store.json"


@dataclass(frozen=True)
class StoreDescription:
    """What the frames of a store are.

    Attributes:
        upstream: Name of the upstream.
        fingerprint: Stands for the upstream with its options, weights and version.
        dim: D, values in a frame of one layer.
        dtype: How a value is stored.
        frame_stride_s: Seconds from one frame to the next.
        first_center_s: Seconds from the start of a clip to the centre of its first frame.
        transform_version: Version of the upstream's arithmetic.
        options: What the fingerprint covers, for a reader; of encoders also which layers.
        num_layers: K, layers that are kept apart. A stored row has K * D values, the first layer's
            first.
    """

    upstream: str
    fingerprint: str
    dim: int
    dtype: DType
    frame_stride_s: float
    first_center_s: float
    transform_version: int
    options: Mapping[str, Any] = field(default_factory=dict)
    num_layers: int = 1

    @property
    def row_dim(self) -> int:
        """K * D, values in a stored row."""
        return self.num_layers * self.dim

    @property
    def folder_name(self) -> str:
        """Name of the store's folder."""
        return f"{self.fingerprint}.{self.dtype}"

    @property
    def storage_type(self) -> np.dtype[Any]:
        """Type of a value on disk; bfloat16 is there as its bits in uint16."""
        return _STORAGE[self.dtype]

    @property
    def frame_bytes(self) -> int:
        """Bytes of one stored row."""
        return self.row_dim * self.storage_type.itemsize


def encode(frames: FloatArray, description: StoreDescription, key: str) -> bytes:
    """Bytes of frames in the stored type, little-endian, row by row.

    Args:
        frames: ``(F, K * D)`` floats.
        description: Says the stored type.
        key: Names the clip in the error.

    Raises:
        CacheError: A value is not finite, or too large for the stored type.
    """
    values = np.ascontiguousarray(frames, dtype=np.float32)
    if not np.isfinite(values).all():
        raise CacheError(
            f"{description.upstream} of the clip with content {key[:12]}",
            expected="finite features",
            got=f"{int((~np.isfinite(values)).sum())} that are infinite or not a number",
            fix="look at this clip and at the upstream; nothing was stored for it",
        )
    dtype = description.storage_type
    if description.dtype == "bfloat16":
        bits = values.view(np.uint32)
        # to the nearest, ties to even, as torch rounds
        rounded = bits + 0x7FFF + ((bits >> 16) & 1)
        stored: Array = (rounded >> 16).astype(dtype)
        overflow = bool(((stored & 0x7F80) == 0x7F80).any())
    else:
        with np.errstate(over="ignore"):
            stored = values.astype(dtype)
        overflow = not np.isfinite(stored).all()
    if overflow:
        raise CacheError(
            f"{description.upstream} of the clip with content {key[:12]}",
            expected=f"values that {description.dtype} can hold",
            got=f"{np.abs(values).max():g}",
            fix="store these features as float32",
        )
    return stored.tobytes()


def widen(stored: Array, dtype: DType) -> FloatArray:
    """Stored values as a new float32 array of the same shape."""
    if dtype == "bfloat16":
        # a bfloat16 is the upper half of a float32
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(np.float32)


def _expect_types(description: StoreDescription) -> None:
    kinds = {
        "upstream": (str,),
        "fingerprint": (str,),
        "dim": (int,),
        "dtype": (str,),
        "frame_stride_s": (float, int),
        "first_center_s": (float, int),
        "transform_version": (int,),
        "options": (dict,),
        "num_layers": (int,),
    }
    for name, types in kinds.items():
        if type(getattr(description, name)) not in types:
            raise TypeError(f"{name} is {getattr(description, name)!r}")
    for name in ("dim", "num_layers"):
        if not 0 < getattr(description, name) <= _LARGEST_DIM:
            raise ValueError(f"{name} is {getattr(description, name)}")


def read_description(folder: Path) -> StoreDescription:
    """What the frames of a store are.

    Raises:
        CacheError: There is no store, or its description is damaged or that of another one.
    """
    path = folder / DESCRIPTION_FILE
    fix = f"delete the folder {folder}; its features are computed again"
    try:
        description = StoreDescription(**parse_json(path.read_bytes()))
        _expect_types(description)
    except FileNotFoundError:
        raise CacheError(
            path, expected="a feature store", got="no file", fix="run `sermm extract`"
        ) from None
    except (ValueError, TypeError) as error:
        raise CacheError(
            path, expected="the description of a store", got=str(error), fix=fix
        ) from None
    if description.dtype not in get_args(DType) or description.folder_name != folder.name:
        raise CacheError(
            path, expected=f"the store {folder.name}", got=description.folder_name, fix=fix
        )
    return description
