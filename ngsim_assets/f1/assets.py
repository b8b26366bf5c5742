"""The asset graph of Formula 1: feeds, the tables of a session, its report, its second home.

Each step is what stages.py, reporting.py and second_home.py do for one session, and tells Dagster
what was written. Nothing is computed here.
"""

# Dagster's decorators are typed in part
# pyright: reportUnknownMemberType=false

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg
import polars as pl

from ngsim_assets.automation.assets import RETRY, code_of, column_schema, not_tried_in_vain
from ngsim_assets.automation.versions import DataVersion, content_of, digest_of, origin_of
from ngsim_assets.f1 import data_versions, measuring, reporting, stages
from ngsim_assets.f1.automation import GROUP, REBUILD
from ngsim_assets.f1.data_versions import POSTGRES, SESSION_TABLES
from ngsim_assets.f1.delivered import sessions_held, version_of
from ngsim_assets.f1.formats import TOPICS
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.model import F1_MESSAGES, F1_QUARANTINE
from ngsim_assets.f1.platform import F1Platform, alone, identity, report_folder
from ngsim_assets.f1.recipes import FEEDS, REPORT, TABLE_OF
from ngsim_assets.f1.resources import F1Resource, sessions
from ngsim_assets.f1.second_home import Copied, SecondHome, second_home
from ngsim_assets.observability import logs
from ngsim_assets.quality.report import DataQualityReport
from ngsim_assets.settings import Settings
from ngsim_assets.storage.parquet import Commit, SourceFile
from ngsim_assets.storage.versions import DataVersionManager

OWNERS = ["team:trajectories"]
PICTURES = ("lap-times", "track-status")
"""Pictures of the report that the Dagster UI shows inline; the HTML file has all of them."""

FIGURES = (
    "laps",
    "laps_complete",
    "racing_laps_timed",
    "sectors_agree",
    "set_aside_share",
    "phases",
    "phases_confirmed",
    "telemetry_coverage:f1_telemetry",
    "weather_coverage",
)
"""Figures whose course over runs the UI plots, beside the score."""

_ROWS_SHOWN = 200

NO_SECOND_HOME = "no second home is configured: NGSIM_POSTGRES_DSN is not set"


@dg.observable_source_asset(
    name=FEEDS,
    partitions_def=sessions,
    group_name=GROUP,
    metadata={
        "dagster/column_schema": dg.TableSchema(
            [dg.TableColumn(topic, "text") for topic in sorted(TOPICS)]
        )
    },
    description="What has been delivered of each session: topics of the live timing, recordings, "
    "responses of OpenF1, forecasts, seasons by FastF1. The data version is the hash of its "
    "messages, whatever files they came in and in which order.",
)
def f1_feeds(f1: F1Resource) -> dg.DataVersionsByPartition:
    """Content version of every session that was delivered."""
    opened = f1.open("observation")
    return dg.DataVersionsByPartition(
        {str(key): version_of(opened, key).version for key in sessions_held(opened.store)}
    )


def written(
    platform: F1Platform,
    settings: Settings,
    commit: Commit,
    asset: str,
    inputs: Mapping[str, str],
    **metadata: Any,
) -> dg.MaterializeResult[Any]:
    """A table of a session as a materialization.

    Args:
        inputs: contents of the assets it was built from, as they were before it began.
        metadata: what else the UI shows.
    """
    recipe = data_versions.recipe_of(settings, asset, data_versions.CODE_VERSIONS[asset])
    origin = origin_of(recipe, {name: inputs[name] for name in data_versions.BUILT_FROM[asset]})
    version = DataVersion(content_of(commit.content), origin)
    told: dict[str, Any] = {
        **metadata,
        "dagster/row_count": commit.rows,
        "bytes": commit.bytes,
        "files": len(commit.files),
        "delta_version": commit.version,
        "new_version": commit.changed,
        "code_version": commit.provenance.code_version,
        "made_by_run": dg.MetadataValue.dagster_run(commit.provenance.run_id),
    }
    if commit.provenance.rows:
        told["accounted"] = dg.MetadataValue.json(dict(commit.provenance.rows))
    lately = DataVersionManager(platform.lake).versions(TABLE_OF[asset], commit.partition)[:1]
    for made in lately:
        told["version"] = made.semantic
    return dg.MaterializeResult(asset, data_version=dg.DataVersion(str(version)), metadata=told)


