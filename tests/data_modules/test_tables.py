from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console

from data_modules.check.groups import MOST_ROWS
from data_modules.check.survey import Survey
from data_modules.corpora import CORPORA
from data_modules.prepare import prepare
from data_modules.prepared import Prepared
from data_modules.tables import counts_table, exclusions_table
from tests.data_modules import csd_tree as tree


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("mosei")
    videos = tree.make_videos(train=MOST_ROWS - 1, val=1, test=1, segments=2)
    videos[0].segments.pop()
    for video in videos:
        video.frames = None
    tree.write_tree(folder / "data", "mosei", videos)
    return prepare(CORPORA["mosei"], folder / "data", folder / "cache")


def render(table: object) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_many_speakers_take_one_row(prepared: Prepared) -> None:
    text = render(counts_table(Survey(prepared)))
    assert f"{MOST_ROWS + 1} names, 1 to 2 utterances each" in text
    few = [u for u in prepared.utterances if u.speaker != prepared.utterances[0].speaker]
    text = render(counts_table(Survey(replace(prepared, utterances=few))))
    assert "names, " not in text
    assert text.count("speaker") == 1
    assert all(str(utterance.speaker) in text for utterance in few)


def test_a_remark_counts_what_it_stands_for(prepared: Prepared) -> None:
    text = render(exclusions_table(prepared))
    (line,) = (line for line in text.splitlines() if "silences" in line)
    # two a segment, all of them in one remark on the file
    assert str(2 * (2 * (MOST_ROWS + 1) - 1)) in line
