"""The loops whose throughput `fine_tuning.py` measures: each trains one model on given batches."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

CLASSES = ("neutral", "happy", "angry", "sad")
Batches = list[list[int]]


class Bench:
    """What all loops share: the folder of the model, the lengths and the voices."""

    def __init__(self, folder: Path, size: str, lengths: list[float]) -> None:
        import torch
        from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

        from benchmarks.extraction import SIZES

        self.folder = folder
        self.lengths = lengths
        # neither layers nor frames are left out by chance: all loops do the same work
        self.config = Wav2Vec2Config(
            **SIZES[size], layerdrop=0.0, apply_spec_augment=False, num_labels=len(CLASSES)
        )
        self.extractor = Wav2Vec2FeatureExtractor(return_attention_mask=False)
        torch.manual_seed(0)
        Wav2Vec2Model(self.config).save_pretrained(folder)
        self.extractor.save_pretrained(folder)

    def clip(self, index: int) -> Any:
        """The voice of an utterance, ``(N,)``."""
        from benchmarks.lengths import voice

        return voice(self.lengths[index], index)

    def fresh(self) -> Any:
        """The classifier of transformers with the weights that all loops start from."""
        from transformers import Wav2Vec2ForSequenceClassification

        # recipes freeze the convolutions; the model marks them and cuts them off the graph
        model = Wav2Vec2ForSequenceClassification.from_pretrained(str(self.folder))
        model.freeze_feature_encoder()
        return model.train()


class Clock:
    """Processor time from the first step on."""

    def __init__(self) -> None:
        self.started: float | None = None
        self.seconds = 0.0

    def step(self) -> None:
        """Called before each step."""
        if self.started is None:
            self.started = time.process_time()

    def stop(self) -> None:
        """Called after the last step."""
        assert self.started is not None
        self.seconds = time.process_time() - self.started


def by_trainer(bench: Bench, batches: Batches, clock: Clock) -> None:
    import torch
    from torch.utils.data import DataLoader, Dataset
    from transformers import Trainer, TrainerCallback, TrainingArguments

    clips = {i: bench.clip(i) for batch in batches for i in batch}

    class Clips(Dataset[Any]):
        def __len__(self) -> int:
            return len(bench.lengths)

        def __getitem__(self, index: int) -> Any:
            # as the recipe does before it trains
            values = bench.extractor(clips[index], sampling_rate=16_000).input_values[0]
            return {"input_values": values, "labels": index % len(CLASSES)}

    def collate(rows: list[Any]) -> Any:
        batch = bench.extractor.pad(
            [{"input_values": row["input_values"]} for row in rows], return_tensors="pt"
        )
        return {**batch, "labels": torch.tensor([row["labels"] for row in rows])}

    class Given(Trainer):
        def get_train_dataloader(self) -> Any:
            return DataLoader(Clips(), batch_sampler=batches, collate_fn=collate)

    class Watch(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            clock.step()

        def on_train_end(self, *_: Any, **__: Any) -> None:
            clock.stop()

    options = TrainingArguments(
        output_dir=str(bench.folder / "trainer"),
        max_steps=len(batches),
        learning_rate=3e-5,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = Given(bench.fresh(), options, train_dataset=Clips(), callbacks=[Watch()])
    trainer.train()


def by_speechbrain(bench: Bench, batches: Batches, clock: Clock) -> None:
    import torch
    from speechbrain import Brain
    from speechbrain.integrations.huggingface.wav2vec2 import Wav2Vec2
    from speechbrain.nnet.linear import Linear
    from speechbrain.nnet.losses import nll_loss
    from speechbrain.nnet.pooling import StatisticsPooling
    from torch.nn.utils.rnn import pad_sequence
    from torch.utils.data import DataLoader

    encoder = Wav2Vec2(
        source=str(bench.folder),
        save_path=str(bench.folder / "speechbrain"),
        freeze=False,
        freeze_feature_extractor=True,
        output_norm=True,
    )
    pooling = StatisticsPooling(return_std=False)

    class Recipe(Brain):
        def compute_forward(self, batch: Any, stage: Any) -> Any:
            del stage
            wavs, shares, _ = batch
            outputs = self.modules.wav2vec2(wavs, shares)
            pooled = pooling(outputs, shares).view(outputs.shape[0], -1)
            return torch.log_softmax(self.modules.head(pooled), dim=-1)

        def compute_objectives(self, predictions: Any, batch: Any, stage: Any) -> Any:
            del stage
            return nll_loss(predictions.unsqueeze(1), batch[2].unsqueeze(1))

        def fit_batch(self, batch: Any) -> Any:
            clock.step()
            return super().fit_batch(batch)

    voices = {i: bench.clip(i) for batch in batches for i in batch}

    def loaded(batch: list[int]) -> Any:
        clips = [torch.from_numpy(voices[i]) for i in batch]
        lengths = torch.tensor([float(len(clip)) for clip in clips])
        labels = torch.tensor([i % len(CLASSES) for i in batch])
        return pad_sequence(clips, batch_first=True), lengths / lengths.max(), labels

    modules = {
        "wav2vec2": encoder,
        "head": Linear(input_size=bench.config.hidden_size, n_neurons=len(CLASSES), bias=False),
    }
    brain = Recipe(
        modules,
        opt_class=lambda parameters: torch.optim.Adam(parameters, lr=1e-5),
        run_opts={"device": "cpu", "grad_accumulation_factor": 2, "noprogressbar": True},
    )
    # a list would be taken for a set of examples and batched once more
    data = DataLoader(range(len(bench.lengths)), batch_sampler=batches, collate_fn=loaded)
    brain.fit(range(1), data, progressbar=False)
    clock.stop()


def by_sermm(bench: Bench, batches: Batches, clock: Clock, *, precision: Any = "32-true") -> None:
    import lightning as L
    import torch
    from torch.utils.data import DataLoader, Dataset

    from benchmarks.bare_trainer import bare_trainer
    from data_modules.batch import Sample, collate
    from sermm.build_facts import DataFacts
    from sermm.build_model import build_task
    from sermm.config import Config, DataConfig, ModelConfig, SpeechConfig
    from sermm.train import quiet_lightning
    from sermm.upstreams.huggingface import load_huggingface

    config = Config(
        name="fine_tuning",
        data=DataConfig(corpus="iemocap", labels="iemocap4", protocol="iemocap4-session5"),
        model=ModelConfig(
            task="acoustic",
            pooling="mean",
            recurrent_layers=0,
            head_hidden=0,
            speech=SpeechConfig(upstream="huggingface", frozen=False, normalise="none"),
        ),
    )
    upstream = load_huggingface(name=str(bench.folder))
    facts = DataFacts(CLASSES, 5531, (1708, 1636, 1103, 1084), frame_dim=upstream.dim)
    task = build_task(config, facts, speech_model=upstream)
    task.num_updates = len(batches)

    clips = {i: torch.from_numpy(bench.clip(i)) for batch in batches for i in batch}

    class Watch(L.Callback):
        def on_train_batch_start(self, *_: Any) -> None:
            clock.step()

        def on_train_end(self, *_: Any) -> None:
            clock.stop()

    class Clips(Dataset[Sample]):
        def __getitem__(self, index: int) -> Sample:
            target = torch.tensor(index % len(CLASSES))
            return Sample(str(index), "", target, waveform=clips[index])

    loader = DataLoader(Clips(), batch_sampler=batches, collate_fn=collate)
    with quiet_lightning():
        trainer = bare_trainer(precision=precision, max_epochs=1, callbacks=[Watch()])
        trainer.fit(task, train_dataloaders=loader)


def at_the_floor(bench: Bench, batches: Batches, clock: Clock) -> None:
    import torch

    from sermm.nn.linear import use_onednn

    model = bench.fresh()
    use_onednn(model.wav2vec2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    mean = sum(bench.lengths) / len(bench.lengths)
    draw = torch.Generator().manual_seed(0)
    for batch in batches:
        values = torch.randn(len(batch), round(16_000 * mean), generator=draw)
        clock.step()
        loss = model(input_values=values, labels=torch.tensor(batch) % len(CLASSES)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    clock.stop()
