from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from data_modules.errors import DataError
from sermm.report import cells, print_summary, tables, write_report
from sermm.report.intervals_plot import Row, intervals_picture
from sermm.report.plots import confusion_picture, learning_picture
from sermm.results import History
from sermm.run_metrics import RunKey
from sermm.summary import summarise, write_summary
from tests.sermm.fake_runs import FakeExperiment, write_alignment

LEAK = "speakers stand in training and test"


class Page(HTMLParser):
    """What the tests ask of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def attributes(self, name: str) -> list[str]:
        return [values[name] or "" for _, values in self.tags if name in values]

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> FakeExperiment:
    folder = tmp_path_factory.mktemp("runs") / "honest"
    made = FakeExperiment(folder, classes=("neutral", "<i>happy</i>", "angry", "sad")).write()
    write_alignment(folder / RunKey(1, 0).folder_name)
    return made


@pytest.fixture(scope="module")
def leaking(tmp_path_factory: pytest.TempPathFactory) -> FakeExperiment:
    folder = tmp_path_factory.mktemp("runs") / "leaking"
    return FakeExperiment(
        folder,
        protocol="iemocap4-random",
        leak=LEAK,
        notes=("failed check: <b>counts</b>",),
        sizes=(30, None),
    ).write()


def report(experiment: FakeExperiment, keys: list[RunKey] | None = None) -> str:
    write_summary(experiment.folder, summarise(experiment.folder, keys or experiment.keys))
    return write_report(experiment.folder).read_text()


@pytest.fixture(scope="module")
def html(experiment: FakeExperiment) -> str:
    return report(experiment)


@pytest.fixture(scope="module")
def leaking_html(leaking: FakeExperiment) -> str:
    return report(leaking, [*leaking.keys, RunKey(0, 7)])


def printed(summary: dict[str, Any], width: int = 140) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    with console.file:
        print_summary(console, summary)
        return console.export_text(styles=False)


def test_the_page_shows_the_numbers_of_the_summary(experiment: FakeExperiment, html: str) -> None:
    summary = summarise(experiment.folder, experiment.keys)
    ua = summary["metrics"]["ua"]
    text = "".join(Page(html).texts)
    assert f"{ua['pooled']:.3f}" in text
    assert f"95 % interval {ua['ci95'][0]:.3f} to {ua['ci95'][1]:.3f}" in text
    assert "Protocol demo-session5" in text
    assert "leave one session (two speakers) out" in text
    assert "intervals are over 6 speakers" in text
    for fold in summary["per_fold"]:
        assert f"{fold['metrics']['wa']['mean']:.3f}" in text
    for row in (*summary["per_class"].values(), *summary["per_speaker"].values()):
        assert f"{row.get('recall', row.get('ua')):.3f}" in text
    for expected in (summary["data_sha256"], "a1b2c3d4e5f6-dirty", "a processor", "7 utterances"):
        assert expected in text
    assert "LEAK" not in html
    assert "Incomplete" not in text


def test_nothing_is_asked_of_the_network(html: str, leaking_html: str) -> None:
    for text in (html, leaking_html):
        page = Page(text)
        assert "default-src 'none'" in text
        assert page.count("script") == page.count("link") == page.count("iframe") == 0
        for name in ("src", "href", "xlink:href"):
            for target in page.attributes(name):
                assert target.startswith(("#", "data:image/png;base64,")), target
        assert not re.search(r"url\((?!#)|@import", text)


def test_the_page_is_sound_for_screen_readers(html: str) -> None:
    page = Page(html)
    ids = Counter(page.attributes("id"))
    assert [name for name, times in ids.items() if times > 1] == []
    for name in (*page.attributes("aria-labelledby"), *re.findall(r'href="#([^"]+)"', html)):
        assert name in ids
    tags = page.tags
    assert ("html", {"lang": "en"}) in tags
    assert all("scope" in values for tag, values in tags if tag == "th")
    pictures = [values for tag, values in tags if tag == "svg"]
    assert len(pictures) == 5
    for values in pictures:
        assert values["role"] == "img"
        assert len(values["aria-label"] or "") > 30
    assert page.count("figure") == page.count("figcaption") == 5
    assert page.count("table") == page.count("caption")
    assert page.count("h1") == 1


def test_every_colour_is_one_of_the_page(html: str) -> None:
    """Pictures use variables that light, dark and print define; no stand-in colour is left."""
    used = set(re.findall(r"var\((--\w+)\)", html))
    blocks = re.findall(r":root \{(.*?)\}", html, flags=re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        assert used <= set(re.findall(r"(--\w+):", block))
    assert "--accent" in used
    assert not re.search(r"#0[1-9]0[1-9]0[1-9]", html)


def test_names_from_the_data_are_text_and_not_markup(html: str, leaking_html: str) -> None:
    assert "<i>happy" not in html
    assert "&lt;i&gt;happy&lt;/i&gt;" in html
    assert "# &lt;b&gt;&amp; &#34;quotes&#34;" in html
    assert "&lt;b&gt;counts" in leaking_html
    texts = Page(html).texts
    assert any("日本語" in text for text in texts)
    assert any("$6 & ^_" in text for text in texts)
    assert "$x_1$" in texts


def test_a_leak_stands_beside_every_score(leaking_html: str, leaking: FakeExperiment) -> None:
    summary = summarise(leaking.folder, leaking.keys)
    cells = re.findall(r"<td[^>]*>(.*?)</td>", leaking_html)
    scores = [cell for cell in cells if re.match(r"\d\.\d{3}", cell)]
    assert len(re.findall('<th scope="col">trivial: ', leaking_html)) == 2
    # two predictors that hear nothing, by four scores; and the error that chance gives
    assert sum("LEAK" in cell for cell in scores) == len(scores) - 2 * 4 - 1
    assert len(scores) > 60
    assert f'title="{LEAK}"' in leaking_html
    title = re.search(r"<title>(.*?)</title>", leaking_html)
    assert title is not None
    assert title[1].endswith("(LEAK)")
    assert summary["leak"] == LEAK
    pictures = re.findall(r"<svg.*?</svg>", leaking_html, flags=re.DOTALL)
    assert len(pictures) == 5  # without an alignment example, with training sizes
    assert all("[LEAK]" in picture for picture in pictures)


def test_what_is_missing_or_odd_stands_on_top(leaking_html: str) -> None:
    text = "".join(Page(leaking_html).texts)
    assert "1 of 13 runs are missing: fold=0,seed=7,size=all." in text
    assert "failed check" in text
    assert "Training size" in text


def test_the_page_is_the_same_each_time_and_leaves_matplotlib_alone(
    experiment: FakeExperiment, html: str
) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    assert write_report(experiment.folder).read_text() == html
    assert dict(matplotlib.rcParams) == before


def test_a_report_needs_a_summary_and_its_runs(tmp_path: Path) -> None:
    made = FakeExperiment(tmp_path / "x", folds=1, seeds=(0,)).write()
    with pytest.raises(DataError, match=r"summary\.json: expected a file, got none"):
        write_report(made.folder)
    write_summary(made.folder, summarise(made.folder, made.keys))
    (made.folder / RunKey(0, 0).folder_name / "history.csv").unlink()
    with pytest.raises(DataError, match=r"history\.csv: expected a file, got none"):
        write_report(made.folder)
    assert not (made.folder / "report.html").exists()


@pytest.mark.parametrize("history", ["epoch,train/loss\n", "epoch,train/loss\n0,1.5\n"])
def test_a_small_experiment_still_has_a_page(tmp_path: Path, history: str) -> None:
    """One run, one speaker, a class that never occurs, and a model with hardly any epochs."""
    made = FakeExperiment(
        tmp_path / "x", folds=1, seeds=(0,), speakers_per_fold=1, num_spoken=3
    ).write()
    (made.folder / RunKey(0, 0).folder_name / "history.csv").write_text(history)
    text = report(made)
    assert "1 speaker: too few for an interval." in text
    assert ("Loss and validation UA" in text) == (history.count("\n") > 1)
    assert "too few for an interval" in printed(summarise(made.folder, made.keys))


def test_table_csv_holds_every_number(experiment: FakeExperiment, html: str) -> None:
    assert html
    summary = summarise(experiment.folder, experiment.keys)
    with (experiment.folder / "table.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    found = {(row["scope"], row["name"], row["metric"]): row for row in rows}
    assert len(found) == len(rows)
    assert {row["protocol"] for row in rows} == {"demo-session5"}
    pooled = found["pooled", "", "ua"]
    assert float(pooled["value"]) == summary["metrics"]["ua"]["pooled"]
    assert float(pooled["ci95_low"]) == summary["metrics"]["ua"]["ci95"][0]
    assert float(found["mean", "", "wa"]["sd"]) == summary["metrics"]["wa"]["sd"]
    assert float(found["speaker", "spk03", "ua"]["value"]) == summary["per_speaker"]["spk03"]["ua"]
    assert float(found["class", "sad", "recall"]["value"]) == summary["per_class"]["sad"]["recall"]
    assert ("run", "fold=2,seed=1", "macro_f1") in found
    assert ("trivial", "prior", "ua") in found


def test_the_terminal_shows_the_same(experiment: FakeExperiment) -> None:
    summary = summarise(experiment.folder, experiment.keys)
    text = printed(summary)
    ua = summary["metrics"]["ua"]
    assert f"{ua['pooled']:.3f} ({ua['ci95'][0]:.3f}–{ua['ci95'][1]:.3f})" in text  # noqa: RUF001
    assert f"{ua['mean']:.3f} ±\N{NO-BREAK SPACE}{ua['sd']:.3f}" in text
    assert "Protocol demo-session5: leave one session" in text
    assert "7 utterances left out" in text
    assert "corpus 97.0 %, uniform 3.0 %" in text
    assert "<i>happy</i>" in text
    assert "LEAK" not in text


def test_the_terminal_marks_a_leak_in_red_beside_every_number(leaking: FakeExperiment) -> None:
    summary = summarise(leaking.folder, leaking.keys[:-1])
    text = printed(replace_names(summary))
    drawn = [table(summary) for table in TABLES]
    scores = sum(cell.is_score for table in drawn for row in table.rows for cell in row)
    assert text.count(" LEAK") == scores
    assert f"LEAK: {LEAK}." in text
    assert "Note: not counted" in printed({**summary, "other_runs": ["fold=9,seed=0,size=all"]})
    console = Console(width=140, force_terminal=True, record=True, color_system="truecolor")
    with console.capture() as capture:
        print_summary(console, summary)
    assert capture.get().count("\x1b[1;31m LEAK\x1b[0m") == scores


TABLES = (tables.scores_table, tables.folds_table, tables.classes_table, tables.sizes_table)


def replace_names(summary: dict[str, Any]) -> dict[str, Any]:
    return {**summary, "experiment": "[bold]x[/bold]"}


def test_markup_in_names_is_not_obeyed(leaking: FakeExperiment) -> None:
    assert "[bold]x[/bold]" in printed(replace_names(summarise(leaking.folder, leaking.keys)))


@pytest.mark.parametrize(
    ("count", "over", "expected"),
    [
        (1, "speakers", "1 speaker: too few for an interval."),
        (2, "speakers", "2 speakers: too few for an interval."),
        (2, "utterances", "2 utterances: too few for an interval."),
        (3, "speakers", "over 3 speakers: so few that intervals are wide"),
        (4, "speakers", "over 4 speakers: so few that intervals are wide"),
        (10, "speakers", "95 % intervals are over 10 speakers."),
        (900, "utterances", "over 900 utterances: not every speaker is known"),
    ],
)
def test_what_an_interval_rests_on_is_said(count: int, over: str, expected: str) -> None:
    interval = {"count": count, "over": over, "level": 0.95}
    assert expected in cells.interval_text({"interval": interval})


def test_numbers_are_written_as_people_read_them() -> None:
    assert cells.count(1234.0) == "1,234"
    assert cells.count(105.6667) == "105.7"
    assert [cells.duration(s) for s in (12.4, 61, 3725)] == ["12 s", "1 min 01 s", "1 h 02 min"]
    assert cells.number(None) == "\N{EN DASH}"
    assert [cells.number(value) for value in (-0.0, -0.0004, -0.0006)] == [
        *("0.000", "0.000", "-0.001")
    ]
    assert cells.with_interval(0.5, [0.25, 0.75]) == "0.500 (0.250\N{EN DASH}0.750)"
    assert cells.with_interval(0.0, [-0.25, 0.75]) == "0.000 (-0.250 to 0.750)"


def test_confusion_picture_names_recalls_and_holds_counts() -> None:
    svg = confusion_picture(np.array([[8.0, 2.0], [0.0, 0.0]]), ["a", "b"], "")
    assert "Share recognised of each class: a 80 %, b 0 %." in svg
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert {"8", "2", "80 %", "20 %", "predicted class"} <= set(texts)


@pytest.mark.parametrize("label", ["a", "linear_ravdess - acoustic_ravdess"])
def test_numbers_of_an_axis_have_room_beside_long_labels(label: str) -> None:
    row = Row(label, -0.135, [-0.181, -0.088])
    svg = intervals_picture("p", [row], title="t", unit="u", what="w", line=0.0, line_label="none")
    numbers = [
        (float(x), text)
        for x, text in re.findall(r'<text[^>]*x="([\d.]+)"[^>]*>([^<]*)</text>', svg)
        if re.fullmatch(r"\N{MINUS SIGN}?\d\.\d+", text)
    ]
    assert len(numbers) >= 3
    # a character is up to 6 points wide
    assert min(np.diff(sorted(x for x, _ in numbers))) > 6 * max(len(text) for _, text in numbers)


def test_nothing_heavy_is_imported_before_it_is_needed(
    experiment: FakeExperiment, html: str
) -> None:
    """Nor does drawing bring up pyplot, which holds figures and a backend for the process."""
    assert html
    code = (
        "import sys, pathlib, sermm.report, sermm.compare, sermm.summary\n"
        "heavy = ('torch', 'matplotlib', 'jinja2', 'lightning')\n"
        "assert not [n for n in heavy if n in sys.modules]\n"
        "sermm.report.write_report(pathlib.Path(sys.argv[1]))\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code, str(experiment.folder)], check=True)


def test_long_lists_of_speakers_are_counted(experiment: FakeExperiment) -> None:
    summary = summarise(experiment.folder, experiment.keys)
    for speakers, expected in (
        ([f"s{k}" for k in range(6)], "s0, s1, s2, s3, s4, s5"),
        ([f"1DmNV9C1hbY{k}" for k in range(4)], "4 speakers"),
        ([], "\N{EN DASH}"),
    ):
        fold = {**summary["per_fold"][0], "speakers": speakers}
        row = tables.folds_table({**summary, "per_fold": [fold]}).rows[0]
        assert row[1].text == expected


def test_a_new_seed_changes_nothing_but_numbers(tmp_path: Path, experiment: FakeExperiment) -> None:
    """The page of another experiment has the same sections in the same order."""
    other = replace(experiment, folder=tmp_path / "other", corpus_seed=3).write()
    pattern = r"<h2 id=\"([\w-]+)\""
    assert re.findall(pattern, report(other)) == [
        *("results", "per-class", "per-speaker", "calibration", "training", "utterances"),
        *("data", "missing", "origin", "meaning"),
    ]


def test_training_by_updates_is_drawn_over_updates() -> None:
    columns = {
        "step": np.array([30.0, 60.0]),
        "train/loss": np.array([1.0, 0.5]),
        "val/loss": np.array([1.1, 0.7]),
        "val/ua": np.array([0.4, 0.6]),
    }
    told = {"column": "val/ua", "score": "UA (share of 1)", "loss": "loss (nats)"}
    by_updates = History(np.array([0.0, 1.0]), columns)
    picture = learning_picture([("fold 0", by_updates, 1)], "", **told)
    assert "over updates. Chosen updates: fold 0: 60." in picture
    assert ">update</text>" in picture
    by_epochs = History(by_updates.epochs, {k: v for k, v in columns.items() if k != "step"})
    picture = learning_picture([("fold 0", by_epochs, 1)], "", **told)
    assert "over epochs. Chosen epochs: fold 0: 1." in picture
    assert ">epoch</text>" in picture
