from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import lightning as L
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from torch import Tensor
from torch.utils.data import DataLoader

from data_modules.batch import Batch, Sample, collate
from data_modules.errors import RunFailedError
from sermm.optim import OptimizerOptions
from sermm.tasks.base import EmotionTask, Objective
from tests.sermm.tasks.tiny import CLASSES, random_samples, tiny_config, tiny_task

# https://github.com/Lightning-AI/pytorch-lightning/issues/21326
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.* is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*is smaller than the logging interval.*"),
]

OPTIMIZER = OptimizerOptions(lr=0.05, pretrained_lr=0.05, weight_decay=0.0, warmup_share=0.0)


class Echo(EmotionTask):
    """Its scores are what the frames hold, times one weight."""

    def __init__(self, objective: Objective | None = None) -> None:
        super().__init__(objective=objective or Objective(CLASSES), optimizer=OPTIMIZER)
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, batch: Batch) -> Tensor:
        assert batch.frames is not None
        return self.scale * batch.frames[:, 0]


def scored_samples(num: int = 25, targets: list[int] | None = None) -> list[Sample]:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(num, 1, len(CLASSES), generator=generator)
    drawn = torch.randint(0, 3, (num,), generator=generator).tolist()
    return [
        Sample(f"u{i}", f"s{i % 3}", torch.tensor((targets or drawn)[i]), frames=scores[i])
        for i in range(num)
    ]


def loader(samples: list[Sample], batch_size: int = 4) -> DataLoader[Sample]:
    return DataLoader(samples, batch_size=batch_size, collate_fn=collate)  # type: ignore[arg-type]


@pytest.fixture
def new_trainer() -> Callable[..., L.Trainer]:
    def new(max_epochs: int = 1, **options: Any) -> L.Trainer:
        return L.Trainer(
            accelerator="cpu",
            max_epochs=max_epochs,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            **options,
        )

    return new


NewTrainer = Callable[..., L.Trainer]


def validated(
    trainer: L.Trainer, task: EmotionTask, batches: DataLoader[Sample]
) -> dict[str, float]:
    trainer.validate(task, batches, verbose=False)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def fit(trainer: L.Trainer, task: EmotionTask, batches: DataLoader[Sample]) -> None:
    """Without validation; the loader is given, since the trainer warns where there is none."""
    trainer.limit_val_batches = 0
    trainer.fit(task, batches, batches)


# --- validation


@pytest.mark.parametrize("batch_size", [1, 4, 25])
def test_ua_is_that_of_the_whole_part(new_trainer: NewTrainer, batch_size: int) -> None:
    samples = scored_samples()
    metrics = validated(new_trainer(), Echo(), loader(samples, batch_size))
    targets = [int(sample.target) for sample in samples]
    predicted = [int(s.frames.argmax()) for s in samples if s.frames is not None]
    assert len(set(targets)) == 3
    assert metrics["val/ua"] == pytest.approx(balanced_accuracy_score(targets, predicted))
    assert metrics["val/wa"] == pytest.approx(accuracy_score(targets, predicted))


def test_a_class_that_does_not_occur_does_not_count(new_trainer: NewTrainer) -> None:
    samples = scored_samples(4, targets=[0, 0, 0, 1])
    predicted = [int(s.frames.argmax()) for s in samples if s.frames is not None]
    recalls = [sum(p == 0 for p in predicted[:3]) / 3, float(predicted[3] == 1)]
    metrics = validated(new_trainer(), Echo(), loader(samples, 3))
    assert metrics["val/ua"] == pytest.approx(sum(recalls) / 2)


@pytest.mark.parametrize(
    "objective",
    [
        Objective(CLASSES),
        Objective(CLASSES, weights=(0.5, 2.0, 4.0)),
        Objective(CLASSES, weights=(0.5, 2.0, 4.0), label_smoothing=0.2),
    ],
)
def test_val_loss_is_that_of_the_whole_part(new_trainer: NewTrainer, objective: Objective) -> None:
    """However it is cut into batches."""
    samples = scored_samples()
    task = Echo(objective)
    batch = collate(samples)
    expected = float(task.output(task(batch), batch).detach())
    for batch_size in (1, 4, 25):
        metrics = validated(new_trainer(), task, loader(samples, batch_size))
        assert metrics["val/loss"] == pytest.approx(expected, rel=1e-5)


