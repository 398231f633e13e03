"""Which values a configuration may have: choices, ranges, and keys that must agree.

What types can say is checked before, in ``compose.py``; what takes a look at the disk comes after,
in ``inputs.py``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

from data_modules.corpora import Corpus, find_corpus
from data_modules.errors import ConfigError
from data_modules.labels import ClassScheme
from data_modules.protocols import find_protocol
from sermm.config import (
    ALL,
    OWN,
    READY,
    SCRATCH,
    TUNED,
    Config,
    mel_bands,
    needs_speech,
    needs_word_times,
    one_frame,
    ready_features,
    second_speech,
    tunes_speech,
    value_of,
)
from sermm.extras import ENCODER_FILES
from sermm.schemes import scheme_of

ENCODERS = ("huggingface", "wav2vec", "vq_wav2vec", "speech_bert")
"""Upstreams with weights."""

TRAINABLE = ("huggingface", "wav2vec", "speech_bert")
"""Those that can be trained with a task; the codes of vq_wav2vec have no gradient."""

CHOICES: dict[str, tuple[str, ...]] = {
    "data.draw": ("natural", "balanced"),
    "data.text": ("reference", "recognised"),
    "model.task": ("linear", "acoustic", "text", "fusion", "vectors", "pretrain"),
    "model.backbone.kind": ("recurrent", "transformer"),
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
        _check_choice(key, value_of(config, key), choices)
    for key, low, high in RANGES:
        _check_range(key, value_of(config, key), low, high)
    for key, lowest, may_be_empty in LISTS:
        _check_list(key, value_of(config, key), lowest, may_be_empty, once=key not in REPEATING)
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
        _check_choice("data.aligners", source, WORD_SOURCES)
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
    _check_solver(config)
    _check_network(config)
    _check_frames(config)
    _check_encoder(config)
    _check_devices(config)
    _check_tuning(config)
    _check_backbone(config)
    _check_stage_one(config)
    _check_second(config)
    _check_corpus(config)
    if needs_speech(config):
        _check_one_frame(config)


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


def _check_solver(config: Config) -> None:
    """L-BFGS searches along the exact gradient of one convex loss, so nothing may change either."""
    if config.optim.solver != "lbfgs":
        return
    trainer = config.trainer
    for key, good, expected in (
        ("model.task", config.model.task == "linear", "linear"),
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


def _check_network(config: Config) -> None:
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


def _check_frames(config: Config) -> None:
    """Whether the frames are of the kind that their preparation and augmentation need."""
    speech, augment = config.model.speech, config.model.augment
    for key, used in (
        ("model.speech.center", speech.center == "level"),
        ("model.speech.trim_db", speech.trim_db > 0),
        ("model.augment.band_warp", augment.band_warp > 0),
    ):
        if used and not mel_bands(config):
            raise ConfigError(
                key,
                expected="features with mel bands (model.speech.upstream=logmel or logmel_lld)",
                got=speech.upstream,
                fix=f"leave {key} at its default, or choose another upstream",
            )
    if augment.time_stretch and needs_word_times(config):
        raise ConfigError(
            "model.augment.time_stretch",
            expected="0 where word times say which frames belong to a word",
            got=str(augment.time_stretch),
            fix="set it to 0, or choose model.alignment=attention or none",
        )


def _check_one_frame(config: Config) -> None:
    """One frame an utterance has no place in time that a word could have.

    Raises:
        ConfigError: The task looks for one.
    """
    ready = ready_features(config)
    strides = _strides(config, find_corpus(config.data.corpus))
    if not (one_frame(config) or any(strides[name] is None for name in ready)):
        return
    for key, used, fix in (
        ("model.alignment", needs_word_times(config), "choose model.alignment=none"),
        ("model.augment.time_stretch", config.model.augment.time_stretch > 0, "set it to 0"),
        ("model.task", config.model.task == "pretrain", "choose another task"),
    ):
        if used:
            raise ConfigError(
                key,
                expected="features with frames over time",
                got=f"one frame an utterance ({config.model.speech.upstream})",
                fix=f"{fix}, or choose other features",
            )


def _check_backbone(config: Config) -> None:
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
    even = backbone.width % backbone.heads == 0 and backbone.width % 2 == 0
    for key, good, expected, fix in (
        ("model.backbone.width", even or not transformer, heads, "choose another value"),
        ("model.pretrain.span_max", pretrain.span_max >= pretrain.span_min, spread, "raise it"),
        ("model.conv_layers", model.conv_layers == 0 or not joined, rates, "set it to 0"),
        ("model.projection", not (is_pretrain and model.projection), f"0 {fixed}", "set it to 0"),
        ("model.speech.layers", not (is_pretrain and several), f"one {fixed}", "choose one"),
        ("model.speech.frozen", model.speech.frozen or not is_pretrain, f"true {fixed}", "set it"),
        ("model.recurrent_layers", not (is_pretrain and no_network), f"1 {fixed}", "raise it"),
        ("model.backbone.start", is_acoustic or not backbone.start, "task acoustic", "leave it"),
        ("model.backbone.frozen", is_acoustic or not backbone.frozen, "task acoustic", "leave it"),
    ):
        if not good:
            raise ConfigError(key, expected=expected, got=str(value_of(config, key)), fix=fix)


def _check_encoder(config: Config) -> None:
    """A learned encoder needs a name and layers."""
    speech = config.model.speech
    if speech.upstream not in ENCODERS:
        return
    if speech.upstream == "huggingface" and not speech.name:
        raise ConfigError(
            "model.speech.name",
            expected="a folder or a hub id of a speech encoder",
            got="nothing",
            fix="state it, such as model.speech.name=facebook/wav2vec2-base",
        )
    if not re.fullmatch(r"last|mean|all|[0-9]+( *, *[0-9]+)*", speech.layers):
        raise ConfigError(
            "model.speech.layers",
            expected="last, mean, all, or numbers of layers with commas",
            got=repr(speech.layers),
            fix="choose one of these",
        )


def _check_stage_one(config: Config) -> None:
    """An upstream that another experiment has trained needs the name of this experiment."""
    model = config.model
    for key, name, used in (
        ("model.speech.name", model.speech.name, model.speech.upstream == TUNED),
        ("model.speech2.name", model.speech2.name, model.speech2.upstream == TUNED),
        ("model.text.experiment", model.text.experiment, model.text.name == TUNED),
    ):
        if used and not name:
            raise ConfigError(
                key,
                expected="the experiment whose encoder is taken",
                got="nothing",
                fix=f"state it as {key}=EXPERIMENT",
            )
        if used and name == config.name:
            raise ConfigError(
                key, expected="another experiment", got=name, fix="choose another name"
            )


def _check_second(config: Config) -> None:
    """Frames of two upstreams stand side by side, so both have one layer and are not cut."""
    second = second_speech(config)
    if second is None:
        return
    _check_encoder(second)
    model = config.model
    late = model.speech2.fusion == "late"
    for key, good, expected in (
        ("model.task", model.task != "linear", "acoustic or fusion"),
        ("model.speech.upstream", model.speech.upstream != READY, "one that reads audio"),
        ("model.speech.frozen", model.speech.frozen, "true"),
        ("model.speech.layers", _one_layer(model.speech.layers), "one layer, or the mean"),
        ("model.speech2.layers", _one_layer(model.speech2.layers), "one layer, or the mean"),
        ("model.speech.trim_db", model.speech.trim_db == 0, "0"),
        ("model.speech.center", model.speech.center != "level", "none or utterance"),
        ("model.task", model.task == "acoustic" or not late, "acoustic where fusion is late"),
        ("model.conv_layers", model.conv_layers == 0 or not late, "0 where fusion is late"),
        ("model.recurrent_layers", model.recurrent_layers == 0 or not late, "0, fusion is late"),
        ("model.projection", model.projection == 0 or not late, "0 where fusion is late"),
        ("model.augment.band_warp", model.augment.band_warp == 0, "0"),
    ):
        if not good:
            raise ConfigError(
                key,
                expected=f"{expected}, with two speech upstreams",
                got=str(value_of(config, key)),
                fix="choose another value, or set model.speech2.upstream=none",
            )


def _one_layer(layers: str) -> bool:
    return re.fullmatch(r"last|mean|[0-9]+", layers) is not None


def _check_tuning(config: Config) -> None:
    """An upstream that is trained reads waveforms, and its frames move with every step."""
    speech = config.model.speech
    if not tunes_speech(config):
        if needs_speech(config) and speech.upstream == "huggingface" and speech.name == SCRATCH:
            raise ConfigError(
                "model.speech.frozen",
                expected="false for an encoder that has learned nothing yet",
                got="true",
                fix="set model.speech.frozen=false, or name a checkpoint in model.speech.name",
            )
        return
    for key, good, expected in (
        ("model.task", config.model.task != "linear", "acoustic or fusion"),
        ("model.speech.upstream", speech.upstream in TRAINABLE, " or ".join(TRAINABLE)),
        ("model.speech.normalise", speech.normalise in ("none", "layer"), "none or layer"),
        ("model.speech.center", speech.center == "none", "none"),
    ):
        if not good:
            raise ConfigError(
                key,
                expected=f"{expected} with model.speech.frozen=false",
                got=str(value_of(config, key)),
                fix="choose one of these, or set model.speech.frozen=true",
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


def _check_corpus(config: Config) -> None:
    """Labels, protocol, score and features have to be those of the corpus."""
    data, model = config.data, config.model
    corpus = find_corpus(data.corpus)
    find_protocol(data.protocol)
    # "iemocap4-session5" and "iemocap-speaker5" are both IEMOCAP's; the demo corpus is in its form
    owners = (corpus.name, *(own.name for own in corpus.schemes))
    if data.protocol.partition("-")[0] not in owners:
        raise ConfigError(
            "data.protocol",
            expected=f"a protocol of {corpus.name}",
            got=data.protocol,
            fix=f"choose one that begins with {corpus.name}-",
        )
    # labels that only a folder states are checked where the folder is looked at (inputs.py)
    if corpus.schemes_of is None:
        check_labels(config, corpus)
    if data.batch_seconds and not needs_speech(config):
        raise ConfigError(
            "data.batch_seconds",
            expected="a task that hears; others have no seconds",
            got=model.task,
            fix="set data.batch_size instead",
        )
    strides = _strides(config, corpus)
    if model.task == "vectors" and not model.vectors:
        raise ConfigError(
            "model.vectors",
            expected=f"features of {corpus.name}: {', '.join(strides) or 'it has none'}",
            got="none",
            fix="name at least one",
        )
    key = "model.vectors" if model.task == "vectors" else "model.speech.features"
    for name in ready_features(config):
        if name == OWN and not data.features:
            raise ConfigError(
                "data.features",
                expected="features of your own, which this experiment reads",
                got="nothing",
                fix="state it as data.features=PATH",
            )
        _check_choice(key, name, tuple(strides) or ("none",))
        if model.task == "vectors" and strides[name] is not None:
            raise ConfigError(
                key, expected="one vector an utterance", got=name, fix="use it as frames instead"
            )


def _strides(config: Config, corpus: Corpus) -> dict[str, float | None]:
    """Seconds between frames of all features at hand; None for one vector an utterance."""
    strides = {name: features.stride_s for name, features in corpus.features.items()}
    return strides | ({OWN: config.data.features_stride_s or None} if config.data.features else {})


def check_labels(config: Config, corpus: Corpus) -> None:
    """Labels, and what depends on them, have to be those of the corpus, complete with its folder.

    Raises:
        ConfigError: The first that is wrong.
    """
    data = config.data
    scheme = scheme_of(config, corpus)
    if config.optim.select:
        from sermm.scoring import find_scoring  # NumPy takes longer than everything else here

        if config.model.task == "pretrain":
            from sermm.reconstruction_metrics import CONTROLS

            scoring = find_scoring("reconstruction", CONTROLS, "reconstruction")
        else:
            scoring = find_scoring(scheme.kind, scheme.names, scheme.family)
        _check_choice("optim.select", config.optim.select, tuple(scoring.overall))
    if data.draw == "balanced" and scheme.kind != "classes":
        raise ConfigError(
            "data.draw",
            expected="labels of one class each, of which equal numbers can be drawn",
            got=scheme.name,
            fix="set data.draw=natural",
        )
    if data.soft_labels and not (isinstance(scheme, ClassScheme) and scheme.votes):
        raise ConfigError(
            "data.soft_labels",
            expected="labels that raters voted for",
            got=scheme.name,
            fix="choose other data.labels, or leave it false",
        )


def _check_choice(key: str, value: str, choices: Sequence[str]) -> None:
    if value in choices:
        return
    near = difflib.get_close_matches(value, choices, n=1)
    raise ConfigError(
        key,
        expected=f"one of {', '.join(choices)}",
        got=repr(value),
        fix=f"did you mean {near[0]}?" if near else "choose one of these",
    )


def _check_range(key: str, value: float | None, low: float, high: float) -> None:
    # written so that NaN, which compares false with everything, is outside
    if value is None or (low <= value <= high and not (value == 0 and key in POSITIVE)):
        return
    above = "more than 0" if key in POSITIVE else f"at least {low:g}"
    bounds = above if high > 1 else f"between {low:g} and {high:g}"
    if value > high > 1:
        bounds = f"at most {high:g}"
    raise ConfigError(key, expected=bounds, got=str(value), fix="choose another value")


def _check_list(
    key: str, values: list[Any] | None, lowest: int | None, may_be_empty: bool, *, once: bool
) -> None:
    if values is None:
        return
    if not values and not may_be_empty:
        raise ConfigError(key, expected="at least one", got="an empty list", fix="name one")
    low = [value for value in values if lowest is not None and value < lowest]
    if low:
        raise ConfigError(
            key, expected=f"values of at least {lowest}", got=str(low[0]), fix="choose another"
        )
    twice = [value for i, value in enumerate(values) if value in values[:i]]
    if twice and once:
        raise ConfigError(
            key, expected="each value once", got=f"{twice[0]} twice", fix="remove the second"
        )
