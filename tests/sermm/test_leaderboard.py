from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from data_modules.errors import ConfigError, DataError
from sermm.compose import load_config
from sermm.leaderboard import read_leaderboard
from sermm.protocol_study import config_under, protocols_for, summarise_study
from sermm.report.listing import (
    print_leaderboard,
    print_study,
    study_table,
    write_leaderboard,
    write_study,
)
from sermm.statistics import paired_cluster_bootstraps
from tests.sermm.fake_runs import FakeExperiment
from tests.sermm.test_compare import finish, speaker_confusions
from tests.sermm.test_report import Page
from tests.sermm.workplace import Workplace

LEAK = "speakers stand in training and test"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    one = FakeExperiment(tmp_path / "weak", folds=2, seeds=(0,), skill=0.5)
    finish(one)
    finish(replace(one, folder=tmp_path / "strong", skill=3.0))
    finish(replace(one, folder=tmp_path / "other", protocol="demo-random", leak=LEAK))
    finish(replace(one, folder=tmp_path / "rated", family="rating", classes=("mood",)))
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "experiment.yaml").write_text("name: begun\n")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "summary.json").write_text("{")
    (tmp_path / "compare").mkdir()
    return tmp_path


def test_only_what_means_the_same_stands_together(runs: Path) -> None:
    board = read_leaderboard(runs)
    found = [[e.summary["experiment"] for e in group.entries] for group in board.groups]
    assert sorted(found) == [["other"], ["rated"], ["strong", "weak"]]
    assert {group.leak for group in board.groups} == {"", LEAK}
    assert set(board.unread) == {"begun", "damaged"}
    assert "not finished" in board.unread["begun"]


def test_page_table_and_terminal_say_the_same(runs: Path) -> None:
    board = read_leaderboard(runs)
    page = Page(write_leaderboard(runs, board).read_text())
    text = " ".join(" ".join(page.texts).split())
    with (runs / "leaderboard.csv").open(newline="") as stream:
        rows = {row["experiment"]: row for row in csv.DictReader(stream)}
    assert (rows["strong"]["rank"], rows["weak"]["rank"]) == ("1", "2")
    assert rows["other"]["leak"] == LEAK
    assert f"{float(rows['strong']['ua']):.3f}" in text
    record = json.loads((runs / "leaderboard.json").read_text())
    assert len(record["rows"]) == 4
    assert page.count("table") == page.count("caption") == page.count("svg") == 3
    assert page.count("h1") == 1
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    console = Console(width=140)
    with console.capture() as capture:
        print_leaderboard(console, board)
    told = capture.get()
    assert f"LEAK: {LEAK}." in told
    # four scores of the one that leaks, and the line that says why
    assert told.count("LEAK") == text.count("LEAK") - 1 == 5
    assert "damaged" in told


def test_a_folder_without_experiments_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="experiments that have run, got none"):
        read_leaderboard(tmp_path)
    with pytest.raises(DataError, match="experiments that have run"):
        read_leaderboard(tmp_path / "nowhere")


def test_protocols_of_a_corpus() -> None:
    config = load_config("linear_iemocap", ["data.root=/data"])
    assert protocols_for(config, [])[:2] == ["iemocap4-session5", "iemocap4-speaker10"]
    assert protocols_for(config, [])[-1] == "iemocap-random"
    assert protocols_for(config, ["iemocap4-random"]) == ["iemocap4-session5", "iemocap4-random"]
    assert protocols_for(config, ["a-random", "b-random"]) == ["a-random", "b-random"]
    with pytest.raises(ConfigError, match="two protocols or more"):
        protocols_for(config, ["iemocap4-session5"])
    with pytest.raises(ConfigError, match=r"data\.protocol"):
        protocols_for(config, ["nonsense"])
    own = config_under(config, "iemocap4-random")
    assert (own.name, own.data.protocol) == ("linear_iemocap@iemocap4-random", "iemocap4-random")


def test_the_same_utterances_are_paired_and_others_are_not(tmp_path: Path) -> None:
    first = FakeExperiment(tmp_path / "m@demo-session5", skill=1.0)
    better = replace(
        first, folder=tmp_path / "m@demo-random", protocol="demo-random", leak=LEAK, skill=2.0
    )
    fewer = replace(first, folder=tmp_path / "m@demo-speaker5", protocol="demo-speaker5", folds=2)
    folders = [finish(made) for made in (first, better, fewer)]
    study = summarise_study("m", folders, {"demo-folds": "no folds"})
    interval = study.protocols[1].difference["ua"]
    a, b = speaker_confusions(better), speaker_confusions(first)
    from sermm import metrics

    expected = paired_cluster_bootstraps(a, b, {"ua": metrics.ua})["ua"]
    assert interval.estimate == pytest.approx(expected.estimate)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    assert study.protocols[2].remark == "other utterances: 120, of which 120 are shared"
    table = study_table(study)
    assert [row[0].text for row in table.rows] == ["demo-session5", "demo-random", "demo-speaker5"]
    assert "LEAK" in table.rows[1][2].text
    assert "LEAK" not in table.rows[0][2].text
    page = Page(write_study(tmp_path / "protocols", study).read_text())
    text = " ".join(page.texts)
    assert f"{interval.estimate:+.3f}" in text
    assert LEAK in text
    assert "demo-folds" in text
    with (tmp_path / "protocols" / "protocols.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert float(rows[1]["difference"]) == pytest.approx(interval.estimate)
    console = Console(width=160)
    with console.capture() as capture:
        print_study(console, study)
    assert "demo-folds does not apply: no folds" in " ".join(capture.get().split())


def test_a_study_runs_each_protocol_as_an_experiment(place: Workplace) -> None:
    """Its runs are those of plain experiments: what has run by that name is not run again."""
    settings = place.settings("linear", "optim.epochs=1", "plan.folds=[0]")
    for protocol in ("demo-session5", "demo-random"):
        place.fit(
            "linear",
            "optim.epochs=1",
            f"name=linear_demo@{protocol}",
            f"data.protocol={protocol}",
        )
    said = place.sermm(
        "protocols", *settings, "--protocol", "demo-session5", "--protocol", "demo-random"
    )
    assert said.status == 0, said
    assert "linear_demo under 2 protocols" in said.out
    for name in ("demo-session5", "demo-random"):
        assert (place.folder / "runs" / f"linear_demo@{name}" / "report.html").is_file()
    assert (place.folder / "runs" / "protocols" / "linear_demo" / "protocols.html").is_file()
    assert place.sermm("leaderboard").status == 0
    said = place.sermm("compare", "linear_demo@demo-session5", "linear_demo@demo-random")
    assert said.status == 2
    assert "the protocol of linear_demo@demo-session5" in said.err
