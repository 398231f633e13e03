"""The configuration as typed dataclasses: every key, its meaning, its default.

How files, fragments and overrides become one is in ``compose.py``, which values are allowed is in
``limits.py``. Everything is plain data: no class paths, no code. Nothing here imports torch, so
that a typing mistake answers at once.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any

import yaml
from omegaconf import MISSING

SCRATCH = "scratch"
"""The name of an encoder that has learned nothing yet."""

READY = "ready"
"""The speech upstream that stands for features which come with the corpus."""

ALL = "all"
"""The size in ``plan.sizes`` that is the whole training part."""

TUNED = "tuned"
"""The upstream that stands for an encoder which another experiment has trained."""

OWN = "own"
"""What the features in ``data.features`` are called beside those of the corpus."""


@dataclass
class DemoConfig:
    """The synthetic corpus that comes with sermm (``data.corpus=demo``)."""

    seed: int = 0  # which corpus; 0, 1 and 2 have known digests
    utterances_per_speaker: int = 120  # ten speakers


@dataclass
class DataConfig:
    """Which utterances, how they are divided and how they are batched."""

    corpus: str = MISSING  # name of the reader
    root: str = ""  # folder of the release; the demo corpus makes its own
    cache: str = "cache"  # manifests, features and the demo corpus live here
    labels: str = MISSING  # label scheme
    protocol: str = MISSING  # named protocol: folds and what they may not share
    # features of your own, which model.speech.features or model.vectors call own: .npz, .h5 or a
    # folder of ID.npy, one array an utterance id; none: only those of the corpus
    features: str = ""
    features_stride_s: float = 0.0  # from one of their frames to the next; 0: one an utterance
    # which words are read: reference, those of the corpus; recognised, those that
    # `sermm transcribe` heard, with their own word times; named beside every number
    text: str = "reference"
    # sources of word times in order of preference; the first that has an utterance serves it
    aligners: list[str] = field(default_factory=lambda: ["corpus"])
    ctc_model: str = ""  # for ctc among the aligners: folder or hub id of a CTC model that spells
    ctc_revision: str | None = None  # of a hub id; a commit makes the word times repeatable
    # how the training utterances of a size are drawn: natural, with the shares that classes have in
    # the training part; balanced, as many of each class
    draw: str = "natural"
    # train on the shares of the raters' votes instead of one class; scores stay on the class
    soft_labels: bool = False
    shuffle_word_times: bool = False  # control: right words, wrong places
    allow_failed_checks: bool = False  # train on a corpus whose checks fail; stands in the summary
    max_pieces: int = 512  # longest transcript in word pieces; a longer one is an error
    batch_size: int = 32  # utterances a training batch
    # seconds of a training batch, padding included, in place of a number of utterances; 0: off
    batch_seconds: float = 0.0
    # longer utterances are left out of training, and listed with the run; validation and test keep
    # theirs. 0: none is too long
    max_seconds: float = 0.0
    eval_batch_size: int = 64  # utterances a batch in evaluation; does not change any result
    num_workers: int = 0  # loader processes; does not change any result
    demo: DemoConfig = field(default_factory=DemoConfig)


@dataclass
class SpeechConfig:
    """The speech upstream: waveform to frames."""

    # logmel, mfcc, lld, logmel_lld, opensmile; frozen encoders: huggingface, wav2vec, vq_wav2vec,
    # speech_bert, tflite, onnx; ready for features that come with the corpus; or tuned for the
    # encoder that the same fold, seed and size of another experiment has trained
    upstream: str = "logmel"
    # ready: which features of the corpus, such as covarep; own: those of data.features
    features: str = ""
    # encoders: a folder, a file, or a hub id such as facebook/wav2vec2-base; none: wav2vec,
    # vq_wav2vec and speech_bert have published checkpoints of their own. tflite, onnx: a file.
    # huggingface with frozen=false: scratch is a small encoder that has learned nothing yet
    # tuned: an experiment, by name or folder, whose layers are handed on
    name: str = ""
    revision: str | None = None  # of a hub id; a commit makes the run repeatable
    # encoders: last, mean (of all), the number of a layer; all, or numbers with commas, which are
    # kept apart
    layers: str = "last"
    chunk_s: float = 0.0  # encoders: longer clips are computed in pieces; 0: whatever the length
    chunk_overlap_s: float = 1.0  # of two pieces
    # speech_bert: <s> and </s> are frames, too, so that the first one stands for the clip
    keep_ends: bool = False
    # huggingface, wav2vec, speech_bert; false: the upstream is trained with the task, from
    # waveforms. Its frames change with every step, so model.speech.normalise is none or layer
    frozen: bool = True
    # not frozen: the convolutions over the waveform stay as they are and cost no backward pass; for
    # speech_bert they always do
    freeze_front: bool = True
    hidden: int = 64  # scratch: width
    depth: int = 2  # scratch: transformer layers
    heads: int = 4  # scratch: attention heads
    num_bands: int = 64  # mel bands
    num_ceps: int = 40  # cepstral coefficients (mfcc)
    window_ms: float = 25.0  # audio that one frame sees; onnx, of whole clips: of the file
    hop_ms: float = 20.0  # from one frame to the next; onnx, of whole clips: of the file
    feature_set: str = "ComParE_2016"  # opensmile: which features
    # opensmile: functionals, one frame an utterance; lld, low-level descriptors every 10 ms
    feature_level: str = "functionals"
    # what frames are standardised by. train: the training part; speaker: all clips of the speaker
    # first, which for test speakers is test audio (never labels): marked beside every number;
    # layer: each frame of each layer by its own mean and deviation; none
    normalise: str = "train"
    # none: keep the level of the recording; level: subtract the clip's mean over all mel bands;
    # utterance: subtract each dimension's mean over the clip
    center: str = "none"
    # dB below the loudest frame under which frames at both ends are cut; 0 cuts nothing
    trim_db: float = 0.0


@dataclass
class SecondSpeechConfig:
    """A second speech upstream beside the first; what is not here is as in ``model.speech``."""

    upstream: str = "none"  # none, or as model.speech.upstream
    name: str = ""  # as model.speech.name
    revision: str | None = None  # as model.speech.revision
    layers: str = "last"  # last, mean, or the number of a layer
    # early: the frames of both stand side by side, each frame of the first with the nearest in time
    # of the second; late: each is pooled on its own (acoustic, with nothing learned below pooling)
    fusion: str = "early"


@dataclass
class ExtractConfig:
    """Computing the features of a speech upstream and storing them in the cache."""

    # which layers of an encoder are stored. used: those of model.speech.layers, as one if it is
    # mean; all: every layer, from which any other choice is read later without computing again
    layers: str = "used"
    # of the stored values: float32, float16 or bfloat16, which round to 11 and 8 binary digits
    dtype: str = "float32"
    # of an encoder's arithmetic: 32, bf16 or fp16; the error of half precision is measured on some
    # clips, printed and kept with the features
    precision: str = "32"
    # encoders: seconds of audio that are computed together, padding included; 0: 10 a core on a
    # CPU, 160 on a GPU; moves no more than the last digits
    batch_seconds: float = 0.0
    workers: int = 0  # threads that decode, and on a CPU compute; 0: as many as there are cores
    # where an encoder computes, one process each: auto (every GPU, or else the CPU), or names with
    # commas, such as cuda:0,cuda:1 or cpu,cpu
    devices: str = "auto"


@dataclass
class TextConfig:
    """The text upstream: word pieces to states."""

    # scratch, a folder of a checkpoint, a hub id of the BERT family, or tuned for the encoder that
    # the same fold, seed and size of another experiment has trained
    name: str = "scratch"
    experiment: str = ""  # tuned: that experiment, by name or folder
    revision: str | None = None  # of a hub id; a commit makes the run repeatable
    frozen: bool = False  # its weights stay as they are
    vocab_size: int = 2000  # scratch: WordPiece entries, trained on the fold's training part
    hidden: int = 64  # scratch: width
    layers: int = 1  # scratch: transformer layers
    heads: int = 4  # scratch: attention heads
    word_dropout: float = 0.0  # share of word pieces replaced by [MASK] in training


@dataclass
class AugmentConfig:
    """Random changes of training frames: SpecAugment (arXiv 1904.08779), other voices and rates."""

    time_masks: int = 0  # masks over time in each clip
    time_mask_share: float = 0.1  # longest mask as a share of the clip
    band_masks: int = 0  # masks over neighbouring dimensions
    band_mask_share: float = 0.15  # widest mask as a share of the dimensions
    noise: float = 0.0  # standard deviation of noise added to standardised frames
    gain: float = 0.0  # standard deviation of one shift of all standardised values of a clip
    # mel bands are stretched by up to this share, as a longer or shorter vocal tract does
    band_warp: float = 0.0
    time_stretch: float = 0.0  # clips are slowed or hurried by up to this share (not with spans)


@dataclass
class EcapaConfig:
    """Sizes of ECAPA-TDNN (``model.pooling=ecapa``); the defaults are SpeechBrain's."""

    # widths of the first convolution, of each SE-Res2Net block, and of what joins the blocks
    channels: list[int] = field(default_factory=lambda: [512, 512, 512, 512, 1536])
    kernels: list[int] = field(default_factory=lambda: [5, 3, 3, 3, 1])  # frames each sees, odd
    dilations: list[int] = field(default_factory=lambda: [1, 2, 3, 4, 1])  # steps between them
    scale: int = 8  # groups of channels in a block
    se_channels: int = 128  # bottleneck of squeeze and excitation
    attention_channels: int = 128  # bottleneck of the attention over frames
    embedding: int = 192  # width of an utterance's vector


