"""Which clips are computed together.

Clips of like length make a batch, filled up to a budget of seconds, padding included. The batches
follow from the whole list of clips and not from what a store lacks, so that an extraction which was
interrupted, or is shared out over processes, computes each clip beside the same others.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from data_modules.audio import Array

SAMPLE_RATE = 16_000


@dataclass(frozen=True)
class Clip:
    """One clip to extract.

    Attributes:
        utterance_id: For messages.
        key: Hash of its decoded samples (``audio.content_hash``).
        num_samples: At 16 kHz.
        load: Gives its samples ``(N,)``, float32, 16 kHz, mono. Called in worker threads.
    """

    utterance_id: str
    key: str
    num_samples: int
    load: Callable[[], Array]


@dataclass(frozen=True)
class Share:
    """The part of the batches that one of several processes computes.

    Attributes:
        index: Which, from 0.
        count: Of how many.
    """

    index: int = 0
    count: int = 1


def plan_batches(
    clips: Sequence[Clip], *, budget_s: float, least_samples: int = 0
) -> list[list[Clip]]:
    """Batches of clips of like length; each content is in one of them.

    The longest clips come first, so that a lack of memory shows at once; the other batches follow
    in an order that is mixed, and always the same, so that the time left can be told.

    Args:
        clips: All clips, those that are stored included.
        budget_s: Most seconds of a batch: its number of clips times the longest. A longer clip is
            a batch of its own. 0: every clip is.
        least_samples: A shorter clip costs as much as one of this length.
    """
    known = list({clip.key: clip for clip in reversed(clips)}.values())[::-1]
    if not budget_s:
        return [[clip] for clip in known]
    budget = budget_s * SAMPLE_RATE
    batches: list[list[Clip]] = []
    room = 0
    for clip in sorted(known, key=lambda clip: (-clip.num_samples, clip.key)):
        if room < 1:
            batches.append([])
            room = max(1, int(budget // max(1, clip.num_samples, least_samples)))
        batches[-1].append(clip)
        room -= 1
    others = batches[1:]
    random.Random(0).shuffle(others)
    return batches[:1] + others


def share_of(batches: Sequence[list[Clip]], share: Share) -> list[list[Clip]]:
    """Every n-th batch."""
    return list(batches[share.index :: share.count])
