"""``docs/files.md`` against the files of a real run, and the picture made from one."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data_modules.manifest import Exclusion, Utterance, Word
from data_modules.media import MediaFacts
from data_modules.store_description import StoreDescription
from docs import make_picture
from sermm.checkpoints import read_checkpoint
from sermm.report.alignment import AlignmentExample, read_alignment_example
from sermm.run_metrics import RunMetrics
from sermm.summary import KEYS, read_summary
from tests import pages
from tests.sermm.small_corpus import write_small_corpus
from tests.sermm.workplace import Workplace

PAGE = pages.read(pages.ROOT / "docs" / "files.md")


def names(record: type) -> list[str]:
    return [field.name for field in fields(record)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a finished run of fusion on a small corpus, in its own place."""
    folder = tmp_path_factory.mktemp("place")
    place = Workplace(folder, write_small_corpus(folder), folder / "cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HOME", str(folder))
        finished = place.fit("attention", "optim.epochs=2")
        said = place.sermm("report", finished.parent.name)
        assert said.status == 0, said
    yield finished
    torch.use_deterministic_algorithms(False)


def told(title: str) -> list[str]:
    return pages.column(pages.section(PAGE, title))


def read_json(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(path.read_text())
    return record


def header(path: Path) -> list[str]:
    with path.open(newline="") as stream:
        return next(csv.reader(stream))


def test_files_of_a_corpus(run: Path) -> None:
    folder = run.parents[2] / "cache" / "manifests"
    assert told("Manifest") == names(Utterance)
    assert told("A timed word") == names(Word)
    assert told("`CORPUS.prepare.json`") == list(read_json(folder / "demo.prepare.json"))
    assert told("`CORPUS.exclusions.jsonl`") == names(Exclusion)
    assert told("`CORPUS.media.jsonl`") == names(MediaFacts)
    utterance = json.loads((folder / "demo.jsonl").read_text().splitlines()[0])
    assert told("Manifest") == list(utterance)
    assert told("A timed word") == list(utterance["words"][0])
    facts = json.loads((folder / "demo.media.jsonl").read_text().splitlines()[0])
    assert told("`CORPUS.media.jsonl`") == list(facts)
    shown = {path.name.replace("demo", "CORPUS") for path in folder.iterdir()}
    # what comes with other corpora, aligners and commands is told as well
    others = {"CORPUS.NAME.features.json", "CORPUS.check.html", "CORPUS.aligners.json"}
    assert shown | others == set(re.findall(r"CORPUS\.[\w.]+", pages.blocks(PAGE)[0].text))


def test_files_of_the_feature_cache(run: Path) -> None:
    assert told("Feature cache") == names(StoreDescription)
    (store,) = (run.parents[2] / "cache" / "features").iterdir()
    description = read_json(store / "store.json")
    assert told("Feature cache") == list(description)
    assert store.name == f"{description['fingerprint']}.{description['dtype']}"
    (shard,) = store.glob("*.shard")
    data = shard.read_bytes()
    magic = re.search(r'16 bytes of magic \("(.*?)"\)', PAGE)
    assert magic is not None
    assert data[:16] == data[-16:] == magic[1].encode()
    offset, length = (int.from_bytes(data[at : at + 8], "little") for at in (-40, -32))
    key, place, num_frames, _ = json.loads(data[offset : offset + length])[0]
    assert place % 64 == 0
    assert len(key) == 64
    assert num_frames > 0


def test_files_of_a_run(run: Path) -> None:
    there = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    # the lock is told in the text; the others come with a plan and with tracking
    elsewhere = {"log.txt", "wandb_run_id.txt", "too_long.csv"}
    assert set(told("Run folder")) == (there - {".lock"}) | elsewhere
    assert told("`metrics.json`") == names(RunMetrics) == list(read_json(run / "metrics.json"))
    classes = ("neutral", "happy", "angry", "sad")
    columns = told("`predictions.csv`")
    assert [*columns[:-1], *(f"p_{name}" for name in classes)] == header(run / "predictions.csv")
    assert columns[-1] == "p_<class>"
    assert told("`history.csv`") == header(run / "history.csv")
    assert told("`environment.json`") == list(read_json(run / "environment.json"))


def test_checkpoints_hold_what_is_told(run: Path) -> None:
    text = pages.section(PAGE, "Checkpoints")
    for name in ("best", "last"):
        record = read_checkpoint(run / "checkpoints" / f"{name}.ckpt")
        assert {"state_dict", "epoch"} <= set(record)
        assert told("Checkpoints") == list(record["sermm"])
        assert set(record["sermm"]["facts"]) <= set(pages.inline_code(text))


def test_parts_of_an_alignment_example(run: Path) -> None:
    text = pages.section(PAGE, "`alignment.npz`")
    named = {code.partition(" ")[0] for code in pages.inline_code(text)}
    assert set(names(AlignmentExample)) <= named
    with np.load(run / "alignment.npz") as file:
        assert set(file.files) <= named
        assert set(json.loads(str(file["record"]))) <= named


def test_keys_of_the_summary(run: Path) -> None:
    summary = read_summary(run.parent)
    assert told("`summary.json`") == list(KEYS) == list(summary)
    assert set(told("A score")) == set(summary["metrics"]["ua"])
    more = set(summary["trivial"]["prior"]["ua"]) - set(summary["metrics"]["ua"])
    assert more == {"difference", "difference_ci95"}
    assert more <= set(pages.inline_code(pages.section(PAGE, "A score")))
    rows = {
        row[0].strip("`"): row[2] for row in pages.rows(pages.section(PAGE, "`summary.json`"))[1:]
    }
    inner = {
        "interval": summary["interval"],
        "runs": summary["runs"][0],
        "per_fold": summary["per_fold"][0],
        "per_class": summary["per_class"]["sad"],
        "per_speaker": next(iter(summary["per_speaker"].values())),
        "expected": summary["expected"][0],
        "trivial": summary["trivial"],
    }
    for key, record in inner.items():
        assert set(record) <= set(re.findall(r"`(\w+)`", rows[key])), key
    assert told("`table.csv`") == header(run.parent / "table.csv")


def test_files_of_an_experiment_are_shown(run: Path) -> None:
    shown = pages.blocks(PAGE)[0].text
    for path in run.parent.iterdir():
        assert path.is_dir() or path.name in shown


def test_picture_is_made_from_a_run(run: Path) -> None:
    example_of_run = read_alignment_example(run / "alignment.npz")
    svg = make_picture.standalone(example_of_run)
    pages.check_picture(svg)
    for word in example_of_run.words:
        assert f">{word.text}<" in svg