@dataclass
class BackboneConfig:
    """The network over acoustic frames (not in the task linear, nor in fusion by span)."""

    kind: str = "recurrent"  # recurrent, sized by model.recurrent_*; or transformer
    # neighbouring frames that are joined to one step: a lower rate without convolutions
    frames_per_step: int = 1
    width: int = 128  # transformer: of all states
    layers: int = 4  # transformer
    heads: int = 4  # transformer: attention heads
    feedforward: int = 256  # transformer: width of the hidden layer in each layer
    # acoustic: an experiment with the task pretrain, by name or folder, whose run of the same fold
    # gives the first weights of the encoder; none: random ones
    start: str = ""
    start_seed: int | None = None  # of that run; None: the seed of this run
    frozen: bool = False  # acoustic: the encoder stays as it started, only the head is trained
    # transformer: which states are read of it: last, those of its last layer; all, those of every
    # layer side by side (not in the task pretrain)
    states: str = "last"


@dataclass
class PretrainConfig:
    """The task pretrain: hidden steps of acoustic frames are reconstructed; no label is read.

    model.augment, model.pooling and model.head take no part.
    """

    mask_share: float = 0.15  # of the steps of a clip
    span_min: int = 1  # steps that are hidden together, at least
    span_max: int = 1  # at most; 1: single steps
    learned_mask: bool = False  # hidden steps become a learned vector; else zero, the mean
    loss: str = "l1"  # of hidden values: l1, mse, or huber, which is mse up to 1 and l1 beyond
    # train also on utterances that labels or protocol leave out and that share no speaker (or what
    # else the protocol keeps apart) with validation or test
    unlabelled: bool = True


