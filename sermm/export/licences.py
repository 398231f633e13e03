"""Whether the weights of an upstream may be passed on, as its own model card says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from data_modules.plain_yaml import YamlFileError, parse_yaml

OPEN = ("apache-2.0", "mit", "bsd", "bsd-2-clause", "bsd-3-clause", "cc-by-4.0", "cc0-1.0")
"""Licences, as the hub spells them, that allow copies whoever uses them for whatever."""


@dataclass(frozen=True)
class Licence:
    """What is known of the licence of weights.

    Attributes:
        name: Of the model.
        spdx: As its card says; empty if it says nothing.
        reason: Why copies are not allowed; empty if they are.
    """

    name: str
    spdx: str
    reason: str

    @property
    def allows_copies(self) -> bool:
        """Whether the weights may be part of an export."""
        return not self.reason

    @classmethod
    def unknown(cls, name: str) -> Self:
        """Of weights without a card."""
        return cls(name, "", "no model card states a licence")

    @classmethod
    def pickled(cls, name: str) -> Self:
        """Of weights that there are in a format that can run code alone."""
        return cls(name, "", "it has no safetensors, and pickles are not passed on")


def licence_of(name: str, revision: str | None = None) -> Licence:
    """The licence in the model card (``README.md``) of a folder or of a hub's local copy."""
    folder = Path(name).expanduser()
    if not folder.is_dir():
        from huggingface_hub import hf_hub_download

        try:
            folder = Path(hf_hub_download(name, "README.md", revision=revision)).parent
        except Exception as error:
            # the hub's errors have no common type; none of them tells a licence
            return Licence(name, "", f"its model card cannot be had ({type(error).__name__})")
    card = folder / "README.md"
    if not card.is_file():
        return Licence.unknown(name)
    spdx = _stated(card.read_text(encoding="utf-8", errors="replace"))
    if spdx in OPEN:
        return Licence(name, spdx, "")
    why = f"its licence is {spdx}" if spdx else "its model card states no licence"
    return Licence(name, spdx, why)


def _stated(text: str) -> str:
    """The licence in the metadata at the head of a card."""
    if not text.startswith("---\n"):
        return ""
    head = text[4:].partition("\n---")[0]
    try:
        stated = parse_yaml(head)
    except YamlFileError:
        return ""
    value = stated.get("license") if isinstance(stated, dict) else None
    return value.lower() if isinstance(value, str) else ""
