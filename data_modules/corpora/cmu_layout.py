"""What CMU-MOSI and CMU-MOSEI differ in, without what reads them.

Every command imports the readers of all corpora, so NumPy is left to the moment when one is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from data_modules.corpora.release import ReadyFeatures, Release
from data_modules.manifest import Utterance

if TYPE_CHECKING:
    from data_modules.corpora.release import FeatureArray

COVAREP_DIM = 74
COVAREP_STRIDE_S = 0.01


@dataclass(frozen=True)
class Layout:
    """What the two corpora differ in.

    Attributes:
        corpus: Name of the corpus here.
        title: What people call it.
        columns: Of the labels, in order.
        labels_file: Name of the labels' file, for errors.
        labels: Pattern of its name, in lower-case letters and digits alone.
        words: Pattern of the name of the words' file.
        covarep: Pattern of the name of the file with COVAREP.
    """

    corpus: str
    title: str
    columns: tuple[str, ...]
    labels_file: str
    labels: str
    words: str
    covarep: str

    def read(self, root: Path) -> Release:
        """Read a release (``cmu.py``)."""
        from data_modules.corpora.cmu import read_cmu

        return read_cmu(self, root)

    def covarep_features(self, corpus: str) -> ReadyFeatures:
        """COVAREP as features that come with the corpus; ``corpus`` names it in errors."""
        return ReadyFeatures(
            dim=COVAREP_DIM,
            stride_s=COVAREP_STRIDE_S,
            read=partial(_read, corpus, self.covarep),
            files=partial(_files, self.covarep),
        )


def _read(
    corpus: str, names: str, root: Path, utterances: Sequence[Utterance]
) -> Iterator[tuple[str, FeatureArray, int]]:
    from data_modules.corpora.covarep import read_covarep

    return read_covarep(corpus, names, root, utterances)


def _files(names: str, root: Path) -> Sequence[Path]:
    from data_modules.corpora.covarep import covarep_files

    return covarep_files(names, root)
