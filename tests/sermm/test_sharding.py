"""Which layers are gathered by themselves, and what divided weights do not go with.

Whether they train and resume as whole ones is in ``test_ddp.py``.
"""

from __future__ import annotations

import pytest
from torch import nn
from transformers import PreTrainedModel

from data_modules.errors import ConfigError
from sermm.compose import load_config
from sermm.sharding import ShardedStrategy, build_strategy, encoder_layers
from tests.sermm.upstreams.speech_models import Models

FSDP = ("trainer.strategy=fsdp", "trainer.devices=2")


def test_layers_of_speech_encoders_are_the_transformers(models: Models) -> None:
    """Convolutions over the waveform are a list of modules, too."""
    for family in ("wav2vec2, group norm", "wavlm, layer norm", "wav2vec2-bert"):
        upstream = models.load(family)
        (encoder,) = (m for m in upstream.modules() if isinstance(m, PreTrainedModel))
        layers = encoder_layers(encoder)
        assert layers
        assert all("Layer" in type(layer).__name__ for layer in layers), family
        assert all(hasattr(layer, "attention") or hasattr(layer, "self_attn") for layer in layers)
    assert encoder_layers(nn.Linear(2, 2)) == []


def test_strategies() -> None:
    assert build_strategy("ddp", 4) == "ddp"
    assert isinstance(build_strategy("fsdp", 4), ShardedStrategy)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("trainer.devices=1", "trainer.devices: expected at least 2 with trainer.strategy=fsdp"),
        ("trainer.precision=16-mixed", "trainer.precision: expected 32-true, bf16-mixed"),
        ("model.pooling=ecapa", "model.pooling: expected another than ecapa for fsdp"),
    ],
)
def test_what_divided_weights_do_not_go_with(more: str, message: str) -> None:
    load_config("acoustic_demo", FSDP)
    with pytest.raises(ConfigError, match=message):
        load_config("acoustic_demo", [*FSDP, more])
