"""The highway's asset graph: raw, validated, cleaned, summed up, reported.

Each asset is the stage of the same name (stages.py) for one highway and recording, and tells
Dagster what it wrote. Nothing is computed here.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import dagster as dg

from ngsim_assets.highway import model, reporting, stages
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
_RETRY = dg.RetryPolicy(max_retries=1, delay=2)


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
    commit: Commit, *, asset: str | None = None, **metadata: dg.MetadataValue | float
) -> dg.MaterializeResult[Any]:
    """A stage's commit as a materialization.

    Its data version is made of the hashes of the files, so a re-run that wrote the same bytes
    gives those downstream no reason to run.
    """
    content = hashlib.sha256("".join(file.sha256 for file in commit.files).encode()).hexdigest()
    return dg.MaterializeResult(
        asset_key=asset or commit.table,
        data_version=dg.DataVersion(content),
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


def _spec(table: Table, deps: Sequence[str], *, name: str | None = None) -> dg.AssetSpec:
    key = name or table.name
    return dg.AssetSpec(
        key,
        deps=deps,
        group_name=GROUP,
        owners=OWNERS,
        kinds={"polars", "deltalake"},
        code_version=stages.CODE_VERSIONS[key],
        description=table.description,
        metadata={"dagster/column_schema": column_schema(table)},
    )


def _stage(
    name: str,
    specs: Sequence[dg.AssetSpec],
    store: Callable[[Platform, PartitionKey], Iterable[Commit]],
) -> dg.AssetsDefinition:
    """Assets that one stage writes together, for one highway and recording."""

    @dg.multi_asset(name=name, specs=specs, partitions_def=recordings, retry_policy=_RETRY)
    def build(
        context: dg.AssetExecutionContext, platform: HighwayPlatform
    ) -> Iterator[dg.MaterializeResult[Any]]:
        for commit in store(platform.open(context.run.run_id), _key(context)):
            yield written(commit)

    return build


@dg.multi_asset(
    name="quality_report",
    specs=[
        _spec(model.QUALITY_METRICS, ["cleaned_trajectories", "quarantine"], name="quality_report")
    ],
    partitions_def=recordings,
    retry_policy=_RETRY,
)
def quality_report(
    context: dg.AssetExecutionContext, platform: HighwayPlatform
) -> dg.MaterializeResult[Any]:
    """How good the recording is, before and after cleaning."""
    opened, key = platform.open(context.run.run_id), _key(context)
    commit, report = reporting.store_report(opened, key)
    page = reporting.report_folder(opened.reports, key) / "report.html"
    return written(
        commit,
        asset="quality_report",
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


@dg.multi_asset(specs=[_spec(model.CORPUS_SUMMARY, ["quality_report"])])
def corpus_summary(
    context: dg.AssetExecutionContext, platform: HighwayPlatform
) -> dg.MaterializeResult[Any]:
    """All recordings side by side."""
    return written(reporting.store_corpus_summary(platform.open(context.run.run_id)))


PER_RECORDING = [
    _stage(
        "raw_trajectories",
        [_spec(model.RAW_TRAJECTORIES, ["raw_files"])],
        lambda platform, key: [stages.store_raw(platform, key)],
    ),
    _stage(
        "validation",
        [
            _spec(model.VALIDATED_POINTS, ["raw_trajectories"]),
            _spec(model.QUARANTINE, ["raw_trajectories"]),
        ],
        stages.store_validated,
    ),
    _stage(
        "cleaned_trajectories",
        [_spec(model.CLEANED_TRAJECTORIES, ["validated_points"])],
        lambda platform, key: [stages.store_cleaned(platform, key)],
    ),
    _stage(
        "trajectory_segments",
        [_spec(model.TRAJECTORY_SEGMENTS, ["cleaned_trajectories"])],
        lambda platform, key: [stages.store_segments(platform, key)],
    ),
    _stage(
        "traffic_state",
        [_spec(model.TRAFFIC_STATE, ["cleaned_trajectories"])],
        lambda platform, key: [stages.store_traffic_state(platform, key)],
    ),
    quality_report,
]
ASSETS = [raw_files, *PER_RECORDING, corpus_summary]


def _key(context: dg.AssetExecutionContext) -> PartitionKey:
    return PartitionKey.parse(context.partition_key)
