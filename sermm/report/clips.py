"""Clips of a corpus inside a page, as ``data:`` addresses: nothing is asked of a server."""

from __future__ import annotations

import base64
import io

from data_modules.errors import MediaError
from data_modules.manifest import Utterance
from data_modules.prepared import Prepared

MOST_SECONDS = 20.0
"""Longer clips are left out, and said so."""


def embed(
    prepared: Prepared, utterance: Utterance, room: int, most_seconds: float = float("inf")
) -> tuple[str, str]:
    """A clip as a FLAC file at 16 kHz in a ``data:`` address, or why there is none.

    Args:
        prepared: The corpus.
        utterance: With audio.
        room: Letters that there is room for.
        most_seconds: Longer clips are left out.

    Returns:
        The address, or an empty text and the reason.
    """
    import soundfile

    from data_modules.audio import SAMPLE_RATE, load_audio

    if utterance.duration_s > most_seconds:
        return "", f"its {utterance.duration_s:.0f} s would make the page too large"
    try:
        waveform = load_audio(prepared.audio_path(utterance), utterance.start_s, utterance.end_s)
    except MediaError as error:
        return "", f"its audio cannot be read any more: {error.got}"
    stream = io.BytesIO()
    soundfile.write(stream, waveform, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    text = "data:audio/flac;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
    return (text, "") if len(text) <= room else ("", "its audio would make the page too large")
