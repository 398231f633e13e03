"""Hidden steps are reconstructed, padding is never counted, and labels are never read."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from data_modules.batch import Batch, Sample, collate
from sermm.build_facts import DataFacts, FrameStatistics
from sermm.build_model import build_task
from sermm.config import BackboneConfig, Config, DataConfig, ModelConfig, OptimConfig
from sermm.config import PretrainConfig as Pretrain
from sermm.reconstruction_metrics import CONTROLS
from sermm.scoring import find_scoring
from sermm.tasks.base import Stage
from sermm.tasks.pretrain import PretrainTask

DIM = 4
LENGTHS = (1, 2, 5, 12, 13, 30)
KINDS = ("transformer", "recurrent")


def config(kind: str = "transformer", **pretrain: object) -> Config:
    return Config(
        name="tiny",
        data=DataConfig(corpus="demo", labels="iemocap4", protocol="demo-session5"),
        model=ModelConfig(
            task="pretrain",
            recurrent_hidden=5,
            backbone=BackboneConfig(
                kind=kind, frames_per_step=3, width=8, layers=2, heads=2, feedforward=16
            ),
            pretrain=Pretrain(**{"mask_share": 0.3, **pretrain}),  # type: ignore[arg-type]
        ),
        optim=OptimConfig(),
    )


def task_of(settings: Config) -> PretrainTask:
    torch.manual_seed(0)
    facts = DataFacts(CONTROLS, 6, kind="reconstruction", family="reconstruction", frame_dim=DIM)
    statistics = FrameStatistics(torch.linspace(-1, 1, DIM), torch.linspace(0.5, 2, DIM))
    task = build_task(settings, facts, statistics=statistics)
    assert isinstance(task, PretrainTask)
    return task.eval()


def samples(target: int = 0) -> list[Sample]:
    generator = torch.Generator().manual_seed(1)
    return [
        Sample(f"u{n}", "s", torch.tensor(target), frames=torch.randn(n, DIM, generator=generator))
        for n in LENGTHS
    ]


def padded(clips: list[Sample]) -> Batch:
    """A batch whose padding is longer than it need be, and NaN."""
    longest = replace(clips[0], frames=torch.zeros(max(LENGTHS) + 7, DIM))
    batch = collate([*clips, longest])
    assert batch.frames is not None
    assert batch.frame_lengths is not None
    for row, clip in enumerate(clips):
        assert clip.frames is not None
        batch.frames[row, len(clip.frames) :] = torch.nan
    return replace(
        batch,
        utterance_ids=batch.utterance_ids[:-1],
        speakers=batch.speakers[:-1],
        targets=batch.targets[:-1],
        frames=batch.frames[:-1],
        frame_lengths=batch.frame_lengths[:-1],
    )


def losses(task: PretrainTask, batch: Batch, stage: Stage) -> tuple[float, torch.Tensor]:
    """The loss, and the number of hidden values of each clip."""
    task._predicted.clear()
    task._seen.clear()
    counts = DIM * task._hidden(batch, stage)[1].sum(dim=1)
    return float(task.shared_step(batch, stage).detach()), counts


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", ["l1", "mse", "huber"])
@pytest.mark.parametrize("stage", ["train", "test"])
def test_the_loss_of_a_padded_batch_is_that_of_its_clips(
    kind: str, loss: str, stage: Stage
) -> None:
    task = task_of(config(kind, loss=loss, span_max=3))
    together, counts = losses(task, padded(samples()), stage)
    alone = [losses(task, collate([clip]), stage) for clip in samples()]
    mean = sum(float(value) * float(count) for value, count in alone) / float(counts.sum())
    assert together == pytest.approx(mean, abs=1e-5)
    assert counts.tolist() == [int(count) for _, count in alone]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("learned", [False, True])
def test_hidden_values_are_not_seen(kind: str, learned: bool) -> None:
    task = task_of(config(kind, learned_mask=learned))
    batch = collate(samples())
    hidden = task._hidden(batch, "test")[1]
    assert batch.frames is not None
    changed = replace(batch, frames=batch.frames + 9 * hidden.unsqueeze(-1))
    assert torch.equal(task(batch), task(changed))
    others = replace(batch, frames=batch.frames + 9 * ~hidden.unsqueeze(-1))
    assert not torch.allclose(task(batch)[-1], task(others)[-1])


def test_the_loss_is_of_hidden_values_alone() -> None:
    task = task_of(config(loss="mse"))
    batch = collate(samples())
    standard, lengths = task.encoder.source(batch)
    said = task(batch)
    steps = task._hidden(batch, "test")[0]
    total, count = 0.0, 0
    for row, length in enumerate(lengths.tolist()):
        for frame in range(length):
            if steps[row, frame // 3]:
                total += float(((said[row, frame] - standard[row, frame]) ** 2).sum().detach())
                count += DIM
    assert losses(task, batch, "test")[0] == pytest.approx(total / count, rel=1e-5)


def test_masks_change_with_the_epoch_and_the_seed_and_not_in_evaluation() -> None:
    task = task_of(config())
    batch = collate(samples())
    first = task._hidden(batch, "train")[0]
    assert torch.equal(first, task._hidden(batch, "train")[0])
    assert torch.equal(first[3:], task._hidden(collate(samples()[3:]), "train")[0])
    evaluation = task._hidden(batch, "test")[0]
    task.run_seed = 1
    assert not torch.equal(first, task._hidden(batch, "train")[0])
    assert torch.equal(evaluation, task._hidden(batch, "val")[0])


def test_labels_are_not_read() -> None:
    task = task_of(config())
    assert (
        losses(task, collate(samples(0)), "test")[0] == losses(task, collate(samples(3)), "test")[0]
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("learned", [False, True])
def test_gradient_reaches_everything(kind: str, learned: bool) -> None:
    task = task_of(config(kind, learned_mask=learned))
    task.log = lambda *args, **rest: None  # type: ignore[method-assign, assignment]
    task.shared_step(padded(samples()), "train").backward()
    names = dict(task.named_parameters())
    assert ("mask_vector" in names) is learned
    for name, parameter in names.items():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all()
        assert parameter.grad.abs().max() > 0, name


def test_scores_are_those_of_the_values_together() -> None:
    task = task_of(config())
    _, counts = losses(task, padded(samples()), "test")
    said = task.predictions()
    assert said.references[:, 0].tolist() == counts.tolist()
    references, outcomes = said.references.numpy(), said.outcomes.detach().numpy()
    scoring = find_scoring("reconstruction", CONTROLS, "reconstruction")
    scores = scoring.scores(scoring.contributions(references, outcomes).sum(axis=0))
    count = references[:, 0]
    mae, mse = (outcomes[:, k] @ count / count.sum() for k in (0, 1))
    assert scores["masked_mae"] == pytest.approx(mae)
    assert scores["masked_nmse"] == pytest.approx(mse / (references[:, 2] @ count / count.sum()))
    # of the mean it is 1, by definition
    zero = scoring.contributions(references, references[:, 1:3]).sum(axis=0)
    assert scoring.scores(zero)["masked_nmse"] == pytest.approx(1)


def test_a_batch_that_a_rank_repeats_counts_once() -> None:
    task, clips = task_of(config()), samples()
    batches = [collate(clips[:4]), collate(clips[4:])]
    for batch in (*batches, batches[0]):
        task.shared_step(batch, "test")
    assert task.predictions().utterance_ids == [clip.utterance_id for clip in clips]
    task.on_validation_epoch_start()
    for batch in batches:
        task.shared_step(batch, "val")
    once, loss = task.val_scores.compute(), task.val_loss.compute()
    task.shared_step(batches[0], "val")
    assert task.val_scores.compute() == once
    assert task.val_loss.compute() == loss


def test_the_training_loss_that_is_logged_is_of_all_hidden_values() -> None:
    task, clips = task_of(config()), samples()
    for batch in (collate(clips[:5]), collate(clips[5:])):
        task.shared_step(batch, "train")
    assert task.train_sums is not None
    total, count = task.train_sums.tolist()
    loss, counts = losses(task, collate(clips), "train")
    assert count == float(counts.sum())
    assert total / count == pytest.approx(loss, rel=1e-5)
