"""Features that come with a corpus: read from the release once, then served from the cache.

Beside the manifest, ``CORPUS.NAME.features.json`` says which stored item belongs to which
utterance, how many values were replaced, and what the release's files were like when read.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_modules.atomic import write_json
from data_modules.cache import FeatureStore
from data_modules.corpora import Corpus, ReadyFeatures
from data_modules.errors import CacheError, ConfigError, DataError
from data_modules.manifest import Utterance
from data_modules.plain_json import parse_json
from data_modules.prepared import Prepared, manifest_path
from data_modules.store_description import StoreDescription

_RECORD_VERSION = 1


@dataclass(frozen=True)
class ReadyItem:
    """The features of one utterance.

    Attributes:
        key: Of the stored item: a hash of its values.
        num_frames: How many frames.
        num_replaced: Values that were not finite, and are zero now.
    """

    key: str
    num_frames: int
    num_replaced: int


@dataclass(frozen=True)
class ReadyStore:
    """Features of one name, in the cache.

    Attributes:
        features: What they are.
        items: By utterance id; utterances that the release has none for are absent.
        store: Where the frames are.
    """

    features: ReadyFeatures
    items: Mapping[str, ReadyItem]
    store: FeatureStore

    def load(self, utterance: Utterance) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Frames ``(F, D)`` of an utterance, in memory of their own."""
        return self.store.load(self.items[utterance.id].key)


def find_features(corpus: Corpus, name: str) -> ReadyFeatures:
    """The features of a corpus by name.

    Raises:
        ConfigError: It has none of this name.
    """
    if name in corpus.features:
        return corpus.features[name]
    raise ConfigError(
        "model.speech.features or model.vectors",
        expected=f"features of {corpus.name}: {', '.join(corpus.features) or 'it has none'}",
        got=repr(name),
        fix="choose one of these",
    )


def read_ready(
    prepared: Prepared, name: str, *, on_progress: Callable[[int, int], None] | None = None
) -> ReadyStore:
    """Bring features of the release into the cache, if they are not there as they are now.

    Args:
        prepared: The corpus.
        name: Of the features.
        on_progress: Called with the number of utterances done and of all.

    Raises:
        DataError: The release has none, or cannot be read.
    """
    features = find_features(prepared.corpus, name)
    store = FeatureStore.create(prepared.cache, _description(prepared.corpus, name, features))
    about = {
        "version": _RECORD_VERSION,
        "data_sha256": prepared.data_sha256,
        "files": _files(features, prepared.root),
    }
    path = _record_path(prepared, name, features)
    known = _read_record(path)
    if known is not None and about["files"] and {k: known[k] for k in about} == about:
        items = {key: ReadyItem(*value) for key, value in known["items"].items()}
        # a store that was pruned is filled again
        if not store.missing(item.key for item in items.values()):
            return ReadyStore(features, items, store)
    items = _read(prepared, name, features, store, on_progress)
    record = {key: [i.key, i.num_frames, i.num_replaced] for key, i in items.items()}
    write_json(path, {**about, "items": record})
    store.refresh()
    return ReadyStore(features, items, store)


def load_ready(prepared: Prepared, name: str) -> ReadyStore:
    """What :func:`read_ready` brought into the cache, without looking at the release.

    Raises:
        CacheError: Nothing was brought there.
    """
    features = find_features(prepared.corpus, name)
    path = _record_path(prepared, name, features)
    known = _read_record(path)
    if known is None:
        raise CacheError(
            path,
            expected=f"{name} of {prepared.corpus.name}",
            got="none that can be read",
            fix="run `sermm extract NAME`",
        )
    items = {key: ReadyItem(*value) for key, value in known["items"].items()}
    description = _description(prepared.corpus, name, features)
    return ReadyStore(features, items, FeatureStore.create(prepared.cache, description))


