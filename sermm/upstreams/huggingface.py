"""Speech encoders of transformers as upstreams: frozen for extraction, or trained with a task.

wav2vec 2.0, HuBERT, WavLM, data2vec-audio, UniSpeech-SAT, wav2vec2-BERT and the encoder of
Whisper, from the hub or a folder. The frames of a clip are those of the clip alone, whatever the
batch; how that is done stands with each family (``waves.py``, ``spectra.py``).
"""

from __future__ import annotations

from sermm.upstreams.architecture import SETTINGS, Architecture, build_encoder, read_encoder
from sermm.upstreams.encoded import EncoderUpstream, Source, digest_of
from sermm.upstreams.encoder import FrameEncoder
from sermm.upstreams.pretrained import OLD_WEIGHT_FILES, WEIGHT_FILES, find_folder

_FILES = (*SETTINGS, *WEIGHT_FILES, *OLD_WEIGHT_FILES)
# of a configuration, what says nothing about the frames
_NO_CONTENT = ("_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version")


class HuggingFaceUpstream(EncoderUpstream):
    """A speech encoder of transformers.

    It comes in evaluation mode, every weight trainable: call it under ``torch.inference_mode`` to
    extract, or freeze it, or train it with what follows. There is no layer drop and no SpecAugment
    in it.

    Args:
        architecture: What the encoder is.
        layers: ``last``, ``mean``, ``all`` or numbers, see ``upstreams/layers.py``.
        chunk_s: Clips longer than this are computed in overlapping pieces; 0: never (Whisper: at
            its own window).
        chunk_overlap_s: What two pieces share, in seconds.
        encoder: With its weights; None builds one with random weights, for a state dict.
        source: Of the weights.

    Raises:
        ConfigError: There is no such layer, or a piece is not longer than the overlap.
    """

    name = "huggingface"
    transform_version = 1

    def __init__(
        self,
        architecture: Architecture,
        *,
        layers: str = "last",
        chunk_s: float = 0.0,
        chunk_overlap_s: float = 1.0,
        encoder: FrameEncoder | None = None,
        source: Source | None = None,
    ) -> None:
        content = {k: v for k, v in architecture.config.items() if k not in _NO_CONTENT}
        super().__init__(
            encoder or build_encoder(architecture),
            {
                "family": architecture.config["model_type"],
                "config_sha256": digest_of(content),
                "extractor_sha256": digest_of(architecture.extractor),
            },
            layers=layers,
            chunk_s=chunk_s,
            chunk_overlap_s=chunk_overlap_s,
            source=source,
        )
        self.architecture = architecture


def load_huggingface(
    *,
    name: str,
    revision: str | None = None,
    layers: str = "last",
    chunk_s: float = 0.0,
    chunk_overlap_s: float = 1.0,
) -> HuggingFaceUpstream:
    """An upstream with pretrained weights.

    Args:
        name: A folder of a checkpoint, or a hub id.
        revision: Branch, tag or commit of a hub id.
        layers: As for :class:`HuggingFaceUpstream`.
        chunk_s: As there.
        chunk_overlap_s: As there.

    Raises:
        ConfigError: As there.
        ModelError: It cannot be found or read, is of no known family, or its weights are not those
            of the encoder.
    """
    where = f"model.speech.name={name}"
    folder = find_folder(name, revision, settings=SETTINGS, where=where)
    architecture, encoder = read_encoder(folder, where=where)
    return HuggingFaceUpstream(
        architecture,
        layers=layers,
        chunk_s=chunk_s,
        chunk_overlap_s=chunk_overlap_s,
        encoder=encoder,
        source=Source.of_files(name, revision, folder, _FILES),
    )
