"""What ``sermm align`` may be asked, checked before anything takes time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_modules.errors import ConfigError
from sermm.hub import check_ctc_model

ALIGNER_NAMES = ("pocketsphinx", "ctc", "textgrid", "uniform")


@dataclass(frozen=True)
class AlignOptions:
    """Options of the command; those of another aligner keep their defaults.

    Attributes:
        aligner: Source of the word times.
        workers: Processes; None leaves it to the aligner.
        model: Of ``ctc``: a folder or a hub id.
        revision: Of a hub id.
        device: Of ``ctc``: ``auto``, ``cpu`` or as torch names it.
        textgrids: Of ``textgrid``: the folder.
        tier: Of ``textgrid``: the tier with the words.
    """

    aligner: str
    workers: int | None = None
    model: str = ""
    revision: str | None = None
    device: str = "auto"
    textgrids: Path | None = None
    tier: str | None = None


def check_options(options: AlignOptions) -> None:
    """Whether the aligner is one, has what it needs, and is given nothing that is another's.

    Raises:
        ConfigError: It is not so.
        ModelError: The model is no checkpoint, or cannot be had.
    """
    if options.aligner not in ALIGNER_NAMES:
        raise ConfigError(
            "--aligner",
            expected=f"one of {', '.join(ALIGNER_NAMES)}",
            got=options.aligner,
            fix="choose one of these; corpus times are read by `sermm prepare`",
        )
    given = {
        "--model": (options.model, "ctc"),
        "--revision": (options.revision, "ctc"),
        "--device": (options.device if options.device != "auto" else None, "ctc"),
        "--textgrids": (options.textgrids, "textgrid"),
        "--tier": (options.tier, "textgrid"),
    }
    for name, (value, aligner) in given.items():
        if value and options.aligner != aligner:
            raise ConfigError(
                name,
                expected=f"--aligner {aligner} beside it",
                got=f"--aligner {options.aligner}",
                fix=f"leave {name} away, or choose that aligner",
            )
    if options.aligner == "ctc":
        if not options.model:
            raise ConfigError(
                "--model",
                expected="a CTC model",
                got="nothing",
                fix="give a folder or a hub id, such as facebook/wav2vec2-base-960h (English)",
            )
        check_ctc_model(options.model, options.revision, where="--model")
    folder = options.textgrids
    if options.aligner == "textgrid" and (folder is None or not folder.is_dir()):
        raise ConfigError(
            "--textgrids",
            expected="a folder of NAME.TextGrid files",
            got="nothing" if folder is None else f"{folder}, no folder",
            fix="give the folder that the aligner wrote",
        )
