"""A small speech encoder that has learned nothing yet, to be trained with a task.

The conformer of wav2vec2-BERT (Barrault et al. 2023, arXiv 2312.05187) in a small size: it starts
from log-mel frames, which a small corpus can learn from, unlike from waveforms. Two things differ
from the published sizes: log-mel frames are not normalised by clip and by frame, which takes away
how loud a clip is and which of its words are, and convolutions look back over 140 ms, not 620, so
that the frames of a word tell of that word.
"""

from __future__ import annotations

from sermm.upstreams.architecture import Architecture
from sermm.upstreams.huggingface import HuggingFaceUpstream

_BANDS = 80
_STACKED = 2  # log-mel frames that become one, 20 ms from one to the next
_KERNEL = 7  # frames that a convolution sees, the last one its own


def scratch_upstream(
    *, hidden: int, depth: int, heads: int, dropout: float, layers: str = "last"
) -> HuggingFaceUpstream:
    """An upstream with random weights, drawn from torch's generator.

    Args:
        hidden: Width, a multiple of ``heads``.
        depth: Transformer layers.
        heads: Attention heads.
        dropout: In every place that has one.
        layers: See ``upstreams/layers.py``.

    Raises:
        ConfigError: There is no such layer.
    """
    config = {
        "model_type": "wav2vec2-bert",
        "hidden_size": hidden,
        "num_hidden_layers": depth,
        "num_attention_heads": heads,
        "intermediate_size": 4 * hidden,
        "feature_projection_input_dim": _BANDS * _STACKED,
        "hidden_dropout": dropout,
        "activation_dropout": dropout,
        "attention_dropout": dropout,
        "feat_proj_dropout": 0.0,
        "conformer_conv_dropout": dropout,
        "conv_depthwise_kernel_size": _KERNEL,
        "layerdrop": 0.0,
        "apply_spec_augment": False,
        "mask_time_prob": 0.0,  # else there is a vector for masks that no frame depends on
        "mask_feature_prob": 0.0,
        "keep_level": True,  # no key of transformers
    }
    extractor = {"feature_size": _BANDS, "num_mel_bins": _BANDS, "stride": _STACKED}
    return HuggingFaceUpstream(Architecture(config, extractor), layers=layers)
