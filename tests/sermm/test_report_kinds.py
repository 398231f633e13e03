"""Page, terminal and ``table.csv`` of ratings, of several labels, and of missing modalities."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from data_modules.labels import Family
from sermm.report import cells, print_summary, tables, write_report
from sermm.report.detail_tables import over_chance_table
from sermm.report.rating_plot import RatingPanel, ratings_picture
from sermm.report.terminal import draw
from sermm.run_metrics import RunKey
from sermm.summary import summarise, write_summary
from tests.sermm.fake_runs import FakeExperiment, change_cells

EMOTIONS = ("<b>happy", "sad", "anger")
NAMES: dict[Family, tuple[str, ...]] = {
    "sentiment": ("sentiment",),
    "intensity": EMOTIONS,
    "rating": ("arousal", "valence"),
    "multilabel": EMOTIONS,
}
LEAK = "seen by the encoder"


@pytest.fixture(scope="module")
def experiments(tmp_path_factory: pytest.TempPathFactory) -> dict[Family, FakeExperiment]:
    folder = tmp_path_factory.mktemp("runs")
    return {
        family: FakeExperiment(
            folder / family,
            family=family,
            classes=names,
            conditions=("without-text",) if family == "sentiment" else (),
            leak=LEAK,
            sizes=(40, None),
        ).write()
        for family, names in NAMES.items()
    }


@pytest.fixture(scope="module")
def summaries(experiments: dict[Family, FakeExperiment]) -> dict[Family, dict[str, Any]]:
    found = {family: summarise(made.folder, made.keys) for family, made in experiments.items()}
    for family, made in experiments.items():
        write_summary(made.folder, found[family])
    return found


@pytest.fixture(scope="module")
def pages(
    experiments: dict[Family, FakeExperiment], summaries: dict[Family, dict[str, Any]]
) -> dict[Family, str]:
    assert summaries
    return {family: write_report(made.folder).read_text() for family, made in experiments.items()}


def printed(summary: dict[str, Any], width: int = 100) -> str:
    console = Console(width=width)
    with console.capture() as capture:
        print_summary(console, summary)
    return capture.get()


def text_of(page: str) -> str:
    return re.sub(r"<[^>]+>", "", page.partition("<body>")[2])


@pytest.mark.parametrize("family", NAMES)
def test_the_page_leads_with_the_headline_of_the_kind(
    pages: dict[Family, str], summaries: dict[Family, dict[str, Any]], family: Family
) -> None:
    page, summary = pages[family], summaries[family]
    scoring = tables.scoring_of(summary)
    score, info = summary["metrics"][scoring.headline], scoring.metrics[scoring.headline]
    title = re.search(r"<title>(.*?)</title>", page)
    assert title is not None
    assert title[1] == f"{family}: {info.title} {score['pooled']:.3f} (LEAK)"
    text = text_of(page)
    assert f"{info.title}: {info.meaning}; 95 % interval {score['ci95'][0]:.3f} to" in text
    chance = next(iter(summary["trivial"].values()))[scoring.headline]["pooled"]
    assert re.search(rf"(mean of training part|no label ever): {chance:.3f}", text)
    for name in scoring.overall:
        assert f"{summary['metrics'][name]['pooled']:.3f}" in text
    assert "UA" not in text
    assert "class" not in text


@pytest.mark.parametrize("family", NAMES)
def test_pictures_are_those_of_the_kind(pages: dict[Family, str], family: Family) -> None:
    pictures = re.findall(r'<svg role="img" aria-label="([^"]*)"', pages[family])
    is_rating = family != "multilabel"
    starts = ["Predicted against true values"] if is_rating else []
    headline = "MAE" if is_rating else "macro-F1"
    starts += [f"{headline} of 6 test speakers", *([] if is_rating else ["Reliability diagram"])]
    starts += ["Pooled", "Training and validation loss"]
    assert [told.startswith(start) for told, start in zip(pictures, starts, strict=True)] == [
        True
    ] * len(starts)
    assert ("nats" in pictures[-1]) != is_rating
    assert f"validation {headline}, over epochs" in pictures[-1]
    svgs = re.findall(r"<svg.*?</svg>", pages[family], flags=re.DOTALL)
    assert all("[LEAK]" in svg for svg in svgs)
    # the chosen epoch is marked on the score that chose it
    assert "var(--third)" in svgs[-1].partition("learning-axes_2")[2]
    assert "<b>happy" not in pages[family]


@pytest.mark.parametrize("family", NAMES)
def test_a_leak_stands_beside_every_score(
    pages: dict[Family, str], summaries: dict[Family, dict[str, Any]], family: Family
) -> None:
    """Cells of a model's scores are marked, those of trivial predictors and counts are not."""
    rows = re.findall(r"<tr>(.*?)</tr>", pages[family], flags=re.DOTALL)
    marked = sum(row.count('class="leak"') for row in rows)
    summary = summaries[family]
    drawn = [
        tables.scores_table(summary),
        tables.folds_table(summary),
        tables.sizes_table(summary),
        tables.speakers_table(summary),
        tables.runs_table(summary),
        *tables.names_tables(summary),
        over_chance_table(summary),
    ]
    if family != "multilabel":
        drawn += [tables.values_table(summary), tables.spread_table(summary)]
    if family == "sentiment":
        drawn.append(tables.conditions_table(summary))
    expected = sum(cell.is_score for table in drawn for row in table.rows for cell in row)
    # six measures of the probabilities of labels; ratings have none
    assert marked == expected + (6 if family == "multilabel" else 0)
    for table in drawn:
        for row in table.rows:
            for title, cell in zip(table.columns, row, strict=True):
                if title.startswith("trivial"):
                    assert not cell.is_score
                elif "pooled" in title or title in ("MAE", "F1", "bias", "predicted"):
                    assert cell.is_score == (family != "multilabel" or title != "predicted")


