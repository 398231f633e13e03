"""From configuration to the speech part of a model."""

from __future__ import annotations

from sermm.build_facts import FrameStatistics
from sermm.config import Config, ModelConfig, mel_bands
from sermm.nn.augment import FrameAugment, TimeStretch
from sermm.nn.convolution import FrameConvolutions
from sermm.nn.encoders import SpeechEncoder, Standardize
from sermm.nn.recurrent import BiGRU


def build_speech_encoder(
    config: Config, statistics: FrameStatistics, *, recurrent: bool = True
) -> SpeechEncoder:
    """Standardisation, augmentation, convolutions and, if asked for, a recurrent layer."""
    model, augment = config.model, config.model.augment
    convolutions = FrameConvolutions(
        input_size=len(statistics.mean),
        channels=model.conv_channels,
        num_layers=model.conv_layers,
        dropout=model.dropout,
    )
    return SpeechEncoder(
        standardize=Standardize(mean=statistics.mean, std=statistics.std),
        stretch=TimeStretch(share=augment.time_stretch),
        augment=FrameAugment(
            time_masks=augment.time_masks,
            time_mask_share=augment.time_mask_share,
            band_masks=augment.band_masks,
            band_mask_share=augment.band_mask_share,
            noise=augment.noise,
            gain=augment.gain,
            band_warp=augment.band_warp,
            num_bands=mel_bands(config),
        ),
        convolutions=convolutions,
        recurrent=build_recurrent(model, convolutions.output_size) if recurrent else None,
        dropout=model.dropout,
    )


def build_recurrent(model: ModelConfig, input_size: int) -> BiGRU:
    """The recurrent layer that the configuration describes."""
    return BiGRU(
        input_size=input_size,
        hidden_size=model.recurrent_hidden,
        num_layers=model.recurrent_layers,
        dropout=model.dropout,
    )
