"""Keys of the network and of its training that must agree with each other and with the task."""

from __future__ import annotations

from data_modules.errors import ConfigError
from sermm.config import Config, value_of

_FIXED_POOLINGS = ("mean", "mean_std", "first")


def check_solver(config: Config) -> None:
    """L-BFGS searches along the exact gradient of one convex loss, so nothing may change either."""
    if config.optim.solver != "lbfgs":
        return
    model, trainer = config.model, config.trainer
    linear = model.task == "linear"
    for key, good, expected in (
        ("model.task", linear or model.task == "acoustic", "linear or acoustic"),
        # of the task acoustic nothing but a linear head is left to train
        ("model.backbone.frozen", linear or model.backbone.frozen, "true"),
        ("model.head", linear or model.head == "softmax", "softmax"),
        ("model.head_hidden", linear or model.head_hidden == 0, "0"),
        ("model.pooling", linear or model.pooling in _FIXED_POOLINGS, ", ".join(_FIXED_POOLINGS)),
        ("optim.epochs", config.optim.epochs == 1, "1"),
        ("optim.steps", config.optim.steps == 0, "0"),
        ("optim.val_every_steps", config.optim.val_every_steps == 0, "0"),
        ("optim.accumulate", config.optim.accumulate == 1, "1"),
        ("optim.gradient_clip", config.optim.gradient_clip == 0, "0"),
        ("trainer.devices", trainer.devices * trainer.num_nodes == 1, "one device"),
        ("trainer.precision", trainer.precision in ("32-true", "64-true"), "32-true or 64-true"),
    ):
        if not good:
            raise ConfigError(
                key,
                expected=f"{expected} with optim.solver=lbfgs",
                got=str(value_of(config, key)),
                fix=f"set it to {expected}, or choose optim.solver=adamw",
            )


def check_sharding(config: Config) -> None:
    """What weights that are divided over ranks do not go with."""
    model, trainer = config.model, config.trainer
    if trainer.strategy != "fsdp":
        return
    several = trainer.devices * trainer.num_nodes > 1
    for key, good, expected, fix in (
        ("trainer.devices", several, "at least 2 with trainer.strategy=fsdp", "raise it"),
        (
            "trainer.precision",
            trainer.precision in ("32-true", "bf16-mixed", "bf16-true", "16-true"),
            "32-true, bf16-mixed, bf16-true or 16-true with trainer.strategy=fsdp",
            "choose one of these",
        ),
        # it masks its inputs outside of what FSDP takes for the forward pass
        ("model.task", model.task != "pretrain", "another than pretrain for fsdp", _DDP),
        # running means and deviations would differ from rank to rank
        ("model.pooling", model.pooling != "ecapa", "another than ecapa for fsdp", _DDP),
        ("trainer.compile", not trainer.compile, "false with trainer.strategy=fsdp", _DDP),
    ):
        if not good:
            raise ConfigError(key, expected=expected, got=str(value_of(config, key)), fix=fix)


_DDP = "set trainer.strategy=ddp"


def check_network(config: Config) -> None:
    """Sizes of the network that must agree with each other and with the task."""
    model = config.model
    reads_words = model.task == "fusion" and model.alignment in ("span", "attention")
    if reads_words and not model.recurrent_layers:
        raise ConfigError(
            "model.recurrent_layers",
            expected="at least 1 where a BiGRU reads words with their frames",
            got="0",
            fix="leave it out, or choose model.alignment=none",
        )
    if model.task == "fusion" and model.alignment == "coattention" and model.modality_dropout:
        raise ConfigError(
            "model.modality_dropout",
            expected="0 with model.alignment=coattention, where each modality asks the other",
            got=str(model.modality_dropout),
            fix="set it to 0, or choose another model.alignment",
        )
    if model.pooling != "ecapa":
        return
    ecapa = model.ecapa
    count = len(ecapa.channels)
    for name, good, expected in (
        ("channels", count >= 3, "three or more widths"),
        (
            "channels",
            not any(width % ecapa.scale for width in ecapa.channels[1:-1]),
            f"blocks of multiples of model.ecapa.scale ({ecapa.scale})",
        ),
        ("kernels", len(ecapa.kernels) == count, f"{count} of them, as channels"),
        ("kernels", all(kernel % 2 for kernel in ecapa.kernels), "odd numbers"),
        ("dilations", len(ecapa.dilations) == count, f"{count} of them, as channels"),
    ):
        if not good:
            got = str(list(getattr(ecapa, name)))
            raise ConfigError(
                f"model.ecapa.{name}", expected=expected, got=got, fix="mend the list"
            )


def check_backbone(config: Config) -> None:
    """What of the backbone has to agree, and what only some tasks have."""
    model = config.model
    backbone, pretrain = model.backbone, model.pretrain
    heads = f"an even multiple of model.backbone.heads ({backbone.heads})"
    spread = f"at least model.pretrain.span_min ({pretrain.span_min})"
    rates = "0 where steps of frames are joined (one way to lower the rate)"
    is_pretrain, is_acoustic = model.task == "pretrain", model.task == "acoustic"
    joined = is_pretrain or backbone.frames_per_step > 1
    no_network = not (model.recurrent_layers or backbone.kind == "transformer")
    several = model.speech.layers == "all" or "," in model.speech.layers
    fixed = "in the task pretrain, whose targets are the frames themselves"
    transformer = backbone.kind == "transformer"
    last, every = backbone.states == "last", "with model.backbone.states=all"
    even = backbone.width % backbone.heads == 0 and backbone.width % 2 == 0
    for key, good, expected, fix in (
        ("model.backbone.width", even or not transformer, heads, "choose another value"),
        ("model.pretrain.span_max", pretrain.span_max >= pretrain.span_min, spread, "raise it"),
        ("model.conv_layers", model.conv_layers == 0 or not joined, rates, "set it to 0"),
        ("model.projection", not (is_pretrain and model.projection), f"0 {fixed}", "set it to 0"),
        ("model.speech.layers", not (is_pretrain and several), f"one {fixed}", "choose one"),
        ("model.speech.frozen", model.speech.frozen or not is_pretrain, f"true {fixed}", "set it"),
        ("model.backbone.kind", transformer or last, f"transformer {every}", "choose it"),
        ("model.task", last or not is_pretrain, f"another than pretrain {every}", "leave that out"),
        ("model.recurrent_layers", not (is_pretrain and no_network), f"1 {fixed}", "raise it"),
        ("model.backbone.start", is_acoustic or not backbone.start, "task acoustic", "leave it"),
        ("model.backbone.frozen", is_acoustic or not backbone.frozen, "task acoustic", "leave it"),
    ):
        if not good:
            raise ConfigError(key, expected=expected, got=str(value_of(config, key)), fix=fix)