def _read(
    prepared: Prepared,
    name: str,
    features: ReadyFeatures,
    store: FeatureStore,
    on_progress: Callable[[int, int], None] | None,
) -> dict[str, ReadyItem]:
    items: dict[str, ReadyItem] = {}
    wanted = {utterance.id for utterance in prepared.utterances}
    with store.writer() as writer:
        for utterance_id, frames, num_replaced in features.read(prepared.root, prepared.utterances):
            _expect_good(prepared.corpus, name, features, utterance_id, frames, wanted, items)
            values = np.ascontiguousarray(frames, dtype="<f4")
            key = hashlib.sha256(f"{values.shape}".encode() + values.tobytes()).hexdigest()
            if key not in store:
                writer.add(key, values)
            items[utterance_id] = ReadyItem(key, len(values), num_replaced)
            if on_progress is not None:
                on_progress(len(items), len(prepared.utterances))
    if not items:
        raise DataError(
            prepared.root,
            expected=f"{name} of {prepared.corpus.title}",
            got="none for any utterance",
            fix="add these files to the release",
        )
    return items


def _expect_good(
    corpus: Corpus,
    name: str,
    features: ReadyFeatures,
    utterance_id: str,
    frames: np.ndarray[Any, np.dtype[Any]],
    wanted: set[str],
    seen: Mapping[str, ReadyItem],
) -> None:
    """Hold a reader of features to its contract; a breach is a mistake in the reader."""
    one = features.stride_s is None
    good = (
        utterance_id in wanted
        and utterance_id not in seen
        and frames.ndim == 2
        and frames.shape[1] == features.dim
        and (len(frames) == 1 if one else len(frames) >= 1)
        and bool(np.isfinite(frames).all())
    )
    if not good:
        raise ValueError(
            f"{corpus.name} {name}: {utterance_id} has frames of shape {frames.shape}, doubled, "
            f"not finite or unknown; expected (F, {features.dim})"
        )


def _description(corpus: Corpus, name: str, features: ReadyFeatures) -> StoreDescription:
    options = {"corpus": corpus.name, "features": name, "dim": features.dim}
    told = json.dumps([options, features.stride_s, features.version], sort_keys=True)
    stride_s = features.stride_s or 0.0
    return StoreDescription(
        upstream=f"{corpus.name} {name}",
        fingerprint=hashlib.sha256(told.encode()).hexdigest()[:24],
        dim=features.dim,
        dtype="float32",
        frame_stride_s=stride_s,
        first_center_s=stride_s / 2,
        transform_version=features.version,
        options=options,
    )


def _files(features: ReadyFeatures, root: Path) -> list[list[Any]]:
    """Name, size and time of change of the files that are read; none if the reader names none."""
    return [
        [os.path.relpath(path, root), stat.st_size, stat.st_mtime_ns]
        for path in sorted(features.files(root))
        for stat in [path.stat()]
    ]


def _record_path(prepared: Prepared, name: str, features: ReadyFeatures) -> Path:
    path = manifest_path(prepared.corpus.name, prepared.cache)
    origin = f"{name}.{features.origin}" if features.origin else name
    return path.with_suffix(f".{origin}.features.json")


def _read_record(path: Path) -> dict[str, Any] | None:
    """A record that can be used; None if there is none, or a damaged one, which is made again."""
    try:
        record = parse_json(path.read_bytes())
        shapes = all(
            [type(part) for part in value] == [str, int, int] for value in record["items"].values()
        )
        usable = record["version"] == _RECORD_VERSION and shapes and "files" in record
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return record if usable and "data_sha256" in record else None


def without_features(
    utterances: Iterable[Utterance], stores: Sequence[ReadyStore]
) -> dict[str, str]:
    """Utterances that lack some of the features, and which are missing."""
    lacking = {}
    for utterance in utterances:
        missing = [
            store.store.description.upstream for store in stores if utterance.id not in store.items
        ]
        if missing:
            lacking[utterance.id] = ", ".join(missing)
    return lacking
