"""The features of an experiment: filling in what its store lacks, and saying so."""

from __future__ import annotations

from collections.abc import Container

from data_modules.manifest import Utterance
from data_modules.prepare import Prepared
from sermm.config import Config
from sermm.extract import ExtractionReport, clips_of, estimate_bytes, extract, missing_clips
from sermm.features import open_features, stored_upstream
from sermm.terminal import progress_bar, say


def extract_missing(
    config: Config, prepared: Prepared, ids: Container[str] | None = None
) -> ExtractionReport | None:
    """Compute and store the features that are not there yet; None if all are.

    Args:
        config: Says which features.
        prepared: Corpus.
        ids: Utterances that are needed; None: all.

    Raises:
        CacheError: The store is damaged or there is no room.
        DataError: A clip cannot be read, or changed since it was prepared.
    """
    upstream = stored_upstream(config)
    store = open_features(config, upstream).store
    wanted = [u for u in _spoken(prepared) if ids is None or u.id in ids]
    clips = clips_of((prepared.media_facts(u) for u in wanted), prepared.root)
    missing = missing_clips(clips, store)
    if not missing:
        return None
    size = estimate_bytes(upstream, missing, store) / 2**20
    say(f"{upstream.name}: {len(missing)} clips, about {size:.0f} MiB in {store.folder}")
    with progress_bar(f"computing {upstream.name}") as on_progress:
        report = extract(upstream, clips, store, on_progress=on_progress)
    if report.short_clips:
        say(
            f"{len(report.short_clips)} clips are shorter than a window and were filled up with "
            "zeros",
            style="yellow",
        )
    if report.long_clips:
        say(
            f"{len(report.long_clips)} clips are longer than {upstream.name} takes at once and "
            "were computed in overlapping pieces",
            style="yellow",
        )
    return report


def _spoken(prepared: Prepared) -> list[Utterance]:
    return [utterance for utterance in prepared.utterances if utterance.audio is not None]
