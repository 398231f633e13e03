"""Which values a configuration may have: choices, ranges, and keys that must agree.

What types can say is checked before, in ``compose.py``; what takes a look at the disk comes after,
in ``inputs.py``. Keys that must agree lie by subject in ``limits_*.py``.
"""

from __future__ import annotations

import re

from data_modules.errors import ConfigError
from sermm.config import ALL, READY, SCRATCH, TUNED, Config, needs_speech, value_of
from sermm.extras import ENCODER_FILES
from sermm.limits_corpus import check_corpus, check_one_frame
from sermm.limits_network import check_backbone, check_network, check_sharding, check_solver
from sermm.limits_speech import (
    ENCODERS,
    check_encoder,
    check_frames,
    check_second,
    check_stage_one,
    check_tuning,
)
from sermm.limits_values import check_choice, check_list, check_range

CHOICES: dict[str, tuple[str, ...]] = {
    "data.draw": ("natural", "balanced"),
    "data.text": ("reference", "recognised"),
    "model.task": ("linear", "acoustic", "text", "fusion", "vectors", "pretrain"),
    "model.backbone.kind": ("recurrent", "transformer"),
    "model.backbone.states": ("last", "all"),
    "model.pretrain.loss": ("l1", "mse", "huber"),
    "model.alignment": ("span", "attention", "coattention", "none"),
    "model.pooling": ("attention", "mean", "mean_std", "ecapa", "first"),
    "model.head": ("softmax", "one_vs_rest"),
    "model.speech.upstream": (
        *("logmel", "mfcc", "lld", "logmel_lld", "opensmile"),
        *ENCODERS,
        *ENCODER_FILES,
        READY,
        TUNED,
    ),
    "model.speech2.upstream": (
        *("none", "logmel", "mfcc", "lld", "logmel_lld", "opensmile"),
        *ENCODERS,
        *ENCODER_FILES,
        TUNED,
    ),
    "model.speech2.fusion": ("early", "late"),
    "model.speech.feature_set": ("eGeMAPSv02", "ComParE_2016"),
    "model.speech.feature_level": ("functionals", "lld"),
    "model.speech.normalise": ("train", "speaker", "layer", "none"),
    "model.speech.center": ("none", "level", "utterance"),
    "optim.solver": ("adamw", "adam", "lbfgs"),
    "optim.schedule": ("cosine", "constant", "linear", "polynomial"),
    "extract.layers": ("used", "all"),
    "extract.dtype": ("float32", "float16", "bfloat16"),
    "extract.precision": ("32", "bf16", "fp16"),
    "optim.rating_loss": ("l1", "mse"),
    "trainer.accelerator": ("auto", "cpu", "gpu", "cuda", "mps", "tpu"),
    "trainer.strategy": ("auto", "ddp", "ddp_find_unused_parameters_true", "fsdp"),
    "trainer.precision": (
        "32-true",
        "bf16-mixed",
        "16-mixed",
        "bf16-true",
        "16-true",
        "64-true",
    ),
    "tracking.wandb": ("auto", "online", "offline", "disabled"),
}
# (key, lowest allowed, highest allowed); an optional key may be null
RANGES: tuple[tuple[str, float, float], ...] = (
    ("fold", 0, 1e6),
    ("seed", 0, 1e9),
    ("size", 1, 1e9),
    ("data.batch_size", 1, 1e9),
    ("data.batch_seconds", 0, 1e9),
    ("data.max_seconds", 0, 1e9),
    ("data.eval_batch_size", 1, 1e9),
    ("data.num_workers", 0, 1e3),
    ("data.features_stride_s", 0, 1e3),
    ("data.max_pieces", 3, 1e9),
    ("data.demo.seed", 0, 1e9),
    ("data.demo.utterances_per_speaker", 8, 1e6),
    ("model.dropout", 0, 0.999),
    ("model.modality_dropout", 0, 0.999),
    ("model.threshold", 0.001, 0.999),
    ("model.conv_layers", 0, 100),
    ("model.conv_channels", 1, 1e6),
    ("model.recurrent_hidden", 1, 1e6),
    ("model.recurrent_layers", 0, 100),
    ("model.projection", 0, 1e6),
    ("model.head_hidden", 0, 1e6),
    ("model.attention_heads", 1, 1000),
    ("model.ecapa.scale", 2, 1000),
    ("model.ecapa.se_channels", 1, 1e6),
    ("model.ecapa.attention_channels", 1, 1e6),
    ("model.ecapa.embedding", 1, 1e6),
    ("model.backbone.frames_per_step", 1, 1000),
    ("model.backbone.width", 2, 1e6),
    ("model.backbone.layers", 1, 1000),
    ("model.backbone.heads", 1, 1000),
    ("model.backbone.feedforward", 1, 1e6),
    ("model.backbone.start_seed", 0, 1e9),
    ("model.pretrain.mask_share", 0, 1),
    ("model.pretrain.span_min", 1, 1e6),
    ("model.pretrain.span_max", 1, 1e6),
    ("model.speech.hidden", 1, 1e6),
    ("model.speech.depth", 1, 1000),
    ("model.speech.heads", 1, 1000),
    ("model.speech.num_bands", 4, 1000),
    ("model.speech.num_ceps", 2, 1000),
    ("model.speech.window_ms", 1, 1000),
    ("model.speech.hop_ms", 1, 1000),
    ("model.speech.chunk_s", 0, 1e6),
    ("model.speech.chunk_overlap_s", 0, 1e3),
    ("model.speech.trim_db", 0, 1000),
    ("extract.batch_seconds", 0, 1e6),
    ("extract.workers", 0, 1e4),
    ("model.text.vocab_size", 32, 1e6),
    ("model.text.hidden", 1, 1e6),
    ("model.text.layers", 1, 1000),
    ("model.text.heads", 1, 1000),
    ("model.text.word_dropout", 0, 0.999),
    ("model.augment.time_masks", 0, 1000),
    ("model.augment.time_mask_share", 0, 1),
    ("model.augment.band_masks", 0, 1000),
    ("model.augment.band_mask_share", 0, 1),
    ("model.augment.noise", 0, 1000),
    ("model.augment.gain", 0, 1000),
    ("model.augment.band_warp", 0, 0.9),
    ("model.augment.time_stretch", 0, 0.9),
    ("optim.lr", 0, 1e3),
    ("optim.text_lr", 0, 1e3),
    ("optim.speech_lr", 0, 1e3),
    ("optim.weight_decay", 0, 1e3),
    ("optim.epochs", 1, 1e6),
    ("optim.steps", 0, 1e9),
    ("optim.val_every_steps", 0, 1e9),
    ("optim.accumulate", 1, 1e6),
    ("optim.average", 1, 1000),
    ("optim.patience", 0, 1e6),
    ("optim.warmup_share", 0, 1),
    ("optim.schedule_power", 0, 100),
    ("optim.beta2", 0, 0.999999),
    ("optim.epsilon", 0, 1),
    ("optim.label_smoothing", 0, 0.999),
    ("optim.gradient_clip", 0, 1e9),
    ("trainer.devices", 1, 1e6),
    ("trainer.num_nodes", 1, 1e6),
    ("trainer.checkpoint_minutes", 0, 1e6),
    ("trainer.checkpoint_steps", 0, 1e9),
    ("trainer.num_threads", 1, 1e4),
    ("plan.workers", 0, 1e4),
    ("plan.runs_per_gpu", 0, 1e3),
    ("tracking.examples", 0, 1e4),
)
# what data.aligners may name
WORD_SOURCES = ("corpus", "textgrid", "ctc", "pocketsphinx", "uniform")
# of which zero is not allowed though it bounds the range
POSITIVE = ("optim.lr", "optim.text_lr", "optim.speech_lr")
# (key, lowest allowed element, whether the list may be empty)
LISTS: tuple[tuple[str, int | None, bool], ...] = (
    ("data.aligners", None, False),
    ("plan.folds", 0, False),
    ("plan.seeds", 0, False),
    ("plan.sizes", None, True),
    ("model.vectors", None, True),
    ("model.ecapa.channels", 1, False),
    ("model.ecapa.kernels", 1, False),
    ("model.ecapa.dilations", 1, False),
)
# of which a value may stand in the list twice
REPEATING = ("model.ecapa.channels", "model.ecapa.kernels", "model.ecapa.dilations")


