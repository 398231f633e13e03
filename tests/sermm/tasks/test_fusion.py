from __future__ import annotations

import pytest
import torch

from data_modules.batch import collate
from sermm.tasks.fusion import AlignedFusionTask, PooledFusionTask
from tests.sermm.tasks.tiny import random_samples, tiny_config, tiny_task

SIZES = [(6, 4), (11, 5), (8, 3)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fusion by span", AlignedFusionTask),
        ("fusion by attention", AlignedFusionTask),
        ("fusion without alignment", PooledFusionTask),
    ],
)
def test_the_text_encoder_is_the_pretrained_part(name: str, expected: type) -> None:
    task = tiny_task(tiny_config(name))
    assert type(task) is expected
    assert task.pretrained() == {"text": task.text}


@pytest.mark.parametrize("name", ["fusion by span", "fusion by span, convolutions"])
def test_word_times_matter_to_span_fusion_alone(name: str) -> None:
    config = tiny_config(name)
    batch = collate(random_samples(config, SIZES))
    assert batch.token_spans is not None
    task = tiny_task(config).eval()
    scores = task(batch)
    batch.token_spans[:, 1] = torch.tensor([0, 1])
    assert not torch.allclose(task(batch), scores)
    with pytest.raises(ValueError, match="word times and the batch has none"):
        task(collate(random_samples(tiny_config("fusion by attention"), SIZES)))


@pytest.mark.parametrize("name", ["fusion by attention", "fusion without alignment"])
def test_other_fusions_need_no_word_times(name: str) -> None:
    config = tiny_config(name)
    batch = collate(random_samples(config, SIZES))
    assert batch.token_spans is None
    assert tiny_task(config).eval()(batch).shape == (3, 3)


@pytest.mark.parametrize(
    "name", ["fusion by span", "fusion by attention", "fusion without alignment"]
)
def test_both_modalities_matter(name: str) -> None:
    config = tiny_config(name)
    batch = collate(random_samples(config, SIZES))
    assert batch.frames is not None
    assert batch.input_ids is not None
    task = tiny_task(config).eval()
    scores = task(batch)
    batch.frames[0, 2] += 3.0
    after_speech = task(batch)
    assert not torch.allclose(after_speech[0], scores[0])
    torch.testing.assert_close(after_speech[1:], scores[1:])
    batch.input_ids[0, 1] = batch.input_ids[0, 1] % 20 + 1
    assert not torch.allclose(task(batch)[0], after_speech[0])


def test_frame_weights() -> None:
    config = tiny_config("fusion by attention")
    batch = collate(random_samples(config, SIZES))
    task = tiny_task(config).eval()
    weights = task.frame_weights(batch)
    assert weights is not None
    assert weights.shape == (3, 5, 6)  # 11 frames are 6 after one convolution
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 5))
    assert not weights[0, :, 3:].any()
    spans = tiny_config("fusion by span")
    assert tiny_task(spans).frame_weights(collate(random_samples(spans, SIZES))) is None
