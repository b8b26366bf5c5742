"""The highway's asset graph: raw, validated, cleaned, summed up, reported.

Each asset is the stage of the same name (stages.py) for one highway and recording, and tells
Dagster what it wrote. Nothing is computed here.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import dagster as dg

from ngsim_assets.automation.assets import RETRY, code_of, column_schema, not_tried_in_vain
from ngsim_assets.automation.instances import inputs_of_all
from ngsim_assets.automation.versions import DataVersion, content_of, origin_of
from ngsim_assets.highway import data_versions, measuring, model, reporting, stages
from ngsim_assets.highway.automation import REBUILD, ROLL_UP
from ngsim_assets.highway.building import alone
from ngsim_assets.highway.column_lineage import columns_behind
from ngsim_assets.highway.formats import DELIVERED
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.resources import HighwayPlatform, recordings
from ngsim_assets.highway.stages import Platform
from ngsim_assets.observability import logs
from ngsim_assets.quality.report import DataQualityReport
from ngsim_assets.storage.parquet import Commit
from ngsim_assets.storage.versions import DataVersionManager

GROUP = "highway"
OWNERS = ["team:trajectories"]
# Pictures of the report that the Dagster UI shows inline; the HTML file has all of them.
PICTURES = ("time-space", "heat-maps", "distributions")
# Figures whose course over runs the UI plots, beside the scores.
FIGURES = (
    ("rows_quarantined_share", "raw"),
    ("completeness", "cleaned"),
    ("points_imputed", "cleaned"),
    ("jerk_over_15", "validated"),
    ("jerk_over_15", "cleaned"),
    ("jerk_sign_inversions", "cleaned"),
    ("position_speed_rmse", "cleaned"),
    ("overlaps", "cleaned"),
    ("residual_along_rmse", "cleaned"),
    ("edie_speed_change", "cleaned"),
)
# It is made every night, whether anything changed or not: a summary older than this says that the
# platform has stopped working by itself.
_FRESH = dg.FreshnessPolicy.time_window(
    fail_window=timedelta(hours=49), warn_window=timedelta(hours=26)
)


@dg.observable_source_asset(
    partitions_def=recordings,
    group_name=GROUP,
    metadata={
        "dagster/column_schema": dg.TableSchema(
            [dg.TableColumn(name, "text") for name in DELIVERED]
        )
    },
    description="What has been delivered of each recording. The data version is the hash of "
    "its rows, whatever their order, file or format.",
)
def raw_files(platform: HighwayPlatform) -> dg.DataVersionsByPartition:
    """Content hash of every recording in the landing zone."""
    landing = platform.open("observation").landing
    return dg.DataVersionsByPartition(
        {key: landing.partition_hash(key) for key in landing.partitions()}
    )


def column_lineage(asset: str) -> dg.TableColumnLineage:
    """Which columns of other assets each column is made of."""
    return dg.TableColumnLineage(
        {
            column: [
                dg.TableColumnDep(asset_key=source, column_name=name) for source, name in sources
            ]
            for column, sources in columns_behind(asset).items()
        }
    )


def written(
    platform: Platform,
    commit: Commit,
    asset: str,
    inputs: Mapping[str, str],
    **metadata: dg.MetadataValue | float,
) -> dg.MaterializeResult[Any]:
    """A stage's commit as a materialization.

    Args:
        inputs: contents of the assets it was built from, as they were before it began.
        metadata: what else the UI shows.
    """
    highway = commit.partition.get("highway_id", "")
    recipe = data_versions.recipe_of(platform, asset, highway, stages.CODE_VERSIONS[asset])
    origin = origin_of(recipe, inputs)
    version = DataVersion(content_of(commit.content), origin)
    return dg.MaterializeResult(
        asset_key=asset,
        data_version=dg.DataVersion(str(version)),
        metadata={
            **metadata,
            "dagster/row_count": commit.rows,
            "dagster/column_lineage": column_lineage(asset),
            "bytes": commit.bytes,
            "files": len(commit.files),
            "bytes_per_row": round(commit.bytes / commit.rows, 2) if commit.rows else 0.0,
            **_provenance(platform, commit),
        },
    )


def _provenance(platform: Platform, commit: Commit) -> dict[str, Any]:
    """Which version it is, and what it was made of: files, code, parameters, run."""
    found: dict[str, Any] = {
        "delta_version": commit.version,
        "new_version": commit.changed,
        "code_version": commit.provenance.code_version,
        "parameters": dg.MetadataValue.json(dict(commit.provenance.parameters)),
        "made_by_run": dg.MetadataValue.dagster_run(commit.provenance.run_id),
    }
    table = model.TABLES[commit.table]
    for version in DataVersionManager(platform.lake).versions(table, commit.partition)[:1]:
        found["version"] = version.semantic
    raw = (
        platform.lake.current(
            model.RAW_TRAJECTORIES,
            {name: commit.partition[name] for name in model.RAW_TRAJECTORIES.identity},
        )
        if commit.partition
        else None
    )
    if raw is not None and raw.provenance.files:
        found["source_files"] = dg.MetadataValue.table(
            [
                dg.TableRecord(
                    {"file": file.name, "rows": file.rows, "sha256": file.sha256, "path": file.path}
                )
                for file in raw.provenance.files
            ]
        )
    return found


def _spec(
    asset: str, function: Callable[..., Any], condition: dg.AutomationCondition = REBUILD
) -> dg.AssetSpec:
    table = data_versions.table_of(asset)
    return dg.AssetSpec(
        asset,
        deps=data_versions.BUILT_FROM[asset],
        group_name=GROUP,
        owners=OWNERS,
        kinds={"polars", "deltalake"},
        code_version=stages.CODE_VERSIONS[asset],
        description=table.description,
        automation_condition=condition,
        metadata={
            "dagster/column_schema": column_schema(table),
            "dagster/column_lineage": column_lineage(asset),
            "dagster/table_name": f"ngsim.{table.name}",
            "dagster/code_references": code_of(function),
        },
    )


def _stage(
    name: str,
    assets: Sequence[str],
    function: Callable[[Platform, PartitionKey], Commit | Iterable[Commit]],
) -> dg.AssetsDefinition:
    """Assets that one stage writes together, for one highway and recording."""

    @dg.multi_asset(
        name=name,
        specs=[_spec(asset, function) for asset in assets],
        partitions_def=recordings,
        retry_policy=RETRY,
    )
    def build(
        context: dg.AssetExecutionContext, platform: HighwayPlatform
    ) -> Iterator[dg.MaterializeResult[Any]]:
        opened, key = platform.open(context.run.run_id), _key(context)
        with (
            _told(context, name, key) as told,
            not_tried_in_vain(),
            alone(opened, key),
            measuring.stage(platform.settings(), opened, key) as measured,
        ):
            inputs = {asset: data_versions.inputs_now(opened, asset, key) for asset in assets}
            made = function(opened, key)
            commits = [made] if isinstance(made, Commit) else list(made)
            told.update(_sizes(commits))
            measured.wrote(commits)
        for asset, commit in zip(assets, commits, strict=True):
            yield written(opened, commit, asset, inputs[asset])

    return build


@dg.multi_asset(
    name="quality_report",
    specs=[_spec("quality_report", reporting.store_report)],
    partitions_def=recordings,
    retry_policy=RETRY,
)
def quality_report(
    context: dg.AssetExecutionContext, platform: HighwayPlatform
) -> dg.MaterializeResult[Any]:
    """How good the recording is, before and after cleaning."""
    opened, key = platform.open(context.run.run_id), _key(context)
    with (
        _told(context, "quality_report", key) as told,
        not_tried_in_vain(),
        alone(opened, key),
        measuring.stage(platform.settings(), opened, key) as measured,
    ):
        inputs = data_versions.inputs_now(opened, "quality_report", key)
        commit, report = reporting.store_report(opened, key)
        told.update(_sizes([commit]))
        measured.wrote([commit], report)
    page = reporting.report_folder(opened.reports, key) / "report.html"
    return written(
        opened,
        commit,
        "quality_report",
        inputs,
        limits_kept=report.judged - len(report.failed),
        limits_judged=report.judged,
        report=dg.MetadataValue.md(report.to_markdown(figures=PICTURES)),
        path=dg.MetadataValue.path(page.absolute()),
        **key_figures(report),
    )


def key_figures(report: DataQualityReport) -> dict[str, float]:
    """Scores and FIGURES that have a value, as `score_<stage>` and `<metric>_<stage>`.

    To four digits, as people read them; `quality_metrics` has all.
    """
    figures = {f"score_{rating.stage}": rating.score for rating in report.ratings}
    for name, stage in FIGURES:
        metric = report.metric(name)
        if metric is not None:
            part = metric.cleaned if stage == "cleaned" else metric.raw
            figures[f"{name}_{stage}"] = part.value if part is not None else None
    return {name: float(f"{value:.4g}") for name, value in figures.items() if value is not None}


@dg.multi_asset(
    name="corpus_summary",
    specs=[
        _spec("corpus_summary", reporting.store_corpus_summary, ROLL_UP).replace_attributes(
            freshness_policy=_FRESH
        )
    ],
    retry_policy=RETRY,
    # one at a time: two would only be in each other's way
    pool="corpus_summary",
)
def corpus_summary(
    context: dg.AssetExecutionContext, platform: HighwayPlatform
) -> dg.MaterializeResult[Any]:
    """All recordings side by side."""
    opened = platform.open(context.run.run_id)
    inputs = inputs_of_all(context.instance, data_versions.BUILT_FROM["corpus_summary"])
    with (
        _told(context, "corpus_summary") as told,
        not_tried_in_vain(),
        measuring.stage(platform.settings(), opened) as measured,
    ):
        commit = reporting.store_corpus_summary(opened)
        told.update(_sizes([commit]))
        measured.wrote([commit])
    return written(opened, commit, "corpus_summary", inputs)


PER_RECORDING = [
    _stage("raw_trajectories", ["raw_trajectories"], stages.store_raw),
    _stage("validation", ["validated_points", "quarantine"], stages.store_validated),
    _stage("cleaned_trajectories", ["cleaned_trajectories"], stages.store_cleaned),
    _stage("trajectory_segments", ["trajectory_segments"], stages.store_segments),
    _stage("traffic_state", ["traffic_state"], stages.store_traffic_state),
    quality_report,
]
BUILT = [*PER_RECORDING, corpus_summary]


@contextmanager
def _told(
    context: dg.AssetExecutionContext, name: str, key: PartitionKey | None = None
) -> Iterator[dict[str, object]]:
    """Lines of the log around a stage, bound to the run and what it is of (logs.py)."""
    partition, highway = (str(key), key.highway_id) if key is not None else (None, None)
    with (
        logs.bound(run=context.run.run_id, partition=partition, highway=highway),
        logs.step(name) as told,
    ):
        yield told


def _sizes(commits: Iterable[Commit]) -> dict[str, object]:
    """What a stage wrote, for the log."""
    return {
        "rows": {commit.table: commit.rows for commit in commits},
        "changed": any(commit.changed for commit in commits),
    }


def _key(context: dg.AssetExecutionContext) -> PartitionKey:
    return PartitionKey.parse(context.partition_key)
