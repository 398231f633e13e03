"""The page that lays the papers beside the experiments."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from docs import make_reproduction
from sermm.compose import experiment_names
from sermm.published import PUBLISHED
from sermm.summary import read_summary, summarise, write_summary
from tests import pages
from tests.sermm.fake_runs import FakeExperiment

FACTS = make_reproduction.facts()
SYSTEMS = ("boigne_", "siriwardhana_", "morais_", "label_budget_")


def test_the_page_is_up_to_date() -> None:
    made = make_reproduction.page()
    assert pages.read(make_reproduction.PAGE) == made, "run python docs/make_reproduction.py"


def test_every_experiment_of_the_papers_stands_on_it() -> None:
    named = {
        name
        for paper in FACTS
        for row in (*paper["settings"], *paper["numbers"])
        for name in row.get("experiments", [row.get("experiment")])
    }
    theirs = {name for name in experiment_names() if name.startswith(SYSTEMS)}
    assert theirs <= named | {"boigne_data_size_fusion_mfcc_iemocap"}
    assert {"pretrain_mosei", "finetune_mosei", "scratch_mosei"} <= named


@pytest.mark.parametrize("paper", FACTS, ids=lambda paper: paper["title"].partition(",")[0])
def test_what_is_open_has_a_choice_and_what_is_known_a_source(paper: dict[str, Any]) -> None:
    for row in paper["settings"]:
        tags = row["evidence"].split(", ")
        assert set(tags) <= set("VSC?"), row["what"]
        assert row["keys"], row["what"]
        if "?" in tags:
            assert row["choice"], row["what"]
    for row in paper["numbers"]:
        assert row["evidence"] in "VSC"


def scores(text: str) -> dict[str, list[str]]:
    """Ours by what is published, in the order of the page."""
    found: dict[str, list[str]] = {}
    for line in re.findall(r"^\| (.+) \| `\w+` \|$", text, re.MULTILINE):
        _, published, _, ours = line.split(" | ")
        found.setdefault(published, []).append(ours)
    return found


def test_no_score_of_ours_is_told_that_nobody_measured() -> None:
    told = [one for some in scores(pages.read(make_reproduction.PAGE)).values() for one in some]
    assert len(told) >= 25
    assert all(re.fullmatch(r"needs (IEMOCAP|CMU-MOSI|CMU-MOSEI)", one) for one in told)


def test_own_runs_stand_beside_the_published_ones(tmp_path: Path) -> None:
    leak = "validation shares speakers"
    for name, more in (
        ("morais_hubert_mean_iemocap", {"leak": leak, "protocol": "iemocap4-superb"}),
        ("boigne_data_size_iemocap", {"sizes": (500, 1000)}),
    ):
        fake = FakeExperiment(tmp_path / name, folds=2, **more).write()  # type: ignore[arg-type]
        write_summary(fake.folder, summarise(fake.folder, fake.keys, num_folds=5))
    found = scores(make_reproduction.page(tmp_path))
    summary = read_summary(tmp_path / "morais_hubert_mean_iemocap")
    (told,) = found["WA 72.99, UA 73.45"]
    for metric in ("wa", "ua"):
        scored = summary["metrics"][metric]
        low, high = (f"{100 * end:.2f}" for end in scored["ci95"])
        assert f"{metric.upper()} {100 * scored['pooled']:.2f} ({low} to {high})" in told
    assert told.endswith("); 2 of 5 folds LEAK")
    by_size = read_summary(tmp_path / "boigne_data_size_iemocap")["by_size"]
    for size, published in (("500", "UA 58.50"), ("1000", "UA 59.10")):
        assert found[published][0].startswith(f"UA {100 * by_size[size]['ua']['pooled']:.2f} (")
    assert found["UA 63.00"] == ["not in its summary"]
    assert found["UA 73.90"] == ["needs IEMOCAP"]


def test_published_points_are_those_of_the_picture() -> None:
    table = pages.section(pages.read(make_reproduction.PAGE), FACTS[0]["title"])
    for curve in PUBLISHED["boigne2020"]:
        for size, score in curve.points:
            assert re.search(rf"{size:,} examples \| UA {100 * score:.2f} \|", table)


def test_an_experiment_that_differs_is_an_error() -> None:
    row = {
        "what": "folds",
        "experiments": ["boigne_fusion_iemocap", "superb_iemocap"],
        "keys": ["data.protocol"],
    }
    with pytest.raises(ValueError, match=r"folds: data\.protocol differs"):
        make_reproduction.resolved(row)