def test_every_score_of_a_single_name_has_its_row(
    pages: dict[Family, str], summaries: dict[Family, dict[str, Any]]
) -> None:
    summary = summaries["multilabel"]
    shown = tables.names_tables(summary)
    assert [table.caption.partition(" of each label")[0] for table in shown] == [
        *("F1", "wacc", "acc", "two-sided F1")
    ]
    wacc = shown[1]
    assert wacc.columns[:4] == ("label", "true", "predicted", "pooled (95 % interval)")
    assert [column for column in wacc.columns if column.startswith("trivial")] == [
        *("trivial: no label ever", "trivial: drawn by prior")
    ]
    for name, row in zip(EMOTIONS, wacc.rows, strict=True):
        score = summary["metrics"][f"wacc_{name}"]
        assert row[0].text == name
        assert row[1].text == cells.count(summary["per_name"][name]["true"])
        assert row[3].text == cells.with_interval(score["pooled"], score["ci95"])
        never = summary["trivial"]["never"][f"wacc_{name}"]["pooled"]
        assert row[wacc.columns.index("trivial: no label ever")].text == cells.number(never)
        assert cells.number(never) == "0.500"
        assert row[3].text in text_of(pages["multilabel"]).replace("\n", "")


def test_the_terminal_shows_what_it_has_room_for(
    summaries: dict[Family, dict[str, Any]],
) -> None:
    assert "Acc-4 of each rating" in printed(summaries["intensity"])
    many = tuple(f"tag{k}" for k in range(28))
    assert len(tables.names_tables(summaries["multilabel"], brief=True)) == 4
    few = tables.titles_of_names(
        tables.scoring_of({**summaries["multilabel"], "classes": many}), brief=True
    )
    assert few == ["F1"]
    assert "each rating" not in printed(summaries["sentiment"])


def test_missing_modalities_stand_under_the_headline(
    pages: dict[Family, str], summaries: dict[Family, dict[str, Any]]
) -> None:
    summary = summaries["sentiment"]
    table = tables.conditions_table(summary)
    assert [row[0].text for row in table.rows] == ["all there", "without text"]
    score = summary["conditions"]["without-text"]["mae"]
    told = cells.with_interval(score["pooled"], score["ci95"])
    assert table.rows[1][1].text == told
    assert told in text_of(pages["sentiment"])
    assert "with a modality missing" in printed(summary)
    assert "with a modality missing" not in printed(summaries["rating"])
    assert "with a modality missing" not in pages["rating"]


@pytest.mark.parametrize("width", [80, 100, 140])
def test_numbers_do_not_break_in_a_terminal_of_usual_width(
    summaries: dict[Family, dict[str, Any]], width: int
) -> None:
    """Titles give way first; then an interval stands under its score, whole."""
    for summary in summaries.values():
        drawn = [tables.scores_table(summary), tables.folds_table(summary)]
        drawn += [tables.sizes_table(summary), *tables.names_tables(summary, brief=True)]
        if summary["conditions"]:
            drawn.append(tables.conditions_table(summary))
        for table in drawn:
            console = Console(width=width)
            with console.capture() as capture:
                console.print(draw(table, LEAK, width))
            text = capture.get()
            assert max(len(line) for line in text.splitlines()) <= width
            for row in table.rows:
                for cell in row:
                    for word in cell.text.split():
                        assert word in text


