"""The highway's asset graph: raw, validated, cleaned, summed up, reported.

Each asset is the stage of the same name (stages.py) for one highway and recording, and tells
Dagster what it wrote. Nothing is computed here.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from ngsim_assets.highway import data_versions, reporting, stages
from ngsim_assets.highway.automation import REBUILD, ROLL_UP, inputs_of_all
from ngsim_assets.highway.data_versions import DataVersion
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.resources import HighwayPlatform, recordings
from ngsim_assets.highway.stages import Platform
from ngsim_assets.quality.report import DataQualityReport
from ngsim_assets.storage.parquet import Commit
from ngsim_assets.storage.schema import Table, documentation_of

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
# For what passes by itself: another writer, a full disk being cleared. Partitions that failed at
# the same moment do not come back at the same moment.
_RETRY = dg.RetryPolicy(
    max_retries=2, delay=2, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
)


@dg.observable_source_asset(
    partitions_def=recordings,
    group_name=GROUP,
    description="What has been delivered of each recording. The data version is the hash of "
    "its rows, whatever their order, file or format.",
)
def raw_files(platform: HighwayPlatform) -> dg.DataVersionsByPartition:
    """Content hash of every recording in the landing zone."""
    landing = platform.open("observation").landing
    return dg.DataVersionsByPartition(
        {key: landing.partition_hash(key) for key in landing.partitions()}
    )


def column_schema(table: Table) -> dg.TableSchema:
    """Columns of `table` as Dagster's catalog shows them: type, unit, meaning."""
    return dg.TableSchema(
        [
            dg.TableColumn(
                name=row["column"],
                type=row["type"],
                description=f"{row['description']} [{row['unit']}]"
                if row["unit"]
                else row["description"],
                constraints=dg.TableColumnConstraints(nullable=row["nullable"]),
            )
            for row in documentation_of(table)
        ]
    )


def written(
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
    origin = data_versions.origin_of(stages.CODE_VERSIONS[asset], inputs)
    version = DataVersion(data_versions.content_of(commit.content), origin)
    return dg.MaterializeResult(
        asset_key=asset,
        data_version=dg.DataVersion(str(version)),
        metadata={
            **metadata,
            "dagster/row_count": commit.rows,
            "bytes": commit.bytes,
            "files": len(commit.files),
            "delta_version": commit.version,
            "new_version": commit.changed,
            "bytes_per_row": round(commit.bytes / commit.rows, 2) if commit.rows else 0.0,
        },
    )


def _spec(asset: str, condition: dg.AutomationCondition = REBUILD) -> dg.AssetSpec:
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
        metadata={"dagster/column_schema": column_schema(table)},
    )


def _stage(
    name: str,
    assets: Sequence[str],
    store: Callable[[Platform, PartitionKey], Iterable[Commit]],
) -> dg.AssetsDefinition:
    """Assets that one stage writes together, for one highway and recording."""

    @dg.multi_asset(
        name=name,
        specs=[_spec(asset) for asset in assets],
        partitions_def=recordings,
        retry_policy=_RETRY,
    )
    def build(
        context: dg.AssetExecutionContext, platform: HighwayPlatform
    ) -> Iterator[dg.MaterializeResult[Any]]:
        opened, key = platform.open(context.run.run_id), _key(context)
        inputs = {asset: data_versions.inputs_now(opened, asset, key) for asset in assets}
        for asset, commit in zip(assets, store(opened, key), strict=True):
            yield written(commit, asset, inputs[asset])

    return build


@dg.multi_asset(
    name="quality_report",
    specs=[_spec("quality_report")],
    partitions_def=recordings,
    retry_policy=_RETRY,
)
def quality_report(
    context: dg.AssetExecutionContext, platform: HighwayPlatform
) -> dg.MaterializeResult[Any]:
    """How good the recording is, before and after cleaning."""
    opened, key = platform.open(context.run.run_id), _key(context)
    inputs = data_versions.inputs_now(opened, "quality_report", key)
    commit, report = reporting.store_report(opened, key)
    page = reporting.report_folder(opened.reports, key) / "report.html"
    return written(
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


@dg.multi_asset(specs=[_spec("corpus_summary", ROLL_UP)], retry_policy=_RETRY)
def corpus_summary(
    context: dg.AssetExecutionContext, platform: HighwayPlatform
) -> dg.MaterializeResult[Any]:
    """All recordings side by side."""
    inputs = inputs_of_all(context.instance, data_versions.BUILT_FROM["corpus_summary"])
    commit = reporting.store_corpus_summary(platform.open(context.run.run_id))
    return written(commit, "corpus_summary", inputs)


PER_RECORDING = [
    _stage(
        "raw_trajectories",
        ["raw_trajectories"],
        lambda platform, key: [stages.store_raw(platform, key)],
    ),
    _stage("validation", ["validated_points", "quarantine"], stages.store_validated),
    _stage(
        "cleaned_trajectories",
        ["cleaned_trajectories"],
        lambda platform, key: [stages.store_cleaned(platform, key)],
    ),
    _stage(
        "trajectory_segments",
        ["trajectory_segments"],
        lambda platform, key: [stages.store_segments(platform, key)],
    ),
    _stage(
        "traffic_state",
        ["traffic_state"],
        lambda platform, key: [stages.store_traffic_state(platform, key)],
    ),
    quality_report,
]
ASSETS = [raw_files, *PER_RECORDING, corpus_summary]


def _key(context: dg.AssetExecutionContext) -> PartitionKey:
    return PartitionKey.parse(context.partition_key)