def test_class_weights_and_smoothing_by_hand() -> None:
    objective = Objective(("a", "b"), weights=(1.0, 3.0), label_smoothing=0.1)
    task = Echo(objective)
    scores = torch.tensor([[0.0, 1.0], [2.0, 0.0]])
    got = task.output(scores, Batch(["a", "b"], ["", ""], torch.tensor([0, 1])))
    # log-softmax of (0, 1) and (2, 0); the target has 0.95, the other 0.05, each class its weight
    first = [-1.3132617, -0.3132617]
    second = [-0.1269280, -2.1269280]
    loss = -(0.95 * 1 * first[0] + 0.05 * 3 * first[1])
    loss -= 0.05 * 1 * second[0] + 0.95 * 3 * second[1]
    assert float(got) == pytest.approx(loss / (1 + 3), rel=1e-5)


def test_a_validation_that_ended_half_way_is_forgotten(new_trainer: NewTrainer) -> None:
    samples, task = scored_samples(), Echo()
    expected = validated(new_trainer(), task, loader(samples))
    broken = [*scored_samples(8, targets=[0] * 8), samples[0]]
    broken[-1] = Sample("bad", "s", torch.tensor(0), frames=torch.full((1, 3), float("nan")))
    with pytest.raises(RunFailedError):
        validated(new_trainer(), task, loader(broken))
    assert validated(new_trainer(), task, loader(samples)) == pytest.approx(expected)


# --- test


@pytest.mark.parametrize("batch_size", [1, 4, 25])
def test_predictions_are_each_utterance_once_in_order(
    new_trainer: NewTrainer, batch_size: int
) -> None:
    samples, task = scored_samples(), Echo()
    trainer = new_trainer()
    for _ in range(2):  # a second test forgets the first
        trainer.test(task, loader(samples, batch_size), verbose=False)
    predictions = task.predictions()
    assert predictions.utterance_ids == [sample.utterance_id for sample in samples]
    assert predictions.references.tolist() == [int(sample.target) for sample in samples]
    frames = torch.cat([s.frames for s in samples if s.frames is not None])
    torch.testing.assert_close(predictions.probabilities, torch.softmax(frames, dim=-1))
    assert predictions.probabilities is not None
    assert predictions.probabilities.dtype == torch.float32
    assert predictions.references.dtype == torch.int64
    assert predictions.outcomes.tolist() == frames.argmax(dim=-1).tolist()


# --- what goes wrong


