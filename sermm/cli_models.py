"""The commands that use trained models. What they do is imported once their arguments are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Run = Annotated[
    str, typer.Argument(help="A run folder, an experiment that has run, or an exported folder.")
]
Fold = Annotated[int | None, typer.Option(help="Of an experiment: whose model.")]
AlignerName = Annotated[
    str, typer.Option(help="Who times words: pocketsphinx (English), ctc or uniform.")
]
CtcModel = Annotated[str, typer.Option(help="Of the aligner ctc: folder or hub id.")]
CtcRevision = Annotated[str | None, typer.Option(help="Of a hub id.")]


def predict(
    run: Run,
    files: Annotated[
        list[str] | None,
        typer.Argument(help="Recordings, folders, tables (.csv), or - for paths on stdin."),
    ] = None,
    fold: Fold = None,
    text: Annotated[str | None, typer.Option(help="What is said in the one recording.")] = None,
    text_file: Annotated[
        Path | None, typer.Option(help="A table of file and text, or the text of one recording.")
    ] = None,
    text_beside: Annotated[
        bool, typer.Option("--text-beside", help="Take the words of NAME.wav from NAME.txt.")
    ] = False,
    aligner: AlignerName = "",
    ctc_model: CtcModel = "",
    ctc_revision: CtcRevision = None,
    window: Annotated[float, typer.Option(help="Cut into windows of so many seconds.")] = 0.0,
    hop: Annotated[float, typer.Option(help="Seconds from one window to the next.")] = 0.0,
    silences: Annotated[
        bool, typer.Option("--silences", help="Cut at silences into a timeline.")
    ] = False,
    silence_db: Annotated[
        float, typer.Option(help="Softer than the loudest by this: silent.")
    ] = 35.0,
    pause: Annotated[float, typer.Option(help="Seconds of silence that part.")] = 0.4,
    longest: Annotated[float, typer.Option(help="Longest part between silences, seconds.")] = 15.0,
    raw: Annotated[
        bool, typer.Option("--raw", help="Probabilities as the model gives them.")
    ] = False,
    format: Annotated[str, typer.Option(help="table, json (lines) or csv.")] = "",  # noqa: A002
    output: Annotated[Path | None, typer.Option(help="A file in place of the terminal.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads; without it one a core.")
    ] = None,
) -> None:
    """What a trained model says of recordings; what cannot be read is reported, others go on."""
    from sermm.predict.command import PredictOptions, choose_cutting, predict_files

    options = PredictOptions(
        fold=fold,
        text=text,
        text_file=text_file,
        text_beside=text_beside,
        aligner=aligner,
        ctc_model=ctc_model,
        ctc_revision=ctc_revision,
        cutting=choose_cutting(
            window=window,
            hop=hop,
            silences=silences,
            silence_db=silence_db,
            pause=pause,
            longest=longest,
        ),
        raw=raw,
        format=format,
        output=output,
        workers=workers,
    )
    predict_files(run, files or [], options)


def add_commands(app: typer.Typer) -> None:
    """Give the command line these commands."""
    app.command()(predict)
