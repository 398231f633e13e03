"""What published encoders were trained on: whether they may have met the corpus that is tested.

An encoder that has met a corpus makes its test part easier. Here stands what the model cards (M)
on the Hugging Face hub, the documentation of torchaudio's pipelines (T) or of fairseq (F), or the
papers (P) name, read in November 2026, and nothing else: an encoder without an entry is told as not
stated. "No emotion corpus" is said where the list is closed and has none. Names count in full:
somebody's further training of an encoder is another encoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

NOT_STATED = "not stated: ask whether its training data held the corpus"

_READ = "audiobooks, no emotion corpus"
_LIBRISPEECH = f"LibriSpeech, 960 h of {_READ}"
_LIBRI_LIGHT = f"Libri-Light, 60,000 h of {_READ}"
_BOTH = f"Libri-Light and LibriSpeech, {_READ}"
_MIXED = (
    "Libri-Light (60,000 h), GigaSpeech (10,000 h of audiobooks, podcasts and YouTube) and "
    "VoxPopuli (24,000 h of the European Parliament); no emotion corpus by name, but MSP-Podcast, "
    "CMU-MOSI and CMU-MOSEI come from podcasts and YouTube too"
)
_XLS_R = (
    "436,000 h of VoxPopuli, Multilingual LibriSpeech, Common Voice, VoxLingua107 (YouTube) and "
    "BABEL; no emotion corpus by name, but CMU-MOSI and CMU-MOSEI come from YouTube too"
)
_WHISPER = "680,000 h of audio from the internet that are not listed: it may have met any corpus"
_BERT = "BookCorpus and English Wikipedia; no transcripts of an emotion corpus by name"
_ROBERTA = (
    "BookCorpus, English Wikipedia, CC-News, OpenWebText and Stories; published transcripts may "
    "stand on their web pages"
)

EXPOSURE: Mapping[str, str] = {
    "facebook/wav2vec2-base": _LIBRISPEECH,  # M, T
    "facebook/wav2vec2-base-960h": _LIBRISPEECH,  # M, T
    "facebook/wav2vec2-large": _LIBRISPEECH,  # T
    "facebook/wav2vec2-large-960h": _LIBRISPEECH,  # T
    "facebook/wav2vec2-large-lv60": _LIBRI_LIGHT,  # T
    "facebook/wav2vec2-large-960h-lv60": _BOTH,  # T
    "facebook/wav2vec2-large-robust": (  # M
        "Libri-Light, Common Voice, and the telephone conversations of Switchboard and Fisher; no "
        "emotion corpus"
    ),
    "facebook/wav2vec2-large-xlsr-53": (  # T
        "56,000 h of Multilingual LibriSpeech, Common Voice and BABEL, no emotion corpus"
    ),
    **{f"facebook/wav2vec2-xls-r-{size}": _XLS_R for size in ("300m", "1b", "2b")},  # M, T
    "facebook/hubert-base-ls960": _LIBRISPEECH,  # T
    "facebook/hubert-large-ll60k": _LIBRI_LIGHT,  # M, T
    "facebook/hubert-xlarge-ll60k": _LIBRI_LIGHT,  # M, T
    "facebook/hubert-large-ls960-ft": _BOTH,  # M, T
    "facebook/hubert-xlarge-ls960-ft": _BOTH,  # M, T
    "facebook/data2vec-audio-large": f"LibriSpeech, {_READ}",  # M
    "facebook/data2vec-audio-base-100h": f"LibriSpeech, {_READ}",  # M
    "microsoft/wavlm-base": _LIBRISPEECH,  # M, T
    "microsoft/wavlm-base-plus": _MIXED,  # M, T; the sources of GigaSpeech: P
    "microsoft/wavlm-large": _MIXED,  # T
    **{
        f"openai/whisper-{size}{language}": _WHISPER  # M, P
        for size in ("tiny", "base", "small", "medium")
        for language in ("", ".en")
    },
    "openai/whisper-large": _WHISPER,  # M, P
    "openai/whisper-large-v2": _WHISPER,  # M, P
    "openai/whisper-large-v3": (  # M
        "5,000,000 h of audio from the internet that are not listed: it may have met any corpus"
    ),
    "audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim": (  # M
        "Libri-Light, Common Voice, Switchboard and Fisher, and MSP-Podcast with its labels"
    ),
    "google-bert/bert-base-uncased": _BERT,  # M
    "bert-base-uncased": _BERT,  # the same under its older name
    "FacebookAI/roberta-base": _ROBERTA,  # P
    "roberta-base": _ROBERTA,
    "FacebookAI/roberta-large": _ROBERTA,  # P
    "roberta-large": _ROBERTA,
}

PUBLISHED: Mapping[str, str] = {
    "wav2vec": f"LibriSpeech, {_READ}",  # F
    "vq_wav2vec": f"LibriSpeech, {_READ}",  # F
    "speech_bert": f"LibriSpeech, {_READ}",  # F
}
"""Upstreams that find their published file by themselves, where ``model.speech.name`` is empty."""


def exposure_of(name: str) -> str:
    """What an encoder was trained on.

    Args:
        name: A hub id, whose case does not matter, or a folder. A folder may hold anything, so what
            is said of it depends on its name.
    """
    known = {key.lower(): text for key, text in EXPOSURE.items()}
    if name.lower() in known:
        return known[name.lower()]
    last = Path(name).name.lower()
    alike = [key for key in EXPOSURE if key.rpartition("/")[2].lower() == last]
    is_folder = name.count("/") != 1 or Path(name).expanduser().is_dir()
    if alike and is_folder:
        return f"if it is `{alike[0]}`, as it is called: {EXPOSURE[alike[0]]}"
    return NOT_STATED