@dataclass
class ModelConfig:
    """What is trained."""

    task: str = MISSING  # linear, acoustic, text, fusion, vectors or pretrain
    # vectors: ready-made utterance vectors of the corpus, each with a head of its own (late fusion)
    vectors: list[str] = field(default_factory=list)
    # fusion, vectors: share of training utterances that lack a modality, drawn for each; the same
    # model then does without either, and is scored so. 0: it needs all of them
    modality_dropout: float = 0.0
    threshold: float = 0.5  # several labels: probability from which a label is predicted
    # fusion: how frames reach words. span: frames of the word's time span; attention: learned, no
    # times; none: each modality pooled on its own, then joined (shallow fusion); coattention: the
    # same, after the vector of each has attended to the states of the other
    alignment: str = "span"
    projection: int = 0  # width of a linear layer on each acoustic frame, before all else; 0: none
    conv_layers: int = 0  # convolutions over frames, each followed by a halving of the rate
    conv_channels: int = 96  # width of every convolution
    recurrent_hidden: int = 64  # per direction
    # stacked; 0: none (acoustic, and fusion with alignment none or coattention)
    recurrent_layers: int = 1
    attention_heads: int = 2  # coattention: of each direction
    # attention, mean, mean_std or ecapa; first: the first state, such as that of [CLS]
    pooling: str = "attention"
    # softmax: one of the classes; one_vs_rest: a pair of scores for each class, present or absent,
    # as Siriwardhana et al. 2020 do (none or several may be predicted)
    head: str = "softmax"
    head_hidden: int | None = None  # width of the head's hidden layer; 0: none; null: of a BiGRU
    dropout: float = 0.3  # everywhere but in a pretrained text encoder
    ecapa: EcapaConfig = field(default_factory=EcapaConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    speech: SpeechConfig = field(default_factory=SpeechConfig)
    speech2: SecondSpeechConfig = field(default_factory=SecondSpeechConfig)
    text: TextConfig = field(default_factory=TextConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)


@dataclass
class OptimConfig:
    """How weights are updated and how long; selection on the validation part."""

    # adamw; adam, whose weight decay is a penalty on the loss; lbfgs, for the task linear and for a
    # linear head on a frozen backbone: the whole training part as one batch, each input of the
    # layer standardised by it, solved to the minimum in one epoch, with optim.weight_decay / 2
    # times the squared weights added to the loss, and no rates, schedule or dropout
    solver: str = "adamw"
    lr: float = 1e-3  # highest learning rate, reached after warm-up
    text_lr: float | None = None  # for a pretrained text encoder; None is lr
    speech_lr: float | None = None  # for a speech upstream that is trained; None is lr
    weight_decay: float = 0.01  # decoupled with adamw; matrices only
    warmup_share: float = 0.1  # of all steps; 0: the full rate from the first step on
    # how the rate goes on from there: cosine, linear or polynomial to zero after the last step, or
    # constant
    schedule: str = "cosine"
    schedule_power: float = 2.0  # polynomial: 1 is linear
    beta2: float = 0.999  # adam, adamw: of the running mean of squared gradients
    epsilon: float = 1e-8  # adam, adamw: added to the root of that mean
    decay_vectors: bool = False  # weight decay of biases and norms, too
    epochs: int = 30  # at most; without effect where optim.steps says how long to train
    steps: int = 0  # updates in place of epochs, such as 30000; 0: by epochs
    # updates between two validations, which then take the place of epochs in history.csv,
    # optim.patience and the choice of the best; 0: each epoch
    val_every_steps: int = 0
    # batches an update; its gradient is that of the mean loss over all their utterances
    accumulate: int = 1
    # validation score that chooses the epoch, or loss; none: ua of classes, mae of ratings,
    # macro_f1 of several labels
    select: str = ""
    # weights that are tested are the mean of those at this many of the best validations (buffers
    # are those of the best), whether or not the mean does better on validation; 1: the best alone
    average: int = 1
    patience: int = 0  # validations without a better score before training ends; 0 is never
    # classes: loss weights inverse to the counts in the training part; several labels: weights that
    # make a label's presence and absence count alike
    class_weights: bool = True
    label_smoothing: float = 0.0  # classes: share of the target that is spread over all of them
    rating_loss: str = "l1"  # ratings: l1 or mse, on ratings standardised by the training part
    gradient_clip: float = 1.0  # norm; 0 is off


@dataclass
class TrainerConfig:
    """Where training runs."""

    accelerator: str = "auto"  # auto, cpu, gpu, as Lightning names them
    # processes on each machine; data.batch_size and data.batch_seconds are what one of them holds,
    # and optim.lr is for the update of all: nothing is scaled
    devices: int = 1
    num_nodes: int = 1  # machines
    strategy: str = "auto"  # ddp, fsdp, as Lightning names them
    precision: str = "32-true"  # of weights and arithmetic, as Lightning names it
    # activations of encoders that are trained are computed again in the backward pass, not kept:
    # less memory, more time
    gradient_checkpointing: bool = False
    # torch.compile of the transformer layers of a speech upstream that is trained (the run needs a
    # C++ compiler): the first batches take minutes, the rest less time. Dropout is drawn otherwise
    # than without it; prediction from a checkpoint is not compiled
    compile: bool = False
    num_threads: int = 1  # CPU threads a run; results depend on it in the last digits
    # a checkpoint is written after each validation, before a batch system stops the job, and
    # when this time has passed; 0: not by time
    checkpoint_minutes: float = 10.0
    checkpoint_steps: int = 0  # and after so many updates; 0: not by updates


@dataclass
class PlanConfig:
    """Which runs make up the experiment."""

    folds: list[int] | None = None  # None: all folds of the protocol
    seeds: list[int] = field(default_factory=lambda: [0])  # each with every fold
    # training utterances, or all for all there are; none: all alone
    sizes: list[Any] = field(default_factory=list)
    workers: int = 0  # runs at once; 0: as many as the cores, or the GPUs, allow
    # runs at once on each GPU of this machine (or each trainer.devices of them); 0: as many as fit,
    # by the memory that those which are there have taken until their first validation
    runs_per_gpu: int = 1


@dataclass
class TrackingConfig:
    """Weights & Biases. The local files are the truth; W&B is a view of them."""

    wandb: str = "auto"  # auto (online when logged in, else offline), online, offline, disabled
    project: str = "sermm"  # of W&B
    entity: str | None = None  # team or user of W&B; None: the one who is logged in
    # test utterances that each run sends with their audio and the picture of their words; 0, as a
    # corpus' licence may not let its audio leave this machine
    examples: int = 0
    tensorboard: bool = False  # the same figures for TensorBoard, in RUN/tensorboard


@dataclass
class Config:
    """One experiment, or one run of it (``fold``, ``seed``, ``size``)."""

    name: str = MISSING  # of the experiment and its folder; the file's, if not stated
    description: str = ""  # one sentence for the report
    runs: str = "runs"  # folder of run folders
    fold: int = 0  # of this run
    seed: int = 0  # of this run: initial weights, order, dropout, subset
    size: int | None = None  # training utterances of this run; None: all
    # false: train and select alone; the test part is not read (trials of a sweep)
    test: bool = True
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    extract: ExtractConfig = field(default_factory=ExtractConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    plan: PlanConfig = field(default_factory=PlanConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)


# Keys that say where and how fast, not what: two runs that differ only here give the same result.
# The number of threads stays out of this list, since it moves the last digits.
_NOT_IN_FINGERPRINT = (
    "name",
    "description",
    "runs",
    "fold",
    "seed",
    "size",
    "data.root",
    "data.cache",
    "data.eval_batch_size",
    "data.num_workers",
    "extract.batch_seconds",
    "extract.workers",
    "extract.devices",
    "trainer.checkpoint_minutes",
    "trainer.checkpoint_steps",
    "plan",
    "tracking",
)


def valid_keys(schema: Any = Config, prefix: str = "") -> list[str]:
    """Every dotted key of the configuration, leaves only."""
    keys: list[str] = []
    for spec in fields(schema):
        section: Any = spec.default_factory  # of a nested section: its dataclass
        if is_dataclass(section):
            keys.extend(valid_keys(section, f"{prefix}{spec.name}."))
        else:
            keys.append(f"{prefix}{spec.name}")
    return keys


def type_name(key: str) -> str:
    """How the type of a key is written, for errors."""
    schema: Any = Config
    *sections, leaf = key.split(".")
    for section in sections:
        schema = next(f.default_factory for f in fields(schema) if f.name == section)
    return str(next(f.type for f in fields(schema) if f.name == leaf))


def value_of(config: Config, key: str) -> Any:
    """The value at a dotted key."""
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    return value


def mel_bands(config: Config) -> int:
    """Log-mel bands that each acoustic frame begins with; 0 for features of another kind."""
    speech = config.model.speech
    return speech.num_bands if speech.upstream in ("logmel", "logmel_lld") else 0


def needs_speech(config: Config) -> bool:
    """Whether the task reads acoustic frames."""
    return config.model.task not in ("text", "vectors")


def tunes_speech(config: Config) -> bool:
    """Whether a speech upstream is trained, so that the task reads waveforms and no cache."""
    return needs_speech(config) and not config.model.speech.frozen


def second_speech(config: Config) -> Config | None:
    """The configuration with the second speech upstream in place of the first, if there is one."""
    model, second = config.model, config.model.speech2
    if not needs_speech(config) or second.upstream == "none":
        return None
    stated = {key: value for key, value in vars(second).items() if key != "fusion"}
    speech = replace(model.speech, **stated)
    return replace(config, model=replace(model, speech=speech, speech2=SecondSpeechConfig()))


def fuses_late(config: Config) -> bool:
    """Whether two speech upstreams are pooled each on its own."""
    return second_speech(config) is not None and config.model.speech2.fusion == "late"


def needs_audio(config: Config) -> bool:
    """Whether the task reads audio files; ready-made features do without."""
    return needs_speech(config) and config.model.speech.upstream != READY


def ready_features(config: Config) -> list[str]:
    """Names of the corpus' own features that the task reads."""
    if config.model.task == "vectors":
        return list(config.model.vectors)
    ready = needs_speech(config) and config.model.speech.upstream == READY
    return [config.model.speech.features] if ready else []


def one_frame(config: Config) -> bool:
    """Whether the speech upstream computes one frame an utterance."""
    speech = config.model.speech
    return speech.upstream == "opensmile" and speech.feature_level == "functionals"


def needs_text(config: Config) -> bool:
    """Whether the task reads transcripts."""
    return config.model.task in ("text", "fusion")


def needs_word_times(config: Config) -> bool:
    """Whether the task reads the times of words."""
    return config.model.task == "fusion" and config.model.alignment == "span"


def to_dict(config: Config) -> dict[str, Any]:
    """The configuration as plain nested dicts, lists and scalars."""
    return asdict(config)


def to_yaml(config: Config) -> str:
    """The configuration as YAML that :func:`load_config` reads again."""
    return str(yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True))


def fingerprint(config: Config) -> str:
    """A hash over every key that can change a result of the plan's runs."""
    return hashlib.sha256(json.dumps(result_keys(config), sort_keys=True).encode()).hexdigest()[:16]


def result_keys(config: Config) -> dict[str, Any]:
    """The keys that can change a result, flat."""
    return {
        key: value
        for key in valid_keys()
        if not any(key == skip or key.startswith(f"{skip}.") for skip in _NOT_IN_FINGERPRINT)
        for value in [value_of(config, key)]
    }
