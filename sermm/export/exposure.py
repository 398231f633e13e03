"""What published encoders were trained on: whether they knew the corpus that is tested.

Taken from their model cards and papers. An encoder that is not here is told as unknown: an
encoder that has seen a corpus makes its test part easier.
"""

from __future__ import annotations

from collections.abc import Mapping

EXPOSURE: Mapping[str, str] = {
    "wav2vec2-base": "LibriSpeech, 960 h of read audiobooks, no emotion corpus",
    "wav2vec2-large-960h": "LibriSpeech, 960 h of read audiobooks, no emotion corpus",
    "wav2vec2-large-lv60": "Libri-Light, 60,000 h of read audiobooks, no emotion corpus",
    "wav2vec2-xls-r": "VoxPopuli, MLS, Common Voice, VoxLingua107 and BABEL, no emotion corpus",
    "hubert-base": "LibriSpeech, 960 h of read audiobooks, no emotion corpus",
    "hubert-large-ll60k": "Libri-Light, 60,000 h of read audiobooks, no emotion corpus",
    "wavlm-base-plus": "Libri-Light, GigaSpeech and VoxPopuli, 94,000 h, no emotion corpus",
    "wavlm-base": "LibriSpeech, 960 h of read audiobooks, no emotion corpus",
    "wavlm-large": "Libri-Light, GigaSpeech and VoxPopuli, 94,000 h, no emotion corpus",
    "data2vec-audio": "LibriSpeech, 960 h of read audiobooks, no emotion corpus",
    "whisper": "hundreds of thousands of hours from the web that are not published: it may have "
    "heard the corpus, films and series in it above all",
    "emotion2vec": "emotion corpora, among them some that are commonly tested on",
    "wav2vec2-large-robust-12-ft-emotion-msp-dim": "MSP-Podcast, with its labels",
    "bert-base": "English books and Wikipedia, no transcripts of emotion corpora on purpose",
    "roberta": "books, Wikipedia, news and web pages: published transcripts may be among them",
}


def exposure_of(name: str) -> str:
    """What an encoder of this name (hub id or folder) was trained on; the longest match counts."""
    found = [known for known in EXPOSURE if known in name.lower()]
    if not found:
        return "not known to sermm: ask whether its training data held the corpus"
    return EXPOSURE[max(found, key=len)]
