"""Reading a tree of made CMU-MOSEI files, and what a release says by id."""

from __future__ import annotations

from pathlib import Path

from data_modules.corpora import CORPORA, Release, cmu
from data_modules.corpora.cmu_files import read_folds
from data_modules.manifest import Utterance
from tests.data_modules import csd_tree as tree
from tests.data_modules.csd_tree import VideoSpec

MOSEI = CORPORA["mosei"]
FOLDS = read_folds("mosei")
TRAIN, VAL, TEST = (
    [video for video, own in FOLDS.items() if own == part] for part in ("train", "val", "test")
)
PLAIN = (0.0,) * 7


def read(root: Path, *videos: VideoSpec, **options: object) -> Release:
    return MOSEI.read(tree.write_tree(root, "mosei", videos, **options))  # type: ignore[arg-type]


def listed(release: Release) -> dict[str, str]:
    return {exclusion.id: exclusion.reason for exclusion in release.exclusions}


def noted(release: Release) -> dict[str, int]:
    """Remarks by reason; that most videos of the folds are missing goes without saying."""
    return {reason: n for reason, n in release.counts.items() if reason != cmu.NO_LABELS}


def by_id(release: Release) -> dict[str, Utterance]:
    return {utterance.id: utterance for utterance in release.utterances}