def _spec(
    asset: str,
    function: Callable[..., Any],
    *,
    description: str = "",
    kinds: frozenset[str] = frozenset({"polars", "deltalake"}),
) -> dg.AssetSpec:
    table = TABLE_OF.get(asset)
    metadata: dict[str, Any] = {"dagster/code_references": code_of(function)}
    if table is not None:
        metadata["dagster/column_schema"] = column_schema(table)
        metadata["dagster/table_name"] = f"ngsim.{table.name}"
    return dg.AssetSpec(
        asset,
        deps=data_versions.BUILT_FROM[asset],
        group_name=GROUP,
        owners=OWNERS,
        kinds=set(kinds),
        code_version=data_versions.CODE_VERSIONS[asset],
        description=description or (table.description if table is not None else None),
        automation_condition=REBUILD,
        partitions_def=sessions,
        metadata=metadata,
    )


@dg.multi_asset(
    name="f1_session",
    specs=[_spec(asset, stages.store_session) for asset in SESSION_TABLES],
    partitions_def=sessions,
    retry_policy=RETRY,
)
def f1_session(
    context: dg.AssetExecutionContext, f1: F1Resource
) -> Iterator[dg.MaterializeResult[Any]]:
    """Every table of a session out of one reading of what was delivered of it."""
    settings, opened, key = f1.settings(), f1.open(context.run.run_id), _key(context)
    with _step(context, settings, opened, "f1_session", key) as (told, measured):
        stored = stages.store_session(opened, key)
        measured.stored(stored)
        told.update(rows=stored.rows, changed=not stored.up_to_date)
        files = stored.commits[F1_MESSAGES.name].provenance.files
        shown: dict[str, dict[str, Any]] = {
            F1_MESSAGES.name: {"source_files": _files(files)},
            F1_QUARANTINE.name: {"by_reason": _by_reason(opened, key)},
        }
    commits = stored.commits
    contents = {name: content_of(commit.content) for name, commit in commits.items()}
    for asset, commit in commits.items():
        inputs = {FEEDS: stored.version, **contents}
        yield written(opened, settings, commit, asset, inputs, **shown.get(asset, {}))


@dg.multi_asset(
    name=REPORT,
    specs=[_spec(REPORT, reporting.store_report)],
    partitions_def=sessions,
    retry_policy=RETRY,
)
def f1_quality_report(
    context: dg.AssetExecutionContext, f1: F1Resource
) -> dg.MaterializeResult[Any]:
    """How good the session is, as its feed told it."""
    settings, opened, key = f1.settings(), f1.open(context.run.run_id), _key(context)
    with _step(context, settings, opened, REPORT, key) as (told, measured):
        inputs = data_versions.inputs_now(opened, REPORT, key)
        commit, report = reporting.store_report(opened, key)
        measured.reported(report)
        told.update(rows={commit.table: commit.rows}, changed=commit.changed)
    page = report_folder(opened.reports, key) / "report.html"
    return written(
        opened,
        settings,
        commit,
        REPORT,
        inputs,
        limits_kept=report.judged - len(report.failed),
        limits_judged=report.judged,
        report=dg.MetadataValue.md(report.to_markdown(figures=PICTURES)),
        path=dg.MetadataValue.path(page.absolute()),
        **key_figures(report),
    )


