"""``sermm export``: weights, configuration, tokenizer, upstream and card, no pickle anywhere.

The folder is what :func:`sermm.load` reads on a machine that has neither the training data nor the
run. It appears whole or not at all.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from data_modules.atomic import write_json, write_text
from data_modules.errors import ConfigError
from sermm import __version__
from sermm.build_checkpoint import checkpoint_record
from sermm.calibration import FILE_NAME as CALIBRATION_FILE
from sermm.config import Config, needs_audio, needs_text, to_yaml, tunes_speech
from sermm.export.card import CardFacts, write_card
from sermm.export.licences import Licence, licence_of
from sermm.features import speech_upstream
from sermm.predict.source import EXPORT_FILE, ModelSource
from sermm.predict.trained import (
    EXPORT_VERSION,
    TOKENIZER_FILE,
    UPSTREAM_FOLDER,
    WEIGHTS_FILE,
    TrainedModel,
    load_trained,
)
from sermm.upstreams.encoded import EncoderUpstream

ONNX_FILE = "model.onnx"


@dataclass(frozen=True)
class ExportOptions:
    """What is asked for.

    Attributes:
        onnx: Whether to write the acoustic model as ONNX too.
        with_upstream: Copy the upstream's weights though no licence that allows it is known.
        licence: Of the exported model, for the card; empty: not stated.
    """

    onnx: bool = False
    with_upstream: bool = False
    licence: str = ""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        folder: Where.
        notes: What the user must know: what is missing in it and why.
        onnx_gap: Largest difference between ONNX and torch; None without ONNX.
    """

    folder: Path
    notes: tuple[str, ...]
    onnx_gap: float | None


def export_model(
    source: ModelSource, folder: Path, options: ExportOptions, *, say: Callable[[str], None] = print
) -> Exported:
    """Export the model of a run.

    Args:
        source: A run.
        folder: Where to; must not exist, or be empty.
        options: What with.
        say: Told what takes time.

    Raises:
        ConfigError: The folder is in use, the source is an export, or ONNX is asked of a model that
            reads words.
        ModelError: The model cannot be loaded, or ONNX gives other numbers.
    """
    if source.exported:
        raise ConfigError(
            source.folder, expected="a run", got="an export", fix="copy the folder instead"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(
            folder,
            expected="a folder that is new or empty",
            got="one in use",
            fix="remove it or choose another",
        )
    model = load_trained(source)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
    try:
        gap, notes = _write(model, temporary, options, say)
        temporary.chmod(0o755)
        if folder.is_dir():
            folder.rmdir()
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Exported(folder, tuple(notes), gap)


def _write(
    model: TrainedModel, folder: Path, options: ExportOptions, say: Callable[[str], None]
) -> tuple[float | None, list[str]]:
    from safetensors.torch import save_file

    # weights that modules share are stored for each: safetensors refuses shared memory
    state = {key: value.clone().contiguous() for key, value in model.task.state_dict().items()}
    weights = folder / WEIGHTS_FILE
    weights.touch()
    mode = weights.stat().st_mode
    save_file(state, weights, metadata={"format": "pt"})
    weights.chmod(mode)  # safetensors makes it readable by its owner alone
    record = checkpoint_record(_portable(model), model.facts)
    if record["facts"]["tokenizer"]:
        write_text(folder / TOKENIZER_FILE, record["facts"].pop("tokenizer"))
    licence, upstream_file, notes = _write_upstream(model, folder, options)
    write_json(
        folder / EXPORT_FILE,
        {
            "format": EXPORT_VERSION,
            "sermm": __version__,
            "labels": list(model.facts.names),
            "upstream_file": upstream_file,
            "model": record,
        },
    )
    write_text(folder / "config.yaml", to_yaml(_portable(model)))
    for name in ("metrics.json", CALIBRATION_FILE):
        if (model.folder / name).is_file():
            shutil.copyfile(model.folder / name, folder / name)
    gap = None
    if options.onnx:
        from sermm.export.onnx import write_onnx

        say("writing ONNX and comparing it with torch")
        gap = write_onnx(model, folder / ONNX_FILE)
    text_licence = _text_licence(model)
    write_card(
        folder / "README.md",
        model,
        CardFacts(
            speech=licence, text=text_licence, licence=options.licence, notes=tuple(notes), gap=gap
        ),
    )
    return gap, notes


def _portable(model: TrainedModel) -> Config:
    """The configuration without folders of this machine."""
    data = replace(model.config.data, root="", cache="cache", features="")
    return replace(model.config, data=data, runs="runs")


def _text_licence(model: TrainedModel) -> Licence | None:
    """Of the encoder that the text part started from; its fine-tuned weights are in the export."""
    text = model.config.model.text
    if not needs_text(model.config) or text.name == "scratch":
        return None
    return licence_of(text.name, text.revision)


def _write_upstream(
    model: TrainedModel, folder: Path, options: ExportOptions
) -> tuple[Licence | None, str, list[str]]:
    """Copy the weights that the upstream was loaded from, where that is allowed."""
    speech = model.config.model.speech
    if tunes_speech(model.config):
        # its weights are the task's own
        return (licence_of(speech.name, speech.revision) if speech.name else None), "", []
    if not needs_audio(model.config) or model.upstream is None or not speech.name:
        named = isinstance(model.upstream, EncoderUpstream)
        note = f"the weights of {speech.upstream} are not in it: they are fetched on loading"
        return None, "", [note] if named else []
    path = Path(speech.name).expanduser()
    if path.is_file():
        licence, files = Licence.unknown(path.name), [path]
    else:
        licence, files = _encoder_files(speech.name, speech.revision)
    if not (licence.allows_copies or options.with_upstream):
        return (
            licence,
            "",
            [
                f"the weights of {speech.name} are not in it: {licence.reason}; add "
                "--with-upstream if you may pass them on, or load where they can be had"
            ],
        )
    target = folder / UPSTREAM_FOLDER
    target.mkdir()
    for file in files:
        shutil.copyfile(file, target / file.name)
    _expect_the_same(model, target / path.name if path.is_file() else target)
    return licence, path.name if path.is_file() else "", []


def _encoder_files(name: str, revision: str | None) -> tuple[Licence, list[Path]]:
    """Configuration and safetensors of a checkpoint; old formats hold pickles and stay behind."""
    from sermm.upstreams.architecture import SETTINGS
    from sermm.upstreams.pretrained import WEIGHT_FILES, find_folder

    found = find_folder(name, revision, settings=SETTINGS, where=f"model.speech.name={name}")
    weights = {path for pattern in WEIGHT_FILES for path in found.glob(pattern)}
    if not weights:
        return Licence.pickled(name), []
    settings = {path for pattern in SETTINGS for path in found.glob(pattern)}
    return licence_of(name, revision), sorted(settings | weights)


def _expect_the_same(model: TrainedModel, name: Path) -> None:
    """The copy has to give the frames of the original."""
    config = model.config
    speech = replace(config.model.speech, name=str(name), revision=None)
    copy = speech_upstream(replace(config, model=replace(config.model, speech=speech)))
    assert model.upstream is not None, "a model that hears"
    assert copy.fingerprint() == model.upstream.fingerprint(), "copied byte by byte"
