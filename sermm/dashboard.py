"""A saved workspace and a report of W&B as code, for one experiment.

What is shown is built here without a connection; saving it needs an account and the extra
``dashboard``. The package is a preview and its interface moves, so nothing else imports it.
"""

from __future__ import annotations

from typing import Any

from data_modules.errors import ConfigError
from sermm.config import Config
from sermm.extras import expect_extra
from sermm.terminal import say
from sermm.tracking import answered, logged_in


def save_dashboard(config: Config, scores: tuple[str, ...]) -> None:
    """Save workspace and report and print where they are.

    Args:
        config: Of the experiment; its tracking names project and entity.
        scores: Of its kind of target, the headline first.

    Raises:
        ConfigError: Nobody is logged in, or the server does not answer.
        ModelError: The extra is not installed.
    """
    expect_extra("dashboard", "sermm dashboard")
    if not logged_in():
        raise ConfigError(
            "sermm dashboard",
            expected="a W&B account",
            got="nobody logged in",
            fix=f"run `wandb login`, or look at it here: `sermm report {config.name}`",
        )
    import wandb

    with answered("sermm dashboard", f"look at it here: `sermm report {config.name}`"):
        entity = config.tracking.entity or wandb.Api().default_entity
        saved = build_workspace(config, scores, entity).save()
        say(f"workspace: {saved.url}")
        report = build_report(config, scores, entity)
        report.save(draft=False)
        say(f"report: {report.url}")


def _filter(config: Config, job_type: str) -> str:
    return f'Config("group") == "{config.name}" and Metric("JobType") == "{job_type}"'


def build_workspace(config: Config, scores: tuple[str, ...], entity: str | None) -> Any:
    """The workspace: learning curves by fold and seed, then scores and tables."""
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    curves = [wr.LinePlot(title=name, x="epoch", y=[name]) for name in _curves(scores)]
    finals = [wr.BarPlot(title=f"test {name}", metrics=[f"test/{name}"]) for name in scores]
    tables = [
        wr.WeavePanelSummaryTable(table_name=f"test/{name}") for name in ("classes", "predictions")
    ]
    tables.append(wr.MediaBrowser(media_keys=["test/audio", "test/words"]))
    return ws.Workspace(
        entity=entity,
        project=config.tracking.project,
        name=config.name,
        sections=[
            ws.Section(name="Test", panels=finals, is_open=True),
            ws.Section(name="Training", panels=curves, is_open=True),
            ws.Section(name="Utterances", panels=tables, is_open=False),
        ],
        runset_settings=ws.RunsetSettings(
            filters=_filter(config, "fit"),
            groupby=[ws.Config("fold"), ws.Config("seed")],
        ),
    )


def build_report(config: Config, scores: tuple[str, ...], entity: str | None) -> Any:
    """The report: what was asked, scores by run and size, learning curves, confusion matrix."""
    import wandb_workspaces.reports.v2 as wr

    def runset(job_type: str) -> Any:
        return wr.Runset(
            entity=entity,
            project=config.tracking.project,
            name=job_type,
            filters=_filter(config, job_type),
        )

    headline = scores[0]
    return wr.Report(
        entity=entity,
        project=config.tracking.project,
        title=config.name,
        description=config.description,
        blocks=[
            wr.H1("What was asked"),
            wr.P(f"{config.description} Protocol: {config.data.protocol}."),
            wr.H1("Scores"),
            wr.P("Intervals over speakers stand in the report of the run folder, not here."),
            wr.PanelGrid(
                runsets=[runset("summary")],
                panels=[
                    *(wr.ScalarChart(metric=f"pooled/{name}") for name in scores),
                    wr.WeavePanelSummaryTable(table_name="runs"),
                    _chart("data_size", "line/v0", {"x": "utterances", "y": headline}),
                ],
            ),
            wr.H1("Runs"),
            wr.PanelGrid(
                runsets=[runset("fit")],
                panels=[
                    wr.BarPlot(title=f"test {headline}", metrics=[f"test/{headline}"]),
                    *(wr.LinePlot(title=name, x="epoch", y=[name]) for name in _curves(scores)),
                    wr.WeavePanelSummaryTable(table_name="test/classes"),
                    _chart(
                        "test/confusion_matrix",
                        "confusion_matrix/v1",
                        {name: name for name in ("Actual", "Predicted", "nPredictions")},
                    ),
                    wr.MediaBrowser(media_keys=["test/audio", "test/words"]),
                ],
            ),
        ],
    )


def _chart(key: str, kind: str, fields: dict[str, str]) -> Any:
    """A chart that runs log under a key: W&B keeps its numbers in a table of that name."""
    import wandb_workspaces.reports.v2 as wr

    return wr.CustomChart(
        query={"summaryTable": {"tableKey": f"{key}_table"}},
        chart_name=f"wandb/{kind}",
        chart_fields=fields,
    )


def _curves(scores: tuple[str, ...]) -> list[str]:
    return ["train/loss", "val/loss", f"val/{scores[0]}"]
