"""From configuration to what is learned and how fast: loss, learning rates, schedule."""

from __future__ import annotations

from sermm.build_facts import DataFacts
from sermm.config import SCRATCH, Config
from sermm.optim import OptimizerOptions
from sermm.tasks.base import Objective


def build_objective(config: Config, facts: DataFacts) -> Objective:
    """Targets and loss.

    Weights of classes are N / (C n_c), so their mean over utterances is one. A label's presence
    weighs (N - n) / n times its absence, at most a hundred times.
    """
    weights = None
    if config.optim.class_weights and facts.train_counts:
        total, counts = facts.num_train, [max(1, n) for n in facts.train_counts]
        if facts.kind == "classes":
            weights = tuple(total / (len(counts) * n) for n in counts)
        else:
            weights = tuple(min(100.0, max(1, total - n) / n) for n in counts)
    return Objective(
        names=facts.names,
        kind=facts.kind,
        family=facts.family,
        weights=weights,
        label_smoothing=config.optim.label_smoothing,
        means=facts.train_means,
        stds=facts.train_stds,
        rating_loss=config.optim.rating_loss,  # type: ignore[arg-type]
        threshold=config.model.threshold,
        reconstruction_loss=config.model.pretrain.loss,  # type: ignore[arg-type]
    )


def build_optimizer_options(config: Config) -> OptimizerOptions:
    """Learning rates and schedule."""
    optim = config.optim
    rates = {}
    if optim.text_lr is not None and config.model.text.name != SCRATCH:
        rates["text"] = optim.text_lr
    if optim.speech_lr is not None and config.model.speech.name != SCRATCH:
        rates["speech"] = optim.speech_lr
    return OptimizerOptions(
        lr=optim.lr,
        weight_decay=optim.weight_decay,
        warmup_share=optim.warmup_share,
        solver=optim.solver,  # type: ignore[arg-type]
        schedule=optim.schedule,  # type: ignore[arg-type]
        schedule_power=optim.schedule_power,
        pretrained_lr=rates,
        beta2=optim.beta2,
        epsilon=optim.epsilon,
        decay_vectors=optim.decay_vectors,
    )