@pytest.mark.parametrize("stage", ["train", "val", "test"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_names_the_utterances(stage: str, value: float) -> None:
    samples = scored_samples(6)
    samples[2] = Sample("bad-one", "s", torch.tensor(0), frames=torch.full((1, 3), value))
    task = Echo()
    with pytest.raises(RunFailedError, match=rf"{stage} loss: .* got nan for bad-one; lower"):
        task.shared_step(collate(samples), stage)  # type: ignore[arg-type]


def test_weights_that_are_not_finite_name_the_first_of_the_batch() -> None:
    task = Echo()
    with torch.no_grad():
        task.scale.fill_(float("nan"))
    with pytest.raises(
        RunFailedError, match=r"nan for u0, u1, u2, u3, u4 \(and 1 more\)"
    ) as caught:
        task.shared_step(collate(scored_samples(6)), "train")
    assert caught.value.exit_status == 1


def test_a_task_states_its_forward() -> None:
    class Silent(EmotionTask):
        pass

    task = Silent(objective=Objective(CLASSES), optimizer=OPTIMIZER)
    with pytest.raises(NotImplementedError, match="Silent must define forward"):
        task(collate(scored_samples(1)))


# --- training


def test_linear_task_learns_what_logistic_regression_learns(new_trainer: NewTrainer) -> None:
    """Its loss is convex, so both find the same weights and the same probabilities."""
    config = tiny_config("linear")
    samples = random_samples(config, [(5 + i % 3, 1) for i in range(60)])
    task = tiny_task(config, train_counts=(1, 1, 1))  # equal class weights
    task.optimizer_options = OptimizerOptions(
        lr=0.2, pretrained_lr=0.2, weight_decay=0.0, warmup_share=0.0
    )
    batch = collate(samples)
    fit(new_trainer(max_epochs=150), task, loader(samples, batch_size=60))

    frames, lengths = batch.speech()
    mask = torch.arange(frames.shape[1]) < lengths.unsqueeze(1)
    pooled = (task.pooling(frames, mask) - task.pooled.mean) / task.pooled.std
    reference = LogisticRegression(C=1e6, max_iter=5000, tol=1e-8)
    reference.fit(pooled.numpy(), batch.targets.numpy())
    expected = torch.from_numpy(reference.predict_proba(pooled.numpy())).float()
    with torch.no_grad():
        got = torch.softmax(task.eval()(batch), dim=-1)
    torch.testing.assert_close(got, expected, atol=0.01, rtol=0.0)


def test_an_epoch_draws_what_its_seed_says(new_trainer: NewTrainer) -> None:
    """So a resumed run draws what the undisturbed one draws."""

    class Dice(Echo):
        def __init__(self) -> None:
            super().__init__()
            self.drawn: dict[int, float] = {}

        def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
            self.drawn.setdefault(self.current_epoch, float(torch.rand(())))
            return super().training_step(batch, batch_idx)

    draws = []
    for run_seed, disturbance in ((0, 1), (0, 2), (1, 1)):
        task = Dice()
        task.run_seed = run_seed
        torch.manual_seed(disturbance)
        fit(new_trainer(max_epochs=3), task, loader(scored_samples(5)))
        draws.append(task.drawn)
    assert draws[0] == draws[1]
    assert len({*draws[0].values(), *draws[2].values()}) == 6


def test_the_schedule_covers_all_updates_of_the_run(new_trainer: NewTrainer) -> None:
    rates: list[float] = []

    class Watch(L.Callback):
        def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    task = Echo()
    trainer = new_trainer(max_epochs=2, callbacks=[Watch()])
    fit(trainer, task, loader(scored_samples(12)))  # 3 batches in each epoch
    # no warm-up: full rate, full rate, then five steps of half a cosine
    falling = [(1 + math.cos(math.pi * k / 5)) / 2 for k in range(5)]
    assert rates == pytest.approx([0.05 * share for share in (1.0, *falling)], abs=1e-6)
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-9)


def test_metrics_are_no_part_of_the_checkpoint() -> None:
    assert set(Echo().state_dict()) == {"scale"}
    weighted = Echo(Objective(CLASSES, weights=(1.0, 2.0, 3.0)))
    assert set(weighted.state_dict()) == {"scale", "output.weight"}


class Slope(Echo):
    """Notes the gradient of each update."""

    def __init__(self, objective: Objective) -> None:
        super().__init__(objective)
        self.gradients: list[float] = []

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        super().on_before_optimizer_step(optimizer)
        assert self.scale.grad is not None
        self.gradients.append(float(self.scale.grad))
        self.scale.grad.zero_()


@pytest.mark.parametrize("weights", [None, (0.5, 2.0, 4.0)])
def test_an_update_of_several_batches_is_that_of_one_batch(
    new_trainer: NewTrainer, weights: tuple[float, ...] | None
) -> None:
    """Also the last of an epoch: 25 utterances are 2 updates of 12 and one of 1 (or 6 + 1)."""
    objective = Objective(CLASSES, weights=weights)
    gradients = {}
    for batch_size, accumulate in ((12, 1), (4, 3), (6, 2), (5, 3)):
        task = Slope(objective)
        trainer = new_trainer(accumulate_grad_batches=accumulate)
        fit(trainer, task, loader(scored_samples(25), batch_size))
        gradients[batch_size, accumulate] = task.gradients
    assert len(gradients[12, 1]) == 3
    assert gradients[4, 3] == pytest.approx(gradients[12, 1], rel=1e-5)
    assert gradients[6, 2] == pytest.approx(gradients[12, 1], rel=1e-5)
    # 15 and 10
    whole = Slope(objective)
    fit(new_trainer(), whole, loader(scored_samples(25), 15))
    assert gradients[5, 3] == pytest.approx(whole.gradients, rel=1e-5)