def test_a_title_gives_way_before_a_number_does(summaries: dict[Family, dict[str, Any]]) -> None:
    table = tables.scores_table(summaries["intensity"])
    console = Console(width=90)
    with console.capture() as capture:
        console.print(draw(table, "", 90))
    assert table.rows[0][1].text in capture.get()


def test_table_csv_holds_every_number(
    experiments: dict[Family, FakeExperiment],
    pages: dict[Family, str],
    summaries: dict[Family, dict[str, Any]],
) -> None:
    assert pages
    for family, made in experiments.items():
        summary = summaries[family]
        with (made.folder / "table.csv").open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        found = {(r["scope"], r["name"], r["size"], r["metric"]): r for r in rows}
        assert len(found) == len(rows)
        for name, score in summary["metrics"].items():
            row = found["pooled", "", "all", name]
            assert row["value"] == ("" if score["pooled"] is None else str(score["pooled"]))
            assert ("speaker", "spk00", "all", name) in found
        for condition, scores in summary["conditions"].items():
            assert float(found["condition", condition, "all", "mae"]["value"]) == pytest.approx(
                scores["mae"]["pooled"]
            )
        if family == "sentiment":
            assert ("value", "sentiment from -0.5 to 0.5", "all", "bias") in found


def test_a_model_that_says_one_thing_has_a_page(tmp_path: Path) -> None:
    """No correlation, no spread, and one value of truth: dashes, and no error."""
    made = FakeExperiment(tmp_path / "x", folds=1, seeds=(0,), family="rating", classes=("mood",))
    folder = made.write_run(RunKey(0, 0))
    change_cells(folder, lambda _: ["2", "2"])
    summary = summarise(made.folder, made.keys)
    write_summary(made.folder, summary)
    text = text_of(write_report(made.folder).read_text())
    assert "nan" not in text
    assert summary["metrics"]["ccc"] == dict.fromkeys(("mean", "sd", "sd_seeds", "ci95", "pooled"))
    assert "nan" not in printed(summary)


def test_labels_that_nobody_has_have_a_page(tmp_path: Path) -> None:
    made = FakeExperiment(
        tmp_path / "x", folds=1, seeds=(0,), family="multilabel", classes=("joy", "fear")
    )
    folder = made.write_run(RunKey(0, 0))
    change_cells(folder, lambda _: ["0", "0", "0.25", "0", "0", "0.25"])
    summary = summarise(made.folder, made.keys)
    write_summary(made.folder, summary)
    assert summary["metrics"]["macro_f1"]["pooled"] is None
    assert summary["metrics"]["exact_match"]["pooled"] == 1
    page = write_report(made.folder).read_text()
    assert "nan" not in text_of(page)
    assert "test speakers" not in re.findall('aria-label="([^"]*)"', page)


def test_the_picture_holds_every_prediction_and_its_mean() -> None:
    true = np.array([0.0, 0.0, 1.0, 3.0])
    said = np.array([0.0, 1.0, 1.5, 3.0])
    weights = np.array([0.5, 0.5, 1.0, 1.0])
    svg = ratings_picture([RatingPanel("mood: MAE 0.4", true, said, weights)], "")
    assert 'aria-label="Predicted against true values of 4 predictions. mood: MAE 0.4."' in svg
    assert {"predicted value", "true value", "prediction = truth"} <= set(
        re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    )
    # a patch for each of the four places; the axes and the figure have patches of their own
    assert len(re.findall(r'id="ratings-patch_\d+"', svg)) - 4 == 4
    # the more predictions, the deeper: those of two seeds count half each
    depths = re.findall(r"opacity: (0\.\d+)", svg)
    expected = [f"{0.12 + 0.78 * np.sqrt(weight):.2f}" for weight in weights]
    assert [f"{float(depth):.2f}" for depth in depths] == expected
    six = ratings_picture([RatingPanel(f"e{k}", true, said, weights) for k in range(6)], "x")
    assert six.count("[LEAK]") == 6
    assert six.count("true value<") == 3


def test_what_a_model_has_over_chance(
    pages: dict[Family, str], summaries: dict[Family, dict[str, Any]]
) -> None:
    summary = summaries["intensity"]
    table = over_chance_table(summary)
    assert table.columns[1:] == ("minus mean of training part", "minus always zero")
    assert len(table.rows) == len(tables.scoring_of(summary).metrics)
    zero, mae = summary["trivial"]["zero"]["mae"], summary["metrics"]["mae"]["pooled"]
    assert zero["difference"] == pytest.approx(mae - zero["pooled"])
    low, high = zero["difference_ci95"]
    row = next(row for row in table.rows if row[0].text == "MAE")
    assert row[2].text == f"{zero['difference']:+.3f} ({low:+.3f} to {high:+.3f})"
    assert row[2].text in text_of(pages["intensity"])
