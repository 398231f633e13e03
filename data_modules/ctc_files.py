"""Which files a CTC model consists of, and which weights exactly. Imports no torch."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass

from data_modules.pretrained import find_checkpoint

_FILES = (
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "*token*.json",
    "vocab.json",
    "*.safetensors",
    "*.safetensors.index.json",
)
_OLD_FILES = (*_FILES[:-2], "pytorch_model*.bin", "pytorch_model.bin.index.json")

CHUNK_S = 30.0
"""Longer clips are read in chunks of this length: memory grows with the square of it."""

VERSION = 1
"""Raised when the same model and audio give other word times."""


@dataclass(frozen=True)
class CtcFiles:
    """Which weights: for the record, since the name of a folder or a branch can move on.

    Attributes:
        name: A folder or a hub id, as the user gave it.
        revision: Of a hub id, as the user gave it.
        commit: Of a hub id.
        sha256: Over configuration, vocabulary and weights.
        folder: Where they are.
    """

    name: str
    revision: str | None
    commit: str | None
    sha256: str
    folder: str

    @classmethod
    def find(cls, name: str, revision: str | None = None, *, where: str) -> CtcFiles:
        """Look for a model, on the hub if need be.

        Args:
            name: A folder, or a hub id such as ``facebook/wav2vec2-base-960h``.
            revision: Branch, tag or commit of a hub id.
            where: What the error names.

        Raises:
            ModelError: There is none, or the hub cannot be reached.
        """
        folder = find_checkpoint(name, revision, patterns=_FILES, where=where)
        patterns = _FILES
        if not any(folder.glob("*.safetensors")):
            patterns = _OLD_FILES
            folder = find_checkpoint(name, revision, patterns=patterns, where=where)
        digest = hashlib.sha256()
        for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
            with path.open("rb") as stream:
                digest.update(path.name.encode())
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        commit = folder.name if folder.parent.name == "snapshots" else None
        return cls(name, revision, commit, digest.hexdigest(), str(folder))

    def record(self, language: str) -> dict[str, object]:
        """What word times of this model depend on; equal records give equal times.

        Args:
            language: ISO 639-1 code of the transcripts, which says how numbers are spelled out.
        """
        named = {key: value for key, value in asdict(self).items() if key != "folder"}
        return {**named, "language": language, "version": VERSION}
