"""What a dashboard shows is built without a connection; saving it needs an account."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from sermm.compose import load_config
from sermm.dashboard import build_report, build_workspace
from tests.sermm.workplace import Workplace

SCORES = ("ua", "wa")
# of wandb_workspaces, at import: github.com/wandb/wandb-workspaces
pytestmark = pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")


def test_the_workspace_shows_what_runs_log() -> None:
    model = build_workspace(load_config("fusion_demo"), SCORES, "team")._to_model()
    text = json.dumps(model.model_dump(by_alias=True), default=str)
    for name in ("test/ua", "test/wa", "val/ua", "val/loss", "train/loss", "test/classes"):
        assert f'"{name}"' in text or f"'{name}'" in text, name
    (runs,) = model.spec.section.run_sets
    filters = [(one["key"]["name"], one["value"]) for one in runs.filters["filters"]]
    assert filters == [("group", "fusion_demo"), ("jobType", "fit")]


def test_the_report_tells_protocol_and_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb_workspaces.reports.v2.interface as reports

    server = SimpleNamespace(default_entity="team", project=lambda *_: SimpleNamespace(id="1"))
    monkeypatch.setattr(reports, "_get_api", lambda: server)
    report = build_report(load_config("fusion_demo"), SCORES, "team")
    assert (report.title, report.project) == ("fusion_demo", "sermm")
    said = " ".join(block.text for block in report.blocks if isinstance(block, reports.P))
    assert "Protocol: demo-session5" in said
    grids = [block for block in report.blocks if isinstance(block, reports.PanelGrid)]
    assert [grid.runsets[0].name for grid in grids] == ["summary", "fit"]
    assert all('== "fusion_demo"' in grid.runsets[0].filters for grid in grids)
    charts = [[p for p in grid.panels if isinstance(p, reports.CustomChart)] for grid in grids]
    named = [[(p.chart_name, p.query["summaryTable"]["tableKey"]) for p in row] for row in charts]
    assert named == [
        [("wandb/line/v0", "data_size_table")],
        [("wandb/confusion_matrix/v1", "test/confusion_matrix_table")],
    ]
    fields = [p._to_model().config.field_settings for row in charts for p in row]
    assert [sorted(found) for found in fields] == [
        ["x", "y"],
        ["Actual", "Predicted", "nPredictions"],
    ]


def test_without_an_account_it_says_what_to_do(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    said = place.sermm("dashboard", "fusion_demo")
    assert (said.status, said.err.count("\n")) == (2, 1)
    assert "wandb login" in said.err
    assert "sermm report fusion_demo" in said.err