def validate(config: Config) -> None:
    """Check values that types cannot: choices, ranges, and keys that must agree.

    Raises:
        ConfigError: The first that is wrong.
    """
    for key, choices in CHOICES.items():
        check_choice(key, value_of(config, key), choices)
    for key, low, high in RANGES:
        check_range(key, value_of(config, key), low, high, positive=key in POSITIVE)
    for key, lowest, may_be_empty in LISTS:
        check_list(key, value_of(config, key), lowest, may_be_empty, once=key not in REPEATING)
    for part, model in (("speech", config.model.speech), ("text", config.model.text)):
        if model.name == SCRATCH and model.hidden % model.heads:
            raise ConfigError(
                f"model.{part}.hidden",
                expected=f"a multiple of model.{part}.heads ({model.heads})",
                got=str(model.hidden),
                fix="choose another value",
            )
    if "/" in config.name or config.name.strip() in ("", ".", ".."):
        raise ConfigError(
            "name", expected="a folder name", got=repr(config.name), fix="choose another value"
        )
    for source in config.data.aligners:
        check_choice("data.aligners", source, WORD_SOURCES)
    if "ctc" in config.data.aligners and not config.data.ctc_model:
        raise ConfigError(
            "data.ctc_model",
            expected="a CTC model, which the source ctc in data.aligners needs",
            got="nothing",
            fix="give a folder or a hub id, such as facebook/wav2vec2-base-960h (English)",
        )
    _check_sizes(config)
    optim = config.optim
    if optim.steps and optim.val_every_steps > optim.steps:
        raise ConfigError(
            "optim.val_every_steps",
            expected=f"at most optim.steps ({optim.steps})",
            got=str(optim.val_every_steps),
            fix="lower it, or train for longer",
        )
    check_solver(config)
    check_sharding(config)
    check_network(config)
    check_frames(config)
    check_encoder(config)
    _check_devices(config)
    check_tuning(config)
    check_backbone(config)
    check_stage_one(config)
    check_second(config)
    check_corpus(config)
    if needs_speech(config):
        check_one_frame(config)


def _check_sizes(config: Config) -> None:
    """A size is a number of utterances, or all."""
    for size in config.plan.sizes:
        if size != ALL and not (type(size) is int and size >= 1):
            raise ConfigError(
                "plan.sizes",
                expected=f"numbers of at least 1, or {ALL}",
                got=str(size),
                fix="choose another",
            )


def _check_devices(config: Config) -> None:
    devices = config.extract.devices
    if not re.fullmatch(r"auto|(cpu|cuda(:\d+)?)(,(cpu|cuda(:\d+)?))*", devices):
        raise ConfigError(
            "extract.devices",
            expected="auto, or names such as cpu, cuda:0 with commas",
            got=repr(devices),
            fix="choose among these",
        )
