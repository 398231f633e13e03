"""The commands that use trained models. What they do is imported once their arguments are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Run = Annotated[
    str, typer.Argument(help="A run folder, an experiment that has run, or an exported folder.")
]
Fold = Annotated[int | None, typer.Option(help="Of an experiment: whose model.")]
Seed = Annotated[int | None, typer.Option(help="Of an experiment with several seeds: which.")]
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
    seed: Seed = None,
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
        seed=seed,
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


def export(
    run: Run,
    folder: Annotated[Path, typer.Argument(help="The folder to write; new or empty.")],
    fold: Fold = None,
    seed: Seed = None,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Write an acoustic model as ONNX too, and compare.")
    ] = False,
    with_upstream: Annotated[
        bool, typer.Option("--with-upstream", help="Copy the upstream whatever its licence.")
    ] = False,
    licence: Annotated[
        str, typer.Option(help="Of the exported model, as the hub spells it, for the card.")
    ] = "",
    push: Annotated[str, typer.Option(help="owner/name: send it to the Hugging Face hub.")] = "",
    public: Annotated[
        bool, typer.Option("--public", help="With --push: everybody may see it.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --push: do not ask.")] = False,
) -> None:
    """A trained model as a folder that stands alone: weights, tokenizer, upstream and card."""
    from sermm.export.command import export_run

    export_run(
        run,
        folder,
        fold=fold,
        seed=seed,
        onnx=onnx,
        with_upstream=with_upstream,
        licence=licence,
        push=push,
        public=public,
        yes=yes,
    )


def stress(
    run: Run,
    fold: Fold = None,
    seed: Seed = None,
    damage: Annotated[
        list[str] | None,
        typer.Option(
            help="white, babble, gain, telephone, speed, truncation or words; without it all."
        ),
    ] = None,
    level: Annotated[
        list[float] | None, typer.Option(help="Of the one damage; without it the usual ones.")
    ] = None,
    aligner: AlignerName = "",
    ctc_model: CtcModel = "",
    limit: Annotated[int, typer.Option(min=0, help="At most so many utterances; 0: all.")] = 0,
    damage_seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn.")] = 0,
    cache: Annotated[
        Path | None, typer.Option(help="Of the corpus; without it that of the run.")
    ] = None,
) -> None:
    """The score on the run's test part as recordings or words get worse."""
    from sermm.stress.command import StressOptions, stress_run

    options = StressOptions(
        fold=fold,
        seed=seed,
        damages=tuple(damage or ()),
        levels=tuple(level or ()),
        aligner=aligner,
        ctc_model=ctc_model,
        limit=limit,
        damage_seed=damage_seed,
        cache=cache,
    )
    stress_run(run, options)


def demo(
    run: Run,
    fold: Fold = None,
    seed: Seed = None,
    aligner: AlignerName = "",
    ctc_model: CtcModel = "",
    host: Annotated[str, typer.Option(help="Address; this machine alone unless said.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 7860,
    max_mb: Annotated[float, typer.Option(help="Largest upload.")] = 64.0,
    max_minutes: Annotated[float, typer.Option(help="Longest recording.")] = 30.0,
    public_url: Annotated[
        str, typer.Option(help="Where users open it, if a proxy passes it on.")
    ] = "",
) -> None:
    """A page on this machine: record or drop a file, type its words, see what the model says."""
    from sermm.demo.command import open_demo

    open_demo(
        run,
        fold=fold,
        seed=seed,
        aligner=aligner,
        ctc_model=ctc_model,
        host=host,
        port=port,
        max_mb=max_mb,
        max_minutes=max_minutes,
        public_url=public_url,
    )


def transcribe(
    corpus: Annotated[str, typer.Argument(help="A prepared corpus with audio.")],
    model: Annotated[
        str, typer.Option(help="Whisper or a CTC model that spells: folder or hub id.")
    ],
    revision: Annotated[str | None, typer.Option(help="Of a hub id.")] = None,
    cache: Annotated[Path, typer.Option(help="Folder of manifests and features.")] = Path("cache"),
    device: Annotated[str, typer.Option(help="auto, cpu, or as torch names it.")] = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="Clips at once.")] = 8,
    aligner: Annotated[
        str, typer.Option(help="Time the recognised words too: pocketsphinx or uniform.")
    ] = "",
) -> None:
    """Recognise the words of a corpus beside its reference, and print the word error rate."""
    from sermm.transcribe_stage import transcribe_corpus

    transcribe_corpus(
        corpus,
        cache,
        model=model,
        revision=revision,
        device=device,
        batch_size=batch_size,
        aligner=aligner,
    )


def add_commands(app: typer.Typer) -> None:
    """Give the command line these commands."""
    app.command()(predict)
    app.command()(export)
    app.command()(stress)
    app.command()(demo)
    app.command()(transcribe)