@dg.multi_asset(
    name=POSTGRES,
    specs=[
        _spec(
            POSTGRES,
            SecondHome.copy_session,
            description="The tables of the session in PostgreSQL, each brought in once, where "
            "NGSIM_POSTGRES_DSN names a server; where it names none, nothing is done and the "
            "asset says so.",
            kinds=frozenset({"postgres"}),
        )
    ],
    partitions_def=sessions,
    retry_policy=RETRY,
)
def f1_postgres(context: dg.AssetExecutionContext, f1: F1Resource) -> dg.MaterializeResult[Any]:
    """The session's second home."""
    settings, opened, key = f1.settings(), f1.open(context.run.run_id), _key(context)
    with _step(context, settings, opened, POSTGRES, key) as (told, measured):
        inputs = data_versions.inputs_now(opened, POSTGRES, key)
        home = second_home(settings)
        if home is None:
            context.log.info(NO_SECOND_HOME)
            metadata: dict[str, Any] = {"home": NO_SECOND_HOME, "dagster/row_count": 0}
        else:
            with home:
                metadata = _copied(home.copy_session(opened, key))
                measured.succeeded()
        told.update(rows=metadata["dagster/row_count"])
    recipe = data_versions.recipe_of(settings, POSTGRES, data_versions.CODE_VERSIONS[POSTGRES])
    origin = origin_of(recipe, inputs)
    version = DataVersion(digest_of([origin]), origin)
    return dg.MaterializeResult(
        POSTGRES, data_version=dg.DataVersion(str(version)), metadata=metadata
    )


def key_figures(report: DataQualityReport) -> dict[str, float]:
    """The score and FIGURES that have a value, to four digits, as people read them."""
    figures = {f"score_{rating.stage}": rating.score for rating in report.ratings}
    for name in FIGURES:
        metric = report.metric(name)
        if metric is not None:
            figures[name] = metric.raw.value if metric.raw is not None else None
    return {name: float(f"{value:.4g}") for name, value in figures.items() if value is not None}


BUILT = [f1_session, f1_quality_report, f1_postgres]
"""Steps of one session, in building order."""


def _files(files: Iterable[SourceFile]) -> dg.TableMetadataValue:
    """What a session was read from."""
    return dg.MetadataValue.table(
        records=[
            dg.TableRecord({"file": file.name, "messages": file.rows, "sha256": file.sha256})
            for file in list(files)[:_ROWS_SHOWN]
        ],
        schema=dg.TableSchema(
            [
                dg.TableColumn("file", "string"),
                dg.TableColumn("messages", "int"),
                dg.TableColumn("sha256", "string"),
            ]
        ),
    )


def _copied(copied: Copied) -> dict[str, Any]:
    """What the UI shows of a session that PostgreSQL has now."""
    tables = [
        dg.TableRecord(
            {
                "table": name,
                "rows": written.rows,
                "inserted": written.inserted,
                "changed": written.changed,
                "deleted": written.deleted,
                "was there already": written.repeated,
            }
        )
        for name, written in copied.tables.items()
    ]
    return {
        "home": "PostgreSQL",
        "dagster/row_count": copied.rows,
        "rows_sent": copied.sent,
        "tables": dg.MetadataValue.table(tables),
    }


def _by_reason(platform: F1Platform, key: SessionKey) -> dg.TableMetadataValue:
    """What was set aside of a session, by table, stage and reason."""
    counts = (
        platform.lake.scan(F1_QUARANTINE, identity(key))
        .select("table", "stage", pl.col("reasons").alias("reason"))
        .explode("reason")
        .group_by("table", "stage", "reason")
        .len("rows")
        .sort("rows", "table", "stage", "reason", descending=[True, False, False, False])
        .collect()
    )
    return dg.MetadataValue.table(
        records=[dg.TableRecord(row) for row in counts.iter_rows(named=True)],
        schema=dg.TableSchema(
            [
                dg.TableColumn("table", "string"),
                dg.TableColumn("stage", "string"),
                dg.TableColumn("reason", "string"),
                dg.TableColumn("rows", "int"),
            ]
        ),
    )


@contextmanager
def _step(
    context: dg.AssetExecutionContext,
    settings: Settings,
    platform: F1Platform,
    name: str,
    key: SessionKey,
) -> Generator[tuple[dict[str, object], measuring.Step]]:
    """A step of a session: alone with it, told in the log (bound to run and session), measured."""
    with (
        logs.bound(run=context.run.run_id, partition=str(key)),
        logs.step(name) as told,
        not_tried_in_vain(),
        alone(platform, key),
        measuring.step(settings, name) as measured,
    ):
        yield told, measured


def _key(context: dg.AssetExecutionContext) -> SessionKey:
    return SessionKey.parse(context.partition_key)
