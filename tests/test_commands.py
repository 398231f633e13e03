"""Every command of the pages is run here, or says behind itself what it needs beyond the project.

Small: few utterances of the demo corpus, models of some units. What stands for the reader's own
(``clip.wav``, ``my_clips``, "what is said") is made first. Everything else is as the page has it.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from sermm.sweep.file import read_sweep
from tests import pages
from tests.sermm.workplace import SMALL, Workplace

LEFT_OUT = {"data", "network", "an account", "a GPU", "two machines", "a cluster"}
LEFT_OUT |= {"the cluster below"}
FEW = ("data.demo.utterances_per_speaker=12", "optim.epochs=1", "plan.folds=[0,1]")
# as finished wherever a page speaks of them
FINISHED = ("acoustic_demo", "fusion_demo", "fusion_unaligned_demo", "fusion_shuffled_demo")
TRAINS = ("experiment", "extract", "fit", "protocols", "sweep")
# pages on which a table of the reader's is written down
TABLES = ("tutorial", "table")
# README last: it trains with more seeds, and the others speak of the one run of a fold
PLAYED = [page for page in pages.PAGES if page != pages.README] + [pages.README]

Line = tuple[list[str], list[str]]


def lines(page: Path) -> list[Line]:
    """The commands of a page with what each needs."""
    found = []
    for words, needs in pages.marked_lines(pages.read(page)):
        # README is read by people who know that they have no such folder
        evident = ["data"] if page == pages.README and "/data/" in " ".join(words) else []
        found.append((words, needs or evident))
    return found


def is_run(page: Path, line: Line) -> bool:
    words, needs = line
    # benchmarks and runs of two processes have tests of their own
    if words[0] in ("python", "torchrun") or "trainer.strategy=ddp" in words:
        return False
    own = page.stem in TABLES and any("table" in word for word in words)
    return own or not LEFT_OUT & set(needs)


def test_marks_are_those_that_are_explained() -> None:
    told = pages.column(
        pages.section(pages.read(pages.ROOT / "docs" / "index.md"), "How to read a command")
    )
    known = {mark.removeprefix("# needs: ").partition(",")[0] for mark in told}
    assert known == LEFT_OUT - {"the cluster below"} | {"time", "the ... above"}
    for page in pages.PAGES:
        for words, needs in lines(page):
            for mark in needs:
                assert re.sub(r"^the .+ (above|below)$", "the ... above", mark) in known, (
                    words,
                    mark,
                )


def test_what_needs_something_says_so() -> None:
    """Lines that are not run have a mark; nothing that lies outside the project goes without."""
    telling = (
        r"/data/|\.\./shared|\bDIR\b|FOLDER|cuda|slurm|wandb|--wandb|download|iemocap|microsoft/"
    )
    for page in pages.PAGES:
        for words, needs in lines(page):
            if re.search(telling, " ".join(words)):
                assert LEFT_OUT & set(needs), f"{page.name}: {' '.join(words)}"
            if words[0] == "python":
                assert needs, f"{page.name}: {' '.join(words)}"


def test_enough_is_run() -> None:
    run = [line for page in PLAYED for line in lines(page) if is_run(page, line)]
    assert len(run) > 40
    names = {words[1] for words, _ in run if words[0] == "sermm"}
    assert {"predict", "export", "stress", "demo", "compare", "sweep", "protocols"} <= names


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """A folder in which the experiments of the demo corpus are finished."""
    folder = tmp_path_factory.mktemp("reader")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HOME", str(folder))
        found = Workplace(folder, folder / "cache" / "demo", folder / "cache")
        for name in FINISHED:
            obey(found, ["experiment", name])
        first = json.loads((folder / "cache/manifests/demo.jsonl").read_text().splitlines()[0])
        clip = next((folder / "cache" / "demo").rglob(f"{first['id']}.wav"))
        (folder / "said.txt").write_text(first["text"])
        shutil.copy(clip, folder / "clip.wav")
        (folder / "folder").mkdir()
        shutil.copy(clip, folder / "folder" / "a.wav")
        (folder / "folder" / "a.txt").write_text(first["text"])
        yield found
    torch.use_deterministic_algorithms(False)


def write_table(place: Workplace, page: Path) -> None:
    """``my_clips`` as this page shows it: a tone for each row, ten rows for each speaker."""
    folder = place.folder / "my_clips"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    found = {block.language: block.text for block in pages.blocks(pages.read(page))}
    (folder / "table.yaml").write_text(found["yaml"])
    shown = found["csv"].splitlines()
    if page.stem == "table":
        rows = shown[1:]
    else:  # a few of the many that the reader has
        rows = [
            f"{speaker}{number},clips/{speaker}{number}.wav,{speaker},{label},That is {label}."
            for speaker in ("anna", "ben", "cleo", "dora", "emil", "fay")
            for number, label in enumerate(("happy", "neutral", "sad") * 3)
        ]
    (folder / "clips.csv").write_text("\n".join([shown[0], *rows, ""]))
    files = [row.split(",")[1] for row in rows]
    for number, name in enumerate(files):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, 0.3 * np.sin(np.arange(16_000) * (0.05 + 0.01 * number)), 16_000)


def obey(place: Workplace, arguments: list[str]) -> None:
    """Run ``sermm`` with these arguments, in small; it must succeed."""
    small = list(arguments)
    if arguments[0] in TRAINS and "--list" not in arguments and "runs/" not in arguments[1]:
        stated = {word.partition("=")[0] for word in arguments if "=" in word}
        if arguments[0] == "fit" and "name" not in stated:  # no run of the experiment
            small += [f"name=fit_{zlib.crc32(' '.join(arguments).encode())}"]
        if arguments[0] == "sweep":  # which says itself what it trains
            sweep = read_sweep(arguments[1])
            stated |= {"plan.folds", *(one.key for one in sweep.parameters)}
            stated |= {override.partition("=")[0] for override in sweep.overrides}
            small += ["--count", "2"]
        small += [one for one in (*SMALL, *FEW) if one.partition("=")[0] not in stated]
    elif arguments[0] == "experiment" and "--list" not in arguments:  # what a sweep has written
        small += [one for one in FEW if one.startswith("plan.folds=")]
    said = place.sermm(*small)
    assert said.status == 0, (arguments, said)


def serve(place: Workplace, arguments: list[str]) -> None:
    """What goes on until it is stopped: start it, wait until it says where, stop it."""
    program = [sys.executable, "-W", "ignore", "-m", "sermm", *arguments, "--port", "0"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, cwd=place.folder) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline().startswith("open http://127.0.0.1:")
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate()
    assert process.returncode == 0  # Ctrl-C is how it is meant to end


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [p for p in PLAYED if any(is_run(p, line) for line in lines(p))], ids=lambda p: p.stem
)
def test_commands_do_what_the_page_says(place: Workplace, page: Path) -> None:
    if page.stem in TABLES:
        write_table(place, page)
    spoken = (place.folder / "said.txt").read_text()
    own = {
        "what is said": spoken,
        "the new plan is gorgeous": spoken,
        "/data/my_clips": "my_clips",
    }
    for line in lines(page):
        if is_run(page, line):
            words = line[0]
            for shown, real in own.items():
                words = [word.replace(shown, real) if word != shown else real for word in words]
            commands = pages.made_of(words[1:]) if words[0] == "make" else [words[1:]]
            for arguments in commands:
                (serve if arguments[0] == "demo" else obey)(place, arguments)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["predict", "export"])
def test_python_of_a_page_runs_behind_its_commands(place: Workplace, name: str) -> None:
    page = pages.ROOT / "docs" / f"{name}.md"
    if name == "export":
        shutil.rmtree(place.folder / "model", ignore_errors=True)
        obey(place, ["export", "runs/acoustic_demo", "model/", "--fold", "0"])
    (block,) = [b for b in pages.blocks(pages.read(page)) if b.language == "python"]
    exec(compile(block.text, page.name, "exec"), {})
