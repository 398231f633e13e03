"""The example of ``docs/table.md``, copied out of the page and run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from data_modules.check.counts import count
from data_modules.corpora import CORPORA, find_scheme
from data_modules.corpora.table_yaml import COLUMNS
from data_modules.prepare import load_prepared
from data_modules.protocols import find_protocol
from data_modules.selection import select
from tests import pages
from tests.sermm.workplace import Workplace

PAGE = pages.read(pages.ROOT / "docs" / "table.md")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """``my_clips`` of the page, with a short tone for each row."""
    folder = tmp_path / "my_clips"
    (folder / "audio").mkdir(parents=True)
    found = {block.language: block.text for block in pages.blocks(PAGE)}
    (folder / "clips.csv").write_text(found["csv"])
    (folder / "table.yaml").write_text(found["yaml"])
    for number, line in enumerate(found["csv"].splitlines()[1:]):
        tone = 0.3 * np.sin(np.arange(16_000) * (0.05 + 0.01 * number))
        soundfile.write(folder / line.split(",")[1], tone, 16_000)
    return folder


def test_the_example_is_prepared(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    place = Workplace(folder.parent, folder, folder.parent / "cache")
    command = next(words for words in pages.command_lines(PAGE) if words[1] == "prepare")
    said = place.sermm(*command[1:])
    assert said.status == 0, said
    prepared = load_prepared(CORPORA["table"], folder.parent / "cache")
    assert [u.id for u in prepared.utterances] == [f"{a}{n}" for a in "abc" for n in "123"]
    assert not prepared.exclusions
    first, fourth = prepared.utterances[0], prepared.utterances[3]
    assert (first.audio, first.duration_s) == ("audio/a1.wav", 1.0)
    assert (first.speaker, first.gender, first.session) == ("Ann", "female", "monday")
    assert first.text == "It works, at last!"
    assert fourth.text == 'He said "never again".'
    assert first.labels == {
        "category": "happy",
        "votes": {"joy": 3.0, "anger": 0.0},
        "ratings": {"valence": 4.5},
    }
    counts = count(prepared)
    assert counts.classes == {"neutral": 2, "joy": 3, "anger": 3}
    assert counts.left_out == {"no agreement": 1}


def test_the_example_has_folds_and_labels_of_both_kinds(folder: Path) -> None:
    release, corpus = CORPORA["table"].read(folder), CORPORA["table"].at(folder)
    classes = find_scheme("table_classes", corpus)
    words = next(words for words in pages.command_lines(PAGE) if words[1] == "experiment")
    protocol = find_protocol(dict(w.split("=") for w in words if "=" in w)["data.protocol"])
    selection = select(release.utterances, scheme=classes, protocol=protocol)
    assert sorted(len(fold.test) for fold in selection.folds) == [2, 3, 3]
    assert classes.shares_of(release.utterances[0]) == (0.0, 1.0, 0.0)
    assert classes.shares_of(release.utterances[5]) == (0.0, 0.5, 0.5)
    ratings = find_scheme("table_ratings", corpus)
    assert ratings.target_of(release.utterances[0]) == (4.5,)


def test_the_page_tells_every_field_and_key() -> None:
    told = pages.column(pages.section(PAGE, "`columns`"))
    assert told == list(COLUMNS)
