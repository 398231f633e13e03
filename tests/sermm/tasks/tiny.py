"""Every task in a small size, as the configuration builds it, and batches for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from data_modules.batch import Batch, Sample, collate
from sermm.build_facts import DataFacts, FrameStatistics
from sermm.build_model import build_task
from sermm.config import (
    Config,
    DataConfig,
    EcapaConfig,
    ModelConfig,
    OptimConfig,
    SpeechConfig,
    TextConfig,
    needs_speech,
    needs_text,
    needs_word_times,
    tunes_speech,
)
from sermm.tasks.base import EmotionTask
from sermm.upstreams.architecture import Architecture
from sermm.upstreams.huggingface import HuggingFaceUpstream
from sermm.upstreams.text import build_text_model

CLASSES = ("calm", "angry", "sad")
FRAME_DIM = 4
VOCABULARY = 30
NAN = float("nan")

# name: task, alignment, convolutions
TASKS: dict[str, tuple[str, str, int]] = {
    "linear": ("linear", "span", 0),
    "acoustic": ("acoustic", "span", 0),
    "acoustic, convolutions": ("acoustic", "span", 2),
    "text": ("text", "span", 0),
    "fusion by span": ("fusion", "span", 0),
    "fusion by span, convolutions": ("fusion", "span", 2),
    "fusion by attention": ("fusion", "attention", 1),
    "fusion without alignment": ("fusion", "none", 1),
    "fusion by coattention": ("fusion", "coattention", 1),
}
TRAINED = ", trained upstream"
"""Ends the names of tasks that read waveforms."""
TASKS |= {
    name + TRAINED: TASKS[name]
    for name in TASKS
    if name != "linear" and name != "text" and not name.endswith("convolutions")
}

# wav2vec 2.0 with a group norm; a frame sees 20 samples, the next one begins 10 later
WINDOW, STRIDE = 20, 10
_WAV2VEC2 = {
    "model_type": "wav2vec2",
    "hidden_size": FRAME_DIM,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "conv_dim": [6, 6],
    "conv_kernel": [10, 3],
    "conv_stride": [5, 2],
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "apply_spec_augment": False,
    "initializer_range": 0.3,  # what there is to see is not lost in rounding
    "layerdrop": 0.0,
}


def tiny_config(name: str = "linear", *, frozen: bool = False, **model: Any) -> Config:
    """A configuration; what can be frozen (text, convolutions over waveforms) is, or nothing."""
    task, alignment, conv_layers = TASKS[name]
    if name.endswith(TRAINED):
        model["speech"] = SpeechConfig(
            upstream="huggingface", frozen=False, freeze_front=frozen, normalise="none"
        )
    return Config(
        name="tiny",
        data=DataConfig(corpus="demo", labels="iemocap4", protocol="demo-session5"),
        model=ModelConfig(
            task=task,
            alignment=alignment,
            conv_layers=conv_layers,
            conv_channels=6,
            recurrent_hidden=5,
            text=TextConfig(frozen=frozen),
            ecapa=EcapaConfig([8, 8, 8, 12], [3, 3, 3, 1], [1, 2, 3, 1], 4, 3, 3, 8),
            **model,
        ),
        optim=OptimConfig(class_weights=True),
    )


def tiny_task(config: Config, train_counts: Sequence[int] = (3, 1, 2)) -> EmotionTask:
    """The task of a configuration with random weights from one seed."""
    torch.manual_seed(0)
    size = FRAME_DIM * (2 if config.model.task == "linear" else 1)
    text_model = None
    if needs_text(config):
        text_model = build_text_model(
            {
                "model_type": "bert",
                "vocab_size": VOCABULARY,
                "hidden_size": 8,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "intermediate_size": 16,
                "max_position_embeddings": 16,
            }
        )
    facts = DataFacts(
        names=CLASSES,
        num_train=sum(train_counts),
        train_counts=tuple(train_counts),
        frame_dim=FRAME_DIM,
    )
    statistics = FrameStatistics(torch.linspace(-1, 1, size), torch.linspace(0.5, 2, size))
    speech_model = None
    if tunes_speech(config):
        speech_model = HuggingFaceUpstream(Architecture(_WAV2VEC2, {"do_normalize": True}))
    return build_task(
        config,
        facts,
        statistics=statistics,
        text_model=text_model,
        speech_model=speech_model,
    )


def random_samples(
    config: Config, sizes: Sequence[tuple[int, int]], *, seed: int = 0
) -> list[Sample]:
    """Samples with what the task reads, one for each (frames, word pieces)."""
    generator = torch.Generator().manual_seed(seed)
    samples = []
    for number, (num_frames, num_pieces) in enumerate(sizes):
        frames = torch.randn(num_frames, FRAME_DIM, generator=generator)
        waveform = None
        if tunes_speech(config):
            size = WINDOW + STRIDE * (num_frames - 1) + number % STRIDE
            waveform = torch.randn(size, generator=generator)
        input_ids = torch.randint(1, VOCABULARY, (num_pieces,), generator=generator)
        spans = torch.randint(0, num_frames + 1, (num_pieces, 2), generator=generator)
        spans = spans.sort(dim=1).values
        # special tokens have the whole utterance
        spans[0], spans[-1] = torch.tensor([0, num_frames]), torch.tensor([0, num_frames])
        word_mask = torch.ones(num_pieces, dtype=torch.bool)
        word_mask[[0, -1]] = False
        samples.append(
            Sample(
                utterance_id=f"u{number}",
                speaker=f"s{number % 2}",
                target=torch.tensor(number % len(CLASSES)),
                frames=frames if needs_speech(config) and waveform is None else None,
                waveform=waveform,
                input_ids=input_ids if needs_text(config) else None,
                token_spans=spans if needs_word_times(config) else None,
                word_mask=word_mask if needs_text(config) else None,
            )
        )
    return samples


def with_garbage(samples: Sequence[Sample]) -> Batch:
    """A batch longer than its samples need, with garbage in the padding.

    NaN stands behind frames and waveforms, real ids and spans behind pieces.

    The word mask stays False there: it is what says that they are no words.
    """
    batch = collate([*samples, _longer(samples)])
    num_rows = len(samples)

    def rows(value: Any) -> Any:
        return None if value is None else value[:num_rows].clone()

    batch = Batch(
        **{
            name: rows(value) if isinstance(value, torch.Tensor) else value[:num_rows]
            for name, value in vars(batch).items()
            if value is not None
        }
    )
    for number, sample in enumerate(samples):
        if batch.frames is not None and sample.frames is not None:
            batch.frames[number, len(sample.frames) :] = NAN
        if batch.waveform is not None and sample.waveform is not None:
            batch.waveform[number, len(sample.waveform) :] = NAN
        if batch.input_ids is not None and sample.input_ids is not None:
            batch.input_ids[number, len(sample.input_ids) :] = 7
        if batch.token_spans is not None and sample.token_spans is not None:
            whole = torch.tensor([0, num_frames_of(sample)])
            batch.token_spans[number, len(sample.token_spans) :] = whole
    return batch


def num_frames_of(sample: Sample) -> int:
    """Of its acoustic features, or of those that the upstream makes of its waveform."""
    if sample.frames is not None:
        return len(sample.frames)
    assert sample.waveform is not None
    return (len(sample.waveform) - WINDOW) // STRIDE + 1


def _longer(samples: Sequence[Sample]) -> Sample:
    """A sample whose only use is that the others are padded to it."""

    def grown(values: list[torch.Tensor | None]) -> torch.Tensor | None:
        present = [value for value in values if value is not None]
        if not present:
            return None
        longest = max(len(value) for value in present)
        return present[0].new_zeros(longest + 3, *present[0].shape[1:])

    return replace(
        samples[0],
        **{
            name: grown([getattr(sample, name) for sample in samples])
            for name in ("frames", "waveform", "input_ids", "token_spans", "word_mask")
        },
    )
