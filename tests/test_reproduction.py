"""The page that lays the papers beside the experiments."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from data_modules.corpora import find_corpus, find_scheme
from data_modules.errors import ConfigError
from data_modules.manifest import Utterance
from data_modules.protocols import find_protocol
from data_modules.selection import Draw, select
from docs import make_reproduction
from sermm.compose import experiment_names, load_config
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


def published_counts_of_iemocap() -> list[Utterance]:
    """As many utterances of each session and class as IEMOCAP has."""
    counts = {
        "1": {"neu": 384, "hap": 278, "ang": 229, "sad": 194},
        "2": {"neu": 362, "hap": 327, "ang": 137, "sad": 197},
        "3": {"neu": 320, "hap": 286, "ang": 240, "sad": 305},
        "4": {"neu": 258, "hap": 303, "ang": 327, "sad": 143},
        "5": {"neu": 384, "hap": 442, "ang": 170, "sad": 245},
    }
    return [
        Utterance(
            f"{session}-{label}-{number}",
            "iemocap",
            speaker=session + "FM"[number % 2],
            session=session,
            dialogue=session,
            labels={"category": label},
        )
        for session, classes in counts.items()
        for label, count in classes.items()
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("settings", "exist"),
    [
        ([], True),
        (["data.draw=balanced", "plan.sizes=[500,1000,2000,2800]"], True),
        (["data.draw=balanced"], False),
        (["data.protocol=iemocap4-session5", "plan.sizes=[500,1000,2000,3000,all]"], True),
        (["data.protocol=iemocap4-session5"], False),
    ],
    ids=["natural", "balanced", "balanced 4000", "session", "session 4000"],
)
def test_sizes_of_the_data_size_study_exist_in_every_fold(settings: list[str], exist: bool) -> None:
    names = [name for name in experiment_names() if name.startswith("boigne_data_size")]
    config, *others = [load_config(name, settings) for name in names]
    assert len(others) == 3
    for other in others:
        assert (other.data, other.plan) == (config.data, config.plan)
    selection = select(
        published_counts_of_iemocap(),
        scheme=find_scheme(config.data.labels, find_corpus("iemocap")),
        protocol=find_protocol(config.data.protocol),
    )
    draw: Draw = "balanced" if config.data.draw == "balanced" else "natural"
    size = max(size for size in config.plan.sizes if size != "all")  # the others are part of it
    for fold in range(5):
        if exist:
            assert len(selection.fold_of_size(fold, size, 0, draw).train) == size
        else:
            with pytest.raises(ConfigError, match=f"size=4000 in fold {fold}"):
                selection.fold_of_size(fold, size, 0, draw)


def test_an_experiment_that_differs_is_an_error() -> None:
    row = {
        "what": "folds",
        "experiments": ["boigne_fusion_iemocap", "superb_iemocap"],
        "keys": ["data.protocol"],
    }
    with pytest.raises(ValueError, match=r"folds: data\.protocol differs"):
        make_reproduction.resolved(row)
