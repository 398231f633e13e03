"""What the page has beyond the summary, from a real small run and from made-up ones."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest

from sermm.report.cells import Cell, Table
from sermm.report.table_files import as_csv, as_latex, escape
from tests.sermm.test_report import Page
from tests.sermm.workplace import Workplace


@pytest.fixture
def reported(place: Workplace) -> Path:
    """The folder of an experiment with one finished run and its report."""
    finished = place.fit("linear", "optim.epochs=2").parent
    said = place.sermm("report", finished.name)
    assert said.status == 0, said
    return finished


def test_everything_that_is_known_stands_on_the_page(place: Workplace, reported: Path) -> None:
    html = (reported / "report.html").read_text()
    page, record = Page(html), json.loads((reported / "report.json").read_text())
    text = " ".join(" ".join(page.texts).split())
    assert set(record) == {"groups", "calibration", "cost", "best", "worst", "missing"}
    assert "gender" in record["groups"]
    assert record["missing"]["by session"] == "the same for all: 1"
    for rows in record["groups"].values():
        for row in rows:
            assert row["group"] in text
    assert record["calibration"]["with_temperature"] is not None
    assert f"{record['calibration']['raw']['ece']:.3f}" in text
    assert record["cost"]["parameters"] == record["cost"]["trained_parameters"] > 0
    assert f"{record['cost']['parameters']:,}" in text
    for judged in (*record["best"], *record["worst"]):
        assert judged["id"] in text
    clips = [a for a in page.attributes("src") if a.startswith("data:audio/flac;base64,")]
    assert len(clips) == len(record["best"]) + len(record["worst"])
    assert f"{len(clips)} clips of the corpus" in text
    assert "media-src data:" in html
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    assert page.count("table") == page.count("caption")
    # the same again, without clips
    assert place.sermm("report", reported.name, "--no-audio").status == 0
    silent = Page((reported / "report.html").read_text())
    assert not silent.count("audio")
    assert len(silent.texts) > 0.9 * len(page.texts)


def test_tables_are_files_too(reported: Path) -> None:
    files = {path.name for path in (reported / "tables").iterdir()}
    assert {"scores.csv", "scores.tex", "classes.tex", "calibration.csv", "cost.csv"} <= files
    with (reported / "tables" / "scores.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header[1] == "pooled (95 % interval)"
    summary = json.loads((reported / "summary.json").read_text())
    assert rows[0][1].startswith(f"{summary['metrics']['ua']['pooled']:.3f}")
    latex = (reported / "tables" / "scores.tex").read_text()
    assert latex.count("{") == latex.count("}")
    assert latex.count(r"\\") == len(rows) + 1
    assert r"protocol demo-session5.}" in latex


@pytest.mark.parametrize("gone", ["manifest", "changed"])
def test_what_cannot_be_shown_is_named_with_its_reason(
    place: Workplace, tmp_path: Path, gone: str
) -> None:
    cache = tmp_path / "own_cache"
    finished = place.fit("linear", "optim.epochs=1", f"data.cache={cache}", "name=lost").parent
    manifest = cache / "manifests" / "demo.jsonl"
    if gone == "manifest":
        shutil.rmtree(cache / "manifests")
    else:
        text = manifest.read_text()
        manifest.write_text(text.replace('"speaker": "Ses01F"', '"speaker": "Ses01X"'))
        assert manifest.read_text() != text
    said = place.sermm("report", "lost")
    assert said.status == 0, said
    record = json.loads((finished / "report.json").read_text())
    reason = record["missing"]["groups, transcripts and audio"]
    expected = "to be prepared, got no file" if gone == "manifest" else "the data that the runs"
    assert expected in reason
    assert record["groups"] == {}
    html = (finished / "report.html").read_text()
    assert "Not shown" in html
    assert "This page holds" not in html
    assert not re.search("<audio", html)


def test_latex_and_csv_of_a_table() -> None:
    table = Table(
        "t",
        "50 % of it & more.",
        ("", "UA"),
        ((Cell("a_b"), Cell("0.5 ± 0.1", is_score=True)), (Cell("<c>"), Cell("0.1\N{EN DASH}0.2"))),
    )
    latex = as_latex(table, "about #1.", "a leak")
    assert r"\caption{50 \% of it \& more. about \#1.}" in latex
    assert r"a\_b & 0.5 $\pm$ 0.1 LEAK \\" in latex
    assert r"\textless{}c\textgreater{} & 0.1--0.2 \\" in latex
    lines = as_csv(table, "a leak").splitlines()
    assert lines == [",UA", "a_b,0.5 ± 0.1 LEAK", "<c>,0.1\N{EN DASH}0.2"]


@pytest.mark.parametrize("letter", list("\\&%$#_{}~^<>"))
def test_letters_that_mean_something_to_latex_are_escaped(letter: str) -> None:
    assert escape(letter) != letter
