from __future__ import annotations

import re
from pathlib import Path

from sermm.published import PUBLISHED
from sermm.report.size_plot import SizeSeries, curve_text, series_of, sizes_picture
from sermm.summary import summarise, write_summary
from tests.sermm.fake_runs import FakeExperiment
from tests.sermm.workplace import Workplace

SIZES = (10, 20, 40, None)


def made(place: Workplace, name: str, **options: object) -> Path:
    folder = place.folder / "runs" / name
    fake = FakeExperiment(folder, sizes=SIZES, **options).write()  # type: ignore[arg-type]
    write_summary(folder, summarise(folder, fake.keys))
    return folder


def test_experiments_on_one_page_with_what_was_published(place: Workplace) -> None:
    made(place, "one")
    made(place, "other", skill=0.5)
    said = place.sermm("curves", "one", "other", "--published", "boigne2020")
    assert (said.status, said.err) == (0, ""), said
    assert "By the fitted curve" in said.out
    assert re.search(r"all \(\d+\)", said.out)
    page = (place.folder / "curves.html").read_text()
    assert page.count("<svg") == 1
    for text in ("one", "other", "wav2vec", "hand-crafted", "training utterances", "2011.05585"):
        assert text in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_a_curve_of_part_of_the_runs_says_so(place: Workplace) -> None:
    folder = place.folder / "runs" / "one"
    fake = FakeExperiment(folder, sizes=SIZES).write()
    write_summary(folder, summarise(folder, [*fake.keys, (0, 9, None)], num_folds=5))
    said = place.sermm("curves", "one")
    assert said.status == 0, said
    page = (place.folder / "curves.html").read_text()
    for note in ("one is incomplete: 1 run missing", "of the 5 folds of the protocol"):
        assert note in page
        assert note in " ".join(said.out.split())


def test_the_report_has_the_curve(place: Workplace) -> None:
    made(place, "one")
    assert place.sermm("report", "one").status == 0
    page = (place.folder / "runs" / "one" / "report.html").read_text()
    assert "fitted power law" in page
    assert "times as many" in page


def test_the_series_is_that_of_the_summary(tmp_path: Path) -> None:
    fake = FakeExperiment(tmp_path / "x", sizes=SIZES).write()
    summary = summarise(fake.folder, fake.keys)
    series = series_of(summary)
    assert series.sizes[:3] == (10, 20, 40)
    assert series.scores == tuple(summary["by_size"][k]["ua"]["pooled"] for k in summary["by_size"])
    assert series.fitted[-1][0] > 3.9 * series.sizes[-1]
    assert [n / series.sizes[-1] for n, _, _ in series.beyond] == [1, 1.5, 2, 4]
    assert all(low < high for _, low, high in series.beyond)


def test_the_largest_size_and_the_end_of_the_curve_stand_at_the_axis(tmp_path: Path) -> None:
    one = SizeSeries("one", (60, 480, 600), (0.3, 0.4, 0.5), (None,) * 3, ((60, 0.3), (2400, 0.6)))
    picture = sizes_picture([one], "", score="UA (share of 1)")
    shown = re.findall(r">([\d,]+)</text>", picture)
    assert shown[:3] == ["60", "600", "2,400"]


def test_what_cannot_be_drawn(place: Workplace) -> None:
    made(place, "one")
    made(place, "voices", protocol="demo-speaker5")
    said = place.sermm("curves", "one", "voices")
    assert said.status == 2
    assert "expected the protocol of one (demo-session5), got demo-speaker5" in said.err
    said = place.sermm("curves", "one", "--published", "nobody")
    assert "--published: expected one of boigne2020" in said.err
    assert place.sermm("curves", "none").status == 2


def test_published_points_are_those_of_the_figure() -> None:
    points = {curve.name: dict(curve.points) for curve in PUBLISHED["boigne2020"]}
    learned, crafted = points["Boigne et al.: wav2vec"], points["Boigne et al.: hand-crafted"]
    # the claim of the abstract: 500 examples beat 4,000
    assert learned[500] > crafted[4000]
    assert [round(100 * (learned[n] - crafted[n]), 1) for n in learned] == [6.9, 6.4, 7.3, 8.1]


def test_published_points_are_told_apart() -> None:
    points = ((500, 1000), (0.5, 0.6), (None, None))
    published = [SizeSeries(name, *points, published=True) for name in ("first", "second")]
    picture = sizes_picture(published, "", score="UA (share of 1)")
    # the shape of a marker is written once and then used: two, and the ticks of both axes
    shapes = re.findall(r'<path id="sizes-m[0-9a-f]+" d="([^"]*)"', picture)
    assert len(set(shapes)) == 2 + 2


def test_what_more_labels_buy_in_words() -> None:
    curve = {"largest": 600.0, "floor": 0.2, "scale": 2.0, "exponent": 0.5, "at": []}
    curve |= {"num_speakers": 16, "num_seeds": 3}
    rows = [
        (0.01, 700.4, (650.0, 901.0), 0.99),
        (0.02, 926.0, (713.0, None), 0.96),
        (0.05, None, (1100.0, None), 0.4),
        (0.05, None, (None, None), 0.01),
        (0.02, 926.0, None, 1.0),
    ]
    keys = ("gain", "num_train", "ci95", "reached")
    wanted = [{**dict(zip(keys, row, strict=True)), "limit": 2400.0} for row in rows]
    text = curve_text({**curve, "wanted": wanted})
    assert text.partition("Utterances in all: ")[2] == (
        "1 point more with 700 (650 to 901; within 4 times in 99.0 % of draws); "
        "2 points more with 926 (713 to over 2,400; within 4 times in 96.0 % of draws); "
        "5 points more not within 4 times as many (1,100 to over 2,400; within 4 times in "
        "40.0 % of draws); 5 points more not within 4 times as many (within 4 times in 1.0 % of "
        "draws); 2 points more with 926 (within 4 times in 100.0 % of draws)."
    )
